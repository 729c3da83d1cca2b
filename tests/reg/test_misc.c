/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the small devices: port 92h, port 80h, debug console, exit port, test device.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "device/misc/smbus.h"
#include "device/char/uart16550.h"
#include "device/timer/mc146818.h"
#include "device/misc/debugcon.h"
#include "device/misc/debugexit.h"
#include "device/misc/port92.h"
#include "device/misc/postcode.h"
#include "device/misc/testdev.h"
#include "harness.h"

enum { A20, RESET };

/* clang-format off */
static void test_port92(void **state)
{
	static const struct reg_row rows[] = {
		{IN8, 0x92, 0}, {OUT8, 0x92, 0x02}, {LEVEL, A20, 1, .cite = "PIIX4 4.2.7.4: FAST_A20"}, {IN8, 0x92, 0x02},
		{OUT8, 0x92, 0xfc}, {IN8, 0x92, 0x00}, {LEVEL, A20, 0}, {RISES, RESET, 0},
		{OUT8, 0x92, 0x01}, {RISES, RESET, 1, .cite = "PIIX4 4.2.7.4: FAST_INIT on 0 to 1"}, {OUT8, 0x92, 0x03}, {RISES, RESET, 0},
		{OUT8, 0x92, 0x02}, {OUT8, 0x92, 0x03}, {RISES, RESET, 1},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct port92 *p = (struct port92 *)dev_new(&port92_class, "p92", &h->sv);

	harness_irq(h, &p->a20, A20);
	harness_irq(h, &p->reset, RESET);
	harness_realize(h, &p->dev);
	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&p->dev);
	bus_lock(&h->bus);
	dev_reset(&p->dev, DEV_RESET_WARM);
	bus_unlock(&h->bus);
	assert_false(h->pins[A20].level);
	harness_free(h);
}

static void test_postcode(void **state)
{
	struct harness *h = harness_new();
	struct postcode *p = (struct postcode *)dev_new(&postcode_class, "post", &h->sv);

	harness_realize(h, &p->dev);
	for (unsigned i = 0; i < 100; i++)
		outb(h, 0x80, (uint8_t)(i / 2)); /* AT: a latch */
	assert_int_equal(inb(h, 0x80), 49);
	assert_int_equal(p->s.writes, 100);
	assert_int_equal(p->s.history[0], 49);
	assert_int_equal(p->s.history[15], 34);
	harness_check_state_roundtrip(&p->dev);
	harness_free(h);
}

static void test_debugcon(void **state)
{
	struct harness *h = harness_new();
	struct debugcon *con = (struct debugcon *)dev_new(&debugcon_class, "con", &h->sv);
	char path[64], spec[80], got[16] = "";
	struct error err = {0};
	struct chr *chr;
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/test-debugcon-%d", (int)getpid());
	snprintf(spec, sizeof(spec), "file:%s", path);
	bus_lock(&h->bus);
	assert_int_equal(chr_open(h->loop, spec, &chr, &err), 0);
	bus_unlock(&h->bus);
	con->dev.base = DEBUGCON_PORT;
	con->chr = chr;
	harness_realize(h, &con->dev);
	assert_int_equal(inb(h, DEBUGCON_PORT), 0xe9); /* Bochs: present */
	for (const char *c = "hello\n"; *c; c++)
		outb(h, DEBUGCON_PORT, (uint8_t)*c);
	harness_check_state_roundtrip(&con->dev);
	assert_int_equal(con->s.written, 6);
	bus_lock(&h->bus);
	dev_free(&con->dev);
	h->n_devs--;
	chr_flush(chr, 1000);
	chr_close(chr);
	bus_unlock(&h->bus);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fread(got, 1, sizeof(got) - 1, f), 6);
	assert_string_equal(got, "hello\n");
	fclose(f);
	unlink(path);
	harness_free(h);
}

static void note_exit(void *ctx, unsigned code)
{
	*(unsigned *)ctx = code;
}

