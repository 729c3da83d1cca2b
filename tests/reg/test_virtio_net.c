/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio network device. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_net.h"
#include "fake_net.h"
#include "vring.h"

#include <stdlib.h>
#include <string.h>

enum { F_CSUM = 0, F_GUEST_CSUM = 1 };
enum { F_MAC = 5, F_MRG = 15, F_STATUS = 16, F_CTRL = 17, F_CTRL_RX = 18, F_CTRL_MAC = 23 };
#define ALL (BIT(F_MAC) | BIT(F_STATUS) | BIT(F_CTRL) | BIT(F_CTRL_RX) | BIT(F_CTRL_MAC))

#define SUMS (BIT(F_CSUM) | BIT(F_GUEST_CSUM))

static const uint8_t mac[6] = {0x52, 0x54, 0, 1, 2, 3};

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_net *n;
	struct net *net;
	uint8_t frame[NET_FRAME_MAX];
};

static struct rig *rig_new(bool packed)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	g->net = xnew(struct net);
	g->n = (struct virtio_net *)dev_new(&virtio_net_class, "net0", &g->h->sv);
	g->n->net = g->net;
	g->n->vd.packed = packed;
	memcpy(g->n->mac, mac, 6);
	vdrv_pci(g->v, g->h, &g->n->vd);
	for (unsigned i = 0; i < sizeof(g->frame); i++)
		g->frame[i] = (uint8_t)(i * 7);
	memcpy(g->frame, mac, 6);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	free(g->net);
	free(g->v);
	free(g);
}

static gpa_t rx_at(unsigned i)
{
	return 0x200000 + i * 0x20000ull;
}

static void rx_buffer(struct rig *g, unsigned i, uint32_t len)
{
	memset(ram(g->h, rx_at(i)), 0xee, len);
	vring_add(&g->v->ring[0], &(struct vbuf){rx_at(i), len, true}, 1, 0);
}

static void test_config(void **state)
{
	struct rig *g = rig_new(false);

	(void)state;
	assert_int_equal(vdrv_cfg(g->v, 0, 4), 0x10411af4);
	assert_int_equal(vdrv_config(g->v, 0, 4), 0x01005452); /* V 5.1.4: mac */
	assert_int_equal(vdrv_config(g->v, 4, 2), 0x0302);
	assert_int_equal(vdrv_config(g->v, 6, 2), 1); /* link up */
	assert_int_equal(readw(g->h, VDRV_BAR + 0x12), 3);
	vdrv_set_config(g->v, 0, 1, 0); /* V 5.1.4: read-only for version 1 */
	assert_int_equal(vdrv_config(g->v, 0, 1), 0x52);
	/* No offload but of checksums is offered. */
	writel(g->h, VDRV_BAR, 0);
	assert_int_equal(readl(g->h, VDRV_BAR + 4) & 0xffffff, ALL | SUMS | BIT(F_MRG));
	/* An MTU only where the back end has a larger one (V 5.1.3, 5.1.4). */
	g->net->mtu = 32768;
	assert_int_equal(readl(g->h, VDRV_BAR + 4) & 0xffffff, ALL | SUMS | BIT(F_MRG) | BIT(3));
	assert_int_equal(vdrv_config(g->v, 10, 2), 32768);
	g->net->mtu = 0;
	/* Link change: configuration interrupt, new generation (V 5.1.5). */
	vdrv_up(g->v, ALL, 3, 16);
	uint8_t gen = readb(g->h, VDRV_BAR + 0x15);
	g->net->h.link(g->net->h.ctx, false);
	assert_int_equal(vdrv_config(g->v, 6, 2), 0);
	assert_int_equal(vdrv_isr(g->v), 2);
	assert_int_not_equal(readb(g->h, VDRV_BAR + 0x15), gen);
	g->net->h.link(g->net->h.ctx, false);
	assert_int_equal(vdrv_isr(g->v), 0);
	harness_check_state_roundtrip(&g->n->vd.dev);
	rig_free(g);
}

