// SPDX-License-Identifier: GPL-2.0
/* Readers on all processors against every kind of update. */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/moduleparam.h>
#include <linux/random.h>
#include <linux/sched/task.h>
#include <linux/spinlock.h>
#include <linux/vmalloc.h>

#include "race.h"

static ulong race_updates;
module_param(race_updates, ulong, 0444);
MODULE_PARM_DESC(race_updates,
		 "how many updates readers_against_everything does, in 4 minutes at most");

static int race_reader(void *data)
{
	struct race *race = data;

	while (!READ_ONCE(race->stop)) {
		race->read(race);
		atomic_long_inc(&race->reads);
		cond_resched();
	}
	return 0;
}

static int race_updater(void *data)
{
	struct race *race = data;
	unsigned int me = atomic_fetch_inc(&race->next_updater);

	while (!READ_ONCE(race->stop)) {
		race->update(race, me);
		atomic_long_inc(&race->updates);
		cond_resched();
	}
	return 0;
}

/* Too few reads or updates so far for the race to prove anything. */
static bool race_is_young(struct race *race)
{
	return atomic_long_read(&race->reads) < 100 || atomic_long_read(&race->seen) < 100 ||
	       atomic_long_read(&race->updates) < 100;
}

/* Runs the threads for RACE_MS or longer; all have ended when it returns. */
void race_run(struct kunit *test, struct race *race)
{
	unsigned int nr_readers = max(num_online_cpus(), 2U), nr = 0, i;
	struct task_struct **tasks;

	tasks = kunit_kcalloc(test, nr_readers + race->nr_updaters, sizeof(*tasks), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, tasks);
	for (i = 0; i < nr_readers + race->nr_updaters; i++) {
		struct task_struct *task;

		task = kthread_create(i < nr_readers ? race_reader : race_updater, race,
				      "xlate-race/%u", i);
		KUNIT_EXPECT_NOT_ERR_OR_NULL(test, task);
		if (IS_ERR(task))
			break;
		get_task_struct(task);
		wake_up_process(task);
		tasks[nr++] = task;
	}
	msleep(RACE_MS);
	for (i = 0; i < 200 && race_is_young(race); i++)
		msleep(100);	/* the machine is busy */
	for (i = 0; i < 2400 && atomic_long_read(&race->updates) < race->nr_updates; i++)
		msleep(100);
	KUNIT_EXPECT_FALSE(test, race_is_young(race));
	WRITE_ONCE(race->stop, true);
	for (i = 0; i < nr; i++) {
		kthread_stop(tasks[i]);
		put_task_struct(tasks[i]);
	}
	kunit_info(test, "%ld reads of which %ld saw a slot, %ld updates\n",
		   atomic_long_read(&race->reads), atomic_long_read(&race->seen),
		   atomic_long_read(&race->updates));
	KUNIT_EXPECT_EQ(test, atomic_long_read(&race->bad), 0);
}

/*
 * Replace: a table has two slots that are far apart, and each word of both holds the number
 * of the table.  The updater poisons old memory, then frees it.
 */
#define MARKERS		(SIZE / sizeof(u64))
#define MARKER_POISON	0x6b6b6b6b6b6b6b6bULL

struct generation {
	u64 a[MARKERS], b[MARKERS];
};

static struct generation *generation_new(u64 number)
{
	struct generation *generation = kmalloc(sizeof(*generation), GFP_KERNEL);
	unsigned int i;

	for (i = 0; generation && i < MARKERS; i++) {
		generation->a[i] = number;
		generation->b[i] = number;
	}
	return generation;
}

static void generation_free(struct generation *generation)
{
	memset(generation, MARKER_POISON & 0xff, sizeof(*generation));
	kfree(generation);
}

static void generation_slots(struct generation *generation, struct virtio_mem_xlate_slot *slots)
{
	slots[0] = (struct virtio_mem_xlate_slot){ GPA, SIZE, generation->a, RW };
	slots[1] = (struct virtio_mem_xlate_slot){ 0x100 * GPA, SIZE, generation->b, RW };
}

static bool read_marker(struct virtio_mem_xlate_view *view, u64 gpa, u64 *marker)
{
	struct virtio_driver_range range = { gpa, sizeof(*marker) };

	return !virtio_mem_xlate_copy_from(view, marker, range) && *marker != MARKER_POISON;
}

static void read_generation(struct race *race)
{
	CLASS(virtio_mem_xlate_view, view)(race->xlate);
	u64 first, marker;
	unsigned int i;

	if (!read_marker(&view, GPA, &first)) {
		atomic_long_inc(&race->bad);
		return;
	}
	atomic_long_inc(&race->seen);
	for (i = 0; i < MARKERS; i++)
		if (!read_marker(&view, 0x100 * GPA + i * sizeof(u64), &marker) ||
		    marker != first ||
		    !read_marker(&view, GPA + i * sizeof(u64), &marker) || marker != first)
			atomic_long_inc(&race->bad);
}

