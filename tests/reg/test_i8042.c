/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the keyboard controller, keyboard and mouse. "IBM": PS/2 Hardware Interface
 * Technical Reference, 1990.
 */
#include "device/input/i8042.h"
#include "harness.h"

enum { IRQ1, IRQ12, A20, RESET, DATA = 0x60, CMD = 0x64 };

/* One step. KEY and KEYUP take a key; TAKE waits a frame or two and expects a byte; NONE expects an
 * empty output buffer after a frame; AUX sends a byte to the mouse; MOVE moves it. */
enum op { W, R, KEY, KEYUP, TAKE, NONE, AUX, MOVE, WAIT_MS, LVL, PULSES };
struct row {
	enum op op;
	unsigned at, val;
	const char *cite;
};

static struct i8042 *kbc_new(struct harness *h)
{
	struct i8042 *kbc = (struct i8042 *)dev_new(&i8042_class, "kbc", &h->sv);

	harness_irq(h, &kbc->irq_kbd, IRQ1);
	harness_irq(h, &kbc->irq_mouse, IRQ12);
	harness_irq(h, &kbc->a20, A20);
	harness_irq(h, &kbc->reset, RESET);
	harness_realize(h, &kbc->dev);
	return kbc;
}

static unsigned take(struct harness *h)
{
	harness_step(h, 700 * NS_PER_US);
	return inb(h, CMD) & 1 ? inb(h, DATA) : 0x100;
}

static void run(const struct row *rows, size_t n)
{
	struct harness *h = harness_new();
	struct i8042 *kbc = kbc_new(h);

	for (size_t i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		unsigned got = r->val;

		switch (r->op) {
		case W: outb(h, (uint16_t)r->at, (uint8_t)r->val); break;
		case R: got = inb(h, (uint16_t)r->at); break;
		case KEY: i8042_key(kbc, (uint8_t)r->at, true); break;
		case KEYUP: i8042_key(kbc, (uint8_t)r->at, false); break;
		case TAKE:
			got = take(h);
			if (got == 0x100) /* the F0 of a translated code was a frame, too */
				got = take(h);
			break;
		case NONE:
			if (take(h) != 0x100)
				got = ~r->val;
			break;
		case AUX:
			outb(h, CMD, 0xd4);
			outb(h, DATA, (uint8_t)r->at);
			break;
		case MOVE: i8042_mouse(kbc, (int)r->at, (int)r->val, 0, 0); break;
		case WAIT_MS: harness_step(h, r->at * NS_PER_MS); break;
		case LVL: got = h->pins[r->at].level; break;
		case PULSES:
			got = h->pins[r->at].rises;
			h->pins[r->at].rises = 0;
			break;
		}
		if (got != r->val)
			fail_msg("row %zu: got 0x%x, want 0x%x [%s]", i, got, r->val,
				 r->cite ? r->cite : "");
		harness_check_state_roundtrip(&kbc->dev);
	}
	harness_free(h);
}
#define RUN(rows) run(rows, ARRAY_SIZE(rows))

