/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Who looks up: virtio_mem_xlate and what else there is for the job.  Each has
 * the same to do: find the slot, check that all of the range is in it and that
 * it may be read, and say where the kernel sees it, or 0; clamped against
 * speculation where the original is.
 *
 * vhost_iotlb and the maple tree are the kernel's own objects.  KVM's search
 * cannot be called without KVM, nor the others from a kernel: they are written
 * here after the source that each names.
 */
#ifndef _BENCH_PEERS_H
#define _BENCH_PEERS_H

#include <linux/interval_tree.h>
#include <linux/maple_tree.h>
#include <linux/nospec.h>
#include <linux/rbtree.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uio.h>
#include <linux/vhost_iotlb.h>

#include "../virtio_mem_xlate.h"

/* As include/linux/kvm_host.h has it on x86, for the same cache lines. */
struct kvm_slot {
	struct hlist_node id_node[2];
	struct interval_tree_node hva_node[2];
	struct rb_node gfn_node[2];
	u64 base_gfn;
	unsigned long npages;
	unsigned long *dirty_bitmap;
	void *arch[6];
	unsigned long userspace_addr;
	u32 flags;
	short id;
	u16 as_id;
};

#define KVM_SLOT_INVALID	BIT(16)

struct kvm_slots {
	u64 generation;
	atomic_long_t last_used_slot;
	struct rb_root_cached hva_tree;
	struct rb_root gfn_tree;
	struct hlist_head id_hash[128];
	int node_idx;
};

/* As lib/vhost/rte_vhost.h of DPDK has it. */
struct dpdk_region {
	u64 guest_phys_addr;
	u64 guest_user_addr;
	u64 host_user_addr;
	u64 size;
	void *mmap_addr;
	u64 mmap_size;
	int fd;
};

struct peers {
	unsigned int nr_slots;
	struct virtio_mem_xlate *xlate;
	struct vhost_iotlb *iotlb;
	struct maple_tree maple;
	struct kvm_slots *kvm;
	struct kvm_slot **kvm_slots;	/* to free them by */
	struct dpdk_region *regions;
	struct virtio_mem_xlate_slot *slots;	/* sorted; not ours */
};

#define VIEW	const struct virtio_mem_xlate_view *view

/* virtio_mem_xlate as its callers have it: inline. */
static __always_inline unsigned long ours(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	struct virtio_driver_range driver;
	struct virtio_device_range device;

	if (virtio_driver_range_init(&driver, gpa, len) ||
	    virtio_mem_xlate_range(view, driver, VIRTIO_MEM_XLATE_READ, &device))
		return 0;
	return (unsigned long)virtio_device_range_get(device);
}

static noinline unsigned long ours_call(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	return ours(peers, view, gpa, len);
}

/* The same by a cursor. */
static __always_inline unsigned long cursor(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	static struct virtio_mem_xlate_cursor cursor;
	struct virtio_driver_range driver;
	struct virtio_device_range device;

	if (virtio_driver_range_init(&driver, gpa, len) ||
	    virtio_mem_xlate_cursor_range(&cursor, view, driver, VIRTIO_MEM_XLATE_READ, &device))
		return 0;
	return (unsigned long)virtio_device_range_get(device);
}

/* drivers/vhost/iotlb.c itself, used as drivers/vhost/vhost.c does in translate_desc(). */
static __always_inline unsigned long iotlb(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	u64 last = gpa + len - 1;
	const struct vhost_iotlb_map *map = vhost_iotlb_itree_first(peers->iotlb, gpa, last);

	if (!map || map->start > gpa || map->last < last || !(map->perm & VHOST_MAP_RO))
		return 0;
	return map->addr + gpa - map->start;
}

/* lib/maple_tree.c itself, holding pointers to the slots. */
static __always_inline unsigned long maple(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	const struct virtio_mem_xlate_slot *slot = mtree_load((struct maple_tree *)&peers->maple,
							      gpa);

	if (!slot || slot->size - (gpa - slot->gpa) < len ||
	    !(slot->access & VIRTIO_MEM_XLATE_READ))
		return 0;
	return (unsigned long)slot->kva + (gpa - slot->gpa);
}

/* After search_memslots() in include/linux/kvm_host.h. */
static __always_inline const struct kvm_slot *kvm_tree_search(const struct kvm_slots *slots,
							      u64 gfn)
{
	const struct rb_node *node = slots->gfn_tree.rb_node;
	int idx = slots->node_idx;

	while (node) {
		const struct kvm_slot *slot = container_of(node, struct kvm_slot, gfn_node[idx]);

		if (gfn < slot->base_gfn) {
			node = node->rb_left;
			continue;
		}
		if (gfn < slot->base_gfn + slot->npages)
			return slot;
		node = node->rb_right;
	}
	return NULL;
}

