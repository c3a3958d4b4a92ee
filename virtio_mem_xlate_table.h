/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The table of memslots: validate, build, search.
 *
 * Pure C: no lock, no allocation, no kernel state.  virtio_mem_xlate.c includes
 * it for the kernel and adds those; the fuzzers and proofs include the same file
 * in user space.
 *
 * A table is an array of slots sorted by guest-physical address, no two of which
 * share a byte.  Once published it changes in one way only: a removed slot is
 * marked with the generation that removed it.  A reader notes the generation of
 * the table when it starts and goes on seeing each slot removed later, so removal
 * is a snapshot like any other update, and yet needs no memory.
 */
#ifndef _VIRTIO_MEM_XLATE_TABLE_H
#define _VIRTIO_MEM_XLATE_TABLE_H

#include <linux/compiler.h>
#include <linux/limits.h>
#include <linux/minmax.h>
#include <linux/nospec.h>
#include <linux/sort.h>

#include "virtio_mem_xlate.h"

#define SLOT_LIVE	U32_MAX

struct table_slot {
	u64 gpa;
	u64 size;
	void *kva;
	u32 access;
	u32 removed;		/* the first generation without it, or SLOT_LIVE */
};

struct virtio_mem_xlate_table {
	u32 generation;		/* one more with each removal */
	unsigned int nr_live;	/* for updaters */
	unsigned int nr_slots;
	struct table_slot slots[];	/* and one of size 0 that ends them */
};

static int slot_validate(const struct virtio_mem_xlate_slot *slot)
{
	uintptr_t kva_end;
	u64 end;

	if (!slot->size || slot->size > SIZE_MAX || !slot->kva)
		return -EINVAL;
	if (check_add_overflow(slot->gpa, slot->size, &end) ||
	    check_add_overflow((uintptr_t)slot->kva, (uintptr_t)slot->size, &kva_end))
		return -EINVAL;
	if (!slot->access || slot->access & ~VIRTIO_MEM_XLATE_RW)
		return -EINVAL;
	return 0;
}

static void table_init(struct virtio_mem_xlate_table *table)
{
	table->generation = 0;
	table->nr_live = 0;
	table->nr_slots = 0;
}

/* Appends @slots; there must be room. */
static int table_append(struct virtio_mem_xlate_table *table,
			const struct virtio_mem_xlate_slot *slots, unsigned int nr_slots)
{
	unsigned int i;
	int err;

	for (i = 0; i < nr_slots; i++) {
		err = slot_validate(&slots[i]);
		if (err)
			return err;
		table->slots[table->nr_slots++] = (struct table_slot){
			.gpa = slots[i].gpa,
			.size = slots[i].size,
			.kva = slots[i].kva,
			.access = slots[i].access,
			.removed = SLOT_LIVE,
		};
	}
	table->nr_live += nr_slots;
	return 0;
}

/* Appends the slots of @from that are not removed; there must be room. */
static void table_append_live(struct virtio_mem_xlate_table *table,
			      const struct virtio_mem_xlate_table *from)
{
	unsigned int i;

	for (i = 0; i < from->nr_slots; i++)
		if (from->slots[i].removed == SLOT_LIVE)
			table->slots[table->nr_slots++] = from->slots[i];
	table->nr_live += from->nr_live;
}

static int slot_cmp(const void *a, const void *b)
{
	u64 gpa_a = ((const struct table_slot *)a)->gpa;
	u64 gpa_b = ((const struct table_slot *)b)->gpa;

	return gpa_a < gpa_b ? -1 : gpa_a > gpa_b;
}

/* Makes what was appended searchable, or says why it is no table. */
static int table_seal(struct virtio_mem_xlate_table *table)
{
	struct table_slot *slots = table->slots;
	unsigned int i;

	sort(slots, table->nr_slots, sizeof(*slots), slot_cmp, NULL);
	for (i = 1; i < table->nr_slots; i++)
		if (slots[i].gpa - slots[i - 1].gpa < slots[i - 1].size)
			return -EEXIST;
	slots[table->nr_slots] = (struct table_slot){};
	return 0;
}

