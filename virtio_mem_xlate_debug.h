/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The files of each context in debugfs, virtio_mem_xlate/ID/slots, .../index and .../stat,
 * and their counters.  Only virtio_mem_xlate.c includes this file.
 *
 * Lookups that succeed are not counted, since they must write no shared cache line.
 */
#ifndef _VIRTIO_MEM_XLATE_DEBUG_H
#define _VIRTIO_MEM_XLATE_DEBUG_H

#ifdef CONFIG_DEBUG_FS
#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/seq_file.h>

/* The errors of lookups. */
static const struct {
	int err;
	const char *name;
} debug_errors[] = {
	{ -EFAULT, "EFAULT" },
	{ -EPERM, "EPERM" },
	{ -EAGAIN, "EAGAIN" },
	{ -ENOBUFS, "ENOBUFS" },
	{ -EOVERFLOW, "EOVERFLOW" },
	{ -EINVAL, "EINVAL" },
	{ -EOPNOTSUPP, "EOPNOTSUPP" },
};

struct xlate_debug {
	struct virtio_mem_xlate *xlate;
	const char *owner;
	struct dentry *dir;
	atomic64_t updates, waiting, waited_ns, waited_max_ns;
	atomic64_t callbacks, beyond_log;
	atomic64_t failed[ARRAY_SIZE(debug_errors)];
};

static struct dentry *debug_root;

static unsigned long holds_count(struct virtio_mem_xlate *xlate);

static void debug_failure(struct xlate_debug *debug, int err)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(debug_errors); i++)
		if (debug_errors[i].err == err)
			atomic64_inc(&debug->failed[i]);
}

static void debug_wait(struct xlate_debug *debug)
{
	atomic64_inc(&debug->updates);
	atomic64_inc(&debug->waiting);
}

static void debug_waited(struct xlate_debug *debug, s64 ns)
{
	s64 max = atomic64_read(&debug->waited_max_ns);

	while (ns > max && !atomic64_try_cmpxchg(&debug->waited_max_ns, &max, ns))
		;
	atomic64_add(ns, &debug->waited_ns);
	atomic64_dec(&debug->waiting);
}

static void debug_call(struct xlate_debug *debug)
{
	atomic64_inc(&debug->callbacks);
}

static void debug_called(struct xlate_debug *debug)
{
	atomic64_dec(&debug->callbacks);
}

static void debug_beyond_log(struct xlate_debug *debug, u64 nr_pages)
{
	atomic64_add(nr_pages, &debug->beyond_log);
}

