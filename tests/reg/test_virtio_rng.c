/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio entropy device. "V": virtio 1.2 (OASIS). What is common to all
 * devices is tested on this one in test_virtio_pci.c.
 */
#include "device/virtio/virtio_rng.h"
#include "vring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int broken_source(void *ctx, void *buf, size_t len)
{
	(void)ctx, (void)buf, (void)len;
	return -EIO;
}

static void test_entropy(void **state)
{
	(void)state;
	for (unsigned broken = 0; broken < 2; broken++) {
		struct harness *h = harness_new();
		struct vdrv *v = xnew(struct vdrv);
		struct virtio_rng *rng =
			(struct virtio_rng *)dev_new(&virtio_rng_class, "rng0", &h->sv);
		static const uint8_t zeros[1024];
		uint16_t id;
		uint32_t len;

		rng->fill = broken ? broken_source : NULL;
		vdrv_pci(v, h, &rng->vd);
		assert_int_equal(vdrv_cfg(v, 0, 4), 0x10441af4);
		vdrv_up(v, 0, 1, 8);
		/* V 5.4.6.2: at least one byte; here at most 1,024. */
		memset(ram(h, 0x10000), 0, 0x2000);
		vring_add(&v->ring[0],
			  (struct vbuf[]){{0x10000, 1000, true}, {0x11000, 1000, true}}, 2, 0);
		vdrv_kick(v, 0);
		assert_true(vring_get(&v->ring[0], &id, &len));
		assert_int_equal(len, broken ? 0 : 1024);
		assert_int_equal(memcmp(ram(h, 0x10000), zeros, 1000) != 0, !broken);
		assert_int_equal(memcmp(ram(h, 0x11000), zeros, 24) != 0, !broken);
		assert_memory_equal(ram(h, 0x11000) + 24, zeros, 976);
		/* V 5.4.6.1: buffers must be writable; one that isn't comes back empty. */
		vring_add(&v->ring[0], &(struct vbuf){0x10000, 16, false}, 1, 0);
		vdrv_kick(v, 0);
		assert_true(vring_get(&v->ring[0], &id, &len));
		assert_int_equal(len, 0);
		assert_int_equal(vdrv_status(v), 0x0f);
		harness_check_state_roundtrip(&rng->vd.dev);
		harness_free(h);
		free(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entropy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
