/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling what a file is (image.h). Sources: El Torito 1.0 (boot record volume descriptor in sector
 * 17, boot catalog) and ECMA-119 (descriptors from sector 16); UEFI 2.10, 5.3.2, 5.3.3 (GPT), 5.2.2
 * (MBR partition type EFh), 13.3.2.1 (El Torito platform EFh) and the PC's MBR; diskette sizes
 * (device/storage/i82077.h); "The Linux/x86 Boot Protocol" (HdrS at 202h); ELF; the Multiboot
 * specifications (magic number in the first 8 or 32 KiB).
 *
 * The order matters: hybrid ISO images have an MBR, and the boot loader in an MBR disk's first
 * track may have a Multiboot header. The file is only read, and only from known places.
 */
#include "cli/image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "cli/cli.h"
#include "device/storage/i82077.h"

#define HEAD      (36 * KIB) /* up to the El Torito boot record, and the Multiboot search */
#define ISO_PVD   32768u
#define CD_SECTOR 2048u
#define SECTOR    512u

#define GPT_HEADER      512u
#define GPT_ENTRIES     1024u /* looked at, at most */
#define GPT_LEGACY_BOOT 0x04  /* attributes, bit 2 */

enum { PLATFORM_X86 = 0x00, PLATFORM_EFI = 0xef, TYPE_ESP = 0xef };

struct look {
	int fd;
	uint8_t head[HEAD];
	size_t n;
	uint64_t size;
};

