/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between C and native code: the fixed routines at the start of the code cache, and the C functions
 * that native code calls.
 *
 * enter: a uop handler. Saves the callee-saved registers of the System V ABI, loads the guest's and
 * jumps to the block of its uop. call: from a slow path; all guest registers go to struct vcpu, a
 * handler is called, and if it says TR_NEXT everything is loaded again and the block goes on. tail:
 * leaves for good, by jumping to a handler with the stack as enter found it.
 */
#include "engine/translate/translate.h"

static void gprs(struct emit *m, bool store)
{
	for (unsigned g = 0; g < 16; g++)
		if (tr_host[g] != NO_REG)
			tr_gs(m, true, store ? 0x89 : 0x8b, tr_host[g],
			      offsetof(struct vcpu, s.gpr) + 8 * g);
}

/* [op] xmm or (with @wide) ymm register @x, gs:[off]; VEX where the host has AVX. */
static void vector(struct emit *m, bool avx, bool wide, bool store, unsigned x, size_t off)
{
	emit8(m, 0x65);
	if (avx) /* vmovdqu */
		EMIT(m, 0xc5, (uint8_t)((x < 8 ? 0xfa : 0x7a) | wide << 2));
	else if (x < 8)
		EMIT(m, 0xf3, 0x0f);
	else
		EMIT(m, 0xf3, 0x44, 0x0f);
	EMIT(m, store ? 0x7f : 0x6f, (uint8_t)((x & 7) << 3 | 4), 0x25);
	emit32(m, (uint32_t)off);
}

static void vectors(struct emit *m, bool avx, bool wide, bool store)
{
	for (unsigned x = 0; x < 16; x++)
		vector(m, avx, wide, store, x, offsetof(struct vcpu, s.fpu.ymm) + x * 32);
}

/* vptest of all upper halves: ZF when they are zero. Four chains of vpor in xmm0..3. */
static void test_upper(struct emit *m)
{
	for (unsigned x = 0; x < 16; x++) {
		size_t off = offsetof(struct vcpu, s.fpu.ymm) + x * 32 + 16;

		if (x < 4) {
			vector(m, true, false, false, x, off);
			continue;
		}
		/* vpor xmm(x % 4), same, gs:[off] */
		EMIT(m, 0x65, 0xc5, (uint8_t)(0xf9 - (x % 4) * 8), 0xeb, (uint8_t)(x % 4 << 3 | 4),
		     0x25);
		emit32(m, (uint32_t)off);
	}
	EMIT(m, 0xc5, 0xf9, 0xeb, 0xc1);       /* vpor xmm0, xmm0, xmm1 */
	EMIT(m, 0xc5, 0xe9, 0xeb, 0xd3);       /* vpor xmm2, xmm2, xmm3 */
	EMIT(m, 0xc5, 0xf9, 0xeb, 0xc2);       /* vpor xmm0, xmm0, xmm2 */
	EMIT(m, 0xc4, 0xe2, 0x79, 0x17, 0xc0); /* vptest xmm0, xmm0 */
}

/* ldmxcsr (2), stmxcsr (3) gs:[off] */
static void mxcsr(struct emit *m, unsigned ext, size_t off)
{
	EMIT(m, 0x65, 0x0f, 0xae, (uint8_t)(ext << 3 | 4), 0x25);
	emit32(m, (uint32_t)off);
}

static void set_vec(struct emit *m, uint32_t val)
{
	EMIT(m, 0x65, 0xc7, 0x04, 0x25); /* mov dword gs:[W_VEC], val */
	emit32(m, (uint32_t)tr_word(W_VEC));
	emit32(m, val);
}

/*
 * Routines of vector state; end in ret.
 *
 * A 256-bit load makes the upper halves "in use" even if it loads zeros. From then on processors
 * since Ice Lake take about 50 ns for the first legacy SSE instruction, and as much for the next
 * VEX one (Intel optimization manual, 15.3: mixing AVX and SSE). Guests' upper halves are zero
 * nearly always; then only the lower halves are loaded.
 */
static void put_vec_load(struct emit *m, bool avx)
{
	unsigned full, done;

	if (!avx) {
		vectors(m, false, false, false);
	} else {
		test_upper(m);
		EMIT(m, 0x0f, 0x85); /* jne full */
		full = m->n;
		emit32(m, 0);
		vectors(m, true, false, false);
		emit8(m, 0xe9); /* jmp done */
		done = m->n;
		emit32(m, 0);
		st_le32(m->buf + full, m->n - (full + 4));
		vectors(m, true, true, false);
		st_le32(m->buf + done, m->n - (done + 4));
	}
	mxcsr(m, 2, offsetof(struct vcpu, s.fpu.mxcsr));
	set_vec(m, 1);
	emit8(m, 0xc3);
}

static void put_vec_save(struct emit *m, bool avx)
{
	vectors(m, avx, avx, true);
	mxcsr(m, 3, offsetof(struct vcpu, s.fpu.mxcsr));
	mxcsr(m, 2, tr_word(W_MXCSR)); /* the host's */
	set_vec(m, 0);
	if (avx)
		EMIT(m, 0xc5, 0xf8, 0x77); /* vzeroupper */
	emit8(m, 0xc3);
}

