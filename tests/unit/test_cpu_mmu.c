/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Page walks, the soft TLB and linear accesses. Intel SDM vol. 3, chapter 4 and 17.2.
 */
#include "cpu_box.h"

enum { R = X86_ACC_READ, W = X86_ACC_WRITE, X = X86_ACC_EXEC, U = 0x100 /* as CPL 3 */ };
enum { LONG, PAE, P32 };

#define NX   BIT(63)
#define LIN  0x400000ull /* page under test */
#define PAGE 0x200000ull /* frame it maps to */

/* Tables at BOX_PT: PML4, PDPT, PD, PT in that order, for LIN. */
static void map_page(struct box *b, int mode, uint64_t pde, uint64_t pte)
{
	struct vcpu *v = b->v;

	memset(b->ram + BOX_PT, 0, 0x4000);
	put64(b, BOX_PT, (BOX_PT + 0x1000) | 7);
	if (mode == P32) {
		put32(b, BOX_PT + 0x2000 + 4, (uint32_t)(pde ? pde : (BOX_PT + 0x3000) | 7));
		put32(b, BOX_PT + 0x3000, (uint32_t)pte);
		v->s.cr3 = BOX_PT + 0x2000;
	} else {
		put64(b, BOX_PT + 0x1000, (BOX_PT + 0x2000) | (mode == PAE ? 1 : 7));
		put64(b, BOX_PT + 0x2000 + 16, pde ? pde : (BOX_PT + 0x3000) | 7);
		put64(b, BOX_PT + 0x3000, pte);
		v->s.cr3 = mode == PAE ? BOX_PT + 0x1000 : BOX_PT;
	}
	v->s.cr4 = mode == P32 ? X86_CR4_PSE : X86_CR4_PAE;
	v->s.efer = X86_EFER_NXE;
	if (mode == LONG)
		v->s.efer |= X86_EFER_LME | X86_EFER_LMA;
	v->s.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG | X86_CR0_WP;
	if (mode == PAE)
		for (unsigned i = 0; i < 4; i++)
			v->s.pdpte[i] = get64(b, BOX_PT + 0x1000 + i * 8);
	x86_update_mode(v);
	x86_tlb_flush(v);
}

