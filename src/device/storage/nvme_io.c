/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVM Express: commands of the namespace (NVMe 6) and data pointers (NVMe 4.3). See nvme.h.
 *
 * Data goes straight between guest RAM and the block layer. Pages of a PRP list and segments of an
 * SGL are copied before they are looked at; the ranges of Dataset Management are copied into one of
 * a few buffers, and such a command waits in its queue while all of them are in use. Compare and
 * Verify read the disk into such a buffer, piece by piece.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "device/storage/nvme.h"

enum {
	IO_FLUSH = 0x00,
	IO_WRITE = 0x01,
	IO_READ = 0x02,
	IO_COMPARE = 0x05,
	IO_WRITE_ZEROES = 0x08,
	IO_DATASET = 0x09,
	IO_VERIFY = 0x0c,
};
#define FUA       (1u << 30)
#define RANGE     16u /* bytes */
#define LIST_MAX  65536u
#define AD        4u /* Dataset Management: deallocate */
#define SMALL_SEG 4096u
#define PIECE     (NVME_RANGES * RANGE) /* of Compare and Verify: a range buffer */

/* SGL descriptors (NVMe 4.4.1): the type, in the upper half of the last byte */
enum { SGL_DATA = 0, SGL_SEGMENT = 2, SGL_LAST = 3, SGL_LEN = 16, SGL_MAX = 4096 };

static uint16_t prp_error(int r)
{
	return r == -E2BIG ? NVME_INVALID_FIELD : NVME_DATA_TRANSFER;
}

/* Pages of a list that starts at @at: entries up to the end of its page, the last of which points
 * to the next page of the list when more are needed. */
static int map_list(struct nvme *n, struct dma_list *l, gpa_t at, uint64_t left)
{
	uint64_t page = 1ull << nvme_page_shift(n);
	uint8_t list[SMALL_SEG];

	if (at & 7)
		return NVME_INVALID_PRP_OFFSET;
	while (left) {
		/* entries until the end of this list page, in parts of what the buffer has */
		uint64_t room = (page - (at & (page - 1))) / 8, need = (left + page - 1) / page;
		uint64_t most = MIN(room, (uint64_t)(sizeof(list) / 8)), k = MIN(most, need);
		bool chained = need > room && k == room;

		if (dma_read(&n->dev, at, list, k * 8) < 0)
			return NVME_DATA_TRANSFER;
		for (uint64_t i = 0; i < k - (chained ? 1 : 0); i++) {
			uint64_t len = MIN(left, page), prp = ld_le64(list + i * 8);
			int r;

			if (prp & (page - 1))
				return NVME_INVALID_PRP_OFFSET;
			r = dma_list_add(l, n->dev.sv->mem, prp, len);
			if (r < 0)
				return prp_error(r);
			left -= len;
		}
		if (!left)
			break;
		at = chained ? ld_le64(list + (k - 1) * 8) : at + k * 8;
		if (chained && (at & (page - 1)))
			return NVME_INVALID_PRP_OFFSET;
	}
	return NVME_OK;
}

int nvme_map_prp(struct nvme *n, struct dma_list *l, const uint8_t *cmd, uint64_t len,
		 bool to_memory)
{
	uint64_t prp1 = ld_le64(cmd + 24), prp2 = ld_le64(cmd + 32);
	uint64_t page = 1ull << nvme_page_shift(n);
	uint64_t first = MIN(len, page - (prp1 & (page - 1)));
	int r;

	dma_list_clear(l, to_memory);
	if (cmd[1] & 0xc0) /* SGLs */
		return NVME_INVALID_FIELD;
	if (prp1 & 3)
		return NVME_INVALID_PRP_OFFSET;
	r = dma_list_add(l, n->dev.sv->mem, prp1, first);
	if (r < 0)
		return prp_error(r);
	len -= first;
	if (!len)
		return NVME_OK;
	if (len > page)
		return map_list(n, l, prp2, len);
	if (prp2 & (page - 1))
		return NVME_INVALID_PRP_OFFSET;
	r = dma_list_add(l, n->dev.sv->mem, prp2, len);
	return r < 0 ? prp_error(r) : NVME_OK;
}

