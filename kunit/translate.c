// SPDX-License-Identifier: GPL-2.0
/* Translation through a view: each test checks the bytes, not only the pointers. */
#include <linux/io.h>
#include <linux/sizes.h>

#include "helpers.h"

/*
 * One guest for all cases.  The letters stand for slots:
 *
 *	gpa	0x1000  0x1100  0x1180    0x11c1    0x1200  0x1240   0x1300 0x1301
 *		A RW    B RW    C RW      D R       E W     (hole)   F RW   G RW
 *	host	0x000   0x100   0x400     0x441     0x480            0x500  0x180
 *
 * A-B and C-D-E touch on both sides; B-C and F-G only in the guest; B-G only
 * in the host.  H lies 4 GiB above A, I ends where addresses end.
 */
static const struct place {
	u64 gpa;
	u16 size;
	u16 host;
	unsigned int access;
} places[] = {
	{ 0x1000, 0x100, 0x000, RW },		/* A */
	{ 0x1100, 0x080, 0x100, RW },		/* B */
	{ 0x1180, 0x041, 0x400, RW },		/* C */
	{ 0x11c1, 0x03f, 0x441, R },		/* D */
	{ 0x1200, 0x040, 0x480, W },		/* E */
	{ 0x1300, 0x001, 0x500, RW },		/* F */
	{ 0x1301, 0x040, 0x180, RW },		/* G */
	{ 0x100001080, 0x80, 0x600, RW },	/* H */
	{ U64_MAX - 0x20, 0x20, 0x700, RW },	/* I */
};

#define MEMORY_SIZE	0x800

struct guest {
	struct virtio_mem_xlate *xlate;
	u8 memory[MEMORY_SIZE];		/* pattern() in the slots, POISON elsewhere */
	u8 before[MEMORY_SIZE];
};

static int guest_init(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[ARRAY_SIZE(places)];
	struct guest *guest;
	unsigned int i;

	guest = kunit_kzalloc(test, sizeof(*guest), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, guest);
	memset(guest->memory, POISON, MEMORY_SIZE);
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		slots[i].gpa = places[i].gpa;
		slots[i].size = places[i].size;
		slots[i].kva = guest->memory + places[i].host;
		slots[i].access = places[i].access;
		fill_pattern(slots[i].kva, slots[i].gpa, slots[i].size);
	}
	memcpy(guest->before, guest->memory, MEMORY_SIZE);
	guest->xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	test->priv = guest;
	return 0;
}

static struct virtio_mem_xlate *guest_xlate(struct kunit *test)
{
	return ((struct guest *)test->priv)->xlate;
}

static void *host_byte(struct guest *guest, u64 gpa)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(places); i++)
		if (gpa >= places[i].gpa && gpa - places[i].gpa < places[i].size)
			return guest->memory + places[i].host + (gpa - places[i].gpa);
	return NULL;
}

/*
 * The result of a walk with room for all pieces: 0 and their number, or an error after
 * @good bytes in @pieces pieces.
 */
