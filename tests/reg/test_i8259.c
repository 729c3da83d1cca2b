/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the interrupt controllers. "DS": Intel 8259A data sheet 231468-003.
 */
#include "device/intc/i8259.h"
#include "harness.h"

enum { INTR, CMD = 0x20, DATA = 0x21, CMD2 = 0xa0, DATA2 = 0xa1, ELCR = 0x4d0, ELCR2 = 0x4d1 };

/* One step: drive an input, access a register or acknowledge. */
enum op { W, R, UP, DOWN, ACK, INT };
struct row {
	enum op op;
	unsigned at;
	unsigned val;
	const char *cite;
};

static struct i8259 *pic_new(struct harness *h)
{
	struct i8259 *pic = (struct i8259 *)dev_new(&i8259_class, "pic", &h->sv);

	harness_irq(h, &pic->intr, INTR);
	harness_realize(h, &pic->dev);
	return pic;
}

static void run(const struct row *rows, size_t n)
{
	struct harness *h = harness_new();
	struct i8259 *pic = pic_new(h);

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		unsigned got = r->val;

		switch (r->op) {
		case W: outb(h, (uint16_t)r->at, (uint8_t)r->val); break;
		case R: got = inb(h, (uint16_t)r->at); break;
		case UP: i8259_set_line(pic, r->at, true); break;
		case DOWN: i8259_set_line(pic, r->at, false); break;
		case ACK: got = pic->source.ack(pic->source.ctx); break;
		case INT: got = h->pins[INTR].level; break;
		}
		if (got != r->val)
			fail_msg("row %zu: got 0x%x, want 0x%x [%s]", i, got, r->val,
				 r->cite ? r->cite : "");
	}
	harness_check_state_roundtrip(&pic->dev);
	harness_free(h);
}
#define RUN(rows) run(rows, ARRAY_SIZE(rows))

/* What a PC BIOS or kernel does: vectors 30h and 38h, 8086 mode, all unmasked. */
/* clang-format off */
#define INIT_PC(icw4)                                                                              \
	{W, CMD, 0x11, "DS p. 10: ICW1, IC4"}, {W, DATA, 0x30, "DS p. 11: ICW2"},                  \
	{W, DATA, 0x04, "DS p. 11: ICW3 master"}, {W, DATA, icw4, "DS p. 12: ICW4"},               \
	{W, CMD2, 0x11}, {W, DATA2, 0x38}, {W, DATA2, 0x02}, {W, DATA2, 0x01},                     \
	{R, DATA, 0x00, "DS p. 10: ICW1 clears IMR"}, {R, DATA2, 0x00}

static void test_basic(void **state)
{
	static const struct row rows[] = {
		{UP, 0}, {INT, 0, 0, "no INT before initialization"}, {DOWN, 0},
		INIT_PC(0x01),
		{W, DATA, 0xfe}, {R, DATA, 0xfe, "DS p. 13: OCW1 reads back"},
		{UP, 1}, {INT, 0, 0, "DS p. 13: masked"},
		{R, CMD, 0x02, "DS p. 15: IRR shows masked requests"},
		{UP, 0}, {INT, 0, 1, "DS p. 6: INT"}, {R, CMD, 0x03},
		{ACK, 0, 0x30, "DS p. 7: vector T7-T3 and level"},
		{INT, 0, 0}, {R, CMD, 0x02, "DS p. 6: IRR bit is reset by INTA"},
		{W, CMD, 0x0b, "DS p. 15: read ISR"}, {R, CMD, 0x01, "DS p. 6: ISR bit is set"},
		{UP, 0}, {DOWN, 0}, {UP, 0}, {INT, 0, 0, "DS p. 14: own level in service"},
		{W, CMD, 0x20, "DS p. 14: non-specific EOI"}, {R, CMD, 0x00},
		{INT, 0, 1}, {ACK, 0, 0x30}, {W, CMD, 0x60, "DS p. 14: specific EOI of 0"},
		{R, CMD, 0x00}, {W, CMD, 0x0a}, {R, CMD, 0x02},
		{W, DATA, 0xff}, {DOWN, 1}, {R, CMD, 0x00, "DS p. 17: the input must stay high"},
	};
	RUN(rows);
}

