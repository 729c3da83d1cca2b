/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot: what a loader puts where and how the processor starts, per format, and the message
 * for each way an image can be wrong. Images are built here, byte by byte, from the formats'
 * specifications (see the loaders).
 */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

struct guest {
	struct mem_space *mem;
	struct boot_env env;
	struct boot_source src;
	struct boot_cpu cpu;
	struct error err;
};

/* @mib of RAM from 0, with the hole of 9fc00h-fffffh that PCs have. */
static void guest_new(struct guest *g, uint64_t mib)
{
	struct ram_block *ram;
	struct mem_mapping *map;

	memset(g, 0, sizeof(*g));
	assert_int_equal(mem_space_new(&g->mem, &g->err), 0);
	assert_int_equal(mem_ram_new(g->mem, "ram", mib * MIB, &ram, &g->err), 0);
	assert_int_equal(mem_map_ram(g->mem, "ram", 0, ram, 0, mib * MIB, false, MEM_PRIO_RAM, &map,
				     &g->err),
			 0);
	g->env.mem = g->mem;
	g->env.low_end = mib * MIB;
	g->env.rsdp = 0xe0000;
	e820_add(&g->env.map, 0, 0x9fc00, E820_RAM);
	e820_add(&g->env.map, 0x9fc00, 0x400, E820_RESERVED);
	e820_add(&g->env.map, 0xe0000, 0x20000, E820_RESERVED);
	e820_add(&g->env.map, MIB, (mib - 1) * MIB, E820_RAM);
	g->src.cmdline = xstrdup("console=ttyS0");
}

static void guest_done(struct guest *g)
{
	boot_source_done(&g->src);
	mem_space_free(g->mem);
}

static void set_file(struct boot_file *f, const char *name, const uint8_t *p, uint64_t n)
{
	*f = (struct boot_file){.name = xstrdup(name), .fd = -1, .bytes = p, .size = n};
}

static int load(struct guest *g, const uint8_t *p, uint64_t n)
{
	free(g->src.kernel.name); /* loaded before */
	set_file(&g->src.kernel, "k", p, n);
	return boot_load(&g->src, &g->env, &g->cpu, &g->err);
}

static uint64_t peek(struct guest *g, uint64_t at, unsigned size)
{
	uint8_t b[8] = {0};

	assert_int_equal(mem_read(g->mem, at, b, size), 0);
	return ld_le(b, size);
}

/* ---- Linux ---- */

enum { SETUP_SECTS = 3, PAYLOAD = 5000 };

struct bzimage {
	uint8_t p[(SETUP_SECTS + 1) * 512 + ((PAYLOAD + 15) & ~15)];
};

static void bzimage_new(struct bzimage *b, bool entry64)
{
	uint8_t *p = b->p;

	memset(p, 0, sizeof(b->p));
	p[0x1f1] = SETUP_SECTS;
	st_le32(p + 0x1f4, (PAYLOAD + 15) / 16);
	st_le16(p + 0x1fe, 0xaa55);
	p[0x200] = 0xeb;
	p[0x201] = 0x6a; /* header ends at 26ch */
	memcpy(p + 0x202, "HdrS", 4);
	st_le16(p + 0x206, 0x20f);
	p[0x211] = 1;
	st_le32(p + 0x22c, 0x7fffffff);
	st_le32(p + 0x230, 0x200000);
	p[0x234] = 1;
	st_le16(p + 0x236, entry64 ? 0x3f : 0);
	st_le32(p + 0x238, 2047);
	st_le64(p + 0x258, 0x1000000);
	st_le32(p + 0x260, 0x300000);
	for (unsigned i = 0; i < PAYLOAD; i++)
		p[(SETUP_SECTS + 1) * 512 + i] = (uint8_t)(i * 7);
}

