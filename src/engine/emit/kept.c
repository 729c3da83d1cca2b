/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Undefined flags that this host leaves as they were (insn_flags_kept() in reenc.h).
 *
 * Guests' arithmetic is the host's own instructions, so what they leave in the flags that the
 * manuals call undefined is what the host leaves there. Where that follows from the operands, the
 * flags from before are dead; where the host lets them be, they are an operand. Intel's processors
 * set SF and PF of IMUL and MUL by the result and clear ZF and AF (SDM vol. 2 calls them
 * undefined); AMD's Zen 4 keeps all four, and OF of LZCNT and TZCNT (APM vol. 3, appendix F: U).
 *
 * Vendor and family say little about processors yet to come, so each class is tried, once, when
 * the first of its instructions is asked about: some operands, each with all flags clear and all
 * set. What comes out different, and the decoder says is undefined, is kept. The classes are those
 * with undefined flags whose old values nothing else counts as read.
 */
#include <stdatomic.h>

#include "engine/emit/reenc.h"

/* Flags as LAHF and SETO have them: AH, and OF in bit 0. */
#define FL_SET 0xd501u

/* RAX and RDX are @a, RCX is @b, the flags @fl when the instruction begins; out: its flags. LAHF's
 * form of them needs RAX itself, so @a waits in RSI. */
#define TRY(text)                                                                                  \
	do {                                                                                       \
		uint64_t in_a = a, fl_io = fl;                                                     \
                                                                                                   \
		__asm__ volatile("addb $0x7f, %%al\n\tsahf\n\tmovq %[a], %%rax\n\t" text           \
				 "\n\tlahf\n\tseto %%al"                                           \
				 : "+&a"(fl_io)                                                    \
				 : [a] "S"(in_a), "c"(b), "d"(a)                                   \
				 : "cc", "rdi");                                                   \
		out[n++] = (uint16_t)fl_io;                                                        \
	} while (0)

/* RDI is the destination that nobody looks at. */
#define TRY_TO_RDI(text) TRY("movq %%rax, %%rdi\n\t" text)

#define MOST 12 /* instructions of a class */

static unsigned try_imul(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_TO_RDI("imulw %%cx, %%di");
	TRY_TO_RDI("imull %%ecx, %%edi");
	TRY_TO_RDI("imulq %%rcx, %%rdi");
	TRY_TO_RDI("imulw $0x1234, %%cx, %%di");
	TRY_TO_RDI("imull $3, %%ecx, %%edi");
	TRY_TO_RDI("imulq $-5, %%rcx, %%rdi");
	return n;
}

/* These write RDX, too. */
#define TRY_WIDE(text) TRY("movq %%rdx, %%rdi\n\t" text "\n\tmovq %%rdi, %%rdx")

static unsigned try_mul(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_WIDE("mulb %%cl");
	TRY_WIDE("mulw %%cx");
	TRY_WIDE("mull %%ecx");
	TRY_WIDE("mulq %%rcx");
	TRY_WIDE("imulb %%cl");
	TRY_WIDE("imulw %%cx");
	TRY_WIDE("imull %%ecx");
	TRY_WIDE("imulq %%rcx");
	return n;
}

static unsigned try_bsf(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_TO_RDI("bsfw %%cx, %%di");
	TRY_TO_RDI("bsfl %%ecx, %%edi");
	TRY_TO_RDI("bsfq %%rcx, %%rdi");
	TRY_TO_RDI("bsrw %%cx, %%di");
	TRY_TO_RDI("bsrl %%ecx, %%edi");
	TRY_TO_RDI("bsrq %%rcx, %%rdi");
	return n;
}

/* BSF and BSR on processors without them. */
static unsigned try_lzcnt(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_TO_RDI("tzcntw %%cx, %%di");
	TRY_TO_RDI("tzcntl %%ecx, %%edi");
	TRY_TO_RDI("tzcntq %%rcx, %%rdi");
	TRY_TO_RDI("lzcntw %%cx, %%di");
	TRY_TO_RDI("lzcntl %%ecx, %%edi");
	TRY_TO_RDI("lzcntq %%rcx, %%rdi");
	return n;
}

static unsigned try_shift(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_TO_RDI("shlb $1, %%dil");
	TRY_TO_RDI("shrw $3, %%di");
	TRY_TO_RDI("sarl $1, %%edi");
	TRY_TO_RDI("shlq $5, %%rdi");
	TRY_TO_RDI("shrl $31, %%edi");
	TRY_TO_RDI("sarq $63, %%rdi");
	TRY_TO_RDI("shlb $9, %%dil");
	TRY_TO_RDI("shrw $21, %%di");
	return n;
}

