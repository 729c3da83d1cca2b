/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel 8254 programmable interval timer, as the PC wires it, and the PC's port 61h.
 *
 * Documents: Intel 8254 data sheet (order 231164-005, "DS"); IBM PC/AT Technical Reference and
 * Intel 82371AB data sheet, 4.2.7.2, for port 61h.
 *
 *   40..42  counters 0..2      43  control word      61  system control port B
 *
 * Counter 0 drives IRQ0, counter 1 nothing any more (memory refresh), counter 2 the speaker. Gates
 * 0 and 1 are tied high, gate 2 is port 61h bit 0.
 *
 * Nothing ticks. Time is the number t of whole CLK periods since guest time 0, and a counter is
 * described by the tick `start` at which count `n` was loaded into the counting element: a write
 * during tick t loads at t + 1 (DS: "loaded on the next CLK pulse"). Counting element and OUT at
 * any t follow from these by arithmetic. Only counter 0 has a timer, armed for its next rising
 * edge, and only when the line is connected. Falling edges of a periodic OUT 0 are not events: the
 * line falls just before it rises again, so an interrupt that the CPU cannot take for half a period
 * is late, not lost.
 *
 * Lost periods. A host that lets nobody of this process run for longer than a period swallows
 * edges, while the guest's time-stamp counter goes on: kernels that count ticks against it (Linux's
 * check of the timer, DOS's clock) go wrong. So periods of modes 2 and 3 that pass without an edge
 * are kept, up to BACKLOG_MOST, and made up for by edges an eighth of a period apart until the
 * guest has seen as many as there should have been. Counting element and OUT are not affected.
 *
 * NOTE: in modes 2 and 3 a new count waits for the end of the (half) cycle: `pending`, `switch_at`.
 * ERRATUM: reading the counting element in the one CLK before a load gives the new count with the
 * null-count flag set, not the old contents.
 * UNMODELLED: what counts of 1 do in modes 2 and 3 (DS: illegal): OUT is constant. Port 61h: parity
 * and IOCHK# never happen (bits 7:6 read 0), so their enables (bits 3:2) only read back.
 */
#include "device/timer/i8254.h"

#include <errno.h>

#include "base/bits.h"
#include "device/ticks.h"

FIELD(CW_SC, 6, 2)
FIELD(CW_RW, 4, 2)
FIELD(CW_MODE, 1, 3)
FIELD(CW_BCD, 0, 1)
enum { SC_READ_BACK = 3, RB_NO_COUNT = 0x20, RB_NO_STATUS = 0x10 };
enum { STATUS_OUT = 0x80, STATUS_NULL = 0x40 };
enum { RW_LATCH, RW_LSB, RW_MSB, RW_BOTH };

enum {
	P61_GATE2 = 0x01,
	P61_WRITABLE = 0x0f,
	P61_REFRESH = 0x10,
	P61_OUT2 = 0x20,
};
#define REFRESH_TICKS 18u /* the AT refreshed memory every 15.09 us */
#define NO_EDGE       UINT64_MAX
#define BACKLOG_MOST  64
#define LATE_LEAST    60u /* ticks between edges that are made up for: 50 us */

static struct i8254 *to_pit(struct dev *d)
{
	return CONTAINER_OF(d, struct i8254, dev);
}

static uint64_t pit_now(const struct i8254 *pit)
{
	return ticks_at(clock_now(pit->dev.sv->clock), I8254_HZ);
}

static unsigned bcd_to_bin(unsigned v)
{
	return (v & 15) + ((v >> 4) & 15) * 10 + ((v >> 8) & 15) * 100 + ((v >> 12) & 15) * 1000;
}

static unsigned bin_to_bcd(unsigned v)
{
	return v % 10 | (v / 10 % 10) << 4 | (v / 100 % 10) << 8 | (v / 1000 % 10) << 12;
}

/* The count that `cr` stands for: 0 is the largest (DS, figure 13). */
static uint32_t ch_count(const struct i8254_channel *c)
{
	if (!c->bcd)
		return c->cr ? c->cr : 0x10000;

	unsigned v = bcd_to_bin(c->cr) % 10000;

	return v ? v : 10000;
}

