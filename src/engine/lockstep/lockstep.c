/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lockstep engine: every block is run by the interpreter and by the translator's code from the
 * same state, and the two must agree on all registers, flags, x87 and vector state, on the way the
 * block ends, and on every byte of the pages it stores to. The first difference stops the VM with a
 * full report. A tool for whoever works on the translator; nothing is fast here.
 *
 * One run of a block: the interpreter first (a second, plain one with blocks of its own), with each
 * page copied before its first store (pages.c); what it did is kept and undone; then the translated
 * block; then they are compared, and the guest goes on with what both came to. An exception is part
 * of the block that raised it. When the two ran different numbers of instructions (translated code
 * may cover several blocks, or leave early after a store into code), the interpreter starts over,
 * one instruction at a time, for as many as the translator counted. A repeated string instruction
 * comes back now and then, and not after the same number of repetitions: then both are run to its
 * end.
 *
 * Blocks that do what cannot be undone run once, in the interpreter, and are counted as not
 * compared: port and MMIO accesses, MSRs, clocks and random numbers, HLT, CR8; also stores to more
 * pages than pages.c keeps, and code without translation (one at a time, over page boundaries, not
 * in RAM). Meanwhile the bus lock is held, so no device, timer or signal of this program changes
 * memory, interrupts or requests between the two runs. Host I/O into guest RAM that the kernel does
 * on its own (disks) can: a difference is looked at a second time before it is believed.
 *
 * Needs of the translator, see interp_cpu.unchained: no block is linked to another, and count.insns
 * is exact when native code returns to the run loop.
 *
 * UNMODELLED: more than one vCPU; races between vCPUs are what the tests of suite guest are for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "bus/bus.h"
#include "engine/lockstep/lockstep.h"

#define FIRST_RUNS   64u /* of each block are compared; then every vm->compare_every-th */
#define REPEATS_MOST 4096u
#define BREATHER     400u /* comparisons before the bus lock is left to others for a moment */

struct lockstep {
	struct x86_mem_watch watch; /* first: see on_store() */
	struct vcpu *v;
	struct engine_vm *vm;
	struct interp_cpu *ref, *tr;
	bool locked, effects; /* of the comparison under way: bus lock held; something was done that
				 cannot be done twice */
	unsigned every, held;
	uint64_t compared, longer, not_compared, unsteady, skipped;
	struct ls_snap start, want, got;
	const struct ls_snap *now; /* of these: what the vCPU has come to */
	struct ls_pages pages;
};

/* ---- what a block does to memory and devices ---- */

static void on_store(struct vcpu *v, struct x86_tlb_entry *e)
{
	struct lockstep *l = CONTAINER_OF(v->tlb->watch, struct lockstep, watch);

	ls_pages_store(&l->pages, l->ref->ivm, e);
}

/* Devices take the bus lock themselves. */
static void on_io(struct vcpu *v)
{
	struct lockstep *l = CONTAINER_OF(v->tlb->watch, struct lockstep, watch);

	l->effects = true;
	if (l->locked)
		bus_unlock(v->bus);
	l->locked = false;
}

/* ---- snapshots ---- */

static void snap(struct ls_snap *to, const struct vcpu *v, int r)
{
	to->s = v->s;
	to->next_rip = v->next_rip;
	to->mode = v->mode;
	to->cpl = v->cpl;
	to->request = atomic_load(&v->request);
	to->tlb_table = v->tlb->data_table;
	to->tlb_gen = v->tlb->generation;
	to->tlb_next_gen = v->tlb->next_gen;
	to->irq_waiting = v->irq_waiting;
	to->no_step = v->no_step;
	to->count = v->count;
	to->r = r;
}

/* Back to @from. The TLB needs no flush: its tags name the address space, and a block that flushed
 * it has only made it emptier. */
static void unsnap(struct vcpu *v, const struct ls_snap *from)
{
	bool wrapped = v->tlb->next_gen < from->tlb_next_gen;

	v->s = from->s;
	v->next_rip = from->next_rip;
	v->mode = from->mode;
	v->cpl = from->cpl;
	atomic_store(&v->request, from->request);
	v->tlb->data_table = from->tlb_table;
	v->tlb->generation = from->tlb_gen;
	v->irq_waiting = from->irq_waiting;
	v->no_step = from->no_step;
	v->count = from->count;
	v->code_changed = false;
	if (wrapped)
		x86_tlb_flush(v);
}

/* ---- running ---- */

