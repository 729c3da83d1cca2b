/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Execution phases of the diskette controller's commands that move data (i82077.c): a sector at a
 * time between the image, the sector buffer and the host. "DS": Intel 290166-007.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "device/misc/i8237.h"
#include "device/storage/i82077_internal.h"

enum { ID_BYTES = 4 }; /* C, H, R and N of FORMAT TRACK */

/* ---- transfers ---- */

static bool multi_track(const struct i82077 *fdc)
{
	return fdc->s.cmd[0] & CMD_MT;
}

bool fdc_is_scan(uint8_t op)
{
	return op == C_SCAN_EQUAL || op == C_SCAN_LOW || op == C_SCAN_HIGH;
}

bool fdc_by_dma(const struct i82077 *fdc)
{
	return !(fdc->s.specify[1] & SPECIFY_ND);
}

/* DMAGATE (DS 2.1.2): without it DRQ goes nowhere. */
static bool dma_ready(const struct i82077 *fdc)
{
	return fdc->s.dor & DOR_DMA;
}

unsigned fdc_data_bytes(const struct i82077 *fdc)
{
	return fdc_opcode(fdc) == C_FORMAT ? ID_BYTES : I82077_SECTOR;
}

static uint8_t data_rate(const struct i82077 *fdc)
{
	return fdc->s.dsr & 3;
}

/* Can the head read this track's address marks at all? */
static bool readable(struct i82077 *fdc, const struct i82077_drive *d)
{
	const struct i82077_regs *s = &fdc->s;

	return d && d->block && d->format && (s->cmd[0] & CMD_MFM) &&
	       (d->format->rates >> data_rate(fdc) & 1) &&
	       s->drive[fdc_unit(fdc)].cyl < d->format->cyls &&
	       ((s->cmd[1] & HEAD) == 0 || d->format->heads > 1);
}

/* Is sector s->c/h/r/n under the head? Otherwise st1 and st2 of "not found". */
bool fdc_find_sector(struct i82077 *fdc, uint8_t *st1, uint8_t *st2)
{
	const struct i82077_regs *s = &fdc->s;
	const struct i82077_drive *d = fdc_drive(fdc, fdc_unit(fdc));
	uint8_t cyl = s->drive[fdc_unit(fdc)].cyl, head = s->cmd[1] & HEAD ? 1 : 0;

	*st1 = *st2 = 0;
	if (!readable(fdc, d)) {
		*st1 = ST1_MA;
		return false;
	}
	if (s->c != cyl)
		*st2 = ST2_WC;
	if (s->c != cyl || s->h != head || s->r < 1 || s->r > d->format->spt || s->n != 2) {
		*st1 = ST1_ND;
		return false;
	}
	return true;
}

/* Is sector s->c/h/r within the diskette? Unlike above, a transfer that has begun goes on when the
 * data rate changes. */
bool fdc_on_medium(struct i82077 *fdc)
{
	const struct i82077_regs *s = &fdc->s;
	const struct i82077_drive *d = fdc_drive(fdc, fdc_unit(fdc));

	return d && d->block && d->format && s->c < d->format->cyls && s->h < d->format->heads &&
	       s->r >= 1 && s->r <= d->format->spt;
}

static uint64_t sector_offset(struct i82077 *fdc)
{
	const struct i82077_regs *s = &fdc->s;
	const struct i82077_format *f = fdc->drive[fdc_unit(fdc) % I82077_DRIVES].format;

	return (((uint64_t)s->c * f->heads + s->h) * f->spt + s->r - 1) * I82077_SECTOR;
}

void fdc_submit(struct i82077 *fdc, enum block_op op)
{
	fdc->s.phase = I82077_IO;
	fdc->in_flight = true;
	fdc->iov = (struct iovec){.iov_base = fdc->s.buf, .iov_len = I82077_SECTOR};
	fdc->req.op = op;
	fdc->req.off = sector_offset(fdc);
	fdc->req.len = I82077_SECTOR;
	fdc->req.iov = &fdc->iov;
	fdc->req.niov = 1;
	block_submit(fdc->drive[fdc_unit(fdc) % I82077_DRIVES].block, &fdc->req);
}

/* On to the next sector's address: table 5-6. True when the command's range has ended. */
static bool advance(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;

	if (s->r != s->eot) {
		s->r++;
		return false;
	}
	s->r = 1;
	if (multi_track(fdc) && !(s->cmd[1] & HEAD)) {
		s->h ^= 1;
		s->cmd[1] |= HEAD;
		return false;
	}
	if (multi_track(fdc))
		s->h ^= 1;
	s->c++;
	return true;
}

