/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDE function of the PIIX3: 82371SB data sheet 290550-002, 2.3 (configuration registers) and 2.7
 * (bus master registers); Programming Interface for Bus Master IDE Controller, revision 1.0.
 *
 *   1f0-1f7, 3f6, IRQ 14   primary channel, decoded while IDETIM[15] and PCICMD.IOSE are set
 *   170-177, 376, IRQ 15   secondary channel
 *   BMIBA + 0..7, 8..15    command, status, descriptor table pointer of each channel
 *
 * The descriptor table is read while a transfer runs, each descriptor once per transfer request.
 * The position in it moves when a request ends (commit), so a request can be done again after a
 * state load. A request takes at most IDE_SEGS pieces; longer transfers go on in the next.
 *
 * UNMODELLED: timing registers hold what is written; PIO and DMA don't take the time they say.
 */
#include "device/storage/piix3_ide.h"

#include <errno.h>

#include "base/bits.h"

enum { BM_CMD = 0, BM_STATUS = 2, BM_PRDT = 4, BM_CHANNEL = 8, BM_SIZE = 16 };
enum { CMD_START = 0x01, CMD_TO_MEMORY = 0x08 };
enum { ST_ACTIVE = 0x01, ST_ERROR = 0x02, ST_INTERRUPT = 0x04, ST_DRIVES = 0x60 };
enum { PRD_BYTES = 8, PRD_TABLE_MAX = 0x10000, PRD_EOT = 0x80 };
enum { IDETIM = 0x40, IDETIM_DECODE = 0x80 };

static const struct state_field bm_fields[] = {
	STATE_VAL(struct piix3_bm_regs, prdt),
	STATE_VAL(struct piix3_bm_regs, at, .max = PRD_TABLE_MAX),
	STATE_VAL(struct piix3_bm_regs, off, .max = 0x10000),
	STATE_VAL(struct piix3_bm_regs, cmd, .max = CMD_START | CMD_TO_MEMORY),
	STATE_VAL(struct piix3_bm_regs, status, .max = 0x67),
	STATE_VAL(struct piix3_bm_regs, ended),
	STATE_PAD(struct piix3_bm_regs, pad_),
	STATE_END,
};
static const struct state_field piix3_ide_fields[] = {
	STATE_STRUCT(struct piix3_ide_regs, pci, pci_regs_fields),
	STATE_STRUCTS(struct piix3_ide_regs, bm, bm_fields),
	STATE_STRUCTS(struct piix3_ide_regs, ch, ide_channel_regs_fields),
	STATE_END,
};
static const struct state_desc piix3_ide_state =
	STATE_DESC("piix3-ide", 2, struct piix3_ide_regs, piix3_ide_fields);

/* ---- the DMA engine ---- */

static struct piix3_bm_regs *bm_regs(const struct piix3_bm *bm)
{
	return &bm->ide->s.bm[bm->n];
}

static bool bm_running(void *ctx)
{
	struct piix3_bm *bm = ctx;
	const struct piix3_bm_regs *r = bm_regs(bm);

	return (r->cmd & CMD_START) && (r->status & ST_ACTIVE) && pci_bus_master(&bm->ide->f);
}

static int64_t bm_fail(struct piix3_bm *bm, gpa_t at)
{
	struct piix3_bm_regs *r = bm_regs(bm);

	guest_error(&bm->ide->dev, "bus master: %#llx is not RAM", (unsigned long long)at);
	r->status = (uint8_t)((r->status | ST_ERROR) & ~ST_ACTIVE);
	return -EFAULT;
}

/* The descriptor at table offset @at: address and bytes. */
static int read_prd(struct piix3_bm *bm, uint32_t at, struct piix3_piece *p)
{
	uint8_t prd[PRD_BYTES];
	uint32_t n;

	if (dma_read(&bm->ide->dev, (gpa_t)bm_regs(bm)->prdt + at, prd, sizeof(prd)))
		return -EFAULT;
	n = ld_le16(prd + 4) & 0xfffe;
	p->gpa = ld_le32(prd) & ~1u;
	p->desc_len = n ? n : 0x10000;
	p->at = at;
	p->last = prd[7] & PRD_EOT;
	return 0;
}

/* Drop bytes from the end so that a multiple of @unit stays. */
static uint64_t trim(struct piix3_bm *bm, uint64_t total, unsigned unit, struct iovec *iov)
{
	uint64_t excess = total % unit;

	total -= excess;
	while (excess) {
		struct piix3_piece *p = &bm->piece[bm->n_pieces - 1];
		uint32_t cut = (uint32_t)MIN(excess, (uint64_t)p->len);

		p->len -= cut;
		iov[bm->n_pieces - 1].iov_len -= cut;
		excess -= cut;
		if (!p->len)
			bm->n_pieces--;
	}
	return total;
}

