/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF kernels: 32-bit and 64-bit little-endian x86 executables, loaded at the physical addresses
 * of their PT_LOAD segments. System V ABI, chapter 4 and 5 (object files, program loading);
 * Xen's "x86/HVM direct boot ABI" (PVH) for images with note XEN_ELFNOTE_PHYS32_ENTRY (18).
 *
 * Without a PVH note the image must be a Linux vmlinux: a 64-bit one is entered in long mode with
 * RSI = boot_params, a 32-bit one in flat protected mode with ESI = boot_params.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

enum { ELF_NOTE_PHYS32_ENTRY = 18, PHDR_MAX = 256, NOTE_MAX = 4096 };

bool boot_elf_probe(const struct boot_image *img)
{
	return img->n >= EI_NIDENT && !memcmp(img->p, ELFMAG, SELFMAG);
}

struct phdr {
	uint32_t type;
	uint64_t off, vaddr, paddr, filesz, memsz;
};

static bool inside(const struct boot_image *img, uint64_t off, uint64_t len)
{
	return off <= img->n && len <= img->n - off;
}

static void get_phdr(const struct boot_elf_info *info, const uint8_t *p, struct phdr *ph)
{
	if (info->is64) {
		Elf64_Phdr e;

		memcpy(&e, p, sizeof(e));
		*ph = (struct phdr){e.p_type,  e.p_offset, e.p_vaddr,
				    e.p_paddr, e.p_filesz, e.p_memsz};
	} else {
		Elf32_Phdr e;

		memcpy(&e, p, sizeof(e));
		*ph = (struct phdr){e.p_type,  e.p_offset, e.p_vaddr,
				    e.p_paddr, e.p_filesz, e.p_memsz};
	}
}

/* ELF header: where the program headers stand. */
static int parse_header(const struct boot_image *img, struct boot_elf_info *info,
			uint64_t *ret_phoff, unsigned *ret_n, unsigned *ret_size, struct error *err)
{
	unsigned want;

	info->is64 = img->p[EI_CLASS] == ELFCLASS64;
	if (img->n < sizeof(Elf64_Ehdr) || img->p[EI_DATA] != ELFDATA2LSB)
		return error_set(err, -ENOEXEC, "ELF image '%s' is truncated or not little-endian",
				 img->name);
	if (info->is64) {
		Elf64_Ehdr e;

		memcpy(&e, img->p, sizeof(e));
		info->machine = e.e_machine;
		info->entry = e.e_entry;
		*ret_phoff = e.e_phoff;
		*ret_n = e.e_phnum;
		*ret_size = e.e_phentsize;
		want = sizeof(Elf64_Phdr);
	} else {
		Elf32_Ehdr e;

		memcpy(&e, img->p, sizeof(e));
		info->machine = e.e_machine;
		info->entry = e.e_entry;
		*ret_phoff = e.e_phoff;
		*ret_n = e.e_phnum;
		*ret_size = e.e_phentsize;
		want = sizeof(Elf32_Phdr);
	}
	if (info->machine != EM_386 && info->machine != EM_X86_64)
		return error_set(err, -ENOEXEC,
				 "ELF image '%s' is for machine type %u, not for x86", img->name,
				 info->machine);
	if (*ret_n == 0 || *ret_n > PHDR_MAX || *ret_size < want ||
	    !inside(img, *ret_phoff, (uint64_t)*ret_n * *ret_size))
		return error_set(err, -ENOEXEC,
				 "ELF image '%s' has no usable program headers (%u at 0x%llx); it "
				 "is an object file, truncated or damaged",
				 img->name, *ret_n, (unsigned long long)*ret_phoff);
	return 0;
}

static int load_segment(const struct boot_image *img, const struct boot_env *env,
			const struct phdr *ph, struct boot_elf_info *info, struct error *err)
{
	uint64_t end;
	int r;

	if (ph->filesz > ph->memsz || !inside(img, ph->off, ph->filesz) ||
	    ckd_add(&end, ph->paddr, ph->memsz))
		return error_set(err, -ENOEXEC,
				 "ELF image '%s' is truncated or damaged: segment of %llu bytes at "
				 "file offset 0x%llx",
				 img->name, (unsigned long long)ph->filesz,
				 (unsigned long long)ph->off);
	if (ph->memsz && ph->paddr < BOOT_LISTS + BOOT_LISTS_MAX)
		return error_set(
			err, -ENOEXEC,
			"ELF image '%s' wants [0x%llx, 0x%llx), where the boot information "
			"goes; link it at 1 MiB or above",
			img->name, (unsigned long long)ph->paddr, (unsigned long long)end);
	if (ph->memsz && !e820_is_ram(&env->map, ph->paddr, ph->memsz))
		return error_set(err, -ENOMEM,
				 "ELF image '%s' wants [0x%llx, 0x%llx), which is not RAM of this "
				 "machine; give it more memory with -m",
				 img->name, (unsigned long long)ph->paddr, (unsigned long long)end);
	r = boot_put(env, ph->paddr, img->p + ph->off, ph->filesz, img->name, err);
	if (r == 0)
		r = boot_zero(env, ph->paddr + ph->filesz, ph->memsz - ph->filesz, img->name, err);
	if (ph->memsz) {
		info->low = MIN(info->low, ph->paddr);
		info->high = MAX(info->high, end);
	}
	if (info->entry >= ph->vaddr && info->entry - ph->vaddr < ph->memsz)
		info->entry_phys = ph->paddr + (info->entry - ph->vaddr);
	return r;
}

/* PT_NOTE: 4-byte aligned name and descriptor. */
static void scan_notes(const struct boot_image *img, const struct phdr *ph,
		       struct boot_elf_info *info)
{
	uint64_t at = ph->off, end = ph->off + ph->filesz;

