// SPDX-License-Identifier: GPL-2.0
/*
 * Measures what a translation costs, in virtio_mem_xlate and in its peers.
 *
 * Prints a line of comma-separated values for each thing measured, which
 * bench/report.py turns into tables, and halts the machine.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/mmzone.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/sort.h>
#include <linux/srcu.h>
#include <linux/uio.h>
#include <linux/vmalloc.h>
#include <linux/vmstat.h>

#include <uapi/linux/virtio_ring.h>

#include <os.h>		/* os_nsecs(): in ns, where ktime of user-mode Linux is in 256 of them */

#include "accesses.h"
#include "peers.h"

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "of layouts and accesses");

static unsigned int rounds = 7;
module_param(rounds, uint, 0444);
MODULE_PARM_DESC(rounds, "how often each thing is measured; at most 63");

static unsigned int nr_accesses = 65536;
module_param(nr_accesses, uint, 0444);
MODULE_PARM_DESC(nr_accesses, "in a pass; processors learn short lists by heart");

#define MAX_NS		16
static unsigned int n[MAX_NS] = { 1, 4, 8, 32, 128, 512, 4096, 32764 };
static unsigned int nr_n = 8;
module_param_array(n, uint, &nr_n, 0444);
MODULE_PARM_DESC(n, "numbers of slots");

static bool brief;
module_param(brief, bool, 0444);
MODULE_PARM_DESC(brief, "leave out what takes long");

static unsigned int nr_passed, nr_failed;

static void check(bool ok, const char *what, const char *who)
{
	if (ok) {
		nr_passed++;
		return;
	}
	nr_failed++;
	pr_err("%s: %s: wrong answer\n", what, who);
}

/*
 * Passes: one over a list of accesses.  In a chain each address depends on the
 * answer before it, through a zero that the compiler does not know of.  Whatever
 * is in memory is read again for each access, as between any two real ones.
 */

typedef unsigned long lookup_fn(const struct peers *peers, VIEW, u64 gpa, u64 len);

/* Gives the sum of all answers. */
typedef void pass_fn(const struct peers *peers, const u64 *accesses, unsigned int nr, u64 *sum);

/* Takes a view for each @batch accesses, or one for all if that is 0. */
static __always_inline u64 pass(const struct peers *peers, const u64 *accesses, unsigned int nr,
				bool chain, unsigned int batch, lookup_fn *lookup)
{
	unsigned long kva = 0, zero = 0;
	u64 sum = 0;
	unsigned int i = 0, end;

	OPTIMIZER_HIDE_VAR(zero);
	while (i < nr) {
		CLASS(virtio_mem_xlate_view, view)(peers->xlate);

		for (end = batch ? i + batch : nr; i < end; i++) {
			u64 access = accesses[i];

			if (chain)
				access += kva & zero;
			barrier();
			kva = lookup(peers, &view, access_gpa(access), access_len(access));
			sum += kva;
		}
	}
	return sum;
}

#define PASS(name, chain, batch, lookup)						\
static noinline void name(const struct peers *peers, const u64 *accesses, unsigned int nr, \
			  u64 *sum)							\
{											\
	*sum = pass(peers, accesses, nr, chain, batch, lookup);				\
}

PASS(ours_throughput, false, 0, ours)
PASS(ours_chain, true, 0, ours)
PASS(ours_call_throughput, false, 0, ours_call)
PASS(ours_call_chain, true, 0, ours_call)
PASS(iotlb_throughput, false, 0, iotlb)
PASS(iotlb_chain, true, 0, iotlb)
PASS(kvm_throughput, false, 0, kvm)
PASS(kvm_chain, true, 0, kvm)
PASS(kvm_last_throughput, false, 0, kvm_last)
PASS(kvm_last_chain, true, 0, kvm_last)
PASS(maple_throughput, false, 0, maple)
PASS(maple_chain, true, 0, maple)
PASS(cursor_throughput, false, 0, cursor)
PASS(cursor_chain, true, 0, cursor)
PASS(linear_throughput, false, 0, linear)
PASS(linear_chain, true, 0, linear)
PASS(sorted_throughput, false, 0, sorted)
PASS(sorted_chain, true, 0, sorted)

PASS(ours_long_throughput, false, 0, ours_long)
PASS(ours_long_chain, true, 0, ours_long)
PASS(iotlb_long_throughput, false, 0, iotlb_long)
PASS(iotlb_long_chain, true, 0, iotlb_long)
PASS(sorted_long_throughput, false, 0, sorted_long)
PASS(sorted_long_chain, true, 0, sorted_long)

PASS(ours_view_each, false, 1, ours)
PASS(ours_view_32, false, 32, ours)

struct contender {
	const char *name;
	pass_fn *pass;
};

#define MAX_CONTENDERS	9
#define SCAN		6	/* the contender whose pass costs its slots' number */

