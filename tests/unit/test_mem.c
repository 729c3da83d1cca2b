/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guest memory: map, priorities, A20, DMA, code and dirty tracking, discard (mem/space.h).
 */
#include "cm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "mem/space.h"

struct fix {
	struct mem_space *space;
	struct ram_block *ram;
	struct mem_mapping *map;
	struct mem_listener listener;
	unsigned changes, code_writes;
	uint64_t code_off, code_len;
};

static void on_change(struct mem_listener *l)
{
	CONTAINER_OF(l, struct fix, listener)->changes++;
}

static void on_code(struct mem_listener *l, struct ram_block *block, uint64_t off, uint64_t len)
{
	struct fix *f = CONTAINER_OF(l, struct fix, listener);
	struct mem_ref ref;

	mem_lookup(f->space, 0, &ref); /* a listener may look things up */
	assert_ptr_equal(block, f->ram);
	f->code_writes++;
	f->code_off = off;
	f->code_len = len;
}

static int setup(void **state)
{
	struct fix *f = xnew(struct fix);

	assert_int_equal(mem_space_new(&f->space, NULL), 0);
	assert_int_equal(mem_ram_new(f->space, "ram", 4 * MIB, &f->ram, NULL), 0);
	assert_int_equal(mem_map_ram(f->space, "ram", 0, f->ram, 0, 4 * MIB, false, MEM_PRIO_RAM,
				     &f->map, NULL),
			 0);
	f->listener = (struct mem_listener){.map_changed = on_change, .code_written = on_code};
	mem_add_listener(f->space, &f->listener);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	mem_del_listener(f->space, &f->listener);
	mem_space_free(f->space);
	free(f);
	return 0;
}

static void lookup_is(struct mem_space *s, gpa_t gpa, enum mem_kind kind, gpa_t start, uint64_t len)
{
	struct mem_ref ref;

	mem_lookup(s, gpa, &ref);
	assert_int_equal(ref.kind, kind);
	assert_int_equal(ref.start, start);
	assert_int_equal(ref.len, len);
}

static void test_holes(void **state)
{
	struct fix *f = *state;

	lookup_is(f->space, 0x1234, MEM_RAM, 0, 4 * MIB);
	lookup_is(f->space, 4 * MIB, MEM_NONE, 4 * MIB, UINT64_MAX - 4 * MIB);
	lookup_is(f->space, UINT64_MAX, MEM_NONE, 4 * MIB, UINT64_MAX - 4 * MIB);
	mem_unmap(f->space, f->map);
	lookup_is(f->space, 0, MEM_NONE, 0, UINT64_MAX);
	mem_unmap(f->space, NULL);
	mem_dma_done(f->space, UINT64_MAX - 4, 64);
}

static void test_priorities(void **state)
{
	struct fix *f = *state;
	static const struct mem_io io = {.name = "vga"};
	struct mem_mapping *a, *b, *c;
	struct error err;
	struct mem_ref ref;

	assert_int_equal(mem_map_io(f->space, 0xa0000, 0x20000, &io, MEM_PRIO_IO, &a, NULL), 0);
	lookup_is(f->space, 0x9ffff, MEM_RAM, 0, 0xa0000);
	lookup_is(f->space, 0xa0010, MEM_IO, 0xa0000, 0x20000);
	lookup_is(f->space, 0xc0000, MEM_RAM, 0xc0000, 4 * MIB - 0xc0000);
	mem_lookup(f->space, 0xa0010, &ref);
	assert_ptr_equal(ref.io, &io);
	assert_int_equal(ref.io_off, 0x10);
	mem_lookup(f->space, 0xc0123, &ref);
	assert_int_equal(ref.block_off, 0xc0123);

	/* Equal priorities may touch but not overlap; the message names both. */
	assert_int_equal(mem_map_ram(f->space, "clash", 4 * MIB - 4096, f->ram, 0, 8192, false,
				     MEM_PRIO_RAM, &b, &err),
			 -EEXIST);
	assert_non_null(strstr(err.text, "'ram'"));
	assert_non_null(strstr(err.text, "'clash'"));
	/* An alias shows the same bytes; a ROM view of them is read-only. */
	assert_int_equal(mem_map_ram(f->space, "alias", 4 * MIB, f->ram, 0x1000, 0x1000, false,
				     MEM_PRIO_RAM, &b, NULL),
			 0);
	assert_int_equal(mem_map_ram(f->space, "rom", 0xf0000, f->ram, 0x1000, 0x1000, true,
				     MEM_PRIO_ROM, &c, NULL),
			 0);
	assert_int_equal(mem_write(f->space, 4 * MIB + 5, "abc", 4), 0);
	assert_string_equal(f->ram->host + 0x1005, "abc");
	assert_int_equal(mem_write(f->space, 0xf0005, "xyz", 4), -EFAULT);
	lookup_is(f->space, 0xf0000, MEM_ROM, 0xf0000, 0x1000);
	mem_unmap(f->space, a);
	lookup_is(f->space, 0xa0010, MEM_RAM, 0, 0xf0000);
	mem_unmap(f->space, b);
	mem_unmap(f->space, c);
	lookup_is(f->space, 0xa0010, MEM_RAM, 0, 4 * MIB);
}

