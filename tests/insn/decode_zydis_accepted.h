/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where our decoder and Zydis 4.0 may differ, with the reason. A row takes the named fields off the
 * list of differences of an instruction with that mnemonic (or any) for which `when` holds.
 * Included by decode_zydis.c only.
 */
#ifndef TESTS_INSN_DECODE_ZYDIS_ACCEPTED_H
#define TESTS_INSN_DECODE_ZYDIS_ACCEPTED_H

#define ANY_MNEMONIC (-1)

struct accepted {
	uint32_t fields; /* D_ bits */
	int mnemonic;
	bool (*when)(const struct pair *p);
	const char *reason;
};

/* The feature an instruction of this Zydis ISA set needs. */
static unsigned feature_of(const struct pair *p)
{
	switch (p->z.mnemonic) { /* CPUID bits for what Zydis names by processor generation */
	case ZYDIS_MNEMONIC_CMPXCHG8B: return X86_FEAT_CX8;
	case ZYDIS_MNEMONIC_FCOMI:
	case ZYDIS_MNEMONIC_FCOMIP:
	case ZYDIS_MNEMONIC_FUCOMI:
	case ZYDIS_MNEMONIC_FUCOMIP: return X86_FEAT_CMOV;
	case ZYDIS_MNEMONIC_LAHF:
	case ZYDIS_MNEMONIC_SAHF: return p->bits == 64 ? X86_FEAT_LAHF64 : X86_FEAT_NONE;
	case ZYDIS_MNEMONIC_RDMSR:
	case ZYDIS_MNEMONIC_WRMSR: return X86_FEAT_MSR;
	case ZYDIS_MNEMONIC_RDTSC: return X86_FEAT_TSC;
	case ZYDIS_MNEMONIC_SYSENTER:
	case ZYDIS_MNEMONIC_SYSEXIT: return X86_FEAT_SEP;
	case ZYDIS_MNEMONIC_SYSCALL:
	case ZYDIS_MNEMONIC_SYSRET: return X86_FEAT_SYSCALL;
	case ZYDIS_MNEMONIC_SWAPGS: return X86_FEAT_LM;
	/* the MMX instructions that came with SSE (SDM vol. 1, 10.4.4) */
	case ZYDIS_MNEMONIC_MASKMOVQ:
	case ZYDIS_MNEMONIC_MOVNTQ:
	case ZYDIS_MNEMONIC_PAVGB:
	case ZYDIS_MNEMONIC_PAVGW:
	case ZYDIS_MNEMONIC_PEXTRW:
	case ZYDIS_MNEMONIC_PINSRW:
	case ZYDIS_MNEMONIC_PMAXSW:
	case ZYDIS_MNEMONIC_PMAXUB:
	case ZYDIS_MNEMONIC_PMINSW:
	case ZYDIS_MNEMONIC_PMINUB:
	case ZYDIS_MNEMONIC_PMULHUW:
	case ZYDIS_MNEMONIC_PSADBW:
	case ZYDIS_MNEMONIC_PSHUFW:
		if (p->z.meta.isa_set == ZYDIS_ISA_SET_PENTIUMMMX)
			return X86_FEAT_SSE;
		break;
	default: break;
	}
	switch (p->z.meta.isa_set) {
	case ZYDIS_ISA_SET_ADOX_ADCX: return X86_FEAT_ADX;
	case ZYDIS_ISA_SET_AES:
	case ZYDIS_ISA_SET_AVXAES: return X86_FEAT_AES;
	case ZYDIS_ISA_SET_AMD: /* syscall, sysret */ return X86_FEAT_SYSCALL;
	case ZYDIS_ISA_SET_AVX: return X86_FEAT_AVX;
	case ZYDIS_ISA_SET_AVX2:
	case ZYDIS_ISA_SET_AVX2GATHER: return X86_FEAT_AVX2;
	case ZYDIS_ISA_SET_AVX_GFNI:
	case ZYDIS_ISA_SET_GFNI: return X86_FEAT_GFNI;
	case ZYDIS_ISA_SET_BMI1: return X86_FEAT_BMI1;
	case ZYDIS_ISA_SET_BMI2: return X86_FEAT_BMI2;
	case ZYDIS_ISA_SET_CLFLUSHOPT: return X86_FEAT_CLFLUSHOPT;
	case ZYDIS_ISA_SET_CLFSH: return X86_FEAT_CLFSH;
	case ZYDIS_ISA_SET_CLWB: return X86_FEAT_CLWB;
	case ZYDIS_ISA_SET_CMOV:
	case ZYDIS_ISA_SET_FCMOV: return X86_FEAT_CMOV;
	case ZYDIS_ISA_SET_CMPXCHG16B: return X86_FEAT_CX16;
	case ZYDIS_ISA_SET_F16C: return X86_FEAT_F16C;
	case ZYDIS_ISA_SET_FMA: return X86_FEAT_FMA;
	case ZYDIS_ISA_SET_FXSAVE:
	case ZYDIS_ISA_SET_FXSAVE64: return X86_FEAT_FXSR;
	case ZYDIS_ISA_SET_INVPCID: return X86_FEAT_INVPCID;
	case ZYDIS_ISA_SET_LZCNT: return X86_FEAT_LZCNT;
	case ZYDIS_ISA_SET_MONITOR: return X86_FEAT_MONITOR;
	case ZYDIS_ISA_SET_MOVBE: return X86_FEAT_MOVBE;
	case ZYDIS_ISA_SET_PCLMULQDQ: return X86_FEAT_PCLMUL;
	case ZYDIS_ISA_SET_PENTIUMMMX: return X86_FEAT_MMX;
	case ZYDIS_ISA_SET_POPCNT: return X86_FEAT_POPCNT;
	case ZYDIS_ISA_SET_RDPID: return X86_FEAT_RDPID;
	case ZYDIS_ISA_SET_RDRAND: return X86_FEAT_RDRAND;
	case ZYDIS_ISA_SET_RDSEED: return X86_FEAT_RDSEED;
	case ZYDIS_ISA_SET_RDTSCP: return X86_FEAT_RDTSCP;
	case ZYDIS_ISA_SET_RDWRFSGS: return X86_FEAT_FSGSBASE;
	case ZYDIS_ISA_SET_RTM: return X86_FEAT_NEVER;
	case ZYDIS_ISA_SET_SERIALIZE: return X86_FEAT_SERIALIZE;
	case ZYDIS_ISA_SET_SHA: return X86_FEAT_SHA;
	case ZYDIS_ISA_SET_SMAP: return X86_FEAT_SMAP;
	case ZYDIS_ISA_SET_SSE:
	case ZYDIS_ISA_SET_SSEMXCSR: return X86_FEAT_SSE;
	case ZYDIS_ISA_SET_SSE2:
	case ZYDIS_ISA_SET_SSE2MMX: return X86_FEAT_SSE2;
	case ZYDIS_ISA_SET_SSE3:
	case ZYDIS_ISA_SET_SSE3X87: return X86_FEAT_SSE3;
	case ZYDIS_ISA_SET_SSE4: return X86_FEAT_SSE41;
	case ZYDIS_ISA_SET_SSE42: return X86_FEAT_SSE42;
	case ZYDIS_ISA_SET_SSSE3:
	case ZYDIS_ISA_SET_SSSE3MMX: return X86_FEAT_SSSE3;
	case ZYDIS_ISA_SET_VAES: return X86_FEAT_VAES;
	case ZYDIS_ISA_SET_VPCLMULQDQ: return X86_FEAT_VPCLMUL;
	case ZYDIS_ISA_SET_X87: return X86_FEAT_FPU;
	case ZYDIS_ISA_SET_XSAVE: return X86_FEAT_XSAVE;
	case ZYDIS_ISA_SET_XSAVEC: return X86_FEAT_XSAVEC;
	case ZYDIS_ISA_SET_XSAVEOPT: return X86_FEAT_XSAVEOPT;
	case ZYDIS_ISA_SET_XSAVES: return X86_FEAT_XSAVES;
	default: return X86_FEAT_NONE; /* I86 .. PPRO, LONGMODE, hints */
	}
}

