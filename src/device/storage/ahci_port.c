/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AHCI: what a port does with commands (ahci.h). "AHCI": Serial ATA AHCI 1.3.1; "SATA": Serial ATA
 * 2.6 (FISes 10.3, native queuing 13.6).
 *
 * Other than queued commands go through the port's ide_channel, as if a host wrote its registers:
 * ahci_port_run() takes one from PxCI, moves the PIO blocks that the drive presents, and ends the
 * command when the channel is idle again. The channel's interrupt is what calls it when the block
 * layer has finished. READ and WRITE FPDMA QUEUED go to the block layer from here, up to 32 at a
 * time. After an error of a command the port is halted until PxCMD.ST goes to 0 (AHCI 6.2.2).
 *
 * A scatter list is read as it is used, each entry copied first; its position moves when a request
 * ends, so a request that was under way when the VM was saved can be done again.
 */
#include "device/storage/ahci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum {
	FIS_REG_H2D = 0x27,
	FIS_REG_D2H = 0x34,
	FIS_PIO_SETUP = 0x5f,
	FIS_DEV_BITS = 0xa1,
	FIS_INTERRUPT = 0x40,
	FIS_TO_HOST = 0x20,
};
/* Where received FISes go (AHCI 4.2.1). */
enum { RFIS_PIO = 0x20, RFIS_REG = 0x40, RFIS_BITS = 0x58 };
enum { HEADER = 32, CFIS = 64, ACMD_FROM_TABLE = 0x40, PRDT = 0x80, PRD = 16 };
enum { READ_QUEUED = 0x60, WRITE_QUEUED = 0x61 };
enum { SRST = 0x04 };
#define READY (ATA_DRDY | ATA_DSC)

static struct ide_drive_regs *drive_regs(struct ahci_port *p)
{
	return &p->r->ch.drive[0];
}

/* A fatal error of the host's memory: AHCI 6.2.2.2. */
static void host_error(struct ahci_port *p, gpa_t at)
{
	guest_error(&p->hba->dev, "port %u: %#llx is not RAM", p->n, (unsigned long long)at);
	p->r->halted = true;
	ahci_interrupt(p, AHCI_IS_HBFS);
}

/* ---- received FISes ---- */

static void receive(struct ahci_port *p, unsigned where, const uint8_t *fis, size_t len)
{
	if ((p->r->cmd & AHCI_CMD_FRE) && dma_write(&p->hba->dev, p->r->fb + where, fis, len) < 0)
		guest_error(&p->hba->dev, "port %u: received FIS at %#llx, which is not RAM", p->n,
			    (unsigned long long)p->r->fb);
}

static void put_registers(struct ahci_port *p, uint8_t *fis)
{
	const struct ide_drive_regs *d = drive_regs(p);

	fis[2] = d->status;
	fis[3] = d->error;
	for (unsigned i = 0; i < 2; i++) {
		fis[4 + 4 * i] = d->lba_low[i];
		fis[5 + 4 * i] = d->lba_mid[i];
		fis[6 + 4 * i] = d->lba_high[i];
		fis[12 + i] = d->count[i];
	}
	fis[7] = d->device;
}

/* Register FIS; SATA 10.3.6. */
static void send_registers(struct ahci_port *p, bool interrupt)
{
	uint8_t fis[20] = {FIS_REG_D2H, interrupt ? FIS_INTERRUPT : 0};

	put_registers(p, fis);
	p->r->tfd = (uint16_t)(fis[2] | fis[3] << 8);
	receive(p, RFIS_REG, fis, sizeof(fis));
	if (interrupt)
		ahci_interrupt(p, AHCI_IS_DHRS);
}

/* PIO Setup FIS for a block of @len bytes; SATA 10.3.11. */
static void send_pio_setup(struct ahci_port *p, uint32_t len, bool out, bool interrupt)
{
	uint8_t fis[20] = {FIS_PIO_SETUP,
			   (uint8_t)((out ? 0 : FIS_TO_HOST) | (interrupt ? FIS_INTERRUPT : 0))};

	put_registers(p, fis);
	fis[15] = (uint8_t)(fis[2] & ~ATA_DRQ);
	st_le16(fis + 16, (uint16_t)len);
	receive(p, RFIS_PIO, fis, sizeof(fis));
	if (interrupt)
		ahci_interrupt(p, AHCI_IS_PSS);
}

