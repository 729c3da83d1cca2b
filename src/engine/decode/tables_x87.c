/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87 opcodes D8-DF. Intel SDM vol. 2, appendix A.5 (tables ); vol. 1, 8.3. Non-waiting
 * control instructions (FN...) have no A_WAIT. The register forms also hold what every x87 executes
 * without documenting it any more: FENI, FDISI, FSETPM (no-ops since the 387) and the
 * aliases FCOM2, FCOMP3, FXCH4, FCOMP5, FFREEP, FXCH7, FSTP1, FSTP8, FSTP9.
 */
#include "engine/decode/tables.h"

/* clang-format off */
#define F(...)       ROW(NONE, FPU, A_FPU | A_WAIT, NONE, NONE, __VA_ARGS__)
#define F_CTRL(...)  ROW(NONE, FPU, A_FPU | A_WAIT | A_CTRL, NONE, NONE, __VA_ARGS__)
#define F_NOWAIT(...) ROW(NONE, FPU, A_FPU | A_CTRL, NONE, NONE, __VA_ARGS__)
#define ARITH(m) F(m), F(m), F(m), F(m), F(m), F(m), F(m), F(m)

const struct row insn_rows_x87_mem[64] = {
	[0x00] = ARITH(rMd), /* D8: m32fp */
	[0x08] = F(rMd), [0x0a] = F(wMd), F(wMd), /* D9: fld, fst, fstp */
	[0x0c] = ROW(FLDENV, FPU, A_FPU | A_WAIT | A_CTRL, NONE, NONE, rMenv), F_CTRL(rMw),
		 ROW(FNSTENV, FPU, A_FPU | A_CTRL, NONE, NONE, wMenv), F_NOWAIT(wMw),
	[0x10] = ARITH(rMd), /* DA: m32int */
	[0x18] = F(rMd), ROW(NONE, SSE3, A_FPU | A_WAIT, NONE, NONE, wMd), F(wMd), F(wMd), /* DB: fild, fisttp */
	[0x1d] = F(rMt), [0x1f] = F(wMt),
	[0x20] = ARITH(rMq), /* DC: m64fp */
	[0x28] = F(rMq), ROW(NONE, SSE3, A_FPU | A_WAIT, NONE, NONE, wMq), F(wMq), F(wMq), /* DD */
	[0x2c] = ROW(FRSTOR, FPU, A_FPU | A_WAIT | A_CTRL, NONE, NONE, rMsav),
	[0x2e] = ROW(FNSAVE, FPU, A_FPU | A_CTRL, NONE, NONE, wMsav), F_NOWAIT(wMw),
	[0x30] = ARITH(rMw), /* DE: m16int */
	[0x38] = F(rMw), ROW(NONE, SSE3, A_FPU | A_WAIT, NONE, NONE, wMw), F(wMw), F(wMw), /* DF */
		 F(rMt), F(rMq), F(wMt), F(wMq), /* fbld, fild m64, fbstp, fistp m64 */
};

#define FCMOV(fl) ROW(NONE, CMOV, A_FPU | A_WAIT, fl, NONE)
#define FCOMI     ROW(NONE, CMOV, A_FPU | A_WAIT, ADD, NONE)
#define EIGHT(op, reg) [((op) - 0xd8) * 64 + (reg) * 8 ... ((op) - 0xd8) * 64 + (reg) * 8 + 7]
#define ONE(op, modrm) [((op) - 0xd8) * 64 + ((modrm) - 0xc0)]
#define SPAN(op, from, to) [((op) - 0xd8) * 64 + ((from) - 0xc0) ... ((op) - 0xd8) * 64 + ((to) - 0xc0)]

const struct row insn_rows_x87_reg[8 * 64] = {
	SPAN(0xd8, 0xc0, 0xff) = F(0),
	SPAN(0xd9, 0xc0, 0xcf) = F(0), /* fld, fxch */
	ONE(0xd9, 0xd0) = F(0),        /* fnop */
	EIGHT(0xd9, 3) = F(0),         /* fstp1 */
	ONE(0xd9, 0xe0) = F(0), ONE(0xd9, 0xe1) = F(0), ONE(0xd9, 0xe4) = F(0), ONE(0xd9, 0xe5) = F(0),
	SPAN(0xd9, 0xe8, 0xee) = F(0), /* fld1 .. fldz */
	SPAN(0xd9, 0xf0, 0xff) = F(0),
	EIGHT(0xda, 0) = FCMOV(CC_C), EIGHT(0xda, 1) = FCMOV(CC_Z),
	EIGHT(0xda, 2) = FCMOV(CC_CZ), EIGHT(0xda, 3) = FCMOV(CC_P),
	ONE(0xda, 0xe9) = F(0), /* fucompp */
	EIGHT(0xdb, 0) = FCMOV(CC_C), EIGHT(0xdb, 1) = FCMOV(CC_Z),
	EIGHT(0xdb, 2) = FCMOV(CC_CZ), EIGHT(0xdb, 3) = FCMOV(CC_P),
	ONE(0xdb, 0xe0) = F_NOWAIT(0), ONE(0xdb, 0xe1) = F_NOWAIT(0), /* feni, fdisi */
	ONE(0xdb, 0xe2) = F_NOWAIT(0), ONE(0xdb, 0xe3) = F_NOWAIT(0), /* fnclex, fninit */
	ONE(0xdb, 0xe4) = F_NOWAIT(0), /* fsetpm */
	EIGHT(0xdb, 5) = FCOMI, EIGHT(0xdb, 6) = FCOMI,
	SPAN(0xdc, 0xc0, 0xff) = F(0),
	SPAN(0xdd, 0xc0, 0xef) = F(0), /* ffree, fxch4, fst, fstp, fucom, fucomp */
	SPAN(0xde, 0xc0, 0xd7) = F(0), /* faddp, fmulp, fcomp5 */
	ONE(0xde, 0xd9) = F(0),        /* fcompp */
	SPAN(0xde, 0xe0, 0xff) = F(0),
	SPAN(0xdf, 0xc0, 0xdf) = F(0), /* ffreep, fxch7, fstp8, fstp9 */
	ONE(0xdf, 0xe0) = F_NOWAIT(wAw), /* fnstsw ax */
	EIGHT(0xdf, 5) = FCOMI, EIGHT(0xdf, 6) = FCOMI,
};
/* clang-format on */
