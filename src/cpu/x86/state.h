/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The architectural state of one x86 logical processor: the same struct for every engine, saved by
 * one field table (x86_state_desc). Pointer-free. Intel SDM vol. 1, 3.2-3.4, 8.1, 10.2, 13.4; vol.
 * 3, 2.2-2.6, 3.4, 11.4 (LAPIC).
 *
 * Invariants: a segment's hidden part is always valid (real and v8086 mode keep base = sel << 4
 * unless loaded otherwise); rflags bit 1 is set; st[] is in ST(0)..ST(7) order as in FXSAVE; ymm[i]
 * holds XMM in its low 16 bytes.
 */
#ifndef CPU_X86_STATE_H
#define CPU_X86_STATE_H

#include "state/state.h"

enum x86_gpr {
	X86_RAX,
	X86_RCX,
	X86_RDX,
	X86_RBX,
	X86_RSP,
	X86_RBP,
	X86_RSI,
	X86_RDI,
	X86_R8,
	X86_R9,
	X86_R10,
	X86_R11,
	X86_R12,
	X86_R13,
	X86_R14,
	X86_R15
};

enum x86_sreg { X86_ES, X86_CS, X86_SS, X86_DS, X86_FS, X86_GS, X86_SREG_COUNT };

/* Segment attributes: descriptor bits 8-15 in bits 0-7 (type, S, DPL, P), bits 20-23 (AVL, L, D/B,
 * G) in bits 12-15; bit 16 = unusable (null selector loaded). SDM vol. 3, 3.4.5 (the VMX
 * access-rights layout, 25.4.1). */
enum {
	X86_ATTR_TYPE = 0x000f,
	X86_ATTR_S = 0x0010,
	X86_ATTR_DPL_SHIFT = 5,
	X86_ATTR_DPL = 0x0060,
	X86_ATTR_P = 0x0080,
	X86_ATTR_AVL = 0x1000,
	X86_ATTR_L = 0x2000,
	X86_ATTR_DB = 0x4000,
	X86_ATTR_G = 0x8000,
	X86_ATTR_NULL = 0x10000,
};

struct x86_seg {
	uint64_t base;
	uint32_t limit; /* bytes, already scaled by G; inclusive */
	uint32_t attr;
	uint16_t sel;
	uint8_t pad_[6];
};

struct x86_dtable {
	uint64_t base;
	uint16_t limit;
	uint8_t pad_[6];
};

/* RFLAGS */
enum {
	X86_CF = 1u << 0,
	X86_PF = 1u << 2,
	X86_AF = 1u << 4,
	X86_ZF = 1u << 6,
	X86_SF = 1u << 7,
	X86_TF = 1u << 8,
	X86_IF = 1u << 9,
	X86_DF = 1u << 10,
	X86_OF = 1u << 11,
	X86_IOPL = 3u << 12,
	X86_IOPL_SHIFT = 12,
	X86_NT = 1u << 14,
	X86_RF = 1u << 16,
	X86_VM = 1u << 17,
	X86_AC = 1u << 18,
	X86_VIF = 1u << 19,
	X86_VIP = 1u << 20,
	X86_ID = 1u << 21,
	X86_ARITH = X86_CF | X86_PF | X86_AF | X86_ZF | X86_SF | X86_OF,
};

/* CR0, CR4, EFER */
enum {
	X86_CR0_PE = 1u << 0,
	X86_CR0_MP = 1u << 1,
	X86_CR0_EM = 1u << 2,
	X86_CR0_TS = 1u << 3,
	X86_CR0_ET = 1u << 4,
	X86_CR0_NE = 1u << 5,
	X86_CR0_WP = 1u << 16,
	X86_CR0_AM = 1u << 18,
	X86_CR0_NW = 1u << 29,
	X86_CR0_CD = 1u << 30,
	X86_CR0_PG = 1u << 31,
};
enum {
	X86_CR4_VME = 1u << 0,
	X86_CR4_PVI = 1u << 1,
	X86_CR4_TSD = 1u << 2,
	X86_CR4_DE = 1u << 3,
	X86_CR4_PSE = 1u << 4,
	X86_CR4_PAE = 1u << 5,
	X86_CR4_MCE = 1u << 6,
	X86_CR4_PGE = 1u << 7,
	X86_CR4_PCE = 1u << 8,
	X86_CR4_OSFXSR = 1u << 9,
	X86_CR4_OSXMMEXCPT = 1u << 10,
	X86_CR4_UMIP = 1u << 11,
	X86_CR4_FSGSBASE = 1u << 16,
	X86_CR4_PCIDE = 1u << 17,
	X86_CR4_OSXSAVE = 1u << 18,
	X86_CR4_SMEP = 1u << 20,
	X86_CR4_SMAP = 1u << 21,
};
enum {
	X86_EFER_SCE = 1u << 0,
	X86_EFER_LME = 1u << 8,
	X86_EFER_LMA = 1u << 10,
	X86_EFER_NXE = 1u << 11,
	X86_EFER_AIBRSE = 1u << 21, /* AMD: automatic IBRS */
};

