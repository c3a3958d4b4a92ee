// SPDX-License-Identifier: GPL-2.0
/*
 * A driver of a virtio disk, in user space over vhost-vdpa.  It keeps to the rules or breaks
 * them, and prints the device's answers as KTAP.  Each page of its memory that the device may
 * access is between two pages of canaries.
 *
 *	driver rules DEVICE		requests good and bad, chains good and bad
 *	driver many DEVICE REQUESTS	random requests, against a model of the disk
 *	driver map DEVICE REQUESTS	the same, while the map of the memory changes
 *	driver hang DEVICE		requests that do not end: waits for a line on stdin
 *					after each step
 *	driver alone DEVICE		only opens, maps and starts it, for failing allocations
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "ktap.h"

#ifndef VHOST_VDPA_RESUME
#define VHOST_VDPA_RESUME _IO(VHOST_VIRTIO, 0x7E)
#endif
#ifndef VHOST_VDPA_SUSPEND
#define VHOST_VDPA_SUSPEND _IO(VHOST_VIRTIO, 0x7D)
#endif
#ifndef VIRTIO_F_ACCESS_PLATFORM
#define VIRTIO_F_ACCESS_PLATFORM 33
#endif

#define PAGE		4096
#define NUM		256	/* of descriptors */
#define CANARY		0xa5
#define SECTOR		512

#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

/* Page i is at this address here, and below GPA for the device; page 0 and 1 are adjacent there. */
#define NR_PAGES	160
#define ARENA		((uint8_t *)0x700000000000)
#define GPA		0x100000ULL
#define BIG		((uint8_t *)0x710000000000)	/* adjacent pages */
#define BIG_GPA		0x40000000ULL
#define BIG_SIZE	(8 << 20)
#define APART		((uint8_t *)0x720000000000)	/* two pages, adjacent but not in memory */
#define APART_GPA	0x50000000ULL
#define HOLE		(1ULL << 40)
#define ROM		(BIG_GPA + (1ULL << 30))	/* the device may only read */

static int fd, nr_queues;
static struct virtio_blk_config config;
static uint64_t device_features, features;

static struct vring_desc *desc;
static struct vring_avail *avail;
static struct vring_used *used;
static int kick, call;

static uint8_t *page(unsigned int i)
{
	return ARENA + (3 * i + 1) * PAGE;
}

static uint64_t gpa(void *p)
{
	uint64_t offset = (uint8_t *)p - ARENA, i = offset / (3 * PAGE);

	if ((uint8_t *)p >= BIG && (uint8_t *)p < BIG + BIG_SIZE)
		return BIG_GPA + ((uint8_t *)p - BIG);
	if ((uint8_t *)p >= APART && (uint8_t *)p < APART + 2 * PAGE)
		return APART_GPA + ((uint8_t *)p - APART);
	return GPA + (i < 2 ? i : i * 16) * PAGE + offset % PAGE;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static uint64_t seed = 1;

static uint64_t rnd(uint64_t n)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return (seed >> 33) % n;
}

/*
 * The device
 */
static int map_msg(unsigned int type, uint64_t iova, uint64_t size, void *at, unsigned int perm)
{
	struct vhost_msg_v2 msg = {
		.type = VHOST_IOTLB_MSG_V2,
		.iotlb = {
			.iova = iova, .size = size, .uaddr = (uintptr_t)at, .perm = perm,
			.type = type,
		},
	};

	return write(fd, &msg, sizeof(msg)) == sizeof(msg) ? 0 : -errno;
}

static void map(uint64_t iova, uint64_t size, void *at, unsigned int perm)
{
	int e = map_msg(VHOST_IOTLB_UPDATE, iova, size, at, perm);

	if (e)
		errx(1, "map: %s", strerror(-e));
}

static int unmap(uint64_t iova, uint64_t size)
{
	return map_msg(VHOST_IOTLB_INVALIDATE, iova, size, NULL, 0);
}

static void map_all(void)
{
	unsigned int i;

	map_msg(VHOST_IOTLB_BATCH_BEGIN, 0, 0, NULL, 0);
	for (i = 0; i < NR_PAGES; i++)
		map(gpa(page(i)), PAGE, page(i), VHOST_ACCESS_RW);
	map(BIG_GPA, BIG_SIZE, BIG, VHOST_ACCESS_RW);
	map(APART_GPA, 2 * PAGE, APART, VHOST_ACCESS_RW);
	map(ROM, PAGE, BIG, VHOST_ACCESS_RO);
	if (map_msg(VHOST_IOTLB_BATCH_END, 0, 0, NULL, 0))
		errx(1, "map");
}

