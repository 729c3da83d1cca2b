/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that notices when the main loop no longer turns: every device, timer and back end hangs
 * then, and the person in front of it should learn where. It pokes the loop each second and looks
 * at the heartbeat; a stale one is reported once, with what the kernel says the main thread waits
 * in, and again when the loop is back. It never ends anything.
 */
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/internal.h"

#define PERIOD_S 1
#define STALE_NS (10 * NS_PER_SEC)

static void poke(void *ctx)
{
	(void)ctx;
}

/* One line of /proc/self/task/TID/@what; "?" when it can't be read. */
static void task_line(int tid, const char *what, char *buf, size_t size)
{
	char path[64];
	FILE *f;

	snprintf(buf, size, "?");
	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, what);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(buf, (int)size, f))
		buf[strcspn(buf, "\n")] = 0;
	fclose(f);
}

static void report(struct vm *vm, ns_t age)
{
	char wchan[64], call[128];

	task_line(vm->main_tid, "wchan", wchan, sizeof(wchan));
	task_line(vm->main_tid, "syscall", call, sizeof(call));
	log_warn("vm: main loop has not turned for %llu s: devices and timers stand still "
		 "(thread %d, waits in %s, system call %s); a stack: gdb -p %d -ex 'thread apply "
		 "all bt' -batch",
		 (unsigned long long)(age / NS_PER_SEC), vm->main_tid, wchan, call, getpid());
}

static void *watchdog_main(void *arg)
{
	struct vm *vm = arg;
	bool stale = false;

	pthread_setname_np(pthread_self(), "watchdog");
	while (!atomic_load(&vm->watchdog_stop)) {
		struct timespec t = {.tv_sec = PERIOD_S};
		ns_t beat, now;

		/* Post only while the last poke was seen, so that a hung loop isn't filled up. */
		if (!stale)
			loop_post(vm->loop, poke, NULL);
		syscall(SYS_futex, &vm->watchdog_wake, FUTEX_WAIT_PRIVATE, 0, &t, NULL, 0);
		beat = loop_heartbeat(vm->loop);
		now = host_now_ns();
		if (now > beat && now - beat > STALE_NS) {
			if (!stale)
				report(vm, now - beat);
			stale = true;
		} else if (stale) {
			log_warn("vm: main loop turns again");
			stale = false;
		}
	}
	return NULL;
}

void vm_watchdog_start(struct vm *vm)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	atomic_store(&vm->watchdog_stop, false);
	atomic_store(&vm->watchdog_wake, 0);
	vm->watchdog_up = pthread_create(&vm->watchdog, NULL, watchdog_main, vm) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void vm_watchdog_stop(struct vm *vm)
{
	if (!vm->watchdog_up)
		return;
	atomic_store(&vm->watchdog_stop, true);
	atomic_store(&vm->watchdog_wake, 1);
	syscall(SYS_futex, &vm->watchdog_wake, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	pthread_join(vm->watchdog, NULL);
	vm->watchdog_up = false;
}