/* Set Device Bits FIS; SATA 10.3.7. */
static void send_bits(struct ahci_port *p, uint8_t status, uint8_t error, uint32_t finished)
{
	uint8_t fis[8] = {FIS_DEV_BITS, FIS_INTERRUPT, status & 0x77, error};

	st_le32(fis + 4, finished);
	receive(p, RFIS_BITS, fis, sizeof(fis));
	p->r->tfd = (uint16_t)((p->r->tfd & (ATA_BSY | ATA_DRQ)) | (status & 0x77) | error << 8);
	p->r->sact &= ~finished;
}

void ahci_port_link_up(struct ahci_port *p)
{
	const struct ide_drive_regs *d = drive_regs(p);

	p->r->sig = (uint32_t)d->lba_high[0] << 24 | (uint32_t)d->lba_mid[0] << 16 |
		    (uint32_t)d->lba_low[0] << 8 | d->count[0];
	send_registers(p, false);
}

/* ---- scatter lists (AHCI 4.2.3.3) ---- */

/* Entry @i of the list at @table: 0 or -EFAULT. */
static int read_prd(struct ahci_port *p, gpa_t table, uint32_t i, uint64_t *ret_at,
		    uint32_t *ret_len, bool *ret_interrupt)
{
	uint8_t prd[PRD];
	uint32_t v;

	if (dma_read(&p->hba->dev, table + (gpa_t)i * PRD, prd, sizeof(prd)) < 0)
		return -EFAULT;
	v = ld_le32(prd + 12);
	*ret_at = ld_le64(prd) & ~1ull;
	*ret_len = (v & 0x3fffff) + 1;
	*ret_interrupt = v >> 31;
	return 0;
}

/* At most @max bytes from the list's position on, as far as the pieces go: bytes in @l, a multiple
 * of @unit; -EFAULT. */
static int64_t map(struct ahci_port *p, struct dma_list *l, gpa_t table, uint32_t entries,
		   uint32_t entry, uint32_t off, uint64_t max, unsigned unit)
{
	uint64_t at;
	uint32_t len;
	bool interrupt;

	while (l->bytes < max && entry < entries) {
		int r;

		if (read_prd(p, table, entry, &at, &len, &interrupt) < 0)
			return -EFAULT;
		off = MIN(off, len);
		r = dma_list_add(l, p->hba->dev.sv->mem, at + off,
				 MIN((uint64_t)(len - off), max - l->bytes));
		if (r == -E2BIG)
			break;
		if (r < 0)
			return r;
		entry++;
		off = 0;
	}
	dma_list_trim(l, l->bytes - l->bytes % unit);
	return (int64_t)l->bytes;
}

/* @bytes of the list are done. */
static void advance(struct ahci_port *p, gpa_t table, uint32_t entries, uint32_t *entry,
		    uint32_t *off, uint64_t bytes)
{
	uint64_t at;
	uint32_t len;
	bool interrupt;

	while (bytes && *entry < entries) {
		uint32_t n;

		if (read_prd(p, table, *entry, &at, &len, &interrupt) < 0)
			return;
		*off = MIN(*off, len);
		n = (uint32_t)MIN(bytes, (uint64_t)(len - *off));
		bytes -= n;
		*off += n;
		if (*off < len)
			return;
		(*entry)++;
		*off = 0;
		if (interrupt)
			ahci_interrupt(p, AHCI_IS_DPS);
	}
}

/* ---- the channel's DMA engine ---- */

static bool dma_running(void *ctx)
{
	const struct ahci_port *p = ctx;

	return p->r->busy && !p->r->halted && pci_bus_master(&p->hba->f);
}

static int64_t dma_take(void *ctx, bool to_memory, uint64_t max, unsigned unit, struct iovec *iov,
			int *ret_n)
{
	struct ahci_port *p = ctx;
	struct ahci_port_regs *r = p->r;
	int64_t n;

	p->data.iov = iov;
	dma_list_clear(&p->data, to_memory);
	n = map(p, &p->data, r->table, r->entries, r->entry, r->off, max, unit);
	if (n < 0)
		p->fault = true;
	*ret_n = (int)p->data.n;
	return n;
}

static void dma_commit(void *ctx)
{
	struct ahci_port *p = ctx;
	struct ahci_port_regs *r = p->r;

	dma_list_done(&p->data, p->hba->dev.sv->mem);
	r->moved += (uint32_t)p->data.bytes;
	advance(p, r->table, r->entries, &r->entry, &r->off, p->data.bytes);
	dma_list_clear(&p->data, false);
}

