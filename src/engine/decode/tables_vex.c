/* SPDX-License-Identifier: Apache-2.0 */
/*
 * VEX maps 1 to 3: AVX, AVX2, FMA, F16C, BMI1, BMI2, and the VEX forms of AES, PCLMUL, GFNI. Intel
 * SDM vol. 2, appendix A.3 (rows with a "v" prefix) and the instruction pages for W and L.
 *
 * A_W0/A_W1/A_L0/A_L1 are what the pages demand (.W0, .128, .LZ); no mark means WIG or LIG. vvvv
 * must be 1111 where no operand uses it: decode.c checks that for every row.
 */
#include "engine/decode/tables.h"

/* clang-format off */
/* packed single and double: three operands; two operands */
#define V3(op, a)  NP(op) = AVX(AVX, a, wVx, rHx, rWx), P66(op) = AVX(AVX, a, wVx, rHx, rWx)
#define V2(op, a)  NP(op) = AVX(AVX, a, wVx, rWx), P66(op) = AVX(AVX, a, wVx, rWx)
#define VS3(op)    PF3(op) = AVX(AVX, A_XM, wVdq, rHdq, rWd), PF2(op) = AVX(AVX, A_XM, wVdq, rHdq, rWq)
#define V4(op)     V3(op, A_XM), VS3(op)
#define VCOMIS(op) \
	NP(op) = ROW(NONE, AVX, A_AVX | A_PE | A_PP | A_XM, ADD, NONE, rVdq, rWd), \
	P66(op) = ROW(NONE, AVX, A_AVX | A_PE | A_PP | A_XM, ADD, NONE, rVdq, rWq)
/* integer: AVX, AVX2 with L */
#define VI3(op)    P66(op) = AVX(AVX, A_L_AVX2, wVx, rHx, rWx)
#define VI2(op)    P66(op) = AVX(AVX, A_L_AVX2, wVx, rWx)
#define VSH(op)    P66(op) = AVX(AVX, A_L_AVX2, wVx, rHx, rWdq)
#define VSHI       AVX(AVX, A_L_AVX2, wHx, rUx, rIb)

static const struct row mod_10_f3[2] = {AVX(AVX, 0, wVdq, rMd), AVX(AVX, 0, wVdq, rHdq, rUdq)};
static const struct row mod_10_f2[2] = {AVX(AVX, 0, wVdq, rMq), AVX(AVX, 0, wVdq, rHdq, rUdq)};
static const struct row mod_11_f3[2] = {AVX(AVX, 0, wMd, rVdq), AVX(AVX, 0, wUdq, rHdq, rVdq)};
static const struct row mod_11_f2[2] = {AVX(AVX, 0, wMq, rVdq), AVX(AVX, 0, wUdq, rHdq, rVdq)};
static const struct row mod_12[2] = {AVX(AVX, A_L0, wVdq, rHdq, rMq), AVX(AVX, A_L0, wVdq, rHdq, rUdq)};
static const struct row mod_16[2] = {AVX(AVX, A_L0, wVdq, rHdq, rMq), AVX(AVX, A_L0, wVdq, rHdq, rUdq)};
static const struct row grp_71[8] = {[2] = VSHI, [4] = VSHI, [6] = VSHI};
static const struct row grp_72[8] = {[2] = VSHI, [4] = VSHI, [6] = VSHI};
static const struct row grp_73[8] = {[2] = VSHI, VSHI, [6] = VSHI, VSHI};
static const struct row mod_71[2] = {[1] = BY(REG, grp_71)}, mod_72[2] = {[1] = BY(REG, grp_72)},
	mod_73[2] = {[1] = BY(REG, grp_73)};
static const struct row grp_ae[8] = {
	[2] = ROW(LDMXCSR, AVX, A_AVX | A_PE | A_PP | A_L0, NONE, NONE, rMd),
	ROW(STMXCSR, AVX, A_AVX | A_PE | A_PP | A_L0, NONE, NONE, wMd),
};

