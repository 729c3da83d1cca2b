/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guest that runs programs (prog.h): that of diff_guest.c with an operating system. Its
 * handlers are guest code; what they shall do is decided by the device that they all store to
 * (on_trap()), which leaves it in the mailbox: copy a page and perhaps spoil the old
 * one, store a
 * page-table entry, INVLPG, load CR3, toggle CR4.PGE. So whatever invalidates something is an
 * instruction of the guest, as in real ones.
 *
 * Physical: frames from P_FRAMES on, for the pages of a program and some more to move them to; the
 * mailbox at P_MAILBOX, the handlers' common part at P_COMMON.
 *
 * Faults that come from what the operating system did with a page are its own business; all others
 * are the program's (prog_note()), which then goes on where it wants to.
 */
#include "prog.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/base.h"
#include "base/bits.h"
#include "cpu/x86/mmu.h"
#include "diff_guest.h"

#define P_MAILBOX 0x9000u
#define P_COMMON  0xa000u
#define P_FRAMES  0x50000u
#define FRAMES    ((RAM_SIZE - P_FRAMES) / 0x1000)
#define IO_TRAP   (IO_EXIT + 0x1000u)
#define TRAP_VA   (KERNEL + 0x200000)
#define IRQ       0x40u
#define LOST_S    20

enum { FR_R15, FR_RDI = 8, FR_RAX = 14, FR_VECTOR, FR_ERROR, FR_RIP, FR_CS, FR_RFLAGS, FR_RSP };
enum { MB_CR2 = 0, MB_RSP = 8, MB_COUNT = 16, MB_FROM = 24, MB_TO = 32, MB_PTE = 40 };
enum { MB_VALUE = 48, MB_INVLPG = 56, MB_CR3 = 64, MB_PGE = 65, MB_SPOIL = 66, MB_SIZE = 72 };

/* clang-format off */
/*
 * push rax, rcx, rdx, rbx, rbp, rsi, rdi, r8 .. r15; mov rbx, mailbox; mov rax, cr2; mov [rbx], rax
 * mov [rbx + 8], rsp; mov rdx, TRAP_VA; mov [rdx], al; mov rcx, [rbx + 16]; test rcx, rcx; jz .1
 * mov rsi, [rbx + 24]; mov rdi, [rbx + 32]; cld; rep movsq; cmp byte [rbx + 66], 0; je .1
 * mov rdi, [rbx + 24]; mov ecx, 512; mov rax, 0xcccccccccccccccc; rep stosq
 * .1: mov rdi, [rbx + 40]; test rdi, rdi; jz .2; mov rax, [rbx + 48]; mov [rdi], rax
 * .2: mov rdi, [rbx + 56]; test rdi, rdi; jz .3; invlpg [rdi]
 * .3: cmp byte [rbx + 64], 0; je .4; mov rax, cr3; mov cr3, rax
 * .4: cmp byte [rbx + 65], 0; je .5; mov rax, cr4; xor al, 80h; mov cr4, rax; xor al, 80h
 * mov cr4, rax; .5: pop r15 .. r8, rdi, rsi, rbp, rbx, rdx, rcx, rax; add rsp, 16; iretq
 */
