#!/bin/sh
# Builds and tests the binding; with the word "build" it only builds. Settings, in the environment:
#
#   MULLAMA_LIBRARY     folder of libmullama.so
#   MULLAMA_TEST_MODEL  SmolLM2's file; without it only the model that repeats is used
#   MULLAMA_CACHE       folder for what is downloaded
#   MULLAMA_RESULTS     file for the results of the vectors
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
MULLAMA_LIBRARY=${MULLAMA_LIBRARY:-$root/bin/lib}
export MULLAMA_LIBRARY
export npm_config_update_notifier=false npm_config_audit=false npm_config_fund=false
export npm_config_loglevel=error npm_config_cache="$cache/npm" npm_config_prefer_offline=true

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Node.js and npm of the versions that the conformance tests have.
node_js() {
    venv=$cache/venv-node
    wanted=$root/conformance/clients/node/requirements.txt
    if ! cmp -s "$wanted" "$venv/requirements.txt"; then
        rm -rf "$venv"
        python3 -m venv "$venv"
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
            --requirement "$wanted"
        cp "$wanted" "$venv/requirements.txt"
    fi
    PATH=$venv/bin:$PATH
    export PATH
}

packages() {
    if ! cmp -s package-lock.json node_modules/.stamp; then
        npm ci --ignore-scripts
        cp package-lock.json node_modules/.stamp
    fi
}

# same WANT GOT WHAT
same() {
    if [ "$1" != "$2" ]; then
        printf 'test.sh: %s printed\n%s\nbut should have printed\n%s\n' "$3" "$2" "$1" >&2
        exit 1
    fi
}

# installed NAME ARGUMENT...: packs, installs into an empty folder, and runs the quick start there.
installed() {
    folder=$work/$1
    shift
    mkdir -p "$folder"
    npm pack --silent --pack-destination "$folder" >"$folder/packed"
    (
        cd "$folder"
        echo '{"private": true}' >package.json
        npm install --no-save "$@" "./$(tail -n 1 packed)"
        cp "$here/tests/quickstart.mjs" .
    )
}

# A package of sources is built by its installation, and finds the library by MULLAMA_LIBRARY.
source_package() {
    (unset MULLAMA_BUNDLE && installed source)
    same "Hello!" "$(node "$work/source/quickstart.mjs")" "the package of sources"
}

# A bundle needs nothing from outside: no compiler, no setting.
bundle_package() {
    native=$(node --input-type=module --eval "
        import { Runtime } from './index.js';
        console.log((await new Runtime().info()).library);" 2>/dev/null) || native=
    if [ ! -f "$native" ]; then
        echo "test.sh: no native engine here; the bundle is not tested"
        return
    fi
    mkdir "$work/libraries"
    cp "$MULLAMA_LIBRARY/libmullama.so" "$work/libraries"
    cp "$native" "$work/libraries/libmullama-native.so"
    MULLAMA_BUNDLE=$work/libraries installed bundle --ignore-scripts
    same "Hello!" "$(env -u MULLAMA_LIBRARY node "$work/bundle/quickstart.mjs")" "the bundle"
}

# example NAME WANT
example() {
    same "$2" "$(node "$root/examples/node/$1.mjs" "$MULLAMA_TEST_MODEL")" "examples/node/$1.mjs"
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
packages
npm run --silent build
[ "${1:-}" != build ] || exit 0
npm run --silent types
source_package
bundle_package
if [ -n "${MULLAMA_TEST_MODEL:-}" ]; then
    examples
fi
npm run --silent test
