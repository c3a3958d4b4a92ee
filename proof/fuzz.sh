#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fuzz.sh [SECONDS]: sequences of calls by libFuzzer under ASan and UBSan for so
# many seconds (300), then readers against updaters under TSan for a tenth of it.
. "$(dirname "$0")/build.sh"

need clang-14 libclang-rt-14-dev
seconds=${1:-300}
case $seconds in '' | *[!0-9]*) die "usage: fuzz.sh [SECONDS]" ;; esac
cd "$BUILD"
echo "fuzz: $JOBS processes for $seconds s (log: $LOG, corpus: $BUILD/corpus)"
: >"$LOG"
mkdir -p corpus

calls() {
	local i pids=() rc=0

	compile clang-14 fuzz ops.c -O2 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -Wno-unused-parameter || return
	for i in $(seq "$JOBS"); do
		./fuzz -max_len=256 -max_total_time="$seconds" -print_final_stats=1 -seed="$i" \
			-artifact_prefix="$BUILD/" corpus >"$LOG.$i" 2>&1 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || rc=1; done
	tail -n 30 "$LOG".[0-9]*
	awk '/number_of_executed_units/ { n += $2 }
		END { print n " executions, 0 findings"; exit !n }' "$LOG".[0-9]* && return "$rc"
}

race() {
	compile clang-14 race race.c -O1 -DTHREADS -fsanitize=thread &&
		./race $((seconds * 100 + 500))
}

check "calls" calls
check "readers against updaters" race
verdict fuzz
