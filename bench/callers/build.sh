#!/bin/sh
# Builds the programs of `mullama bench overhead`: build.sh LIBRARY_FOLDER NATIVE_FOLDER OUT
#
# They are OUT/floor, OUT/c, OUT/cpp, OUT/rust, OUT/node, OUT/python and OUT/php.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
root=$(dirname "$(dirname "$here")")
library=$(CDPATH='' cd -- "$1" && pwd)
native=$(CDPATH='' cd -- "$2" && pwd)
mkdir -p "$3"
out=$(CDPATH='' cd -- "$3" && pwd)
cache=${MULLAMA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/mullama}

# program NAME COMMAND…: makes OUT/NAME, which runs the command with the words it is given.
program() {
    name=$1
    shift
    {
        echo '#!/bin/sh'
        echo "MULLAMA_LIBRARY='$library' LD_LIBRARY_PATH='$library:$native'"
        echo 'export MULLAMA_LIBRARY LD_LIBRARY_PATH'
        printf 'exec'
        printf " '%s'" "$@"
        echo ' "$@"'
    } >"$out/$name"
    chmod +x "$out/$name"
}

warnings='-Wall -Wextra -Werror'
mkdir -p "$out/programs"
# shellcheck disable=SC2086
cc -std=c11 -D_GNU_SOURCE -O2 $warnings "$here/floor.c" -o "$out/programs/floor" -pthread -ldl
program floor "$out/programs/floor"
# shellcheck disable=SC2086
cc -std=c11 -D_GNU_SOURCE -O2 $warnings -I"$root/include" "$here/c.c" -o "$out/programs/c" \
    -L"$library" -lmullama
program c "$out/programs/c"
# shellcheck disable=SC2086
c++ -std=c++17 -O2 $warnings -I"$root/include" "$here/cpp.cpp" -o "$out/programs/cpp" \
    -L"$library" -lmullama
program cpp "$out/programs/cpp"

CARGO_TARGET_DIR=$cache/rust/target cargo build --manifest-path "$root/bindings/rust/Cargo.toml" \
    --locked --quiet --release --package mullama-overhead
cp "$cache/rust/target/release/mullama-overhead" "$out/programs/rust"
program rust "$out/programs/rust"

sh "$root/bindings/node/test.sh" build
program node "$cache/venv-node/bin/node" "$here/node.mjs"

python3 -m venv "$out/programs/python"
"$out/programs/python/bin/python" -m pip install --quiet --disable-pip-version-check \
    "$root/bindings/python"
program python "$out/programs/python/bin/python" "$here/python.py"

program php "$(command -v php8.2 || command -v php)" "$here/php.php"
