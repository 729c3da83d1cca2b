/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop (host/loop.h): epoll, one timerfd for all timers, one eventfd for posted work and
 * loop_stop().
 *
 * A turn: wait without the outer lock; take it; run ready descriptors, then due timers, then posted
 * work; bury descriptors deleted so far; give the lock up. A descriptor that is deleted stays
 * allocated, marked dead, until the end of the next turn, because the event batch of a wait that
 * already returned may still name it. That is what makes loop_del_fd() safe anywhere.
 *
 * The timerfd is programmed lazily: arming a timer touches it only when the new deadline is earlier
 * than what is programmed; an early wake-up finds nothing due and programs the next deadline.
 * Guests re-arm timers far more often than timers fire, so this saves most of the system calls.
 *
 * epoll refuses regular files and some character devices (/dev/null) with EPERM; poll(2) calls
 * those always ready, and so does this loop.
 *
 * Locks: everything except the post queue, the flags and the heartbeat is guarded by the outer
 * lock; without an outer lock by being used from one thread only. post_lock is a leaf; under
 * idle_lock, claim() may take its owner's leaf.
 */
#include "host/loop.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"

enum { EVENT_BATCH = 32 };

struct loop_fd {
	struct list node;
	struct loop *loop; /* borrowed */
	void (*fn)(void *ctx, uint32_t events);
	void *ctx;
	int fd; /* borrowed from the caller */
	uint32_t events;
	bool in_epoll; /* registered with the kernel */
	bool always;   /* epoll can't watch it: always ready */
	bool dead;
};

struct loop_timer {
	struct list node;  /* in loop->armed while armed */
	struct loop *loop; /* borrowed */
	void (*fn)(void *ctx);
	void *ctx;
	ns_t at; /* CLOCK_MONOTONIC */
	bool armed;
};

struct loop_post {
	struct loop_post *next;
	void (*fn)(void *ctx);
	void *ctx;
};

struct loop {
	pthread_mutex_t *outer; /* borrowed, may be NULL */
	struct loop_gate *gate; /* likewise */
	int epoll, timerfd, eventfd;
	struct list fds, dead, armed; /* armed: sorted by deadline, soonest first */
	ns_t programmed;              /* timerfd deadline, 0 = off */
	_Atomic unsigned n_always;    /* always-ready descriptors with events wanted */

	pthread_mutex_t post_lock; /* guards post_* */
	struct loop_post *post_head, **post_tail;

	pthread_mutex_t idle_lock; /* guards `idle` */
	struct list idle;          /* struct loop_idle */

	_Atomic bool stop;
	_Atomic pthread_t thread; /* of loop_run() */
	_Atomic ns_t turn_began;  /* 0 while waiting */
};

ns_t host_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ns_t)ts.tv_sec * NS_PER_SEC + (ns_t)ts.tv_nsec;
}

ns_t host_realtime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (ns_t)ts.tv_sec * NS_PER_SEC + (ns_t)ts.tv_nsec;
}

void loop_gate_init(struct loop_gate *g)
{
	pthread_mutex_init(&g->mutex, NULL);
	atomic_store(&g->wanted, false);
}

void loop_gate_done(struct loop_gate *g)
{
	pthread_mutex_destroy(&g->mutex);
}

void loop_gate_wait(struct loop_gate *g)
{
	pthread_mutex_lock(&g->mutex);
	pthread_mutex_unlock(&g->mutex);
}

static void loop_lock(struct loop *loop)
{
	struct loop_gate *g = loop->gate;

	if (!loop->outer)
		return;
	if (!g) {
		pthread_mutex_lock(loop->outer);
		return;
	}
	if (pthread_mutex_trylock(loop->outer) == 0)
		return;
	pthread_mutex_lock(&g->mutex);
	atomic_store_explicit(&g->wanted, true, memory_order_relaxed);
	pthread_mutex_lock(loop->outer);
	atomic_store_explicit(&g->wanted, false, memory_order_relaxed);
	pthread_mutex_unlock(&g->mutex);
}

void loop_set_gate(struct loop *loop, struct loop_gate *gate)
{
	loop->gate = gate;
}

static void loop_unlock(struct loop *loop)
{
	if (loop->outer)
		pthread_mutex_unlock(loop->outer);
}