/* After __gfn_to_hva_many() in virt/kvm/kvm_main.c and __gfn_to_hva_memslot(). */
static __always_inline unsigned long kvm_hva(const struct kvm_slot *slot, u64 gpa, u64 len)
{
	u64 page;

	if (!slot || slot->flags & KVM_SLOT_INVALID ||
	    ((gpa + len - 1) >> PAGE_SHIFT) - slot->base_gfn >= slot->npages)
		return 0;
	page = array_index_nospec((gpa >> PAGE_SHIFT) - slot->base_gfn, slot->npages);
	return slot->userspace_addr + page * PAGE_SIZE + offset_in_page(gpa);
}

static __always_inline unsigned long kvm(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	return kvm_hva(kvm_tree_search(peers->kvm, gpa >> PAGE_SHIFT), gpa, len);
}

/* After ____gfn_to_memslot(): the slot that was used last, then the search. */
static __always_inline unsigned long kvm_last(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	const struct kvm_slot *slot = (void *)atomic_long_read(&peers->kvm->last_used_slot);
	u64 gfn = gpa >> PAGE_SHIFT;

	if (!slot || gfn < slot->base_gfn || gfn >= slot->base_gfn + slot->npages) {
		slot = kvm_tree_search(peers->kvm, gfn);
		if (!slot)
			return 0;
		atomic_long_set(&peers->kvm->last_used_slot, (unsigned long)slot);
	}
	return kvm_hva(slot, gpa, len);
}

/* After rte_vhost_va_from_guest_pa() in DPDK's lib/vhost/rte_vhost.h. */
static __always_inline unsigned long linear(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	const struct dpdk_region *region = peers->regions;
	const struct dpdk_region *end = region + peers->nr_slots;

	for (; region < end; region++) {
		if (gpa < region->guest_phys_addr || gpa >= region->guest_phys_addr + region->size)
			continue;
		if (len > region->guest_phys_addr + region->size - gpa)
			return 0;
		return region->host_user_addr + (gpa - region->guest_phys_addr);
	}
	return 0;
}

/*
 * After find_region() in rust-vmm's vm-memory, without branches, as Rust's
 * library searches; over slots in an array, where theirs are behind pointers.
 */
static __always_inline unsigned long sorted(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	const struct virtio_mem_xlate_slot *slot = peers->slots;
	unsigned int n = peers->nr_slots;
	u64 offset;

	while (n > 1) {
		unsigned int half = n / 2;
		const struct virtio_mem_xlate_slot *middle = slot + half;

		/* By address arithmetic: GCC would make a branch of the choice. */
		slot += half & -(unsigned long)(middle->gpa <= gpa);
		n -= half;
	}
	offset = gpa - slot->gpa;
	if (offset >= slot->size || slot->size - offset < len ||
	    !(slot->access & VIRTIO_MEM_XLATE_READ))
		return 0;
	return (unsigned long)slot->kva + offset;
}

/* Ranges of up to 4 GiB, of lengths as long_len() has them. */
static __always_inline unsigned long ours_long(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	return ours(peers, view, gpa, long_len(len));
}

static __always_inline unsigned long iotlb_long(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	return iotlb(peers, view, gpa, long_len(len));
}

static __always_inline unsigned long sorted_long(const struct peers *peers, VIEW, u64 gpa, u64 len)
{
	return sorted(peers, view, gpa, long_len(len));
}

/* The pieces of a range: a binary search, and a walk along the slots. */
static noinline int sorted_kvec(const struct peers *peers, u64 gpa, u64 len, struct kvec *kvec,
				int nr_kvec)
{
	const struct virtio_mem_xlate_slot *slot = peers->slots, *end = slot + peers->nr_slots;
	unsigned int n = peers->nr_slots;
	int ret = 0;

	while (n > 1) {
		unsigned int half = n / 2;

		slot += half & -(unsigned long)(slot[half].gpa <= gpa);
		n -= half;
	}
	for (; len; slot++) {
		u64 offset = gpa - slot->gpa, bytes;
		void *kva = slot->kva + offset;

		if (slot == end || offset >= slot->size)
			return -EFAULT;
		if (!(slot->access & VIRTIO_MEM_XLATE_READ))
			return -EPERM;
		bytes = min(slot->size - offset, len);
		if (ret && kva == kvec[ret - 1].iov_base + kvec[ret - 1].iov_len) {
			kvec[ret - 1].iov_len += bytes;
		} else {
			if (ret == nr_kvec)
				return -ENOBUFS;
			kvec[ret++] = (struct kvec){ .iov_base = kva, .iov_len = bytes };
		}
		gpa += bytes;
		len -= bytes;
	}
	return ret;
}

