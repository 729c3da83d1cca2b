/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the USB 3 controller and of the disk behind it: the test is the driver. "xHCI":
 * eXtensible Host Controller Interface 1.1. "BOT": Mass Storage Class, Bulk-Only Transport 1.0.
 */
#include "device/usb/xhci.h"
#include "fake_block.h"
#include "xhci_rig.h"

static void test_registers(void **state)
{
	static const struct reg_row rows[] = {
		/* clang-format off */
		{READ32, XR(0x00), 0x01100040, .cite = "xHCI 5.3.1, 5.3.2: CAPLENGTH, HCIVERSION 1.1"},
		{READ32, XR(0x04), 0x08000110, .cite = "xHCI 5.3.3: 8 ports, 1 interrupter, 16 slots"},
		{READ32, XR(0x44), 0x00000011, .mask = 1, .cite = "xHCI 5.4.2: halted"},
		{READ32, XR(0x48), 1, .cite = "xHCI 5.4.3: pages of 4 KiB"},
		{READ32, XR(0x500), 0x02000402, .cite = "xHCI 7.2: USB 2.0"},
		{READ32, XR(0x508), 0x00000401}, {READ32, XR(0x510), 0x03000002}, {READ32, XR(0x518), 0x00000405},
		{READ32, XR(0x440), 0x000206e1, .cite = "xHCI 5.4.8: connected, changed, polling, full speed"},
		{READ32, XR(0x480), 0x00021203, .cite = "xHCI 4.19.1.2: SuperSpeed trains by itself"},
		{READ32, XR(0x460), 0x000002a0, .cite = "nothing there"},
		{WRITE32, XR(0x440), 0x00020200}, {READ32, XR(0x440), 0x000006e1, .cite = "CSC: write 1 clears"},
		{WRITE32, XR(0x440), 0x00000210}, {READ32, XR(0x440), 0x00200603, .cite = "xHCI 4.19.5: reset enables"},
		{WRITE32, XR(0x440), 0x00010260}, {READ32, XR(0x440), 0x00200663, .cite = "xHCI 4.15: U3"},
		{WRITE32, XR(0x440), 0x000103e0}, {WRITE32, XR(0x440), 0x00010200},
		{READ32, XR(0x440), 0x00600603, .cite = "xHCI 4.15: resumed, PLC"},
		{WRITE32, XR(0x440), 0x00000202}, {READ32, XR(0x440), 0, .mask = 2, .cite = "PED: write 1 disables"},
		{WRITE32, XR(0x1028), 0xffff}, {READ32, XR(0x1028), 16, .cite = "xHCI 5.5.2.3.1: ERSTSZ"},
		{WRITE32, XR(0x40), 0x2}, {READ32, XR(0x1028), 0, .cite = "xHCI 5.4.1: HCRST"},
		{READ32, XR(0x440), 0x000206e1},
		/* clang-format on */
	};
	struct xhci_rig *g = xhci_rig_new();
	uint32_t before;

	assert_ptr_equal(g->x->dev.cls, &xhci_class);
	assert_ptr_equal(g->disk->dev.cls, &usb_disk_class);
	harness_run(g->h, rows, ARRAY_SIZE(rows));
	before = readl(g->h, XR(0x1000));
	harness_step(g->h, NS_PER_MS);
	assert_int_equal((readl(g->h, XR(0x1000)) - before) & 0x3fff, 8); /* MFINDEX */
	harness_check_state_roundtrip(&g->x->dev);
	xhci_rig_free(g);
}

