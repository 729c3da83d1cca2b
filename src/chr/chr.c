/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character back ends: the part all kinds share.
 *
 * Output: a write goes straight to the descriptor while nothing is queued; what the host does not
 * take goes into a ring of 64 KiB, and when that is full the front end is told so and waits for
 * writable(). Without a peer (pty nobody opened, socket nobody connected to) the ring keeps the
 * newest 64 KiB and the guest never waits; a peer that arrives is shown them first. So neither
 * the host's memory nor its disk grows with what a guest prints.
 *
 * Input: bytes are read into a ring of 4 KiB and handed over as the front end has room. A full ring
 * stops reading (a pipe or socket then slows its writer), except for a terminal: there typed bytes
 * are dropped, so that the menu key works even when the guest hangs.
 *
 * Threads: chr_write() and chr_poll_input() come from any thread that holds the outer lock, so they
 * never call the handler; a timer that is due at once (`kick`) moves the work to the loop's thread.
 * A descriptor is watched only for what is wanted and otherwise not at all: EPOLLHUP cannot be
 * masked and would spin.
 */
#include "chr/impl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

static const struct chr_kind *const kinds[] = {
	&chr_stdio_kind, &chr_null_kind, &chr_file_kind, &chr_pty_kind, &chr_unix_kind,
};

static void on_fd(void *ctx, uint32_t events);

void chr_kick(struct chr *c)
{
	if (!c->closing)
		loop_timer_arm(c->kick, 0);
}

/* Watch @fd for @events with *@w, or not at all. */
static int watch(struct chr *c, struct loop_fd **w, int fd, uint32_t events)
{
	if (*w) {
		loop_mod_fd(*w, events);
		return 0;
	}
	if (fd < 0 || events == 0)
		return 0;
	return loop_add_fd(c->loop, fd, events, on_fd, c, w);
}

static void rewatch(struct chr *c)
{
	bool room = c->in_lossy || ring_space(&c->in) > 0;
	uint32_t in = c->in_fd >= 0 && !c->in_eof && room ? EPOLLIN : 0;
	uint32_t out = c->out_fd >= 0 && c->out.len > 0 ? EPOLLOUT : 0;
	int r;

	if (c->closing)
		return;
	if (c->in_eof && c->kind->hangup)
		in = EPOLLHUP | EPOLLERR; /* half closed: only wait for the rest */
	if (c->in_fd == c->out_fd) {
		r = watch(c, &c->in_watch, c->in_fd, in | out);
	} else {
		r = watch(c, &c->in_watch, c->in_fd, in);
		if (r == 0)
			r = watch(c, &c->out_watch, c->out_fd, out);
	}
	if (r < 0)
		log_warn("chr/%s: cannot watch: %s", c->desc, strerror(-r));
}

void chr_set_fds(struct chr *c, int in_fd, int out_fd)
{
	loop_del_fd(c->in_watch);
	loop_del_fd(c->out_watch);
	c->in_watch = c->out_watch = NULL;
	c->in_fd = in_fd;
	c->out_fd = out_fd;
	c->in_eof = false;
	rewatch(c);
}

void chr_set_peer(struct chr *c, bool peer)
{
	if (c->peer == peer)
		return;
	c->peer = peer;
	if (c->have_handler && c->h.event)
		c->h.event(c->h.ctx, peer);
	chr_kick(c);
}

/* One write without waiting. Bytes taken, 0 when the host is full, -errno when the peer is gone. */
static ssize_t write_once(struct chr *c, const uint8_t *p, size_t len)
{
	ssize_t n;

	do {
		n = c->out_is_socket ? send(c->out_fd, p, len, MSG_DONTWAIT | MSG_NOSIGNAL)
				     : write(c->out_fd, p, len);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
	return n;
}

/* The descriptor takes no more output, ever. */
static void output_failed(struct chr *c, int code)
{
	if (c->kind->hangup) {
		/* The peer left: keep the newest output; the loop's thread sees the hang-up. */
		if (code != -EIO && code != -EPIPE && code != -ECONNRESET)
			log_warn("chr/%s: write: %s", c->desc, strerror(-code));
		return;
	}
	if (!c->sink)
		log_warn("chr/%s: write: %s: further output is dropped", c->desc, strerror(-code));
	c->sink = true;
	ring_drop(&c->out, c->out.len);
}

/* Write queued output. True when the host took all of it. */
static bool push_output(struct chr *c)
{
	while (c->out.len > 0 && c->out_fd >= 0) {
		const uint8_t *p;
		size_t len = ring_peek(&c->out, &p);
		ssize_t n = write_once(c, p, len);

		if (n < 0) {
			output_failed(c, (int)n);
			break;
		}
		ring_drop(&c->out, (size_t)n);
		if ((size_t)n < len)
			break;
	}
	return c->out.len == 0;
}

static void pull_input(struct chr *c)
{
	uint8_t buf[1024];
	size_t room = ring_space(&c->in);
	ssize_t n;

	if (c->in_fd < 0 || c->in_eof)
		return;
	if (c->in_lossy)
		room = sizeof(buf);
	if (room == 0)
		return;
	do {
		n = c->in_is_socket ? recv(c->in_fd, buf, MIN(room, sizeof(buf)), MSG_DONTWAIT)
				    : read(c->in_fd, buf, MIN(room, sizeof(buf)));
	} while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0) { /* end of file, or the peer is gone */
		if (c->kind->hangup && !(n == 0 && c->in_is_socket))
			c->kind->hangup(c);
		else
			c->in_eof = true;
		return;
	}
	if (c->kind->filter)
		n = (ssize_t)c->kind->filter(c, buf, (size_t)n);
	if (c->deaf)
		return;
	if (c->tap && n > 0)
		c->tap(c->tap_ctx, buf, (size_t)n);
	ring_put(&c->in, buf, (size_t)n);
}

