/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operands that processors move in pieces, over the end of a 64 KiB segment. Each piece has its own
 * limit check and its offset wraps at the address size by itself, so that an operand may lie half
 * at the end and half at the start of the segment. The SDM leaves this open (vol. 3, 5.3: "may" for
 * operands that wrap); the pieces are those that the host's processor was seen to use.
 */
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "machine.h"

#define SEGMENT 0x30000u

/* clang-format off */
static const struct operand {
	const char *what;
	uint8_t code[4], code_len;
	bool store;
	uint8_t piece[24]; /* bytes, 0 ends */
} operands[] = {
	{"fnstenv 16", {0xd9, 0x37}, 2, true, {2, 2, 2, 2, 2, 2, 2}},
	{"fnstenv 32", {0x66, 0xd9, 0x37}, 3, true, {4, 4, 4, 4, 4, 4, 4}},
	{"fldenv 16", {0xd9, 0x27}, 2, false, {2, 2, 2, 2, 2, 2, 2}},
	{"fldenv 32", {0x66, 0xd9, 0x27}, 3, false, {4, 4, 4, 4, 4, 4, 4}},
	{"fnsave 16", {0xdd, 0x37}, 2, true,
	 {2, 2, 2, 2, 2, 2, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2}},
	{"fnsave 32", {0x66, 0xdd, 0x37}, 3, true,
	 {4, 4, 4, 4, 4, 4, 4, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2}},
	{"frstor 16", {0xdd, 0x27}, 2, false,
	 {2, 2, 2, 2, 2, 2, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2}},
	{"frstor 32", {0x66, 0xdd, 0x27}, 3, false,
	 {4, 4, 4, 4, 4, 4, 4, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2, 8, 2}},
	{"fstp m80", {0xdb, 0x3f}, 2, true, {8, 2}},
	{"fld m80", {0xdb, 0x2f}, 2, false, {8, 2}},
	{"fstp m64", {0xdd, 0x1f}, 2, true, {8}},
	{"les m16:16", {0xc4, 0x07}, 2, false, {2, 2}},
	{"les m16:32", {0x66, 0xc4, 0x07}, 3, false, {4, 2}},
	{"bound 16", {0x62, 0x07}, 2, false, {2, 2}},
	{"bound 32", {0x66, 0x62, 0x07}, 3, false, {4, 4}},
	{"mov eax", {0x66, 0x8b, 0x07}, 3, false, {4}},
	{"movups", {0x0f, 0x10, 0x07}, 3, false, {16}},
};
/* clang-format on */

static unsigned size_of(const struct operand *o)
{
	unsigned n = 0;

	for (unsigned i = 0; o->piece[i]; i++)
		n += o->piece[i];
	return n;
}

static bool fits(const struct operand *o, unsigned off)
{
	for (unsigned i = 0; o->piece[i]; off += o->piece[i++])
		if ((off & 0xffff) + o->piece[i] > 0x10000)
			return false;
	return true;
}

static struct im_end run_at(struct im *m, const struct operand *o, unsigned off)
{
	struct x86_fpu *f;

	im_code(m, o->code, o->code_len);
	im_reset(m);
	f = &m->v->s.fpu;
	f->fcw = 0x37f;
	f->ftw = 0xff;
	for (unsigned i = 0; i < 8; i++) {
		st_le64(f->st[i], 0x8123456789abcdefull + i);
		st_le16(f->st[i] + 8, (uint16_t)(0x3fff + i));
	}
	m->v->s.gpr[X86_RBX] = off;
	m->v->s.rip = m->entry;
	x86_state_changed(m->v);
	return im_run(m);
}

