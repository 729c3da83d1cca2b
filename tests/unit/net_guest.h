/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest for tests of network back ends: a few functions that speak ARP (RFC 826), DHCP (RFC
 * 2131), UDP and enough TCP (RFC 9293) for wires with few losses, and real sockets of the host on
 * 127.0.0.1 as the other side.
 */
#ifndef NET_GUEST_H
#define NET_GUEST_H

#include "net/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bits.h"
#include "host/loop.h"

#define GATEWAY  0x0a000202u /* 10.0.2.2 */
#define DNS      0x0a000203u
#define GUEST_IP 0x0a00020fu /* 10.0.2.15 */
#define LOOPBACK 0x7f000001u
#define MSS      1400u

/* For what comes in a moment unless the host is busy, in ms. */
#define PATIENCE 30000

static const uint8_t guest_mac[6] = {0x52, 0x54, 0, 0x12, 0x34, 0x56};

/* A tiny guest: the frames it got, newest last. */
#define INBOX 512
struct guest {
	struct loop *loop;
	struct net *net;
	struct {
		uint8_t data[1600];
		size_t len;
	} inbox[INBOX];
	unsigned n_in, room, downs, ups;
	unsigned lose_every, n_got; /* of the large frames, each lose_every'th; 0: none */
	uint8_t gw_mac[6];
	uint16_t ip_id;
};

static inline bool g_can_receive(void *ctx)
{
	struct guest *g = ctx;

	return g->n_in < g->room;
}

static inline void g_receive(void *ctx, const uint8_t *frame, size_t len)
{
	struct guest *g = ctx;

	assert_true(g->n_in < INBOX);
	if (g->lose_every && len > MSS && ++g->n_got % g->lose_every == 0)
		return;
	g->inbox[g->n_in].len = MIN(len, sizeof(g->inbox[0].data));
	memcpy(g->inbox[g->n_in].data, frame, g->inbox[g->n_in].len);
	g->n_in++;
}

static inline void g_link(void *ctx, bool up)
{
	struct guest *g = ctx;

	*(up ? &g->ups : &g->downs) += 1;
}

static inline int guest_open(struct guest *g, const struct net_options *opt, struct error *err)
{
	struct net_handler h = {
		.can_receive = g_can_receive, .receive = g_receive, .link = g_link, .ctx = g};
	int r;

	memset(g, 0, sizeof(*g));
	g->room = INBOX;
	assert_int_equal(loop_new(NULL, &g->loop, NULL), 0);
	r = net_open(g->loop, opt, &g->net, err);
	if (r == 0)
		net_set_handler(g->net, &h);
	return r;
}

static inline void guest_close(struct guest *g)
{
	net_close(g->net);
	loop_free(g->loop);
}

static inline int guest_send(struct guest *g, const uint8_t *frame, size_t len)
{
	struct iovec iov[2] = {
		{(void *)(uintptr_t)frame, MIN(len, (size_t)9)},
		{(void *)(uintptr_t)(frame + MIN(len, (size_t)9)), len - MIN(len, (size_t)9)}};

	return net_send(g->net, iov, 2);
}

/* --- packets --- */

static inline uint32_t sum16(uint32_t s, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i + 1 < len; i += 2)
		s += ld_be16(p + i);
	if (len & 1)
		s += (uint32_t)p[len - 1] << 8;
	return s;
}

static inline uint16_t fold(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return (uint16_t)~s;
}

