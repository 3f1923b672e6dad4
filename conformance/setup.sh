#!/bin/sh
# Creates the Python environment that renders chat templates with Jinja2, the oracle of the template
# tests, in the cache folder. Does nothing when it is there and has the pinned versions.
#
# usage: conformance/setup.sh
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
venv=$cache/venv-conformance
stamp=$venv/requirements.txt

if [ -x "$venv/bin/python" ] && cmp -s "$here/requirements.txt" "$stamp"; then
    exit 0
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
    --requirement "$here/requirements.txt"
cp "$here/requirements.txt" "$stamp"
