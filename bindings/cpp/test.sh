#!/bin/sh
# Tests mullama.hpp, and the installation for C and C++. Nothing is fetched, and nothing is written
# but bindings/cpp/build and what MULLAMA_RESULTS names.
#
#   MULLAMA_LIBRARY     folder of libmullama.so (default: bin/lib)
#   MULLAMA_TEST_MODEL  SmolLM2's file; without it only the echo is used
#   MULLAMA_TEST_EMBED_MODEL, MULLAMA_TEST_RANK_MODEL
#                       those of MiniLM, for embeddings and ranking; without them these are left out
#   MULLAMA_CACHE       where make native puts the engine (default: the user's cache folder)
#   MULLAMA_BIN         the program mullama to install (default: bin/mullama, if it is there)
#   MULLAMA_RESULTS     file for the results of the vectors
set -eu

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
root=$(CDPATH='' cd -- "$here/../.." && pwd)
build=$here/build
vectors=$root/conformance/vectors
user_cache=${XDG_CACHE_HOME:-$HOME/.cache}/mullama
library=${MULLAMA_LIBRARY:-$root/bin/lib}
[ ! -f "$library" ] || library=$(dirname "$library")
program=${MULLAMA_BIN:-$root/bin/mullama}
[ -f "$program" ] || program=''
model=${MULLAMA_TEST_MODEL:-}
results=${MULLAMA_RESULTS:-$build/results.json}
strict='-Wall -Wextra -Wpedantic -Werror'
skipped=''

fail() {
	echo "FAILED: $*" >&2
	exit 1
}

step() { echo "== $*"; }

skip() {
	echo "skipped: $*"
	skipped="$skipped
  $*"
}

has() { command -v "$1" >/dev/null 2>&1; }

# expect WANT COMMAND…: the command prints just that.
expect() {
	want=$1
	shift
	got=$("$@") || fail "$* ended with $?"
	[ "$got" = "$want" ] || fail "$* printed '$got', want '$want'"
}

# refuses TEXT COMMAND…: the command fails, and says so with some text.
refuses() {
	text=$1
	shift
	if "$@" >"$build/refused" 2>&1; then
		fail "$* did not fail"
	fi
	grep -qF -- "$text" "$build/refused" ||
		fail "$* said '$(cat "$build/refused")', want something of '$text'"
}

# compile PROGRAM COMMAND…: runs a compiler, unless the program is newer than all it is made of.
compile() {
	out=$1
	shift
	if [ -f "$out" ] && [ -z "$(find "$here/tests" "$here/test.sh" "$root/include" \
		"$prefix/lib/libmullama.so.0" -newer "$out")" ]; then
		return
	fi
	mkdir -p "$(dirname "$out")"
	"$@" -o "$out" -L"$prefix/lib" -lmullama -pthread || fail "$out cannot be compiled"
}

# native_dir: the folder of the native library.
native_dir() {
	for dir in "$library" "${MULLAMA_CACHE:-$user_cache}/native/current/lib" \
		"$user_cache/native/current/lib"; do
		if [ -f "$dir/libmullama-native.so" ]; then
			echo "$dir"
			return
		fi
	done
	fail "libmullama-native.so is nowhere; build it with make native"
}

# install_to OPTION…: install.sh with what was built.
install_to() {
	set -- --lib "$library" --native "$native" "$@"
	if [ -n "$program" ]; then
		set -- --bin "$program" "$@"
	fi
	sh "$here/install.sh" "$@"
}

# Programs find what was installed, and nothing else of this machine.
lone() {
	env -u MULLAMA_CACHE -u MULLAMA_LIBRARY HOME=/nonexistent XDG_CACHE_HOME=/nonexistent "$@"
}

check_install() {
	refuses 'make lib' sh "$here/install.sh" --lib /nowhere --native "$native"
	refuses 'make native' sh "$here/install.sh" --lib "$library" --native /nowhere
	refuses 'not known' sh "$here/install.sh" --library "$library"
	refuses 'begin with /' sh "$here/install.sh" --lib "$library" --native "$native" --prefix x
	for file in lib/libmullama.so lib/libmullama.so.0 lib/mullama/libmullama-native.so \
		include/mullama.h include/mullama.hpp include/mullama_json.hpp lib/pkgconfig/mullama.pc \
		lib/cmake/mullama/mullamaConfig.cmake \
		lib/cmake/mullama/mullamaConfigVersion.cmake; do
		[ -f "$prefix/$file" ] || fail "$file was not installed"
	done
	if grep -rF -e "$prefix" -e @ "$prefix/lib/pkgconfig" "$prefix/lib/cmake"; then
		fail 'a file names where it was installed, or was not filled in'
	fi
	if [ -n "$program" ]; then
		lone "$prefix/bin/mullama" version >/dev/null || fail 'mullama does not run'
		# It finds the engine that was installed with it.
		if [ -n "$model" ]; then
			lone "$prefix/bin/mullama" tokenize "$model" Hello | grep -q 19556 ||
				fail 'mullama does not find the engine'
		fi
	else
		skip "the program: bin/mullama is not built"
	fi
}

