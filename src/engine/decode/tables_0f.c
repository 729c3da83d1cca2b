/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two-byte opcodes 0F xx, legacy encoding. Intel SDM vol. 2, appendix A.3 (table A-3) and A.4
 * (groups 6 to 9, 12 to 16), instruction pages for flags and prefixes.
 *
 * 0F 0D and 0F 18-1F are the hint space: whatever newer processors do there (prefetches, MPX,
 * CLDEMOTE, ENDBR, RDSSP), a processor without those features executes NOP with a ModRM byte, and
 * so do all of ours.
 */
#include "engine/decode/tables.h"

/* clang-format off */
static const struct row grp6_00[8] = {
	SPEC(SLDT, A_PE, NONE, NONE, wEvw), SPEC(STR, A_PE, NONE, NONE, wEvw),
	SPEC(LLDT, A_PE | A_CPL0, NONE, NONE, rEw), SPEC(LTR, A_PE | A_CPL0, NONE, NONE, rEw),
	SPEC(VERR, A_PE, ZF, NONE, rEw), SPEC(VERW, A_PE, ZF, NONE, rEw),
};

/* 0F 01: memory forms, then register forms by rm. VMX, SVM, SGX, TSX, PKU, CET are undefined. */
#define SMSW SPEC(SMSW, 0, NONE, NONE, wEvw)
#define LMSW SPEC(LMSW, A_CPL0 | A_ENDS, NONE, NONE, rEw)
static const struct row grp7_r1[8] = {
	ROW(MONITOR, MONITOR, 0, NONE, WRMSR), ROW(MWAIT, MONITOR, A_ENDS, NONE, MWAIT),
	ROW(CLAC, SMAP, 0, CLAC, NONE), ROW(STAC, SMAP, 0, CLAC, NONE),
};
static const struct row grp7_r2[8] = {
	ROW(XGETBV, XSAVE, 0, NONE, RDMSR), ROW(XSETBV, XSAVE, A_CPL0 | A_ENDS, NONE, WRMSR),
	[5] = NEVER(0), NEVER(0), /* xend, xtest */
};
static const struct row grp7_r5[8] = {ROW(SERIALIZE, SERIALIZE, 0, NONE, NONE)};
static const struct row grp7_r7[8] = {
	ROW(SWAPGS, LM, A_ONLY64 | A_CPL0, NONE, NONE), ROW(RDTSCP, RDTSCP, 0, NONE, RDTSCP),
};
#define GRP7_MEM \
	[0] = SPEC(SGDT, 0, NONE, NONE, wMs), [1] = SPEC(SIDT, 0, NONE, NONE, wMs), \
	[2] = SPEC(LGDT, A_CPL0, NONE, NONE, rMs), [3] = SPEC(LIDT, A_CPL0, NONE, NONE, rMs), \
	[4] = SMSW, [6] = LMSW, [7] = SPEC(INVLPG, A_CPL0 | A_ENDS, NONE, NONE, nM)
static const struct row grp7_mem[8] = {GRP7_MEM};
static const struct row grp7_reg[8] = { /* no prefix */
	[1] = BY(RM, grp7_r1), BY(RM, grp7_r2), [4] = SMSW, BY(RM, grp7_r5), LMSW, BY(RM, grp7_r7)};
static const struct row grp7_reg_pp[8] = { /* 66, F3, F2: only those that ignore it */
	[4] = SMSW, [6] = LMSW, BY(RM, grp7_r7)};
static const struct row grp7_mod[2] = {BY(REG, grp7_mem), BY(REG, grp7_reg)};
static const struct row grp7_mod_pp[2] = {BY(REG, grp7_mem), BY(REG, grp7_reg_pp)};

