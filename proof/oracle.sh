#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# oracle.sh: random and exhaustive tables against the model; see usage().
. "$(dirname "$0")/build.sh"

usage() {
	cat <<'END'
usage: oracle.sh [--full] [--seed=N]

Asks random tables, and all small ones, and compares each answer with the model's.
Without --full 2*10^7 questions and entries of 5 bits, 1 minute; with it 10^9 and
entries of 8 and 6 bits, 10 minutes on 2 cores.  --seed repeats the random part;
`oracle SEED FIRST TABLES QUERIES` in the build folder any table of it.
END
}

full='' seed=$(date +%s)
for arg; do
	case $arg in
	--full) full=1 ;;
	--seed=*) seed=${arg#*=} ;;
	--help | -h) usage; exit ;;
	*) die "unknown argument $arg (--help shows them)" ;;
	esac
done
# shellcheck disable=SC2086 # a list
need gcc $LIB_32 "$CLANG" "$LIB_CLANG"
echo "oracle: tables against a model, seed $seed (log: $LOG)"
: >"$LOG"
cd "$BUILD"

# parts NAME COMMAND...: COMMAND for each of the parts PART PARTS, side by side.
parts() {
	local n=$JOBS i pids=() rc=0

	rm -f "$LOG".part*	# there may have been more of them
	for i in $(seq 0 $((n - 1))); do
		"$@" "$i" "$n" >"$LOG.part$i" &
		pids+=($!)
	done
	for i in "${pids[@]}"; do wait "$i" || rc=1; done
	cat "$LOG".part*
	return "$rc"
}

# shellcheck disable=SC2086 # a program or none
tables() {
	$runner "./$program" "$seed" $(($2 * tables / $3)) $((($2 + 1) * tables / $3 - $2 * tables / $3)) "$1"
}

random() {
	local program=$1 runner=${2:-}

	parts tables "$queries" &&
		cat "$LOG".part* | sed -nE 's/.*: ([0-9]+) queries of ([0-9]+) tables, ([0-9]+) hit.*/\1 \2 \3/p' |
		awk '{ q += $1; t += $2; h += $3 }
			END { printf "%d queries of %d tables, %d %% hit, 0 mismatches\n", q, t, 100 * h / q }'
}

exhaustive() {
	compile "$CLANG" "exhaustive-$2" exhaustive.c -O2 -DNARROW="$2" -DRANGE_SHIFT=0U \
		-Wno-tautological-constant-out-of-range-compare \
		-Wno-shift-count-overflow &&
		parts "./exhaustive-$2" "$1" &&
		cat "$LOG".part* | sed -nE 's/.* ([0-9]+) valid, ([0-9]+) questions.*/\1 \2/p' |
		awk '{ t += $1; q += $2 }
			END { printf "%d tables, %.0f questions, 0 mismatches\n", t, q }'
}

tables=20000 queries=1000 one=6 two=5 points=18
[ -z "$full" ] || tables=100000 queries=10000 one=8 two=6 points=20
compile gcc oracle oracle.c -O2
check "random tables" random oracle
tables=$((tables / 10))
# A table that has used up its generations for flips: those for removals are left.
compile gcc oracle-flips oracle.c -O2 '-DGENERATIONS=((1U << 20) + 2 + 3)'
check "random tables without generations" random oracle-flips
compile "$CLANG" oracle-32 oracle.c -O2 -m32
check "random tables on a 32-bit host" random oracle-32 "$(runner_32)"
check "all tables of 1 slot, entries of $one bits" exhaustive 1 "$one"
check "all tables of 2 slots, entries of $two bits" exhaustive 2 "$two"
compile "$CLANG" oracle-msan oracle.c -O1 -DUNWRITTEN -fsanitize=memory
check "no unwritten word is read" ./oracle-msan "$seed" 0 3000 200
compile gcc points points.c -O1 -fsanitize-coverage=trace-pc
check "preemption points of updates" ./points "$points"
verdict oracle