static const struct contender throughput[] = {
	{ "ours", ours_throughput },
	{ "ours_call", ours_call_throughput },
	{ "vhost_iotlb", iotlb_throughput },
	{ "kvm", kvm_throughput },
	{ "kvm_last", kvm_last_throughput },
	{ "maple", maple_throughput },
	[SCAN] = { "linear", linear_throughput },
	{ "sorted", sorted_throughput },
	{ "cursor", cursor_throughput },
};

static const struct contender chain[] = {
	{ "ours", ours_chain },
	{ "ours_call", ours_call_chain },
	{ "vhost_iotlb", iotlb_chain },
	{ "kvm", kvm_chain },
	{ "kvm_last", kvm_last_chain },
	{ "maple", maple_chain },
	[SCAN] = { "linear", linear_chain },
	{ "sorted", sorted_chain },
	{ "cursor", cursor_chain },
};

static const struct contender views[] = {
	{ "ours", ours_throughput },
	{ "view_32", ours_view_32 },
	{ "view_each", ours_view_each },
};

/* Of slots that are no pages. */
static const struct contender few_throughput[] = {
	{ "ours", ours_throughput },
	{ "vhost_iotlb", iotlb_throughput },
	{ "sorted", sorted_throughput },
};

static const struct contender few_chain[] = {
	{ "ours", ours_chain },
	{ "vhost_iotlb", iotlb_chain },
	{ "sorted", sorted_chain },
};

static const struct contender long_throughput[] = {
	{ "ours", ours_long_throughput },
	{ "vhost_iotlb", iotlb_long_throughput },
	{ "sorted", sorted_long_throughput },
};

static const struct contender long_chain[] = {
	{ "ours", ours_long_chain },
	{ "vhost_iotlb", iotlb_long_chain },
	{ "sorted", sorted_long_chain },
};

/*
 * Translate and read: the 16 bytes of a descriptor, as a sum of all its fields.
 */

static u64 desc_sum(const struct vring_desc *desc)
{
	return READ_ONCE(*(const u64 *)&desc->addr) + READ_ONCE(*(const u64 *)&desc->len);
}

static noinline void ours_descs(const struct peers *peers, const u64 *accesses, unsigned int nr,
				u64 *sum)
{
	unsigned int i;

	CLASS(virtio_mem_xlate_view, view)(peers->xlate);

	*sum = 0;
	for (i = 0; i < nr; i++) {
		struct virtio_driver_range driver;
		struct virtio_device_range device;
		const struct vring_desc *desc;

		barrier();
		if (virtio_driver_range_init(&driver, access_gpa(accesses[i]), sizeof(*desc)) ||
		    virtio_mem_xlate_range(&view, driver, VIRTIO_MEM_XLATE_READ, &device))
			continue;
		desc = virtio_device_range_ptr(device, struct vring_desc);
		if (desc)
			*sum += desc_sum(desc);
	}
}

/* After translate_desc() in drivers/vhost/vhost.c, with kernel addresses for user ones. */
static noinline int vhost_translate(const struct peers *peers, u64 addr, u32 len,
				    struct kvec *kvec, int nr_kvec, int access)
{
	const struct vhost_iotlb_map *map;
	int ret = 0;
	u64 done = 0;

	while (len > done) {
		u64 size;

		if (ret >= nr_kvec)
			return -ENOBUFS;
		map = vhost_iotlb_itree_first(peers->iotlb, addr, addr + len - 1);
		if (!map || map->start > addr)
			return -EFAULT;
		if (!(map->perm & access))
			return -EPERM;
		size = map->size - addr + map->start;
		kvec[ret].iov_len = min(len - done, size);
		kvec[ret].iov_base = (void *)(unsigned long)(map->addr + addr - map->start);
		done += size;
		addr += size;
		ret++;
	}
	return ret;
}

/*
 * After get_indirect() there: translate, then copy_from_iter().  Without user
 * access, which costs vhost more than this.
 */
static noinline void vhost_descs(const struct peers *peers, const u64 *accesses, unsigned int nr,
				 u64 *sum)
{
	unsigned int i;

	*sum = 0;
	for (i = 0; i < nr; i++) {
		struct vring_desc desc;
		struct iov_iter iter;
		struct kvec kvec[2];
		int ret;

		barrier();
		ret = vhost_translate(peers, access_gpa(accesses[i]), sizeof(desc), kvec,
				      ARRAY_SIZE(kvec), VHOST_MAP_RO);
		if (ret < 0)
			continue;
		iov_iter_kvec(&iter, ITER_SOURCE, kvec, ret, sizeof(desc));
		if (copy_from_iter_full(&desc, sizeof(desc), &iter))
			*sum += desc_sum(&desc);
	}
}

