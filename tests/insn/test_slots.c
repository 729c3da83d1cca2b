/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Translations that engines keep in front of the soft TLB (slots, cpu/x86/vcpu.h): the same
 * instruction runs before and after something that ends a translation, and must see the difference
 * as a processor's instruction does. Intel SDM vol. 3, 4.10.4 (invalidation), 4.6 (SMAP), 6.15
 * (#AC, #PF), 17.2 (break points), 8.1.3 (self-modifying code).
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "machine.h"

#define PD       0x12000u
#define PTES     0x14000u /* of the pages below 16 MiB, in order */
#define OTHER    0x400000u
#define GLOBAL   0x100u
#define PTE(lin) (PTES + (lin) / 4096 * 8)

#define CODE(m, s) im_code((m), (s), sizeof(s) - 1)

/*
 * L: mov eax, [rdi]; shl rbx, 32; or rbx, rax; mov [rsi], rdx; EVENT; dec ecx; jnz L
 * with ECX = 2: RBX gets what was read before and after.
 */
static uint64_t twice(struct im *m, uint64_t entry, uint64_t val, const char *event, unsigned n)
{
	uint8_t code[40] = "\x8b\x07\x48\xc1\xe3\x20\x48\x09\xc3\x48\x89\x16";
	struct im_end e;

	memcpy(code + 12, event, n);
	memcpy(code + 12 + n, "\xff\xc9\x75", 3);
	code[15 + n] = (uint8_t) - (int)(16 + n);
	im_code(m, code, 16 + n);
	m->v->s.gpr[X86_RCX] = 2;
	m->v->s.gpr[X86_RBX] = 0;
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.gpr[X86_RSI] = entry;
	m->v->s.gpr[X86_RDX] = val;
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	return m->v->s.gpr[X86_RBX];
}

/* clang-format off */
static const struct event {
	const char *what, *code;
	uint64_t flags;  /* of the page table entry besides present, writable, user */
	uint64_t cr4;    /* set before */
	uint64_t toggle; /* RBP = CR4 with these changed, else CR3 */
	bool stays;      /* a global page: the old translation is still good */
} events[] = {
	{"invlpg [rdi]", "\x0f\x01\x3f", 0, 0, 0, false},
	{"mov cr3, rbp", "\x0f\x22\xdd", 0, 0, 0, false},
	{"mov cr3, rbp with PGE", "\x0f\x22\xdd", 0, X86_CR4_PGE, 0, false},
	{"mov cr3, rbp, global page", "\x0f\x22\xdd", GLOBAL, X86_CR4_PGE, 0, true},
	{"mov cr3, rbp, G without PGE", "\x0f\x22\xdd", GLOBAL, 0, 0, false},
	{"invlpg [rdi], global page", "\x0f\x01\x3f", GLOBAL, X86_CR4_PGE, 0, false},
	{"mov cr4, rbp: PGE, global page", "\x0f\x22\xe5", GLOBAL, X86_CR4_PGE, X86_CR4_PGE, false},
	{"mov cr4, rbp: PGE", "\x0f\x22\xe5", 0, 0, X86_CR4_PGE, false},
};
/* clang-format on */

static void test_invalidation(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
		const struct event *t = &events[i];
		struct im *m = im_new(64, 0, NULL);
		uint64_t got, want;

		*(uint32_t *)im_host(m, IM_DATA) = 0x11;
		*(uint32_t *)im_host(m, OTHER) = 0x22;
		st_le64(im_host(m, PTE(IM_DATA)), IM_DATA | t->flags | 7);
		m->v->s.cr4 |= t->cr4;
		m->v->s.gpr[X86_RBP] = t->toggle ? m->v->s.cr4 ^ t->toggle : m->v->s.cr3;
		x86_state_changed(m->v);
		got = twice(m, PTE(IM_DATA), OTHER | t->flags | 7, t->code, 3);
		want = 0x11ull << 32 | (t->stays ? 0x11 : 0x22);
		if (got != want)
			fail_msg("%s: %llx", t->what, (unsigned long long)got);
		im_free(m);
	}
}

/* INVLPG of any byte of a large page ends the translation of all of it. SDM vol. 3, 4.10.4.1. */
static void test_large_page(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	*(uint32_t *)im_host(m, IM_DATA) = 0x11;
	*(uint32_t *)im_host(m, OTHER) = 0x22;
	st_le64(im_host(m, PD + 8), IM_DATA | 0x87);
	/* invlpg [rdi + 0x5000] */
	assert_int_equal(twice(m, PD + 8, OTHER | 0x87, "\x0f\x01\xbf\x00\x50\x00\x00", 7),
			 0x1100000022);
	im_free(m);
}

/* A large page over the end of RAM: what lies behind reads as ones. */
static void test_range_end(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	st_le64(im_host(m, 0x11000), 0x87); /* 1 GiB from 0 */
	*(uint32_t *)im_host(m, IM_RAM - 4) = 0x12345678;
	/* mov eax, [rdi - 4]; mov rdx, [rdi - 4]; mov rcx, [rdi - 8]; mov ebx, [rdi] */
	CODE(m, "\x8b\x47\xfc\x48\x8b\x57\xfc\x48\x8b\x4f\xf8\x8b\x1f");
	m->v->s.gpr[X86_RDI] = IM_RAM;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x12345678);
	assert_int_equal(m->v->s.gpr[X86_RDX], 0xffffffff12345678);
	assert_int_equal(m->v->s.gpr[X86_RCX] >> 32, 0x12345678);
	assert_int_equal(m->v->s.gpr[X86_RBX], 0xffffffff);
	im_free(m);
}

/* Accesses off one register with a hole between them; stores over the end of a page. */
static void test_hole(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	im_map(m, IM_DATA + 0x1000, 0, 0);
	*(uint32_t *)im_host(m, IM_DATA) = 7;
	memset(im_host(m, IM_DATA + 0xff8), 0x55, 8);
	/* mov eax, [rdi]; mov [rdi + 0x10], eax; mov ecx, [rdi + 0x1000]; mov edx, [rdi] */
	CODE(m, "\x8b\x07\x89\x47\x10\x8b\x8f\x00\x10\x00\x00\x8b\x17");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	e = im_run(m);
	assert_int_equal(e.vector, X86_PFV);
	assert_int_equal(e.rip, m->entry + 5);
	assert_int_equal(m->v->s.cr2, IM_DATA + 0x1000);
	assert_int_equal(m->v->s.gpr[X86_RAX], 7);
	assert_int_equal(m->v->s.gpr[X86_RDX], 0);
	assert_int_equal(*(uint32_t *)im_host(m, IM_DATA + 0x10), 7);
	for (unsigned at = 0xff9; at < 0x1000; at++) {
		im_reset(m);
		/* mov [rdi], rax; mov [rdi + rcx], rax, whose second page is not there */
		CODE(m, "\x48\x89\x07\x48\x89\x04\x0f");
		m->v->s.gpr[X86_RDI] = IM_DATA;
		m->v->s.gpr[X86_RCX] = at;
		e = im_run(m);
		assert_int_equal(e.vector, X86_PFV);
		assert_int_equal(e.error, 2);
		assert_int_equal(e.rip, m->entry + 3);
		assert_int_equal(m->v->s.cr2, IM_DATA + 0x1000);
		for (unsigned i = 0xff8; i < 0x1000; i++)
			assert_int_equal(*(uint8_t *)im_host(m, IM_DATA + i), 0x55);
	}
	im_free(m);
}

