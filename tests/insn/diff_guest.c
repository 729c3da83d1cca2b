/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest with the address-space layout of native.h: long mode, four-level page tables, CPL 3, the
 * selectors of Linux, an LDT, and an IDT whose handlers are HLTs: a fault is read off the stack
 * frame it pushed.
 *
 * One instruction is run by the debugger's single step, or "free" (diff_guest_free()): up to the
 * breakpoints that surround it, as engines run code when nobody watches.
 *
 * Physical: 0 tables (GDT, LDT, IDT, TSS, kernel stack), 64K page tables, 128K code pages, 256K
 * data pages. All of it is also mapped at KERNEL for the supervisor. DIFF_EXIT is a device: a store
 * there makes the engine leave run() behind that instruction, half of the time with an empty TLB.
 */
#include "diff_guest.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/base.h"
#include "base/bits.h"
#include "cpu/x86/seg.h"
#include "engine/interp/interp.h"

static uint64_t exit_read(void *ctx, uint64_t off, unsigned size)
{
	return 0;
}

static void exit_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct diff_guest *g = ctx;

	g->exits++;
	if (g->leave)
		vcpu_request(&g->v, VCPU_REQ_KICK | (g->exits & 1 ? (uint32_t)VCPU_REQ_FLUSH : 0u));
}

void diff_put64(struct diff_guest *g, uint64_t pa, uint64_t val)
{
	st_le64(g->ram->host + pa, val);
}

void diff_map_page(struct diff_guest *g, uint64_t va, uint64_t pa, uint64_t bits)
{
	uint64_t table = P_TABLES;

	for (unsigned level = 3; level; level--) {
		uint64_t at = table + ((va >> (12 + 9 * level)) & 511) * 8;
		uint64_t e = ld_le64(g->ram->host + at);

		if (!e) {
			e = g->next_table | 7;
			g->next_table += 0x1000;
			diff_put64(g, at, e);
		}
		table = e & 0xffffff000ull;
	}
	diff_put64(g, table + ((va >> 12) & 511) * 8, pa | bits | 0x61); /* P, A, D */
}

/* A code or data descriptor and the segment register that holds it. */
static struct x86_seg descriptor(struct diff_guest *g, uint64_t table, uint16_t sel, uint32_t base,
				 uint32_t limit, uint32_t attr)
{
	uint32_t lim = attr & X86_ATTR_G ? limit >> 12 : limit;
	uint64_t d = (uint64_t)(lim & 0xffff) | (uint64_t)(base & 0xffffff) << 16 |
		     (uint64_t)(attr & 0xff) << 40 | (uint64_t)((lim >> 16) & 15) << 48 |
		     (uint64_t)((attr >> 12) & 15) << 52 | (uint64_t)(base >> 24) << 56;

	diff_put64(g, table + (sel & ~7u), d);
	return (struct x86_seg){.base = base, .limit = limit, .attr = attr, .sel = sel};
}

static void system_descriptor(struct diff_guest *g, uint16_t sel, uint64_t base, uint32_t limit,
			      uint32_t type)
{
	diff_put64(g, P_GDT + sel,
		   (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)(0x80 | type) << 40 |
			   (base >> 24 & 0xff) << 56);
	diff_put64(g, P_GDT + sel + 8, base >> 32);
}