/* The least that a user of vhost_iotlb could do: one map, and read in place. */
static noinline void iotlb_descs(const struct peers *peers, const u64 *accesses, unsigned int nr,
				 u64 *sum)
{
	unsigned int i;

	*sum = 0;
	for (i = 0; i < nr; i++) {
		unsigned long kva;

		barrier();
		kva = iotlb(peers, NULL, access_gpa(accesses[i]), sizeof(struct vring_desc));
		if (kva && IS_ALIGNED(kva, __alignof__(struct vring_desc)))
			*sum += desc_sum((const struct vring_desc *)kva);
	}
}

static const struct contender descs[] = {
	{ "ours", ours_descs },
	{ "translate_desc", vhost_descs },
	{ "vhost_iotlb", iotlb_descs },
};

/*
 * Ranges of many pieces.
 */

#define NR_PIECES	1024

static struct kvec kvecs[NR_PIECES];

static u64 kvecs_sum(int ret)
{
	const struct kvec *first = &kvecs[0], *middle = &kvecs[NR_PIECES / 2];
	const struct kvec *last = &kvecs[NR_PIECES - 1];

	return ret + (unsigned long)first->iov_base + (unsigned long)middle->iov_base +
	       (unsigned long)last->iov_base + last->iov_len;
}

static noinline void ours_kvecs(const struct peers *peers, const u64 *accesses, unsigned int nr,
				u64 *sum)
{
	unsigned int i;

	CLASS(virtio_mem_xlate_view, view)(peers->xlate);

	*sum = 0;
	for (i = 0; i < nr; i++) {
		struct virtio_driver_range driver;

		barrier();
		if (virtio_driver_range_init(&driver, access_gpa(accesses[i]), NR_PIECES * SZ_4K))
			continue;
		*sum += kvecs_sum(virtio_mem_xlate_kvec(&view, driver, VIRTIO_MEM_XLATE_READ, kvecs,
							NR_PIECES));
	}
}

static noinline void iotlb_kvecs(const struct peers *peers, const u64 *accesses, unsigned int nr,
				 u64 *sum)
{
	unsigned int i;

	*sum = 0;
	for (i = 0; i < nr; i++) {
		barrier();
		*sum += kvecs_sum(vhost_translate(peers, access_gpa(accesses[i]), NR_PIECES * SZ_4K,
						  kvecs, NR_PIECES, VHOST_MAP_RO));
	}
}

static noinline void sorted_kvecs(const struct peers *peers, const u64 *accesses, unsigned int nr,
				  u64 *sum)
{
	unsigned int i;

	*sum = 0;
	for (i = 0; i < nr; i++) {
		barrier();
		*sum += kvecs_sum(sorted_kvec(peers, access_gpa(accesses[i]), NR_PIECES * SZ_4K,
					      kvecs, NR_PIECES));
	}
}

static const struct contender many_pieces[] = {
	{ "ours", ours_kvecs },
	{ "vhost_iotlb", iotlb_kvecs },
	{ "sorted", sorted_kvecs },
};

/*
 * Measuring.
 */

static u64 canary_best = U64_MAX;
static unsigned int nr_clean, nr_passes;

/*
 * Keeps all of the processor busy, and takes as long as ever unless somebody
 * else has it, its other half, its clock or its caches: what was measured
 * meanwhile is void then.
 */
static noinline u64 canary(void)
{
	static u32 table[1024], result;
	u32 a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
	u64 start = os_nsecs(), ns;
	unsigned int i;

	for (i = 0; i < 8192; i++) {
		a = a * 1664525 + 1013904223;
		b = (b << 5) + (b ^ i);
		c += READ_ONCE(table[i % ARRAY_SIZE(table)]) ^ (c >> 3);
		d ^= (d << 7) + i;
		e += READ_ONCE(table[(i * 7) % ARRAY_SIZE(table)]) + (e >> 5);
		f = (f << 3) - f + i;
	}
	WRITE_ONCE(result, a ^ b ^ c ^ d ^ e ^ f);
	ns = os_nsecs() - start;
	canary_best = min(canary_best, ns);
	return ns;
}

