#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds the benchmark into user-mode Linux, runs it and shows the figures; see usage().
. "$(dirname "$0")/../scripts/common.sh"

usage() {
	cat <<'END_USAGE'
usage: run.sh [--short] [PARAMETER=VALUE]...

Measures translations here and in their peers, in one user-mode Linux 6.12 built
for it, and prints the ratios; exits with 0 if every answer was right and every
goal is met.

  --short            less of it, in a minute: only a wrong answer is a failure
  PARAMETER=VALUE    of the module, such as seed=2 or rounds=15
END_USAGE
}

short='' takes='3 minutes' params=()
for arg; do
	case $arg in
	--short) short=--short takes='1 minute' params+=(brief=1 rounds=5 "n=1,8,512,32764") ;;
	--help | -h) usage; exit ;;
	*=*) params+=("$arg") ;;
	*) die "unknown option $arg (--help shows them)" ;;
	esac
done

need ccache gcc make flex bison bc libelf-dev libssl-dev python3 gnuplot-nox
source=$(kernel_source 6.12) || exit
# A home for each checkout, so that two can be measured.
home=$CACHE/bench-$(cksum <<<"$TOP" | cut -d' ' -f1)
graft=$home/graft-${source##*/}
out=$home/build
log=$home/bench${short:+-short}.log
mkdir -p "$out"
exec 8>"$home/lock"
flock -n 8 || { echo "bench: another run is at it; waiting" >&2; flock 8; }
opening "bench: ratios to the peers in one kernel; $takes, 4 more to build it first (log: $log)"

export CCACHE_BASEDIR=$home CCACHE_NOHASHDIR=1 CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache}
"$TOP/scripts/graft.sh" "$source" "$graft"
if ! grep -q xlate/bench "$graft/drivers/Makefile"; then
	sed -i '$i source "drivers/virtio_mem_xlate/bench/Kconfig"\n' "$graft/drivers/Kconfig"
	echo 'obj-y += virtio_mem_xlate/bench/' >>"$graft/drivers/Makefile"
fi

# The mask of the processor, and calls as in other kernels: without modules UML
# needs no large memory model.
build() {
	make -s -C "$graft" O="$out" ARCH=um CC='ccache gcc' HOSTCC='ccache gcc' \
		KCFLAGS="-include $home/nospec.h -mcmodel=small" -j"$JOBS" "$@" \
		>>"$log" 2>&1 </dev/null || { tail -n 20 "$log"; die "cannot build; see $log"; }
}

: >"$log"
cmp -s "$TOP/bench/nospec.h" "$home/nospec.h" || cp "$TOP/bench/nospec.h" "$home"
cp "$TOP/bench/bench.config" "$out/.config"
build olddefconfig
while read -r line; do
	case $line in
	CONFIG_*=n) ! grep -q "^${line%=n}=" "$out/.config" ;;
	CONFIG_*) grep -qx "$line" "$out/.config" ;;
	esac || die "the kernel's configuration lacks $line"
done <"$TOP/bench/bench.config"
build linux

# Ahead of everybody else on the machine, where that is allowed.
ahead=(chrt --fifo 1)
"${ahead[@]}" true 2>/dev/null || ahead=()
status=0
"${ahead[@]}" timeout 1200 "$out/linux" mem=1G con0=fd:0,fd:1 con=null \
	"${params[@]/#/virtio_mem_xlate_bench.}" >>"$log" 2>&1 </dev/null || status=$?
csv=$home/bench${short:+-short}.csv
tr -d '\r' <"$log" | sed -n 's/^.*virtio_mem_xlate_bench: csv,//p' >"$csv"
said() {
	tr -d '\r' <"$log" | sed -n "s/^.*virtio_mem_xlate_bench: \($1\)/\1/p"
}

counts=$(said 'done: [0-9]* passed, [0-9]* failed$')
if [ "$status" != 0 ] || [ -z "$counts" ] || ! "$TOP/scripts/splat.sh" "$log"; then
	tail -n 20 "$log"
	die "the benchmark did not end well; see $log"
fi
said '.*canary.*' | sed 's/^/# /'
report=0 goals='all goals are met'
[ -z "$short" ] || goals='the figures are complete'
"$TOP/bench/report.py" $short "$csv" "${csv%.csv}" | sed 's/^/# /' || report=1
echo "# CSV: $csv"
right=${counts#done: } right=${right%% *} wrong=${counts##*, } wrong=${wrong%% *}
result "$wrong" "all $((right + wrong)) answers are right" "$(said '.*: wrong answer')"
result "$report" "$goals"
closing bench