/* STAC; L: mov eax, [rdi]; CLAC; jmp L: the second one faults. SDM vol. 3, 4.6.1. */
static void test_smap(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	for (uint64_t lin = 0; lin < 0x100000; lin += 4096)
		im_map(m, lin, lin, IM_PRESENT | IM_WRITE);
	*(uint32_t *)im_host(m, IM_DATA) = 5;
	m->v->s.cr4 |= X86_CR4_SMAP;
	m->v->s.gpr[X86_RSP] = 0xe0000;
	m->v->s.gpr[X86_RDI] = IM_DATA;
	CODE(m, "\x0f\x01\xcb\x8b\x07\x0f\x01\xca\xeb\xf9");
	x86_state_changed(m->v);
	e = im_run(m);
	assert_int_equal(e.vector, X86_PFV);
	assert_int_equal(e.error, 1);
	assert_int_equal(e.rip, m->entry + 3);
	assert_int_equal(m->v->s.gpr[X86_RAX], 5);
	im_free(m);
}

/* L: mov eax, [rdi]; pushf; or dword [rsp], AC; popf; jmp L: #AC the second time. */
static void test_alignment(void **state)
{
	struct im *m = im_new(64, 3, NULL);
	struct im_end e;

	m->v->s.cr0 |= X86_CR0_AM;
	m->v->s.gpr[X86_RDI] = IM_DATA + 1;
	CODE(m, "\x8b\x07\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d\xeb\xf3");
	x86_state_changed(m->v);
	e = im_run(m);
	assert_int_equal(e.vector, X86_ACE);
	assert_int_equal(e.rip, m->entry);
	im_free(m);
}

/* L: mov eax, [rdi]; mov dr7, rbp; jmp L: the second one traps. SDM vol. 3, 17.2.4. */
static void test_break_point(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	m->v->s.dr[0] = IM_DATA;
	m->v->s.gpr[X86_RBP] = 0xf0402;
	m->v->s.gpr[X86_RDI] = IM_DATA;
	CODE(m, "\x8b\x07\x0f\x23\xfd\xeb\xf9");
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 2);
	assert_int_equal(m->v->s.dr6 & 15, 1);
	im_free(m);
}

/* The same code again after a change from outside, which reaches the vCPU as a request. */
static void again(struct im *m)
{
	m->v->s.rip = m->entry;
	assert_int_equal(im_run(m).vector, -1);
}

static void test_a20(void **state)
{
	struct im *m = im_new(16, 0, NULL);

	*(uint16_t *)im_host(m, 0x100000) = 0x1234;
	*(uint16_t *)im_host(m, 0) = 0x5678;
	CODE(m, "\x8b\x07"); /* mov ax, [bx] */
	m->v->s.seg[X86_DS].sel = 0xffff;
	m->v->s.seg[X86_DS].base = 0xffff0;
	m->v->s.gpr[X86_RBX] = 0x10;
	again(m);
	again(m);
	assert_int_equal(m->v->s.gpr[X86_RAX] & 0xffff, 0x1234);
	bus_lock(&m->bus);
	mem_set_a20(m->mem, false);
	bus_unlock(&m->bus);
	again(m);
	assert_int_equal(m->v->s.gpr[X86_RAX] & 0xffff, 0x5678);
	im_free(m);
}

static void test_dirty(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	static uint64_t bits[IM_RAM / 4096 / 64];
	unsigned page = (IM_DATA + 0x3000) / 4096;
	struct error err;

	CODE(m, "\x89\x07\x89\x47\x04"); /* mov [rdi], eax; mov [rdi + 4], eax */
	m->v->s.gpr[X86_RDI] = IM_DATA + 0x3000;
	again(m);
	again(m);
	bus_lock(&m->bus);
	assert_int_equal(mem_dirty_start(m->mem, &err), 0);
	bus_unlock(&m->bus);
	for (unsigned i = 0; i < 3; i++) {
		again(m);
		bus_lock(&m->bus);
		mem_dirty_fetch(m->mem, m->ram, bits);
		bus_unlock(&m->bus);
		assert_true(bits[page / 64] >> page % 64 & 1);
	}
	im_free(m);
}

/*
 * L: mov [rdi], edx; call rbx; add rbp, rax; inc edx; dec ecx; jnz L, where RBX is "mov eax, imm;
 * ret" and RDI its operand: the page becomes code after the first store.
 */
static void test_becomes_code(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	memcpy(im_host(m, IM_DATA + 0x800), "\xb8\x00\x00\x00\x00\xc3", 6);
	CODE(m, "\x89\x17\xff\xd3\x48\x01\xc5\xff\xc2\xff\xc9\x75\xf3");
	m->v->s.gpr[X86_RCX] = 100;
	m->v->s.gpr[X86_RDX] = 1;
	m->v->s.gpr[X86_RBX] = IM_DATA + 0x800;
	m->v->s.gpr[X86_RDI] = IM_DATA + 0x801;
	m->v->s.gpr[X86_RBP] = 0;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBP], 5050);
	im_free(m);
}

/* Pages used in turn by one instruction, many times: found by page number from some time on. */
static void test_many_pages(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	for (unsigned i = 0; i < 1024; i++)
		*(uint32_t *)im_host(m, IM_DATA + i * 4096) = i;
	/* mov ecx, 200000; L: add rax, [rdi]; add [rdi + 8], ecx; add rdi, 4096; and edi, 0x3fffff;
	 * or edi, 0x200000; dec ecx; jnz L */
	CODE(m, "\xb9\x40\x0d\x03\x00\x48\x03\x07\x01\x4f\x08\x48\x81\xc7\x00\x10\x00\x00\x81\xe7"
		"\xff\xff\x3f\x00\x81\xcf\x00\x00\x20\x00\xff\xc9\x75\xe3");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.gpr[X86_RAX] = 0;
	assert_int_equal(im_run(m).vector, -1);
	/* 0x200000..0x3fffff, then back: 512 pages in turn */
	assert_int_equal(m->v->s.gpr[X86_RAX], 200000 / 512 * (511 * 512 / 2) + 320 * 319 / 2);
	im_free(m);
}

/*
 * Two pages whose numbers are alike in the lower bits displace each other's slots, and are found
 * again in other ways; what ends the translation of one ends it there, too. B: at ECX = 50 map the
 * second page elsewhere; call A; call A + 16, which is translated as if it ran often; xchg rdi,
 * rsi; dec ecx; jnz B. A: mov eax, [rdi]; mov [rdi + 8], ecx; add r8, rax; xchg rdi, rsi; ret.
 */
