#!/bin/sh
# Runs the tests of every binding against one libmullama, and writes the table of README.md from what
# they found, or with -check says whether it is fresh. With bin/mullama and the models, the vectors
# are run over a daemon as well: MULLAMA_TEST_URL tells the tests where it is.
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
models=$MULLAMA_CACHE/models
MULLAMA_TEST_MODEL=$models/SmolLM2-135M-Instruct.Q4_1.gguf
MULLAMA_TEST_EMBED_MODEL=$models/all-MiniLM-L6-v2.f16.gguf
MULLAMA_TEST_RANK_MODEL=$models/all-MiniLM-L6-v2-random-rank.q8_0.gguf
[ ! -f "$MULLAMA_TEST_MODEL" ] || export MULLAMA_TEST_MODEL
[ ! -f "$MULLAMA_TEST_EMBED_MODEL" ] || export MULLAMA_TEST_EMBED_MODEL
[ ! -f "$MULLAMA_TEST_RANK_MODEL" ] || export MULLAMA_TEST_RANK_MODEL
export MULLAMA_LIBRARY MULLAMA_CACHE

whole=
if [ $# -eq 0 ]; then
    whole=yes
    for folder in "$here"/*/test.sh; do
        set -- "$@" "$(basename "$(dirname "$folder")")"
    done
fi
results=$(mktemp -d)
work=$(mktemp -d)
daemon=
ended() {
    [ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
    rm -rf "$results" "$work"
}
trap ended EXIT
trap 'exit 1' HUP INT TERM

# add FILE NAME: puts a model into the daemon's store, if it is there.
add() {
    # For the program, MULLAMA_LIBRARY is the folder of the native engine.
    [ ! -f "$1" ] || env -u MULLAMA_LIBRARY "$here/../bin/mullama" import "$1" "$2" \
        --models "$work/models" >/dev/null
}

# A daemon that has the models by the names of their vectors, on a socket of its own.
serve() {
    add "$MULLAMA_TEST_MODEL" smollm2
    add "$MULLAMA_TEST_EMBED_MODEL" minilm
    add "$MULLAMA_TEST_RANK_MODEL" ranker
    env -u MULLAMA_LIBRARY "$here/../bin/mullama" serve --host "unix:$work/socket" \
        --models "$work/models" --ctx-size 512 >"$work/log" 2>&1 &
    daemon=$!
    tries=0
    until [ -S "$work/socket" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 300 ] || ! kill -0 "$daemon"; then
            cat "$work/log" >&2
            exit 1
        fi
        sleep 0.1
    done
    MULLAMA_TEST_URL=unix://$work/socket
    export MULLAMA_TEST_URL
}
if [ -f "$MULLAMA_TEST_MODEL" ] && [ -x "$here/../bin/mullama" ]; then
    serve
fi
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
    (cd "$here/.." && ${GO:-go} run ./tools/parity $check "$results" conformance/vectors bindings/README.md)
fi
echo "bindings: all tests passed"
