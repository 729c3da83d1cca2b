/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter engine: engine_ops and the run loop around the threaded code.
 *
 * Between two blocks the run loop looks at events, finds or builds the next block for the current
 * mode, and enters it; chained blocks follow each other without coming back here. While anything
 * must be looked at on every instruction (TF, RF, debug registers, a debugger, -d exec, the one
 * instruction after an STI with an interrupt waiting) blocks of one instruction are used, which are
 * never chained. Intel SDM vol. 3, 6.8.1 (shadow), 17.3 (debug exceptions), 6.7 (NMI).
 *
 * Everything runs on the vCPU's thread; kick() is vcpu_request() and comes from any thread.
 */
#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/leaks.h"
#include "base/log.h"
#include "engine/interp/interp.h"

#define POOL_HUGE   (64 * MIB)
#define CPU_ALIGN   (2 * MIB)
#define CPU_BYTES   align_up(sizeof(struct interp_cpu), CPU_ALIGN)
#define THUNK_SIZE  (4 * MIB)
#define PAGES_MOST  (1ull << 28) /* 1 TiB of guest RAM; the table is reserved, not allocated */
#define PAGES_LEAST (1ull << 24)
#define DR6_BS      (1u << 14)

/* ---- the run loop ---- */

static int debug_exit(struct vcpu *v, uint8_t access, gva_t addr)
{
	v->debug.hit_access = access;
	v->debug.hit_addr = addr;
	v->exit.reason = VCPU_EXIT_DEBUG;
	return X86_EXIT;
}

static gva_t rip_lin(const struct vcpu *v)
{
	return x86_is_64(v) ? v->s.rip : (uint32_t)(v->s.seg[X86_CS].base + v->s.rip);
}

static void trace_exec(struct vcpu *v)
{
	const uint64_t *g = v->s.gpr;

	log_trace("cpu%u: exec: %04x:%016llx fl %06llx ax %llx cx %llx dx %llx bx %llx sp %llx "
		  "bp %llx si %llx di %llx",
		  v->index, v->s.seg[X86_CS].sel, (unsigned long long)v->s.rip,
		  (unsigned long long)v->s.rflags, (unsigned long long)g[0],
		  (unsigned long long)g[1], (unsigned long long)g[2], (unsigned long long)g[3],
		  (unsigned long long)g[4], (unsigned long long)g[5], (unsigned long long)g[6],
		  (unsigned long long)g[7]);
}

int interp_run_block(struct vcpu *v, struct interp_cpu *ic, uint32_t key)
{
	struct block *b;
	int r;

	ic->key = key;
	ic->exec_tab = v->tlb->e[v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER];
	b = block_find(v, &r);
	if (UNLIKELY(!b))
		return r;
	v->count.insns += b->n_insns;
	v->count.blocks++;
	return b->uop[0].fn(v, b->uop, v->tlb->e[v->tlb->data_table], fl_load(v->s.rflags));
}

/* One instruction, with everything that debugging wants around it. */
static int run_single(struct vcpu *v, struct interp_cpu *ic, uint32_t key)
{
	gva_t lin = rip_lin(v);
	bool step = v->s.rflags & X86_TF;
	int r;

	if (UNLIKELY(v->debug.active) && !ic->resuming)
		for (unsigned i = 0; i < v->debug.n_break; i++)
			if (v->debug.brk[i] == lin)
				return debug_exit(v, 1, lin);
	ic->resuming = false;
	r = x86_insn_break(v, lin);
	if (r != X86_OK)
		return r;
	if (UNLIKELY(v->trace & TRACE_EXEC))
		trace_exec(v);
	v->no_step = false;
	r = interp_run_block(v, ic, key | KEY_SINGLE);
	if (r == X86_OK && step && !v->no_step)
		v->s.pending_dbg |= DR6_BS;
	if (r == X86_FAULT)
		r = x86_deliver(v);
	if (r == X86_OK && UNLIKELY(v->debug.single_step))
		return debug_exit(v, 0, rip_lin(v));
	return r;
}

static int run_some(struct vcpu *v, struct interp_cpu *ic)
{
	bool single = false;
	int r;

	if (UNLIKELY(x86_poll_needed(v))) {
		bool shadow = v->s.shadow & (X86_SHADOW_STI | X86_SHADOW_MOVSS);

		r = x86_poll_events(v);
		if (r != X86_OK)
			return r;
		/* What waits behind the shadow comes after exactly one instruction. */
		single = shadow && (atomic_load_explicit(&v->request, memory_order_relaxed) ||
				    v->s.pending_dbg);
	}
	interp_settle_rf(v);
	if (UNLIKELY(single || interp_needs_single(v)))
		return run_single(v, ic, interp_key(v));
	if (UNLIKELY(ic->around != NULL))
		return ic->around(v, interp_key(v));
	return interp_run_block(v, ic, interp_key(v));
}

