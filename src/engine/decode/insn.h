/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One decoded x86 instruction, and the decoder's entry point. Intel SDM vol. 2, chapters 2 and
 * appendix A, B. The tables (engine/decode/tables_*.c) hold per opcode: form, operands, flags read,
 * written and undefined, CPUID feature, class. Class COPY (about 95 % of what runs) means: the
 * host's own instruction, re-encoded with other registers and memory operand, does exactly what the
 * guest's does. Everything else names a special handler (special.def).
 *
 * The decoder is pure: it reads only the bytes it is given, never faults, and never allocates.
 *
 * What DECODE_OK leaves to the engine: the CPUID feature, INSN_PE_ONLY, CPL, x87/SSE/AVX
 * availability, and whatever a special handler checks (operand values, modes: e.g. SYSCALL outside
 * 64-bit mode). LOCK legality, VEX.W/L/vvvv, mod = 3 or not, reserved groups are checked here.
 *
 * Re-encoding a COPY instruction for a 64-bit host, from any guest mode:
 * - 67 and segment prefixes are dropped with the memory operand; F2, F3 and 66 are dropped and put
 *   back by rule: F0 if INSN_LOCK (xchg needs none); 66 if pp = 1, or if INSN_OPSIZE and opsize =
 *   2; F3 or F2 if pp = 2 or 3. In 16-bit code that adds and removes 66 against the guest's bytes.
 * - REX.W or VEX.W from INSN_W (already cleared where W has no meaning outside 64-bit mode).
 * - immediates are copied as they are: equal operand sizes have equal immediate lengths. Except
 *   VEX map 3 4A-4C, whose register in bits 7:4 is imm2: bit 7 is ignored outside 64-bit mode.
 * - INSN_MOFFS (A0-A3): encode 8A, 8B, 88, 89 with reg = rAX and a memory operand instead.
 * - INSN_LEGACY: 40-47 becomes FF /0, 48-4F FF /1 (register in rm), 82 becomes 80.
 * - INSN_HIGH8: no REX may be added, so other registers must stay below 8.
 * All other encodings that 64-bit mode lacks or changes are specials (DAA, BOUND, PUSHA, LES...).
 *
 * Masks: a write of 8 or 16 bits leaves the rest of the register, so the register counts as read
 * too; so does a CMOVcc, CMPXCHG or BSF destination. Vector masks look at the low 128 bits: SSE
 * scalar writes that merge count as reads, the preserved YMM half of legacy SSE does not.
 * rflags_written includes conditional writes (shift by CL, repeated CMPS); the flags that may
 * survive are then in rflags_read. So are undefined flags that processors of all makes leave as
 * they were (BT, DIV, rotates): diff_insn -audit shows which. Those that only some do (AMD's: IMUL,
 * LZCNT) are for the engine to find out: insn_flags_kept().
 */
#ifndef ENGINE_DECODE_INSN_H
#define ENGINE_DECODE_INSN_H

#include "cpu/x86/features.h"
#include "cpu/x86/state.h"

enum special {
	SP_NONE, /* COPY */
#define SP(name, group) SP_##name,
#include "engine/decode/special.def"
#undef SP
	SP_COUNT
};

enum insn_map { MAP_1, MAP_0F, MAP_0F38, MAP_0F3A, MAP_3DNOW, MAP_COUNT };
enum insn_enc { ENC_LEGACY, ENC_VEX, ENC_EVEX /* decoded for length only: #UD */ };

enum insn_prefix {
	PFX_66 = 1,
	PFX_67 = 2,
	PFX_LOCK = 4,
	PFX_F2 = 8,
	PFX_F3 = 16,
	PFX_SEG = 32,
	PFX_REX = 64,
};

/* insn.flags */
enum {
	INSN_MODRM = 1 << 0,
	INSN_MEM = 1 << 1, /* has a memory operand (ModRM or moffs) that it accesses; lea and nop
			      have not */
	INSN_MEM_READ = 1 << 2,
	INSN_MEM_WRITE = 1 << 3, /* both: read-modify-write; faults as a write */
	INSN_RIP_REL = 1 << 4,   /* base is RIP of the next instruction */
	INSN_MOFFS = 1 << 5,     /* A0-A3: address is imm */
	INSN_REP = 1 << 6,       /* F3 (rep/repe) on a string instruction */
	INSN_REPNE = 1 << 7,     /* F2 */
	INSN_LOCK = 1 << 8,      /* effective lock (explicit, or xchg mem) */
	INSN_FPU = 1 << 9,       /* x87: needs CR0.EM=TS=0 (#NM) */
	INSN_MMX = 1 << 10,      /* MMX registers: #UD if EM, #NM if TS */
	INSN_SSE = 1 << 11,      /* XMM legacy: CR4.OSFXSR, EM, TS */
	INSN_AVX = 1 << 12,      /* VEX: CR4.OSXSAVE, XCR0[2:1]=3, TS */
	INSN_FP_EXC = 1 << 13,   /* may raise #XM (or #UD without OSXMMEXCPT) */
	INSN_FWAIT =
		1 << 14, /* x87 instruction that checks pending exceptions, and 9B (TS with MP) */
	INSN_ENDS = 1 << 15,  /* ends a block: control transfer, or changes mode/mapping */
	INSN_CPL0 = 1 << 16,  /* #GP(0) unless CPL 0 */
	INSN_HIGH8 = 1 << 17, /* ModRM reg or rm names AH, CH, DH or BH */
	INSN_STACK = 1 << 18, /* implicit stack access */
	INSN_ALIGN =
		1
		<< 19, /* memory operand must be naturally aligned (#GP): movaps & co, cmpxchg16b */
	INSN_X87_CTRL = 1 << 20, /* x87 control instruction: leaves FIP, FDP, FOP alone */
	INSN_PE_ONLY = 1 << 21,  /* #UD in real and v8086 mode */
	INSN_VEX_L = 1 << 22,    /* VEX.L = 1 (256 bit) */
	INSN_W = 1 << 23,        /* REX.W or VEX.W, where it has an effect */
	INSN_OPSIZE = 1 << 24,   /* the operand size (66, W) selects the register width */
	INSN_LEGACY = 1 << 25,   /* COPY, but encoded otherwise in 64-bit mode: 40-4F, 82 */
};

