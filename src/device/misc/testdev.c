/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A device that test guests drive to see what a machine does with accesses and interrupts.
 *
 * There is no chip: the interface is the one that kvm-unit-tests and others know as "pc-testdev".
 *
 *   e0   32-bit latch: what is written reads back, any width, any offset inside it
 *   e4   page flush: accepted (nothing here caches pages behind a guest's back)
 *   e8   byte latch
 *   2000+n  interrupt line n goes to the level written (0 or not 0), n = 0..23
 *   MMIO ff000000: 64 KiB that read back what was written
 */
#include "device/misc/testdev.h"

#include <string.h>

#include "base/bits.h"

static struct testdev *to_testdev(struct dev *d)
{
	return CONTAINER_OF(d, struct testdev, dev);
}

static uint64_t latch_read(struct dev *d, uint64_t off, unsigned size)
{
	return to_testdev(d)->s.latch >> off * 8;
}

static void latch_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = to_testdev(d);

	t->s.latch = (uint32_t)field_set(t->s.latch, (unsigned)off * 8, size * 8, val);
}

static uint64_t flush_read(struct dev *d, uint64_t off, unsigned size)
{
	return 0;
}

static void flush_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	to_testdev(d)->s.flushes++;
}

static uint64_t byte_read(struct dev *d, uint64_t off, unsigned size)
{
	return to_testdev(d)->s.byte_latch;
}

static void byte_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	to_testdev(d)->s.byte_latch = (uint8_t)val;
}

static uint64_t line_read(struct dev *d, uint64_t off, unsigned size)
{
	return (to_testdev(d)->s.lines >> off) & 1;
}

static void line_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	struct testdev *t = to_testdev(d);

	t->s.lines = (uint32_t)field_set(t->s.lines, (unsigned)off, 1, val != 0);
	irq_set(&t->line[off], val != 0);
}

static uint64_t mem_reg_read(struct dev *d, uint64_t off, unsigned size)
{
	return ld_le(to_testdev(d)->s.mem + off, size);
}

static void mem_reg_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	st_le(to_testdev(d)->s.mem + off, size, val);
}

static void drive_lines(struct testdev *t)
{
	for (unsigned i = 0; i < TESTDEV_LINES; i++)
		irq_set(&t->line[i], t->s.lines & BIT(i));
}

static void testdev_reset(struct dev *d, enum dev_reset kind)
{
	struct testdev *t = to_testdev(d);

	memset(&t->s, 0, sizeof(t->s));
	drive_lines(t);
}

static int testdev_loaded(struct dev *d, struct error *err)
{
	drive_lines(to_testdev(d));
	return 0;
}

/* clang-format off */
static const struct state_field testdev_fields[] = {
	STATE_BYTES_OF(struct testdev_regs, mem),
	STATE_VAL(struct testdev_regs, latch),
	STATE_VAL(struct testdev_regs, lines, .max = (1u << TESTDEV_LINES) - 1),
	STATE_VAL(struct testdev_regs, byte_latch),
	STATE_PAD(struct testdev_regs, pad_),
	STATE_VAL(struct testdev_regs, flushes),
	STATE_END};

static const struct state_desc testdev_state =
	STATE_DESC("testdev", 1, struct testdev_regs, testdev_fields);

static const struct dev_region testdev_regions[] = {
	{"test-latch", DEV_PIO,  0xe0,   4,             WIDTH_124, WIDTH_124, latch_read, latch_write},
	{"test-flush", DEV_PIO,  0xe4,   4,             WIDTH_124, WIDTH_124, flush_read, flush_write},
	{"test-byte",  DEV_PIO,  0xe8,   1,             WIDTH_1,   WIDTH_1,   byte_read,  byte_write},
	{"test-lines", DEV_PIO,  0x2000, TESTDEV_LINES, WIDTH_1,   WIDTH_1,   line_read,  line_write},
	{"test-mmio",  DEV_MMIO, TESTDEV_MMIO, TESTDEV_MMIO_BYTES, WIDTH_ANY, WIDTH_ANY, mem_reg_read, mem_reg_write},
	{0}};
/* clang-format on */

const struct dev_class testdev_class = {
	.name = "testdev",
	.summary = "ports and memory for test guests",
	.spec = "kvm-unit-tests: pc-testdev",
	.size = sizeof(struct testdev),
	.regs_offset = offsetof(struct testdev, s),
	.regions = testdev_regions,
	.state = &testdev_state,
	.reset = testdev_reset,
	.loaded = testdev_loaded,
};
