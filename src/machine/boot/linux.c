/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux/x86 boot protocol, versions 2.06 and later, 64-bit and 32-bit entry. Facts from the
 * kernel's documentation, "The Linux/x86 Boot Protocol" and "Zero Page". Offsets are those of
 * boot_params; the setup header stands at the same offsets in the image and in boot_params.
 *
 * The real-mode setup code is never run: we start at the protected-mode kernel. A kernel whose
 * xloadflags say XLF_KERNEL_64 is entered in long mode at its load address + 200h, any other at its
 * load address in flat 32-bit mode. The kernel decompresses itself, so the whole of init_size from
 * its run address must be RAM; the initrd goes as high as the kernel allows, above that. A payload
 * that the host can unpack (unpack.c) is put where the decompressor would put it, and entered at
 * its ELF entry with the registers that the decompressor passes on, which are those it was given.
 *
 * UNMODELLED: zImage (loaded low), boot protocol < 2.06, setup_data, EFI handover, kernels loaded
 * above 4 GiB.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

/* boot_params, bytes */
enum {
	BP_VIDEO_MODE = 0x006,
	BP_VIDEO_COLS = 0x007,
	BP_VIDEO_EGA_BX = 0x00a,
	BP_VIDEO_LINES = 0x00e,
	BP_VIDEO_IS_VGA = 0x00f,
	BP_VIDEO_POINTS = 0x010,
	BP_ACPI_RSDP = 0x070,
	BP_EXT_RAMDISK_IMAGE = 0x0c0,
	BP_EXT_RAMDISK_SIZE = 0x0c4,
	BP_E820_ENTRIES = 0x1e8,
	BP_SETUP_SECTS = 0x1f1,
	BP_SYSSIZE = 0x1f4,
	BP_VID_MODE = 0x1fa,
	BP_BOOT_FLAG = 0x1fe,
	BP_JUMP = 0x200,
	BP_HEADER = 0x202,
	BP_VERSION = 0x206,
	BP_TYPE_OF_LOADER = 0x210,
	BP_LOADFLAGS = 0x211,
	BP_CODE32_START = 0x214,
	BP_RAMDISK_IMAGE = 0x218,
	BP_RAMDISK_SIZE = 0x21c,
	BP_HEAP_END = 0x224,
	BP_CMD_LINE_PTR = 0x228,
	BP_INITRD_ADDR_MAX = 0x22c,
	BP_KERNEL_ALIGNMENT = 0x230,
	BP_RELOCATABLE = 0x234,
	BP_XLOADFLAGS = 0x236,
	BP_CMDLINE_SIZE = 0x238,
	BP_PAYLOAD_OFFSET = 0x248,
	BP_PAYLOAD_LENGTH = 0x24c,
	BP_SETUP_DATA = 0x250,
	BP_PREF_ADDRESS = 0x258,
	BP_INIT_SIZE = 0x260,
	BP_E820_TABLE = 0x2d0,
	BP_SIZE = 0x1000,
	E820_ENTRY_SIZE = 20,
	LOADED_HIGH = 1,
	CAN_USE_HEAP = 0x80,
	XLF_KERNEL_64 = 1,
};

#define HDRS 0x53726448u /* "HdrS" */

bool boot_linux_probe(const struct boot_image *img)
{
	return img->n >= BP_VERSION + 2 && ld_le16(img->p + BP_BOOT_FLAG) == 0xaa55 &&
	       ld_le32(img->p + BP_HEADER) == HDRS;
}

/* What the setup header says, checked. */
struct setup {
	uint16_t version;
	size_t hdr_len;      /* bytes of the header from 1f1h */
	uint64_t payload_at; /* protected-mode kernel in the file */
	uint64_t payload_len;
	uint64_t cmdline_max, initrd_max;
	uint64_t load;    /* where the payload goes */
	uint64_t run_end; /* end of memory the kernel needs while it unpacks */
	bool entry64;
};

