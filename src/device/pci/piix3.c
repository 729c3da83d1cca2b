/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PIIX3 function 0 (82371SB data sheet 290550-002, chapter 2.2) and PIIX4 function 3 (82371AB data
 * sheet 290562-001, chapter 7.1).
 *
 * Function 0: PIRQRC[A-D] steer the four PCI interrupts to ISA interrupts; a line is the OR of the
 * PIRQs routed to it. ELCR is in the interrupt controller's file, the reset control register with
 * the power management registers.
 *
 * UNMODELLED: X-bus chip selects (XBCS holds what is written; the devices always decode), DMA
 * aliasing, system management interrupts, IDE (function 1) and USB (function 2) functions; PIIX4's
 * device monitors and SMBus host controller (its registers hold what is written).
 */
#include "device/pci/piix3.h"

#include "base/bits.h"

#include <errno.h>

struct config_row {
	uint8_t reg, size;
	uint32_t reset, wmask;
};

static void config_rows(struct pci_func *f, const struct config_row *row, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pci_config_def(f, row[i].reg, row[i].size, row[i].reset, row[i].wmask);
}

/* ---- function 0: ISA bridge ---- */

static const struct state_field piix3_fields[] = {
	STATE_STRUCT(struct piix3_regs, pci, pci_regs_fields),
	STATE_ARRAY(struct piix3_regs, pirq),
	STATE_PAD(struct piix3_regs, pad_),
	STATE_END,
};
static const struct state_desc piix3_state =
	STATE_DESC("piix3", 1, struct piix3_regs, piix3_fields);

REG(PIIX3_PIRQRCA, 0x60)
FIELD(PIRQRC_DISABLE, 7, 1)
FIELD(PIRQRC_IRQ, 0, 4)

/* Data sheet table 3 and 2.2.x: reset contents, writable bits. */
static const struct config_row piix3_rows[] = {
	/* clang-format off */
	{0x04, 2, 0x0007, 0x0008}, /* PCICMD: I/O, memory, master always on; special cycle enable */
	{0x06, 2, 0x0200, 0},      /* PCISTS: medium DEVSEL# */
	{0x0c, 2, 0x0000, 0},      /* no cache line size, no latency timer */
	{0x4c, 1, 0x4d, 0x7f},     /* IORT */
	{0x4e, 2, 0x0003, 0x01ff}, /* XBCS */
	{0x60, 4, 0x80808080, 0x8f8f8f8f}, /* PIRQRC[A:D] */
	{0x69, 1, 0x02, 0xfe},     /* TOM */
	{0x6a, 2, 0x0000, 0x8007}, /* MSTAT */
	{0x70, 1, 0x80, 0xef},     /* MBIRQ0 */
	{0x76, 2, 0x0c0c, 0x8f8f}, /* MBDMA[0:1] */
	{0x78, 2, 0x0002, 0xffff}, /* PCSC */
	{0x80, 1, 0x00, 0x7f},     /* APICBASE */
	{0x82, 1, 0x00, 0x0f},     /* DLC */
	{0xa0, 1, 0x08, 0x1f},     /* SMICNTL */
	{0xa2, 2, 0x0000, 0x01ff}, /* SMIEN */
	{0xa4, 4, 0x00000000, 0xe000ffff}, /* SEE */
	{0xa8, 1, 0x0f, 0xff},     /* FTMR */
	{0xaa, 2, 0x0000, 0x01ff}, /* SMIREQ */
	{0xac, 1, 0x00, 0xff},     /* CTLTMR */
	{0xae, 1, 0x00, 0xff},     /* CTHTMR */
	/* clang-format on */
};

/* ISA interrupts a PIRQ may be routed to: not 0, 1, 2, 8 and 13 (data sheet 2.2.13). */
#define PIRQ_ALLOWED 0xdef8u

static void isa_update(struct piix3 *p)
{
	uint32_t high = 0;

	for (unsigned n = 0; n < 4; n++) {
		uint8_t rc = p->s.pci.cfg[PIIX3_PIRQRCA + n];
		if (p->s.pirq[n] && !GET(rc, PIRQRC_DISABLE))
			high |= 1u << GET(rc, PIRQRC_IRQ);
	}
	high &= PIRQ_ALLOWED;
	for (unsigned i = 0; i < 16; i++)
		irq_set(&p->isa[i], high & (1u << i));
}

static void piix3_pirq(void *ctx, unsigned n, bool level)
{
	struct piix3 *p = ctx;

	if (n >= ARRAY_SIZE(p->s.pirq))
		return; /* a bus can have eight; this router has four */
	p->s.pirq[n] = level;
	isa_update(p);
}

