#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh [--all]: every check that belongs to `make check`, or to `make check-all`.
# A step passes what it counts and fails if it ends in any other way, unless it says that
# it was skipped.  The slow steps of check-all keep one processor busy each; as many run at a
# time as there are processors.  check-all has a part for this machine, and one for a clean
# root of each release; PART=here|RELEASE chooses one.
. "$(dirname "$0")/common.sh"

case ${1:-}:${PART:-} in
--all:here | --all: | :) ;;
--all:*) row release "$PART" >/dev/null && exec "$TOP/scripts/fresh.sh" "$PART" ;;
*) die "PART= is for check-all" ;;
esac
[ "${1:-}${PART:-}" != --all ] || [ "$(id -u)" = 0 ] ||
	die "only root can make clean roots; PART=here runs the rest of check-all"

# The packages of all steps, so that a user other than root is told them once.
frama_c=$(row frama-c || :)
# shellcheck disable=SC2046 # lists
need gcc make perl python3 git kmod cpio xz-utils bc bison flex libelf-dev libssl-dev pahole binutils \
	ccache sparse qemu-system-x86 busybox-static gcc-aarch64-linux-gnu gnuplot-nox libc6-dev \
	e2fsprogs "lib32gcc-$(row gcc)-dev" libc6-dev-i386 qemu-user \
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
)
minutes=40 slow=()
if [ "${1:-}" = --all ]; then
	need dkms python3-sphinx qemu-system-arm "$(row s390x)" gcc-s390x-linux-gnu debootstrap
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
rm -f "$LOGS"/*.log
echo "check: $((${#steps[@]} + ${#slow[@]})) steps; $minutes minutes on a new machine with 2 cores (logs: $LOGS)"

log_of() {
	echo "$LOGS/${1//[^a-z0-9.]/-}.log"
}

# run STEP: prints what the step does, which ends in a line that counts() reads.
run() {
	local start=$SECONDS rc=0 log
	log=$(log_of "$1")
	echo "=== $1"
	# shellcheck disable=SC2086 # the step's own words
	"$TOP"/scripts/$1 </dev/null 2>&1 | tee "$log" || rc=$?
	if [ "$rc" = "$SKIPPED" ]; then
		echo "$1: 0 passed, 0 failed, 1 skipped" | tee -a "$log"
	elif [ "$rc" != 0 ] && [[ $(counts "$log") = *" 0" || $(counts "$log") = *" 0 "* ]]; then
		echo "$1: exit status $rc: 0 passed, 1 failed" | tee -a "$log"
	fi
	echo "=== $1: $((SECONDS - start)) s"
}

# beside STEP: the same beside others; prints nothing but how it ended.
beside() {
	local said log
	log=$(log_of "$1")
	said=$(run "$1")
	tail -n 1 <<<"$said"
	{ grep -E '^(not ok|.*: skipped: |.*: [0-9]+ passed, [0-9]+ failed)' "$log" || tail -n 5 "$log"; } |
		sed 's/^/	/'
}

for step in "${steps[@]}"; do
	run "$step"
done
if [ "${#slow[@]}" -gt 0 ]; then
	echo "=== ${#slow[@]} slow ones, $JOBS at a time; each tells when it is done"
	export -f log_of run beside counts
	export TOP SKIPPED
	# shellcheck disable=SC2016 # for the shell that runs a step
	printf '%s\0' "${slow[@]}" | JOBS=1 xargs -0 -n 1 -P "$JOBS" \
		bash -c 'set -o pipefail; beside "$1"' beside || :
fi
for step in "${steps[@]}" "${slow[@]}"; do
	read -r p f s <<<"$(counts "$(log_of "$step")")"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
done

grep -h ': skipped: ' "$LOGS"/*.log || :
echo "all steps: $SECONDS s"
closing check | sed 's/^check: //'
[ "$failed" = 0 ]
