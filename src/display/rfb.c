/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protocol's messages (rfb.h). RFC 6143; rfbproto for ExtendedDesktopSize, SetDesktopSize,
 * QEMU's key event and pointer motion.
 *
 * Who speaks first tells what the client is: a browser sends its HTTP request, RFB clients wait for
 * the server's version. The caller waits a moment (rfb_greet()).
 *
 * An update is a list of rectangles fixed when it begins, because its header counts them, and
 * encoded one by one as the output drains, from the picture as it is then. If the screen has got
 * smaller meanwhile, what lies outside is black.
 *
 * UNMODELLED: clipboard, colour maps other than a fixed one, continuous updates, fences, TLS and
 * all security types but "none" and VNC authentication.
 */
#include "display/rfb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/bits.h"
#include "display/keymap.h"
#include "display/rfb_impl.h"

/* Messages of clients (RFC 6143, 7.5; rfbproto). */
enum {
	MSG_SET_FORMAT = 0,
	MSG_SET_ENCODINGS = 2,
	MSG_UPDATE_REQUEST = 3,
	MSG_KEY = 4,
	MSG_POINTER = 5,
	MSG_CUT_TEXT = 6,
	MSG_SET_SIZE = 251,
	MSG_QEMU = 255,
	QEMU_KEY = 0,
};

enum { SECURITY_NONE = 1, SECURITY_VNC = 2, AUTH_TRIES_BYTES = 16 };
enum { REASON_SERVER = 0, REASON_CLIENT = 1, SIZE_OK = 0, SIZE_PROHIBITED = 1 };
enum { WHEEL_UP = 8, WHEEL_DOWN = 16, WHEEL_LEFT = 32, WHEEL_RIGHT = 64 };

static const struct rfb_format native = {
	.bpp = 32, .depth = 24, .true_color = 1, .max = {255, 255, 255}, .shift = {16, 8, 0}};

/* ------------------------------------------------------------------ output */

static size_t out_free(const struct rfb *c)
{
	return c->out_size - c->out_len;
}

void rfb_put(struct rfb *c, const void *p, size_t len)
{
	check(len <= out_free(c));
	if (c->out_head + c->out_len + len > c->out_size) {
		memmove(c->out, c->out + c->out_head, c->out_len);
		c->out_head = 0;
	}
	memcpy(c->out + c->out_head + c->out_len, p, len);
	c->out_len += len;
}

void rfb_put8(struct rfb *c, unsigned v)
{
	uint8_t b = (uint8_t)v;

	rfb_put(c, &b, 1);
}

void rfb_put16(struct rfb *c, unsigned v)
{
	uint8_t b[2];

	st_be16(b, (uint16_t)v);
	rfb_put(c, b, 2);
}

void rfb_put32(struct rfb *c, uint32_t v)
{
	uint8_t b[4];

	st_be32(b, v);
	rfb_put(c, b, 4);
}

/* ------------------------------------------------------------------ damage */

static void all_dirty(struct rfb *c)
{
	unsigned cols = (c->w + TILE_W - 1) / TILE_W, rows = (c->h + TILE_H - 1) / TILE_H;

	memset(c->big->dirty, 0, sizeof(c->big->dirty));
	for (unsigned y = 0; y < rows; y++)
		c->big->dirty[y] = BIT(cols) - 1;
}

static bool any_dirty(const struct rfb *c)
{
	for (unsigned y = 0; y < TILE_ROWS; y++)
		if (c->big->dirty[y])
			return true;
	return false;
}

void rfb_damage(struct rfb *c, const struct display_rect *r)
{
	unsigned x1 = MIN(r->x + r->w + 0u, c->w), y1 = MIN(r->y + r->h + 0u, c->h);
	uint64_t bits;

	if (c->phase != RFB_NORMAL || r->x >= x1 || r->y >= y1)
		return;
	bits = (BIT((x1 - 1) / TILE_W) << 1) - BIT(r->x / TILE_W);
	for (unsigned y = r->y / TILE_H; y <= (y1 - 1) / TILE_H; y++)
		c->big->dirty[y] |= bits;
}

