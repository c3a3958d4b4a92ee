// SPDX-License-Identifier: GPL-2.0
/*
 * A driver that breaks the rules: it publishes bad chains to the cable, one after
 * the other, and prints the device's answers as KTAP.
 *
 *	hostile pci 0000:00:03.0 RAM-END	in a guest, in place of its driver
 *	hostile vhost			in the host, in place of QEMU: has both ends,
 *					polls the error eventfds, and has canaries
 *					around each slot of memory
 *	hostile eventfds		in the host: prints the number of eventfds of
 *					other processes
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <linux/virtio_net.h>
#include <linux/virtio_pci.h>
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
#include <unistd.h>

#include "ktap.h"

#define NUM	64
#define PAGE	4096
#define HDR	12
#define LEN	128	/* of a buffer: larger than each frame of the other end */
#define CANARY	0xa5

enum { RX, TX };

struct ring {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	volatile uint16_t *notify;		/* pci */
	int kick, call, err;			/* vhost */
};

/* One end: its rings and its pages.  By vhost, pages 0 and 1 are adjacent for the guest. */
#define NR_PAGES	32
struct side {
	struct ring rings[2];
	uint8_t *pages[NR_PAGES];
	unsigned int nr_pages;
	int fd;
};

static struct side us, peer;
static bool pci;
static uint64_t hole = 1ULL << 52, rom = 0xfffff000, ram_end;

static void fence(void)
{
	__sync_synchronize();
}

static void wait_ms(unsigned int ms)
{
	usleep(ms * 1000);
}

/*
 * In a guest: the registers of the device are mapped, the pages are anonymous memory.
 */
static volatile struct virtio_pci_common_cfg *common;

static uint64_t pagemap(void *p)
{
	static int fd = -1;
	uint64_t entry;

	if (fd < 0)
		fd = open("/proc/self/pagemap", O_RDONLY);
	if (pread(fd, &entry, 8, (uintptr_t)p / PAGE * 8) != 8 || !(entry << 9))
		err(1, "pagemap");
	return (entry << 9 >> 9) * PAGE + (uintptr_t)p % PAGE;
}

static void pci_open(const char *slot)
{
	char path[128];
	uint8_t config[256], *bar = NULL, *notify = NULL;
	uint32_t mult = 0;
	int fd, i, q;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", slot);
	fd = open(path, O_RDWR);
	if (fd < 0 || read(fd, config, sizeof(config)) != sizeof(config))
		err(1, "%s", path);
	config[4] |= 6;	/* memory, bus master */
	if (pwrite(fd, config + 4, 2, 4) != 2)
		err(1, "%s", path);
	for (i = config[0x34]; i; i = config[i + 1]) {
		const struct virtio_pci_cap *cap = (void *)(config + i);

		if (cap->cap_vndr != 9 || (cap->cfg_type != VIRTIO_PCI_CAP_COMMON_CFG &&
					   cap->cfg_type != VIRTIO_PCI_CAP_NOTIFY_CFG))
			continue;
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource%d", slot, cap->bar);
		fd = open(path, O_RDWR);
		bar = mmap(NULL, 0x4000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (bar == MAP_FAILED)
			err(1, "%s", path);
		if (cap->cfg_type == VIRTIO_PCI_CAP_COMMON_CFG) {
			common = (void *)(bar + cap->offset);
		} else {
			notify = bar + cap->offset;
			memcpy(&mult, cap + 1, sizeof(mult));
		}
	}
	if (!common || !notify)
		errx(1, "no modern virtio device at %s", slot);
	for (q = 0; q < 2; q++) {
		common->queue_select = q;
		us.rings[q].notify = (void *)(notify + common->queue_notify_off * mult);
	}
	for (i = 0; i < NR_PAGES; i++) {
		us.pages[i] = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE | MAP_LOCKED, -1, 0);
		memset(us.pages[i], 1, PAGE);
	}
}

