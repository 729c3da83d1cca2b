/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AHCI host bus adapter: registers, interrupts, life (ahci.h). "AHCI": Serial ATA AHCI 1.3.1.
 *
 *   BAR 5 + 000h   generic host control (AHCI 3.1)
 *         + 100h   six ports of 80h bytes (AHCI 3.3)
 *
 * Drives come and go (ahci_plug(); AHCI 10.9): PxSSTS follows the drive, PxSERR.DIAG.X and .N note
 * COMINIT and the change of PhyRdy, and PxIS.PCS and .PRCS are their interrupts. COMRESET finds a
 * drive again. MSI: one message, sent whenever a port's enabled interrupt comes up.
 *
 * UNMODELLED: port multipliers, staggered spin-up, link power states (accepted, no effect),
 * enclosure management, command completion coalescing, index-data pair and the legacy IDE mode of
 * the ICH9, mechanical presence switches and cold presence detection.
 */
#include "device/storage/ahci.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum {
	HBA_CAP = 0x00,
	HBA_GHC = 0x04,
	HBA_IS = 0x08,
	HBA_PI = 0x0c,
	HBA_VS = 0x10,
	PORTS = 0x100,
	PORT_SIZE = 0x80,
	BAR_SIZE = 0x1000,
};
enum {
	P_CLB = 0x00,
	P_CLBU = 0x04,
	P_FB = 0x08,
	P_FBU = 0x0c,
	P_IS = 0x10,
	P_IE = 0x14,
	P_CMD = 0x18,
	P_TFD = 0x20,
	P_SIG = 0x24,
	P_SSTS = 0x28,
	P_SCTL = 0x2c,
	P_SERR = 0x30,
	P_SACT = 0x34,
	P_CI = 0x38,
};
#define CAP_VALUE                                                                                  \
	((AHCI_PORTS - 1) | (AHCI_SLOTS - 1) << 8 | 1u << 18 /* AHCI only */ |                     \
	 3u << 20 /* 6 Gbit/s */ | 1u << 24 /* CLO */ | 1u << 30 /* native queuing */ |            \
	 1u << 31 /* 64-bit addresses */)
#define VERSION      0x00010301u
#define GHC_HR       0x00000001u
#define GHC_IE       0x00000002u
#define GHC_AE       0x80000000u
#define CMD_WRITABLE (AHCI_CMD_ST | AHCI_CMD_SUD | AHCI_CMD_POD | AHCI_CMD_FRE | AHCI_CMD_ATAPI)
#define IE_WRITABLE  0xfdc000ffu
#define SCTL_MASK    0x00000fffu
#define SSTS_UP      0x133u /* device there, 6 Gbit/s, active */
#define SERR_DIAG    (AHCI_SERR_X | AHCI_SERR_N)
#define IS_KEPT      (AHCI_IS_PCS | AHCI_IS_PRCS) /* follow PxSERR */

static const struct state_field queued_fields[] = {
	STATE_VAL(struct ahci_queued_regs, lba),
	STATE_VAL(struct ahci_queued_regs, table),
	STATE_VAL(struct ahci_queued_regs, left, .max = 65536),
	STATE_VAL(struct ahci_queued_regs, entries, .max = 65535),
	STATE_VAL(struct ahci_queued_regs, entry, .max = 65535),
	STATE_VAL(struct ahci_queued_regs, off, .max = 0x400000),
	STATE_VAL(struct ahci_queued_regs, write),
	STATE_VAL(struct ahci_queued_regs, fua),
	STATE_PAD(struct ahci_queued_regs, pad_),
	STATE_END,
};
static const struct state_field port_fields[] = {
	STATE_VAL(struct ahci_port_regs, clb),
	STATE_VAL(struct ahci_port_regs, fb),
	STATE_VAL(struct ahci_port_regs, is),
	STATE_VAL(struct ahci_port_regs, ie),
	STATE_VAL(struct ahci_port_regs, cmd),
	STATE_VAL(struct ahci_port_regs, sctl, .max = SCTL_MASK),
	STATE_VAL(struct ahci_port_regs, serr),
	STATE_VAL(struct ahci_port_regs, sact),
	STATE_VAL(struct ahci_port_regs, ci),
	STATE_VAL(struct ahci_port_regs, sig),
	STATE_VAL(struct ahci_port_regs, tfd),
	STATE_VAL(struct ahci_port_regs, slot, .max = AHCI_SLOTS - 1),
	STATE_VAL(struct ahci_port_regs, busy),
	STATE_VAL(struct ahci_port_regs, halted),
	STATE_VAL(struct ahci_port_regs, pio_last),
	STATE_VAL(struct ahci_port_regs, failed_tag, .max = AHCI_SLOTS - 1),
	STATE_VAL(struct ahci_port_regs, failed_status),
	STATE_VAL(struct ahci_port_regs, failed_error),
	STATE_VAL(struct ahci_port_regs, queue_failed),
	STATE_PAD(struct ahci_port_regs, pad_),
	STATE_VAL(struct ahci_port_regs, failed_lba),
	STATE_VAL(struct ahci_port_regs, table),
	STATE_VAL(struct ahci_port_regs, entries, .max = 65535),
	STATE_VAL(struct ahci_port_regs, entry, .max = 65535),
	STATE_VAL(struct ahci_port_regs, off, .max = 0x400000),
	STATE_VAL(struct ahci_port_regs, moved),
	STATE_STRUCTS(struct ahci_port_regs, queued, queued_fields),
	STATE_STRUCT(struct ahci_port_regs, ch, ide_channel_regs_fields),
	STATE_END,
};
static const struct state_field ahci_fields[] = {
	STATE_STRUCT(struct ahci_regs, pci, pci_regs_fields),
	STATE_VAL(struct ahci_regs, ghc),
	STATE_VAL(struct ahci_regs, is, .max = (1u << AHCI_PORTS) - 1),
	STATE_STRUCTS(struct ahci_regs, port, port_fields),
	STATE_END,
};
static const struct state_desc ahci_state = STATE_DESC("ahci", 2, struct ahci_regs, ahci_fields);

