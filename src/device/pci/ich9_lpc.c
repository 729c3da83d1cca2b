/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LPC interface bridge (device 31, function 0) and chip set configuration registers of the ICH9:
 * Intel I/O Controller Hub 9 family data sheet 316972-004, chapters 13.1 and 10.1.
 *
 *   40h PMBASE, 44h ACPI_CNTL    the power management block (device/acpi/acpi_pm.c)
 *   60h-63h, 68h-6bh             PIRQ[A-H]_ROUT: interrupt of the 8259s; bit 7: none
 *   f0h RCBA                     16 KiB of chip set registers
 *
 * PIRQ A to H are IOAPIC inputs 16 to 23, and whichever 8259 interrupt their route names. Which
 * PIRQ a pin of a device on bus 0 is, the DnnIR registers say for the chip set's own devices 25 to
 * 31 (10.1.40 to 10.1.47); for others, which real boards don't have there, the four pins of device
 * n are PIRQ E to H, turned by n.
 *
 * UNMODELLED: LPC decode ranges, GPIO, BIOS control, TCO, SMIs but for port b2h (these hold what is
 * written or read as zero); HPTC: the HPET always decodes; function disable.
 */
#include "device/pci/ich9_lpc.h"

#include <errno.h>

#include "base/bits.h"

enum {
	LPC_PMBASE = 0x40,
	LPC_ACPI_CNTL = 0x44,
	ACPI_CNTL_ENABLE = 0x80,
	LPC_GEN_PMCON_1 = 0xa0,
	GEN_PMCON_1_SMI_LOCK = 0x10,
	LPC_PIRQA = 0x60,
	LPC_PIRQE = 0x68,
	PIRQ_NONE = 0x80,
	LPC_RCBA = 0xf0,
	RCBA_ENABLE = 1,
	RCBA_SIZE = 0x4000
};

/* Interrupts a PIRQ may be routed to: not 0, 1, 2, 8 and 13 (13.1.14). */
#define PIRQ_ALLOWED 0xdef8u

struct row {
	uint16_t reg;
	uint8_t size;
	uint32_t reset, wmask;
};

/* clang-format off */
static const struct row config_rows[] = { /* table 13-1 */
	{0x04, 2, 0x0007, 0x0140}, /* PCICMD */
	{0x06, 2, 0x0210, 0},      /* PCISTS */
	{0x0c, 2, 0x0000, 0},
	{0x40, 4, 0x00000001, 0x0000ff80}, /* PMBASE */
	{0x44, 1, 0x00, 0x87},     /* ACPI_CNTL */
	{0x48, 4, 0x00000001, 0x0000ffc0}, /* GPIOBASE */
	{0x4c, 1, 0x00, 0x13},     /* GC */
	{0x60, 4, 0x80808080, 0x8f8f8f8f}, /* PIRQ[A-D]_ROUT */
	{0x64, 1, 0x10, 0xd3},     /* SIRQ_CNTL */
	{0x68, 4, 0x80808080, 0x8f8f8f8f}, /* PIRQ[E-H]_ROUT */
	{0x6c, 2, 0x00f8, 0xffff}, /* LPC_IBDF */
	{0x80, 2, 0x0000, 0x1377}, /* LPC_I/O_DEC */
	{0x82, 2, 0x0000, 0x3f0f}, /* LPC_EN */
	{0x84, 4, 0x00000000, 0x00fcfffd}, /* GEN1_DEC to GEN4_DEC */
	{0x88, 4, 0x00000000, 0x00fcfffd},
	{0x8c, 4, 0x00000000, 0x00fcfffd},
	{0x90, 4, 0x00000000, 0x00fcfffd},
	{0xa0, 2, 0x0000, 0x0fff}, /* GEN_PMCON_1 */
	{0xa4, 1, 0x00, 0xff},     /* GEN_PMCON_3 */
	{0xb8, 4, 0x00000000, 0xffffffff}, /* GPI_ROUT */
	{0xd0, 4, 0x00112233, 0xffffffff}, /* FWH_SEL1 */
	{0xd4, 2, 0x4567, 0xffff}, /* FWH_SEL2 */
	{0xd8, 2, 0xffcf, 0x7fff}, /* FWH_DEC_EN1 */
	{0xdc, 1, 0x00, 0x1f},     /* BIOS_CNTL */
	{0xf0, 4, 0x00000000, 0xffffc001}, /* RCBA */
};

