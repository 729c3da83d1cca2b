/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The translating engine: engine_ops around the interpreter's (translate.h says how they share the
 * work), when blocks get translated, and the code cache's lifetime.
 *
 * The code cache is per vCPU, takes memory from the VM's budget as it grows (interp/budget.c), and
 * is dropped as a whole together with the interpreter's blocks; that happens in the run loop only,
 * when no native code is on the stack.
 *
 * UNMODELLED: vCPUs do not share translations; stack accesses and near branches of code in segments
 * with a base or limit run in the interpreter's handlers.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "engine/translate/translate.h"

#define DATA_SIZE (TR_MAPPINGS * sizeof(struct tr_mapping))
/* What is there from the start: fixed routines are in the first piece. */
#define FIRST_PIECE ((size_t)CODE_MAP_PIECE)
#define CODE_KEPT   (FIRST_PIECE + DATA_SIZE)
#define RAS_BYTES   (2 * (TR_RAS_EACH + TR_RAS_ABOVE))
#define HOT         8u
#ifndef TR_VERIFY /* meson.build: builds with sanitizers look at all code */
#define TR_VERIFY 0
#endif
#define HWCAP2_FSGSBASE_ 2u /* asm/hwcap2.h: HWCAP2_FSGSBASE */

static void clear_jumps(struct translator *t)
{
	memset(t->jump, 0, X86_JUMPS * sizeof(t->jump[0]));
	tr_clear_jump(t, 0);
}

/* ---- hooks of the interpreter ---- */

static int count_heat(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct translator *t = icpu(v)->tr;
	struct block *b = (struct block *)uop_block(u);

	if (++b->heat >= t->hot) {
		if (tr_translate(v, b))
			return u->fn(v, u, tab, fl);
		if (!icpu(v)->flush_wanted)
			b->uop[0].fn = b->cold[0].fn; /* never */
	}
	return b->cold[0].fn(v, u, tab, fl);
}

/* Not while its code runs: slow paths of a block that was translated alone and now is with others
 * would go on in the interpreter. */
static void redo(struct vcpu *v, struct block *b)
{
	tr_forget(b);
	if (!tr_translate(v, b))
		icpu(v)->flush_wanted = true;
}

static int redo_first(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	redo(v, (struct block *)uop_block(u));
	return u->fn(v, u, tab, fl);
}

void tr_redo_later(struct block *b)
{
	tr_close(b->tr);
	b->native = NULL;
	b->uop[0].fn = redo_first;
}

/* A block that has run for so many times 4096 turns, and never fast, will not: then counting, which
 * is an addition to memory, costs more than what is missed if it does after all. */
enum { SELDOM_ENOUGH = 3 };

static void stop_counting(const struct tr_block *tb)
{
	/* sub dword gs:[disp32], imm8; js rel32: two NOPs of as many bytes */
	static const uint8_t nops[15] = {0x66, 0x0f, 0x1f, 0x84, 0,    0,    0, 0,
					 0,    0x66, 0x0f, 0x1f, 0x44, 0x00, 0};
	size_t at = (size_t)(tb->rx - tb->t->map.rx) + tb->counter;

	if (tb->dead)
		return;
	check(tr_in_code(tb->t, at, sizeof(nops)));
	memcpy(tb->t->map.rw + at, nops, sizeof(nops));
}

static void again(struct vcpu *v, struct block *b)
{
	struct tr_block *tb = b->tr;
	uint32_t now = (uint32_t)__builtin_ia32_rdtsc();

	if (b->often || !b->native || !block_valid(b))
		return;
	if (now - tb->counted > TR_OFTEN_TSC) {
		if (tb->seldom < SELDOM_ENOUGH && ++tb->seldom == SELDOM_ENOUGH)
			stop_counting(tb);
		v->turns[tb->turns] = TR_OFTEN;
		tb->counted = now;
		return;
	}
	b->often = true;
	redo(v, b);
}

int tr_often(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct block *b = (struct block *)uop_block(u);

	again(v, b);
	return icpu(v)->flush_wanted ? tr_leave(v, u, tab, fl) : u->fn(v, u, tab, fl);
}

int tr_often_later(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	again(v, uop_block(u)->tr->first);
	return tr_leave(v, u, tab, fl);
}

static void on_built(struct vcpu *v, struct block *b)
{
	b->cold[0].fn = b->uop[0].fn;
	b->uop[0].fn = count_heat;
}