static int run_on(struct lockstep *l, struct interp_cpu *ic, uint32_t key)
{
	struct vcpu *v = l->v;
	int r;

	v->engine = ic;
	trap_set_current(ic);
	r = interp_run_block(v, ic, key);
	x87_sync(ic);
	if (r == X86_FAULT)
		r = x86_deliver(v);
	v->engine = l->tr;
	trap_set_current(l->tr);
	return r;
}

/* Can the instruction be undone and done again with the same result? */
static bool repeatable(const struct insn *in)
{
	switch (in->special) {
	case SP_INS:
	case SP_OUTS:
	case SP_IN:
	case SP_OUT:
	case SP_HLT:
	case SP_RDMSR:
	case SP_WRMSR:
	case SP_RDTSC:
	case SP_RDTSCP:
	case SP_RDPMC:
	case SP_MONITOR:
	case SP_MWAIT:
	case SP_RSM:
	case SP_INVD:
	case SP_WBINVD: return false;
	case SP_MOV_FROM_CR:
	case SP_MOV_TO_CR: return in->reg != 8; /* the local APIC's TPR */
	default: return in->feature != X86_FEAT_RDRAND && in->feature != X86_FEAT_RDSEED;
	}
}

static bool block_repeatable(struct block *b)
{
	unsigned bits = b->key & X86_MODE_CS64 ? 64 : b->key & X86_MODE_CS32 ? 32 : 16;
	struct insn in;

	if (b->flags & (BLOCK_REPEATABLE | BLOCK_ONCE))
		return b->flags & BLOCK_REPEATABLE;
	b->flags |= BLOCK_REPEATABLE;
	for (unsigned off = 0; off < b->n_bytes; off += in.len) {
		if (insn_decode(b->bytes + off, b->n_bytes - off, bits, &in) || !in.len)
			break; /* the interpreter raises #UD or fetches again: nothing happens */
		if (!repeatable(&in))
			b->flags = (uint8_t)((b->flags & ~BLOCK_REPEATABLE) | BLOCK_ONCE);
	}
	return b->flags & BLOCK_REPEATABLE;
}

/* The block at RIP; NULL: the next run will build or fault, nothing to compare yet. */
static struct block *block_of(struct lockstep *l, struct interp_cpu *ic, uint32_t key)
{
	struct vcpu *v = l->v;
	struct block *b;
	int r;

	v->engine = ic;
	ic->key = key;
	ic->exec_tab = v->tlb->e[v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER];
	b = block_find(v, &r);
	v->engine = l->tr;
	return b;
}

static bool due(const struct lockstep *l, struct block *b)
{
	if (b->runs < FIRST_RUNS) {
		b->runs++;
		return true;
	}
	if (++b->runs < FIRST_RUNS + l->every)
		return false;
	b->runs = FIRST_RUNS;
	return true;
}

/* Let the main thread have the bus lock: mutexes are not fair. */
static void breathe(struct lockstep *l)
{
	const struct timespec moment = {.tv_nsec = 20000};

	if (++l->held < BREATHER)
		return;
	l->held = 0;
	nanosleep(&moment, NULL);
}

static void unlock(struct lockstep *l)
{
	if (l->locked)
		bus_unlock(l->v->bus);
	l->locked = false;
	breathe(l);
}

/* The interpreter again, from the start, until it has run as many instructions as the translator
 * did; what that comes to is in `want` and in the pages, the translator's in page.after. */
static void follow(struct lockstep *l)
{
	struct vcpu *v = l->v;
	uint64_t end = l->got.count.insns;
	int r = X86_OK;

	l->longer++;
	ls_pages_undo(&l->pages, l->ref->ivm, true);
	unsnap(v, &l->start);
	while (v->count.insns < end && r == X86_OK && !atomic_load(&v->request)) {
		uint64_t before = v->count.insns;
		struct block *b = block_of(l, l->ref, interp_key(v) | KEY_SINGLE);

		if (b && !block_repeatable(b))
			l->effects = true; /* a clock: not the same twice */
		r = run_on(l, l->ref, interp_key(v) | KEY_SINGLE);
		if (v->count.insns == before)
			break;
	}
	snap(&l->want, v, r);
	l->now = &l->want;
}

static bool agree(struct lockstep *l)
{
	return !ls_states_differ(&l->want, &l->got) && ls_pages_differ(&l->pages) < 0;
}

/* Does a repeated string instruction come next? */
static bool at_repeat(struct lockstep *l)
{
	struct block *b = block_of(l, l->ref, interp_key(l->v) | KEY_SINGLE);
	unsigned bits;
	struct insn in;

	if (!b)
		return false;
	bits = b->key & X86_MODE_CS64 ? 64 : b->key & X86_MODE_CS32 ? 32 : 16;
	return !insn_decode(b->bytes, b->n_bytes, bits, &in) &&
	       in.flags & (INSN_REP | INSN_REPNE) && in.special >= SP_MOVS && in.special <= SP_SCAS;
}

