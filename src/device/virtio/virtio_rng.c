/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio entropy device. Virtio 1.2, 5.4: the driver offers writable buffers, the device fills each
 * with at least one random byte. At most RNG_BYTES go into one buffer and RNG_TURN into all buffers
 * of one turn, so that a guest can't keep the host busy.
 */
#include "device/virtio/virtio_rng.h"

#include <errno.h>
#include <sys/random.h>

enum { RNG_BYTES = 1024, RNG_TURN = 16384, QUEUE_SIZE = 64 };

static const struct state_field virtio_rng_fields[] = {
	STATE_STRUCT(struct virtio_rng_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_rng_regs, q, virtq_regs_fields),
	STATE_END,
};
static const struct state_desc virtio_rng_state =
	STATE_DESC("virtio-rng", 1, struct virtio_rng_regs, virtio_rng_fields);

/* getrandom() gives up to 256 bytes without interruption (getrandom(2)). */
static int fill_from_host(void *ctx, void *buf, size_t len)
{
	(void)ctx;
	for (size_t done = 0; done < len;) {
		ssize_t n = getrandom((uint8_t *)buf + done, len - done, 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

static void queue_run(struct virtio_dev *vd, unsigned n)
{
	struct virtio_rng *rng = CONTAINER_OF(vd, struct virtio_rng, vd);
	uint8_t buf[RNG_BYTES];
	struct vq_elem *e;
	size_t turn = 0;

	while (turn < RNG_TURN && (e = vq_pop(&vd->q[n]))) {
		struct vq_cursor c = vq_writer(e);
		size_t len = MIN(sizeof(buf), c.left);
		if (!len)
			guest_error(&vd->dev, "an entropy buffer with no room");
		if (rng->fill(rng->fill_ctx, buf, len) < 0)
			len = 0; /* never hand out bytes that aren't random */
		vq_push(e, vq_write(&c, buf, len));
		turn += RNG_BYTES;
	}
	if (turn >= RNG_TURN)
		vd->q[n].budget = 0; /* go on in another turn */
}

static const struct virtio_class virtio_rng_vc = {
	.device_id = VIRTIO_ID_ENTROPY,
	.pci_class = 0x00ff,
	.queue_run = queue_run,
};

static int virtio_rng_realize(struct dev *d, struct error *err)
{
	struct virtio_rng *rng = CONTAINER_OF(d, struct virtio_rng, vd.dev);

	if (!rng->fill)
		rng->fill = fill_from_host;
	return virtio_init(&rng->vd, &virtio_rng_vc, &rng->s.v, rng->s.q, 1, QUEUE_SIZE, err);
}

const struct dev_class virtio_rng_class = {
	.name = "virtio-rng",
	.summary = "virtio entropy device",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.4",
	.size = sizeof(struct virtio_rng),
	.regs_offset = offsetof(struct virtio_rng, s),
	.state = &virtio_rng_state,
	.realize = virtio_rng_realize,
	.unrealize = virtio_dev_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_dev_quiesce,
	.resume = virtio_dev_resume,
	.loaded = virtio_dev_loaded,
};