/* One data block descriptor: what of it is still wanted. */
static int sgl_data(struct nvme *n, struct dma_list *l, const uint8_t *d, uint64_t *left)
{
	uint64_t len = MIN(*left, (uint64_t)ld_le32(d + 8));
	int r = len ? dma_list_add(l, n->dev.sv->mem, ld_le64(d), len) : 0;

	*left -= len;
	return r < 0 ? prp_error(r) : NVME_OK;
}

/* Descriptors of one segment; @next: where the descriptor of the one after it goes. */
static int sgl_segment(struct nvme *n, struct dma_list *l, gpa_t at, unsigned count, bool last,
		       uint64_t *left, uint8_t next[SGL_LEN])
{
	uint8_t part[64 * SGL_LEN];

	for (unsigned k = 0; k < count && *left;) {
		unsigned some = MIN(count - k, 64u);

		if (dma_read(&n->dev, at + (gpa_t)k * SGL_LEN, part, (size_t)some * SGL_LEN) < 0)
			return NVME_DATA_TRANSFER;
		for (unsigned i = 0; i < some && *left; i++, k++) {
			const uint8_t *d = part + i * SGL_LEN;
			int r;

			if (!last && k + 1 == count) {
				memcpy(next, d, SGL_LEN);
				return NVME_OK;
			}
			if (d[15] >> 4 == SGL_SEGMENT || d[15] >> 4 == SGL_LAST)
				return NVME_INVALID_SGL_SEGMENT;
			if (d[15] != SGL_DATA)
				return NVME_INVALID_SGL_TYPE;
			r = sgl_data(n, l, d, left);
			if (r)
				return r;
		}
	}
	return NVME_OK;
}

/* NVMe 4.4: the descriptor in the command is the data, or leads to a chain of segments. */
static int map_sgl(struct nvme *n, struct dma_list *l, const uint8_t *cmd, uint64_t len,
		   bool to_memory)
{
	uint8_t d[SGL_LEN];
	unsigned total = 0;

	dma_list_clear(l, to_memory);
	memcpy(d, cmd + 24, SGL_LEN);
	if (d[15] == SGL_DATA) {
		int r = sgl_data(n, l, d, &len);

		return r ? r : len ? NVME_SGL_LENGTH : NVME_OK;
	}
	while (len) {
		uint32_t bytes = ld_le32(d + 8);
		bool last = d[15] == SGL_LAST << 4;
		int r;

		if (!last && d[15] != SGL_SEGMENT << 4)
			return NVME_INVALID_SGL_TYPE;
		if (!bytes || bytes % SGL_LEN)
			return NVME_INVALID_SGL_SEGMENT;
		if (bytes / SGL_LEN > SGL_MAX - total)
			return NVME_INVALID_SGL_COUNT;
		total += bytes / SGL_LEN;
		r = sgl_segment(n, l, ld_le64(d), bytes / SGL_LEN, last, &len, d);
		if (r)
			return r;
		if (last)
			return len ? NVME_SGL_LENGTH : NVME_OK;
	}
	return NVME_OK;
}

/* The data of a command of the namespace, by PRPs or SGLs (PSDT: NVMe figure 104). */
static int map_data(struct nvme *n, struct dma_list *l, const uint8_t *cmd, uint64_t len,
		    bool to_memory)
{
	switch (cmd[1] >> 6) {
	case 0: return nvme_map_prp(n, l, cmd, len, to_memory);
	case 1:
	case 2: return map_sgl(n, l, cmd, len, to_memory);
	default: return NVME_INVALID_FIELD;
	}
}