static void test_wrap(void **state)
{
	struct im *m = im_new(16, 0, NULL);
	uint8_t whole[108], *seg = im_host(m, SEGMENT);

	for (size_t k = 0; k < ARRAY_SIZE(operands); k++) {
		const struct operand *o = &operands[k];
		unsigned size = size_of(o), bad = 0;

		memset(seg, 0, 0x10000);
		(void)run_at(m, o, 0x100);
		memcpy(whole, seg + 0x100, size);
		for (unsigned off = 0x10000 - size - 4; off < 0x10000; off++) {
			struct im_end end;

			memset(seg, 0, 256);
			memset(seg + 0xff00, 0, 256);
			end = run_at(m, o, off);
			bad += end.vector != (fits(o, off) ? -1 : X86_GP);
			for (unsigned i = 0; o->store && i < size; i++)
				bad += seg[(off + i) & 0xffff] != (fits(o, off) ? whole[i] : 0);
			if (bad)
				fail_msg("%s at %x: vector %d", o->what, off, end.vector);
		}
	}
	im_free(m);
}

/* FXSAVE, XSAVE and their kin: 16-byte pieces of an aligned area; a whole one elsewhere must give
 * the same. Seen on the host (16-bit code in an LDT segment). */
static const struct area {
	const char *what;
	uint8_t code[3];
	bool store;
	unsigned size, align;
} areas[] = {
	{"fxsave", {0x0f, 0xae, 0x07}, true, 160 + 8 * 16, 16},
	{"fxrstor", {0x0f, 0xae, 0x0f}, false, 512, 16},
	{"xsave", {0x0f, 0xae, 0x27}, true, 832, 64},
	{"xrstor", {0x0f, 0xae, 0x2f}, false, 832, 64},
	{"xsavec", {0x0f, 0xc7, 0x27}, true, 832, 64},
};

static struct im_end area_at(struct im *m, const struct area *o, unsigned off)
{
	struct x86_fpu *f;

	im_code(m, o->code, sizeof(o->code));
	im_reset(m);
	f = &m->v->s.fpu;
	f->fcw = 0x37f;
	f->mxcsr = 0x1f80;
	for (unsigned i = 0; o->store && i < 8; i++) {
		st_le64(f->st[i], 0x8123456789abcdefull + i);
		st_le16(f->st[i] + 8, (uint16_t)(0x3fff + i));
		memset(f->ymm[i], 0x10 + (int)i, 32);
	}
	m->v->s.cr4 |= X86_CR4_OSFXSR | X86_CR4_OSXSAVE;
	m->v->s.xcr0 = 7;
	m->v->s.gpr[X86_RAX] = 7;
	m->v->s.gpr[X86_RBX] = off;
	m->v->s.rip = m->entry;
	x86_state_changed(m->v);
	return im_run(m);
}

static void test_wrap_area(void **state)
{
	struct im *m = im_new(16, 0, NULL);
	uint8_t *seg = im_host(m, SEGMENT), whole[832];
	struct x86_fpu want;

	for (size_t k = 0; k < ARRAY_SIZE(areas); k++) {
		const struct area *o = &areas[k];

		memset(seg, 0, 0x10000);
		if (!o->store)
			(void)area_at(m, &areas[k - 1], 0x400);
		memcpy(whole, seg + 0x400, o->size);
		assert_int_equal(area_at(m, o, 0x400).vector, -1);
		if (o->store)
			memcpy(whole, seg + 0x400, o->size);
		want = m->v->s.fpu;
		for (unsigned off = 0xfc00; off < 0x10000; off += 8) {
			struct im_end end;

			memset(seg, 0, 0x10000);
			for (unsigned i = 0; !o->store && i < o->size; i++)
				seg[(off + i) & 0xffff] = whole[i];
			end = area_at(m, o, off);
			if (end.vector != (off % o->align ? X86_GP : -1))
				fail_msg("%s at %x: vector %d", o->what, off, end.vector);
			if (off % o->align)
				continue;
			for (unsigned i = 0; i < o->size; i++)
				if (seg[(off + i) & 0xffff] != whole[i])
					fail_msg("%s at %x: byte %u", o->what, off, i);
			assert_memory_equal(&m->v->s.fpu, &want, sizeof(want));
		}
	}
	im_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_wrap),
					   cmocka_unit_test(test_wrap_area)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
