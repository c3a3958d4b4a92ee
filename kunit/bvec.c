// SPDX-License-Identifier: GPL-2.0
/*
 * Ranges as an array for iov_iter_bvec() or a bio: pages, each entry physically contiguous.
 */
#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "helpers.h"

#define NR_PAGES	4
#define SIZE	(NR_PAGES * PAGE_SIZE)
#define GPA	0x100000

/* Pages in a row, in the direct map; and mapped anew in order, and the other way round. */
struct guest {
	struct page *page;
	void *direct, *in_order, *reversed;
};

static int bvec_init(struct kunit *test)
{
	struct guest *guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);
	struct page *forwards[NR_PAGES], *backwards[NR_PAGES];
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, guest);
	test->priv = guest;
	guest->page = alloc_pages(GFP_KERNEL, ilog2(NR_PAGES));
	KUNIT_ASSERT_NOT_NULL(test, guest->page);
	guest->direct = page_address(guest->page);
	for (i = 0; i < NR_PAGES; i++) {
		forwards[i] = guest->page + i;
		backwards[i] = guest->page + NR_PAGES - 1 - i;
	}
	guest->in_order = vmap(forwards, NR_PAGES, VM_MAP, PAGE_KERNEL);
	guest->reversed = vmap(backwards, NR_PAGES, VM_MAP, PAGE_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, guest->in_order);
	KUNIT_ASSERT_NOT_NULL(test, guest->reversed);
	return 0;
}

static void bvec_exit(struct kunit *test)
{
	struct guest *guest = test->priv;

	vunmap(guest->in_order);
	vunmap(guest->reversed);
	if (guest->page)
		__free_pages(guest->page, ilog2(NR_PAGES));
}

static int bvec_of(struct virtio_mem_xlate *xlate, u64 gpa, u64 len, unsigned int access,
		   struct bio_vec *bvec, unsigned int nr)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);

	return virtio_mem_xlate_bvec(&view, (struct virtio_driver_range){ gpa, len }, access,
				     bvec, nr);
}

/* Pages of the direct map are one entry, from the first byte to the last. */
static void the_direct_map(struct kunit *test)
{
	struct guest *guest = test->priv;
	const struct virtio_mem_xlate_slot slot = { GPA, SIZE, guest->direct, RW };
	struct virtio_mem_xlate *xlate = register_for_test(test, &slot, 1);
	struct bio_vec bvec[2];

	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, SIZE, RW, bvec, 1), 1);
	KUNIT_EXPECT_PTR_EQ(test, bvec[0].bv_page, guest->page);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_offset, 0);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_len, SIZE);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA + PAGE_SIZE + 100, PAGE_SIZE, R, bvec, 1), 1);
	KUNIT_EXPECT_PTR_EQ(test, bvec[0].bv_page, guest->page + 1);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_offset, 100);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_len, PAGE_SIZE);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, 0, R, bvec, 0), 0);
}

/* Behind a vmap area it is the pages that count, not their addresses. */
static void areas_of_vmap(struct kunit *test)
{
	struct guest *guest = test->priv;
	const struct virtio_mem_xlate_slot slots[] = {
		{ GPA, SIZE, guest->in_order, RW }, { GPA + SIZE, SIZE, guest->reversed, RW },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, 2);
	struct bio_vec bvec[NR_PAGES + 1];
	unsigned int i;

	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, SIZE, RW, bvec, 1), 1);
	KUNIT_EXPECT_PTR_EQ(test, bvec[0].bv_page, guest->page);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_len, SIZE);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA + SIZE, SIZE, RW, bvec, NR_PAGES), NR_PAGES);
	for (i = 0; i < NR_PAGES; i++)
		KUNIT_EXPECT_PTR_EQ(test, bvec[i].bv_page, guest->page + NR_PAGES - 1 - i);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA + SIZE, SIZE, RW, bvec, NR_PAGES - 1), -ENOBUFS);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, 2 * SIZE, RW, bvec, NR_PAGES + 1), NR_PAGES + 1);
}

