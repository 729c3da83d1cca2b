/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of both TPM interfaces. "PTP": TCG PC Client Platform TPM Profile for
 * TPM 2.0, 1.05 rev. 14.
 */
#include "harness.h"

#include "device/tpm/tpm_crb.h"
#include "device/tpm/tpm_tis.h"
#include "fake_tpm.h"

#define L(n, reg) (TPM_BASE + 0x1000u * (n) + (reg))

static const uint8_t get_random[] = {0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 4};
static const uint8_t answer[] = {0x80, 0x01, 0, 0, 0, 16, 0, 0, 0, 0, 0, 4, 0xde, 0xad, 0xbe, 0xef};

struct box {
	struct harness *h;
	struct tpm tpm;
	struct tpm_tis *tis;
	struct tpm_crb *crb;
};

static void open_tis(struct box *b)
{
	*b = (struct box){.h = harness_new()};
	b->tis = (struct tpm_tis *)dev_new(&tpm_tis_class, "tpm", &b->h->sv);
	b->tis->tpm = &b->tpm;
	for (unsigned i = 1; i < TPM_TIS_IRQS; i++)
		harness_irq(b->h, &b->tis->irq[i], i);
	harness_realize(b->h, &b->tis->dev);
}

static void open_crb(struct box *b)
{
	*b = (struct box){.h = harness_new()};
	b->crb = (struct tpm_crb *)dev_new(&tpm_crb_class, "tpm", &b->h->sv);
	b->crb->tpm = &b->tpm;
	harness_realize(b->h, &b->crb->dev);
}

static void give(struct box *b)
{
	bus_lock(&b->h->bus);
	fake_tpm_answer(&b->tpm, answer, sizeof(answer));
	bus_unlock(&b->h->bus);
}

#define RUN(b, rows) harness_run((b)->h, rows, ARRAY_SIZE(rows))

/* clang-format off */
static void test_localities(void **state)
{
	static const struct reg_row rows[] = {
		{READ8, L(0, 0), 0x81, .cite = "PTP TPM_ACCESS: valid, no dynamic launch"},
		{READ32, L(0, 0x18), 0xffffffff, .cite = "PTP TPM_STS: ones unless active"},
		{WRITE8, L(0, 0), 0x02}, {READ8, L(0, 0), 0xa1, .cite = "PTP TPM_ACCESS: nobody had it: granted"},
		{WRITE8, L(1, 0), 0x02}, {READ8, L(1, 0), 0x83, .cite = "requestUse stays while another is active"},
		{READ8, L(0, 0), 0xa5, .cite = "pendingRequest: another locality waits"},
		{WRITE8, L(2, 0), 0x02}, {WRITE8, L(2, 0), 0x20}, {READ8, L(2, 0), 0x85, .cite = "activeLocality written: a request is withdrawn"},
		{WRITE8, L(0, 0), 0x20}, {READ8, L(0, 0), 0x81}, {READ8, L(1, 0), 0xa1, .cite = "PTP: the highest that waits gets it"},
		{WRITE8, L(0, 0), 0x08}, {READ8, L(1, 0), 0xa1, .cite = "PTP Seize: not from a higher one"},
		{WRITE8, L(3, 0), 0x08}, {READ8, L(3, 0), 0xa1, .cite = "PTP Seize: from a lower one"},
		{READ8, L(1, 0), 0x91, .cite = "beenSeized"}, {WRITE8, L(1, 0), 0x10}, {READ8, L(1, 0), 0x81, .cite = "cleared by 1"},
		{READ32, L(3, 0x30), 0x00082100, .cite = "PTP TPM_INTERFACE_ID: FIFO, 5 localities"},
		{READ32, L(3, 0x14), 0x300006ff, .cite = "PTP TPM_INTF_CAPABILITY: version 3, all interrupts"},
		{READ32, L(0, 0xf00), 0x00011014}, {READ8, L(0, 0xf04), 1},
	};
	/* clang-format on */
	struct box b;

	open_tis(&b);
	RUN(&b, rows);
	b.tpm.established = true;
	assert_int_equal(readb(b.h, L(3, 0)), 0xa0);
	writeb(b.h, L(3, 0x1b), 2); /* resetEstablishmentBit, from locality 3 */
	assert_int_equal(readb(b.h, L(3, 0)), 0xa1);
	harness_check_state_roundtrip(&b.tis->dev);
	harness_free(b.h);
}

static void put(struct box *b, unsigned loc, const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		writeb(b->h, L(loc, 0x24), p[i]);
}

