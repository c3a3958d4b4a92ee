// SPDX-License-Identifier: GPL-2.0
/*
 * points: how much work is between two preemption points of an update of 2^20 slots?
 *
 * Built with -fsanitize-coverage=trace-pc, so that each basic block that runs is counted;
 * a block is a few instructions, some of them cache misses.  Fails for more than
 * LIMIT: at 20 ns a block, which no run here comes near, that is a millisecond.
 *
 * usage: points [SHIFT]: of 2^SHIFT slots
 */
#include "virtio_mem_xlate.c"

#define LIMIT 50000

static unsigned long blocks, most, points;
static u64 state = 88172645463325252ULL;

void __sanitizer_cov_trace_pc(void);

__attribute__((no_sanitize_coverage)) void __sanitizer_cov_trace_pc(void)
{
	blocks++;
}

__attribute__((no_sanitize_coverage)) static void point(void)
{
	if (blocks > most)
		most = blocks;
	blocks = 0;
	points++;
}

static u64 rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ULL;
}

static struct virtio_mem_xlate_slot *slots;
static unsigned int nr, want;

static void add_slot(u64 gpa, u64 size)
{
	slots[nr++] = (struct virtio_mem_xlate_slot){ gpa, size, (void *)0x1000 + gpa % 8, 3 };
}

enum shape { EQUAL, PACKED, SPREAD, GIANT, ONE_BUCKET, NESTED, CLIFF, NR_SHAPES };

static const char *const names[NR_SHAPES] = {
	"equal", "packed", "spread", "giant", "one bucket", "nested", "cliff",
};

static void make_slots(enum shape shape)
{
	u64 pos = 0, size;
	unsigned int i, j;

	nr = 0;
	switch (shape) {
	case EQUAL:
		for (i = 0; i < want; i++)
			add_slot(i * (2ULL << 20), 2 << 20);
		break;
	case PACKED:
		for (i = 0; i < want; i++, pos += size)
			add_slot(pos, size = 1 + rnd() % 8);
		break;
	case SPREAD:	/* over all addresses */
		for (i = 0; i < want; i++, pos += U64_MAX / want)
			add_slot(pos + rnd() % 1000, 1 + rnd() % (U64_MAX / want - 1000));
		break;
	case GIANT:	/* nearly all buckets are one slot's */
		add_slot(0, 1ULL << 50);
		for (i = 1, pos = 1ULL << 50; i < want; i++, pos += 2)
			add_slot(pos, 1);
		break;
	case ONE_BUCKET:	/* nearly all slots are in one bucket */
		for (i = 0; i + 1 < want; i++)
			add_slot((1ULL << 40) + i * 2, 1);
		add_slot((1ULL << 40) + want * 6, 1ULL << 40);
		break;
	case NESTED:	/* in one bucket, the half of which are in one of its buckets, and so on */
		for (j = 0; j < 6; j++)
			for (i = 0; i < want / 6; i++, pos += 2ULL << 6 * j)
				add_slot(pos, 1);
		break;
	case CLIFF:	/* one large slot, cut finely for the sake of some of a bucket each */
		add_slot(0, 1ULL << 40);
		for (i = 1, pos = 1ULL << 40; i < want / 60; i++, pos += 1 << 20)
			add_slot(pos, (1 << 20) - 1);
		for (; i < want; i++, pos += 2)
			add_slot(pos, 1);
		break;
	default:
		break;
	}
}

static void shuffle(void)
{
	unsigned int i, other;

	for (i = nr; i > 1; i--) {
		other = rnd() % i;
		swap(slots[i - 1], slots[other]);
	}
}

static void start(void)
{
	blocks = most = points = 0;
}

/* Ends the counting of an update; fails if a stretch of it was too long. */
static void end(enum shape shape, const char *update, int err)
{
	point();
	if (err)
		fatal("points: %s, %s: error %d", names[shape], update, err);
	printf("%-10s %-28s %7lu points, at most %6lu blocks between two\n", names[shape], update,
	       points, most);
	if (most > LIMIT)
		fatal("points: %s, %s: %lu blocks without a preemption point", names[shape],
		      update, most);
}

static struct virtio_mem_xlate *loaded(enum shape shape, const char *update)
{
	struct virtio_mem_xlate *xlate;

	start();
	xlate = virtio_mem_xlate_register(slots, nr);
	end(shape, update, IS_ERR(xlate) ? PTR_ERR(xlate) : 0);
	return xlate;
}

static void run(enum shape shape)
{
	struct virtio_mem_xlate_slot middle, *from;
	struct virtio_mem_xlate *xlate;
	u64 high;

	make_slots(shape);
	virtio_mem_xlate_unregister(loaded(shape, "register, sorted"));
	high = slots[nr - 1].gpa + slots[nr - 1].size;
	middle = slots[nr / 2];
	from = malloc(nr * sizeof(*from));
	memcpy(from, slots, nr * sizeof(*from));

	shuffle();
	xlate = loaded(shape, "register, shuffled");
	start();
	end(shape, "replace by itself", virtio_mem_xlate_replace(xlate, slots, nr));
	start();
	end(shape, "remove one", virtio_mem_xlate_remove(xlate, middle.gpa, middle.size));
	start();
	end(shape, "add one", virtio_mem_xlate_add(xlate, &middle, 1));
	start();
	end(shape, "remove the first", virtio_mem_xlate_remove(xlate, from[0].gpa, from[0].size));
	start();
	end(shape, "add the first", virtio_mem_xlate_add(xlate, from, 1));
	start();
	end(shape, "remove all", virtio_mem_xlate_remove(xlate, from[0].gpa,
							 high - from[0].gpa));
	start();
	end(shape, "add all", virtio_mem_xlate_add(xlate, slots, nr));
	start();
	virtio_mem_xlate_unregister(xlate);
	end(shape, "unregister", 0);
	free(from);
}

int main(int argc, char **argv)
{
	unsigned int shape;

	want = 1U << (argc > 1 ? atoi(argv[1]) : 20);
	slots = calloc(want, sizeof(*slots));
	preemption_hook = point;
	if (module_init_call())
		return 1;
	for (shape = 0; shape < NR_SHAPES; shape++)
		run(shape);
	printf("%u slots, %u shapes: never more than %u blocks between two points\n", want,
	       NR_SHAPES, LIMIT);
	return 0;
}
