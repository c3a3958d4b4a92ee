#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Tests virtio_mem_xlate_user; see usage().
. "$(dirname "$0")/boot.sh"

usage() {
	cat <<'END'
usage: user.sh [--quick] [--uml] VERSION [NAME...]

Tests how a process's memory is pinned and translated, on the stock kernel VERSION,
such as 6.12, in QEMU.

  --quick   fewer rounds, less memory, no benchmark; for make check
  --uml     on a kernel built from source for user-mode Linux with KASAN, fault
            injection and lock debugging instead.  Before 6.13, user-mode Linux runs
            no programs on a processor with AMX: it has no room for its registers
  NAME      only the tests whose names begin so, such as "limit: L"
END
}

quick='' place=qemu version='' names=()
for arg; do
	case $arg in
	--quick) quick=--quick ;;
	--uml) place=uml ;;
	--help | -h) usage; exit ;;
	-*) die "unknown option $arg (--help shows them)" ;;
	*) if [ -z "$version" ]; then version=$arg; else names+=("${arg// /_}"); fi ;;
	esac
done
[ -n "$version" ] || die "which kernel, such as 6.12? (--help shows the options)"
if [ ${#names[@]} = 0 ] && [ -n "$quick" ]; then
	names=(contents refuse life limit leaks stall table follow hostile faults)
fi

need_stock libc6-dev e2fsprogs
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# prepare ROOT ARGUMENT...: what is the same for both.
prepare() {
	local root=$1
	shift
	mkdir -p "$root"
	user_test "$root/test"
	cp "$TOP/scripts/guest/user" "$root/run"
	echo "$* $quick ${names[*]:-}" >"$root/arguments"
}

test_qemu() {
	local built

	built=$(build_modules "$version") || exit
	prepare "$tmp/qemu"
	cp "$built"/virtio_mem_xlate*.ko "$built"/kunit/user/*.ko "$tmp/qemu"
	truncate -s 16M "$tmp/disk"
	/sbin/mke2fs -q -t ext4 "$tmp/disk"
	# With KVM, for guest_memfd.
	BOOT_MODULES="virtio_pci virtio_blk ext4 kvm-amd" BOOT_APPEND="secretmem.enable=1" \
		boot "$version" "$tmp/qemu" "$1" "${LIMIT:-900}" -m 3G -cpu max,+svm,+npt \
		-drive "file=$tmp/disk,format=raw,if=virtio" || return
	[ -n "$quick" ] || [ ${#names[@]} != 0 ] || "$tmp/qemu/test" --native >>"$1"
}

# A home for each checkout, so that two can be tested at once.
build_uml() {
	local source graft home config=()

	need ccache flex bison bc libelf-dev libssl-dev python3
	source=$(kernel_source "$version") || exit
	home=$CACHE/kunit-$(cksum <<<"$TOP" | cut -d' ' -f1)
	graft=$home/graft-${source##*/}
	uml=$home/user-$version
	mkdir -p "$home"
	config=("--kunitconfig=$TOP/kunit/checkers.config" --kconfig_add=CONFIG_DEBUG_ATOMIC_SLEEP=y)
	export CCACHE_BASEDIR=$home CCACHE_NOHASHDIR=1 CCACHE_DIR=${CCACHE_DIR:-$CACHE/ccache}
	"$TOP/scripts/graft.sh" "$source" "$graft"
	"$graft/tools/testing/kunit/kunit.py" build --build_dir="$uml" --jobs="$JOBS" \
		--kunitconfig="$TOP/kunit/user/uml.config" "${config[@]}" \
		--make_options='CC=ccache gcc' --make_options='HOSTCC=ccache gcc' \
		>"$uml.log" 2>&1 </dev/null || { tail -n 20 "$uml.log"; die "no kernel; see $uml.log"; }
}

boot_uml() {
	local root=$1 log=$2

	mkdir -p "$root"/{bin,proc,sys,dev,tmp} "$tmp/disk-of-host"
	cp "$TOP/scripts/guest/init" "$root/init"
	cp /bin/busybox "$root/bin"
	ln -sf busybox "$root/bin/sh"
	: >"$root/modules"
	echo "$tmp/disk-of-host" >"$root/disk-of-host"
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$root.cpio"
	timeout "${LIMIT:-900}" "$uml/linux" mem=768M initrd="$root.cpio" con0=fd:0,fd:1 con=null \
		kasan_multi_shot loglevel=7 </dev/null >"$log" 2>&1 || echo "RESULT uml=$?" >>"$log"
	sed -i 's,\r$,,' "$log"
}

# A planted call in the wrong context is reported, and the report is seen.
canary_uml() {
	prepare "$tmp/canary" --canary
	boot_uml "$tmp/canary" "$1.canary"
	if { "$TOP/scripts/splat.sh" "$1.canary" || :; } |
		grep -q 'sleeping function called from invalid'; then
		echo "ok 1 unpinning in atomic context is reported" >>"$1"
	else
		echo "not ok 1 unpinning in atomic context is reported" >>"$1"
	fi
}

test_uml() {
	need busybox-static cpio
	build_uml
	prepare "$tmp/uml" --uml
	boot_uml "$tmp/uml" "$1"
	[ ${#names[@]} = 1 ] || canary_uml "$1"
	verdict "$1"
}

# lacks PLACE: prints which tests need what is not there.  Each is run in the other.
lacks() {
	case $1 in
	# Stock kernels do not inject faults, and guest_memfd can be mapped from 6.18 on.
	qemu) echo "faults: $([[ $version != 6.* ]] || echo '|guest_memfd')" ;;
	# Its /proc/kpageflags, with the dirty flag, may end before its memory does.
	uml) echo 'under the largest|a memory error|hostile|guest_memfd|transparent huge|hugetlb|pieces, huge|movable|dirty|2.44 bytes|secretmem|THP' ;;
	esac
}

log=$CACHE/user-$place-$version.log
opening "user $version: a process's memory, pinned and translated, in $place (log: $log)"
complaint=0
"test_$place" "$log" || complaint=1
# Kept, not retold by a pipe, which would count in a process of its own.
grep -aE '^((not )?ok|skip|note) |^(#|	)[ 	]*[a-z].*: ' "$log" >"$log.results" || :
retell <"$log.results"
[ "$complaint" = 0 ] || [ "$failed" != 0 ] || result 1 "ends well in $place" "$(tail -n 15 "$log")"
if unforeseen=$(grep -aE '^(skip |ok .*# SKIP)' "$log" | grep -vE "$(lacks "$place")"); then
	result 1 "nothing else is skipped in $place" "$unforeseen"
fi
[ "$passed" != 0 ] || result 1 "some test passed in $place"
closing "user $version"
