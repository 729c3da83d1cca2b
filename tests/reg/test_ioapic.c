/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the I/O APIC. "DS": Intel 82093AA data sheet 290566-001.
 */
#include "device/intc/ioapic.h"
#include "harness.h"

#define SEL 0xfec00000ull
#define WIN 0xfec00010ull
#define EOI 0xfec00040ull

static struct ioapic *ioapic_new(struct harness *h)
{
	struct ioapic *a = (struct ioapic *)dev_new(&ioapic_class, "ioapic", &h->sv);

	harness_realize(h, &a->dev);
	return a;
}

static void rte(struct harness *h, unsigned pin, uint32_t high, uint32_t low)
{
	writel(h, SEL, 0x11 + 2 * pin);
	writel(h, WIN, high);
	writel(h, SEL, 0x10 + 2 * pin);
	writel(h, WIN, low);
}

static uint32_t rte_low(struct harness *h, unsigned pin)
{
	writel(h, SEL, 0x10 + 2 * pin);
	return readl(h, WIN);
}

static void expect_msi(struct harness *h, unsigned n, uint64_t addr, uint32_t data)
{
	assert_int_equal(h->n_msis, n);
	if (!n)
		return;
	assert_int_equal(h->msis[(n - 1) % HARNESS_MSIS].addr, addr);
	assert_int_equal(h->msis[(n - 1) % HARNESS_MSIS].data, data);
}

static void test_registers(void **state)
{
	/* clang-format off */
	static const struct reg_row rows[] = {
		{WRITE32, SEL, 1}, {READ32, WIN, 0x00170020, .cite = "DS 3.2.2: 24 entries; ICH9 13.5.6"},
		{WRITE32, SEL, 0}, {WRITE32, WIN, 0xffffffff},
		{READ32, WIN, 0x0f000000, .cite = "DS 3.2.1: id is bits 27:24"},
		{WRITE32, SEL, 2}, {READ32, WIN, 0x0f000000, .cite = "DS 3.2.3: arbitration id"},
		{READ32, SEL, 2, .cite = "DS 3.1.1: IOREGSEL reads back"},
		{WRITE32, SEL, 0x10}, {READ32, WIN, 0x00010000, .cite = "DS 3.2.4: masked after reset"},
		{WRITE32, WIN, 0xffffffff},
		{READ32, WIN, 0x0001afff, .cite = "DS 3.2.4: bits 12 and 14 are read-only"},
		{WRITE32, SEL, 0x11}, {WRITE32, WIN, 0xffffffff},
		{READ32, WIN, 0xff000000, .cite = "DS 3.2.4: destination is bits 63:56"},
		{WRITE32, SEL, 0x3f}, {WRITE32, WIN, 0x5a000000}, {READ32, WIN, 0x5a000000},
		{WRITE32, SEL, 0x40}, {WRITE32, WIN, 1}, {READ32, WIN, 0, .cite = "no register 40h"},
		{WRITE8, SEL, 0x01}, {READ32, WIN, 0x00170020},
		{READ8, WIN + 2, 0x17}, {READ64, SEL, 0x0000000000000001},
		{MSIS, 0, 0},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct ioapic *a = ioapic_new(h);

	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&a->dev);
	harness_free(h);
}

static void test_edge(void **state)
{
	struct harness *h = harness_new();
	struct ioapic *a = ioapic_new(h);

	rte(h, 4, 0x03000000, 0x00010831);
	ioapic_set_line(a, 4, true);
	expect_msi(h, 0, 0, 0); /* DS 3.2.4 bit 16: edges on a masked pin are ignored */
	rte(h, 4, 0x03000000, 0x00000831);
	expect_msi(h, 0, 0, 0); /* and not held pending */
	ioapic_set_line(a, 4, false);
	ioapic_set_line(a, 4, true);
	expect_msi(h, 1, 0xfee03004, 0x4031); /* SDM 11.11: destination 3, logical */
	ioapic_set_line(a, 4, false);
	ioapic_set_line(a, 4, true);
	expect_msi(h, 2, 0xfee03004, 0x4031);
	assert_int_equal(rte_low(h, 4), 0x831); /* no Remote IRR for edges */
	rte(h, 9, 0xff000000, 0x00000150);
	ioapic_set_line(a, 9, true);
	expect_msi(h, 3, 0xfeeff000, 0x4150); /* lowest priority, physical */
	ioapic_set_line(a, 24, true);
	ioapic_set_line(a, 1000, true);
	expect_msi(h, 3, 0xfeeff000, 0x4150);
	harness_check_state_roundtrip(&a->dev);
	harness_free(h);
}

static void test_level(void **state)
{
	struct harness *h = harness_new();
	struct ioapic *a = ioapic_new(h);

	rte(h, 16, 0, 0x0001a041);
	ioapic_set_line(a, 16, true);
	expect_msi(h, 0, 0, 0);
	rte(h, 16, 0, 0x0000a041);
	expect_msi(h, 1, 0xfee00000, 0xc041); /* a level is there when the mask goes */
	assert_int_equal(rte_low(h, 16), 0xe041);
	ioapic_set_line(a, 16, false);
	ioapic_set_line(a, 16, true);
	expect_msi(h, 1, 0xfee00000, 0xc041); /* DS 3.2.4 bit 14: until EOI */
	bus_lock(&h->bus);
	msi_eoi(&h->bus.msi, 0x40);
	bus_unlock(&h->bus);
	expect_msi(h, 1, 0xfee00000, 0xc041);
	bus_lock(&h->bus);
	msi_eoi(&h->bus.msi, 0x41);
	bus_unlock(&h->bus);
	expect_msi(h, 2, 0xfee00000, 0xc041); /* still asserted: again */
	harness_check_state_roundtrip(&a->dev);
	ioapic_set_line(a, 16, false);
	writel(h, EOI, 0x41); /* ICH9 13.5.4 */
	assert_int_equal(rte_low(h, 16), 0xa041);
	expect_msi(h, 2, 0xfee00000, 0xc041);

	ioapic_set_line(a, 16, true);
	expect_msi(h, 3, 0xfee00000, 0xc041);
	rte(h, 16, 0, 0x00012041); /* software EOI: mask and edge, then back */
	assert_int_equal(rte_low(h, 16), 0x12041);
	rte(h, 16, 0, 0x0000a041);
	expect_msi(h, 4, 0xfee00000, 0xc041);

	bus_lock(&h->bus);
	dev_reset(&a->dev, DEV_RESET_WARM);
	bus_unlock(&h->bus);
	assert_int_equal(rte_low(h, 16), 0x10000);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_edge),
		cmocka_unit_test(test_level),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