enum { RCBA_D28IR = 0x3146 };

static const struct row chip_rows[] = { /* table 10-1 */
	{0x3100, 4, 0x03243200, 0xffffffff}, /* D31IP */
	{0x3104, 4, 0x00000000, 0},          /* D30IP */
	{0x3108, 4, 0x10004321, 0xffffffff}, /* D29IP */
	{0x310c, 4, 0x00214321, 0xffffffff}, /* D28IP */
	{0x3110, 4, 0x00000001, 0xffffffff}, /* D27IP */
	{0x3114, 4, 0x30000321, 0xffffffff}, /* D26IP */
	{0x3118, 4, 0x00000001, 0xffffffff}, /* D25IP */
	{0x3140, 2, 0x3210, 0x7777},         /* D31IR */
	{0x3142, 2, 0x0000, 0x0000},         /* D30IR */
	{0x3144, 2, 0x3210, 0x7777},         /* D29IR */
	{0x3146, 2, 0x3210, 0x7777},         /* D28IR */
	{0x3148, 2, 0x3210, 0x7777},         /* D27IR */
	{0x314c, 2, 0x3210, 0x7777},         /* D26IR */
	{0x3150, 2, 0x3210, 0x7777},         /* D25IR */
	{0x31ff, 1, 0x01, 0x03},             /* OIC: the IOAPIC is enabled */
	{0x3400, 4, 0x00000000, 0x00000004}, /* RC */
	{0x3404, 4, 0x00000080, 0x00000083}, /* HPTC: at fed00000h, enabled */
	{0x3410, 4, 0x00000020, 0x00000fe7}, /* GCS: no reboot by the TCO timer */
	{0x3414, 1, 0x00, 0xff},             /* BUC */
	{0x3418, 4, 0x00000000, 0xffffffff}, /* FD */
};
/* clang-format on */

static struct ich9_lpc *to_lpc(struct dev *d)
{
	return CONTAINER_OF(d, struct ich9_lpc, dev);
}

static uint8_t *chip_reg(struct ich9_lpc *p, unsigned reg)
{
	return &p->s.chip[reg - ICH9_RCBA_FIRST];
}

/* ---- interrupts ---- */

static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	static const uint16_t ir[32] = {[25] = 0x3150,     [26] = 0x314c, [27] = 0x3148,
					[28] = RCBA_D28IR, [29] = 0x3144, [31] = 0x3140};
	struct ich9_lpc *p = ctx;
	unsigned device = devfn >> 3;

	if (ir[device])
		return ld_le16(chip_reg(p, ir[device])) >> 4 * pin & 7;
	return 4 + ((device + pin) & 3);
}

static uint8_t rout(const struct ich9_lpc *p, unsigned n)
{
	return p->s.pci.cfg[n < 4 ? LPC_PIRQA + n : LPC_PIRQE + n - 4];
}

static void pic_update(struct ich9_lpc *p)
{
	uint32_t high = 0;

	for (unsigned n = 0; n < 8; n++)
		if (p->s.pirq[n] && !(rout(p, n) & PIRQ_NONE))
			high |= 1u << (rout(p, n) & 15);
	high &= PIRQ_ALLOWED;
	for (unsigned i = 0; i < 16; i++)
		irq_set(&p->pic[i], high & (1u << i));
}

static void set_pirq(void *ctx, unsigned n, bool level)
{
	struct ich9_lpc *p = ctx;

	p->s.pirq[n & 7] = level;
	irq_set(&p->apic[n & 7], level);
	pic_update(p);
}

/* ---- chip set registers ---- */

