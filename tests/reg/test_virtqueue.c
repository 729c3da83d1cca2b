/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtqueues against the driver's side in vring.c. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtqueue.h"
#include "vring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct rig {
	struct harness *h;
	struct virtq q;
	struct virtq_regs regs;
	struct vring *r;
	const char *broken; /* why */
};

static void on_broken(void *ctx, struct virtq *q, const char *why)
{
	struct rig *g = ctx;

	assert_null(g->broken); /* told once */
	g->broken = why;
}

static void rig_ring(struct rig *g, uint16_t size, bool packed, bool event_idx)
{
	vq_reset(&g->q);
	g->broken = NULL;
	vring_init(g->r, g->h, MIB, size, packed, event_idx);
	g->regs.desc = g->r->desc;
	g->regs.driver = g->r->driver;
	g->regs.device = g->r->device;
	g->regs.size = size;
	g->regs.ready = true;
	assert_int_equal(vq_enable(&g->q, packed, event_idx, true), 0);
	g->q.budget = 1000;
}

static struct rig *rig_new(void)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->r = xnew(struct vring);
	assert_int_equal(vq_init(&g->q, 0, VQ_SIZE_MAX, g->h->mem, &g->regs), 0);
	g->q.broken = on_broken;
	g->q.ctx = g;
	return g;
}

static void rig_free(struct rig *g)
{
	vq_done(&g->q);
	harness_free(g->h);
	free(g->r);
	free(g);
}

/* The four ways to present a buffer. */
static const struct {
	const char *name;
	bool packed, indirect;
} ways[] = {
	{"split", false, false},
	{"split indirect", false, true},
	{"packed", true, false},
	{"packed indirect", true, true},
};

/* A request in pieces: all of it arrives, in order, and what is written goes back. */
static void test_transfer(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf[] = {{0x10000, 5, false},
				   {0x20000, 0, false}, /* empty pieces are harmless */
				   {0x21000, 7, false},
				   {0x30000, 3, true},
				   {0x31000, 9, true}};
	uint8_t got[16];
	uint16_t id, want;
	uint32_t len;

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
		rig_ring(g, 8, ways[w].packed, false);
		memcpy(ram(g->h, 0x10000), "hello", 5);
		memcpy(ram(g->h, 0x21000), ", world", 7);
		memset(ram(g->h, 0x30000), 0xee, 3);
		memset(ram(g->h, 0x31000), 0xee, 10);
		assert_null(vq_pop(&g->q));
		assert_true(g->q.saw_empty);
		want = vring_add(g->r, buf, 5, ways[w].indirect ? 0x40000 : 0);
		assert_false(vq_empty(&g->q));
		struct vq_elem *e = vq_pop(&g->q);
		if (!e)
			fail_msg("%s: nothing popped: %s", ways[w].name, g->broken);
		assert_int_equal(e->rd_len, 12);
		assert_int_equal(e->wr_len, 12);
		struct vq_cursor rd = vq_reader(e), wr = vq_writer(e);
		assert_int_equal(vq_read_exact(&rd, got, 13), -ENODATA);
		assert_int_equal(vq_read_exact(&rd, got, 12), 0);
		assert_memory_equal(got, "hello, world", 12);
		assert_int_equal(vq_read(&rd, got, 1), 0);
		assert_int_equal(vq_write_exact(&wr, "0123456789abc", 13), -ENOSPC);
		assert_int_equal(vq_write(&wr, "0123", 4), 4);
		vq_push(e, 4);
		assert_memory_equal(ram(g->h, 0x30000), "012", 3);
		assert_memory_equal(ram(g->h, 0x31000), "3\xee", 2);
		/* V 2.7.8, 2.8.21: the used element has id and written length. */
		assert_true(vring_get(g->r, &id, &len));
		assert_int_equal(id, want);
		assert_int_equal(len, 4);
		assert_false(vring_get(g->r, &id, &len));
		assert_true(vq_empty(&g->q));
		assert_null(g->broken);
	}
	rig_free(g);
}

