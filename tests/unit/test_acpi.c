/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACPI tables: checksums, links between tables, contents per specification row, and the DSDT as
 * ACPICA's own tools read it (iasl -d, acpiexec; skipped with a message when they are not there).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/bits.h"
#include "machine/acpi.h"
#include "machine/acpi_aml.h"

#define BASE 0xe0000u

static const struct acpi_config pc = {
	.n_cpus = 4,
	.lapic_addr = 0xfee00000,
	.ioapic_addr = 0xfec00000,
	.sci_irq = 9,
	.pm_base = 0x600,
	.s5_typ = 0,
	.reset_port = 0xcf9,
	.reset_value = 6,
	.pic = true,
	.pit = true,
	.rtc = true,
	.i8042 = true,
	.dma = true,
	.fdc = true,
	.fw_cfg = true,
	.rtc_century = 0x32,
	.coms = 3,
	.hpet_addr = 0xfed00000,
	.hpet_id = 0x8086a201,
	.pci_irqs = 1 << 5 | 1 << 10 | 1 << 11,
	.pci_min = 0xc0000000,
	.pci_max = 0xfebfffff,
	.gpe0_base = 0x60c,
	.gpe0_len = 4,
	.hotplug_slots = 0xfffffff8,
	.tpm = true,
	.tpm_crb = true,
	.tpm_log = 0x10000,
};

static const struct acpi_config microvm = {
	.n_cpus = 64,
	.lapic_addr = 0xfee00000,
	.ioapic_addr = 0xfec00000,
	.sci_irq = 9,
	.pm_base = 0x600,
	.reset_port = 0x64,
	.reset_value = 0xfe,
	.i8042 = true,
	.coms = 1,
	.n_virtio = 2,
	.virtio = {{0xfeb00000, 0x200, 5}, {0xfeb00200, 0x200, 16}},
};

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s += *p++;
	return s;
}

/* The table with signature @sig, found the way an OS does: RSDP, XSDT. */
static const uint8_t *find(const struct acpi_tables *t, const char *sig)
{
	const uint8_t *xsdt = t->bytes + (ld_le64(t->bytes + 24) - BASE);

	assert_memory_equal(xsdt, "XSDT", 4);
	for (uint32_t at = 36; at < ld_le32(xsdt + 4); at += 8) {
		const uint8_t *p = t->bytes + (ld_le64(xsdt + at) - BASE);

		if (!memcmp(p, sig, 4))
			return p;
	}
	return NULL;
}

static void build(const struct acpi_config *cfg, struct acpi_tables *t)
{
	struct error err = {0};

	assert_int_equal(acpi_build(cfg, BASE, 0x10000, t, &err), 0);
}

/* ACPI 6.4, 5.2.5.3: both checksums; 5.2.6: every table sums to zero; RSDT and XSDT agree. */
static void test_checksums(void **state)
{
	const struct acpi_config *all[] = {&pc, &microvm};

	for (size_t c = 0; c < ARRAY_SIZE(all); c++) {
		struct acpi_tables t;
		const uint8_t *rsdt, *xsdt, *dsdt;
		uint32_t n;

		build(all[c], &t);
		assert_memory_equal(t.bytes, "RSD PTR ", 8);
		assert_int_equal(sum(t.bytes, 20), 0);
		assert_int_equal(sum(t.bytes, 36), 0);
		rsdt = t.bytes + (ld_le32(t.bytes + 16) - BASE);
		xsdt = t.bytes + (ld_le64(t.bytes + 24) - BASE);
		assert_int_equal(sum(rsdt, ld_le32(rsdt + 4)), 0);
		assert_int_equal(sum(xsdt, ld_le32(xsdt + 4)), 0);
		n = (ld_le32(xsdt + 4) - 36) / 8;
		assert_int_equal(n, (ld_le32(rsdt + 4) - 36) / 4);
		for (uint32_t i = 0; i < n; i++) {
			uint64_t at = ld_le64(xsdt + 36 + 8 * i);
			const uint8_t *p = t.bytes + (at - BASE);

			assert_int_equal(at, ld_le32(rsdt + 36 + 4 * i));
			assert_in_range(at, BASE, BASE + t.len - 36);
			assert_int_equal(sum(p, ld_le32(p + 4)), 0);
		}
		dsdt = t.bytes + t.dsdt_off;
		assert_memory_equal(dsdt, "DSDT", 4);
		assert_int_equal(sum(dsdt, ld_le32(dsdt + 4)), 0);
		acpi_done(&t);
	}
}

