#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Runs the KUnit suites; see usage().
. "$(dirname "$0")/boot.sh"

usage() {
	cat <<'END'
usage: kunit.sh [--checkers] [--arch=ARCH] [--kcsan] [--build] [--args=ARG]... VERSION [SUITE]

Runs the KUnit suites on a kernel built from linux-source-VERSION, such as 6.12, and
prints what passed; exits with 0 only if something ran and all of it did.

  --checkers      with KASAN, UBSAN and lock debugging (always so on x86_64)
  --arch=ARCH     x86_64: four processors in QEMU, instead of user-mode Linux's
                  one, and which lines of the core the suites reach; or arm64,
                  s390x or i386: two processors
  --kcsan         on x86_64: with KCSAN instead of KASAN
  --build         only build, and print the kernel's folder last
  --args=ARG      add to the kernel's command line, such as
                  virtio_mem_xlate_kunit.seed=1
  SUITE           only the suites that match this glob
END
}

arch=um cross='' checkers='' kcsan='' only_build='' version='' suite='' args=() append=()
for arg; do
	case $arg in
	--checkers) checkers=1 ;;
	--kcsan) kcsan=1 ;;
	--build) only_build=1 ;;
	--arch=um | --arch=x86_64 | --arch=arm64 | --arch=s390x | --arch=i386) arch=${arg#*=} ;;
	--args=*) append+=("${arg#*=}") ;;
	--help | -h) usage; exit ;;
	-*) die "unknown option $arg (--help shows them)" ;;
	*) if [ -z "$version" ]; then version=$arg; else suite=$arg; fi ;;
	esac
done
[ -n "$version" ] || die "which kernel, such as 6.12? (--help shows the options)"

need ccache gcc make flex bison bc libelf-dev libssl-dev python3 xz-utils
source=$(kernel_source "$version") || exit
name=kunit-$arch-$version
config=("--kunitconfig=$TOP/kunit")

# elsewhere ARCH [CROSS]: a small kernel for two processors of a machine in QEMU.
elsewhere() {
	cross=${2:-}
	config+=("--arch=$1" ${cross:+"--cross_compile=$cross"})
	config+=("--kunitconfig=$TOP/kunit/small.config")
	args+=("--qemu_args=-smp 2")
}

case $arch in
x86_64)
	need_stock
	config+=(--arch=x86_64 "--kunitconfig=$TOP/kunit/x86_64.config")
	if [ -n "$kcsan" ]; then
		name=kunit-x86_64-kcsan-$version
		config+=("--kunitconfig=$TOP/kunit/kcsan.config")
	else
		checkers=1
		config+=("--kunitconfig=$TOP/kunit/kasan.config")
	fi
	;;
arm64)
	need qemu-system-arm gcc-aarch64-linux-gnu
	elsewhere arm64 aarch64-linux-gnu-
	;;
s390x)
	need "$(row s390x)" gcc-s390x-linux-gnu
	elsewhere s390 s390x-linux-gnu-
	;;
i386)
	need qemu-system-x86
	elsewhere i386
	config+=(--kconfig_add=CONFIG_HIGHMEM4G=y --kconfig_add=CONFIG_SMP=y)
	;;
um)
	[ -z "$kcsan" ] || die "--kcsan needs --arch=x86_64"
	[ -z "$checkers" ] || [ "$version" = 6.1 ] ||
		config+=(--kconfig_add=CONFIG_DEBUG_ATOMIC_SLEEP=y)
	;;
esac
if [ -n "$checkers" ]; then
	[ "$arch" = x86_64 ] || name+=-checkers
	config+=("--kunitconfig=$TOP/kunit/checkers.config")
	append+=(kasan_multi_shot)
fi

# Prints a line of the KTAP that kunit.py has read for each case, as "STATUS SUITE.CASE".
cases() {
	python3 - "$build.json" <<'END'
import json, sys

def show(group, name):
    for case in group['test_cases']:
        status = {'PASS': 'ok', 'SKIP': 'skip'}.get(case['status'], 'not ok')
        print(status, f"{name}.{case['name']}")
    for sub in group['sub_groups']:
        show(sub, f"{name}.{sub['name']}")

for suite in json.load(open(sys.argv[1]))['sub_groups']:
    show(suite, suite['name'])
END
}