static const struct translate_case {
	const char *name;
	u64 start, len;
	unsigned int access;
	int err;
	unsigned int pieces;
	u64 good;
} translate_cases[] = {
	{ "one slot, all of it", 0x1180, 0x41, RW, 0, 1 },
	{ "first byte", 0x1000, 1, RW, 0, 1 },
	{ "last byte of a slot", 0x117f, 1, RW, 0, 1 },
	{ "slot of one byte", 0x1300, 1, RW, 0, 1 },
	{ "ends at a slot's end", 0x1170, 0x10, RW, 0, 1 },	/* firecracker#1560 */
	{ "touches on both sides", 0x1000, 0x180, RW, 0, 1 },
	{ "touches, a byte of each", 0x10ff, 2, RW, 0, 1 },
	{ "touches in the guest only", 0x1170, 0x20, RW, 0, 2 },	/* CVE-2018-1059 */
	{ "guest only, a byte of each", 0x117f, 2, RW, 0, 2 },
	{ "guest only, slot of one byte", 0x1300, 0x41, RW, 0, 2 },
	{ "three slots, odd sizes", 0x10f1, 0xcf, R, 0, 2 },
	{ "all that can be read", 0x1000, 0x200, R, 0, 2 },
	{ "three touching for reading", 0x1180, 0x80, R, 0, 1 },
	{ "read-only slot", 0x11c1, 0x3f, R, 0, 1 },
	{ "write-only slot", 0x1200, 0x40, W, 0, 1 },
	{ "ends at U64_MAX", U64_MAX - 0x20, 0x20, RW, 0, 1 },
	{ "last byte of all", U64_MAX - 1, 1, RW, 0, 1 },
	{ "4 GiB above", 0x100001080, 0x80, RW, 0, 1 },

	{ "below all slots", 0, 1, R, -EFAULT, 0, 0 },
	{ "runs into the first slot", 0xfff, 2, R, -EFAULT, 0, 0 },
	{ "in the hole", 0x1240, 1, W, -EFAULT, 0, 0 },
	{ "byte after a slot", 0x1240, 0xc0, W, -EFAULT, 0, 0 },
	{ "byte before a slot", 0x12ff, 2, RW, -EFAULT, 0, 0 },
	{ "runs out by one byte", 0x1200, 0x41, W, -EFAULT, 1, 0x40 },	/* CVE-2018-1059 */
	{ "hole in the middle", 0x1200, 0x101, W, -EFAULT, 1, 0x40 },	/* crosvm cc8e94dc5 */
	{ "after the last but one", 0x1330, 0x12, RW, -EFAULT, 1, 0x11 },
	{ "4 GiB above the hole", 0x100001240, 1, R, -EFAULT, 0, 0 },
	{ "4 GiB above another slot", 0x100001000, 1, R, -EFAULT, 0, 0 },	/* rproc_da_to_va */
	{ "4 GiB above, too long", 0x100001080, 0x81, R, -EFAULT, 1, 0x80 },
	{ "4 GiB too long", 0x1000, 0x100000001, R, -EPERM, 2, 0x200 },
	{ "to U64_MAX", 0x1301, U64_MAX - 0x1301, RW, -EFAULT, 1, 0x40 },
	{ "last byte that can be named", U64_MAX, 0, RW, 0, 0 },
	{ "everything", 0, U64_MAX, RW, -EFAULT, 0, 0 },

	{ "write to read-only", 0x11c1, 1, W, -EPERM, 0, 0 },
	{ "read and write read-only", 0x11ff, 1, RW, -EPERM, 0, 0 },
	{ "read write-only", 0x1200, 1, R, -EPERM, 0, 0 },
	{ "read and write write-only", 0x1200, 1, RW, -EPERM, 0, 0 },
	{ "runs into read-only", 0x1180, 0x42, W, -EPERM, 1, 0x41 },
	{ "last byte write-only", 0x11c1, 0x40, R, -EPERM, 1, 0x3f },
	{ "refused, then a hole", 0x1180, 0x200, R, -EPERM, 1, 0x80 },
	{ "refused at once, then a hole", 0x11ff, 0x80, W, -EPERM, 0, 0 },
	{ "hole, then refused", 0xfff, 0x300, W, -EFAULT, 0, 0 },
	{ "pieces, then refused", 0x1000, 0x240, R, -EPERM, 2, 0x200 },
	{ "pieces, then a hole", 0x1300, 0x42, RW, -EFAULT, 2, 0x41 },
	{ "pieces, then refused in the second", 0x1100, 0xc2, W, -EPERM, 2, 0xc1 },

	{ "empty in a slot", 0x1000, 0, RW, 0, 0 },
	{ "empty in a slot without access", 0x11c1, 0, W, 0, 0 },
	{ "empty in the hole", 0x1240, 0, R, 0, 0 },
	{ "empty at 0", 0, 0, R, 0, 0 },
	{ "empty at a slot's end", 0x1240, 0, W, 0, 0 },

	{ "hand-made, wraps", U64_MAX, 1, R, -EOVERFLOW },	/* openvmm#4047 */
	{ "hand-made, from a slot", U64_MAX - 0x20, 0x21, R, -EOVERFLOW },
	{ "hand-made, all but one", 0x1001, U64_MAX - 0x1000, R, -EOVERFLOW },
	{ "hand-made, largest", U64_MAX, U64_MAX, RW, -EOVERFLOW },

	{ "access 0", 0x1000, 1, 0, -EINVAL },
	{ "access unknown", 0x1000, 1, 4, -EINVAL },
	{ "access partly unknown", 0x1000, 1, RW | 4, -EINVAL },
	{ "access highest bit", 0x1000, 1, RW | BIT(31), -EINVAL },
	{ "access 0, empty", 0x1000, 0, 0, -EINVAL },
	{ "access 0, in the hole", 0x1240, 1, 0, -EINVAL },
	{ "access 0, wraps", U64_MAX, 1, 0, -EINVAL },
	{ "access unknown, wraps", U64_MAX, 1, 4, -EINVAL },
};

