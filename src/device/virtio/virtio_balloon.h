/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio memory balloon. Virtio 1.2, 5.5.
 *
 * Wiring (machine/): nothing to set. Control: virtio_balloon_set_target(),
 * virtio_balloon_request_stats().
 */
#ifndef DEVICE_VIRTIO_VIRTIO_BALLOON_H
#define DEVICE_VIRTIO_VIRTIO_BALLOON_H

#include "device/virtio/virtio.h"

#define VIRTIO_BALLOON_STATS 10u /* tags 0..9, 5.5.6.4 */

struct virtio_balloon_regs {
	struct virtio_regs v;
	struct virtq_regs q[5];  /* inflate, deflate, stats, free page hint, reporting */
	uint32_t target, actual; /* pages of 4 KiB */
	uint32_t poison;         /* value the guest fills free pages with */
	uint32_t stats_valid;    /* bit n: tag n was reported */
	uint64_t stats[VIRTIO_BALLOON_STATS]; /* last report */
	uint64_t stats_at;                    /* guest ns of it */
	bool stats_wanted;                    /* asked for before the driver gave a buffer */
	uint8_t pad_[7];
};

struct virtio_balloon {
	struct virtio_dev vd;
	struct virtio_balloon_regs s;
	/* private */
	struct vq_elem *stats_elem; /* held until stats are wanted */
	uint64_t discarded;         /* bytes given back to the host so far, for counters */
	/* a report came in; may be NULL */
	void (*stats_ready)(void *ctx, struct virtio_balloon *b);
	void *stats_ctx;
};

extern const struct dev_class virtio_balloon_class;

/** virtio_balloon_set_target() - ask the guest to give up @bytes (rounded down to 4 KiB). */
void virtio_balloon_set_target(struct virtio_balloon *b, uint64_t bytes);
/** virtio_balloon_actual() - bytes the guest has given up. */
uint64_t virtio_balloon_actual(const struct virtio_balloon *b);
/** virtio_balloon_request_stats() - ask for a fresh report; `stats_ready` tells when it is in. */
void virtio_balloon_request_stats(struct virtio_balloon *b);

#endif
