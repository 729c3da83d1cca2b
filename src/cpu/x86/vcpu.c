/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A virtual CPU's life: creation, reset, derived state, requests from other threads, recording of
 * exceptions (cpu/x86/vcpu.h).
 */
#include "cpu/x86/internal.h"

#include <errno.h>

void x86_state_changed(struct vcpu *v)
{
	v->next_rip = v->s.rip;
	x86_update_mode(v);
	x86_tlb_flush(v);
	lapic_loaded(v);
	v->irq_waiting = false;
	vcpu_request(v, VCPU_REQ_EVENT);
}

void vcpu_request(struct vcpu *v, uint32_t bits)
{
	atomic_fetch_or(&v->request, bits);
	if (v->wake)
		v->wake(v);
}

int x86_raise(struct vcpu *v, uint8_t vector)
{
	v->exc = (struct x86_exception){.vector = vector};
	return X86_FAULT;
}

int x86_raise_err(struct vcpu *v, uint8_t vector, uint32_t error_code)
{
	v->exc = (struct x86_exception){
		.vector = vector, .has_error = true, .error_code = error_code};
	return X86_FAULT;
}

/* The processor's name and stepping as RESET leaves them in EDX: SDM vol. 3, 10.1.2. */
static uint32_t signature(const struct vcpu *v)
{
	struct cpuid_regs r = {0};

	if (!v->model)
		return 0x600;
	for (unsigned i = 0; i < v->model->n; i++)
		if (v->model->leaf[i].leaf == 1)
			r = v->model->leaf[i].r;
	return r.eax & 0x0fff3fff;
}

int x86_vcpu_init(struct vcpu *v, bool bsp, uint32_t apic_id, struct error *err)
{
	v->tlb = x86_tlb_new();
	if (!v->tlb)
		return error_set(err, -ENOMEM, "cpu %u: no memory for its TLB (%zu bytes)",
				 v->index, sizeof(struct x86_tlb));
	lapic_init(v);
	v->s.lapic.id = apic_id << 24;
	x86_state_reset(&v->s, bsp, apic_id, false);
	v->s.gpr[X86_RDX] = signature(v);
	v->next_rip = v->s.rip;
	x86_update_mode(v);
	x86_tlb_flush(v);
	atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
	return 0;
}

void x86_vcpu_done(struct vcpu *v)
{
	if (!v->tlb)
		return;
	lapic_done(v);
	x86_tlb_free(v->tlb);
	v->tlb = NULL;
}

void x86_vcpu_reset(struct vcpu *v, bool bsp, bool init)
{
	uint32_t id = lapic_id(v);
	uint8_t init_pending, sipi_pending;

	lapic_reset(v, init);
	/* Other CPUs and devices may be sending to this APIC meanwhile: what came after the INIT
	 * that is carried out here stays. */
	if (v->cpus)
		pthread_mutex_lock(&v->cpus->lock);
	init_pending = init ? v->s.init_pending : 0;
	sipi_pending = init ? v->s.sipi_pending : 0;
	x86_state_reset(&v->s, bsp, id, init);
	v->s.init_pending = init_pending;
	v->s.sipi_pending = sipi_pending;
	if (v->cpus)
		pthread_mutex_unlock(&v->cpus->lock);
	v->s.gpr[X86_RDX] = signature(v);
	x86_state_changed(v);
}