static void translate_desc(const struct translate_case *c, char *desc)
{
	strscpy(desc, c->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(translate, translate_cases, translate_desc);

/* The case of just this access after @c, the first after NULL: parameter generators differ. */
static const struct translate_case *next_case_of(const struct translate_case *c,
						 unsigned int access)
{
	const struct translate_case *end = translate_cases + ARRAY_SIZE(translate_cases);

	for (c = c ? c + 1 : translate_cases; c < end; c++)
		if (c->access == access)
			return c;
	return NULL;
}

static struct virtio_driver_range case_range(const struct translate_case *c)
{
	return (struct virtio_driver_range){ c->start, c->len };
}

/* @device must be the bytes from @gpa on, with the access asked for. */
static void expect_piece(struct kunit *test, struct virtio_device_range device, u64 gpa, u64 len,
			 unsigned int access)
{
	KUNIT_EXPECT_EQ(test, (u64)virtio_device_range_len(device), len);
	KUNIT_EXPECT_PTR_EQ(test, virtio_device_range_get(device), host_byte(test->priv, gpa));
	KUNIT_EXPECT_EQ(test, !!virtio_device_range_ptr(device, u8), !!(access & R));
	KUNIT_EXPECT_EQ(test, !!virtio_device_range_mut_ptr(device, u8), !!(access & W));
	KUNIT_EXPECT_TRUE(test, is_pattern(virtio_device_range_get(device), gpa, len));
}

static void range_is_whole_or_nothing(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	const struct translate_case *c = test->param_value;
	struct virtio_device_range device = poisoned_device_range();

	if (c->err || c->pieces != 1) {
		int err = c->pieces > 1 ? -ENOBUFS : c->err;

		/* There is room for one piece; the walk does not look behind it. */
		KUNIT_EXPECT_EQ(test,
				virtio_mem_xlate_range(&view, case_range(c), c->access, &device),
				err);
		KUNIT_EXPECT_TRUE(test, device_range_is_empty(device));
		KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(device, u8));
		return;
	}
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, case_range(c), c->access, &device), 0);
	expect_piece(test, device, c->start, c->len, c->access);
}

static void next_walks_the_pieces(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	const struct translate_case *c = test->param_value;
	struct virtio_device_range device = poisoned_device_range();
	struct virtio_driver_range driver = case_range(c), left;
	u64 good = c->err ? c->good : c->len;
	unsigned int n = 0;
	int ret;

	while ((ret = virtio_mem_xlate_next(&view, &driver, c->access, &device)) > 0) {
		u64 at = c->start + c->len - driver.len - virtio_device_range_len(device);

		KUNIT_EXPECT_EQ(test, ret, 1);
		KUNIT_EXPECT_EQ(test, driver.start + driver.len, c->start + c->len);
		expect_piece(test, device, at, virtio_device_range_len(device), c->access);
		device = poisoned_device_range();
		if (++n > c->pieces)
			break;
	}
	KUNIT_EXPECT_EQ(test, n, c->pieces);
	KUNIT_EXPECT_EQ(test, ret, c->err);
	KUNIT_EXPECT_TRUE(test, device_range_is_empty(device));

	/* The rest of the range starts at the failing byte; a failing call does not move it. */
	KUNIT_EXPECT_EQ(test, driver.start, c->start + good);
	KUNIT_EXPECT_EQ(test, driver.len, c->len - good);
	left = driver;
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &driver, c->access, &device), c->err);
	KUNIT_EXPECT_TRUE(test, virtio_driver_range_equal(driver, left));
}

static void kvec_fills_an_array(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	const struct translate_case *c = test->param_value;
	const struct kvec canary = { (void *)0x5a5a, 0xa5a5 };
	struct guest *guest = test->priv;
	struct kvec kvec[4];
	unsigned int room, i;
	u64 gpa;
	int ret;

	for (room = 0; room < ARRAY_SIZE(kvec); room++) {
		for (i = 0; i < ARRAY_SIZE(kvec); i++)
			kvec[i] = canary;
		ret = virtio_mem_xlate_kvec(&view, case_range(c), c->access, kvec, room);
		KUNIT_EXPECT_EQ_MSG(test, ret,
				    room < c->pieces ? -ENOBUFS : c->err ?: (int)c->pieces,
				    "room for %u", room);
		KUNIT_EXPECT_PTR_EQ(test, kvec[room].iov_base, canary.iov_base);
		KUNIT_EXPECT_EQ(test, kvec[room].iov_len, canary.iov_len);

		for (i = 0, gpa = c->start; ret > 0 && i < (unsigned int)ret; i++) {
			KUNIT_EXPECT_PTR_EQ(test, kvec[i].iov_base, host_byte(guest, gpa));
			KUNIT_EXPECT_TRUE(test,
					  is_pattern(kvec[i].iov_base, gpa, kvec[i].iov_len));
			gpa += kvec[i].iov_len;
		}
		if (ret >= 0)
			KUNIT_EXPECT_EQ(test, gpa, c->start + c->len);
	}
}

/* All slots together are shorter, so every copy that succeeds fits. */
#define COPY_MAX	MEMORY_SIZE

