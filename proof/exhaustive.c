// SPDX-License-Identifier: GPL-2.0
/*
 * exhaustive: with u64 as a word of a few bits, every table of so many slots,
 * valid or not, and every question to it.
 *
 * Each is asked thrice: with slots that touch in the host, with others than the
 * access asked for, and with host memory that no bucket's entry can hold.  And many while
 * slots lose their memory and get other memory, by views of all that was before.
 *
 * usage: exhaustive SLOTS PART PARTS
 */
#include "virtio_mem_xlate.c"
#include "kunit/model.h"
#include "index.h"

#define WORDS (1U << NARROW)

static struct model_slot slots[2];
static struct model model = { .slots = slots };
static unsigned long tables, valid, asked, hits, flips;
static u32 oldest;		/* no view of before is left */

static void failed(const char *what, unsigned int start, unsigned int len, unsigned int access,
		   u32 generation)
{
	unsigned int i;

	printf("mismatch: %s, start %u len %u access %u generation %u, of slots", what, start, len,
	       access, generation);
	for (i = 0; i < model.nr; i++)
		printf(" [%u + %u, kva %p, access %u]", (unsigned int)slots[i].slot.gpa,
		       (unsigned int)slots[i].slot.size, slots[i].slot.kva, slots[i].slot.access);
	printf("\n");
	exit(1);
}

static void ask(const struct virtio_mem_xlate_view *view, unsigned int start, unsigned int len,
		unsigned int access)
{
	struct virtio_driver_range range = { start, len }, rest = range;
	struct virtio_device_range device;
	struct answer want = model_range(&model, view->generation, start, len, access, 1, true);
	int ret;

	asked++;
	ret = virtio_mem_xlate_range(view, range, access, &device);
	if (ret != want.error)
		failed("range", start, len, access, view->generation);
	if (ret || !len) {
		if (device.kva || device.len || device.access)
			failed("range: not empty", start, len, access, view->generation);
	} else {
		hits++;
		if ((uintptr_t)device.kva != want.kva || device.len != len ||
		    device.access != access)
			failed("range: wrong piece", start, len, access, view->generation);
	}
	ret = virtio_mem_xlate_next(view, &rest, access, &device);
	if (want.good ? ret != 1 || (uintptr_t)device.kva != want.kva ||
			device.len != want.piece || rest.start != (u64)(start + want.piece) ||
			rest.len != (u64)(len - want.piece) :
	    ret != want.error || device.kva || !virtio_driver_range_equal(rest, range))
		failed("next", start, len, access, view->generation);
}

/* Every question that does not wrap; those that do are alike, so of them the ends. */
static void ask_all(const struct virtio_mem_xlate_table *table, unsigned int access)
{
	struct virtio_mem_xlate_view view = { .table = table };
	const char *wrong = index_wrong(table);
	unsigned int start, len;

	if (wrong)
		failed(wrong, 0, 0, 0, table->generation);
	for (view.generation = oldest; view.generation <= table->generation; view.generation++) {
		for (start = 0; start < WORDS; start++) {
			for (len = 0; start + len <= WORDS && len < WORDS; len++)
				ask(&view, start, len, access);
			ask(&view, start, WORDS - 1, access);
			ask(&view, start, start, 0);
		}
	}
}

static int want_table(void)
{
	unsigned int i;

	for (i = 0; i < model.nr; i++)
		if (!slots[i].slot.size || slot_end(&slots[i]) > (wide)U64_MAX)
			return -EINVAL;
	if (model.nr == 2 && slot_start(&slots[0]) < slot_end(&slots[1]) &&
	    slot_start(&slots[1]) < slot_end(&slots[0]))
		return -EEXIST;
	return 0;
}

/* No range is removed that does not begin and end with a slot. */
static void remove_none(struct virtio_mem_xlate_table *table)
{
	unsigned int gpa, size;

	for (gpa = 0; gpa < WORDS; gpa++)
		for (size = 0; size < WORDS; size++)
			if (!model_removable(&model, gpa, size) && table_remove(table, gpa, size) != -ENOENT)
				failed("remove: no slots", gpa, size, 0, table->generation);
}

