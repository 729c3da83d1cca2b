/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames out of a byte stream: 4 bytes big-endian length, then the frame (the protocol that passt
 * and QEMU's stream back end speak). The peer is not trusted: a length of 0 or above NET_FRAME_MAX
 * ends the connection, and no more than one frame is ever buffered.
 */
#ifndef NET_DEFRAME_H
#define NET_DEFRAME_H

#include "base/base.h"
#include "net/net.h"

#define DEFRAME_HEADER 4u
#define DEFRAME_BUF    (2u * (DEFRAME_HEADER + NET_FRAME_MAX))

struct deframe {
	uint8_t buf[DEFRAME_BUF];
	size_t from, to; /* buf[from..to) is not consumed yet */
};

/** deframe_space() - where to put bytes that arrive; at least one whole frame fits in all. */
size_t deframe_space(struct deframe *d, uint8_t **ret_p);
/** deframe_filled() - @n bytes were put there. */
void deframe_filled(struct deframe *d, size_t n);
/**
 * deframe_next() - take the next whole frame
 * Return: 1 with *@ret_frame valid until the next call of any function here; 0: more bytes needed;
 * -EPROTO: not this protocol.
 */
int deframe_next(struct deframe *d, const uint8_t **ret_frame, size_t *ret_len) MUST_CHECK;

#endif