void rfb_resized(struct rfb *c)
{
	if (c->phase != RFB_NORMAL)
		return;
	if (c->srv->w == c->w && c->srv->h == c->h)
		return;
	c->tell_size = c->desktop_size || c->ext_desktop_size;
	c->size_reason = c->size_asked ? REASON_CLIENT : REASON_SERVER;
	c->size_status = SIZE_OK;
	c->size_asked = false;
	all_dirty(c);
}

void rfb_cursor(struct rfb *c)
{
	c->tell_cursor = c->cursor;
}

void rfb_resize_refused(struct rfb *c)
{
	if (!c->size_asked || !c->ext_desktop_size)
		return;
	c->size_asked = false;
	c->tell_size = true;
	c->size_reason = REASON_CLIENT;
	c->size_status = SIZE_PROHIBITED;
}

/* Runs of dirty tiles, joined with equal runs below them, into c->big->rect. */
static void make_rects(struct rfb *c)
{
	struct rfb_big *b = c->big;

	b->n_rects = b->next_rect = 0;
	for (unsigned y = 0; y < TILE_ROWS; y++) {
		while (b->dirty[y]) {
			unsigned x0 = (unsigned)__builtin_ctzll(b->dirty[y]), x1 = x0 + 1, y1 = y;
			uint64_t run;

			while (x1 < TILE_COLS && x1 - x0 < RFB_RECT_W / TILE_W &&
			       (b->dirty[y] & BIT(x1)))
				x1++;
			run = BIT(x1) - BIT(x0);
			while (y1 < TILE_ROWS && y1 - y < RFB_RECT_H / TILE_H &&
			       (b->dirty[y1] & run) == run)
				b->dirty[y1++] &= ~run;
			if (b->n_rects == RECTS_MAX || x0 * TILE_W >= c->w || y * TILE_H >= c->h)
				continue;
			b->rect[b->n_rects++] = (struct display_rect){
				.x = (uint16_t)(x0 * TILE_W),
				.y = (uint16_t)(y * TILE_H),
				.w = (uint16_t)(MIN(x1 * TILE_W, c->w) - x0 * TILE_W),
				.h = (uint16_t)(MIN(y1 * TILE_H, c->h) - y * TILE_H)};
		}
	}
}

/* ------------------------------------------------------------------ updates */

static void put_pseudo(struct rfb *c, unsigned x, unsigned y, unsigned w, unsigned h, int32_t enc)
{
	rfb_put16(c, x);
	rfb_put16(c, y);
	rfb_put16(c, w);
	rfb_put16(c, h);
	rfb_put32(c, (uint32_t)enc);
}

static void put_size(struct rfb *c)
{
	if (!c->ext_desktop_size) {
		put_pseudo(c, 0, 0, c->w, c->h, ENC_DESKTOP_SIZE);
		return;
	}
	put_pseudo(c, c->size_reason, c->size_status, c->w, c->h, ENC_EXT_DESKTOP_SIZE);
	rfb_put32(c, 1u << 24); /* one screen, padding */
	rfb_put32(c, 0);        /* id */
	rfb_put32(c, 0);        /* x, y */
	rfb_put16(c, c->w);
	rfb_put16(c, c->h);
	rfb_put32(c, 0); /* flags */
}

/* RFC 6143, 7.6.2: three bits red and green, two blue, as rfb_pixel() makes them. */
static void put_colors(struct rfb *c)
{
	rfb_put8(c, 1);
	rfb_put8(c, 0);
	rfb_put16(c, 0);
	rfb_put16(c, 256);
	for (unsigned i = 0; i < 256; i++) {
		rfb_put16(c, (i & 7) * 65535 / 7);
		rfb_put16(c, (i >> 3 & 7) * 65535 / 7);
		rfb_put16(c, (i >> 6) * 65535 / 3);
	}
}

