/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hand-written uop handlers: near control transfers and block chaining, stack, LEA, the wrapper of
 * the special handlers, exceptions. Intel SDM vol. 2, instruction pages; the exact versions of all
 * of these are the special handlers, the ones here serve 64-bit and flat 32-bit code and fall back
 * to cpu/x86 helpers on anything unusual.
 *
 * Chaining: a block remembers its successors. Inside one page nothing but the page's generation
 * must be checked, because the current block was valid when it was entered and nothing that changes
 * mappings or modes continues without returning to the run loop. Across pages the TLB must
 * still map the successor's address to the page it was decoded from.
 */
#include "engine/interp/interp.h"
#include "mem/guest.h"

#define WORD(v, i) (((const uint64_t *)(v))[i])
#define INLINE     static inline __attribute__((always_inline))
#define NOINLINE   static __attribute__((noinline))

enum { FL_CF = 0x100, FL_PF = 0x400, FL_ZF = 0x4000, FL_SF = 0x8000, FL_OF = 1 };

/* ---- blocks ---- */

/* To successor @which of the block of @u, at @rip. */
INLINE int chain(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		 unsigned which, uint64_t rip)
{
	return block_chain(v, uop_block(u), tab, fl, which, rip);
}

/* To a computed @rip, which is canonical or inside a flat 32-bit segment. */
INLINE int jump(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		uint64_t rip)
{
	const struct block *nb = jump_get(icpu(v), rip);

	if (BLOCK_CHAINING && LIKELY(nb != NULL) && LIKELY(nb->rip == rip) &&
	    LIKELY(nb->key == uop_block(u)->key) &&
	    LIKELY(!atomic_load_explicit(&v->request, memory_order_relaxed)) &&
	    LIKELY(block_valid(nb)) && LIKELY(block_still_mapped(v, nb, rip)))
		return block_enter(v, nb, tab, fl);
	return uop_leave(v, rip, fl);
}

/* An exception is recorded and s.rip set; instructions of the block that did not run are not
 * counted. */
static int fault(struct vcpu *v, const struct uop *u, uint32_t fl)
{
	uop_uncount(v, u);
	v->s.rflags = fl_merge(v->s.rflags, fl);
	return X86_FAULT;
}

static int fall_chain(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	return chain(v, u, tab, fl, 0, uop_target(u, u->imm));
}

/* The same for code segments with base or limit: the linear address decides, and the whole block
 * must lie inside the limit, which may be another than when it was decoded. */
static bool segment_allows(const struct vcpu *v, const struct block *b, uint64_t rip)
{
	const struct x86_seg *cs = &v->s.seg[X86_CS];
	gva_t lin = (uint32_t)(cs->base + rip);
	const struct x86_tlb_entry *e = &icpu(v)->exec_tab[(lin >> 12) & (X86_TLB_SIZE - 1)];

	return e->tag_exec == ((lin & ~0xfffull) | v->tlb->generation) && e->host == b->page &&
	       b->page_off == (lin & 0xfff) && rip + b->n_bytes - 1 <= cs->limit;
}

INLINE int jump_segment(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
			uint64_t rip)
{
	const struct block *nb = jump_get(icpu(v), rip);

	if (BLOCK_CHAINING && LIKELY(nb != NULL) && LIKELY(nb->rip == rip) &&
	    LIKELY(nb->key == uop_block(u)->key) &&
	    LIKELY(!atomic_load_explicit(&v->request, memory_order_relaxed)) &&
	    LIKELY(block_valid(nb)) && LIKELY(segment_allows(v, nb, rip)))
		return block_enter(v, nb, tab, fl);
	return uop_leave(v, rip, fl);
}

static int fall_segment(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	return jump_segment(v, u, tab, fl, uop_target(u, u->imm));
}

static int fall_leave(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	return uop_leave(v, uop_target(u, u->imm), fl);
}

void uop_end(struct uop *u, uint64_t to, uint32_t key)
{
	u->fn = key & KEY_SINGLE ? fall_leave : key & X86_MODE_FLAT ? fall_chain : fall_segment;
	u->imm = to;
}

