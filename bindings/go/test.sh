#!/bin/sh
# Runs the vectors with package mullama, in this process and over a daemon of its own.
#
#   MULLAMA_TEST_MODEL  SmolLM2's file; without it nothing is run
#   MULLAMA_RESULTS     file for the results of the vectors
set -eu
if [ -z "${MULLAMA_TEST_MODEL:-}" ]; then
    echo "go: skipped: MULLAMA_TEST_MODEL is not set"
    exit 0
fi
cd "$(dirname "$0")/../.."
unset MULLAMA_LIBRARY # here, that would be the folder of the native engine
MULLAMA_REQUIRE_MODELS=1 ${GO:-go} test -count=1 -run '^TestVectors$' ./conformance
