/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translating instructions: registers, COPY instructions, LEA. Memory operands: mem.c.
 */
#include "engine/translate/xlat.h"

struct stub *xlat_stub(struct xlat *x, unsigned kind)
{
	struct stub *s = &x->stub[x->n_stubs];

	check(x->n_stubs < XLAT_STUBS);
	x->n_stubs++;
	*s = (struct stub){.kind = (uint8_t)kind,
			   .insn = (uint8_t)x->i,
			   .site = x->m.n - 4,
			   .recipe = x->e || x->m_ok ? 0 : x->recipe,
			   .x87 = x->x87_due,
			   .live = xlat_groups_live(x),
			   .s2_group = x->s2_group,
			   .s1_group = x->s1_group,
			   .vec = x->vec};
	return s;
}

/* Has the last instruction left guest register @g, which is in memory, in S1? */
static bool is_kept(const struct xlat *x, unsigned g)
{
	return x->kept_at == x->m.n && x->kept == g;
}

unsigned xlat_get(struct xlat *x, unsigned g, unsigned tmp)
{
	if (tr_host[g] != NO_REG)
		return tr_host[g];
	if (!is_kept(x, g))
		tr_gs(&x->m, true, 0x8b, tmp, offsetof(struct vcpu, s.gpr) + 8 * g);
	else if (tmp != S1)
		tr_rr(&x->m, true, 0x89, S1, tmp);
	return tmp;
}

void xlat_put(struct xlat *x, unsigned g, unsigned h)
{
	if (tr_host[g] != NO_REG) {
		if (tr_host[g] != h)
			tr_rr(&x->m, true, 0x89, h, tr_host[g]);
		return;
	}
	tr_gs(&x->m, true, 0x89, h, offsetof(struct vcpu, s.gpr) + 8 * g);
}

void xlat_call_uop(struct xlat *x)
{
	need_m(x);
	tr_imm64(&x->m, S1, (uintptr_t)&x->b->uop[x->i]);
	tr_imm64(&x->m, S2, (uintptr_t)x->b->cold[x->i].fn);
	tr_jump_to(&x->m, 0xe8, x->rx, xlat_caller(x, x->vec));
	x->e = false;
	x->x87 = false;
	xlat_groups_end(x);
	x->n_slow++;
}

void xlat_lea(struct xlat *x, const struct insn *in)
{
	struct ea a = xlat_ea(x, in);
	unsigned dst = tr_host[in->reg] != NO_REG ? tr_host[in->reg] : S1;

	if (a.base != NO_REG && a.index != NO_REG)
		x->s2_group = 0; /* both may be in memory */

	/* LEA ignores segments. */
	xlat_put_ea(x, dst, in->opsize == 8, &a, 0, S1, S2);
	xlat_put(x, in->reg, dst);
}

/* ---- COPY instructions ---- */

bool xlat_plan(const struct insn *in, struct copy_plan *p)
{
	struct reenc_field f[4];
	bool big = in->flags & INSN_W;

	*p = (struct copy_plan){.fields = insn_gpr_fields(in)};
	/* VZEROUPPER and VZEROALL outside 64-bit mode leave registers 8 to 15 (SDM vol. 2), the
	 * host's do not; the interpreter's run without these. */
	if (in->enc == ENC_VEX && in->map == MAP_0F && in->opcode == 0x77 && in->code_bits != 64)
		return false;
	reenc_fields(in, p->fields, f);
	for (unsigned i = 0; i < 4; i++) {
		bool byte = insn_field_is_byte(in, f[i].bit), seen = false;
		unsigned g = insn_field_reg(in, f[i].reg, byte);

		if (!f[i].on)
			continue;
		if (g != f[i].reg)
			p->high8 = true;
		else if (byte && tr_host[g] >= 4 && tr_host[g] < 8)
			p->force_rex = true;
		big |= tr_host[g] >= 8 || (byte && g == f[i].reg && g >= 4);
		for (unsigned k = 0; k < p->n_mem_gprs; k++)
			seen |= p->mem_gpr[k] == g;
		if (tr_host[g] != NO_REG || seen)
			continue;
		if (p->n_mem_gprs == (in->flags & INSN_MEM ? 1 : 2))
			return false;
		p->mem_gpr[p->n_mem_gprs++] = (uint8_t)g;
	}
	p->via_rdi = p->high8 && in->flags & INSN_MEM;
	return !(p->high8 && big);
}

void xlat_ensure_vec(struct xlat *x)
{
	struct emit *m = &x->m;

	if (x->vec)
		return;
	xlat_flags_free(x);
	TR_FIELD(m, tr_word(W_VEC), 1, 0x80, 0x3c); /* cmp byte [W_VEC], 0 */
	EMIT(m, 0x00, 0x75, 5);                     /* jne over */
	tr_jump_to(m, 0xe8, x->rx, x->t->vec_load);
	x->vec = true;
}

/* Does @in write all of register @g without reading it: MOV, MOVZX, MOVSX, MOVSXD? */
static bool replaces(const struct insn *in, unsigned g)
{
	if (in->enc != ENC_LEGACY || in->opsize < 4 || in->gpr_read & 1u << g)
		return false;
	if (in->map == MAP_0F)
		return in->opcode == 0xb6 || in->opcode == 0xb7 || in->opcode == 0xbe ||
		       in->opcode == 0xbf;
	return in->map == MAP_1 &&
	       (in->opcode == 0x89 || in->opcode == 0x8b || in->opcode == 0x63 ||
		in->opcode == 0xc7 || (in->opcode >= 0xb8 && in->opcode <= 0xbf));
}