static int interp_run(struct engine_vm *vm, struct vcpu *v, struct vcpu_exit *ret_exit)
{
	struct interp_cpu *ic = icpu(v);
	int r = X86_OK;

	trap_set_current(ic);
	ic->resuming = true;
	ic->link = NULL;
	interp_drop_if_asked(ic);
	while (r != X86_EXIT) {
		r = run_some(v, ic);
		if (UNLIKELY(r == X86_FAULT))
			r = x86_deliver(v);
		if (UNLIKELY(v->insn_limit) && r == X86_OK && v->count.insns >= v->insn_limit) {
			v->exit.reason = VCPU_EXIT_KICK;
			r = X86_EXIT;
		}
	}
	x87_sync(ic);
	v->count.exits[v->exit.reason]++;
	*ret_exit = v->exit;
	return 0;
}

/* ---- VM ---- */

static void on_map_changed(struct mem_listener *l)
{
	struct engine_vm *vm = CONTAINER_OF(l, struct engine_vm, listener);

	for (unsigned i = 0; vm->cpus && i < vm->cpus->n; i++)
		vcpu_request(vm->cpus->cpu[i], VCPU_REQ_FLUSH);
}

static void on_code_written(struct mem_listener *l, struct ram_block *block, uint64_t off,
			    uint64_t len)
{
	struct engine_vm *vm = CONTAINER_OF(l, struct engine_vm, listener);

	interp_code_written(vm->engine, block, off, len);
}

static int reserve_pages(struct interp_vm *ivm, struct error *err)
{
	for (uint64_t n = PAGES_MOST; n >= PAGES_LEAST; n /= 4) {
		void *p = mmap(NULL, n * sizeof(struct interp_page), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (p == MAP_FAILED)
			continue;
		if (n * MEM_PAGE_SIZE < mem_ram_total(ivm->vm->mem)) {
			munmap(p, n * sizeof(struct interp_page));
			break;
		}
		ivm->pages = p;
		ivm->n_pages = n;
		return 0;
	}
	return error_set(err, -ENOMEM,
			 "interp: cannot reserve address space for code tracking; "
			 "raise the limit on virtual memory (ulimit -v)");
}

/* More than one vCPU: without membarrier(2) one could go on with code that another has changed
 * (block.c). */
static int check_smp(struct interp_vm *ivm, struct error *err)
{
	if (ivm->smp || !ivm->vm->cpus || ivm->vm->cpus->n < 2)
		return 0;
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0))
		return error_set(err, -errno,
				 "interp: this host has no membarrier(2) (%s), which more than one "
				 "vCPU needs; use -c 1",
				 strerror(errno));
	ivm->smp = true;
	/* translated code of one vCPU alone is not good any more: leave run() */
	for (unsigned i = 0; i < ivm->vm->cpus->n; i++)
		vcpu_request(ivm->vm->cpus->cpu[i], VCPU_REQ_KICK);
	return 0;
}

static int interp_vm_init(struct engine_vm *vm, struct error *err)
{
	struct interp_vm *ivm = xnew(struct interp_vm);
	int r;

	ivm->vm = vm;
	r = reserve_pages(ivm, err);
	if (!r)
		r = check_smp(ivm, err);
	if (!r)
		r = trap_process_init(err);
	if (r) {
		if (ivm->pages)
			munmap(ivm->pages, ivm->n_pages * sizeof(struct interp_page));
		free(ivm);
		return r;
	}
	pthread_mutex_init(&ivm->split_lock, NULL);
	pthread_mutex_init(&ivm->code_lock, NULL);
	vm->engine = ivm;
	vm->listener.map_changed = on_map_changed;
	vm->listener.code_written = on_code_written;
	mem_add_listener(vm->mem, &vm->listener);
	return 0;
}

static void interp_vm_done(struct engine_vm *vm)
{
	struct interp_vm *ivm = vm->engine;

	if (!ivm)
		return;
	mem_del_listener(vm->mem, &vm->listener);
	trap_process_done();
	munmap(ivm->pages, ivm->n_pages * sizeof(struct interp_page));
	pthread_mutex_destroy(&ivm->split_lock);
	pthread_mutex_destroy(&ivm->code_lock);
	free(ivm);
	vm->engine = NULL;
}

/* ---- vCPU ---- */

static void forget_cpu(struct interp_cpu *ic)
{
	struct interp_cpu **at = &ic->ivm->cpus;

	pthread_mutex_lock(&ic->ivm->code_lock);
	while (*at != ic)
		at = &(*at)->next;
	*at = ic->next;
	pthread_mutex_unlock(&ic->ivm->code_lock);
}