static void copy_from_moves_bytes(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	struct guest *guest = test->priv;
	const struct translate_case *c;
	u8 *dst = kunit_kmalloc(test, COPY_MAX, GFP_KERNEL);
	u8 *want = kunit_kmalloc(test, COPY_MAX, GFP_KERNEL);
	int err;

	KUNIT_EXPECT_TRUE(test, dst && want);
	if (!dst || !want)
		return;
	for (c = next_case_of(NULL, R); c; c = next_case_of(c, R)) {
		memset(dst, POISON, COPY_MAX);
		memset(want, POISON, COPY_MAX);
		if (!c->err)
			fill_pattern(want + 3, c->start, c->len);
		err = virtio_mem_xlate_copy_from(&view, dst + 3, case_range(c));
		KUNIT_EXPECT_EQ_MSG(test, err, c->err, "%s", c->name);
		KUNIT_EXPECT_EQ_MSG(test, memcmp(dst, want, COPY_MAX), 0, "%s", c->name);
	}
	KUNIT_EXPECT_EQ(test, memcmp(guest->memory, guest->before, MEMORY_SIZE), 0);
}

static void copy_to_moves_bytes(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	struct guest *guest = test->priv;
	const struct translate_case *c;
	u8 *src = kunit_kmalloc(test, COPY_MAX, GFP_KERNEL);
	u64 seed = 12345, i;
	int err;

	KUNIT_EXPECT_NOT_NULL(test, src);
	if (!src)
		return;
	for (c = next_case_of(NULL, W); c; c = next_case_of(c, W)) {
		seed += COPY_MAX;	/* not the bytes of the case before */
		fill_pattern(src, seed, COPY_MAX);
		for (i = 0; !c->err && i < c->len; i++)
			guest->before[(u8 *)host_byte(guest, c->start + i) - guest->memory] =
				src[3 + i];
		err = virtio_mem_xlate_copy_to(&view, case_range(c), src + 3);
		KUNIT_EXPECT_EQ_MSG(test, err, c->err, "%s", c->name);
		KUNIT_EXPECT_EQ_MSG(test, memcmp(guest->memory, guest->before, MEMORY_SIZE), 0,
				    "%s", c->name);
		KUNIT_EXPECT_TRUE_MSG(test, is_pattern(src, seed, COPY_MAX), "%s", c->name);
	}
}

/* Every start and length over three slots of odd sizes (DPDK advanced the wrong pointer). */
static void copies_of_every_length(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	struct guest *guest = test->priv;
	u8 *bytes = kunit_kmalloc(test, 0x120, GFP_KERNEL);
	struct virtio_driver_range range;
	unsigned int bad = 0;

	KUNIT_EXPECT_NOT_NULL(test, bytes);
	if (!bytes)
		return;
	for (range.start = 0x10f8; range.start < 0x1108; range.start++) {
		for (range.len = 0; range.start + range.len <= 0x1200; range.len++) {
			memset(bytes, POISON, 0x120);
			if (virtio_mem_xlate_copy_from(&view, bytes, range) ||
			    !is_pattern(bytes, range.start, range.len) ||
			    bytes[range.len] != POISON)
				bad++;
		}
	}
	KUNIT_EXPECT_EQ(test, bad, 0);

	for (range.start = 0x10f8; range.start < 0x1108; range.start++) {
		for (range.len = 0; range.start + range.len <= 0x11c1; range.len++) {
			memset(guest->memory, POISON, MEMORY_SIZE);
			fill_pattern(bytes, range.start, range.len);
			if (virtio_mem_xlate_copy_to(&view, range, bytes))
				bad++;
			memset(bytes, 0, 0x120);
			if (virtio_mem_xlate_copy_from(&view, bytes, range) ||
			    !is_pattern(bytes, range.start, range.len) ||
			    *(u8 *)host_byte(guest, range.start - 1) != POISON ||
			    *(u8 *)host_byte(guest, range.start + range.len) != POISON)
				bad++;
		}
	}
	KUNIT_EXPECT_EQ(test, bad, 0);
}

/* A field of a ring, aligned or not, on either side. */
static void copies_of_ring_fields(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	struct guest *guest = test->priv;
	u64 buf[4], len, src, dst;
	int err;

	for (len = 0; len <= 9; len++) {
		for (src = 0; src < 8; src++) {
			for (dst = 0; dst < 8; dst++) {
				struct virtio_driver_range from = { 0x1010 + src, len };
				struct virtio_driver_range to = { 0x1040 + dst, len };

				u8 *bytes = (u8 *)buf + 8 + dst, *host = host_byte(guest, to.start);

				memset(buf, POISON, sizeof(buf));
				err = virtio_mem_xlate_copy_from(&view, bytes, from);
				KUNIT_EXPECT_EQ(test, err, 0);
				KUNIT_EXPECT_TRUE(test, is_pattern(bytes, from.start, len));
				KUNIT_EXPECT_EQ(test, bytes[-1], POISON);
				KUNIT_EXPECT_EQ(test, bytes[len], POISON);

				memset(host - 1, POISON, len + 2);
				err = virtio_mem_xlate_copy_to(&view, to, bytes);
				KUNIT_EXPECT_EQ(test, err, 0);
				KUNIT_EXPECT_TRUE(test, is_pattern(host, from.start, len));
				KUNIT_EXPECT_EQ(test, host[-1], POISON);
				KUNIT_EXPECT_EQ(test, host[len], POISON);
			}
		}
	}
}