/* Two slots whose pages touch, by addresses that do not: one entry. */
static void neighbours_are_one_entry(struct kunit *test)
{
	struct guest *guest = test->priv;
	const u64 part = PAGE_SIZE + 100;
	const struct virtio_mem_xlate_slot slots[] = {
		{ GPA, part, guest->direct, RW },
		{ GPA + part, SIZE - part, guest->in_order + part, RW },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, 2);
	struct bio_vec bvec[1];

	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, SIZE, RW, bvec, 1), 1);
	KUNIT_EXPECT_EQ(test, bvec[0].bv_len, SIZE);
}

/* vmalloc() memory through an iov_iter, as direct I/O takes it. */
static void contents_by_iov_iter(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = { GPA, 16 * PAGE_SIZE, NULL, RW };
	u8 *copy = kunit_kzalloc(test, slot.size, GFP_KERNEL);
	struct virtio_mem_xlate *xlate;
	struct bio_vec bvec[16];
	struct iov_iter iter;
	size_t len = 15 * PAGE_SIZE;
	int nr;

	slot.kva = vmalloc(slot.size);
	KUNIT_ASSERT_NOT_NULL(test, slot.kva);
	fill_pattern(slot.kva, GPA, slot.size);
	xlate = virtio_mem_xlate_register(&slot, 1);
	if (!IS_ERR(xlate)) {
		nr = bvec_of(xlate, GPA + 77, len, R, bvec, ARRAY_SIZE(bvec));
		KUNIT_EXPECT_GT(test, nr, 0);
		if (nr > 0 && copy) {
			iov_iter_bvec(&iter, ITER_SOURCE, bvec, nr, len);
			KUNIT_EXPECT_EQ(test, copy_from_iter(copy, len, &iter), len);
			KUNIT_EXPECT_TRUE(test, is_pattern(copy, GPA + 77, len));
		}
		virtio_mem_xlate_unregister(xlate);
	}
	vfree(slot.kva);
}

/* As from kvec(); and memory without struct page, such as that of a device, is refused. */
static void bvec_errors(struct kunit *test)
{
	struct guest *guest = test->priv;
	const struct virtio_mem_xlate_slot slots[] = {
		{ GPA, PAGE_SIZE, guest->direct, R },
		{ GPA + PAGE_SIZE, PAGE_SIZE, (void *)PAGE_SIZE, RW },
		{ GPA + 2 * PAGE_SIZE, PAGE_SIZE, NULL, VIRTIO_MEM_XLATE_ABSENT },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, 3);
	struct bio_vec bvec[2];

	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, 1, 0, bvec, 2), -EINVAL);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, U64_MAX, 1, R, bvec, 2), -EOVERFLOW);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA - 1, 2, R, bvec, 2), -EFAULT);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, 1, RW, bvec, 2), -EPERM);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA, 1, R, bvec, 0), -ENOBUFS);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA + 1, PAGE_SIZE, R, bvec, 2), -EOPNOTSUPP);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA + 2 * PAGE_SIZE, 1, R, bvec, 2), -EAGAIN);
	KUNIT_EXPECT_EQ(test, bvec_of(xlate, GPA + 1, PAGE_SIZE - 1, R, bvec, 2), 1);
}

static struct kunit_case bvec_cases[] = {
	KUNIT_CASE(the_direct_map),
	KUNIT_CASE(areas_of_vmap),
	KUNIT_CASE(neighbours_are_one_entry),
	KUNIT_CASE(contents_by_iov_iter),
	KUNIT_CASE(bvec_errors),
	{}
};

static struct kunit_suite bvec_suite = {
	.name = "virtio_mem_xlate_bvec",
	.init = bvec_init,
	.exit = bvec_exit,
	.test_cases = bvec_cases,
};

kunit_test_suite(bvec_suite);