bool loop_enter(struct loop *loop)
{
	const struct loop_gate *g = loop->gate;

	if (!loop->outer || (g && atomic_load_explicit(&g->wanted, memory_order_relaxed)))
		return false;
	return pthread_mutex_trylock(loop->outer) == 0;
}

void loop_leave(struct loop *loop)
{
	loop_unlock(loop);
}

/* Own descriptors are told apart in epoll_event.data by the address of their member. */
static int watch_own(struct loop *loop, int *fd)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = fd};

	if (*fd < 0 || epoll_ctl(loop->epoll, EPOLL_CTL_ADD, *fd, &ev) < 0)
		return -errno;
	return 0;
}

int loop_new(pthread_mutex_t *outer, struct loop **ret_loop, struct error *err)
{
	struct loop *loop = xnew(struct loop);
	int r;

	loop->outer = outer;
	list_init(&loop->fds);
	list_init(&loop->dead);
	list_init(&loop->armed);
	list_init(&loop->idle);
	pthread_mutex_init(&loop->post_lock, NULL);
	pthread_mutex_init(&loop->idle_lock, NULL);
	loop->post_tail = &loop->post_head;
	loop->timerfd = loop->eventfd = -1;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	r = loop->epoll < 0 ? -errno : 0;
	if (!r) {
		loop->timerfd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
		r = watch_own(loop, &loop->timerfd);
	}
	if (!r) {
		loop->eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		r = watch_own(loop, &loop->eventfd);
	}
	if (r) {
		loop_free(loop);
		return error_set(err, r,
				 "can't create the event loop: %s; check the limit on open files "
				 "(ulimit -n)",
				 strerror(-r));
	}
	*ret_loop = loop;
	return 0;
}

static void bury_dead(struct loop *loop)
{
	LIST_FOR_EACH_SAFE(it, &loop->dead)
	{
		list_remove(it);
		free(LIST_ENTRY(it, struct loop_fd, node));
	}
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	bury_dead(loop);
	LIST_FOR_EACH_SAFE(it, &loop->fds)
	{
		free(LIST_ENTRY(it, struct loop_fd, node));
	}
	/* Timers belong to their owners; leave them unlinked so that a late free is harmless. */
	LIST_FOR_EACH_SAFE(it, &loop->armed)
	{
		LIST_ENTRY(it, struct loop_timer, node)->armed = false;
		list_remove(it);
	}
	while (loop->post_head) {
		struct loop_post *p = loop->post_head;

		loop->post_head = p->next;
		free(p);
	}
	if (loop->timerfd >= 0)
		close(loop->timerfd);
	if (loop->eventfd >= 0)
		close(loop->eventfd);
	if (loop->epoll >= 0)
		close(loop->epoll);
	pthread_mutex_destroy(&loop->post_lock);
	pthread_mutex_destroy(&loop->idle_lock);
	free(loop);
}

static void wake(struct loop *loop)
{
	uint64_t one = 1;
	int saved = errno;

	/* EAGAIN means the counter is already far from zero: the loop will wake. */
	if (write(loop->eventfd, &one, sizeof(one)) < 0)
		errno = saved;
}

/* Bring the kernel's view in line with @events. EPOLLERR and EPOLLHUP can't be masked in epoll, so
 * "no events" means leaving it: a hung-up peer would otherwise spin the loop. */
static int watch(struct loop_fd *f, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = f};
	int op;

	if (f->always) {
		f->loop->n_always += (events != 0);
		f->loop->n_always -= (f->events != 0);
		f->events = events;
		wake(f->loop); /* it may be waiting without a timeout */
		return 0;
	}
	f->events = events;
	if (!events) {
		if (f->in_epoll)
			epoll_ctl(f->loop->epoll, EPOLL_CTL_DEL, f->fd, NULL);
		f->in_epoll = false;
		return 0;
	}
	op = f->in_epoll ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
	if (epoll_ctl(f->loop->epoll, op, f->fd, &ev) < 0) {
		if (errno != EPERM)
			return -errno;
		f->always = true;
		f->loop->n_always++;
		wake(f->loop);
		return 0;
	}
	f->in_epoll = true;
	return 0;
}

