/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82077AA floppy disk controller, data sheet 290166-007 ("DS"), as a PC/AT has it (mode pins:
 * AT): ports 3F2h-3F5h and 3F7h, IRQ6, DMA channel 2.
 *
 *   3f2 DOR  drive select, /reset, DMA gate, motors      3f5 FIFO
 *   3f3 TDR  tape drive (kept, no effect)                3f7 DIR (read): disk changed
 *   3f4 MSR (read), DSR (write)                          3f7 CCR (write): data rate
 *
 * A command has three phases (DS 5.0): parameters, execution, result. Data move sector by sector:
 * from the image into buf and on to the DMA controller or, with ND set, to the FIFO; and the other
 * way. The mechanics answer within SECTOR_NS and SEEK_NS instead of milliseconds, but never inside
 * the access that started them, so that interrupts come when a driver expects them.
 *
 * Images are MFM diskettes of 512-byte sectors with 1:1 interleave, numbered from 1. Anything else
 * a command asks for (sector size, FM, a data rate the medium wasn't written with, another cylinder
 * or head in the address marks) is not found, as on the real medium.
 *
 * Bounds: command, result and sector buffers are indexed by counters that the state table limits
 * and that are compared before each access.
 *
 * UNMODELLED: motors (always up to speed), rotation and step times, deleted data marks (written as
 * normal data), gap lengths, FIFO threshold (the FIFO is one sector deep, and asks for an interrupt
 * each 16 bytes), tape drives, formatting with numbers other than the image's;
 * READ ID of an empty drive fails instead of waiting for ever.
 */
#include "device/storage/i82077_internal.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

static const struct state_field drive_fields[] = {
	STATE_VAL(struct i82077_drive_regs, cyl),
	STATE_VAL(struct i82077_drive_regs, pcn),
	STATE_VAL(struct i82077_drive_regs, changed),
	STATE_VAL(struct i82077_drive_regs, seeking),
	STATE_VAL(struct i82077_drive_regs, seek_to),
	STATE_VAL(struct i82077_drive_regs, st0),
	STATE_VAL(struct i82077_drive_regs, seek_done),
	STATE_VAL(struct i82077_drive_regs, recal, .since = 2),
	STATE_END,
};
static const struct state_field i82077_fields[] = {
	STATE_VAL(struct i82077_regs, due),
	STATE_ARRAY(struct i82077_regs, seek_due),
	STATE_STRUCTS(struct i82077_regs, drive, drive_fields),
	STATE_VAL(struct i82077_regs, pos, .max = I82077_SECTOR),
	STATE_VAL(struct i82077_regs, sectors_left),
	STATE_VAL(struct i82077_regs, dor),
	STATE_VAL(struct i82077_regs, dsr),
	STATE_VAL(struct i82077_regs, ccr, .max = 3),
	STATE_VAL(struct i82077_regs, tdr, .max = 3),
	STATE_VAL(struct i82077_regs, phase, .max = I82077_PHASE_COUNT - 1),
	STATE_BYTES_OF(struct i82077_regs, cmd),
	STATE_VAL(struct i82077_regs, n_cmd, .max = 9),
	STATE_VAL(struct i82077_regs, need, .max = 9),
	STATE_BYTES_OF(struct i82077_regs, result),
	STATE_VAL(struct i82077_regs, n_result, .max = 10),
	STATE_VAL(struct i82077_regs, at_result, .max = 10),
	STATE_BYTES_OF(struct i82077_regs, specify),
	STATE_VAL(struct i82077_regs, config),
	STATE_VAL(struct i82077_regs, pretrk),
	STATE_VAL(struct i82077_regs, perp),
	STATE_VAL(struct i82077_regs, gap),
	STATE_VAL(struct i82077_regs, sc),
	STATE_VAL(struct i82077_regs, lock),
	STATE_VAL(struct i82077_regs, irq),
	STATE_VAL(struct i82077_regs, reset_sense, .max = 4),
	STATE_VAL(struct i82077_regs, c),
	STATE_VAL(struct i82077_regs, h),
	STATE_VAL(struct i82077_regs, r),
	STATE_VAL(struct i82077_regs, n),
	STATE_VAL(struct i82077_regs, eot),
	STATE_VAL(struct i82077_regs, st1),
	STATE_VAL(struct i82077_regs, st2),
	STATE_VAL(struct i82077_regs, writing),
	STATE_VAL(struct i82077_regs, terminal),
	STATE_VAL(struct i82077_regs, satisfied),
	STATE_VAL(struct i82077_regs, dma_waits),
	STATE_BYTES_OF(struct i82077_regs, buf),
	STATE_PAD(struct i82077_regs, pad_),
	STATE_END,
};
static const struct state_desc i82077_state =
	STATE_DESC("i82077", 2, struct i82077_regs, i82077_fields);

