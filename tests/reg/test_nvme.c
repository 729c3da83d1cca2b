/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the NVMe controller (nvme_class). "NVMe": NVM Express Base Specification 1.4.
 */
#include <errno.h>
#include <stdlib.h>

#include "nvme_rig.h"

#define BUF  0x100000u
#define LIST 0x200000u

/* One command on queue @q to its end; the status. */
static int run(struct nvme_rig *g, unsigned q, const uint8_t *cmd, uint32_t *ret_dw0)
{
	uint16_t cid = nvme_rig_submit(g, q, cmd), got = 0;
	int st;

	nvme_rig_disk_work(g);
	st = nvme_rig_poll(g, q, &got, ret_dw0);
	assert_true(st >= 0);
	assert_int_equal(got, cid);
	return st;
}

static int run3(struct nvme_rig *g, unsigned q, uint8_t op, uint32_t nsid, uint64_t prp1,
		uint64_t prp2, uint32_t d10, uint32_t d11, uint32_t d12)
{
	uint8_t cmd[64];

	nvme_rig_command(cmd, op, nsid, prp1, prp2, d10, d11, d12);
	return run(g, q, cmd, NULL);
}

static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{READ32, NVME_RIG_BAR, 0x280103ff, .cite = "NVMe 3.1.1: TO 20 s, CQR, MQES 1023"},
		{READ32, NVME_RIG_BAR + 4, 0x00400020,
		 .cite = "NVMe 3.1.1: MPSMAX 64 KiB, CSS, DSTRD 0"},
		{READ64, NVME_RIG_BAR, 0x00400020280103ff},
		{READ32, NVME_RIG_BAR + 8, 0x00010400, .cite = "NVMe 3.1.2: 1.4"},
		{READ32, NVME_RIG_BAR + 0x1c, 0, .cite = "NVMe 3.1.6: not ready"},
		{READ32, NVME_RIG_BAR + 0x38, 0,
		 .cite = "NVMe 3.1.11: no controller memory buffer"},
		{WRITE32, NVME_RIG_BAR + 0x0c, 5},
		{READ32, NVME_RIG_BAR + 0x10, 5, .cite = "NVMe 3.1.3"},
		{WRITE32, NVME_RIG_BAR + 0x10, 1},
		{READ32, NVME_RIG_BAR + 0x0c, 4, .cite = "NVMe 3.1.4"},
		{WRITE32, NVME_RIG_BAR + 0x10, 4},
		{WRITE32, NVME_RIG_BAR + 0x24, 0xffffffff},
		{READ32, NVME_RIG_BAR + 0x24, 0x0fff0fff},
		{WRITE64, NVME_RIG_BAR + 0x28, 0x123456789abcdfff},
		{READ64, NVME_RIG_BAR + 0x28, 0x123456789abcd000,
		 .cite = "NVMe 3.1.9: page aligned"},
		{WRITE32, NVME_RIG_BAR + 0x14, 0x00460081, .cite = "NVMe 3.1.5: pages of 16 KiB"},
		{READ32, NVME_RIG_BAR + 0x1c, 2,
		 .cite = "7.6.1: ASQ is not aligned to that: fatal"},
		{WRITE32, NVME_RIG_BAR + 0x14, 0x00460000},
		{READ32, NVME_RIG_BAR + 0x1c, 0, .cite = "NVMe 3.1.5: reset by EN 1 to 0"},
	};
	struct nvme_rig *g = nvme_rig_new();

	(void)state;
	harness_run(g->h, rows, ARRAY_SIZE(rows));
	bus_lock(&g->h->bus);
	assert_int_equal(pci_bus_config_read(&g->bus, g->n->devfn, 8, 4), 0x01080201);
	bus_unlock(&g->h->bus);
	nvme_rig_start(g);
	/* 3.1.5: page and entry sizes stay as they are while EN is 1 */
	nvme_rig_write(g, 0x14, 4u << 20 | 6u << 16 | 15u << 7 | 1);
	assert_int_equal(nvme_rig_read(g, 0x14), 4u << 20 | 6u << 16 | 1);
	assert_int_equal(nvme_rig_read(g, 0x1c), 1);
	harness_check_state_roundtrip(&g->n->dev);
	/* NVMe 7.6.2: a normal shutdown flushes */
	nvme_rig_write(g, 0x14, 0x00460001 | 1 << 14);
	assert_int_equal(nvme_rig_read(g, 0x1c), 5);
	nvme_rig_disk_work(g);
	assert_int_equal(nvme_rig_read(g, 0x1c), 9);
	assert_int_equal(g->b->flushes, 1);
	nvme_rig_free(g);
}