static void build_segments(struct diff_guest *g)
{
	enum {
		FLAT = X86_ATTR_G | X86_ATTR_P | X86_ATTR_S,
		LDT = X86_ATTR_AVL | X86_ATTR_P | X86_ATTR_S,
		USER = X86_ATTR_DPL,
		DATA = 3,
		CODE = 11,
	};

	descriptor(g, P_GDT, SEL_KCS, 0, 0xffffffff, FLAT | X86_ATTR_L | CODE);
	g->ds[1] = g->ds[2] =
		descriptor(g, P_GDT, NATIVE_DS32, 0, 0xffffffff, FLAT | USER | X86_ATTR_DB | DATA);
	g->cs[1] =
		descriptor(g, P_GDT, NATIVE_CS32, 0, 0xffffffff, FLAT | USER | X86_ATTR_DB | CODE);
	g->cs[2] =
		descriptor(g, P_GDT, NATIVE_CS64, 0, 0xffffffff, FLAT | USER | X86_ATTR_L | CODE);
	g->cs[0] = descriptor(g, P_LDT, NATIVE_LDT_CS16, NATIVE_BASE, 0xffff, LDT | USER | CODE);
	g->ds[0] = descriptor(g, P_LDT, NATIVE_LDT_DS16, NATIVE_BASE, 0xffff, LDT | USER | DATA);
	g->fs[0] = g->fs[1] = descriptor(g, P_LDT, NATIVE_LDT_FS, NATIVE_FS_BASE, 0xffffffff,
					 LDT | USER | X86_ATTR_G | X86_ATTR_DB | DATA);
	g->gs[0] = g->gs[1] = descriptor(g, P_LDT, NATIVE_LDT_GS, NATIVE_GS_BASE, 0xffffffff,
					 LDT | USER | X86_ATTR_G | X86_ATTR_DB | DATA);
	g->fs[2] = (struct x86_seg){.base = NATIVE_FS_BASE, .attr = X86_ATTR_NULL};
	g->gs[2] = (struct x86_seg){.base = NATIVE_GS_BASE, .attr = X86_ATTR_NULL};
	system_descriptor(g, SEL_TSS, KERNEL + P_TSS, 0x67, 11);
	system_descriptor(g, SEL_LDT, KERNEL + P_LDT, 0x1f, 2);
}

static void build_memory(struct diff_guest *g, bool exits)
{
	memset(g->ram->host + P_CODE, 0xcc, NATIVE_CODE_SIZE);
	memset(g->ram->host + P_HANDLERS, 0xf4, 0x1000);
	g->next_table = P_TABLES + 0x1000;
	for (uint64_t pa = 0; pa < RAM_SIZE; pa += 0x1000)
		diff_map_page(g, KERNEL + pa, pa, 2);
	for (unsigned i = 0; i < NATIVE_CODE_SIZE; i += 0x1000)
		diff_map_page(g, NATIVE_CODE + i, P_CODE + i, 4);
	for (unsigned i = 0; i < NATIVE_MEM_SIZE; i += 0x1000) {
		uint64_t va = NATIVE_DATA + i, nx = 1ull << 63;

		if (va == NATIVE_HOLE)
			continue;
		diff_map_page(g, va, P_DATA + i, nx | 4 | (va == NATIVE_RO ? 0 : 2));
	}
	if (exits)
		diff_map_page(g, DIFF_EXIT, IO_EXIT, 6);
	/* IDT: interrupt gates; only #BP and #OF may be called from CPL 3 */
	for (unsigned i = 0; i < 256; i++) {
		uint64_t handler = KERNEL + P_HANDLERS + i * 16,
			 dpl = i == X86_BP || i == X86_OFV ? 3 : 0;

		diff_put64(g, P_IDT + i * 16,
			   (handler & 0xffff) | SEL_KCS << 16 | (0x8e | dpl << 5) << 40 |
				   (handler >> 16 & 0xffff) << 48);
		diff_put64(g, P_IDT + i * 16 + 8, handler >> 32);
	}
	diff_put64(g, P_TSS + 4, KERNEL + P_STACK); /* RSP0 */
	diff_put64(g, P_TSS + 100, 0x68ull << 16);  /* I/O map beyond the limit */
}

static void build_state(struct diff_guest *g)
{
	struct x86_state *s = &g->start;

	*s = g->v.s;
	s->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_AM |
		 X86_CR0_PG;
	s->cr3 = P_TABLES;
	s->cr4 = X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR |
		 X86_CR4_OSXMMEXCPT | X86_CR4_FSGSBASE | X86_CR4_OSXSAVE;
	s->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
	s->xcr0 = 7;
	s->gdtr = (struct x86_dtable){.base = KERNEL + P_GDT, .limit = 0x5f};
	s->idtr = (struct x86_dtable){.base = KERNEL + P_IDT, .limit = 0xfff};
	s->tr = (struct x86_seg){
		.base = KERNEL + P_TSS, .limit = 0x67, .attr = X86_ATTR_P | 11, .sel = SEL_TSS};
	s->ldtr = (struct x86_seg){
		.base = KERNEL + P_LDT, .limit = 0x1f, .attr = X86_ATTR_P | 2, .sel = SEL_LDT};
	s->activity = X86_ACT_RUN;
	s->shadow = 0;
}

