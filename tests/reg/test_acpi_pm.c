/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the ACPI fixed hardware and the reset control register. "ACPI": specification
 * 6.4; "PIIX3": Intel 82371SB data sheet 290550-002.
 */
#include "device/acpi/acpi_pm.h"
#include "device/acpi/pci_hotplug.h"
#include "device/misc/cf9.h"
#include "device/ticks.h"
#include "harness.h"

enum { SCI, OFF, HARD, SOFT };
enum {
	PM = 0x600,
	STS = PM,
	EN = PM + 2,
	CNT = PM + 4,
	TMR = PM + 8,
	GPE = PM + 0xc,
	GPEN = PM + 0xe
};

static struct acpi_pm *pm_new(struct harness *h, bool timer_32, bool no_smi_cmd)
{
	struct acpi_pm *pm = (struct acpi_pm *)dev_new(&acpi_pm_class, "pm", &h->sv);

	pm->base = PM;
	pm->timer_32 = timer_32;
	pm->no_smi_cmd = no_smi_cmd;
	harness_irq(h, &pm->sci, SCI);
	harness_irq(h, &pm->power_off, OFF);
	harness_realize(h, &pm->dev);
	return pm;
}

/* clang-format off */
static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{IN16, STS, 0}, {IN16, EN, 0}, {IN16, CNT, 0, .cite = "ACPI 4.8.3.2.1: legacy mode"}, {IN32, GPE, 0},
		{OUT16, EN, 0xffff}, {IN16, EN, 0x0721, .cite = "ACPI table 4.12: TMR, GBL, PWRBTN, SLPBTN, RTC"},
		{OUT8, EN + 1, 0x01}, {IN16, EN, 0x0121, .cite = "bytes are written alone"}, {OUT16, EN, 0},
		{OUT16, CNT, 0x1401}, {IN16, CNT, 0x1400, .cite = "ACPI 4.8.3.2.1: SCI_EN is not the guest's to write"},
		{OUT16, CNT, 0x0002}, {IN32, CNT, 0x0002},
		{OUT8, 0xb2, ACPI_ENABLE}, {IN16, CNT, 0x0003, .cite = "ACPI 4.8.2.3: SMI_CMD"},
		{OUT8, 0xb2, ACPI_DISABLE}, {IN16, CNT, 0x0002}, {OUT8, 0xb3, 0x5a}, {IN8, 0xb3, 0x5a}, {IN8, 0xb2, ACPI_DISABLE},
		{IN32, PM + 0x10, 0}, {OUT32, PM + 0x3c, 1}, {IN32, PM + 0x3c, 0},
		{OUT16, CNT, 0x2400}, {IN16, CNT, 0x0400, .cite = "ACPI table 4.13: SLP_EN reads 0"}, {RISES, OFF, 0},
		{IN16, STS, 0x8000, .cite = "awake again: WAK_STS"}, {OUT16, STS, 0x8000}, {IN16, STS, 0},
		{OUT16, CNT, 0x2000}, {RISES, OFF, 1, .cite = "PIIX4 7.2.3: SLP_TYP 0 is soft off"},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct acpi_pm *pm = pm_new(h, false, false);

	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&pm->dev);
	harness_free(h);
}

static void test_power_button(void **state)
{
	struct harness *h = harness_new();
	struct acpi_pm *pm = pm_new(h, false, false);

	acpi_power_button(pm);
	assert_int_equal(inw(h, STS), 0x0100); /* ACPI 4.8.3.1.1 */
	outw(h, EN, 0x0100);
	assert_false(h->pins[SCI].level); /* legacy mode: would be an SMI */
	outb(h, 0xb2, ACPI_ENABLE);
	assert_true(h->pins[SCI].level);
	harness_check_state_roundtrip(&pm->dev);
	outw(h, STS, 0xfeff);
	assert_int_equal(inw(h, STS), 0x0100);
	outb(h, STS + 1, 0x01); /* write 1 to clear, by bytes */
	assert_int_equal(inw(h, STS), 0);
	assert_false(h->pins[SCI].level);
	harness_free(h);
}

static void test_timer(void **state)
{
	static const bool wide[2] = {false, true};

	for (unsigned i = 0; i < 2; i++) {
		struct harness *h = harness_new();
		struct acpi_pm *pm = pm_new(h, wide[i], true);
		uint64_t half = wide[i] ? 1ull << 31 : 1ull << 23;
		ns_t at = ticks_to_ns(half, ACPI_PM_TIMER_HZ);

		assert_int_equal(inw(h, CNT), 1); /* ACPI 5.2.9: SMI_CMD 0: always ACPI mode */
		assert_int_equal(inb(h, 0xb2), 0xff);
		assert_int_equal(inl(h, TMR), 0);
		harness_step(h, NS_PER_SEC);
		assert_int_equal(inl(h, TMR), 3579545); /* ACPI 4.8.2.1 */
		assert_int_equal(inw(h, TMR + 2), 3579545 >> 16);
		outl(h, TMR, 0);
		assert_int_equal(inl(h, TMR), 3579545); /* read-only */
		harness_step(h, at - NS_PER_SEC - 1);
		assert_int_equal(inl(h, TMR), half - 1);
		assert_int_equal(inw(h, STS), 0);
		harness_step(h, 1);
		assert_int_equal(inl(h, TMR), half);
		assert_int_equal(inw(h, STS), 1); /* ACPI 4.8.3.1.1: the top bit changed */
		assert_int_equal(h->pins[SCI].rises, 0);
		outw(h, STS, 1);
		outw(h, EN, 1);
		harness_step(h, ticks_to_ns(half * 2, ACPI_PM_TIMER_HZ) - at - 1);
		assert_false(h->pins[SCI].level);
		harness_check_state_roundtrip(&pm->dev);
		harness_step(h, 1);
		assert_true(h->pins[SCI].level);
		assert_int_equal(inl(h, TMR), 0); /* 24 or 32 bits */
		harness_free(h);
	}
}

