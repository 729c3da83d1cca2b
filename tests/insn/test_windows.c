/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of a program in a row (cpu/x86/window.c) under random programs: a user program whose loads,
 * stores, pushes, calls and string instructions wander over 70 pages, and an operating system that
 * takes pages away, moves and write-protects them, clears their accessed and dirty bits, changes
 * tables and address spaces meanwhile, with INVLPG, CR3 or CR4.PGE as is due. The same runs on the
 * interpreter and on the engine of BOTHY_TEST_ENGINE; registers, all of RAM (so page tables, too)
 * and every page fault (address, error code, RIP, RSP, flags) must be the same. Lockstep cannot do
 * that: it looks at each store, so there are no windows. Intel SDM vol. 3, 4.7 (page faults), 4.8
 * (accessed and dirty flags), 4.10 (caching translation information).
 *
 * A page of RAM may be at several addresses, but not in programs with REP MOVS: where its source
 * and its destination are one page at two addresses, the host's processor does not store byte by
 * byte either (of 24 bytes moved up by one on a Sapphire Rapids only the first is right).
 *
 * BOTHY_SEED and BOTHY_WINDOW_PROGRAMS say which programs and how many.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <x86intrin.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "machine.h"

#define KERNEL    0x20000u
#define PF        0x70u /* in KERNEL */
#define SCRIPT_AT 0x28000u
#define FAULTS    0x28010u
#define GOOD      0x29000u /* what page I is to be when a fault says that it is not */
#define SCRIPT    0x30000u
#define FIRST     0x3de000u /* the pages: two tables have them */
#define BASE      0x3e0000u /* pointers begin here ... */
#define WRAP      0x3ffffu  /* ... and go no further than that */
#define PAGES     70u
#define FRAMES    140u
#define FRAME     0x800000u
#define PD        0x12000u
#define TABLE     0x14000u /* of the pages below 16 MiB, in order */
#define PD2       0x1e000u /* of the second space; its PML4 and PDPT before it */
#define TABLE2    0x22000u /* and its tables for the two of PD[1] and PD[2] */
#define CR3       0x10000u
#define CR3_2     0x1c000u
#define AD        0x60u
#define GLOBAL    0x100u
#define CALLS     100u /* of the operating system before its script begins again */

/*
 * At CPL 0. #UD, which stands for a system call: the next call of the script, a list of three
 * words: store the second to the first, then INVLPG of the third; or third 0: nothing; 1: CR3 =
 * second; 2: CR4.PGE off and on. A word of 0 ends it. User RIP += 2.
 * #PF: what is known of it goes into a sum; the page's entry becomes GOOD[page].
 */
