/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 8042 as the PC's keyboard and mouse controller.
 *
 * Documents: IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboard and auxiliary device
 * controller" ("IBM" below); IBM PC/AT Technical Reference, "Keyboard controller" for the commands
 * that the PS/2 dropped; the translation table is in both.
 *
 *   60  data: output buffer (read), input buffer (write)      64  status (read), command (write)
 *
 * Bytes for the CPU come from three places: the controller's own replies at once, keyboard and
 * mouse one byte per serial frame time (11 bits at the line's fastest clock), the keyboard first.
 * They wait in their device while the output buffer is full or their interface is disabled. While
 * the output buffer stays empty, reading port 60h gives the last byte again.
 *
 * IRQ1 and IRQ12 are the output buffer flag of their side, gated by the command byte; they fall
 * when port 60h is read. The input buffer is always empty: commands are executed at once.
 *
 * Invariants: reply_n <= 4; full means `out` has not been read.
 *
 * Reset: command byte as a PC's firmware finds it, with translation on and interrupts off; A20 on.
 *
 * UNMODELLED: password commands A4..A6 (there is none), diagnostic dump AC, polling of the input
 * port C1/C2, serial time-outs and parity errors, the keyboard lock.
 */
#include "device/input/i8042.h"

#include "base/bits.h"

enum { ST_OBF = 0x01, ST_SYS = 0x04, ST_A2 = 0x08, ST_UNLOCKED = 0x10, ST_AUX = 0x20 };
enum {
	CCB_IRQ1 = 0x01,
	CCB_IRQ12 = 0x02,
	CCB_SYS = 0x04,
	CCB_KBD_OFF = 0x10,
	CCB_AUX_OFF = 0x20,
	CCB_TRANSLATE = 0x40,
	CCB_MASK = 0x7f,
};
enum { OUT_RUN = 0x01, OUT_A20 = 0x02, OUT_IRQ1 = 0x10, OUT_IRQ12 = 0x20, OUT_RESET = 0xcf };
enum {
	C_READ_RAM = 0x20,
	C_WRITE_RAM = 0x60,
	C_PASSWORD_TEST = 0xa4,
	C_AUX_OFF = 0xa7,
	C_AUX_ON = 0xa8,
	C_AUX_TEST = 0xa9,
	C_SELF_TEST = 0xaa,
	C_KBD_TEST = 0xab,
	C_KBD_OFF = 0xad,
	C_KBD_ON = 0xae,
	C_READ_IN = 0xc0,
	C_READ_OUT = 0xd0,
	C_WRITE_OUT = 0xd1,
	C_WRITE_KBD_BUF = 0xd2,
	C_WRITE_AUX_BUF = 0xd3,
	C_WRITE_AUX = 0xd4,
	C_A20_OFF = 0xdd,
	C_A20_ON = 0xdf,
	C_READ_TEST = 0xe0,
	C_PULSE = 0xf0,
};
enum { SELF_TEST_OK = 0x55, NO_PASSWORD = 0xf1, IN_UNLOCKED = 0x80 };
#define BYTE_NS (660 * NS_PER_US) /* 11 bits at 16.7 kHz */

/* IBM, "Scan code translation": set 2 to set 1; codes from 85 on are not translated. */
/* clang-format off */
static const uint8_t translation[0x85] = {
	0xff, 0x43, 0x41, 0x3f, 0x3d, 0x3b, 0x3c, 0x58, 0x64, 0x44, 0x42, 0x40, 0x3e, 0x0f, 0x29, 0x59,
	0x65, 0x38, 0x2a, 0x70, 0x1d, 0x10, 0x02, 0x5a, 0x66, 0x71, 0x2c, 0x1f, 0x1e, 0x11, 0x03, 0x5b,
	0x67, 0x2e, 0x2d, 0x20, 0x12, 0x05, 0x04, 0x5c, 0x68, 0x39, 0x2f, 0x21, 0x14, 0x13, 0x06, 0x5d,
	0x69, 0x31, 0x30, 0x23, 0x22, 0x15, 0x07, 0x5e, 0x6a, 0x72, 0x32, 0x24, 0x16, 0x08, 0x09, 0x5f,
	0x6b, 0x33, 0x25, 0x17, 0x18, 0x0b, 0x0a, 0x60, 0x6c, 0x34, 0x35, 0x26, 0x27, 0x19, 0x0c, 0x61,
	0x6d, 0x73, 0x28, 0x74, 0x1a, 0x0d, 0x62, 0x6e, 0x3a, 0x36, 0x1c, 0x1b, 0x75, 0x2b, 0x63, 0x76,
	0x55, 0x56, 0x77, 0x78, 0x79, 0x7a, 0x0e, 0x7b, 0x7c, 0x4f, 0x7d, 0x4b, 0x47, 0x7e, 0x7f, 0x6f,
	0x52, 0x53, 0x50, 0x4c, 0x4d, 0x48, 0x01, 0x45, 0x57, 0x4e, 0x51, 0x4a, 0x37, 0x49, 0x46, 0x54,
	0x80, 0x81, 0x82, 0x41, 0x54};
/* clang-format on */

uint8_t i8042_translate(uint8_t code)
{
	return code < sizeof(translation) ? translation[code] : code;
}

static struct i8042 *to_kbc(struct dev *d)
{
	return CONTAINER_OF(d, struct i8042, dev);
}

static void put_out(struct i8042 *kbc, uint8_t byte, bool aux)
{
	kbc->s.out = byte;
	kbc->s.full = true;
	kbc->s.from_aux = aux;
}

/* A byte from the keyboard on its way to the output buffer. */
static void put_kbd(struct i8042 *kbc, uint8_t byte)
{
	if (!(kbc->s.ram[0] & CCB_TRANSLATE)) {
		put_out(kbc, byte, false);
		return;
	}
	if (byte == 0xf0) {
		kbc->s.breaking = true;
		return;
	}
	put_out(kbc, i8042_translate(byte) | (kbc->s.breaking ? 0x80 : 0), false);
	kbc->s.breaking = false;
}

/* Which device could send now? NULL fifo = none. */
static bool kbd_waits(const struct i8042 *kbc)
{
	return kbc->s.kbd.fifo.n && !(kbc->s.ram[0] & CCB_KBD_OFF);
}

static bool mouse_waits(const struct i8042 *kbc)
{
	return kbc->s.mouse.fifo.n && !(kbc->s.ram[0] & CCB_AUX_OFF);
}

/* Fill the output buffer if it is empty and something has arrived. */
static void pump(struct i8042 *kbc, ns_t now)
{
	if (!kbc->s.full && kbc->s.reply_n) {
		put_out(kbc, kbc->s.reply[0], kbc->s.reply_aux[0]);
		kbc->s.reply_n--;
		memmove(kbc->s.reply, kbc->s.reply + 1, kbc->s.reply_n);
		memmove(kbc->s.reply_aux, kbc->s.reply_aux + 1, kbc->s.reply_n * sizeof(bool));
	}
	while (!kbc->s.full && now >= kbc->s.next_at && (kbd_waits(kbc) || mouse_waits(kbc))) {
		if (kbd_waits(kbc))
			put_kbd(kbc, ps2_kbd_read(&kbc->s.kbd));
		else
			put_out(kbc, ps2_mouse_read(&kbc->s.mouse), true);
		kbc->s.next_at = now + BYTE_NS;
	}
}

void i8042_follow_a20(struct i8042 *kbc, bool level)
{
	kbc->s.outport = (uint8_t)((kbc->s.outport & ~OUT_A20) | (level ? OUT_A20 : 0));
	kbc->a20.level = level;
}

/* Drive the lines and arm the timer for the next repeat or byte. */
static void kbc_drive(struct i8042 *kbc)
{
	uint8_t ccb = kbc->s.ram[0];
	ns_t at = UINT64_MAX;

	irq_set(&kbc->irq_kbd, kbc->s.full && !kbc->s.from_aux && (ccb & CCB_IRQ1));
	irq_set(&kbc->irq_mouse, kbc->s.full && kbc->s.from_aux && (ccb & CCB_IRQ12));
	irq_set(&kbc->a20, kbc->s.outport & OUT_A20);
	if (kbc->s.kbd.repeat_at)
		at = kbc->s.kbd.repeat_at;
	if (!kbc->s.full && (kbd_waits(kbc) || mouse_waits(kbc) || kbc->s.reply_n))
		at = MIN(at, kbc->s.next_at);
	if (at == UINT64_MAX)
		vtimer_cancel(&kbc->timer);
	else
		vtimer_arm(&kbc->timer, at);
}

static void kbc_update(struct i8042 *kbc)
{
	ns_t now = clock_now(kbc->dev.sv->clock);

	ps2_kbd_repeat(&kbc->s.kbd, now);
	pump(kbc, now);
	kbc_drive(kbc);
}

static void kbc_timer(void *ctx)
{
	kbc_update(ctx);
}

void i8042_key(struct i8042 *kbc, uint8_t key, bool down)
{
	ps2_kbd_key(&kbc->s.kbd, key, down, clock_now(kbc->dev.sv->clock));
	kbc_update(kbc);
}

void i8042_mouse(struct i8042 *kbc, int dx, int dy, int dz, unsigned buttons)
{
	ps2_mouse_event(&kbc->s.mouse, dx, dy, dz, buttons);
	kbc_update(kbc);
}

/* ------------------------------------------------------------------ commands */

static void reply_from(struct i8042 *kbc, uint8_t byte, bool aux)
{
	if (kbc->s.reply_n >= I8042_REPLIES) {
		guest_error(&kbc->dev, "%d replies were not read; the newest is lost",
			    I8042_REPLIES);
		return;
	}
	kbc->s.reply[kbc->s.reply_n] = byte;
	kbc->s.reply_aux[kbc->s.reply_n++] = aux;
}

static void reply(struct i8042 *kbc, uint8_t byte)
{
	reply_from(kbc, byte, false);
}

static void write_outport(struct i8042 *kbc, uint8_t v)
{
	kbc->s.outport = v & (uint8_t) ~(OUT_IRQ1 | OUT_IRQ12);
	if (v & OUT_RUN)
		return;
	kbc->s.outport |= OUT_RUN; /* the reset it causes would release it */
	irq_pulse(&kbc->reset);
}

static uint8_t read_outport(const struct i8042 *kbc)
{
	return kbc->s.outport | (kbc->irq_kbd.level ? OUT_IRQ1 : 0) |
	       (kbc->irq_mouse.level ? OUT_IRQ12 : 0);
}

/* Commands 20..3f, 60..7f and f0..ff are ranges; the others stand alone. */
static void command(struct i8042 *kbc, uint8_t cmd)
{
	uint8_t *ccb = &kbc->s.ram[0];

	kbc->s.command = 0;
	switch (cmd) {
	case C_READ_RAM ... C_READ_RAM + I8042_RAM - 1:
		reply(kbc, kbc->s.ram[cmd - C_READ_RAM]);
		break;
	case C_WRITE_RAM ... C_WRITE_RAM + I8042_RAM - 1:
	case C_WRITE_OUT:
	case C_WRITE_KBD_BUF:
	case C_WRITE_AUX_BUF:
	case C_WRITE_AUX: kbc->s.command = cmd; break;
	case C_PASSWORD_TEST: reply(kbc, NO_PASSWORD); break;
	case C_AUX_OFF: *ccb |= CCB_AUX_OFF; break;
	case C_AUX_ON: *ccb &= (uint8_t)~CCB_AUX_OFF; break;
	case C_SELF_TEST:
		*ccb |= CCB_SYS;
		reply(kbc, SELF_TEST_OK);
		break;
	case C_AUX_TEST:
	case C_KBD_TEST: reply(kbc, 0); break;
	case C_KBD_OFF: *ccb |= CCB_KBD_OFF; break;
	case C_KBD_ON: *ccb &= (uint8_t)~CCB_KBD_OFF; break;
	case C_READ_IN: reply(kbc, IN_UNLOCKED); break;
	case C_READ_OUT: reply(kbc, read_outport(kbc)); break;
	case C_A20_OFF: kbc->s.outport &= (uint8_t)~OUT_A20; break;
	case C_A20_ON: kbc->s.outport |= OUT_A20; break;
	case C_READ_TEST: reply(kbc, 0); break;
	case C_PULSE ... 0xff:
		/* IBM: bits 3:0 = 0 pulse the output port bit for 6 us; only bit 0 is seen. */
		if (!(cmd & OUT_RUN))
			irq_pulse(&kbc->reset);
		break;
	default: guest_error(&kbc->dev, "command %#x is not known", cmd); break;
	}
}

/* A byte at port 60h: parameter of a command, or for the keyboard. */
static void data(struct i8042 *kbc, uint8_t byte)
{
	uint8_t cmd = kbc->s.command;

	kbc->s.command = 0;
	switch (cmd) {
	case C_WRITE_RAM ... C_WRITE_RAM + I8042_RAM - 1:
		kbc->s.ram[cmd - C_WRITE_RAM] = cmd == C_WRITE_RAM ? byte & CCB_MASK : byte;
		break;
	case C_WRITE_OUT: write_outport(kbc, byte); break;
	case C_WRITE_KBD_BUF: reply_from(kbc, byte, false); break;
	case C_WRITE_AUX_BUF: reply_from(kbc, byte, true); break;
	case C_WRITE_AUX:
		kbc->s.ram[0] &= (uint8_t)~CCB_AUX_OFF; /* the interface is enabled to send */
		ps2_mouse_write(&kbc->s.mouse, byte);
		kbc->s.next_at = clock_now(kbc->dev.sv->clock) + BYTE_NS;
		break;
	default:
		kbc->s.ram[0] &= (uint8_t)~CCB_KBD_OFF;
		kbc->s.breaking = false;
		ps2_kbd_write(&kbc->s.kbd, byte);
		kbc->s.next_at = clock_now(kbc->dev.sv->clock) + BYTE_NS;
		break;
	}
}

static uint64_t data_read(struct dev *d, uint64_t off, unsigned size)
{
	struct i8042 *kbc = to_kbc(d);
	uint8_t byte = kbc->s.out;

	if (kbc->s.full) {
		kbc->s.full = false;
		kbc->s.next_at = MAX(kbc->s.next_at, clock_now(d->sv->clock) + BYTE_NS);
		/* The line falls before the next byte raises it again. */
		irq_set(&kbc->irq_kbd, false);
		irq_set(&kbc->irq_mouse, false);
	}
	kbc_update(kbc);
	return byte;
}

static void data_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042 *kbc = to_kbc(d);

	kbc->s.a2 = false;
	data(kbc, (uint8_t)val);
	kbc_update(kbc);
}