static void interp_vcpu_done(struct vcpu *v)
{
	struct interp_cpu *ic = icpu(v);

	if (!ic)
		return;
	x86_stop_leave(v);
	forget_cpu(ic);
	trap_thread_done(ic);
	thunk_arena_done(&ic->thunks);
	if (ic->pool)
		munmap(ic->pool, ic->pool_size);
	for (unsigned i = 0; i < BUDGETS; i++)
		budget_give_back(&ic->ivm->budget[i], &ic->share[i], 0);
	free(ic->draft);
	leaks_look_in(ic, CPU_BYTES, false);
	munmap(ic, CPU_BYTES);
	v->engine = NULL;
}

static void *map_zeroed(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Zeroes at an address that large pages begin at. Fresh pages take memory only where they are used.
 */
static void *map_aligned(size_t size)
{
	uint8_t *p = map_zeroed(size + CPU_ALIGN), *at;

	if (!p)
		return NULL;
	at = (uint8_t *)align_up((uintptr_t)p, CPU_ALIGN);
	if (at > p)
		munmap(p, (size_t)(at - p));
	munmap(at + size, (size_t)(p + CPU_ALIGN - at));
	return at;
}

static int interp_vcpu_init(struct engine_vm *vm, struct vcpu *v, struct error *err)
{
	struct interp_cpu *ic = map_aligned(CPU_BYTES);
	uint64_t ram = mem_ram_total(vm->mem);
	size_t pool_size;
	void *pool;
	int r;

	if (!ic)
		return error_set(err, -ENOMEM, "interp: no memory for vCPU %u", v->index);
	leaks_look_in(ic, CPU_BYTES, true);
	v->engine = ic;
	ic->v = v;
	ic->ivm = vm->engine;
	pthread_mutex_lock(&ic->ivm->code_lock);
	if (!ic->ivm->budget[BUDGET_BLOCKS].each)
		interp_budgets_init(ic->ivm, ram);
	ic->next = ic->ivm->cpus;
	ic->ivm->cpus = ic;
	pthread_mutex_unlock(&ic->ivm->code_lock);
	ic->stored_slow = uop_stored_slow;
	ic->unchained = vm->exact;
	ic->x87_no_sel = cpu_model_has(v->model, X86_FEAT_ZERO_FCS_FDS);
	ic->x87_lazy_fdp = cpu_model_has(v->model, X86_FEAT_FDP_EXCPTN);
	ic->has_avx = __builtin_cpu_supports("avx");
	ic->null_entry.code = &ic->zero_code;
	atomic_store(&ic->parked, true);
	ic->draft = block_draft_new();
	pool_size = budget_most(&ic->ivm->budget[BUDGET_BLOCKS]);
	pool = map_zeroed(pool_size);
	if (pool) {
		/* blocks of large programs are all over it; small guests are wanted small */
		if (pool_size >= POOL_HUGE) {
			(void)madvise(pool, pool_size, MADV_HUGEPAGE);
			(void)madvise(ic, CPU_BYTES, MADV_HUGEPAGE); /* the hash tables */
		}
		ic->pool = pool;
		ic->pool_size = pool_size;
		check(block_pool_room(ic, 1)); /* of the share that is always there */
		r = thunk_arena_init(&ic->thunks, THUNK_SIZE, err);
	} else {
		r = error_set(err, -ENOMEM, "interp: no memory for the block cache of vCPU %u",
			      v->index);
	}
	if (!r)
		r = trap_thread_init(ic, err);
	if (!r)
		r = x86_stop_join(v, err);
	if (!r)
		r = check_smp(ic->ivm, err);
	if (r)
		interp_vcpu_done(v);
	return r;
}

static void interp_kick(struct vcpu *v)
{
	vcpu_request(v, VCPU_REQ_KICK);
}

static int interp_get_state(struct vcpu *v, struct x86_state *ret_state)
{
	*ret_state = v->s;
	return 0;
}

static int interp_set_state(struct vcpu *v, const struct x86_state *state)
{
	v->s = *state;
	x86_state_changed(v);
	return 0;
}

static int interp_probe(struct engine_caps *ret_caps, struct error *err)
{
	struct thunk_arena a;
	int r = thunk_arena_init(&a, 65536, err);

	*ret_caps = (struct engine_caps){.name = "interp", .speed = 10};
	snprintf(ret_caps->detail, sizeof(ret_caps->detail), "%s",
		 r ? "the host does not allow executable memory"
		   : "reference interpreter: needs nothing but user-mode x86-64");
	if (!r)
		thunk_arena_done(&a);
	return r;
}

const struct engine_ops engine_interp = {
	.name = "interp",
	.probe = interp_probe,
	.vm_init = interp_vm_init,
	.vm_done = interp_vm_done,
	.vcpu_init = interp_vcpu_init,
	.run = interp_run,
	.kick = interp_kick,
	.get_state = interp_get_state,
	.set_state = interp_set_state,
	.vcpu_done = interp_vcpu_done,
};