static struct ahci *to_ahci(struct dev *d)
{
	return CONTAINER_OF(d, struct ahci, dev);
}

/* ---- interrupts (AHCI 10.7) ---- */

void ahci_irq_update(struct ahci *h, bool news)
{
	bool level;

	for (unsigned i = 0; i < AHCI_PORTS; i++)
		if (h->s.port[i].is & h->s.port[i].ie)
			h->s.is |= 1u << i;
	level = (h->s.ghc & GHC_IE) && h->s.is;
	pci_intx_set(&h->f, level && !pci_msi_enabled(&h->f));
	if (level && news)
		pci_msi_notify(&h->f);
}

void ahci_interrupt(struct ahci_port *p, uint32_t bits)
{
	p->r->is |= bits;
	ahci_irq_update(p->hba, bits & p->r->ie);
}

/* ---- port registers ---- */

static void port_comreset(struct ahci_port *p)
{
	ahci_port_stop(p);
	ide_channel_reset(&p->ch);
	p->r->queue_failed = false;
	p->r->tfd = 0x7f;
	p->r->sig = 0xffffffff;
}

static void write_cmd(struct ahci_port *p, uint32_t val)
{
	struct ahci_port_regs *r = p->r;
	bool start = (val & AHCI_CMD_ST) && !(r->cmd & AHCI_CMD_ST);
	bool stop = !(val & AHCI_CMD_ST) && (r->cmd & AHCI_CMD_ST);

	if ((val & AHCI_CMD_CLO) && !(r->cmd & AHCI_CMD_ST))
		r->tfd &= (uint16_t) ~(ATA_BSY | ATA_DRQ);
	r->cmd = (r->cmd & AHCI_CMD_CCS) | (val & CMD_WRITABLE) | AHCI_CMD_SUD | AHCI_CMD_POD;
	if (r->cmd & AHCI_CMD_FRE)
		r->cmd |= AHCI_CMD_FR;
	if (stop) { /* 10.3.2: PxCI and PxSACT are cleared, PxCMD.CR goes to 0 */
		ahci_port_stop(p);
		r->ci = r->sact = 0;
		r->cmd &= ~AHCI_CMD_CCS;
	}
	if (r->cmd & AHCI_CMD_ST)
		r->cmd |= AHCI_CMD_CR;
	if (start)
		ahci_port_run(p);
}

static void write_sctl(struct ahci_port *p, uint32_t val)
{
	struct ahci_port_regs *r = p->r;
	unsigned old = r->sctl & 15, det = val & 15;

	r->sctl = val & SCTL_MASK;
	if (det == old)
		return;
	if (det == 1 || det == 4) {
		port_comreset(p);
	} else if (det == 0 && ahci_port_present(p)) {
		r->serr |= SERR_DIAG;
		ahci_port_link_up(p);
		ahci_interrupt(p, IS_KEPT);
	}
}