const struct row insn_rows_vex1[256 * 4] = {
	V2(0x10, 0), PF3(0x10) = BY(MOD, mod_10_f3), PF2(0x10) = BY(MOD, mod_10_f2),
	NP(0x11) = AVX(AVX, 0, wWx, rVx), P66(0x11) = AVX(AVX, 0, wWx, rVx),
	PF3(0x11) = BY(MOD, mod_11_f3), PF2(0x11) = BY(MOD, mod_11_f2),
	NP(0x12) = BY(MOD, mod_12), P66(0x12) = AVX(AVX, A_L0, wVdq, rHdq, rMq),
	PF3(0x12) = AVX(AVX, 0, wVx, rWx), PF2(0x12) = AVX(AVX, 0, wVx, rWdup),
	NP(0x13) = AVX(AVX, A_L0, wMq, rVdq), P66(0x13) = AVX(AVX, A_L0, wMq, rVdq),
	V3(0x14, 0), V3(0x15, 0),
	NP(0x16) = BY(MOD, mod_16), P66(0x16) = AVX(AVX, A_L0, wVdq, rHdq, rMq), PF3(0x16) = AVX(AVX, 0, wVx, rWx),
	NP(0x17) = AVX(AVX, A_L0, wMq, rVdq), P66(0x17) = AVX(AVX, A_L0, wMq, rVdq),
	V2(0x28, A_ALIGN),
	NP(0x29) = AVX(AVX, A_ALIGN, wWx, rVx), P66(0x29) = AVX(AVX, A_ALIGN, wWx, rVx),
	PF3(0x2a) = AVX(AVX, A_XM, wVdq, rHdq, rEy), PF2(0x2a) = AVX(AVX, A_XM, wVdq, rHdq, rEy),
	NP(0x2b) = AVX(AVX, A_ALIGN, wMx, rVx), P66(0x2b) = AVX(AVX, A_ALIGN, wMx, rVx),
	PF3(0x2c) = AVX(AVX, A_XM, wGy, rWd), PF2(0x2c) = AVX(AVX, A_XM, wGy, rWq),
	PF3(0x2d) = AVX(AVX, A_XM, wGy, rWd), PF2(0x2d) = AVX(AVX, A_XM, wGy, rWq),
	VCOMIS(0x2e), VCOMIS(0x2f),
	NP(0x50) = AVX(AVX, 0, wGd, rUx), P66(0x50) = AVX(AVX, 0, wGd, rUx),
	V2(0x51, A_XM), VS3(0x51),
	NP(0x52) = AVX(AVX, 0, wVx, rWx), PF3(0x52) = AVX(AVX, 0, wVdq, rHdq, rWd),
	NP(0x53) = AVX(AVX, 0, wVx, rWx), PF3(0x53) = AVX(AVX, 0, wVdq, rHdq, rWd),
	V3(0x54, 0), V3(0x55, 0), V3(0x56, 0), V3(0x57, 0), V4(0x58), V4(0x59),
	NP(0x5a) = AVX(AVX, A_XM, wVx, rWxh), P66(0x5a) = AVX(AVX, A_XM, wVdq, rWx), VS3(0x5a),
	V2(0x5b, A_XM), PF3(0x5b) = AVX(AVX, A_XM, wVx, rWx),
	V4(0x5c), V4(0x5d), V4(0x5e), V4(0x5f),
	VI3(0x60), VI3(0x61), VI3(0x62), VI3(0x63), VI3(0x64), VI3(0x65), VI3(0x66), VI3(0x67),
	VI3(0x68), VI3(0x69), VI3(0x6a), VI3(0x6b), VI3(0x6c), VI3(0x6d),
	P66(0x6e) = AVX(AVX, A_L0, wVdq, rEy),
	P66(0x6f) = AVX(AVX, A_ALIGN, wVx, rWx), PF3(0x6f) = AVX(AVX, 0, wVx, rWx),
	P66(0x70) = AVX(AVX, A_L_AVX2, wVx, rWx, rIb), PF3(0x70) = AVX(AVX, A_L_AVX2, wVx, rWx, rIb),
	PF2(0x70) = AVX(AVX, A_L_AVX2, wVx, rWx, rIb),
	P66(0x71) = BY(MOD, mod_71), P66(0x72) = BY(MOD, mod_72), P66(0x73) = BY(MOD, mod_73),
	VI3(0x74), VI3(0x75), VI3(0x76), NP(0x77) = AVX(AVX, 0, 0), /* vzeroupper, vzeroall */
	P66(0x7c) = AVX(AVX, A_XM, wVx, rHx, rWx), PF2(0x7c) = AVX(AVX, A_XM, wVx, rHx, rWx),
	P66(0x7d) = AVX(AVX, A_XM, wVx, rHx, rWx), PF2(0x7d) = AVX(AVX, A_XM, wVx, rHx, rWx),
	P66(0x7e) = AVX(AVX, A_L0, wEy, rVdq), PF3(0x7e) = AVX(AVX, A_L0, wVdq, rWq),
	P66(0x7f) = AVX(AVX, A_ALIGN, wWx, rVx), PF3(0x7f) = AVX(AVX, 0, wWx, rVx),
	NP(0xae) = BY(REG, grp_ae),
	NP(0xc2) = AVX(AVX, A_XM, wVx, rHx, rWx, rIb), P66(0xc2) = AVX(AVX, A_XM, wVx, rHx, rWx, rIb),
	PF3(0xc2) = AVX(AVX, A_XM, wVdq, rHdq, rWd, rIb), PF2(0xc2) = AVX(AVX, A_XM, wVdq, rHdq, rWq, rIb),
	P66(0xc4) = AVX(AVX, A_L0, wVdq, rHdq, rEdw, rIb), P66(0xc5) = AVX(AVX, A_L0, wGd, rUdq, rIb),
	NP(0xc6) = AVX(AVX, 0, wVx, rHx, rWx, rIb), P66(0xc6) = AVX(AVX, 0, wVx, rHx, rWx, rIb),
	P66(0xd0) = AVX(AVX, A_XM, wVx, rHx, rWx), PF2(0xd0) = AVX(AVX, A_XM, wVx, rHx, rWx),
	VSH(0xd1), VSH(0xd2), VSH(0xd3), VI3(0xd4), VI3(0xd5), P66(0xd6) = AVX(AVX, A_L0, wWq, rVdq),
	P66(0xd7) = AVX(AVX, A_L_AVX2, wGd, rUx),
	VI3(0xd8), VI3(0xd9), VI3(0xda), VI3(0xdb), VI3(0xdc), VI3(0xdd), VI3(0xde), VI3(0xdf),
	VI3(0xe0), VSH(0xe1), VSH(0xe2), VI3(0xe3), VI3(0xe4), VI3(0xe5),
	P66(0xe6) = AVX(AVX, A_XM, wVdq, rWx), PF3(0xe6) = AVX(AVX, 0, wVx, rWxh), PF2(0xe6) = AVX(AVX, A_XM, wVdq, rWx),
	P66(0xe7) = AVX(AVX, A_ALIGN, wMx, rVx),
	VI3(0xe8), VI3(0xe9), VI3(0xea), VI3(0xeb), VI3(0xec), VI3(0xed), VI3(0xee), VI3(0xef),
	PF2(0xf0) = AVX(AVX, 0, wVx, rMx),
	VSH(0xf1), VSH(0xf2), VSH(0xf3), VI3(0xf4), VI3(0xf5), VI3(0xf6),
	P66(0xf7) = ROW(MASKMOVDQU, AVX, A_AVX | A_PE | A_PP | A_L0, NONE, RDI, rVdq, rUdq),
	VI3(0xf8), VI3(0xf9), VI3(0xfa), VI3(0xfb), VI3(0xfc), VI3(0xfd), VI3(0xfe),
};