static void test_slave(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x01),
		{UP, 8}, {INT, 0, 1}, {R, CMD, 0x04, "DS p. 18: the slave's INT is IR2"},
		{R, CMD2, 0x01}, {ACK, 0, 0x38, "DS p. 18: the slave gives the vector"},
		{UP, 12}, {INT, 0, 0, "DS p. 7: lower priority on the slave"},
		{UP, 1}, {INT, 0, 1, "IR1 is above the cascade"}, {ACK, 0, 0x31},
		{W, CMD, 0x61}, {W, CMD2, 0x20},
		{INT, 0, 0, "DS p. 18: two EOIs, master first stays in service"},
		{W, CMD, 0x62}, {INT, 0, 1}, {ACK, 0, 0x3c},
		{W, CMD2, 0x64}, {W, CMD, 0x20},
		{W, CMD, 0x0b}, {R, CMD, 0}, {W, CMD2, 0x0b}, {R, CMD2, 0},
		{UP, 2}, {INT, 0, 0, "PC/AT: IRQ2 is the cascade"},
	};
	RUN(rows);
}

static void test_spurious(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x01), {W, CMD, 0x0b}, {W, CMD2, 0x0b},
		{UP, 3}, {INT, 0, 1}, {DOWN, 3},
		{ACK, 0, 0x37, "DS p. 17: default IR7 when the input fell"},
		{R, CMD, 0x00, "DS p. 17: ISR bit is not set"},
		{UP, 10}, {DOWN, 10}, {ACK, 0, 0x37},
		{UP, 10}, {W, DATA2, 0xff}, {ACK, 0, 0x37, "mask takes the slave's INT away"},
		{W, DATA2, 0x00}, {ACK, 0, 0x3a}, {R, CMD, 0x04},
	};
	RUN(rows);
}

static void test_rotation(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x01), {W, CMD, 0x0b},
		{UP, 0}, {UP, 3}, {UP, 5}, {ACK, 0, 0x30},
		{W, CMD, 0xa0, "DS p. 14: rotate on non-specific EOI"},
		{UP, 1}, {DOWN, 0}, {UP, 0}, {ACK, 0, 0x31, "DS p. 14: IR0 is the lowest now"},
		{W, CMD, 0xe3, "DS p. 14: rotate on specific EOI of 3: IR3 lowest"},
		{R, CMD, 0x02}, {W, CMD, 0x61},
		{ACK, 0, 0x35, "DS p. 14: IR4 highest, so 5 before 0 before 3"},
		{W, CMD, 0x20}, {ACK, 0, 0x30}, {W, CMD, 0x20}, {ACK, 0, 0x33}, {W, CMD, 0x20},
		{W, CMD, 0xc6, "DS p. 14: set priority: IR6 lowest, IR7 highest"},
		{UP, 7}, {UP, 4}, {ACK, 0, 0x37}, {R, CMD, 0x80}, {W, CMD, 0x20},
		{ACK, 0, 0x34}, {W, CMD, 0x40, "DS p. 13: no operation"}, {R, CMD, 0x10},
	};
	RUN(rows);
}

static void test_aeoi(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x03), {W, CMD, 0x0b},
		{UP, 4}, {ACK, 0, 0x34}, {R, CMD, 0x00, "DS p. 14: AEOI"}, {INT, 0, 0},
		{W, CMD, 0x80, "DS p. 14: rotate in AEOI, set"},
		{DOWN, 4}, {UP, 4}, {ACK, 0, 0x34},
		{UP, 3}, {UP, 5}, {ACK, 0, 0x35, "DS p. 14: IR4 became the lowest"},
		{W, CMD, 0x00, "DS p. 14: rotate in AEOI, clear"}, {ACK, 0, 0x33},
		{W, CMD2, 0x11}, {W, DATA2, 0x38}, {W, DATA2, 0x02}, {W, DATA2, 0x03},
		{UP, 8}, {UP, 9}, {ACK, 0, 0x38}, {INT, 0, 1, "DS p. 6: INT falls at INTA and rises"},
		{ACK, 0, 0x39}, {INT, 0, 0},
	};
	RUN(rows);
}

