#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# demo.sh [VERSION]: boots a stock kernel, if not told the first that this release has,
# with stock virtio devices, and translates the ranges that its drivers publish.
# HOSTILE=FILE names other ranges to try than samples/hostile-ranges.txt, AMOUNT=N how
# much traffic.
. "$(dirname "$0")/boot.sh"

version=${1:-$(row stock | head -n 1)}
log=${LOG:-$CACHE/demo-$version.log}
hostile=${HOSTILE:-$TOP/samples/hostile-ranges.txt}
[ -r "$hostile" ] || die "cannot read HOSTILE=$hostile"
opening "demo: builds for the stock kernel $version, boots it in QEMU, makes traffic; 1 minute," \
	"3 on a new machine (log: $log)"

need_stock
built=$(build_modules "$version") || exit
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/root"
cp "$built"/virtio_mem_xlate.ko "$built"/samples/*.ko "$TOP"/scripts/{contexts.sh,guest/traffic} "$tmp/root"
cp "$TOP"/scripts/guest/demo "$tmp/root/run"
cp "$hostile" "$tmp/root/hostile-ranges.txt"
echo "${AMOUNT:-48}" >"$tmp/root/amount"
truncate -s 64M "$tmp/vda" "$tmp/vdb"

# Slow devices: what a fast one completes at once nobody can look at.  The second
# disk has no indirect descriptors, so its chains are in the ring itself.
devices=(
	-drive "file=$tmp/vda,format=raw,if=none,id=vda,throttling.iops-total=50"
	-device virtio-blk-pci,drive=vda
	-drive "file=$tmp/vdb,format=raw,if=none,id=vdb,throttling.iops-total=50"
	-device virtio-blk-pci,drive=vdb,indirect_desc=off
	-netdev user,id=net,restrict=on,guestfwd=tcp:10.0.2.100:7-cmd:cat
	-device virtio-net-pci,netdev=net,romfile=,tx=timer,x-txtimer=1000000
	-object rng-random,id=rng,filename=/dev/urandom
	-device virtio-rng-pci,rng=rng,max-bytes=64,period=20
)
rc=0
boot "$version" "$tmp/root" "$log" "${LIMIT:-300}" "${devices[@]}" || rc=$?

sed -nE 's/^\[ *[0-9.]+\] virtio_mem_xlate_demo: //p
	s/^\[ *[0-9.]+\] (virtio_mem_xlate: context)/\1/p
	/^(# ---|(not )?ok [0-9]|1\.\.|ID  |.* virtio_mem_xlate_fail: context=|[0-9]+ .*_demo |[a-z0-9]+: .*(compared|bytes)$)/p' "$log"
if [ "$rc" = 0 ]; then
	echo "demo on stock $version: $SECONDS s"
	sed -nE 's/.*_demo: (.*(descriptors seen|saw a mixture|updates,).*)/demo: \1/p' "$log"
else
	echo "demo on stock $version: FAILED"
fi
exit "$rc"
