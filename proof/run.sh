#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [--short]: what shows the module to be right without a kernel, one after
# the other.  15 minutes on 2 idle cores; with --short, for `make check`, 2.
. "$(dirname "$0")/build.sh"

full=--full
[ "${1:-}" != --short ] || full=
echo "proof: oracle, Frama-C, SPIN (logs: $BUILD)"

step() {
	local name=$1 p f s rc

	echo "=== $name"
	rc=0
	"$TOP/proof/$@" 2>&1 </dev/null | tee "$BUILD/run.step" || rc=$?
	if [ "$rc" = "$SKIPPED" ]; then
		skipped=$((skipped + 1))
		return
	fi
	read -r p f s <<<"$(counts "$BUILD/run.step")"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + ${s:-0}))
}

# shellcheck disable=SC2086 # an option or none
step oracle.sh $full
step frama.sh
step publish.sh
verdict proof