static void test_linux64(void **state)
{
	struct guest g;
	struct bzimage b;
	uint8_t initrd[5000];

	guest_new(&g, 64);
	memset(initrd, 0xab, sizeof(initrd));
	bzimage_new(&b, true);
	g.src.has_initrd = true;
	set_file(&g.src.initrd, "i", initrd, sizeof(initrd));
	assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
	/* boot.rst, "64-bit boot protocol" */
	assert_int_equal(g.cpu.mode, BOOT_LONG64);
	assert_int_equal(g.cpu.rip, 0x1000200);
	assert_int_equal(g.cpu.gpr[BOOT_RSI], BOOT_INFO);
	assert_int_equal(g.cpu.cs, 0x10);
	assert_int_equal(g.cpu.ds, 0x18);
	assert_int_equal(peek(&g, 0x1000000 + 1000, 1), (uint8_t)(1000 * 7));
	/* identity map: entry 8 of the first page directory is 16 MiB, 2 MiB page */
	assert_int_equal(peek(&g, g.cpu.cr3, 8) & 3, 3);
	assert_int_equal(peek(&g, g.cpu.cr3 + 0x2000 + 8 * 8, 8), 0x1000083);
	/* boot_params: header copied, ours filled */
	assert_int_equal(peek(&g, BOOT_INFO + 0x202, 4), 0x53726448);
	assert_int_equal(peek(&g, BOOT_INFO + 0x210, 1), 0xff);
	assert_int_equal(peek(&g, BOOT_INFO + 0x228, 4), BOOT_CMDLINE);
	assert_int_equal(peek(&g, BOOT_INFO + 0x70, 8), 0xe0000);
	assert_int_equal(peek(&g, BOOT_INFO + 0x1e8, 1), 4);
	assert_int_equal(peek(&g, BOOT_INFO + 0x2d0 + 3 * 20, 8), MIB);
	assert_int_equal(peek(&g, BOOT_INFO + 0x2d0 + 3 * 20 + 8, 8), 63 * MIB);
	assert_int_equal(peek(&g, BOOT_INFO + 0x1ef, 1), 0); /* sentinel */
	assert_int_equal(peek(&g, BOOT_INFO + 0x21c, 4), sizeof(initrd));
	/* as high as fits, page aligned */
	assert_int_equal(peek(&g, BOOT_INFO + 0x218, 4), 64 * MIB - 8192);
	assert_int_equal(peek(&g, 64 * MIB - 8192 + 4999, 1), 0xab);
	assert_int_equal(peek(&g, BOOT_CMDLINE, 8), 0x3d656c6f736e6f63); /* "console=" */
	guest_done(&g);
}

static void test_linux32(void **state)
{
	struct guest g;
	struct bzimage b;

	guest_new(&g, 64);
	bzimage_new(&b, false);
	assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
	assert_int_equal(g.cpu.mode, BOOT_PROT32);
	assert_int_equal(g.cpu.rip, 0x1000000);
	assert_int_equal(peek(&g, BOOT_INFO + 0x214, 4), 0x1000000);
	assert_int_equal(peek(&g, BOOT_GDT + 0x10, 8), 0x00cf9b000000ffff);
	guest_done(&g);
	/* Too little RAM for the preferred address: as low as the alignment allows. */
	guest_new(&g, 16);
	assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
	assert_int_equal(g.cpu.rip, 0x200000);
	guest_done(&g);
}

/* One way to spoil an image, and what must be said. */
struct bad {
	const char *what;
	uint64_t at;
	unsigned size;
	uint64_t val;
	uint64_t len; /* 0 = whole */
	int code;
	const char *text;
};