static bool not_offered(const struct pair *p)
{
	return p->res == DECODE_INVALID;
}

/* Instruction sets outside ours: #UD. */
static bool foreign_set(const struct pair *p)
{
	switch (p->z.meta.isa_ext) {
	case ZYDIS_ISA_EXT_AMD3DNOW:
	case ZYDIS_ISA_EXT_AMD3DNOW_PREFETCH:
	case ZYDIS_ISA_EXT_AMD_INVLPGB:
	case ZYDIS_ISA_EXT_AMX_BF16:
	case ZYDIS_ISA_EXT_AMX_INT8:
	case ZYDIS_ISA_EXT_AMX_TILE:
	case ZYDIS_ISA_EXT_AVX_VNNI:
	case ZYDIS_ISA_EXT_CET:
	case ZYDIS_ISA_EXT_CLZERO:
	case ZYDIS_ISA_EXT_ENQCMD:
	case ZYDIS_ISA_EXT_FMA4:
	case ZYDIS_ISA_EXT_HRESET:
	case ZYDIS_ISA_EXT_KEYLOCKER:
	case ZYDIS_ISA_EXT_KEYLOCKER_WIDE:
	case ZYDIS_ISA_EXT_KNC:
	case ZYDIS_ISA_EXT_KNCE:
	case ZYDIS_ISA_EXT_KNCV:
	case ZYDIS_ISA_EXT_MCOMMIT:
	case ZYDIS_ISA_EXT_MONITORX:
	case ZYDIS_ISA_EXT_MOVDIR:
	case ZYDIS_ISA_EXT_PADLOCK:
	case ZYDIS_ISA_EXT_PCONFIG:
	case ZYDIS_ISA_EXT_PKU:
	case ZYDIS_ISA_EXT_PT:
	case ZYDIS_ISA_EXT_RDPRU:
	case ZYDIS_ISA_EXT_SGX:
	case ZYDIS_ISA_EXT_SGX_ENCLV:
	case ZYDIS_ISA_EXT_SMX:
	case ZYDIS_ISA_EXT_SNP:
	case ZYDIS_ISA_EXT_SSE4A:
	case ZYDIS_ISA_EXT_SVM:
	case ZYDIS_ISA_EXT_TBM:
	case ZYDIS_ISA_EXT_TDX:
	case ZYDIS_ISA_EXT_TSX_LDTRK:
	case ZYDIS_ISA_EXT_UINTR:
	case ZYDIS_ISA_EXT_VMFUNC:
	case ZYDIS_ISA_EXT_VTX:
	case ZYDIS_ISA_EXT_WAITPKG:
	case ZYDIS_ISA_EXT_XOP: return not_offered(p);
	default: return false;
	}
}

