/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder on any bytes: first byte the mode, the rest the instruction. Checked: it depends on
 * no byte beyond those given (the input is copied to the end of an exact allocation, and decoded
 * again with other bytes behind it), every cut of a decoded instruction is DECODE_SHORT, fields
 * stay in range, the instruction alone decodes to the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "engine/decode/insn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_ranges(const struct insn *in)
{
	check(in->len >= 1 && in->len <= INSN_MAX);
	check(in->off_opcode < in->len);
	check(!in->off_modrm || (in->off_modrm > in->off_opcode && in->off_modrm < in->len));
	check(!in->disp_len || in->off_disp + in->disp_len <= in->len);
	check(!in->imm_len || in->off_imm + in->imm_len <= in->len);
	check(in->special < SP_COUNT && in->feature < X86_FEAT_COUNT);
	check(in->base == INSN_NO_REG || in->base < 16);
	check(in->index == INSN_NO_REG || in->index < 16);
	check(in->rm == INSN_NO_REG || in->rm < 16);
	check(in->reg == INSN_NO_REG || in->reg < 16);
	check(in->vvvv == INSN_NO_REG || in->vvvv < 16);
	check(in->seg < X86_SREG_COUNT && in->scale < 4);
	check(in->opsize == 1 || in->opsize == 2 || in->opsize == 4 || in->opsize == 8);
	check(in->addrsize == 2 || in->addrsize == 4 || in->addrsize == 8);
	check(!(in->flags & INSN_MEM) == !(in->flags & (INSN_MEM_READ | INSN_MEM_WRITE)));
	check(!(in->flags & INSN_MEM) || in->mem_size);
	check(!(in->rflags_undef & ~in->rflags_written));
	check(in->code_bits == 64 ||
	      !((in->gpr_read | in->gpr_written | in->gpr_explicit) & 0xff00) ||
	      in->special == SP_SYSCALL || in->special == SP_SYSRET);
	for (unsigned i = in->len; i < sizeof(in->bytes); i++)
		check(in->bytes[i] == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t modes[4] = {16, 32, 64, 64};
	struct insn a, b;
	uint8_t other[32], *exact;
	enum decode_result ra, rb;
	unsigned n, bits;
	char text[96];

	if (!size)
		return 0;
	bits = modes[data[0] & 3];
	n = (unsigned)MIN(size - 1, (size_t)24);
	exact = malloc(n ? n : 1);
	if (!exact)
		return 0;
	memcpy(exact, data + 1, n);
	ra = insn_decode(exact, n, bits, &a);
	memset(other, data[0], sizeof(other));
	memcpy(other, exact, n);
	free(exact);

	rb = insn_decode(other, n, bits, &b);
	check(ra == rb && !memcmp(&a, &b, sizeof(a)));
	check(a.len <= n);
	rb = insn_decode(other, sizeof(other), bits, &b);
	if (ra == DECODE_SHORT) {
		check(n < INSN_MAX && a.len == n);
		check(rb != DECODE_OK || b.len > n);
		return 0;
	}
	check(rb == ra && !memcmp(&a, &b, sizeof(a)));
	if (ra == DECODE_TOO_LONG)
		check(n >= INSN_MAX);
	if (ra != DECODE_OK)
		return 0;
	check_ranges(&a);
	for (unsigned i = 0; i < a.len; i++)
		check(insn_decode(other, i, bits, &b) == DECODE_SHORT);
	check(insn_decode(a.bytes, a.len, bits, &b) == DECODE_OK && !memcmp(&a, &b, sizeof(a)));
	insn_format(&a, 0, text, data[0] % sizeof(text));
	if (insn_without_lzcnt(&b) || insn_as_amd(&b))
		check_ranges(&b);
	return 0;
}