static void dma_dry(void *ctx)
{
	ahci_port_run(ctx);
}

/* ---- native queuing (SATA 13.6) ---- */

/* All queued commands are over; the log tells which one failed. */
static void queue_error(struct ahci_port *p, unsigned tag, uint64_t lba, uint8_t status,
			uint8_t error)
{
	struct ahci_port_regs *r = p->r;

	r->queue_failed = true;
	r->failed_tag = (uint8_t)tag;
	r->failed_lba = lba;
	r->failed_status = status | ATA_ERR;
	r->failed_error = error;
	/* What is at the block layer ends unheard; PxCMD.ST to 0 waits for it. */
	for (unsigned i = 0; i < AHCI_SLOTS; i++)
		r->queued[i].left = 0;
	send_bits(p, r->failed_status, error, 0);
	r->halted = true;
	ahci_interrupt(p, AHCI_IS_SDBS | AHCI_IS_TFES);
}

/* Log page 10h; SATA 13.7.2. */
static void queue_log(void *ctx, uint8_t *page)
{
	struct ahci_port *p = ctx;
	struct ahci_port_regs *r = p->r;

	if (!r->queue_failed) {
		page[0] = 0x80; /* no queued command failed */
		return;
	}
	page[0] = r->failed_tag;
	page[2] = r->failed_status;
	page[3] = r->failed_error;
	for (unsigned i = 0; i < 3; i++) {
		page[4 + i] = (uint8_t)(r->failed_lba >> 8 * i);
		page[8 + i] = (uint8_t)(r->failed_lba >> (24 + 8 * i));
	}
	page[7] = 0x40;
	r->queue_failed = false;
}

static void queue_io(struct ahci_port *p, unsigned tag)
{
	struct ahci_queued_regs *q = &p->r->queued[tag];
	struct ahci_queued *rq = &p->queued[tag];
	int64_t n;

	dma_list_clear(&rq->data, !q->write);
	n = map(p, &rq->data, q->table, q->entries, q->entry, q->off,
		(uint64_t)q->left * IDE_SECTOR, IDE_SECTOR);
	if (n < 0) {
		queue_error(p, tag, q->lba, READY, ATA_ABRT);
		host_error(p, q->table);
		return;
	}
	if (n == 0) { /* less memory than data: AHCI 6.2.2.5 */
		queue_error(p, tag, q->lba, READY, ATA_ABRT);
		ahci_interrupt(p, AHCI_IS_OFS);
		return;
	}
	rq->in_io = (uint32_t)(n / IDE_SECTOR);
	rq->br.op = q->write ? BLOCK_WRITE : BLOCK_READ;
	rq->br.off = q->lba * IDE_SECTOR;
	rq->br.len = (uint64_t)n;
	rq->br.iov = rq->data.iov;
	rq->br.niov = (int)rq->data.n;
	rq->br.fua = q->write && (q->fua || !drive_regs(p)->write_cache);
	rq->at_block = true;
	block_submit(p->ch.drive[0].block, &rq->br);
}

static void queue_done(struct block_req *br, int result)
{
	struct ahci_queued *rq = CONTAINER_OF(br, struct ahci_queued, br);
	struct ahci_port *p = rq->port;
	unsigned tag = (unsigned)(rq - p->queued);
	struct ahci_queued_regs *q = &p->r->queued[tag];

	rq->at_block = false;
	dma_list_done(&rq->data, p->hba->dev.sv->mem);
	if (!q->left)
		return; /* given up meanwhile */
	if (result < 0) {
		queue_error(p, tag, q->lba, (uint8_t)(READY | (q->write ? ATA_DF : 0)),
			    q->write ? ATA_ABRT : ATA_UNC);
		return;
	}
	advance(p, q->table, q->entries, &q->entry, &q->off, br->len);
	q->lba += rq->in_io;
	q->left -= MIN(rq->in_io, q->left);
	if (q->left) {
		queue_io(p, tag);
		return;
	}
	send_bits(p, READY, 0, 1u << tag);
	ahci_interrupt(p, AHCI_IS_SDBS);
	ahci_port_run(p);
}

static bool queue_empty(const struct ahci_port *p)
{
	for (unsigned i = 0; i < AHCI_SLOTS; i++)
		if (p->r->queued[i].left)
			return false;
	return true;
}