static void begin_update(struct rfb *c)
{
	struct rfb_big *b = c->big;
	unsigned pseudo;

	if (c->tell_colors)
		put_colors(c);
	c->tell_colors = false;
	if (c->tell_size) {
		c->w = c->srv->w;
		c->h = c->srv->h;
	}
	pseudo = c->tell_ext_key + c->tell_pointer_type + c->tell_size + c->tell_cursor;
	/* After a new size the picture comes in the next update: clients expect it alone. */
	if (c->tell_size && c->size_status == SIZE_OK) {
		all_dirty(c);
		b->n_rects = b->next_rect = 0;
	} else {
		make_rects(c);
	}
	rfb_put8(c, 0);
	rfb_put8(c, 0);
	rfb_put16(c, pseudo + b->n_rects);
	if (c->tell_ext_key)
		put_pseudo(c, 0, 0, 0, 0, ENC_EXT_KEY);
	if (c->tell_pointer_type) {
		c->relative = !c->srv->absolute;
		put_pseudo(c, !c->relative, 0, 0, 0, ENC_POINTER_TYPE);
	}
	if (c->tell_cursor)
		rfb_put_cursor(c);
	if (c->tell_size)
		put_size(c);
	c->tell_ext_key = c->tell_pointer_type = c->tell_size = c->tell_cursor = false;
	c->asked = false;
}

/* Fill the output as far as the client wants it and there is room. */
static void make_output(struct rfb *c)
{
	struct rfb_big *b = c->big;

	while (c->phase == RFB_NORMAL && out_free(c) >= OUT_ROOM) {
		if (b->next_rect < b->n_rects)
			rfb_encode(c, &b->rect[b->next_rect++]);
		else if (c->asked && (c->tell_ext_key || c->tell_pointer_type || c->tell_size ||
				      c->tell_cursor || c->tell_colors || any_dirty(c)))
			begin_update(c);
		else
			break;
	}
}

bool rfb_ready(const struct rfb *c)
{
	return c->phase == RFB_NORMAL;
}

bool rfb_wants(const struct rfb *c)
{
	return c->phase == RFB_NORMAL && c->asked && !any_dirty(c);
}

/* ------------------------------------------------------------------ input */

/* Held keys and Shift that the client's own keyboard may not have: a keysym says what is meant. */
static void key_sym(struct rfb *c, uint32_t sym, bool down)
{
	struct rfb_server *srv = c->srv;
	bool shift, plain, lend;
	uint8_t code = key_from_keysym(sym, &shift, &plain);

	if (!code)
		return;
	if (code == KEY_SHIFT || code == KEY_SHIFT_R)
		c->shift_down = down;
	lend = down && plain && shift && !c->shift_down;
	if (lend)
		srv->key(srv->ctx, KEY_SHIFT, true);
	srv->key(srv->ctx, code, down);
	if (lend)
		srv->key(srv->ctx, KEY_SHIFT, false);
}

/* rfbproto, QEMU Extended Key Event: XT code, prefix E0 as bit 7. */
static void key_code(struct rfb *c, uint32_t sym, uint32_t code, bool down)
{
	struct rfb_server *srv = c->srv;

	if (!code || code > 0xff) {
		key_sym(c, sym, down);
		return;
	}
	if (code == KEY_SHIFT || code == KEY_SHIFT_R)
		c->shift_down = down;
	srv->key(srv->ctx, (uint8_t)code, down);
}

static void pointer(struct rfb *c, unsigned mask, int x, int y)
{
	struct rfb_server *srv = c->srv;
	unsigned pressed = mask & ~c->buttons;
	/* RFB: left, middle, right; ours: left, right, middle. */
	unsigned buttons = (mask & 1) | (mask & 4) >> 1 | (mask & 2) << 1;
	int dz = (pressed & WHEEL_DOWN ? 1 : 0) - (pressed & WHEEL_UP ? 1 : 0);
	int dh = (pressed & WHEEL_RIGHT ? 1 : 0) - (pressed & WHEEL_LEFT ? 1 : 0);

	c->buttons = mask;
	if (c->relative)
		srv->pointer(srv->ctx, true, x - 0x7fff, y - 0x7fff, buttons, dz, dh);
	else
		srv->pointer(srv->ctx, false, x, y, buttons, dz, dh);
}

