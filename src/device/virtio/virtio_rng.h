/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio entropy device. Virtio 1.2, 5.4. Wiring (machine/): nothing to set; `fill` replaces the
 * host's random numbers (replay, tests).
 */
#ifndef DEVICE_VIRTIO_VIRTIO_RNG_H
#define DEVICE_VIRTIO_VIRTIO_RNG_H

#include "device/virtio/virtio.h"

struct virtio_rng_regs {
	struct virtio_regs v;
	struct virtq_regs q[1];
};

struct virtio_rng {
	struct virtio_dev vd;
	struct virtio_rng_regs s;
	/* properties, set before realize */
	int (*fill)(void *ctx, void *buf, size_t len); /* 0 or -errno; NULL = getrandom() */
	void *fill_ctx;
};

extern const struct dev_class virtio_rng_class;

#endif
