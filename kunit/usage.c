// SPDX-License-Identifier: GPL-2.0
/* The examples of the documentation, as they stand there. */
#include <linux/sizes.h>
#include <linux/virtio_ring.h>

#include "helpers.h"

#define DESC_GPA	0x8000
#define BUFFER_GPA	0x20000000
#define BUFFER_LEN	48

/* The DOC section of virtio_mem_xlate.h, from CLASS() on, and what it leaves out: len. */
static int read_desc_len(struct virtio_mem_xlate *xlate, u64 desc_gpa, u32 *len_out)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);
	struct virtio_driver_range driver;
	struct virtio_device_range device;
	const struct vring_desc *desc;
	int err;
	u32 len;

	err = virtio_driver_range_init(&driver, desc_gpa, sizeof(*desc));
	if (err)
		return err;
	err = virtio_mem_xlate_range(&view, driver, VIRTIO_MEM_XLATE_READ, &device);
	if (err)
		return err;
	desc = virtio_device_range_ptr(device, struct vring_desc);
	if (!desc)
		return -EINVAL;
	len = le32_to_cpu((__force __le32)READ_ONCE(desc->len));

	*len_out = len;
	return 0;
}

/*
 * Second example of the README: serves one descriptor, which names a buffer for the
 * device to fill.  It copies the descriptor once, then checks and uses the copy.
 */
static int serve(struct virtio_mem_xlate *xlate, u64 desc_gpa)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);
	struct virtio_driver_range range;
	struct virtio_device_range piece;
	struct vring_desc desc;
	int ret;

	ret = virtio_driver_range_init(&range, desc_gpa, sizeof(desc));
	if (ret)
		return ret;
	ret = virtio_mem_xlate_copy_from(&view, &desc, range);
	if (ret)
		return ret;
	ret = virtio_driver_range_init(&range, le64_to_cpu((__force __le64)desc.addr),
				       le32_to_cpu((__force __le32)desc.len));
	if (ret)
		return ret;
	while ((ret = virtio_mem_xlate_next(&view, &range, VIRTIO_MEM_XLATE_WRITE, &piece)) > 0)
		memset(virtio_device_range_get(piece), 0, virtio_device_range_len(piece));
	return ret;
}

/* First example of the README: owns the memory map of a guest, and plugs and unplugs memory. */
static int run_guest(void *ram, void *dimm, u64 desc_gpa)
{
	struct virtio_mem_xlate_slot slots[] = {
		{ .gpa = 0, .size = PAGE_SIZE, .kva = ram, .access = VIRTIO_MEM_XLATE_RW },
		{ .gpa = SZ_1G, .size = PAGE_SIZE, .kva = dimm, .access = VIRTIO_MEM_XLATE_RW },
	};
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(&slots[0], 1);
	int ret;

	if (IS_ERR(xlate))
		return PTR_ERR(xlate);
	ret = virtio_mem_xlate_add(xlate, &slots[1], 1);
	if (!ret)
		ret = serve(xlate, desc_gpa);
	if (!ret)
		ret = virtio_mem_xlate_remove(xlate, SZ_1G, PAGE_SIZE);
	virtio_mem_xlate_unregister(xlate);
	return ret;
}

struct guest {
	struct virtio_mem_xlate *xlate;
	struct vring_desc ring[4];
	u8 buffer[BUFFER_LEN];
};

