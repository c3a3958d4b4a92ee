// SPDX-License-Identifier: GPL-2.0
/*
 * ops: the bytes of an input are read as calls of what the module exports, on
 * three contexts; each answer, each byte copied and each page marked is compared with
 * the model's.
 *
 * Views and holds are kept over updates.  At each write of an update and again when it waits
 * for them, all views must still see their own table, whole; then they are released, and an
 * update that returns before that is a finding, as is a callback that comes before the views
 * and holds of before are gone, a byte of a freed table that is looked at (ASan), and anything
 * that is left in the end.
 *
 * With libFuzzer it is the target; built with -DRANDOM: ops SEED RUNS.
 */

/* Instead of debugfs, the counters that can be checked. */
#define _VIRTIO_MEM_XLATE_DEBUG_H
struct virtio_mem_xlate;
struct xlate_debug {
	long callbacks;
	unsigned long long beyond_log;
};

#define debug_failure(debug, err) ((void)(debug))
#define debug_wait(debug) ((void)(debug))
#define debug_waited(debug, ns) ((void)(debug))
#define debug_call(debug) ((debug)->callbacks++)
#define debug_called(debug) ((debug)->callbacks--)
#define debug_beyond_log(debug, nr) ((debug)->beyond_log += (nr))
#define debug_add(debug, xlate, id, owner) ((void)(debug))
#define debug_remove(debug) ((void)(debug))
#define debug_init() ((void)0)
#define debug_exit() ((void)0)

#include "virtio_mem_xlate.c"
#include "kunit/model.h"

#define CONTEXTS 3
#define SLOTS 96
#define VIEWS 4
#define HOLDS 6
#define CALLBACKS 8
#define PAST 64
#define ARENA 3072
#define LOG_BITS ((1ULL << 20) + 9)

/* What the views of a table see, each in its generation. */
struct table {
	struct model_slot slots[SLOTS];
	struct model_past past[PAST];
	struct model model;
	u32 generation;
};

/* From register() to the last put(): its callbacks come in order. */
struct life {
	unsigned int queued, called;
};

/* A bitmap of a log, and what must be in it. */
struct bits {
	_Alignas(8) u8 is[LOG_BITS / 8 + 16], want[LOG_BITS / 8 + 16];
	u64 nr;
};

struct context {
	struct virtio_mem_xlate *xlate;		/* or NULL */
	const struct virtio_mem_xlate_table *real;	/* which table.. */
	struct table *table;			/* .. has these slots */
	struct life *life;
	struct bits *log;			/* or NULL */
	unsigned long long beyond;		/* pages that were not marked */
	unsigned int refs;			/* beside that of the registration */
	bool registered;
};

struct held {
	struct virtio_mem_xlate_view view;
	struct context *context;		/* or NULL */
	struct table *table;
	unsigned int time;
};

struct hold {
	struct virtio_mem_xlate_hold hold;
	struct context *context;		/* or NULL */
	unsigned int time;			/* of its view */
};

struct callback {
	struct context *context;		/* or NULL if it is not queued */
	struct life *life;
	struct virtio_mem_xlate_callback callback;
	unsigned int nr, time;
	bool again;
};

static struct context contexts_of_test[CONTEXTS];
static struct held held[VIEWS];
static struct hold holds[HOLDS];
static struct callback callbacks[CALLBACKS];
static struct table tables[CONTEXTS + VIEWS + 1], next;
static struct life lives[256];
static struct bits bitmaps[CONTEXTS][2];
static unsigned int nr_lives, now, hold_waits;
static struct context *updating;
static bool in_place;		/* the table of @updating becomes @next, else @next follows it */
static bool starting_log, stopping_log;
static _Alignas(4096) u8 arena[ARENA];
static _Alignas(8) u8 buffer[ARENA];
static u8 want_arena[ARENA], want_buffer[ARENA];
static unsigned long writes;
static unsigned long calls[32];	/* by kind, that did something */
static const u8 *input;
static size_t input_left;

static unsigned int byte(void)
{
	if (!input_left)
		return 0;
	input_left--;
	return *input++;
}

static unsigned int pick(unsigned int n)
{
	return byte() % n;
}

