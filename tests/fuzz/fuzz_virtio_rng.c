/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio entropy device against a hostile driver (fuzz_virtio.h). */
#include "device/virtio/virtio_rng.h"
#include "fuzz_virtio.h"

#include <string.h>

static int fill(void *ctx, void *buf, size_t len)
{
	bool *fail = ctx;

	memset(buf, 0x5a, len);
	return *fail ? -1 : 0;
}

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_rng *rng = (struct virtio_rng *)dev_new(&virtio_rng_class, "rng", &h->sv);

	rng->fill = fill;
	rng->fill_ctx = xnew(bool);
	rng->vd.packed = true;
	return &rng->vd;
}

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	*(bool *)CONTAINER_OF(vd, struct virtio_rng, vd)->fill_ctx = fuzz_u8(in) & 1;
}

static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	(void)vd, (void)q, (void)p, (void)in;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, NULL, NULL};

	fuzz_virtio(&fd, data, size);
	return 0;
}
