/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three-byte opcodes 0F 38 xx, legacy encoding. Intel SDM vol. 2, appendix A.3 (table A-4).
 */
#include "engine/decode/tables.h"

/* clang-format off */
#define SSSE3(op)    NP(op) = MMX(SSSE3, xPq, rQq), P66(op) = SSE(SSSE3, 0, xVdq, rWdq)
#define PABS(op)     NP(op) = MMX(SSSE3, wPq, rQq), P66(op) = SSE(SSSE3, 0, wVdq, rWdq)
#define P41(op)      P66(op) = SSE(SSE41, 0, xVdq, rWdq)
#define BLENDV(op)   P66(op) = SSE(SSE41, 0, xVdq, rWdq, rX0)
#define PMOVX(op, w) P66(op) = SSE(SSE41, 0, wVdq, w)
#define SHA(op, ...) NP(op) = SSE(SHA, 0, xVdq, rWdq, ##__VA_ARGS__)

const struct row insn_rows_0f38[256 * 4] = {
	SSSE3(0x00), SSSE3(0x01), SSSE3(0x02), SSSE3(0x03), SSSE3(0x04), SSSE3(0x05),
	SSSE3(0x06), SSSE3(0x07), SSSE3(0x08), SSSE3(0x09), SSSE3(0x0a), SSSE3(0x0b),
	BLENDV(0x10), BLENDV(0x14), BLENDV(0x15),
	P66(0x17) = ROW(NONE, SSE41, A_SSE | A_PP, ADD, NONE, rVdq, rWdq), /* ptest */
	PABS(0x1c), PABS(0x1d), PABS(0x1e),
	PMOVX(0x20, rWq), PMOVX(0x21, rWd), PMOVX(0x22, rWw), PMOVX(0x23, rWq), PMOVX(0x24, rWd), PMOVX(0x25, rWq),
	P41(0x28), P41(0x29), P66(0x2a) = SSE(SSE41, 0, wVdq, rMdq), P41(0x2b),
	PMOVX(0x30, rWq), PMOVX(0x31, rWd), PMOVX(0x32, rWw), PMOVX(0x33, rWq), PMOVX(0x34, rWd), PMOVX(0x35, rWq),
	P66(0x37) = SSE(SSE42, 0, xVdq, rWdq),
	P41(0x38), P41(0x39), P41(0x3a), P41(0x3b), P41(0x3c), P41(0x3d), P41(0x3e), P41(0x3f),
	P41(0x40), P66(0x41) = SSE(SSE41, 0, wVdq, rWdq),
	P66(0x82) = ROW(INVPCID, INVPCID, A_CPL0 | A_PP, NONE, NONE, rGm, rMdq),
	SHA(0xc8), SHA(0xc9), SHA(0xca), SHA(0xcb, rX0), SHA(0xcc), SHA(0xcd),
	P66(0xcf) = SSE(GFNI, 0, xVdq, rWdq),
	P66(0xdb) = SSE(AES, 0, wVdq, rWdq), P66(0xdc) = SSE(AES, 0, xVdq, rWdq), P66(0xdd) = SSE(AES, 0, xVdq, rWdq),
	P66(0xde) = SSE(AES, 0, xVdq, rWdq), P66(0xdf) = SSE(AES, 0, xVdq, rWdq),
	NP66(0xf0) = COPYF(MOVBE, 0, NONE, wGv, rMv), NP66(0xf1) = COPYF(MOVBE, 0, NONE, wMv, rGv),
	/* crc32: the operand size is that of the source */
	PF2(0xf0) = COPYF(SSE42, A_PP, NONE, rEb, xGy), PF2(0xf1) = COPYF(SSE42, A_PP, NONE, rEv, xGy),
	P66(0xf6) = COPYF(ADX, A_PP, CMC, xGy, rEy), PF3(0xf6) = COPYF(ADX, A_PP, ADOX, xGy, rEy),
};
/* clang-format on */
