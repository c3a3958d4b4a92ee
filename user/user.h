/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Shared by the parts of virtio_mem_xlate_user.ko, which depend on each other from
 * the top to the bottom of this list:
 *
 *	vhost.c		a table from the ABI of vhost
 *	table.c		a table: sets it, follows the process, serves faults
 *	layout.c	a layout: how the regions of a VMM lie in blocks
 *	memory_map.c	the regions of a VMM
 *	report.c	what debugfs and the tracepoints say
 *	block.c		a block: pins user memory and follows the process's page tables
 *	space.c		a space: the blocks of a process
 *	stretch.c	a stretch: pinned user memory, for callers who vouch for it
 *	chunk.c		maps the pinned pages of a stretch into the kernel, in pieces
 *	pin.c		pins the pages of a process
 *	charge.c	charges pages to RLIMIT_MEMLOCK
 *
 * Lock order: update -> [mmap_lock] -> lock of a space
 *	       update -> lock of a block -> flip -> locks of virtio_mem_xlate
 *
 * MMU notifiers take the lock of a block and what is behind it, also under memory
 * reclaim, so nothing is allocated under it.  No lock is held over an access to user
 * memory, as a page fault may wait for ever.
 */
#ifndef _VIRTIO_MEM_XLATE_USER_PRIVATE_H
#define _VIRTIO_MEM_XLATE_USER_PRIVATE_H

#include <linux/completion.h>
#include <linux/list.h>
#include <linux/mmu_notifier.h>
#include <linux/mutex.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/sizes.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "../virtio_mem_xlate_user.h"

struct cred;
struct mm_struct;
struct page;

/*
 * Charges
 */

/* Who pays for pinned pages. */
struct account {
	refcount_t refs;
	struct mm_struct *mm;		/* of the process: its VmPin shows the pages */
	const struct cred *cred;	/* of its user; NULL with CAP_IPC_LOCK */
	unsigned long limit;		/* in pages; of when the table was last set */
};

struct account *xlate_account_new(void);
struct account *xlate_account_get(struct account *account);
void xlate_account_put(struct account *account);
int xlate_charge(struct account *account, unsigned long nr_pages, unsigned long limit);
void xlate_uncharge(struct account *account, unsigned long nr_pages);

/*
 * Pins
 */

unsigned long xlate_pin_some(unsigned long start, unsigned long nr_pages, unsigned int access,
			     struct page **pages, int *err);
int xlate_pin_pages(unsigned long start, unsigned long nr_pages, unsigned int access,
		    struct page **pages);
void xlate_unpin_pages(struct page **pages, unsigned long nr_pages);
unsigned long xlate_why_not(unsigned long start, unsigned long nr_pages, unsigned int access,
			    int *err);
bool xlate_is_user_memory(u64 uaddr, u64 size);

/*
 * Stretches
 */

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
	/* private: constant after the stretch is made */
	u64 uaddr;
	u64 size;
	unsigned int access;
	unsigned int nr_pieces;		/* of all chunks */
	struct list_head chunks;	/* in the order of the user addresses */
	unsigned long nr_pages;		/* charged to @account */
	struct account *account;
};

void *xlate_map_pages(struct page **pages, unsigned long nr_pages, unsigned int access);
void xlate_unmap_pages(void *kva);
struct chunk *xlate_chunk_map(struct page **pages, unsigned long nr_pages, unsigned int access,
			      bool in_pieces);
void xlate_chunk_free(struct chunk *chunk, bool dirty);

/*
 * Blocks
 */

/* The address space of a process: all its blocks. */
struct space {
	struct hlist_node node;
	unsigned int users;		/* under the lock of all spaces */
	struct mm_struct *mm;
	struct mutex lock;		/* guards @blocks, and their @users */
	struct rb_root blocks;
	atomic_long_t nr_bad;		/* pages, of all blocks */
};

/* A block without VIRTIO_MEM_XLATE_USER_CONTIGUOUS: aligned to its size. */
#define BLOCK_PAGES	((unsigned long)SZ_2M >> PAGE_SHIFT)

/* What blocks are told apart by. */
struct block_key {
	unsigned long start;		/* user address of the first page */
	unsigned long nr_pages;
	unsigned int access;
};

struct mapping;
struct layout;

/* Who waits until a context has called back. */
struct last_call {
	struct virtio_mem_xlate_callback callback;
	refcount_t refs;
	struct completion called;
};

/*
 * Pages of a process that are pinned, mapped and lost together.  It keeps the pages that
 * its spans need, shared by all tables of the process.
 */
struct block {
	struct rb_node node;
	unsigned int users;		/* attached spans and finders, under the space's lock */
	refcount_t refs;		/* @users as a whole, and mappings */
	struct space *space;
	struct account *account;
	struct block_key key;
	struct mmu_interval_notifier notifier;
	struct mutex lock;		/* guards what follows; taken by MMU notifiers */
	unsigned long version;		/* changes when what is below does */
	struct list_head spans;
	struct mapping *mapping;	/* the last; NULL before the first */
	int bad_err;			/* why the last bad page is bad */
	unsigned long nr_bad;
	unsigned long bad[];		/* bit for each page that the process cannot access */
};

/* Keeps a mapping for the readers of one slot, until they are gone. */
struct lease {
	struct virtio_mem_xlate_callback callback;
	struct mapping *mapping;
	struct lease *next;		/* of those not in use */
};

