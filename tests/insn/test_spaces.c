/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces with different code at the same addresses, as programs have that are not
 * position-independent: indirect calls, jumps and returns find a translation by RIP alone, so what
 * they find may be another space's. What comes of them is compared with a model; and while one
 * space runs, they must not come back to the engine's run loop each time (vcpu_counters.blocks).
 * Intel SDM vol. 3, 4.10.2 (caching translation information), 4.10.4.1 (MOV to CR3, PCIDs).
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "machine.h"

#define SPACES     3u
#define FUNCS      8u
#define TABLES(k)  (0x1c000u + (k)*0x4000u) /* PML4, PDPT, directory, page table */
#define REGION     0x600000u                /* linear; of 2 MiB, with a table of its own */
#define FRAMES(k)  (0x800000u + (k)*0x10000u)
#define DRIVER     0x0000u /* offsets from REGION: a page each */
#define FIRST      0x1000u
#define SECOND     0x2000u
#define TARGETS    0x3000u /* addresses of FIRST's functions, then of SECOND's; 8 bytes each */
#define PAGES      4u
#define ROUNDS     40u
#define CALLS_MOST 600u

enum form { CALL_REG, CALL_MEM, JMP_REG, RET, JMP_MEM, FORMS };

/* What function @i of a space does to EBX: EBX = EBX * mul + add, then @second + 1 in part two. */
struct func {
	uint32_t mul, add, second;
	bool two_parts;
};

struct spaces {
	struct im *m;
	struct func f[SPACES][FUNCS];
	uint64_t rng;
};

static uint32_t draw(struct spaces *s, uint32_t below)
{
	s->rng = s->rng * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(s->rng >> 33) % below;
}

static uint8_t *put(uint8_t *p, const char *bytes, unsigned n)
{
	memcpy(p, bytes, n);
	return p + n;
}

static uint8_t *put32(uint8_t *p, const char *bytes, unsigned n, uint32_t val)
{
	st_le32(put(p, bytes, n), val);
	return p + n + 4;
}

/*
 * L: lea edx, [rdx + rdx * 4 + 1]; and edx, 7; then a call of the function whose address is at
 * [rsi + rdx * 8] in one of several forms; dec ecx; jnz L; ret
 */
static void put_driver(uint8_t *page, unsigned form)
{
	uint8_t *p = put(page, "\x8d\x54\x92\x01\x83\xe2\x07", 7), *back = p + 1;

	if (form >= JMP_REG)
		p = put32(p, "\x68", 1, 0); /* push BACK */
	switch (form) {
	case CALL_REG: p = put(p, "\x8b\x04\xd6\xff\xd0", 5); break;
	case CALL_MEM: p = put(p, "\xff\x14\xd6", 3); break;
	case JMP_REG: p = put(p, "\x8b\x04\xd6\xff\xe0", 5); break;
	case RET: p = put(p, "\x8b\x04\xd6\x50\xc3", 5); break;
	default: p = put(p, "\xff\x24\xd6", 3); break;
	}
	if (form >= JMP_REG)
		st_le32(back, REGION + DRIVER + (uint32_t)(p - page));
	p = put(p, "\xff\xc9\x75", 3);
	*p = (uint8_t)(page - p - 1);
	p[1] = 0xc3;
}

/* The code of space @k, at the same addresses as that of the others, but for its lengths. */
static void put_code(struct spaces *s, unsigned k, unsigned form)
{
	uint8_t *at = im_host(s->m, FRAMES(k));

	memset(at, 0xcc, PAGES * 4096);
	put_driver(at + DRIVER, form);
	for (unsigned i = 0; i < FUNCS; i++) {
		struct func *f = &s->f[k][i];
		uint8_t *p = at + FIRST + i * 0x140, *q = at + SECOND + i * 0x80;

		*f = (struct func){draw(s, 1000) * 2 + 1, draw(s, 1u << 30), draw(s, 1u << 30),
				   draw(s, 2)};
		st_le64(at + TARGETS + i * 8, REGION + FIRST + i * 0x140);
		st_le64(at + TARGETS + (FUNCS + i) * 8, REGION + SECOND + i * 0x80);
		p = put32(p, "\x69\xdb", 2, f->mul); /* imul ebx, ebx, MUL */
		p = put32(p, "\x81\xc3", 2, f->add); /* add ebx, ADD */
		for (unsigned n = draw(s, 6); n; n--)
			p = put(p, "\x85\xc0", 2); /* test eax, eax */
		if (f->two_parts)                  /* jmp [rsi + ...] */
			(void)put32(p, "\xff\xa6", 2, (FUNCS + i) * 8);
		else
			*p = 0xc3;
		q = put32(q, "\x81\xc3", 2, f->second);
		*q = 0xc3;
	}
	mem_block_written(s->m->mem, s->m->ram, FRAMES(k), PAGES * 4096);
}

