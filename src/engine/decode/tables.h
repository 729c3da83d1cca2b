/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shape of the decoder's tables: one 16-byte row per opcode, or per ModRM.reg, mod, rm,
 * mandatory prefix or mode where those choose another instruction. Private to engine/decode.
 *
 * Operands are written in the letters of Intel SDM vol. 2, appendix A.2.1 and A.2.2 with the access
 * in front: r read, w written, x both, n neither (address only). "xEv, rGv" is ADD Ev,Gv.
 *
 * A map's table has four rows an opcode, indexed by the prefix in effect (none, 66, F3, F2: SDM
 * vol. 2, 2.1.2 and 2.3.6.1); an instruction that ignores F2 and F3 fills all four (ALL). A row of
 * zeros is an undefined opcode.
 */
#ifndef ENGINE_DECODE_TABLES_H
#define ENGINE_DECODE_TABLES_H

#include "engine/decode/insn.h"

/* clang-format off */

/* Operand kinds. SDM letters where it has one; those from K_E on need a ModRM byte. */
enum {
	K_NONE,
	K_A, K_C, K_D,  /* fixed GPR: rAX, rCX, rDX */
	K_Z,            /* GPR in the opcode's low three bits */
	K_I, K_IS,      /* immediate, zero- and sign-extended */
	K_J,            /* relative branch */
	K_AP,           /* far pointer in the instruction */
	K_O,            /* moffs */
	K_STRX, K_STRY, /* string source and destination: only a size here */
	K_X0,           /* XMM0 */
	K_E, K_G, K_M, K_R, /* R: like E with mod = 3 only */
	K_SREG, K_CR, K_DR,
	K_V, K_W, K_U, K_H, K_L, /* vector: reg, rm or memory, rm only, vvvv, is4 */
	K_B,            /* GPR in vvvv */
	K_P, K_Q, K_N,  /* MMX: reg, rm or memory, rm only */
	K_VSIB,         /* memory with a vector index */
};

/* Operand sizes in bytes, or the rule that gives them. */
enum {
	S_0,
	S_B, S_W, S_D, S_Q, S_T, S_DQ, S_QQ, /* 1 2 4 8 10 16 32 */
	S_V,   /* operand size: 2 4 8 */
	S_Z,   /* operand size, at most 4 */
	S_Y,   /* 4, or 8 with W (66 has no say) */
	S_MODE,/* 8 in 64-bit mode, else 4 */
	S_X, S_XH, S_XQ, S_XE, /* vector length; half, quarter, eighth of it */
	S_SW,  /* scalar element: 4, with W 8 */
	S_DUP, /* vmovddup: 8, 256-bit: 32 */
	S_DB, S_DW, S_VW, /* register 4 / memory 1; 4 / 2; operand size / 2 */
	S_P,   /* far pointer: operand size + 2 */
	S_2V,  /* bound: twice the operand size */
	S_S,   /* pseudo-descriptor: 10 in 64-bit mode, else 6 */
	S_CX,  /* cmpxchg8b: 8, with W 16 */
	S_ENV, S_SAV, /* x87 environment 14/28, state 94/108 by operand size */
	S_FX,  /* 512 */
	S_XS,  /* XSAVE area: 576, the least there is */
};

#define OP_KIND(op)   ((op) & 63)
#define OP_SIZE(op)   (((op) >> 6) & 31)
#define OP_ACCESS(op) (((op) >> 11) & 3)
#define OP_R          1
#define OP_W          2
#define OP_MODRM      0x8000

#define OPERAND(name, kind, size) \
	n##name = (kind) | (size) << 6 | ((kind) >= K_E ? OP_MODRM : 0), \
	r##name = n##name | OP_R << 11, w##name = n##name | OP_W << 11, x##name = n##name | 3 << 11