# kunit COMMAND...: kunit.py with what all its commands take.
kunit() {
	"$graft/tools/testing/kunit/kunit.py" "$1" "${config[@]}" --build_dir="$build" \
		--jobs="$JOBS" --make_options="CC=ccache ${cross}gcc" --make_options='HOSTCC=ccache gcc' \
		"${@:2}" >>"$log" 2>&1 </dev/null
}

run() {
	kunit run --json="$build.json" --timeout=300 "${args[@]}" \
		${append[@]+"${append[@]/#/--kernel_args=}"} ${suite:+"$suite"}
}

# Not by kunit.py: it prefers KVM, and only user space can fetch the counts of lines.
run_x86_64() {
	local rc=0

	kunit build || return
	{
		[ -n "$kcsan" ] || { count_lines virtio_mem_xlate; count_lines range; }
	} | boot_debug "$build" "$build/test.log" 4 ${suite:+"kunit.filter_glob=$suite"} \
		${append[@]+"${append[@]}"} || rc=1
	"$graft/tools/testing/kunit/kunit.py" parse --json="$build.json" "$build/test.log" \
		>>"$log" 2>&1 || rc=1
	return "$rc"
}

# Prints the share of lines of the core that the suites reach, and the other lines.  The
# inline functions of the header are counted where their suite calls them.
report_coverage() {
	local objects=$build/drivers/virtio_mem_xlate file

	counted virtio_mem_xlate "$build/test.log" >"$objects/virtio_mem_xlate.gcda" || :
	counted range "$build/test.log" >"$objects/kunit/range.gcda" || :
	[ -s "$objects/virtio_mem_xlate.gcda" ] || die "no counts of lines came back; see $build/test.log"
	(cd "$build" && gcov "$objects/virtio_mem_xlate.gcda" "$objects/kunit/range.gcda") >/dev/null
	for file in virtio_mem_xlate.c virtio_mem_xlate_table.h virtio_mem_xlate.h; do
		awk -F: -v file="$file" '
			$1 ~ /^ *[0-9]/ { ran++ }
			$1 ~ /#####|=====/ { missed++; lines = lines "\n  " $2 ":" substr($0, 17) }
			END { printf "%s: %d of %d lines ran%s\n", file, ran, ran + missed, lines }
		' "$build/$file.gcov"
	done
}

# A home for each checkout, so that two can be tested at once.
home=$CACHE/kunit-$(cksum <<<"$TOP" | cut -d' ' -f1)
graft=$home/graft-${source##*/}
build=$home/$name
log=$build.log
mkdir -p "$home"
exec 8>"$build.lock"
flock -n 8 || { echo "$name: another run is at it; waiting" >&2; flock 8; }

export CCACHE_BASEDIR=$home CCACHE_NOHASHDIR=1 CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache}
rm -f "$build.json" "$build/test.log" "$log"
opening "$name: building and running, log: $log"
"$TOP/scripts/graft.sh" "$source" "$graft"
if [ -n "$only_build" ]; then
	kunit build || { tail -n 20 "$log"; die "no kernel; see $log"; }
	echo "$build"
	exit
fi
status=0
if [ "$arch" = x86_64 ]; then run_x86_64; else run; fi || status=$?

[ -s "$build.json" ] || { tail -n 20 "$log"; die "no tests ran; see $log"; }
complaint=$("$TOP/scripts/splat.sh" "$build/test.log") ||
	result 1 "the kernel complained" "${complaint:-no log}"
grep -aE -A 2 'EXPECTATION FAILED|ASSERTION FAILED|\[(FAILED|CRASHED)\]' "$log" | head -n 60 |
	sed 's/^/# /' || :
retell < <(cases)
[ "$status" = 0 ] || [ "$failed" != 0 ] || result 1 "exit status $status" "$(tail -n 20 "$log")"
[ "$passed" != 0 ] || result 1 "some case ran and passed"
[ "$arch$kcsan$suite" != x86_64 ] || report_coverage | sed 's/^/# /'
closing "$name"
