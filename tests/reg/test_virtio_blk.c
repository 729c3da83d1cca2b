/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio block device on a disk in memory. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_blk.h"
#include "fake_block.h"
#include "vring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { F_RO = 5, F_FLUSH = 9, F_WCE = 11, F_MQ = 12, F_DISCARD = 13, F_ZEROES = 14 };
enum { T_IN, T_OUT, T_FLUSH = 4, T_GET_ID = 8, T_DISCARD = 11, T_ZEROES = 13 };
enum { OK, IOERR, UNSUPP, NONE = 0xee };
#define DISK (1 * MIB)

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_blk *blk;
	struct block *b;
};

static struct rig *rig_new(bool packed, unsigned queues, bool read_only)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	g->b = fake_block_new(DISK);
	g->b->read_only = read_only;
	for (unsigned i = 0; i < DISK; i++)
		g->b->data[i] = (uint8_t)(i / 512 + i);
	g->blk = (struct virtio_blk *)dev_new(&virtio_blk_class, "disk0", &g->h->sv);
	g->blk->block = g->b;
	g->blk->n_queues = queues;
	g->blk->vd.packed = packed;
	strcpy(g->blk->serial, "serial-0123456789abc");
	vdrv_pci(g->v, g->h, &g->blk->vd);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	fake_block_free(g->b);
	free(g->v);
	free(g);
}

/* Guest addresses of request number @i. */
static gpa_t at(unsigned i)
{
	return 0x200000 + i * 0x10000ull;
}

static void header(struct rig *g, unsigned i, uint32_t type, uint64_t sector)
{
	uint8_t *p = ram(g->h, at(i));

	st_le32(p, type);
	st_le32(p + 4, 0);
	st_le64(p + 8, sector);
	*ram(g->h, at(i) + 0x100) = NONE;
}

/* Request @i on queue @q with @len bytes of data in two pieces; not kicked. */
static void put(struct rig *g, unsigned q, unsigned i, uint32_t type, uint64_t sector, uint32_t len)
{
	bool in = type == T_IN || type == T_GET_ID;
	uint32_t half = len / 2;
	const struct vbuf buf[] = {{at(i), 16, false},
				   {at(i) + 0x1000, half, in},
				   {at(i) + 0x1000 + half, len - half, in},
				   {at(i) + 0x100, 1, true}};

	header(g, i, type, sector);
	vring_add(&g->v->ring[q], buf, 4, at(i) + 0x200);
}

static uint8_t status(struct rig *g, unsigned i)
{
	return *ram(g->h, at(i) + 0x100);
}

/* put, kick, let the disk work; the status byte. */
static uint8_t request(struct rig *g, uint32_t type, uint64_t sector, uint32_t len)
{
	uint16_t id;
	uint32_t used;

	put(g, 0, 0, type, sector, len);
	vdrv_kick(g->v, 0);
	while (fake_block_run(g->b, 100, false))
		;
	if (status(g, 0) != NONE)
		assert_true(vring_get(&g->v->ring[0], &id, &used));
	return status(g, 0);
}

static const uint64_t all = BIT(F_FLUSH) | BIT(F_DISCARD) | BIT(F_ZEROES) |
			    BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX);