static void test_displaced(void **state)
{
	static const uint8_t access[] = "\x8b\x07\x89\x4f\x08\x49\x01\xc0\x48\x87\xfe\xc3";
	const uint32_t page[3] = {IM_DATA, IM_DATA + 0x400000, OTHER};
	uint32_t last[3] = {0}, now = 1, which = 0;
	struct im *m = im_new(64, 0, NULL);
	uint64_t sum = 0;

	for (unsigned i = 0; i < 3; i++)
		*(uint32_t *)im_host(m, page[i]) = 1 + 2 * i;
	for (unsigned i = 0; i < 2; i++)
		memcpy(im_host(m, m->code + 0x1100 + 16 * i), access, sizeof(access) - 1);
	CODE(m, "\x83\xf9\x32\x75\x07\x49\x89\x13\x41\x0f\x01\x3a"
		"\xe8\xef\x10\x00\x00\xe8\xfa\x10\x00\x00\x48\x87\xfe\xff\xc9\x75\xe3");
	m->v->s.gpr[X86_RCX] = 200;
	m->v->s.gpr[X86_RDI] = page[0];
	m->v->s.gpr[X86_RSI] = m->v->s.gpr[X86_R10] = page[1];
	m->v->s.gpr[X86_R11] = PTE(page[1]);
	m->v->s.gpr[X86_RDX] = page[2] | 7;
	m->v->s.gpr[X86_R8] = 0;
	assert_int_equal(im_run(m).vector, -1);
	for (uint32_t ecx = 200; ecx; ecx--, which ^= 1) {
		now = ecx == 50 ? 2 : now;
		for (unsigned k = 0; k < 2; k++, which ^= 1) {
			unsigned i = which ? now : 0;

			sum += 1 + 2 * i;
			last[i] = ecx;
		}
	}
	assert_int_equal(m->v->s.gpr[X86_R8], sum);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(*(uint32_t *)im_host(m, page[i] + 8), last[i]);
	im_free(m);
}

/* ---- neighbours: a slot may cover pages that were not asked for ---- */

#define PAGES    16u      /* from IM_DATA, and as many from OTHER */
#define OTHER_PT 0x13000u /* maps the former's addresses to the latter */
#define AD       0x60u

enum { SMALL, LARGE };

/* clang-format off */
static const struct change {
	const char *what;
	int pages;       /* kind of what is at IM_DATA */
	uint64_t flags;  /* of its entries besides present, writable, user, A, D */
	uint64_t cr4;
	uint64_t entry, val; /* stored: entry of the paging structures */
	const char *event;
	unsigned n;
	uint64_t rbp;    /* CR3 for the event */
	uint32_t at;     /* offset of the access behind it */
	bool store;      /* both accesses are stores */
	int vector;      /* -1: none */
	uint32_t want;   /* error code, or what is read or was stored to */
	uint64_t check, bits; /* an entry that must have these bits then */
} changes[] = {
	{"page remapped, INVLPG", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (OTHER + 0x3000) | 7,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, false, -1, 0x203, PTE(IM_DATA + 0x3000), 0x20},
	{"page remapped, CR3", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (OTHER + 0x3000) | 7,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, false, -1, 0x203, 0, 0},
	{"page remapped, store, INVLPG", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (OTHER + 0x3000) | 7,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, true, -1, 0x203, PTE(IM_DATA + 0x3000), 0x60},
	{"page unmapped, INVLPG", SMALL, 0, 0, PTE(IM_DATA + 0x3000), 0,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, false, X86_PFV, 0, 0, 0},
	{"page unmapped, CR3", SMALL, 0, 0, PTE(IM_DATA + 0x3000), 0,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, true, X86_PFV, 2, 0, 0},
	{"page read-only, INVLPG", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (IM_DATA + 0x3000) | AD | 5,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, true, X86_PFV, 3, 0, 0},
	{"page read-only, CR3", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (IM_DATA + 0x3000) | AD | 5,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, true, X86_PFV, 3, 0, 0},
	{"the page itself read-only, CR3", SMALL, 0, 0, PTE(IM_DATA), IM_DATA | AD | 5,
	 "\x0f\x22\xdd", 3, 0x10000, 0, true, X86_PFV, 3, 0, 0},
	{"A cleared, CR3", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (IM_DATA + 0x3000) | 7,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, false, -1, 0x103, PTE(IM_DATA + 0x3000), 0x20},
	{"A cleared, INVLPG", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (IM_DATA + 0x3000) | 7,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, false, -1, 0x103, PTE(IM_DATA + 0x3000), 0x20},
	{"D cleared, CR3", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (IM_DATA + 0x3000) | 0x27,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, true, -1, 0x103, PTE(IM_DATA + 0x3000), 0x60},
	{"D of the page itself cleared, CR3", SMALL, 0, 0, PTE(IM_DATA), IM_DATA | 0x27,
	 "\x0f\x22\xdd", 3, 0x10000, 0, true, -1, 0x100, PTE(IM_DATA), 0x60},
	{"PDE to another table, CR3", SMALL, 0, 0, PD + 8, OTHER_PT | 7,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, false, -1, 0x203, PD + 8, 0x20},
	{"PDE to another table, INVLPG", SMALL, 0, 0, PD + 8, OTHER_PT | 7,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, false, -1, 0x203, PD + 8, 0x20},
	{"PDE read-only, CR3", SMALL, 0, 0, PD + 8, PTES + 0x1000 + 0x25,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, true, X86_PFV, 3, 0, 0},
	{"PDE not present, CR3", SMALL, 0, 0, PD + 8, 0,
	 "\x0f\x22\xdd", 3, 0x10000, 0, false, X86_PFV, 0, 0, 0},
	{"reserved bit, CR3", SMALL, 0, 0, PTE(IM_DATA + 0x3000), (IM_DATA + 0x3000) | AD | 7 | BIT(51),
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, false, X86_PFV, 9, 0, 0},
	{"global pages, INVLPG", SMALL, GLOBAL, X86_CR4_PGE, PTE(IM_DATA + 0x3000), (OTHER + 0x3000) | 7,
	 "\x0f\x01\xbf\x00\x30\x00\x00", 7, 0, 0x3000, false, -1, 0x203, 0, 0},
	{"global pages, one not, CR3", SMALL, GLOBAL, X86_CR4_PGE, PTE(IM_DATA), IM_DATA | 7,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, false, -1, 0x103, 0, 0},
	{"PCID, CR3", SMALL, 0, X86_CR4_PCIDE, PTE(IM_DATA + 0x3000), (OTHER + 0x3000) | 7,
	 "\x0f\x22\xdd", 3, 0x10000, 0x3000, false, -1, 0x203, 0, 0},
	{"another PCID, CR3", SMALL, 0, X86_CR4_PCIDE, PTE(IM_DATA + 0x3000), (OTHER + 0x3000) | 7,
	 "\x0f\x22\xdd", 3, 0x10001, 0x3000, false, -1, 0x203, 0, 0},
	{"large page beside it, INVLPG", LARGE, 0, 0, PD + 16, 0x600000 | 0x87,
	 "\x0f\x01\xbf\x00\x50\x20\x00", 7, 0, 0x203000, false, -1, 0x303, PD + 16, 0x20},
	{"large page beside it, CR3", LARGE, 0, 0, PD + 16, 0x600000 | 0x87,
	 "\x0f\x22\xdd", 3, 0x10000, 0x203000, false, -1, 0x303, PD + 16, 0x20},
	{"large page beside it, A and D cleared", LARGE, 0, 0, PD + 16, OTHER | 0x87,
	 "\x0f\x22\xdd", 3, 0x10000, 0x203000, true, -1, 0x203, PD + 16, 0x60},
	{"large page beside it, read-only", LARGE, 0, 0, PD + 16, OTHER | 0xe5,
	 "\x0f\x01\xbf\x00\x50\x20\x00", 7, 0, 0x203000, true, X86_PFV, 3, 0, 0},
	{"large page beside it, split", LARGE, 0, 0, PD + 16, OTHER_PT | 7,
	 "\x0f\x01\xbf\x00\x50\x20\x00", 7, 0, 0x203000, false, -1, 0x203, 0, 0},
};
/* clang-format on */

