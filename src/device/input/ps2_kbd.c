/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PS/2 keyboard with 101/102 keys, and the byte queue it shares with the mouse.
 *
 * Documents: IBM PS/2 Hardware Interface Technical Reference (1990), "Keyboard (101- and 102-key)",
 * for commands, scan code sets, default key types and the typematic formula; IBM PS/2 and PC BIOS
 * Technical Reference for the set 1/set 2 correspondence (see i8042.c).
 *
 * A key is named by its set 1 code (bit 7: prefix E0). Set 2 codes follow from it by inverting the
 * controller's translation, set 3 codes stand in a table. Print screen and pause have sequences of
 * their own in sets 1 and 2.
 *
 * Invariants: set is 1..3, fifo.n <= 16. A sequence enters the queue whole or not at all; a
 * sequence that does not fit leaves the overrun code (00, in set 1 FF).
 *
 * NOTE: the keyboard repeats by itself, so a key that is reported down again is not new.
 * UNMODELLED: the power-on self-test result AA (the host would find it in the queue), the time the
 * self-test takes, the fake shift codes around grey keys while Num Lock or Shift is active.
 */
#include <string.h>

#include "base/bits.h"
#include "device/input/i8042.h"
#include "device/input/ps2.h"

enum { ACK = 0xfa, RESEND = 0xfe, BAT_OK = 0xaa, ECHO = 0xee, OVERRUN_1 = 0xff, OVERRUN_23 = 0 };
enum {
	C_LEDS = 0xed,
	C_ECHO = 0xee,
	C_SCAN_SET = 0xf0,
	C_ID = 0xf2,
	C_TYPEMATIC = 0xf3,
	C_ENABLE = 0xf4,
	C_DISABLE = 0xf5,
	C_DEFAULT = 0xf6,
	C_ALL_REPEAT = 0xf7,
	C_ALL_BREAK = 0xf8,
	C_ALL_MAKE = 0xf9,
	C_ALL_BOTH = 0xfa,
	C_KEY_REPEAT = 0xfb,
	C_KEY_BREAK = 0xfc,
	C_KEY_MAKE = 0xfd,
	C_RESEND = 0xfe,
	C_RESET = 0xff,
};
enum { KEY_REPEATS = 1, KEY_BREAKS = 2 };
enum { RATE_DEFAULT = 0x2b, RATE_MASK = 0x7f }; /* 10.9 a second after 500 ms */
enum { K_LCTRL = 0x1d, K_LSHIFT = 0x2a, K_RSHIFT = 0x36, K_LALT = 0x38, E0 = 0x80 };

/* Set 3 codes by set 1 code (IBM, "Scan code set 3"). */
/* clang-format off */
static const uint8_t set3_plain[0x59] = {
	0x00, 0x08, 0x16, 0x1e, 0x26, 0x25, 0x2e, 0x36, 0x3d, 0x3e, 0x46, 0x45, 0x4e, 0x55, 0x66, 0x0d,
	0x15, 0x1d, 0x24, 0x2d, 0x2c, 0x35, 0x3c, 0x43, 0x44, 0x4d, 0x54, 0x5b, 0x5a, 0x11, 0x1c, 0x1b,
	0x23, 0x2b, 0x34, 0x33, 0x3b, 0x42, 0x4b, 0x4c, 0x52, 0x0e, 0x12, 0x5c, 0x1a, 0x22, 0x21, 0x2a,
	0x32, 0x31, 0x3a, 0x41, 0x49, 0x4a, 0x59, 0x7e, 0x19, 0x29, 0x14, 0x07, 0x0f, 0x17, 0x1f, 0x27,
	0x2f, 0x37, 0x3f, 0x47, 0x4f, 0x76, 0x5f, 0x6c, 0x75, 0x7d, 0x84, 0x6b, 0x73, 0x74, 0x7c, 0x69,
	0x72, 0x7a, 0x70, 0x71, 0x57, 0x00, 0x13, 0x56, 0x5e};

static const struct {
	uint8_t key, set3;
} set3_grey[] = {
	{0x9c, 0x79}, {0x9d, 0x58}, {0xb5, 0x77}, {0xb7, 0x57}, {0xb8, 0x39}, {0xc6, 0x62},
	{0xc7, 0x6e}, {0xc8, 0x63}, {0xc9, 0x6f}, {0xcb, 0x61}, {0xcd, 0x6a}, {0xcf, 0x65},
	{0xd0, 0x60}, {0xd1, 0x6d}, {0xd2, 0x67}, {0xd3, 0x64}, {0xdb, 0x8b}, {0xdc, 0x8c},
	{0xdd, 0x8d}};

