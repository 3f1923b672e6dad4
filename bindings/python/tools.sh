# The environment with what the package is built and tested with, for scripts that have set `here` to
# this folder, `cache` to the folder for what is downloaded and `python` to an interpreter.
# shellcheck shell=sh disable=SC2154

export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
tools=$cache/python-binding/tools-$version

# python_tools: makes it, if the one that is there has not the same requirements.
python_tools() {
    if ! cmp -s "$here/requirements-test.txt" "$tools/requirements.txt"; then
        echo "python: creating $tools"
        rm -rf "$tools"
        mkdir -p "$cache/python-binding"
        "$python" -m venv "$tools"
        "$tools/bin/python" -m pip install --quiet --no-deps --only-binary :all: \
            --require-hashes --requirement "$here/requirements-test.txt"
        cp "$here/requirements-test.txt" "$tools/requirements.txt"
    fi
}

# python_wheel FOLDER: builds a wheel from an sdist, which so has been shown to be complete. What is
# said on the way is in FOLDER/log.
python_wheel() {
    mkdir -p "$1/sdist"
    (cd "$here" && "$tools/bin/python" -c 'import sys; from setuptools import build_meta
build_meta.build_sdist(sys.argv[1])' "$1/sdist") >"$1/log" 2>&1 &&
        "$tools/bin/python" -m pip wheel --verbose --no-build-isolation --no-deps \
            --wheel-dir "$1" "$1"/sdist/*.tar.gz >"$1/log" 2>&1 || {
        cat "$1/log" >&2
        return 1
    }
}
