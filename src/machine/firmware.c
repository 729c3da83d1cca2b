/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Boot of a PC through its firmware (firmware.h): SeaBIOS, OVMF, and what speaks their interfaces.
 *
 * EFI firmware is an image that ends at 4 GiB, too, with its variables in a flash chip right below:
 * that is where OVMF was built to find them (OvmfPkg/README, "OVMF_CODE.fd", "OVMF_VARS.fd").
 *
 * A BIOS image ends at 4 GiB, where the processor starts (Intel SDM vol. 3, 10.1.4); its last 128
 * KiB also answer at E0000h while the host bridge's PAM registers send reads to PCI, and at
 * FFEE0000h, which is the same with A20 masked (82371SB data sheet 290550-002, 2.2.7, XBCS).
 *
 * Items of fw_cfg, by the names that firmware asks for (QEMU docs/specs/fw_cfg.rst; ACPI through
 * the linker/loader commands of "etc/table-loader", 128 bytes each, little-endian):
 *   etc/e820                        memory map: RAM only, firmware takes its own parts out
 *   etc/table-loader, etc/acpi/...  our ACPI tables; the RSDP goes below 1 MiB, the rest anywhere
 *   etc/smbios/...                  SMBIOS structures and their entry point
 *   bootorder, etc/boot-menu-wait   what to start from; key 0eh: whether to offer the menu
 *   etc/sercon-port                 text output of the BIOS on a serial port as well
 */
#include "machine/firmware.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "device/firmware/fw_cfg.h"
#include "device/firmware/pflash.h"
#include "machine/smbios.h"

#define LOW_ROM_MAX  (128 * KIB)
#define A20_ALIAS    0xffee0000u
#define ACPI_ROOM    (128 * KIB)
#define TABLES_ALIGN 64u
#define KEY_IRQ0     (FW_CFG_ARCH_LOCAL + 2) /* u8: IRQ0 is on IOAPIC input 2 */

/* ---- the image ---- */

static int map_rom(struct machine *m, const char *name, uint64_t gpa, uint64_t off, uint64_t len,
		   struct error *err)
{
	int r;

	check(m->n_maps < ARRAY_SIZE(m->map));
	r = mem_map_ram(m->sv.mem, name, gpa, m->bios, off, len, true, MEM_PRIO_ROM,
			&m->map[m->n_maps], err);
	if (r == 0)
		m->n_maps++;
	return r;
}

static int check_size(const struct machine_firmware *fw, struct error *err)
{
	unsigned unit = fw->efi ? PFLASH_BLOCK : 64 * KIB;

	if (fw->bios_len >= FIRMWARE_BIOS_MIN && fw->bios_len <= FIRMWARE_BIOS_MAX &&
	    fw->bios_len % unit == 0)
		return 0;
	return error_set(err, -EINVAL,
			 "the firmware image has %zu bytes: %s has a multiple of %u KiB, "
			 "up to %u MiB",
			 fw->bios_len, fw->efi ? "EFI firmware" : "a BIOS", (unsigned)(unit / KIB),
			 (unsigned)(FIRMWARE_BIOS_MAX / MIB));
}

static int map_image(struct machine *m, struct error *err)
{
	const struct machine_firmware *fw = &m->cfg.firmware;
	int r = check_size(fw, err);

	if (r == 0)
		r = mem_ram_new(m->sv.mem, "bios", fw->bios_len, &m->bios, err);
	if (r < 0)
		return r;
	memcpy(m->bios->host, fw->bios, fw->bios_len);
	return map_rom(m, "bios", 4 * GIB - fw->bios_len, 0, fw->bios_len, err);
}

int firmware_map(struct machine *m, struct firmware_low *ret_low, struct error *err)
{
	const struct machine_firmware *fw = &m->cfg.firmware;
	uint64_t low = MIN((uint64_t)fw->bios_len, LOW_ROM_MAX);
	int r = map_image(m, err);

	*ret_low = (struct firmware_low){0};
	if (r < 0 || fw->efi)
		return r;
	*ret_low = (struct firmware_low){
		.block = m->bios, .gpa = MIB - low, .off = fw->bios_len - low, .size = low};
	if (fw->bios_len <= MIB)
		r = map_rom(m, "bios-a20", A20_ALIAS + (LOW_ROM_MAX - low), fw->bios_len - low, low,
			    err);
	return r;
}

int firmware_vars(struct machine *m, struct error *err)
{
	const struct machine_firmware *fw = &m->cfg.firmware;
	struct pflash *p;

	if (!fw->efi || !fw->vars)
		return 0;
	p = (struct pflash *)dev_new(&pflash_class, "efi-vars", &m->sv);
	p->gpa = 4 * GIB - fw->bios_len - fw->vars_len;
	p->contents = fw->vars;
	p->len = fw->vars_len;
	p->store = fw->vars_store;
	p->store_ctx = fw->vars_ctx;
	p->smm_only = fw->smm;
	return parts_add(m, &p->dev, err);
}

