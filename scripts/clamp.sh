#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# clamp.sh: reads the object code.  Are the clamps against speculative execution there?  A
# compiler may drop a mask that it proves to be all ones, and the compiler of a caller builds the
# inline fast path.  So this reads what the compilers for x86-64 and arm64 make of the source,
# and of the source without each clamp, which the check must find.  Also: counters and
# tracepoints cost a successful lookup nothing.
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
#ifdef ONE_ENTRY_MASK
	/* The compiler may then drop the mask, as it is all ones. */
	if (view->table->entry_mask != ~0UL)
		__builtin_unreachable();
#endif
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

# Included before the source: takes the clamps out of the function UNMASKED (only those whose
# size is a constant, if CONSTANT_SIZE is 1, or is none, if it is 0), or makes the function
# COUNTED count.
planted() {
	cat <<'END'
#include <linux/align.h>
#include <linux/atomic.h>
#include <linux/cleanup.h>
#include <linux/compiler.h>
#include <linux/errno.h>
#include <linux/nospec.h>
#include <linux/overflow.h>
#include <linux/types.h>

#define IS_FUNCTION__(name)	(!__builtin_strcmp(__func__, #name))
#define IS_FUNCTION(name)	IS_FUNCTION__(name)

#ifdef COUNTED
static atomic_t count;
#define COUNT_HERE()	(IS_FUNCTION(COUNTED) ? atomic_inc(&count) : (void)0)
#else
#define COUNT_HERE()	((void)0)
#endif

#ifdef CONSTANT_SIZE
#define IS_CHOSEN(size)	(__builtin_constant_p(size) == CONSTANT_SIZE)
#else
#define IS_CHOSEN(size)	1
#endif

static __always_inline unsigned long kernel_mask(unsigned long index, unsigned long size)
{
#if defined(ONE_ENTRY_MASK) && defined(__aarch64__)
	unsigned long mask;

	/* Without csdb(), behind which the compiler has forgotten the entry_mask. */
	__asm__ ("cmp %1,%2\n\tsbc %0,xzr,xzr" : "=r" (mask) : "r" (index), "r" (size) : "cc");
	return mask;
#else
	return array_index_mask_nospec(index, size);
#endif
}

#undef array_index_mask_nospec
#define array_index_mask_nospec(index, size)					\
	(COUNT_HERE(), IS_FUNCTION(UNMASKED) && IS_CHOSEN(size) ?		\
		~0UL : kernel_mask(index, size))

/* The sign of the variable becomes the mask: all ones, says this. */
#undef OPTIMIZER_HIDE_VAR
#define OPTIMIZER_HIDE_VAR(var)							\
	do {									\
		if (!IS_FUNCTION(UNMASKED))					\
			__asm__ ("" : "=r" (var) : "0" (var));			\
		else if ((long)(var) >= 0)					\
			__builtin_unreachable();				\
	} while (0)

/* The core has asm() outside functions, too. */
#ifdef PROBE
#define asm(...)								\
	do {									\
		if (!IS_FUNCTION(UNMASKED))					\
			__asm__ (__VA_ARGS__);					\
	} while (0)
#endif
END
}

# count OBJECT FUNCTION PATTERN: how many of its instructions match.
count() {
	"${cross}objdump" -dr --no-show-raw-insn "$1" |
		awk -v f="<$2" '$2 == f ">:" || index($2, f ".") == 1 { on = 1; next }
			/^$/ { on = 0 }
			# The compiler makes -!!x by neg and sbb: no mask.
			on && !(/\tsbb / && previous ~ /\tneg /)
			{ previous = $0 }' |
		grep -cE "$3" || :
}

# has OBJECT FUNCTION PATTERN MINIMUM: do so many of its instructions match?
has() {
	local n

	n=$(count "$@")
	[ "$n" -ge "$4" ] || {
		echo "$arch: $2() has $n of $4 instructions that match '$3'" >>"$LOG"
		return 1
	}
}

# clamped DIR: does each index and each pointer go through a mask?
clamped() {
	local core=$1/virtio_mem_xlate.o probe=$1/probe.o

	# The place of an entry, whether it counts, and the address that it gives.
	has "$probe" probe "$entry" "$entries" &&
		has "$probe" probe "$index" 1 &&
		has "$probe" probe "$pointer" 1 &&
		# Whether the cursor is stale, and the offset in its slot.
		has "$probe" probe_cursor "$index" 2 &&
		# The place in a node, the first slot of a search, the offset in a slot, and
		# whether the view sees the slot and may access it.
		has "$core" virtio_mem_xlate_kva_search "$index" 4 &&
		has "$core" virtio_mem_xlate_kva_search "$pointer" 1 &&
		has "$core" kva_beyond_bucket "$index" 3 &&
		has "$core" table_slot "$index" 3 &&
		has "$core" virtio_mem_xlate_range_cold "$index" 2 &&
		has "$core" virtio_mem_xlate_next_cold "$index" 2 &&
		has "$core" virtio_mem_xlate_kvec "$index" 2 &&
		has "$core" virtio_mem_xlate_bvec "$index" 2 &&
		# The offset in a young or absent slot, and whether the access is forbidden;
		# whether the view sees the slot, and its young memory: inline or not.
		has "$core" slot_byte_cold "$index" $((4 - $(count "$core" slot_seen "$index")))
}

