/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the PIIX3 IDE function (piix3_ide_class). "ATA1", "ATA2": ATA/ATAPI-7 volumes 1
 * and 2; "MMC": MMC-5; "SB": 290550-002; "BM": Programming Interface for Bus Master IDE
 * Controller 1.0.
 */
#include <stdlib.h>

#include "ide_rig.h"

enum { PRI = 0x1f0, SEC = 0x170, PRI_CTL = 0x3f6, SEC_CTL = 0x376 };
enum { BSY = 0x80, DRDY = 0x40, DF = 0x20, DSC = 0x10, DRQ = 8, ERR = 1 };
#define OK     (DRDY | DSC)
#define PRDT   0x1000u
#define BUFFER 0x10000u

static uint8_t status(struct ide_rig *g, uint16_t port)
{
	return inb(g->h, port + 7);
}

static void lba28(struct ide_rig *g, uint16_t port, unsigned dev, uint32_t lba, uint8_t n)
{
	outb(g->h, port + 6, (uint8_t)(0xe0 | dev << 4 | lba >> 24));
	outb(g->h, port + 2, n);
	outb(g->h, port + 3, (uint8_t)lba);
	outb(g->h, port + 4, (uint8_t)(lba >> 8));
	outb(g->h, port + 5, (uint8_t)(lba >> 16));
}

/* ATA1 6.2: the previous contents first. */
static void lba48(struct ide_rig *g, uint64_t lba, uint16_t n)
{
	outb(g->h, PRI + 6, 0xe0);
	outb(g->h, PRI + 2, (uint8_t)(n >> 8));
	outb(g->h, PRI + 3, (uint8_t)(lba >> 24));
	outb(g->h, PRI + 4, (uint8_t)(lba >> 32));
	outb(g->h, PRI + 5, (uint8_t)(lba >> 40));
	outb(g->h, PRI + 2, (uint8_t)n);
	outb(g->h, PRI + 3, (uint8_t)lba);
	outb(g->h, PRI + 4, (uint8_t)(lba >> 8));
	outb(g->h, PRI + 5, (uint8_t)(lba >> 16));
}

static void command(struct ide_rig *g, uint16_t port, uint8_t cmd)
{
	outb(g->h, port + 7, cmd);
	ide_rig_disk_work(g);
}

static void pio_in(struct ide_rig *g, uint16_t port, uint8_t *to, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2)
		st_le16(to + i, inw(g->h, port));
	ide_rig_disk_work(g);
}

static void pio_out(struct ide_rig *g, uint16_t port, const uint8_t *from, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i += 2)
		outw(g->h, port, ld_le16(from + i));
	ide_rig_disk_work(g);
}

static unsigned rises(struct ide_rig *g, unsigned pin)
{
	unsigned n = g->h->pins[pin].rises;

	g->h->pins[pin].rises = 0;
	return n;
}

/* A descriptor table of @n pieces of @len bytes each from BUFFER on, 4 KiB apart. */
static void prds(struct ide_rig *g, unsigned n, uint16_t len)
{
	for (unsigned i = 0; i < n; i++) {
		st_le32(ram(g->h, PRDT + 8 * i), BUFFER + i * 4096);
		st_le16(ram(g->h, PRDT + 8 * i + 4), len);
		st_le16(ram(g->h, PRDT + 8 * i + 6), i == n - 1 ? 0x8000 : 0);
	}
	outl(g->h, IDE_RIG_BM + 4, PRDT);
}

static void test_config(void **state)
{
	struct ide_rig *g = ide_rig_new();
	struct pci_bus *pb = &g->bus;

	(void)state;
	bus_lock(&g->h->bus);
	assert_int_equal(pci_bus_config_read(pb, 9, 0, 4), 0x70108086); /* SB 2.3.1, 2.3.2 */
	assert_int_equal(pci_bus_config_read(pb, 9, 8, 4),
			 0x01018000); /* SB 2.3.6: compatibility */
	assert_int_equal(pci_bus_config_read(pb, 9, 0x20, 4), IDE_RIG_BM | 1);
	bus_unlock(&g->h->bus);
	assert_int_equal(status(g, PRI), OK);
	bus_lock(&g->h->bus);
	pci_bus_config_write(pb, 9, 0x40, 2, 0); /* SB 2.3.9: IDE decode enable, bit 15 */
	bus_unlock(&g->h->bus);
	assert_int_equal(inb(g->h, PRI + 7), 0xff);
	assert_int_equal(inb(g->h, SEC + 7), 0);
	ide_rig_free(g);
}