static uint32_t port_read(const struct ahci_port *p, uint32_t reg)
{
	const struct ahci_port_regs *r = p->r;

	switch (reg) {
	case P_CLB: return (uint32_t)r->clb;
	case P_CLBU: return (uint32_t)(r->clb >> 32);
	case P_FB: return (uint32_t)r->fb;
	case P_FBU: return (uint32_t)(r->fb >> 32);
	case P_IS: return r->is;
	case P_IE: return r->ie;
	case P_CMD: return r->cmd | AHCI_CMD_HPCP;
	case P_TFD: return r->tfd;
	case P_SIG: return r->sig;
	case P_SSTS:
		if (!ahci_port_present(p))
			return 0;
		return (r->sctl & 15) == 4 ? 4 : (r->sctl & 15) == 1 ? 0 : SSTS_UP;
	case P_SCTL: return r->sctl;
	case P_SERR: return r->serr;
	case P_SACT: return r->sact;
	case P_CI: return r->ci;
	default: return 0;
	}
}

static void write_half(uint64_t *reg, bool high, uint32_t val, uint32_t mask)
{
	*reg = high ? (*reg & 0xffffffff) | (uint64_t)val << 32
		    : (*reg & ~0xffffffffull) | (val & mask);
}

static void port_write(struct ahci_port *p, uint32_t reg, uint32_t val)
{
	struct ahci_port_regs *r = p->r;

	switch (reg) {
	case P_CLB:
	case P_CLBU: write_half(&r->clb, reg == P_CLBU, val, ~0x3ffu); break;
	case P_FB:
	case P_FBU: write_half(&r->fb, reg == P_FBU, val, ~0xffu); break;
	case P_IS: r->is &= ~val | IS_KEPT; break;
	case P_IE:
		r->ie = val & IE_WRITABLE;
		ahci_irq_update(p->hba, r->is & r->ie);
		break;
	case P_CMD: write_cmd(p, val); break;
	case P_SCTL: write_sctl(p, val); break;
	case P_SERR:
		r->serr &= ~val;
		if (!(r->serr & AHCI_SERR_X))
			r->is &= ~(uint32_t)AHCI_IS_PCS;
		if (!(r->serr & AHCI_SERR_N))
			r->is &= ~(uint32_t)AHCI_IS_PRCS;
		break;
	case P_SACT:
		if (r->cmd & AHCI_CMD_ST)
			r->sact |= val;
		break;
	case P_CI:
		if (r->cmd & AHCI_CMD_ST) {
			r->ci |= val;
			ahci_port_run(p);
		}
		break;
	default: break;
	}
}

/* ---- the host bus adapter ---- */

/* Also power-on: registers to what AHCI 3.3 says, drives send their signatures. */
static void port_reset(struct ahci_port *p)
{
	struct ahci_port_regs *r = p->r;

	port_comreset(p);
	r->clb = r->fb = 0;
	r->is = r->ie = r->sctl = r->serr = 0;
	r->sact = r->ci = 0;
	r->cmd = AHCI_CMD_SUD | AHCI_CMD_POD;
	if (ahci_port_present(p)) {
		r->serr = SERR_DIAG;
		r->is = IS_KEPT;
		ahci_port_link_up(p);
	}
}

static void hba_reset(struct ahci *h)
{
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		port_reset(&h->port[i]);
	h->s.ghc = GHC_AE;
	h->s.is = 0;
	ahci_irq_update(h, false);
}

static uint64_t bar_read(void *ctx, uint64_t off, unsigned size)
{
	const struct ahci *h = ctx;

	(void)size;
	if (off >= PORTS) {
		unsigned n = (unsigned)(off - PORTS) / PORT_SIZE;

		return n < AHCI_PORTS ? port_read(&h->port[n], off % PORT_SIZE) : 0;
	}
	switch (off) {
	case HBA_CAP: return CAP_VALUE;
	case HBA_GHC: return h->s.ghc;
	case HBA_IS: return h->s.is;
	case HBA_PI: return (1u << AHCI_PORTS) - 1;
	case HBA_VS: return VERSION;
	default: return 0;
	}
}

static void bar_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct ahci *h = ctx;
	uint32_t v = (uint32_t)val;

	(void)size;
	if (off >= PORTS) {
		unsigned n = (unsigned)(off - PORTS) / PORT_SIZE;

		if (n < AHCI_PORTS)
			port_write(&h->port[n], off % PORT_SIZE, v);
		return;
	}
	if (off == HBA_GHC) {
		if (v & GHC_HR) {
			hba_reset(h);
			return;
		}
		h->s.ghc = GHC_AE | (v & GHC_IE);
		ahci_irq_update(h, true);
	} else if (off == HBA_IS) {
		h->s.is &= ~v;
		ahci_irq_update(h, true);
	}
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct ahci *h = CONTAINER_OF(f, struct ahci, f);

	(void)off, (void)size;
	ahci_irq_update(h, false);
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_run(&h->port[i]); /* bus mastering may have been switched on */
}

/* ---- life ---- */

static void ahci_unrealize(struct dev *d)
{
	struct ahci *h = to_ahci(d);

	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_done(&h->port[i]);
	pci_func_done(&h->f);
}

