/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the virtio SCSI host: target 0 a disk, target 3 a CD drive. "V": virtio 1.2
 * (OASIS). The commands themselves: test_scsi.c.
 */
#include "device/virtio/virtio_scsi.h"
#include "fake_block.h"
#include "vring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { F_HOTPLUG = 1, Q_CTL = 0, Q_EVENT = 1, Q_REQ = 2 };
enum { OK = 0, OVERRUN = 1, BAD_TARGET = 3, RESET = 4, SUCCEEDED = 10, REJECTED = 11, NONE = 0xee };
#define DISK (1 * MIB)
#define HEAD 51u  /* lun, id, attributes, 32 bytes of command block */
#define RESP 108u /* response, 96 bytes of sense */

struct rig {
	struct harness *h;
	struct vdrv *v;
	struct virtio_scsi *vs;
	struct block *b[2];
};

static struct rig *rig_new(bool packed)
{
	struct rig *g = xnew(struct rig);

	g->h = harness_new();
	g->v = xnew(struct vdrv);
	for (unsigned i = 0; i < 2; i++)
		g->b[i] = fake_block_new(DISK);
	for (unsigned i = 0; i < DISK; i++)
		g->b[0]->data[i] = g->b[1]->data[i] = (uint8_t)(i / 512 + i);
	g->vs = (struct virtio_scsi *)dev_new(&virtio_scsi_class, "scsi0", &g->h->sv);
	g->vs->target[0] = (struct virtio_scsi_target){
		.present = true, .lu = {.kind = SCSI_DISK, .block = g->b[0], .serial = "S0"}};
	g->vs->target[3] = (struct virtio_scsi_target){
		.present = true, .lu = {.kind = SCSI_CD, .block = g->b[1], .serial = "S3"}};
	g->vs->n_queues = 2;
	g->vs->vd.packed = packed;
	vdrv_pci(g->v, g->h, &g->vs->vd);
	return g;
}

static void rig_free(struct rig *g)
{
	harness_free(g->h);
	fake_block_free(g->b[0]);
	fake_block_free(g->b[1]);
	free(g->v);
	free(g);
}

static gpa_t at(unsigned i)
{
	return 0x200000 + i * 0x10000ull;
}

static void put_lun(uint8_t *p, unsigned target, unsigned unit)
{
	p[0] = 1;
	p[1] = (uint8_t)target;
	p[2] = 0x40;
	p[3] = (uint8_t)unit;
}

/* Command @i on request queue 0: @out and @in bytes of data, all cut into odd pieces. */
static void put(struct rig *g, unsigned i, unsigned target, const uint8_t *cdb, uint32_t out,
		uint32_t in)
{
	uint8_t *p = ram(g->h, at(i));
	struct vbuf buf[6] = {{at(i), 5, false}, {at(i) + 5, HEAD - 5, false}};
	unsigned n = 2;

	memset(p, 0, HEAD);
	put_lun(p, target, 0);
	st_le64(p + 8, 77 + i);
	memcpy(p + 19, cdb, 16);
	memset(p + 0x100, NONE, RESP);
	if (out)
		buf[n++] = (struct vbuf){at(i) + 0x1000, out, false};
	buf[n++] = (struct vbuf){at(i) + 0x100, 11, true};
	/* the rest of the response and the first data in one piece */
	buf[n++] = (struct vbuf){at(i) + 0x10b, RESP - 11 + (in ? 1 : 0), true};
	if (in > 1)
		buf[n++] = (struct vbuf){at(i) + 0x1001, in - 1, true};
	vring_add(&g->v->ring[Q_REQ], buf, n, at(i) + 0x800);
}

/* The byte that stood behind the response, and the rest. */
static uint8_t data(struct rig *g, unsigned i, unsigned k)
{
	return k ? *ram(g->h, at(i) + 0x1000 + k) : *ram(g->h, at(i) + 0x100 + RESP);
}

static uint8_t response(struct rig *g, unsigned i)
{
	return *ram(g->h, at(i) + 0x10b);
}

