/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VNC server's helper process: clients on one side, the VM on the other (viewer.h). It reads
 * the picture from memory it can't write, and what it can do to the VM is to press keys and move
 * the pointer. Before it accepts the first client it closes its sandbox: no files, no new sockets
 * but accepted ones, no processes.
 *
 * One thread, one poll() loop. At most 32 clients; one that has not authenticated within ten
 * seconds goes, and when there is no room, the oldest of those goes for a new one. A client that
 * takes nothing keeps its buffer and costs nothing else.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "display/rfb.h"
#include "display/vnc.h"
#include "host/sandbox.h"

/* A sanitizer's shadow memory counts as data. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOWS 1
#endif
#endif

enum { CLIENTS = 32, GREET_MS = 150, AUTH_MS = 10000, BATCH = 64, AFTER_WRONG_MS = 1000 };

struct viewer {
	int fd; /* -1: free */
	struct rfb *rfb;
	int64_t since_ms;
	bool closing; /* drop it when its output is out */
	int64_t close_ms;
};

struct worker {
	struct rfb_server srv;
	struct viewer viewer[CLIENTS];
	struct display_cursor cursor;
	struct viewer_config cfg;
	char password[9];
	bool asked; /* VIEWER_WANT is on its way */
	unsigned n;
	uint8_t buf[VIEWER_MESSAGE_MAX];
};

static const char *const allowed[] = {"accept",     "accept4",     "getsockopt",
				      "setsockopt", "getpeername", NULL};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ------------------------------------------------------------------ what clients do */

static void on_key(void *ctx, uint8_t code, bool down)
{
	struct viewer_key k = {code, down};

	/* A VM that is that busy loses keys, as a keyboard with a full buffer does. */
	viewer_tell(VIEWER_KEY, &k, sizeof(k), MSG_DONTWAIT);
}

static void on_pointer(void *ctx, bool relative, int x, int y, unsigned buttons, int dz, int dh)
{
	struct viewer_move m = {.x = x,
				.y = y,
				.relative = relative,
				.buttons = (uint8_t)buttons,
				.dz = (int8_t)dz,
				.dh = (int8_t)dh};

	viewer_tell(VIEWER_MOVE, &m, sizeof(m), MSG_DONTWAIT);
}

static void on_set_size(void *ctx, unsigned w, unsigned h)
{
	struct viewer_size s = {(uint16_t)w, (uint16_t)h};

	viewer_tell(VIEWER_RESIZE, &s, sizeof(s), MSG_DONTWAIT);
}

/* ------------------------------------------------------------------ clients */

static void drop(struct worker *w, struct viewer *v)
{
	close(v->fd);
	rfb_free(v->rfb);
	*v = (struct viewer){.fd = -1};
	if (--w->n == 0)
		viewer_tell(VIEWER_GONE, NULL, 0, MSG_DONTWAIT);
}

/* A free place; for a new client the oldest one that has not come in may have to go. */
static struct viewer *find_place(struct worker *w)
{
	struct viewer *oldest = NULL;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct viewer *v = &w->viewer[i];

		if (v->fd < 0)
			return v;
		if (!rfb_ready(v->rfb) && (!oldest || v->since_ms < oldest->since_ms))
			oldest = v;
	}
	if (oldest)
		drop(w, oldest);
	return oldest;
}

/* False when nobody waits any more. */
static bool accept_client(struct worker *w)
{
	int fd = accept4(VNC_LISTEN_FD, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
	struct viewer *v;

	if (fd < 0)
		return false;
	v = find_place(w);
	if (!v) {
		close(fd);
		return true;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)); /* no effect on unix */
	*v = (struct viewer){.fd = fd, .rfb = rfb_new(&w->srv), .since_ms = now_ms()};
	w->n++;
	if (!v->rfb) {
		drop(w, v);
		return true;
	}
	/* Nobody may have looked for long: have the picture and its size by the time of the
	 * greeting. */
	if (!w->asked)
		w->asked = viewer_tell(VIEWER_WANT, NULL, 0, MSG_DONTWAIT);
	return true;
}

/* Send what there is; false: the client is gone. */
static bool flush(struct viewer *v)
{
	const uint8_t *p;
	size_t n;

	for (unsigned i = 0; i < 8 && (n = rfb_output(v->rfb, &p)); i++) {
		ssize_t r = send(v->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r < 0)
			return errno == EAGAIN || errno == EINTR;
		rfb_sent(v->rfb, (size_t)r);
	}
	return true;
}

