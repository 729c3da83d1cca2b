/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "unix:PATH": listens on a unix stream socket of mode 0600; one client at a time, a second one is
 * closed at once. A socket file that nobody listens on any more (left by a crash) is replaced;
 * anything else found at PATH is left alone and refused. The file is removed on close only if it is
 * still the one made here.
 */
#include "chr/impl.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

struct sock {
	int listener, client;
	struct loop_fd *watch;
	struct sockaddr_un addr;
	dev_t dev; /* identity of the bound file */
	ino_t ino;
	bool bound;
};

static void sock_drop_client(struct chr *c)
{
	struct sock *s = c->drv;

	chr_set_fds(c, -1, -1);
	if (s->client >= 0)
		close(s->client);
	s->client = -1;
	chr_set_peer(c, false);
}

static void sock_accept(void *ctx, uint32_t events)
{
	struct chr *c = ctx;
	struct sock *s = c->drv;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			log_warn("chr/%s: accept: %s", c->desc, strerror(errno));
		return;
	}
	if (s->client >= 0) {
		close(fd);
		return;
	}
	s->client = fd;
	chr_set_fds(c, fd, fd);
	chr_set_peer(c, true);
}

/* Make way at the path: 0 when free, -errno with text when something lives there. */
static int sock_clear_path(const struct sockaddr_un *addr, struct error *err)
{
	struct stat st;
	int fd, r;

	if (lstat(addr->sun_path, &st) < 0)
		return 0; /* bind() says what else is wrong */
	if (!S_ISSOCK(st.st_mode))
		return error_set(err, -EEXIST,
				 "console 'unix:%s': this file exists and is not a socket; choose "
				 "another path or remove it",
				 addr->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(err, -errno, "console 'unix:%s': %s", addr->sun_path,
				 strerror(errno));
	r = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 ? errno : 0;
	close(fd);
	if (r == ECONNREFUSED && (unlink(addr->sun_path) == 0 || errno == ENOENT))
		return 0;
	return error_set(err, -EADDRINUSE,
			 "console 'unix:%s': another program listens there; stop it or choose "
			 "another path",
			 addr->sun_path);
}

static int sock_open(struct chr *c, const char *arg, struct error *err)
{
	struct sock *s = xnew(struct sock);
	struct stat st;
	int r;

	c->drv = s;
	s->listener = s->client = -1;
	s->addr.sun_family = AF_UNIX;
	if (strlen(arg) >= sizeof(s->addr.sun_path))
		return error_set(err, -ENAMETOOLONG,
				 "console 'unix:%s': the path is longer than %zu bytes, the limit "
				 "for sockets; use a shorter one",
				 arg, sizeof(s->addr.sun_path) - 1);
	memcpy(s->addr.sun_path, arg, strlen(arg) + 1);
	r = sock_clear_path(&s->addr, err);
	if (r < 0)
		return r;
	s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* Linux gives the file the mode of the socket's inode: no window with a wider mode. */
	if (s->listener < 0 || fchmod(s->listener, 0600) < 0 ||
	    bind(s->listener, (struct sockaddr *)&s->addr, sizeof(s->addr)) < 0)
		return error_set(err, -errno, "console 'unix:%s': cannot listen: %s", arg,
				 strerror(errno));
	s->bound = true;
	if (stat(arg, &st) == 0) {
		s->dev = st.st_dev;
		s->ino = st.st_ino;
	}
	if (listen(s->listener, 1) < 0)
		return error_set(err, -errno, "console 'unix:%s': cannot listen: %s", arg,
				 strerror(errno));
	r = loop_add_fd(c->loop, s->listener, EPOLLIN, sock_accept, c, &s->watch);
	if (r < 0)
		return error_set(err, r, "console 'unix:%s': cannot watch: %s", arg, strerror(-r));
	c->in_is_socket = c->out_is_socket = true;
	return 0;
}

static void sock_close(struct chr *c)
{
	struct sock *s = c->drv;
	struct stat st;

	if (!s)
		return;
	loop_del_fd(s->watch);
	if (s->client >= 0)
		close(s->client);
	if (s->listener >= 0)
		close(s->listener);
	if (s->bound && stat(s->addr.sun_path, &st) == 0 && st.st_dev == s->dev &&
	    st.st_ino == s->ino)
		unlink(s->addr.sun_path);
	free(s);
}

const struct chr_kind chr_unix_kind = {
	.name = "unix",
	.takes_arg = true,
	.syntax = "unix:PATH",
	.open = sock_open,
	.close = sock_close,
	.hangup = sock_drop_client,
};