static void test_transmit(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed);
		static const uint32_t lens[] = {14, 60, 1514, 65535, NET_FRAME_MAX};
		uint8_t *p = ram(g->h, 0x200000);
		uint16_t id;
		uint32_t len;

		vdrv_up(g->v, ALL | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 3, 16);
		memset(p, 0, 12);
		memcpy(p + 12, g->frame, sizeof(g->frame));
		for (unsigned i = 0; i < ARRAY_SIZE(lens); i++) {
			/* Header and frame cut anywhere (V 2.7.4.2). */
			const struct vbuf buf[] = {{0x200000, 5, false},
						   {0x200005, 12, false},
						   {0x200011, 12 + lens[i] - 17, false}};
			vring_add(&g->v->ring[1], buf, 3, 0);
			vdrv_kick(g->v, 1);
			assert_true(vring_get(&g->v->ring[1], &id, &len));
			assert_int_equal(len, 0);
			assert_int_equal(g->net->sent, i + 1);
			assert_int_equal(g->net->last_len, lens[i]);
			assert_memory_equal(g->net->last, g->frame, lens[i]);
		}
		/* Too short, too long: dropped, the buffer comes back. A full back end: likewise.
		 */
		static const uint32_t bad[] = {11, 12, 25, 12 + NET_FRAME_MAX + 1};
		for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
			vring_add(&g->v->ring[1], &(struct vbuf){0x200000, bad[i], false}, 1, 0);
			vdrv_kick(g->v, 1);
			assert_true(vring_get(&g->v->ring[1], &id, &len));
		}
		g->net->full = true;
		vring_add(&g->v->ring[1], &(struct vbuf){0x200000, 72, false}, 1, 0);
		vdrv_kick(g->v, 1);
		assert_true(vring_get(&g->v->ring[1], &id, &len));
		assert_int_equal(g->net->sent, 5);
		assert_int_equal(vdrv_status(g->v), 0x0f);
		rig_free(g);
	}
}

/* An IPv4 TCP or UDP frame of @len bytes, all sums right; plain arithmetic of RFC 1071. */
static void make_ip(uint8_t *f, uint8_t proto, unsigned len)
{
	unsigned at = proto == 6 ? 50 : 40;
	uint32_t sum = proto + len - 34;

	st_be16(f + 12, 0x0800);
	memset(f + 14, 0, 20);
	f[14] = 0x45;
	st_be16(f + 16, (uint16_t)(len - 14));
	f[23] = proto;
	st_be32(f + 26, 0x0a000202);
	st_be32(f + 30, 0x0a00020f);
	if (proto == 6)
		f[46] = 5 << 4;
	else
		st_be16(f + 38, (uint16_t)(len - 34));
	st_be16(f + at, 0);
	for (unsigned i = 26; i < len; i++)
		sum += i & 1 ? f[i] : (uint32_t)f[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	st_be16(f + at, (uint16_t)~sum);
}

/* V 5.1.6.2 and 5.1.6.4 */
static void test_checksums(void **state)
{
	static const unsigned lens[] = {60, 61, 63, 77, 1514, 16398};
	struct rig *g = rig_new(false);
	uint8_t *p = ram(g->h, 0x200000), *rx = ram(g->h, rx_at(1));
	uint16_t id;
	uint32_t len;

	(void)state;
	vdrv_up(g->v, ALL | SUMS, 3, 16);
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(lens); i++) {
		unsigned n = lens[i / 2], at = i & 1 ? 50 : 40;
		uint16_t pseudo = 0;

		make_ip(g->frame, i & 1 ? 6 : 17, n);
		/* to the wire: the sum over the field's pseudo header sum and what follows */
		memset(p, 0, 12);
		memcpy(p + 12, g->frame, n);
		for (unsigned k = 26; k < 34; k += 2) {
			uint32_t s = pseudo + ld_be16(g->frame + k);
			pseudo = (uint16_t)(s + (s >> 16));
		}
		uint32_t s = pseudo + (i & 1 ? 6u : 17u) + n - 34;
		st_be16(p + 12 + at, (uint16_t)(s + (s >> 16)));
		p[0] = 1;
		st_le16(p + 6, 34);
		st_le16(p + 8, (uint16_t)(at - 34));
		vring_add(&g->v->ring[1], &(struct vbuf){0x200000, 12 + n, false}, 1, 0);
		vdrv_kick(g->v, 1);
		assert_true(vring_get(&g->v->ring[1], &id, &len));
		assert_int_equal(g->net->sent, i + 1);
		assert_int_equal(g->net->last_len, n);
		assert_memory_equal(g->net->last, g->frame, n);
		/* from it: DATA_VALID, but not when a bit is wrong */
		for (unsigned bad = 0; bad < 2; bad++) {
			g->frame[n - 1] ^= (uint8_t)bad;
			rx_buffer(g, 1, 0x10000);
			assert_true(fake_net_frame(g->net, g->frame, n));
			assert_true(vring_get(&g->v->ring[0], &id, &len));
			assert_int_equal(rx[0], bad ? 0 : 2);
			assert_memory_equal(rx + 12, g->frame, n);
		}
	}
	/* a field behind the frame's end */
	st_le16(p + 6, 1000);
	vring_add(&g->v->ring[1], &(struct vbuf){0x200000, 72, false}, 1, 0);
	vdrv_kick(g->v, 1);
	assert_true(vring_get(&g->v->ring[1], &id, &len));
	assert_int_equal(g->net->sent, 2 * ARRAY_SIZE(lens));
	assert_int_equal(vdrv_status(g->v), 0x0f);
	rig_free(g);
}

