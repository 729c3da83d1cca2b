/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder on hand-picked instructions: the ones where a table-driven decoder goes wrong. Each
 * row cites Intel SDM vol. 2 unless said. What all opcodes have in common is compared with a second
 * decoder in tests/insn/decode_zydis.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/base.h"
#include "engine/decode/insn.h"

#define B(...) {__VA_ARGS__}, sizeof((uint8_t[]){__VA_ARGS__})
#define ANY    0xfe
#define NOR    INSN_NO_REG

struct row {
	const char *name;
	uint8_t bytes[18], n;
	uint8_t bits;
	enum decode_result result;
	uint8_t len, special, opsize;
	uint16_t read, written;
	uint16_t mem_size;
	uint32_t flags_set, flags_clear; /* INSN_ */
	const char *source;
};

/* clang-format off */
static const struct row rows[] = {
	/* prefixes and length */
	{"add [rax],al", B(0x00, 0x00), 64, DECODE_OK, 2, SP_NONE, 1, 1 << 0, 0, 1, INSN_MEM | INSN_MEM_READ | INSN_MEM_WRITE, INSN_LOCK, "ADD"},
	{"rex before 66 is void", B(0x48, 0x66, 0x89, 0xc8), 64, DECODE_OK, 4, SP_NONE, 2, 3, 1, 0, INSN_OPSIZE, INSN_W, "2.2.1"},
	{"66 rex.w", B(0x66, 0x48, 0x89, 0xc8), 64, DECODE_OK, 4, SP_NONE, 8, 2, 1, 0, INSN_W, 0, "2.2.1.2"},
	{"two rex: last counts", B(0x48, 0x41, 0x89, 0xc8), 64, DECODE_OK, 4, SP_NONE, 4, 2, 1 << 8, 0, 0, INSN_W, "2.2.1"},
	{"15 bytes", B(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90), 64, DECODE_OK, 15, SP_NONE, ANY, 0, 0, 0, 0, 0, "2.3.11"},
	{"16 bytes", B(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90), 64, DECODE_TOO_LONG, 15, ANY, ANY, 0, 0, 0, 0, 0, "2.3.11"},
	{"15 prefixes, no more", B(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66), 64, DECODE_TOO_LONG, 15, ANY, ANY, 0, 0, 0, 0, 0, "2.3.11"},
	{"long via imm", B(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x81, 0xc0, 0x34, 0x12), 64, DECODE_OK, 15, SP_NONE, 2, 1, 1, 0, 0, 0, "2.3.11"},
	{"mov rax,imm64", B(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8), 64, DECODE_OK, 10, SP_NONE, 8, 0, 1, 0, 0, INSN_MODRM, "2.2.1.5"},
	{"mov ax,imm16", B(0x66, 0xb8, 1, 2), 64, DECODE_OK, 4, SP_NONE, 2, 1, 1, 0, 0, 0, "partial write reads"},
	{"moffs64", B(0xa1, 1, 2, 3, 4, 5, 6, 7, 8), 64, DECODE_OK, 9, SP_NONE, 4, 0, 1, 4, INSN_MOFFS | INSN_MEM | INSN_MEM_READ, INSN_MODRM, "2.2.1.4"},
	{"moffs32 by 67", B(0x67, 0xa0, 1, 2, 3, 4), 64, DECODE_OK, 6, SP_NONE, 1, 1, 1, 1, INSN_MOFFS, 0, "2.2.1.4"},
	{"jmp rel32, 66 ignored", B(0x66, 0xe9, 1, 2, 3, 4), 64, DECODE_OK, 6, SP_JMP_REL, 8, 0, 0, 0, INSN_ENDS, 0, "2.2.1.7, JMP"},
	{"jmp rel16 in 32", B(0x66, 0xe9, 1, 2), 32, DECODE_OK, 4, SP_JMP_REL, 2, 0, 0, 0, INSN_ENDS, 0, "JMP"},
	{"jmp rel32 in 16", B(0x66, 0xe9, 1, 2, 3, 4), 16, DECODE_OK, 6, SP_JMP_REL, 4, 0, 0, 0, INSN_ENDS, 0, "JMP"},
	{"push 66 in 64", B(0x66, 0x50), 64, DECODE_OK, 2, SP_PUSH_REG, 2, 0x11, 0x10, 0, INSN_STACK, 0, "2.2.1.7"},
	{"push rax", B(0x50), 64, DECODE_OK, 1, SP_PUSH_REG, 8, 0x11, 0x10, 0, INSN_STACK, 0, "2.2.1.7"},
	/* registers */
	{"mov ah,cl", B(0x88, 0xcc), 64, DECODE_OK, 2, SP_NONE, 1, 3, 1, 0, INSN_HIGH8, 0, "table 3-1"},
	{"mov spl,cl", B(0x40, 0x88, 0xcc), 64, DECODE_OK, 3, SP_NONE, 1, 0x12, 0x10, 0, 0, INSN_HIGH8, "2.2.1.2"},
	{"mov bh,imm", B(0xb7, 1), 32, DECODE_OK, 2, SP_NONE, 1, 8, 8, 0, INSN_HIGH8, 0, "MOV"},
	{"cmovo eax,ecx", B(0x0f, 0x40, 0xc1), 64, DECODE_OK, 3, SP_NONE, 4, 3, 1, 0, 0, 0, "CMOVcc"},
	{"mul cl", B(0xf6, 0xe1), 64, DECODE_OK, 2, SP_NONE, 1, 3, 1, 0, 0, 0, "MUL"},
	{"mul ecx", B(0xf7, 0xe1), 64, DECODE_OK, 2, SP_NONE, 4, 3, 5, 0, 0, 0, "MUL"},
	{"bsf eax,ecx", B(0x0f, 0xbc, 0xc1), 64, DECODE_OK, 3, SP_NONE, 4, 3, 1, 0, 0, 0, "BSF: kept when zero"},
	{"tzcnt eax,ecx", B(0xf3, 0x0f, 0xbc, 0xc1), 64, DECODE_OK, 4, SP_NONE, 4, 2, 1, 0, 0, 0, "TZCNT"},
	/* 90 */
	{"nop", B(0x90), 64, DECODE_OK, 1, SP_NONE, ANY, 0, 0, 0, 0, 0, "NOP"},
	{"xchg r8,rax", B(0x49, 0x90), 64, DECODE_OK, 2, SP_NONE, 8, 0x101, 0x101, 0, 0, INSN_LOCK, "XCHG"},
	{"pause", B(0xf3, 0x90), 64, DECODE_OK, 2, SP_PAUSE, ANY, 0, 0, 0, 0, 0, "PAUSE"},
	{"pause with REX.B", B(0xf3, 0x41, 0x90), 64, DECODE_OK, 3, SP_PAUSE, ANY, 0, 0, 0, 0, 0, "processors"},
	/* addressing */
	{"[rip+d]", B(0x8b, 0x05, 1, 0, 0, 0), 64, DECODE_OK, 6, SP_NONE, 4, 0, 1, 4, INSN_RIP_REL, 0, "2.2.1.6"},
	{"[disp32] in 32", B(0x8b, 0x05, 1, 0, 0, 0), 32, DECODE_OK, 6, SP_NONE, 4, 0, 1, 4, 0, INSN_RIP_REL, "table 2-2"},
	{"[bp+si]", B(0x8b, 0x02), 16, DECODE_OK, 2, SP_NONE, 2, 0x61, 1, 2, INSN_OPSIZE, 0, "table 2-1"},
	{"[disp16]", B(0x8b, 0x06, 1, 2), 16, DECODE_OK, 4, SP_NONE, 2, 1, 1, 2, 0, 0, "table 2-1"},
	{"sib no base", B(0x8b, 0x04, 0x25, 1, 2, 3, 4), 64, DECODE_OK, 7, SP_NONE, 4, 0, 1, 4, 0, INSN_RIP_REL, "table 2-3"},
	{"lea", B(0x8d, 0x04, 0x8b), 64, DECODE_OK, 3, SP_LEA, 4, 0xa, 1, 0, 0, INSN_MEM, "LEA"},
	{"lea reg", B(0x8d, 0xc0), 64, DECODE_INVALID, 2, ANY, ANY, 0, 0, 0, 0, 0, "LEA: #UD"},
	/* LOCK */
	{"lock add [],", B(0xf0, 0x01, 0x00), 32, DECODE_OK, 3, SP_NONE, 4, 1, 0, 4, INSN_LOCK, 0, "LOCK"},
	{"lock add reg", B(0xf0, 0x01, 0xc0), 32, DECODE_INVALID, 3, ANY, ANY, 0, 0, 0, 0, 0, "LOCK: #UD"},
	{"lock add r,[]", B(0xf0, 0x03, 0x00), 32, DECODE_INVALID, 3, ANY, ANY, 0, 0, 0, 0, 0, "LOCK: #UD"},
	{"lock cmp", B(0xf0, 0x39, 0x00), 32, DECODE_INVALID, 3, ANY, ANY, 0, 0, 0, 0, 0, "LOCK: #UD"},
	{"lock nop", B(0xf0, 0x90), 64, DECODE_INVALID, 2, ANY, ANY, 0, 0, 0, 0, 0, "LOCK: #UD"},
	{"xchg [] locks", B(0x87, 0x08), 64, DECODE_OK, 2, SP_NONE, 4, 3, 2, 4, INSN_LOCK, 0, "XCHG"},
	{"lock bts []", B(0xf0, 0x0f, 0xab, 0x08), 64, DECODE_OK, 4, SP_BT_MEM, 4, 3, 0, 4, INSN_LOCK, 0, "LOCK"},
	{"lock cmpxchg16b", B(0xf0, 0x48, 0x0f, 0xc7, 0x08), 64, DECODE_OK, 5, SP_NONE, 8, 0xf, 5, 16, INSN_LOCK | INSN_ALIGN, 0, "CMPXCHG16B"},
	/* bytes whose meaning depends on mode */
	{"inc eax / rex", B(0x40), 32, DECODE_OK, 1, SP_NONE, 4, 1, 1, 0, INSN_LEGACY, 0, "INC"},
	{"82 alias", B(0x82, 0xc0, 1), 32, DECODE_OK, 3, SP_NONE, 1, 1, 1, 0, INSN_LEGACY, 0, "A.4"},
	{"82 in 64", B(0x82, 0xc0, 1), 64, DECODE_INVALID, 2, ANY, ANY, 0, 0, 0, 0, 0, "A.4"},
	{"daa in 64", B(0x27), 64, DECODE_INVALID, 1, ANY, ANY, 0, 0, 0, 0, 0, "DAA"},
	{"daa", B(0x27), 16, DECODE_OK, 1, SP_DAA, ANY, 1, 1, 0, 0, 0, "DAA"},
	{"arpl", B(0x63, 0xc8), 32, DECODE_OK, 2, SP_ARPL, ANY, 3, 1, 0, INSN_PE_ONLY, 0, "ARPL"},
	{"movsxd", B(0x48, 0x63, 0xc8), 64, DECODE_OK, 3, SP_NONE, 8, 1, 2, 0, 0, 0, "MOVSXD"},
	{"les", B(0xc4, 0x00), 32, DECODE_OK, 2, SP_LOAD_FAR_PTR, 4, 1, 1, 6, INSN_MEM_READ, 0, "LES"},
	{"bound", B(0x62, 0x00), 32, DECODE_OK, 2, SP_BOUND, 4, 1, 0, 8, 0, 0, "BOUND"},
	{"evex", B(0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc1), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "not offered"},
	{"pop /1 (XOP)", B(0x8f, 0xe8), 64, DECODE_INVALID, 2, ANY, ANY, 0, 0, 0, 0, 0, "POP"},
	/* mandatory prefixes */
	{"F3 over 66", B(0x66, 0xf3, 0x0f, 0x58, 0xc1), 64, DECODE_OK, 5, SP_NONE, ANY, 0, 0, 0, INSN_SSE | INSN_FP_EXC, 0, "2.1.2"},
	{"popcnt r16", B(0x66, 0xf3, 0x0f, 0xb8, 0xc1), 64, DECODE_OK, 5, SP_NONE, 2, 3, 1, 0, INSN_OPSIZE, 0, "POPCNT"},
	{"b8 without f3", B(0x0f, 0xb8, 0xc1), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "JMPE"},
	{"crc32 r32,r16", B(0x66, 0xf2, 0x0f, 0x38, 0xf1, 0xc1), 64, DECODE_OK, 6, SP_NONE, 2, 3, 1, 0, INSN_OPSIZE, 0, "CRC32"},
	{"movaps [] aligned", B(0x0f, 0x28, 0x00), 64, DECODE_OK, 3, SP_NONE, ANY, 1, 0, 16, INSN_ALIGN, 0, "MOVAPS"},
	{"movups []", B(0x0f, 0x10, 0x00), 64, DECODE_OK, 3, SP_NONE, ANY, 1, 0, 16, 0, INSN_ALIGN, "MOVUPS"},
	{"paddb mm,[]", B(0x0f, 0xfc, 0x00), 64, DECODE_OK, 3, SP_NONE, ANY, 1, 0, 8, INSN_MMX | INSN_FWAIT, INSN_SSE, "PADDB"},
	{"punpcklbw mm: 4 bytes", B(0x0f, 0x60, 0x00), 64, DECODE_OK, 3, SP_NONE, ANY, 1, 0, 4, INSN_MMX, 0, "PUNPCKLBW"},
	{"endbr64", B(0xf3, 0x0f, 0x1e, 0xfa), 64, DECODE_OK, 4, SP_NOP_MEM, ANY, 0, 0, 0, 0, INSN_MEM, "ENDBR64"},
	{"long nop", B(0x66, 0x2e, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0), 64, DECODE_OK, 10, SP_NOP_MEM, ANY, 1, 0, 0, 0, INSN_MEM, "NOP"},
	/* VEX */
	{"vaddps ymm", B(0xc5, 0xf4, 0x58, 0xc2), 64, DECODE_OK, 4, SP_NONE, ANY, 0, 0, 0, INSN_AVX | INSN_VEX_L | INSN_PE_ONLY, 0, "VADDPS"},
	{"66 vex", B(0x66, 0xc5, 0xf4, 0x58, 0xc2), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "2.3.2"},
	{"rex vex", B(0x40, 0xc5, 0xf4, 0x58, 0xc2), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "2.3.2"},
	{"vvvv unused", B(0xc5, 0xf0, 0x28, 0xc2), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "2.3.6.2"},
	{"vvvv unused, 32", B(0xc4, 0xe1, 0x38, 0x28, 0xc1), 32, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "2.3.6.2: all four bits"},
	{"vpermd needs L1", B(0xc4, 0xe2, 0x71, 0x36, 0xc2), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "VPERMD"},
	{"vmovd W1 in 32", B(0xc4, 0xe1, 0xf9, 0x6e, 0xc0), 32, DECODE_OK, 5, SP_NONE, ANY, 1, 0, 0, 0, INSN_W, "VMOVD: W ignored"},
	{"andn", B(0xc4, 0xe2, 0x70, 0xf2, 0xc2), 32, DECODE_OK, 5, SP_NONE, 4, 6, 1, 0, INSN_PE_ONLY, INSN_AVX, "ANDN"},
	{"vgatherdps", B(0xc4, 0xe2, 0x71, 0x92, 0x04, 0x90), 64, DECODE_OK, 6, SP_GATHER, ANY, 1, 0, 4, 0, 0, "VGATHERDPS"},
	{"vgather mask=index", B(0xc4, 0xe2, 0x69, 0x92, 0x04, 0x90), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "#UD if equal"},
	{"vgather no sib", B(0xc4, 0xe2, 0x71, 0x92, 0x00), 64, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "2.3.12"},
	/* system */
	{"mov cr0: mod ignored", B(0x0f, 0x20, 0x00), 64, DECODE_OK, 3, SP_MOV_FROM_CR, 8, 0, 1, 0, INSN_CPL0, INSN_MEM, "MOV CR"},
	{"mov cr1", B(0x0f, 0x20, 0xc8), 64, DECODE_INVALID, 3, ANY, ANY, 0, 0, 0, 0, 0, "MOV CR"},
	{"mov cr8", B(0x44, 0x0f, 0x22, 0xc0), 64, DECODE_OK, 4, SP_MOV_TO_CR, 8, 1, 0, 0, INSN_CPL0 | INSN_ENDS, 0, "MOV CR"},
	{"mov cs,ax", B(0x8e, 0xc8), 64, DECODE_INVALID, 2, ANY, ANY, 0, 0, 0, 0, 0, "MOV"},
	{"rdfsbase in 32", B(0xf3, 0x0f, 0xae, 0xc0), 32, DECODE_INVALID, ANY, ANY, ANY, 0, 0, 0, 0, 0, "RDFSBASE"},
	{"sgdt 64", B(0x0f, 0x01, 0x00), 64, DECODE_OK, 3, SP_SGDT, ANY, 1, 0, 10, INSN_MEM_WRITE, 0, "SGDT"},
	{"rep movsb", B(0xf3, 0xa4), 64, DECODE_OK, 2, SP_MOVS, 1, 0xc2, 0xc2, 1, INSN_REP, INSN_REPNE, "REP"},
	{"enter", B(0xc8, 0x34, 0x12, 0x05), 64, DECODE_OK, 4, SP_ENTER, 8, 0x30, 0x30, 0, INSN_STACK, 0, "ENTER"},
	{"far jmp", B(0xea, 1, 2, 3, 4, 5, 6), 32, DECODE_OK, 7, SP_JMP_FAR, 4, 0, 0, 0, INSN_ENDS, 0, "JMP"},
	{"xbegin", B(0xc7, 0xf8, 0, 0, 0, 0), 64, DECODE_OK, 6, SP_UD, ANY, 0, 0, 0, 0, 0, "never offered"},
	/* x87 */
	{"fnstenv 16", B(0xd9, 0x36, 0, 0), 16, DECODE_OK, 4, SP_FNSTENV, 2, 0, 0, 14, INSN_X87_CTRL, INSN_FWAIT, "FNSTENV"},
	{"fnstsw ax", B(0xdf, 0xe0), 64, DECODE_OK, 2, SP_NONE, ANY, 1, 1, 0, INSN_FPU, INSN_FWAIT, "FNSTSW"},
	{"fld m80", B(0xdb, 0x28), 64, DECODE_OK, 2, SP_NONE, ANY, 1, 0, 10, INSN_FPU | INSN_FWAIT, 0, "FLD"},
	{"fwait", B(0x9b), 64, DECODE_OK, 1, SP_NONE, ANY, 0, 0, 0, INSN_FWAIT, INSN_FPU, "WAIT"},
};
/* clang-format on */