/* ACPI 6.4, table 5.9 */
static void test_fadt(void **state)
{
	static const struct {
		unsigned off, size;
		uint64_t want;
		const char *what;
	} rows[] = {
		{8, 1, 6, "revision"},
		{46, 2, 9, "SCI_INT"},
		{48, 4, 0, "SMI_CMD: always ACPI mode"},
		{56, 4, 0x600, "PM1a_EVT_BLK"},
		{64, 4, 0x604, "PM1a_CNT_BLK"},
		{76, 4, 0x608, "PM_TMR_BLK"},
		{88, 1, 4, "PM1_EVT_LEN"},
		{89, 1, 2, "PM1_CNT_LEN"},
		{91, 1, 4, "PM_TMR_LEN"},
		{108, 1, 0x32, "CENTURY"},
		{109, 2, 0x0007, "IAPC_BOOT_ARCH: legacy devices, 8042, no VGA"},
		{112, 4, 1 << 10 | 1 << 8 | 1 << 5 | 1 << 2 | 1,
		 "flags: reset register, 32-bit timer, no sleep button"},
		{116, 1, 1, "RESET_REG space"},
		{120, 8, 0xcf9, "RESET_REG address"},
		{128, 1, 6, "RESET_VALUE"},
		{148, 1, 1, "X_PM1a_EVT_BLK space"},
		{149, 1, 32, "X_PM1a_EVT_BLK width"},
		{152, 8, 0x600, "X_PM1a_EVT_BLK address"},
		{176, 8, 0x604, "X_PM1a_CNT_BLK address"},
		{212, 8, 0x608, "X_PM_TMR_BLK address"},
	};
	struct acpi_tables t;
	const uint8_t *f;

	build(&pc, &t);
	f = find(&t, "FACP");
	assert_non_null(f);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (ld_le(f + rows[i].off, rows[i].size) != rows[i].want)
			fail_msg("FADT %s: 0x%llx", rows[i].what,
				 (unsigned long long)ld_le(f + rows[i].off, rows[i].size));
	assert_int_equal(ld_le64(f + 140), BASE + t.dsdt_off);
	assert_int_equal(ld_le32(f + 40), BASE + t.dsdt_off);
	assert_memory_equal(t.bytes + (ld_le32(f + 36) - BASE), "FACS", 4);
	assert_int_equal(ld_le32(f + 36) % 64, 0);
	acpi_done(&t);
}

/* ACPI 6.4, 5.2.12: structures follow each other to the end of the table. */
static void test_madt(void **state)
{
	struct acpi_tables t;
	const uint8_t *m;
	unsigned cpus = 0, ioapics = 0, isos = 0, nmis = 0;

	build(&pc, &t);
	m = find(&t, "APIC");
	assert_non_null(m);
	assert_int_equal(ld_le32(m + 36), 0xfee00000);
	assert_int_equal(ld_le32(m + 40), 1);
	for (uint32_t at = 44; at < ld_le32(m + 4); at += m[at + 1]) {
		const uint8_t *p = m + at;

		assert_in_range(p[1], 6, 12);
		switch (p[0]) {
		case 0:
			assert_int_equal(p[3], cpus++);
			assert_int_equal(ld_le32(p + 4), 1);
			break;
		case 1:
			ioapics++;
			assert_int_equal(ld_le32(p + 4), 0xfec00000);
			assert_int_equal(ld_le32(p + 8), 0);
			break;
		case 2:
			isos++;
			if (p[3] == 0)
				assert_int_equal(ld_le32(p + 4), 2);
			else
				assert_int_equal(ld_le16(p + 8), 0x0d);
			break;
		case 4:
			nmis++;
			assert_int_equal(p[2], 0xff);
			assert_int_equal(p[5], 1);
			break;
		default: fail_msg("MADT structure %u", p[0]);
		}
	}
	assert_int_equal(cpus, 4);
	assert_int_equal(ioapics, 1);
	assert_int_equal(isos, 5); /* IRQ 0, SCI 9, PCI 5, 10, 11 */
	assert_int_equal(nmis, 1);
	acpi_done(&t);
}