static void test_receive(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed);
		uint16_t id;
		uint32_t len;

		assert_true(fake_net_frame(g->net, g->frame, 60)); /* no driver: lost */
		vdrv_up(g->v, ALL | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 3, 16);
		assert_false(fake_net_frame(g->net, g->frame, 60)); /* no buffer: wait */
		unsigned polls = g->net->polls;
		rx_buffer(g, 0, 2048);
		vdrv_kick(g->v, 0);
		assert_true(g->net->polls > polls);
		assert_true(fake_net_frame(g->net, g->frame, 1514));
		assert_true(vring_get(&g->v->ring[0], &id, &len));
		assert_int_equal(len, 12 + 1514);
		/* V 5.1.6.4.1: num_buffers is 1 without MRG_RXBUF. */
		assert_memory_equal(ram(g->h, rx_at(0)), "\0\0\0\0\0\0\0\0\0\0\1\0", 12);
		assert_memory_equal(ram(g->h, rx_at(0)) + 12, g->frame, 1514);
		assert_int_equal(vdrv_isr(g->v), 1);
		/* A frame that doesn't fit is dropped and the buffer stays. */
		rx_buffer(g, 1, 100);
		assert_true(fake_net_frame(g->net, g->frame, 89));
		assert_false(vring_get(&g->v->ring[0], &id, &len));
		assert_true(fake_net_frame(g->net, g->frame, 88));
		assert_true(vring_get(&g->v->ring[0], &id, &len));
		assert_int_equal(len, 100);
		/* Runts and giants never come from a wire. */
		rx_buffer(g, 2, 2048);
		assert_true(fake_net_frame(g->net, g->frame, 13));
		assert_false(vring_get(&g->v->ring[0], &id, &len));
		rig_free(g);
	}
}

/* V 5.1.6.4: mergeable buffers. */
static void test_mergeable(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed);
		uint16_t id;
		uint32_t len;

		vdrv_up(g->v, ALL | BIT(F_MRG) | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 3, 16);
		for (unsigned turn = 0; turn < 10; turn++) {
			for (unsigned i = 0; i < 4; i++)
				rx_buffer(g, i, 1000);
			/* 12 + 4000 bytes need five: nothing is taken. */
			assert_true(fake_net_frame(g->net, g->frame, 4000));
			assert_false(vring_get(&g->v->ring[0], &id, &len));
			assert_true(fake_net_frame(g->net, g->frame, 3500));
			size_t off = 0;
			for (unsigned i = 0; i < 4; i++) {
				unsigned hdr = i ? 0 : 12;
				assert_true(vring_get(&g->v->ring[0], &id, &len));
				assert_int_equal(len, i < 3 ? 1000 : 512);
				assert_memory_equal(ram(g->h, rx_at(i)) + hdr, g->frame + off,
						    len - hdr);
				off += len - hdr;
			}
			assert_int_equal(off, 3500);
			assert_int_equal(ld_le16(ram(g->h, rx_at(0)) + 10), 4);
		}
		/* The header must be in one buffer. */
		rx_buffer(g, 0, 8);
		rx_buffer(g, 1, 2000);
		assert_true(fake_net_frame(g->net, g->frame, 60));
		assert_false(vring_get(&g->v->ring[0], &id, &len));
		rig_free(g);
	}
}

/* One control command; its ack. */
static uint8_t control(struct rig *g, uint8_t cls, uint8_t cmd, const void *data, uint32_t len)
{
	uint8_t *p = ram(g->h, 0x180000);
	const struct vbuf buf[] = {
		{0x180000, 2, false}, {0x180002, len, false}, {0x1f0000, 1, true}};
	uint16_t id;
	uint32_t used;

	p[0] = cls;
	p[1] = cmd;
	memcpy(p + 2, data, len);
	*ram(g->h, 0x1f0000) = 0xee;
	vring_add(&g->v->ring[2], buf, 3, 0);
	vdrv_kick(g->v, 2);
	assert_true(vring_get(&g->v->ring[2], &id, &used));
	assert_int_equal(used, 1);
	return *ram(g->h, 0x1f0000);
}

static bool arrives(struct rig *g, const void *dst)
{
	uint16_t id;
	uint32_t len;
	bool got;

	rx_buffer(g, 0, 200);
	memcpy(g->frame, dst, 6);
	assert_true(fake_net_frame(g->net, g->frame, 60));
	got = vring_get(&g->v->ring[0], &id, &len);
	if (!got) { /* use the buffer up */
		assert_true(fake_net_frame(g->net, "\xff\xff\xff\xff\xff\xff____________", 18));
		assert_true(vring_get(&g->v->ring[0], &id, &len));
	}
	return got;
}

