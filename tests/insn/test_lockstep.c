/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the lockstep engine see a translator that is wrong? Programs run once as they are, then with
 * a constant in their translated code changed: in a register, in a store, in the flags of a
 * comparison. Also what it must not compare twice: device accesses.
 */
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "engine/translate/translate.h"
#include "machine.h"

/* Change the 32-bit constant @from in all translated code. */
static unsigned spoil(struct im *m, uint32_t from, uint32_t to)
{
	struct translator *t = icpu(m->v)->tr;
	unsigned n = 0;

	for (size_t at = t->first; at + 4 <= t->used; at++)
		if (ld_le32(t->map.rw + at) == from) {
			st_le32(t->map.rw + at, to);
			n++;
		}
	return n;
}

static struct im_end again(struct im *m)
{
	im_reset(m);
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.rip = m->entry;
	return im_run(m);
}

/* Each ends in a jump: the HLT behind it makes a block that runs once. */
/* clang-format off */
static const struct program {
	const char *what, *code;
	unsigned len;
} programs[] = {
#define P(what, bytes) {what, bytes "\xeb\x00", sizeof(bytes) + 1}
	P("mov eax, imm", "\xb8\x78\x56\x34\x12\x90\x90"),
	P("add ecx, imm", "\x81\xc1\x78\x56\x34\x12\x90"),
	P("mov dword [rdi], imm", "\xc7\x07\x78\x56\x34\x12\x90"),
	P("cmp ecx, imm", "\xb9\x78\x56\x34\x92\x81\xf9\x78\x56\x34\x12"),
	P("mov eax, imm; movd xmm3, eax; xor eax, eax",
	  "\xb8\x78\x56\x34\x12\x66\x0f\x6e\xd8\x31\xc0"),
#undef P
};
/* clang-format on */

static void test_spoilt(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct im *m = im_new(64, 0, NULL);
		struct im_end end;

		im_code(m, programs[i].code, programs[i].len);
		end = again(m);
		assert_int_equal(end.reason, VCPU_EXIT_HALT);
		end = again(m);
		assert_int_equal(end.reason, VCPU_EXIT_HALT);
		assert_int_equal(end.vector, -1);
		assert_int_not_equal(spoil(m, 0x12345678, 0xf2345679), 0);
		end = again(m);
		if (end.reason != VCPU_EXIT_ERROR)
			fail_msg("%s: a wrong constant was not noticed", programs[i].what);
		im_free(m);
	}
}

/* A store into its own block leaves it: both runs must see the mark of decoded code. */
static void test_self_modifying(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end end;

	/* mov byte [rip + 1], 2; mov eax, 1; jmp $ + 2 */
	im_code(m, "\xc6\x05\x01\x00\x00\x00\x02\xb8\x01\x00\x00\x00\xeb\x00", 14);
	for (unsigned i = 0; i < 5; i++) {
		memcpy(im_host(m, m->code), "\xc6\x05\x01\x00\x00\x00\x02\xb8\x01", 9);
		mem_block_written(m->mem, m->ram, m->code, 9);
		end = again(m);
		assert_int_equal(end.reason, VCPU_EXIT_HALT);
		assert_int_equal(m->v->s.gpr[X86_RAX], 2);
	}
	im_free(m);
}

static uint64_t count_read(void *ctx, uint64_t off, unsigned size)
{
	return ++*(uint64_t *)ctx;
}

static void count_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
}

/* Ports and MMIO are touched once. */
static void test_once(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	uint64_t reads = 0;
	struct bus_region port = {
		.name = "port", .size = 1, .read = count_read, .write = count_write, .ctx = &reads};
	struct bus_region mmio = {.name = "mmio",
				  .size = 4096,
				  .read = count_read,
				  .write = count_write,
				  .ctx = &reads};
	struct error err = {0};

	bus_lock(&m->bus);
	assert_int_equal(bus_map_pio(&m->bus, &port, 0x70, &err), 0);
	assert_int_equal(bus_map_mmio(&m->bus, &mmio, 0xe0000000, MEM_PRIO_IO, &err), 0);
	bus_unlock(&m->bus);
	im_map(m, IM_DATA, 0xe0000000, IM_RWU);
	im_code(m, "\xe4\x70\xeb\x00", 4); /* in al, 0x70; jmp $ + 2 */
	for (unsigned i = 1; i <= 3; i++) {
		assert_int_equal(again(m).reason, VCPU_EXIT_HALT);
		assert_int_equal(reads, i);
	}
	/* mov eax, [rdi]; add ecx, eax; jmp $ + 2 */
	im_code(m, "\x8b\x07\x01\xc1\xeb\x00", 6);
	for (unsigned i = 4; i <= 6; i++) {
		assert_int_equal(again(m).reason, VCPU_EXIT_HALT);
		assert_int_equal(reads, i);
	}
	bus_lock(&m->bus);
	bus_unmap_pio(&m->bus, &port);
	bus_unmap_mmio(&m->bus, &mmio);
	bus_unlock(&m->bus);
	im_free(m);
}

/* A repeated store that comes back several times in between, to nearly as many pages as are kept
 * and to more, and stores behind it: the same in both runs, whether it can be compared or not. */
static void test_long_repeat(void **state)
{
	static const unsigned sizes[] = {0x1000, 0xef000, 0xf0000, 0xff000, 0x100000, 0x180000};
	static const unsigned bits[] = {32, 64};

	for (size_t i = 0; i < ARRAY_SIZE(sizes) * 2; i++) {
		struct im *m = im_new(bits[i & 1], 0, NULL);
		unsigned n = sizes[i / 2];
		/* mov edi, 400000h; mov ecx, n / 4; mov eax, 5a5a5a5ah; rep stosd; mov [rdi], eax;
		 * mov [rdi + 40000h], ecx; inc dword [rdi]; jmp $ + 2 */
		uint8_t code[] =
			"\xbf\0\0\x40\0\xb9\0\0\0\0\xb8ZZZZ\xf3\xab\x89\x07\x89\x8f\0\0\x04"
			"\0\xff\x07\xeb";

		st_le32(code + 6, n / 4);
		im_code(m, code, sizeof(code));
		for (unsigned k = 0; k < 4; k++) {
			struct im_end end;

			memset(im_host(m, 0x400000), 0x11, 0x200000);
			end = again(m);
			if (end.reason != VCPU_EXIT_HALT || end.vector != -1)
				fail_msg("%u bits, %x bytes, run %u: %u %d", m->bits, n, k,
					 end.reason, end.vector);
			assert_int_equal(m->v->s.gpr[X86_RDI], 0x400000 + n);
			assert_int_equal(m->v->s.gpr[X86_RCX], 0);
			assert_int_equal(ld_le32(im_host(m, 0x400000 + n - 4)), 0x5a5a5a5a);
			assert_int_equal(ld_le32(im_host(m, 0x400000 + n)), 0x5a5a5a5b);
			assert_int_equal(ld_le32(im_host(m, 0x440000 + n)), 0);
		}
		im_free(m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spoilt),
		cmocka_unit_test(test_self_modifying),
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_long_repeat),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