static void test_gpe(void **state)
{
	struct harness *h = harness_new();
	struct acpi_pm *pm = pm_new(h, false, true);

	acpi_pm_set_gpe(pm, 3, true);
	acpi_pm_set_gpe(pm, 99, true);
	assert_int_equal(inl(h, GPE), 0x00000008);
	outw(h, GPEN, 0x0008);
	assert_true(h->pins[SCI].level); /* ACPI 4.8.4.1 */
	outw(h, GPE, 0x0008);
	assert_int_equal(inw(h, GPE), 0x0008); /* the level is still there */
	acpi_pm_set_gpe(pm, 3, false);
	assert_true(h->pins[SCI].level);
	harness_check_state_roundtrip(&pm->dev);
	outw(h, GPE, 0x0008);
	assert_false(h->pins[SCI].level);
	harness_free(h);
}

static void test_move(void **state)
{
	struct harness *h = harness_new();
	struct acpi_pm *pm = pm_new(h, false, true);

	acpi_pm_moved(pm, true, 0xb000);
	assert_int_equal(inw(h, CNT), 0xffff);
	assert_int_equal(inw(h, 0xb004), 1);
	acpi_pm_moved(pm, false, 0xb000);
	assert_int_equal(inw(h, 0xb004), 0xffff);
	acpi_pm_moved(pm, true, 0xfff0); /* does not fit: unmapped, counted */
	assert_int_equal(inw(h, 0xfff4), 0xffff);
	assert_int_equal(pm->dev.guest_errors, 1);
	acpi_pm_moved(pm, true, PM);
	assert_int_equal(inw(h, CNT), 1);
	harness_free(h);
}

static void test_cf9(void **state)
{
	/* clang-format off */
	static const struct reg_row rows[] = {
		{IN8, CF9_PORT, 0}, {OUT8, CF9_PORT, 0x02}, {IN8, CF9_PORT, 0x02}, {RISES, HARD, 0},
		{OUT8, CF9_PORT, 0x06}, {RISES, HARD, 1, .cite = "PIIX3 2.1.11: SRST and RCPU: hard"}, {RISES, SOFT, 0},
		{OUT8, CF9_PORT, 0x04}, {RISES, SOFT, 1, .cite = "PIIX3 2.1.11: RCPU alone: soft"}, {RISES, HARD, 0},
		{IN8, CF9_PORT, 0x00},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct cf9 *c = (struct cf9 *)dev_new(&cf9_class, "cf9", &h->sv);

	harness_irq(h, &c->hard, HARD);
	harness_irq(h, &c->soft, SOFT);
	harness_realize(h, &c->dev);
	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&c->dev);
	harness_free(h);
}

static void on_eject(void *ctx, unsigned slot)
{
	*(uint32_t *)ctx |= 1u << slot;
}

/* ACPI 6.4, 5.6.4 and 6.3.3: the event, what came and what is to go, and the answer. */
static void test_pci_hotplug(void **state)
{
	/* clang-format off */
	static const struct reg_row come[] = {
		{RISES, 1, 1, .cite = "5.6.4: a general-purpose event"}, {LEVEL, 1, 0},
		{IN8, 0xae00, 0x20, .cite = "UP: slot 5"}, {IN8, 0xae00, 0, .cite = "reading clears"}, {IN32, 0xae04, 0},
	};
	static const struct reg_row go[] = {
		{RISES, 1, 1}, {IN32, 0xae00, 0}, {IN32, 0xae04, 0x80000000, .cite = "DOWN: slot 31"}, {IN32, 0xae04, 0},
		{OUT32, 0xae00, 0xffffffff}, {OUT32, 0xae08, 0x80000020, .cite = "6.3.3: _EJ0"}, {IN32, 0xae08, 0},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct pci_hotplug *p =
		(struct pci_hotplug *)dev_new(&pci_hotplug_class, "pci-hotplug", &h->sv);
	uint32_t ejected = 0;

	harness_irq(h, &p->gpe, 1);
	p->eject = on_eject;
	p->eject_ctx = &ejected;
	harness_realize(h, &p->dev);
	bus_lock(&h->bus);
	pci_hotplug_tell(p, 5, true);
	bus_unlock(&h->bus);
	harness_check_state_roundtrip(&p->dev);
	harness_run(h, come, ARRAY_SIZE(come));
	bus_lock(&h->bus);
	pci_hotplug_tell(p, 31, true);
	pci_hotplug_tell(p, 31, false); /* gone before anybody looked */
	bus_unlock(&h->bus);
	harness_clear(h);
	bus_lock(&h->bus);
	pci_hotplug_tell(p, 31, false);
	bus_unlock(&h->bus);
	harness_run(h, go, ARRAY_SIZE(go));
	assert_int_equal(ejected, 0x80000020);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),   cmocka_unit_test(test_power_button),
		cmocka_unit_test(test_timer),       cmocka_unit_test(test_gpe),
		cmocka_unit_test(test_move),        cmocka_unit_test(test_cf9),
		cmocka_unit_test(test_pci_hotplug),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
