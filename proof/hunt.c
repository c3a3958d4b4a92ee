// SPDX-License-Identifier: GPL-2.0
/*
 * hunt: climbs over layouts of slots, and over the accesses to them, for the worst cost of
 * each operation against its peers.
 *
 * The module's source, its inline assembly and its masks against speculation are those that
 * ship; proof/hunt.sh builds with a kernel's options.  The peers are written here:
 *
 *	tree	the algorithm of drivers/vhost/iotlb.c: a red-black tree of intervals, in
 *		which each node knows the last byte below it.  It inserts in place.
 *	array	sorted slots and a binary search without branches; a table is copied to
 *		add a slot.
 *
 * The path of a climb depends on timing.  A layout that it found does not: it is printed
 * as a text that makes the same slots and accesses again.
 *
 * usage: hunt SEED SECONDS [short]
 *	  hunt LAYOUT
 */
#include <malloc.h>
#include <time.h>

#include "virtio_mem_xlate.c"

#define barrier() __asm__ volatile ("" : : : "memory")

#define MAX_N		32764
#define NR_ACCESSES	65536	/* processors learn shorter lists */
#define SLICES		16

enum op { POINT, HOT, RANGE_64K, RANGE_4G, MISS, ADD, REGISTER, NR_OPS };

static const char *const op_names[NR_OPS] = {
	"point", "hot", "64K", "4G", "miss", "add", "register",
};

enum who { OURS, TREE, ARRAY, NR_WHO };

static const char *const who_names[NR_WHO] = { "ours", "tree", "array" };

/*
 * Layouts.
 */

enum field { SHARE, SIZE, SPREAD, FORM, GAP, ODD, WEIGHT, WHERE, NR_FIELDS };

enum form { POWER, ANY, ALIGNED };
enum where { ALL, FIRST, LAST };

/* Of a group of slots that are alike.  All but FORM, ODD and WHERE are powers of two. */
static const struct {
	int low, high;
} fields[NR_FIELDS] = {
	[SHARE] = { 0, 15 },	/* of the slots */
	[SIZE] = { 0, 40 },	/* least number of bytes */
	[SPREAD] = { 0, 30 },	/* how many times as large a slot can be */
	[FORM] = { POWER, ALIGNED },
	[GAP] = { -1, 40 },	/* most bytes between two slots; -1: none */
	[ODD] = { 0, 1 },	/* kva - gpa is no multiple of 8 */
	[WEIGHT] = { -1, 10 },	/* HOT, MISS: share of the accesses; -1: none */
	[WHERE] = { ALL, LAST },
};

#define MAX_GROUPS	8

enum order { SORTED, SHUFFLED, REVERSED, STRIDES, LAST_FIRST, NR_ORDERS };

struct layout {
	enum op op;
	int n;
	unsigned int seed;
	int start;		/* the first slot is at 2^start, or at 0 */
	int mixed;		/* slots of all groups in turn, not one group after the other */
	int order;		/* REGISTER: in which slots are handed in */
	int at;			/* ADD: where the new slot is, in 64ths */
	int nr_groups;
	int groups[MAX_GROUPS][NR_FIELDS];
};

/* Climbs start from these: kinds of slots that have been slow somewhere. */
static const char *const starts[] = {
	"0:0:0:32/0,21,0,0,-1,0,0,0",		/* equal */
	"0:0:0:63/0,12,0,0,-1,0,0,0/0,21,0,0,20,0,0,0",	/* small ones, packed, and large ones */
	"0:0:1:32/0,12,22,1,34,0,0,0",		/* sizes of 22 octaves */
	"0:0:1:0/0,36,0,2,-1,0,10,0/9,20,0,2,-1,0,0,0/15,0,0,0,0,0,-1,0",	/* finely cut */
	"0:0:3:32/0,0,0,0,1,0,0,0",		/* a byte each */
	"20:0:4:32/0,3,3,1,3,0,0,0",
	"0:0:2:32/0,21,0,0,-1,1,0,0",		/* nowhere on the fast path */
	"0:1:1:32/0,4,30,1,40,1,0,0",
	"0:1:1:32/0,38,0,0,-1,0,-1,0/3,3,2,1,4,0,3,0",
	"0:0:1:32/3,6,4,1,6,0,3,2/0,30,0,1,30,0,0,1",
};

