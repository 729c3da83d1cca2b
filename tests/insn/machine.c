/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instruction test machine (machine.h).
 */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GDT = 0x6000, IDT = 0x7000, TSS = 0x9000, TABLES = 0x10000, RING0_STACK = 0xf0000 };
enum { SEL_CODE0 = 0x08, SEL_DATA0 = 0x10, SEL_CODE3 = 0x1b, SEL_DATA3 = 0x23, SEL_TSS = 0x28 };

static void or_die(int r, const struct error *err)
{
	if (!r)
		return;
	fprintf(stderr, "instruction test machine: %s\n", err->text);
	abort();
}

void *im_host(struct im *m, uint64_t gpa)
{
	return m->ram->host + gpa;
}

static void put_gdt(struct im *m)
{
	bool l = m->bits == 64;
	uint64_t code = l ? 0x00af9b000000ffffull : 0x00cf9b000000ffffull;
	uint64_t *gdt = im_host(m, GDT);

	gdt[1] = code;
	gdt[2] = 0x00cf93000000ffffull;
	gdt[3] = code | 3ull << 45;
	gdt[4] = 0x00cf93000000ffffull | 3ull << 45;
	gdt[5] = 0x00008b0000000067ull | (uint64_t)TSS << 16; /* busy TSS */
	gdt[6] = 0;
}

static void put_idt(struct im *m)
{
	uint8_t *idt = im_host(m, IDT), *ivt = im_host(m, 0);

	for (unsigned i = 0; i < 256; i++) {
		uint32_t to = IM_HANDLERS + i * 16;
		uint64_t gate = (to & 0xffff) | (uint64_t)SEL_CODE0 << 16 | 0xeeull << 40 |
				(uint64_t)(to >> 16) << 48;

		*(uint8_t *)im_host(m, to) = 0xf4;
		if (m->bits == 64) {
			st_le64(idt + i * 16, gate);
			st_le64(idt + i * 16 + 8, 0);
		} else if (m->bits == 32) {
			st_le64(idt + i * 8, gate);
		} else {
			st_le32(ivt + i * 4, to);
		}
	}
	if (m->bits == 64)
		st_le64((uint8_t *)im_host(m, TSS) + 4, RING0_STACK);
	st_le16((uint8_t *)im_host(m, TSS) + 0x66, 0x68); /* no I/O map */
	if (m->bits == 32) {
		st_le32((uint8_t *)im_host(m, TSS) + 4, RING0_STACK);
		st_le32((uint8_t *)im_host(m, TSS) + 8, SEL_DATA0);
	}
}

void im_map(struct im *m, uint64_t lin, uint64_t gpa, unsigned flags)
{
	uint64_t i = lin >> 12;
	uint64_t pte = flags ? (gpa & ~0xfffull) | (flags & 7) : 0;

	if (m->bits == 64 || m->bits == 32) {
		if (flags & IM_NX)
			pte |= BIT(63);
		/* 64-bit: 8 tables of 512; 32-bit: PAE, the same */
		st_le64((uint8_t *)im_host(m, TABLES + 0x4000) + i * 8, pte);
		x86_tlb_flush(m->v);
	}
}

static void put_tables(struct im *m)
{
	uint64_t *pml4 = im_host(m, TABLES), *pdpt = im_host(m, TABLES + 0x1000),
		 *pd = im_host(m, TABLES + 0x2000);

	pml4[0] = (TABLES + 0x1000) | 7;
	pdpt[0] = (TABLES + 0x2000) | (m->bits == 64 ? 7 : 1);
	for (unsigned i = 0; i < 8; i++)
		pd[i] = (TABLES + 0x4000 + i * 0x1000) | 7u;
	for (uint64_t lin = 0; lin < IM_RAM; lin += 4096)
		im_map(m, lin, lin, IM_RWU);
}

static struct x86_seg segment(uint16_t sel, uint64_t base, uint32_t limit, uint32_t attr)
{
	return (struct x86_seg){.sel = sel, .base = base, .limit = limit, .attr = attr};
}

static void set_protected_segments(struct im *m)
{
	struct x86_state *s = &m->v->s;
	unsigned dpl = m->cpl << X86_ATTR_DPL_SHIFT;
	uint32_t code = 0x809b | dpl | (m->bits == 64 ? X86_ATTR_L : X86_ATTR_DB);
	uint32_t data = 0xc093 | dpl;

	s->seg[X86_CS] = segment(m->cpl ? SEL_CODE3 : SEL_CODE0, 0, ~0u, code);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		if (i != X86_CS)
			s->seg[i] = segment(m->cpl ? SEL_DATA3 : SEL_DATA0, 0, ~0u, data);
}