static void pop_frame(struct emit *m)
{
	EMIT(m, 0x48, 0x83, 0xc4, 0x08);                                     /* add rsp, 8 */
	EMIT(m, 0x41, 0x5f, 0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x5d, 0x5b); /* pop r15..rbx */
}

static void put_enter(struct emit *m)
{
	int32_t to_block = -(int32_t)offsetof(struct block, uop);

	EMIT(m, 0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57); /* push rbx..r15 */
	EMIT(m, 0x48, 0x83, 0xec, 0x08);                                     /* sub rsp, 8 */
	tr_gs(m, true, 0x89, RDX, tr_word(W_TAB));
	tr_gs(m, false, 0x89, RCX, tr_word(W_FL));
	tr_gs(m, true, 0x8b, RAX, offsetof(struct vcpu, tlb));
	tr_mem(m, true, 0x8b, RAX, RAX, NO_REG, 0, (int32_t)offsetof(struct x86_tlb, generation));
	tr_gs(m, true, 0x89, RAX, tr_word(W_GEN));
	tr_gs(m, true, 0x8b, RAX, offsetof(struct vcpu, engine));
	tr_mem(m, false, 0x8b, RAX, RAX, NO_REG, 0, (int32_t)offsetof(struct interp_cpu, key));
	tr_gs(m, false, 0x89, RAX, tr_word(W_KEY));
	/* the block counts itself: undo what the caller counted. mov eax, [n_insns] */
	EMIT(m, 0x0f, 0xb7, 0x86);
	emit32(m, (uint32_t)(to_block + (int32_t)offsetof(struct block, n_insns)));
	tr_gs(m, true, 0x29, RAX, offsetof(struct vcpu, count.insns));
	tr_mem(m, true, 0x8b, S1, RSI, NO_REG, 0,
	       to_block + (int32_t)offsetof(struct block, native));
	gprs(m, false);
	EMIT(m, 0x41, 0xff, 0xe2); /* jmp r10 */
}

/* Arguments of a handler: v, S1, table, flags. */
static void put_args(struct emit *m, const struct vcpu *v)
{
	tr_imm64(m, RDI, (uintptr_t)v);
	tr_rr(m, true, 0x89, S1, RSI);
	tr_gs(m, true, 0x8b, RDX, tr_word(W_TAB));
	tr_gs(m, false, 0x8b, RCX, tr_word(W_FL));
}

static void put_call(struct emit *m, const struct vcpu *v, const uint8_t *rx, const uint8_t *load,
		     const uint8_t *save)
{
	unsigned out, go;

	gprs(m, true);
	tr_gs(m, false, 0x8b, RAX, tr_word(W_VEC));
	emit8(m, 0x50);      /* push rax: the stack is aligned now */
	EMIT(m, 0x85, 0xc0); /* test eax, eax */
	EMIT(m, 0x74, 5);    /* je over */
	tr_jump_to(m, 0xe8, rx, save);
	put_args(m, v);
	EMIT(m, 0x41, 0xff, 0xd3); /* call r11 */
	emit8(m, 0x59);            /* pop rcx */
	EMIT(m, 0x83, 0xf8, TR_NEXT);
	EMIT(m, 0x0f, 0x82); /* jb out */
	out = m->n;
	emit32(m, 0);
	EMIT(m, 0x0f, 0x85); /* jne go */
	go = m->n;
	emit32(m, 0);
	EMIT(m, 0x85, 0xc9); /* test ecx, ecx */
	EMIT(m, 0x74, 5);
	tr_jump_to(m, 0xe8, rx, load);
	gprs(m, false);
	emit8(m, 0xc3);
	st_le32(m->buf + go, m->n - (go + 4)); /* the target's own code loads vectors */
	gprs(m, false);
	EMIT(m, 0x48, 0x8d, 0x64, 0x24, 0x08); /* lea rsp, [rsp + 8]: drop the return address */
	EMIT(m, 0x65, 0xff, 0x24, 0x25);       /* jmp gs:[W_GO] */
	emit32(m, (uint32_t)tr_word(W_GO));
	st_le32(m->buf + out, m->n - (out + 4));
	EMIT(m, 0x48, 0x83, 0xc4, 0x08); /* drop the return address */
	pop_frame(m);
	emit8(m, 0xc3);
}

static void put_tail(struct emit *m, const struct vcpu *v, const uint8_t *rx, const uint8_t *save)
{
	gprs(m, true);
	tr_gs(m, false, 0x8b, RAX, tr_word(W_VEC));
	EMIT(m, 0x85, 0xc0);
	EMIT(m, 0x74, 5);
	tr_jump_to(m, 0xe8, rx, save);
	put_args(m, v);
	pop_frame(m);
	EMIT(m, 0x41, 0xff, 0xe3); /* jmp r11 */
}

