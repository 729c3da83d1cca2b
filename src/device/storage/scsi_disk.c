/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of SCSI disks (scsi.h). "SBC": SBC-3 (T10/1799-D rev. 36); "SPC": SPC-4.
 *
 * Thin provisioning: UNMAP is a hint, WRITE SAME of zeros makes zeros and gives back what it can.
 * WRITE SAME of anything else goes through one buffer of the unit; while it is in use another such
 * command gets BUSY.
 *
 * UNMODELLED: protection information, COMPARE AND WRITE, FORMAT UNIT, defect lists, VERIFY with
 * comparison, reservations that hold anybody off (there is one initiator).
 */
#include <string.h>

#include "base/bits.h"
#include "device/storage/scsi.h"

#define SAME_BLOCKS_MAX 0x400000u /* 2 GiB in one WRITE SAME */
#define UNMAP_MAX       0x400000u /* blocks of one descriptor, like it */

enum { OP_WRITE_SAME_10 = 0x41, OP_UNMAP = 0x42, OP_WRITE_SAME_16 = 0x93 };

/* Address and count of a command with @c->cdb's length (SBC 5). */
static void range_of(const uint8_t *p, uint64_t *ret_lba, uint32_t *ret_n)
{
	switch (p[0] >> 5) {
	case 0: /* 6 bytes: 0 means 256 blocks */
		*ret_lba = ld_be32(p) & 0x1fffff;
		*ret_n = p[4] ? p[4] : 256;
		break;
	case 4: /* 16 */
		*ret_lba = ld_be64(p + 2);
		*ret_n = ld_be32(p + 10);
		break;
	case 5: /* 12 */
		*ret_lba = ld_be32(p + 2);
		*ret_n = ld_be32(p + 6);
		break;
	default: *ret_lba = ld_be32(p + 2); *ret_n = ld_be16(p + 7);
	}
}

static void read_write(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t low = p[0] & 0x1f;
	bool write = low == 0x0a || low == 0x0e, six = p[0] < 0x20;
	uint64_t lba;
	uint32_t n;

	range_of(p, &lba, &n);
	if (!six && (p[1] & 0xe0)) { /* RDPROTECT, WRPROTECT: formatted without */
		scsi_invalid_field(c);
		return;
	}
	scsi_transfer(lu, c, write, lba, n);
	c->fua = write && ((!six && (p[1] & 0x08)) || low == 0x0e || !lu->r->write_cache);
}

static void verify(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint64_t lba;
	uint32_t n;

	range_of(c->cdb, &lba, &n);
	if (c->cdb[1] & 0xe6) { /* VRPROTECT, BYTCHK */
		scsi_invalid_field(c);
		return;
	}
	scsi_transfer(lu, c, false, lba, n);
	if (c->act == SCSI_READ)
		scsi_end(c, 0, 0, 0);
}

static void seek(struct scsi_lu *lu, struct scsi_cmd *c)
{
	scsi_transfer(lu, c, false, ld_be32(c->cdb + 2), 0);
}

static void synchronize(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint64_t lba;
	uint32_t n;

	range_of(c->cdb, &lba, &n);
	scsi_transfer(lu, c, false, lba, n);
	if (c->status != SCSI_GOOD)
		return;
	c->act = SCSI_WORK;
	c->op = BLOCK_FLUSH;
}

static void read_capacity_10(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint64_t last = MAX(scsi_blocks(lu), (uint64_t)1) - 1;

	st_be32(c->buf, (uint32_t)MIN(last, (uint64_t)0xffffffff));
	st_be32(c->buf + 4, scsi_block_size(lu));
	scsi_reply(c, 8, 8);
}

static bool thin(const struct scsi_lu *lu)
{
	return lu->block && block_can_discard(lu->block);
}

/* SERVICE ACTION IN (16): READ CAPACITY (16), SBC 5.16 */
static void service_in(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint8_t *b = c->buf;

	if ((c->cdb[1] & 0x1f) != 0x10) {
		scsi_invalid_field(c);
		return;
	}
	st_be64(b, scsi_blocks(lu) - 1);
	st_be32(b + 8, scsi_block_size(lu));
	b[13] = 3;                   /* 8 logical blocks in a physical one of 4 KiB */
	b[14] = thin(lu) ? 0xc0 : 0; /* LBPME, LBPRZ */
	scsi_reply(c, 32, ld_be32(c->cdb + 10));
}

/* ---- thin provisioning ---- */

/* @n blocks from @lba as the only range of the work @op. */
static void work_range(struct scsi_lu *lu, struct scsi_cmd *c, enum block_op op, uint64_t lba,
		       uint64_t n)
{
	scsi_transfer(lu, c, true, lba, n);
	if (c->act != SCSI_WRITE)
		return;
	c->act = SCSI_WORK;
	c->op = op;
	c->range[0].off = c->off;
	c->range[0].len = c->bytes;
	c->n_ranges = 1;
}

