/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed ACPI tables (acpi.h); the DSDT's contents are in acpi_dsdt.c. Offsets are those of ACPI
 * 6.4, tables 5.3 (RSDP), 5.4 (header), 5.9 (FADT), 5.15 (FACS), 5.19 (MADT).
 *
 * Invariants: every table starts on a 16-byte boundary of the blob (the FACS on 64, 5.2.10), sums
 * to zero, and names only tables of the same blob.
 */
#include "machine/acpi.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "device/tpm/tpm_crb.h"
#include "device/tpm/tpm_tis.h"
#include "machine/acpi_aml.h"

#define HDR_LEN  36u
#define RSDP_LEN 36u
#define FADT_LEN 276u
#define FACS_LEN 64u

/* FADT fields used here: offset in bytes */
enum {
	FADT_FACS = 36,
	FADT_DSDT = 40,
	FADT_SCI_INT = 46,
	FADT_PM1A_EVT = 56,
	FADT_PM1A_CNT = 64,
	FADT_PM_TMR = 76,
	FADT_GPE0 = 80,
	FADT_PM1_EVT_LEN = 88,
	FADT_PM1_CNT_LEN = 89,
	FADT_PM_TMR_LEN = 91,
	FADT_GPE0_LEN = 92,
	FADT_P_LVL2_LAT = 96,
	FADT_P_LVL3_LAT = 98,
	FADT_CENTURY = 108,
	FADT_BOOT_ARCH = 109,
	FADT_FLAGS = 112,
	FADT_RESET_REG = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_EVT = 148,
	FADT_X_PM1A_CNT = 172,
	FADT_X_PM_TMR = 208,
	FADT_X_GPE0 = 220,
};

/* FADT flags, table 5.10, and IAPC_BOOT_ARCH, table 5.11 */
enum {
	FADT_WBINVD = 1 << 0,
	FADT_PROC_C1 = 1 << 2,
	FADT_NO_SLEEP_BUTTON = 1 << 5,
	FADT_NO_FIXED_RTC = 1 << 6,
	FADT_TMR_VAL_EXT = 1 << 8, /* 32-bit PM timer */
	FADT_RESET_REG_SUP = 1 << 10,
	BOOT_LEGACY_DEVICES = 1 << 0,
	BOOT_8042 = 1 << 1,
	BOOT_NO_VGA = 1 << 2,
	BOOT_NO_RTC = 1 << 5,
};

struct blob {
	uint8_t *bytes;
	size_t len, room;
	uint64_t base;
	bool full;
	struct acpi_tables *out; /* relocations and sums */
};

/* Reserve an aligned, zeroed piece. Returns its offset; when the room is used up the blob is marked
 * full and offset 0 stands for nothing. */
static size_t piece(struct blob *b, size_t len, size_t align)
{
	size_t off = align_up(b->len, align);

	if (off > b->room || len > b->room - off) {
		b->full = true;
		return 0;
	}
	b->len = off + len;
	return off;
}

/* Write the address of offset @to of the blob, @size bytes wide, at offset @at. */
static void point(struct blob *b, size_t at, uint8_t size, size_t to)
{
	if (b->full)
		return;
	check(b->out->n_relocs < ACPI_RELOCS_MAX);
	st_le(b->bytes + at, size, b->base + to);
	b->out->reloc[b->out->n_relocs++] = (struct acpi_reloc){.at = (uint32_t)at, .size = size};
}

static void note_sum(struct blob *b, size_t start, size_t len, size_t at)
{
	if (b->full)
		return;
	check(b->out->n_sums < ACPI_SUMS_MAX);
	b->out->sum[b->out->n_sums++] = (struct acpi_sum){
		.start = (uint32_t)start, .len = (uint32_t)len, .at = (uint32_t)at};
}

static void fix_sum(uint8_t *p, size_t len, size_t at)
{
	uint8_t sum = 0;

	p[at] = 0;
	for (size_t i = 0; i < len; i++)
		sum += p[i];
	p[at] = (uint8_t)-sum;
}

