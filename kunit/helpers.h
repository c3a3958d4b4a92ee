/* SPDX-License-Identifier: GPL-2.0 */
/* What the suites share. */
#ifndef _VIRTIO_MEM_XLATE_KUNIT_HELPERS_H
#define _VIRTIO_MEM_XLATE_KUNIT_HELPERS_H

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/err.h>
#include <linux/string.h>
#include <linux/uio.h>

#include "../virtio_mem_xlate.h"

#define POISON	0xa5

/* The byte that guest address @gpa holds: neighbours, pages and 4 GiB apart all differ. */
static inline u8 pattern(u64 gpa)
{
	return (gpa * 0x9e3779b97f4a7c15ULL) >> 56;
}

static inline void fill_pattern(void *kva, u64 gpa, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		((u8 *)kva)[i] = pattern(gpa + i);
}

static inline bool is_pattern(const void *kva, u64 gpa, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (((const u8 *)kva)[i] != pattern(gpa + i))
			return false;
	return true;
}

static inline bool device_range_is_empty(struct virtio_device_range device)
{
	return !virtio_device_range_get(device) && !virtio_device_range_len(device);
}

/* What an output holds before a call that must overwrite it. */
static inline struct virtio_device_range poisoned_device_range(void)
{
	struct virtio_device_range device;

	memset(&device, POISON, sizeof(device));
	return device;
}

static inline void unregister_resource(struct kunit_resource *res)
{
	virtio_mem_xlate_unregister(res->data);
}

/* A context that the end of the test unregisters. */
static inline struct virtio_mem_xlate *
register_for_test(struct kunit *test, const struct virtio_mem_xlate_slot *slots,
		  unsigned int nr_slots)
{
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(slots, nr_slots);

	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, xlate);
	kunit_alloc_resource(test, NULL, unregister_resource, GFP_KERNEL, xlate);
	return xlate;
}

/* virtio_mem_xlate_range() through a view of its own. */
static inline int translate(struct virtio_mem_xlate *xlate, u64 gpa, u64 len,
			    unsigned int access, struct virtio_device_range *device)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);

	return virtio_mem_xlate_range(&view, (struct virtio_driver_range){ gpa, len }, access,
				      device);
}

/* Where the device sees one byte; or an ERR_PTR. */
static inline void *translate_byte(struct virtio_mem_xlate *xlate, u64 gpa)
{
	struct virtio_device_range device;
	int err = translate(xlate, gpa, 1, VIRTIO_MEM_XLATE_READ, &device);

	return err ? ERR_PTR(err) : virtio_device_range_get(device);
}

#endif /* _VIRTIO_MEM_XLATE_KUNIT_HELPERS_H */