/* ---- boot order ---- */

void firmware_boot_path(struct machine *m, char kind, const char *fmt, ...)
{
	struct machine_boot_path *p = &m->boot_path[m->n_boot_paths];
	va_list ap;

	check(m->n_boot_paths < ARRAY_SIZE(m->boot_path));
	p->kind = kind;
	va_start(ap, fmt);
	vsnprintf(p->path, sizeof(p->path), fmt, ap);
	va_end(ap);
	m->n_boot_paths++;
}

/* One path a line, the first choice first; ends with a zero. */
static int boot_order(struct machine *m, struct fw_cfg *fw, struct error *err)
{
	const char *kinds = m->cfg.firmware.boot_order;
	char *text = xcalloc(MACHINE_BOOT_PATHS + 1, sizeof(m->boot_path[0].path) + 1);
	size_t n = 0;
	int r;

	for (; *kinds; kinds++)
		for (unsigned i = 0; i < m->n_boot_paths; i++) {
			size_t len = strlen(m->boot_path[i].path);

			if (m->boot_path[i].kind != *kinds)
				continue;
			memcpy(text + n, m->boot_path[i].path, len);
			n += len;
			text[n++] = '\n';
		}
	if (n)
		text[n - 1] = 0; /* instead of the last line's end */
	r = n ? fw_cfg_add_file(fw, "bootorder", text, n, err) : 0;
	free(text);
	return r;
}

/* ---- ACPI through the loader ---- */

enum { CMD_ALLOCATE = 1, CMD_ADD_POINTER = 2, CMD_ADD_CHECKSUM = 3, CMD_LEN = 128 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };
#define FILE_LEN    56u
#define RSDP_FILE   "etc/acpi/rsdp"
#define TABLES_FILE "etc/acpi/tables"
#define LOG_FILE    "etc/tpm/log"

struct loader {
	uint8_t *cmds;
	unsigned n;
};

static uint8_t *command(struct loader *l, uint32_t cmd, const char *file)
{
	uint8_t *p = l->cmds + (size_t)l->n++ * CMD_LEN;

	st_le32(p, cmd);
	memcpy(p + 4, file, strlen(file));
	return p + 4 + FILE_LEN;
}

static void allocate(struct loader *l, const char *file, uint32_t align, uint8_t zone)
{
	uint8_t *p = command(l, CMD_ALLOCATE, file);

	st_le32(p, align);
	p[4] = zone;
}

/* The address of @to is added to what stands at @rel in @file. */
static void add_pointer(struct loader *l, const char *file, const char *to,
			const struct acpi_reloc *rel)
{
	uint8_t *p = command(l, CMD_ADD_POINTER, file);

	memcpy(p, to, strlen(to));
	st_le32(p + FILE_LEN, rel->at);
	p[FILE_LEN + 4] = rel->size;
}

static void add_checksum(struct loader *l, const char *file, const struct acpi_sum *sum)
{
	uint8_t *p = command(l, CMD_ADD_CHECKSUM, file);

	st_le32(p, sum->at);
	st_le32(p + 4, sum->start);
	st_le32(p + 8, sum->len);
}

/* The tables are built for address 0, so that each pointer holds its target's offset in the tables
 * file; the RSDP at their start becomes a file of its own. */
static int acpi_files(struct machine *m, struct fw_cfg *fw, struct error *err)
{
	struct acpi_tables t;
	struct loader l = {0};
	int r = acpi_build(&m->acpi, 0, ACPI_ROOM, &t, err);

	if (r < 0)
		return r;
	l.cmds = xcalloc(4 + t.n_relocs + t.n_sums, CMD_LEN);
	allocate(&l, RSDP_FILE, 16, ZONE_FSEG);
	allocate(&l, TABLES_FILE, TABLES_ALIGN, ZONE_HIGH);
	for (unsigned i = 0; i < t.n_relocs; i++)
		add_pointer(&l, t.reloc[i].at < t.rsdp_len ? RSDP_FILE : TABLES_FILE, TABLES_FILE,
			    &t.reloc[i]);
	if (t.log_at) {
		const struct acpi_reloc log = {.at = t.log_at, .size = 8};

		allocate(&l, LOG_FILE, 1, ZONE_HIGH);
		add_pointer(&l, TABLES_FILE, LOG_FILE, &log);
	}
	for (unsigned i = 0; i < t.n_sums; i++) {
		add_checksum(&l, t.sum[i].start < t.rsdp_len ? RSDP_FILE : TABLES_FILE, &t.sum[i]);
		t.bytes[t.sum[i].at] = 0; /* EDK2 counts what is there */
	}
	r = fw_cfg_add_file(fw, RSDP_FILE, t.bytes, t.rsdp_len, err);
	memset(t.bytes, 0, t.rsdp_len);
	if (r == 0)
		r = fw_cfg_add_file(fw, TABLES_FILE, t.bytes, t.len, err);
	if (r == 0)
		r = fw_cfg_add_file(fw, "etc/table-loader", l.cmds, (size_t)l.n * CMD_LEN, err);
	if (r == 0 && t.log_at) {
		uint8_t *log = xcalloc(m->acpi.tpm_log, 1);

		r = fw_cfg_add_file(fw, LOG_FILE, log, m->acpi.tpm_log, err);
		free(log);
	}
	free(l.cmds);
	acpi_done(&t);
	return r;
}

