/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile RFB client, with and without WebSocket, before and behind authentication: bytes in
 * pieces, whole messages of every type with fields by chance (RFC 6143, 7.5; rfbproto), output
 * taken in pieces or not at all, damage, sizes and pointer shapes in between. Output stays within
 * its buffer, and a server that dropped a client says so again. At its end it says how many whole
 * messages clients sent that the server took.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "display/rfb_impl.h"

struct world {
	struct rfb_server srv;
	struct display_cursor cursor;
	uint64_t events, messages;
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

static struct world *the_world;

static void say(void)
{
	fprintf(stderr, "%llu messages\n", (unsigned long long)the_world->messages);
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

/* A message of type @type & 7 at @to, its fields from the input; its length. */
static size_t make_message(unsigned type, const uint8_t **p, const uint8_t *end, uint8_t to[64])
{
	static const uint8_t types[8] = {0, 2, 3, 4, 5, 6, 251, 255};
	static const uint8_t lengths[8] = {20, 4, 10, 8, 6, 8, 8, 12};
	static const uint8_t depths[4] = {8, 16, 32, 32};
	static const int32_t encodings[16] = {0,   7,   16,  -223, -239, -257, -258, -308,
					      -32, -26, -23, -256, -250, -247, 1,    5};
	size_t len = lengths[type & 7];
	unsigned n;

	for (size_t i = 0; i < len; i++)
		to[i] = take(p, end);
	n = to[3] & 7;
	to[0] = types[type & 7];
	switch (to[0]) {
	case 0:
		to[4] = depths[to[4] & 3];
		for (unsigned i = 14; i < 17; i++)
			to[i] &= to[4] - 1;
		break;
	case 2:
		st_be16(to + 2, (uint16_t)n);
		for (unsigned i = 0; i < n; i++, len += 4)
			st_be32(to + 4 + 4 * i, (uint32_t)encodings[take(p, end) & 15]);
		break;
	case 3: /* mostly within the picture */ to[2] = to[4] = to[6] = to[8] = 0; break;
	case 6:
		st_be32(to + 4, to[7] & 15);
		len += to[7] & 15;
		memset(to + 8, 'x', 15);
		break;
	case 251:
		to[6] = n & 1;
		len += (n & 1) * 16u;
		memset(to + 8, 0, 16);
		break;
	case 255: to[1] = 0; break;
	}
	return len;
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
	struct world *w;
	const uint8_t *p = data, *end = data + size;
	uint8_t how = take(&p, end), msg[64];
	struct rfb *c;
	int r = 0;

	if (!the_world) {
		the_world = world_new();
		atexit(say);
	}
	w = the_world;
	w->srv.w = 72, w->srv.h = 20;
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
			if (how & 8 && how & 0x60)
				goto whole; /* one that keeps to the protocol */
			r = rfb_input(c, p, n);
			check(r <= 0);
			p += n;
			break;
		case 1:
		whole:
			n = make_message(op, &p, end, msg);
			r = rfb_input(c, msg, n);
			check(r <= 0);
			w->messages += r == 0 && rfb_ready(c);
			break;
		case 2:
			take_output(c, op & 15);
			if (op & 0x10) /* and what the client says next */
				goto whole;
			break;
		default:
			if (op & 0x20) {
				unsigned a = take(&p, end), b = take(&p, end);

				/* Encoding takes the time: mostly small, seldom large. */
				w->srv.w = a == 0xff ? 2560 : 1 + a / 2;
				w->srv.h = b == 0xff ? 1600 : 1 + b / 4;
				rfb_resized(c);
			} else if (op & 0x10) {
				w->cursor.w = take(&p, end) % 65;
				w->cursor.h = take(&p, end) % 65;
				w->srv.cursor = op & 1 ? &w->cursor : NULL;
				rfb_cursor(c);
			} else {
				struct display_rect rect = {take(&p, end), take(&p, end),
							    take(&p, end), take(&p, end)};

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
