/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtio block device. Virtio 1.2, 5.2: requests (5.2.6), configuration (5.2.4).
 *
 * A request is a readable header of 16 bytes and data, a writable data part and one status byte at
 * the very end; how it is cut into descriptors means nothing (2.7.4.2). Data goes to the block
 * layer as iovecs of guest RAM without a copy. The header and the ranges of DISCARD and
 * WRITE_ZEROES are copied before they are checked.
 *
 * In flight: at most one request per ring element, in a pool of that size. Before a snapshot the
 * block layer is drained; requests that are parked for lack of host space stay in flight, are in
 * the ring state, and are started again from their descriptors after a restore (all of them are
 * idempotent).
 *
 * Write-through mode (the driver did not take FLUSH, or wrote 0 to `writeback`): every write is
 * durable before it completes.
 *
 * UNMODELLED: legacy SCSI passthrough (never offered), secure erase, zoned devices, lifetime.
 */
#include "device/virtio/virtio_blk.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "mem/guest.h"

#define SECTOR 512u

/* Feature bits, 5.2.3 */
enum {
	BLK_F_SEG_MAX = 2,
	BLK_F_RO = 5,
	BLK_F_BLK_SIZE = 6,
	BLK_F_FLUSH = 9,
	BLK_F_CONFIG_WCE = 11,
	BLK_F_MQ = 12,
	BLK_F_DISCARD = 13,
	BLK_F_WRITE_ZEROES = 14,
};

/* Request types and status, 5.2.6 */
enum {
	BLK_T_IN = 0,
	BLK_T_OUT = 1,
	BLK_T_FLUSH = 4,
	BLK_T_GET_ID = 8,
	BLK_T_DISCARD = 11,
	BLK_T_WRITE_ZEROES = 13,
};
enum { BLK_S_OK = 0, BLK_S_IOERR = 1, BLK_S_UNSUPP = 2 };
enum { SEG_UNMAP = 1 };

/* struct virtio_blk_config, 5.2.4 */
enum {
	CONFIG_CAPACITY = 0,
	CONFIG_SEG_MAX = 12,
	CONFIG_BLK_SIZE = 20,
	CONFIG_WRITEBACK = 32,
	CONFIG_NUM_QUEUES = 34,
	CONFIG_MAX_DISCARD_SECTORS = 36,
	CONFIG_MAX_DISCARD_SEG = 40,
	CONFIG_DISCARD_ALIGNMENT = 44,
	CONFIG_MAX_ZEROES_SECTORS = 48,
	CONFIG_MAX_ZEROES_SEG = 52,
	CONFIG_ZEROES_MAY_UNMAP = 56,
	CONFIG_SIZE = 60,
};

#define QUEUE_SIZE      256u
#define SEG_MAX         (QUEUE_SIZE - 2) /* data descriptors beside header and status */
#define MAX_SEG_SECTORS (1u << 22)       /* 2 GiB in one range */

static const struct state_field virtio_blk_fields[] = {
	STATE_STRUCT(struct virtio_blk_regs, v, virtio_regs_fields),
	STATE_STRUCTS(struct virtio_blk_regs, q, virtq_regs_fields),
	STATE_VAL(struct virtio_blk_regs, write_back),
	STATE_VAL(struct virtio_blk_regs, pulled),
	STATE_PAD(struct virtio_blk_regs, pad_),
	STATE_END,
};
static const struct state_desc virtio_blk_state =
	STATE_DESC("virtio-blk", 1, struct virtio_blk_regs, virtio_blk_fields);

static struct virtio_blk *to_blk(struct virtio_dev *vd)
{
	return CONTAINER_OF(vd, struct virtio_blk, vd);
}

/* ---- requests ---- */

static void complete(struct virtio_blk_req *req, uint8_t status)
{
	struct virtio_blk *blk = req->blk;
	struct vq_elem *e = req->e;

	guest_store(req->status, 1, status);
	req->e = NULL;
	/* The status is the last byte, so all of the writable part counts as written. */
	vq_push(e, e->wr_len);
	if (!blk->gathering)
		virtio_signal(&blk->vd, req->queue);
}