static int raise_here(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	v->s.rip = uop_rip(u);
	if (u->imm == X86_GP)
		(void)x86_gp0(v);
	else
		(void)x86_raise(v, (uint8_t)u->imm);
	return fault(v, u, fl);
}

bool uop_fn_ends(uop_fn fn)
{
	return fn == raise_here || fn == uop_special_end || fn == uop_special_branch;
}

void uop_fault(struct uop *u, uint8_t vector)
{
	u->fn = raise_here;
	u->imm = vector;
}

/* ---- jumps ---- */

#define CC_O  (fl & FL_OF)
#define CC_B  (fl & FL_CF)
#define CC_Z  (fl & FL_ZF)
#define CC_BE (fl & (FL_CF | FL_ZF))
#define CC_S  (fl & FL_SF)
#define CC_P  (fl & FL_PF)
#define CC_L  ((fl >> 15 ^ fl) & 1)
#define CC_LE ((fl & FL_ZF) || CC_L)

#define JCC_HANDLER(n, cond)                                                                       \
	static int jcc_##n(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,         \
			   uint32_t fl)                                                            \
	{                                                                                          \
		if (cond)                                                                          \
			return chain(v, u, tab, fl, 0, uop_target(u, u->imm));                     \
		return chain(v, u, tab, fl, 1, uop_target(u, (uint64_t)u->disp));                  \
	}
JCC_HANDLER(o, CC_O)
JCC_HANDLER(no, !CC_O)
JCC_HANDLER(b, CC_B)
JCC_HANDLER(nb, !CC_B)
JCC_HANDLER(z, CC_Z)
JCC_HANDLER(nz, !CC_Z)
JCC_HANDLER(be, CC_BE)
JCC_HANDLER(nbe, !CC_BE)
JCC_HANDLER(s, CC_S)
JCC_HANDLER(ns, !CC_S)
JCC_HANDLER(p, CC_P)
JCC_HANDLER(np, !CC_P)
JCC_HANDLER(l, CC_L)
JCC_HANDLER(nl, !CC_L)
JCC_HANDLER(le, CC_LE)
JCC_HANDLER(nle, !CC_LE)

static const uop_fn jcc_handlers[16] = {jcc_o,  jcc_no,  jcc_b,  jcc_nb, jcc_z, jcc_nz,
					jcc_be, jcc_nbe, jcc_s,  jcc_ns, jcc_p, jcc_np,
					jcc_l,  jcc_nl,  jcc_le, jcc_nle};

static int jmp_rel(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	return chain(v, u, tab, fl, 0, uop_target(u, u->imm));
}

/* Near targets out of a register or memory, 64-bit: #GP(0) on the branch when not canonical. */
static int bad_target(struct vcpu *v, const struct uop *u, uint32_t fl)
{
	v->s.rip = uop_rip(u);
	(void)x86_gp0(v);
	return fault(v, u, fl);
}

static int jmp_reg(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	uint64_t rip = v->s.gpr[u->reg];

	if (UNLIKELY(!x86_canonical(rip)))
		return bad_target(v, u, fl);
	return jump(v, u, tab, fl, rip);
}

/* ---- stack; w = 8 in 64-bit mode, 4 in flat 32-bit code with a 32-bit stack ---- */

INLINE uint8_t *hit(const struct vcpu *v, struct x86_tlb_entry *tab, gva_t lin, unsigned w,
		    bool write, struct x86_tlb_entry **ret_e)
{
	struct x86_tlb_entry *e = &tab[(lin >> 12) & (X86_TLB_SIZE - 1)];
	uint64_t tag = write ? e->tag_write : e->tag_read;

	*ret_e = e;
	if (UNLIKELY(tag != (((lin + w - 1) & ~0xfffull) | v->tlb->generation)))
		return NULL;
	return e->host + (lin & 0xfff);
}
INLINE uint64_t wrap(uint64_t a, unsigned w)
{
	return w == 4 ? (uint32_t)a : a;
}

