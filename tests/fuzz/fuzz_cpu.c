/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A processor state from a hostile snapshot, and then everything the CPU core does with it: edits
 * of a good state (mode picked by the first byte) go through x86_state_loaded(); what it accepts
 * runs a list of operations with operands from the input, on RAM that the input wrote to.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "cpu/x86/cpuid.h"
#include "cpu/x86/lapic.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/seg.h"

#define RAM (2 * MIB)

struct rig {
	struct mem_space *mem;
	struct ram_block *block;
	struct bus bus;
	struct clock *clock;
	struct cpu_set set;
	struct cpu_model model;
	struct vcpu cpu[2];
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *p;
	size_t left;
};

static uint64_t take(struct input *in, unsigned n)
{
	uint64_t v = 0;

	n = (unsigned)MIN((size_t)n, in->left);
	if (n)
		memcpy(&v, in->p, n);
	in->p += n;
	in->left -= n;
	return v;
}

static uint8_t pic_ack(void *ctx)
{
	return 8;
}

static const struct intr_source pic = {.ack = pic_ack};

static struct rig *rig_new(void)
{
	struct rig *r = aligned_alloc(64, align_up(sizeof(*r), 64));
	struct mem_mapping *map;
	struct error err;

	check(r);
	memset(r, 0, sizeof(*r));
	check(!mem_space_new(&r->mem, &err) && !mem_ram_new(r->mem, "ram", RAM, &r->block, &err) &&
	      !bus_init(&r->bus, r->mem, &err));
	r->clock = clock_new(NULL);
	bus_lock(&r->bus);
	check(!mem_map_ram(r->mem, "ram", 0, r->block, 0, RAM, false, MEM_PRIO_RAM, &map, &err));
	check(!cpu_set_init(&r->set, &r->bus, &err));
	clock_start(r->clock);
	bus_unlock(&r->bus);
	check(!cpu_model_init(&r->model, "max", 2, clock_tsc_hz(r->clock), &err));
	for (unsigned i = 0; i < 2; i++) {
		struct vcpu *v = &r->cpu[i];

		v->index = i;
		v->bus = &r->bus;
		v->mem = r->mem;
		v->clock = r->clock;
		v->model = &r->model;
		v->pic = (struct intr_source *)(uintptr_t)&pic; /* never written */
		cpu_set_add(&r->set, v);
		check(!x86_vcpu_init(v, i == 0, i, &err));
	}
	return r;
}

static void good_state(struct x86_state *s, unsigned mode)
{
	x86_state_reset(s, true, 0, false);
	s->gdtr.base = 0x1000;
	s->idtr.base = 0x2000;
	s->tr.base = 0x3000;
	s->gpr[X86_RSP] = 0x8000;
	if (mode == 0)
		return;
	s->cr0 |= X86_CR0_PE;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = (struct x86_seg){
			.sel = 8, .limit = ~0u, .attr = i == X86_CS ? 0xc09b : 0xc093};
	if (mode == 1)
		return;
	s->cr3 = 0x100000;
	s->cr4 = X86_CR4_PAE;
	s->cr0 |= X86_CR0_PG;
	s->efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
	s->seg[X86_CS].attr = 0xa09b;
}

static void tables(struct rig *r, struct input *in)
{
	uint8_t *ram = r->block->host;
	unsigned n = (unsigned)take(in, 1) & 15;

	memset(ram, 0, 0x10000);
	for (unsigned i = 0; i < 512; i++)
		st_le64(ram + 0x1000 + i * 8, i & 1 ? 0x00cf9b000000ffffull | (uint64_t)i << 45
						    : 0x00cf93000000ffffull | (uint64_t)i << 44);
	for (unsigned i = 0; i < 256; i++)
		st_le64(ram + 0x2000 + i * 8, 0x00008e0000080000ull | i << 4);
	st_le64(ram + 0x100000, 0x101007);
	st_le64(ram + 0x101000, 0x102007);
	st_le64(ram + 0x102000, 0xe7);
	while (n-- && in->left) {
		uint64_t at = take(in, 2) * 8, val = take(in, 8);

		st_le64(ram + (at < 0x10000 ? at : 0x100000 + at % 0x3000), val);
	}
}