static void test_linux_bad(void **state)
{
	static const struct bad rows[] = {
		{"cut in the header", 0x1f1, 1, SETUP_SECTS, 0x210, -ENOEXEC, "inside its setup"},
		{"old protocol", 0x206, 2, 0x205, 0, -ENOEXEC, "boot protocol 2.05"},
		{"zImage", 0x211, 1, 0, 0, -ENOEXEC, "zImage"},
		{"header too short", 0x201, 1, 0x10, 0, -ENOEXEC, "truncated or damaged"},
		{"cut in the setup code", 0x1f1, 1, SETUP_SECTS, 1000, -ENOEXEC, "truncated"},
		{"cut in the kernel", 0x1f1, 1, SETUP_SECTS, 4000, -ENOEXEC,
		 "truncated: 4000 bytes where"},
		{"syssize 0", 0x1f4, 4, 0, 0, -ENOEXEC, "truncated"},
		{"init_size", 0x260, 4, 0xf0000000, 0, -ENOMEM, "give the machine more memory"},
		{"command line", 0x238, 4, 5, 0, -E2BIG, "takes 5"},
	};
	struct guest g;
	struct bzimage b;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		guest_new(&g, 64);
		bzimage_new(&b, true);
		st_le(b.p + rows[i].at, rows[i].size, rows[i].val);
		if (load(&g, b.p, rows[i].len ? rows[i].len : sizeof(b.p)) != rows[i].code ||
		    !strstr(g.err.text, rows[i].text))
			fail_msg("%s: %d '%s'", rows[i].what, g.err.code, g.err.text);
		guest_done(&g);
	}
	/* initrd bigger than RAM */
	guest_new(&g, 64);
	bzimage_new(&b, true);
	g.src.has_initrd = true;
	set_file(&g.src.initrd, "big.img", b.p, 60 * MIB);
	assert_int_equal(load(&g, b.p, sizeof(b.p)), -ENOMEM);
	assert_non_null(strstr(g.err.text, "initrd 'big.img' of 60 MiB does not fit"));
	guest_done(&g);
}

/* ---- ELF ---- */

enum { ELF_LEN = 0x2000 };

/* A 64-bit executable: one segment at 1 MiB (file 1000h, 100h bytes, 3000h in memory), one note. */
static void elf64_new(uint8_t *p, bool pvh)
{
	Elf64_Ehdr h = {.e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = 1};
	Elf64_Phdr load_ph = {.p_type = PT_LOAD,
			      .p_offset = 0x1000,
			      .p_vaddr = 0xffffffff80100000,
			      .p_paddr = 0x100000,
			      .p_filesz = 0x100,
			      .p_memsz = 0x3000};
	Elf64_Phdr note_ph = {.p_type = PT_NOTE, .p_offset = 0x1800, .p_filesz = 20};

	memset(p, 0, ELF_LEN);
	memcpy(h.e_ident, ELFMAG, 4);
	h.e_ident[EI_CLASS] = ELFCLASS64;
	h.e_ident[EI_DATA] = ELFDATA2LSB;
	h.e_entry = 0xffffffff80100010;
	h.e_phoff = 0x40;
	h.e_phentsize = sizeof(load_ph);
	h.e_phnum = 2;
	memcpy(p, &h, sizeof(h));
	memcpy(p + 0x40, &load_ph, sizeof(load_ph));
	memcpy(p + 0x40 + sizeof(load_ph), &note_ph, sizeof(note_ph));
	memset(p + 0x1000, 0x5a, 0x100);
	if (pvh) {
		st_le32(p + 0x1800, 4);
		st_le32(p + 0x1804, 4);
		st_le32(p + 0x1808, 18);
		memcpy(p + 0x180c, "Xen", 4);
		st_le32(p + 0x1810, 0x100040);
	}
}

/* A bzImage whose payload is @elf packed in one of the formats; its length. */
static uint64_t pack(const char *format, const uint8_t *elf, uint8_t *to, uint64_t room)
{
	if (!strcmp(format, "gzip")) {
		z_stream z = {.next_in = (Bytef *)(uintptr_t)elf,
			      .avail_in = ELF_LEN,
			      .next_out = to,
			      .avail_out = (uInt)room};

		assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, 0), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		(void)deflateEnd(&z);
		return z.total_out;
	}
	if (!strcmp(format, "xz")) {
		size_t n = 0;

		assert_int_equal(lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, elf, ELF_LEN,
							 to, &n, room),
				 LZMA_OK);
		return n;
	}
	return ZSTD_compress(to, room, elf, ELF_LEN, 19);
}

/* boot.rst, payload_offset and payload_length: the host unpacks what it can, and leaves the rest to
 * the decompressor in front of it. */