/* clang-format off */
static void test_controller(void **state)
{
	static const struct row rows[] = {
		{LVL, A20, 1}, {R, CMD, 0x10, "IBM: status: not inhibited"},
		{W, CMD, 0xaa}, {R, CMD, 0x1d, "OBF, SYS after self-test, command"}, {R, DATA, 0x55, "IBM: self-test passed"},
		{R, CMD, 0x1c}, {R, DATA, 0x55, "an empty buffer gives the last byte"},
		{W, CMD, 0xab}, {R, DATA, 0x00, "IBM: interface test"}, {W, CMD, 0xa9}, {R, DATA, 0x00},
		{W, CMD, 0x20}, {R, DATA, 0x44, "IBM: command byte"}, {W, CMD, 0x60}, {W, DATA, 0xff}, {R, CMD, 0x14, "data"},
		{W, CMD, 0x20}, {R, DATA, 0x7f}, {W, CMD, 0xae}, {W, CMD, 0xa8}, {W, CMD, 0x20}, {R, DATA, 0x4f, "IBM: AE, A8 enable"},
		{W, CMD, 0xad}, {W, CMD, 0xa7}, {W, CMD, 0x20}, {R, DATA, 0x7f, "IBM: AD, A7 disable"},
		{W, CMD, 0x7f}, {W, DATA, 0x12}, {W, CMD, 0x3f}, {R, DATA, 0x12, "IBM: controller RAM"},
		{W, CMD, 0xc0}, {R, DATA, 0x80}, {W, CMD, 0xa4}, {R, DATA, 0xf1, "IBM: no password"},
		{W, CMD, 0xdd}, {LVL, A20, 0}, {W, CMD, 0xdf}, {LVL, A20, 1},
		{W, CMD, 0xd1}, {W, DATA, 0xcd}, {LVL, A20, 0, "IBM: output port bit 1"}, {W, CMD, 0xd0}, {R, DATA, 0xcd},
		{W, CMD, 0xd1}, {W, DATA, 0xcf}, {LVL, A20, 1}, {PULSES, RESET, 0},
		{W, CMD, 0xfe}, {PULSES, RESET, 1, "IBM: pulse output port bit 0"}, {W, CMD, 0xff}, {PULSES, RESET, 0},
		{W, CMD, 0xd1}, {W, DATA, 0xce}, {PULSES, RESET, 1},
		{PULSES, IRQ1, 7, "replies interrupt while the command byte says so"}, {LVL, IRQ1, 0},
		{W, CMD, 0xd2}, {W, DATA, 0x77}, {PULSES, IRQ1, 1}, {R, CMD, 0x15}, {R, DATA, 0x77, "IBM: as if from the keyboard"},
		{W, CMD, 0xd3}, {W, DATA, 0x78}, {PULSES, IRQ12, 1}, {R, CMD, 0x35}, {R, DATA, 0x78, "IBM: as if from the mouse"},
		{W, CMD, 0x60}, {W, DATA, 0x44}, {W, CMD, 0xaa}, {LVL, IRQ1, 0}, {R, DATA, 0x55},
	};
	RUN(rows);
}

static void test_keyboard_commands(void **state)
{
	static const struct row rows[] = {
		{W, DATA, 0xff}, {R, CMD, 0x10, "not before a frame time"}, {TAKE, 0, 0xfa}, {TAKE, 0, 0xaa, "IBM: BAT complete"}, {NONE},
		{W, DATA, 0xf2}, {TAKE, 0, 0xfa}, {TAKE, 0, 0xab}, {TAKE, 0, 0x41, "IBM: id 83, translated"},
		{W, CMD, 0x60}, {W, DATA, 0x00}, {W, DATA, 0xf2}, {TAKE, 0, 0xfa}, {TAKE, 0, 0xab}, {TAKE, 0, 0x83}, {NONE},
		{W, DATA, 0xee}, {TAKE, 0, 0xee, "IBM: echo"}, {W, DATA, 0xed}, {TAKE, 0, 0xfa}, {W, DATA, 0x07}, {TAKE, 0, 0xfa},
		{W, DATA, 0xf0}, {TAKE, 0, 0xfa}, {W, DATA, 0x00}, {TAKE, 0, 0xfa}, {TAKE, 0, 0x02, "IBM: query scan code set"},
		{W, DATA, 0xf0}, {TAKE, 0, 0xfa}, {W, DATA, 0x03}, {TAKE, 0, 0xfa}, {NONE},
		{W, DATA, 0xf0}, {TAKE, 0, 0xfa}, {W, DATA, 0x00}, {TAKE, 0, 0xfa}, {TAKE, 0, 0x03},
		{W, DATA, 0xfe}, {TAKE, 0, 0x03, "IBM: resend"}, {W, DATA, 0x01}, {TAKE, 0, 0xfe, "not a command"},
		{W, DATA, 0xed}, {TAKE, 0, 0xfa}, {W, DATA, 0xf4}, {TAKE, 0, 0xfa, "IBM: a command ends the option"},
		{W, DATA, 0xf5}, {TAKE, 0, 0xfa}, {KEY, 0x1e}, {NONE, 0, 0, "IBM: scanning disabled"}, {KEYUP, 0x1e},
		{W, DATA, 0xf4}, {TAKE, 0, 0xfa}, {KEY, 0x1e}, {TAKE, 0, 0x1c}, {KEYUP, 0x1e}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x1c},
		{W, CMD, 0xad}, {KEY, 0x1e}, {NONE, 0, 0, "IBM: interface disabled"}, {W, CMD, 0xae}, {TAKE, 0, 0x1c},
	};
	RUN(rows);
}