#define expect(condition)							\
	do {									\
		if (!(condition))						\
			fatal("ops: line %d: not so: %s", __LINE__, #condition);\
	} while (0)

static void table_copy(struct table *to, const struct table *from)
{
	*to = *from;
	to->model.slots = to->slots;
	to->model.past = to->past;
}

static void table_empty(struct table *table)
{
	table->model = (struct model){ .slots = table->slots, .past = table->past };
	table->generation = 0;
}

/* One that no context has and no view sees. */
static struct table *table_new(void)
{
	struct table *table;
	bool used;
	unsigned int i;

	for (table = tables;; table++) {
		used = false;
		for (i = 0; i < CONTEXTS; i++)
			used |= contexts_of_test[i].table == table;
		for (i = 0; i < VIEWS; i++)
			used |= held[i].context && held[i].table == table;
		if (!used)
			return table;
	}
}

/* The live slots of @context, as the next table has them, go to @next. */
static void next_keep(const struct context *context)
{
	const struct model *old = &context->table->model;
	unsigned int i;

	table_empty(&next);
	for (i = 0; i < old->nr; i++)
		if (model_is_live(&old->slots[i]))
			next.slots[next.model.nr++] = model_settled(&old->slots[i]);
}

static u64 some_address(void)
{
	static const u64 origins[] = {
		0, 4096, (1ULL << 32) - 128, (1ULL << 63) - 128, U64_MAX - 255,
	};
	u64 origin = origins[pick(5)];

	return origin + byte();
}

static bool sees_byte(const struct virtio_mem_xlate_view *view, u64 gpa, const struct table *a,
		      const struct table *b)
{
	struct answer wants[] = {
		model_range(&a->model, view->generation, gpa, 1, 1, 1, false),
		model_range(&b->model, view->generation, gpa, 1, 1, 1, false),
	};
	struct virtio_driver_range range = { gpa, 1 };
	struct virtio_device_range device;
	int ret = virtio_mem_xlate_range(view, range, 1, &device), i;
	uintptr_t kva = (uintptr_t)device.kva;

	for (i = 0; i < 2 && (ret != wants[i].error || kva != wants[i].kva); i++)
		;
	if (i == 2)
		return false;
	ret = virtio_mem_xlate_next_cold(view, &range, 1, &device);
	return ret == (wants[i].error ?: 1) && (uintptr_t)device.kva == wants[i].kva;
}

/* Does a view answer as @a or as @b, about each edge of the slots of @at? */
static bool sees_at(const struct virtio_mem_xlate_view *view, const struct table *a,
		    const struct table *b, const struct table *at)
{
	unsigned int i, edge;

	for (i = 0; i < at->model.nr; i++) {
		for (edge = 0; edge < 4; edge++) {
			u64 gpa = (edge & 1 ? slot_end(&at->slots[i]) :
				   slot_start(&at->slots[i])) - (edge >> 1);

			if (gpa != U64_MAX && !sees_byte(view, gpa, a, b))
				return false;
		}
	}
	return true;
}

static bool sees(const struct virtio_mem_xlate_view *view, const struct table *a,
		 const struct table *b)
{
	return sees_at(view, a, b, a);
}

/* While a table changes in place, a view of before sees a flip or not yet, byte by byte. */
static bool held_sees(const struct held *h)
{
	bool changes = updating && in_place && h->table == updating->table;

	return sees(&h->view, h->table, changes ? &next : h->table);
}

/* The view of one who came in the midst of an update, and which table it sees. */
static struct virtio_mem_xlate_view newcomer;
static bool newcomer_held, newcomer_sees_old;

static bool newcomer_sees(bool old)
{
	const struct table *table = updating->table;

	if (in_place && newcomer.generation == table->generation)
		return sees(&newcomer, table, &next);
	return old && !in_place ? sees(&newcomer, table, table) : sees(&newcomer, &next, &next);
}

static void newcomer_ends(void)
{
	if (!newcomer_held)
		return;
	expect(newcomer_sees(newcomer_sees_old));
	virtio_mem_xlate_read_unlock(&newcomer);
	newcomer_held = false;
}

/* On another processor, between two writes of an update. */
static void look_around(void)
{
	unsigned int i;

	writes++;
	if (!updating || !updating->xlate)
		return;
	for (i = 0; i < VIEWS; i++)
		if (held[i].context == updating)
			expect(held_sees(&held[i]));
	if (!newcomer_held) {
		virtio_mem_xlate_read_lock(updating->xlate, &newcomer);
		newcomer_held = true;
		newcomer_sees_old = newcomer_sees(true);
	}
	expect(newcomer_sees(newcomer_sees_old));
}

static void take_hold(struct held *h)
{
	struct hold *hold = &holds[pick(HOLDS)];

	if (hold->context)
		return;
	virtio_mem_xlate_hold(&h->view, &hold->hold);
	hold->context = h->context;
	hold->time = h->time;
	calls[17]++;
}

static void drop_hold(struct hold *hold)
{
	bool was = in_interrupt;

	in_interrupt = true;
	virtio_mem_xlate_release(&hold->hold);
	in_interrupt = was;
	hold->context = NULL;
}

static unsigned int holds_of(const struct context *context)
{
	unsigned int i, n = 0;

	for (i = 0; i < HOLDS; i++)
		n += holds[i].context == context;
	return n;
}

static bool bit_is(const u8 *bits, u64 nr)
{
	return bits[nr / 8] >> nr % 8 & 1;
}

/* The pages of @range are marked in the log of @context. */
static void model_dirty(struct context *context, struct virtio_driver_range range)
{
	wide end = (wide)range.start + range.len, page = range.start >> 12;

	if (!context->log || !range.len)
		return;
	if (end > (wide)U64_MAX + 1)
		end = (wide)U64_MAX + 1;
	for (; page << 12 < end && page < context->log->nr; page++)
		context->log->want[page / 8] |= 1 << page % 8;
	if (page << 12 < end)
		context->beyond += ((end - 1) >> 12) - page + 1;
}

static bool bits_right(const struct bits *bits)
{
	return !memcmp(bits->is, bits->want, bits->nr / 8 + 16);
}

/* A write while a log starts or stops is marked in the one of before or in the one of then. */
static void mark_one(struct held *h)
{
	struct context *context = h->context;
	struct bits *other = &bitmaps[context - contexts_of_test][0];

	other += other == context->log;
	virtio_mem_xlate_dirty(&h->view, (struct virtio_driver_range){ .len = 1 });
	expect(!starting_log || !context->log || bit_is(context->log->is, 0) ||
	       bit_is(other->is, 0));
	if (context->log)
		context->log->want[0] = context->log->is[0];
	other->want[0] = other->is[0];
}

static void release(struct held *h)
{
	expect(held_sees(h));
	if (starting_log || stopping_log)
		mark_one(h);
	if (!pick(8))	/* in the last moment */
		take_hold(h);
	virtio_mem_xlate_read_unlock(&h->view);
	h->context = NULL;
}

/* Another task starts a log while a view has the log of before. */
static void start_log_in_between(struct held *h)
{
	static _Alignas(8) u8 other[16];
	static bool inside;
	struct context *context = h->context;

	if (inside || !context->log || context->log->nr > 3)
		return;
	inside = true;
	memset(other, 0, sizeof(other));
	expect(!virtio_mem_xlate_log_start(context->xlate, (unsigned long *)other,
					   8 * sizeof(other)));
	inside = false;
	expect(!other[0] && bits_right(context->log));
	calls[24]++;
}

static bool unregistering;

/* Who waits for views or holds waits for what is kept here: it looks once more and lets go. */
static void end_views(struct srcu_struct *ssp)
{
	struct virtio_mem_xlate_view view;
	unsigned int i;

	for (i = 0; i < HOLDS; i++) {
		if (holds[i].context && &holds[i].context->xlate->holds == ssp)
			drop_hold(&holds[i]);
	}
	if (!ssp->has_class) {
		hold_waits++;
		return;
	}
	for (i = 0; i < VIEWS; i++) {
		if (!held[i].context || &held[i].view.xlate->views != ssp)
			continue;
		if (unregistering) {
			start_log_in_between(&held[i]);
			if (!held[i].context)	/* has waited, too */
				continue;
			virtio_mem_xlate_dirty(&held[i].view, (struct virtio_driver_range){ 3 << 12, 1 });
			model_dirty(held[i].context, (struct virtio_driver_range){ 3 << 12, 1 });
		}
		release(&held[i]);
	}
	if (updating && &updating->xlate->views == ssp) {
		newcomer_ends();
		virtio_mem_xlate_read_lock(updating->xlate, &view);
		expect(view.generation == next.generation);
		expect(sees(&view, &next, &next));
		expect(sees_at(&view, &next, &next, updating->table));
		virtio_mem_xlate_read_unlock(&view);
		updating = NULL;	/* what it waits for now are callbacks */
	}
}

static unsigned int held_of(const struct context *context)
{
	unsigned int i, n = 0;

	for (i = 0; i < VIEWS; i++)
		n += held[i].context == context;
	return n;
}

static void update_begins(struct context *context, bool place)
{
	updating = context;
	in_place = place;
}

static void update_ends(void)
{
	newcomer_ends();
	updating = NULL;
}

/* Of an update that returned 0. */
static void commit(struct context *context)
{
	if (!in_place)
		context->table = table_new();
	table_copy(context->table, &next);
	context->real = context->xlate->table;
}

/*
 * Callbacks
 */

static void queue_call(struct callback *callback);

static void called(struct virtio_mem_xlate_callback *of)
{
	struct callback *callback = container_of(of, struct callback, callback);
	struct context *context = callback->context;
	unsigned int i;

	expect(context && !in_interrupt && !in_reclaim && !mutexes_held);
	expect(callback->nr == callback->life->called);
	callback->life->called++;
	for (i = 0; i < VIEWS; i++)
		expect(held[i].context != context || held[i].time > callback->time);
	for (i = 0; i < HOLDS; i++)
		expect(holds[i].context != context || holds[i].time > callback->time);
	callback->context = NULL;
	if (callback->again && context->life == callback->life && context->xlate) {
		callback->again = false;
		callback->context = context;
		queue_call(callback);
	}
}

static void queue_call(struct callback *callback)
{
	callback->time = now++;
	callback->nr = callback->life->queued++;
	in_interrupt = true;
	virtio_mem_xlate_call(callback->context->xlate, &callback->callback, called);
	in_interrupt = false;
}

static void call_some(struct context *context)
{
	struct callback *callback = &callbacks[pick(CALLBACKS)];
	long before = allocations;

	if (!context->xlate || callback->context)
		return;
	callback->context = context;
	callback->life = context->life;
	callback->again = !pick(4);
	queue_call(callback);
	expect((allocations == before || FLIPS < 100));
	expect(context->xlate->debug.callbacks == callback->life->queued - callback->life->called);
	calls[18]++;
}

/* Reads slots from the input into @slots, mostly good ones. */
static unsigned int some_slots(struct virtio_mem_xlate_slot *slots)
{
	unsigned int n = pick(8) ? pick(8) : pick(SLOTS), i;
	u64 gpa = some_address();
	uintptr_t base = (uintptr_t)arena;
	unsigned int kva = byte();

	for (i = 0; i < n; i++) {
		unsigned int b = byte();
		u64 size = 1 + b % 16;

		if (b % 32 == 31)	/* has a whole bucket, of the least size */
			size = 2048;
		if (b & 32)
			gpa += byte() % 8;
		if (b & 64)
			kva = byte() * 4;
		if (kva + size > ARENA)
			kva = size < 2048 ? 0 : gpa & 7;
		if ((b & 16) && size < 2048) {	/* the edges of pages that nobody touches */
			unsigned int area = byte();

			base = area < 64 ? (uintptr_t)arena : (area < 192 ? VMALLOC_AREA :
				DEVICE_AREA) + PAGE_SIZE * (area % 8 + 1) - area / 8 % 4;
			kva = area < 64 ? kva : 0;
		}
		slots[i] = (struct virtio_mem_xlate_slot){ gpa, size, (void *)(base + kva), 3 };
		if (b & 128)
			slots[i].access = 1 + byte() % 4;
		if (slots[i].access == VIRTIO_MEM_XLATE_ABSENT)
			slots[i].kva = NULL;
		gpa += size;
		kva += size;
	}
	if (n && !pick(4)) {	/* out of order */
		struct virtio_mem_xlate_slot first = slots[0];
		unsigned int other = pick(n);

		slots[0] = slots[other];
		slots[other] = first;
	}
	if (n && !pick(8)) {	/* one that is no good, or is larger than all memory */
		struct virtio_mem_xlate_slot *slot = &slots[pick(n)];

		switch (pick(11)) {
		case 0:
			slot->size = 0;
			break;
		case 1:
			slot->size = U64_MAX - slot->gpa + 1;
			break;
		case 2:
			slot->kva = NULL;
			break;
		case 3:
			slot->kva = (void *)(UINTPTR_MAX - slot->size + 1);
			break;
		case 4:
			slot->access = 0;
			break;
		case 5:
			slot->access |= 4;
			break;
		case 9:
			slot->access = 4;
			slot->kva = arena;
			break;
		case 10:
			slot->access = 8;
			break;
		case 6:
			slot->gpa = slots[0].gpa;
			break;
		case 7:
			slot->kva = (void *)(UINTPTR_MAX - slot->size);
			break;
		default:
			slot->size = U64_MAX - slot->gpa;
			break;
		}
	}
	return n;
}

/* The model's verdict on @slots, which go to @next behind what is there. */
static int model_append(const struct virtio_mem_xlate_slot *slots, unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		const struct virtio_mem_xlate_slot *s = &slots[i];
		bool absent = s->access == VIRTIO_MEM_XLATE_ABSENT;

		if (!s->size || (wide)s->gpa + s->size > U64_MAX)
			return -EINVAL;
		if (absent ? s->kva != NULL :
		    !s->kva || !s->access || s->access > 3 ||
		    (wide)(uintptr_t)s->kva + s->size > UINTPTR_MAX)
			return -EINVAL;
		next.slots[next.model.nr + i] = model_slot(s);
	}
	next.model.nr += nr;
	for (i = 0; i < next.model.nr; i++)
		for (j = 0; j < i; j++)
			if (slot_start(&next.slots[i]) < slot_end(&next.slots[j]) &&
			    slot_start(&next.slots[j]) < slot_end(&next.slots[i]))
				return -EEXIST;
	return 0;
}