static bool canary_clean(u64 ns)
{
	return ns <= canary_best + canary_best / 8;
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static u64 median(u64 *values, unsigned int nr)
{
	sort(values, nr, sizeof(*values), cmp_u64, NULL);
	return values[nr / 2];
}

/*
 * A hypervisor's tick takes some 40 us out of every ms or so, too little for the
 * canary to see and too much for what takes 70 us.  So a pass is timed in slices,
 * of which the median counts.
 */
#define SLICES	16

/* One pass's picoseconds an access, and whether nobody disturbed it. */
static bool time_pass(pass_fn *pass, const struct peers *peers, const u64 *accesses,
		      unsigned int nr, u64 *ps, u64 *sum)
{
	unsigned int i, slice = nr / SLICES;
	u64 before, start, part, ns[SLICES];
	unsigned long flags;
	bool clean;

	local_irq_save(flags);
	/* What the one before left in the caches is not this one's. */
	pass(peers, accesses, nr, sum);
	*sum = 0;
	before = canary();
	for (i = 0; i < SLICES; i++) {
		start = os_nsecs();
		pass(peers, accesses + i * slice, slice, &part);
		ns[i] = os_nsecs() - start;
		*sum += part;
	}
	clean = canary_clean(canary()) && canary_clean(before);
	local_irq_restore(flags);
	*ps = div_u64(median(ns, SLICES) * 1000, slice);
	return clean;
}

/* What is being measured, for the first columns of a line. */
struct cell {
	const char *layout;
	unsigned int n;
	const char *pattern;
	const char *len;
	const char *mode;
};

#define MAX_ROUNDS	63
#define MAX_TRIES	5

static void run(const struct cell *cell, const struct contender *contenders, unsigned int nr,
		const struct peers *peers, const struct accesses *accesses, bool sum_is_kvas)
{
	static u64 ps[MAX_CONTENDERS][MAX_ROUNDS], clean_ps[MAX_CONTENDERS][MAX_ROUNDS];
	unsigned int clean[MAX_CONTENDERS] = {}, nr_pass[MAX_CONTENDERS], i, j, round, try;
	u64 expected[MAX_CONTENDERS] = {}, sum;
	char what[64];

	snprintf(what, sizeof(what), "%s %u %s %s %s", cell->layout, cell->n, cell->pattern,
		 cell->len, cell->mode);
	for (i = 0; i < nr; i++) {
		nr_pass[i] = accesses->nr;
		/* A scan of many slots is as slow after few accesses as after many. */
		if (i == SCAN)
			nr_pass[i] = round_down(clamp((1U << 22) / cell->n, 256, accesses->nr),
						SLICES);
		for (j = 0; sum_is_kvas && j < nr_pass[i]; j++)
			expected[i] += accesses->kvas[j];
		contenders[i].pass(peers, accesses->packed, nr_pass[i], &sum);
		if (!sum_is_kvas)
			expected[i] = i ? expected[0] : sum;
		check(sum == expected[i], what, contenders[i].name);
	}
	for (round = 0; round < rounds; round++) {
		for (i = 0; i < nr; i++) {
			for (try = 0; try < MAX_TRIES; try++) {
				bool ok = time_pass(contenders[i].pass, peers, accesses->packed,
						    nr_pass[i], &ps[i][round], &sum);

				if (sum != expected[i])
					check(false, what, contenders[i].name);
				nr_passes++;
				nr_clean += ok;
				if (ok) {
					clean_ps[i][clean[i]++] = ps[i][round];
					break;
				}
			}
		}
	}
	for (i = 0; i < nr; i++) {
		u64 *values = clean[i] ? clean_ps[i] : ps[i];
		u64 middle = median(values, clean[i] ?: rounds);

		pr_info("csv,%s,%u,%s,%s,%s,%s,%llu,%llu,%u,%u\n", cell->layout, cell->n,
			cell->pattern, cell->len, cell->mode, contenders[i].name, middle, values[0],
			clean[i], rounds);
	}
	cond_resched();
}

/* A line for what is no pass. */
static void report(const char *layout, unsigned int n, const char *what, const char *who,
		   u64 value)
{
	pr_info("csv,%s,%u,-,-,%s,%s,%llu,%llu,%u,%u\n", layout, n, what, who, value, value,
		rounds, rounds);
}

/*
 * Answers at the edges of slots, inside and outside, of all contenders.
 */
static void probe(const char *layout, const struct peers *peers,
		  const struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	unsigned int step = max(n / 256, 1U), i, j, k;
	bool ok[ARRAY_SIZE(throughput)];
	u64 sum;

	memset(ok, true, sizeof(ok));
	for (i = 0; i < n; i = i == n - 1 ? n : min(i + step, n - 1)) {
		u64 low = slots[i].gpa, end = slots[i].gpa + slots[i].size;
		const struct {
			u64 gpa;
			u64 len;
		} probes[] = {
			{ low, 1 }, { low, min(slots[i].size, SZ_64K) }, { end - 1, 1 },
			{ end - 1, 2 }, { end - SZ_4K, SZ_4K }, { end - SZ_4K, SZ_4K + 1 },
			{ end, 1 }, { low - 1, 1 }, { low - 1, 2 }, { end + SZ_2M, 1514 },
			{ low + SZ_1T, 16 },
		};

		for (j = 0; j < ARRAY_SIZE(probes); j++) {
			u64 access = access_pack(probes[j].gpa, probes[j].len);
			unsigned long kva = reference(slots, n, probes[j].gpa, probes[j].len);

			if (probes[j].gpa >> ACCESS_LEN_SHIFT || !probes[j].len)
				continue;
			for (k = 0; k < ARRAY_SIZE(throughput); k++) {
				throughput[k].pass(peers, &access, 1, &sum);
				ok[k] &= sum == kva;
			}
		}
	}
	for (k = 0; k < ARRAY_SIZE(throughput); k++)
		check(ok[k], layout, throughput[k].name);
}

static int make_all(struct peers *peers, const struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	int err;

	peers_init(peers, n);
	err = make_ours(peers, slots) ?: make_iotlb(peers, slots) ?: make_maple(peers, slots) ?:
	      make_kvm(peers, slots) ?: make_regions(peers, slots) ?: make_sorted(peers, slots);
	if (err)
		peers_free(peers);
	return err;
}

struct work {
	struct virtio_mem_xlate_slot *slots;
	u64 *sums;
	struct accesses accesses;
};

static int bench_layout(const struct guest_layout *layout, unsigned int n, struct work *work)
{
	struct cell cell = { .layout = layout->name, .n = n };
	struct peers peers;
	enum pattern pattern;
	int err;

	make_layout(layout, work->slots, n);
	err = make_all(&peers, work->slots, n);
	if (err)
		return err;
	probe(layout->name, &peers, work->slots, n);
	for (pattern = 0; pattern < NR_PATTERNS; pattern++) {
		if (brief && pattern != UNIFORM && pattern != BYTES)
			continue;
		cell.pattern = pattern_names[pattern];
		cell.len = "1-1514";
		make_accesses(work->slots, n, pattern, 0, 1, work->sums, &work->accesses);
		cell.mode = "throughput";
		run(&cell, throughput, ARRAY_SIZE(throughput), &peers, &work->accesses, true);
		if (pattern == SEQUENTIAL || pattern == ZIPF)
			continue;
		cell.mode = "chain";
		run(&cell, chain, ARRAY_SIZE(chain), &peers, &work->accesses, true);
	}
	cell.pattern = pattern_names[UNIFORM];
	make_accesses(work->slots, n, UNIFORM, 0, 1, work->sums, &work->accesses);
	cell.mode = "view";
	run(&cell, views, ARRAY_SIZE(views), &peers, &work->accesses, true);
	make_accesses(work->slots, n, UNIFORM, SZ_64K, 1, work->sums, &work->accesses);
	cell.len = "64K";
	cell.mode = "throughput";
	run(&cell, throughput, ARRAY_SIZE(throughput), &peers, &work->accesses, true);
	peers_free(&peers);
	return 0;
}

/* All slots share one piece of real memory, so that there is something to read. */
static int bench_descs(unsigned int n, struct work *work)
{
	struct cell cell = { "eq2m", n, "uniform", "16", "descriptor" };
	void *memory = vmalloc(SZ_2M);
	struct peers peers;
	unsigned int i;
	int err;

	if (!memory)
		return -ENOMEM;
	prandom_bytes_state(&rnd, memory, SZ_2M);
	make_layout(&guest_layouts[0], work->slots, n);
	for (i = 0; i < n; i++)
		work->slots[i].kva = memory;
	err = make_all(&peers, work->slots, n);
	if (!err) {
		make_accesses(work->slots, n, UNIFORM, 16, 16, work->sums, &work->accesses);
		run(&cell, descs, ARRAY_SIZE(descs), &peers, &work->accesses, false);
		peers_free(&peers);
	}
	vfree(memory);
	return err;
}

static int make_few(struct peers *peers, const struct virtio_mem_xlate_slot *slots, unsigned int n)
{
	int err;

	peers_init(peers, n);
	err = make_ours(peers, slots) ?: make_iotlb(peers, slots) ?: make_sorted(peers, slots);
	if (err)
		peers_free(peers);
	return err;
}

/* Long ranges in one slot, and beside them lookups in the small slots of the same table. */
static int bench_long(unsigned int n, struct work *work)
{
	struct cell cell = { .layout = cliff_layout.name, .n = n };
	struct peers peers;
	int err;

	make_layout(&cliff_layout, work->slots, n);
	err = make_few(&peers, work->slots, n);
	if (err)
		return err;
	make_accesses(work->slots, n, UNIFORM, 0, 1, work->sums, &work->accesses);
	cell.pattern = pattern_names[UNIFORM];
	cell.len = "1-1514";
	cell.mode = "throughput";
	run(&cell, few_throughput, ARRAY_SIZE(few_throughput), &peers, &work->accesses, true);
	cell.mode = "chain";
	run(&cell, few_chain, ARRAY_SIZE(few_chain), &peers, &work->accesses, true);
	make_long_accesses(work->slots, &work->accesses);
	cell.pattern = "one_slot";
	cell.len = "64K-4G";
	cell.mode = "throughput";
	run(&cell, long_throughput, ARRAY_SIZE(long_throughput), &peers, &work->accesses, true);
	cell.mode = "chain";
	run(&cell, long_chain, ARRAY_SIZE(long_chain), &peers, &work->accesses, true);
	peers_free(&peers);
	return 0;
}

static int bench_kvec(unsigned int n, struct work *work)
{
	struct cell cell = { pieces_layout.name, n, "uniform", "4M", "kvec" };
	struct accesses ranges = work->accesses;
	struct peers peers;
	unsigned int i;
	int err;

	make_layout(&pieces_layout, work->slots, n);
	err = make_few(&peers, work->slots, n);
	if (err)
		return err;
	ranges.nr = 16 * SLICES;
	for (i = 0; i < ranges.nr; i++)
		ranges.packed[i] = access_pack(random_below(n - NR_PIECES + 1) * SZ_4K, 1);
	run(&cell, many_pieces, ARRAY_SIZE(many_pieces), &peers, &ranges, false);
	peers_free(&peers);
	return 0;
}

/*
 * Loading, memory and updates.
 */

/* NR_FREE_PAGES leaves out the free pages that each processor keeps. */
static u64 bytes_held(void)
{
	unsigned long free = global_zone_page_state(NR_FREE_PAGES);
	struct zone *zone;
	int cpu;

	for_each_populated_zone(zone)
		for_each_online_cpu(cpu)
			free += per_cpu_ptr(zone->per_cpu_pageset, cpu)->count;
	return (totalram_pages() - free) * PAGE_SIZE;
}

/* User-mode Linux pays the host for each page that is new to it.  Has it pay for all. */
static void touch_memory(void)
{
	unsigned int order = get_order(SZ_4M);	/* the largest on each kernel */
	struct page *page, *next;
	LIST_HEAD(pages);

	while ((page = alloc_pages(GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN, order))) {
		memset(page_address(page), 1, PAGE_SIZE << order);
		list_add(&page->lru, &pages);
	}
	list_for_each_entry_safe(page, next, &pages, lru)
		__free_pages(page, order);
}

typedef int make_fn(struct peers *peers, const struct virtio_mem_xlate_slot *slots);

static const struct {
	const char *name;
	make_fn *make;
} makers[] = {
	{ "ours", make_ours },
	{ "vhost_iotlb", make_iotlb },
	{ "maple", make_maple },
	{ "kvm", make_kvm },
	{ "sorted", make_sorted },
};

#define MAX_COPIES	64

/*
 * Loads @n slots, by gpa or @shuffled, and reports how long that takes and how much memory
 * they hold.
 */
static int bench_load(const struct guest_layout *layout, unsigned int n, struct work *work,
		      unsigned int nr_makers, bool shuffled)
{
	unsigned int copies = clamp(32768U / n, n > 32768 ? 1U : 7U, MAX_COPIES), i, j;
	static struct peers peers[MAX_COPIES];
	static u64 ns[MAX_COPIES];
	u64 start, bytes;
	int err = 0;

	make_layout(layout, work->slots, n);
	if (shuffled)
		shuffle(work->slots, n);
	for (i = 0; i < nr_makers; i++) {
		bytes = bytes_held();
		for (j = 0; j < copies; j++) {
			peers_init(&peers[j], n);
			start = os_nsecs();
			err = err ?: makers[i].make(&peers[j], work->slots);
			ns[j] = os_nsecs() - start;
		}
		bytes = bytes_held() - bytes;
		for (j = 0; j < copies; j++)
			peers_free(&peers[j]);
		if (err)
			return err;
		report(layout->name, n, shuffled ? "load_shuffled_ns" : "load_ns", makers[i].name,
		       median(ns, copies));
		if (!shuffled)
			report(layout->name, n, "millibytes_a_slot", makers[i].name,
			       div_u64(bytes * 1000, n * copies));
		cond_resched();
	}
	return 0;
}

/*
 * One slot, the one at @at, is added to @n others.  That waits for a grace period, as an
 * empty one of the same kind does, whose time is to be taken off.
 */
static int bench_add(const struct guest_layout *layout, unsigned int n, unsigned int at,
		     const char *what, struct work *work)
{
	enum { TIMES = 501 };
	static u64 add[TIMES], grace[TIMES];
	unsigned int i, times = n > 1000 ? 21 : TIMES;
	struct virtio_mem_xlate_slot new;
	struct virtio_mem_xlate *xlate;
	struct srcu_struct srcu;
	int err;

	err = init_srcu_struct(&srcu);
	if (err)
		return err;
	make_layout(layout, work->slots, n + 1);
	new = work->slots[at];
	memmove(&work->slots[at], &work->slots[at + 1], (n - at) * sizeof(new));
	for (i = 0; i < times; i++) {
		u64 start;

		xlate = virtio_mem_xlate_register(work->slots, n);
		if (IS_ERR(xlate)) {
			err = PTR_ERR(xlate);
			break;
		}
		start = os_nsecs();
		err = virtio_mem_xlate_add(xlate, &new, 1);
		add[i] = os_nsecs() - start;
		virtio_mem_xlate_unregister(xlate);
		if (err)
			break;
		start = os_nsecs();
		synchronize_srcu_expedited(&srcu);
		grace[i] = os_nsecs() - start;
		cond_resched();
	}
	cleanup_srcu_struct(&srcu);
	if (err)
		return err;
	report(layout->name, n, what, "ours", median(add, times));
	report(layout->name, n, what, "grace_period", median(grace, times));
	return 0;
}

/* On top of and among 32763 slots, as a layout has its slots. */
static int bench_adds(const struct guest_layout *layout, struct work *work)
{
	const unsigned int n = 32763;

	return bench_add(layout, n, n, "add_top_ns", work) ?:
	       bench_add(layout, n, n / 2, "add_middle_ns", work) ?:
	       bench_add(layout, n, 0, "add_bottom_ns", work);
}

#define NR_CALLS	100000

/* Picoseconds of one @call, the median of some rounds. */
#define time_calls(call) ({							\
	u64 _ps[21], _start;							\
	unsigned int _round, _i;						\
										\
	for (_round = 0; _round < ARRAY_SIZE(_ps); _round++) {			\
		_start = os_nsecs();						\
		for (_i = 0; _i < NR_CALLS; _i++) {				\
			call;							\
			barrier();						\
		}								\
		_ps[_round] = div_u64((os_nsecs() - _start) * 1000, NR_CALLS);	\
		cond_resched();							\
	}									\
	median(_ps, ARRAY_SIZE(_ps));						\
})