static void copies_of_nothing(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	static const u64 starts[] = { 0, 0x1000, 0x1240, U64_MAX };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(starts); i++) {
		struct virtio_driver_range empty = { starts[i], 0 };

		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_from(&view, NULL, empty), 0);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_to(&view, empty, NULL), 0);
	}
}

/* A descriptor with its len field and its memory in one struct: outputs may alias inputs. */
static void next_in_place(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	struct {
		struct virtio_driver_range driver;
		struct virtio_device_range device;
	} both = { .driver = { 0x1170, 0x20 } };

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &both.driver, RW, &both.device), 1);
	expect_piece(test, both.device, 0x1170, 0x10, RW);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, both.driver, RW, &both.device), 0);
	expect_piece(test, both.device, 0x1180, 0x10, RW);
}

static void kvec_is_fit_for_iov_iter(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	struct virtio_driver_range range = { 0x1170, 0x20 };
	struct iov_iter iter;
	struct kvec kvec[2];
	u8 bytes[0x20];

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_kvec(&view, range, R, kvec, 2), 2);
	iov_iter_kvec(&iter, WRITE, kvec, 2, range.len);	/* a source */
	KUNIT_EXPECT_EQ(test, copy_from_iter(bytes, sizeof(bytes), &iter), sizeof(bytes));
	KUNIT_EXPECT_TRUE(test, is_pattern(bytes, range.start, range.len));
}

/* It is the kernel address that must be aligned, not the guest's. */
static void typed_pointers(struct kunit *test)
{
	struct virtio_device_range device;
	struct guest *guest = test->priv;
	uintptr_t aligned = ALIGN((uintptr_t)guest->memory, 8) - (uintptr_t)guest->memory;
	struct virtio_mem_xlate_slot slots[] = {
		{ 0x1001, 16, guest->memory + aligned, RW },
		{ 0x2000, 16, guest->memory + aligned + 1, RW },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, ARRAY_SIZE(slots));

	KUNIT_EXPECT_EQ(test, translate(xlate, 0x1001, 8, RW, &device), 0);
	KUNIT_EXPECT_PTR_EQ(test, (void *)virtio_device_range_ptr(device, u64), slots[0].kva);
	KUNIT_EXPECT_PTR_EQ(test, (void *)virtio_device_range_mut_ptr(device, u64), slots[0].kva);
	KUNIT_EXPECT_EQ(test, translate(xlate, 0x1001, 7, RW, &device), 0);
	KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(device, u64));
	KUNIT_EXPECT_EQ(test, translate(xlate, 0x2000, 8, RW, &device), 0);
	KUNIT_EXPECT_NULL(test, virtio_device_range_ptr(device, u64));
	KUNIT_EXPECT_NULL(test, virtio_device_range_mut_ptr(device, u64));
}

/* No answer may outlive an update, as in KVM's last_used_slot, pfncache and vpp#776. */
static void nothing_stale_after_an_update(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_mem_xlate_slot here = { 0x1000, 0x10, guest->memory, RW };
	struct virtio_mem_xlate_slot there = { 0x1000, 0x10, guest->memory + 0x20, RW };
	struct virtio_mem_xlate *xlate = register_for_test(test, &here, 1);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x1000), here.kva);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(xlate, &there, 1), 0);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x1000), there.kva);
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, 0x10), 0);
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x1000), ERR_PTR(-EFAULT));
		KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(xlate, &here, 1), 0);
	}
}

#define CLUSTERS	16
#define CLUSTER_SLOTS	128

/* Too many clusters of small slots for the index to give each slot a bucket. */
static void many_clusters(struct kunit *test)
{
	unsigned int nr = CLUSTERS * CLUSTER_SLOTS, i, round;
	struct virtio_mem_xlate_slot *slots = kunit_kcalloc(test, nr, sizeof(*slots), GFP_KERNEL);
	struct virtio_mem_xlate *xlate;

	KUNIT_ASSERT_NOT_NULL(test, slots);
	for (i = 0; i < nr; i++) {
		slots[i].gpa = 0x1000 + ((u64)(i / CLUSTER_SLOTS) << 30) +
			       (i % CLUSTER_SLOTS) * 0x1800;
		slots[i].size = 0x1000;
		slots[i].kva = (void *)0x10000000 + i * 0x3000;
		slots[i].access = VIRTIO_MEM_XLATE_RW;
	}
	xlate = register_for_test(test, slots, nr);
	for (round = 0; round < 2; round++) {
		for (i = 0; i < nr; i++) {
			bool gone = round && i % 3 == 0;
			u64 gpa = slots[i].gpa;

			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, gpa - 1), ERR_PTR(-EFAULT));
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, gpa + 0x1000),
					    ERR_PTR(-EFAULT));
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, gpa),
					    gone ? ERR_PTR(-EFAULT) : slots[i].kva);
			KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, gpa + 0xfff),
					    gone ? ERR_PTR(-EFAULT) : slots[i].kva + 0xfff);
		}
		for (i = 0; !round && i < nr; i += 3)
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, slots[i].gpa, 0x1000),
					0);
	}
}