static void serve(struct worker *w, struct viewer *v, short events)
{
	uint8_t buf[4096];
	ssize_t n = 0;
	int r = 0;

	if ((events & (POLLIN | POLLHUP | POLLERR)) && !v->closing) {
		n = recv(v->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			drop(w, v);
			return;
		}
		if (n > 0)
			r = rfb_input(v->rfb, buf, (size_t)n);
		if (r < 0) {
			/* Say why, later if it guessed a password. */
			v->closing = true;
			v->close_ms = now_ms() + (r == -EACCES ? AFTER_WRONG_MS : 0);
		}
	}
	if (v->closing && now_ms() < v->close_ms)
		return;
	if (!flush(v) || v->closing)
		drop(w, v);
}

/* ------------------------------------------------------------------ the VM */

static void for_each(struct worker *w, void (*fn)(struct rfb *c))
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (w->viewer[i].fd >= 0)
			fn(w->viewer[i].rfb);
}

static void damage_all(struct worker *w, const struct display_rect *r)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		if (w->viewer[i].fd >= 0)
			rfb_damage(w->viewer[i].rfb, r);
}

static void handle(struct worker *w, const uint8_t *p, size_t len)
{
	struct viewer_size size;
	struct display_rect r;
	size_t head = offsetof(struct display_cursor, px);

	switch (w->buf[0]) {
	case VIEWER_SIZE:
		if (len != sizeof(size))
			break;
		memcpy(&size, p, sizeof(size));
		w->srv.w = MAX(1u, MIN(size.w + 0u, DISPLAY_MAX_W));
		w->srv.h = MAX(1u, MIN(size.h + 0u, DISPLAY_MAX_H));
		for_each(w, rfb_resized);
		break;
	case VIEWER_DAMAGE:
		w->asked = false;
		for (; len >= sizeof(r); p += sizeof(r), len -= sizeof(r)) {
			memcpy(&r, p, sizeof(r));
			damage_all(w, &r);
		}
		break;
	case VIEWER_CURSOR:
		memset(&w->cursor, 0, sizeof(w->cursor));
		w->srv.cursor = len >= head ? &w->cursor : NULL;
		memcpy(&w->cursor, p, MIN(len, sizeof(w->cursor)));
		if (w->cursor.w > DISPLAY_CURSOR_MAX || w->cursor.h > DISPLAY_CURSOR_MAX)
			w->srv.cursor = NULL;
		for_each(w, rfb_cursor);
		break;
	case VIEWER_POINTER: w->srv.absolute = len && p[0]; break;
	case VIEWER_REFUSED: for_each(w, rfb_resize_refused); break;
	}
}

/* Messages of the VM; false when it has closed the socket. */
static bool from_vm(struct worker *w)
{
	for (unsigned i = 0; i < BATCH; i++) {
		ssize_t n = recv(VIEWER_FD, w->buf, sizeof(w->buf), MSG_DONTWAIT);

		if (n < 0)
			return errno == EAGAIN || errno == EINTR;
		if (n == 0)
			return false;
		handle(w, w->buf + 1, (size_t)n - 1);
	}
	return true;
}

/* Greet those who wait for us to speak, drop those who took too long. Return: ms until the next. */
static int look_after(struct worker *w)
{
	int64_t now = now_ms(), next = now + 60000;
	bool want = false;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct viewer *v = &w->viewer[i];
		int64_t age = now - v->since_ms;

		if (v->fd < 0)
			continue;
		if (v->closing) {
			next = MIN(next, v->close_ms);
			if (now >= v->close_ms)
				serve(w, v, 0);
			continue;
		}
		if (!rfb_ready(v->rfb)) {
			if (age >= AUTH_MS) {
				drop(w, v);
				continue;
			}
			if (age >= GREET_MS)
				rfb_greet(v->rfb);
			next = MIN(next, v->since_ms + (age < GREET_MS ? GREET_MS : AUTH_MS));
		}
		want |= rfb_wants(v->rfb);
	}
	if (want && !w->asked)
		w->asked = viewer_tell(VIEWER_WANT, NULL, 0, MSG_DONTWAIT);
	return (int)MAX(next - now, (int64_t)0);
}

