#!/bin/sh
# Installs each package into an empty environment, and runs the quick start of its README there, word
# for word, with a real model. Nothing of this checkout, its builds or its caches can be found there.
#
# usage: bindings/test-packages.sh PACKAGES_FOLDER SMOLLM2_FILE [KIND...]
#
# The kinds are wheel, npm, composer, deb and crates. Downloads are kept in MULLAMA_CACHE (default:
# the user's cache folder).
set -eu

if [ $# -lt 2 ]; then
    echo "usage: bindings/test-packages.sh PACKAGES_FOLDER SMOLLM2_FILE [KIND...]" >&2
    exit 2
fi
bindings=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$bindings")
packages=$(CDPATH='' cd -- "$1" && pwd)
model=$(CDPATH='' cd -- "$(dirname -- "$2")" && pwd)/$(basename "$2")
shift 2
[ $# -gt 0 ] || set -- wheel npm composer deb crates

cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}
python=$(${PYTHON:-python3} -c 'import sys; print(sys.executable)')
for variable in $(env | sed -n 's/^\(MULLAMA_[A-Z_]*\)=.*/\1/p'); do
    unset "$variable"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/home" "$work/cache"
answer='The capital of France is Paris.'

fail() {
    echo "$kind: $*" >&2
    exit 1
}

# logged COMMAND…: runs a command, and shows what it says only if it fails.
logged() {
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "$* failed"
    }
}