static int set_format(struct rfb *c, const uint8_t *p)
{
	struct rfb_format f = {
		.bpp = p[0], .depth = p[1], .big_endian = p[2] != 0, .true_color = p[3] != 0};

	if (f.bpp != 8 && f.bpp != 16 && f.bpp != 32)
		return -EPROTO;
	for (unsigned i = 0; i < 3; i++) {
		f.max[i] = ld_be16(p + 4 + 2 * i);
		f.shift[i] = p[10 + i];
		if (f.shift[i] >= f.bpp)
			return -EPROTO;
	}
	if (!f.true_color) {
		if (f.bpp != 8)
			return -EPROTO;
		f = (struct rfb_format){.bpp = 8,
					.depth = 8,
					.true_color = 0,
					.max = {7, 7, 3},
					.shift = {0, 3, 6}};
		c->tell_colors = true;
	}
	c->fmt = f;
	all_dirty(c);
	return 0;
}

static void begin_encodings(struct rfb *c, unsigned n)
{
	c->encodings_left = n;
	c->encoding = ENC_RAW;
	c->quality = -1;
	c->level = 2;
	c->desktop_size = c->ext_desktop_size = c->cursor = c->ext_key = c->pointer_type = false;
}

static void add_encoding(struct rfb *c, int32_t enc)
{
	switch (enc) {
	case ENC_TIGHT:
	case ENC_ZRLE:
		/* The first one named is the one liked best. */
		if (c->encoding == ENC_RAW)
			c->encoding = enc;
		break;
	case ENC_DESKTOP_SIZE: c->desktop_size = true; break;
	case ENC_EXT_DESKTOP_SIZE:
		c->tell_size = !c->ext_desktop_size; /* says that we know it, too */
		c->size_reason = REASON_SERVER;
		c->size_status = SIZE_OK;
		c->ext_desktop_size = true;
		break;
	case ENC_CURSOR: c->cursor = c->tell_cursor = true; break;
	case ENC_EXT_KEY: c->ext_key = c->tell_ext_key = true; break;
	case ENC_POINTER_TYPE: c->pointer_type = c->tell_pointer_type = true; break;
	default:
		if (enc >= ENC_QUALITY_0 && enc <= ENC_QUALITY_0 + 9)
			c->quality = enc - ENC_QUALITY_0;
		if (enc >= ENC_COMPRESS_0 && enc <= ENC_COMPRESS_0 + 9)
			c->level = MAX(1, MIN(enc - ENC_COMPRESS_0, 6));
	}
}

static void update_request(struct rfb *c, const uint8_t *p)
{
	struct display_rect r = {ld_be16(p + 2), ld_be16(p + 4), ld_be16(p + 6), ld_be16(p + 8)};

	c->asked = true;
	if (!p[1])
		rfb_damage(c, &r);
	/* The picture got another size and the client can't follow: clip or fill. */
	if (c->pointer_type && c->relative == c->srv->absolute)
		c->tell_pointer_type = true;
}

/* Bytes of the message of type @type up to where its lists begin; 0: there is none such. */
static unsigned message_length(const struct rfb *c)
{
	switch (c->in[0]) {
	case MSG_SET_FORMAT: return 20;
	case MSG_SET_ENCODINGS: return 4;
	case MSG_UPDATE_REQUEST: return 10;
	case MSG_KEY: return 8;
	case MSG_POINTER: return 6;
	case MSG_CUT_TEXT: return 8;
	case MSG_SET_SIZE: return 8;
	case MSG_QEMU: return c->in_len < 2 ? 2 : c->in[1] == QEMU_KEY ? 12 : 0;
	default: return 0;
	}
}

static int message(struct rfb *c)
{
	const uint8_t *p = c->in;
	int32_t n;

	switch (p[0]) {
	case MSG_SET_FORMAT: return set_format(c, p + 4);
	case MSG_SET_ENCODINGS: begin_encodings(c, ld_be16(p + 2)); break;
	case MSG_UPDATE_REQUEST: update_request(c, p); break;
	case MSG_KEY: key_sym(c, ld_be32(p + 4), p[1]); break;
	case MSG_POINTER: pointer(c, p[1], ld_be16(p + 2), ld_be16(p + 4)); break;
	case MSG_CUT_TEXT:
		n = (int32_t)ld_be32(p + 4); /* negative: extended clipboard */
		c->skip = n < 0 ? 0 - (uint64_t)(int64_t)n : (uint64_t)n;
		break;
	case MSG_SET_SIZE:
		c->skip = p[6] * 16u; /* its screens */
		c->srv->set_size(c->srv->ctx, ld_be16(p + 2), ld_be16(p + 4));
		c->size_asked = true;
		break;
	case MSG_QEMU: key_code(c, ld_be32(p + 4), ld_be32(p + 8), ld_be16(p + 2)); break;
	}
	return 0;
}

