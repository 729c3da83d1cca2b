/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "vnc": the VM's side of the VNC server. RFB clients are strangers, so what they send is parsed in
 * a helper process of its own (vnc_worker.c), which sees the picture read-only and nothing else of
 * the VM. Here only its messages are handled (vnc.h): keys and pointer go to the display, and when
 * some client waits for a change, the display is asked to draw, at most 30 times a second, ever
 * more seldom while nothing changes. Nobody watching: nothing is drawn.
 *
 * A helper that dies is replaced, first after 100 ms, then ever slower up to 5 s. The listening
 * socket is opened here, once, and survives its helpers; so does the password file's descriptor,
 * which is passed on unread.
 *
 * Bus lock held everywhere.
 */
#include "display/vnc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "host/loop.h"

enum { START_MS = 10000, BATCH = 64, SOCKET_BYTES = 256 * 1024 };
#define RETRY_FIRST (100 * NS_PER_MS)
#define RETRY_MAX   (5 * NS_PER_SEC)
#define FRAME_MIN   (33 * NS_PER_MS) /* between two looks at the guest's screen */
#define FRAME_MAX   (100 * NS_PER_MS)

struct vnc {
	struct loop *loop;
	struct display *d;
	struct display_viewer viewer;
	struct vnc_config cfg;
	int listen_fd, picture_fd, password_fd, fd;
	char *unix_path; /* owned; to be removed */
	pid_t pid;       /* 0: none */
	struct loop_fd *watch;
	struct loop_timer *retry_timer, *frame_timer;
	ns_t retry, frame, next_frame;
	bool wanted; /* a client waits for a change */
	bool lost;   /* messages did not go through: all is damage */
	bool absolute_told, absolute;
	unsigned n_rects;
	struct display_rect rect[VNC_RECTS];
};

/* ------------------------------------------------------------------ to the helper */