static uint64_t rcba_read(void *ctx, uint64_t off, unsigned size)
{
	struct ich9_lpc *p = ctx;

	if (off < ICH9_RCBA_FIRST || off + size > ICH9_RCBA_FIRST + ICH9_RCBA_BYTES)
		return 0;
	return ld_le(chip_reg(p, (unsigned)off), size);
}

static void rcba_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct ich9_lpc *p = ctx;
	bool routes = off < 0x3152 && off + size > 0x3140;

	for (size_t i = 0; i < ARRAY_SIZE(chip_rows); i++) {
		const struct row *row = &chip_rows[i];

		for (unsigned b = 0; b < row->size; b++) {
			uint8_t *reg = chip_reg(p, row->reg + b),
				w = (uint8_t)(row->wmask >> 8 * b);

			if (row->reg + b < off || row->reg + b >= off + size)
				continue;
			*reg = (uint8_t)((*reg & ~w) | ((val >> 8 * (row->reg + b - off)) & w));
		}
	}
	if (routes)
		pci_bus_reroute(p->bus);
}

static void chip_reset(struct ich9_lpc *p)
{
	memset(p->s.chip, 0, sizeof(p->s.chip));
	for (size_t i = 0; i < ARRAY_SIZE(chip_rows); i++)
		st_le(chip_reg(p, chip_rows[i].reg), chip_rows[i].size, chip_rows[i].reset);
}

static void rcba_update(struct ich9_lpc *p)
{
	uint32_t reg = ld_le32(&p->s.pci.cfg[LPC_RCBA]);
	uint64_t at = align_down(reg, (uint64_t)RCBA_SIZE);
	struct error err = {0};

	if (p->rcba.mapped && (reg & RCBA_ENABLE) && p->rcba_at == at)
		return;
	bus_unmap_mmio(p->dev.sv->bus, &p->rcba);
	p->rcba_at = at;
	if ((reg & RCBA_ENABLE) &&
	    bus_map_mmio(p->dev.sv->bus, &p->rcba, at, MEM_PRIO_LOW + 2, &err) < 0)
		guest_error(&p->dev, "RCBA: %s", err.text);
}

/* ---- configuration space ---- */

static void pm_update(struct ich9_lpc *p, bool always)
{
	bool enabled = p->s.pci.cfg[LPC_ACPI_CNTL] & ACPI_CNTL_ENABLE;
	uint16_t base = ld_le16(&p->s.pci.cfg[LPC_PMBASE]) & 0xff80;

	if (!always && enabled == p->pm_enabled && base == p->pm_base)
		return;
	p->pm_enabled = enabled;
	p->pm_base = base;
	if (p->pm_moved)
		p->pm_moved(p->pm_ctx, enabled, base);
}

/* GEN_PMCON_1.SMI_LOCK stays set until reset (13.8.1.1). */
static void lock_update(struct ich9_lpc *p)
{
	bool locked = p->s.pci.cfg[LPC_GEN_PMCON_1] & GEN_PMCON_1_SMI_LOCK;

	p->f.wmask[LPC_GEN_PMCON_1] = locked ? 0xff & ~GEN_PMCON_1_SMI_LOCK : 0xff;
	if (p->smi_locked)
		p->smi_locked(p->pm_ctx, locked);
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct ich9_lpc *p = CONTAINER_OF(f, struct ich9_lpc, f);

	if (off < LPC_ACPI_CNTL + 1 && off + size > LPC_PMBASE)
		pm_update(p, false);
	if (off < LPC_PIRQE + 4 && off + size > LPC_PIRQA)
		pic_update(p);
	if (off <= LPC_GEN_PMCON_1 && off + size > LPC_GEN_PMCON_1)
		lock_update(p);
	if (off + size > LPC_RCBA)
		rcba_update(p);
}

/* ---- life ---- */

