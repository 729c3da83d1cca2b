/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the host CPU may end otherwise than an engine does (diff.h): what is undefined or left to
 * processors, and on which AMD's do otherwise than Intel's, which engines take after. Nothing of
 * this is said of hosts of Intel's. Seen on Zen 4 (family 25, model 17); "APM" is AMD's manual,
 * vol. 3 where nothing else is said.
 */
#include <cpuid.h>

#include "base/bits.h"
#include "diff.h"

static bool host_is_amd(void)
{
	static uint32_t b; /* CPUID takes long under a hypervisor */
	uint32_t a, c, d;

	if (!b)
		__cpuid(0, a, b, c, d);
	return b == 0x68747541 || b == 0x6f677948; /* "Auth", "Hygo" */
}

static bool host_has_serialize(void)
{
	uint32_t a, b, c, d;

	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && d & 1u << 14;
}

static bool faults(const struct native_case *c, unsigned vector)
{
	return c->stop == NATIVE_FAULT && c->vector == vector;
}

bool diff_host_unlike(const struct insn *in, const struct native_case *nat,
		      const struct native_case *eng)
{
	if (!host_is_amd())
		return false;
	/* the guest's processor has no misaligned exception mask (MXCSR.MM) */
	if (nat->stop == NATIVE_TRAP && faults(eng, 13) &&
	    ld_le32(nat->state.xsave + 24) & 1u << 17)
		return true;
	switch (in->special) {
	/* VCVTPS2PH: alignment is checked before the conversion is done */
	case SP_NONE:
		return in->enc == ENC_VEX && in->map == MAP_0F3A && in->opcode == 0x1d &&
		       faults(nat, 17) && faults(eng, 19);
	/* elements have their limits and pages looked at by turns */
	case SP_VMASKMOV: return faults(nat, 14) && (faults(eng, 13) || faults(eng, 12));
	/* #UD by the manual; hypervisors that look at #UD themselves (KVM) make it #GP */
	case SP_SYSEXIT: return faults(nat, 13) && faults(eng, 6);
	/* another prefix of repetition stands for the opcode's condition */
	case SP_LOOP: return in->opcode != 0xe2 && in->prefixes & (PFX_F2 | PFX_F3);
	/* of the models on all hosts, no host instruction is needed */
	case SP_SERIALIZE: return faults(nat, 6) && !host_has_serialize();
	/* the bytes after the opcode are not looked at, so they need not be there */
	case SP_UD: return faults(nat, 6) && faults(eng, 14);
	/* both limits are read before the first is compared */
	case SP_BOUND: return faults(nat, 14) && faults(eng, 5);
	/* the stack is looked at as far as the operand says before the selector is; RIP must be
	 * canonical with REX.W, whatever CS is, and comes first */
	case SP_RETF:
		return (faults(nat, 14) && faults(eng, 13)) ||
		       (faults(nat, 13) && !nat->error && in->opsize == 8);
	case SP_IRET: return faults(nat, 13) && !nat->error;
	/* misaligned and, off RSP, not canonical */
	case SP_FXSAVE:
	case SP_FXRSTOR:
	case SP_XSAVE:
	case SP_XSAVEC:
	case SP_XRSTOR: return faults(nat, 13) && faults(eng, 12);
	/* repeated, either operand may be read first */
	case SP_CMPS:
		return in->flags & (INSN_REP | INSN_REPNE) && faults(nat, 14) && faults(eng, 14);
	default: return false;
	}
}

/* MXCSR_MASK in an image: without the bit of the misaligned exception mask. */
static void clear_mm(const struct native_case *nat, struct native_case *eng)
{
	for (unsigned i = 12; i + 4 <= NATIVE_MEM_SIZE; i += 16)
		if (ld_le32(nat->mem + i) == 0x2ffff && ld_le32(eng->mem + i) == 0xffff)
			st_le32(eng->mem + i, 0x2ffff);
}

/* What is undefined is as the host has it. */
static void take_flags(const struct native_case *nat, struct native_case *eng, uint64_t flags)
{
	eng->state.rflags = (eng->state.rflags & ~flags) | (nat->state.rflags & flags);
}

void diff_host_adjust(const struct insn *in, const struct native_case *nat, struct native_case *eng)
{
	if (!host_is_amd())
		return;
	switch (in->special) {
	case SP_CMPS:
	case SP_SCAS: /* after a fault: Intel's put back the flags from before (SDM vol. 2, REP) */
		if (nat->stop == NATIVE_FAULT && in->flags & (INSN_REP | INSN_REPNE))
			take_flags(nat, eng, X86_ARITH);
		break;
	case SP_FXSAVE:
	case SP_XSAVE:
	case SP_XSAVEC: clear_mm(nat, eng); break;
	default: break;
	}
}
