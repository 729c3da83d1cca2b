/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio graphics adapter. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_gpu.h"
#include "vring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CMD = 0x40000, RESP = 0x41000, PIXELS = 0x80000 };

struct box {
	struct harness *h;
	struct vdrv *v;
	struct virtio_gpu *g;
	struct display *d;
};

static void box_new(struct box *b)
{
	struct error err;

	*b = (struct box){.h = harness_new(), .v = xnew(struct vdrv)};
	assert_int_equal(display_new(NULL, &b->d, &err), 0);
	b->g = (struct virtio_gpu *)dev_new(&virtio_gpu_class, "gpu0", &b->h->sv);
	b->g->display = b->d;
	vdrv_pci(b->v, b->h, &b->g->vd);
	vdrv_up(b->v, 2, 2, 64);
}

static void box_free(struct box *b)
{
	harness_free(b->h);
	display_free(b->d);
	free(b->v);
}

/* A command of the header and @n words; returns the answer's type. */
static uint32_t command(struct box *b, unsigned queue, uint32_t type, unsigned n,
			const uint32_t *words)
{
	uint8_t *p = ram(b->h, CMD);
	uint16_t id;
	uint32_t len;

	memset(p, 0, 4096);
	memset(ram(b->h, RESP), 0xee, 2048);
	st_le32(p, type);
	st_le32(p + 4, 1); /* fence */
	st_le64(p + 8, 0x1122334455667788);
	for (unsigned i = 0; i < n; i++)
		st_le32(p + 24 + 4 * i, words[i]);
	vring_add(&b->v->ring[queue], (struct vbuf[]){{CMD, 24 + 4 * n, false}, {RESP, 2048, true}},
		  2, 0);
	vdrv_kick(b->v, queue);
	assert_true(vring_get(&b->v->ring[queue], &id, &len));
	assert_in_range(len, 24, 2048);
	/* V 5.7.6.7: fence flag and id come back */
	assert_int_equal(ld_le32(ram(b->h, RESP) + 4), 1);
	assert_true(ld_le64(ram(b->h, RESP) + 8) == 0x1122334455667788);
	return ld_le32(ram(b->h, RESP));
}

#define COMMAND(b, q, type, ...)                                                                   \
	command(b, q, type, sizeof((uint32_t[]){__VA_ARGS__}) / 4, (uint32_t[]){__VA_ARGS__})

static void update(struct box *b)
{
	bus_lock(&b->h->bus);
	display_update(b->d);
	bus_unlock(&b->h->bus);
}

static void check_pixel(struct box *b, unsigned x, unsigned y, uint32_t want)
{
	assert_int_equal(b->d->px[y * b->d->w + x] & 0xffffff, want);
}

static void test_questions(void **state)
{
	struct box b;
	uint8_t sum = 0;

	box_new(&b);
	assert_int_equal(vdrv_cfg(b.v, 0, 4), 0x10501af4);
	assert_int_equal(vdrv_config(b.v, 8, 4), 1);              /* V 5.7.4: scanouts */
	assert_int_equal(command(&b, 0, 0x100, 0, NULL), 0x1101); /* display info */
	assert_int_equal(ld_le32(ram(b.h, RESP) + 24 + 8), 1024);
	assert_int_equal(ld_le32(ram(b.h, RESP) + 24 + 16), 1);
	assert_int_equal(ld_le32(ram(b.h, RESP) + 48 + 16), 0);
	assert_int_equal(COMMAND(&b, 0, 0x10a, 0, 0), 0x1104); /* EDID */
	assert_int_equal(ld_le32(ram(b.h, RESP) + 24), 128);
	for (unsigned i = 0; i < 128; i++)
		sum = (uint8_t)(sum + ram(b.h, RESP)[32 + i]);
	assert_int_equal(sum, 0);
	assert_int_equal(COMMAND(&b, 0, 0x10a, 1, 0), 0x1202);
	/* a viewer's wish: event, interrupt, new answer (V 5.7.5, 5.7.6.3) */
	bus_lock(&b.h->bus);
	assert_int_equal(display_set_size(b.d, 1280, 800), 0);
	assert_int_equal(display_set_size(b.d, 100000, 1), -EOPNOTSUPP);
	bus_unlock(&b.h->bus);
	assert_int_equal(vdrv_isr(b.v) & 2, 2);
	assert_int_equal(vdrv_config(b.v, 0, 4), 1);
	vdrv_set_config(b.v, 4, 4, 1);
	assert_int_equal(vdrv_config(b.v, 0, 4), 0);
	assert_int_equal(command(&b, 0, 0x100, 0, NULL), 0x1101);
	assert_int_equal(ld_le32(ram(b.h, RESP) + 24 + 8), 1280);
	assert_int_equal(command(&b, 0, 0x777, 0, NULL), 0x1200);
	assert_int_equal(command(&b, 1, 0x100, 0, NULL), 0x1200); /* on the cursor queue */
	assert_int_equal(command(&b, 0, 0x101, 1, (uint32_t[]){1}), 0x1205); /* cut short */
	box_free(&b);
}

