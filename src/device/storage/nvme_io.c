/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVM Express: commands of the namespace (NVMe 6) and data pointers (NVMe 4.3). See nvme.h.
 *
 * Data goes straight between guest RAM and the block layer. Pages of a PRP list are copied before
 * they are looked at; the ranges of Dataset Management are copied into one of a few buffers, and
 * such a command waits in its queue while all of them are in use.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "device/storage/nvme.h"

enum {
	IO_FLUSH = 0x00,
	IO_WRITE = 0x01,
	IO_READ = 0x02,
	IO_WRITE_ZEROES = 0x08,
	IO_DATASET = 0x09,
};
#define FUA       (1u << 30)
#define RANGE     16u /* bytes */
#define LIST_MAX  65536u
#define AD        4u /* Dataset Management: deallocate */
#define SMALL_SEG 4096u

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
	r = nvme_map_prp(n, &slot->data, cmd, len, !write);
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
	unsigned b = 0;
	int r;

	if (!(ld_le32(cmd + 44) & AD))
		return NVME_OK; /* hints about use */
	if (block_read_only(n->block))
		return NVME_READ_ONLY;
	while (b < NVME_RANGE_BUFFERS && n->range_busy[b])
		b++;
	if (b == NVME_RANGE_BUFFERS)
		return NVME_LATER;
	r = nvme_map_prp(n, &slot->data, cmd, len, false);
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

bool nvme_io_next(struct nvme *n, unsigned i)
{
	return n->slot[i].ranges && next_range(n, i);
}

int nvme_io(struct nvme *n, unsigned i)
{
	const uint8_t *cmd = n->s.slot[i].cmd;
	uint32_t nsid = ld_le32(cmd + 4);

	if (cmd[1] & 3) /* fused */
		return NVME_INVALID_FIELD;
	if (nsid != NVME_NSID && !(nsid == NVME_NSID_ALL && cmd[0] == IO_FLUSH))
		return NVME_INVALID_NAMESPACE;
	switch (cmd[0]) {
	case IO_FLUSH: n->slot[i].data.n = 0; return nvme_submit(n, i, BLOCK_FLUSH, 0, 0);
	case IO_WRITE:
	case IO_READ: return read_write(n, i, cmd);
	case IO_WRITE_ZEROES: return write_zeroes(n, i, cmd);
	case IO_DATASET: return dataset(n, i, cmd);
	default: return NVME_INVALID_OPCODE;
	}
}
