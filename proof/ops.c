// SPDX-License-Identifier: GPL-2.0
/*
 * ops: the bytes of an input are read as calls of what the module exports, on
 * three contexts; each answer, and each byte copied, is compared with the model's.
 *
 * Views are held over updates.  At each write of an update and again when it waits
 * for them, all views must still see their own table, whole; then they are
 * released, and an update that returns before that is a finding, as is a byte of a
 * freed table that is looked at (ASan), and anything that is left in the end.
 *
 * With libFuzzer it is the target; built with -DRANDOM: ops SEED RUNS.
 */
#include "virtio_mem_xlate.c"
#include "kunit/model.h"

#define CONTEXTS 3
#define SLOTS 96
#define VIEWS 4
#define ARENA 3072

struct context {
	struct virtio_mem_xlate *xlate;		/* or NULL */
	struct model_slot slots[SLOTS], next[SLOTS];
	unsigned int nr, nr_next;		/* in force, and after the update that is on */
	unsigned int refs;			/* beside that of the registration */
	bool registered;
};

struct held {
	struct virtio_mem_xlate_view view;
	struct context *context;		/* or NULL */
	struct model_slot slots[SLOTS];
	unsigned int nr;
};

static struct context contexts_of_test[CONTEXTS];
static struct held held[VIEWS];
static struct context *updating;
static _Alignas(4096) u8 arena[ARENA];
static _Alignas(8) u8 buffer[ARENA];
static u8 want_arena[ARENA], want_buffer[ARENA];
static unsigned long writes;
static unsigned long calls[16];	/* by kind, that did something */
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

static struct model model_of(struct model_slot *slots, unsigned int nr)
{
	return (struct model){ .slots = slots, .nr = nr };
}

static u64 some_address(void)
{
	static const u64 origins[] = {
		0, 4096, (1ULL << 32) - 128, (1ULL << 63) - 128, U64_MAX - 255,
	};
	u64 origin = origins[pick(5)];

	return origin + byte();
}

/* Does a view answer as @model does, about each edge? */
static bool sees(const struct virtio_mem_xlate_view *view, struct model model)
{
	struct virtio_device_range device;
	struct answer want;
	unsigned int i, edge;

	for (i = 0; i < model.nr; i++) {
		for (edge = 0; edge < 4; edge++) {
			struct virtio_driver_range range = { .len = 1 };
			int ret;

			range.start = (edge & 1 ? slot_end(&model.slots[i]) :
				       slot_start(&model.slots[i])) - (edge >> 1);
			if (range.start == U64_MAX)
				continue;
			want = model_range(&model, 0, range.start, 1, 1, 1, false);
			ret = virtio_mem_xlate_range(view, range, 1, &device);
			if (ret != want.error || (!ret && (uintptr_t)device.kva != want.kva))
				return false;
			ret = virtio_mem_xlate_next_cold(view, &range, 1, &device);
			if (ret != (want.error ?: 1) || (uintptr_t)device.kva != want.kva)
				return false;
		}
	}
	return true;
}

/* The view of one who came in the midst of an update, and which table it sees. */
static struct virtio_mem_xlate_view newcomer;
static bool newcomer_held, newcomer_sees_old;

static bool newcomer_sees(bool old)
{
	return old ? sees(&newcomer, model_of(updating->slots, updating->nr)) :
		     sees(&newcomer, model_of(updating->next, updating->nr_next));
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
			expect(sees(&held[i].view, model_of(held[i].slots, held[i].nr)));
	if (!newcomer_held) {
		virtio_mem_xlate_read_lock(updating->xlate, &newcomer);
		newcomer_held = true;
		newcomer_sees_old = newcomer_sees(true);
	}
	expect(newcomer_sees(newcomer_sees_old));
}

static void release(struct held *h)
{
	expect(sees(&h->view, model_of(h->slots, h->nr)));
	virtio_mem_xlate_read_unlock(&h->view);
	h->context = NULL;
}

