/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling what a file is, and unpacking it: one row a kind of file, made here; what comes out of
 * each packing is compared byte for byte, and damaged ones are refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

#include "base/bits.h"
#include "cli/image.h"

struct piece {
	uint32_t at;
	const char *bytes;
	size_t n;
};

#define SIG                                                                                        \
	{                                                                                          \
		510, "\x55\xaa", 2                                                                 \
	}
#define ISO                                                                                        \
	{                                                                                          \
		32769, "CD001", 5                                                                  \
	}
#define TORITO                                                                                     \
	{                                                                                          \
		34816 + 7, "EL TORITO SPECIFICATION", 23                                           \
	}
/* One partition of type 83h from sector 2048; the second entry below is damaged. */
#define PART                                                                                       \
	{                                                                                          \
		446, "\x80\0\0\0\x83\0\0\0\0\x08\0\0\0\x10\0\0", 16                                \
	}

#define CODE                                                                                       \
	{                                                                                          \
		0, "\x33\xc0", 2                                                                   \
	}
/* A GPT's header: 128 entries of 128 bytes from LBA 2; and an EFI system partition in the second.
 */
#define GPT                                                                                        \
	{                                                                                          \
		512,                                                                               \
			"EFI PART\0\0\1\0\x5c\0\0\0\0\0\0\0\0\0\0\0"                               \
			"\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                         \
			"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"                         \
			"\2\0\0\0\0\0\0\0\x80\0\0\0\x80\0\0\0\0\0\0\0",                            \
			92                                                                         \
	}
#define ESP                                                                                        \
	{                                                                                          \
		1024 + 128, "\x28\x73\x2a\xc1\x1f\xf8\xd2\x11\xba\x4b\0\xa0\xc9\x3e\xc9\x3b", 16   \
	}

static const struct {
	uint64_t size;
	struct piece piece[5];
	int result;
	enum image_role role;
	const char *text, *cite;
} rows[] = {
	{1440 * KIB, {SIG}, 0, IMAGE_FLOPPY, "diskette of 1440 KiB", "size"},
	{360 * KIB, {{0}}, 0, IMAGE_FLOPPY, "without a boot signature", "size alone"},
	{1440 * KIB + 512, {{0}}, -EINVAL, 0, "nothing a PC starts from", "no such diskette"},
	{8 * MIB, {SIG, PART}, 0, IMAGE_DISK, "MBR and 1 partition", "MBR"},
	{8 * MIB, {SIG}, 0, IMAGE_DISK, "disk with a boot sector", "no table"},
	{8 * MIB,
	 {SIG, {446, "\x12", 1}},
	 0,
	 IMAGE_DISK,
	 "boot sector",
	 "a FAT volume's code there"},
	{8 * MIB, {SIG, {0, "\xeb", 1}, {512, "EFI PART", 8}}, 0, IMAGE_DISK, "GPT", "UEFI 5.3.2"},
	{8 * MIB,
	 {SIG, {512, "EFI PART", 8}},
	 0,
	 IMAGE_DISK,
	 "it starts through EFI",
	 "UEFI 5.3.2"},
	{8 * MIB,
	 {SIG, CODE, GPT, ESP},
	 0,
	 IMAGE_DISK,
	 "none for a BIOS: it starts through EFI",
	 "UEFI 5.3.3"},
	{8 * MIB,
	 {SIG, CODE, GPT, ESP, {1024 + 4096, "Hah!IdontNeedEFI", 16}},
	 0,
	 IMAGE_DISK,
	 "disk with a GPT",
	 "GRUB's BIOS boot partition"},
	{8 * MIB,
	 {SIG, CODE, GPT, ESP, {1024 + 256 + 48, "\4", 1}},
	 0,
	 IMAGE_DISK,
	 "disk with a GPT",
	 "UEFI 5.3.3: legacy BIOS bootable"},
	{8 * MIB,
	 {SIG, CODE, GPT, ESP, {446, "\x80", 1}},
	 0,
	 IMAGE_DISK,
	 "disk with a GPT",
	 "an active partition in the MBR"},
	{8 * MIB, {SIG, CODE, GPT}, 0, IMAGE_DISK, "disk with a GPT", "no partition for EFI"},
	{8 * MIB,
	 {SIG,
	  CODE,
	  {512, "EFI PART", 8},
	  {584, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80", 13}},
	 0,
	 IMAGE_DISK,
	 "disk with a GPT",
	 "entries behind the end"},
	{8 * MIB,
	 {SIG,
	  {0, "\xeb\x58", 2},
	  {0x52, "FAT32   ", 8},
	  {0x77, "This is not a bootable disk", 27}},
	 0,
	 IMAGE_DISK,
	 "it starts through EFI",
	 "what mkfs.fat writes"},
	{8 * MIB,
	 {SIG, {0, "\xeb\x58", 2}, {0x52, "FAT32   ", 8}},
	 0,
	 IMAGE_DISK,
	 "disk with a boot sector",
	 "a FAT volume that starts"},
	{4 * MIB, {ISO, TORITO}, 0, IMAGE_CDROM, "El Torito", "El Torito 2.0"},
	{4 * MIB,
	 {ISO, TORITO, {34816 + 0x47, "\x14", 1}, {40960, "\1\xef", 2}, {40992, "\x88", 1}},
	 0,
	 IMAGE_CDROM,
	 "El Torito, for EFI",
	 "UEFI 13.3.2.1: platform EFh"},
	{4 * MIB,
	 {ISO,
	  TORITO,
	  {34816 + 0x47, "\x14", 1},
	  {40960, "\1\0", 2},
	  {40992,
	   "\x88\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	   "\x91\xef\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x88",
	   65}},
	 0,
	 IMAGE_CDROM,
	 "El Torito, for BIOS and EFI",
	 "a section of platform EFh"},
	{8 * MIB,
	 {SIG, {446, "\0\0\0\0\xef\0\0\0\0\x08\0\0\0\x10\0\0", 16}},
	 0,
	 IMAGE_DISK,
	 "one of them for EFI",
	 "UEFI 5.2.2"},
	{4 * MIB, {ISO, TORITO, SIG, PART}, 0, IMAGE_CDROM, "El Torito", "hybrid: CD first"},
	{4 * MIB, {ISO, SIG, PART}, 0, IMAGE_DISK, "MBR", "hybrid without El Torito"},
	{4 * MIB, {ISO}, 0, IMAGE_CDROM, "without a boot record", "ECMA-119"},
	{1 * MIB, {SIG, {0x202, "HdrS", 4}}, 0, IMAGE_KERNEL, "bzImage", "boot protocol 2.0"},
	{1 * MIB,
	 {{0,
	   "\x7f"
	   "ELF",
	   4}},
	 0,
	 IMAGE_KERNEL,
	 "ELF",
	 "ELF"},
	{1 * MIB,
	 {{1024, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12}},
	 0,
	 IMAGE_KERNEL,
	 "Multiboot",
	 "Multiboot 3.1"},
	{8 * MIB,
	 {SIG, PART, {1024, "\x02\xb0\xad\x1b\0\0\0\0\xfe\x4f\x52\xe4", 12}},
	 0,
	 IMAGE_DISK,
	 "MBR",
	 "a boot loader in the first track"},
	{1 * MIB,
	 {{1024, "\x02\xb0\xad\x1b\0\0\0\0\xff\x4f\x52\xe4", 12}},
	 -EINVAL,
	 0,
	 "nothing",
	 "Multiboot checksum"},
	{1 * MIB, {{0, "QFI\xfb", 4}}, -EINVAL, 0, "qcow2 image", "qcow2"},
	{1 * MIB, {{0, "vhdxfile", 8}}, -EINVAL, 0, "vhdx image", "VHDX"},
	{100, {{0}}, -EINVAL, 0, "nothing a PC starts from", "tiny"},
	{0, {{0}}, -EINVAL, 0, "nothing a PC starts from", "empty"},
};

/* The rows' texts say whether a file starts through EFI alone. */
static bool efi_only(const char *text)
{
	return strstr(text, "through EFI") || strstr(text, "one of them for EFI") ||
	       !strcmp(text, "El Torito, for EFI");
}

static void make(const char *path, size_t row)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)rows[row].size), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(rows[row].piece); i++) {
		const struct piece *p = &rows[row].piece[i];

		if (p->n)
			assert_int_equal(pwrite(fd, p->bytes, p->n, p->at), p->n);
	}
	close(fd);
}

