/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "tap:IF": a TAP interface of the host (Linux Documentation/networking/tuntap). Frames pass as
 * they are, without a packet-information or virtio header. Using an interface that an administrator
 * made for this user (`ip tuntap add IF mode tap user NAME`) needs no privilege; making one needs
 * CAP_NET_ADMIN.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/log.h"
#include "net/impl.h"

struct tap {
	int fd;
	struct loop_fd *watch;
	uint8_t buf[NET_FRAME_MAX];
};

static void tap_event(void *ctx, uint32_t events)
{
	struct net *n = ctx;
	struct tap *t = n->drv;

	for (unsigned i = 0; i < NET_RX_BATCH; i++) {
		ssize_t len;

		if (!net_room(n)) {
			loop_mod_fd(t->watch, 0);
			return;
		}
		len = read(t->fd, t->buf, sizeof(t->buf));
		if (len <= 0) {
			if (len < 0 && (errno == EAGAIN || errno == EINTR || errno == EIO))
				return; /* EIO: the interface is down */
			log_warn("net/%s: read: %s", n->desc, len ? strerror(errno) : "end");
			loop_mod_fd(t->watch, 0);
			net_set_link(n, false); /* the interface was deleted */
			return;
		}
		net_deliver(n, t->buf, (size_t)len);
	}
}

static int tap_error(const char *name, int code, struct error *err)
{
	const char *hint = "";

	switch (code) {
	case EPERM:
	case EACCES:
		hint = ": an administrator can prepare it with `ip tuntap add IF mode tap user "
		       "NAME`; or use nat";
		break;
	case EBUSY: hint = ": another program uses it"; break;
	case ENOENT:
	case ENODEV: hint = ": the host has no /dev/net/tun (`modprobe tun`); or use nat"; break;
	case EINVAL: hint = ": the interface exists and is not a tap"; break;
	default: break;
	}
	return error_set(err, -code, "network 'tap:%s': %s%s", name, strerror(code), hint);
}

static int tap_open(struct net *n, const char *arg, const struct net_options *opt,
		    struct error *err)
{
	struct tap *t = xnew(struct tap);
	struct ifreq ifr = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int r;

	n->drv = t;
	t->fd = -1;
	if (strlen(arg) >= sizeof(ifr.ifr_name))
		return error_set(err, -ENAMETOOLONG,
				 "network 'tap:%s': an interface name has at most %zu characters",
				 arg, sizeof(ifr.ifr_name) - 1);
	memcpy(ifr.ifr_name, arg, strlen(arg) + 1);
	t->fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (t->fd < 0 || ioctl(t->fd, TUNSETIFF, &ifr) < 0)
		return tap_error(arg, errno, err);
	r = loop_add_fd(n->loop, t->fd, EPOLLIN, tap_event, n, &t->watch);
	if (r < 0)
		return tap_error(arg, -r, err);
	n->link_up = true;
	return 0;
}

static void tap_close(struct net *n)
{
	struct tap *t = n->drv;

	if (!t)
		return;
	loop_del_fd(t->watch);
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

static int tap_send(struct net *n, const struct iovec *iov, int niov, size_t len)
{
	struct tap *t = n->drv;

	if (writev(t->fd, iov, niov) >= 0)
		return 0;
	return errno == EINTR ? -EAGAIN : -errno;
}

static void tap_resume(struct net *n)
{
	struct tap *t = n->drv;

	if (n->link_up)
		loop_mod_fd(t->watch, EPOLLIN);
}

const struct net_kind net_tap_kind = {
	.name = "tap",
	.takes_arg = true,
	.open = tap_open,
	.close = tap_close,
	.send = tap_send,
	.resume = tap_resume,
};
