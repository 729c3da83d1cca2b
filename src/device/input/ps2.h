/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PS/2 keyboard and mouse as the controller sees them: bytes in, bytes out. See ps2_kbd.c and
 * ps2_mouse.c. Bus lock held everywhere.
 */
#ifndef DEVICE_INPUT_PS2_H
#define DEVICE_INPUT_PS2_H

#include "device/dev.h"

enum { PS2_FIFO = 16, PS2_SET3_CODES = 0x90 };

/* Bytes a device wants to send, oldest first. */
struct ps2_fifo {
	uint8_t byte[PS2_FIFO];
	uint8_t n;
	uint8_t pad_[7];
};
extern const struct state_field ps2_fifo_fields[];

bool ps2_fifo_put(struct ps2_fifo *f, uint8_t byte); /* false: full, byte lost */
uint8_t ps2_fifo_get(struct ps2_fifo *f);            /* 0 when empty */

/* Keys are named by their scan code of set 1, with bit 7 set for keys whose code has prefix E0. */
enum { PS2_KEY_PRINT = 0xb7, PS2_KEY_PAUSE = 0xc6 };

struct ps2_kbd_regs {
	struct ps2_fifo fifo;
	uint8_t down[32];              /* keys held down, one bit each */
	uint8_t type3[PS2_SET3_CODES]; /* set 3: KEY_ bits of each code */
	uint64_t repeat_at;            /* guest ns of the next typematic repeat; 0 = none */
	uint8_t repeat_key;            /* key that repeats */
	uint8_t command;               /* waits for its parameter; 0 = none */
	uint8_t set;                   /* scan code set, 1..3 */
	uint8_t leds;                  /* bit 0 scroll, 1 num, 2 caps lock */
	uint8_t rate;                  /* typematic rate and delay, as in command F3 */
	uint8_t last;                  /* last byte sent, for command FE */
	bool scanning;
	uint8_t pad_;
};
extern const struct state_field ps2_kbd_fields[];

void ps2_kbd_reset(struct ps2_kbd_regs *k);
/** ps2_kbd_write() - a byte from the host. */
void ps2_kbd_write(struct ps2_kbd_regs *k, uint8_t byte);
uint8_t ps2_kbd_read(struct ps2_kbd_regs *k);
/** ps2_kbd_key() - @key went down or up at guest time @now. */
void ps2_kbd_key(struct ps2_kbd_regs *k, uint8_t key, bool down, ns_t now);
/** ps2_kbd_repeat() - the time repeat_at has come. */
void ps2_kbd_repeat(struct ps2_kbd_regs *k, ns_t now);

enum { PS2_BUTTON_LEFT = 1, PS2_BUTTON_RIGHT = 2, PS2_BUTTON_MIDDLE = 4, PS2_BUTTONS = 0x1f };

struct ps2_mouse_regs {
	struct ps2_fifo fifo;
	int32_t dx, dy, dz; /* movement not reported yet; dy up, dz towards the user */
	uint8_t buttons;    /* bit 0 left, 1 right, 2 middle, 3 fourth, 4 fifth */
	uint8_t reported;   /* buttons in the last packet */
	uint8_t command;    /* waits for its parameter; 0 = none */
	uint8_t rate;       /* samples a second */
	uint8_t resolution; /* 0..3: 1, 2, 4, 8 counts/mm */
	uint8_t id;         /* 0 standard, 3 wheel, 4 wheel and five buttons */
	uint8_t knock[3];   /* last sample rates set, newest last */
	uint8_t last;       /* last byte sent, for command FE */
	bool scale_2_1;
	bool remote; /* packets only on command EB */
	bool wrap;   /* echo mode */
	bool reporting;
	bool asked_again; /* a wrong parameter was answered with FE once */
	uint8_t pad_[5];
};
extern const struct state_field ps2_mouse_fields[];

void ps2_mouse_reset(struct ps2_mouse_regs *m);
void ps2_mouse_write(struct ps2_mouse_regs *m, uint8_t byte);
uint8_t ps2_mouse_read(struct ps2_mouse_regs *m);
/** ps2_mouse_event() - movement in counts (@dy down, @dz towards the user) and buttons held. */
void ps2_mouse_event(struct ps2_mouse_regs *m, int dx, int dy, int dz, unsigned buttons);

#endif
