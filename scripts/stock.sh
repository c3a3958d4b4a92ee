#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# stock.sh VERSION: do both modules load, work and unload on the stock kernel VERSION
# as it is, with its MODVERSIONS if it has them?  About 1 minute.
. "$(dirname "$0")/boot.sh"

version=${1:?usage: stock.sh VERSION, such as 6.12}
log=$CACHE/stock-$version.log
opening "stock $version: load, a short demo, unload (log: $log)"

built=$(build_modules "$version") && release=$(kernel_release "$version") || exit
config=$(kernel_headers "$version")/.config

# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@" >/dev/null; then result 0 "$name"; else result 1 "$name"; fi
}

is_for_release() {
	/sbin/modinfo -F vermagic "$1" | grep -q "^$release "
}

has_crc() {
	/sbin/modinfo -F vermagic "$1" | grep -q modversions &&
		/sbin/modprobe --dump-modversions "$1" | grep -qw "$2"
}

check "virtio_mem_xlate.ko is for $release" is_for_release "$built/virtio_mem_xlate.ko"
if grep -qx CONFIG_MODVERSIONS=y "$config"; then
	check "it has a CRC for each symbol" has_crc "$built/virtio_mem_xlate.ko" module_layout
	check "the caller has the CRCs of our symbols" \
		has_crc "$built/samples/virtio_mem_xlate_demo.ko" virtio_mem_xlate_register
fi
out=$CACHE/stock-$version.out rc=0
AMOUNT=8 LOG=$log "$TOP/scripts/demo.sh" "$version" >"$out" || rc=$?
result "$rc" "no panic, no splat, in time" "$(tail -n 20 "$out")"
retell < <(grep -E '^(not )?ok ' "$out" || :)
closing "stock $version"