static const uint8_t kernel[] = {
	/* clang-format off */
	0x50, 0x52, 0x57, 0x48, 0x8b, 0x3c, 0x25, 0x00, 0x80, 0x02, 0x00, 0x48, 0x8b, 0x17, 0x48, 0x85,
	0xd2, 0x74, 0x3c, 0x48, 0x8b, 0x47, 0x08, 0x48, 0x89, 0x02, 0x48, 0x8b, 0x57, 0x10, 0x48, 0x83,
	0xc7, 0x18, 0x48, 0x83, 0xfa, 0x02, 0x77, 0x22, 0x74, 0x09, 0x85, 0xd2, 0x74, 0xdd, 0x0f, 0x22,
	0xd8, 0xeb, 0xd8, 0x0f, 0x20, 0xe2, 0x81, 0xf2, 0x80, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe2, 0x81,
	0xf2, 0x80, 0x00, 0x00, 0x00, 0x0f, 0x22, 0xe2, 0xeb, 0xc1, 0x0f, 0x01, 0x3a, 0xeb, 0xbc, 0x48,
	0x83, 0xc7, 0x08, 0x48, 0x83, 0x3f, 0xff, 0x75, 0x05, 0xbf, 0x00, 0x00, 0x03, 0x00, 0x48, 0x89,
	0x3c, 0x25, 0x00, 0x80, 0x02, 0x00, 0x5f, 0x5a, 0x58, 0x48, 0x83, 0x04, 0x24, 0x02, 0x48, 0xcf,
	0x50, 0x52, 0x57, 0x0f, 0x20, 0xd2, 0x48, 0x8b, 0x04, 0x25, 0x08, 0x80, 0x02, 0x00, 0x48, 0xc1,
	0xc0, 0x07, 0x48, 0x31, 0xd0, 0x48, 0x69, 0xc0, 0xb1, 0x79, 0x37, 0x1e, 0x48, 0x03, 0x44, 0x24,
	0x18, 0x48, 0xc1, 0xc0, 0x09, 0x48, 0x03, 0x44, 0x24, 0x20, 0x48, 0x69, 0xc0, 0xb1, 0x79, 0x37,
	0x1e, 0x48, 0x03, 0x44, 0x24, 0x30, 0x48, 0xc1, 0xc0, 0x0b, 0x48, 0x03, 0x44, 0x24, 0x38, 0x48,
	0x89, 0x04, 0x25, 0x08, 0x80, 0x02, 0x00, 0x48, 0xff, 0x04, 0x25, 0x10, 0x80, 0x02, 0x00, 0x48,
	0x8d, 0xba, 0x00, 0x20, 0xc2, 0xff, 0x48, 0xc1, 0xef, 0x0c, 0x48, 0x83, 0xff, 0x46, 0x73, 0x53,
	0x48, 0x8b, 0x04, 0xfd, 0x00, 0x90, 0x02, 0x00, 0x0f, 0x20, 0xdf, 0x48, 0x81, 0xe7, 0x00, 0xf0,
	0xff, 0xff, 0x48, 0x8b, 0x3f, 0x48, 0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff, 0x48, 0x8b, 0x3f, 0x48,
	0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff, 0x52, 0x48, 0xc1, 0xea, 0x15, 0x48, 0x8b, 0x3c, 0xd7, 0x48,
	0x81, 0xe7, 0x00, 0xf0, 0xff, 0xff, 0x5a, 0x52, 0x48, 0xc1, 0xea, 0x0c, 0x81, 0xe2, 0xff, 0x01,
	0x00, 0x00, 0x48, 0x89, 0x04, 0xd7, 0x5a, 0x0f, 0x01, 0x3a, 0x5f, 0x5a, 0x58, 0x48, 0x83, 0xc4,
	0x08, 0x48, 0xcf, 0xf4, 0xeb, 0xfd,
	/* clang-format on */
};

struct prog {
	struct im *m[2]; /* interpreter, engine */
	uint64_t rng;
	bool global, spaces, alias, pcid;
	unsigned space;  /* that the script is in */
	bool changed[2]; /* entries of a space have, since what is cached of it was forgotten */
	uint8_t code[8192];
	unsigned n, moved; /* by how much pointers may have moved in one turn */
};

static uint32_t draw(struct prog *p, uint32_t below)
{
	p->rng = p->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(p->rng >> 33) % below;
}

static bool one_in(struct prog *p, uint32_t n)
{
	return draw(p, n) == 0;
}

/* ---- the program ---- */

static void byte(struct prog *p, unsigned b)
{
	p->code[p->n++] = (uint8_t)b;
}

static void word32(struct prog *p, uint32_t val)
{
	st_le32(p->code + p->n, val);
	p->n += 4;
}

static void bytes(struct prog *p, const char *b, unsigned n)
{
	memcpy(p->code + p->n, b, n);
	p->n += n;
}

#define PUTS(p, s) bytes((p), (s), sizeof(s) - 1)

static const uint8_t bases[] = {X86_RSI, X86_RDI, X86_R8,  X86_R9,
				X86_R12, X86_R13, X86_RBP, X86_RSP};
static const uint8_t values[] = {X86_RAX, X86_RBX, X86_RDX, X86_RCX, X86_R10, X86_R15};

static unsigned any_base(struct prog *p)
{
	return bases[draw(p, ARRAY_SIZE(bases))];
}

static unsigned any_value(struct prog *p)
{
	return values[draw(p, ARRAY_SIZE(values))];
}

