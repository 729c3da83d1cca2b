/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio PCI transport and of what is common to all virtio devices, on the
 * entropy device. "V": virtio 1.2 (OASIS); "PCI": PCI 3.0.
 */
#include "device/virtio/virtio_rng.h"
#include "vring.h"

#include <stdlib.h>
#include <string.h>

#define B VDRV_BAR

/* Bytes 0, 1, 2 ... so that what arrives is known. */
static int counting(void *ctx, void *buf, size_t len)
{
	uint8_t *next = ctx;

	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (*next)++;
	return 0;
}

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_rng *rng;
	uint8_t next;
};

static struct rig *rig_new(bool packed)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	g->rng = (struct virtio_rng *)dev_new(&virtio_rng_class, "rng0", &g->h->sv);
	g->rng->fill = counting;
	g->rng->fill_ctx = &g->next;
	g->rng->vd.packed = packed;
	vdrv_pci(g->v, g->h, &g->rng->vd);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	free(g->v);
	free(g);
}

static void test_identity(void **state)
{
	struct rig *g = rig_new(false);
	unsigned seen = 0;

	(void)state;
	assert_int_equal(vdrv_cfg(g->v, 0, 4), 0x10441af4); /* V 4.1.2: 1040h + 4 */
	assert_int_equal(vdrv_cfg(g->v, 8, 1), 1);          /* V 4.1.2.1: revision >= 1 */
	assert_int_equal(vdrv_cfg(g->v, 0x3d, 1), 1);
	assert_true(vdrv_cfg(g->v, 0x2e, 2) >= 0x40); /* V 4.1.2.1 */
	/* V 4.1.4: a capability for each structure, inside the BAR. */
	for (unsigned cap = vdrv_cfg(g->v, 0x34, 1); cap; cap = vdrv_cfg(g->v, cap + 1, 1)) {
		if (vdrv_cfg(g->v, cap, 1) != PCI_CAP_VENDOR)
			continue;
		unsigned type = vdrv_cfg(g->v, cap + 3, 1);
		seen |= 1u << type;
		assert_true(vdrv_cfg(g->v, cap + 2, 1) >= 16);
		assert_int_equal(vdrv_cfg(g->v, cap + 4, 1), 0);
		assert_true(vdrv_cfg(g->v, cap + 8, 4) + vdrv_cfg(g->v, cap + 12, 4) <= 0x8000);
		if (type == 2)
			assert_int_equal(vdrv_cfg(g->v, cap + 16, 4), 4);
	}
	/* Common, notify, ISR, PCI access; the entropy device has no configuration (V 5.4.4). */
	assert_int_equal(seen, 1u << 1 | 1u << 2 | 1u << 3 | 1u << 5);
	rig_free(g);
}

