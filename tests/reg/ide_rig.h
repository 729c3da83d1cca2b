/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A PIIX3 IDE function with disks in memory, for its register test and its fuzzer: primary master a
 * disk of 1 MiB, primary slave one of 64 KiB, secondary master a CD drive with a disc of 128 KiB.
 */
#ifndef TESTS_REG_IDE_RIG_H
#define TESTS_REG_IDE_RIG_H

#include "device/storage/piix3_ide.h"
#include "fake_block.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum { IDE_RIG_DISKS = 3, IDE_RIG_BM = 0xc000 };

struct ide_rig {
	struct harness *h;
	struct pci_bus bus;
	struct piix3_ide *ide;
	struct block *b[IDE_RIG_DISKS];
};

static inline unsigned ide_rig_route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx, (void)devfn;
	return pin;
}

/* Switch decoding and bus mastering on, as firmware does. */
static inline void ide_rig_enable(struct ide_rig *g)
{
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, PCI_DEVFN(1, 1), 0x20, 4, IDE_RIG_BM);
	pci_bus_config_write(&g->bus, PCI_DEVFN(1, 1), 0x40, 4, 0x80008000);
	pci_bus_config_write(&g->bus, PCI_DEVFN(1, 1), 0x04, 2, 5);
	bus_unlock(&g->h->bus);
}

static inline struct ide_rig *ide_rig_new(void)
{
	static const uint64_t sizes[IDE_RIG_DISKS] = {1 * MIB, 64 * KIB, 128 * KIB};
	struct ide_rig *g = xnew(struct ide_rig);

	g->h = harness_new();
	pci_bus_init(&g->bus, &g->h->bus, ide_rig_route, NULL);
	g->ide = (struct piix3_ide *)dev_new(&piix3_ide_class, "ide", &g->h->sv);
	g->ide->bus = &g->bus;
	for (unsigned i = 0; i < IDE_RIG_DISKS; i++) {
		g->b[i] = fake_block_new(sizes[i]);
		for (uint64_t at = 0; at < sizes[i]; at++)
			g->b[i]->data[at] = (uint8_t)(at / 512 + at + i);
		g->ide->ch[i / 2].drive[i % 2] =
			(struct ide_drive){.block = g->b[i], .present = true, .cdrom = i == 2};
		strcpy(g->ide->ch[i / 2].drive[i % 2].serial, "serial");
	}
	harness_irq(g->h, &g->ide->ch[0].irq, 14);
	harness_irq(g->h, &g->ide->ch[1].irq, 15);
	harness_realize(g->h, &g->ide->dev);
	ide_rig_enable(g);
	return g;
}

static inline void ide_rig_free(struct ide_rig *g)
{
	harness_free(g->h);
	for (unsigned i = 0; i < IDE_RIG_DISKS; i++)
		fake_block_free(g->b[i]);
	free(g);
}

static inline void ide_rig_disk_work(struct ide_rig *g)
{
	bus_lock(&g->h->bus);
	for (unsigned i = 0; i < IDE_RIG_DISKS; i++)
		while (fake_block_run(g->b[i], 1, false))
			;
	bus_unlock(&g->h->bus);
}

#endif