static int lpc_realize(struct dev *d, struct error *err)
{
	struct ich9_lpc *p = to_lpc(d);
	static const struct pci_ids ids = {.vendor = 0x8086,
					   .device = 0x2918,
					   .revision = 0x02,
					   .cls = 0x0601,
					   .header_type = 0x80};
	int r;

	if (!p->bus)
		return error_set(err, -EINVAL, "the ICH9 needs a PCI bus: wire 'bus' first");
	pci_func_init(&p->f, d, &p->s.pci, &ids);
	for (size_t i = 0; i < ARRAY_SIZE(config_rows); i++)
		pci_config_def(&p->f, config_rows[i].reg, config_rows[i].size, config_rows[i].reset,
			       config_rows[i].wmask);
	st_le16(&p->f.w1c[PCI_STATUS], 0xf900);
	p->f.config_written = config_written;
	p->rcba = (struct bus_region){.name = "ich9-rcba",
				      .size = RCBA_SIZE,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_124,
				      .read = rcba_read,
				      .write = rcba_write,
				      .ctx = p};
	chip_reset(p);
	r = pci_func_add(&p->f, p->bus, PCI_DEVFN(ICH9_LPC_DEVICE, 0), err);
	if (r < 0)
		return r;
	p->bus->route = route;
	p->bus->route_ctx = p;
	pci_bus_set_pirq(p->bus, set_pirq, p);
	return 0;
}

static void lpc_unrealize(struct dev *d)
{
	struct ich9_lpc *p = to_lpc(d);

	if (p->bus && p->bus->pirq_ctx == p)
		pci_bus_set_pirq(p->bus, NULL, NULL);
	bus_unmap_mmio(d->sv->bus, &p->rcba);
	pci_func_done(&p->f);
}

static void lpc_reset(struct dev *d, enum dev_reset kind)
{
	struct ich9_lpc *p = to_lpc(d);

	/* pirq[] mirrors wires, which other functions drive: not ours to reset. */
	pci_func_reset(&p->f, kind);
	chip_reset(p);
	pci_bus_reroute(p->bus);
	pic_update(p);
	rcba_update(p);
	pm_update(p, true);
	lock_update(p);
}

static int lpc_loaded(struct dev *d, struct error *err)
{
	struct ich9_lpc *p = to_lpc(d);
	uint8_t want[ICH9_RCBA_BYTES];
	int r;

	p->f.wmask[LPC_GEN_PMCON_1] = 0xff;
	r = pci_func_loaded(&p->f, err);
	if (r < 0)
		return r;
	memcpy(want, p->s.chip, sizeof(want));
	chip_reset(p);
	for (size_t i = 0; i < ARRAY_SIZE(chip_rows); i++) {
		unsigned at = chip_rows[i].reg - ICH9_RCBA_FIRST;
		uint32_t w = chip_rows[i].wmask;
		uint64_t have = ld_le(&p->s.chip[at], chip_rows[i].size);

		st_le(&p->s.chip[at], chip_rows[i].size,
		      (have & ~(uint64_t)w) | (ld_le(want + at, chip_rows[i].size) & w));
	}
	/* Levels are what the wires say: a function that never was high does not get low again. */
	pci_bus_reroute(p->bus);
	pci_bus_set_pirq(p->bus, set_pirq, p);
	pic_update(p);
	rcba_update(p);
	pm_update(p, true);
	lock_update(p);
	return 0;
}

static const struct state_field lpc_fields[] = {
	STATE_STRUCT(struct ich9_lpc_regs, pci, pci_regs_fields),
	STATE_BYTES_OF(struct ich9_lpc_regs, chip),
	STATE_ARRAY(struct ich9_lpc_regs, pirq),
	STATE_END,
};
static const struct state_desc lpc_state =
	STATE_DESC("ich9-lpc", 1, struct ich9_lpc_regs, lpc_fields);

const struct dev_class ich9_lpc_class = {
	.name = "ich9-lpc",
	.summary = "ICH9 LPC bridge: PIRQ routing, chip set registers",
	.spec = "Intel ICH9 family data sheet 316972-004, chapters 10.1 and 13.1",
	.size = sizeof(struct ich9_lpc),
	.regs_offset = offsetof(struct ich9_lpc, s),
	.state = &lpc_state,
	.realize = lpc_realize,
	.unrealize = lpc_unrealize,
	.reset = lpc_reset,
	.loaded = lpc_loaded,
};