static struct im *new_pages(const struct change *t)
{
	struct im *m = im_new(64, 0, NULL);

	for (unsigned i = 0; i < PAGES; i++) {
		uint64_t off = i * 4096;

		*(uint32_t *)im_host(m, IM_DATA + off) = 0x100 + i;
		*(uint32_t *)im_host(m, OTHER + off) = 0x200 + i;
		*(uint32_t *)im_host(m, 0x600000 + off) = 0x300 + i;
		st_le64(im_host(m, PTE(IM_DATA + off)), (IM_DATA + off) | AD | 7 | t->flags);
		st_le64(im_host(m, OTHER_PT + i * 8), (OTHER + off) | 7 | t->flags);
	}
	for (unsigned i = 1; t->pages == LARGE && i < 4; i++)
		st_le64(im_host(m, PD + i * 8), i * 0x200000 | 0xe7 | t->flags);
	m->v->s.cr4 |= t->cr4;
	m->v->s.gpr[X86_RSP] = 0xe0000; /* nothing of the stack is in what changes */
	m->v->s.gpr[X86_RBP] = t->rbp;
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.gpr[X86_RSI] = t->entry;
	m->v->s.gpr[X86_RDX] = t->val;
	x86_state_changed(m->v);
	return m;
}

/* mov eax, [rdi] or mov [rdi + 4], eax; mov [rsi], rdx; EVENT; the same again at @at, or EBX */
static void one_change(const struct change *t)
{
	struct im *m = new_pages(t);
	uint8_t code[32] = {t->store ? 0x89 : 0x8b, 0x47, 4 * t->store, 0x48, 0x89, 0x16};
	struct im_end e;
	uint32_t got;

	memcpy(code + 6, t->event, t->n);
	code[6 + t->n] = code[0];
	code[7 + t->n] = 0x9f;
	st_le32(code + 8 + t->n, t->at + 4 * t->store);
	m->v->s.gpr[X86_RBX] = 0x55555555;
	im_code(m, code, 12 + t->n);
	e = im_run(m);
	if (e.vector != t->vector || (t->vector >= 0 && e.error != t->want))
		fail_msg("%s: vector %d, error %x", t->what, e.vector, e.error);
	if (t->check && (ld_le64(im_host(m, t->check)) & t->bits) != t->bits)
		fail_msg("%s: entry %llx", t->what,
			 (unsigned long long)ld_le64(im_host(m, t->check)));
	for (unsigned i = 0; t->store && t->vector < 0 && i < 3; i++) {
		static const uint32_t first[] = {IM_DATA, OTHER, 0x600000};
		uint32_t page = first[i] + (t->at & 0xf000);

		got = *(uint32_t *)im_host(m, page + 4);
		if ((got == 0x55555555) != (*(uint32_t *)im_host(m, page) == t->want))
			fail_msg("%s: %x in %x", t->what, got, page);
	}
	got = (uint32_t)m->v->s.gpr[X86_RBX];
	if (!t->store && t->vector < 0 && got != t->want)
		fail_msg("%s: %x", t->what, got);
	im_free(m);
}

/*
 * Short loops over pages whose frames do not follow each other, one field a quarter of a page
 * before the other, which is on the next page first, in steps that come to a page's boundary: what
 * a check has found says nothing about the page after. L: add rax, [rdi]; add rbx, [rdi + 1024]; or
 * add [rdi], rdx; add [rdi + 1024], rdx; then add rdi, STEP; dec ecx; jnz L.
 */
static const struct sweep {
	const char *code; /* without the step */
	bool store;
	int8_t step;
	uint32_t from, turns;
} sweeps[] = {
	{"\x48\x03\x07\x48\x03\x9f\x00\x04\x00\x00", false, 8, 0, 2200},
	{"\x48\x03\x07\x48\x03\x9f\x00\x04\x00\x00", false, 64, 64, 500},
	{"\x48\x03\x07\x48\x03\x9f\x00\x04\x00\x00", false, 1, 3, 9000},
	{"\x48\x03\x07\x48\x03\x9f\x00\x04\x00\x00", false, 24, 8, 1500},
	{"\x48\x03\x07\x48\x03\x9f\x00\x04\x00\x00", false, -8, 0xa000 - 8, 2200},
	{"\x48\x03\x07\x48\x03\x9f\x00\x04\x00\x00", false, -16, 0xa038, 1500},
	{"\x48\x01\x17\x48\x01\x97\x00\x04\x00\x00", true, 8, 0, 2200},
	{"\x48\x01\x17\x48\x01\x97\x00\x04\x00\x00", true, -8, 0xa000 - 8, 2200},
	{"\x48\x01\x17\x48\x01\x97\x00\x04\x00\x00", true, -4, 0x9ffc, 3000},
};

/* Where the guest's @off from IM_DATA lies: within pages @swapped with their neighbours. */
static uint64_t frame_of(uint32_t off, unsigned swapped)
{
	return IM_DATA + (off ^ swapped << 12);
}

/* The model is in the guest's order. */
static void one_sweep(const struct sweep *t, unsigned swapped)
{
	static uint8_t model[PAGES * 4096];
	uint64_t sum[2] = {0}, seed = 1;
	struct im *m = im_new(64, 0, NULL);
	uint32_t at = t->from;
	uint8_t code[18];

	for (uint32_t off = 0; off < sizeof(model); off += 8)
		st_le64(model + off, seed = seed * 6364136223846793005ull + 1);
	for (uint32_t off = 0; off < sizeof(model); off += 4096) {
		memcpy(im_host(m, frame_of(off, swapped)), model + off, 4096);
		st_le64(im_host(m, PTE(IM_DATA + off)), frame_of(off, swapped) | AD | 7);
	}
	memcpy(code, t->code, 10);
	memcpy(code + 10, "\x48\x83\xc7\x00\xff\xc9\x75\xee", 8);
	code[13] = (uint8_t)t->step;
	im_code(m, code, sizeof(code));
	m->v->s.gpr[X86_RSP] = 0xe0000;
	m->v->s.gpr[X86_RDI] = IM_DATA + t->from;
	m->v->s.gpr[X86_RCX] = t->turns;
	m->v->s.gpr[X86_RAX] = m->v->s.gpr[X86_RBX] = 0;
	m->v->s.gpr[X86_RDX] = 0x10203;
	x86_state_changed(m->v);
	assert_int_equal(im_run(m).vector, -1);
	for (uint32_t i = 0; i < t->turns; i++, at += (uint32_t)t->step)
		for (unsigned k = 0; k < 2; k++) {
			uint8_t *p = model + at + k * 1024;

			sum[k] += ld_le64(p);
			if (t->store)
				st_le64(p, ld_le64(p) + 0x10203);
		}
	if (!t->store) {
		assert_int_equal(m->v->s.gpr[X86_RAX], sum[0]);
		assert_int_equal(m->v->s.gpr[X86_RBX], sum[1]);
	}
	for (uint32_t off = 0; off < sizeof(model); off += 4096)
		assert_memory_equal(im_host(m, frame_of(off, swapped)), model + off, 4096);
	im_free(m);
}