static void test_linux_packed(void **state)
{
	static const char *const formats[] = {"gzip", "xz", "zstd"};
	enum { AT = 0x300 };

	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		uint8_t *elf = xcalloc(1, ELF_LEN), *to;
		struct bzimage b;
		struct guest g;
		uint64_t n;

		elf64_new(elf, false);
		st_le64(elf + 24, 0x1000010);        /* e_entry, physical as vmlinux has it */
		st_le64(elf + 0x40 + 24, 0x1000000); /* p_paddr */
		bzimage_new(&b, true);
		to = b.p + (SETUP_SECTS + 1) * 512 + AT;
		n = pack(formats[i], elf, to, PAYLOAD - AT);
		st_le32(b.p + 0x248, AT);
		st_le32(b.p + 0x24c, (uint32_t)n);
		guest_new(&g, 64);
		assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
		assert_int_equal(g.cpu.mode, BOOT_LONG64);
		assert_int_equal(g.cpu.rip, 0x1000010);
		assert_int_equal(g.cpu.gpr[BOOT_RSI], BOOT_INFO);
		assert_int_equal(peek(&g, 0x10000ff, 1), 0x5a);
		assert_int_equal(peek(&g, 0x1000100, 8), 0);
		assert_int_equal(peek(&g, BOOT_INFO + 0x202, 4), 0x53726448);
		guest_done(&g);
		/* cut short; outside of the file; of the other word size; not enough room */
		st_le32(b.p + 0x24c, (uint32_t)n / 2);
		guest_new(&g, 64);
		assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
		assert_int_equal(g.cpu.rip, 0x1000200);
		st_le32(b.p + 0x24c, 0xffffffff);
		assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
		assert_int_equal(g.cpu.rip, 0x1000200);
		st_le32(b.p + 0x24c, (uint32_t)n);
		st_le16(b.p + 0x236, 0);
		assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
		assert_int_equal(g.cpu.rip, 0x1000000);
		st_le16(b.p + 0x236, 0x3f);
		st_le32(b.p + 0x260, 0x1400);
		assert_int_equal(load(&g, b.p, sizeof(b.p)), 0);
		assert_int_equal(g.cpu.rip, 0x1000200);
		guest_done(&g);
		free(elf);
	}
}

static unsigned files_in(const char *dir, char last[300])
{
	DIR *d = opendir(dir);
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.') {
			n++;
			snprintf(last, 300, "%s", e->d_name);
		}
	if (d)
		closedir(d);
	return n;
}

/* The cache of unpacked kernels gives back what was put, to the same kernel file only, and nothing
 * that is damaged or that others could have written. */
