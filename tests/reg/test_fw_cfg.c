/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the firmware configuration device. "Spec": QEMU docs/specs/fw_cfg.rst.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "device/firmware/fw_cfg.h"
#include "harness.h"

enum { SEL = 0x510, DATA = 0x511, DMA_HI = 0x514, DMA_LO = 0x518 };
enum { REQ = 0x1000, BUF = 0x2000, MMIO = 0x9000000 };
enum { ERROR = 1, READ = 2, SKIP = 4, SELECT = 8, WRITE = 16 };

static struct fw_cfg *fw_new(struct harness *h, const struct dev_class *cls)
{
	struct fw_cfg *fw = (struct fw_cfg *)dev_new(cls, "fw", &h->sv);
	struct error err = {0};

	if (cls == &fw_cfg_mmio_class)
		fw->dev.base = MMIO;
	assert_int_equal(fw_cfg_add_file(fw, "etc/one", "hello", 5, &err), 0);
	assert_int_equal(fw_cfg_add_file(fw, "etc/empty", NULL, 0, &err), 0);
	assert_int_equal(fw_cfg_add_i16(fw, FW_CFG_NB_CPUS, 4, &err), 0);
	assert_int_equal(fw_cfg_add_i64(fw, FW_CFG_RAM_SIZE, 0x123456789aull, &err), 0);
	assert_int_equal(fw_cfg_add_i32(fw, FW_CFG_ARCH_LOCAL + 2, 1, &err), 0);
	assert_int_equal(fw_cfg_add_string(fw, FW_CFG_CMDLINE_DATA, "console=ttyS0", &err), 0);
	harness_realize(h, &fw->dev);
	return fw;
}

static void expect_bytes(struct harness *h, uint16_t key, const void *bytes, size_t n)
{
	outw(h, SEL, key);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(inb(h, DATA), ((const uint8_t *)bytes)[i]);
	assert_int_equal(inb(h, DATA), 0); /* Spec: past the end reads zero */
	assert_int_equal(inb(h, DATA), 0);
}

static void test_traditional(void **state)
{
	struct harness *h = harness_new();
	struct fw_cfg *fw = fw_new(h, &fw_cfg_class);
	uint8_t dir[4 + 2 * 64] = {0, 0, 0, 2};

	st_be32(dir + 4, 5);
	st_be16(dir + 8, 0x20);
	memcpy(dir + 12, "etc/one", 7);
	st_be16(dir + 4 + 64 + 4, 0x21);
	memcpy(dir + 4 + 64 + 8, "etc/empty", 9);
	expect_bytes(h, FW_CFG_SIGNATURE, "QEMU", 4); /* Spec, "Signature" */
	expect_bytes(h, FW_CFG_ID, "\3\0\0\0", 4);    /* Spec, "Revision": traditional and DMA */
	expect_bytes(h, FW_CFG_FILE_DIR, dir, sizeof(dir)); /* Spec, "File Directory" */
	expect_bytes(h, 0x20, "hello", 5);
	expect_bytes(h, 0x21, "", 0);
	expect_bytes(h, FW_CFG_NB_CPUS, "\4\0", 2);
	expect_bytes(h, FW_CFG_RAM_SIZE, "\x9a\x78\x56\x34\x12\0\0\0", 8);
	expect_bytes(h, FW_CFG_CMDLINE_DATA, "console=ttyS0", 14);
	expect_bytes(h, 0x8002, "\1\0\0\0", 4);
	expect_bytes(h, 0x4020, "hello", 5); /* write channel of old firmware */
	expect_bytes(h, 0x3fff, "", 0);      /* no such item */
	expect_bytes(h, 0xbfff, "", 0);
	assert_int_equal(inw(h, SEL), 0);
	outw(h, SEL, 0x20);
	assert_int_equal(inb(h, DATA), 'h');
	outb(h, DATA, 0x55); /* Spec: writes are ignored */
	assert_int_equal(inb(h, DATA), 'e');
	harness_check_state_roundtrip(&fw->dev);
	outw(h, SEL, 0x20);
	assert_int_equal(inb(h, DATA), 'h'); /* selecting rewinds */
	harness_free(h);
}

static void request(struct harness *h, uint32_t control, uint32_t len, uint64_t addr)
{
	st_be32(ram(h, REQ), control);
	st_be32(ram(h, REQ + 4), len);
	st_be64(ram(h, REQ + 8), addr);
	outl(h, DMA_HI, 0);
	outl(h, DMA_LO, __builtin_bswap32(REQ));
}

static uint32_t status(struct harness *h)
{
	return ld_be32(ram(h, REQ));
}