/* IBM, "Scan code set 3", default key types; all others are typematic. */
static const uint8_t set3_make_break[] = {0x11, 0x12, 0x14, 0x19, 0x59};
static const uint8_t set3_make_only[] = {
	0x07, 0x08, 0x0f, 0x17, 0x1f, 0x27, 0x2f, 0x37, 0x39, 0x3f, 0x47, 0x4f, 0x56, 0x57, 0x58, 0x5e,
	0x5f, 0x62, 0x65, 0x67, 0x69, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71, 0x72, 0x73, 0x74, 0x75,
	0x76, 0x77, 0x79, 0x7a, 0x7c, 0x7d, 0x7e, 0x84, 0x8b, 0x8c, 0x8d};
/* clang-format on */

bool ps2_fifo_put(struct ps2_fifo *f, uint8_t byte)
{
	if (f->n >= PS2_FIFO)
		return false;
	f->byte[f->n++] = byte;
	return true;
}

uint8_t ps2_fifo_get(struct ps2_fifo *f)
{
	uint8_t byte = f->byte[0];

	if (!f->n)
		return 0;
	f->n--;
	memmove(f->byte, f->byte + 1, f->n);
	f->byte[f->n] = 0;
	return byte;
}

static void defaults(struct ps2_kbd_regs *k)
{
	k->rate = RATE_DEFAULT;
	k->set = 2;
	k->command = 0;
	k->repeat_at = 0;
	memset(k->type3, KEY_REPEATS, sizeof(k->type3));
	for (unsigned i = 0; i < ARRAY_SIZE(set3_make_break); i++)
		k->type3[set3_make_break[i]] = KEY_BREAKS;
	for (unsigned i = 0; i < ARRAY_SIZE(set3_make_only); i++)
		k->type3[set3_make_only[i]] = 0;
}

void ps2_kbd_reset(struct ps2_kbd_regs *k)
{
	*k = (struct ps2_kbd_regs){.scanning = true};
	defaults(k);
}

uint8_t ps2_kbd_read(struct ps2_kbd_regs *k)
{
	k->last = ps2_fifo_get(&k->fifo);
	return k->last;
}

/* ------------------------------------------------------------------ keys */

static bool is_down(const struct ps2_kbd_regs *k, uint8_t key)
{
	return k->down[key / 8] & BIT(key % 8);
}

static bool any_down(const struct ps2_kbd_regs *k, uint8_t a, uint8_t b)
{
	return is_down(k, a) || is_down(k, b);
}

static uint8_t set2_of(uint8_t low)
{
	/* From the top, because F7 (83) and SysRq (84) share a set 1 code with a code below 80. */
	for (unsigned code = 0x84; code > 0; code--) {
		if (i8042_translate((uint8_t)code) == low)
			return (uint8_t)code;
	}
	return 0;
}

static uint8_t set3_of(uint8_t key)
{
	if (key < ARRAY_SIZE(set3_plain))
		return set3_plain[key];
	for (unsigned i = 0; i < ARRAY_SIZE(set3_grey); i++) {
		if (set3_grey[i].key == key)
			return set3_grey[i].set3;
	}
	return 0;
}

/* A scan code sequence being put together. */
struct sequence {
	uint8_t byte[10];
	unsigned n;
};

static void add(struct sequence *s, uint8_t byte)
{
	if (s->n < sizeof(s->byte))
		s->byte[s->n++] = byte;
}

/* One code of set 1 or 2: @prefix E0 or 0, the code without prefix in set 1 numbering. */
static void add_code(struct sequence *s, unsigned set, uint8_t prefix, uint8_t low, bool down)
{
	if (prefix)
		add(s, prefix);
	if (set == 1) {
		add(s, low | (down ? 0 : 0x80));
		return;
	}
	if (!down)
		add(s, 0xf0);
	add(s, set2_of(low));
}

/* Pause sends make and break at once and nothing when it is released. */
static void add_pause(const struct ps2_kbd_regs *k, struct sequence *s)
{
	if (any_down(k, K_LCTRL, K_LCTRL | E0)) {
		add_code(s, k->set, 0xe0, 0x46, true);
		add_code(s, k->set, 0xe0, 0x46, false);
		return;
	}
	add_code(s, k->set, 0xe1, 0x1d, true);
	add_code(s, k->set, 0, 0x45, true);
	add_code(s, k->set, 0xe1, 0x1d, false);
	add_code(s, k->set, 0, 0x45, false);
}