#define LARGE	0x1000000

/*
 * The small slots force small buckets, so the large slot covers many.  The end of a range
 * decides the answer, not the number of buckets that it crosses.
 */
static void ranges_over_many_buckets(struct kunit *test)
{
	static struct virtio_mem_xlate_slot slots[64];	/* too large for the stack */
	struct virtio_mem_xlate_view view;
	struct virtio_device_range device;
	struct virtio_mem_xlate *xlate;
	unsigned int i, j;

	slots[0] = (struct virtio_mem_xlate_slot){ 0x1000, LARGE, (void *)0x10000000, RW };
	for (i = 1; i < ARRAY_SIZE(slots); i++)
		slots[i] = (struct virtio_mem_xlate_slot){
			0x1000 + LARGE + (i - 1) * 0x8000, 0x8000,
			(void *)0x10000000 + LARGE + (i - 1) * 0x8000, i % 3 ? R : RW,
		};
	/* In the host only the first small slot touches its neighbour, the large slot. */
	for (i = 2; i < ARRAY_SIZE(slots); i++)
		slots[i].kva += i * 0x1000;
	xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	virtio_mem_xlate_read_lock(xlate, &view);
	for (i = 0; i < LARGE; i += LARGE / 64 - 1) {
		for (j = 1; j <= LARGE - i; j = j * 2 + 1) {
			struct virtio_driver_range range = { 0x1000 + i, j };

			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, RW, &device), 0);
			KUNIT_EXPECT_PTR_EQ(test, device.kva, slots[0].kva + i);
			range.len = LARGE - i + (j & 1);
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, RW, &device),
					-EPERM);
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, R, &device), 0);
			KUNIT_EXPECT_PTR_EQ(test, device.kva, slots[0].kva + i);
			range.len = LARGE + 0x8000 - i;
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, R, &device), 0);
			range.len++;
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, R, &device),
					-ENOBUFS);
			range.len = U64_MAX - range.start;
			KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &range, R, &device), 1);
			KUNIT_EXPECT_EQ(test, device.len, LARGE + 0x8000 - i);
		}
	}
	virtio_mem_xlate_read_unlock(&view);

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, LARGE), 0);
	for (j = 1; j <= LARGE; j = j * 2 + 1)
		KUNIT_EXPECT_EQ(test, translate(xlate, 0x1000 + LARGE - j, j, R, &device), -EFAULT);
}

/* A walk without room judges the access of the next byte, then ends. */
static void room_ends_the_walk(struct kunit *test)
{
	CLASS(virtio_mem_xlate_view, view)(guest_xlate(test));
	static const struct {
		u64 start, len;
		unsigned int access, room;
		int ret;
	} cases[] = {
		{ 0x1000, 0x300, R, 0, -ENOBUFS },
		{ 0x1000, 0x300, R, 1, -ENOBUFS },	/* C is there, E forbidden, F a hole */
		{ 0x1000, 0x300, R, 2, -EPERM },
		{ 0x1000, 0x300, R, 3, -EPERM },
		{ 0x11c1, 0x300, W, 0, -EPERM },
		{ 0x1240, 0x300, W, 0, -EFAULT },
		{ 0x1300, 0x300, RW, 1, -ENOBUFS },
		{ 0x1300, 0x300, RW, 2, -EFAULT },
		{ 0x1300, U64_MAX - 0x1300, RW, 1, -ENOBUFS },
		{ 0x1300, 0, RW, 0, 0 },
		{ U64_MAX, 1, RW, 0, -EOVERFLOW },
		{ 0x1000, 1, 4, 0, -EINVAL },
	};
	struct kvec kvec[4];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct virtio_driver_range range = { cases[i].start, cases[i].len };
		int ret = virtio_mem_xlate_kvec(&view, range, cases[i].access, kvec, cases[i].room);

		KUNIT_EXPECT_EQ_MSG(test, ret, cases[i].ret, "case %u", i);
	}
}