/* clang-format on */
static const uint8_t common[] = {
	/* clang-format off */
	0x50, 0x51, 0x52, 0x53, 0x55, 0x56, 0x57, 0x41, 0x50, 0x41, 0x51, 0x41, 0x52, 0x41, 0x53,
	0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x48, 0xbb, 0x00, 0x90, 0x00, 0x00, 0x00,
	0x80, 0xff, 0xff, 0x0f, 0x20, 0xd0, 0x48, 0x89, 0x03, 0x48, 0x89, 0x63, 0x08, 0x48, 0xba,
	0x00, 0x00, 0x20, 0x00, 0x00, 0x80, 0xff, 0xff, 0x88, 0x02, 0x48, 0x8b, 0x4b, 0x10, 0x48,
	0x85, 0xc9, 0x74, 0x28, 0x48, 0x8b, 0x73, 0x18, 0x48, 0x8b, 0x7b, 0x20, 0xfc, 0xf3, 0x48,
	0xa5, 0x80, 0x7b, 0x42, 0x00, 0x74, 0x16, 0x48, 0x8b, 0x7b, 0x18, 0xb9, 0x00, 0x02, 0x00,
	0x00, 0x48, 0xb8, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xf3, 0x48, 0xab, 0x48,
	0x8b, 0x7b, 0x28, 0x48, 0x85, 0xff, 0x74, 0x07, 0x48, 0x8b, 0x43, 0x30, 0x48, 0x89, 0x07,
	0x48, 0x8b, 0x7b, 0x38, 0x48, 0x85, 0xff, 0x74, 0x03, 0x0f, 0x01, 0x3f, 0x80, 0x7b, 0x40,
	0x00, 0x74, 0x06, 0x0f, 0x20, 0xd8, 0x0f, 0x22, 0xd8, 0x80, 0x7b, 0x41, 0x00, 0x74, 0x0d,
	0x0f, 0x20, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0, 0x34, 0x80, 0x0f, 0x22, 0xe0, 0x41, 0x5f,
	0x41, 0x5e, 0x41, 0x5d, 0x41, 0x5c, 0x41, 0x5b, 0x41, 0x5a, 0x41, 0x59, 0x41, 0x58, 0x5f,
	0x5e, 0x5d, 0x5b, 0x5a, 0x59, 0x58, 0x48, 0x83, 0xc4, 0x10, 0x48, 0xcf,
	/* clang-format on */
};

enum { PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_G = 0x100 };

struct page {
	uint64_t va;
	enum prog_access may;
	unsigned frame;
	bool present, writable, global;
};

struct prog_guest {
	struct diff_guest *g;
	struct prog *p; /* that runs */
	struct page page[PROG_PAGES];
	bool frame_used[FRAMES];
	uint64_t rng, tables; /* physical address of the table of all pages */
	struct bus_region trap;
	bool storm, done, lost;
	uint64_t gone, protected, moved, irqs, soft, spurious, left;
};

/* A signal handler has no argument of ours. */
static struct {
	struct vcpu *v;
	volatile sig_atomic_t irq;
	unsigned n;
} storm;

static unsigned below(struct prog_guest *g, unsigned n)
{
	return (unsigned)((diff_xorshift(&g->rng) >> 32) * n >> 32);
}

static bool one_in(struct prog_guest *g, unsigned n)
{
	return below(g, n) == 0;
}

static uint8_t *ram(const struct prog_guest *g, uint64_t pa)
{
	return g->g->ram->host + pa;
}

/* ---- the operating system ---- */

static uint64_t entry_of(struct prog_guest *g, const struct page *pg)
{
	uint64_t e = P_FRAMES + (uint64_t)pg->frame * 0x1000;

	if (!pg->present)
		return one_in(g, 2) ? 0 : e;
	e |= 1 | PTE_U | (pg->writable ? PTE_W : 0) | (pg->global ? PTE_G : 0);
	if (pg->may != PROG_RWX)
		e |= 1ull << 63;
	/* sometimes the processor has to set these */
	if (!one_in(g, 3))
		e |= PTE_A | (pg->writable && !one_in(g, 3) ? PTE_D : 0);
	return e;
}

static uint64_t entry_at(const struct prog_guest *g, const struct page *pg)
{
	return g->tables + (pg->va >> 12 & 511) * 8;
}

static void mail(struct prog_guest *g, unsigned field, uint64_t val)
{
	st_le64(ram(g, P_MAILBOX + field), val);
}

static void mail_entry(struct prog_guest *g, const struct page *pg)
{
	mail(g, MB_PTE, KERNEL + entry_at(g, pg));
	mail(g, MB_VALUE, entry_of(g, pg));
}

/* Global pages survive a load of CR3. */
static void mail_invalidate(struct prog_guest *g, const struct page *pg, bool was_global)
{
	if (one_in(g, 8))
		ram(g, P_MAILBOX)[MB_PGE] = 1;
	else if (!was_global && one_in(g, 4))
		ram(g, P_MAILBOX)[MB_CR3] = 1;
	else
		mail(g, MB_INVLPG, pg->va + below(g, 0x1000));
}

static void move_page(struct prog_guest *g, struct page *pg)
{
	unsigned to = below(g, FRAMES);

	while (g->frame_used[to])
		to = (to + 1) % FRAMES;
	mail(g, MB_COUNT, 512);
	mail(g, MB_FROM, KERNEL + P_FRAMES + (uint64_t)pg->frame * 0x1000);
	mail(g, MB_TO, KERNEL + P_FRAMES + (uint64_t)to * 0x1000);
	ram(g, P_MAILBOX)[MB_SPOIL] = one_in(g, 2);
	g->frame_used[pg->frame] = false;
	g->frame_used[to] = true;
	pg->frame = to;
	pg->present = true;
	pg->writable = pg->may >= PROG_RW;
	g->moved++;
}

