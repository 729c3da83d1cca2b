/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest clock and its timers (bus/clock.h).
 *
 * While running, guest time is CLOCK_MONOTONIC plus a constant and the guest TSC is the host's
 * rdtsc plus a constant; both constants are chosen on clock_start() so that neither ever jumps.
 * Readers on any thread use a sequence lock: `seq` is odd while a writer (bus lock held) works.
 * A manual clock has neither source: time moves in clock_step() alone, and its TSC ticks once a
 * nanosecond, so that test results do not depend on the host. With clock_count() it also moves by a
 * nanosecond with each instruction that the VM's one processor runs.
 *
 * Late timers. A host that lets nobody of this process run for a while would let the guest see time
 * pass without the interrupts that belong to it; kernels that wait for ticks with one eye on the
 * TSC (Linux's check of the timer) then give up. So no reader gets past the first deadline by more
 * than LATE_MOST: time stands still until the timers have been run, and what was lost is made up
 * for by small steps afterwards. All clocks of the guest lose and gain the same. More than
 * LOST_MOST at once (the process was stopped) is not kept from the guest: time jumps.
 *
 * The TSC rate comes from CPUID leaf 15h when it is complete (Intel SDM vol. 2, CPUID: crystal
 * clock ECX, ratio EBX/EAX), else from measuring rdtsc against CLOCK_MONOTONIC between clock_new()
 * and the first question for the rate. Leaf 16h is not used: it states a nominal frequency that is
 * off by up to 1000 ppm, while the measurement over >= 10 ms is good to about 10 ppm.
 *
 * UNMODELLED: hosts whose TSC is not constant-rate or not synchronized between cores.
 */
#include "bus/clock.h"

#include <cpuid.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

#include "base/bits.h"
#include "host/loop.h"

enum {
	MANUAL_TSC_HZ = 1000000000,
	CALIBRATE_NS = 10000000,
	FIRE_BUDGET = 64,
	STEP_BUDGET = 4000000,
	LATE_MOST = 10000000, /* ns */
	LOST_MOST = 1000000000,
	CATCH_UP_MOST = 5000000, /* ns in one step, a quarter of the time since the last one */
	SLIP_ROOM = 50000,       /* a reading of both clocks is better than this */
};

/* A simultaneous reading of both host clocks. */
struct instant {
	ns_t mono;
	uint64_t tsc;
};

struct clock {
	struct loop *loop;        /* borrowed; NULL = manual */
	struct loop_timer *timer; /* owned */

	/* Sequence-locked; written with the bus lock held. */
	_Atomic unsigned seq;
	_Atomic bool running;
	_Atomic ns_t ns_offset;      /* running: guest ns - CLOCK_MONOTONIC; else guest ns */
	_Atomic uint64_t tsc_offset; /* running: guest TSC - rdtsc; else guest TSC */
	_Atomic ns_t limit;          /* what no reader gets past until timers have been run */
	_Atomic uint64_t limit_tsc;  /* the same moment, or a little later */
	_Atomic uint64_t wall_base;  /* wall clock at guest time 0 */

	pthread_mutex_t hz_lock; /* guards calibration; leaf */
	_Atomic uint64_t tsc_hz; /* 0 = not known yet */
	struct instant born;

	/* bus lock */
	ns_t lost;      /* to be made up for */
	ns_t caught_up; /* guest ns of the last step */

	/* clock_count(); written while nothing runs */
	const uint64_t *counter;
	void (*armed)(void *ctx);
	void *armed_ctx;

	/* Binary heap of armed timers, heap[1..count], bus lock. */
	struct vtimer **heap;
	unsigned count, room;
	uint64_t next_order;
};

/* Both host clocks at once; @ret_gap: TSC ticks within which that was, at most @enough if it could
 * be had. */
static struct instant read_instant(uint64_t enough, uint64_t *ret_gap)
{
	struct instant best = {0};
	uint64_t best_gap = UINT64_MAX;

	/* The tightest of a few tries: being scheduled away in between widens the gap. */
	for (int i = 0; i < 8 && best_gap > enough; i++) {
		uint64_t before = __rdtsc();
		ns_t mono = host_now_ns();
		uint64_t after = __rdtsc();

		if (after - before < best_gap) {
			best_gap = after - before;
			best.mono = mono;
			best.tsc = before + best_gap / 2;
		}
	}
	*ret_gap = best_gap;
	return best;
}

static uint64_t mul_div(uint64_t v, uint64_t mul, uint64_t div)
{
	unsigned __int128 r = (unsigned __int128)v * mul / div;

	return r > UINT64_MAX ? UINT64_MAX : (uint64_t)r;
}

static uint64_t cpuid_tsc_hz(void)
{
	unsigned den = 0, num = 0, crystal = 0, d = 0;

	if (!__get_cpuid_count(0x15, 0, &den, &num, &crystal, &d) || !den || !num || !crystal)
		return 0;
	return mul_div(crystal, num, den);
}

static uint64_t measure_tsc_hz(const struct instant *born)
{
	ns_t passed = host_now_ns() - born->mono;
	struct instant now;
	uint64_t gap;

	if (passed < CALIBRATE_NS) {
		struct timespec rest = {.tv_nsec = (long)(CALIBRATE_NS - passed)};

		nanosleep(&rest, NULL);
	}
	now = read_instant(0, &gap);
	return mul_div(now.tsc - born->tsc, NS_PER_SEC, MAX(now.mono - born->mono, 1ull));
}

uint64_t clock_tsc_hz(const struct clock *c)
{
	struct clock *cc = (struct clock *)c; /* the rate is found out lazily, then constant */
	uint64_t hz = atomic_load(&c->tsc_hz);

	if (hz)
		return hz;
	pthread_mutex_lock(&cc->hz_lock);
	hz = atomic_load(&c->tsc_hz);
	if (!hz) {
		hz = MAX(measure_tsc_hz(&cc->born), 1ull);
		atomic_store(&cc->tsc_hz, hz);
	}
	pthread_mutex_unlock(&cc->hz_lock);
	return hz;
}

/* What the sequence lock protects, read consistently. The host clock asked for is read inside:
 * whoever gets a running view read them before a stop could begin, and clock_stop() reads them
 * after it began, so guest time never goes back. The fences keep the counter reads in between. */
struct view {
	bool running;
	ns_t ns, limit;
	uint64_t tsc, limit_tsc;
	struct instant host;
};

enum view_of { VIEW_OFFSETS, VIEW_NS, VIEW_TSC };

static inline __attribute__((always_inline)) struct view read_view(struct clock *c,
								   enum view_of what)
{
	struct view v = {0};
	unsigned seq;

	do {
		while ((seq = atomic_load(&c->seq)) & 1)
			_mm_pause();
		v.running = atomic_load(&c->running);
		v.ns = atomic_load(&c->ns_offset);
		v.tsc = atomic_load(&c->tsc_offset);
		v.limit = atomic_load(&c->limit);
		v.limit_tsc = atomic_load(&c->limit_tsc);
		v.host = (struct instant){0};
		if (what != VIEW_OFFSETS && v.running && c->loop) {
			_mm_lfence();
			if (what == VIEW_NS)
				v.host.mono = host_now_ns();
			else
				v.host.tsc = __rdtsc();
			_mm_lfence();
		}
	} while (atomic_load(&c->seq) != seq);
	return v;
}

static void write_begin(struct clock *c)
{
	atomic_fetch_add(&c->seq, 1);
	_mm_lfence();
}

static void write_end(struct clock *c, bool running, ns_t ns, uint64_t tsc)
{
	atomic_store(&c->limit, UINT64_MAX); /* until rearm() */
	atomic_store(&c->limit_tsc, UINT64_MAX);
	atomic_store(&c->running, running);
	atomic_store(&c->ns_offset, ns);
	atomic_store(&c->tsc_offset, tsc);
	atomic_fetch_add(&c->seq, 1);
}

static void write_view(struct clock *c, bool running, ns_t ns, uint64_t tsc)
{
	write_begin(c);
	write_end(c, running, ns, tsc);
}

static uint64_t counted(const struct clock *c)
{
	return UNLIKELY(c->counter != NULL) ? __atomic_load_n(c->counter, __ATOMIC_RELAXED) : 0;
}

ns_t clock_now(struct clock *c)
{
	struct view v = read_view(c, VIEW_NS);

	return MIN(v.ns + v.host.mono + counted(c), v.limit);
}

uint64_t clock_tsc(struct clock *c)
{
	struct view v = read_view(c, VIEW_TSC);

	return MIN(v.tsc + v.host.tsc + counted(c), v.limit_tsc);
}

ns_t clock_tsc_to_ns(struct clock *c, uint64_t tsc)
{
	uint64_t tsc_now = clock_tsc(c), hz = clock_tsc_hz(c);
	ns_t now = clock_now(c), at;

	if (tsc <= tsc_now)
		return MAX(now - MIN(now, mul_div(tsc_now - tsc, NS_PER_SEC, hz)), 1ull);
	/* Rounded up: at the returned time the TSC has reached the value. */
	at = mul_div(tsc - tsc_now, NS_PER_SEC, hz);
	if (ckd_add(&at, at, now + 1))
		return 0;
	return at;
}

static bool sooner(const struct vtimer *a, const struct vtimer *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void place(struct clock *c, unsigned i, struct vtimer *t)
{
	c->heap[i] = t;
	t->heap = i;
}

/* Move @t, which belongs somewhere above or below hole @i, to its place. */
static void sift(struct clock *c, unsigned i, struct vtimer *t)
{
	while (i > 1 && sooner(t, c->heap[i / 2])) {
		place(c, i, c->heap[i / 2]);
		i /= 2;
	}
	for (;;) {
		unsigned kid = i * 2;

		if (kid > c->count)
			break;
		if (kid < c->count && sooner(c->heap[kid + 1], c->heap[kid]))
			kid++;
		if (!sooner(c->heap[kid], t))
			break;
		place(c, i, c->heap[kid]);
		i = kid;
	}
	place(c, i, t);
}

static void heap_remove(struct vtimer *t)
{
	struct clock *c = t->clock;
	struct vtimer *last = c->heap[c->count];
	unsigned i = t->heap;

	t->heap = 0;
	c->count--;
	if (last != t)
		sift(c, i, last);
}

/*
 * Where the guest's time is to go on from, and how far readers get until timers have been run:
 * beyond the soonest deadline and, for one that was past when it was set, beyond now.
 * @catch_up: give back some of what was lost.
 */
static void settle(struct clock *c, bool catch_up)
{
	struct view v = read_view(c, VIEW_OFFSETS);
	uint64_t hz = atomic_load(&c->tsc_hz), gap, limit_tsc = UINT64_MAX, shift_tsc;
	ns_t limit = UINT64_MAX, now, shift = 0; /* forward; modular */
	struct instant host;

	if (!v.running || !hz)
		return;
	host = read_instant(hz / 100000, &gap);
	now = v.ns + host.mono;
	if (now > v.limit + SLIP_ROOM && v.limit != UINT64_MAX && now - v.limit < LOST_MOST &&
	    gap < mul_div(SLIP_ROOM, hz, NS_PER_SEC)) {
		shift = v.limit + SLIP_ROOM - now;
		c->lost += now - v.limit - SLIP_ROOM;
	} else if (catch_up && c->lost && now > c->caught_up) {
		shift = MIN((now - c->caught_up) / 4, (ns_t)CATCH_UP_MOST);
		shift = MIN(shift, c->lost);
		c->lost -= shift;
	}
	if (catch_up)
		c->caught_up = now + shift;
	shift_tsc = (int64_t)shift < 0 ? -mul_div(-shift, hz, NS_PER_SEC)
				       : mul_div(shift, hz, NS_PER_SEC);
	now += shift;
	if (c->count && c->heap[1]->at < (ns_t)INT64_MAX / 2) {
		limit = MAX(c->heap[1]->at, now) + LATE_MOST;
		limit_tsc = v.tsc + shift_tsc + host.tsc + gap / 2 +
			    mul_div(limit - now, hz, NS_PER_SEC);
	}
	write_begin(c);
	atomic_store(&c->ns_offset, v.ns + shift);
	atomic_store(&c->tsc_offset, v.tsc + shift_tsc);
	atomic_store(&c->limit, limit);
	atomic_store(&c->limit_tsc, limit_tsc);
	atomic_fetch_add(&c->seq, 1);
}

/* Point the host timer at the soonest deadline. */
static void rearm(struct clock *c)
{
	struct view v;

	if (!c->loop) {
		if (c->armed)
			c->armed(c->armed_ctx);
		return;
	}
	settle(c, false);
	v = read_view(c, VIEW_OFFSETS);
	if (!v.running || !c->count) {
		loop_timer_disarm(c->timer);
		return;
	}
	/* ns_offset is guest minus host and may be "negative": modular subtraction is right. A
	 * deadline beyond the range of host time can't be reached; leave it in the heap. */
	if (c->heap[1]->at > (ns_t)INT64_MAX / 2)
		loop_timer_disarm(c->timer);
	else
		loop_timer_arm(c->timer,
			       (int64_t)(c->heap[1]->at - v.ns) > 0 ? c->heap[1]->at - v.ns : 1);
}

static void fire(struct vtimer *t)
{
	heap_remove(t);
	t->fn(t->ctx);
}

/* Loop's thread, bus lock held. */
static void host_timer_fired(void *ctx)
{
	struct clock *c = ctx;

	settle(c, true);
	/* A budget, because a timer that re-arms itself in the past must not starve the loop. */
	for (int i = 0; i < FIRE_BUDGET; i++) {
		if (!clock_running(c) || !c->count || c->heap[1]->at > clock_now(c))
			break;
		fire(c->heap[1]);
	}
	rearm(c);
}

struct clock *clock_new(struct loop *loop)
{
	struct clock *c = xnew(struct clock);
	uint64_t gap;

	c->loop = loop;
	atomic_store(&c->limit, UINT64_MAX);
	atomic_store(&c->limit_tsc, UINT64_MAX);
	pthread_mutex_init(&c->hz_lock, NULL);
	c->room = 16;
	c->heap = xnew_n(struct vtimer *, c->room);
	if (loop) {
		c->timer = loop_timer_new(loop, host_timer_fired, c);
		c->born = read_instant(0, &gap);
		atomic_store(&c->tsc_hz, cpuid_tsc_hz());
		atomic_store(&c->wall_base, host_realtime_ns());
	} else {
		atomic_store(&c->tsc_hz, MANUAL_TSC_HZ);
	}
	return c;
}

void clock_free(struct clock *c)
{
	if (!c)
		return;
	while (c->count)
		heap_remove(c->heap[c->count]);
	loop_timer_free(c->timer);
	pthread_mutex_destroy(&c->hz_lock);
	free(c->heap);
	free(c);
}

bool clock_running(const struct clock *c)
{
	return atomic_load(&c->running);
}

void clock_start(struct clock *c)
{
	struct view v = read_view(c, VIEW_OFFSETS);

	if (v.running)
		return;
	if (!c->loop) {
		write_view(c, true, v.ns, v.tsc);
		return;
	}
	write_begin(c);
	write_end(c, true, v.ns - host_now_ns(), v.tsc - __rdtsc());
	rearm(c);
}

void clock_stop(struct clock *c)
{
	struct view v = read_view(c, VIEW_OFFSETS);

	if (!v.running)
		return;
	if (!c->loop) {
		write_view(c, false, v.ns, v.tsc);
		return;
	}
	write_begin(c);
	write_end(c, false, MIN(v.ns + host_now_ns(), v.limit),
		  MIN(v.tsc + __rdtsc(), v.limit_tsc));
	rearm(c);
}

void clock_set(struct clock *c, ns_t now, uint64_t tsc)
{
	check(!clock_running(c) || !c->loop);
	write_view(c, clock_running(c), now, tsc);
	c->lost = 0;
}

static void manual_to(struct clock *c, ns_t now)
{
	struct view v = read_view(c, VIEW_OFFSETS);

	write_view(c, v.running, now,
		   v.tsc + mul_div(now - v.ns, atomic_load(&c->tsc_hz), NS_PER_SEC));
}

void clock_step(struct clock *c, ns_t ns)
{
	ns_t now = clock_now(c), end;
	unsigned budget = STEP_BUDGET; /* against a timer that re-arms itself in the past */

	check(!c->loop);
	if (ckd_add(&end, now, ns))
		end = UINT64_MAX;
	while (c->count && c->heap[1]->at <= end && budget--) {
		/* A deadline in the past fires now; time never goes back. */
		if (c->heap[1]->at > clock_now(c))
			manual_to(c, c->heap[1]->at);
		fire(c->heap[1]);
	}
	if (end > clock_now(c))
		manual_to(c, end);
}

void clock_count(struct clock *c, const uint64_t *insns, void (*armed)(void *ctx), void *ctx)
{
	check(!c->loop);
	c->counter = insns;
	c->armed = armed;
	c->armed_ctx = ctx;
}

ns_t clock_next(const struct clock *c)
{
	return c->count ? c->heap[1]->at : UINT64_MAX;
}

void clock_catch_up(struct clock *c)
{
	/* a timer that re-arms itself in the past waits for its next turn */
	for (unsigned i = 0; i < FIRE_BUDGET && c->count && c->heap[1]->at <= clock_now(c); i++)
		fire(c->heap[1]);
}

void clock_skip(struct clock *c, ns_t to)
{
	struct view v = read_view(c, VIEW_OFFSETS);
	ns_t now = clock_now(c);

	check(!c->loop);
	if (to > now)
		write_view(c, v.running, v.ns + (to - now), v.tsc + (to - now));
}

uint64_t clock_wall_ns(struct clock *c)
{
	return atomic_load(&c->wall_base) + clock_now(c);
}

void clock_set_wall_base(struct clock *c, uint64_t wall_ns)
{
	atomic_store(&c->wall_base, wall_ns);
}

void vtimer_init(struct vtimer *t, struct clock *c, void (*fn)(void *ctx), void *ctx)
{
	*t = (struct vtimer){.clock = c, .fn = fn, .ctx = ctx};
}

void vtimer_arm(struct vtimer *t, ns_t guest_ns)
{
	struct clock *c = t->clock;
	bool was_first = t->heap == 1;

	t->at = guest_ns;
	t->order = c->next_order++;
	if (t->heap) {
		sift(c, t->heap, t);
	} else {
		/* Grows with the number of timers devices own, which a guest can't choose. */
		if (c->count + 2 > c->room) {
			c->room *= 2;
			c->heap = xrealloc(c->heap, c->room, sizeof(struct vtimer *));
		}
		c->count++;
		sift(c, c->count, t);
	}
	if (was_first || t->heap == 1)
		rearm(c);
}

void vtimer_cancel(struct vtimer *t)
{
	bool was_first = t->heap == 1;

	if (!t->heap)
		return;
	heap_remove(t);
	if (was_first)
		rearm(t->clock);
}

bool vtimer_armed(const struct vtimer *t)
{
	return t->heap != 0;
}
