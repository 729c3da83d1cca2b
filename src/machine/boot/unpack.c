/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel inside a bzImage, unpacked by the host: two thirds of the time from power-on to the
 * first line of /init would otherwise go into the guest's own decompressor. The kernel's
 * documentation, "The Linux/x86 Boot Protocol" (payload_offset, payload_length), names the formats
 * by their magic numbers; libraries do the work.
 *
 * The payload is untrusted. Output is bounded by what the caller allows, working memory by the
 * libraries' limits below, and whatever is not understood is left to the guest, which knows better.
 *
 * UNMODELLED: bzip2, LZMA-alone, LZO and LZ4 payloads are left to the guest's decompressor; a
 * kernel unpacked here runs where it was linked, so the guest kernel's base is not randomized
 * (KASLR is the work of the decompressor that does not run).
 */
#include <limits.h>
#include <string.h>
#include <lzma.h>
#include <sys/mman.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "machine/boot/boot.h"

#define UNPACK_MEMORY                                                                              \
	(128 * MIB) /* dictionaries; the kernel's build uses up to 128 MiB windows                 \
		     */

static uint64_t unpack_xz(const uint8_t *p, uint64_t n, uint8_t *to, uint64_t most)
{
	uint64_t limit = UNPACK_MEMORY + 64 * MIB;
	size_t in = 0, out = 0;
	lzma_ret r = lzma_stream_buffer_decode(&limit, 0, NULL, p, &in, n, to, &out, most);

	return r == LZMA_OK ? out : 0;
}

static uint64_t unpack_gzip(const uint8_t *p, uint64_t n, uint8_t *to, uint64_t most)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)p, .avail_in = (uInt)MIN(n, UINT_MAX)};
	uint64_t out;
	int r;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return 0;
	z.next_out = to;
	z.avail_out = (uInt)MIN(most, UINT_MAX);
	r = inflate(&z, Z_FINISH);
	out = z.total_out;
	(void)inflateEnd(&z);
	return r == Z_STREAM_END ? out : 0;
}

static uint64_t unpack_zstd(const uint8_t *p, uint64_t n, uint8_t *to, uint64_t most)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {p, n, 0};
	ZSTD_outBuffer out = {to, most, 0};
	size_t r = 1;

	if (!d)
		return 0;
	if (!ZSTD_isError(ZSTD_DCtx_setParameter(d, ZSTD_d_windowLogMax, 27)))
		while (in.pos < in.size && out.pos < out.size) {
			r = ZSTD_decompressStream(d, &out, &in);
			if (r == 0 || ZSTD_isError(r))
				break;
		}
	ZSTD_freeDCtx(d);
	return r == 0 ? out.pos : 0;
}

static const struct {
	uint8_t magic[6], n;
	uint64_t (*fn)(const uint8_t *p, uint64_t n, uint8_t *to, uint64_t most);
} formats[] = {
	{{0x1f, 0x8b}, 2, unpack_gzip},
	{{0xfd, '7', 'z', 'X', 'Z', 0}, 6, unpack_xz},
	{{0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
};

bool boot_unpacked_room(struct boot_unpacked *u)
{
	void *p = mmap(NULL, u->room, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	u->p = p == MAP_FAILED ? NULL : p;
	return u->p != NULL;
}

bool boot_unpack(const uint8_t *p, uint64_t n, struct boot_unpacked *ret)
{
	*ret = (struct boot_unpacked){.room = ret->room};
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		if (n < 8 || memcmp(p, formats[i].magic, formats[i].n) != 0)
			continue;
		if (!boot_unpacked_room(ret))
			return false;
		ret->n = formats[i].fn(p, n, ret->p, ret->room);
		if (ret->n)
			return true;
		boot_unpacked_free(ret);
	}
	return false;
}

void boot_unpacked_free(struct boot_unpacked *u)
{
	if (u->p)
		munmap(u->p, u->room);
	u->p = NULL;
}
