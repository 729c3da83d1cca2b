/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port and MMIO dispatch, widths, interrupt lines, MSI, and two buses in one process (bus/bus.h).
 */
#include "cm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bus/bus.h"

/* A 16-byte register file that records how it was called. */
struct unit {
	struct bus_region r;
	uint8_t regs[16];
	unsigned reads, writes, last_size;
	uint64_t last_off;
};

static uint64_t unit_read(void *ctx, uint64_t off, unsigned size)
{
	struct unit *u = ctx;
	uint64_t v = 0;

	assert_true(off + size <= u->r.size); /* the bus's promise to devices */
	assert_int_equal(off % size, 0);
	assert_true((u->r.impl ? u->r.impl : 15) & size);
	u->reads++;
	u->last_size = size;
	u->last_off = off;
	memcpy(&v, u->regs + off, size);
	return v;
}

static void unit_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct unit *u = ctx;

	assert_true(off + size <= u->r.size);
	assert_int_equal(off % size, 0);
	assert_true((u->r.impl ? u->r.impl : 15) & size);
	u->writes++;
	memcpy(u->regs + off, &val, size);
}

struct fix {
	struct mem_space *mem;
	struct bus bus;
	struct unit a, b;
};

static void unit_init(struct unit *u, const char *name, uint64_t size, unsigned valid,
		      unsigned impl)
{
	*u = (struct unit){.r = {.name = name,
				 .size = size,
				 .valid = (uint8_t)valid,
				 .impl = (uint8_t)impl,
				 .read = unit_read,
				 .write = unit_write,
				 .ctx = u}};
	for (unsigned i = 0; i < sizeof(u->regs); i++)
		u->regs[i] = (uint8_t)(0x10 + i);
}

