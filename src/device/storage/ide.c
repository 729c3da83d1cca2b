/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An ATA channel: registers, PIO and DMA protocols. "ATA": ATA/ATAPI-7 volumes 1 and 2
 * (T13/1532D). Commands are in ata.c and atapi.c.
 *
 * A command goes through phases: IO while the block layer works (BSY), PIO_IN and PIO_OUT while the
 * host moves a data block through the data register (DRQ), DMA while the drive waits for the bus
 * master (BSY). PIO reads are read ahead and PIO writes collected in the channel's buffer, up to
 * 32 KiB for one disk request; DMA goes straight between the disk and guest RAM. What a request
 * moves is counted when it ends, so a request that is under way is a function of the registers: it
 * can be started again after a state load (ide_start_io).
 *
 * Bounds: buf_pos <= drq_end <= buf_len <= IDE_BUF at all times; lba + left is inside the medium
 * when a command is accepted and again after a load.
 */
#include "device/storage/ide.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "mem/guest.h"

enum { CTRL_NIEN = 0x02, CTRL_SRST = 0x04, CTRL_HOB = 0x80 };
enum { DEV_DEV = 0x10 };
enum { FLOATING = 0x7f }; /* DD7 has a pull-down, the others pull-ups (ATA vol. 2, 4.3) */
enum { CMD_PACKET = 0xa0, CMD_DEVICE_RESET = 0x08 };
enum { TRIM_ENTRY = 8 };
#define READY (ATA_DRDY | ATA_DSC)

static const struct state_field ide_drive_fields[] = {
	STATE_ARRAY(struct ide_drive_regs, feature),
	STATE_ARRAY(struct ide_drive_regs, count),
	STATE_ARRAY(struct ide_drive_regs, lba_low),
	STATE_ARRAY(struct ide_drive_regs, lba_mid),
	STATE_ARRAY(struct ide_drive_regs, lba_high),
	STATE_VAL(struct ide_drive_regs, device),
	STATE_VAL(struct ide_drive_regs, status),
	STATE_VAL(struct ide_drive_regs, error),
	STATE_VAL(struct ide_drive_regs, multiple, .max = MULTIPLE_MAX),
	STATE_VAL(struct ide_drive_regs, heads, .min = 1, .max = 16),
	STATE_VAL(struct ide_drive_regs, spt, .min = 1, .max = 255),
	STATE_VAL(struct ide_drive_regs, xfer_mode),
	STATE_VAL(struct ide_drive_regs, write_cache),
	STATE_VAL(struct ide_drive_regs, smart, .since = 2),
	STATE_VAL(struct ide_drive_regs, irq),
	STATE_VAL(struct ide_drive_regs, power, .max = 2),
	STATE_PAD(struct ide_drive_regs, pad_),
	STATE_STRUCT(struct ide_drive_regs, lu, scsi_lu_regs_fields, .since = 2),
	STATE_END,
};

const struct state_field ide_channel_regs_fields[] = {
	STATE_STRUCTS(struct ide_channel_regs, drive, ide_drive_fields),
	STATE_VAL(struct ide_channel_regs, lba),
	STATE_VAL(struct ide_channel_regs, left),
	STATE_VAL(struct ide_channel_regs, in_io),
	STATE_VAL(struct ide_channel_regs, buf_len, .max = IDE_BUF),
	STATE_VAL(struct ide_channel_regs, buf_pos, .max = IDE_BUF),
	STATE_VAL(struct ide_channel_regs, drq_end, .max = IDE_BUF),
	STATE_VAL(struct ide_channel_regs, range),
	STATE_VAL(struct ide_channel_regs, unit, .min = IDE_SECTOR, .max = CD_SECTOR),
	STATE_VAL(struct ide_channel_regs, limit),
	STATE_VAL(struct ide_channel_regs, block),
	STATE_VAL(struct ide_channel_regs, phase, .max = IDE_PHASE_COUNT - 1),
	STATE_VAL(struct ide_channel_regs, op, .max = IDE_OP_COUNT - 1),
	STATE_VAL(struct ide_channel_regs, active, .max = 1),
	STATE_VAL(struct ide_channel_regs, control),
	STATE_VAL(struct ide_channel_regs, command),
	STATE_VAL(struct ide_channel_regs, dma),
	STATE_VAL(struct ide_channel_regs, fua),
	STATE_BYTES_OF(struct ide_channel_regs, packet),
	STATE_PAD(struct ide_channel_regs, pad_),
	STATE_BYTES_OF(struct ide_channel_regs, buf),
	STATE_END,
};