/* Calls beside translation: views, holds, the dirty log. */
static int bench_calls(struct work *work)
{
	static unsigned long bitmap[2];
	struct virtio_driver_range page = { 0, 1514 };
	struct virtio_mem_xlate_view view, other;
	struct virtio_mem_xlate_hold hold;
	struct virtio_mem_xlate *xlate;
	int err;

	make_layout(&guest_layouts[0], work->slots, 1);
	xlate = virtio_mem_xlate_register(work->slots, 1);
	if (IS_ERR(xlate))
		return PTR_ERR(xlate);
	virtio_mem_xlate_read_lock(xlate, &view);
	report("eq2m", 1, "call_ps", "nothing", time_calls(OPTIMIZER_HIDE_VAR(page.start)));
	report("eq2m", 1, "call_ps", "view", time_calls(({
		virtio_mem_xlate_read_lock(xlate, &other);
		virtio_mem_xlate_read_unlock(&other);
	})));
	report("eq2m", 1, "call_ps", "hold", time_calls(({
		virtio_mem_xlate_hold(&view, &hold);
		virtio_mem_xlate_release(&hold);
	})));
	report("eq2m", 1, "call_ps", "dirty_off", time_calls(({
		OPTIMIZER_HIDE_VAR(page.start);
		virtio_mem_xlate_dirty(&view, page);
	})));
	virtio_mem_xlate_read_unlock(&view);
	err = virtio_mem_xlate_log_start(xlate, bitmap, 100);
	virtio_mem_xlate_read_lock(xlate, &view);
	report("eq2m", 1, "call_ps", "dirty_set", time_calls(({
		OPTIMIZER_HIDE_VAR(page.start);
		virtio_mem_xlate_dirty(&view, page);
	})));
	report("eq2m", 1, "call_ps", "dirty_new", time_calls(({
		bitmap[0] = 0;
		virtio_mem_xlate_dirty(&view, page);
	})));
	virtio_mem_xlate_read_unlock(&view);
	virtio_mem_xlate_unregister(xlate);
	return err;
}