static int add_function(struct ahci *h, struct error *err)
{
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x2922,
					   .subsystem_vendor = 0x1af4,
					   .subsystem = 0x1100,
					   .revision = 2,
					   .cls = 0x0106,
					   .prog_if = 0x01, /* AHCI 1.0 */
					   .interrupt_pin = 1};
	int r;

	pci_func_init(&h->f, &h->dev, &h->s.pci, &ids);
	h->bar = (struct bus_region){.name = "ahci",
				     .size = BAR_SIZE,
				     .valid = WIDTH_ANY,
				     .impl = WIDTH_4,
				     .read = bar_read,
				     .write = bar_write,
				     .ctx = h};
	pci_bar_add(&h->f, 5, PCI_BAR_MEM32, &h->bar);
	pci_config_def(&h->f, 0x90, 1, 0x60, 0); /* ICH9 15.1.26, MAP: AHCI mode */
	pci_config_def(&h->f, 0x92, 2, (1u << AHCI_PORTS) - 1, 0x003f); /* 15.1.27, PCS */
	h->f.config_written = config_written;
	r = pci_msi_init(&h->f);
	if (r < 0)
		return error_set(err, r, "'%s': capabilities don't fit", h->dev.id);
	if (!h->devfn) {
		r = pci_bus_free_slot(h->bus, 2);
		if (r < 0)
			return error_set(err, r, "no free PCI slot for '%s'", h->dev.id);
		h->devfn = PCI_DEVFN((unsigned)r, 0);
	}
	return pci_func_add(&h->f, h->bus, h->devfn, err);
}

static int ahci_realize(struct dev *d, struct error *err)
{
	struct ahci *h = to_ahci(d);

	if (!h->bus)
		return error_set(err, -EINVAL, "'%s': wire 'bus' first", d->id);
	for (unsigned i = 0; i < AHCI_PORTS; i++) {
		struct ahci_port *p = &h->port[i];
		int r;

		p->hba = h;
		p->n = i;
		p->r = &h->s.port[i];
		r = ahci_port_init(p, err);
		if (r < 0)
			return r;
	}
	return add_function(h, err);
}

static void ahci_reset(struct dev *d, enum dev_reset kind)
{
	struct ahci *h = to_ahci(d);

	h->stopped = false;
	hba_reset(h);
	pci_func_reset(&h->f, kind);
}

static int ahci_quiesce(struct dev *d)
{
	struct ahci *h = to_ahci(d);

	h->stopped = true;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ide_channel_drain(&h->port[i].ch);
	return 0;
}

static void ahci_resume(struct dev *d)
{
	struct ahci *h = to_ahci(d);

	h->stopped = false;
	for (unsigned i = 0; i < AHCI_PORTS; i++)
		ahci_port_resume(&h->port[i]);
}

static int ahci_loaded(struct dev *d, struct error *err)
{
	struct ahci *h = to_ahci(d);
	int r = pci_func_loaded(&h->f, err);

	h->s.ghc = GHC_AE | (h->s.ghc & GHC_IE);
	for (unsigned i = 0; i < AHCI_PORTS && r == 0; i++) {
		struct ahci_port *p = &h->port[i];
		struct ahci_port_regs *s = p->r;

		s->clb &= ~0x3ffull;
		s->fb &= ~0xffull;
		s->ie &= IE_WRITABLE;
		s->cmd &= CMD_WRITABLE | AHCI_CMD_CCS | AHCI_CMD_FR | AHCI_CMD_CR;
		for (unsigned k = 0; k < AHCI_SLOTS; k++) {
			const struct ahci_queued_regs *q = &s->queued[k];

			if (q->left && (!ahci_port_present(p) || p->ch.drive[0].cdrom ||
					q->lba > p->ch.drive[0].sectors ||
					q->left > p->ch.drive[0].sectors - q->lba))
				return error_set(err, -EINVAL, "a queued command of no disk");
		}
		if (s->busy && !ahci_port_present(p))
			return error_set(err, -EINVAL, "a command of a port without a drive");
		r = ide_channel_loaded(&p->ch, err);
	}
	ahci_irq_update(h, false);
	return r;
}

const struct dev_class ahci_class = {
	.name = "ahci",
	.summary = "AHCI host bus adapter with six Serial ATA ports",
	.spec = "Serial ATA AHCI 1.3.1 Specification, March 2012; Intel 316972-004, 15",
	.size = sizeof(struct ahci),
	.regs_offset = offsetof(struct ahci, s),
	.state = &ahci_state,
	.realize = ahci_realize,
	.unrealize = ahci_unrealize,
	.reset = ahci_reset,
	.quiesce = ahci_quiesce,
	.resume = ahci_resume,
	.loaded = ahci_loaded,
};