/* PREFIX REX OPCODE reg, [base + disp]; @op with 0x0f in its upper byte: two bytes. */
static void mem_op(struct prog *p, unsigned prefix, bool wide, unsigned op, unsigned reg,
		   unsigned base, uint32_t disp)
{
	if (prefix)
		byte(p, prefix);
	byte(p, 0x40 | (wide ? 8u : 0u) | (reg & 8) >> 1 | base >> 3);
	if (op >> 8)
		byte(p, op >> 8);
	byte(p, op & 0xff);
	byte(p, 0x80 | (reg & 7) << 3 | (base & 7));
	if ((base & 7) == 4)
		byte(p, 0x24);
	word32(p, disp);
}

static void access_at(struct prog *p, unsigned base, uint32_t disp)
{
	static const struct {
		uint8_t prefix;
		bool wide, vector;
		uint16_t op;
	} ops[] = {
		{0, true, false, 0x03},      {0, false, false, 0x03},
		{0x66, false, false, 0x33},  {0, false, false, 0x0fb6},
		{0, true, false, 0x8b},      {0, false, false, 0x3b},
		{0, true, false, 0x13},      {0, true, false, 0x89},
		{0, false, false, 0x89},     {0x66, false, false, 0x89},
		{0, false, false, 0x88},     {0, true, false, 0x01},
		{0, false, false, 0x31},     {0, true, false, 0x11},
		{0, true, false, 0x87},      {0xf3, false, true, 0x0f6f},
		{0xf3, false, true, 0x0f7f}, {0x66, false, true, 0x0fd6},
		{0xf3, false, true, 0x0f7f}, {0, true, false, 0x85},
	};
	unsigned i = draw(p, ARRAY_SIZE(ops));

	mem_op(p, ops[i].prefix, ops[i].wide, ops[i].op, ops[i].vector ? draw(p, 8) : any_value(p),
	       base, disp);
}

/* lea BASE, [rdx + PAGES] with RDX = a value, cut off */
static void wander(struct prog *p, unsigned base)
{
	unsigned val = any_value(p);

	byte(p, val & 8 ? 0x44 : 0x40); /* mov edx, val */
	bytes(p, (const char[]){(char)0x89, (char)(0xc2 | (val & 7) << 3)}, 2);
	PUTS(p, "\x81\xe2"); /* and edx, WRAP or some of it */
	word32(p, one_in(p, 2) ? WRAP : one_in(p, 2) ? 0x1fff8 : 0x0f);
	byte(p, 0x48 | (base & 8) >> 1);
	byte(p, 0x8d);
	byte(p, 0x82 | (base & 7) << 3);
	word32(p, BASE + (one_in(p, 4) ? draw(p, 0x20) << 12 : 0));
}

static void jump_over(struct prog *p, unsigned from)
{
	p->code[from - 1] = (uint8_t)(p->n - from);
}

/* mov ecx, N; L: add rax, [A]; mov [B], rbx; add A, STEP; add B, STEP; dec ecx; jnz L */
static void inner_loop(struct prog *p)
{
	static const uint8_t steps[] = {1, 4, 8, 8, 16};
	unsigned turns = 2 + draw(p, 40), a = any_base(p), b = any_base(p), top;
	uint32_t da = draw(p, 0x1800), db = draw(p, 0x1800);

	byte(p, 0xb9);
	word32(p, turns);
	top = p->n;
	mem_op(p, 0, true, 0x03, X86_RAX, a, da);
	mem_op(p, 0, one_in(p, 2), one_in(p, 3) ? 0x13 : 0x89, X86_RBX, b, db);
	for (unsigned i = 0; i < 2; i++) {
		unsigned base = i ? b : a, step = steps[draw(p, ARRAY_SIZE(steps))];

		byte(p, 0x48 | base >> 3);
		byte(p, 0x83);
		byte(p, 0xc0 | (base & 7));
		byte(p, step);
		p->moved += turns * step;
	}
	PUTS(p, "\xff\xc9\x75");
	byte(p, (unsigned)(uint8_t)(top - p->n - 1));
}