/* Ethernet and IPv4 around @len bytes at frame + 34; the frame's length. */
static inline size_t wrap_ip(struct guest *g, uint8_t *frame, uint8_t proto, uint32_t to,
			     size_t len, unsigned sum_at)
{
	uint8_t *ip = frame + 14, *l4 = frame + 34;
	bool broadcast = to == 0xffffffff;
	uint32_t s;

	memset(frame, 0xff, 6);
	if (!broadcast)
		memcpy(frame, g->gw_mac, 6);
	memcpy(frame + 6, guest_mac, 6);
	st_be16(frame + 12, 0x0800);
	memset(ip, 0, 20);
	ip[0] = 0x45;
	st_be16(ip + 2, (uint16_t)(20 + len));
	st_be16(ip + 4, ++g->ip_id);
	ip[8] = 64;
	ip[9] = proto;
	st_be32(ip + 12, broadcast ? 0 : GUEST_IP);
	st_be32(ip + 16, to);
	st_be16(ip + 10, fold(sum16(0, ip, 20)));
	st_be16(l4 + sum_at, 0);
	s = sum16(sum16(0, ip + 12, 8), l4, len) + proto + (uint32_t)len;
	st_be16(l4 + sum_at, fold(s));
	return 34 + len;
}

static inline int send_udp(struct guest *g, uint32_t to, uint16_t sport, uint16_t dport,
			   const void *p, size_t len)
{
	uint8_t frame[1514];

	st_be16(frame + 34, sport);
	st_be16(frame + 36, dport);
	st_be16(frame + 38, (uint16_t)(8 + len));
	memcpy(frame + 42, p, len);
	return guest_send(g, frame, wrap_ip(g, frame, 17, to, 8 + len, 6));
}

/* Wait until a frame arrives that @match likes; it is taken out. NULL after @ms. */
static inline const uint8_t *wait_frame(struct guest *g,
					bool (*match)(const uint8_t *, size_t, uint32_t),
					uint32_t arg, int ms, size_t *ret_len)
{
	static uint8_t got[1600];
	ns_t end = host_now_ns() + (ns_t)ms * NS_PER_MS;

	do {
		for (unsigned i = 0; i < g->n_in; i++) {
			if (!match(g->inbox[i].data, g->inbox[i].len, arg))
				continue;
			*ret_len = g->inbox[i].len;
			memcpy(got, g->inbox[i].data, *ret_len);
			memmove(&g->inbox[i], &g->inbox[i + 1],
				(g->n_in - i - 1) * sizeof(g->inbox[0]));
			g->n_in--;
			net_poll_input(g->net);
			return got;
		}
		if (g->n_in > INBOX / 2) { /* nobody waits for these */
			g->n_in = 0;
			net_poll_input(g->net);
		}
		assert_int_equal(loop_run_once(g->loop, 5), 0);
	} while (host_now_ns() < end);
	return NULL;
}

static inline bool is_arp_reply(const uint8_t *f, size_t len, uint32_t ip)
{
	return len >= 42 && ld_be16(f + 12) == 0x0806 && ld_be16(f + 20) == 2 &&
	       ld_be32(f + 28) == ip;
}

static inline bool is_udp_to(const uint8_t *f, size_t len, uint32_t port)
{
	return len >= 42 && ld_be16(f + 12) == 0x0800 && f[23] == 17 && ld_be16(f + 36) == port;
}

static inline bool is_tcp_to(const uint8_t *f, size_t len, uint32_t port)
{
	return len >= 54 && ld_be16(f + 12) == 0x0800 && f[23] == 6 && ld_be16(f + 36) == port;
}

static inline bool is_arp_for_guest(const uint8_t *f, size_t len, uint32_t ip)
{
	return len >= 42 && ld_be16(f + 12) == 0x0806 && ld_be16(f + 20) == 1 &&
	       ld_be32(f + 38) == ip;
}

static inline void send_arp(struct guest *g, uint16_t op, const uint8_t *tha, uint32_t tpa)
{
	uint8_t f[42] = {0};

	memset(f, 0xff, 6);
	memcpy(f + 6, guest_mac, 6);
	st_be16(f + 12, 0x0806);
	st_be16(f + 14, 1);
	st_be16(f + 16, 0x0800);
	f[18] = 6;
	f[19] = 4;
	st_be16(f + 20, op);
	memcpy(f + 22, guest_mac, 6);
	st_be32(f + 28, GUEST_IP);
	if (tha)
		memcpy(f + 32, tha, 6);
	st_be32(f + 38, tpa);
	for (int i = 0; guest_send(g, f, sizeof(f)); i++) { /* no room yet */
		assert_true(i < PATIENCE / 5);
		assert_int_equal(loop_run_once(g->loop, 5), 0);
	}
}

