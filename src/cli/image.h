/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a file is that somebody wants to run: told by its contents, never by its name.
 */
#ifndef CLI_IMAGE_H
#define CLI_IMAGE_H

#include "base/err.h"

enum image_role { IMAGE_KERNEL, IMAGE_CDROM, IMAGE_FLOPPY, IMAGE_DISK };

struct image {
	enum image_role role;
	bool efi;       /* starts through EFI only */
	char what[160]; /* "bootable CD (El Torito)": the finding and its reason, for people */
	int fd;         /* of an unpacked copy, owned; -1 = the file itself */
	char path[32];  /* names that copy */
};

/**
 * image_detect() - open @path and look at it; gzip, xz and zstd are unpacked to a temporary file
 * first, with a note to stderr
 * Return: 0; -ENOENT, ... when it cannot be read; -EINVAL with text that says what it is instead,
 * and what to do.
 */
int image_detect(const char *path, struct image *ret_image, struct error *err) MUST_CHECK;

enum image_packing { IMAGE_PLAIN, IMAGE_GZIP, IMAGE_XZ, IMAGE_ZSTD };
/** image_packing_of() - by the first @n bytes. image_packing_name() - "gzip", "xz", "zstd". */
enum image_packing image_packing_of(const uint8_t *p, size_t n);
const char *image_packing_name(enum image_packing k);
/**
 * image_unpack() - all of @from (from its start) to a new unlinked sparse file
 * Return: 0; -EINVAL (damaged, or cut short), -ENOSPC, -ENOMEM, ... with text.
 */
int image_unpack(int from, enum image_packing k, const char *name, int *ret_fd,
		 struct error *err) MUST_CHECK;

#endif