/* Something behind the program's back. */
static void work(struct prog_guest *g)
{
	unsigned kind = below(g, 8), i = below(g, PROG_PAGES);
	struct page *pg;
	bool was_global;

	if (one_in(g, 2)) /* the low pages are used more */
		i %= 16;
	pg = &g->page[i];
	was_global = pg->global;
	if (pg->may == PROG_NONE || kind >= 6) {
		ram(g, P_MAILBOX)[MB_CR3] = kind == 6;
		ram(g, P_MAILBOX)[MB_PGE] = kind == 7 && one_in(g, 4);
		return;
	}
	if (kind <= 1) {
		pg->present = false;
		g->gone++;
	} else if (kind == 2 && pg->may >= PROG_RW) {
		pg->present = true;
		pg->writable = false;
		g->protected ++;
	} else if (kind <= 4) {
		move_page(g, pg);
	}
	if (one_in(g, 4))
		pg->global = !pg->global;
	mail_entry(g, pg);
	mail_invalidate(g, pg, was_global);
}

static void raise_irq(struct prog_guest *g)
{
	struct vcpu *v = &g->g->v;
	unsigned vector = IRQ + below(g, 64);

	v->s.lapic.svr = 0x1ff;
	v->s.lapic.irr[vector >> 5] |= 1u << (vector & 31);
	vcpu_request(v, VCPU_REQ_EVENT);
	g->irqs++;
}

/* Is the fault at @va ours? Then the page is made what it shall be. */
static bool soft_fault(struct prog_guest *g, uint64_t va, uint64_t error)
{
	enum prog_access need = error & 16 ? PROG_RWX : error & 2 ? PROG_RW : PROG_RO;
	struct page *pg = NULL;
	bool spurious, was_global;

	for (unsigned i = 0; i < PROG_PAGES && !pg; i++)
		if (g->page[i].va == (va & ~0xfffull))
			pg = &g->page[i];
	if (!pg || pg->may < need)
		return false;
	was_global = pg->global;
	spurious = pg->present && (need != PROG_RW || pg->writable);
	g->spurious += spurious;
	g->soft++;
	if (one_in(g, 6))
		move_page(g, pg);
	pg->present = true;
	/* a copy of a page that is written often comes with the store only */
	pg->writable = pg->may >= PROG_RW && (error & 2 || !one_in(g, 4));
	mail_entry(g, pg);
	if (spurious || one_in(g, 2) || ld_le64(ram(g, P_MAILBOX + MB_COUNT)))
		mail_invalidate(g, pg, was_global);
	return true;
}

static void finish(struct prog_guest *g, bool lost)
{
	g->done = true;
	g->lost = lost;
	vcpu_request(&g->g->v, VCPU_REQ_KICK);
}

static void program_fault(struct prog_guest *g, uint8_t *frame, unsigned vector, uint64_t error)
{
	struct prog_fault f = {.vector = (uint8_t)vector,
			       .error = (uint16_t)error,
			       .rip = ld_le64(frame + FR_RIP * 8),
			       .rflags = ld_le64(frame + FR_RFLAGS * 8),
			       .cr2 = ld_le64(ram(g, P_MAILBOX + MB_CR2))};
	static const uint8_t at[16] = {14, 13, 12, 11, FR_RSP, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0};

	for (unsigned i = 0; i < 16; i++)
		f.gpr[i] = ld_le64(frame + at[i] * 8u);
	if (vector == X86_UD && f.rip == g->p->end) {
		memcpy(g->p->out.gpr, f.gpr, sizeof(f.gpr));
		g->p->out.rip = f.rip;
		g->p->out.rflags = f.rflags & ~0x10000ull;
		finish(g, false);
		return;
	}
	prog_note(g->p, &f);
	st_le64(frame + FR_RIP * 8, g->p->recover);
}

