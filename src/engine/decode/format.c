/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line of disassembly for logs and tests. With Zydis its text; without, the bytes, the special
 * handler's name and the operands' registers, which is enough to find the row.
 */
#include "engine/decode/insn.h"

#include <stdio.h>

#ifdef HAVE_ZYDIS
#include <Zydis/Zydis.h>

static bool format_zydis(const struct insn *in, uint64_t rip, char *buf, size_t size)
{
	ZydisDecodedInstruction zi;
	ZydisDecodedOperand ops[ZYDIS_MAX_OPERAND_COUNT];
	ZydisDecoder dec;
	ZydisFormatter fmt;
	ZydisMachineMode mode = in->code_bits == 64   ? ZYDIS_MACHINE_MODE_LONG_64
				: in->code_bits == 32 ? ZYDIS_MACHINE_MODE_LONG_COMPAT_32
						      : ZYDIS_MACHINE_MODE_LONG_COMPAT_16;

	if (!ZYAN_SUCCESS(ZydisDecoderInit(&dec, mode,
					   in->code_bits == 64   ? ZYDIS_STACK_WIDTH_64
					   : in->code_bits == 32 ? ZYDIS_STACK_WIDTH_32
								 : ZYDIS_STACK_WIDTH_16)))
		return false;
	if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&dec, in->bytes, in->len, &zi, ops)))
		return false;
	return ZYAN_SUCCESS(ZydisFormatterInit(&fmt, ZYDIS_FORMATTER_STYLE_INTEL)) &&
	       ZYAN_SUCCESS(ZydisFormatterFormatInstruction(
		       &fmt, &zi, ops, zi.operand_count_visible, buf, size, rip, NULL));
}
#endif

static const char *const special_names[SP_COUNT] = {
	"copy",
#define SP(name, group) #name,
#include "engine/decode/special.def"
#undef SP
};

void insn_format(const struct insn *in, uint64_t rip, char *buf, size_t size)
{
	size_t n = 0;

	if (!size)
		return;
	buf[0] = 0;
#ifdef HAVE_ZYDIS
	if (format_zydis(in, rip, buf, size))
		return;
#endif
	for (unsigned i = 0; i < in->len && n + 4 < size; i++)
		n += (size_t)snprintf(buf + n, size - n, "%02x ", in->bytes[i]);
	if (n + 1 < size)
		snprintf(buf + n, size - n, "(%s)",
			 in->special < SP_COUNT ? special_names[in->special] : "?");
}
