/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio block device. Virtio 1.2, 5.2.
 *
 * Wiring (machine/): set `block` (and `n_queues`, `serial`) before dev_realize(). The block layer's
 * ENOSPC hook and block_retry() belong to the VM, not to this device.
 */
#ifndef DEVICE_VIRTIO_VIRTIO_BLK_H
#define DEVICE_VIRTIO_VIRTIO_BLK_H

#include "block/block.h"
#include "device/virtio/virtio.h"

#define VIRTIO_BLK_QUEUES_MAX 8u
#define VIRTIO_BLK_ID_BYTES   20u
#define VIRTIO_BLK_SEGS_MAX   16u /* ranges in one DISCARD or WRITE_ZEROES request */

struct virtio_blk_regs {
	struct virtio_regs v;
	struct virtq_regs q[VIRTIO_BLK_QUEUES_MAX];
	bool write_back; /* configuration field `writeback` */
	bool pulled;     /* virtio_blk_pull() */
	uint8_t pad_[6];
};

struct virtio_blk;

/* A request between block_submit() and done(). One per ring element. */
struct virtio_blk_req {
	struct block_req br;
	struct virtio_blk *blk;
	struct vq_elem *e;
	uint8_t *status; /* in guest RAM */
	struct {
		uint64_t off, len;
	} seg[VIRTIO_BLK_SEGS_MAX]; /* DISCARD, WRITE_ZEROES: bytes */
	unsigned n_seg, next_seg;
	unsigned queue;
};

struct virtio_blk {
	struct virtio_dev vd;
	struct virtio_blk_regs s;
	/* properties, set before realize */
	struct block *block; /* borrowed */
	unsigned n_queues;   /* 0 = 1 */
	char serial[VIRTIO_BLK_ID_BYTES + 1];
	/* private */
	struct virtio_blk_req *req[VIRTIO_BLK_QUEUES_MAX]; /* [VQ_SIZE_MAX] each, owned */
	bool gathering; /* requests end inside queue_run(), which tells the driver of them */
};

extern const struct dev_class virtio_blk_class;

/** virtio_blk_pull() - the disk is being pulled out: what is under way ends, with an error where it
 * waits for host space, and what still comes fails. The transport goes on. Bus lock held. */
void virtio_blk_pull(struct virtio_blk *blk);

#endif
