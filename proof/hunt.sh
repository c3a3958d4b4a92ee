#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# hunt.sh: climbs over layouts for the worst cost of each operation; see usage().
. "$(dirname "$0")/build.sh"

usage() {
	cat <<'END'
usage: hunt.sh [--short] [--seconds=N]

Climbs over layouts of 1 to 32764 slots, and over the accesses to them, for the worst cost
of point lookups in any slot and in hot ones, of ranges of 64 KiB and of 4 GiB - 1, of
misses, add and register, by the cost of vhost_iotlb's algorithm ("tree") and of a binary
search without branches ("array").  "ns" are of one lookup, of one add, and of one slot that is registered; "worst"
says against which peer the layout is the worst that was found, "lost" that the peer is
faster there.  4 minutes; --short, with 4, 64 and 4096 slots, 20 seconds.

It fails if, from 4 slots on, a layout's point lookup in any slot costs more than the
tree's, or if an operation but a miss costs more than twice as much of its peer's at most
slots as at fewer (an add: twice as much a slot); by more than noise, after timing again.
--short fails for a wrong answer only.  SEED= repeats the choices of a climb, if not its path,
which depends on timing; LAYOUT= times one of the layouts that it prints.
END
}

short='' seconds=''
for arg; do
	case $arg in
	--short) short=short ;;
	--seconds=*) seconds=${arg#*=} ;;
	--help | -h) usage; exit ;;
	*) die "unknown argument $arg (--help shows them)" ;;
	esac
done
need gcc
cd "$BUILD"
# A kernel's options, as far as they change the code; where loops lie is no part of what is
# compared.  No memory is filled that a kernel would not fill.
compile gcc hunt hunt.c -O2 -mgeneral-regs-only -D__NO_INLINE__ -fno-pie -no-pie \
	-fno-strict-overflow -fno-delete-null-pointer-checks -ftrivial-auto-var-init=zero \
	-falign-functions=64 -falign-loops=64 -Wno-maybe-uninitialized -DUNWRITTEN
if [ -n "${LAYOUT:-}" ]; then
	args=("$LAYOUT")
else
	args=("${SEED:-$(date +%s)}" "${seconds:-$([ -n "$short" ] && echo 18 || echo 240)}")
	[ -z "$short" ] || args+=(short)
fi
opening "hunt: worst layouts; hunt ${args[*]} (log: $LOG)"
rc=0
./hunt "${args[@]}" 2>&1 | tee "$LOG" | sed -u 's/^/# /' || rc=$?
# On a busy machine times say little: --short fails for a wrong answer only.
[ -z "$short" ] || ! grep -q '; goals: ' "$LOG" || rc=0
result "$rc" "answers$([ -n "$short" ] || echo " and goals"): $(tail -n 1 "$LOG")"
verdict hunt