static int register_some(struct context *context, const struct virtio_mem_xlate_slot *slots,
			 unsigned int nr)
{
	struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(slots, nr);

	if (IS_ERR(xlate))
		return PTR_ERR(xlate);
	context->xlate = xlate;
	context->registered = true;
	context->refs = 0;
	context->log = NULL;
	context->beyond = 0;
	context->life = &lives[nr_lives++];
	return 0;
}

static void log_some(struct context *context, bool start);

static unsigned int nr_live(const struct table *table)
{
	unsigned int i, n = 0;

	for (i = 0; i < table->model.nr; i++)
		n += model_is_live(&table->slots[i]);
	return n;
}

/*
 * In-place updates by another processor while @updating builds a table.  They go to the current
 * table, and to @next where they change a slot that it has, too.
 */
static struct {
	unsigned int left, pause;
	bool keep, inside;
	long freed;		/* objects: tables of before, which no view sees any more */
	struct model_slot slots[SLOTS];		/* of @next, as the caller passed them */
} intruder;

/* The slot of the next table with the bytes of @m, a slot of the current table. */
static struct model_slot *same_in_next(const struct model_slot *m)
{
	unsigned int i;

	for (i = 0; i < next.model.nr; i++)
		if (next.slots[i].slot.gpa == m->slot.gpa && next.slots[i].slot.size == m->slot.size)
			return &next.slots[i];
	return NULL;
}

