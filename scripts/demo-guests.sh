#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# demo-guests.sh: boots a stock kernel in QEMU, under emulation, and in there two
# stock guests in QEMU under KVM, joined by samples/cable.  STAGES="cable hostile follow
# cycles beside" chooses; MIB=, FRAMES=, BIG=, DIMM=, CYCLES=, ROUNDS= are amounts.
. "$(dirname "$0")/boot.sh"

version=$(row stock | head -n 1)
log=${LOG:-$CACHE/demo-guests.log}
opening "demo-guests: two stock guests on a cable, in an emulated host; 15 minutes if the machine" \
	"is idle (log: $log)"
need_stock libc6-dev

# The kernel of the guests: small, with what a cloud gives, as it is.
cloud=$(kernel_image "$version" cloud-amd64) || exit

built=$(build_modules "$version") || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir -p "$tmp/root/vm" "$tmp/vm"/{bin,lib,proc,sys,dev,tmp}

# What the guests boot.
cp "$cloud/vmlinuz" "$tmp/root/vm/vmlinuz"
cp /bin/busybox "$tmp/vm/bin"
ln -s busybox "$tmp/vm/bin/sh"
cp "$TOP/scripts/guest/vm-init" "$tmp/vm/init"
chmod +x "$tmp/vm/init"
for name in frames hostile; do
	gcc -O2 -Wall -static -pthread -o "$tmp/vm/$name" "$TOP/scripts/guest/$name.c"
done
for name in failover net_failover virtio_net; do
	xz -dc "$(find "$cloud/lib/modules/" -name "$name.ko.xz")" >"$tmp/vm/lib/$name.ko"
	echo "/lib/$name.ko" >>"$tmp/vm/modules"
done
for name in pktgen virtio_balloon; do
	xz -dc "$(find "$cloud/lib/modules/" -name "$name.ko.xz")" >"$tmp/vm/lib/$name.ko"
done
cp "$TOP/scripts/guest/flood" "$tmp/vm"
(cd "$tmp/vm" && find . | cpio -o -H newc --quiet) >"$tmp/root/vm/initrd"

# And their host.
cp "$tmp/vm/hostile" "$tmp/root/vm"
cp "$built"/virtio_mem_xlate{,_user}.ko "$built/samples/virtio_mem_xlate_cable.ko" "$tmp/root"
cp "$TOP"/scripts/guest/{vmm,check,guests-*} "$tmp/root"
cp "$TOP/scripts/guest/guests" "$tmp/root/run"
for knob in FRAMES BIG DIMM MIB CYCLES ROUNDS; do
	[ -z "${!knob:-}" ] || echo "$knob=${!knob}"
done >"$tmp/root/knobs"

# On one processor, which is no slower: with two for QEMU before 8.1 to emulate on, a guest
# under KVM in there was seen to end without a word.
taskset -cp "$(taskset -cp $$ | sed 's/.*[ ,-]//')" $$ >/dev/null

export BOOT_APPEND=$STARVED
export BOOT_MODULES="virtio_pci 9p 9pnet_virtio kvm-amd vhost_net tun tap bridge"
LIMIT=${LIMIT:-3600}
machine=(-virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap")
# shellcheck disable=SC2086 # words
demo_stages demo-guests 2 ${STAGES:-cable hostile follow cycles beside}
