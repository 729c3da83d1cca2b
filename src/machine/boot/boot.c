/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot: files, memory map, placing and copying, the start tables, and the choice of loader
 * (boot.h). Descriptor and page table layouts: Intel SDM vol. 3, 3.4.5, 4.5, 7.2.3.
 */
#include "machine/boot/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"

int boot_file_open(struct boot_file *f, const char *role, const char *path, struct error *err)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return error_set(err, -errno, "cannot open %s '%s': %s", role, path,
				 strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return error_set(err, -EINVAL,
				 "%s '%s' is not a regular file; give the path of "
				 "an image",
				 role, path);
	}
	if (st.st_size == 0) {
		close(fd);
		return error_set(err, -ENOEXEC, "%s '%s' is empty", role, path);
	}
	*f = (struct boot_file){.name = xstrdup(path), .fd = fd, .size = (uint64_t)st.st_size};
	return 0;
}

void boot_file_close(struct boot_file *f)
{
	if (f->name && f->fd >= 0)
		close(f->fd);
	free(f->name);
	free(f->args);
	memset(f, 0, sizeof(*f));
	f->fd = -1;
}

int boot_file_read(const struct boot_file *f, uint64_t off, void *buf, size_t len,
		   struct error *err)
{
	uint8_t *p = buf;

	if (off > f->size || len > f->size - off)
		return error_set(err, -EIO, "'%s' ends before byte %llu", f->name,
				 (unsigned long long)off + len);
	if (f->fd < 0) {
		memcpy(buf, f->bytes + off, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(f->fd, p, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "reading '%s': %s", f->name, strerror(errno));
		if (n == 0)
			return error_set(err, -EIO, "'%s' became shorter while it was read",
					 f->name);
		p += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return 0;
}

void boot_source_done(struct boot_source *src)
{
	if (src->kernel.name)
		boot_file_close(&src->kernel);
	if (src->initrd.name)
		boot_file_close(&src->initrd);
	for (unsigned i = 0; i < src->n_modules; i++)
		boot_file_close(&src->module[i]);
	free(src->cmdline);
	memset(src, 0, sizeof(*src));
}

void e820_add(struct e820 *map, uint64_t addr, uint64_t len, uint32_t type)
{
	if (!len)
		return;
	check(map->n < E820_MAX);
	map->e[map->n++] = (struct e820_entry){addr, len, type};
}

bool e820_is_ram(const struct e820 *map, uint64_t addr, uint64_t len)
{
	for (unsigned i = 0; i < map->n; i++) {
		const struct e820_entry *e = &map->e[i];

		if (e->type == E820_RAM && addr >= e->addr && len <= e->len &&
		    addr - e->addr <= e->len - len)
			return true;
	}
	return false;
}

int boot_put(const struct boot_env *env, uint64_t to, const void *from, uint64_t len,
	     const char *what, struct error *err)
{
	if (!len)
		return 0;
	if (!e820_is_ram(&env->map, to, len) || mem_write(env->mem, to, from, len) < 0)
		return error_set(err, -ENOMEM,
				 "%s needs [0x%llx, 0x%llx), which is not RAM of this machine; "
				 "give it more memory with -m",
				 what, (unsigned long long)to, (unsigned long long)(to + len));
	return 0;
}

int boot_zero(const struct boot_env *env, uint64_t to, uint64_t len, const char *what,
	      struct error *err)
{
	static const uint8_t zero[4096];

	if (len && !e820_is_ram(&env->map, to, len))
		return boot_put(env, to, zero, len, what, err);
	while (len) {
		size_t n = len < sizeof(zero) ? len : sizeof(zero);
		int r = boot_put(env, to, zero, n, what, err);

		if (r < 0)
			return r;
		to += n;
		len -= n;
	}
	return 0;
}

int boot_put_file(const struct boot_env *env, uint64_t to, const struct boot_file *f,
		  struct error *err)
{
	enum { CHUNK = 1024 * 1024 };
	uint8_t *buf = xtry_calloc(1, CHUNK);
	int r = 0;

	if (!buf)
		return error_set(err, -ENOMEM, "no host memory to read '%s'", f->name);
	for (uint64_t off = 0; off < f->size && r == 0;) {
		size_t n = f->size - off < CHUNK ? f->size - off : CHUNK;

		r = boot_file_read(f, off, buf, n, err);
		if (r == 0)
			r = boot_put(env, to + off, buf, n, f->name, err);
		off += n;
	}
	free(buf);
	return r;
}

uint64_t boot_place_top(const struct boot_env *env, uint64_t len, uint64_t floor, uint64_t ceiling)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < env->map.n; i++) {
		const struct e820_entry *e = &env->map.e[i];
		uint64_t lo = e->addr > floor ? e->addr : floor, hi = e->addr + e->len;

		if (e->type != E820_RAM)
			continue;
		hi = hi < ceiling ? hi : ceiling;
		if (hi < lo || hi - lo < len)
			continue;
		hi = align_down(hi - len, MEM_PAGE_SIZE);
		if (hi >= lo && hi > best)
			best = hi;
	}
	return best;
}

