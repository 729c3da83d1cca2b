/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PC's programmable interval timer and port 61h; see i8254.c.
 */
#ifndef DEVICE_TIMER_I8254_H
#define DEVICE_TIMER_I8254_H

#include "device/dev.h"
#include "device/timer/speaker.h"

#define I8254_HZ 1193182ull /* 14.31818 MHz / 12 */

struct i8254_channel {
	uint64_t start;     /* tick at which `n` is (or will be) in the counting element */
	uint64_t elapsed;   /* ticks counted when the gate closed (while `frozen`) */
	uint64_t switch_at; /* modes 2, 3: tick at which a new count takes over (`pending`) */
	uint32_t n;         /* count in use, 1..65536 (BCD: 1..10000); 0 = none yet */
	uint16_t cr;        /* count register as written */
	uint16_t latch;     /* output latch */
	uint8_t mode;       /* 0..5 */
	uint8_t rw;         /* 1 LSB, 2 MSB, 3 LSB then MSB */
	uint8_t status;     /* latched status byte */
	uint8_t latched;    /* bytes of `latch` not read yet */
	uint8_t lsb;        /* first byte of a two-byte count (`have_lsb`) */
	bool bcd;
	bool gate;
	bool have_lsb;       /* the MSB of a two-byte count comes next */
	bool read_msb;       /* the MSB comes next on a read */
	bool status_latched; /* the next read gives `status` */
	bool loaded;         /* a count was written since the control word */
	bool triggered;      /* modes 1, 5: the gate rose since the count was written */
	bool pending;        /* modes 2, 3: `cr` waits for switch_at */
	bool frozen;         /* not counting: gate low, or first byte of two written */
	bool start_low;      /* mode 3: `start` begins a low half */
	bool out_before;     /* OUT until `start` */
};

struct i8254_regs {
	struct i8254_channel ch[3];
	uint64_t irq_edge; /* tick of the next rising edge of OUT 0; all ones = none */
	uint64_t irq_late; /* tick at which the first of `backlog` is made up for */
	uint8_t port61;    /* bits 3:0 as written */
	bool irq_off;      /* HPET legacy replacement has taken IRQ0 */
	uint8_t backlog;   /* periods that passed without an edge because nobody ran */
	uint8_t pad_[5];
};

struct i8254 {
	struct dev dev;
	struct i8254_regs s;
	struct irq irq;      /* out: OUT of channel 0, ISA IRQ0 */
	struct audio *audio; /* borrowed; what the loudspeaker is heard through; NULL = none */
	/* private */
	struct vtimer timer;
	struct speaker speaker;
};

extern const struct dev_class i8254_class;

/** i8254_set_legacy() - irq sink: while high, OUT 0 is cut off from IRQ0 (HPET LEG_RT_CNF).
 * @ctx: the struct i8254. Bus lock held. Source: IA-PC HPET 1.0a, 2.3.5. */
void i8254_set_legacy(void *ctx, unsigned pin, bool level);

/** i8254_out2_ticks() - at how many of the ticks [@from, @to) OUT of counter 2 is high. Not earlier
 * than its last change. Costs a step for each change. Bus lock held. */
uint64_t i8254_out2_ticks(struct i8254 *pit, uint64_t from, uint64_t to);

#endif