/* V 5.1.6.5.1, 5.1.6.5.2: what the filter lets in. */
static void test_filter(void **state)
{
	struct rig *g = rig_new(false);
	static const uint8_t other[6] = {2, 0, 0, 0, 0, 9}, multi[6] = {1, 0, 0x5e, 0, 0, 1},
			     second[6] = {2, 0, 0, 0, 0, 7};
	uint8_t table[4 + 65 * 6 + 4 + 6] = {1};

	(void)state;
	vdrv_up(g->v, ALL, 3, 16);
	assert_true(arrives(g, other)); /* promiscuous after reset */
	assert_int_equal(control(g, 0, 0, "\0", 1), 0);
	assert_false(arrives(g, other));
	assert_false(arrives(g, multi));
	assert_true(arrives(g, mac));
	assert_true(arrives(g, "\xff\xff\xff\xff\xff\xff"));
	assert_int_equal(control(g, 0, 1, "\1", 1), 0); /* allmulti */
	assert_true(arrives(g, multi));
	assert_false(arrives(g, other));
	assert_int_equal(control(g, 0, 1, "\0", 1), 0);
	/* MAC table: one unicast, one multicast. */
	memcpy(table + 4, other, 6);
	st_le32(table + 10, 1);
	memcpy(table + 14, multi, 6);
	assert_int_equal(control(g, 1, 0, table, 20), 0);
	assert_true(arrives(g, other));
	assert_true(arrives(g, multi));
	assert_true(arrives(g, mac));
	assert_false(arrives(g, second));
	assert_false(arrives(g, "\1\0\x5e\0\0\2"));
	harness_check_state_roundtrip(&g->n->vd.dev);
	g->n->vd.dev.cls->resume(&g->n->vd.dev);
	assert_true(arrives(g, other));
	assert_false(arrives(g, second));
	/* A table that is too long lets all unicast in; malformed ones are refused. */
	memset(table, 2, sizeof(table));
	st_le32(table, 65);
	st_le32(table + 4 + 65 * 6, 0);
	assert_int_equal(control(g, 1, 0, table, 4 + 65 * 6 + 4), 0);
	assert_true(arrives(g, second));
	assert_false(arrives(g, multi));
	assert_int_equal(control(g, 1, 0, table, 4 + 64 * 6), 1);
	assert_int_equal(control(g, 1, 0, table, 3), 1);
	assert_int_equal(control(g, 1, 0, "\xff\xff\xff\xff", 4), 1);
	/* Another address (V 5.1.6.5.2). */
	assert_int_equal(control(g, 1, 0, "\0\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(control(g, 1, 1, second, 5), 1);
	assert_int_equal(control(g, 1, 1, second, 6), 0);
	assert_true(arrives(g, second));
	assert_false(arrives(g, mac));
	assert_int_equal(vdrv_config(g->v, 5, 1), 7);
	/* Unknown classes and commands; missing argument. */
	assert_int_equal(control(g, 0, 2, "\1", 1), 1);
	assert_int_equal(control(g, 0, 0, "", 0), 1);
	assert_int_equal(control(g, 2, 0, "\0\0", 2), 1);
	assert_int_equal(control(g, 4, 0, "\1\0", 2), 1);
	/* Reset: the card's own address again. */
	vdrv_set_status(g->v, 0);
	assert_int_equal(vdrv_config(g->v, 5, 1), 3);
	rig_free(g);
	/* Without CTRL_RX there are no such commands. */
	g = rig_new(false);
	vdrv_up(g->v, BIT(F_CTRL), 3, 16);
	assert_int_equal(control(g, 0, 0, "\0", 1), 1);
	assert_int_equal(control(g, 1, 1, second, 6), 1);
	rig_free(g);
}

static void test_restore(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *a = rig_new(packed), *b = rig_new(packed);
		uint16_t id;
		uint32_t len;

		vdrv_up(a->v, ALL | BIT(F_MRG) | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 3, 8);
		for (unsigned i = 0; i < 3; i++)
			rx_buffer(a, i, 100);
		assert_true(fake_net_frame(a->net, a->frame, 60));
		assert_true(vring_get(&a->v->ring[0], &id, &len));
		vdrv_restore(b->v, a->v);
		assert_false(fake_net_frame(a->net, a->frame, 60)); /* quiesced */
		assert_true(fake_net_frame(b->net, b->frame, 150));
		assert_true(vring_get(&b->v->ring[0], &id, &len));
		assert_true(vring_get(&b->v->ring[0], &id, &len));
		assert_int_equal(len, 62);
		rig_free(a);
		rig_free(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),    cmocka_unit_test(test_transmit),
		cmocka_unit_test(test_checksums), cmocka_unit_test(test_receive),
		cmocka_unit_test(test_mergeable), cmocka_unit_test(test_filter),
		cmocka_unit_test(test_restore),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
