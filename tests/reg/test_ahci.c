/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the AHCI host bus adapter (ahci_class). "AHCI": Serial ATA AHCI 1.3.1; "SATA":
 * Serial ATA 2.6; "ATA": ATA/ATAPI-7.
 */
#include <errno.h>
#include <stdlib.h>

#include "ahci_rig.h"

#define BUF 0x200000u
#define ERR 1u

enum {
	IS = 0x10,
	CMD = 0x18,
	TFD = 0x20,
	SIG = 0x24,
	SSTS = 0x28,
	SCTL = 0x2c,
	SERR = 0x30,
	SACT = 0x34,
	CI = 0x38
};

/* A command in slot 0 of @port with one piece of memory; PxTFD at its end. */
static uint32_t run(struct ahci_rig *g, unsigned port, uint8_t cmd, uint64_t lba, uint16_t n,
		    uint32_t len)
{
	uint8_t *fis = ahci_rig_slot(g, port, 0, len ? 1 : 0);

	ahci_rig_fis(fis, cmd, lba, n);
	if (len)
		ahci_rig_prd(g, port, 0, 0, BUF, len);
	ahci_rig_write(g, port, CI, 1);
	ahci_rig_disk_work(g);
	return ahci_rig_read(g, port, TFD);
}

static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		{READ32, AHCI_RIG_BAR, 0xc1341f05,
		 .cite = "AHCI 3.1.1: S64A, NCQ, CLO, 6 Gbit/s, SAM, 32 slots, 6 ports"},
		{READ32, AHCI_RIG_BAR + 4, 0x80000000, .cite = "AHCI 3.1.2: AE"},
		{READ32, AHCI_RIG_BAR + 0x0c, 0x3f, .cite = "AHCI 3.1.4: ports"},
		{READ32, AHCI_RIG_BAR + 0x10, 0x00010301, .cite = "AHCI 3.1.5"},
		{READ32, AHCI_RIG_BAR + 0x100 + SIG, 0x00000101, .cite = "AHCI 3.3.9: disk"},
		{READ32, AHCI_RIG_BAR + 0x180 + SIG, 0xeb140101,
		 .cite = "ATA vol. 1, 5.15: packet drive"},
		{READ32, AHCI_RIG_BAR + 0x200 + SIG, 0xffffffff, .cite = "AHCI 3.3.9: nothing"},
		{READ32, AHCI_RIG_BAR + 0x100 + TFD, 0x0150,
		 .cite = "ATA vol. 1: diagnostics passed, ready"},
		{READ32, AHCI_RIG_BAR + 0x200 + TFD, 0x7f, .cite = "AHCI 3.3.8"},
		{READ32, AHCI_RIG_BAR + 0x100 + SSTS, 0x133,
		 .cite = "AHCI 3.3.10: present, active"},
		{READ32, AHCI_RIG_BAR + 0x200 + SSTS, 0},
		{READ32, AHCI_RIG_BAR + 0x100 + SERR, 0x04010000,
		 .cite = "AHCI 3.3.12: DIAG.X, DIAG.N"},
		{READ32, AHCI_RIG_BAR + 0x100 + IS, 0x00400040, .cite = "AHCI 3.3.5: PCS, PRCS"},
		{WRITE32, AHCI_RIG_BAR + 0x100 + IS, 0xffffffff},
		{READ32, AHCI_RIG_BAR + 0x100 + IS, 0x00400040,
		 .cite = "AHCI 3.3.5: cleared through PxSERR"},
		{WRITE32, AHCI_RIG_BAR + 0x100 + SERR, 0x04000000},
		{READ32, AHCI_RIG_BAR + 0x100 + IS, 0x00400000},
		{WRITE32, AHCI_RIG_BAR + 0x100, 0xffffffff},
		{READ32, AHCI_RIG_BAR + 0x100, 0xfffffc00, .cite = "AHCI 3.3.1: 1 KiB aligned"},
		{WRITE32, AHCI_RIG_BAR + 0x108, 0xffffffff},
		{READ32, AHCI_RIG_BAR + 0x108, 0xffffff00, .cite = "AHCI 3.3.3: 256 bytes aligned"},
		{WRITE32, AHCI_RIG_BAR + 0x100 + CI, 1},
		{READ32, AHCI_RIG_BAR + 0x100 + CI, 0, .cite = "AHCI 3.3.14: only while ST is set"},
		{WRITE32, AHCI_RIG_BAR + 0x100 + SCTL, 0x301},
		{READ32, AHCI_RIG_BAR + 0x100 + SSTS, 0, .cite = "AHCI 10.4.2: COMRESET"},
		{READ32, AHCI_RIG_BAR + 0x100 + TFD, 0x7f},
		{WRITE32, AHCI_RIG_BAR + 0x100 + SCTL, 0x300},
		{READ32, AHCI_RIG_BAR + 0x100 + SSTS, 0x133},
		{READ32, AHCI_RIG_BAR + 0x100 + TFD, 0x0150},
		{READ32, AHCI_RIG_BAR + 0x100 + SERR, 0x04010000},
		{WRITE32, AHCI_RIG_BAR + 4, 0x80000003},
		{READ32, AHCI_RIG_BAR + 4, 0x80000000, .cite = "AHCI 10.4.3: HBA reset"},
		{READ32, AHCI_RIG_BAR + 0x100, 0},
	};
	struct ahci_rig *g = ahci_rig_new();

	(void)state;
	harness_run(g->h, rows, ARRAY_SIZE(rows));
	bus_lock(&g->h->bus);
	assert_int_equal(pci_bus_config_read(&g->bus, g->a->devfn, 0, 4), 0x29228086);
	assert_int_equal(pci_bus_config_read(&g->bus, g->a->devfn, 8, 4), 0x01060102);
	bus_unlock(&g->h->bus);
	harness_check_state_roundtrip(&g->a->dev);
	ahci_rig_free(g);
}

