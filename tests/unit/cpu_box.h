/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A processor on a bench: 16 MiB of RAM, a bus, a manual clock, up to four vCPUs, and helpers that
 * lay out descriptor tables and page tables. Nothing executes instructions; tests call the
 * functions of cpu/x86 directly.
 *
 * Map of the RAM: GDT 1000h, IDT 2000h, TSS 3000h, LDT 3800h, a second TSS 3c00h, inner stacks
 * below 8000h (ring 0), 9000h (ring 1), a000h (IST), outer stack below 10000h, page tables 100000h.
 */
#ifndef TESTS_UNIT_CPU_BOX_H
#define TESTS_UNIT_CPU_BOX_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <errno.h>

#include "cm.h"

#include "base/bits.h"
#include "cpu/x86/cpuid.h"
#include "cpu/x86/lapic.h"
#include "cpu/x86/mmu.h"
#include "cpu/x86/seg.h"

enum {
	BOX_GDT = 0x1000,
	BOX_IDT = 0x2000,
	BOX_TSS = 0x3000,
	BOX_LDT = 0x3800,
	BOX_TSS2 = 0x3c00,
	BOX_SP0 = 0x8000,
	BOX_SP1 = 0x9000,
	BOX_IST = 0xa000,
	BOX_SP = 0x10000,
	BOX_PT = 0x100000,
};
#define BOX_RAM (16 * MIB)

/* Selectors of box_gdt(). */
enum {
	SEL_CODE0 = 0x08, /* 32-bit flat, or 64-bit when box_long() */
	SEL_DATA0 = 0x10,
	SEL_CODE3 = 0x1b,
	SEL_DATA3 = 0x23,
	SEL_TSS = 0x28, /* 16 bytes in long mode */
	SEL_CODE1 = 0x39,
	SEL_DATA1 = 0x41,
	SEL_CONF0 = 0x48,   /* conforming code, DPL 0 */
	SEL_NP = 0x50,      /* data, not present */
	SEL_RO = 0x58,      /* read-only data, DPL 0 */
	SEL_XO = 0x60,      /* execute-only code, DPL 0 */
	SEL_LDT = 0x68,     /* 16 bytes in long mode */
	SEL_SMALL = 0x78,   /* data, limit fffh, bytes */
	SEL_DOWN = 0x80,    /* expand-down data, limit fffh, B = 1 */
	SEL_C16 = 0x88,     /* 16-bit code, limit ffffh */
	SEL_D16 = 0x90,     /* 16-bit data, limit ffffh */
	SEL_COMPAT3 = 0x9b, /* 32-bit code DPL 3 for long mode */
	SEL_GATE = 0xa0,    /* call gate written by the test (16 bytes) */
	SEL_TSS2 = 0xb0,
	SEL_TASKGATE = 0xb8,
	SEL_DATA_NA = 0xc0, /* data, accessed bit clear */
	SEL_CODENP = 0xc8,
	SEL_COMPAT0 = 0xd0, /* 32-bit code DPL 0 */
	SEL_END = 0xd8,
};

struct box {
	struct mem_space *mem;
	struct ram_block *block;
	uint8_t *ram;
	struct bus bus;
	struct clock *clock;
	struct cpu_set set;
	struct cpu_model model;
	struct vcpu *cpu[4];
	unsigned n;
	struct vcpu *v; /* cpu[0] */
};