/* A slot that goes and comes, at random places of a table. */
static int bench_flips(unsigned int n, struct work *work)
{
	const struct virtio_mem_xlate_slot *slot;
	struct virtio_mem_xlate *xlate;
	u64 absent[101], present[101];
	unsigned int i;

	make_layout(&guest_layouts[0], work->slots, n);
	xlate = virtio_mem_xlate_register(work->slots, n);
	if (IS_ERR(xlate))
		return PTR_ERR(xlate);
	for (i = 0; i < ARRAY_SIZE(absent); i++) {
		u64 start = os_nsecs(), middle;

		slot = &work->slots[random_below(n)];
		virtio_mem_xlate_set_absent(xlate, slot->gpa, slot->size);
		middle = os_nsecs();
		virtio_mem_xlate_set_present(xlate, slot->gpa, slot->size, slot->kva, slot->access);
		present[i] = os_nsecs() - middle;
		absent[i] = middle - start;
		cond_resched();
	}
	virtio_mem_xlate_unregister(xlate);
	report("eq2m", n, "flip_ns", "absent", median(absent, ARRAY_SIZE(absent)));
	report("eq2m", n, "flip_ns", "present", median(present, ARRAY_SIZE(present)));
	return 0;
}

static int bench_all(struct work *work)
{
	unsigned int i, j;
	int err = 0;

	for (i = 0; i < ARRAY_SIZE(guest_layouts) && !err; i++)
		for (j = 0; j < nr_n && !err; j++)
			err = bench_layout(&guest_layouts[i], n[j], work);
	for (j = 0; j < nr_n && !err; j++)
		err = bench_descs(n[j], work);
	for (j = 0; j < nr_n && !err; j++) {
		if (n[j] >= 4)
			err = bench_long(n[j], work);
		if (!err && n[j] >= 4 * NR_PIECES)
			err = bench_kvec(n[j], work);
	}
	for (i = 0; i < ARRAY_SIZE(guest_layouts); i++)
		for (j = 0; j < nr_n && !err; j++)
			if (n[j] >= 512)
				err = bench_load(&guest_layouts[i], n[j], work,
						 ARRAY_SIZE(makers), false) ?:
				      bench_load(&guest_layouts[i], n[j], work,
						 ARRAY_SIZE(makers), true);
	err = err ?: bench_add(&guest_layouts[0], 32, 32, "add_ns", work) ?: bench_calls(work) ?:
	      bench_flips(32764, work) ?: bench_flips(VIRTIO_MEM_XLATE_MAX_SLOTS, work);
	for (i = 0; i < ARRAY_SIZE(guest_layouts) && !err; i++)
		err = bench_adds(&guest_layouts[i], work);
	for (i = 0; i < 3 && !brief && !err; i += 2)
		err = bench_load(&guest_layouts[i], VIRTIO_MEM_XLATE_MAX_SLOTS, work, 2, false) ?:
		      bench_load(&guest_layouts[i], VIRTIO_MEM_XLATE_MAX_SLOTS, work, 2, true);
	return err;
}

