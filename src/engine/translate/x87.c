/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87 and MMX instructions in translated code. Intel SDM vol. 1, 8.1.8 (instruction and operand
 * pointers), 8.1.9 (last opcode), 8.6 (pending exceptions), 9.5 (MMX and x87).
 *
 * The guest's x87 registers are the host's (interp.h), so an instruction is itself, with its
 * operand on a host pointer. A block that uses them looks once whether they are there
 * (X87_CHECKED), and again after anything that may have moved them or unmasked exceptions.
 *
 * FIP and FOP are those of the last instruction executed; its place is stored after it, unless one
 * of the same kind follows, with nothing in between that can look at them. Then only the next one's
 * slow path can, and stores it first (stub.x87). So it is with FCS, FDP and FDS, unless a register
 * of the operand's address is written before. FCS and FDS are not recorded on processors without
 * them.
 *
 * FDP is recorded by some processors for unmasked exceptions only (CPUID FDP_EXCPTN_ONLY). For
 * these, code that runs with all exceptions masked needs no store of it; when a vCPU unmasks one
 * for the first time all its code is dropped and translated again with that store
 * (translator.x87_fdp). Whether an exception has been recorded with it is what the host's own FDP
 * says (x87.c of the interpreter), up to FNCLEX, which is left to its handler for that.
 *
 * A pending unmasked exception is found by the host at the same instruction as by the guest; the
 * signal handler leads to the slow path, which finds it again and raises #MF.
 */
#include "engine/translate/xlat.h"

/* Where the block pool has the uop of instruction @i: vcpu.x87.last. */
static uint32_t place(const struct xlat *x, unsigned i)
{
	return (uint32_t)((const uint8_t *)&x->b->uop[i] - x->ic->pool);
}

static void put_selector(struct xlat *x, unsigned seg, size_t to)
{
	tr_gs(&x->m, false, 0x8b, S1,
	      offsetof(struct vcpu, s.seg) + seg * sizeof(struct x86_seg) +
		      offsetof(struct x86_seg, sel));
	emit8(&x->m, 0x66); /* 16 bits; x87.fds has room for 32 */
	tr_gs(&x->m, false, 0x89, S1, to);
}

/* FDP, an offset, of instruction @i. */
static void put_fdp(struct xlat *x, unsigned i)
{
	unsigned now = x->i;
	struct ea a;

	x->i = i;
	a = xlat_ea(x, &x->in[i]);
	x->i = now;
	a.seg = NO_REG;
	tr_gs(&x->m, true, 0x89, S2, tr_word(W_ENTRY));
	xlat_put_ea(x, S1, x->is64, &a, 0, S1, S2);
	if (a.a16)
		EMIT(&x->m, 0x45, 0x0f, 0xb7, 0xd2); /* movzx r10d, r10w */
	tr_gs(&x->m, true, 0x89, S1, offsetof(struct vcpu, x87.fdp));
	tr_gs(&x->m, true, 0x8b, S2, tr_word(W_ENTRY));
}

void xlat_x87_store(struct xlat *x, unsigned due)
{
	unsigned last = due & 0xff, mem = due >> 8;
	bool sel = !x->ic->x87_no_sel;
	struct emit *m = &x->m;

	if (last) {
		TR_FIELD(m, offsetof(struct vcpu, x87.last), 4, 0xc7, 4); /* mov dword [last], */
		emit32(m, place(x, last - 1));
	}
	if (!mem && (!last || !sel))
		return;
	tr_gs(m, true, 0x89, S1, tr_word(W_LIN));
	if (mem)
		put_fdp(x, mem - 1);
	if (mem && sel)
		put_selector(x, x->in[mem - 1].seg, offsetof(struct vcpu, x87.fds));
	if (last && sel)
		put_selector(x, X86_CS, offsetof(struct vcpu, s.fpu.fcs));
	tr_gs(m, true, 0x8b, S1, tr_word(W_LIN));
}

