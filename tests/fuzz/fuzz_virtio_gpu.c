/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio graphics adapter against a hostile driver (fuzz_virtio.h). */
#include "device/virtio/virtio_gpu.h"
#include "fuzz_virtio.h"

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_gpu *g = (struct virtio_gpu *)dev_new(&virtio_gpu_class, "gpu", &h->sv);
	struct error err;

	check(display_new(NULL, &g->display, &err) == 0);
	g->vd.packed = true;
	return &g->vd;
}

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct virtio_gpu *g = CONTAINER_OF(vd, struct virtio_gpu, vd);
	uint8_t how = fuzz_u8(in);

	if (how & 1)
		(void)!display_set_size(g->display, fuzz_u16(in), fuzz_u8(in));
	else
		display_update(g->display);
}

/* A command with a small rectangle and one of a few resources. */
static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	st_le32(p, how & 0x80 ? 0x300 + (how & 1) : 0x100 + how % 11);
	st_le32(p + 4, how & 1);
	for (unsigned i = 0; i < 8; i++)
		st_le32(p + 24 + 4 * i, fuzz_u8(in) & (how & 2 ? 3 : 0x7f));
	if ((how & 4) && how % 11 == 6) { /* a list of backing */
		st_le64(p + 32, fuzz_u16(in) * 16u);
		st_le32(p + 40, fuzz_u16(in));
	}
}

static void verify(struct virtio_dev *vd)
{
	const struct virtio_gpu *g = CONTAINER_OF(vd, struct virtio_gpu, vd);
	uint32_t back = 0;

	for (unsigned i = 0; i < VIRTIO_GPU_RESOURCES; i++) {
		const struct virtio_gpu_resource *r = &g->s.res[i];

		check(r->at + (uint64_t)r->w * r->h * 4 <= VIRTIO_GPU_MEMORY);
		back += r->n;
	}
	check(back == g->s.n_back && back <= VIRTIO_GPU_ENTRIES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, NULL, verify, 64};

	fuzz_virtio(&fd, data, size);
	return 0;
}