static void piix3_config_written(struct pci_func *f, unsigned off, unsigned size)
{
	if (off < PIIX3_PIRQRCA + 4 && off + size > PIIX3_PIRQRCA)
		isa_update(CONTAINER_OF(f, struct piix3, f));
}

static void piix3_unrealize(struct dev *d)
{
	struct piix3 *p = CONTAINER_OF(d, struct piix3, dev);

	if (p->bus && p->bus->pirq_ctx == p)
		pci_bus_set_pirq(p->bus, NULL, NULL);
	pci_func_done(&p->f);
}

static int piix3_realize(struct dev *d, struct error *err)
{
	struct piix3 *p = CONTAINER_OF(d, struct piix3, dev);
	static const struct pci_ids ids = {
		.vendor = 0x8086, .device = 0x7000, .cls = 0x0601, .header_type = 0x80};

	if (!p->bus)
		return error_set(err, -EINVAL, "the PIIX3 needs a PCI bus: wire 'bus' first");
	pci_func_init(&p->f, d, &p->s.pci, &ids);
	config_rows(&p->f, piix3_rows, ARRAY_SIZE(piix3_rows));
	st_le16(&p->f.w1c[PCI_STATUS], 0x7800);
	p->f.config_written = piix3_config_written;
	int r = pci_func_add(&p->f, p->bus, p->devfn ? p->devfn : PCI_DEVFN(1, 0), err);
	if (r == 0)
		pci_bus_set_pirq(p->bus, piix3_pirq, p);
	return r;
}

static void piix3_reset(struct dev *d, enum dev_reset kind)
{
	struct piix3 *p = CONTAINER_OF(d, struct piix3, dev);

	/* pirq[] mirrors wires, which other functions drive: not ours to reset. */
	pci_func_reset(&p->f, kind);
	isa_update(p);
}

static int piix3_loaded(struct dev *d, struct error *err)
{
	struct piix3 *p = CONTAINER_OF(d, struct piix3, dev);
	int r = pci_func_loaded(&p->f, err);

	if (r < 0)
		return r;
	/* Levels are what the wires say: a function that never was high does not get low again. */
	pci_bus_set_pirq(p->bus, piix3_pirq, p);
	isa_update(p);
	return 0;
}

const struct dev_class piix3_class = {
	.name = "piix3",
	.summary = "PIIX3 PCI-to-ISA bridge: PIRQ routing",
	.spec = "Intel 82371SB data sheet 290550-002, April 1997",
	.size = sizeof(struct piix3),
	.regs_offset = offsetof(struct piix3, s),
	.state = &piix3_state,
	.realize = piix3_realize,
	.unrealize = piix3_unrealize,
	.reset = piix3_reset,
	.loaded = piix3_loaded,
};

/* ---- function 3: power management ---- */

static const struct state_field pm_fields[] = {
	STATE_STRUCT(struct piix4_pm_regs, pci, pci_regs_fields),
	STATE_END,
};
static const struct state_desc pm_state =
	STATE_DESC("piix4-pm", 1, struct piix4_pm_regs, pm_fields);

REG(PIIX4_PMBA, 0x40)
REG(PIIX4_PMREGMISC, 0x80)
FIELD(PMREGMISC_PMIOSE, 0, 1)

/* Data sheet 7.1: reset contents, writable bits. */
static const struct config_row pm_rows[] = {
	/* clang-format off */
	{0x04, 2, 0x0000, 0x0001}, /* PCICMD: I/O space enable (SMBus) */
	{0x06, 2, 0x0280, 0},      /* PCISTS: medium DEVSEL#, fast back-to-back */
	{0x0c, 2, 0x0000, 0},      /* no cache line size, no latency timer */
	{0x40, 4, 0x00000001, 0x0000ffc0}, /* PMBA */
	{0x44, 4, 0x00000000, 0xffffffff}, /* CNTA */
	{0x48, 4, 0x00000000, 0x001fffff}, /* CNTB */
	{0x4c, 4, 0x00000000, 0x000fffff}, /* GPICTL */
	{0x50, 4, 0x00000000, 0x003fffff}, /* DEVRESD */
	{0x54, 4, 0x00000000, 0xffffffff}, /* DEVACTA */
	/* DEVACTB. There is no system management mode, so APMC_EN (bit 25) is set from the start:
	 * firmware takes that as "SMM is set up already" and doesn't wait for an SMI. */
	{0x58, 4, 0x02000000, 0x03ffffff},
	{0x5c, 4, 0x00000000, 0xffffffff}, /* DEVRESA */
	{0x60, 4, 0x00000000, 0xffffffff}, /* DEVRESB */
	{0x64, 4, 0x00000000, 0xffffffff}, /* DEVRESC */
	{0x68, 4, 0x00000000, 0xffffffff}, /* DEVRESE */
	{0x6c, 4, 0x00000000, 0xffffffff}, /* DEVRESF */
	{0x70, 4, 0x00000000, 0xffffffff}, /* DEVRESG */
	{0x74, 4, 0x00000000, 0xffffffff}, /* DEVRESH */
	{0x78, 4, 0x00000000, 0xffffffff}, /* DEVRESI */
	{0x7c, 4, 0x00000000, 0xffffffff}, /* DEVRESJ */
	{0x80, 1, 0x00, 0x01},             /* PMREGMISC */
	{0x90, 4, 0x00000001, 0x0000fff0}, /* SMBBA */
	{0xd2, 1, 0x00, 0x0f},             /* SMBHSTCFG */
	{0xd3, 1, 0x00, 0xff},             /* SMBSLVC */
	{0xd4, 2, 0x0000, 0xffff},         /* SMBSHDW1, SMBSHDW2 */
	/* clang-format on */
};

