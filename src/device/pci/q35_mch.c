/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory controller hub of Intel's 3 Series Express Chipset Family, device 0: data sheet
 * 316966-002, chapter 5.1 ("DRAM controller registers").
 *
 *   60h PCIEXBAR   memory-mapped configuration space: bus << 20 | device << 15 | function << 12
 *   90h PAM0..6    who answers from C0000h to FFFFFh (pam.c)
 *   9dh SMRAM      the window at A0000h
 *   9eh ESMRAMC    TSEG: the end of low RAM, for system management mode alone
 *
 * Extended configuration space (100h-fffh) of every function reads as zeros: no capabilities.
 *
 * Only firmware that needs it gets system management mode (`smm`); without, SMRAM is visible while
 * D_OPEN and G_SMRAME are set, and TSEG doesn't exist. 50h, reserved in the data sheet, is how EDK2
 * asks virtual machines for a TSEG of another size: FFFFh written there reads as that many MiB, and
 * TSEG_SZ = 11b chooses it (OvmfPkg/Include/IndustryStandard/Q35MchIch9.h names the registers).
 *
 * UNMODELLED: high SMRAM (H_SMRAME), SMRAM errors; EPBAR, MCHBAR, DMIBAR, remapping and DRAM limits
 * hold what is written; the graphics port (device 1) and device 2.
 */
#include "device/pci/q35_mch.h"

#include <errno.h>

#include "base/bits.h"

enum { MCH_PCIEXBAR = 0x60, MCH_PAM0 = 0x90, MCH_SMRAM = 0x9d };
enum { MCH_EXT_TSEG = 0x50, MCH_ESMRAMC = 0x9e, EXT_TSEG_MIB = 16 };
enum { TSEG_ENABLE = 0x01, TSEG_SIZE_SHIFT = 1 };
enum { PCIEXBAR_ENABLE = 1 };
enum { SMRAM_OPEN = 0x40, SMRAM_CLOSED = 0x20, SMRAM_LOCK = 0x10, SMRAM_ENABLE = 0x08 };

static const struct state_field mch_fields[] = {
	STATE_STRUCT(struct q35_mch_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct q35_mch_regs, host, pci_host_regs_fields),
	STATE_PAD(struct q35_mch_regs, pad_),
	STATE_END,
};
static const struct state_desc mch_state =
	STATE_DESC("q35-mch", 1, struct q35_mch_regs, mch_fields);

/* Table 5-1: reset contents, writable bits. */
static const struct {
	uint8_t reg, size;
	uint32_t reset, wmask;
} rows[] = {
	/* clang-format off */
	{0x04, 2, 0x0006, 0x0100}, /* PCICMD: memory and master are always on */
	{0x06, 2, 0x0090, 0},      /* PCISTS: capability list, fast back-to-back */
	{0x0c, 2, 0x0000, 0},
	{0x34, 1, 0xe0, 0},        /* CAPPTR */
	{0x40, 4, 0, 0xfffff001}, {0x44, 4, 0, 0x0000000f}, /* EPBAR */
	{0x48, 4, 0, 0xffffc001}, {0x4c, 4, 0, 0x0000000f}, /* MCHBAR */
	{0x52, 2, 0x0030, 0x0072}, /* GGC */
	{0x54, 4, 0x00000001, 0},  /* DEVEN: device 0 only */
	{0x60, 4, 0xe0000000, 0xfc000007}, {0x64, 4, 0, 0x0000000f}, /* PCIEXBAR */
	{0x68, 4, 0, 0xfffff001}, {0x6c, 4, 0, 0x0000000f}, /* DMIBAR */
	{0x90, 1, 0x00, 0x30},     /* PAM0 */
	{0x91, 2, 0x0000, 0x3333}, {0x93, 4, 0, 0x33333333}, /* PAM1 to PAM6 */
	{0x97, 1, 0x00, 0x83},     /* LAC */
	{0x98, 2, 0x03ff, 0x03ff}, {0x9a, 2, 0x0000, 0x03ff}, /* REMAPBASE, REMAPLIMIT */
	{0x9d, 1, 0x02, 0x78},     /* SMRAM: C_BASE_SEG reads 010b */
	{0x9e, 1, 0x38, 0x00},     /* ESMRAMC: no TSEG */
	{0xa0, 2, 0x0001, 0x01ff}, {0xa2, 2, 0x0000, 0xffff}, /* TOM, TOUUD */
	{0xa4, 4, 0, 0xfff00000}, {0xa8, 4, 0, 0xfff00000}, /* GBSM, BGSM */
	{0xac, 4, 0, 0xfff00000}, /* TSEGMB: holds what is written; TSEG ends where RAM does */
	{0xb0, 2, 0x0010, 0xfff0}, /* TOLUD */
	{0xca, 2, 0x0000, 0x1fff}, /* ERRCMD */
	{0xdc, 4, 0x00000000, 0xffffffff}, /* SKPD */
	{0xe0, 4, 0x010b0009, 0},  /* CAPID0: vendor capability of 11 bytes, version 1 */
	/* clang-format on */
};