#define VTEST(op, a) P66(op) = ROW(NONE, AVX, A_AVX | A_PE | A_PP | (a), ADD, NONE, rVx, rWx)
#define VPMOVX(op, w) P66(op) = AVX(AVX, A_L_AVX2, wVx, w)
#define MASKMOV_LD(feat) ROW(VMASKMOV, feat, A_AVX | A_PE | A_PP, NONE, NONE, wVx, rHx, rMx)
#define MASKMOV_ST(feat) ROW(VMASKMOV, feat, A_AVX | A_PE | A_PP, NONE, NONE, wMx, rHx, rVx)
#define GATHER ROW(GATHER, AVX2, A_AVX | A_PE | A_PP, NONE, NONE, xVx, rVSIB, xHx)
#define FMAP(op) P66(op) = AVX(FMA, A_XM, xVx, rHx, rWx)
#define FMAS(op) P66(op) = AVX(FMA, A_XM, xVdq, rHdq, rWsw)
#define FMA_BLOCK(op) \
	FMAP((op) + 6), FMAP((op) + 7), FMAP((op) + 8), FMAS((op) + 9), FMAP((op) + 10), FMAS((op) + 11), \
	FMAP((op) + 12), FMAS((op) + 13), FMAP((op) + 14), FMAS((op) + 15)