static void pci_reset(void)
{
	common->device_status = 0;
	while (common->device_status)
		wait_ms(1);
}

static void pci_start(uint64_t features)
{
	int q, i;

	common->device_status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;
	for (i = 0; i < 2; i++) {
		common->guest_feature_select = i;
		common->guest_feature = features >> (32 * i);
	}
	common->device_status |= VIRTIO_CONFIG_S_FEATURES_OK;
	for (q = 0; q < 2; q++) {
		struct ring *r = &us.rings[q];

		common->queue_select = q;
		common->queue_size = NUM;
		common->queue_desc_lo = pagemap(r->desc);
		common->queue_desc_hi = pagemap(r->desc) >> 32;
		common->queue_avail_lo = pagemap(r->avail);
		common->queue_avail_hi = pagemap(r->avail) >> 32;
		common->queue_used_lo = pagemap(r->used);
		common->queue_used_hi = pagemap(r->used) >> 32;
		common->queue_enable = 1;
	}
	common->device_status |= VIRTIO_CONFIG_S_DRIVER_OK;
}

/*
 * In the host: each page is a slot, between two pages of canaries.
 */
static uint8_t *arena(struct side *s)
{
	return s == &us ? (uint8_t *)0x700000000000 : (uint8_t *)0x710000000000;
}

static uint64_t vhost_gpa(void *p)
{
	uint64_t offset = (uintptr_t)p % (1ULL << 36), i = offset / (3 * PAGE);

	return (i < 2 ? i * PAGE : i * 16 * PAGE) + (1 << 20) + offset % PAGE;
}

