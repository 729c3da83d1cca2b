/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the real-time clock. "DS": Motorola MC146818A data sheet, 1988. The harness
 * starts at 2024-02-28 23:59:00 UTC, a Wednesday.
 */
#include "device/timer/mc146818.h"

#include <pthread.h>
#include <stdatomic.h>

#include "harness.h"

enum { IRQ8, NMI_MASK, INDEX = 0x70, DATA = 0x71 };

static struct mc146818 *rtc_new(struct harness *h)
{
	struct mc146818 *rtc = (struct mc146818 *)dev_new(&mc146818_class, "rtc", &h->sv);

	harness_irq(h, &rtc->irq, IRQ8);
	harness_irq(h, &rtc->nmi_mask, NMI_MASK);
	harness_realize(h, &rtc->dev);
	return rtc;
}

static void run(const struct reg_row *rows, size_t n)
{
	struct harness *h = harness_new();
	struct mc146818 *rtc = rtc_new(h);

	harness_run(h, rows, n);
	harness_check_state_roundtrip(&rtc->dev);
	harness_free(h);
}
#define RUN(rows) run(rows, ARRAY_SIZE(rows))

/* Read and write CMOS byte `i`. */
#define RD(i, v, ...)                                                                              \
	{OUT8, INDEX, i},                                                                          \
	{                                                                                          \
		IN8, DATA, v, __VA_ARGS__                                                          \
	}
#define WR(i, v)                                                                                   \
	{OUT8, INDEX, i},                                                                          \
	{                                                                                          \
		OUT8, DATA, v                                                                      \
	}
#define SEC (1000 * NS_PER_MS)

/* clang-format off */
static void test_time(void **state)
{
	static const struct reg_row rows[] = {
		RD(0x0b, 0x02, .cite = "24-hour BCD mode"), RD(0x0d, 0x80, .cite = "DS: VRT"),
		RD(0x00, 0x00), RD(0x02, 0x59), RD(0x04, 0x23), RD(0x06, 0x04, .cite = "DS table 3: Sunday is 1"),
		RD(0x07, 0x28), RD(0x08, 0x02), RD(0x09, 0x24), RD(0x32, 0x20, .cite = "century"),
		{STEP, .val = 59 * SEC}, RD(0x00, 0x59, .cite = "DS table 3: BCD"), RD(0x07, 0x28),
		{STEP, .val = SEC}, RD(0x00, 0x00), RD(0x02, 0x00), RD(0x04, 0x00), RD(0x06, 0x05),
		RD(0x07, 0x29, .cite = "a leap year"), RD(0x08, 0x02),
		{STEP, .val = 86400 * SEC}, RD(0x07, 0x01), RD(0x08, 0x03), RD(0x06, 0x06),
		WR(0x0b, 0x06), RD(0x09, 24, .cite = "DS: DM = 1 is binary"), RD(0x32, 20),
		{STEP, .val = 13 * 3600 * SEC}, RD(0x04, 13),
		WR(0x0b, 0x04), RD(0x04, 0x81, .cite = "DS table 3: 12-hour mode, PM in bit 7"),
		{STEP, .val = 11 * 3600 * SEC}, RD(0x04, 12, .cite = "midnight is 12 AM"),
		{IN8, INDEX, 0xff, .cite = "port 70h is write-only"},
	};
	RUN(rows);
}

static void test_set(void **state)
{
	static const struct reg_row rows[] = {
		{STEP, .val = SEC / 4}, WR(0x0b, 0x82), {STEP, .val = 5 * SEC},
		RD(0x00, 0x00, .cite = "DS: SET stops updates"),
		WR(0x00, 0x58), WR(0x02, 0x59), WR(0x04, 0x23), WR(0x06, 0x01), WR(0x07, 0x31), WR(0x08, 0x12),
		WR(0x09, 0x99), WR(0x32, 0x19), RD(0x07, 0x31), RD(0x0a, 0x26, .cite = "no UIP under SET"),
		WR(0x0b, 0x02), RD(0x00, 0x58), {STEP, .val = SEC / 2}, RD(0x00, 0x58),
		{STEP, .val = SEC / 4}, RD(0x00, 0x59, .cite = "the divider ran on under SET"),
		{STEP, .val = SEC}, RD(0x00, 0x00), RD(0x09, 0x00), RD(0x32, 0x20), RD(0x06, 0x02, .cite = "as set, plus one"),
		WR(0x02, 0x30), RD(0x02, 0x30, .cite = "a single byte of the running clock"), RD(0x04, 0x00),
		/* divider reset */
		WR(0x0a, 0x76), {STEP, .val = 10 * SEC}, RD(0x00, 0x00), WR(0x0a, 0x26),
		{STEP, .val = SEC / 2 - 1}, RD(0x00, 0x00), {STEP, .val = 1},
		RD(0x00, 0x01, .cite = "DS: first update 500 ms after divider reset"),
		WR(0x40, 0x99), RD(0x40, 0x99, .cite = "PC/AT: CMOS memory"), WR(0x7f, 0x11), RD(0x7f, 0x11),
		{OUT8, INDEX, 0xff}, {IN8, DATA, 0x11}, {LEVEL, NMI_MASK, 1, .cite = "PC/AT: port 70h bit 7"},
		{OUT8, INDEX, 0x0d}, {LEVEL, NMI_MASK, 0}, {OUT8, DATA, 0}, {IN8, DATA, 0x80, .cite = "DS: D is read-only"},
	};
	RUN(rows);
}

