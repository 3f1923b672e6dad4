#!/bin/sh
# Creates the environments of the tests in the cache folder: one with Jinja2, the oracle of the
# template tests, and NumPy with the weights of MiniLM, that of embeddings; those of the official
# clients that drive the daemon: the Python ones, LangChain with its test suite, and Node.js with the
# JavaScript ones; and one for llama.cpp's tests of its server. Does nothing for one that is there and
# has the pinned versions.
#
# usage: conformance/setup.sh [NAME REQUIREMENTS]
#
# With arguments, it makes that environment instead, or that folder of Node.js packages if
# REQUIREMENTS is a folder with a package-lock.json.
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

# modules NAME FOLDER
# The packages of FOLDER's package-lock.json, fetched by the npm of venv-node. The lock names their
# checksums but not where they come from: that is for npm's settings to say.
modules() {
    home=$cache/$1
    stamp=$home/stamp.json
    if [ -d "$home/node_modules" ] && cmp -s "$2/package-lock.json" "$stamp"; then
        return
    fi
    echo "conformance: creating $home"
    rm -rf "$home"
    mkdir -p "$home"
    cp "$2/package.json" "$2/package-lock.json" "$home"
    (cd "$home" && PATH="$cache/venv-node/bin:$PATH" \
        npm ci --ignore-scripts --omit=optional --omit=peer --no-audit --no-fund --no-update-notifier --loglevel=error)
    cp "$2/package-lock.json" "$stamp"
}

if [ $# -eq 2 ]; then
    if [ -d "$2" ]; then
        environment venv-node "$here/clients/node/requirements.txt"
        modules "$1" "$2"
    else
        environment "$1" "$2"
    fi
    exit
fi
environment venv-conformance "$here/requirements.txt"
environment venv-clients "$here/clients/python/requirements.txt"
environment venv-langchain "$here/clients/langchain/requirements.txt"
environment venv-node "$here/clients/node/requirements.txt"
modules node-clients "$here/clients/node"
environment venv-peers "$here/peers/requirements.txt"
