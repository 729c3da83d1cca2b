/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The VM's side of a viewer in another process. A viewer talks with strangers or with large
 * libraries, so it sees the picture read-only and nothing else of the VM. Here only its messages
 * are handled (viewer.h): keys and pointer go to the display, and when the viewer waits for a
 * change, the display is asked to draw, at most 30 times a second, ever more seldom while nothing
 * changes. Nobody watching: nothing is drawn.
 *
 * A helper that dies is replaced, first after 100 ms, then ever slower up to 5 s.
 *
 * Bus lock held everywhere on the VM's side; the helper's few functions are at the end.
 */
#include "display/viewer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "host/loop.h"

enum { BATCH = 64, SOCKET_BYTES = 256 * 1024 };
#define RETRY_FIRST (100 * NS_PER_MS)
#define RETRY_MAX   (5 * NS_PER_SEC)
#define FRAME_MIN   (33 * NS_PER_MS) /* between two looks at the guest's screen */
#define FRAME_MAX   (100 * NS_PER_MS)

/* ------------------------------------------------------------------ to the helper */

static bool tell(struct viewer_process *v, enum viewer_message type, const void *p, size_t len)
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

static void tell_size(struct viewer_process *v)
{
	struct viewer_size s = {(uint16_t)v->d->w, (uint16_t)v->d->h};

	tell(v, VIEWER_SIZE, &s, sizeof(s));
}

static void tell_cursor(struct viewer_process *v)
{
	const struct display_cursor *c = &v->d->cursor;
	size_t px = MIN((size_t)c->w * c->h, ARRAY_SIZE(c->px)) * sizeof(c->px[0]);

	if (v->d->has_cursor)
		tell(v, VIEWER_CURSOR, c, offsetof(struct display_cursor, px) + px);
	else
		tell(v, VIEWER_CURSOR, NULL, 0);
}

static void on_damage(struct display_viewer *viewer, const struct display_rect *r)
{
	struct viewer_process *v = CONTAINER_OF(viewer, struct viewer_process, viewer);

	if (v->n_rects == VIEWER_RECTS) {
		/* Too many to tell apart: everything. */
		v->n_rects = 1;
		v->rect[0] = (struct display_rect){0, 0, (uint16_t)v->d->w, (uint16_t)v->d->h};
		return;
	}
	v->rect[v->n_rects++] = *r;
}

static void on_resized(struct display_viewer *viewer, unsigned w, unsigned h)
{
	struct viewer_process *v = CONTAINER_OF(viewer, struct viewer_process, viewer);

	tell_size(v);
	v->n_rects = 1;
	v->rect[0] = (struct display_rect){0, 0, (uint16_t)w, (uint16_t)h};
}

static void on_cursor(struct display_viewer *viewer, const struct display_cursor *c)
{
	struct viewer_process *v = CONTAINER_OF(viewer, struct viewer_process, viewer);

	tell_cursor(v);
	/* A client that waits gets it with its next update. */
	if (!v->n_rects)
		v->rect[v->n_rects++] = (struct display_rect){0, 0, 1, 1};
}