static void on_revalidated(struct block *b)
{
	if (b->tr->b == b) {
		tr_revive(b->tr);
		return;
	}
	/* With successors: they have not been compared. The next one is without. */
	tr_forget(b);
	b->alone = true;
	on_built(NULL, b);
}

/* Where others can use the memory, it goes back to the budget and to the host. */
static void drop_code(struct interp_cpu *ic)
{
	struct translator *t = ic->tr;
	struct budget *b = &ic->ivm->budget[BUDGET_CODE];

	if (b->common) {
		t->used = MIN(t->used, FIRST_PIECE);
		t->cold = t->cold_first;
		code_map_drop(&t->map, FIRST_PIECE, t->used_taken);
		code_map_drop(&t->map, t->cold_first, t->cold_taken);
		t->used_taken = FIRST_PIECE;
		t->cold_taken = t->cold_first;
		budget_give_back(b, &ic->share[BUDGET_CODE], CODE_KEPT);
	}
	memset(t->map.rw + t->first, 0xcc, t->used - t->first);
	memset(t->map.rw + t->cold_first, 0xcc, t->cold - t->cold_first);
	t->used = t->first;
	t->cold = t->cold_first;
}

/* Is there room in [, *taken) of a region that ends at @end, or can it have more? */
static bool region_room(struct interp_cpu *ic, size_t used, size_t *taken, size_t end)
{
	while (UNLIKELY(used + TR_ROOM > *taken)) {
		if (*taken + CODE_MAP_PIECE > end || !interp_take(ic, BUDGET_CODE, CODE_MAP_PIECE))
			return false;
		*taken += CODE_MAP_PIECE;
	}
	return true;
}

bool tr_room_for_code(struct interp_cpu *ic)
{
	struct translator *t = ic->tr;

	return region_room(ic, t->used, &t->used_taken, t->cold_first) &&
	       region_room(ic, t->cold, &t->cold_taken, t->code_size);
}

static void on_flush(struct vcpu *v)
{
	struct translator *t = icpu(v)->tr;

	x87_resolve(v);
	tr_verify_end(icpu(v));
	drop_code(icpu(v));
	memset(t->page, 0, sizeof(t->page));
	t->last_exit = NULL;
	t->ras[0].sp = t->ras[0].base;
	t->ras[1].sp = t->ras[1].base;
	v->word[W_NSP] = v->word[W_RBASE];
	t->n_blocks = t->n_mappings = 0;
	t->dropped++;
	t->smp = icpu(v)->ivm->smp;
	clear_jumps(t);
}

struct tr_block *tr_find(const struct translator *t, uintptr_t pc)
{
	unsigned lo = 0, hi = t->n_blocks;
	size_t off = pc - (uintptr_t)t->map.rx;
	bool cold = off >= t->cold_first;

	if (!tr_in_code(t, off, 1))
		return NULL;
	while (hi - lo > 1) {
		unsigned mid = (lo + hi) / 2;

		if ((cold ? t->at[mid].cold : t->at[mid].rx) <= off)
			lo = mid;
		else
			hi = mid;
	}
	return hi == lo ? NULL : t->blocks[lo];
}

static uintptr_t on_fault(struct vcpu *v, uintptr_t pc)
{
	const struct tr_block *tb = tr_find(icpu(v)->tr, pc);

	for (unsigned i = 0; tb && i < tb->n_faults; i++)
		if ((uintptr_t)tb->rx + tb->fault[i].at == pc)
			return (uintptr_t)tb->rx + tb->fault[i].stub;
	return 0;
}

static uintptr_t on_overflow(struct vcpu *v, uintptr_t pc, uintptr_t addr)
{
	const struct translator *t = icpu(v)->tr;
	uintptr_t base = v->word[W_RBASE];

	if (pc < (uintptr_t)t->map.rx || pc >= (uintptr_t)t->map.rx + t->code_size ||
	    addr < base - TR_RAS_EACH || addr >= base - TR_RAS_SIZE)
		return 0;
	return base;
}

static const struct interp_hooks hooks = {
	.built = on_built,
	.revalidated = on_revalidated,
	.moved = tr_moved,
	.flush = on_flush,
	.crossing = tr_crossing,
	.stale = tr_stale,
	.trap = on_fault,
	.overflow = on_overflow,
};

/* ---- engine_ops ---- */