/* ATA1 5.15: signatures and what is read where nothing is. */
static void test_reset(void **state)
{
	struct ide_rig *g = ide_rig_new();

	(void)state;
	outb(g->h, PRI_CTL, 4);
	assert_int_equal(inb(g->h, PRI_CTL), BSY);
	outb(g->h, PRI_CTL, 0);
	assert_int_equal(status(g, PRI), OK);
	assert_int_equal(inl(g->h, PRI + 1), 0x00010101); /* error 01, count 1, low 1, mid 0 */
	assert_int_equal(inb(g->h, PRI + 5), 0);
	outb(g->h, SEC_CTL, 4);
	outb(g->h, SEC_CTL, 0);
	assert_int_equal(status(g, SEC), 0);
	assert_int_equal(inb(g->h, SEC + 4), 0x14);
	assert_int_equal(inb(g->h, SEC + 5), 0xeb);
	outb(g->h, SEC + 6, 0x10); /* no secondary slave: the master answers with status 0 */
	assert_int_equal(status(g, SEC), 0);
	command(g, SEC, 0xec);
	assert_int_equal(status(g, SEC), 0);
	outb(g->h, PRI + 6, 0xb0);
	assert_int_equal(status(g, PRI), OK);
	/* ATA1 6.12: EXECUTE DEVICE DIAGNOSTIC */
	command(g, PRI, 0x90);
	assert_int_equal(inb(g->h, PRI + 1), 0x01);
	assert_int_equal(inb(g->h, PRI + 6) & 0x10, 0);
	assert_int_equal(rises(g, 14), 1);
	ide_rig_free(g);
}

static void test_identify(void **state)
{
	struct ide_rig *g = ide_rig_new();
	uint8_t id[512], sum = 0;

	(void)state;
	outb(g->h, PRI + 6, 0xa0);
	command(g, PRI, 0xec);
	assert_int_equal(rises(g, 14), 1);
	assert_int_equal(status(g, PRI), OK | DRQ);
	pio_in(g, PRI, id, 512);
	assert_int_equal(status(g, PRI), OK);
	assert_int_equal(rises(g, 14), 0);
	assert_int_equal(ld_le16(id + 2),
			 2); /* 2048 sectors: 2 cylinders of 16 heads, 63 sectors */
	assert_memory_equal(id + 20, "esirla", 6);
	assert_int_equal(ld_le32(id + 120), 2048);
	assert_int_equal(ld_le64(id + 200), 2048);
	assert_true(ld_le16(id + 166) & 0x0400); /* 48-bit */
	for (unsigned i = 0; i < 512; i++)
		sum = (uint8_t)(sum + id[i]);
	assert_int_equal(sum, 0); /* ATA1 6.16.60 */
	/* A packet drive: abort with the signature (ATA1 6.16.5), then IDENTIFY PACKET DEVICE. */
	outb(g->h, SEC + 6, 0xa0);
	command(g, SEC, 0xec);
	assert_int_equal(status(g, SEC) & (ERR | DRQ), ERR);
	assert_int_equal(inb(g->h, SEC + 1), 0x04);
	assert_int_equal(inb(g->h, SEC + 5), 0xeb);
	command(g, SEC, 0xa1);
	pio_in(g, SEC, id, 512);
	assert_int_equal(ld_le16(id), 0x85c0);
	/* What a drive hasn't got: aborted */
	command(g, PRI, 0xb0);
	assert_int_equal(status(g, PRI), OK | ERR);
	assert_int_equal(inb(g->h, PRI + 1), 0x04);
	ide_rig_free(g);
}

