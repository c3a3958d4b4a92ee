#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# frama.sh: Frama-C WP proves the contracts of proof/contracts.acsl, for every table, with
# its goals against bad memory accesses and unsigned overflow.  About 3 minutes on 2 idle
# cores.
. "$(dirname "$0")/build.sh"

# The number of goals, or a contract could be lost unnoticed.
GOALS=226
proved=(
	virtio_driver_range_init virtio_driver_range_from_bounds virtio_driver_range_split_at
	virtio_device_range_new virtio_device_range_split_at __virtio_device_range_ptr
	access_validate driver_range_validate slot_validate
	slots_check slots_end table_seal
	search_first search_order slots_behind table_search
	step slot_is_live slot_access
)
# These wrap on purpose.
wrapping=(__virtio_mem_xlate_access_is_valid)

frama_c=$(row frama-c) || skip "$RELEASE has no Frama-C"
need "$frama_c" why3 cvc4 z3 python3
echo "frama: the contracts of $((${#proved[@]} + ${#wrapping[@]})) functions (log: $LOG)"
: >"$LOG"
dir=$BUILD/frama
mkdir -p "$dir/proof"
[ -s "$HOME/.why3.conf" ] || why3 config detect >>"$LOG" 2>&1

headers=(virtio_mem_xlate{,_fast,_table,_index}.h)
python3 "$TOP/proof/annotate.py" "$TREE" "$dir" "${headers[@]}" || exit
cp "$TOP/proof/user.h" "$dir/proof"
# Frama-C skips an @ that begins a line of a contract, and no *.
sed -E '/^\/\*@/,/\*\//s/^ \*([^\/]|$)/ @\1/' "$TOP/proof/framac.h" >"$dir/proof/framac.h"
empty_headers "$dir/include"
echo '#include "virtio_mem_xlate_index.h"' >"$dir/table.c"

# frama FUNCTION,... OPTION...: proves functions.
frama() {
	(cd "$dir" && frama-c -machdep gcc_x86_64 \
		-cpp-extra-args="-I$dir/include -I$dir -include $dir/proof/user.h" \
		-wp -wp-rte -wp-prover cvc4,z3 -wp-timeout 60 -wp-par "$JOBS" -wp-fct "$@" table.c)
}

# frama-c exits with 0 whatever it could not prove.
wp() {
	{
		frama "$(IFS=,; echo "${proved[*]}")" -warn-unsigned-overflow
		frama "$(IFS=,; echo "${wrapping[*]}")"
	} >"$LOG.wp" 2>&1
	cat "$LOG.wp"
	sed -nE 's,^\[wp\] Proved goals: +([0-9]+) / ([0-9]+)$,\1 \2,p' "$LOG.wp" |
		awk -v goals="$GOALS" '{ proved += $1; all += $2 }
			END { print proved " of " all " goals, " goals " expected"
			      exit proved != goals || all != goals }'
}

check "goals" wp
verdict frama
