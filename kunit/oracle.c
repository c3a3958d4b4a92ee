// SPDX-License-Identifier: GPL-2.0
/*
 * Random tables and random questions: each answer must be the model's.
 *
 * A failing test prints its seed and the slots; virtio_mem_xlate_kunit.seed=SEED repeats it.
 */
#include <linux/jiffies.h>
#include <linux/moduleparam.h>
#include <linux/prandom.h>
#include <linux/random.h>

#include "helpers.h"

#define SLOT_LIVE	U32_MAX
#include "model.h"

#define MAX_MODEL_SLOTS	24
#define MAX_SLOT_SIZE	24
#define MAX_QUERY	96
#define MEMORY_SIZE	1024
#define QUERIES		64	/* to each table */
#define UPDATES		16	/* of each context */

static unsigned long long seed;
module_param(seed, ullong, 0444);
MODULE_PARM_DESC(seed, "Seed of the random tables; 0 takes a random one");

static unsigned int oracle_ms = 500;
module_param(oracle_ms, uint, 0444);
MODULE_PARM_DESC(oracle_ms, "Milliseconds for each layout of random tables");

struct oracle {
	struct rnd_state rnd;
	const struct layout *layout;
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_cursor cursor;	/* kept through all updates */

	struct model model;
	struct model_slot slots[MAX_MODEL_SLOTS];	/* of the current table, in any order */
	struct virtio_mem_xlate_slot input[MAX_MODEL_SLOTS];	/* of register and replace */

	/* The question, for the message of a failing test. */
	struct virtio_driver_range range;
	unsigned int access;
	bool failed;

	u8 memory[MEMORY_SIZE], want[MEMORY_SIZE], buf[MAX_QUERY];
	struct kvec pieces[MAX_QUERY], kvec[MAX_QUERY];
	unsigned long queries, answered, updates, refused;
};

/* Chances in percent. */
static const struct layout {
	const char *name;
	unsigned int touching;		/* the next slot starts where the last ends, */
	unsigned int contiguous;	/* in host memory, too */
	unsigned int read_write;	/* a slot allows all */
	u64 origin;			/* around which the slots lie, */
	unsigned int far;		/* unless one and all behind it lie far from there */
} layouts[] = {
	{ "mixed", 50, 50, 60, 0x1000 },
	{ "touching everywhere", 100, 100, 80, 0x1000 },
	{ "touching in the guest only", 100, 0, 80, 0x1000 },
	{ "gaps", 0, 50, 80, 0x1000 },
	{ "mixed access", 90, 90, 0, 0x1000 },
	{ "at 0", 60, 60, 60, 0 },
	{ "around 4 GiB", 60, 60, 60, (1ULL << 32) - 100 },
	{ "around 2^63", 60, 60, 60, (1ULL << 63) - 100 },
	{ "at U64_MAX", 60, 60, 60, U64_MAX - 200 },
	{ "clusters far apart", 60, 60, 60, 0x1000, .far = 6 },
	{ "some far out", 60, 60, 60, 0x1000, .far = 40 },
};

