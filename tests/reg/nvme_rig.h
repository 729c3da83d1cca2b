/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NVMe controller with a disk in memory, for its register test and its fuzzer: a disk of 8 MiB,
 * BAR 0 at RIG_BAR, admin queues of 16 entries, one pair of I/O queues of 32.
 */
#ifndef TESTS_REG_NVME_RIG_H
#define TESTS_REG_NVME_RIG_H

#include "device/storage/nvme.h"
#include "fake_block.h"
#include "harness.h"

#include <stdlib.h>
#include <string.h>

#define NVME_RIG_BAR  0xe0000000u
#define NVME_RIG_DISK (8 * MIB)
#define NVME_RIG_ASQ  0x10000u
#define NVME_RIG_ACQ  0x11000u
#define NVME_RIG_SQ   0x12000u /* of pair n: + n * 2000h; its completion queue 1000h behind */

struct nvme_rig {
	struct harness *h;
	struct pci_bus bus;
	struct nvme *n;
	struct block *b;
	uint16_t tail[3], head[3]; /* of queue pairs 0 to 2 */
	bool phase[3];
	uint16_t cid;
	unsigned pirq;
};

static inline unsigned nvme_rig_route(void *ctx, uint8_t devfn, unsigned pin)
{
	(void)ctx, (void)devfn;
	return pin;
}

static inline void nvme_rig_pirq(void *ctx, unsigned n, bool level)
{
	struct nvme_rig *g = ctx;

	if (n == 0)
		g->pirq = level;
}

static inline void nvme_rig_enable_pci(struct nvme_rig *g)
{
	bus_lock(&g->h->bus);
	pci_bus_config_write(&g->bus, g->n->devfn, 0x10, 4, NVME_RIG_BAR);
	pci_bus_config_write(&g->bus, g->n->devfn, 0x14, 4, 0);
	pci_bus_config_write(&g->bus, g->n->devfn, 0x04, 2, 6);
	bus_unlock(&g->h->bus);
}

static inline void nvme_rig_disk_work(struct nvme_rig *g)
{
	bus_lock(&g->h->bus);
	while (fake_block_run(g->b, 1, false))
		;
	bus_unlock(&g->h->bus);
}

static inline struct nvme_rig *nvme_rig_new(void)
{
	struct nvme_rig *g = xnew(struct nvme_rig);

	g->h = harness_new();
	pci_bus_init(&g->bus, &g->h->bus, nvme_rig_route, NULL);
	pci_bus_set_pirq(&g->bus, nvme_rig_pirq, g);
	g->n = (struct nvme *)dev_new(&nvme_class, "nvme0", &g->h->sv);
	g->b = fake_block_new(NVME_RIG_DISK);
	for (uint64_t at = 0; at < NVME_RIG_DISK; at++)
		g->b->data[at] = (uint8_t)(at / 512 + at);
	g->n->bus = &g->bus;
	g->n->block = g->b;
	strcpy(g->n->serial, "serial");
	harness_realize(g->h, &g->n->dev);
	nvme_rig_enable_pci(g);
	return g;
}

static inline void nvme_rig_free(struct nvme_rig *g)
{
	harness_free(g->h);
	fake_block_free(g->b);
	free(g);
}

static inline uint32_t nvme_rig_read(struct nvme_rig *g, uint32_t off)
{
	return readl(g->h, NVME_RIG_BAR + off);
}

static inline void nvme_rig_write(struct nvme_rig *g, uint32_t off, uint32_t val)
{
	writel(g->h, NVME_RIG_BAR + off, val);
}

/* Admin queues up (NVMe 7.6.1). */
static inline void nvme_rig_start(struct nvme_rig *g)
{
	memset(ram(g->h, NVME_RIG_ASQ), 0, 0x6000);
	memset(g->tail, 0, sizeof(g->tail));
	memset(g->head, 0, sizeof(g->head));
	g->phase[0] = g->phase[1] = g->phase[2] = true;
	nvme_rig_write(g, 0x14, 0);
	nvme_rig_write(g, 0x24, 15 << 16 | 15);
	nvme_rig_write(g, 0x28, NVME_RIG_ASQ);
	nvme_rig_write(g, 0x2c, 0);
	nvme_rig_write(g, 0x30, NVME_RIG_ACQ);
	nvme_rig_write(g, 0x34, 0);
	nvme_rig_write(g, 0x14, 4u << 20 | 6u << 16 | 1);
}

static inline unsigned nvme_rig_entries(unsigned q)
{
	return q ? 32 : 16;
}

/* Put @cmd into queue @q and ring. Its id. */
static inline uint16_t nvme_rig_submit(struct nvme_rig *g, unsigned q, const uint8_t *cmd)
{
	uint8_t *e = ram(g->h, NVME_RIG_ASQ + q * 0x2000 + g->tail[q] * 64u);

	memcpy(e, cmd, 64);
	st_le16(e + 2, ++g->cid);
	g->tail[q] = (uint16_t)((g->tail[q] + 1) % nvme_rig_entries(q));
	nvme_rig_write(g, 0x1000 + 8 * q, g->tail[q]);
	return g->cid;
}

/* The next completion of queue @q: status, or -1; acknowledged. */
static inline int nvme_rig_poll(struct nvme_rig *g, unsigned q, uint16_t *ret_cid,
				uint32_t *ret_dw0)
{
	const uint8_t *e = ram(g->h, NVME_RIG_ACQ + q * 0x2000 + g->head[q] * 16u);
	uint16_t st = ld_le16(e + 14);

	if ((st & 1) != g->phase[q])
		return -1;
	if (ret_cid)
		*ret_cid = ld_le16(e + 12);
	if (ret_dw0)
		*ret_dw0 = ld_le32(e);
	g->head[q] = (uint16_t)((g->head[q] + 1) % nvme_rig_entries(q));
	if (!g->head[q])
		g->phase[q] = !g->phase[q];
	nvme_rig_write(g, 0x1004 + 8 * q, g->head[q]);
	return st >> 1;
}

/* A command from its parts; @d10: dwords 10 to 15. */
static inline void nvme_rig_command(uint8_t *cmd, uint8_t op, uint32_t nsid, uint64_t prp1,
				    uint64_t prp2, uint32_t d10, uint32_t d11, uint32_t d12)
{
	memset(cmd, 0, 64);
	cmd[0] = op;
	st_le32(cmd + 4, nsid);
	st_le64(cmd + 24, prp1);
	st_le64(cmd + 32, prp2);
	st_le32(cmd + 40, d10);
	st_le32(cmd + 44, d11);
	st_le32(cmd + 48, d12);
}

/* I/O queue pair @q: completion queue, then submission queue. */
static inline void nvme_rig_create(struct nvme_rig *g, unsigned q, unsigned vector)
{
	uint8_t cmd[64];

	nvme_rig_command(cmd, 0x05, 0, NVME_RIG_ACQ + q * 0x2000, 0, 31u << 16 | q,
			 vector << 16 | 3, 0);
	nvme_rig_submit(g, 0, cmd);
	nvme_rig_command(cmd, 0x01, 0, NVME_RIG_ASQ + q * 0x2000, 0, 31u << 16 | q, q << 16 | 1, 0);
	nvme_rig_submit(g, 0, cmd);
}

#endif