# A build with plug-ins has libraries with several names. Each is copied once, as a file, under the
# name that it is loaded by.
check_plug_ins() {
	folder=$build/plug-ins
	rm -rf "$folder"
	mkdir -p "$folder/native"
	cp "$native/libmullama-native.so" "$folder/native/"
	: >"$folder/native/mullama-oracle"
	"$cc" -shared -x c /dev/null -o "$folder/native/libggml-cpu-zen4.so"
	"$cc" -shared -x c /dev/null -o "$folder/native/libggml.so.0.9" -Wl,-soname,libggml.so.0
	ln -s libggml.so.0.9 "$folder/native/libggml.so.0"
	ln -s libggml.so.0 "$folder/native/libggml.so"
	sh "$here/../engine.sh" "$folder/native" "$folder/copies"
	expect 'libggml-cpu-zen4.so
libggml.so.0
libmullama-native.so' ls "$folder/copies"
	[ -z "$(find "$folder/copies" -type l)" ] || fail 'a library was copied as a link'
}

# The tests of mullama.hpp with one compiler, in a standard: run_tests COMPILER STANDARD
run_tests() {
	folder=$build/$1-$2
	# shellcheck disable=SC2086
	compile "$folder/objects" "$1" "-std=$2" $strict -Wshadow -g -I"$root/include" \
		"$here"/tests/test_*.cpp
	# shellcheck disable=SC2086
	compile "$folder/vectors" "$1" "-std=$2" $strict -g -I"$root/include" \
		"$here/tests/vectors.cpp"
	"$folder/objects"
	"$folder/vectors" "$vectors" "$results" ${model:+"$model"}
}

run_sanitized() {
	flags='-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all'
	# shellcheck disable=SC2086
	compile "$build/sanitized/objects" "$cxx" -std=c++17 $strict $flags -I"$root/include" \
		"$here"/tests/test_*.cpp
	# shellcheck disable=SC2086
	compile "$build/sanitized/vectors" "$cxx" -std=c++17 $strict $flags -I"$root/include" \
		"$here/tests/vectors.cpp"
	"$build/sanitized/objects"
	"$build/sanitized/vectors" "$vectors" "$build/sanitized/results.json" ${model:+"$model"}
}

memcheck() {
	valgrind -q --suppressions="$here/tests/valgrind.supp" --leak-check=full \
		--show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect \
		--error-exitcode=9 "$@"
}

# Valgrind does not know all instructions that the engine uses, so it sees the echo only.
run_valgrind() {
	memcheck "$build/$cxx-c++17/objects"
	(
		unset MULLAMA_TEST_EMBED_MODEL MULLAMA_TEST_RANK_MODEL
		memcheck "$build/$cxx-c++17/vectors" "$vectors" "$build/valgrind.json"
	)
}

run_memory() {
	# shellcheck disable=SC2086
	compile "$build/rounds" "$cc" -std=c11 $strict -O1 -I"$root/include" \
		"$here/tests/rounds.c"
	"$build/rounds"
	[ -z "$model" ] || "$build/rounds" "$model" 30
	# shellcheck disable=SC2086
	compile "$build/rounds-cpp" "$cxx" -std=c++17 $strict -O1 -I"$root/include" \
		"$here/tests/rounds.cpp"
	"$build/rounds-cpp"
}

# A library that is missing, or of another version, is told.
run_wrong_libraries() {
	mkdir -p "$build/none" "$build/stub"
	refuses libmullama.so.0 env LD_LIBRARY_PATH="$build/none" "$build/$cxx-c++17/objects"
	"$cc" -shared -fPIC -Wl,-soname,libmullama.so.0 -I"$root/include" "$here/tests/stub.c" \
		-o "$build/stub/libmullama.so.0"
	compile "$build/wrong_abi" "$cxx" -std=c++17 -I"$root/include" \
		"$here/tests/wrong_abi.cpp"
	refuses 'library_missing: libmullama has the ABI version 99' \
		env LD_LIBRARY_PATH="$build/stub" "$build/wrong_abi"
}

# run_examples FOLDER: runs the examples that were built there, beside the installed library.
run_examples() {
	expect Hello lone "$1/echo"
	refuses usage: lone "$1/chat"
	refuses not_found: lone "$1/chat" /nonexistent.gguf
	[ -n "$model" ] || return 0
	expect 'The capital of France is Paris.' lone "$1/chat" "$model"
	expect 'The| capital| of| France| is| Paris|.|
8 tokens' lone "$1/stream" "$model"
	expect 'cancelled after 5 parts
cancelled' lone "$1/cancel" "$model"
	expect '10 answers, all the same: true' lone "$1/concurrent" "$model"
	[ -n "${MULLAMA_TEST_EMBED_MODEL:-}" ] || return 0
	expect 'Paris is the capital of France.' lone "$1/embed" "$MULLAMA_TEST_EMBED_MODEL"
}