static int operation(struct vcpu *v, struct input *in)
{
	static const uint8_t sizes[] = {2, 4, 8};
	unsigned op = (unsigned)take(in, 1), size = sizes[op >> 5 & 1];
	uint16_t sel = (uint16_t)take(in, 2);
	uint64_t val = take(in, 8), out;
	uint8_t buf[64] = {0};
	uint32_t v32;
	bool ok;

	if (x86_is_64(v) && (op & 0x40))
		size = 8;
	v->next_rip = v->s.rip + 2;
	switch (op & 31) {
	case 0: return x86_read(v, val, sel % 64 + 1, buf, X86_ACC_READ);
	case 1: return x86_write(v, val, sel % 64 + 1, buf, X86_ACC_WRITE);
	case 2: return x86_load_seg(v, op & 0x80 ? X86_SS : X86_FS, sel);
	case 3: return x86_far_jmp(v, sel, val, size);
	case 4: return x86_far_call(v, sel, val, size);
	case 5: return x86_far_ret(v, size, (uint16_t)val);
	case 6: return x86_iret(v, size);
	case 7: return x86_int(v, (uint8_t)sel, op & 0x80);
	case 8: return x86_lldt(v, sel);
	case 9: return x86_ltr(v, sel);
	case 10: return x86_set_cr0(v, val);
	case 11: return x86_set_cr3(v, val);
	case 12: return x86_set_cr4(v, val);
	case 13: return x86_wrmsr(v, (uint32_t)val & 0xfff, sel);
	case 14: return x86_rdmsr(v, 0xc0000000 | (val & 0x1ffff), &out);
	case 15: return x86_set_dr(v, sel & 7, val);
	case 16: return x86_push(v, size, val);
	case 17: return x86_pop(v, size, &out);
	case 18: return x86_sel_access(v, sel, "alrw"[val & 3], &ok, &v32);
	case 19: return x86_io_allowed(v, sel, 4);
	case 20: return x86_syscall(v);
	case 21: return v->cpl ? X86_OK : x86_sysret(v, size);
	case 22: return x86_sysenter(v);
	case 23: return x86_sysexit(v, size);
	case 24: return x86_wrmsr(v, 0x800 | (sel & 0xff), val);
	case 25: lapic_mmio_write(v, sel & 0xff0, (uint32_t)val); return X86_OK;
	case 26: (void)lapic_mmio_read(v, sel & 0xfff); return X86_OK;
	case 27: x86_tlb_flush_page(v, val); return X86_OK;
	case 28: x86_set_rflags(v, val, 0x3f7fd5 & ~X86_VM); return X86_OK;
	case 29: return x86_interrupt(v, (uint8_t)sel, false);
	case 30: return x86_wrmsr(v, 0xc0000080 | (sel & 3), val);
	default: return x86_set_xcr(v, sel & 1, val & 15);
	}
}

static void edit(struct x86_state *s, struct input *in)
{
	unsigned n = (unsigned)take(in, 1) % 5; /* most edits are refused */

	while (n--) {
		size_t at = take(in, 2) % sizeof(*s);
		unsigned len = 1u << (take(in, 1) & 3);
		uint64_t val = take(in, 8);

		memcpy((uint8_t *)s + at, &val, MIN((size_t)len, sizeof(*s) - at));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig *r;
	struct input in = {data, size};
	struct x86_state s;
	struct error err;
	struct vcpu *v;

	if (!r)
		r = rig_new();
	v = &r->cpu[0];
	good_state(&s, (unsigned)take(&in, 1) % 3);
	edit(&s, &in);
	if (x86_state_loaded(&s, &err))
		return 0;
	/* An accepted state is a fixed point. */
	check(!x86_state_loaded(&s, &err) && !state_check(&x86_state_desc, &s, &err));
	tables(r, &in);
	v->s = s;
	v->exc = (struct x86_exception){0};
	x86_state_changed(v);
	for (unsigned i = 0; i < 64 && in.left; i++) {
		int res = operation(v, &in);

		if (res == X86_OK)
			v->s.rip = v->next_rip;
		else if (res == X86_FAULT)
			res = x86_deliver(v);
		if (res == X86_EXIT || x86_poll_events(v) == X86_EXIT)
			v->s.activity = X86_ACT_RUN;
		bus_lock(&r->bus);
		clock_step(r->clock, 1000);
		bus_unlock(&r->bus);
	}
	return 0;
}