/* Figures of a kernel that is built for something else would mislead. */
static const char *unfit(void)
{
	if (!IS_ENABLED(CONFIG_CC_OPTIMIZE_FOR_PERFORMANCE))
		return "not built with -O2";
	if (!IS_ENABLED(CONFIG_SLAB_FREELIST_RANDOM))
		return "no SLAB_FREELIST_RANDOM";
	if (!IS_BUILTIN(CONFIG_VHOST_IOTLB))
		return "vhost_iotlb is not built in";
	if (IS_ENABLED(CONFIG_KASAN) || IS_ENABLED(CONFIG_KCSAN) || IS_ENABLED(CONFIG_UBSAN) ||
	    IS_ENABLED(CONFIG_KMEMLEAK) || IS_ENABLED(CONFIG_GCOV_KERNEL) ||
	    IS_ENABLED(CONFIG_LOCKDEP) ||
	    IS_ENABLED(CONFIG_SLUB_DEBUG_ON) || IS_ENABLED(CONFIG_DEBUG_ATOMIC_SLEEP) ||
	    IS_ENABLED(CONFIG_FUNCTION_TRACER))
		return "a debugging kernel";
#ifndef array_index_mask_nospec
	return "not the processor's own mask against speculation";
#endif
	if (rounds < 5 || rounds > MAX_ROUNDS || nr_accesses < 65536 ||
	    nr_accesses % (32 * SLICES))
		return "rounds must be 5 to 63, nr_accesses a multiple of 512 from 65536 on";
	return NULL;
}