/* xHCI 4.6, 4.9: commands, a control transfer, its events */
static void test_control(void **state)
{
	struct xhci_rig *g = xhci_rig_new();
	uint8_t *data = ram(g->h, XR_DATA);
	struct xr_event e;

	xhci_rig_start(g);
	assert_int_equal(xhci_rig_command(g, 23 << 10, 0, &e), 1); /* No Op */
	assert_int_equal(xhci_rig_command(g, 63 << 10, 0, &e), 5); /* TRB error */
	assert_int_equal(xhci_rig_command(g, 11 << 10 | 3 << 24, XR_INPUT, &e),
			 11);                                                /* slot is off */
	assert_int_equal(xhci_rig_attach(g, 5), 1);                          /* the disk, slot 1 */
	assert_int_equal(ld_le32(ram(g->h, XR_CONTEXT + 12)), 2u << 27 | 1); /* addressed */
	assert_int_equal(ld_le32(ram(g->h, XR_CONTEXT + 32)) & 7, 1);        /* running */
	assert_int_equal(xhci_rig_control(g, 0x80, 6, 0x0100, 0, 18), 18);
	assert_int_equal(data[0], 18);
	assert_int_equal(data[3], 3);                                      /* USB 3 */
	assert_int_equal(data[7], 9);                                      /* 512 bytes a packet */
	assert_int_equal(xhci_rig_control(g, 0x80, 6, 0x0100, 0, 64), 18); /* short packet */
	assert_int_equal(xhci_rig_control(g, 0x80, 6, 0x0f00, 0, 64), 22); /* BOS */
	assert_int_equal(xhci_rig_control(g, 0x80, 6, 0x0200, 0, 64), 44);
	assert_int_equal(xhci_rig_control(g, 0xa1, 0xfe, 0, 0, 1), 1); /* Get Max LUN */
	assert_int_equal(data[0], 0);
	harness_check_state_roundtrip(&g->x->dev);
	/* what there is not stalls, and the endpoint halts until it is reset */
	assert_int_equal(xhci_rig_control(g, 0x80, 6, 0x0700, 0, 64), -6);
	assert_int_equal(ld_le32(ram(g->h, XR_CONTEXT + 32)) & 7, 2);
	assert_int_equal(xhci_rig_command(g, 15 << 10 | 1 << 24 | 1 << 16, 0, &e),
			 19); /* not running */
	assert_int_equal(xhci_rig_command(g, 14 << 10 | 1 << 24 | 1 << 16, 0, &e), 1);
	xhci_rig_rewind(g, 1);
	assert_int_equal(xhci_rig_control(g, 0x80, 8, 0, 0, 1), 1);
	assert_int_equal(xhci_rig_command(g, 17 << 10 | 1 << 24, 0, &e), 1); /* Reset Device */
	assert_int_equal(xhci_rig_command(g, 10 << 10 | 1 << 24, 0, &e), 1); /* Disable Slot */
	assert_int_equal(xhci_rig_command(g, 10 << 10 | 1 << 24, 0, &e), 11);
	xhci_rig_free(g);
}

/* BOT 5, 6: commands of a disk */
static void test_disk(void **state)
{
	struct xhci_rig *g = xhci_rig_new();
	uint8_t *data = ram(g->h, XR_DATA);
	static const uint8_t inquiry[6] = {0x12, 0, 0, 0, 36}, tur[6] = {0}, capacity[10] = {0x25},
			     sense[6] = {3, 0, 0, 0, 18};
	uint8_t rw[10] = {0x28, 0, 0, 0, 0, 5, 0, 0, 100};

	xhci_rig_start(g);
	assert_int_equal(xhci_rig_attach(g, 5), 1);
	xhci_rig_configure(g);
	/* power on: unit attention once, or none */
	if (xhci_rig_scsi(g, tur, 6, 0, true) != 0)
		assert_int_equal(xhci_rig_scsi(g, sense, 6, 18, true), 0);
	assert_int_equal(xhci_rig_scsi(g, tur, 6, 0, true), 0);
	assert_int_equal(xhci_rig_scsi(g, inquiry, 6, 36, true), 0);
	assert_int_equal(data[0], 0);
	assert_int_equal(xhci_rig_scsi(g, capacity, 10, 8, true), 0);
	assert_int_equal(ld_be32(data), FAKE_BLOCKS - 1);
	for (unsigned i = 0; i < 51200; i++)
		g->block->data[5 * 512 + i] = (uint8_t)(i * 13 + (i >> 9));
	assert_int_equal(xhci_rig_scsi(g, rw, 10, 51200, true), 0);
	assert_memory_equal(data, g->block->data + 5 * 512, 51200);
	harness_check_state_roundtrip(&g->disk->dev);
	g->disk->dev.cls->resume(&g->disk->dev);
	/* more is wanted than there is: a residue (BOT 6.7.2, case 5) */
	assert_int_equal(xhci_rig_scsi(g, rw, 10, 52000, true), 0);
	assert_int_equal(g->residue, 800);
	/* less than there is: a phase error (case 7); an unknown command fails */
	assert_int_equal(xhci_rig_scsi(g, rw, 10, 1000, true), 2);
	assert_int_equal(xhci_rig_scsi(g, (const uint8_t[6]){0xff}, 6, 0, true), 1);
	assert_int_equal(xhci_rig_scsi(g, sense, 6, 18, true), 0);
	assert_int_equal(data[2] & 15, 5); /* illegal request */
	for (unsigned i = 0; i < 51200; i++)
		data[i] = (uint8_t)(i * 7);
	rw[0] = 0x2a;
	assert_int_equal(xhci_rig_scsi(g, rw, 10, 51200, false), 0);
	assert_memory_equal(data, g->block->data + 5 * 512, 51200);
	assert_int_equal(xhci_rig_scsi(g, (const uint8_t[10]){0x35}, 10, 0, false), 0); /* flush */
	/* BOT 6.6.1: a CBW that is none halts both endpoints until a reset */
	assert_int_equal(xhci_rig_bulk(g, 4, XR_DATA, 13, NULL), 6);
	xhci_rig_reset_ep(g, 4);
	assert_int_equal(xhci_rig_bulk(g, 4, XR_DATA, 31, NULL), 6);
	xhci_rig_reset_ep(g, 4);
	assert_int_equal(xhci_rig_control(g, 0x21, 0xff, 0, 0, 0), 0);
	assert_int_equal(xhci_rig_control(g, 0x02, 1, 0, 0x02, 0), 0);
	assert_int_equal(xhci_rig_control(g, 0x02, 1, 0, 0x81, 0), 0);
	assert_int_equal(xhci_rig_scsi(g, tur, 6, 0, true), 0);
	harness_check_state_roundtrip(&g->x->dev);
	xhci_rig_free(g);
}

