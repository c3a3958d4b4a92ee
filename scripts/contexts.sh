#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# contexts.sh: prints, as root, a line for each context of virtio_mem_xlate on this
# machine: its table, the updates since it was registered (+: one is waiting) and
# the longest that one waited for views, who registered it, and which lookups failed.
dir=/sys/kernel/debug/virtio_mem_xlate
cd "$dir" 2>/dev/null || {
	echo "contexts.sh: cannot enter $dir: load virtio_mem_xlate, mount debugfs, be root" >&2
	exit 1
}

format='%-3s %5s %7s %7s %9s %-21s %s\n'
# shellcheck disable=SC2059
printf "$format" ID SLOTS BYTES UPDATES 'MAX WAIT' OWNER FAILED
# shellcheck disable=SC2012 # the names are numbers
for id in $(ls | sort -n); do
	# One that goes meanwhile has no owner.
	awk -v id="$id" -v format="$format" '
		{ value[$1] = $2 }
		$1 == "owner" { owner = NF > 2 ? substr($3, 2, length($3) - 2) : $2 }
		/^E[A-Z]/ && $2 != 0 { failed = failed " " $1 " " $2 }
		END {
			if (owner != "")
				printf format, id, value["slots"], value["table_bytes"],
				       value["updates"] (value["waiting"] != 0 ? "+" : ""),
				       sprintf("%.3fms", value["waited_max_ns"] / 1000000),
				       owner, substr(failed, 2)
		}' "$id/stat" 2>/dev/null || :
done