static void queue_accept(struct ahci_port *p, unsigned slot, const uint8_t *fis, gpa_t table,
			 uint32_t entries)
{
	struct ahci_port_regs *r = p->r;
	const struct ide_drive *dr = &p->ch.drive[0];
	struct ide_drive_regs *d = drive_regs(p);
	unsigned tag = fis[12] >> 3;
	uint32_t n = fis[3] | (uint32_t)fis[11] << 8;
	uint64_t lba = fis[4] | (uint64_t)fis[5] << 8 | (uint64_t)fis[6] << 16 |
		       (uint64_t)fis[8] << 24 | (uint64_t)fis[9] << 32 | (uint64_t)fis[10] << 40;
	bool write = fis[2] == WRITE_QUEUED;

	n = n ? n : 65536;
	r->ci &= ~(1u << slot);
	d->status = READY;
	d->error = 0;
	if (tag != slot || r->queued[tag].left || p->queued[tag].at_block ||
	    (write && block_read_only(dr->block))) {
		queue_error(p, tag, lba, READY, ATA_ABRT);
		return;
	}
	if (lba >= dr->sectors || n > dr->sectors - lba) {
		queue_error(p, tag, lba, READY, ATA_IDNF | ATA_ABRT);
		return;
	}
	r->queued[tag] = (struct ahci_queued_regs){.lba = lba,
						   .table = table,
						   .left = n,
						   .entries = entries,
						   .write = write,
						   .fua = fis[7] & 0x80};
	send_registers(p, false);
	queue_io(p, tag);
}

/* ---- commands of the channel ---- */

/* The command has ended as the drive's registers say. */
static void finish(struct ahci_port *p)
{
	struct ahci_port_regs *r = p->r;
	struct ide_drive_regs *d = drive_regs(p);
	bool failed = d->status & (ATA_ERR | ATA_DF);
	uint8_t count[4];

	r->busy = false;
	st_le32(count, r->moved);
	if (dma_write(&p->hba->dev, r->clb + r->slot * HEADER + 4, count, sizeof(count)) < 0)
		host_error(p, r->clb);
	if (!failed)
		r->ci &= ~(1u << r->slot);
	/* After the last block of PIO to the host nothing follows (SATA 11.8). */
	if (r->pio_last && !d->irq && !failed)
		r->tfd = (uint16_t)(d->status | d->error << 8);
	else
		send_registers(p, true);
	(void)ide_command_read(&p->ch, 7, 1); /* INTRQ low again */
	if (failed) {
		r->halted = true;
		ahci_interrupt(p, AHCI_IS_TFES);
	}
}

/* A PIO block: between the channel's buffer and the host's memory. */
static void move_block(struct ahci_port *p, uint8_t *buf, uint32_t len, bool out)
{
	struct ahci_port_regs *r = p->r;
	bool interrupt = drive_regs(p)->irq;

	if (r->ch.op == IDE_OP_PACKET) {
		send_pio_setup(p, len, true, false);
		if (dma_read(&p->hba->dev, r->table - ACMD_FROM_TABLE, buf, len) < 0)
			p->fault = true;
		return;
	}
	memset(buf, 0, out ? len : 0);
	for (uint32_t at = 0; at < len;) {
		struct iovec iov[4];
		int n;
		int64_t got;

		p->data.cap = ARRAY_SIZE(iov);
		got = dma_take(p, !out, len - at, 1, iov, &n);
		p->data.cap = IDE_SEGS;
		if (got <= 0)
			break; /* the rest of the block goes nowhere */
		dma_list_copy(&p->data, p->hba->dev.sv->mem, 0, buf + at, (uint64_t)got);
		dma_commit(p);
		at += (uint32_t)got;
	}
	send_pio_setup(p, len, out, interrupt);
}

/* Go on with the channel's command; false: it waits. */
static bool pump(struct ahci_port *p)
{
	struct ahci_port_regs *r = p->r;
	uint32_t len;
	bool out;
	uint8_t *buf = ide_block(&p->ch, &len, &out);

	if (buf) {
		move_block(p, buf, len, out);
		(void)ide_command_read(&p->ch, 7, 1);
		r->pio_last = !out;
		if (p->fault) {
			p->fault = false;
			host_error(p, r->table);
			ide_abort(&p->ch);
		} else {
			ide_block_done(&p->ch);
		}
		return true;
	}
	switch (r->ch.phase) {
	case IDE_DMA:
		r->pio_last = false;
		if (!dma_running(p))
			return false;
		ide_dma_kick(&p->ch);
		if (r->ch.phase != IDE_DMA)
			return true;
		/* The list is bad, or shorter than the data (AHCI 6.2.2.5). */
		if (p->fault)
			host_error(p, r->table);
		else
			ahci_interrupt(p, AHCI_IS_OFS);
		p->fault = false;
		if (p->ch.drive[0].cdrom)
			atapi_end(&p->ch, SCSI_KEY_ABORTED, 0, 0);
		else
			ide_abort(&p->ch);
		return true;
	case IDE_IO: r->pio_last = false; return false;
	default: finish(p); return true;
	}
}