static void check_row(const struct row *r)
{
	struct insn in;
	enum decode_result res = insn_decode(r->bytes, r->n, r->bits, &in);

	if (res != r->result)
		fail_msg("%s: result %d, not %d (%s)", r->name, res, r->result, r->source);
	if (r->len != ANY && in.len != r->len)
		fail_msg("%s: length %u, not %u (%s)", r->name, in.len, r->len, r->source);
	if (res != DECODE_OK)
		return;
	if (in.special != r->special || (r->opsize != ANY && in.opsize != r->opsize) ||
	    in.gpr_read != r->read || in.gpr_written != r->written || in.mem_size != r->mem_size)
		fail_msg("%s: special %u opsize %u read %x written %x mem %u (%s)", r->name,
			 in.special, in.opsize, in.gpr_read, in.gpr_written, in.mem_size,
			 r->source);
	if ((in.flags & r->flags_set) != r->flags_set || in.flags & r->flags_clear)
		fail_msg("%s: flags %x, want %x, not %x (%s)", r->name, in.flags, r->flags_set,
			 r->flags_clear, r->source);
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_row(&rows[i]);
}

/* Every proper prefix of an instruction is DECODE_SHORT, and what follows it does not matter. */
static void test_short(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *r = &rows[i];
		uint8_t buf[32];
		struct insn a, b;

		if (r->result != DECODE_OK)
			continue;
		for (unsigned n = 0; n < r->len; n++) {
			enum decode_result res = insn_decode(r->bytes, n, r->bits, &a);

			if (res != DECODE_SHORT || a.len != n)
				fail_msg("%s cut to %u: result %d, length %u", r->name, n, res,
					 a.len);
		}
		memset(buf, 0xff, sizeof(buf));
		memcpy(buf, r->bytes, r->len);
		assert_int_equal(insn_decode(r->bytes, r->len, r->bits, &a), DECODE_OK);
		assert_int_equal(insn_decode(buf, sizeof(buf), r->bits, &b), DECODE_OK);
		assert_memory_equal(&a, &b, sizeof(a));
	}
}