static void submit_seg(struct virtio_blk_req *req)
{
	req->br.off = req->seg[req->next_seg].off;
	req->br.len = req->seg[req->next_seg].len;
	req->next_seg++;
	block_submit(req->blk->block, &req->br);
}

static void request_done(struct block_req *br, int result)
{
	struct virtio_blk_req *req = CONTAINER_OF(br, struct virtio_blk_req, br);

	if (result == 0 && req->next_seg < req->n_seg)
		submit_seg(req);
	else
		complete(req, result < 0 ? BLK_S_IOERR : BLK_S_OK);
}

/* 5.2.5.2: without FLUSH and CONFIG_WCE the device must write through. */
static bool write_through(const struct virtio_blk *blk)
{
	if (virtio_has(&blk->vd, BLK_F_CONFIG_WCE))
		return !blk->s.write_back;
	return !virtio_has(&blk->vd, BLK_F_FLUSH);
}

/* READ and WRITE: @c is the data part, @len its length. */
static void start_transfer(struct virtio_blk_req *req, enum block_op op, uint64_t sector,
			   const struct vq_cursor *c, uint64_t len)
{
	uint64_t off, end;
	int n;

	if (len % SECTOR || ckd_mul(&off, sector, (uint64_t)SECTOR) || ckd_add(&end, off, len) ||
	    end > block_size(req->blk->block)) {
		complete(req, BLK_S_IOERR);
		return;
	}
	n = vq_take_iov(req->e, c, len, &req->br.iov);
	if (n < 0) {
		complete(req, BLK_S_IOERR);
		return;
	}
	req->br.op = op;
	req->br.off = off;
	req->br.len = len;
	req->br.niov = n;
	req->br.fua = op == BLOCK_WRITE && write_through(req->blk);
	block_submit(req->blk->block, &req->br);
}

static void start_ranges(struct virtio_blk_req *req, enum block_op op, struct vq_cursor *c)
{
	uint8_t raw[16];
	uint64_t size = block_size(req->blk->block);

	req->n_seg = 0;
	if (!c->left || c->left % sizeof(raw) || c->left / sizeof(raw) > VIRTIO_BLK_SEGS_MAX) {
		complete(req, BLK_S_IOERR);
		return;
	}
	while (vq_read_exact(c, raw, sizeof(raw)) == 0) {
		uint64_t sector = ld_le64(raw), off, end;
		uint32_t sectors = ld_le32(raw + 8), flags = ld_le32(raw + 12);
		/* 5.2.6.2: unmap is for WRITE_ZEROES only, other bits are reserved. */
		if (flags & ~(uint32_t)(op == BLOCK_ZEROES ? SEG_UNMAP : 0)) {
			complete(req, BLK_S_UNSUPP);
			return;
		}
		if (sectors > MAX_SEG_SECTORS || ckd_mul(&off, sector, (uint64_t)SECTOR) ||
		    ckd_add(&end, off, (uint64_t)sectors * SECTOR) || end > size) {
			complete(req, BLK_S_IOERR);
			return;
		}
		req->seg[req->n_seg].off = off;
		req->seg[req->n_seg].len = (uint64_t)sectors * SECTOR;
		req->n_seg++;
	}
	req->br.op = op;
	submit_seg(req);
}

static void get_id(struct virtio_blk_req *req)
{
	struct vq_cursor c = vq_writer(req->e);
	char id[VIRTIO_BLK_ID_BYTES] = {0};

	/* 5.2.6: 20 bytes, terminated only when shorter. */
	memcpy(id, req->blk->serial, strnlen(req->blk->serial, sizeof(id)));
	c.left--;
	vq_write(&c, id, sizeof(id));
	complete(req, BLK_S_OK);
}

