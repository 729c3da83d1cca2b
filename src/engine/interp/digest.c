/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a decoded instruction to its uop: which handler, thunk and operands; and the checks that
 * depend only on mode and CPU model: CPUID features, x87/SSE/AVX availability (Intel SDM vol. 3,
 * tables 13-1 and 2-2; vol. 1, 13.4 and 14.3), instructions of protected mode only.
 */
#include <cpuid.h>
#include <stdatomic.h>

#include "engine/interp/interp.h"

#define WORD_OF(member) (offsetof(struct vcpu, member) / 8)
static_assert(offsetof(struct vcpu, zero) % 8 == 0 && WORD_OF(zero) < 256, "reachable by a byte");
static_assert(offsetof(struct vcpu, s.gpr) == 0, "GPR n is word n");
static_assert(offsetof(struct x86_tlb_entry, code) < 128, "disp8 in store checks");

static uint8_t seg_word(unsigned seg)
{
	return (uint8_t)((offsetof(struct vcpu, s.seg) + seg * sizeof(struct x86_seg) +
			  offsetof(struct x86_seg, base)) /
			 8);
}

int insn_unavailable(const struct vcpu *v, uint32_t key, const struct insn *in)
{
	uint32_t f = in->flags;

	if (in->feature != X86_FEAT_NONE && !cpu_model_has(v->model, in->feature))
		return X86_UD;
	if (f & INSN_PE_ONLY && (!(key & X86_MODE_PE) || key & X86_MODE_VM))
		return X86_UD;
	if (f & INSN_AVX && !(key & KEY_AVX))
		return X86_UD;
	if (f & INSN_SSE && (key & KEY_EM || !(key & KEY_OSFXSR)))
		return X86_UD;
	if (f & INSN_MMX && key & KEY_EM)
		return X86_UD;
	if (f & INSN_FPU && key & KEY_EM)
		return X86_NM;
	if (f & (INSN_FPU | INSN_MMX | INSN_SSE | INSN_AVX) && key & KEY_TS)
		return X86_NM;
	/* PREFETCH and PREFETCHW of a register: a NOP on Intel's processors, on AMD's #UD (APM vol.
	 * 3, PREFETCH). */
	if (in->map == MAP_0F && in->opcode == 0x0d && in->enc == ENC_LEGACY &&
	    !(in->flags & INSN_MEM) && in->rm != INSN_NO_REG && x86_is_amd(v))
		return X86_UD;
	/* VPEXTRD and VPINSRD with VEX.W outside 64-bit mode: Intel's ignore the bit (SDM vol. 2),
	 * on AMD's it is #UD (seen on Zen 4). */
	if (in->enc == ENC_VEX && in->map == MAP_0F3A &&
	    (in->opcode == 0x16 || in->opcode == 0x22) && in->code_bits != 64 &&
	    in->bytes[in->off_opcode - 1] & 0x80 && x86_is_amd(v))
		return X86_UD;
	/* WAIT: #NM only with MP and TS both set. */
	if (in->map == MAP_1 && in->opcode == 0x9b &&
	    (key & (KEY_MP | KEY_TS)) == (KEY_MP | KEY_TS))
		return X86_NM;
	return -1;
}

/* AMD's branches are shorter: is it one whose bytes are all there? */
static enum decode_result decode_amd(const uint8_t *bytes, unsigned n, enum decode_result r,
				     struct insn *in)
{
	uint8_t padded[16] = {0};
	struct insn longer;

	if (r == DECODE_OK)
		(void)insn_as_amd(in);
	if (r != DECODE_SHORT)
		return r;
	memcpy(padded, bytes, MIN(n, (unsigned)INSN_MAX));
	if (insn_decode(padded, INSN_MAX, 64, &longer) != DECODE_OK || !insn_as_amd(&longer) ||
	    longer.len > n)
		return r;
	*in = longer;
	return DECODE_OK;
}

enum decode_result decode_guest(const struct vcpu *v, const uint8_t *bytes, unsigned n,
				unsigned bits, struct insn *ret)
{
	enum decode_result r = insn_decode(bytes, n, bits, ret);

	if (bits == 64 && ret->prefixes & (PFX_66 | PFX_F3) && x86_is_amd(v))
		r = decode_amd(bytes, n, r, ret);
	if (ret->feature != X86_FEAT_NONE && !cpu_model_has(v->model, ret->feature))
		(void)insn_without_lzcnt(ret);
	return r;
}