static int parse_setup(const struct boot_image *img, struct setup *s, struct error *err)
{
	const uint8_t *p = img->p;
	uint64_t sects, end;

	if (img->n < BP_CMDLINE_SIZE + 4)
		return error_set(err, -ENOEXEC,
				 "Linux kernel '%s' is truncated: it ends inside its setup header",
				 img->name);
	s->version = ld_le16(p + BP_VERSION);
	if (s->version < 0x206 || !(p[BP_LOADFLAGS] & LOADED_HIGH))
		return error_set(err, -ENOEXEC,
				 "Linux kernel '%s' uses boot protocol %u.%02u%s; 2.06 or later "
				 "(Linux 2.6.22) and a bzImage are needed",
				 img->name, s->version >> 8, s->version & 0xff,
				 p[BP_LOADFLAGS] & LOADED_HIGH ? "" : " as zImage");
	end = BP_HEADER + p[BP_JUMP + 1];
	if (end < BP_CMDLINE_SIZE + 4 || img->n < end)
		return error_set(err, -ENOEXEC,
				 "Linux kernel '%s' is truncated or damaged: setup header of %llu "
				 "bytes",
				 img->name, (unsigned long long)(end - BP_SETUP_SECTS));
	s->hdr_len = end - BP_SETUP_SECTS;
	sects = p[BP_SETUP_SECTS] ? p[BP_SETUP_SECTS] : 4;
	s->payload_at = (sects + 1) * 512;
	s->payload_len = (uint64_t)ld_le32(p + BP_SYSSIZE) * 16;
	if (img->n <= s->payload_at || !s->payload_len)
		return error_set(err, -ENOEXEC,
				 "Linux kernel '%s' is truncated: %llu bytes, but its setup code "
				 "alone has %llu",
				 img->name, (unsigned long long)img->n,
				 (unsigned long long)s->payload_at);
	/* syssize counts 16-byte units rounded up; anything shorter lost its tail. */
	if (img->n - s->payload_at + 15 < s->payload_len)
		return error_set(err, -ENOEXEC,
				 "Linux kernel '%s' is truncated: %llu bytes where %llu are needed",
				 img->name, (unsigned long long)img->n,
				 (unsigned long long)(s->payload_at + s->payload_len));
	if (s->payload_len > img->n - s->payload_at)
		s->payload_len = img->n - s->payload_at;
	s->cmdline_max = ld_le32(p + BP_CMDLINE_SIZE);
	s->initrd_max = (uint64_t)ld_le32(p + BP_INITRD_ADDR_MAX) + 1;
	s->entry64 = s->version >= 0x20c && end >= BP_XLOADFLAGS + 2 &&
		     (ld_le16(p + BP_XLOADFLAGS) & XLF_KERNEL_64);
	return 0;
}

/* Choose the load address: the preferred one if its init_size fits, else (relocatable) the lowest
 * aligned address above 1 MiB. */
static int place_kernel(const struct boot_image *img, const struct boot_env *env, struct setup *s,
			struct error *err)
{
	const uint8_t *p = img->p;
	bool has_pref = s->version >= 0x20a && BP_SETUP_SECTS + s->hdr_len >= BP_INIT_SIZE + 4;
	uint64_t align = ld_le32(p + BP_KERNEL_ALIGNMENT), pref = MIB;
	uint64_t need = s->payload_len, at;