static void test_commands(void **state)
{
	struct ahci_rig *g = ahci_rig_new();
	uint8_t *fis, *p = ram(g->h, BUF), *rx = ram(g->h, AHCI_RIG_FIS);

	(void)state;
	ahci_rig_start(g, 0);
	/* IDENTIFY: PIO to the host (SATA 11.8): PIO Setup FIS, no Register FIS */
	assert_int_equal(run(g, 0, 0xec, 0, 0, 512), 0x50);
	assert_int_equal(ld_le16(p + 2 * 76), 0x010e); /* SATA 13.2.1: queuing */
	assert_int_equal(ld_le64(p + 2 * 100), 4 * MIB / 512);
	assert_int_equal(ahci_rig_read(g, 0, IS), AHCI_IS_PSS);
	assert_int_equal(rx[0x20], 0x5f);
	assert_int_equal(rx[0x40], 0);
	assert_int_equal(ld_le32(ram(g->h, AHCI_RIG_LIST + 4)), 512); /* PRDBC */
	assert_true(g->pirq);
	ahci_rig_write(g, 0, IS, 0xffffffff);
	writel(g->h, AHCI_RIG_BAR + 8, 1);
	assert_false(g->pirq);
	/* READ DMA EXT in three pieces, WRITE DMA FUA EXT, READ SECTOR(S): all by scatter list */
	fis = ahci_rig_slot(g, 0, 3, 3);
	ahci_rig_fis(fis, 0x25, 9, 4);
	ahci_rig_prd(g, 0, 3, 0, BUF, 100);
	ahci_rig_prd(g, 0, 3, 1, BUF + 0x1000, 924);
	ahci_rig_prd(g, 0, 3, 2, BUF + 0x2000, 1024);
	ahci_rig_write(g, 0, CI, 8);
	assert_int_equal(ahci_rig_read(g, 0, TFD) & 0x80, 0x80);
	assert_int_equal(ahci_rig_read(g, 0, CI), 8);
	assert_int_equal(ahci_rig_read(g, 0, CMD) >> 8 & 31, 3); /* CCS */
	ahci_rig_disk_work(g);
	assert_int_equal(ahci_rig_read(g, 0, CI), 0);
	assert_int_equal(ahci_rig_read(g, 0, IS), AHCI_IS_DHRS);
	assert_int_equal(rx[0x40], 0x34);
	assert_memory_equal(p, g->b[0]->data + 9 * 512, 100);
	assert_memory_equal(p + 0x1000, g->b[0]->data + 9 * 512 + 100, 924);
	assert_memory_equal(p + 0x2000, g->b[0]->data + 11 * 512, 1024);
	memset(p, 0x3c, 1024);
	assert_int_equal(run(g, 0, 0x3d, 20, 2, 1024), 0x50);
	assert_int_equal(g->b[0]->data[20 * 512], 0x3c);
	assert_int_equal(g->b[0]->fua_writes, 1);
	assert_int_equal(run(g, 0, 0x24, 20, 1, 512), 0x50);
	assert_int_equal(run(g, 0, 0xea, 0, 0, 0), 0x50);
	assert_int_equal(g->b[0]->flushes, 1);
	/* SMART (ATA vol. 1, 6.51): data with its checksum, status */
	fis = ahci_rig_slot(g, 0, 0, 1);
	ahci_rig_fis(fis, 0xb0, 0xc24f00, 1);
	fis[3] = 0xd0;
	ahci_rig_prd(g, 0, 0, 0, BUF, 512);
	ahci_rig_write(g, 0, CI, 1);
	assert_int_equal(ahci_rig_read(g, 0, TFD), 0x50);
	assert_int_equal(p[2], 1);
	for (unsigned i = 1; i < 512; i++)
		p[0] = (uint8_t)(p[0] + p[i]);
	assert_int_equal(p[0], 0);
	fis[3] = 0xda;
	ahci_rig_write(g, 0, CI, 1);
	assert_int_equal(rx[0x45] | rx[0x46] << 8, 0xc24f);
	/* TRIM */
	memset(p, 0, 512);
	st_le64(p, 8ull << 48 | 16);
	fis = ahci_rig_slot(g, 0, 0, 1);
	ahci_rig_fis(fis, 0x06, 0, 1);
	fis[3] = 1;
	ahci_rig_prd(g, 0, 0, 0, BUF, 512);
	ahci_rig_write(g, 0, CI, 1);
	ahci_rig_disk_work(g);
	assert_int_equal(g->b[0]->discards, 1);
	/* software reset: AHCI 10.4.1 */
	fis = ahci_rig_slot(g, 0, 0, 0);
	ahci_rig_fis(fis, 0, 0, 0);
	fis[1] = 0;
	fis[15] = 4;
	ahci_rig_write(g, 0, CI, 1);
	assert_int_equal(ahci_rig_read(g, 0, CI), 0);
	fis[15] = 0;
	ahci_rig_write(g, 0, CI, 1);
	assert_int_equal(ahci_rig_read(g, 0, TFD), 0x0150);
	assert_int_equal(ahci_rig_read(g, 0, SIG), 0x101);
	ahci_rig_free(g);
}