/* Ticks counted at @t; 0 before the load. */
static uint64_t ch_elapsed(const struct i8254_channel *c, uint64_t t)
{
	if (c->frozen)
		return c->elapsed;
	return t >= c->start ? t - c->start : 0;
}

static uint32_t ch_half_high(const struct i8254_channel *c)
{
	return (c->n + 1) / 2;
}

/* Mode 3: is OUT high @e ticks after start, and how far into that half (ret_in) is it? */
static bool ch_square(const struct i8254_channel *c, uint64_t e, uint32_t *ret_in)
{
	uint32_t first = c->start_low ? c->n / 2 : ch_half_high(c), at = (uint32_t)(e % c->n);
	bool in_first = at < first;

	*ret_in = in_first ? at : at - first;
	return in_first != c->start_low;
}

/* OUT at tick @t (DS, "Mode definitions"). */
static bool ch_out(const struct i8254_channel *c, uint64_t t)
{
	uint64_t e = ch_elapsed(c, t);
	uint32_t in;

	if (!c->loaded || !c->n)
		return c->mode != 0;
	if (!c->frozen && t < c->start)
		return c->out_before;
	switch (c->mode) {
	case 0: return e >= c->n;
	case 1: return !c->triggered || e >= c->n;
	case 2: return c->frozen || c->n == 1 || e % c->n != c->n - 1;
	case 3: return c->frozen || ch_square(c, e, &in);
	case 4: return e != c->n;
	default: return !c->triggered || e != c->n;
	}
}

/* The counting element at tick @t, as a read gives it. */
static uint16_t ch_value(const struct i8254_channel *c, uint64_t t)
{
	uint64_t e = ch_elapsed(c, t);
	uint32_t modulus = c->bcd ? 10000 : 0x10000, in, v;

	if (!c->n)
		return c->cr;
	switch (c->mode) {
	case 2: v = c->n - (uint32_t)(e % c->n); break;
	case 3:
		/* Counts by two from n, or from n - 1 when n is odd. */
		ch_square(c, e, &in);
		v = (c->n & ~1u) - 2 * in;
		break;
	default: v = (uint32_t)((c->n + modulus - e % modulus) % modulus); break;
	}
	v %= modulus;
	return (uint16_t)(c->bcd ? bin_to_bcd(v) : v);
}

/* Let a pending count of modes 2 and 3 take over if its time has come. */
static void ch_sync(struct i8254_channel *c, uint64_t t)
{
	uint32_t in;

	if (!c->pending || c->frozen || (c->mode != 2 && c->mode != 3) || t < c->switch_at)
		return;
	/* The boundary belongs to the half that begins there. */
	c->start_low = c->mode == 3 && !ch_square(c, c->switch_at - c->start, &in);
	c->start = c->switch_at;
	c->n = ch_count(c);
	c->pending = false;
	c->out_before = !c->start_low;
}

/* The count register goes into the counting element on the next CLK. */
static void ch_load(struct i8254_channel *c, uint64_t t, bool out_before)
{
	c->out_before = out_before;
	c->n = ch_count(c);
	c->start = t + 1;
	c->start_low = false;
	c->pending = false;
	c->frozen = false;
	c->elapsed = 0;
}

/* First tick after @t at which the present (half) cycle ends. */
static uint64_t ch_cycle_end(const struct i8254_channel *c, uint64_t t)
{
	uint64_t e = ch_elapsed(c, t), base = c->start;
	uint32_t in, half;

	if (t < c->start)
		return c->start + (c->mode == 3 ? ch_half_high(c) : c->n);
	if (c->mode == 2)
		return base + (e / c->n + 1) * c->n;
	half = ch_square(c, e, &in) ? ch_half_high(c) : c->n / 2;
	return base + e - in + half;
}

