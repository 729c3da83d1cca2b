/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the serial port. "DS": National PC16550D data sheet, June 1995.
 */
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <stdio.h>

#include "device/char/uart16550.h"
#include "harness.h"

enum { COM = 0x3f8, DATA = COM, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };
enum { IRQ4 };

static struct uart16550 *uart_new(struct harness *h, struct chr *chr)
{
	struct uart16550 *u = (struct uart16550 *)dev_new(&uart16550_class, "com1", &h->sv);

	u->dev.base = COM;
	u->chr = chr;
	harness_irq(h, &u->irq, IRQ4);
	harness_realize(h, &u->dev);
	return u;
}

static void run(const struct reg_row *rows, size_t n)
{
	struct harness *h = harness_new();
	struct uart16550 *u = uart_new(h, NULL);

	harness_run(h, rows, n);
	harness_check_state_roundtrip(&u->dev);
	harness_free(h);
}
#define RUN(rows) run(rows, ARRAY_SIZE(rows))

/* clang-format off */
static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{IN8, IER, 0x00, .cite = "DS table I: IER after reset"},
		{IN8, IIR, 0x01, .cite = "DS table I: no interrupt pending"},
		{IN8, LCR, 0x00, .cite = "DS table I"}, {IN8, MCR, 0x00, .cite = "DS table I"},
		{IN8, LSR, 0x60, .cite = "DS table I: THRE and TEMT"},
		{IN8, MSR, 0xb0, .cite = "DS table I: inputs; the cable holds CTS, DSR, DCD"},
		{OUT8, IER, 0xff}, {IN8, IER, 0x0f, .cite = "DS 8.7: IER bits 7:4 are 0"}, {OUT8, IER, 0},
		{OUT8, MCR, 0xff}, {IN8, MCR, 0x1f, .cite = "DS 8.6: MCR bits 7:5 are 0"}, {OUT8, MCR, 0},
		{OUT8, SCR, 0xa5}, {IN8, SCR, 0xa5, .cite = "DS 8.9: scratch"},
		{OUT8, LCR, 0x83}, {OUT8, DATA, 0x0c}, {OUT8, IER, 0x01, .cite = "DS 8.2: DLAB selects DLL, DLM"},
		{IN8, DATA, 0x0c}, {IN8, IER, 0x01}, {OUT8, LCR, 0x03}, {IN8, IER, 0x00},
		{OUT8, LSR, 0xff}, {IN8, LSR, 0x60, .cite = "DS 8.3: not meant to be written"},
		{OUT8, FCR, 0xc1}, {IN8, IIR, 0xc1, .cite = "DS 8.5: bits 7:6 set with FIFOs"},
		{OUT8, FCR, 0x00}, {IN8, IIR, 0x01},
		{IN16, SCR, 0xffa5, .cite = "one byte, then an unclaimed port"},
	};
	RUN(rows);
}

static void test_loopback(void **state)
{
	static const struct reg_row rows[] = {
		{OUT8, LCR, 0x03}, {OUT8, MCR, 0x10},
		{IN8, MSR, 0x0b, .mask = 0xff, .cite = "DS 8.6 bit 4: inputs are the outputs: CTS, DSR, DCD fell"},
		{OUT8, MCR, 0x1a}, {IN8, MSR, 0x99, .cite = "DS 8.6: RTS is CTS, OUT2 is DCD"},
		{OUT8, MCR, 0x15}, {IN8, MSR, 0x6b, .cite = "DS 8.6: DTR is DSR, OUT1 is RI"},
		{IN8, MSR, 0x60, .cite = "DS 8.8: reading clears the deltas"},
		{OUT8, MCR, 0x10}, {IN8, MSR, 0x06, .cite = "DS 8.8 bit 2: trailing edge of RI"},
		{OUT8, DATA, 0x5a}, {IN8, LSR, 0x61, .cite = "DS 8.6: data is received at once"},
		{OUT8, DATA, 0x5b}, {IN8, LSR, 0x63, .cite = "DS 8.3 bit 1: overrun"},
		{IN8, LSR, 0x61, .cite = "DS 8.3: reading LSR clears OE"},
		{IN8, DATA, 0x5b, .cite = "DS 8.3: without FIFO the old character is lost"}, {IN8, LSR, 0x60},
		{OUT8, LCR, 0x00}, {OUT8, DATA, 0xff}, {IN8, DATA, 0x1f, .cite = "DS 8.1: 5 data bits"},
		{OUT8, LCR, 0x02}, {OUT8, DATA, 0xff}, {IN8, DATA, 0x7f}, {IN8, DATA, 0x7f},
	};
	RUN(rows);
}