static int64_t bm_take(void *ctx, bool to_memory, uint64_t max, unsigned unit, struct iovec *iov,
		       int *ret_n)
{
	struct piix3_bm *bm = ctx;
	const struct piix3_bm_regs *r = bm_regs(bm);
	uint32_t at = r->at, off = r->off;
	bool ended = r->ended;
	uint64_t total = 0;

	bm->n_pieces = 0;
	bm->to_memory = to_memory;
	while (total < max && !ended && at < PRD_TABLE_MAX && bm->n_pieces < IDE_SEGS) {
		struct piix3_piece p;
		size_t len;
		void *host;

		if (read_prd(bm, at, &p))
			return bm_fail(bm, (gpa_t)r->prdt + at);
		off = MIN(off, p.desc_len);
		len = MIN(max - total, (uint64_t)(p.desc_len - off));
		if (len) {
			p.gpa += off;
			p.off = off;
			host = mem_map_dma(bm->ide->dev.sv->mem, p.gpa, &len, to_memory);
			if (!host || !len)
				return bm_fail(bm, p.gpa);
			p.len = (uint32_t)len;
			iov[bm->n_pieces] = (struct iovec){.iov_base = host, .iov_len = len};
			bm->piece[bm->n_pieces++] = p;
			total += len;
			off += (uint32_t)len;
		}
		if (off == p.desc_len) {
			ended = p.last;
			at += PRD_BYTES;
			off = 0;
		}
	}
	total = trim(bm, total, unit, iov);
	*ret_n = (int)bm->n_pieces;
	/* Memory that is left over is too little for the drive: the engine has run dry. */
	if (!total)
		bm_regs(bm)->status &= (uint8_t)~ST_ACTIVE;
	return (int64_t)total;
}

static void bm_commit(void *ctx)
{
	struct piix3_bm *bm = ctx;
	struct piix3_bm_regs *r = bm_regs(bm);
	const struct piix3_piece *p;

	if (!bm->n_pieces)
		return;
	for (unsigned i = 0; bm->to_memory && i < bm->n_pieces; i++)
		mem_dma_done(bm->ide->dev.sv->mem, bm->piece[i].gpa, bm->piece[i].len);
	p = &bm->piece[bm->n_pieces - 1];
	r->at = p->at;
	r->off = p->off + p->len;
	if (r->off >= p->desc_len) {
		r->ended = p->last;
		r->at += PRD_BYTES;
		r->off = 0;
	}
	if (r->ended || r->at >= PRD_TABLE_MAX)
		r->status &= (uint8_t)~ST_ACTIVE;
	bm->n_pieces = 0;
}

static void bm_intrq(void *ctx, bool level)
{
	struct piix3_bm *bm = ctx;

	if (level)
		bm_regs(bm)->status |= ST_INTERRUPT;
}

static void write_cmd(struct piix3_ide *ide, unsigned n, uint8_t val)
{
	struct piix3_bm_regs *r = &ide->s.bm[n];
	bool start = val & CMD_START, was = r->cmd & CMD_START;

	r->cmd = val & (CMD_START | CMD_TO_MEMORY);
	if (start && !was) {
		r->at = r->off = 0;
		r->ended = false;
		r->status |= ST_ACTIVE;
		ide_dma_kick(&ide->ch[n]);
	} else if (!start && was) {
		ide_channel_drain(&ide->ch[n]); /* a request under way is not taken back */
		r->status &= (uint8_t)~ST_ACTIVE;
	}
}

/* Byte accesses: the bus splits wider ones. */
static uint64_t bm_read(void *ctx, uint64_t off, unsigned size)
{
	const struct piix3_ide *ide = ctx;
	const struct piix3_bm_regs *r = &ide->s.bm[off / BM_CHANNEL & 1];
	unsigned reg = off % BM_CHANNEL;

	(void)size;
	switch (reg) {
	case BM_CMD: return r->cmd;
	case BM_STATUS: return r->status;
	default: return reg >= BM_PRDT ? r->prdt >> 8 * (reg - BM_PRDT) & 0xff : 0;
	}
}

