/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device contract itself, on a made-up device: a down-counter with an interrupt (device/dev.h).
 */
#include "harness.h"

#include <errno.h>
#include <string.h>

struct toy_regs {
	uint32_t count;
	uint8_t ctl; /* bit 0: run; bit 7: expired, write 1 to clear */
	uint8_t pad_[3];
};

struct toy {
	struct dev dev;
	struct toy_regs s;
	struct irq irq;
	struct vtimer timer;
	unsigned realized, colds, loads;
	bool refuse;
};

static const struct state_field toy_fields[] = {STATE_VAL(struct toy_regs, count, .max = 1000000),
						STATE_VAL(struct toy_regs, ctl),
						STATE_PAD(struct toy_regs, pad_), STATE_END};
static const struct state_desc toy_state = STATE_DESC("toy", 1, struct toy_regs, toy_fields);

static void toy_update(struct toy *t)
{
	irq_set(&t->irq, t->s.ctl & 0x80);
}

static void toy_expired(void *ctx)
{
	struct toy *t = ctx;

	t->s.ctl = 0x80;
	toy_update(t);
}

static uint64_t toy_read(struct dev *d, uint64_t off, unsigned size)
{
	struct toy *t = (struct toy *)d;

	return off == 0 ? t->s.count : t->s.ctl;
}

static void toy_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct toy *t = (struct toy *)d;

	if (off == 0 && val > 1000000) {
		guest_error(d, "count %llu is too large", (unsigned long long)val);
	} else if (off == 0) {
		t->s.count = (uint32_t)val;
	} else if (off == 4) {
		t->s.ctl = (uint8_t)((val & 1) | (t->s.ctl & ~val & 0x80));
		if (val & 1)
			vtimer_arm(&t->timer, clock_now(d->sv->clock) + t->s.count);
		toy_update(t);
	}
}

static int toy_realize(struct dev *d, struct error *err)
{
	struct toy *t = (struct toy *)d;

	t->realized++;
	vtimer_init(&t->timer, d->sv->clock, toy_expired, t);
	return t->refuse ? error_set(err, -EBUSY, "no counter left") : 0;
}

static void toy_unrealize(struct dev *d)
{
	struct toy *t = (struct toy *)d;

	vtimer_cancel(&t->timer);
	t->realized--;
}

static void toy_reset(struct dev *d, enum dev_reset kind)
{
	struct toy *t = (struct toy *)d;

	t->colds += kind == DEV_RESET_COLD;
	vtimer_cancel(&t->timer);
	t->s = (struct toy_regs){.count = 100};
	toy_update(t);
}

static int toy_loaded(struct dev *d, struct error *err)
{
	struct toy *t = (struct toy *)d;

	t->loads++;
	if (t->s.ctl & 0x7e)
		return error_set(err, -EINVAL, "ctl has reserved bits set");
	toy_update(t);
	return 0;
}

static const struct dev_region toy_regions[] = {
	{"toy-ports", DEV_PIO, 0, 8, WIDTH_124, WIDTH_4, toy_read, toy_write},
	{"toy-mmio", DEV_MMIO, 0x10000000, 8, WIDTH_4, WIDTH_4, toy_read, NULL},
	{0}};

static const struct dev_class toy_class = {.name = "toy",
					   .summary = "counter of the harness test",
					   .spec = "tests/reg/test_dev.c",
					   .size = sizeof(struct toy),
					   .regs_offset = offsetof(struct toy, s),
					   .regions = toy_regions,
					   .state = &toy_state,
					   .realize = toy_realize,
					   .unrealize = toy_unrealize,
					   .reset = toy_reset,
					   .loaded = toy_loaded};

