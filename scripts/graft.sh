#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Makes DST, a kernel tree of symlinks into the unmodified source SRC with this
# repository as drivers/virtio_mem_xlate, for KUnit and for builds on other
# architectures.  A DST that is there is used again.
. "$(dirname "$0")/common.sh"

[ $# -eq 2 ] || die "usage: graft.sh SRC DST"
src=$(readlink -f "$1") dst=$2
[ -f "$src/Kconfig" ] || die "$1 is no kernel source tree"
[ ! -e "$src/.config" ] || die "$src has been built in; the graft needs an unmodified tree"

graft() {
	local tree=$1 f

	cp -as "$src/." "$tree"
	# kunit.py takes the kernel's root from where its own file really is.
	for f in tools/testing/kunit drivers/Kconfig drivers/Makefile; do
		rm -r "${tree:?}/$f"
		cp -r "$src/$f" "$tree/$f"
	done
	sed -i '$i source "drivers/virtio_mem_xlate/kunit/Kconfig"\n' "$tree/drivers/Kconfig"
	echo 'obj-y += virtio_mem_xlate/' >>"$tree/drivers/Makefile"
}

mkdir -p "$(dirname "$dst")"
once "$dst" graft
[ "$(readlink -f "$dst/Kconfig")" = "$src/Kconfig" ] ||
	die "$dst is a graft of another tree; remove it"
ln -sfn "$TOP" "$dst/drivers/virtio_mem_xlate"
