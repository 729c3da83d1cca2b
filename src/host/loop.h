/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of the main thread: epoll over file descriptors, timers on timerfd, and work
 * posted from other threads through an eventfd. While callbacks run the loop holds the optional
 * `outer` lock (the VM's bus lock) and gives it up around epoll_wait(); that is the whole locking
 * rule of devices and back ends: their code runs with this lock held, on the main thread (events,
 * timers) or on a vCPU thread (register accesses).
 */
#ifndef HOST_LOOP_H
#define HOST_LOOP_H

#include <pthread.h>

#include "base/err.h"
#include "base/list.h"

/*
 * Lets the loop have the outer lock next. A mutex is not fair: a thread that gives it up and takes
 * it again a moment later, over and over, as a vCPU does that works on its devices, keeps it from
 * one that must be woken first, on a busy host for seconds. Others therefore look at `wanted`
 * before they take the lock, and wait at the gate while it is set.
 */
struct loop_gate {
	pthread_mutex_t mutex; /* held while the loop waits for the outer lock */
	_Atomic bool wanted;
};

void loop_gate_init(struct loop_gate *g);
void loop_gate_done(struct loop_gate *g);
/** loop_gate_wait() - what others do that found `wanted` set. Without the outer lock. */
void loop_gate_wait(struct loop_gate *g);

struct loop;
struct loop_fd;    /* one watched descriptor */
struct loop_timer; /* one host-time timer; guest timers are bus/clock.h */

/** loop_new() - @outer may be NULL, borrowed. 0 or -errno. */
int loop_new(pthread_mutex_t *outer, struct loop **ret_loop, struct error *err) MUST_CHECK;
void loop_free(struct loop *loop);
/** loop_set_gate() - @gate: borrowed; before the loop runs. Only with an outer lock that does not
 * nest: who holds it must not come to the gate. */
void loop_set_gate(struct loop *loop, struct loop_gate *gate);

/**
 * loop_add_fd() - watch @fd for @events (EPOLLIN | EPOLLOUT ...), level triggered
 * @fn: called on the loop's thread, outer lock held. @fd stays owned by the caller.
 * May be called from any thread that holds the outer lock.
 */
int loop_add_fd(struct loop *loop, int fd, uint32_t events, void (*fn)(void *ctx, uint32_t events),
		void *ctx, struct loop_fd **ret_fd) MUST_CHECK;
/** loop_mod_fd() - change the watched events (0 = none). Outer lock held. */
void loop_mod_fd(struct loop_fd *f, uint32_t events);
/** loop_del_fd() - stop watching; no callback after return. Outer lock held. NULL is fine. */
void loop_del_fd(struct loop_fd *f);

/** loop_timer_new() - disarmed timer on CLOCK_MONOTONIC. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *ctx), void *ctx);
/** loop_timer_arm() - one shot at absolute CLOCK_MONOTONIC @at_ns; re-arming replaces. */
void loop_timer_arm(struct loop_timer *t, ns_t at_ns);
void loop_timer_disarm(struct loop_timer *t);
void loop_timer_free(struct loop_timer *t);

/** loop_post() - run @fn(@ctx) soon on the loop's thread, outer lock held. Any thread, no lock
 * needed, order kept. Allocates; never call it in unbounded guest-driven numbers per event. */
void loop_post(struct loop *loop, void (*fn)(void *ctx), void *ctx);

/** loop_run() - dispatch until loop_stop(); 0 or -errno. The calling thread becomes the loop's. */
int loop_run(struct loop *loop) MUST_CHECK;
/** loop_run_once() - wait at most @timeout_ms (-1 = forever), dispatch once. For tests and tools.
 */
int loop_run_once(struct loop *loop, int timeout_ms) MUST_CHECK;
/** loop_stop() - make loop_run() return after the current callback. Any thread, signal-safe. */
void loop_stop(struct loop *loop);
/**
 * loop_enter() - another thread does the work of a callback: takes the outer lock if it is free
 * Return: false: somebody has it, the loop waits for it, or there is none: have a callback called
 * instead. True: loop_leave() when done.
 */
bool loop_enter(struct loop *loop) MUST_CHECK;
void loop_leave(struct loop *loop);

/*
 * Work that a thread with nothing else to do may take over from one that has to be woken for it.
 * claim() takes some off its owner's list, run() does it, both on the thread that asked, without a
 * lock; an owner that goes takes itself off the list and then waits for what was claimed.
 */
struct loop_idle {
	struct list node;                               /* private */
	bool (*claim)(void *ctx, struct list *claimed); /* short; false: nothing to do */
	void (*run)(void *ctx, struct list *claimed);
	void *ctx;
};
/** loop_add_idle(), loop_del_idle() - @idle: the owner's; deleting one that is not there is fine.
 * Any thread. */
void loop_add_idle(struct loop *loop, struct loop_idle *idle);
void loop_del_idle(struct loop *loop, struct loop_idle *idle);
/** loop_run_idle() - do some of that work: false when there is none. Any thread, without locks. */
bool loop_run_idle(struct loop *loop);
/** loop_on_thread() - whether the calling thread is the one that runs @loop. */
bool loop_on_thread(const struct loop *loop);
/** loop_heartbeat() - CLOCK_MONOTONIC ns of the last turn, for the watchdog. Any thread. */
ns_t loop_heartbeat(const struct loop *loop);

/** host_now_ns() - CLOCK_MONOTONIC in ns. Any thread. */
ns_t host_now_ns(void);
/** host_realtime_ns() - CLOCK_REALTIME in ns since 1970. Any thread. */
ns_t host_realtime_ns(void);

#endif
