/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMBIOS structures (smbios.h). Offsets and values: DSP0134 2.8.0, chapter 7; each structure is a
 * formatted part of which the first four bytes are type, length and handle, then its strings, each
 * with a zero, and one zero more (6.1.3).
 */
#include "machine/smbios.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

#define STRUCT_MAX  256u /* largest structure with its strings */
#define MEM_DEVICE  (16 * GIB)
#define BIOS_DATE   "01/01/2024"
#define BIOS_VENDOR "bothy"

/* Handles: type in the upper byte, number in the lower one. */
#define HANDLE(type, n) ((uint16_t)((type) << 8 | (n)))

struct build {
	uint8_t *bytes;
	size_t len, cap;
	size_t at, fixed; /* the structure being built, and its formatted length */
	uint16_t count, largest;
	uint8_t strings;
};

static uint8_t *open_struct(struct build *b, uint8_t type, uint8_t len, uint16_t handle)
{
	if (b->cap - b->len < STRUCT_MAX) {
		uint8_t *more = xcalloc(1, b->cap + 4096);

		if (b->len)
			memcpy(more, b->bytes, b->len);
		free(b->bytes);
		b->bytes = more;
		b->cap += 4096;
	}
	b->at = b->len;
	b->fixed = len;
	b->len += len;
	b->strings = 0;
	b->bytes[b->at] = type;
	b->bytes[b->at + 1] = len;
	st_le16(b->bytes + b->at + 2, handle);
	return b->bytes + b->at;
}

/* Append a string to the open structure; returns its number. */
static uint8_t string(struct build *b, const char *s)
{
	size_t n = MIN(strlen(s), (size_t)64);

	memcpy(b->bytes + b->len, s, n);
	b->len += n + 1; /* memory is zeroed */
	return ++b->strings;
}

static void close_struct(struct build *b)
{
	b->len += b->strings ? 1 : 2;
	b->count++;
	if (b->len - b->at > b->largest)
		b->largest = (uint16_t)(b->len - b->at);
}

static void bios(struct build *b)
{
	uint8_t *p = open_struct(b, 0, 24, HANDLE(0, 0));

	p[4] = string(b, BIOS_VENDOR);
	p[5] = string(b, "1");
	st_le16(p + 6, 0xe800);
	p[8] = string(b, BIOS_DATE);
	p[9] = 3; /* 256 KiB in units of 64 KiB, less one */
	st_le64(p + 10, BIT(4) | BIT(7) | BIT(15) | BIT(16)); /* ISA, PCI, CD boot, boot choice */
	p[18] = 0x01;                                         /* ACPI */
	p[19] = 0x14;         /* targeted content distribution; virtual machine */
	p[20] = 1;            /* system BIOS release */
	p[22] = p[23] = 0xff; /* no embedded controller */
	close_struct(b);
}

static void system_info(struct build *b, const struct smbios_config *cfg)
{
	static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
	uint8_t *p = open_struct(b, 1, 27, HANDLE(1, 0));

	p[4] = string(b, BIOS_VENDOR);
	p[5] = string(b, cfg->product);
	for (unsigned i = 0; i < 16; i++) /* 7.2.1: the first three fields are little-endian */
		p[8 + i] = cfg->uuid[order[i]];
	p[24] = 6; /* wake-up: power switch */
	close_struct(b);
}

static void chassis(struct build *b)
{
	uint8_t *p = open_struct(b, 3, 22, HANDLE(3, 0));

	p[4] = string(b, BIOS_VENDOR);
	p[5] = 1;                 /* type: other */
	p[9] = p[10] = p[11] = 3; /* boot-up, power supply, thermal state: safe */
	p[12] = 2;                /* security: unknown */
	close_struct(b);
}

static void processor(struct build *b, unsigned n)
{
	uint8_t *p = open_struct(b, 4, 42, HANDLE(4, n));
	char name[16] = "CPU ";
	unsigned i = 4;

	if (n >= 10)
		name[i++] = (char)('0' + n / 10);
	name[i] = (char)('0' + n % 10);
	p[4] = string(b, name);
	p[5] = 3; /* central processor */
	p[6] = 1; /* family: other */
	p[7] = string(b, BIOS_VENDOR);
	p[24] = 0x41; /* populated, enabled */
	p[25] = 1;    /* upgrade: other */
	st_le16(p + 26, 0xffff);
	st_le16(p + 28, 0xffff);
	st_le16(p + 30, 0xffff); /* no cache described */
	p[35] = p[36] = p[37] = 1;
	st_le16(p + 38, 0x04); /* 64-bit capable */
	st_le16(p + 40, 1);
	close_struct(b);
}