static const struct {
	int mode;
	uint64_t pde, pte;
	uint32_t acc;
	uint32_t cr4, cr0_clear;
	uint64_t rflags;
	uint32_t want; /* OK, or page-fault error code */
	const char *cite;
} rows[] = {
	/* error code bits: SDM vol. 3, figure 4-12 */
	{LONG, 0, 0, R, .want = 0, .cite = "4.7: not present, supervisor read"},
	{LONG, 0, 0, W | U, .want = 6, .cite = "4.7: not present, user write"},
	{LONG, 0, 0, X | U, .want = 0x14, .cite = "4.7: not present, user fetch, NXE"},
	{P32, 0, 0, X, .want = 0, .cite = "4.7: I/D not reported without NXE&PAE or SMEP"},
	{P32, 0, 0, X, .cr4 = X86_CR4_SMEP, .want = 0x10, .cite = "4.7: I/D with SMEP"},
	{LONG, 0, PAGE | 1, R, .want = OK, .cite = "4.6: supervisor page"},
	{LONG, 0, PAGE | 1, R | U, .want = 5, .cite = "4.6.1: user read of supervisor page"},
	{LONG, 0, PAGE | 5, W | U, .want = 7, .cite = "4.6.1: user write, R/W = 0"},
	{LONG, 0, PAGE | 5, W, .want = 3, .cite = "4.6.1: supervisor write, WP = 1"},
	{LONG, 0, PAGE | 5, W, .cr0_clear = X86_CR0_WP, .want = OK, .cite = "4.6.1: WP = 0"},
	{LONG, 0, PAGE | 7 | NX, X | U, .want = 0x15, .cite = "4.6.1: XD"},
	{LONG, 0, PAGE | 3 | NX, X, .want = 0x11, .cite = "4.6.1: XD, supervisor"},
	{LONG, 0, PAGE | 7 | NX, R | U, .want = OK, .cite = "4.6.1: XD does not stop reads"},
	{PAE, 0, PAGE | 7 | NX, X | U, .want = 0x15, .cite = "4.4.2: XD in PAE"},
	{LONG, 0, PAGE | 7, X, .cr4 = X86_CR4_SMEP, .want = 0x11, .cite = "4.6.1: SMEP"},
	{LONG, 0, PAGE | 7, X, .want = OK, .cite = "4.6.1: user page fetched without SMEP"},
	{LONG, 0, PAGE | 7, R, .cr4 = X86_CR4_SMAP, .want = 1, .cite = "4.6.1: SMAP, AC = 0"},
	{LONG, 0, PAGE | 7, W, .cr4 = X86_CR4_SMAP, .want = 3, .cite = "4.6.1: SMAP write"},
	{LONG, 0, PAGE | 7, R, .cr4 = X86_CR4_SMAP, .rflags = X86_AC, .want = OK,
	 .cite = "4.6.1: SMAP, AC = 1"},
	{LONG, 0, PAGE | 7, R | X86_ACC_SYSTEM, .cr4 = X86_CR4_SMAP, .rflags = X86_AC, .want = 1,
	 .cite = "4.6.1: implicit supervisor access ignores AC"},
	{LONG, 0, PAGE | 3, R, .cr4 = X86_CR4_SMAP, .want = OK, .cite = "SMAP: supervisor page"},
	/* reserved bits */
	{LONG, 0, PAGE | 1 | BIT(51), R, .want = 9, .cite = "4.5.4: bits 51:M reserved"},
	{LONG, 0, PAGE | 1 | BIT(52), R, .want = OK, .cite = "4.5.4: bits 62:52 ignored"},
	{LONG, PAGE | 0x83 | BIT(13), 0, R, .want = 9,
	 .cite = "table 4-18: 2 MiB page, bits 20:13"},
	{LONG, PAGE | 0x83 | BIT(12), 0, R, .want = OK, .cite = "table 4-18: PAT bit 12"},
	{PAE, 0, PAGE | 1 | BIT(62), R, .want = 9, .cite = "4.4.2: bits 62:M reserved in PAE"},
	{P32, PAGE | 0x83 | BIT(21), 0, R, .want = 9, .cite = "table 4-4: bit 21 of a 4 MiB PDE"},
	{P32, 0x400083, 0, R, .want = OK, .cite = "table 4-4: 4 MiB page"},
	{P32, 0, PAGE | 7, W | U, .want = OK, .cite = "4.3"},
	{PAE, PAGE | 0xe7, 0, W | U, .want = OK, .cite = "4.4.2: 2 MiB page"},
	{LONG, (BOX_PT + 0x3000) | 5, PAGE | 7, W | U, .want = 7, .cite = "4.6: rights are ANDed"},
	{LONG, (BOX_PT + 0x3000) | 3, PAGE | 7, R | U, .want = 5, .cite = "4.6: U/S ANDed"},
	{LONG, (BOX_PT + 0x3000) | 7 | NX, PAGE | 7, X | U, .want = 0x15, .cite = "4.6: XD ORed"},
};

static void test_rights(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_walk w;
	int r;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		map_page(b, rows[i].mode, rows[i].pde, rows[i].pte);
		b->v->s.cr4 |= rows[i].cr4;
		b->v->s.cr0 &= ~(uint64_t)rows[i].cr0_clear;
		b->v->s.rflags = 2 | rows[i].rflags;
		r = x86_walk(b->v, LIN + 0x123, rows[i].acc & 0xff, rows[i].acc & U, &w);
		if (rows[i].want == OK) {
			assert_row(i, rows[i].cite, r, X86_OK);
			continue;
		}
		assert_row(i, rows[i].cite, r, X86_FAULT);
		assert_row(i, rows[i].cite, b->v->exc.vector, X86_PFV);
		assert_row(i, rows[i].cite, b->v->exc.error_code, rows[i].want);
		assert_row(i, rows[i].cite, b->v->exc.cr2, LIN + 0x123);
	}
	box_free(b);
}

static void test_nx_reserved_without_nxe(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_walk w;

	map_page(b, LONG, 0, PAGE | 7 | NX);
	b->v->s.efer &= ~(uint64_t)X86_EFER_NXE;
	assert_int_equal(x86_walk(b->v, LIN, R, false, &w), X86_FAULT);
	assert_int_equal(b->v->exc.error_code, 9); /* 4.5.4: XD reserved if NXE = 0 */
	box_free(b);
}