static void bm_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct piix3_ide *ide = ctx;
	unsigned n = off / BM_CHANNEL & 1, reg = off % BM_CHANNEL, shift;
	struct piix3_bm_regs *r = &ide->s.bm[n];

	(void)size;
	if (reg == BM_CMD) {
		write_cmd(ide, n, (uint8_t)val);
	} else if (reg == BM_STATUS) {
		r->status &= (uint8_t) ~(val & (ST_ERROR | ST_INTERRUPT));
		r->status = (uint8_t)((r->status & ~ST_DRIVES) | (val & ST_DRIVES));
	} else if (reg >= BM_PRDT) {
		shift = 8 * (reg - BM_PRDT);
		r->prdt = (r->prdt & ~(0xffu << shift)) | (uint32_t)(val & 0xff) << shift;
		r->prdt &= ~3u;
	}
}

/* ---- ports ---- */

static uint64_t command_read(void *ctx, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	if (off == 0 && size == 4) {
		v = ide_command_read(ctx, 0, 2);
		return v | (uint64_t)ide_command_read(ctx, 0, 2) << 16;
	}
	if (off == 0)
		return ide_command_read(ctx, 0, size) & mask_bytes(size);
	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)ide_command_read(ctx, (unsigned)off + i, 1) << 8 * i;
	return v;
}

static void command_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	if (off == 0) {
		ide_command_write(ctx, 0, MIN(size, 2u), (uint32_t)val & 0xffff);
		if (size == 4)
			ide_command_write(ctx, 0, 2, (uint32_t)(val >> 16));
		return;
	}
	for (unsigned i = 0; i < size; i++)
		ide_command_write(ctx, (unsigned)off + i, 1, (uint8_t)(val >> 8 * i));
}

static uint64_t control_read(void *ctx, uint64_t off, unsigned size)
{
	(void)off, (void)size;
	return ide_control_read(ctx);
}

static void control_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	(void)off, (void)size;
	ide_control_write(ctx, (uint8_t)val);
}

static void map_port(struct piix3_ide *ide, struct bus_region *r, uint32_t port, bool on)
{
	struct error err = {0};

	if (r->mapped == on)
		return;
	if (!on)
		bus_unmap_pio(ide->dev.sv->bus, r);
	else if (bus_map_pio(ide->dev.sv->bus, r, port, &err) < 0)
		guest_error(&ide->dev, "port %#x: %s", port, err.text);
}

static void map_channels(struct piix3_ide *ide, bool on)
{
	static const uint16_t command[2] = {0x1f0, 0x170}, control[2] = {0x3f6, 0x376};

	for (unsigned n = 0; n < 2; n++) {
		bool decode = on && (pci_command(&ide->f) & PCI_COMMAND_IO) &&
			      (ide->s.pci.cfg[IDETIM + 2 * n + 1] & IDETIM_DECODE);

		map_port(ide, &ide->command[n], command[n], decode);
		map_port(ide, &ide->control[n], control[n], decode);
	}
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct piix3_ide *ide = CONTAINER_OF(f, struct piix3_ide, f);

	(void)off, (void)size;
	map_channels(ide, true);
	for (unsigned n = 0; n < 2; n++)
		ide_dma_kick(&ide->ch[n]); /* bus mastering may have been switched on */
}

/* ---- life ---- */

/* Data sheet 2.3: reset contents, writable bits. */
static const struct {
	uint8_t reg, size;
	uint32_t reset, wmask;
} config_rows[] = {
	/* clang-format off */
	{0x04, 2, 0x0000, 0x0005}, /* PCICMD: I/O, bus master */
	{0x06, 2, 0x0280, 0},      /* PCISTS: medium DEVSEL#, fast back-to-back */
	{0x0c, 1, 0x00, 0},
	{0x0d, 1, 0x00, 0xf0},     /* MLT */
	{0x40, 4, 0x00000000, 0xf3fff3ff}, /* IDETIM, primary and secondary */
	{0x44, 1, 0x00, 0xff},     /* SIDETIM */
	/* clang-format on */
};

static void piix3_ide_unrealize(struct dev *d)
{
	struct piix3_ide *ide = CONTAINER_OF(d, struct piix3_ide, dev);

	for (unsigned n = 0; n < 2; n++)
		ide_channel_done(&ide->ch[n]);
	map_channels(ide, false);
	pci_func_done(&ide->f);
}

static void channel_ports(struct piix3_ide *ide, unsigned n)
{
	ide->command[n] = (struct bus_region){.name = n ? "ide1" : "ide0",
					      .size = 8,
					      .valid = WIDTH_124,
					      .impl = WIDTH_124,
					      .read = command_read,
					      .write = command_write,
					      .ctx = &ide->ch[n]};
	ide->control[n] = (struct bus_region){.name = n ? "ide1-control" : "ide0-control",
					      .size = 1,
					      .valid = WIDTH_124,
					      .impl = WIDTH_1,
					      .read = control_read,
					      .write = control_write,
					      .ctx = &ide->ch[n]};
}

