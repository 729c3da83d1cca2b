/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IA-PC high precision event timer block: a 100 MHz 64-bit counter and three comparators.
 *
 * Document: Intel, IA-PC HPET (High Precision Event Timers) Specification, revision 1.0a, October
 * 2004 ("Spec").
 *
 *   000 GCAP_ID  010 GEN_CONF  020 GINTR_STA  0f0 MAIN_CNT   64 bits each; accesses of 4 or 8 bytes
 *   100+20n Tn_CONF  108+20n Tn_COMP  110+20n Tn_FSB (not present)
 *
 * Ticks are counted since guest time 0; while the counter runs it is tick + counter. A match is
 * remembered as the tick `due` at which it comes, worked out whenever counter, comparator or
 * configuration change. A vtimer runs for a timer whose interrupt is enabled; a periodic
 * comparator without interrupt is brought forward when somebody looks.
 *
 * Interrupts: level-triggered timers hold their line while their status bit is set. An edge is the
 * line going low, then high, where it stays until the next edge, so that a controller that wants
 * the input held until it is acknowledged (8259A) gets that.
 *
 * NOTE: matches that a busy host or the guest's own rate (periods of nanoseconds are possible)
 * would pile up are merged: after a match the next one is delivered at least 5 us later.
 * NOTE: a comparator written with the value that the counter has right now matches at once.
 *
 * UNMODELLED: FSB (message) interrupts, which the capability bits say: none.
 */
#include "device/timer/hpet.h"

#include "base/bits.h"
#include "device/ticks.h"

enum { R_CAP = 0x00, R_CONF = 0x10, R_STATUS = 0x20, R_COUNTER = 0xf0, R_TIMER = 0x100 };
enum { T_CONF = 0x00, T_COMP = 0x08, T_STRIDE = 0x20 };
enum { CONF_ENABLE = 0x1, CONF_LEGACY = 0x2, CONF_MASK = 0x3 };

FIELD(TN_ROUTE, 9, 5)
enum {
	TN_LEVEL = 0x0002,
	TN_ENABLE = 0x0004,
	TN_PERIODIC = 0x0008,
	TN_PERIODIC_CAP = 0x0010,
	TN_64BIT_CAP = 0x0020,
	TN_VAL_SET = 0x0040,
	TN_32BIT = 0x0100,
	TN_WRITABLE = 0x3f4e | TN_VAL_SET,
};
#define TN_ROUTE_CAP 0x00f00000u /* I/O APIC inputs 20..23 */
#define TN_CAPS      ((uint64_t)TN_ROUTE_CAP << 32 | TN_PERIODIC_CAP | TN_64BIT_CAP)

/* Spec, 2.3.4: period of 10,000,000 fs; revision 1, three timers, 64-bit counter, legacy
 * replacement, vendor. */
#define CAP_ID (10000000ull << 32 | HPET_ID)
_Static_assert(HPET_ID == (0x8086u << 16 | 1 << 15 | 1 << 13 | (HPET_TIMERS - 1) << 8 | 1),
	       "GCAP_ID");

#define NEVER   UINT64_MAX
#define GAP_NS  (5 * NS_PER_US)
#define TICK_NS (NS_PER_SEC / HPET_HZ)

static struct hpet *to_hpet(struct dev *d)
{
	return CONTAINER_OF(d, struct hpet, dev);
}

static bool running(const struct hpet *hp)
{
	return hp->s.config & CONF_ENABLE;
}

static uint64_t tick_now(const struct hpet *hp)
{
	return ticks_at(clock_now(hp->dev.sv->clock), HPET_HZ);
}

static uint64_t counter_now(const struct hpet *hp, uint64_t tick)
{
	return hp->s.counter + (running(hp) ? tick : 0);
}

static uint64_t size_mask(const struct hpet_timer *t)
{
	return t->config & TN_32BIT ? UINT32_MAX : UINT64_MAX;
}

/* ------------------------------------------------------------------ lines */

/* Is timer @n holding its interrupt line? */
static bool timer_line(const struct hpet *hp, unsigned n)
{
	const struct hpet_timer *t = &hp->s.timer[n];

	if (!(t->config & TN_ENABLE))
		return false;
	return t->config & TN_LEVEL ? hp->s.status & BIT(n) : t->edge_high;
}

