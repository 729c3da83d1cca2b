/* SPDX-License-Identifier: Apache-2.0 */
/* A network back end in memory (fake_net.h). */
#include "fake_net.h"

#include <errno.h>
#include <string.h>

bool fake_net_frame(struct net *n, const void *frame, size_t len)
{
	if (!n->h.can_receive || !n->h.can_receive(n->h.ctx))
		return false;
	n->h.receive(n->h.ctx, frame, len);
	return true;
}

void net_set_handler(struct net *n, const struct net_handler *h)
{
	static const struct net_handler none;

	n->h = h ? *h : none;
}

int net_send(struct net *n, const struct iovec *iov, int niov)
{
	if (n->full)
		return -EAGAIN;
	n->last_len = 0;
	for (int i = 0; i < niov; i++) {
		check(iov[i].iov_len <= sizeof(n->last) - n->last_len);
		memcpy(n->last + n->last_len, iov[i].iov_base, iov[i].iov_len);
		n->last_len += iov[i].iov_len;
	}
	n->sent++;
	return 0;
}

unsigned net_mtu(const struct net *n)
{
	return n->mtu ? n->mtu : 1500;
}

void net_poll_input(struct net *n)
{
	n->polls++;
}