static void pm_update(struct piix4_pm *p, bool always)
{
	bool enabled = GET(p->s.pci.cfg[PIIX4_PMREGMISC], PMREGMISC_PMIOSE);
	uint16_t base = ld_le16(&p->s.pci.cfg[PIIX4_PMBA]) & 0xffc0;

	if (!always && enabled == p->pm_enabled && base == p->pm_base)
		return;
	p->pm_enabled = enabled;
	p->pm_base = base;
	if (p->pm_moved)
		p->pm_moved(p->pm_ctx, enabled, base);
}

/* 7.2.3, 7.2.4: SMBBA counts while PCICMD and SMBHSTCFG enable it. */
static void smb_update(struct piix4_pm *p, bool always)
{
	const uint8_t *cfg = p->s.pci.cfg;
	bool enabled = (cfg[PCI_COMMAND] & PCI_COMMAND_IO) && (cfg[0xd2] & 1);
	uint16_t base = ld_le16(&cfg[0x90]) & 0xfff0;

	if (!always && enabled == p->smb_enabled && base == p->smb_base)
		return;
	p->smb_enabled = enabled;
	p->smb_base = base;
	if (p->smb_moved)
		p->smb_moved(p->smb_ctx, enabled, base);
}

static void pm_config_written(struct pci_func *f, unsigned off, unsigned size)
{
	(void)off, (void)size;
	pm_update(CONTAINER_OF(f, struct piix4_pm, f), false);
	smb_update(CONTAINER_OF(f, struct piix4_pm, f), false);
}

static void pm_unrealize(struct dev *d)
{
	pci_func_done(&CONTAINER_OF(d, struct piix4_pm, dev)->f);
}

static int pm_realize(struct dev *d, struct error *err)
{
	struct piix4_pm *p = CONTAINER_OF(d, struct piix4_pm, dev);
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x7113,
					   .revision = 3,
					   .cls = 0x0680,
					   .interrupt_pin = 1};

	if (!p->bus)
		return error_set(err, -EINVAL,
				 "the PIIX4 PM function needs a PCI bus: wire 'bus' "
				 "first");
	pci_func_init(&p->f, d, &p->s.pci, &ids);
	config_rows(&p->f, pm_rows, ARRAY_SIZE(pm_rows));
	st_le16(&p->f.w1c[PCI_STATUS], 0x0800);
	p->f.config_written = pm_config_written;
	return pci_func_add(&p->f, p->bus, p->devfn ? p->devfn : PCI_DEVFN(1, 3), err);
}

static void pm_reset(struct dev *d, enum dev_reset kind)
{
	struct piix4_pm *p = CONTAINER_OF(d, struct piix4_pm, dev);

	pci_func_reset(&p->f, kind);
	pm_update(p, true);
	smb_update(p, true);
}

static int pm_loaded(struct dev *d, struct error *err)
{
	struct piix4_pm *p = CONTAINER_OF(d, struct piix4_pm, dev);
	int r = pci_func_loaded(&p->f, err);

	if (r == 0) {
		pm_update(p, true);
		smb_update(p, true);
	}
	return r;
}

const struct dev_class piix4_pm_class = {
	.name = "piix4-pm",
	.summary = "PIIX4 power management function: places the ACPI registers",
	.spec = "Intel 82371AB data sheet 290562-001, April 1997, chapter 7",
	.size = sizeof(struct piix4_pm),
	.regs_offset = offsetof(struct piix4_pm, s),
	.state = &pm_state,
	.realize = pm_realize,
	.unrealize = pm_unrealize,
	.reset = pm_reset,
	.loaded = pm_loaded,
};
