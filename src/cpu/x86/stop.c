/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stopping the other vCPUs of a VM in the middle of whatever they do, for the length of one memory
 * access that no single host access may do: a LOCKed one that crosses a page (pair.c).
 *
 * A signal does it: its handler, on the alternate stack of each other vCPU's thread, says that it
 * is there and waits on a futex until it may go on. The threads may hold any lock meanwhile, so
 * whoever stops them takes none until it has let them go, and allocates nothing. Threads of devices
 * go on: their accesses to RAM are not ordered with LOCKed ones of the guest by any promise here.
 *
 * stop.seq is odd while the others are to wait. stop.left counts those who have not come yet.
 * The turn (a ticket lock) is held for the whole time, and by threads that join or leave; who waits
 * for it can be stopped like everyone else.
 *
 * A guest that spins on such an access must not keep the others from what it spins for: turns are
 * taken in order, nobody stops anybody before all have left the handler of the last stop, and after
 * a stop everybody runs for as long as it took, at least REST_NS. (With a mutex, and without the
 * rest, a signal was pending again whenever a handler returned, and the owner of a spin lock across
 * two pages made no step in minutes.)
 *
 * A signal handler has no argument of ours, hence the thread-local variable and the process-wide
 * count of users.
 */
#include "cpu/x86/internal.h"

#include <errno.h>
#include <linux/futex.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host/loop.h"

/* Ignored by default: one that comes late or from somebody else does no harm. */
#define STOP_SIGNAL SIGURG

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction previous;
static _Thread_local struct vcpu *stop_self;

/* Under TSan being called takes a thread some 100 us: the rest must leave it a step. */
#ifdef __SANITIZE_THREAD__
#define REST_NS 500000
#else
#define REST_NS 20000
#endif
#define MAX_REST_NS 20000000

static void futex(_Atomic uint32_t *word, int op, uint32_t val)
{
	syscall(SYS_futex, word, op, val, NULL, NULL, 0);
}

/* Until *@word is not @seen any more; may return early. */
static void wait_while(_Atomic uint32_t *word, uint32_t seen)
{
#ifdef __SANITIZE_THREAD__
	/* its run-time library keeps signals back until the thread calls the C library */
	usleep(20);
#else
	futex(word, FUTEX_WAIT_PRIVATE, seen);
#endif
}

static void on_stop(int sig)
{
	struct vcpu *v = stop_self;
	struct cpu_stop *s = v ? &v->cpus->stop : NULL;
	uint32_t seq = s ? atomic_load(&s->seq) : 0;
	int saved = errno;

	if (!(seq & 1) || v->stop_seen == seq)
		return;
	v->stop_seen = seq;
	if (atomic_fetch_sub(&s->left, 1) == 1)
		futex(&s->left, FUTEX_WAKE_PRIVATE, 1);
	while (atomic_load(&s->seq) == seq)
		futex(&s->seq, FUTEX_WAIT_PRIVATE, seq);
	if (atomic_fetch_sub(&s->inside, 1) == 1)
		futex(&s->inside, FUTEX_WAKE_PRIVATE, 1);
	errno = saved;
}

static int install(struct error *err)
{
	struct sigaction sa = {.sa_handler = on_stop, .sa_flags = SA_ONSTACK | SA_RESTART};
	int r = 0;

	/* One stop has ended before the next begins; another VM's is not this thread's. */
	sigfillset(&sa.sa_mask);
	sigdelset(&sa.sa_mask, SIGSEGV);
	sigdelset(&sa.sa_mask, SIGBUS);
	pthread_mutex_lock(&users_lock);
	if (!users && sigaction(STOP_SIGNAL, &sa, &previous) < 0)
		r = error_set(err, -errno, "cpu: sigaction: %s", strerror(errno));
	else
		users++;
	pthread_mutex_unlock(&users_lock);
	return r;
}

static void lock(struct cpu_stop *s)
{
	uint32_t mine = atomic_fetch_add(&s->next, 1);
	uint32_t now;

	while ((now = atomic_load(&s->serving)) != mine)
		wait_while(&s->serving, now);
}

static void unlock(struct cpu_stop *s)
{
	atomic_fetch_add(&s->serving, 1);
	futex(&s->serving, FUTEX_WAKE_PRIVATE, INT32_MAX);
}

int x86_stop_join(struct vcpu *v, struct error *err)
{
	sigset_t set;
	int r;

	if (!v->cpus)
		return 0;
	r = install(err);
	if (r)
		return r;
	stop_self = v;
	sigemptyset(&set);
	sigaddset(&set, STOP_SIGNAL);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	lock(&v->cpus->stop);
	v->stop_tid = (int32_t)syscall(SYS_gettid);
	unlock(&v->cpus->stop);
	return 0;
}