static void memory(struct build *b, const struct smbios_config *cfg)
{
	unsigned n = (unsigned)((cfg->ram_size + MEM_DEVICE - 1) / MEM_DEVICE);
	uint8_t *p = open_struct(b, 16, 23, HANDLE(16, 0));
	uint64_t left = cfg->ram_size;

	p[4] = 1; /* location: other */
	p[5] = 3; /* system memory */
	p[6] = 6; /* multi-bit ECC */
	st_le32(p + 7, (uint32_t)(cfg->ram_size / KIB));
	st_le16(p + 11, 0xfffe); /* no error information */
	st_le16(p + 13, (uint16_t)n);
	close_struct(b);
	for (unsigned i = 0; i < n; i++, left -= MIN(left, MEM_DEVICE)) {
		char name[16] = "DIMM 0";

		name[5] = (char)('0' + i % 10);
		p = open_struct(b, 17, 40, HANDLE(17, i));
		st_le16(p + 4, HANDLE(16, 0));
		st_le16(p + 6, 0xfffe);
		st_le16(p + 8, 0xffff); /* widths unknown */
		st_le16(p + 10, 0xffff);
		st_le16(p + 12, (uint16_t)(MIN(left, MEM_DEVICE) / MIB));
		p[14] = 9; /* form: DIMM */
		p[16] = string(b, name);
		p[18] = 7; /* type: RAM */
		st_le16(p + 19, 2);
		close_struct(b);
	}
	p = open_struct(b, 19, 31, HANDLE(19, 0));
	st_le32(p + 8, (uint32_t)(cfg->low_end / KIB - 1));
	st_le16(p + 12, HANDLE(16, 0));
	p[14] = (uint8_t)n;
	close_struct(b);
	if (cfg->high_end <= 4 * GIB)
		return;
	p = open_struct(b, 19, 31, HANDLE(19, 1));
	st_le32(p + 4, (uint32_t)(4 * GIB / KIB));
	st_le32(p + 8, (uint32_t)(cfg->high_end / KIB - 1));
	st_le16(p + 12, HANDLE(16, 0));
	p[14] = (uint8_t)n;
	close_struct(b);
}

static void entry_point(struct smbios_tables *t, const struct build *b)
{
	uint8_t *p = t->anchor, sum = 0;

	memset(p, 0, SMBIOS_ANCHOR_LEN);
	memcpy(p, "_SM_", 4);
	p[5] = SMBIOS_ANCHOR_LEN;
	p[6] = 2;
	p[7] = 8;
	st_le16(p + 8, b->largest);
	memcpy(p + 16, "_DMI_", 5);
	st_le16(p + 22, (uint16_t)b->len);
	st_le16(p + 28, b->count);
	p[30] = 0x28;
	for (unsigned i = 16; i < SMBIOS_ANCHOR_LEN; i++)
		sum += p[i];
	p[21] = (uint8_t)-sum;
	sum = 0;
	for (unsigned i = 0; i < SMBIOS_ANCHOR_LEN; i++)
		sum += p[i];
	p[4] = (uint8_t)-sum;
}

void smbios_build(const struct smbios_config *cfg, struct smbios_tables *ret_tables)
{
	struct build b = {0};

	bios(&b);
	system_info(&b, cfg);
	chassis(&b);
	for (unsigned i = 0; i < cfg->n_cpus; i++)
		processor(&b, i);
	memory(&b, cfg);
	(void)open_struct(&b, 32, 11, HANDLE(32, 0)); /* boot status 0: no errors */
	close_struct(&b);
	(void)open_struct(&b, 127, 4, HANDLE(127, 0));
	close_struct(&b);
	entry_point(ret_tables, &b);
	ret_tables->bytes = b.bytes;
	ret_tables->len = b.len;
}

void smbios_done(struct smbios_tables *t)
{
	free(t->bytes);
	memset(t, 0, sizeof(*t));
}
