/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programmable attribute map (pam.h). Intel 82441FX data sheet 290549-001, 3.2.18; Intel 3 Series
 * Express Chipset Family data sheet 316966-002, 5.1.15 to 5.1.21: the same seven registers.
 *
 * Each of the 13 segments is in one of four modes: RE = 0 lets the PCI side (ROM, or nothing)
 * answer reads, RE = 1 RAM; WE likewise for writes. Three of them are plain mappings; "read ROM,
 * write RAM" has no mapping and is done by callbacks, byte by byte: firmware uses it for the
 * moment it copies itself.
 *
 * UNMODELLED: in "read ROM, write RAM" mode BARs below 1 MiB don't answer.
 */
#include "device/pci/pam.h"

#include "base/bits.h"
#include "mem/guest.h"

#define PAM_RE 1u
#define PAM_WE 2u

static uint64_t wo_read(void *ctx, uint64_t off, unsigned size)
{
	const struct pam_segment *seg = ctx;
	gpa_t gpa = seg->gpa + off;

	for (unsigned i = 0; i < PAM_ROMS; i++) {
		const struct pam_rom *rom = &seg->pam->rom[i];
		if (rom->block && gpa >= rom->gpa && gpa + size <= rom->gpa + rom->size)
			return guest_load(rom->block->host + rom->off + (gpa - rom->gpa), size);
	}
	return mask_bytes(size);
}

static void wo_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	const struct pam_segment *seg = ctx;
	struct pam *p = seg->pam;
	uint64_t at = seg->gpa + off; /* the RAM block's offset is the address below 1 MiB */

	guest_store(p->ram->host + at, size, val);
	mem_block_written(p->dev->sv->mem, p->ram, at, size);
}

static void segment_init(struct pam *p, unsigned i)
{
	struct pam_segment *seg = &p->seg[i];

	seg->pam = p;
	seg->gpa = i == 0 ? 0xf0000 : 0xc0000 + (i - 1) * 0x4000ull;
	seg->size = i == 0 ? 0x10000 : 0x4000;
	seg->write_only = (struct bus_region){.name = "pam-write-only",
					      .size = seg->size,
					      .valid = WIDTH_ANY,
					      .impl = WIDTH_1,
					      .read = wo_read,
					      .write = wo_write,
					      .ctx = seg};
}

static uint8_t segment_mode(const struct pam *p, unsigned i)
{
	const uint8_t *pam = p->reg;

	return i == 0 ? (pam[0] >> 4) & 3 : (pam[(i + 1) / 2] >> ((i & 1) ? 0 : 4)) & 3;
}

static void segment_unmap(struct pam_segment *seg)
{
	mem_unmap(seg->pam->dev->sv->mem, seg->map);
	seg->map = NULL;
	if (seg->write_only_mapped)
		bus_unmap_mmio(seg->pam->dev->sv->bus, &seg->write_only);
	seg->write_only_mapped = false;
	seg->mode = 0;
}

static void segment_set(struct pam_segment *seg, uint8_t mode)
{
	struct pam *p = seg->pam;
	struct error err = {0};
	int r = 0;

	if (mode == seg->mode)
		return;
	segment_unmap(seg);
	if (mode & PAM_RE) {
		r = mem_map_ram(p->dev->sv->mem, "pam", seg->gpa, p->ram, seg->gpa, seg->size,
				!(mode & PAM_WE), MEM_PRIO_RAM, &seg->map, &err);
	} else if (mode & PAM_WE) {
		r = bus_map_mmio(p->dev->sv->bus, &seg->write_only, seg->gpa, MEM_PRIO_RAM, &err);
		seg->write_only_mapped = r == 0;
	}
	if (r < 0)
		guest_error(p->dev, "PAM segment %#llx: %s", (unsigned long long)seg->gpa,
			    err.text);
	seg->mode = mode;
}

void pam_update(struct pam *p, bool smram_open)
{
	struct mem_space *mem;

	if (!p->ram)
		return;
	mem = p->dev->sv->mem;
	mem_map_begin(mem);
	for (unsigned i = 0; i < PAM_SEGMENTS; i++)
		segment_set(&p->seg[i], segment_mode(p, i));
	if (smram_open && !p->smram_map) {
		struct error err = {0};

		if (mem_map_ram(mem, "smram", 0xa0000, p->ram, 0xa0000, 0x20000, false,
				MEM_PRIO_TOP, &p->smram_map, &err) < 0)
			guest_error(p->dev, "SMRAM: %s", err.text);
	} else if (!smram_open && p->smram_map) {
		mem_unmap(mem, p->smram_map);
		p->smram_map = NULL;
	}
	mem_map_commit(mem);
}

int pam_init(struct pam *p, struct dev *dev, const uint8_t *reg, struct error *err)
{
	p->dev = dev;
	p->reg = reg;
	for (unsigned i = 0; i < PAM_SEGMENTS; i++)
		segment_init(p, i);
	for (unsigned i = 0; i < PAM_ROMS; i++) {
		const struct pam_rom *rom = &p->rom[i];
		int r;

		if (!rom->block)
			continue;
		r = mem_map_ram(dev->sv->mem, "rom-low", rom->gpa, rom->block, rom->off, rom->size,
				true, MEM_PRIO_LOW, &p->rom_map[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

void pam_done(struct pam *p)
{
	if (!p->dev)
		return;
	for (unsigned i = 0; i < PAM_SEGMENTS; i++)
		segment_unmap(&p->seg[i]);
	for (unsigned i = 0; i < PAM_ROMS; i++)
		mem_unmap(p->dev->sv->mem, p->rom_map[i]);
	mem_unmap(p->dev->sv->mem, p->smram_map);
}