/* What update waits for is what holds the views: they look once more and let go. */
static void end_views(struct srcu_struct *ssp)
{
	struct virtio_mem_xlate_view view;
	unsigned int i;

	for (i = 0; i < VIEWS; i++)
		if (held[i].context && &held[i].view.xlate->views == ssp)
			release(&held[i]);
	if (updating) {
		if (newcomer_held) {
			expect(newcomer_sees(newcomer_sees_old));
			virtio_mem_xlate_read_unlock(&newcomer);
			newcomer_held = false;
		}
		virtio_mem_xlate_read_lock(updating->xlate, &view);
		expect(sees(&view, model_of(updating->next, updating->nr_next)));
		for (i = 0; i < updating->nr; i++) {	/* none of the old ones */
			u64 gpa = updating->slots[i].slot.gpa;
			struct model next = model_of(updating->next, updating->nr_next);
			struct answer want = model_range(&next, 0, gpa, 1, 1, 1, false);
			struct virtio_device_range device;

			expect(virtio_mem_xlate_range(&view,
						      (struct virtio_driver_range){ gpa, 1 }, 1,
						      &device) == want.error);
			expect(want.error || (uintptr_t)device.kva == want.kva);
		}
		virtio_mem_xlate_read_unlock(&view);
	}
}

static unsigned int held_of(const struct context *context)
{
	unsigned int i, n = 0;

	for (i = 0; i < VIEWS; i++)
		n += held[i].context == context;
	return n;
}

