/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The NVMe controller against a hostile driver: any register access, plausible commands on several
 * queues with PRP entries and lists of any contents, disks that finish late, fail or have no room,
 * resets, and snapshots with bytes changed. Guest memory changes after each of the device's reads
 * (mem_read is wrapped).
 */
#include "changing.h"
#include "checked.h"
#include "nvme_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

enum { OPS = 300 };

static struct nvme_rig *g;

static uint64_t address(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);
	uint64_t at = (uint64_t)fuzz_u16(in) << 8;

	if (how & 1)
		at &= ~0xfffull;
	if ((how & 0x70) == 0x70)
		at = (uint64_t)fuzz_u32(in) << (how & 15) | fuzz_u16(in);
	return at;
}

static void command(struct fuzz_input *in)
{
	static const uint8_t admin[] = {0x00, 0x01, 0x02, 0x04, 0x05, 0x06, 0x08,
					0x09, 0x0a, 0x0c, 0x80, 0x01, 0x05};
	static const uint8_t io[] = {0x00, 0x01, 0x02, 0x08, 0x09, 0x02, 0x01, 0x05, 0x0c};
	uint8_t cmd[64], how = fuzz_u8(in);
	unsigned q = how & 3 ? how % 3 : 0;
	uint8_t op = q ? io[fuzz_u8(in) % sizeof(io)] : admin[fuzz_u8(in) % sizeof(admin)];
	uint32_t d10 = q ? fuzz_u16(in) & 0x3fff : fuzz_u8(in) & 31;
	uint32_t d11 = fuzz_u8(in) & 7, d12 = fuzz_u16(in) & (how & 4 ? 0xffff : 31);

	if (!q && (op == 0x01 || op == 0x05))
		d10 = 31u << 16 | (d10 & 3), d11 |= 1u | (uint32_t)(fuzz_u8(in) & 3) << 16;
	if (how & 8)
		d10 ^= fuzz_u32(in);
	if (q && op == 9)
		d11 = 4;
	nvme_rig_command(cmd, op,
			 how & 0x40        ? fuzz_u8(in)
			 : q || op == 0x80 ? 1
					   : how >> 7,
			 address(in), address(in), d10, d11, d12);
	if (q && (how & 0x10)) { /* an SGL: data, a segment, the last one */
		cmd[1] = 0x40;
		st_le32(cmd + 32, fuzz_u16(in) & (d12 & 1 ? 0xfff0 : 0xffff));
		cmd[39] = fuzz_u8(in) & 0x30;
	}
	if (how & 0x20)
		cmd[fuzz_u8(in) & 63] = fuzz_u8(in);
	nvme_rig_submit(g, q, cmd);
}

static void access_any(struct fuzz_input *in)
{
	static const uint16_t base[] = {0x00, 0x0c, 0x14, 0x24, 0x1000, 0x1000, 0x2000, 0x3000};
	uint8_t how = fuzz_u8(in);
	uint32_t off = base[how & 7] + (fuzz_u8(in) & (how & 4 ? 0x7f : 0x1f));

	switch (how >> 4 & 7) {
	case 0:
	case 1:
	case 2:
		nvme_rig_write(g, off & ~3u, fuzz_u32(in) & (how & 0x80 ? 0xffffffff : 0x3f));
		break;
	case 3: writeb(g->h, NVME_RIG_BAR + off, fuzz_u8(in)); break;
	case 4: writeq(g->h, NVME_RIG_BAR + (off & ~7u), address(in)); break;
	case 5: (void)readw(g->h, NVME_RIG_BAR + (off & ~1u)); break;
	default: (void)nvme_rig_read(g, off & ~3u);
	}
}

static void disk_event(struct fuzz_input *in)
{
	uint8_t how = fuzz_u8(in);

	bus_lock(&g->h->bus);
	switch (how >> 4 & 7) {
	case 0 ... 4: fake_block_run(g->b, 1 + (how & 7), how & 8); break;
	case 5:
		g->b->no_space = how & 8;
		if (!g->b->no_space)
			block_retry(g->b);
		break;
	case 6: g->b->fail = -5; break;
	default: g->b->read_only = how & 8;
	}
	bus_unlock(&g->h->bus);
}

static void run_op(struct fuzz_input *in)
{
	uint8_t op = fuzz_u8(in) % 16;

	switch (op) {
	case 0 ... 6: command(in); break;
	case 7 ... 8: access_any(in); break;
	case 9 ... 11: disk_event(in); break;
	case 12: nvme_rig_poll(g, fuzz_u8(in) % 3, NULL, NULL); break;
	case 13: memcpy(ram(g->h, address(in) & 0xffff8), &(uint64_t){address(in)}, 8); break;
	case 14:
		if (fuzz_u8(in) & 7)
			harness_step(g->h, 1000);
		else
			nvme_rig_start(g);
		break;
	default: changing_state(g->h, &g->n->dev, in, &g->b, 1);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	static struct checked seen;

	if (!g) {
		g = nvme_rig_new();
		log_set_level(LOG_ERR);
	}
	g->b->no_space = g->b->read_only = false;
	g->b->fail = 0;
	bus_lock(&g->h->bus);
	block_retry(g->b);
	dev_reset(&g->n->dev, DEV_RESET_COLD);
	bus_unlock(&g->h->bus);
	nvme_rig_enable_pci(g);
	nvme_rig_start(g);
	nvme_rig_create(g, 1, 0);
	nvme_rig_create(g, 2, 0);
	for (unsigned i = 0; i < 4; i++)
		nvme_rig_poll(g, 0, NULL, NULL);
	changing_start(g->h, &in, 0x80);
	for (unsigned i = 0; i < OPS && in.left; i++) {
		run_op(&in);
		checked(&seen, g->n->dev.cls->state, &g->n->s);
	}
	changing_stop();
	return 0;
}