static void add_print(const struct ps2_kbd_regs *k, struct sequence *s, bool down)
{
	bool plain = !any_down(k, K_LCTRL, K_LCTRL | E0) && !any_down(k, K_LSHIFT, K_RSHIFT);

	if (any_down(k, K_LALT, K_LALT | E0)) {
		add_code(s, k->set, 0, 0x54, down); /* SysRq */
		return;
	}
	if (plain && down)
		add_code(s, k->set, 0xe0, K_LSHIFT, true);
	add_code(s, k->set, 0xe0, PS2_KEY_PRINT & 0x7f, down);
	if (plain && !down)
		add_code(s, k->set, 0xe0, K_LSHIFT, false);
}

/* Put the codes of a key into the queue, or the overrun code. */
static void send_key(struct ps2_kbd_regs *k, uint8_t key, bool down)
{
	struct sequence s = {.n = 0};
	uint8_t code = set3_of(key), overrun = k->set == 1 ? OVERRUN_1 : OVERRUN_23;

	if (k->set == 3) {
		if (code && !down && (k->type3[code] & KEY_BREAKS))
			add(&s, 0xf0);
		if (code && (down || s.n))
			add(&s, code);
	} else if (key == PS2_KEY_PAUSE) {
		if (down)
			add_pause(k, &s);
	} else if (key == PS2_KEY_PRINT) {
		add_print(k, &s, down);
	} else if (set2_of(key & 0x7f)) {
		add_code(&s, k->set, key & E0 ? 0xe0 : 0, key & 0x7f, down);
	}
	if (k->fifo.n + s.n > PS2_FIFO) {
		if (k->fifo.n < PS2_FIFO)
			ps2_fifo_put(&k->fifo, overrun);
		else
			k->fifo.byte[PS2_FIFO - 1] = overrun;
		return;
	}
	for (unsigned i = 0; i < s.n; i++)
		ps2_fifo_put(&k->fifo, s.byte[i]);
}

/* IBM, "Set typematic rate/delay": delay (1 + bits 6:5) x 250 ms, period (8 + A) x 2^B x 4.17 ms.
 */
static ns_t repeat_delay(const struct ps2_kbd_regs *k)
{
	return (1 + ((k->rate >> 5) & 3u)) * 250 * NS_PER_MS;
}

static ns_t repeat_period(const struct ps2_kbd_regs *k)
{
	return (8 + (k->rate & 7u)) * (1u << ((k->rate >> 3) & 3)) * 4170 * NS_PER_US;
}

static bool repeats(const struct ps2_kbd_regs *k, uint8_t key)
{
	if (k->set == 3)
		return k->type3[set3_of(key)] & KEY_REPEATS;
	return key != PS2_KEY_PAUSE;
}

void ps2_kbd_key(struct ps2_kbd_regs *k, uint8_t key, bool down, ns_t now)
{
	uint8_t bit = (uint8_t)BIT(key % 8);

	if (is_down(k, key) == down)
		return;
	if (k->scanning)
		send_key(k, key, down);
	k->down[key / 8] ^= bit;
	if (down) {
		k->repeat_key = key;
		k->repeat_at = k->scanning && repeats(k, key) ? now + repeat_delay(k) : 0;
	} else if (key == k->repeat_key) {
		k->repeat_at = 0;
	}
}

void ps2_kbd_repeat(struct ps2_kbd_regs *k, ns_t now)
{
	if (!k->repeat_at || now < k->repeat_at)
		return;
	/* A host that is not reading gets no more repeats, rather than overrun. */
	if (k->scanning && k->fifo.n <= PS2_FIFO / 2)
		send_key(k, k->repeat_key, true);
	k->repeat_at = now + repeat_period(k);
}

/* ------------------------------------------------------------------ commands */

static void reply(struct ps2_kbd_regs *k, uint8_t byte)
{
	ps2_fifo_put(&k->fifo, byte);
}

static void set_all_types(struct ps2_kbd_regs *k, uint8_t type)
{
	memset(k->type3, type, sizeof(k->type3));
	reply(k, ACK);
}