/* TCG ACPI Specification 1.3, table 9 */
static void test_tpm2(void **state)
{
	struct acpi_config cfg = pc;
	struct acpi_tables t;
	const uint8_t *p;

	build(&cfg, &t);
	p = find(&t, "TPM2");
	assert_non_null(p);
	assert_int_equal(ld_le32(p + 4), 76);
	assert_int_equal(p[8], 4);
	assert_int_equal(ld_le16(p + 36), 0); /* client platform */
	assert_int_equal(ld_le64(p + 40), 0xfed40040);
	assert_int_equal(ld_le32(p + 48), 7); /* CRB */
	assert_int_equal(ld_le32(p + 64), 0x10000);
	assert_ptr_equal(t.bytes + t.log_at, p + 68);
	acpi_done(&t);
	cfg.tpm_crb = false;
	cfg.tpm_log = 0;
	build(&cfg, &t);
	p = find(&t, "TPM2");
	assert_int_equal(ld_le64(p + 40), 0);
	assert_int_equal(ld_le32(p + 48), 6); /* FIFO */
	assert_int_equal(t.log_at, 0);
	acpi_done(&t);
	build(&microvm, &t);
	assert_null(find(&t, "TPM2"));
	acpi_done(&t);
}

static void test_no_room(void **state)
{
	struct acpi_tables t;
	struct error err = {0};

	for (size_t room = 0; room < 2048; room += 64)
		assert_int_equal(acpi_build(&pc, BASE, room, &t, &err), -28);
	assert_non_null(strstr(err.text, "ACPI tables"));
}

/* ACPI 6.4, 20.2.3 and 20.2.4, 19.3.4 */
static void test_aml_encoding(void **state)
{
	static const struct {
		uint64_t v;
		uint8_t len, bytes[9];
	} ints[] = {
		{0, 1, {0x00}},
		{1, 1, {0x01}},
		{2, 2, {0x0a, 2}},
		{0xff, 2, {0x0a, 0xff}},
		{0x100, 3, {0x0b, 0, 1}},
		{0x10000, 5, {0x0c, 0, 0, 1, 0}},
		{0x100000000, 9, {0x0e, 0, 0, 0, 0, 1, 0, 0, 0}},
	};
	struct aml a;

	for (size_t i = 0; i < ARRAY_SIZE(ints); i++) {
		aml_init(&a);
		aml_int(&a, ints[i].v);
		assert_int_equal(a.len, ints[i].len);
		assert_memory_equal(a.buf, ints[i].bytes, ints[i].len);
		aml_done(&a);
	}
	aml_init(&a);
	aml_eisaid(&a, "PNP0A03");
	assert_memory_equal(a.buf, "\x0c\x41\xd0\x0a\x03", 5);
	aml_done(&a);
	/* PkgLength: 1 byte up to 63, 2 up to 4095, 3 above; the length counts itself. */
	static const struct {
		size_t body;
		uint8_t n, bytes[3];
	} pkgs[] = {
		{57, 1, {0x3f}},
		{58, 2, {0x41, 0x04}},
		{4088, 2, {0x4f, 0xff}},
		{4089, 3, {0x81, 0x00, 0x01}},
	};
	for (size_t i = 0; i < ARRAY_SIZE(pkgs); i++) {
		aml_init(&a);
		aml_open_scope(&a, "\\ABCD"); /* 5 bytes of name */
		for (size_t k = 0; k < pkgs[i].body; k++)
			aml_op(&a, 0xa3);
		aml_close(&a);
		assert_memory_equal(a.buf + 1, pkgs[i].bytes, pkgs[i].n);
		assert_memory_equal(a.buf + 1 + pkgs[i].n, "\\ABCD", 5);
		aml_done(&a);
	}
}

