/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware images from where distributions put them. Debian: packages "seabios" (BIOS, VGA BIOS),
 * "ovmf" (EFI, see efi.c) and "ipxe-qemu" (network boot). They are read once, whole, into private
 * memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vm/internal.h"

#define IMAGE_MAX (16 * MIB)

static const char *const bios_paths[] = {
	"/usr/share/seabios/bios-256k.bin", "/usr/share/qemu/bios-256k.bin",
	"/usr/share/seabios/bios.bin", "/usr/share/qemu/bios.bin", NULL};
static const char *const net_rom_dirs[] = {"/usr/lib/ipxe/qemu", "/usr/share/qemu",
					   "/usr/share/ipxe/qemu", NULL};

static const char *const vga_rom_paths[] = {"/usr/share/seabios/vgabios-stdvga.bin",
					    "/usr/share/qemu/vgabios-stdvga.bin",
					    "/usr/share/vgabios/vgabios-stdvga.bin", NULL};

static int read_all(int fd, uint8_t *p, size_t len)
{
	size_t at = 0;

	while (at < len) {
		ssize_t n = read(fd, p + at, len - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (size_t)n;
	}
	return 0;
}

int vm_image_read(const char *path, struct vm_image *ret_img, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	struct stat st;
	uint8_t *p;

	if (fd < 0)
		return error_set(err, -errno, "firmware '%s' cannot be opened: %s", path,
				 strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < 1 ||
	    (uint64_t)st.st_size > IMAGE_MAX) {
		close(fd);
		return error_set(err, -EINVAL,
				 "firmware '%s' is not a regular file of at most %u MiB", path,
				 (unsigned)(IMAGE_MAX / MIB));
	}
	p = xtry_calloc((size_t)st.st_size, 1);
	r = p ? read_all(fd, p, (size_t)st.st_size) : -ENOMEM;
	close(fd);
	if (r < 0) {
		free(p);
		return error_set(err, r, "firmware '%s' cannot be read: %s", path, strerror(-r));
	}
	*ret_img = (struct vm_image){.bytes = p, .len = (size_t)st.st_size};
	return 0;
}

static const char *find(const char *const *paths)
{
	for (; *paths; paths++)
		if (access(*paths, R_OK) == 0)
			return *paths;
	return NULL;
}

const char *vm_find_bios(void)
{
	return find(bios_paths);
}

/* The ROM that boots from a network card of @model. Without its file the machine just can't. */
static int load_net_rom(struct vm *vm, enum machine_nic_model model, struct error *err)
{
	const char *name = machine_nic_rom(model);
	int r = 0;

	for (const char *const *dir = net_rom_dirs; name && *dir && !vm->net_rom.bytes && r == 0;
	     dir++) {
		char *path = xasprintf("%s/pxe-%s.rom", *dir, name);

		if (access(path, R_OK) == 0)
			r = vm_image_read(path, &vm->net_rom, err);
		free(path);
	}
	return r;
}

int vm_firmware_load(struct vm *vm, const struct vm_config *cfg, struct error *err)
{
	const char *path = cfg->firmware, *rom = find(vga_rom_paths);
	int r = 0;

	/* Directly started kernels take the character set out of it, if it is there. */
	if (rom && machine_is_pc(cfg->machine) && !cfg->no_vga)
		r = vm_image_read(rom, &vm->vga_rom, err);
	if (r < 0 || !path)
		return r;
	if (!strcmp(path, "bios")) {
		path = vm_find_bios();
		if (!path)
			return error_set(err, -ENOENT,
					 "no BIOS image found (%s and other places): install the "
					 "package seabios, or name one with --firmware FILE",
					 bios_paths[0]);
	} else if (!strcmp(path, "efi") || !strcmp(path, "efi-secure")) {
		bool secure = strcmp(path, "efi") != 0;

		path = vm_find_efi(secure);
		if (!path)
			return error_set(err, -ENOENT,
					 "no EFI firmware%s found: install the package ovmf, or "
					 "name an image with --firmware FILE",
					 secure ? " with Secure Boot" : "");
	}
	r = vm_image_read(path, &vm->bios, err);
	if (r == 0)
		r = vm_efi_load(vm, cfg, path, err);
	/* Only when asked for: the ROM waits for a key at each start. */
	if (r == 0 && vm->net && cfg->boot_order && strchr(cfg->boot_order, 'n'))
		r = load_net_rom(vm, cfg->nic, err);
	return r;
}

void vm_firmware_done(struct vm *vm)
{
	vm_efi_done(vm);
	free(vm->bios.bytes);
	free(vm->net_rom.bytes);
	free(vm->vga_rom.bytes);
	vm->bios = vm->net_rom = vm->vga_rom = (struct vm_image){0};
}