static inline struct box *box_new(const char *model, unsigned n)
{
	struct box *b = xnew(struct box);
	struct mem_mapping *map;
	struct error err = {0};

	assert_int_equal(mem_space_new(&b->mem, &err), 0);
	assert_int_equal(mem_ram_new(b->mem, "ram", BOX_RAM, &b->block, &err), 0);
	assert_int_equal(bus_init(&b->bus, b->mem, &err), 0);
	b->clock = clock_new(NULL);
	bus_lock(&b->bus);
	assert_int_equal(mem_map_ram(b->mem, "ram", 0, b->block, 0, BOX_RAM, false, MEM_PRIO_RAM,
				     &map, &err),
			 0);
	clock_start(b->clock);
	assert_int_equal(cpu_set_init(&b->set, &b->bus, &err), 0);
	bus_unlock(&b->bus);
	b->ram = b->block->host;
	assert_int_equal(cpu_model_init(&b->model, model, n, clock_tsc_hz(b->clock), &err), 0);
	b->n = n;
	for (unsigned i = 0; i < n; i++) {
		struct vcpu *v = xnew(struct vcpu);

		b->cpu[i] = v;
		v->index = i;
		v->bus = &b->bus;
		v->mem = b->mem;
		v->clock = b->clock;
		v->model = &b->model;
		cpu_set_add(&b->set, v);
		assert_int_equal(x86_vcpu_init(v, i == 0, i, &err), 0);
		v->request = 0;
	}
	b->v = b->cpu[0];
	return b;
}

static inline void box_free(struct box *b)
{
	for (unsigned i = 0; i < b->n; i++) {
		x86_vcpu_done(b->cpu[i]);
		free(b->cpu[i]);
	}
	bus_lock(&b->bus);
	cpu_set_done(&b->set);
	bus_unlock(&b->bus);
	clock_free(b->clock);
	bus_done(&b->bus);
	mem_space_free(b->mem);
	free(b);
}

static inline void put64(struct box *b, gpa_t at, uint64_t val)
{
	st_le64(b->ram + at, val);
}
static inline void put32(struct box *b, gpa_t at, uint32_t val)
{
	st_le32(b->ram + at, val);
}
static inline void put16(struct box *b, gpa_t at, uint16_t val)
{
	st_le16(b->ram + at, val);
}
static inline uint64_t get64(struct box *b, gpa_t at)
{
	return ld_le64(b->ram + at);
}
static inline uint32_t get32(struct box *b, gpa_t at)
{
	return ld_le32(b->ram + at);
}
static inline uint16_t get16(struct box *b, gpa_t at)
{
	return ld_le16(b->ram + at);
}