struct diff_guest *diff_guest_new(const char *engine, bool exits, bool leave, bool at_once,
				  struct error *err)
{
	struct diff_guest *g = aligned_alloc(64, align_up(sizeof(*g), 64));
	struct mem_mapping *map;
	struct engine_caps caps;
	int r;

	if (!g)
		return NULL;
	memset(g, 0, sizeof(*g));
	if (mem_space_new(&g->mem, err) || mem_ram_new(g->mem, "ram", RAM_SIZE, &g->ram, err) ||
	    mem_map_ram(g->mem, "ram", 0, g->ram, 0, RAM_SIZE, false, MEM_PRIO_RAM, &map, err) ||
	    bus_init(&g->bus, g->mem, err))
		return NULL; /* a test program: it ends */
	g->leave = leave;
	g->clock = clock_new(NULL);
	clock_start(g->clock);
	g->exit = (struct bus_region){.name = "exit",
				      .size = 0x1000,
				      .valid = WIDTH_ANY,
				      .read = exit_read,
				      .write = exit_write,
				      .ctx = g};
	bus_lock(&g->bus);
	r = cpu_set_init(&g->cpus, &g->bus, err);
	if (!r)
		r = bus_map_mmio(&g->bus, &g->exit, IO_EXIT, MEM_PRIO_IO, err);
	bus_unlock(&g->bus);
	if (r || cpu_model_init(&g->model, "max", 1, 1000000000, err))
		return NULL;
	g->v.bus = &g->bus;
	g->v.mem = g->mem;
	g->v.clock = g->clock;
	g->v.model = &g->model;
	g->v.cpus = &g->cpus;
	if (x86_vcpu_init(&g->v, true, 0, err))
		return NULL;
	cpu_set_add(&g->cpus, &g->v);
	g->vm = (struct engine_vm){.ops = engine_pick(engine, &caps, err),
				   .translate_at_once = at_once,
				   .verify = engine_verifies(engine),
				   .mem = g->mem,
				   .bus = &g->bus,
				   .cpus = &g->cpus};
	if (!g->vm.ops || g->vm.ops->vm_init(&g->vm, err) ||
	    g->vm.ops->vcpu_init(&g->vm, &g->v, err))
		return NULL;
	/* Random code fills the pool all the time; locked, its pages do not go back to the host at
	 * each flush: a tenth of the time. Without the right to lock them it is only slower. */
	(void)mlock2(icpu(&g->v)->pool, icpu(&g->v)->pool_size, MLOCK_ONFAULT);
	build_memory(g, exits);
	build_segments(g);
	build_state(g);
	if (g->vm.ops->set_state(&g->v, &g->start))
		return NULL;
	g->v.debug.active = true;
	g->v.debug.single_step = true;
	return g;
}

void diff_guest_free(struct diff_guest *g)
{
	if (!g)
		return;
	g->vm.ops->vcpu_done(&g->v);
	g->vm.ops->vm_done(&g->vm);
	x86_vcpu_done(&g->v);
	bus_lock(&g->bus);
	cpu_set_done(&g->cpus);
	bus_unmap_mmio(&g->bus, &g->exit);
	bus_unlock(&g->bus);
	clock_free(g->clock);
	bus_done(&g->bus);
	mem_space_free(g->mem);
	free(g);
}

const struct cpu_model *diff_guest_model(const struct diff_guest *g)
{
	return &g->model;
}