/* OUT stays what it is at tick @t, at least, until this later one. */
static uint64_t ch_steady(const struct i8254_channel *c, uint64_t t)
{
	uint64_t e = ch_elapsed(c, t);

	if (!c->loaded || !c->n || c->frozen)
		return UINT64_MAX;
	if (t < c->start)
		return c->start;
	switch (c->mode) {
	case 2: e %= c->n; return t + (e == c->n - 1 ? 1 : c->n - 1 - e);
	case 3: return ch_cycle_end(c, t);
	default: return e < c->n ? t + (c->n - e) : e == c->n ? t + 1 : UINT64_MAX;
	}
}

/* A complete count has been written during tick @t. */
static void ch_count_written(struct i8254_channel *c, uint64_t t)
{
	bool first = !c->loaded;

	switch (c->mode) {
	case 0:
	case 4:
		c->loaded = true;
		ch_load(c, t, c->mode == 4);
		c->frozen = !c->gate;
		break;
	case 1:
	case 5:
		c->loaded = true; /* armed: the next trigger loads it */
		c->pending = true;
		if (!c->n)
			c->n = ch_count(c);
		break;
	default:
		c->loaded = true;
		if (first) {
			ch_load(c, t, true);
			c->frozen = !c->gate;
		} else if (c->frozen) {
			c->pending = true; /* the next trigger loads it */
		} else if (!c->pending) {
			c->pending = true;
			c->switch_at = ch_cycle_end(c, t);
		}
		break;
	}
}

static void ch_write(struct i8254_channel *c, uint64_t t, uint8_t val)
{
	if (c->rw == RW_LSB) {
		c->cr = val;
	} else if (c->rw == RW_MSB) {
		c->cr = (uint16_t)(val << 8);
	} else if (!c->have_lsb) {
		c->lsb = val;
		c->have_lsb = true;
		/* DS, mode 0: "writing the first byte disables counting. OUT is set low
		 * immediately". */
		if (c->mode == 0) {
			c->elapsed = 0;
			c->frozen = true;
		}
		return;
	} else {
		c->cr = (uint16_t)(c->lsb | val << 8);
		c->have_lsb = false;
	}
	ch_count_written(c, t);
}

static void ch_control(struct i8254_channel *c, uint8_t cw)
{
	uint8_t mode = (uint8_t)GET(cw, CW_MODE);

	*c = (struct i8254_channel){
		.mode = mode > 5 ? mode & 3 : mode, /* x10 is mode 2, x11 mode 3 */
		.rw = (uint8_t)GET(cw, CW_RW),
		.bcd = GET(cw, CW_BCD),
		.gate = c->gate,
		.out_before = mode != 0,
	};
}

static void ch_latch_count(struct i8254_channel *c, uint64_t t)
{
	if (c->latched)
		return; /* DS: ignored until the first latched count is read */
	c->latch = ch_value(c, t);
	c->latched = c->rw == RW_BOTH ? 2 : 1;
	c->read_msb = c->rw == RW_MSB;
}

static void ch_latch_status(struct i8254_channel *c, uint64_t t)
{
	bool null;

	if (c->status_latched)
		return;
	null = !c->loaded || c->pending || c->have_lsb || (!c->frozen && t < c->start);
	c->status = (uint8_t)((ch_out(c, t) ? STATUS_OUT : 0) | (null ? STATUS_NULL : 0) |
			      c->rw << 4 | c->mode << 1 | c->bcd);
	c->status_latched = true;
}

static uint8_t ch_read(struct i8254_channel *c, uint64_t t)
{
	uint16_t v;
	bool msb;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	v = c->latched ? c->latch : ch_value(c, t);
	msb = c->rw == RW_BOTH ? c->read_msb : c->rw == RW_MSB;
	if (c->rw == RW_BOTH)
		c->read_msb = !c->read_msb;
	if (c->latched)
		c->latched--;
	return (uint8_t)(msb ? v >> 8 : v);
}

