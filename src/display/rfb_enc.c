/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rectangles as RFB clients get them. RFC 6143, 7.7.1 (Raw), 7.7.6 (ZRLE), 7.8.1 (Cursor);
 * rfbproto, "Tight Encoding".
 *
 * A rectangle is copied out of the shared picture first, so that what is counted and what is
 * encoded are the same pixels. It has at most RFB_RECT_W x RFB_RECT_H of them, which bounds the
 * output of every encoding below OUT_ROOM: zlib adds at most 0.1 % and a few bytes to what it can't
 * compress.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/bits.h"
#include "display/rfb_impl.h"

enum { ZRLE_TILE = 64, COLORS_MAX = 256, TIGHT_MIN = 12, JPEG_MIN = 32 * 16 };
enum { TIGHT_FILL = 0x80, TIGHT_JPEG = 0x90, TIGHT_FILTER = 0x40, FILTER_PALETTE = 1 };

/* Colours of a rectangle, in order of appearance. */
struct palette {
	unsigned n; /* COLORS_MAX + 1: too many */
	uint32_t color[COLORS_MAX];
	uint16_t hash[1024]; /* index + 1 */
};

static unsigned palette_slot(const struct palette *p, uint32_t rgb)
{
	unsigned at = (rgb * 2654435761u) >> 22;

	while (p->hash[at] && p->color[p->hash[at] - 1] != rgb)
		at = (at + 1) & 1023;
	return at;
}

static void palette_make(struct palette *p, const uint32_t *px, unsigned stride, unsigned w,
			 unsigned h)
{
	uint32_t last;

	memset(p, 0, sizeof(*p));
	last = ~px[0];
	for (unsigned y = 0; y < h; y++)
		for (unsigned x = 0; x < w; x++) {
			uint32_t rgb = px[y * stride + x];
			unsigned at;

			if (rgb == last)
				continue;
			last = rgb;
			at = palette_slot(p, rgb);
			if (p->hash[at])
				continue;
			if (p->n == COLORS_MAX) {
				p->n++;
				return;
			}
			p->color[p->n++] = rgb;
			p->hash[at] = (uint16_t)p->n;
		}
}

static unsigned palette_index(const struct palette *p, uint32_t rgb)
{
	return p->hash[palette_slot(p, rgb)] - 1u;
}

/* ------------------------------------------------------------------ pixels */

unsigned rfb_pixel(const struct rfb_format *f, uint32_t rgb, uint8_t *to)
{
	uint32_t v = 0;
	unsigned bytes = f->bpp / 8;

	for (unsigned i = 0; i < 3; i++) {
		uint32_t c = rgb >> (16 - 8 * i) & 255;

		v |= (c * f->max[i] + 127) / 255 << f->shift[i];
	}
	for (unsigned i = 0; i < bytes; i++)
		to[i] = (uint8_t)(v >> 8 * (f->big_endian ? bytes - 1 - i : i));
	return bytes;
}

/* Four-byte pixels whose colours fit in three bytes: CPIXEL (RFC 6143, 7.7.5). 0: no; else which
 * byte of the four is left out, plus 1. */
static unsigned cpixel_drop(const struct rfb_format *f)
{
	uint32_t used = 0;

	if (f->bpp != 32 || !f->true_color || f->depth > 24)
		return 0;
	for (unsigned i = 0; i < 3; i++)
		used |= (uint32_t)f->max[i] << f->shift[i];
	if (!(used & 0xff000000))
		return f->big_endian ? 1 : 4;
	if (!(used & 0xff))
		return f->big_endian ? 4 : 1;
	return 0;
}

static unsigned put_cpixel(const struct rfb_format *f, unsigned drop, uint32_t rgb, uint8_t *to)
{
	uint8_t b[4];
	unsigned n = rfb_pixel(f, rgb, b);

	if (!drop) {
		memcpy(to, b, n);
		return n;
	}
	memcpy(to, drop == 1 ? b + 1 : b, 3);
	return 3;
}

/* TPIXEL: red, green, blue as bytes if the format has eight bits of each (rfbproto). */
static bool tight_rgb(const struct rfb_format *f)
{
	return f->bpp == 32 && f->depth == 24 && f->true_color && f->max[0] == 255 &&
	       f->max[1] == 255 && f->max[2] == 255;
}

static unsigned put_tpixel(const struct rfb_format *f, uint32_t rgb, uint8_t *to)
{
	if (!tight_rgb(f))
		return rfb_pixel(f, rgb, to);
	to[0] = (uint8_t)(rgb >> 16);
	to[1] = (uint8_t)(rgb >> 8);
	to[2] = (uint8_t)rgb;
	return 3;
}