static void replace_generation(struct race *race, unsigned int updater)
{
	struct generation *old = race->private, *new = generation_new(old->a[0] + 1);
	struct virtio_mem_xlate_slot slots[2];

	if (!new)
		return;
	generation_slots(new, slots);
	if (virtio_mem_xlate_replace(race->xlate, slots, ARRAY_SIZE(slots))) {
		generation_free(new);
		return;
	}
	race->private = new;
	generation_free(old);
}

static void readers_against_replace(struct kunit *test)
{
	struct race race = {
		.read = read_generation,
		.update = replace_generation,
		.nr_updaters = 1,
		.private = generation_new(1),
	};
	struct virtio_mem_xlate_slot slots[2];

	KUNIT_ASSERT_NOT_NULL(test, race.private);
	generation_slots(race.private, slots);
	race.xlate = virtio_mem_xlate_register(slots, ARRAY_SIZE(slots));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, race.xlate);
	race_run(test, &race);
	virtio_mem_xlate_unregister(race.xlate);
	generation_free(race.private);
}

/*
 * Add and remove: updater u adds and removes its own slot at GPA * (u + 1).  The slot holds
 * pattern() until remove() has returned.
 */
#define NR_ADDERS	2

static void read_added(struct race *race)
{
	struct virtio_mem_xlate_view view;
	struct virtio_device_range device;
	unsigned int i, again;

	virtio_mem_xlate_read_lock(race->xlate, &view);
	for (i = 0; i < NR_ADDERS; i++) {
		struct virtio_driver_range range = { GPA * (i + 1), SIZE };
		int err = virtio_mem_xlate_range(&view, range, R, &device);

		if (!err)
			atomic_long_inc(&race->seen);
		/* Neither a slot nor a hole may change under the view. */
		for (again = 0; again < 4; again++) {
			if (!err && !is_pattern(virtio_device_range_get(device), range.start, SIZE))
				atomic_long_inc(&race->bad);
			if (virtio_mem_xlate_range(&view, range, R, &device) != err)
				atomic_long_inc(&race->bad);
			cond_resched();
		}
	}
	virtio_mem_xlate_read_unlock(&view);
}

static void add_and_remove(struct race *race, unsigned int updater)
{
	struct virtio_mem_xlate_slot slot = slot_of(kmalloc(SIZE, GFP_KERNEL));

	if (!slot.kva)
		return;
	slot.gpa = GPA * (updater + 1);
	fill_pattern(slot.kva, slot.gpa, SIZE);
	if (virtio_mem_xlate_add(race->xlate, &slot, 1) ||
	    virtio_mem_xlate_remove(race->xlate, slot.gpa, SIZE))
		atomic_long_inc(&race->bad);
	memset(slot.kva, 0x6b, SIZE);
	kfree(slot.kva);
}

static void readers_against_add_and_remove(struct kunit *test)
{
	struct race race = {
		.read = read_added,
		.update = add_and_remove,
		.nr_updaters = NR_ADDERS,
		.xlate = register_for_test(test, NULL, 0),
	};

	race_run(test, &race);
}

/*
 * All kinds of updates at once.  A place is a context under a lock.  Each of the first
 * updaters has a place of its own, where it replaces the table and sometimes the context.
 * The other updaters share the last place: each adds and removes its own slot there.  All
 * words of a slot hold its number, and the two slots of one table have the same number.
 */
#define NR_PLACES	9	/* the last is the shared one */
#define NR_SHARERS	24
#define NR_MANY		600	/* slots of a table that takes some pages */

struct place {
	spinlock_t lock;	/* guards the pointer @xlate, not the context */
	struct virtio_mem_xlate *xlate;
	u64 *memory;
	u64 number;
};

struct everything {
	struct place places[NR_PLACES];
	struct virtio_mem_xlate_slot many[NR_MANY];
};

static u64 *numbered(u64 number, bool vmapped)
{
	u64 *memory = vmapped ? vmalloc(2 * SIZE) : kmalloc(2 * SIZE, GFP_KERNEL);
	unsigned int i;

	for (i = 0; memory && i < 2 * MARKERS; i++)
		memory[i] = number;
	return memory;
}

static void numbered_free(u64 *memory)
{
	if (memory)
		memset(memory, MARKER_POISON & 0xff, 2 * SIZE);
	kvfree(memory);
}

/* The number of the slot at @gpa; 0 if there is no slot. */
static u64 read_number(struct race *race, struct virtio_mem_xlate_view *view, u64 gpa)
{
	struct virtio_driver_range range = { gpa, SIZE };
	struct virtio_device_range device;
	const u64 *memory;
	u64 number;
	unsigned int i;
	int err;

	err = virtio_mem_xlate_range(view, range, R, &device);
	if (err) {
		if (err != -EFAULT)
			atomic_long_inc(&race->bad);
		return 0;
	}
	memory = virtio_device_range_array(device, u64, MARKERS);
	number = READ_ONCE(memory[0]);
	for (i = 1; i < MARKERS; i++)
		if (READ_ONCE(memory[i]) != number)
			atomic_long_inc(&race->bad);
	if (!number || number == MARKER_POISON)
		atomic_long_inc(&race->bad);
	atomic_long_inc(&race->seen);
	return number;
}