static void set_address(struct uop *u, uint32_t key, uint64_t rip, const struct insn *in)
{
	u->base = in->base == INSN_NO_REG ? WORD_OF(zero) : in->base;
	u->index = in->index == INSN_NO_REG ? WORD_OF(zero) : in->index;
	u->scale = (uint8_t)(1u << in->scale);
	u->disp = in->flags & INSN_MOFFS ? (int64_t)in->imm : in->disp;
	u->rip_rel = in->flags & INSN_RIP_REL;
	if (u->rip_rel)
		u->disp += (int64_t)(rip + in->len);
	u->seg = WORD_OF(zero);
	if (key & X86_MODE_CS64 && (in->seg == X86_FS || in->seg == X86_GS))
		u->seg = seg_word(in->seg);
}

bool insn_is_nop(const struct insn *in)
{
	if (in->map == MAP_1)
		return in->opcode == 0x90 && !(in->rex & 1);
	/* register forms of the hint nops, prefetchw space, ENDBR */
	return in->map == MAP_0F && in->enc == ENC_LEGACY && !(in->flags & INSN_MEM) &&
	       (in->opcode == 0x0d || (in->opcode >= 0x18 && in->opcode <= 0x1f)) &&
	       !(in->flags & (INSN_SSE | INSN_MMX));
}

/* Specials after which the run loop must look at the world again, whatever the tables say. The
 * serializing ones (SDM vol. 3, 9.3) because what follows must be fetched afresh. */
static bool leaves(const struct insn *in)
{
	switch (in->special) {
	case SP_MOV_TO_CR:
	case SP_MOV_TO_DR:
	case SP_LMSW:
	case SP_CLTS:
	case SP_INVLPG:
	case SP_INVPCID:
	case SP_INVD:
	case SP_WBINVD:
	case SP_WRMSR:
	case SP_XSETBV:
	case SP_HLT:
	case SP_MWAIT:
	case SP_POPF:
	case SP_MOV_TO_SEG:
	case SP_POP_SEG:
	case SP_LOAD_FAR_PTR:
	case SP_CPUID:
	case SP_LGDT:
	case SP_LIDT:
	case SP_LLDT:
	case SP_LTR:
	case SP_SERIALIZE: return true;
	default: return in->flags & INSN_ENDS;
	}
}

static bool is_branch(const struct insn *in)
{
	switch (in->special) {
	case SP_JCC:
	case SP_JMP_REL:
	case SP_JMP_IND:
	case SP_CALL_REL:
	case SP_CALL_IND:
	case SP_RET:
	case SP_LOOP:
	case SP_JCXZ: return true;
	default: return false;
	}
}

static bool digest_special(struct interp_cpu *ic, uint32_t key, uint64_t rip, const struct insn *in,
			   struct uop *u, bool *ret_ends)
{
	struct insn *copy;

	*ret_ends = in->special != SP_STI && leaves(in);
	if (in->flags & INSN_MODRM || in->flags & INSN_MEM)
		set_address(u, key, rip, in);
	u->fn = branch_handler(key, in, rip, u);
	if (u->fn) {
		if (in->special == SP_JCC || in->special == SP_JMP_REL ||
		    in->special == SP_CALL_REL) {
			u->imm -= rip & ~0xfffull;
			u->disp -= (int64_t)(rip & ~0xfffull);
		}
		return true;
	}
	copy = block_pool_alloc(ic, sizeof(*copy));
	if (!copy)
		return false;
	*copy = *in;
	u->in = copy;
	if (in->special == SP_STI) {
		u->fn = uop_sti;
		return true;
	}
	u->fn = is_branch(in) ? uop_special_branch : *ret_ends ? uop_special_end : uop_special;
	return true;
}

/* Of AMD's make, or of Hygon's, which makes AMD's Zen. */
static bool host_is_amd(void)
{
	static atomic_int known; /* 1 no, 2 yes; threads that look at once find the same */
	int k = atomic_load_explicit(&known, memory_order_relaxed);
	uint32_t a, b, c, d;

	if (!k) {
		__cpuid(0, a, b, c, d);
		k = b == 0x68747541 || b == 0x6f677948 ? 2 : 1; /* "Auth", "Hygo" */
		atomic_store_explicit(&known, k, memory_order_relaxed);
	}
	return k == 2;
}