static void kvm_insert(struct kvm_slots *slots, struct kvm_slot *slot)
{
	struct rb_node **link = &slots->gfn_tree.rb_node, *parent = NULL;
	const struct kvm_slot *other;

	while (*link) {
		parent = *link;
		other = container_of(parent, struct kvm_slot, gfn_node[0]);
		link = slot->base_gfn < other->base_gfn ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(&slot->gfn_node[0], parent, link);
	rb_insert_color(&slot->gfn_node[0], &slots->gfn_tree);
}

static int make_ours(struct peers *peers, const struct virtio_mem_xlate_slot *slots)
{
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(slots, peers->nr_slots);

	if (IS_ERR(xlate))
		return PTR_ERR(xlate);
	peers->xlate = xlate;
	return 0;
}

static int make_iotlb(struct peers *peers, const struct virtio_mem_xlate_slot *slots)
{
	unsigned int i;
	int err;

	peers->iotlb = vhost_iotlb_alloc(peers->nr_slots, 0);
	if (!peers->iotlb)
		return -ENOMEM;
	for (i = 0; i < peers->nr_slots; i++) {
		err = vhost_iotlb_add_range(peers->iotlb, slots[i].gpa,
					    slots[i].gpa + slots[i].size - 1,
					    (unsigned long)slots[i].kva, slots[i].access);
		if (err)
			return err;
	}
	return 0;
}

static int make_maple(struct peers *peers, const struct virtio_mem_xlate_slot *slots)
{
	unsigned int i;
	int err;

	for (i = 0; i < peers->nr_slots; i++) {
		err = mtree_insert_range(&peers->maple, slots[i].gpa,
					 slots[i].gpa + slots[i].size - 1, (void *)&slots[i],
					 GFP_KERNEL);
		if (err)
			return err;
	}
	return 0;
}

static int make_kvm(struct peers *peers, const struct virtio_mem_xlate_slot *slots)
{
	struct kvm_slot *slot;
	unsigned int i;

	peers->kvm = kzalloc(sizeof(*peers->kvm), GFP_KERNEL);
	peers->kvm_slots = kvcalloc(peers->nr_slots, sizeof(*peers->kvm_slots), GFP_KERNEL);
	if (!peers->kvm || !peers->kvm_slots)
		return -ENOMEM;
	for (i = 0; i < peers->nr_slots; i++) {
		slot = kzalloc(sizeof(*slot), GFP_KERNEL);
		if (!slot)
			return -ENOMEM;
		slot->base_gfn = slots[i].gpa >> PAGE_SHIFT;
		slot->npages = slots[i].size >> PAGE_SHIFT;
		slot->userspace_addr = (unsigned long)slots[i].kva;
		peers->kvm_slots[i] = slot;
		kvm_insert(peers->kvm, slot);
	}
	return 0;
}

static int make_regions(struct peers *peers, const struct virtio_mem_xlate_slot *slots)
{
	unsigned int i;

	peers->regions = kvcalloc(peers->nr_slots, sizeof(*peers->regions), GFP_KERNEL);
	if (!peers->regions)
		return -ENOMEM;
	for (i = 0; i < peers->nr_slots; i++) {
		peers->regions[i].guest_phys_addr = slots[i].gpa;
		peers->regions[i].size = slots[i].size;
		peers->regions[i].host_user_addr = (unsigned long)slots[i].kva;
	}
	return 0;
}

static int by_gpa(const void *a, const void *b)
{
	const struct virtio_mem_xlate_slot *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static int make_sorted(struct peers *peers, const struct virtio_mem_xlate_slot *slots)
{
	unsigned int i;

	peers->slots = kvmalloc_array(peers->nr_slots, sizeof(*slots), GFP_KERNEL);
	if (!peers->slots)
		return -ENOMEM;
	memcpy(peers->slots, slots, peers->nr_slots * sizeof(*slots));
	for (i = 1; i < peers->nr_slots && slots[i].gpa > slots[i - 1].gpa; i++)
		;
	if (i < peers->nr_slots)
		sort(peers->slots, peers->nr_slots, sizeof(*slots), by_gpa, NULL);
	return 0;
}

static void peers_init(struct peers *peers, unsigned int nr_slots)
{
	*peers = (struct peers){ .nr_slots = nr_slots };
	mt_init_flags(&peers->maple, MT_FLAGS_USE_RCU);
}

/* Frees what has been made. */
static void peers_free(struct peers *peers)
{
	unsigned int i;

	if (peers->xlate)
		virtio_mem_xlate_unregister(peers->xlate);
	vhost_iotlb_free(peers->iotlb);
	/* Nobody reads any more; and freeing a high tree by RCU crashes 6.12. */
	mt_clear_in_rcu(&peers->maple);
	mtree_destroy(&peers->maple);
	for (i = 0; peers->kvm_slots && i < peers->nr_slots; i++)
		kfree(peers->kvm_slots[i]);
	kvfree(peers->kvm_slots);
	kfree(peers->kvm);
	kvfree(peers->regions);
	kvfree(peers->slots);
}

#endif /* _BENCH_PEERS_H */
