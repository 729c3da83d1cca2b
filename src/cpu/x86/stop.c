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
 * stop.lock is held for the whole time, and by threads that join or leave; who waits for it can be
 * stopped like everyone else.
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
#include <unistd.h>

/* Ignored by default: one that comes late or from somebody else does no harm. */
#define STOP_SIGNAL SIGURG

static pthread_mutex_t users_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static struct sigaction previous;
static _Thread_local struct vcpu *stop_self;

static void futex(_Atomic uint32_t *word, int op, uint32_t val)
{
	syscall(SYS_futex, word, op, val, NULL, NULL, 0);
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
#ifdef __SANITIZE_THREAD__
	/* its run-time library keeps signals back while the thread waits for a mutex */
	while (pthread_mutex_trylock(&s->lock))
		usleep(20);
#else
	pthread_mutex_lock(&s->lock);
#endif
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
	pthread_mutex_unlock(&v->cpus->stop.lock);
	return 0;
}

void x86_stop_leave(struct vcpu *v)
{
	if (!v->stop_tid)
		return;
	lock(&v->cpus->stop);
	v->stop_tid = 0;
	pthread_mutex_unlock(&v->cpus->stop.lock);
	if (stop_self == v)
		stop_self = NULL;
	pthread_mutex_lock(&users_lock);
	if (!--users)
		sigaction(STOP_SIGNAL, &previous, NULL);
	pthread_mutex_unlock(&users_lock);
}

static void call_one(struct cpu_stop *s, struct vcpu *o)
{
	long r;

	do
		r = syscall(SYS_tgkill, getpid(), o->stop_tid, STOP_SIGNAL);
	while (r < 0 && errno == EAGAIN && !sched_yield());
	if (r < 0) /* the thread has gone without leaving: it accesses nothing any more */
		atomic_fetch_sub(&s->left, 1);
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
	v->stop_seen = atomic_load(&s->seq) + 1;
	atomic_store(&s->left, left);
	atomic_store(&s->seq, v->stop_seen);
	for (unsigned i = 0; i < set->n; i++)
		if (is_elsewhere(set->cpu[i], v))
			call_one(s, set->cpu[i]);
	while ((left = atomic_load(&s->left)))
		futex(&s->left, FUTEX_WAIT_PRIVATE, left);
}

void x86_stop_end(struct vcpu *v)
{
	struct cpu_stop *s = v->cpus ? &v->cpus->stop : NULL;

	if (!s)
		return;
	if (atomic_load(&s->seq) & 1) {
		atomic_fetch_add(&s->seq, 1);
		futex(&s->seq, FUTEX_WAKE_PRIVATE, INT32_MAX);
	}
	pthread_mutex_unlock(&s->lock);
}
