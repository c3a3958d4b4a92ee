#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# boot.sh: sourced by the scripts that boot kernels in QEMU: stock ones of the distribution,
# and those that kunit.sh builds.  Software emulation, 2 CPUs; KVM is not used.
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

# The packages with which modules are built for a stock kernel, and it is booted.
need_stock() {
	need gcc make kmod libelf-dev pahole qemu-system-x86 busybox-static cpio xz-utils "$@"
}

# build_modules VERSION: prints a folder where virtio_mem_xlate.ko and
# samples/*.ko have been built for VERSION, from a copy of the work tree, and the
# module that tests user memory.
build_modules() {
	local release headers dir log f

	need_stock
	release=$(kernel_release "$1") && headers=$(kernel_headers "$1") || exit
	dir=$CACHE/build-$release
	log=$CACHE/build-$release.log
	(
		flock 9
		mkdir -p "$dir"/{user,samples/{virtqueue,cable,blk,compat/linux},kunit/user}
		# Only what differs, so that only that is built again.
		cd "$TOP"
		for f in Kbuild {.,user}/*.[ch] {samples,kunit/user}/{Kbuild,*.[ch]} samples/Makefile \
			samples/{virtqueue,cable,blk,compat/linux}/*.[ch]; do
			case $f in *.mod.c) continue ;; esac
			cmp -s "$f" "$dir/$f" || cp "$f" "$dir/$f"
		done
		make -C "$headers" M="$dir" CONFIG_VIRTIO_MEM_XLATE_USER_TEST=m modules &&
			make -C "$dir/samples" KDIR="$headers"
	) >"$log" 2>&1 9>"$dir.lock" || die "could not build for $release; see $log"
	echo "$dir"
}

# Lays the modules MODULE... of VERSION and what they depend on into ROOT, and
# a list of them, in order, into ROOT/modules.
stock_modules() {
	local version=$1 root=$2 image release file name list
	shift 2

	image=$(kernel_image "$version") && release=$(kernel_release "$version") || exit
	mkdir -p "$root/lib"
	: >"$root/modules"
	# "builtin NAME" or "insmod FILE"
	list=$(/sbin/modprobe -d "$image" -S "$release" -a --show-depends "$@") ||
		die "$release lacks one of the modules $*"
	while read -r _ file; do
		name=$(basename "${file%.xz}")
		[ -f "$file" ] && ! grep -qx "/lib/$name" "$root/modules" || continue
		case $file in
		*.xz) xz -dc "$file" >"$root/lib/$name" ;;
		*) cp "$file" "$root/lib/$name" ;;
		esac
		echo "/lib/$name" >>"$root/modules"
	done <<<"$list"
}

# boot VERSION ROOT LOG SILENT-SECONDS [QEMU-ARGUMENT...]: boots the stock kernel with
# the folder ROOT as its root, in which the shell script ROOT/run is run.
# Succeeds if that did and the kernel had nothing to complain of.  BOOT_MODULES
# names other modules of that kernel to load first, BOOT_APPEND is for its
# command line.
boot() {
	local version=$1 root=$2 log=$3 seconds=$4
	shift 4

	need_stock
	guest_root "$root"
	# shellcheck disable=SC2086 # a list of names
	stock_modules "$version" "$root" \
		${BOOT_MODULES:-virtio_pci virtio_blk virtio_net virtio-rng}
	boot_root "$log" "$seconds" "$(kernel_image "$version")/vmlinuz" "$root" "$@"
	verdict "$log"
}

# guest_root ROOT: what each guest has.
guest_root() {
	mkdir -p "$1"/{bin,proc,sys,dev,tmp}
	cp "$TOP/scripts/guest/init" "$1/init"
	cp /bin/busybox "$1/bin"
	ln -sf busybox "$1/bin/sh"
}

# boot_root LOG SECONDS KERNEL ROOT ARG...: boots KERNEL with ROOT, again if it was
# the emulator that failed.  The log tells how it went.
boot_root() {
	local log=$1 seconds=$2 kernel=$3 root=$4 initrd try
	shift 4

	initrd=$(mktemp)
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$initrd"

	for try in 1 2 3; do
		boot_once "$log" "$seconds" "$kernel" "$initrd" "$@"
		emulator_failed "$log" && [ "$try" != 3 ] || break
		echo "boot: QEMU's fault ($log.$try), trying again"
		mv "$log" "$log.$try"
	done
	rm -f "$initrd"
}

# boot_debug BUILD LOG CPUS PARAMETER... <COMMANDS: boots the kernel that kunit.sh built in
# folder BUILD, runs COMMANDS in it, and succeeds if they do.  $files go into its /bin.
files=()
boot_debug() {
	local build=$1 log=$2 cpus=$3 root
	shift 3

	root=$(mktemp -d)
	chmod 755 "$root"	# for tests by others than root
	guest_root "$root"
	# This machine has no way to power off, and -no-reboot ends QEMU as well.
	sed -i 's/^poweroff -f/reboot -f/' "$root/init"
	[ ${#files[@]} = 0 ] || cp "${files[@]}" "$root/bin"
	: >"$root/modules"
	{
		echo 'mount -t debugfs none /sys/kernel/debug'
		cat
	} >"$root/run"
	# No five levels of page tables: identify_cpu() forgets for a moment that there are,
	# and KASAN takes what an interrupt touches then for wild.
	BOOT_APPEND="panic_on_warn=0 loglevel=7 kasan_multi_shot $*" boot_root "$log" 560 \
		"$build/arch/x86/boot/bzImage" "$root" -smp "$cpus" -m 3G -cpu max,la57=off
	rm -r "$root"
	grep -q '^RESULT rc=0$' "$log" && ! grep -q '^RESULT qemu=' "$log"
}

# For a guest of boot_debug: writes the counts of gcov for object $1 to the log, from
# where counted() takes them.
count_lines() {
	cat <<END
# No message of the kernel's between the lines.
dmesg -n 1
for file in \$(find /sys/kernel/debug/gcov -name '$1.gcda'); do
	echo "COUNTS OF $1"
	base64 \$file
	echo "END OF COUNTS"
done
END
}

# counted OBJECT LOG: prints the counts of OBJECT that count_lines() has written to LOG.
counted() {
	sed -n "/^COUNTS OF $1\$/,/^END OF COUNTS/p" "$2" | grep -xE '[A-Za-z0-9+/]+=*' | base64 -d
}

# user_test OUT: builds the program that tests user memory.
user_test() {
	gcc -O2 -Wall -Wextra -Werror -static -pthread -o "$1" \
		"$TOP"/kunit/user/{main,helpers,contents,refuse,life,limit,stall}.c \
		"$TOP"/kunit/user/{table,follow,hostile,fault,bench}.c
}

# QEMU before 8.1 may run code that the kernel has just patched half old, half new, and
# report an int3 that no one set; and a processor of it that has run a guest may stay
# halted although it is interrupted.  Neither is the fault of the kernel or of our modules.
emulator_failed() {
	local version

	version=$(qemu-system-x86_64 --version | sed -nE 's/.* version ([0-9.]+).*/\1/p')
	[ "$(printf '%s\n' 8.1 "$version" | sort -V | head -n 1)" != 8.1 ] &&
		grep -qE 'int3: 0000 \[|Possible timer handling issue on cpu' "$1" &&
		! grep -q 'RIP: .*\[virtio_mem_xlate' "$1"
}

# limited LOG SECONDS COMMAND...: runs COMMAND, which writes LOG, and ends it with status 124
# if LOG has not grown for SECONDS, or after ten times SECONDS.  A guest that hangs is silent;
# one on a busy machine is slow.
limited() {
	local log=$1 seconds=$2 rc=0 pid size=-1 now since=$SECONDS
	shift 2

	timeout $((10 * seconds)) "$@" &
	pid=$!
	# shellcheck disable=SC2064 # this process
	trap "kill $pid 2>/dev/null || :" EXIT
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		now=$(stat -c %s "$log" 2>/dev/null || echo 0)
		if [ "$now" != "$size" ]; then
			size=$now since=$SECONDS
		elif [ $((SECONDS - since)) -ge "$seconds" ]; then
			kill "$pid"
			wait "$pid" || :
			return 124
		fi
	done
	wait "$pid" || rc=$?
	return "$rc"
}

boot_once() {
	local log=$1 seconds=$2 kernel=$3 initrd=$4 rc=0
	local append="console=ttyS0 quiet panic=-1 panic_on_warn=1 oops=panic no_hash_pointers"
	shift 4

	limited "$log" "$seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1G \
		-nodefaults -display none -serial stdio -no-reboot \
		-kernel "$kernel" -initrd "$initrd" -append "$append ${BOOT_APPEND:-}" \
		"$@" </dev/null 2>&1 | sed -u 's,\r$,,' >"$log" || rc=$?
	[ "$rc" = 0 ] || echo "RESULT qemu=$rc" >>"$log"
}

# Only the word of the guest's init, and nothing against it, is a success.
verdict() {
	local log=$1

	if grep -q '^RESULT rc=0$' "$log" && ! grep -q '^RESULT qemu=' "$log" &&
		"$TOP/scripts/splat.sh" "$log"; then
		return
	fi
	tail -n 15 "$log" | sed "s,^,#\t,"	# no results of the script's own
	case $(grep '^RESULT' "$log" | tail -n 1) in
	RESULT\ qemu=124) echo "boot: silent for too long; see $log" ;;
	RESULT\ qemu=*) echo "boot: QEMU failed; see $log" ;;
	RESULT\ rc=0) echo "boot: the kernel complained; see $log" ;;
	RESULT\ rc=*) echo "boot: a step failed in the guest; see $log" ;;
	*) echo "boot: the guest ended without a word; see $log" ;;
	esac
	return 1
}

