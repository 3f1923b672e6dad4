#!/bin/sh
# Checks and tests the Rust crates, and runs the examples if there is a model.
#
#   MULLAMA_LIBRARY     folder with libmullama
#   MULLAMA_TEST_MODEL  file of SmolLM2-135M-Instruct (optional)
#   MULLAMA_TEST_EMBED_MODEL, MULLAMA_TEST_RANK_MODEL
#                       files of MiniLM, for embeddings and ranking (optional)
#   MULLAMA_CACHE       folder for what cargo downloads and builds
#   MULLAMA_RESULTS     file to write the results of the vectors to (optional)
set -eu
cd "$(dirname "$0")"
: "${MULLAMA_LIBRARY:?set it to the folder with libmullama}"
: "${MULLAMA_CACHE:?set it to a folder for builds}"
mkdir -p "$MULLAMA_CACHE"
MULLAMA_CACHE=$(cd "$MULLAMA_CACHE" && pwd)
MULLAMA_LIBRARY=$(cd "$MULLAMA_LIBRARY" && pwd)
CARGO_TARGET_DIR="$MULLAMA_CACHE/rust/target"
export MULLAMA_LIBRARY CARGO_TARGET_DIR

cargo fmt --all --check
cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    cargo test --locked --workspace --quiet -- --include-ignored
else
    cargo test --locked --workspace --quiet
fi

# example NAME WANT [MODEL]: the output of an example has to be WANT.
example() {
    got=$(cargo run --locked --quiet --bin "$1" -- "${3:-$MULLAMA_TEST_MODEL}")
    if [ "$got" != "$2" ]; then
        printf 'example %s printed:\n%s\nand not:\n%s\n' "$1" "$got" "$2" >&2
        exit 1
    fi
}

if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    example chat "The capital of France is Paris."
    example stream "The| capital| of| France| is| Paris|.|
8 tokens"
    example cancel "cancelled after 5 parts
cancelled"
    example concurrent "10 answers, all the same: true"
fi
if [ -n "${MULLAMA_TEST_EMBED_MODEL:-}" ]; then
    example embed "Paris is the capital of France." "$MULLAMA_TEST_EMBED_MODEL"
fi
echo "rust: all passed"