static void test_sweeps(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sweeps); i++)
		for (unsigned swapped = 0; swapped < 4; swapped++)
			one_sweep(&sweeps[i], swapped);
}

static void test_neighbours(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++)
		one_change(&changes[i]);
}

/*
 * L: mov [rdi], edx; mov [rdi + 0x3801], edx; call rbx; add rbp, rax; inc edx; dec ecx; jnz L: a
 * page beside the first store's becomes code, which the second one changes.
 */
static void test_neighbour_code(void **state)
{
	const struct change plain = {0};
	struct im *m = new_pages(&plain);

	memcpy(im_host(m, IM_DATA + 0x3800), "\xb8\x00\x00\x00\x00\xc3", 6);
	CODE(m, "\x89\x17\x89\x97\x01\x38\x00\x00\xff\xd3\x48\x01\xc5\xff\xc2\xff\xc9\x75\xed");
	m->v->s.gpr[X86_RCX] = 100;
	m->v->s.gpr[X86_RDX] = 1;
	m->v->s.gpr[X86_RBX] = IM_DATA + 0x3800;
	m->v->s.gpr[X86_RBP] = 0;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBP], 5050);
	im_free(m);
}

/*
 * mov eax, [rdi]; mov [rsi], rdx; mov [rdi], eax, which faults; then mov eax, [rdi]: the fault has
 * ended the translation that the first one used. SDM vol. 3, 4.10.4.1.
 */
static void test_fault_invalidates(void **state)
{
	const struct change readonly = {.entry = PTE(IM_DATA), .val = OTHER | AD | 5};
	struct im *m = new_pages(&readonly);
	struct im_end e;

	st_le64(im_host(m, PTE(IM_DATA)), IM_DATA | 0x27); /* not dirty: the store looks there */
	CODE(m, "\x8b\x07\x48\x89\x16\x89\x07");
	e = im_run(m);
	assert_int_equal(e.vector, X86_PFV);
	assert_int_equal(e.error, 3);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x100);
	CODE(m, "\x8b\x07");
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x200);
	im_free(m);
}

/*
 * Two address spaces with a PCID each, without a flush between them (CR3 bit 63): what is cached of
 * one is not the other's. SDM vol. 3, 4.10.4.1.
 * L: mov eax, [rdi + 0x2000]; shl rbx, 16; or rbx, rax; mov cr3, rbp; xchg rbp, rdx; dec ecx; jnz L
 */
static void test_two_spaces(void **state)
{
	const struct change plain = {.cr4 = X86_CR4_PCIDE};
	struct im *m = new_pages(&plain);
	uint64_t *pml4 = im_host(m, 0x1c000), *pdpt = im_host(m, 0x1d000),
		 *pd = im_host(m, 0x1e000);

	memcpy(pd, im_host(m, PD), 4096);
	memset(pml4, 0, 4096);
	memset(pdpt, 0, 4096);
	pml4[0] = 0x1d007;
	pdpt[0] = 0x1e007;
	pd[1] = OTHER_PT | 7;
	CODE(m, "\x8b\x87\x00\x20\x00\x00\x48\xc1\xe3\x10\x48\x09\xc3\x0f\x22\xdd\x48\x87\xd5"
		"\xff\xc9\x75\xe9");
	m->v->s.gpr[X86_RBX] = 0;
	m->v->s.gpr[X86_RCX] = 40;
	m->v->s.gpr[X86_RBP] = BIT(63) | 0x1c001;
	m->v->s.gpr[X86_RDX] = BIT(63) | 0x10000;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], 0x0102020201020202);
	im_free(m);
}

/* ---- pages of a program in a row (cpu/x86/window.c) ---- */

#define ROW 16u /* pages from IM_DATA */

struct row {
	struct im *m;
	uint64_t gpa[ROW];
	uint64_t pt; /* the page table less that of the other rows; 0 for the usual one */
};

static void row_map(struct row *r, unsigned i, uint64_t gpa, uint64_t flags)
{
	r->gpa[i] = gpa;
	st_le64(im_host(r->m, PTE(IM_DATA + i * 0x1000) + r->pt), gpa | flags);
}

static uint8_t *row_byte(const struct row *r, unsigned at)
{
	return (uint8_t *)im_host(r->m, r->gpa[at / 4096]) + at % 4096;
}

static uint64_t row_get(const struct row *r, unsigned at, unsigned size)
{
	uint64_t v = 0;

	while (size--)
		v = v << 8 | *row_byte(r, at + size);
	return v;
}

/*
 * L: add rax, [rdi]; mov rdx, [rdi + 0xffc]; xor r8, rdx; rol r8, 5; mov [rdi + 0xffd], ecx; add
 * rdi, 0x1000; dec ecx; jnz L: loads and stores that cross into each next page. What that does is
 * compared with the same done byte by byte in the pages that are mapped.
 */
static void row_walk(struct row *r)
{
	static const char code[] =
		"\x48\x03\x07\x48\x8b\x97\xfc\x0f\x00\x00\x49\x31\xd0\x49\xc1\xc0"
		"\x05\x89\x8f\xfd\x0f\x00\x00\x48\x81\xc7\x00\x10\x00\x00\xff\xc9"
		"\x75\xde";
	struct x86_state *s = &r->m->v->s;
	uint64_t rax = 0, r8 = 0, want[ROW * 4096 / 8];

	for (unsigned i = 0; i < ROW * 4096; i += 8)
		want[i / 8] = row_get(r, i, 8);
	for (unsigned i = 0, ecx = ROW - 1; ecx; i++, ecx--) {
		uint8_t *p = (uint8_t *)want + i * 4096;

		rax += ld_le64(p);
		r8 ^= ld_le64(p + 0xffc);
		r8 = r8 << 5 | r8 >> 59;
		st_le32(p + 0xffd, ecx);
	}
	/* writing it again would empty slots */
	if (memcmp(im_host(r->m, r->m->code), code, sizeof(code) - 1))
		CODE(r->m, code);
	s->rip = r->m->entry;
	s->gpr[X86_RAX] = s->gpr[X86_R8] = 0;
	s->gpr[X86_RCX] = ROW - 1;
	s->gpr[X86_RDI] = IM_DATA;
	assert_int_equal(im_run(r->m).vector, -1);
	assert_int_equal(s->gpr[X86_RAX], rax);
	assert_int_equal(s->gpr[X86_R8], r8);
	for (unsigned i = 0; i < ROW * 4096; i += 8)
		assert_int_equal(row_get(r, i, 8), want[i / 8]);
}

