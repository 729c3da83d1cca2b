/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vCPU threads: run, sleep while halted, park while the VM is held (vm.h has the rules).
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "vm/internal.h"

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* vcpu.wake: after request bits were set. Any thread. */
static void wake(struct vcpu *v)
{
	struct vm_cpu *c = v->wake_ctx;

	if (atomic_load(&c->asleep))
		futex_wake(&v->request);
}

void vm_sleep_halted(struct vm_cpu *c)
{
	struct vcpu *v = &c->v;

	for (;;) {
		uint32_t seen = atomic_load(&v->request);

		if ((seen & VM_WAKE_BITS) || atomic_load(&c->vm->hold) ||
		    atomic_load(&c->vm->ending))
			break;
		if (!atomic_load(&c->asleep)) {
			/* requests are looked at once more before the thread sleeps */
			if (!loop_run_idle(c->vm->loop))
				atomic_store(&c->asleep, true);
			continue;
		}
		futex_wait(&v->request, seen);
		atomic_store(&c->asleep, false);
	}
	atomic_store(&c->asleep, false);
}

void vm_kick_all(struct vm *vm)
{
	for (unsigned i = 0; i < vm->n_cpus; i++) {
		vcpu_request(&vm->cpu[i].v, VCPU_REQ_KICK);
		if (vm->engine.ops->kick)
			vm->engine.ops->kick(&vm->cpu[i].v);
	}
}

void vm_hold(struct vm *vm)
{
	atomic_store(&vm->hold, true);
	vm->only = -1;
	vm_kick_all(vm);
	vm_exact_wake(vm);
	while (vm->n_parked < vm->n_ready)
		pthread_cond_wait(&vm->parked, &vm->bus.lock);
}

void vm_release(struct vm *vm)
{
	atomic_store(&vm->hold, false);
	pthread_cond_broadcast(&vm->go);
}

static bool may_run(const struct vm_cpu *c)
{
	struct vm *vm = c->vm;

	if (atomic_load(&vm->ending))
		return true;
	if (vm->only >= 0)
		return vm->only == (int)c->v.index;
	return !atomic_load(&vm->hold);
}

/* Bus lock held. */
static void park(struct vm_cpu *c)
{
	struct vm *vm = c->vm;

	c->parked = true;
	vm->n_parked++;
	pthread_cond_broadcast(&vm->parked);
	while (!may_run(c))
		pthread_cond_wait(&vm->go, &vm->bus.lock);
	vm->n_parked--;
	c->parked = false;
}

/* What an exit means. Returns true when the vCPU must park before it runs again. */
static bool handle_exit(struct vm_cpu *c, const struct vcpu_exit *x)
{
	struct vm *vm = c->vm;
	uint32_t ask = 0;

	switch (x->reason) {
	case VCPU_EXIT_KICK: return false;
	case VCPU_EXIT_HALT:
		/* A debugger that steps it holds all others: nobody could wake it. */
		if (c->v.debug.single_step) {
			ask = VM_ASK_DEBUG;
			break;
		}
		vm_sleep_halted(c);
		return false;
	case VCPU_EXIT_SHUTDOWN: ask = VM_ASK_CRASH; break;
	case VCPU_EXIT_DEBUG: ask = VM_ASK_DEBUG; break;
	case VCPU_EXIT_ERROR:
	case VCPU_EXIT_COUNT: ask = VM_ASK_ERROR; break;
	}
	bus_lock(&vm->bus);
	if (ask == VM_ASK_CRASH)
		vm->crash_cpu = c->v.index;
	if (ask == VM_ASK_DEBUG)
		vm->debug_cpu = c->v.index;
	if (ask == VM_ASK_ERROR && !vm->run_err.code) {
		vm->run_err = x->error;
		if (!vm->run_err.code)
			error_set(&vm->run_err, -EIO, "the engine stopped without a reason");
	}
	vm->only = -1;
	vm_ask(vm, ask);
	bus_unlock(&vm->bus);
	return true;
}

/* Bus lock held. */
static void run_exact(struct vm *vm, struct vm_cpu *c)
{
	struct vcpu_exit x = {0};
	int r = vm_exact_run(vm, c, &x);

	if (r < 0) {
		x.reason = VCPU_EXIT_ERROR;
		if (!x.error.code)
			error_set(&x.error, r, "vCPU %u: the engine failed", c->v.index);
	}
	if (r)
		(void)handle_exit(c, &x);
}

static void *thread_main(void *arg)
{
	struct vm_cpu *c = arg;
	struct vm *vm = c->vm;
	const struct engine_ops *ops = vm->engine.ops;
	struct error err = {0};
	char name[16];
	int r;

	snprintf(name, sizeof(name), "vcpu-%u", c->v.index);
	pthread_setname_np(pthread_self(), name);
	r = ops->vcpu_init(&vm->engine, &c->v, &err);
	bus_lock(&vm->bus);
	if (r < 0 && !vm->init_err.code) {
		vm->init_err = err;
		if (!err.code)
			error_set(&vm->init_err, r, "the engine could not set up vCPU %u",
				  c->v.index);
	}
	c->ready = true;
	vm->n_ready++;
	for (;;) {
		if (!may_run(c))
			park(c);
		if (atomic_load(&vm->ending))
			break;
		if (vm->exact) {
			run_exact(vm, c);
			continue;
		}
		bus_unlock(&vm->bus);
		for (;;) {
			struct vcpu_exit x = {0};

			r = ops->run(&vm->engine, &c->v, &x);
			if (r < 0) {
				x.reason = VCPU_EXIT_ERROR;
				if (!x.error.code)
					error_set(&x.error, r, "vCPU %u: the engine failed",
						  c->v.index);
			}
			if (handle_exit(c, &x) || atomic_load(&vm->hold) ||
			    atomic_load(&vm->ending))
				break;
		}
		bus_lock(&vm->bus);
	}
	vm->n_ready--;
	pthread_cond_broadcast(&vm->parked);
	bus_unlock(&vm->bus);
	if (ops->vcpu_done)
		ops->vcpu_done(&c->v);
	return NULL;
}

int vm_cpus_start(struct vm *vm, struct error *err)
{
	sigset_t all, old;
	int r = 0;

	atomic_store(&vm->hold, true);
	/* Signals for people (SIGINT, SIGTERM, ...) are the main thread's; faults are ours. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGABRT);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < vm->n_cpus && r == 0; i++) {
		struct vm_cpu *c = &vm->cpu[i];

		c->v.wake_ctx = c;
		c->v.wake = wake;
		r = -pthread_create(&c->thread, NULL, thread_main, c);
		c->started = r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r < 0)
		return error_set(err, r,
				 "cannot start a thread for each of %u vCPUs; use fewer (-c)",
				 vm->n_cpus);
	while (vm->n_parked < vm->n_cpus)
		pthread_cond_wait(&vm->parked, &vm->bus.lock);
	if (vm->init_err.code) {
		if (err)
			*err = vm->init_err;
		return vm->init_err.code;
	}
	return 0;
}

void vm_cpus_stop(struct vm *vm)
{
	atomic_store(&vm->ending, true);
	vm_kick_all(vm);
	vm_exact_wake(vm);
	pthread_cond_broadcast(&vm->go);
	bus_unlock(&vm->bus);
	for (unsigned i = 0; i < vm->n_cpus; i++)
		if (vm->cpu[i].started) {
			pthread_join(vm->cpu[i].thread, NULL);
			vm->cpu[i].started = false;
		}
	bus_lock(&vm->bus);
}
