/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RFB server without sockets: cryptography by published vectors, handshakes, messages in
 * pieces, damage and rectangles, memory before authentication. What clients see is tested with
 * real ones (tests/guest/screen.py).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "display/rfb_impl.h"

static void test_crypto(void **state)
{
	static const struct {
		uint64_t key, plain, cipher;
	} des[] = {
		/* FIPS 81 (1980), table B1; NBS Special Publication 500-20, appendix B */
		{0x0123456789abcdef, 0x4e6f772069732074, 0x3fa40e8a984d4815},
		{0x0101010101010101, 0x95f8a5e5dd31d900, 0x8000000000000000},
		{0x8001010101010101, 0x0000000000000000, 0x95a8d72813daa94d},
		{0x7ca110454a1a6e57, 0x01a1d6d039776742, 0x690f5b0d9a26939b},
		{0x37d06bb516cb7546, 0x164d5e404f275232, 0x0a2aeeae3ff4ab77},
		{0x1c587f1c13924fef, 0x305532286d6f295a, 0x63fac0d034d9f793},
	};
	uint8_t sha[20], challenge[16] = {0}, response[16];
	char text[32];

	for (unsigned i = 0; i < ARRAY_SIZE(des); i++)
		assert_int_equal(rfb_des(des[i].key, des[i].plain), des[i].cipher);
	rfb_sha1("abc", 3, sha); /* FIPS 180-4, examples */
	assert_int_equal(ld_be32(sha), 0xa9993e36);
	rfb_sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, sha);
	assert_int_equal(ld_be32(sha), 0x84983e44);
	/* RFC 6455, 1.3 */
	rfb_sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 60, sha);
	rfb_base64(sha, 20, text);
	assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	/* only eight characters count */
	rfb_vnc_response("12345678", challenge, response);
	rfb_vnc_response("12345678longer", challenge, sha);
	assert_memory_equal(response, sha, 16);
}

struct box {
	struct rfb_server srv;
	struct rfb *c;
	uint8_t keys[32];
	unsigned n_keys;
	int x, y, dz;
	unsigned buttons;
};

static void on_key(void *ctx, uint8_t code, bool down)
{
	struct box *b = ctx;

	if (b->n_keys < sizeof(b->keys))
		b->keys[b->n_keys++] = down ? code : code ^ 0x80;
}

static void on_pointer(void *ctx, bool relative, int x, int y, unsigned buttons, int dz, int dh)
{
	struct box *b = ctx;

	b->x = x, b->y = y, b->dz += dz, b->buttons = buttons;
}

static void on_size(void *ctx, unsigned w, unsigned h)
{
}

static struct box *box_new(const char *password)
{
	struct box *b = xnew(struct box);

	b->srv = (struct rfb_server){.px = xcalloc(1, DISPLAY_BYTES),
				     .w = 640,
				     .h = 480,
				     .name = "box",
				     .password = password,
				     .scratch_px = xnew_n(uint32_t, RFB_RECT_W * RFB_RECT_H),
				     .scratch = xnew_n(uint8_t, RFB_SCRATCH),
				     .key = on_key,
				     .pointer = on_pointer,
				     .set_size = on_size,
				     .ctx = b};
	b->c = rfb_new(&b->srv);
	return b;
}

static void box_free(struct box *b)
{
	rfb_free(b->c);
	free((void *)(uintptr_t)b->srv.px);
	free(b->srv.scratch_px);
	free(b->srv.scratch);
	free(b);
}

/* All output there is; returns its length. */
static size_t drain(struct box *b, uint8_t *to, size_t max)
{
	const uint8_t *p;
	size_t n, all = 0;

	while ((n = rfb_output(b->c, &p))) {
		if (all < max)
			memcpy(to + all, p, MIN(n, max - all));
		all += n;
		rfb_sent(b->c, n);
	}
	return all;
}

static int feed(struct box *b, const void *p, size_t len)
{
	return rfb_input(b->c, p, len);
}

static void login(struct box *b)
{
	uint8_t buf[256];

	rfb_greet(b->c);
	assert_int_equal(drain(b, buf, sizeof(buf)), 12);
	assert_int_equal(feed(b, "RFB 003.008\n\1\1", 14), 0);
	drain(b, buf, sizeof(buf));
	assert_true(rfb_ready(b->c));
}

static void test_messages(void **state)
{
	struct box *b = box_new(NULL);
	/* RFC 6143, 7.5: a key, the wheel, clipboard text in the middle, all in one stream */
	static const uint8_t stream[] = {4, 1, 0,    0, 0, 0, 0, 0x61, 4, 0, 0, 0, 0,
					 0, 0, 0x61, 6, 0, 0, 0, 0,    0, 0, 3, 4, 1,
					 2, 5, 8,    0, 1, 0, 5, 5,    0, 0, 2, 0, 5};

	login(b);
	for (size_t i = 0; i < sizeof(stream); i++)
		assert_int_equal(feed(b, stream + i, 1), 0);
	assert_int_equal(b->n_keys, 2);
	assert_int_equal(b->keys[0], 0x1e);
	assert_int_equal(b->keys[1], 0x9e);
	assert_int_equal(b->dz, -1);
	assert_int_equal(b->x, 2);
	assert_int_equal(feed(b, "\x63", 1), -EPROTO);
	assert_int_equal(feed(b, "\x00", 1), -EPIPE);
	box_free(b);
}

