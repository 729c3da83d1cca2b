/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Video memory as the processor sees it through the window at a0000h: IBM PS/2 Hardware Interface
 * Technical Reference, Video Subsystem, "Graphics Controller" and "Sequencer, Memory Mode".
 *
 * A read loads the four latches; a write goes through rotation, set/reset, the logical function and
 * the bit mask into the planes that the map mask enables. Everything is one byte wide as on the
 * original; the four planes of an address are one dword, so each step is one operation on 32 bits.
 *
 * Where the registers ask for nothing but storing bytes in chain 4 (mode 13h after a mode set,
 * banked DISPI modes), the window becomes a second mapping of the memory itself and no access
 * comes here. ERRATUM: nor do the latches see what is read then.
 */
#include <string.h>

#include "base/bits.h"
#include "device/video/vga.h"
#include "mem/guest.h"

enum {
	SR4_SEQUENTIAL = 0x04, /* not odd/even */
	SR4_CHAIN4 = 0x08,
	GR5_READ1 = 0x08,
	GR5_ODD_EVEN = 0x10,
	GR6_CHAIN = 0x02, /* address bit 0 picks the plane and is replaced */
	MISC_RAM = 0x02,
	MISC_LOW_PAGE = 0x20,
	DISPI_BANK_REG = 5,
};

/* Memory maps (GR6 bits 3:2): start in the window and size. */
static const struct {
	uint32_t start, size;
} maps[4] = {{0, 0x20000}, {0, 0x10000}, {0x10000, 0x8000}, {0x18000, 0x8000}};

/* Bit n of a nibble to all bits of byte n. */
static uint32_t spread(unsigned nibble)
{
	return (nibble & 1 ? 0xffu : 0) | (nibble & 2 ? 0xff00u : 0) |
	       (nibble & 4 ? 0xff0000u : 0) | (nibble & 8 ? 0xff000000u : 0);
}

static uint32_t repeat(uint8_t byte)
{
	return byte * 0x01010101u;
}

/* Where an access at @off of the window goes. */
struct place {
	uint8_t *dword;  /* the four planes at this address */
	unsigned planes; /* that a write may reach, by addressing alone */
	unsigned plane;  /* that a read returns in read mode 0 */
};

static bool find_place(struct vga *v, uint64_t off, struct place *ret)
{
	unsigned map = (v->s.gr[6] >> 2) & 3;
	uint32_t at, n, mask = 0xffff;
	struct vga_vbe g;
	bool vbe = vga_vbe(v, &g);

	if (!(v->s.misc & MISC_RAM) || off < maps[map].start ||
	    off - maps[map].start >= maps[map].size)
		return false;
	at = (uint32_t)off - maps[map].start;
	if (vbe) {
		at += (uint32_t)v->s.dispi[DISPI_BANK_REG] << 16;
		mask = v->vram_size / 4 - 1;
	}
	if ((vbe && g.bpp != 4) || (v->s.sr[4] & SR4_CHAIN4)) {
		ret->plane = at & 3;
		ret->planes = 1u << ret->plane;
		n = (vbe ? at : at & 0xffff) >> 2;
	} else {
		bool odd_even = v->s.gr[6] & GR6_CHAIN;

		ret->planes = v->s.sr[4] & SR4_SEQUENTIAL ? 15 : at & 1 ? 10 : 5;
		ret->plane = v->s.gr[4] & 3;
		if (v->s.gr[5] & GR5_ODD_EVEN)
			ret->plane = (ret->plane & 2) | (at & 1);
		/* Bit 16 takes the place of the bit that picked the plane in the 128 KiB map, the
		 * page bit in the others. */
		n = odd_even ? (at & ~1u) | (map == 0 ? at >> 16 & 1 : !(v->s.misc & MISC_LOW_PAGE))
			     : at;
	}
	ret->dword = v->vram->host + 4ull * (n & mask);
	return true;
}

uint64_t vga_window_read(void *ctx, uint64_t off, unsigned size)
{
	struct vga *v = ctx;
	struct place p;
	uint32_t differ;

	if (!find_place(v, off, &p))
		return 0xff;
	v->s.latch = (uint32_t)guest_load(p.dword, 4);
	if (!(v->s.gr[5] & GR5_READ1))
		return v->s.latch >> p.plane * 8 & 0xff;
	/* Read mode 1: bits whose colour equals GR2 in the planes that GR7 cares about. */
	differ = (v->s.latch ^ spread(v->s.gr[2])) & spread(v->s.gr[7]);
	differ |= differ >> 16;
	return ~(differ | differ >> 8) & 0xff;
}