static void test_fifo_levels(void **state)
{
	static const struct reg_row rows[] = {
		{OUT8, LCR, 0x83}, {OUT8, DATA, 12}, {OUT8, IER, 0}, {OUT8, LCR, 0x03},
		{OUT8, MCR, 0x10}, {IN8, MSR, 0, .mask = 1ull << 8}, {OUT8, FCR, 0x41}, {OUT8, IER, 0x05},
		{IN8, IIR, 0xc1}, {OUT8, DATA, 1}, {OUT8, DATA, 2}, {OUT8, DATA, 3}, {IN8, IIR, 0xc1},
		{OUT8, DATA, 4}, {IN8, IIR, 0xc4, .cite = "DS 8.5: trigger level 4"},
		{IN8, DATA, 1}, {IN8, IIR, 0xc1, .cite = "DS table IV: dropped below the trigger level"},
		{STEP, .val = 4 * 10 * 12 * 8680 + 12 * 3000},
		{IN8, IIR, 0xcc, .cite = "DS 8.4.1: timeout after 4 characters"}, {IN8, IIR, 0xcc},
		{IN8, DATA, 2}, {IN8, IIR, 0xc1, .cite = "DS 8.4.1: reading a character clears it"},
		{STEP, .val = 2 * NS_PER_MS}, {OUT8, DATA, 5}, {STEP, .val = 4 * NS_PER_MS},
		{IN8, IIR, 0xc1, .cite = "DS 8.4.1: a new character restarts the timer"},
		{STEP, .val = NS_PER_MS}, {IN8, IIR, 0xcc},
		{OUT8, FCR, 0x43, .cite = "DS 8.5 bit 1: clear the receiver FIFO"}, {IN8, IIR, 0xc1}, {IN8, LSR, 0x60},
		{OUT8, FCR, 0xc1}, {OUT8, DATA, 0}, {OUT8, DATA, 1}, {OUT8, DATA, 2}, {OUT8, DATA, 3},
		{OUT8, DATA, 4}, {OUT8, DATA, 5}, {OUT8, DATA, 6}, {OUT8, DATA, 7}, {OUT8, DATA, 8},
		{OUT8, DATA, 9}, {OUT8, DATA, 10}, {OUT8, DATA, 11}, {OUT8, DATA, 12}, {IN8, IIR, 0xc1},
		{OUT8, DATA, 13}, {IN8, IIR, 0xc4, .cite = "DS 8.5: trigger level 14"},
		{OUT8, DATA, 14}, {OUT8, DATA, 15}, {IN8, LSR, 0x61},
		{OUT8, DATA, 16}, {IN8, IIR, 0xc6, .cite = "DS table IV: receiver line status first"},
		{IN8, LSR, 0x63, .cite = "DS 8.3: overrun of the FIFO"}, {IN8, IIR, 0xc4},
		{IN8, DATA, 0, .cite = "DS 8.3: what is in the FIFO stays"},
		{OUT8, FCR, 0x00, .cite = "DS 8.5 bit 0: changing it empties both FIFOs"}, {IN8, LSR, 0x60},
	};
	RUN(rows);
}

