#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# frama.sh: Frama-C WP proves the contracts of proof/contracts.acsl, for every table, with
# its goals against bad memory accesses and unsigned overflow.  About 3 minutes on 2 idle
# cores.
. "$(dirname "$0")/build.sh"

# At least so many goals in all; and annotate.py says how many of each function.
GOALS=226
# These wrap on purpose.
wrapping=(__virtio_mem_xlate_access_is_valid)

frama_c=$(row frama-c) || skip "$RELEASE has no Frama-C"
need "$frama_c" why3 cvc4 z3 python3
opening "frama: the contracts of proof/contracts.acsl (log: $LOG)"
: >"$LOG"
dir=$BUILD/frama
mkdir -p "$dir/proof"
[ -s "$HOME/.why3.conf" ] || why3 config detect >>"$LOG" 2>&1

headers=(virtio_mem_xlate{,_fast,_table,_index}.h)
python3 "$TOP/proof/annotate.py" "$TREE" "$dir" "${headers[@]}" >"$dir/goals" || exit
mapfile -t proved < <(cut -d ' ' -f 1 "$dir/goals" | sort -u | grep -vxF "${wrapping[@]/#/-e}")
echo "frama: the contracts of $((${#proved[@]} + ${#wrapping[@]})) functions (log: $LOG)"
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

# frama-c exits with 0 even if a goal is not proved.
wp() {
	{
		frama "$(IFS=,; echo "${proved[*]}")" -warn-unsigned-overflow
		frama "$(IFS=,; echo "${wrapping[*]}")"
	} >"$LOG.wp" 2>&1
	cat "$LOG.wp"
	# Goals are numbered; in their names, a function has no leading underscores.
	grep -aoE 'Goal typed_\S+ : Valid' "$LOG.wp" |
		awk -v expected="$dir/goals" '
			{ valid[$2]; }
			END {
				while ((getline line <expected) > 0) {
					split(line, want)
					sub(/^_+/, "", want[1])
					n = 0
					for (goal in valid)
						n += index(goal, "typed_" want[1] "_" want[2]) == 1 &&
							goal !~ /_rte_/
					if (n < want[3]) {
						print want[1] "(): " n " of " want[3] " goals: " want[2]
						wrong = 1
					}
				}
				exit wrong
			}' || return
	sed -nE 's,^\[wp\] Proved goals: +([0-9]+) / ([0-9]+)$,\1 \2,p' "$LOG.wp" |
		awk -v goals="$GOALS" '{ proved += $1; all += $2 }
			END { print proved " of " all " goals"; exit proved != all || all < goals }'
}

check "every goal of every contract" wp
verdict frama
