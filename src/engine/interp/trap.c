/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hardware faults in instruction thunks: #DE, #MF and #XM arrive as SIGFPE, #UD as SIGILL, #GP of a
 * misaligned SSE operand as SIGSEGV. The handler runs on an alternate stack. When the interrupted
 * PC lies in the thunk arena of the thread's current vCPU it makes the thread continue in
 * uop_hw_fault(), which raises the guest's exception; no guest state has been written by then,
 * because thunks store their results after the instruction. Every other fault goes to the handler
 * that was installed before.
 *
 * Two variables must be global here, since a signal handler has no argument of ours: the thread's
 * vCPU (thread-local) and the previous handlers (process-wide, set once, never freed).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "engine/interp/interp.h"

static const int trap_signals[] = {SIGFPE, SIGILL, SIGSEGV, SIGBUS};
static struct sigaction trap_old[ARRAY_SIZE(trap_signals)];
static pthread_mutex_t trap_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned trap_users;
static _Thread_local struct interp_cpu *trap_cpu;

#define SIGSTACK_SIZE 65536u

static void forward(int sig, siginfo_t *si, void *ctx)
{
	for (unsigned i = 0; i < ARRAY_SIZE(trap_signals); i++) {
		struct sigaction *old = &trap_old[i];

		if (trap_signals[i] != sig)
			continue;
		if (old->sa_flags & SA_SIGINFO) {
			old->sa_sigaction(sig, si, ctx);
		} else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
			old->sa_handler(sig);
		} else {
			/* Default: die of it when the instruction runs again. */
			struct sigaction dfl = {.sa_handler = SIG_DFL};

			sigaction(sig, &dfl, NULL);
		}
	}
}

static void on_trap(int sig, siginfo_t *si, void *ctx)
{
	ucontext_t *uc = ctx;
	greg_t *g = uc->uc_mcontext.gregs;
	struct interp_cpu *ic = trap_cpu;
	uintptr_t pc = (uintptr_t)g[REG_RIP];
	uint8_t flags = ic ? thunk_at(&ic->thunks, pc) : 0;
	unsigned trap = (unsigned)g[REG_TRAPNO];

	if (!flags && ic && ic->hooks && si->si_code > 0 && trap == X86_PFV) {
		uintptr_t sp = ic->hooks->overflow(ic->v, pc, (uintptr_t)si->si_addr);

		if (sp) {
			g[REG_RSP] = (greg_t)sp;
			return;
		}
	}
	if (!flags && ic && ic->hooks && si->si_code > 0 && trap != X86_PFV && trap != X86_MC) {
		uintptr_t to = ic->hooks->trap(ic->v, pc);

		if (to) {
			g[REG_RIP] = (greg_t)to;
			return;
		}
	}
	/* A page fault inside a thunk is a host problem (guest RAM is always mapped). */
	if (!flags || si->si_code <= 0 || trap == X86_PFV || trap == X86_MC) {
		forward(sig, si, ctx);
		return;
	}
	if (flags & THUNK_FAULTS) {
		const uint8_t *sp = (const uint8_t *)g[REG_RSP];

		g[REG_RCX] = (greg_t)(uint32_t)ld_le32(sp - 8);
		g[REG_RDX] = (greg_t)ld_le64(sp - 16);
	}
	if (flags & THUNK_MXCSR && uc->uc_mcontext.fpregs) {
		ic->v->s.fpu.mxcsr = uc->uc_mcontext.fpregs->mxcsr;
		uc->uc_mcontext.fpregs->mxcsr = 0x1f80;
	}
	ic->fault_trap = (uint8_t)trap;
	g[REG_EFL] &= ~(greg_t)(X86_DF | X86_AC);
	g[REG_RIP] = (greg_t)(uintptr_t)uop_hw_fault;
}

int trap_process_init(struct error *err)
{
	int r = 0;

	pthread_mutex_lock(&trap_lock);
	if (!trap_users++) {
		struct sigaction sa = {.sa_sigaction = on_trap,
				       .sa_flags = SA_SIGINFO | SA_ONSTACK};

		sigemptyset(&sa.sa_mask);
		for (unsigned i = 0; i < ARRAY_SIZE(trap_signals) && !r; i++)
			if (sigaction(trap_signals[i], &sa, &trap_old[i]) < 0)
				r = error_set(err, -errno, "interp: sigaction: %s",
					      strerror(errno));
	}
	pthread_mutex_unlock(&trap_lock);
	return r;
}

void trap_process_done(void)
{
	pthread_mutex_lock(&trap_lock);
	if (!--trap_users)
		for (unsigned i = 0; i < ARRAY_SIZE(trap_signals); i++)
			sigaction(trap_signals[i], &trap_old[i], NULL);
	pthread_mutex_unlock(&trap_lock);
}

int trap_thread_init(struct interp_cpu *ic, struct error *err)
{
	stack_t ss = {.ss_size = SIGSTACK_SIZE}, old;
	uint8_t *p;

	/* A thread that has one already (a sanitizer's, another vCPU's) keeps it. */
	if (!sigaltstack(NULL, &old) && !(old.ss_flags & SS_DISABLE))
		return 0;
	p = mmap(NULL, SIGSTACK_SIZE + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED || mprotect(p + 4096, SIGSTACK_SIZE, PROT_READ | PROT_WRITE) < 0)
		return error_set(err, -ENOMEM, "interp: no memory for a signal stack");
	ss.ss_sp = p + 4096;
	if (sigaltstack(&ss, NULL) < 0) {
		munmap(p, SIGSTACK_SIZE + 4096);
		return error_set(err, -errno, "interp: sigaltstack: %s", strerror(errno));
	}
	ic->sigstack = p;
	return 0;
}

void trap_thread_done(struct interp_cpu *ic)
{
	stack_t ss = {.ss_flags = SS_DISABLE}, now;

	if (trap_cpu == ic)
		trap_cpu = NULL;
	if (!ic->sigstack)
		return;
	/* Only from the thread that installed it; elsewhere the thread has gone and so has its
	 * registration. */
	if (!sigaltstack(NULL, &now) && now.ss_sp == (uint8_t *)ic->sigstack + 4096)
		sigaltstack(&ss, NULL);
	munmap(ic->sigstack, SIGSTACK_SIZE + 4096);
	ic->sigstack = NULL;
}

void trap_set_current(struct interp_cpu *ic)
{
	trap_cpu = ic;
}

const struct interp_cpu *trap_current(void)
{
	return trap_cpu;
}