/* Flags that the slow path goes by. Where the host's instruction takes its operand as it comes, so
 * must we: AMD's processors (seen on Zen 4) want no alignment of SHA's instructions, Intel's want
 * that of all legacy SSE (SDM vol. 2, 2.4.4: type 4). */
static uint32_t flags_here(const struct insn *in)
{
	bool sha = in->enc == ENC_LEGACY &&
		   ((in->map == MAP_0F38 && in->opcode >= 0xc8 && in->opcode <= 0xcd) ||
		    (in->map == MAP_0F3A && in->opcode == 0xcc));

	return sha && host_is_amd() ? in->flags & ~(uint32_t)INSN_ALIGN : in->flags;
}

bool uop_digest(struct interp_cpu *ic, uint32_t key, uint64_t rip, const struct insn *in,
		struct uop *u, struct uop_cold *cold, bool *ret_ends)
{
	int vector = insn_unavailable(ic->v, key, in);
	void *thunk;

	*ret_ends = false;
	cold->flags = flags_here(in);
	cold->mem_size = in->mem_size;
	cold->seg = in->seg;
	cold->addrsize = in->addrsize;
	cold->fop = (uint16_t)((in->opcode & 7) << 8 | in->modrm);
	if (vector >= 0) {
		uop_fault(u, (uint8_t)vector);
		*ret_ends = true;
		return true;
	}
	if (in->special != SP_NONE)
		return digest_special(ic, key, rip, in, u, ret_ends);
	if (insn_is_nop(in)) {
		static const struct insn nop = {.special = SP_NOP_MEM};

		u->fn = branch_handler(key, &nop, rip, u);
		return true;
	}
	set_address(u, key, rip, in);
	if (in->map == MAP_0F && in->opcode == 0xc7 && (in->modrm >> 3 & 7) == 1 &&
	    in->flags & INSN_MEM) {
		u->fn = uop_cmpxchg16;
		return true;
	}
	if (in->flags & INSN_FPU && in->opcode == 0xdb && in->modrm == 0xe3) {
		u->fn = uop_fninit;
		return true;
	}
	thunk = thunk_known(&ic->thunks, in);
	if (thunk)
		u->thunk = (mem_fn)(uintptr_t)thunk;
	else
		u->thunk = in->flags & INSN_MEM ? uop_lazy_mem : (mem_fn)(uintptr_t)uop_lazy;
	if (in->flags & (INSN_FPU | INSN_MMX) || (in->map == MAP_1 && in->opcode == 0x9b))
		u->fn = uop_x87;
	else if (in->flags & INSN_MEM)
		u->fn = mem_handler(key, in);
	else
		u->fn = (uop_fn)(uintptr_t)u->thunk;
	return true;
}

/* ---- thunks that are not known are made when they are first called ---- */

mem_fn uop_thunk(struct vcpu *v, const struct uop *u)
{
	const struct block *b = uop_block(u);
	int off = b->cold[u->n].off;
	struct uop *to = (struct uop *)u; /* of the block pool, which is the vCPU's own */
	bool lasting;
	struct insn in;
	mem_fn thunk;

	if (u->thunk != uop_lazy_mem && u->thunk != (mem_fn)(uintptr_t)uop_lazy)
		return u->thunk;
	check(decode_guest(v, b->bytes + off, (unsigned)(b->n_bytes - off), key_bits(b->key),
			   &in) == DECODE_OK);
	thunk = emit_thunk(icpu(v), &in, &lasting);
	if (!lasting) {
		icpu(v)->flush_wanted = true;
		return thunk;
	}
	thunk_note(&icpu(v)->thunks, &in, (void *)(uintptr_t)thunk);
	to->thunk = thunk;
	if (u->fn == uop_lazy)
		to->fn = (uop_fn)(uintptr_t)thunk;
	return thunk;
}

int uop_lazy(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl)
{
	return ((uop_fn)(uintptr_t)uop_thunk(v, u))(v, u, tab, fl);
}

int uop_lazy_mem(struct vcpu *v, const struct uop *u, struct x86_tlb_entry *tab, uint32_t fl,
		 uint8_t *mem, struct x86_tlb_entry *e)
{
	return uop_thunk(v, u)(v, u, tab, fl, mem, e);
}
