/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio SCSI host with a disk and a CD drive in memory against a hostile driver
 * (fuzz_virtio.h). */
#include "device/virtio/virtio_scsi.h"
#include "fake_block.h"
#include "fuzz_virtio.h"

#include <string.h>

enum { DISK = 64 * 1024 };

static struct virtio_dev *make(struct harness *h)
{
	struct virtio_scsi *vs = (struct virtio_scsi *)dev_new(&virtio_scsi_class, "scsi", &h->sv);

	for (unsigned i = 0; i < 2; i++)
		vs->target[i] = (struct virtio_scsi_target){
			.present = true,
			.lu = {.kind = i ? SCSI_CD : SCSI_DISK, .block = fake_block_new(DISK)}};
	vs->n_queues = 2;
	vs->vd.packed = true;
	return &vs->vd;
}

static struct virtio_scsi *host(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_scsi, vd);
}

static struct block *the_disc; /* of the CD drive, when it is out */

static void event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct virtio_scsi *vs = host(vd);
	struct block *b = vs->target[0].lu.block;
	uint8_t how = fuzz_u8(in);
	struct error err = {0};

	switch (how & 7) {
	case 0 ... 2:
		fake_block_run(b, 1 + (how >> 4), how & 8);
		if (vs->target[1].lu.block)
			fake_block_run(vs->target[1].lu.block, 1 + (how >> 4), how & 8);
		break;
	case 3:
		b->no_space = how & 8;
		if (!b->no_space)
			block_retry(b);
		break;
	case 4: b->fail = how & 8 ? -5 : 0; break;
	case 5: check(virtio_scsi_plug(vs, 1, how & 8, &err) == 0); break;
	default:
		if (!the_disc)
			the_disc = vs->target[1].lu.block;
		virtio_scsi_set_medium(vs, 1, how & 8 ? the_disc : NULL);
	}
}

static void request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	static const uint8_t ops[] = {0x00, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b,
				      0x1e, 0x25, 0x28, 0x2a, 0x28, 0x2a, 0x2f, 0x35,
				      0x41, 0x42, 0x43, 0x46, 0x4a, 0x51, 0x55, 0x5a,
				      0x88, 0x8a, 0x93, 0x91, 0x9e, 0xa0, 0xa3, 0xbe};
	uint8_t how = fuzz_u8(in);

	(void)vd;
	if (!q) { /* task management */
		st_le32(p, how >> 4 & 3 ? 0 : how & 3);
		st_le32(p + 4, how & 7);
		p[8] = 1;
		p[9] = how >> 7;
		return;
	}
	p[0] = 1;
	p[1] = how & 1;
	p[19] = ops[fuzz_u8(in) & 31];
	for (unsigned i = 1; i < 16; i++)
		p[19 + i] = how & 0x80 ? fuzz_u8(in) : 0;
	p[19 + 5] = fuzz_u8(in) & 127;
	p[19 + 8] = p[19 + 13] = fuzz_u8(in) & 15;
	p[19 + 4] |= fuzz_u8(in) & 63;
}

static void rewind_disks(struct virtio_dev *vd)
{
	struct virtio_scsi *vs = host(vd);
	struct block *b = vs->target[0].lu.block;

	check(b->n_queued == 0 && b->n_parked == 0);
	b->no_space = false;
	b->fail = 0;
	vs->target[1].present = true;
	if (the_disc)
		virtio_scsi_set_medium(vs, 1, the_disc);
	memset(vs->s.lu, 0, sizeof(vs->s.lu));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct fuzz_device fd = {make, event, request, rewind_disks, NULL, 51};

	fuzz_virtio(&fd, data, size);
	return 0;
}