int loop_add_fd(struct loop *loop, int fd, uint32_t events, void (*fn)(void *ctx, uint32_t events),
		void *ctx, struct loop_fd **ret_fd)
{
	struct loop_fd *f = xnew(struct loop_fd);
	int r;

	f->loop = loop;
	f->fd = fd;
	f->fn = fn;
	f->ctx = ctx;
	r = watch(f, events);
	if (r) {
		free(f);
		return r;
	}
	list_append(&loop->fds, &f->node);
	*ret_fd = f;
	return 0;
}

void loop_mod_fd(struct loop_fd *f, uint32_t events)
{
	if (!f->dead && f->events != events)
		(void)watch(f, events); /* can fail only for a descriptor closed too early */
}

void loop_del_fd(struct loop_fd *f)
{
	if (!f || f->dead)
		return;
	watch(f, 0);
	f->dead = true;
	list_remove(&f->node);
	list_append(&f->loop->dead, &f->node);
}

static void program_timerfd(struct loop *loop, ns_t at)
{
	struct itimerspec its = {.it_value = {.tv_sec = (time_t)(at / NS_PER_SEC),
					      .tv_nsec = (long)(at % NS_PER_SEC)}};

	loop->programmed = at;
	timerfd_settime(loop->timerfd, TFD_TIMER_ABSTIME, &its, NULL);
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
	struct loop_timer *t = xnew(struct loop_timer);

	list_init(&t->node);
	t->loop = loop;
	t->fn = fn;
	t->ctx = ctx;
	return t;
}

void loop_timer_arm(struct loop_timer *t, ns_t at_ns)
{
	struct loop *loop = t->loop;
	struct list *before = &loop->armed;

	list_remove(&t->node);
	/* 0 would switch the timerfd off; keep tv_sec inside time_t. */
	t->at = MIN(MAX(at_ns, 1ull), (ns_t)INT64_MAX);
	t->armed = true;
	/* Few timers (one per clock and back end): a sorted list is enough. */
	LIST_FOR_EACH(it, &loop->armed)
	{
		if (LIST_ENTRY(it, struct loop_timer, node)->at > t->at) {
			before = it;
			break;
		}
	}
	list_append(before, &t->node);
	if (loop->armed.next == &t->node && (!loop->programmed || t->at < loop->programmed))
		program_timerfd(loop, t->at);
}

void loop_timer_disarm(struct loop_timer *t)
{
	t->armed = false;
	list_remove(&t->node);
}

void loop_timer_free(struct loop_timer *t)
{
	if (!t)
		return;
	loop_timer_disarm(t);
	free(t);
}

void loop_post(struct loop *loop, void (*fn)(void *ctx), void *ctx)
{
	struct loop_post *p = xnew(struct loop_post);
	bool first;

	p->fn = fn;
	p->ctx = ctx;
	pthread_mutex_lock(&loop->post_lock);
	first = !loop->post_head;
	*loop->post_tail = p;
	loop->post_tail = &p->next;
	pthread_mutex_unlock(&loop->post_lock);
	if (first)
		wake(loop);
}

void loop_add_idle(struct loop *loop, struct loop_idle *idle)
{
	pthread_mutex_lock(&loop->idle_lock);
	list_append(&loop->idle, &idle->node);
	pthread_mutex_unlock(&loop->idle_lock);
}

void loop_del_idle(struct loop *loop, struct loop_idle *idle)
{
	pthread_mutex_lock(&loop->idle_lock);
	if (idle->node.next)
		list_remove(&idle->node);
	pthread_mutex_unlock(&loop->idle_lock);
}

bool loop_run_idle(struct loop *loop)
{
	struct loop_idle *found = NULL;
	struct list claimed;

	list_init(&claimed);
	pthread_mutex_lock(&loop->idle_lock);
	LIST_FOR_EACH(it, &loop->idle)
	{
		struct loop_idle *idle = LIST_ENTRY(it, struct loop_idle, node);

		if (idle->claim(idle->ctx, &claimed)) {
			found = idle;
			break;
		}
	}
	pthread_mutex_unlock(&loop->idle_lock);
	if (found)
		found->run(found->ctx, &claimed);
	return found;
}