static void test_interrupts(void **state)
{
	static const struct reg_row rows[] = {
		{OUT8, MCR, 0x08}, {OUT8, IER, 0x02},
		{LEVEL, IRQ4, 1, .cite = "DS 8.4: THR is empty when the interrupt is enabled"}, {RISES, IRQ4, 1},
		{IN8, IIR, 0x02}, {LEVEL, IRQ4, 0, .cite = "DS table IV: reading IIR acknowledges"},
		{IN8, IIR, 0x01}, {OUT8, DATA, 'x'}, {RISES, IRQ4, 1},
		{OUT8, DATA, 'y'}, {FALLS, IRQ4, 2, .cite = "DS table IV: writing THR acknowledges"},
		{RISES, IRQ4, 1, .cite = "and an emptied THR interrupts again"},
		{OUT8, IER, 0x00}, {LEVEL, IRQ4, 0}, {OUT8, IER, 0x02}, {LEVEL, IRQ4, 1},
		{OUT8, MCR, 0x00}, {LEVEL, IRQ4, 0, .cite = "PC/AT: OUT2 gates INTR"}, {OUT8, MCR, 0x08},
		{LEVEL, IRQ4, 1}, {OUT8, MCR, 0x18}, {LEVEL, IRQ4, 0, .cite = "DS 8.6: loopback forces OUT2 off"},
		{OUT8, IER, 0x08}, {IN8, IIR, 0x00, .cite = "DS table IV: modem status"},
		{OUT8, MCR, 0x08}, {LEVEL, IRQ4, 1}, {IN8, MSR, 0xb3}, {LEVEL, IRQ4, 0},
	};
	RUN(rows);
}
/* clang-format on */

static void test_break(void **state)
{
	struct harness *h = harness_new();
	struct uart16550 *u = uart_new(h, NULL);

	outb(h, FCR, 0x01);
	outb(h, IER, 0x04);
	outb(h, MCR, 0x08);
	uart16550_receive_break(u);
	assert_true(h->pins[IRQ4].level);
	assert_int_equal(inb(h, IIR), 0xc6);
	assert_int_equal(inb(h, LSR), 0xf1); /* DS 8.3: BI, and bit 7 with FIFOs */
	assert_int_equal(inb(h, LSR), 0x61);
	assert_int_equal(inb(h, DATA), 0x00); /* DS 8.3 bit 4: one zero character */
	harness_check_state_roundtrip(&u->dev);
	harness_free(h);
}

/* A socket peer: a guest that prints is held back and loses nothing; input waits for room. */
static void test_back_pressure(void **state)
{
	struct harness *h = harness_new();
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	static uint8_t buf[65536];
	char spec[120];
	struct error err = {0};
	struct uart16550 *u;
	struct chr *chr;
	unsigned sent = 0, got = 0;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "/tmp/test-uart-%d", (int)getpid());
	snprintf(spec, sizeof(spec), "unix:%s", sa.sun_path);
	bus_lock(&h->bus);
	assert_int_equal(chr_open(h->loop, spec, &chr, &err), 0);
	bus_unlock(&h->bus);
	u = uart_new(h, chr);
	assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
	for (int i = 0; i < 5; i++)
		harness_loop(h, 10);
	outb(h, FCR, 0x01);
	outb(h, MCR, 0x08);
	while ((inb(h, LSR) & 0x20) && sent < 4000000)
		outb(h, DATA, (uint8_t)(sent++ % 251));
	assert_in_range(sent, 65536, 3999999); /* THRE stays clear when the host is full */
	assert_int_equal(inb(h, LSR) & 0x60, 0);
	for (int i = 0; i < 15; i++)
		outb(h, DATA, (uint8_t)(sent++ % 251));
	outb(h, IER, 0x02);
	assert_false(h->pins[IRQ4].level);
	harness_check_state_roundtrip(&u->dev);
	while (got < sent) {
		ssize_t n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);

		for (ssize_t i = 0; i < n; i++, got++)
			assert_int_equal(buf[i], got % 251);
		harness_loop(h, n > 0 ? 0 : 10);
	}
	assert_int_equal(got, sent);
	assert_true(h->pins[IRQ4].level);
	assert_int_equal(inb(h, LSR) & 0x60, 0x60);

	for (unsigned i = 0; i < 100; i++)
		buf[i] = (uint8_t)i;
	assert_int_equal(send(fd, buf, 100, 0), 100);
	got = 0;
	for (int turns = 0; got < 100 && turns < 1000; turns++) {
		harness_loop(h, 1);
		for (unsigned n = 0; inb(h, LSR) & 1; n++, got++) {
			assert_int_equal(inb(h, LSR) & 2, 0);
			assert_int_equal(inb(h, DATA), got);
		}
	}
	assert_int_equal(got, 100);
	bus_lock(&h->bus);
	dev_free(&u->dev);
	h->n_devs--;
	chr_close(chr);
	bus_unlock(&h->bus);
	close(fd);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),   cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_fifo_levels), cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_break),       cmocka_unit_test(test_back_pressure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