static int piix3_ide_realize(struct dev *d, struct error *err)
{
	struct piix3_ide *ide = CONTAINER_OF(d, struct piix3_ide, dev);
	static const struct pci_ids ids = {
		.vendor = 0x8086, .device = 0x7010, .cls = 0x0101, .prog_if = 0x80};
	int r;

	if (!ide->bus)
		return error_set(err, -EINVAL,
				 "the PIIX3 IDE function needs a PCI bus: wire 'bus' "
				 "first");
	pci_func_init(&ide->f, d, &ide->s.pci, &ids);
	for (size_t i = 0; i < ARRAY_SIZE(config_rows); i++)
		pci_config_def(&ide->f, config_rows[i].reg, config_rows[i].size,
			       config_rows[i].reset, config_rows[i].wmask);
	if (ide->decode_at_reset)
		ide->f.reset[IDETIM + 1] = ide->f.reset[IDETIM + 3] = IDETIM_DECODE;
	st_le16(&ide->f.w1c[PCI_STATUS], 0x3800);
	ide->bm_bar = (struct bus_region){.name = "ide-bus-master",
					  .size = BM_SIZE,
					  .valid = WIDTH_124,
					  .impl = WIDTH_1,
					  .read = bm_read,
					  .write = bm_write,
					  .ctx = ide};
	pci_bar_add(&ide->f, 4, PCI_BAR_IO, &ide->bm_bar);
	ide->f.config_written = config_written;
	for (unsigned n = 0; n < 2; n++) {
		ide->bm[n] = (struct piix3_bm){.ide = ide, .n = n};
		ide->ch[n].dma = (struct ide_dma){.running = bm_running,
						  .take = bm_take,
						  .commit = bm_commit,
						  .intrq = bm_intrq,
						  .ctx = &ide->bm[n]};
		channel_ports(ide, n);
		r = ide_channel_init(&ide->ch[n], d, &ide->s.ch[n], err);
		if (r < 0)
			return r;
	}
	return pci_func_add(&ide->f, ide->bus, ide->devfn ? ide->devfn : PCI_DEVFN(1, 1), err);
}

static void piix3_ide_reset(struct dev *d, enum dev_reset kind)
{
	struct piix3_ide *ide = CONTAINER_OF(d, struct piix3_ide, dev);

	for (unsigned n = 0; n < 2; n++) {
		ide_channel_reset(&ide->ch[n]);
		ide->s.bm[n] = (struct piix3_bm_regs){0};
	}
	pci_func_reset(&ide->f, kind);
	map_channels(ide, true);
}

static int piix3_ide_quiesce(struct dev *d)
{
	struct piix3_ide *ide = CONTAINER_OF(d, struct piix3_ide, dev);

	for (unsigned n = 0; n < 2; n++)
		ide_channel_drain(&ide->ch[n]);
	return 0;
}

static void piix3_ide_resume(struct dev *d)
{
	struct piix3_ide *ide = CONTAINER_OF(d, struct piix3_ide, dev);

	for (unsigned n = 0; n < 2; n++)
		ide_channel_resume(&ide->ch[n]);
}

static int piix3_ide_loaded(struct dev *d, struct error *err)
{
	struct piix3_ide *ide = CONTAINER_OF(d, struct piix3_ide, dev);
	int r = pci_func_loaded(&ide->f, err);

	for (unsigned n = 0; n < 2 && r == 0; n++) {
		struct piix3_bm_regs *bm = &ide->s.bm[n];

		bm->prdt &= ~3u;
		bm->at = (uint32_t)align_down(bm->at, PRD_BYTES);
		bm->off &= ~1u;
		bm->cmd &= CMD_START | CMD_TO_MEMORY;
		bm->status &= ST_ACTIVE | ST_ERROR | ST_INTERRUPT | ST_DRIVES;
		r = ide_channel_loaded(&ide->ch[n], err);
	}
	map_channels(ide, r == 0);
	return r;
}

const struct dev_class piix3_ide_class = {
	.name = "piix3-ide",
	.summary = "PIIX3 IDE function: two ATA channels with bus mastering",
	.spec = "Intel 82371SB data sheet 290550-002, April 1997, 2.3 and 2.7",
	.size = sizeof(struct piix3_ide),
	.regs_offset = offsetof(struct piix3_ide, s),
	.state = &piix3_ide_state,
	.realize = piix3_ide_realize,
	.unrealize = piix3_ide_unrealize,
	.reset = piix3_ide_reset,
	.quiesce = piix3_ide_quiesce,
	.resume = piix3_ide_resume,
	.loaded = piix3_ide_loaded,
};
