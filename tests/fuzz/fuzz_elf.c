/* SPDX-License-Identifier: Apache-2.0 */
/* The ELF and PVH loader against hostile headers, segments and notes (boot_fuzz.h). */
#include <elf.h>

#include "boot_fuzz.h"

enum { LEN = 0x600 };

static void good_image(uint8_t *p, bool is64)
{
	memset(p, 0, LEN);
	memcpy(p, ELFMAG, 4);
	p[EI_CLASS] = is64 ? ELFCLASS64 : ELFCLASS32;
	p[EI_DATA] = ELFDATA2LSB;
	if (is64) {
		Elf64_Ehdr h;
		Elf64_Phdr ph[2] = {
			{.p_type = PT_LOAD,
			 .p_offset = 0x200,
			 .p_vaddr = 0xffffffff80100000,
			 .p_paddr = 0x100000,
			 .p_filesz = 0x100,
			 .p_memsz = 0x2000},
			{.p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = 20},
		};

		memcpy(&h, p, sizeof(h));
		h.e_machine = EM_X86_64;
		h.e_entry = 0xffffffff80100010;
		h.e_phoff = 0x40;
		h.e_phentsize = sizeof(ph[0]);
		h.e_phnum = 2;
		memcpy(p, &h, sizeof(h));
		memcpy(p + 0x40, ph, sizeof(ph));
	} else {
		Elf32_Ehdr h;
		Elf32_Phdr ph[2] = {
			{.p_type = PT_LOAD,
			 .p_offset = 0x200,
			 .p_vaddr = 0xc0100000,
			 .p_paddr = 0x100000,
			 .p_filesz = 0x100,
			 .p_memsz = 0x2000},
			{.p_type = PT_NOTE, .p_offset = 0x400, .p_filesz = 20},
		};

		memcpy(&h, p, sizeof(h));
		h.e_machine = EM_386;
		h.e_entry = 0xc0100010;
		h.e_phoff = 0x40;
		h.e_phentsize = sizeof(ph[0]);
		h.e_phnum = 2;
		memcpy(p, &h, sizeof(h));
		memcpy(p + 0x40, ph, sizeof(ph));
	}
	st_le32(p + 0x400, 4);
	st_le32(p + 0x404, 4);
	st_le32(p + 0x408, 18);
	memcpy(p + 0x40c, "Xen", 4);
	st_le32(p + 0x410, 0x100040);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_guest g;
	uint8_t good[LEN], *img;
	size_t n;

	if (!g.mem)
		boot_guest_init(&g);
	if (!size)
		return 0;
	good_image(good, data[0] & 1);
	if (data[0] % 8 == 0) {
		n = MIN(size - 1, (size_t)LEN - 16);
		memcpy(good + 16, data + 1, n);
		boot_try(&g, good, LEN, false);
		return 0;
	}
	img = boot_edit(good, LEN, data + 1, size - 1, &n);
	boot_try(&g, img, n, data[0] & 2);
	free(img);
	return 0;
}