static void test_bad_ranges(void **state)
{
	struct fix *f = *state;
	static const struct mem_io io = {.name = "x"};
	struct mem_mapping *m;
	struct ram_block *b;
	struct error err;

	assert_int_equal(mem_map_io(f->space, 0x1000, 0, &io, 1, &m, &err), -EINVAL);
	assert_int_equal(mem_map_io(f->space, UINT64_MAX - 10, 20, &io, 1, &m, &err), -EINVAL);
	assert_int_equal(mem_map_ram(f->space, "m", 8 * MIB, f->ram, 1, 4096, false, 1, &m, &err),
			 -EINVAL);
	assert_int_equal(
		mem_map_ram(f->space, "m", 8 * MIB, f->ram, 4 * MIB, 4096, false, 1, &m, &err),
		-EINVAL);
	assert_int_equal(mem_ram_new(f->space, "odd", 1000, &b, &err), -EINVAL);
	assert_int_equal(mem_ram_new(f->space, "ram", 4096, &b, &err), -EEXIST);
}

/* More than any host has: refused at once, in words. */
static void test_too_much(void **state)
{
	struct fix *f = *state;
	struct ram_block *b;
	struct error err;

	assert_int_equal(mem_ram_new(f->space, "huge", BIT(50), &b, &err), -ENOMEM);
	assert_non_null(strstr(err.text, "1073741824 MiB"));
	assert_int_equal(mem_ram_new(f->space, "huge", BIT(63), &b, &err), -ENOMEM);
}

static void test_bracket(void **state)
{
	struct fix *f = *state;
	static const struct mem_io io = {.name = "io"};
	struct mem_mapping *m[3];
	unsigned before = f->changes;

	mem_map_begin(f->space);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(mem_map_io(f->space, 0x10000000 + i * 0x1000, 0x1000, &io,
					    MEM_PRIO_IO, &m[i], NULL),
				 0);
	assert_int_equal(f->changes, before);
	mem_map_commit(f->space);
	assert_int_equal(f->changes, before + 1);
	mem_map_begin(f->space);
	mem_map_commit(f->space);
	assert_int_equal(f->changes, before + 1);
}

/* IBM PC AT technical reference: with A20 low, odd megabytes alias even ones. */
static void test_a20(void **state)
{
	struct fix *f = *state;
	unsigned before = f->changes;
	uint32_t v = 0;

	st_le32(f->ram->host + 0x500, 0x11111111);
	st_le32(f->ram->host + MIB + 0x500, 0x22222222);
	assert_true(mem_get_a20(f->space));
	mem_set_a20(f->space, false);
	mem_set_a20(f->space, false);
	assert_int_equal(f->changes, before + 1);
	assert_int_equal(mem_read(f->space, MIB + 0x500, &v, 4), 0);
	assert_int_equal(v, 0x11111111);
	lookup_is(f->space, MIB + 0x500, MEM_RAM, MIB, MIB);
	lookup_is(f->space, 3 * MIB, MEM_RAM, 3 * MIB, MIB);
	/* A copy across the boundary wraps back. */
	f->ram->host[MIB - 1] = 0xaa;
	f->ram->host[0] = 0xbb;
	assert_int_equal(mem_read(f->space, MIB - 1, &v, 2), 0);
	assert_int_equal(v & 0xffff, 0xbbaa);
	mem_set_a20(f->space, true);
	assert_int_equal(mem_read(f->space, MIB + 0x500, &v, 4), 0);
	assert_int_equal(v, 0x22222222);
}