/* The rectangle's pixels, colour bits only, black outside of the picture. */
static void fetch(const struct rfb *c, const struct display_rect *r, uint32_t *to)
{
	const struct rfb_server *srv = c->srv;

	for (unsigned y = 0; y < r->h; y++, to += r->w) {
		unsigned n = r->x < srv->w && r->y + y < srv->h ? MIN(r->w + 0u, srv->w - r->x) : 0;
		const uint32_t *from = srv->px + (size_t)(r->y + y) * srv->w + r->x;

		for (unsigned x = 0; x < n; x++)
			to[x] = from[x] & 0xffffff;
		memset(to + n, 0, (r->w - n) * sizeof(*to));
	}
}

/* ------------------------------------------------------------------ zlib */

/* Compress @len bytes to at most @room; the stream goes on in the next rectangle. */
static size_t compress_to(struct rfb *c, z_stream *z, bool *up, const uint8_t *from, size_t len,
			  uint8_t *to, size_t room)
{
	if (!*up) {
		memset(z, 0, sizeof(*z));
		if (deflateInit2(z, c->level, Z_DEFLATED, 15, 7, Z_DEFAULT_STRATEGY) != Z_OK)
			return 0;
		*up = true;
	}
	z->next_in = (uint8_t *)(uintptr_t)from;
	z->avail_in = (unsigned)len;
	z->next_out = to;
	z->avail_out = (unsigned)room;
	if (deflate(z, Z_SYNC_FLUSH) != Z_OK || z->avail_in || !z->avail_out) {
		c->phase = RFB_DEAD; /* the stream has bytes that the client will never see */
		return 0;
	}
	return room - z->avail_out;
}

/* Room at the end of the output, in one piece. */
static uint8_t *out_room(struct rfb *c, size_t *ret_room)
{
	if (c->out_head) {
		memmove(c->out, c->out + c->out_head, c->out_len);
		c->out_head = 0;
	}
	*ret_room = c->out_size - c->out_len;
	return c->out + c->out_len;
}

/* ------------------------------------------------------------------ Raw */

static void put_header(struct rfb *c, const struct display_rect *r, int32_t enc)
{
	rfb_put16(c, r->x);
	rfb_put16(c, r->y);
	rfb_put16(c, r->w);
	rfb_put16(c, r->h);
	rfb_put32(c, (uint32_t)enc);
}

static void encode_raw(struct rfb *c, const struct display_rect *r)
{
	const uint32_t *px = c->srv->scratch_px;
	uint8_t *to = c->srv->scratch;
	size_t n = 0;

	for (unsigned i = 0; i < (unsigned)r->w * r->h; i++)
		n += rfb_pixel(&c->fmt, px[i], to + n);
	put_header(c, r, ENC_RAW);
	rfb_put(c, to, n);
}

/* ------------------------------------------------------------------ ZRLE */

struct zrle {
	const struct rfb_format *fmt;
	unsigned drop;
	uint8_t *to;
};

static void zrle_pixel(struct zrle *z, uint32_t rgb)
{
	z->to += put_cpixel(z->fmt, z->drop, rgb, z->to);
}

/* Palette of 2 to 16 colours, 1, 2 or 4 bits a pixel, lines padded to bytes. */
static void zrle_packed(struct zrle *z, const struct palette *p, const uint32_t *px,
			unsigned stride, unsigned w, unsigned h)
{
	unsigned bits = p->n == 2 ? 1 : p->n <= 4 ? 2 : 4;

	*z->to++ = (uint8_t)p->n;
	for (unsigned i = 0; i < p->n; i++)
		zrle_pixel(z, p->color[i]);
	for (unsigned y = 0; y < h; y++) {
		unsigned acc = 0, have = 0;

		for (unsigned x = 0; x < w; x++) {
			acc = acc << bits | palette_index(p, px[y * stride + x]);
			have += bits;
			if (have == 8) {
				*z->to++ = (uint8_t)acc;
				acc = have = 0;
			}
		}
		if (have)
			*z->to++ = (uint8_t)(acc << (8 - have));
	}
}

static void zrle_tile(struct zrle *z, const uint32_t *px, unsigned stride, unsigned w, unsigned h)
{
	struct palette p;

	palette_make(&p, px, stride, w, h);
	if (p.n == 1) {
		*z->to++ = 1;
		zrle_pixel(z, p.color[0]);
	} else if (p.n <= 16) {
		zrle_packed(z, &p, px, stride, w, h);
	} else {
		*z->to++ = 0; /* raw; zlib does what it can */
		for (unsigned y = 0; y < h; y++)
			for (unsigned x = 0; x < w; x++)
				zrle_pixel(z, px[y * stride + x]);
	}
}