static void test_accessed_dirty(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_walk w;

	map_page(b, LONG, 0, PAGE | 7);
	assert_int_equal(x86_walk(b->v, LIN, R, false, &w), X86_OK);
	/* SDM vol. 3, 4.8: A in every entry used, D only in the leaf and only for writes */
	assert_int_equal(get64(b, BOX_PT) & 0x60, 0x20);
	assert_int_equal(get64(b, BOX_PT + 0x1000) & 0x60, 0x20);
	assert_int_equal(get64(b, BOX_PT + 0x2010) & 0x60, 0x20);
	assert_int_equal(get64(b, BOX_PT + 0x3000) & 0x60, 0x20);
	assert_false(w.dirty);
	assert_int_equal(x86_walk(b->v, LIN, W, false, &w), X86_OK);
	assert_int_equal(get64(b, BOX_PT + 0x3000) & 0x60, 0x60);
	assert_int_equal(get64(b, BOX_PT + 0x2010) & 0x40, 0);
	assert_true(w.dirty);
	box_free(b);
}

static void test_read_then_write_sets_dirty(void **st)
{
	struct box *b = box_new("max", 1);
	uint32_t x = 0;

	map_page(b, LONG, 0, PAGE | 7);
	assert_int_equal(x86_read(b->v, LIN, 4, &x, R), X86_OK);
	assert_int_equal(get64(b, BOX_PT + 0x3000) & 0x40, 0);
	x = 0x11223344;
	assert_int_equal(x86_write(b->v, LIN, 4, &x, W), X86_OK);
	assert_int_equal(get64(b, BOX_PT + 0x3000) & 0x40, 0x40);
	assert_int_equal(get32(b, PAGE), 0x11223344);
	box_free(b);
}

static void test_page_sizes(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_walk w;

	map_page(b, LONG, PAGE | 0x83, 0);
	assert_int_equal(x86_walk(b->v, LIN + 0x12345, R, false, &w), X86_OK);
	assert_int_equal(w.gpa, PAGE + 0x12345);
	assert_int_equal(w.page_size, 2 * MIB);
	put64(b, BOX_PT + 0x1000 + 8, 0x83); /* 1 GiB page at 1 GiB -> 0 */
	assert_int_equal(x86_walk(b->v, GIB + 0x345678, R, false, &w), X86_OK);
	assert_int_equal(w.gpa, 0x345678);
	assert_int_equal(w.page_size, GIB);
	put64(b, BOX_PT + 0x1000 + 8, 0x83 | BIT(13));
	assert_int_equal(x86_walk(b->v, GIB, R, false, &w), X86_FAULT);
	assert_int_equal(b->v->exc.error_code, 9);
	map_page(b, P32, 0x83 | 5 << 13 | 0x800000, 0);
	assert_int_equal(x86_walk(b->v, LIN + 0x300001, R, false, &w), X86_OK);
	assert_int_equal(w.gpa, 0x500b00001ull); /* PSE-36: bits 16:13 are address bits 35:32 */
	box_free(b);
}

/*
 * The short walk (x86_tlb_find()) says what the whole one says, or nothing; and it says something
 * about every page of RAM whose entries have all bits set that the access would set.
 */
static void test_short_walk(void **st)
{
	struct box *b = box_new("max", 1);
	uint64_t seed = 1;
	unsigned found = 0;

	for (unsigned i = 0; i < 60000; i++) {
		static const uint32_t accs[] = {R, W, X, R | U, W | U, X | U};
		uint64_t r = seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		int mode = (int)(r >> 60 & 3) % 3;
		uint64_t low = (r >> 8 & 0x1df & ~0x80ull) | 1, pde = 0, pte = PAGE | low | 0x20;
		uint32_t acc = accs[(r >> 40 & 0xff) % ARRAY_SIZE(accs)];
		unsigned table = acc & U ? X86_TLB_USER : X86_TLB_SUPER;
		const struct x86_tlb_entry *e;
		struct x86_walk w = {0};
		bool odd = (r >> 48 & 7) == 0;
		int ok;

		if (r >> 56 & 1)
			pde = 0x800000 | low | 0xa0;
		else if (r >> 57 & 1)
			pde = (BOX_PT + 0x3000) | low | 0x20;
		if (odd) /* reserved, address and ignored bits, not present, not accessed */
			*(r >> 51 & 1 ? &pte : &pde) ^= BIT((r >> 20) % (mode == P32 ? 32 : 64));
		map_page(b, mode, pde, pte);
		for (unsigned k = 0; k < 3; k++) { /* accessed, in the tables above */
			uint64_t at = BOX_PT + k * 0x1000 + (k == 2 ? (mode == P32 ? 4 : 16) : 0);

			if (!odd && !(mode == PAE && k == 1))
				put32(b, at, get32(b, at) | 0x20);
		}
		if (r >> 58 & 1)
			b->v->s.cr4 |= X86_CR4_SMEP;
		if (r >> 59 & 1)
			b->v->s.cr0 &= ~(uint64_t)X86_CR0_WP;
		b->v->s.rflags = 2;
		ok = x86_walk(b->v, LIN, R, false, &w); /* finds the tables' run of RAM */
		e = x86_tlb_find(b->v, table, LIN + 0x123, acc & 0xff);
		ok = x86_walk(b->v, LIN + 0x123, acc & 0xff, acc & U, &w) == X86_OK;
		if (e) {
			found++;
			assert_true(ok);
			assert_int_equal(e->gpa & ~0xfffull, w.gpa & ~0xfffull);
			assert_true(e->host == b->ram + (w.gpa & ~0xfffull));
		} else if (!odd && ok && acc & W) { /* without D, or denied but for CR0.WP */
			assert_true((pde & 0x80 ? pde : pte) & 0x40 ? !(low & 2) : 1);
		} else if (!odd) {
			assert_false(ok);
		}
	}
	assert_true(found > 15000);
	box_free(b);
}