/* ---- small parts ---- */

unsigned ide_selected(const struct ide_channel *ch)
{
	return ch->s->drive[0].device & DEV_DEV ? 1 : 0;
}

struct ide_drive_regs *ide_active(struct ide_channel *ch)
{
	return &ch->s->drive[ch->s->active & 1];
}

struct ide_drive *ide_active_drive(struct ide_channel *ch)
{
	return &ch->drive[ch->s->active & 1];
}

/* INTRQ is the selected drive's, unless nIEN (ATA vol. 2, 4.2.8). */
void ide_irq_update(struct ide_channel *ch)
{
	const struct ide_drive_regs *d = &ch->s->drive[ide_selected(ch)];
	bool level = d->irq && !(ch->s->control & CTRL_NIEN);

	if (level == ch->irq.level)
		return;
	irq_set(&ch->irq, level);
	if (ch->dma.intrq)
		ch->dma.intrq(ch->dma.ctx, level);
}

void ide_interrupt(struct ide_channel *ch)
{
	ide_active(ch)->irq = true;
	ide_irq_update(ch);
}

void ide_end(struct ide_channel *ch, uint8_t status, uint8_t error)
{
	struct ide_drive_regs *d = ide_active(ch);

	ch->s->phase = IDE_IDLE;
	ch->s->op = IDE_OP_NONE;
	ch->s->left = ch->s->in_io = 0;
	ch->s->buf_len = ch->s->buf_pos = ch->s->drq_end = 0;
	d->status = status;
	d->error = error;
	ide_interrupt(ch);
}

void ide_end_ok(struct ide_channel *ch)
{
	ide_end(ch, READY, 0);
}

void ide_abort(struct ide_channel *ch)
{
	ide_end(ch, READY | ATA_ERR, ATA_ABRT);
}

void ide_present(struct ide_channel *ch, bool out, bool irq)
{
	struct ide_drive_regs *d = ide_active(ch);

	ch->s->phase = out ? IDE_PIO_OUT : IDE_PIO_IN;
	d->status = (uint8_t)((d->status & ~(ATA_BSY | ATA_ERR)) | ATA_DRDY | ATA_DRQ);
	if (!ide_active_drive(ch)->cdrom)
		d->status |= ATA_DSC;
	if (irq)
		ide_interrupt(ch);
}

/* ---- disk requests ---- */

/* A reply or a parameter list by DMA: between buf and guest memory. */
static void dma_buffer(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	bool in = s->op == IDE_OP_REPLY;

	while (s->buf_pos < s->buf_len) {
		int n;
		int64_t got = ch->dma.running(ch->dma.ctx)
				      ? ch->dma.take(ch->dma.ctx, in, s->buf_len - s->buf_pos, 2,
						     ch->iov, &n)
				      : 0;

		if (got <= 0) {
			s->phase = IDE_DMA;
			return;
		}
		for (int i = 0; i < n; i++) {
			size_t len = MIN(ch->iov[i].iov_len, (size_t)(s->buf_len - s->buf_pos));

			if (in)
				guest_copy_bulk(ch->iov[i].iov_base, s->buf + s->buf_pos, len);
			else
				guest_copy_bulk(s->buf + s->buf_pos, ch->iov[i].iov_base, len);
			s->buf_pos += (uint32_t)len;
		}
		ch->dma.commit(ch->dma.ctx);
	}
	if (in)
		atapi_end(ch, 0, 0, 0);
	else if (s->op == IDE_OP_PARAMS)
		atapi_params(ch);
	else
		ide_start_io(ch);
}

static void submit(struct ide_channel *ch, enum block_op op, uint64_t off, uint64_t len, int niov)
{
	if (!ide_active_drive(ch)->block) { /* the medium has gone meanwhile */
		ide_abort(ch);
		return;
	}
	ch->s->phase = IDE_IO;
	ide_active(ch)->status = ATA_BSY;
	ch->in_flight = true;
	ch->req.op = op;
	ch->req.off = off;
	ch->req.len = len;
	ch->req.iov = ch->iov;
	ch->req.niov = niov;
	ch->req.fua = op == BLOCK_WRITE && (ch->s->fua || !ide_active(ch)->write_cache);
	block_submit(ide_active_drive(ch)->block, &ch->req);
}