/* Rings that no driver makes. */
static void test_nonsense(void **state)
{
	struct xhci_rig *g = xhci_rig_new();
	struct xr_event e;

	xhci_rig_start(g);
	assert_int_equal(xhci_rig_attach(g, 5), 1);
	xhci_rig_configure(g);
	/* a transfer ring that leads to itself, and has no data */
	xhci_rig_put(g, XR_RING(3), XR_RING(3), 0, 6 << 10 | 1);
	writel(g->h, XR(0x2004), 3);
	while (xhci_rig_next(g, &e))
		assert_int_equal(e.code, 5);
	/* the command ring likewise: it goes round for ever, a little at a time */
	xhci_rig_put(g, g->cmd, g->cmd, 0, 6 << 10 | 1);
	writel(g->h, XR(0x2000), 0);
	for (unsigned i = 0; i < 10; i++)
		harness_step(g->h, NS_PER_MS);
	writel(g->h, XR(0x40), 2);
	/* no memory anywhere */
	for (unsigned at = 0x58; at < 0x80; at += 4)
		writel(g->h, XR(at), 0xfffffff0);
	writel(g->h, XR(0x78), 16);
	writel(g->h, XR(0x1028), 1);
	writel(g->h, XR(0x1030), 0xffffffc0);
	writel(g->h, XR(0x1034), 0xffffffff);
	writel(g->h, XR(0x40), 5);
	for (unsigned i = 0; i < 40; i++)
		writel(g->h, XR(0x2000 + 4 * (i % 18)), i);
	harness_check_state_roundtrip(&g->x->dev);
	xhci_rig_free(g);
}

/* xHCI 4.19.3: a device is pulled out: not connected, not enabled, a change; and put in again. */
static void test_plug(void **state)
{
	struct xhci_rig *g = xhci_rig_new();

	xhci_rig_start(g);
	assert_int_equal(xhci_rig_attach(g, 5), 1);
	writel(g->h, XR(0x440 + 0x40), 0x00fe0200);
	bus_lock(&g->h->bus);
	xhci_plug(g->x, 4, NULL);
	bus_unlock(&g->h->bus);
	assert_int_equal(readl(g->h, XR(0x440 + 0x40)), 0x000202a0);
	assert_int_equal(xhci_rig_control(g, 0x80, 6, 0x0100, 0, 18), -4); /* transaction error */
	harness_check_state_roundtrip(&g->x->dev);
	writel(g->h, XR(0x440 + 0x40), 0x00fe0200);
	bus_lock(&g->h->bus);
	xhci_plug(g->x, 4, &g->disk->msc.dev);
	bus_unlock(&g->h->bus);
	assert_int_equal(readl(g->h, XR(0x440 + 0x40)) & 0x23e1f, 0x21203 & 0x23e1f);
	xhci_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plug),     cmocka_unit_test(test_registers),
		cmocka_unit_test(test_control),  cmocka_unit_test(test_disk),
		cmocka_unit_test(test_nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