static void intruder_flips(struct context *context, struct model_slot *m)
{
	struct table *table = context->table;
	void *kva = arena + (m->slot.size < ARENA - 256 ? byte() : 0);
	u64 gpa = m->slot.gpa, size = m->slot.size;
	bool at_once = table->generation >= FLIPS;

	if (!model_is_present(m) && (wide)(uintptr_t)kva + size > UINTPTR_MAX)
		return;
	if (model_is_present(m)) {
		model_set_absent(&table->model, m, table->generation + !at_once, at_once);
		expect(!virtio_mem_xlate_set_absent(context->xlate, gpa, size));
	} else {
		model_set_present(&table->model, m, at_once ? NO_GENERATION : table->generation,
				  kva, 1 + pick(3));
		expect(!virtio_mem_xlate_set_present(context->xlate, gpa, size, kva,
						     m->slot.access));
	}
	table->generation += !at_once;
	calls[27]++;
}

static void intruder_acts(struct context *context)
{
	struct table *table = context->table;
	struct model_slot *m, *same;
	unsigned int kind = pick(8), n;

	if (kind == 7) {	/* a worker settles what it may */
		intruder.freed += live_objects;
		srcu_advance_all();
		intruder.freed -= live_objects;
		if (context->xlate->settle.queued)
			work_run(workqueue, &context->xlate->settle);
		return;
	}
	if (!table->model.nr || table->model.nr_past + 4 > PAST)
		return;
	m = &table->slots[pick(table->model.nr)];
	if (!model_is_live(m))
		return;
	same = same_in_next(m);
	if (kind == 6) {
		table->generation++;
		model_remove(m, table->generation);
		expect(!virtio_mem_xlate_remove_nowait(context->xlate, m->slot.gpa, m->slot.size));
		/* Of replace(): as if the slot was removed before, with all that changed it. */
		if (same && intruder.keep)
			same->removed = 0;
		else if (same)
			*same = intruder.slots[same - next.slots];
		calls[28]++;
		return;
	}
	intruder_flips(context, m);
	if (kind == 5)
		intruder_flips(context, m);
	/* More changes than are noted one by one, though they change nothing. */
	for (n = 0; kind == 4 && !model_is_present(m) && n <= NR_CHANGES; n++)
		expect(!virtio_mem_xlate_set_absent(context->xlate, m->slot.gpa, m->slot.size));
	calls[29] += n > 0;
	if (same)
		*same = model_settled(m);
}

static void intrude(void)
{
	struct context *context = updating;

	if (!intruder.left || intruder.inside || !context || in_place ||
	    !lockdep_is_held(&context->xlate->update) || lockdep_is_held(&context->xlate->change))
		return;
	if (intruder.pause) {
		intruder.pause--;
		return;
	}
	intruder.pause = byte() / 2;
	intruder.left--;
	intruder.inside = true;
	updating = NULL;
	in_reclaim = true;
	intruder_acts(context);
	in_reclaim = false;
	updating = context;
	intruder.inside = false;
}

enum { REGISTER, REPLACE, ADD, REPLACE_NOWAIT, PREPARE };

/* virtio_mem_xlate_replace_nowait() in its two steps, or in vain and then in one. */
static int replace_by_steps(struct context *context, const struct virtio_mem_xlate_slot *slots,
			    unsigned int n)
{
	struct virtio_mem_xlate_table *table = virtio_mem_xlate_prepare(context->xlate, slots, n);

	if (IS_ERR(table))
		return PTR_ERR(table);
	expect(virtio_mem_xlate_prepared_absent(table, U64_MAX, 1) == -ENOENT);
	if (!pick(4)) {
		virtio_mem_xlate_abort(context->xlate, table);
		return virtio_mem_xlate_replace_nowait(context->xlate, slots, n);
	}
	virtio_mem_xlate_commit(context->xlate, table);
	return 0;
}

/* Some of @slots have the bytes of slots of the table, to add those that were removed. */
static void take_places(const struct context *context, struct virtio_mem_xlate_slot *slots,
			unsigned int n, bool removed)
{
	const struct model *model = &context->table->model;
	unsigned int first, i;

	if (!model->nr || pick(2))
		return;
	first = pick(model->nr);
	for (i = 0; i < n && i < model->nr; i++) {
		const struct model_slot *m = &model->slots[(first + i) % model->nr];

		if (removed && model_is_live(m))
			continue;
		slots[i].gpa = m->slot.gpa;
		slots[i].size = m->slot.size;
	}
}

static void load(struct context *context, unsigned int kind)
{
	struct virtio_mem_xlate_slot slots[SLOTS];
	unsigned int n = some_slots(slots), views = held_of(context), kept = holds_of(context);
	unsigned int hold_waited = hold_waits;
	unsigned long waits = grace_periods;
	const struct virtio_mem_xlate_slot *from = slots;
	long objects = live_objects;
	int want, ret, failing;
	bool each, failed;

	if (kind == REGISTER && (context->xlate || nr_lives == ARRAY_SIZE(lives)))
		kind = REPLACE;
	if (!context->xlate && kind != REGISTER)
		return;
	if (kind != REGISTER)
		take_places(context, slots, n, kind == ADD);
	table_empty(&next);
	if (kind == ADD) {
		next_keep(context);
		n = min(n, SLOTS - next.model.nr);
	}
	if (!pick(32)) {
		n = VIRTIO_MEM_XLATE_MAX_SLOTS + 1 - next.model.nr + pick(2);
		want = -ENOSPC;
	} else if (!pick(32)) {
		from = NULL;
		want = n ? -EINVAL : 0;
	} else {
		want = model_append(slots, n);
	}
	if (kind != REGISTER && !context->registered)
		want = -ENODEV;
	/* One allocation fails, or each in turn. */
	each = !pick(4);
	failing = each ? 1 : pick(8) ? 0 : 1 + pick(8);
	for (;; failing++) {
		fail_allocation = failing;
		if (kind != REGISTER)
			update_begins(context, false);
		intruder.left = 0;
		/* What changes in place meanwhile is not in the table of two steps. */
		if (!failing && context->registered && kind != PREPARE && pick(2))
			intruder.left = 1 + pick(4);
		intruder.pause = intruder.left ? pick(64) : 0;
		intruder.keep = kind == ADD;
		intruder.freed = 0;
		memcpy(intruder.slots, next.slots, sizeof(intruder.slots));
		switch (kind) {
		case REGISTER:
			ret = register_some(context, from, n);
			break;
		case REPLACE:
			ret = virtio_mem_xlate_replace(context->xlate, from, n);
			break;
		case ADD:
			ret = virtio_mem_xlate_add(context->xlate, from, n);
			break;
		case PREPARE:
			ret = replace_by_steps(context, from, n);
			break;
		default:
			ret = virtio_mem_xlate_replace_nowait(context->xlate, from, n);
		}
		update_ends();
		intruder.left = 0;
		failed = failing && !fail_allocation;
		fail_allocation = 0;
		expect(ret == (failed ? -ENOMEM : want));
		if (!ret)
			break;
		expect(live_objects == objects - intruder.freed && held_of(context) == views);
		expect(grace_periods == waits && hold_waits == hold_waited);
		if (!failed || !each)
			return;
	}
	in_place = false;
	switch (kind) {
	case REGISTER:
		break;
	case REPLACE_NOWAIT:
	case PREPARE:
		expect(held_of(context) == views && holds_of(context) == kept);
		expect(grace_periods == waits && hold_waits == hold_waited);
		break;
	default:
		expect(!held_of(context) && grace_periods == waits + 1);
		expect(kind == ADD ? holds_of(context) >= kept : !holds_of(context));
		expect(hold_waits == hold_waited + (kind != ADD));
		expect(traced_slots == nr_live(&next) && traced_ns == 1);
	}
	commit(context);
	calls[kind == PREPARE ? 30 : kind]++;
	if (kind == REGISTER && pick(2))
		log_some(context, true);
}