static void start_command(struct ahci_port *p, unsigned slot, const uint8_t *fis)
{
	struct ahci_port_regs *r = p->r;
	static const uint8_t order[][3] = {
		{1, 11, 3}, {2, 13, 12}, {3, 8, 4}, {4, 9, 5}, {5, 10, 6}};

	r->slot = (uint8_t)slot;
	r->busy = true;
	r->pio_last = false;
	r->entry = r->off = r->moved = 0;
	r->tfd |= ATA_BSY;
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		ide_command_write(&p->ch, order[i][0], 1, fis[order[i][1]]);
		ide_command_write(&p->ch, order[i][0], 1, fis[order[i][2]]);
	}
	ide_command_write(&p->ch, 6, 1, fis[7] & 0xefu); /* there is one drive */
	ide_command_write(&p->ch, 7, 1, fis[2]);
}

/* A FIS that writes the control register: software reset (AHCI 10.4.1). */
static void control(struct ahci_port *p, unsigned slot, const uint8_t *fis)
{
	struct ahci_port_regs *r = p->r;
	bool was = r->ch.control & SRST;

	r->ci &= ~(1u << slot);
	r->slot = (uint8_t)slot;
	ide_control_write(&p->ch, fis[15] & SRST);
	if (was && !(fis[15] & SRST))
		ahci_port_link_up(p);
}

static bool may_run(const struct ahci_port *p)
{
	const struct ahci_port_regs *r = p->r;

	return (r->cmd & AHCI_CMD_ST) && !r->halted && !p->hba->stopped && ahci_port_present(p) &&
	       pci_bus_master(&p->hba->f);
}

/* Take the next command from PxCI; false: there is none that can start now. */
static bool start_next(struct ahci_port *p)
{
	struct ahci_port_regs *r = p->r;
	uint8_t head[HEADER], fis[CFIS];
	unsigned slot = r->slot;
	gpa_t table;

	if (!may_run(p) || !r->ci || (r->tfd & (ATA_BSY | ATA_DRQ)))
		return false;
	do
		slot = (slot + 1) % AHCI_SLOTS;
	while (!(r->ci >> slot & 1));
	if (dma_read(&p->hba->dev, r->clb + slot * HEADER, head, sizeof(head)) < 0) {
		host_error(p, r->clb);
		return false;
	}
	table = ld_le64(head + 8) & ~0x7full;
	if (dma_read(&p->hba->dev, table, fis, sizeof(fis)) < 0) {
		host_error(p, table);
		return false;
	}
	if (fis[0] != FIS_REG_H2D) {
		guest_error(&p->hba->dev, "port %u: command FIS of type %#x", p->n, fis[0]);
		r->ci &= ~(1u << slot);
		r->slot = (uint8_t)slot;
		return true;
	}
	if ((fis[1] & 0x80) && (fis[2] == READ_QUEUED || fis[2] == WRITE_QUEUED) &&
	    !p->ch.drive[0].cdrom) {
		r->slot = (uint8_t)slot;
		queue_accept(p, slot, fis, table + PRDT, ld_le16(head + 2));
		return true;
	}
	if (!(fis[1] & 0x80)) {
		control(p, slot, fis);
		return true;
	}
	if (!queue_empty(p))
		return false; /* the two kinds don't mix: the queue first */
	r->cmd = (r->cmd & ~AHCI_CMD_CCS) | slot << 8;
	r->table = table + PRDT;
	r->entries = ld_le16(head + 2);
	start_command(p, slot, fis);
	return true;
}

void ahci_port_run(struct ahci_port *p)
{
	if (p->running) {
		p->again = true;
		return;
	}
	p->running = true;
	do
		p->again = false;
	while ((p->r->busy ? pump(p) : start_next(p)) || p->again);
	p->running = false;
}

static void on_intrq(void *ctx, unsigned pin, bool level)
{
	(void)pin;
	if (level)
		ahci_port_run(ctx);
}

