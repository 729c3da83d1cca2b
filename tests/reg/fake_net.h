/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A network back end in memory behind net/net.h. Linked in place of the real ones.
 */
#ifndef TESTS_REG_FAKE_NET_H
#define TESTS_REG_FAKE_NET_H

#include "net/net.h"

struct net {
	struct net_handler h;
	uint8_t last[NET_FRAME_MAX]; /* last frame the guest sent */
	size_t last_len;
	unsigned sent, polls;
	bool full;
	unsigned mtu; /* 0: 1500 */
};

/** fake_net_frame() - a frame for the guest; false when the device can't receive now. */
bool fake_net_frame(struct net *n, const void *frame, size_t len);

#endif
