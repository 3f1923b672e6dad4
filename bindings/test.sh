#!/bin/sh
# Runs the tests of every binding against one libmullama, and writes the table of README.md from what
# they found, or with -check says whether it is fresh.
#
# usage: bindings/test.sh [-check] LIBRARY_FOLDER [LANGUAGE...]
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
check=
if [ "${1:-}" = -check ]; then
    check=-check
    shift
fi
if [ $# -lt 1 ]; then
    echo "usage: bindings/test.sh [-check] LIBRARY_FOLDER [LANGUAGE...]" >&2
    exit 2
fi
MULLAMA_LIBRARY=$(CDPATH='' cd -- "$1" && pwd)
shift
MULLAMA_CACHE=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
model=$MULLAMA_CACHE/models/SmolLM2-135M-Instruct.Q4_1.gguf
if [ -f "$model" ]; then
    MULLAMA_TEST_MODEL=$model
    export MULLAMA_TEST_MODEL
fi
export MULLAMA_LIBRARY MULLAMA_CACHE

whole=
if [ $# -eq 0 ]; then
    whole=yes
    for folder in "$here"/*/test.sh; do
        set -- "$@" "$(basename "$(dirname "$folder")")"
    done
fi
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
failed=
for language; do
    echo "== $language"
    MULLAMA_RESULTS=$results/$language.json sh "$here/$language/test.sh" ||
        failed="$failed $language"
done
if [ -n "$failed" ]; then
    echo "bindings: these failed:$failed" >&2
    exit 1
fi
if [ -n "$whole" ]; then
    (cd "$here/.." && ${GO:-go} run ./tools/parity $check "$results" bindings/README.md)
fi
echo "bindings: all tests passed"
