#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# check.sh [--all]: every check that belongs to `make check`, or to `make check-all`,
# one after the other.
# A step passes what it counts and fails if it ends in any other way.
. "$(dirname "$0")/common.sh"

# What all the steps need, so that who is not root is told once.
need gcc make perl python3 git kmod cpio xz-utils bc bison flex libelf-dev libssl-dev \
	binutils ccache sparse lcov qemu-system-x86 busybox-static gcc-aarch64-linux-gnu gnuplot-nox libc6-dev e2fsprogs \
	lib32gcc-12-dev libc6-dev-i386 clang-14 libclang-rt-14-dev frama-c-base why3 cvc4 z3 spin \
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
minutes=30
if [ "${1:-}" = --all ]; then
	need dkms python3-sphinx qemu-system-arm qemu-system-misc gcc-s390x-linux-gnu
	minutes=80
	export PART=0/3		# of the mutants
	steps+=(
		"../proof/run.sh"
		"../proof/fuzz.sh --short"
		"../proof/mutants.sh"
		"debug-kernels.sh --updates=30000 A B user"
		"user.sh 6.12" "user.sh 6.1" "install.sh" "htmldocs.sh" "kernels.sh"
		"kunit.sh --arch=arm64 6.12" "kunit.sh --arch=s390x 6.12" "kunit.sh --arch=i386 6.12"
	)
else
	steps+=(
		"../proof/run.sh --short"
		"user.sh --quick --qemu 6.12"
		"user.sh --quick --qemu 6.1"
	)
fi
passed=0 failed=0
LOGS=$CACHE/check
mkdir -p "$LOGS"
echo "check: ${#steps[@]} steps; $minutes minutes on a new machine with 2 cores (logs: $LOGS)"

for step in "${steps[@]}"; do
	log="$LOGS/${step//[^a-z0-9.]/-}.log"
	start=$SECONDS
	echo "=== $step"
	# shellcheck disable=SC2086 # the step's own words
	if "$TOP"/scripts/$step </dev/null 2>&1 | tee "$log"; then rc=0; else rc=$?; fi
	read -r p f <<<"$(counts "$log")"
	if [ "$rc" != 0 ] && [ "$f" = 0 ]; then
		echo "$step: exit status $rc"
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f))
	echo "=== $step: $((SECONDS - start)) s"
done

echo "all steps: $SECONDS s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
