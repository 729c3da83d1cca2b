/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NAT's worker: libslirp between a socket full of Ethernet frames and the host's sockets.
 *
 * The guest's network: 10.0.2.0/24, guest 10.0.2.15 by DHCP, gateway 10.0.2.2, DNS 10.0.2.3;
 * fec0::/64 with gateway fec0::2 and DNS fec0::3 by router advertisement. The gateway's address
 * stands for the host's loopback only when the user asked for that. TCP, UDP and ICMP echo go out
 * (the last where the host's net.ipv4.ping_group_range allows it). Forwards come in from the
 * host to 10.0.2.15.
 *
 * Every frame of the guest passes nat_filter_out() first. TFTP is on when a directory was named
 * (net/nat_boot.c); SMB and the address-rewriting
 * emulation of libslirp are off.
 *
 * Frames for the guest gather in a queue of at most 1 MiB and leave, many in one message, before
 * the worker waits. Backpressure: while the socket does not take what is there, the host's sockets
 * are not looked at, so TCP slows its senders down and the queue stays short. A frame that does not
 * fit is dropped, as on any wire.
 *
 * Single thread. All memory is libslirp's and the queue's; RLIMIT_DATA bounds it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net/nat_boot.h"
#include "net/nat_filter.h"
#include "net/nat_helper.h"
#include "net/net.h"

#define MAX_POLL    1024
#define MAX_TIMERS  8
#define GUEST_BATCH 64
#define QUEUE_MAX   (1024u * 1024u)
#define STALL_MS    50 /* with a full queue, look after timers this often */
#define FRAME_HEAD  sizeof(uint32_t)

struct worker_timer {
	bool used, armed;
	SlirpTimerId id;
	void *ctx;
	int64_t at_ms;
};

struct worker {
	Slirp *slirp;
	struct nat_filter filter;
	const struct nat_config *cfg; /* borrowed */
	struct worker_timer timers[MAX_TIMERS];
	struct pollfd pfd[MAX_POLL]; /* 0: the guest */
	int n_pfd;
	size_t from, to; /* in the queue: frames for the guest, as in a message */
	uint8_t frame[1 + NAT_FRAME_MAX + 1];
	uint8_t queue[QUEUE_MAX];
};

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* --- callbacks of libslirp --- */

/* Bytes of whole frames at the queue's head that make one message. */
static size_t next_message(const struct worker *w)
{
	size_t n = 0;

	while (w->from + n < w->to) {
		uint32_t len;

		memcpy(&len, w->queue + w->from + n, FRAME_HEAD);
		if (n && n + FRAME_HEAD + len > NAT_MESSAGE_MAX)
			break;
		n += FRAME_HEAD + len;
	}
	return n;
}

/* What the socket takes of the queue; the rest waits. */
static void push_queue(struct worker *w)
{
	while (w->from < w->to) {
		size_t n = next_message(w);

		if (!nat_send(NAT_FRAMES, w->queue + w->from, n, MSG_DONTWAIT))
			return;
		w->from += n;
	}
	w->from = w->to = 0;
}

static ssize_t on_send_packet(const void *buf, size_t len, void *opaque)
{
	struct worker *w = opaque;
	uint32_t head = (uint32_t)len;

	/* libslirp's buffer, which it does not look at again */
	nat_boot_answer(w->cfg->bootfile, (uint8_t *)(uintptr_t)buf, len);
	nat_filter_in(&w->filter, buf, len);
	if (len > NAT_MESSAGE_MAX - FRAME_HEAD)
		return (ssize_t)len; /* lost on the wire, as below */
	if (w->to - w->from + FRAME_HEAD + len > NAT_MESSAGE_MAX)
		push_queue(w);
	if (w->to - w->from + FRAME_HEAD + len > QUEUE_MAX)
		return (ssize_t)len;
	if (w->to + FRAME_HEAD + len > QUEUE_MAX) {
		memmove(w->queue, w->queue + w->from, w->to - w->from);
		w->to -= w->from;
		w->from = 0;
	}
	memcpy(w->queue + w->to, &head, FRAME_HEAD);
	memcpy(w->queue + w->to + FRAME_HEAD, buf, len);
	w->to += FRAME_HEAD + len;
	return (ssize_t)len;
}

static void on_guest_error(const char *msg, void *opaque)
{
}

static int64_t on_clock_get_ns(void *opaque)
{
	return now_ns();
}

static void *on_timer_new(SlirpTimerId id, void *ctx, void *opaque)
{
	struct worker *w = opaque;

	for (unsigned i = 0; i < MAX_TIMERS; i++) {
		if (!w->timers[i].used) {
			w->timers[i] = (struct worker_timer){.used = true, .id = id, .ctx = ctx};
			return &w->timers[i];
		}
	}
	abort(); /* libslirp 4 has one kind of timer; ours to change if that grows */
}

static void on_timer_free(void *timer, void *opaque)
{
	((struct worker_timer *)timer)->used = false;
}

static void on_timer_mod(void *timer, int64_t expire_ms, void *opaque)
{
	struct worker_timer *t = timer;

	t->armed = true;
	t->at_ms = expire_ms;
}

static void on_poll_fd(int fd, void *opaque)
{
}

static void on_notify(void *opaque)
{
}

static int on_add_poll(int fd, int events, void *opaque)
{
	struct worker *w = opaque;
	struct pollfd *p;

	if (w->n_pfd == MAX_POLL)
		return -1;
	p = &w->pfd[w->n_pfd];
	*p = (struct pollfd){.fd = fd};
	p->events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
			    (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
			    (events & SLIRP_POLL_PRI ? POLLPRI : 0));
	return w->n_pfd++;
}

static int on_get_revents(int idx, void *opaque)
{
	struct worker *w = opaque;
	int r, out = 0;

	if (idx < 1 || idx >= w->n_pfd)
		return 0;
	r = w->pfd[idx].revents;
	out |= r & POLLIN ? SLIRP_POLL_IN : 0;
	out |= r & POLLOUT ? SLIRP_POLL_OUT : 0;
	out |= r & POLLPRI ? SLIRP_POLL_PRI : 0;
	out |= r & POLLERR ? SLIRP_POLL_ERR : 0;
	out |= r & POLLHUP ? SLIRP_POLL_HUP : 0;
	return out;
}

static const SlirpCb callbacks = {
	.send_packet = on_send_packet,
	.guest_error = on_guest_error,
	.clock_get_ns = on_clock_get_ns,
	.timer_free = on_timer_free,
	.timer_mod = on_timer_mod,
	.register_poll_fd = on_poll_fd,
	.unregister_poll_fd = on_poll_fd,
	.notify = on_notify,
	.timer_new_opaque = on_timer_new,
};

/* --- set-up ------------------------------------------------------------------------------------
 */

static int setup_failed(const struct error *err)
{
	nat_send(NAT_ERROR, err->text, strlen(err->text), 0);
	return NAT_EXIT_SETUP;
}

static int bind_forwards(struct worker *w, const struct nat_config *cfg, struct error *err)
{
	struct in_addr guest;

	inet_pton(AF_INET, "10.0.2.15", &guest);
	for (unsigned i = 0; i < cfg->n_forwards; i++) {
		const struct nat_forward *f = &cfg->forwards[i];
		struct in_addr host = {.s_addr = f->host_addr};
		const char *why = "is not free", *next = "choose another";
		char addr[INET_ADDRSTRLEN];

		errno = 0;
		if (slirp_add_hostfwd(w->slirp, f->udp, host, f->host_port, guest, f->guest_port) ==
		    0)
			continue;
		inet_ntop(AF_INET, &host, addr, sizeof(addr));
		if (errno == EADDRINUSE) {
			why = "is in use by another program";
			next = "stop that or choose another port";
		} else if (errno == EACCES) {
			why = "needs privileges";
			next = "choose a port from 1024 up";
		} else if (errno == EADDRNOTAVAIL) {
			why = "cannot be used: the host does not have this address";
			next = "use 127.0.0.1 or 0.0.0.0";
		}
		return error_set(err, -errno, "port %u on %s%s %s: %s", f->host_port, addr,
				 f->udp ? " (udp)" : "", why, next);
	}
	return 0;
}

static int start_slirp(struct worker *w, const struct nat_config *cfg, struct error *err)
{
	SlirpConfig sc = {
		.version = 4,
		.in_enabled = true,
		.in6_enabled = true,
		.vprefix_len = 64,
		.if_mtu = cfg->mtu,
		.if_mru = cfg->mtu,
		.vhostname = "bothy",
		/* With UDP forwards the filter alone keeps the guest out (net/nat_filter.c). */
		.disable_host_loopback = w->filter.restrict_host && w->filter.n_udp == 0,
	};

	if (cfg->tftp[0]) {
		sc.tftp_path = cfg->tftp;
		sc.tftp_server_name = "10.0.2.2";
	}
	if (cfg->bootfile[0])
		sc.bootfile = cfg->bootfile;
	inet_pton(AF_INET, "10.0.2.0", &sc.vnetwork);
	inet_pton(AF_INET, "255.255.255.0", &sc.vnetmask);
	inet_pton(AF_INET, "10.0.2.2", &sc.vhost);
	inet_pton(AF_INET, "10.0.2.15", &sc.vdhcp_start);
	inet_pton(AF_INET, "10.0.2.3", &sc.vnameserver);
	inet_pton(AF_INET6, "fec0::", &sc.vprefix_addr6);
	inet_pton(AF_INET6, "fec0::2", &sc.vhost6);
	inet_pton(AF_INET6, "fec0::3", &sc.vnameserver6);
	w->slirp = slirp_new(&sc, &callbacks, w);
	if (!w->slirp)
		return error_set(err, -ENOMEM, "network 'nat': libslirp %s does not start",
				 slirp_version_string());
	return 0;
}

/* --- running --- */

static void run_timers(struct worker *w)
{
	int64_t now_ms = now_ns() / 1000000;

	for (unsigned i = 0; i < MAX_TIMERS; i++) {
		struct worker_timer *t = &w->timers[i];

		if (t->used && t->armed && t->at_ms <= now_ms) {
			t->armed = false;
			slirp_handle_timer(w->slirp, t->id, t->ctx);
		}
	}
}

static int timer_timeout(const struct worker *w, uint32_t slirp_ms)
{
	int64_t now_ms = now_ns() / 1000000, best = slirp_ms == UINT32_MAX ? INT32_MAX : slirp_ms;

	for (unsigned i = 0; i < MAX_TIMERS; i++) {
		if (w->timers[i].used && w->timers[i].armed)
			best = MIN(best, MAX(w->timers[i].at_ms - now_ms, (int64_t)0));
	}
	return best == INT32_MAX ? -1 : (int)MIN(best, (int64_t)60000);
}

/* Frames of the guest; false when the VM has closed the socket. */
static bool from_guest(struct worker *w)
{
	for (unsigned i = 0; i < GUEST_BATCH; i++) {
		ssize_t len = recv(NAT_FD, w->frame, sizeof(w->frame), MSG_DONTWAIT);

		if (len < 0)
			return errno == EAGAIN || errno == EINTR;
		if (len == 0)
			return false;
		if (w->frame[0] == NAT_FRAME &&
		    nat_filter_out(&w->filter, w->frame + 1, (size_t)len - 1))
			slirp_input(w->slirp, w->frame + 1, (int)len - 1);
	}
	return true;
}

static void run(struct worker *w)
{
	for (;;) {
		uint32_t slirp_ms = UINT32_MAX;
		bool stalled;
		int r, ms;

		push_queue(w);
		stalled = w->from < w->to;

		w->pfd[0] = (struct pollfd){.fd = NAT_FD,
					    .events = (short)(POLLIN | (stalled ? POLLOUT : 0))};
		w->n_pfd = 1;
		if (!stalled)
			slirp_pollfds_fill(w->slirp, &slirp_ms, on_add_poll, w);
		ms = timer_timeout(w, slirp_ms);
		if (stalled)
			ms = STALL_MS;
		r = poll(w->pfd, (nfds_t)w->n_pfd, ms);
		if (r < 0 && errno != EINTR)
			return;
		if (w->pfd[0].revents & (POLLERR | POLLNVAL))
			return;
		if (!stalled)
			slirp_pollfds_poll(w->slirp, r < 0, on_get_revents, w);
		run_timers(w);
		if ((w->pfd[0].revents & (POLLIN | POLLHUP)) && !from_guest(w))
			return;
	}
}

int nat_worker(const struct nat_config *cfg)
{
	struct worker *w = xnew(struct worker);
	struct error err = {0};

	w->cfg = cfg;
	nat_filter_init(&w->filter, cfg);
	if (nat_keep_files(&err) < 0 || nat_boot_keep(cfg, &err) < 0 ||
	    start_slirp(w, cfg, &err) < 0 || bind_forwards(w, cfg, &err) < 0 ||
	    nat_sandbox(&err) < 0)
		return setup_failed(&err);
	if (!nat_send(NAT_UP, NULL, 0, 0))
		return NAT_EXIT_DONE;
	run(w);
	return NAT_EXIT_DONE;
}