/*
 * The last slot that starts at or below @gpa, removed or not; the first slot if
 * all start above it, so that whatever a processor runs ahead with is a slot.
 */
static const struct table_slot *table_search(const struct virtio_mem_xlate_table *table, u64 gpa)
{
	const struct table_slot *slot = table->slots;
	unsigned int n = table->nr_slots;

	while (n > 1) {
		unsigned int half = n / 2;

		if (slot[half].gpa <= gpa)
			slot += half;
		n -= half;
	}
	return slot;
}

/*
 * From the next generation on there is no slot of exactly @gpa and @size.
 * Readers may be looking: those of an earlier generation see no difference.
 */
static int table_remove(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	struct table_slot *slot = &table->slots[table_search(table, gpa) - table->slots];

	if (!size || slot->gpa != gpa || slot->size != size || slot->removed != SLOT_LIVE)
		return -ENOENT;
	WRITE_ONCE(slot->removed, table->generation + 1);
	/* Pairs with smp_load_acquire() in table_generation(). */
	smp_store_release(&table->generation, table->generation + 1);
	table->nr_live--;
	return 0;
}

/* The generation that a reader who starts now is to see. */
static u32 table_generation(const struct virtio_mem_xlate_table *table)
{
	/*
	 * Pairs with smp_store_release() in table_remove(): whoever sees a
	 * generation also sees the slot that it removed as removed.
	 */
	return smp_load_acquire(&table->generation);
}

/* Is @slot in the table as of @generation, and does it allow @access? */
static int slot_check(const struct table_slot *slot, u32 generation, unsigned int access)
{
	if (READ_ONCE(slot->removed) <= generation)
		return -EFAULT;
	if ((slot->access & access) != access)
		return -EPERM;
	return 0;
}

/*
 * The guest chose the offset, so the processor may run ahead with one that the
 * bounds check is about to refuse (Spectre v1): clamp it, as KVM's
 * __gfn_to_hva_memslot() does.  The portable form of the mask is 0 for a size
 * above LONG_MAX whatever the offset; half the address space is nobody's
 * memory, so such a slot does without.
 */
static void *slot_kva(const struct table_slot *slot, size_t offset)
{
	size_t size = slot->size;
	size_t huge = (ssize_t)size < 0 ? SIZE_MAX : 0;

	return slot->kva + (offset & (array_index_mask_nospec(offset, size) | huge));
}

/* Do the two touch on both sides, so that one pointer serves both? */
static bool slots_touch(const struct table_slot *a, const struct table_slot *b)
{
	return a->gpa + a->size == b->gpa && a->kva + a->size == b->kva;
}

static int access_validate(unsigned int access)
{
	return access && !(access & ~VIRTIO_MEM_XLATE_RW) ? 0 : -EINVAL;
}

static int driver_range_validate(struct virtio_driver_range driver)
{
	u64 end;

	return check_add_overflow(driver.start, driver.len, &end) ? -EOVERFLOW : 0;
}

/*
 * The longest leading piece of @driver that is contiguous and allows @access,
 * which @driver is moved past.  Both must be valid.  1, 0 if @driver is empty,
 * or -errno for its first byte.
 */
static int table_next(const struct virtio_mem_xlate_table *table, u32 generation,
		      struct virtio_driver_range *driver, unsigned int access,
		      struct virtio_device_range *device)
{
	const struct table_slot *slot;
	u64 offset, len;
	void *kva;
	int err;

	*device = (struct virtio_device_range){};
	if (!driver->len)
		return 0;
	slot = table_search(table, driver->start);
	offset = driver->start - slot->gpa;
	if (offset >= slot->size)
		return -EFAULT;
	err = slot_check(slot, generation, access);
	if (err)
		return err;
	kva = slot_kva(slot, offset);

	len = min(driver->len, slot->size - offset);
	while (len < driver->len && slots_touch(slot, slot + 1) &&
	       !slot_check(slot + 1, generation, access)) {
		slot++;
		len += min(driver->len - len, slot->size);
	}

	*device = virtio_device_range_new(kva, len, access);
	driver->start += len;
	driver->len -= len;
	return 1;
}

#endif /* _VIRTIO_MEM_XLATE_TABLE_H */