int boot_put_cmdline(const struct boot_env *env, const char *cmdline, uint64_t max,
		     struct error *err)
{
	size_t n = strlen(cmdline);

	if (max > BOOT_CMD_MAX - 1)
		max = BOOT_CMD_MAX - 1;
	if (n > max)
		return error_set(err, -E2BIG,
				 "the kernel command line has %zu bytes, this kernel takes %llu; "
				 "shorten --append",
				 n, (unsigned long long)max);
	return boot_put(env, BOOT_CMDLINE, cmdline, n + 1, "the kernel command line", err);
}

int boot_put_gdt(const struct boot_env *env, enum boot_mode mode, struct boot_cpu *cpu,
		 struct error *err)
{
	const uint64_t code32 = 0x00cf9b000000ffffull, code64 = 0x00af9b000000ffffull;
	uint64_t gdt[6] = {
		[1] = code32,
		[2] = mode == BOOT_LONG64 ? code64 : code32,
		[3] = 0x00cf93000000ffffull, /* data, writable, accessed */
		[4] = 0x00008b0000000067ull, /* busy TSS at 0, 104 bytes */
		[5] = 0,                     /* upper half of the TSS descriptor in long mode */
	};

	cpu->mode = mode;
	cpu->gdt_base = BOOT_GDT;
	cpu->gdt_limit = sizeof(gdt) - 1;
	cpu->cs = 0x10;
	cpu->ds = 0x18;
	cpu->tr = 0x20;
	return boot_put(env, BOOT_GDT, gdt, sizeof(gdt), "the start GDT", err);
}

int boot_put_tables(const struct boot_env *env, struct boot_cpu *cpu, struct error *err)
{
	enum { PRESENT = 1, WRITE = 2, LARGE = 0x80, PAGES = 6 };
	uint64_t(*t)[512] = xcalloc(PAGES, 4096);
	int r;

	t[0][0] = (BOOT_PML4 + 0x1000) | PRESENT | WRITE;
	for (uint64_t i = 0; i < 4; i++)
		t[1][i] = (BOOT_PML4 + 0x2000 + i * 0x1000) | PRESENT | WRITE;
	for (uint64_t i = 0; i < 4 * 512; i++)
		t[2 + i / 512][i % 512] = i << 21 | PRESENT | WRITE | LARGE;
	cpu->cr3 = BOOT_PML4;
	r = boot_put(env, BOOT_PML4, t, PAGES * 4096, "the start page tables", err);
	free(t);
	return r;
}

static int unknown_image(const struct boot_image *img, struct error *err)
{
	static const struct {
		const char *magic;
		uint8_t len;
		const char *what;
	} known[] = {
		{"\x1f\x8b", 2, "gzip-compressed data; unpack it first (gunzip)"},
		{"\xfd"
		 "7zXZ",
		 5, "xz-compressed data; unpack it first (unxz)"},
		{"\x28\xb5\x2f\xfd", 4, "zstd-compressed data; unpack it first (unzstd)"},
		{"QFI\xfb", 4, "a qcow2 disk; give it with --disk"},
		{"070701", 6, "a cpio archive; give it with --initrd"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (img->n >= known[i].len && !memcmp(img->p, known[i].magic, known[i].len))
			return error_set(err, -ENOEXEC,
					 "'%s' is not a Linux kernel, Multiboot or ELF image: it "
					 "is %s",
					 img->name, known[i].what);
	return error_set(err, -ENOEXEC,
			 "'%s' is not a Linux kernel, Multiboot or ELF image: no signature found "
			 "in %llu bytes",
			 img->name, (unsigned long long)img->n);
}

static int load_kernel(const struct boot_source *src, const struct boot_env *env,
		       const struct boot_image *img, struct boot_cpu *cpu, struct error *err)
{
	unsigned version;

	if (boot_linux_probe(img))
		return boot_linux(src, img, env, cpu, err);
	if (boot_multiboot_probe(img, &version))
		return boot_multiboot(src, img, env, version, cpu, err);
	if (boot_elf_probe(img))
		return boot_elf(src, img, env, cpu, err);
	return unknown_image(img, err);
}

int boot_load(const struct boot_source *src, const struct boot_env *env, struct boot_cpu *ret_cpu,
	      struct error *err)
{
	const struct boot_file *k = &src->kernel;
	struct boot_cpu cpu = {0};
	struct boot_image img;
	uint8_t *buf;
	int r;

	if (k->size > BOOT_KERNEL_MAX)
		return error_set(err, -ENOEXEC,
				 "'%s' has %llu MiB: too big for a kernel; give disks with --disk",
				 k->name, (unsigned long long)(k->size / MIB));
	buf = xtry_calloc(1, k->size);
	if (!buf)
		return error_set(err, -ENOMEM, "no host memory to read the kernel '%s'", k->name);
	r = boot_file_read(k, 0, buf, k->size, err);
	if (r == 0) {
		img = (struct boot_image){buf, k->size, k->name};
		r = load_kernel(src, env, &img, &cpu, err);
	}
	free(buf);
	if (r == 0)
		*ret_cpu = cpu;
	return r;
}
