/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compressed images, unpacked through zlib, liblzma and libzstd into an unlinked temporary file
 * (image.h). The packed file is untrusted: memory is bounded by the libraries' limits, the size of
 * what comes out only by the disk, and blocks of zeros become holes.
 */
#include <errno.h>
#include <limits.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "block/overlay.h"
#include "cli/image.h"

#define CHUNK       (256 * KIB)
#define HOLE        4096u
#define LZMA_MEMORY (256 * MIB) /* xz -9 --extreme needs 65 */

struct unpack {
	int from, to;
	uint64_t out; /* bytes written, holes included */
	uint8_t *in_buf, *out_buf;
};

static ssize_t next_input(struct unpack *u)
{
	ssize_t n;

	do
		n = read(u->from, u->in_buf, CHUNK);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static bool all_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && !memcmp(p, p + 1, n - 1));
}

static int put(struct unpack *u, const uint8_t *p, size_t n)
{
	while (n) {
		size_t part = MIN(n, HOLE - (size_t)(u->out % HOLE));
		ssize_t done = (ssize_t)part;

		if (!all_zero(p, part)) {
			done = pwrite(u->to, p, part, (off_t)u->out);
			if (done < 0 && errno == EINTR)
				continue;
			if (done <= 0)
				return done < 0 ? -errno : -EIO;
		}
		p += done;
		n -= (size_t)done;
		u->out += (uint64_t)done;
	}
	return 0;
}

/* gzip files may have several members one after the other (RFC 1952, 2.2). */
static int unpack_gzip(struct unpack *u)
{
	z_stream z = {0};
	int r = inflateInit2(&z, 16 + MAX_WBITS) == Z_OK ? 0 : -ENOMEM, zr = Z_OK;
	ssize_t n = 0;

	while (r == 0) {
		if (z.avail_in == 0) {
			n = next_input(u);
			if (n <= 0)
				break;
			z.next_in = u->in_buf;
			z.avail_in = (uInt)n;
		}
		if (zr == Z_STREAM_END) {
			/* padding after the last member is allowed (gzip(1)) */
			if (z.next_in[0] != 0x1f)
				break;
			if (inflateReset(&z) != Z_OK)
				r = -EINVAL;
		}
		z.next_out = u->out_buf;
		z.avail_out = CHUNK;
		zr = inflate(&z, Z_NO_FLUSH);
		if (zr != Z_OK && zr != Z_STREAM_END && zr != Z_BUF_ERROR)
			r = zr == Z_MEM_ERROR ? -ENOMEM : -EINVAL;
		if (r == 0)
			r = put(u, u->out_buf, CHUNK - z.avail_out);
	}
	(void)inflateEnd(&z);
	if (r == 0)
		r = n < 0 ? (int)n : zr == Z_STREAM_END ? 0 : -EINVAL;
	return r;
}

static int unpack_xz(struct unpack *u)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_ret zr = lzma_stream_decoder(&z, LZMA_MEMORY, LZMA_CONCATENATED);
	lzma_action action = LZMA_RUN;
	int r = zr == LZMA_OK ? 0 : -ENOMEM;

	while (r == 0 && zr == LZMA_OK) {
		if (z.avail_in == 0 && action == LZMA_RUN) {
			ssize_t n = next_input(u);

			if (n < 0)
				r = (int)n;
			if (n == 0)
				action = LZMA_FINISH;
			z.next_in = u->in_buf;
			z.avail_in = n > 0 ? (size_t)n : 0;
		}
		z.next_out = u->out_buf;
		z.avail_out = CHUNK;
		if (r == 0)
			zr = lzma_code(&z, action);
		if (r == 0)
			r = put(u, u->out_buf, CHUNK - z.avail_out);
	}
	lzma_end(&z);
	if (r == 0 && zr != LZMA_STREAM_END)
		r = zr == LZMA_MEMLIMIT_ERROR || zr == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
	return r;
}

static int unpack_zstd(struct unpack *u)
{
	ZSTD_DCtx *d = ZSTD_createDCtx();
	ZSTD_inBuffer in = {u->in_buf, 0, 0};
	size_t left = 0;
	ssize_t n = 0;
	int r = d ? 0 : -ENOMEM;

	while (r == 0) {
		ZSTD_outBuffer out = {u->out_buf, CHUNK, 0};

		if (in.pos == in.size) {
			n = next_input(u);
			if (n <= 0)
				break;
			in = (ZSTD_inBuffer){u->in_buf, (size_t)n, 0};
		}
		left = ZSTD_decompressStream(d, &out, &in);
		r = ZSTD_isError(left) ? -EINVAL : put(u, u->out_buf, out.pos);
	}
	/* what is still inside when the input has ended */
	while (r == 0 && n == 0 && left) {
		ZSTD_outBuffer out = {u->out_buf, CHUNK, 0};

		left = ZSTD_decompressStream(d, &out, &in);
		if (ZSTD_isError(left) || (left && !out.pos))
			r = -EINVAL;
		else
			r = put(u, u->out_buf, out.pos);
	}
	ZSTD_freeDCtx(d);
	return r == 0 && n < 0 ? (int)n : r;
}

enum image_packing image_packing_of(const uint8_t *p, size_t n)
{
	if (n >= 3 && !memcmp(p, "\x1f\x8b\x08", 3))
		return IMAGE_GZIP;
	if (n >= 6 && !memcmp(p,
			      "\xfd"
			      "7zXZ\0",
			      6))
		return IMAGE_XZ;
	if (n >= 4 && !memcmp(p, "\x28\xb5\x2f\xfd", 4))
		return IMAGE_ZSTD;
	return IMAGE_PLAIN;
}

const char *image_packing_name(enum image_packing k)
{
	static const char *const names[] = {"plain", "gzip", "xz", "zstd"};

	return names[k];
}

int image_unpack(int from, enum image_packing k, const char *name, int *ret_fd, struct error *err)
{
	struct unpack u = {.from = from, .to = overlay_temp_file(err)};
	int r;

	if (u.to < 0)
		return u.to;
	u.in_buf = xcalloc(1, CHUNK);
	u.out_buf = xcalloc(1, CHUNK);
	r = lseek(from, 0, SEEK_SET) < 0 ? -errno : 0;
	if (r == 0)
		r = k == IMAGE_GZIP ? unpack_gzip(&u)
		    : k == IMAGE_XZ ? unpack_xz(&u)
				    : unpack_zstd(&u);
	if (r == 0 && ftruncate(u.to, (off_t)u.out) < 0)
		r = -errno;
	free(u.in_buf);
	free(u.out_buf);
	if (r < 0) {
		close(u.to);
		return error_set(err, r, "'%s' cannot be unpacked: %s", name,
				 r == -EINVAL   ? "the packed data is damaged or cut short"
				 : r == -ENOSPC ? "no space for it; name a directory with TMPDIR"
						: strerror(-r));
	}
	*ret_fd = u.to;
	return 0;
}