static unsigned try_shld(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_TO_RDI("shldw $3, %%cx, %%di");
	TRY_TO_RDI("shldl $1, %%ecx, %%edi");
	TRY_TO_RDI("shldq $40, %%rcx, %%rdi");
	TRY_TO_RDI("shrdw $21, %%cx, %%di");
	TRY_TO_RDI("shrdl $31, %%ecx, %%edi");
	TRY_TO_RDI("shrdq $5, %%rcx, %%rdi");
	return n;
}

static unsigned try_logic(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out)
{
	unsigned n = 0;

	TRY_TO_RDI("andb %%cl, %%dil");
	TRY_TO_RDI("orw %%cx, %%di");
	TRY_TO_RDI("xorl %%ecx, %%edi");
	TRY_TO_RDI("testq %%rcx, %%rdi");
	return n;
}

enum kin { C_IMUL, C_MUL, C_BSF, C_LZCNT, C_SHIFT, C_SHLD, C_LOGIC, C_COUNT, C_NONE = C_COUNT };

static unsigned (*const tries[C_COUNT])(uint64_t a, uint64_t b, uint64_t fl, uint16_t *out) = {
	[C_IMUL] = try_imul,   [C_MUL] = try_mul,   [C_BSF] = try_bsf,     [C_LZCNT] = try_lzcnt,
	[C_SHIFT] = try_shift, [C_SHLD] = try_shld, [C_LOGIC] = try_logic,
};

static uint32_t find_kept(enum kin c)
{
	static const uint64_t operands[][2] = {{0, 0},
					       {1, 1},
					       {~0ull, 2},
					       {0x123456789abcdef0, 0xfedcba9876543210},
					       {1ull << 63, 1ull << 62},
					       {0x8000, 0x80000000}};
	unsigned differ = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(operands); i++) {
		uint16_t clear[MOST], set[MOST];
		unsigned n = tries[c](operands[i][0], operands[i][1], 0, clear);

		(void)tries[c](operands[i][0], operands[i][1], FL_SET, set);
		while (n--)
			differ |= clear[n] ^ set[n];
	}
	return (differ >> 8 & (X86_SF | X86_ZF | X86_AF | X86_PF | X86_CF)) |
	       (differ & 1 ? X86_OF : 0);
}

static enum kin kin_of_group3(const struct insn *in)
{
	unsigned op = in->modrm >> 3 & 7;

	return op < 2 ? C_LOGIC : op == 4 || op == 5 ? C_MUL : C_NONE;
}

static enum kin kin_of_0f(const struct insn *in)
{
	switch (in->opcode) {
	case 0xa4:
	case 0xac: return C_SHLD;
	case 0xaf: return C_IMUL;
	case 0xbc:
	case 0xbd: return in->pp == 2 ? C_LZCNT : C_BSF;
	default: return C_NONE;
	}
}

static enum kin kin_of(const struct insn *in)
{
	if (in->enc != ENC_LEGACY)
		return C_NONE;
	if (in->map == MAP_0F)
		return kin_of_0f(in);
	if (in->map != MAP_1)
		return C_NONE;
	switch (in->opcode) {
	case 0x69:
	case 0x6b: return C_IMUL;
	case 0xf6:
	case 0xf7: return kin_of_group3(in);
	case 0xc0:
	case 0xc1:
	case 0xd0:
	case 0xd1: return (in->modrm >> 3 & 7) >= 4 ? C_SHIFT : C_NONE;
	case 0x80 ... 0x83:
	case 0x84:
	case 0x85:
	case 0xa8:
	case 0xa9: return C_LOGIC;
	default: return in->opcode < 0x40 && (in->opcode & 7) < 6 ? C_LOGIC : C_NONE;
	}
}

uint32_t insn_flags_kept(const struct insn *in)
{
	static atomic_uint found[C_COUNT]; /* threads that look at once find the same */
	const unsigned looked = 1u << 31;
	enum kin c;
	unsigned kept;

	if (!(in->rflags_undef & X86_ARITH))
		return 0;
	c = kin_of(in);
	if (c == C_NONE)
		return 0;
	kept = atomic_load_explicit(&found[c], memory_order_relaxed);
	if (!kept) {
		kept = find_kept(c) | looked;
		atomic_store_explicit(&found[c], kept, memory_order_relaxed);
	}
	return kept & in->rflags_undef & X86_ARITH;
}
