/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by fuzz_linux, fuzz_elf and fuzz_multiboot: a guest of 8 MiB, and one boot_load() of an
 * image made from the input. The input either is the image, or edits a good one: records of
 * (16-bit offset, width 1, 2, 4 or 8, value).
 */
#ifndef TESTS_FUZZ_BOOT_FUZZ_H
#define TESTS_FUZZ_BOOT_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

#define FUZZ_RAM (8 * MIB)

struct boot_guest {
	struct mem_space *mem;
	struct boot_env env;
};

static void boot_guest_init(struct boot_guest *g)
{
	struct ram_block *ram;
	struct mem_mapping *map;
	struct error err = {0};

	check(mem_space_new(&g->mem, &err) == 0);
	check(mem_ram_new(g->mem, "ram", FUZZ_RAM, &ram, &err) == 0);
	check(mem_map_ram(g->mem, "ram", 0, ram, 0, FUZZ_RAM, false, MEM_PRIO_RAM, &map, &err) ==
	      0);
	g->env.mem = g->mem;
	g->env.low_end = FUZZ_RAM;
	g->env.rsdp = 0xe0000;
	e820_add(&g->env.map, 0, 0x9fc00, E820_RAM);
	e820_add(&g->env.map, 0xe0000, 0x20000, E820_RESERVED);
	e820_add(&g->env.map, MIB, FUZZ_RAM - MIB, E820_RAM);
}

/* Load; a success must have an entry the processor can reach, a failure a text. */
static void boot_try(struct boot_guest *g, const uint8_t *img, size_t n, bool initrd)
{
	struct boot_source src = {0};
	struct boot_cpu cpu = {0};
	struct error err = {0};
	int r;

	if (!n)
		return;
	src.cmdline = xstrdup("console=ttyS0");
	src.kernel = (struct boot_file){.name = xstrdup("k"), .fd = -1, .bytes = img, .size = n};
	if (initrd) {
		src.has_initrd = true;
		src.initrd =
			(struct boot_file){.name = xstrdup("i"), .fd = -1, .bytes = img, .size = n};
	}
	r = boot_load(&src, &g->env, &cpu, &err);
	check(r <= 0);
	check(r < 0 ? err.text[0] != 0 : cpu.protocol != NULL);
	boot_source_done(&src);
}

/* A copy of @good edited by the records of the input; *ret_n may be cut short by the first byte. */
static uint8_t *boot_edit(const uint8_t *good, size_t n, const uint8_t *data, size_t size,
			  size_t *ret_n)
{
	uint8_t *img = xcalloc(1, n);

	memcpy(img, good, n);
	*ret_n = n;
	if (size >= 2 && data[0] >= 0xe0)
		*ret_n = n * data[1] / 256;
	/* few edits at a time: more would always break the signature */
	for (size_t i = 2, left = size ? data[0] % 5 : 0; i + 3 <= size && left; left--) {
		unsigned width = 1u << (data[i + 2] & 3);
		size_t at = ld_le16(data + i) % n;

		i += 3;
		if (i + width > size || at + width > n)
			break;
		memcpy(img + at, data + i, width);
		i += width;
	}
	return img;
}

#endif
