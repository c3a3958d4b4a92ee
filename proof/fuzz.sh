#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Sequences of calls by libFuzzer, and threads under TSan; see usage().
. "$(dirname "$0")/build.sh"

usage() {
	cat <<'END'
usage: fuzz.sh [--short] [--keep]

Runs 10^7 sequences of calls by libFuzzer under ASan and UBSan, from proof/corpus
and from what was found before in the build folder, then readers against updaters
under TSan for 60 seconds: 8 minutes on 2 idle cores.

  --short   2 minutes and 10 seconds instead
  --keep    makes proof/corpus anew: inputs that reach all branches that are known
END
}

runs=10000000 seconds=6000 race_ms=60000 keep=''
for arg; do
	case $arg in
	--short) seconds=120 race_ms=10000 ;;
	--keep) keep=1 ;;
	--help | -h) usage; exit ;;
	*) die "unknown argument $arg (--help shows them)" ;;
	esac
done
need "$CLANG" "$LIB_CLANG" python3
cd "$BUILD"
opening "fuzz: $JOBS processes (log: $LOG, corpus: $BUILD/corpus)"
: >"$LOG"
mkdir -p corpus
rm -f "$LOG".[0-9]*

# One input a line, in hex.
unpack() {
	python3 - "$TOP/proof/corpus" corpus <<'END'
import hashlib, sys
for line in open(sys.argv[1]):
    data = bytes.fromhex(line)
    open(f'{sys.argv[2]}/{hashlib.sha1(data).hexdigest()}', 'wb').write(data)
END
}

pack() {
	rm -rf small
	mkdir small
	./fuzz -merge=1 -use_counters=0 -max_len=256 small corpus >>"$LOG" 2>&1
	python3 -c 'import sys
for name in sorted(sys.argv[1:]): print(open(name, "rb").read().hex())' small/* >"$TOP/proof/corpus"
}

calls() {
	local i pids=() rc=0

	unpack
	compile "$CLANG" fuzz ops.c -O2 -fsanitize=fuzzer,address,undefined \
		-fno-sanitize-recover=all -Wno-unused-parameter || return
	for i in $(seq "$JOBS"); do
		./fuzz -max_len=256 -runs=$((runs / JOBS + 1)) -max_total_time="$seconds" \
			-print_final_stats=1 -artifact_prefix="$BUILD/" corpus >"$LOG.$i" 2>&1 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || rc=1; done
	tail -n 30 "$LOG".[0-9]*
	awk '/number_of_executed_units/ { n += $2 }
		END { print n " executions, 0 findings"; exit !n }' "$LOG".[0-9]* && return "$rc"
}

race() {
	compile "$CLANG" race race.c -O1 -DTHREADS -fsanitize=thread && ./race "$race_ms"
}

check "calls" calls
[ -z "$keep" ] || pack
check "readers against updaters" race
verdict fuzz