/* With the operands that live in memory around it. */
unsigned xlat_put_copy(struct xlat *x, const struct insn *in, const struct copy_plan *p)
{
	struct emit *m = &x->m;
	bool mem = in->flags & INSN_MEM;
	unsigned at;

	memcpy(m->map, tr_host, sizeof(m->map));
	m->high8 = p->high8;
	m->force_rex = p->force_rex;
	for (unsigned k = 0; k < p->n_mem_gprs; k++) {
		unsigned g = p->mem_gpr[k], h = mem || k || x->s1_group ? S2 : S1;

		m->map[g] = (uint8_t)h;
		if (h == S2)
			x->s2_group = 0;
		if (h == S1 && is_kept(x, g))
			continue;
		if (!replaces(in, g))
			tr_gs(m, true, 0x8b, h, offsetof(struct vcpu, s.gpr) + 8 * g);
	}
	if (p->via_rdi) {
		tr_gs(m, true, 0x89, RDI, tr_word(W_STR_A));
		tr_rr(m, true, 0x89, S1, RDI);
		m->mem = RDI;
	}
	at = m->n;
	reenc_insn(m, in, p->fields);
	if (p->via_rdi)
		tr_gs(m, true, 0x8b, RDI, tr_word(W_STR_A));
	for (unsigned k = 0; k < p->n_mem_gprs; k++)
		if (in->gpr_written & 1u << p->mem_gpr[k])
			tr_gs(m, true, 0x89, m->map[p->mem_gpr[k]],
			      offsetof(struct vcpu, s.gpr) + 8 * p->mem_gpr[k]);
	return at;
}

/* An instruction that has no slow path to come back from. */
static void put_and_keep(struct xlat *x, const struct insn *in, const struct copy_plan *p)
{
	xlat_put_copy(x, in, p);
	if (p->n_mem_gprs != 1 || !(in->gpr_written & 1u << p->mem_gpr[0]) ||
	    x->m.map[p->mem_gpr[0]] != S1)
		return;
	x->kept = p->mem_gpr[0];
	x->kept_at = x->m.n;
}

/* x87, MMX, FWAIT */
static bool is_x87(const struct insn *in)
{
	return in->flags & (INSN_FPU | INSN_MMX) || (in->map == MAP_1 && in->opcode == 0x9b);
}

static bool copy_ok(const struct xlat *x, const struct insn *in, struct copy_plan *p)
{
	if (is_x87(in))
		return false;
	if (x->b->cold[x->i].fn == uop_cmpxchg16)
		return false;
	if (in->flags & INSN_MEM && mem_handler(x->b->key, in) == uop_mem_slow &&
	    !xlat_segmented(x, in))
		return false;
	return xlat_plan(in, p);
}

bool xlat_copy_ok(const struct xlat *x, const struct insn *in)
{
	struct copy_plan p;

	return copy_ok(x, in, &p);
}

static bool copy_mem(struct xlat *x, const struct insn *in, const struct copy_plan *p)
{
	struct ea a = xlat_ea(x, in);
	bool store = in->flags & INSN_MEM_WRITE;
	struct stub *slow;

	if (!xlat_operand(x, &a, in->mem_size, store, !p->n_mem_gprs && !p->via_rdi, &slow))
		return false;
	if (insn_flags_needed(in))
		need_e(x);
	if (!xlat_put_value(x, in, slow))
		slow->at = xlat_put_copy(x, in, p);
	if (in->rflags_written & X86_ARITH) {
		x->e = true;
		x->m_ok = false;
	}
	slow->restore = x->e;
	slow->back = x->m.n;
	return true;
}

bool xlat_copy(struct xlat *x, const struct insn *in)
{
	struct copy_plan p;
	bool fault = insn_may_fault(in);
	struct stub *s = NULL;

	if (is_x87(in)) {
		xlat_x87(x, in);
		return true;
	}
	if (x->b->cold[x->i].fn == uop_cmpxchg16)
		return xlat_cmpxchg(x, in);
	if (!copy_ok(x, in, &p))
		return false;
	if (in->flags & INSN_MEM && !(in->flags & INSN_MOFFS) &&
	    !xlat_disp_fits(&(struct ea){.disp = in->disp}, 64))
		return false;
	if (in->flags & (INSN_SSE | INSN_AVX))
		xlat_ensure_vec(x);
	if (in->flags & INSN_MEM) {
		if (!copy_mem(x, in, &p))
			xlat_call_uop(x);
		return true;
	}
	if (xlat_flags_rotate(x, in))
		return true;
	if (insn_flags_needed(in))
		need_e(x);
	xlat_flags_aside(x);
	if (fault) {
		s = xlat_stub(x, STUB_SLOW);
		s->site = 0;
		s->save = !x->m_ok;
	}
	if (s)
		s->at = xlat_put_copy(x, in, &p);
	else
		put_and_keep(x, in, &p);
	if (in->rflags_written & X86_ARITH) {
		x->e = true;
		x->m_ok = false;
	}
	if (s) {
		s->restore = x->e;
		s->back = x->m.n;
	}
	return true;
}
