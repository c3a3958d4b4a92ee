// SPDX-License-Identifier: GPL-2.0
/*
 * oracle: random tables, of the shapes that the benchmark has and of worse ones,
 * and questions about their edges; every answer is compared with the model's.
 *
 * usage: oracle SEED FIRST TABLES QUERIES
 *
 * Asks QUERIES questions about each of the tables FIRST, FIRST + 1, ... of SEED.
 * What fails is printed as the arguments that repeat it.
 */
#include "virtio_mem_xlate.c"
#include "kunit/model.h"
#include "index.h"

#define MAX_SLOTS 32764
#define K (1ULL << 10)
#define M (1ULL << 20)
#define G (1ULL << 30)

enum layout { EQ2M, PC, RAND, ADV, HEAVYTAIL, TINY, PACKED, ANY, TOP, FAR, NESTED,
	      EDGE, HALF, CLIFF, NR_LAYOUTS };

static const char *const layout_names[NR_LAYOUTS] = {
	"eq2m", "pc", "rand", "adv", "heavytail", "tiny", "packed", "any", "top", "far",
	"nested", "edge", "half", "cliff",
};

static u64 seed, table_nr, state;
static enum layout layout;
static struct model_slot slots[MAX_SLOTS];
static struct model_past past[4096];
static struct model model = { .slots = slots, .sorted = true, .past = past };
static bool young[MAX_SLOTS];	/* memory that came by table_set_present() and is not settled */
static u32 oldest;		/* no view of before is left */
static struct virtio_mem_xlate_slot input[MAX_SLOTS];
static unsigned long asked, hits, by_layout[NR_LAYOUTS], removed, nodes, entries,
	flips, settled, kept;

static u64 rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ULL;
}

/* Below @n. */
static u64 below(u64 n)
{
	return (wide)rnd() * n >> 64;
}

#define random_below below
#include "kunit/layouts.h"

static bool chance(unsigned int percent)
{
	return below(100) < percent;
}

static u64 log_uniform(unsigned int bits)
{
	return rnd() >> (63 - below(bits));
}

static void failed(const char *what, struct virtio_driver_range range, unsigned int access,
		   u32 generation)
{
	printf("mismatch: %s, layout %s, %u slots, start %#llx len %#llx access %u generation %u\n",
	       what, layout_names[layout], model.nr, (unsigned long long)range.start,
	       (unsigned long long)range.len, access, generation);
	printf("again with: oracle %llu %llu 1 QUERIES\n", (unsigned long long)seed,
	       (unsigned long long)table_nr);
	exit(1);
}

/* Host memory for slot @m: touches that of its neighbour, is in step with @gpa, or neither. */
static void *some_kva(const struct model_slot *m, u64 gpa, u64 size)
{
	uintptr_t kva;

	if (m > slots && chance(50))
		kva = (uintptr_t)m[-1].slot.kva + m[-1].slot.size;
	else
		kva = rnd() >> below(60);
	if (chance(70))
		kva = (kva & ~(uintptr_t)4095) | (gpa & 4095);
	if (!kva || kva > UINTPTR_MAX - size)
		kva = 1 + below(UINTPTR_MAX - size);
	return (void *)kva;
}

static void add_slot(u64 gpa, u64 size)
{
	struct virtio_mem_xlate_slot slot = { .gpa = gpa, .size = size };
	struct model_slot *m = &slots[model.nr];
	static unsigned int access;

	if (model.nr == MAX_SLOTS || !size || gpa > U64_MAX - size || size >= UINTPTR_MAX)
		return;
	if (model.nr && (wide)gpa < slot_end(m - 1))
		return;
	if (!model.nr || chance(40))
		access = chance(50) ? VIRTIO_MEM_XLATE_RW : 1 + below(3);
	slot.access = chance(4) ? VIRTIO_MEM_XLATE_ABSENT : access;
	if (slot.access != VIRTIO_MEM_XLATE_ABSENT)
		slot.kva = some_kva(m, gpa, size);
	*m = model_slot(&slot);
	young[model.nr] = false;
	model.nr++;
}

