// SPDX-License-Identifier: GPL-2.0
/*
 * The table of slots: registers it, updates it concurrently with readers, unregisters
 * it.  The RAM of this machine is the guest's memory.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "demo.h"

static u64 ram[128];
static unsigned int nr_ram;
module_param_array(ram, ullong, &nr_ram, 0444);
MODULE_PARM_DESC(ram, "first and last byte of each range of System RAM in /proc/iomem");

struct virtio_mem_xlate *xlate;

/*
 * Two tables divide the same RAM into slots of different sizes.  Far above RAM each
 * table has two slots of 8 bytes, the markers.  A marker translates to the table's
 * @word: its number while the table is the current one, else 0.
 */
static struct memory {
	u64 cut;	/* size of a slot */
	u64 word;
	struct virtio_mem_xlate_slot *slots;
	unsigned int nr;
} memories[] = { { .cut = 0x1234567 }, { .cut = 0xfedcba } };

#define MARKER(n)	(BIT_ULL(60) + (n) * sizeof(u64))

static struct virtio_mem_xlate_slot marker_slot(unsigned int n, u64 *word)
{
	return (struct virtio_mem_xlate_slot){
		.gpa = MARKER(n), .size = sizeof(*word), .kva = word,
		.access = VIRTIO_MEM_XLATE_READ,
	};
}

static int memory_init(struct memory *m)
{
	unsigned int i, nr = 2;
	u64 gpa, size;

	for (i = 0; i + 1 < nr_ram; i += 2) {
		if (ram[i + 1] <= ram[i])
			return -EINVAL;
		nr += (ram[i + 1] - ram[i]) / m->cut + 1;
	}
	m->slots = kvcalloc(nr, sizeof(*m->slots), GFP_KERNEL);
	if (!m->slots)
		return -ENOMEM;

	for (i = 0; i + 1 < nr_ram; i += 2) {
		for (gpa = ram[i]; gpa <= ram[i + 1]; gpa += size) {
			size = min(m->cut, ram[i + 1] + 1 - gpa);
			m->slots[m->nr++] = (struct virtio_mem_xlate_slot){
				.gpa = gpa, .size = size, .kva = phys_to_virt(gpa),
				.access = VIRTIO_MEM_XLATE_RW,
			};
		}
	}
	m->slots[m->nr++] = marker_slot(0, &m->word);
	m->slots[m->nr++] = marker_slot(1, &m->word);
	return 0;
}

static void memory_word(struct memory *m, bool current_table)
{
	WRITE_ONCE(m->word, current_table ? m - memories + 1 : 0);
}

int memory_register(void)
{
	struct virtio_mem_xlate *new;
	int err;

	err = memory_init(&memories[0]) ?: memory_init(&memories[1]);
	if (err)
		return err;
	memory_word(&memories[0], true);
	new = virtio_mem_xlate_register(memories[0].slots, memories[0].nr);
	if (IS_ERR(new))
		return PTR_ERR(new);
	xlate = new;
	return 0;
}

/* Each reader has ended, or holds a reference of its own. */
void memory_unregister(void)
{
	if (xlate)
		virtio_mem_xlate_unregister(xlate);
	kvfree(memories[0].slots);
	kvfree(memories[1].slots);
}

static struct task_struct *updater;
static unsigned long updates, bad_updates;

static int update_all_the_time(void *unused)
{
	u64 third_word = 3;
	const struct virtio_mem_xlate_slot third = marker_slot(2, &third_word);
	unsigned int now = 0;

	while (!kthread_should_stop()) {
		now = !now;
		memory_word(&memories[now], true);
		if (virtio_mem_xlate_replace(xlate, memories[now].slots, memories[now].nr) ||
		    virtio_mem_xlate_add(xlate, &third, 1) ||
		    virtio_mem_xlate_remove(xlate, third.gpa, third.size))
			bad_updates++;
		/* All views of the other table have been released: it may change. */
		memory_word(&memories[!now], false);
		updates += 3;
		cond_resched();
	}
	return 0;
}

int memory_updates_start(void)
{
	struct task_struct *task = kthread_run(update_all_the_time, NULL, "xlate/update");

	if (IS_ERR(task))
		return PTR_ERR(task);
	updater = task;
	return 0;
}

void memory_updates_stop(void)
{
	if (updater)
		kthread_stop(updater);
}

bool memory_updates_show(void)
{
	pr_info("%lu updates, %lu failed\n", updates, bad_updates);
	return !bad_updates && (updates || !updater);
}

/* The word at marker @n: the number of the view's table, or 0 if the table has no marker. */
u64 memory_marker(const struct virtio_mem_xlate_view *view, unsigned int n)
{
	struct virtio_driver_range driver;
	u64 word;

	if (virtio_driver_range_init(&driver, MARKER(n), sizeof(word)) ||
	    virtio_mem_xlate_copy_from(view, &word, driver))
		return 0;
	return word;
}

/* "A3": @gpa is in the fourth slot of the first table. */
const char *memory_slot_name(u64 table, u64 gpa, char *buf, size_t size)
{
	const struct memory *m = &memories[table ? table - 1 : 0];
	unsigned int i = 0;

	while (i < m->nr && gpa - m->slots[i].gpa >= m->slots[i].size)
		i++;
	snprintf(buf, size, "%c%u", (int)('A' + (m - memories)), i);
	return buf;
}