/* Activity: SDM vol. 3, 25.4.2; WAIT_SIPI after INIT on an application processor. */
enum x86_activity { X86_ACT_RUN, X86_ACT_HALT, X86_ACT_WAIT_SIPI, X86_ACT_SHUTDOWN, X86_ACT_COUNT };

/* interruptibility, bits of x86_state.shadow */
enum { X86_SHADOW_STI = 1, X86_SHADOW_MOVSS = 2, X86_SHADOW_NMI = 4 /* NMIs blocked until IRET */ };

/* system management mode, bits of x86_state.smm */
enum { X86_SMM_IN = 1, X86_SMM_NMI = 2 /* NMIs were blocked before the SMI already */ };

/* x87 and SIMD. ftw is the abridged tag byte of FXSAVE (1 = valid). SDM vol. 1, 10.5.1. */
struct x86_fpu {
	uint16_t fcw, fsw;
	uint8_t ftw, pad_;
	uint16_t fop;
	uint64_t fip, fdp;
	uint16_t fcs, fds;
	uint32_t mxcsr;
	uint8_t st[8][16]; /* 80-bit values, upper 6 bytes zero */
	uint8_t ymm[16][32];
};

struct x86_mtrr {
	uint64_t base, mask;
};

/* Local APIC registers, SDM vol. 3, table 11-1. Times are guest ns. */
struct x86_lapic {
	uint64_t base; /* IA32_APIC_BASE */
	uint32_t id;   /* xAPIC: bits 31:24 as read at 020h; x2APIC: the full id */
	uint32_t tpr, ldr, dfr, svr, esr, esr_pending;
	uint32_t isr[8], tmr[8], irr[8];
	uint32_t icr_lo, icr_hi;
	uint32_t lvt_timer, lvt_thermal, lvt_perf, lvt_lint0, lvt_lint1, lvt_error, lvt_cmci;
	uint32_t timer_icr, timer_dcr;
	uint32_t lint0_level; /* 1 while the PIC drives LINT0 */
	uint8_t pad_[4];
	uint64_t timer_start;  /* guest ns when the count was loaded */
	uint64_t tsc_deadline; /* guest TSC; 0 = disarmed */
};

/* The port access that an SMI came with; trap 0: none. Until the SMI is taken, at once. */
struct x86_io_smi {
	uint64_t rip, next, rcx, rsi, rdi;
	uint32_t trap; /* as in the save area (smm.c) */
	uint8_t pad_[4];
};

struct x86_state {
	uint64_t gpr[16];
	uint64_t rip;
	uint64_t rflags;
	struct x86_seg seg[X86_SREG_COUNT];
	struct x86_seg ldtr, tr;
	struct x86_dtable gdtr, idtr;
	uint64_t cr0, cr2, cr3, cr4;
	uint64_t xcr0;
	uint64_t dr[4], dr6, dr7;
	uint64_t pdpte[4]; /* PAE: loaded by MOV CR3, SDM vol. 3, 4.4.1 */

	/* MSRs */
	uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
	uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
	uint64_t tsc_adjust, tsc_aux, pat, misc_enable, spec_ctrl, xss, mcg_status;
	uint64_t feature_control, bios_sign_id;
	uint64_t mtrr_def_type, mtrr_fixed[11];
	struct x86_mtrr mtrr_var[8];

	struct x86_fpu fpu;
	struct x86_lapic lapic;

	/* Between instructions */
	uint8_t activity;     /* enum x86_activity */
	uint8_t shadow;       /* X86_SHADOW_ bits */
	uint8_t nmi_pending;  /* 0, 1 */
	uint8_t init_pending; /* 0, 1 */
	uint8_t sipi_pending; /* 0, 1 */
	uint8_t sipi_vector;
	uint8_t intr_line;      /* level of the PIC's INTR pin */
	uint8_t a20_masked;     /* 1 = A20 gate closed (copy of the platform's) */
	uint32_t pending_dbg;   /* DR6 bits of a trap #DB to raise before the next instruction */
	uint8_t extint_pending; /* 0, 1: an ExtINT message asks for an INTA cycle at the PIC */
	uint8_t smi_pending;    /* 0, 1 */
	uint8_t smm;            /* X86_SMM_ bits */
	uint8_t pad_;
	uint32_t smbase; /* where SMIs save the state and start: SDM vol. 3, 32.4 */
	uint8_t pad2_[4];
	struct x86_io_smi io_smi;
};

extern const struct state_desc x86_state_desc;

/** x86_state_reset() - power-on or INIT values, SDM vol. 3, table 10-1
 * @bsp: bootstrap processor (APIC_BASE.BSP, running); others wait for SIPI. @apic_id: initial id.
 * @init: INIT instead of RESET: FPU, SIMD, MTRRs, most MSRs and the TSC are kept. */
void x86_state_reset(struct x86_state *s, bool bsp, uint32_t apic_id, bool init);

/** x86_state_check() - the part of it about control registers, bases and segments. */
int x86_state_check(const struct x86_state *s, struct error *err) MUST_CHECK;
/** x86_state_loaded() - cross-check a loaded state (reserved bits, canonical bases, modes that
 * cannot be); 0 or -EINVAL with the field named. */
int x86_state_loaded(struct x86_state *s, struct error *err) MUST_CHECK;

#endif
