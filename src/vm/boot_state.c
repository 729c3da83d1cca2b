/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reset of all processors, and the boot processor's state for direct boot: the loader's boot_cpu
 * plus what firmware leaves behind. Intel SDM vol. 3: 10.1.1 (reset state), 9.8.5 (long mode),
 * 11.5.1 (LVT), 12.11.2.1 (MTRR default type).
 *
 * Firmware leaves the local APIC of the boot processor enabled in virtual-wire mode (MultiProcessor
 * Specification 1.4, 3.6.2.2): LINT0 = ExtINT, so that the 8259s work for kernels without APIC
 * support, LINT1 = NMI; and MTRRs on with write-back as the default type, without which Linux turns
 * PAT off.
 */
#include "base/bits.h"
#include "cpu/x86/lapic.h"
#include "cpu/x86/seg.h"
#include "vm/internal.h"

enum {
	ATTR_CODE32 = 0xc09b, /* execute, read, accessed; S, P, D, G */
	ATTR_CODE64 = 0xa09b, /* L instead of D */
	ATTR_DATA = 0xc093,
	ATTR_TSS = 0x008b, /* busy TSS */
	ATTR_LDT = 0x0082,
	SVR_ENABLED = 0x1ff,
	LVT_EXTINT = 0x700,
	LVT_NMI = 0x400,
	MTRR_ON_WB = 0x806,
};

static const enum x86_gpr gpr_of[BOOT_GPRS] = {
	[BOOT_RAX] = X86_RAX, [BOOT_RCX] = X86_RCX, [BOOT_RDX] = X86_RDX, [BOOT_RBX] = X86_RBX,
	[BOOT_RSP] = X86_RSP, [BOOT_RBP] = X86_RBP, [BOOT_RSI] = X86_RSI, [BOOT_RDI] = X86_RDI,
};

static void set_seg(struct x86_seg *seg, uint16_t sel, uint32_t attr, uint32_t limit)
{
	*seg = (struct x86_seg){.base = 0, .limit = limit, .attr = attr, .sel = sel};
}

static void boot_state(struct x86_state *s, const struct boot_cpu *b)
{
	bool long_mode = b->mode == BOOT_LONG64;

	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = 0;
	for (unsigned i = 0; i < BOOT_GPRS; i++)
		s->gpr[gpr_of[i]] = b->gpr[i];
	s->rip = b->rip;
	s->rflags = 2;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		set_seg(&s->seg[i], b->ds, ATTR_DATA, 0xffffffff);
	set_seg(&s->seg[X86_CS], b->cs, long_mode ? ATTR_CODE64 : ATTR_CODE32, 0xffffffff);
	set_seg(&s->tr, b->tr, ATTR_TSS, 0x67);
	set_seg(&s->ldtr, 0, ATTR_LDT | X86_ATTR_NULL, 0);
	s->gdtr.base = b->gdt_base;
	s->gdtr.limit = b->gdt_limit;
	s->idtr.base = 0;
	s->idtr.limit = 0;
	s->cr0 = X86_CR0_PE | X86_CR0_ET | (long_mode ? X86_CR0_PG : 0);
	s->cr4 = long_mode ? X86_CR4_PAE : 0;
	s->efer = long_mode ? X86_EFER_LME | X86_EFER_LMA : 0;
	s->cr3 = b->cr3;
	s->mtrr_def_type = MTRR_ON_WB;
	s->lapic.svr = SVR_ENABLED;
	s->lapic.lvt_lint0 = LVT_EXTINT;
	s->lapic.lvt_lint1 = LVT_NMI;
	s->activity = X86_ACT_RUN;
}

int vm_cpus_reset(struct vm *vm, const struct boot_cpu *boot, struct error *err)
{
	int r = 0;

	/* Resetting and loading a vCPU sets its LAPIC timer, which takes the lock. All are parked.
	 */
	bus_unlock(&vm->bus);
	for (unsigned i = 0; i < vm->n_cpus && r == 0; i++) {
		struct vcpu *v = &vm->cpu[i].v;

		x86_vcpu_reset(v, i == 0, false);
		if (boot->mode != BOOT_RESET) {
			if (i == 0)
				boot_state(&v->s, boot);
			v->s.mtrr_def_type = MTRR_ON_WB;
		}
		x86_update_mode(v);
		r = vm->engine.ops->set_state ? vm->engine.ops->set_state(v, &v->s) : 0;
		if (r < 0)
			error_set(err, r, "the engine refused the start state of vCPU %u", i);
		else
			x86_tlb_flush(v);
	}
	bus_lock(&vm->bus);
	return r;
}