/* The model's verdict on a removal, which it makes in @next. */
static int model_remove_range(u64 gpa, u64 size)
{
	unsigned int i;

	if (!model_removable(&next.model, gpa, size))
		return -ENOENT;
	next.generation++;
	for (i = 0; i < next.model.nr; i++) {
		struct model_slot *m = &next.slots[i];

		if (model_is_live(m) && slot_start(m) >= gpa && slot_end(m) <= (wide)gpa + size)
			model_remove(m, next.generation);
	}
	return 0;
}

static void remove_some(struct context *context, bool wait)
{
	const struct table *table = context->table;
	unsigned int i, j, hold_waited = hold_waits, kept = holds_of(context);
	unsigned int views = held_of(context);
	u64 gpa = some_address(), size = byte();
	unsigned long waits = grace_periods;
	long before = allocations;
	int want, ret;

	if (!context->xlate)
		return;
	i = table->model.nr ? pick(table->model.nr) : 0;
	if (table->model.nr && pick(8)) {
		j = pick(2) ? i : pick(table->model.nr);
		gpa = table->slots[i].slot.gpa;
		size = table->slots[j].slot.gpa + table->slots[j].slot.size - gpa;
		if (!pick(8))
			size += pick(3) - 1;
		if (!pick(8))
			gpa += pick(3) - 1;
	}
	table_copy(&next, table);
	want = model_remove_range(gpa, size);
	update_begins(context, true);
	in_reclaim = !wait;
	ret = wait ? virtio_mem_xlate_remove(context->xlate, gpa, size) :
		     virtio_mem_xlate_remove_nowait(context->xlate, gpa, size);
	in_reclaim = false;
	update_ends();
	expect(ret == want && (allocations == before || FLIPS < 100));
	expect(grace_periods == waits + (wait && !ret));
	expect(hold_waits == hold_waited + (wait && !ret));
	if (!wait || ret)
		expect(held_of(context) == views && holds_of(context) == kept);
	else
		expect(!held_of(context) && !holds_of(context) && traced_ns == 1 &&
		       traced_slots == nr_live(&next));
	if (!ret) {
		commit(context);
		calls[wait ? 4 : 19]++;
	}
}

/* set_absent() or set_present() of a slot, mostly one that is there. */
static void flip(struct context *context, bool present)
{
	const struct table *table = context->table;
	unsigned int access = 1 + pick(3), views = held_of(context);
	unsigned long waits = grace_periods;
	u64 gpa = some_address(), size = byte();
	long before = allocations;
	struct model_slot *m;
	bool at_once, done;
	int want, ret;
	void *kva;

	if (!context->xlate || table->model.nr_past + 2 > PAST)
		return;
	if (table->model.nr && pick(16)) {
		const struct model_slot *some = &table->slots[pick(table->model.nr)];

		gpa = some->slot.gpa + !pick(16);
		size = some->slot.size + !pick(16);
	}
	kva = arena + (size < ARENA - 256 ? byte() : 0);
	if (!pick(4) && present)
		kva = (void *)(VMALLOC_AREA + PAGE_SIZE * (1 + pick(8)) - pick(8));
	switch (pick(32)) {
	case 0:
		access = 4;
		break;
	case 1:
		access = 0;
		break;
	case 2:
		kva = NULL;
		break;
	case 3:
		kva = (void *)(UINTPTR_MAX - 1);
		break;
	}
	table_copy(&next, table);
	m = model_exact(&next.model, gpa, size);
	at_once = next.generation >= FLIPS;
	done = m && model_is_present(m) != present;
	want = m ? 0 : -ENOENT;
	if (present) {
		if (!access || access > 3 || !kva)
			want = -EINVAL;
		else if (m && (wide)(uintptr_t)kva + size > UINTPTR_MAX)
			want = -EINVAL;
		else if (m && !done)
			want = -EEXIST;
	}
	done &= !want;
	if (done && present)
		model_set_present(&next.model, m, at_once ? NO_GENERATION : next.generation, kva,
				  access);
	if (done && !present)
		model_set_absent(&next.model, m, next.generation + !at_once, at_once);
	next.generation += done && !at_once;
	update_begins(context, true);
	in_reclaim = true;
	ret = present ? virtio_mem_xlate_set_present(context->xlate, gpa, size, kva, access) :
			virtio_mem_xlate_set_absent(context->xlate, gpa, size);
	in_reclaim = false;
	update_ends();
	expect(ret == want && (allocations == before || FLIPS < 100) && grace_periods == waits);
	expect(held_of(context) == views);
	if (done) {
		commit(context);
		calls[20 + present]++;
	}
}

static void forget(struct context *context)
{
	if (!context->registered && !context->refs) {
		context->xlate = NULL;
		context->log = NULL;
	}
}

