/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the high precision event timer. "Spec": IA-PC HPET 1.0a.
 */
#include "device/timer/hpet.h"
#include "harness.h"

#define B         HPET_BASE
#define CONF(n)   (B + 0x100 + 0x20 * (n))
#define COMP(n)   (B + 0x108 + 0x20 * (n))
#define TICKS(n)  ((n)*10ull)
#define ROUTE(r)  ((r) << 9)
#define CAPS_HIGH 0x00f00000u

enum { LEGACY = 30, IRQ0, IRQ8, GEN = 0x10, STA = 0x20, CNT = 0xf0 };

static struct hpet *hpet_new_in(struct harness *h)
{
	struct hpet *hp = (struct hpet *)dev_new(&hpet_class, "hpet", &h->sv);

	for (unsigned i = 0; i < HPET_ROUTES; i++)
		harness_irq(h, &hp->irq[i], i);
	harness_irq(h, &hp->legacy, LEGACY);
	harness_irq(h, &hp->legacy_irq0, IRQ0);
	harness_irq(h, &hp->legacy_irq8, IRQ8);
	harness_realize(h, &hp->dev);
	return hp;
}

static void run(const struct reg_row *rows, size_t n)
{
	struct harness *h = harness_new();
	struct hpet *hp = hpet_new_in(h);

	for (size_t i = 0; i < n; i++) {
		harness_run(h, rows + i, 1);
		harness_check_state_roundtrip(&hp->dev);
	}
	harness_free(h);
}
#define RUN(rows) run(rows, ARRAY_SIZE(rows))

/* clang-format off */
static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{READ32, B, 0x8086a201, .cite = "Spec 2.3.4: three timers, 64 bits, legacy capable"},
		{READ32, B + 4, 10000000, .cite = "Spec 2.3.4: period in femtoseconds"},
		{READ64, B, 10000000ull << 32 | 0x8086a201},
		{READ64, B + GEN, 0}, {READ64, B + CNT, 0},
		{WRITE32, B + GEN, 0xfffffffc}, {READ32, B + GEN, 0, .cite = "Spec 2.3.5: two bits"},
		{READ32, CONF(0), 0x2830, .cite = "Spec 2.3.8: periodic and 64-bit capable"},
		{READ32, CONF(0) + 4, CAPS_HIGH, .cite = "Spec 2.3.8: route capabilities"},
		{READ64, COMP(0), UINT64_MAX, .cite = "Spec 2.3.9: reset"},
		{WRITE32, CONF(1), (0xffffffff & ~ROUTE(31u)) | ROUTE(21u)}, {READ32, CONF(1), 0x2b7e},
		{WRITE32, CONF(1), ROUTE(3u)}, {READ32, CONF(1), 0x2a30, .cite = "Spec 2.3.8: a route it does not have"},
		{WRITE64, B + CNT, 0x123456789abcdef0}, {READ64, B + CNT, 0x123456789abcdef0, .cite = "Spec 2.3.7"},
		{READ32, B + CNT + 4, 0x12345678}, {WRITE32, B + CNT + 4, 0x1}, {READ64, B + CNT, 0x19abcdef0},
		{STEP, .val = TICKS(100)}, {READ64, B + CNT, 0x19abcdef0, .cite = "halted"},
		{WRITE32, B + GEN, 1}, {STEP, .val = TICKS(100)}, {READ64, B + CNT, 0x19abcdef0 + 100, .cite = "100 MHz"},
		{WRITE32, B + GEN, 0}, {STEP, .val = TICKS(5)}, {READ64, B + CNT, 0x19abcdef0 + 100},
		{READ16, B, 0xffff, .cite = "Spec 2.3.3: 32- and 64-bit accesses only"},
		{READ64, B + 0x110, 0}, {READ64, B + 0x160, 0, .cite = "no fourth timer"}, {READ64, B + 0x3f8, 0},
	};
	RUN(rows);
}