/* call F; jmp over; F: push rbp; push rbx; lea rbp, [rsp - 0xN]; accesses; pop rbx; pop rbp; ret */
static void function(struct prog *p)
{
	unsigned from, n = 1 + draw(p, 5);

	PUTS(p, "\xe8\x02\x00\x00\x00\xeb\x00");
	from = p->n;
	PUTS(p, "\x55\x53\x48\x8d\xac\x24");
	word32(p, 0u - 0x20 - draw(p, 0x80) * 8);
	for (unsigned i = 0; i < n; i++)
		mem_op(p, 0, one_in(p, 2), one_in(p, 2) ? 0x89 : 0x03, any_value(p), X86_RBP,
		       draw(p, 0x18));
	PUTS(p, "\x5b\x5d\xc3");
	jump_over(p, from);
}

static void stack(struct prog *p)
{
	unsigned n = 1 + draw(p, 6);

	for (unsigned i = 0; i < n; i++) {
		unsigned val = any_value(p);

		if (val & 8)
			byte(p, 0x41);
		byte(p, 0x50 | (val & 7));
	}
	mem_op(p, 0, true, one_in(p, 2) ? 0x03 : 0x89, X86_RAX, X86_RSP, draw(p, 8) * 8);
	for (unsigned i = 0; i < n; i++) {
		unsigned val = any_value(p);

		if (val & 8)
			byte(p, 0x41);
		byte(p, 0x58 | (val & 7));
	}
}

/*
 * A function in a page of data, another one each turn, at the same place or not: mov rax, CODE; mov
 * rdx, r14; shl rdx, 8; or rax, rdx; then mov [BASE], rax; lea rdx, [BASE]; or mov edx, PLACE; mov
 * [rdx], rax; and from a stack that is not in the same bytes: call rdx
 */
static void write_and_call(struct prog *p)
{
	unsigned base = one_in(p, 3) ? any_base(p) : X86_RDX;
	uint32_t disp = base == X86_RDX ? 0 : draw(p, 0x1000);

	PUTS(p, "\x48\xb8\xbb\x00\x00\x00\x00\xc3\x90\x90"); /* CODE: mov ebx, 0; ret */
	PUTS(p, "\x4c\x89\xf2\x48\xc1\xe2\x08\x48\x09\xd0");
	if (base == X86_RDX) {
		byte(p, 0xba);
		word32(p, BASE + draw(p, 64) * 0x1000 + draw(p, 0x1000 / 8) * 8);
	}
	mem_op(p, 0, true, 0x89, X86_RAX, base, disp);
	mem_op(p, 0, true, 0x8d, X86_RDX, base, disp);
	PUTS(p, "\x49\x89\xe2\xbc\x00\xf0\x2f\x00\xff\xd2\x4c\x89\xd4");
}

static void string(struct prog *p)
{
	unsigned n = draw(p, 0x300);

	byte(p, 0xb9);
	word32(p, n);
	p->moved += n;
	if (!p->alias && one_in(p, 2))
		PUTS(p, "\xf3\xa4");
	else if (one_in(p, 2))
		PUTS(p, "\xf3\xaa");
	else
		PUTS(p, "\xac\xaa");
}

static void group(struct prog *p)
{
	unsigned base = any_base(p), n = 2 + draw(p, 4);
	uint32_t disp = draw(p, 0x1f00);

	for (unsigned i = 0; i < n; i++)
		access_at(p, base, disp + draw(p, 0xf0));
}

static void one_op(struct prog *p)
{
	unsigned from = 0;

	if (one_in(p, 6)) { /* cmp eax, ebx; jb over */
		PUTS(p, "\x39\xd8\x72\x00");
		from = p->n;
	}
	switch (draw(p, 16)) {
	case 0:
	case 1: wander(p, any_base(p)); break;
	case 2: stack(p); break;
	case 3: function(p); break;
	case 4:
		if (p->moved < 0x800)
			inner_loop(p);
		break;
	case 5:
		if (p->moved < 0x800)
			string(p);
		break;
	case 6: PUTS(p, "\x0f\x0b"); break; /* ud2 */
	case 7: write_and_call(p); break;
	case 8:
	case 9: group(p); break;
	default: access_at(p, any_base(p), draw(p, 0x2000)); break;
	}
	if (from && p->n - from < 128)
		jump_over(p, from);
}