static void translator_free(struct translator *t)
{
	if (!t)
		return;
	code_map_done(&t->map);
	if (t->ras_map)
		munmap(t->ras_map, RAS_BYTES);
	if (t->slots) {
		munmap(t->slots->noted, t->slots->n_noted * sizeof(x86_noted));
		t->slots->n_noted = 0;
		if (t->slots->windows)
			munmap(t->slots->windows->host, X86_WINDOWS * X86_WINDOW_SIZE);
		free(t->slots->windows);
		t->slots->windows = NULL;
	}
	free(t->blocks);
	free(t->at);
	free(t);
}

/* The guards stay inaccessible. */
static int ras_map(struct translator *t, struct error *err)
{
	uint8_t *p = mmap(NULL, RAS_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return error_set(err, -ENOMEM, "translate: no address space for return stacks");
	t->ras_map = p;
	for (unsigned i = 0; i < 2; i++) {
		p += TR_RAS_GUARD;
		if (mprotect(p, TR_RAS_SIZE + TR_RAS_ABOVE, PROT_READ | PROT_WRITE) < 0)
			return error_set(err, -ENOMEM, "translate: no memory for return stacks");
		p += TR_RAS_SIZE;
		t->ras[i].base = t->ras[i].sp = (uintptr_t)p;
		p += TR_RAS_ABOVE;
	}
	return 0;
}

/* What the stores of one vCPU of several are noted in: x86_note_store(). */
static int note_stores(struct engine_vm *vm, struct interp_cpu *ic, struct translator *t,
		       struct error *err)
{
	struct x86_slots *s = &ic->v->slots;
	uint64_t n = mem_ram_total(vm->mem) >> MEM_PAGE_SHIFT;
	void *p = mmap(NULL, n * sizeof(x86_noted), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return error_set(err, -ENOMEM, "translate: no address space for notes of stores");
	t->slots = s;
	s->noted = p;
	s->n_noted = n;
	atomic_store(&s->period[0], 1);
	atomic_store(&s->period[1], 1);
	return 0;
}

/* Pages of programs in a row: cpu/x86/window.c. Where there is no room, slots have one page more
 * often. */
static void windows_new(const struct engine_vm *vm, struct x86_slots *s)
{
	unsigned vcpus = vm->cpus ? MAX(vm->cpus->n, 1u) : 1;
	unsigned n = MIN(X86_WINDOWS_VM / vcpus, (unsigned)X86_WINDOWS);
	void *p = mmap(NULL, X86_WINDOWS * X86_WINDOW_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return;
	s->windows = xnew(struct x86_windows);
	s->windows->host = p;
	s->windows->n = n;
	s->windows->eager = vm->translate_at_once;
	for (unsigned i = 0; i < X86_WINDOWS; i++)
		s->windows->w[i].lin = UINT64_MAX;
}

/*
 * AMD's processors hand what was stored to the load that follows without any delay if both operands
 * have the same form and no segment (Zen 4: 0 cycles, through GS 7), as with guest registers and
 * flags that are in memory. So operands in struct vcpu are relative to RIP there, if it is near
 * enough. What other processors gain has not been measured.
 */
static uintptr_t find_home(const struct engine_vm *vm, const struct translator *t,
			   const struct vcpu *v)
{
	int64_t from = (intptr_t)v - (intptr_t)t->map.rx;
	bool wanted = vm->by_rip ? vm->by_rip > 0 : __builtin_cpu_is("amd");

	if (!wanted || from + (int64_t)sizeof(*v) > INT32_MAX ||
	    from - (int64_t)t->map.size < INT32_MIN)
		return 0;
	return (uintptr_t)t->map.rw + (uintptr_t)from;
}

static int translator_new(struct engine_vm *vm, struct interp_cpu *ic, struct error *err)
{
	struct translator *t = xnew(struct translator);
	size_t size = budget_most(&ic->ivm->budget[BUDGET_CODE]);
	int r = code_map_init(&t->map, size, &vm->room, err);

	t->code_size = size - DATA_SIZE;
	t->home = find_home(vm, t, ic->v);
	check(interp_take(ic, BUDGET_CODE, CODE_KEPT)); /* of the share that is always there */
	if (!r)
		r = ras_map(t, err);
	if (!r)
		r = tr_glue(t, ic, err);
	if (r) {
		translator_free(t);
		return r;
	}
	r = note_stores(vm, ic, t, err);
	if (r) {
		translator_free(t);
		return r;
	}
	windows_new(vm, &ic->v->slots);
	t->used_taken = FIRST_PIECE;
	t->cold_taken = t->cold_first;
	code_map_join(&t->map, 0);
	t->blocks = xnew_n(struct tr_block *, TR_BLOCKS);
	t->at = xnew_n(struct tr_at, TR_BLOCKS);
	t->bmi2 = __builtin_cpu_supports("bmi2");
	t->masked =
		t->bmi2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
	ic->v->word[W_ONES] = ~0ull;
	t->x87_fdp = !ic->x87_lazy_fdp;
	t->smp = ic->ivm->smp;
	t->jump = ic->v->jump;
	t->hot = vm->translate_at_once ? 1 : HOT;
	t->verify = vm->verify || TR_VERIFY;
	clear_jumps(t);
	ic->tr = t;
	ic->hooks = &hooks;
	return 0;
}

static int translate_probe(struct engine_caps *ret_caps, struct error *err)
{
	bool ok = getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_;
	int r = engine_interp.probe(ret_caps, err);

	ret_caps->name = "translate";
	ret_caps->speed = 20;
	if (r)
		return r;
	snprintf(ret_caps->detail, sizeof(ret_caps->detail), "%s",
		 ok ? "x86 to x86-64 translator, soft TLB"
		    : "the host's kernel does not let programs write the GS base (Linux 5.9 does)");
	return ok ? 0 : error_set(err, -ENOTSUP, "translate: %s", ret_caps->detail);
}

static int translate_vm_init(struct engine_vm *vm, struct error *err)
{
	return engine_interp.vm_init(vm, err);
}

static void translate_vm_done(struct engine_vm *vm)
{
	engine_interp.vm_done(vm);
}

static int translate_vcpu_init(struct engine_vm *vm, struct vcpu *v, struct error *err)
{
	int r = engine_interp.vcpu_init(vm, v, err);

	if (r)
		return r;
	r = translator_new(vm, icpu(v), err);
	if (r)
		engine_interp.vcpu_done(v);
	return r;
}

static void translate_vcpu_done(struct vcpu *v)
{
	struct interp_cpu *ic = icpu(v);

	if (ic) {
		tr_verify_end(ic);
		/* other vCPUs read the notes with this lock held */
		pthread_mutex_lock(&ic->ivm->code_lock);
		atomic_store(&v->slots.noting, (uint8_t)X86_NOTED_UNUSED);
		pthread_mutex_unlock(&ic->ivm->code_lock);
		translator_free(ic->tr);
	}
	engine_interp.vcpu_done(v);
}

/* With more vCPUs stores have to be noted (block.c of interp): what slots hold from before is not.
 */
static void begin_run(struct interp_cpu *ic)
{
	struct x86_slots *s = &ic->v->slots;
	bool smp = ic->ivm->smp;

	atomic_exchange(&ic->parked, false); /* a full fence */
	interp_empty_slots(ic);
	if (atomic_load_explicit(&s->noting, memory_order_relaxed) == X86_NOTED_ALL)
		return;
	if (smp)
		x86_slots_flush(ic->v);
	atomic_store(&s->noting, (uint8_t)(smp ? X86_NOTED_ALL : X86_NOTED_NOT));
}

static int translate_run(struct engine_vm *vm, struct vcpu *v, struct vcpu_exit *ret_exit)
{
	struct interp_cpu *ic = icpu(v);
	int r;

	if (ic->tr->smp != ic->ivm->smp)
		ic->flush_wanted = true;
	asm volatile("wrgsbase %0" : : "r"((uint64_t)(uintptr_t)v));
	begin_run(ic);
	r = engine_interp.run(vm, v, ret_exit);
	atomic_store_explicit(&ic->parked, true, memory_order_release);
	if (UNLIKELY(ic->tr->n_bad)) {
		ret_exit->reason = VCPU_EXIT_ERROR;
		error_set(&ret_exit->error, -EFAULT, "translate: bad code: %s", ic->tr->verdict);
	}
	return r;
}

static void translate_kick(struct vcpu *v)
{
	engine_interp.kick(v);
}

static int translate_get_state(struct vcpu *v, struct x86_state *ret_state)
{
	return engine_interp.get_state(v, ret_state);
}

static int translate_set_state(struct vcpu *v, const struct x86_state *state)
{
	return engine_interp.set_state(v, state);
}

const struct engine_ops engine_translate = {
	.name = "translate",
	.probe = translate_probe,
	.vm_init = translate_vm_init,
	.vm_done = translate_vm_done,
	.vcpu_init = translate_vcpu_init,
	.run = translate_run,
	.kick = translate_kick,
	.get_state = translate_get_state,
	.set_state = translate_set_state,
	.vcpu_done = translate_vcpu_done,
};
