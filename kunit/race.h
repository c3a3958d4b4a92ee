/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _VIRTIO_MEM_XLATE_KUNIT_RACE_H
#define _VIRTIO_MEM_XLATE_KUNIT_RACE_H

#include <linux/atomic.h>

#include "one_slot.h"

/*
 * Readers against updaters: each processor has a reader thread.  All threads call their
 * function in a loop, and count in @bad each wrong thing that they see.
 */
struct race {
	struct virtio_mem_xlate *xlate;
	void (*read)(struct race *race);
	void (*update)(struct race *race, unsigned int updater);
	unsigned int nr_updaters;
	void *private;
	unsigned long nr_updates;	/* the race lasts until there were so many, */
					/* at most 4 minutes */

	atomic_t next_updater;
	bool stop;
	atomic_long_t reads, updates;
	atomic_long_t seen;		/* reads that found a slot */
	atomic_long_t bad;
};

void race_run(struct kunit *test, struct race *race);

#endif /* _VIRTIO_MEM_XLATE_KUNIT_RACE_H */
