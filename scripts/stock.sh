#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# stock.sh VERSION: do both modules load, work and unload on Debian's kernel
# VERSION as it is, with its MODVERSIONS?  About 1 minute.
. "$(dirname "$0")/boot.sh"

version=${1:?usage: stock.sh 6.1|6.12}
log=$CACHE/stock-$version.log
echo "stock $version: load, a short demo, unload (log: $log)"

built=$(build_modules "$version")
release=$(kernel_release "$version")

# check NAME COMMAND...
check() {
	local name=$1
	shift
	if "$@" >/dev/null; then echo "ok      $name"; else echo "not ok  $name"; fi
}

has_modversions() {
	/sbin/modinfo -F vermagic "$1" | grep -q "^$release .*modversions" &&
		/sbin/modprobe --dump-modversions "$1" | grep -qw "$2"
}

lines=$(
	check "virtio_mem_xlate.ko is for $release, with a CRC for each symbol" \
		has_modversions "$built/virtio_mem_xlate.ko" module_layout
	check "the caller has the CRCs of our symbols" \
		has_modversions "$built/samples/virtio_mem_xlate_demo.ko" virtio_mem_xlate_register
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
echo "stock $version: $passed passed, $failed failed"
[ "$failed" = 0 ]