static void test_fifo(void **state)
{
	/* clang-format off */
	static const struct reg_row ready[] = {
		{WRITE8, L(0, 0), 0x02}, {READ32, L(0, 0x18), 0x04000084, .cite = "PTP TPM_STS: idle, family 2.0, self-test done"},
		{WRITE8, L(0, 0x18), 0x40}, {READ32, L(0, 0x18), 0x041000c4, .cite = "commandReady; burstCount: the buffer"},
	};
	static const struct reg_row half[] = {
		{READ32, L(0, 0x18), 0x040ff98c, .cite = "reception: Expect, 7 bytes less"},
		{WRITE8, L(0, 0x18), 0x20}, {READ8, L(0, 0x18), 0x8c, .cite = "tpmGo too early: nothing happens"},
	};
	static const struct reg_row done[] = {
		{READ32, L(0, 0x18), 0x04001094, .cite = "PTP: completion: dataAvail, 16 bytes"},
		{READ32, L(0, 0x24), 0x00000180, .cite = "PTP TPM_DATA_FIFO: wide reads take as many bytes"},
		{READ16, L(0, 0x24), 0x1000}, {READ8, L(0, 0x19), 10},
		{READ8, L(1, 0x24), 0xff, .cite = "another locality sees ones"},
		{READ32, L(0, 0x80), 0, .cite = "PTP TPM_XDATA_FIFO"}, {READ16, L(0, 0x24), 0x0400}, {READ32, L(0, 0xbc), 0xefbeadde},
		{READ8, L(0, 0x18), 0x84, .cite = "dataAvail clear after the last byte"}, {READ8, L(0, 0x24), 0xff},
		{WRITE8, L(0, 0x18), 0x02}, {READ32, L(0, 0x18), 0x04001094, .cite = "responseRetry: from the start"},
		{WRITE8, L(0, 0x18), 0x40}, {READ8, L(0, 0x18), 0xc4, .cite = "completion to ready"},
	};
	/* clang-format on */
	struct box b;

	open_tis(&b);
	RUN(&b, ready);
	put(&b, 0, get_random, 7);
	RUN(&b, half);
	put(&b, 0, get_random + 7, 5);
	assert_int_equal(readb(b.h, L(0, 0x18)), 0x84); /* Expect clears with the last byte */
	put(&b, 0, get_random, 3);                      /* and more go nowhere */
	writeb(b.h, L(0, 0x18), 0x20);
	assert_true(b.tpm.busy && b.tpm.len == 12 && b.tpm.locality == 0);
	assert_memory_equal(b.tpm.cmd, get_random, 12);
	assert_int_equal(readb(b.h, L(0, 0x18)), 0x84);
	give(&b);
	harness_check_state_roundtrip(&b.tis->dev);
	RUN(&b, done);
	/* PTP: commandReady during execution abandons the command. */
	put(&b, 0, get_random, 12);
	writeb(b.h, L(0, 0x18), 0x20);
	writeb(b.h, L(0, 0x18), 0x40);
	assert_int_equal(readb(b.h, L(0, 0x18)), 0x84);
	harness_check_state_roundtrip(&b.tis->dev);
	assert_true(b.tpm.busy);
	give(&b);
	assert_int_equal(readb(b.h, L(0, 0x18)), 0xc4);
	/* So does a higher locality that takes it; it has to get ready itself. */
	put(&b, 0, get_random, 12);
	writeb(b.h, L(0, 0x18), 0x20);
	writeb(b.h, L(4, 0), 0x08);
	give(&b);
	assert_int_equal(readl(b.h, L(4, 0x18)), 0x04000084);
	assert_int_equal(readl(b.h, L(0, 0x18)), 0xffffffff);
	writeb(b.h, L(4, 0x18), 0x40);
	put(&b, 4, get_random, 12);
	writeb(b.h, L(4, 0x18), 0x20);
	assert_int_equal(b.tpm.locality, 4);
	harness_free(b.h);
}

/* A command that says it is longer than what there is: all that fits, no more. */
static void test_long(void **state)
{
	struct box b;

	open_tis(&b);
	writeb(b.h, L(0, 0), 0x02);
	writeb(b.h, L(0, 0x18), 0x40);
	put(&b, 0, (const uint8_t[]){0x80, 1, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4}, 10);
	for (unsigned i = 0; i < 5000; i++)
		writeb(b.h, L(0, 0x24), 0x55);
	assert_int_equal(readl(b.h, L(0, 0x18)), 0x04000084);
	writeb(b.h, L(0, 0x18), 0x20);
	assert_int_equal(b.tpm.len, TPM_BUFFER);
	harness_free(b.h);
}