static void vhost_open(struct side *s)
{
	uint64_t features = 1ULL << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC |
			    1 << VIRTIO_NET_F_MRG_RXBUF;
	struct vhost_memory *table = calloc(1, sizeof(*table) +
					    NR_PAGES * sizeof(table->regions[0]));
	size_t i;

	if (mmap(arena(s), NR_PAGES * 3 * PAGE, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		err(1, "mmap");
	memset(arena(s), CANARY, NR_PAGES * 3 * PAGE);
	table->nregions = NR_PAGES;
	for (i = 0; i < NR_PAGES; i++) {
		s->pages[i] = arena(s) + (3 * i + 1) * PAGE;
		memset(s->pages[i], 1, PAGE);
		table->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = vhost_gpa(s->pages[i]), .memory_size = PAGE,
			.userspace_addr = (uintptr_t)s->pages[i],
		};
	}
	s->fd = open("/dev/virtio_mem_xlate_cable", O_RDWR);
	if (s->fd < 0 || ioctl(s->fd, VHOST_SET_OWNER) ||
	    ioctl(s->fd, VHOST_SET_FEATURES, &features) ||
	    ioctl(s->fd, VHOST_SET_MEM_TABLE, table))
		err(1, "cable");
	for (i = 0; i < 2; i++) {
		s->rings[i].kick = eventfd(0, EFD_NONBLOCK);
		s->rings[i].call = eventfd(0, EFD_NONBLOCK);
		s->rings[i].err = eventfd(0, EFD_NONBLOCK);
	}
}

static void vhost_reset(struct side *s)
{
	struct vhost_vring_file none = { .fd = -1 };
	uint64_t n;

	for (none.index = 0; none.index < 2; none.index++) {
		if (ioctl(s->fd, VHOST_NET_SET_BACKEND, &none))
			err(1, "stop");
		(void)!read(s->rings[none.index].err, &n, sizeof(n));
	}
}

static void vhost_start(struct side *s)
{
	unsigned int q;

	for (q = 0; q < 2; q++) {
		struct ring *r = &s->rings[q];
		struct vhost_vring_state num = { q, NUM }, base = { q, 0 };
		struct vhost_vring_file kick = { q, r->kick }, call = { q, r->call };
		struct vhost_vring_file error = { q, r->err };
		struct vhost_vring_addr addr = {
			.index = q, .desc_user_addr = (uintptr_t)r->desc,
			.avail_user_addr = (uintptr_t)r->avail,
			.used_user_addr = (uintptr_t)r->used,
		};

		if (ioctl(s->fd, VHOST_SET_VRING_NUM, &num) ||
		    ioctl(s->fd, VHOST_SET_VRING_BASE, &base) ||
		    ioctl(s->fd, VHOST_SET_VRING_ADDR, &addr) ||
		    ioctl(s->fd, VHOST_SET_VRING_KICK, &kick) ||
		    ioctl(s->fd, VHOST_SET_VRING_CALL, &call) ||
		    ioctl(s->fd, VHOST_SET_VRING_ERR, &error) ||
		    ioctl(s->fd, VHOST_NET_SET_BACKEND, &kick))
			err(1, "start");
	}
}

static bool canaries_alive(struct side *s)
{
	size_t i;

	for (i = 0; i < NR_PAGES * 3 * PAGE; i++)
		if (i / PAGE % 3 != 1 && arena(s)[i] != CANARY)
			return false;
	return true;
}

/*
 * In a guest and in the host
 */
static uint64_t gpa(void *p)
{
	return pci ? pagemap(p) : vhost_gpa(p);
}

static uint8_t *page(struct side *s)
{
	return s->pages[s->nr_pages++];
}

static void rings_alloc(struct side *s)
{
	int q;

	/* 0 and 1 are for buffers. */
	s->nr_pages = 2;
	for (q = 0; q < 2; q++) {
		s->rings[q].desc = (void *)page(s);
		s->rings[q].avail = (void *)page(s);
		s->rings[q].used = (void *)page(s);
	}
}

static void start(struct side *s)
{
	int q;

	if (pci)
		pci_reset();
	else
		vhost_reset(s);
	for (q = 0; q < 2; q++) {
		memset(s->rings[q].desc, 0, PAGE);
		memset(s->rings[q].avail, 0, PAGE);
		memset(s->rings[q].used, 0, PAGE);
	}
	if (pci)
		pci_start(1ULL << VIRTIO_F_VERSION_1 | 1 << VIRTIO_RING_F_INDIRECT_DESC |
			  1 << VIRTIO_NET_F_MRG_RXBUF);
	else
		vhost_start(s);
}

static void kick(struct side *s, int q)
{
	uint64_t one = 1;

	fence();
	if (pci)
		*s->rings[q].notify = q;
	else if (write(s->rings[q].kick, &one, sizeof(one)) != sizeof(one))
		err(1, "kick");
}

static void put(struct side *s, int q, uint16_t head)
{
	struct ring *r = &s->rings[q];

	r->avail->ring[r->avail->idx % NUM] = head;
	fence();
	*(volatile uint16_t *)&r->avail->idx = r->avail->idx + 1;
	kick(s, q);
}

static void desc(int q, int i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
	us.rings[q].desc[i] = (struct vring_desc){ addr, len, flags, next };
}

static unsigned int used(struct side *s, int q)
{
	return *(volatile uint16_t *)&s->rings[q].used->idx;
}

/* Sends a valid frame: 60 bytes to the broadcast address. */
static void good_frame(struct side *s)
{
	uint8_t *p = s->pages[NR_PAGES - 1];

	memset(p, 0, HDR);
	memset(p + HDR, 0xff, 6);
	memset(p + HDR + 6, 2, 6);
	p[HDR + 12] = 0x88;
	p[HDR + 13] = 0xb5;
	s->rings[TX].desc[NUM - 1] = (struct vring_desc){ gpa(p), HDR + 60, 0, 0 };
	put(s, TX, NUM - 1);
}

/* Publishes buffers for 16 frames. */
static void good_buffers(struct side *s)
{
	int i;

	for (i = 0; i < 16; i++) {
		s->rings[RX].desc[i] = (struct vring_desc){
			gpa(s->pages[NR_PAGES - 2]), 2048, VRING_DESC_F_WRITE, 0
		};
		put(s, RX, i);
	}
}

/*
 * The bad chains.  Each function makes one and returns its head.  buf is a valid buffer,
 * buf2 has the indirect table.
 */
#define N VRING_DESC_F_NEXT
#define W VRING_DESC_F_WRITE
#define I VRING_DESC_F_INDIRECT

static uint8_t *buf, *buf2;
static volatile bool stop_flipping;

static uint16_t dir(int q)
{
	return q == RX ? W : 0;
}

static uint16_t loop_of_one(int q)
{
	desc(q, 0, gpa(buf), 16, N | dir(q), 0);
	return 0;
}

static uint16_t loop_of_two(int q)
{
	desc(q, 0, gpa(buf), 16, N | dir(q), 1);
	desc(q, 1, gpa(buf), 16, N | dir(q), 0);
	return 0;
}

static uint16_t loop_of_nothing(int q)
{
	desc(q, 0, gpa(buf), 0, N | dir(q), 0);
	return 0;
}

static uint16_t next_past_end(int q)
{
	desc(q, 0, gpa(buf), 16, N | dir(q), NUM);
	return 0;
}

static uint16_t head_past_end(int q)
{
	desc(q, 0, gpa(buf), LEN, dir(q), 0);
	return 0xffff;
}

static uint16_t index_jumps(int q)
{
	/* The chain is valid, so that only the index is wrong. */
	desc(q, 0, gpa(buf), LEN, dir(q), 0);
	us.rings[q].avail->idx = NUM + 1;
	return 0;
}

static uint16_t zero_length(int q)
{
	desc(q, 0, gpa(buf), 0, dir(q), 0);
	return 0;
}

static uint16_t zero_length_first(int q)
{
	desc(q, 0, gpa(buf), 0, N | dir(q), 1);
	desc(q, 1, gpa(buf), LEN, dir(q), 0);
	return 0;
}

static uint16_t wraps(int q)
{
	desc(q, 0, UINT64_MAX - 15, LEN, dir(q), 0);
	return 0;
}

static uint16_t in_hole(int q)
{
	desc(q, 0, hole, LEN, dir(q), 0);
	return 0;
}

static uint16_t kernel_address(int q)
{
	desc(q, 0, 0xffffffff81000000, LEN, dir(q), 0);
	return 0;
}

static uint16_t into_hole(int q)
{
	desc(q, 0, (pci ? ram_end : gpa(us.pages[5]) + PAGE) - 16, LEN, dir(q), 0);
	return 0;
}

static uint16_t over_hole(int q)
{
	desc(q, 0, gpa(us.pages[2]), pci ? 0xffffffff : 17 * PAGE, dir(q), 0);
	return 0;
}

static uint16_t longest(int q)
{
	desc(q, 0, gpa(buf), 0xffffffff, dir(q), 0);
	return 0;
}

static uint16_t too_long(int q)
{
	int i;

	for (i = 0; i < 20; i++)
		desc(q, i, gpa(buf), PAGE, (i < 19 ? N : 0) | dir(q), i + 1);
	return 0;
}

static uint16_t too_short(int q)
{
	desc(q, 0, gpa(buf), HDR - 1, dir(q), 0);
	return 0;
}

static uint16_t wrong_way(int q)
{
	desc(q, 0, gpa(buf), LEN, dir(!q), 0);
	return 0;
}

static uint16_t rom_buffer(int q)
{
	desc(q, 0, rom, LEN, dir(q), 0);
	return 0;
}

static struct vring_desc *table(int q, uint32_t len, uint16_t flags)
{
	memset(buf2, 0, PAGE);
	desc(q, 0, gpa(buf2), len, I | flags, 1);
	desc(q, 1, gpa(buf), LEN, dir(q), 0);
	return (void *)buf2;
}

static uint16_t indirect_of_indirect(int q)
{
	table(q, 32, 0)[0] = (struct vring_desc){ gpa(buf2), 32, I, 0 };
	return 0;
}

static uint16_t indirect_loop(int q)
{
	table(q, 32, 0)[0] = (struct vring_desc){ gpa(buf), 1, N | dir(q), 0 };
	return 0;
}

static uint16_t indirect_past_end(int q)
{
	table(q, 32, 0)[0] = (struct vring_desc){ gpa(buf), 1, N | dir(q), 2 };
	return 0;
}

static uint16_t indirect_odd(int q)
{
	table(q, 33, 0)[0] = (struct vring_desc){ gpa(buf), LEN, dir(q), 0 };
	return 0;
}

static uint16_t indirect_empty(int q)
{
	table(q, 0, 0)[0] = (struct vring_desc){ gpa(buf), LEN, dir(q), 0 };
	return 0;
}

static uint16_t indirect_and_next(int q)
{
	table(q, 32, N)[0] = (struct vring_desc){ gpa(buf), LEN, dir(q), 0 };
	return 0;
}

static uint16_t indirect_in_hole(int q)
{
	desc(q, 0, hole, 32, I, 0);
	return 0;
}

static uint16_t indirect_wraps(int q)
{
	desc(q, 0, UINT64_MAX - 15, 64, I, 0);
	return 0;
}

static void *flip(void *data)
{
	volatile struct vring_desc *d = data;
	uint64_t good = gpa(buf), bad[] = { hole, UINT64_MAX - 15, rom, 0 };
	unsigned int n = 0;

	while (!stop_flipping) {
		d->addr = n & 1 ? good : bad[n / 2 % 4];
		d->len = n & 2 ? LEN : 0xffffffff;
		d->flags = n & 4 ? d->flags | N : d->flags & ~N;
		d->next = n & 8 ? 0 : NUM - 2;
		n++;
	}
	return NULL;
}

static const struct {
	const char *name;
	uint16_t (*make)(int q);
} chains[] = {
	{ "loop of one", loop_of_one }, { "loop of two", loop_of_two },
	{ "loop of zero lengths", loop_of_nothing }, { "next past the end", next_past_end },
	{ "head past the end", head_past_end }, { "index jumps", index_jumps },
	{ "zero length", zero_length }, { "zero length before a frame", zero_length_first },
	{ "address wraps", wraps },
	{ "in a hole", in_hole }, { "kernel address", kernel_address },
	{ "from memory into a hole", into_hole }, { "over a hole", over_hole },
	{ "length 2^32 - 1", longest }, { "read-only slot (ROM)", rom_buffer },
	{ "wrong direction", wrong_way }, { "indirect of indirect", indirect_of_indirect },
	{ "indirect loop", indirect_loop }, { "indirect, next past the end", indirect_past_end },
	{ "indirect, odd length", indirect_odd }, { "indirect, empty", indirect_empty },
	{ "indirect and next", indirect_and_next }, { "indirect in a hole", indirect_in_hole },
	{ "indirect wraps", indirect_wraps },
	/* For transmission only: a receive buffer may have any length. */
	{ "more than a frame", too_long }, { "less than a header", too_short },
};

static bool error_seen(struct side *s, int q, unsigned int ms)
{
	struct pollfd p = { .fd = s->rings[q].err, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* After a reset: is a frame transmitted, and a frame of the other end received? */
static bool works(void)
{
	unsigned int i;

	if (!pci) {
		start(&peer);
		good_buffers(&peer);
	}
	start(&us);
	good_buffers(&us);
	good_frame(&us);
	if (!pci)
		good_frame(&peer);
	for (i = 0; i < 300; i++) {
		if (used(&us, TX) == 1 && used(&us, RX) && (pci || used(&peer, RX) == 1))
			return true;
		wait_ms(10);
	}
	return false;
}

/* The device must stop the queue, and do nothing else. */
static void try_chain(int q, size_t n)
{
	const char *name = chains[n].name, *answer;
	bool good, stopped;
	uint16_t head;

	if (!pci) {
		start(&peer);
		good_buffers(&peer);
	}
	start(&us);
	memset(buf, 0x11, PAGE);
	if (chains[n].make == index_jumps) {
		chains[n].make(q);
		kick(&us, q);
	} else {
		head = chains[n].make(q);
		put(&us, q, head);
	}
	if (q == RX && !pci)
		good_frame(&peer);
	if (pci) {
		wait_ms(300);
		stopped = !used(&us, q);
		answer = stopped ? "not used" : "USED";
	} else {
		stopped = error_seen(&us, q, 2000) && !used(&us, q);
		answer = stopped ? "error eventfd, not used" : "NO ERROR";
	}
	good = stopped;
	if (!pci && (!canaries_alive(&us) || !canaries_alive(&peer))) {
		answer = "CANARY DEAD";
		good = false;
	}
	if (!pci && (error_seen(&peer, RX, 0) || error_seen(&peer, TX, 0))) {
		answer = "ERROR AT THE OTHER END";
		good = false;
	}
	if (!works()) {
		answer = "DEAD AFTER RESET";
		good = false;
	}
	result(good, "%s, %s: %s", q == TX ? "tx" : "rx", name, answer);
}

/* A thread changes a descriptor while the device reads it. */
static void try_flipping(int q)
{
	unsigned int i, stops = 0, uses = 0;
	bool good;
	pthread_t thread;

	for (i = 0; i < (pci ? 20 : 200); i++) {
		if (!pci) {
			start(&peer);
			good_buffers(&peer);
		}
		start(&us);
		desc(q, 0, gpa(buf), LEN, dir(q), 0);
		desc(q, NUM - 2, gpa(buf), LEN, dir(q), 0);
		stop_flipping = false;
		pthread_create(&thread, NULL, flip, &us.rings[q].desc[0]);
		put(&us, q, 0);
		if (q == RX && !pci)
			good_frame(&peer);
		if (pci)
			wait_ms(50);
		else if (error_seen(&us, q, 10))
			stops++;
		uses += used(&us, q);
		stop_flipping = true;
		pthread_join(thread, NULL);
	}
	good = (pci || (canaries_alive(&us) && canaries_alive(&peer))) && works();
	result(good, "%s, changed while read: used %u, error %u of %u times",
	       q == TX ? "tx" : "rx", uses, stops, i);
}

/* An unusual chain that is valid: indirect, over two slots, in small pieces. */
static void try_good(void)
{
	struct vring_desc *t = (void *)buf2;
	uint8_t *p = us.pages[0] + PAGE - 30, *got = peer.pages[NR_PAGES - 2];
	bool good;
	int i;

	start(&peer);
	start(&us);
	good_buffers(&peer);
	for (i = 0; i < 30; i++)
		p[i] = i < HDR ? 0 : i;
	for (i = 0; i < 70; i++)
		us.pages[1][i] = 30 + i;
	/* 100 bytes over two slots, then five buffers of one byte in a third slot. */
	t[0] = (struct vring_desc){ gpa(p), 100, N, 1 };
	for (i = 1; i <= 5; i++) {
		buf[i] = 99 + i;
		t[i] = (struct vring_desc){ gpa(buf + i), 1, i < 5 ? N : 0, i + 1 };
	}
	desc(TX, 0, gpa(t), 6 * sizeof(*t), I, 0);
	put(&us, TX, 0);
	for (i = 0; i < 200 && !used(&peer, RX); i++)
		wait_ms(10);
	good = used(&peer, RX) == 1 && peer.rings[RX].used->ring[0].len == 105;
	for (i = HDR; i < 105; i++)
		good &= got[i] == i;
	good &= canaries_alive(&us) && canaries_alive(&peer);
	result(good, "an indirect chain over three slots: each byte arrives");
}

#ifndef VHOST_GET_FEATURES_ARRAY
#define VHOST_GET_FEATURES_ARRAY	_IOR(VHOST_VIRTIO, 0x83, uint64_t)
#define VHOST_SET_FEATURES_ARRAY	_IOW(VHOST_VIRTIO, 0x83, uint64_t)
#endif

/*
 * A VMM tries the newest ioctl first, and an older one after ENOTTY.  So an unknown
 * ioctl must give ENOTTY, not EFAULT or EINVAL, for each value of its argument.
 */
static void try_unknown(void)
{
	static const unsigned int unknown[] = {
		VHOST_GET_FEATURES_ARRAY, VHOST_SET_FEATURES_ARRAY, VHOST_SET_VRING_ENDIAN,
		_IOWR(VHOST_VIRTIO, 0xff, uint64_t), _IO(VHOST_VIRTIO, 0xff),
	};
	uint64_t argument[2] = {}, counts[] = { 0, 1, 2, UINT64_MAX };
	bool good = true;
	size_t i, n;

	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		for (n = 0; n < sizeof(counts) / sizeof(counts[0]); n++) {
			argument[0] = counts[n];
			good &= ioctl(us.fd, unknown[i], argument) == -1 && errno == ENOTTY &&
				argument[0] == counts[n];
		}
		good &= ioctl(us.fd, unknown[i], NULL) == -1 && errno == ENOTTY;
	}
	result(good, "unknown ioctls, such as for arrays of features: ENOTTY");
}

/*
 * The ids of eventfds are allocated from 0 on, the lowest free id first.  With @n new
 * eventfds all gaps are filled, so the last id is the number of all eventfds - 1.
 */
static int count_eventfds(void)
{
	unsigned int i, n = 512;
	char line[64];
	FILE *f;
	int fd;

	for (i = 0; i < n; i++)
		fd = eventfd(0, 0);
	snprintf(line, sizeof(line), "/proc/self/fdinfo/%d", fd);
	f = fopen(line, "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "eventfd-id: %u", &i) == 1) {
			printf("%u\n", i + 1 - n);
			return 0;
		}
	errx(1, "no eventfd has a number");
}

static bool is_tried(size_t chain, int q)
{
	uint16_t (*make)(int q) = chains[chain].make;

	if (make == rom_buffer)
		return pci;		/* vhost's table has no read-only slot */
	return q == TX || (make != too_long && make != too_short);
}

static void try_chains(void)
{
	unsigned int n = pci ? 2 : 4;
	size_t i;
	int q;

	for (i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
		n += is_tried(i, TX) + is_tried(i, RX);
	printf("KTAP version 1\n1..%u\n", n);
	if (!pci) {
		try_unknown();
		try_good();
	}
	for (i = 0; i < sizeof(chains) / sizeof(chains[0]); i++)
		for (q = TX; q >= RX; q--)
			if (is_tried(i, q))
				try_chain(q, i);
	try_flipping(TX);
	try_flipping(RX);
}

int main(int argc, char **argv)
{

	if (argc == 2 && !strcmp(argv[1], "eventfds"))
		return count_eventfds();

	pci = argc == 4 && !strcmp(argv[1], "pci");
	if (!pci && !(argc == 2 && !strcmp(argv[1], "vhost")))
		errx(2, "usage: hostile pci SLOT RAM-END | vhost | eventfds");
	if (pci) {
		ram_end = strtoull(argv[3], NULL, 0);
		pci_open(argv[2]);
	} else {
		vhost_open(&us);
		vhost_open(&peer);
		rings_alloc(&peer);
		rom = hole;
	}
	rings_alloc(&us);
	buf = page(&us);
	buf2 = page(&us);
	try_chains();
	if (pci)
		pci_reset();
	return failed;
}