/* A store went to a page with code: must the rest of this block be fetched again? */
static bool must_leave(struct vcpu *v, const struct uop *u)
{
	bool leave = atomic_load_explicit(&v->request, memory_order_relaxed) || v->s.pending_dbg;

	if (v->code_changed) {
		v->code_changed = false;
		leave |= !block_valid(uop_block(u));
	}
	return leave;
}

INLINE int push_finish(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	if (UNLIKELY(must_leave(v, u))) {
		uop_uncount(v, u + 1);
		return uop_leave(v, uop_next_rip(u), fl);
	}
	return uop_next(v, u, tab, fl);
}

NOINLINE int push_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		       uint64_t val, unsigned w)
{
	v->s.rip = uop_rip(u);
	if (x86_push(v, w, val))
		return fault(v, u, fl);
	return push_finish(v, u, tab, fl);
}

NOINLINE int push_on_code(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,
			  uint32_t fl, struct x86_tlb_entry *e, gva_t lin)
{
	if (LIKELY(!interp_hits_code(icpu(v)->ivm, e, (unsigned)lin & 0xfff, 8)))
		return uop_next(v, u, tab, fl);
	x86_stored_slow(v, e, lin, 8);
	return push_finish(v, u, tab, fl);
}

INLINE int push(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		uint64_t val, unsigned w)
{
	uint64_t sp = wrap(v->s.gpr[X86_RSP] - w, w);
	struct x86_tlb_entry *e;
	uint8_t *p = hit(v, tab, sp, w, true, &e);

	if (UNLIKELY(!p))
		return push_slow(v, u, tab, fl, val, w);
	guest_store(p, w, val);
	v->s.gpr[X86_RSP] = sp;
	if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
		return push_on_code(v, u, tab, fl, e, sp);
	return uop_next(v, u, tab, fl);
}

NOINLINE int pop_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		      unsigned w)
{
	v->s.rip = uop_rip(u);
	if (x86_pop(v, w, &icpu(v)->tmp))
		return fault(v, u, fl);
	v->s.gpr[u->reg] = icpu(v)->tmp;
	return uop_next(v, u, tab, fl);
}

INLINE int pop(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
	       unsigned w)
{
	uint64_t sp = v->s.gpr[X86_RSP];
	struct x86_tlb_entry *e;
	const uint8_t *p = hit(v, tab, sp, w, false, &e);

	if (UNLIKELY(!p))
		return pop_slow(v, u, tab, fl, w);
	v->s.gpr[X86_RSP] = wrap(sp + w, w);
	v->s.gpr[u->reg] = guest_load(p, w); /* after RSP: POP RSP gets the value */
	return uop_next(v, u, tab, fl);
}

NOINLINE int leave_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
			unsigned w)
{
	uint64_t sp = v->s.gpr[X86_RSP];

	v->s.rip = uop_rip(u);
	v->s.gpr[X86_RSP] = wrap(v->s.gpr[X86_RBP], w);
	if (x86_pop(v, w, &icpu(v)->tmp)) {
		v->s.gpr[X86_RSP] = sp;
		return fault(v, u, fl);
	}
	v->s.gpr[X86_RBP] = icpu(v)->tmp;
	return uop_next(v, u, tab, fl);
}

INLINE int leave(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		 unsigned w)
{
	uint64_t bp = wrap(v->s.gpr[X86_RBP], w);
	struct x86_tlb_entry *e;
	const uint8_t *p = hit(v, tab, bp, w, false, &e);

	if (UNLIKELY(!p))
		return leave_slow(v, u, tab, fl, w);
	v->s.gpr[X86_RSP] = wrap(bp + w, w);
	v->s.gpr[X86_RBP] = guest_load(p, w);
	return uop_next(v, u, tab, fl);
}

NOINLINE int call_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		       uint64_t rip, unsigned w)
{
	v->s.rip = uop_rip(u);
	if (x86_push(v, w, uop_next_rip(u)))
		return fault(v, u, fl);
	v->code_changed = false; /* the successor's validity is checked */
	return jump(v, u, tab, fl, rip);
}

