/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio tablet and keyboard against a hostile driver (fuzz_virtio.h). */
#include "device/virtio/virtio_input.h"
#include "fuzz_virtio.h"

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_input *vi =
		(struct virtio_input *)dev_new(&virtio_input_class, "input", &h->sv);

	vi->vd.packed = true;
	vi->tablet = true;
	return &vi->vd;
}

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct virtio_input *vi = CONTAINER_OF(vd, struct virtio_input, vd);
	uint8_t how = fuzz_u8(in);
	struct display_pointer p = {.x = fuzz_u16(in),
				    .y = fuzz_u8(in),
				    .w = fuzz_u16(in),
				    .h = how & 3,
				    .dz = how & 4,
				    .buttons = how};

	/* What kind it is only decides what a driver is told. */
	vi->tablet = how & 1;
	if (how & 0x80)
		virtio_input_key(vi, fuzz_u8(in), how & 2);
	else
		virtio_input_pointer(vi, &p);
}

static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	(void)vd, (void)q;
	p[0] = 0x11;
	p[2] = fuzz_u8(in);
}

static void verify(struct virtio_dev *vd)
{
	check(CONTAINER_OF(vd, struct virtio_input, vd)->s.n <= VIRTIO_INPUT_FIFO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, NULL, verify};

	fuzz_virtio(&fd, data, size);
	return 0;
}