static bool avx512(const struct pair *p)
{
	return not_offered(p) && (p->z.encoding == ZYDIS_INSTRUCTION_ENCODING_EVEX ||
				  p->z.encoding == ZYDIS_INSTRUCTION_ENCODING_MVEX ||
				  p->z.encoding == ZYDIS_INSTRUCTION_ENCODING_XOP ||
				  p->z.meta.isa_ext == ZYDIS_ISA_EXT_AVX512VEX);
}

/* SDM vol. 2, table 2-5, note on SIB base 101 with mod 00: no base whatever REX.B. Zydis adds R13D
 * when 67 makes addresses 32 bits wide. */
static bool sib_no_base_67(const struct pair *p)
{
	return p->res == DECODE_OK && p->bits == 64 && p->in.addrsize == 4 &&
	       p->in.base == INSN_NO_REG && (p->z.raw.sib.base == 5) && p->z.raw.modrm.mod == 0 &&
	       p->mem.mem.base == ZYDIS_REGISTER_R13D;
}

static bool shift(const struct pair *p)
{
	ZydisInstructionCategory c = p->z.meta.category;

	return p->res == DECODE_OK && (c == ZYDIS_CATEGORY_SHIFT || c == ZYDIS_CATEGORY_ROTATE);
}

/* Arithmetic flags and DF agree, the difference is in system flags. */
static bool only_system_flags(const struct pair *p)
{
	static const ZydisAccessedFlags none;
	const ZydisAccessedFlags *f = p->z.cpu_flags ? p->z.cpu_flags : &none;
	const uint32_t mask = X86_ARITH | X86_DF;
	uint32_t written = f->modified | f->set_0 | f->set_1 | f->undefined;

	return p->res == DECODE_OK && p->in.special != SP_NONE &&
	       !((f->tested ^ p->in.rflags_read) & mask) &&
	       !((written ^ p->in.rflags_written) & mask);
}