void diff_fpu_in(struct x86_fpu *f, const uint8_t *x)
{
	f->fcw = ld_le16(x);
	f->fsw = ld_le16(x + 2);
	f->ftw = x[4];
	f->fop = ld_le16(x + 6);
	f->fip = ld_le64(x + 8);
	f->fdp = ld_le64(x + 16);
	f->fcs = f->fds = 0;
	f->mxcsr = ld_le32(x + 24);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(f->st[i], x + 32 + i * 16, 16);
		memset(f->st[i] + 10, 0, 6);
	}
	for (unsigned i = 0; i < 16; i++) {
		memcpy(f->ymm[i], x + 160 + i * 16, 16);
		memcpy(f->ymm[i] + 16, x + 576 + i * 16, 16);
	}
}

void diff_fpu_out(const struct x86_fpu *f, uint8_t *x)
{
	memset(x, 0, NATIVE_XSAVE);
	st_le16(x, f->fcw);
	st_le16(x + 2, f->fsw);
	x[4] = f->ftw;
	st_le16(x + 6, f->fop);
	st_le64(x + 8, f->fip);
	st_le64(x + 16, f->fdp);
	st_le32(x + 24, f->mxcsr);
	for (unsigned i = 0; i < 8; i++)
		memcpy(x + 32 + i * 16, f->st[i], 16);
	for (unsigned i = 0; i < 16; i++) {
		memcpy(x + 160 + i * 16, f->ymm[i], 16);
		memcpy(x + 576 + i * 16, f->ymm[i] + 16, 16);
	}
}

void diff_guest_free_run(struct diff_guest *g)
{
	g->free = true;
}

/* Can the instruction run without single step? Not what may change modes or trap by itself, and not
 * a branch into its own bytes. */
static bool runs_free(const struct diff_guest *g, const struct native_case *c)
{
	struct insn in;

	if (!g->free || insn_decode(c->code, c->code_len, c->bits, &in))
		return false;
	if (in.special == SP_JCC || in.special == SP_JMP_REL || in.special == SP_CALL_REL ||
	    in.special == SP_LOOP || in.special == SP_JCXZ)
		return in.imm + in.len >= in.len && (int64_t)(in.imm + in.len) >= 0;
	return in.special <= SP_OUTS ? in.special != SP_POPF : in.special >= SP_FXSAVE;
}

void diff_load_state(struct diff_guest *g, const struct native_state *from, unsigned bits)
{
	static const uint8_t mode_of[65] = {[16] = 0, [32] = 1, [64] = 2};
	struct x86_state *s = &g->v.s;
	unsigned m = mode_of[bits];

	s->cr0 = g->start.cr0;
	memcpy(s->gpr, from->gpr, sizeof(s->gpr));
	s->rip = from->rip;
	s->rflags = from->rflags;
	s->seg[X86_CS] = g->cs[m];
	s->seg[X86_SS] = s->seg[X86_DS] = s->seg[X86_ES] = g->ds[m];
	s->seg[X86_FS] = g->fs[m];
	s->seg[X86_GS] = g->gs[m];
	s->shadow = 0;
	s->pending_dbg = 0;
	s->activity = X86_ACT_RUN;
	s->cr2 = 0;
	diff_fpu_in(&s->fpu, from->xsave);
	g->v.next_rip = s->rip;
	x86_update_mode(&g->v);
}

static void load_case(struct diff_guest *g, struct native_case *c, const void *code, unsigned n)
{
	c->state.rip = NATIVE_CODE + c->code_off - (c->bits == 16 ? NATIVE_BASE : 0);
	diff_load_state(g, &c->state, c->bits);
	check(mem_write(g->mem, P_CODE + c->code_off, code, n) == 0);
	native_fill(c, g->ram->host + P_DATA);
}