int tr_x87_load(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct interp_cpu *ic = icpu(v);
	uint16_t fcw;

	if (!v->x87.live)
		x87_load(ic);
	asm volatile("fnstcw %0" : "=m"(fcw));
	if ((fcw & 0x3f) != 0x3f && !ic->tr->x87_fdp) {
		ic->tr->x87_fdp = true;
		ic->flush_wanted = true;
		uop_uncount(v, u);
		return uop_leave(v, uop_rip(u), fl);
	}
	v->x87.live = X87_CHECKED;
	return tr_resume(v, u, tab, fl);
}

static void ensure_x87(struct xlat *x)
{
	struct emit *m = &x->m;
	unsigned over;

	if (x->x87)
		return;
	xlat_flags_free(x);
	TR_FIELD(m, offsetof(struct vcpu, x87.live), 1, 0x80, 0x3c); /* cmp byte [live], */
	EMIT(m, X87_CHECKED, 0x74, 0);                               /* je over */
	over = m->n;
	if (!x->m_ok) { /* for tr_x87_load(), which may leave; the recipe stays good */
		xlat_recipe(x, x->recipe);
		tr_flags_save(m);
	}
	xlat_x87_store(x, x->x87_due);
	x->x87_due = 0;
	tr_imm64(m, S1, (uintptr_t)&x->b->uop[x->i]);
	tr_imm64(m, S2, (uintptr_t)tr_x87_load);
	tr_jump_to(m, 0xe8, x->rx, x->t->call);
	check(m->n - over < 128);
	m->buf[over - 1] = (uint8_t)(m->n - over);
	x->s2_group = 0;
	x->x87 = true;
}

/* Nothing that can look at the pointers: no memory, no fault, no handler. */
static bool is_quiet(const struct xlat *x, unsigned i)
{
	const struct insn *in = &x->in[i];
	struct copy_plan p;

	return in->special == SP_NONE && !uop_fn_ends(x->b->cold[i].fn) &&
	       !(in->flags & (INSN_MEM | INSN_FPU | INSN_MMX | INSN_FWAIT)) &&
	       (insn_is_nop(in) || (!insn_may_fault(in) && xlat_plan(in, &p)));
}

/*
 * Will a later instruction store its place instead of this one, before anybody can look? That has
 * its slow path store what is due. *ret_moves: registers that are written until then.
 */
static bool next_replaces(const struct xlat *x, uint32_t *ret_moves)
{
	*ret_moves = x->in[x->i].gpr_written;
	for (unsigned i = x->i + 1; i < x->b->n_insns; i++) {
		uint32_t flags = x->in[i].flags;

		if (x->b->cold[i].fn == uop_x87 && flags & INSN_FPU && !(flags & INSN_X87_CTRL))
			return true;
		if (!is_quiet(x, i))
			return false;
		*ret_moves |= x->in[i].gpr_written;
	}
	return false;
}

/* The registers of the operand's address of instruction @i, as bits. */
static uint32_t address_of(const struct xlat *x, unsigned i)
{
	const struct insn *in = &x->in[i];

	return (in->base == NO_REG ? 0 : BIT(in->base)) |
	       (in->index == NO_REG ? 0 : BIT(in->index));
}

/* After the instruction: which pointers are due, and those that cannot wait. Keeps S1 and S2. */
static void pointers(struct xlat *x, const struct insn *in, bool mem)
{
	uint32_t moves;

	if (in->flags & INSN_FPU && !(in->flags & INSN_X87_CTRL)) {
		x->x87_due = (uint16_t)((x->x87_due & 0xff00) | (x->i + 1));
		if (mem && x->t->x87_fdp)
			x->x87_due = (uint16_t)((x->i + 1) << 8 | (x->i + 1));
	}
	if (!next_replaces(x, &moves)) {
		xlat_x87_store(x, x->x87_due);
		x->x87_due = 0;
	} else if (x->x87_due >> 8 && address_of(x, (x->x87_due >> 8) - 1u) & moves) {
		xlat_x87_store(x, x->x87_due & 0xff00);
		x->x87_due &= 0xff;
	}
}