/* Gate input of a counter (DS, figure 21). */
static void ch_set_gate(struct i8254_channel *c, uint64_t t, bool level)
{
	bool rising = level && !c->gate;

	if (level == c->gate)
		return;
	ch_sync(c, t);
	switch (c->mode) {
	case 0:
	case 4:
		if (!c->loaded || c->have_lsb)
			break;
		if (rising) {
			c->start = t - c->elapsed;
		} else {
			c->elapsed = ch_elapsed(c, t);
		}
		c->frozen = !rising;
		break;
	case 1:
	case 5:
		if (rising && c->loaded) {
			bool out = ch_out(c, t);

			ch_load(c, t, c->mode == 5 || out);
			c->triggered = true;
		}
		break;
	default:
		if (!c->loaded)
			break;
		if (rising) {
			ch_load(c, t, true);
		} else {
			c->elapsed = ch_elapsed(c, t);
			c->frozen = true;
		}
		break;
	}
	c->gate = level;
}

/* First rising edge of OUT after tick @t of a counter whose gate is high, or NO_EDGE. */
static uint64_t ch_next_rise(const struct i8254_channel *c, uint64_t t)
{
	uint64_t at, first;

	if (!c->loaded || !c->n || c->frozen)
		return NO_EDGE;
	switch (c->mode) {
	case 0: at = c->start + c->n; return at > t ? at : NO_EDGE;
	case 4: at = c->start + c->n + 1; return at > t ? at : NO_EDGE;
	case 2:
	case 3:
		if (c->n == 1)
			return NO_EDGE;
		first = c->start + (c->mode == 3 && c->start_low ? c->n / 2 : c->n);
		return t < first ? first : first + ((t - first) / c->n + 1) * c->n;
	default: return NO_EDGE;
	}
}

/* Arm counter 0's timer for whatever comes first: a rising edge or a new count taking over. */
static void pit_arm(struct i8254 *pit)
{
	struct i8254_channel *c = &pit->s.ch[0];
	uint64_t at = pit->s.irq_edge;

	if (c->pending && !c->frozen && (c->mode == 2 || c->mode == 3))
		at = MIN(at, c->switch_at);
	if (pit->s.backlog)
		at = MIN(at, pit->s.irq_late);
	if (at == NO_EDGE || !pit->irq.fn || pit->s.irq_off)
		vtimer_cancel(&pit->timer);
	else
		vtimer_arm(&pit->timer, ticks_to_ns(at, I8254_HZ));
}

/* IRQ0 between edges: OUT rests high in every mode but 0. A rising edge of mode 0 that is due but
 * has not been delivered keeps it low. */
static bool pit_level(const struct i8254 *pit, uint64_t t)
{
	const struct i8254_channel *c = &pit->s.ch[0];

	return !pit->s.irq_off && (c->mode != 0 || (pit->s.irq_edge == NO_EDGE && ch_out(c, t)));
}

/* Is an edge due at @t? Whole periods that passed since go to the backlog. */
static bool pit_due(struct i8254 *pit, uint64_t t)
{
	const struct i8254_channel *c = &pit->s.ch[0];
	bool edge = t >= pit->s.irq_edge, late = pit->s.backlog && t >= pit->s.irq_late;
	uint64_t owed = pit->s.backlog - (late && !edge);

	if (edge && (c->mode == 2 || c->mode == 3) && c->n)
		owed += (t - pit->s.irq_edge) / c->n;
	if (edge || late)
		pit->s.irq_late = t + MAX(c->n / 8, LATE_LEAST);
	pit->s.backlog = (uint8_t)MIN(owed, (uint64_t)BACKLOG_MOST);
	return edge || late;
}

/* Bring counter 0 and IRQ0 up to now. */
static void pit_update(struct i8254 *pit)
{
	struct i8254_channel *c = &pit->s.ch[0];
	uint64_t t = pit_now(pit);
	bool rise = pit_due(pit, t);

	ch_sync(c, t);
	pit->s.irq_edge = ch_next_rise(c, t);
	if (rise)
		irq_set(&pit->irq, false);
	irq_set(&pit->irq, pit_level(pit, t));
	pit_arm(pit);
}

static void pit_timer(void *ctx)
{
	pit_update(ctx);
}