static void test_special(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x01), {W, CMD, 0x0b},
		{UP, 2 + 1}, {ACK, 0, 0x33}, {UP, 6}, {INT, 0, 0},
		{W, DATA, 0x08}, {INT, 0, 0},
		{W, CMD, 0x68, "DS p. 15: special mask mode"}, {INT, 0, 1, "lower levels enabled"},
		{ACK, 0, 0x36}, {R, CMD, 0x48},
		{W, CMD, 0x20}, {R, CMD, 0x08, "DS p. 15: masked ISR bit not cleared by EOI"},
		{W, CMD, 0x48, "special mask mode off"}, {W, CMD, 0x20}, {R, CMD, 0x00},
		/* special fully nested mode */
		INIT_PC(0x11), {UP, 9}, {ACK, 0, 0x39},
		{UP, 8}, {INT, 0, 1, "DS p. 15: a higher request of the same slave"},
		{ACK, 0, 0x38},
	};
	RUN(rows);
}

static void test_poll(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x01),
		{W, CMD, 0x0c}, {R, CMD, 0x00, "DS p. 15: poll, nothing pending"},
		{UP, 4}, {W, CMD, 0x0c}, {R, CMD, 0x84, "DS p. 15: poll word"},
		{INT, 0, 0}, {W, CMD, 0x0b}, {R, CMD, 0x10, "DS p. 15: poll sets ISR"},
		{W, CMD, 0x20}, {UP, 15}, {W, CMD, 0x0c}, {R, CMD, 0x82},
		{W, CMD2, 0x0c}, {R, CMD2, 0x87}, {W, CMD2, 0x0b}, {R, CMD2, 0x80},
	};
	RUN(rows);
}

static void test_level(void **state)
{
	static const struct row rows[] = {
		{W, ELCR, 0xff}, {R, ELCR, 0xf8, "PIIX4 4.2.6: 0, 1, 2 stay edge"},
		{W, ELCR2, 0xff}, {R, ELCR2, 0xde, "PIIX4 4.2.6: 8, 13 stay edge"},
		INIT_PC(0x01), {R, ELCR, 0xf8, "ICW1 leaves ELCR alone"},
		{UP, 5}, {ACK, 0, 0x35}, {R, CMD, 0x20, "DS p. 17: level is still there"},
		{W, CMD, 0x20}, {INT, 0, 1, "DS p. 17: EOI before the level falls: again"},
		{ACK, 0, 0x35}, {DOWN, 5}, {W, CMD, 0x20}, {INT, 0, 0},
		{UP, 11}, {ACK, 0, 0x3b}, {W, CMD2, 0x20}, {W, CMD, 0x20}, {INT, 0, 1},
	};
	RUN(rows);
}

static void test_icw(void **state)
{
	static const struct row rows[] = {
		INIT_PC(0x03),
		{UP, 6}, {W, CMD, 0x12, "DS p. 10: ICW1 SNGL without IC4"}, {W, DATA, 0x57},
		{R, DATA, 0x00, "DS p. 10: operational after ICW2"},
		{INT, 0, 0, "DS p. 10: edge sense is reset"}, {DOWN, 6}, {UP, 6},
		{ACK, 0, 0x56, "ICW2 low bits are the level"},
		{W, CMD, 0x0b}, {R, CMD, 0x40, "DS p. 10: without IC4 no AEOI"},
	};
	RUN(rows);
}
/* clang-format on */

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_basic),    cmocka_unit_test(test_slave),
		cmocka_unit_test(test_spurious), cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_aeoi),     cmocka_unit_test(test_special),
		cmocka_unit_test(test_poll),     cmocka_unit_test(test_level),
		cmocka_unit_test(test_icw),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