/*
 * Asks all of the table of @slots, then removes each of them in turn, or all at once,
 * and asks again.
 */
static void run_table(unsigned int access, bool removals)
{
	struct virtio_mem_xlate_slot input[2];
	struct virtio_mem_xlate_table *table;
	int want = want_table();
	const char *wrong;
	unsigned int i;

	if (want && !removals)
		return;
	for (i = 0; i < model.nr; i++) {
		slots[i] = model_slot(&slots[i].slot);
		input[i] = slots[i].slot;
	}
	oldest = 0;
	tables++;
	table = make_table(NULL, input, model.nr);
	if (IS_ERR(table) ? PTR_ERR(table) != want : want)
		failed("validation", 0, 0, 0, 0);
	if (IS_ERR(table))
		return;
	valid++;
	wrong = shape_wrong(table);
	if (wrong)
		failed(wrong, 0, 0, 0, 0);
	ask_all(table, access);
	/* Behind the entries in use is nothing to take out. */
	table->entries[table->nr_entries] = ENTRY_DIRECT;
	while (removals && table->nr_live) {
		unsigned int first = table->generation, last = valid % 2 ? first : model.nr - 1;
		u64 gpa, size;

		if (model.nr == 2 && slots[0].slot.gpa > slots[1].slot.gpa)
			failed("slots out of order", 0, 0, 0, 0);
		gpa = slots[first].slot.gpa;
		size = slots[last].slot.gpa + slots[last].slot.size - gpa;
		remove_none(table);
		if (table_remove(table, gpa, size))
			failed("remove", gpa, size, 0, table->generation);
		if (table->entries[table->nr_entries] != ENTRY_DIRECT)
			failed("remove: beyond the entries", 0, 0, 0, table->generation);
		for (i = first; i <= last; i++)
			model_remove(&slots[i], table->generation);
		if (!table->nr_live)
			ask_all(table, access);
	}
	table_free(table);
}

/* No slot is flipped that is not there. */
static void flip_none(struct virtio_mem_xlate_table *table)
{
	unsigned int gpa, size;

	for (gpa = 0; gpa < WORDS; gpa++)
		for (size = 0; size < WORDS; size++)
			if (!model_exact(&model, gpa, size) &&
			    (table_set_absent(table, gpa, size) != -ENOENT ||
			     table_set_present(table, gpa, size, slots, 3) != -ENOENT))
				failed("flip: no slot", gpa, size, 0, table->generation);
}

static void set_absent(struct virtio_mem_xlate_table *table, struct model_slot *m)
{
	bool flip = model_is_present(m);
	u32 generation = table->generation;

	if (table_set_absent(table, m->slot.gpa, m->slot.size) ||
	    table->generation != generation + flip)
		failed("set_absent", m->slot.gpa, m->slot.size, 0, generation);
	if (flip)
		model_set_absent(&model, m, table->generation, false);
	flips++;
}

/* Other memory, which an entry can hold if that of before could, and another access. */
static void set_present(struct virtio_mem_xlate_table *table, struct model_slot *m,
			unsigned int access)
{
	u32 generation = table->generation;
	void *kva = (void *)((uintptr_t)m->slot.kva + 0x40000);

	if (table_set_present(table, m->slot.gpa, m->slot.size, kva, access) ||
	    table_set_present(table, m->slot.gpa, m->slot.size, kva, access) != -EEXIST ||
	    table->generation != generation + 1)
		failed("set_present", m->slot.gpa, m->slot.size, access, generation);
	model_set_present(&model, m, generation, kva, access);
	flips++;
}

