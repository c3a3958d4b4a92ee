#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# clamp.sh: are the clamps against speculation in the object code?  A compiler
# may drop a mask that it can prove to be all ones, and a caller's compiler builds
# the inline fast path, so this reads what the compilers for x86-64 and arm64
# make of it, and of versions without each clamp, which it must tell from it.
# So, too, that what is shown of a running system costs a good lookup nothing.
. "$(dirname "$0")/common.sh"

need gcc make git cpio flex bison bc libelf-dev libssl-dev pahole xz-utils binutils gcc-aarch64-linux-gnu
LOG=$CACHE/clamp.log
opening "clamp: masks in the object code, x86-64 and arm64; 2 minutes when new (log: $LOG)"
: >"$LOG"

prepare_arm64() {
	make -s -C "$source" O="$1" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- allnoconfig &&
		"$source/scripts/config" --file "$1/.config" -e MODULES &&
		make -s -C "$source" O="$1" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- \
			-j"$JOBS" olddefconfig modules_prepare
}

# What a caller's compiler makes of the inline part.
probe() {
	cat <<'END'
#include "virtio_mem_xlate.h"

int probe(const struct virtio_mem_xlate_view *view, struct virtio_driver_range driver,
	  struct virtio_device_range *device);
int probe(const struct virtio_mem_xlate_view *view, struct virtio_driver_range driver,
	  struct virtio_device_range *device)
{
	return virtio_mem_xlate_range(view, driver, VIRTIO_MEM_XLATE_READ, device);
}

int probe_cursor(struct virtio_mem_xlate_cursor *cursor, const struct virtio_mem_xlate_view *view,
		 struct virtio_driver_range driver, struct virtio_device_range *device);
int probe_cursor(struct virtio_mem_xlate_cursor *cursor, const struct virtio_mem_xlate_view *view,
		 struct virtio_driver_range driver, struct virtio_device_range *device)
{
	return virtio_mem_xlate_cursor_range(cursor, view, driver, VIRTIO_MEM_XLATE_READ, device);
}
END
}

# count OBJECT FUNCTION PATTERN: how many of its instructions match.
count() {
	"${cross}objdump" -dr --no-show-raw-insn "$1" |
		awk -v f="<$2" '$2 == f ">:" || index($2, f ".") == 1 { on = 1; next }
			/^$/ { on = 0 } on' |
		grep -cE "$3" || :
}

# clamped DIR: do the place of a word, whether it counts, the place of one in a node,
# the first slot, the offset into it, and whether the view sees it and it allows the access,
# go through a mask, and each pointer out of a word?  And of a cursor, whether it is stale?
clamped() {
	[ "$(count "$1/probe.o" probe "$word")" -ge "$words" ] &&
		[ "$(count "$1/probe.o" probe "$index")" -ge 1 ] &&
		[ "$(count "$1/probe.o" probe "$pointer")" -ge 1 ] &&
		[ "$(count "$1/probe.o" probe_cursor "$index")" -ge 2 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" virtio_mem_xlate_kva_slow "$index")" -ge 4 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" kva_beyond_bucket "$index")" -ge 3 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" table_slot "$index")" -ge 3 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" virtio_mem_xlate_range_slow "$index")" -ge 2 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" virtio_mem_xlate_next_slow "$index")" -ge 2 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" virtio_mem_xlate_kvec "$index")" -ge 2 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" virtio_mem_xlate_kva_slow "$pointer")" -ge 1 ]
}

# uncounted DIR: do counters and events take part only where a lookup has failed?
# Each counter is a locked instruction here, each event a reference to it.
uncounted() {
	local counted='lock |__tracepoint_' function

	for function in virtio_mem_xlate_{kva,range,next}_slow \
			virtio_mem_xlate_{kvec,copy_from,copy_to,read_lock}; do
		[ "$(count "$1/virtio_mem_xlate.o" "$function" .)" -gt 5 ] &&
			[ "$(count "$1/virtio_mem_xlate.o" "$function" "$counted")" = 0 ] || return
	done
	[ "$(count "$1/probe.o" probe "$counted")" = 0 ] &&
		[ "$(count "$1/virtio_mem_xlate.o" lookup_failed "$counted")" -ge 2 ]
}