/* Blocks of a command: first, number. A status. */
static int blocks_of(const struct nvme *n, const uint8_t *cmd, uint64_t *ret_off, uint64_t *ret_len)
{
	uint64_t lba = ld_le64(cmd + 40), count = (uint64_t)ld_le16(cmd + 48) + 1;
	uint64_t blocks = nvme_blocks(n);

	if (lba > blocks || count > blocks - lba)
		return NVME_LBA_RANGE;
	*ret_off = lba << n->s.lba_shift;
	*ret_len = count << n->s.lba_shift;
	return NVME_OK;
}

static int read_write(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	struct nvme_slot *slot = &n->slot[i];
	bool write = cmd[0] == IO_WRITE;
	uint64_t off, len;
	int r = blocks_of(n, cmd, &off, &len);

	if (r)
		return r;
	if (len > NVME_TRANSFER_MAX)
		return NVME_INVALID_FIELD;
	if (write && block_read_only(n->block))
		return NVME_READ_ONLY;
	r = map_data(n, &slot->data, cmd, len, !write);
	if (r)
		return r;
	*(write ? &n->s.sectors_written : &n->s.sectors_read) += len / 512;
	*(write ? &n->s.writes : &n->s.reads) += 1;
	slot->br.fua =
		write && ((ld_le32(cmd + 48) & FUA) || !(n->s.feature[NVME_F_WRITE_CACHE] & 1));
	return nvme_submit(n, i, write ? BLOCK_WRITE : BLOCK_READ, off, len);
}

static int write_zeroes(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	uint64_t off, len;
	int r = blocks_of(n, cmd, &off, &len);

	if (r)
		return r;
	if (block_read_only(n->block))
		return NVME_READ_ONLY;
	n->slot[i].data.n = 0;
	n->slot[i].br.fua = (ld_le32(cmd + 48) & FUA) || !(n->s.feature[NVME_F_WRITE_CACHE] & 1);
	return nvme_submit(n, i, BLOCK_ZEROES, off, len);
}

static unsigned free_buffer(const struct nvme *n)
{
	unsigned b = 0;

	while (b < NVME_RANGE_BUFFERS && n->range_busy[b])
		b++;
	return b;
}

/* The next range that is not empty; all have been checked. False when there is none. */
static bool next_range(struct nvme *n, unsigned i)
{
	struct nvme_slot *slot = &n->slot[i];
	const uint8_t *list = n->range_buf[slot->ranges - 1];

	while (slot->range < slot->n_ranges) {
		const uint8_t *e = list + RANGE * slot->range++;
		uint64_t count = ld_le32(e + 4), lba = ld_le64(e + 8);

		if (!count)
			continue;
		slot->data.n = 0;
		slot->br.fua = false;
		nvme_submit(n, i, BLOCK_DISCARD, lba << n->s.lba_shift, count << n->s.lba_shift);
		return true;
	}
	return false;
}

/* NVMe 6.7 */
static int dataset(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	struct nvme_slot *slot = &n->slot[i];
	uint32_t count = (ld_le32(cmd + 40) & 0xff) + 1, len = count * RANGE;
	uint64_t blocks = nvme_blocks(n);
	unsigned b;
	int r;

	if (!(ld_le32(cmd + 44) & AD))
		return NVME_OK; /* hints about use */
	if (block_read_only(n->block))
		return NVME_READ_ONLY;
	b = free_buffer(n);
	if (b == NVME_RANGE_BUFFERS)
		return NVME_LATER;
	r = map_data(n, &slot->data, cmd, len, false);
	if (r)
		return r;
	dma_list_copy(&slot->data, n->dev.sv->mem, 0, n->range_buf[b], len);
	for (unsigned k = 0; k < count; k++) {
		const uint8_t *e = n->range_buf[b] + RANGE * k;
		uint64_t lba = ld_le64(e + 8);

		if (lba > blocks || ld_le32(e + 4) > blocks - lba)
			return NVME_LBA_RANGE;
	}
	if (!block_can_discard(n->block))
		return NVME_OK; /* a hint */
	n->range_busy[b] = true;
	slot->ranges = (uint8_t)(b + 1);
	slot->range = 0;
	slot->n_ranges = (uint16_t)count;
	return next_range(n, i) ? NVME_PENDING : NVME_OK;
}