static void open_device(const char *path)
{
	uint64_t backend;
	struct vhost_vdpa_config *c = malloc(sizeof(*c) + sizeof(config));
	uint32_t id, vqs;
	size_t i;

	/* vhost-vdpa charges what it pins. */
	setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY });
	if (mmap(ARENA, NR_PAGES * 3 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ||
	    mmap(BIG, BIG_SIZE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		err(1, "mmap");
	memset(ARENA, CANARY, NR_PAGES * 3 * PAGE);
	for (i = 0; i < NR_PAGES; i++)
		memset(page(i), 0, PAGE);
	memset(BIG, 0, BIG_SIZE);
	fd = memfd_create("apart", 0);
	if (ftruncate(fd, 2 * PAGE) || pwrite(fd, "a", 1, 0) != 1 || pwrite(fd, "b", 1, PAGE) != 1 ||
	    mmap(APART, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, PAGE) ==
	    MAP_FAILED ||
	    mmap(APART + PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED)
		err(1, "memfd");
	close(fd);
	fd = open(path, O_RDWR);
	if (fd < 0 || ioctl(fd, VHOST_SET_OWNER))
		err(1, "%s", path);
	if (ioctl(fd, VHOST_GET_BACKEND_FEATURES, &backend) ||
	    ioctl(fd, VHOST_SET_BACKEND_FEATURES, &backend) ||
	    ioctl(fd, VHOST_VDPA_GET_DEVICE_ID, &id) || id != 2 ||
	    ioctl(fd, VHOST_VDPA_GET_VQS_COUNT, &vqs) ||
	    ioctl(fd, VHOST_GET_FEATURES, &device_features))
		err(1, "features");
	nr_queues = vqs;
	c->off = 0;
	c->len = sizeof(config);
	if (ioctl(fd, VHOST_VDPA_GET_CONFIG, c))
		err(1, "config");
	memcpy(&config, c->buf, sizeof(config));
	free(c);
	/* A descriptor table, and rings, which the queue's pages are not adjacent for. */
	desc = (void *)page(8);
	avail = (void *)page(10);
	used = (void *)page(12);
	kick = eventfd(0, EFD_NONBLOCK);
	call = eventfd(0, EFD_NONBLOCK);
}

static uint8_t status(void)
{
	uint8_t s = 0;

	if (ioctl(fd, VHOST_VDPA_GET_STATUS, &s))
		err(1, "status");
	return s;
}

static void set_status(uint8_t s)
{
	if (ioctl(fd, VHOST_VDPA_SET_STATUS, &s))
		err(1, "set status %x", s);
}

static int queue_start(unsigned int q, unsigned int num, unsigned int base)
{
	struct vhost_vring_state n = { q, num }, b = { q, base }, enable = { q, 1 };
	struct vhost_vring_file k = { q, kick }, c = { q, call };
	struct vhost_vring_addr addr = {
		.index = q, .desc_user_addr = gpa(desc), .avail_user_addr = gpa(avail),
		.used_user_addr = gpa(used),
	};

	return ioctl(fd, VHOST_SET_VRING_NUM, &n) || ioctl(fd, VHOST_SET_VRING_BASE, &b) ||
	       ioctl(fd, VHOST_SET_VRING_ADDR, &addr) || ioctl(fd, VHOST_SET_VRING_KICK, &k) ||
	       ioctl(fd, VHOST_SET_VRING_CALL, &c) ||
	       ioctl(fd, VHOST_VDPA_SET_VRING_ENABLE, &enable);
}

static unsigned int queue_nr;

static void start_at(unsigned int q, uint64_t want, unsigned int base)
{
	set_status(0);
	memset(desc, 0, PAGE);
	memset(avail, 0, sizeof(*avail) + (NUM + 1) * sizeof(avail->ring[0]));
	memset(used, 0, sizeof(*used) + NUM * sizeof(used->ring[0]) + 2);
	avail->idx = base;
	used->idx = base;
	queue_nr = q;
	features = device_features & want;
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	if (ioctl(fd, VHOST_SET_FEATURES, &features))
		err(1, "set features");
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		   VIRTIO_CONFIG_S_FEATURES_OK);
	if (queue_start(q, NUM, base))
		err(1, "queue");
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
		   VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK);
}

#define NO_EVENTS	(~(1ULL << VIRTIO_RING_F_EVENT_IDX))

static void start(void)
{
	start_at(0, NO_EVENTS, 0);
}

static bool canaries_alive(void)
{
	size_t i;

	for (i = 0; i < NR_PAGES * 3 * PAGE; i++)
		if (i / PAGE % 3 != 1 && ARENA[i] != CANARY)
			return false;
	return true;
}

/*
 * The ring
 */
static void set(unsigned int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static void put(uint16_t head)
{
	avail->ring[avail->idx % NUM] = head;
	__sync_synchronize();
	*(volatile uint16_t *)&avail->idx = avail->idx + 1;
}

static void notify(void)
{
	uint64_t one = 1;

	__sync_synchronize();
	if (write(kick, &one, sizeof(one)) != sizeof(one))
		err(1, "kick");
}

static uint16_t used_idx(void)
{
	uint16_t idx = *(volatile uint16_t *)&used->idx;

	__sync_synchronize();
	return idx;
}

/* Waits until @idx requests have been used, or more. */
static bool wait_used(uint16_t idx, unsigned int ms)
{
	struct pollfd p = { .fd = call, .events = POLLIN };
	double end = now() + ms / 1e3;
	uint64_t n;

	while ((int16_t)(used_idx() - idx) < 0) {
		if (now() > end)
			return false;
		poll(&p, 1, 5);
		(void)!read(call, &n, sizeof(n));
	}
	return true;
}

/* The header is in page 2, the status in page 3, the data in page 4 and behind, or in BIG. */
#define HEADER	((struct virtio_blk_outhdr *)page(2))
#define STATUS	(page(3) + 7)

static void header(uint32_t type, uint64_t sector)
{
	*HEADER = (struct virtio_blk_outhdr){ .type = type, .sector = sector };
	*STATUS = 0xee;
}

static uint32_t used_len;

/* Publishes the chain at 0 and returns the status that the device has written, or -1. */
static int go(void)
{
	uint16_t idx = used_idx();

	put(0);
	notify();
	if (!wait_used(idx + 1, 5000))
		return -1;
	used_len = used->ring[idx % NUM].len;
	return used->ring[idx % NUM].id ? -2 : *STATUS;
}

/* A request with one buffer. */
static int request(uint32_t type, uint64_t sector, void *data, uint32_t len, uint16_t flags)
{
	header(type, sector);
	set(0, gpa(HEADER), 16, N, 1);
	set(1, gpa(data), len, N | flags, 2);
	set(2, gpa(STATUS), 1, W, 0);
	return go();
}

static int write_at(uint64_t sector, void *data, uint32_t len)
{
	return request(VIRTIO_BLK_T_OUT, sector, data, len, 0);
}

static int read_at(uint64_t sector, void *data, uint32_t len)
{
	return request(VIRTIO_BLK_T_IN, sector, data, len, W);
}

static void pattern(uint8_t *p, size_t len, uint64_t n)
{
	uint64_t x = (n + 1) * 0x9e3779b97f4a7c15;

	for (; len; len--, p++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		*p = x >> 56;
	}
}

static bool has(const uint8_t *p, size_t len, uint64_t n)
{
	uint8_t *want = malloc(len);
	bool same;

	pattern(want, len, n);
	same = !memcmp(p, want, len);
	free(want);
	return same;
}

static bool all_zero(const uint8_t *p, size_t len)
{
	while (len && !*p)
		p++, len--;
	return !len;
}

static unsigned int block;	/* of the disk, in bytes */

/*
 * Requests
 */
static void try_rw(void)
{
	uint8_t *data = BIG;
	bool good;

	start();
	pattern(data, 64 << 10, 1);
	good = write_at(8, data, 64 << 10) == VIRTIO_BLK_S_OK && used_len == 1;
	memset(data, 0, 64 << 10);
	good &= read_at(8, data, 64 << 10) == VIRTIO_BLK_S_OK && used_len == (64 << 10) + 1;
	result(good && has(data, 64 << 10, 1), "write and read");

	pattern(data, BIG_SIZE / 8, 2);
	good = write_at(0, data, BIG_SIZE / 8) == VIRTIO_BLK_S_OK;
	memset(data, 0, BIG_SIZE / 8);
	good &= read_at(0, data, BIG_SIZE / 8) == VIRTIO_BLK_S_OK;
	result(good && has(data, BIG_SIZE / 8, 2), "write and read the largest segment");
	result(read_at(0, data, (BIG_SIZE / 8) + block) == VIRTIO_BLK_S_IOERR,
	       "a longer segment: error");

	result(request(VIRTIO_BLK_T_FLUSH, 0, data, 0x10, 0) == VIRTIO_BLK_S_OK &&
	       used_len == 1, "flush");
	memset(page(4), 1, 32);
	good = request(VIRTIO_BLK_T_GET_ID, 0, page(4), 20, W) == VIRTIO_BLK_S_OK;
	result(good && used_len == 21 && !strncmp((char *)page(4), "disk", 4) && page(4)[20] == 1,
	       "get-id: %.20s", (char *)page(4));
	result(request(99, 0, page(4), 512, W) == VIRTIO_BLK_S_UNSUPP, "unknown type: unsupported");
	result(request(16, 0, page(4), 512, W) == VIRTIO_BLK_S_UNSUPP,
	       "zones: unsupported");
}

static void try_bad_requests(void)
{
	static const struct {
		const char *name;
		uint64_t sector;	/* added to the capacity if @end */
		bool end;
		uint32_t len;
	} bad[] = {
		{ "sector past the end", 0, true, 4096 },
		{ "sectors across the end", -4, true, 4096 },
		{ "sector 2^63", 1ULL << 63, false, 4096 },
		{ "sector 2^64 - 8", -8ULL, false, 4096 },
		{ "sector 2^55: wraps in bytes", 1ULL << 55, false, 4096 },
		{ "513 bytes", 8, false, 513 },
		{ "511 bytes", 8, false, 511 },
		{ "1 byte", 8, false, 1 },
	};
	unsigned int i;

	start();
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t sector = bad[i].sector + (bad[i].end ? config.capacity : 0);

		memset(page(4), 3, PAGE);
		result(read_at(sector, page(4), bad[i].len) == VIRTIO_BLK_S_IOERR &&
		       page(4)[0] == 3, "read, %s: error", bad[i].name);
		result(write_at(sector, page(4), bad[i].len) == VIRTIO_BLK_S_IOERR,
		       "write, %s: error", bad[i].name);
	}
	if (block > SECTOR) {
		result(read_at(1, page(4), block) == VIRTIO_BLK_S_IOERR,
		       "read, sector inside of a block: error");
		result(read_at(8, page(4), SECTOR) == VIRTIO_BLK_S_IOERR,
		       "read, half a block: error");
	}
	result(read_at(config.capacity - 8, page(4), PAGE) == VIRTIO_BLK_S_OK,
	       "read, the last sectors");
}

/* Publishes @nr segments of @len bytes, from BIG on, in an indirect table. */
static int indirect(uint32_t type, uint64_t sector, unsigned int nr, uint32_t len, uint32_t stride)
{
	struct vring_desc *t = (void *)(BIG + BIG_SIZE / 2);
	uint16_t flags = type == VIRTIO_BLK_T_IN ? W : 0;
	unsigned int i;

	header(type, sector);
	t[0] = (struct vring_desc){ gpa(HEADER), 16, N, 1 };
	for (i = 0; i < nr; i++)
		t[1 + i] = (struct vring_desc){ BIG_GPA + i * stride, len, N | flags, i + 2 };
	t[1 + nr] = (struct vring_desc){ gpa(STATUS), 1, W, 0 };
	set(0, gpa(t), (nr + 2) * sizeof(*t), I, 0);
	return go();
}

static void try_shapes(void)
{
	unsigned int i, n;
	uint8_t *p;
	bool good;

	start();
	for (i = 0; i < 254; i++)
		pattern(BIG + i * PAGE, block, i);
	good = indirect(VIRTIO_BLK_T_OUT, 64, 254, block, PAGE) == VIRTIO_BLK_S_OK;
	memset(BIG, 0, 1 << 20);
	good &= indirect(VIRTIO_BLK_T_IN, 64, 254, block, PAGE) == VIRTIO_BLK_S_OK;
	for (i = 0; i < 254; i++)
		good &= has(BIG + i * PAGE, block, i);
	result(good, "254 segments, indirect");
	result(indirect(VIRTIO_BLK_T_IN, 64, 255, block, PAGE) == VIRTIO_BLK_S_IOERR,
	       "255 segments: error");

	/* One segment over pages 0 and 1, which are apart in memory. */
	pattern(page(0), PAGE, 7);
	pattern(page(1), PAGE, 8);
	good = write_at(0, page(0), 2 * PAGE) == VIRTIO_BLK_S_OK;
	good &= read_at(0, BIG, 2 * PAGE) == VIRTIO_BLK_S_OK;
	result(good && has(BIG, PAGE, 7) && has(BIG + PAGE, PAGE, 8), "one segment over two slots");

	/* Header of 7 + 9 bytes, data of 1 + (block - 2) + 1 bytes at odd addresses. */
	p = BIG + 33;
	pattern(p, block, 9);
	header(VIRTIO_BLK_T_OUT, 8);
	set(0, gpa(HEADER), 7, N, 1);
	set(1, gpa((uint8_t *)HEADER + 7), 9, N, 2);
	set(2, gpa(p), 1, N, 3);
	set(3, gpa(p + 1), block - 2, N, 4);
	set(4, gpa(p + block - 1), 1, N, 5);
	set(5, gpa(STATUS), 1, W, 0);
	good = go() == VIRTIO_BLK_S_OK;
	good &= read_at(8, BIG + PAGE * 4, block) == VIRTIO_BLK_S_OK &&
		has(BIG + PAGE * 4, block, 9);
	result(good, "write from odd pieces");
	/* Data of 1 + 1 + rest, with the status behind in the same buffer. */
	p = BIG + PAGE * 8 + 1;
	memset(p - 1, 0xee, block + 3);
	header(VIRTIO_BLK_T_IN, 8);
	set(0, gpa(HEADER), 16, N, 1);
	set(1, gpa(p), 1, N | W, 2);
	set(2, gpa(p + 1), 1, N | W, 3);
	set(3, gpa(p + 2), block - 2 + 1, W, 0);
	n = used_idx();
	put(0);
	notify();
	good = wait_used(n + 1, 5000) && p[block] == VIRTIO_BLK_S_OK && has(p, block, 9) &&
	       p[-1] == 0xee && p[block + 1] == 0xee && used->ring[n % NUM].len == block + 1;
	result(good, "read into odd pieces, the status behind the data");
	/* Header and data in one buffer. */
	p = BIG + PAGE * 16 - 16;
	*(struct virtio_blk_outhdr *)p = (struct virtio_blk_outhdr){ .type = 1, .sector = 16 };
	pattern(p + 16, block, 10);
	*STATUS = 0xee;
	set(0, gpa(p), 16 + block, N, 1);
	set(1, gpa(STATUS), 1, W, 0);
	good = go() == VIRTIO_BLK_S_OK && read_at(16, BIG, block) == VIRTIO_BLK_S_OK;
	result(good && has(BIG, block, 10), "header and data in one buffer");
}

static int ranges(uint32_t type, unsigned int nr, uint64_t sector, uint32_t len, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes *r = (void *)page(4);
	unsigned int i;

	for (i = 0; i < nr; i++)
		r[i] = (struct virtio_blk_discard_write_zeroes){ sector + 2 * i * len, len, flags };
	return request(type, 0, r, nr * sizeof(*r), 0);
}

static void try_ranges(void)
{
	uint32_t n = block / SECTOR, zero = VIRTIO_BLK_T_WRITE_ZEROES;
	bool good, discards = device_features & (1ULL << VIRTIO_BLK_F_DISCARD);
	uint32_t type;

	start();
	memset(BIG, 5, 64 << 10);
	good = write_at(0, BIG, 64 << 10) == VIRTIO_BLK_S_OK &&
	       ranges(zero, 3, 0, n, 0) == VIRTIO_BLK_S_OK &&
	       read_at(0, BIG, 64 << 10) == VIRTIO_BLK_S_OK;
	result(good && all_zero(BIG, block) && BIG[block] == 5 && all_zero(BIG + 2 * block, block) &&
	       BIG[3 * block] == 5 && all_zero(BIG + 4 * block, block) && BIG[5 * block] == 5,
	       "write zeroes: three ranges");
	for (type = zero; type; type = type == zero && discards ? VIRTIO_BLK_T_DISCARD : 0) {
		const char *name = type == zero ? "write zeroes" : "discard";

		result(ranges(type, 1, 8, 8, 2) == VIRTIO_BLK_S_UNSUPP,
		       "%s, unknown flag: unsupported", name);
		result(ranges(type, 1, config.capacity - 8, 16, 0) == VIRTIO_BLK_S_IOERR,
		       "%s, across the end: error", name);
		result(ranges(type, 1, -8ULL, 8, 0) == VIRTIO_BLK_S_IOERR,
		       "%s, sector 2^64 - 8: error", name);
		result(ranges(type, 17, 8, 8, 0) == VIRTIO_BLK_S_IOERR, "%s, 17 ranges: error",
		       name);
		result(request(type, 0, page(4), 17, 0) == VIRTIO_BLK_S_IOERR,
		       "%s, 17 bytes: error", name);
		result(ranges(type, 16, 0, n, 0) == VIRTIO_BLK_S_OK, "%s, 16 ranges", name);
	}
	if (discards)
		result(ranges(VIRTIO_BLK_T_DISCARD, 1, 8, 8, 1) == VIRTIO_BLK_S_UNSUPP,
		       "discard, flag of write zeroes: unsupported");
	start_at(0, NO_EVENTS & ~(1ULL << VIRTIO_BLK_F_WRITE_ZEROES | 1 << VIRTIO_BLK_F_DISCARD), 0);
	result(ranges(zero, 1, 8, 8, 0) == VIRTIO_BLK_S_UNSUPP,
	       "write zeroes, not negotiated: unsupported");
}

static void try_read_only(void)
{
	start();
	result(write_at(0, BIG, block) == VIRTIO_BLK_S_IOERR, "read-only: a write is an error");
	result(ranges(VIRTIO_BLK_T_WRITE_ZEROES, 1, 8, 8, 0) == VIRTIO_BLK_S_IOERR,
	       "read-only: zeroes are an error");
	result(read_at(0, BIG, block) == VIRTIO_BLK_S_OK, "read-only: reads work");
}

static void try_life(void)
{
	struct vhost_vring_state base = { 0, 0 };
	uint16_t idx;
	bool good;
	int q;

	start();
	good = read_at(0, BIG, block) == 0 && !ioctl(fd, VHOST_VDPA_SUSPEND);
	idx = used_idx();
	header(VIRTIO_BLK_T_IN, 0);
	put(0);
	notify();
	good &= !wait_used(idx + 1, 300);
	good &= !ioctl(fd, VHOST_GET_VRING_BASE, &base) && base.num == 1;
	result(good, "suspend: no chain is taken, the base is %u", base.num);
	good = !ioctl(fd, VHOST_VDPA_RESUME) && wait_used(idx + 1, 3000);
	result(good && *STATUS == 0, "resume: the chain is taken");
	start_at(0, NO_EVENTS, 65530);
	for (q = 0, good = true; q < 20; q++)
		good &= read_at(0, BIG, block) == 0;
	result(good && used_idx() == 14, "a queue that begins at 65530");
	for (q = 0; q < nr_queues; q++) {
		start_at(q, NO_EVENTS, 0);
		result(read_at(0, BIG, block) == 0, "queue %d of %d", q, nr_queues);
	}
	start();
	for (q = 0, good = true; q < 100; q++) {
		start();
		header(VIRTIO_BLK_T_IN, 0);
		set(0, gpa(HEADER), 16, N, 1);
		set(1, gpa(BIG), 64 << 10, N | W, 2);
		set(2, gpa(STATUS), 1, W, 0);
		put(0);
		notify();
		set_status(0);
		idx = used_idx();
		usleep(1000);
		good &= used_idx() == idx;
	}
	result(good, "reset with a request in flight, 100 times: none ends after it");
}

/* The same chain, again and again: more than the queue may have in flight. */
static void try_flood(void)
{
	unsigned int i, sent = 0, got = 0;
	uint16_t last = 0;
	bool good = true;

	start();
	header(VIRTIO_BLK_T_IN, 0);
	set(0, gpa(HEADER), 16, N, 1);
	set(1, gpa(BIG), block, N | W, 2);
	set(2, gpa(STATUS), 1, W, 0);
	while (got < 65536 + 1000 && good) {
		for (i = 0; i < NUM && sent - got < NUM; i++, sent++)
			put(0);
		notify();
		good = wait_used(sent, 5000);
		got += (uint16_t)(used_idx() - last);
		last = used_idx();
	}
	result(good && got == sent && !(status() & VIRTIO_CONFIG_S_NEEDS_RESET),
	       "one chain, %u times", got);
}

/*
 * Bad chains: the queue stops.
 */
static void good_chain(void)
{
	header(VIRTIO_BLK_T_IN, 0);
	set(0, gpa(HEADER), 16, N, 1);
	set(1, gpa(page(4)), block, N | W, 2);
	set(2, gpa(STATUS), 1, W, 0);
}

#define CHAIN(name, ...) \
	static uint16_t name(void) { good_chain(); __VA_ARGS__; return 0; }

CHAIN(loop_of_one, set(0, gpa(HEADER), 16, N, 0))
CHAIN(loop_of_two, set(2, gpa(STATUS), 1, N | W, 1))
CHAIN(next_past_end, set(1, gpa(page(4)), block, N | W, NUM))
CHAIN(next_far, set(1, gpa(page(4)), block, N | W, 0xffff))
CHAIN(zero_header, set(0, gpa(HEADER), 0, N, 1))
CHAIN(zero_data, set(1, gpa(page(4)), 0, N | W, 2))
CHAIN(zero_status, set(2, gpa(STATUS), 0, W, 0))
CHAIN(short_header, set(0, gpa(HEADER), 15, N, 1))
CHAIN(header_written, set(0, gpa(HEADER), 16, N | W, 1))
CHAIN(no_status, set(1, gpa(page(4)), block, 0, 0); HEADER->type = 1)
CHAIN(header_alone, set(0, gpa(HEADER), 16, 0, 0))
CHAIN(read_after_write, set(2, gpa(page(5)), block, N, 3); set(3, gpa(STATUS), 1, W, 0))
CHAIN(header_in_hole, set(0, HOLE, 16, N, 1))
CHAIN(data_in_hole, set(1, HOLE, block, N | W, 2))
CHAIN(data_in_hole_written, HEADER->type = 1; set(1, HOLE, block, N, 2))
CHAIN(status_in_hole, set(2, HOLE, 1, W, 0))
CHAIN(status_in_rom, set(2, ROM, 1, W, 0))
CHAIN(data_in_rom, set(1, ROM, block, N | W, 2))
CHAIN(data_wraps, set(1, UINT64_MAX - 15, block, N | W, 2))
CHAIN(data_at_end, set(1, -(uint64_t)block, block, N | W, 2))
CHAIN(status_wraps, set(2, UINT64_MAX, 2, W, 0))
CHAIN(kernel_data, set(1, 0xffffffff81000000, block, N | W, 2))
CHAIN(direct_map_data, set(1, 0xffff888000000000, block, N | W, 2))
CHAIN(into_hole, set(1, gpa(page(6)) + PAGE - SECTOR, 8 * block, N | W, 2))
CHAIN(over_hole, set(1, gpa(page(6)), 17 * PAGE, N | W, 2))
CHAIN(into_hole_odd, set(1, gpa(page(6)) + PAGE - 5, 2 * block, N | W, 2))

static uint16_t head_past_end(void)
{
	good_chain();
	return NUM;
}

static uint16_t index_jumps(void)
{
	good_chain();
	avail->idx += NUM;
	return 0;
}

static struct vring_desc *table(uint32_t len, uint16_t flags)
{
	struct vring_desc *t = (void *)page(7);

	good_chain();
	memcpy(t, desc, 3 * sizeof(*t));
	set(0, gpa(t), len, I | flags, 1);
	return t;
}

#define TABLE(name, len, flags, ...) \
	static uint16_t name(void) \
	{ struct vring_desc *t = table(len, flags); (void)t; __VA_ARGS__; return 0; }

TABLE(indirect_of_indirect, 48, 0, t[1] = (struct vring_desc){ gpa(t), 48, I, 0 })
TABLE(indirect_loop, 48, 0, t[2].flags |= N; t[2].next = 1)
TABLE(indirect_past_end, 32, 0, )
TABLE(indirect_odd, 49, 0, )
TABLE(indirect_empty, 0, 0, )
TABLE(indirect_and_next, 48, N, )
TABLE(indirect_in_hole, 48, 0, desc[0].addr = HOLE)
TABLE(indirect_into_hole, 48, 0, desc[0].addr = gpa(page(7)) + PAGE - 16)
TABLE(indirect_wraps, 64, 0, desc[0].addr = UINT64_MAX - 15)
TABLE(indirect_huge, 0xfffffff0, 0, t[2].flags |= N; t[2].next = 300)

static const struct {
	const char *name;
	uint16_t (*make)(void);
} chains[] = {
#define C(name) { #name, name }
	C(loop_of_one), C(loop_of_two), C(next_past_end), C(next_far), C(zero_header),
	C(zero_data), C(zero_status), C(short_header), C(header_written), C(no_status),
	C(header_alone), C(read_after_write), C(header_in_hole), C(data_in_hole),
	C(data_in_hole_written), C(status_in_hole), C(status_in_rom), C(data_in_rom),
	C(data_wraps), C(data_at_end), C(status_wraps), C(kernel_data), C(direct_map_data),
	C(into_hole), C(over_hole), C(into_hole_odd), C(head_past_end), C(index_jumps),
	C(indirect_of_indirect), C(indirect_loop), C(indirect_past_end), C(indirect_odd),
	C(indirect_empty), C(indirect_and_next), C(indirect_in_hole), C(indirect_into_hole),
	C(indirect_wraps), C(indirect_huge),
};

static bool needs_reset(unsigned int ms)
{
	double end = now() + ms / 1e3;

	while (!(status() & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		if (now() > end)
			return false;
		usleep(1000);
	}
	return true;
}

static void try_chains(void)
{
	const char *answer;
	unsigned int i;

	for (i = 0; i < sizeof(chains) / sizeof(chains[0]); i++) {
		start();
		memset(page(4), 0x11, PAGE);
		put(chains[i].make());
		notify();
		answer = "needs reset, not used";
		if (!needs_reset(2000))
			answer = "NO RESET NEEDED";
		else if (used_idx())
			answer = "USED";
		else if (!canaries_alive())
			answer = "CANARY DEAD";
		start();
		if (read_at(0, page(4), block) != VIRTIO_BLK_S_OK)
			answer = "DEAD AFTER RESET";
		result(*answer == 'n', "%s: %s", chains[i].name, answer);
	}
}

static volatile bool stop;

static void *flip(void *unused)
{
	volatile struct vring_desc *d = &desc[1];
	volatile struct virtio_blk_outhdr *h = HEADER;
	uint64_t good = gpa(page(4)), bad[] = { HOLE, UINT64_MAX - 15, ROM, 0 };
	unsigned int n = 0;

	while (!stop) {
		d->addr = n & 1 ? good : bad[n / 2 % 4];
		d->len = n & 2 ? block : 0xffffffff;
		d->flags = n & 4 ? N | W : N;
		d->next = n & 8 ? 2 : 0;
		h->type = n & 16 ? 0 : n;
		h->sector = n & 32 ? 0 : (uint64_t)n << 50;
		n++;
	}
	return unused;
}

static void try_flipping(void)
{
	unsigned int i, stops = 0, uses = 0;
	pthread_t thread;

	for (i = 0; i < 300; i++) {
		start();
		good_chain();
		stop = false;
		pthread_create(&thread, NULL, flip, NULL);
		put(0);
		notify();
		wait_used(1, 10);
		stops += !!(status() & VIRTIO_CONFIG_S_NEEDS_RESET);
		uses += used_idx();
		stop = true;
		pthread_join(thread, NULL);
	}
	start();
	result(canaries_alive() && read_at(0, page(4), block) == VIRTIO_BLK_S_OK && stops && uses,
	       "changed while read: used %u, stopped %u of %u times", uses, stops, i);
}

/* What the driver says of its rings and its map is wrong. */
static void try_setup(void)
{
	struct vring_used *u = used;
	struct vring_avail *a = avail;
	uint64_t bad = 1ULL << VIRTIO_F_VERSION_1;
	bool good;

	set_status(0);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	good = ioctl(fd, VHOST_SET_FEATURES, &bad) == -1;
	bad = ~0ULL;
	good &= ioctl(fd, VHOST_SET_FEATURES, &bad) == -1;
	result(good, "features that it does not have, or that it must have: refused");
	used = (void *)(page(NR_PAGES - 1) + PAGE - 64);
	set_status(0);
	result(queue_start(0, NUM, 0) == 0, "a ring that ends in a hole: set");
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	features = device_features & NO_EVENTS;
	good = !ioctl(fd, VHOST_SET_FEATURES, &features);
	set_status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	good &= !queue_start(0, NUM, 0);
	set_status(0xf);
	result(good && needs_reset(1000), "a ring that ends in a hole: needs reset");
	used = u;
	avail = a;
	start();
	good = read_at(0, page(4), block) == VIRTIO_BLK_S_OK && !unmap(gpa(used), PAGE);
	result(good && needs_reset(1000), "the used ring is unmapped: needs reset");
	notify();
	map(gpa(used), PAGE, used, VHOST_ACCESS_RW);
	start();
	result(read_at(0, page(4), block) == VIRTIO_BLK_S_OK, "mapped again, and reset: works");
	avail = (void *)(APART + PAGE - 262);
	start();
	for (bad = 0, good = true; bad < 2 * NUM; bad++)
		good &= read_at(0, page(4), block) == VIRTIO_BLK_S_OK && used_len == block + 1;
	avail = a;
	used = (void *)(APART + PAGE - 1028);
	start();
	for (bad = 0; bad < 2 * NUM; bad++)
		good &= read_at(0, page(4), block) == VIRTIO_BLK_S_OK && used_len == block + 1;
	result(good && canaries_alive(), "rings that lie in two slots, an entry in both");
	used = u;
	desc = (void *)page(8);
}

/*
 * Many requests, against a model of the disk
 */
#define DEPTH		32
#define MODEL_BLOCKS	1024	/* of the disk, at its start */

struct slot {
	uint32_t first, count;		/* blocks */
	bool write, busy;
};

static struct slot slots[DEPTH];
static uint32_t version[MODEL_BLOCKS];	/* 0: never written */
static bool locked[MODEL_BLOCKS];	/* a request in flight has it */

/* Slot s has its own header, status and data: pages 30 + 4 * s and behind. */
static uint8_t *slot_page(unsigned int s, unsigned int i)
{
	return page(30 + 4 * s + i);
}

static void block_fill(uint8_t *p, uint32_t b, uint32_t v)
{
	uint64_t *w = (void *)p, x = ((uint64_t)b << 32 | v) * 0x9e3779b97f4a7c15;
	unsigned int i;

	for (i = 0; i < SECTOR / 8; i++)
		w[i] = v ? x + i : 0;
}

static uint32_t next_version = 1;

static bool slot_start(unsigned int s)
{
	struct slot *slot = &slots[s];
	struct virtio_blk_outhdr *h = (void *)slot_page(s, 0);
	uint32_t i, at, left, len, id = s * 8, n = 1;

	slot->count = (1 + rnd(2 * PAGE / block)) * block / SECTOR;
	slot->first = rnd((MODEL_BLOCKS - slot->count) / (block / SECTOR)) * (block / SECTOR);
	for (i = 0; i < slot->count; i++)
		if (locked[slot->first + i])
			return false;
	slot->write = rnd(2);
	slot->busy = true;
	*h = (struct virtio_blk_outhdr){ .type = slot->write, .sector = slot->first };
	slot_page(s, 0)[100] = 0xee;
	for (i = 0; i < slot->count; i++) {
		uint32_t b = slot->first + i;
		uint8_t *p = slot_page(s, 1 + i * SECTOR / PAGE) + i * SECTOR % PAGE;

		locked[b] = true;
		if (slot->write)
			block_fill(p, b, version[b] = next_version++);
		else
			memset(p, 0xcc, SECTOR);
	}
	set(id, gpa(h), 16, N, id + 1);
	/* A piece for each page, the first of which may be in two. */
	for (at = 0, left = slot->count * SECTOR; left; n++, at += len, left -= len) {
		len = PAGE - at % PAGE;
		if (!at && rnd(2))
			len = block;
		if (len > left)
			len = left;
		set(id + n, gpa(slot_page(s, 1 + at / PAGE) + at % PAGE), len,
		    N | (slot->write ? 0 : W), id + n + 1);
	}
	set(id + n, gpa(slot_page(s, 0) + 100), 1, W, 0);
	put(id);
	return true;
}

static bool slot_end(unsigned int s)
{
	struct slot *slot = &slots[s];
	static uint8_t want[SECTOR];
	bool good = slot->busy && slot_page(s, 0)[100] == VIRTIO_BLK_S_OK;
	uint32_t i;

	for (i = 0; i < slot->count; i++) {
		uint32_t b = slot->first + i;

		locked[b] = false;
		if (slot->write)
			continue;
		block_fill(want, b, version[b]);
		good &= !memcmp(slot_page(s, 1 + i * SECTOR / PAGE) + i * SECTOR % PAGE, want,
				SECTOR);
	}
	slot->busy = false;
	return good;
}

static void *remap(void *data)
{
	unsigned long *n = data;

	/* Pages 140 and behind are nobody's. */
	while (!stop) {
		unsigned int i = 140 + *n % 20;

		if (unmap(gpa(page(i)), PAGE))
			errx(1, "unmap");
		map(gpa(page(i)), PAGE, page(i), VHOST_ACCESS_RW);
		++*n;
	}
	return NULL;
}

static void do_many(unsigned long requests, bool mapping)
{
	unsigned long done = 0, bad = 0, updates = 0, i;
	unsigned int s, depth = mapping ? 24 : DEPTH;
	uint16_t last = 0;
	double begin;
	pthread_t thread;

	start_at(0, -1ULL, 0);
	memset(BIG, 0, MODEL_BLOCKS * SECTOR);
	for (i = 0; i < MODEL_BLOCKS * SECTOR; i += 64 << 10)
		if (write_at(i / SECTOR, BIG, 64 << 10))
			errx(1, "clear");
	last = used_idx();
	if (mapping)
		pthread_create(&thread, NULL, remap, &updates);
	begin = now();
	while (done < requests) {
		for (s = 0; s < depth; s++)
			if (!slots[s].busy)
				slot_start(s);
		/* Signal after the next entry. */
		*(volatile uint16_t *)&avail->ring[NUM] = last;
		notify();
		if (!wait_used(last + 1, 20000))
			errx(1, "hangs after %lu requests", done);
		for (; last != used_idx(); last++, done++)
			bad += !slot_end(used->ring[last % NUM].id / 8);
	}
	for (i = 0; i < 1000 && memchr(locked, 1, sizeof(locked)); i++) {
		wait_used(last + 1, 10);
		for (; last != used_idx(); last++, done++)
			bad += !slot_end(used->ring[last % NUM].id / 8);
	}
	begin = now() - begin;
	stop = true;
	if (mapping)
		pthread_join(thread, NULL);
	/* The whole model, at the end. */
	start();
	for (i = 0; i < MODEL_BLOCKS; i += PAGE / SECTOR) {
		static uint8_t want[SECTOR];

		if (read_at(i, BIG, PAGE)) {
			bad++;
			continue;
		}
		for (s = 0; s < PAGE / SECTOR; s++) {
			block_fill(want, i + s, version[i + s]);
			bad += !!memcmp(BIG + s * SECTOR, want, SECTOR);
		}
	}
	if (mapping)
		result(!bad && updates > 10 && canaries_alive(),
		       "%lu requests during %lu changes of the map, %lu wrong", done, updates, bad);
	else
		result(!bad && canaries_alive(),
		       "%lu requests, contents compared at the end: %lu wrong, %.0f a second", done,
		       bad, done / begin);
}

static void step(const char *what)
{
	char line[16];

	printf("%s\n", what);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		exit(1);
}

/* 16 reads hang; the memory that they are for leaves the map, and this process. */
static void do_hang(void)
{
	uint8_t *memory = (uint8_t *)0x730000000000;
	uint64_t at = 0xc0000000, size = 64 << 20;
	unsigned int i;
	double t;

	if (mmap(memory, size, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0) == MAP_FAILED)
		err(1, "mmap");
	map(at, size, memory, VHOST_ACCESS_RW);
	start();
	for (i = 0; i < 16; i++) {
		uint8_t *p = page(30 + i);

		*(struct virtio_blk_outhdr *)p = (struct virtio_blk_outhdr){ .sector = 8 * i };
		p[100] = 0xee;
		set(3 * i, gpa(p), 16, N, 3 * i + 1);
		set(3 * i + 1, at + i * (size / 16), PAGE, N | W, 3 * i + 2);
		set(3 * i + 2, gpa(p + 100), 1, W, 0);
	}
	step("ready");
	for (i = 0; i < 16; i++)
		put(3 * i);
	notify();
	usleep(300000);
	result(!used_idx(), "the requests hang");
	t = now();
	unmap(at, size);
	munmap(memory, size);
	t = now() - t;
	result(t < 1, "the map is changed meanwhile, in %.3f s", t);
	step("hanging");
	result(wait_used(16, 5000), "the requests end");
	step("ended");
}

int main(int argc, char **argv)
{
	bool read_only;

	if (argc < 3)
		errx(2, "usage: driver rules|many|map|hang|alone DEVICE [REQUESTS]");
	open_device(argv[2]);
	map_all();
	block = config.blk_size;
	read_only = device_features & (1 << VIRTIO_BLK_F_RO);
	if (!strcmp(argv[1], "many")) {
		do_many(atol(argv[3]), false);
	} else if (!strcmp(argv[1], "map")) {
		do_many(atol(argv[3]), true);
	} else if (!strcmp(argv[1], "hang")) {
		do_hang();
	} else if (!strcmp(argv[1], "alone")) {
		start();
		result(read_at(0, page(4), block) == 0, "started");
	} else if (read_only) {
		try_read_only();
	} else {
		try_rw();
		try_bad_requests();
		try_shapes();
		try_ranges();
		try_life();
		try_flood();
		try_chains();
		try_flipping();
		try_setup();
		result(canaries_alive(), "all canaries are alive");
	}
	printf("1..%u\n", nr_tests);
	return failed;
}