static void deliver_input(struct chr *c)
{
	while (c->in.len > 0 && c->have_handler && c->h.receive) {
		const uint8_t *p;
		size_t n = ring_peek(&c->in, &p);
		size_t room = c->h.can_receive ? c->h.can_receive(c->h.ctx) : n;
		uint8_t buf[256];

		n = MIN(n, room);
		n = MIN(n, sizeof(buf));
		if (n == 0)
			break;
		memcpy(buf, p, n); /* the handler may write, and so turn the ring */
		ring_drop(&c->in, n);
		c->h.receive(c->h.ctx, buf, n);
	}
}

void chr_set_tap(struct chr *c, void (*fn)(void *ctx, const uint8_t *buf, size_t len), void *ctx)
{
	c->tap = fn;
	c->tap_ctx = ctx;
}

void chr_deafen(struct chr *c)
{
	c->deaf = true;
}

void chr_inject(struct chr *c, const uint8_t *buf, size_t len)
{
	ring_put(&c->in, buf, MIN(len, ring_space(&c->in)));
	deliver_input(c);
}

/* All work of the loop's thread: outer lock held. */
static void chr_turn(struct chr *c, bool readable)
{
	if (readable)
		pull_input(c);
	deliver_input(c);
	if (c->peer)
		push_output(c);
	if (c->wants_writable && (c->sink || !c->peer || ring_space(&c->out) >= c->out.size / 2)) {
		c->wants_writable = false;
		if (c->have_handler && c->h.writable)
			c->h.writable(c->h.ctx);
	}
	rewatch(c);
}

static void on_fd(void *ctx, uint32_t events)
{
	struct chr *c = ctx;
	bool gone = events & (EPOLLHUP | EPOLLERR);

	if (gone && c->kind->hangup && (c->in_eof || ring_space(&c->in) == 0))
		c->kind->hangup(c);
	chr_turn(c, gone || (events & EPOLLIN));
}

static void on_kick(void *ctx)
{
	chr_turn(ctx, false);
}

static const struct chr_kind *find_kind(const char *spec, const char **ret_arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (spec_is(spec, kinds[i]->name, kinds[i]->takes_arg, ret_arg))
			return kinds[i];
	return NULL;
}

int chr_open(struct loop *loop, const char *spec, struct chr **ret_chr, struct error *err)
{
	const char *arg;
	const struct chr_kind *kind = find_kind(spec, &arg);
	struct chr *c;
	int r;

	if (!kind)
		return error_set(err, -EINVAL,
				 "console '%s' is not known: use stdio, null, file:PATH, pty or "
				 "unix:PATH",
				 spec);
	c = xnew(struct chr);
	c->loop = loop;
	c->kind = kind;
	c->desc = xstrdup(spec);
	c->in_fd = c->out_fd = -1;
	ring_init(&c->in, CHR_IN_RING);
	ring_init(&c->out, CHR_OUT_RING);
	c->kick = loop_timer_new(loop, on_kick, c);
	r = c->kick ? kind->open(c, arg, err)
		    : error_set(err, -ENOMEM, "console '%s': no timer", spec);
	if (r < 0) {
		chr_close(c);
		return r;
	}
	rewatch(c);
	*ret_chr = c;
	return 0;
}

void chr_close(struct chr *c)
{
	if (!c)
		return;
	if (c->peer && c->out.len > 0)
		chr_flush(c, 200);
	c->closing = true;
	loop_del_fd(c->in_watch);
	loop_del_fd(c->out_watch);
	c->in_watch = c->out_watch = NULL;
	if (c->kind->close)
		c->kind->close(c);
	loop_timer_free(c->kick);
	ring_done(&c->in);
	ring_done(&c->out);
	free(c->desc);
	free(c);
}

void chr_set_handler(struct chr *c, const struct chr_handler *h)
{
	c->have_handler = h != NULL;
	c->wants_writable = false;
	if (h)
		c->h = *h;
	else
		memset(&c->h, 0, sizeof(c->h));
	chr_kick(c);
}

size_t chr_write(struct chr *c, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	size_t done = 0;

	if (c->sink || len == 0)
		return len;
	if (!c->peer) {
		ring_put_newest(&c->out, p, len);
		return len;
	}
	if (c->out.len == 0) {
		ssize_t n = write_once(c, p, len);

		if (n < 0) {
			output_failed(c, (int)n);
			if (c->sink)
				return len;
		} else {
			done = (size_t)n;
		}
	}
	done += ring_put(&c->out, p + done, len - done);
	if (done < len)
		c->wants_writable = true;
	if (c->out.len > 0)
		rewatch(c);
	return done;
}

void chr_poll_input(struct chr *c)
{
	if (c->in.len > 0)
		chr_kick(c);
}

void chr_flush(struct chr *c, int ms)
{
	ns_t end = host_now_ns() + (ns_t)MAX(ms, 0) * NS_PER_MS;

	while (c->peer && !c->sink && c->out_fd >= 0 && !push_output(c)) {
		struct pollfd pfd = {.fd = c->out_fd, .events = POLLOUT};
		ns_t now = host_now_ns();

		if (now >= end)
			break;
		if (poll(&pfd, 1, (int)((end - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			break;
		if (pfd.revents & (POLLHUP | POLLERR | POLLNVAL))
			break;
	}
}

const char *chr_describe(const struct chr *c)
{
	return c->desc;
}

void chr_set_menu(struct chr *c, void (*key)(void *ctx, char key), void *ctx)
{
	c->menu = key;
	c->menu_ctx = ctx;
}