static void print_layout(const struct layout *layout)
{
	int i, j;

	printf("%s:%d:%u:%d:%d:%d:%d", op_names[layout->op], layout->n, layout->seed,
	       layout->start, layout->mixed, layout->order, layout->at);
	for (i = 0; i < layout->nr_groups; i++)
		for (j = 0; j < NR_FIELDS; j++)
			printf("%c%d", j ? ',' : '/', layout->groups[i][j]);
}

/* Reads what print_layout() prints after the seed. */
static void parse_groups(struct layout *layout, const char *text)
{
	int used, j;

	if (sscanf(text, "%d:%d:%d:%d%n", &layout->start, &layout->mixed, &layout->order,
		   &layout->at, &used) != 4)
		fatal("hunt: no layout: %s", text);
	layout->nr_groups = 0;
	while (text[used]) {
		int *group = layout->groups[layout->nr_groups++];

		if (layout->nr_groups > MAX_GROUPS)
			fatal("hunt: too many groups: %s", text);
		for (j = 0; j < NR_FIELDS; j++) {
			text += used;
			if (sscanf(text, j ? ",%d%n" : "/%d%n", &group[j], &used) != 1 ||
			    group[j] < fields[j].low || group[j] > fields[j].high)
				fatal("hunt: no group: %s", text);
		}
	}
	if (!layout->nr_groups || layout->start < 0 || layout->start > 62 || layout->at < 0 ||
	    layout->at > 64 || layout->order < 0 || layout->order >= NR_ORDERS)
		fatal("hunt: no layout: %s", text);
}

static struct layout parse_layout(const char *text)
{
	struct layout layout = {};
	char op[16];
	int used;

	if (sscanf(text, "%15[^:]:%d:%u:%n", op, &layout.n, &layout.seed, &used) != 3 ||
	    layout.n < 1 || layout.n > MAX_N)
		fatal("hunt: no layout: %s", text);
	while (layout.op < NR_OPS && strcmp(op, op_names[layout.op]))
		layout.op++;
	if (layout.op == NR_OPS)
		fatal("hunt: no operation: %s", op);
	parse_groups(&layout, text + used);
	return layout;
}

static u64 state;

static u64 rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ULL;
}

static int rnd_from(int low, int high)
{
	return low + (int)(rnd() % (high - low + 1));
}

/* The slots by gpa, those of each group, and which of them ADD adds. */
static struct virtio_mem_xlate_slot slots[MAX_N + 1];
static int nr_slots, new_slot;
static int group_of[MAX_N + 1];
static int members[MAX_GROUPS][MAX_N + 1], nr_members[MAX_GROUPS];

static int choose_group(const struct layout *layout, int i)
{
	u64 shares = 0, at;
	int group;

	for (group = 0; group < layout->nr_groups; group++)
		shares += 1ULL << layout->groups[group][SHARE];
	at = layout->mixed ? rnd() % shares : i * shares / nr_slots;
	/* In turn, no group is without a slot if there are enough. */
	if (!layout->mixed && i < layout->nr_groups && nr_slots >= layout->nr_groups)
		return i;
	for (group = 0; at >= 1ULL << layout->groups[group][SHARE]; group++)
		at -= 1ULL << layout->groups[group][SHARE];
	return group;
}