/* One of the five of the benchmark with @n slots, or of the nine that hurt. */
static void make_slots(enum layout shape, unsigned int n)
{
	u64 pos = 0, size, most;
	unsigned int i;

	model.nr = 0;
	model.nr_past = 0;
	oldest = 0;
	switch (shape) {
	case EQ2M:
	case PC:
	case RAND:
	case ADV:
	case HEAVYTAIL:
		guest_layouts[shape].make(input, n);
		for (i = 0; i < n; i++)
			add_slot(input[i].gpa, input[i].size);
		break;
	case TINY:	/* or of one byte each, without a hole: nodes of such buckets, of the last, too */
		most = chance(30) ? 1 : 9;
		pos = most == 1 && chance(30) ? U64_MAX - n : rnd() >> below(64);
		for (i = 0; i < n; i++, pos += size) {
			add_slot(pos, size = 1 + below(most));
			if (most > 1)
				pos += chance(70) ? below(3) : log_uniform(12);
		}
		break;
	case PACKED:
		for (i = 0, pos = below(64) << below(56); i < n; i++, pos += size)
			add_slot(pos, size = 1 + log_uniform(1 + below(16)));
		break;
	case ANY:
		for (i = 0; i < n; i++, pos += size + (chance(50) ? 0 : log_uniform(60)))
			add_slot(pos, size = 1 + log_uniform(60));
		break;
	case TOP:
		for (i = 0, pos = U64_MAX - n * 64; i < n; i++, pos += 64)
			add_slot(pos + below(3), 60 + below(3));
		add_slot(pos - 3, 3);
		break;
	case FAR:
		for (i = 0, pos = rnd() >> 8; i < n; i++, pos += size + below(2) * 4096)
			add_slot(pos, size = 4096 << below(10));
		add_slot(pos + (rnd() >> 2), 1 + log_uniform(40));
		break;
	case NESTED:	/* each as far away as two thirds of those before: nodes in nodes */
		for (i = 0, pos = 16 + below(64); i < n && pos < U64_MAX / 4; i++, pos += pos / 2)
			add_slot(pos, 1 + below(7));
		break;
	case EDGE:	/* three left out, one that ends at the first bucket's first byte, or about it */
		pos = (64 + below(1 << 20)) << 10;
		add_slot(pos - 60000, 1);
		add_slot(pos - 8000, 1);
		size = 1 + below(500);
		add_slot(pos - size, size + below(3));
		for (i = 1, pos += 990; i < n; i++, pos += size + below(3))
			add_slot(pos, size = 1 + below(9));
		break;
	case HALF:	/* one that is as large as a bucket can be, or as all there is room for */
		if (chance(30)) {
			add_slot(0, (table_max_entries(1) / 16 * 13 + below(3)) << below(50));
			break;
		}
		add_slot(0, pos = 1ULL << (63 - below(16)));
		for (i = 1; i < n; i++, pos += size + below(3))
			add_slot(pos, size = 1 + below(9));
		break;
	case CLIFF:	/* one in thousands of buckets, so fine for the sake of some of a bucket each */
		pos = table_max_entries(n) / 2 * M;
		add_slot(below(2 * M), pos - below(M));
		for (i = 1, pos += 3 * M; i < n / 50 + 1; i++, pos += M)
			add_slot(pos, M - 1);
		for (; i < n; i++, pos += 2)
			add_slot(pos, 1);
		break;
	default:
		break;
	}
}

static struct virtio_mem_xlate_table *table_of_model(void)
{
	unsigned int i, j, nr = model.nr;
	struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate_slot swap;

	for (i = 0; i < nr; i++)
		input[i] = slots[i].slot;
	if (chance(50)) {
		for (i = nr; i > 1; i--) {
			j = below(i);
			swap = input[i - 1];
			input[i - 1] = input[j];
			input[j] = swap;
		}
	}
	table = make_table(NULL, input, nr);
	if (IS_ERR(table)) {
		printf("error %ld: ", PTR_ERR(table));
		failed("a valid table was refused", (struct virtio_driver_range){}, 0, 0);
	}
	return table;
}

/* An address within two bytes of an edge of a slot, or any in one, or any at all. */
static u64 address(void)
{
	const struct model_slot *m;
	unsigned int kind = below(16);

	if (!model.nr || kind == 0)
		return rnd() >> below(64);
	model.hint = below(model.nr);
	m = &slots[model.hint];
	if (kind < 8)
		return m->slot.gpa + below(m->slot.size);
	return (kind < 12 ? m->slot.gpa : m->slot.gpa + m->slot.size) + below(5) - 2;
}

