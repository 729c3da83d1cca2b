/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System instructions in native code. Intel SDM vol. 2; vol. 3, 6.8.1 (STI and interrupts), 9.3
 * (serializing instructions).
 *
 * The frequent ones that only move bits of struct vcpu (CLI, STI, STAC, CLAC, SWAPGS, PUSHF, reads
 * of control and segment registers, FS and GS bases) are emitted inline; what asks for CPL 0 when
 * the block's key says that or real mode. The others run in the
 * interpreter's handler, called from native code. In the interpreter most of them end the block and
 * go through the run loop, because the mode, the mapping or what is pending may have changed; here
 * tr_special() and tr_transfer() look at just that, and go on in native code whenever there is any:
 * at the next instruction, or at the target of a far transfer or of the exception that was raised.
 *
 * The most frequent of those go to light.c first, which does without the handler's surroundings in
 * the usual case.
 *
 * STI: the instruction after it in the same block always runs before anybody looks at interrupts.
 * When it is the block's last, or an interrupt is waiting, the exact handler and the run loop keep
 * the shadow.
 */
#include "engine/translate/xlat.h"

/* ---- called by native code ---- */

/* To the block at s.rip if it can be entered at once. X86_OK: the run loop must look. */
static int dispatch(struct vcpu *v)
{
	const struct interp_cpu *ic = icpu(v);
	const struct block *b = jump_get(ic, v->s.rip);
	const struct x86_tlb_entry *e;
	uint32_t key;
	bool mmio;

	if (!b || b->rip != v->s.rip || !b->native || ic->unchained || x86_poll_needed(v))
		return X86_OK;
	interp_settle_rf(v);
	if (interp_needs_single(v))
		return X86_OK;
	key = interp_key(v);
	if (b->key != key || !(key & X86_MODE_FLAT) || !block_valid(b))
		return X86_OK;
	e = x86_fetch_page(v, b->rip, &mmio); /* the run loop finds a fault again */
	if (!e || e->host != b->page)
		return X86_OK;
	v->count.blocks++;
	return tr_goto(v, b);
}

int tr_fault(struct vcpu *v)
{
	int r = x86_deliver(v);

	return r == X86_OK ? dispatch(v) : r;
}

/* A handler that goes elsewhere, or whose instruction does. */
int tr_transfer(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	int r = uop_block(u)->cold[u->n].fn(v, u, tab, fl);

	if (r == X86_FAULT)
		return tr_fault(v);
	return r == X86_OK ? dispatch(v) : r;
}

/* A handler that may have changed anything, but whose instruction normally goes on to the next. */
static int tr_special(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	int r = uop_block(u)->cold[u->n].fn(v, u, tab, fl);

	if (UNLIKELY(r != X86_OK))
		return r == X86_FAULT ? tr_fault(v) : r;
	if (x86_poll_needed(v) || interp_needs_single(v))
		return X86_OK;
	if (v->s.rip != uop_next_rip(u) || interp_key(v) != icpu(v)->key)
		return dispatch(v);
	return tr_resume(v, u, v->tlb->e[v->tlb->data_table], fl_load(v->s.rflags));
}

/* ---- emitting ---- */

static void call_for(struct xlat *x, uop_fn fn)
{
	need_m(x);
	tr_imm64(&x->m, S1, (uintptr_t)&x->b->uop[x->i]);
	tr_imm64(&x->m, S2, (uintptr_t)fn);
	tr_jump_to(&x->m, 0xe8, x->rx, xlat_caller(x, x->vec));
	x->e = false;
}

/* op byte gs:[off], imm8 of group 1 (@op 80, @ext: 1 or, 4 and, 7 cmp) or TEST (f6, 0) */
static void gs_byte(struct emit *m, uint8_t op, unsigned ext, size_t off, uint8_t imm)
{
	TR_FIELD(m, off, 1, op, (uint8_t)(ext << 3 | 4));
	emit8(m, imm);
}

#define IF_BYTE (offsetof(struct vcpu, s.rflags) + 1)
#define IF_BIT  (X86_IF >> 8)

static void put_cli(struct xlat *x)
{
	need_m(x);
	x->e = false;
	gs_byte(&x->m, 0x80, 4, IF_BYTE, (uint8_t)~IF_BIT);
}

