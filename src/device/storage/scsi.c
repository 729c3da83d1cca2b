/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SCSI disks and CD drives have in common (scsi.h): command dispatch, sense data, unit
 * attentions, INQUIRY, mode pages, media. "SPC": SPC-4 (T10/1731-D rev. 37); "SAM": SAM-5.
 *
 * A changed medium is told twice, as drives do: a unit attention for the next command that can
 * fail, and an event for GET EVENT STATUS NOTIFICATION.
 *
 * UNMODELLED: descriptor format sense data, persistent reservations, task attributes other than
 * simple order, more than one unit attention at a time, SCSI logs, diagnostics.
 */
#include "device/storage/scsi.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

const struct state_field scsi_lu_regs_fields[] = {
	STATE_VAL(struct scsi_lu_regs, sense_key, .max = 15),
	STATE_VAL(struct scsi_lu_regs, asc),
	STATE_VAL(struct scsi_lu_regs, ascq),
	STATE_VAL(struct scsi_lu_regs, attn_asc),
	STATE_VAL(struct scsi_lu_regs, attn_ascq),
	STATE_VAL(struct scsi_lu_regs, media_event, .max = 15),
	STATE_VAL(struct scsi_lu_regs, tray_open),
	STATE_VAL(struct scsi_lu_regs, locked),
	STATE_VAL(struct scsi_lu_regs, write_cache),
	STATE_PAD(struct scsi_lu_regs, pad_),
	STATE_END,
};

/* ---- ends ---- */

void scsi_end(struct scsi_cmd *c, uint8_t key, uint8_t asc, uint8_t ascq)
{
	c->act = SCSI_END;
	c->status = key ? SCSI_CHECK_CONDITION : SCSI_GOOD;
	c->key = key;
	c->asc = asc;
	c->ascq = ascq;
}

void scsi_invalid_field(struct scsi_cmd *c)
{
	scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_INVALID_FIELD, 0);
}

void scsi_reply(struct scsi_cmd *c, uint32_t len, uint32_t alloc)
{
	scsi_end(c, 0, 0, 0);
	c->len = MIN(len, alloc);
	if (c->len)
		c->act = SCSI_REPLY;
}

void scsi_want(struct scsi_cmd *c, uint32_t len)
{
	scsi_end(c, 0, 0, 0);
	c->len = len;
	if (len > SCSI_BUF)
		scsi_invalid_field(c);
	else if (len)
		c->act = SCSI_PARAMS;
}

void scsi_io_done(struct scsi_cmd *c, int result)
{
	bool write = c->act != SCSI_READ;

	if (result == -EROFS)
		scsi_end(c, SCSI_KEY_PROTECT, SCSI_ASC_WRITE_PROTECTED, 0);
	else if (result < 0)
		scsi_end(c, SCSI_KEY_MEDIUM_ERROR,
			 write ? SCSI_ASC_WRITE_ERROR : SCSI_ASC_READ_ERROR, 0);
	else
		scsi_end(c, 0, 0, 0);
}

void scsi_keep_sense(struct scsi_lu *lu, const struct scsi_cmd *c)
{
	lu->r->sense_key = c->key;
	lu->r->asc = c->asc;
	lu->r->ascq = c->ascq;
}

void scsi_put_sense(uint8_t *b, uint8_t key, uint8_t asc, uint8_t ascq)
{
	memset(b, 0, SCSI_SENSE_LEN);
	b[0] = 0x70; /* current, fixed format */
	b[2] = key;
	b[7] = SCSI_SENSE_LEN - 8;
	b[12] = asc;
	b[13] = ascq;
}

void scsi_transfer(struct scsi_lu *lu, struct scsi_cmd *c, bool write, uint64_t lba, uint64_t n)
{
	uint64_t blocks = scsi_blocks(lu);

	if (write && block_read_only(lu->block)) {
		scsi_end(c, SCSI_KEY_PROTECT, SCSI_ASC_WRITE_PROTECTED, 0);
		return;
	}
	if (lba > blocks || n > blocks - lba) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_OUT_OF_RANGE, 0);
		return;
	}
	scsi_end(c, 0, 0, 0);
	if (!n)
		return;
	c->act = write ? SCSI_WRITE : SCSI_READ;
	c->off = lba * scsi_block_size(lu);
	c->bytes = n * scsi_block_size(lu);
}

/* ---- requests of the commands themselves ---- */