/* ------------------------------------------------------------------ handshake */

static void put_text(struct rfb *c, const char *text)
{
	rfb_put32(c, (uint32_t)strlen(text));
	rfb_put(c, text, strlen(text));
}

void rfb_start(struct rfb *c)
{
	rfb_put(c, "RFB 003.008\n", 12);
	c->phase = RFB_VERSION;
	c->in_len = 0;
}

static int put_challenge(struct rfb *c)
{
	if (getrandom(c->challenge, sizeof(c->challenge), 0) != (ssize_t)sizeof(c->challenge))
		return -EIO;
	rfb_put(c, c->challenge, sizeof(c->challenge));
	c->phase = RFB_AUTH;
	return 0;
}

static int got_version(struct rfb *c)
{
	unsigned type = c->srv->password ? SECURITY_VNC : SECURITY_NONE;

	if (memcmp(c->in, "RFB 003.00", 10) || c->in[11] != '\n')
		return -EPROTO;
	/* 3.5 is to be treated as 3.3 (RFC 6143, 7.1.1). */
	c->minor = c->in[10] >= '8' ? 8 : c->in[10] == '7' ? 7 : 3;
	if (c->minor >= 7) {
		rfb_put8(c, 1);
		rfb_put8(c, type);
		c->phase = RFB_SECURITY;
		return 0;
	}
	rfb_put32(c, type);
	if (type == SECURITY_VNC)
		return put_challenge(c);
	c->phase = RFB_INIT;
	return 0;
}

static int got_security(struct rfb *c)
{
	unsigned type = c->srv->password ? SECURITY_VNC : SECURITY_NONE;

	if (c->in[0] != type) {
		rfb_put32(c, 1);
		if (c->minor == 8)
			put_text(c, "that kind of security was not offered");
		return -EPROTO;
	}
	if (type == SECURITY_VNC)
		return put_challenge(c);
	if (c->minor == 8)
		rfb_put32(c, 0);
	c->phase = RFB_INIT;
	return 0;
}

static int got_response(struct rfb *c)
{
	uint8_t want[16], differ = 0;

	rfb_vnc_response(c->srv->password, c->challenge, want);
	for (unsigned i = 0; i < 16; i++)
		differ |= want[i] ^ c->in[i];
	if (differ) {
		rfb_put32(c, 1);
		if (c->minor == 8)
			put_text(c, "wrong password");
		return -EACCES;
	}
	rfb_put32(c, 0);
	c->phase = RFB_INIT;
	return 0;
}

static void put_format(struct rfb *c, const struct rfb_format *f)
{
	rfb_put8(c, f->bpp);
	rfb_put8(c, f->depth);
	rfb_put8(c, f->big_endian);
	rfb_put8(c, f->true_color);
	for (unsigned i = 0; i < 3; i++)
		rfb_put16(c, f->max[i]);
	rfb_put(c, f->shift, 3);
	rfb_put(c, "\0\0", 3);
}

/* ClientInit: from here on the client may cost memory. */
static int got_init(struct rfb *c)
{
	struct rfb_big *big = xtry_calloc(1, sizeof(*big));

	if (!big)
		return -ENOMEM;
	c->big = big;
	memcpy(big->out, c->out + c->out_head, c->out_len);
	c->out = big->out;
	c->out_head = 0;
	c->out_size = sizeof(big->out);
	c->w = c->srv->w;
	c->h = c->srv->h;
	c->fmt = native;
	begin_encodings(c, 0);
	rfb_put16(c, c->w);
	rfb_put16(c, c->h);
	put_format(c, &native);
	put_text(c, c->srv->name);
	c->phase = RFB_NORMAL;
	return 0;
}

/* ------------------------------------------------------------------ bytes in and out */

/* Take what a list or a skipped part wants; returns how many bytes. */
static size_t take_rest(struct rfb *c, const uint8_t *p, size_t len)
{
	size_t n;

	if (c->skip) {
		n = (size_t)MIN(c->skip, (uint64_t)len);
		c->skip -= n;
		return n;
	}
	n = MIN(4u - c->in_len, len);
	memcpy(c->in + c->in_len, p, n);
	c->in_len += (unsigned)n;
	if (c->in_len == 4) {
		add_encoding(c, (int32_t)ld_be32(c->in));
		c->encodings_left--;
		c->in_len = 0;
	}
	return n;
}