static int setup(void **state)
{
	struct fix *f = xnew(struct fix);

	assert_int_equal(mem_space_new(&f->mem, NULL), 0);
	assert_int_equal(bus_init(&f->bus, f->mem, NULL), 0);
	unit_init(&f->a, "a", 4, 0, 0);
	unit_init(&f->b, "b", 4, 0, WIDTH_1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	bus_done(&f->bus);
	mem_space_free(f->mem);
	free(f);
	return 0;
}

static void test_pio(void **state)
{
	struct fix *f = *state;
	struct error err;

	assert_int_equal(bus_pio_read(&f->bus, 0x80, 1), 0xff);
	assert_int_equal(bus_pio_read(&f->bus, 0x80, 2), 0xffff);
	assert_int_equal(bus_pio_read(&f->bus, 0xffff, 4), 0xffffffff);
	bus_pio_write(&f->bus, 0xffff, 4, 1);
	assert_int_equal(bus_map_pio(&f->bus, &f->a.r, 0x100, NULL), 0);
	assert_int_equal(bus_map_pio(&f->bus, &f->b.r, 0x103, &err), -EEXIST);
	assert_non_null(strstr(err.text, "'a' and 'b'"));
	assert_int_equal(bus_map_pio(&f->bus, &f->b.r, 0xfffd, &err), -EINVAL);
	assert_int_equal(bus_map_pio(&f->bus, &f->b.r, 0x104, NULL), 0);
	assert_int_equal(bus_map_pio(&f->bus, &f->b.r, 0x204, &err), -EINVAL);

	assert_int_equal(bus_pio_read(&f->bus, 0x100, 4), 0x13121110);
	assert_int_equal(f->a.reads, 1);
	assert_int_equal(bus_pio_read(&f->bus, 0x104, 4), 0x13121110);
	assert_int_equal(f->b.reads, 4);
	/* Across two regions, and across a region and a hole: byte by byte. */
	assert_int_equal(bus_pio_read(&f->bus, 0x102, 4), 0x11101312);
	assert_int_equal(bus_pio_read(&f->bus, 0x106, 4), 0xffff1312);
	assert_int_equal(bus_pio_read(&f->bus, 0xff, 2), 0x10ff);
	bus_pio_write(&f->bus, 0x102, 4, 0xd4c3b2a1);
	assert_int_equal(f->a.regs[3], 0xb2);
	assert_int_equal(f->b.regs[1], 0xd4);
	/* Odd address inside one region: aligned pieces only. */
	assert_int_equal(bus_pio_read(&f->bus, 0x101, 2), 0xa111);
	bus_unmap_pio(&f->bus, &f->b.r);
	bus_unmap_pio(&f->bus, &f->b.r);
	assert_int_equal(bus_pio_read(&f->bus, 0x104, 1), 0xff);
	assert_true(f->bus.count.unclaimed > 0 && f->bus.count.pio_reads > 0);
}

/* valid, impl, off, size -> value, number of callbacks */
static const struct width_row {
	unsigned valid, impl, off, size;
	uint64_t value;
	unsigned calls;
} width_rows[] = {
	{WIDTH_ANY, WIDTH_ANY, 0, 8, 0x1716151413121110, 1},
	{WIDTH_ANY, WIDTH_4, 0, 8, 0x1716151413121110, 2},
	{WIDTH_ANY, WIDTH_1, 8, 4, 0x1b1a1918, 4},
	{WIDTH_ANY, WIDTH_4, 5, 1, 0x15, 1},
	{WIDTH_ANY, WIDTH_4, 6, 2, 0x1716, 1},
	{WIDTH_ANY, WIDTH_4, 6, 4, 0x19181716, 2},
	{WIDTH_ANY, WIDTH_8, 4, 4, 0x17161514, 1},
	{WIDTH_ANY, WIDTH_1 | WIDTH_4, 1, 4, 0x14131211, 4},
	{WIDTH_ANY, 0, 1, 4, 0x14131211, 3},
	{0, 0, 0, 8, 0x1716151413121110, 2}, /* 8 bytes where 4 are valid: as on PCI */
	{WIDTH_4, 0, 0, 1, 0xff, 0},         /* not a valid width */
	{WIDTH_4, 0, 4, 2, 0xffff, 0},
	{WIDTH_1, 0, 0, 8, UINT64_MAX, 0},
	{WIDTH_ANY, 0, 14, 4, 0xffff1f1e, 1}, /* over the end */
	{WIDTH_ANY, 0, 16, 4, 0xffffffff, 0},
	{WIDTH_ANY, 0, UINT64_MAX >> 32, 2, 0xffff, 0},
};

static void test_widths(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(width_rows); i++) {
		const struct width_row *w = &width_rows[i];
		struct unit u;

		unit_init(&u, "w", 16, w->valid, w->impl);
		assert_int_equal(bus_region_read(&u.r, w->off, w->size), w->value);
		assert_int_equal(u.reads, w->calls);
		/* Writing back what was read, bytes complemented, changes exactly those bytes. */
		bus_region_write(&u.r, w->off, w->size, ~w->value);
		assert_int_equal(u.writes, w->calls);
		for (unsigned n = 0; n < 16; n++) {
			bool inside = w->calls && n >= w->off && n < w->off + w->size;

			assert_int_equal(u.regs[n], (uint8_t)(inside ? ~(0x10 + n) : 0x10 + n));
		}
	}
}

/* A region whose size is no multiple of its only implemented width has an unreachable tail. */
static void test_ragged_end(void **state)
{
	struct unit u;

	unit_init(&u, "r", 6, WIDTH_ANY, WIDTH_4);
	assert_int_equal(bus_region_read(&u.r, 4, 2), 0xffff);
	bus_region_write(&u.r, 4, 2, 0);
	assert_int_equal(u.regs[4], 0x14);
}