static void test_pio(void **state)
{
	struct ide_rig *g = ide_rig_new();
	uint8_t buf[130 * 512];

	(void)state;
	/* ATA2 9.5: an interrupt before each block, none after the last; 100 sectors in more than
	 * one request */
	lba28(g, PRI, 0, 3, 100);
	command(g, PRI, 0x20);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(rises(g, 14), 1);
		assert_int_equal(status(g, PRI), OK | DRQ);
		pio_in(g, PRI, buf + i * 512, 512);
	}
	assert_int_equal(status(g, PRI), OK);
	assert_memory_equal(buf, g->b[0]->data + 3 * 512, 100 * 512);
	/* CHS (ATA-4 6.2): cylinder 1, head 1, sector 1 is sector 1071 */
	outb(g->h, PRI + 6, 0xa1);
	outb(g->h, PRI + 2, 1);
	outb(g->h, PRI + 3, 1);
	outb(g->h, PRI + 4, 1);
	outb(g->h, PRI + 5, 0);
	command(g, PRI, 0x20);
	pio_in(g, PRI, buf, 512);
	assert_memory_equal(buf, g->b[0]->data + 1071 * 512, 512);
	/* WRITE SECTORS to the slave; ATA2 9.6: no interrupt before the first block */
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7);
	lba28(g, PRI, 1, 2, 100);
	rises(g, 14);
	command(g, PRI, 0x30);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(rises(g, 14), i ? 1 : 0);
		assert_int_equal(status(g, PRI), OK | DRQ);
		pio_out(g, PRI, buf + i * 512, 512);
	}
	assert_int_equal(rises(g, 14), 1);
	assert_int_equal(status(g, PRI), OK);
	assert_memory_equal(buf, g->b[1]->data + 2 * 512, 100 * 512);
	/* READ and WRITE MULTIPLE: aborted before SET MULTIPLE MODE (ATA1 6.29) */
	lba28(g, PRI, 0, 8, 20);
	command(g, PRI, 0xc4);
	assert_int_equal(status(g, PRI), OK | ERR);
	outb(g->h, PRI + 2, 16);
	command(g, PRI, 0xc6);
	assert_int_equal(status(g, PRI), OK);
	lba28(g, PRI, 0, 8, 20);
	rises(g, 14);
	command(g, PRI, 0xc4);
	assert_int_equal(rises(g, 14), 1);
	assert_int_equal(status(g, PRI), OK | DRQ);
	pio_in(g, PRI, buf, 16 * 512);
	assert_int_equal(rises(g, 14), 1); /* the interrupt of the other four sectors */
	pio_in(g, PRI, buf + 16 * 512, 4 * 512);
	assert_int_equal(status(g, PRI), OK);
	assert_memory_equal(buf, g->b[0]->data + 8 * 512, 20 * 512);
	ide_rig_free(g);
}