static void test_security(void **state)
{
	struct box *b = box_new("secret");
	uint8_t buf[256], want[16];

	rfb_greet(b->c);
	drain(b, buf, sizeof(buf));
	assert_int_equal(feed(b, "RFB 003.008\n", 12), 0);
	assert_int_equal(drain(b, buf, sizeof(buf)), 2);
	assert_int_equal(buf[1], 2);
	assert_int_equal(feed(b, "\1", 1), -EPROTO); /* "none" was not offered */
	box_free(b);
	b = box_new("secret");
	rfb_greet(b->c);
	drain(b, buf, sizeof(buf));
	assert_int_equal(feed(b, "RFB 003.003\n", 12), 0);
	assert_int_equal(drain(b, buf, sizeof(buf)), 20);
	rfb_vnc_response("secret", buf + 4, want);
	assert_int_equal(feed(b, want, 16), 0);
	assert_false(rfb_ready(b->c));
	assert_null(b->c->big); /* nothing costs before ClientInit */
	assert_int_equal(feed(b, "\1", 1), 0);
	assert_true(rfb_ready(b->c));
	box_free(b);
	b = box_new("secret");
	rfb_greet(b->c);
	drain(b, buf, sizeof(buf));
	assert_int_equal(feed(b, "RFB 003.008\n\2", 13), 0);
	drain(b, buf, sizeof(buf));
	assert_int_equal(feed(b, want, 16), -EACCES);
	box_free(b);
	assert_in_range(sizeof(struct rfb), 1, 4096);
	assert_in_range(sizeof(struct rfb) + sizeof(struct rfb_big) + 2 * 280 * KIB, 1, RFB_MEMORY);
}

static void test_updates(void **state)
{
	static const uint8_t request[] = {3, 1, 0, 0, 0, 0, 0x02, 0x80, 0x01, 0xe0};
	struct display_rect r = {70, 20, 1, 1}, far = {5000, 5000, 10, 10};
	struct box *b = box_new(NULL);
	static uint8_t buf[1 << 20];
	size_t n;

	login(b);
	assert_false(rfb_wants(b->c));
	assert_int_equal(feed(b, request, sizeof(request)), 0);
	assert_true(rfb_wants(b->c));
	assert_int_equal(drain(b, buf, sizeof(buf)), 0);
	rfb_damage(b->c, &far);
	assert_int_equal(drain(b, buf, sizeof(buf)), 0);
	rfb_damage(b->c, &r);
	assert_false(rfb_wants(b->c));
	/* one tile, raw */
	n = drain(b, buf, sizeof(buf));
	assert_int_equal(n, 4 + 12 + TILE_W * TILE_H * 4);
	assert_int_equal(ld_be16(buf + 2), 1);
	assert_int_equal(ld_be16(buf + 4), 64);
	assert_int_equal(ld_be16(buf + 6), 16);
	/* more only when asked; then everything in rectangles of at most 512 x 64 */
	r = (struct display_rect){0, 0, 640, 480};
	rfb_damage(b->c, &r);
	assert_int_equal(drain(b, buf, sizeof(buf)), 0);
	assert_int_equal(feed(b, request, sizeof(request)), 0);
	n = drain(b, buf, sizeof(buf));
	assert_int_equal(ld_be16(buf + 2), 2 * 8);
	assert_int_equal(n, 4 + 16 * 12 + 640 * 480 * 4);
	/* a chessboard of tiles still fits the list */
	b->srv.w = DISPLAY_MAX_W, b->srv.h = DISPLAY_MAX_H;
	assert_int_equal(feed(b, "\2\0\0\1\xff\xff\xff\x21", 8), 0); /* DesktopSize */
	rfb_resized(b->c);
	assert_int_equal(feed(b, request, sizeof(request)), 0);
	n = drain(b, buf, sizeof(buf));
	assert_int_equal(n, 4 + 12);
	assert_int_equal(b->c->w, DISPLAY_MAX_W);
	memset(b->c->big->dirty, 0, sizeof(b->c->big->dirty));
	for (unsigned y = 0; y < DISPLAY_MAX_H; y += TILE_H)
		for (unsigned x = y & TILE_H ? TILE_W : 0; x < DISPLAY_MAX_W; x += 2 * TILE_W) {
			r = (struct display_rect){(uint16_t)x, (uint16_t)y, 1, 1};
			rfb_damage(b->c, &r);
		}
	assert_int_equal(feed(b, request, sizeof(request)), 0);
	n = drain(b, buf, 4);
	assert_int_equal(n, 4 + 2000 * (12 + TILE_W * TILE_H * 4));
	assert_int_equal(ld_be16(buf + 2), 2000);
	box_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crypto),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_security),
		cmocka_unit_test(test_updates),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