static uint8_t *begin(struct translator *t, struct emit *m)
{
	while (m->n & 15)
		emit8(m, 0xcc);
	return t->map.rx + m->n;
}

int tr_glue(struct translator *t, struct interp_cpu *ic, struct error *err)
{
	struct emit m = {.buf = t->map.rw, .size = 32768};
	const uint8_t *save;
	struct vcpu *v = ic->v;

	t->vec_load = begin(t, &m);
	put_vec_load(&m, ic->has_avx);
	save = begin(t, &m);
	put_vec_save(&m, ic->has_avx);
	t->enter = begin(t, &m);
	put_enter(&m);
	t->call = begin(t, &m);
	put_call(&m, v, t->map.rx, t->vec_load, save);
	t->tail = begin(t, &m);
	put_tail(&m, v, t->map.rx, save);
	tr_string_glue(t, &m);
	while (m.n & 15)
		emit8(&m, 0xcc);
	tr_slot_glue(t, &m);
	t->first = t->used = align_up(m.n, 64);
	v->word[W_VEC] = 0;
	v->word[W_MXCSR] = 0x1f80;
	v->word[W_JTAB] = (uintptr_t)t->jump;
	return 0;
}

/* ---- called by native code ---- */

int tr_resume(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	v->word[W_FL] = fl;
	v->word[W_TAB] = (uintptr_t)tab;
	v->word[W_GEN] = v->tlb->generation;
	return TR_NEXT;
}

int tr_goto(struct vcpu *v, const struct block *b)
{
	struct interp_cpu *ic = icpu(v);

	ic->key = b->key;
	ic->exec_tab = v->tlb->e[v->cpl == 3 ? X86_TLB_USER : X86_TLB_SUPER];
	v->word[W_KEY] = b->key;
	v->word[W_GO] = (uintptr_t)b->native;
	(void)tr_resume(v, b->uop, v->tlb->e[v->tlb->data_table], fl_load(v->s.rflags));
	return TR_GOTO;
}

static void stored(struct vcpu *v, const struct uop *u, unsigned size)
{
	struct ram_block *rb = mem_block_of(v->mem, (void *)(uintptr_t)v->word[W_PTR]);

	check(rb);
	x86_slots_flush(v); /* the next one finds the code byte before it stores */
	mem_block_written(v->mem, rb, v->word[W_PTR] - (uintptr_t)rb->host, size);
	v->code_changed = true;
}

int tr_stored(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct uop_cold *c = &uop_block(u)->cold[u->n];
	bool leave;

	stored(v, u, c->mem_size ? c->mem_size : 8);
	leave = atomic_load_explicit(&v->request, memory_order_relaxed) || v->s.pending_dbg;
	if (v->code_changed) {
		v->code_changed = false;
		leave |= !block_valid(uop_block(u));
	}
	return leave ? uop_leave(v, uop_next_rip(u), fl) : tr_resume(v, u, tab, fl);
}

int tr_stored_go(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	stored(v, u, 8);
	v->code_changed = false;
	return tr_resume(v, u, tab, fl);
}

int tr_leave(struct vcpu *v, uint64_t rip, struct x86_tlb_entry *tab, uint32_t fl)
{
	return uop_leave(v, rip, fl);
}

/* Make the jump at the end of a block go to @nb without coming here again. */
static void patch(struct vcpu *v, const struct tr_exit *x, const struct block *nb)
{
	const struct translator *t = icpu(v)->tr;
	const struct tr_block *to = nb->tr;
	const uint8_t *entry, *rx;

	if (!x->site || (!x->far && x->b->succ_far & 1u << x->which))
		return;
	if (x->far)
		entry = to->entry_i;
	else if (x->e && (to->type != TR_TYPE_M || !x->m))
		entry = to->entry_e;
	else
		entry = to->entry_m;
	check(x->site >= t->map.rw + t->first && x->site + 4 <= t->map.rw + t->used);
	rx = x->site - t->map.rw + t->map.rx;
	st_le32(x->site, (uint32_t)(entry - (rx + 4)));
}

int tr_chain(struct vcpu *v, const struct tr_exit *x, struct x86_tlb_entry *tab, uint32_t fl)
{
	const struct block *nb = x->b->succ[x->which];

	if (nb && nb->native && block_valid(nb))
		patch(v, x, nb);
	/* A far exit inside a page follows an instruction that may have changed the mapping. */
	if (nb && x->far && !block_still_mapped(v, nb, x->rip))
		return uop_leave(v, x->rip, fl);
	return block_chain(v, x->b, tab, fl, x->which, x->rip);
}

int tr_miss(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct translator *t = icpu(v)->tr;
	uint64_t rip = v->word[W_PTR];
	const struct block *nb = icpu(v)->jump[jump_slot(rip)];

	if (nb && nb->rip == rip && nb->native && nb->key & X86_MODE_FLAT)
		t->jump[jump_slot(rip)] = (struct tr_jump){rip, nb->tr->entry_i};
	return uop_block(u)->cold[u->n].fn(v, u, tab, fl);
}
