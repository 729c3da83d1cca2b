/* SPDX-License-Identifier: Apache-2.0 */
/* The bzImage loader against hostile setup headers and truncated files (boot_fuzz.h). */
#include "boot_fuzz.h"

enum { SECTS = 1, LEN = (SECTS + 1) * 512 + 2048 };

static void good_image(uint8_t *p)
{
	memset(p, 0, LEN);
	p[0x1f1] = SECTS;
	st_le32(p + 0x1f4, 2048 / 16);
	st_le16(p + 0x1fe, 0xaa55);
	p[0x200] = 0xeb;
	p[0x201] = 0x6a;
	memcpy(p + 0x202, "HdrS", 4);
	st_le16(p + 0x206, 0x20f);
	p[0x211] = 1;
	st_le32(p + 0x22c, 0x7fffffff);
	st_le32(p + 0x230, 0x200000);
	p[0x234] = 1;
	st_le16(p + 0x236, 1);
	st_le32(p + 0x238, 2047);
	st_le64(p + 0x258, 0x400000);
	st_le32(p + 0x260, 0x100000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct boot_guest g;
	uint8_t good[LEN], *img;
	size_t n;

	if (!g.mem)
		boot_guest_init(&g);
	if (!size)
		return 0;
	good_image(good);
	if (data[0] % 4 == 0) {
		/* the whole header is the input's */
		n = MIN(size - 1, (size_t)LEN - 0x210);
		memcpy(good + 0x210, data + 1, n);
		boot_try(&g, good, LEN, false);
		return 0;
	}
	img = boot_edit(good, LEN, data + 1, size - 1, &n);
	boot_try(&g, img, n, data[0] & 4);
	free(img);
	return 0;
}
