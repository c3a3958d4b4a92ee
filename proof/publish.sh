#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# publish.sh [--short]: every interleaving of proof/publish.pml and proof/flip.pml by SPIN, and
# the bugs that they plant, each of which must be found; with --short three of each.  4 minutes, or
# 2; 2 GiB of memory.
. "$(dirname "$0")/build.sh"

short=''
[ "${1:-}" != --short ] || short=1
need spin gcc
cd "$BUILD"
opening "publish: every interleaving of updates and flips, and planted bugs (log: $LOG)"
: >"$LOG"

# pan MODEL BUG: prints what SPIN's search says of the model with that bug.
pan() {
	local dir=$BUILD/publish-$1-$2

	mkdir -p "$dir"
	cd "$dir"
	spin -DBUG="$2" -a "$TOP/proof/$1.pml"
	gcc -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c
	./pan -m100000
}

# pan exits with 0 whatever it finds.
none() {
	pan "$1" 0 >"$LOG.pan"
	cat "$LOG.pan"
	grep -q 'errors: 0$' "$LOG.pan" &&
		! grep -qE 'assertion violated|too small|out of memory|not complete' "$LOG.pan" &&
		awk '/states, stored/ { n = $1 } END { print n " states, 0 errors"; exit n < 100000 }' \
			"$LOG.pan"
}

found() {
	pan "$1" "$2" >"$LOG.pan"
	cat "$LOG.pan"
	sed -n 's/^pan:1: //p' "$LOG.pan" | grep -E 'assertion violated|invalid end state'
}

# model NAME WHAT BUGS
model() {
	local bug step=1

	check "$2" none "$1"
	[ -z "$short" ] || step=$(($3 / 3))
	for bug in $(seq "$step" "$step" "$3"); do
		check "planted bug $bug of $1.pml is found" found "$1" "$bug"
	done
}

model publish "updates, holds and callbacks" 24
model flip "memory that goes and comes" 17
verdict publish