static void test_common(void **state)
{
	struct rig *g = rig_new(false);
	/* clang-format off */
	static const struct reg_row rows[] = {
		{READ8, B + 0x14, 0, .cite = "V 2.1: status 0 after reset"},
		{READ16, B + 0x12, 1, .cite = "V 4.1.4.3: num_queues"},
		{READ32, B + 0x04, 0x30000000, .cite = "V 6: INDIRECT_DESC, EVENT_IDX"},
		{WRITE32, B + 0x00, 1}, {READ32, B + 0x00, 1},
		{READ32, B + 0x04, 0x00000101, .cite = "V 6: VERSION_1, RING_RESET"},
		{WRITE32, B + 0x00, 2}, {READ32, B + 0x04, 0, .cite = "V 4.1.4.3.1: nothing beyond"},
		{READ16, B + 0x18, 64, .cite = "V 4.1.4.3: queue_size is the maximum after reset"},
		{READ16, B + 0x1e, 0, .cite = "V 4.1.4.3: queue_notify_off"},
		{READ16, B + 0x10, 0xffff, .cite = "V 4.1.5.1.2: NO_VECTOR"}, {READ16, B + 0x1a, 0xffff},
		{WRITE16, B + 0x10, 1}, {READ16, B + 0x10, 1},
		{WRITE16, B + 0x1a, 2}, {READ16, B + 0x1a, 0xffff, .cite = "V 4.1.5.1.2.1: there are 2 vectors"},
		{WRITE16, B + 0x16, 1}, {READ16, B + 0x18, 0, .cite = "V 4.1.4.3.1: no queue 1: size 0"},
		{READ64, B + 0x20, 0}, {WRITE16, B + 0x18, 8}, {WRITE16, B + 0x1c, 1}, {READ16, B + 0x1c, 0},
		{WRITE16, B + 0x16, 0},
		{WRITE16, B + 0x18, 65}, {READ16, B + 0x18, 64, .cite = "V 4.1.4.3.2: not above the maximum"},
		{WRITE64, B + 0x20, 0x1122334455667788}, {READ64, B + 0x20, 0x1122334455667788, .cite = "V 4.1.3.1: two dwords"},
		{READ32, B + 0x24, 0x11223344}, {WRITE32, B + 0x2c, 5}, {READ64, B + 0x28, 0x500000000},
		{READ8, B + 0x20, 0, .cite = "V 4.1.3.1: natural width only"}, {READ16, B + 0x20, 0x7788, .cite = "low halves, for iPXE"}, {WRITE8, B + 0x20, 0xff}, {READ32, B + 0x20, 0x55667788},
		{READ16, B + 0x14, 0}, {READ32, B + 0x3c, 0, .cite = "past the structure"},
		{WRITE16, B + 0x1c, 1}, {READ16, B + 0x1c, 0, .cite = "V 3.1.1: queues come after FEATURES_OK"},
		{READ8, B + 0x1000, 0, .cite = "V 4.1.4.5: ISR"},
		{READ32, B + 0x2000, 0, .cite = "no device configuration"},
	};
	/* clang-format on */
	(void)state;
	harness_run(g->h, rows, ARRAY_SIZE(rows));
	assert_true(g->v->pci->dev.guest_errors > 0);
	harness_check_state_roundtrip(&g->v->pci->dev);
	harness_check_state_roundtrip(&g->rng->vd.dev);
	rig_free(g);
}

/* V 2.1, 3.1.1 */
static void test_status(void **state)
{
	struct rig *g = rig_new(false);
	struct vdrv *v = g->v;

	(void)state;
	vdrv_set_status(v, 1);
	vdrv_set_status(v, 2);
	assert_int_equal(vdrv_status(v), 3); /* V 2.1.1: bits are never cleared but by reset */
	/* V 2.2.2, 6.1: without VERSION_1 FEATURES_OK doesn't stick. */
	vdrv_set_status(v, 0x0b);
	assert_int_equal(vdrv_status(v), 3);
	vdrv_set_status(v, 0x07);
	assert_int_equal(vdrv_status(v), 3); /* nor DRIVER_OK */
	vdrv_set_status(v, 0x43);
	assert_int_equal(vdrv_status(v), 3); /* NEEDS_RESET is the device's */
	vdrv_set_status(v, 0x83);
	assert_int_equal(vdrv_status(v), 0x83); /* FAILED */
	vdrv_set_status(v, 0);
	assert_int_equal(vdrv_status(v), 0);
	/* Features that weren't offered. */
	assert_false(vdrv_negotiate(v, BIT(0)));
	assert_false(vdrv_negotiate(v, BIT(VIRTIO_F_RING_PACKED)));
	assert_true(vdrv_negotiate(v, BIT(VIRTIO_F_INDIRECT_DESC)));
	/* V 2.2.1: fixed once accepted. */
	writel(g->h, B + 8, 0);
	writel(g->h, B + 0xc, 0);
	assert_int_equal(readl(g->h, B + 0xc), BIT(VIRTIO_F_INDIRECT_DESC));
	rig_free(g);
}

/* One buffer through the device; returns the first byte, or -1. */
static int one(struct rig *g, bool kick)
{
	uint16_t id;
	uint32_t len;

	memset(ram(g->h, 0x10000), 0xaa, 4);
	vring_add(&g->v->ring[0], &(struct vbuf){0x10000, 4, true}, 1, 0);
	if (kick)
		vdrv_kick(g->v, 0);
	if (!vring_get(&g->v->ring[0], &id, &len))
		return -1;
	assert_int_equal(len, 4);
	return *ram(g->h, 0x10000);
}