static void set_protected(struct im *m)
{
	struct x86_state *s = &m->v->s;

	s->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
	s->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	s->cr3 = m->bits == 64 ? TABLES : TABLES + 0x1000;
	if (m->model.xcr0_mask & 4) {
		s->cr4 |= X86_CR4_OSXSAVE;
		s->xcr0 = 7;
	}
	s->efer = X86_EFER_NXE;
	if (m->bits == 64)
		s->efer |= X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE;
	else
		s->pdpte[0] = (TABLES + 0x2000) | 1;
	set_protected_segments(m);
	s->tr = segment(SEL_TSS, TSS, 0x67, 0x8b);
	s->gdtr = (struct x86_dtable){.base = GDT, .limit = 0x37};
	s->idtr = (struct x86_dtable){.base = IDT, .limit = m->bits == 64 ? 0xfff : 0x7ff};
	s->gpr[X86_RSP] = m->cpl ? IM_STACK : IM_STACK - 0x1000;
}

static void set_real(struct im *m)
{
	struct x86_state *s = &m->v->s;

	s->seg[X86_CS] = segment(0x2000, 0x20000, 0xffff, 0x9b);
	s->seg[X86_DS] = s->seg[X86_ES] = segment(0x3000, 0x30000, 0xffff, 0x93);
	s->seg[X86_SS] = segment(0x4000, 0x40000, 0xffff, 0x93);
	s->cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
	s->cr0 = X86_CR0_ET | X86_CR0_NE;
	s->gpr[X86_RSP] = 0xf000;
}

void im_reset(struct im *m)
{
	struct vcpu *v = m->v;

	x86_state_reset(&v->s, true, 0, false);
	if (m->bits == 16)
		set_real(m);
	else
		set_protected(m);
	v->s.gpr[X86_RDX] = 0;
	v->s.rip = m->entry;
	v->s.rflags = 2;
	atomic_store(&v->request, 0);
	x86_state_changed(v);
}

#define IM_CPUS 4u
static struct vcpu *new_vcpu(struct im *m, unsigned index)
{
	struct vcpu *v = &((struct vcpu *)m->vm.room.cpus)[index];
	struct error err = {0};

	if (index >= IM_CPUS)
		abort();
	memset(v, 0, sizeof(*v));
	v->index = index;
	v->bus = &m->bus;
	v->mem = m->mem;
	v->clock = m->clock;
	v->model = &m->model;
	cpu_set_add(&m->cpus, v);
	or_die(x86_vcpu_init(v, index == 0, index, &err), &err);
	or_die(m->vm.ops->vcpu_init(&m->vm, v, &err), &err);
	return v;
}

static void free_vcpu(struct im *m, struct vcpu *v)
{
	m->vm.ops->vcpu_done(v);
	x86_vcpu_done(v);
}

struct vcpu *im_second(struct im *m)
{
	struct vcpu *v = new_vcpu(m, m->cpus.n);

	v->s = m->v->s;
	v->s.gpr[X86_RSP] -= 0x10000;
	x86_state_changed(v);
	atomic_store(&v->request, 0);
	return v;
}

void im_second_done(struct im *m, struct vcpu *v)
{
	m->cpus.n--;
	free_vcpu(m, v);
}

static const struct engine_ops *pick_engine(void)
{
	const char *name = getenv("BOTHY_TEST_ENGINE");
	const struct engine_ops *ops;
	struct engine_caps caps;
	struct error err = {0};

	ops = engine_pick(name ? name : "interp", &caps, &err);
	or_die(ops ? 0 : -1, &err);
	return ops;
}

struct im *im_new(unsigned bits, unsigned cpl, const char *model)
{
	struct im *m = xnew(struct im);
	const char *by_rip = getenv("BOTHY_TEST_BY_RIP");
	struct mem_mapping *map;
	struct error err = {0};

