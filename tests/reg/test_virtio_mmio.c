/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio MMIO transport, on the entropy device. "V": virtio 1.2 (OASIS).
 */
#include "device/virtio/virtio_rng.h"
#include "vring.h"

#include <stdlib.h>
#include <string.h>

#define M VDRV_MMIO

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_rng *rng;
};

static struct rig *rig_new(void)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	g->rng = (struct virtio_rng *)dev_new(&virtio_rng_class, "rng0", &g->h->sv);
	vdrv_mmio(g->v, g->h, &g->rng->vd);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	free(g->v);
	free(g);
}

static void test_registers(void **state)
{
	struct rig *g = rig_new();
	/* clang-format off */
	static const struct reg_row rows[] = {
		{READ32, M + 0x000, 0x74726976, .cite = "V 4.2.2: MagicValue 'virt'"},
		{READ32, M + 0x004, 2, .cite = "V 4.2.2: Version"},
		{READ32, M + 0x008, 4, .cite = "V 5.4.1: entropy source"},
		{READ32, M + 0x010, 0x30000000, .cite = "V 4.2.2: DeviceFeatures, window 0"},
		{WRITE32, M + 0x014, 1}, {READ32, M + 0x010, 0x00000101}, {WRITE32, M + 0x014, 9}, {READ32, M + 0x010, 0},
		{READ32, M + 0x034, 64, .cite = "V 4.2.2: QueueNumMax"}, {READ32, M + 0x044, 0},
		{WRITE32, M + 0x030, 1}, {READ32, M + 0x034, 0, .cite = "V 4.2.2: no queue 1"}, {WRITE32, M + 0x030, 0},
		{READ32, M + 0x060, 0}, {READ32, M + 0x070, 0},
		{READ32, M + 0x0b0, 0xffffffff, .cite = "V 4.2.2: SHMLen of no region"}, {READ32, M + 0x0bc, 0xffffffff},
		{READ32, M + 0x0c0, 0, .cite = "V 4.2.2: QueueReset"},
		{READ32, M + 0x020, 0, .cite = "V 4.2.2: write-only"}, {READ32, M + 0x050, 0},
		{WRITE32, M + 0x000, 1}, {READ32, M + 0x000, 0x74726976, .cite = "V 4.2.2: read-only"},
		{READ8, M + 0x000, 0, .cite = "V 4.2.2.2: 32 bits only"}, {WRITE8, M + 0x070, 1}, {READ32, M + 0x070, 0},
		{WRITE32, M + 0x044, 1}, {READ32, M + 0x044, 0, .cite = "V 3.1.1: queues come after FEATURES_OK"},
		{READ32, M + 0x100, 0}, {READ32, M + 0x1fc, 0}, {WRITE8, M + 0x100, 1},
		{READ32, M + 0x200, 0xffffffff, .cite = "the window ends"},
	};
	/* clang-format on */
	(void)state;
	harness_run(g->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&g->v->mmio->dev);
	rig_free(g);
}

static bool one(struct rig *g)
{
	uint16_t id;
	uint32_t len;

	vring_add(&g->v->ring[0], &(struct vbuf){0x10000, 4, true}, 1, 0);
	vdrv_kick(g->v, 0);
	return vring_get(&g->v->ring[0], &id, &len);
}

static void test_operation(void **state)
{
	struct rig *g = rig_new();
	struct vdrv *v = g->v;

	(void)state;
	vdrv_up(v, BIT(VIRTIO_F_RING_RESET), 1, 8);
	assert_true(one(g));
	assert_true(g->h->pins[VDRV_PIN].level);
	harness_check_state_roundtrip(&v->mmio->dev);
	assert_true(g->h->pins[VDRV_PIN].level);
	/* V 4.2.2: InterruptACK clears the bits written. */
	writel(g->h, M + 0x64, 2);
	assert_true(g->h->pins[VDRV_PIN].level);
	assert_int_equal(vdrv_isr(v), 1);
	assert_false(g->h->pins[VDRV_PIN].level);
	/* V 4.2.2.2: QueueReady = 0 stops the queue. */
	writel(g->h, M + 0x44, 0);
	assert_int_equal(readl(g->h, M + 0x44), 0);
	assert_false(one(g));
	vdrv_queue(v, 0, 8);
	assert_true(one(g));
	/* V 2.6.1 */
	writel(g->h, M + 0xc0, 1);
	assert_false(one(g));
	vdrv_queue(v, 0, 4);
	assert_true(one(g));
	/* A broken ring: configuration change interrupt with NEEDS_RESET (V 2.1.2). */
	vdrv_isr(v);
	vring_publish(&v->ring[0], 99);
	vdrv_kick(v, 0);
	assert_int_equal(vdrv_status(v), 0x4f);
	assert_int_equal(vdrv_isr(v), 2);
	vdrv_set_status(v, 0);
	assert_int_equal(readl(g->h, M + 0x60), 0);
	rig_free(g);
}

static void test_restore(void **state)
{
	struct rig *a = rig_new(), *b = rig_new();

	(void)state;
	vdrv_up(a->v, BIT(VIRTIO_F_EVENT_IDX), 1, 8);
	assert_true(one(a));
	vdrv_restore(b->v, a->v);
	assert_true(b->h->pins[VDRV_PIN].level);
	assert_int_equal(vdrv_isr(b->v), 1);
	vring_want_irq(&b->v->ring[0], true);
	for (unsigned i = 0; i < 20; i++)
		assert_true(one(b));
	rig_free(a);
	rig_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_operation),
		cmocka_unit_test(test_restore),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