static void test_no_paging_wraps(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_walk w;

	box_prot(b, 0);
	assert_int_equal(x86_walk(b->v, 0x100001234ull, R, false, &w), X86_OK);
	assert_int_equal(w.gpa, 0x1234);
	box_free(b);
}

static void test_pdpte(void **st)
{
	struct box *b = box_new("max", 1);

	map_page(b, PAE, 0, PAGE | 7);
	/* 4.4.1: the registers, not memory, are used until CR3 is written */
	put64(b, BOX_PT + 0x1000, 0);
	assert_int_equal(x86_probe(b->v, LIN, 1, R), X86_OK);
	assert_int_equal(x86_set_cr3(b->v, BOX_PT + 0x1000), X86_OK);
	assert_int_equal(x86_probe(b->v, LIN, 1, R), X86_FAULT);
	put64(b, BOX_PT + 0x1000, (BOX_PT + 0x2000) | 3); /* R/W is reserved in a PDPTE */
	assert_int_equal(box_result(b, x86_set_cr3(b->v, BOX_PT + 0x1000)), EXC(X86_GP, 0));
	assert_int_equal(b->v->s.pdpte[0], 0);
	box_free(b);
}

static void test_crossing(void **st)
{
	struct box *b = box_new("max", 1);
	uint8_t buf[16];

	map_page(b, LONG, 0, PAGE | 7);
	memset(b->ram + PAGE, 0x55, 0x1000);
	memset(buf, 0xaa, sizeof(buf));
	/* second page missing: no partial write, CR2 is the second page */
	assert_int_equal(x86_write(b->v, LIN + 0xffa, 16, buf, W), X86_FAULT);
	assert_int_equal(b->v->exc.cr2, LIN + 0x1000);
	assert_int_equal(b->ram[PAGE + 0xffa], 0x55);
	put64(b, BOX_PT + 0x3008, (PAGE + 0x5000) | 7);
	assert_int_equal(x86_write(b->v, LIN + 0xffa, 16, buf, W), X86_OK);
	assert_int_equal(b->ram[PAGE + 0xfff], 0xaa);
	assert_int_equal(b->ram[PAGE + 0x5000], 0xaa);
	assert_int_equal(b->ram[PAGE + 0x5009], 0xaa);
	assert_int_equal(b->ram[PAGE + 0x500a], 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(x86_read(b->v, LIN + 0xffa, 16, buf, R), X86_OK);
	assert_int_equal(buf[15], 0xaa);
	box_free(b);
}

/* 4.10: what invalidates what. */
static bool cached(struct box *b)
{
	uint64_t keep = get64(b, BOX_PT + 0x3000);
	bool hit;

	put64(b, BOX_PT + 0x3000, 0);
	hit = x86_probe(b->v, LIN, 1, R) == X86_OK;
	put64(b, BOX_PT + 0x3000, keep);
	assert_int_equal(x86_probe(b->v, LIN, 1, R), X86_OK);
	return hit;
}

static void test_invalidation(void **st)
{
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	map_page(b, LONG, 0, PAGE | 7);
	assert_int_equal(x86_probe(v, LIN, 1, R), X86_OK);
	assert_true(cached(b));
	x86_tlb_flush_page(v, LIN + 0xabc);
	assert_false(cached(b));
	x86_tlb_flush_page(v, LIN + 0x1000);
	assert_true(cached(b));
	assert_int_equal(x86_set_cr3(v, v->s.cr3), X86_OK);
	assert_false(cached(b));
	assert_int_equal(x86_set_cr0(v, v->s.cr0 & ~(uint64_t)X86_CR0_WP), X86_OK);
	assert_false(cached(b));
	/* PCID: the no-flush bit keeps entries, each PCID has its own. SDM vol. 3, 4.10.4.1 */
	assert_int_equal(x86_set_cr4(v, v->s.cr4 | X86_CR4_PCIDE), X86_OK);
	(void)cached(b);
	assert_int_equal(x86_set_cr3(v, BOX_PT | 1), X86_OK);
	assert_int_equal(x86_set_cr3(v, BOX_PT | BIT(63)), X86_OK);
	assert_int_equal(v->s.cr3, BOX_PT); /* bit 63 is not stored */
	assert_true(cached(b));
	assert_int_equal(x86_set_cr3(v, BOX_PT | 1 | BIT(63)), X86_OK);
	assert_false(cached(b));
	x86_tlb_flush_pcid(v, 7);
	assert_true(cached(b));
	x86_tlb_flush_pcid(v, 1);
	assert_false(cached(b));
	assert_int_equal(x86_set_cr3(v, BOX_PT | 1), X86_OK);
	assert_false(cached(b));
	box_free(b);
}

static void test_generation_wrap(void **st)
{
	struct box *b = box_new("max", 1);

	map_page(b, LONG, 0, PAGE | 7);
	for (unsigned i = 0; i < 10000; i++) {
		assert_int_equal(x86_probe(b->v, LIN, 1, R), X86_OK);
		put64(b, BOX_PT + 0x3000, 0);
		assert_int_equal(x86_set_cr3(b->v, b->v->s.cr3), X86_OK);
		assert_int_equal(x86_probe(b->v, LIN, 1, R), X86_FAULT);
		put64(b, BOX_PT + 0x3000, PAGE | 7);
	}
	box_free(b);
}

static void test_large_page_invlpg(void **st)
{
	struct box *b = box_new("max", 1);

	map_page(b, LONG, PAGE | 0x87, 0);
	assert_int_equal(x86_probe(b->v, LIN + 0x5000, 1, R), X86_OK);
	put64(b, BOX_PT + 0x2010, 0);
	assert_int_equal(x86_probe(b->v, LIN + 0x5000, 1, R), X86_OK);
	/* 4.10.4.1: INVLPG of any address in a large page drops the whole translation */
	x86_tlb_flush_page(b->v, LIN + 0x1ff000);
	assert_int_equal(x86_probe(b->v, LIN + 0x5000, 1, R), X86_FAULT);
	box_free(b);
}

/* The same in two address spaces, whose entries end by themselves, but for global pages. SDM vol.
 * 3, 4.10.2.4, 4.10.4.1. */
static void test_large_page_pcid(void **st)
{
	const uint64_t keep = BIT(63);
	struct box *b = box_new("max", 1);
	struct vcpu *v = b->v;

	map_page(b, LONG, PAGE | 0x87, 0);
	assert_int_equal(x86_set_cr4(v, v->s.cr4 | X86_CR4_PCIDE | X86_CR4_PGE), X86_OK);
	for (unsigned global = 0; global < 2; global++) {
		put64(b, BOX_PT + 0x2010, PAGE | 0x87 | global << 8);
		for (unsigned pcid = 1; pcid <= 2; pcid++) {
			assert_int_equal(x86_set_cr3(v, BOX_PT | pcid), X86_OK);
			assert_int_equal(x86_probe(v, LIN + pcid * 0x1000, 1, R), X86_OK);
		}
		put64(b, BOX_PT + 0x2010, 0);
		assert_int_equal(x86_set_cr3(v, BOX_PT | 1 | keep), X86_OK);
		assert_int_equal(x86_probe(v, LIN + 0x1000, 1, R), X86_OK);
		x86_tlb_flush_page(v, LIN + 0x1ff000);
		assert_int_equal(x86_probe(v, LIN + 0x1000, 1, R), X86_FAULT);
		assert_int_equal(x86_set_cr3(v, BOX_PT | 2 | keep), X86_OK);
		if (global)
			assert_int_equal(x86_probe(v, LIN + 0x2000, 1, R), X86_FAULT);
		x86_tlb_flush_page(v, LIN + 0x1ff000);
		assert_int_equal(x86_probe(v, LIN + 0x2000, 1, R), X86_FAULT);
	}
	box_free(b);
}

static unsigned mmio_reads, mmio_writes, mmio_last_size;
static uint64_t mmio_last;

static uint64_t mmio_read(void *ctx, uint64_t off, unsigned size)
{
	mmio_reads++;
	mmio_last_size = size;
	return 0x8877665544332211ull >> (off & 7) * 8;
}

static void mmio_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	mmio_writes++;
	mmio_last_size = size;
	mmio_last = val;
}