static void test_errors(void **state)
{
	struct ide_rig *g = ide_rig_new();
	uint8_t buf[512] = {0};

	(void)state;
	lba28(g, PRI, 0, 2047, 2);
	command(g, PRI, 0x20);
	assert_int_equal(status(g, PRI), OK | ERR);
	assert_int_equal(inb(g->h, PRI + 1), 0x10); /* IDNF */
	outb(g->h, PRI + 6, 0xa0);
	outb(g->h, PRI + 3, 0); /* there is no sector 0 */
	command(g, PRI, 0x20);
	assert_int_equal(inb(g->h, PRI + 1), 0x10);
	lba48(g, 0xffffffffffff, 1);
	command(g, PRI, 0x24);
	assert_int_equal(inb(g->h, PRI + 1), 0x10);
	/* A medium error: UNC, and the address */
	g->b[0]->fail = -5;
	lba28(g, PRI, 0, 0x123, 1);
	command(g, PRI, 0x20);
	assert_int_equal(status(g, PRI), OK | ERR);
	assert_int_equal(inb(g->h, PRI + 1), 0x40);
	assert_int_equal(inb(g->h, PRI + 3), 0x23);
	assert_int_equal(inb(g->h, PRI + 4), 0x01);
	g->b[0]->fail = -5;
	lba28(g, PRI, 0, 1, 1);
	command(g, PRI, 0x30);
	pio_out(g, PRI, buf, 512);
	assert_int_equal(status(g, PRI), OK | ERR | DF);
	g->b[0]->read_only = true;
	command(g, PRI, 0x30);
	assert_int_equal(status(g, PRI), OK | ERR);
	/* nIEN (ATA2 4.2.8) */
	outb(g->h, PRI_CTL, 2);
	rises(g, 14);
	command(g, PRI, 0xe5);
	assert_int_equal(g->h->pins[14].level, 0);
	outb(g->h, PRI_CTL, 0);
	assert_int_equal(g->h->pins[14].level, 1);
	(void)inb(g->h, PRI_CTL); /* alternate status leaves INTRQ alone */
	assert_int_equal(g->h->pins[14].level, 1);
	(void)status(g, PRI);
	assert_int_equal(g->h->pins[14].level, 0);
	ide_rig_free(g);
}

static void test_dma(void **state)
{
	struct ide_rig *g = ide_rig_new();

	(void)state;
	/* BM 3: READ DMA EXT of 12 sectors to 3 pieces of 2 KiB */
	prds(g, 3, 2048);
	lba48(g, 5, 12);
	command(g, PRI, 0x25);
	assert_int_equal(inb(g->h, PRI_CTL), BSY);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 0);
	outb(g->h, IDE_RIG_BM, 9);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 1);
	assert_int_equal(g->b[0]->submitted, 1);
	ide_rig_disk_work(g);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 4);
	assert_int_equal(status(g, PRI), OK);
	for (unsigned i = 0; i < 3; i++)
		assert_memory_equal(ram(g->h, BUFFER + i * 4096),
				    g->b[0]->data + 5 * 512 + i * 2048, 2048);
	outb(g->h, IDE_RIG_BM + 2, 6); /* write 1 to clear */
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 0);
	outb(g->h, IDE_RIG_BM, 0);
	/* Started before the command; odd-sized pieces; longer table than transfer: stays active */
	prds(g, 4, 510);
	outb(g->h, IDE_RIG_BM, 1);
	lba28(g, PRI, 0, 40, 3);
	memset(ram(g->h, BUFFER), 0x11, 0x4000);
	command(g, PRI, 0xca);
	assert_int_equal(status(g, PRI), OK);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 5);
	assert_int_equal(g->b[0]->data[40 * 512], 0x11);
	assert_int_equal(g->b[0]->data[43 * 512 - 1], 0x11);
	assert_int_not_equal(g->b[0]->data[43 * 512], 0x11);
	outb(g->h, IDE_RIG_BM, 0);
	outb(g->h, IDE_RIG_BM + 2, 6);
	/* A table too short: not active, no interrupt; the drive waits until it is reset */
	prds(g, 1, 512);
	lba28(g, PRI, 0, 0, 2);
	command(g, PRI, 0xc8);
	rises(g, 14);
	outb(g->h, IDE_RIG_BM, 9);
	ide_rig_disk_work(g);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 0);
	assert_int_equal(rises(g, 14), 0);
	assert_int_equal(inb(g->h, PRI_CTL), BSY);
	outb(g->h, PRI_CTL, 4);
	outb(g->h, PRI_CTL, 0);
	assert_int_equal(status(g, PRI), OK);
	/* Memory that isn't RAM: error bit */
	outb(g->h, IDE_RIG_BM, 0);
	prds(g, 1, 512);
	st_le32(ram(g->h, PRDT), 0xf0000000);
	lba28(g, PRI, 0, 0, 1);
	command(g, PRI, 0xc8);
	outb(g->h, IDE_RIG_BM, 9);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 2);
	ide_rig_free(g);
}

