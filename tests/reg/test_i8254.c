/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the interval timer. "DS": Intel 8254 data sheet 231164-005.
 */
#include "device/ticks.h"
#include "device/timer/i8254.h"
#include "harness.h"

enum { IRQ0 };

/* One step. GO moves guest time to CLK number `at`; OUT2 is port 61h bit 5. */
enum op { GO, W, R, OUT2, LINE, RISE };
struct row {
	enum op op;
	unsigned at, val;
	const char *cite;
};

static struct i8254 *pit_new(struct harness *h)
{
	struct i8254 *pit = (struct i8254 *)dev_new(&i8254_class, "pit", &h->sv);

	harness_irq(h, &pit->irq, IRQ0);
	harness_realize(h, &pit->dev);
	return pit;
}

static void run(const struct row *rows, size_t n)
{
	struct harness *h = harness_new();
	struct i8254 *pit = pit_new(h);
	ns_t now = 0;

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		unsigned got = r->val;

		switch (r->op) {
		case GO: {
			ns_t to = ticks_to_ns(r->at, I8254_HZ);

			harness_step(h, to - now);
			now = to;
			harness_check_state_roundtrip(&pit->dev);
			break;
		}
		case W: outb(h, (uint16_t)r->at, (uint8_t)r->val); break;
		case R: got = inb(h, (uint16_t)r->at); break;
		case OUT2: got = (inb(h, 0x61) >> 5) & 1; break;
		case LINE: got = h->pins[IRQ0].level; break;
		case RISE:
			got = h->pins[IRQ0].rises;
			h->pins[IRQ0].rises = 0;
			break;
		}
		if (got != r->val)
			fail_msg("row %zu: got 0x%x, want 0x%x [%s]", i, got, r->val,
				 r->cite ? r->cite : "");
	}
	harness_free(h);
}
#define RUN(rows) run(rows, ARRAY_SIZE(rows))

/* clang-format off */
static void test_mode0(void **state)
{
	static const struct row rows[] = {
		{LINE, 0, 0}, {W, 0x43, 0x30}, {LINE, 0, 0, "DS p. 8: OUT low after the control word"},
		{W, 0x40, 4}, {GO, 2}, {W, 0x40, 0},
		{W, 0x43, 0xe2}, {R, 0x40, 0x70, "DS p. 13: OUT 0, null count until loaded"},
		{GO, 3}, {W, 0x43, 0xe2}, {R, 0x40, 0x30},
		{R, 0x40, 4, "DS p. 8: loaded on the next CLK"}, {R, 0x40, 0},
		{GO, 6}, {LINE, 0, 0}, {R, 0x40, 1}, {R, 0x40, 0},
		{GO, 7}, {LINE, 0, 1, "DS p. 8: high N + 1 CLK after the count was written"},
		{RISE, 0, 1}, {GO, 8}, {R, 0x40, 0xff, "DS p. 8: counts on from FFFF"}, {R, 0x40, 0xff},
		{W, 0x40, 3}, {LINE, 0, 0, "DS p. 8: the first byte sets OUT low and stops counting"},
		{GO, 20}, {R, 0x40, 4 - 0, "frozen"}, {R, 0x40, 0}, {W, 0x40, 0},
		{GO, 23}, {LINE, 0, 0}, {GO, 24}, {RISE, 0, 1}, {GO, 200000}, {RISE, 0, 0},
	};
	RUN(rows);
}

static void test_mode0_gate(void **state)
{
	static const struct row rows[] = {
		{W, 0x61, 1}, {W, 0x43, 0x90}, {W, 0x42, 10}, {GO, 4}, {R, 0x42, 7},
		{W, 0x61, 0}, {GO, 50}, {R, 0x42, 7, "DS p. 8: GATE = 0 disables counting"}, {OUT2, 0, 0},
		{W, 0x61, 1}, {GO, 56}, {OUT2, 0, 0}, {R, 0x42, 1}, {GO, 57}, {OUT2, 0, 1},
		{W, 0x61, 0}, {W, 0x42, 5}, {OUT2, 0, 0}, {GO, 60}, {R, 0x42, 5, "DS p. 8: loaded with GATE 0"},
		{W, 0x61, 1}, {GO, 64}, {OUT2, 0, 0}, {GO, 65}, {OUT2, 0, 1, "DS p. 8: then N CLK"},
	};
	RUN(rows);
}