bool scsi_work(struct scsi_lu *lu, struct scsi_cmd *c, int result, struct block_req *br)
{
	uint64_t len;

	if (c->act != SCSI_WORK || result < 0 || (c->n_ranges && c->at >= c->n_ranges) ||
	    (!c->n_ranges && c->at)) {
		scsi_give_up(lu, c);
		scsi_io_done(c, result);
		return false;
	}
	br->op = c->op;
	br->iov = NULL;
	br->niov = 0;
	br->off = br->len = 0;
	br->fua = c->op == BLOCK_WRITE && !lu->r->write_cache;
	if (!c->n_ranges) { /* FLUSH */
		c->at = 1;
		return true;
	}
	len = c->range[c->at].len;
	if (c->op == BLOCK_WRITE) { /* the same block again and again */
		len = MIN(len, (uint64_t)SCSI_SAME_MAX * SCSI_DISK_BLOCK);
		br->iov = lu->same_iov;
		br->niov = (int)(len / SCSI_DISK_BLOCK);
	}
	br->off = c->range[c->at].off;
	br->len = len;
	c->range[c->at].off += len;
	c->range[c->at].len -= len;
	if (!c->range[c->at].len)
		c->at++;
	return true;
}

void scsi_give_up(struct scsi_lu *lu, struct scsi_cmd *c)
{
	if (lu->same == c)
		lu->same = NULL;
}

/* ---- media ---- */

bool scsi_has_medium(const struct scsi_lu *lu)
{
	return lu->block && !lu->r->tray_open;
}

uint64_t scsi_blocks(const struct scsi_lu *lu)
{
	return scsi_has_medium(lu) ? block_size(lu->block) / scsi_block_size(lu) : 0;
}

/* Codes of the media class: MMC-5, table 306. */
enum { EVENT_EJECT_REQUEST = 1, EVENT_NEW_MEDIA = 2, EVENT_REMOVAL = 3 };

static void tell_medium(struct scsi_lu *lu)
{
	bool there = scsi_has_medium(lu);

	lu->r->attn_asc = there ? SCSI_ASC_MEDIUM_CHANGED : 0;
	lu->r->attn_ascq = 0;
	lu->r->media_event = there ? EVENT_NEW_MEDIA : EVENT_REMOVAL;
}

void scsi_set_medium(struct scsi_lu *lu, struct block *block)
{
	lu->block = block;
	lu->r->tray_open = false;
	tell_medium(lu);
}

void scsi_open_tray(struct scsi_lu *lu)
{
	if (lu->r->tray_open)
		return;
	lu->r->tray_open = true;
	lu->r->locked = false;
	tell_medium(lu);
}

void scsi_ask_eject(struct scsi_lu *lu)
{
	lu->r->media_event = EVENT_EJECT_REQUEST;
}

/* ---- commands. buf is zeroed ---- */

static void test_unit_ready(struct scsi_lu *lu, struct scsi_cmd *c)
{
	(void)lu;
	scsi_end(c, 0, 0, 0);
}

static void request_sense(struct scsi_lu *lu, struct scsi_cmd *c)
{
	struct scsi_lu_regs *r = lu->r;

	if (r->attn_asc && !r->sense_key) {
		r->sense_key = SCSI_KEY_ATTENTION;
		r->asc = r->attn_asc;
		r->ascq = r->attn_ascq;
		r->attn_asc = r->attn_ascq = 0;
	}
	scsi_put_sense(c->buf, r->sense_key, r->asc, r->ascq);
	r->sense_key = r->asc = r->ascq = 0;
	scsi_reply(c, SCSI_SENSE_LEN, c->cdb[4]);
}

void scsi_put_padded(uint8_t *p, const char *s, size_t len)
{
	size_t n = MIN(strlen(s), len);

	memset(p, ' ', len);
	memcpy(p, s, n);
}

/* Vital product data, SPC 7.8; those of disks are in scsi_disk.c. */
static uint32_t vpd(struct scsi_lu *lu, uint8_t *b, uint8_t page)
{
	size_t serial = strlen(lu->serial);

	b[1] = page;
	switch (page) {
	case 0x00:
		b[4] = 0x00;
		b[5] = 0x80;
		b[6] = 0x83;
		b[3] = 3;
		if (lu->kind == SCSI_DISK) {
			b[7] = 0xb0;
			b[8] = 0xb1;
			b[9] = 0xb2;
			b[3] = 6;
		}
		return 4u + b[3];
	case 0x80: /* unit serial number */
		b[3] = (uint8_t)serial;
		memcpy(b + 4, lu->serial, serial);
		return 4 + b[3];
	case 0x83: /* one designator: T10 vendor identification, of the logical unit, ASCII */
		b[4] = 0x02;
		b[5] = 0x01;
		b[7] = (uint8_t)(8 + serial);
		scsi_put_padded(b + 8, lu->vendor, 8);
		memcpy(b + 16, lu->serial, serial);
		b[3] = (uint8_t)(4 + b[7]);
		return 4u + b[3];
	default: return lu->kind == SCSI_DISK ? scsi_disk_vpd(lu, b, page) : 0;
	}
}