static void test_keys(void **state)
{
	static const struct row rows[] = {
		{W, CMD, 0x60}, {W, DATA, 0x41},
		{KEY, 0x1e}, {LVL, IRQ1, 1}, {R, DATA, 0x1e, "IBM: set 2 translated to set 1"}, {LVL, IRQ1, 0},
		{KEYUP, 0x1e}, {TAKE, 0, 0x9e}, {KEY, 0xc8}, {TAKE, 0, 0xe0}, {TAKE, 0, 0x48}, {KEYUP, 0xc8}, {TAKE, 0, 0xe0}, {TAKE, 0, 0xc8},
		{KEY, 0x41}, {TAKE, 0, 0x41, "F7, set 2 code 83"}, {KEYUP, 0x41}, {TAKE, 0, 0xc1},
		{KEY, PS2_KEY_PRINT}, {TAKE, 0, 0xe0}, {TAKE, 0, 0x2a}, {TAKE, 0, 0xe0}, {TAKE, 0, 0x37, "IBM: print screen"},
		{KEYUP, PS2_KEY_PRINT}, {TAKE, 0, 0xe0}, {TAKE, 0, 0xb7}, {TAKE, 0, 0xe0}, {TAKE, 0, 0xaa},
		{KEY, PS2_KEY_PAUSE}, {TAKE, 0, 0xe1}, {TAKE, 0, 0x1d}, {TAKE, 0, 0x45}, {TAKE, 0, 0xe1}, {TAKE, 0, 0x9d}, {TAKE, 0, 0xc5, "IBM: pause"},
		{KEYUP, PS2_KEY_PAUSE}, {NONE},
		{W, CMD, 0x60}, {W, DATA, 0x01}, {KEY, PS2_KEY_PAUSE}, {TAKE, 0, 0xe1}, {TAKE, 0, 0x14}, {TAKE, 0, 0x77},
		{TAKE, 0, 0xe1}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x14}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x77}, {KEYUP, PS2_KEY_PAUSE}, {NONE},
		{KEY, 0x1d}, {TAKE, 0, 0x14}, {KEY, PS2_KEY_PAUSE}, {TAKE, 0, 0xe0}, {TAKE, 0, 0x7e}, {TAKE, 0, 0xe0}, {TAKE, 0, 0xf0},
		{TAKE, 0, 0x7e, "IBM: break"}, {KEYUP, PS2_KEY_PAUSE}, {KEYUP, 0x1d}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x14},
		{KEY, 0x38}, {TAKE, 0, 0x11}, {KEY, PS2_KEY_PRINT}, {TAKE, 0, 0x84, "IBM: SysRq"}, {KEYUP, PS2_KEY_PRINT}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x84},
		{KEYUP, 0x38}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x11},
		/* set 1 from the keyboard itself */
		{W, DATA, 0xf0}, {TAKE, 0, 0xfa}, {W, DATA, 0x01}, {TAKE, 0, 0xfa}, {KEY, 0xdb}, {TAKE, 0, 0xe0}, {TAKE, 0, 0x5b},
		{KEYUP, 0xdb}, {TAKE, 0, 0xe0}, {TAKE, 0, 0xdb},
		/* set 3 with key types */
		{W, DATA, 0xf0}, {TAKE, 0, 0xfa}, {W, DATA, 0x03}, {TAKE, 0, 0xfa}, {KEY, 0xdb}, {TAKE, 0, 0x8b}, {KEYUP, 0xdb}, {NONE, 0, 0, "IBM: make only"},
		{KEY, 0x2a}, {TAKE, 0, 0x12}, {KEYUP, 0x2a}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x12, "IBM: make/break"},
		{W, DATA, 0xfa}, {TAKE, 0, 0xfa}, {KEY, 0x1e}, {TAKE, 0, 0x1c}, {KEYUP, 0x1e}, {TAKE, 0, 0xf0}, {TAKE, 0, 0x1c},
		{W, DATA, 0xfd}, {TAKE, 0, 0xfa}, {W, DATA, 0x1c}, {TAKE, 0, 0xfa}, {W, DATA, 0xf4}, {TAKE, 0, 0xfa},
		{KEY, 0x1e}, {TAKE, 0, 0x1c}, {KEYUP, 0x1e}, {NONE},
	};
	RUN(rows);
}