static void test_config(void **state)
{
	struct rig *g = rig_new(false, 4, false);

	(void)state;
	assert_int_equal(vdrv_cfg(g->v, 0, 4), 0x10421af4);
	assert_int_equal(vdrv_config(g->v, 0, 4), DISK / 512); /* V 5.2.4: capacity */
	assert_int_equal(vdrv_config(g->v, 4, 4), 0);
	assert_int_equal(vdrv_config(g->v, 12, 4), 254);
	assert_int_equal(vdrv_config(g->v, 20, 4), 512);
	assert_int_equal(vdrv_config(g->v, 32, 1), 1);
	assert_int_equal(vdrv_config(g->v, 34, 2), 4);
	assert_int_equal(vdrv_config(g->v, 40, 4), 16);
	assert_int_equal(vdrv_config(g->v, 63, 1), 0);
	/* V 5.2.3: what is offered. */
	writel(g->h, VDRV_BAR, 0);
	uint32_t f = readl(g->h, VDRV_BAR + 4);
	assert_true(
		(f & (BIT(F_FLUSH) | BIT(F_MQ) | BIT(F_DISCARD) | BIT(F_ZEROES) | BIT(F_WCE))) ==
		(BIT(F_FLUSH) | BIT(F_MQ) | BIT(F_DISCARD) | BIT(F_ZEROES) | BIT(F_WCE)));
	assert_false(f & BIT(F_RO));
	assert_false(f & BIT(7)); /* no SCSI passthrough */
	assert_int_equal(readw(g->h, VDRV_BAR + 0x12), 4);
	/* Read-only fields. */
	vdrv_set_config(g->v, 0, 4, 1);
	assert_int_equal(vdrv_config(g->v, 0, 4), DISK / 512);
	/* V 5.2.5.2: `writeback` belongs to CONFIG_WCE. */
	vdrv_set_config(g->v, 32, 1, 0);
	assert_int_equal(vdrv_config(g->v, 32, 1), 1);
	rig_free(g);
	g = rig_new(false, 1, true);
	writel(g->h, VDRV_BAR, 0);
	f = readl(g->h, VDRV_BAR + 4);
	assert_true(f & BIT(F_RO));
	assert_false(f & (BIT(F_DISCARD) | BIT(F_ZEROES) | BIT(F_MQ)));
	vdrv_up(g->v, BIT(F_RO) | BIT(VIRTIO_F_INDIRECT_DESC), 1, 16);
	assert_int_equal(request(g, T_IN, 3, 512), OK);
	assert_int_equal(request(g, T_OUT, 3, 512), IOERR); /* V 5.2.6.2 */
	rig_free(g);
}

static void test_read_write(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed, 1, false);
		uint8_t *data = ram(g->h, at(0) + 0x1000);

		vdrv_up(g->v, all | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 1, 16);
		for (unsigned i = 0; i < 50; i++) {
			assert_int_equal(request(g, T_IN, i, 1536), OK);
			assert_memory_equal(data, g->b->data + i * 512, 1536);
			memset(data, (int)i, 1024);
			assert_int_equal(request(g, T_OUT, 100 + i, 1024), OK);
			assert_int_equal(g->b->data[(100 + i) * 512], i);
			assert_int_equal(g->b->data[(101 + i) * 512 + 511], i);
		}
		assert_int_equal(g->b->fua_writes, 0);
		assert_int_equal(request(g, T_FLUSH, 0, 0), OK);
		assert_int_equal(g->b->flushes, 1);
		assert_int_equal(request(g, T_GET_ID, 0, 20), OK);
		assert_memory_equal(data, "serial-0123456789abc", 20);
		data[4] = 0x77;
		assert_int_equal(request(g, T_GET_ID, 0, 4), OK); /* never past the buffer */
		assert_memory_equal(data, "seri\x77", 5);
		/* Errors, V 5.2.6.2 */
		assert_int_equal(request(g, T_IN, DISK / 512, 512), IOERR);
		assert_int_equal(request(g, T_IN, DISK / 512 - 1, 1024), IOERR);
		assert_int_equal(request(g, T_OUT, ~0ull, 512), IOERR);
		assert_int_equal(request(g, T_OUT, 1ull << 55, 512), IOERR);
		assert_int_equal(request(g, T_IN, 0, 100), IOERR);
		assert_int_equal(request(g, T_IN, 0, 0), OK);
		assert_int_equal(request(g, 2, 0, 512), UNSUPP); /* SCSI */
		assert_int_equal(request(g, 0xffffffff, 0, 512), UNSUPP);
		g->b->fail = -EIO;
		assert_int_equal(request(g, T_IN, 0, 512), IOERR);
		g->b->fail = -EIO;
		assert_int_equal(request(g, T_FLUSH, 0, 0), IOERR);
		assert_int_equal(vdrv_status(g->v), 0x0f);
		rig_free(g);
	}
}