static bool tell(struct vnc *v, enum vnc_message type, const void *p, size_t len)
{
	uint8_t t = (uint8_t)type;
	struct iovec iov[2] = {{&t, 1}, {(void *)(uintptr_t)p, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};

	if (v->fd < 0)
		return false;
	if (sendmsg(v->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	v->lost = true;
	return false;
}

static void tell_size(struct vnc *v)
{
	struct vnc_size s = {(uint16_t)v->d->w, (uint16_t)v->d->h};

	tell(v, VNC_SIZE, &s, sizeof(s));
}

static void tell_cursor(struct vnc *v)
{
	const struct display_cursor *c = &v->d->cursor;
	size_t px = MIN((size_t)c->w * c->h, ARRAY_SIZE(c->px)) * sizeof(c->px[0]);

	if (v->d->has_cursor)
		tell(v, VNC_CURSOR, c, offsetof(struct display_cursor, px) + px);
	else
		tell(v, VNC_CURSOR, NULL, 0);
}

static void on_damage(struct display_viewer *viewer, const struct display_rect *r)
{
	struct vnc *v = CONTAINER_OF(viewer, struct vnc, viewer);

	if (v->n_rects == VNC_RECTS) {
		/* Too many to tell apart: everything. */
		v->n_rects = 1;
		v->rect[0] = (struct display_rect){0, 0, (uint16_t)v->d->w, (uint16_t)v->d->h};
		return;
	}
	v->rect[v->n_rects++] = *r;
}

static void on_resized(struct display_viewer *viewer, unsigned w, unsigned h)
{
	struct vnc *v = CONTAINER_OF(viewer, struct vnc, viewer);

	tell_size(v);
	v->n_rects = 1;
	v->rect[0] = (struct display_rect){0, 0, (uint16_t)w, (uint16_t)h};
}

static void on_cursor(struct display_viewer *viewer, const struct display_cursor *c)
{
	struct vnc *v = CONTAINER_OF(viewer, struct vnc, viewer);

	tell_cursor(v);
	/* A client that waits gets it with its next update. */
	if (!v->n_rects)
		v->rect[v->n_rects++] = (struct display_rect){0, 0, 1, 1};
}

/* Draw, and pass on what changed. */
static void on_frame(void *ctx)
{
	struct vnc *v = ctx;
	ns_t now = host_now_ns();
	bool absolute = display_absolute(v->d);

	if (!v->wanted)
		return;
	if (v->lost) {
		v->lost = false;
		tell_size(v);
		tell_cursor(v);
		v->n_rects = 1;
		v->rect[0] = (struct display_rect){0, 0, (uint16_t)v->d->w, (uint16_t)v->d->h};
	}
	if (absolute != v->absolute || !v->absolute_told) {
		v->absolute = absolute;
		v->absolute_told = tell(v, VNC_POINTER, &(uint8_t){absolute}, 1);
	}
	display_update(v->d);
	if (v->n_rects && tell(v, VNC_DAMAGE, v->rect, v->n_rects * sizeof(v->rect[0]))) {
		v->n_rects = 0;
		v->wanted = false;
		v->frame = FRAME_MIN;
		v->next_frame = now + FRAME_MIN;
		return;
	}
	v->frame = MIN(v->frame + v->frame / 4, FRAME_MAX);
	v->next_frame = now + v->frame;
	loop_timer_arm(v->frame_timer, v->next_frame);
}

/* ------------------------------------------------------------------ from the helper */

static void helper_died(struct vnc *v);

static void moved(struct vnc *v, const struct vnc_move *m)
{
	if (m->relative)
		display_move_by(v->d, m->x, m->y, m->buttons, m->dz, m->dh);
	else
		display_move(v->d, (unsigned)MAX(m->x, 0), (unsigned)MAX(m->y, 0), m->buttons,
			     m->dz, m->dh);
}

/* Returns false when the helper talks nonsense. */
static bool handle(struct vnc *v, const uint8_t *p, size_t len)
{
	union {
		struct vnc_key key;
		struct vnc_move move;
		struct vnc_size size;
	} u;
	uint8_t type = *p++;

	len--;
	memcpy(&u, p, MIN(len, sizeof(u)));
	switch (type) {
	case VNC_UP: v->retry = RETRY_FIRST; return true;
	case VNC_WANT:
		v->wanted = true;
		loop_timer_arm(v->frame_timer, v->next_frame);
		return true;
	case VNC_KEY:
		if (len != sizeof(u.key))
			return false;
		display_key(v->d, u.key.code, u.key.down);
		break;
	case VNC_MOVE:
		if (len != sizeof(u.move))
			return false;
		moved(v, &u.move);
		break;
	case VNC_RESIZE:
		if (len != sizeof(u.size))
			return false;
		if (display_set_size(v->d, u.size.w, u.size.h) < 0)
			tell(v, VNC_REFUSED, NULL, 0);
		break;
	case VNC_GONE: display_release_keys(v->d); return true;
	case VNC_ERROR:
		log_warn("display/vnc: %.*s", (int)MIN(len, (size_t)200), (const char *)p);
		return true;
	default: return false;
	}
	/* Somebody acts: look soon for what comes of it. */
	v->frame = FRAME_MIN;
	if (v->wanted && v->next_frame > host_now_ns() + FRAME_MIN) {
		v->next_frame = host_now_ns() + FRAME_MIN;
		loop_timer_arm(v->frame_timer, v->next_frame);
	}
	return true;
}

/* One message into @buf: its length; 0 when there is none now; -errno. */
static ssize_t receive(struct vnc *v, uint8_t *buf, size_t size)
{
	ssize_t n = recv(v->fd, buf, size, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n == 0 ? -ECONNRESET : n;
}

static void on_message(void *ctx, uint32_t events)
{
	struct vnc *v = ctx;

	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t buf[256];
		ssize_t n = receive(v, buf, sizeof(buf));

		if (n == 0)
			return;
		if (n < 0 || !handle(v, buf, (size_t)n)) {
			helper_died(v);
			return;
		}
	}
}

/* ------------------------------------------------------------------ the process */

static int spawn_helper(struct vnc *v, int fd)
{
	char argv0[] = VNC_ARGV0;
	char *argv[] = {argv0, NULL}, *env[2] = {NULL, NULL};
	const char *libraries = getenv("LD_LIBRARY_PATH");
	/* Sources may have the numbers of targets: everything goes up out of the way first. */
	int from[4] = {fd, v->picture_fd, v->listen_fd, v->password_fd}, high[4] = {-1, -1, -1, -1};
	posix_spawn_file_actions_t act;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r = 0;

	if (libraries)
		env[0] = xasprintf("LD_LIBRARY_PATH=%s", libraries);
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&act);
	for (int i = 0; i < 4 && r == 0; i++) {
		if (from[i] < 0)
			continue;
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, VNC_FD + 8);
		r = high[i] < 0 ? errno : 0;
	}
	for (int i = 0; i < 4 && r == 0; i++)
		if (high[i] >= 0)
			posix_spawn_file_actions_adddup2(&act, high[i], VNC_FD + i);
	posix_spawn_file_actions_addclosefrom_np(&act, VNC_FD + (v->password_fd >= 0 ? 4 : 3));
	if (r == 0)
		r = posix_spawn(&v->pid, "/proc/self/exe", &act, &attr, argv, env);
	for (int i = 0; i < 4; i++)
		if (high[i] >= 0)
			close(high[i]);
	posix_spawn_file_actions_destroy(&act);
	posix_spawnattr_destroy(&attr);
	free(env[0]);
	if (r)
		v->pid = 0;
	return -r;
}

static int start_helper(struct vnc *v)
{
	int fds[2], bytes = SOCKET_BYTES, r;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	for (int i = 0; i < 2; i++) /* as much as the host grants; the default will do */
		setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	r = spawn_helper(v, fds[1]);
	close(fds[1]);
	if (r < 0) {
		close(fds[0]);
		return r;
	}
	v->fd = fds[0];
	v->lost = false;
	if (!tell(v, VNC_CONFIG, &v->cfg, sizeof(v->cfg)))
		return -EPIPE;
	tell_size(v);
	tell_cursor(v);
	v->absolute_told = false;
	return 0;
}

static void end_helper(struct vnc *v)
{
	loop_del_fd(v->watch);
	v->watch = NULL;
	if (v->fd >= 0)
		close(v->fd);
	v->fd = -1;
	v->wanted = false;
	if (v->pid > 0) {
		kill(v->pid, SIGKILL);
		while (waitpid(v->pid, NULL, 0) < 0 && errno == EINTR)
			continue;
	}
	v->pid = 0;
}

static void helper_died(struct vnc *v)
{
	log_warn("display/vnc: the helper process died; starting another in %llu ms",
		 (unsigned long long)(v->retry / NS_PER_MS));
	end_helper(v);
	display_release_keys(v->d);
	loop_timer_arm(v->retry_timer, host_now_ns() + v->retry);
	v->retry = MIN(v->retry * 2, RETRY_MAX);
}

static void on_retry(void *ctx)
{
	struct vnc *v = ctx;
	int r = start_helper(v);

	if (r == 0)
		r = loop_add_fd(v->loop, v->fd, EPOLLIN, on_message, v, &v->watch);
	if (r < 0)
		helper_died(v);
}

/* Wait for VNC_UP, or for the reason why it does not come. */
static int await_start(struct vnc *v, struct error *err)
{
	ns_t end = host_now_ns() + START_MS * NS_PER_MS;

	for (;;) {
		struct pollfd pfd = {.fd = v->fd, .events = POLLIN};
		ns_t now = host_now_ns();
		uint8_t buf[256];
		ssize_t n;

		if (now >= end)
			return error_set(err, -ETIMEDOUT,
					 "display 'vnc': the helper process did not start within "
					 "%d s; is the host overloaded?",
					 START_MS / 1000);
		if (poll(&pfd, 1, (int)((end - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			return error_set(err, -errno, "display 'vnc': poll: %s", strerror(errno));
		n = receive(v, buf, sizeof(buf));
		if (n > 0 && buf[0] == VNC_UP)
			return 0;
		if (n > 0 && buf[0] == VNC_ERROR)
			return error_set(err, -EIO, "%.*s", (int)n - 1, (const char *)buf + 1);
		if (n != 0)
			return error_set(err, -ECHILD,
					 "display 'vnc': the helper process ended at once; its "
					 "messages are above");
	}
}

/* ------------------------------------------------------------------ where to listen */

static int listen_unix(struct vnc *v, const char *path, struct error *err)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t old;
	int r;

	if (!path[0] || strlen(path) >= sizeof(sa.sun_path))
		return error_set(err, -EINVAL, "display 'vnc': socket path '%s' has 1 to %zu bytes",
				 path, sizeof(sa.sun_path) - 1);
	strcpy(sa.sun_path, path);
	v->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Whoever can open it owns the guest's keyboard. */
	old = umask(0177);
	r = v->listen_fd < 0 || bind(v->listen_fd, (void *)&sa, sizeof(sa)) < 0 ? -errno : 0;
	umask(old);
	if (r < 0)
		return error_set(err, r, "display 'vnc': cannot listen on '%s': %s%s", path,
				 strerror(-r),
				 r == -EADDRINUSE ? "; remove it if no other VM uses it" : "");
	v->unix_path = xstrdup(path);
	return 0;
}

static int listen_tcp(struct vnc *v, const char *where, struct error *err)
{
	struct sockaddr_in sa = {.sin_family = AF_INET};
	const char *colon = strrchr(where, ':');
	char host[32], *end;
	unsigned long port;
	int one = 1;

	if (!colon || (size_t)(colon - where) >= sizeof(host))
		return error_set(err, -EINVAL,
				 "display 'vnc:%s': write vnc:127.0.0.1:PORT or vnc:unix:PATH",
				 where);
	snprintf(host, sizeof(host), "%.*s", (int)(colon - where), where);
	port = strtoul(colon + 1, &end, 10);
	if (*end || end == colon + 1 || port == 0 || port > 65535)
		return error_set(err, -EINVAL, "display 'vnc': '%s' is not a port (1..65535)",
				 colon + 1);
	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &sa.sin_addr) != 1)
		return error_set(err, -EINVAL, "display 'vnc': '%s' is not an IPv4 address", host);
	if (ntohl(sa.sin_addr.s_addr) >> 24 != 127 && v->password_fd < 0)
		return error_set(err, -EINVAL,
				 "display 'vnc': anybody on the network could use the guest at %s; "
				 "use 127.0.0.1, or add ,password-file=PATH",
				 host);
	sa.sin_port = htons((uint16_t)port);
	v->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (v->listen_fd < 0)
		return error_set(err, -errno, "display 'vnc': socket: %s", strerror(errno));
	setsockopt(v->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(v->listen_fd, (void *)&sa, sizeof(sa)) < 0)
		return error_set(err, -errno, "display 'vnc': cannot listen on %s port %lu: %s%s",
				 host, port, strerror(errno),
				 errno == EADDRINUSE ? "; choose another port" : "");
	return 0;
}

static int open_sockets(struct vnc *v, const char *spec, struct error *err)
{
	char *where = xstrdup(spec), *option = strstr(where, ",password-file=");
	int r = 0;

	if (option) {
		*option = 0;
		option += strlen(",password-file=");
		v->password_fd = open(option, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (v->password_fd < 0)
			r = error_set(err, -errno, "display 'vnc': password file '%s': %s", option,
				      strerror(errno));
	}
	v->cfg.has_password = v->password_fd >= 0;
	if (r == 0)
		r = strncmp(where, "unix:", 5) ? listen_tcp(v, where, err)
					       : listen_unix(v, where + 5, err);
	if (r == 0 && listen(v->listen_fd, 16) < 0)
		r = error_set(err, -errno, "display 'vnc': listen: %s", strerror(errno));
	free(where);
	return r;
}

/* The picture again, for reading only. */
static int reopen_picture(struct vnc *v, struct error *err)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->d->fd);
	v->picture_fd = open(path, O_RDONLY | O_CLOEXEC);
	return v->picture_fd < 0
		       ? error_set(err, -errno, "display 'vnc': %s: %s; is /proc mounted?", path,
				   strerror(errno))
		       : 0;
}

int vnc_open(struct loop *loop, struct display *d, const char *name, const char *spec,
	     struct vnc **ret_v, struct error *err)
{
	struct vnc *v = xnew(struct vnc);
	int r;

	v->loop = loop;
	v->d = d;
	v->fd = v->listen_fd = v->picture_fd = v->password_fd = -1;
	v->retry = RETRY_FIRST;
	v->frame = FRAME_MIN;
	v->cfg.magic = VNC_CONFIG_MAGIC;
	v->cfg.parent_pid = (uint32_t)getpid();
	snprintf(v->cfg.name, sizeof(v->cfg.name), "%s", name ? name : "bothy");
	v->viewer = (struct display_viewer){
		.resized = on_resized, .damaged = on_damage, .cursor = on_cursor};
	display_add_viewer(d, &v->viewer);
	v->retry_timer = loop_timer_new(loop, on_retry, v);
	v->frame_timer = loop_timer_new(loop, on_frame, v);
	r = open_sockets(v, spec, err);
	if (r == 0)
		r = reopen_picture(v, err);
	if (r == 0) {
		r = start_helper(v);
		if (r < 0)
			error_set(err, r, "display 'vnc': cannot start the helper process: %s",
				  strerror(-r));
	}
	if (r == 0)
		r = await_start(v, err);
	if (r == 0)
		r = loop_add_fd(loop, v->fd, EPOLLIN, on_message, v, &v->watch);
	if (r < 0) {
		vnc_close(v);
		return r;
	}
	*ret_v = v;
	return 0;
}

void vnc_close(struct vnc *v)
{
	if (!v)
		return;
	end_helper(v);
	display_del_viewer(v->d, &v->viewer);
	loop_timer_free(v->retry_timer);
	loop_timer_free(v->frame_timer);
	if (v->listen_fd >= 0)
		close(v->listen_fd);
	if (v->picture_fd >= 0)
		close(v->picture_fd);
	if (v->password_fd >= 0)
		close(v->password_fd);
	if (v->unix_path)
		unlink(v->unix_path);
	free(v->unix_path);
	free(v);
}