NOINLINE int call_on_code(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,
			  uint32_t fl, uint64_t rip, struct x86_tlb_entry *e)
{
	x86_stored_slow(v, e, v->s.gpr[X86_RSP], 8);
	v->code_changed = false;
	return jump(v, u, tab, fl, rip);
}

INLINE int call_rel(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		    unsigned w)
{
	uint64_t sp = wrap(v->s.gpr[X86_RSP] - w, w), to = uop_target(u, u->imm);
	struct x86_tlb_entry *e;
	uint8_t *p = hit(v, tab, sp, w, true, &e);

	if (UNLIKELY(!p))
		return call_slow(v, u, tab, fl, to, w);
	guest_store(p, w, uop_target(u, (uint64_t)u->disp));
	v->s.gpr[X86_RSP] = sp;
	if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
		return call_on_code(v, u, tab, fl, to, e);
	return chain(v, u, tab, fl, 0, to);
}

INLINE int call_to(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		   uint64_t rip, unsigned w)
{
	uint64_t sp = wrap(v->s.gpr[X86_RSP] - w, w);
	struct x86_tlb_entry *e;
	uint8_t *p = hit(v, tab, sp, w, true, &e);

	rip = wrap(rip, w);
	if (UNLIKELY(!x86_canonical(rip)))
		return bad_target(v, u, fl);
	if (UNLIKELY(!p))
		return call_slow(v, u, tab, fl, rip, w);
	guest_store(p, w, uop_next_rip(u));
	v->s.gpr[X86_RSP] = sp;
	if (UNLIKELY(atomic_load_explicit(e->code, memory_order_relaxed)))
		return call_on_code(v, u, tab, fl, rip, e);
	return jump(v, u, tab, fl, rip);
}

NOINLINE int ret_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		      unsigned w)
{
	uint64_t sp = v->s.gpr[X86_RSP];

	v->s.rip = uop_rip(u);
	if (x86_pop(v, w, &icpu(v)->tmp))
		return fault(v, u, fl);
	v->s.gpr[X86_RSP] = sp;
	if (!x86_canonical(icpu(v)->tmp))
		return bad_target(v, u, fl);
	v->s.gpr[X86_RSP] = wrap(sp + w + u->imm, w);
	return jump(v, u, tab, fl, icpu(v)->tmp);
}

INLINE int ret(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
	       unsigned w)
{
	uint64_t sp = v->s.gpr[X86_RSP], rip;
	struct x86_tlb_entry *e;
	const uint8_t *p = hit(v, tab, sp, w, false, &e);

	if (UNLIKELY(!p))
		return ret_slow(v, u, tab, fl, w);
	rip = guest_load(p, w);
	if (UNLIKELY(!x86_canonical(rip)))
		return bad_target(v, u, fl);
	v->s.gpr[X86_RSP] = wrap(sp + w + u->imm, w);
	return jump(v, u, tab, fl, rip);
}

/* The pointer operand of JMP and CALL, to ic->tmp. */
NOINLINE bool read_target(struct vcpu *v, const struct uop *u, unsigned w)
{
	const struct uop_cold *c = &uop_block(u)->cold[u->n];
	uint64_t off = WORD(v, u->base) + WORD(v, u->index) * u->scale + (uint64_t)u->disp;
	gva_t lin;

	icpu(v)->tmp = 0;
	v->s.rip = uop_rip(u);
	return !x86_seg_lin(v, c->seg, off & mask_bytes(c->addrsize), w, X86_ACC_READ, &lin) &&
	       !x86_read(v, lin, w, &icpu(v)->tmp, X86_ACC_READ);
}

INLINE const uint8_t *target_ptr(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,
				 unsigned w)
{
	gva_t lin = WORD(v, u->base) + WORD(v, u->index) * u->scale + (uint64_t)u->disp +
		    WORD(v, u->seg);
	struct x86_tlb_entry *e;

	return hit(v, tab, wrap(lin, w), w, false, &e);
}

INLINE int jmp_to(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		  uint64_t rip)
{
	if (UNLIKELY(!x86_canonical(rip)))
		return bad_target(v, u, fl);
	return jump(v, u, tab, fl, rip);
}