static void test_errors(void **state)
{
	struct ahci_rig *g = ahci_rig_new();

	(void)state;
	ahci_rig_start(g, 0);
	/* AHCI 6.2.2.1: the port halts until ST goes to 0 */
	assert_int_equal(run(g, 0, 0x25, 4 * MIB / 512, 1, 512), 0x1051);
	assert_true(ahci_rig_read(g, 0, IS) & AHCI_IS_TFES);
	assert_int_equal(ahci_rig_read(g, 0, CI), 1);
	ahci_rig_write(g, 0, CMD, 0x10);
	assert_int_equal(ahci_rig_read(g, 0, CI), 0);
	assert_int_equal(ahci_rig_read(g, 0, CMD) & 0x8000, 0);
	ahci_rig_start(g, 0);
	g->b[0]->fail = -EIO;
	assert_int_equal(run(g, 0, 0x25, 0, 1, 512), 0x4051); /* ATA: UNC */
	ahci_rig_start(g, 0);
	assert_int_equal(run(g, 0, 0x99, 0, 0, 0) & 0xff, 0x50); /* SLEEP: known */
	assert_int_equal(run(g, 0, 0xfd, 0, 0, 0), 0x0451);
	ahci_rig_start(g, 0);
	/* AHCI 6.2.2.5: more data than memory */
	assert_int_equal(run(g, 0, 0x25, 0, 2, 512) & ERR, ERR);
	assert_true(ahci_rig_read(g, 0, IS) & AHCI_IS_OFS);
	ahci_rig_start(g, 0);
	/* AHCI 6.2.2.2: memory that isn't there */
	(void)ahci_rig_slot(g, 0, 0, 1);
	ahci_rig_fis(ahci_rig_slot(g, 0, 0, 1), 0x25, 0, 1);
	ahci_rig_prd(g, 0, 0, 0, 0xf0000000, 512);
	ahci_rig_write(g, 0, CI, 1);
	assert_true(ahci_rig_read(g, 0, IS) & AHCI_IS_HBFS);
	ahci_rig_start(g, 0);
	ahci_rig_write(g, 0, 0x04, 0xff); /* the command list above all memory */
	ahci_rig_write(g, 0, CI, 1);
	assert_true(ahci_rig_read(g, 0, IS) & AHCI_IS_HBFS);
	harness_check_state_roundtrip(&g->a->dev);
	/* a reset with a command under way */
	ahci_rig_start(g, 0);
	ahci_rig_fis(ahci_rig_slot(g, 0, 0, 1), 0x25, 0, 1);
	ahci_rig_prd(g, 0, 0, 0, BUF, 512);
	ahci_rig_write(g, 0, CI, 1);
	assert_int_equal(g->b[0]->n_queued, 1);
	ahci_rig_write(g, 0, SCTL, 0x301);
	assert_int_equal(g->b[0]->n_queued, 0);
	ahci_rig_write(g, 0, SCTL, 0x300);
	ahci_rig_start(g, 0);
	assert_int_equal(run(g, 0, 0x25, 0, 1, 512), 0x50);
	/* without bus mastering nothing starts */
	ahci_rig_config(g, 4, 2, 2);
	ahci_rig_write(g, 0, CI, 1);
	assert_int_equal(g->b[0]->n_queued, 0);
	ahci_rig_config(g, 4, 2, 6);
	assert_int_equal(g->b[0]->n_queued, 1);
	ahci_rig_free(g);
}