static void run_posts(struct loop *loop)
{
	struct loop_post *p;

	/* Work posted by this work waits for the next turn, so a turn always ends. */
	pthread_mutex_lock(&loop->post_lock);
	p = loop->post_head;
	loop->post_head = NULL;
	loop->post_tail = &loop->post_head;
	pthread_mutex_unlock(&loop->post_lock);
	while (p) {
		struct loop_post *next = p->next;

		p->fn(p->ctx);
		free(p);
		p = next;
	}
}

static void run_timers(struct loop *loop)
{
	ns_t now = host_now_ns();

	/* Each due timer at most once a turn: one re-armed in the past waits for the next. */
	struct list due;

	list_init(&due);
	while (!list_empty(&loop->armed)) {
		struct loop_timer *t = LIST_ENTRY(loop->armed.next, struct loop_timer, node);

		if (t->at > now)
			break;
		list_remove(&t->node);
		list_append(&due, &t->node);
	}
	while (!list_empty(&due)) {
		struct loop_timer *t = LIST_ENTRY(due.next, struct loop_timer, node);

		loop_timer_disarm(t);
		t->fn(t->ctx);
	}
	if (!list_empty(&loop->armed)) {
		ns_t at = LIST_ENTRY(loop->armed.next, struct loop_timer, node)->at;

		if (!loop->programmed || at < loop->programmed || loop->programmed <= now)
			program_timerfd(loop, at);
	} else if (loop->programmed && loop->programmed <= now) {
		loop->programmed = 0; /* expired: the kernel has it off already */
	}
}

static void run_always(struct loop *loop)
{
	unsigned budget = loop->n_always;
	struct list *it = loop->fds.next;

	/* A callback may delete any descriptor: restart from the head after each call, moving the
	 * served one to the tail. */
	while (budget && it != &loop->fds) {
		struct loop_fd *f = LIST_ENTRY(it, struct loop_fd, node);

		it = it->next;
		if (!f->always || !f->events)
			continue;
		budget--;
		list_remove(&f->node);
		list_append(&loop->fds, &f->node);
		f->fn(f->ctx, f->events & (EPOLLIN | EPOLLOUT));
		it = loop->fds.next;
	}
}

static void dispatch(struct loop *loop, struct epoll_event *evs, int n)
{
	uint64_t ignored;

	for (int i = 0; i < n; i++) {
		struct loop_fd *f = evs[i].data.ptr;
		uint32_t events;

		if (evs[i].data.ptr == &loop->timerfd || evs[i].data.ptr == &loop->eventfd) {
			if (read(*(int *)evs[i].data.ptr, &ignored, sizeof(ignored)) < 0)
				continue; /* EAGAIN: re-programmed in between */
			continue;
		}
		events = evs[i].events & (f->events | EPOLLERR | EPOLLHUP);
		if (!f->dead && f->in_epoll && events)
			f->fn(f->ctx, events);
	}
}

int loop_run_once(struct loop *loop, int timeout_ms)
{
	struct epoll_event evs[EVENT_BATCH];
	int n;

	/* Without the lock, which may be hard to get: who makes this one wakes the loop as well. */
	if (atomic_load(&loop->n_always))
		timeout_ms = 0;
	atomic_store(&loop->turn_began, 0);
	n = epoll_wait(loop->epoll, evs, EVENT_BATCH, timeout_ms);
	if (n < 0) {
		if (errno != EINTR)
			return -errno;
		n = 0;
	}
	loop_lock(loop);
	atomic_store(&loop->turn_began, host_now_ns());
	dispatch(loop, evs, n);
	run_always(loop);
	run_timers(loop);
	run_posts(loop);
	bury_dead(loop);
	loop_unlock(loop);
	atomic_store(&loop->turn_began, 0);
	return 0;
}

int loop_run(struct loop *loop)
{
	int r = 0;

	atomic_store(&loop->thread, pthread_self());
	while (!atomic_load(&loop->stop)) {
		r = loop_run_once(loop, -1);
		if (r)
			break;
	}
	atomic_store(&loop->stop, false);
	return r;
}

void loop_stop(struct loop *loop)
{
	atomic_store(&loop->stop, true);
	wake(loop);
}

bool loop_on_thread(const struct loop *loop)
{
	return pthread_equal(atomic_load(&loop->thread), pthread_self());
}

ns_t loop_heartbeat(const struct loop *loop)
{
	ns_t began = atomic_load(&loop->turn_began);

	return began ? began : host_now_ns(); /* waiting for events is being alive */
}
