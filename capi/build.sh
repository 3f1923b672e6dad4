#!/bin/sh
# Builds libmullama.so: build.sh FOLDER
set -eu
here=$(dirname "$0")
mkdir -p "$1"
out=$(CDPATH='' cd -- "$1" && pwd)
cd "$here"
${GO:-go} build -buildmode=c-shared -o "$out/libmullama.so" \
	-ldflags "-s -w -extldflags '-Wl,--version-script=$PWD/mullama.map -Wl,-soname,libmullama.so.0'" .
rm -f "$out/libmullama.h" # include/mullama.h is the header
ln -sf libmullama.so "$out/libmullama.so.0"