/* A sector is through: what next? */
static void sector_done(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	uint8_t op = fdc_opcode(fdc);
	bool counted = op == C_VERIFY && (s->cmd[1] & 0x80);
	bool ended;

	s->pos = 0;
	if (op == C_FORMAT) {
		if (s->terminal)
			fdc_end(fdc, 0);
		else
			fdc_wait(fdc, SECTOR_NS);
		return;
	}
	if (op == C_READ_DELETED && !(s->cmd[0] & CMD_SK)) {
		/* The mark was that of normal data: this sector is the last (DS 5.1.2). */
		s->st2 |= ST2_CM;
		(void)advance(fdc);
		fdc_end(fdc, 0);
		return;
	}
	if (fdc_is_scan(op) && s->satisfied) {
		fdc_end(fdc, 0);
		return;
	}
	if (counted && --s->sectors_left == 0)
		s->terminal = true;
	ended = advance(fdc);
	if (s->terminal) {
		if (fdc_is_scan(op))
			s->st2 = (uint8_t)((s->st2 & ~ST2_SH) | ST2_SN);
		fdc_end(fdc, 0);
	} else if (ended) {
		/* The last sector, and no terminal count: end of cylinder. VERIFY without a count
		 * and SCAN end there as they should (DS 5.1.5, table 5-8). */
		if (op == C_VERIFY && !counted)
			fdc_end(fdc, 0);
		else if (fdc_is_scan(op)) {
			s->st2 = (uint8_t)((s->st2 & ~ST2_SH) | ST2_SN);
			fdc_end(fdc, 0);
		} else
			fdc_fail(fdc, ST1_EN, 0);
	} else {
		fdc_wait(fdc, SECTOR_NS);
	}
}

/* What a comparison made of a byte of the medium; it takes that byte's place in the buffer. */
enum { SCAN_SAME, SCAN_HOLDS, SCAN_FAILS };

/* Compare the medium's byte with the host's; FFh matches anything (DS 5.1.6). */
uint8_t fdc_scan_byte(uint8_t op, uint8_t medium, uint8_t host)
{
	if (medium == host || medium == 0xff || host == 0xff)
		return SCAN_SAME;
	if ((op == C_SCAN_LOW && medium <= host) || (op == C_SCAN_HIGH && medium >= host))
		return SCAN_HOLDS;
	return SCAN_FAILS;
}

/* All bytes of the sector have been compared. */
static void scan_over(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	bool equal = true;

	s->satisfied = true;
	for (unsigned i = 0; i < I82077_SECTOR; i++) {
		equal = equal && s->buf[i] == SCAN_SAME;
		s->satisfied = s->satisfied && s->buf[i] <= SCAN_HOLDS;
	}
	if (s->satisfied && equal)
		s->st2 |= ST2_SH;
	sector_done(fdc);
}

/* FORMAT TRACK has a sector's C, H, R and N: its filler goes to the image. */
static void format_sector(struct i82077 *fdc, const uint8_t id[ID_BYTES])
{
	struct i82077_regs *s = &fdc->s;
	uint8_t st1, st2;

	s->c = id[0];
	s->h = id[1];
	s->r = id[2];
	s->n = id[3];
	s->sectors_left--;
	s->terminal = s->sectors_left == 0;
	if (fdc_find_sector(fdc, &st1, &st2)) {
		memset(s->buf, s->cmd[5], I82077_SECTOR);
		s->pos = I82077_SECTOR;
		fdc_submit(fdc, BLOCK_WRITE);
	} else {
		/* not a sector that the image has: lost */
		guest_error(&fdc->dev, "formatting sector %u/%u/%u, size %u", s->c, s->h, s->r,
			    s->n);
		sector_done(fdc);
	}
}

/* All bytes of the sector have come from, or gone to, the host. */
void fdc_buffer_done(struct i82077 *fdc)
{
	uint8_t id[ID_BYTES];

	if (fdc_opcode(fdc) == C_FORMAT) {
		memcpy(id, fdc->s.buf, sizeof(id));
		format_sector(fdc, id);
	} else if (fdc_is_scan(fdc_opcode(fdc))) {
		scan_over(fdc);
	} else if (fdc->s.writing) {
		fdc_submit(fdc, BLOCK_WRITE);
	} else {
		sector_done(fdc);
	}
}

static void scan_sector(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	uint8_t host[I82077_SECTOR];
	bool tc = false;
	size_t n = dma8237_read(fdc->dma, I82077_DMA, host, sizeof(host), &tc);

	memset(host + n, 0xff, sizeof(host) - n);
	s->terminal = tc;
	for (unsigned i = 0; i < I82077_SECTOR; i++)
		s->buf[i] = fdc_scan_byte(fdc_opcode(fdc), s->buf[i], host[i]);
	scan_over(fdc);
}

