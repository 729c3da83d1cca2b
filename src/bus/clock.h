/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest clock: the only source of time for devices and CPUs of one VM. It can be stopped
 * (paused VM, snapshot) and, for tests, be driven by hand. Guest time starts at 0 on a cold start;
 * the TSC is guest time scaled to `tsc_hz` with the host's rdtsc as source while running. Both
 * stand still while timers are overdue by more than 10 ms, and make up for it later.
 *
 * Timers are one shot, absolute guest time, and fire on the main thread with the bus lock held. The
 * clock and its timers are guarded by the bus lock, but clock_now() and clock_tsc() may be called
 * from any thread.
 */
#ifndef BUS_CLOCK_H
#define BUS_CLOCK_H

#include "base/err.h"

struct clock;
struct loop;

/** clock_new() - @loop drives the timers; NULL makes a manual clock (clock_step). Created stopped
 * at guest time 0. */
struct clock *clock_new(struct loop *loop);
void clock_free(struct clock *c);

/** clock_now() - guest ns; stands still while stopped. Any thread. */
ns_t clock_now(struct clock *c);
/** clock_tsc() - guest time-stamp counter value of now (before per-vCPU TSC_ADJUST). Any thread. */
uint64_t clock_tsc(struct clock *c);
uint64_t clock_tsc_hz(const struct clock *c);
/** clock_tsc_to_ns() - guest time at which the TSC reaches @tsc (0 if past the range). */
ns_t clock_tsc_to_ns(struct clock *c, uint64_t tsc);

/** clock_start/stop() - bus lock held. */
void clock_start(struct clock *c);
void clock_stop(struct clock *c);
bool clock_running(const struct clock *c);
/** clock_set() - while stopped: continue from guest time @now and TSC @tsc (state load). */
void clock_set(struct clock *c, ns_t now, uint64_t tsc);
/** clock_step() - manual clock only: advance by @ns, firing timers in order; clock_now() is each
 * timer's deadline while it fires. Works while stopped or running (the two only gate
 * clock_running() for a manual clock). */
void clock_step(struct clock *c, ns_t ns);

/**
 * clock_count() - manual clock only: one more nanosecond (and TSC tick) for each count of *@insns
 * @armed: called when the first deadline changes. To be set up before anything runs.
 */
void clock_count(struct clock *c, const uint64_t *insns, void (*armed)(void *ctx), void *ctx);
/** clock_next() - first deadline, UINT64_MAX if there is none. clock_catch_up() - fire what is due.
 * clock_skip() - guest time becomes @to unless it is later already. Manual clock, bus lock held. */
ns_t clock_next(const struct clock *c);
void clock_catch_up(struct clock *c);
void clock_skip(struct clock *c, ns_t to);

/** clock_wall_ns() - ns since 1970 as the guest's RTC should see it: host real time at start plus
 * guest time passed. */
uint64_t clock_wall_ns(struct clock *c);
/** clock_set_wall_base() - wall time at guest time 0 (tests, restore). */
void clock_set_wall_base(struct clock *c, uint64_t wall_ns);

struct vtimer {
	struct clock *clock; /* borrowed */
	void (*fn)(void *ctx);
	void *ctx;
	ns_t at;        /* guest ns */
	uint64_t order; /* of arming: equal deadlines fire first come, first served */
	unsigned heap;  /* 1-based position in the clock's heap; 0 = not armed */
};

void vtimer_init(struct vtimer *t, struct clock *c, void (*fn)(void *ctx), void *ctx);
/** vtimer_arm() - fire once at absolute @guest_ns (at once if past); replaces an earlier arming. */
void vtimer_arm(struct vtimer *t, ns_t guest_ns);
void vtimer_cancel(struct vtimer *t);
bool vtimer_armed(const struct vtimer *t);

#endif