static void on_trap(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct prog_guest *g = ctx;
	struct vcpu *v = &g->g->v;
	uint64_t sp = ld_le64(ram(g, P_MAILBOX + MB_RSP)) - KERNEL, error;
	uint8_t *frame = ram(g, sp);
	unsigned vector;

	memset(ram(g, P_MAILBOX + MB_COUNT), 0, MB_SIZE - MB_COUNT);
	if (sp > P_STACK - 64u || (ld_le64(frame + FR_CS * 8) & 3) != 3) {
		finish(g, true);
		return;
	}
	vector = (unsigned)ld_le64(frame + FR_VECTOR * 8);
	error = ld_le64(frame + FR_ERROR * 8);
	if (vector >= IRQ) {
		v->s.lapic.isr[vector >> 5] &= ~(1u << (vector & 31));
		vcpu_request(v, VCPU_REQ_EVENT);
	} else if (vector == X86_BP) {
		g->p->calls++;
	} else if (vector != X86_PFV ||
		   !soft_fault(g, ld_le64(ram(g, P_MAILBOX + MB_CR2)), error)) {
		program_fault(g, frame, vector, error);
	}
	if (!g->storm || g->done)
		return;
	if (!ld_le64(ram(g, P_MAILBOX + MB_PTE)) && (vector >= IRQ || one_in(g, 4)))
		work(g);
	if (one_in(g, 16))
		raise_irq(g);
	if (one_in(g, 16)) {
		vcpu_request(v, VCPU_REQ_KICK | (one_in(g, 4) ? (uint32_t)VCPU_REQ_FLUSH : 0u));
		g->left++;
	}
}

static uint64_t read_trap(void *ctx, uint64_t off, unsigned size)
{
	return 0;
}

/* ---- the machine ---- */

static void on_alarm(int sig)
{
	static const uint32_t req[] = {VCPU_REQ_KICK, VCPU_REQ_EVENT, VCPU_REQ_EVENT,
				       VCPU_REQ_FLUSH};
	unsigned n = storm.n++;

	if (n % 4 == 0)
		storm.irq = 1; /* run() is left, and entered with an interrupt */
	if (n % 4 == 1)
		storm.v->s.nmi_pending = 1;
	atomic_fetch_or(&storm.v->request, req[n % 4]);
}

static void set_timer(struct prog_guest *g)
{
	struct itimerval t = {.it_value = {.tv_sec = 1}, .it_interval = {.tv_sec = 1}};

	if (g->storm) {
		t.it_interval.tv_sec = t.it_value.tv_sec = 0;
		t.it_interval.tv_usec = t.it_value.tv_usec = 20 + (int)below(g, 1500);
	}
	setitimer(ITIMER_REAL, &t, NULL);
}

/* One stub of 16 bytes for each vector: push 0 unless the processor pushes an error code; push
 * vector; jmp common. NMI: iretq. */
static void build_handlers(struct prog_guest *g)
{
	for (unsigned i = 0; i < 256; i++) {
		uint8_t *b = ram(g, P_HANDLERS + i * 16u);
		bool has_error = i == 8 || (i >= 10 && i <= 14) || i == 17;

		b[0] = has_error ? 0x90 : 0x6a; /* nop; nop */
		b[1] = has_error ? 0x90 : 0;
		b[2] = 0x68;
		st_le32(b + 3, i);
		b[7] = 0xe9;
		st_le32(b + 8, P_COMMON - (P_HANDLERS + i * 16u + 12));
		if (i == X86_NMI) {
			b[0] = 0x48;
			b[1] = 0xcf;
		}
	}
	memcpy(ram(g, P_COMMON), common, sizeof(common));
}

static uint64_t find_table(const struct prog_guest *g)
{
	uint64_t t = P_TABLES;

	for (unsigned level = 3; level; level--)
		t = ld_le64(ram(g, t + ((uint64_t)NATIVE_BASE >> (12 + 9 * level) & 511) * 8)) &
		    0xffffff000ull;
	return t;
}

struct prog_guest *prog_guest_new(const char *engine, bool with_storm, bool at_once,
				  struct error *err)
{
	struct prog_guest *g = xnew(struct prog_guest);
	struct diff_guest *d = diff_guest_new(engine, false, false, at_once, err);
	int r;