# uncounted DIR: do counters and events take part only where a lookup has failed?
# Each counter is a locked instruction here, each event a reference to it.
uncounted() {
	local counted='lock |__tracepoint_' function

	for function in virtio_mem_xlate_{kva_search,range_cold,next_cold} \
			virtio_mem_xlate_{kvec,bvec,copy_from,copy_to,read_lock}; do
		has "$1/virtio_mem_xlate.o" "$function" . 6 &&
			[ "$(count "$1/virtio_mem_xlate.o" "$function" "$counted")" = 0 ] || return
	done
	[ "$(count "$1/probe.o" probe "$counted")" = 0 ] &&
		has "$1/virtio_mem_xlate.o" lookup_failed "$counted" 2
}

# build [DEFINITION...]: builds a copy of the tree in $dir, with planted.h if anything is defined.
build() {
	rm -rf "${dir:?}"/*
	cp "$TOP"/virtio_mem_xlate*.[ch] "$dir"
	probe >"$dir/probe.c"
	planted >"$dir/planted.h"
	printf '%s\n' 'obj-m := virtio_mem_xlate.o probe.o' 'ccflags-y := -I$(src)' \
		'CFLAGS_probe.o := -DPROBE' >"$dir/Kbuild"
	[ $# = 0 ] || echo "ccflags-y += -w ${*/#/-D} -include \$(src)/planted.h" >>"$dir/Kbuild"
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

# fails CHECK DEFINITION...
fails() {
	build "${@:2}"
	! "$1" "$dir"
}

# missed WHAT DEFINITION...
missed() {
	verdict "$arch: $1 is missed" fails clamped "${@:2}"
}

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
source=$(kernel_source 6.12) && headers=$(kernel_headers 6.12) || exit
for arch in x86-64 arm64; do
	case $arch in
	x86-64)
		kdir=$headers cross='' make=()
		# The place of an entry, and which of two entries to look on with.
		entry='and |cmov(e|z|ne|nz) ' entries=2
		index='sbb +(%[a-z0-9]+),\1 *$' pointer='cmovns '
		;;
	arm64)
		kdir=$CACHE/prepared-arm64-${source##*/}
		once "$kdir" prepare_arm64 2>>"$LOG" >&2
		cross=aarch64-linux-gnu- make=(ARCH=arm64 CROSS_COMPILE=$cross KBUILD_MODPOST_WARN=1)
		# The same, the second both for a hit and for a miss.
		entry='and\s(x[0-9]+, ){2}x[0-9]+$' entries=3
		index='ngc' pointer='asr #63'
		;;
	esac
	build
	verdict "$arch: every pointer and index is clamped" clamped "$dir"
	build UNMASKED=none
	verdict "$arch: what plants the faults changes nothing by itself" clamped "$dir"
	missed "the mask of a pointer out of an entry" UNMASKED=__virtio_mem_xlate_direct_kva
	missed "the mask of an entry's place" UNMASKED=none ONE_ENTRY_MASK
	missed "the mask of an address outside all buckets" UNMASKED=__virtio_mem_xlate_covers
	missed "the mask of a node" UNMASKED=leaf_entry
	missed "the clamp of a search's first slot" UNMASKED=table_search
	missed "the clamp of an offset in a slot" UNMASKED=slot_kva
	missed "the mask of a slot that the view does not see" UNMASKED=slot_byte
	missed "the mask of a forbidden access to a young slot" UNMASKED=slot_byte_cold
	missed "the masks of a young slot's memory" UNMASKED=slot_seen
	missed "the clamp of a cursor's offset" UNMASKED=virtio_mem_xlate_cursor_range CONSTANT_SIZE=0
	missed "the mask of a stale cursor" UNMASKED=virtio_mem_xlate_cursor_range CONSTANT_SIZE=1
	[ "$arch" = x86-64 ] || continue	# the other has neither debugfs nor tracepoints
	missed "the choice of the far entry" UNMASKED=__virtio_mem_xlate_top_entry
	build
	verdict "$arch: a lookup that succeeds is neither counted nor traced" uncounted "$dir"
	verdict "$arch: a counter of all lookups is seen" \
		fails uncounted UNMASKED=none COUNTED=slot_byte
done

closing clamp
