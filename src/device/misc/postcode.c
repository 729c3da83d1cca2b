/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Diagnostic port 80h: firmware writes its progress, kernels write anything to wait a moment.
 *
 * Document: IBM PC/AT Technical Reference, "I/O address map": port 80h is the manufacturing
 * diagnostic port, a latch of one byte in the DMA page register file, unused by DMA.
 *
 * The last different codes are kept for a person who asks where a guest hangs. The port costs
 * nothing else: guests write it some hundred thousand times during a boot.
 */
#include "device/misc/postcode.h"

#include <string.h>

static struct postcode *to_postcode(struct dev *d)
{
	return CONTAINER_OF(d, struct postcode, dev);
}

static uint64_t postcode_read(struct dev *d, uint64_t off, unsigned size)
{
	return to_postcode(d)->s.history[0];
}

static void postcode_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct postcode *p = to_postcode(d);

	p->s.writes++;
	if (p->s.history[0] == (uint8_t)val)
		return;
	memmove(p->s.history + 1, p->s.history, sizeof(p->s.history) - 1);
	p->s.history[0] = (uint8_t)val;
}

static void postcode_reset(struct dev *d, enum dev_reset kind)
{
	to_postcode(d)->s = (struct postcode_regs){.writes = 0};
}

/* clang-format off */
static const struct state_field postcode_fields[] = {
	STATE_BYTES_OF(struct postcode_regs, history),
	STATE_VAL(struct postcode_regs, writes),
	STATE_END};

static const struct state_desc postcode_state =
	STATE_DESC("postcode", 1, struct postcode_regs, postcode_fields);

static const struct dev_region postcode_regions[] = {
	{"postcode", DEV_PIO, 0x80, 1, WIDTH_124, WIDTH_1, postcode_read, postcode_write},
	{0}};
/* clang-format on */

const struct dev_class postcode_class = {
	.name = "postcode",
	.summary = "diagnostic port 80h",
	.spec = "IBM PC/AT Technical Reference",
	.size = sizeof(struct postcode),
	.regs_offset = offsetof(struct postcode, s),
	.regions = postcode_regions,
	.state = &postcode_state,
	.reset = postcode_reset,
};