/* ---- memory-mapped configuration space: 5.1.12, and PCI Express 3.0, 7.2.2 ---- */

static struct pci_bus *ecam_bus(struct q35_mch *h, uint64_t off)
{
	return pci_bus_find(&h->bus, (unsigned)(off >> 20));
}

static uint64_t ecam_read(void *ctx, uint64_t off, unsigned size)
{
	struct q35_mch *h = ctx;
	struct pci_bus *pb = ecam_bus(h, off);
	uint8_t devfn = (uint8_t)(off >> 12);
	unsigned reg = off & 0xfff;

	if (!pb || !pb->func[devfn] || pb->func[devfn]->r->hidden)
		return mask_bytes(size);
	return reg < PCI_CONFIG_SIZE ? pci_bus_config_read(pb, devfn, reg, size) : 0;
}

static void ecam_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct q35_mch *h = ctx;
	struct pci_bus *pb = ecam_bus(h, off);
	unsigned reg = off & 0xfff;

	if (pb && reg < PCI_CONFIG_SIZE)
		pci_bus_config_write(pb, (uint8_t)(off >> 12), reg, size, (uint32_t)val);
}

/* Length 00b 256 MiB, 01b 128, 10b 64, and the base is aligned to it. */
static void ecam_update(struct q35_mch *h)
{
	uint64_t reg = ld_le64(&h->s.pci.cfg[MCH_PCIEXBAR]);
	unsigned length = (unsigned)(reg >> 1) & 3;
	uint64_t size = (256 * MIB) >> MIN(length, 2u), at = align_down(reg & ~7ull, size);
	bool on = (reg & PCIEXBAR_ENABLE) && length < 3;
	struct error err = {0};

	if (h->ecam.mapped && on && h->ecam_at == at && h->ecam.size == size)
		return;
	mem_map_begin(h->dev.sv->mem);
	bus_unmap_mmio(h->dev.sv->bus, &h->ecam);
	h->ecam.size = size;
	h->ecam_at = at;
	/* Below RAM and the devices of the chip set, above BARs. */
	if (on && bus_map_mmio(h->dev.sv->bus, &h->ecam, at, MEM_PRIO_LOW + 1, &err) < 0)
		guest_error(&h->dev, "PCIEXBAR: %s", err.text);
	mem_map_commit(h->dev.sv->mem);
}

/* ---- configuration space ---- */

/* D_LCK closes SMRAM and makes the register read-only until reset (5.1.26). */
static void smram_lock(struct q35_mch *h)
{
	uint8_t *smram = &h->s.pci.cfg[MCH_SMRAM];

	if (*smram & SMRAM_LOCK)
		*smram &= (uint8_t)~SMRAM_OPEN;
	h->f.wmask[MCH_SMRAM] = *smram & SMRAM_LOCK ? 0x20 : 0x78;
	h->f.wmask[MCH_ESMRAMC] = h->smm && !(*smram & SMRAM_LOCK) ? 0x07 : 0;
}

static uint64_t ones_read(void *ctx, uint64_t off, unsigned size)
{
	return mask_bytes(size);
}

static void lost_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
}

/* 5.1.27: at the end of low RAM; hidden from everyone but system management mode. */
static void tseg_update(struct q35_mch *h, bool enabled)
{
	static const uint8_t mib[4] = {1, 2, 8, EXT_TSEG_MIB};
	uint8_t reg = h->s.pci.cfg[MCH_ESMRAMC];
	uint64_t size = mib[reg >> TSEG_SIZE_SHIFT & 3] * MIB;
	struct mem_space *mem = h->dev.sv->mem;
	struct error err = {0};

	if (!(reg & TSEG_ENABLE) || !h->pam.ram || size > h->low_end - MIB)
		enabled = false;
	if (h->tseg.mapped && enabled && h->tseg.size == size)
		return;
	mem_smram_set(mem, 1, 0, NULL, 0, 0);
	bus_unmap_mmio(h->dev.sv->bus, &h->tseg);
	if (!enabled)
		return;
	h->tseg.size = size;
	if (bus_map_mmio(h->dev.sv->bus, &h->tseg, h->low_end - size, MEM_PRIO_TOP, &err) < 0)
		guest_error(&h->dev, "TSEG: %s", err.text);
	else
		mem_smram_set(mem, 1, h->low_end - size, h->pam.ram, h->low_end - size, size);
}

static void smm_update(struct q35_mch *h)
{
	uint8_t smram = h->s.pci.cfg[MCH_SMRAM];
	bool enabled = smram & SMRAM_ENABLE, low = enabled && !(smram & SMRAM_CLOSED);

	if (ld_le16(&h->s.pci.cfg[MCH_EXT_TSEG]) == 0xffff)
		st_le16(&h->s.pci.cfg[MCH_EXT_TSEG], EXT_TSEG_MIB);
	mem_smram_set(h->dev.sv->mem, 0, 0xa0000, h->pam.ram, 0xa0000,
		      low && h->pam.ram ? 0x20000 : 0);
	tseg_update(h, enabled);
}