static void test_mode1(void **state)
{
	static const struct row rows[] = {
		{W, 0x43, 0x92}, {OUT2, 0, 1, "DS p. 9: OUT is initially high"},
		{W, 0x42, 4}, {GO, 5}, {OUT2, 0, 1, "DS p. 9: armed, not triggered"},
		{W, 0x43, 0xe8}, {R, 0x42, 0xd2, "null count until the trigger"},
		{W, 0x61, 1}, {GO, 6}, {OUT2, 0, 0, "DS p. 9: low on the CLK after the trigger"},
		{GO, 9}, {OUT2, 0, 0}, {GO, 10}, {OUT2, 0, 1, "DS p. 9: pulse of N CLK"},
		{W, 0x61, 0}, {W, 0x61, 1}, {GO, 12}, {OUT2, 0, 0},
		{W, 0x42, 2, "DS p. 9: a new count does not change the current pulse"},
		{W, 0x61, 0}, {OUT2, 0, 0, "DS p. 9: GATE low has no effect"},
		{GO, 14}, {OUT2, 0, 0}, {GO, 15}, {OUT2, 0, 1},
		{W, 0x61, 1}, {GO, 17}, {OUT2, 0, 0}, {GO, 18}, {OUT2, 0, 1, "the new count is 2"},
		{W, 0x42, 8}, {W, 0x61, 0}, {W, 0x61, 1}, {GO, 22}, {OUT2, 0, 0}, {W, 0x61, 0}, {W, 0x61, 1},
		{OUT2, 0, 0, "DS p. 9: retriggerable"}, {GO, 30}, {OUT2, 0, 0}, {GO, 31}, {OUT2, 0, 1},
	};
	RUN(rows);
}

static void test_mode2(void **state)
{
	static const struct row rows[] = {
		{W, 0x43, 0x34}, {LINE, 0, 1, "DS p. 9: OUT is initially high"}, {RISE, 0, 1},
		{W, 0x40, 3}, {W, 0x40, 0}, {GO, 1}, {R, 0x40, 3}, {R, 0x40, 0},
		{GO, 2}, {R, 0x40, 2}, {R, 0x40, 0}, {GO, 3}, {R, 0x40, 1}, {R, 0x40, 0},
		{W, 0x43, 0xe2}, {R, 0x40, 0x34, "DS p. 9: low for the last CLK"}, {RISE, 0, 0},
		{GO, 4}, {RISE, 0, 1, "DS p. 9: high again, reloaded"}, {R, 0x40, 3}, {R, 0x40, 0},
		{GO, 7}, {RISE, 0, 1}, {GO, 10}, {RISE, 0, 1},
		{GO, 11}, {W, 0x40, 5}, {W, 0x40, 0}, {GO, 12}, {R, 0x40, 1, "DS p. 9: end of the cycle first"},
		{R, 0x40, 0}, {W, 0x43, 0xe2}, {R, 0x40, 0x74, "null count"},
		{GO, 13}, {RISE, 0, 1}, {R, 0x40, 5}, {R, 0x40, 0}, {W, 0x43, 0xe2}, {R, 0x40, 0xb4},
		{GO, 17}, {RISE, 0, 0}, {GO, 18}, {RISE, 0, 1}, {GO, 23}, {RISE, 0, 1},
		{GO, 1000 * 5 + 3}, {RISE, 0, 996, "every period"},
	};
	RUN(rows);
}