/* Fields a re-encoder needs. */
static void test_fields(void **state)
{
	static const uint8_t vex[] = {0xc4, 0x62, 0x7d, 0x18, 0x44, 0x8d, 0x10};
	static const uint8_t far[] = {0x9a, 0x78, 0x56, 0x34, 0x12, 0xcd, 0xab};
	static const uint8_t imul[] = {0x66, 0x69, 0x84, 0x51, 0, 1, 0, 0, 0xfe, 0xff};
	static const uint8_t seg[] = {0x64, 0x3e, 0x8b, 0x45, 0x00};
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode(vex, sizeof(vex), 64, &in), DECODE_OK);
	assert_int_equal(in.enc, ENC_VEX);
	assert_int_equal(in.map, MAP_0F38);
	assert_int_equal(in.pp, 1);
	assert_int_equal(in.reg, 8);
	assert_int_equal(in.vvvv, NOR);
	assert_int_equal(in.off_opcode, 3);
	assert_int_equal(in.off_modrm, 4);
	assert_int_equal(in.off_disp, 6);
	assert_int_equal(in.disp_len, 1);
	assert_int_equal(in.base, X86_RBP);
	assert_int_equal(in.index, X86_RCX);
	assert_int_equal(in.scale, 2);
	assert_int_equal(in.seg, X86_SS);
	assert_int_equal(in.vec_written, 1 << 8);
	assert_int_equal(in.feature, X86_FEAT_AVX);

	assert_int_equal(insn_decode(far, sizeof(far), 32, &in), DECODE_OK);
	assert_int_equal(in.imm, 0x12345678);
	assert_int_equal(in.imm2, 0xabcd);
	assert_int_equal(in.imm_len, 6);
	assert_int_equal(in.off_imm, 1);

	assert_int_equal(insn_decode(imul, sizeof(imul), 32, &in), DECODE_OK);
	assert_int_equal(in.imm, (uint64_t)-2);
	assert_int_equal(in.disp, 0x100);
	assert_int_equal(in.off_disp, 4);
	assert_int_equal(in.off_imm, 8);

	assert_int_equal(insn_decode(seg, sizeof(seg), 64, &in), DECODE_OK);
	assert_int_equal(in.seg, X86_FS); /* DS override is void in 64-bit mode */
	assert_int_equal(insn_decode(seg, sizeof(seg), 32, &in), DECODE_OK);
	assert_int_equal(in.seg, X86_DS);
}