static void test_typematic(void **state)
{
	static const struct row rows[] = {
		{W, CMD, 0x60}, {W, DATA, 0x40}, {KEY, 0x1e}, {TAKE, 0, 0x1e}, {WAIT_MS, 498}, {NONE}, {TAKE, 0, 0x1e, "IBM: 500 ms delay"},
		{KEY, 0x1e}, {WAIT_MS, 90}, {NONE}, {WAIT_MS, 1}, {TAKE, 0, 0x1e, "IBM: 10.9 a second"},
		{KEY, 0x1f}, {TAKE, 0, 0x1f}, {KEYUP, 0x1e}, {TAKE, 0, 0x9e}, {WAIT_MS, 500}, {TAKE, 0, 0x1f, "the last key repeats"},
		{KEYUP, 0x1f}, {TAKE, 0, 0x9f}, {WAIT_MS, 2000}, {NONE},
		{W, DATA, 0xf3}, {TAKE, 0, 0xfa}, {W, DATA, 0x00}, {TAKE, 0, 0xfa}, {KEY, 0x1e}, {TAKE, 0, 0x1e},
		{WAIT_MS, 248}, {NONE}, {TAKE, 0, 0x1e}, {WAIT_MS, 31}, {NONE}, {WAIT_MS, 1}, {TAKE, 0, 0x1e, "IBM: 30 a second after 250 ms"},
		{KEYUP, 0x1e}, {TAKE, 0, 0x9e},
	};
	RUN(rows);
}

static void test_mouse(void **state)
{
	static const struct row rows[] = {
		{W, CMD, 0x60}, {W, DATA, 0x43}, {MOVE, 3, 3}, {NONE},
		{AUX, 0xff}, {TAKE, 0, 0xfa}, {PULSES, IRQ12, 1}, {TAKE, 0, 0xaa}, {TAKE, 0, 0x00, "IBM: reset: AA and id 00"},
		{PULSES, IRQ12, 2}, {PULSES, IRQ1, 0}, {MOVE, 5, 5}, {NONE, 0, 0, "IBM: reporting is off"},
		{AUX, 0xe9}, {TAKE, 0, 0xfa}, {TAKE, 0, 0x00}, {TAKE, 0, 0x02}, {TAKE, 0, 100, "IBM: status"},
		{AUX, 0xf4}, {TAKE, 0, 0xfa}, {TAKE, 0, 0x28}, {TAKE, 0, 5}, {TAKE, 0, 0xfb, "down is negative"}, {NONE},
		{MOVE, (unsigned)-300, 0}, {TAKE, 0, 0x18}, {TAKE, 0, 1}, {TAKE, 0, 0}, {TAKE, 0, 0x18}, {TAKE, 0, 256 - 45}, {TAKE, 0, 0}, {NONE},
		{AUX, 0xe8}, {TAKE, 0, 0xfa}, {AUX, 3}, {TAKE, 0, 0xfa}, {AUX, 0xe7}, {TAKE, 0, 0xfa},
		{AUX, 0xe9}, {TAKE, 0, 0xfa}, {TAKE, 0, 0x30}, {TAKE, 0, 3}, {TAKE, 0, 100},
		{MOVE, 4, 0}, {TAKE, 0, 0x08}, {TAKE, 0, 6, "IBM: scaling 2:1"}, {TAKE, 0, 0}, {AUX, 0xe6}, {TAKE, 0, 0xfa},
		{AUX, 0xf3}, {TAKE, 0, 0xfa}, {AUX, 5}, {TAKE, 0, 0xfe, "IBM: wrong parameter"}, {AUX, 5}, {TAKE, 0, 0xfc},
		{AUX, 0xee}, {TAKE, 0, 0xfa}, {AUX, 0xf4}, {TAKE, 0, 0xf4, "IBM: wrap mode"}, {AUX, 0xec}, {TAKE, 0, 0xfa},
		{AUX, 0xf0}, {TAKE, 0, 0xfa}, {MOVE, 1, 0}, {NONE}, {AUX, 0xeb}, {TAKE, 0, 0xfa}, {TAKE, 0, 8}, {TAKE, 0, 1}, {TAKE, 0, 0},
		{AUX, 0xea}, {TAKE, 0, 0xfa}, {AUX, 0x55}, {TAKE, 0, 0xfe}, {AUX, 0xf2}, {TAKE, 0, 0xfa}, {TAKE, 0, 0},
		/* the wheel */
		{AUX, 0xf3}, {TAKE, 0, 0xfa}, {AUX, 200}, {TAKE, 0, 0xfa}, {AUX, 0xf3}, {TAKE, 0, 0xfa}, {AUX, 100}, {TAKE, 0, 0xfa},
		{AUX, 0xf3}, {TAKE, 0, 0xfa}, {AUX, 80}, {TAKE, 0, 0xfa}, {AUX, 0xf2}, {TAKE, 0, 0xfa}, {TAKE, 0, 3, "IntelliMouse"},
		{MOVE, 1, 0}, {TAKE, 0, 8}, {TAKE, 0, 1}, {TAKE, 0, 0}, {TAKE, 0, 0}, {NONE},
		{AUX, 0xf6}, {TAKE, 0, 0xfa}, {MOVE, 1, 0}, {NONE, 0, 0, "IBM: defaults: reporting off"},
	};
	RUN(rows);
}
/* clang-format on */