/* ---- media ---- */

enum { R500 = 1 << 0, R300 = 1 << 1, R250 = 1 << 2, R1000 = 1 << 3 };
static const struct i82077_format formats[] = {
	/* clang-format off */
	{ 160 * KIB, 40, 1,  8, R250 | R300, 1},
	{ 180 * KIB, 40, 1,  9, R250 | R300, 1},
	{ 320 * KIB, 40, 2,  8, R250 | R300, 1},
	{ 360 * KIB, 40, 2,  9, R250 | R300, 1},
	{ 720 * KIB, 80, 2,  9, R250,        3},
	{1200 * KIB, 80, 2, 15, R500,        2},
	{1440 * KIB, 80, 2, 18, R500,        4},
	{1680 * KIB, 80, 2, 21, R500,        4},
	{1722 * KIB, 82, 2, 21, R500,        4},
	{2880 * KIB, 80, 2, 36, R1000,       5},
	/* clang-format on */
};

const struct i82077_format *i82077_format_of(uint64_t bytes)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (formats[i].bytes == bytes)
			return &formats[i];
	return NULL;
}

static struct i82077 *to_fdc(struct dev *d)
{
	return CONTAINER_OF(d, struct i82077, dev);
}

uint8_t fdc_opcode(const struct i82077 *fdc)
{
	return fdc->s.cmd[0] & 0x1f;
}

/* The drive a command's second byte names; NULL when it isn't there. */
struct i82077_drive *fdc_drive(struct i82077 *fdc, unsigned n)
{
	return (n & 3) < I82077_DRIVES && fdc->drive[n & 3].present ? &fdc->drive[n & 3] : NULL;
}

unsigned fdc_unit(const struct i82077 *fdc)
{
	return fdc->s.cmd[1] & 3;
}

/* ---- interrupts and results ---- */

static void irq_update(struct i82077 *fdc)
{
	irq_set(&fdc->irq, fdc->s.irq && (fdc->s.dor & DOR_DMA));
}

void fdc_set_irq(struct i82077 *fdc, bool level)
{
	fdc->s.irq = level;
	irq_update(fdc);
}

void fdc_to_idle(struct i82077 *fdc)
{
	fdc->s.phase = I82077_IDLE;
	fdc->s.n_cmd = fdc->s.need = 0;
	fdc->s.n_result = fdc->s.at_result = 0;
}

/* The first drive whose seek ended and that nobody asked about yet, or 4. */
static unsigned seek_to_report(const struct i82077 *fdc)
{
	unsigned n = 0;

	while (n < 4 && !fdc->s.drive[n].seek_done)
		n++;
	return n;
}

/* A seek that ended while another command had the interrupt gets its own. */
static void result_read(struct i82077 *fdc)
{
	fdc_to_idle(fdc);
	if (seek_to_report(fdc) < 4)
		fdc_set_irq(fdc, true);
}

void fdc_result(struct i82077 *fdc, const uint8_t *bytes, uint8_t n, bool irq)
{
	struct i82077_regs *s = &fdc->s;

	if (!n) {
		fdc_to_idle(fdc);
		return;
	}
	memcpy(s->result, bytes, n);
	s->n_result = n;
	s->at_result = 0;
	s->phase = I82077_RESULT;
	if (irq)
		fdc_set_irq(fdc, true);
}

static void invalid(struct i82077 *fdc)
{
	fdc_result(fdc, (const uint8_t[]){ST0_INVALID}, 1, false);
}

/* The seven result bytes of what moves data. DS 5.1; where C, H, R and N end: table 5-6. */
void fdc_end(struct i82077 *fdc, uint8_t st0)
{
	struct i82077_regs *s = &fdc->s;
	uint8_t bytes[7] = {
		(uint8_t)(st0 | (s->cmd[1] & 7)), s->st1, s->st2, s->c, s->h, s->r, s->n};

	fdc_result(fdc, bytes, sizeof(bytes), true);
}