/* Move what can be moved now between buf and the DMA controller. */
static void run_dma(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	size_t n, want = I82077_SECTOR - s->pos;
	bool tc = false;

	if (fdc_is_scan(fdc_opcode(fdc))) {
		scan_sector(fdc);
		return;
	}
	if (!dma_ready(fdc))
		n = 0;
	else if (s->writing)
		n = dma8237_read(fdc->dma, I82077_DMA, s->buf + s->pos, want, &tc);
	else
		n = dma8237_write(fdc->dma, I82077_DMA, s->buf + s->pos, want, &tc);
	s->pos = (uint16_t)(s->pos + n);
	if (tc) {
		s->terminal = true;
		if (s->writing) /* the rest of the sector is written as zeros (DS 5.1.3) */
			memset(s->buf + s->pos, 0, I82077_SECTOR - s->pos);
		s->pos = I82077_SECTOR;
	}
	if (s->pos == I82077_SECTOR) {
		s->dma_waits = 0;
		fdc_buffer_done(fdc);
	} else if (n == 0 && ++s->dma_waits >= DMA_RETRIES) {
		fdc_fail(fdc, ST1_OR, 0);
	} else {
		s->phase = I82077_DATA;
		s->due = (int64_t)(clock_now(fdc->dev.sv->clock) + DMA_RETRY_NS);
		vtimer_arm(&fdc->timer, (ns_t)s->due);
	}
}

/* Bytes for the host, or wanted from it: by DMA, or the FIFO. */
static void start_data(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;

	s->pos = 0;
	s->dma_waits = 0;
	if (fdc_by_dma(fdc)) {
		run_dma(fdc);
	} else {
		s->phase = I82077_DATA;
		fdc_set_irq(fdc, true);
	}
}

void fdc_io_done(struct block_req *req, int res)
{
	struct i82077 *fdc = req->ctx;

	fdc->in_flight = false;
	if (fdc->s.phase != I82077_IO)
		return; /* reset meanwhile */
	if (res < 0) {
		fdc_fail(fdc, res == -EROFS ? ST1_NW : ST1_DE, 0);
		return;
	}
	if (req->op == BLOCK_WRITE || fdc_opcode(fdc) == C_VERIFY)
		sector_done(fdc);
	else
		start_data(fdc);
}

/* READ ID: the address mark that comes by next. */
static void read_id(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	const struct i82077_drive *d = fdc_drive(fdc, fdc_unit(fdc));

	s->h = s->cmd[1] & HEAD ? 1 : 0;
	if (!readable(fdc, d)) {
		s->c = s->r = s->n = 0;
		fdc_fail(fdc, ST1_MA, 0);
		return;
	}
	s->c = s->drive[fdc_unit(fdc)].cyl;
	/* The disk turns: another sector each time. */
	s->r = (uint8_t)(clock_now(fdc->dev.sv->clock) / (200 * NS_PER_MS / d->format->spt) %
				 d->format->spt +
			 1);
	s->n = 2;
	fdc_end(fdc, 0);
}

/* FORMAT TRACK: four bytes a sector from the host (DS 5.1.8). */
static void format_next(struct i82077 *fdc)
{
	uint8_t id[ID_BYTES];

	if (!fdc_by_dma(fdc))
		start_data(fdc);
	else if (dma_ready(fdc) &&
		 dma8237_read(fdc->dma, I82077_DMA, id, sizeof(id), NULL) == sizeof(id))
		format_sector(fdc, id);
	else
		fdc_fail(fdc, ST1_OR, 0);
}

bool fdc_is_write(uint8_t op)
{
	return op == C_WRITE || op == C_WRITE_DELETED || op == C_FORMAT;
}

/* The next sector is under the head. */
static void next_sector(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	struct i82077_drive *d = fdc_drive(fdc, fdc_unit(fdc));
	uint8_t op = fdc_opcode(fdc), st1, st2;

	if (op == C_READ_ID) {
		read_id(fdc);
		return;
	}
	if (fdc_is_write(op) && d && d->block && block_read_only(d->block)) {
		fdc_fail(fdc, ST1_NW, 0);
		return;
	}
	if (op == C_FORMAT) {
		if (readable(fdc, d))
			format_next(fdc);
		else
			fdc_fail(fdc, ST1_MA, 0);
		return;
	}
	/* READ TRACK takes the sectors as they come and only notes that R was another. */
	if (!fdc_find_sector(fdc, &st1, &st2)) {
		fdc_fail(fdc, st1, st2);
		return;
	}
	if (op == C_READ_DELETED && (s->cmd[0] & CMD_SK)) {
		/* normal data: skipped */
		s->st2 |= ST2_CM;
		if (advance(fdc))
			fdc_fail(fdc, ST1_EN, 0);
		else
			fdc_wait(fdc, SECTOR_NS);
		return;
	}
	if (s->writing)
		start_data(fdc);
	else
		fdc_submit(fdc, BLOCK_READ);
}

void fdc_on_timer(void *ctx)
{
	struct i82077 *fdc = ctx;

	fdc->s.due = 0;
	if (fdc->s.phase == I82077_WAIT)
		next_sector(fdc);
	else if (fdc->s.phase == I82077_DATA && fdc_by_dma(fdc))
		run_dma(fdc);
}
