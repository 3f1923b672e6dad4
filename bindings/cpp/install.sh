#!/bin/sh
# Installs what was built, as `make install` does:
#
#   install.sh --lib FOLDER --native FOLDER [--bin FILE] [--prefix FOLDER] [--destdir FOLDER]
#
#   --lib      where libmullama.so is
#   --native   where libmullama-native.so is, the engine; it goes into lib/mullama, which is looked in
#   --bin      the program mullama; left out, only libraries and headers are installed
#   --prefix   where the files will be used: /usr/local
#   --destdir  a folder that stands for / while a package is made
#
# Files that are used by a running program are replaced, not written over.
set -eu

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
root=$here/../..
lib='' native='' bin='' prefix=/usr/local destdir=''
while [ $# -gt 0 ]; do
	[ $# -ge 2 ] || fail "$1 needs a value"
	case $1 in
	--lib) lib=$2 ;;
	--native) native=$2 ;;
	--bin) bin=$2 ;;
	--prefix) prefix=$2 ;;
	--destdir) destdir=$2 ;;
	*) fail "the option $1 is not known" ;;
	esac
	shift 2
done
case $prefix in
/*) ;;
*) fail "the prefix $prefix does not begin with /" ;;
esac
[ -f "$lib/libmullama.so" ] || fail "libmullama.so is not in '$lib'; build it with make lib"
[ -z "$bin" ] || [ -x "$bin" ] || fail "$bin is missing; build it with make build"

version=$(cat "$root/VERSION")
numeric=${version%%-*}
soversion=0
to=$destdir$prefix

# put MODE FILE TARGET: a copy that takes the target's place at once.
put() {
	cp "$2" "$3.new"
	chmod "$1" "$3.new"
	mv -f "$3.new" "$3"
}

# fill FILE TARGET: a template with the versions filled in.
fill() {
	sed -e "s/@VERSION@/$version/g" -e "s/@NUMERIC_VERSION@/$numeric/g" \
		-e "s/@SOVERSION@/$soversion/g" "$1" >"$2.new"
	chmod 644 "$2.new"
	mv -f "$2.new" "$2"
}

# beside_program: what the program writes about itself: manual pages, completion for shells, and
# service files, which are used only when they are enabled.
beside_program() {
	share=$to/share
	mkdir -p "$share/bash-completion/completions" "$share/zsh/site-functions" \
		"$share/fish/vendor_completions.d" "$to/lib/systemd/system" "$to/lib/systemd/user"
	"$bin" man "$share/man/man1"
	"$bin" completion bash >"$share/bash-completion/completions/mullama"
	"$bin" completion zsh >"$share/zsh/site-functions/_mullama"
	"$bin" completion fish >"$share/fish/vendor_completions.d/mullama.fish"
	for kind in system user; do
		own=
		[ "$kind" = system ] || own=--user
		# shellcheck disable=SC2086 # nothing, where it is empty
		"$bin" daemon install --systemd --print $own --program "$prefix/bin/mullama" \
			>"$to/lib/systemd/$kind/mullama.service"
	done
}

umask 022
sh "$here/../engine.sh" "$native" "$to/lib/mullama"
mkdir -p "$to/lib/pkgconfig" "$to/lib/cmake/mullama" "$to/include" "$to/share/doc/mullama"
if [ -n "$bin" ]; then
	mkdir -p "$to/bin"
	put 755 "$bin" "$to/bin/mullama"
	beside_program
fi
put 644 "$lib/libmullama.so" "$to/lib/libmullama.so.$soversion"
ln -sf "libmullama.so.$soversion" "$to/lib/libmullama.so"
put 644 "$root/include/mullama.h" "$to/include/mullama.h"
put 644 "$root/include/mullama.hpp" "$to/include/mullama.hpp"
put 644 "$root/include/mullama_json.hpp" "$to/include/mullama_json.hpp"
put 644 "$root/LICENSE" "$to/share/doc/mullama/LICENSE"
fill "$here/mullama.pc.in" "$to/lib/pkgconfig/mullama.pc"
fill "$here/mullamaConfig.cmake.in" "$to/lib/cmake/mullama/mullamaConfig.cmake"
fill "$here/mullamaConfigVersion.cmake.in" "$to/lib/cmake/mullama/mullamaConfigVersion.cmake"
echo "installed Mullama $version in $to"
