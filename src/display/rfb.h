/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server of the Remote Framebuffer Protocol 3.3, 3.7 and 3.8 (RFC 6143, and the extensions in the
 * community's rfbproto), also inside WebSocket frames (RFC 6455): one object a client, which takes
 * bytes and gives bytes and knows no socket. It runs in the helper process (vnc_worker.c).
 *
 * Encodings: Raw, ZRLE, Tight (fill, palette, zlib, JPEG). Pseudo-encodings: DesktopSize,
 * ExtendedDesktopSize, Cursor, QEMU extended key event, QEMU pointer motion change.
 *
 * Memory: 4 KiB a client until it has authenticated, then RFB_MEMORY at most. Output is made only
 * while the client takes it: a slow client gets fewer, newer pictures. Nothing that a client sends
 * is kept or inflated; what is long (clipboard, lists) is skipped as it passes.
 *
 * Single thread.
 */
#ifndef DISPLAY_RFB_H
#define DISPLAY_RFB_H

#include <sys/types.h>

#include "display/display.h"

struct rfb;

#define RFB_MEMORY (1200 * KIB)

/* What every client of a server shares. */
struct rfb_server {
	const uint32_t *px; /* the picture, DISPLAY_BYTES; may change at any time */
	unsigned w, h;
	const char *name;
	const char *password;                /* NULL: everybody may come in */
	const struct display_cursor *cursor; /* NULL: the guest draws its own */
	bool absolute;                       /* the guest's pointer takes positions */
	uint32_t *scratch_px;                /* RFB_RECT_W x RFB_RECT_H */
	uint8_t *scratch;                    /* RFB_SCRATCH bytes */
	/* What clients do; @ctx is passed along. */
	void (*key)(void *ctx, uint8_t code, bool down);
	void (*pointer)(void *ctx, bool relative, int x, int y, unsigned buttons, int dz, int dh);
	void (*set_size)(void *ctx, unsigned w, unsigned h);
	void *ctx;
};

#define RFB_RECT_W  512u
#define RFB_RECT_H  64u
#define RFB_SCRATCH (RFB_RECT_W * RFB_RECT_H * 4u + 4096u)

/** rfb_new() - a client that has just connected. @srv is borrowed. NULL: no memory. */
struct rfb *rfb_new(struct rfb_server *srv);
void rfb_free(struct rfb *c);

/** rfb_greet() - the client has not spoken for a moment, so it is no browser: say hello. */
void rfb_greet(struct rfb *c);
/** rfb_input() - bytes that arrived. 0, or -errno: drop the client (after what rfb_output() has).
 */
int rfb_input(struct rfb *c, const uint8_t *p, size_t len) MUST_CHECK;
/** rfb_output() - bytes to send now; rfb_sent() - so many were taken. Makes more when it can. */
size_t rfb_output(struct rfb *c, const uint8_t **ret_p);
void rfb_sent(struct rfb *c, size_t len);

/** rfb_damage(), rfb_resized(), rfb_cursor() - the picture, its size, the pointer changed. */
void rfb_damage(struct rfb *c, const struct display_rect *r);
void rfb_resized(struct rfb *c);
void rfb_cursor(struct rfb *c);
/** rfb_resize_refused() - the guest can't do what this client asked. */
void rfb_resize_refused(struct rfb *c);

/** rfb_ready() - the client is past authentication. rfb_wants() - and waits for a change. */
bool rfb_ready(const struct rfb *c);
bool rfb_wants(const struct rfb *c);

#endif
