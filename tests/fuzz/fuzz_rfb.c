/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile RFB client, with and without WebSocket, before and behind authentication: bytes in
 * pieces, output taken in pieces or not at all, damage, sizes and pointer shapes in between. Output
 * stays within its buffer, and a server that dropped a client says so again.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "display/rfb_impl.h"

struct world {
	struct rfb_server srv;
	struct display_cursor cursor;
	uint64_t events;
};

static void on_key(void *ctx, uint8_t code, bool down)
{
	((struct world *)ctx)->events++;
}

static void on_pointer(void *ctx, bool relative, int x, int y, unsigned buttons, int dz, int dh)
{
	check(buttons < 8 && dz >= -1 && dz <= 1 && dh >= -1 && dh <= 1);
	((struct world *)ctx)->events++;
}

static void on_size(void *ctx, unsigned w, unsigned h)
{
	((struct world *)ctx)->events++;
}

static struct world *world_new(void)
{
	struct world *w = xnew(struct world);
	uint32_t *px = xcalloc(1, DISPLAY_BYTES);

	/* Flat, few colours, many colours. */
	for (unsigned i = 0; i < DISPLAY_BYTES / 4; i++)
		px[i] = i & 0x8000 ? i * 2654435761u : i & 0x4000 ? i >> 3 & 7 : 0x336699;
	w->srv = (struct rfb_server){.px = px,
				     .name = "fuzz",
				     .scratch_px = xnew_n(uint32_t, RFB_RECT_W * RFB_RECT_H),
				     .scratch = xnew_n(uint8_t, RFB_SCRATCH),
				     .key = on_key,
				     .pointer = on_pointer,
				     .set_size = on_size,
				     .ctx = w};
	return w;
}

static uint8_t take(const uint8_t **p, const uint8_t *end)
{
	return *p < end ? *(*p)++ : 0;
}

static void take_output(struct rfb *c, unsigned turns)
{
	const uint8_t *out;
	size_t n;

	for (unsigned i = 0; i < turns && (n = rfb_output(c, &out)); i++) {
		check(c->out_len <= c->out_size && c->out_head + c->out_len <= c->out_size);
		rfb_sent(c, i & 1 ? n : (n + 1) / 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *w;
	const uint8_t *p = data, *end = data + size;
	uint8_t how = take(&p, end);
	struct rfb *c;
	int r = 0;

	if (!w)
		w = world_new();
	w->srv.w = 320, w->srv.h = 200;
	w->srv.cursor = NULL;
	w->srv.password = how & 1 ? "pw" : NULL;
	w->srv.absolute = how & 2;
	c = rfb_new(&w->srv);
	check(c);
	if (how & 4)
		rfb_greet(c);
	if (how & 8) { /* straight to the messages */
		w->srv.password = NULL;
		rfb_greet(c);
		check(rfb_input(c, (const uint8_t *)"RFB 003.008\n\1\1", 14) == 0);
	} else if (how & 16) {
		static const char http[] = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n"
					   "Sec-WebSocket-Key: x\r\n\r\n";

		(void)!rfb_input(c, (const uint8_t *)http, sizeof(http) - 1);
	}
	while (p < end) {
		unsigned op = take(&p, end);
		size_t n = MIN((size_t)(op & 0x3f), (size_t)(end - p));

		switch (op >> 6) {
		case 0:
		case 1:
			r = rfb_input(c, p, n);
			check(r <= 0);
			p += n;
			break;
		case 2: take_output(c, op & 15); break;
		default:
			if (op & 0x20) {
				w->srv.w = MAX(1u, take(&p, end) * 10u);
				w->srv.h = MAX(1u, take(&p, end) * 6u);
				rfb_resized(c);
			} else if (op & 0x10) {
				w->cursor.w = take(&p, end) % 65;
				w->cursor.h = take(&p, end) % 65;
				w->srv.cursor = op & 1 ? &w->cursor : NULL;
				rfb_cursor(c);
			} else {
				struct display_rect rect = {(uint16_t)(take(&p, end) * 10),
							    (uint16_t)(take(&p, end) * 6),
							    (uint16_t)(take(&p, end) * 10),
							    (uint16_t)(take(&p, end) * 6)};

				rfb_damage(c, &rect);
			}
		}
		if (r < 0)
			check(rfb_input(c, data, 1) < 0);
	}
	take_output(c, 64);
	rfb_free(c);
	return 0;
}