/* TURNS times a body; then each pointer is brought back: sub, and, add. */
static void make_code(struct prog *p)
{
	unsigned n = 8 + draw(p, 24), top;

	p->n = p->moved = 0;
	PUTS(p, "\x41\xbe"); /* mov r14d, turns */
	word32(p, 20 + draw(p, 200));
	top = p->n;
	for (unsigned i = 0; i < n && p->n < sizeof(p->code) - 1024; i++)
		one_op(p);
	for (unsigned i = 0; i < ARRAY_SIZE(bases); i++) {
		unsigned b = bases[i];
		static const uint8_t group1[] = {0xe8, 0xe0, 0xc0};

		for (unsigned k = 0; k < 3; k++) {
			byte(p, 0x48 | b >> 3);
			byte(p, 0x81);
			byte(p, group1[k] | (b & 7));
			word32(p, k == 1 ? WRAP : BASE);
		}
	}
	PUTS(p, "\x41\xff\xce\x0f\x85"); /* dec r14d; jnz top */
	word32(p, top - p->n - 4);
}

/* ---- the operating system ---- */

static void poke(struct prog *p, uint32_t at, uint64_t val)
{
	for (unsigned i = 0; i < 2; i++)
		st_le64(im_host(p->m[i], at), val);
}

static uint32_t entry_of(unsigned page, bool second)
{
	uint32_t lin = FIRST + page * 0x1000;

	return second ? TABLE2 + (lin / 4096 - 512) * 8 : TABLE + lin / 4096 * 8;
}

static uint64_t random_entry(struct prog *p, unsigned page)
{
	unsigned elsewhere = p->alias ? draw(p, FRAMES) : PAGES + page * 37 % PAGES;
	uint64_t e = FRAME + (one_in(p, 2) ? page : elsewhere) * 0x1000 + 7;

	if (!one_in(p, 4))
		e |= one_in(p, 4) ? 0x20 : AD;
	if (p->global && page % 3 == 0)
		e |= GLOBAL;
	return e;
}

static uint32_t say(struct prog *p, uint32_t at, uint32_t where, uint64_t val, uint64_t how)
{
	poke(p, at, where);
	poke(p, at + 8, val);
	poke(p, at + 16, how);
	return at + 24;
}

/* Page @page gets another entry: present as it is to be, or only once a fault asks for it. */
static uint32_t change(struct prog *p, uint32_t at, unsigned page, uint64_t how)
{
	uint64_t e = random_entry(p, page);
	bool second = p->spaces && one_in(p, 2);

	at = say(p, at, GOOD + page * 8, e, 0);
	if (p->spaces) { /* in either space a fault brings the same */
		p->changed[!p->space] = true;
		at = say(p, at, entry_of(page, !second), one_in(p, 2) ? e : 0, how);
	}
	switch (draw(p, 5)) {
	case 0: e = 0; break;
	case 1: e &= ~(uint64_t)2; break;
	default: break;
	}
	return say(p, at, entry_of(page, second), e, how);
}

/* Another space or the same, with PCIDs without forgetting what is cached of it where that is
 * right (bit 63; SDM vol. 3, 4.10.4.1). */
static uint32_t load_cr3(struct prog *p, uint32_t at, unsigned space, bool forget)
{
	uint64_t cr3 = space ? CR3_2 : CR3;

	if (p->pcid && space)
		cr3 |= 1;
	if (p->pcid && !forget && !p->changed[space])
		cr3 |= BIT(63);
	p->space = space;
	p->changed[space] = false;
	return say(p, at, SCRIPT_AT + 0x18, cr3, 1);
}