static u64 length(u64 start)
{
	switch (below(16)) {
	case 0:
		return 0;
	case 1:
		return rnd() >> below(64);
	case 2:
	case 3:
		return model.nr ? slots[model.hint].slot.gpa + slots[model.hint].slot.size -
				  start + below(3) - 1 : 1;
	case 4:
	case 5:
		return below(K);
	default:
		return 1 + below(16);
	}
}

static void ask(const struct virtio_mem_xlate_view *view)
{
	struct virtio_driver_range range, rest;
	static struct virtio_mem_xlate_cursor cursor;
	struct virtio_device_range device, by_cursor;
	unsigned int access = chance(2) ? below(2) * rnd() : 1 + below(3);
	struct kvec kvec[4];
	struct answer want;
	u32 generation = view->generation;
	unsigned int room;
	int ret, i;

	range.start = address();
	range.len = length(range.start);
	/* A range over thousands of slots takes the model as long as all else. */
	if (range.len > 64 && model.nr > 64 && chance(90))
		range.len &= 0xffff;
	want = model_range(&model, generation, range.start, range.len, access, 1, range.len > 24);
	asked++;
	hits += !want.error && range.len;

	memset(&device, 0xff, sizeof(device));
	ret = virtio_mem_xlate_range(view, range, access, &device);
	if (ret != want.error)
		failed("range", range, access, generation);
	if (ret || !range.len) {
		if (device.kva || device.len || device.access)
			failed("range: not empty", range, access, generation);
	} else if ((uintptr_t)device.kva != want.kva || device.len != range.len ||
		   device.access != access) {
		failed("range: wrong piece", range, access, generation);
	}

	memset(&by_cursor, 0xff, sizeof(by_cursor));
	i = virtio_mem_xlate_cursor_range(&cursor, view, range, access, &by_cursor);
	if (!i && ret == -EAGAIN) {
		if (!model_was(&model, generation, range.start, range.len, access,
			       (uintptr_t)by_cursor.kva) ||
		    by_cursor.len != range.len || by_cursor.access != access)
			failed("cursor: neither memory of before nor none", range, access, generation);
		kept++;
	} else if (i != ret || by_cursor.kva != device.kva || by_cursor.len != device.len ||
		   by_cursor.access != device.access) {
		failed("cursor", range, access, generation);
	}
	if (!ret && generation < FLIPS && range.len && (cursor.version != view->version ||
				  range.start - cursor.gpa >= cursor.size) &&
	    table_search(view->table, SEARCH_ALL, range.start)->size <= LONG_MAX)
		failed("cursor: left behind", range, access, generation);

	rest = range;
	memset(&device, 0xff, sizeof(device));
	ret = virtio_mem_xlate_next(view, &rest, access, &device);
	if (want.good) {
		if (ret != 1 || (uintptr_t)device.kva != want.kva || device.len != want.piece ||
		    device.access != access || rest.start != range.start + want.piece ||
		    rest.len != range.len - want.piece)
			failed("next", range, access, generation);
	} else if (ret != want.error || device.kva || device.len || device.access ||
		   !virtio_driver_range_equal(rest, range)) {
		failed("next: nothing to give", range, access, generation);
	}

	if (asked % 16)
		return;
	room = below(5);
	want = model_range(&model, generation, range.start, range.len, access, room, true);
	ret = virtio_mem_xlate_kvec(view, range, access, kvec, room);
	if (ret != (want.error ?: (int)want.pieces))
		failed("kvec", range, access, generation);
	for (i = 0, rest = range; i < ret; i++) {
		want = model_range(&model, generation, rest.start, rest.len, access, 1, true);
		if ((uintptr_t)kvec[i].iov_base != want.kva || kvec[i].iov_len != want.piece)
			failed("kvec: wrong piece", range, access, generation);
		rest.start += want.piece;
		rest.len -= want.piece;
	}
	if (ret > 0 && rest.len)
		failed("kvec: too short", range, access, generation);
}