static void drive_lines(struct hpet *hp)
{
	bool legacy = hp->s.config & CONF_LEGACY;
	uint32_t routes = 0;

	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		unsigned route = (unsigned)GET(hp->s.timer[n].config, TN_ROUTE);

		if (timer_line(hp, n) && !(legacy && n < 2))
			routes |= (uint32_t)BIT(route) & TN_ROUTE_CAP;
	}
	for (unsigned i = 0; i < HPET_ROUTES; i++)
		irq_set(&hp->irq[i], routes & BIT(i));
	/* Others leave IRQ0 and IRQ8 before this block drives them, and the other way round. */
	if (legacy)
		irq_set(&hp->legacy, true);
	irq_set(&hp->legacy_irq0, legacy && timer_line(hp, 0));
	irq_set(&hp->legacy_irq8, legacy && timer_line(hp, 1));
	if (!legacy)
		irq_set(&hp->legacy, false);
}

/* ------------------------------------------------------------------ matches */

/* When does timer @t match next, given that counter and comparator just became what they are? */
static void timer_find_due(struct hpet *hp, struct hpet_timer *t, uint64_t tick)
{
	uint64_t delta = (t->comparator - counter_now(hp, tick)) & size_mask(t);

	t->due = running(hp) && delta < NEVER - tick ? tick + delta : NEVER;
}

/* Timer @t has matched at or before @tick: prepare the match after that. */
static void timer_advance(struct hpet_timer *t, uint64_t tick)
{
	uint64_t step;

	if (t->config & TN_PERIODIC) {
		uint64_t period = t->period & size_mask(t);

		step = period ? ((tick - t->due) / period + 1) * period : 0;
		t->comparator = (t->comparator + step) & size_mask(t);
	} else {
		/* The counter passes the same value again after it has wrapped. */
		step = t->config & TN_32BIT ? (((tick - t->due) >> 32) + 1) << 32 : 0;
	}
	t->due = step && t->due + step > t->due ? t->due + step : NEVER;
}

static void timer_arm(struct hpet *hp, unsigned n, ns_t not_before)
{
	const struct hpet_timer *t = &hp->s.timer[n];

	if (t->due == NEVER || !(t->config & TN_ENABLE))
		vtimer_cancel(&hp->vt[n]);
	else
		vtimer_arm(&hp->vt[n], MAX(ticks_to_ns(t->due, HPET_HZ), not_before));
}

/* Deliver what timer @n owes up to now. */
static void timer_sync(struct hpet *hp, unsigned n, uint64_t tick)
{
	struct hpet_timer *t = &hp->s.timer[n];

	if (t->due == NEVER || tick < t->due)
		return;
	timer_advance(t, tick);
	if (t->config & TN_ENABLE) {
		if (t->config & TN_LEVEL) {
			hp->s.status |= (uint32_t)BIT(n);
		} else {
			t->edge_high = false;
			drive_lines(hp);
			t->edge_high = true;
		}
	}
	drive_lines(hp);
	timer_arm(hp, n, tick * TICK_NS + GAP_NS);
}

static void sync_all(struct hpet *hp, uint64_t tick)
{
	for (unsigned n = 0; n < HPET_TIMERS; n++)
		timer_sync(hp, n, tick);
}

static void timer_fired(struct hpet *hp, unsigned n)
{
	timer_sync(hp, n, tick_now(hp));
}

static void fired0(void *ctx)
{
	timer_fired(ctx, 0);
}

static void fired1(void *ctx)
{
	timer_fired(ctx, 1);
}

static void fired2(void *ctx)
{
	timer_fired(ctx, 2);
}

/* ------------------------------------------------------------------ registers */

static uint64_t timer_reg_read(struct hpet *hp, unsigned n, unsigned reg)
{
	const struct hpet_timer *t = &hp->s.timer[n];

	switch (reg) {
	case T_CONF: return TN_CAPS | t->config;
	case T_COMP: return t->comparator;
	default: return 0;
	}
}