/* Read the next piece. */
static int check_piece(struct nvme *n, unsigned i)
{
	struct nvme_slot *slot = &n->slot[i];

	slot->piece.iov_base = n->range_buf[slot->ranges - 1];
	slot->piece.iov_len = (size_t)MIN(slot->check_len - slot->check_at, (uint64_t)PIECE);
	slot->br.op = BLOCK_READ;
	slot->br.off = slot->check_off + slot->check_at;
	slot->br.len = slot->piece.iov_len;
	slot->br.iov = &slot->piece;
	slot->br.niov = 1;
	slot->br.fua = false;
	slot->at_block = true;
	block_submit(n->block, &slot->br);
	return NVME_PENDING;
}

/* A piece was read. The guest's data are looked at now, as a controller with little memory does. */
static int check_next(struct nvme *n, unsigned i)
{
	struct nvme_slot *slot = &n->slot[i];
	const uint8_t *disk = n->range_buf[slot->ranges - 1];
	uint8_t mine[512];

	for (size_t at = 0; at < slot->piece.iov_len && slot->comparing; at += sizeof(mine)) {
		dma_list_copy(&slot->data, n->dev.sv->mem, slot->check_at + at, mine, sizeof(mine));
		if (memcmp(disk + at, mine, sizeof(mine)))
			return NVME_COMPARE_FAILURE;
	}
	slot->check_at += slot->piece.iov_len;
	return slot->check_at < slot->check_len ? check_piece(n, i) : NVME_OK;
}

/* Compare (NVMe 6.6), Verify (NVMe 6.14) */
static int compare_verify(struct nvme *n, unsigned i, const uint8_t *cmd)
{
	struct nvme_slot *slot = &n->slot[i];
	bool compare = cmd[0] == IO_COMPARE;
	unsigned b = free_buffer(n);
	uint64_t off, len;
	int r = blocks_of(n, cmd, &off, &len);

	if (r)
		return r;
	if (compare && len > NVME_TRANSFER_MAX)
		return NVME_INVALID_FIELD;
	if (b == NVME_RANGE_BUFFERS)
		return NVME_LATER;
	dma_list_clear(&slot->data, false);
	r = compare ? map_data(n, &slot->data, cmd, len, false) : NVME_OK;
	if (r)
		return r;
	n->range_busy[b] = true;
	slot->ranges = (uint8_t)(b + 1);
	slot->check_off = off;
	slot->check_at = 0;
	slot->check_len = len;
	slot->comparing = compare;
	return check_piece(n, i);
}

int nvme_io_next(struct nvme *n, unsigned i)
{
	struct nvme_slot *slot = &n->slot[i];

	if (slot->ranges && slot->check_len)
		return check_next(n, i);
	return slot->ranges && next_range(n, i) ? NVME_PENDING : NVME_OK;
}

int nvme_io(struct nvme *n, unsigned i)
{
	const uint8_t *cmd = n->s.slot[i].cmd;
	uint32_t nsid = ld_le32(cmd + 4);

	n->slot[i].check_len = 0;
	if (cmd[1] & 3) /* fused */
		return NVME_INVALID_FIELD;
	if (nsid != NVME_NSID && !(nsid == NVME_NSID_ALL && cmd[0] == IO_FLUSH))
		return NVME_INVALID_NAMESPACE;
	switch (cmd[0]) {
	case IO_FLUSH: n->slot[i].data.n = 0; return nvme_submit(n, i, BLOCK_FLUSH, 0, 0);
	case IO_WRITE:
	case IO_READ: return read_write(n, i, cmd);
	case IO_COMPARE:
	case IO_VERIFY: return compare_verify(n, i, cmd);
	case IO_WRITE_ZEROES: return write_zeroes(n, i, cmd);
	case IO_DATASET: return dataset(n, i, cmd);
	default: return NVME_INVALID_OPCODE;
	}
}
