/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 82441FX PCI and memory controller, data sheet 290549-001: configuration registers
 * (chapter 3.2), programmable attribute map (3.2.18), SMRAM (3.2.24).
 *
 * The attribute map itself is in pam.c.
 *
 * INTx of device d pin p goes to PIRQ (p + d - 1) mod 4, the wiring of the common boards with this
 * chip set.
 *
 * UNMODELLED: system management mode (DCLS and SMRAME have no effect of their own: SMRAM is visible
 * while DOPEN and SMRAME are set, and hidden otherwise); DRAM geometry (DRB, DRT hold what is
 * written); the fixed hole FDHC.
 */
#include "device/pci/i440fx.h"

#include "base/bits.h"

#include <errno.h>

static const struct state_field i440fx_fields[] = {
	STATE_STRUCT(struct i440fx_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct i440fx_regs, host, pci_host_regs_fields),
	STATE_PAD(struct i440fx_regs, pad_),
	STATE_END,
};
static const struct state_desc i440fx_state =
	STATE_DESC("i440fx", 1, struct i440fx_regs, i440fx_fields);

REG(I440FX_PAM0, 0x59)
REG(I440FX_SMRAM, 0x72)
FIELD(SMRAM_DOPEN, 6, 1)
FIELD(SMRAM_DLCK, 4, 1)
FIELD(SMRAM_SMRAME, 3, 1)

/* Device-specific registers: reset contents and writable bits (data sheet table 3-2 and 3.2.x). */
static const struct {
	uint8_t reg, size;
	uint32_t reset, wmask;
} i440fx_registers[] = {
	/* clang-format off */
	{0x04, 2, 0x0006, 0x0140}, /* PCICMD: memory and master are always on */
	{0x06, 2, 0x0280, 0},      /* PCISTS: medium DEVSEL#, fast back-to-back */
	{0x0c, 1, 0x00, 0x00},     /* no cache line size register */
	{0x0d, 1, 0x00, 0xf8},     /* MLT */
	{0x50, 2, 0x0000, 0xcf70}, /* PMCCFG */
	{0x52, 1, 0x00, 0xc7},     /* DETURBO */
	{0x53, 1, 0x83, 0xff},     /* DBC */
	{0x54, 1, 0x02, 0x02},     /* AXC */
	{0x55, 2, 0x0000, 0xffff}, /* DRT */
	{0x57, 1, 0x01, 0x37},     /* DRAMC */
	{0x58, 1, 0x10, 0x7f},     /* DRAMT */
	{0x59, 1, 0x00, 0x30},     /* PAM0 */
	{0x5a, 2, 0x0000, 0x3333}, /* PAM1, PAM2 */
	{0x5c, 4, 0x0000, 0x33333333}, /* PAM3..PAM6 */
	{0x60, 4, 0x01010101, 0xffffffff}, /* DRB0..3 */
	{0x64, 4, 0x01010101, 0xffffffff}, /* DRB4..7 */
	{0x68, 1, 0x00, 0xc0},     /* FDHC */
	{0x70, 1, 0x20, 0xf8},     /* MTT */
	{0x71, 1, 0x10, 0xff},     /* CLT */
	{0x72, 1, 0x02, 0x78},     /* SMRAM: DBASESEG reads 010b */
	{0x90, 1, 0x00, 0x1b},     /* ERRCMD */
	{0x93, 1, 0x00, 0x0f},     /* TRC */
	/* clang-format on */
};

/* ---- configuration space ---- */

/* DLCK closes SMRAM and makes SMRAM read-only until reset (data sheet 3.2.24). */
static void smram_lock(struct i440fx *hb)
{
	bool locked = GET(hb->s.pci.cfg[I440FX_SMRAM], SMRAM_DLCK);

	if (locked)
		hb->s.pci.cfg[I440FX_SMRAM] &= (uint8_t)~SMRAM_DOPEN_MASK;
	hb->f.wmask[I440FX_SMRAM] = locked ? 0x28 : 0x78;
}