static void seal(uint8_t *t, const char *sig, uint8_t revision, size_t len)
{
	memcpy(t, sig, 4);
	st_le32(t + 4, (uint32_t)len);
	t[8] = revision;
	memcpy(t + 10, "BOTHY ", 6);
	memcpy(t + 16, "BOTHYVM ", 8);
	st_le32(t + 24, 1);
	memcpy(t + 28, "BTHY", 4);
	st_le32(t + 32, 1);
	fix_sum(t, len, 9);
}

/* Generic address structure in I/O space, 5.2.3.2 */
static void gas_io(uint8_t *p, uint16_t port, uint8_t bits, uint8_t access)
{
	p[0] = 1;
	p[1] = bits;
	p[3] = access;
	st_le64(p + 4, port);
}

static size_t add_facs(struct blob *b)
{
	size_t off = piece(b, FACS_LEN, 64);

	if (b->full)
		return 0;
	memcpy(b->bytes + off, "FACS", 4);
	st_le32(b->bytes + off + 4, FACS_LEN);
	b->bytes[off + 32] = 2; /* version; the FACS has no checksum */
	return off;
}

static size_t add_dsdt(struct blob *b, const struct acpi_config *cfg, size_t *ret_len)
{
	struct aml a;
	size_t off;

	aml_init(&a);
	acpi_dsdt(&a, cfg);
	check(a.depth == 0);
	*ret_len = HDR_LEN + a.len;
	off = piece(b, *ret_len, 16);
	if (!b->full) {
		memcpy(b->bytes + off + HDR_LEN, a.buf, a.len);
		seal(b->bytes + off, "DSDT", 2, *ret_len);
	}
	aml_done(&a);
	return off;
}

static size_t add_fadt(struct blob *b, const struct acpi_config *cfg, size_t facs, size_t dsdt)
{
	size_t off = piece(b, FADT_LEN, 16);
	uint8_t *t = b->bytes + off;
	uint32_t flags = FADT_WBINVD | FADT_PROC_C1 | FADT_NO_SLEEP_BUTTON | FADT_TMR_VAL_EXT;
	uint16_t arch = BOOT_NO_VGA;

	if (b->full)
		return 0;
	point(b, off + FADT_FACS, 4, facs);
	point(b, off + FADT_DSDT, 4, dsdt);
	point(b, off + FADT_X_DSDT, 8, dsdt);
	note_sum(b, off, FADT_LEN, off + 9);
	st_le16(t + FADT_SCI_INT, cfg->sci_irq);
	/* SMI_CMD = 0: the machine is always in ACPI mode (4.8.3.1). */
	st_le32(t + FADT_PM1A_EVT, cfg->pm_base);
	st_le32(t + FADT_PM1A_CNT, cfg->pm_base + 4u);
	st_le32(t + FADT_PM_TMR, cfg->pm_base + 8u);
	t[FADT_PM1_EVT_LEN] = 4;
	t[FADT_PM1_CNT_LEN] = 2;
	t[FADT_PM_TMR_LEN] = 4;
	gas_io(t + FADT_X_PM1A_EVT, cfg->pm_base, 32, 2);
	gas_io(t + FADT_X_PM1A_CNT, cfg->pm_base + 4, 16, 2);
	gas_io(t + FADT_X_PM_TMR, cfg->pm_base + 8, 32, 3);
	if (cfg->gpe0_base) {
		st_le32(t + FADT_GPE0, cfg->gpe0_base);
		t[FADT_GPE0_LEN] = cfg->gpe0_len;
		gas_io(t + FADT_X_GPE0, cfg->gpe0_base, (uint8_t)(cfg->gpe0_len * 8), 1);
	}
	st_le16(t + FADT_P_LVL2_LAT, 0xfff); /* > 100 us: no C2, > 1000 us: no C3 */
	st_le16(t + FADT_P_LVL3_LAT, 0xfff);
	t[FADT_CENTURY] = cfg->rtc_century;
	if (!cfg->rtc)
		flags |= FADT_NO_FIXED_RTC;
	if (cfg->reset_port) {
		flags |= FADT_RESET_REG_SUP;
		gas_io(t + FADT_RESET_REG, cfg->reset_port, 8, 1);
		t[FADT_RESET_VALUE] = cfg->reset_value;
	}
	arch |= (cfg->coms ? BOOT_LEGACY_DEVICES : 0) | (cfg->i8042 ? BOOT_8042 : 0) |
		(cfg->rtc ? 0 : BOOT_NO_RTC);
	st_le16(t + FADT_BOOT_ARCH, arch);
	st_le32(t + FADT_FLAGS, flags);
	t[131] = 4; /* minor version: 6.4 */
	seal(t, "FACP", 6, FADT_LEN);
	return off;
}