/* Life of a picture (V 5.7.6.1). */
static void test_picture(void **state)
{
	struct box b;

	box_new(&b);
	assert_int_equal(COMMAND(&b, 0, 0x101, 5, 2, 64, 32), 0x1100); /* B8G8R8X8 */
	assert_int_equal(COMMAND(&b, 0, 0x101, 5, 2, 64, 32), 0x1203); /* again */
	assert_int_equal(COMMAND(&b, 0, 0x101, 0, 2, 64, 32), 0x1203);
	assert_int_equal(COMMAND(&b, 0, 0x101, 6, 9, 64, 32), 0x1205); /* no such format */
	assert_int_equal(COMMAND(&b, 0, 0x101, 6, 2, 0, 32), 0x1205);
	assert_int_equal(COMMAND(&b, 0, 0x101, 6, 2, 8192, 8192), 0x1201);
	for (unsigned i = 0; i < 64 * 32; i++)
		st_le32(ram(b.h, PIXELS) + 4 * i, i * 0x010203);
	/* transfer needs backing */
	assert_int_equal(COMMAND(&b, 0, 0x105, 0, 0, 64, 32, 0, 0, 5, 0), 0x1200);
	/* two pieces, the second half first in memory */
	assert_int_equal(COMMAND(&b, 0, 0x106, 5, 2, PIXELS, 0, 64 * 16 * 4, 0,
				 PIXELS + 64 * 16 * 4, 0, 64 * 16 * 4, 0),
			 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x106, 5, 1, PIXELS, 0, 4096, 0), 0x1200); /* has one */
	assert_int_equal(COMMAND(&b, 0, 0x105, 0, 0, 64, 32, 0, 0, 5, 0), 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x105, 1, 0, 64, 32, 0, 0, 5, 0), 0x1205); /* outside */
	assert_int_equal(COMMAND(&b, 0, 0x103, 8, 4, 40, 20, 0, 5), 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x103, 8, 4, 60, 20, 0, 5), 0x1205);
	assert_int_equal(COMMAND(&b, 0, 0x103, 8, 4, 40, 20, 1, 5), 0x1202);
	assert_int_equal(COMMAND(&b, 0, 0x104, 0, 0, 64, 32, 5, 0), 0x1100);
	update(&b);
	assert_int_equal(b.d->w, 40);
	assert_int_equal(b.d->h, 20);
	for (unsigned y = 0; y < 20; y++)
		for (unsigned x = 0; x < 40; x++)
			check_pixel(&b, x, y, ((y + 4) * 64 + x + 8) * 0x010203 & 0xffffff);
	/* a change shows after transfer and flush, not before */
	st_le32(ram(b.h, PIXELS) + (10 * 64 + 20) * 4, 0xabcdef);
	update(&b);
	check_pixel(&b, 12, 6, (10 * 64 + 20) * 0x010203 & 0xffffff);
	assert_int_equal(COMMAND(&b, 0, 0x105, 20, 10, 1, 1, (10 * 64 + 20) * 4, 0, 5, 0), 0x1100);
	update(&b);
	check_pixel(&b, 12, 6, (10 * 64 + 20) * 0x010203 & 0xffffff);
	assert_int_equal(COMMAND(&b, 0, 0x104, 20, 10, 1, 1, 5, 0), 0x1100);
	update(&b);
	check_pixel(&b, 12, 6, 0xabcdef);
	harness_check_state_roundtrip(&b.g->vd.dev);
	box_free(&b);
}

