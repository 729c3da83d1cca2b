/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short REP MOVS and REP STOS against a model that moves one element after the other: every count
 * and distance at which the two ends overlap, inside a page and across two that are not neighbours
 * in memory. Intel SDM vol. 2, MOVS, STOS, REP; vol. 1, 7.3.9.
 */
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "machine.h"

#define WINDOW 0x300000u /* two pages, the second of which comes first in memory */
#define FIRST  0x501000u
#define SECOND 0x500000u
#define BYTES  8192u
#define AWAY   160 /* bytes of the window that are in use, on either side of the source */

static const unsigned counts[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  12,
				  13, 16, 17, 31, 32, 33, 63, 64, 65, 70};

static void put_window(struct im *m, const uint8_t *from)
{
	memcpy(im_host(m, FIRST), from, 4096);
	memcpy(im_host(m, SECOND), from + 4096, 4096);
}

static void check_window(struct im *m, const uint8_t *want, const char *what, unsigned size,
			 unsigned count, unsigned src, unsigned dst)
{
	if (memcmp(im_host(m, FIRST), want, 4096) == 0 &&
	    memcmp(im_host(m, SECOND), want + 4096, 4096) == 0)
		return;
	fail_msg("%s, %u bytes, %u of them, from %#x to %#x", what, size, count, src, dst);
}

static struct im *machine(unsigned bits)
{
	struct im *m = im_new(bits, 0, NULL);

	im_map(m, WINDOW, FIRST, IM_RWU);
	im_map(m, WINDOW + 4096, SECOND, IM_RWU);
	return m;
}

/* rep @opcode with elements of @size bytes. */
static unsigned code_of(struct im *m, uint8_t opcode, unsigned size)
{
	uint8_t code[4] = {0xf3};
	unsigned n = 1;

	if (size == 2)
		code[n++] = 0x66;
	if (size == 8)
		code[n++] = 0x48;
	code[n++] = (uint8_t)(opcode | (size > 1));
	im_code(m, code, n);
	return n;
}

static void run(struct im *m, unsigned src, unsigned dst, unsigned count)
{
	struct im_end e;

	m->v->s.rip = m->entry;
	m->v->s.gpr[X86_RSI] = WINDOW + src;
	m->v->s.gpr[X86_RDI] = WINDOW + dst;
	m->v->s.gpr[X86_RCX] = count;
	m->v->s.gpr[X86_RAX] = 0x8877665544332211;
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
}

static void movs(struct im *m, unsigned size, unsigned src, unsigned dst)
{
	uint8_t before[BYTES], want[BYTES];

	for (unsigned i = 0; i < BYTES; i++)
		before[i] = (uint8_t)(i * 7 + (i >> 8) * 3);
	for (unsigned c = 0; c < ARRAY_SIZE(counts); c++) {
		unsigned n = counts[c] * size;

		memcpy(want, before, BYTES);
		for (unsigned i = 0; i < n; i += size) {
			uint8_t element[8];

			memcpy(element, want + src + i, size);
			memcpy(want + dst + i, element, size);
		}
		put_window(m, before);
		run(m, src, dst, counts[c]);
		assert_int_equal(m->v->s.gpr[X86_RSI], WINDOW + src + n);
		assert_int_equal(m->v->s.gpr[X86_RDI], WINDOW + dst + n);
		check_window(m, want, "movs", size, counts[c], src, dst);
	}
}

static void test_movs(void **state)
{
	static const unsigned at[] = {AWAY, 1000, 4096 - 72, 4096 - 33, 4096 + 8};

	for (unsigned bits = 32; bits <= 64; bits += 32) {
		struct im *m = machine(bits);

		for (unsigned size = 1; size <= bits / 8; size *= 2) {
			(void)code_of(m, 0xa4, size);
			for (unsigned i = 0; i < ARRAY_SIZE(at); i++)
				for (int by = -70; by <= 70; by += i == 1 ? 1 : 7)
					movs(m, size, at[i], (unsigned)((int)at[i] + by));
		}
		im_free(m);
	}
}

static void test_stos(void **state)
{
	static const uint8_t value[] = {0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88};
	uint8_t before[BYTES], want[BYTES];

	memset(before, 0xee, BYTES);
	for (unsigned bits = 32; bits <= 64; bits += 32) {
		struct im *m = machine(bits);

		for (unsigned size = 1; size <= bits / 8; size *= 2) {
			(void)code_of(m, 0xaa, size);
			for (unsigned k = 0; k < 60 * ARRAY_SIZE(counts); k++) {
				unsigned dst = k % 60 < 20   ? k % 60
					       : k % 60 < 50 ? 4096 - 3 * (k % 60 - 20)
							     : 4096 + k % 60;
				unsigned count = counts[k / 60], n = count * size;

				memcpy(want, before, BYTES);
				for (unsigned i = 0; i < n; i += size)
					memcpy(want + dst + i, value, size);
				put_window(m, before);
				run(m, 0, dst, count);
				assert_int_equal(m->v->s.gpr[X86_RDI], WINDOW + dst + n);
				check_window(m, want, "stos", size, count, 0, dst);
			}
		}
		im_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_movs),
		cmocka_unit_test(test_stos),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
