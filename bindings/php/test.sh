#!/bin/sh
# Runs the tests and the examples of the PHP package. The environment:
#
#   MULLAMA_LIBRARY     folder of libmullama
#   MULLAMA_TEST_MODEL  SmolLM2-135M, for the tests with a model and the examples (optional)
#   MULLAMA_TEST_EMBED_MODEL, MULLAMA_TEST_RANK_MODEL
#                       MiniLM, for embeddings and ranking (optional)
#   MULLAMA_RESULTS     file for the results of the vectors (optional)
#   PHP                 the PHP to use (default: php8.2, else php)
#
# MULLAMA_CACHE is not needed: nothing is downloaded or built. Ends with 3 if PHP is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
examples=$here/../../examples/php

missing() {
    echo "test.sh: $1" >&2
    exit 3
}

[ -n "${PHP:-}" ] || PHP=$(command -v php8.2 || command -v php) ||
    missing "PHP is missing: install PHP 8.2 (Debian: apt-get install php8.2-cli)"
[ -n "${MULLAMA_LIBRARY:-}" ] || missing "MULLAMA_LIBRARY has to name the folder of libmullama"
MULLAMA_LIBRARY=$(cd "$MULLAMA_LIBRARY" && pwd) || missing "MULLAMA_LIBRARY is no folder"
export MULLAMA_LIBRARY
"$PHP" -r 'exit(PHP_VERSION_ID >= 80200 && extension_loaded("ffi") ? 0 : 1);' ||
    missing "$PHP is older than 8.2 or lacks the extension ffi (Debian: php8.2-cli has it)"

find "$here" "$examples" -name '*.php' -not -path '*/vendor/*' -exec "$PHP" -l {} \; |
    grep -v '^No syntax errors' && exit 1

# What the example $1 prints with the model $2 has to be the lines on standard input.
example() {
    want=$(cat)
    got=$("$PHP" "$examples/$1.php" "${2:-$MULLAMA_TEST_MODEL}") || got="$got (failed)"
    if [ "$got" != "$want" ]; then
        echo "example $1 printed: $got"
        echo "it should print:    $want"
        exit 1
    fi
    echo "example $1: ok"
}

if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    echo 'The capital of France is Paris.' | example chat
    printf 'The| capital| of| France| is| Paris|.|\n8 tokens\n' | example stream
    printf 'cancelled after 5 parts\ncancelled\n' | example cancel
    echo '10 answers, all the same: true' | example concurrent
fi
if [ -n "${MULLAMA_TEST_EMBED_MODEL:-}" ]; then
    echo 'Paris is the capital of France.' | example embed "$MULLAMA_TEST_EMBED_MODEL"
fi

# Once more with the other setting that lets the command line use FFI.
echo "# ffi.enable=true"
MULLAMA_RESULTS='' MULLAMA_TEST_MODEL='' MULLAMA_TEST_EMBED_MODEL='' MULLAMA_TEST_RANK_MODEL='' "$PHP" -d ffi.enable=true "$here/tests/run.php"
echo "# ffi.enable=preload"
"$PHP" -d ffi.enable=preload "$here/tests/run.php"