static void test_mode2_gate(void **state)
{
	static const struct row rows[] = {
		{W, 0x61, 1}, {W, 0x43, 0x94}, {W, 0x42, 4}, {GO, 3}, {R, 0x42, 2}, {GO, 4}, {OUT2, 0, 0},
		{W, 0x61, 0}, {OUT2, 0, 1, "DS p. 9: GATE low sets OUT high immediately"},
		{GO, 40}, {R, 0x42, 1}, {W, 0x61, 1}, {GO, 41}, {R, 0x42, 4, "DS p. 9: a trigger reloads"},
		{OUT2, 0, 1}, {GO, 44}, {OUT2, 0, 0}, {GO, 45}, {OUT2, 0, 1},
		{W, 0x61, 0}, {W, 0x42, 6}, {W, 0x61, 1}, {GO, 46}, {R, 0x42, 6}, {GO, 51}, {OUT2, 0, 0},
	};
	RUN(rows);
}

static void test_mode3(void **state)
{
	static const struct row rows[] = {
		{W, 0x61, 1}, {W, 0x43, 0x96}, {W, 0x42, 4},
		{GO, 1}, {OUT2, 0, 1}, {R, 0x42, 4}, {GO, 2}, {OUT2, 0, 1}, {R, 0x42, 2, "DS p. 10: counts by two"},
		{GO, 3}, {OUT2, 0, 0}, {R, 0x42, 4}, {GO, 4}, {OUT2, 0, 0}, {R, 0x42, 2},
		{GO, 5}, {OUT2, 0, 1, "DS p. 10: even N: half and half"},
		{W, 0x42, 5}, {GO, 6}, {OUT2, 0, 1}, {R, 0x42, 2}, {GO, 7}, {OUT2, 0, 0, "end of the half-cycle"},
		{R, 0x42, 4, "DS p. 10: odd N: N - 1 is loaded"}, {GO, 8}, {OUT2, 0, 0}, {R, 0x42, 2},
		{GO, 9}, {OUT2, 0, 1}, {R, 0x42, 4}, {GO, 10}, {OUT2, 0, 1}, {R, 0x42, 2},
		{GO, 11}, {OUT2, 0, 1, "DS p. 10: high for (N + 1) / 2"}, {R, 0x42, 0},
		{GO, 12}, {OUT2, 0, 0}, {GO, 13}, {OUT2, 0, 0}, {GO, 14}, {OUT2, 0, 1},
		{GO, 17}, {OUT2, 0, 0}, {W, 0x61, 0}, {OUT2, 0, 1, "DS p. 10: GATE low: OUT high"},
		{GO, 30}, {OUT2, 0, 1}, {W, 0x61, 1}, {GO, 33}, {OUT2, 0, 1}, {GO, 34}, {OUT2, 0, 0},
		{W, 0x43, 0x3e, "mode 7 is mode 3 (DS p. 7)"}, {W, 0x40, 0}, {W, 0x40, 0},
		{W, 0x43, 0xe2}, {R, 0x40, 0xf6}, {RISE, 0, 1},
		{GO, 34 + 65536}, {RISE, 0, 0}, {GO, 35 + 65536}, {RISE, 0, 1, "DS p. 10: 0 is 65,536"},
		{GO, 35 + 10 * 65536}, {RISE, 0, 9},
		{W, 0x40, 6}, {W, 0x40, 0}, {GO, 35 + 10 * 65536 + 32768}, {RISE, 0, 0},
		{GO, 35 + 10 * 65536 + 32768 + 3}, {RISE, 0, 1, "the new count begins with a low half"},
		{GO, 35 + 10 * 65536 + 32768 + 9}, {RISE, 0, 1},
	};
	RUN(rows);
}