	if (!d)
		return NULL; /* a test program: it ends */
	g->g = d;
	g->storm = with_storm;
	g->rng = 0x1234567;
	d->v.debug.active = d->v.debug.single_step = false;
	build_handlers(g);
	g->trap = (struct bus_region){.name = "trap",
				      .size = 0x1000,
				      .valid = WIDTH_ANY,
				      .read = read_trap,
				      .write = on_trap,
				      .ctx = g};
	bus_lock(&d->bus);
	r = bus_map_mmio(&d->bus, &g->trap, IO_TRAP, MEM_PRIO_IO, err);
	bus_unlock(&d->bus);
	if (r)
		return NULL;
	diff_map_page(d, TRAP_VA, IO_TRAP, PTE_W);
	g->tables = find_table(g);
	for (unsigned i = 0; i < PROG_PAGES; i++)
		g->page[i].va = prog_page(i, &g->page[i].may);
	return g;
}

void prog_guest_free(struct prog_guest *g)
{
	if (!g)
		return;
	bus_lock(&g->g->bus);
	bus_unmap_mmio(&g->g->bus, &g->trap);
	bus_unlock(&g->g->bus);
	diff_guest_free(g->g);
	free(g);
}

/* Neighbours in neighbouring frames at first, so that there are ranges of pages. */
static void load_pages(struct prog_guest *g)
{
	unsigned first = below(g, FRAMES - PROG_PAGES);

	memset(g->frame_used, 0, sizeof(g->frame_used));
	for (unsigned i = 0; i < PROG_PAGES; i++) {
		struct page *pg = &g->page[i];

		pg->frame = first + i;
		pg->present = true;
		pg->writable = pg->may >= PROG_RW;
		pg->global = g->storm && one_in(g, 4);
		if (pg->may == PROG_NONE) {
			diff_put64(g->g, entry_at(g, pg), 0);
			continue;
		}
		g->frame_used[pg->frame] = true;
		check(mem_write(g->g->mem, P_FRAMES + pg->frame * 0x1000u, g->p->image + i * 0x1000,
				0x1000) == 0);
		diff_put64(g->g, entry_at(g, pg), entry_of(g, pg));
	}
	x86_tlb_flush(&g->g->v);
}

static double thread_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void prog_guest_run(struct prog_guest *g, struct prog *p)
{
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART}, old;
	const struct itimerval never = {{0, 0}, {0, 0}};
	struct vcpu *v = &g->g->v;
	double start = thread_seconds();
	struct vcpu_exit ex;

	g->p = p;
	g->rng = p->id * 0x9e3779b97f4a7c15ull | 1;
	g->done = g->lost = false;
	p->faults = p->hash = p->calls = 0;
	load_pages(g);
	diff_load_state(g->g, &p->state, p->bits);
	memset(v->s.lapic.irr, 0, sizeof(v->s.lapic.irr));
	memset(v->s.lapic.isr, 0, sizeof(v->s.lapic.isr));
	storm.v = v;
	storm.n = below(g, 4);
	sigaction(SIGALRM, &sa, &old);
	set_timer(g);
	for (;;) {
		check(g->g->vm.ops->run(&g->g->vm, v, &ex) == 0);
		if (g->done || ex.reason != VCPU_EXIT_KICK || thread_seconds() - start > LOST_S)
			break;
		if (storm.irq && g->storm)
			raise_irq(g);
		storm.irq = 0;
	}
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	v->s.nmi_pending = 0;
	p->stop = g->done && !g->lost ? NATIVE_TRAP : NATIVE_KILLED;
	if (p->stop == NATIVE_KILLED)
		printf("lost: exit %d at %llx, mode %x\n", ex.reason, (unsigned long long)v->s.rip,
		       v->mode);
	diff_fpu_out(&v->s.fpu, p->out.xsave);
	for (unsigned i = 0; i < PROG_PAGES; i++)
		if (g->page[i].may != PROG_NONE)
			memcpy(p->image + i * 0x1000, ram(g, P_FRAMES + g->page[i].frame * 0x1000u),
			       0x1000);
}

void prog_guest_work(const struct prog_guest *g, char *text, size_t size)
{
	snprintf(text, size,
		 "pages gone %llu, protected %llu, moved %llu, brought back %llu (%llu for "
		 "nothing), interrupts %llu, left %llu; %llu instructions counted",
		 (unsigned long long)g->gone, (unsigned long long)g->protected,
		 (unsigned long long)g->moved, (unsigned long long)g->soft,
		 (unsigned long long)g->spurious, (unsigned long long)g->irqs,
		 (unsigned long long)g->left, (unsigned long long)g->g->v.count.insns);
}