static void test_detect(void **state)
{
	char path[] = "/tmp/bothy-image-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct error err = {0};
		struct image img;
		int r;

		make(path, i);
		r = image_detect(path, &img, &err);
		if (r != rows[i].result || !strstr(r < 0 ? err.text : img.what, rows[i].text) ||
		    (r == 0 && (img.role != rows[i].role || img.efi != efi_only(rows[i].text))))
			fail_msg("row %zu (%s): %d '%s'", i, rows[i].cite, r,
				 r < 0 ? err.text : img.what);
	}
	unlink(path);
	assert_int_equal(image_detect("/nonexistent/x", &(struct image){0}, &(struct error){0}),
			 -ENOENT);
	assert_int_equal(image_detect("/tmp", &(struct image){0}, &(struct error){0}), -EINVAL);
}

/* 3 MiB: data, a long hole, data. */
static uint8_t *contents(size_t *ret_n)
{
	uint8_t *p = xcalloc(1, 3 * MIB);

	for (size_t i = 0; i < 100000; i++)
		p[i] = (uint8_t)(i * i >> 3);
	p[510] = 0x55;
	p[511] = 0xaa;
	memcpy(p + 3 * MIB - 5, "tail", 5);
	*ret_n = 3 * MIB;
	return p;
}

static size_t pack(enum image_packing k, const uint8_t *p, size_t n, uint8_t *to, size_t max)
{
	z_stream z = {.next_in = (uint8_t *)(uintptr_t)p,
		      .avail_in = (uInt)n,
		      .next_out = to,
		      .avail_out = (uInt)max};
	ZSTD_CCtx *c;
	size_t out = 0;

	switch (k) {
	case IMAGE_GZIP:
		assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		out = z.total_out;
		deflateEnd(&z);
		return out;
	case IMAGE_XZ:
		assert_int_equal(
			lzma_easy_buffer_encode(3, LZMA_CHECK_CRC64, NULL, p, n, to, &out, max),
			LZMA_OK);
		return out;
	default:
		c = ZSTD_createCCtx();
		ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
		out = ZSTD_compress2(c, to, max, p, n);
		ZSTD_freeCCtx(c);
		return out;
	}
}