enum {
	OPERAND(Ab, K_A, S_B), OPERAND(Aw, K_A, S_W), OPERAND(Ad, K_A, S_D), OPERAND(Av, K_A, S_V),
	OPERAND(Az, K_A, S_Z), OPERAND(CL, K_C, S_B), OPERAND(Cd, K_C, S_D), OPERAND(Dv, K_D, S_V),
	OPERAND(Zb, K_Z, S_B), OPERAND(Zv, K_Z, S_V),
	OPERAND(Ib, K_I, S_B), OPERAND(Iw, K_I, S_W), OPERAND(Iv, K_I, S_V),
	OPERAND(Ibs, K_IS, S_B), OPERAND(Iz, K_IS, S_Z),
	OPERAND(Jb, K_J, S_B), OPERAND(Jz, K_J, S_Z), OPERAND(Ap, K_AP, S_P),
	OPERAND(Ob, K_O, S_B), OPERAND(Ov, K_O, S_V),
	OPERAND(Xb, K_STRX, S_B), OPERAND(Xv, K_STRX, S_V), OPERAND(Xz, K_STRX, S_Z),
	OPERAND(Yb, K_STRY, S_B), OPERAND(Yv, K_STRY, S_V), OPERAND(Yz, K_STRY, S_Z),
	OPERAND(X0, K_X0, S_DQ),
	OPERAND(Eb, K_E, S_B), OPERAND(Ew, K_E, S_W), OPERAND(Ed, K_E, S_D), OPERAND(Ev, K_E, S_V),
	OPERAND(Ey, K_E, S_Y), OPERAND(Ez, K_E, S_Z),
	OPERAND(Edb, K_E, S_DB), OPERAND(Edw, K_E, S_DW), OPERAND(Evw, K_E, S_VW),
	OPERAND(Gb, K_G, S_B), OPERAND(Gw, K_G, S_W), OPERAND(Gd, K_G, S_D), OPERAND(Gv, K_G, S_V),
	OPERAND(Gy, K_G, S_Y), OPERAND(Gm, K_G, S_MODE),
	OPERAND(M, K_M, S_0), OPERAND(Mb, K_M, S_B), OPERAND(Mw, K_M, S_W), OPERAND(Md, K_M, S_D),
	OPERAND(Mq, K_M, S_Q), OPERAND(Mt, K_M, S_T), OPERAND(Mdq, K_M, S_DQ), OPERAND(Mx, K_M, S_X),
	OPERAND(Mv, K_M, S_V), OPERAND(My, K_M, S_Y), OPERAND(Mp, K_M, S_P), OPERAND(Ma, K_M, S_2V),
	OPERAND(Ms, K_M, S_S), OPERAND(Mcx, K_M, S_CX), OPERAND(Menv, K_M, S_ENV),
	OPERAND(Msav, K_M, S_SAV), OPERAND(Mfx, K_M, S_FX), OPERAND(Mxs, K_M, S_XS),
	OPERAND(Ry, K_R, S_Y), OPERAND(Rv, K_R, S_V), OPERAND(Rm, K_R, S_MODE),
	OPERAND(Sw, K_SREG, S_W), OPERAND(Cm, K_CR, S_MODE), OPERAND(Dm, K_DR, S_MODE),
	OPERAND(Vdq, K_V, S_DQ), OPERAND(Vx, K_V, S_X), OPERAND(Wd, K_W, S_D), OPERAND(Wq, K_W, S_Q),
	OPERAND(Ww, K_W, S_W), OPERAND(Wb, K_W, S_B),
	OPERAND(Wdq, K_W, S_DQ), OPERAND(Wx, K_W, S_X), OPERAND(Wxh, K_W, S_XH),
	OPERAND(Wxq, K_W, S_XQ), OPERAND(Wxe, K_W, S_XE), OPERAND(Wsw, K_W, S_SW),
	OPERAND(Wdup, K_W, S_DUP),
	OPERAND(Udq, K_U, S_DQ), OPERAND(Ux, K_U, S_X), OPERAND(Hdq, K_H, S_DQ), OPERAND(Hx, K_H, S_X),
	OPERAND(Lx, K_L, S_X), OPERAND(By, K_B, S_Y),
	OPERAND(Pq, K_P, S_Q), OPERAND(Qd, K_Q, S_D), OPERAND(Qq, K_Q, S_Q), OPERAND(Nq, K_N, S_Q),
	OPERAND(VSIB, K_VSIB, S_SW),
};

