/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio network device against a hostile driver and odd frames (fuzz_virtio.h). */
#include "device/virtio/virtio_net.h"
#include "fake_net.h"
#include "fuzz_virtio.h"

#include <string.h>

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_net *n = (struct virtio_net *)dev_new(&virtio_net_class, "net", &h->sv);

	n->net = xnew(struct net);
	n->mac[0] = 2;
	n->vd.packed = true;
	return &n->vd;
}

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct virtio_net *n = CONTAINER_OF(vd, struct virtio_net, vd);
	uint8_t frame[2048], how = fuzz_u8(in);
	size_t len = fuzz_u16(in) % sizeof(frame);

	switch (how & 7) {
	case 0: n->net->h.link(n->net->h.ctx, how & 8); break;
	case 1: n->net->full = how & 8; break;
	default:
		memset(frame, how & 8 ? 0xff : 0, sizeof(frame));
		frame[0] = fuzz_u8(in);
		(void)fake_net_frame(n->net, frame, len);
		break;
	}
}

static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	(void)vd;
	if (q != 2)
		return;
	p[0] = fuzz_u8(in) & 3; /* class, command, arguments */
	p[1] = fuzz_u8(in) & 1;
	st_le32(p + 2, fuzz_u8(in) & 0x4f);
	st_le32(p + 6, fuzz_u8(in) & 3);
}

static void check_net(struct virtio_dev *vd)
{
	struct virtio_net *n = CONTAINER_OF(vd, struct virtio_net, vd);

	check(n->s.n_uni <= n->s.n_macs && n->s.n_macs <= VIRTIO_NET_MACS);
	check(n->net->last_len <= NET_FRAME_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, NULL, check_net};

	fuzz_virtio(&fd, data, size);
	return 0;
}
