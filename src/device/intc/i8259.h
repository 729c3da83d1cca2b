/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The AT's pair of 8259A interrupt controllers as one device; see i8259.c.
 */
#ifndef DEVICE_INTC_I8259_H
#define DEVICE_INTC_I8259_H

#include "device/dev.h"

/* One controller. Bit n of the masks is input IRn. */
struct i8259_chip {
	uint8_t lines;       /* input levels; survives reset (they are wires) */
	uint8_t latch;       /* edge sense latches */
	uint8_t isr, imr;    /* in service, mask (OCW1) */
	uint8_t elcr;        /* 1 = level-triggered */
	uint8_t base;        /* ICW2: vector of IR0, multiple of 8 */
	uint8_t icw3;        /* master: inputs with a slave; slave: identity */
	uint8_t icw4;        /* ICW4 as written */
	uint8_t lowest;      /* input with the lowest priority now, 0..7 */
	uint8_t next_icw;    /* 0 = operational, else the ICW (2..4) expected at A0 = 1 */
	bool single;         /* ICW1.SNGL: no ICW3 */
	bool want_icw4;      /* ICW1.IC4 */
	bool read_isr;       /* OCW3: A0 = 0 reads ISR instead of IRR */
	bool poll;           /* OCW3.P: the next read is an acknowledge */
	bool special_mask;   /* OCW3: special mask mode */
	bool rotate_on_aeoi; /* OCW2: rotate in automatic EOI mode */
};

struct i8259_regs {
	struct i8259_chip chip[2]; /* 0 = master */
};

struct i8259 {
	struct dev dev;
	struct i8259_regs s;
	struct irq intr;           /* out: INTR to the CPU; wired by machine/ */
	struct intr_source source; /* INTA; .ctx is this device, set at realize */
};

extern const struct dev_class i8259_class;

/** i8259_set_line() - irq sink: ISA interrupt input @pin, 0..15 (2 is the cascade: ignored).
 * @ctx: the struct i8259. Bus lock held. */
void i8259_set_line(void *ctx, unsigned pin, bool level);

/** i8259_ack() - one INTA sequence: the vector to service (spurious IR7 when nothing is pending).
 * @ctx: the struct i8259. Bus lock held. Source: 8259A data sheet 231468, "Interrupt sequence". */
uint8_t i8259_ack(void *ctx);

#endif