# package PATTERN: the one file of the packages that has such a name.
package() {
    # shellcheck disable=SC2086
    set -- $packages/$1
    [ -f "$1" ] && [ $# -eq 1 ] || fail "there is not just one package $1; run make packages"
    echo "$1"
}

# block FILE LANGUAGE: the first block of code in a language that follows "## Quick start".
block() {
    awk -v fence="\`\`\`$2" '
        /^## / { section = $0 == "## Quick start" }
        /^```/ && inside { exit }
        inside { print; lines++ }
        section && index($0, fence) == 1 { inside = 1 }
        END { if (!lines) exit 1 }' "$1" || fail "$1 has no quick start in $2"
}

# lone COMMAND…: runs a program in the folder it is for, where all it can find is the package.
lone() {
    env -i PATH="$PATH" HOME="$work/home" MULLAMA_CACHE="$work/cache" timeout 60 "$@"
}

# answers COMMAND…: a program gives the answer.
answers() {
    got=$(lone "$@" 2>"$work/stderr" </dev/null) || {
        cat "$work/stderr" >&2
        fail "$* failed"
    }
    [ "$got" = "$answer" ] || fail "$* printed '$got', want '$answer'"
}

# needs FILE COMMAND…: without a library of the package a program fails, so it has used that one.
needs() {
    file=$1
    shift
    mv "$file" "$file.away"
    if lone "$@" >"$work/log" 2>&1 </dev/null; then
        fail "$* works without $file: it has found another one"
    fi
    grep -qF "$(basename "$file")" "$work/log" ||
        fail "without $file, $* said: $(cat "$work/log")"
    mv "$file.away" "$file"
}

test_wheel() {
    wheel=$(package '*.whl')
    block "$bindings/python/README.md" python >quickstart.py
    "$python" -m venv env
    logged env/bin/python -m pip install --disable-pip-version-check --no-index "$wheel"
    answers env/bin/python quickstart.py
    for library in libmullama.so libmullama-native.so; do
        needs env/lib/python3*/site-packages/mullama/$library env/bin/python quickstart.py
    done
    installed="$(basename "$wheel") with pip, Python $(env/bin/python -c \
        'import platform; print(platform.python_version())')"
}

test_npm() {
    tarball=$(package '*.tgz')
    here=$bindings/node
    . "$here/tools.sh"
    node_js
    block "$here/README.md" js >quickstart.mjs
    echo '{"private": true}' >package.json
    CXX=/nonexistent logged npm install "$tarball"
    answers node quickstart.mjs
    for library in libmullama.so libmullama-native.so; do
        needs node_modules/mullama/prebuilt/linux-*/$library node quickstart.mjs
    done
    installed="$(basename "$tarball") with npm, Node.js $(node --version)"
}

test_composer() {
    zip=$(package '*.zip')
    block "$bindings/php/README.md" php >quickstart.php
    mkdir packages
    cp "$zip" packages/
    cat >composer.json <<'END'
{
    "repositories": [{"type": "artifact", "url": "packages"}, {"packagist": false}],
    "require": {"mullama/mullama": "@dev"}
}
END
    COMPOSER_ALLOW_SUPERUSER=1 COMPOSER_HOME=$work/composer-home logged \
        composer install --no-interaction
    answers php quickstart.php
    for library in libmullama.so libmullama-native.so; do
        needs vendor/mullama/mullama/lib/$library php quickstart.php
    done
    installed="$(basename "$zip") with Composer, PHP $(php -r 'echo PHP_VERSION;')"
}

# as_root COMMAND…: what dpkg wants to be.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        unshare --map-root-user "$@"
    fi
}

# debian_root: installs the Debian package into a system that has nothing else, but to which the
# libraries of this one are left.
debian_root() {
    usr=$work/system/usr
    deb=$(package '*.deb')
    [ ! -d "$usr" ] || return 0
    mkdir -p "$work/system/var/lib/dpkg/info" "$work/system/var/lib/dpkg/updates"
    : >"$work/system/var/lib/dpkg/status"
    logged as_root dpkg --root="$work/system" --log=/dev/null --force-depends --force-bad-path \
        --install "$deb"
}

test_deb() {
    debian_root
    dpkg-deb --field "$deb" Depends | grep -q 'libc6 (>= ' ||
        fail 'the package does not say what it depends on'
    [ -z "$(dpkg --root="$work/system" --verify mullama)" ] || fail 'a file is not as packed'

    for file in share/man/man1/mullama-daemon-start.1.gz lib/systemd/user/mullama.service \
        lib/systemd/system/mullama.service share/bash-completion/completions/mullama \
        share/zsh/vendor-completions/_mullama share/fish/vendor_completions.d/mullama.fish; do
        [ -s "$usr/$file" ] || fail "the package has no $file"
    done
    grep -q '^ExecStart=/usr/bin/mullama serve$' "$usr/lib/systemd/system/mullama.service" ||
        fail 'the service runs another program'
    lone "$usr/bin/mullama" version | grep -q "^library  $usr/" || fail 'mullama finds no engine'
    answers "$usr/bin/mullama" run ./smollm2.gguf --system "You are a helpful assistant." \
        --temperature 0 "What is the capital of France?"

    block "$bindings/cpp/README.md" cpp >program.cpp
    cp "$root"/examples/c/chat.c "$root"/examples/c/example.h .
    flags=$(PKG_CONFIG_PATH=$usr/lib/pkgconfig pkg-config --cflags --libs mullama)
    # shellcheck disable=SC2086
    logged c++ -std=c++17 program.cpp -o program $flags
    # shellcheck disable=SC2086
    logged cc -std=c11 chat.c -o chat $flags
    answers env LD_LIBRARY_PATH="$usr/lib" ./program
    answers env LD_LIBRARY_PATH="$usr/lib" ./chat ./smollm2.gguf

    cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.16)
project(quickstart LANGUAGES C CXX)
set(CMAKE_CXX_STANDARD 17)
add_executable(program program.cpp)
add_executable(chat chat.c)
find_package(mullama 0.1 REQUIRED)
target_link_libraries(program PRIVATE mullama::mullama)
target_link_libraries(chat PRIVATE mullama::mullama)
END
    logged cmake -B build -DCMAKE_PREFIX_PATH="$usr"
    logged cmake --build build
    answers build/program
    answers build/chat ./smollm2.gguf
    needs "$usr/lib/libmullama.so.0" build/program
    needs "$usr/lib/mullama/libmullama-native.so" build/program
    needs "$usr/lib/mullama/libmullama-native.so" "$usr/bin/mullama" run ./smollm2.gguf Hello
    installed="$(basename "$deb") with dpkg: the program, C and C++ by pkg-config and by CMake"
}

# The crates load the library that the Debian package has installed.
test_crates() {
    debian_root
    version=$(cat "$root/VERSION")
    tar -xzf "$(package 'mullama-sys-*.crate')"
    tar -xzf "$(package "mullama-$version.crate")"
    mkdir -p quickstart/src
    block "$bindings/rust/README.md" rust >quickstart/src/main.rs
    cp "mullama-$version/Cargo.lock" quickstart/ # the versions of what they depend on
    cat >quickstart/Cargo.toml <<END
[package]
name = "quickstart"
edition = "2021"

[dependencies]
mullama = "=$version"
serde_json = "1"

[patch.crates-io]
mullama = { path = "../mullama-$version" }
mullama-sys = { path = "../mullama-sys-$version" }
END
    (cd quickstart && CARGO_TARGET_DIR=$work/target logged cargo build)
    program=$work/target/debug/quickstart
    answers env LD_LIBRARY_PATH="$usr/lib" "$program"
    needs "$usr/lib/libmullama.so" env LD_LIBRARY_PATH="$usr/lib" "$program"
    needs "$usr/lib/mullama/libmullama-native.so" env LD_LIBRARY_PATH="$usr/lib" "$program"
    installed="mullama and mullama-sys $version with $(cargo --version), over $(basename "$deb")"
}

passed=0 failed=0
for kind; do
    mkdir "$work/$kind"
    ln -s "$model" "$work/$kind/smollm2.gguf"
    set +e # so that a failure ends the subshell only
    (
        set -e
        cd "$work/$kind"
        "test_$kind"
        echo "$kind: installed $installed; it answered: $answer"
    )
    [ $? -eq 0 ] && passed=$((passed + 1)) || failed=$((failed + 1))
    set -e
done
echo "packages: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