/* All three slots have the same kva - gpa, and are still three slots. */
static void same_offset_across_a_hole(struct kunit *test)
{
	const u64 gpa = 0x40000;
	struct virtio_mem_xlate_slot slots[] = {
		{ gpa, 0x3000, (void *)0x100000, VIRTIO_MEM_XLATE_RW },
		{ gpa + 0x4000, 0x3000, (void *)0x104000, VIRTIO_MEM_XLATE_RW },
		{ gpa + 0x7000, 0x3000, (void *)0x107000, VIRTIO_MEM_XLATE_READ },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	struct virtio_driver_range range = { gpa, 0x7000 };
	struct virtio_device_range device;

	CLASS(virtio_mem_xlate_view, view)(xlate);

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, VIRTIO_MEM_XLATE_READ, &device),
			-EFAULT);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &range, VIRTIO_MEM_XLATE_READ, &device),
			1);
	KUNIT_EXPECT_EQ(test, virtio_device_range_len(device), 0x3000);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &range, VIRTIO_MEM_XLATE_READ, &device),
			-EFAULT);

	range = (struct virtio_driver_range){ gpa + 0x4000, 0x6000 };
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, VIRTIO_MEM_XLATE_READ, &device),
			0);
	KUNIT_EXPECT_PTR_EQ(test, virtio_device_range_get(device), (void *)0x104000);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_range(&view, range, VIRTIO_MEM_XLATE_WRITE, &device),
			-EPERM);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_next(&view, &range, VIRTIO_MEM_XLATE_WRITE, &device),
			1);
	KUNIT_EXPECT_EQ(test, virtio_device_range_len(device), 0x3000);
}

static void removed_slot_ends_a_piece(struct kunit *test)
{
	struct guest *guest = test->priv;
	struct virtio_device_range device;

	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x1000, 0x180, RW, &device), 0);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(guest->xlate, 0x1100, 0x80), 0);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x1000, 0x180, RW, &device), -EFAULT);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x1000, 0x101, RW, &device), -EFAULT);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x1100, 1, RW, &device), -EFAULT);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x117f, 2, RW, &device), -EFAULT);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x1000, 0x100, RW, &device), 0);
	expect_piece(test, device, 0x1000, 0x100, RW);
	KUNIT_EXPECT_EQ(test, translate(guest->xlate, 0x1180, 0x41, RW, &device), 0);
	expect_piece(test, device, 0x1180, 0x41, RW);
}

/* Translates by the cursor; virtio_mem_xlate_range() must give the same answer. */
static void *by_cursor(struct kunit *test, struct virtio_mem_xlate_cursor *cursor,
		       struct virtio_mem_xlate *xlate, u64 gpa, u64 len, unsigned int access)
{
	CLASS(virtio_mem_xlate_view, view)(xlate);
	struct virtio_device_range device = poisoned_device_range(), plain;
	struct virtio_driver_range driver = { gpa, len };
	int err = virtio_mem_xlate_cursor_range(cursor, &view, driver, access, &device);

	KUNIT_EXPECT_EQ(test, err, virtio_mem_xlate_range(&view, driver, access, &plain));
	KUNIT_EXPECT_PTR_EQ(test, virtio_device_range_get(device), virtio_device_range_get(plain));
	KUNIT_EXPECT_EQ(test, virtio_device_range_len(device), virtio_device_range_len(plain));
	return err ? ERR_PTR(err) : virtio_device_range_get(device);
}

/*
 * A slot of over half the address space, where the kernel's mask against
 * speculation is of no use.  Nothing is touched.
 */
static void huge_slot(struct kunit *test)
{
	struct virtio_mem_xlate_slot slot = { 0x10, SIZE_MAX - 0x100, (void *)0x80, R };
	struct virtio_mem_xlate *xlate = register_for_test(test, &slot, 1);
	const size_t offsets[] = {
		0, 1, SIZE_MAX / 2 - 1, SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX - 0x101,
	};
	struct virtio_mem_xlate_cursor cursor = {};
	struct virtio_device_range device;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x10 + (u64)offsets[i]),
				    slot.kva + offsets[i]);
	KUNIT_EXPECT_PTR_EQ(test, translate_byte(xlate, 0x10 + slot.size), ERR_PTR(-EFAULT));
	KUNIT_EXPECT_EQ(test, translate(xlate, 0x10, slot.size, R, &device), 0);
	KUNIT_EXPECT_EQ(test, (u64)virtio_device_range_len(device), slot.size);
	for (i = 0; i < ARRAY_SIZE(offsets); i++)
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, 0x10 + (u64)offsets[i],
						    1, R), slot.kva + offsets[i]);
}

static void cursor_answers_as_range_does(struct kunit *test)
{
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0x1000, 0x1000, (void *)0x101000, R },
		{ 0x2000, 0x1000, (void *)0x102000, RW },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	struct virtio_mem_xlate_cursor cursor = {};
	unsigned int i;

	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, 0, 1, R), ERR_PTR(-EFAULT));
	for (i = 0; i < ARRAY_SIZE(slots); i++) {
		u64 low = slots[i].gpa, last = low + slots[i].size - 1;
		void *kva = slots[i].kva;

		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, low + 8, 8, R), kva + 8);
		KUNIT_EXPECT_EQ(test, cursor.gpa, low);
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, low, 0x1000, R), kva);
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, last, 1, R), kva + 0xfff);
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, low, 1, W),
				    i ? kva : ERR_PTR(-EPERM));
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, low, 1, 0),
				    ERR_PTR(-EINVAL));
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, low, 1, 4),
				    ERR_PTR(-EINVAL));
		KUNIT_EXPECT_NULL(test, by_cursor(test, &cursor, xlate, low, 0, R));
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, last, 2, R),
				    i ? ERR_PTR(-EFAULT) : kva + 0xfff);
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, low, U64_MAX, R),
				    ERR_PTR(-EOVERFLOW));
		KUNIT_EXPECT_EQ(test, cursor.gpa, low);
	}
}

