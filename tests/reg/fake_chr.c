/* SPDX-License-Identifier: Apache-2.0 */
/* A character back end in memory (fake_chr.h). */
#include "fake_chr.h"

#include <string.h>

size_t fake_chr_type(struct chr *c, const void *buf, size_t len)
{
	size_t n = c->h.can_receive ? MIN(len, c->h.can_receive(c->h.ctx)) : 0;

	if (n)
		c->h.receive(c->h.ctx, buf, n);
	return n;
}

void chr_set_handler(struct chr *c, const struct chr_handler *h)
{
	static const struct chr_handler none;

	c->h = h ? *h : none;
}

size_t chr_write(struct chr *c, const void *buf, size_t len)
{
	size_t n = MIN(len, c->room);

	/* The newest output stays. */
	if (c->n_out + n > sizeof(c->out))
		c->n_out = 0;
	memcpy(c->out + c->n_out, buf, n);
	c->n_out += n;
	c->room -= n;
	return n;
}

void chr_poll_input(struct chr *c)
{
	c->polls++;
}
