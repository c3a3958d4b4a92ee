/* SPDX-License-Identifier: GPL-2.0 */
/* Helpers that all suites share. */
#ifndef _VIRTIO_MEM_XLATE_KUNIT_HELPERS_H
#define _VIRTIO_MEM_XLATE_KUNIT_HELPERS_H

#include <kunit/resource.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/jiffies.h>
#include <linux/string.h>
#include <linux/uio.h>

#include "../virtio_mem_xlate.h"

#define R	VIRTIO_MEM_XLATE_READ
#define W	VIRTIO_MEM_XLATE_WRITE
#define RW	VIRTIO_MEM_XLATE_RW

#define POISON	0xa5

/* How long a test of a race runs. */
#define RACE_MS	(IS_ENABLED(CONFIG_SMP) ? 2000 : 300)

/* Sleeps until @condition holds, 10 seconds at most; returns whether it holds. */
#define wait_until(condition)							\
({										\
	unsigned long __end = jiffies + 10 * HZ;				\
	bool __holds;								\
										\
	for (;;) {								\
		bool __late = time_after(jiffies, __end);			\
										\
		__holds = (condition);						\
		if (__holds || __late)						\
			break;							\
		fsleep(1000);							\
	}									\
	__holds;								\
})

/* The byte of guest address @gpa.  Neighbours, and bytes a page or 4 GiB apart, differ. */
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

/* An output before the call: the call must overwrite it. */
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

/* Registers a context; the end of the test unregisters it. */
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