static void test_mmio_and_holes(void **st)
{
	struct box *b = box_new("max", 1);
	struct bus_region r = {.name = "dev",
			       .size = 0x1000,
			       .valid = WIDTH_ANY,
			       .read = mmio_read,
			       .write = mmio_write};
	struct x86_tlb_entry *e;
	struct error err = {0};
	bool mmio = false;
	uint64_t x = 0;

	box_prot(b, 0);
	bus_lock(&b->bus);
	assert_int_equal(bus_map_mmio(&b->bus, &r, 0xd0000000, MEM_PRIO_IO, &err), 0);
	bus_unlock(&b->bus);
	mmio_reads = mmio_writes = 0;
	assert_int_equal(x86_read(b->v, 0xd0000000, 4, &x, R), X86_OK);
	assert_int_equal(x, 0x44332211);
	assert_int_equal(mmio_last_size, 4);
	x = 0x1234;
	assert_int_equal(x86_write(b->v, 0xd0000002, 2, &x, W), X86_OK);
	assert_int_equal(mmio_writes, 1);
	assert_int_equal(mmio_last, 0x1234);
	assert_null(x86_ptr(b->v, 0xd0000000, 4, R, &e));
	assert_null(x86_fetch_page(b->v, 0xd0000000, &mmio));
	assert_true(mmio);
	assert_int_equal(b->v->count.mmio, 2);
	/* A hole reads as all ones. */
	x = 0;
	assert_int_equal(x86_read(b->v, 0xe0000000, 4, &x, R), X86_OK);
	assert_int_equal(x, 0xffffffff);
	bus_lock(&b->bus);
	bus_unmap_mmio(&b->bus, &r);
	bus_unlock(&b->bus);
	box_free(b);
}