static void unregister(struct context *context)
{
	long before = allocations;
	unsigned int queued;

	if (!context->xlate || !context->registered)
		return;
	table_empty(&next);
	queued = context->life->queued;
	update_begins(context, false);
	unregistering = true;
	virtio_mem_xlate_unregister(context->xlate);
	unregistering = false;
	update_ends();
	expect(!held_of(context) && !holds_of(context));
	expect((allocations == before || FLIPS < 100) && !traced_slots);
	expect(context->life->called >= queued);
	context->registered = false;
	expect(!context->log || bits_right(context->log));
	context->log = NULL;
	in_place = false;
	commit(context);
	forget(context);
	calls[5]++;
}

static void synchronize(struct context *context)
{
	unsigned long waits = grace_periods;
	unsigned int hold_waited = hold_waits;

	if (!context->xlate)
		return;
	virtio_mem_xlate_synchronize(context->xlate);
	expect(!held_of(context) && grace_periods == waits + 1 && hold_waits == hold_waited);
	calls[22]++;
}

static void log_some(struct context *context, bool start)
{
	static const u64 sizes[] = { 1, 2, 3, 8, 9, 1 << 20, (1 << 20) + 1, 0 };
	struct bits *old = context->log, *bits = &bitmaps[context - contexts_of_test][0];
	unsigned long waits = grace_periods;
	unsigned int hold_waited = hold_waits;
	long before = allocations;
	bool null = !pick(16);
	int ret = 0;

	if (!context->xlate)
		return;
	bits += bits == old;
	if (start) {
		bits->nr = sizes[pick(8)];
		memset(bits->is, 0, bits->nr / 8 + 16);
		memset(bits->want, 0, bits->nr / 8 + 16);
	}
	starting_log = start;
	stopping_log = !start;
	if (start)
		ret = virtio_mem_xlate_log_start(context->xlate,
						 null ? NULL : (unsigned long *)bits->is, bits->nr);
	else
		virtio_mem_xlate_log_stop(context->xlate);
	starting_log = stopping_log = false;
	expect(ret == (start && (null || !bits->nr) ? -EINVAL : 0) && (allocations == before || FLIPS < 100));
	expect(grace_periods == waits + !ret && hold_waits == hold_waited);
	expect(!old || bits_right(old));
	if (ret)
		return;
	expect(!held_of(context));
	context->log = start && context->registered ? bits : NULL;
	calls[23]++;
}

static void dirty(struct held *h, struct virtio_driver_range range)
{
	if (range.len > 1 << 20 && pick(8))
		range.len %= 1 << 16;
	virtio_mem_xlate_dirty(&h->view, range);
	model_dirty(h->context, range);
	expect(h->context->xlate->debug.beyond_log == h->context->beyond);
	expect(!h->context->log || bits_right(h->context->log));
	calls[15]++;
}

static void get_or_put(struct context *context, bool get)
{
	if (!context->xlate)
		return;
	in_interrupt = true;
	if (get) {
		expect(virtio_mem_xlate_get(context->xlate) == context->xlate);
		context->refs++;
		calls[6]++;
	} else if (context->refs) {
		if (!context->registered && context->refs == 1) {
			end_views(&context->xlate->views);
			end_views(&context->xlate->holds);
		}
		virtio_mem_xlate_put(context->xlate);
		context->refs--;
		forget(context);
		calls[7]++;
	}
	in_interrupt = false;
}

static void take_view(struct context *context)
{
	struct held *h = &held[pick(VIEWS)];

	if (h->context) {
		release(h);
	} else if (context->xlate) {
		in_interrupt = true;
		virtio_mem_xlate_read_lock(context->xlate, &h->view);
		in_interrupt = false;
		h->context = context;
		h->table = context->table;
		h->time = now++;
		expect(h->view.generation == h->table->generation);
		expect(virtio_mem_xlate_view_is_current(&h->view));
		calls[8]++;
	}
}

static struct virtio_driver_range some_range(const struct held *h)
{
	struct virtio_driver_range range = { some_address(), byte() };

	if (h->table->model.nr && pick(8)) {
		const struct virtio_mem_xlate_slot *slot =
			&h->table->slots[pick(h->table->model.nr)].slot;

		range.start = slot->gpa + (pick(2) ? 0 : pick(24) - 4);
		if (slot->size >= 2048 && pick(2))
			range.start += 1024;
		if (pick(2))
			range.len = 1 << pick(5);
	}
	if (!pick(16))
		range.len = U64_MAX - range.start + pick(3) - 1;
	return range;
}

/* The bytes of @range in host memory, in order, which a copy must have moved. */
static bool in_arena(const struct held *h, struct virtio_driver_range range, unsigned int access)
{
	uintptr_t kva;
	wide end;
	u64 i;

	if (range.len > ARENA)
		return false;
	for (i = 0; i < range.len; i++)
		if (!model_byte(&h->table->model, h->view.generation, (wide)range.start + i,
				access, &kva, &end) &&
		    kva - (uintptr_t)arena >= ARENA)
			return false;
	return true;
}

static void copy(const struct held *h, struct virtio_driver_range range, bool to)
{
	unsigned int access = to ? VIRTIO_MEM_XLATE_WRITE : VIRTIO_MEM_XLATE_READ, i;
	const struct model *model = &h->table->model;
	u8 *own = buffer + pick(8);
	struct answer want;
	uintptr_t kva;
	wide end;
	int ret;

	want = model_range(model, h->view.generation, range.start, range.len, access, UINT_MAX,
			   range.len > ARENA);
	if (!want.error && !in_arena(h, range, access))
		return;
	if (pick(4))	/* as a field of a ring is */
		own = buffer + (want.kva & 7);
	if (!want.error && own + range.len > buffer + ARENA)
		return;
	for (i = 0; i < ARENA; i++) {
		buffer[i] = i * 5 + writes;
		want_buffer[i] = buffer[i];
		want_arena[i] = arena[i];
	}
	for (i = 0; !want.error && i < range.len; i++) {
		u8 *mine = want_buffer + (own - buffer) + i;

		expect(!model_byte(model, h->view.generation, (wide)range.start + i, access, &kva, &end));
		if (to)
			want_arena[kva - (uintptr_t)arena] = *mine;
		else
			*mine = arena[kva - (uintptr_t)arena];
	}
	writes = 0;
	ret = to ? virtio_mem_xlate_copy_to(&h->view, range, own) :
		   virtio_mem_xlate_copy_from(&h->view, own, range);
	expect(ret == want.error);
	expect(virtio_mem_xlate_view_is_current(&h->view) <= (h->table == h->context->table));
	expect(!memcmp(buffer, want_buffer, ARENA) && !memcmp(arena, want_arena, ARENA));
	/* A field of a ring moves whole. */
	if (!ret && want.pieces == 1 && (range.len == 2 || range.len == 4 || range.len == 8) &&
	    !((want.kva | (uintptr_t)own) & (range.len - 1)))
		expect(writes == 1);
	if (to && !ret)
		model_dirty(h->context, range);
	if (!to && !ret && !pick(4)) {
		memory_error = true;
		ret = virtio_mem_xlate_copy_from(&h->view, own, range);
		memory_error = false;
		/* Nothing is copied, or nothing that can fail. */
		expect(!ret || ret == -EHWPOISON);
		expect(!memcmp(buffer, want_buffer, ARENA));
		ret = 0;
	}
	expect(!h->context->log || bits_right(h->context->log));
	calls[12 + to]++;
}