/* Ranges are not looked for at each miss: let @n misses of loads pass. */
static void row_miss(struct row *r, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		/* mov eax, [rdi] */
		CODE(r->m, "\x8b\x07");
		r->m->v->s.gpr[X86_RDI] = IM_DATA + (ROW - 1 - i) * 0x1000;
		assert_int_equal(im_run(r->m).vector, -1);
	}
}

/*
 * rep movsb to the next byte: each byte is the first one (SDM vol. 2, REP: one after another), also
 * where loads find the page in guest RAM, because there is no range of it yet, and stores in a
 * window. mov eax, [rsi]; mov [rdi], eax; L: mov [rsi], dl; mov rcx, r9; rep movsb; mov rdi, r10;
 * mov rsi, r11; inc edx; dec r8d; jnz L
 */
static void row_spread(struct row *r, unsigned from, unsigned n, unsigned misses)
{
	struct x86_state *s = &r->m->v->s;

	x86_tlb_flush(r->m->v);
	row_miss(r, misses);
	CODE(r->m, "\x8b\x06\x89\x07\x88\x16\x4c\x89\xc9\xf3\xa4\x4c\x89\xd7\x4c\x89\xde\xff\xc2"
		   "\x41\xff\xc8\x75\xec");
	s->gpr[X86_RSI] = s->gpr[X86_R11] = IM_DATA + from;
	s->gpr[X86_RDI] = s->gpr[X86_R10] = IM_DATA + from + 1;
	s->gpr[X86_R9] = n;
	s->gpr[X86_R8] = 20;
	s->gpr[X86_RDX] = 1;
	assert_int_equal(im_run(r->m).vector, -1);
	for (unsigned i = 0; i <= n; i++)
		assert_int_equal(*row_byte(r, from + i), 20);
}

/*
 * rep movsb to somewhat lower addresses, each byte read before something is stored there, also
 * where loads and stores have a page at different places: as in row_spread().
 */
static void row_pull(struct row *r, unsigned from, unsigned n, unsigned down, unsigned misses)
{
	struct x86_state *s = &r->m->v->s;
	uint8_t *want = xcalloc(1, n);

	for (unsigned i = 0; i < n; i++)
		*row_byte(r, from + i) = want[i] = (uint8_t)(i * 13 + i / 251 + down);
	x86_tlb_flush(r->m->v);
	row_miss(r, misses);
	/* mov al, [rsi]; mov [rdi], dl; rep movsb */
	CODE(r->m, "\x8a\x06\x88\x17\xf3\xa4");
	s->gpr[X86_RSI] = IM_DATA + from;
	s->gpr[X86_RDI] = IM_DATA + from - down;
	s->gpr[X86_RCX] = n;
	assert_int_equal(im_run(r->m).vector, -1);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(*row_byte(r, from - down + i), want[i]);
	free(want);
}

static struct im_end row_store(struct row *r, unsigned page, unsigned val)
{
	/* mov [rdi], al */
	CODE(r->m, "\x88\x07");
	r->m->v->s.gpr[X86_RDI] = IM_DATA + page * 0x1000;
	r->m->v->s.gpr[X86_RAX] = val;
	return im_run(r->m);
}

/*
 * Page 3 is mapped elsewhere and read-only, without INVLPG: a store may still go to the old page,
 * or fault, but not to the new one, which a range for loads has had to look at in between.
 */
static void row_stale(struct row *r)
{
	uint8_t *other = im_host(r->m, OTHER + 0x25000);
	uint64_t gpa[ROW];

	memcpy(gpa, r->gpa, sizeof(gpa));
	*other = 0x55;
	x86_tlb_flush(r->m->v);
	row_walk(r);
	for (unsigned i = 12; i < ROW; i++) {
		row_map(r, i, 0, 0);
		x86_tlb_flush_page(r->m->v, IM_DATA + i * 0x1000);
	}
	for (unsigned page = 8; page > 2; page--)
		assert_int_equal(row_store(r, page, 1).vector, -1);
	row_map(r, 3, OTHER + 0x25000, AD | 5);
	for (unsigned i = 12; i < ROW; i++)
		row_map(r, i, gpa[i], AD | 7);
	row_miss(r, 4);
	(void)row_store(r, 3, 2);
	assert_int_equal(*other, 0x55);
	im_reset(r->m);
	row_map(r, 3, gpa[3], AD | 7);
	x86_tlb_flush(r->m->v);
}

/*
 * A loop whose pointer moves steadily, and another place of it that has the same slot (by its
 * number: mem.c) and fills it from a window, while the pointer's page was found in guest RAM: how
 * far that goes on is not what the slot says. L: add rax, [rdi + 0x79000]; add rbx, [rsi]; xor rsi,
 * r9; add rdi, 8; dec ecx; jnz L
 */
static void row_loop(struct row *r, unsigned misses)
{
	const unsigned n = ROW * 4096 / 8 - 16;
	struct x86_state *s = &r->m->v->s;
	uint64_t rax = 0, rbx = 0;

	x86_tlb_flush(r->m->v);
	row_miss(r, misses);
	CODE(r->m, "\x48\x03\x87\x00\x90\x07\x00\x48\x03\x1e\x4c\x31\xce\x48\x83\xc7\x08"
		   "\xff\xc9\x75\xeb");
	s->gpr[X86_RDI] = IM_DATA - 0x79000;
	s->gpr[X86_RSI] = IM_DATA + 0xa000;
	s->gpr[X86_R9] = 0x7000;
	s->gpr[X86_RAX] = s->gpr[X86_RBX] = 0;
	s->gpr[X86_RCX] = n;
	assert_int_equal(im_run(r->m).vector, -1);
	for (unsigned i = 0; i < n; i++) {
		rax += row_get(r, i * 8, 8);
		rbx += row_get(r, i % 2 ? 0xd000 : 0xa000, 8);
	}
	assert_int_equal(s->gpr[X86_RAX], rax);
	assert_int_equal(s->gpr[X86_RBX], rbx);
}

/* Page 9 is the code of a function, too: mov [rdi + 0x9011], ecx changes the number it returns. */
static void row_code(struct row *r)
{
	struct x86_state *s = &r->m->v->s;
	uint64_t gpa = r->gpa[9];

	row_map(r, 9, r->m->code + 0x1000, AD | 7);
	x86_tlb_flush(r->m->v);
	for (unsigned page = 8; page > 2; page--)
		assert_int_equal(row_store(r, page, 1).vector, -1);
	/* mov eax, 0; ret */
	memcpy(im_host(r->m, r->m->code + 0x1010), "\xb8\x00\x00\x00\x00\xc3", 6);
	/* L: mov [rdi + 0x9011], ecx; call f; add r8, rax; mov [rdi + 0xa000], ecx; dec ecx; jnz L
	 */
	CODE(r->m, "\x89\x8f\x11\x90\x00\x00\xe8\x05\x10\x00\x00\x49\x01\xc0"
		   "\x89\x8f\x00\xa0\x00\x00\xff\xc9\x75\xe8");
	s->gpr[X86_R8] = 0;
	s->gpr[X86_RCX] = 100;
	s->gpr[X86_RDI] = IM_DATA;
	assert_int_equal(im_run(r->m).vector, -1);
	assert_int_equal(s->gpr[X86_R8], 5050);
	row_map(r, 9, gpa, AD | 7);
	x86_tlb_flush_page(r->m->v, IM_DATA + 0x9000);
}