static void test_toy(void **state)
{
	static const struct reg_row rows[] = {
		{IN32, 0x300, 100, .cite = "reset value"},
		{READ32, 0x10000300, 100, .cite = "same register through memory"},
		{WRITE32, 0x10000300, 5, .cite = "read-only there"},
		{OUT32, 0x300, 5000},
		{READ32, 0x10000300, 5000},
		{OUT8, 0x304, 1},
		{STEP, .val = 4999},
		{LEVEL, 7, 0},
		{STEP, .val = 1},
		{LEVEL, 7, 1},
		{RISES, 7, 1},
		{RISES, 7, 0},
		{IN8, 0x304, 0x80, .mask = 0xc0},
		{OUT8, 0x304, 0x80},
		{FALLS, 7, 1},
		{OUT32, 0x300, 0xffffffff, .cite = "refused"},
		{IN32, 0x300, 5000},
		{MSIS, .val = 0},
		{CLEAR},
	};
	struct harness *h = harness_new();
	struct toy *t = (struct toy *)dev_new(&toy_class, "toy0", &h->sv);

	t->dev.base = 0x300;
	harness_irq(h, &t->irq, 7);
	harness_realize(h, &t->dev);
	assert_int_equal(t->colds, 1);
	harness_run(h, rows, ARRAY_SIZE(rows));
	assert_int_equal(t->dev.guest_errors, 1);
	for (int i = 0; i < 1000; i++)
		outl(h, 0x300, 0xffffffff);
	assert_int_equal(t->dev.guest_errors, 1001);
	harness_check_state_roundtrip(&t->dev);
	assert_int_equal(t->loads, 1);
	dev_reset(&t->dev, DEV_RESET_WARM);
	assert_int_equal(inl(h, 0x300), 100);
	harness_free(h);
}

static void test_failures(void **state)
{
	struct harness *h = harness_new();
	struct toy *a = (struct toy *)dev_new(&toy_class, "a", &h->sv);
	struct toy *b = (struct toy *)dev_new(&toy_class, "b", &h->sv);
	struct state_writer *w = state_writer_new();
	struct state_reader *r;
	struct error err = {0};
	const uint8_t *bytes;
	size_t len;

	/* Ports clash: the second names both, and leaves nothing behind. */
	a->dev.base = b->dev.base = 0x300;
	harness_realize(h, &a->dev);
	assert_int_equal(dev_realize(&b->dev, &err), -EEXIST);
	assert_non_null(strstr(err.text, "device 'b' (toy): "));
	b->dev.base = 0x400;
	b->refuse = true;
	assert_int_equal(dev_realize(&b->dev, &err), -EBUSY);
	assert_string_equal(err.text, "device 'b' (toy): no counter left");
	assert_int_equal(b->realized, 0);
	assert_int_equal(inl(h, 0x400), 0xffffffff);
	b->refuse = false;
	b->dev.base = 0x10000;
	assert_int_equal(dev_realize(&b->dev, &err), -EINVAL);
	dev_free(&b->dev);
	dev_free(NULL);

	/* loaded() has the last word, and names the device. */
	a->s.ctl = 0x02;
	dev_save(&a->dev, w);
	bytes = state_writer_finish(w, &len);
	assert_int_equal(state_reader_new(bytes, len, &r, &err), 0);
	assert_int_equal(dev_load(&a->dev, r, &err), -EINVAL);
	assert_string_equal(err.text, "state of 'a' (toy): ctl has reserved bits set");
	state_reader_free(r);
	state_writer_free(w);
	harness_free(h);
}

/* Nothing is shared between two machines in one process. */
static void test_two_machines(void **state)
{
	struct harness *h[2];
	struct toy *t[2];

	for (int i = 0; i < 2; i++) {
		h[i] = harness_new();
		t[i] = (struct toy *)dev_new(&toy_class, "toy0", &h[i]->sv);
		t[i]->dev.base = 0x300;
		harness_irq(h[i], &t[i]->irq, 1);
		harness_realize(h[i], &t[i]->dev);
	}
	outl(h[0], 0x300, 10);
	outb(h[0], 0x304, 1);
	harness_step(h[0], 10);
	assert_int_equal(h[0]->pins[1].rises, 1);
	assert_int_equal(h[1]->pins[1].rises, 0);
	assert_int_equal(inl(h[1], 0x300), 100);
	assert_int_equal(clock_now(h[1]->clock), 0);
	writel(h[0], 0x1000, 0x12345678);
	assert_int_equal(readl(h[1], 0x1000), 0);
	assert_int_equal(ld_le32(ram(h[0], 0x1000)), 0x12345678);
	harness_free(h[0]);
	harness_free(h[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_toy),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_two_machines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