/* The first third of the buffer lies behind the rest in the host. */
static int guest_init(struct kunit *test)
{
	struct guest *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, guest);
	{
		struct virtio_mem_xlate_slot slots[] = {
			{ DESC_GPA, sizeof(guest->ring), guest->ring, VIRTIO_MEM_XLATE_READ },
			{ BUFFER_GPA, 16, guest->buffer + 32, VIRTIO_MEM_XLATE_RW },
			{ BUFFER_GPA + 16, 32, guest->buffer, VIRTIO_MEM_XLATE_RW },
		};

		guest->xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	}
	memset(guest->buffer, POISON, BUFFER_LEN);
	guest->ring[1].addr = (__force __virtio64)cpu_to_le64(BUFFER_GPA + 8);
	guest->ring[1].len = (__force __virtio32)cpu_to_le32(24);
	guest->ring[2].addr = (__force __virtio64)cpu_to_le64(BUFFER_GPA + 8);
	guest->ring[2].len = (__force __virtio32)cpu_to_le32(BUFFER_LEN);
	guest->ring[3].addr = (__force __virtio64)cpu_to_le64(U64_MAX - 1);
	guest->ring[3].len = (__force __virtio32)cpu_to_le32(2);
	test->priv = guest;
	return 0;
}

static u64 desc_gpa(unsigned int i)
{
	return DESC_GPA + i * sizeof(struct vring_desc);
}

static void doc_example(struct kunit *test)
{
	struct guest *guest = test->priv;
	u32 len;

	KUNIT_EXPECT_EQ(test, read_desc_len(guest->xlate, desc_gpa(1), &len), 0);
	KUNIT_EXPECT_EQ(test, len, 24);
	KUNIT_EXPECT_EQ(test, read_desc_len(guest->xlate, desc_gpa(4), &len), -EFAULT);
	KUNIT_EXPECT_EQ(test, read_desc_len(guest->xlate, desc_gpa(1) + 1, &len), -EINVAL);
	KUNIT_EXPECT_EQ(test, read_desc_len(guest->xlate, U64_MAX - 1, &len), -EOVERFLOW);
}

static void readme_owner(struct kunit *test)
{
	struct vring_desc *ram = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);
	u8 *dimm = kunit_kzalloc(test, PAGE_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, ram);
	KUNIT_ASSERT_NOT_NULL(test, dimm);
	memset(dimm, POISON, PAGE_SIZE);
	ram[1].addr = (__force __virtio64)cpu_to_le64(SZ_1G + 1);
	ram[1].len = (__force __virtio32)cpu_to_le32(2);
	KUNIT_EXPECT_EQ(test, run_guest(ram, dimm, sizeof(*ram)), 0);
	KUNIT_EXPECT_EQ(test, dimm[0], POISON);
	KUNIT_EXPECT_EQ(test, dimm[1], 0);
	KUNIT_EXPECT_EQ(test, dimm[2], 0);
	KUNIT_EXPECT_EQ(test, dimm[3], POISON);
	KUNIT_EXPECT_EQ(test, run_guest(ram, dimm, 2ULL * SZ_1G), -EFAULT);
}

static void readme_device(struct kunit *test)
{
	struct guest *guest = test->priv;
	u8 want[BUFFER_LEN];

	memset(want, POISON, BUFFER_LEN);
	memset(want + 40, 0, 8);
	memset(want, 0, 16);
	KUNIT_EXPECT_EQ(test, serve(guest->xlate, desc_gpa(1)), 0);
	KUNIT_EXPECT_EQ(test, memcmp(guest->buffer, want, BUFFER_LEN), 0);

	KUNIT_EXPECT_EQ(test, serve(guest->xlate, desc_gpa(0)), 0);
	KUNIT_EXPECT_EQ(test, serve(guest->xlate, desc_gpa(2)), -EFAULT);
	KUNIT_EXPECT_EQ(test, serve(guest->xlate, desc_gpa(3)), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, serve(guest->xlate, desc_gpa(4)), -EFAULT);
}

static struct kunit_case usage_cases[] = {
	KUNIT_CASE(doc_example),
	KUNIT_CASE(readme_owner),
	KUNIT_CASE(readme_device),
	{}
};

static struct kunit_suite usage_suite = {
	.name = "virtio_mem_xlate_usage",
	.init = guest_init,
	.test_cases = usage_cases,
};

kunit_test_suite(usage_suite);
