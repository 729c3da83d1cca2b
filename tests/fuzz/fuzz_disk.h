/* SPDX-License-Identifier: Apache-2.0 */
/* The virtio block device on a disk in memory, for the hostile driver of fuzz_virtio.h. */
#ifndef TESTS_FUZZ_FUZZ_DISK_H
#define TESTS_FUZZ_FUZZ_DISK_H

#include "device/virtio/virtio_blk.h"
#include "fake_block.h"
#include "fuzz_virtio.h"

enum { DISK = 64 * 1024 };

static struct virtio_dev *disk_make(struct harness *h)
{
	struct virtio_blk *blk = (struct virtio_blk *)dev_new(&virtio_blk_class, "blk", &h->sv);

	blk->block = fake_block_new(DISK);
	blk->n_queues = 2;
	blk->vd.packed = true;
	return &blk->vd;
}

static struct block *disk(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_blk, vd)->block;
}

static void disk_event(struct virtio_dev *vd, struct fuzz_input *in)
{
	struct block *b = disk(vd);
	uint8_t how = fuzz_u8(in);

	switch (how & 3) {
	case 0:
	case 1: fake_block_run(b, 1 + (how >> 4), how & 4); break;
	case 2:
		b->no_space = how & 4;
		if (!b->no_space)
			block_retry(b);
		break;
	default: b->fail = how & 4 ? -5 : 0; break;
	}
}

static void disk_request(struct virtio_dev *vd, unsigned q, uint8_t *p, struct fuzz_input *in)
{
	static const uint8_t types[] = {0, 1, 1, 4, 8, 11, 13, 2};
	uint8_t how = fuzz_u8(in);

	(void)vd, (void)q;
	st_le32(p, types[how & 7]);
	st_le64(p + 8, how & 0x80 ? fuzz_u32(in) : fuzz_u8(in));
	/* Ranges of DISCARD and WRITE_ZEROES */
	st_le64(p + 16, fuzz_u8(in));
	st_le32(p + 24, fuzz_u8(in) & 7);
	st_le32(p + 28, how >> 6);
}

static void disk_rewind(struct virtio_dev *vd)
{
	struct block *b = disk(vd);

	check(b->n_queued == 0 && b->n_parked == 0);
	b->no_space = false;
	b->fail = 0;
}

static void disk_check(struct virtio_dev *vd)
{
	check(disk(vd)->n_queued + disk(vd)->n_parked <= 2 * VQ_SIZE_MAX);
}

#endif
