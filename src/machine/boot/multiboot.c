/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiboot Specification version 0.6.96 (Multiboot 1) and Multiboot2 Specification version 2.0:
 * ELF kernels and flat ones that give their addresses in the header, modules, command line and
 * memory map. The kernel starts in flat 32-bit protected mode with the magic in EAX and the boot
 * information at EBX.
 *
 * Boot information stands at BOOT_INFO, memory map and module tables of Multiboot 1 at BOOT_LISTS,
 * strings behind them; modules stand page-aligned above the kernel, in order.
 *
 * UNMODELLED: graphics modes (header flag 2, tag 5: the request is ignored, which the
 * specifications allow: "the boot loader may not set the mode"), EFI entry points, relocatable
 * Multiboot 2 images (loaded at their link address), drive and APM tables, symbol tables.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

enum {
	MB1_SEARCH = 8192,
	MB2_SEARCH = 32768,
	MB1_MAGIC = 0x1badb002,
	MB1_PAGE_ALIGN = 1 << 0,
	MB1_MEMORY = 1 << 1,
	MB1_VIDEO = 1 << 2,
	MB1_ADDRESSES = 1 << 16,
	MB1_BOOT_MAGIC = 0x2badb002,
	MB2_BOOT_MAGIC = 0x36d76289,
};
#define MB2_MAGIC 0xe85250d6u

#define LOADER_NAME "bothy"

/* Where the header is. ~0 = none. */
static uint64_t find_header(const struct boot_image *img, uint32_t magic, uint64_t limit,
			    unsigned step, unsigned words)
{
	uint64_t end = MIN(img->n, limit);

	for (uint64_t at = 0; at + 4 * words <= end; at += step) {
		uint32_t sum = 0;

		if (ld_le32(img->p + at) != magic)
			continue;
		for (unsigned i = 0; i < words; i++)
			sum += ld_le32(img->p + at + 4 * i);
		if (sum == 0)
			return at;
	}
	return ~0ull;
}

bool boot_multiboot_probe(const struct boot_image *img, unsigned *ret_version)
{
	/* Multiboot 2: magic, architecture, length and checksum sum to zero; 1: magic, flags,
	 * checksum. */
	if (find_header(img, MB2_MAGIC, MB2_SEARCH, 8, 4) != ~0ull)
		*ret_version = 2;
	else if (find_header(img, MB1_MAGIC, MB1_SEARCH, 4, 3) != ~0ull)
		*ret_version = 1;
	else
		return false;
	return true;
}

/* What both headers can say about a flat image. */
struct flat {
	bool present, has_entry;
	uint32_t header_addr, load_addr, load_end, bss_end, entry;
};

struct kernel {
	uint64_t entry, high;
};

static int bad_header(const struct boot_image *img, const char *what, struct error *err)
{
	return error_set(err, -ENOEXEC, "Multiboot kernel '%s' has a damaged header: %s", img->name,
			 what);
}

/* Multiboot 0.6.96, 3.1.3 "address fields"; Multiboot 2, 3.1.5 */
static int load_flat(const struct boot_image *img, const struct boot_env *env, uint64_t header_off,
		     const struct flat *f, struct kernel *k, struct error *err)
{
	uint64_t skip = (uint64_t)f->header_addr - f->load_addr, start, len, end;
	int r;

	if (f->load_addr == 0xffffffff) { /* Multiboot 2: load the file from its start */
		start = 0;
		if (header_off > f->header_addr)
			return bad_header(img, "header address", err);
	} else if (f->load_addr > f->header_addr || skip > header_off) {
		return bad_header(img, "load address above the header's", err);
	} else {
		start = header_off - skip;
	}
	end = f->load_addr == 0xffffffff ? f->header_addr - header_off : f->load_addr;
	len = img->n - start;
	if (f->load_end) {
		if (f->load_end < end || f->load_end - end > len)
			return bad_header(img, "load end address (file truncated?)", err);
		len = f->load_end - end;
	}
	if (end < BOOT_LISTS + BOOT_LISTS_MAX)
		return bad_header(img, "load address below 256 KiB, where boot information goes",
				  err);
	r = boot_put(env, end, img->p + start, len, img->name, err);
	end += len;
	if (r == 0 && f->bss_end) {
		if (f->bss_end < end)
			return bad_header(img, "bss end address", err);
		r = boot_zero(env, end, f->bss_end - end, img->name, err);
		end = f->bss_end;
	}
	k->entry = f->entry;
	k->high = end;
	return r;
}

