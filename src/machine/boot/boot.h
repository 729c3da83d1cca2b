/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Direct boot: put a kernel, its initrd or modules, its command line and a memory map into guest
 * RAM, and say in which state the boot processor starts. No firmware runs.
 *
 * Formats, found by content in this order: Linux bzImage, Multiboot 2, Multiboot 1, ELF (PVH entry
 * note, else Linux vmlinux). Images are untrusted: every offset and sum is 64-bit and checked,
 * every copy stays inside one RAM range of the memory map, and the kernel file is read once into a
 * private buffer before anything is looked at.
 *
 * Low memory as we use it (all of it RAM in the map, reusable by the kernel once it has run):
 *   00800h GDT · 09000h-0efffh page tables (64-bit entry) · 10000h boot_params / boot information
 *   (up to 64 KiB) · 20000h command line (up to 64 KiB) · 30000h memory map and module lists
 */
#ifndef MACHINE_BOOT_BOOT_H
#define MACHINE_BOOT_BOOT_H

#include "base/err.h"
#include "mem/space.h"

#define BOOT_GDT       0x800u
#define BOOT_PML4      0x9000u
#define BOOT_INFO      0x10000u
#define BOOT_INFO_MAX  0x10000u
#define BOOT_CMDLINE   0x20000u
#define BOOT_CMD_MAX   0x10000u /* bytes incl. terminator */
#define BOOT_LISTS     0x30000u
#define BOOT_LISTS_MAX 0x10000u

#define BOOT_KERNEL_MAX  (1024 * MIB) /* a kernel file larger than this is refused */
#define BOOT_MODULES_MAX 64

/* A file to load. Either an open descriptor (read again at each reset) or bytes in memory. */
struct boot_file {
	char *name;           /* owned; for messages */
	char *args;           /* owned; Multiboot module string, may be NULL */
	int fd;               /* owned; -1 = bytes */
	const uint8_t *bytes; /* borrowed when fd is -1 */
	uint64_t size;        /* bytes */
};

/** boot_file_open() - regular files only. -ENOENT, -EISDIR, ... with text naming the file's role
 * @role: "kernel", "initrd", "module". */
int boot_file_open(struct boot_file *f, const char *role, const char *path,
		   struct error *err) MUST_CHECK;
void boot_file_close(struct boot_file *f);
/** boot_file_read() - exactly @len bytes at @off, -EIO with text when the file is shorter now. */
int boot_file_read(const struct boot_file *f, uint64_t off, void *buf, size_t len,
		   struct error *err) MUST_CHECK;

/* Address ranges as firmware call INT 15h E820h reports them; ACPI 6.4, table 15.4. */
enum { E820_RAM = 1, E820_RESERVED = 2, E820_ACPI = 3 };
#define E820_MAX 16
struct e820_entry {
	uint64_t addr, len;
	uint32_t type;
};
struct e820 {
	unsigned n;
	struct e820_entry e[E820_MAX];
};
void e820_add(struct e820 *map, uint64_t addr, uint64_t len, uint32_t type);
/** e820_is_ram() - [addr, addr+len) lies inside one RAM entry. */
bool e820_is_ram(const struct e820 *map, uint64_t addr, uint64_t len);

struct boot_source {
	struct boot_file kernel;
	bool has_initrd;
	struct boot_file initrd;
	struct boot_file module[BOOT_MODULES_MAX];
	unsigned n_modules;
	char *cmdline; /* owned; never NULL when a kernel is set */
};
void boot_source_done(struct boot_source *src);

/* Where to put it. */
struct boot_env {
	struct mem_space *mem; /* borrowed */
	struct e820 map;       /* sorted, first entry is conventional memory from 0 */
	uint64_t low_end;      /* end of RAM below 4 GiB, bytes */
	uint64_t rsdp;         /* guest-physical, 0 = none */
	bool text_screen;      /* a VGA is in text mode 3, 80 x 25 of 9 x 16 */
};

enum boot_mode { BOOT_PROT32, BOOT_LONG64, BOOT_RESET };

enum { BOOT_RAX, BOOT_RCX, BOOT_RDX, BOOT_RBX, BOOT_RSP, BOOT_RBP, BOOT_RSI, BOOT_RDI, BOOT_GPRS };

/* The boot processor's start state; vm/ makes an x86_state of it. Interrupts off, DF clear, flat
 * segments from the GDT below, no IDT. PROT32: paging off. LONG64: long mode with CR3.
 * RESET: as the processor comes out of reset; nothing else here counts. */
struct boot_cpu {
	enum boot_mode mode;
	uint64_t rip;
	uint64_t gpr[BOOT_GPRS]; /* the others are 0 */
	uint64_t cr3;
	uint64_t gdt_base;
	uint16_t gdt_limit;
	uint16_t cs, ds;      /* selectors into it; ds is for DS, ES, SS, FS, GS */
	uint16_t tr;          /* a 32-bit/64-bit busy TSS */
	const char *protocol; /* "Linux 64-bit", "PVH", ... static text */
};

/**
 * boot_load() - load @src into RAM
 * Return: 0, or -errno with text: -ENOEXEC (not an image we know, truncated, inconsistent), -ENOMEM
 * (does not fit this machine's RAM), -E2BIG (command line too long), -EIO. Guest RAM may be partly
 * written on failure. vCPUs stopped.
 */
