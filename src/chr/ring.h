/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded byte ring: the output backlog and the input buffer of a character back end. The size is
 * fixed at creation, so nothing a guest or a peer does can make it grow. The owner's lock guards
 * it.
 */
#ifndef CHR_RING_H
#define CHR_RING_H

#include <stdlib.h>
#include <string.h>

#include "base/base.h"

struct ring {
	uint8_t *buf;
	size_t size, head, len; /* head: index of the oldest byte; len <= size */
};

static inline void ring_init(struct ring *r, size_t size)
{
	r->buf = xnew_n(uint8_t, size);
	r->size = size;
	r->head = r->len = 0;
}

static inline void ring_done(struct ring *r)
{
	free(r->buf);
	r->buf = NULL;
	r->size = r->head = r->len = 0;
}

static inline size_t ring_space(const struct ring *r)
{
	return r->size - r->len;
}

/** ring_put() - append up to @len bytes; returns how many fitted. */
static inline size_t ring_put(struct ring *r, const uint8_t *p, size_t len)
{
	size_t n = MIN(len, ring_space(r)), tail, first;

	if (n == 0)
		return 0;
	tail = (r->head + r->len) % r->size;
	first = MIN(n, r->size - tail);
	memcpy(r->buf + tail, p, first);
	memcpy(r->buf, p + first, n - first);
	r->len += n;
	return n;
}

/** ring_peek() - the oldest bytes that lie together; returns their number. */
static inline size_t ring_peek(const struct ring *r, const uint8_t **ret_p)
{
	*ret_p = r->buf + r->head;
	return MIN(r->len, r->size - r->head);
}

/** ring_drop() - forget the oldest @n bytes (at most all). */
static inline void ring_drop(struct ring *r, size_t n)
{
	n = MIN(n, r->len);
	if (n == 0)
		return;
	r->head = (r->head + n) % r->size;
	r->len -= n;
}

/** ring_put_newest() - append all of @p, forgetting the oldest bytes to make room. */
static inline void ring_put_newest(struct ring *r, const uint8_t *p, size_t len)
{
	if (len > r->size) {
		p += len - r->size;
		len = r->size;
	}
	if (len > ring_space(r))
		ring_drop(r, len - ring_space(r));
	ring_put(r, p, len);
}

#endif