void fdc_wait(struct i82077 *fdc, ns_t ns)
{
	fdc->s.phase = I82077_WAIT;
	fdc->s.due = (int64_t)(clock_now(fdc->dev.sv->clock) + ns);
	vtimer_arm(&fdc->timer, (ns_t)fdc->s.due);
}

void fdc_fail(struct i82077 *fdc, uint8_t st1, uint8_t st2)
{
	fdc->s.st1 |= st1;
	fdc->s.st2 |= st2;
	fdc_end(fdc, ST0_ABNORMAL);
}

/* ---- commands ---- */

/* Steps of drive @n from where the controller thinks its head is to @cyl; the drive stops the head
 * at either end. A step with a diskette in the drive takes DSKCHG back (DS 2.1.7). */
static void move_head(struct i82077 *fdc, unsigned n, uint8_t cyl)
{
	struct i82077_drive_regs *d = &fdc->s.drive[n];
	const struct i82077_drive *drive = fdc_drive(fdc, n);
	int to = d->cyl + cyl - d->pcn;

	d->pcn = cyl;
	if (!drive)
		return;
	to = MAX(0, MIN(to, LAST_CYL));
	if (drive->block && d->cyl != to)
		d->changed = false;
	d->cyl = (uint8_t)to;
}

static void transfer(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	uint8_t op = fdc_opcode(fdc);

	s->c = s->cmd[2];
	s->h = s->cmd[3];
	s->r = op == C_READ_TRACK ? 1 : s->cmd[4];
	s->n = s->cmd[5];
	s->eot = s->sc = s->cmd[6];
	s->st1 = s->st2 = 0;
	s->writing = fdc_is_write(op);
	s->terminal = s->satisfied = false;
	s->sectors_left = s->cmd[8] ? s->cmd[8] : 256;
	if (op == C_READ_TRACK && s->cmd[4] != 1)
		s->st1 = ST1_ND;
	if (s->config & CFG_EIS)
		move_head(fdc, fdc_unit(fdc), s->c);
	fdc_wait(fdc, SECTOR_NS);
}

static void format(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;

	s->c = s->drive[fdc_unit(fdc)].cyl;
	s->h = s->cmd[1] & HEAD ? 1 : 0;
	s->r = 1;
	s->n = s->cmd[2];
	s->sectors_left = s->sc = s->cmd[3];
	s->gap = s->cmd[4];
	s->st1 = s->st2 = 0;
	s->writing = true;
	s->terminal = false;
	if (!s->sectors_left)
		fdc_fail(fdc, ST1_MA, 0);
	else
		fdc_wait(fdc, SECTOR_NS);
}

static void start_read_id(struct i82077 *fdc)
{
	fdc->s.st1 = fdc->s.st2 = 0;
	fdc_wait(fdc, SECTOR_NS);
}

static void start_seek(struct i82077 *fdc, unsigned n, uint8_t to)
{
	struct i82077_regs *s = &fdc->s;

	s->drive[n].seeking = true;
	s->drive[n].seek_done = s->drive[n].recal = false;
	s->drive[n].seek_to = to;
	s->seek_due[n] = (int64_t)(clock_now(fdc->dev.sv->clock) + SEEK_NS);
	vtimer_arm(&fdc->seek_timer[n], (ns_t)s->seek_due[n]);
	fdc_to_idle(fdc);
}

static void seek_ended(struct i82077 *fdc, unsigned n)
{
	struct i82077_regs *s = &fdc->s;
	struct i82077_drive_regs *d = &s->drive[n];

	s->seek_due[n] = 0;
	if (!d->seeking)
		return;
	d->seeking = false;
	d->seek_done = true;
	if (d->recal)
		d->pcn = RECAL_STEPS; /* so many steps outwards, or up to track 0 (DS 5.2.1) */
	move_head(fdc, n, d->seek_to);
	d->st0 = (uint8_t)(ST0_SEEK_END | n);
	if (d->recal && (!fdc_drive(fdc, n) || d->cyl))
		d->st0 |= ST0_ABNORMAL | ST0_EC;
	fdc_set_irq(fdc, true);
}

