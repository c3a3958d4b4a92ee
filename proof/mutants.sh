#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# mutants.sh [KIND|FUNCTION,...]: breaks the source in some 1100 places, one at a time, and runs
# the fast checks on each, then plants bugs in user memory and runs its tests.  With kinds, such as
# planted, or functions, only those mutants; user is the last part.  50 minutes for all on 2 idle
# cores.
. "$(dirname "$0")/build.sh"

# shellcheck disable=SC2086 # a list
need gcc $LIB_32 "$CLANG" "$LIB_CLANG" python3 git

# show NAME COMMAND...: as check, but prints all that COMMAND does.
show() {
	local name=$1 rc=0
	shift

	"$@" 2>&1 </dev/null | tee -a "$LOG" | sed 's/^/# /' || rc=1
	figures+=("$name, $kinds: $(tail -n 1 "$LOG")")
	result "$rc" "$name"
}

kinds=${1:-all}
opening "mutants: $kinds (log: $LOG)"
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
