/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class smp: two processors. busy1 is one thread's work, busy2 the same work in each of two threads
 * at once: where both processors are real, it takes no longer. It is long enough that starting the
 * second thread and moving it to its processor (0.4 ms natively) do not count. The others share
 * memory.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

static uint64_t work(void)
{
	uint64_t s = 88172645463325252ull, sum = 0;
	uint32_t table[1024] = {0};

	for (int i = 0; i < 10000000; i++) {
		uint64_t r = rnd(&s);

		table[r & 1023] += (uint32_t)(r >> 32);
		sum += table[r >> 10 & 1023];
	}
	return sum;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void *work_thread(void *data)
{
	pin(1);
	*(uint64_t *)data = work();
	return NULL;
}

static uint64_t busy1_run(void *data)
{
	(void)data;
	pin(0);
	return work();
}

static uint64_t busy2_run(void *data)
{
	uint64_t other = 0, ours;
	pthread_t t;

	(void)data;
	if (pthread_create(&t, NULL, work_thread, &other))
		bench_fail("pthread_create");
	pin(0);
	ours = work();
	pthread_join(t, NULL);
	return other == ours ? ours : 0;
}

/* Two threads count by locked additions on one line. */
struct shared {
	_Alignas(64) atomic_ulong count;
	_Alignas(64) pthread_mutex_t lock;
	unsigned long guarded;
	int mode;
};

static void *count_thread(void *data)
{
	struct shared *s = data;

	for (int i = 0; i < 50000; i++) {
		if (s->mode == 0) {
			atomic_fetch_add(&s->count, 1);
		} else {
			pthread_mutex_lock(&s->lock);
			s->guarded++;
			pthread_mutex_unlock(&s->lock);
		}
	}
	return NULL;
}

static uint64_t count_both(int mode)
{
	struct shared s = {0};
	pthread_t t;

	pthread_mutex_init(&s.lock, NULL);
	s.mode = mode;
	if (pthread_create(&t, NULL, count_thread, &s))
		bench_fail("pthread_create");
	count_thread(&s);
	pthread_join(t, NULL);
	return atomic_load(&s.count) + s.guarded;
}

static uint64_t atomic_run(void *data)
{
	(void)data;
	return count_both(0);
}

static uint64_t mutex_run(void *data)
{
	(void)data;
	return count_both(1);
}

const struct kernel kernels[] = {
	{"busy1", busy1_run, NULL, NULL},   {"busy2", busy2_run, NULL, NULL},
	{"atomic", atomic_run, NULL, NULL}, {"mutex", mutex_run, NULL, NULL},
	{NULL, NULL, NULL, NULL},
};