static void test_mode4_5(void **state)
{
	static const struct row rows[] = {
		{W, 0x61, 1}, {W, 0x43, 0x98}, {OUT2, 0, 1}, {W, 0x42, 3}, {GO, 3}, {OUT2, 0, 1},
		{GO, 4}, {OUT2, 0, 0, "DS p. 11: strobe N + 1 CLK after the write"}, {GO, 5}, {OUT2, 0, 1},
		{R, 0x42, 0xff}, {GO, 300}, {OUT2, 0, 1},
		{W, 0x42, 10}, {GO, 304}, {W, 0x42, 2, "DS p. 11: a new count is loaded on the next CLK"},
		{GO, 306}, {OUT2, 0, 1}, {GO, 307}, {OUT2, 0, 0}, {GO, 308}, {OUT2, 0, 1},
		{W, 0x42, 4}, {GO, 310}, {W, 0x61, 0}, {GO, 320}, {R, 0x42, 3, "GATE = 0 disables"},
		{W, 0x61, 1}, {GO, 323}, {OUT2, 0, 0},
		/* mode 5 */
		{W, 0x61, 0}, {W, 0x43, 0x9a}, {W, 0x42, 3}, {GO, 340}, {OUT2, 0, 1, "DS p. 12: waits for a trigger"},
		{W, 0x61, 1}, {GO, 341}, {R, 0x42, 3}, {GO, 343}, {OUT2, 0, 1}, {GO, 344}, {OUT2, 0, 0},
		{GO, 345}, {OUT2, 0, 1},
		/* counter 0 in mode 4: one interrupt */
		{RISE, 0, 0}, {W, 0x43, 0x18}, {RISE, 0, 1}, {W, 0x40, 2}, {GO, 348}, {RISE, 0, 0},
		{GO, 349}, {RISE, 0, 1, "end of the strobe"}, {GO, 70000}, {RISE, 0, 0},
	};
	RUN(rows);
}

static void test_read(void **state)
{
	static const struct row rows[] = {
		{R, 0x43, 0xff, "DS p. 6: the control word register cannot be read"},
		{W, 0x61, 1}, {W, 0x43, 0xb4}, {W, 0x42, 0x34}, {W, 0x42, 0x12},
		{GO, 1}, {W, 0x43, 0x80, "DS p. 12: counter latch"}, {GO, 0x35},
		{W, 0x43, 0x80, "ignored: latched already"}, {R, 0x42, 0x34}, {R, 0x42, 0x12},
		{R, 0x42, 0x00, "DS p. 12: following the count again"}, {R, 0x42, 0x12},
		{W, 0x43, 0xc8, "DS p. 13: read-back of count and status"}, {GO, 0x100},
		{R, 0x42, 0xb4, "DS p. 14: status first"}, {R, 0x42, 0x00}, {R, 0x42, 0x12},
		{W, 0x43, 0xda, "count only, counters 0 and 2"}, {R, 0x42, 0x35}, {R, 0x42, 0x11},
		/* LSB only and MSB only */
		{W, 0x43, 0x94}, {W, 0x42, 0x20}, {GO, 0x101}, {R, 0x42, 0x20}, {R, 0x42, 0x20},
		{W, 0x43, 0xa4}, {W, 0x42, 0x20}, {GO, 0x102}, {R, 0x42, 0x20}, {GO, 0x103}, {R, 0x42, 0x1f},
		{W, 0x43, 0x80}, {R, 0x42, 0x1f, "latch of an MSB-only counter is one byte"}, {R, 0x42, 0x1f},
		/* BCD */
		{W, 0x43, 0xb1}, {W, 0x42, 0x00}, {W, 0x42, 0x10}, {GO, 0x105}, {R, 0x42, 0x99},
		{R, 0x42, 0x09, "DS p. 7: 1000 - 1 in BCD"},
		{W, 0x42, 0x00}, {W, 0x42, 0x00}, {GO, 0x106}, {R, 0x42, 0x00}, {R, 0x42, 0x00},
		{GO, 0x107}, {R, 0x42, 0x99}, {R, 0x42, 0x99, "DS p. 10: 0 is 10^4"},
		{GO, 0x106 + 9999}, {OUT2, 0, 0}, {GO, 0x106 + 10000}, {OUT2, 0, 1},
	};
	RUN(rows);
}

