/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the files of the RFB server.
 */
#ifndef DISPLAY_RFB_IMPL_H
#define DISPLAY_RFB_IMPL_H

#include <zlib.h>

#include "display/rfb.h"

/* Encodings (RFC 6143, 7.7 and 7.8; rfbproto). */
enum {
	ENC_RAW = 0,
	ENC_TIGHT = 7,
	ENC_ZRLE = 16,
	ENC_QUALITY_0 = -32, /* to -23: JPEG quality 0 to 9 */
	ENC_DESKTOP_SIZE = -223,
	ENC_CURSOR = -239,
	ENC_COMPRESS_0 = -256, /* to -247: zlib level 0 to 9 */
	ENC_POINTER_TYPE = -257,
	ENC_EXT_KEY = -258,
	ENC_EXT_DESKTOP_SIZE = -308,
};

struct rfb_format {
	uint8_t bpp, depth, big_endian, true_color;
	uint16_t max[3]; /* red, green, blue */
	uint8_t shift[3];
};

enum { TILE_W = 64, TILE_H = 16 };
enum { TILE_COLS = (DISPLAY_MAX_W + TILE_W - 1) / TILE_W, TILE_ROWS = DISPLAY_MAX_H / TILE_H };
enum { RECTS_MAX = TILE_COLS * TILE_ROWS / 2 + TILE_ROWS };

#define OUT_ROOM (160 * KIB) /* one rectangle, however encoded */
#define OUT_SIZE (384 * KIB)

enum rfb_phase {
	RFB_SILENT,
	RFB_HTTP,
	RFB_VERSION,
	RFB_SECURITY,
	RFB_AUTH,
	RFB_INIT,
	RFB_NORMAL,
	RFB_DEAD
};

/* What is needed past authentication. */
struct rfb_big {
	uint8_t out[OUT_SIZE];
	uint64_t dirty[TILE_ROWS]; /* one bit a tile; TILE_COLS <= 64 */
	struct display_rect rect[RECTS_MAX];
	unsigned n_rects, next_rect; /* of the update being sent */
	z_stream zrle, tight;
	bool zrle_up, tight_up;
};

struct rfb {
	struct rfb_server *srv;
	enum rfb_phase phase;
	unsigned minor; /* 3, 7 or 8 */
	uint8_t challenge[16];
	/* input: the message that is arriving, and what is to be skipped or read as a list after it
	 */
	uint8_t in[64];
	unsigned in_len;
	uint64_t skip;
	unsigned encodings_left;
	/* output */
	uint8_t *out; /* small, or big->out */
	size_t out_size, out_len, out_head;
	uint8_t small[1024];
	/* WebSocket */
	bool ws;
	char *http; /* owned while in RFB_HTTP */
	size_t http_len;
	uint8_t ws_head[14], ws_mask[4], ws_op;
	unsigned ws_head_len, ws_at; /* position in the mask */
	uint64_t ws_left;
	uint8_t ws_out[4]; /* header of the frame being sent */
	unsigned ws_out_len, ws_out_at;
	size_t ws_out_left; /* payload of it not sent yet */
	/* what the client can do */
	struct rfb_format fmt;
	int encoding, quality, level;
	bool desktop_size, ext_desktop_size, cursor, ext_key, pointer_type;
	bool tell_ext_key, tell_pointer_type, tell_size, tell_cursor, tell_colors;
	uint16_t size_reason, size_status;
	bool size_asked; /* SetDesktopSize has not been answered */
	bool relative;
	/* what it knows */
	unsigned w, h;
	bool asked; /* a FramebufferUpdateRequest waits */
	unsigned buttons;
	bool shift_down, shift_lent;
	struct rfb_big *big;
};

/** rfb_des() - one block of FIPS 46-3. */
uint64_t rfb_des(uint64_t key, uint64_t block);
/** rfb_vnc_response() - to @challenge with @password, as a client should give it. */
void rfb_vnc_response(const char *password, const uint8_t challenge[16], uint8_t ret[16]);
void rfb_sha1(const void *bytes, size_t len, uint8_t ret[20]);
/** rfb_base64() - @ret: 4 bytes for each 3 begun, and a 0. */
void rfb_base64(const uint8_t *p, size_t len, char *ret);

/** rfb_put() - append bytes that are known to fit. */
void rfb_put(struct rfb *c, const void *p, size_t len);
void rfb_put8(struct rfb *c, unsigned v);
void rfb_put16(struct rfb *c, unsigned v);
void rfb_put32(struct rfb *c, uint32_t v);

/** rfb_encode() - a rectangle with its header; OUT_ROOM bytes are free. */
void rfb_encode(struct rfb *c, const struct display_rect *r);
void rfb_encode_done(struct rfb *c);
/** rfb_pixel() - @rgb in the client's format; its bytes at @to, at most 4. Return: how many. */
unsigned rfb_pixel(const struct rfb_format *f, uint32_t rgb, uint8_t *to);
/** rfb_put_cursor() - rectangle of the Cursor pseudo-encoding. */
void rfb_put_cursor(struct rfb *c);

/** rfb_protocol() - bytes of the RFB stream itself. 0 or -errno. */
int rfb_protocol(struct rfb *c, const uint8_t *p, size_t len) MUST_CHECK;
/** rfb_start() - the version goes out. */
void rfb_start(struct rfb *c);
/** rfb_ws_http(), rfb_ws_input() - the handshake's bytes, frames afterwards. 0 or -errno. */
int rfb_ws_http(struct rfb *c, const uint8_t *p, size_t len) MUST_CHECK;
int rfb_ws_input(struct rfb *c, const uint8_t *p, size_t len) MUST_CHECK;

#endif