# A host that is starved would find its timer wanting; and what hangs is to end.
STARVED="no_timer_check rcupdate.rcu_cpu_stall_timeout=60 sysctl.kernel.panic_on_rcu_stall=1"
STARVED+=" watchdog_thresh=60 softlockup_panic=1"

# boot_stages LOG PROCESSORS STAGE...: boots $tmp/root, which runs these, and prints what they print
# as they do, not what the kernels do.  $machine is more arguments of QEMU.  Adds LOG to $logs; a
# failure is in $rc.
boot_stages() {
	local log=$1 processors=$2
	shift 2

	echo "$*" >"$tmp/root/stages"
	logs+=("$log")
	: >"$log"
	tail --pid=$$ -F "$log" 2>/dev/null | grep --line-buffered -avE '^\[ *[0-9.]+\] ' &
	boot "$version" "$tmp/root" "$log" "${LIMIT:-900}" \
		-cpu max,+svm,+npt -smp "$processors" -m 3G "${machine[@]}" || rc=$?
	sleep 2	# tail is to see the end
}

# demo_stages NAME PROCESSORS STAGE...: all stages, and their counts.  "beside", which is timed,
# has one processor: two that are emulated on one take time from each other which neither notices,
# and who spins on one slows down the other.
demo_stages() {
	local name=$1 processors=$2 all="${*:3}" untimed logs=() rc=0

	read -ra untimed <<<"${all/beside/}"
	[ "${#untimed[@]}" = 0 ] || boot_stages "$log" "$processors" "${untimed[@]}"
	[[ $all != *beside* ]] || boot_stages "${log%.log}-beside.log" 1 beside
	echo "$name: $(cat "${logs[@]}" | grep -acE '^ok +') passed," \
		"$(cat "${logs[@]}" | grep -acE '^not ok +') failed, in $((SECONDS / 60)) min $((SECONDS % 60)) s"
	return "$rc"
}
