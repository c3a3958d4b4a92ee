// SPDX-License-Identifier: GPL-2.0
/*
 * Run in the two guests of scripts/demo-guests.sh: sends frames and TCP streams that the
 * other end checks byte by byte.  Each byte follows from the frame's number and the
 * byte's offset.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ETH_P_OURS	0x88b5		/* for local experiments */
#define MAX_FRAME	65549

static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* Writes the bytes of frame or block number @seq. */
static void pattern(uint8_t *p, size_t len, uint64_t seq)
{
	uint64_t word = mix(seq);
	size_t n;

	for (; len; p += n, len -= n) {
		n = len < sizeof(word) ? len : sizeof(word);
		memcpy(p, &word, n);
		word = word * 6364136223846793005 + 1442695040888963407;
	}
}

/*
 * A frame has a header, its number and a pattern.  With offloads its header is that of
 * a TCP segment for segmentation offload, so a frame may have 64 KiB.
 */
struct frame {
	struct virtio_net_hdr vnet;
	uint8_t data[MAX_FRAME + 1];
} __attribute__((packed));

struct head {
	struct ethhdr eth;
	struct iphdr ip;
	struct tcphdr tcp;
} __attribute__((packed));

static struct frame out, in, want;

static int packet_socket(const char *ifname, struct sockaddr_ll *addr, bool offload)
{
	int size = 64 << 20, one = 1, fd;
	struct ifreq ifr = {};

	fd = socket(AF_PACKET, SOCK_RAW, 0);
	if (fd < 0)
		err(1, "socket");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", ifname);
	if (ioctl(fd, SIOCGIFINDEX, &ifr))
		err(1, "%s", ifname);
	*addr = (struct sockaddr_ll){
		.sll_family = AF_PACKET, .sll_ifindex = ifr.ifr_ifindex,
		.sll_protocol = htons(ETH_P_ALL),
	};
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof(one));
	if (offload && setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)))
		err(1, "PACKET_VNET_HDR");
	return fd;
}

/* Fills @f, of @len bytes without the virtio header; returns the offset of the number. */
static size_t frame_fill(struct frame *f, size_t len, uint64_t seq, bool offload)
{
	struct head *h = (struct head *)f->data;
	size_t at = sizeof(h->eth);

	memset(h, 0, sizeof(*h));
	memset(&f->vnet, 0, sizeof(f->vnet));
	memset(h->eth.h_dest, 0xff, ETH_ALEN);
	memset(h->eth.h_source, 0x02, ETH_ALEN);
	h->eth.h_proto = htons(offload ? ETH_P_IP : ETH_P_OURS);
	if (offload) {
		at = sizeof(*h);
		h->ip = (struct iphdr){
			.version = 4, .ihl = 5, .tot_len = htons(len - sizeof(h->eth)), .ttl = 1,
			.protocol = IPPROTO_TCP, .saddr = htonl(0x0a630001),
			.daddr = htonl(0x0a630002),
		};
		h->tcp.doff = 5;
		f->vnet = (struct virtio_net_hdr){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
			.gso_type = VIRTIO_NET_HDR_GSO_TCPV4, .gso_size = 1448,
			.hdr_len = sizeof(*h), .csum_start = sizeof(h->eth) + sizeof(h->ip),
			.csum_offset = offsetof(struct tcphdr, check),
		};
	}
	memcpy(f->data + at, &seq, sizeof(seq));
	pattern(f->data + at + sizeof(seq), len - at - sizeof(seq), seq);
	return at;
}

/* The length of frame @seq of a run. */
static size_t frame_len(uint64_t seq, size_t first, size_t last, size_t step)
{
	return first + seq % ((last - first) / step + 1) * step;
}

/* send IF FIRST LAST STEP COUNT [offload]: COUNT frames of FIRST, FIRST + STEP, ... LAST bytes */
static int do_send(char **arg)
{
	size_t first = atol(arg[1]), last = atol(arg[2]), step = atol(arg[3]), len;
	uint64_t seq, count = atoll(arg[4]);
	bool offload = arg[5];
	struct sockaddr_ll addr;
	int fd = packet_socket(arg[0], &addr, offload);
	double start = now();

	addr.sll_protocol = 0;
	if (bind(fd, (void *)&addr, sizeof(addr)))
		err(1, "bind");
	for (seq = 0; seq < count; seq++) {
		const uint8_t *p = offload ? (uint8_t *)&out : out.data;
		size_t vnet = offload ? sizeof(out.vnet) : 0;

		len = frame_len(seq, first, last, step);
		frame_fill(&out, len, seq, offload);
		while (send(fd, p, len + vnet, 0) < 0) {
			if (errno != ENOBUFS)
				err(1, "send frame %llu of %zu bytes", (unsigned long long)seq, len);
			usleep(1000);
		}
	}
	printf("sent %llu frames in %.3f s\n", (unsigned long long)count, now() - start);
	return 0;
}