static int load_image(const struct boot_image *img, const struct boot_env *env, uint64_t header_off,
		      const struct flat *f, struct kernel *k, struct error *err)
{
	struct boot_elf_info elf;
	int r;

	if (f->present)
		return load_flat(img, env, header_off, f, k, err);
	if (!boot_elf_probe(img))
		return error_set(
			err, -ENOEXEC,
			"Multiboot kernel '%s' is no ELF file and its header gives no load "
			"addresses",
			img->name);
	r = boot_elf_load(img, env, &elf, err);
	if (r < 0)
		return r;
	k->entry = f->has_entry ? f->entry : elf.entry_phys;
	k->high = elf.high;
	if (k->entry > 0xffffffff)
		return bad_header(img, "entry point above 4 GiB", err);
	return 0;
}

/* Modules: page aligned, in order, above the kernel. Addresses go to @at. */
static int load_modules(const struct boot_source *src, const struct boot_env *env, uint64_t high,
			uint64_t *at, struct error *err)
{
	uint64_t next = align_up(MAX(high, MIB), MEM_PAGE_SIZE);

	for (unsigned i = 0; i < src->n_modules; i++) {
		const struct boot_file *m = &src->module[i];
		int r;

		if (m->size > GIB * 4 || next + m->size > GIB * 4 ||
		    !e820_is_ram(&env->map, next, m->size))
			return error_set(err, -ENOMEM,
					 "module '%s' of %llu MiB does not fit into RAM above "
					 "0x%llx; give the machine more memory with -m",
					 m->name, (unsigned long long)((m->size + MIB - 1) / MIB),
					 (unsigned long long)next);
		r = boot_put_file(env, next, m, err);
		if (r < 0)
			return r;
		at[i] = next;
		next = align_up(next + m->size, MEM_PAGE_SIZE);
	}
	return 0;
}

/* KiB below 640 KiB, and KiB from 1 MiB to the first hole. */
static void memory_sizes(const struct boot_env *env, uint32_t *lower, uint32_t *upper)
{
	*lower = *upper = 0;
	for (unsigned i = 0; i < env->map.n; i++) {
		const struct e820_entry *e = &env->map.e[i];

		if (e->type == E820_RAM && e->addr == 0)
			*lower = (uint32_t)(e->len / KIB);
		if (e->type == E820_RAM && e->addr == MIB)
			*upper = (uint32_t)(e->len / KIB);
	}
}

/* Bytes being laid out for a fixed guest address. */
struct area {
	uint8_t *p;
	uint64_t base, n, room;
	bool full;
};

static uint64_t area_add(struct area *a, const void *bytes, uint64_t len, uint64_t align)
{
	uint64_t off = align_up(a->n, align);

	if (off > a->room || len > a->room - off) {
		a->full = true;
		return 0;
	}
	if (bytes)
		memcpy(a->p + off, bytes, len);
	a->n = off + len;
	return off;
}

static uint64_t area_string(struct area *a, const char *s)
{
	return a->base + area_add(a, s, strlen(s) + 1, 1);
}

static int area_put(struct area *a, const struct boot_env *env, struct error *err)
{
	int r;

	if (a->full)
		r = error_set(err, -E2BIG,
			      "the command lines of kernel and modules need more than %llu bytes",
			      (unsigned long long)a->room);
	else
		r = boot_put(env, a->base, a->p, a->n, "the Multiboot information", err);
	free(a->p);
	return r;
}

/* Multiboot 0.6.96, 3.3: boot information format */
static int put_info1(const struct boot_source *src, const struct boot_env *env, const uint64_t *at,
		     struct error *err)
{
	enum { INFO_LEN = 120, MOD_LEN = 16, MMAP_LEN = 24 };
	uint8_t info[INFO_LEN] = {0}, mods[BOOT_MODULES_MAX * MOD_LEN] = {0};
	uint8_t mmap[E820_MAX * MMAP_LEN] = {0};
	struct area a = {xcalloc(1, BOOT_LISTS_MAX), BOOT_LISTS, 0, BOOT_LISTS_MAX, false};
	uint32_t lower, upper;
	int r;