static uint64_t reg_read(struct hpet *hp, unsigned reg, uint64_t tick)
{
	unsigned n = (reg - R_TIMER) / T_STRIDE;

	switch (reg) {
	case R_CAP: return CAP_ID;
	case R_CONF: return hp->s.config;
	case R_STATUS: return hp->s.status;
	case R_COUNTER: return counter_now(hp, tick);
	default: break;
	}
	return reg >= R_TIMER && n < HPET_TIMERS ? timer_reg_read(hp, n, reg % T_STRIDE) : 0;
}

static uint64_t hpet_read(struct dev *d, uint64_t off, unsigned size)
{
	struct hpet *hp = to_hpet(d);
	uint64_t tick = tick_now(hp), v;

	sync_all(hp, tick);
	v = reg_read(hp, (unsigned)off & ~7u, tick);
	return off & 4 ? v >> 32 : v;
}

static void conf_write(struct hpet *hp, uint32_t val, uint64_t tick)
{
	uint32_t old = hp->s.config;
	uint64_t counter = counter_now(hp, tick);

	hp->s.config = val & CONF_MASK;
	if ((old ^ val) & CONF_ENABLE) {
		hp->s.counter = val & CONF_ENABLE ? counter - tick : counter;
		for (unsigned n = 0; n < HPET_TIMERS; n++) {
			hp->s.timer[n].edge_high = false;
			timer_find_due(hp, &hp->s.timer[n], tick);
			timer_arm(hp, n, 0);
		}
	}
	drive_lines(hp);
}

static void counter_write(struct hpet *hp, uint64_t val, uint64_t tick)
{
	hp->s.counter = running(hp) ? val - tick : val;
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		timer_find_due(hp, &hp->s.timer[n], tick);
		timer_arm(hp, n, 0);
	}
}

/* Spec, 2.3.8. A route that the timer does not have leaves the field as it was. */
static void tn_conf_write(struct hpet *hp, unsigned n, uint32_t val, uint64_t tick)
{
	struct hpet_timer *t = &hp->s.timer[n];
	uint32_t old = t->config;

	val &= TN_WRITABLE;
	if (!(TN_ROUTE_CAP & BIT(GET(val, TN_ROUTE))))
		val = (uint32_t)PUT(val, TN_ROUTE, GET(old, TN_ROUTE));
	t->config = val;
	if ((old ^ val) & TN_LEVEL || !(val & TN_ENABLE))
		t->edge_high = false;
	if (!(val & TN_LEVEL))
		hp->s.status &= (uint32_t)~BIT(n);
	if (val & TN_32BIT) {
		t->comparator &= UINT32_MAX;
		t->period &= UINT32_MAX;
	}
	if ((old ^ val) & (TN_32BIT | TN_PERIODIC))
		timer_find_due(hp, t, tick);
	drive_lines(hp);
	timer_arm(hp, n, 0);
}

/* Spec, 2.3.9: in periodic mode a write sets the period, and the comparator only under VAL_SET. */
static void tn_comp_write(struct hpet *hp, unsigned n, uint64_t val, uint64_t mask, uint64_t tick)
{
	struct hpet_timer *t = &hp->s.timer[n];

	val &= mask;
	if (t->config & TN_PERIODIC)
		t->period = ((t->period & ~mask) | val) & size_mask(t);
	if (!(t->config & TN_PERIODIC) || (t->config & TN_VAL_SET)) {
		t->comparator = ((t->comparator & ~mask) | val) & size_mask(t);
		timer_find_due(hp, t, tick);
	}
	t->config &= ~(uint32_t)TN_VAL_SET;
	timer_arm(hp, n, 0);
}

static void timer_reg_write(struct hpet *hp, unsigned n, unsigned reg, uint64_t val, uint64_t mask,
			    uint64_t tick)
{
	if (reg == T_CONF && (uint32_t)mask)
		tn_conf_write(hp, n, (uint32_t)val, tick);
	else if (reg == T_COMP)
		tn_comp_write(hp, n, val, mask, tick);
}