/* The part of a region in one block: a slot of a table. */
struct span {
	struct list_head list;		/* of the block's spans */
	struct list_head lost;		/* of those lost before their table was current */
	struct layout *layout;
	struct block *block;		/* NULL: not attached, so absent */
	struct lease *lease;		/* NULL: absent; under the block's lock */
	u64 gpa;
	u64 size;
	struct block_key key;
	unsigned long first;		/* page of the block */
	unsigned long nr_pages;
	unsigned int offset;		/* of @gpa in that page */
	bool bad;			/* no slot: the process cannot access these pages */
	bool leaving;			/* needs its pages no more; under the block's lock */
};

extern struct workqueue_struct *xlate_workqueue, *xlate_relayout_workqueue;

struct space *xlate_space_get(struct mm_struct *mm);
void xlate_space_hold(struct space *space);
void xlate_space_put(struct space *space);
int xlate_space_enter(struct space *space);
void xlate_space_leave(struct space *space, int entered);

int xlate_cmp_key(const struct block_key *a, const struct block_key *b);
struct block *xlate_block_find(struct space *space, const struct block_key *key);
struct block *xlate_block_get(struct space *space, const struct block_key *key,
			      struct account *account);
void xlate_block_put(struct block *block);
void xlate_block_free(struct block *block);

extern const struct mmu_interval_notifier_ops xlate_block_ops;
void xlate_block_attach(struct block *block, struct span *span);
void xlate_block_detach(struct block *block, struct span *span);
void xlate_block_forgive(struct block *block, unsigned long first, unsigned long nr_pages);
int xlate_block_update(struct block *block, const struct layout *layout);
bool xlate_block_serves(struct block *block, const struct layout *layout, bool is_current);
void xlate_block_trim(struct block *block);
void xlate_block_leave(struct block *block, struct span *span, const struct layout *next);
void xlate_block_lose_all(struct block *block);
bool xlate_span_slot(struct span *span, struct lease **lease, void **kva);
void xlate_lease_drop(struct lease *lease);

/*
 * Tables
 */

/* A region of a VMM's memory. */
struct region {
	u64 gpa;
	u64 size;
	u64 uaddr;
	unsigned int access;
};

/* All regions of a VMM's memory, sorted by user address. */
struct memory_map {
	refcount_t refs;
	struct space *space;
	struct account *account;
	unsigned int nr;
	struct region regions[];
};

/* How a memory map lies in blocks. */
struct layout {
	struct virtio_mem_xlate_callback callback;
	struct work_struct work;
	refcount_t refs;
	refcount_t memory;		/* @refs as a whole, and those who wait for @detached */
	struct completion detached;
	struct virtio_mem_xlate_user *user;
	struct memory_map *map;
	unsigned int nr;
	bool has_bad;			/* one of its spans is bad */
	struct span spans[];		/* sorted by their blocks */
};

/**
 * struct virtio_mem_xlate_user - all of a VMM's memory
 *
 * Opaque.  virtio_mem_xlate_user_create() makes it, virtio_mem_xlate_user_destroy()
 * undoes it.
 */
struct virtio_mem_xlate_user {
	/* private: */
	struct virtio_mem_xlate *xlate;
	unsigned int flags;
	struct mutex update;		/* serialises what makes a layout the current one */
	struct mutex flip;		/* guards what is below; taken by MMU notifiers */
	struct layout *layout;		/* the current one; NULL: no table has been set */
	struct layout *next;		/* its slots are being made into the next table */
	struct list_head lost;		/* spans of @next */
	bool dying;			/* under @update */
	struct last_call *last;		/* destroy() must not lack memory */
	struct work_struct relayout;
	struct virtio_mem_xlate_user_stretch *log;
	refcount_t refs;		/* its owner, and faults that nobody waits for */
	wait_queue_head_t faults;	/* tasks whose faults a worker serves */
	bool cancelled;
	/* For debugfs. */
	struct dentry *dentry;
	pid_t pid;			/* of the process that made it */
	atomic_long_t nr_faults, nr_invalidations;
	atomic64_t fault_ns;
};

struct memory_map *xlate_map_alloc(const struct kvm_userspace_memory_region *kvm, unsigned int nr);
struct memory_map *xlate_map_get(struct memory_map *map);
void xlate_map_put(struct memory_map *map);
bool xlate_map_is_equal(const struct memory_map *a, const struct memory_map *b);
const struct region *xlate_map_find(const struct memory_map *map, u64 uaddr);
const struct region *xlate_map_find_gpa(const struct memory_map *map, u64 gpa);
void xlate_map_tell_overlap(const struct memory_map *map);

struct layout *xlate_layout_new(struct virtio_mem_xlate_user *user, struct memory_map *map);
void xlate_layout_free(struct layout *layout);
int xlate_layout_attach(struct layout *layout, bool all);
void xlate_layout_detach(struct layout *layout);
int xlate_layout_attach_block(struct layout *layout, const struct block_key *key);
unsigned int xlate_layout_run(const struct layout *layout, unsigned int first);
struct block_key xlate_block_key(const struct region *region, u64 uaddr, bool contiguous);

void xlate_report_init(void);
void xlate_report_exit(void);
void xlate_report_add(struct virtio_mem_xlate_user *user);
void xlate_report_remove(struct virtio_mem_xlate_user *user);
void xlate_report_refused(const struct region *region, int err, const char *why);

struct layout *xlate_layout_get(struct virtio_mem_xlate_user *user);
void xlate_layout_put(struct layout *layout);

#endif /* _VIRTIO_MEM_XLATE_USER_PRIVATE_H */
