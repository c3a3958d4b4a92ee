#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh [KIND]: breaks the source in some 500 places, one at a time, and runs
# the fast checks on each; a KIND such as planted runs those alone.  PART=0/3 runs
# a third.  Half an hour for all on 2 idle cores.
. "$(dirname "$0")/build.sh"

need gcc clang-14 libclang-rt-14-dev python3
echo "mutants: ${1:-all}, part ${PART:-0/1} (log: $LOG)"
: >"$LOG"
empty_headers "$BUILD/include"
check "pairs of barriers" "$TOP/proof/pairs.py" "$TOP"
check "mutants" env ONLY="${1:-}" JOBS="$JOBS" "$TOP/proof/mutants.py" "$BUILD"
verdict mutants