#define INSN_NO_REG 0xff
#define INSN_MAX    15 /* bytes */

struct insn {
	uint8_t bytes[16]; /* the instruction, zero-padded */
	uint8_t len;       /* 1..15 */
	uint8_t enc;       /* enum insn_enc */
	uint8_t map;       /* enum insn_map */
	uint8_t opcode;
	uint8_t prefixes; /* PFX_ bits seen */
	uint8_t pp;       /* mandatory prefix in effect: 0 none, 1 66, 2 F3, 3 F2 */
	uint8_t rex;      /* REX byte (0 if none), or synthesised 0x40|WRXB for VEX */
	uint8_t modrm;
	uint8_t vvvv;        /* VEX second source register 0..15 (already inverted), INSN_NO_REG */
	uint8_t opsize;      /* effective operand size in bytes: 1, 2, 4, 8 (GPR instructions) */
	uint8_t addrsize;    /* 2, 4, 8 */
	uint8_t code_bits;   /* 16, 32, 64: mode it was decoded for */
	uint8_t seg;         /* effective segment of the memory operand, enum x86_sreg */
	uint8_t base, index; /* GPR numbers or INSN_NO_REG; VSIB: index is a vector register */
	uint8_t scale;       /* 0..3: shift */
	uint8_t reg; /* ModRM.reg with REX.R; PUSH_SEG, POP_SEG: enum x86_sreg; else INSN_NO_REG */
	uint8_t rm;  /* ModRM.rm with REX.B when mod = 3, or the register in the opcode's low three
			bits (push, pop, mov imm, xchg, bswap); else INSN_NO_REG. Byte registers are
			not translated: 4..7 without REX is AH..BH */
	uint8_t off_opcode; /* offsets in bytes[]: the opcode byte itself */
	uint8_t off_modrm;  /* 0 if none */
	uint8_t off_disp, disp_len;
	uint8_t off_imm, imm_len; /* imm_len: all immediate bytes (enter: 3, ptr16:32: 6) */
	uint8_t special;          /* enum special; SP_NONE = COPY */
	uint8_t feature;          /* enum x86_feature needed, else #UD */
	uint16_t mem_size;        /* bytes of the memory operand (0: none or not accessed) */
	uint16_t gpr_read;        /* GPRs read, explicit and implicit, incl. address registers */
	uint16_t gpr_written;  /* GPRs written (partially or fully; conditional writes included) */
	uint16_t gpr_explicit; /* GPRs named by ModRM reg/rm, opcode low bits or VEX.vvvv
				  (renamable) */
	uint16_t vec_read, vec_written; /* XMM/YMM registers; MMX are FPU state, not here */
	uint32_t flags;                 /* INSN_ bits */
	uint32_t rflags_read, rflags_written,
		rflags_undef; /* X86_ bits; written includes undefined */
	int64_t disp;         /* sign-extended displacement; moffs: the address */
	uint64_t imm;  /* sign- or zero-extended as the instruction uses it; enter: size | level <<
			* 16; far pointers: the offset; moffs: the address */
	uint32_t imm2; /* far pointer selector, enter level, VEX is4 register */
};

enum decode_result {
	DECODE_OK,
	DECODE_SHORT,   /* needs more than the @n bytes given (fetch fault candidates); len = @n */
	DECODE_INVALID, /* #UD; in->len is set as far as it is known */
	DECODE_TOO_LONG /* more than 15 bytes: #GP(0) */
};

/**
 * insn_decode() - decode one instruction
 * @bytes: at least @n readable bytes (1..15 are looked at). @code_bits: 16, 32 or 64.
 * @ret: filled when DECODE_OK; also for DECODE_INVALID with what is known.
 * Any thread; pure.
 */
enum decode_result insn_decode(const uint8_t *bytes, unsigned n, unsigned code_bits,
			       struct insn *ret);

/**
 * insn_without_lzcnt() - F3 0F BC/BD as a processor without BMI1/LZCNT runs them: BSF, BSR
 * @in: a decoded TZCNT (feature X86_FEAT_BMI1) or LZCNT (X86_FEAT_LZCNT), legacy encoding; changed
 * in place. The only feature-dependent decoding there is: engines call it when the model lacks the
 * feature (SDM vol. 2, LZCNT, TZCNT: "executes as BSR/BSF"). Return: false if @in is neither.
 */
bool insn_without_lzcnt(struct insn *in);
/**
 * insn_as_amd() - what AMD's processors run otherwise than the decoder, which knows Intel's, says
 * @in: decoded for 64-bit mode, else nothing is done; changed in place.
 * A near branch with prefix 66: its operand has 16 bits, unless REX.W is there (APM vol. 3, 1.2.2
 * and CALL, Jcc, JMP, RET), and so has what follows a relative branch's opcode. Intel's have 64-bit
 * near branches whatever the prefix (SDM vol. 1, 6.3.7). PAUSE with REX.B: XCHG with R8 (seen on
 * Zen 4). Return: false if @in is none of these, or not changed.
 */
bool insn_as_amd(struct insn *in);

/** insn_format() - one line of disassembly for logs (Zydis when built with it, else bytes and
 * special name). @buf of @size bytes. */
void insn_format(const struct insn *in, uint64_t rip, char *buf, size_t size);

#endif