static void test_queue(void **state)
{
	struct ahci_rig *g = ahci_rig_new();
	struct dev *d = &g->a->dev;
	uint8_t *rx = ram(g->h, AHCI_RIG_FIS), *p = ram(g->h, BUF);

	(void)state;
	ahci_rig_start(g, 0);
	ahci_rig_queue(g, 0, 0x60, 5, 2, BUF);
	ahci_rig_queue(g, 7, 0x60, 50, 1, BUF + 0x1000);
	ahci_rig_queue(g, 31, 0x60, 90, 1, BUF + 0x2000);
	assert_int_equal(ahci_rig_read(g, 0, CI), 0); /* SATA 13.6: accepted */
	assert_int_equal(ahci_rig_read(g, 0, SACT), 0x80000081);
	assert_int_equal(ahci_rig_read(g, 0, TFD), 0x50);
	bus_lock(&g->h->bus);
	fake_block_run(g->b[0], 1, true); /* out of order */
	bus_unlock(&g->h->bus);
	assert_int_equal(ahci_rig_read(g, 0, SACT), 0x81);
	assert_int_equal(rx[0x58], 0xa1);
	assert_int_equal(ld_le32(rx + 0x5c), 0x80000000);
	assert_int_equal(ahci_rig_read(g, 0, IS), AHCI_IS_SDBS);
	ahci_rig_disk_work(g);
	assert_int_equal(ahci_rig_read(g, 0, SACT), 0);
	assert_memory_equal(p, g->b[0]->data + 5 * 512, 1024);
	assert_memory_equal(p + 0x1000, g->b[0]->data + 50 * 512, 512);
	assert_memory_equal(p + 0x2000, g->b[0]->data + 90 * 512, 512);
	/* a write the host disk has no room for outlives a snapshot */
	g->b[0]->no_space = true;
	memset(p, 0x66, 512);
	ahci_rig_queue(g, 3, 0x61, 8, 1, BUF);
	bus_lock(&g->h->bus);
	assert_int_equal(d->cls->quiesce(d), 0);
	bus_unlock(&g->h->bus);
	assert_int_equal(g->b[0]->n_parked, 1);
	harness_check_state_roundtrip(d);
	bus_lock(&g->h->bus);
	d->cls->resume(d);
	g->b[0]->no_space = false;
	block_retry(g->b[0]);
	bus_unlock(&g->h->bus);
	ahci_rig_disk_work(g);
	assert_int_equal(ahci_rig_read(g, 0, SACT), 0);
	assert_int_equal(g->b[0]->data[8 * 512], 0x66);
	/* SATA 13.7: one fails, all are over, the log says which */
	ahci_rig_queue(g, 1, 0x60, 5, 1, BUF);
	ahci_rig_queue(g, 2, 0x60, 0x123456, 1, BUF);
	assert_true(ahci_rig_read(g, 0, IS) & AHCI_IS_TFES);
	assert_int_equal(ahci_rig_read(g, 0, SACT), 6);
	ahci_rig_start(g, 0);
	assert_int_equal(ahci_rig_read(g, 0, SACT), 0);
	assert_int_equal(run(g, 0, 0x2f, 0x10, 1, 512), 0x50);
	assert_int_equal(p[0], 2);
	assert_int_equal(p[2] & ERR, ERR);
	assert_int_equal(p[3], 0x14); /* IDNF, ABRT */
	assert_int_equal(p[4] | p[5] << 8 | p[6] << 16, 0x123456);
	assert_int_equal(run(g, 0, 0x2f, 0x10, 1, 512), 0x50);
	assert_int_equal(p[0], 0x80);
	ahci_rig_free(g);
}