/* V 2.7.6, 2.8.1: indices run freely modulo 65536, ring positions and wrap counters modulo size. */
static void test_wrap(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf[] = {{0x10000, 16, false}, {0x20000, 16, true}};
	uint16_t id, want;
	uint32_t len;

	(void)state;
	for (unsigned w = 0; w < ARRAY_SIZE(ways); w++) {
		for (unsigned event = 0; event < 2; event++) {
			/* 7 slots with 2 a buffer: packed chains cross the end of the ring. */
			rig_ring(g, ways[w].packed ? 7 : 8, ways[w].packed, event);
			if (!ways[w].packed)
				vring_start_at(g->r, &g->regs, 65530);
			for (unsigned i = 0; i < 100; i++) {
				want = vring_add(g->r, buf, 2, ways[w].indirect ? 0x40000 : 0);
				vring_want_irq(g->r, true);
				struct vq_elem *e = vq_pop(&g->q);
				if (!e)
					fail_msg("%s: turn %u: %s", ways[w].name, i, g->broken);
				vq_push(e, i + 1);
				assert_true(vq_should_notify(&g->q));
				assert_false(vq_should_notify(&g->q));
				assert_true(vring_get(g->r, &id, &len));
				assert_int_equal(id, want);
				assert_int_equal(len, i < 15 ? i + 1 : 16);
				g->q.budget = 8;
			}
			assert_null(g->broken);
		}
	}
	rig_free(g);
}

/* Several in flight, given back in another order. Split: in that order (V 2.7.8 knows no order);
 * packed: in ring order, because used descriptors overwrite the ring (V 2.8). */
static void test_out_of_order(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf[] = {{0x10000, 16, false}, {0x20000, 64, true}};
	struct vq_elem *e[3];
	uint16_t ids[3], id;
	uint32_t len;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		rig_ring(g, 8, packed, false);
		for (unsigned i = 0; i < 3; i++)
			ids[i] = vring_add(g->r, buf, 2, 0);
		for (unsigned i = 0; i < 3; i++)
			assert_non_null(e[i] = vq_pop(&g->q));
		assert_int_equal(vq_inflight(&g->q), 3);
		vq_push(e[2], 3);
		assert_int_equal(vring_get(g->r, &id, &len), !packed);
		if (!packed)
			assert_int_equal(id, ids[2]);
		vq_push(e[0], 1);
		assert_true(vring_get(g->r, &id, &len));
		assert_int_equal(id, ids[0]);
		vq_push(e[1], 2);
		assert_true(vring_get(g->r, &id, &len));
		assert_int_equal(id, ids[1]);
		assert_int_equal(len, 2);
		assert_int_equal(vring_get(g->r, &id, &len), packed);
		assert_int_equal(vq_inflight(&g->q), 0);
	}
	rig_free(g);
}

/* V 5.1.6.4: all buffers of one frame become visible together. */
static void test_batch(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf = {0x20000, 64, true};
	struct vq_elem *e[3];
	const uint64_t written[3] = {10, 20, 30};
	uint16_t id;
	uint32_t len;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		rig_ring(g, 4, packed, false);
		for (unsigned i = 0; i < 3; i++)
			vring_add(g->r, &buf, 1, 0);
		for (unsigned i = 0; i < 3; i++)
			assert_non_null(e[i] = vq_pop(&g->q));
		vq_push_batch(e, written, 3);
		for (unsigned i = 0; i < 3; i++) {
			assert_true(vring_get(g->r, &id, &len));
			assert_int_equal(len, written[i]);
		}
		assert_false(vring_get(g->r, &id, &len));
	}
	rig_free(g);
}