static void run(struct worker *w)
{
	struct pollfd pfd[2 + CLIENTS];

	for (;;) {
		int ms = look_after(w);

		pfd[0] = (struct pollfd){.fd = VIEWER_FD, .events = POLLIN};
		pfd[1] = (struct pollfd){.fd = VNC_LISTEN_FD, .events = POLLIN};
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct viewer *v = &w->viewer[i];
			const uint8_t *p;

			pfd[2 + i] = (struct pollfd){.fd = v->fd, .events = POLLIN};
			if (v->fd >= 0 && v->closing)
				pfd[2 + i].fd = -1;
			else if (v->fd >= 0 && rfb_output(v->rfb, &p))
				pfd[2 + i].events |= POLLOUT;
		}
		if (poll(pfd, ARRAY_SIZE(pfd), ms) < 0 && errno != EINTR)
			return;
		if ((pfd[0].revents & (POLLIN | POLLHUP | POLLERR)) && !from_vm(w))
			return;
		/* A place that a new client takes has no events of its old one: clients first. */
		for (unsigned i = 0; i < CLIENTS; i++)
			if (w->viewer[i].fd >= 0 && pfd[2 + i].fd >= 0 && pfd[2 + i].revents)
				serve(w, &w->viewer[i], pfd[2 + i].revents);
		for (unsigned i = 0; (pfd[1].revents & POLLIN) && i < BATCH; i++)
			if (!accept_client(w))
				break;
	}
}

/* ------------------------------------------------------------------ start */

static int failed(const struct error *err)
{
	viewer_tell(VIEWER_ERROR, err->text, strlen(err->text), 0);
	return 2;
}

/* The first line of the password file, its first eight characters. */
static int read_password(struct worker *w, struct error *err)
{
	ssize_t n = pread(VNC_PASSWORD_FD, w->password, 8, 0);

	close(VNC_PASSWORD_FD);
	w->password[n > 0 ? n : 0] = 0;
	w->password[strcspn(w->password, "\r\n")] = 0;
	if (!w->password[0])
		return error_set(err, -EINVAL, "display 'vnc': the password file is empty");
	w->srv.password = w->password;
	return 0;
}

static void set_limits(void)
{
	static const struct {
		int what;
		rlim_t max;
	} limits[] = {
		{RLIMIT_CORE, 0},
		{RLIMIT_NOFILE, 64},
#ifndef SHADOWS
		{RLIMIT_DATA, 128 * MIB},
#endif
	};

	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++) {
		struct rlimit new = {limits[i].max, limits[i].max};

		setrlimit((__rlimit_resource_t)limits[i].what, &new);
	}
}

static int work(struct worker *w)
{
	struct sandbox_profile profile = {.name = "vnc", .allow = allowed, .network = true};
	struct error err = {0};
	void *px = mmap(NULL, DISPLAY_BYTES, PROT_READ, MAP_SHARED, VIEWER_PICTURE_FD, 0);
	int r = 0;

	if (px == MAP_FAILED) {
		error_set(&err, -errno, "display 'vnc': cannot map the picture: %s",
			  strerror(errno));
		return failed(&err);
	}
	close(VIEWER_PICTURE_FD);
	if (w->cfg.has_password)
		r = read_password(w, &err);
	if (r == 0)
		r = sandbox_enter(&profile, &err);
	if (r < 0)
		return failed(&err);
	w->srv.px = px;
	w->srv.w = 640;
	w->srv.h = 480;
	w->srv.name = w->cfg.name;
	w->srv.scratch_px = xnew_n(uint32_t, RFB_RECT_W * RFB_RECT_H);
	w->srv.scratch = xnew_n(uint8_t, RFB_SCRATCH);
	w->srv.key = on_key;
	w->srv.pointer = on_pointer;
	w->srv.set_size = on_set_size;
	w->srv.ctx = w;
	for (unsigned i = 0; i < CLIENTS; i++)
		w->viewer[i].fd = -1;
	if (viewer_tell(VIEWER_UP, NULL, 0, 0))
		run(w);
	return 0;
}

int vnc_helper_main(int argc, char **argv)
{
	struct worker *w = xnew(struct worker);
	int r = viewer_start(VNC_ARGV0, &w->cfg);

	if (r)
		return r;
	set_limits();
	return work(w);
}