static void test_cache(void **state)
{
	char dir[] = "/tmp/bothy-test-cache-XXXXXX", path[600], sub[64], kernel[64], name[300];
	uint8_t payload[100] = "payload", *whole = xcalloc(1, 100000);
	struct boot_unpacked u = {.room = 100000}, got = {.room = 100000};
	int fd, file;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(setenv("XDG_CACHE_HOME", dir, 1), 0);
	snprintf(sub, sizeof(sub), "%s/bothy", dir);
	snprintf(kernel, sizeof(kernel), "%s/kernel", dir);
	fd = open(kernel, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_true(boot_unpacked_room(&u));
	for (u.n = 0; u.n < 90000; u.n++)
		u.p[u.n] = (uint8_t)(u.n * u.n >> 8);
	memcpy(whole, u.p, u.n);
	assert_false(boot_cache_get(fd, payload, 100, &got));
	assert_false(boot_cache_get(-1, payload, 100, &got));
	boot_cache_put(fd, payload, 100, &u);
	assert_int_equal(files_in(sub, name), 1);
	assert_true(boot_cache_get(fd, payload, 100, &got));
	assert_int_equal(got.n, 90000);
	assert_memory_equal(got.p, whole, 90000);
	boot_unpacked_free(&got);
	/* another payload; no room; others may write it; a byte flipped; cut; a kernel touched */
	payload[0] ^= 1;
	assert_false(boot_cache_get(fd, payload, 100, &got));
	payload[0] ^= 1;
	got.room = 89999;
	assert_false(boot_cache_get(fd, payload, 100, &got));
	got.room = 100000;
	snprintf(path, sizeof(path), "%s/%s", sub, name);
	assert_int_equal(chmod(path, 0622), 0);
	assert_false(boot_cache_get(fd, payload, 100, &got));
	assert_int_equal(chmod(path, 0600), 0);
	file = open(path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(file, "x", 1, 200), 1);
	assert_false(boot_cache_get(fd, payload, 100, &got));
	assert_int_equal(ftruncate(file, 150), 0);
	assert_false(boot_cache_get(fd, payload, 100, &got));
	close(file);
	boot_cache_put(fd, payload, 100, &u);
	assert_true(boot_cache_get(fd, payload, 100, &got));
	boot_unpacked_free(&got);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_false(boot_cache_get(fd, payload, 100, &got));
	/* bounded */
	for (unsigned i = 0; i < 10; i++) {
		payload[1] = (uint8_t)i;
		boot_cache_put(fd, payload, 100, &u);
	}
	assert_true(files_in(sub, name) <= 4);
	boot_unpacked_free(&u);
	close(fd);
	free(whole);
	unsetenv("XDG_CACHE_HOME");
	while (files_in(sub, name)) {
		snprintf(path, sizeof(path), "%s/%s", sub, name);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(sub), 0);
	assert_int_equal(unlink(kernel), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void test_elf(void **state)
{
	struct guest g;
	uint8_t *p = xcalloc(1, ELF_LEN), initrd[100] = {1};

	guest_new(&g, 16);
	elf64_new(p, false);
	assert_int_equal(mem_write(g.mem, 0x102fff, "x", 1), 0);
	assert_int_equal(load(&g, p, ELF_LEN), 0);
	assert_int_equal(g.cpu.mode, BOOT_LONG64);
	assert_int_equal(g.cpu.rip, 0x100010); /* through the segment's p_vaddr */
	assert_int_equal(g.cpu.gpr[BOOT_RSI], BOOT_INFO);
	assert_int_equal(peek(&g, 0x1000ff, 1), 0x5a);
	assert_int_equal(peek(&g, 0x100100, 1), 0);
	assert_int_equal(peek(&g, 0x102fff, 1), 0); /* bss cleared to its last byte */
	guest_done(&g);

	/* PVH: 32-bit entry, EBX = hvm_start_info */
	guest_new(&g, 16);
	elf64_new(p, true);
	g.src.has_initrd = true;
	set_file(&g.src.initrd, "i", initrd, sizeof(initrd));
	assert_int_equal(load(&g, p, ELF_LEN), 0);
	assert_string_equal(g.cpu.protocol, "PVH");
	assert_int_equal(g.cpu.mode, BOOT_PROT32);
	assert_int_equal(g.cpu.rip, 0x100040);
	assert_int_equal(g.cpu.gpr[BOOT_RBX], BOOT_INFO);
	assert_int_equal(peek(&g, BOOT_INFO, 4), 0x336ec578);
	assert_int_equal(peek(&g, BOOT_INFO + 4, 4), 1);
	assert_int_equal(peek(&g, BOOT_INFO + 12, 4), 1);
	assert_int_equal(peek(&g, peek(&g, BOOT_INFO + 16, 8) + 8, 8), sizeof(initrd));
	assert_int_equal(peek(&g, peek(&g, peek(&g, BOOT_INFO + 16, 8), 8), 1), 1);
	assert_int_equal(peek(&g, BOOT_INFO + 24, 8), BOOT_CMDLINE);
	assert_int_equal(peek(&g, BOOT_INFO + 32, 8), 0xe0000);
	assert_int_equal(peek(&g, BOOT_INFO + 48, 4), 4);
	assert_int_equal(peek(&g, peek(&g, BOOT_INFO + 40, 8) + 3 * 24, 8), MIB);
	guest_done(&g);
	free(p);
}

static void test_elf_bad(void **state)
{
	static const struct bad rows[] = {
		{"machine", 18, 2, EM_ARM, 0, -ENOEXEC, "not for x86"},
		{"big-endian", 5, 1, 2, 0, -ENOEXEC, "not little-endian"},
		{"no program headers", 56, 2, 0, 0, -ENOEXEC, "no usable program headers"},
		{"program headers outside", 32, 8, ~0ull - 8, 0, -ENOEXEC, "no usable"},
		{"cut", 18, 2, EM_X86_64, 0x1080, -ENOEXEC, "truncated or damaged: segment"},
		{"file > memory", 0x40 + 40, 8, 0x10, 0, -ENOEXEC, "truncated or damaged"},
		{"wraps", 0x40 + 24, 8, ~0ull - 0xfff, 0, -ENOEXEC, "truncated or damaged"},
		{"not RAM", 0x40 + 24, 8, 16 * MIB, 0, -ENOMEM, "not RAM of this machine"},
		{"low", 0x40 + 24, 8, 0x10000, 0, -ENOEXEC, "link it at 1 MiB"},
	};
	uint8_t *p = xcalloc(1, ELF_LEN);
	struct guest g;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		guest_new(&g, 16);
		elf64_new(p, false);
		st_le(p + rows[i].at, rows[i].size, rows[i].val);
		if (load(&g, p, rows[i].len ? rows[i].len : ELF_LEN) != rows[i].code ||
		    !strstr(g.err.text, rows[i].text))
			fail_msg("%s: %d '%s'", rows[i].what, g.err.code, g.err.text);
		guest_done(&g);
	}
	free(p);
}

/* ---- Multiboot ---- */

static void test_multiboot1(void **state)
{
	uint8_t p[4096] = {0}, m0[5000], m1[10];
	struct guest g;
	uint32_t mods, mmap;

	memset(m0, 0x11, sizeof(m0));
	memset(m1, 0x22, sizeof(m1));
	/* flat image: header at file offset 64 = address 100040h; loads 100000h..101000h, bss to
	 * 102000h */
	st_le32(p + 64, 0x1badb002);
	st_le32(p + 68, 1 << 16 | 3);
	st_le32(p + 72, 0u - 0x1badb002u - (1 << 16 | 3));
	st_le32(p + 76, 0x100040);
	st_le32(p + 80, 0x100000);
	st_le32(p + 84, 0x101000);
	st_le32(p + 88, 0x102000);
	st_le32(p + 92, 0x100800);
	guest_new(&g, 16);
	set_file(&g.src.module[0], "m0", m0, sizeof(m0));
	set_file(&g.src.module[1], "m1", m1, sizeof(m1));
	g.src.module[1].args = xstrdup("second arg");
	g.src.n_modules = 2;
	assert_int_equal(load(&g, p, sizeof(p)), 0);
	assert_int_equal(g.cpu.mode, BOOT_PROT32);
	assert_int_equal(g.cpu.rip, 0x100800);
	assert_int_equal(g.cpu.gpr[BOOT_RAX], 0x2badb002);
	assert_int_equal(g.cpu.gpr[BOOT_RBX], BOOT_INFO);
	assert_int_equal(peek(&g, 0x100040, 4), 0x1badb002);
	/* 3.3: flags, mem_lower, mem_upper, cmdline, mods, mmap */
	assert_int_equal(peek(&g, BOOT_INFO, 4) & 0x4d, 0x4d);
	assert_int_equal(peek(&g, BOOT_INFO + 4, 4), 0x9fc00 / 1024);
	assert_int_equal(peek(&g, BOOT_INFO + 8, 4), 15 * 1024);
	assert_int_equal(peek(&g, peek(&g, BOOT_INFO + 16, 4), 8), 0x3d656c6f736e6f63);
	assert_int_equal(peek(&g, BOOT_INFO + 20, 4), 2);
	mods = (uint32_t)peek(&g, BOOT_INFO + 24, 4);
	assert_int_equal(peek(&g, mods, 4), 0x102000);
	assert_int_equal(peek(&g, mods + 4, 4), 0x102000 + sizeof(m0));
	assert_int_equal(peek(&g, mods + 16, 4), 0x104000); /* page aligned */
	assert_int_equal(peek(&g, 0x104009, 1), 0x22);
	assert_int_equal(peek(&g, peek(&g, mods + 24, 4), 6), 0x646e6f636573); /* "second" */
	mmap = (uint32_t)peek(&g, BOOT_INFO + 48, 4);
	assert_int_equal(peek(&g, BOOT_INFO + 44, 4), 4 * 24);
	assert_int_equal(peek(&g, mmap, 4), 20);
	assert_int_equal(peek(&g, mmap + 12, 8), 0x9fc00);
	guest_done(&g);
	/* the header's addresses lie outside the file */
	st_le32(p + 84, 0x101001);
	guest_new(&g, 16);
	assert_int_equal(load(&g, p, sizeof(p)), -ENOEXEC);
	assert_non_null(strstr(g.err.text, "load end address"));
	guest_done(&g);
	st_le32(p + 84, 0);
	st_le32(p + 80, 0x100041);
	guest_new(&g, 16);
	assert_int_equal(load(&g, p, sizeof(p)), -ENOEXEC);
	assert_non_null(strstr(g.err.text, "damaged header"));
	guest_done(&g);
}

static void test_multiboot2(void **state)
{
	uint8_t *p = xcalloc(1, ELF_LEN), m[10] = {7};
	struct guest g;
	uint64_t at;
	unsigned seen = 0;

	elf64_new(p, false);
	/* header at 800h: no tags but the end; ELF entry is used */
	st_le64(p + 24, 0xffffffff80100020);
	st_le32(p + 0x800, 0xe85250d6);
	st_le32(p + 0x808, 24);
	st_le32(p + 0x80c, 0u - 0xe85250d6u - 24);
	st_le32(p + 0x814, 8);
	guest_new(&g, 16);
	set_file(&g.src.module[0], "m", m, sizeof(m));
	g.src.n_modules = 1;
	assert_int_equal(mem_write(g.mem, 0xe0000, "RSD PTR ", 8), 0);
	assert_int_equal(load(&g, p, ELF_LEN), 0);
	assert_int_equal(g.cpu.rip, 0x100020);
	assert_int_equal(g.cpu.gpr[BOOT_RAX], 0x36d76289);
	for (at = BOOT_INFO + 8;; at += align_up(peek(&g, at + 4, 4), 8)) {
		uint32_t type = (uint32_t)peek(&g, at, 4);

		seen |= 1u << type;
		if (type == 1)
			assert_int_equal(peek(&g, at + 8, 8), 0x3d656c6f736e6f63);
		if (type == 3) {
			assert_int_equal(peek(&g, at + 8, 4), 0x103000);
			assert_int_equal(peek(&g, at + 12, 4), 0x103000 + sizeof(m));
		}
		if (type == 6)
			assert_int_equal(peek(&g, at + 8, 4), 24);
		if (type == 15)
			assert_int_equal(peek(&g, at + 8, 1), 'R');
		if (type == 0)
			break;
	}
	assert_int_equal(seen, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 15);
	assert_int_equal(peek(&g, BOOT_INFO, 4), at + 8 - BOOT_INFO);
	guest_done(&g);
	/* a required tag we don't know */
	st_le32(p + 0x810, 11);
	guest_new(&g, 16);
	assert_int_equal(load(&g, p, ELF_LEN), -ENOEXEC);
	assert_non_null(strstr(g.err.text, "requires header tag 11"));
	guest_done(&g);
	free(p);
}

/* ---- files ---- */

static void test_unknown(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
		const char *text;
	} rows[] = {
		{"\x1f\x8b\x08", 3, "gzip"},
		{"QFI\xfb", 4, "qcow2"},
		{"070701", 6, "cpio"},
		{"hello", 5, "no signature found in 5 bytes"},
		{"x", 1, "is not a Linux kernel, Multiboot or ELF image"},
	};
	struct guest g;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		guest_new(&g, 16);
		assert_int_equal(load(&g, (const uint8_t *)rows[i].bytes, rows[i].n), -ENOEXEC);
		if (!strstr(g.err.text, rows[i].text))
			fail_msg("%s: '%s'", rows[i].text, g.err.text);
		guest_done(&g);
	}
}

static void test_files(void **state)
{
	struct boot_file f;
	struct error err;

	assert_int_equal(boot_file_open(&f, "kernel", "/nonexistent/k", &err), -ENOENT);
	assert_non_null(strstr(err.text, "kernel '/nonexistent/k'"));
	assert_int_equal(boot_file_open(&f, "initrd", "/", &err), -EINVAL);
	assert_non_null(strstr(err.text, "not a regular file"));
	assert_int_equal(boot_file_open(&f, "kernel", "/dev/null", &err), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux64),      cmocka_unit_test(test_linux32),
		cmocka_unit_test(test_linux_packed), cmocka_unit_test(test_cache),
		cmocka_unit_test(test_linux_bad),    cmocka_unit_test(test_elf),
		cmocka_unit_test(test_elf_bad),      cmocka_unit_test(test_multiboot1),
		cmocka_unit_test(test_multiboot2),   cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