static void test_formats_and_cursor(void **state)
{
	static const struct {
		uint32_t format, raw;
	} rows[] = {{1, 0xff112233},  {2, 0x00112233},  {3, 0x332211ff},   {4, 0x33221100},
		    {67, 0xff332211}, {68, 0x11223300}, {121, 0x112233ff}, {134, 0x00332211}};
	struct box b;

	box_new(&b);
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		st_le32(ram(b.h, PIXELS), rows[i].raw);
		assert_int_equal(COMMAND(&b, 0, 0x101, i + 1, rows[i].format, 1, 1), 0x1100);
		assert_int_equal(COMMAND(&b, 0, 0x106, i + 1, 1, PIXELS, 0, 4, 0), 0x1100);
		assert_int_equal(COMMAND(&b, 0, 0x105, 0, 0, 1, 1, 0, 0, i + 1, 0), 0x1100);
		assert_int_equal(COMMAND(&b, 0, 0x103, 0, 0, 1, 1, 0, i + 1), 0x1100);
		update(&b);
		check_pixel(&b, 0, 0, 0x112233);
	}
	/* V 5.7.6.10: the pointer's shape, its hot spot; resource 0 hides it */
	assert_int_equal(COMMAND(&b, 1, 0x300, 0, 5, 6, 0, 1, 0, 0, 0), 0x1100);
	assert_true(b.d->has_cursor);
	assert_int_equal(b.d->cursor.w, 1);
	assert_int_equal(b.d->cursor.px[0], 0xff112233);
	assert_int_equal(COMMAND(&b, 1, 0x301, 0, 7, 8, 0, 0, 0, 0, 0), 0x1100);
	assert_int_equal(COMMAND(&b, 1, 0x300, 0, 5, 6, 0, 99, 0, 0, 0), 0x1203);
	assert_int_equal(COMMAND(&b, 1, 0x300, 0, 5, 6, 0, 0, 0, 0, 0), 0x1100);
	assert_int_equal(b.d->cursor.w, 0);
	harness_check_state_roundtrip(&b.g->vd.dev);
	box_free(&b);
}

/* Memory and lists are bounded, and come back. */
static void test_bounds(void **state)
{
	struct box b;
	unsigned n = 0;

	box_new(&b);
	while (COMMAND(&b, 0, 0x101, n + 1, 1, 1024, 1024) == 0x1100)
		n++;
	assert_int_equal(n, 16); /* of 4 MiB each */
	assert_int_equal(COMMAND(&b, 0, 0x102, 3, 0), 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x102, 3, 0), 0x1203);
	assert_int_equal(COMMAND(&b, 0, 0x101, 3, 1, 512, 512), 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x101, 100, 1, 512, 512), 0x1100);
	assert_int_equal(b.g->s.res[2].at, 8 * MIB); /* into the gap */
	/* lists move up when one before them goes */
	assert_int_equal(COMMAND(&b, 0, 0x106, 1, 1, 0x1000, 0, 4096, 0), 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x106, 2, 2, 0x2000, 0, 4096, 0, 0x3000, 0, 4096, 0),
			 0x1100);
	assert_int_equal(COMMAND(&b, 0, 0x107, 1, 0), 0x1100);
	assert_int_equal(b.g->s.n_back, 2);
	assert_true(b.g->s.back_addr[0] == 0x2000 && b.g->s.back_addr[1] == 0x3000);
	assert_int_equal(b.g->s.res[1].first, 0);
	/* a list that says it is longer than it is */
	assert_int_equal(COMMAND(&b, 0, 0x106, 4, 10, 0x1000, 0, 4096, 0), 0x1205);
	assert_int_equal(COMMAND(&b, 0, 0x106, 4, 0xffffffff, 0x1000, 0, 4096, 0), 0x1201);
	assert_int_equal(b.g->s.n_back, 2);
	/* a reset gives everything back, and the screen to whoever was below */
	assert_int_equal(COMMAND(&b, 0, 0x103, 0, 0, 64, 64, 0, 1), 0x1100);
	assert_non_null(b.d->source[DISPLAY_OVER].update);
	harness_check_state_roundtrip(&b.g->vd.dev);
	vdrv_set_status(b.v, 0);
	assert_null(b.d->source[DISPLAY_OVER].update);
	assert_int_equal(b.g->s.n_back, 0);
	box_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_questions),
		cmocka_unit_test(test_picture),
		cmocka_unit_test(test_formats_and_cursor),
		cmocka_unit_test(test_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
