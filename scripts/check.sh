#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh [--all]: every check that belongs to `make check`, or to `make check-all`.
# A step passes what it counts and fails if it ends in any other way.
# The slow ones of check-all keep one processor busy each: so many run at a time.
. "$(dirname "$0")/common.sh"

# What all the steps need, so that who is not root is told once.
need gcc make perl python3 git kmod cpio xz-utils bc bison flex libelf-dev libssl-dev \
	binutils ccache sparse lcov qemu-system-x86 busybox-static gcc-aarch64-linux-gnu gnuplot-nox libc6-dev e2fsprogs \
	lib32gcc-12-dev libc6-dev-i386 qemu-user clang-14 libclang-rt-14-dev frama-c-base why3 cvc4 z3 spin \
	linux-source-6.12 linux-source-6.1 linux-headers-6.12-amd64 linux-headers-amd64

steps=(
	"lint.sh"
	"clamp.sh"
	"stock.sh 6.12"
	"stock.sh 6.1"
	"kunit.sh --checkers 6.12"
	"kunit.sh --checkers 6.1"
	"kunit.sh --arch=x86_64 6.12"
	"kunit.sh --coverage 6.12"
	"../bench/run.sh --short"
	"../proof/coverage.sh"
)
minutes=30 slow=()
if [ "${1:-}" = --all ]; then
	need dkms python3-sphinx qemu-system-arm qemu-system-misc gcc-s390x-linux-gnu
	minutes=70
	slow=(
		"debug-kernels.sh --updates=30000 A B user"
		"user.sh 6.12" "user.sh 6.1" "../proof/mutants.sh" "../proof/run.sh"
		"kunit.sh --arch=s390x 6.12" "kunit.sh --arch=arm64 6.12" "kunit.sh --arch=i386 6.12"
		"kernels.sh" "../proof/fuzz.sh --short" "install.sh" "htmldocs.sh"
	)
else
	steps+=(
		"../proof/run.sh --short"
		"user.sh --quick --qemu 6.12"
		"user.sh --quick --qemu 6.1"
	)
fi
passed=0 failed=0
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
	if [ "$rc" != 0 ] && [[ $(counts "$log") = *" 0" ]]; then
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
	{ grep -E '^(not ok|.*: [0-9]+ passed, [0-9]+ failed$)' "$log" || tail -n 5 "$log"; } |
		sed 's/^/	/'
}

for step in "${steps[@]}"; do
	run "$step"
done
if [ "${#slow[@]}" -gt 0 ]; then
	echo "=== ${#slow[@]} slow ones, $JOBS at a time; each tells when it is done"
	export -f log_of run beside counts
	export TOP
	# shellcheck disable=SC2016 # for the shell that runs a step
	printf '%s\0' "${slow[@]}" | JOBS=1 xargs -0 -n 1 -P "$JOBS" \
		bash -c 'set -o pipefail; beside "$1"' beside || :
fi
for step in "${steps[@]}" "${slow[@]}"; do
	read -r p f <<<"$(counts "$(log_of "$step")")"
	passed=$((passed + p)) failed=$((failed + f))
done

echo "all steps: $SECONDS s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
