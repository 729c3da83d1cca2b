/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory map and the bus against a naive model: random mappings come and go in a small window,
 * brackets nest, A20 toggles; after each step addresses are looked up and compared with a linear
 * search over what should be mapped, DMA must succeed exactly where RAM stands, and a device region
 * must only ever see aligned accesses inside it.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "bus/bus.h"

enum { SLOTS = 12, PAGES = 600, RAM_PAGES = 64 };

struct slot {
	struct mem_mapping *map;
	struct bus_region region; /* I/O slots */
	enum mem_kind kind;
	gpa_t gpa;
	uint64_t size, off;
	int prio;
};

struct world {
	struct mem_space *mem;
	struct bus bus;
	struct ram_block *ram;
	struct slot slots[SLOTS];
	unsigned depth;
	const uint8_t *p, *end;
};

static unsigned next(struct world *w)
{
	return w->p < w->end ? *w->p++ : 0;
}

static uint64_t io_read(void *ctx, uint64_t off, unsigned size)
{
	const struct slot *s = ctx;

	check(off % size == 0 && off + size <= s->size);
	return 0x0101010101010101ull * (uint8_t)off;
}

static void io_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	const struct slot *s = ctx;

	check(off % size == 0 && off + size <= s->size && !(val & ~mask_bytes(size)));
}

static const struct slot *model(const struct world *w, gpa_t at)
{
	const struct slot *best = NULL;

	for (unsigned i = 0; i < SLOTS; i++) {
		const struct slot *s = &w->slots[i];

		if (s->kind != MEM_NONE && at >= s->gpa && at - s->gpa < s->size &&
		    (!best || s->prio > best->prio))
			best = s;
	}
	return best;
}

static void compare(struct world *w, gpa_t gpa)
{
	gpa_t at = mem_get_a20(w->mem) ? gpa : gpa & ~BIT(20);
	const struct slot *s = model(w, at);
	struct mem_ref ref;
	uint8_t byte;

	mem_lookup(w->mem, gpa, &ref);
	check(ref.kind == (s ? s->kind : MEM_NONE));
	check(gpa >= ref.start && gpa - ref.start < ref.len);
	if (ref.kind == MEM_IO)
		check(ref.io == &s->region.io && ref.io_off == at - s->gpa);
	else if (s)
		check(ref.block == w->ram && ref.block_off == s->off + at - s->gpa);
	check((mem_read(w->mem, gpa, &byte, 1) == 0) ==
	      (ref.kind == MEM_RAM || ref.kind == MEM_ROM));
	check((mem_write(w->mem, gpa, &byte, 1) == 0) == (ref.kind == MEM_RAM));
}

static void unmap(struct world *w, struct slot *s)
{
	if (s->kind == MEM_IO)
		bus_unmap_mmio(&w->bus, &s->region);
	else
		mem_unmap(w->mem, s->map);
	s->map = NULL;
	s->kind = MEM_NONE;
}

static void map(struct world *w, struct slot *s)
{
	unsigned a = next(w), b = next(w), c = next(w);
	bool clash = false;
	int r;

	s->prio = (int)(c & 7);
	s->gpa = (uint64_t)(a * 2 + (b & 1)) * MEM_PAGE_SIZE;
	s->off = (b >> 2) % RAM_PAGES * MEM_PAGE_SIZE;
	s->size = MIN((1 + (uint64_t)(c >> 3)) * MEM_PAGE_SIZE, RAM_PAGES * MEM_PAGE_SIZE - s->off);
	if (b & 2) { /* I/O, of any alignment */
		s->gpa += next(w);
		s->size -= next(w);
	}
	for (unsigned i = 0; i < SLOTS; i++) {
		struct slot *o = &w->slots[i];

		clash |= o->kind != MEM_NONE && o->prio == s->prio && o->gpa < s->gpa + s->size &&
			 s->gpa < o->gpa + o->size;
	}
	if (b & 2) {
		s->region = (struct bus_region){.name = "io",
						.size = s->size,
						.valid = WIDTH_ANY,
						.impl = (uint8_t)(1 + a % 15),
						.read = io_read,
						.write = io_write,
						.ctx = s};
		r = bus_map_mmio(&w->bus, &s->region, s->gpa, s->prio, NULL);
	} else {
		r = mem_map_ram(w->mem, "m", s->gpa, w->ram, s->off, s->size, a & 1, s->prio,
				&s->map, NULL);
	}
	check(r == (clash ? -EEXIST : 0));
	if (!r)
		s->kind = b & 2 ? MEM_IO : a & 1 ? MEM_ROM : MEM_RAM;
}

static void step(struct world *w)
{
	unsigned op = next(w);
	struct slot *s = &w->slots[(op >> 3) % SLOTS];
	gpa_t gpa;

	switch (op & 7) {
	case 0:
	case 1:
	case 2:
		if (s->kind == MEM_NONE)
			map(w, s);
		else
			unmap(w, s);
		break;
	case 3:
		if (w->depth < 3) {
			mem_map_begin(w->mem);
			w->depth++;
		}
		break;
	case 4:
	case 5:
		if (w->depth) {
			mem_map_commit(w->mem);
			w->depth--;
		}
		break;
	case 6: mem_set_a20(w->mem, op & 8); break;
	case 7:
		gpa = (uint64_t)next(w) * 0x2fff + next(w);
		if (w->depth)
			break; /* the flat map is behind the model until the commit */
		if (op & 8)
			(void)bus_mmio_read(&w->bus, gpa, 1u << (op >> 4 & 3));
		else
			bus_mmio_write(&w->bus, gpa, 1u << (op >> 4 & 3), next(w));
		break;
	}
	if (!w->depth)
		for (unsigned i = 0; i < 4; i++)
			compare(w, (uint64_t)(next(w) * 256 + next(w)) * 41);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world w = {.p = data, .end = data + size};

	check(mem_space_new(&w.mem, NULL) == 0 && bus_init(&w.bus, w.mem, NULL) == 0);
	check(mem_ram_new(w.mem, "ram", RAM_PAGES * MEM_PAGE_SIZE, &w.ram, NULL) == 0);
	while (w.p < w.end)
		step(&w);
	while (w.depth--)
		mem_map_commit(w.mem);
	for (gpa_t gpa = 0; gpa < PAGES * MEM_PAGE_SIZE; gpa += MEM_PAGE_SIZE * 3 / 2)
		compare(&w, gpa);
	for (unsigned i = 0; i < SLOTS; i++)
		if (w.slots[i].kind != MEM_NONE)
			unmap(&w, &w.slots[i]);
	bus_done(&w.bus);
	mem_space_free(w.mem);
	return 0;
}
