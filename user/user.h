/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the parts of virtio_mem_xlate_user.ko, which depend on each other from
 * the top to the bottom of this list:
 *
 *	vhost.c		a table from the ABI of vhost
 *	table.c		a table: publishes a memory map
 *	memory_map.c	the regions of a VMM, each with its stretch
 *	stretch.c	a stretch: a pinned region of user memory
 *	chunk.c		maps pinned pages into the kernel, in pieces
 *	pin.c		pins the pages of a process
 *	charge.c	charges pages to RLIMIT_MEMLOCK
 */
#ifndef _VIRTIO_MEM_XLATE_USER_PRIVATE_H
#define _VIRTIO_MEM_XLATE_USER_PRIVATE_H

#include <linux/list.h>
#include <linux/refcount.h>

#include "../virtio_mem_xlate_user.h"

struct cred;
struct mm_struct;
struct page;

/* Contiguous in the kernel: part of the direct map, or an area of vmap(). */
struct piece {
	void *kva;
	unsigned long nr_pages;
};

/* Pages that were pinned and mapped together. */
struct chunk {
	struct list_head list;
	unsigned int nr_pieces;
	struct piece pieces[];
};

/**
 * struct virtio_mem_xlate_user_stretch - pinned user memory
 *
 * Opaque.  virtio_mem_xlate_user_pin() or virtio_mem_xlate_user_pin_pieces()
 * makes it, virtio_mem_xlate_user_unpin() undoes it.
 */
struct virtio_mem_xlate_user_stretch {
	/* private: constant after the stretch is made, except @refs */
	refcount_t refs;		/* one for each region, or the caller's */
	u64 uaddr;
	u64 size;
	unsigned int access;
	unsigned int nr_pieces;		/* of all chunks */
	struct list_head chunks;	/* in the order of the user addresses */
	/* The charge. */
	unsigned long nr_pages;
	struct mm_struct *mm;		/* of the process that pinned */
	const struct cred *charged;	/* of its user; NULL with CAP_IPC_LOCK */
};

/* A region of a VMM's memory. */
struct region {
	u64 gpa;
	u64 size;
	u64 uaddr;
	unsigned int access;
	struct virtio_mem_xlate_user_stretch *stretch;	/* a reference; NULL before it is pinned */
};

/* All regions of a VMM's memory, sorted by cmp_region(). */
struct memory_map {
	unsigned int nr;
	struct region regions[];
};

int xlate_charge(struct virtio_mem_xlate_user_stretch *stretch);
void xlate_uncharge(struct virtio_mem_xlate_user_stretch *stretch);

int xlate_pin_pages(unsigned long start, unsigned long nr_pages, unsigned int access,
		    struct page **pages);
void xlate_unpin_pages(struct page **pages, unsigned long nr_pages);

struct chunk *xlate_chunk_map(struct page **pages, unsigned long nr_pages, unsigned int access,
			      bool in_pieces);
void xlate_chunk_free(struct chunk *chunk, bool dirty);

struct virtio_mem_xlate_user_stretch *xlate_stretch_pin(u64 uaddr, u64 size, unsigned int access,
							bool in_pieces);
struct virtio_mem_xlate_user_stretch *
xlate_stretch_get(struct virtio_mem_xlate_user_stretch *stretch);

struct memory_map *xlate_map_alloc(const struct kvm_userspace_memory_region *kvm, unsigned int nr);
void xlate_map_free(struct memory_map *map);
void xlate_map_keep(struct memory_map *map, const struct memory_map *old);
int xlate_map_pin(struct memory_map *map, bool in_pieces);
struct virtio_mem_xlate_slot *xlate_map_slots(const struct memory_map *map,
					      unsigned int *nr_slots);
const struct region *xlate_map_find(const struct memory_map *map, u64 uaddr);

#endif /* _VIRTIO_MEM_XLATE_USER_PRIVATE_H */