static void test_dma(void **state)
{
	struct fix *f = *state;
	uint8_t out[9000], in[9000];
	struct ram_block *b;
	struct mem_mapping *m;
	size_t len = MIB;
	char *p;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	assert_int_equal(mem_ram_new(f->space, "high", 8192, &b, NULL), 0);
	assert_int_equal(b->ram_offset, 4 * MIB);
	assert_int_equal(
		mem_map_ram(f->space, "high", 4 * MIB, b, 0, 8192, false, MEM_PRIO_RAM, &m, NULL),
		0);
	/* Across two blocks. */
	assert_int_equal(mem_write(f->space, 4 * MIB - 4500, out, sizeof(out)), 0);
	assert_int_equal(mem_read(f->space, 4 * MIB - 4500, in, sizeof(in)), 0);
	assert_memory_equal(out, in, sizeof(in));
	assert_memory_equal(b->host, out + 4500, 4500);
	/* Into the hole: refused, bytes before it may have been copied. */
	assert_int_equal(mem_write(f->space, 4 * MIB + 8190, out, 4), -EFAULT);
	assert_int_equal(mem_read(f->space, UINT64_MAX - 1, in, 16), -EFAULT);
	assert_int_equal(mem_read(f->space, BIT(40), in, 0), 0);
	for (unsigned n = 1; n <= 8; n++) {
		assert_int_equal(mem_write(f->space, 0x3000 + n * 16, out, n), 0);
		assert_int_equal(mem_read(f->space, 0x3000 + n * 16, in, n), 0);
		assert_memory_equal(in, out, n);
		assert_int_equal(mem_write(f->space, 0x5001 + n * 16, out, n), 0);
		assert_int_equal(mem_read(f->space, 0x5001 + n * 16, in, n), 0);
		assert_memory_equal(in, out, n);
	}
	p = mem_map_dma(f->space, 4 * MIB - 64, &len, true);
	assert_ptr_equal(p, f->ram->host + 4 * MIB - 64);
	assert_int_equal(len, 64);
	assert_null(mem_map_dma(f->space, 16 * MIB, &len, false));
	assert_ptr_equal(mem_block_find(f->space, "high"), b);
	assert_null(mem_block_find(f->space, "none"));
	assert_ptr_equal(mem_block_at(f->space, 4 * MIB), b);
	assert_null(mem_block_at(f->space, mem_ram_total(f->space)));
}

static void test_code_and_dirty(void **state)
{
	struct fix *f = *state;
	uint64_t bits[16];

	assert_int_equal(mem_write(f->space, 0x5ffe, "1234", 4), 0);
	assert_int_equal(f->code_writes, 0);
	f->ram->code[6] = 1;
	assert_int_equal(mem_write(f->space, 0x5ffa, "1234", 4), 0);
	assert_int_equal(f->code_writes, 0);
	assert_int_equal(mem_write(f->space, 0x5ffe, "1234", 4), 0);
	assert_int_equal(f->code_writes, 1);
	assert_int_equal(f->code_off, 0x5ffe);
	assert_int_equal(f->code_len, 4);
	mem_dma_done(f->space, 0x6000, 1);
	assert_int_equal(f->code_writes, 2);

	assert_false(mem_dirty_on(f->space));
	assert_int_equal(mem_dirty_start(f->space, NULL), 0);
	assert_true(mem_dirty_on(f->space));
	assert_int_equal(mem_write(f->space, 0x7fff, "12", 2), 0);
	mem_block_written(f->space, f->ram, 100 * 4096 + 5, 1);
	mem_dirty_fetch(f->space, f->ram, bits);
	assert_int_equal(bits[0], BIT(7) | BIT(8));
	assert_int_equal(bits[1], BIT(100 - 64));
	mem_dirty_fetch(f->space, f->ram, bits);
	assert_int_equal(bits[0] | bits[1], 0);
	mem_dirty_stop(f->space);
	assert_int_equal(mem_write(f->space, 0x7fff, "12", 2), 0);
	assert_int_equal(mem_dirty_start(f->space, NULL), 0);
	mem_dirty_fetch(f->space, f->ram, bits);
	assert_int_equal(bits[0], 0);
}