static void test_page_table_in_hole(void **st)
{
	struct box *b = box_new("max", 1);

	map_page(b, LONG, 0, PAGE | 7);
	b->v->s.cr3 = 0xe0000000; /* reads as all ones: reserved bits */
	x86_tlb_flush(b->v);
	assert_int_equal(x86_probe(b->v, LIN, 1, R), X86_FAULT);
	assert_int_equal(b->v->exc.error_code, 9);
	box_free(b);
}

static unsigned code_hits;
static uint64_t code_off, code_len;

static void on_code(struct mem_listener *l, struct ram_block *block, uint64_t off, uint64_t len)
{
	code_hits++;
	code_off = off;
	code_len = len;
}

static void test_code_pages(void **st)
{
	struct box *b = box_new("max", 1);
	struct mem_listener l = {.code_written = on_code};
	struct x86_tlb_entry *e;
	uint32_t x = 1;
	uint8_t *p;

	box_prot(b, 0);
	mem_add_listener(b->mem, &l);
	code_hits = 0;
	assert_int_equal(x86_write(b->v, 0x6010, 4, &x, W), X86_OK);
	assert_int_equal(code_hits, 0);
	assert_false(b->v->code_changed);
	b->block->code[6] = 1;
	assert_int_equal(x86_write(b->v, 0x6010, 4, &x, W), X86_OK);
	assert_true(code_hits >= 1);
	assert_int_equal(code_off, 0x6010);
	assert_int_equal(code_len, 4);
	assert_true(b->v->code_changed);
	b->v->code_changed = false;
	p = x86_ptr(b->v, 0x6020, 2, W, &e);
	assert_non_null(p);
	st_le16(p, 7);
	x86_stored(b->v, e, 0x6020, 2);
	assert_true(b->v->code_changed);
	assert_int_equal(code_off, 0x6020);
	mem_del_listener(b->mem, &l);
	box_free(b);
}

static void test_rom(void **st)
{
	struct box *b = box_new("max", 1);
	struct mem_mapping *map;
	struct ram_block *rom;
	struct error err = {0};
	struct x86_tlb_entry *e;
	uint32_t x = 0;

	box_prot(b, 0);
	assert_int_equal(mem_ram_new(b->mem, "rom", 0x1000, &rom, &err), 0);
	st_le32(rom->host, 0xcafef00d);
	bus_lock(&b->bus);
	assert_int_equal(mem_map_ram(b->mem, "rom", 0xfffff000, rom, 0, 0x1000, true, MEM_PRIO_ROM,
				     &map, &err),
			 0);
	bus_unlock(&b->bus);
	assert_int_equal(x86_read(b->v, 0xfffff000, 4, &x, R), X86_OK);
	assert_int_equal(x, 0xcafef00d);
	assert_non_null(x86_ptr(b->v, 0xfffff000, 4, R, &e));
	assert_null(x86_ptr(b->v, 0xfffff000, 4, W, &e));
	x = 0;
	assert_int_equal(x86_write(b->v, 0xfffff000, 4, &x, W), X86_OK);
	assert_int_equal(ld_le32(rom->host), 0xcafef00d);
	/* and wraps to 0 outside 64-bit mode */
	put32(b, 0, 0x01020304);
	assert_int_equal(x86_read(b->v, 0xfffffffe, 4, &x, R), X86_OK);
	assert_int_equal(x >> 16, 0x0304);
	box_free(b);
}

