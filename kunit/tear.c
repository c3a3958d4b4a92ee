// SPDX-License-Identifier: GPL-2.0
/* Guest memory and ranges that change while they are read. */
#include <linux/stddef.h>

#include "race.h"

/*
 * A copy of an aligned field is one access: a byte-wise copy can mix old and new bytes
 * (RUSTSEC-2020-0157).  The updater inverts all bits, so a field is all zeroes or all ones.
 */
#define FLIPS	999	/* odd, so a reader on the same processor sees both states */

struct fields {
	u64 wide;
	u32 word;
	u16 half;
};

static void read_fields(struct race *race)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	struct fields copy;

	if (virtio_mem_xlate_copy_from(&view, &copy.half, (struct virtio_driver_range){
			GPA + offsetof(struct fields, half), sizeof(copy.half) }) ||
	    virtio_mem_xlate_copy_from(&view, &copy.word, (struct virtio_driver_range){
			GPA + offsetof(struct fields, word), sizeof(copy.word) }) ||
	    virtio_mem_xlate_copy_from(&view, &copy.wide, (struct virtio_driver_range){
			GPA + offsetof(struct fields, wide), sizeof(copy.wide) }))
		atomic_long_inc(&race->bad);
	if ((copy.half && copy.half != U16_MAX) || (copy.word && copy.word != U32_MAX))
		atomic_long_inc(&race->bad);
	if (IS_ENABLED(CONFIG_64BIT) && copy.wide && copy.wide != U64_MAX)
		atomic_long_inc(&race->bad);
	atomic_long_inc(&race->seen);
}

static void invert_directly(struct race *race, unsigned int updater)
{
	struct fields *fields = race->private;
	unsigned int i;

	for (i = 0; i < FLIPS; i++) {
		WRITE_ONCE(fields->half, ~fields->half);
		WRITE_ONCE(fields->word, ~fields->word);
		if (IS_ENABLED(CONFIG_64BIT))
			WRITE_ONCE(*(unsigned long *)&fields->wide, ~(unsigned long)fields->wide);
	}
}

static void invert_by_copy_to(struct race *race, unsigned int updater)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	struct fields *fields = race->private, new;
	unsigned int i;

	for (i = 0; i < FLIPS; i++) {
		new.half = ~fields->half;
		new.word = ~fields->word;
		new.wide = ~fields->wide;
		if (virtio_mem_xlate_copy_to(&view, (struct virtio_driver_range){
				GPA + offsetof(struct fields, half), sizeof(new.half) },
				&new.half) ||
		    virtio_mem_xlate_copy_to(&view, (struct virtio_driver_range){
				GPA + offsetof(struct fields, word), sizeof(new.word) },
				&new.word) ||
		    virtio_mem_xlate_copy_to(&view, (struct virtio_driver_range){
				GPA + offsetof(struct fields, wide), sizeof(new.wide) },
				&new.wide))
			atomic_long_inc(&race->bad);
	}
}

static void read_fields_directly(struct race *race)
{
	struct fields *fields = race->private;
	unsigned int i;

	for (i = 0; i < FLIPS; i++) {
		u16 half = READ_ONCE(fields->half);
		u32 word = READ_ONCE(fields->word);
		unsigned long wide = READ_ONCE(*(unsigned long *)&fields->wide);

		if ((half && half != U16_MAX) || (word && word != U32_MAX))
			atomic_long_inc(&race->bad);
		if (IS_ENABLED(CONFIG_64BIT) && wide && wide != ULONG_MAX)
			atomic_long_inc(&race->bad);
	}
	atomic_long_inc(&race->seen);
}

static void fields_run(struct kunit *test, struct race race)
{
	struct fields *fields = kunit_kzalloc(test, SIZE, GFP_KERNEL);
	struct virtio_mem_xlate_slot slot = slot_of(fields);

	KUNIT_ASSERT_NOT_NULL(test, fields);
	race.private = fields;
	race.nr_updaters = 1;
	race.xlate = register_for_test(test, &slot, 1);
	race_run(test, &race);
}

static void copy_from_does_not_tear(struct kunit *test)
{
	fields_run(test, (struct race){ .read = read_fields, .update = invert_directly });
}

static void copy_to_does_not_tear(struct kunit *test)
{
	fields_run(test, (struct race){
		.read = read_fields_directly,
		.update = invert_by_copy_to,
	});
}

/*
 * The guest changes a length between its check and its use (DPDK CVE-2020-14375, bhyve
 * FreeBSD-SA-24:17).  Ranges are passed by value, so each length is fetched once.
 */
static void read_flipping_range(struct race *race)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	struct virtio_driver_range *shared = race->private;
	struct virtio_device_range device;
	struct kvec kvec[1];
	int ret;

	/* data_race(): flip_range() writes the length at the same time. */
	ret = virtio_mem_xlate_range(&view, data_race(*shared), R, &device);
	if (!ret && virtio_device_range_len(device) > SIZE)
		atomic_long_inc(&race->bad);
	if (!ret)
		atomic_long_inc(&race->seen);
	/* data_race(): as above. */
	ret = virtio_mem_xlate_kvec(&view, data_race(*shared), R, kvec, 1);
	if (ret > 0 && kvec[0].iov_len > SIZE)
		atomic_long_inc(&race->bad);
}

static void flip_range(struct race *race, unsigned int updater)
{
	struct virtio_driver_range *shared = race->private;
	unsigned int i;

	for (i = 0; i < FLIPS; i++)
		WRITE_ONCE(shared->len, shared->len == SIZE ? 16 * SIZE : SIZE);
}

static void range_flipped_while_read(struct kunit *test)
{
	struct virtio_driver_range shared = { GPA, SIZE };
	struct virtio_mem_xlate_slot slot = slot_of(filled(test));
	struct race race = {
		.read = read_flipping_range,
		.update = flip_range,
		.nr_updaters = 1,
		.private = &shared,
		.xlate = register_for_test(test, &slot, 1),
	};

	race_run(test, &race);
}

static struct kunit_case tear_tests[] = {
	KUNIT_CASE(copy_from_does_not_tear),
	KUNIT_CASE(copy_to_does_not_tear),
	KUNIT_CASE(range_flipped_while_read),
	{}
};

static struct kunit_suite tear_suite = {
	.name = "virtio_mem_xlate_tear",
	.test_cases = tear_tests,
};

kunit_test_suite(tear_suite);