static void put_sti(struct xlat *x)
{
	struct emit *m = &x->m;
	struct stub *slow;
	unsigned over;

	need_m(x);
	x->e = false;
	gs_byte(m, 0xf6, 0, IF_BYTE, IF_BIT);
	EMIT(m, 0x75, 0); /* jnz over */
	over = m->n;
	gs_byte(m, 0x80, 7, offsetof(struct vcpu, irq_waiting), 0);
	EMIT(m, 0x0f, 0x85);
	emit32(m, 0);
	slow = xlat_stub(x, STUB_SLOW);
	gs_byte(m, 0x80, 1, IF_BYTE, IF_BIT);
	m->buf[over - 1] = (uint8_t)(m->n - over);
	slow->back = m->n;
}

static void put_swapgs(struct xlat *x)
{
	const size_t gs = offsetof(struct vcpu, s.seg) + X86_GS * sizeof(struct x86_seg) +
			  offsetof(struct x86_seg, base);
	const size_t other = offsetof(struct vcpu, s.kernel_gs_base);

	tr_gs(&x->m, true, 0x8b, S1, gs);
	tr_gs(&x->m, true, 0x8b, S2, other);
	tr_gs(&x->m, true, 0x89, S1, other);
	tr_gs(&x->m, true, 0x89, S2, gs);
}

static bool put_read_cr(struct xlat *x, const struct insn *in)
{
	static const uint16_t at[] = {
		[0] = offsetof(struct vcpu, s.cr0),
		[2] = offsetof(struct vcpu, s.cr2),
		[3] = offsetof(struct vcpu, s.cr3),
		[4] = offsetof(struct vcpu, s.cr4),
	};
	unsigned to = tr_host[in->rm] != NO_REG ? tr_host[in->rm] : S1;

	if (in->reg == 1 || in->reg > 4)
		return false;
	tr_gs(&x->m, x->is64, 0x8b, to, at[in->reg]);
	xlat_put(x, in->rm, to);
	return true;
}

/* RFLAGS.AC, and the table of data accesses that follows from it: x86_tlb_context(). */
static void put_ac(struct xlat *x, bool set)
{
	struct emit *m = &x->m;
	const struct x86_tlb *t = x->v->tlb;
	const size_t ac = offsetof(struct vcpu, s.rflags) + 2;

	static_assert(X86_AC >> 16 == 4 && X86_CR4_SMAP == 1 << 21, "the bits below");
	static_assert(X86_TLB_SUPER == 0 && X86_TLB_SMAP == 1, "the table's number is SMAP");
	static_assert(sizeof(t->e[0]) == 1 << 16, "shifted by 16");
	need_m(x);
	x->e = false;
	gs_byte(m, 0x80, set ? 1 : 4, ac, set ? 4 : (uint8_t)~4);
	tr_gs(m, false, 0x8b, S2, offsetof(struct vcpu, s.cr4));
	EMIT(m, 0x41, 0xc1, 0xeb, 21);                 /* shr r11d, 21 */
	EMIT(m, 0x41, 0x83, 0xe3, 1);                  /* and r11d, 1 */
	if (set) {                                     /* supervisor slots are not to be kept now */
		EMIT(m, 0x65, 0x44, 0x88, 0x1c, 0x25); /* mov gs:[hold], r11b */
		emit32(m, (uint32_t)offsetof(struct vcpu, slots.hold));
		EMIT(m, 0x45, 0x31, 0xdb); /* xor r11d, r11d */
	} else {
		EMIT(m, 0x65, 0xc6, 0x04, 0x25); /* mov byte gs:[hold], 0 */
		emit32(m, (uint32_t)offsetof(struct vcpu, slots.hold));
		emit8(m, 0);
	}
	tr_imm64(m, S1, (uintptr_t)&t->data_table);
	EMIT(m, 0x45, 0x88, 0x1a); /* mov [r10], r11b */
	tr_imm64(m, S1, (uintptr_t)t->e[0]);
	EMIT(m, 0x41, 0xc1, 0xe3, 16); /* shl r11d, 16 */
	tr_rr(m, true, 0x01, S2, S1);
	tr_gs(m, true, 0x89, S1, tr_word(W_TAB));
}