/* ARP for the gateway, again each second; false when nobody answers. */
static inline bool try_arp(struct guest *g, int ms)
{
	const uint8_t *f = NULL;
	size_t len;

	for (; !f && ms > 0; ms -= 1000) {
		send_arp(g, 1, NULL, GATEWAY);
		f = wait_frame(g, is_arp_reply, GATEWAY, MIN(ms, 1000), &len);
	}
	if (f)
		memcpy(g->gw_mac, f + 22, 6);
	return f != NULL;
}

static inline void dhcp(struct guest *g)
{
	uint8_t msg[300], reply_type;
	const uint8_t *f;
	size_t len;

	for (uint8_t type = 1; type <= 3; type += 2) { /* DISCOVER, REQUEST */
		memset(msg, 0, sizeof(msg));
		msg[0] = 1;
		msg[1] = 1;
		msg[2] = 6;
		st_be32(msg + 4, 0xb0714711);
		memcpy(msg + 28, guest_mac, 6);
		st_be32(msg + 236, 0x63825363);
		memcpy(msg + 240, (uint8_t[]){53, 1, type, 50, 4, 10, 0, 2, 15, 255}, 10);
		assert_int_equal(send_udp(g, 0xffffffff, 68, 67, msg, sizeof(msg)), 0);
		f = wait_frame(g, is_udp_to, 68, PATIENCE, &len);
		assert_non_null(f);
		assert_int_equal(ld_be32(f + 42 + 4), 0xb0714711);
		assert_int_equal(ld_be32(f + 42 + 16), GUEST_IP); /* yiaddr */
		reply_type = f[42 + 242];
		assert_int_equal(reply_type, type == 1 ? 2 : 5); /* OFFER, ACK */
	}
}

static inline void guest_up(struct guest *g, const struct net_options *opt)
{
	struct error err = {0};
	int r = guest_open(g, opt, &err);

	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	dhcp(g);
	assert_true(try_arp(g, PATIENCE));
}

/* --- host sockets --- */

static inline int host_socket(int type, uint16_t *ret_port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(LOOPBACK)};
	socklen_t len = sizeof(sin);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sin, &len), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 5), 0);
	*ret_port = ntohs(sin.sin_port);
	return fd;
}

/* A port that was free a moment ago. */
static inline uint16_t free_port(int type)
{
	uint16_t port;

	close(host_socket(type, &port));
	return port;
}

static inline bool readable(int fd, struct guest *g, int ms)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	for (int i = 0; i < ms / 5 + 1; i++) {
		if (poll(&pfd, 1, 0) > 0)
			return true;
		assert_int_equal(loop_run_once(g->loop, 5), 0);
	}
	return false;
}

/* --- TCP --- */

struct tcp {
	struct guest *g;
	uint32_t ip, snd, rcv;
	uint16_t lport, rport;
	bool fin;
};

enum { FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32 };

static inline void tcp_send(struct tcp *t, uint8_t flags, const void *p, size_t len)
{
	uint8_t frame[1514], *h = frame + 34;

	memset(h, 0, 20);
	st_be16(h, t->lport);
	st_be16(h + 2, t->rport);
	st_be32(h + 4, t->snd);
	st_be32(h + 8, t->rcv);
	h[12] = 5 << 4;
	h[13] = flags;
	st_be16(h + 14, 65535);
	if (len)
		memcpy(h + 20, p, len);
	for (int i = 0; guest_send(t->g, frame, wrap_ip(t->g, frame, 6, t->ip, 20 + len, 16));
	     i++) {
		assert_true(i < PATIENCE / 5);
		assert_int_equal(loop_run_once(t->g->loop, 5), 0);
	}
	t->snd += (uint32_t)len + ((flags & (SYN | FIN)) ? 1 : 0);
}

