/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IN and OUT. Intel SDM vol. 2, IN, OUT; vol. 1, 19.5 (permissions).
 */
#include "engine/special/special.h"

/* E4-E7 name the port in an immediate byte, EC-EF in DX. */
static uint16_t port_of(const struct vcpu *v, const struct insn *in)
{
	return in->opcode & 8 ? (uint16_t)v->s.gpr[X86_RDX] : (uint8_t)in->imm;
}

int sp_IN(struct vcpu *v, const struct insn *in)
{
	unsigned size = in->opsize > 4 ? 4 : in->opsize;
	uint16_t port = port_of(v, in);

	if (x86_io_allowed(v, port, size))
		return X86_FAULT;
	v->count.pio++;
	x86_side_effect(v);
	gpr_set(v, in, X86_RAX, size, bus_pio_read(v->bus, port, size));
	x86_io_done(v, port, size, X86_IO_IN);
	return X86_OK;
}

int sp_OUT(struct vcpu *v, const struct insn *in)
{
	unsigned size = in->opsize > 4 ? 4 : in->opsize;
	uint16_t port = port_of(v, in);

	if (x86_io_allowed(v, port, size))
		return X86_FAULT;
	v->count.pio++;
	x86_side_effect(v);
	bus_pio_write(v->bus, port, size, (uint32_t)gpr_get(v, in, X86_RAX, size));
	x86_io_done(v, port, size, 0);
	return X86_OK;
}
