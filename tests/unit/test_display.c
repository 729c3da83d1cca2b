/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The screen object: sizes, damage, input devices, keys that wait; names of keys; picture files.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "display/display.h"
#include "display/keymap.h"
#include "display/picture.h"
#include "host/loop.h"

struct watcher {
	struct display_viewer v;
	struct display_rect last;
	unsigned n, resized;
};

static void on_damage(struct display_viewer *v, const struct display_rect *r)
{
	struct watcher *w = CONTAINER_OF(v, struct watcher, v);

	w->last = *r;
	w->n++;
}

static void on_size(struct display_viewer *v, unsigned w, unsigned h)
{
	CONTAINER_OF(v, struct watcher, v)->resized++;
}

static void test_damage(void **state)
{
	struct watcher w = {.v = {.damaged = on_damage, .resized = on_size}};
	static uint32_t line[DISPLAY_MAX_W];
	struct display *d;

	assert_int_equal(display_new(NULL, &d, NULL), 0);
	display_add_viewer(d, &w.v);
	display_begin(d, 64, 32);
	assert_int_equal(w.resized, 1);
	for (unsigned y = 0; y < 32; y++)
		display_line(d, y, line);
	display_end(d);
	assert_int_equal(w.n, 0); /* black as before */
	display_begin(d, 64, 32);
	line[10] = 1;
	display_line(d, 4, line);
	line[10] = 0, line[20] = 1;
	display_line(d, 5, line);
	line[20] = 0, line[63] = 1;
	display_line(d, 31, line);
	display_line(d, 32, line); /* below the picture */
	assert_int_equal(w.n, 1);
	assert_memory_equal(&w.last, (&(struct display_rect){10, 4, 11, 2}), sizeof(w.last));
	display_end(d);
	assert_int_equal(w.n, 2);
	assert_memory_equal(&w.last, (&(struct display_rect){63, 31, 1, 1}), sizeof(w.last));
	/* too large is clipped, nothing is something */
	display_begin(d, 100000, 0);
	assert_int_equal(d->w, DISPLAY_MAX_W);
	assert_int_equal(d->h, 1);
	display_del_viewer(d, &w.v);
	display_free(d);
}

struct board {
	struct display_input in;
	uint8_t codes[64];
	unsigned n;
	bool room;
	struct display_pointer at;
};

static void on_key(void *ctx, uint8_t code, bool down)
{
	struct board *b = ctx;

	if (b->n < sizeof(b->codes))
		b->codes[b->n++] = down ? code : code | 0x80;
}

static void on_pointer(void *ctx, const struct display_pointer *p)
{
	((struct board *)ctx)->at = *p;
}

static bool has_room(void *ctx)
{
	return ((struct board *)ctx)->room;
}

static void test_input(void **state)
{
	struct board b = {.room = true};
	struct loop *loop;
	struct display *d;

	assert_int_equal(loop_new(NULL, &loop, NULL), 0);
	assert_int_equal(display_new(loop, &d, NULL), 0);
	b.in = (struct display_input){
		.key = on_key, .pointer = on_pointer, .room = has_room, .ctx = &b};
	display_key(d, 0x1e, true); /* nobody listens: no harm */
	display_key(d, 0x1e, false);
	display_add_input(d, &b.in);
	assert_int_equal(display_type(d, "aB"), 0);
	for (unsigned i = 0; i < 200 && b.n < 6; i++)
		assert_int_equal(loop_run_once(loop, 20), 0);
	static const uint8_t want[] = {0x1e, 0x9e, 0x2a, 0x30, 0xb0, 0xaa};
	assert_int_equal(b.n, 6);
	assert_memory_equal(b.codes, want, 6);
	assert_int_equal(display_type(d, "\xc3\xa4"), -EINVAL);
	/* a guest that does not read: keys wait, and too many are lost */
	b.room = false;
	b.n = 0;
	for (unsigned i = 0; i < DISPLAY_KEYS + 100; i++)
		display_key(d, 0x1e, !(i & 1));
	assert_int_equal(b.n, 0);
	assert_int_equal(d->key_n, DISPLAY_KEYS);
	assert_int_equal(display_type(d, "a"), -ENOSPC);
	b.room = true;
	for (unsigned i = 0; i < 200 && d->key_n; i++)
		assert_int_equal(loop_run_once(loop, 20), 0);
	assert_int_equal(d->key_n, 0);
	/* what is held is let go */
	b.n = 0;
	display_key(d, 0x1d, true);
	display_key(d, 0x9d, true);
	display_release_keys(d);
	assert_int_equal(b.n, 4);
	/* positions become movements */
	display_move(d, 100, 100, 0, 0, 0);
	display_move(d, 90, 120, 1, -1, 0);
	assert_int_equal(b.at.dx, -10);
	assert_int_equal(b.at.dy, 20);
	assert_int_equal(b.at.dz, -1);
	assert_int_equal(b.at.buttons, 1);
	display_move(d, 100000, 100000, 0, 0, 0);
	assert_int_equal(b.at.x, d->w - 1);
	display_del_input(d, &b.in);
	display_free(d);
	loop_free(loop);
}