/* More pieces than one request takes, and 65536 bytes written as 0. */
static void test_dma_long(void **state)
{
	struct ide_rig *g = ide_rig_new();

	(void)state;
	for (unsigned i = 0; i < 300; i++) {
		st_le32(ram(g->h, PRDT + 8 * i), 0x100000 + i * 1024);
		st_le32(ram(g->h, PRDT + 8 * i + 4), 512 | (i == 299 ? 0x80000000 : 0));
	}
	outl(g->h, IDE_RIG_BM + 4, PRDT);
	lba48(g, 0, 300);
	command(g, PRI, 0x25);
	outb(g->h, IDE_RIG_BM, 9);
	ide_rig_disk_work(g);
	assert_int_equal(g->b[0]->submitted, 2);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 2) & 7, 4);
	assert_memory_equal(ram(g->h, 0x100000 + 299 * 1024), g->b[0]->data + 299 * 512, 512);
	outb(g->h, IDE_RIG_BM, 0);
	prds(g, 1, 0);
	lba48(g, 1000, 128);
	command(g, PRI, 0x25);
	outb(g->h, IDE_RIG_BM, 9);
	ide_rig_disk_work(g);
	assert_int_equal(status(g, PRI), OK);
	assert_memory_equal(ram(g->h, BUFFER), g->b[0]->data + 1000 * 512, 65536);
	ide_rig_free(g);
}

static void test_misc(void **state)
{
	struct ide_rig *g = ide_rig_new();

	(void)state;
	/* ATA1 6.2: HOB shows the previous contents until the next write */
	lba48(g, 0x112233445566, 0x0102);
	assert_int_equal(inb(g->h, PRI + 3), 0x66);
	outb(g->h, PRI_CTL, 0x80);
	assert_int_equal(inb(g->h, PRI + 3), 0x33);
	assert_int_equal(inb(g->h, PRI + 2), 0x01);
	outb(g->h, PRI + 6, 0xe0);
	assert_int_equal(inb(g->h, PRI + 3), 0x66);
	command(g, PRI, 0xea);
	assert_int_equal(g->b[0]->flushes, 1);
	/* Write cache off: every write is durable (ATA1 6.48.8) */
	outb(g->h, PRI + 1, 0x82);
	command(g, PRI, 0xef);
	prds(g, 1, 512);
	outb(g->h, IDE_RIG_BM, 1);
	lba28(g, PRI, 0, 9, 1);
	command(g, PRI, 0xca);
	assert_int_equal(g->b[0]->fua_writes, 1);
	outb(g->h, IDE_RIG_BM, 0);
	/* DATA SET MANAGEMENT: TRIM of two ranges */
	memset(ram(g->h, BUFFER), 0, 512);
	st_le64(ram(g->h, BUFFER), 100ull | 8ull << 48);
	st_le64(ram(g->h, BUFFER + 16), 200ull | 1ull << 48);
	prds(g, 1, 512);
	outb(g->h, IDE_RIG_BM, 1);
	lba48(g, 0, 1);
	outb(g->h, PRI + 1, 1);
	command(g, PRI, 0x06);
	assert_int_equal(status(g, PRI), OK);
	assert_int_equal(g->b[0]->discards, 2);
	/* READ NATIVE MAX ADDRESS */
	outb(g->h, PRI + 6, 0xe0);
	command(g, PRI, 0xf8);
	assert_int_equal(inb(g->h, PRI + 4), 2047 >> 8);
	/* INITIALIZE DEVICE PARAMETERS: 4 heads, 32 sectors; then CHS 1/0/1 = 128 */
	outb(g->h, PRI + 6, 0xa3);
	outb(g->h, PRI + 2, 32);
	command(g, PRI, 0x91);
	outb(g->h, PRI + 6, 0xa0);
	outb(g->h, PRI + 2, 1);
	outb(g->h, PRI + 3, 1);
	outb(g->h, PRI + 4, 1);
	outb(g->h, PRI + 5, 0);
	command(g, PRI, 0x20);
	assert_int_equal(inb(g->h, PRI), g->b[0]->data[128 * 512]);
	ide_rig_free(g);
}