/* We read more: undefined flags that survive. */
static bool undefined_survive(const struct pair *p)
{
	uint32_t tested = p->z.cpu_flags ? p->z.cpu_flags->tested : 0;

	return p->res == DECODE_OK && !(tested & ~p->in.rflags_read) &&
	       !(p->in.rflags_read & ~tested & ~p->in.rflags_undef);
}

static bool pushes_flags(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.rflags_read & X86_IF;
}

static bool string_op(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.special >= SP_MOVS && p->in.special <= SP_OUTS;
}

static bool rep_string(const struct pair *p)
{
	return string_op(p) && p->in.flags & (INSN_REP | INSN_REPNE);
}

static bool interrupt(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.special >= SP_INT3 && p->in.special <= SP_INT1;
}

static bool no_access(const struct pair *p)
{
	return p->res == DECODE_OK &&
	       (p->in.special == SP_NOP_MEM || p->in.special == SP_UD ||
		p->in.special == SP_INVLPG) &&
	       !(p->in.flags & INSN_MEM);
}

static bool cache_line(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.special == SP_CLFLUSH;
}

static bool never(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.feature == X86_FEAT_NEVER;
}

static bool hint(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.special == SP_NOP_MEM;
}

/* Legacy SSE that writes part of an XMM register: the rest is kept, so we count a read. */
static bool sse_merge(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.flags & INSN_SSE && p->in.vec_written == p->vec_w &&
	       p->in.vec_read == (p->vec_r | p->vec_w);
}

static bool vzero(const struct pair *p)
{
	return p->z.mnemonic == ZYDIS_MNEMONIC_VZEROALL ||
	       p->z.mnemonic == ZYDIS_MNEMONIC_VZEROUPPER;
}

static bool not_gp0(const struct pair *p)
{
	return p->res == DECODE_OK && (p->in.special == SP_CLAC || p->in.special == SP_STAC ||
				       p->in.special == SP_MONITOR || p->in.special == SP_MWAIT);
}

static bool bit_offset(const struct pair *p)
{
	return p->res == DECODE_OK && p->in.special == SP_BT_MEM;
}

