/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio memory balloon against a hostile driver (fuzz_virtio.h). */
#include "device/virtio/virtio_balloon.h"
#include "fuzz_virtio.h"

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_balloon *b =
		(struct virtio_balloon *)dev_new(&virtio_balloon_class, "balloon", &h->sv);

	b->vd.packed = true;
	return &b->vd;
}

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct virtio_balloon *b = CONTAINER_OF(vd, struct virtio_balloon, vd);

	if (fuzz_u8(in) & 1)
		virtio_balloon_set_target(b, fuzz_u32(in) * 4096ull);
	else
		virtio_balloon_request_stats(b);
}

static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	(void)vd;
	if (q == 2) {
		st_le16(p, fuzz_u8(in) & 15);
		st_le16(p + 10, fuzz_u8(in) & 15);
		return;
	}
	for (unsigned i = 0; i < 4; i++)
		st_le32(p + 4 * i, 0x200 + fuzz_u16(in) % 0xe10); /* some past RAM */
}

static void check_balloon(struct virtio_dev *vd)
{
	struct virtio_balloon *b = CONTAINER_OF(vd, struct virtio_balloon, vd);

	check(!b->stats_elem || b->stats_elem->in_use);
	check(b->s.stats_valid < 1u << VIRTIO_BALLOON_STATS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, NULL, check_balloon};

	fuzz_virtio(&fd, data, size);
	return 0;
}