static void test_update(void **state)
{
	static const struct reg_row rows[] = {
		RD(0x0c, 0x00), RD(0x0a, 0x26),
		{STEP, .val = SEC - 2228000 - 1}, RD(0x0a, 0x26), {STEP, .val = 1},
		RD(0x0a, 0xa6, .cite = "DS figure 14: UIP 244 us before the update of 1984 us"),
		{STEP, .val = 2227999}, RD(0x0a, 0xa6), RD(0x0c, 0x40, .cite = "PF from the divider"), RD(0x00, 0x00),
		{STEP, .val = 1}, RD(0x0a, 0x26), RD(0x00, 0x01), RD(0x0c, 0x50, .cite = "DS: UF at the end of the update"),
		RD(0x0c, 0x00, .cite = "DS: reading C clears it"), {RISES, IRQ8, 0},
		WR(0x0b, 0x12), {STEP, .val = SEC}, {LEVEL, IRQ8, 1, .cite = "DS: UIE"},
		{STEP, .val = SEC}, {RISES, IRQ8, 1}, RD(0x0c, 0xd0, .cite = "DS: IRQF"), {LEVEL, IRQ8, 0},
		{STEP, .val = SEC}, {RISES, IRQ8, 1}, WR(0x0b, 0x92), RD(0x0b, 0x82, .cite = "DS: SET clears UIE"),
		{LEVEL, IRQ8, 0},
	};
	RUN(rows);
}

static void test_periodic(void **state)
{
	static const struct reg_row rows[] = {
		WR(0x0a, 0x2f), WR(0x0b, 0x42), {STEP, .val = SEC / 2 - 1}, {LEVEL, IRQ8, 0},
		{STEP, .val = 1}, {LEVEL, IRQ8, 1, .cite = "DS table 4: RS = 15 is 2 Hz"},
		RD(0x0c, 0xc0), {LEVEL, IRQ8, 0}, {STEP, .val = SEC / 2}, {RISES, IRQ8, 2}, RD(0x0c, 0xd0),
		WR(0x0a, 0x26), {STEP, .val = 976562}, {LEVEL, IRQ8, 0}, {STEP, .val = 1},
		{LEVEL, IRQ8, 1, .cite = "DS table 4: RS = 6 is 1024 Hz"}, RD(0x0c, 0xc0),
		{STEP, .val = 10 * SEC}, {RISES, IRQ8, 2, .cite = "no more edges until C is read"}, RD(0x0c, 0xd0),
		WR(0x0a, 0x21), {STEP, .val = 3906250 - 976563 - 1}, {LEVEL, IRQ8, 0}, {STEP, .val = 1},
		{LEVEL, IRQ8, 1, .cite = "DS table 4: RS = 1 is 256 Hz"}, RD(0x0c, 0xc0),
		WR(0x0a, 0x20), {STEP, .val = 10 * SEC}, RD(0x0c, 0x10, .cite = "DS table 4: RS = 0 is none"),
	};
	RUN(rows);
}