static void update(struct i440fx *hb)
{
	uint8_t smram = hb->s.pci.cfg[I440FX_SMRAM];

	pam_update(&hb->pam, GET(smram, SMRAM_DOPEN) && GET(smram, SMRAM_SMRAME));
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	struct i440fx *hb = CONTAINER_OF(f, struct i440fx, f);

	if (off + size <= I440FX_PAM0 || off > I440FX_SMRAM)
		return;
	smram_lock(hb);
	update(hb);
}

static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx;
	return (pin + (devfn >> 3) + 3) & 3; /* + device - 1 */
}

/* ---- lifecycle ---- */

static void i440fx_unrealize(struct dev *d)
{
	struct i440fx *hb = CONTAINER_OF(d, struct i440fx, dev);

	pam_done(&hb->pam);
	pci_host_done(&hb->host);
	pci_func_done(&hb->f);
}

static int i440fx_realize(struct dev *d, struct error *err)
{
	struct i440fx *hb = CONTAINER_OF(d, struct i440fx, dev);
	const struct pci_ids ids = {.vendor = 0x8086,
				    .device = 0x1237,
				    .subsystem_vendor = hb->subsystem_vendor,
				    .subsystem = hb->subsystem,
				    .revision = 0x02,
				    .cls = 0x0600};
	int r = 0;

	if (hb->pam.ram && hb->pam.ram->size < MIB)
		return error_set(err, -EINVAL,
				 "the 440FX needs at least 1 MiB of RAM, the block '%s' has %llu "
				 "bytes",
				 hb->pam.ram->name, (unsigned long long)hb->pam.ram->size);
	pci_bus_init(&hb->bus, d->sv->bus, route, hb);
	pci_func_init(&hb->f, d, &hb->s.pci, &ids);
	for (unsigned i = 0; i < ARRAY_SIZE(i440fx_registers); i++)
		pci_config_def(&hb->f, i440fx_registers[i].reg, i440fx_registers[i].size,
			       i440fx_registers[i].reset, i440fx_registers[i].wmask);
	st_le16(&hb->f.w1c[PCI_STATUS], 0x7000);
	hb->f.w1c[0x91] = 0x11; /* ERRSTS */
	if (hb->shadow_at_reset) {
		hb->f.reset[I440FX_PAM0] = 0x30;
		memset(&hb->f.reset[I440FX_PAM0 + 1], 0x33, 6);
	}
	hb->f.config_written = config_written;
	r = pci_func_add(&hb->f, &hb->bus, PCI_DEVFN(0, 0), err);
	if (r < 0)
		return r;
	r = pam_init(&hb->pam, d, &hb->s.pci.cfg[I440FX_PAM0], err);
	if (r < 0)
		return r;
	return pci_host_init(&hb->host, &hb->bus, &hb->s.host, err);
}

static void i440fx_reset(struct dev *d, enum dev_reset kind)
{
	struct i440fx *hb = CONTAINER_OF(d, struct i440fx, dev);

	pci_func_reset(&hb->f, kind);
	hb->s.host.confadd = 0;
	smram_lock(hb);
	update(hb);
}

static int i440fx_loaded(struct dev *d, struct error *err)
{
	struct i440fx *hb = CONTAINER_OF(d, struct i440fx, dev);

	hb->f.wmask[I440FX_SMRAM] = 0x78;
	int r = pci_func_loaded(&hb->f, err);
	if (r < 0)
		return r;
	hb->s.host.confadd &= 0x80fffffcu;
	smram_lock(hb);
	update(hb);
	return 0;
}

const struct dev_class i440fx_class = {
	.name = "i440fx",
	.summary = "440FX host bridge: PCI bus 0, PAM",
	.spec = "Intel 82441FX data sheet 290549-001, May 1996",
	.size = sizeof(struct i440fx),
	.regs_offset = offsetof(struct i440fx, s),
	.state = &i440fx_state,
	.realize = i440fx_realize,
	.unrealize = i440fx_unrealize,
	.reset = i440fx_reset,
	.loaded = i440fx_loaded,
};