# with_cmake FOLDER LANGUAGE: builds a folder of examples with the moved tree, and runs them.
with_cmake() {
	rm -rf "$build/cmake-$1"
	upper=$(echo "$2" | tr '[:lower:]' '[:upper:]')
	cmake -S "$root/examples/$1" -B "$build/cmake-$1" -DCMAKE_PREFIX_PATH="$moved" \
		"-DCMAKE_${upper}_FLAGS=$strict" >"$build/cmake.log" || fail "see $build/cmake.log"
	cmake --build "$build/cmake-$1" >"$build/cmake.log" || fail "see $build/cmake.log"
	run_examples "$build/cmake-$1"
}

# versions_with_cmake: find_package takes versions that fit, and no others.
versions_with_cmake() {
	mkdir -p "$build/version"
	cat >"$build/version/CMakeLists.txt" <<'END'
cmake_minimum_required(VERSION 3.16)
project(version LANGUAGES C)
find_package(mullama ${WANT} REQUIRED)
find_package(mullama REQUIRED) # twice does nothing
END
	for want in 0.1 0.1.0 0.1.0\;EXACT; do
		rm -rf "$build/version/out"
		cmake -S "$build/version" -B "$build/version/out" -DCMAKE_PREFIX_PATH="$moved" \
			"-DWANT=$want" >/dev/null || fail "find_package does not find $want"
	done
	for want in 0.2 1.0 0.0.9; do
		rm -rf "$build/version/out"
		refuses mullama cmake -S "$build/version" -B "$build/version/out" \
			-DCMAKE_PREFIX_PATH="$moved" "-DWANT=$want"
	done
	rm "$moved/include/mullama.h"
	refuses 'mullama.h is missing' cmake -S "$build/version" -B "$build/version/out" \
		-DCMAKE_PREFIX_PATH="$moved" -DWANT=0.1
	cp "$prefix/include/mullama.h" "$moved/include/"
}

# with_pkg_config FOLDER COMPILER FLAGS: the same by pkg-config. Files end as their folder is named.
with_pkg_config() {
	mkdir -p "$build/pkg-config-$1"
	export PKG_CONFIG_PATH="$moved/lib/pkgconfig"
	expect "$(cat "$root/VERSION")" pkg-config --modversion mullama
	for name in echo chat stream cancel concurrent embed; do
		# shellcheck disable=SC2046,SC2086
		"$2" $3 $strict "$root/examples/$1/$name.$1" $(pkg-config --cflags --libs mullama) \
			-o "$build/pkg-config-$1/$name"
	done
	export LD_LIBRARY_PATH="$moved/lib"
	run_examples "$build/pkg-config-$1"
	unset LD_LIBRARY_PATH
}

mkdir -p "$build"
cc=${CC:-cc} cxx=${CXX:-g++}
native=$(native_dir)
prefix=$build/prefix moved=$build/moved

step install
rm -rf "$prefix" "$moved"
install_to --prefix "$prefix"
touch -r "$library/libmullama.so" "$prefix/lib/libmullama.so.0"
check_install
check_plug_ins
cp -a "$prefix" "$moved" # the examples are built with a tree that was moved

export LD_LIBRARY_PATH="$prefix/lib"
step "tests with $cxx, C++17 and C++20"
run_tests "$cxx" c++17
run_tests "$cxx" c++20
if [ "$cxx" != clang++ ] && has clang++; then
	step 'tests with clang++'
	run_tests clang++ c++17
else
	skip 'clang++: it is not there'
fi
step 'tests under the address and undefined behaviour sanitizers'
run_sanitized
step 'tests under valgrind'
if has valgrind; then run_valgrind; else skip 'valgrind: it is not there'; fi
step 'memory over many rounds'
run_memory
step 'libraries that do not fit'
run_wrong_libraries
unset LD_LIBRARY_PATH

step 'examples with CMake'
if has cmake; then
	with_cmake c c
	with_cmake cpp cxx
	versions_with_cmake
else
	skip 'CMake: it is not there'
fi
step 'examples with pkg-config'
if has pkg-config; then
	with_pkg_config c "$cc" -std=c11
	with_pkg_config cpp "$cxx" -std=c++17
else
	skip 'pkg-config: it is not there'
fi
[ -n "$model" ] || skip 'a real model: MULLAMA_TEST_MODEL is not set'
echo "cpp: all passed${skipped:+; skipped:$skipped}"
