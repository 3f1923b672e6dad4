#!/bin/sh
# Creates the Python environments of the tests in the cache folder: one with Jinja2, the oracle of
# the template tests, one with the official clients that drive the daemon, and one for llama.cpp's
# tests of its server. Does nothing for one that is there and has the pinned versions.
#
# usage: conformance/setup.sh
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}

# environment NAME REQUIREMENTS
environment() {
    venv=$cache/$1
    stamp=$venv/requirements.txt
    if [ -x "$venv/bin/python" ] && cmp -s "$2" "$stamp"; then
        return
    fi
    if ! command -v python3 >/dev/null; then
        echo "conformance/setup.sh: python3 is missing; install python3 and python3-venv" >&2
        exit 1
    fi
    echo "conformance: creating $venv"
    rm -rf "$venv"
    if ! python3 -m venv "$venv"; then
        echo "conformance/setup.sh: python3 cannot make environments; install python3-venv" >&2
        rm -rf "$venv"
        exit 1
    fi
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
        --requirement "$2"
    cp "$2" "$stamp"
}

environment venv-conformance "$here/requirements.txt"
environment venv-clients "$here/clients/requirements.txt"
environment venv-peers "$here/peers/requirements.txt"
