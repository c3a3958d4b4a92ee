# SPDX-License-Identifier: GPL-2.0
# Sourced by the other scripts: where things are kept, and how what is missing
# on a fresh Debian 12 machine gets there.

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
CACHE=${CACHE:-$HOME/.cache/virtio_mem_xlate}
JOBS=${JOBS:-$(nproc)}
mkdir -p "$CACHE"

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

installed() {
	[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_get() {
	DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600 "$@"
}

# need PACKAGE...: installs what is missing, or says what to install.
need() {
	local missing=() p log=$CACHE/apt.log

	for p; do installed "$p" || missing+=("$p"); done
	[ ${#missing[@]} -eq 0 ] && return
	[ "$(id -u)" = 0 ] ||
		die "missing packages; as root, run: apt-get install --no-install-recommends ${missing[*]}"
	echo "installing ${missing[*]} (log: $log)" >&2
	{ apt_get update && apt_get install -y --no-install-recommends "${missing[@]}"; } \
		>"$log" 2>&1 </dev/null || die "apt-get could not install ${missing[*]}; see $log"
}

# once DIR COMMAND...: runs COMMAND with the name of a new folder, which becomes
# DIR when the command is done; nothing if DIR is there.  Safe to run in parallel.
once() {
	local dir=$1 tmp
	shift

	(
		flock 9
		[ -d "$dir" ] && exit
		tmp=$(mktemp -d "$dir.XXXXXX")
		"$@" "$tmp" && mv -T "$tmp" "$dir" && exit
		rm -rf "$tmp"
		exit 1
	) 9>"$dir.lock" || die "could not make $dir"
}

unpack_source() {
	echo "unpacking /usr/src/$1.tar.xz" >&2
	tar -C "$2" --strip-components=1 -xf "/usr/src/$1.tar.xz"
}

# kernel_source VERSION: prints the unmodified source tree of Debian's kernel
# VERSION (6.1 or 6.12), or the one that KSRC= names.
kernel_source() {
	local pkg=linux-source-$1 dir

	if [ -n "${KSRC:-}" ]; then
		[ -f "$KSRC/Kconfig" ] || die "KSRC=$KSRC is no kernel source tree"
		readlink -f "$KSRC"
		return
	fi
	need "$pkg" xz-utils
	dir=$CACHE/$pkg-$(dpkg-query -W -f '${Version}' "$pkg" | tr '~+' '--')
	once "$dir" unpack_source "$pkg"
	echo "$dir"
}

# kernel_release VERSION: prints what uname -r says on Debian's kernel VERSION,
# whose headers are then installed.
kernel_release() {
	local meta

	case $1 in
	6.1) meta=linux-headers-amd64 ;;
	*) meta=linux-headers-$1-amd64 ;;
	esac
	need "$meta"
	dpkg-query -W -f '${Depends}\n' "$meta" | sed 's/^linux-headers-\([^ ]*\).*/\1/'
}

# kernel_headers VERSION: prints the folder to build modules for VERSION in.
kernel_headers() {
	local release

	release=$(kernel_release "$1")
	echo "/usr/src/linux-headers-$release"
}

unpack_image() {
	local release=$1 dir=$2

	echo "fetching linux-image-$release" >&2
	(cd "$dir" && apt_get download "linux-image-$release" && dpkg -x ./*.deb . && rm ./*.deb) >&2
}

# kernel_image VERSION: prints a folder with boot/vmlinuz-* and lib/modules/* of
# Debian's kernel VERSION, unpacked, not installed.
kernel_image() {
	local release dir

	release=$(kernel_release "$1")
	dir=$CACHE/linux-image-$release
	once "$dir" unpack_image "$release"
	echo "$dir"
}

# result RC NAME: counts what has passed or failed, and prints it.
passed=0 failed=0
result() {
	if [ "$1" = 0 ]; then
		passed=$((passed + 1))
		echo "ok      $2"
	else
		failed=$((failed + 1))
		echo "not ok  $2"
	fi
}

# counts LOG: prints how many passed and failed, as LOG's last line says; one
# failed if it does not.
counts() {
	tail -n 1 "$1" | sed -nE 's/.*: ([0-9]+) passed, ([0-9]+) failed$/\1 \2/p' | grep . || echo 0 1
}