/* ---- life ---- */

/* Memory for the queued requests of a disk. */
static int alloc_queue(struct ahci_port *p, struct error *err)
{
	if (!ahci_port_present(p) || p->ch.drive[0].cdrom || p->iov)
		return 0;
	p->gpa = xtry_calloc(AHCI_SLOTS * AHCI_SEGS, sizeof(*p->gpa));
	p->iov = xtry_calloc(AHCI_SLOTS * AHCI_SEGS, sizeof(*p->iov));
	if (!p->gpa || !p->iov)
		return error_set(err, -ENOMEM, "no memory for the requests of '%s'",
				 p->hba->dev.id);
	for (unsigned i = 0; i < AHCI_SLOTS; i++) {
		p->queued[i].port = p;
		p->queued[i].br = (struct block_req){.done = queue_done};
		p->queued[i].data = (struct dma_list){.iov = p->iov + i * AHCI_SEGS,
						      .gpa = p->gpa + i * AHCI_SEGS,
						      .cap = AHCI_SEGS};
	}
	return 0;
}

static void free_queue(struct ahci_port *p)
{
	free(p->iov);
	free(p->gpa);
	p->iov = NULL;
	p->gpa = NULL;
}

int ahci_port_init(struct ahci_port *p, struct error *err)
{
	int r;

	p->ch.sata = true;
	p->ch.queue_log = queue_log;
	p->ch.dma = (struct ide_dma){.running = dma_running,
				     .take = dma_take,
				     .commit = dma_commit,
				     .dry = dma_dry,
				     .ctx = p};
	irq_init(&p->ch.irq, on_intrq, p, 0);
	p->data = (struct dma_list){.gpa = p->data_gpa, .cap = IDE_SEGS};
	r = ide_channel_init(&p->ch, &p->hba->dev, &p->r->ch, err);
	return r < 0 ? r : alloc_queue(p, err);
}

void ahci_port_done(struct ahci_port *p)
{
	if (p->r && p->ch.s)
		ahci_port_stop(p);
	free_queue(p);
}

int ahci_plug(struct ahci *h, unsigned n, bool present, struct error *err)
{
	struct ahci_port *p = &h->port[n];
	struct ahci_port_regs *r = p->r;
	int res;

	if (!present)
		ahci_port_stop(p);
	r->queue_failed = false;
	res = ide_plug(&p->ch, present, err);
	if (res == 0 && present) {
		res = alloc_queue(p, err);
		if (res < 0)
			(void)!ide_plug(&p->ch, false, NULL);
	}
	if (!ahci_port_present(p))
		free_queue(p);
	if (res < 0)
		return res;
	if (!present) {
		/* 3.3.8 to 3.3.10: as of a port without a device; PhyRdy has gone. */
		r->tfd = 0x7f;
		r->sig = 0xffffffff;
		r->serr |= AHCI_SERR_N;
		ahci_interrupt(p, AHCI_IS_PRCS);
	} else if ((r->sctl & 15) == 0) {
		/* COMINIT (10.4.1, 10.9): the link comes up by itself. */
		r->serr |= AHCI_SERR_X | AHCI_SERR_N;
		ahci_port_link_up(p);
		ahci_interrupt(p, AHCI_IS_PCS | AHCI_IS_PRCS);
	}
	return 0;
}

void ahci_port_stop(struct ahci_port *p)
{
	struct ahci_port_regs *r = p->r;

	p->running = true; /* nothing starts meanwhile */
	for (unsigned i = 0; i < AHCI_SLOTS; i++)
		r->queued[i].left = 0;
	ide_channel_done(&p->ch);
	if (r->busy) { /* the drive gives its command up */
		ide_abort(&p->ch);
		(void)ide_command_read(&p->ch, 7, 1);
		drive_regs(p)->status = p->ch.drive[0].cdrom ? ATA_DRDY : READY;
		drive_regs(p)->error = 0;
		r->tfd = drive_regs(p)->status;
	}
	r->busy = r->halted = false;
	r->slot = AHCI_SLOTS - 1; /* slot 0 is next */
	p->running = p->again = p->fault = false;
}

void ahci_port_resume(struct ahci_port *p)
{
	for (unsigned i = 0; i < AHCI_SLOTS; i++)
		if (p->r->queued[i].left && !p->queued[i].at_block)
			queue_io(p, i);
	ide_channel_resume(&p->ch);
	ahci_port_run(p);
}
