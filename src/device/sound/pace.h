/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pace at which a sound device moves samples: so many a second of guest time since it began.
 * Counted exactly, so that a position read at any moment is right and an hour of sound is an hour.
 */
#ifndef DEVICE_SOUND_PACE_H
#define DEVICE_SOUND_PACE_H

#include "device/ticks.h"
#include "state/state.h"

#define PACE_TICK_NS (10 * NS_PER_MS)  /* devices look at least this often while they run */
#define PACE_LATE_NS (500 * NS_PER_MS) /* what a late host makes good; the rest is left out */

struct pace_regs {
	uint64_t start; /* guest ns at which sample 0 was due */
	uint64_t done;  /* samples moved since */
	uint32_t rate;  /* samples a second; 0 = not running */
	uint8_t pad_[4];
};

#define PACE_FIELDS                                                                                \
	STATE_VAL(struct pace_regs, start), STATE_VAL(struct pace_regs, done),                     \
		STATE_VAL(struct pace_regs, rate, .max = 1000000),                                 \
		STATE_PAD(struct pace_regs, pad_)

static inline void pace_start(struct pace_regs *p, ns_t now, uint32_t rate)
{
	p->start = now;
	p->done = 0;
	p->rate = rate;
}

static inline void pace_stop(struct pace_regs *p)
{
	*p = (struct pace_regs){0};
}

/** pace_due() - samples to be moved by @now; the caller adds what it moves to done. */
static inline uint64_t pace_due(struct pace_regs *p, ns_t now)
{
	uint64_t at, late = PACE_LATE_NS / 1000 * p->rate / 1000000;

	if (!p->rate || now <= p->start)
		return 0;
	at = ticks_at(now - p->start, p->rate);
	if (at <= p->done)
		return 0;
	if (at - p->done > late)
		p->done = at - late;
	return at - p->done;
}

/** pace_when() - guest time at which @samples more are due, but not later than one PACE_TICK_NS
 * from @now. */
static inline ns_t pace_when(const struct pace_regs *p, ns_t now, uint64_t samples)
{
	ns_t at = p->start + ticks_to_ns(p->done + samples, p->rate);

	return at < now + PACE_TICK_NS ? at : now + PACE_TICK_NS;
}

/** pace_loaded() - after a load: a start in the future would never be reached. */
static inline void pace_loaded(struct pace_regs *p, ns_t now)
{
	if (p->start > now)
		pace_start(p, now, p->rate);
}

#endif
