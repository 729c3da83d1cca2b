/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segmentation and control transfers: segment loads, limit checks, far jumps, calls, returns,
 * gates, task switches, interrupt and exception delivery, IRET, SYSCALL/SYSENTER. Intel SDM vol. 3,
 * chapters 5, 6, 8 and 21; vol. 2 operation sections. All functions: vCPU thread; return X86_OK or
 * X86_FAULT.
 */
#ifndef CPU_X86_SEG_H
#define CPU_X86_SEG_H

#include "cpu/x86/mmu.h"

/**
 * x86_seg_lin() - segment:offset to linear address with limit, type and canonical checks
 * @off: effective address already truncated to the address size. @size: bytes (1..576).
 * @access: X86_ACC_READ or WRITE. Faults: #GP(0), or #SS(0) for SS. SDM vol. 3, 5.3.
 */
int x86_seg_lin(struct vcpu *v, enum x86_sreg seg, uint64_t off, unsigned size, unsigned access,
		gva_t *ret_lin) MUST_CHECK;

/** x86_load_seg() - MOV/POP/LxS to ES, SS, DS, FS, GS with all checks. CS is not allowed. */
int x86_load_seg(struct vcpu *v, enum x86_sreg seg, uint16_t sel) MUST_CHECK;
/** x86_lldt/x86_ltr() - load LDTR and TR with all checks; CPL was checked by the caller. */
int x86_lldt(struct vcpu *v, uint16_t sel) MUST_CHECK;
int x86_ltr(struct vcpu *v, uint16_t sel) MUST_CHECK;
/**
 * x86_sel_access() - LAR, LSL, VERR, VERW: may this selector be used here?
 * @what: 'a' LAR, 'l' LSL, 'r' VERR, 'w' VERW. @ret_ok: ZF. @ret_val: LAR: descriptor bits 8-23 in
 * place, LSL: byte limit; untouched when not ok. Faults only with #PF.
 */
int x86_sel_access(struct vcpu *v, uint16_t sel, char what, bool *ret_ok,
		   uint32_t *ret_val) MUST_CHECK;
/** x86_load_seg_real() - real/v8086 load: selector and base only. */
void x86_load_seg_real(struct vcpu *v, enum x86_sreg seg, uint16_t sel);

/* Far transfers; opsize is the operand size in bytes (2, 4, 8). They set next_rip. */
int x86_far_jmp(struct vcpu *v, uint16_t sel, uint64_t off, unsigned opsize) MUST_CHECK;
int x86_far_call(struct vcpu *v, uint16_t sel, uint64_t off, unsigned opsize) MUST_CHECK;
int x86_far_ret(struct vcpu *v, unsigned opsize, uint16_t pop_bytes) MUST_CHECK;
int x86_iret(struct vcpu *v, unsigned opsize) MUST_CHECK;
/** x86_syscall_fast(), x86_sysret_fast(), x86_iretq_fast(), x86_sysenter_fast() - in long mode,
 * from 64-bit code (SYSENTER: or compatibility mode), to 64-bit code (IRET, SYSRET without @to64:
 * or compatibility mode) in the usual way; false: nothing has happened, use the exact way. They
 * clobber general registers only. SYSENTER: Intel's, not where x86_is_amd(). */
bool x86_syscall_fast(struct vcpu *v);
bool x86_sysret_fast(struct vcpu *v, bool to64);
bool x86_iretq_fast(struct vcpu *v);
bool x86_sysenter_fast(struct vcpu *v);
int x86_syscall(struct vcpu *v) MUST_CHECK;
int x86_sysret(struct vcpu *v, unsigned opsize) MUST_CHECK;
int x86_sysenter(struct vcpu *v) MUST_CHECK;
int x86_sysexit(struct vcpu *v, unsigned opsize) MUST_CHECK;
/** x86_int() - INT n / INT3 / INTO / INT1; return address is next_rip. v8086 and VME rules. */
int x86_int(struct vcpu *v, uint8_t vector, bool int_n) MUST_CHECK;

/** x86_deliver() - deliver v->exc (after X86_FAULT): double fault, triple fault (X86_EXIT with
 * VCPU_EXIT_SHUTDOWN). Updates s.rip itself. */
int x86_deliver(struct vcpu *v) MUST_CHECK;
/** x86_interrupt() - deliver an external interrupt or NMI now (between instructions). */
int x86_interrupt(struct vcpu *v, uint8_t vector, bool nmi) MUST_CHECK;

/**
 * x86_poll_events() - at an instruction boundary: INIT, SIPI, NMI, LAPIC and PIC interrupts,
 * pending #DB traps, in SDM order (vol. 3, 6.9); honours IF and the interrupt shadow; wakes from
 * HALT. Return: X86_OK (state may have changed), X86_EXIT (halt, shutdown, kick).
 */
int x86_poll_events(struct vcpu *v) MUST_CHECK;
/** x86_poll_needed() - must x86_poll_events() be called at this instruction boundary? Call it at
 * each boundary, or at block boundaries if blocks end after HLT, STI and loads of SS. */
static inline bool x86_poll_needed(const struct vcpu *v)
{
	return atomic_load_explicit(&v->request, memory_order_relaxed) | v->s.pending_dbg |
	       (v->s.shadow & (X86_SHADOW_STI | X86_SHADOW_MOVSS)) | v->s.activity;
}

/* Stack helpers with the stack-address size of SS; update RSP only on success. size 2, 4, 8. */
int x86_push(struct vcpu *v, unsigned size, uint64_t val) MUST_CHECK;
int x86_pop(struct vcpu *v, unsigned size, uint64_t *ret_val) MUST_CHECK;

/** x86_rsm() - RSM: back from system management mode; #UD outside it. SDM vol. 3, 32.3, 32.4. */
int x86_rsm(struct vcpu *v) MUST_CHECK;

/* Control registers and MSRs, shared by engines, direct boot and the gdb stub. */
int x86_set_cr0(struct vcpu *v, uint64_t val) MUST_CHECK;
int x86_set_cr4(struct vcpu *v, uint64_t val) MUST_CHECK;
int x86_set_efer(struct vcpu *v, uint64_t val) MUST_CHECK;
int x86_set_xcr(struct vcpu *v, uint32_t index, uint64_t val) MUST_CHECK;
int x86_rdmsr(struct vcpu *v, uint32_t msr, uint64_t *ret_val) MUST_CHECK;
int x86_wrmsr(struct vcpu *v, uint32_t msr, uint64_t val) MUST_CHECK;
int x86_get_dr(struct vcpu *v, unsigned n, uint64_t *ret_val) MUST_CHECK;
int x86_set_dr(struct vcpu *v, unsigned n, uint64_t val) MUST_CHECK;
/** x86_set_rflags() - write the bits of @mask; recomputes the mode where VM or AC change. */
void x86_set_rflags(struct vcpu *v, uint64_t val, uint64_t mask);
/** x86_io_allowed() - IOPL / TSS I/O bitmap for [port, port+size); X86_OK or #GP(0). */
int x86_io_allowed(struct vcpu *v, uint16_t port, unsigned size) MUST_CHECK;

/** x86_vcpu_init() - attach a TLB and reset; borrowed pointers must be set by the caller before. */
int x86_vcpu_init(struct vcpu *v, bool bsp, uint32_t apic_id, struct error *err) MUST_CHECK;
void x86_vcpu_done(struct vcpu *v);
/** x86_vcpu_reset() - RESET, or INIT (@init). vCPU thread or vCPU paused; bus lock not held. */
void x86_vcpu_reset(struct vcpu *v, bool bsp, bool init);

#endif