/* Draw, and pass on what changed. */
static void on_frame(void *ctx)
{
	struct viewer_process *v = ctx;
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
		v->absolute_told = tell(v, VIEWER_POINTER, &(uint8_t){absolute}, 1);
	}
	display_update(v->d);
	if (v->n_rects && tell(v, VIEWER_DAMAGE, v->rect, v->n_rects * sizeof(v->rect[0]))) {
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

static void helper_died(struct viewer_process *v);
static void end_helper(struct viewer_process *v);

static void moved(struct viewer_process *v, const struct viewer_move *m)
{
	if (m->relative)
		display_move_by(v->d, m->x, m->y, m->buttons, m->dz, m->dh);
	else
		display_move(v->d, (unsigned)MAX(m->x, 0), (unsigned)MAX(m->y, 0), m->buttons,
			     m->dz, m->dh);
}

/* Returns false when the helper talks nonsense. */
static bool handle(struct viewer_process *v, const uint8_t *p, size_t len)
{
	union {
		struct viewer_key key;
		struct viewer_move move;
		struct viewer_size size;
	} u;
	uint8_t type = *p++;

	len--;
	memcpy(&u, p, MIN(len, sizeof(u)));
	switch (type) {
	case VIEWER_UP: v->retry = RETRY_FIRST; return true;
	case VIEWER_WANT:
		v->wanted = true;
		loop_timer_arm(v->frame_timer, v->next_frame);
		return true;
	case VIEWER_KEY:
		if (len != sizeof(u.key))
			return false;
		display_key(v->d, u.key.code, u.key.down);
		break;
	case VIEWER_MOVE:
		if (len != sizeof(u.move))
			return false;
		moved(v, &u.move);
		break;
	case VIEWER_RESIZE:
		if (len != sizeof(u.size))
			return false;
		if (display_set_size(v->d, u.size.w, u.size.h) < 0)
			tell(v, VIEWER_REFUSED, NULL, 0);
		break;
	case VIEWER_GONE: display_release_keys(v->d); return true;
	case VIEWER_CLOSED: v->over = v->closed != NULL; return v->over;
	case VIEWER_ERROR:
		log_warn("display/%s: %.*s", v->what, (int)MIN(len, (size_t)200), (const char *)p);
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
static ssize_t receive(struct viewer_process *v, uint8_t *buf, size_t size)
{
	ssize_t n = recv(v->fd, buf, size, MSG_DONTWAIT);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n == 0 ? -ECONNRESET : n;
}

static void on_message(void *ctx, uint32_t events)
{
	struct viewer_process *v = ctx;

	for (unsigned i = 0; i < BATCH; i++) {
		uint8_t buf[256];
		ssize_t n = receive(v, buf, sizeof(buf));

		if (n == 0)
			return;
		if (n < 0 || !handle(v, buf, (size_t)n)) {
			helper_died(v);
			return;
		}
		if (v->over) {
			end_helper(v);
			display_release_keys(v->d);
			v->closed(v->ctx);
			return;
		}
	}
}

/* ------------------------------------------------------------------ the process */

/* The variables that @v->env names, as they are here; free with free_env(). */
static char **copy_env(const struct viewer_process *v)
{
	size_t n = 0, have = 0;
	char **env;

	while (v->env[n])
		n++;
	env = xnew_n(char *, n + 1);
	for (size_t i = 0; i < n; i++) {
		const char *val = getenv(v->env[i]);

		if (val)
			env[have++] = xasprintf("%s=%s", v->env[i], val);
	}
	return env;
}

static void free_env(char **env)
{
	for (char **e = env; *e; e++)
		free(*e);
	free(env);
}

static void set_attr(posix_spawnattr_t *attr)
{
	sigset_t none, all;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(attr);
	posix_spawnattr_setflags(attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
					       POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(attr, &none);
	posix_spawnattr_setsigdefault(attr, &all);
}

static int spawn_helper(struct viewer_process *v, int fd)
{
	enum { FDS = 2 + VIEWER_FDS };
	char *argv0 = xstrdup(v->argv0), *argv[] = {argv0, NULL}, **env = copy_env(v);
	/* Sources may have the numbers of targets: everything goes up out of the way first. */
	int from[FDS] = {fd, v->picture_fd}, high[FDS], last = 0, r = 0;
	posix_spawn_file_actions_t act;
	posix_spawnattr_t attr;
	pid_t pid = 0;

	memcpy(from + 2, v->extra_fd, sizeof(v->extra_fd));
	set_attr(&attr);
	posix_spawn_file_actions_init(&act);
	for (int i = 0; i < FDS; i++) {
		high[i] = -1;
		if (from[i] < 0 || r)
			continue;
		high[i] = fcntl(from[i], F_DUPFD_CLOEXEC, VIEWER_FD + 8);
		r = high[i] < 0 ? errno : 0;
		last = i;
	}
	for (int i = 0; i < FDS && r == 0; i++)
		if (high[i] >= 0)
			posix_spawn_file_actions_adddup2(&act, high[i], VIEWER_FD + i);
	posix_spawn_file_actions_addclosefrom_np(&act, VIEWER_FD + last + 1);
	if (r == 0)
		r = posix_spawn(&pid, "/proc/self/exe", &act, &attr, argv, env);
	for (int i = 0; i < FDS; i++)
		if (high[i] >= 0)
			close(high[i]);
	posix_spawn_file_actions_destroy(&act);
	posix_spawnattr_destroy(&attr);
	free_env(env);
	free(argv0);
	v->pid = r ? 0 : pid;
	return -r;
}

static int start_helper(struct viewer_process *v)
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
	if (!tell(v, VIEWER_CONFIG, &v->cfg, sizeof(v->cfg)))
		return -EPIPE;
	tell_size(v);
	tell_cursor(v);
	v->absolute_told = false;
	return 0;
}

static void end_helper(struct viewer_process *v)
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

static void helper_died(struct viewer_process *v)
{
	log_warn("display/%s: the helper process died; starting another in %llu ms", v->what,
		 (unsigned long long)(v->retry / NS_PER_MS));
	end_helper(v);
	display_release_keys(v->d);
	loop_timer_arm(v->retry_timer, host_now_ns() + v->retry);
	v->retry = MIN(v->retry * 2, RETRY_MAX);
}

static void on_retry(void *ctx)
{
	struct viewer_process *v = ctx;
	int r = start_helper(v);

	if (r == 0)
		r = loop_add_fd(v->loop, v->fd, EPOLLIN, on_message, v, &v->watch);
	if (r < 0)
		helper_died(v);
}

/* Wait for VIEWER_UP, or for the reason why it does not come. */
static int await_start(struct viewer_process *v, struct error *err)
{
	ns_t end = host_now_ns() + v->start_s * NS_PER_SEC;

	for (;;) {
		struct pollfd pfd = {.fd = v->fd, .events = POLLIN};
		ns_t now = host_now_ns();
		uint8_t buf[256];
		ssize_t n;

		if (now >= end)
			return error_set(err, -ETIMEDOUT,
					 "display '%s': the helper process did not start within "
					 "%u s; is the host overloaded?",
					 v->what, v->start_s);
		if (poll(&pfd, 1, (int)((end - now) / NS_PER_MS) + 1) < 0 && errno != EINTR)
			return error_set(err, -errno, "display '%s': poll: %s", v->what,
					 strerror(errno));
		n = receive(v, buf, sizeof(buf));
		if (n > 0 && buf[0] == VIEWER_UP)
			return 0;
		if (n > 0 && buf[0] == VIEWER_ERROR)
			return error_set(err, -EIO, "%.*s", (int)n - 1, (const char *)buf + 1);
		if (n != 0)
			return error_set(err, -ECHILD,
					 "display '%s': the helper process ended at once; its "
					 "messages are above",
					 v->what);
	}
}

/* ------------------------------------------------------------------ open and close */

/* The picture again, for reading only. */
static int reopen_picture(struct viewer_process *v, struct error *err)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", v->d->fd);
	v->picture_fd = open(path, O_RDONLY | O_CLOEXEC);
	return v->picture_fd < 0 ? error_set(err, -errno, "display '%s': %s: %s; is /proc mounted?",
					     v->what, path, strerror(errno))
				 : 0;
}

int viewer_open(struct viewer_process *v, struct loop *loop, struct display *d, const char *name,
		struct error *err)
{
	int r;

	v->loop = loop;
	v->d = d;
	v->fd = v->picture_fd = -1;
	v->retry = RETRY_FIRST;
	v->frame = FRAME_MIN;
	v->cfg.magic = VIEWER_CONFIG_MAGIC;
	v->cfg.parent_pid = (uint32_t)getpid();
	snprintf(v->cfg.name, sizeof(v->cfg.name), "%s", name ? name : "bothy");
	v->viewer = (struct display_viewer){
		.resized = on_resized, .damaged = on_damage, .cursor = on_cursor};
	display_add_viewer(d, &v->viewer);
	v->retry_timer = loop_timer_new(loop, on_retry, v);
	v->frame_timer = loop_timer_new(loop, on_frame, v);
	r = reopen_picture(v, err);
	if (r < 0)
		return r;
	r = start_helper(v);
	if (r < 0)
		return error_set(err, r, "display '%s': cannot start the helper process: %s",
				 v->what, strerror(-r));
	r = await_start(v, err);
	return r < 0 ? r : loop_add_fd(loop, v->fd, EPOLLIN, on_message, v, &v->watch);
}

void viewer_close(struct viewer_process *v)
{
	if (!v->d)
		return;
	end_helper(v);
	display_del_viewer(v->d, &v->viewer);
	loop_timer_free(v->retry_timer);
	loop_timer_free(v->frame_timer);
	if (v->picture_fd >= 0)
		close(v->picture_fd);
}

/* ------------------------------------------------------------------ in the helper */

bool viewer_tell(enum viewer_message type, const void *p, size_t len, int flags)
{
	uint8_t t = (uint8_t)type;
	struct iovec iov[2] = {{&t, 1}, {(void *)(uintptr_t)p, len}};
	struct msghdr msg = {.msg_iov = iov, .msg_iovlen = len ? 2 : 1};
	ssize_t r;

	do {
		r = sendmsg(VIEWER_FD, &msg, flags | MSG_NOSIGNAL);
	} while (r < 0 && errno == EINTR);
	return r >= 0;
}

static bool read_config(struct viewer_config *cfg)
{
	uint8_t buf[1 + sizeof(*cfg)];
	ssize_t n;

	do {
		n = recv(VIEWER_FD, buf, sizeof(buf), 0);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(buf) || buf[0] != VIEWER_CONFIG)
		return false;
	memcpy(cfg, buf + 1, sizeof(*cfg));
	cfg->name[sizeof(cfg->name) - 1] = 0;
	return cfg->magic == VIEWER_CONFIG_MAGIC;
}

int viewer_start(const char *argv0, struct viewer_config *cfg)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NAME, argv0);
	signal(SIGPIPE, SIG_IGN);
	if (!read_config(cfg)) {
		fprintf(stderr, "%s: started by hand? This is an internal helper.\n", argv0);
		return 1;
	}
	/* The parent may have died before the prctl() above. */
	if ((uint32_t)getppid() != cfg->parent_pid)
		_exit(0);
	return 0;
}
