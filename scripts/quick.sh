#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# quick.sh [SUITE]: the loop of whoever edits the core: random tables against the model in
# user space, then one KUnit suite, virtio_mem_xlate_range if not told, in user-mode Linux
# 6.12.  Once the kernel is built, 20 seconds at most for both.
. "$(dirname "$0")/common.sh"

suite=${1:-virtio_mem_xlate_range}
opening "quick: an oracle, then $suite"
for step in "../proof/oracle.sh --quick" "kunit.sh 6.12 $suite"; do
	rc=0 start=$SECONDS
	# shellcheck disable=SC2086 # words
	"$TOP"/scripts/$step >"$CACHE/quick.log" 2>&1 </dev/null || rc=$?
	adopt "${step%% *}" "$CACHE/quick.log" "$rc"
	echo "# $step: $((SECONDS - start)) s"
done
closing quick