static void make_script(struct prog *p)
{
	uint32_t at = SCRIPT;

	p->space = 0;
	p->changed[0] = p->changed[1] = true;

	for (unsigned i = 0; i < CALLS; i++) {
		unsigned n = draw(p, 5), first = draw(p, PAGES);

		switch (draw(p, p->spaces ? 4 : 3)) {
		case 0: /* neighbours, one by one */
		case 1:
			for (unsigned k = 0; k < n; k++) {
				unsigned page = (first + k) % PAGES;

				at = change(p, at, page, FIRST + page * 0x1000 + draw(p, 4096));
			}
			break;
		case 2: /* all at once */
			for (unsigned k = 0; k < n; k++)
				at = change(p, at, draw(p, PAGES), 0);
			if (p->spaces)
				at = load_cr3(p, at, p->pcid ? p->space : 0, true);
			else
				at = say(p, at, SCRIPT_AT + 0x18, CR3, 2);
			break;
		default: at = load_cr3(p, at, draw(p, 2), one_in(p, 6)); break;
		}
		if (!p->global && !p->spaces && one_in(p, 4))
			at = say(p, at, SCRIPT_AT + 0x18, CR3, 1);
		if (i == CALLS - 1 && p->spaces) /* as in the beginning */
			at = load_cr3(p, at, 0, true);
		poke(p, at, 0);
		at += 8;
	}
	poke(p, at, UINT64_MAX);
}

static void make_tables(struct prog *p)
{
	for (unsigned i = 0; i < 2; i++) {
		struct im *m = p->m[i];

		memcpy(im_host(m, PD2), im_host(m, PD), 4096);
		memcpy(im_host(m, TABLE2), im_host(m, TABLE + 0x1000), 8192);
		memcpy(im_host(m, KERNEL), kernel, sizeof(kernel));
		for (unsigned v = 0; v < 2; v++) {
			uint8_t *h = im_host(m, IM_HANDLERS + (v ? X86_PFV : X86_UD) * 16);

			*h = 0xe9;
			st_le32(h + 1, KERNEL + (v ? PF : 0) - 5 - IM_HANDLERS -
					       (v ? X86_PFV : X86_UD) * 16u);
		}
	}
	poke(p, CR3_2, (CR3_2 + 0x1000) | 7);
	poke(p, CR3_2 + 0x1000, PD2 | 7);
	poke(p, PD2 + 8, TABLE2 | 7);
	poke(p, PD2 + 16, (TABLE2 + 0x1000) | 7);
	poke(p, SCRIPT_AT, SCRIPT);
	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t e = random_entry(p, i);

		poke(p, GOOD + i * 8, e);
		poke(p, entry_of(i, false), one_in(p, 4) ? 0 : e);
		poke(p, entry_of(i, true), one_in(p, 4) ? 0 : e);
	}
	for (uint32_t off = 0; off < FRAMES * 4096; off += 8) {
		p->rng = p->rng * 6364136223846793005ull + 1442695040888963407ull;
		poke(p, FRAME + off, p->rng);
	}
}

/* ---- both ---- */

enum windows { EAGER, PLAIN, POOR, ONE, NONE, WINDOWS };

/* How many windows there are, and pages for them. Nothing of that may be seen. */
static void limit(struct im *m, enum windows how)
{
	struct x86_windows *ws = m->v->slots.windows;

	if (!ws)
		return;
	ws->eager = how == EAGER || how == ONE;
	ws->since = __rdtsc();
	ws->credit = how == POOR ? 0 : 256;
	if (how >= ONE)
		ws->n = how == ONE ? 1 : 0;
}

static struct vcpu *storm_vcpu; /* a signal handler has no argument of ours */

static void on_alarm(int sig)
{
	static unsigned n;

	atomic_fetch_or(&storm_vcpu->request, n++ % 2 ? VCPU_REQ_EVENT : VCPU_REQ_FLUSH);
}

/* Requests at any host instruction, which must change nothing. */
static struct im_end run(struct im *m, bool storm)
{
	const struct itimerval often = {{0, 70}, {0, 70}}, never = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART}, old;
	struct im_end e;

	if (!storm)
		return im_run(m);
	storm_vcpu = m->v;
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	e = im_run(m);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	return e;
}

