// SPDX-License-Identifier: GPL-2.0
/*
 * race: readers with views, cursors and holds against updaters and a flipper in threads, for the
 * thread sanitizer; and, as memory is poisoned once nobody may see it, for anyone.
 *
 * usage: race MILLISECONDS
 *
 * Built with -DTHREADS.
 */
#include <time.h>
#include "virtio_mem_xlate.c"

#define READERS 3
#define UPDATERS 2
#define FLIPPERS 1
#define WORKERS 1
#define SIZE 1024	/* of a slot, and of the memory behind it: a bucket, at least */
#define GPA(updater, i) ((((u64)(updater) + 1) * 8 + (i)) * SIZE)
#define GOOD 0x600d600d600d600dULL
#define POISON 0xdeaddeaddeaddeadULL

static struct virtio_mem_xlate *xlate;
static atomic_bool stop;
static atomic_ulong lookups, hits, updates, removals, refused, flips, held, called;

/* An eighth of the guest's memory; read with and without the race being ours. */
static u64 look(void *kva)
{
	return __atomic_load_n((u64 *)kva, __ATOMIC_RELAXED);
}

static void fill_memory(u64 *memory, u64 value)
{
	unsigned int i;

	for (i = 0; i < SIZE / sizeof(u64); i++)
		__atomic_store_n(&memory[i], value, __ATOMIC_RELAXED);
}

static void *reader(void *arg)
{
	struct virtio_mem_xlate_cursor cursor = {};
	u64 state = (uintptr_t)arg + 1;

	while (!stop) {
		struct virtio_mem_xlate_hold hold = {};
		struct virtio_mem_xlate_view view;
		u64 *kept = NULL;
		unsigned int i;

		virtio_mem_xlate_read_lock(xlate, &view);
		for (i = 0; i < 16; i++) {
			struct virtio_driver_range range = { .len = 8 };
			struct virtio_device_range device, again;
			u64 *p, value;
			int ret;

			state = state * 6364136223846793005ULL + 1442695040888963407ULL;
			range.start = GPA((state >> 40) % 3, state >> 50 & 7) + (state >> 45 & 7) * 8;
			ret = virtio_mem_xlate_range(&view, range, 1, &device);
			atomic_fetch_add(&lookups, 1);
			if (i == 8 && state >> 62 == 0)
				sched_yield();
			/* A flip may come in between: then nothing or one memory. */
			i += virtio_mem_xlate_cursor_range(&cursor, &view, range, 1, &again) != ret &&
			     range.start < GPA(UPDATERS, 0) ? 100 : 0;
			if (i >= 100 || (device.kva && again.kva && again.kva != device.kva))
				fatal("race: a view saw two tables");
			if (again.kva && look(again.kva) != GOOD)
				fatal("race: memory seen that was taken away");
			if (ret)
				continue;
			p = virtio_device_range_get(device);
			value = look(p);
			if (value != GOOD)
				fatal("race: memory seen that was taken away");
			atomic_fetch_add(&hits, 1);
			if (!kept && state >> 60 == 0) {
				virtio_mem_xlate_hold(&view, &hold);
				kept = p;
			}
		}
		virtio_mem_xlate_read_unlock(&view);
		if (!kept)
			continue;
		sched_yield();
		if (look(kept) != GOOD)
			fatal("race: memory seen under a hold that was taken away");
		virtio_mem_xlate_release(&hold);
		atomic_fetch_add(&held, 1);
	}
	virtio_mem_xlate_put(xlate);
	return NULL;
}

/* Each has slots of its own, which nobody else removes; and replaces nothing of the other's. */
static void *updater(void *arg)
{
	unsigned int me = (uintptr_t)arg, i, n, round;

	for (round = 0; !stop; round++) {
		struct virtio_mem_xlate_slot slots[4];
		static _Thread_local u64 *memory[4];

		n = 1 + round % 4;
		for (i = 0; i < n; i++) {
			if (posix_memalign((void **)&memory[i], 64, SIZE))
				fatal("race: no memory");
			fill_memory(memory[i], GOOD);
			slots[i] = (struct virtio_mem_xlate_slot){
				.gpa = GPA(me, (i + round) % 8),
				.size = SIZE,
				.kva = memory[i],
				.access = VIRTIO_MEM_XLATE_RW,
			};
		}
		if (virtio_mem_xlate_add(xlate, slots, n))
			fatal("race: slots refused");
		if (virtio_mem_xlate_add(xlate, slots, 1) != -EEXIST)
			fatal("race: a slot taken twice");
		atomic_fetch_add(&refused, 1);
		for (i = 0; i < n; i++) {
			if (virtio_mem_xlate_remove(xlate, slots[i].gpa, SIZE))
				fatal("race: slot not there");
			fill_memory(memory[i], POISON);
			free(memory[i]);
			atomic_fetch_add(&removals, 1);
		}
		atomic_fetch_add(&updates, 1);
	}
	return NULL;
}