static void test_mmio(void **state)
{
	struct fix *f = *state;
	struct ram_block *ram;
	struct mem_mapping *m;

	assert_int_equal(mem_ram_new(f->mem, "ram", 4096, &ram, NULL), 0);
	assert_int_equal(mem_map_ram(f->mem, "ram", 0, ram, 0, 4096, false, MEM_PRIO_RAM, &m, NULL),
			 0);
	assert_int_equal(bus_mmio_read(&f->bus, 0x10000, 8), UINT64_MAX);
	assert_int_equal(bus_map_mmio(&f->bus, &f->a.r, 0x1000, MEM_PRIO_IO, NULL), 0);
	assert_int_equal(bus_map_mmio(&f->bus, &f->b.r, 0x1004, MEM_PRIO_IO, NULL), 0);
	assert_int_equal(bus_mmio_read(&f->bus, 0x1000, 4), 0x13121110);
	/* RAM | device, device | device, device | hole */
	ram->host[4095] = 0x99;
	assert_int_equal(bus_mmio_read(&f->bus, 0xfff, 2), 0x1099);
	assert_int_equal(bus_mmio_read(&f->bus, 0x1002, 4), 0x11101312);
	assert_int_equal(bus_mmio_read(&f->bus, 0x1004, 8), 0xffffffff13121110);
	bus_mmio_write(&f->bus, 0xfff, 2, 0xbbaa);
	assert_int_equal(ram->host[4095], 0xaa);
	assert_int_equal(f->a.regs[0], 0xbb);
	bus_mmio_write(&f->bus, UINT64_MAX, 8, 0xaa01);
	assert_int_equal(bus_mmio_read(&f->bus, UINT64_MAX, 2) >> 8, 0xaa);
	bus_unmap_mmio(&f->bus, &f->a.r);
	bus_unmap_mmio(&f->bus, &f->b.r);
	assert_int_equal(bus_mmio_read(&f->bus, 0x1000, 4), 0xffffffff);
}

/* Contents are read as ROM, also by DMA; what a processor writes comes to the region. */
static void test_rom(void **state)
{
	struct fix *f = *state;
	struct ram_block *flash;
	struct mem_ref ref;
	struct unit *u = &f->a;
	uint8_t byte = 0;

	assert_int_equal(mem_ram_new(f->mem, "flash", 8192, &flash, NULL), 0);
	flash->host[4096] = 0x77;
	u->r.size = 4096;
	u->r.impl = WIDTH_1;
	assert_int_equal(bus_map_rom(&f->bus, &u->r, flash, 4096, 0x2000, MEM_PRIO_ROM, NULL), 0);
	assert_true(bus_map_rom(&f->bus, &u->r, flash, 0, 0x4000, MEM_PRIO_ROM, NULL) < 0);
	mem_lookup(f->mem, 0x2004, &ref);
	assert_int_equal(ref.kind, MEM_ROM);
	assert_int_equal(ref.block_off, 4100);
	assert_int_equal(ref.io_off, 4);
	assert_int_equal(bus_mmio_read(&f->bus, 0x2000, 1), 0x77);
	assert_int_equal(mem_read(f->mem, 0x2000, &byte, 1), 0);
	assert_int_equal(byte, 0x77);
	assert_int_equal(mem_write(f->mem, 0x2000, &byte, 1), -EFAULT);
	assert_int_equal(u->reads, 0);
	bus_mmio_write(&f->bus, 0x2002, 4, 0x44332211);
	assert_int_equal(u->writes, 4);
	assert_int_equal(u->regs[2], 0x11);
	assert_int_equal(u->regs[5], 0x44);
	assert_int_equal(flash->host[4098], 0);
	bus_unmap_mmio(&f->bus, &u->r);
	assert_int_equal(bus_mmio_read(&f->bus, 0x2000, 1), 0xff);
}

struct edges {
	unsigned up, down;
	unsigned pin;
};

static void on_irq(void *ctx, unsigned pin, bool level)
{
	struct edges *e = ctx;

	e->pin = pin;
	e->up += level;
	e->down += !level;
}

static void test_irq(void **state)
{
	struct edges e = {0};
	struct irq line, nc;

	irq_init(&line, on_irq, &e, 5);
	irq_init(&nc, NULL, NULL, 0);
	irq_set(&line, false);
	assert_int_equal(e.up + e.down, 0);
	irq_set(&line, true);
	irq_set(&line, true);
	assert_int_equal(e.up, 1);
	irq_pulse(&line); /* already high: only the fall is seen */
	assert_int_equal(e.down, 1);
	irq_pulse(&line);
	assert_int_equal(e.up, 2);
	assert_int_equal(e.pin, 5);
	irq_pulse(&nc);
	irq_set(NULL, true);
}

static void on_msi(void *ctx, uint64_t addr, uint32_t data)
{
	*(uint64_t *)ctx = addr + data;
}

