#!/bin/sh
# Builds and tests the binding; with the word "build" it only builds. Settings, in the environment:
#
#   MULLAMA_LIBRARY     folder of libmullama.so
#   MULLAMA_TEST_MODEL  SmolLM2's file; without it only the model that repeats is used
#   MULLAMA_TEST_EMBED_MODEL, MULLAMA_TEST_RANK_MODEL
#                       MiniLM's files, for embeddings and ranking; without them these are left out
#   MULLAMA_CACHE       folder for what is downloaded
#   MULLAMA_RESULTS     file for the results of the vectors
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
MULLAMA_LIBRARY=${MULLAMA_LIBRARY:-$root/bin/lib}
export MULLAMA_LIBRARY
. "$here/tools.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# same WANT GOT WHAT
same() {
    if [ "$1" != "$2" ]; then
        printf 'test.sh: %s printed\n%s\nbut should have printed\n%s\n' "$3" "$2" "$1" >&2
        exit 1
    fi
}

# A package of sources is packed, installed into an empty folder, which builds it, and finds the
# library by MULLAMA_LIBRARY.
source_package() {
    (unset MULLAMA_BUNDLE && npm pack --silent --pack-destination "$work" >"$work/packed")
    mkdir "$work/source"
    (
        cd "$work/source"
        echo '{"private": true}' >package.json
        npm install --no-save "../$(tail -n 1 ../packed)"
        cp "$here/tests/quickstart.mjs" .
    )
    same "Hello!" "$(node "$work/source/quickstart.mjs")" "the package of sources"
}

# example NAME WANT [MODEL]
example() {
    got=$(node "$root/examples/node/$1.mjs" "${3:-$MULLAMA_TEST_MODEL}")
    same "$2" "$got" "examples/node/$1.mjs"
}

examples() {
    example chat "The capital of France is Paris."
    example stream "The| capital| of| France| is| Paris|.|
8 tokens"
    example cancel "cancelled after 5 parts
cancelled"
    example concurrent "10 answers, all the same: true"
}

cd "$here"
node_js
npm_packages
npm run --silent build
[ "${1:-}" != build ] || exit 0
npm run --silent types
source_package
if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    examples
fi
if [ -n "${MULLAMA_TEST_EMBED_MODEL:-}" ]; then
    example embed "Paris is the capital of France." "$MULLAMA_TEST_EMBED_MODEL"
fi
npm run --silent test