struct lost {
	struct virtio_mem_xlate_callback callback;
	u64 *memory;
};

static void free_lost(struct virtio_mem_xlate_callback *callback)
{
	struct lost *lost = container_of(callback, struct lost, callback);

	fill_memory(lost->memory, POISON);
	free(lost->memory);
	free(lost);
	atomic_fetch_add(&called, 1);
}

static u64 *good_memory(void)
{
	u64 *memory;

	if (posix_memalign((void **)&memory, 64, SIZE))
		fatal("race: no memory");
	fill_memory(memory, GOOD);
	return memory;
}

/* Takes the memory of slots away and gives them other memory, as an MMU notifier would. */
static void *flipper(void *arg)
{
	u64 *memory[8] = {};
	unsigned int i;

	for (i = 0; !stop; i = (i + 1) % 8) {
		struct lost *lost = malloc(sizeof(*lost));

		/* Behind a slow worker all memory would be used. */
		while (flips > called + 64 && !stop)
			sched_yield();
		lost->memory = memory[i];
		memory[i] = good_memory();
		in_reclaim = true;
		if (virtio_mem_xlate_set_absent(xlate, GPA(UPDATERS, i), SIZE))
			fatal("race: no slot to flip");
		if (lost->memory)
			virtio_mem_xlate_call(xlate, &lost->callback, free_lost);
		else
			free(lost);
		if (i % 2)
			sched_yield();
		if (virtio_mem_xlate_set_present(xlate, GPA(UPDATERS, i), SIZE, memory[i],
						 VIRTIO_MEM_XLATE_RW))
			fatal("race: a slot was not absent");
		in_reclaim = false;
		atomic_fetch_add(&flips, 1);
	}
	return NULL;
}

/* What the kernel's workqueue does. */
static void *worker(void *arg)
{
	while (!stop) {
		flush_workqueue(workqueue);
		flush_workqueue(callback_queue);
		sched_yield();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	long ms = argc == 2 ? atol(argv[1]) : 0;
	struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
	pthread_t threads[READERS + UPDATERS + FLIPPERS + WORKERS];
	struct virtio_mem_xlate_slot slots[8];
	unsigned int i;

	if (ms <= 0) {
		fprintf(stderr, "usage: race MILLISECONDS\n");
		return 2;
	}
	if (module_init_call())
		return 1;
	for (i = 0; i < 8; i++)
		slots[i] = (struct virtio_mem_xlate_slot){
			GPA(UPDATERS, i), SIZE, NULL, VIRTIO_MEM_XLATE_ABSENT
		};
	xlate = virtio_mem_xlate_register(slots, 8);
	if (IS_ERR(xlate))
		return 1;
	for (i = 0; i < READERS; i++) {
		virtio_mem_xlate_get(xlate);
		pthread_create(&threads[i], NULL, reader, (void *)(uintptr_t)i);
	}
	for (; i < READERS + UPDATERS; i++)
		pthread_create(&threads[i], NULL, updater, (void *)(uintptr_t)(i - READERS));
	pthread_create(&threads[i++], NULL, flipper, NULL);
	pthread_create(&threads[i++], NULL, worker, NULL);
	nanosleep(&time, NULL);
	stop = true;
	for (i = READERS; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	virtio_mem_xlate_unregister(xlate);
	for (i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	errors_logged = 0;
	module_exit_call();
	if (live_objects || errors_logged)
		fatal("race: %ld objects left", (long)live_objects);
	printf("%lu lookups, %lu hit, %lu updates, %lu removals, %lu flips, %lu held, %lu called, "
	       "%lu grace periods, 0 findings\n", lookups, hits, updates, removals, flips, held,
	       called, grace_periods);
	return hits && removals && flips && held && called ? 0 : 1;
}
