#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# run.sh [--short]: what shows the module to be right without a kernel, one after
# the other.  15 minutes on 2 idle cores; with --short, for `make check`, 2.
. "$(dirname "$0")/build.sh"

full=--full
[ "${1:-}" != --short ] || full=
opening "proof: oracle, Frama-C, SPIN (logs: $BUILD)"

# step SCRIPT ARGUMENT...
step() {
	local rc=0

	echo "# === $1"
	"$TOP/proof/$1" "${@:2}" >"$BUILD/run.step" 2>&1 </dev/null || rc=$?
	adopt "${1%.sh}" "$BUILD/run.step" "$rc"
}

# shellcheck disable=SC2086 # an option or none
step oracle.sh $full
step frama.sh
# shellcheck disable=SC2046 # an option or none
step publish.sh $([ -n "$full" ] || echo --short)
verdict proof
