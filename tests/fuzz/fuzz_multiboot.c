/* SPDX-License-Identifier: Apache-2.0 */
/* The Multiboot 1 and 2 loaders against hostile headers; checksums are put right again, so that the
 * rest is reached (boot_fuzz.h). */
#include "boot_fuzz.h"

enum { LEN = 0x400 };

static void good_image(uint8_t *p, bool two)
{
	static const uint32_t tags[] = {
		2,           24, 0x100000, 0x100000, 0, 0, /* addresses */
		3,           12, 0x100020, 0,              /* entry */
		1 << 16 | 1, 8,                            /* optional information request */
		0,           8,
	};

	memset(p, 0, LEN);
	if (two) {
		st_le32(p, 0xe85250d6);
		st_le32(p + 8, 16 + sizeof(tags));
		memcpy(p + 16, tags, sizeof(tags));
	} else {
		st_le32(p, 0x1badb002);
		st_le32(p + 4, 1 << 16 | 3);
		st_le32(p + 12, 0x100000);
		st_le32(p + 16, 0x100000);
		st_le32(p + 28, 0x100020);
	}
}

static void fix(uint8_t *p, bool two)
{
	if (two)
		st_le32(p + 12, 0u - ld_le32(p) - ld_le32(p + 4) - ld_le32(p + 8));
	else
		st_le32(p + 8, 0u - ld_le32(p) - ld_le32(p + 4));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_guest g;
	uint8_t good[LEN], *img;
	bool two;
	size_t n;

	if (!g.mem)
		boot_guest_init(&g);
	if (!size)
		return 0;
	two = data[0] & 1;
	good_image(good, two);
	img = boot_edit(good, LEN, data + 1, size - 1, &n);
	if (n >= 16 && !(data[0] & 2))
		fix(img, two);
	boot_try(&g, img, n, data[0] & 4);
	free(img);
	return 0;
}
