/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One-byte opcodes in 16-, 32- and 64-bit modes. Intel SDM vol. 2, appendix A.3 (table A-2) and
 * A.4 (groups 1 to 5, 11, 1A), with flag effects from vol. 1, appendix A and the instruction pages.
 *
 * Prefixes, REX (40-4F in 64-bit mode), the escape 0F, VEX (C4, C5) and 90 with its three meanings
 * are told apart in decode.c.
 */
#include "engine/decode/tables.h"

/* clang-format off */
#define ARITH8(a, fl) \
	COPY(a, fl, xEb, rGb), COPY(a, fl, xEv, rGv), COPY(0, fl, xGb, rEb), COPY(0, fl, xGv, rEv), \
	COPY(0, fl, xAb, rIb), COPY(0, fl, xAv, rIz)

#define GROUP1(e, i, name, at) \
	static const struct row name[8] = { \
		COPY(A_LOCK | (at), ADD, x##e, r##i), /* add */ \
		COPY(A_LOCK | (at), LOGIC, x##e, r##i), \
		COPY(A_LOCK | (at), ADC, x##e, r##i), \
		COPY(A_LOCK | (at), ADC, x##e, r##i), /* sbb */ \
		COPY(A_LOCK | (at), LOGIC, x##e, r##i), \
		COPY(A_LOCK | (at), ADD, x##e, r##i), /* sub */ \
		COPY(A_LOCK | (at), LOGIC, x##e, r##i), \
		COPY(at, ADD, r##e, r##i), /* cmp */ \
	}
GROUP1(Eb, Ib, grp1_80, 0);
GROUP1(Ev, Iz, grp1_81, 0);
GROUP1(Eb, Ib, grp1_82, A_NO64 | A_LEGACY);
GROUP1(Ev, Ibs, grp1_83, 0);

/* Shifts: by one OF is defined; by imm8 or CL it is not, and a count of zero changes no flag. /6 is
 * an alias of /4 on all processors (not in the table, but executed). */
#define GROUP2(name, at, fl_rol, fl_rcl, fl_shl, fl_sar, ...) \
	static const struct row name[8] = { \
		COPY(at, fl_rol, __VA_ARGS__), COPY(at, fl_rol, __VA_ARGS__), \
		COPY(at, fl_rcl, __VA_ARGS__), COPY(at, fl_rcl, __VA_ARGS__), \
		COPY(at, fl_shl, __VA_ARGS__), COPY(at, fl_shl, __VA_ARGS__), \
		COPY(at, fl_shl, __VA_ARGS__), COPY(at, fl_sar, __VA_ARGS__), \
	}
GROUP2(grp2_c0, A_SHIFT, ROLI, RCLI, SHLI, SHLI, xEb, rIb);
GROUP2(grp2_c1, A_SHIFT, ROLI, RCLI, SHLI, SHLI, xEv, rIb);
GROUP2(grp2_d0, 0, ROL1, RCL1, SHL1, SAR1, xEb);
GROUP2(grp2_d1, 0, ROL1, RCL1, SHL1, SAR1, xEv);
GROUP2(grp2_d2, 0, ROLI, RCLI, SHLI, SHLI, xEb, rCL);
GROUP2(grp2_d3, 0, ROLI, RCLI, SHLI, SHLI, xEv, rCL);

static const struct row grp3_f6[8] = {
	COPY(0, LOGIC, rEb, rIb), COPY(0, LOGIC, rEb, rIb), /* test; /1 is an alias */
	COPY(A_LOCK, NONE, xEb), COPY(A_LOCK, ADD, xEb),    /* not neg */
	COPY(0, MUL, rEb, xAw), COPY(0, MUL, rEb, xAw),
	COPY(0, DIV, rEb, xAw), COPY(0, DIV, rEb, xAw),
};
static const struct row grp3_f7[8] = {
	COPY(0, LOGIC, rEv, rIz), COPY(0, LOGIC, rEv, rIz),
	COPY(A_LOCK, NONE, xEv), COPY(A_LOCK, ADD, xEv),
	COPY(0, MUL, rEv, xAv, wDv), COPY(0, MUL, rEv, xAv, wDv),
	COPY(0, DIV, rEv, xAv, xDv), COPY(0, DIV, rEv, xAv, xDv),
};
static const struct row grp4_fe[8] = {COPY(A_LOCK, INC, xEb), COPY(A_LOCK, INC, xEb)};
static const struct row grp5_push[2] = {
	SPEC(PUSH_MEM, A_D64 | A_STACK, NONE, STACK, rEv), SPEC(PUSH_REG, A_D64 | A_STACK, NONE, STACK, rEv)};
static const struct row grp5_ff[8] = {
	COPY(A_LOCK, INC, xEv), COPY(A_LOCK, INC, xEv),
	SPEC(CALL_IND, A_F64 | A_STACK | A_ENDS, NONE, STACK, rEv),
	SPEC(CALL_FAR, A_STACK | A_ENDS, NONE, STACK, rMp),
	SPEC(JMP_IND, A_F64 | A_ENDS, NONE, NONE, rEv),
	SPEC(JMP_FAR, A_ENDS, NONE, NONE, rMp),
	BY(MOD, grp5_push),
};
static const struct row grp1a_mod[2] = {
	SPEC(POP_MEM, A_D64 | A_STACK, NONE, STACK, wEv), SPEC(POP_REG, A_D64 | A_STACK, NONE, STACK, wEv)};
static const struct row grp1a_8f[8] = {BY(MOD, grp1a_mod)};

/* C6 F8 is XABORT, C7 F8 XBEGIN (TSX is never offered). */
static const struct row xabort_rm[8] = {NEVER(rIb)};
static const struct row xbegin_rm[8] = {NEVER(rJz)};
static const struct row xabort_mod[2] = {[1] = BY(RM, xabort_rm)};
static const struct row xbegin_mod[2] = {[1] = BY(RM, xbegin_rm)};
static const struct row grp11_c6[8] = {[0] = COPY(0, NONE, wEb, rIb), [7] = BY(MOD, xabort_mod)};
static const struct row grp11_c7[8] = {[0] = COPY(0, NONE, wEv, rIz), [7] = BY(MOD, xbegin_mod)};

static const struct row mode_63[2] = {
	ROW(ARPL, NONE, A_PE, ZF, NONE, xEw, rGw), COPY(0, NONE, wGv, rEz) /* movsxd */};
static const struct row mode_9e[2] = {
	ROW(NONE, NONE, 0, SAHF, RAX), ROW(NONE, LAHF64, 0, SAHF, RAX)};
static const struct row mode_9f[2] = {
	ROW(NONE, NONE, 0, LAHF, RAX_X), ROW(NONE, LAHF64, 0, LAHF, RAX_X)};

#define PUSH_S SPEC(PUSH_SEG, A_NO64 | A_STACK, NONE, STACK)
#define POP_S  SPEC(POP_SEG, A_NO64 | A_STACK | A_ENDS, NONE, STACK)
#define JCC(fl) SPEC(JCC, A_F64 | A_ENDS, fl, NONE, rJb)

const struct row insn_rows_1byte[256] = {
	[0x00] = ARITH8(A_LOCK, ADD), [0x06] = PUSH_S, POP_S,
	[0x08] = ARITH8(A_LOCK, LOGIC), [0x0e] = PUSH_S,
	[0x10] = ARITH8(A_LOCK, ADC), [0x16] = PUSH_S, POP_S,
	[0x18] = ARITH8(A_LOCK, ADC), [0x1e] = PUSH_S, POP_S,
	[0x20] = ARITH8(A_LOCK, LOGIC), [0x27] = SPEC(DAA, A_NO64, DAA, RAX_X),
	[0x28] = ARITH8(A_LOCK, ADD), [0x2f] = SPEC(DAS, A_NO64, DAA, RAX_X),
	[0x30] = ARITH8(A_LOCK, LOGIC), [0x37] = SPEC(AAA, A_NO64, AAA, RAX_X),
	[0x38] = COPY(0, ADD, rEb, rGb), COPY(0, ADD, rEv, rGv), COPY(0, ADD, rGb, rEb),
		 COPY(0, ADD, rGv, rEv), COPY(0, ADD, rAb, rIb), COPY(0, ADD, rAv, rIz),
	[0x3f] = SPEC(AAS, A_NO64, AAA, RAX_X),
	[0x40 ... 0x4f] = COPY(A_NO64 | A_LEGACY, INC, xZv),
	[0x50 ... 0x57] = SPEC(PUSH_REG, A_D64 | A_STACK, NONE, STACK, rZv),
	[0x58 ... 0x5f] = SPEC(POP_REG, A_D64 | A_STACK, NONE, STACK, wZv),
	[0x60] = SPEC(PUSHA, A_NO64 | A_STACK, NONE, PUSHA),
	[0x61] = SPEC(POPA, A_NO64 | A_STACK, NONE, ALLREG),
	[0x62] = SPEC(BOUND, A_NO64, NONE, NONE, rGv, rMa),
	[0x63] = BY(MODE, mode_63),
	[0x68] = SPEC(PUSH_IMM, A_D64 | A_STACK, NONE, STACK, rIz),
	[0x69] = COPY(0, MUL, wGv, rEv, rIz),
	[0x6a] = SPEC(PUSH_IMM, A_D64 | A_STACK, NONE, STACK, rIbs),
	[0x6b] = COPY(0, MUL, wGv, rEv, rIbs),
	[0x6c] = SPEC(INS, A_STR, STR_IO, INS, wYb), SPEC(INS, A_STR, STR_IO, INS, wYz),
	[0x6e] = SPEC(OUTS, A_STR, STR_IO, OUTS, rXb), SPEC(OUTS, A_STR, STR_IO, OUTS, rXz),
	[0x70] = JCC(CC_O), JCC(CC_O), JCC(CC_C), JCC(CC_C), JCC(CC_Z), JCC(CC_Z), JCC(CC_CZ), JCC(CC_CZ),
	[0x78] = JCC(CC_S), JCC(CC_S), JCC(CC_P), JCC(CC_P), JCC(CC_L), JCC(CC_L), JCC(CC_LE), JCC(CC_LE),
	[0x80] = BY(REG, grp1_80), BY(REG, grp1_81), BY(REG, grp1_82), BY(REG, grp1_83),
	[0x84] = COPY(0, LOGIC, rEb, rGb), COPY(0, LOGIC, rEv, rGv),
	[0x86] = COPY(A_LOCK | A_XLOCK, NONE, xEb, xGb), COPY(A_LOCK | A_XLOCK, NONE, xEv, xGv),
	[0x88] = COPY(0, NONE, wEb, rGb), COPY(0, NONE, wEv, rGv),
	[0x8a] = COPY(0, NONE, wGb, rEb), COPY(0, NONE, wGv, rEv),
	[0x8c] = SPEC(MOV_FROM_SEG, 0, NONE, NONE, wEvw, rSw),
	[0x8d] = SPEC(LEA, 0, NONE, NONE, wGv, nM),
	[0x8e] = SPEC(MOV_TO_SEG, A_ENDS, NONE, NONE, wSw, rEw),
	[0x8f] = BY(REG, grp1a_8f),
	[0x90 ... 0x97] = COPY(0, NONE, xZv, xAv),
	[0x98] = COPY(0, NONE, xAv), COPY(0, NONE, rAv, wDv),
	[0x9a] = SPEC(CALL_FAR, A_NO64 | A_STACK | A_ENDS, NONE, STACK, rAp),
	[0x9b] = COPYF(FPU, A_WAIT | A_CTRL, NONE, 0),
	[0x9c] = SPEC(PUSHF, A_D64 | A_STACK, PUSHF, STACK),
	[0x9d] = SPEC(POPF, A_D64 | A_STACK | A_ENDS, POPF, STACK),
	[0x9e] = BY(MODE, mode_9e), BY(MODE, mode_9f),
	[0xa0] = COPY(0, NONE, wAb, rOb), COPY(0, NONE, wAv, rOv),
	[0xa2] = COPY(0, NONE, wOb, rAb), COPY(0, NONE, wOv, rAv),
	[0xa4] = SPEC(MOVS, A_STR, STR, MOVS, wYb, rXb), SPEC(MOVS, A_STR, STR, MOVS, wYv, rXv),
	[0xa6] = SPEC(CMPS, A_STR, CMPS, MOVS, rXb, rYb), SPEC(CMPS, A_STR, CMPS, MOVS, rXv, rYv),
	[0xa8] = COPY(0, LOGIC, rAb, rIb), COPY(0, LOGIC, rAv, rIz),
	[0xaa] = SPEC(STOS, A_STR, STR, DST, wYb, rAb), SPEC(STOS, A_STR, STR, DST, wYv, rAv),
	[0xac] = SPEC(LODS, A_STR, STR, SRC, wAb, rXb), SPEC(LODS, A_STR, STR, SRC, wAv, rXv),
	[0xae] = SPEC(SCAS, A_STR, CMPS, DST, rAb, rYb), SPEC(SCAS, A_STR, CMPS, DST, rAv, rYv),
	[0xb0 ... 0xb7] = COPY(0, NONE, wZb, rIb),
	[0xb8 ... 0xbf] = COPY(0, NONE, wZv, rIv),
	[0xc0] = BY(REG, grp2_c0), BY(REG, grp2_c1),
	[0xc2] = SPEC(RET, A_F64 | A_STACK | A_ENDS, NONE, STACK, rIw),
	[0xc3] = SPEC(RET, A_F64 | A_STACK | A_ENDS, NONE, STACK),
	[0xc4] = SPEC(LOAD_FAR_PTR, A_NO64 | A_ENDS, NONE, NONE, wGv, rMp),
	[0xc5] = SPEC(LOAD_FAR_PTR, A_NO64 | A_ENDS, NONE, NONE, wGv, rMp),
	[0xc6] = BY(REG, grp11_c6), BY(REG, grp11_c7),
	[0xc8] = SPEC(ENTER, A_D64 | A_STACK, NONE, FRAME, rIw, rIb),
	[0xc9] = SPEC(LEAVE, A_D64 | A_STACK, NONE, FRAME),
	[0xca] = SPEC(RETF, A_STACK | A_ENDS, NONE, STACK, rIw),
	[0xcb] = SPEC(RETF, A_STACK | A_ENDS, NONE, STACK),
	[0xcc] = SPEC(INT3, A_STACK | A_ENDS, INT, STACK),
	[0xcd] = SPEC(INT_N, A_STACK | A_ENDS, INT, STACK, rIb),
	[0xce] = SPEC(INTO, A_NO64 | A_STACK | A_ENDS, INT, STACK),
	[0xcf] = SPEC(IRET, A_STACK | A_ENDS, IRET, STACK),
	[0xd0] = BY(REG, grp2_d0), BY(REG, grp2_d1), BY(REG, grp2_d2), BY(REG, grp2_d3),
	[0xd4] = SPEC(AAM, A_NO64, AAM, RAX_X, rIb), SPEC(AAD, A_NO64, AAM, RAX_X, rIb),
	[0xd6] = SPEC(SALC, A_NO64, CC_C, RAX_X),
	[0xd7] = SPEC(XLAT, 0, NONE, XLAT, rXb),
	[0xd8 ... 0xdf] = {.attr = FORM_X87},
	[0xe0] = SPEC(LOOP, A_F64 | A_ENDS, CC_Z, LOOP, rJb), SPEC(LOOP, A_F64 | A_ENDS, CC_Z, LOOP, rJb),
	[0xe2] = SPEC(LOOP, A_F64 | A_ENDS, NONE, LOOP, rJb),
	[0xe3] = SPEC(JCXZ, A_F64 | A_ENDS, NONE, RCX, rJb),
	[0xe4] = SPEC(IN, 0, IO, NONE, wAb, rIb), SPEC(IN, 0, IO, NONE, wAz, rIb),
	[0xe6] = SPEC(OUT, 0, IO, NONE, rAb, rIb), SPEC(OUT, 0, IO, NONE, rAz, rIb),
	[0xe8] = SPEC(CALL_REL, A_F64 | A_STACK | A_ENDS, NONE, STACK, rJz),
	[0xe9] = SPEC(JMP_REL, A_F64 | A_ENDS, NONE, NONE, rJz),
	[0xea] = SPEC(JMP_FAR, A_NO64 | A_ENDS, NONE, NONE, rAp),
	[0xeb] = SPEC(JMP_REL, A_F64 | A_ENDS, NONE, NONE, rJb),
	[0xec] = SPEC(IN, 0, IO, RDX, wAb), SPEC(IN, 0, IO, RDX, wAz),
	[0xee] = SPEC(OUT, 0, IO, RDX, rAb), SPEC(OUT, 0, IO, RDX, rAz),
	[0xf1] = SPEC(INT1, A_STACK | A_ENDS, INT, STACK),
	[0xf4] = SPEC(HLT, A_CPL0 | A_ENDS, NONE, NONE),
	[0xf5] = COPY(0, CMC, 0), BY(REG, grp3_f6), BY(REG, grp3_f7),
	[0xf8] = COPY(0, CLC, 0), COPY(0, CLC, 0),
	[0xfa] = SPEC(CLI, 0, CLI, NONE), SPEC(STI, A_ENDS, STI, NONE),
	[0xfc] = SPEC(CLD, 0, CLD, NONE), SPEC(STD, 0, CLD, NONE),
	[0xfe] = BY(REG, grp4_fe), BY(REG, grp5_ff),
};
/* clang-format on */