/* ---- packet commands ---- */

static void packet(struct ide_rig *g, const uint8_t *p, uint16_t limit)
{
	outb(g->h, SEC + 6, 0xa0);
	outb(g->h, SEC + 1, 0);
	outb(g->h, SEC + 4, (uint8_t)limit);
	outb(g->h, SEC + 5, (uint8_t)(limit >> 8));
	command(g, SEC, 0xa0);
	assert_int_equal(inb(g->h, SEC_CTL) & (BSY | DRQ), DRQ);
	assert_int_equal(inb(g->h, SEC + 2) & 3, 1); /* ATA2 9.8: C/D */
	pio_out(g, SEC, p, 12);
}

/* A whole command by PIO; returns the sense key from the error register. */
static uint8_t packet_in(struct ide_rig *g, const uint8_t *p, uint8_t *to, unsigned max)
{
	unsigned at = 0;

	packet(g, p, 0xfffe);
	while (inb(g->h, SEC_CTL) & DRQ) {
		unsigned n = inb(g->h, SEC + 4) | inb(g->h, SEC + 5) << 8;

		assert_int_equal(inb(g->h, SEC + 2) & 3, 2); /* I/O */
		assert_true(n && at + n <= max);
		pio_in(g, SEC, to + at, n);
		at += n;
	}
	assert_int_equal(inb(g->h, SEC + 2) & 3, 3);
	return status(g, SEC) & ERR ? inb(g->h, SEC + 1) >> 4 : 0;
}

static void test_atapi(void **state)
{
	static const struct {
		uint8_t p[12];
		uint8_t key;
		unsigned at;
		uint8_t want;
		const char *cite;
	} rows[] = {
		{{0x12, 0, 0, 0, 36}, 0, 0, 5, "SPC 6.4: CD/DVD device"},
		{{0x12, 0, 0, 0, 36}, 0, 8, 'B', "SPC 6.4: vendor"},
		{{0x00}, 0, 0, 0, "SPC 6.33: ready"},
		{{0x25}, 0, 3, 63, "MMC 6.24: last block"},
		{{0x25}, 0, 6, 8, "MMC 6.24: 2048 bytes"},
		{{0x43, 0, 0, 0, 0, 0, 0, 0, 20}, 0, 1, 18, "MMC 6.30: TOC of 18 bytes"},
		{{0x43, 0, 0, 0, 0, 0, 0, 0, 20}, 0, 14, 0xaa, "MMC 6.30: lead-out"},
		{{0x43, 0, 0, 0, 0, 0, 0, 0, 20}, 0, 19, 64, "MMC 6.30: its address"},
		{{0x43, 2, 0, 0, 0, 0, 0, 0, 20}, 0, 10, 2, "MMC 6.30: MSF of block 0 is 00:02:00"},
		{{0x43, 0, 0, 0, 0, 0, 9, 0, 20}, 5, 0, 0, "MMC 6.30: no track 9"},
		{{0x46, 0, 0, 0, 0, 0, 0, 0, 64}, 0, 7, 8, "MMC 6.6: profile CD-ROM"},
		{{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8}, 0, 5, 2, "MMC 6.7: medium present"},
		{{0x4a, 0, 0, 0, 0x10, 0, 0, 0, 8}, 5, 0, 0, "MMC 6.7: polled only"},
		{{0x51, 0, 0, 0, 0, 0, 0, 0, 34}, 0, 2, 0x0e, "MMC 6.26: finalized"},
		{{0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 30}, 0, 8, 0x2a, "MMC E.3"},
		{{0x5a, 0, 0x15, 0, 0, 0, 0, 0, 30}, 5, 0, 0, "SPC 6.10: no such page"},
		{{0x28, 0, 0, 0, 0, 5, 0, 0, 2}, 0, 0, 0, "MMC 6.16"},
		{{0x28, 0, 0, 0, 0, 63, 0, 0, 2}, 5, 0, 0, "MMC 6.16: out of range"},
		{{0x28, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0}, 5, 0, 0, "MMC 6.16"},
		{{0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10}, 0, 0, 4, "MMC 6.19: user data"},
		{{0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0xf8}, 5, 0, 0, "not modelled: raw"},
		{{0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8}, 0, 5, 1, "MMC 6.11: one slot"},
		{{0xff}, 5, 0, 0, "no such command"},
	};
	struct ide_rig *g = ide_rig_new();
	static uint8_t buf[65536];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(buf, 0, sizeof(buf));
		if (rows[i].p[0] == 0x28 && !rows[i].key)
			g->b[2]->data[5 * 2048] = 0;
		if (rows[i].p[0] == 0xbe)
			g->b[2]->data[2048] = 4;
		if (packet_in(g, rows[i].p, buf, sizeof(buf)) != rows[i].key ||
		    (!rows[i].key && buf[rows[i].at] != rows[i].want))
			fail_msg("row %zu (%s): byte %u is %#x", i, rows[i].cite, rows[i].at,
				 buf[rows[i].at]);
	}
	/* The whole disc; DRQ blocks as the limit says (ATA2 9.8) */
	assert_int_equal(packet_in(g, (uint8_t[12]){0xa8, [9] = 32}, buf, sizeof(buf)), 0);
	packet(g, (uint8_t[12]){0x28, [5] = 7, [8] = 1}, 100);
	assert_int_equal(inb(g->h, SEC + 4), 100);
	pio_in(g, SEC, buf, 100);
	assert_int_equal(inb(g->h, SEC_CTL) & DRQ, DRQ);
	assert_memory_equal(buf, g->b[2]->data + 7 * 2048, 100);
	ide_rig_free(g);
}

