/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest clock and timers (bus/clock.h), by hand and on a loop.
 */
#include "cm.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "bus/clock.h"
#include "host/loop.h"

struct shot {
	struct vtimer t;
	struct clock *c;
	ns_t fired_at;
	unsigned count, seq;
	unsigned *next_seq;
	ns_t period;
};

static void on_fire(void *ctx)
{
	struct shot *s = ctx;

	s->fired_at = clock_now(s->c);
	s->count++;
	s->seq = (*s->next_seq)++;
	assert_false(vtimer_armed(&s->t));
	if (s->period)
		vtimer_arm(&s->t, s->t.at + s->period);
}

static void test_manual(void **state)
{
	struct clock *c = clock_new(NULL);
	enum { N = 200 };
	struct shot *s = xnew_n(struct shot, N);
	unsigned seq = 0;

	assert_false(clock_running(c));
	assert_int_equal(clock_now(c), 0);
	assert_int_equal(clock_tsc(c), 0);
	for (unsigned i = 0; i < N; i++) {
		s[i] = (struct shot){.c = c, .next_seq = &seq};
		vtimer_init(&s[i].t, c, on_fire, &s[i]);
		vtimer_arm(&s[i].t, 1 + (i * 7919u) % 1000);
	}
	for (unsigned i = 0; i < N; i += 3)
		vtimer_cancel(&s[i].t);
	vtimer_cancel(&s[0].t);
	vtimer_arm(&s[1].t, 5000); /* replaces */
	clock_step(c, 2000);
	assert_int_equal(clock_now(c), 2000);
	assert_int_equal(clock_tsc(c), 2000ull * clock_tsc_hz(c) / NS_PER_SEC);
	for (unsigned i = 0; i < N; i++) {
		if (i % 3 == 0 || i == 1) {
			assert_int_equal(s[i].count, 0);
			continue;
		}
		assert_int_equal(s[i].count, 1);
		assert_int_equal(s[i].fired_at, s[i].t.at);
		for (unsigned j = 0; j < i; j++)
			if (s[j].count && s[j].t.at <= s[i].t.at)
				assert_true(s[j].seq < s[i].seq); /* ties: first armed first */
	}
	assert_true(vtimer_armed(&s[1].t));
	clock_step(c, 3000);
	assert_int_equal(s[1].fired_at, 5000);
	vtimer_arm(&s[2].t, 10); /* past: at the next step, time does not go back */
	clock_step(c, 0);
	assert_int_equal(s[2].fired_at, 5000);
	clock_free(c);
	free(s);
}

static void test_periodic(void **state)
{
	struct clock *c = clock_new(NULL);
	unsigned seq = 0;
	struct shot s = {.c = c, .next_seq = &seq, .period = 10};

	vtimer_init(&s.t, c, on_fire, &s);
	vtimer_arm(&s.t, 10);
	clock_step(c, 1000);
	assert_int_equal(s.count, 100);
	assert_int_equal(s.fired_at, 1000);
	clock_free(c);
}

/* A device bug, or a period of 0: the step must still end. */
static void on_stuck(void *ctx)
{
	vtimer_arm(ctx, 0);
}

static void test_stuck_timer(void **state)
{
	struct clock *c = clock_new(NULL);
	struct vtimer t;

	vtimer_init(&t, c, on_stuck, &t);
	vtimer_arm(&t, 5);
	clock_step(c, 10);
	assert_int_equal(clock_now(c), 10);
	clock_free(c);
}

static void test_set_and_wall(void **state)
{
	struct clock *c = clock_new(NULL);

	clock_set_wall_base(c, 1000 * NS_PER_SEC);
	clock_set(c, 77 * NS_PER_SEC, 12345);
	assert_int_equal(clock_now(c), 77 * NS_PER_SEC);
	assert_int_equal(clock_tsc(c), 12345);
	assert_int_equal(clock_wall_ns(c), 1077 * NS_PER_SEC);
	clock_free(c);
}