/* READ and WRITE by bus mastering. */
static void start_dma_io(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	bool in = s->op == IDE_OP_READ;
	int64_t bytes;
	int n;

	ide_active(ch)->status = ATA_BSY;
	s->phase = IDE_DMA;
	if (!ch->dma.running || !ch->dma.running(ch->dma.ctx))
		return;
	bytes = ch->dma.take(ch->dma.ctx, in, (uint64_t)s->left * s->unit, s->unit, ch->iov, &n);
	if (bytes <= 0) { /* the list is too short or bad: the drive waits for more (or a reset) */
		if (ch->dma.dry)
			ch->dma.dry(ch->dma.ctx);
		return;
	}
	s->in_io = (uint32_t)(bytes / s->unit);
	submit(ch, in ? BLOCK_READ : BLOCK_WRITE, s->lba * s->unit, (uint64_t)bytes, n);
}

/* The next range of TRIM that isn't empty. Entries: LBA in bits 47:0, count above (ATA-8 ACS). */
static void start_trim(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	struct ide_drive *dr = ide_active_drive(ch);

	for (; s->range < s->buf_len / TRIM_ENTRY; s->range++) {
		uint64_t e = ld_le64(s->buf + s->range * TRIM_ENTRY);
		uint64_t lba = e & 0xffffffffffffull, n = e >> 48;

		if (!n)
			continue;
		if (lba >= dr->sectors || n > dr->sectors - lba) {
			ide_end(ch, READY | ATA_ERR, ATA_IDNF | ATA_ABRT);
			return;
		}
		if (!block_can_discard(dr->block))
			continue; /* a hint */
		submit(ch, BLOCK_DISCARD, lba * IDE_SECTOR, n * IDE_SECTOR, 0);
		return;
	}
	ide_end_ok(ch);
}

void ide_start_io(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	uint64_t off = s->lba * s->unit;
	uint32_t n;

	switch (s->op) {
	case IDE_OP_FLUSH: submit(ch, BLOCK_FLUSH, 0, 0, 0); return;
	case IDE_OP_TRIM: start_trim(ch); return;
	case IDE_OP_READ:
		if (s->dma) {
			start_dma_io(ch);
			return;
		}
		n = MIN(s->left, IDE_BUF / s->unit);
		if (!n) {
			ide_abort(ch);
			return;
		}
		s->in_io = n;
		ch->iov[0] = (struct iovec){.iov_base = s->buf, .iov_len = (size_t)n * s->unit};
		submit(ch, BLOCK_READ, off, (uint64_t)n * s->unit, 1);
		return;
	case IDE_OP_WRITE:
		if (s->dma) {
			start_dma_io(ch);
			return;
		}
		s->in_io = s->buf_pos / s->unit;
		if (!s->in_io) { /* a loaded state could say so */
			ide_abort(ch);
			return;
		}
		n = s->in_io * s->unit;
		ch->iov[0] = (struct iovec){.iov_base = s->buf, .iov_len = n};
		submit(ch, BLOCK_WRITE, off, n, 1);
		return;
	default: ide_abort(ch);
	}
}

/* The next DRQ data block of a disk's PIO read. */
static void present_in(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;

	s->drq_end = MIN(s->buf_pos + s->block * IDE_SECTOR, s->buf_len);
	ide_present(ch, false, true);
}

void ide_present_out(struct ide_channel *ch, bool irq)
{
	struct ide_channel_regs *s = ch->s;
	uint32_t n = MIN((uint32_t)s->block, s->left);

	s->left -= n; /* from here on it counts as in the buffer */
	s->drq_end = s->buf_pos + n * IDE_SECTOR;
	s->buf_len = s->drq_end;
	ide_present(ch, true, irq);
}

static void io_failed(struct ide_channel *ch, int result)
{
	struct ide_channel_regs *s = ch->s;
	bool in = s->op == IDE_OP_READ;

	if (ide_active_drive(ch)->cdrom) {
		atapi_end(ch, 0x03, 0x11, 0x00); /* medium error: unrecovered read error */
		return;
	}
	if (s->op == IDE_OP_READ || s->op == IDE_OP_WRITE)
		ata_set_lba(ide_active(ch), s->lba, s->command);
	if (in)
		ide_end(ch, READY | ATA_ERR, ATA_UNC);
	else
		ide_end(ch, READY | ATA_ERR | (result == -EROFS ? 0 : ATA_DF), ATA_ABRT);
}