static void put_tables(struct spaces *s, unsigned k)
{
	bool long_mode = s->m->bits == 64;
	uint64_t *table = im_host(s->m, TABLES(k)), *pt = table + 3 * 512;

	memset(table, 0, 4 * 4096);
	table[0] = (TABLES(k) + 0x1000) | 7;
	table[512] = (TABLES(k) + 0x2000) | (long_mode ? 7 : 1);
	memcpy(table + 2 * 512, im_host(s->m, 0x12000), 4096);
	table[2 * 512 + REGION / 0x200000] = (TABLES(k) + 0x3000) | 7;
	for (unsigned i = 0; i < PAGES; i++)
		pt[i] = (FRAMES(k) + i * 0x1000) | 0x67;
}

static uint32_t model(const struct spaces *s, unsigned k, uint32_t ebx, uint32_t edx, unsigned n)
{
	while (n--) {
		const struct func *f;

		edx = (edx * 5 + 1) % FUNCS;
		f = &s->f[k][edx];
		ebx = ebx * f->mul + f->add + (f->two_parts ? f->second : 0);
	}
	return ebx;
}

/* One space runs @calls of its functions; what came back to the run loop meanwhile. */
static uint64_t one_turn(struct spaces *s, unsigned k, unsigned calls, bool pcid)
{
	struct im *m = s->m;
	struct x86_state *r = &m->v->s;
	uint64_t blocks = m->v->count.blocks, base = TABLES(k) + (m->bits == 64 ? 0 : 0x1000);
	uint32_t ebx = draw(s, 1u << 30);

	im_reset(m);
	r->rip = m->entry;
	r->gpr[X86_RBX] = ebx;
	r->gpr[X86_RCX] = calls;
	r->gpr[X86_RDX] = k;
	r->gpr[X86_RSI] = REGION + TARGETS;
	r->gpr[X86_RDI] = REGION + DRIVER;
	if (pcid)
		r->cr4 |= X86_CR4_PCIDE;
	r->gpr[X86_RBP] = base | (pcid ? BIT(63) | (k + 1) : 0);
	if (m->cpl == 3) { /* which cannot do it itself */
		r->cr3 = base;
		r->pdpte[0] = TABLES(k) + 0x2001;
		x86_tlb_flush(m->v);
	}
	x86_state_changed(m->v);
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal((uint32_t)r->gpr[X86_RBX], model(s, k, ebx, k, calls));
	return m->v->count.blocks - blocks;
}

static const struct machine_kind {
	unsigned bits, cpl;
	bool pcid;
} kinds[] = {{64, 0, false}, {64, 0, true}, {64, 3, false}, {32, 0, false}, {32, 3, false}};

static void one_machine(const struct machine_kind *kind, unsigned form, bool often)
{
	const char *engine = getenv("BOTHY_TEST_ENGINE");
	bool translates = engine && strncmp(engine, "translate", 9) == 0;
	struct spaces s = {.m = im_new(kind->bits, kind->cpl, NULL), .rng = form + 7 * kind->bits};

	for (unsigned k = 0; k < SPACES; k++) {
		put_tables(&s, k);
		put_code(&s, k, (form + k) % FORMS);
	}
	if (kind->cpl) /* call rdi */
		im_code(s.m, "\xff\xd7", 2);
	else /* mov cr3, rbp; call rdi */
		im_code(s.m, "\x0f\x22\xdd\xff\xd7", 5);
	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned k = draw(&s, SPACES);
		unsigned calls = often ? 1 + draw(&s, 12) : CALLS_MOST / 2 + draw(&s, 300);
		uint64_t came = one_turn(&s, k, calls, kind->pcid);

		if (translates && !often && came > 100)
			fail_msg("%u bits, CPL %u, form %u, round %u: %llu blocks from the run "
				 "loop in %u calls",
				 kind->bits, kind->cpl, form, i, (unsigned long long)came, calls);
		if (i % 16 == 15) /* other code, written from outside */
			put_code(&s, k, draw(&s, FORMS));
	}
	im_free(s.m);
}

/* Each space for hundreds of calls at a time. */
static void test_long_turns(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		for (unsigned form = 0; form < FORMS; form++)
			one_machine(&kinds[i], form, false);
}

/* Each space for a few. */
static void test_short_turns(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		for (unsigned form = 0; form < FORMS; form++)
			one_machine(&kinds[i], form, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_turns),
		cmocka_unit_test(test_short_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