/* V 2.7.4.2: no assumption on how a request is cut up. */
static void test_framing(void **state)
{
	struct rig *g = rig_new(false, 1, false);
	uint16_t id;
	uint32_t len;

	(void)state;
	vdrv_up(g->v, all, 1, 16);
	/* Header and data in one piece, one byte of header alone, data and status in one piece. */
	header(g, 0, T_OUT, 7);
	memset(ram(g->h, at(0) + 16), 0x3c, 512);
	vring_add(&g->v->ring[0],
		  (struct vbuf[]){{at(0), 1, false},
				  {at(0) + 1, 15 + 512, false},
				  {at(0) + 0x1000, 1, true}},
		  3, 0);
	header(g, 1, T_IN, 7);
	vring_add(&g->v->ring[0], (struct vbuf[]){{at(1), 16, false}, {at(1) + 0x1000, 513, true}},
		  2, 0);
	vdrv_kick(g->v, 0);
	fake_block_run(g->b, 1, false);
	fake_block_run(g->b, 1, false);
	assert_true(vring_get(&g->v->ring[0], &id, &len));
	assert_int_equal(len, 1);
	assert_int_equal(*ram(g->h, at(0) + 0x1000), OK);
	assert_true(vring_get(&g->v->ring[0], &id, &len));
	assert_int_equal(len, 513);
	assert_int_equal(*ram(g->h, at(1) + 0x1000), 0x3c);
	assert_int_equal(*ram(g->h, at(1) + 0x1000 + 512), OK);
	/* No room for a status, or no header: the device gives up. */
	static const struct vbuf bad[][2] = {{{0x10000, 16, false}, {0x10000, 512, false}},
					     {{0x10000, 15, false}, {0x20000, 1, true}}};
	for (unsigned i = 0; i < 2; i++) {
		vring_add(&g->v->ring[0], bad[i], 2, 0);
		vdrv_kick(g->v, 0);
		assert_int_equal(vdrv_status(g->v), 0x4f);
		vdrv_up(g->v, all, 1, 16);
	}
	assert_int_equal(request(g, T_IN, 0, 512), OK);
	rig_free(g);
}

/* One DISCARD or WRITE_ZEROES with up to two ranges. */
static uint8_t ranges(struct rig *g, uint32_t type, unsigned n, uint64_t sector, uint32_t count,
		      uint32_t flags)
{
	uint8_t *p = ram(g->h, at(0) + 0x1000);

	for (unsigned i = 0; i < n; i++) {
		st_le64(p + 16 * i, sector + 16 * i);
		st_le32(p + 16 * i + 8, count);
		st_le32(p + 16 * i + 12, flags);
	}
	return request(g, type, 0, 16 * n);
}

static void test_ranges(void **state)
{
	struct rig *g = rig_new(false, 1, false);

	(void)state;
	vdrv_up(g->v, all, 1, 16);
	assert_int_equal(ranges(g, T_ZEROES, 2, 8, 2, 0), OK);
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(g->b->data[8 * 512 + i] | g->b->data[24 * 512 + i], 0);
	assert_int_not_equal(g->b->data[10 * 512 + 1], 0);
	assert_int_equal(ranges(g, T_ZEROES, 1, 8, 2, 1), OK); /* unmap is a hint */
	assert_int_equal(ranges(g, T_DISCARD, 16, 8, 1, 0), OK);
	assert_int_equal(g->b->discards, 16);
	/* V 5.2.6.2 */
	assert_int_equal(ranges(g, T_DISCARD, 1, 8, 2, 1), UNSUPP);
	assert_int_equal(ranges(g, T_ZEROES, 1, 8, 2, 2), UNSUPP);
	assert_int_equal(ranges(g, T_DISCARD, 17, 8, 2, 0), IOERR);
	assert_int_equal(ranges(g, T_DISCARD, 0, 8, 2, 0), IOERR);
	assert_int_equal(ranges(g, T_DISCARD, 1, 8, (1u << 22) + 1, 0), IOERR);
	assert_int_equal(ranges(g, T_DISCARD, 1, DISK / 512 - 1, 2, 0), IOERR);
	assert_int_equal(ranges(g, T_ZEROES, 1, ~0ull, 1, 0), IOERR);
	assert_int_equal(request(g, T_DISCARD, 0, 24), IOERR);
	/* The second range fails: the request fails. */
	put(g, 0, 0, T_ZEROES, 0, 32);
	st_le64(ram(g->h, at(0) + 0x1000), 100);
	st_le32(ram(g->h, at(0) + 0x1008), 1);
	st_le32(ram(g->h, at(0) + 0x100c), 0);
	st_le64(ram(g->h, at(0) + 0x1010), 200);
	st_le32(ram(g->h, at(0) + 0x1018), 1);
	st_le32(ram(g->h, at(0) + 0x101c), 0);
	vdrv_kick(g->v, 0);
	assert_int_equal(fake_block_run(g->b, 1, false), 1);
	assert_int_equal(status(g, 0), NONE);
	g->b->fail = -EIO;
	fake_block_run(g->b, 1, false);
	assert_int_equal(status(g, 0), IOERR);
	rig_free(g);
	/* Not negotiated. */
	g = rig_new(false, 1, false);
	vdrv_up(g->v, BIT(VIRTIO_F_INDIRECT_DESC), 1, 16);
	assert_int_equal(ranges(g, T_DISCARD, 1, 8, 1, 0), UNSUPP);
	assert_int_equal(ranges(g, T_ZEROES, 1, 8, 1, 0), UNSUPP);
	rig_free(g);
}