/*
 * Row attributes. Bits that are INSN_ flags of their own are copied to insn.flags (ATTR_FLAGS);
 * the others reuse bit positions of flags that no row can carry.
 */
enum {
	FORM_MASK = 7, /* 0: undefined opcode */
	FORM_LEAF = 1,
	FORM_REG = 2,  /* sub[ModRM.reg] */
	FORM_MOD = 3,  /* sub[mod == 3] */
	FORM_RM = 4,   /* sub[ModRM.rm] */
	FORM_MODE = 5, /* sub[64-bit mode] */
	FORM_W = 6,    /* sub[W] */
	FORM_X87 = 7,
	A_NO64 = 1 << 3,
	A_ONLY64 = 1 << 4,
	A_LOCK = 1 << 5,   /* LOCK allowed with a memory destination */
	A_XLOCK = 1 << 6,  /* xchg: memory form is locked by itself */
	A_D64 = 1 << 7,    /* 64-bit mode: operand size 8 by default, 66 gives 2 */
	A_F64 = 1 << 8,    /* 64-bit mode: operand size always 8 */
	A_PP = 1 << 17,    /* chosen by a mandatory prefix */
	A_W0 = 1 << 22, A_W1 = 1 << 23,  /* VEX.W must be; else #UD */
	A_L0 = 1 << 24, A_L1 = 1 << 25,  /* VEX.L must be; else #UD */
	A_L_AVX2 = 1 << 26, /* the 256-bit form needs AVX2 (VAES, VPCLMUL for those of AES, PCLMUL) */
	A_STR = 1 << 27,    /* string: REP and REPNE */
	A_SHIFT = 1 << 28,  /* count in the immediate: zero leaves the flags alone */
	A_UNAL = 1 << 29,   /* legacy SSE, 16 bytes, any alignment */
	A_LEGACY = 1 << 30, /* no such encoding in 64-bit mode: INSN_LEGACY */

	A_FPU = INSN_FPU, A_MMX = INSN_MMX, A_SSE = INSN_SSE, A_AVX = INSN_AVX, A_XM = INSN_FP_EXC,
	A_WAIT = INSN_FWAIT, A_ENDS = INSN_ENDS, A_CPL0 = INSN_CPL0, A_STACK = INSN_STACK,
	A_ALIGN = INSN_ALIGN, A_CTRL = INSN_X87_CTRL, A_PE = INSN_PE_ONLY,
	ATTR_FLAGS = A_FPU | A_MMX | A_SSE | A_AVX | A_XM | A_WAIT | A_ENDS | A_CPL0 | A_STACK |
		     A_ALIGN | A_CTRL | A_PE,
};

/*
 * Flag effects: FL(name, read, written, undefined); written includes undefined. Where a write is
 * conditional (shift count 0, repeat count 0) the flags that survive count as read; so do undefined
 * flags that processors are seen to leave alone (BT, DIV, rotates).
 */