/* SBC 5.43 and 5.44. Zero blocks would mean "to the end", which page B0h (WSNZ) excludes. */
static void write_same(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	bool ndob = p[0] == OP_WRITE_SAME_16 && (p[1] & 1);
	uint64_t lba;
	uint32_t n;

	range_of(p, &lba, &n);
	if ((p[1] & 0xf0) || !n || n > SAME_BLOCKS_MAX)
		scsi_invalid_field(c);
	else if (ndob)
		work_range(lu, c, BLOCK_ZEROES, lba, n);
	else
		scsi_want(c, scsi_block_size(lu));
}

static void write_same_data(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint64_t lba;
	uint32_t n, i = 0;

	range_of(c->cdb, &lba, &n);
	while (i < SCSI_DISK_BLOCK && !c->buf[i])
		i++;
	if (i == SCSI_DISK_BLOCK) {
		work_range(lu, c, BLOCK_ZEROES, lba, n);
		return;
	}
	if (lu->same) {
		c->status = SCSI_BUSY;
		return;
	}
	work_range(lu, c, BLOCK_WRITE, lba, n);
	if (c->act != SCSI_WORK)
		return;
	memcpy(lu->pattern, c->buf, SCSI_DISK_BLOCK);
	lu->same = c;
}

/* SBC 5.32 */
static void unmap(struct scsi_lu *lu, struct scsi_cmd *c)
{
	if (c->cdb[1] & 1) /* ANCHOR */
		scsi_invalid_field(c);
	else if (block_read_only(lu->block))
		scsi_end(c, SCSI_KEY_PROTECT, SCSI_ASC_WRITE_PROTECTED, 0);
	else
		scsi_want(c, ld_be16(c->cdb + 7));
}

static void unmap_list(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint32_t len = c->len >= 8 ? MIN((uint32_t)ld_be16(c->buf + 2), c->len - 8) : 0;
	uint64_t blocks = scsi_blocks(lu);

	if (c->len < 8) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_PARAM_LENGTH, 0);
		return;
	}
	if (len / 16 > SCSI_RANGES_MAX) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_INVALID_PARAM, 0);
		return;
	}
	for (uint32_t at = 8; at + 16 <= 8 + len; at += 16) {
		uint64_t lba = ld_be64(c->buf + at);
		uint32_t n = ld_be32(c->buf + at + 8);

		if (lba > blocks || n > blocks - lba || n > UNMAP_MAX) {
			scsi_end(c, SCSI_KEY_ILLEGAL,
				 n > UNMAP_MAX ? SCSI_ASC_INVALID_PARAM : SCSI_ASC_OUT_OF_RANGE, 0);
			c->n_ranges = 0;
			return;
		}
		if (!n)
			continue;
		c->range[c->n_ranges].off = lba * SCSI_DISK_BLOCK;
		c->range[c->n_ranges].len = (uint64_t)n * SCSI_DISK_BLOCK;
		c->n_ranges++;
	}
	if (!c->n_ranges)
		return;
	c->act = SCSI_WORK;
	c->op = BLOCK_DISCARD;
}

/* ---- pages ---- */

uint32_t scsi_disk_vpd(struct scsi_lu *lu, uint8_t *b, uint8_t page)
{
	switch (page) {
	case 0xb0: /* block limits, SBC 6.6.4 */
		b[3] = 0x3c;
		b[4] = 1; /* WSNZ */
		if (thin(lu)) {
			st_be32(b + 20, UNMAP_MAX);
			st_be32(b + 24, SCSI_RANGES_MAX);
			st_be32(b + 28, 8); /* granularity: 4 KiB */
		}
		st_be64(b + 36, SAME_BLOCKS_MAX);
		return 64;
	case 0xb1: /* block device characteristics, SBC 6.6.3 */
		b[3] = 0x3c;
		st_be16(b + 4, 1); /* does not rotate */
		return 64;
	case 0xb2: /* logical block provisioning, SBC 6.6.7 */
		b[3] = 4;
		b[5] = thin(lu) ? 0xe4 : 0; /* UNMAP, WRITE SAME (16), (10), reads as zeros */
		b[6] = thin(lu) ? 2 : 0;
		return 8;
	default: return 0;
	}
}

uint32_t scsi_disk_pages(struct scsi_lu *lu, uint8_t *b, uint8_t page, bool changeable)
{
	uint32_t len = 0;

	if (page == 0x01 || page == 0x3f) { /* read-write error recovery, SBC 6.5.7 */
		b[len] = 0x01;
		b[len + 1] = 10;
		if (!changeable)
			b[len + 2] = 0x80; /* AWRE */
		len += 12;
	}
	if (page == 0x08 || page == 0x3f) { /* caching, SBC 6.5.5 */
		b[len] = 0x08;
		b[len + 1] = 18;
		b[len + 2] = changeable || lu->r->write_cache ? 0x04 : 0; /* WCE */
		len += 20;
	}
	if (page == 0x0a || page == 0x3f) { /* control, SPC 7.5.8 */
		b[len] = 0x0a;
		b[len + 1] = 10;
		if (!changeable)
			b[len + 3] = 0x10; /* reordering is unrestricted */
		len += 12;
	}
	return len;
}