static void test_queue_life(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *g = rig_new(packed);
		struct vdrv *v = g->v;

		vdrv_up(v, BIT(VIRTIO_F_RING_RESET) | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 1,
			packed ? 7 : 8);
		for (int i = 0; i < 20; i++)
			assert_int_equal(one(g, true), 4 * i);
		/* The configuration is frozen (V 4.1.4.3.2). */
		writew(g->h, B + 0x18, 4);
		writel(g->h, B + 0x20, 0xdead0000);
		writew(g->h, B + 0x1c, 0);
		assert_int_equal(one(g, true), 80);
		assert_int_equal(readw(g->h, B + 0x1c), 1);
		/* V 2.6.1: reset one queue, set it up again elsewhere. */
		writew(g->h, B + 0x3a, 1);
		assert_int_equal(readw(g->h, B + 0x3a), 0);
		assert_int_equal(readw(g->h, B + 0x1c), 0);
		assert_int_equal(one(g, true), -1);
		vdrv_queue(v, 0, 16);
		assert_int_equal(one(g, true), 84);
		/* Notification of a queue that isn't there. */
		vdrv_kick(v, 5);
		/* Device reset (V 2.4): nothing moves any more. */
		vdrv_set_status(v, 0);
		assert_int_equal(one(g, true), -1);
		assert_int_equal(readw(g->h, B + 0x18), 64);
		/* Before DRIVER_OK nothing moves; then what waited is seen (V 3.1.1). */
		assert_true(vdrv_negotiate(v, packed ? BIT(VIRTIO_F_RING_PACKED) : 0));
		vdrv_queue(v, 0, 8);
		assert_int_equal(one(g, true), -1);
		vdrv_set_status(v, 0x0f);
		uint16_t id;
		uint32_t len;
		assert_true(vring_get(&v->ring[0], &id, &len));
		rig_free(g);
	}
}