static void test_unpop(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf[] = {{0x10000, 16, false}, {0x20000, 64, true}};

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		rig_ring(g, packed ? 3 : 4, packed, false);
		for (unsigned i = 0; i < 10; i++) {
			uint16_t id, want = vring_add(g->r, buf, 2, 0);
			uint32_t len;
			struct virtq_regs before = g->regs;
			struct vq_elem *e = vq_pop(&g->q);
			assert_non_null(e);
			vq_unpop(e);
			assert_memory_equal(&before, &g->regs, sizeof(before));
			assert_non_null(e = vq_pop(&g->q));
			vq_push(e, 1);
			assert_true(vring_get(g->r, &id, &len));
			assert_int_equal(id, want);
			g->q.budget = 8;
		}
	}
	rig_free(g);
}

/* V 2.7.7, 2.8.10: who wants to be told what. */
static void test_suppression(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf = {0x20000, 64, true};
	uint16_t id;
	uint32_t len;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		for (unsigned event = 0; event < 2; event++) {
			rig_ring(g, 8, packed, event);
			/* interrupts off */
			vring_add(g->r, &buf, 1, 0);
			vring_want_irq(g->r, false);
			vq_push(vq_pop(&g->q), 0);
			assert_false(vq_should_notify(&g->q));
			assert_true(vring_get(g->r, &id, &len));
			/* on, after the second element from here */
			vring_want_irq(g->r, true);
			if (event && !packed)
				st_le16(ram(g->h, g->r->driver + 4 + 16), g->r->used + 1);
			if (event && packed)
				st_le16(ram(g->h, g->r->driver), (g->r->used + 1) | 0x8000);
			vring_add(g->r, &buf, 1, 0);
			vq_push(vq_pop(&g->q), 0);
			assert_int_equal(vq_should_notify(&g->q), !event);
			vring_add(g->r, &buf, 1, 0);
			vq_push(vq_pop(&g->q), 0);
			assert_true(vq_should_notify(&g->q));
			/* kicks */
			uint16_t old = g->r->avail;
			vq_kick_off(&g->q);
			vring_add(g->r, &buf, 1, 0);
			if (!event)
				assert_false(vring_kick_wanted(g->r, old));
			assert_true(vq_kick_on(&g->q)); /* one came meanwhile */
			vq_push(vq_pop(&g->q), 0);
			old = g->r->avail;
			assert_false(vq_kick_on(&g->q));
			vring_add(g->r, &buf, 1, 0);
			assert_true(vring_kick_wanted(g->r, old));
		}
	}
	rig_free(g);
}

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