#define fC X86_CF
#define fP X86_PF
#define fA X86_AF
#define fZ X86_ZF
#define fS X86_SF
#define fO X86_OF
#define fALL X86_ARITH
#define fSYS (X86_TF | X86_IF | X86_IOPL | X86_NT | X86_RF | X86_VM | X86_AC | X86_VIF | X86_VIP | X86_ID)
#define fEVERY (fALL | X86_DF | fSYS)
#define fINT (X86_TF | X86_IF | X86_NT | X86_RF | X86_VM | X86_AC)
#define FLAG_SETS(FL) \
	FL(NONE, 0, 0, 0) \
	FL(ADD, 0, fALL, 0) \
	FL(ADC, fC, fALL, 0) \
	FL(LOGIC, 0, fALL, fA) \
	FL(INC, 0, fALL & ~fC, 0) \
	FL(ROL1, 0, fO | fC, 0) \
	FL(ROLI, fO | fC, fO | fC, fO) \
	FL(RCL1, fC, fO | fC, 0) \
	FL(RCLI, fO | fC, fO | fC, fO) \
	FL(SHL1, 0, fALL, fA) \
	FL(SHLI, fALL, fALL, fO | fA) \
	FL(SAR1, 0, fALL, fA) \
	FL(BSF, 0, fALL, fALL & ~fZ) \
	FL(BT, fO | fS | fA | fP, fALL & ~fZ, fO | fS | fA | fP) \
	FL(MUL, 0, fALL, fS | fZ | fA | fP) \
	FL(DIV, fALL, fALL, fALL) \
	FL(CMC, fC, fC, 0) \
	FL(CLC, 0, fC, 0) \
	FL(LZCNT, 0, fALL, fO | fS | fA | fP) \
	FL(SAHF, 0, fALL & ~fO, 0) \
	FL(LAHF, fALL & ~fO, 0, 0) \
	FL(CC_O, fO, 0, 0) \
	FL(CC_C, fC, 0, 0) \
	FL(CC_Z, fZ, 0, 0) \
	FL(CC_CZ, fC | fZ, 0, 0) \
	FL(CC_S, fS, 0, 0) \
	FL(CC_P, fP, 0, 0) \
	FL(CC_L, fS | fO, 0, 0) \
	FL(CC_LE, fS | fO | fZ, 0, 0) \
	FL(STR, X86_DF, 0, 0) \
	FL(IO, X86_IOPL | X86_VM, 0, 0) \
	FL(STR_IO, X86_DF | X86_IOPL | X86_VM, 0, 0) \
	FL(CMPS, X86_DF, fALL, 0) \
	FL(DAA, fA | fC, fALL, fO) \
	FL(AAA, fA, fALL, fO | fS | fZ | fP) \
	FL(AAM, 0, fALL, fO | fA | fC) \
	FL(ADOX, fO, fO, 0) \
	FL(ZF, 0, fZ, 0) \
	FL(ANDN, 0, fALL, fA | fP) \
	FL(BEXTR, 0, fALL, fALL & ~fZ) \
	FL(CLD, 0, X86_DF, 0) \
	FL(CLI, X86_IOPL | X86_VM, X86_IF | X86_VIF, 0) \
	FL(STI, X86_IOPL | X86_VM | X86_VIP, X86_IF | X86_VIF, 0) \
	FL(CLAC, 0, X86_AC, 0) \
	FL(PUSHF, fEVERY, 0, 0) \
	FL(POPF, X86_IOPL | X86_VM | X86_VIF | X86_VIP, fEVERY & ~X86_VM, 0) \
	FL(IRET, X86_NT | X86_VM | X86_IOPL | X86_VIP, fEVERY, 0) \
	FL(INT, fEVERY, fINT, 0) \
	FL(SYSCALL, fEVERY, fEVERY, 0) \
	FL(SYSRET, 0, fEVERY, 0) \
	FL(SYSENTER, 0, X86_VM | X86_IF | X86_RF, 0)
enum {
#define FL(name, r, w, u) FL_##name,
	FLAG_SETS(FL)
#undef FL
	FL_COUNT
};
struct flag_set {
	uint32_t read, written, undef;
};

/* Implicit GPRs: IM(name, read, written). */
#define gA (1 << X86_RAX)
#define gC (1 << X86_RCX)
#define gD (1 << X86_RDX)
#define gB (1 << X86_RBX)
#define gSP (1 << X86_RSP)
#define gBP (1 << X86_RBP)
#define gSI (1 << X86_RSI)
#define gDI (1 << X86_RDI)
#define IMPLICIT_SETS(IM) \
	IM(NONE, 0, 0) \
	IM(STACK, gSP, gSP) \
	IM(ALLREG, 0xff, 0xff) \
	IM(PUSHA, 0xff, gSP) \
	IM(FRAME, gSP | gBP, gSP | gBP) \
	IM(MOVS, gSI | gDI, gSI | gDI) \
	IM(SRC, gSI, gSI) \
	IM(DST, gDI, gDI) \
	IM(INS, gD | gDI, gDI) \
	IM(OUTS, gD | gSI, gSI) \
	IM(LOOP, gC, gC) \
	IM(RCX, gC, 0) \
	IM(XLAT, gA | gB, gA) \
	IM(RDX, gD, 0) \
	IM(RAX, gA, 0) \
	IM(RAX_X, gA, gA) \
	IM(RDI, gDI, 0) \
	IM(CPUID, gA | gC, gA | gB | gC | gD) \
	IM(RDTSC, 0, gA | gD) \
	IM(RDTSCP, 0, gA | gD | gC) \
	IM(RDMSR, gC, gA | gD) \
	IM(WRMSR, gA | gC | gD, 0) \
	IM(MWAIT, gA | gC, 0) \
	IM(SYSCALL, 0, gC | 1 << X86_R11) \
	IM(SYSRET, gC | 1 << X86_R11, 0) \
	IM(SYSENTER, 0, gSP) \
	IM(SYSEXIT, gC | gD, gSP) \
	IM(CX8, gA | gB | gC | gD, gA | gD) \
	IM(EDX_EAX, gA | gD, 0) \
	IM(ESTRI, gA | gD, gC) \
	IM(WCX, 0, gC)
