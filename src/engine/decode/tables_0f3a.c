/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three-byte opcodes 0F 3A xx, legacy encoding. Intel SDM vol. 2, appendix A.3 (table A-5).
 */
#include "engine/decode/tables.h"

/* clang-format off */
#define PCMPSTR(sp_im, ...) ROW(NONE, SSE42, A_SSE | A_PP | A_UNAL, ADD, sp_im, __VA_ARGS__)

const struct row insn_rows_0f3a[256 * 4] = {
	P66(0x08) = SSE(SSE41, A_XM, wVdq, rWdq, rIb), P66(0x09) = SSE(SSE41, A_XM, wVdq, rWdq, rIb),
	P66(0x0a) = SSE(SSE41, A_XM, xVdq, rWd, rIb), P66(0x0b) = SSE(SSE41, A_XM, xVdq, rWq, rIb),
	P66(0x0c) = SSE(SSE41, 0, xVdq, rWdq, rIb), P66(0x0d) = SSE(SSE41, 0, xVdq, rWdq, rIb),
	P66(0x0e) = SSE(SSE41, 0, xVdq, rWdq, rIb),
	NP(0x0f) = MMX(SSSE3, xPq, rQq, rIb), P66(0x0f) = SSE(SSSE3, 0, xVdq, rWdq, rIb),
	P66(0x14) = SSE(SSE41, 0, wEdb, rVdq, rIb), P66(0x15) = SSE(SSE41, 0, wEdw, rVdq, rIb),
	P66(0x16) = SSE(SSE41, 0, wEy, rVdq, rIb), P66(0x17) = SSE(SSE41, 0, wEd, rVdq, rIb),
	P66(0x20) = SSE(SSE41, 0, xVdq, rEdb, rIb), P66(0x21) = SSE(SSE41, 0, xVdq, rWd, rIb),
	P66(0x22) = SSE(SSE41, 0, xVdq, rEy, rIb),
	P66(0x40) = SSE(SSE41, A_XM, xVdq, rWdq, rIb), P66(0x41) = SSE(SSE41, A_XM, xVdq, rWdq, rIb),
	P66(0x42) = SSE(SSE41, 0, xVdq, rWdq, rIb), P66(0x44) = SSE(PCLMUL, 0, xVdq, rWdq, rIb),
	P66(0x60) = PCMPSTR(EDX_EAX, rVdq, rWdq, rIb, wX0), P66(0x61) = PCMPSTR(ESTRI, rVdq, rWdq, rIb),
	P66(0x62) = PCMPSTR(NONE, rVdq, rWdq, rIb, wX0), P66(0x63) = PCMPSTR(WCX, rVdq, rWdq, rIb),
	NP(0xcc) = SSE(SHA, 0, xVdq, rWdq, rIb),
	P66(0xce) = SSE(GFNI, 0, xVdq, rWdq, rIb), P66(0xcf) = SSE(GFNI, 0, xVdq, rWdq, rIb),
	P66(0xdf) = SSE(AES, 0, wVdq, rWdq, rIb),
};
/* clang-format on */