/* Each row makes descriptor 0 (and a table at 40000h) wrong; the queue breaks, once. */
static void test_malformed_split(void **state)
{
	struct rig *g = rig_new();
	static const struct {
		struct {
			uint64_t addr;
			uint32_t len;
			uint16_t flags, next;
		} d[2], t[2];
		bool no_indirect;
		const char *cite;
	} rows[] = {
		/* clang-format off */
		{{{0x10000, 16, NEXT, 0}}, {{0}}, false, "V 2.7.5.1: loop"},
		{{{0x10000, 16, NEXT, 8}}, {{0}}, false, "V 2.7.5: next past the table"},
		{{{0x10000, 16, NEXT, 0xffff}}, {{0}}, false, "V 2.7.5: next past the table"},
		{{{0x10000, 16, NEXT | WRITE, 1}, {0x10000, 16, 0, 0}}, {{0}}, false, "V 2.7.4.2: readable after writable"},
		{{{0x1000000, 16, 0, 0}}, {{0}}, false, "not RAM: just past its end"},
		{{{0xfffff0, 17, WRITE, 0}}, {{0}}, false, "not RAM: last byte"},
		{{{~0ull - 7, 16, 0, 0}}, {{0}}, false, "wraps around"},
		{{{0x40000, 0, INDIRECT, 0}}, {{0}}, false, "V 2.7.5.3: empty table"},
		{{{0x40000, 24, INDIRECT, 0}}, {{0}}, false, "V 2.7.5.3: length no multiple of 16"},
		{{{0x40000, 32, INDIRECT | NEXT, 1}}, {{0}}, false, "V 2.7.5.3.1: INDIRECT and NEXT"},
		{{{0x40000, 32, INDIRECT, 0}}, {{0x40000, 32, INDIRECT, 0}}, false, "V 2.7.5.3.1: nested"},
		{{{0x40000, 32, INDIRECT, 0}}, {{0x10000, 16, NEXT, 2}}, false, "V 2.7.5.3: next past the table"},
		{{{0x40000, 32, INDIRECT, 0}}, {{0x10000, 16, NEXT, 0}}, false, "V 2.7.5.3: loop in the table"},
		{{{0x40000, 32, INDIRECT, 0}}, {{0x10000, 0, NEXT, 1}, {0x10000, 0, NEXT, 0}}, false, "V 2.7.5.3: loop of empty pieces"},
		{{{0x10000, 0, NEXT, 1}, {0x10000, 0, NEXT, 0}}, {{0}}, false, "V 2.7.5.1: loop of empty pieces"},
		{{{0x40000, 16, INDIRECT, 0}}, {{0x10000, 16, 0, 0}}, true, "V 6: INDIRECT_DESC not negotiated"},
		{{{0x2000000, 32, INDIRECT, 0}}, {{0}}, false, "table not in RAM"},
		/* clang-format on */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		rig_ring(g, 8, false, false);
		g->q.a.indirect = !rows[i].no_indirect;
		for (unsigned k = 0; k < 2; k++) {
			vring_put_desc(g->r, g->r->desc, k, rows[i].d[k].addr, rows[i].d[k].len,
				       rows[i].d[k].flags, rows[i].d[k].next);
			vring_put_desc(g->r, 0x40000, k, rows[i].t[k].addr, rows[i].t[k].len,
				       rows[i].t[k].flags, rows[i].t[k].next);
		}
		vring_publish(g->r, 0);
		if (vq_pop(&g->q) || !g->broken)
			fail_msg("row %u accepted: %s", i, rows[i].cite);
		assert_false(g->q.live);
		assert_null(vq_pop(&g->q));
		assert_int_equal(vq_inflight(&g->q), 0);
	}
	/* V 2.7.6: head past the table, index moved by more than the ring. */
	rig_ring(g, 8, false, false);
	vring_publish(g->r, 8);
	assert_null(vq_pop(&g->q));
	assert_non_null(g->broken);
	rig_ring(g, 8, false, false);
	st_le16(ram(g->h, g->r->driver + 2), 9);
	assert_null(vq_pop(&g->q));
	assert_non_null(g->broken);
	/* Rings that are not in RAM. */
	rig_ring(g, 8, false, false);
	g->q.a.driver = 0x3000000;
	assert_null(vq_pop(&g->q));
	assert_non_null(g->broken);
	rig_ring(g, 8, false, false);
	vring_add(g->r, &(struct vbuf){0x10000, 4, true}, 1, 0);
	g->q.a.device = 0x3000000;
	vq_push(vq_pop(&g->q), 4);
	assert_non_null(g->broken);
	rig_free(g);
}