/* Set 1 scan codes: IBM PS/2 Hardware Interface, "Keyboard". */
static void test_names(void **state)
{
	static const struct {
		const char *name;
		uint8_t code;
	} names[] = {{"ctrl", 0x1d},  {"alt", 0x38}, {"delete", 0xd3}, {"Ctrl_R", 0x9d},
		     {"a", 0x1e},     {"F12", 0x58}, {"ret", 0x1c},    {"kp_enter", 0x9c},
		     {"minus", 0x0c}, {"9", 0x0a},   {"", 0},          {"nothing", 0},
		     {"pause", 0xc6}, {"!", 0}};
	bool shift, plain;

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(key_from_name(names[i].name), names[i].code);
	for (unsigned c = ' '; c < 0x7f; c++)
		assert_true(key_from_char(c, &shift) != 0);
	assert_int_equal(key_from_char('Q', &shift), 0x10);
	assert_true(shift);
	assert_int_equal(key_from_char('/', &shift), 0x35);
	assert_false(shift);
	assert_int_equal(key_from_keysym(0xff0d, &shift, &plain), 0x1c);
	assert_false(plain);
	assert_int_equal(key_from_keysym('~', &shift, &plain), 0x29);
	assert_true(shift && plain);
	assert_int_equal(key_from_keysym(0x1000000, &shift, &plain), 0);
}

struct tape {
	uint8_t bytes[16][16];
	size_t len[16];
	unsigned n;
	bool keep;
};

static bool on_event(void *ctx, const uint8_t *event, size_t len)
{
	struct tape *t = ctx;

	assert_true(t->n < 16 && len <= 16);
	memcpy(t->bytes[t->n], event, len);
	t->len[t->n++] = len;
	return !t->keep;
}

/* What the tap got does the same again; a tap may keep it back. */
static void test_tap(void **state)
{
	struct board b = {.room = true}, again = {.room = true};
	struct tape t = {0};
	struct display *d;

	assert_int_equal(display_new(NULL, &d, NULL), 0);
	b.in = (struct display_input){.key = on_key, .pointer = on_pointer, .ctx = &b};
	display_add_input(d, &b.in);
	display_set_tap(d, on_event, &t);
	display_key(d, 0x1e, true);
	display_key(d, 0x1e, false);
	display_move(d, 10, 20, 0, 0, 0);
	display_move(d, 7, 300, 5, -1, 1);
	assert_int_equal(t.n, 4);
	t.keep = true;
	display_key(d, 0x1f, true);
	assert_int_equal(display_set_size(d, 800, 600), -EOPNOTSUPP);
	assert_int_equal(b.n, 2);
	assert_int_equal(t.n, 6);
	again.in = b.in;
	again.in.ctx = &again;
	display_del_input(d, &b.in);
	display_add_input(d, &again.in);
	for (unsigned i = 0; i < 4; i++)
		display_inject(d, t.bytes[i], t.len[i]);
	display_inject(d, t.bytes[0], 2); /* cut short */
	display_inject(d, (const uint8_t *)"?abc", 4);
	assert_int_equal(again.n, 2);
	assert_memory_equal(again.codes, b.codes, 2);
	assert_memory_equal(&again.at, &b.at, sizeof(b.at));
	display_free(d);
}

static void test_files(void **state)
{
	static const uint32_t px[6] = {0xff0000, 0x00ff00, 0x0000ff, 0x123456, 0, 0xffffff};
	static const uint8_t ppm[] =
		"P6\n3 2\n255\n\xff\0\0\0\xff\0\0\0\xff\x12\x34\x56\0\0\0\xff\xff\xff";
	char name[] = "/tmp/bothy-test-picture-XXXXXX";
	uint8_t buf[200];
	struct error err;
	FILE *f;

	close(mkstemp(name));
	assert_int_equal(picture_write(name, "ppm", px, 3, 2, &err), 0);
	f = fopen(name, "rb");
	assert_int_equal(fread(buf, 1, sizeof(buf), f), sizeof(ppm) - 1);
	assert_memory_equal(buf, ppm, sizeof(ppm) - 1);
	fclose(f);
	assert_int_equal(picture_write(name, "png", px, 3, 2, &err), 0);
	f = fopen(name, "rb");
	assert_true(fread(buf, 1, sizeof(buf), f) > 50);
	assert_memory_equal(buf, "\x89PNG\r\n\x1a\n", 8);
	fclose(f);
	assert_int_equal(picture_write(name, "gif", px, 3, 2, &err), -EINVAL);
	assert_int_equal(picture_write("/nowhere/x.png", "png", px, 3, 2, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/nowhere/x.png"));
	unlink(name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_damage), cmocka_unit_test(test_input),
		cmocka_unit_test(test_tap),    cmocka_unit_test(test_names),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