/* Asks all of the table of @slots after each flip; one slot may be absent. */
static void run_flips(unsigned int access)
{
	struct virtio_mem_xlate_slot input[2];
	struct model_slot *first = &slots[0], *last = &slots[model.nr - 1];
	struct virtio_mem_xlate_table *table;
	unsigned int i;

	if (want_table())
		return;
	if (valid % 2) {
		last->slot.kva = NULL;
		last->slot.access = VIRTIO_MEM_XLATE_ABSENT;
	}
	for (i = 0; i < model.nr; i++) {
		slots[i] = model_slot(&slots[i].slot);
		input[i] = slots[i].slot;
	}
	oldest = 0;
	table = make_table(NULL, input, model.nr);
	if (IS_ERR(table))
		failed("a valid table was refused", 0, 0, 0, 0);
	set_absent(table, first);
	ask_all(table, access);
	set_present(table, first, 3);
	if (!model_is_present(last))
		set_present(table, last, access);
	flip_none(table);
	ask_all(table, access);
	oldest = table->generation;
	table_settle(table, oldest, 0, model.nr - 1);
	for (i = 0; i < model.nr; i++)
		if (slot_is_young(&table->slots[i]))
			failed("settle", 0, 0, 0, oldest);
	set_absent(table, last);
	set_present(table, last, 2);
	ask_all(table, access);
	set_absent(table, first);
	if (table_remove(table, first->slot.gpa, first->slot.size))
		failed("remove", first->slot.gpa, first->slot.size, 0, table->generation);
	model_remove(first, table->generation);
	ask_all(table, access);
	table_free(table);
}

static void run_slots(void)
{
	/* Of the slots, and asked for; do they touch in the host; a bucket's entry can hold it */
	static const struct { unsigned char a, b, ask; bool touch, step; } kinds[] = {
		{ 3, 3, 3, true, false },
		{ 1, 3, 2, true, false },
		{ 2, 3, 2, false, true },
	};
	struct virtio_mem_xlate_slot *a = &slots[0].slot, *b = &slots[1].slot;
	unsigned int i;

	for (i = 0; i < 3; i++) {
		a->access = kinds[i].a;
		b->access = kinds[i].b;
		a->kva = (void *)(0x10000 + (uintptr_t)a->gpa + (kinds[i].step ? 3 : 0));
		b->kva = kinds[i].touch ? a->kva + (uintptr_t)a->size :
			 (void *)(0x20000 + (uintptr_t)b->gpa);
		run_table(kinds[i].ask, i == 0);
		/* Takes eight times as long: of wide words, some tables of all places and sizes. */
		if (i == (unsigned int)(a->gpa ^ a->size ^ b->gpa ^ b->size) %
			 (NARROW < 6 ? 3 : 16))
			run_flips(kinds[i].ask);
	}
}

int main(int argc, char **argv)
{
	unsigned int g0, s0, g1, s1, part, parts;

	model.nr = argc == 4 ? atoi(argv[1]) : 0;
	part = argc == 4 ? atoi(argv[2]) : 0;
	parts = argc == 4 ? atoi(argv[3]) : 0;
	if (model.nr < 1 || model.nr > 2 || part >= parts) {
		fprintf(stderr, "usage: exhaustive SLOTS PART PARTS, SLOTS 1 or 2\n");
		return 2;
	}
	for (g0 = part; g0 < WORDS; g0 += parts) {
		for (s0 = 0; s0 < WORDS; s0++) {
			slots[0].slot.gpa = g0;
			slots[0].slot.size = s0;
			if (model.nr == 1) {
				run_slots();
				continue;
			}
			/* What may come before what is validation's: asked of one half. */
			for (g1 = g0; g1 < WORDS; g1++) {
				for (s1 = 0; s1 < WORDS; s1++) {
					slots[1].slot.gpa = g1;
					slots[1].slot.size = s1;
					run_slots();
				}
			}
		}
	}
	printf("%d-bit words, %u slots: %lu tables, %lu valid, %lu questions, %lu hit, %lu flips, "
	       "0 mismatches\n", NARROW, model.nr, tables, valid, asked, hits, flips);
	return hits ? 0 : 1;
}