/* Where the byte at @kva is in physical memory, and whether it has a page. */
static bool physical(uintptr_t kva, wide *at)
{
	uintptr_t page = (kva - VMALLOC_AREA) / PAGE_SIZE;

	if (kva >= DEVICE_AREA)
		return false;
	*at = kva < VMALLOC_AREA ? kva : (wide)(VMALLOC_PFN + (page ^ 2)) * PAGE_SIZE + kva % PAGE_SIZE;
	return kva < VMALLOC_AREA || (page % 8 != 5 && page % 8 != 6);
}

/* Byte by byte. */
static void bvec(const struct held *h, struct virtio_driver_range range, unsigned int access)
{
	unsigned int room = pick(6), n = 0, i;
	int want, ret;
	wide starts[6], lens[6], end, at;
	struct bio_vec bvec[6];
	uintptr_t kva;
	u64 pos;

	if (range.len > 4 * ARENA && (wide)range.start + range.len <= U64_MAX)
		range.len %= 4 * ARENA;
	want = !access || access > 3 ? -EINVAL :
	       (wide)range.start + range.len > U64_MAX ? -EOVERFLOW : 0;
	for (pos = 0; !want && pos < range.len; pos++) {
		want = model_byte(&h->table->model, h->view.generation, (wide)range.start + pos,
				  access, &kva, &end);
		if (!want && !physical(kva, &at))
			want = -EOPNOTSUPP;
		if (!want && (!n || starts[n - 1] + lens[n - 1] != at)) {
			if (n == room) {
				want = -ENOBUFS;
				break;
			}
			starts[n] = at;
			lens[n++] = 0;
		}
		if (!want)
			lens[n - 1]++;
	}
	ret = virtio_mem_xlate_bvec(&h->view, range, access, bvec, room);
	expect(ret == (want ?: (int)n));
	for (i = 0; ret > 0 && i < n; i++)
		expect((wide)page_to_pfn(bvec[i].bv_page) * PAGE_SIZE + bvec[i].bv_offset ==
			       starts[i] &&
		       bvec[i].bv_offset < PAGE_SIZE && bvec[i].bv_len == lens[i]);
	calls[16]++;
}

/* One for all views of all contexts, of which it must take none for another. */
static struct virtio_mem_xlate_cursor cursor;

static void translate_one(struct held *h, unsigned int kind)
{
	struct virtio_driver_range range, rest;
	const struct model *model;
	unsigned int access = pick(16) ? 1 + pick(3) : byte(), n, i;
	struct virtio_device_range device = { .len = 1 }, by_cursor = device;
	struct kvec kvec[5];
	struct answer want;
	u32 generation = h->view.generation;
	int ret, hit;

	if (!h->context)
		return;
	range = rest = some_range(h);
	model = &h->table->model;
	n = kind == 2 ? pick(6) : 1;
	want = model_range(model, generation, range.start, range.len, access, n, range.len > ARENA);
	switch (kind) {
	case 0:
		ret = virtio_mem_xlate_range(&h->view, range, access, &device);
		expect(ret == want.error);
		if (ret || !range.len)
			expect(!device.kva && !device.len && !device.access);
		else
			expect((uintptr_t)device.kva == want.kva && device.len == range.len &&
			       device.access == access);
		hit = virtio_mem_xlate_cursor_range(&cursor, &h->view, range, access, &by_cursor);
		if (!hit && ret == -EAGAIN) {
			expect(model_was(model, generation, range.start, range.len, access,
					 (uintptr_t)by_cursor.kva) &&
			       by_cursor.len == range.len && by_cursor.access == access);
			calls[25]++;
			break;
		}
		expect(hit == ret);
		expect(by_cursor.kva == device.kva && by_cursor.len == device.len &&
		       by_cursor.access == device.access);
		break;
	case 1:
		ret = virtio_mem_xlate_next(&h->view, &rest, access, &device);
		expect(ret == (want.good ? 1 : want.error));
		expect(rest.start == range.start + want.piece &&
		       rest.len == range.len - want.piece);
		expect((uintptr_t)device.kva == want.kva && device.len == want.piece &&
		       device.access == (want.good ? access : 0));
		break;
	case 2:
		ret = virtio_mem_xlate_kvec(&h->view, range, access, kvec, n);
		expect(ret == (want.error ?: (int)want.pieces));
		for (i = 0; ret > 0 && i < ret; i++) {
			want = model_range(model, generation, rest.start, rest.len, access, 1,
					   rest.len > ARENA);
			expect((uintptr_t)kvec[i].iov_base == want.kva &&
			       kvec[i].iov_len == want.piece);
			rest.start += want.piece;
			rest.len -= want.piece;
		}
		expect(ret <= 0 || !rest.len);
		break;
	case 3:
	case 4:
		copy(h, range, kind == 4);
		return;
	case 5:
		bvec(h, range, access);
		return;
	case 6:
		dirty(h, range);
		return;
	default:
		take_hold(h);
		return;
	}
	calls[9 + kind]++;
}

/* All of this may be done in an interrupt. */
static void translate(struct held *h, unsigned int kind)
{
	in_interrupt = true;
	translate_one(h, kind);
	in_interrupt = false;
}