static void layout_desc(const struct layout *layout, char *desc)
{
	strscpy(desc, layout->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(layout, layouts, layout_desc);

static u32 below(struct oracle *o, u32 bound)
{
	return prandom_u32_state(&o->rnd) % bound;
}

static bool chance(struct oracle *o, u32 percent)
{
	return below(o, 100) < percent;
}

/* The model's answer to the question; fills o->pieces with the pieces before the error. */
static struct answer model_answer(struct oracle *o)
{
	struct answer answer = model_range(&o->model, 0, o->range.start, o->range.len, o->access,
					   MAX_QUERY, false), piece;
	u64 pos = o->range.start, end = pos + (u64)answer.good;
	unsigned int i;

	for (i = 0; i < answer.pieces; i++) {
		piece = model_range(&o->model, 0, pos, end - pos, o->access, 1, false);
		o->pieces[i] = (struct kvec){ (void *)piece.kva, piece.piece };
		pos += o->pieces[i].iov_len;
	}
	return answer;
}

/* The model's address of a byte that @access allows. */
static u8 *model_kva(struct oracle *o, u64 gpa, unsigned int access)
{
	uintptr_t kva = 0;
	wide end;

	model_byte(&o->model, 0, gpa, access, &kva, &end);
	return (u8 *)kva;
}

static void model_set(struct oracle *o, const struct virtio_mem_xlate_slot *slots,
		      unsigned int nr_slots)
{
	unsigned int i;

	for (i = 0; i < nr_slots; i++)
		o->slots[i] = model_slot(&slots[i]);
	o->model = (struct model){ .slots = o->slots, .nr = nr_slots };
}

/* Do any two of the first @nr slots of the model share a byte? */
static bool model_overlaps(const struct oracle *o, unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++)
		for (j = 0; j < i; j++)
			if (slot_start(&o->slots[i]) < slot_end(&o->slots[j]) &&
			    slot_start(&o->slots[j]) < slot_end(&o->slots[i]))
				return true;
	return false;
}

/* Makes random slots, each above the one before, and shuffles them. */
static unsigned int random_slots(struct oracle *o, struct virtio_mem_xlate_slot *slots,
				 unsigned int max)
{
	unsigned int n = below(o, max + 1), i;
	u32 host = below(o, MEMORY_SIZE);
	u64 gpa = o->layout->origin + below(o, 64);

	for (i = 0; i < n; i++) {
		struct virtio_mem_xlate_slot *slot = &slots[i];

		slot->size = 1 + below(o, MAX_SLOT_SIZE);
		if (!chance(o, o->layout->touching))
			gpa += 1 + below(o, 8);
		if (chance(o, o->layout->far))
			gpa += BIT_ULL(below(o, 50));
		if (!chance(o, o->layout->contiguous) || host + slot->size > MEMORY_SIZE)
			host = below(o, MEMORY_SIZE - slot->size);
		if (gpa > U64_MAX - slot->size)
			break;
		slot->gpa = gpa;
		slot->kva = o->memory + host;
		slot->access = chance(o, o->layout->read_write) ? RW : 1 + below(o, 3);
		gpa += slot->size;
		host += slot->size;
	}
	n = i;
	for (i = 1; i < n; i++) {
		u32 other = below(o, i + 1);

		swap(slots[i], slots[other]);
	}
	return n;
}

/* Mostly near an edge of a slot. */
static struct virtio_driver_range random_range(struct oracle *o)
{
	struct virtio_driver_range range;

	range.start = o->layout->origin + below(o, 400) - 16;
	if (o->model.nr && chance(o, 80)) {
		struct virtio_mem_xlate_slot *slot = &o->slots[below(o, o->model.nr)].slot;

		range.start = slot->gpa + (chance(o, 50) ? slot->size : 0) + below(o, 3) - 1;
	}
	if (chance(o, 2))
		range.start = U64_MAX - below(o, 3);
	range.len = below(o, chance(o, 50) ? 4 : MAX_QUERY);
	return range;
}

/* Shows the slots.  The picture of the index (debugfs) belongs here. */
static void show_table(struct kunit *test, const struct oracle *o)
{
	unsigned int i;

	for (i = 0; i < o->model.nr; i++)
		kunit_err(test, "slot %#llx + %#llx, host byte %#tx, access %u\n",
			  o->slots[i].slot.gpa, o->slots[i].slot.size,
			  (u8 *)o->slots[i].slot.kva - o->memory, o->slots[i].slot.access);
}

/* Reports the first wrong answer only: the others follow from it. */
static void expect_answer(struct kunit *test, struct oracle *o, bool ok, const char *what)
{
	if (ok || o->failed)
		return;
	o->failed = true;
	kunit_err(test, "%s: %#llx + %#llx, access %u, %u slots\n", what, o->range.start,
		  o->range.len, o->access, o->model.nr);
	show_table(test, o);
}

static struct virtio_driver_range random_question(struct oracle *o, unsigned int access)
{
	o->range = random_range(o);
	o->access = access;
	o->queries++;
	return o->range;
}

static void query_pieces(struct kunit *test, struct oracle *o, struct virtio_mem_xlate_view *view)
{
	unsigned int access = 1 + below(o, 3), nr_pieces, room, i;
	struct virtio_device_range device = poisoned_device_range();
	struct virtio_driver_range range = random_question(o, access), left = range;
	struct kvec *want = o->pieces;
	struct answer answer = model_answer(o);
	int err = answer.error, ret;
	u64 good = answer.good;

	nr_pieces = answer.pieces;
	o->answered += !err && range.len;

	for (i = 0; i < 2; i++) {
		ret = i ? virtio_mem_xlate_cursor_range(&o->cursor, view, range, access, &device) :
			  virtio_mem_xlate_range(view, range, access, &device);
		expect_answer(test, o, ret == (nr_pieces > 1 ? -ENOBUFS : err),
			      i ? "cursor" : "range");
		if (ret || !range.len)
			expect_answer(test, o, device_range_is_empty(device), "device after range");
		else
			expect_answer(test, o, device.kva == want[0].iov_base &&
				      device.len == range.len, "device of range");
		device = poisoned_device_range();
	}

	for (i = 0; i < nr_pieces; i++) {
		ret = virtio_mem_xlate_next(view, &left, access, &device);
		expect_answer(test, o, ret == 1, "next");
		expect_answer(test, o, virtio_device_range_get(device) == want[i].iov_base &&
			      virtio_device_range_len(device) == want[i].iov_len, "piece of next");
	}
	ret = virtio_mem_xlate_next(view, &left, access, &device);
	expect_answer(test, o, ret == err, "last next");
	expect_answer(test, o, left.start == range.start + good && left.len == range.len - good,
		      "byte where next stops");
	expect_answer(test, o, device_range_is_empty(device), "device after next");

	room = below(o, nr_pieces + 2);
	ret = virtio_mem_xlate_kvec(view, range, access, o->kvec, room);
	expect_answer(test, o, ret == (nr_pieces > room ? -ENOBUFS : err ?: (int)nr_pieces),
		      "kvec");
	for (i = 0; ret > 0 && i < nr_pieces; i++)
		expect_answer(test, o, o->kvec[i].iov_base == want[i].iov_base &&
			      o->kvec[i].iov_len == want[i].iov_len, "entry of kvec");
}

static void query_copy_from(struct kunit *test, struct oracle *o,
			    struct virtio_mem_xlate_view *view)
{
	struct virtio_driver_range range = random_question(o, R);
	int err = model_answer(o).error;
	u64 i;

	memset(o->buf, POISON, sizeof(o->buf));
	memset(o->want, POISON, sizeof(o->buf));
	for (i = 0; !err && i < range.len; i++)
		o->want[i] = *model_kva(o, range.start + i, R);
	expect_answer(test, o, virtio_mem_xlate_copy_from(view, o->buf, range) == err, "copy_from");
	expect_answer(test, o, !memcmp(o->buf, o->want, sizeof(o->buf)), "bytes of copy_from");
}

static void query_copy_to(struct kunit *test, struct oracle *o, struct virtio_mem_xlate_view *view)
{
	struct virtio_driver_range range = random_question(o, W);
	int err = model_answer(o).error;
	u64 i;

	prandom_bytes_state(&o->rnd, o->buf, sizeof(o->buf));
	memcpy(o->want, o->memory, sizeof(o->want));
	for (i = 0; !err && i < range.len; i++)
		o->want[model_kva(o, range.start + i, W) - o->memory] = o->buf[i];
	expect_answer(test, o, virtio_mem_xlate_copy_to(view, range, o->buf) == err, "copy_to");
	expect_answer(test, o, !memcmp(o->memory, o->want, sizeof(o->want)), "bytes of copy_to");
}

static void query(struct kunit *test, struct oracle *o)
{
	CLASS(virtio_mem_xlate_view, view)(o->xlate);
	unsigned int i;

	for (i = 0; i < QUERIES && !o->failed; i++) {
		query_pieces(test, o, &view);
		query_copy_from(test, o, &view);
		query_copy_to(test, o, &view);
	}
}

static void update_replace(struct kunit *test, struct oracle *o)
{
	unsigned int n = random_slots(o, o->input, MAX_MODEL_SLOTS);

	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_replace(o->xlate, o->input, n), 0);
	model_set(o, o->input, n);
}

