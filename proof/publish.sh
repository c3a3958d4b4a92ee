#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# publish.sh: every interleaving of proof/publish.pml by SPIN, and the bugs that
# it plants, each of which must be found.  About 1 minute, 2 GiB of memory.
. "$(dirname "$0")/build.sh"

need spin gcc
BUGS=12
cd "$BUILD"
opening "publish: publish and retire, every interleaving, and $BUGS planted bugs (log: $LOG)"
: >"$LOG"

# pan BUG: prints what SPIN's search says of the model with that bug.
pan() {
	local dir=$BUILD/publish-$1

	mkdir -p "$dir"
	cd "$dir"
	spin -DBUG="$1" -a "$TOP/proof/publish.pml"
	gcc -O2 -w -DSAFETY -DCOLLAPSE -DVECTORSZ=2048 -o pan pan.c
	./pan -m100000
}

# pan exits with 0 whatever it finds.
none() {
	pan 0 >"$LOG.pan"
	cat "$LOG.pan"
	grep -q 'errors: 0$' "$LOG.pan" &&
		! grep -qE 'assertion violated|too small|out of memory|not complete' "$LOG.pan" &&
		awk '/states, stored/ { n = $1 } END { print n " states, 0 errors"; exit n < 1000000 }' \
			"$LOG.pan"
}

found() {
	pan "$1" >"$LOG.pan"
	cat "$LOG.pan"
	sed -n 's/^pan:1: //p' "$LOG.pan" | grep -E 'assertion violated|invalid end state'
}

check "publish and retire" none
for bug in $(seq "$BUGS"); do
	check "planted bug $bug is found" found "$bug"
done
verdict publish