static void pit_control(struct i8254 *pit, uint64_t t, uint8_t cw)
{
	unsigned sc = (unsigned)GET(cw, CW_SC);

	if (sc == SC_READ_BACK) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(cw & BIT(i + 1)))
				continue;
			ch_sync(&pit->s.ch[i], t);
			if (!(cw & RB_NO_COUNT))
				ch_latch_count(&pit->s.ch[i], t);
			if (!(cw & RB_NO_STATUS))
				ch_latch_status(&pit->s.ch[i], t);
		}
	} else if (GET(cw, CW_RW) == RW_LATCH) {
		ch_sync(&pit->s.ch[sc], t);
		ch_latch_count(&pit->s.ch[sc], t);
	} else {
		ch_control(&pit->s.ch[sc], cw);
		if (sc == 0) {
			pit->s.irq_edge = NO_EDGE;
			pit->s.backlog = 0;
			pit_update(pit);
		}
	}
}

static uint64_t pit_read(struct dev *d, uint64_t off, unsigned size)
{
	struct i8254 *pit = to_pit(d);
	uint64_t t = pit_now(pit);

	if (off == 3)
		return 0xff; /* no read of the control word register (DS, figure 3) */
	if (off == 2)
		speaker_catch_up(&pit->speaker);
	ch_sync(&pit->s.ch[off], t);
	return ch_read(&pit->s.ch[off], t);
}

static void pit_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i8254 *pit = to_pit(d);
	uint64_t t = pit_now(pit);

	if (off >= 2)
		speaker_catch_up(&pit->speaker);
	if (off == 3) {
		pit_control(pit, t, (uint8_t)val);
		return;
	}
	if (off == 0)
		pit_update(pit); /* an edge that is due comes before the new count */
	ch_sync(&pit->s.ch[off], t);
	ch_write(&pit->s.ch[off], t, (uint8_t)val);
	if (off == 0) {
		pit->s.irq_edge = ch_next_rise(&pit->s.ch[0], t);
		pit_update(pit);
	}
}

static uint64_t port61_read(struct dev *d, uint64_t off, unsigned size)
{
	struct i8254 *pit = to_pit(d);
	uint64_t t = pit_now(pit);

	speaker_catch_up(&pit->speaker);
	ch_sync(&pit->s.ch[2], t);
	return pit->s.port61 | (t / REFRESH_TICKS & 1 ? P61_REFRESH : 0) |
	       (ch_out(&pit->s.ch[2], t) ? P61_OUT2 : 0);
}

static void port61_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct i8254 *pit = to_pit(d);

	speaker_catch_up(&pit->speaker);
	pit->s.port61 = (uint8_t)val & P61_WRITABLE;
	ch_set_gate(&pit->s.ch[2], pit_now(pit), val & P61_GATE2);
	speaker_switched(&pit->speaker);
}

uint64_t i8254_out2_ticks(struct i8254 *pit, uint64_t from, uint64_t to)
{
	struct i8254_channel *c = &pit->s.ch[2];
	uint64_t high = 0, next;

	for (uint64_t t = from; t < to; t = next) {
		ch_sync(c, t);
		next = MIN(ch_steady(c, t), to);
		if (c->pending && c->switch_at > t)
			next = MIN(next, c->switch_at);
		next = MAX(next, t + 1);
		if (ch_out(c, t))
			high += next - t;
	}
	return high;
}

void i8254_set_legacy(void *ctx, unsigned pin, bool level)
{
	struct i8254 *pit = ctx;

	pit->s.irq_off = level;
	pit->s.backlog = 0;
	pit->s.irq_edge = ch_next_rise(&pit->s.ch[0], pit_now(pit));
	pit_update(pit);
}

static int i8254_realize(struct dev *d, struct error *err)
{
	struct i8254 *pit = to_pit(d);

	vtimer_init(&pit->timer, d->sv->clock, pit_timer, pit);
	speaker_init(&pit->speaker, pit, pit->audio);
	return 0;
}

static void i8254_unrealize(struct dev *d)
{
	struct i8254 *pit = to_pit(d);

	if (pit->timer.clock)
		vtimer_cancel(&pit->timer);
	speaker_done(&pit->speaker);
}

/* The 8254 has no reset input: "prior to initialization, the mode, count, and output of all
 * counters are undefined". Here: mode 0, no count, OUT low, no interrupts. */