int boot_load(const struct boot_source *src, const struct boot_env *env, struct boot_cpu *ret_cpu,
	      struct error *err) MUST_CHECK;

/* ---- shared by the loaders of this folder ---- */

struct boot_image { /* the kernel file in memory */
	const uint8_t *p;
	uint64_t n;
	const char *name;
};

/** boot_linux_probe() and friends: is this the loader's format? Pure. */
bool boot_linux_probe(const struct boot_image *img);
bool boot_multiboot_probe(const struct boot_image *img, unsigned *ret_version);
bool boot_elf_probe(const struct boot_image *img);
int boot_linux(const struct boot_source *src, const struct boot_image *img,
	       const struct boot_env *env, struct boot_cpu *cpu, struct error *err) MUST_CHECK;
int boot_multiboot(const struct boot_source *src, const struct boot_image *img,
		   const struct boot_env *env, unsigned version, struct boot_cpu *cpu,
		   struct error *err) MUST_CHECK;
int boot_elf(const struct boot_source *src, const struct boot_image *img,
	     const struct boot_env *env, struct boot_cpu *cpu, struct error *err) MUST_CHECK;

/* A loaded ELF image. */
struct boot_elf_info {
	bool is64;
	uint16_t machine;
	uint64_t entry;      /* as in the header */
	uint64_t entry_phys; /* mapped through the segment that holds it */
	uint64_t low, high;  /* physical range of all segments */
	bool has_pvh;
	uint64_t pvh_entry;
};
/** boot_elf_load() - copy PT_LOAD segments to their physical addresses, zero their tails. */
int boot_elf_load(const struct boot_image *img, const struct boot_env *env,
		  struct boot_elf_info *ret_info, struct error *err) MUST_CHECK;

/* A kernel unpacked by the host. */
struct boot_unpacked {
	uint64_t room; /* bytes it may have at most; set by the caller, not 0 */
	uint8_t *p;    /* owned */
	uint64_t n;    /* bytes */
};
/** boot_unpack() - the @n bytes of a compressed kernel at @p; false: not a format we know, damaged,
 * or larger than @ret->room. boot_unpacked_free() it. */
bool boot_unpack(const uint8_t *p, uint64_t n, struct boot_unpacked *ret);
/** boot_unpacked_room() - map @u->room bytes at @u->p. */
bool boot_unpacked_room(struct boot_unpacked *u);
void boot_unpacked_free(struct boot_unpacked *u);
/**
 * boot_cache_get/put() - the same from and to the user's cache of unpacked kernels
 * @kernel: the kernel file, whose identity and times must be those of the cached one; -1 = no
 * cache. @p, @n: its packed payload.
 */
bool boot_cache_get(int kernel, const uint8_t *p, uint64_t n, struct boot_unpacked *ret);
void boot_cache_put(int kernel, const uint8_t *p, uint64_t n, const struct boot_unpacked *u);

/** boot_put() - copy to RAM of the map; -ENOMEM with @what when it isn't RAM. */
int boot_put(const struct boot_env *env, uint64_t to, const void *from, uint64_t len,
	     const char *what, struct error *err) MUST_CHECK;
int boot_zero(const struct boot_env *env, uint64_t to, uint64_t len, const char *what,
	      struct error *err) MUST_CHECK;
/** boot_put_file() - stream a whole file to RAM. */
int boot_put_file(const struct boot_env *env, uint64_t to, const struct boot_file *f,
		  struct error *err) MUST_CHECK;
/** boot_place_top() - highest page-aligned address of @len bytes in RAM of the map, at or above
 * @floor and ending at or below @ceiling (exclusive). 0 when there is none. */
uint64_t boot_place_top(const struct boot_env *env, uint64_t len, uint64_t floor, uint64_t ceiling);
/** boot_put_cmdline() - at BOOT_CMDLINE; -E2BIG when longer than @max bytes without terminator. */
int boot_put_cmdline(const struct boot_env *env, const char *cmdline, uint64_t max,
		     struct error *err) MUST_CHECK;
/** boot_put_gdt() - null, flat 32-bit code (08h), flat code of the mode (10h), flat data (18h),
 * TSS (20h); fills the descriptor fields of @cpu. */
int boot_put_gdt(const struct boot_env *env, enum boot_mode mode, struct boot_cpu *cpu,
		 struct error *err) MUST_CHECK;
/** boot_put_tables() - identity map of the first 4 GiB with 2 MiB pages; sets cpu->cr3. */
int boot_put_tables(const struct boot_env *env, struct boot_cpu *cpu, struct error *err) MUST_CHECK;
/** boot_linux_params() - build boot_params at BOOT_INFO around the setup header @hdr (at 1f1h,
 * @hdr_len bytes; NULL for a vmlinux) with command line, memory map, initrd. */
int boot_linux_params(const struct boot_source *src, const struct boot_env *env, const uint8_t *hdr,
		      size_t hdr_len, uint64_t kernel_end, uint64_t initrd_max,
		      uint64_t cmdline_max, struct error *err) MUST_CHECK;

#endif