/* The translator, until it is out of repeated instructions. */
static void run_through(struct lockstep *l)
{
	struct vcpu *v = l->v;
	int r = X86_OK;

	unsnap(v, &l->start);
	for (unsigned i = 0; i < REPEATS_MOST; i++) {
		r = run_on(l, l->tr, interp_key(v));
		if (r != X86_OK || l->effects || l->pages.overflow || atomic_load(&v->request) ||
		    !at_repeat(l))
			break;
	}
	snap(&l->got, v, r);
	l->now = &l->got;
}

/* The interpreter, until it is where the translator is. */
static void follow_through(struct lockstep *l)
{
	struct vcpu *v = l->v;
	const struct x86_state *end = &l->got.s;
	int r = X86_OK;

	unsnap(v, &l->start);
	for (unsigned i = 0; i < REPEATS_MOST; i++) {
		r = run_on(l, l->ref, interp_key(v) | KEY_SINGLE);
		if (r != X86_OK || l->effects || l->pages.overflow ||
		    (v->s.rip == end->rip && v->s.gpr[X86_RCX] == end->gpr[X86_RCX]))
			break;
	}
	snap(&l->want, v, r);
	l->now = &l->want;
}

/* Both from the start again, to the end of the repeated instructions they stopped in. */
static bool run_both_through(struct lockstep *l)
{
	l->longer++;
	ls_pages_undo(&l->pages, l->ref->ivm, false);
	run_through(l);
	if (l->effects || l->pages.overflow)
		return true;
	ls_pages_undo(&l->pages, l->ref->ivm, true);
	follow_through(l);
	return l->effects || l->pages.overflow || agree(l);
}

/* Did one of the two stop in a repeated instruction? */
static bool stopped_in_repeat(struct lockstep *l)
{
	struct vcpu *v = l->v;
	uint64_t rip = v->s.rip;
	bool yes;

	v->s.rip = l->want.s.rip;
	yes = at_repeat(l);
	v->s.rip = l->got.s.rip;
	yes |= at_repeat(l);
	v->s.rip = rip;
	return yes;
}

/* Both runs. True: they agree, or there was something that cannot be compared. */
static bool run_both(struct lockstep *l, uint32_t key)
{
	struct vcpu *v = l->v;
	int r;

	snap(&l->start, v, X86_OK);
	ls_pages_begin(&l->pages, v);
	r = run_on(l, l->ref, key);
	snap(&l->want, v, r);
	l->now = &l->want;
	if (l->effects || l->pages.overflow)
		return true;
	ls_pages_undo(&l->pages, l->ref->ivm, true);
	unsnap(v, &l->start);
	r = run_on(l, l->tr, key);
	snap(&l->got, v, r);
	l->now = &l->got;
	if (l->effects || l->pages.overflow) /* it went further than the interpreter's block */
		return true;
	if (l->got.count.insns == l->start.count.insns &&
	    l->want.count.insns != l->start.count.insns && l->got.s.rip == l->start.s.rip &&
	    l->got.r == X86_OK) {
		/* native code left before its first instruction: nothing has happened */
		l->skipped++;
		return true;
	}
	if (l->got.count.insns != l->want.count.insns)
		follow(l);
	return l->effects || agree(l) || (stopped_in_repeat(l) && run_both_through(l));
}

static int differs(struct lockstep *l)
{
	struct vcpu *v = l->v;

	v->exit.reason = VCPU_EXIT_ERROR;
	error_set(&v->exit.error, -EIO,
		  "lockstep: interpreter and translator differ in the block at 0x%" PRIx64
		  " (report above)",
		  l->start.s.rip);
	return X86_EXIT;
}