static void test_port61(void **state)
{
	static const struct row rows[] = {
		{R, 0x61, 0x00}, {W, 0x61, 0xff}, {R, 0x61, 0x0f, "PIIX4 4.2.7.2: bits 7:4 are read-only"},
		{GO, 18}, {R, 0x61, 0x1f, "refresh toggles every 15 us"}, {GO, 35}, {R, 0x61, 0x1f},
		{GO, 36}, {R, 0x61, 0x0f}, {W, 0x61, 0}, {R, 0x61, 0x00},
	};
	RUN(rows);
}
/* clang-format on */

/* One program of counter 2: what is written at which tick. */
struct write {
	unsigned tick;
	uint16_t port;
	uint8_t val;
};

enum { TICKS = 240 };

/* OUT of counter 2 summed over each stretch between two writes: tick by tick through port 61h if
 * @step, else at once. */
static unsigned out2_sums(const struct write *w, unsigned n, bool step, uint64_t *ret_sum)
{
	struct harness *h = harness_new();
	struct i8254 *pit = pit_new(h);
	unsigned at = 0, sums = 0;
	ns_t now = 0;

	for (unsigned t = 0; t <= TICKS; t++) {
		ns_t to = ticks_to_ns(t, I8254_HZ);

		harness_step(h, to - now);
		now = to;
		if (at < n && w[at].tick == t) {
			ret_sum[++sums] = 0;
			if (!step && at)
				ret_sum[sums - 1] = i8254_out2_ticks(pit, w[at - 1].tick, t);
			for (; at < n && w[at].tick == t; at++)
				outb(h, w[at].port, w[at].val);
		}
		if (step && sums && t < TICKS)
			ret_sum[sums] += (inb(h, 0x61) >> 5) & 1;
	}
	if (!step)
		ret_sum[sums] = i8254_out2_ticks(pit, w[n - 1].tick, TICKS);
	harness_free(h);
	return sums;
}

/* What the loudspeaker hears is what a program that reads port 61h at every tick sees. */
static void test_out2_ticks(void **state)
{
	for (unsigned mode = 0; mode < 6; mode++) {
		for (unsigned count = 2; count < 12; count++) {
			const struct write w[] = {
				{1, 0x61, 1},
				{1, 0x43, (uint8_t)(0x90 | mode << 1)},
				{1, 0x42, (uint8_t)count},
				{20, 0x61, 0}, /* GATE falls, and rises: a trigger */
				{33, 0x61, 1},
				{80, 0x42, (uint8_t)(count + 3)}, /* from the next cycle on */
				{101, 0x42, (uint8_t)(19 - count)},
				{150, 0x61, 0},
				{151, 0x61, 1},
			};
			uint64_t one[ARRAY_SIZE(w) + 1] = {0}, all[ARRAY_SIZE(w) + 1] = {0};
			unsigned n = out2_sums(w, ARRAY_SIZE(w), true, one);

			assert_int_equal(out2_sums(w, ARRAY_SIZE(w), false, all), n);
			for (unsigned i = 1; i <= n; i++)
				if (one[i] != all[i])
					fail_msg("mode %u, count %u, stretch %u: %u, one by one %u",
						 mode, count, i, (unsigned)all[i],
						 (unsigned)one[i]);
		}
	}
}

static void test_legacy(void **state)
{
	struct harness *h = harness_new();
	struct i8254 *pit = pit_new(h);

	outb(h, 0x43, 0x34);
	outb(h, 0x40, 100);
	outb(h, 0x40, 0);
	harness_step(h, NS_PER_MS);
	assert_int_not_equal(h->pins[IRQ0].rises, 0);
	i8254_set_legacy(pit, 0, true);
	assert_false(h->pins[IRQ0].level);
	harness_clear(h);
	harness_step(h, NS_PER_MS);
	assert_int_equal(h->pins[IRQ0].rises, 0); /* IA-PC HPET 1.0a, 2.3.5 */
	i8254_set_legacy(pit, 0, false);
	harness_clear(h);
	harness_step(h, NS_PER_SEC);
	assert_in_range(h->pins[IRQ0].rises, 11931, 11932);
	harness_free(h);
}