	if (has_pref) {
		pref = ld_le64(p + BP_PREF_ADDRESS);
		if (ld_le32(p + BP_INIT_SIZE) > need)
			need = ld_le32(p + BP_INIT_SIZE);
	} else {
		need *= 4; /* older kernels don't say; compressed code grows about threefold */
	}
	s->load = has_pref && p[BP_RELOCATABLE] ? pref : MIB;
	at = has_pref ? pref : MIB;
	if (p[BP_RELOCATABLE] && !e820_is_ram(&env->map, at, need)) {
		if (align < MEM_PAGE_SIZE || (align & (align - 1)) || align > GIB)
			align = 2 * MIB;
		at = s->load = align_up(MIB, align);
	}
	if (!e820_is_ram(&env->map, at, need) || !e820_is_ram(&env->map, s->load, s->payload_len))
		return error_set(err, -ENOMEM,
				 "Linux kernel '%s' needs %llu MiB of RAM from 0x%llx to unpack "
				 "itself; give the machine more memory with -m",
				 img->name, (unsigned long long)((need + MIB - 1) / MIB),
				 (unsigned long long)at);
	s->run_end = MAX(at + need, s->load + s->payload_len);
	return 0;
}

static int put_initrd(const struct boot_source *src, const struct boot_env *env, uint8_t *bp,
		      uint64_t floor, uint64_t ceiling, struct error *err)
{
	uint64_t size = src->initrd.size, at;

	if (ceiling > env->low_end)
		ceiling = env->low_end;
	at = boot_place_top(env, size, align_up(floor, MEM_PAGE_SIZE), ceiling);
	if (!at)
		return error_set(err, -ENOMEM,
				 "initrd '%s' of %llu MiB does not fit into RAM beside the kernel "
				 "(which ends at %llu MiB); give the machine more memory with -m",
				 src->initrd.name, (unsigned long long)((size + MIB - 1) / MIB),
				 (unsigned long long)((floor + MIB - 1) / MIB));
	st_le32(bp + BP_RAMDISK_IMAGE, (uint32_t)at);
	st_le32(bp + BP_RAMDISK_SIZE, (uint32_t)size);
	st_le32(bp + BP_EXT_RAMDISK_IMAGE, (uint32_t)(at >> 32));
	st_le32(bp + BP_EXT_RAMDISK_SIZE, (uint32_t)(size >> 32));
	return boot_put_file(env, at, &src->initrd, err);
}

int boot_linux_params(const struct boot_source *src, const struct boot_env *env, const uint8_t *hdr,
		      size_t hdr_len, uint64_t kernel_end, uint64_t initrd_max,
		      uint64_t cmdline_max, struct error *err)
{
	uint8_t *bp = xcalloc(1, BP_SIZE);
	int r = 0;

	if (hdr) {
		if (hdr_len > BP_E820_TABLE - BP_SETUP_SECTS)
			hdr_len = BP_E820_TABLE - BP_SETUP_SECTS;
		memcpy(bp + BP_SETUP_SECTS, hdr, hdr_len);
	} else {
		st_le16(bp + BP_BOOT_FLAG, 0xaa55);
		st_le32(bp + BP_HEADER, HDRS);
		st_le16(bp + BP_VERSION, 0x206);
		bp[BP_LOADFLAGS] = LOADED_HIGH;
		st_le32(bp + BP_KERNEL_ALIGNMENT, 0x1000000);
	}
	st_le16(bp + BP_VID_MODE, 0xffff); /* "normal" */
	bp[BP_TYPE_OF_LOADER] = 0xff;      /* no assigned id */
	bp[BP_LOADFLAGS] &= (uint8_t)~CAN_USE_HEAP;
	st_le64(bp + BP_SETUP_DATA, 0);
	st_le32(bp + BP_CMD_LINE_PTR, BOOT_CMDLINE);
	st_le64(bp + BP_ACPI_RSDP, env->rsdp);
	if (env->text_screen) {
		bp[BP_VIDEO_MODE] = 3;
		bp[BP_VIDEO_COLS] = 80;
		bp[BP_VIDEO_LINES] = 25;
		bp[BP_VIDEO_IS_VGA] = 1;
		st_le16(bp + BP_VIDEO_EGA_BX, 3); /* colour, 256 KiB */
		st_le16(bp + BP_VIDEO_POINTS, 16);
	}
	bp[BP_E820_ENTRIES] = (uint8_t)env->map.n;
	for (unsigned i = 0; i < env->map.n; i++) {
		uint8_t *e = bp + BP_E820_TABLE + i * E820_ENTRY_SIZE;

		st_le64(e, env->map.e[i].addr);
		st_le64(e + 8, env->map.e[i].len);
		st_le32(e + 16, env->map.e[i].type);
	}
	r = boot_put_cmdline(env, src->cmdline, cmdline_max, err);
	if (r == 0 && src->has_initrd)
		r = put_initrd(src, env, bp, kernel_end, initrd_max, err);
	if (r == 0)
		r = boot_put(env, BOOT_INFO, bp, BP_SIZE, "boot_params", err);
	free(bp);
	return r;
}