static void test_malformed_packed(void **state)
{
	struct rig *g = rig_new();
	enum { AVAIL = 1 << 7 };
	static const struct {
		struct {
			uint64_t addr;
			uint32_t len;
			uint16_t id, flags;
		} d[2], t[2];
		const char *cite;
	} rows[] = {
		/* clang-format off */
		{{{0x10000, 16, 0, AVAIL | NEXT}, {0x10000, 16, 0, NEXT}}, {{0}}, "V 2.8.6: chain longer than the ring"},
		{{{0x10000, 16, 0, AVAIL | NEXT | WRITE}, {0x10000, 16, 0, 0}}, {{0}}, "V 2.8.6: readable after writable"},
		{{{0x1000000, 1, 0, AVAIL}}, {{0}}, "not RAM"},
		{{{0x40000, 24, 0, AVAIL | INDIRECT}}, {{0}}, "V 2.8.7: length no multiple of 16"},
		{{{0x40000, 0, 0, AVAIL | INDIRECT}}, {{0}}, "V 2.8.7: empty table"},
		{{{0x40000, 16, 0, AVAIL | INDIRECT | NEXT}}, {{0}}, "V 2.8.7: INDIRECT and NEXT"},
		{{{0x40000, 16, 0, AVAIL | INDIRECT}}, {{0x40000, 16, 0, INDIRECT}}, "V 2.8.7: nested"},
		{{{0x40000, 1025 * 16, 0, AVAIL | INDIRECT}}, {{0}}, "more than VQ_IOV_MAX descriptors"},
		/* clang-format on */
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		rig_ring(g, 2, true, false);
		for (unsigned k = 0; k < 2; k++) {
			vring_put_desc(g->r, g->r->desc, k, rows[i].d[k].addr, rows[i].d[k].len,
				       rows[i].d[k].id, rows[i].d[k].flags);
			vring_put_desc(g->r, 0x40000, k, rows[i].t[k].addr, rows[i].t[k].len,
				       rows[i].t[k].id, rows[i].t[k].flags);
		}
		if (vq_pop(&g->q) || !g->broken)
			fail_msg("row %u accepted: %s", i, rows[i].cite);
		assert_int_equal(vq_inflight(&g->q), 0);
	}
	rig_free(g);
}

/* The limits that bound host work and memory. */
static void test_bounds(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf = {0x10000, 1, true};

	(void)state;
	/* budget */
	rig_ring(g, 8, false, false);
	vring_add(g->r, &buf, 1, 0);
	vring_add(g->r, &buf, 1, 0);
	g->q.budget = 1;
	vq_push(vq_pop(&g->q), 0);
	assert_null(vq_pop(&g->q));
	assert_false(g->q.saw_empty);
	assert_null(g->broken);
	/* V 2.7.5.3.1 bounds chains; an indirect table of 1024 works, 1025 breaks. */
	for (unsigned n = 1024; n <= 1025; n++) {
		rig_ring(g, 8, false, false);
		for (unsigned i = 0; i < n; i++)
			vring_put_desc(g->r, 0x40000, i, 0x10000, 1, i + 1 < n ? NEXT : 0,
				       (uint16_t)(i + 1));
		vring_put_desc(g->r, g->r->desc, 0, 0x40000, 16 * n, INDIRECT, 0);
		vring_publish(g->r, 0);
		struct vq_elem *e = vq_pop(&g->q);
		assert_int_equal(e != NULL, n == 1024);
		if (e) {
			assert_int_equal(e->rd_len, 1024);
			vq_push(e, 0);
		}
	}
	/* V 2.7.5.3.2: a direct descriptor, then an indirect table: 1,025 segments in all. */
	for (unsigned more = 0; more < 2; more++) {
		rig_ring(g, 8, false, false);
		for (unsigned i = 0; i < 1024; i++)
			vring_put_desc(g->r, 0x40000, i, 0x10000, 1, i < 1022 + more ? NEXT : 0,
				       (uint16_t)(i + 1));
		vring_put_desc(g->r, g->r->desc, 0, 0x10000, 1, NEXT, 1);
		vring_put_desc(g->r, g->r->desc, 1, 0x40000, 16 * 1024, INDIRECT, 0);
		vring_publish(g->r, 0);
		struct vq_elem *e = vq_pop(&g->q);
		assert_int_equal(e == NULL, more);
		if (e) {
			assert_int_equal(e->n_rd, 1024);
			vq_push(e, 0);
		}
	}
	/* More in flight than the ring has descriptors: the same head again and again. */
	rig_ring(g, 256, false, false);
	vring_put_desc(g->r, g->r->desc, 0, 0x10000, 1, 0, 0);
	for (unsigned i = 0; i < 300 && !g->broken; i++) {
		vring_publish(g->r, 0);
		(void)vq_pop(&g->q);
	}
	assert_non_null(g->broken);
	assert_int_equal(vq_inflight(&g->q), 256);
	rig_free(g);
}