/* The instruction itself, with the slow path @s for what it raises. */
static void put_insn(struct xlat *x, const struct insn *in, const struct copy_plan *p,
		     struct stub *s)
{
	if (insn_flags_needed(in))
		need_e(x);
	s->at = xlat_put_copy(x, in, p);
	if (in->rflags_written & X86_ARITH) {
		x->e = true;
		x->m_ok = false;
	}
	pointers(x, in, in->flags & INSN_MEM);
}

/* FLDCW: a control word that unmasks exceptions makes us translate otherwise first. */
static void check_control_word(struct xlat *x, struct stub **ret_s)
{
	struct emit *m = &x->m;

	x->s2_group = 0;
	EMIT(m, 0x45, 0x0f, 0xb6, 0x1a); /* movzx r11d, byte [r10] */
	EMIT(m, 0x41, 0xf6, 0xd3);       /* not r11b */
	EMIT(m, 0x41, 0xf6, 0xc3, 0x3f); /* test r11b, 0x3f */
	EMIT(m, 0x0f, 0x85);             /* jne slow */
	emit32(m, 0);
	*ret_s = xlat_stub(x, STUB_SLOW);
}

static bool is_fldcw(const struct insn *in)
{
	return in->flags & INSN_FPU && in->opcode == 0xd9 && (in->modrm >> 3 & 7) == 5;
}

static bool put_mem(struct xlat *x, const struct insn *in, const struct copy_plan *p)
{
	bool store = in->flags & INSN_MEM_WRITE;
	struct stub *s, *unmasks = NULL;
	struct ea a = xlat_ea(x, in);

	if (is_fldcw(in) && !x->t->x87_fdp) {
		if (!xlat_ptr(x, &a, in->mem_size, store, &s))
			return false;
		check_control_word(x, &unmasks);
	} else if (!xlat_operand(x, &a, in->mem_size, store, true, &s)) {
		return false;
	}
	put_insn(x, in, p, s);
	s->restore = x->e;
	s->back = x->m.n;
	if (unmasks) {
		unmasks->restore = s->restore;
		unmasks->back = s->back;
	}
	if (is_fldcw(in))
		x->x87 = false; /* the slow path may have unmasked */
	return true;
}

static bool can(const struct xlat *x, const struct insn *in, struct copy_plan *p)
{
	if (x->b->cold[x->i].fn != uop_x87 || !xlat_plan(in, p))
		return false;
	if (in->flags & INSN_X87_CTRL && x->b->cold[x->i].fop == X87_FOP_FNCLEX)
		return false;
	if (!(in->flags & INSN_MEM))
		return true;
	if (p->n_mem_gprs) /* MOVD's register in memory besides the pointer */
		return false;
	return xlat_operand_ok(x, in);
}

bool xlat_x87_ok(const struct xlat *x, const struct insn *in)
{
	struct copy_plan p;

	return can(x, in, &p) && !is_fldcw(in);
}

static void put_reg(struct xlat *x, const struct insn *in, const struct copy_plan *p)
{
	struct stub *s = xlat_stub(x, STUB_SLOW);

	s->site = 0;
	s->save = !x->m_ok;
	put_insn(x, in, p, s);
	s->restore = x->e;
	s->back = x->m.n;
}

void xlat_x87(struct xlat *x, const struct insn *in)
{
	struct copy_plan p;

	if (can(x, in, &p)) {
		ensure_x87(x);
		if (in->flags & (INSN_SSE | INSN_AVX))
			xlat_ensure_vec(x);
		if (!(in->flags & INSN_MEM)) {
			put_reg(x, in, &p);
			return;
		}
		if (put_mem(x, in, &p))
			return;
	}
	xlat_x87_store(x, x->x87_due);
	x->x87_due = 0;
	xlat_call_uop(x);
}