static void hpet_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct hpet *hp = to_hpet(d);
	uint64_t tick = tick_now(hp), mask = mask_bytes(size);
	unsigned reg = (unsigned)off & ~7u, n = (reg - R_TIMER) / T_STRIDE;

	sync_all(hp, tick);
	if (off & 4) {
		val <<= 32;
		mask <<= 32;
	}
	switch (reg) {
	case R_CONF:
		if ((uint32_t)mask)
			conf_write(hp, (uint32_t)val, tick);
		return;
	case R_STATUS:
		hp->s.status &= ~(uint32_t)val;
		drive_lines(hp);
		return;
	case R_COUNTER:
		counter_write(hp, (counter_now(hp, tick) & ~mask) | (val & mask), tick);
		return;
	default: break;
	}
	if (reg >= R_TIMER && n < HPET_TIMERS)
		timer_reg_write(hp, n, reg % T_STRIDE, val, mask, tick);
}

/* ------------------------------------------------------------------ life cycle */

static int hpet_realize(struct dev *d, struct error *err)
{
	static void (*const fn[HPET_TIMERS])(void *) = {fired0, fired1, fired2};
	struct hpet *hp = to_hpet(d);

	for (unsigned n = 0; n < HPET_TIMERS; n++)
		vtimer_init(&hp->vt[n], d->sv->clock, fn[n], hp);
	return 0;
}

static void hpet_unrealize(struct dev *d)
{
	struct hpet *hp = to_hpet(d);

	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		if (hp->vt[n].clock)
			vtimer_cancel(&hp->vt[n]);
	}
}

/* Spec, 2.3: counter halted at 0, no legacy replacement, comparators all ones. */
static void hpet_reset(struct dev *d, enum dev_reset kind)
{
	struct hpet *hp = to_hpet(d);

	hp->s = (struct hpet_regs){.config = 0};
	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		hp->s.timer[n].comparator = UINT64_MAX;
		hp->s.timer[n].due = NEVER;
		hp->s.timer[n].config = 20 << TN_ROUTE_SHIFT;
		vtimer_cancel(&hp->vt[n]);
	}
	drive_lines(hp);
}

static int hpet_loaded(struct dev *d, struct error *err)
{
	struct hpet *hp = to_hpet(d);

	for (unsigned n = 0; n < HPET_TIMERS; n++) {
		struct hpet_timer *t = &hp->s.timer[n];

		t->config &= TN_WRITABLE;
		t->comparator &= size_mask(t);
		t->period &= size_mask(t);
		if (!running(hp))
			t->due = NEVER;
		timer_arm(hp, n, 0);
	}
	drive_lines(hp);
	return 0;
}

/* clang-format off */
static const struct state_field timer_fields[] = {
	STATE_VAL(struct hpet_timer, comparator),
	STATE_VAL(struct hpet_timer, period),
	STATE_VAL(struct hpet_timer, due),
	STATE_VAL(struct hpet_timer, config, .max = TN_WRITABLE),
	STATE_VAL(struct hpet_timer, edge_high),
	STATE_PAD(struct hpet_timer, pad_),
	STATE_END};

static const struct state_field hpet_fields[] = {
	STATE_STRUCTS(struct hpet_regs, timer, timer_fields),
	STATE_VAL(struct hpet_regs, counter),
	STATE_VAL(struct hpet_regs, config, .max = CONF_MASK),
	STATE_VAL(struct hpet_regs, status, .max = (1 << HPET_TIMERS) - 1),
	STATE_END};

static const struct state_desc hpet_state = STATE_DESC("hpet", 1, struct hpet_regs, hpet_fields);

static const struct dev_region hpet_regions[] = {
	{"hpet", DEV_MMIO, HPET_BASE, 0x400, WIDTH_4 | WIDTH_8, WIDTH_4 | WIDTH_8, hpet_read, hpet_write},
	{0}};
/* clang-format on */

const struct dev_class hpet_class = {
	.name = "hpet",
	.summary = "high precision event timer",
	.spec = "IA-PC HPET Specification 1.0a",
	.size = sizeof(struct hpet),
	.regs_offset = offsetof(struct hpet, s),
	.regions = hpet_regions,
	.state = &hpet_state,
	.realize = hpet_realize,
	.unrealize = hpet_unrealize,
	.reset = hpet_reset,
	.loaded = hpet_loaded,
};