static void on_seek0(void *ctx)
{
	seek_ended(ctx, 0);
}
static void on_seek1(void *ctx)
{
	seek_ended(ctx, 1);
}
static void on_seek2(void *ctx)
{
	seek_ended(ctx, 2);
}
static void on_seek3(void *ctx)
{
	seek_ended(ctx, 3);
}

static void recalibrate(struct i82077 *fdc)
{
	unsigned n = fdc_unit(fdc);
	struct i82077_drive_regs *d = &fdc->s.drive[n];

	if (fdc_drive(fdc, n) && fdc->drive[n].block && d->cyl == 0)
		d->changed = false; /* the drive steps once to find track 0 from there */
	start_seek(fdc, n, 0);
	d->recal = true;
}

static void seek(struct i82077 *fdc)
{
	start_seek(fdc, fdc_unit(fdc), fdc->s.cmd[2]);
}

/* RELATIVE SEEK: byte 0 bit 6 is the direction, 1 = inwards. */
static void relative_seek(struct i82077 *fdc)
{
	const struct i82077_regs *s = &fdc->s;
	uint8_t cyl = s->drive[fdc_unit(fdc)].pcn, by = s->cmd[2];

	start_seek(fdc, fdc_unit(fdc),
		   s->cmd[0] & 0x40 ? (uint8_t)MIN(255, cyl + by)
				    : (uint8_t)(cyl > by ? cyl - by : 0));
}

static void sense_interrupt(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	unsigned n = seek_to_report(fdc);

	fdc_set_irq(fdc, false);
	/* Seeks first: programs that ask once after a reset (IBM's first BIOS) go on to seek. */
	if (n < 4) {
		s->drive[n].seek_done = false;
		fdc_result(fdc, (uint8_t[]){s->drive[n].st0, s->drive[n].pcn}, 2, false);
	} else if (s->reset_sense) {
		n = 4u - s->reset_sense--;
		fdc_result(fdc, (uint8_t[]){(uint8_t)(ST0_POLLED | n), s->drive[n].pcn}, 2, false);
	} else {
		invalid(fdc);
	}
}

static void sense_drive(struct i82077 *fdc)
{
	const struct i82077_drive *d = fdc_drive(fdc, fdc_unit(fdc));
	uint8_t st3 = (uint8_t)(ST3_ONES | (fdc->s.cmd[1] & 7));

	if (d && fdc->s.drive[fdc_unit(fdc)].cyl == 0)
		st3 |= ST3_T0;
	if (d && d->block && block_read_only(d->block))
		st3 |= ST3_WP;
	fdc_result(fdc, &st3, 1, false);
}

static void specify(struct i82077 *fdc)
{
	memcpy(fdc->s.specify, fdc->s.cmd + 1, 2);
	fdc_to_idle(fdc);
}

static void configure(struct i82077 *fdc)
{
	fdc->s.config = fdc->s.cmd[2] & 0x7f;
	fdc->s.pretrk = fdc->s.cmd[3];
	fdc_to_idle(fdc);
}

static void perpendicular(struct i82077 *fdc)
{
	/* OW (bit 7) allows the drive bits to change (DS 5.2.8). */
	if (fdc->s.cmd[1] & 0x80)
		fdc->s.perp = fdc->s.cmd[1] & 0x3f;
	else
		fdc->s.perp = (uint8_t)((fdc->s.perp & 0x3c) | (fdc->s.cmd[1] & 3));
	fdc_to_idle(fdc);
}

static void lock(struct i82077 *fdc)
{
	fdc->s.lock = fdc->s.cmd[0] & 0x80;
	fdc_result(fdc, (uint8_t[]){fdc->s.lock ? 0x10 : 0}, 1, false);
}

static void version(struct i82077 *fdc)
{
	fdc_result(fdc, (uint8_t[]){0x90}, 1, false);
}

/* DS 5.2.6 */
static void dumpreg(struct i82077 *fdc)
{
	const struct i82077_regs *s = &fdc->s;
	uint8_t b[10] = {s->drive[0].pcn, s->drive[1].pcn,
			 s->drive[2].pcn, s->drive[3].pcn,
			 s->specify[0],   s->specify[1],
			 s->sc,           (uint8_t)((s->lock ? 0x80 : 0) | s->perp),
			 s->config,       s->pretrk};

	fdc_result(fdc, b, sizeof(b), false);
}