/* ---- the other items ---- */

static int memory_map(struct machine *m, struct fw_cfg *fw, struct error *err)
{
	uint8_t table[E820_MAX * 20];
	struct e820 map = {0};

	if (m->cfg.firmware.bios) {
		e820_add(&map, 0, m->low_end, E820_RAM);
		e820_add(&map, 4 * GIB, m->high_end - 4 * GIB, E820_RAM);
	} else {
		machine_memory_map(m, &map);
	}
	for (unsigned i = 0; i < map.n; i++) {
		st_le64(table + i * 20, map.e[i].addr);
		st_le64(table + i * 20 + 8, map.e[i].len);
		st_le32(table + i * 20 + 16, map.e[i].type);
	}
	return fw_cfg_add_file(fw, "etc/e820", table, map.n * 20, err);
}

static int smbios_files(struct machine *m, struct fw_cfg *fw, struct error *err)
{
	struct smbios_config cfg = {.n_cpus = m->cfg.n_cpus,
				    .ram_size = m->cfg.ram_size,
				    .low_end = m->low_end,
				    .high_end = m->high_end,
				    .product = machine_kind_name(m->cfg.kind)};
	struct smbios_tables t;
	int r;

	smbios_build(&cfg, &t);
	r = fw_cfg_add_file(fw, "etc/smbios/smbios-anchor", t.anchor, sizeof(t.anchor), err);
	if (r == 0)
		r = fw_cfg_add_file(fw, "etc/smbios/smbios-tables", t.bytes, t.len, err);
	smbios_done(&t);
	return r;
}

static int add_number(struct fw_cfg *fw, const char *name, unsigned size, uint64_t v,
		      struct error *err)
{
	uint8_t bytes[8];

	st_le64(bytes, v);
	return fw_cfg_add_file(fw, name, bytes, size, err);
}

static int bios_files(struct machine *m, struct fw_cfg *fw, struct error *err)
{
	const struct machine_firmware *cfg = &m->cfg.firmware;
	const uint8_t one = 1;
	int r = acpi_files(m, fw, err);

	if (r == 0)
		r = smbios_files(m, fw, err);
	if (r == 0)
		r = boot_order(m, fw, err);
	if (r == 0)
		r = fw_cfg_add_bytes(fw, KEY_IRQ0, &one, 1, err);
	if (r == 0)
		r = fw_cfg_add_i16(fw, FW_CFG_BOOT_MENU, cfg->menu, err);
	if (r == 0)
		r = add_number(fw, "etc/boot-menu-wait", 2, cfg->menu_wait_ms, err);
	if (r == 0)
		r = add_number(fw, "etc/boot-fail-wait", 4, UINT32_MAX, err); /* don't reboot */
	if (r == 0 && cfg->text_port)
		r = add_number(fw, "etc/sercon-port", 2, cfg->text_port, err);
	return r;
}

int firmware_files(struct machine *m, struct fw_cfg *fw, struct error *err)
{
	int r = fw_cfg_add_i64(fw, FW_CFG_RAM_SIZE, m->cfg.ram_size, err);

	if (r == 0)
		r = fw_cfg_add_i16(fw, FW_CFG_NB_CPUS, (uint16_t)m->cfg.n_cpus, err);
	if (r == 0)
		r = fw_cfg_add_i16(fw, FW_CFG_MAX_CPUS, (uint16_t)m->cfg.n_cpus, err);
	if (r == 0)
		r = fw_cfg_add_i16(fw, FW_CFG_NOGRAPHIC, !m->cfg.vga, err);
	if (r == 0)
		r = memory_map(m, fw, err);
	if (r == 0 && m->cfg.firmware.bios)
		r = bios_files(m, fw, err);
	return r;
}