/* False: it did not work out, nothing is written. */
static bool encode_zrle(struct rfb *c, const struct display_rect *r)
{
	const uint32_t *px = c->srv->scratch_px;
	struct zrle z = {.fmt = &c->fmt, .drop = cpixel_drop(&c->fmt), .to = c->srv->scratch};
	uint8_t *to;
	size_t room, n;

	for (unsigned y = 0; y < r->h; y += ZRLE_TILE)
		for (unsigned x = 0; x < r->w; x += ZRLE_TILE)
			zrle_tile(&z, px + y * r->w + x, r->w, MIN(ZRLE_TILE + 0u, r->w - x),
				  MIN(ZRLE_TILE + 0u, r->h - y));
	put_header(c, r, ENC_ZRLE);
	to = out_room(c, &room);
	n = compress_to(c, &c->big->zrle, &c->big->zrle_up, c->srv->scratch,
			(size_t)(z.to - c->srv->scratch), to + 4, room - 4);
	if (!n) {
		c->out_len -= 12;
		return false;
	}
	st_be32(to, (uint32_t)n);
	c->out_len += 4 + n;
	return true;
}

/* ------------------------------------------------------------------ Tight */

/* Lengths of 7, 14 or 22 bits. */
static void put_compact(struct rfb *c, size_t n)
{
	rfb_put8(c, (unsigned)(n & 0x7f) | (n > 0x7f ? 0x80 : 0));
	if (n > 0x7f)
		rfb_put8(c, (unsigned)(n >> 7 & 0x7f) | (n > 0x3fff ? 0x80 : 0));
	if (n > 0x3fff)
		rfb_put8(c, (unsigned)(n >> 14));
}

/* Data of a basic rectangle: as it is below 12 bytes, else through zlib stream 0. */
static bool tight_data(struct rfb *c, const uint8_t *p, size_t len)
{
	size_t room, n, before = c->out_len;
	uint8_t *to;

	if (len < TIGHT_MIN) {
		rfb_put(c, p, len);
		return true;
	}
	/* The length comes first and has one to three bytes: compress behind room for three. */
	to = out_room(c, &room);
	n = compress_to(c, &c->big->tight, &c->big->tight_up, p, len, to + 3, room - 3);
	if (!n)
		return false;
	put_compact(c, n);
	memmove(c->out + c->out_len, to + 3, n);
	c->out_len += n;
	check(c->out_len <= c->out_size && c->out_len > before);
	return true;
}

static bool tight_palette(struct rfb *c, const struct palette *p, const uint32_t *px, unsigned w,
			  unsigned h)
{
	uint8_t *to = c->srv->scratch, pixel[4];
	size_t n = 0;

	rfb_put8(c, TIGHT_FILTER);
	rfb_put8(c, FILTER_PALETTE);
	rfb_put8(c, p->n - 1);
	for (unsigned i = 0; i < p->n; i++)
		rfb_put(c, pixel, put_tpixel(&c->fmt, p->color[i], pixel));
	for (unsigned y = 0; y < h; y++) {
		unsigned acc = 0;

		for (unsigned x = 0; x < w; x++) {
			unsigned i = palette_index(p, px[y * w + x]);

			if (p->n > 2) {
				to[n++] = (uint8_t)i;
				continue;
			}
			acc = acc << 1 | i;
			if ((x & 7) == 7)
				to[n++] = (uint8_t)acc;
		}
		if (p->n == 2 && (w & 7))
			to[n++] = (uint8_t)(acc << (8 - (w & 7)));
	}
	return tight_data(c, to, n);
}

struct jpeg_trouble {
	struct jpeg_error_mgr mgr;
	jmp_buf back;
};

static void jpeg_failed(j_common_ptr info)
{
	longjmp(CONTAINER_OF(info->err, struct jpeg_trouble, mgr)->back, 1);
}

static void jpeg_quiet(j_common_ptr info)
{
}

