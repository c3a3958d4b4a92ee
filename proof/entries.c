// SPDX-License-Identifier: GPL-2.0
/*
 * entries: unpacking an entry gives the packed values again, for every slot, order, place
 * and shift that a table can have; and the kernel's helpers do as Frama-C is told.
 */
#include "virtio_mem_xlate.c"
#include "../kunit/model.h"
#include "index.h"

static unsigned long checks;
static char contexts_of_check[4096];

#define check(condition)							\
	do {									\
		if (!(condition))						\
			fatal("entries: not so: %s", #condition);			\
		checks++;							\
	} while (0)

/* As many slots as are allowed, and not one more. */
static void check_limit(void)
{
	unsigned int i, n = VIRTIO_MEM_XLATE_MAX_SLOTS;
	struct virtio_mem_xlate_slot *slots = calloc(n + 1, sizeof(*slots));
	struct virtio_mem_xlate_table *table;

	for (i = 0; i <= n; i++)
		slots[i] = (struct virtio_mem_xlate_slot){ i * 4096ULL, 4096, slots, 3 };
	check(make_table(NULL, slots, n + 1) == ERR_PTR(-ENOSPC));
	table = make_table(NULL, slots, n);
	check(!IS_ERR(table) && table->nr_slots == n && table->nr_entries <= table->max_entries);
	check(make_table(table, slots + n, 1) == ERR_PTR(-ENOSPC));
	table_free(table);
	free(slots);
}

/* 52 bytes a slot in whole pages; of a small one, 64 entries a slot. */
static void check_sizes(void)
{
	unsigned int n;

	for (n = 0; n < 512; n++)
		check(table_max_entries(n) == (n < 19 ? 64 * (n + 1) : 1280));
	for (; n < 8192; n++)
		check(table_bytes(n) % 4096 == 0 && table_bytes(n) <= 52 * n &&
		      table_bytes(n) + 4096 > 52 * n);
}

/* Sizes and counts of typed pointers whose product wraps, fits, or just does not. */
static void check_pointers(void)
{
	static const u64 n[] = { 0, 1, 2, 3, 8, 4096, 1ULL << 32, (1ULL << 32) + 1, 1ULL << 63,
				 U64_MAX / 3 + 1, U64_MAX };
	static const u64 lens[] = { 0, 1, 8, 8192, U64_MAX };
	unsigned int i, j, k;

	for (i = 1; i < ARRAY_SIZE(n); i++) {
		for (j = 0; j < ARRAY_SIZE(n); j++) {
			for (k = 0; k < ARRAY_SIZE(lens); k++) {
				struct virtio_device_range range = { (void *)4096, lens[k], 3 };
				bool fits = lens[k] && (unsigned __int128)n[i] * n[j] <= lens[k];

				check(__virtio_device_range_ptr(range, n[i], 8, n[j], 1) ==
				      (fits ? range.kva : NULL));
			}
		}
	}
}

/* What is not a valid access finds no bucket, whatever bits the address of a slot has. */
static void check_access(void)
{
	unsigned long entries[1] = { ~0UL };
	struct virtio_mem_xlate_table table = {
		.bucket_mask = ~4095ULL, .span = 4096, .entries = entries,
	};
	struct virtio_mem_xlate_view view = { .table = &table };
	struct virtio_driver_range range = { .len = 4096 };
	unsigned int access;
	void *kva;

	for (access = 0; access < 32; access++)
		check(__virtio_mem_xlate_kva(&view, range, access, &kva) ==
		      (access >= 1 && access <= 3));
	check(!__virtio_mem_xlate_kva(&view, range, U32_MAX, &kva));
}

/* A table that has used half of its generations is replaced by one that has used none. */
static void check_renew(void)
{
	const struct virtio_mem_xlate_slot slot = { 4096, 4096, contexts_of_check, 3 };
	struct virtio_mem_xlate *xlate;
	struct virtio_mem_xlate_view view;

	check(!module_init_call());
	xlate = virtio_mem_xlate_register(&slot, 1);
	check(!IS_ERR(xlate));
	xlate->table->generation = FLIPS / 2;
	fail_allocation = 1;	/* so that the next update tries again */
	check(!virtio_mem_xlate_set_absent(xlate, 4096, 4096));
	flush_workqueue(workqueue);
	check(xlate->table->generation == FLIPS / 2 + 1 && !fail_allocation);
	check(!virtio_mem_xlate_set_present(xlate, 4096, 4096, contexts_of_check, 3));
	xlate->table->generation = FLIPS / 2;
	check(!virtio_mem_xlate_set_absent(xlate, 4096, 4096));
	check(xlate->table->generation == FLIPS / 2 + 1);
	flush_workqueue(workqueue);
	check(!xlate->table->generation);
	virtio_mem_xlate_read_lock(xlate, &view);
	check(slot_byte(view.table->slots, 0, 4096, 1, &(void *){ NULL }, &(u64){ 0 }) == -EAGAIN);
	virtio_mem_xlate_read_unlock(&view);
	stall_work(&(struct stall){ .xlate = xlate }.work.work);
	virtio_mem_xlate_unregister(xlate);
	module_exit_call();
	check(!live_objects);
}

int main(void)
{
	unsigned long entry;
	unsigned int i, j, access;
	void *kva;

	for (i = 0; i <= VIRTIO_MEM_XLATE_MAX_SLOTS; i++) {
		for (j = 0; j < 32; j++) {
			entry = search_entry(i, j);
			check(search_first(entry) == i && search_order(entry) == j);
			check(!entry_is_direct(entry) && !entry_is_node(entry));
		}
		check(i == 0 || 1UL << order_base_2(i) >= i);
		check(i < 2 || 1UL << (order_base_2(i) - 1) < i);
	}
	for (i = 1; i <= table_max_entries(VIRTIO_MEM_XLATE_MAX_SLOTS); i++) {
		for (j = 0; j < 64; j++) {
			u64 low = i * 0x9e3779b97f4a7c15ULL >> 1 >> j << j;

			entry = node_entry(i, j, low);
			check(node_place(entry, low) == i && node_shift(entry) == j);
			check(node_place(entry, low + (1ULL << j)) == i + 1);
			check(!entry_is_direct(entry) && entry_is_node(entry));
		}
		/* Bucket number 0 would have its entry in entries[0]: nothing but the kind. */
		check(entry_is_node(node_entry(i, 0, i)));
	}
	for (access = 1; access <= 3; access++) {
		for (i = 3; i < 64; i++) {
			for (j = 0; j < 64; j++) {
				struct xlate_slot slot = {
					.gpa = 1UL << j,
					.kva = (void *)((1UL << j) + (1UL << i)),
					.state = access,
				};

				entry = direct_entry(&slot);
				check(entry_is_direct(entry) && !entry_is_node(entry));
				check(can_be_direct(&slot));
				for (u32 a = 1; a <= 3; a++) {
					bool allowed = (access & a) == a;

					check(__virtio_mem_xlate_direct_kva(entry, ~0UL, a, slot.gpa,
									  &kva) == allowed);
					check(kva == (allowed ? slot.kva : NULL));
					check(!__virtio_mem_xlate_direct_kva(entry, 0, a, slot.gpa,
									   &kva) && !kva);
				}
			}
		}
	}
	check(!can_be_direct(&(struct xlate_slot){ .kva = (void *)4097, .gpa = 4096 }));
	check_limit();
	check_sizes();
	check_pointers();
	check_access();
	check_renew();
	/* Whoever runs ahead of a check gets what is inside. */
	for (i = 0; i < 64; i++) {
		void *kva = (void *)64;
		size_t size = 1UL << i;

		check(slot_kva(kva, size - 1, size) == kva + size - 1);
		check(i == 63 || !slot_kva(kva, size, size));
		check(array_index_mask_nospec(i, 32) == (i < 32 ? ~0UL : 0));
		check(array_index_nospec((unsigned long)i, 32UL) == (i < 32 ? i : 0));
	}
	printf("%lu checks, 0 failed\n", checks);
	return 0;
}