	if (!inside(img, ph->off, ph->filesz))
		return;
	for (unsigned i = 0; i < NOTE_MAX && end - at >= 12; i++) {
		uint64_t name = ld_le32(img->p + at), desc = ld_le32(img->p + at + 4);
		uint32_t type = ld_le32(img->p + at + 8);
		uint64_t name_at = at + 12, desc_at = name_at + align_up(name, 4);

		if (desc_at > end || desc > end - desc_at)
			return;
		if (type == ELF_NOTE_PHYS32_ENTRY && name == 4 && desc >= 4 &&
		    !memcmp(img->p + name_at, "Xen", 4)) {
			info->has_pvh = true;
			info->pvh_entry = ld_le(img->p + desc_at, desc >= 8 ? 8 : 4);
			return;
		}
		at = desc_at + align_up(desc, 4);
		if (at > end)
			return;
	}
}

int boot_elf_load(const struct boot_image *img, const struct boot_env *env,
		  struct boot_elf_info *ret_info, struct error *err)
{
	struct boot_elf_info info = {.low = ~0ull};
	uint64_t phoff = 0;
	unsigned n = 0, size = 0;
	int r = parse_header(img, &info, &phoff, &n, &size, err);

	if (r < 0)
		return r;
	info.entry_phys = info.entry;
	for (unsigned i = 0; i < n; i++) {
		struct phdr ph;

		get_phdr(&info, img->p + phoff + (uint64_t)i * size, &ph);
		if (ph.type == PT_LOAD) {
			r = load_segment(img, env, &ph, &info, err);
			if (r < 0)
				return r;
		} else if (ph.type == PT_NOTE) {
			scan_notes(img, &ph, &info);
		}
	}
	if (!info.high)
		return error_set(err, -ENOEXEC, "ELF image '%s' has nothing to load", img->name);
	*ret_info = info;
	return 0;
}

/* struct hvm_start_info version 1 and its lists. */
enum {
	PVH_MAGIC = 0x336ec578,
	PVH_INFO_LEN = 56,
	PVH_MODULE_LEN = 32,
	PVH_MAP_LEN = 24,
};

static int put_pvh_info(const struct boot_source *src, const struct boot_env *env,
			const struct boot_elf_info *elf, struct error *err)
{
	uint8_t info[PVH_INFO_LEN] = {0}, mod[PVH_MODULE_LEN] = {0};
	uint8_t map[E820_MAX * PVH_MAP_LEN] = {0};
	int r;

	st_le32(info, PVH_MAGIC);
	st_le32(info + 4, 1);
	st_le64(info + 24, BOOT_CMDLINE);
	st_le64(info + 32, env->rsdp);
	st_le64(info + 40, BOOT_LISTS);
	st_le32(info + 48, env->map.n);
	for (unsigned i = 0; i < env->map.n; i++) {
		st_le64(map + i * PVH_MAP_LEN, env->map.e[i].addr);
		st_le64(map + i * PVH_MAP_LEN + 8, env->map.e[i].len);
		st_le32(map + i * PVH_MAP_LEN + 16, env->map.e[i].type);
	}
	if (src->has_initrd) {
		uint64_t at = boot_place_top(env, src->initrd.size,
					     align_up(elf->high, MEM_PAGE_SIZE), env->low_end);

		if (!at)
			return error_set(err, -ENOMEM,
					 "initrd '%s' of %llu MiB does not fit into RAM beside the "
					 "kernel; give the machine more memory with -m",
					 src->initrd.name,
					 (unsigned long long)(src->initrd.size / MIB));
		st_le32(info + 12, 1);
		st_le64(info + 16, BOOT_INFO + 0x100);
		st_le64(mod, at);
		st_le64(mod + 8, src->initrd.size);
		r = boot_put_file(env, at, &src->initrd, err);
		if (r < 0)
			return r;
	}
	r = boot_put(env, BOOT_INFO + 0x100, mod, sizeof(mod), "the PVH module list", err);
	if (r == 0)
		r = boot_put(env, BOOT_LISTS, map, env->map.n * PVH_MAP_LEN, "the memory map", err);
	if (r == 0)
		r = boot_put_cmdline(env, src->cmdline, BOOT_CMD_MAX - 1, err);
	if (r == 0)
		r = boot_put(env, BOOT_INFO, info, sizeof(info), "the PVH start info", err);
	return r;
}

int boot_elf(const struct boot_source *src, const struct boot_image *img,
	     const struct boot_env *env, struct boot_cpu *cpu, struct error *err)
{
	struct boot_elf_info elf;
	bool long_mode;
	int r;

	if (src->n_modules)
		return error_set(err, -EINVAL,
				 "'%s' has no Multiboot header, so it takes no --module; use "
				 "--initrd",
				 img->name);
	r = boot_elf_load(img, env, &elf, err);
	if (r < 0)
		return r;
	long_mode = !elf.has_pvh && elf.machine == EM_X86_64;
	if (elf.has_pvh) {
		r = put_pvh_info(src, env, &elf, err);
		cpu->rip = elf.pvh_entry & 0xffffffff;
		cpu->gpr[BOOT_RBX] = BOOT_INFO;
		cpu->protocol = "PVH";
	} else {
		r = boot_linux_params(src, env, NULL, 0, elf.high, 0x80000000, 2047, err);
		cpu->rip = elf.entry_phys;
		cpu->gpr[BOOT_RSI] = BOOT_INFO;
		cpu->protocol = long_mode ? "ELF 64-bit" : "ELF 32-bit";
	}
	if (r == 0)
		r = boot_put_gdt(env, long_mode ? BOOT_LONG64 : BOOT_PROT32, cpu, err);
	if (r == 0 && long_mode)
		r = boot_put_tables(env, cpu, err);
	return r;
}