	m->bits = bits;
	m->cpl = cpl;
	m->code = bits == 16 ? 0x20000 : 0x100000;
	m->entry = bits == 16 ? 0 : m->code;
	or_die(mem_space_new(&m->mem, &err), &err);
	or_die(mem_ram_new(m->mem, "ram", IM_RAM, &m->ram, &err), &err);
	or_die(mem_map_ram(m->mem, "ram", 0, m->ram, 0, IM_RAM, false, MEM_PRIO_RAM, &map, &err),
	       &err);
	or_die(bus_init(&m->bus, m->mem, &err), &err);
	m->clock = clock_new(NULL);
	clock_start(m->clock);
	or_die(cpu_model_init(&m->model, model ? model : "max", 1, clock_tsc_hz(m->clock), &err),
	       &err);
	or_die(cpu_set_init(&m->cpus, &m->bus, &err), &err);
	m->vm = (struct engine_vm){.ops = pick_engine(),
				   .translate_at_once = true,
				   .by_rip = (int8_t)(by_rip ? atoi(by_rip) : 0),
				   .verify = engine_verifies(getenv("BOTHY_TEST_ENGINE")),
				   .mem = m->mem,
				   .bus = &m->bus,
				   .cpus = &m->cpus};
	if (!engine_room_new(&m->vm.room, IM_CPUS * sizeof(struct vcpu), IM_CPUS, &err))
		or_die(-1, &err);
	or_die(m->vm.ops->vm_init(&m->vm, &err), &err);
	m->v = new_vcpu(m, 0);
	if (bits != 16) {
		put_gdt(m);
		put_tables(m);
	}
	put_idt(m);
	im_reset(m);
	return m;
}

void im_free(struct im *m)
{
	free_vcpu(m, m->v);
	m->vm.ops->vm_done(&m->vm);
	engine_room_done(&m->vm.room);
	bus_lock(&m->bus);
	cpu_set_done(&m->cpus);
	bus_unlock(&m->bus);
	clock_free(m->clock);
	bus_done(&m->bus);
	mem_space_free(m->mem);
	free(m);
}

void im_code(struct im *m, const void *bytes, unsigned n)
{
	uint8_t *p = im_host(m, m->code);

	memcpy(p, bytes, n);
	p[n] = 0xf4;
	mem_block_written(m->mem, m->ram, m->code, n + 1);
	m->entry = m->bits == 16 ? 0 : m->code;
	m->end = m->entry + n;
	m->v->s.rip = m->entry;
}

static bool has_error_code(unsigned vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

/* Take the program's registers out of the exception frame. */
static void unwind(struct im *m, struct im_end *end)
{
	struct x86_state *s = &m->v->s;
	unsigned w = m->bits / 8;
	bool err = m->bits != 16 && has_error_code((unsigned)end->vector);
	uint64_t sp =
		m->bits == 16 ? s->seg[X86_SS].base + (uint16_t)s->gpr[X86_RSP] : s->gpr[X86_RSP];
	const uint8_t *f = im_host(m, sp);
	uint64_t popped = (err ? w : 0) + 3 * w;

	if (sp > IM_RAM - 64)
		return; /* not our stack */

	if (err) {
		end->error = (uint32_t)ld_le(f, w);
		f += w;
	}
	end->rip = ld_le(f, w);
	s->rip = end->rip;
	s->rflags = m->bits == 16 ? (s->rflags & ~0xffffull) | ld_le16(f + 4) : ld_le(f + 2 * w, w);
	if (m->bits == 64 || m->cpl)
		s->gpr[X86_RSP] = ld_le(f + 3 * w, w);
	else
		s->gpr[X86_RSP] += popped;
}

struct im_end im_run(struct im *m)
{
	struct im_end end = {.vector = -1};
	struct vcpu_exit exit;
	uint64_t lin;

	atomic_fetch_and(&m->v->request, ~(uint32_t)VCPU_REQ_KICK);
	m->vm.ops->run(&m->vm, m->v, &exit);
	end.reason = exit.reason;
	end.rip = m->v->s.rip;
	if (exit.reason != VCPU_EXIT_HALT)
		return end;
	m->v->s.activity = X86_ACT_RUN;
	lin = m->v->s.rip + (m->bits == 16 ? m->v->s.seg[X86_CS].base : 0) - IM_HANDLERS;
	if (lin < 4096) {
		end.vector = (int)(lin >> 4);
		unwind(m, &end);
		if (m->cpl == 3 && end.vector == X86_GP && end.rip == m->end) {
			end.vector = -1;
			end.rip++;
			m->v->s.rflags &= ~(uint64_t)X86_RF;
		}
		if (m->bits != 16)
			set_protected_segments(m);
		else
			m->v->s.seg[X86_CS] = segment(0x2000, 0x20000, 0xffff, 0x9b);
		x86_update_mode(m->v);
	}
	return end;
}
