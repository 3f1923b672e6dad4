#!/bin/sh
# Builds the package as a wheel, installs it into a fresh environment, and tests it there.
#
# usage: MULLAMA_LIBRARY=folder bindings/python/test.sh
#
# MULLAMA_LIBRARY     folder with libmullama.so
# MULLAMA_TEST_MODEL  file of SmolLM2, for the tests with a real model (default: none)
# MULLAMA_TEST_EMBED_MODEL, MULLAMA_TEST_RANK_MODEL
#                     files of MiniLM, for embeddings and ranking (default: none)
# MULLAMA_CACHE       folder for what is downloaded and built (default: the user's cache folder)
# MULLAMA_RESULTS     file for the results of the vectors (default: none)
# PYTHON              the interpreter (default: python3)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
examples=$here/../../examples/python
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
python=$(${PYTHON:-python3} -c 'import sys; print(sys.executable)')
MULLAMA_LIBRARY=$(CDPATH='' cd -- "${MULLAMA_LIBRARY:?names the folder with libmullama.so}" && pwd)
export MULLAMA_LIBRARY
. "$here/tools.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo "python: building with Python $version"
python_tools
python_wheel "$work"
if grep 'src/abi/.*warning' "$work/log" >&2; then
    echo "python: the extension has warnings" >&2
    exit 1
fi

"$python" -m venv "$work/venv"
run="$work/venv/bin/python"
"$run" -m pip install --quiet --no-deps --no-index "$work"/*.whl
site=$("$tools/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$site" >"$("$run" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/tools.pth"

echo "python: mypy --strict"
(cd "$work" && "$run" -m mypy --config-file "$here/pyproject.toml" --cache-dir "$work/mypy")
for example in "$examples"/*/main.py; do
    "$run" -m mypy --strict --cache-dir "$work/mypy" "$example"
done

# example NAME MODEL
example() {
    echo "python: the example $1"
    "$run" "$examples/$1/main.py" "$2" >"$work/$1.out"
    diff "$examples/$1/output.txt" "$work/$1.out"
}

if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    for name in chat stream cancel concurrent; do
        example "$name" "$MULLAMA_TEST_MODEL"
    done
fi
if [ -n "${MULLAMA_TEST_EMBED_MODEL:-}" ]; then
    example embed "$MULLAMA_TEST_EMBED_MODEL"
fi

cd "$here"
"$run" -m pytest -p no:cacheprovider tests