/* interp_cpu.around: one block, for the run loop. */
static int lockstep_block(struct vcpu *v, uint32_t key)
{
	struct lockstep *l = CONTAINER_OF(v->tlb->watch, struct lockstep, watch);
	struct block *b = block_of(l, l->tr, key);
	int r;

	if (!b || b->flags & (BLOCK_SINGLE | BLOCK_TWO_PAGES) || !block_repeatable(b)) {
		l->not_compared++;
		return run_on(l, l->ref, key);
	}
	if (!due(l, b))
		return run_on(l, l->tr, key);
	bus_lock(v->bus);
	l->locked = true;
	l->effects = false;
	if (atomic_load(&v->request)) {
		unlock(l);
		return X86_OK; /* events first */
	}
	l->compared++;
	if (!run_both(l, key)) {
		/* once more: a disk may have written under our feet */
		struct ls_snap first = l->start;

		ls_report(v, b, &l->start, &l->want, &l->got, &l->pages);

		ls_pages_undo(&l->pages, l->ref->ivm, false);
		unsnap(v, &first);
		if (!run_both(l, key)) {
			ls_report(v, b, &l->start, &l->want, &l->got, &l->pages);
			unlock(l);
			return differs(l);
		}
		l->unsteady++;
		log_err("lockstep: the second time they agree: going on");
	}
	r = l->now->r;
	l->not_compared += l->effects || l->pages.overflow;
	ls_pages_end(&l->pages, v);
	unlock(l);
	return r;
}

/* ---- engine_ops ---- */

static int lockstep_probe(struct engine_caps *ret_caps, struct error *err)
{
	int r = engine_translate.probe(ret_caps, err);

	ret_caps->name = "lockstep";
	ret_caps->speed = 0; /* never by itself */
	if (!r)
		snprintf(ret_caps->detail, sizeof(ret_caps->detail),
			 "compares the translator with the interpreter; slow, one vCPU");
	return r;
}

static int lockstep_vm_init(struct engine_vm *vm, struct error *err)
{
	if (vm->cpus && vm->cpus->n > 1)
		return error_set(err, -EINVAL, "lockstep: one vCPU only (-c 1)");
	return engine_translate.vm_init(vm, err);
}

static void lockstep_vm_done(struct engine_vm *vm)
{
	engine_translate.vm_done(vm);
}

static void lockstep_free(struct lockstep *l)
{
	struct vcpu *v = l->v;

	v->tlb->watch = NULL;
	v->engine = l->ref;
	if (l->ref)
		engine_interp.vcpu_done(v);
	v->engine = l->tr;
	if (l->tr)
		engine_translate.vcpu_done(v);
	ls_pages_done(&l->pages);
	free(l);
}

static int lockstep_vcpu_init(struct engine_vm *vm, struct vcpu *v, struct error *err)
{
	struct lockstep *l = xnew(struct lockstep);
	bool at_once = vm->translate_at_once;
	int r = ls_pages_init(&l->pages, err);

	l->v = v;
	l->vm = vm;
	l->every = MAX(vm->compare_every, 1u);
	if (!r)
		r = engine_interp.vcpu_init(vm, v, err);
	l->ref = r ? NULL : icpu(v);
	vm->translate_at_once = true;
	if (!r)
		r = engine_translate.vcpu_init(vm, v, err);
	vm->translate_at_once = at_once;
	l->tr = r ? NULL : icpu(v);
	if (r) {
		lockstep_free(l);
		return r;
	}
	l->ref->unchained = l->tr->unchained = true;
	l->tr->around = lockstep_block;
	l->watch = (struct x86_mem_watch){.store = on_store, .io = on_io};
	v->tlb->watch = &l->watch;
	return 0;
}

static void lockstep_vcpu_done(struct vcpu *v)
{
	struct lockstep *l;

	if (!icpu(v))
		return;
	l = CONTAINER_OF(v->tlb->watch, struct lockstep, watch);
	log_info("lockstep: %" PRIu64 " blocks compared (%" PRIu64 " by instructions), %" PRIu64
		 " not comparable, %" PRIu64 " unsteady, %" PRIu64 " left at once",
		 l->compared, l->longer, l->not_compared, l->unsteady, l->skipped);
	lockstep_free(l);
}

static int lockstep_run(struct engine_vm *vm, struct vcpu *v, struct vcpu_exit *ret_exit)
{
	return engine_translate.run(vm, v, ret_exit);
}

static void lockstep_kick(struct vcpu *v)
{
	engine_interp.kick(v);
}

static int lockstep_get_state(struct vcpu *v, struct x86_state *ret_state)
{
	return engine_interp.get_state(v, ret_state);
}

static int lockstep_set_state(struct vcpu *v, const struct x86_state *state)
{
	return engine_interp.set_state(v, state);
}

const struct engine_ops engine_lockstep = {
	.name = "lockstep",
	.probe = lockstep_probe,
	.vm_init = lockstep_vm_init,
	.vm_done = lockstep_vm_done,
	.vcpu_init = lockstep_vcpu_init,
	.run = lockstep_run,
	.kick = lockstep_kick,
	.get_state = lockstep_get_state,
	.set_state = lockstep_set_state,
	.vcpu_done = lockstep_vcpu_done,
};