static void read_done(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	bool cd = ide_active_drive(ch)->cdrom;

	s->lba += s->in_io;
	s->left -= MIN(s->in_io, s->left);
	if (s->dma) {
		s->in_io = 0;
		if (s->left)
			ide_start_io(ch);
		else if (cd)
			atapi_end(ch, 0, 0, 0);
		else
			ide_end_ok(ch);
		return;
	}
	s->buf_len = s->in_io * s->unit;
	s->buf_pos = 0;
	s->in_io = 0;
	if (cd)
		atapi_next_block(ch);
	else
		present_in(ch);
}

static void write_done(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;

	s->lba += s->in_io;
	if (s->dma)
		s->left -= MIN(s->in_io, s->left);
	s->in_io = 0;
	s->buf_pos = s->buf_len = s->drq_end = 0;
	if (!s->left)
		ide_end_ok(ch);
	else if (s->dma)
		ide_start_io(ch);
	else
		ide_present_out(ch, true);
}

static void request_done(struct block_req *req, int result)
{
	struct ide_channel *ch = req->ctx;
	struct ide_channel_regs *s = ch->s;

	ch->in_flight = false;
	if (s->phase != IDE_IO)
		return; /* the channel was reset meanwhile */
	if (s->dma && (s->op == IDE_OP_READ || s->op == IDE_OP_WRITE))
		ch->dma.commit(ch->dma.ctx);
	if (result < 0 && s->op != IDE_OP_TRIM) {
		io_failed(ch, result);
		return;
	}
	switch (s->op) {
	case IDE_OP_READ: read_done(ch); break;
	case IDE_OP_WRITE: write_done(ch); break;
	case IDE_OP_TRIM:
		s->range++;
		start_trim(ch);
		break;
	default: ide_end_ok(ch);
	}
}

void ide_dma_kick(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;

	if (s->phase != IDE_DMA)
		return;
	if (s->op == IDE_OP_READ || s->op == IDE_OP_WRITE)
		ide_start_io(ch);
	else if (ch->dma.running)
		dma_buffer(ch);
}

/* ---- the data register ---- */

/* The host has read a whole DRQ data block. */
static void block_read(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;
	struct ide_drive_regs *d = ide_active(ch);

	if (s->command == CMD_PACKET) {
		atapi_next_block(ch);
	} else if (s->buf_pos < s->buf_len) {
		present_in(ch);
	} else if (s->op == IDE_OP_READ && s->left) {
		ide_start_io(ch);
	} else { /* the last block: no interrupt follows (ATA vol. 2, 9.5) */
		s->phase = IDE_IDLE;
		s->op = IDE_OP_NONE;
		d->status = ide_active_drive(ch)->cdrom ? ATA_DRDY : READY;
	}
}

/* The host has written a whole one. */
static void block_written(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;

	switch (s->op) {
	case IDE_OP_WRITE:
		if (s->left && s->buf_pos + s->block * IDE_SECTOR <= IDE_BUF)
			ide_present_out(ch, true);
		else
			ide_start_io(ch);
		break;
	case IDE_OP_PACKET:
		memcpy(s->packet, s->buf, sizeof(s->packet));
		atapi_packet(ch);
		break;
	case IDE_OP_PARAMS:
		if (s->buf_pos < s->buf_len)
			atapi_next_block(ch);
		else
			atapi_params(ch);
		break;
	default: ide_end_ok(ch);
	}
}

uint8_t *ide_block(struct ide_channel *ch, uint32_t *ret_len, bool *ret_out)
{
	struct ide_channel_regs *s = ch->s;

	if (s->phase != IDE_PIO_IN && s->phase != IDE_PIO_OUT)
		return NULL;
	*ret_out = s->phase == IDE_PIO_OUT;
	*ret_len = s->drq_end - s->buf_pos;
	return s->buf + s->buf_pos;
}

void ide_block_done(struct ide_channel *ch)
{
	struct ide_channel_regs *s = ch->s;

	s->buf_pos = s->drq_end;
	if (s->phase == IDE_PIO_IN)
		block_read(ch);
	else if (s->phase == IDE_PIO_OUT)
		block_written(ch);
}

