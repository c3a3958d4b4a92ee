#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# demo-disk.sh: boots a stock kernel in QEMU, under emulation, and in there samples/blk: as a
# disk of that kernel itself, and of a stock guest in QEMU under KVM.  STAGES="host faults
# guest beside" chooses; REQUESTS=, MIB=, RUNTIME=, DEPTHS=, DISKS= are amounts.
. "$(dirname "$0")/boot.sh"

version=$(row stock | head -n 1)
log=${LOG:-$CACHE/demo-disk.log}
opening "demo-disk: a disk for stock drivers, in an emulated host (log: $log)"
need_stock libc6-dev debootstrap e2fsprogs

kernel_headers "$version" >/dev/null || exit
grep -q '^CONFIG_VDPA=' "$(kernel_headers "$version")/.config" ||
	skip "the kernel $version has no vDPA: samples/blk is not built"

# The host's root: the last release of the table, for QEMU 8 or later, in which vhost-vdpa is a
# device.
newest=$(releases | tail -n 1)
disk_root() {
	local packages=qemu-system-x86,qemu-utils,fio,iproute2,dmsetup,e2fsprogs,util-linux,kmod,procps
	local proxy

	echo "making a root of $newest" >&2
	proxy=$(apt-config dump | sed -nE 's/^Acquire::http::Proxy "(.*)";$/\1/Ip')
	http_proxy=${http_proxy:-$proxy} debootstrap --variant=minbase --include="$packages" \
		"$newest" "$1" "$(mirror debian)" >"$CACHE/disk-root.log" 2>&1 </dev/null &&
		rm -f "$1"/var/cache/apt/archives/*.deb
}
[ "$(id -u)" = 0 ] || die "only root can make a root to change into"
once "$CACHE/disk-root" disk_root

built=$(build_modules "$version") || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/root/vm" "$tmp/extra"

cp "$built"/virtio_mem_xlate.ko "$built/samples/virtio_mem_xlate_blk.ko" "$tmp/root"
cp "$TOP"/scripts/guest/{vmm,check,disk-*} "$tmp/root"
cp "$TOP/scripts/guest/disk" "$tmp/root/run"
gcc -O2 -Wall -Wextra -static -pthread -o "$tmp/root/vm/driver" "$TOP/scripts/guest/driver.c"

# What the guest boots: a small kernel as clouds have it.  Its root is on our disk.
cloud=$(kernel_image "$version" cloud-amd64) || exit
mkdir -p "$tmp/vm"/{bin,lib,proc,sys,dev,tmp,disk} "$tmp/disk"/{bin,lib64,proc,sys,dev,tmp,usr}
cp "$cloud/vmlinuz" "$tmp/root/vm/vmlinuz"
cp /bin/busybox "$tmp/vm/bin"
ln -s busybox "$tmp/vm/bin/sh"
cp "$TOP/scripts/guest/vm-init" "$tmp/vm/init"
chmod +x "$tmp/vm/init"
xz -dc "$(find "$cloud/lib/modules/" -name virtio_blk.ko.xz)" >"$tmp/vm/lib/virtio_blk.ko"
echo /lib/virtio_blk.ko >"$tmp/vm/modules"
(cd "$tmp/vm" && find . | cpio -o -H newc --quiet) >"$tmp/root/vm/initrd"
# shellcheck disable=SC2046 # words
(cd "$CACHE/disk-root" && chroot . ldd /usr/bin/fio | grep -o '/[^ ]*' | sed 's,^,.,' |
	xargs cp -L --parents -t "$tmp/disk" ./usr/bin/fio)
cp /bin/busybox "$tmp/disk/bin"
/sbin/mkfs.ext4 -q -d "$tmp/disk" "$tmp/disk.img" 160M

for knob in REQUESTS MIB RUNTIME DEPTHS DISKS; do
	[ -z "${!knob:-}" ] || echo "$knob='${!knob}'"
done >"$tmp/root/knobs"
# Loaded by /run, with parameters.
stock_modules "$version" "$tmp/extra" vdpa vhost_vdpa virtio_vdpa virtio_blk null_blk brd loop dm-mod \
	dm-flakey dm-delay ext4 vduse sd_mod scsi_debug
mv "$tmp/extra" "$tmp/root/extra"

export BOOT_APPEND="${APPEND:-} $STARVED"
export BOOT_MODULES="virtio_pci virtio_blk 9p 9pnet_virtio kvm-amd"
root=$CACHE/disk-root
machine=(-drive "file=$tmp/disk.img,format=raw,if=virtio,snapshot=on"
	-virtfs "local,path=$root,mount_tag=host,security_model=none,readonly=on,multidevs=remap")
# shellcheck disable=SC2086 # words
demo_stages demo-disk "${CPUS:-2}" ${STAGES:-host rules faults guest beside}
