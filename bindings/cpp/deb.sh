#!/bin/sh
# Makes a Debian package of an installed tree:
#
#   install.sh … --prefix /usr --destdir TREE && deb.sh TREE FOLDER
#
# and prints the name of the package in FOLDER. It needs dpkg-dev, which finds out which versions of
# other libraries these depend on.
set -eu

here=$(CDPATH='' cd -- "$(dirname "$0")" && pwd)
[ $# -eq 2 ] || {
	echo "deb.sh: give the installed tree, and a folder for the package" >&2
	exit 2
}
tree=$(CDPATH='' cd -- "$1" && pwd)
out=$2
[ -f "$tree/usr/lib/libmullama.so" ] || {
	echo "deb.sh: $tree/usr/lib/libmullama.so is missing; install with --prefix /usr" >&2
	exit 1
}

# 0.1.0-dev comes before 0.1.0, which Debian writes with a tilde.
version=$(tr - '~' <"$here/../../VERSION")
arch=$(dpkg --print-architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
mkdir -p "$work/package/DEBIAN" "$work/debian" "$out"
cp -a "$tree/." "$work/package/"

# The licence is where Debian looks for it.
doc=$work/package/usr/share/doc/mullama
mv "$doc/LICENSE" "$doc/copyright"

# So are manual pages and what completes commands in zsh.
share=$work/package/usr/share
if [ -d "$share/man" ]; then
	find "$share/man" -type f -exec gzip -9n {} +
	mv "$share/zsh/site-functions" "$share/zsh/vendor-completions"
fi

# dpkg-shlibdeps wants a source package around it, and names the dependencies of all programs.
printf 'Source: mullama\n\nPackage: mullama\nArchitecture: %s\n' "$arch" >"$work/debian/control"
programs=$(cd "$work/package/usr" && ls -d "$PWD"/lib/libmullama.so.0 "$PWD"/lib/mullama/*)
[ ! -f "$work/package/usr/bin/mullama" ] || programs="$programs $work/package/usr/bin/mullama"
# The names have no spaces: mktemp's folder and ours.
# shellcheck disable=SC2086
depends=$(cd "$work" && dpkg-shlibdeps -O -l"$work/package/usr/lib/mullama" $programs | sed -n 's/^shlibs:Depends=//p')

cat >"$work/package/DEBIAN/control" <<END
Package: mullama
Version: $version
Architecture: $arch
Maintainer: ${DEBFULLNAME:-The Mullama authors} <${DEBEMAIL:-mullama@localhost}>
Installed-Size: $(du -sk "$work/package/usr" | cut -f1)
Depends: $depends
Section: libs
Priority: optional
Description: language models in your process, on llama.cpp
 Mullama loads GGUF models and computes many requests at once. This package has
 the program mullama with its manual, completion and systemd services, which
 are not enabled by themselves; the library libmullama with its native engine;
 and what C and C++ programs need to be built with it: headers, pkg-config, CMake.
END
echo 'activate-noawait ldconfig' >"$work/package/DEBIAN/triggers"
(cd "$work/package" && find usr -type f -exec md5sum {} + | LC_ALL=C sort -k 2 >DEBIAN/md5sums)

deb=$out/mullama_${version}_$arch.deb
dpkg-deb --build --root-owner-group "$work/package" "$deb" >&2
echo "$deb"