/* A segment descriptor: @type is descriptor byte 5, @flags the G, D/B, L, AVL nibble. */
static inline uint64_t mk_desc(uint32_t base, uint32_t limit, uint8_t type, uint8_t flags)
{
	return (uint64_t)(limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
	       (uint64_t)type << 40 | (uint64_t)((limit >> 16) & 15) << 48 |
	       (uint64_t)(flags & 15) << 52 | (uint64_t)(base >> 24) << 56;
}

/* A gate: @type is byte 5; @param the low bits of byte 4 (parameter count or IST). */
static inline uint64_t mk_gate(uint16_t sel, uint32_t off, uint8_t type, uint8_t param)
{
	return (off & 0xffff) | (uint64_t)sel << 16 | (uint64_t)param << 32 | (uint64_t)type << 40 |
	       (uint64_t)(off >> 16) << 48;
}

static inline void box_desc(struct box *b, uint16_t sel, uint64_t d)
{
	put64(b, BOX_GDT + (sel & ~7u), d);
}

static inline uint8_t box_desc_type(struct box *b, uint16_t sel)
{
	return b->ram[BOX_GDT + (sel & ~7u) + 5];
}

static inline void box_gdt(struct box *b, bool lng)
{
	const uint8_t code = lng ? 0xa : 0xc; /* G|L or G|D */

	memset(b->ram + BOX_GDT, 0, 0x1000);
	box_desc(b, SEL_CODE0, mk_desc(0, 0xfffff, 0x9b, code));
	box_desc(b, SEL_DATA0, mk_desc(0, 0xfffff, 0x93, 0xc));
	box_desc(b, SEL_CODE3, mk_desc(0, 0xfffff, 0xfb, code));
	box_desc(b, SEL_DATA3, mk_desc(0, 0xfffff, 0xf3, 0xc));
	box_desc(b, SEL_TSS, mk_desc(BOX_TSS, 0x2ff, 0x89, 0));
	box_desc(b, SEL_CODE1, mk_desc(0, 0xfffff, 0xbb, code));
	box_desc(b, SEL_DATA1, mk_desc(0, 0xfffff, 0xb3, 0xc));
	box_desc(b, SEL_CONF0, mk_desc(0, 0xfffff, 0x9f, code));
	box_desc(b, SEL_NP, mk_desc(0, 0xfffff, 0x13, 0xc));
	box_desc(b, SEL_RO, mk_desc(0, 0xfffff, 0x91, 0xc));
	box_desc(b, SEL_XO, mk_desc(0, 0xfffff, 0x99, code));
	box_desc(b, SEL_LDT, mk_desc(BOX_LDT, 0xff, 0x82, 0));
	box_desc(b, SEL_SMALL, mk_desc(0, 0xfff, 0x93, 4));
	box_desc(b, SEL_DOWN, mk_desc(0, 0xfff, 0x97, 4));
	box_desc(b, SEL_C16, mk_desc(0, 0xffff, 0x9b, 0));
	box_desc(b, SEL_D16, mk_desc(0, 0xffff, 0x93, 0));
	box_desc(b, SEL_COMPAT3, mk_desc(0, 0xfffff, 0xfb, 0xc));
	if (!lng) {
		box_desc(b, SEL_TSS2, mk_desc(BOX_TSS2, 0x67, 0x89, 0));
		box_desc(b, SEL_TASKGATE, mk_gate(SEL_TSS2, 0, 0xe5, 0));
	}
	box_desc(b, SEL_DATA_NA, mk_desc(0, 0xfffff, 0x92, 0xc));
	box_desc(b, SEL_CODENP, mk_desc(0, 0xfffff, 0x1b, code));
	box_desc(b, SEL_COMPAT0, mk_desc(0, 0xfffff, 0x9b, 0xc));
	b->v->s.gdtr.base = BOX_GDT;
	b->v->s.gdtr.limit = SEL_END - 1;
	b->v->s.idtr.base = BOX_IDT;
	b->v->s.idtr.limit = lng ? 0xfff : 0x7ff;
}

static inline void seg_force(struct box *b, enum x86_sreg seg, uint16_t sel)
{
	uint64_t d = get64(b, BOX_GDT + (sel & ~7u));
	struct x86_seg *s = &b->v->s.seg[seg];
	uint32_t limit = (uint32_t)((d & 0xffff) | ((d >> 32) & 0xf0000));

	s->sel = sel;
	s->base = (uint32_t)((d >> 16 & 0xffffff) | (d >> 56) << 24);
	s->limit = (d >> 55 & 1) ? limit << 12 | 0xfff : limit;
	s->attr = (uint32_t)(d >> 40) & 0xf0ff;
}

static inline void box_cpl(struct box *b, unsigned cpl)
{
	static const uint16_t code[] = {SEL_CODE0, SEL_CODE1, 0, SEL_CODE3};
	static const uint16_t data[] = {SEL_DATA0, SEL_DATA1, 0, SEL_DATA3};

	seg_force(b, X86_CS, code[cpl]);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		if (i != X86_CS)
			seg_force(b, i, data[cpl]);
	x86_update_mode(b->v);
	assert_int_equal(b->v->cpl, cpl);
}

/* 32-bit protected mode, no paging, flat, ring @cpl, TSS loaded. */
static inline void box_prot(struct box *b, unsigned cpl)
{
	struct vcpu *v = b->v;

	box_gdt(b, false);
	v->s.cr0 = X86_CR0_PE | X86_CR0_ET;
	v->s.rflags = 2;
	box_cpl(b, cpl);
	v->s.tr = (struct x86_seg){.sel = SEL_TSS, .base = BOX_TSS, .limit = 0x2ff, .attr = 0x8b};
	box_desc(b, SEL_TSS, mk_desc(BOX_TSS, 0x2ff, 0x8b, 0));
	put32(b, BOX_TSS + 4, BOX_SP0);
	put16(b, BOX_TSS + 8, SEL_DATA0);
	put32(b, BOX_TSS + 12, BOX_SP1);
	put16(b, BOX_TSS + 16, SEL_DATA1);
	put16(b, BOX_TSS + 0x66, 0x100); /* I/O map */
	v->s.ldtr = (struct x86_seg){.attr = X86_ATTR_NULL};
	v->s.gpr[X86_RSP] = BOX_SP;
	v->s.rip = v->next_rip = 0x5000;
	x86_tlb_flush(v);
}

/* Identity page tables of 2 MiB pages for the first 16 MiB, user-accessible. */
static inline void box_identity(struct box *b)
{
	put64(b, BOX_PT, (BOX_PT + 0x1000) | 7);
	put64(b, BOX_PT + 0x1000, (BOX_PT + 0x2000) | 7);
	for (unsigned i = 0; i < 8; i++)
		put64(b, BOX_PT + 0x2000 + i * 8, i * 2 * MIB | 0xe7);
}

/* Long mode, ring @cpl, identity-mapped. */
static inline void box_long(struct box *b, unsigned cpl)
{
	struct vcpu *v = b->v;

	box_gdt(b, true);
	box_identity(b);
	v->s.cr3 = BOX_PT;
	v->s.cr4 = X86_CR4_PAE;
	v->s.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_SCE | X86_EFER_NXE;
	v->s.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG | X86_CR0_WP;
	v->s.rflags = 2;
	box_cpl(b, cpl);
	v->s.tr = (struct x86_seg){.sel = SEL_TSS, .base = BOX_TSS, .limit = 0x2ff, .attr = 0x8b};
	box_desc(b, SEL_TSS, mk_desc(BOX_TSS, 0x2ff, 0x8b, 0));
	put64(b, BOX_TSS + 4, BOX_SP0);
	put64(b, BOX_TSS + 12, BOX_SP1);
	put64(b, BOX_TSS + 36, BOX_IST);
	put16(b, BOX_TSS + 0x66, 0x100);
	v->s.ldtr = (struct x86_seg){.attr = X86_ATTR_NULL};
	v->s.gpr[X86_RSP] = BOX_SP;
	v->s.rip = v->next_rip = 0x5000;
	x86_tlb_flush(v);
}

/* Real mode, 64 KiB segments at 0, stack below 10000h in segment 0. */
static inline void box_real(struct box *b)
{
	struct vcpu *v = b->v;

	x86_state_reset(&v->s, true, 0, false);
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		v->s.seg[i] = (struct x86_seg){.limit = 0xffff, .attr = 0x93};
	v->s.idtr.limit = 0x3ff;
	v->s.gpr[X86_RSP] = 0xfffe;
	v->s.rip = v->next_rip = 0x5000;
	x86_update_mode(v);
	x86_tlb_flush(v);
}

/* The result of a call as "ok" or vector and error code, comparable in one assertion. */
#define OK            0xffffffffu
#define EXC(vec, err) ((uint32_t)(vec) << 16 | (uint16_t)(err))
static inline uint32_t box_result(struct box *b, int r)
{
	if (r == X86_OK)
		return OK;
	return EXC(b->v->exc.vector, b->v->exc.has_error ? b->v->exc.error_code : 0xeeee);
}
#define NOERR 0xeeee

#define assert_row(i, cite, got, want)                                                             \
	do {                                                                                       \
		uint64_t got_ = (got), want_ = (want);                                             \
		if (got_ != want_)                                                                 \
			fail_msg("row %u: got %#llx, want %#llx (%s)", (unsigned)(i),              \
				 (unsigned long long)got_, (unsigned long long)want_, cite);       \
	} while (0)

#endif
