/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID feature bits by name: one X-macro list used by the CPU models (which bit), the decoder
 * (which instruction needs what) and tests. F(name, leaf, subleaf, register, bit).
 */
#ifndef CPU_X86_FEATURES_H
#define CPU_X86_FEATURES_H

/* clang-format off */
#define X86_FEATURES(F) \
	F(FPU, 1, 0, EDX, 0)      F(VME, 1, 0, EDX, 1)     F(DE, 1, 0, EDX, 2)      F(PSE, 1, 0, EDX, 3) \
	F(TSC, 1, 0, EDX, 4)      F(MSR, 1, 0, EDX, 5)     F(PAE, 1, 0, EDX, 6)     F(MCE, 1, 0, EDX, 7) \
	F(CX8, 1, 0, EDX, 8)      F(APIC, 1, 0, EDX, 9)    F(SEP, 1, 0, EDX, 11)    F(MTRR, 1, 0, EDX, 12) \
	F(PGE, 1, 0, EDX, 13)     F(MCA, 1, 0, EDX, 14)    F(CMOV, 1, 0, EDX, 15)   F(PAT, 1, 0, EDX, 16) \
	F(PSE36, 1, 0, EDX, 17)   F(CLFSH, 1, 0, EDX, 19)  F(MMX, 1, 0, EDX, 23)    F(FXSR, 1, 0, EDX, 24) \
	F(SSE, 1, 0, EDX, 25)     F(SSE2, 1, 0, EDX, 26)   F(SS, 1, 0, EDX, 27)     F(HTT, 1, 0, EDX, 28) \
	F(SSE3, 1, 0, ECX, 0)     F(PCLMUL, 1, 0, ECX, 1)  F(MONITOR, 1, 0, ECX, 3) F(SSSE3, 1, 0, ECX, 9) \
	F(FMA, 1, 0, ECX, 12)     F(CX16, 1, 0, ECX, 13)   F(PCID, 1, 0, ECX, 17)   F(SSE41, 1, 0, ECX, 19) \
	F(SSE42, 1, 0, ECX, 20)   F(X2APIC, 1, 0, ECX, 21) F(MOVBE, 1, 0, ECX, 22)  F(POPCNT, 1, 0, ECX, 23) \
	F(TSC_DEADLINE, 1, 0, ECX, 24) F(AES, 1, 0, ECX, 25) F(XSAVE, 1, 0, ECX, 26) F(OSXSAVE, 1, 0, ECX, 27) \
	F(AVX, 1, 0, ECX, 28)     F(F16C, 1, 0, ECX, 29)   F(RDRAND, 1, 0, ECX, 30) F(HYPERVISOR, 1, 0, ECX, 31) \
	F(FSGSBASE, 7, 0, EBX, 0) F(TSC_ADJUST, 7, 0, EBX, 1) F(BMI1, 7, 0, EBX, 3) F(AVX2, 7, 0, EBX, 5) \
	F(FDP_EXCPTN, 7, 0, EBX, 6) F(SMEP, 7, 0, EBX, 7)  F(BMI2, 7, 0, EBX, 8)    F(ERMS, 7, 0, EBX, 9) \
	F(INVPCID, 7, 0, EBX, 10) F(ZERO_FCS_FDS, 7, 0, EBX, 13) F(RDSEED, 7, 0, EBX, 18) F(ADX, 7, 0, EBX, 19) \
	F(SMAP, 7, 0, EBX, 20)    F(CLFLUSHOPT, 7, 0, EBX, 23) F(CLWB, 7, 0, EBX, 24) F(SHA, 7, 0, EBX, 29) \
	F(UMIP, 7, 0, ECX, 2)     F(GFNI, 7, 0, ECX, 8)    F(VAES, 7, 0, ECX, 9)    F(VPCLMUL, 7, 0, ECX, 10) \
	F(RDPID, 7, 0, ECX, 22)   F(FSRM, 7, 0, EDX, 4)    F(MD_CLEAR, 7, 0, EDX, 10) F(SERIALIZE, 7, 0, EDX, 14) \
	F(SPEC_CTRL, 7, 0, EDX, 26) F(STIBP, 7, 0, EDX, 27) F(ARCH_CAP, 7, 0, EDX, 29) F(SSBD, 7, 0, EDX, 31) \
	F(BHI_CTRL, 7, 2, EDX, 4) F(MCDT_NO, 7, 2, EDX, 5) \
	F(TOPOEXT, 0x80000001, 0, ECX, 22) F(MMXEXT, 0x80000001, 0, EDX, 22) F(SSB_NO, 0x80000008, 0, EBX, 26) F(BTC_NO, 0x80000008, 0, EBX, 29) \
	F(LFENCE_SER, 0x80000021, 0, EAX, 2) F(NULL_BASE, 0x80000021, 0, EAX, 6) F(AUTO_IBRS, 0x80000021, 0, EAX, 8) \
	F(SRSO_NO, 0x80000021, 0, EAX, 29) F(TSA_SQ_NO, 0x80000021, 0, ECX, 1) F(TSA_L1_NO, 0x80000021, 0, ECX, 2) \
	F(XSAVEOPT, 13, 1, EAX, 0) F(XSAVEC, 13, 1, EAX, 1) F(XGETBV1, 13, 1, EAX, 2) F(XSAVES, 13, 1, EAX, 3) \
	F(SYSCALL, 0x80000001, 0, EDX, 11) F(NX, 0x80000001, 0, EDX, 20) F(PDPE1GB, 0x80000001, 0, EDX, 26) \
	F(RDTSCP, 0x80000001, 0, EDX, 27) F(LM, 0x80000001, 0, EDX, 29) F(LAHF64, 0x80000001, 0, ECX, 0) \
	F(LZCNT, 0x80000001, 0, ECX, 5) F(PREFETCHW, 0x80000001, 0, ECX, 8) \
	F(INV_TSC, 0x80000007, 0, EDX, 8) F(XSAVEERPTR, 0x80000008, 0, EBX, 2)
/* clang-format on */

enum x86_feature {
	X86_FEAT_NONE, /* always there */
#define F(name, leaf, sub, reg, bit) X86_FEAT_##name,
	X86_FEATURES(F)
#undef F
		X86_FEAT_NEVER, /* decoded (length, operands) but never offered: raises #UD */
	X86_FEAT_COUNT
};

#endif