/* SPC 6.6 */
static void inquiry(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf;
	uint32_t n;

	if ((p[1] & 2) || (!(p[1] & 1) && p[2])) {
		scsi_invalid_field(c);
		return;
	}
	b[0] = lu->kind == SCSI_CD ? 5 : 0;
	if (p[1] & 1) {
		n = vpd(lu, b, p[2]);
		if (n)
			scsi_reply(c, n, ld_be16(p + 3));
		else
			scsi_invalid_field(c);
		return;
	}
	b[1] = lu->kind == SCSI_CD || lu->removable ? 0x80 : 0;
	b[2] = lu->atapi ? 0x05 : 0x06; /* SPC-3, SPC-4 */
	b[3] = lu->atapi ? 0x32 : 0x02; /* response data format 2; ATAPI version 3 */
	b[4] = 31;
	b[7] = lu->atapi ? 0 : 0x02; /* command queuing */
	scsi_put_padded(b + 8, lu->vendor, 8);
	scsi_put_padded(b + 16, lu->product, 16);
	scsi_put_padded(b + 32, "1.0", 4);
	scsi_reply(c, 36, ld_be16(p + 3));
}

/* SBC 5.25, MMC 6.46 */
static void start_stop(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	struct scsi_lu_regs *r = lu->r;
	bool open = !(p[4] & 1);

	scsi_end(c, 0, 0, 0);
	/* LOEJ means something only where a medium can be taken out; with a power condition it is
	 * ignored. */
	if ((p[4] & 0xf0) || !(p[4] & 2) || (lu->kind != SCSI_CD && !lu->removable))
		return;
	if (open && r->locked) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_REMOVAL, 0x02);
		return;
	}
	if (r->tray_open == open)
		return;
	r->tray_open = open;
	tell_medium(lu);
}

static void prevent_allow(struct scsi_lu *lu, struct scsi_cmd *c)
{
	lu->r->locked = (c->cdb[4] & 1) && (lu->kind == SCSI_CD || lu->removable);
	scsi_end(c, 0, 0, 0);
}

/* MODE SENSE (6) and (10), SPC 6.11 and 6.12 */
static void mode_sense(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;
	uint8_t *b = c->buf, page = p[2] & 0x3f, control = p[2] >> 6;
	bool ten = p[0] == 0x5a, disk = lu->kind == SCSI_DISK;
	uint32_t head = ten ? 8 : 4, len = head, n;
	uint64_t blocks = scsi_blocks(lu);

	if (control == 3) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_NO_SAVING, 0);
		return;
	}
	if (disk && !(p[1] & 0x08)) { /* block descriptor, SBC 6.5.2.2 */
		st_be32(b + len, (uint32_t)MIN(blocks, (uint64_t)0xffffffff));
		st_be16(b + len + 6, (uint16_t)scsi_block_size(lu)); /* of 3 bytes */
		len += 8;
	}
	n = disk ? scsi_disk_pages(lu, b + len, page, control == 1)
		 : scsi_cd_pages(lu, b + len, page, control == 1);
	if (!n || (p[3] && p[3] != 0xff)) {
		scsi_invalid_field(c);
		return;
	}
	if (ten) {
		st_be16(b, (uint16_t)(len + n - 2));
		b[7] = (uint8_t)(len - head);
		b += 2;
	} else {
		b[0] = (uint8_t)(len + n - 1);
		b[3] = (uint8_t)(len - head);
		b += 1;
	}
	if (disk) { /* write protect; DPO and FUA are known */
		b[1] = (uint8_t)(0x10 | (lu->block && block_read_only(lu->block) ? 0x80 : 0));
	} else {
		b[0] = scsi_has_medium(lu) ? 0x01 : 0x70; /* data disc, or none */
	}
	scsi_reply(c, len + n, ten ? ld_be16(p + 7) : p[4]);
}

static void mode_select(struct scsi_lu *lu, struct scsi_cmd *c)
{
	const uint8_t *p = c->cdb;

	(void)lu;
	if (p[1] & 1) /* save pages */
		scsi_invalid_field(c);
	else
		scsi_want(c, p[0] == 0x55 ? ld_be16(p + 7) : p[4]);
}