static uint8_t status(struct rig *g, unsigned i)
{
	return *ram(g->h, at(i) + 0x10a);
}

static void disk_work(struct rig *g)
{
	bus_lock(&g->h->bus);
	while (fake_block_run(g->b[0], 100, false) + fake_block_run(g->b[1], 100, false))
		;
	bus_unlock(&g->h->bus);
}

/* A whole command; the response code. */
static uint8_t run(struct rig *g, unsigned target, const uint8_t *cdb, uint32_t out, uint32_t in,
		   uint32_t *ret_used)
{
	uint16_t id;
	uint32_t used = 0;

	put(g, 0, target, cdb, out, in);
	vdrv_kick(g->v, Q_REQ);
	disk_work(g);
	assert_true(vring_get(&g->v->ring[Q_REQ], &id, &used));
	if (ret_used)
		*ret_used = used;
	return response(g, 0);
}

static uint32_t sense(struct rig *g)
{
	const uint8_t *p = ram(g->h, at(0) + 0x100);

	return ld_le32(p) ? (uint32_t)(p[12 + 2] << 16 | p[12 + 12] << 8 | p[12 + 13]) : 0;
}

static const uint64_t all = BIT(F_HOTPLUG) | BIT(VIRTIO_F_INDIRECT_DESC) | BIT(VIRTIO_F_EVENT_IDX);
static const uint8_t ready[16] = {0x00};

static void up(struct rig *g, bool packed)
{
	vdrv_up(g->v, all | (packed ? BIT(VIRTIO_F_RING_PACKED) : 0), 4, 64);
	/* SAM: the attention after a reset, once for each unit */
	assert_int_equal(run(g, 0, ready, 0, 0, NULL), OK);
	assert_int_equal(sense(g), 0x062900);
	run(g, 3, ready, 0, 0, NULL);
}

static void test_config(void **state)
{
	struct rig *g = rig_new(false);

	(void)state;
	assert_int_equal(vdrv_cfg(g->v, 0, 4), 0x10481af4);
	assert_int_equal(vdrv_config(g->v, 0, 4), 2);   /* V 5.6.4: num_queues */
	assert_int_equal(vdrv_config(g->v, 16, 4), 16); /* event_info_size */
	assert_int_equal(vdrv_config(g->v, 20, 4), 96); /* sense_size */
	assert_int_equal(vdrv_config(g->v, 24, 4), 32); /* cdb_size */
	assert_int_equal(vdrv_config(g->v, 30, 2), 15); /* max_target */
	vdrv_set_config(g->v, 20, 4, 64);
	assert_int_equal(vdrv_config(g->v, 20, 4), 64);
	vdrv_set_config(g->v, 20, 4, 5000);
	assert_int_equal(vdrv_config(g->v, 20, 4), 64);
	vdrv_up(g->v, all, 4, 64);
	vdrv_set_config(g->v, 24, 4, 16); /* not after DRIVER_OK */
	assert_int_equal(vdrv_config(g->v, 24, 4), 32);
	rig_free(g);
}