/* V 5.2.5.2: when a write must be durable. */
static void test_write_cache(void **state)
{
	struct rig *g = rig_new(false, 1, false);
	const uint64_t base = BIT(VIRTIO_F_INDIRECT_DESC);

	(void)state;
	vdrv_up(g->v, base, 1, 16);
	assert_int_equal(request(g, T_OUT, 0, 512), OK);
	assert_int_equal(g->b->fua_writes, 1); /* neither FLUSH nor CONFIG_WCE */
	vdrv_up(g->v, base | BIT(F_FLUSH), 1, 16);
	assert_int_equal(request(g, T_OUT, 0, 512), OK);
	assert_int_equal(g->b->fua_writes, 1);
	vdrv_up(g->v, base | BIT(F_FLUSH) | BIT(F_WCE), 1, 16);
	vdrv_set_config(g->v, 32, 1, 0);
	assert_int_equal(vdrv_config(g->v, 32, 1), 0);
	assert_int_equal(request(g, T_OUT, 0, 512), OK);
	assert_int_equal(g->b->fua_writes, 2);
	vdrv_set_config(g->v, 32, 1, 1);
	assert_int_equal(request(g, T_OUT, 0, 512), OK);
	assert_int_equal(g->b->fua_writes, 2);
	vdrv_set_config(g->v, 32, 1, 0);
	vdrv_up(g->v, base | BIT(F_FLUSH) | BIT(F_WCE), 1, 16);
	assert_int_equal(vdrv_config(g->v, 32, 1), 1); /* reset: write-back again */
	rig_free(g);
}

/* Many at once, on several queues, ending in any order; one interrupt each wanted. */
static void test_in_flight(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed, 2, false);
		unsigned got = 0;
		uint16_t id;
		uint32_t len;

		vdrv_up(g->v, all | BIT(F_MQ) | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 2, 16);
		for (unsigned i = 0; i < 32; i++)
			put(g, i & 1, i, T_IN, i, 512);
		vdrv_kick(g->v, 0);
		vdrv_kick(g->v, 1);
		assert_int_equal(g->b->n_queued, 32);
		for (unsigned i = 0; fake_block_run(g->b, 1 + i % 3, i & 1); i++)
			;
		for (unsigned q = 0; q < 2; q++)
			while (vring_get(&g->v->ring[q], &id, &len))
				got++;
		assert_int_equal(got, 32);
		for (unsigned i = 0; i < 32; i++) {
			assert_int_equal(status(g, i), OK);
			assert_memory_equal(ram(g->h, at(i) + 0x1000), g->b->data + 512 * i, 512);
		}
		rig_free(g);
	}
}

/* Four requests have ended, two wait for host space. */
static void six_under_way(struct rig *g)
{
	g->b->no_space = true;
	for (unsigned i = 0; i < 6; i++)
		put(g, 0, i, i & 1 ? T_OUT : T_IN, i, 512);
	vdrv_kick(g->v, 0);
	fake_block_run(g->b, 4, false);
	assert_int_equal(g->b->n_parked, 2);
}