static void add_iso(uint8_t **p, uint8_t irq, uint32_t gsi, uint16_t flags)
{
	(*p)[0] = 2;
	(*p)[1] = 10;
	(*p)[3] = irq;
	st_le32(*p + 4, gsi);
	st_le16(*p + 8, flags);
	*p += 10;
}

/* MPS INTI flags, table 5.26 */
enum { INTI_LEVEL_HIGH = 0x0d, INTI_CONFORMS = 0 };

static size_t add_madt(struct blob *b, const struct acpi_config *cfg)
{
	unsigned n_iso = 1 + cfg->pit;
	size_t len, off;
	uint8_t *t, *p;

	for (unsigned irq = 0; irq < 16; irq++)
		n_iso += irq != cfg->sci_irq && (cfg->pci_irqs >> irq & 1);
	len = HDR_LEN + 8 + 8 * cfg->n_cpus + 12 + 10 * n_iso + 6;
	off = piece(b, len, 16);
	if (b->full)
		return 0;
	t = b->bytes + off;
	st_le32(t + 36, cfg->lapic_addr);
	st_le32(t + 40, cfg->pic); /* PCAT_COMPAT: two 8259s are there */
	p = t + 44;
	for (unsigned i = 0; i < cfg->n_cpus; i++, p += 8) {
		p[1] = 8;
		p[2] = p[3] = (uint8_t)i;
		st_le32(p + 4, 1);
	}
	p[0] = 1;
	p[1] = 12;
	p[2] = cfg->ioapic_id;
	st_le32(p + 4, cfg->ioapic_addr);
	p += 12;
	if (cfg->pit)
		add_iso(&p, 0, 2, INTI_CONFORMS);
	for (unsigned irq = 0; irq < 16; irq++)
		if (irq == cfg->sci_irq || (cfg->pci_irqs >> irq & 1))
			add_iso(&p, (uint8_t)irq, irq, INTI_LEVEL_HIGH);
	p[0] = 4; /* LAPIC NMI: LINT1 of every processor */
	p[1] = 6;
	p[2] = 0xff;
	p[5] = 1;
	p += 6;
	check(p == t + len);
	seal(t, "APIC", 5, len);
	return off;
}

static size_t add_hpet(struct blob *b, const struct acpi_config *cfg)
{
	size_t off = piece(b, 56, 16);
	uint8_t *t = b->bytes + off;

	if (b->full)
		return 0;
	st_le32(t + 36, cfg->hpet_id);
	t[41] = 64; /* GAS: memory space, 64 bits wide */
	st_le64(t + 44, cfg->hpet_addr);
	st_le16(t + 53, 500); /* shortest period without lost interrupts: 5 us, see hpet.c */
	seal(t, "HPET", 1, 56);
	return off;
}

/* PCI Firmware Specification 3.0, 4.1.2 */
static size_t add_mcfg(struct blob *b, const struct acpi_config *cfg)
{
	size_t off = piece(b, 60, 16);
	uint8_t *t = b->bytes + off;

	if (b->full)
		return 0;
	st_le64(t + 44, cfg->mcfg_base);
	t[55] = (uint8_t)(cfg->mcfg_size / MIB - 1); /* last bus */
	seal(t, "MCFG", 1, 60);
	return off;
}

/* TCG ACPI Specification 1.3, 7.3: start methods 6 (FIFO) and 7 (CRB) */
enum { TPM2_CONTROL = 40, TPM2_START = 48, TPM2_LOG_LEN = 64, TPM2_LOG_AT = 68, TPM2_LEN = 76 };