static void test_atapi_dma(void **state)
{
	struct ide_rig *g = ide_rig_new();

	(void)state;
	st_le32(ram(g->h, PRDT), BUFFER);
	st_le32(ram(g->h, PRDT + 4), 0x80000000 | 8192);
	outl(g->h, IDE_RIG_BM + 12, PRDT);
	outb(g->h, SEC + 6, 0xa0);
	outb(g->h, SEC + 1, 1); /* DMA */
	command(g, SEC, 0xa0);
	pio_out(g, SEC, (uint8_t[12]){0x28, [5] = 10, [8] = 4}, 12);
	assert_int_equal(inb(g->h, SEC_CTL), BSY);
	outb(g->h, IDE_RIG_BM + 8, 9);
	ide_rig_disk_work(g);
	assert_int_equal(inb(g->h, IDE_RIG_BM + 10) & 7, 4);
	assert_int_equal(status(g, SEC), DRDY);
	assert_memory_equal(ram(g->h, BUFFER), g->b[2]->data + 10 * 2048, 8192);
	/* an answer from the drive's memory */
	outb(g->h, IDE_RIG_BM + 8, 0);
	outb(g->h, SEC + 1, 1);
	command(g, SEC, 0xa0);
	outb(g->h, IDE_RIG_BM + 8, 9);
	pio_out(g, SEC, (uint8_t[12]){0x12, [4] = 36}, 12);
	assert_int_equal(status(g, SEC), DRDY);
	assert_memory_equal(ram(g->h, BUFFER + 8), "BOTHY", 5);
	ide_rig_free(g);
}