struct eoi {
	struct msi_eoi_listener l;
	unsigned seen;
};

static void on_eoi(struct msi_eoi_listener *l, uint8_t vector)
{
	CONTAINER_OF(l, struct eoi, l)->seen += vector;
}

static void test_msi(void **state)
{
	struct fix *f = *state;
	uint64_t got = 0;
	struct eoi e = {.l.eoi = on_eoi};

	msi_send(&f->bus.msi, 0xfee00000, 1); /* nobody there */
	f->bus.msi.deliver = on_msi;
	f->bus.msi.ctx = &got;
	msi_send(&f->bus.msi, 0xfee00000, 0x31);
	assert_int_equal(got, 0xfee00031);
	list_append(&f->bus.msi.eoi_listeners, &e.l.node);
	msi_eoi(&f->bus.msi, 0x31);
	assert_int_equal(e.seen, 0x31);
}

/* No mutable globals: two machines side by side do not see each other. */
static void test_two_buses(void **state)
{
	struct fix *f = *state;
	struct mem_space *mem2;
	struct bus bus2;
	struct ram_block *r1, *r2;
	struct mem_mapping *m1, *m2;
	uint32_t v;

	assert_int_equal(mem_space_new(&mem2, NULL), 0);
	assert_int_equal(bus_init(&bus2, mem2, NULL), 0);
	assert_int_equal(mem_ram_new(f->mem, "ram", 4096, &r1, NULL), 0);
	assert_int_equal(mem_ram_new(mem2, "ram", 4096, &r2, NULL), 0);
	assert_int_equal(mem_map_ram(f->mem, "ram", 0, r1, 0, 4096, false, 1, &m1, NULL), 0);
	assert_int_equal(mem_map_ram(mem2, "ram", 0, r2, 0, 4096, false, 1, &m2, NULL), 0);
	assert_int_equal(bus_map_pio(&f->bus, &f->a.r, 0x60, NULL), 0);
	assert_int_equal(bus_map_pio(&bus2, &f->b.r, 0x60, NULL), 0);
	f->b.regs[0] = 0x77;
	assert_int_equal(bus_pio_read(&f->bus, 0x60, 1), 0x10);
	assert_int_equal(bus_pio_read(&bus2, 0x60, 1), 0x77);
	assert_int_equal(mem_write(f->mem, 16, "one", 4), 0);
	assert_int_equal(mem_read(mem2, 16, &v, 4), 0);
	assert_int_equal(v, 0);
	mem_set_a20(mem2, false);
	assert_true(mem_get_a20(f->mem));
	bus_done(&bus2);
	mem_space_free(mem2);
}

/* -d io: each access with who claims it. */
static void test_trace(void **state)
{
	static const char *const want[] = {"io: port write 0060 5a (", "io: port read 0061 11 (",
					   "io: port read 0200 ffff (-)",
					   "io: mmio read 00001000 ffffffff (-)"};
	struct fix *f = *state;
	FILE *out = tmpfile();
	int saved = dup(2);
	char text[2000] = "";

	assert_non_null(out);
	assert_int_equal(bus_map_pio(&f->bus, &f->a.r, 0x60, NULL), 0);
	fflush(stderr);
	dup2(fileno(out), 2);
	f->bus.trace_io = true;
	bus_pio_write(&f->bus, 0x60, 1, 0x5a);
	bus_pio_read(&f->bus, 0x61, 1);
	bus_pio_read(&f->bus, 0x200, 2);
	bus_mmio_read(&f->bus, 0x1000, 4);
	dup2(saved, 2);
	close(saved);
	rewind(out);
	assert_true(fread(text, 1, sizeof(text) - 1, out) > 0);
	fclose(out);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++)
		if (!strstr(text, want[i]))
			fail_msg("no '%s' in:\n%s", want[i], text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pio, setup, teardown),
		cmocka_unit_test(test_widths),
		cmocka_unit_test(test_ragged_end),
		cmocka_unit_test_setup_teardown(test_mmio, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rom, setup, teardown),
		cmocka_unit_test(test_irq),
		cmocka_unit_test_setup_teardown(test_msi, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trace, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two_buses, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