/* The flags in s.rflags and W_FL as one word, on the stack. */
static bool put_pushf(struct xlat *x, const struct insn *in)
{
	struct emit *m = &x->m;
	struct insn push = {
		.special = SP_PUSH_REG, .opsize = in->opsize, .addrsize = (uint8_t)x->w};
	struct uop u;

	if (x->b->key & X86_MODE_VM || in->opsize != x->w ||
	    !branch_handler(x->b->key, &push, x->b->rip, &u))
		return false;
	need_m(x);
	x->e = false;
	tr_flags_fetch(m, x->rx, x->t->fetch);
	tr_gs(m, false, 0x8b, S1, tr_word(W_FL));
	tr_rr(m, false, 0x89, S1, S2);
	EMIT(m, 0x41, 0xc1, 0xea, 8); /* shr r10d, 8 */
	EMIT(m, 0x41, 0x81, 0xe2);    /* and r10d, */
	emit32(m, 0xd5);
	EMIT(m, 0x41, 0x83, 0xe3, 1);  /* and r11d, 1 */
	EMIT(m, 0x41, 0xc1, 0xe3, 11); /* shl r11d, 11 */
	tr_rr(m, false, 0x09, S2, S1);
	tr_gs(m, false, 0x8b, S2, offsetof(struct vcpu, s.rflags));
	EMIT(m, 0x41, 0x81, 0xe3); /* and r11d, */
	emit32(m, ~(uint32_t)(X86_ARITH | X86_VM | X86_RF));
	tr_rr(m, false, 0x09, S2, S1);
	tr_gs(m, true, 0x89, S1, tr_word(W_STR_A));
	xlat_push_word(x, W_STR_A);
	return true;
}

static bool put_read_seg(struct xlat *x, const struct insn *in)
{
	if (in->flags & INSN_MEM || in->reg > X86_GS || in->opsize < 4)
		return false;
	EMIT(&x->m, 0x65, 0x44, 0x0f, 0xb7, 0x14, 0x25); /* movzx r10d, word gs:[] */
	emit32(&x->m, (uint32_t)(offsetof(struct vcpu, s.seg) + in->reg * sizeof(struct x86_seg) +
				 offsetof(struct x86_seg, sel)));
	xlat_put(x, in->rm, S1);
	return true;
}

/* RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE */
static bool put_base(struct xlat *x, const struct insn *in, bool write)
{
	struct emit *m = &x->m;
	size_t base = offsetof(struct vcpu, s.seg) + offsetof(struct x86_seg, base) +
		      (in->modrm >> 3 & 1 ? X86_GS : X86_FS) * sizeof(struct x86_seg);
	bool wide = in->rex & 8;
	struct stub *off, *bad;

	if (!x->is64)
		return false;
	need_m(x);
	x->e = false;
	static_assert(X86_CR4_FSGSBASE == 1 << 16, "bit 0 of byte 2");
	gs_byte(m, 0xf6, 0, offsetof(struct vcpu, s.cr4) + 2, 1);
	EMIT(m, 0x0f, 0x84);
	emit32(m, 0);
	off = xlat_stub(x, STUB_SLOW);
	if (write) {
		tr_rr(m, wide, 0x89, xlat_get(x, in->rm, S1), S1);
		tr_rr(m, true, 0x89, S1, S2);
		EMIT(m, 0x49, 0xc1, 0xe3, 16, 0x49, 0xc1, 0xfb, 16); /* shl, sar r11, 16 */
		tr_rr(m, true, 0x39, S1, S2);
		EMIT(m, 0x0f, 0x85);
		emit32(m, 0);
		bad = xlat_stub(x, STUB_SLOW);
		tr_gs(m, true, 0x89, S1, base);
		bad->back = m->n;
	} else {
		tr_gs(m, wide, 0x8b, S1, base);
		xlat_put(x, in->rm, S1);
	}
	off->back = m->n;
	return true;
}

static bool is_transfer(unsigned special)
{
	switch (special) {
	case SP_JMP_FAR:
	case SP_CALL_FAR:
	case SP_RETF:
	case SP_IRET:
	case SP_INT3:
	case SP_INT_N:
	case SP_INTO:
	case SP_INT1:
	case SP_SYSCALL:
	case SP_SYSRET:
	case SP_SYSENTER:
	case SP_SYSEXIT: return true;
	default: return false;
	}
}

