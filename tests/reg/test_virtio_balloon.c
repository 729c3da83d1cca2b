/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio memory balloon. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_balloon.h"
#include "vring.h"

#include <stdlib.h>
#include <string.h>

enum { F_STATS = 1, F_OOM, F_HINT, F_POISON, F_REPORTING };
enum { INFLATE, DEFLATE, STATS, HINT, REPORTING };

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_balloon *b;
	unsigned reports;
};

static void ready(void *ctx, struct virtio_balloon *b)
{
	(void)b;
	((struct rig *)ctx)->reports++;
}

static struct rig *rig_new(bool packed)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	g->b = (struct virtio_balloon *)dev_new(&virtio_balloon_class, "balloon0", &g->h->sv);
	g->b->vd.packed = packed;
	g->b->stats_ready = ready;
	g->b->stats_ctx = g;
	vdrv_pci(g->v, g->h, &g->b->vd);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	free(g->v);
	free(g);
}

static void up(struct rig *g, bool packed)
{
	vdrv_up(g->v,
		BIT(F_STATS) | BIT(F_OOM) | BIT(F_HINT) | BIT(F_POISON) | BIT(F_REPORTING) |
			(packed ? BIT(VIRTIO_F_RING_PACKED) : 0),
		5, 8);
}

static void send(struct rig *g, unsigned q, const struct vbuf *buf)
{
	uint16_t id;
	uint32_t len;

	vring_add(&g->v->ring[q], buf, 1, 0);
	vdrv_kick(g->v, q);
	assert_true(vring_get(&g->v->ring[q], &id, &len));
}

static void test_config(void **state)
{
	struct rig *g = rig_new(false);

	(void)state;
	assert_int_equal(vdrv_cfg(g->v, 0, 4), 0x10451af4);
	assert_int_equal(readw(g->h, VDRV_BAR + 0x12), 5);
	virtio_balloon_set_target(g->b, 8 * MIB + 1);
	assert_int_equal(vdrv_isr(g->v), 0); /* V 2.1.2: not before DRIVER_OK */
	up(g, false);
	assert_int_equal(vdrv_config(g->v, 0, 4), 2048); /* V 5.5.4: num_pages */
	virtio_balloon_set_target(g->b, 4 * MIB);
	assert_int_equal(vdrv_isr(g->v), 2);
	assert_int_equal(vdrv_config(g->v, 0, 4), 1024);
	vdrv_set_config(g->v, 4, 4, 77); /* actual */
	assert_int_equal(virtio_balloon_actual(g->b), 77 * 4096);
	assert_int_equal(vdrv_config(g->v, 4, 4), 77);
	assert_int_equal(vdrv_config(g->v, 8, 4), 0); /* V 5.5.6.5: no hints wanted */
	vdrv_set_config(g->v, 0, 4, 1);
	assert_int_equal(vdrv_config(g->v, 0, 4), 1024);
	harness_check_state_roundtrip(&g->b->vd.dev);
	rig_free(g);
}

static void pfns(struct rig *g, const uint32_t *pfn, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		st_le32(ram(g->h, 0x10000 + 4 * i), pfn[i]);
	send(g, INFLATE, &(struct vbuf){0x10000, 4 * n, false});
}

/* V 5.5.6: pages of the balloon lose their contents, others don't. */
static void test_inflate(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed);
		static const uint32_t list[] = {0x400,      0x401,  0x403,
						0x500,      0xffff, /* past RAM */
						0xffffffff, 0x3ff};

		up(g, packed);
		memset(ram(g->h, 0x300000), 0xcc, 0x300000);
		pfns(g, list, 4);
		for (gpa_t p = 0x300; p < 0x600; p++) {
			bool in = p == 0x400 || p == 0x401 || p == 0x403 || p == 0x500;
			assert_int_equal(*ram(g->h, p << 12), in ? 0 : 0xcc);
			assert_int_equal(*ram(g->h, (p << 12) + 4095), in ? 0 : 0xcc);
		}
		assert_int_equal(g->b->discarded, 4 * 4096);
		pfns(g, list + 4, 3);
		assert_int_equal(*ram(g->h, 0x3ff000), 0);
		assert_int_equal(g->b->discarded, 5 * 4096);
		assert_true(g->b->vd.dev.guest_errors > 0);
		/* Deflate: nothing to do; the page can be used again. */
		st_le32(ram(g->h, 0x10000), 0x400);
		send(g, DEFLATE, &(struct vbuf){0x10000, 4, false});
		writeb(g->h, 0x400000, 1);
		assert_int_equal(readb(g->h, 0x400000), 1);
		/* Odd lengths and empty buffers come back. */
		send(g, INFLATE, &(struct vbuf){0x10000, 3, false});
		send(g, INFLATE, &(struct vbuf){0x10000, 4, true});
		send(g, HINT, &(struct vbuf){0x10000, 4096, true});
		assert_int_equal(vdrv_status(g->v), 0x0f);
		rig_free(g);
	}
}