static void test_alarm(void **state)
{
	static const struct reg_row rows[] = {
		WR(0x01, 0x30), WR(0x03, 0x00), WR(0x05, 0x00), RD(0x05, 0x00), WR(0x0b, 0x22),
		{STEP, .val = 90 * SEC - 1}, {LEVEL, IRQ8, 0}, {STEP, .val = 1}, {LEVEL, IRQ8, 1, .cite = "DS: alarm at 00:00:30"},
		RD(0x0c, 0xf0), {LEVEL, IRQ8, 0}, {STEP, .val = 86399 * SEC}, {LEVEL, IRQ8, 0},
		{STEP, .val = SEC}, {LEVEL, IRQ8, 1, .cite = "once a day"}, RD(0x0c, 0xf0),
		WR(0x01, 0xff), {STEP, .val = SEC}, {LEVEL, IRQ8, 1, .cite = "DS: C0-FF match any"}, RD(0x0c, 0xf0),
		WR(0x01, 0x00), WR(0x03, 0xc0), WR(0x05, 0xc0), {STEP, .val = 28 * SEC}, {LEVEL, IRQ8, 0},
		{STEP, .val = SEC}, {LEVEL, IRQ8, 1, .cite = "each minute"}, RD(0x0c, 0xf0),
		WR(0x01, 0x61), {STEP, .val = 86400 * SEC}, {LEVEL, IRQ8, 0, .cite = "never"},
		WR(0x0b, 0x02), WR(0x01, 0x00), WR(0x03, 0xc0), WR(0x05, 0xc0), {STEP, .val = 60 * SEC},
		RD(0x0c, 0x70, .cite = "DS: AF is set without AIE"),
	};
	RUN(rows);
}
/* clang-format on */

struct haste {
	struct harness *h;
	atomic_bool done;
};

/* Time flies: more than a period of 1024 Hz between any two looks at the clock. */
static void *hurry(void *arg)
{
	struct haste *haste = arg;

	for (uint64_t ns = HARNESS_WALL_S * SEC; !atomic_load(&haste->done); ns += NS_PER_MS)
		clock_set_wall_base(haste->h->sv.clock, ns);
	return NULL;
}

/* DS "Register C": a read clears all flags, so IRQ falls with each, however late it comes: there is
 * an edge for whoever waits for one. */
static void test_late(void **state)
{
	struct haste haste = {.h = harness_new()};
	pthread_t thread;

	rtc_new(haste.h);
	outb(haste.h, INDEX, 0x0b);
	outb(haste.h, DATA, 0x42);
	outb(haste.h, INDEX, 0x0c);
	assert_int_equal(pthread_create(&thread, NULL, hurry, &haste), 0);
	for (unsigned i = 0; i < 20000; i++) {
		inb(haste.h, DATA);
		assert_false(haste.h->pins[IRQ8].level);
		harness_step(haste.h, NS_PER_MS);
	}
	atomic_store(&haste.done, true);
	pthread_join(thread, NULL);
	assert_true(haste.h->pins[IRQ8].rises > 0);
	harness_free(haste.h);
}

static void test_reset(void **state)
{
	struct harness *h = harness_new();
	struct mc146818 *rtc = (struct mc146818 *)dev_new(&mc146818_class, "rtc", &h->sv);

	mc146818_set_cmos(rtc, CMOS_SHUTDOWN, 0x0a);
	harness_irq(h, &rtc->irq, IRQ8);
	harness_realize(h, &rtc->dev);
	outb(h, INDEX, 0x0b);
	outb(h, DATA, 0x7a);
	harness_step(h, SEC);
	assert_true(h->pins[IRQ8].level);
	bus_lock(&h->bus);
	dev_reset(&rtc->dev, DEV_RESET_WARM);
	bus_unlock(&h->bus);
	assert_false(h->pins[IRQ8].level);
	outb(h, INDEX, 0x0b);
	assert_int_equal(inb(h, DATA), 0x02); /* DS "RESET": PIE, AIE, UIE, SQWE cleared */
	outb(h, INDEX, 0x00);
	assert_int_equal(inb(h, DATA), 0x01); /* DS "RESET": the clock is not affected */
	outb(h, INDEX, CMOS_SHUTDOWN);
	assert_int_equal(inb(h, DATA), 0x0a);
	assert_int_equal(mc146818_get_cmos(rtc, CMOS_SHUTDOWN), 0x0a);

	mc146818_set_legacy(rtc, 0, true);
	outb(h, INDEX, 0x0b);
	outb(h, DATA, 0x12);
	harness_step(h, SEC);
	assert_false(h->pins[IRQ8].level); /* IA-PC HPET 1.0a, 2.3.5 */
	mc146818_set_legacy(rtc, 0, false);
	assert_true(h->pins[IRQ8].level);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_time),   cmocka_unit_test(test_set),
		cmocka_unit_test(test_update), cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_alarm),  cmocka_unit_test(test_reset),
		cmocka_unit_test(test_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