/* Sizes that may not be enabled (V 2.7, 2.8). */
static void test_enable(void **state)
{
	struct rig *g = rig_new();
	static const struct {
		uint16_t size;
		bool packed, ok;
	} rows[] = {{0, false, false},  {1, false, true},   {3, false, false},
		    {256, false, true}, {257, true, false}, {512, false, false},
		    {0, true, false},   {3, true, true},    {256, true, true}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		vq_reset(&g->q);
		g->regs.size = rows[i].size;
		assert_int_equal(vq_enable(&g->q, rows[i].packed, false, false) == 0, rows[i].ok);
	}
	/* Ring positions out of a snapshot. */
	vq_reset(&g->q);
	g->regs.size = 8;
	g->regs.avail = 8;
	assert_int_equal(vq_enable(&g->q, true, false, false), -EINVAL);
	vq_reset(&g->q);
	g->regs.size = 8;
	g->regs.inflight[3] = 9;
	assert_int_equal(vq_enable(&g->q, false, false, false), -EINVAL);
	rig_free(g);
}

/* An element of before a reset must not reach the ring of after it. */
static void test_reset_in_flight(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf = {0x20000, 64, true};
	struct vq_elem *e[2];
	uint16_t id;
	uint32_t len;

	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		rig_ring(g, 4, packed, false);
		for (unsigned i = 0; i < 2; i++) {
			vring_add(g->r, &buf, 1, 0);
			assert_non_null(e[i] = vq_pop(&g->q));
		}
		vq_push(e[1], 1); /* packed: waits for the first */
		rig_ring(g, 4, packed, false);
		assert_int_equal(vq_inflight(&g->q), 0);
		vq_push(e[0], 64);
		assert_false(vring_get(g->r, &id, &len));
		assert_int_equal(g->q.n_free, VQ_SIZE_MAX);
	}
	rig_free(g);
}

static void test_take_iov(void **state)
{
	struct rig *g = rig_new();
	const struct vbuf buf[] = {
		{0x10000, 20, false}, {0x20000, 10, false}, {0x30000, 5, true}, {0x31000, 4, true}};
	const struct iovec *iov;
	uint8_t header[16];

	(void)state;
	rig_ring(g, 8, false, false);
	vring_add(g->r, buf, 4, 0);
	struct vq_elem *e = vq_pop(&g->q);
	struct vq_cursor rd = vq_reader(e), wr = vq_writer(e);
	assert_int_equal(vq_read_exact(&rd, header, 16), 0);
	assert_ptr_equal(vq_last_byte(e), ram(g->h, 0x31003));
	assert_int_equal(vq_take_iov(e, &rd, 15, &iov), -ENODATA);
	assert_int_equal(vq_take_iov(e, &rd, 14, &iov), 2);
	assert_ptr_equal(iov[0].iov_base, ram(g->h, 0x10010));
	assert_int_equal(iov[0].iov_len, 4);
	assert_int_equal(iov[1].iov_len, 10);
	assert_int_equal(vq_take_iov(e, &wr, 8, &iov), 2);
	assert_ptr_equal(iov[0].iov_base, ram(g->h, 0x30000));
	assert_int_equal(iov[0].iov_len, 5);
	assert_int_equal(iov[1].iov_len, 3);
	assert_int_equal(vq_take_iov(e, &wr, 0, &iov), 0);
	vq_push(e, 9);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_transfer),        cmocka_unit_test(test_wrap),
		cmocka_unit_test(test_out_of_order),    cmocka_unit_test(test_batch),
		cmocka_unit_test(test_unpop),           cmocka_unit_test(test_suppression),
		cmocka_unit_test(test_malformed_split), cmocka_unit_test(test_malformed_packed),
		cmocka_unit_test(test_bounds),          cmocka_unit_test(test_enable),
		cmocka_unit_test(test_reset_in_flight), cmocka_unit_test(test_take_iov),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