static uint64_t status_read(struct dev *d, uint64_t off, unsigned size)
{
	const struct i8042 *kbc = to_kbc(d);

	return (kbc->s.full ? ST_OBF : 0) | (kbc->s.ram[0] & CCB_SYS ? ST_SYS : 0) |
	       (kbc->s.a2 ? ST_A2 : 0) | ST_UNLOCKED |
	       (kbc->s.full && kbc->s.from_aux ? ST_AUX : 0);
}

static void status_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i8042 *kbc = to_kbc(d);

	kbc->s.a2 = true;
	command(kbc, (uint8_t)val);
	kbc_update(kbc);
}

/* ------------------------------------------------------------------ life cycle */

static int i8042_realize(struct dev *d, struct error *err)
{
	struct i8042 *kbc = to_kbc(d);

	vtimer_init(&kbc->timer, d->sv->clock, kbc_timer, kbc);
	return 0;
}

static void i8042_unrealize(struct dev *d)
{
	struct i8042 *kbc = to_kbc(d);

	if (kbc->timer.clock)
		vtimer_cancel(&kbc->timer);
}

static void i8042_reset(struct dev *d, enum dev_reset kind)
{
	struct i8042 *kbc = to_kbc(d);
	uint8_t buttons = kbc->s.mouse.buttons;

	memset(&kbc->s, 0, sizeof(kbc->s));
	kbc->s.mouse.buttons = buttons;
	ps2_kbd_reset(&kbc->s.kbd);
	ps2_mouse_reset(&kbc->s.mouse);
	kbc->s.ram[0] = CCB_TRANSLATE;
	kbc->s.outport = OUT_RESET;
	kbc_update(kbc);
}