static void read_everything(struct race *race)
{
	struct everything *all = race->private;
	u32 random = get_random_u32();
	struct place *place = &all->places[random % NR_PLACES];
	bool shared = place == &all->places[NR_PLACES - 1];
	u64 gpa = shared ? GPA * (1 + (random >> 8) % NR_SHARERS) : GPA, a, b;
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_view view;
	unsigned int i;

	spin_lock(&place->lock);
	xlate = virtio_mem_xlate_get(place->xlate);
	spin_unlock(&place->lock);
	virtio_mem_xlate_read_lock(xlate, &view);
	a = read_number(race, &view, gpa);
	if (random >> 28 == 0)
		usleep_range(50, 200);	/* a holder may sleep */
	for (i = 0; i < 4; i++) {
		b = read_number(race, &view, shared ? gpa : GPA + SIZE);
		if (a != b || (shared && a && a != gpa))
			atomic_long_inc(&race->bad);
	}
	virtio_mem_xlate_read_unlock(&view);
	virtio_mem_xlate_put(xlate);
	if (random >> 30 == 0)
		usleep_range(50, 100);	/* leave the processor to updaters */
}

static void update_shared(struct race *race, struct place *place, u64 gpa, u32 random)
{
	struct virtio_mem_xlate_slot slot = { GPA, SIZE, numbered(gpa, random % 64 == 0), RW };

	slot.gpa = gpa;
	if (!slot.kva || virtio_mem_xlate_add(place->xlate, &slot, 1) ||
	    virtio_mem_xlate_remove(place->xlate, gpa, SIZE))
		atomic_long_inc(&race->bad);
	atomic_long_inc(&race->updates);	/* race_updater() counts only one of the two */
	numbered_free(slot.kva);
}

static void update_everything(struct race *race, unsigned int updater)
{
	struct everything *all = race->private;
	struct place *place = &all->places[min(updater, NR_PLACES - 1U)];
	u32 random = get_random_u32();
	struct virtio_mem_xlate_slot slots[2];
	struct virtio_mem_xlate *old, *new;
	u64 *memory;

	if (updater >= NR_PLACES - 1) {
		update_shared(race, place, GPA * (updater - NR_PLACES + 2), random);
		return;
	}
	memory = numbered(++place->number, random % 64 == 0);
	if (!memory) {
		atomic_long_inc(&race->bad);
		return;
	}
	slots[0] = (struct virtio_mem_xlate_slot){ GPA, SIZE, memory, RW };
	slots[1] = (struct virtio_mem_xlate_slot){ GPA + SIZE, SIZE, memory + MARKERS, RW };
	if (random >> 28 == 0) {
		new = virtio_mem_xlate_register(slots, 2);
		if (IS_ERR(new)) {
			atomic_long_inc(&race->bad);
			numbered_free(memory);
			return;
		}
		spin_lock(&place->lock);
		old = place->xlate;
		place->xlate = new;
		spin_unlock(&place->lock);
		virtio_mem_xlate_unregister(old);
	} else if (virtio_mem_xlate_replace(place->xlate, slots, 2) ||
		   (random >> 24 == 0xff &&
		    (virtio_mem_xlate_add(place->xlate, all->many, NR_MANY) ||
		     virtio_mem_xlate_remove(place->xlate, all->many[0].gpa, SIZE)))) {
		atomic_long_inc(&race->bad);
	}
	numbered_free(place->memory);
	place->memory = memory;
}

static void readers_against_everything(struct kunit *test)
{
	struct everything *all = kunit_kzalloc(test, sizeof(*all), GFP_KERNEL);
	struct race race = {
		.read = read_everything,
		.update = update_everything,
		.nr_updaters = NR_PLACES - 1 + NR_SHARERS,
		.private = all,
		.nr_updates = race_updates,
	};
	void *memory = filled(test);
	unsigned int i;

	KUNIT_ASSERT_NOT_NULL(test, all);
	for (i = 0; i < NR_MANY; i++)
		all->many[i] = (struct virtio_mem_xlate_slot){ GPA * (i + 2), SIZE, memory, RW };
	for (i = 0; i < NR_PLACES; i++) {
		spin_lock_init(&all->places[i].lock);
		all->places[i].xlate = virtio_mem_xlate_register(NULL, 0);
		KUNIT_ASSERT_NOT_ERR_OR_NULL(test, all->places[i].xlate);
	}
	race_run(test, &race);
	for (i = 0; i < NR_PLACES; i++) {
		virtio_mem_xlate_unregister(all->places[i].xlate);
		numbered_free(all->places[i].memory);
	}
}

static struct kunit_case race_tests[] = {
	KUNIT_CASE(readers_against_replace),
	KUNIT_CASE(readers_against_add_and_remove),
	KUNIT_CASE(readers_against_everything),
	{}
};

static struct kunit_suite race_suite = {
	.name = "virtio_mem_xlate_race",
	.test_cases = race_tests,
};

kunit_test_suite(race_suite);