static const struct row grp8_ba[8] = {
	[4] = COPY(0, BT, rEv, rIb), COPY(A_LOCK, BT, xEv, rIb),
	COPY(A_LOCK, BT, xEv, rIb), COPY(A_LOCK, BT, xEv, rIb),
};
/* BT and friends with a register bit offset reach memory outside the operand: special. */
#define BT_REG(op, a, e) \
	static const struct row bt_##op[2] = { \
		SPEC(BT_MEM, a, BT, NONE, e, rGv), COPY(a, BT, e, rGv)}
BT_REG(a3, 0, rEv);
BT_REG(ab, A_LOCK, xEv);
BT_REG(b3, A_LOCK, xEv);
BT_REG(bb, A_LOCK, xEv);

/* 0F C7. Register forms: RDRAND and RDSEED with no prefix or 66, RDPID with F3. */
static const struct row w_cx8[2] = {
	ROW(NONE, CX8, A_LOCK, ZF, CX8, xMcx), ROW(NONE, CX16, A_LOCK | A_ALIGN, ZF, CX8, xMcx)};
static const struct row grp9_mem[8] = {
	[1] = BY(W, w_cx8),
	[3] = ROW(XRSTORS, XSAVES, A_CPL0 | A_PP, NONE, EDX_EAX, rMxs),
	ROW(XSAVEC, XSAVEC, A_PP, NONE, EDX_EAX, wMxs),
	ROW(XSAVES, XSAVES, A_CPL0 | A_PP, NONE, EDX_EAX, wMxs),
};
static const struct row grp9_mem_pp[8] = {[1] = BY(W, w_cx8)};
static const struct row grp9_reg[8] = {
	[6] = COPYF(RDRAND, 0, ADD, wRv), COPYF(RDSEED, 0, ADD, wRv)};
static const struct row grp9_reg_f3[8] = {[7] = ROW(RDPID, RDPID, A_PP, NONE, NONE, wRm)};
static const struct row grp9_mod[2] = {BY(REG, grp9_mem), BY(REG, grp9_reg)};
static const struct row grp9_mod_66[2] = {BY(REG, grp9_mem_pp), BY(REG, grp9_reg)};
static const struct row grp9_mod_f3[2] = {BY(REG, grp9_mem_pp), BY(REG, grp9_reg_f3)};
static const struct row grp9_mod_f2[2] = {BY(REG, grp9_mem_pp)};

#define SHIFT_MM(mmx, sse) \
	static const struct row grp_##mmx[8] = { \
		[2] = MMX(MMX, xNq, rIb), [4] = MMX(MMX, xNq, rIb), [6] = MMX(MMX, xNq, rIb)}; \
	static const struct row grp_##sse[8] = { \
		[2] = SSE(SSE2, 0, xUdq, rIb), [4] = SSE(SSE2, 0, xUdq, rIb), [6] = SSE(SSE2, 0, xUdq, rIb)}
SHIFT_MM(71, 71_66);
SHIFT_MM(72, 72_66);
static const struct row grp_73[8] = {[2] = MMX(MMX, xNq, rIb), [6] = MMX(MMX, xNq, rIb)};
static const struct row grp_73_66[8] = {
	[2] = SSE(SSE2, 0, xUdq, rIb), SSE(SSE2, 0, xUdq, rIb),
	[6] = SSE(SSE2, 0, xUdq, rIb), SSE(SSE2, 0, xUdq, rIb),
};
static const struct row mod_71[2] = {[1] = BY(REG, grp_71)}, mod_71_66[2] = {[1] = BY(REG, grp_71_66)},
	mod_72[2] = {[1] = BY(REG, grp_72)}, mod_72_66[2] = {[1] = BY(REG, grp_72_66)},
	mod_73[2] = {[1] = BY(REG, grp_73)}, mod_73_66[2] = {[1] = BY(REG, grp_73_66)};