void x86_stop_leave(struct vcpu *v)
{
	if (!v->stop_tid)
		return;
	lock(&v->cpus->stop);
	v->stop_tid = 0;
	unlock(&v->cpus->stop);
	if (stop_self == v)
		stop_self = NULL;
	pthread_mutex_lock(&users_lock);
	if (!--users)
		sigaction(STOP_SIGNAL, &previous, NULL);
	pthread_mutex_unlock(&users_lock);
}

/* The thread of @o has gone without leaving: it accesses nothing any more. */
static void count_gone(struct cpu_stop *s, struct vcpu *o)
{
	o->stop_seen = atomic_load(&s->seq);
	atomic_fetch_sub(&s->left, 1);
	atomic_fetch_sub(&s->inside, 1);
}

static void call_one(struct cpu_stop *s, struct vcpu *o)
{
	long r;

	do
		r = syscall(SYS_tgkill, getpid(), o->stop_tid, STOP_SIGNAL);
	while (r < 0 && errno == EAGAIN && !sched_yield());
	if (r < 0)
		count_gone(s, o);
#ifdef __SANITIZE_THREAD__
	/* its run-time library keeps signals back until the thread calls the C library */
	vcpu_request(o, VCPU_REQ_KICK);
#endif
}

/* Two engines may have joined with one thread (engine/lockstep). */
static bool is_elsewhere(const struct vcpu *o, const struct vcpu *v)
{
	return o->stop_tid && o->stop_tid != v->stop_tid;
}

/* Those whom the last stop held up have their time. */
static void rest(struct cpu_stop *s)
{
	struct timespec t = {0};
	uint32_t inside;
	uint64_t now;

	while ((inside = atomic_load(&s->inside)))
		wait_while(&s->inside, inside);
	now = host_now_ns();
	if (now >= s->rest_until)
		return;
	t.tv_nsec = (long)(s->rest_until - now);
	nanosleep(&t, NULL);
}

/* Until *@word is not @seen any more or 10 ms have gone by: true. */
static bool is_long(_Atomic uint32_t *word, uint32_t seen)
{
	struct timespec t = {.tv_nsec = 10000000};

	return syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, &t, NULL, 0) < 0 &&
	       errno == ETIMEDOUT;
}

/* A thread that ended after it was called, before it answered. */
static void look_for_gone(struct cpu_stop *s, struct cpu_set *set, struct vcpu *v)
{
	for (unsigned i = 0; i < set->n; i++) {
		struct vcpu *o = set->cpu[i];

		if (is_elsewhere(o, v) && syscall(SYS_tgkill, getpid(), o->stop_tid, 0) < 0 &&
		    errno == ESRCH && o->stop_seen != atomic_load(&s->seq))
			count_gone(s, o);
	}
}

void x86_stop_others(struct vcpu *v)
{
	struct cpu_set *set = v->cpus;
	struct cpu_stop *s = set ? &set->stop : NULL;
	uint32_t left = 0;

	if (!s)
		return;
	lock(s);
	for (unsigned i = 0; i < set->n; i++)
		left += is_elsewhere(set->cpu[i], v);
	if (!left)
		return;
	rest(s);
	s->since = host_now_ns();
	v->stop_seen = atomic_load(&s->seq) + 1;
	atomic_store(&s->inside, left);
	atomic_store(&s->left, left);
	atomic_store(&s->seq, v->stop_seen);
	for (unsigned i = 0; i < set->n; i++)
		if (is_elsewhere(set->cpu[i], v))
			call_one(s, set->cpu[i]);
	while ((left = atomic_load(&s->left)))
		if (is_long(&s->left, left))
			look_for_gone(s, set, v);
}

static uint64_t rest_for(uint64_t took)
{
	return took < REST_NS ? REST_NS : took > MAX_REST_NS ? MAX_REST_NS : took;
}

void x86_stop_end(struct vcpu *v)
{
	struct cpu_stop *s = v->cpus ? &v->cpus->stop : NULL;

	if (!s)
		return;
	if (atomic_load(&s->seq) & 1) {
		uint64_t now = host_now_ns();

		s->rest_until = now + rest_for(now - s->since);
		atomic_fetch_add(&s->seq, 1);
		futex(&s->seq, FUTEX_WAKE_PRIVATE, INT32_MAX);
	}
	unlock(s);
}