static void commands(bool packed)
{
	struct rig *g = rig_new(packed);
	uint32_t used;

	up(g, packed);
	/* INQUIRY: answer, residual, length of what was written (V 5.6.6.1) */
	assert_int_equal(run(g, 0, (uint8_t[16]){0x12, [4] = 36}, 0, 64, &used), OK);
	assert_int_equal(used, RESP + 36);
	assert_int_equal(ld_le32(ram(g->h, at(0) + 0x104)), 28);
	assert_int_equal(data(g, 0, 8), 'B');
	assert_int_equal(data(g, 0, 0), 0);
	run(g, 3, (uint8_t[16]){0x12, [4] = 36}, 0, 36, NULL);
	assert_int_equal(data(g, 0, 0), 5);
	/* READ (10) and WRITE (16) straight from and to the driver's memory */
	assert_int_equal(run(g, 0, (uint8_t[16]){0x28, [5] = 9, [8] = 8}, 0, 4096, &used), OK);
	assert_int_equal(used, RESP + 4096);
	assert_int_equal(data(g, 0, 0), g->b[0]->data[9 * 512]);
	assert_memory_equal(ram(g->h, at(0) + 0x1001), g->b[0]->data + 9 * 512 + 1, 4095);
	memset(ram(g->h, at(0) + 0x1000), 0x5a, 1024);
	assert_int_equal(run(g, 0, (uint8_t[16]){0x8a, 8, [9] = 100, [13] = 2}, 1024, 0, &used),
			 OK);
	assert_int_equal(used, RESP);
	assert_int_equal(g->b[0]->data[100 * 512], 0x5a);
	assert_int_equal(g->b[0]->fua_writes, 1);
	assert_int_equal(run(g, 3, (uint8_t[16]){0x28, [5] = 3, [8] = 1}, 0, 2048, NULL), OK);
	assert_memory_equal(ram(g->h, at(0) + 0x1001), g->b[1]->data + 3 * 2048 + 1, 2047);
	/* less memory than data */
	assert_int_equal(run(g, 0, (uint8_t[16]){0x28, [8] = 8}, 0, 512, NULL), OVERRUN);
	/* errors: sense data with the status */
	assert_int_equal(run(g, 0, (uint8_t[16]){0x28, 0, 0xff, [8] = 1}, 0, 512, NULL), OK);
	assert_int_equal(status(g, 0), SCSI_CHECK_CONDITION);
	assert_int_equal(sense(g), 0x052100);
	g->b[0]->fail = -EIO;
	run(g, 0, (uint8_t[16]){0x28, [8] = 1}, 0, 512, NULL);
	assert_int_equal(sense(g), 0x031100);
	assert_int_equal(run(g, 0, (uint8_t[16]){0x35}, 0, 0, NULL), OK);
	assert_int_equal(g->b[0]->flushes, 1);
	/* parameters: UNMAP */
	memset(ram(g->h, at(0) + 0x1000), 0, 24);
	st_be16(ram(g->h, at(0) + 0x1002), 16);
	st_be32(ram(g->h, at(0) + 0x1010), 8);
	assert_int_equal(run(g, 0, (uint8_t[16]){0x42, [8] = 24}, 24, 0, NULL), OK);
	assert_int_equal(g->b[0]->discards, 1);
	/* who isn't there */
	assert_int_equal(run(g, 1, ready, 0, 0, NULL), BAD_TARGET);
	assert_int_equal(run(g, 99, ready, 0, 0, NULL), BAD_TARGET);
	/* another disc */
	bus_lock(&g->h->bus);
	virtio_scsi_set_medium(g->vs, 3, NULL);
	bus_unlock(&g->h->bus);
	run(g, 3, ready, 0, 0, NULL);
	assert_int_equal(sense(g), 0x023a01);
	harness_check_state_roundtrip(&g->vs->vd.dev);
	rig_free(g);
}

static void test_split(void **state)
{
	(void)state;
	commands(false);
}

static void test_packed(void **state)
{
	(void)state;
	commands(true);
}

static uint8_t manage(struct rig *g, uint32_t subtype, unsigned target, unsigned unit)
{
	const struct vbuf buf[] = {{at(9), 24, false}, {at(9) + 0x100, 1, true}};
	uint8_t *p = ram(g->h, at(9));
	uint16_t id;
	uint32_t used;

	memset(p, 0, 24);
	st_le32(p + 4, subtype);
	put_lun(p + 8, target, unit);
	p[0x100] = NONE;
	vring_add(&g->v->ring[Q_CTL], buf, 2, at(9) + 0x200);
	vdrv_kick(g->v, Q_CTL);
	assert_true(vring_get(&g->v->ring[Q_CTL], &id, &used));
	return p[0x100];
}

