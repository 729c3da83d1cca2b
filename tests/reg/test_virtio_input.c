/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio keyboard and tablet. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_input.h"
#include "vring.h"

#include <stdlib.h>
#include <string.h>

struct box {
	struct harness *h;
	struct vdrv *v;
	struct virtio_input *vi;
	unsigned taken;
};

static void box_new(struct box *b, bool tablet)
{
	*b = (struct box){.h = harness_new(), .v = xnew(struct vdrv)};
	b->vi = (struct virtio_input *)dev_new(&virtio_input_class, "input0", &b->h->sv);
	b->vi->tablet = tablet;
	vdrv_pci(b->v, b->h, &b->vi->vd);
}

static void box_free(struct box *b)
{
	harness_free(b->h);
	free(b->v);
}

/* Size of item (@select, @subsel); its bytes are at 8. */
static unsigned item(struct box *b, unsigned select, unsigned subsel)
{
	vdrv_set_config(b->v, 0, 1, select);
	vdrv_set_config(b->v, 1, 1, subsel);
	return vdrv_config(b->v, 2, 1);
}

static bool item_bit(struct box *b, unsigned n)
{
	return vdrv_config(b->v, 8 + n / 8, 1) >> (n & 7) & 1;
}

static void give_buffers(struct box *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		vring_add(&b->v->ring[0], &(struct vbuf){0x10000 + i * 8, 8, true}, 1, 0);
	vdrv_kick(b->v, 0);
	b->taken = 0;
}

/* The next event must be this one. */
static void expect(struct box *b, unsigned type, unsigned code, uint32_t value)
{
	const uint8_t *p = ram(b->h, 0x10000 + b->taken++ * 8);
	uint16_t id;
	uint32_t len;

	assert_true(vring_get(&b->v->ring[0], &id, &len));
	assert_int_equal(len, 8);
	assert_int_equal(ld_le16(p), type);
	assert_int_equal(ld_le16(p + 2), code);
	assert_int_equal(ld_le32(p + 4), value);
}

static void key(struct box *b, uint8_t code, bool down)
{
	bus_lock(&b->h->bus);
	virtio_input_key(b->vi, code, down);
	bus_unlock(&b->h->bus);
}

static void point(struct box *b, struct display_pointer p)
{
	bus_lock(&b->h->bus);
	virtio_input_pointer(b->vi, &p);
	bus_unlock(&b->h->bus);
}

static void test_keyboard(void **state)
{
	struct box b;
	uint16_t id;
	uint32_t len;

	box_new(&b, false);
	assert_int_equal(vdrv_cfg(b.v, 0, 4), 0x10521af4); /* V 5.8.1: device 18 */
	vdrv_up(b.v, 0, 2, 64);
	/* V 5.8.5: one item at a time */
	assert_int_equal(item(&b, 1, 0), 14);
	assert_int_equal(vdrv_config(b.v, 8, 1), 'b');
	assert_int_equal(item(&b, 0x11, 1), 16); /* keys up to 127 */
	assert_true(item_bit(&b, 30) && item_bit(&b, 111) && !item_bit(&b, 0) &&
		    !item_bit(&b, 0x70));
	assert_int_equal(item(&b, 0x11, 0x11), 1);
	assert_int_equal(item(&b, 0x11, 3), 0); /* no positions */
	assert_int_equal(item(&b, 0x12, 0), 0);
	assert_int_equal(item(&b, 0x77, 0), 0);
	give_buffers(&b, 8);
	key(&b, 0x1e, true);
	expect(&b, 1, 30, 1);
	expect(&b, 0, 0, 0);
	key(&b, 0xd3, false); /* E0 53: Delete */
	expect(&b, 1, 111, 0);
	expect(&b, 0, 0, 0);
	key(&b, 0xff, true); /* no such key */
	assert_false(vring_get(&b.v->ring[0], &id, &len));
	/* without buffers groups wait, and are lost as a whole when there are too many */
	for (unsigned i = 0; i < 200; i++)
		key(&b, 0x02, !(i & 1));
	assert_int_equal(b.vi->s.n, VIRTIO_INPUT_FIFO);
	expect(&b, 1, 2, 1);
	expect(&b, 0, 0, 0);
	expect(&b, 1, 2, 0);
	expect(&b, 0, 0, 0);
	give_buffers(&b, 2);
	expect(&b, 1, 2, 1);
	/* V 5.8.6.2: status events; the LED is noted */
	st_le64(ram(b.h, 0x20000), 0x0000000100010011);
	vring_add(&b.v->ring[1], &(struct vbuf){0x20000, 8, false}, 1, 0);
	vdrv_kick(b.v, 1);
	assert_true(vring_get(&b.v->ring[1], &id, &len));
	assert_int_equal(b.vi->s.leds, 2);
	harness_check_state_roundtrip(&b.vi->vd.dev);
	box_free(&b);
}

static void test_tablet(void **state)
{
	struct box b;

	box_new(&b, true);
	vdrv_up(b.v, 0, 2, 64);
	assert_int_equal(item(&b, 0x12, 1), 20); /* V 5.8.4: absinfo */
	assert_int_equal(vdrv_config(b.v, 8, 4), 0);
	assert_int_equal(vdrv_config(b.v, 12, 4), 0x7fff);
	assert_int_equal(item(&b, 0x11, 3), 1);
	assert_int_equal(item(&b, 0x11, 1), 0x114 / 8 + 1);
	give_buffers(&b, 32);
	point(&b, (struct display_pointer){.x = 639, .y = 0, .w = 640, .h = 480, .buttons = 1});
	expect(&b, 3, 0, 0x7fff);
	expect(&b, 3, 1, 0);
	expect(&b, 1, 0x110, 1);
	expect(&b, 0, 0, 0);
	point(&b, (struct display_pointer){.x = 0, .y = 479, .w = 640, .h = 480, .dz = 1, .dh = 1});
	expect(&b, 3, 0, 0);
	expect(&b, 3, 1, 0x7fff);
	expect(&b, 1, 0x110, 0);
	expect(&b, 2, 8, (uint32_t)-1);
	expect(&b, 2, 6, 1);
	expect(&b, 0, 0, 0);
	harness_check_state_roundtrip(&b.vi->vd.dev);
	box_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keyboard),
		cmocka_unit_test(test_tablet),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
