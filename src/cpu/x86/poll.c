/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens between instructions: requests of other threads, INIT, SIPI, debug traps, NMI,
 * interrupts, waking from HLT. Intel SDM vol. 3, table 6-2 (priority), 6.8 (masking), 11.7.
 *
 * The summary that says whether anything may be pending is vcpu.request (any thread sets it), plus
 * a few bytes of the state itself: x86_poll_needed(). An interrupt that IF or the shadow holds back
 * leaves `irq_waiting` set, and the instruction that opens the window sets VCPU_REQ_EVENT again; so
 * a CPU with interrupts off does not look at its APIC on every instruction.
 */
#include "cpu/x86/internal.h"

static int leave(struct vcpu *v, enum vcpu_exit_reason why)
{
	v->exit.reason = why;
	return X86_EXIT;
}

/* INIT, and the SIPI that ends it. SDM vol. 3, 9.4.4, 11.4.7.3. */
static void take_init(struct vcpu *v)
{
	bool bsp = v->s.lapic.base & BIT(8);

	x86_vcpu_reset(v, bsp, true);
}

static void take_sipi(struct vcpu *v, uint8_t vector)
{
	struct x86_seg *cs = &v->s.seg[X86_CS];

	v->s.activity = X86_ACT_RUN;
	cs->sel = (uint16_t)(vector << 8);
	cs->base = (uint64_t)vector << 12;
	v->s.rip = v->next_rip = 0;
	x86_update_mode(v);
}

/* Copy and clear what other threads posted. */
static void fetch_posted(struct vcpu *v, bool *init, bool *sipi, uint8_t *vector, bool *nmi)
{
	if (v->cpus)
		pthread_mutex_lock(&v->cpus->lock);
	/* SDM vol. 3, 32.3.1: INIT waits in system management mode. */
	*init = v->s.init_pending && !v->s.smm;
	*sipi = v->s.sipi_pending && !v->s.smm;
	*vector = v->s.sipi_vector;
	if (!v->s.smm)
		v->s.init_pending = v->s.sipi_pending = 0;
	*nmi = v->s.nmi_pending && !(v->s.shadow & X86_SHADOW_NMI) &&
	       v->s.activity != X86_ACT_WAIT_SIPI;
	if (*nmi)
		v->s.nmi_pending = 0;
	if (v->cpus)
		pthread_mutex_unlock(&v->cpus->lock);
}

static void put_back_nmi(struct vcpu *v)
{
	if (v->cpus)
		pthread_mutex_lock(&v->cpus->lock);
	v->s.nmi_pending = 1;
	if (v->cpus)
		pthread_mutex_unlock(&v->cpus->lock);
	atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
}

/* IF alone decides; VIF has no say in external interrupts. */
static int take_interrupt(struct vcpu *v)
{
	int vector;

	if (!(v->s.rflags & X86_IF)) {
		v->irq_waiting = true;
		return X86_OK;
	}
	v->irq_waiting = false;
	vector = lapic_ack(v);
	if (vector < 0)
		return X86_OK;
	/* More may be waiting behind this one. */
	atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
	return x86_interrupt(v, (uint8_t)vector, false);
}

static int take_debug_trap(struct vcpu *v)
{
	(void)x86_raise(v, X86_DB);
	v->exc.dr6 = v->s.pending_dbg;
	v->exc.trap = true;
	v->s.pending_dbg = 0;
	if (v->s.activity == X86_ACT_HALT)
		v->s.activity = X86_ACT_RUN;
	return x86_deliver(v);
}

/* INIT and SIPI work in every activity. True when the CPU was reset or started. */
static bool take_processor_events(struct vcpu *v, bool *ret_nmi)
{
	bool init, sipi;
	uint8_t vector;

	fetch_posted(v, &init, &sipi, &vector, ret_nmi);
	if (init) {
		take_init(v);
		*ret_nmi = false;
	}
	if (sipi && v->s.activity == X86_ACT_WAIT_SIPI) {
		take_sipi(v, vector);
		return true;
	}
	return init;
}

/* An SMI waits in wait-for-SIPI and in system management mode itself, and comes before NMIs. */
static bool fetch_smi(struct vcpu *v)
{
	bool smi;

	if (LIKELY(!v->s.smi_pending) || v->s.smm || v->s.activity > X86_ACT_HALT)
		return false;
	if (v->cpus)
		pthread_mutex_lock(&v->cpus->lock);
	smi = v->s.smi_pending;
	v->s.smi_pending = 0;
	if (v->cpus)
		pthread_mutex_unlock(&v->cpus->lock);
	return smi;
}

static int poll_event(struct vcpu *v, bool nmi)
{
	if (fetch_smi(v)) {
		if (nmi)
			put_back_nmi(v);
		x86_smi(v);
		return X86_OK;
	}
	if (nmi)
		return x86_interrupt(v, X86_NMI, true);
	if (v->s.activity == X86_ACT_WAIT_SIPI)
		return X86_OK;
	return take_interrupt(v);
}

int x86_poll_events(struct vcpu *v)
{
	uint32_t req = atomic_load_explicit(&v->request, memory_order_acquire);
	bool nmi = false;
	uint8_t shadow;
	int r;

	if (UNLIKELY(req & (VCPU_REQ_KICK | VCPU_REQ_FLUSH | VCPU_REQ_DEBUG))) {
		if (req & VCPU_REQ_FLUSH) {
			atomic_fetch_and(&v->request, ~(uint32_t)VCPU_REQ_FLUSH);
			x86_tlb_flush(v);
		}
		if (req & VCPU_REQ_DEBUG) {
			atomic_fetch_and(&v->request, ~(uint32_t)VCPU_REQ_DEBUG);
			return leave(v, VCPU_EXIT_DEBUG);
		}
		if (req & VCPU_REQ_KICK) {
			atomic_fetch_and(&v->request, ~(uint32_t)VCPU_REQ_KICK);
			return leave(v, VCPU_EXIT_KICK);
		}
	}
	/* The shadow of STI or MOV SS covers this one boundary. SDM vol. 3, 6.8.1, 6.8.3. HLT
	 * is itself the shadowed instruction when it follows STI. */
	shadow = v->s.shadow & (X86_SHADOW_STI | X86_SHADOW_MOVSS);
	v->s.shadow &= (uint8_t)~shadow;
	if (v->s.activity == X86_ACT_HALT)
		shadow = 0;
	if (req & VCPU_REQ_EVENT) {
		/* Cleared before looking, so that nothing posted meanwhile is lost. */
		atomic_fetch_and(&v->request, ~(uint32_t)VCPU_REQ_EVENT);
		if (take_processor_events(v, &nmi))
			shadow = 0;
	}
	if (v->s.activity == X86_ACT_SHUTDOWN)
		return leave(v, VCPU_EXIT_SHUTDOWN);
	if (v->s.pending_dbg && !(shadow & X86_SHADOW_MOVSS)) {
		if (nmi)
			put_back_nmi(v);
		else if (req & VCPU_REQ_EVENT)
			atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
		return take_debug_trap(v);
	}
	if (shadow) {
		if (nmi)
			put_back_nmi(v);
		else if (req & VCPU_REQ_EVENT)
			atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
		return X86_OK;
	}
	if (req & VCPU_REQ_EVENT) {
		r = poll_event(v, nmi);
		if (r != X86_OK)
			return r;
	}
	if (v->s.activity != X86_ACT_RUN) {
		v->count.halts++;
		return leave(v, VCPU_EXIT_HALT);
	}
	return X86_OK;
}
