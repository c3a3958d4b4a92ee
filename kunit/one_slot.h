/* SPDX-License-Identifier: GPL-2.0 */
/* A guest of one slot: SIZE bytes at GPA. */
#ifndef _VIRTIO_MEM_XLATE_KUNIT_ONE_SLOT_H
#define _VIRTIO_MEM_XLATE_KUNIT_ONE_SLOT_H

#include <linux/slab.h>

#include "helpers.h"

#define GPA	0x1000
#define SIZE	0x100

/* The slot at GPA, with its bytes at @kva. */
static inline struct virtio_mem_xlate_slot slot_of(void *kva)
{
	return (struct virtio_mem_xlate_slot){ GPA, SIZE, kva, RW };
}

/* Where @view has the byte at @gpa; or an ERR_PTR. */
static inline void *view_byte(struct virtio_mem_xlate_view *view, u64 gpa)
{
	struct virtio_device_range device;
	int err;

	err = virtio_mem_xlate_range(view, (struct virtio_driver_range){ gpa, 1 }, R, &device);
	return err ? ERR_PTR(err) : virtio_device_range_get(device);
}

/* Memory for the slot, filled with pattern(); freed at the end of the test. */
static inline void *filled(struct kunit *test)
{
	void *kva = kunit_kmalloc(test, SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, kva);
	fill_pattern(kva, GPA, SIZE);
	return kva;
}

#endif /* _VIRTIO_MEM_XLATE_KUNIT_ONE_SLOT_H */