/* Removes a slot or the slots of a range, and tries ranges that are a byte off. */
static void remove_some(struct virtio_mem_xlate_table *table)
{
	unsigned int n = 1 + below(3), i, j, k;
	u64 gpa, size;
	int want;

	for (; n && model.nr; n--) {
		i = below(model.nr);
		j = chance(60) ? i : i + below(min(model.nr - i, 300U));
		gpa = slots[i].slot.gpa + (chance(20) ? below(3) - 1 : 0);
		size = slots[j].slot.gpa + slots[j].slot.size - gpa + (chance(20) ? below(3) - 1 : 0);
		want = model_removable(&model, gpa, size) ? 0 : -ENOENT;
		if (table_remove(table, gpa, size) != want)
			failed("remove", (struct virtio_driver_range){ gpa, size }, 0,
			       table->generation);
		for (k = 0; !want && k < model.nr; k++) {
			if (!model_is_live(&slots[k]) || slots[k].slot.gpa < gpa ||
			    slot_end(&slots[k]) > (wide)gpa + size)
				continue;
			removed++;
			model_remove(&slots[k], table->generation);
			young[k] = false;
		}
	}
	for (i = n = 0; i < model.nr; i++)
		n += model_is_live(&slots[i]);
	if (table->nr_live != n)
		failed("slots counted", (struct virtio_driver_range){}, 0, table->generation);
}

static void flip_absent(struct virtio_mem_xlate_table *table, u64 gpa, u64 size)
{
	struct model_slot *m = model_exact(&model, gpa, size);
	bool all = table->generation >= FLIPS, flip = m && model_is_present(m);
	u32 generation = table->generation;

	if (table_set_absent(table, gpa, size) != (m ? 0 : -ENOENT) ||
	    table->generation != generation + (flip && !all))
		failed("set_absent", (struct virtio_driver_range){ gpa, size }, 0, generation);
	if (!flip)
		return;
	model_set_absent(&model, m, table->generation, all);
	young[m - slots] = false;
	flips++;
}

static void flip_present(struct virtio_mem_xlate_table *table, u64 gpa, u64 size, void *kva,
			 unsigned int access)
{
	struct model_slot *m = model_exact(&model, gpa, size);
	bool all = table->generation >= FLIPS, flip = m && !model_is_present(m);
	u32 generation = table->generation;

	if (table_set_present(table, gpa, size, kva, access) !=
		    (!m ? -ENOENT : !flip ? -EEXIST : 0) ||
	    table->generation != generation + (flip && !all))
		failed("set_present", (struct virtio_driver_range){ gpa, size }, 0, generation);
	if (!flip)
		return;
	model_set_present(&model, m, all ? NO_GENERATION : generation, kva, access);
	young[m - slots] = true;
	flips++;
}

/* Takes slots away and gives them other memory or the same, and tries slots that are not there. */
static void flip_some(struct virtio_mem_xlate_table *table)
{
	unsigned int n = below(10), i;
	const struct model_slot *m;
	u64 gpa, size;

	for (; n && model.nr && model.nr_past < ARRAY_SIZE(past) - 8; n--) {
		if (chance(40))		/* one slot again and again, and its neighbours */
			i = min(model.nr - 1, (unsigned int)below(3));
		else
			i = below(model.nr);
		m = &slots[i];
		gpa = m->slot.gpa + (chance(5) ? below(3) - 1 : 0);
		size = m->slot.size + (chance(5) ? below(3) - 1 : 0);
		if (model_is_present(m) ? chance(80) : chance(10))
			flip_absent(table, gpa, size);
		else if (m->slot.kva && chance(30))
			flip_present(table, gpa, size, m->slot.kva, m->slot.access & 3 ?: 3);
		else
			flip_present(table, gpa, size, some_kva(m, gpa, size), 1 + below(3));
	}
}