/* Take the next segment in order; its data goes to @buf. -1: nothing within @ms; -2: reset. */
static inline int tcp_recv(struct tcp *t, uint8_t *buf, int ms, uint8_t *ret_flags)
{
	for (;;) {
		size_t len, data, header;
		const uint8_t *f = wait_frame(t->g, is_tcp_to, t->lport, ms, &len), *h;

		if (!f)
			return -1;
		h = f + 34;
		header = (h[12] >> 4) * 4u;
		data = ld_be16(f + 16) - 20u - header;
		*ret_flags = h[13];
		if (h[13] & RST)
			return -2;
		if (h[13] & SYN) {
			t->rcv = ld_be32(h + 4) + 1;
			return 0;
		}
		if (ld_be32(h + 4) != t->rcv) { /* old or ahead: it comes again */
			if (t->g->lose_every)
				tcp_send(t, ACK, NULL, 0); /* RFC 5681, 4.2 */
			continue;
		}
		memcpy(buf, h + header, data);
		t->rcv += (uint32_t)data;
		if (h[13] & FIN) {
			t->rcv++;
			t->fin = true;
		}
		return (int)data;
	}
}

static inline void tcp_connect(struct tcp *t, struct guest *g, uint32_t ip, uint16_t port)
{
	uint8_t buf[1600], flags = 0;

	*t = (struct tcp){.g = g, .ip = ip, .rport = port, .lport = 40000, .snd = 1000};
	tcp_send(t, SYN, NULL, 0);
	assert_int_equal(tcp_recv(t, buf, PATIENCE, &flags), 0);
	assert_int_equal(flags & (SYN | ACK), SYN | ACK);
	tcp_send(t, ACK, NULL, 0);
}

static inline uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 167 + (i >> 8) * 13 + (i >> 16));
}

/* Host to guest: @total bytes arrive as they were sent. */
static inline void download(struct tcp *t, int fd, size_t total)
{
	uint8_t chunk[8192], buf[1600], flags;
	size_t sent = 0, got = 0;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (got < total) {
		size_t n = MIN(sizeof(chunk), total - sent);
		int r;

		for (size_t i = 0; i < n; i++)
			chunk[i] = pattern(sent + i);
		if (n > 0) {
			ssize_t w = send(fd, chunk, n, MSG_NOSIGNAL);

			sent += (size_t)MAX(w, (ssize_t)0);
		}
		r = tcp_recv(t, buf, PATIENCE, &flags);
		if (r < 0)
			print_error("at %zu of %zu: %d\n", got, total, r);
		assert_true(r >= 0);
		for (int i = 0; i < r; i++)
			assert_int_equal(buf[i], pattern(got + (size_t)i));
		got += (size_t)r;
		if (r > 0)
			tcp_send(t, ACK, NULL, 0);
	}
}

/* Guest to host, one segment at a time. */
static inline void upload(struct tcp *t, int fd, size_t total)
{
	uint8_t seg[MSS], back[MSS];

	for (size_t at = 0; at < total;) {
		size_t n = MIN(total - at, (size_t)MSS), got = 0;

		for (size_t i = 0; i < n; i++)
			seg[i] = pattern(at + i);
		tcp_send(t, ACK | PSH, seg, n);
		while (got < n) {
			ssize_t r;

			assert_true(readable(fd, t->g, PATIENCE));
			r = recv(fd, back + got, n - got, 0);
			assert_true(r > 0);
			got += (size_t)r;
		}
		assert_memory_equal(seg, back, n);
		at += n;
	}
}

static inline void wait_count(struct guest *g, const unsigned *count, unsigned want, int ms)
{
	for (int i = 0; i < ms / 5 && *count < want; i++)
		assert_int_equal(loop_run_once(g->loop, 5), 0);
	assert_int_equal(*count, want);
}

#endif