/* Through one view, so that all lines are of one table. */
static int slots_show(struct seq_file *file, void *unused)
{
	static const char * const access[] = {
		[0] = "absent",
		[VIRTIO_MEM_XLATE_READ] = "r",
		[VIRTIO_MEM_XLATE_WRITE] = "w",
		[VIRTIO_MEM_XLATE_RW] = "rw",
	};
	struct xlate_debug *debug = file->private;
	struct virtio_mem_xlate_view view;
	unsigned int i;

	virtio_mem_xlate_read_lock(debug->xlate, &view);
	seq_puts(file, "gpa size kva access owner\n");
	for (i = 0; i < view.table->nr_slots && !seq_has_overflowed(file); i++) {
		const struct xlate_slot *slot = &view.table->slots[i];
		unsigned int allowed;
		void *kva;

		if (slot_seen(slot, view.generation, &kva, &allowed))
			seq_printf(file, "%#018llx %#018llx %p %s %s\n", slot->gpa, slot->size,
				   allowed ? kva : NULL, access[allowed], debug->owner);
		cond_resched();
	}
	virtio_mem_xlate_read_unlock(&view);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(slots);

/*
 * Draws the @nr buckets of 2^@shift bytes from @low on, whose entries start at entries[@place], and
 * the nodes below; a line for each run of equal entries.
 */
static void row_show(struct seq_file *file, const struct virtio_mem_xlate_table *table,
		     unsigned long place, u64 nr, unsigned int shift, u64 low, unsigned int depth)
{
	const unsigned long mask = depth ? ULONG_MAX : number_mask(nr);
	const u64 first = depth ? place : low >> shift;
	u64 i, run;

	for (i = 0; i < nr && !seq_has_overflowed(file); i += run) {
		unsigned long entry = READ_ONCE(table->entries[(first + i) & mask]);
		u64 gpa = low + (i << shift);

		for (run = 1; i + run < nr && !entry_is_node(entry) &&
		     READ_ONCE(table->entries[(first + i + run) & mask]) == entry; run++)
			cond_resched();
		seq_printf(file, "%*s0x%016llx %llu x 2^%u ", 2 * depth, "", gpa, run, shift);
		if (entry_is_direct(entry)) {
			seq_printf(file, "direct %s%s\n", entry >> (BITS_PER_LONG - 1) ? "r" : "",
				   entry >> (BITS_PER_LONG - 2) & 1 ? "w" : "");
		} else if (entry_is_node(entry)) {
			unsigned int bits = shift - node_shift(entry);

			seq_printf(file, "node of %u\n", 1U << bits);
			row_show(file, table, node_place(entry, gpa), 1U << bits,
				 node_shift(entry), gpa, depth + 1);
		} else {
			seq_printf(file, "search %u from slot %lu\n",
				   max(1U << search_order(entry), 4U), search_first(entry));
		}
	}
}

static int index_show(struct seq_file *file, void *unused)
{
	struct xlate_debug *debug = file->private;
	const struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate_view view;

	virtio_mem_xlate_read_lock(debug->xlate, &view);
	table = view.table;
	seq_printf(file, "%u slots, %u of %u entries, far: search %u from slot %lu\n",
		   table->nr_slots, table->nr_entries, table->max_entries,
		   max(1U << search_order(table->far_entry), 4U), search_first(table->far_entry));
	if (table->span)
		row_show(file, table, 0, ((table->span - 1) >> table->shift) + 1, table->shift,
			 table->base, 0);
	virtio_mem_xlate_read_unlock(&view);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(index);

static int stat_show(struct seq_file *file, void *unused)
{
	struct xlate_debug *debug = file->private;
	struct virtio_mem_xlate_view view;
	unsigned int i, absent = 0, allowed;
	void *kva;

	seq_printf(file, "owner %s\n", debug->owner);
	virtio_mem_xlate_read_lock(debug->xlate, &view);
	for (i = 0; i < view.table->nr_slots; i++) {
		absent += slot_seen(&view.table->slots[i], view.generation, &kva, &allowed) &&
			  !allowed;
		cond_resched();
	}
	/* An update may be removing a slot; either number is right. */
	seq_printf(file, "slots %u\n", data_race(view.table->nr_live));
	seq_printf(file, "absent %u\n", absent);
	seq_printf(file, "log %s\n", READ_ONCE(view.table->log) ? "on" : "off");
	seq_printf(file, "table_bytes %zu\n", table_bytes(view.table->nr_slots));
	virtio_mem_xlate_read_unlock(&view);
	seq_printf(file, "updates %lld\n", atomic64_read(&debug->updates));
	seq_printf(file, "waiting %lld\n", atomic64_read(&debug->waiting));
	seq_printf(file, "waited_ns %lld\n", atomic64_read(&debug->waited_ns));
	seq_printf(file, "waited_max_ns %lld\n", atomic64_read(&debug->waited_max_ns));
	seq_printf(file, "holds %lu\n", holds_count(debug->xlate));
	seq_printf(file, "callbacks %lld\n", atomic64_read(&debug->callbacks));
	seq_printf(file, "beyond_log %lld\n", atomic64_read(&debug->beyond_log));
	for (i = 0; i < ARRAY_SIZE(debug_errors); i++)
		seq_printf(file, "%s %lld\n", debug_errors[i].name,
			   atomic64_read(&debug->failed[i]));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(stat);

/* A context works without its files, so errors of debugfs do not matter. */
static void debug_add(struct xlate_debug *debug, struct virtio_mem_xlate *xlate, u32 id,
		      const char *owner)
{
	char name[sizeof("4294967295")];

	snprintf(name, sizeof(name), "%u", id);
	debug->xlate = xlate;
	debug->owner = owner;
	debug->dir = debugfs_create_dir(name, debug_root);
	debugfs_create_file("slots", 0400, debug->dir, debug, &slots_fops);
	debugfs_create_file("index", 0400, debug->dir, debug, &index_fops);
	debugfs_create_file("stat", 0400, debug->dir, debug, &stat_fops);
}

/* Returns when no file is being read; an open file gives an error from then on. */
static void debug_remove(struct xlate_debug *debug)
{
	debugfs_remove(debug->dir);
}

static void debug_init(void)
{
	debug_root = debugfs_create_dir("virtio_mem_xlate", NULL);
}

static void debug_exit(void)
{
	debugfs_remove(debug_root);
}
#else
struct xlate_debug {};

static inline void debug_failure(struct xlate_debug *debug, int err) {}
static inline void debug_wait(struct xlate_debug *debug) {}
static inline void debug_waited(struct xlate_debug *debug, s64 ns) {}
static inline void debug_call(struct xlate_debug *debug) {}
static inline void debug_called(struct xlate_debug *debug) {}
static inline void debug_beyond_log(struct xlate_debug *debug, u64 nr_pages) {}
static inline void debug_add(struct xlate_debug *debug, struct virtio_mem_xlate *xlate, u32 id,
			     const char *owner) {}
static inline void debug_remove(struct xlate_debug *debug) {}
static inline void debug_init(void) {}
static inline void debug_exit(void) {}
#endif

#define CREATE_TRACE_POINTS
#include "virtio_mem_xlate_trace.h"

#endif /* _VIRTIO_MEM_XLATE_DEBUG_H */