/* The four bytes that a write of @val would put there with all planes enabled. */
static uint32_t write_value(const struct vga *v, uint8_t val)
{
	const uint8_t *gr = v->s.gr;
	unsigned turn = gr[3] & 7;
	uint8_t turned = (uint8_t)(val >> turn | val << (8 - turn)), mask = gr[8];
	uint32_t data, bits;

	switch (gr[5] & 3) {
	case 0:
		data = repeat(turned);
		data = (data & ~spread(gr[1])) | (spread(gr[0]) & spread(gr[1]));
		break;
	case 1: return v->s.latch;
	case 2: data = spread(val); break;
	default:
		data = spread(gr[0]);
		mask &= turned;
		break;
	}
	switch (gr[3] >> 3 & 3) {
	case 1: data &= v->s.latch; break;
	case 2: data |= v->s.latch; break;
	case 3: data ^= v->s.latch; break;
	}
	bits = repeat(mask);
	return (data & bits) | (v->s.latch & ~bits);
}

void vga_window_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct vga *v = ctx;
	struct mem_space *mem = v->dev.sv->mem;
	struct place p;
	uint32_t planes, data;
	uint64_t at;

	if (!find_place(v, off, &p))
		return;
	planes = spread(p.planes & v->s.sr[2]);
	if (!planes)
		return;
	data = (write_value(v, (uint8_t)val) & planes) |
	       ((uint32_t)guest_load(p.dword, 4) & ~planes);
	guest_store(p.dword, 4, data);
	v->generation++;
	at = (uint64_t)(p.dword - v->vram->host);
	if (mem_dirty_on(mem) || v->vram->code[at >> MEM_PAGE_SHIFT])
		mem_block_written(mem, v->vram, at, 4);
}

/* ------------------------------------------------------------------ where the window is */

/* Do the registers only store bytes in chain 4? Then: which part of memory stands at a0000h. */
static bool direct_range(const struct vga *v, uint32_t *ret_off, uint32_t *ret_size)
{
	unsigned map = v->s.gr[6] >> 2 & 3;
	struct vga_vbe g;
	bool vbe = vga_vbe(v, &g);
	const uint8_t *gr = v->s.gr;

	if (!(v->s.misc & MISC_RAM) || map > 1 || (vbe && g.bpp == 4))
		return false;
	/* In 128 KiB chain 4 shows its 64 KiB twice. */
	if (!vbe && (!(v->s.sr[4] & SR4_CHAIN4) || map == 0))
		return false;
	if ((v->s.sr[2] & 15) != 15 || gr[1] || (gr[3] & 0x1f) || (gr[5] & 0x0b) || gr[8] != 0xff)
		return false;
	*ret_size = maps[map].size;
	*ret_off = vbe ? (uint32_t)v->s.dispi[DISPI_BANK_REG] << 16 : 0;
	/* Banks past the end wrap, which a mapping of the last one can't. */
	return *ret_off <= v->vram_size - *ret_size;
}

bool vga_layout(const struct vga *v)
{
	struct vga_vbe g;

	return (v->s.sr[4] & SR4_CHAIN4) && !vga_vbe(v, &g);
}

void vga_layout_update(struct vga *v)
{
	enum { DWORDS = VGA_PLANES_SIZE / 4 };
	uint8_t *vram = v->vram->host;

	if (v->chained == vga_layout(v))
		return;
	guest_copy_bulk(v->seen, vram, VGA_PLANES_SIZE); /* vga_update() fills it anew */
	for (unsigned at = 0; at < DWORDS; at++) {
		unsigned from = vga_stored_at(v, at), to;

		v->chained = !v->chained;
		to = vga_stored_at(v, at);
		v->chained = !v->chained;
		guest_store(vram + 4ull * to, 4, ld_le32(v->seen + 4ull * from));
	}
	v->chained = !v->chained;
	v->generation++;
	mem_block_written(v->dev.sv->mem, v->vram, 0, VGA_PLANES_SIZE);
}

void vga_map_done(struct vga *v)
{
	struct mem_space *mem = v->dev.sv->mem;

	mem_unmap(mem, v->direct);
	v->direct = NULL;
	if (v->window_mapped)
		bus_unmap_mmio(v->dev.sv->bus, &v->window);
	v->window_mapped = false;
}

void vga_map_update(struct vga *v)
{
	struct mem_space *mem = v->dev.sv->mem;
	bool on = pci_command(&v->f) & PCI_COMMAND_MEMORY;
	uint32_t off = 0, size = 0;
	bool direct = on && direct_range(v, &off, &size);
	struct error err = {0};

	vga_layout_update(v);
	if (on == v->window_mapped && direct == (v->direct != NULL) &&
	    (!direct || (off == v->direct_off && size == v->direct_size)))
		return;
	mem_map_begin(mem);
	if (!on) {
		vga_map_done(v);
		mem_map_commit(mem);
		return;
	}
	mem_unmap(mem, v->direct);
	v->direct = NULL;
	if (!v->window_mapped &&
	    bus_map_mmio(v->dev.sv->bus, &v->window, 0xa0000, MEM_PRIO_ROM, &err) == 0)
		v->window_mapped = true;
	if (direct && v->window_mapped &&
	    mem_map_ram(mem, "vga-direct", 0xa0000, v->vram, off, size, false, MEM_PRIO_ROM + 1,
			&v->direct, &err) < 0)
		v->direct = NULL;
	v->direct_off = off;
	v->direct_size = size;
	mem_map_commit(mem);
}