static void test_discard(void **state)
{
	struct fix *f = *state;

	memset(f->ram->host, 0xee, 5 * 4096);
	f->ram->code[2] = 1;
	assert_int_equal(mem_discard(f->ram, 4095, 3 * 4096 + 1), 0);
	assert_int_equal(f->ram->host[4095], 0xee);
	assert_int_equal(f->ram->host[4096], 0);
	assert_int_equal(f->ram->host[4 * 4096 - 1], 0);
	assert_int_equal(f->ram->host[4 * 4096], 0xee);
	assert_int_equal(f->code_writes, 1);
	assert_int_equal(mem_discard(f->ram, 100, 200), 0);
	assert_int_equal(mem_discard(f->ram, 4 * MIB, 4096), -EINVAL);
	assert_int_equal(mem_discard(f->ram, 0, UINT64_MAX), -EINVAL);
}

/* The file can't be resized under us, and addresses just outside it fault. */
static void test_sealed_and_guarded(void **state)
{
	struct fix *f = *state;

	assert_int_equal(ftruncate(f->ram->fd, 0), -1);
	assert_int_equal(ftruncate(f->ram->fd, 8 * MIB), -1);
	assert_int_equal(fcntl(f->ram->fd, F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
			 F_SEAL_SHRINK | F_SEAL_GROW);
	/* The kernel may not touch PROT_NONE either: write(2) from the guards gives EFAULT. */
	int p[2];
	assert_int_equal(pipe(p), 0);
	assert_int_equal(write(p[1], f->ram->host - 1, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(write(p[1], f->ram->host + 4 * MIB, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(write(p[1], f->ram->host + 4 * MIB - 1, 1), 1);
	close(p[0]);
	close(p[1]);
}

struct racer {
	struct fix *f;
	_Atomic bool stop;
	unsigned wrong;
};

static void *race_reads(void *ctx)
{
	struct racer *r = ctx;

	while (!atomic_load(&r->stop)) {
		struct mem_ref ref;
		uint8_t b[8];

		mem_lookup(r->f->space, 0x300010, &ref);
		r->wrong += ref.kind != MEM_RAM && ref.kind != MEM_ROM;
		r->wrong += ref.block_off != 0x300010 && ref.block_off != 0x10;
		r->wrong += mem_read(r->f->space, 0x2ffffc, b, 8) != 0;
	}
	return NULL;
}

/* Lookups and DMA on one thread, map changes, blocks and listeners coming and going on another. */
static void test_threads(void **state)
{
	struct fix *f = *state;
	struct racer r = {.f = f};
	struct mem_listener l = {0};
	pthread_t t;

	assert_int_equal(pthread_create(&t, NULL, race_reads, &r), 0);
	for (int i = 0; i < 300; i++) {
		struct mem_mapping *m;

		assert_int_equal(mem_map_ram(f->space, "rom", 0x300000, f->ram, 0, 0x1000, i & 1,
					     MEM_PRIO_ROM, &m, NULL),
				 0);
		mem_add_listener(f->space, &l);
		assert_int_equal(mem_dirty_start(f->space, NULL), 0);
		mem_dirty_stop(f->space);
		mem_del_listener(f->space, &l);
		mem_unmap(f->space, m);
	}
	atomic_store(&r.stop, true);
	pthread_join(t, NULL);
	assert_int_equal(r.wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_holes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_priorities, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_ranges, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_much, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bracket, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a20, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dma, setup, teardown),
		cmocka_unit_test_setup_teardown(test_code_and_dirty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discard, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sealed_and_guarded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_threads, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