static void test_admin(void **state)
{
	static const struct {
		uint8_t op;
		uint32_t nsid, d10, d11;
		int status;
		unsigned at;
		uint32_t want; /* 4 bytes at @at of the data */
		const char *cite;
	} rows[] = {
		/* clang-format off */
		{0x06, 0, 1, 0, 0, 516, 1, "figure 247: NN"},
		{0x06, 0, 1, 0, 0, 76, 0x0800, "figure 247: CMIC, MDTS of 1 MiB, CNTLID"},
		{0x06, 0, 1, 0, 0, 80, 0x00010400, "figure 247: VER"},
		{0x06, 0, 1, 0, 0, 512, 0x4466, "figure 247: SQES, CQES"},
		{0x06, 0, 1, 0, 0, 4, 0x69726573, "figure 247: serial number"},
		{0x06, 1, 0, 0, 0, 0, NVME_RIG_DISK / 512, "figure 245: NSZE"},
		{0x06, 1, 0, 0, 0, 128, 9 << 16, "figure 245: LBAF0"},
		{0x06, 1, 0, 0, 0, 132, 12 << 16, "figure 245: LBAF1"},
		{0x06, 2, 0, 0, 0x400b, 0, 0, "5.15.2.1: no namespace 2"},
		{0x06, 0, 2, 0, 0, 0, 1, "5.15.2.3: active namespaces"},
		{0x06, 1, 2, 0, 0, 0, 0, "5.15.2.3: above 1: none"},
		{0x06, 1, 3, 0, 0, 0, 0x0801, "5.15.2.4: EUI64"},
		{0x06, 1, 0x55, 0, 0x4002, 0, 0, "5.15: unknown CNS"},
		{0x02, 0, 0x007f0002, 0, 0, 0, 0x64013900, "figure 196: 313 kelvin, spare 100"},
		{0x02, 0, 0x007f0003, 0, 0, 0, 1, "figure 198: active firmware slot 1"},
		{0x02, 0, 0x000f0001, 0, 0, 28, 0, "figure 195"},
		{0x02, 0, 0x000f0077, 0, 0x4109, 0, 0, "5.14: no such log page"},
		{0x7f, 0, 0, 0, 0x4001, 0, 0, "4.6.1: no such command"},
		{0x05, 0, 31 << 16 | 99, 1, 0x4101, 0, 0, "5.3: queue number"},
		{0x05, 0, 1024 << 16 | 1, 1, 0x4102, 0, 0, "5.3: size"},
		{0x05, 0, 31 << 16 | 1, 0, 0x4002, 0, 0, "5.3: not contiguous"},
		{0x05, 0, 31 << 16 | 1, 5 << 16 | 1, 0x4108, 0, 0, "5.3: vector without MSI-X"},
		{0x01, 0, 31 << 16 | 1, 1 << 16 | 1, 0x4100, 0, 0, "5.4: no completion queue"},
		{0x00, 0, 1, 0, 0x4101, 0, 0, "5.6: no such queue"},
		{0x04, 0, 1, 0, 0x4101, 0, 0, "5.5: no such queue"},
		{0x09, 0, 0x80000004, 0, 0x410d, 0, 0, "5.21: nothing is saved"},
		{0x09, 0, 0x0c, 0, 0x4002, 0, 0, "5.21: no such feature"},
		/* clang-format on */
	};
	struct nvme_rig *g = nvme_rig_new();
	uint32_t dw0;
	uint8_t cmd[64];

	(void)state;
	nvme_rig_start(g);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int st;

		memset(ram(g->h, BUF), 0, 4096);
		st = run3(g, 0, rows[i].op, rows[i].nsid, BUF, 0, rows[i].d10, rows[i].d11, 0);
		if (st != rows[i].status ||
		    (!st && ld_le32(ram(g->h, BUF + rows[i].at)) != rows[i].want))
			fail_msg("row %zu (%s): status %x, %x", i, rows[i].cite, st,
				 ld_le32(ram(g->h, BUF + rows[i].at)));
	}
	/* 5.14.1.1: the failures above are in the error log, the last first */
	assert_int_equal(run3(g, 0, 2, 0, BUF, 0, 0x000f0001, 0, 0), 0);
	assert_int_equal(ld_le16(ram(g->h, BUF + 12)), 0x4002 << 1);
	nvme_rig_command(cmd, 0x09, 0, 0, 0, 7, 3 << 16 | 3, 0);
	assert_int_equal(run(g, 0, cmd, &dw0), 0);
	assert_int_equal(dw0, 15 << 16 | 15); /* 5.21.1.7: what there is */
	nvme_rig_command(cmd, 0x0a, 0, 0, 0, 6, 0, 0);
	assert_int_equal(run(g, 0, cmd, &dw0), 0);
	assert_int_equal(dw0, 1);
	nvme_rig_command(cmd, 0x09, 0, 0, 0, 6, 0, 0);
	assert_int_equal(run(g, 0, cmd, NULL), 0);
	assert_int_equal(g->b->flushes, 1);
	nvme_rig_free(g);
}