static void test_dma(void **state)
{
	struct harness *h = harness_new();
	struct fw_cfg *fw = fw_new(h, &fw_cfg_class);

	/* Spec, "Guest-side DMA Interface": reads as "QEMU CFG", big-endian. */
	assert_int_equal(inl(h, DMA_HI), __builtin_bswap32(0x51454d55));
	assert_int_equal(inl(h, DMA_LO), __builtin_bswap32(0x20434647));
	memset(ram(h, BUF), 0xee, 32);
	request(h, 0x20 << 16 | SELECT | READ, 3, BUF);
	assert_int_equal(status(h), 0);
	assert_memory_equal(ram(h, BUF), "hel\xee", 4);
	request(h, READ, 8, BUF); /* goes on; zeros past the end */
	assert_memory_equal(ram(h, BUF), "lo\0\0\0\0\0\0\xee", 9);
	request(h, 0x20 << 16 | SELECT | SKIP, 4, 0);
	assert_int_equal(status(h), 0);
	request(h, READ, 1, BUF);
	assert_memory_equal(ram(h, BUF), "o", 1);
	request(h, SKIP, 0xffffffff, 0);
	request(h, READ, 1, BUF);
	assert_memory_equal(ram(h, BUF), "\0", 1);
	request(h, 0x20 << 16 | SELECT | WRITE, 3, BUF);
	assert_int_equal(status(h), ERROR); /* Spec: read-only item */
	request(h, 0x20 << 16 | SELECT | READ, 5, HARNESS_RAM - 2);
	assert_int_equal(status(h), ERROR); /* not RAM */
	request(h, 0x20 << 16 | SELECT | READ, 0xffffffff, 0x100000);
	assert_int_equal(status(h), ERROR);
	request(h, 0x1234 << 16 | SELECT | READ, 65536, BUF);
	assert_int_equal(status(h), 0);
	request(h, 0, 0, 0);
	assert_int_equal(status(h), 0);
	outl(h, DMA_HI, __builtin_bswap32(0xffff)); /* request outside RAM: nothing happens */
	outl(h, DMA_LO, __builtin_bswap32(REQ));
	assert_int_equal(fw->dev.guest_errors, 2);
	outl(h, DMA_HI, __builtin_bswap32(7));
	harness_check_state_roundtrip(&fw->dev);
	harness_free(h);
}

static void test_mmio(void **state)
{
	struct harness *h = harness_new();
	struct fw_cfg *fw = fw_new(h, &fw_cfg_mmio_class);

	writew(h, MMIO + 8, __builtin_bswap16(0x20)); /* Spec: selector is big-endian */
	assert_int_equal(readl(h, MMIO), 0x6c6c6568); /* data keeps its order in memory */
	assert_int_equal(readb(h, MMIO), 'o');
	assert_int_equal(readq(h, MMIO + 16), 0x4746432055 << 24 | 0x4d4551);
	st_be32(ram(h, REQ), 0x20 << 16 | SELECT | READ);
	st_be32(ram(h, REQ + 4), 5);
	st_be64(ram(h, REQ + 8), BUF);
	writeq(h, MMIO + 16, __builtin_bswap64(REQ));
	assert_memory_equal(ram(h, BUF), "hello", 5);
	writel(h, MMIO + 16, 0);
	memset(ram(h, BUF), 0, 5);
	st_be32(ram(h, REQ), 0x20 << 16 | SELECT | READ);
	writel(h, MMIO + 20, __builtin_bswap32(REQ));
	assert_memory_equal(ram(h, BUF), "hello", 5);
	harness_check_state_roundtrip(&fw->dev);
	harness_free(h);
}

static void test_limits(void **state)
{
	struct harness *h = harness_new();
	struct fw_cfg *fw = fw_new(h, &fw_cfg_class);
	struct error err = {0};
	char name[64];
	int r = 0;

	assert_int_equal(fw_cfg_add_file(fw, "etc/one", "x", 1, &err), -EEXIST);
	assert_int_equal(fw_cfg_add_file(fw, "", "x", 1, &err), -EINVAL);
	memset(name, 'n', 56);
	name[56] = 0;
	assert_int_equal(fw_cfg_add_file(fw, name, "x", 1, &err), -EINVAL);
	name[55] = 0;
	assert_int_equal(fw_cfg_add_file(fw, name, "x", 1, &err), 0);
	assert_int_equal(fw_cfg_add_bytes(fw, 0x20, "x", 1, &err), -EINVAL);
	assert_int_equal(fw_cfg_add_bytes(fw, 0x8020, "x", 1, &err), -EINVAL);
	assert_int_equal(fw_cfg_add_bytes(fw, FW_CFG_UUID, "x", FW_CFG_BYTES_MAX + 1, &err),
			 -E2BIG);
	for (unsigned i = 0; i < 100 && r == 0; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		r = fw_cfg_add_file(fw, name, "x", 1, &err);
	}
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(fw->n_files, FW_CFG_FILES);
	harness_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_traditional),
		cmocka_unit_test(test_dma),
		cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_limits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