/* Reset with requests in flight: they end before it returns, nothing is touched after it. */
static void test_reset_in_flight(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed, 1, false);

		vdrv_up(g->v, all | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 1, 16);
		six_under_way(g);
		vdrv_set_status(g->v, 0);
		assert_int_equal(g->b->n_parked + g->b->n_queued, 0);
		g->b->no_space = false;
		vdrv_up(g->v, all | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 1, 16);
		assert_int_equal(request(g, T_IN, 0, 512), OK);
		/* The whole machine goes while requests are in flight. */
		put(g, 0, 1, T_IN, 1, 512);
		vdrv_kick(g->v, 0);
		rig_free(g);
	}
}

/* Pulled out: what is under way ends, what still comes fails, and the driver can reset it. */
static void test_pulled(void **state)
{
	struct rig *g = rig_new(false, 1, false);

	(void)state;
	vdrv_up(g->v, all, 1, 16);
	six_under_way(g);
	vdrv_isr(g->v);
	for (unsigned i = 0; i < 7; i++) {
		uint16_t id;
		uint32_t len;
		bool over = vring_get(&g->v->ring[0], &id, &len);

		assert_int_equal(over, i != 2);
		if (over)
			continue;
		vring_want_irq(&g->v->ring[0], true);
		bus_lock(&g->h->bus);
		virtio_blk_pull(g->blk);
		bus_unlock(&g->h->bus);
		assert_int_equal(g->b->n_parked + g->b->n_queued, 0);
		assert_int_equal(vdrv_isr(g->v), 1);
	}
	assert_int_equal(status(g, 0), OK);
	assert_int_equal(status(g, 1), IOERR);
	assert_int_equal(request(g, T_IN, 0, 512), IOERR);
	assert_int_equal(request(g, T_OUT, 0, 512), IOERR);
	assert_int_equal(g->b->n_queued, 0);
	vdrv_set_status(g->v, 0);
	assert_int_equal(vdrv_status(g->v), 0);
	rig_free(g);
}

/* Requests parked for lack of space survive a snapshot: they are done by the restored device. */
static void test_restore_parked(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *a = rig_new(packed, 1, false), *b = rig_new(packed, 1, false);
		uint64_t f = all | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0);
		unsigned got = 0;
		uint16_t id;
		uint32_t len;

		vdrv_up(a->v, f, 1, 16);
		for (unsigned i = 0; i < 9; i++)
			request(a, T_IN, i, 512);
		a->b->no_space = true;
		for (unsigned i = 0; i < 8; i++) {
			memset(ram(a->h, at(i) + 0x1000), 0x40 + (int)i, 512);
			put(a, 0, i, i % 3 ? T_OUT : T_IN, 50 + i, 512);
		}
		vdrv_kick(a->v, 0);
		fake_block_run(a->b, 3, true);
		vdrv_restore(b->v, a->v);
		assert_int_equal(a->b->n_queued, 0); /* drained to a request boundary */
		assert_int_equal(a->b->n_parked, 5);
		assert_true(b->b->n_queued >= 5);
		while (fake_block_run(b->b, 1, true))
			;
		while (vring_get(&b->v->ring[0], &id, &len))
			got++;
		assert_int_equal(got, 8);
		for (unsigned i = 0; i < 8; i++) {
			assert_int_equal(status(b, i), OK);
			if (i % 3)
				assert_int_equal(b->b->data[(50 + i) * 512], 0x40 + i);
		}
		for (unsigned i = 0; i < 20; i++)
			assert_int_equal(request(b, T_IN, i, 512), OK);
		/* The first machine may also just go on. */
		a->b->no_space = false;
		a->blk->vd.dev.cls->resume(&a->blk->vd.dev);
		block_retry(a->b);
		fake_block_run(a->b, 100, false);
		for (unsigned i = 0; i < 8; i++)
			assert_int_equal(status(a, i), OK);
		rig_free(a);
		rig_free(b);
	}
}

static void test_state(void **state)
{
	struct rig *g = rig_new(false, 3, false);

	(void)state;
	harness_check_state_roundtrip(&g->blk->vd.dev);
	vdrv_up(g->v, all | BIT(F_MQ), 3, 16);
	request(g, T_IN, 0, 512);
	harness_check_state_roundtrip(&g->blk->vd.dev);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),          cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_framing),         cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_write_cache),     cmocka_unit_test(test_in_flight),
		cmocka_unit_test(test_reset_in_flight), cmocka_unit_test(test_pulled),
		cmocka_unit_test(test_restore_parked),  cmocka_unit_test(test_state),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