/* Guest time goes on while nobody runs: lost periods are made up for, and no more than 64. */
static void test_backlog(void **state)
{
	static const struct {
		uint8_t cw;
		unsigned count, periods, want;
	} rows[] = {
		{0x34, 4773, 0, 0},   {0x34, 4773, 1, 1},    {0x34, 4773, 10, 10},
		{0x36, 4773, 10, 10}, {0x36, 65535, 20, 20}, {0x34, 4773, 1000, 65},
		{0x30, 4773, 10, 1},  {0x38, 4773, 10, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct harness *h = harness_new();
		struct i8254 *pit = pit_new(h);
		ns_t period = ticks_to_ns(rows[i].count, I8254_HZ);

		outb(h, 0x43, rows[i].cw);
		outb(h, 0x40, (uint8_t)rows[i].count);
		outb(h, 0x40, (uint8_t)(rows[i].count >> 8));
		harness_clear(h);
		clock_skip(h->sv.clock, clock_now(h->sv.clock) + rows[i].periods * period + 2000);
		clock_catch_up(h->sv.clock);
		assert_int_equal(h->pins[IRQ0].rises, rows[i].want ? 1 : 0);
		harness_check_state_roundtrip(&pit->dev);
		/* eight in a period, next to the one that is due by itself */
		harness_step(h, period / 2);
		assert_int_equal(h->pins[IRQ0].rises, MIN(rows[i].want, 5u));
		harness_step(h, 20 * period);
		if (rows[i].cw < 0x38 && rows[i].cw != 0x30)
			assert_int_equal(h->pins[IRQ0].rises, rows[i].want + 20);
		else
			assert_int_equal(h->pins[IRQ0].rises, 1);
		harness_free(h);
	}
}

/* A new control word is a new timer: nothing is owed. */
static void test_backlog_ends(void **state)
{
	struct harness *h = harness_new();

	(void)pit_new(h);
	outb(h, 0x43, 0x34);
	outb(h, 0x40, 0);
	outb(h, 0x40, 1);
	clock_skip(h->sv.clock, clock_now(h->sv.clock) + 20 * ticks_to_ns(256, I8254_HZ));
	clock_catch_up(h->sv.clock);
	outb(h, 0x43, 0x34);
	harness_clear(h);
	harness_step(h, NS_PER_SEC);
	assert_int_equal(h->pins[IRQ0].rises, 0);
	harness_free(h);
}

/* An edge that is due when the state is saved, and the line's level, survive. */
static void test_restore(void **state)
{
	struct harness *h = harness_new();
	struct i8254 *pit = pit_new(h);
	struct state_writer *w = state_writer_new();
	struct state_reader *r;
	struct error err = {0};
	const uint8_t *bytes;
	size_t n;

	outb(h, 0x43, 0x34);
	outb(h, 0x40, 50);
	outb(h, 0x40, 0);
	harness_step(h, 1000);
	dev_save(&pit->dev, w);
	bytes = state_writer_finish(w, &n);
	dev_reset(&pit->dev, DEV_RESET_COLD);
	assert_int_equal(state_reader_new(bytes, n, &r, &err), 0);
	assert_int_equal(dev_load(&pit->dev, r, &err), 0);
	state_reader_free(r);
	state_writer_free(w);
	assert_true(h->pins[IRQ0].level);
	harness_clear(h);
	harness_step(h, ticks_to_ns(51, I8254_HZ) - 1001);
	assert_int_equal(h->pins[IRQ0].rises, 0);
	harness_step(h, 1);
	assert_int_equal(h->pins[IRQ0].rises, 1);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mode0),      cmocka_unit_test(test_mode0_gate),
		cmocka_unit_test(test_mode1),      cmocka_unit_test(test_mode2),
		cmocka_unit_test(test_mode2_gate), cmocka_unit_test(test_mode3),
		cmocka_unit_test(test_mode4_5),    cmocka_unit_test(test_read),
		cmocka_unit_test(test_port61),     cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_out2_ticks), cmocka_unit_test(test_restore),
		cmocka_unit_test(test_backlog),    cmocka_unit_test(test_backlog_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
