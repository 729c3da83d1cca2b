/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network back ends: the front that devices call (net/net.h), and "none", a cable that leads
 * nowhere.
 *
 * Frames of fewer than 14 or more than NET_FRAME_MAX bytes are dropped and counted in either
 * direction: whoever sent them, the guest or the host side, is not trusted. While the link is down
 * the guest's frames are dropped like on a pulled cable.
 */
#include "net/net.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/impl.h"

static const struct net_kind *const kinds[] = {
	&net_nat_kind,
	&net_none_kind,
	&net_tap_kind,
	&net_stream_kind,
};

bool net_room(struct net *n)
{
	return !n->have_handler || !n->h.can_receive || n->h.can_receive(n->h.ctx);
}

void net_deliver(struct net *n, const uint8_t *frame, size_t len)
{
	if (!n->have_handler || !n->h.receive || len < NET_FRAME_MIN || len > NET_FRAME_MAX) {
		n->n.rx_drops++;
		return;
	}
	n->n.rx_frames++;
	n->n.rx_bytes += len;
	n->h.receive(n->h.ctx, frame, len);
}

void net_set_link(struct net *n, bool up)
{
	if (n->link_up == up)
		return;
	n->link_up = up;
	if (n->have_handler && n->h.link)
		n->h.link(n->h.ctx, up);
}

static const struct net_kind *find_kind(const char *spec, const char **ret_arg)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (spec_is(spec, kinds[i]->name, kinds[i]->takes_arg, ret_arg))
			return kinds[i];
	return NULL;
}

int net_open(struct loop *loop, const struct net_options *opt, struct net **ret_net,
	     struct error *err)
{
	const char *arg;
	const struct net_kind *kind = find_kind(opt->kind, &arg);
	struct net *n;
	int r;

	if (!kind)
		return error_set(err, -EINVAL,
				 "network '%s' is not known: use nat, none, tap:IF or stream:PATH",
				 opt->kind);
	if (opt->n_forwards && kind != &net_nat_kind)
		return error_set(err, -EINVAL,
				 "network '%s' cannot forward ports: use nat, or leave the "
				 "forwards out",
				 opt->kind);
	n = xnew(struct net);
	n->loop = loop;
	n->kind = kind;
	n->desc = xstrdup(opt->kind);
	r = kind->open(n, arg, opt, err);
	if (r < 0) {
		net_close(n);
		return r;
	}
	*ret_net = n;
	return 0;
}

void net_close(struct net *n)
{
	if (!n)
		return;
	if (n->kind->close)
		n->kind->close(n);
	free(n->desc);
	free(n);
}

void net_set_handler(struct net *n, const struct net_handler *h)
{
	n->have_handler = h != NULL;
	if (h)
		n->h = *h;
	else
		memset(&n->h, 0, sizeof(n->h));
	net_poll_input(n);
}

int net_send(struct net *n, const struct iovec *iov, int niov)
{
	uint64_t len = 0;
	int r = -EMSGSIZE;

	for (int i = 0; i < niov && len <= NET_FRAME_MAX; i++)
		len += MIN(iov[i].iov_len, (size_t)NET_FRAME_MAX + 1);
	if (len >= NET_FRAME_MIN && len <= NET_FRAME_MAX)
		r = n->link_up ? n->kind->send(n, iov, niov, (size_t)len) : -ENOLINK;
	if (r == 0) {
		n->n.tx_frames++;
		n->n.tx_bytes += len;
		return 0;
	}
	n->n.tx_drops++;
	return r == -EAGAIN ? -EAGAIN : 0;
}

void net_poll_input(struct net *n)
{
	if (n->kind->resume)
		n->kind->resume(n);
}

unsigned net_mtu(const struct net *n)
{
	return n->mtu ? n->mtu : 1500;
}

const char *net_describe(const struct net *n)
{
	return n->desc;
}

void net_get_counters(const struct net *n, struct net_counters *ret)
{
	*ret = n->n;
}

static int none_open(struct net *n, const char *arg, const struct net_options *opt,
		     struct error *err)
{
	n->link_up = true;
	return 0;
}

static int none_send(struct net *n, const struct iovec *iov, int niov, size_t len)
{
	return 0;
}

const struct net_kind net_none_kind = {.name = "none", .open = none_open, .send = none_send};