typedef int (*light_fn)(struct vcpu *v, const struct uop *u);

/* What light.c has for the instruction, or NULL. */
static light_fn light_of(const struct xlat *x, const struct insn *in)
{
	bool cpl0 = !(x->b->key & (X86_MODE_USER | KEY_RING12));

	if (in->special == SP_SYSENTER)
		return x86_is_amd(x->v) ? NULL : tr_light_sysenter;
	if (!x->is64)
		return NULL;
	switch (in->special) {
	case SP_SYSCALL: return tr_light_syscall;
	case SP_SYSRET: return tr_light_sysret;
	case SP_IRET: return in->opsize == 8 ? tr_light_iretq : NULL;
	case SP_MOV_TO_CR: return in->reg == 3 && cpl0 ? tr_light_cr3 : NULL;
	case SP_INVLPG: return cpl0 ? tr_light_invlpg : NULL;
	default: return NULL;
	}
}

/* Goes on behind with carry clear if it did the instruction and that goes to the next one. */
static void put_light(struct xlat *x, light_fn fn)
{
	need_m(x);
	tr_imm64(&x->m, S1, (uintptr_t)&x->b->uop[x->i]);
	tr_imm64(&x->m, S2, (uintptr_t)fn);
	tr_jump_to(&x->m, 0xe8, x->rx, x->t->light);
	x->e = false;
}

/* The interpreter's handler, then the next instruction in another block: what was mapped where may
 * have changed, so the way there is one to another page. */
static void put_end(struct xlat *x, light_fn light)
{
	uint64_t next = x->b->rip + x->b->cold[x->i + 1].off;
	unsigned over = 0;

	if (light) {
		put_light(x, light);
		EMIT(&x->m, 0x73, 0); /* jnc over */
		over = x->m.n;
	}
	call_for(x, tr_special);
	if (light)
		x->m.buf[over - 1] = (uint8_t)(x->m.n - over);
	xlat_exit(x, 0, x->is64 ? next : (uint32_t)next);
}

enum xlat_end xlat_system(struct xlat *x, const struct insn *in)
{
	uop_fn fn = x->b->cold[x->i].fn;
	uint32_t key = x->b->key;
	bool cpl0 = !(key & (X86_MODE_USER | X86_MODE_VM | KEY_RING12));

	if (fn == uop_special_end && key & X86_MODE_FLAT && in->special != SP_HLT &&
	    in->special != SP_MWAIT) {
		light_fn light = light_of(x, in);

		if (!is_transfer(in->special)) {
			put_end(x, light);
			return XLAT_DONE;
		}
		if (light)
			put_light(x, light);
		call_for(x, tr_transfer);
		return XLAT_DONE;
	}
	if (fn != uop_special && fn != uop_sti)
		return XLAT_NOT;
	switch (in->special) {
	case SP_PUSHF: return put_pushf(x, in) ? XLAT_NEXT : XLAT_NOT;
	case SP_MOV_FROM_SEG: return put_read_seg(x, in) ? XLAT_NEXT : XLAT_NOT;
	case SP_RDFSGSBASE: return put_base(x, in, false) ? XLAT_NEXT : XLAT_NOT;
	case SP_WRFSGSBASE: return put_base(x, in, true) ? XLAT_NEXT : XLAT_NOT;
	default: break;
	}
	if (!cpl0)
		return XLAT_NOT;
	switch (in->special) {
	case SP_CLI: put_cli(x); return XLAT_NEXT;
	case SP_CLAC:
	case SP_STAC: put_ac(x, in->special == SP_STAC); return XLAT_NEXT;
	case SP_STI:
		if (x->i + 1u == x->b->n_insns)
			return XLAT_NOT;
		put_sti(x);
		return XLAT_NEXT;
	case SP_SWAPGS:
		if (!x->is64)
			return XLAT_NOT;
		put_swapgs(x);
		return XLAT_NEXT;
	case SP_MOV_FROM_CR: return put_read_cr(x, in) ? XLAT_NEXT : XLAT_NOT;
	default: return XLAT_NOT;
	}
}