/* clang-format off */
static const struct accepted accepted[] = {
	{D_VALID, ANY_MNEMONIC, foreign_set, "instruction sets no model offers: #UD"},
	{D_VALID, ANY_MNEMONIC, avx512, "EVEX, opmask and XOP encodings: #UD, not offered"},
	{D_VALID, ZYDIS_MNEMONIC_FEMMS, not_offered, "3DNow!"},
	{D_EA | D_GPR_R, ANY_MNEMONIC, sib_no_base_67, "Zydis: base R13D invented for SIB without base after 67"},
	{D_FLAGS, ANY_MNEMONIC, shift, "we know the count: zero writes nothing, one defines OF; by CL flags may survive and count as read"},
	{D_FLAGS, ANY_MNEMONIC, only_system_flags, "system flags: Zydis' IOPL is one bit and it leaves out RF, VM, VIF, VIP in places"},
	{D_FLAGS, ANY_MNEMONIC, pushes_flags, "all of RFLAGS is stored (INT, SYSCALL)"},
	{D_FLAGS, ANY_MNEMONIC, rep_string, "repeated CMPS, SCAS: a count of zero keeps the flags"},
	{D_FL_R, ANY_MNEMONIC, undefined_survive, "BT, DIV: processors leave the undefined flags as they were"},
	{D_FL_U, ZYDIS_MNEMONIC_SBB, NULL, "SBB defines AF (SDM vol. 2, SBB)"},
	{D_FL_W, ZYDIS_MNEMONIC_VTESTPS, NULL, "clears OF, SF, AF, PF (SDM vol. 2, VTESTPS)"},
	{D_FL_W, ZYDIS_MNEMONIC_VPTEST, NULL, "clears OF, SF, AF, PF (SDM vol. 2, PTEST); Zydis has the 128-bit form right"},
	{D_FEATURE, ZYDIS_MNEMONIC_VPCLMULQDQ, NULL, "the 128-bit VEX form needs PCLMULQDQ and AVX; INSN_AVX stands for the latter"},
	{D_FL_W, ZYDIS_MNEMONIC_VTESTPD, NULL, "clears OF, SF, AF, PF (SDM vol. 2, VTESTPD)"},
	{D_GPR_R | D_GPR_W, ANY_MNEMONIC, string_op, "RSI and RDI move; Zydis counts them as read only in places"},
	{D_GPR_R | D_GPR_W, ANY_MNEMONIC, interrupt, "stack pointer of the frame pushed"},
	{D_MEM | D_GPR_R | D_OPSIZE, ANY_MNEMONIC, no_access, "hint NOPs, UD0, UD1, INVLPG: operands named, nothing accessed"},
	{D_FEATURE, ANY_MNEMONIC, hint, "hint space: NOP without the feature"},
	{D_MEMSIZE | D_MEMRW, ANY_MNEMONIC, cache_line, "cache line operations probe one byte as a read (SDM vol. 2, CLFLUSH)"},
	{D_ANY, ANY_MNEMONIC, never, "TSX: raises #UD, operands do not matter"},
	{D_VEC_R, ANY_MNEMONIC, sse_merge, "legacy SSE partial write"},
	{D_VEC_R | D_VEC_W, ANY_MNEMONIC, vzero, "implicit registers"},
	{D_PRIV, ANY_MNEMONIC, not_gp0, "#UD, not #GP, outside CPL 0"},
	{D_PRIV, ZYDIS_MNEMONIC_LGDT, NULL, "#GP(0) unless CPL 0 (SDM vol. 2, LGDT); Zydis has LIDT right"},
	{D_GPR_R, ZYDIS_MNEMONIC_BSF, NULL, "destination kept when the source is zero"},
	{D_GPR_R, ZYDIS_MNEMONIC_BSR, NULL, "destination kept when the source is zero"},
	{D_GPR_R, ZYDIS_MNEMONIC_POPAD, NULL, "read conservatively, as with 16-bit operands that keep the upper halves"},
	{D_OPSIZE, ZYDIS_MNEMONIC_INSD, NULL, "REX.W does not widen port I/O"},
	{D_OPSIZE, ZYDIS_MNEMONIC_OUTSD, NULL, "REX.W does not widen port I/O"},
	{D_MEMSIZE, ZYDIS_MNEMONIC_MOVSXD, NULL, "with 66 the source is r/m16 (SDM vol. 2, MOVSXD)"},
	{D_MEMSIZE, ANY_MNEMONIC, bit_offset, "BT with register offset: the operand of that size nearest the bit"},
};
/* clang-format on */

#endif