static size_t add_tpm2(struct blob *b, const struct acpi_config *cfg)
{
	size_t off = piece(b, TPM2_LEN, 16);
	uint8_t *t = b->bytes + off;

	if (b->full)
		return 0;
	st_le64(t + TPM2_CONTROL, cfg->tpm_crb ? TPM_BASE + TPM_CRB_CTRL : 0);
	st_le32(t + TPM2_START, cfg->tpm_crb ? 7 : 6);
	if (cfg->tpm_log) {
		st_le32(t + TPM2_LOG_LEN, cfg->tpm_log);
		b->out->log_at = (uint32_t)off + TPM2_LOG_AT;
		note_sum(b, off, TPM2_LEN, off + 9);
	}
	seal(t, "TPM2", 4, TPM2_LEN);
	return off;
}

static size_t add_waet(struct blob *b)
{
	size_t off = piece(b, 40, 16);

	if (b->full)
		return 0;
	/* RTC and PM timer need no extra reads (emulated device flags 0 and 1). */
	st_le32(b->bytes + off + 36, 3);
	seal(b->bytes + off, "WAET", 1, 40);
	return off;
}

static size_t add_sdt(struct blob *b, const char *sig, uint8_t width, const size_t *tables,
		      unsigned n)
{
	size_t len = HDR_LEN + width * n, off = piece(b, len, 16);

	if (b->full)
		return 0;
	for (unsigned i = 0; i < n; i++)
		point(b, off + HDR_LEN + i * width, width, tables[i]);
	note_sum(b, off, len, off + 9);
	seal(b->bytes + off, sig, 1, len);
	return off;
}

int acpi_build(const struct acpi_config *cfg, uint64_t base, size_t room,
	       struct acpi_tables *ret_tables, struct error *err)
{
	struct acpi_tables out = {.rsdp = base, .rsdp_len = RSDP_LEN};
	struct blob b = {.room = room, .base = base, .out = &out};
	size_t tables[8], facs, dsdt, dsdt_len = 0, rsdt, xsdt;
	unsigned n = 0;
	uint8_t *r;

	check((base & 63) == 0 && base + room <= 1ull << 32);
	b.bytes = xcalloc(room, 1);
	piece(&b, RSDP_LEN, 16);
	facs = add_facs(&b);
	dsdt = add_dsdt(&b, cfg, &dsdt_len);
	tables[n++] = add_fadt(&b, cfg, facs, dsdt);
	tables[n++] = add_madt(&b, cfg);
	if (cfg->hpet_addr)
		tables[n++] = add_hpet(&b, cfg);
	if (cfg->mcfg_base)
		tables[n++] = add_mcfg(&b, cfg);
	if (cfg->tpm)
		tables[n++] = add_tpm2(&b, cfg);
	tables[n++] = add_waet(&b);
	rsdt = add_sdt(&b, "RSDT", 4, tables, n);
	xsdt = add_sdt(&b, "XSDT", 8, tables, n);
	if (b.full) {
		free(b.bytes);
		return error_set(
			err, -ENOSPC,
			"the ACPI tables for %u CPUs and %u devices need more than the %zu "
			"bytes there are; use fewer devices",
			cfg->n_cpus, cfg->n_virtio, room);
	}
	r = b.bytes;
	memcpy(r, "RSD PTR ", 8);
	memcpy(r + 9, "BOTHY ", 6);
	r[15] = 2;
	point(&b, 16, 4, rsdt);
	st_le32(r + 20, RSDP_LEN);
	point(&b, 24, 8, xsdt);
	fix_sum(r, 20, 8);
	fix_sum(r, RSDP_LEN, 32);
	note_sum(&b, 0, 20, 8);
	note_sum(&b, 0, RSDP_LEN, 32);
	out.bytes = b.bytes;
	out.len = b.len;
	out.dsdt_off = dsdt;
	out.dsdt_len = dsdt_len;
	*ret_tables = out;
	return 0;
}

void acpi_done(struct acpi_tables *t)
{
	free(t->bytes);
	memset(t, 0, sizeof(*t));
}