static void test_interrupts(void **state)
{
	/* clang-format off */
	static const struct reg_row on[] = {
		{WRITE8, L(0, 0), 0x02}, {READ32, L(0, 0x08), 0x00000008, .cite = "PTP TPM_INT_ENABLE: off, low level"},
		{WRITE8, L(0, 0x0c), 7}, {WRITE32, L(0, 0x08), 0x80000085}, {LEVEL, 7, 0},
		{WRITE8, L(0, 0x18), 0x40}, {LEVEL, 7, 1, .cite = "commandReadyEnable"}, {READ32, L(0, 0x10), 0x80},
		{WRITE8, L(1, 0x10), 0x80}, {LEVEL, 7, 1, .cite = "only from the active locality"},
		{WRITE8, L(0, 0x10), 0x80}, {LEVEL, 7, 0, .cite = "PTP TPM_INT_STATUS: cleared by 1"},
	};
	static const struct reg_row after[] = {
		{LEVEL, 7, 1, .cite = "dataAvailIntEnable"}, {READ32, L(0, 0x10), 0x01, .cite = "stsValid is not enabled"},
		{WRITE8, L(0, 0x0c), 5}, {LEVEL, 7, 0}, {LEVEL, 5, 1, .cite = "PTP TPM_INT_VECTOR"},
		{WRITE8, L(0, 0x10), 0x01}, {LEVEL, 5, 0},
		{WRITE8, L(2, 0), 0x02}, {WRITE8, L(0, 0), 0x20}, {LEVEL, 5, 1, .cite = "localityChangeIntEnable"},
		{READ32, L(2, 0x10), 0x04}, {WRITE32, L(2, 0x08), 0x00000004}, {LEVEL, 5, 0, .cite = "globalIntEnable"},
	};
	/* clang-format on */
	struct error err = {0};
	struct box b;

	open_tis(&b);
	RUN(&b, on);
	put(&b, 0, get_random, 12);
	writeb(b.h, L(0, 0x18), 0x20);
	give(&b);
	RUN(&b, after);
	harness_check_state_roundtrip(&b.tis->dev);
	/* an edited state: more of a command than it has by its header */
	writeb(b.h, L(0, 0x18), 0x40);
	put(&b, 0, get_random, 7);
	bus_lock(&b.h->bus);
	assert_int_equal(tpm_tis_class.loaded(&b.tis->dev, &err), 0);
	b.tis->s.len = 13;
	assert_int_not_equal(tpm_tis_class.loaded(&b.tis->dev, &err), 0);
	bus_unlock(&b.h->bus);
	harness_free(b.h);
}

static void test_crb(void **state)
{
	/* clang-format off */
	static const struct reg_row rows[] = {
		{READ32, L(0, 0x30), 0x010a5811, .cite = "PTP TPM_CRB_INTF_ID: CRB, version 1, CRB only"},
		{READ32, L(0, 0x34), 0x00011014}, {READ32, L(0, 0x00), 0x81, .cite = "PTP TPM_LOC_STATE"},
		{READ32, L(0, 0x44), 2, .cite = "PTP TPM_CRB_CTRL_STS: tpmIdle"},
		{READ32, L(0, 0x58), 0xf80}, {READ64, L(0, 0x5c), TPM_BASE + 0x80}, {READ32, L(0, 0x64), 0xf80}, {READ64, L(0, 0x68), TPM_BASE + 0x80},
		{WRITE32, L(0, 0x40), 1}, {READ32, L(0, 0x44), 2, .cite = "not without the locality"},
		{WRITE32, L(0, 0x08), 1}, {READ32, L(0, 0x0c), 1, .cite = "PTP TPM_LOC_STS: Granted"}, {READ32, L(0, 0x00), 0x83},
		{WRITE32, L(0, 0x80), 0x1234}, {READ32, L(0, 0x80), 0, .cite = "idle: the buffer can't be written"},
		{WRITE32, L(0, 0x40), 1}, {READ32, L(0, 0x40), 0, .cite = "PTP TPM_CRB_CTRL_REQ: cmdReady clears when done"}, {READ32, L(0, 0x44), 0},
		{WRITE32, L(0, 0x80), 0x00000180}, {WRITE32, L(0, 0x84), 0x00000c00}, {WRITE32, L(0, 0x88), 0x04007b01},
		{WRITE32, L(0, 0x4c), 1}, {READ32, L(0, 0x4c), 1, .cite = "PTP TPM_CRB_CTRL_START"},
		{WRITE32, L(0, 0x80), 0}, {READ32, L(0, 0x80), 0x00000180, .cite = "during execution neither"},
	};
	static const struct reg_row done[] = {
		{READ32, L(0, 0x4c), 0}, {READ64, L(0, 0x80), 0x0000100000000180}, {READ32, L(0, 0x8c), 0xefbeadde},
		{WRITE32, L(0, 0x40), 2}, {READ32, L(0, 0x44), 2, .cite = "goIdle"},
		{WRITE32, L(0, 0x40), 1}, {WRITE32, L(0, 0x84), 0xffff0000}, {WRITE32, L(0, 0x80), 0xffff0180},
		{WRITE32, L(0, 0x4c), 1}, {READ32, L(0, 0x4c), 0}, {READ32, L(0, 0x44), 1, .cite = "PTP tpmSts: a command that can't be"},
		{WRITE32, L(0, 0x08), 2}, {READ32, L(0, 0x00), 0x81}, {READ32, L(0, 0x0c), 0, .cite = "Relinquish"},
	};
	/* clang-format on */
	struct box b;

	open_crb(&b);
	RUN(&b, rows);
	assert_true(b.tpm.busy && b.tpm.len == 12);
	harness_check_state_roundtrip(&b.crb->dev);
	assert_true(b.tpm.busy);
	give(&b);
	harness_check_state_roundtrip(&b.crb->dev);
	RUN(&b, done);
	bus_lock(&b.h->bus);
	dev_reset(&b.crb->dev, DEV_RESET_WARM);
	bus_unlock(&b.h->bus);
	assert_int_equal(readl(b.h, L(0, 0x44)), 2);
	assert_true(b.tpm.resets > 1);
	harness_free(b.h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_localities), cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_long),       cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_crb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