/* DS table 5-1: the bits of the first byte that count, its value, length in bytes. */
static const struct {
	uint8_t mask, code, bytes;
	void (*run)(struct i82077 *fdc);
} commands[] = {
	/* clang-format off */
	{0x9f, C_READ_TRACK,    9, transfer},
	{0xff, C_SPECIFY,       3, specify},
	{0xff, C_SENSE_DRIVE,   2, sense_drive},
	{0x3f, C_WRITE,         9, transfer},
	{0x1f, C_READ,          9, transfer},
	{0xff, C_RECALIBRATE,   2, recalibrate},
	{0xff, C_SENSE_INT,     1, sense_interrupt},
	{0x3f, C_WRITE_DELETED, 9, transfer},
	{0xbf, C_READ_ID,       2, start_read_id},
	{0x1f, C_READ_DELETED,  9, transfer},
	{0xbf, C_FORMAT,        6, format},
	{0xff, C_DUMPREG,       1, dumpreg},
	{0xff, C_SEEK,          3, seek},
	{0xbf, 0x8f,            3, relative_seek},
	{0xff, C_VERSION,       1, version},
	{0x1f, C_SCAN_EQUAL,    9, transfer},
	{0xff, C_PERPENDICULAR, 2, perpendicular},
	{0xff, C_CONFIGURE,     4, configure},
	{0x7f, C_LOCK,          1, lock},
	{0x1f, C_VERIFY,        9, transfer},
	{0x1f, C_SCAN_LOW,      9, transfer},
	{0x1f, C_SCAN_HIGH,     9, transfer},
	/* clang-format on */
};

/* Row of the command that starts with @byte, or -1. */
static int command_of(uint8_t byte)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if ((byte & commands[i].mask) == commands[i].code)
			return (int)i;
	return -1;
}

/* ---- registers ---- */

/* A byte went through the FIFO. Without the FIFO each is an interrupt of its own (DS 5.2.7). */
static void byte_moved(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	bool done = s->pos == fdc_data_bytes(fdc);

	if (done || (s->config & CFG_NO_FIFO) || s->pos % FIFO_BYTES == 0)
		fdc_set_irq(fdc, false);
	if (done)
		fdc_buffer_done(fdc);
	else
		fdc_set_irq(fdc, true);
}

/* SCAN reads the medium and wants the host's bytes to compare (DS 5.1.6). */
static bool from_host(const struct i82077 *fdc)
{
	return fdc->s.writing || fdc_is_scan(fdc_opcode(fdc));
}

static void fifo_write(struct i82077 *fdc, uint8_t v)
{
	struct i82077_regs *s = &fdc->s;
	int row;

	if (s->phase == I82077_DATA && from_host(fdc) && !fdc_by_dma(fdc) &&
	    s->pos < fdc_data_bytes(fdc)) {
		if (fdc_is_scan(fdc_opcode(fdc)))
			v = fdc_scan_byte(fdc_opcode(fdc), s->buf[s->pos], v);
		s->buf[s->pos++] = v;
		byte_moved(fdc);
		return;
	}
	if (s->phase == I82077_IDLE) {
		memset(s->cmd, 0, sizeof(s->cmd));
		s->n_cmd = 0;
		row = command_of(v);
		if (row < 0) {
			s->cmd[0] = v;
			guest_error(&fdc->dev, "command %#x", v);
			invalid(fdc);
			return;
		}
		s->need = commands[row].bytes;
		s->phase = I82077_COMMAND;
	}
	if (s->phase != I82077_COMMAND || s->n_cmd >= sizeof(s->cmd))
		return;
	s->cmd[s->n_cmd++] = v;
	if (s->n_cmd < s->need)
		return;
	row = command_of(s->cmd[0]);
	if (row < 0)
		fdc_to_idle(fdc);
	else
		commands[row].run(fdc);
}