static void test_control(void **state)
{
	struct rig *g = rig_new(false);
	uint16_t id;
	uint32_t used;

	(void)state;
	up(g, false);
	put(g, 0, 0, (uint8_t[16]){0x28, [8] = 1}, 0, 512);
	vdrv_kick(g->v, Q_REQ);
	assert_int_equal(g->b[0]->n_queued, 1);
	assert_int_equal(manage(g, 6, 0, 0), SUCCEEDED); /* V 5.6.6.2: QUERY TASK */
	assert_int_equal(manage(g, 0, 0, 0), OK);        /* ABORT TASK */
	assert_int_equal(g->b[0]->n_queued, 0);
	assert_true(vring_get(&g->v->ring[Q_REQ], &id, &used));
	assert_int_equal(response(g, 0), RESET);
	assert_int_equal(manage(g, 6, 0, 0), OK);
	assert_int_equal(manage(g, 5, 1, 0), BAD_TARGET);
	assert_int_equal(manage(g, 5, 0, 4), 12); /* INCORRECT LUN */
	assert_int_equal(manage(g, 2, 0, 0), REJECTED);
	assert_int_equal(manage(g, 5, 0, 0), OK); /* LOGICAL UNIT RESET */
	run(g, 0, ready, 0, 0, NULL);
	assert_int_equal(sense(g), 0x062900);
	rig_free(g);
}

/* V 5.6.6.3: disks that come and go. */
static void test_events(void **state)
{
	struct rig *g = rig_new(false);
	const struct vbuf buf[] = {{at(8), 16, true}};
	struct error err = {0};
	uint16_t id;
	uint32_t used;
	uint8_t *p = ram(g->h, at(8));

	(void)state;
	up(g, false);
	vring_add(&g->v->ring[Q_EVENT], buf, 1, 0);
	vdrv_kick(g->v, Q_EVENT);
	bus_lock(&g->h->bus);
	assert_int_equal(virtio_scsi_plug(g->vs, 0, false, &err), 0);
	bus_unlock(&g->h->bus);
	assert_true(vring_get(&g->v->ring[Q_EVENT], &id, &used));
	assert_int_equal(used, 16);
	assert_int_equal(ld_le32(p), 1); /* TRANSPORT_RESET */
	assert_int_equal(p[5], 0);
	assert_int_equal(ld_le32(p + 12), 2); /* REMOVED */
	assert_int_equal(run(g, 0, ready, 0, 0, NULL), BAD_TARGET);
	/* no buffer: told when there is one, and that it was late */
	bus_lock(&g->h->bus);
	assert_int_equal(virtio_scsi_plug(g->vs, 0, true, &err), 0);
	bus_unlock(&g->h->bus);
	vring_add(&g->v->ring[Q_EVENT], buf, 1, 0);
	vdrv_kick(g->v, Q_EVENT);
	assert_true(vring_get(&g->v->ring[Q_EVENT], &id, &used));
	assert_int_equal(ld_le32(p), 0x80000001);
	assert_int_equal(ld_le32(p + 12), 1); /* RESCAN */
	bus_lock(&g->h->bus);
	assert_int_equal(virtio_scsi_plug(g->vs, 0, false, &err), 0);
	bus_unlock(&g->h->bus);
	harness_check_state_roundtrip(&g->vs->vd.dev); /* with an event that waits */
	rig_free(g);
}

/* A write that the host disk has no room for goes on in another process. */
static void test_restore(void **state)
{
	struct rig *g = rig_new(false), *to = rig_new(false);
	uint16_t id;
	uint32_t used;

	(void)state;
	up(g, false);
	g->b[0]->no_space = true;
	memset(ram(g->h, at(0) + 0x1000), 0x77, 512);
	put(g, 0, 0, (uint8_t[16]){0x2a, [5] = 5, [8] = 1}, 512, 0);
	vdrv_kick(g->v, Q_REQ);
	disk_work(g);
	assert_int_equal(g->b[0]->n_parked, 1);
	vdrv_restore(to->v, g->v);
	disk_work(to);
	assert_true(vring_get(&to->v->ring[Q_REQ], &id, &used));
	assert_int_equal(response(to, 0), OK);
	assert_int_equal(to->b[0]->data[5 * 512], 0x77);
	rig_free(g);
	rig_free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config), cmocka_unit_test(test_split),
		cmocka_unit_test(test_packed), cmocka_unit_test(test_control),
		cmocka_unit_test(test_events), cmocka_unit_test(test_restore),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