/* The views of before some generation are gone. */
static void settle_some(struct virtio_mem_xlate_table *table)
{
	unsigned int first = U32_MAX, last = 0, i, end;

	oldest += chance(50) ? table->generation - oldest :
			       below(table->generation - oldest + 1ULL);
	for (i = 0; i < model.nr; i++) {
		if (young[i] && (i < table->young_first || i > table->young_last))
			failed("settle: not noted", (struct virtio_driver_range){}, 0, oldest);
		young[i] &= slots[i].since >= oldest;
	}
	swap(table->young_first, first);
	swap(table->young_last, last);
	for (; first <= last; first = end + 1) {
		end = min(last, first + below(64));
		table_settle(table, oldest, first, end);
	}
	for (i = 0; i < model.nr; i++) {
		if (slot_is_young(&table->slots[i]) != young[i])
			failed("settle: young", (struct virtio_driver_range){}, 0, oldest);
		if (young[i] && (i < table->young_first || i > table->young_last))
			failed("settle: not noted", (struct virtio_driver_range){}, 0, oldest);
	}
	settled++;
}

/* The next table has the live slots in the state that they are in. */
static struct virtio_mem_xlate_table *next_table(struct virtio_mem_xlate_table *table)
{
	struct virtio_mem_xlate_table *next = make_table(table, NULL, 0);
	unsigned int i, n = 0;

	if (IS_ERR(next))
		failed("no next table", (struct virtio_driver_range){}, 0, 0);
	for (i = 0; i < model.nr; i++)
		if (model_is_live(&slots[i]))
			slots[n++] = model_settled(&slots[i]);
	memset(young, 0, sizeof(young));
	model.nr = n;
	model.hint = 0;
	model.nr_past = 0;
	oldest = 0;
	if (next->nr_slots != n || next->nr_live != n)
		failed("slots counted", (struct virtio_driver_range){}, 0, 0);
	table_free(table);
	return next;
}

static void run_table(unsigned long queries)
{
	static const unsigned int sizes[] = { 1, 4, 8, 32, 128, 512 };
	struct virtio_mem_xlate_table *table;
	struct virtio_mem_xlate_view view = {};
	unsigned long q, round = queries / 8 + 1;
	unsigned int n;

	state = (seed + 1) * 0x9e3779b97f4a7c15ULL ^ (table_nr + 1) * 0xbf58476d1ce4e5b9ULL;
	rnd();
	layout = table_nr % NR_LAYOUTS;
	n = table_nr % 4096 < NR_LAYOUTS ? 4096 << below(3) : below(5) == 0 ? below(1300) :
	    chance(40) ? sizes[below(6)] : below(24);
	make_slots(layout, n < MAX_SLOTS ? n : MAX_SLOTS);
	by_layout[layout]++;
	table = table_of_model();
	view.table = table;
	for (q = 0; q < queries; q++) {
		if (q % round == 0) {
			const char *wrong;

			if (q && chance(20))
				remove_some(table);
			if (q)
				flip_some(table);
			if (q && chance(50))
				settle_some(table);
			if (q && chance(15))
				view.table = table = next_table(table);
			wrong = index_wrong(table) ?: (q ? NULL : shape_wrong(table));
			if (wrong)
				failed(wrong, (struct virtio_driver_range){}, 0, table->generation);
		}
		view.generation = chance(70) ? table->generation :
				  oldest + below(table->generation - oldest + 1ULL);
		view.version = table->version + view.generation;
		ask(&view);
	}
	entries += table->nr_entries;
	nodes += index_nodes(table);
	table_free(table);
}

int main(int argc, char **argv)
{
	unsigned long i, tables, queries;

	if (argc != 5) {
		fprintf(stderr, "usage: oracle SEED FIRST TABLES QUERIES\n");
		return 2;
	}
	seed = strtoull(argv[1], NULL, 0);
	table_nr = strtoull(argv[2], NULL, 0);
	tables = strtoul(argv[3], NULL, 0);
	queries = strtoul(argv[4], NULL, 0);
	for (i = 0; i < tables; i++, table_nr++)
		run_table(queries);
	for (i = 0; i < NR_LAYOUTS; i++)
		printf("%s %lu, ", layout_names[i], by_layout[i]);
	printf("%lu entries, %lu nodes, %lu removals, %lu flips, %lu settled, %lu kept by a cursor\n",
	       entries, nodes, removed, flips, settled, kept);
	printf("seed %llu: %lu queries of %lu tables, %lu hit, 0 mismatches\n",
	       (unsigned long long)seed, asked, tables, hits);
	return asked == tables * queries && hits >= asked / 6 && (nodes || tables < 100) ? 0 : 1;
}
