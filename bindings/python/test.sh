#!/bin/sh
# Builds the package as a wheel, installs it into a fresh environment, and tests it there.
#
# usage: MULLAMA_LIBRARY=folder bindings/python/test.sh
#
# MULLAMA_LIBRARY     folder with libmullama.so
# MULLAMA_TEST_MODEL  file of SmolLM2, for the tests with a real model (default: none)
# MULLAMA_CACHE       folder for what is downloaded and built (default: the user's cache folder)
# MULLAMA_RESULTS     file for the results of the vectors (default: none)
# PYTHON              the interpreter (default: python3)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
examples=$here/../../examples/python
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
python=$(${PYTHON:-python3} -c 'import sys; print(sys.executable)')
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
MULLAMA_LIBRARY=$(CDPATH='' cd -- "${MULLAMA_LIBRARY:?names the folder with libmullama.so}" && pwd)
export MULLAMA_LIBRARY
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

# Makes the environment with the tools, if the one that is there has not the same requirements.
tools=$cache/python-binding/tools-$version
if ! cmp -s "$here/requirements-test.txt" "$tools/requirements.txt"; then
    echo "python: creating $tools"
    rm -rf "$tools"
    mkdir -p "$cache/python-binding"
    "$python" -m venv "$tools"
    "$tools/bin/python" -m pip install --quiet --no-deps --only-binary :all: --require-hashes \
        --requirement "$here/requirements-test.txt"
    cp "$here/requirements-test.txt" "$tools/requirements.txt"
fi

# wheel FOLDER: builds a wheel from the sdist, so that the sdist has been shown to be complete.
wheel() {
    if ! "$tools/bin/python" -m pip wheel --verbose --no-build-isolation --no-deps \
        --wheel-dir "$1" "$work"/sdist/*.tar.gz >"$work/log" 2>&1; then
        cat "$work/log" >&2
        exit 1
    fi
    if grep 'src/abi/.*warning' "$work/log" >&2; then
        echo "python: the extension has warnings" >&2
        exit 1
    fi
}

# environment FOLDER WHEEL: makes an environment that has the wheel and nothing else.
environment() {
    "$python" -m venv "$1"
    "$1/bin/python" -m pip install --quiet --no-deps --no-index "$2"
}

echo "python: building with Python $version"
mkdir "$work/sdist"
(cd "$here" && "$tools/bin/python" -c 'import sys; from setuptools import build_meta
build_meta.build_sdist(sys.argv[1])' "$work/sdist") >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
}
wheel "$work/plain"
MULLAMA_BUNDLE=$MULLAMA_LIBRARY wheel "$work/bundled"

echo "python: a bundled wheel in an empty environment"
environment "$work/empty" "$work"/bundled/*.whl
answer=$(cd "$work" && env -i "$work/empty/bin/python" -c '
import mullama
with mullama.Runtime(echo=True) as runtime, runtime.load("echo") as model:
    print(model.chat([{"role": "user", "content": "Hello"}]).text())')
if [ "$answer" != Hello ]; then
    echo "python: the bundled wheel says \"$answer\", not \"Hello\"" >&2
    exit 1
fi

environment "$work/venv" "$work"/plain/*.whl
run="$work/venv/bin/python"
site=$("$tools/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$site" >"$("$run" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tools.pth"

echo "python: mypy --strict"
(cd "$work" && "$run" -m mypy --config-file "$here/pyproject.toml" --cache-dir "$work/mypy")
for example in "$examples"/*/main.py; do
    "$run" -m mypy --strict --cache-dir "$work/mypy" "$example"
done

if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    for name in chat stream cancel concurrent; do
        echo "python: the example $name"
        "$run" "$examples/$name/main.py" "$MULLAMA_TEST_MODEL" >"$work/$name.out"
        diff "$examples/$name/output.txt" "$work/$name.out"
    done
fi

cd "$here"
"$run" -m pytest -p no:cacheprovider tests
