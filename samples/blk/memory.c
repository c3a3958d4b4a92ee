// SPDX-License-Identifier: GPL-2.0
/*
 * The table of the driver's memory, as the framework maps it: runs of pages, which vhost-vdpa
 * has pinned.  It unpins pages before it tells us of the new map.  So the table has references
 * to pages of its own, and drops them when no view and no request can reach the old table.
 */
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/vhost_iotlb.h>

#include "disk.h"

struct memory {
	struct virtio_mem_xlate_callback callback;
	refcount_t refs;		/* the table, and queues with a ring in it */
	bool trusted;			/* all memory of this machine: no references */
	unsigned int nr;
	struct virtio_mem_xlate_slot slots[];
};

static void pages_count(const struct memory *m, void (*count)(struct folio *folio))
{
	const struct virtio_mem_xlate_slot *slot;
	unsigned long pfn, end;
	struct folio *folio;

	if (m->trusted)
		return;
	for (slot = m->slots; slot < m->slots + m->nr; slot++) {
		pfn = PHYS_PFN(virt_to_phys(slot->kva));
		end = pfn + PFN_UP(slot->size);
		/* A folio that is referenced is not split: so each is dropped as it was taken. */
		while (pfn < end) {
			folio = page_folio(pfn_to_page(pfn));
			/* Before the last reference may go. */
			pfn = folio_pfn(folio) + folio_nr_pages(folio);
			count(folio);
		}
		cond_resched();
	}
}

/* The current memory of @disk. */
struct memory *memory_get(struct disk *disk)
{
	refcount_inc(&disk->memory->refs);
	return disk->memory;
}

void memory_put(struct memory *m)
{
	if (m && refcount_dec_and_test(&m->refs)) {
		pages_count(m, folio_put);
		kvfree(m);
	}
}

static void memory_unused(struct virtio_mem_xlate_callback *callback)
{
	memory_put(container_of(callback, struct memory, callback));
}

static struct memory *memory_alloc(unsigned int nr)
{
	struct memory *m = kvzalloc(struct_size(m, slots, nr), GFP_KERNEL_ACCOUNT);

	if (m) {
		refcount_set(&m->refs, 1);
		m->nr = nr;
	}
	return m;
}

/* Takes over @m, also if it fails. */
static int memory_replace(struct disk *disk, struct memory *m)
{
	struct memory *old = disk->memory;
	unsigned int i;
	int err;

	pages_count(m, folio_get);
	/* Returns although requests hang. */
	err = virtio_mem_xlate_replace_nowait(disk->xlate, m->slots, m->nr);
	if (err) {
		memory_put(m);
		return err;
	}
	disk->memory = m;
	for (i = 0; i < disk->nr_queues; i++)
		queue_remap(&disk->queues[i]);
	virtio_mem_xlate_call(disk->xlate, &old->callback, memory_unused);
	return 0;
}

static struct vhost_iotlb_map *next_map(struct vhost_iotlb *iotlb, struct vhost_iotlb_map *map)
{
	return map ? vhost_iotlb_itree_next(map, 0, U64_MAX) :
		     vhost_iotlb_itree_first(iotlb, 0, U64_MAX);
}

int memory_set(struct disk *disk, struct vhost_iotlb *iotlb)
{
	struct vhost_iotlb_map *map = NULL;
	unsigned int nr = 0;
	struct memory *m;

	while ((map = next_map(iotlb, map)))
		nr++;
	m = memory_alloc(nr);
	if (!m)
		return -ENOMEM;
	for (nr = 0; (map = next_map(iotlb, map)); nr++)
		m->slots[nr] = (struct virtio_mem_xlate_slot){
			.gpa = map->start, .size = map->size, .kva = phys_to_virt(map->addr),
			.access = map->perm,	/* the same values */
		};
	return memory_replace(disk, m);
}

bool memory_is_trusted(const struct disk *disk)
{
	return disk->memory->trusted;
}

/* A driver of this kernel does not map: its DMA addresses are physical addresses. */
int memory_reset(struct disk *disk, bool trusted)
{
	struct memory *m;

	if (disk->memory->trusted == trusted && (trusted || !disk->memory->nr))
		return 0;
	m = memory_alloc(trusted);
	if (!m)
		return -ENOMEM;
	m->trusted = trusted;
	if (trusted)
		m->slots[0] = (struct virtio_mem_xlate_slot){
			.gpa = 0, .size = virt_to_phys(high_memory - 1) + 1,
			.kva = phys_to_virt(0), .access = VIRTIO_MEM_XLATE_RW,
		};
	return memory_replace(disk, m);
}

int memory_init(struct disk *disk)
{
	struct virtio_mem_xlate *xlate;

	disk->memory = memory_alloc(0);
	if (!disk->memory)
		return -ENOMEM;
	xlate = virtio_mem_xlate_register(NULL, 0);
	if (IS_ERR(xlate))
		return PTR_ERR(xlate);
	disk->xlate = xlate;
	return 0;
}

void memory_destroy(struct disk *disk)
{
	if (disk->xlate)
		virtio_mem_xlate_unregister(disk->xlate);
	memory_put(disk->memory);
}