static uint8_t fifo_read(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;
	uint8_t v = 0;

	if (s->phase == I82077_RESULT && s->at_result < s->n_result) {
		v = s->result[s->at_result++];
		fdc_set_irq(fdc, false);
		if (s->at_result >= s->n_result)
			result_read(fdc);
	} else if (s->phase == I82077_DATA && !from_host(fdc) && !fdc_by_dma(fdc) &&
		   s->pos < I82077_SECTOR) {
		v = s->buf[s->pos++];
		byte_moved(fdc);
	}
	return v;
}

static uint8_t msr(const struct i82077 *fdc)
{
	const struct i82077_regs *s = &fdc->s;
	uint8_t v = 0;

	if (!(s->dor & DOR_RESET))
		return 0;
	for (unsigned n = 0; n < 4; n++)
		v |= (uint8_t)(s->drive[n].seeking << n);
	switch (s->phase) {
	case I82077_IDLE: v |= MSR_RQM; break;
	case I82077_COMMAND: v |= MSR_RQM | MSR_BUSY; break;
	case I82077_RESULT: v |= MSR_RQM | MSR_DIO | MSR_BUSY; break;
	case I82077_DATA:
		v |= MSR_BUSY;
		if (!fdc_by_dma(fdc))
			v |= (uint8_t)(MSR_RQM | MSR_NDM | (from_host(fdc) ? 0 : MSR_DIO));
		break;
	default: v |= MSR_BUSY | (fdc_by_dma(fdc) ? 0 : MSR_NDM);
	}
	return v;
}

static void drain(struct i82077 *fdc)
{
	for (unsigned n = 0; n < I82077_DRIVES; n++)
		if (fdc->drive[n].block)
			block_drain(fdc->drive[n].block);
}

/* Nothing of the block layer's matters any more. */
static void abandon(struct i82077 *fdc)
{
	fdc->s.phase = I82077_IDLE;
	drain(fdc);
	for (unsigned n = 0; n < I82077_DRIVES; n++)
		if (fdc->drive[n].block)
			block_abort_parked(fdc->drive[n].block);
	drain(fdc);
}

/* DOR or DSR reset: DS 2.1.2 and 4.1. With polling on, all drives report "ready changed". */
static void soft_reset(struct i82077 *fdc)
{
	struct i82077_regs *s = &fdc->s;

	abandon(fdc);
	fdc_to_idle(fdc);
	vtimer_cancel(&fdc->timer);
	s->due = 0;
	for (unsigned n = 0; n < 4; n++) {
		vtimer_cancel(&fdc->seek_timer[n]);
		s->seek_due[n] = 0;
		s->drive[n].seeking = s->drive[n].seek_done = s->drive[n].recal = false;
		s->drive[n].pcn = 0;
	}
	s->reset_sense = 0;
	if (!s->lock) {
		s->config = CFG_NO_FIFO;
		s->pretrk = 0;
	}
	s->config &= CFG_LOCKED; /* polling is enabled upon a reset (DS 7.4) */
	s->perp &= 0x3c;
	fdc_set_irq(fdc, false);
}

static void leave_reset(struct i82077 *fdc)
{
	if (fdc->s.config & CFG_NO_POLL)
		return;
	fdc->s.reset_sense = 4;
	fdc_to_idle(fdc);
	fdc->s.due = (int64_t)(clock_now(fdc->dev.sv->clock) + RESET_NS);
	vtimer_arm(&fdc->timer, (ns_t)fdc->s.due);
}

static void on_mechanics(void *ctx)
{
	struct i82077 *fdc = ctx;

	if (fdc->s.phase == I82077_IDLE && fdc->s.reset_sense == 4) {
		fdc->s.due = 0;
		fdc_set_irq(fdc, true);
		return;
	}
	fdc_on_timer(ctx);
}

static void write_dor(struct i82077 *fdc, uint8_t v)
{
	uint8_t old = fdc->s.dor;

	fdc->s.dor = v;
	if (!(v & DOR_RESET) && (old & DOR_RESET))
		soft_reset(fdc);
	else if ((v & DOR_RESET) && !(old & DOR_RESET))
		leave_reset(fdc);
	irq_update(fdc);
}

static uint64_t fdc_read(struct dev *d, uint64_t off, unsigned size)
{
	struct i82077 *fdc = to_fdc(d);
	unsigned sel = fdc->s.dor & DOR_SEL;

	(void)size;
	switch (off + P_DOR) {
	case P_DOR: return fdc->s.dor;
	case P_TDR: return fdc->s.tdr;
	case P_MSR: return msr(fdc);
	default: return fifo_read(fdc);
	case P_DIR: /* a drive that isn't selected or there pulls the line nowhere */
		return fdc_drive(fdc, sel) && fdc->s.drive[sel].changed ? DIR_CHANGED : 0;
	}
}

