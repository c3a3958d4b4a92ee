// SPDX-License-Identifier: GPL-2.0
/*
 * The memory map of a VMM: all its regions.
 *
 * A map may have 2^20 regions, so each loop over them has a preemption point.  That of
 * sort() is in its comparison: the kernel's sort() has none before 7.3.
 */
#include <linux/err.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "user.h"

static int cmp_u64(u64 a, u64 b)
{
	return a < b ? -1 : a > b;
}

static int cmp_uaddr(const void *_a, const void *_b)
{
	const struct region *a = _a, *b = _b;

	cond_resched();
	return cmp_u64(a->uaddr, b->uaddr) ?: cmp_u64(a->gpa, b->gpa);
}

static int cmp_gpa(const void *_a, const void *_b)
{
	const struct region *a = _a, *b = _b;

	cond_resched();
	return cmp_u64(a->gpa, b->gpa);
}

struct memory_map *xlate_map_get(struct memory_map *map)
{
	refcount_inc(&map->refs);
	return map;
}

void xlate_map_put(struct memory_map *map)
{
	if (!refcount_dec_and_test(&map->refs))
		return;
	if (map->account)
		xlate_account_put(map->account);
	if (map->space)
		xlate_space_put(map->space);
	kvfree(map);
}

static int region_init(struct region *region, const struct kvm_userspace_memory_region *kvm)
{
	*region = (struct region){
		.gpa = kvm->guest_phys_addr,
		.size = kvm->memory_size,
		.uaddr = kvm->userspace_addr,
		.access = kvm->flags & KVM_MEM_READONLY ? VIRTIO_MEM_XLATE_READ :
							  VIRTIO_MEM_XLATE_RW,
	};
	if (kvm->flags & ~(KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY)) {
		xlate_report_refused(region, -EINVAL, "unknown flags");
		return -EINVAL;
	}
	if (!region->size || region->size > U64_MAX - region->gpa) {
		xlate_report_refused(region, -EINVAL, "size 0, or an end above U64_MAX");
		return -EINVAL;
	}
	if (!xlate_is_user_memory(region->uaddr, region->size)) {
		xlate_report_refused(region, -EFAULT, "not user memory");
		return -EFAULT;
	}
	return 0;
}

/* The map of this process, for xlate_map_put(), or an ERR_PTR. */
struct memory_map *xlate_map_alloc(const struct kvm_userspace_memory_region *kvm, unsigned int nr)
{
	struct memory_map *map;
	int err;

	if (!current->mm)
		return ERR_PTR(-EINVAL);
	if (nr > VIRTIO_MEM_XLATE_MAX_SLOTS)
		return ERR_PTR(-ENOSPC);
	map = kvzalloc(struct_size(map, regions, nr), GFP_KERNEL_ACCOUNT);
	if (!map)
		return ERR_PTR(-ENOMEM);
	refcount_set(&map->refs, 1);
	err = -ENOMEM;
	map->space = xlate_space_get(current->mm);
	map->account = xlate_account_new();
	if (!map->space || !map->account)
		goto err_put;
	for (; map->nr < nr; map->nr++, kvm++) {
		err = region_init(&map->regions[map->nr], kvm);
		if (err)
			goto err_put;
		cond_resched();
	}
	sort(map->regions, nr, sizeof(map->regions[0]), cmp_uaddr, NULL);
	return map;

err_put:
	xlate_map_put(map);
	return ERR_PTR(err);
}

bool xlate_map_is_equal(const struct memory_map *a, const struct memory_map *b)
{
	return a->space == b->space && a->nr == b->nr &&
	       !memcmp(a->regions, b->regions, a->nr * sizeof(a->regions[0]));
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

/* The region with the byte at @gpa, or NULL. */
const struct region *xlate_map_find_gpa(const struct memory_map *map, u64 gpa)
{
	unsigned int i;

	for (i = 0; i < map->nr; i++) {
		if (gpa - map->regions[i].gpa < map->regions[i].size)
			return &map->regions[i];
		cond_resched();
	}
	return NULL;
}

/* Reports a region that shares a guest byte with another one. */
void xlate_map_tell_overlap(const struct memory_map *map)
{
	struct region *regions;
	unsigned int i;

	regions = kvmalloc_array(map->nr, sizeof(*regions), GFP_KERNEL_ACCOUNT);
	if (!regions)
		return;
	memcpy(regions, map->regions, map->nr * sizeof(*regions));
	sort(regions, map->nr, sizeof(*regions), cmp_gpa, NULL);
	for (i = 1; i < map->nr; i++) {
		if (regions[i].gpa - regions[i - 1].gpa < regions[i - 1].size) {
			xlate_report_refused(&regions[i], -EEXIST, "overlaps another region");
			break;
		}
		cond_resched();
	}
	kvfree(regions);
}