/* Random places, so many of these slots overlap others and must be refused. */
static void update_add(struct kunit *test, struct oracle *o)
{
	struct virtio_mem_xlate_slot slots[3];
	unsigned int n = random_slots(o, slots, min(MAX_MODEL_SLOTS - o->model.nr, 3U)), i;
	bool overlaps;

	for (i = 0; i < n; i++) {
		if (o->layout->origin < U64_MAX / 2 + 1)
			slots[i].gpa += below(o, 300);
		o->slots[o->model.nr + i] = model_slot(&slots[i]);
	}
	overlaps = model_overlaps(o, o->model.nr + n);
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_add(o->xlate, slots, n), overlaps ? -EEXIST : 0);
	if (overlaps)
		o->refused++;
	else
		o->model.nr += n;
}

/*
 * Removes from the start of a slot to the end of a slot, which may be another.  Sometimes the
 * range is a byte off at an end, and must be refused.
 */
static void update_remove(struct kunit *test, struct oracle *o)
{
	u64 gpa = o->layout->origin, end = gpa + 1;
	unsigned int i, n = 0;
	bool removable;

	if (o->model.nr) {
		struct model_slot *from = &o->slots[below(o, o->model.nr)], *to = from;

		if (chance(o, 30))
			to = &o->slots[below(o, o->model.nr)];
		gpa = from->slot.gpa;
		end = to->slot.gpa + to->slot.size;
	}
	if (chance(o, 20))
		gpa += below(o, 3) - 1;
	if (chance(o, 20))
		end += below(o, 3) - 1;
	removable = model_removable(&o->model, gpa, end - gpa);
	o->refused += !removable;
	KUNIT_EXPECT_EQ(test, virtio_mem_xlate_remove(o->xlate, gpa, end - gpa),
			removable ? 0 : -ENOENT);
	if (!removable)
		return;
	for (i = 0; i < o->model.nr; i++)
		if (o->slots[i].slot.gpa < gpa || o->slots[i].slot.gpa >= end)
			o->slots[n++] = o->slots[i];
	o->model.nr = n;
}