/* receive IF FIRST LAST STEP COUNT [offload]: checks COUNT frames; ends 20 s after the last */
static int do_receive(char **arg)
{
	size_t first = atol(arg[1]), last = atol(arg[2]), step = atol(arg[3]), at, len;
	uint64_t seq, next = 0, got = 0, count = atoll(arg[4]), bad = 0, moved = 0;
	bool offload = arg[5];
	struct timeval patience = { .tv_sec = 90 };
	struct sockaddr_ll addr;
	int fd = packet_socket(arg[0], &addr, offload);
	size_t vnet = offload ? sizeof(in.vnet) : 0;
	uint8_t *p = offload ? (uint8_t *)&in : in.data;
	double start = 0;

	if (bind(fd, (void *)&addr, sizeof(addr)))
		err(1, "bind");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	printf("listening\n");
	fflush(stdout);
	while (got < count) {
		ssize_t n = recv(fd, p, sizeof(in), MSG_TRUNC);

		if (n < 0)
			break;
		/* The cable also carries IPv6 and ARP: skip these. */
		if (n < (ssize_t)(vnet + 60) || in.data[6] != 0x02 || in.data[7] != 0x02)
			continue;
		if (!start) {
			start = now();
			patience.tv_sec = 20;
			setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
		}
		len = n - vnet;
		at = offload ? sizeof(struct head) : sizeof(struct ethhdr);
		memcpy(&seq, in.data + at, sizeof(seq));
		frame_fill(&want, frame_len(seq, first, last, step), seq, offload);
		if (len != frame_len(seq, first, last, step) ||
		    memcmp(in.data + at, want.data + at, len - at))
			bad++;
		moved += seq != next;
		next = seq + 1;
		got++;
	}
	printf("received %llu of %llu frames in %.3f s, %llu corrupted, %llu out of order\n",
	       (unsigned long long)got, (unsigned long long)count, now() - start,
	       (unsigned long long)bad, (unsigned long long)moved);
	return got != count || bad || moved;
}

/* flood IF LEN SECONDS: sends one frame again and again, at full speed */
static int do_flood(char **arg)
{
	size_t len = atol(arg[1]);
	double seconds = atof(arg[2]), start = now();
	static struct mmsghdr msgs[64];
	struct iovec iov = { .iov_base = out.data, .iov_len = len };
	struct sockaddr_ll addr;
	int fd = packet_socket(arg[0], &addr, false), i, n;
	uint64_t sent = 0;

	addr.sll_protocol = 0;
	if (bind(fd, (void *)&addr, sizeof(addr)))
		err(1, "bind");
	frame_fill(&out, len, 0, false);
	for (i = 0; i < 64; i++)
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov, .msg_iovlen = 1 };
	while (now() < start + seconds) {
		n = sendmmsg(fd, msgs, 64, 0);
		if (n > 0)
			sent += n;
	}
	printf("flooded %llu frames in %.3f s\n", (unsigned long long)sent, now() - start);
	return 0;
}

/*
 * TCP: blocks of a pattern.  Both ends print a checksum of all bytes.
 */
#define BLOCK	65536

static uint64_t sum_of(const uint8_t *p, size_t len, uint64_t sum)
{
	uint64_t word;

	for (; len >= sizeof(word); p += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum = (sum ^ word) * 0x100000001b3;
		sum ^= sum >> 29;
	}
	return sum;
}

/* tcp-send ADDRESS PORT MIB SEED */
static int do_tcp_send(char **arg)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_port = htons(atoi(arg[1])),
		.sin_addr.s_addr = inet_addr(arg[0]),
	};
	uint64_t blocks = atoll(arg[2]) * 16, seed = atoll(arg[3]), i, sum = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t done;
	double start;
	ssize_t n;

	if (connect(fd, (void *)&addr, sizeof(addr)))
		err(1, "connect");
	start = now();
	for (i = 0; i < blocks; i++) {
		pattern(out.data, BLOCK, seed + i);
		sum = sum_of(out.data, BLOCK, sum);
		for (done = 0; done < BLOCK; done += n) {
			n = write(fd, out.data + done, BLOCK - done);
			if (n < 0)
				err(1, "write");
		}
	}
	shutdown(fd, SHUT_WR);
	/* The other end closes after it has read all bytes. */
	if (read(fd, in.data, 1) != 0)
		err(1, "no end");
	printf("tcp-sent %llu MiB in %.3f s, sum %016llx\n", (unsigned long long)blocks / 16,
	       now() - start, (unsigned long long)sum);
	return 0;
}

/* tcp-receive PORT MIB SEED */
static int do_tcp_receive(char **arg)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(atoi(arg[0])) };
	uint64_t blocks = atoll(arg[1]) * 16, seed = atoll(arg[2]), i, sum = 0, bad = 0;
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	size_t done;
	double start;
	ssize_t n;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (void *)&addr, sizeof(addr)) || listen(fd, 1))
		err(1, "port %s", arg[0]);
	printf("listening\n");
	fflush(stdout);
	fd = accept(fd, NULL, NULL);
	start = now();
	for (i = 0; i < blocks; i++) {
		for (done = 0; done < BLOCK; done += n) {
			n = read(fd, in.data + done, BLOCK - done);
			if (n <= 0)
				errx(1, "tcp: %llu blocks came", (unsigned long long)i);
		}
		pattern(want.data, BLOCK, seed + i);
		bad += !!memcmp(in.data, want.data, BLOCK);
		sum = sum_of(in.data, BLOCK, sum);
	}
	printf("tcp-received %llu MiB in %.3f s, sum %016llx, %llu blocks corrupted\n",
	       (unsigned long long)blocks / 16, now() - start, (unsigned long long)sum,
	       (unsigned long long)bad);
	return !!bad;
}

static const struct {
	const char *name;
	int nr_args;
	int (*run)(char **arg);
} verbs[] = {
	{ "send", 5, do_send }, { "receive", 5, do_receive },
	{ "flood", 3, do_flood },
	{ "tcp-send", 4, do_tcp_send }, { "tcp-receive", 3, do_tcp_receive },
};

int main(int argc, char **argv)
{
	size_t i;

	for (i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (!strcmp(argv[1], verbs[i].name) && argc - 2 >= verbs[i].nr_args)
			return verbs[i].run(argv + 2);
	errx(2, "which verb, with its arguments?");
}
