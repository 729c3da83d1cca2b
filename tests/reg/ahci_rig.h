/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AHCI host bus adapter with drives in memory, for its register test and its fuzzer: port 0 a
 * disk of 4 MiB, port 1 a CD drive with a disc of 128 KiB; BAR 5 at AHCI_RIG_BAR.
 */
#ifndef TESTS_REG_AHCI_RIG_H
#define TESTS_REG_AHCI_RIG_H

#include "device/storage/ahci.h"
#include "fake_block.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { AHCI_RIG_DISKS = 2 };
#define AHCI_RIG_BAR   0xe0000000u
#define AHCI_RIG_LIST  0x10000u /* command list of port n: + n * 10000h */
#define AHCI_RIG_FIS   0x11000u
#define AHCI_RIG_TABLE 0x12000u /* of slot s: + s * 400h */

struct ahci_rig {
	struct harness *h;
	struct pci_bus bus;
	struct ahci *a;
	struct block *b[AHCI_RIG_DISKS];
	bool pirq;
};

static inline unsigned ahci_rig_route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx, (void)devfn;
	return pin;
}

static inline void ahci_rig_pirq(void *ctx, unsigned n, bool level)
{
	struct ahci_rig *g = ctx;

	if (n == 0)
		g->pirq = level;
}

static inline void ahci_rig_config(struct ahci_rig *g, unsigned off, unsigned size, uint32_t val)
{
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, g->a->devfn, off, size, val);
	bus_unlock(&g->h->bus);
}

static inline void ahci_rig_enable_pci(struct ahci_rig *g)
{
	ahci_rig_config(g, 0x24, 4, AHCI_RIG_BAR);
	ahci_rig_config(g, 0x04, 2, 6);
}

static inline void ahci_rig_disk_work(struct ahci_rig *g)
{
	bus_lock(&g->h->bus);
	for (unsigned i = 0; i < AHCI_RIG_DISKS; i++)
		while (fake_block_run(g->b[i], 1, false))
			;
	bus_unlock(&g->h->bus);
}

static inline struct ahci_rig *ahci_rig_new(void)
{
	static const uint64_t sizes[AHCI_RIG_DISKS] = {4 * MIB, 128 * KIB};
	struct ahci_rig *g = xnew(struct ahci_rig);

	g->h = harness_new();
	pci_bus_init(&g->bus, &g->h->bus, ahci_rig_route, NULL);
	pci_bus_set_pirq(&g->bus, ahci_rig_pirq, g);
	g->a = (struct ahci *)dev_new(&ahci_class, "ahci", &g->h->sv);
	g->a->bus = &g->bus;
	for (unsigned i = 0; i < AHCI_RIG_DISKS; i++) {
		g->b[i] = fake_block_new(sizes[i]);
		for (uint64_t at = 0; at < sizes[i]; at++)
			g->b[i]->data[at] = (uint8_t)(at / 512 + at + i);
		g->a->port[i].ch.drive[0] =
			(struct ide_drive){.block = g->b[i], .present = true, .cdrom = i == 1};
		strcpy(g->a->port[i].ch.drive[0].serial, "serial");
	}
	harness_realize(g->h, &g->a->dev);
	ahci_rig_enable_pci(g);
	return g;
}

static inline void ahci_rig_free(struct ahci_rig *g)
{
	harness_free(g->h);
	for (unsigned i = 0; i < AHCI_RIG_DISKS; i++)
		fake_block_free(g->b[i]);
	free(g);
}

static inline uint32_t ahci_rig_read(struct ahci_rig *g, unsigned port, uint32_t reg)
{
	return readl(g->h, AHCI_RIG_BAR + 0x100 + 0x80 * port + reg);
}

static inline void ahci_rig_write(struct ahci_rig *g, unsigned port, uint32_t reg, uint32_t val)
{
	writel(g->h, AHCI_RIG_BAR + 0x100 + 0x80 * port + reg, val);
}

/* AHCI 10.1.2: memory, FIS reception, start. */
static inline void ahci_rig_start(struct ahci_rig *g, unsigned port)
{
	writel(g->h, AHCI_RIG_BAR + 4, 0x80000002);
	ahci_rig_write(g, port, 0x18, 0);
	ahci_rig_write(g, port, 0x00, AHCI_RIG_LIST + port * 0x10000);
	ahci_rig_write(g, port, 0x04, 0);
	ahci_rig_write(g, port, 0x08, AHCI_RIG_FIS + port * 0x10000);
	ahci_rig_write(g, port, 0x0c, 0);
	ahci_rig_write(g, port, 0x18, 0x10);
	ahci_rig_write(g, port, 0x30, 0xffffffff);
	ahci_rig_write(g, port, 0x10, 0xffffffff);
	ahci_rig_write(g, port, 0x14, 0x7840007f);
	ahci_rig_write(g, port, 0x18, 0x11);
	writel(g->h, AHCI_RIG_BAR + 8, 0xffffffff);
}

/* Header and command FIS of @slot; the scatter list is set with ahci_rig_prd(). */
static inline uint8_t *ahci_rig_slot(struct ahci_rig *g, unsigned port, unsigned slot,
				     unsigned entries)
{
	uint32_t table = AHCI_RIG_TABLE + port * 0x10000 + slot * 0x400;
	uint8_t *head = ram(g->h, AHCI_RIG_LIST + port * 0x10000 + slot * 32);

	memset(head, 0, 32);
	st_le16(head, 5);
	st_le16(head + 2, (uint16_t)entries);
	st_le32(head + 8, table);
	memset(ram(g->h, table), 0, 0x80);
	return ram(g->h, table);
}

static inline void ahci_rig_prd(struct ahci_rig *g, unsigned port, unsigned slot, unsigned i,
				uint32_t at, uint32_t len)
{
	uint8_t *prd = ram(g->h, AHCI_RIG_TABLE + port * 0x10000 + slot * 0x400 + 0x80 + 16 * i);

	memset(prd, 0, 16);
	st_le32(prd, at);
	st_le32(prd + 12, len - 1);
}

/* A register FIS of a 48-bit command. */
static inline void ahci_rig_fis(uint8_t *fis, uint8_t cmd, uint64_t lba, uint16_t count)
{
	fis[0] = 0x27;
	fis[1] = 0x80;
	fis[2] = cmd;
	for (unsigned i = 0; i < 3; i++) {
		fis[4 + i] = (uint8_t)(lba >> 8 * i);
		fis[8 + i] = (uint8_t)(lba >> (24 + 8 * i));
	}
	fis[7] = 0x40;
	fis[12] = (uint8_t)count;
	fis[13] = (uint8_t)(count >> 8);
}

/* READ (@cmd 60h) or WRITE FPDMA QUEUED in the slot of its tag. */
static inline void ahci_rig_queue(struct ahci_rig *g, unsigned tag, uint8_t cmd, uint64_t lba,
				  uint16_t n, uint32_t at)
{
	uint8_t *fis = ahci_rig_slot(g, 0, tag, 1);

	ahci_rig_fis(fis, cmd, lba, (uint16_t)(tag << 3));
	fis[3] = (uint8_t)n;
	fis[11] = (uint8_t)(n >> 8);
	ahci_rig_prd(g, 0, tag, 0, at, n * 512u);
	ahci_rig_write(g, 0, 0x34, 1u << tag);
	ahci_rig_write(g, 0, 0x38, 1u << tag);
}

#endif