static void test_one_shot(void **state)
{
	static const struct reg_row rows[] = {
		{WRITE32, B + GEN, 1}, {WRITE64, COMP(0), 1000}, {WRITE32, CONF(0), ROUTE(20u) | 4},
		{STEP, .val = TICKS(1000) - 1}, {RISES, 20, 0}, {STEP, .val = 1}, {RISES, 20, 1, .cite = "Spec 2.3.9.2.1: match"},
		{READ32, B + STA, 0, .cite = "Spec 2.3.6: edge: status stays 0"},
		{STEP, .val = TICKS((1ull << 33) + 1)}, {RISES, 20, 0, .cite = "64 bits: once"},
		{WRITE32, CONF(0), ROUTE(20u) | 0x104}, {LEVEL, 20, 1}, {WRITE64, B + CNT, 0},
		{STEP, .val = TICKS(1000)}, {RISES, 20, 1}, {STEP, .val = TICKS(1ull << 32) - 1}, {RISES, 20, 0},
		{STEP, .val = 1}, {RISES, 20, 1, .cite = "Spec 2.3.9.2.1: 32 bits: again when it wraps"},
		{WRITE32, CONF(0), ROUTE(20u)}, {LEVEL, 20, 0, .cite = "disabled"},
		{WRITE32, CONF(0), ROUTE(22u) | 6}, {WRITE64, B + CNT, 995}, {STEP, .val = TICKS(5)},
		{LEVEL, 22, 1, .cite = "Spec 2.3.8: level"}, {READ32, B + STA, 1}, {STEP, .val = TICKS(500)}, {LEVEL, 22, 1},
		{WRITE32, B + STA, 2}, {LEVEL, 22, 1}, {WRITE32, B + STA, 1}, {LEVEL, 22, 0, .cite = "Spec 2.3.6: write 1 to clear"},
		{READ32, B + STA, 0},
	};
	RUN(rows);
}

static void test_periodic(void **state)
{
	static const struct reg_row rows[] = {
		{WRITE32, CONF(1), ROUTE(21u) | 0x4c}, {WRITE64, COMP(1), 1000},
		{READ32, CONF(1), 0x2a3c, .cite = "Spec 2.3.8: VAL_SET clears itself"},
		{WRITE32, B + GEN, 1}, {STEP, .val = TICKS(1000)}, {RISES, 21, 1}, {READ64, COMP(1), 2000, .cite = "Spec 2.3.9.2.2: period added"},
		{STEP, .val = TICKS(999)}, {RISES, 21, 0}, {STEP, .val = TICKS(1)}, {RISES, 21, 1}, {READ64, COMP(1), 3000},
		{WRITE64, COMP(1), 2500}, {READ64, COMP(1), 3000, .cite = "Spec 2.3.9.2.2: without VAL_SET the period"},
		{STEP, .val = TICKS(1000)}, {RISES, 21, 1}, {READ64, COMP(1), 5500}, {STEP, .val = TICKS(2500)}, {RISES, 21, 1},
		/* Linux's order: VAL_SET, first match, then the period */
		{WRITE32, CONF(1), ROUTE(21u) | 0x14c}, {WRITE32, COMP(1), 6000}, {WRITE32, COMP(1), 750},
		{STEP, .val = TICKS(500)}, {RISES, 21, 1}, {STEP, .val = TICKS(7500)}, {RISES, 21, 10}, {READ32, COMP(1), 14250},
		/* no interrupt, yet the comparator moves */
		{WRITE32, CONF(1), ROUTE(21u) | 0x108}, {STEP, .val = TICKS(7500)}, {RISES, 21, 0}, {READ32, COMP(1), 21750},
		/* the shortest period a guest can ask for */
		{WRITE32, CONF(1), ROUTE(21u) | 0x14c}, {WRITE32, COMP(1), 1}, {WRITE32, B + CNT, 0},
		{CLEAR}, {STEP, .val = NS_PER_MS}, {RISES, 21, 200, .cite = "merged: at most one in 5 us"},
	};
	RUN(rows);
}

static void test_legacy(void **state)
{
	static const struct reg_row rows[] = {
		{WRITE32, CONF(0), ROUTE(20u) | 0x4c}, {WRITE64, COMP(0), 1000}, {WRITE32, CONF(1), ROUTE(21u) | 4}, {WRITE64, COMP(1), 1500},
		{WRITE32, CONF(2), ROUTE(22u) | 4}, {WRITE64, COMP(2), 1700}, {LEVEL, LEGACY, 0},
		{WRITE32, B + GEN, 3}, {LEVEL, LEGACY, 1, .cite = "Spec 2.3.5: PIT and RTC are cut off"},
		{STEP, .val = TICKS(1000)}, {RISES, IRQ0, 1, .cite = "Spec 2.3.5: timer 0 is IRQ0"}, {STEP, .val = TICKS(500)},
		{RISES, IRQ8, 1, .cite = "Spec 2.3.5: timer 1 is IRQ8"}, {STEP, .val = TICKS(500)}, {RISES, IRQ0, 1}, {RISES, 22, 1},
		{RISES, 20, 0}, {RISES, 21, 0}, {WRITE32, B + GEN, 1}, {LEVEL, LEGACY, 0}, {LEVEL, IRQ0, 0}, {LEVEL, 20, 1},
		{WRITE32, B + GEN, 0}, {LEVEL, 20, 0}, {STEP, .val = TICKS(5000)}, {RISES, 20, 1},
	};
	RUN(rows);
}
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_one_shot),
		cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_legacy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