static void test_live(void **state)
{
	struct loop *loop;
	struct clock *c;
	unsigned seq = 0;
	struct shot a = {.next_seq = &seq}, b = {.next_seq = &seq};
	uint64_t hz, tsc;
	ns_t before, after, host;

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	c = clock_new(loop);
	a.c = b.c = c;
	vtimer_init(&a.t, c, on_fire, &a);
	vtimer_init(&b.t, c, on_fire, &b);
	vtimer_arm(&a.t, 20 * NS_PER_MS);
	vtimer_arm(&b.t, 10 * NS_PER_MS);
	assert_int_equal(loop_run_once(loop, 30), 0);
	assert_int_equal(a.count + b.count, 0); /* stopped clocks fire nothing */
	assert_int_equal(clock_now(c), 0);
	clock_start(c);
	while (!a.count)
		assert_int_equal(loop_run_once(loop, 1000), 0);
	assert_int_equal(b.count, 1);
	assert_true(b.fired_at >= 10 * NS_PER_MS && a.fired_at >= 20 * NS_PER_MS);
	assert_true(b.seq < a.seq);

	/* The TSC agrees with guest time within 1 %, however long it takes to read both. */
	hz = clock_tsc_hz(c);
	assert_true(hz > 100000000);
	before = clock_now(c);
	tsc = clock_tsc(c);
	after = clock_now(c);
	assert_true(tsc / (double)hz > before / 1e9 * 0.99);
	assert_true(tsc / (double)hz < after / 1e9 * 1.01 + 0.001);
	before = clock_now(c);
	tsc = clock_tsc_to_ns(c, clock_tsc(c) + hz);
	after = clock_now(c);
	assert_true(tsc > before + 900 * NS_PER_MS);
	assert_true(tsc < after + 1100 * NS_PER_MS);
	assert_int_not_equal(clock_tsc_to_ns(c, UINT64_MAX), 1);

	clock_stop(c);
	before = clock_now(c);
	nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
	assert_int_equal(clock_now(c), before);
	host = host_now_ns();
	clock_start(c);
	after = clock_now(c);
	assert_true(after <= before + (host_now_ns() - host));
	/* Past deadlines fire at once. */
	vtimer_arm(&a.t, 1);
	while (a.count < 2)
		assert_int_equal(loop_run_once(loop, 1000), 0);
	clock_free(c);
	loop_free(loop);
}

struct reader {
	struct clock *c;
	_Atomic bool stop;
	unsigned backward;
};

static void *read_clock(void *ctx)
{
	struct reader *r = ctx;
	ns_t last = 0;
	uint64_t last_tsc = 0;

	while (!atomic_load(&r->stop)) {
		ns_t now = clock_now(r->c);
		uint64_t tsc = clock_tsc(r->c);

		r->backward += now < last;
		r->backward += tsc < last_tsc;
		last = now;
		last_tsc = tsc;
	}
	return NULL;
}

/* Readers on other threads never see guest time go back, whatever starts and stops it. */
static void test_readers(void **state)
{
	struct loop *loop;
	struct reader r = {0};
	pthread_t t;

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	r.c = clock_new(loop);
	clock_start(r.c);
	assert_int_equal(pthread_create(&t, NULL, read_clock, &r), 0);
	for (int i = 0; i < 2000; i++) {
		clock_stop(r.c);
		clock_start(r.c);
	}
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	assert_int_equal(r.backward, 0);
	clock_free(r.c);
	loop_free(loop);
}

/* How much of what was lost came back in one turn of @loop, at least: what guest time gained on the
 * host's, whatever kept this thread from the processor between the readings. */
static ns_t made_up(struct loop *loop, struct clock *c)
{
	ns_t host_last, guest_last, guest, host;

	host = host_now_ns();
	guest = clock_now(c);
	assert_int_equal(loop_run_once(loop, 1000), 0);
	guest_last = clock_now(c);
	host_last = host_now_ns();
	return guest_last - guest > host_last - host ? guest_last - guest - (host_last - host) : 0;
}

/* While nobody runs the timers, time stands still soon after the first deadline; it goes on from
 * there, never back, and what was lost comes again. */
static void test_late(void **state)
{
	struct loop *loop;
	struct reader r = {0};
	unsigned seq = 0;
	struct shot s = {.next_seq = &seq, .period = 5 * NS_PER_MS};
	ns_t ahead, back = 0;
	pthread_t t;

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	r.c = s.c = clock_new(loop);
	assert_true(clock_tsc_hz(r.c) > 0);
	clock_start(r.c);
	ahead = host_now_ns() - clock_now(r.c);
	assert_int_equal(pthread_create(&t, NULL, read_clock, &r), 0);
	vtimer_init(&s.t, r.c, on_fire, &s);
	vtimer_arm(&s.t, 5 * NS_PER_MS);
	for (unsigned i = 1; i <= 10; i++) {
		ns_t limit = MAX(s.t.at, clock_now(r.c)) + 10 * NS_PER_MS;

		nanosleep(&(struct timespec){.tv_nsec = 30 * NS_PER_MS}, NULL);
		assert_true(clock_now(r.c) <= limit);
		assert_true(clock_tsc(r.c) / (double)clock_tsc_hz(r.c) <
			    clock_now(r.c) / 1e9 + 0.001);
		assert_int_equal(loop_run_once(loop, 1000), 0);
		assert_true(s.count >= i);
	}
	assert_true(host_now_ns() - clock_now(r.c) - ahead > 20 * NS_PER_MS);
	for (unsigned i = 0; i < 10000 && back < 20 * NS_PER_MS; i++)
		back += made_up(loop, r.c);
	assert_true(back >= 20 * NS_PER_MS);
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	assert_int_equal(r.backward, 0);
	clock_free(r.c);
	loop_free(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_manual),      cmocka_unit_test(test_periodic),
		cmocka_unit_test(test_stuck_timer), cmocka_unit_test(test_set_and_wall),
		cmocka_unit_test(test_live),        cmocka_unit_test(test_readers),
		cmocka_unit_test(test_late),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