/* V 4.1.4.5: INTx; COMMAND bits; NEEDS_RESET. */
static void test_intx(void **state)
{
	struct rig *g = rig_new(false);
	struct vdrv *v = g->v;

	(void)state;
	vdrv_up(v, 0, 1, 8);
	one(g, true);
	assert_true(v->pirq[0]);
	assert_int_equal(vdrv_cfg(v, PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	assert_int_equal(vdrv_isr(v), 1);
	assert_false(v->pirq[0]);
	assert_int_equal(vdrv_isr(v), 0);
	vring_want_irq(&v->ring[0], false);
	one(g, true);
	assert_false(v->pirq[0]);
	vring_want_irq(&v->ring[0], true);
	/* No bus mastering: no DMA. What waits is done when it comes back (PCI 6.2.2). */
	vdrv_set_cfg(v, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	assert_int_equal(one(g, true), -1);
	vdrv_set_cfg(v, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(vdrv_isr(v), 1);
	/* V 2.1.2: a broken ring sets NEEDS_RESET and tells the driver. */
	vring_publish(&v->ring[0], 77);
	vdrv_kick(v, 0);
	assert_int_equal(vdrv_status(v), 0x4f);
	assert_int_equal(vdrv_isr(v), 2);
	uint64_t errors = g->rng->vd.dev.guest_errors;
	assert_true(errors > 0);
	one(g, true);
	assert_int_equal(vdrv_status(v), 0x4f);
	vdrv_up(v, 0, 1, 8);
	assert_true(one(g, true) >= 0);
	rig_free(g);
}

static void test_msix(void **state)
{
	struct rig *g = rig_new(false);
	struct vdrv *v = g->v;
	struct harness *h = g->h;
	unsigned cap = vdrv_cfg(v, 0x34, 1);

	(void)state;
	while (vdrv_cfg(v, cap, 1) != PCI_CAP_MSIX)
		cap = vdrv_cfg(v, cap + 1, 1);
	assert_int_equal(vdrv_cfg(v, cap + 2, 2), 1); /* V 4.1.5.1.2: two vectors */
	assert_int_equal(vdrv_cfg(v, cap + 4, 4), 0x4000);
	for (unsigned i = 0; i < 2; i++) {
		writeq(h, B + 0x4000 + 16 * i, 0xfee00000 + 0x1000 * i);
		writel(h, B + 0x4008 + 16 * i, 0x40 + i);
		writel(h, B + 0x400c + 16 * i, 0);
	}
	vdrv_set_cfg(v, cap + 2, 2, 0x8000);
	assert_true(vdrv_negotiate(v, 0));
	vdrv_queue(v, 0, 8);
	writew(h, B + 0x10, 0);
	writew(h, B + 0x1a, 1);
	vdrv_set_status(v, 0x0f);
	one(g, true);
	assert_int_equal(h->n_msis, 1);
	assert_int_equal(h->msis[0].addr, 0xfee01000);
	assert_int_equal(h->msis[0].data, 0x41);
	assert_int_equal(v->pirq_rises, 0); /* V 4.1.5.1.2: no INTx */
	/* Masked: pending, visible in the PBA, sent when unmasked; also over a restore. */
	writel(h, B + 0x401c, 1);
	one(g, true);
	assert_int_equal(h->n_msis, 1);
	assert_int_equal(readq(h, B + 0x5000), 2);
	harness_check_state_roundtrip(&v->pci->dev);
	writel(h, B + 0x401c, 0);
	assert_int_equal(h->n_msis, 2);
	assert_int_equal(readq(h, B + 0x5000), 0);
	/* NO_VECTOR: silence. */
	g->rng->vd.dev.cls->resume(&g->rng->vd.dev);
	writew(h, B + 0x1a, 0xffff);
	assert_true(one(g, true) >= 0);
	assert_int_equal(h->n_msis, 2);
	/* Configuration change on vector 0. */
	bus_lock(&h->bus);
	virtio_config_changed(&g->rng->vd);
	bus_unlock(&h->bus);
	assert_int_equal(h->n_msis, 3);
	assert_int_equal(h->msis[2].data, 0x40);
	rig_free(g);
}

/* V 4.1.4.9: the window in configuration space. */
static void test_pci_cfg(void **state)
{
	struct rig *g = rig_new(false);
	struct vdrv *v = g->v;
	unsigned cap = vdrv_cfg(v, 0x34, 1);

	(void)state;
	while (vdrv_cfg(v, cap + 3, 1) != 5)
		cap = vdrv_cfg(v, cap + 1, 1);
	vdrv_set_cfg(v, cap + 4, 1, 0);
	vdrv_set_cfg(v, cap + 8, 4, 0x14);
	vdrv_set_cfg(v, cap + 12, 4, 1);
	vdrv_set_cfg(v, cap + 16, 4, 3);
	assert_int_equal(vdrv_status(v), 3);
	assert_int_equal(vdrv_cfg(v, cap + 16, 1), 3);
	vdrv_set_cfg(v, cap + 8, 4, 4);
	vdrv_set_cfg(v, cap + 12, 4, 4);
	assert_int_equal(vdrv_cfg(v, cap + 16, 4), 0x30000000);
	/* Not a window: another BAR, odd length, unaligned, past the end. */
	static const uint32_t bad[][3] = {{1, 4, 4}, {0, 4, 3},      {0, 4, 8},
					  {0, 6, 4}, {0, 0x7ffe, 4}, {0, 0xfffffffc, 4}};
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		vdrv_set_cfg(v, cap + 4, 1, bad[i][0]);
		vdrv_set_cfg(v, cap + 8, 4, bad[i][1]);
		vdrv_set_cfg(v, cap + 12, 4, bad[i][2]);
		vdrv_set_cfg(v, cap + 16, 4, 0x5a5a5a00 + i);
		assert_int_equal(vdrv_cfg(v, cap + 16, 4), 0x5a5a5a00 + i);
	}
	rig_free(g);
}

/* Budgets: one kick with a full ring is served in several turns, none lost. */
static void test_turns(void **state)
{
	struct rig *g = rig_new(false);
	struct vring *r;
	unsigned n = 0, turns = 0;
	uint16_t id;
	uint32_t len;

	(void)state;
	vdrv_up(g->v, 0, 1, 64);
	r = &g->v->ring[0];
	for (unsigned i = 0; i < 64; i++)
		vring_add(r, &(struct vbuf){0x10000, 1024, true}, 1, 0);
	vdrv_kick(g->v, 0);
	for (; n < 64; turns++) {
		unsigned before = n;
		while (vring_get(r, &id, &len))
			n++;
		assert_true(n - before <= 16); /* 16 KiB a turn */
		harness_step(g->h, 20 * NS_PER_US);
		assert_true(turns < 10);
	}
	assert_true(turns >= 4);
	rig_free(g);
}

/* Device and transport move to another machine in the middle of things. */
static void test_restore(void **state)
{
	(void)state;
	for (unsigned packed = 0; packed < 2; packed++) {
		struct rig *a = rig_new(packed), *b = rig_new(packed);
		struct error err = {0};

		vdrv_up(a->v, BIT(VIRTIO_F_EVENT_IDX) | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 1,
			8);
		for (int i = 0; i < 13; i++)
			assert_int_equal(one(a, true), 4 * i);
		/* Made available, not kicked: the restored device looks. */
		vring_add(&a->v->ring[0], &(struct vbuf){0x10000, 4, true}, 1, 0);
		b->next = 200;
		vdrv_restore(b->v, a->v);
		uint16_t id;
		uint32_t len;
		assert_true(vring_get(&b->v->ring[0], &id, &len));
		assert_int_equal(*ram(b->h, 0x10000), 200);
		vring_want_irq(&b->v->ring[0], true);
		for (int i = 1; i < 13; i++)
			assert_int_equal(one(b, true), (200 + 4 * i) & 0xff);
		assert_int_equal(vdrv_status(b->v), 0x0f);
		/* Hostile: features never offered, a queue before FEATURES_OK, bad size. */
		bus_lock(&b->h->bus);
		b->rng->s.v.driver_features |= BIT(3);
		assert_int_not_equal(virtio_loaded(&b->rng->vd, &err), 0);
		b->rng->s.v.driver_features &= ~BIT(3);
		b->rng->s.q[0].size = 0;
		assert_int_not_equal(virtio_loaded(&b->rng->vd, &err), 0);
		b->rng->s.q[0].size = 8;
		b->rng->s.v.status = 3;
		assert_int_not_equal(virtio_loaded(&b->rng->vd, &err), 0);
		/* 2.2.2: before FEATURES_OK a driver may have written any. */
		b->rng->s.q[0].ready = false;
		b->rng->s.v.driver_features |= BIT(3);
		assert_int_equal(virtio_loaded(&b->rng->vd, &err), 0);
		bus_unlock(&b->h->bus);
		rig_free(a);
		rig_free(b);
	}
}

/* System reset in the middle: everything as after power on. */
static void test_system_reset(void **state)
{
	struct rig *g = rig_new(false);

	(void)state;
	vdrv_up(g->v, 0, 1, 8);
	one(g, true);
	bus_lock(&g->h->bus);
	dev_reset(&g->rng->vd.dev, DEV_RESET_WARM);
	dev_reset(&g->v->pci->dev, DEV_RESET_WARM);
	bus_unlock(&g->h->bus);
	assert_false(g->v->pirq[0]);
	assert_int_equal(vdrv_cfg(g->v, PCI_COMMAND, 2), 0);
	assert_int_equal(vdrv_cfg(g->v, PCI_BAR0, 4), 4);
	vdrv_set_cfg(g->v, PCI_BAR0, 4, VDRV_BAR);
	vdrv_set_cfg(g->v, PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(vdrv_status(g->v), 0);
	vdrv_up(g->v, 0, 1, 8);
	assert_true(one(g, true) >= 0);
	rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identity), cmocka_unit_test(test_common),
		cmocka_unit_test(test_status),   cmocka_unit_test(test_queue_life),
		cmocka_unit_test(test_intx),     cmocka_unit_test(test_msix),
		cmocka_unit_test(test_pci_cfg),  cmocka_unit_test(test_turns),
		cmocka_unit_test(test_restore),  cmocka_unit_test(test_system_reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