	memory_sizes(env, &lower, &upper);
	st_le32(info, 1 << 0 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
	st_le32(info + 4, lower);
	st_le32(info + 8, upper);
	for (unsigned i = 0; i < env->map.n; i++) {
		uint8_t *e = mmap + i * MMAP_LEN;

		st_le32(e, MMAP_LEN - 4);
		st_le64(e + 4, env->map.e[i].addr);
		st_le64(e + 12, env->map.e[i].len);
		st_le32(e + 20, env->map.e[i].type);
	}
	st_le32(info + 44, env->map.n * MMAP_LEN);
	st_le32(info + 48, (uint32_t)(a.base + area_add(&a, mmap, env->map.n * MMAP_LEN, 8)));
	for (unsigned i = 0; i < src->n_modules; i++) {
		const struct boot_file *m = &src->module[i];

		st_le32(mods + i * MOD_LEN, (uint32_t)at[i]);
		st_le32(mods + i * MOD_LEN + 4, (uint32_t)(at[i] + m->size));
		st_le32(mods + i * MOD_LEN + 8,
			(uint32_t)area_string(&a, m->args ? m->args : m->name));
	}
	st_le32(info + 20, src->n_modules);
	st_le32(info + 24, (uint32_t)(a.base + area_add(&a, mods, src->n_modules * MOD_LEN, 8)));
	st_le32(info + 16, (uint32_t)area_string(&a, src->cmdline));
	st_le32(info + 64, (uint32_t)area_string(&a, LOADER_NAME));
	r = area_put(&a, env, err);
	return r < 0 ? r : boot_put(env, BOOT_INFO, info, sizeof(info), "boot information", err);
}

/* Multiboot 2, 3.6: tags of type, size, payload, 8-byte aligned. */
static uint8_t *tag2(struct area *a, uint32_t type, uint64_t payload)
{
	uint64_t off = area_add(a, NULL, 8 + payload, 8);

	if (a->full)
		return NULL;
	st_le32(a->p + off, type);
	st_le32(a->p + off + 4, (uint32_t)(8 + payload));
	return a->p + off + 8;
}

static void tag2_string(struct area *a, uint32_t type, const char *s)
{
	uint8_t *t = tag2(a, type, strlen(s) + 1);

	if (t)
		memcpy(t, s, strlen(s) + 1);
}

static int put_info2(const struct boot_source *src, const struct boot_env *env, const uint64_t *at,
		     struct error *err)
{
	struct area a = {xcalloc(1, BOOT_INFO_MAX), BOOT_INFO, 8, BOOT_INFO_MAX, false};
	uint32_t lower, upper;
	uint8_t *t;

	tag2_string(&a, 1, src->cmdline);
	tag2_string(&a, 2, LOADER_NAME);
	for (unsigned i = 0; i < src->n_modules; i++) {
		const struct boot_file *m = &src->module[i];
		const char *args = m->args ? m->args : m->name;

		t = tag2(&a, 3, 8 + strlen(args) + 1);
		if (!t)
			break;
		st_le32(t, (uint32_t)at[i]);
		st_le32(t + 4, (uint32_t)(at[i] + m->size));
		memcpy(t + 8, args, strlen(args) + 1);
	}
	memory_sizes(env, &lower, &upper);
	t = tag2(&a, 4, 8);
	if (t) {
		st_le32(t, lower);
		st_le32(t + 4, upper);
	}
	t = tag2(&a, 6, 8 + 24 * env->map.n);
	if (t) {
		st_le32(t, 24); /* entry size; version 0 */
		for (unsigned i = 0; i < env->map.n; i++) {
			st_le64(t + 8 + i * 24, env->map.e[i].addr);
			st_le64(t + 16 + i * 24, env->map.e[i].len);
			st_le32(t + 24 + i * 24, env->map.e[i].type);
		}
	}
	if (env->rsdp && (t = tag2(&a, 15, 36)) && mem_read(env->mem, env->rsdp, t, 36) < 0)
		memset(t, 0, 36);
	tag2(&a, 0, 0);
	a.n = align_up(a.n, 8);
	if (!a.full)
		st_le32(a.p, (uint32_t)a.n);
	return area_put(&a, env, err);
}

static void parse_header1(const uint8_t *h, uint32_t flags, struct flat *f)
{
	if (!(flags & MB1_ADDRESSES))
		return;
	f->present = f->has_entry = true;
	f->header_addr = ld_le32(h + 12);
	f->load_addr = ld_le32(h + 16);
	f->load_end = ld_le32(h + 20);
	f->bss_end = ld_le32(h + 24);
	f->entry = ld_le32(h + 28);
}

/* Multiboot 2, 3.1.3: tags of the header. Unknown required tags refuse the image. */
static int parse_header2(const struct boot_image *img, uint64_t at, struct flat *f,
			 struct error *err)
{
	uint64_t end = at + ld_le32(img->p + at + 8);