static void update(struct q35_mch *h)
{
	uint8_t smram;

	smram_lock(h);
	smram = h->s.pci.cfg[MCH_SMRAM];
	if (h->smm)
		smm_update(h);
	pam_update(&h->pam, (smram & SMRAM_OPEN) && (smram & SMRAM_ENABLE));
	ecam_update(h);
}

static void config_written(struct pci_func *f, unsigned off, unsigned size)
{
	if (off + size > MCH_EXT_TSEG && off <= MCH_ESMRAMC)
		update(CONTAINER_OF(f, struct q35_mch, f));
}

/* Until the ISA bridge, which has the routing registers, takes over. */
static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx, (void)devfn;
	return pin;
}

/* ---- life ---- */

static int mch_realize(struct dev *d, struct error *err)
{
	struct q35_mch *h = CONTAINER_OF(d, struct q35_mch, dev);
	const struct pci_ids ids = {.vendor = 0x8086,
				    .device = 0x29c0,
				    .subsystem_vendor = h->subsystem_vendor,
				    .subsystem = h->subsystem,
				    .revision = 0x02,
				    .cls = 0x0600};
	int r;

	if (h->pam.ram && h->pam.ram->size < MIB)
		return error_set(err, -EINVAL,
				 "the MCH needs at least 1 MiB of RAM, the block '%s' has %llu "
				 "bytes",
				 h->pam.ram->name, (unsigned long long)h->pam.ram->size);
	pci_bus_init(&h->bus, d->sv->bus, route, h);
	pci_func_init(&h->f, d, &h->s.pci, &ids);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		pci_config_def(&h->f, rows[i].reg, rows[i].size, rows[i].reset, rows[i].wmask);
	st_le16(&h->f.w1c[PCI_STATUS], 0x7100);
	st_le16(&h->f.w1c[0xc8], 0x1fff); /* ERRSTS */
	if (h->smm)
		pci_config_def(&h->f, MCH_EXT_TSEG, 2, EXT_TSEG_MIB, 0xffff);
	if (h->shadow_at_reset) {
		h->f.reset[MCH_PAM0] = 0x30;
		memset(&h->f.reset[MCH_PAM0 + 1], 0x33, 6);
	}
	h->ecam = (struct bus_region){.name = "pci-ecam",
				      .size = 256 * MIB,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_124,
				      .read = ecam_read,
				      .write = ecam_write,
				      .ctx = h};
	h->tseg = (struct bus_region){.name = "tseg",
				      .size = MIB,
				      .valid = WIDTH_ANY,
				      .impl = WIDTH_ANY,
				      .read = ones_read,
				      .write = lost_write,
				      .ctx = h};
	h->f.config_written = config_written;
	r = pci_func_add(&h->f, &h->bus, PCI_DEVFN(0, 0), err);
	if (r == 0)
		r = pam_init(&h->pam, d, &h->s.pci.cfg[MCH_PAM0], err);
	return r < 0 ? r : pci_host_init(&h->host, &h->bus, &h->s.host, err);
}

static void mch_unrealize(struct dev *d)
{
	struct q35_mch *h = CONTAINER_OF(d, struct q35_mch, dev);

	bus_unmap_mmio(d->sv->bus, &h->ecam);
	bus_unmap_mmio(d->sv->bus, &h->tseg);
	pam_done(&h->pam);
	pci_host_done(&h->host);
	pci_func_done(&h->f);
}

static void mch_reset(struct dev *d, enum dev_reset kind)
{
	struct q35_mch *h = CONTAINER_OF(d, struct q35_mch, dev);

	pci_func_reset(&h->f, kind);
	h->s.host.confadd = 0;
	update(h);
}

static int mch_loaded(struct dev *d, struct error *err)
{
	struct q35_mch *h = CONTAINER_OF(d, struct q35_mch, dev);
	int r;

	h->f.wmask[MCH_SMRAM] = 0x78;
	h->f.wmask[MCH_ESMRAMC] = h->smm ? 0x07 : 0;
	r = pci_func_loaded(&h->f, err);
	if (r < 0)
		return r;
	h->s.host.confadd &= 0x80fffffcu;
	update(h);
	return 0;
}

const struct dev_class q35_mch_class = {
	.name = "q35-mch",
	.summary = "3 Series host bridge: PCI Express configuration space, PAM",
	.spec = "Intel 3 Series Express Chipset Family data sheet 316966-002",
	.size = sizeof(struct q35_mch),
	.regs_offset = offsetof(struct q35_mch, s),
	.state = &mch_state,
	.realize = mch_realize,
	.unrealize = mch_unrealize,
	.reset = mch_reset,
	.loaded = mch_loaded,
};