static void test_medium(void **state)
{
	static const uint8_t ready[12] = {0x00}, eject[12] = {0x1b, [4] = 2},
			     close_it[12] = {0x1b, [4] = 3}, lock[12] = {0x1e, [4] = 1},
			     unlock[12] = {0x1e}, sense[12] = {0x03, [4] = 18},
			     event[12] = {0x4a, 1, [4] = 0x10, [8] = 8}, capacity[12] = {0x25};
	struct ide_rig *g = ide_rig_new();
	struct block *other = fake_block_new(32 * KIB);
	uint8_t buf[64];

	(void)state;
	assert_int_equal(packet_in(g, lock, buf, 64), 0);
	assert_int_equal(packet_in(g, eject, buf, 64), 5); /* MMC 6.46: removal prevented */
	packet_in(g, sense, buf, 64);
	assert_int_equal(buf[12], 0x53);
	packet_in(g, unlock, buf, 64);
	assert_int_equal(packet_in(g, eject, buf, 64), 0);
	assert_true(ide_tray_open(&g->ide->ch[1], 0));
	assert_int_equal(packet_in(g, ready, buf, 64), 2);
	packet_in(g, sense, buf, 64);
	assert_int_equal(buf[12], 0x3a); /* no medium, tray open */
	assert_int_equal(buf[13], 0x02);
	assert_int_equal(packet_in(g, close_it, buf, 64), 0);
	assert_int_equal(packet_in(g, ready, buf, 64), 6); /* once */
	assert_int_equal(packet_in(g, ready, buf, 64), 0);
	/* another disc from outside */
	bus_lock(&g->h->bus);
	ide_set_medium(&g->ide->ch[1], 0, other);
	bus_unlock(&g->h->bus);
	packet_in(g, event, buf, 64);
	assert_int_equal(buf[4], 2); /* MMC 6.7.2.5: new media */
	assert_int_equal(packet_in(g, ready, buf, 64), 6);
	packet_in(g, capacity, buf, 64);
	assert_int_equal(buf[3], 15);
	bus_lock(&g->h->bus);
	ide_set_medium(&g->ide->ch[1], 0, NULL);
	bus_unlock(&g->h->bus);
	assert_int_equal(packet_in(g, ready, buf, 64), 2);
	fake_block_free(other);
	ide_rig_free(g);
}

/* State in the middle of everything; a write that the host disk had no room for goes on. */
static void test_state(void **state)
{
	struct ide_rig *g = ide_rig_new();
	uint8_t buf[1024] = {1, 2, 3};
	struct dev *d = &g->ide->dev;
	struct error err = {0};

	(void)state;
	harness_check_state_roundtrip(d);
	lba28(g, PRI, 0, 0, 2);
	command(g, PRI, 0x20);
	pio_in(g, PRI, buf, 100);
	harness_check_state_roundtrip(d);
	pio_in(g, PRI, buf + 100, 924);
	assert_memory_equal(buf, g->b[0]->data, 1024);
	g->b[0]->no_space = true;
	lba28(g, PRI, 0, 7, 1);
	command(g, PRI, 0x30);
	memset(buf, 0x3c, 512);
	pio_out(g, PRI, buf, 512);
	assert_int_equal(inb(g->h, PRI_CTL), BSY);
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
	ide_rig_disk_work(g);
	assert_int_equal(status(g, PRI), OK);
	assert_int_equal(g->b[0]->data[7 * 512], 0x3c);
	/* a reset while the disk works */
	lba28(g, PRI, 0, 0, 1);
	outb(g->h, PRI + 7, 0x20);
	assert_int_equal(inb(g->h, PRI_CTL), BSY);
	outb(g->h, PRI_CTL, 4);
	outb(g->h, PRI_CTL, 0);
	assert_int_equal(status(g, PRI), OK);
	/* an edited state: a disk in the middle of a packet command */
	lba28(g, PRI, 0, 0, 1);
	command(g, PRI, 0x30);
	bus_lock(&g->h->bus);
	assert_int_equal(d->cls->loaded(d, &err), 0);
	g->ide->s.ch[0].op = IDE_OP_PACKET;
	assert_int_not_equal(d->cls->loaded(d, &err), 0);
	dev_reset(d, DEV_RESET_COLD);
	bus_unlock(&g->h->bus);
	ide_rig_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),   cmocka_unit_test(test_reset),
		cmocka_unit_test(test_identify), cmocka_unit_test(test_pio),
		cmocka_unit_test(test_errors),   cmocka_unit_test(test_dma),
		cmocka_unit_test(test_dma_long), cmocka_unit_test(test_misc),
		cmocka_unit_test(test_atapi),    cmocka_unit_test(test_atapi_dma),
		cmocka_unit_test(test_medium),   cmocka_unit_test(test_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
