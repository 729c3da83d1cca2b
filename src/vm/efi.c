/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EFI firmware as distributions install it: an image of code, and a template of the flash chip
 * with the variables, which each VM has a copy of.
 *
 * UEFI Platform Initialization 1.7, volume 3, 3.2.1: a firmware volume has a length at 20h and the
 * signature "_FVH" at 28h; the volume of variables has a GUID of its own at 10h
 * (gEfiSystemNvDataFvGuid). An image is code alone, or variables with the code behind them.
 *
 * Builds with Secure Boot rely on system management mode and hang without it, silently. What the
 * distribution's descriptors say needs it gets it, on a Q35, and is refused elsewhere; the flash
 * chip then takes commands from that mode alone.
 *
 * The copy is a file (--efi-vars, made from the template when it isn't there yet) or memory that is
 * gone at the end. The file is locked while the VM has it. Changes go there with pwrite(2) as the
 * guest finishes them, so that killing the VM loses none; the host's page cache may hold them.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "vm/internal.h"

#define FV_LENGTH    0x20u
#define FV_SIGNATURE 0x28u
#define FV_GUID      0x10u
#define VARS_UNIT    4096u
#define VARS_MAX     (4 * MIB)

/* Code and the template that belongs to it, by distribution. */
struct efi_pair {
	const char *code, *vars;
};
static const struct efi_pair pairs[] = {
	/* clang-format off */
	{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"}, /* Debian, Ubuntu */
	{"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"}, /* Fedora */
	{"/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"}, /* Arch */
	{"/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"}, /* SUSE */
	/* clang-format on */
};

/* Likewise with Secure Boot on: Microsoft's and the distribution's keys are enrolled. */
static const struct efi_pair secure_pairs[] = {
	/* clang-format off */
	{"/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
	{"/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd"},
	{"/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"},
	{"/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"},
	{"/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin"},
	/* clang-format on */
};

static const char *find_pair(const struct efi_pair *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (access(p[i].code, R_OK) == 0 && access(p[i].vars, R_OK) == 0)
			return p[i].code;
	return NULL;
}

const char *vm_find_efi(bool secure)
{
	return secure ? find_pair(secure_pairs, ARRAY_SIZE(secure_pairs))
		      : find_pair(pairs, ARRAY_SIZE(pairs));
}

/* The file that a firmware descriptor (QEMU docs/interop/firmware.json) names as its code, if the
 * descriptor says that this needs system management mode. Distributions write these files; two
 * words of them are all that counts here. */
static char *smm_code_of(const char *descriptor)
{
	struct vm_image img = {0};
	struct error err = {0};
	char *text, *word, *path = NULL;

	if (vm_image_read(descriptor, &img, &err) < 0)
		return NULL;
	text = xasprintf("%.*s", (int)img.len, (const char *)img.bytes);
	free(img.bytes);
	word = strstr(text, "\"requires-smm\"") ? strstr(text, "\"executable\"") : NULL;
	word = word ? strstr(word, "\"filename\"") : NULL;
	word = word ? strchr(word + 10, '"') : NULL;
	if (word && strchr(word + 1, '"'))
		path = xasprintf("%.*s", (int)strcspn(word + 1, "\""), word + 1);
	free(text);
	return path;
}

/* Is @img, by its contents, one that a descriptor says needs system management mode? */
static bool needs_smm(const struct vm_image *img)
{
	glob_t found = {0};
	bool yes = false;

	if (glob("/usr/share/qemu/firmware/*.json", 0, NULL, &found) != 0)
		return false;
	for (size_t i = 0; i < found.gl_pathc && !yes; i++) {
		char *path = smm_code_of(found.gl_pathv[i]);
		struct vm_image other = {0};
		struct error err = {0};

		if (path && vm_image_read(path, &other, &err) == 0)
			yes = other.len == img->len && !memcmp(other.bytes, img->bytes, img->len);
		free(other.bytes);
		free(path);
	}
	globfree(&found);
	return yes;
}

static bool is_volume(const struct vm_image *img)
{
	return img->len > 0x48 && !memcmp(img->bytes + FV_SIGNATURE, "_FVH", 4);
}

/* Length of the volume of variables that @img begins with; 0 = it begins with something else. */
static size_t vars_length(const struct vm_image *img)
{
	static const uint8_t guid[16] = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
					 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
	uint64_t len;

	if (!is_volume(img) || memcmp(img->bytes + FV_GUID, guid, 16))
		return 0;
	len = ld_le64(img->bytes + FV_LENGTH);
	return len && len % VARS_UNIT == 0 && len <= img->len && len <= VARS_MAX ? (size_t)len : 0;
}

/* "OVMF_CODE_4M.secboot.fd" -> "OVMF_VARS_4M.fd", beside it; NULL = there is none. */
static char *template_of(const char *code, bool secure)
{
	const char *slash = strrchr(code, '/'), *file = slash ? slash + 1 : code;
	const char *word = strstr(file, "CODE"), *put = "VARS";
	char *path, *cut;

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		if (!strcmp(pairs[i].code, code))
			return xstrdup(pairs[i].vars);
	for (size_t i = 0; secure && i < ARRAY_SIZE(secure_pairs); i++)
		if (!strcmp(secure_pairs[i].code, code))
			return xstrdup(secure_pairs[i].vars);
	if (!word) {
		word = strstr(file, "code");
		put = "vars";
	}
	if (!word)
		return NULL;
	path = xasprintf("%.*s%s%s", (int)(word - code), code, put, word + 4);
	cut = strstr(path, ".secboot");
	if (access(path, R_OK) < 0 && cut)
		memmove(cut, cut + 8, strlen(cut + 8) + 1);
	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static int not_vars(const char *path, struct error *err)
{
	return error_set(err, -EINVAL,
			 "'%s' holds no EFI variables: name another file with --efi-vars, or "
			 "one that doesn't exist yet to make a new one",
			 path);
}

static int write_all(int fd, const uint8_t *p, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(fd, p, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		p += n;
		len -= (size_t)n;
		at += n;
	}
	return 0;
}

static int store(void *ctx, uint64_t off, const void *bytes, size_t len)
{
	struct vm *vm = ctx;

	return write_all(vm->vars_fd, bytes, len, (off_t)off);
}

int (*vm_efi_store(const struct vm *vm))(void *ctx, uint64_t off, const void *bytes, size_t len)
{
	return vm->vars_fd >= 0 ? store : NULL;
}

static int lock_file(struct vm *vm, const char *path, struct error *err)
{
	struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(vm->vars_fd, F_OFD_SETLK, &whole) == 0)
		return 0;
	return error_set(err, -errno,
			 "the EFI variables '%s' are in use by another machine: stop that first, "
			 "or give this one its own file",
			 path);
}

/* Opens, or makes from the template that vm->vars holds now, the VM's own file. */
static int own_file(struct vm *vm, const char *path, struct error *err)
{
	struct vm_image img = {0};
	struct stat st;
	int r;

	vm->vars_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0644);
	if (vm->vars_fd < 0 || fstat(vm->vars_fd, &st) < 0)
		return error_set(err, -errno, "the EFI variables '%s' cannot be opened: %s", path,
				 strerror(errno));
	if (!S_ISREG(st.st_mode))
		return not_vars(path, err);
	r = lock_file(vm, path, err);
	if (r < 0)
		return r;
	if (st.st_size == 0) {
		r = write_all(vm->vars_fd, vm->vars.bytes, vm->vars.len, 0);
		return r < 0 ? error_set(err, r, "the EFI variables '%s' cannot be written: %s",
					 path, strerror(-r))
			     : 0;
	}
	r = vm_image_read(path, &img, err);
	if (r < 0)
		return r;
	if (vars_length(&img) != img.len || (vm->vars.len && img.len != vm->vars.len)) {
		free(img.bytes);
		return not_vars(path, err);
	}
	free(vm->vars.bytes);
	vm->vars = img;
	return 0;
}

/* The template: the beginning of a whole image, or a file beside the code. */
static int find_template(struct vm *vm, const char *code, bool secure, struct error *err)
{
	size_t n = vars_length(&vm->bios);
	char *path;
	int r;

	if (n && n < vm->bios.len) {
		vm->vars = (struct vm_image){.bytes = xtry_calloc(n, 1), .len = n};
		if (!vm->vars.bytes)
			return error_set(err, -ENOMEM, "no memory for the EFI variables");
		memcpy(vm->vars.bytes, vm->bios.bytes, n);
		vm->bios.len -= n;
		memmove(vm->bios.bytes, vm->bios.bytes + n, vm->bios.len);
		return 0;
	}
	path = template_of(code, secure);
	if (!path)
		return error_set(err, -ENOENT,
				 "the EFI firmware '%s' needs a file with its variables: there is "
				 "no template beside it, so copy one for it and name the copy with "
				 "--efi-vars FILE",
				 code);
	r = vm_image_read(path, &vm->vars, err);
	if (r == 0 && vars_length(&vm->vars) != vm->vars.len)
		r = not_vars(path, err);
	free(path);
	return r;
}

int vm_efi_load(struct vm *vm, const struct vm_config *cfg, const char *code, struct error *err)
{
	struct error why = {0};
	int r;

	if (!is_volume(&vm->bios)) {
		if (cfg->efi_vars)
			return error_set(err, -EINVAL,
					 "'%s' is not EFI firmware: leave --efi-vars out", code);
		return 0;
	}
	vm->efi_smm = needs_smm(&vm->bios);
	if (vm->efi_smm && cfg->machine != MACHINE_Q35)
		return error_set(err, -ENOTSUP,
				 "the EFI firmware '%s' protects Secure Boot's variables with "
				 "system management mode, which a %s has no memory for: use "
				 "--machine q35, or --firmware efi, which has no Secure Boot",
				 code, machine_kind_name(cfg->machine));
	r = find_template(vm, code, cfg->firmware && !strcmp(cfg->firmware, "efi-secure"), &why);
	/* A file that has variables already needs no template. */
	if (r < 0 && (!cfg->efi_vars || access(cfg->efi_vars, R_OK) < 0))
		return error_set(err, r, "%s", why.text);
	r = cfg->efi_vars ? own_file(vm, cfg->efi_vars, err) : 0;
	if (r == 0 && !vm->vars.len)
		r = not_vars(cfg->efi_vars, err);
	vm->efi = r == 0;
	return r;
}

void vm_efi_done(struct vm *vm)
{
	free(vm->vars.bytes);
	vm->vars = (struct vm_image){0};
	if (vm->vars_fd >= 0)
		close(vm->vars_fd);
	vm->vars_fd = -1;
}