/* MODE SELECT, SPC 6.9: the write cache is what can be changed. */
static void mode_pages(struct scsi_lu *lu, struct scsi_cmd *c)
{
	bool ten = c->cdb[0] == 0x55, wce = lu->r->write_cache;
	uint32_t at = ten ? 8 : 4;

	if (c->len < at) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_PARAM_LENGTH, 0);
		return;
	}
	at += ten ? ld_be16(c->buf + 6) : c->buf[3];
	while (at + 2 <= c->len) {
		uint8_t page = c->buf[at] & 0x3f;
		uint32_t len = 2u + c->buf[at + 1];

		if (at + len > c->len) {
			scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_PARAM_LENGTH, 0);
			return;
		}
		if (page != 0x01 && page != 0x08 && page != 0x0a) {
			scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_INVALID_PARAM, 0);
			return;
		}
		if (page == 0x08 && len > 2)
			wce = c->buf[at + 2] & 0x04;
		at += len;
	}
	/* What stands in the cache must be durable before writes go through (SBC 6.5.5). */
	if (lu->r->write_cache && !wce && lu->block) {
		c->act = SCSI_WORK;
		c->op = BLOCK_FLUSH;
	}
	lu->r->write_cache = wce;
}

void scsi_disk_params(struct scsi_lu *lu, struct scsi_cmd *c)
{
	bool needs_medium = c->cdb[0] > 0x40 && c->cdb[0] != 0x55;

	if (needs_medium && !scsi_has_medium(lu)) /* gone while the list came */
		scsi_end(c, SCSI_KEY_NOT_READY, SCSI_ASC_NO_MEDIUM, 0);
	else if (c->cdb[0] == OP_UNMAP)
		unmap_list(lu, c);
	else if (c->cdb[0] == OP_WRITE_SAME_10 || c->cdb[0] == OP_WRITE_SAME_16)
		write_same_data(lu, c);
	else
		mode_pages(lu, c);
}

/* ---- the rest ---- */

static void good(struct scsi_lu *lu, struct scsi_cmd *c)
{
	(void)lu;
	scsi_end(c, 0, 0, 0);
}

/* REPORT SUPPORTED OPERATION CODES, SPC 6.35: what is known of one command. */
static void report_opcodes(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	static const uint8_t lengths[8] = {6, 10, 10, 0, 16, 12, 0, 0};
	const struct scsi_command *t = scsi_disk_commands;
	uint8_t size = lengths[p[3] >> 5];

	(void)lu;
	if ((p[1] & 0x1f) != 0x0c || !(p[2] & 7) || (p[2] & 7) > 3) {
		scsi_invalid_field(c);
		return;
	}
	while (t->run && t->op != p[3])
		t++;
	if (!t->run || !size) {
		c->buf[1] = 1; /* not supported */
		scsi_reply(c, 4, ld_be32(p + 6));
		return;
	}
	c->buf[1] = 3;
	c->buf[3] = size;
	c->buf[4] = p[3];
	memset(c->buf + 5, 0xff, size - 2u);
	scsi_reply(c, 4u + size, ld_be32(p + 6));
}

const struct scsi_command scsi_disk_commands[] = {
	/* clang-format off */
	{0x08, SCSI_NEEDS_MEDIUM, read_write},
	{0x0a, SCSI_NEEDS_MEDIUM, read_write},
	{0x16, 0,                 good},         /* RESERVE (6) */
	{0x17, 0,                 good},         /* RELEASE (6) */
	{0x1d, 0,                 good},         /* SEND DIAGNOSTIC: the default self-test */
	{0x25, SCSI_NEEDS_MEDIUM, read_capacity_10},
	{0x28, SCSI_NEEDS_MEDIUM, read_write},
	{0x2a, SCSI_NEEDS_MEDIUM, read_write},
	{0x2b, SCSI_NEEDS_MEDIUM, seek},
	{0x2e, SCSI_NEEDS_MEDIUM, read_write},   /* WRITE AND VERIFY (10) */
	{0x2f, SCSI_NEEDS_MEDIUM, verify},
	{0x35, SCSI_NEEDS_MEDIUM, synchronize},
	{0x41, SCSI_NEEDS_MEDIUM, write_same},
	{0x42, SCSI_NEEDS_MEDIUM, unmap},
	{0x56, 0,                 good},         /* RESERVE (10) */
	{0x57, 0,                 good},         /* RELEASE (10) */
	{0x88, SCSI_NEEDS_MEDIUM, read_write},
	{0x8a, SCSI_NEEDS_MEDIUM, read_write},
	{0x8e, SCSI_NEEDS_MEDIUM, read_write},
	{0x8f, SCSI_NEEDS_MEDIUM, verify},
	{0x91, SCSI_NEEDS_MEDIUM, synchronize},
	{0x93, SCSI_NEEDS_MEDIUM, write_same},
	{0x9e, SCSI_NEEDS_MEDIUM, service_in},
	{0xa3, 0,                 report_opcodes},
	{0xa8, SCSI_NEEDS_MEDIUM, read_write},
	{0xaa, SCSI_NEEDS_MEDIUM, read_write},
	{0xae, SCSI_NEEDS_MEDIUM, read_write},
	{0xaf, SCSI_NEEDS_MEDIUM, verify},
	{0},
	/* clang-format on */
};
