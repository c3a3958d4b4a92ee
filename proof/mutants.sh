#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh [KIND]: breaks the source in some 500 places, one at a time, and runs
# the fast checks on each, then plants bugs in user memory and runs its tests.  A
# KIND such as planted runs those mutants alone, user the last.  20 minutes for all
# on 2 idle cores.
. "$(dirname "$0")/build.sh"

# shellcheck disable=SC2086 # a list
need gcc $LIB_32 "$CLANG" "$LIB_CLANG" python3 git

# show NAME COMMAND...: as check, but prints all that COMMAND does.
show() {
	local name=$1 rc=0
	shift

	"$@" 2>&1 </dev/null | tee -a "$LOG" | sed 's/^/# /' || rc=1
	result "$rc" "$name"
}

opening "mutants: ${1:-all} (log: $LOG)"
: >"$LOG"
empty_headers "$BUILD/include"
check "pairs of barriers" "$TOP/proof/pairs.py" "$TOP"
if [ "${1:-}" != user ]; then
	show "mutants" env ONLY="${1:-}" JOBS="$JOBS" RUNNER_32="$(runner_32)" \
		"$TOP/proof/mutants.py" "$BUILD"
fi
case ${1:-user} in
user) show "planted in user memory" env ONLY=user "$TOP/proof/mutants.py" "$BUILD" ;;
esac
verdict mutants