static void i8254_reset(struct dev *d, enum dev_reset kind)
{
	struct i8254 *pit = to_pit(d);

	memset(pit->s.ch, 0, sizeof(pit->s.ch));
	for (unsigned i = 0; i < 3; i++) {
		pit->s.ch[i].rw = RW_BOTH;
		pit->s.ch[i].gate = i != 2;
	}
	pit->s.port61 = 0;
	pit->s.irq_edge = NO_EDGE;
	pit->s.backlog = 0;
	pit_update(pit);
	speaker_switched(&pit->speaker);
}

static int i8254_loaded(struct dev *d, struct error *err)
{
	struct i8254 *pit = to_pit(d);
	struct i8254_channel *c = pit->s.ch;

	for (unsigned i = 0; i < 3; i++) {
		if ((c[i].loaded || c[i].pending || c[i].triggered) && !c[i].n)
			return error_set(err, -EINVAL, "%s: channel %u: loaded with no count",
					 d->id, i);
	}
	/* An edge that was due when the state was saved fires as soon as the clock runs. */
	irq_set(&pit->irq, pit_level(pit, pit_now(pit)));
	pit_arm(pit);
	speaker_switched(&pit->speaker);
	return 0;
}

/* clang-format off */
static const struct state_field channel_fields[] = {
	STATE_VAL(struct i8254_channel, start),
	STATE_VAL(struct i8254_channel, elapsed),
	STATE_VAL(struct i8254_channel, switch_at),
	STATE_VAL(struct i8254_channel, n, .max = 0x10000),
	STATE_VAL(struct i8254_channel, cr),
	STATE_VAL(struct i8254_channel, latch),
	STATE_VAL(struct i8254_channel, mode, .max = 5),
	STATE_VAL(struct i8254_channel, rw, .min = 1, .max = 3),
	STATE_VAL(struct i8254_channel, status),
	STATE_VAL(struct i8254_channel, latched, .max = 2),
	STATE_VAL(struct i8254_channel, lsb),
	STATE_VAL(struct i8254_channel, bcd),
	STATE_VAL(struct i8254_channel, gate),
	STATE_VAL(struct i8254_channel, have_lsb),
	STATE_VAL(struct i8254_channel, read_msb),
	STATE_VAL(struct i8254_channel, status_latched),
	STATE_VAL(struct i8254_channel, loaded),
	STATE_VAL(struct i8254_channel, triggered),
	STATE_VAL(struct i8254_channel, pending),
	STATE_VAL(struct i8254_channel, frozen),
	STATE_VAL(struct i8254_channel, start_low),
	STATE_VAL(struct i8254_channel, out_before),
	STATE_END};

static const struct state_field i8254_fields[] = {
	STATE_STRUCTS(struct i8254_regs, ch, channel_fields),
	STATE_VAL(struct i8254_regs, irq_edge),
	STATE_VAL(struct i8254_regs, irq_late),
	STATE_VAL(struct i8254_regs, port61, .max = P61_WRITABLE),
	STATE_VAL(struct i8254_regs, irq_off),
	STATE_VAL(struct i8254_regs, backlog, .max = BACKLOG_MOST),
	STATE_PAD(struct i8254_regs, pad_),
	STATE_END};

static const struct state_desc i8254_state =
	STATE_DESC("i8254", 1, struct i8254_regs, i8254_fields);

static const struct dev_region i8254_regions[] = {
	{"pit",    DEV_PIO, 0x40, 4, WIDTH_124, WIDTH_1, pit_read,    pit_write},
	{"port61", DEV_PIO, 0x61, 1, WIDTH_124, WIDTH_1, port61_read, port61_write},
	{0}};
/* clang-format on */

const struct dev_class i8254_class = {
	.name = "i8254",
	.summary = "interval timer and port 61h",
	.spec = "Intel 8254, order 231164-005",
	.size = sizeof(struct i8254),
	.regs_offset = offsetof(struct i8254, s),
	.regions = i8254_regions,
	.state = &i8254_state,
	.realize = i8254_realize,
	.unrealize = i8254_unrealize,
	.reset = i8254_reset,
	.loaded = i8254_loaded,
};