static struct im *new_machine(const char *engine)
{
	const char *now = getenv("BOTHY_TEST_ENGINE");
	char *kept = now ? xstrdup(now) : NULL;
	struct im *m;

	if (engine)
		setenv("BOTHY_TEST_ENGINE", engine, 1);
	m = im_new(64, 3, NULL);
	if (engine && kept)
		setenv("BOTHY_TEST_ENGINE", kept, 1);
	else if (engine)
		unsetenv("BOTHY_TEST_ENGINE");
	free(kept);
	return m;
}

static void compare(struct prog *p, uint64_t seed)
{
	struct x86_state *a = &p->m[0]->v->s, *b = &p->m[1]->v->s;

	for (unsigned i = 0; i < 16; i++)
		if (a->gpr[i] != b->gpr[i])
			fail_msg("seed %llu: register %u is %llx, not %llx",
				 (unsigned long long)seed, i, (unsigned long long)b->gpr[i],
				 (unsigned long long)a->gpr[i]);
	if (a->rip != b->rip || (a->rflags ^ b->rflags) & ~(uint64_t)X86_RF || a->cr2 != b->cr2)
		fail_msg("seed %llu: RIP %llx, flags %llx, CR2 %llx, not %llx, %llx, %llx",
			 (unsigned long long)seed, (unsigned long long)b->rip,
			 (unsigned long long)b->rflags, (unsigned long long)b->cr2,
			 (unsigned long long)a->rip, (unsigned long long)a->rflags,
			 (unsigned long long)a->cr2);
	for (uint32_t at = 0; at < IM_RAM; at += 4096) {
		const uint8_t *x = im_host(p->m[0], at), *y = im_host(p->m[1], at);

		for (unsigned i = 0; memcmp(x, y, 4096) && i < 4096; i += 8)
			if (ld_le64(x + i) != ld_le64(y + i))
				fail_msg("seed %llu: memory at %x is %llx, not %llx",
					 (unsigned long long)seed, at + i,
					 (unsigned long long)ld_le64(y + i),
					 (unsigned long long)ld_le64(x + i));
	}
}

static unsigned long long one_program(uint64_t seed)
{
	struct prog *p = xnew(struct prog);
	unsigned long long faults;
	bool storm;

	p->rng = seed * 0x9e3779b97f4a7c15ull + 1;
	p->global = one_in(p, 3);
	p->spaces = !p->global && one_in(p, 2);
	p->alias = one_in(p, 2);
	storm = one_in(p, 4);
	p->pcid = p->spaces && one_in(p, 2);
	p->m[0] = new_machine("interp");
	p->m[1] = new_machine(NULL);
	make_tables(p);
	make_script(p);
	limit(p->m[1], (enum windows)(one_in(p, 2) ? EAGER : draw(p, WINDOWS)));
	for (unsigned round = 0; round < 3; round++) {
		uint64_t start[16];
		struct im_end e;

		make_code(p);
		for (unsigned i = 0; i < 16; i++)
			start[i] = draw(p, 1u << 31);
		for (unsigned i = 0; i < ARRAY_SIZE(bases); i++)
			start[bases[i]] = BASE + draw(p, WRAP);
		for (unsigned i = 0; i < 2; i++) {
			struct im *m = p->m[i];

			if (round == 0)
				im_reset(m);
			if (p->global)
				m->v->s.cr4 |= X86_CR4_PGE;
			if (p->pcid)
				m->v->s.cr4 |= X86_CR4_PCIDE;
			im_code(m, p->code, p->n);
			memcpy(m->v->s.gpr, start, sizeof(start));
			x86_state_changed(m->v);
			e = run(m, storm && i);
			if (e.vector != -1 || e.reason != VCPU_EXIT_HALT)
				fail_msg("seed %llu: vector %d at %llx, reason %d",
					 (unsigned long long)seed, e.vector,
					 (unsigned long long)e.rip, e.reason);
		}
		compare(p, seed);
	}
	faults = ld_le64(im_host(p->m[0], FAULTS));
	for (unsigned i = 0; i < 2; i++)
		im_free(p->m[i]);
	free(p);
	return faults;
}