static void ranges(void)
{
	struct virtio_driver_range range = { some_address(), byte() }, a, b, untouched = { 1, 2 };
	u64 offset = byte() + (pick(2) ? range.len : 0);
	struct virtio_device_range device, head, tail;
	int ret;

	if (!pick(4))
		range.len = U64_MAX - range.start + pick(3) - 1;
	a = untouched;
	b = untouched;
	ret = virtio_driver_range_init(&a, range.start, range.len);
	expect(ret == ((wide)range.start + range.len > U64_MAX ? -EOVERFLOW : 0));
	expect(virtio_driver_range_equal(a, ret ? untouched : range));
	a = untouched;
	ret = virtio_driver_range_from_bounds(&a, range.start, range.len);
	expect(ret == (range.len < range.start ? -EINVAL : 0));
	expect(ret ? virtio_driver_range_equal(a, untouched) :
	       a.start == range.start && virtio_driver_range_len(a) == range.len - range.start);
	expect(!virtio_driver_range_equal(range, (struct virtio_driver_range){ range.start,
					  range.len + 1 }));
	expect(!virtio_driver_range_equal(range, (struct virtio_driver_range){ range.start + 1,
					  range.len }));
	a = untouched;
	ret = virtio_driver_range_split_at(range, offset, &a, &b);
	expect(ret == ((wide)range.start + range.len > U64_MAX ? -EOVERFLOW :
		       offset > range.len ? -ERANGE : 0));
	if (ret)
		expect(virtio_driver_range_equal(a, untouched) &&
		       virtio_driver_range_equal(b, untouched));
	else
		expect(a.start == range.start && a.len == offset &&
		       b.start == range.start + offset && b.len == range.len - offset);

	device = virtio_device_range_new(arena + pick(16), byte(), pick(4));
	head = tail = (struct virtio_device_range){};
	ret = virtio_device_range_split_at(device, offset, &head, &tail);
	expect(ret == (offset > virtio_device_range_len(device) ? -ERANGE : 0));
	if (ret)
		expect(!head.kva && !tail.kva);
	else
		expect(head.kva == device.kva && head.len == offset &&
		       head.access == device.access && tail.kva == device.kva + offset &&
		       tail.len == device.len - offset && tail.access == device.access);
	expect(virtio_device_range_get(device) == device.kva);
	expect(virtio_device_range_ptr(device, u32) ==
	       (device.len >= 4 && device.access & 1 && !((uintptr_t)device.kva & 3) ?
		device.kva : NULL));
	expect(virtio_device_range_mut_ptr(device, u8) ==
	       (device.len && device.access & 2 ? device.kva : NULL));
	expect(!virtio_device_range_array(device, u16, U64_MAX - byte()));
	expect(virtio_device_range_mut_array(device, u16, offset) ==
	       (device.len && (wide)offset * 2 <= device.len && device.access & 2 &&
		!((uintptr_t)device.kva & 1) ? device.kva : NULL));
	calls[14]++;
}

/* Ends with the module: whatever is still there then, it says so and frees it. */
static void end(void)
{
	unsigned int left = 0, registered = 0, i;

	for (i = 0; i < VIEWS; i++)
		if (held[i].context)
			release(&held[i]);
	for (i = 0; i < HOLDS; i++)
		if (holds[i].context)
			drop_hold(&holds[i]);
	for (i = 0; i < CONTEXTS; i++) {
		left += !!contexts_of_test[i].xlate;
		registered += contexts_of_test[i].registered;
		contexts_of_test[i].xlate = NULL;
	}
	errors_logged = 0;
	errors_unregistered = 0;
	module_exit_call();
	expect(errors_logged == left && errors_unregistered == registered && !live_objects);
	for (i = 0; i < CALLBACKS; i++)
		expect(!callbacks[i].context);
	for (i = 0; i < nr_lives; i++)
		expect(lives[i].called == lives[i].queued);
	for (i = 0; i < 2 * CONTEXTS; i++)
		expect(bits_right(&bitmaps[i / 2][i % 2]));
	memset(contexts_of_test, 0, sizeof(contexts_of_test));
	memset(lives, 0, sizeof(lives));
	nr_lives = 0;
}

/* Grace periods without readers are over; renew_work() may have made a table anew. */
static void run_work(void)
{
	unsigned int i;

	flush_workqueue(callback_queue);
	flush_workqueue(workqueue);
	for (i = 0; i < CONTEXTS; i++) {
		struct context *context = &contexts_of_test[i];

		if (!context->xlate)
			continue;
		expect(*context->xlate->nr_holds == holds_of(context));
		expect(!context->xlate->debug.callbacks || held_of(context) || holds_of(context));
		if (context->xlate->table == context->real)
			continue;
		next_keep(context);
		in_place = false;
		commit(context);
		calls[26]++;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	input = data;
	input_left = size;
	cursor = (struct virtio_mem_xlate_cursor){};
	between_writes_hook = look_around;
	between_reads_hook = preemption_hook = intrude;
	grace_period_hook = end_views;
	fail_allocation = size % 64 == 63 ? 1 : size % 64 == 62 ? 2 : 0;
	if (module_init_call()) {
		expect(size % 64 >= 62);
		return 0;
	}
	fail_allocation = 0;
	while (input_left) {
		unsigned int op = byte();
		struct context *context = &contexts_of_test[op / 64 % CONTEXTS];

		switch (op % 32) {
		case 0 ... 2:
			load(context, op % 32);
			break;
		case 3:
			load(context, pick(2) ? REPLACE_NOWAIT : PREPARE);
			break;
		case 4:
			remove_some(context, pick(2));
			break;
		case 5:
			unregister(context);
			break;
		case 6:
			get_or_put(context, true);
			break;
		case 7:
			get_or_put(context, false);
			break;
		case 8 ... 12:
			take_view(context);
			break;
		case 13:
			run_work();
			break;
		case 14:
			ranges();
			break;
		case 15:
			call_some(context);
			break;
		case 16 ... 20:
			flip(context, op & 1);
			break;
		case 21:
			if (pick(4))
				log_some(context, pick(3));
			else
				synchronize(context);
			break;
		case 22:
			op = pick(HOLDS);
			if (holds[op].context)
				drop_hold(&holds[op]);
			break;
		default:
			translate(&held[pick(VIEWS)], pick(8));
			break;
		}
	}
	end();
	return 0;
}

#ifdef RANDOM
int main(int argc, char **argv)
{
	unsigned long long state = argc == 3 ? strtoull(argv[1], NULL, 0) + 1 : 0, seed = state;
	unsigned long runs = argc == 3 ? strtoul(argv[2], NULL, 0) : 0, i, j;
	static u8 data[1024];

	if (!state) {
		fprintf(stderr, "usage: ops SEED RUNS\n");
		return 2;
	}
	for (i = 0; i < runs; i++) {
		for (j = 0; j < sizeof(data); j++) {
			state = state * 6364136223846793005ULL + 1442695040888963407ULL;
			data[j] = state >> 56;
		}
		LLVMFuzzerTestOneInput(data, (state >> 33) % sizeof(data));
	}
	for (i = 0; i < 30; i++)
		printf("%lu ", calls[i]);
	printf("calls of each kind\n%lu runs from seed %llu, 0 findings\n", runs, seed - 1);
	return 0;
}
#endif
