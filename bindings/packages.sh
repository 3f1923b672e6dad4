#!/bin/sh
# Makes the packages of all languages. Those of Python, Node.js and PHP have libmullama and the engine
# inside, and the Debian package is both for C, C++, Rust and everybody else.
#
# usage: bindings/packages.sh LIBRARY_FOLDER NATIVE_FOLDER PROGRAM PACKAGES_FOLDER
#
# What is downloaded and built on the way is in MULLAMA_CACHE (default: the user's cache folder).
set -eu

if [ $# -ne 4 ]; then
    echo "usage: bindings/packages.sh LIBRARY_FOLDER NATIVE_FOLDER PROGRAM PACKAGES_FOLDER" >&2
    exit 2
fi
bindings=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$bindings")
library=$(CDPATH='' cd -- "$1" && pwd)
native=$(CDPATH='' cd -- "$2" && pwd)
program=$3
mkdir -p "$4"
out=$(CDPATH='' cd -- "$4" && pwd)
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bundle=$work/bundle

# logged COMMAND…: runs a command, and shows what it says only if it fails.
logged() {
    if ! "$@" >"$work/log" 2>&1; then
        cat "$work/log" >&2
        echo "packages.sh: $1 failed" >&2
        exit 1
    fi
}

wheel() (
    here=$bindings/python
    python=$(${PYTHON:-python3} -c 'import sys; print(sys.executable)')
    . "$here/tools.sh"
    python_tools
    MULLAMA_BUNDLE=$bundle
    export MULLAMA_BUNDLE
    python_wheel "$work/wheel"
    cp "$work"/wheel/*.whl "$out/"
)

npm_tarball() (
    here=$bindings/node
    . "$here/tools.sh"
    node_js
    npm_packages
    cd "$here"
    MULLAMA_BUNDLE=$bundle logged npm pack --pack-destination "$out"
)

# The build of the crates is left to what installs them.
crates() (
    CARGO_TARGET_DIR=$cache/rust/target
    export CARGO_TARGET_DIR
    cd "$bindings/rust"
    logged cargo package --locked --no-verify --allow-dirty -p mullama-sys -p mullama
    version=$(cat "$root/VERSION")
    for crate in mullama-sys mullama; do
        cp "$CARGO_TARGET_DIR/package/$crate-$version.crate" "$out/"
    done
)

composer_zip() (
    folder=$work/composer/mullama
    mkdir -p "$folder/lib"
    cd "$bindings/php"
    cp -R composer.json autoload.php preload.php src README.md "$root/LICENSE" "$folder/"
    cp "$bundle"/* "$folder/lib/"
    zip=$out/mullama-php-$(cat "$root/VERSION")-linux-$(uname -m).zip
    cd "$work/composer"
    python3 -m zipfile -c "$zip" mullama
)

deb() (
    logged sh "$bindings/cpp/install.sh" --lib "$library" --native "$native" --bin "$program" \
        --prefix /usr --destdir "$work/tree"
    logged sh "$bindings/cpp/deb.sh" "$work/tree" "$out"
)

rm -f "$out"/*.whl "$out"/*.tgz "$out"/*.crate "$out"/*.zip "$out"/*.deb
sh "$bindings/engine.sh" "$native" "$bundle"
cp -L "$library/libmullama.so" "$bundle/"
for package in wheel npm_tarball crates composer_zip deb; do
    $package
done
ls -l "$out"