/* mov [rdi + 0x6ffd], ecx, whose second page is read-only or not there: nothing is stored. */
static void row_fault(struct row *r, uint64_t flags, uint32_t error)
{
	struct x86_state *s = &r->m->v->s;
	uint64_t before = row_get(r, 0x6ff8, 8), gpa = r->gpa[7];
	struct im_end e;

	row_map(r, 7, gpa, flags);
	x86_tlb_flush_page(r->m->v, IM_DATA + 0x7000);
	CODE(r->m, "\x89\x8f\xfd\x6f\x00\x00");
	s->gpr[X86_RCX] = 0x12345678;
	s->gpr[X86_RDI] = IM_DATA;
	e = im_run(r->m);
	assert_int_equal(e.vector, X86_PFV);
	assert_int_equal(e.error, error);
	assert_int_equal(s->cr2, IM_DATA + 0x7000);
	assert_int_equal(row_get(r, 0x6ff8, 8), before);
	im_reset(r->m);
	row_map(r, 7, gpa, AD | 7);
	x86_tlb_flush_page(r->m->v, IM_DATA + 0x7000);
}

/* Pages that windows have. */
static unsigned pages_mapped(const struct x86_windows *ws)
{
	unsigned n = 0;

	for (unsigned i = 0; i < X86_WINDOWS; i++)
		for (unsigned k = 0; k < X86_WINDOW_PAGES; k++)
			n += ws->w[i].frame[k] != 0;
	return n;
}

static void test_row(void **state)
{
	struct row r = {.m = im_new(64, 3, NULL)};
	const struct x86_windows *ws = r.m->v->slots.windows;

	for (unsigned i = 0; i < ROW; i++)
		row_map(&r, i, OTHER + i * 5 % ROW * 0x1000, 7);
	for (unsigned i = 0; i < ROW * 4096; i++)
		*row_byte(&r, i) = (uint8_t)(i * 7 + i / 4096);
	x86_tlb_flush(r.m->v);
	for (unsigned i = 0; i < 3; i++)
		row_walk(&r);
	if (ws)
		assert_true(pages_mapped(ws) >= ROW);
	row_map(&r, 3, OTHER + 0x20000, 7);
	x86_tlb_flush_page(r.m->v, IM_DATA + 0x3000);
	row_walk(&r);
	row_walk(&r);
	row_map(&r, 4, OTHER + 0x21000, 7);
	row_map(&r, 3, OTHER + 0x22000, 7);
	x86_tlb_flush(r.m->v);
	row_walk(&r);
	row_walk(&r);
	row_map(&r, 5, r.gpa[6], AD | 7);
	row_map(&r, 6, OTHER + 0x23000, AD | 7);
	x86_tlb_flush_page(r.m->v, IM_DATA + 0x5000);
	x86_tlb_flush_page(r.m->v, IM_DATA + 0x6000);
	row_walk(&r);
	row_walk(&r);
	row_fault(&r, AD | 5, 7);
	row_walk(&r);
	row_fault(&r, 0, 6);
	row_walk(&r);
	row_code(&r);
	row_walk(&r);
	for (unsigned i = 0; i < 8; i++)
		row_loop(&r, i);
	row_stale(&r);
	row_walk(&r);
	for (unsigned i = 0; i < 8; i++) {
		row_spread(&r, 0x1f00, 0x80, i);
		row_spread(&r, 0x1f00, 0x6000, i);
	}
	row_walk(&r);
	for (unsigned i = 0; i < 8; i++)
		for (unsigned down = 1; down < 64; down += 7) {
			row_pull(&r, 0x2240, 0xd90 + down, down, i);
			row_pull(&r, 0x1f80 - down, 0x3123, down, i);
		}
	row_walk(&r);
	im_free(r.m);
}

/* L: add rbx, [rsi]; xor rsi, r9; dec ecx; jnz L: @n times at IM_DATA + @at and, where @r9 isn't 0,
 * elsewhere by turns. @credit: pages that may be mapped. Return: the sum. */
static uint64_t row_by_turns(struct row *r, unsigned at, unsigned n, uint64_t r9, unsigned credit)
{
	struct x86_windows *ws = r->m->v->slots.windows;
	struct x86_state *s = &r->m->v->s;

	if (ws) {
		ws->eager = false;
		ws->credit = credit;
		ws->since = __builtin_ia32_rdtsc();
	}
	CODE(r->m, "\x48\x03\x1e\x4c\x31\xce\xff\xc9\x75\xf6");
	s->gpr[X86_RBX] = 0;
	s->gpr[X86_RCX] = n;
	s->gpr[X86_RSI] = (IM_DATA + at) ^ r9;
	s->gpr[X86_R9] = r9;
	assert_int_equal(im_run(r->m).vector, -1);
	return s->gpr[X86_RBX];
}

/*
 * A place that misses all the time is to have a window, but no more pages may be mapped: it ends at
 * page 5, while the access, which was found in a range of guest RAM, goes on in page 6.
 */
static void row_narrow(unsigned missed)
{
	struct row r = {.m = im_new(64, 3, NULL)};
	uint64_t other = r.m->code + 0x2000, r9 = other ^ (IM_DATA + 0x5ffc), a, b;

	for (unsigned i = 0; i < ROW; i++)
		row_map(&r, i, OTHER + (i * 5 % ROW + ROW) * 0x1000, AD | 7);
	row_map(&r, 5, OTHER, AD | 7);
	row_map(&r, 6, OTHER + 0x1000, AD | 7);
	for (unsigned i = 0; i < ROW * 4096; i++)
		*row_byte(&r, i) = (uint8_t)(i * 7 + i / 4096);
	a = ld_le64(im_host(r.m, other));
	b = row_get(&r, 0x5ffc, 8);
	x86_tlb_flush(r.m->v);
	assert_int_equal(row_by_turns(&r, 0x3ffc, 2, 0, 2), 2 * row_get(&r, 0x3ffc, 8));
	(void)row_by_turns(&r, 0x5000, 10 + missed, other ^ (IM_DATA + 0x5000), 0);
	assert_int_equal(row_by_turns(&r, 0x5ffc, 60, r9, 1), 30 * (a + b));
	im_free(r.m);
}

static void test_row_narrow(void **state)
{
	for (unsigned missed = 0; missed < 8; missed++)
		row_narrow(missed);
}