static void start(struct virtio_blk *blk, unsigned queue, struct vq_elem *e)
{
	struct virtio_blk_req *req = &blk->req[queue][e->slot];
	struct vq_cursor rd = vq_reader(e), wr = vq_writer(e);
	uint8_t header[16];

	if (vq_read_exact(&rd, header, sizeof(header)) < 0 || !e->wr_len) {
		virtio_broken(&blk->vd, "a request without header or status byte");
		vq_push(e, 0);
		return;
	}
	*req = (struct virtio_blk_req){.br = {.done = request_done, .ctx = req},
				       .blk = blk,
				       .e = e,
				       .status = vq_last_byte(e),
				       .queue = queue};
	if (blk->s.pulled) {
		complete(req, BLK_S_IOERR);
		return;
	}
	switch (ld_le32(header)) {
	case BLK_T_IN:
		start_transfer(req, BLOCK_READ, ld_le64(header + 8), &wr, e->wr_len - 1);
		break;
	case BLK_T_OUT: start_transfer(req, BLOCK_WRITE, ld_le64(header + 8), &rd, rd.left); break;
	case BLK_T_FLUSH:
		req->br.op = BLOCK_FLUSH;
		block_submit(blk->block, &req->br);
		break;
	case BLK_T_GET_ID: get_id(req); break;
	case BLK_T_DISCARD:
		if (virtio_has(&blk->vd, BLK_F_DISCARD))
			start_ranges(req, BLOCK_DISCARD, &rd);
		else
			complete(req, BLK_S_UNSUPP);
		break;
	case BLK_T_WRITE_ZEROES:
		if (virtio_has(&blk->vd, BLK_F_WRITE_ZEROES))
			start_ranges(req, BLOCK_ZEROES, &rd);
		else
			complete(req, BLK_S_UNSUPP);
		break;
	default: complete(req, BLK_S_UNSUPP); break;
	}
}

static void queue_run(struct virtio_dev *vd, unsigned n)
{
	struct virtio_blk *blk = to_blk(vd);
	struct vq_elem *e;

	block_gather(blk->block);
	while ((e = vq_pop(&vd->q[n])))
		start(blk, n, e);
	/* One notification for all that end here; that of queue @n is the caller's. */
	blk->gathering = true;
	block_gathered(blk->block);
	blk->gathering = false;
	for (unsigned i = 0; i < blk->n_queues; i++)
		if (i != n)
			virtio_signal(vd, i);
}

static void restore(struct virtio_dev *vd, unsigned n, struct vq_elem *e)
{
	start(to_blk(vd), n, e);
}

/* Everything in flight ends here: what runs is waited for, what is parked fails. */
static void end_all(struct virtio_blk *blk)
{
	block_drain(blk->block);
	block_abort_parked(blk->block);
	block_drain(blk->block);
}

void virtio_blk_pull(struct virtio_blk *blk)
{
	end_all(blk);
	blk->s.pulled = true;
}

static void reset(struct virtio_dev *vd, int n)
{
	struct virtio_blk *blk = to_blk(vd);

	if (blk->block)
		end_all(blk);
	if (n < 0)
		blk->s.write_back = true;
}

/* ---- configuration ---- */

static uint64_t features(struct virtio_dev *vd)
{
	const struct virtio_blk *blk = to_blk(vd);
	uint64_t f =
		BIT(BLK_F_SEG_MAX) | BIT(BLK_F_BLK_SIZE) | BIT(BLK_F_FLUSH) | BIT(BLK_F_CONFIG_WCE);

	if (blk->n_queues > 1)
		f |= BIT(BLK_F_MQ);
	if (block_read_only(blk->block))
		return f | BIT(BLK_F_RO);
	if (block_can_discard(blk->block))
		f |= BIT(BLK_F_DISCARD);
	return f | BIT(BLK_F_WRITE_ZEROES);
}