#define VAES(op) P66(op) = AVX(AES, A_L_AVX2, wVx, rHx, rWx)

static const struct row mod_18[2] = {AVX(AVX, A_W0, wVx, rMd), AVX(AVX2, A_W0, wVx, rUdq)};
static const struct row mod_19[2] = {AVX(AVX, A_W0 | A_L1, wVx, rMq), AVX(AVX2, A_W0 | A_L1, wVx, rUdq)};
static const struct row w_46_0[2] = {AVX(AVX2, 0, wVx, rHx, rWx)};
static const struct row grp17_f3[8] = {
	[1] = VGPR(BMI1, 0, ANDN, wBy, rEy), VGPR(BMI1, 0, ANDN, wBy, rEy), VGPR(BMI1, 0, ANDN, wBy, rEy)};

const struct row insn_rows_vex2[256 * 4] = {
	VI3(0x00), VI3(0x01), VI3(0x02), VI3(0x03), VI3(0x04), VI3(0x05),
	VI3(0x06), VI3(0x07), VI3(0x08), VI3(0x09), VI3(0x0a), VI3(0x0b),
	P66(0x0c) = AVX(AVX, A_W0, wVx, rHx, rWx), P66(0x0d) = AVX(AVX, A_W0, wVx, rHx, rWx),
	VTEST(0x0e, A_W0), VTEST(0x0f, A_W0),
	P66(0x13) = AVX(F16C, A_W0 | A_XM, wVx, rWxh), P66(0x16) = AVX(AVX2, A_W0 | A_L1, wVx, rHx, rWx),
	VTEST(0x17, 0), P66(0x18) = BY(MOD, mod_18), P66(0x19) = BY(MOD, mod_19),
	P66(0x1a) = AVX(AVX, A_W0 | A_L1, wVx, rMdq), VI2(0x1c), VI2(0x1d), VI2(0x1e),
	VPMOVX(0x20, rWxh), VPMOVX(0x21, rWxq), VPMOVX(0x22, rWxe), VPMOVX(0x23, rWxh), VPMOVX(0x24, rWxq), VPMOVX(0x25, rWxh),
	VI3(0x28), VI3(0x29), P66(0x2a) = AVX(AVX, A_L_AVX2 | A_ALIGN, wVx, rMx), VI3(0x2b),
	P66(0x2c) = ROW(VMASKMOV, AVX, A_AVX | A_PE | A_PP | A_W0, NONE, NONE, wVx, rHx, rMx),
	P66(0x2d) = ROW(VMASKMOV, AVX, A_AVX | A_PE | A_PP | A_W0, NONE, NONE, wVx, rHx, rMx),
	P66(0x2e) = ROW(VMASKMOV, AVX, A_AVX | A_PE | A_PP | A_W0, NONE, NONE, wMx, rHx, rVx),
	P66(0x2f) = ROW(VMASKMOV, AVX, A_AVX | A_PE | A_PP | A_W0, NONE, NONE, wMx, rHx, rVx),
	VPMOVX(0x30, rWxh), VPMOVX(0x31, rWxq), VPMOVX(0x32, rWxe), VPMOVX(0x33, rWxh), VPMOVX(0x34, rWxq), VPMOVX(0x35, rWxh),
	P66(0x36) = AVX(AVX2, A_W0 | A_L1, wVx, rHx, rWx), VI3(0x37),
	VI3(0x38), VI3(0x39), VI3(0x3a), VI3(0x3b), VI3(0x3c), VI3(0x3d), VI3(0x3e), VI3(0x3f),
	VI3(0x40), P66(0x41) = AVX(AVX, A_L0, wVdq, rWdq),
	P66(0x45) = AVX(AVX2, 0, wVx, rHx, rWx), P66(0x46) = BY(W, w_46_0), P66(0x47) = AVX(AVX2, 0, wVx, rHx, rWx),
	P66(0x58) = AVX(AVX2, A_W0, wVx, rWd), P66(0x59) = AVX(AVX2, A_W0, wVx, rWq),
	P66(0x5a) = AVX(AVX2, A_W0 | A_L1, wVx, rMdq), P66(0x78) = AVX(AVX2, A_W0, wVx, rWb),
	P66(0x79) = AVX(AVX2, A_W0, wVx, rWw),
	P66(0x8c) = MASKMOV_LD(AVX2), P66(0x8e) = MASKMOV_ST(AVX2),
	P66(0x90) = GATHER, P66(0x91) = GATHER, P66(0x92) = GATHER, P66(0x93) = GATHER,
	FMA_BLOCK(0x90), FMA_BLOCK(0xa0), FMA_BLOCK(0xb0),
	P66(0xcf) = AVX(GFNI, A_W0, wVx, rHx, rWx), P66(0xdb) = AVX(AES, A_L0, wVdq, rWdq),
	VAES(0xdc), VAES(0xdd), VAES(0xde), VAES(0xdf),
	NP(0xf2) = VGPR(BMI1, 0, ANDN, wGy, rBy, rEy), NP(0xf3) = BY(REG, grp17_f3),
	NP(0xf5) = VGPR(BMI2, 0, ANDN, wGy, rEy, rBy), PF3(0xf5) = VGPR(BMI2, 0, NONE, wGy, rBy, rEy),
	PF2(0xf5) = VGPR(BMI2, 0, NONE, wGy, rBy, rEy),
	PF2(0xf6) = ROW(NONE, BMI2, A_PE | A_PP | A_L0, NONE, RDX, wGy, wBy, rEy), /* mulx */
	NP(0xf7) = VGPR(BMI1, 0, BEXTR, wGy, rEy, rBy), P66(0xf7) = VGPR(BMI2, 0, NONE, wGy, rEy, rBy),
	PF3(0xf7) = VGPR(BMI2, 0, NONE, wGy, rEy, rBy), PF2(0xf7) = VGPR(BMI2, 0, NONE, wGy, rEy, rBy),
};

