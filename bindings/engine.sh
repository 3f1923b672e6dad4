#!/bin/sh
# Copies the native engine, and the plug-ins that it may have, into a folder of a package:
#
#   engine.sh NATIVE_FOLDER FOLDER
#
# A library with several names is copied once, under the name that programs load it by: not every
# kind of package can have links.
set -eu

if [ $# -ne 2 ]; then
    echo "engine.sh: give the folder of libmullama-native.so, and a folder for the copies" >&2
    exit 2
fi
if [ ! -f "$1/libmullama-native.so" ]; then
    echo "engine.sh: libmullama-native.so is not in '$1'; build it with make native" >&2
    exit 1
fi
mkdir -p "$2"
for file in "$1"/lib*.so*; do
    name=$(basename "$file")
    soname=$(readelf -d "$file" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
    if [ "${soname:-$name}" = "$name" ]; then
        # A file that is used by a running program is replaced, not written over.
        cp -L "$file" "$2/$name.new"
        chmod 644 "$2/$name.new"
        mv -f "$2/$name.new" "$2/$name"
    fi
done