NOINLINE int jmp_mem_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,
			  uint32_t fl, unsigned w)
{
	if (!read_target(v, u, w))
		return fault(v, u, fl);
	return jmp_to(v, u, tab, fl, icpu(v)->tmp);
}

INLINE int jmp_mem(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		   unsigned w)
{
	const uint8_t *p = target_ptr(v, u, tab, w);

	if (UNLIKELY(!p))
		return jmp_mem_slow(v, u, tab, fl, w);
	return jmp_to(v, u, tab, fl, guest_load(p, w));
}

NOINLINE int call_mem_slow(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab,
			   uint32_t fl, unsigned w)
{
	if (!read_target(v, u, w))
		return fault(v, u, fl);
	return call_to(v, u, tab, fl, icpu(v)->tmp, w);
}

INLINE int call_mem(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		    unsigned w)
{
	const uint8_t *p = target_ptr(v, u, tab, w);

	if (UNLIKELY(!p))
		return call_mem_slow(v, u, tab, fl, w);
	return call_to(v, u, tab, fl, guest_load(p, w), w);
}

#define HANDLER(name)                                                                              \
	static int name(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
#define BOTH(name, call8, call4)                                                                   \
	HANDLER(name##_8)                                                                          \
	{                                                                                          \
		return call8;                                                                      \
	}                                                                                          \
	HANDLER(name##_4)                                                                          \
	{                                                                                          \
		return call4;                                                                      \
	}
BOTH(push_reg, push(v, u, tab, fl, v->s.gpr[u->reg], 8), push(v, u, tab, fl, v->s.gpr[u->reg], 4))
BOTH(push_imm, push(v, u, tab, fl, u->imm, 8), push(v, u, tab, fl, u->imm, 4))
BOTH(pop_reg, pop(v, u, tab, fl, 8), pop(v, u, tab, fl, 4))
BOTH(leave, leave(v, u, tab, fl, 8), leave(v, u, tab, fl, 4))
BOTH(call_rel, call_rel(v, u, tab, fl, 8), call_rel(v, u, tab, fl, 4))
BOTH(call_reg, call_to(v, u, tab, fl, v->s.gpr[u->reg], 8),
     call_to(v, u, tab, fl, v->s.gpr[u->reg], 4))
BOTH(call_mem, call_mem(v, u, tab, fl, 8), call_mem(v, u, tab, fl, 4))
BOTH(jmp_mem, jmp_mem(v, u, tab, fl, 8), jmp_mem(v, u, tab, fl, 4))
BOTH(ret, ret(v, u, tab, fl, 8), ret(v, u, tab, fl, 4))

HANDLER(jmp_reg_4)
{
	return jump(v, u, tab, fl, (uint32_t)v->s.gpr[u->reg]);
}

/* ---- LEA and NOP ---- */

HANDLER(lea_8)
{
	v->s.gpr[u->reg] = WORD(v, u->base) + WORD(v, u->index) * u->scale + (uint64_t)u->disp;
	return uop_next(v, u, tab, fl);
}
HANDLER(lea_4)
{
	v->s.gpr[u->reg] =
		(uint32_t)(WORD(v, u->base) + WORD(v, u->index) * u->scale + (uint64_t)u->disp);
	return uop_next(v, u, tab, fl);
}
HANDLER(nop)
{
	return uop_next(v, u, tab, fl);
}

/* Flat 32-bit code: EIP and stack accesses need no limit checks. */
static bool flat32(uint32_t key)
{
	const uint32_t want = X86_MODE_CS32 | X86_MODE_SS32 | X86_MODE_PE | X86_MODE_FLAT;

	return (key & want) == want && !(key & X86_MODE_CS64);
}

static uop_fn branch(const struct insn *in, unsigned w, uint64_t next, struct uop *u)
{
	uint64_t to = next + in->imm;
	bool mem = in->flags & INSN_MEM;
	bool is8 = w == 8;

	u->imm = is8 ? to : (uint32_t)to;
	switch (in->special) {
	case SP_JCC:
	case SP_JMP_REL:
	case SP_CALL_REL:
		if (!x86_canonical(u->imm) || in->opsize != w)
			return NULL;
		u->disp = (int64_t)(is8 ? next : (uint32_t)next); /* fall through, return address */
		if (in->special == SP_JMP_REL)
			return jmp_rel;
		if (in->special == SP_CALL_REL)
			return is8 ? call_rel_8 : call_rel_4;
		return jcc_handlers[in->opcode & 15];
	case SP_JMP_IND:
		if (in->opsize != w)
			return NULL;
		u->reg = in->rm;
		return mem ? (is8 ? jmp_mem_8 : jmp_mem_4) : is8 ? jmp_reg : jmp_reg_4;
	case SP_CALL_IND:
		if (in->opsize != w)
			return NULL;
		u->reg = in->rm;
		return mem ? (is8 ? call_mem_8 : call_mem_4) : is8 ? call_reg_8 : call_reg_4;
	case SP_RET:
		if (in->opsize != w)
			return NULL;
		u->imm = in->opcode == 0xc2 ? in->imm & 0xffff : 0;
		return is8 ? ret_8 : ret_4;
	default: return NULL;
	}
}

uop_fn branch_handler(uint32_t key, const struct insn *in, uint64_t rip, struct uop *u)
{
	unsigned w = key & X86_MODE_CS64 ? 8 : 4;
	bool is8 = w == 8, mem = in->flags & INSN_MEM;
	uint64_t next = rip + in->len;

	if (in->special == SP_LEA && (key & X86_MODE_CS64) && in->addrsize == 8 &&
	    in->opsize >= 4) {
		u->reg = in->reg;
		return in->opsize == 8 ? lea_8 : lea_4;
	}
	if (in->special == SP_LEA && !(key & X86_MODE_CS64) && in->addrsize == 4 &&
	    in->opsize == 4) {
		u->reg = in->reg;
		return lea_4;
	}
	if (in->special == SP_NOP_MEM)
		return nop;
	if (!is8 && !flat32(key))
		return NULL;
	/* A pointer operand with a segment or address size of its own: the exact handler. */
	if (mem && !is8 && (in->addrsize != 4 || in->seg == X86_FS || in->seg == X86_GS))
		return NULL;
	if (mem && is8 && in->addrsize != 8)
		return NULL;
	if (in->opsize != w)
		return branch(in, w, next, u); /* says NULL where the size matters */
	switch (in->special) {
	case SP_PUSH_REG: u->reg = in->rm; return is8 ? push_reg_8 : push_reg_4;
	case SP_PUSH_IMM: u->imm = in->imm; return is8 ? push_imm_8 : push_imm_4;
	case SP_POP_REG: u->reg = in->rm; return is8 ? pop_reg_8 : pop_reg_4;
	case SP_LEAVE: return is8 ? leave_8 : leave_4;
	default: return branch(in, w, next, u);
	}
}

/* ---- special handlers ---- */

/* Handlers that want the x87 state in v->s. */
static bool uses_x87(unsigned special)
{
	switch (special) {
	case SP_FXSAVE:
	case SP_FXRSTOR:
	case SP_XSAVE:
	case SP_XSAVEOPT:
	case SP_XSAVEC:
	case SP_XSAVES:
	case SP_XRSTOR:
	case SP_XRSTORS:
	case SP_FNSTENV:
	case SP_FLDENV:
	case SP_FNSAVE:
	case SP_FRSTOR:
	case SP_MASKMOVQ: return true;
	default: return false;
	}
}

INLINE int special(struct vcpu *v, const struct uop *u, uint32_t fl)
{
	const struct insn *in = u->in;
	int r;

	v->s.rip = uop_rip(u);
	v->next_rip = uop_next_rip(u);
	v->s.rflags = fl_merge(v->s.rflags, fl);
	if (UNLIKELY(v->x87.live) && uses_x87(in->special))
		x87_sync(icpu(v));
	r = special_handlers[in->special](v, in);
	if (UNLIKELY(r == X86_FAULT))
		uop_uncount(v, u);
	return r;
}

int uop_special(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	int r = special(v, u, fl);

	if (UNLIKELY(r != X86_OK))
		return r;
	/* String instructions that stopped between iterations go on at s.rip. */
	if (UNLIKELY(must_leave(v, u)) || UNLIKELY(v->next_rip != uop_next_rip(u))) {
		uop_uncount(v, v->next_rip == uop_next_rip(u) ? u + 1 : u);
		v->s.rip = v->next_rip;
		return X86_OK;
	}
	return uop_next(v, u, v->tlb->e[v->tlb->data_table], fl_load(v->s.rflags));
}

/* Interrupts wait for one more instruction (SDM vol. 3, 6.8.1). If that is in this block, it runs
 * before anybody looks; else, or when one is waiting already, the run loop sees to it. */
int uop_sti(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	int r = special(v, u, fl);

	if (UNLIKELY(r != X86_OK))
		return r;
	if (atomic_load_explicit(&v->request, memory_order_relaxed) || v->s.pending_dbg ||
	    u->n + 1u == uop_block(u)->n_insns) {
		uop_uncount(v, u + 1);
		v->s.rip = v->next_rip;
		return X86_OK;
	}
	v->s.shadow &= (uint8_t)~X86_SHADOW_STI;
	return uop_next(v, u, tab, fl);
}

/* Intel SDM vol. 3, 9.3: instructions that wait until all earlier stores are seen by everybody. The
 * host's copy of a guest's store may still be in its store buffer, so they need a fence there too.
 */
static bool serializes(const struct insn *in)
{
	switch (in->special) {
	case SP_CPUID:
	case SP_SERIALIZE:
	case SP_IRET:
	case SP_MOV_TO_CR:
	case SP_MOV_TO_DR:
	case SP_LMSW:
	case SP_INVLPG:
	case SP_INVPCID:
	case SP_INVD:
	case SP_WBINVD:
	case SP_WRMSR:
	case SP_XSETBV:
	case SP_LGDT:
	case SP_LIDT:
	case SP_LLDT:
	case SP_LTR: return true;
	default: return false;
	}
}

int uop_special_end(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	int r = special(v, u, fl);

	if (UNLIKELY(r != X86_OK))
		return r;
	if (UNLIKELY(icpu(v)->ivm->smp) && serializes(u->in))
		atomic_thread_fence(memory_order_seq_cst);
	v->code_changed = false;
	v->s.rip = v->next_rip;
	return X86_OK;
}

/* Near branches where code or stack have a base or limit, or an unusual operand size. */
int uop_special_branch(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	int r = special(v, u, fl);

	if (UNLIKELY(r != X86_OK))
		return r;
	v->code_changed = false; /* the successor's validity is checked */
	if (UNLIKELY(v->s.pending_dbg) || x86_is_64(v)) {
		v->s.rip = v->next_rip;
		return X86_OK;
	}
	return jump_segment(v, u, v->tlb->e[v->tlb->data_table], fl_load(v->s.rflags), v->next_rip);
}

/* ---- faults of thunks ---- */

int uop_hw_fault(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	struct interp_cpu *ic = icpu(v);

	if (ic->has_avx)
		asm volatile("vzeroupper" : : : "memory");
	if (u->n != UOP_LOOSE) {
		v->s.rip = uop_rip(u);
		uop_uncount(v, u);
	}
	v->s.rflags = fl_merge(v->s.rflags, fl);
	switch (ic->fault_trap) {
	case X86_GP: return x86_gp0(v);
	case X86_ACE: return x86_raise_err(v, X86_ACE, 0);
	case X86_XM:
		/* SDM vol. 1, 11.5.1: without OSXMMEXCPT it is an invalid opcode. */
		return v->s.cr4 & X86_CR4_OSXMMEXCPT ? x86_raise(v, X86_XM) : x86_ud(v);
	case X86_MF:
		/* The pending exception is an earlier instruction's: its pointers stay.
		 * UNMODELLED: CR0.NE = 0 should signal FERR# (IRQ 13) instead. */
		x87_pointers_back(v);
		return x86_raise(v, X86_MF);
	default: return x86_raise(v, ic->fault_trap);
	}
}
