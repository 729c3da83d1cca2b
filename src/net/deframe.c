/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Length-prefixed frames out of a byte stream (net/deframe.h).
 */
#include "net/deframe.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

size_t deframe_space(struct deframe *d, uint8_t **ret_p)
{
	/* Move the rest of a frame to the front once the back half is reached. */
	if (d->from > 0 && (d->from == d->to || d->from >= DEFRAME_BUF / 2)) {
		memmove(d->buf, d->buf + d->from, d->to - d->from);
		d->to -= d->from;
		d->from = 0;
	}
	*ret_p = d->buf + d->to;
	return DEFRAME_BUF - d->to;
}

void deframe_filled(struct deframe *d, size_t n)
{
	check(n <= DEFRAME_BUF - d->to);
	d->to += n;
}

int deframe_next(struct deframe *d, const uint8_t **ret_frame, size_t *ret_len)
{
	size_t have = d->to - d->from;
	uint32_t len;

	if (have < DEFRAME_HEADER)
		return 0;
	len = ld_be32(d->buf + d->from);
	if (len == 0 || len > NET_FRAME_MAX)
		return -EPROTO;
	if (have - DEFRAME_HEADER < len)
		return 0;
	*ret_frame = d->buf + d->from + DEFRAME_HEADER;
	*ret_len = len;
	d->from += DEFRAME_HEADER + len;
	return 1;
}