/* 0F AE. LDMXCSR and STMXCSR need CR4.OSFXSR and CR0.TS like any SSE instruction. */
static const struct row grp15_mem[8] = {
	ROW(FXSAVE, FXSR, A_PP, NONE, NONE, wMfx), ROW(FXRSTOR, FXSR, A_PP, NONE, NONE, rMfx),
	ROW(LDMXCSR, SSE, A_SSE | A_PP, NONE, NONE, rMd), ROW(STMXCSR, SSE, A_SSE | A_PP, NONE, NONE, wMd),
	ROW(XSAVE, XSAVE, A_PP, NONE, EDX_EAX, xMxs), ROW(XRSTOR, XSAVE, A_PP, NONE, EDX_EAX, rMxs),
	ROW(XSAVEOPT, XSAVEOPT, A_PP, NONE, EDX_EAX, xMxs), ROW(CLFLUSH, CLFSH, A_PP, NONE, NONE, rMb),
};
static const struct row grp15_reg[8] = {
	[5] = COPYF(SSE2, A_PP, NONE, 0), COPYF(SSE2, A_PP, NONE, 0), COPYF(SSE, A_PP, NONE, 0)}; /* fences */
static const struct row grp15_mem_66[8] = {
	[6] = ROW(CLFLUSH, CLWB, A_PP, NONE, NONE, rMb), ROW(CLFLUSH, CLFLUSHOPT, A_PP, NONE, NONE, rMb)};
static const struct row grp15_reg_f3[8] = {
	ROW(RDFSGSBASE, FSGSBASE, A_ONLY64 | A_PP, NONE, NONE, wRy),
	ROW(RDFSGSBASE, FSGSBASE, A_ONLY64 | A_PP, NONE, NONE, wRy),
	ROW(WRFSGSBASE, FSGSBASE, A_ONLY64 | A_PP, NONE, NONE, rRy),
	ROW(WRFSGSBASE, FSGSBASE, A_ONLY64 | A_PP, NONE, NONE, rRy),
};
static const struct row grp15_mod[2] = {BY(REG, grp15_mem), BY(REG, grp15_reg)};
static const struct row grp15_mod_66[2] = {BY(REG, grp15_mem_66)};
static const struct row grp15_mod_f3[2] = {[1] = BY(REG, grp15_reg_f3)};

/* Register and memory forms that are different instructions. */
static const struct row mod_12[2] = {SSE(SSE, 0, xVdq, rMq), SSE(SSE, 0, xVdq, rUdq)}; /* movlps, movhlps */
static const struct row mod_16[2] = {SSE(SSE, 0, xVdq, rMq), SSE(SSE, 0, xVdq, rUdq)};
static const struct row mod_10_f3[2] = {SSE(SSE, 0, wVdq, rMd), SSE(SSE, 0, xVdq, rUdq)};
static const struct row mod_10_f2[2] = {SSE(SSE2, 0, wVdq, rMq), SSE(SSE2, 0, xVdq, rUdq)};
static const struct row mod_11_f3[2] = {SSE(SSE, 0, wMd, rVdq), SSE(SSE, 0, xUdq, rVdq)};
static const struct row mod_11_f2[2] = {SSE(SSE2, 0, wMq, rVdq), SSE(SSE2, 0, xUdq, rVdq)};

/* cvtpi2ps & co also touch MMX state; from memory these two do not (SDM vol. 2, CVTPI2PD). */
#define MMSSE(feat, ...) ROW(NONE, feat, A_SSE | A_MMX | A_WAIT | A_PP | A_XM, NONE, NONE, __VA_ARGS__)
static const struct row mod_2a[2] = {SSE(SSE, A_XM, xVdq, rMq), MMSSE(SSE, xVdq, rNq)};
static const struct row mod_2a_66[2] = {SSE(SSE2, A_XM, wVdq, rMq), MMSSE(SSE2, wVdq, rNq)};

