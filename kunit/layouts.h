/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Layouts of guest memory, for kunit/, bench/ and proof/.  A layout sets gpa and size of each
 * slot, in ascending order.
 *
 * The includer defines u64 random_below(u64 n): a random number below @n.
 */
#ifndef _VIRTIO_MEM_XLATE_LAYOUTS_H
#define _VIRTIO_MEM_XLATE_LAYOUTS_H

#define KIB	1024ULL
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)
#define TIB	(1024 * GIB)

static u64 random_pages(u64 max)
{
	return (random_below(max / (4 * KIB)) + 1) * (4 * KIB);
}

/* Log-uniform over the 22 octaves from 4 KiB up. */
static u64 random_octave(void)
{
	u64 low = 4 * KIB << random_below(22);

	return low + random_below(low) / (4 * KIB) * (4 * KIB);
}

/* Slots of 2 MiB that touch. */
static void eq2m(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = i * 2 * MIB;
		slots[i].size = 2 * MIB;
	}
}

/* The lowest @n slots of a PC with firmware in flash. */
static void pc(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	static const struct {
		u64 gpa, size;
	} below_4g[] = {
		{ 0, 0xa0000 },
		{ 0xc0000, 0x20000 },		/* option ROMs */
		{ 0xe0000, 0x20000 },		/* the BIOS */
		{ MIB, 3 * GIB - MIB },
		{ 0xfeb80000, 0x40000 },	/* a PCI ROM */
		{ 0xffc00000, 0x84000 },	/* the firmware's variables */
		{ 0xffc84000, 0x37c000 },	/* the firmware */
	};
	unsigned int i;

	for (i = 0; i < n; i++) {
		if (i < ARRAY_SIZE(below_4g)) {
			slots[i].gpa = below_4g[i].gpa;
			slots[i].size = below_4g[i].size;
		} else {
			slots[i].gpa = 4 * GIB + (i - ARRAY_SIZE(below_4g)) * 128 * MIB;
			slots[i].size = 128 * MIB;
		}
	}
}

/* Sizes and holes of up to 6 MiB. */
static void random_sizes(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	u64 gpa = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = random_pages(6 * MIB);
		gpa += slots[i].size + random_pages(6 * MIB);
	}
}

/* Small slots, large ones with holes, and one slot far above: a hard case for one index. */
static void adversarial(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	u64 gpa = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = i < n / 2 ? 4 * KIB : 2 * MIB;
		gpa += slots[i].size;
		if (i >= n / 2)
			gpa += random_pages(2 * MIB);
	}
	if (n)
		slots[n - 1].gpa = TIB + GIB;
}

/* Sizes and holes of 4 KiB to 16 GiB. */
static void heavytail(struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	u64 gpa = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		slots[i].gpa = gpa;
		slots[i].size = random_octave();
		gpa += slots[i].size + random_octave();
	}
}

static const struct guest_layout {
	const char *name;
	void (*make)(struct virtio_mem_xlate_slot *slots, unsigned int n);
} guest_layouts[] = {
	{ "eq2m", eq2m },
	{ "pc", pc },
	{ "rand", random_sizes },
	{ "adv", adversarial },
	{ "heavytail", heavytail },
};

#endif /* _VIRTIO_MEM_XLATE_LAYOUTS_H */