#define VPCMPSTR(im, ...) ROW(NONE, AVX, A_AVX | A_PE | A_PP | A_L0, ADD, im, __VA_ARGS__)

const struct row insn_rows_vex3[256 * 4] = {
	P66(0x00) = AVX(AVX2, A_W1 | A_L1, wVx, rWx, rIb), P66(0x01) = AVX(AVX2, A_W1 | A_L1, wVx, rWx, rIb),
	P66(0x02) = AVX(AVX2, A_W0, wVx, rHx, rWx, rIb),
	P66(0x04) = AVX(AVX, A_W0, wVx, rWx, rIb), P66(0x05) = AVX(AVX, A_W0, wVx, rWx, rIb),
	P66(0x06) = AVX(AVX, A_W0 | A_L1, wVx, rHx, rWx, rIb),
	P66(0x08) = AVX(AVX, A_XM, wVx, rWx, rIb), P66(0x09) = AVX(AVX, A_XM, wVx, rWx, rIb),
	P66(0x0a) = AVX(AVX, A_XM, wVdq, rHdq, rWd, rIb), P66(0x0b) = AVX(AVX, A_XM, wVdq, rHdq, rWq, rIb),
	P66(0x0c) = AVX(AVX, 0, wVx, rHx, rWx, rIb), P66(0x0d) = AVX(AVX, 0, wVx, rHx, rWx, rIb),
	P66(0x0e) = AVX(AVX, A_L_AVX2, wVx, rHx, rWx, rIb), P66(0x0f) = AVX(AVX, A_L_AVX2, wVx, rHx, rWx, rIb),
	P66(0x14) = AVX(AVX, A_L0, wEdb, rVdq, rIb), P66(0x15) = AVX(AVX, A_L0, wEdw, rVdq, rIb),
	P66(0x16) = AVX(AVX, A_L0, wEy, rVdq, rIb), P66(0x17) = AVX(AVX, A_L0, wEd, rVdq, rIb),
	P66(0x18) = AVX(AVX, A_W0 | A_L1, wVx, rHx, rWdq, rIb), P66(0x19) = AVX(AVX, A_W0 | A_L1, wWdq, rVx, rIb),
	P66(0x1d) = AVX(F16C, A_W0 | A_XM, wWxh, rVx, rIb),
	P66(0x20) = AVX(AVX, A_L0, wVdq, rHdq, rEdb, rIb), P66(0x21) = AVX(AVX, A_L0, wVdq, rHdq, rWd, rIb),
	P66(0x22) = AVX(AVX, A_L0, wVdq, rHdq, rEy, rIb),
	P66(0x38) = AVX(AVX2, A_W0 | A_L1, wVx, rHx, rWdq, rIb), P66(0x39) = AVX(AVX2, A_W0 | A_L1, wWdq, rVx, rIb),
	P66(0x40) = AVX(AVX, A_XM, wVx, rHx, rWx, rIb), P66(0x41) = AVX(AVX, A_XM | A_L0, wVdq, rHdq, rWdq, rIb),
	P66(0x42) = AVX(AVX, A_L_AVX2, wVx, rHx, rWx, rIb), P66(0x44) = AVX(PCLMUL, A_L_AVX2, wVx, rHx, rWx, rIb),
	P66(0x46) = AVX(AVX2, A_W0 | A_L1, wVx, rHx, rWx, rIb),
	P66(0x4a) = AVX(AVX, A_W0, wVx, rHx, rWx, rLx), P66(0x4b) = AVX(AVX, A_W0, wVx, rHx, rWx, rLx),
	P66(0x4c) = AVX(AVX, A_W0 | A_L_AVX2, wVx, rHx, rWx, rLx),
	P66(0x60) = VPCMPSTR(EDX_EAX, rVdq, rWdq, rIb, wX0), P66(0x61) = VPCMPSTR(ESTRI, rVdq, rWdq, rIb),
	P66(0x62) = VPCMPSTR(NONE, rVdq, rWdq, rIb, wX0), P66(0x63) = VPCMPSTR(WCX, rVdq, rWdq, rIb),
	P66(0xce) = AVX(GFNI, A_W1, wVx, rHx, rWx, rIb), P66(0xcf) = AVX(GFNI, A_W1, wVx, rHx, rWx, rIb),
	P66(0xdf) = AVX(AES, A_L0, wVdq, rWdq, rIb),
	PF2(0xf0) = VGPR(BMI2, 0, NONE, wGy, rEy, rIb), /* rorx */
};
/* clang-format on */