#define NOP_EV SPEC(NOP_MEM, 0, NONE, NONE, nEv)
#define CMOV(fl) COPYF(CMOV, 0, fl, xGv, rEv)
#define JCC(fl) SPEC(JCC, A_F64 | A_ENDS, fl, NONE, rJz)
#define SETCC(fl) COPY(0, fl, wEb)
/* Two neighbours of one condition: cc and not cc. */
#define PAIR(op, row) ALL(op) = row, ALL((op) + 1) = row
#define CONDITIONS(op, R) \
	PAIR(op, R(CC_O)), PAIR((op) + 2, R(CC_C)), PAIR((op) + 4, R(CC_Z)), PAIR((op) + 6, R(CC_CZ)), \
	PAIR((op) + 8, R(CC_S)), PAIR((op) + 10, R(CC_P)), PAIR((op) + 12, R(CC_L)), PAIR((op) + 14, R(CC_LE))

/* ps, pd, ss, sd arithmetic; ps and pd only; MMX with its SSE2 twin. */
#define FP4(op) \
	NP(op) = SSE(SSE, A_XM, xVdq, rWdq), P66(op) = SSE(SSE2, A_XM, xVdq, rWdq), \
	PF3(op) = SSE(SSE, A_XM, xVdq, rWd), PF2(op) = SSE(SSE2, A_XM, xVdq, rWq)
#define FP2(op) NP(op) = SSE(SSE, 0, xVdq, rWdq), P66(op) = SSE(SSE2, 0, xVdq, rWdq)
#define PACKED(op, feat) NP(op) = MMX(feat, xPq, rQq), P66(op) = SSE(SSE2, 0, xVdq, rWdq)
#define PUNPCKL(op) NP(op) = MMX(MMX, xPq, rQd), P66(op) = SSE(SSE2, 0, xVdq, rWdq)
#define COMIS(op) \
	NP(op) = ROW(NONE, SSE, A_SSE | A_PP | A_XM, ADD, NONE, rVdq, rWd), \
	P66(op) = ROW(NONE, SSE2, A_SSE | A_PP | A_XM, ADD, NONE, rVdq, rWq)