#define SPACE_A 0x10001u /* CR3 and PCID */
#define SPACE_B 0x1c002u
#define KEEP    BIT(63)

static void row_fill(struct row *r, uint64_t gpa, unsigned step)
{
	for (unsigned i = 0; i < ROW; i++)
		row_map(r, i, gpa + i * step % ROW * 0x1000, AD | 7);
	for (unsigned i = 0; i < ROW * 4096; i++)
		*row_byte(r, i) = (uint8_t)(i * step + i / 4096);
}

/* What is cached of @r is kept while @other is current. */
static void row_away(struct row *r, uint64_t own, struct row *other, uint64_t its)
{
	row_walk(r);
	row_walk(r);
	assert_int_equal(x86_set_cr3(r->m->v, its | KEEP), X86_OK);
	row_walk(other);
	assert_int_equal(x86_set_cr3(r->m->v, own | KEEP), X86_OK);
	row_walk(r);
}

/*
 * Rows at the same addresses in two address spaces, between which CR3 goes back and forth without a
 * flush (cpu/x86/park.c); and everything that ends what is cached of one while the other is
 * current. SDM vol. 3, 4.10.4.1.
 */
static void row_spaces(struct row *a, struct row *b)
{
	struct vcpu *v = a->m->v;
	uint8_t *f = im_host(a->m, a->m->code + 0x1010);

	for (unsigned i = 0; i < 4; i++)
		row_away(a, SPACE_A, b, SPACE_B);
	/* by a load that flushes */
	assert_int_equal(x86_set_cr3(v, SPACE_B | KEEP), X86_OK);
	row_map(a, 3, OTHER + 0x60000, AD | 7);
	assert_int_equal(x86_set_cr3(v, SPACE_A), X86_OK);
	row_away(a, SPACE_A, b, SPACE_B);
	/* by INVPCID */
	assert_int_equal(x86_set_cr3(v, SPACE_B | KEEP), X86_OK);
	row_map(a, 4, OTHER + 0x61000, AD | 7);
	x86_tlb_flush_pcid(v, SPACE_A & 0xfff);
	assert_int_equal(x86_set_cr3(v, SPACE_A | KEEP), X86_OK);
	row_away(a, SPACE_A, b, SPACE_B);
	/* by INVPCID of one address */
	assert_int_equal(x86_set_cr3(v, SPACE_B | KEEP), X86_OK);
	row_map(a, 4, OTHER + 0x64000, AD | 7);
	x86_tlb_flush_page_of(v, SPACE_A & 0xfff, IM_DATA + 0x4000);
	assert_int_equal(x86_set_cr3(v, SPACE_A | KEEP), X86_OK);
	row_away(a, SPACE_A, b, SPACE_B);
	/* by INVLPG before */
	row_map(a, 5, OTHER + 0x62000, AD | 7);
	x86_tlb_flush_page(v, IM_DATA + 0x5000);
	row_away(a, SPACE_A, b, SPACE_B);
	/* INVLPG of a global page; the others are the other space's, too */
	for (unsigned i = 6; i < 10; i++)
		row_map(a, i, a->gpa[i], AD | GLOBAL | 7);
	x86_tlb_flush(v);
	row_walk(a);
	row_walk(a);
	assert_int_equal(x86_set_cr3(v, SPACE_B | KEEP), X86_OK);
	row_map(a, 6, OTHER + 0x63000, AD | 7);
	x86_tlb_flush_page(v, IM_DATA + 0x6000);
	assert_int_equal(x86_set_cr3(v, SPACE_A | KEEP), X86_OK);
	row_walk(a);
	/* a page of it becomes code in the other: mov eax, 0; ret */
	for (unsigned i = 6; i < 10; i++)
		row_map(a, i, i < 9 ? a->gpa[i] : a->m->code + 0x1000, AD | 7);
	x86_tlb_flush(v);
	row_walk(a);
	row_walk(a);
	memcpy(f, "\xb8\x00\x00\x00\x00\xc3", 6);
	assert_int_equal(x86_set_cr3(v, SPACE_B | KEEP), X86_OK);
	/* call f; call f; call f */
	CODE(a->m, "\xe8\x0b\x10\x00\x00\xe8\x06\x10\x00\x00\xe8\x01\x10\x00\x00");
	assert_int_equal(im_run(a->m).vector, -1);
	assert_int_equal(v->s.gpr[X86_RAX], 0);
	assert_int_equal(x86_set_cr3(v, SPACE_A | KEEP), X86_OK);
	/* mov [rdi + 0x9011], ecx; call f */
	CODE(a->m, "\x89\x8f\x11\x90\x00\x00\xe8\x05\x10\x00\x00");
	v->s.gpr[X86_RDI] = IM_DATA;
	v->s.gpr[X86_RCX] = 0x1234;
	assert_int_equal(im_run(a->m).vector, -1);
	assert_int_equal(v->s.gpr[X86_RAX], 0x1234);
}

static void test_row_spaces(void **state)
{
	/* the least windows: one space takes the other's */
	for (unsigned n = 1; n <= X86_WINDOWS; n *= 4) {
		struct row a = {.m = im_new(64, 3, NULL)}, b = a;
		uint64_t *pml4 = im_host(a.m, SPACE_B & ~0xfffu), *pdpt = im_host(a.m, 0x1d000),
			 *pd = im_host(a.m, 0x1e000);

		if (a.m->v->slots.windows)
			a.m->v->slots.windows->n = n;
		memset(pml4, 0, 4096);
		memset(pdpt, 0, 4096);
		pml4[0] = 0x1d007;
		pdpt[0] = 0x1e007;
		memcpy(pd, im_host(a.m, PD), 4096);
		pd[IM_DATA >> 21] = 0x1f007;
		b.pt = 0x1f000 - (PTES + (IM_DATA >> 21) * 0x1000);
		memcpy(im_host(a.m, 0x1f000), im_host(a.m, 0x1f000 - b.pt), 4096);
		row_fill(&a, OTHER, 5);
		row_fill(&b, OTHER + 0x40000, 3);
		assert_int_equal(x86_set_cr4(a.m->v, a.m->v->s.cr4 | X86_CR4_PCIDE | X86_CR4_PGE),
				 X86_OK);
		assert_int_equal(x86_set_cr3(a.m->v, SPACE_A), X86_OK);
		row_spaces(&a, &b);
		im_free(a.m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_invalidation),   cmocka_unit_test(test_large_page),
		cmocka_unit_test(test_range_end),      cmocka_unit_test(test_hole),
		cmocka_unit_test(test_smap),           cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_break_point),    cmocka_unit_test(test_a20),
		cmocka_unit_test(test_dirty),          cmocka_unit_test(test_becomes_code),
		cmocka_unit_test(test_many_pages),     cmocka_unit_test(test_displaced),
		cmocka_unit_test(test_neighbours),     cmocka_unit_test(test_fault_invalidates),
		cmocka_unit_test(test_sweeps),         cmocka_unit_test(test_two_spaces),
		cmocka_unit_test(test_neighbour_code), cmocka_unit_test(test_row),
		cmocka_unit_test(test_row_spaces),     cmocka_unit_test(test_row_narrow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