static void test_data_breakpoints(void **st)
{
	struct box *b = box_new("max", 1);
	struct x86_tlb_entry *e;
	uint64_t x = 0;

	box_prot(b, 0);
	assert_int_equal(x86_probe(b->v, 0x7000, 4, W), X86_OK);
	assert_int_equal(x86_set_dr(b->v, 0, 0x7004), X86_OK);
	/* L0, RW0 = 01 (write), LEN0 = 11 (4 bytes) */
	assert_int_equal(x86_set_dr(b->v, 7, 0x400 | 1 | 0xd << 16), X86_OK);
	assert_null(x86_ptr(b->v, 0x7800, 4, W, &e)); /* the page stays slow */
	assert_int_equal(x86_read(b->v, 0x7004, 4, &x, R), X86_OK);
	assert_int_equal(b->v->s.pending_dbg, 0); /* 17.2.4: RW = 01 is writes only */
	assert_int_equal(x86_write(b->v, 0x7000, 4, &x, W), X86_OK);
	assert_int_equal(b->v->s.pending_dbg, 0);
	assert_int_equal(x86_write(b->v, 0x7007, 4, &x, W), X86_OK);
	assert_int_equal(b->v->s.pending_dbg, 1); /* 17.2.5: any byte in the range */
	b->v->s.pending_dbg = 0;
	assert_int_equal(x86_set_dr(b->v, 7, 0x400), X86_OK);
	assert_non_null(x86_ptr(b->v, 0x7800, 4, W, &e));
	/* execute break point and RF */
	assert_int_equal(x86_set_dr(b->v, 7, 0x400 | 2), X86_OK);
	assert_int_equal(x86_insn_break(b->v, 0x7004), X86_FAULT);
	assert_int_equal(b->v->exc.vector, X86_DB);
	assert_int_equal(b->v->exc.dr6, 1);
	b->v->s.rflags |= X86_RF;
	assert_int_equal(x86_insn_break(b->v, 0x7004), X86_OK);
	assert_int_equal(b->v->s.rflags & X86_RF, 0);
	/* I/O break point: needs CR4.DE */
	assert_int_equal(x86_set_dr(b->v, 0, 0x3f8), X86_OK);
	assert_int_equal(x86_set_dr(b->v, 7, 0x400 | 2 | 2 << 16), X86_OK);
	x86_io_break(b->v, 0x3f8, 1);
	assert_int_equal(b->v->s.pending_dbg, 0);
	b->v->s.cr4 |= X86_CR4_DE;
	x86_io_break(b->v, 0x3f8, 1);
	assert_int_equal(b->v->s.pending_dbg, 1);
	box_free(b);
}

static void test_debugger(void **st)
{
	struct box *b = box_new("max", 1);
	uint32_t x = 0x55aa;
	gpa_t gpa;

	map_page(b, LONG, 0, PAGE | 1);
	assert_int_equal(x86_translate_debug(b->v, LIN + 5, &gpa), 0);
	assert_int_equal(gpa, PAGE + 5);
	assert_int_equal(get64(b, BOX_PT + 0x3000) & 0x60, 0); /* no A bit */
	assert_int_equal(x86_translate_debug(b->v, LIN + 0x1000, &gpa), -EFAULT);
	assert_int_equal(x86_debug_write(b->v, LIN + 0x10, &x, 4), 0); /* read-only page */
	assert_int_equal(get32(b, PAGE + 0x10), 0x55aa);
	assert_int_equal(x86_debug_read(b->v, LIN + 0xfff, &x, 4), -EFAULT);
	b->v->debug.n_watch = 1;
	b->v->debug.watch[0].addr = LIN + 8;
	b->v->debug.watch[0].len = 4;
	b->v->debug.watch[0].access = 2;
	put64(b, BOX_PT + 0x3000, PAGE | 7);
	x86_debug_changed(b->v);
	assert_int_equal(x86_write(b->v, LIN + 10, 1, &x, W), X86_OK);
	assert_int_equal(b->v->debug.hit_access, 2);
	assert_int_equal(b->v->debug.hit_addr, LIN + 8);
	assert_true(b->v->request & VCPU_REQ_DEBUG);
	box_free(b);
}