static int put_file(const char *path, const uint8_t *p, size_t n, bool append)
{
	int fd = open(path, O_WRONLY | O_CREAT | (append ? O_APPEND : O_TRUNC), 0600);

	assert_int_equal(write(fd, p, n), n);
	return close(fd);
}

static void test_unpack(void **state)
{
	char path[] = "/tmp/bothy-image-XXXXXX";
	size_t n, packed;
	uint8_t *p = contents(&n), *to = xcalloc(1, 4 * MIB), *got = xcalloc(1, 7 * MIB);
	struct error err = {0};
	struct image img;
	struct stat st;

	(void)state;
	close(mkstemp(path));
	for (enum image_packing k = IMAGE_GZIP; k <= IMAGE_ZSTD; k++) {
		packed = pack(k, p, n, to, 4 * MIB);
		put_file(path, to, packed, false);
		if (image_detect(path, &img, &err) != 0)
			fail_msg("%s: %s", image_packing_name(k), err.text);
		assert_int_equal(img.role, IMAGE_DISK);
		assert_int_equal(fstat(img.fd, &st), 0);
		assert_int_equal(st.st_size, n);
		assert_true((uint64_t)st.st_blocks * 512 < n / 2); /* the hole is one */
		assert_int_equal(pread(img.fd, got, n, 0), n);
		assert_memory_equal(got, p, n);
		close(img.fd);
		/* two packed parts one after the other */
		put_file(path, to, packed, true);
		assert_int_equal(image_detect(path, &img, &err), 0);
		assert_int_equal(pread(img.fd, got, 2 * n, 0), 2 * n);
		assert_memory_equal(got + n, p, n);
		close(img.fd);
		/* cut short, and damaged */
		put_file(path, to, packed - 20, false);
		assert_int_equal(image_detect(path, &img, &err), -EINVAL);
		assert_non_null(strstr(err.text, "damaged or cut short"));
		memset(to + packed / 2, 0x5a, 40);
		put_file(path, to, packed, false);
		assert_int_equal(image_detect(path, &img, &err), -EINVAL);
	}
	unlink(path);
	free(p);
	free(to);
	free(got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detect),
		cmocka_unit_test(test_unpack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