static uint32_t data_read(struct ide_channel *ch, unsigned size)
{
	struct ide_channel_regs *s = ch->s;
	uint32_t val;

	if (s->phase != IDE_PIO_IN || s->active != ide_selected(ch))
		return 0;
	if (size < 2)
		size = 2;
	if (s->drq_end - s->buf_pos < size)
		size = s->drq_end - s->buf_pos; /* bus and buffer sizes are even, so is this */
	val = (uint32_t)ld_le(s->buf + s->buf_pos, size);
	s->buf_pos += size;
	if (s->buf_pos >= s->drq_end)
		block_read(ch);
	return val;
}

static void data_write(struct ide_channel *ch, unsigned size, uint32_t val)
{
	struct ide_channel_regs *s = ch->s;

	if (s->phase != IDE_PIO_OUT || s->active != ide_selected(ch))
		return;
	if (size < 2)
		size = 2;
	if (s->drq_end - s->buf_pos < size)
		size = s->drq_end - s->buf_pos;
	st_le(s->buf + s->buf_pos, size, val);
	s->buf_pos += size;
	if (s->buf_pos >= s->drq_end)
		block_written(ch);
}

/* ---- registers ---- */

uint8_t ide_control_read(struct ide_channel *ch)
{
	unsigned n = ide_selected(ch);

	if (!ch->drive[n].present)
		return ch->drive[0].present ? 0 : FLOATING;
	return ch->s->drive[n].status;
}

/* An absent device 1 is answered for by device 0 with status 0 (ATA vol. 1, 5.14). */
uint32_t ide_command_read(struct ide_channel *ch, unsigned off, unsigned size)
{
	unsigned n = ide_selected(ch), i = ch->s->control & CTRL_HOB ? 1 : 0;
	struct ide_drive_regs *d = &ch->s->drive[n];

	if (off == 0)
		return data_read(ch, size);
	if (!ch->drive[n].present && !(n == 1 && ch->drive[0].present))
		return FLOATING;
	switch (off) {
	case 1: return d->error;
	case 2: return d->count[i];
	case 3: return d->lba_low[i];
	case 4: return d->lba_mid[i];
	case 5: return d->lba_high[i];
	case 6: return d->device;
	default:
		if (!ch->drive[n].present)
			return 0;
		d->irq = false;
		ide_irq_update(ch);
		return d->status;
	}
}

static void push(uint8_t *fifo, uint8_t val)
{
	fifo[1] = fifo[0];
	fifo[0] = val;
}

void ide_command_write(struct ide_channel *ch, unsigned off, unsigned size, uint32_t val)
{
	struct ide_channel_regs *s = ch->s;
	uint8_t v = (uint8_t)val;

	s->control &= (uint8_t)~CTRL_HOB;
	if (off == 0) {
		data_write(ch, size, val);
		return;
	}
	if (s->phase == IDE_IO || s->phase == IDE_DMA) {
		/* Writes while BSY go nowhere; DEVICE RESET is for this. */
		if (off != 7 || v != CMD_DEVICE_RESET || !ch->drive[ide_selected(ch)].cdrom)
			return;
	}
	if (off == 7) {
		if (!(s->control & CTRL_SRST))
			ata_command(ch, v);
		return;
	}
	for (unsigned n = 0; n < 2; n++) {
		struct ide_drive_regs *d = &s->drive[n];

		switch (off) {
		case 1: push(d->feature, v); break;
		case 2: push(d->count, v); break;
		case 3: push(d->lba_low, v); break;
		case 4: push(d->lba_mid, v); break;
		case 5: push(d->lba_high, v); break;
		case 6: d->device = v; break;
		}
	}
	if (off == 6)
		ide_irq_update(ch);
}

static void drive_reset(struct ide_channel *ch, unsigned n, bool hard)
{
	struct ide_drive_regs *d = &ch->s->drive[n];
	struct ide_drive_regs old = *d;

	*d = (struct ide_drive_regs){
		.heads = 16, .spt = 63, .write_cache = true, .smart = true, .lu = old.lu};
	if (!hard) { /* settings survive a software reset (ATA vol. 1, 6.48) */
		d->heads = old.heads ? old.heads : 16;
		d->spt = old.spt ? old.spt : 63;
		d->multiple = old.multiple;
		d->xfer_mode = old.xfer_mode;
		d->write_cache = old.write_cache;
		d->smart = old.smart;
	}
	if (ch->drive[n].cdrom)
		scsi_lu_reset(&ch->drive[n].lu, hard);
	ata_set_signature(ch, n);
	if (!ch->drive[n].present)
		return;
	d->error = 0x01;
	d->status = ch->drive[n].cdrom ? 0 : READY;
}