static void test_random(void **state)
{
	const char *env = getenv("BOTHY_WINDOW_PROGRAMS"), *from = getenv("BOTHY_SEED");
	unsigned n = env ? (unsigned)strtoul(env, NULL, 10) : 150;
	uint64_t seed = from ? strtoull(from, NULL, 10) : 1;
	unsigned long long faults = 0;

	for (unsigned i = 0; i < n; i++)
		faults += one_program(seed + i);
	print_message("%u programs from seed %llu, %llu page faults\n", n, (unsigned long long)seed,
		      faults);
}

/* ---- a place that wants a window ---- */

enum { NODES = 16, STEPS = 4001 }; /* one node a page; steps of one run */

/*
 * Nodes of a list, each in another page, in an order that has nothing to do with that of their
 * frames. L: mov rsi, [rsi]; dec ecx; jnz L: a place that misses each time until it has a window.
 */
static struct im *chase_new(void)
{
	struct im *m = new_machine(NULL);

	for (unsigned i = 0; i < NODES; i++) {
		unsigned next = (i * 5 + 3) % NODES, frame = (i * 7 + 2) % NODES;

		st_le64(im_host(m, TABLE + (BASE / 4096 + i) * 8),
			(FRAME + frame * 0x1000) | AD | 7);
		st_le64(im_host(m, FRAME + frame * 0x1000 + i * 8), BASE + next * 0x1008);
	}
	im_reset(m);
	im_code(m, "\x48\x8b\x36\xff\xc9\x75\xf9", 7);
	return m;
}

static void chase(struct im *m)
{
	unsigned at = 0;

	im_reset(m);
	m->v->s.gpr[X86_RSI] = BASE;
	m->v->s.gpr[X86_RCX] = STEPS;
	assert_int_equal(im_run(m).vector, -1);
	for (unsigned i = 0; i < STEPS; i++)
		at = (at * 5 + 3) % NODES;
	assert_int_equal(m->v->s.gpr[X86_RSI], BASE + at * 0x1008);
}

static unsigned pages_mapped(const struct x86_windows *ws)
{
	unsigned n = 0;

	for (unsigned i = 0; i < X86_WINDOWS; i++)
		for (unsigned k = 0; k < X86_WINDOW_PAGES; k++)
			n += ws->w[i].frame[k] != 0;
	return n;
}

/* Has a place's own slot for loads all pages of the list? Places that look by page number use
 * others, which may be as wide. */
static bool has_window(const struct im *m)
{
	const struct x86_slot *s = m->v->slots.s[0];

	for (unsigned i = 0; i < X86_SLOT_HASH_SMALL; i++)
		if (BASE - s[i].base < s[i].lim && s[i].lim > (NODES - 1) * 0x1000)
			return true;
	return false;
}

/* Programs before this one have used up what may be mapped: the place waits, and has a window once
 * there is something again. How soon is the clock's business: one machine of several has to. */
static void test_later(void **state)
{
	bool done = false;

	for (unsigned i = 0; i < 8 && !done; i++) {
		struct im *m = chase_new();

		if (!m->v->slots.windows) {
			im_free(m);
			skip();
		}
		for (unsigned k = 0; k < 20; k++) { /* its block counts as hot after two */
			limit(m, POOR);
			chase(m);
		}
		for (unsigned k = 0; k < 2000 && !done; k++) {
			chase(m);
			done = has_window(m);
		}
		im_free(m);
	}
	assert_true(done);
}

/* There is never a window to be had, or never a page for it. */
static void test_never(void **state)
{
	for (unsigned i = 0; i < 2; i++) {
		struct im *m = chase_new();
		struct x86_windows *ws = m->v->slots.windows;

		for (unsigned k = 0; k < 200; k++) {
			limit(m, i ? NONE : POOR);
			chase(m);
		}
		assert_true(!ws || !i || pages_mapped(ws) == 0);
		im_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_later),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