/* Shift counts in the instruction: SDM vol. 2, SAL/SAR/SHL/SHR "Flags Affected". */
static void test_shift_flags(void **state)
{
	static const uint8_t shl0[] = {0xc1, 0xe0, 0x20}, shl1[] = {0xc1, 0xe0, 1},
			     shl5[] = {0xc1, 0xe0, 5}, shlcl[] = {0xd3, 0xe0},
			     rcl5[] = {0xc1, 0xd0, 5};
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode(shl0, 3, 64, &in), DECODE_OK);
	assert_int_equal(in.rflags_written | in.rflags_read, 0);
	assert_int_equal(insn_decode(shl1, 3, 64, &in), DECODE_OK);
	assert_int_equal(in.rflags_undef, X86_AF);
	assert_int_equal(in.rflags_read, 0);
	assert_int_equal(insn_decode(shl5, 3, 64, &in), DECODE_OK);
	assert_int_equal(in.rflags_undef, X86_AF | X86_OF);
	assert_int_equal(insn_decode(shlcl, 2, 64, &in), DECODE_OK);
	assert_int_equal(in.rflags_read, X86_ARITH);
	assert_int_equal(insn_decode(rcl5, 3, 64, &in), DECODE_OK);
	assert_int_equal(in.rflags_read, X86_CF | X86_OF);
}

