/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System instructions that kernels execute all the time, in their usual case: SYSCALL, SYSENTER,
 * SYSRET, IRETQ, loads of CR3, INVLPG. Native code calls these functions by a routine that leaves
 * the guest's vector registers where they are (glue.c), so a system call does not move them; hence
 * this file is compiled without vector registers, and calls only what is, too
 * (tests/insn/gpr_only.sh).
 *
 * Each either does all of the instruction, or nothing (LIGHT_SLOW; arithmetic flags may have been
 * put where they belong), and then the instruction's handler is called as ever. What the handler's
 * callers look at afterwards (system.c) is looked at here as well: requests, single steps, stale
 * code, the block at the target.
 */
#include "engine/translate/translate.h"

void tr_renumber(struct translator *t)
{
	struct tr_mapping *m = (struct tr_mapping *)(void *)(t->map.rw + t->code_size);

	for (unsigned i = 0; i < t->n_mappings; i++)
		m[i].epoch = ~0ull;
	for (unsigned i = 0; i < ARRAY_SIZE(t->known); i++)
		t->known[i].number = 0;
	t->last_epoch = 0;
}

/* To s.rip: its native code if it can be entered at once, else the run loop. */
static int go(struct vcpu *v)
{
	struct interp_cpu *ic = icpu(v);
	const struct block *b = jump_get(ic, v->s.rip);
	const struct x86_tlb_entry *e;
	unsigned table = v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER;
	uint32_t key = interp_key(v);

	v->word[W_NSP] += 8; /* the native code that called is left */
	if (!b || b->rip != v->s.rip || !b->native || ic->unchained || x86_poll_needed(v) ||
	    b->key != key || !(key & X86_MODE_FLAT) || !block_valid(b) ||
	    b->flags & BLOCK_TWO_PAGES || atomic_load_explicit(&ic->n_stale, memory_order_acquire))
		return LIGHT_LEAVE;
	interp_settle_rf(v);
	if (interp_needs_single(v))
		return LIGHT_LEAVE;
	e = &v->tlb->e[table][(b->rip >> 12) & (X86_TLB_SIZE - 1)];
	if (e->tag_exec != ((b->rip & ~0xfffull) | v->tlb->generation))
		e = x86_tlb_cached(v, table, b->rip, X86_ACC_EXEC);
	if (!e || e->host != b->page)
		return LIGHT_LEAVE;
	v->count.blocks++;
	ic->key = key;
	ic->exec_tab = v->tlb->e[table];
	v->word[W_KEY] = key;
	v->word[W_FL] = fl_load(v->s.rflags);
	v->word[W_TAB] = (uintptr_t)v->tlb->e[v->tlb->data_table];
	v->word[W_GEN] = v->tlb->generation;
	v->word[W_GO] = (uintptr_t)b->native;
	tr_switch_epoch(v, tr_epoch_of(v));
	return LIGHT_GOTO;
}

static void begin(struct vcpu *v, const struct uop *u)
{
	v->s.rip = uop_rip(u);
	v->next_rip = uop_next_rip(u);
	v->s.rflags = fl_merge(v->s.rflags, (uint32_t)v->word[W_FL]);
}

/* Serializing instructions: as uop_special_end() does. */
static void serialize(const struct vcpu *v)
{
	if (UNLIKELY(icpu(v)->ivm->smp))
		atomic_thread_fence(memory_order_seq_cst);
}

static int go_on(struct vcpu *v)
{
	v->code_changed = false;
	v->s.rip = v->next_rip;
	return go(v);
}

int tr_light_syscall(struct vcpu *v, const struct uop *u)
{
	begin(v, u);
	return x86_syscall_fast(v) ? go_on(v) : LIGHT_SLOW;
}

int tr_light_sysret(struct vcpu *v, const struct uop *u)
{
	begin(v, u);
	return x86_sysret_fast(v, u->in->rex & 8) ? go_on(v) : LIGHT_SLOW;
}

int tr_light_sysenter(struct vcpu *v, const struct uop *u)
{
	begin(v, u);
	return x86_sysenter_fast(v) ? go_on(v) : LIGHT_SLOW;
}

int tr_light_iretq(struct vcpu *v, const struct uop *u)
{
	begin(v, u);
	if (!x86_iretq_fast(v))
		return LIGHT_SLOW;
	serialize(v);
	return go_on(v);
}

/*
 * W_EPOCH has changed. Mostly the code at @rip, which comes next, is mapped where it was, and in
 * the page of @b, the instruction's block: that is noted here, or else the native check would leave
 * it to tr_far() because the soft TLB has nothing yet. What cannot be known without a page fault or
 * a change of accessed bits is left to that all the same.
 */
static void find_code(struct vcpu *v, const struct block *b, uint64_t rip)
{
	struct tr_mapping *m = b->inst ? b->inst->mapping : NULL;
	const struct x86_tlb_entry *e = x86_tlb_find(v, X86_TLB_SUPER, rip, X86_ACC_EXEC);

	if (!e || !m || e->host != b->page || m->page[0] != b->page ||
	    m->key != (uint32_t)v->word[W_KEY] || m->base[0] != (rip & ~0xfffull) ||
	    b->flags & BLOCK_TWO_PAGES)
		return;
	m->epoch = (uint64_t)v->epoch << 32;
	m->used = icpu(v)->turn;
}

/* The mapping has changed; native code goes on behind the call, at the block's exit, whose target
 * looks at W_EPOCH and at requests. */
static int next(struct vcpu *v, const struct uop *u)
{
	uint64_t epoch = tr_epoch_of(v), back;

	serialize(v);
	v->word[W_GEN] = v->tlb->generation;
	if (UNLIKELY(epoch != v->word[W_EPOCH])) {
		back = *(const uint64_t *)(uintptr_t)v->word[W_NSP];
		v->word[W_NSP] += 8;
		tr_switch_epoch(v, epoch);
		v->word[W_NSP] -= 8;
		*(uint64_t *)(uintptr_t)v->word[W_NSP] = back;
		find_code(v, uop_block(u), uop_next_rip(u));
	}
	return LIGHT_NEXT;
}

static bool busy(const struct vcpu *v)
{
	return x86_poll_needed(v) || interp_needs_single(v) || v->trace & TRACE_MMU ||
	       atomic_load_explicit(&icpu(v)->n_stale, memory_order_acquire);
}

int tr_light_cr3(struct vcpu *v, const struct uop *u)
{
	if (busy(v) || v->cpl || !x86_set_cr3_fast(v, v->s.gpr[u->in->rm]))
		return LIGHT_SLOW;
	return next(v, u);
}

int tr_light_invlpg(struct vcpu *v, const struct uop *u)
{
	const struct insn *in = u->in;
	gva_t lin;

	if (busy(v) || v->cpl || !x86_is_64(v))
		return LIGHT_SLOW;
	v->next_rip = uop_next_rip(u); /* of RIP-relative operands */
	lin = special_ea(v, in);
	if (in->seg >= X86_FS)
		lin += v->s.seg[in->seg].base;
	if (x86_canonical(lin))
		x86_tlb_flush_page(v, lin);
	return next(v, u);
}