static void test_buttons_wheel_overrun(void **state)
{
	struct harness *h = harness_new();
	struct i8042 *kbc = kbc_new(h);
	static const uint8_t rates[3] = {200, 200, 80};

	for (unsigned i = 0; i < 3; i++) {
		outb(h, CMD, 0xd4);
		outb(h, DATA, 0xf3);
		assert_int_equal(take(h), 0xfa);
		outb(h, CMD, 0xd4);
		outb(h, DATA, rates[i]);
		assert_int_equal(take(h), 0xfa);
	}
	outb(h, CMD, 0xd4);
	outb(h, DATA, 0xf4);
	assert_int_equal(take(h), 0xfa);
	i8042_mouse(kbc, 0, 0, -2, PS2_BUTTON_LEFT | PS2_BUTTON_MIDDLE | 8);
	assert_int_equal(take(h), 0x0d);
	assert_int_equal(take(h), 0);
	assert_int_equal(take(h), 0);
	assert_int_equal(take(h), 0x1e); /* fourth button, dz = -2 in four bits */
	i8042_mouse(kbc, 0, 0, 100, 0);
	for (int left = 100; left > 0; left -= 7) {
		assert_int_equal(take(h), 8);
		assert_int_equal(take(h), 0);
		assert_int_equal(take(h), 0);
		assert_int_equal(take(h), MIN(left, 7));
	}
	assert_int_equal(take(h), 0x100);
	i8042_mouse(kbc, 1 << 30, 1 << 30, 1 << 30, ~0u);
	i8042_mouse(kbc, 1 << 30, 1 << 30, 1 << 30, ~0u);
	harness_check_state_roundtrip(&kbc->dev);

	/* IBM, "Buffer": 16 bytes, then the overrun code. */
	outb(h, CMD, 0xa7);
	while (take(h) != 0x100)
		;
	outb(h, CMD, 0xad);
	for (unsigned key = 1; key < 40; key++)
		i8042_key(kbc, (uint8_t)key, true);
	outb(h, CMD, 0xae);
	for (unsigned key = 1; key < 16; key++)
		assert_int_equal(take(h), key);
	assert_int_equal(take(h), 0xff); /* 00, translated */
	assert_int_equal(take(h), 0x100);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_controller), cmocka_unit_test(test_keyboard_commands),
		cmocka_unit_test(test_keys),       cmocka_unit_test(test_typematic),
		cmocka_unit_test(test_mouse),      cmocka_unit_test(test_buttons_wheel_overrun),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
