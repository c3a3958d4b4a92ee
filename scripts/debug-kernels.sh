#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Readers against updates on kernels that look for mistakes; see usage().
. "$(dirname "$0")/boot.sh"

usage() {
	cat <<'END'
usage: debug-kernels.sh [A | B | user]... [--updates=N]

Boots two kernels in QEMU that are built to complain.  In each, first every bug of
kunit/canary.c is planted and must be reported; then the KUnit suites run, with
updates against readers, by N, which is 100000, on

  A  2 processors (2 N), 4 (N) and 8 (N / 20: they are slow): KASAN, also of vmalloc,
     lockdep, PROVE_RCU, DEBUG_ATOMIC_SLEEP, DEBUG_OBJECTS_RCU_HEAD, kmemleak,
     failing allocations
  B  2 processors (N) and 4 (N): KCSAN, strict, with weak memory

and no report may be seen.  On A, also the tests of user memory, which must reach
all of user/: `user' alone is that.  15 minutes on 2 idle cores,
30 on a new machine.
END
}

kernels=() updates=100000
for arg; do
	case $arg in
	A | B | user) kernels+=("$arg") ;;
	--updates=*) updates=${arg#*=} ;;
	--help | -h) usage; exit ;;
	*) die "unknown argument $arg (--help shows them)" ;;
	esac
done
case $updates in '' | *[!0-9]*) die "--updates=$updates is no number" ;; esac
[ ${#kernels[@]} -gt 0 ] || kernels=(A user B)
need gcc libc6-dev python3

# What each checker says of its canary.
declare -A says=(
	[kasan]='KASAN: slab-use-after-free in see'
	[vmalloc]='KASAN: vmalloc-out-of-bounds in see'
	[sleep]='sleeping function called from invalid context'
	[rcu]='suspicious rcu_dereference_check'
	[objects]='ODEBUG: activate active'
	[kmemleak]='unreferenced object'
	[lockdep]='possible circular locking dependency'
	[kcsan]='KCSAN: data-race in add_for'
	[barrier]='KCSAN: data-race in add_under_lock'
)

# For a guest: what has not changed since the first scan, and is old enough, is reported.
leaks() {
	cat <<'END'
leaks() {
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	sleep 6
	echo scan >/sys/kernel/debug/kmemleak
	cat /sys/kernel/debug/kmemleak
}
END
	cat
}

# ours BUILD LOG: prints LOG without what KCSAN reports of others, as the kernel has
# races of its own: a report is ours if it names a function of ours, other than as
# what a worker of the kernel was at.
ours() {
	nm --defined-only "$1"/drivers/virtio_mem_xlate/{,user/,kunit/}*.o | awk '$2 ~ /[tT]/ { print $3 }' |
		awk 'NR == FNR { ours[$1]; next }
			/^(\[[^]]*\] )?====/ { if (in_report && mine) printf "%s", report
				in_report = mine = 0; report = ""; next }
			/BUG: KCSAN:/ { in_report = 1 }
			!in_report { print; next }
			{ report = report $0 "\n"; line = $0; sub(/Workqueue: .*/, "", line); gsub(/[^A-Za-z0-9_]+/, " ", line)
				n = split(line, word, " ")
				for (i = 1; i <= n; i++) if (word[i] in ours) mine = 1 }
			END { if (in_report) printf "%s", report }' - "$2"
}

canaries() {
	local kernel=$1 build=$2 log=$3 name missing=0
	shift 3

	# KCSAN looks at one access in 4000; two that must fall together need more than that.
	leaks <<END | boot_debug "$build" "$log" 2 kunit.filter_glob=none || { tail -n 15 "$log" | sed "s,^,#\t,"; return 1; }
[ ! -e /sys/module/kcsan ] || echo 10 >/sys/module/kcsan/parameters/skip_watch
cd /sys/module/virtio_mem_xlate_kunit/parameters
for name in $*; do
	echo "canary \$name" >/dev/kmsg
	echo \$name >canary
	if [ \$name = kmemleak ]; then
		leaks
	fi
done
END
	for name; do
		if sed -nE "/(^|\] )canary $name\$/,/(^|\] )canary /p" "$log" |
			grep -E "${says[$name]}" >/dev/null; then
			result 0 "$kernel: canary $name is reported"
		else
			result 1 "$kernel: canary $name is not reported; see $log"
			missing=1
		fi
	done
	return "$missing"
}

# Prints the counts; fails for a report, a case that failed or too little done.
suites() {
	local build=$1 log=$2 cpus=$3 updates=$4 done

	leaks <<'END' | boot_debug "$build" "$log" "$cpus" 'kunit.filter_glob=virtio_mem_xlate*' \
		"virtio_mem_xlate_kunit.race_updates=$updates" || { tail -n 15 "$log" | sed "s,^,#\t,"; return 1; }
[ ! -e /sys/kernel/debug/kmemleak ] || leaks
END
	ours "$build" "$log" >"$log.ours"
	"$TOP/scripts/splat.sh" "$log.ours" | head -n 15 && [ "${PIPESTATUS[0]}" = 0 ] || return
	if grep -E '^ *(\[[^]]*\])? *not ok ' "$log" | sed 's/^/#	/' | grep .; then
		return 1
	fi
	done=$(sed -nE 's/.*readers_against_everything: .* ([0-9]+) updates$/\1/p' "$log")
	[ "${done:-0}" -ge "$updates" ] || { echo "only ${done:-no} updates; see $log"; return 1; }
	sum=$((sum + done))
	sed -nE 's/.*(readers_against_everything: .* updates)/	\1/p;s/.*_without_memory: (.*)/	\1/p' "$log"
}

# The tests of user memory, and what of it they reached.  One may be skipped: this
# kernel has no memory to plug.
user_memory() {
	local build=$1 log=$2 tmp rc=0
	local objects=$build/drivers/virtio_mem_xlate/user names name

	names=$(cd "$TOP/user" && printf '%s\n' *.c | sed 's/\.c$//')
	tmp=$(mktemp -d)
	user_test "$tmp/test"
	files=("$tmp/test")
	{
		cat <<'END'
mkdir /disk
mount -t ramfs none /disk
echo 64 >/proc/sys/vm/nr_hugepages
rc=0
/bin/test --quick --kasan contents refuse life limit stall table faults || rc=$?
END
		for name in $names; do count_lines "$name"; done
		echo 'exit $rc'
	} | boot_debug "$build" "$log" 2 kunit.filter_glob=none secretmem.enable=1 || rc=1
	files=()
	grep -aE '^(not ok|skip) |^ok .*# SKIP|^(#|	)[ 	]*[a-z]+\.c:|fault injection' "$log" | sed 's/^/#	/' || :
	for name in $names; do
		counted "$name" "$log" >"$tmp/$name.gcda"
		cp "$objects/$name.gcno" "$tmp"
		(cd "$tmp" && gcov -b -c -j -t "$name.gcda" >"$name.json" 2>/dev/null) || rc=1
	done
	(cd "$TOP" && python3 proof/coverage.py user/*.c -- "$tmp"/*.json) || rc=1
	rm -r "$tmp"
	"$TOP/scripts/splat.sh" "$log" | head -n 15 && [ "${PIPESTATUS[0]}" = 0 ] || rc=1
	! grep -aE '^(skip |ok .*# SKIP)' "$log" | grep -v 'movable memory' || rc=1
	return "$rc"
}

opening "debug-kernels: ${kernels[*]}"
for kernel in "${kernels[@]}"; do
	case $kernel in
	A | user) kcsan='' cpus='2:200 4:100 8:5' names='rcu lockdep objects sleep kmemleak kasan vmalloc' ;;
	B) kcsan=--kcsan cpus='2:100 4:100' names='kcsan barrier lockdep' ;;
	esac
	log=$CACHE/debug-kernel-$kernel.log
	echo "# debug-kernels: building $kernel, 10 minutes when new (log: $log)"
	build=$("$TOP/scripts/kunit.sh" --arch=x86_64 $kcsan --build 6.12 | tee "$log" | tail -n 1)
	[ -f "$build/arch/x86/boot/bzImage" ] || die "no kernel $kernel; see $log"
	if [ "$kernel" = user ]; then
		rc=0
		user_memory "$build" "$log" || rc=$?
		result "$rc" "user memory on A: tests, and lines reached"
		continue
	fi
	# shellcheck disable=SC2086 # a list
	canaries "$kernel" "$build" "$log.canaries" $names || {
		result 1 "$kernel: not run, as its checkers are not seen to work"
		continue
	}
	sum=0
	for n in $cpus; do
		rc=0
		suites "$build" "$log.${n%:*}" "${n%:*}" $((updates * ${n#*:} / 100)) || rc=$?
		result "$rc" "$kernel: all suites on ${n%:*} processors, $sum updates so far"
	done
done
closing debug-kernels