static int bench(void)
{
	struct work work = { .accesses.nr = nr_accesses };
	unsigned int i;
	u64 start;
	int err = -ENOMEM;

	if (unfit()) {
		pr_err("refused: %s\n", unfit());
		return -EINVAL;
	}
	prandom_seed_state(&rnd, seed);
	touch_memory();
	work.slots = vmalloc_array(VIRTIO_MEM_XLATE_MAX_SLOTS, sizeof(*work.slots));
	work.sums = vmalloc_array(VIRTIO_MEM_XLATE_MAX_SLOTS, sizeof(*work.sums));
	work.accesses.packed = vmalloc_array(nr_accesses, sizeof(*work.accesses.packed));
	work.accesses.kvas = vmalloc_array(nr_accesses, sizeof(*work.accesses.kvas));
	if (work.slots && work.sums && work.accesses.packed && work.accesses.kvas) {
		for (i = 0, start = os_nsecs(); i < 1000; i++)
			canary();
		pr_info("seed %u, %u rounds of %u accesses; the canary takes %llu ns at best, %llu on average\n",
			seed, rounds, nr_accesses, canary_best,
			div_u64(os_nsecs() - start, 1000));
		err = bench_all(&work);
	}
	vfree(work.slots);
	vfree(work.sums);
	vfree(work.accesses.packed);
	vfree(work.accesses.kvas);
	if (err)
		pr_err("error %d\n", err);
	pr_info("%u of %u passes undisturbed; the canary takes %llu ns at best\n", nr_clean,
		nr_passes, canary_best);
	pr_info("%s: %u passed, %u failed\n", err ? "cut short" : "done", nr_passed, nr_failed);
	return -EAGAIN;
}

/* Not __init: that is cold, and what only cold code calls GCC makes small, not fast. */
static int virtio_mem_xlate_bench_init(void)
{
	int err = bench();

	kernel_power_off();
	return err;
}
late_initcall_sync(virtio_mem_xlate_bench_init);

MODULE_DESCRIPTION("Benchmark of virtio_mem_xlate");
MODULE_LICENSE("GPL");
