#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# stock.sh VERSION: do both modules load, work and unload on the stock kernel VERSION
# as it is, with its MODVERSIONS if it has them?  About 1 minute.
. "$(dirname "$0")/boot.sh"

version=${1:?usage: stock.sh VERSION, such as 6.12}
log=$CACHE/stock-$version.log
echo "stock $version: load, a short demo, unload (log: $log)"

built=$(build_modules "$version") && release=$(kernel_release "$version") || exit
config=$(kernel_headers "$version")/.config

# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@" >/dev/null; then echo "ok      $name"; else echo "not ok  $name"; fi
}

is_for_release() {
	/sbin/modinfo -F vermagic "$1" | grep -q "^$release "
}

has_crc() {
	/sbin/modinfo -F vermagic "$1" | grep -q modversions &&
		/sbin/modprobe --dump-modversions "$1" | grep -qw "$2"
}

lines=$(
	check "virtio_mem_xlate.ko is for $release" is_for_release "$built/virtio_mem_xlate.ko"
	if grep -qx CONFIG_MODVERSIONS=y "$config"; then
		check "it has a CRC for each symbol" has_crc "$built/virtio_mem_xlate.ko" module_layout
		check "the caller has the CRCs of our symbols" \
			has_crc "$built/samples/virtio_mem_xlate_demo.ko" virtio_mem_xlate_register
	fi
	if AMOUNT=8 LOG=$log "$TOP/scripts/demo.sh" "$version" >"$CACHE/stock-$version.out"; then
		echo "ok      no panic, no splat, in time"
	else
		echo "not ok  no panic, no splat, in time"
		sed 's/^/	/' "$CACHE/stock-$version.out" >&2
	fi
	grep -E '^(not )?ok  ' "$CACHE/stock-$version.out" || :
)
echo "$lines"
passed=$(grep -c '^ok  ' <<<"$lines" || :)
failed=$(grep -c '^not ok  ' <<<"$lines" || :)
closing "stock $version"
[ "$failed" = 0 ]