static void reset_drives(struct ide_channel *ch, bool hard)
{
	struct ide_channel_regs *s = ch->s;

	ide_channel_done(ch);
	s->phase = IDE_IDLE;
	s->op = IDE_OP_NONE;
	s->active = 0;
	s->unit = IDE_SECTOR;
	s->left = s->in_io = s->buf_len = s->buf_pos = s->drq_end = 0;
	for (unsigned n = 0; n < 2; n++)
		drive_reset(ch, n, hard);
	ide_irq_update(ch);
}

void ide_control_write(struct ide_channel *ch, uint8_t val)
{
	uint8_t old = ch->s->control;

	ch->s->control = val & (CTRL_NIEN | CTRL_SRST | CTRL_HOB);
	if ((val & CTRL_SRST) && !(old & CTRL_SRST)) {
		reset_drives(ch, false);
		for (unsigned n = 0; n < 2; n++)
			ch->s->drive[n].status = ATA_BSY;
	} else if (!(val & CTRL_SRST) && (old & CTRL_SRST)) {
		for (unsigned n = 0; n < 2; n++)
			ch->s->drive[n].status = ch->drive[n].cdrom ? 0 : READY;
	}
	ide_irq_update(ch);
}

/* ---- life ---- */

static void measure(struct ide_drive *d)
{
	d->sectors = d->block ? block_size(d->block) / (d->cdrom ? CD_SECTOR : IDE_SECTOR) : 0;
	/* 48-bit addresses end before 2^48. */
	d->sectors = MIN(d->sectors, (1ull << 48) - 1);
}

static int init_drive(struct ide_channel *ch, unsigned n, struct error *err)
{
	struct ide_drive *d = &ch->drive[n];

	if (d->present && !d->cdrom && !d->block)
		return error_set(err, -EINVAL, "'%s': IDE disk %u has no back end", ch->dev->id, n);
	measure(d);
	if (!d->model[0])
		snprintf(d->model, sizeof(d->model), "%s",
			 d->cdrom ? "BOTHY DVD-ROM" : "BOTHY HARDDISK");
	if (!d->cdrom)
		return 0;
	d->lu = (struct scsi_lu){.kind = SCSI_CD, .block = d->block, .atapi = true};
	_Static_assert(sizeof(d->lu.serial) == sizeof(d->serial), "serial numbers");
	memcpy(d->lu.serial, d->serial, sizeof(d->serial));
	return scsi_lu_init(&d->lu, &ch->s->drive[n].lu, err);
}

int ide_plug(struct ide_channel *ch, bool present, struct error *err)
{
	int r = 0;

	if (present) {
		ch->drive[0].present = true;
		r = init_drive(ch, 0, err);
		if (r == 0)
			ide_channel_reset(ch);
	} else {
		ide_channel_reset(ch);
	}
	if (!present || r < 0) {
		ch->drive[0] = (struct ide_drive){0};
		drive_reset(ch, 0, true);
	}
	return r;
}

int ide_channel_init(struct ide_channel *ch, struct dev *dev, struct ide_channel_regs *s,
		     struct error *err)
{
	int r = 0;

	ch->dev = dev;
	ch->s = s;
	s->unit = IDE_SECTOR;
	ch->req = (struct block_req){.done = request_done, .ctx = ch};
	for (unsigned n = 0; n < 2 && r == 0; n++)
		r = init_drive(ch, n, err);
	return r;
}

void ide_channel_drain(struct ide_channel *ch)
{
	for (unsigned n = 0; n < 2; n++)
		if (ch->drive[n].block)
			block_drain(ch->drive[n].block);
}

void ide_channel_done(struct ide_channel *ch)
{
	if (!ch->s)
		return;
	ch->s->phase = IDE_IDLE; /* what ends now is of no interest */
	for (unsigned n = 0; n < 2; n++) {
		struct block *b = ch->drive[n].block;

		if (!b)
			continue;
		block_drain(b);
		block_abort_parked(b);
		block_drain(b);
	}
}

void ide_channel_reset(struct ide_channel *ch)
{
	reset_drives(ch, true);
	ch->s->control = 0;
	memset(ch->s->packet, 0, sizeof(ch->s->packet));
	ide_irq_update(ch);
}