static void config_get(struct virtio_dev *vd, uint8_t *config)
{
	const struct virtio_blk *blk = to_blk(vd);

	st_le64(config + CONFIG_CAPACITY, block_size(blk->block) / SECTOR);
	st_le32(config + CONFIG_SEG_MAX, SEG_MAX);
	st_le32(config + CONFIG_BLK_SIZE, SECTOR);
	config[CONFIG_WRITEBACK] = blk->s.write_back;
	st_le16(config + CONFIG_NUM_QUEUES, (uint16_t)blk->n_queues);
	st_le32(config + CONFIG_MAX_DISCARD_SECTORS, MAX_SEG_SECTORS);
	st_le32(config + CONFIG_MAX_DISCARD_SEG, VIRTIO_BLK_SEGS_MAX);
	st_le32(config + CONFIG_DISCARD_ALIGNMENT, 4096 / SECTOR);
	st_le32(config + CONFIG_MAX_ZEROES_SECTORS, MAX_SEG_SECTORS);
	st_le32(config + CONFIG_MAX_ZEROES_SEG, VIRTIO_BLK_SEGS_MAX);
	config[CONFIG_ZEROES_MAY_UNMAP] = 0;
}

static void config_set(struct virtio_dev *vd, unsigned off, unsigned size, uint32_t val)
{
	struct virtio_blk *blk = to_blk(vd);

	if (off == CONFIG_WRITEBACK && size == 1 && virtio_has(vd, BLK_F_CONFIG_WCE))
		blk->s.write_back = val & 1;
	else
		guest_error(&vd->dev, "write of %u bytes at %#x of the configuration", size, off);
}

static const struct virtio_class virtio_blk_vc = {
	.device_id = VIRTIO_ID_BLOCK,
	.pci_class = 0x0100,
	.config_size = CONFIG_SIZE,
	.features = features,
	.config_get = config_get,
	.config_set = config_set,
	.queue_run = queue_run,
	.reset = reset,
	.restore = restore,
};

/* ---- lifecycle ---- */

static void virtio_blk_unrealize(struct dev *d)
{
	struct virtio_blk *blk = CONTAINER_OF(d, struct virtio_blk, vd.dev);

	if (blk->vd.initialized)
		reset(&blk->vd, -1);
	for (unsigned i = 0; i < VIRTIO_BLK_QUEUES_MAX; i++) {
		free(blk->req[i]);
		blk->req[i] = NULL;
	}
	virtio_done(&blk->vd);
}

static int virtio_blk_realize(struct dev *d, struct error *err)
{
	struct virtio_blk *blk = CONTAINER_OF(d, struct virtio_blk, vd.dev);

	if (!blk->n_queues)
		blk->n_queues = 1;
	if (!blk->block)
		return error_set(err, -EINVAL, "'%s' has no disk: wire 'block' first", d->id);
	if (blk->n_queues > VIRTIO_BLK_QUEUES_MAX)
		return error_set(err, -EINVAL, "'%s': %u queues asked for, at most %u", d->id,
				 blk->n_queues, VIRTIO_BLK_QUEUES_MAX);
	for (unsigned i = 0; i < blk->n_queues; i++)
		if (!(blk->req[i] = xtry_calloc(QUEUE_SIZE, sizeof(*blk->req[i]))))
			return error_set(err, -ENOMEM, "no memory for the requests of '%s'", d->id);
	return virtio_init(&blk->vd, &virtio_blk_vc, &blk->s.v, blk->s.q, blk->n_queues, QUEUE_SIZE,
			   err);
}

static int virtio_blk_quiesce(struct dev *d)
{
	struct virtio_blk *blk = CONTAINER_OF(d, struct virtio_blk, vd.dev);

	virtio_quiesce(&blk->vd);
	block_drain(blk->block);
	return 0;
}

const struct dev_class virtio_blk_class = {
	.name = "virtio-blk",
	.summary = "virtio block device",
	.spec = "OASIS Virtual I/O Device (VIRTIO) Version 1.2, 5.2",
	.size = sizeof(struct virtio_blk),
	.regs_offset = offsetof(struct virtio_blk, s),
	.state = &virtio_blk_state,
	.realize = virtio_blk_realize,
	.unrealize = virtio_blk_unrealize,
	.reset = virtio_dev_reset,
	.quiesce = virtio_blk_quiesce,
	.resume = virtio_dev_resume,
	.loaded = virtio_dev_loaded,
};