const struct row insn_rows_0f[256 * 4] = {
	ALL(0x00) = BY(REG, grp6_00),
	NP(0x01) = BY(MOD, grp7_mod), P66(0x01) = BY(MOD, grp7_mod_pp),
	PF3(0x01) = BY(MOD, grp7_mod_pp), PF2(0x01) = BY(MOD, grp7_mod_pp),
	ALL(0x02) = SPEC(LAR, A_PE, ZF, NONE, xGv, rEw), ALL(0x03) = SPEC(LSL, A_PE, ZF, NONE, xGv, rEw),
	ALL(0x05) = ROW(SYSCALL, SYSCALL, A_ENDS, SYSCALL, SYSCALL),
	ALL(0x06) = SPEC(CLTS, A_CPL0 | A_ENDS, NONE, NONE),
	ALL(0x07) = ROW(SYSRET, SYSCALL, A_CPL0 | A_ENDS, SYSRET, SYSRET),
	ALL(0x08) = SPEC(INVD, A_CPL0, NONE, NONE), ALL(0x09) = SPEC(WBINVD, A_CPL0, NONE, NONE),
	ALL(0x0b) = SPEC(UD, A_ENDS, NONE, NONE), ALL(0x0d) = NOP_EV,
	NP(0x10) = SSE(SSE, A_UNAL, wVdq, rWdq), P66(0x10) = SSE(SSE2, A_UNAL, wVdq, rWdq),
	PF3(0x10) = BY(MOD, mod_10_f3), PF2(0x10) = BY(MOD, mod_10_f2),
	NP(0x11) = SSE(SSE, A_UNAL, wWdq, rVdq), P66(0x11) = SSE(SSE2, A_UNAL, wWdq, rVdq),
	PF3(0x11) = BY(MOD, mod_11_f3), PF2(0x11) = BY(MOD, mod_11_f2),
	NP(0x12) = BY(MOD, mod_12), P66(0x12) = SSE(SSE2, 0, xVdq, rMq),
	PF3(0x12) = SSE(SSE3, 0, wVdq, rWdq), PF2(0x12) = SSE(SSE3, 0, wVdq, rWq),
	NP(0x13) = SSE(SSE, 0, wMq, rVdq), P66(0x13) = SSE(SSE2, 0, wMq, rVdq),
	FP2(0x14), FP2(0x15),
	NP(0x16) = BY(MOD, mod_16), P66(0x16) = SSE(SSE2, 0, xVdq, rMq), PF3(0x16) = SSE(SSE3, 0, wVdq, rWdq),
	NP(0x17) = SSE(SSE, 0, wMq, rVdq), P66(0x17) = SSE(SSE2, 0, wMq, rVdq),
	[0x18 * 4 ... 0x1f * 4 + 3] = NOP_EV,
	ALL(0x20) = SPEC(MOV_FROM_CR, A_CPL0, NONE, NONE, wRm, rCm),
	ALL(0x21) = SPEC(MOV_FROM_DR, A_CPL0, NONE, NONE, wRm, rDm),
	ALL(0x22) = SPEC(MOV_TO_CR, A_CPL0 | A_ENDS, NONE, NONE, wCm, rRm),
	ALL(0x23) = SPEC(MOV_TO_DR, A_CPL0 | A_ENDS, NONE, NONE, wDm, rRm),
	NP(0x28) = SSE(SSE, 0, wVdq, rWdq), P66(0x28) = SSE(SSE2, 0, wVdq, rWdq),
	NP(0x29) = SSE(SSE, 0, wWdq, rVdq), P66(0x29) = SSE(SSE2, 0, wWdq, rVdq),
	NP(0x2a) = BY(MOD, mod_2a), P66(0x2a) = BY(MOD, mod_2a_66),
	PF3(0x2a) = SSE(SSE, A_XM, xVdq, rEy), PF2(0x2a) = SSE(SSE2, A_XM, xVdq, rEy),
	NP(0x2b) = SSE(SSE, 0, wMdq, rVdq), P66(0x2b) = SSE(SSE2, 0, wMdq, rVdq),
	NP(0x2c) = MMSSE(SSE, wPq, rWq), P66(0x2c) = MMSSE(SSE2, wPq, rWdq),
	PF3(0x2c) = SSE(SSE, A_XM, wGy, rWd), PF2(0x2c) = SSE(SSE2, A_XM, wGy, rWq),
	NP(0x2d) = MMSSE(SSE, wPq, rWq), P66(0x2d) = MMSSE(SSE2, wPq, rWdq),
	PF3(0x2d) = SSE(SSE, A_XM, wGy, rWd), PF2(0x2d) = SSE(SSE2, A_XM, wGy, rWq),
	COMIS(0x2e), COMIS(0x2f),
	ALL(0x30) = ROW(WRMSR, MSR, A_CPL0 | A_ENDS, NONE, WRMSR),
	ALL(0x31) = ROW(RDTSC, TSC, 0, NONE, RDTSC), ALL(0x32) = ROW(RDMSR, MSR, A_CPL0, NONE, RDMSR),
	ALL(0x33) = SPEC(RDPMC, 0, NONE, RDMSR),
	ALL(0x34) = ROW(SYSENTER, SEP, A_ENDS, SYSENTER, SYSENTER),
	ALL(0x35) = ROW(SYSEXIT, SEP, A_CPL0 | A_ENDS, NONE, SYSEXIT),
	CONDITIONS(0x40, CMOV),
	NP(0x50) = SSE(SSE, 0, wGd, rUdq), P66(0x50) = SSE(SSE2, 0, wGd, rUdq),
	NP(0x51) = SSE(SSE, A_XM, wVdq, rWdq), P66(0x51) = SSE(SSE2, A_XM, wVdq, rWdq),
	PF3(0x51) = SSE(SSE, A_XM, xVdq, rWd), PF2(0x51) = SSE(SSE2, A_XM, xVdq, rWq),
	NP(0x52) = SSE(SSE, 0, wVdq, rWdq), PF3(0x52) = SSE(SSE, 0, xVdq, rWd),
	NP(0x53) = SSE(SSE, 0, wVdq, rWdq), PF3(0x53) = SSE(SSE, 0, xVdq, rWd),
	FP2(0x54), FP2(0x55), FP2(0x56), FP2(0x57), FP4(0x58), FP4(0x59),
	NP(0x5a) = SSE(SSE2, A_XM, wVdq, rWq), P66(0x5a) = SSE(SSE2, A_XM, wVdq, rWdq),
	PF3(0x5a) = SSE(SSE2, A_XM, xVdq, rWd), PF2(0x5a) = SSE(SSE2, A_XM, xVdq, rWq),
	NP(0x5b) = SSE(SSE2, A_XM, wVdq, rWdq), P66(0x5b) = SSE(SSE2, A_XM, wVdq, rWdq),
	PF3(0x5b) = SSE(SSE2, A_XM, wVdq, rWdq),
	FP4(0x5c), FP4(0x5d), FP4(0x5e), FP4(0x5f),
	PUNPCKL(0x60), PUNPCKL(0x61), PUNPCKL(0x62), PACKED(0x63, MMX), PACKED(0x64, MMX), PACKED(0x65, MMX),
	PACKED(0x66, MMX), PACKED(0x67, MMX), PACKED(0x68, MMX), PACKED(0x69, MMX), PACKED(0x6a, MMX),
	PACKED(0x6b, MMX), P66(0x6c) = SSE(SSE2, 0, xVdq, rWdq), P66(0x6d) = SSE(SSE2, 0, xVdq, rWdq),
	NP(0x6e) = MMX(MMX, wPq, rEy), P66(0x6e) = SSE(SSE2, 0, wVdq, rEy),
	NP(0x6f) = MMX(MMX, wPq, rQq), P66(0x6f) = SSE(SSE2, 0, wVdq, rWdq), PF3(0x6f) = SSE(SSE2, A_UNAL, wVdq, rWdq),
	NP(0x70) = MMX(SSE, wPq, rQq, rIb), P66(0x70) = SSE(SSE2, 0, wVdq, rWdq, rIb),
	PF3(0x70) = SSE(SSE2, 0, wVdq, rWdq, rIb), PF2(0x70) = SSE(SSE2, 0, wVdq, rWdq, rIb),
	NP(0x71) = BY(MOD, mod_71), P66(0x71) = BY(MOD, mod_71_66),
	NP(0x72) = BY(MOD, mod_72), P66(0x72) = BY(MOD, mod_72_66),
	NP(0x73) = BY(MOD, mod_73), P66(0x73) = BY(MOD, mod_73_66),
	PACKED(0x74, MMX), PACKED(0x75, MMX), PACKED(0x76, MMX), NP(0x77) = MMX(MMX, 0),
	P66(0x7c) = SSE(SSE3, A_XM, xVdq, rWdq), PF2(0x7c) = SSE(SSE3, A_XM, xVdq, rWdq),
	P66(0x7d) = SSE(SSE3, A_XM, xVdq, rWdq), PF2(0x7d) = SSE(SSE3, A_XM, xVdq, rWdq),
	NP(0x7e) = MMX(MMX, wEy, rPq), P66(0x7e) = SSE(SSE2, 0, wEy, rVdq), PF3(0x7e) = SSE(SSE2, 0, wVdq, rWq),
	NP(0x7f) = MMX(MMX, wQq, rPq), P66(0x7f) = SSE(SSE2, 0, wWdq, rVdq), PF3(0x7f) = SSE(SSE2, A_UNAL, wWdq, rVdq),
	CONDITIONS(0x80, JCC), CONDITIONS(0x90, SETCC),
	ALL(0xa0) = SPEC(PUSH_SEG, A_D64 | A_STACK, NONE, STACK),
	ALL(0xa1) = SPEC(POP_SEG, A_D64 | A_STACK | A_ENDS, NONE, STACK),
	ALL(0xa2) = SPEC(CPUID, 0, NONE, CPUID), ALL(0xa3) = BY(MOD, bt_a3),
	ALL(0xa4) = COPY(A_SHIFT, SHLI, xEv, rGv, rIb), ALL(0xa5) = COPY(0, SHLI, xEv, rGv, rCL),
	ALL(0xa8) = SPEC(PUSH_SEG, A_D64 | A_STACK, NONE, STACK),
	ALL(0xa9) = SPEC(POP_SEG, A_D64 | A_STACK | A_ENDS, NONE, STACK),
	ALL(0xaa) = SPEC(RSM, A_ENDS, IRET, NONE), ALL(0xab) = BY(MOD, bt_ab),
	ALL(0xac) = COPY(A_SHIFT, SHLI, xEv, rGv, rIb), ALL(0xad) = COPY(0, SHLI, xEv, rGv, rCL),
	NP(0xae) = BY(MOD, grp15_mod), P66(0xae) = BY(MOD, grp15_mod_66), PF3(0xae) = BY(MOD, grp15_mod_f3),
	ALL(0xaf) = COPY(0, MUL, xGv, rEv),
	ALL(0xb0) = COPY(A_LOCK, ADD, xEb, rGb, xAb), ALL(0xb1) = COPY(A_LOCK, ADD, xEv, rGv, xAv),
	ALL(0xb2) = SPEC(LOAD_FAR_PTR, A_ENDS, NONE, NONE, wGv, rMp), ALL(0xb3) = BY(MOD, bt_b3),
	ALL(0xb4) = SPEC(LOAD_FAR_PTR, A_ENDS, NONE, NONE, wGv, rMp),
	ALL(0xb5) = SPEC(LOAD_FAR_PTR, A_ENDS, NONE, NONE, wGv, rMp),
	ALL(0xb6) = COPY(0, NONE, wGv, rEb), ALL(0xb7) = COPY(0, NONE, wGv, rEw),
	PF3(0xb8) = COPYF(POPCNT, A_PP, ADD, wGv, rEv),
	ALL(0xb9) = SPEC(UD, A_ENDS, NONE, NONE, nGv, nEv), /* UD1 */
	ALL(0xba) = BY(REG, grp8_ba), ALL(0xbb) = BY(MOD, bt_bb),
	/* F3 BC/BD on a processor without BMI1/LZCNT: insn_without_lzcnt(). */
	ALL(0xbc) = COPY(0, BSF, xGv, rEv), PF3(0xbc) = COPYF(BMI1, A_PP, LZCNT, wGv, rEv),
	ALL(0xbd) = COPY(0, BSF, xGv, rEv), PF3(0xbd) = COPYF(LZCNT, A_PP, LZCNT, wGv, rEv),
	ALL(0xbe) = COPY(0, NONE, wGv, rEb), ALL(0xbf) = COPY(0, NONE, wGv, rEw),
	ALL(0xc0) = COPY(A_LOCK, ADD, xEb, xGb), ALL(0xc1) = COPY(A_LOCK, ADD, xEv, xGv),
	NP(0xc2) = SSE(SSE, A_XM, xVdq, rWdq, rIb), P66(0xc2) = SSE(SSE2, A_XM, xVdq, rWdq, rIb),
	PF3(0xc2) = SSE(SSE, A_XM, xVdq, rWd, rIb), PF2(0xc2) = SSE(SSE2, A_XM, xVdq, rWq, rIb),
	NP(0xc3) = COPYF(SSE2, A_PP, NONE, wMy, rGy),
	NP(0xc4) = MMX(SSE, xPq, rEdw, rIb), P66(0xc4) = SSE(SSE2, 0, xVdq, rEdw, rIb),
	NP(0xc5) = MMX(SSE, wGd, rNq, rIb), P66(0xc5) = SSE(SSE2, 0, wGd, rUdq, rIb),
	NP(0xc6) = SSE(SSE, 0, xVdq, rWdq, rIb), P66(0xc6) = SSE(SSE2, 0, xVdq, rWdq, rIb),
	NP(0xc7) = BY(MOD, grp9_mod), P66(0xc7) = BY(MOD, grp9_mod_66),
	PF3(0xc7) = BY(MOD, grp9_mod_f3), PF2(0xc7) = BY(MOD, grp9_mod_f2),
	[0xc8 * 4 ... 0xcf * 4 + 3] = COPY(0, NONE, xZv), /* bswap */
	P66(0xd0) = SSE(SSE3, A_XM, xVdq, rWdq), PF2(0xd0) = SSE(SSE3, A_XM, xVdq, rWdq),
	PACKED(0xd1, MMX), PACKED(0xd2, MMX), PACKED(0xd3, MMX), PACKED(0xd4, SSE2), PACKED(0xd5, MMX),
	P66(0xd6) = SSE(SSE2, 0, wWq, rVdq),
	PF3(0xd6) = ROW(NONE, SSE2, A_SSE | A_MMX | A_WAIT | A_PP, NONE, NONE, wVdq, rNq),
	PF2(0xd6) = ROW(NONE, SSE2, A_SSE | A_MMX | A_WAIT | A_PP, NONE, NONE, wPq, rUdq),
	NP(0xd7) = MMX(SSE, wGd, rNq), P66(0xd7) = SSE(SSE2, 0, wGd, rUdq),
	PACKED(0xd8, MMX), PACKED(0xd9, MMX), PACKED(0xda, SSE), PACKED(0xdb, MMX), PACKED(0xdc, MMX),
	PACKED(0xdd, MMX), PACKED(0xde, SSE), PACKED(0xdf, MMX), PACKED(0xe0, SSE), PACKED(0xe1, MMX),
	PACKED(0xe2, MMX), PACKED(0xe3, SSE), PACKED(0xe4, SSE), PACKED(0xe5, MMX),
	P66(0xe6) = SSE(SSE2, A_XM, wVdq, rWdq), PF3(0xe6) = SSE(SSE2, 0, wVdq, rWq),
	PF2(0xe6) = SSE(SSE2, A_XM, wVdq, rWdq),
	NP(0xe7) = MMX(SSE, wMq, rPq), P66(0xe7) = SSE(SSE2, 0, wMdq, rVdq),
	PACKED(0xe8, MMX), PACKED(0xe9, MMX), PACKED(0xea, SSE), PACKED(0xeb, MMX), PACKED(0xec, MMX),
	PACKED(0xed, MMX), PACKED(0xee, SSE), PACKED(0xef, MMX), PF2(0xf0) = SSE(SSE3, A_UNAL, wVdq, rMdq),
	PACKED(0xf1, MMX), PACKED(0xf2, MMX), PACKED(0xf3, MMX), PACKED(0xf4, SSE2), PACKED(0xf5, MMX),
	PACKED(0xf6, SSE),
	NP(0xf7) = ROW(MASKMOVQ, SSE, A_MMX | A_WAIT | A_PP, NONE, RDI, rPq, rNq),
	P66(0xf7) = ROW(MASKMOVDQU, SSE2, A_SSE | A_PP, NONE, RDI, rVdq, rUdq),
	PACKED(0xf8, MMX), PACKED(0xf9, MMX), PACKED(0xfa, MMX), PACKED(0xfb, SSE2), PACKED(0xfc, MMX),
	PACKED(0xfd, MMX), PACKED(0xfe, MMX),
	ALL(0xff) = SPEC(UD, A_ENDS, NONE, NONE, nGv, nEv), /* UD0 */
};
/* clang-format on */
