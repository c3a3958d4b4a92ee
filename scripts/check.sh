#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh [--all]: every check that belongs to `make check`, or to `make check-all`.
# A step prints its results in KTAP; one that dies is a failure.  The last line is the total
# of all results.  STEP='kunit.sh 6.12' runs one step alone.  The slow steps of check-all keep
# one processor busy each; as many run at a time as there are processors.  check-all has a part
# for this machine, and one for a clean root of each release; PART=here|RELEASE chooses one.
. "$(dirname "$0")/common.sh"

case ${1:-}:${PART:-} in
--all:here | --all: | :) ;;
--all:*) row release "$PART" >/dev/null && exec "$TOP/scripts/fresh.sh" "$PART" ;;
*) die "PART= is for check-all" ;;
esac
[ "${1:-}${PART:-}" != --all ] || [ "$(id -u)" = 0 ] ||
	die "only root can make clean roots; PART=here runs the rest of check-all"

# The packages of all steps, so that a user other than root is told them once.
frama_c=$(row frama-c || :) packages=()
[ "${1:-}" != --all ] ||
	packages=(dkms python3-sphinx qemu-system-arm "$(row s390x)" gcc-s390x-linux-gnu debootstrap)
# shellcheck disable=SC2046 # lists
need "${packages[@]}" gcc make perl python3 git kmod cpio xz-utils bc bison flex libelf-dev \
	libssl-dev pahole binutils ccache sparse qemu-system-x86 busybox-static \
	gcc-aarch64-linux-gnu gnuplot-nox libc6-dev e2fsprogs "lib32gcc-$(row gcc)-dev" \
	libc6-dev-i386 qemu-user \
	$(row clang | sed 's/.*/clang-& lld-& llvm-& libclang-rt-&-dev/') \
	$([ "$frama_c" = - ] || echo "$frama_c" why3 cvc4 z3) spin

mapfile -t stock < <(row stock)
mapfile -t uml < <(tr ' ' '\n' <<<"$UML_KERNELS")
steps=(
	"lint.sh"
	"clamp.sh"
	"${stock[@]/#/stock.sh }"
	"${uml[@]/#/kunit.sh }"
	"kunit.sh --arch=x86_64 6.12"
	"../bench/run.sh --short"
	"../proof/coverage.sh"
	"../proof/hunt.sh --short"
)
minutes=40 slow=()
if [ "${1:-}" = --all ]; then
	minutes=80
	slow=(
		"debug-kernels.sh --updates=30000 A B user"
		"kunit.sh --arch=x86_64 7.3" "kunit.sh --checkers 6.1" "user.sh --uml 7.3"
		"${stock[@]/#/user.sh }" "../proof/mutants.sh" "../proof/run.sh"
		"kunit.sh --arch=s390x 6.12" "kunit.sh --arch=arm64 6.12" "kunit.sh --arch=i386 6.12"
		"kernels.sh --all-releases" "../proof/fuzz.sh --short" "install.sh" "htmldocs.sh"
	)
	if [ -z "${PART:-}" ]; then
		mapfile -t fresh < <(releases)
		steps+=("${fresh[@]/#/fresh.sh }")
		minutes=$((minutes + 50 * ${#fresh[@]}))
	fi
else
	steps+=("../proof/run.sh --short" "${stock[@]/#/user.sh --quick }")
fi
export LOGS=$CACHE/check
mkdir -p "$LOGS"

log_of() {
	echo "$LOGS/${1//[^a-z0-9.]/-}.log"
}

# failures LOG: prints each failing result and the lines of detail before it, or, if there is
# none, the end of LOG.
failures() {
	awk '/^not ok / { for (i = n > 20 ? n - 20 : 0; i < n; i++) print detail[i]; print; found = 1 }
		/^(#|[ 	])/ { detail[n++] = $0; next }
		{ n = 0 }
		END { exit !found }' "$1" || tail -n 10 "$1"
}

# run NUMBER STEP: runs STEP into its log and prints, in one piece, how it ended.
run() {
	local start=$SECONDS rc=0 log verdict=ok said='' p f s
	log=$(log_of "$2")
	# shellcheck disable=SC2086 # the step's own words
	"$TOP"/scripts/$2 </dev/null >"$log" 2>&1 || rc=$?
	read -r p f s <<<"$(counts "$log")"
	if [ "$rc" = "$SKIPPED" ]; then
		# It may have said so to another log.
		[ "$f" != 1 ] || [ "$s" != 0 ] || f=0 s=1
	elif [ "$rc" != 0 ] && [ "$f" = 0 ]; then
		f=1
	fi
	echo "$p $f $s" >"$log.counts"
	[ "$f" = 0 ] || verdict='not ok' said=$(failures "$log" | sed 's/^/#	/'; echo "#	exit status $rc, log: $log")
	[ "$s" = 0 ] || said+=$'\n'$(grep -h '# SKIP' "$log" | sed 's/^/#	/' || :)
	printf '%s\n' ${said:+"$said"} \
		"$verdict $1 $2 # $p passed, $f failed, $s skipped, $((SECONDS - start)) s" | sed '/^$/d'
}

# STEP= chooses one of them, of check or of check-all.
if [ -n "${STEP:-}" ]; then
	found=
	for step in "${steps[@]}" "${slow[@]}"; do
		[ "$step" != "$STEP" ] || found=$step
	done
	[ -n "$found" ] || {
		printf 'the steps are:\n' >&2
		printf "	STEP='%s'\n" "${steps[@]}" "${slow[@]}" >&2
		die "STEP='$STEP' is none of them"
	}
	steps=("$found") slow=()
	unset STEP
	rm -f "$(log_of "$found")"*
else
	rm -f "$LOGS"/*.log*
fi

n=0 all=$((${#steps[@]} + ${#slow[@]}))
opening "check: $all steps; at most $minutes minutes on a new machine with 2 cores (logs: $LOGS)"
echo "1..$all"
for step in "${steps[@]}"; do
	n=$((n + 1))
	echo "# [$n/$all] $step"
	run "$n" "$step"
done
if [ "${#slow[@]}" -gt 0 ]; then
	echo "# ${#slow[@]} slow ones, $JOBS at a time; each tells when it is done"
	for step in "${slow[@]}"; do
		while [ "$(jobs -rp | wc -l)" -ge "$JOBS" ]; do wait -n || :; done
		n=$((n + 1))
		(export JOBS=1; run "$n" "$step") &
	done
	wait
fi
for step in "${steps[@]}" "${slow[@]}"; do
	read -r p f s <"$(log_of "$step").counts" || { p=0 f=1 s=0; }
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
echo "# all steps: $SECONDS s"
total
[ "$failed" = 0 ]