static int by_group(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

static void make_slots(const struct layout *layout)
{
	u64 pos = layout->start ? 1ULL << layout->start : 0;
	u64 limit;
	int i;

	nr_slots = layout->n + (layout->op == ADD);
	limit = 1ULL << (60 - order_base_2(nr_slots));
	memset(nr_members, 0, sizeof(nr_members));
	for (i = 0; i < nr_slots; i++)
		group_of[i] = choose_group(layout, i);
	if (!layout->mixed)
		qsort(group_of, nr_slots, sizeof(*group_of), by_group);
	for (i = 0; i < nr_slots; i++) {
		const int *group = layout->groups[group_of[i]];
		u64 size = 1ULL << (group[SIZE] + rnd() % (group[SPREAD] + 1));
		u64 kva = (1ULL << 40) + (rnd() >> 18 << 3);

		if (group[FORM] == ANY)
			size += rnd() % size;
		size = min(size, limit);
		if (group[FORM] == ALIGNED)
			pos = (pos + size - 1) & ~(size - 1);
		slots[i] = (struct virtio_mem_xlate_slot){
			.gpa = pos,
			.size = size,
			.kva = (void *)(kva + ((pos + 4 * group[ODD]) & 7)),
			.access = VIRTIO_MEM_XLATE_RW,
		};
		members[group_of[i]][nr_members[group_of[i]]++] = i;
		pos += size;
		if (group[GAP] >= 0)
			pos += 1 + rnd() % min(1ULL << group[GAP], limit);
	}
	new_slot = layout->at * (nr_slots - 1) / 64;
}

static struct virtio_mem_xlate_slot given[MAX_N + 1];	/* as they are handed in */

static void make_order(enum order order)
{
	int i, other;

	for (i = 0; i < nr_slots; i++) {
		switch (order) {
		case REVERSED:
			given[i] = slots[nr_slots - 1 - i];
			break;
		case STRIDES:
			given[i] = slots[(u64)i * 7919 % nr_slots];
			break;
		case LAST_FIRST:
			given[i] = slots[(i + nr_slots - 1) % nr_slots];
			break;
		default:
			given[i] = slots[i];
		}
	}
	for (i = nr_slots; (order == SHUFFLED || nr_slots % 7919 == 0) && i > 1; i--) {
		other = rnd() % i;
		swap(given[i - 1], given[other]);
	}
}

static u64 gpas[NR_ACCESSES];
static u32 lens[NR_ACCESSES];
static u64 sums[SLICES];	/* of the answers, for each slice */

/* Each is as likely as any other, but where few slots are to be hot. */
static int slot_to_access(const struct layout *layout)
{
	bool weighted = layout->op == HOT || layout->op == MISS;
	u64 weights = 0, at;
	int group;

	for (group = 0; group < layout->nr_groups; group++)
		if (weighted && nr_members[group] && layout->groups[group][WEIGHT] >= 0)
			weights += 1ULL << layout->groups[group][WEIGHT];
	if (!weights)
		return rnd() % nr_slots;
	at = rnd() % weights;
	for (group = 0;; group++) {
		if (!nr_members[group] || layout->groups[group][WEIGHT] < 0)
			continue;
		if (at < 1ULL << layout->groups[group][WEIGHT])
			return members[group][rnd() % nr_members[group]];
		at -= 1ULL << layout->groups[group][WEIGHT];
	}
}

static u64 slot_end(int i)
{
	return slots[i].gpa + slots[i].size;
}

/* An address in the first hole behind slots[@i]. */
static u64 hole_behind(int i)
{
	int tries;

	for (tries = 0; tries < 64 && i + 1 < nr_slots; tries++, i++)
		if (slots[i + 1].gpa > slot_end(i))
			return slot_end(i) + rnd() % (slots[i + 1].gpa - slot_end(i));
	return slot_end(nr_slots - 1) + rnd() % (1ULL << 30);
}

static void make_accesses(const struct layout *layout)
{
	int i, slot;
	u64 offset, left;

	memset(sums, 0, sizeof(sums));
	for (i = 0; i < NR_ACCESSES; i++) {
		slot = slot_to_access(layout);
		if (layout->op == MISS) {
			gpas[i] = hole_behind(slot);
			lens[i] = 1;
			continue;
		}
		left = slots[slot].size;
		offset = rnd();
		switch (layout->groups[group_of[slot]][WHERE]) {
		case FIRST:
			offset %= min(left, 64ULL);
			break;
		case LAST:
			offset = left - 1 - offset % min(left, 64ULL);
			break;
		default:
			offset %= left;
		}
		left -= offset;
		gpas[i] = slots[slot].gpa + offset;
		lens[i] = min(left, layout->op == RANGE_64K ? 65536ULL :
			      layout->op == RANGE_4G ? (u64)U32_MAX : rnd() % 1514 + 1);
		sums[i / (NR_ACCESSES / SLICES)] += (unsigned long)slots[slot].kva + offset;
	}
}

/*
 * The tree, after drivers/vhost/iotlb.c: it takes the first interval, by start, that shares
 * a byte with a range.
 */
struct map {
	struct map *parent, *child[2];
	bool red;
	u64 start, last, size, addr;
	u32 perm;
	u64 most;	/* last byte of all intervals from here down */
	struct map *next, *prev;
};

struct tree {
	struct map *root, *leftmost;
	struct map list;
};

static u64 map_most(const struct map *map)
{
	u64 most = map->last;
	int side;

	for (side = 0; side < 2; side++)
		if (map->child[side])
			most = max(most, map->child[side]->most);
	return most;
}

/* The other child of @top takes its place, and @top becomes the child of that on @side. */
static void rotate(struct tree *tree, struct map *top, int side)
{
	struct map *up = top->child[!side], *parent = top->parent;

	top->child[!side] = up->child[side];
	if (up->child[side])
		up->child[side]->parent = top;
	up->child[side] = top;
	top->parent = up;
	up->parent = parent;
	if (parent)
		parent->child[top == parent->child[1]] = up;
	else
		tree->root = up;
	up->most = top->most;
	top->most = map_most(top);
}

static void rebalance(struct tree *tree, struct map *map)
{
	struct map *parent, *grand, *uncle;
	int side;

	while ((parent = map->parent) && parent->red) {
		grand = parent->parent;
		side = parent == grand->child[1];
		uncle = grand->child[!side];
		grand->red = true;
		if (uncle && uncle->red) {
			parent->red = false;
			uncle->red = false;
			map = grand;
			continue;
		}
		if (map == parent->child[!side]) {
			rotate(tree, parent, side);
			parent = map;
		}
		parent->red = false;
		rotate(tree, grand, !side);
		break;
	}
	tree->root->red = false;
}

static noinline void tree_insert(struct tree *tree, const struct virtio_mem_xlate_slot *slot)
{
	struct map *map = malloc(sizeof(*map)), **link = &tree->root, *parent = NULL;
	bool leftmost = true;
	int side;

	if (!map)
		fatal("hunt: no memory");
	*map = (struct map){
		.red = true,
		.start = slot->gpa,
		.last = slot->gpa + slot->size - 1,
		.size = slot->size,
		.addr = (unsigned long)slot->kva,
		.perm = slot->access,
	};
	map->most = map->last;
	while (*link) {
		parent = *link;
		parent->most = max(parent->most, map->last);
		side = map->start >= parent->start;
		leftmost &= !side;
		link = &parent->child[side];
	}
	map->parent = parent;
	*link = map;
	if (leftmost)
		tree->leftmost = map;
	rebalance(tree, map);
	map->prev = tree->list.prev;
	map->next = &tree->list;
	tree->list.prev->next = map;
	tree->list.prev = map;
}

static void tree_init(struct tree *tree)
{
	*tree = (struct tree){ .list = { .next = &tree->list, .prev = &tree->list } };
}

static void tree_free(struct tree *tree)
{
	struct map *map, *next;

	for (map = tree->list.next; map != &tree->list; map = next) {
		next = map->next;
		free(map);
	}
}

static noinline const struct map *tree_first(const struct tree *tree, u64 start, u64 last)
{
	const struct map *map = tree->root;

	if (!map || map->most < start || tree->leftmost->start > last)
		return NULL;
	while (true) {
		if (map->child[0] && map->child[0]->most >= start) {
			map = map->child[0];
			continue;
		}
		if (map->start > last)
			return NULL;
		if (map->last >= start)
			return map;
		map = map->child[1];
		if (!map || map->most < start)
			return NULL;
	}
}

/*
 * The array.
 */
struct array {
	struct virtio_mem_xlate_slot *slots;
	unsigned int nr;
};

static int by_gpa(const void *a, const void *b)
{
	const struct virtio_mem_xlate_slot *x = a, *y = b;

	return x->gpa < y->gpa ? -1 : x->gpa > y->gpa;
}

static noinline void array_make(struct array *array, const struct virtio_mem_xlate_slot *from,
				unsigned int nr)
{
	bool sorted = true;
	unsigned int i;

	array->slots = malloc(nr * sizeof(*from));
	array->nr = nr;
	for (i = 0; i < nr; i++) {
		if (slot_validate(&from[i]))
			fatal("hunt: no slot");
		sorted &= !i || from[i].gpa > from[i - 1].gpa;
		array->slots[i] = from[i];
	}
	if (!sorted)
		qsort(array->slots, nr, sizeof(*from), by_gpa);
	for (i = 1; i < nr; i++)
		if (array->slots[i].gpa < array->slots[i - 1].gpa + array->slots[i - 1].size)
			fatal("hunt: slots overlap");
}

static noinline void array_add(struct array *array, const struct virtio_mem_xlate_slot *slot)
{
	struct virtio_mem_xlate_slot *old = array->slots, *new;
	unsigned int low = 0, high = array->nr, middle;

	new = malloc((array->nr + 1) * sizeof(*new));
	if (!new || slot_validate(slot))
		fatal("hunt: no slot");
	while (low < high) {
		middle = (low + high) / 2;
		if (old[middle].gpa < slot->gpa)
			low = middle + 1;
		else
			high = middle;
	}
	memcpy(new, old, low * sizeof(*new));
	new[low] = *slot;
	memcpy(new + low + 1, old + low, (array->nr - low) * sizeof(*new));
	array->slots = new;
	array->nr++;
	free(old);
}

/*
 * Lookups: the same to do for each, as in bench/peers.h.
 */
static struct virtio_mem_xlate *xlate;
static struct tree tree;
static struct array array;

#define VIEW const struct virtio_mem_xlate_view *view

static __always_inline unsigned long ours(VIEW, u64 gpa, u64 len)
{
	struct virtio_driver_range driver;
	struct virtio_device_range device;

	if (virtio_driver_range_init(&driver, gpa, len) ||
	    virtio_mem_xlate_range(view, driver, VIRTIO_MEM_XLATE_READ, &device))
		return 0;
	return (unsigned long)virtio_device_range_get(device);
}

static __always_inline unsigned long by_tree(VIEW, u64 gpa, u64 len)
{
	u64 last = gpa + len - 1;
	const struct map *map = tree_first(&tree, gpa, last);

	if (!map || map->start > gpa || map->last < last || !(map->perm & VIRTIO_MEM_XLATE_READ))
		return 0;
	return map->addr + gpa - map->start;
}

static __always_inline unsigned long by_array(VIEW, u64 gpa, u64 len)
{
	const struct virtio_mem_xlate_slot *slot = array.slots;
	unsigned int n = array.nr, half;
	u64 offset;

	while (n > 1) {
		half = n / 2;
		slot += half & -(unsigned long)(slot[half].gpa <= gpa);
		n -= half;
	}
	offset = gpa - slot->gpa;
	if (offset >= slot->size || slot->size - offset < len ||
	    !(slot->access & VIRTIO_MEM_XLATE_READ))
		return 0;
	return (unsigned long)slot->kva + offset;
}

/* The sum of the answers from access @i to @end. */
#define PASS(name, lookup)								\
static noinline u64 name(VIEW, unsigned int i, unsigned int end)			\
{											\
	u64 sum = 0;									\
											\
	for (; i < end; i++) {								\
		barrier();								\
		sum += lookup(view, gpas[i], lens[i]);					\
	}										\
	return sum;									\
}

PASS(pass_ours, ours)
PASS(pass_tree, by_tree)
PASS(pass_array, by_array)

static u64 (*const passes[NR_WHO])(VIEW, unsigned int, unsigned int) = {
	pass_ours, pass_tree, pass_array,
};

/*
 * Measuring, in picoseconds.
 */
struct costs {
	u64 ps[NR_WHO];
};

static u64 now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static noinline __attribute__((noreturn)) void wrong(const struct layout *layout, enum who who)
{
	printf("hunt: wrong answer: %s: ", who_names[who]);
	print_layout(layout);
	printf("\n");
	exit(1);
}

static void make_ours(const struct virtio_mem_xlate_slot *from, int nr)
{
	xlate = virtio_mem_xlate_register(from, nr);
	if (IS_ERR(xlate))
		fatal("hunt: register: %ld", PTR_ERR(xlate));
}

static void free_ours(void)
{
	virtio_mem_xlate_unregister(xlate);
	flush_workqueue(workqueue);
}

static void make_tree(const struct virtio_mem_xlate_slot *from, int nr)
{
	int i;

	tree_init(&tree);
	for (i = 0; i < nr; i++)
		tree_insert(&tree, &from[i]);
}

/* A pass is timed in slices, of which the median counts: see bench/README. */
static u64 time_pass(const struct layout *layout, VIEW, enum who who)
{
	u64 ns[SLICES], start, sum;
	int i, slice = NR_ACCESSES / SLICES;

	passes[who](view, 0, NR_ACCESSES);
	for (i = 0; i < SLICES; i++) {
		start = now();
		sum = passes[who](view, i * slice, (i + 1) * slice);
		ns[i] = now() - start;
		if (sum != sums[i])
			wrong(layout, who);
	}
	qsort(ns, SLICES, sizeof(*ns), by_value);
	return ns[SLICES / 2] * 1000 / slice;
}

/* @other is the one peer that is timed, or OURS for both. */
static bool is_timed(enum who who, enum who other)
{
	return who == OURS || other == OURS || who == other;
}

static void least(u64 *ps, u64 new)
{
	*ps = min(*ps, new);
}

static void measure_lookups(const struct layout *layout, int rounds, enum who other,
			    struct costs *costs)
{
	struct virtio_mem_xlate_view view;
	enum who who;

	make_accesses(layout);
	make_ours(slots, nr_slots);
	make_tree(slots, nr_slots);
	array_make(&array, slots, nr_slots);
	virtio_mem_xlate_read_lock(xlate, &view);
	while (rounds--)
		for (who = 0; who < NR_WHO; who++)
			if (is_timed(who, other))
				least(&costs->ps[who], time_pass(layout, &view, who));
	virtio_mem_xlate_read_unlock(&view);
	free(array.slots);
	tree_free(&tree);
	free_ours();
}

/* Are all slots found by @who? */
static void check_slots(const struct layout *layout, enum who who)
{
	struct virtio_mem_xlate_view view;
	unsigned long kva;
	u64 last;
	int i;

	virtio_mem_xlate_read_lock(xlate, &view);
	for (i = 0; i < nr_slots; i += who == OURS ? 1 : 61) {
		last = slots[i].size - 1;
		kva = (unsigned long)slots[i].kva + last;
		if ((who == OURS ? ours(&view, slots[i].gpa + last, 1) :
		     who == TREE ? by_tree(&view, slots[i].gpa + last, 1) :
		     by_array(&view, slots[i].gpa + last, 1)) != kva)
			wrong(layout, who);
	}
	virtio_mem_xlate_read_unlock(&view);
}

/* The cost of one add; what is added to is made anew each time. */
static void measure_add(const struct layout *layout, int rounds, enum who other,
			struct costs *costs)
{
	struct virtio_mem_xlate_slot new = slots[new_slot];
	int i, nr = 0, times = rounds * clamp(4096 / nr_slots, 1, 64);
	u64 start;

	for (i = 0; i < nr_slots; i++)
		if (i != new_slot)
			given[nr++] = slots[i];
	while (times--) {
		make_ours(given, nr);
		start = now();
		if (virtio_mem_xlate_add(xlate, &new, 1))
			wrong(layout, OURS);
		least(&costs->ps[OURS], (now() - start) * 1000);
		if (is_timed(ARRAY, other)) {
			array_make(&array, given, nr);
			start = now();
			array_add(&array, &new);
			least(&costs->ps[ARRAY], (now() - start) * 1000);
			check_slots(layout, ARRAY);
			free(array.slots);
		}
		if (is_timed(TREE, other)) {
			make_tree(given, nr);
			start = now();
			tree_insert(&tree, &new);
			least(&costs->ps[TREE], (now() - start) * 1000);
			check_slots(layout, TREE);
			tree_free(&tree);
		}
		check_slots(layout, OURS);
		free_ours();
	}
}

/* The cost of a slot, of all that are registered at once. */
static void measure_register(const struct layout *layout, int rounds, enum who other,
			     struct costs *costs)
{
	int times = rounds * clamp(4096 / nr_slots, 1, 64);
	u64 start;

	make_order(layout->order);
	while (times--) {
		start = now();
		make_ours(given, nr_slots);
		least(&costs->ps[OURS], (now() - start) * 1000 / nr_slots);
		if (is_timed(ARRAY, other)) {
			start = now();
			array_make(&array, given, nr_slots);
			least(&costs->ps[ARRAY], (now() - start) * 1000 / nr_slots);
			check_slots(layout, ARRAY);
			free(array.slots);
		}
		if (is_timed(TREE, other)) {
			start = now();
			make_tree(given, nr_slots);
			least(&costs->ps[TREE], (now() - start) * 1000 / nr_slots);
			check_slots(layout, TREE);
			tree_free(&tree);
		}
		check_slots(layout, OURS);
		free_ours();
	}
}

/* The least costs of @rounds.  Of ADD in a whole, of REGISTER by the slot. */
static struct costs measure(const struct layout *layout, int rounds, enum who other)
{
	struct costs costs = { .ps = { U64_MAX, U64_MAX, U64_MAX } };

	state = 88172645463325252ULL ^ (u64)layout->seed * 0x9e3779b97f4a7c15ULL;
	make_slots(layout);
	switch (layout->op) {
	case ADD:
		measure_add(layout, rounds, other, &costs);
		break;
	case REGISTER:
		measure_register(layout, rounds, other, &costs);
		break;
	default:
		measure_lookups(layout, rounds, other, &costs);
	}
	return costs;
}

/* Our cost by a peer's, in hundredths. */
static u64 ratio(const struct costs *costs, enum who peer)
{
	return costs->ps[OURS] * 100 / max(costs->ps[peer], 1ULL);
}

/*
 * Climbing.
 */

static u64 hunt_state;

/* The generator of the climb, not that of a layout. */
static int hunt_rnd(int low, int high)
{
	u64 layout_state = state;
	int value;

	state = hunt_state;
	value = rnd_from(low, high);
	hunt_state = state;
	state = layout_state;
	return value;
}

static void random_group(int *group)
{
	int i;

	for (i = 0; i < NR_FIELDS; i++)
		group[i] = hunt_rnd(fields[i].low, fields[i].high);
	if (hunt_rnd(0, 3))
		group[ODD] = 0;
}

static void change_group(int *group)
{
	int field = hunt_rnd(0, NR_FIELDS - 1), value = group[field];

	value = hunt_rnd(0, 2) ? value + hunt_rnd(-2, 2) :
		hunt_rnd(fields[field].low, fields[field].high);
	group[field] = clamp(value, fields[field].low, fields[field].high);
}

static void change(struct layout *layout)
{
	int *group = layout->groups[hunt_rnd(0, layout->nr_groups - 1)];

	switch (hunt_rnd(0, 9)) {
	case 0:
		layout->seed = hunt_rnd(1, 1 << 30);
		break;
	case 1:
		layout->start = hunt_rnd(0, 50);
		break;
	case 2:
		layout->mixed = !layout->mixed;
		break;
	case 3:
		if (layout->op == ADD)
			layout->at = hunt_rnd(0, 64);
		else
			layout->order = hunt_rnd(0, NR_ORDERS - 1);
		break;
	case 4:
		if (layout->nr_groups < min(MAX_GROUPS, layout->n))
			random_group(layout->groups[layout->nr_groups++]);
		break;
	case 5:
		if (layout->nr_groups > 1)
			memcpy(group, layout->groups[--layout->nr_groups],
			       sizeof(layout->groups[0]));
		break;
	default:
		change_group(group);
	}
}

/* Changes without a step up after which a climb starts elsewhere. */
#define MAX_TRIES	60

/* The layout of the worst ratio to @peer that was found in @ns, and how many were tried. */
static struct layout climb(enum op op, int n, enum who peer, u64 ns, unsigned int *tried)
{
	struct layout best = {}, at = {}, next;
	u64 best_ratio = 0, at_ratio = 0, end = now() + ns, r;
	unsigned int i, start = 0, tries = 0;
	struct costs costs;

	for (*tried = 0; *tried == 0 || now() < end; ++*tried) {
		if (start < ARRAY_SIZE(starts)) {
			next = (struct layout){ .op = op, .n = n, .seed = hunt_rnd(1, 1 << 30) };
			parse_groups(&next, starts[start++]);
		} else if (tries < MAX_TRIES) {
			next = at;
			for (i = hunt_rnd(1, 3); i; i--)
				change(&next);
		} else {
			next = best;
			next.nr_groups = hunt_rnd(1, min(4, n));
			for (i = 0; i < next.nr_groups; i++)
				random_group(next.groups[i]);
			at_ratio = 0;
			tries = 0;
		}
		costs = measure(&next, 1, peer);
		r = ratio(&costs, peer);
		tries++;
		if (r <= at_ratio)
			continue;
		/* What disturbed this one does not disturb the next. */
		costs = measure(&next, 1, peer);
		r = min(r, ratio(&costs, peer));
		if (r <= at_ratio)
			continue;
		at = next;
		at_ratio = r;
		tries = 0;
		if (r > best_ratio) {
			best = at;
			best_ratio = r;
		}
	}
	return best;
}

/*
 * Judging.
 */
#define ROUNDS		7
#define POINT_GOAL	100	/* of the tree's cost, from GOAL_N slots on */
#define GOAL_N		4
#define ADD_N		64	/* below, an add is no work of its slots */
#define NOISE		10	/* what timing again may differ by */
#define GROWTH		2	/* how much more a ratio may be at most slots than at fewer */

static unsigned int missed;

static void print_ns(u64 ps)
{
	printf(" %11llu.%llu", (unsigned long long)ps / 1000, (unsigned long long)ps / 100 % 10);
}

static struct costs judge(const struct layout *layout, enum who peer)
{
	struct costs costs = measure(layout, ROUNDS, OURS), again;
	bool miss = false;
	int i;

	if (layout->op == POINT && peer == TREE && layout->n >= GOAL_N) {
		for (i = 0; i < 5 && ratio(&costs, peer) > POINT_GOAL + NOISE; i++) {
			again = measure(layout, ROUNDS, OURS);
			if (ratio(&again, peer) < ratio(&costs, peer))
				costs = again;
		}
		miss = ratio(&costs, peer) > POINT_GOAL + NOISE;
		missed += miss;
	}
	printf("%6d %-9s %-5s", layout->n, op_names[layout->op], who_names[peer]);
	print_ns(costs.ps[OURS]);
	print_ns(costs.ps[TREE]);
	print_ns(costs.ps[ARRAY]);
	printf(" %7llu.%02llu %s ", (unsigned long long)ratio(&costs, peer) / 100,
	       (unsigned long long)ratio(&costs, peer) % 100,
	       miss ? "MISSED" : ratio(&costs, peer) > 100 ? "lost  " : "      ");
	print_layout(layout);
	printf("\n");
	fflush(stdout);
	return costs;
}

/*
 * Does @op cost more and more of what @peer does?  @costs are of @nr numbers of slots.  The
 * tree adds in place, so no view of it is a snapshot: the peer of an add is a copy of the
 * slots, whose cost is linear, and so must be that of an add.  An address that may be in no
 * slot is no goal: the tree knows its last byte.
 */
static void judge_growth(enum op op, enum who peer, const int *ns, const struct costs *costs,
			 int nr)
{
	u64 fewer = 0, most = 0, at;
	bool miss;
	int i;

	for (i = 0; i < nr; i++) {
		at = op == ADD ? costs[i].ps[OURS] / ns[i] / 10 : ratio(&costs[i], peer);
		if (i == nr - 1)
			most = at;
		else if (ns[i] >= (op == ADD ? ADD_N : GOAL_N))
			fewer = max(fewer, at);
	}
	miss = op != MISS && most > GROWTH * fewer;
	missed += miss;
	printf("%-9s %-5s %6llu.%02llu at most below %d slots, %6llu.%02llu there%s%s\n",
	       op_names[op], who_names[peer], (unsigned long long)fewer / 100,
	       (unsigned long long)fewer % 100, ns[nr - 1], (unsigned long long)most / 100,
	       (unsigned long long)most % 100, op == ADD ? " (ns a slot)" : "",
	       miss ? "  MISSED" : "");
}

static void title(void)
{
	printf("%6s %-9s %-5s %13s %13s %13s %10s %s\n", "slots", "operation", "worst", "ours ns",
	       "tree ns", "array ns", "ours/worst", "       layout");
}

int main(int argc, char **argv)
{
	static const int all_ns[] = { 1, 4, 8, 64, 512, 4096, 32764 }, few_ns[] = { 4, 64, 4096 };
	const bool few = argc > 3;
	const int *ns = few ? few_ns : all_ns;
	const int nr_ns = few ? ARRAY_SIZE(few_ns) : ARRAY_SIZE(all_ns);
	static struct costs costs[NR_OPS][NR_WHO][ARRAY_SIZE(all_ns)];
	unsigned int tried, all_tried = 0;
	struct layout layout;
	enum op op;
	enum who peer;
	u64 each;
	int i;

	if (argc < 2 || module_init_call())
		fatal("usage: hunt SEED SECONDS [short] or hunt LAYOUT");
	/* Memory that the C library has is kept, as a kernel's: no page faults are timed. */
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 64 << 20);
	title();
	if (argc == 2) {
		layout = parse_layout(argv[1]);
		judge(&layout, TREE);
		judge(&layout, ARRAY);
		return missed != 0;
	}
	hunt_state = 88172645463325252ULL + strtoull(argv[1], NULL, 0);
	/* A fifth of the time is for timing again. */
	each = strtoull(argv[2], NULL, 0) * 800000000ULL / (nr_ns * NR_OPS * (NR_WHO - 1));
	for (op = 0; op < NR_OPS; op++) {
		for (i = 0; i < nr_ns; i++) {
			for (peer = TREE; peer < NR_WHO; peer++) {
				layout = climb(op, ns[i], peer, each, &tried);
				all_tried += tried;
				costs[op][peer][i] = judge(&layout, peer);
			}
		}
	}
	printf("\nGrowth, the worst of ours by the peer:\n");
	for (op = 0; op < NR_OPS; op++)
		for (peer = op == ADD ? ARRAY : TREE; peer < NR_WHO; peer++)
			judge_growth(op, peer, ns, costs[op][peer], nr_ns);
	printf("seed %s: %u layouts tried; goals: %u missed\n", argv[1], all_tried, missed);
	return missed != 0;
}