static void test_io(void **state)
{
	struct nvme_rig *g = nvme_rig_new();
	uint64_t *list;

	(void)state;
	nvme_rig_start(g);
	nvme_rig_create(g, 1, 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	/* 4.3: one page with an offset, two pages, a list */
	assert_int_equal(run3(g, 1, 2, 1, BUF + 0x204, 0, 7, 0, 0), 0);
	assert_memory_equal(ram(g->h, BUF + 0x204), g->b->data + 7 * 512, 512);
	assert_int_equal(run3(g, 1, 2, 1, BUF + 0xe00, BUF + 0x5000, 9, 0, 3), 0);
	assert_memory_equal(ram(g->h, BUF + 0xe00), g->b->data + 9 * 512, 512);
	assert_memory_equal(ram(g->h, BUF + 0x5000), g->b->data + 10 * 512, 1536);
	list = (uint64_t *)ram(g->h, LIST);
	for (unsigned i = 0; i < 8; i++)
		list[512 - 2 + i] = 0;
	list[510] = BUF + 0x10000;
	list[511] = LIST + 0x1000; /* the list goes on */
	list[512] = BUF + 0x20000;
	list[513] = BUF + 0x30000;
	assert_int_equal(run3(g, 1, 2, 1, BUF, LIST + 510 * 8, 0, 0, 31), 0);
	assert_memory_equal(ram(g->h, BUF), g->b->data, 4096);
	assert_memory_equal(ram(g->h, BUF + 0x10000), g->b->data + 4096, 4096);
	assert_memory_equal(ram(g->h, BUF + 0x20000), g->b->data + 8192, 4096);
	assert_memory_equal(ram(g->h, BUF + 0x30000), g->b->data + 12288, 4096);
	list[512] |= 8;
	assert_int_equal(run3(g, 1, 2, 1, BUF, LIST + 510 * 8, 0, 0, 31), 0x4013);
	assert_int_equal(run3(g, 1, 2, 1, 0xf0000000, 0, 0, 0, 0), 0x0004); /* not RAM */
	/* 6.15: write, FUA */
	memset(ram(g->h, BUF), 0x5a, 512);
	assert_int_equal(run3(g, 1, 1, 1, BUF, 0, 3, 0, 1u << 30), 0);
	assert_int_equal(g->b->data[3 * 512], 0x5a);
	assert_int_equal(g->b->fua_writes, 1);
	assert_int_equal(run3(g, 1, 0, 0xffffffff, 0, 0, 0, 0, 0), 0);
	assert_int_equal(g->b->flushes, 1);
	assert_int_equal(run3(g, 1, 2, 1, BUF, 0, NVME_RIG_DISK / 512 - 1, 0, 1), 0x4080);
	assert_int_equal(run3(g, 1, 2, 1, BUF, 0, 0xffffffff, 0xffffffff, 0), 0x4080);
	assert_int_equal(run3(g, 1, 2, 2, BUF, 0, 0, 0, 0), 0x400b);
	assert_int_equal(run3(g, 1, 0x33, 1, BUF, 0, 0, 0, 0), 0x4001);
	assert_int_equal(run3(g, 1, 2, 1, BUF, LIST, 0, 0, 2048), 0x4002); /* MDTS */
	/* 6.16, 6.7 */
	assert_int_equal(run3(g, 1, 8, 1, 0, 0, 16, 0, 15), 0);
	assert_int_equal(g->b->data[16 * 512], 0);
	st_le32(ram(g->h, BUF + 4), 8);
	st_le64(ram(g->h, BUF + 8), 64);
	st_le32(ram(g->h, BUF + 20), 8);
	st_le64(ram(g->h, BUF + 24), 128);
	assert_int_equal(run3(g, 1, 9, 1, BUF, 0, 1, 4, 0), 0);
	assert_int_equal(g->b->discards, 2);
	st_le64(ram(g->h, BUF + 24), NVME_RIG_DISK);
	assert_int_equal(run3(g, 1, 9, 1, BUF, 0, 1, 4, 0), 0x4080);
	assert_int_equal(g->b->discards, 2);
	g->b->fail = -EIO;
	assert_int_equal(run3(g, 1, 2, 1, BUF, 0, 0, 0, 0), 0x0281);
	g->b->fail = -EIO;
	assert_int_equal(run3(g, 1, 1, 1, BUF, 0, 0, 0, 0), 0x0280);
	g->b->read_only = true;
	assert_int_equal(run3(g, 1, 1, 1, BUF, 0, 0, 0, 0), 0x4182);
	g->b->read_only = false;
	/* 5.23: blocks of 4096 bytes */
	assert_int_equal(run3(g, 0, 0x80, 1, 0, 0, 1, 0, 0), 0);
	memset(g->b->data + 4096, 7, 4096);
	assert_int_equal(run3(g, 1, 2, 1, BUF, 0, 1, 0, 0), 0);
	assert_memory_equal(ram(g->h, BUF), g->b->data + 4096, 4096);
	assert_int_equal(run3(g, 1, 2, 1, BUF, 0, NVME_RIG_DISK / 4096, 0, 0), 0x4080);
	assert_int_equal(run3(g, 0, 0x80, 1, 0, 0, 2, 0, 0), 0x410a);
	nvme_rig_free(g);
}

/* 7.5: INTx with mask, MSI-X. */
/* 6.6 and 6.14: the disk against memory, and against itself. */
static void test_compare(void **state)
{
	struct nvme_rig *g = nvme_rig_new();

	(void)state;
	nvme_rig_start(g);
	nvme_rig_create(g, 1, 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(run3(g, 0, 6, 0, BUF, 0, 1, 0, 0), 0);
	assert_int_equal(ld_le16(ram(g->h, BUF + 520)) & 0x81, 0x81);
	memcpy(ram(g->h, BUF + 0x200), g->b->data + 5 * 512, 0xe00);
	memcpy(ram(g->h, BUF + 0x3000), g->b->data + 12 * 512, 4096);
	assert_int_equal(run3(g, 1, 5, 1, BUF + 0x200, BUF + 0x3000, 5, 0, 14), 0);
	*ram(g->h, BUF + 0x3dff) ^= 1; /* the last byte of block 18, in the second piece */
	assert_int_equal(run3(g, 1, 5, 1, BUF + 0x200, BUF + 0x3000, 5, 0, 12), 0);
	assert_int_equal(run3(g, 1, 5, 1, BUF + 0x200, BUF + 0x3000, 5, 0, 13), 0x0285);
	assert_int_equal(run3(g, 1, 5, 1, BUF, 0, NVME_RIG_DISK / 512, 0, 0), 0x4080);
	assert_int_equal(run3(g, 1, 5, 1, 0xf0000000, 0, 0, 0, 0), 0x0004);
	assert_int_equal(run3(g, 1, 12, 1, 0, 0, 0, 0, NVME_RIG_DISK / 512 - 1), 0);
	assert_int_equal(run3(g, 1, 12, 1, 0, 0, 1, 0, NVME_RIG_DISK / 512 - 1), 0x4080);
	g->b->fail = -EIO;
	assert_int_equal(run3(g, 1, 12, 1, 0, 0, 0, 0, 100), 0x0281);
	for (unsigned i = 0; i < NVME_RANGE_BUFFERS; i++)
		assert_false(g->n->range_busy[i]);
	nvme_rig_free(g);
}

static void sgl(uint8_t *d, uint64_t at, uint32_t len, uint8_t type)
{
	memset(d, 0, 16);
	st_le64(d, at);
	st_le32(d + 8, len);
	d[15] = type;
}

/* 4.4: scatter gather lists. A read of 4 blocks from block 20 by the descriptor in the command. */
static int sgl_read(struct nvme_rig *g, uint64_t at, uint32_t len, uint8_t type)
{
	uint8_t cmd[64];

	nvme_rig_command(cmd, 2, 1, 0, 0, 20, 0, 3);
	cmd[1] = 0x40;
	sgl(cmd + 24, at, len, type);
	nvme_rig_submit(g, 1, cmd);
	nvme_rig_disk_work(g);
	return nvme_rig_poll(g, 1, NULL, NULL);
}

static void test_sgl(void **state)
{
	struct nvme_rig *g = nvme_rig_new();
	uint8_t *list, *want = g->b->data + 20 * 512;

	(void)state;
	nvme_rig_start(g);
	nvme_rig_create(g, 1, 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	list = ram(g->h, LIST);
	/* one block of data, at any address; longer than needed (SGLS bit 18); too short */
	assert_int_equal(sgl_read(g, BUF + 3, 2048, 0x00), 0);
	assert_memory_equal(ram(g->h, BUF + 3), want, 2048);
	assert_int_equal(sgl_read(g, BUF, 9999, 0x00), 0);
	assert_int_equal(sgl_read(g, BUF, 2047, 0x00), 0x400f);
	/* a segment, which leads to the last one; an empty descriptor between */
	sgl(list, BUF, 100, 0x00);
	sgl(list + 16, BUF + 0x1000, 0, 0x00);
	sgl(list + 32, LIST + 0x400, 32, 0x30);
	sgl(list + 0x400, BUF + 0x1001, 1000, 0x00);
	sgl(list + 0x410, BUF + 0x3000, 948, 0x00);
	memset(ram(g->h, BUF), 0, 0x4000);
	assert_int_equal(sgl_read(g, LIST, 48, 0x20), 0);
	assert_memory_equal(ram(g->h, BUF), want, 100);
	assert_memory_equal(ram(g->h, BUF + 0x1001), want + 100, 1000);
	assert_memory_equal(ram(g->h, BUF + 0x3000), want + 1100, 948);
	assert_int_equal(*ram(g->h, BUF + 0x3000 + 948), 0);
	/* what is wrong with lists */
	assert_int_equal(sgl_read(g, LIST, 40, 0x20), 0x400d);
	assert_int_equal(sgl_read(g, LIST, 0, 0x30), 0x400d);
	assert_int_equal(sgl_read(g, LIST, 48, 0x30), 0x400d); /* the last has no successor */
	assert_int_equal(sgl_read(g, LIST, 48, 0x40), 0x4011); /* keyed */
	assert_int_equal(sgl_read(g, LIST, 16u << 20, 0x30), 0x400e);
	assert_int_equal(sgl_read(g, 0xf0000000, 48, 0x30), 0x0004);
	sgl(list + 32, LIST, 48, 0x20); /* a ring without data */
	sgl(list, BUF, 0, 0x00);
	assert_int_equal(sgl_read(g, LIST, 48, 0x20), 0x400e);
	sgl(list + 16, BUF, 512, 0x10); /* bit bucket: not supported */
	assert_int_equal(sgl_read(g, LIST, 48, 0x20), 0x4011);
	nvme_rig_free(g);
}

static void test_interrupts(void **state)
{
	struct nvme_rig *g = nvme_rig_new();
	uint8_t cmd[64];

	(void)state;
	nvme_rig_start(g);
	nvme_rig_command(cmd, 0x06, 0, BUF, 0, 1, 0, 0);
	nvme_rig_submit(g, 0, cmd);
	assert_true(g->pirq);
	nvme_rig_write(g, 0x0c, 1);
	assert_false(g->pirq);
	nvme_rig_write(g, 0x10, 1);
	assert_true(g->pirq);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_false(g->pirq);
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, g->n->devfn, g->n->f.msix.cap + 2u, 2, 0x8000);
	bus_unlock(&g->h->bus);
	for (unsigned v = 0; v < 3; v++) {
		nvme_rig_write(g, 0x2000 + 16 * v, 0xfee00000);
		nvme_rig_write(g, 0x2008 + 16 * v, 0x40 + v);
		nvme_rig_write(g, 0x200c + 16 * v, 0);
	}
	nvme_rig_create(g, 1, 2);
	assert_int_equal(g->h->n_msis, 2);
	nvme_rig_command(cmd, 0x00, 1, 0, 0, 0, 0, 0);
	nvme_rig_submit(g, 1, cmd);
	nvme_rig_disk_work(g);
	assert_int_equal(g->h->n_msis, 3);
	assert_int_equal(g->h->msis[2].data, 0x42);
	assert_false(g->pirq);
	nvme_rig_free(g);
}

static void test_events(void **state)
{
	struct nvme_rig *g = nvme_rig_new();
	uint8_t cmd[64];
	uint16_t cid, first, got;
	uint32_t dw0;

	(void)state;
	nvme_rig_start(g);
	nvme_rig_command(cmd, 0x0c, 0, 0, 0, 0, 0, 0);
	first = nvme_rig_submit(g, 0, cmd);
	for (unsigned i = 0; i < 3; i++)
		cid = nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), -1);
	harness_check_state_roundtrip(&g->n->dev);
	nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0x4105); /* 5.2: limit */
	nvme_rig_write(g, 0x1000 + 8 * 9, 0);                      /* a doorbell of no queue */
	assert_int_equal(nvme_rig_poll(g, 0, &got, &dw0), 0);
	assert_int_equal(got, cid);
	assert_int_equal(dw0, 0x010000); /* figure 146: error, log page 1 */
	nvme_rig_write(g, 0x1000, 99);   /* silent until the page has been read */
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), -1);
	nvme_rig_command(cmd, 0x02, 0, BUF, 0, 0x000f0001, 0, 0);
	nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, &dw0), 0);
	assert_int_equal(dw0, 0x010100);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	/* 5.1: an event request can be aborted */
	nvme_rig_command(cmd, 0x08, 0, 0, 0, (uint32_t)first << 16, 0, 0);
	nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, &got, NULL), 0x0007);
	assert_int_equal(got, first);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, &dw0), 0);
	assert_int_equal(dw0, 0);
	/* 5.21.1.4: over temperature */
	assert_int_equal(run3(g, 0, 9, 0, 0, 0, 0x0b, 2, 0), 0);
	nvme_rig_command(cmd, 0x09, 0, 0, 0, 4, 300, 0);
	nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, &dw0), 0);
	assert_int_equal(dw0, 0x020101);
	nvme_rig_free(g);
}