static void test_debugexit(void **state)
{
	struct harness *h = harness_new();
	struct debugexit *x = (struct debugexit *)dev_new(&debugexit_class, "exit", &h->sv);
	struct debugexit *y = (struct debugexit *)dev_new(&debugexit_class, "exit2", &h->sv);
	unsigned code = 0;

	x->exit = note_exit;
	x->exit_ctx = &code;
	y->iobase = 0x501;
	y->iosize = 1;
	harness_realize(h, &x->dev);
	harness_realize(h, &y->dev);
	assert_int_equal(inl(h, 0xf4), 0);
	outl(h, 0xf4, 0x10);
	assert_int_equal(code, 0x21); /* kvm-unit-tests: (value << 1) | 1 */
	outb(h, 0xf4, 0);
	assert_int_equal(code, 1);
	outb(h, 0x501, 3); /* nobody listens */
	harness_check_state_roundtrip(&x->dev);
	harness_check_state_roundtrip(&y->dev);
	harness_free(h);
}

/* clang-format off */
static void test_testdev(void **state)
{
	static const struct reg_row rows[] = {
		{IN32, 0xe0, 0}, {OUT32, 0xe0, 0x12345678}, {IN32, 0xe0, 0x12345678, .cite = "kvm-unit-tests: latch"},
		{IN16, 0xe2, 0x1234}, {IN8, 0xe1, 0x56}, {OUT8, 0xe3, 0x9a}, {OUT16, 0xe0, 0xbeef}, {IN32, 0xe0, 0x9a34beef},
		{OUT32, 0xe4, 0x1000, .cite = "page flush is accepted"}, {OUT8, 0xe8, 0x5a}, {IN8, 0xe8, 0x5a},
		{OUT8, 0x200e, 1}, {LEVEL, 14, 1, .cite = "interrupt line"}, {IN8, 0x200e, 1}, {OUT8, 0x200e, 0}, {LEVEL, 14, 0},
		{OUT8, 0x2017, 0x80}, {RISES, 23, 1}, {IN8, 0x2018, 0xff, .cite = "24 lines"},
		{WRITE64, TESTDEV_MMIO, 0x1122334455667788}, {READ32, TESTDEV_MMIO + 4, 0x11223344}, {READ8, TESTDEV_MMIO + 7, 0x11},
		{WRITE16, TESTDEV_MMIO + 0xfffe, 0xabcd}, {READ64, TESTDEV_MMIO + 0xfff8, 0xabcd000000000000},
		{READ64, TESTDEV_MMIO + 2, 0x0000112233445566},
	};
	/* clang-format on */
	struct harness *h = harness_new();
	struct testdev *t = (struct testdev *)dev_new(&testdev_class, "test", &h->sv);

	for (unsigned i = 0; i < TESTDEV_LINES; i++)
		harness_irq(h, &t->line[i], i);
	harness_realize(h, &t->dev);
	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&t->dev);
	bus_lock(&h->bus);
	dev_reset(&t->dev, DEV_RESET_COLD);
	bus_unlock(&h->bus);
	assert_false(h->pins[23].level);
	harness_free(h);
}

/* Status bits that do not exist, in a snapshot that somebody edited: they would add up with those
 * that do to values out of range. */
static void test_bits(void **state)
{
	static const struct {
		const struct dev_class *cls;
		size_t at; /* in the registers */
		uint8_t edited, want;
	} rows[] = {
		{&mc146818_class, offsetof(struct mc146818_regs, c), 0x65, 0x60},
		{&uart16550_class, offsetof(struct uart16550_regs, lsr_err), 0x03, 0x02},
		{&smbus_class, offsetof(struct smbus_regs, status), 0x1b, 0x1a},
	};
	struct error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct harness *h = harness_new();
		struct dev *d = dev_new(rows[i].cls, "d", &h->sv);
		uint8_t *reg = (uint8_t *)dev_regs(d) + rows[i].at;

		harness_realize(h, d);
		bus_lock(&h->bus);
		*reg = rows[i].edited;
		assert_int_equal(state_check(d->cls->state, dev_regs(d), &err), 0);
		assert_int_equal(d->cls->loaded(d, &err), 0);
		assert_int_equal(*reg, rows[i].want);
		bus_unlock(&h->bus);
		harness_free(h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),      cmocka_unit_test(test_port92),
		cmocka_unit_test(test_postcode),  cmocka_unit_test(test_debugcon),
		cmocka_unit_test(test_debugexit), cmocka_unit_test(test_testdev),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