static void test_cdrom(void **state)
{
	struct ahci_rig *g = ahci_rig_new();
	uint8_t *fis, *p = ram(g->h, BUF);

	(void)state;
	ahci_rig_start(g, 1);
	assert_int_equal(run(g, 1, 0xa1, 0, 0, 512) & ERR, 0);
	assert_int_equal(ld_le16(p), 0x85c0);
	/* READ (10), INQUIRY, and a command that fails: AHCI 5.3.7 */
	fis = ahci_rig_slot(g, 1, 0, 1);
	ahci_rig_fis(fis, 0xa0, 0, 0);
	fis[3] = 1;
	memcpy(fis + 0x40, (uint8_t[12]){0x28, [5] = 7, [8] = 2}, 12);
	ahci_rig_prd(g, 1, 0, 0, BUF, 4096);
	ahci_rig_write(g, 1, CI, 1);
	ahci_rig_disk_work(g);
	assert_int_equal(ahci_rig_read(g, 1, CI), 0);
	assert_memory_equal(p, g->b[1]->data + 7 * 2048, 4096);
	memcpy(fis + 0x40, (uint8_t[12]){0x12, [4] = 36}, 12);
	fis[3] = 0; /* PIO */
	ahci_rig_write(g, 1, CI, 1);
	assert_int_equal(ahci_rig_read(g, 1, CI), 0);
	assert_memory_equal(p + 8, "BOTHY", 5);
	assert_int_equal(ld_le32(ram(g->h, AHCI_RIG_LIST + 0x10000 + 4)), 36);
	memcpy(fis + 0x40, (uint8_t[12]){0x28, [5] = 99, [8] = 1}, 12);
	ahci_rig_write(g, 1, CI, 1);
	assert_int_equal(ahci_rig_read(g, 1, TFD), 0x5441); /* illegal request */
	ahci_rig_free(g);
}

/* MSI: a message for each event, no INTx. */
static void test_msi(void **state)
{
	struct ahci_rig *g = ahci_rig_new();
	unsigned cap = g->a->f.msi_cap;

	(void)state;
	ahci_rig_config(g, cap + 4, 4, 0xfee00000);
	ahci_rig_config(g, cap + 12, 2, 0x41);
	ahci_rig_config(g, cap + 2, 2, 1);
	ahci_rig_start(g, 0);
	harness_clear(g->h);
	run(g, 0, 0xe7, 0, 0, 0);
	assert_int_equal(g->h->n_msis, 1);
	assert_int_equal(g->h->msis[0].data, 0x41);
	assert_false(g->pirq);
	ahci_rig_write(g, 0, IS, 0xffffffff);
	writel(g->h, AHCI_RIG_BAR + 8, 1);
	run(g, 0, 0xe7, 0, 0, 0);
	assert_int_equal(g->h->n_msis, 2);
	ahci_rig_free(g);
}