/* A new table may have the address of a freed one, also of another context. */
static void cursor_knows_no_other_table(struct kunit *test)
{
	struct virtio_mem_xlate_slot slots[] = {
		{ 0x1000, 0x1000, (void *)0x101000, R },
		{ 0x2000, 0x1000, (void *)0x202000, R },
	};
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, 2), *other;
	struct virtio_mem_xlate_cursor cursor = {};
	unsigned int i;

	for (i = 0; i < 64; i++) {
		KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, 0x1000, 1, R),
				    slots[0].kva);
		slots[0].kva += 0x1000;
		KUNIT_ASSERT_EQ(test, virtio_mem_xlate_replace(xlate, slots, 2), 0);
	}
	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, 0x1000, 1, R), slots[0].kva);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(xlate, 0x1000, 0x1000), 0);
	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, 0x1000, 1, R),
			    ERR_PTR(-EFAULT));

	slots[0].kva += 0x1000;
	other = virtio_mem_xlate_register(slots, 2);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, other);
	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, other, 0x1000, 1, R), slots[0].kva);
	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, xlate, 0x1000, 1, R),
			    ERR_PTR(-EFAULT));
	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, other, 0x1000, 1, R), slots[0].kva);
	virtio_mem_xlate_get(other);
	virtio_mem_xlate_unregister(other);
	KUNIT_EXPECT_PTR_EQ(test, by_cursor(test, &cursor, other, 0x1000, 1, R),
			    ERR_PTR(-EFAULT));
	virtio_mem_xlate_put(other);
}

/* No buffer is longer than SIZE_MAX, although slots may share host memory. */
static void copy_longer_than_size_max(struct kunit *test)
{
#if BITS_PER_LONG == 32
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0, SZ_2G, (void *)0x1000, RW },
		{ SZ_2G, SZ_2G, (void *)0x1000, RW },
	};
	const int err = -ENOBUFS;
#else
	const struct virtio_mem_xlate_slot slots[] = {
		{ 0, SIZE_MAX - 0x1000, (void *)0x1000, RW },
	};
	const int err = -EFAULT;	/* all of the guest's addresses fit a size_t */
#endif
	struct virtio_driver_range range = { 0, (u64)SIZE_MAX + !!(SIZE_MAX < U64_MAX) };
	struct virtio_mem_xlate *xlate = register_for_test(test, slots, ARRAY_SIZE(slots));
	struct virtio_mem_xlate_view view;

	virtio_mem_xlate_read_lock(xlate, &view);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_from(&view, NULL, range), err);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_copy_to(&view, range, NULL), err);
	virtio_mem_xlate_read_unlock(&view);
}

static struct kunit_case translate_kunit_cases[] = {
	KUNIT_CASE_PARAM(range_is_whole_or_nothing, translate_gen_params),
	KUNIT_CASE_PARAM(next_walks_the_pieces, translate_gen_params),
	KUNIT_CASE_PARAM(kvec_fills_an_array, translate_gen_params),
	KUNIT_CASE(copy_from_moves_bytes),
	KUNIT_CASE(copy_to_moves_bytes),
	KUNIT_CASE(copies_of_every_length),
	KUNIT_CASE(copies_of_ring_fields),
	KUNIT_CASE(copies_of_nothing),
	KUNIT_CASE(next_in_place),
	KUNIT_CASE(kvec_is_fit_for_iov_iter),
	KUNIT_CASE(typed_pointers),
	KUNIT_CASE(nothing_stale_after_an_update),
	KUNIT_CASE(many_clusters),
	KUNIT_CASE(ranges_over_many_buckets),
	KUNIT_CASE(room_ends_the_walk),
	KUNIT_CASE(same_offset_across_a_hole),
	KUNIT_CASE(removed_slot_ends_a_piece),
	KUNIT_CASE(huge_slot),
	KUNIT_CASE(cursor_answers_as_range_does),
	KUNIT_CASE(cursor_knows_no_other_table),
	KUNIT_CASE(copy_longer_than_size_max),
	{}
};

static struct kunit_suite translate_suite = {
	.name = "virtio_mem_xlate_translate",
	.init = guest_init,
	.test_cases = translate_kunit_cases,
};

kunit_test_suite(translate_suite);