	if (ld_le32(img->p + at + 4) != 0)
		return error_set(err, -ENOEXEC, "Multiboot2 kernel '%s' is not for x86", img->name);
	if (end > img->n || end < at + 16)
		return bad_header(img, "length", err);
	for (uint64_t t = at + 16; t + 8 <= end;) {
		uint16_t type = ld_le16(img->p + t), flags = ld_le16(img->p + t + 2);
		uint32_t size = ld_le32(img->p + t + 4);

		if (size < 8 || size > end - t)
			return bad_header(img, "tag size", err);
		if (type == 0)
			break;
		if (type == 2 && size >= 24) {
			f->present = true;
			f->header_addr = ld_le32(img->p + t + 8);
			f->load_addr = ld_le32(img->p + t + 12);
			f->load_end = ld_le32(img->p + t + 16);
			f->bss_end = ld_le32(img->p + t + 20);
		} else if (type == 3 && size >= 12) {
			f->has_entry = true;
			f->entry = ld_le32(img->p + t + 8);
		} else if (type > 10 && !(flags & 1)) {
			return error_set(err, -ENOEXEC,
					 "Multiboot2 kernel '%s' requires header tag %u, which is "
					 "not supported",
					 img->name, type);
		}
		t += align_up(size, 8);
	}
	if (f->present && !f->has_entry)
		return bad_header(img, "load addresses without an entry address", err);
	return 0;
}

int boot_multiboot(const struct boot_source *src, const struct boot_image *img,
		   const struct boot_env *env, unsigned version, struct boot_cpu *cpu,
		   struct error *err)
{
	uint64_t at[BOOT_MODULES_MAX] = {0}, hdr;
	struct flat f = {0};
	struct kernel k = {0};
	int r = 0;

	if (src->has_initrd)
		return error_set(err, -EINVAL,
				 "'%s' is a Multiboot kernel; give its modules with --module, not "
				 "--initrd",
				 img->name);
	if (version == 1) {
		uint32_t flags;

		hdr = find_header(img, MB1_MAGIC, MB1_SEARCH, 4, 3);
		flags = ld_le32(img->p + hdr + 4);
		if (flags & 0xffff & ~(uint32_t)(MB1_PAGE_ALIGN | MB1_MEMORY | MB1_VIDEO))
			return error_set(err, -ENOEXEC,
					 "Multiboot kernel '%s' requires unknown features (flags "
					 "0x%x)",
					 img->name, flags);
		if ((flags & MB1_ADDRESSES) && img->n - hdr < 32)
			return bad_header(img, "it ends in the address fields", err);
		parse_header1(img->p + hdr, flags, &f);
	} else {
		hdr = find_header(img, MB2_MAGIC, MB2_SEARCH, 8, 4);
		r = parse_header2(img, hdr, &f, err);
	}
	if (r == 0)
		r = load_image(img, env, hdr, &f, &k, err);
	if (r == 0)
		r = load_modules(src, env, k.high, at, err);
	if (r == 0)
		r = version == 1 ? put_info1(src, env, at, err) : put_info2(src, env, at, err);
	if (r == 0)
		r = boot_put_gdt(env, BOOT_PROT32, cpu, err);
	cpu->rip = k.entry;
	cpu->gpr[BOOT_RAX] = version == 1 ? (uint64_t)MB1_BOOT_MAGIC : MB2_BOOT_MAGIC;
	cpu->gpr[BOOT_RBX] = BOOT_INFO;
	cpu->protocol = version == 1 ? "Multiboot" : "Multiboot 2";
	return r;
}
