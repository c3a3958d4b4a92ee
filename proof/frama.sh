#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# frama.sh: Frama-C WP proves the contracts that stand in the source, for every
# table, with its goals against bad memory accesses and unsigned overflow.
# About 3 minutes on 2 idle cores.
. "$(dirname "$0")/build.sh"

# Exactly so many goals, or a contract has gone without anyone noticing.
GOALS=226
proved=(
	virtio_driver_range_init virtio_driver_range_from_bounds virtio_driver_range_split_at
	virtio_device_range_new virtio_device_range_split_at __virtio_device_range_ptr
	access_validate driver_range_validate slot_validate
	slots_check slots_end table_seal
	slots_word_first slots_word_order slots_behind table_search
)

frama_c=$(row frama-c) || skip "$RELEASE has no Frama-C"
need "$frama_c" why3 cvc4 z3
opening "frama: the contracts of ${#proved[@]} functions (log: $LOG)"
: >"$LOG"
dir=$BUILD/frama
mkdir -p "$dir/proof"
[ -s "$HOME/.why3.conf" ] || why3 config detect >>"$LOG" 2>&1

# The source with its contracts as Frama-C wants them: lines of @, not of *.
for f in virtio_mem_xlate.h virtio_mem_xlate_table.h proof/{user,framac}.h; do
	tree=$TREE
	case $f in proof/*) tree=$TOP ;; esac
	sed -E '/^[[:space:]]*\/\*@/,/\*\//s/^([[:space:]]*) \*([^\/]|$)/\1 @\2/' "$tree/$f" >"$dir/$f"
done
empty_headers "$dir/include"
echo '#include "virtio_mem_xlate_table.h"' >"$dir/table.c"

# frama-c exits with 0 whatever it could not prove.
wp() {
	(cd "$dir" && frama-c -machdep gcc_x86_64 \
		-cpp-extra-args="-I$dir/include -I$dir -include $dir/proof/user.h" \
		-wp -wp-rte -warn-unsigned-overflow -wp-prover cvc4,z3 -wp-timeout 60 \
		-wp-par "$JOBS" -wp-fct "$(IFS=,; echo "${proved[*]}")" table.c) >"$LOG.wp" 2>&1
	cat "$LOG.wp"
	grep -aE '^\[wp\] Proved goals: +'"$GOALS / $GOALS"'$' "$LOG.wp"
}

check "goals" wp
verdict frama
