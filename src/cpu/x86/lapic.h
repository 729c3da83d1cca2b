/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Local APICs of a VM (xAPIC and x2APIC): registers, priorities, IPIs, timer (one shot, periodic,
 * TSC deadline), MSI delivery. Intel SDM vol. 3, chapter 11. Registers live in x86_state.lapic.
 * Guarded by the bus lock, except irr/tmr updates and reads of the highest pending vector, which
 * take cpu_set.lock (order: bus lock, then cpu_set.lock).
 */
#ifndef CPU_X86_LAPIC_H
#define CPU_X86_LAPIC_H

#include "cpu/x86/vcpu.h"

#define CPU_MAX 64

/* stop.c */
struct cpu_stop {
	_Atomic uint32_t next;    /* the next ticket; one stop at a time; leaf */
	_Atomic uint32_t serving; /* futex: the ticket whose turn it is */
	_Atomic uint32_t seq;     /* futex; odd: the others wait */
	_Atomic uint32_t left;    /* futex: how many have not come yet */
	_Atomic uint32_t inside;  /* futex: how many have not gone yet */
	uint64_t since;           /* ns: the beginning of the last stop */
	uint64_t rest_until;      /* ns: before it there is no other one */
};

struct cpu_set {
	pthread_mutex_t lock;
	struct bus *bus; /* borrowed */
	bool smm;        /* the chip set has SMRAM; without, SMIs are dropped */
	unsigned n;
	struct vcpu *cpu[CPU_MAX];
	struct bus_region mmio; /* 0xfee00000: registers of the accessing vCPU */
	struct cpu_stop stop;
};

/** cpu_set_init() - empty set; installs itself as the MSI target of @bus.
 * Bus lock held, also for done. */
int cpu_set_init(struct cpu_set *set, struct bus *bus, struct error *err) MUST_CHECK;
void cpu_set_done(struct cpu_set *set);
void cpu_set_add(struct cpu_set *set, struct vcpu *v);

/** x86_stop_join/leave() - the calling thread runs @v from now on / no more; it has an alternate
 * signal stack. For engines whose vCPUs access memory themselves. */
int x86_stop_join(struct vcpu *v, struct error *err) MUST_CHECK;
void x86_stop_leave(struct vcpu *v);
/** x86_stop_others/end() - no other vCPU executes anything between the two. The caller takes no
 * lock and allocates nothing meanwhile. @v's thread. */
void x86_stop_others(struct vcpu *v);
void x86_stop_end(struct vcpu *v);

/** lapic_mmio_read/write() - register access by its own vCPU at @off (0..0xfff). Engines call these
 * for accesses to the page at APIC_BASE; they take the locks. */
uint32_t lapic_mmio_read(struct vcpu *v, uint32_t off);
void lapic_mmio_write(struct vcpu *v, uint32_t off, uint32_t val);
/** lapic_msr_read/write() - x2APIC MSRs 800h-8ffh; X86_OK or X86_FAULT. */
int lapic_msr_read(struct vcpu *v, uint32_t msr, uint64_t *ret_val) MUST_CHECK;
int lapic_msr_write(struct vcpu *v, uint32_t msr, uint64_t val) MUST_CHECK;
int lapic_set_base(struct vcpu *v, uint64_t val) MUST_CHECK;
int lapic_set_deadline(struct vcpu *v, uint64_t tsc) MUST_CHECK;
uint8_t lapic_get_cr8(struct vcpu *v);
void lapic_set_cr8(struct vcpu *v, uint8_t tpr);

/** lapic_pending() - highest vector deliverable now, or -1; without ExtINT. lapic_ack() - take the
 * interrupt to deliver: an INTA cycle at the PIC when it drives INTR, else IRR -> ISR; -1 when
 * there is none. vCPU thread, no lock held. */
int lapic_pending(struct vcpu *v);
int lapic_ack(struct vcpu *v);
/** lapic_set_intr() - the PIC's INTR line as seen by LINT0 of the BSP. Bus lock held. */
void lapic_set_intr(struct cpu_set *set, bool level);
/** lapic_nmi() - an edge on LINT1 (NMI). Any thread, cpu_set.lock not held. */
void lapic_nmi(struct vcpu *v);
/** lapic_init_pin() - an edge on the processor's INIT# pin. Any thread, cpu_set.lock not held. */
void lapic_init_pin(struct vcpu *v);
/** lapic_reset() - stop the timer; the registers are x86_state_reset()'s. Bus lock not held. */
void lapic_reset(struct vcpu *v, bool init);
/** lapic_id() - the APIC id CPUID reports. lapic_timer_hz() - ticks a second before the divider. */
uint32_t lapic_id(const struct vcpu *v);
uint64_t lapic_timer_hz(const struct vcpu *v);
/** x86_tsc() - what RDTSC returns. */
uint64_t x86_tsc(const struct vcpu *v);
/** lapic_tsc_changed() - TSC_ADJUST or the TSC was written: move an armed deadline. */
void lapic_tsc_changed(struct vcpu *v);
/** lapic_loaded() - re-arm the timer after a state load. Bus lock not held. */
void lapic_loaded(struct vcpu *v);
void lapic_init(struct vcpu *v);
void lapic_done(struct vcpu *v);

#endif