static void one_context(struct kunit *test, struct oracle *o, u64 table_seed)
{
	unsigned int n, i;

	prandom_seed_state(&o->rnd, table_seed);
	prandom_bytes_state(&o->rnd, o->memory, sizeof(o->memory));
	n = random_slots(o, o->input, MAX_MODEL_SLOTS);
	model_set(o, o->input, n);
	o->xlate = virtio_mem_xlate_register(o->input, n);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, o->xlate);
	query(test, o);
	for (i = 0; i < UPDATES && !o->failed; i++) {
		switch (below(o, 4)) {
		case 0:
			update_replace(test, o);
			break;
		case 1:
			update_add(test, o);
			break;
		default:
			update_remove(test, o);
		}
		o->updates++;
		query(test, o);
	}
	virtio_mem_xlate_unregister(o->xlate);
}

static void model_agrees(struct kunit *test)
{
	unsigned long end = jiffies + msecs_to_jiffies(oracle_ms);
	u64 table_seed = seed ?: get_random_u64();
	struct oracle *o = kunit_kzalloc(test, sizeof(*o), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, o);
	o->layout = test->param_value;
	kunit_info(test, "first seed %llu\n", table_seed);
	do {
		one_context(test, o, table_seed);
		KUNIT_EXPECT_FALSE_MSG(test, o->failed, "virtio_mem_xlate_kunit.seed=%llu",
				       table_seed);
		table_seed++;
		cond_resched();
	} while (!o->failed && (o->refused < 10 || time_before(jiffies, end)));
	kunit_info(test, "%lu queries, %lu updates of which %lu were refused\n",
		   o->queries, o->updates, o->refused);
	KUNIT_EXPECT_GT(test, o->answered, 100);
}

static struct kunit_case oracle_cases[] = {
	KUNIT_CASE_PARAM(model_agrees, layout_gen_params),
	{}
};

static struct kunit_suite oracle_suite = {
	.name = "virtio_mem_xlate_oracle",
	.test_cases = oracle_cases,
};

kunit_test_suite(oracle_suite);
