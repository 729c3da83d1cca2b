/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keyboard controller with keyboard and mouse; see i8042.c.
 */
#ifndef DEVICE_INPUT_I8042_H
#define DEVICE_INPUT_I8042_H

#include "device/input/ps2.h"

enum { I8042_RAM = 32, I8042_REPLIES = 4 };

struct i8042_regs {
	struct ps2_kbd_regs kbd;
	struct ps2_mouse_regs mouse;
	uint64_t next_at;              /* guest ns before which no device byte arrives */
	uint8_t ram[I8042_RAM];        /* ram[0] is the command byte */
	uint8_t reply[I8042_REPLIES];  /* controller's own bytes for the output buffer */
	bool reply_aux[I8042_REPLIES]; /* they look as if from the mouse (command D3) */
	uint8_t reply_n;
	uint8_t out;     /* output buffer */
	uint8_t outport; /* output port as written */
	uint8_t command; /* waits for a byte at port 60h; 0 = none */
	bool full;       /* status OBF */
	bool from_aux;   /* status: the byte is the mouse's */
	bool a2;         /* status: port 64h was written last */
	bool breaking;   /* translation has seen F0 */
};

struct i8042 {
	struct dev dev;
	struct i8042_regs s;
	/* outputs */
	struct irq irq_kbd;   /* ISA IRQ1 */
	struct irq irq_mouse; /* ISA IRQ12 */
	struct irq a20;       /* high: address bit 20 passes */
	struct irq reset;     /* pulse: CPU reset */
	/* private */
	struct vtimer timer;
};

extern const struct dev_class i8042_class;

/** i8042_key() - a key went down or up
 * @key: its scan code in set 1, bit 7 set if the code has prefix E0 (b7h print screen, c6h pause);
 *       the numbering that remote framebuffer clients send. Bus lock held. */
void i8042_key(struct i8042 *kbc, uint8_t key, bool down);
/** i8042_mouse() - movement in counts (@dy down, @dz towards the user) and PS2_BUTTON_ bits held.
 * Bus lock held. */
void i8042_mouse(struct i8042 *kbc, int dx, int dy, int dz, unsigned buttons);

/** i8042_translate() - set 1 code for set 2 code @code, as the controller translates it. */
uint8_t i8042_translate(uint8_t code);

/** i8042_follow_a20() - somebody else drives the line @kbc->a20 is connected to: the output port
 * shows it. Bus lock held. */
void i8042_follow_a20(struct i8042 *kbc, bool level);

#endif
