#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# install.sh: are both modules installed, found, upgraded and removed by make, by the
# package and by dkms, for each kernel of this release; and by clang for one that clang has
# built?  All in folders of their own.
. "$(dirname "$0")/common.sh"

clang=$(row clang)
need gcc make kmod dkms git cpio pahole xz-utils binutils flex bison bc libelf-dev libssl-dev "clang-$clang" "lld-$clang" "llvm-$clang"
mapfile -t versions < <(row kernels)
declare -A headers
for version in "${versions[@]}"; do
	release=$(kernel_release "$version") && headers[$release]=$(kernel_headers "$version") || exit
done
by_clang=$(clang_tree "${versions[0]}") || exit
LOG=$CACHE/install.log
: >"$LOG"
opening "install: make modules_install, package, dkms; 1 minute (log: $LOG)"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

check() {
	local name=$1 rc=0
	shift
	echo "== $name: $*" >>"$LOG"
	"$@" >>"$LOG" 2>&1 </dev/null || rc=$?
	result "$rc" "$name" "see $LOG"
}

sources() {
	mkdir -p "$1"
	(cd "$TOP" && git ls-files -co --exclude-standard | cpio -pdm --quiet "$1")
}

# into RELEASE FOLDER TARGET...
into() {
	make -s -C "$tmp/$1/$2" KDIR="${headers[$1]}" \
		INSTALL_MOD_PATH="$tmp/root-$1" "${@:3}"
}

make_install() {
	sources "$tmp/$1"
	into "$1" . modules && into "$1" . modules_install
}

# A caller's module needs ours, and depmod says so.
caller_install() {
	into "$1" samples modules && into "$1" samples modules_install CONFIG_MODULE_SIG_ALL= &&
		/sbin/depmod -b "$tmp/root-$1" "$1"
}

pulls_in() {
	/sbin/modprobe -d "$tmp/root-$1" -S "$1" --show-depends "$2" | tee "$tmp/depends"
	sed 's,.*/,,; s,\.ko.*,,' "$tmp/depends" | cmp - <(printf '%s\n' virtio_mem_xlate "$2")
}

dkms() {
	local sudo=()

	[ "$(id -u)" = 0 ] || sudo=(unshare -r)
	"${sudo[@]}" /usr/sbin/dkms "$1" --dkmstree "$tmp/dkms" --sourcetree "$tmp/deb/usr/src" \
		--installtree "$tmp/lib" --no-depmod "${@:2}"
}

dkms_install() {
	dkms build "virtio_mem_xlate/$1" -k "$2" --kernelsourcedir "${headers[$2]}" &&
		dkms install "virtio_mem_xlate/$1" -k "$2" --kernelsourcedir "${headers[$2]}"
}

# has RELEASE [VERSION]: are there just the two modules of VERSION, or none?
has() {
	local want=() found

	[ $# = 1 ] || want=(virtio_mem_xlate virtio_mem_xlate_user)
	found=$(find "$tmp/lib/$1" -name '*.ko*' -printf '%f\n' | sed 's,\.ko.*,,' | sort)
	[ "$found" = "$(printf '%s\n' "${want[@]}")" ] || return
	[ $# = 1 ] || dkms status | grep -x "virtio_mem_xlate/$2, $1, .*: installed"
}

# says TEXT COMMAND...: does COMMAND fail, with TEXT?
says() {
	local text=$1 out
	shift
	! out=$("$@" 2>&1) && echo "$out" && grep -q "$text" <<<"$out"
}

# built_by COMPILER MAKE-ARGUMENT...: builds, and looks for the compiler's name in the object.
built_by() {
	make -C "$tmp/top" KDIR="$by_clang" KBUILD_MODPOST_WARN=1 "${@:2}" clean modules &&
		readelf -p .comment "$tmp/top/virtio_mem_xlate.o" | grep "$1"
}

no_llvm_1() {
	make -n -C "$tmp/top" KDIR="$by_clang" "$@" modules | tee "$tmp/commands"
	grep "M=$tmp/top" "$tmp/commands" && ! grep 'LLVM=1' "$tmp/commands"
}

sources "$tmp/top"
check "make: without headers it says what to install" \
	says 'install linux-headers-' make -C "$tmp/top" KDIR=/nowhere
export PATH=/usr/lib/llvm-$clang/bin:$PATH
check "make: a kernel of clang's has modules by clang" built_by 'clang version'
check "make: CC= on the command line wins" no_llvm_1 CC=gcc
check "make: LLVM= on the command line wins" no_llvm_1 "LLVM=-$clang"
check "deb: a package is built" make -C "$tmp/top" deb
mkdir -p "$tmp"/{dkms,lib}
dpkg-deb -x "$tmp"/top/*.deb "$tmp/deb"
check "dkms add" dkms add virtio_mem_xlate/1.0
for version in "${versions[@]}"; do
	release=$(kernel_release "$version")
	mkdir -p "$tmp/lib/$release"
	check "$version: make modules_install" make_install "$release"
	check "$version: modprobe finds both modules" pulls_in "$release" virtio_mem_xlate_user
	check "$version: the same for a caller" caller_install "$release"
	check "$version: modprobe of a caller pulls us in" pulls_in "$release" virtio_mem_xlate_demo
	check "$version: dkms build, install" dkms_install 1.0 "$release"
	check "$version: both modules are there" has "$release" 1.0
done
check "dkms: without headers it says so" \
	says 'headers for kernel 6.1.0-0-none' dkms build virtio_mem_xlate/1.0 -k 6.1.0-0-none
cp -r "$tmp/deb/usr/src/virtio_mem_xlate-"1.{0,1}
sed -i 's/^PACKAGE_VERSION=.*/PACKAGE_VERSION="1.1"/' "$tmp/deb/usr/src/virtio_mem_xlate-1.1/dkms.conf"
check "dkms remove, of what is to be upgraded" dkms remove virtio_mem_xlate/1.0 --all
check "$version: no module is left" has "$release"
check "dkms add, of a new version" dkms add virtio_mem_xlate/1.1
check "$version: dkms build, install" dkms_install 1.1 "$release"
check "$version: both modules are there" has "$release" 1.1

closing install