/* Full completion queue, deletion and reset with commands under way, a full host disk. */
static void test_trouble(void **state)
{
	struct nvme_rig *g = nvme_rig_new();
	struct dev *d = &g->n->dev;
	uint8_t cmd[64];

	(void)state;
	nvme_rig_start(g);
	/* the admin completion queue has room for 15 */
	nvme_rig_command(cmd, 0x06, 0, BUF, 0, 1, 0, 0);
	for (unsigned i = 0; i < 14; i++)
		nvme_rig_submit(g, 0, cmd);
	g->tail[0] = 0; /* 2 more */
	memcpy(ram(g->h, NVME_RIG_ASQ + 14 * 64), cmd, 64);
	memcpy(ram(g->h, NVME_RIG_ASQ + 15 * 64), cmd, 64);
	nvme_rig_write(g, 0x1000, 0);
	harness_check_state_roundtrip(d);
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), -1);
	nvme_rig_create(g, 1, 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	/* a write that the host disk has no room for outlives a snapshot */
	g->b->no_space = true;
	memset(ram(g->h, BUF), 0x77, 512);
	nvme_rig_command(cmd, 0x01, 1, BUF, 0, 5, 0, 0);
	nvme_rig_submit(g, 1, cmd);
	bus_lock(&g->h->bus);
	assert_int_equal(d->cls->quiesce(d), 0);
	bus_unlock(&g->h->bus);
	assert_int_equal(g->b->n_parked, 1);
	harness_check_state_roundtrip(d);
	bus_lock(&g->h->bus);
	d->cls->resume(d);
	g->b->no_space = false;
	block_retry(g->b);
	bus_unlock(&g->h->bus);
	nvme_rig_disk_work(g);
	assert_int_equal(nvme_rig_poll(g, 1, NULL, NULL), 0);
	assert_int_equal(g->b->data[5 * 512], 0x77);
	/* 5.5: the submission queue goes first, with what is under way */
	nvme_rig_submit(g, 1, cmd);
	assert_int_equal(run3(g, 0, 0x04, 0, 0, 0, 1, 0, 0), 0x410c);
	nvme_rig_submit(g, 1, cmd);
	nvme_rig_command(cmd, 0x00, 0, 0, 0, 1, 0, 0);
	nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	assert_int_equal(run3(g, 0, 0x04, 0, 0, 0, 1, 0, 0), 0);
	nvme_rig_create(g, 1, 0);
	nvme_rig_command(cmd, 0x02, 1, BUF, 0, 5, 0, 0);
	memset(ram(g->h, NVME_RIG_ACQ + 0x2000), 0, 512);
	nvme_rig_write(g, 0x1008, 4); /* four times what stood there: reads and writes */
	nvme_rig_write(g, 0x14, 0);   /* reset with them under way */
	assert_int_equal(g->b->n_queued, 0);
	assert_int_equal(nvme_rig_read(g, 0x1c), 0);
	harness_check_state_roundtrip(d);
	nvme_rig_start(g);
	assert_int_equal(run3(g, 0, 0x06, 0, BUF, 0, 1, 0, 0), 0);
	/* without bus mastering nothing is fetched */
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, g->n->devfn, 4, 2, 2);
	bus_unlock(&g->h->bus);
	nvme_rig_command(cmd, 0x06, 0, BUF, 0, 1, 0, 0);
	nvme_rig_submit(g, 0, cmd);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), -1);
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, g->n->devfn, 4, 2, 6);
	bus_unlock(&g->h->bus);
	assert_int_equal(nvme_rig_poll(g, 0, NULL, NULL), 0);
	/* a queue that isn't RAM */
	nvme_rig_write(g, 0x14, 0);
	nvme_rig_write(g, 0x28, 0xf0000000);
	nvme_rig_write(g, 0x14, 0x00460001);
	nvme_rig_write(g, 0x1000, 1);
	assert_int_equal(nvme_rig_read(g, 0x1c), 3); /* 3.1.6: fatal */
	nvme_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_admin),
		cmocka_unit_test(test_io),        cmocka_unit_test(test_compare),
		cmocka_unit_test(test_sgl),       cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_events),    cmocka_unit_test(test_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