/* Reads slots from the input into @slots, mostly good ones. */
static unsigned int some_slots(struct virtio_mem_xlate_slot *slots)
{
	unsigned int n = pick(8) ? pick(8) : pick(SLOTS), i;
	u64 gpa = some_address();
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
		slots[i] = (struct virtio_mem_xlate_slot){ gpa, size, arena + kva, 3 };
		if (b & 128)
			slots[i].access = 1 + byte() % 3;
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

		switch (pick(9)) {
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

/* The model's verdict on @slots, which go to context->next behind what is there. */
static int model_append(struct context *context, const struct virtio_mem_xlate_slot *slots,
			unsigned int nr)
{
	unsigned int i, j;

	for (i = 0; i < nr; i++) {
		const struct virtio_mem_xlate_slot *s = &slots[i];

		if (!s->size || (wide)s->gpa + s->size > U64_MAX || !s->kva || !s->access ||
		    (wide)(uintptr_t)s->kva + s->size > UINTPTR_MAX || s->access > 3)
			return -EINVAL;
		context->next[context->nr_next + i] = (struct model_slot){ *s, SLOT_LIVE };
	}
	context->nr_next += nr;
	for (i = 0; i < context->nr_next; i++)
		for (j = 0; j < i; j++)
			if (slot_start(&context->next[i]) < slot_end(&context->next[j]) &&
			    slot_start(&context->next[j]) < slot_end(&context->next[i]))
				return -EEXIST;
	return 0;
}

static void commit(struct context *context)
{
	memcpy(context->slots, context->next, sizeof(context->slots));
	context->nr = context->nr_next;
}

static void load(struct context *context, unsigned int kind)
{
	struct virtio_mem_xlate_slot slots[SLOTS];
	unsigned int n = some_slots(slots);
	const struct virtio_mem_xlate_slot *from = slots;
	long objects = live_objects;
	bool keep = kind == 2;
	int want, ret, failing;

	if (!context->xlate && kind)
		return;
	if (context->xlate && !kind)
		kind = 1;
	context->nr_next = 0;
	if (keep && context->registered) {
		memcpy(context->next, context->slots, sizeof(context->slots));
		context->nr_next = context->nr;
		if (context->nr + n > SLOTS)
			n = SLOTS - context->nr;
	}
	if (!pick(32)) {
		n = VIRTIO_MEM_XLATE_MAX_SLOTS + 1 - context->nr_next + pick(2);
		want = -ENOSPC;
	} else if (!pick(32)) {
		from = NULL;
		want = n ? -EINVAL : 0;
	} else {
		want = model_append(context, slots, n);
	}
	if (kind && !context->registered)
		want = -ENODEV;
	failing = pick(8) ? 0 : 1 + pick(6);
	fail_allocation = failing;
	updating = kind ? context : NULL;
	if (kind) {
		ret = keep ? virtio_mem_xlate_add(context->xlate, from, n) :
			     virtio_mem_xlate_replace(context->xlate, from, n);
	} else {
		struct virtio_mem_xlate *xlate = virtio_mem_xlate_register(from, n);

		ret = IS_ERR(xlate) ? PTR_ERR(xlate) : 0;
		if (!ret) {
			context->xlate = xlate;
			context->registered = true;
			context->refs = 0;
		}
	}
	updating = NULL;
	if (failing && !fail_allocation)
		expect(ret == -ENOMEM);
	else
		expect(ret == want);
	fail_allocation = 0;
	if (ret) {
		expect(live_objects == objects);
		return;
	}
	if (kind) {
		expect(!held_of(context));
		expect(live_objects == objects);
		expect(traced_slots == context->nr_next && traced_ns == 1);
	}
	commit(context);
	calls[kind]++;
}

/* The model's verdict on a removal, and what it leaves, in context->next. */
static int model_remove(struct context *context, u64 gpa, u64 size)
{
	wide end = (wide)gpa + size;
	bool begins = false, ends = false;
	unsigned int i;

	context->nr_next = 0;
	for (i = 0; i < context->nr; i++) {
		const struct model_slot *m = &context->slots[i];

		begins |= slot_start(m) == gpa;
		ends |= slot_end(m) == end;
		if (slot_start(m) < gpa || slot_end(m) > end)
			context->next[context->nr_next++] = *m;
	}
	return size && begins && ends ? 0 : -ENOENT;
}

static void remove_some(struct context *context)
{
	unsigned int i = context->nr ? pick(context->nr) : 0, j;
	u64 gpa = some_address(), size = byte();
	unsigned long waits = grace_periods;
	long before = allocations;
	int want, ret;

	if (!context->xlate)
		return;
	if (context->nr && pick(8)) {
		j = pick(2) ? i : pick(context->nr);
		gpa = context->slots[i].slot.gpa;
		size = context->slots[j].slot.gpa + context->slots[j].slot.size - gpa;
		if (!pick(8))
			size += pick(3) - 1;
		if (!pick(8))
			gpa += pick(3) - 1;
	}
	want = model_remove(context, gpa, size);
	updating = context;
	ret = virtio_mem_xlate_remove(context->xlate, gpa, size);
	updating = NULL;
	expect(ret == want && allocations == before);
	expect(grace_periods == waits + !ret);
	if (ret)
		return;
	expect(!held_of(context) && traced_slots == context->nr_next && traced_ns == 1);
	commit(context);
	calls[3]++;
}

static void forget(struct context *context)
{
	if (!context->registered && !context->refs)
		context->xlate = NULL;
}

static void unregister(struct context *context)
{
	long before = allocations;

	if (!context->xlate || !context->registered)
		return;
	context->nr_next = 0;
	updating = context;
	virtio_mem_xlate_unregister(context->xlate);
	updating = NULL;
	expect(!held_of(context) && allocations == before && !traced_slots);
	context->registered = false;
	commit(context);
	forget(context);
	calls[4]++;
}

static void get_or_put(struct context *context, bool get)
{
	if (!context->xlate)
		return;
	in_interrupt = true;
	if (get) {
		expect(virtio_mem_xlate_get(context->xlate) == context->xlate);
		context->refs++;
		calls[5]++;
	} else if (context->refs) {
		if (!context->registered && context->refs == 1)
			end_views(&context->xlate->views);
		virtio_mem_xlate_put(context->xlate);
		context->refs--;
		forget(context);
		calls[6]++;
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
		memcpy(h->slots, context->slots, sizeof(h->slots));
		h->nr = context->nr;
		calls[7]++;
	}
}

static struct virtio_driver_range some_range(const struct held *h)
{
	struct virtio_driver_range range = { some_address(), byte() };

	if (h->nr && pick(8)) {
		const struct virtio_mem_xlate_slot *slot = &h->slots[pick(h->nr)].slot;

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
static bool in_arena(const struct model *model, struct virtio_driver_range range,
		     unsigned int access)
{
	uintptr_t kva;
	wide end;
	u64 i;

	if (range.len > ARENA)
		return false;
	for (i = 0; i < range.len; i++)
		if (!model_byte(model, 0, (wide)range.start + i, access, &kva, &end) &&
		    kva - (uintptr_t)arena >= ARENA)
			return false;
	return true;
}

static void copy(const struct held *h, struct virtio_driver_range range, bool to)
{
	unsigned int access = to ? VIRTIO_MEM_XLATE_WRITE : VIRTIO_MEM_XLATE_READ, i;
	struct model model = model_of((struct model_slot *)h->slots, h->nr);
	u8 *own = buffer + pick(8);
	struct answer want;
	uintptr_t kva;
	wide end;
	int ret;

	want = model_range(&model, 0, range.start, range.len, access, UINT_MAX,
			   range.len > ARENA);
	if (!want.error && !in_arena(&model, range, access))
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

		expect(!model_byte(&model, 0, (wide)range.start + i, access, &kva, &end));
		if (to)
			want_arena[kva - (uintptr_t)arena] = *mine;
		else
			*mine = arena[kva - (uintptr_t)arena];
	}
	writes = 0;
	ret = to ? virtio_mem_xlate_copy_to(&h->view, range, own) :
		   virtio_mem_xlate_copy_from(&h->view, own, range);
	expect(ret == want.error);
	expect(!memcmp(buffer, want_buffer, ARENA) && !memcmp(arena, want_arena, ARENA));
	/* A field of a ring moves whole. */
	if (!ret && want.pieces == 1 && (range.len == 2 || range.len == 4 || range.len == 8) &&
	    !((want.kva | (uintptr_t)own) & (range.len - 1)))
		expect(writes == 1);
	calls[12 + to]++;
}

/* One for all views of all contexts, of which it must take none for another. */
static struct virtio_mem_xlate_cursor cursor;

static void translate_one(struct held *h, unsigned int kind)
{
	struct virtio_driver_range range = some_range(h), rest = range;
	struct model model = model_of(h->slots, h->nr);
	unsigned int access = pick(16) ? 1 + pick(3) : byte(), n, i;
	struct virtio_device_range device = { .len = 1 }, by_cursor = device;
	struct kvec kvec[5];
	struct answer want;
	int ret;

	if (!h->context)
		return;
	n = kind == 2 ? pick(6) : 1;
	want = model_range(&model, 0, range.start, range.len, access, n, range.len > ARENA);
	switch (kind) {
	case 0:
		ret = virtio_mem_xlate_range(&h->view, range, access, &device);
		expect(ret == want.error);
		if (ret || !range.len)
			expect(!device.kva && !device.len && !device.access);
		else
			expect((uintptr_t)device.kva == want.kva && device.len == range.len &&
			       device.access == access);
		expect(virtio_mem_xlate_cursor_range(&cursor, &h->view, range, access,
						     &by_cursor) == ret);
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
			want = model_range(&model, 0, rest.start, rest.len, access, 1,
					   rest.len > ARENA);
			expect((uintptr_t)kvec[i].iov_base == want.kva &&
			       kvec[i].iov_len == want.piece);
			rest.start += want.piece;
			rest.len -= want.piece;
		}
		expect(ret <= 0 || !rest.len);
		break;
	default:
		copy(h, range, kind == 4);
		return;
	}
	calls[8 + kind]++;
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
	for (i = 0; i < CONTEXTS; i++) {
		left += !!contexts_of_test[i].xlate;
		registered += contexts_of_test[i].registered;
		contexts_of_test[i] = (struct context){};
	}
	errors_logged = 0;
	errors_unregistered = 0;
	module_exit_call();
	expect(errors_logged == left && errors_unregistered == registered && !live_objects);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	input = data;
	input_left = size;
	cursor = (struct virtio_mem_xlate_cursor){};
	between_writes_hook = look_around;
	grace_period_hook = end_views;
	fail_allocation = size % 64 == 63;
	if (module_init_call()) {
		expect(size % 64 == 63);
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
		case 4:
			remove_some(context);
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
			flush_workqueue(workqueue);
			break;
		case 14:
			ranges();
			break;
		default:
			translate(&held[pick(VIEWS)], op % 5);
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
	for (i = 0; i < 15; i++)
		printf("%lu ", calls[i]);
	printf("calls of each kind\n%lu runs from seed %llu, 0 findings\n", runs, seed - 1);
	return 0;
}
#endif