static int i8042_loaded(struct dev *d, struct error *err)
{
	struct i8042 *kbc = to_kbc(d);
	ns_t now = clock_now(d->sv->clock);

	kbc->s.ram[0] &= CCB_MASK;
	kbc->s.next_at = MIN(kbc->s.next_at, now + BYTE_NS);
	kbc_drive(kbc);
	return 0;
}

/* clang-format off */
static const struct state_field i8042_fields[] = {
	STATE_STRUCT(struct i8042_regs, kbd, ps2_kbd_fields),
	STATE_STRUCT(struct i8042_regs, mouse, ps2_mouse_fields),
	STATE_VAL(struct i8042_regs, next_at),
	STATE_BYTES_OF(struct i8042_regs, ram),
	STATE_BYTES_OF(struct i8042_regs, reply),
	STATE_ARRAY(struct i8042_regs, reply_aux),
	STATE_VAL(struct i8042_regs, reply_n, .max = I8042_REPLIES),
	STATE_VAL(struct i8042_regs, out),
	STATE_VAL(struct i8042_regs, outport),
	STATE_VAL(struct i8042_regs, command),
	STATE_VAL(struct i8042_regs, full),
	STATE_VAL(struct i8042_regs, from_aux),
	STATE_VAL(struct i8042_regs, a2),
	STATE_VAL(struct i8042_regs, breaking),
	STATE_END};

static const struct state_desc i8042_state =
	STATE_DESC("i8042", 1, struct i8042_regs, i8042_fields);

static const struct dev_region i8042_regions[] = {
	{"kbd-data",   DEV_PIO, 0x60, 1, WIDTH_124, WIDTH_1, data_read,   data_write},
	{"kbd-status", DEV_PIO, 0x64, 1, WIDTH_124, WIDTH_1, status_read, status_write},
	{0}};
/* clang-format on */

const struct dev_class i8042_class = {
	.name = "i8042",
	.summary = "keyboard controller, keyboard and mouse",
	.spec = "IBM PS/2 Hardware Interface Technical Reference, 1990",
	.size = sizeof(struct i8042),
	.regs_offset = offsetof(struct i8042, s),
	.regions = i8042_regions,
	.state = &i8042_state,
	.realize = i8042_realize,
	.unrealize = i8042_unrealize,
	.reset = i8042_reset,
	.loaded = i8042_loaded,
};
