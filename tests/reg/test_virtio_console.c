/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio console. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_console.h"
#include "fake_chr.h"
#include "vring.h"

#include <stdlib.h>
#include <string.h>

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_console *con;
	struct chr *chr;
};

static struct rig *rig_new(bool packed, uint16_t cols)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	g->chr = xnew(struct chr);
	g->chr->room = SIZE_MAX / 2;
	g->con = (struct virtio_console *)dev_new(&virtio_console_class, "con0", &g->h->sv);
	g->con->chr = g->chr;
	g->con->cols = cols;
	g->con->rows = cols ? 25 : 0;
	g->con->vd.packed = packed;
	vdrv_pci(g->v, g->h, &g->con->vd);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	free(g->chr);
	free(g->v);
	free(g);
}

static uint64_t features(bool packed)
{
	return packed ? BIT(VIRTIO_F_RING_PACKED) : 0;
}

static void test_config(void **state)
{
	struct rig *g = rig_new(false, 80);

	(void)state;
	assert_int_equal(vdrv_cfg(g->v, 0, 4), 0x10431af4);
	assert_int_equal(vdrv_config(g->v, 0, 4), 25u << 16 | 80); /* V 5.3.4 */
	assert_int_equal(vdrv_config(g->v, 4, 4), 1);
	/* V 5.3.4: emergency write works before the device is set up. */
	vdrv_set_config(g->v, 8, 4, '!');
	assert_int_equal(g->chr->n_out, 1);
	assert_int_equal(g->chr->out[0], '!');
	vdrv_set_config(g->v, 0, 2, 1);
	assert_int_equal(vdrv_config(g->v, 0, 2), 80);
	vdrv_up(g->v, BIT(0), 2, 8);
	virtio_console_set_size(g->con, 132, 43);
	assert_int_equal(vdrv_isr(g->v), 2);
	assert_int_equal(vdrv_config(g->v, 0, 4), 43u << 16 | 132);
	harness_check_state_roundtrip(&g->con->vd.dev);
	/* 5.3.4: negotiated, and then the terminal is gone */
	virtio_console_set_size(g->con, 0, 0);
	harness_check_state_roundtrip(&g->con->vd.dev);
	rig_free(g);
	g = rig_new(false, 0);
	assert_false(vdrv_negotiate(g->v, BIT(0))); /* size unknown: not offered */
	assert_false(vdrv_negotiate(g->v, BIT(1))); /* multiport: never */
	rig_free(g);
}

static void test_output(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed, 0);
		uint16_t id;
		uint32_t len;

		vdrv_up(g->v, features(packed), 2, 8);
		for (unsigned i = 0; i < 5000; i++)
			ram(g->h, 0x200000)[i] = (uint8_t)(i * 3);
		vring_add(&g->v->ring[1],
			  (struct vbuf[]){{0x200000, 4000, false}, {0x200000 + 4000, 1000, false}},
			  2, 0);
		/* The back end takes 3,000 bytes, then some more, then all. */
		g->chr->room = 3000;
		vdrv_kick(g->v, 1);
		assert_int_equal(g->chr->n_out, 3000);
		assert_false(vring_get(&g->v->ring[1], &id, &len));
		g->chr->room = 1500;
		g->chr->h.writable(g->chr->h.ctx);
		assert_int_equal(g->chr->n_out, 4500);
		/* It is held over a restore: nothing is lost or written twice. */
		struct rig *b = rig_new(packed, 0);
		vdrv_restore(b->v, g->v);
		assert_int_equal(b->chr->n_out, 500);
		assert_memory_equal(b->chr->out, ram(g->h, 0x200000 + 4500), 500);
		assert_true(vring_get(&b->v->ring[1], &id, &len));
		assert_int_equal(len, 0);
		rig_free(b);
		g->con->vd.dev.cls->resume(&g->con->vd.dev);
		g->chr->room = SIZE_MAX / 2;
		g->chr->h.writable(g->chr->h.ctx);
		assert_int_equal(g->chr->n_out, 5000);
		assert_memory_equal(g->chr->out, ram(g->h, 0x200000), 5000);
		assert_true(vring_get(&g->v->ring[1], &id, &len));
		/* Reset while an element is held. */
		g->chr->room = 10;
		vring_add(&g->v->ring[1], &(struct vbuf){0x200000, 100, false}, 1, 0);
		vdrv_kick(g->v, 1);
		vdrv_set_status(g->v, 0);
		g->chr->room = 100;
		g->chr->h.writable(g->chr->h.ctx);
		assert_int_equal(g->chr->n_out, 5010);
		vdrv_up(g->v, features(packed), 2, 8);
		vring_add(&g->v->ring[1], &(struct vbuf){0x200000, 50, false}, 1, 0);
		vdrv_kick(g->v, 1);
		assert_int_equal(g->chr->n_out, 5060);
		/* A huge buffer takes several turns. */
		g->chr->room = SIZE_MAX / 2;
		vring_add(&g->v->ring[1], &(struct vbuf){0x200000, 300000, false}, 1, 0);
		size_t before = g->chr->n_out;
		vdrv_kick(g->v, 1);
		assert_int_equal(g->chr->n_out - before, 65536);
		for (unsigned i = 0; i < 10; i++)
			harness_step(g->h, 20 * NS_PER_US);
		assert_int_equal(g->chr->n_out - before, 300000);
		rig_free(g);
	}
}

static void test_input(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed, 0);
		uint8_t many[3000];
		uint16_t id;
		uint32_t len;

		/* Typed before there is a driver: kept, as much as fits. */
		assert_int_equal(fake_chr_type(g->chr, "early", 5), 5);
		vdrv_up(g->v, features(packed), 2, 8);
		vring_add(&g->v->ring[0], &(struct vbuf){0x200000, 3, true}, 1, 0);
		vdrv_kick(g->v, 0);
		assert_true(vring_get(&g->v->ring[0], &id, &len));
		assert_int_equal(len, 3);
		assert_memory_equal(ram(g->h, 0x200000), "ear", 3);
		vring_add(&g->v->ring[0], &(struct vbuf){0x200000, 64, true}, 1, 0);
		vdrv_kick(g->v, 0);
		assert_true(vring_get(&g->v->ring[0], &id, &len));
		assert_memory_equal(ram(g->h, 0x200000), "ly", 2);
		assert_int_equal(vdrv_isr(g->v), 1);
		/* More than the guest has room for: the back end keeps the rest. */
		for (unsigned i = 0; i < sizeof(many); i++)
			many[i] = (uint8_t)(i * 11);
		assert_int_equal(fake_chr_type(g->chr, many, 1000), 1000);
		assert_int_equal(fake_chr_type(g->chr, many + 1000, 2000), 24);
		assert_int_equal(fake_chr_type(g->chr, many + 1024, 1), 0);
		struct rig *b = rig_new(packed, 0);
		vdrv_restore(b->v, g->v);
		assert_int_equal(fake_chr_type(g->chr, many, 1), 0);
		unsigned polls = b->chr->polls, got = 0;
		for (unsigned i = 0; i < 3; i++) {
			vring_add(&b->v->ring[0], &(struct vbuf){0x200000, 400, true}, 1, 0);
			vdrv_kick(b->v, 0);
			assert_true(vring_get(&b->v->ring[0], &id, &len));
			assert_memory_equal(ram(b->h, 0x200000), many + got, len);
			got += len;
		}
		assert_int_equal(got, 1024);
		assert_true(b->chr->polls > polls);
		rig_free(b);
		rig_free(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_output),
		cmocka_unit_test(test_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