/* Unpack the kernel and load it where it was linked; false: the guest's decompressor must do it. */
static bool load_unpacked(int file, const struct boot_image *img, const struct boot_env *env,
			  const struct setup *s, uint64_t *ret_entry)
{
	const uint8_t *p = img->p;
	struct boot_unpacked u = {.room = s->run_end - s->load};
	struct boot_elf_info elf = {0};
	struct error ignored = {0};
	uint64_t at, len;
	bool ok;

	if (s->version < 0x208 || BP_SETUP_SECTS + s->hdr_len < BP_PAYLOAD_LENGTH + 4)
		return false;
	at = ld_le32(p + BP_PAYLOAD_OFFSET);
	len = ld_le32(p + BP_PAYLOAD_LENGTH);
	if (at > s->payload_len || len > s->payload_len - at)
		return false;
	p += s->payload_at + at;
	if (!boot_cache_get(file, p, len, &u)) {
		if (!boot_unpack(p, len, &u))
			return false;
		boot_cache_put(file, p, len, &u);
	}
	ok = boot_elf_load(&(struct boot_image){u.p, u.n, img->name}, env, &elf, &ignored) == 0 &&
	     elf.is64 == s->entry64 && elf.low >= s->load && elf.high <= s->run_end &&
	     elf.entry_phys >= elf.low && elf.entry_phys < elf.high;
	boot_unpacked_free(&u);
	*ret_entry = elf.entry_phys;
	return ok;
}

int boot_linux(const struct boot_source *src, const struct boot_image *img,
	       const struct boot_env *env, struct boot_cpu *cpu, struct error *err)
{
	uint64_t entry;
	struct setup s = {0};
	uint8_t hdr[BP_E820_TABLE];
	int r;

	if (src->n_modules)
		return error_set(err, -EINVAL, "a Linux kernel takes no --module; use --initrd");
	r = parse_setup(img, &s, err);
	if (r == 0)
		r = place_kernel(img, env, &s, err);
	if (r < 0)
		return r;
	memcpy(hdr, img->p + BP_SETUP_SECTS, MIN(s.hdr_len, sizeof(hdr)));
	st_le32(hdr + BP_CODE32_START - BP_SETUP_SECTS, (uint32_t)s.load);
	if (!load_unpacked(src->kernel.fd, img, env, &s, &entry)) {
		entry = s.load + (s.entry64 ? 0x200 : 0);
		r = boot_put(env, s.load, img->p + s.payload_at, s.payload_len, "the Linux kernel",
			     err);
	}
	if (r == 0)
		r = boot_linux_params(src, env, hdr, s.hdr_len, s.run_end, s.initrd_max,
				      s.cmdline_max, err);
	if (r == 0)
		r = boot_put_gdt(env, s.entry64 ? BOOT_LONG64 : BOOT_PROT32, cpu, err);
	if (r == 0 && s.entry64)
		r = boot_put_tables(env, cpu, err);
	cpu->rip = entry;
	cpu->gpr[BOOT_RSI] = BOOT_INFO;
	cpu->protocol = s.entry64 ? "Linux 64-bit" : "Linux 32-bit";
	return r;
}
