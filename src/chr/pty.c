/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "pty": a pseudo-terminal whose other end (`bothy console`, screen, minicom) may come and go.
 *
 * Linux reports EPOLLHUP on the master while no program has the slave open, but only after it was
 * opened and closed once: so that is done at the start, which also sets the slave to raw mode.
 * There is no event for "opened again"; a timer looks four times a second while nobody is there.
 */
#include "chr/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <termios.h>
#include <unistd.h>

#define PTY_LOOK_NS (250 * NS_PER_MS)

struct pty {
	int master;
	struct loop_timer *look;
};

static void pty_look(void *ctx)
{
	struct chr *c = ctx;
	struct pty *p = c->drv;
	struct pollfd pfd = {.fd = p->master};

	poll(&pfd, 1, 0);
	if (pfd.revents & POLLHUP) {
		loop_timer_arm(p->look, host_now_ns() + PTY_LOOK_NS);
		return;
	}
	chr_set_fds(c, p->master, p->master);
	chr_set_peer(c, true);
}

static void pty_hangup(struct chr *c)
{
	struct pty *p = c->drv;

	chr_set_fds(c, -1, -1);
	chr_set_peer(c, false);
	loop_timer_arm(p->look, host_now_ns() + PTY_LOOK_NS);
}

static int pty_open(struct chr *c, const char *arg, struct error *err)
{
	struct pty *p = xnew(struct pty);
	struct termios tio;
	char name[64];
	int slave;

	c->drv = p;
	p->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (p->master < 0 || grantpt(p->master) < 0 || unlockpt(p->master) < 0 ||
	    ptsname_r(p->master, name, sizeof(name)) != 0)
		return error_set(err, -errno,
				 "console 'pty': cannot make a pseudo-terminal: %s; use "
				 "unix:PATH instead",
				 strerror(errno));
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return error_set(err, -errno, "console 'pty': cannot open %s: %s", name,
				 strerror(errno));
	if (tcgetattr(slave, &tio) == 0) {
		cfmakeraw(&tio);
		tcsetattr(slave, TCSANOW, &tio);
	}
	close(slave);
	p->look = loop_timer_new(c->loop, pty_look, c);
	if (!p->look)
		return error_set(err, -ENOMEM, "console 'pty': no timer");
	free(c->desc);
	c->desc = xasprintf("pty %s", name);
	loop_timer_arm(p->look, host_now_ns() + PTY_LOOK_NS);
	return 0;
}

static void pty_close(struct chr *c)
{
	struct pty *p = c->drv;

	if (!p)
		return;
	loop_timer_free(p->look);
	if (p->master >= 0)
		close(p->master);
	free(p);
}

const struct chr_kind chr_pty_kind = {
	.name = "pty",
	.syntax = "pty",
	.open = pty_open,
	.close = pty_close,
	.hangup = pty_hangup,
};