static unsigned wanted(const struct rfb *c)
{
	switch (c->phase) {
	case RFB_VERSION: return 12;
	case RFB_SECURITY: return 1;
	case RFB_AUTH: return 16;
	case RFB_INIT: return 1;
	case RFB_NORMAL: return message_length(c);
	default: return 0;
	}
}

static int complete(struct rfb *c)
{
	switch (c->phase) {
	case RFB_VERSION: return got_version(c);
	case RFB_SECURITY: return got_security(c);
	case RFB_AUTH: return got_response(c);
	case RFB_INIT: return got_init(c);
	default: return message(c);
	}
}

int rfb_protocol(struct rfb *c, const uint8_t *p, size_t len)
{
	int r = 0;

	while (len && r == 0) {
		if (c->skip || c->encodings_left) {
			size_t n = take_rest(c, p, len);

			p += n;
			len -= n;
			continue;
		}
		c->in[c->in_len++] = *p++;
		len--;
		if (!wanted(c))
			return -EPROTO;
		if (c->in_len < wanted(c))
			continue;
		r = complete(c);
		c->in_len = 0;
	}
	return r;
}

int rfb_input(struct rfb *c, const uint8_t *p, size_t len)
{
	int r;

	if (c->phase == RFB_SILENT && len) {
		if (p[0] == 'G')
			c->phase = RFB_HTTP;
		else
			rfb_start(c); /* spoke before it was greeted */
	}
	if (c->phase == RFB_DEAD)
		return -EPIPE;
	if (c->phase == RFB_HTTP && !c->ws)
		r = rfb_ws_http(c, p, len);
	else if (c->ws)
		r = rfb_ws_input(c, p, len);
	else
		r = rfb_protocol(c, p, len);
	if (r < 0)
		c->phase = RFB_DEAD;
	return r;
}

void rfb_greet(struct rfb *c)
{
	if (c->phase == RFB_SILENT)
		rfb_start(c);
}

/* Browsers get it in frames: a header first, then the bytes it counts. */
static size_t ws_output(struct rfb *c, const uint8_t **ret_p)
{
	size_t n = MIN(c->out_len, (size_t)65535);

	if (!c->ws_out_left && n && c->ws_out_at == c->ws_out_len) {
		c->ws_out[0] = 0x82; /* final, binary */
		c->ws_out[1] = n < 126 ? (uint8_t)n : 126;
		st_be16(c->ws_out + 2, (uint16_t)n);
		c->ws_out_len = n < 126 ? 2 : 4;
		c->ws_out_at = 0;
		c->ws_out_left = n;
	}
	if (c->ws_out_at < c->ws_out_len) {
		*ret_p = c->ws_out + c->ws_out_at;
		return c->ws_out_len - c->ws_out_at;
	}
	*ret_p = c->out + c->out_head;
	return MIN(c->ws_out_left, c->out_len);
}

size_t rfb_output(struct rfb *c, const uint8_t **ret_p)
{
	if (c->big)
		make_output(c);
	if (c->ws)
		return ws_output(c, ret_p);
	*ret_p = c->out + c->out_head;
	return c->out_len;
}

void rfb_sent(struct rfb *c, size_t len)
{
	if (c->ws && c->ws_out_at < c->ws_out_len) {
		c->ws_out_at += (unsigned)len;
		return;
	}
	if (c->ws)
		c->ws_out_left -= len;
	c->out_head += len;
	c->out_len -= len;
	if (!c->out_len)
		c->out_head = 0;
}

struct rfb *rfb_new(struct rfb_server *srv)
{
	struct rfb *c = xtry_calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->srv = srv;
	c->out = c->small;
	c->out_size = sizeof(c->small);
	c->fmt = native;
	return c;
}

void rfb_free(struct rfb *c)
{
	if (!c)
		return;
	if (c->big)
		rfb_encode_done(c);
	free(c->big);
	free(c->http);
	free(c);
}