static void command(struct ps2_kbd_regs *k, uint8_t byte)
{
	k->command = 0;
	k->repeat_at = 0;
	if (byte != C_RESEND)
		k->fifo = (struct ps2_fifo){.n = 0};
	switch (byte) {
	case C_LEDS:
	case C_SCAN_SET:
	case C_TYPEMATIC:
	case C_KEY_REPEAT:
	case C_KEY_BREAK:
	case C_KEY_MAKE:
		k->command = byte;
		reply(k, ACK);
		break;
	case C_ECHO: reply(k, ECHO); break;
	case C_ID:
		reply(k, ACK);
		reply(k, 0xab);
		reply(k, 0x83);
		break;
	case C_ENABLE:
		k->scanning = true;
		reply(k, ACK);
		break;
	case C_DISABLE:
		defaults(k);
		k->scanning = false;
		reply(k, ACK);
		break;
	case C_DEFAULT:
		defaults(k);
		reply(k, ACK);
		break;
	case C_ALL_REPEAT: set_all_types(k, KEY_REPEATS); break;
	case C_ALL_BREAK: set_all_types(k, KEY_BREAKS); break;
	case C_ALL_MAKE: set_all_types(k, 0); break;
	case C_ALL_BOTH: set_all_types(k, KEY_REPEATS | KEY_BREAKS); break;
	case C_RESEND:
		/* Ahead of what else waits; of 16 waiting bytes the newest gives way. */
		memmove(k->fifo.byte + 1, k->fifo.byte, PS2_FIFO - 1);
		k->fifo.byte[0] = k->last;
		k->fifo.n += k->fifo.n < PS2_FIFO;
		break;
	case C_RESET:
		ps2_kbd_reset(k);
		reply(k, ACK);
		reply(k, BAT_OK);
		break;
	default: reply(k, RESEND); break; /* not a command */
	}
}

/* The parameter of the command before. */
static void parameter(struct ps2_kbd_regs *k, uint8_t byte)
{
	uint8_t cmd = k->command;

	k->command = 0;
	switch (cmd) {
	case C_LEDS:
		k->leds = byte & 7;
		reply(k, ACK);
		break;
	case C_TYPEMATIC:
		k->rate = byte & RATE_MASK;
		reply(k, ACK);
		break;
	case C_SCAN_SET:
		if (byte > 3) {
			reply(k, RESEND);
			break;
		}
		reply(k, ACK);
		if (byte)
			k->set = byte;
		else
			reply(k, k->set);
		break;
	default: /* FB..FD: more keys may follow; the next command ends the list */
		k->command = cmd;
		if (byte < PS2_SET3_CODES)
			k->type3[byte] = cmd == C_KEY_REPEAT  ? KEY_REPEATS
					 : cmd == C_KEY_BREAK ? KEY_BREAKS
							      : 0;
		reply(k, byte < PS2_SET3_CODES ? ACK : RESEND);
		break;
	}
}

void ps2_kbd_write(struct ps2_kbd_regs *k, uint8_t byte)
{
	/* A command in place of a parameter takes over (IBM, "Set/reset status indicators"). */
	if (k->command && byte < C_LEDS)
		parameter(k, byte);
	else
		command(k, byte);
}

/* clang-format off */
const struct state_field ps2_fifo_fields[] = {
	STATE_BYTES_OF(struct ps2_fifo, byte),
	STATE_VAL(struct ps2_fifo, n, .max = PS2_FIFO),
	STATE_PAD(struct ps2_fifo, pad_),
	STATE_END};

const struct state_field ps2_kbd_fields[] = {
	STATE_STRUCT(struct ps2_kbd_regs, fifo, ps2_fifo_fields),
	STATE_BYTES_OF(struct ps2_kbd_regs, down),
	STATE_ARRAY(struct ps2_kbd_regs, type3, .max = KEY_REPEATS | KEY_BREAKS),
	STATE_VAL(struct ps2_kbd_regs, repeat_at),
	STATE_VAL(struct ps2_kbd_regs, repeat_key),
	STATE_VAL(struct ps2_kbd_regs, command),
	STATE_VAL(struct ps2_kbd_regs, set, .min = 1, .max = 3),
	STATE_VAL(struct ps2_kbd_regs, leds, .max = 7),
	STATE_VAL(struct ps2_kbd_regs, rate, .max = RATE_MASK),
	STATE_VAL(struct ps2_kbd_regs, last),
	STATE_VAL(struct ps2_kbd_regs, scanning),
	STATE_PAD(struct ps2_kbd_regs, pad_),
	STATE_END};
/* clang-format on */