/* After a delivery the vCPU stands at a handler with the frame on the kernel stack. */
static void save_fault(struct diff_guest *g, struct native_case *c)
{
	struct x86_state *s = &g->v.s;
	uint64_t at = s->gpr[X86_RSP] - KERNEL;
	const uint8_t *frame = g->ram->host + at;

	c->vector = (uint8_t)((s->rip - KERNEL - P_HANDLERS) / 16);
	c->stop = NATIVE_FAULT;
	c->error = 0;
	if (at > P_STACK - 40u || at < P_STACK - 64u) {
		c->stop = NATIVE_KILLED;
		return;
	}
	if (0x27d00u >> c->vector & 1) { /* vectors with an error code: 8 10-14 17 */
		c->error = ld_le16(frame);
		frame += 8;
	}
	c->state.rip = ld_le64(frame);
	c->sel[X86_CS] = ld_le16(frame + 8);
	c->state.rflags = ld_le64(frame + 16);
	c->state.gpr[X86_RSP] = ld_le64(frame + 24);
	c->sel[X86_SS] = ld_le16(frame + 32);
	if (c->vector == X86_PFV)
		c->cr2 = s->cr2;
	if (c->vector == X86_BP || c->vector == X86_OFV)
		c->stop = c->vector == X86_BP ? NATIVE_TRAP : NATIVE_FAULT;
}

/* A free run ended in a breakpoint or at a place without code: that is where a step would be. */
static void end_free(struct native_case *c, uint64_t start)
{
	bool fetch = c->vector == X86_PFV && c->error & 16;

	if (c->vector == X86_BP)
		c->state.rip--;
	else if (!fetch || c->state.rip == start)
		return;
	c->stop = NATIVE_TRAP;
	c->vector = X86_BP;
	c->cr2 = 0;
	c->error = 0;
	c->state.rflags &= ~(uint64_t)X86_RF;
}

static void run_code(struct diff_guest *g, struct native_case *c, const void *code, unsigned n,
		     bool free)
{
	struct x86_state *s = &g->v.s;
	uint8_t breakpoints[DIFF_SEQ_BYTES];
	struct vcpu_exit ex;
	uint64_t start;

	load_case(g, c, code, n);
	g->v.debug.active = g->v.debug.single_step = !free;
	start = s->rip;
	c->cr2 = 0;
	/* a repeated string instruction may take several steps */
	for (unsigned i = 0; i < (c->step ? 1 : 5000); i++) {
		check(g->vm.ops->run(&g->vm, &g->v, &ex) == 0);
		if (ex.reason == VCPU_EXIT_KICK)
			continue;
		if (ex.reason != VCPU_EXIT_DEBUG || s->rip != start)
			break;
	}
	s->rip -= ex.reason == VCPU_EXIT_HALT; /* the handler's HLT */
	c->stop = ex.reason == VCPU_EXIT_DEBUG ? NATIVE_TRAP : NATIVE_KILLED;
	c->vector = X86_BP;
	memcpy(c->state.gpr, s->gpr, sizeof(s->gpr));
	c->state.rip = s->rip;
	c->state.rflags = s->rflags;
	diff_fpu_out(&s->fpu, c->state.xsave);
	c->x87 = (struct native_x87){.fip = (uint32_t)s->fpu.fip,
				     .fdp = (uint32_t)s->fpu.fdp,
				     .fop = s->fpu.fop,
				     .fcs = s->fpu.fcs,
				     .fds = s->fpu.fds};
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		c->sel[i] = s->seg[i].sel;
	c->fs_base = s->seg[X86_FS].base;
	c->gs_base = s->seg[X86_GS].base;
	if (g->v.cpl == 0)
		save_fault(g, c);
	if (free)
		end_free(c, start);
	memcpy(c->mem, g->ram->host + P_DATA, NATIVE_MEM_SIZE);
	memset(breakpoints, 0xcc, sizeof(breakpoints));
	check(mem_write(g->mem, P_CODE + c->code_off, breakpoints, n) == 0);
}

void diff_guest_run(struct diff_guest *g, struct native_case *c)
{
	run_code(g, c, c->code,
		 MIN((unsigned)c->code_len, (unsigned)NATIVE_CODE_SIZE - c->code_off),
		 runs_free(g, c));
}

void diff_guest_run_seq(struct diff_guest *g, struct native_case *c, const uint8_t *code,
			unsigned n)
{
	check(n <= DIFF_SEQ_BYTES && c->code_off + n < NATIVE_CODE_SIZE);
	run_code(g, c, code, n, true);
}

uint64_t diff_guest_exits(const struct diff_guest *g)
{
	return g->exits;
}
