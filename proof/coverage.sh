#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# coverage.sh: the lines and branches of virtio_mem_xlate.c and its headers that ops,
# oracle and entries reach in user space.  Fails for one that is missed and does not
# stand, with its reason, in proof/not-covered.  Those of user/ are
# counted on debug kernel A: scripts/debug-kernels.sh user.
. "$(dirname "$0")/build.sh"

need gcc python3
opening "coverage: lines and branches reached in user space (log: $LOG)"
: >"$LOG"
dir=$BUILD/coverage
rm -rf "$dir"
mkdir -p "$dir"
cd "$dir"

measure() {
	local name

	for name in ops oracle entries; do
		compile gcc "$name" "$name.c" -O0 -fno-inline -DCOVERAGE --coverage -DRANDOM || return
	done
	# A table that has used up its generations for flips.
	compile gcc oracle-flips oracle.c -O0 -fno-inline -DCOVERAGE --coverage \
		'-DGENERATIONS=((1U << 20) + 2 + 3)' || return
	./ops 1 12000 && ./oracle 4 0 600 1000 && ./oracle-flips 4 0 100 1000 && ./entries || return
	for name in ./*.gcda; do
		gcov -b -c -j -t "$name" >"$name.json" || return
	done
	python3 "$TOP/proof/coverage.py" virtio_mem_xlate{.c,.h,_fast.h,_table.h,_index.h} -- ./*.json
}

check "lines and branches" measure
verdict coverage