/* A transfer from the disc of drive @n ends as if the door had been opened. */
static void give_up_disc(struct ide_channel *ch, unsigned n)
{
	ide_channel_drain(ch);
	if (ch->s->active == n && ch->s->phase != IDE_IDLE &&
	    (ch->s->op == IDE_OP_READ || ch->s->op == IDE_OP_FLUSH))
		atapi_end(ch, SCSI_KEY_NOT_READY, SCSI_ASC_NO_MEDIUM, 0);
}

void ide_set_medium(struct ide_channel *ch, unsigned n, struct block *block)
{
	struct ide_drive *d = &ch->drive[n & 1];

	if (!d->cdrom)
		return;
	give_up_disc(ch, n & 1);
	d->block = block;
	measure(d);
	scsi_set_medium(&d->lu, block);
}

void ide_open_tray(struct ide_channel *ch, unsigned n)
{
	if (!ch->drive[n & 1].cdrom)
		return;
	give_up_disc(ch, n & 1);
	scsi_open_tray(&ch->drive[n & 1].lu);
}

bool ide_tray_open(const struct ide_channel *ch, unsigned n)
{
	return ch->s->drive[n & 1].lu.tray_open;
}

bool ide_tray_locked(const struct ide_channel *ch, unsigned n)
{
	return ch->s->drive[n & 1].lu.locked;
}

void ide_channel_resume(struct ide_channel *ch)
{
	if (ch->s->phase == IDE_IO && !ch->in_flight)
		ide_start_io(ch);
}

/* What DMA moves: sectors, and the contents of buf. */
static bool moves_by_dma(uint8_t op)
{
	return op == IDE_OP_READ || op == IDE_OP_WRITE || op == IDE_OP_REPLY ||
	       op == IDE_OP_PARAMS || op == IDE_OP_TRIM;
}

int ide_channel_loaded(struct ide_channel *ch, struct error *err)
{
	struct ide_channel_regs *s = ch->s;
	const struct ide_drive *dr = ide_active_drive(ch);
	bool rw = s->op == IDE_OP_READ || s->op == IDE_OP_WRITE;
	uint64_t held = s->op == IDE_OP_WRITE && !s->dma ? s->buf_len / IDE_SECTOR : 0;

	if (s->unit != (dr->cdrom && rw ? CD_SECTOR : IDE_SECTOR) && rw)
		return error_set(err, -EINVAL, "a sector of %u bytes on this drive", s->unit);
	if (s->buf_pos > s->drq_end || s->drq_end > s->buf_len || ((s->buf_pos | s->buf_len) & 1) ||
	    (s->drq_end & 1) || s->in_io > s->left + IDE_BUF / IDE_SECTOR)
		return error_set(err, -EINVAL,
				 "the transfer buffer's positions contradict each other");
	if ((s->phase == IDE_PIO_IN || s->phase == IDE_PIO_OUT) && s->buf_pos == s->drq_end)
		return error_set(err, -EINVAL, "a data block of no bytes");
	if (s->phase != IDE_IDLE &&
	    (!dr->present || s->op == IDE_OP_NONE || (rw && !dr->block) ||
	     (s->op == IDE_OP_FLUSH && !dr->block) || (s->op == IDE_OP_TRIM && dr->cdrom)))
		return error_set(err, -EINVAL, "a transfer without a drive for it");
	if (s->phase == IDE_DMA && !moves_by_dma(s->op))
		return error_set(err, -EINVAL, "DMA for an operation that has none");
	if (!dr->cdrom && s->phase != IDE_IDLE &&
	    (s->command == CMD_PACKET || s->op == IDE_OP_PACKET || s->op == IDE_OP_PARAMS))
		return error_set(err, -EINVAL, "a packet command of a disk");
	if (rw && s->phase != IDE_IDLE &&
	    (s->lba > dr->sectors || s->left + held > dr->sectors - s->lba ||
	     (s->op == IDE_OP_WRITE && (dr->cdrom || block_read_only(dr->block)))))
		return error_set(err, -EINVAL, "a transfer outside the disk");
	if (dr->cdrom && rw && s->phase != IDE_IDLE && s->command != CMD_PACKET)
		return error_set(err, -EINVAL, "a CD drive reads by packet commands only");
	if (!dr->cdrom && rw && !s->dma && s->phase != IDE_IDLE &&
	    (!s->block || s->block > MULTIPLE_MAX || s->buf_len % IDE_SECTOR))
		return error_set(err, -EINVAL, "data blocks of %u sectors", s->block);
	s->limit &= 0xfffe;
	ide_irq_update(ch);
	return 0;
}