static uint64_t dir_read(struct dev *d, uint64_t off, unsigned size)
{
	(void)off;
	return fdc_read(d, P_DIR - P_DOR, size);
}

static void fdc_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i82077 *fdc = to_fdc(d);
	uint8_t v = (uint8_t)val;

	(void)size;
	switch (off + P_DOR) {
	case P_DOR: write_dor(fdc, v); break;
	case P_TDR: fdc->s.tdr = v & 3; break;
	case P_MSR: /* DSR */
		fdc->s.dsr = v & 0x7f;
		if (v & DSR_RESET) {
			soft_reset(fdc);
			leave_reset(fdc);
		}
		break;
	default:
		if (fdc->s.dor & DOR_RESET)
			fifo_write(fdc, v);
	}
}

static void ccr_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i82077 *fdc = to_fdc(d);

	(void)off, (void)size;
	fdc->s.ccr = val & 3;
	fdc->s.dsr =
		(uint8_t)((fdc->s.dsr & ~3) | (val & 3)); /* the later write counts (DS 2.1.6) */
}

/* ---- life ---- */

static int check_medium(const struct block *b, unsigned n, const struct i82077_format **ret_format,
			struct error *err)
{
	*ret_format = b ? i82077_format_of(block_size(b)) : NULL;
	if (b && !*ret_format)
		return error_set(
			err, -EINVAL,
			"diskette drive %u: no diskette has %llu bytes; there are 160K, 180K, "
			"320K, 360K, 720K, 1.2M, 1.44M, 1.68M, 1.72M and 2.88M",
			n, (unsigned long long)block_size(b));
	return 0;
}

int i82077_set_medium(struct i82077 *fdc, unsigned n, struct block *block, struct error *err)
{
	const struct i82077_format *f;
	int r;

	if (!fdc_drive(fdc, n))
		return error_set(err, -ENODEV, "there is no diskette drive %u", n);
	r = check_medium(block, n, &f, err);
	if (r < 0)
		return r;
	if (fdc->s.phase == I82077_IO || fdc->s.phase == I82077_DATA) {
		abandon(fdc);
		fdc_fail(fdc, ST1_ND, 0);
	}
	fdc->drive[n].block = block;
	fdc->drive[n].format = f;
	fdc->s.drive[n].changed = true;
	return 0;
}

static int i82077_realize(struct dev *d, struct error *err)
{
	static void (*const on_seek[4])(void *ctx) = {on_seek0, on_seek1, on_seek2, on_seek3};
	struct i82077 *fdc = to_fdc(d);
	int r = 0;

	if (!fdc->dma)
		return error_set(err, -EINVAL, "the diskette controller needs 'dma' wired first");
	fdc->req = (struct block_req){.done = fdc_io_done, .ctx = fdc};
	vtimer_init(&fdc->timer, d->sv->clock, on_mechanics, fdc);
	for (unsigned n = 0; n < 4; n++)
		vtimer_init(&fdc->seek_timer[n], d->sv->clock, on_seek[n], fdc);
	for (unsigned n = 0; n < I82077_DRIVES && r == 0; n++)
		r = check_medium(fdc->drive[n].block, n, &fdc->drive[n].format, err);
	return r;
}

static void cancel_timers(struct i82077 *fdc)
{
	vtimer_cancel(&fdc->timer);
	for (unsigned n = 0; n < 4; n++)
		vtimer_cancel(&fdc->seek_timer[n]);
}

static void i82077_unrealize(struct dev *d)
{
	struct i82077 *fdc = to_fdc(d);

	if (!fdc->timer.clock)
		return;
	abandon(fdc);
	cancel_timers(fdc);
}