/* V 5.5.6.7 */
static void test_reporting(void **state)
{
	struct rig *g = rig_new(false);

	(void)state;
	up(g, false);
	memset(ram(g->h, 0x400000), 0xcc, 0x10000);
	/* Whole pages inside the range only. */
	send(g, REPORTING, &(struct vbuf){0x400800, 0x3000, true});
	assert_int_equal(*ram(g->h, 0x400fff), 0xcc);
	assert_int_equal(*ram(g->h, 0x401000), 0);
	assert_int_equal(*ram(g->h, 0x402fff), 0);
	assert_int_equal(*ram(g->h, 0x403000), 0xcc);
	send(g, REPORTING, &(struct vbuf){0x404800, 0x100, true}); /* no whole page */
	send(g, REPORTING, &(struct vbuf){0x404800, 0x1000, true});
	assert_int_equal(*ram(g->h, 0x404800), 0xcc);
	assert_int_equal(*ram(g->h, 0x405000), 0xcc);
	assert_int_equal(g->b->discarded, 0x2000);
	/* A poison value must survive: nothing is given back (V 5.5.6.6, 5.5.6.7). */
	vdrv_set_config(g->v, 12, 4, 0xaaaaaaaa);
	send(g, REPORTING, &(struct vbuf){0x404000, 0x1000, true});
	assert_int_equal(*ram(g->h, 0x404000), 0xcc);
	vdrv_set_config(g->v, 12, 4, 0);
	send(g, REPORTING, &(struct vbuf){0x404000, 0x1000, true});
	assert_int_equal(*ram(g->h, 0x404000), 0);
	rig_free(g);
}

static void put_stats(struct rig *g, uint64_t base)
{
	uint8_t *p = ram(g->h, 0x20000);

	for (unsigned i = 0; i < 12; i++) {
		st_le16(p + 10 * i, (uint16_t)i);
		st_le64(p + 10 * i + 2, base + i);
	}
	vring_add(&g->v->ring[STATS], &(struct vbuf){0x20000, 120, false}, 1, 0);
	vdrv_kick(g->v, STATS);
}

/* V 5.5.6.3: the driver's buffer is held until the next report is wanted. */
static void test_stats(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed), *b = rig_new(packed);
		uint16_t id;
		uint32_t len;

		up(g, packed);
		put_stats(g, 100);
		assert_int_equal(g->reports, 1);
		assert_int_equal(g->b->s.stats[9], 109);
		assert_int_equal(g->b->s.stats_valid, 0x3ff); /* unknown tags are skipped */
		assert_false(vring_get(&g->v->ring[STATS], &id, &len));
		harness_step(g->h, 5 * NS_PER_SEC);
		virtio_balloon_request_stats(g->b);
		assert_int_equal(vdrv_isr(g->v), 1);
		assert_true(vring_get(&g->v->ring[STATS], &id, &len));
		put_stats(g, 200);
		assert_int_equal(g->reports, 2);
		assert_int_equal(g->b->s.stats[0], 200);
		assert_int_equal(g->b->s.stats_at, 5 * NS_PER_SEC);
		/* The held buffer moves with the machine. */
		vdrv_restore(b->v, g->v);
		assert_int_equal(b->b->s.stats[0], 200);
		virtio_balloon_request_stats(b->b);
		assert_true(vring_get(&b->v->ring[STATS], &id, &len));
		put_stats(b, 300);
		assert_int_equal(b->b->s.stats[1], 301);
		/* Asked twice, or before there is a buffer. */
		virtio_balloon_request_stats(b->b);
		virtio_balloon_request_stats(b->b);
		assert_true(vring_get(&b->v->ring[STATS], &id, &len));
		put_stats(b, 400);
		assert_true(vring_get(&b->v->ring[STATS], &id, &len));
		/* Reset while it is held. */
		put_stats(b, 500);
		vdrv_set_status(b->v, 0);
		virtio_balloon_request_stats(b->b);
		up(b, packed);
		put_stats(b, 600);
		assert_int_equal(b->b->s.stats[0], 600);
		rig_free(g);
		rig_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_inflate),
		cmocka_unit_test(test_reporting),
		cmocka_unit_test(test_stats),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