static void test_without_lzcnt(void **state)
{
	static const uint8_t tzcnt[] = {0xf3, 0x0f, 0xbc, 0xc1},
			     popcnt[] = {0xf3, 0x0f, 0xb8, 0xc1};
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode(tzcnt, 4, 64, &in), DECODE_OK);
	assert_int_equal(in.feature, X86_FEAT_BMI1);
	assert_true(insn_without_lzcnt(&in));
	assert_int_equal(in.pp, 0);
	assert_int_equal(in.gpr_read, 3);
	assert_int_equal(in.feature, X86_FEAT_NONE);
	assert_int_equal(insn_decode(popcnt, 4, 64, &in), DECODE_OK);
	assert_false(insn_without_lzcnt(&in));
}

/* Near branches with prefix 66, as AMD's processors run them. */
static void test_as_amd(void **state)
{
	static const uint8_t jcc[] = {0x66, 0x0f, 0x84, 0xfe, 0xff, 0x12, 0x34},
			     call[] = {0x66, 0x48, 0xe8, 1, 2, 3, 4}, ret[] = {0x66, 0xc3},
			     jmp[] = {0x66, 0xff, 0x26}, push[] = {0x66, 0x50},
			     pause[] = {0xf3, 0x49, 0x90};
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode(pause, sizeof(pause), 64, &in), DECODE_OK);
	assert_int_equal(in.special, SP_PAUSE);
	assert_true(insn_as_amd(&in));
	assert_int_equal(in.special, SP_NONE);
	assert_int_equal(in.gpr_written, 1 << X86_RAX | 1 << X86_R8);
	assert_int_equal(in.len, 3);
	assert_int_equal(insn_decode(jcc, sizeof(jcc), 64, &in), DECODE_OK);
	assert_int_equal(in.len, 7);
	assert_int_equal(in.opsize, 8);
	assert_true(insn_as_amd(&in));
	assert_int_equal(in.len, 5);
	assert_int_equal(in.opsize, 2);
	assert_true(in.imm == (uint64_t)-2);
	assert_int_equal(in.bytes[5] | in.bytes[6], 0);
	assert_int_equal(insn_decode(jcc, sizeof(jcc), 32, &in), DECODE_OK);
	assert_false(insn_as_amd(&in));
	assert_int_equal(insn_decode(call, sizeof(call), 64, &in), DECODE_OK);
	assert_false(insn_as_amd(&in)); /* REX.W: __tls_get_addr() is called so */
	assert_int_equal(in.opsize, 8);
	assert_int_equal(insn_decode(ret, sizeof(ret), 64, &in), DECODE_OK);
	assert_true(insn_as_amd(&in));
	assert_int_equal(in.opsize, 2);
	assert_int_equal(insn_decode(jmp, sizeof(jmp), 64, &in), DECODE_OK);
	assert_true(insn_as_amd(&in));
	assert_int_equal(in.mem_size, 2);
	assert_int_equal(insn_decode(push, sizeof(push), 64, &in), DECODE_OK);
	assert_false(insn_as_amd(&in));
}

/* insn_format() keeps within any buffer. */
static void test_format(void **state)
{
	static const uint8_t add[] = {0x48, 0x03, 0x44, 0x8b, 0x10};
	char buf[64];
	struct insn in;

	(void)state;
	assert_int_equal(insn_decode(add, sizeof(add), 64, &in), DECODE_OK);
	for (size_t n = 0; n < sizeof(buf); n++) {
		memset(buf, 0x7e, sizeof(buf));
		insn_format(&in, 0x1000, buf, n);
		for (size_t i = n; i < sizeof(buf); i++)
			assert_int_equal(buf[i], 0x7e);
	}
	insn_format(&in, 0x1000, buf, sizeof(buf));
	assert_true(strlen(buf) > 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),          cmocka_unit_test(test_short),
		cmocka_unit_test(test_fields),        cmocka_unit_test(test_shift_flags),
		cmocka_unit_test(test_without_lzcnt), cmocka_unit_test(test_format),
		cmocka_unit_test(test_as_amd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