/* SPC 6.33: logical unit 0 is the only one. */
static void report_luns(struct scsi_lu *lu, struct scsi_cmd *c)
{
	uint32_t alloc = ld_be32(c->cdb + 6);
	bool well_known = c->cdb[2] == 1;

	(void)lu;
	if (c->cdb[2] > 2 || alloc < 16) {
		scsi_invalid_field(c);
		return;
	}
	st_be32(c->buf, well_known ? 0 : 8);
	scsi_reply(c, well_known ? 8 : 16, alloc);
}

static const struct scsi_command common[] = {
	/* clang-format off */
	{0x00, SCSI_NEEDS_MEDIUM, test_unit_ready},
	{0x03, SCSI_NO_ATTENTION, request_sense},
	{0x12, SCSI_NO_ATTENTION, inquiry},
	{0x15, 0,                 mode_select},
	{0x1a, 0,                 mode_sense},
	{0x1b, 0,                 start_stop},
	{0x1e, 0,                 prevent_allow},
	{0x55, 0,                 mode_select},
	{0x5a, 0,                 mode_sense},
	{0xa0, SCSI_NO_ATTENTION, report_luns},
	{0},
	/* clang-format on */
};

static const struct scsi_command *find(const struct scsi_command *t, uint8_t op)
{
	for (; t->run; t++)
		if (t->op == op)
			return t;
	return NULL;
}

void scsi_start(struct scsi_lu *lu, struct scsi_cmd *c)
{
	struct scsi_lu_regs *r = lu->r;
	const struct scsi_command *cmd =
		find(lu->kind == SCSI_CD ? scsi_cd_commands : scsi_disk_commands, c->cdb[0]);

	if (!cmd)
		cmd = find(common, c->cdb[0]);
	memset(c->buf, 0, SCSI_BUF);
	c->len = 0;
	c->off = c->bytes = 0;
	c->fua = false;
	c->n_ranges = c->at = 0;
	if (!cmd) {
		scsi_end(c, SCSI_KEY_ILLEGAL, SCSI_ASC_INVALID_OPCODE, 0);
	} else if (r->attn_asc && !(cmd->flags & SCSI_NO_ATTENTION)) {
		scsi_end(c, SCSI_KEY_ATTENTION, r->attn_asc, r->attn_ascq);
		r->attn_asc = r->attn_ascq = 0;
	} else if ((cmd->flags & SCSI_NEEDS_MEDIUM) && !scsi_has_medium(lu)) {
		scsi_end(c, SCSI_KEY_NOT_READY, SCSI_ASC_NO_MEDIUM, r->tray_open ? 2 : 1);
	} else {
		cmd->run(lu, c);
	}
}

void scsi_params(struct scsi_lu *lu, struct scsi_cmd *c)
{
	scsi_end(c, 0, 0, 0);
	/* Of a CD drive nothing is changeable: what is set is forgotten. */
	if (lu->kind == SCSI_DISK)
		scsi_disk_params(lu, c);
}

/* ---- life ---- */

static void set_default(char *s, size_t size, const char *val)
{
	if (!s[0]) {
		strncpy(s, val, size - 1);
		s[size - 1] = 0;
	}
}

int scsi_lu_init(struct scsi_lu *lu, struct scsi_lu_regs *r, struct error *err)
{
	lu->r = r;
	if (!lu->block && lu->kind == SCSI_DISK && !lu->removable)
		return error_set(err, -EINVAL, "a SCSI disk has no back end");
	set_default(lu->vendor, sizeof(lu->vendor), "BOTHY");
	set_default(lu->product, sizeof(lu->product), lu->kind == SCSI_CD ? "DVD-ROM" : "HARDDISK");
	set_default(lu->serial, sizeof(lu->serial), "0");
	for (unsigned i = 0; i < SCSI_SAME_MAX; i++)
		lu->same_iov[i] =
			(struct iovec){.iov_base = lu->pattern, .iov_len = sizeof(lu->pattern)};
	return 0;
}

void scsi_lu_reset(struct scsi_lu *lu, bool hard)
{
	struct scsi_lu_regs *r = lu->r;

	r->sense_key = r->asc = r->ascq = 0;
	r->write_cache = true;
	if (hard)
		r->locked = false;
	lu->same = NULL;
	if (lu->reset_attention && !r->attn_asc) {
		r->attn_asc = SCSI_ASC_RESET;
		r->attn_ascq = 0;
	}
}