static int have(const char *tool)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null 2>&1", tool);
	return system(cmd) == 0;
}

/* Run a command in @dir with the DSDT in dsdt.dat; its output in *ret_out. */
static int run_in(const char *dir, const char *cmd, char **ret_out)
{
	char *full = xasprintf("cd %s && %s 2>&1", dir, cmd);
	FILE *p = popen(full, "r");
	size_t n = 0, cap = 1 << 20;
	char *out = xcalloc(1, cap + 1);

	assert_non_null(p);
	n = fread(out, 1, cap, p);
	out[n] = 0;
	free(full);
	*ret_out = out;
	return pclose(p);
}

static void check_dsdt(const struct acpi_config *cfg, const char *const *names)
{
	char dir[] = "/tmp/bothy-acpi-XXXXXX", *file, *out;
	struct acpi_tables t;
	FILE *f;

	if (!have("iasl") || !have("acpiexec")) {
		print_message("acpica-tools are not installed: DSDT not judged\n");
		skip();
	}
	build(cfg, &t);
	assert_non_null(mkdtemp(dir));
	file = xasprintf("%s/dsdt.dat", dir);
	f = fopen(file, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(t.bytes + t.dsdt_off, 1, t.dsdt_len, f), t.dsdt_len);
	fclose(f);

	/* Disassemble, and compile the result again: no error, no warning. */
	assert_int_equal(run_in(dir, "iasl -d dsdt.dat", &out), 0);
	free(out);
	assert_int_equal(run_in(dir, "iasl dsdt.dsl", &out), 0);
	if (!strstr(out, "0 Errors, 0 Warnings"))
		fail_msg("iasl: %s", out);
	free(out);
	for (; *names; names++) {
		char *cmd = xasprintf("acpiexec -b 'evaluate %s' dsdt.dat", *names);

		run_in(dir, cmd, &out);
		if (!strstr(out, "returned object") && !strstr(out, "No object was returned") &&
		    !strstr(out, "No return object"))
			fail_msg("acpiexec %s: %s", *names, out);
		if (strstr(out, "AE_") && !strstr(out, "AE_OK"))
			fail_msg("acpiexec %s: %s", *names, out);
		free(out);
		free(cmd);
	}
	free(file);
	file = xasprintf("rm -rf %s", dir);
	assert_int_equal(system(file), 0);
	free(file);
	acpi_done(&t);
}

static void test_dsdt_pc(void **state)
{
	/* Not _PRT: 128 packages are more than acpiexec's 16 KiB print buffer takes. */
	static const char *const names[] = {
		"\\_S5",
		"\\_SB.PCI0._CRS",
		"\\_SB.PCI0.ISA.LNKA._CRS",
		"\\_SB.PCI0.ISA.LNKD._STA",
		"\\_SB.PCI0.ISA.LNKB._DIS",
		"\\_SB.PCI0.ISA.COM1._CRS",
		"\\_SB.HPET._CRS",
		"\\_SB.TPM._CRS",
		"\\_GPE._E01",
		"\\_SB.PCI0.S1F._SUN",
		"\\_SB.PCI0.HPRS._CRS",
		NULL,
	};

	check_dsdt(&pc, names);
}

static void test_dsdt_microvm(void **state)
{
	static const char *const names[] = {"\\_S5", "\\_SB.VR00._CRS", "\\_SB.VR01._CRS",
					    "\\_SB.COM1._CRS", NULL};

	check_dsdt(&microvm, names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_checksums),    cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),         cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_aml_encoding), cmocka_unit_test(test_dsdt_pc),
		cmocka_unit_test(test_dsdt_microvm), cmocka_unit_test(test_tpm2),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