enum {
#define IM(name, r, w) IM_##name,
	IMPLICIT_SETS(IM)
#undef IM
	IM_COUNT
};
struct implicit_set {
	uint16_t read, written;
};

struct row {
	union {
		uint16_t op[4];
		const struct row *sub;
	};
	uint8_t special, feature, flags, implicit;
	uint32_t attr;
};
_Static_assert(sizeof(struct row) == 16, "rows are looked up by shifting");

/* A row: special handler (NONE = COPY), feature, attributes, flag effects, implicit GPRs, operands. */
#define ROW(sp, feat, a, fl, im, ...) \
	{ .op = {__VA_ARGS__}, .special = SP_##sp, .feature = X86_FEAT_##feat, .flags = FL_##fl, \
	  .implicit = IM_##im, .attr = FORM_LEAF | (a) }
/* The common case: COPY, no feature, no implicit registers. */
#define COPY(a, fl, ...)       ROW(NONE, NONE, a, fl, NONE, __VA_ARGS__)
#define COPYF(feat, a, fl, ...) ROW(NONE, feat, a, fl, NONE, __VA_ARGS__)
#define SPEC(sp, a, fl, im, ...) ROW(sp, NONE, a, fl, im, __VA_ARGS__)
/* MMX, legacy SSE (pp chosen) and VEX vector rows. */
#define MMX(feat, ...)     ROW(NONE, feat, A_MMX | A_WAIT | A_PP, NONE, NONE, __VA_ARGS__)
#define SSE(feat, a, ...)  ROW(NONE, feat, A_SSE | A_PP | (a), NONE, NONE, __VA_ARGS__)
#define AVX(feat, a, ...)  ROW(NONE, feat, A_AVX | A_PE | A_PP | (a), NONE, NONE, __VA_ARGS__)
#define VGPR(feat, a, fl, ...) ROW(NONE, feat, A_PE | A_PP | A_L0 | (a), fl, NONE, __VA_ARGS__)
#define BY(form, rows)     { .sub = (rows), .attr = FORM_##form }
/* Never offered: its length is known, it raises #UD. */
#define NEVER(...)         ROW(UD, NEVER, A_ENDS, NONE, NONE, __VA_ARGS__)

/* Positions in the four-rows-an-opcode tables. */
#define ALL(op)  [(op) * 4 ... (op) * 4 + 3]
#define NP(op)   [(op) * 4]
#define P66(op)  [(op) * 4 + 1]
#define PF3(op)  [(op) * 4 + 2]
#define PF2(op)  [(op) * 4 + 3]
#define NP66(op) [(op) * 4 ... (op) * 4 + 1]
/* clang-format on */

extern const struct row insn_rows_1byte[256];
extern const struct row insn_rows_0f[256 * 4];
extern const struct row insn_rows_0f38[256 * 4];
extern const struct row insn_rows_0f3a[256 * 4];
extern const struct row insn_rows_vex1[256 * 4];
extern const struct row insn_rows_vex2[256 * 4];
extern const struct row insn_rows_vex3[256 * 4];
extern const struct row insn_rows_x87_mem[64];     /* [opcode low 3 bits][reg] */
extern const struct row insn_rows_x87_reg[8 * 64]; /* [opcode low 3 bits][reg][rm] */

#endif