static ssize_t read_at(int fd, void *to, size_t n, off_t at)
{
	size_t done = 0;

	while (done < n) {
		ssize_t r = pread(fd, (uint8_t *)to + done, n - done, at + (off_t)done);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static bool has(const struct look *l, size_t at, const char *magic, size_t len)
{
	return at + len <= l->n && !memcmp(l->head + at, magic, len);
}

/* Formats that are disks, but not raw ones. */
static const char *foreign(const struct look *l)
{
	static const struct {
		size_t at;
		const char *magic, *name;
	} rows[] = {
		{0, "QFI\xfb", "qcow2"},
		{0, "KDMV", "vmdk"},
		{0, "# Disk DescriptorFile", "vmdk"},
		{64, "\x7f\x10\xda\xbe", "vdi"},
		{0, "vhdxfile", "vhdx"},
		{0, "conectix", "vhd"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (has(l, rows[i].at, rows[i].magic, strlen(rows[i].magic)))
			return rows[i].name;
	return NULL;
}

static bool multiboot(const struct look *l)
{
	for (size_t at = 0; at + 12 <= l->n && at < 32768; at += 4) {
		uint32_t v = ld_le32(l->head + at);

		if (v == 0x1badb002 && at < 8192 &&
		    (uint32_t)(v + ld_le32(l->head + at + 4) + ld_le32(l->head + at + 8)) == 0)
			return true;
		if (v == 0xe85250d6 && at % 8 == 0)
			return true;
	}
	return false;
}

/* An MBR's four entries: how many are in use, or -1 when this is no table. */
static int mbr_partitions(const struct look *l, bool *ret_esp)
{
	int n = 0;

	*ret_esp = false;
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t *e = l->head + 446 + 16 * i;

		if (e[0] & 0x7f)
			return -1;
		n += e[4] && ld_le32(e + 12);
		*ret_esp = *ret_esp || (e[4] == TYPE_ESP && ld_le32(e + 12));
	}
	return n;
}

static bool boot_code(const struct look *l)
{
	for (unsigned i = 0; i < 440; i++)
		if (l->head[i])
			return true;
	return false;
}

static int say(struct image *img, enum image_role role, const char *fmt, ...) PRINTF_LIKE(3, 4);
static int say(struct image *img, enum image_role role, const char *fmt, ...)
{
	va_list ap;

	img->role = role;
	va_start(ap, fmt);
	vsnprintf(img->what, sizeof(img->what), fmt, ap);
	va_end(ap);
	return 0;
}

/* Whether the partitions of a GPT say how the disk starts. Boot code in its MBR says little: some
 * systems always put it there. */
static void gpt_partitions(const struct look *l, bool *ret_esp, bool *ret_bios)
{
	/* clang-format off */
	static const uint8_t esp[16] = {0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11,
					0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b};
	static const uint8_t bios[][16] = {
		{"Hah!IdontNeedEFI"}, /* GRUB */
		{0x9d, 0x6b, 0xbd, 0x83, 0x41, 0x7f, 0xdc, 0x11,
		 0xbe, 0x0b, 0x00, 0x15, 0x60, 0xb8, 0x4f, 0x0f}, /* FreeBSD */
	};
	/* clang-format on */
	const uint8_t *head = l->head + GPT_HEADER;
	uint64_t lba = ld_le64(head + 72), size = ld_le32(head + 84);
	unsigned n = MIN(ld_le32(head + 80), GPT_ENTRIES);

	*ret_esp = *ret_bios = false;
	if (l->n < GPT_HEADER + 92 || lba > l->size / SECTOR || size < 128 || size > 4096)
		return;
	for (unsigned i = 0; i < n; i++) {
		uint8_t e[128];

		if (read_at(l->fd, e, sizeof(e), (off_t)(lba * SECTOR + i * size)) !=
		    (ssize_t)sizeof(e))
			return;
		*ret_esp = *ret_esp || !memcmp(e, esp, sizeof(esp));
		for (unsigned k = 0; k < ARRAY_SIZE(bios); k++)
			*ret_bios = *ret_bios || !memcmp(e, bios[k], sizeof(bios[k]));
		*ret_bios = *ret_bios || (e[48] & GPT_LEGACY_BOOT);
	}
}

static int gpt_kind(const struct look *l, bool code, struct image *img)
{
	bool esp, bios;

	gpt_partitions(l, &esp, &bios);
	for (unsigned i = 0; i < 4; i++)
		bios = bios || l->head[446 + 16 * i] == 0x80;
	img->efi = !code || (esp && !bios);
	return say(img, IMAGE_DISK, "disk with a GPT%s",
		   !code      ? " and no BIOS boot code: it starts through EFI"
		   : img->efi ? ", a partition for EFI and none for a BIOS: it starts through EFI"
			      : "");
}

/* A FAT volume over the whole disk with the boot code of a formatter, which tells only that there
 * is none. */
static bool fat_without_code(const struct look *l)
{
	static const char text[] = "This is not a bootable disk";

	return (has(l, 0x36, "FAT", 3) || has(l, 0x52, "FAT", 3)) && l->n >= SECTOR &&
	       memmem(l->head, SECTOR, text, sizeof(text) - 1);
}

static int disk_kind(const struct look *l, struct image *img)
{
	bool code = boot_code(l), esp;
	int parts = mbr_partitions(l, &esp);

	if (has(l, GPT_HEADER, "EFI PART", 8))
		return gpt_kind(l, code, img);
	if (fat_without_code(l)) {
		img->efi = true;
		return say(img, IMAGE_DISK,
			   "FAT volume without BIOS boot code: it starts through EFI");
	}
	img->efi = parts > 0 && esp && !code;
	if (parts > 0)
		return say(img, IMAGE_DISK, "disk with an MBR and %d partition%s%s", parts,
			   parts == 1 ? "" : "s",
			   img->efi ? ", one of them for EFI, and no BIOS boot code" : "");
	return say(img, IMAGE_DISK, "disk with a boot sector");
}

/* The boot catalog of a CD: the default entry, then sections, each for one platform. */
static int cd_kind(const struct look *l, struct image *img)
{
	uint8_t cat[CD_SECTOR], platform;
	uint64_t at = (uint64_t)ld_le32(l->head + ISO_PVD + CD_SECTOR + 0x47) * CD_SECTOR;
	bool x86 = false, efi = false;

	if (read_at(l->fd, cat, sizeof(cat), (off_t)at) != (ssize_t)sizeof(cat) || cat[0] != 1)
		return say(img, IMAGE_CDROM, "CD (El Torito) without a boot catalog");
	platform = cat[1];
	if (cat[32] == 0x88) {
		x86 = platform == PLATFORM_X86;
		efi = platform == PLATFORM_EFI;
	}
	for (unsigned i = 64; i + 32 <= sizeof(cat); i += 32) {
		if (cat[i] == 0x90 || cat[i] == 0x91) {
			platform = cat[i + 1];
		} else if (cat[i] == 0x88) {
			x86 = x86 || platform == PLATFORM_X86;
			efi = efi || platform == PLATFORM_EFI;
		}
	}
	img->efi = efi && !x86;
	return say(img, IMAGE_CDROM, "bootable CD (El Torito%s)",
		   efi && x86 ? ", for BIOS and EFI"
		   : efi      ? ", for EFI"
			      : "");
}

static int decide(const struct look *l, const char *path, struct image *img, struct error *err)
{
	const struct i82077_format *f = i82077_format_of(l->size);
	bool boot_sig = has(l, 510, "\x55\xaa", 2);
	const char *name = foreign(l);

	if (name)
		return error_set(err, -EINVAL,
				 "'%s' is a %s image, which bothy cannot open yet: convert it with "
				 "`qemu-img convert -O raw`",
				 path, name);
	if (has(l, 0x202, "HdrS", 4) && boot_sig)
		return say(img, IMAGE_KERNEL, "Linux kernel (bzImage)");
	if (has(l, 0,
		"\x7f"
		"ELF",
		4))
		return say(img, IMAGE_KERNEL, "kernel (ELF)");
	if (has(l, ISO_PVD + 1, "CD001", 5)) {
		if (has(l, ISO_PVD + CD_SECTOR + 7, "EL TORITO SPECIFICATION", 23))
			return cd_kind(l, img);
		if (!boot_sig)
			return say(img, IMAGE_CDROM,
				   "CD without a boot record: nothing starts from it");
	}
	if (f)
		return say(img, IMAGE_FLOPPY, "diskette of %u KiB%s", (unsigned)(l->size / KIB),
			   boot_sig ? "" : " without a boot signature");
	if (boot_sig)
		return disk_kind(l, img);
	if (multiboot(l))
		return say(img, IMAGE_KERNEL, "Multiboot kernel");
	return error_set(
		err, -EINVAL,
		"'%s' is nothing a PC starts from: no kernel, no bootable CD, no diskette's "
		"size, no boot sector; a disk without one can go beside something else as "
		"--disk FILE",
		path);
}

static int look_at(int fd, const char *path, struct look *l, struct error *err)
{
	struct stat st;
	ssize_t n;

	l->fd = fd;
	if (fstat(fd, &st) < 0)
		return error_set(err, -errno, "'%s': %s", path, strerror(errno));
	l->size = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(fd, BLKGETSIZE64, &l->size) < 0)
			return error_set(err, -errno, "'%s': %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		return error_set(err, -EINVAL, "'%s' is neither a regular file nor a block device",
				 path);
	}
	n = read_at(fd, l->head, sizeof(l->head), 0);
	if (n < 0)
		return error_set(err, (int)n, "'%s' cannot be read: %s", path, strerror((int)-n));
	l->n = (size_t)n;
	return 0;
}

int image_detect(const char *path, struct image *ret_image, struct error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	struct look *l = xnew(struct look);
	enum image_packing k;

	*ret_image = (struct image){.fd = -1};
	if (fd < 0) {
		r = error_set(err, -errno, "'%s' cannot be opened: %s%s", path, strerror(errno),
			      errno == ENOENT ? "; check the path" : "");
		free(l);
		return r;
	}
	r = look_at(fd, path, l, err);
	k = image_packing_of(l->head, l->n);
	if (r == 0 && k != IMAGE_PLAIN) {
		cli_die(0, "'%s' is packed (%s): unpacking it to a temporary file", path,
			image_packing_name(k));
		r = image_unpack(fd, k, path, &ret_image->fd, err);
		if (r == 0)
			r = look_at(ret_image->fd, path, l, err);
		snprintf(ret_image->path, sizeof(ret_image->path), "/proc/self/fd/%d",
			 ret_image->fd);
	}
	if (r == 0)
		r = decide(l, path, ret_image, err);
	if (r < 0 && ret_image->fd >= 0)
		close(ret_image->fd);
	close(fd);
	free(l);
	return r;
}