static void i82077_reset(struct dev *d, enum dev_reset kind)
{
	struct i82077 *fdc = to_fdc(d);
	uint8_t cyl[4];

	(void)kind;
	abandon(fdc);
	cancel_timers(fdc);
	for (unsigned n = 0; n < 4; n++)
		cyl[n] = fdc->s.drive[n].cyl; /* the head stays where it is */
	fdc->s = (struct i82077_regs){.dsr = 0x02, .config = CFG_NO_FIFO, .ccr = 2};
	for (unsigned n = 0; n < 4; n++) {
		fdc->s.drive[n].cyl = cyl[n];
		fdc->s.drive[n].changed = true;
	}
	irq_update(fdc);
}

static int i82077_quiesce(struct dev *d)
{
	drain(to_fdc(d));
	return 0;
}

/* A request that was under way when the state was saved starts again. */
static void i82077_resume(struct dev *d)
{
	struct i82077 *fdc = to_fdc(d);

	if (fdc->s.phase == I82077_IO && !fdc->in_flight)
		fdc_submit(fdc, fdc->s.writing ? BLOCK_WRITE : BLOCK_READ);
}

/* In the execution phase the direction is the command's; READ ID has none. */
static bool direction_fits(const struct i82077 *fdc)
{
	const struct i82077_regs *s = &fdc->s;
	uint8_t op = fdc_opcode(fdc);

	if ((s->phase != I82077_WAIT && s->phase != I82077_IO && s->phase != I82077_DATA) ||
	    op == C_READ_ID)
		return true;
	return s->writing == fdc_is_write(op);
}

static int i82077_loaded(struct dev *d, struct error *err)
{
	struct i82077 *fdc = to_fdc(d);
	struct i82077_regs *s = &fdc->s;
	bool ids = s->phase == I82077_DATA && fdc_opcode(fdc) == C_FORMAT;
	bool fits;

	if (s->phase == I82077_IDLE)
		fdc_to_idle(fdc); /* no bytes of a command or result are left over */
	fits = !s->n_cmd || command_of(s->cmd[0]) >= 0 || s->phase == I82077_RESULT;
	cancel_timers(fdc);
	if (s->at_result > s->n_result ||
	    (s->phase == I82077_RESULT && s->at_result == s->n_result) ||
	    (s->phase == I82077_COMMAND && (!s->n_cmd || s->n_cmd >= s->need)) || !fits)
		return error_set(err, -EINVAL,
				 "diskette command of %u of %u bytes, result %u of %u", s->n_cmd,
				 s->need, s->at_result, s->n_result);
	if (!direction_fits(fdc))
		return error_set(err, -EINVAL, "diskette command %02x in the wrong direction",
				 s->cmd[0]);
	if (ids && fdc_by_dma(fdc))
		return error_set(err, -EINVAL, "formatting by DMA in the wrong phase");
	if ((s->phase == I82077_IO || s->phase == I82077_DATA) && !ids && !fdc_on_medium(fdc))
		return error_set(err, -EINVAL, "a transfer outside the diskette: %u/%u/%u", s->c,
				 s->h, s->r);
	if (s->phase == I82077_DATA && s->pos >= fdc_data_bytes(fdc))
		return error_set(err, -EINVAL, "a full sector buffer that waits for more");
	if (s->due)
		vtimer_arm(&fdc->timer, (ns_t)MAX(s->due, 0));
	for (unsigned n = 0; n < 4; n++)
		if (s->seek_due[n])
			vtimer_arm(&fdc->seek_timer[n], (ns_t)MAX(s->seek_due[n], 0));
	irq_update(fdc);
	return 0;
}

/* clang-format off */
static const struct dev_region i82077_regions[] = {
	{"fdc",     DEV_PIO, 0x3f2, 4, WIDTH_124, WIDTH_1, fdc_read, fdc_write},
	{"fdc-dir", DEV_PIO, 0x3f7, 1, WIDTH_124, WIDTH_1, dir_read, ccr_write},
	{0}};
/* clang-format on */

const struct dev_class i82077_class = {
	.name = "i82077",
	.summary = "diskette controller",
	.spec = "Intel 82077AA data sheet 290166-007",
	.size = sizeof(struct i82077),
	.regs_offset = offsetof(struct i82077, s),
	.regions = i82077_regions,
	.state = &i82077_state,
	.realize = i82077_realize,
	.unrealize = i82077_unrealize,
	.reset = i82077_reset,
	.quiesce = i82077_quiesce,
	.resume = i82077_resume,
	.loaded = i82077_loaded,
};
