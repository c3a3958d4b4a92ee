// SPDX-License-Identifier: GPL-2.0
/*
 * The memory map of a VMM: all its regions, each with a stretch.
 *
 * A map may have 2^20 regions, so each loop over them has a preemption point.  That of
 * sort() and bsearch() is in cmp_region(): the kernel's sort() has none before 7.3.
 */
#include <linux/bsearch.h>
#include <linux/err.h>
#include <linux/kvm.h>
#include <linux/overflow.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "user.h"

static int cmp_u64(u64 a, u64 b)
{
	return a < b ? -1 : a > b;
}

/* Equal regions can share a stretch. */
static int cmp_region(const void *_a, const void *_b)
{
	const struct region *a = _a, *b = _b;

	cond_resched();
	return cmp_u64(a->uaddr, b->uaddr) ?: cmp_u64(a->size, b->size) ?:
	       cmp_u64(a->access, b->access);
}

void xlate_map_free(struct memory_map *map)
{
	unsigned int i;

	if (!map)
		return;
	for (i = 0; i < map->nr; i++) {
		if (map->regions[i].stretch)
			virtio_mem_xlate_user_unpin(map->regions[i].stretch);
		cond_resched();
	}
	kvfree(map);
}

static bool is_valid_region(const struct kvm_userspace_memory_region *kvm)
{
	return !(kvm->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)) &&
	       kvm->memory_size && kvm->memory_size <= U64_MAX - kvm->guest_phys_addr;
}

/* A map without stretches, or an ERR_PTR. */
struct memory_map *xlate_map_alloc(const struct kvm_userspace_memory_region *kvm, unsigned int nr)
{
	struct memory_map *map;

	if (nr > VIRTIO_MEM_XLATE_MAX_SLOTS)
		return ERR_PTR(-ENOSPC);
	map = kvzalloc(struct_size(map, regions, nr), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);

	for (; map->nr < nr; map->nr++, kvm++) {
		if (!is_valid_region(kvm)) {
			kvfree(map);
			return ERR_PTR(-EINVAL);
		}
		map->regions[map->nr] = (struct region){
			.gpa = kvm->guest_phys_addr,
			.size = kvm->memory_size,
			.uaddr = kvm->userspace_addr,
			.access = kvm->flags & KVM_MEM_READONLY ? VIRTIO_MEM_XLATE_READ :
								  VIRTIO_MEM_XLATE_RW,
		};
		cond_resched();
	}
	sort(map->regions, nr, sizeof(map->regions[0]), cmp_region, NULL);
	return map;
}

/* Shares the stretches of @old that this process has pinned. */
void xlate_map_keep(struct memory_map *map, const struct memory_map *old)
{
	unsigned int i;

	for (i = 0; i < map->nr; i++) {
		struct region *region = &map->regions[i];
		const struct region *same = bsearch(region, old->regions, old->nr, sizeof(*same),
						    cmp_region);

		if (same && same->stretch->mm == current->mm)
			region->stretch = xlate_stretch_get(same->stretch);
	}
}

/* Pins the regions without a stretch.  After an error some may have one. */
int xlate_map_pin(struct memory_map *map, bool in_pieces)
{
	struct virtio_mem_xlate_user_stretch *stretch;
	unsigned int i;

	for (i = 0; i < map->nr; i++) {
		struct region *region = &map->regions[i];

		cond_resched();
		if (region->stretch)
			continue;
		/* The same memory at a second guest address. */
		if (i && !cmp_region(region, region - 1))
			stretch = xlate_stretch_get(region[-1].stretch);
		else
			stretch = xlate_stretch_pin(region->uaddr, region->size, region->access,
						    in_pieces);
		if (IS_ERR(stretch))
			return PTR_ERR(stretch);
		region->stretch = stretch;
	}
	return 0;
}

/* The slots of a map with all its stretches, for kvfree(), or an ERR_PTR. */
struct virtio_mem_xlate_slot *xlate_map_slots(const struct memory_map *map, unsigned int *nr_slots)
{
	struct virtio_mem_xlate_slot *slots;
	unsigned int i, nr = 0;

	for (i = 0; i < map->nr; i++) {
		if (map->regions[i].stretch->nr_pieces > VIRTIO_MEM_XLATE_MAX_SLOTS - nr)
			return ERR_PTR(-ENOSPC);
		nr += map->regions[i].stretch->nr_pieces;
		cond_resched();
	}
	slots = kvmalloc_array(nr, sizeof(*slots), GFP_KERNEL_ACCOUNT);
	if (!slots)
		return ERR_PTR(-ENOMEM);
	*nr_slots = nr;
	for (i = 0, nr = 0; i < map->nr; nr += map->regions[i++].stretch->nr_pieces) {
		virtio_mem_xlate_user_slots(map->regions[i].stretch, map->regions[i].gpa,
					    slots + nr);
		cond_resched();
	}
	return slots;
}

/* A region with the byte at @uaddr, or NULL.  Regions may overlap, so the search is linear. */
const struct region *xlate_map_find(const struct memory_map *map, u64 uaddr)
{
	unsigned int i;

	for (i = 0; i < map->nr; i++) {
		const struct region *region = &map->regions[i];

		if (uaddr - region->uaddr < region->size)
			return region;
		cond_resched();
	}
	return NULL;
}