/* libjpeg reports errors by longjmp(). The bytes are malloc()ed: *ret_p to be freed in any case. */
static bool make_jpeg(const uint32_t *px, unsigned w, unsigned h, int quality, uint8_t *line,
		      unsigned char **ret_p, unsigned long *ret_n)
{
	static const uint8_t qualities[10] = {15, 29, 41, 42, 62, 77, 79, 86, 92, 100};
	struct jpeg_compress_struct info;
	struct jpeg_trouble trouble;

	info.err = jpeg_std_error(&trouble.mgr);
	trouble.mgr.error_exit = jpeg_failed;
	trouble.mgr.output_message = jpeg_quiet;
	if (setjmp(trouble.back)) {
		jpeg_destroy_compress(&info);
		return false;
	}
	jpeg_create_compress(&info);
	jpeg_mem_dest(&info, ret_p, ret_n);
	info.image_width = w;
	info.image_height = h;
	info.input_components = 3;
	info.in_color_space = JCS_RGB;
	jpeg_set_defaults(&info);
	jpeg_set_quality(&info, qualities[quality], TRUE);
	info.dct_method = JDCT_IFAST;
	jpeg_start_compress(&info, TRUE);
	for (unsigned y = 0; y < h; y++) {
		JSAMPROW row = line;

		for (unsigned x = 0; x < w; x++) {
			uint32_t rgb = px[y * w + x];

			line[3 * x] = (uint8_t)(rgb >> 16);
			line[3 * x + 1] = (uint8_t)(rgb >> 8);
			line[3 * x + 2] = (uint8_t)rgb;
		}
		jpeg_write_scanlines(&info, &row, 1);
	}
	jpeg_finish_compress(&info);
	jpeg_destroy_compress(&info);
	return true;
}

static bool tight_jpeg(struct rfb *c, const uint32_t *px, unsigned w, unsigned h)
{
	unsigned char *bytes = NULL;
	unsigned long n = 0;
	bool ok = make_jpeg(px, w, h, c->quality, c->srv->scratch, &bytes, &n) &&
		  n < (size_t)w * h * 3 && n + 4 < c->out_size - c->out_len;

	if (ok) {
		rfb_put8(c, TIGHT_JPEG);
		put_compact(c, n);
		rfb_put(c, bytes, n);
	}
	free(bytes);
	return ok;
}

static bool encode_tight(struct rfb *c, const struct display_rect *r)
{
	const uint32_t *px = c->srv->scratch_px;
	size_t before = c->out_len, n = 0, count = (size_t)r->w * r->h;
	uint8_t pixel[4], *to = c->srv->scratch;
	struct palette p;
	bool ok;

	put_header(c, r, ENC_TIGHT);
	palette_make(&p, px, r->w, r->w, r->h);
	if (p.n == 1) {
		rfb_put8(c, TIGHT_FILL);
		rfb_put(c, pixel, put_tpixel(&c->fmt, p.color[0], pixel));
		return true;
	}
	/* Indices save nothing where pixels are bytes, but for two colours. */
	if (p.n == 2 || (p.n <= COLORS_MAX && p.n * 8 < count && c->fmt.bpp > 8)) {
		ok = tight_palette(c, &p, px, r->w, r->h);
	} else if (c->quality >= 0 && tight_rgb(&c->fmt) && count >= JPEG_MIN &&
		   tight_jpeg(c, px, r->w, r->h)) {
		return true;
	} else {
		for (size_t i = 0; i < count; i++)
			n += put_tpixel(&c->fmt, px[i], to + n);
		rfb_put8(c, 0); /* basic, stream 0, copied */
		ok = tight_data(c, to, n);
	}
	if (!ok)
		c->out_len = before;
	return ok;
}

/* ------------------------------------------------------------------ all of them */

void rfb_encode(struct rfb *c, const struct display_rect *r)
{
	fetch(c, r, c->srv->scratch_px);
	if (c->encoding == ENC_TIGHT && encode_tight(c, r))
		return;
	if (c->encoding == ENC_ZRLE && encode_zrle(c, r))
		return;
	encode_raw(c, r);
}

void rfb_encode_done(struct rfb *c)
{
	if (c->big->zrle_up)
		deflateEnd(&c->big->zrle);
	if (c->big->tight_up)
		deflateEnd(&c->big->tight);
	c->big->zrle_up = c->big->tight_up = false;
}

void rfb_put_cursor(struct rfb *c)
{
	const struct display_cursor *cur = c->srv->cursor;
	unsigned w = cur ? MIN(cur->w + 0u, DISPLAY_CURSOR_MAX) : 0;
	unsigned h = cur && w ? MIN(cur->h + 0u, DISPLAY_CURSOR_MAX) : 0;
	uint8_t pixel[4];

	put_header(c,
		   &(struct display_rect){cur ? cur->hot_x : 0, cur ? cur->hot_y : 0, (uint16_t)w,
					  (uint16_t)h},
		   ENC_CURSOR);
	for (unsigned i = 0; i < w * h; i++)
		rfb_put(c, pixel, rfb_pixel(&c->fmt, cur->px[i], pixel));
	for (unsigned y = 0; y < h; y++)
		for (unsigned x = 0; x < w; x += 8) {
			unsigned bits = 0;

			for (unsigned i = 0; i < 8 && x + i < w; i++)
				bits |= (cur->px[y * w + x + i] >> 31) << (7 - i);
			rfb_put8(c, bits);
		}
}