# build [SED-SCRIPT]: builds a copy of the tree, changed by SED-SCRIPT, in $dir.
build() {
	rm -rf "${dir:?}"/*
	cp "$TOP"/virtio_mem_xlate*.[ch] "$dir"
	if [ $# -gt 0 ]; then
		sed -i "$1" "$dir"/*.[ch]
		! cat "$TOP"/virtio_mem_xlate*.[ch] | cmp -s - <(cat "$dir"/*.[ch]) ||
			die "the planted change '$1' does not fit the source any more"
	fi
	probe >"$dir/probe.c"
	printf '%s\n' 'obj-m := virtio_mem_xlate.o probe.o' 'ccflags-y := -I$(src)' >"$dir/Kbuild"
	make -s -C "$kdir" M="$dir" "${make[@]}" virtio_mem_xlate.o probe.o >>"$LOG" 2>&1 ||
		die "could not build for $arch; see $LOG"
}

# verdict NAME COMMAND...
verdict() {
	local name=$1
	shift
	if "$@"; then
		result 0 "$name"
	else
		result 1 "$name" "see $LOG"
		"${cross}objdump" -d "$dir/probe.o" >>"$LOG"
	fi
}

# fails CHECK SED-SCRIPT
fails() {
	build "$2"
	! "$1" "$dir"
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
source=$(kernel_source 6.12) && headers=$(kernel_headers 6.12) || exit
for arch in x86-64 arm64; do
	case $arch in
	x86-64)
		kdir=$headers cross='' make=()
		# The place of a word, and which of two words to look on with.
		word='and |cmov(e|z|ne|nz) ' words=2
		index='sbb +(%[a-z0-9]+),\1 *$' pointer='cmovns '
		;;
	arm64)
		kdir=$CACHE/prepared-arm64-${source##*/}
		once "$kdir" prepare_arm64 2>>"$LOG" >&2
		cross=aarch64-linux-gnu- make=(ARCH=arm64 CROSS_COMPILE=$cross KBUILD_MODPOST_WARN=1)
		# The same, the second both for a hit and for a miss.
		word='and\s(x[0-9]+, ){2}x[0-9]+$' words=3
		index='ngc' pointer='asr #63'
		;;
	esac
	build
	verdict "$arch: every pointer and index is clamped" clamped "$dir"
	verdict "$arch: a pointer that is not masked is missed" \
		fails clamped 's/cmovns.*"$/"/; s/^\tat &= (long)word.*//'
	verdict "$arch: a word's place that is not masked is missed" \
		fails clamped 's/ & table->word_mask, word;/, word;/'
	verdict "$arch: a word that counts anywhere is missed" \
		fails clamped 's/array_index_mask_nospec((unsigned long)offset, .*;/~0UL;/'
	verdict "$arch: a node without a mask is missed" \
		fails clamped 's/node = array_index_mask_nospec(word - WORD_NODE,/node = ~0UL | (/'
	verdict "$arch: a cursor's offset that is not clamped is missed" \
		fails clamped 's/^\tkva &= array_index_mask_nospec((unsigned long)offset.*;$//'
	verdict "$arch: a stale cursor that is not clamped is missed" \
		fails clamped 's/^\tkva &= array_index_mask_nospec(stale.*;$//'
	verdict "$arch: a slot whose removal and access are behind branches is missed" \
		fails clamped 's/^\t\t\tarray_index_mask_nospec(state, removed));$/\t\t\t~0UL);/'
	[ "$arch" = x86-64 ] || continue	# the other has neither debugfs nor tracepoints
	build
	verdict "$arch: a lookup that succeeds is neither counted nor traced" uncounted "$dir"
	verdict "$arch: a counter of all lookups is seen" fails uncounted \
		's/^\tif (slot_byte(table_search(view->table, word,/\tdebug_failure(\&view->xlate->debug, -EPERM);\n&/'
done

closing clamp