static void test_alignment_check(void **st)
{
	struct box *b = box_new("max", 1);
	uint64_t x = 0;

	box_prot(b, 3);
	b->v->s.cr0 |= X86_CR0_AM;
	x86_set_rflags(b->v, X86_AC, X86_AC);
	/* 6.15, interrupt 17 */
	assert_int_equal(box_result(b, x86_read(b->v, 0x7001, 4, &x, R)), EXC(X86_ACE, 0));
	assert_int_equal(box_result(b, x86_read(b->v, 0x7001, 1, &x, R)), OK);
	assert_int_equal(box_result(b, x86_read(b->v, 0x7004, 4, &x, R)), OK);
	assert_int_equal(box_result(b, x86_write(b->v, 0x7006, 8, &x, W)), EXC(X86_ACE, 0));
	x86_set_rflags(b->v, 0, X86_AC);
	assert_int_equal(box_result(b, x86_read(b->v, 0x7001, 4, &x, R)), OK);
	box_cpl(b, 0);
	x86_set_rflags(b->v, X86_AC, X86_AC);
	assert_int_equal(box_result(b, x86_read(b->v, 0x7001, 4, &x, R)), OK); /* CPL 3 only */
	box_free(b);
}

static void test_dirty_log(void **st)
{
	struct box *b = box_new("max", 1);
	struct error err = {0};
	uint64_t *bits = xnew_n(uint64_t, BOX_RAM / 4096 / 64);
	uint32_t x = 1;

	box_prot(b, 0);
	bus_lock(&b->bus);
	assert_int_equal(mem_dirty_start(b->mem, &err), 0);
	bus_unlock(&b->bus);
	x86_tlb_flush(b->v);
	assert_int_equal(x86_read(b->v, 0x7000, 4, &x, R), X86_OK);
	assert_int_equal(x86_write(b->v, 0x9000, 4, &x, W), X86_OK);
	bus_lock(&b->bus);
	mem_dirty_fetch(b->mem, b->block, bits);
	bus_unlock(&b->bus);
	assert_int_equal(bits[0], BIT(9));
	free(bits);
	box_free(b);
}

static void test_lapic_page(void **st)
{
	struct box *b = box_new("max", 1);
	uint32_t x = 0;

	box_prot(b, 0);
	assert_int_equal(x86_read(b->v, 0xfee00030, 4, &x, R), X86_OK);
	assert_int_equal(x, 0x50014);
	x = 0x1f2;
	assert_int_equal(x86_write(b->v, 0xfee000f0, 4, &x, W), X86_OK);
	assert_int_equal(b->v->s.lapic.svr, 0x1f2);
	/* relocation: SDM vol. 3, 11.4.5 */
	assert_int_equal(x86_wrmsr(b->v, 0x1b, 0x00700900), X86_OK);
	assert_int_equal(x86_read(b->v, 0x7000f0, 4, &x, R), X86_OK);
	assert_int_equal(x, 0x1f2);
	assert_int_equal(x86_read(b->v, 0xfee000f0, 4, &x, R), X86_OK);
	assert_int_equal(x, 0xffffffff);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_nx_reserved_without_nxe),
		cmocka_unit_test(test_accessed_dirty),
		cmocka_unit_test(test_read_then_write_sets_dirty),
		cmocka_unit_test(test_page_sizes),
		cmocka_unit_test(test_short_walk),
		cmocka_unit_test(test_no_paging_wraps),
		cmocka_unit_test(test_pdpte),
		cmocka_unit_test(test_crossing),
		cmocka_unit_test(test_invalidation),
		cmocka_unit_test(test_generation_wrap),
		cmocka_unit_test(test_large_page_invlpg),
		cmocka_unit_test(test_large_page_pcid),
		cmocka_unit_test(test_mmio_and_holes),
		cmocka_unit_test(test_page_table_in_hole),
		cmocka_unit_test(test_code_pages),
		cmocka_unit_test(test_rom),
		cmocka_unit_test(test_data_breakpoints),
		cmocka_unit_test(test_debugger),
		cmocka_unit_test(test_alignment_check),
		cmocka_unit_test(test_dirty_log),
		cmocka_unit_test(test_lapic_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