/* AHCI 10.9: a disk comes to port 2, works, and is pulled out with a command under way. */
static void test_plug(void **state)
{
	struct ahci_rig *g = ahci_rig_new();
	struct block *b = fake_block_new(1 * MIB);
	struct ide_drive *d = &g->a->port[2].ch.drive[0];
	struct error err = {0};

	(void)state;
	memset(b->data, 0x6b, 512);
	ahci_rig_write(g, 2, 0x00, AHCI_RIG_LIST + 2 * 0x10000);
	ahci_rig_write(g, 2, 0x08, AHCI_RIG_FIS + 2 * 0x10000);
	ahci_rig_write(g, 2, 0x14, AHCI_IS_PCS | AHCI_IS_PRCS);
	ahci_rig_write(g, 2, CMD, AHCI_CMD_FRE);
	writel(g->h, AHCI_RIG_BAR + 4, 0x80000002);
	assert_int_equal(ahci_rig_read(g, 2, CMD) & AHCI_CMD_HPCP, AHCI_CMD_HPCP);
	for (unsigned turn = 0; turn < 2; turn++) {
		assert_int_equal(ahci_rig_read(g, 2, SSTS), 0);
		assert_false(g->pirq);
		*d = (struct ide_drive){.block = b};
		bus_lock(&g->h->bus);
		assert_int_equal(ahci_plug(g->a, 2, true, &err), 0);
		bus_unlock(&g->h->bus);
		assert_true(g->pirq);
		assert_int_equal(ahci_rig_read(g, 2, SSTS), 0x133);
		assert_int_equal(ahci_rig_read(g, 2, SIG), 0x00000101);
		assert_int_equal(ahci_rig_read(g, 2, SERR), AHCI_SERR_X | AHCI_SERR_N);
		assert_int_equal(ahci_rig_read(g, 2, IS) & (AHCI_IS_PCS | AHCI_IS_PRCS),
				 AHCI_IS_PCS | AHCI_IS_PRCS);
		harness_check_state_roundtrip(&g->a->dev);
		ahci_rig_write(g, 2, SERR, 0xffffffff);
		ahci_rig_write(g, 2, IS, 0xffffffff);
		writel(g->h, AHCI_RIG_BAR + 8, 4);
		assert_false(g->pirq);
		/* READ DMA EXT and READ FPDMA QUEUED, the second without an end */
		ahci_rig_write(g, 2, CMD, AHCI_CMD_FRE | AHCI_CMD_ST);
		(void)run(g, 2, 0x25, 0, 1, 512);
		bus_lock(&g->h->bus);
		while (fake_block_run(b, 1, false))
			;
		bus_unlock(&g->h->bus);
		assert_int_equal(ahci_rig_read(g, 2, CI), 0);
		assert_int_equal(ahci_rig_read(g, 2, TFD) & (ERR | 0x88), 0);
		assert_int_equal(*(uint8_t *)ram(g->h, BUF + 511), 0x6b);
		if (turn) {
			uint8_t *fis = ahci_rig_slot(g, 2, 0, 1);

			ahci_rig_fis(fis, 0x60, 0, 0);
			fis[3] = 1;
			ahci_rig_prd(g, 2, 0, 0, BUF, 512);
			ahci_rig_write(g, 2, SACT, 1);
			ahci_rig_write(g, 2, CI, 1);
			assert_int_equal(ahci_rig_read(g, 2, SACT), 1);
		} else {
			assert_int_equal(run(g, 2, 0x25, 0, 1, 512) & 0x80, 0x80);
		}
		bus_lock(&g->h->bus);
		assert_int_equal(ahci_plug(g->a, 2, false, &err), 0);
		bus_unlock(&g->h->bus);
		assert_true(g->pirq);
		assert_int_equal(ahci_rig_read(g, 2, SSTS), 0);
		assert_int_equal(ahci_rig_read(g, 2, TFD) & 0xff, 0x7f);
		assert_int_equal(ahci_rig_read(g, 2, SIG), 0xffffffff);
		assert_int_equal(ahci_rig_read(g, 2, SERR), AHCI_SERR_N);
		assert_int_equal(ahci_rig_read(g, 2, IS) & (AHCI_IS_PCS | AHCI_IS_PRCS),
				 AHCI_IS_PRCS);
		harness_check_state_roundtrip(&g->a->dev);
		ahci_rig_write(g, 2, CMD, AHCI_CMD_FRE);
		ahci_rig_write(g, 2, SERR, 0xffffffff);
		ahci_rig_write(g, 2, IS, 0xffffffff);
		writel(g->h, AHCI_RIG_BAR + 8, 4);
	}
	/* while the guest holds the port in COMRESET, nothing is heard of a disk until it ends */
	ahci_rig_write(g, 2, SCTL, 0x304);
	*d = (struct ide_drive){.block = b};
	bus_lock(&g->h->bus);
	assert_int_equal(ahci_plug(g->a, 2, true, &err), 0);
	bus_unlock(&g->h->bus);
	assert_false(g->pirq);
	ahci_rig_write(g, 2, SCTL, 0x300);
	assert_true(g->pirq);
	assert_int_equal(ahci_rig_read(g, 2, SSTS), 0x133);
	/* without a back end there is no disk */
	g->a->port[3].ch.drive[0] = (struct ide_drive){0};
	bus_lock(&g->h->bus);
	assert_int_equal(ahci_plug(g->a, 3, true, &err), -EINVAL);
	assert_int_equal(ahci_plug(g->a, 2, false, &err), 0);
	bus_unlock(&g->h->bus);
	assert_int_equal(ahci_rig_read(g, 3, SSTS), 0);
	fake_block_free(b);
	ahci_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_commands),
		cmocka_unit_test(test_errors),    cmocka_unit_test(test_queue),
		cmocka_unit_test(test_cdrom),     cmocka_unit_test(test_msi),
		cmocka_unit_test(test_plug),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
