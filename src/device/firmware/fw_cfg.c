/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The firmware configuration device that SeaBIOS, OVMF, Linux and others know: named and numbered
 * read-only items that a machine offers to its firmware.
 *
 * Document: the interface description docs/specs/fw_cfg.rst of the QEMU project (2023), "Spec".
 *
 *   ports  510  selector, 16 bits little-endian (write)      MMIO  +0   data, 8 bytes
 *          511  data, 8 bits (read)                                +8   selector, big-endian
 *          514  DMA address, 64 bits big-endian                    +16  DMA address, big-endian
 *
 * Selecting a key rewinds to its first byte; reading past the end, or an item that does not exist,
 * gives zeros. The DMA address names a control structure { control, length, address }, big-endian,
 * in guest memory; writing the lower half of the address starts the transfer, which is over when
 * the write returns: control is then 0, or 1 for an error. The structure is read once.
 *
 * Items are configuration: a machine adds the same ones before it loads a state.
 *
 * A guest may ask for a transfer of 4 GiB. What lies past the end of the item is filled with zeros
 * for up to 64 KiB and refused beyond, so the work of one access is bounded by the item.
 * UNMODELLED: writing (Spec, "WRITE" of DMA): refused with the error bit, as for a read-only item;
 * the selector's write bit (14) of old firmware: the item is selected for reading.
 */
#include "device/firmware/fw_cfg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum { ID_TRADITIONAL = 1, ID_DMA = 2 };
enum { KEY_WRITE = 0x4000, KEY_ARCH = 0x8000, KEY_INDEX = 0x3fff };
enum { DMA_ERROR = 0x01, DMA_READ = 0x02, DMA_SKIP = 0x04, DMA_SELECT = 0x08, DMA_WRITE = 0x10 };
enum { DMA_KEY_SHIFT = 16, ZERO_FILL_MAX = 64 * 1024 };
#define DMA_SIGNATURE 0x51454d5520434647ull /* "QEMU CFG" */

/* Spec, "Guest-side DMA Interface". */
enum { REQ_CONTROL = 0, REQ_LENGTH = 4, REQ_ADDRESS = 8, REQ_BYTES = 16 };
/* Spec, "File directory": one entry. */
enum { DIR_SIZE = 0, DIR_SELECT = 4, DIR_NAME = 8, DIR_BYTES = 64, DIR_HEAD = 4 };

enum { MMIO_DATA = 0, MMIO_SELECTOR = 8, MMIO_DMA = 16, MMIO_SIZE = 24 };

static struct fw_cfg *to_fw(struct dev *d)
{
	return CONTAINER_OF(d, struct fw_cfg, dev);
}

/* The item behind a selector, or NULL. */
static struct fw_cfg_item *item_of(struct fw_cfg *fw, unsigned key)
{
	unsigned i = key & KEY_INDEX;

	if (key & KEY_ARCH)
		return i < FW_CFG_ARCH_KEYS ? &fw->item[FW_CFG_ITEMS - FW_CFG_ARCH_KEYS + i] : NULL;
	return i < FW_CFG_FILE_FIRST + FW_CFG_FILES ? &fw->item[i] : NULL;
}

/* Put a copy of @bytes into @it. */
static int item_set(struct fw_cfg *fw, struct fw_cfg_item *it, const void *bytes, size_t len,
		    struct error *err)
{
	uint64_t total = fw->total - it->len;
	uint8_t *copy;

	if (len > FW_CFG_BYTES_MAX || total + len > FW_CFG_BYTES_MAX)
		return error_set(err, -E2BIG,
				 "fw_cfg: an item of %zu bytes makes more than %llu in all", len,
				 (unsigned long long)FW_CFG_BYTES_MAX);
	copy = xtry_calloc(len ? len : 1, 1);
	if (!copy)
		return error_set(err, -ENOMEM, "fw_cfg: no memory for an item of %zu bytes", len);
	if (len)
		memcpy(copy, bytes, len);
	free(it->bytes);
	it->bytes = copy;
	it->len = (uint32_t)len;
	fw->total = total + len;
	return 0;
}

int fw_cfg_add_bytes(struct fw_cfg *fw, unsigned key, const void *bytes, size_t len,
		     struct error *err)
{
	struct fw_cfg_item *it = item_of(fw, key);

	if (!it || (key >= FW_CFG_FILE_FIRST && !(key & KEY_ARCH)) || key > UINT16_MAX)
		return error_set(err, -EINVAL, "fw_cfg: there is no selector %#x", key);
	return item_set(fw, it, bytes, len, err);
}

int fw_cfg_add_i16(struct fw_cfg *fw, unsigned key, uint16_t v, struct error *err)
{
	return fw_cfg_add_bytes(fw, key, &v, sizeof(v), err);
}

int fw_cfg_add_i32(struct fw_cfg *fw, unsigned key, uint32_t v, struct error *err)
{
	return fw_cfg_add_bytes(fw, key, &v, sizeof(v), err);
}

int fw_cfg_add_i64(struct fw_cfg *fw, unsigned key, uint64_t v, struct error *err)
{
	return fw_cfg_add_bytes(fw, key, &v, sizeof(v), err);
}

int fw_cfg_add_string(struct fw_cfg *fw, unsigned key, const char *s, struct error *err)
{
	return fw_cfg_add_bytes(fw, key, s, strlen(s) + 1, err);
}

/* Write the directory item again from names and items. */
static int directory_build(struct fw_cfg *fw, struct error *err)
{
	size_t len = DIR_HEAD + (size_t)fw->n_files * DIR_BYTES;
	uint8_t *dir = xcalloc(1, len);
	int r;

	st_be32(dir, fw->n_files);
	for (unsigned i = 0; i < fw->n_files; i++) {
		uint8_t *e = dir + DIR_HEAD + i * DIR_BYTES;

		st_be32(e + DIR_SIZE, fw->item[FW_CFG_FILE_FIRST + i].len);
		st_be16(e + DIR_SELECT, (uint16_t)(FW_CFG_FILE_FIRST + i));
		memcpy(e + DIR_NAME, fw->name[i], FW_CFG_NAME_BYTES);
	}
	r = item_set(fw, &fw->item[FW_CFG_FILE_DIR], dir, len, err);
	free(dir);
	return r;
}

int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t len,
		    struct error *err)
{
	unsigned n = fw->n_files;
	int r;

	if (!*name || strlen(name) >= FW_CFG_NAME_BYTES)
		return error_set(err, -EINVAL, "fw_cfg: file name '%s': 1 to %d bytes, please",
				 name, FW_CFG_NAME_BYTES - 1);
	for (unsigned i = 0; i < n; i++) {
		if (!strcmp(fw->name[i], name))
			return error_set(err, -EEXIST, "fw_cfg: there is a file '%s' already",
					 name);
	}
	if (n == FW_CFG_FILES)
		return error_set(err, -ENOSPC, "fw_cfg: no room for file '%s': %d files at most",
				 name, FW_CFG_FILES);
	r = item_set(fw, &fw->item[FW_CFG_FILE_FIRST + n], bytes, len, err);
	if (r)
		return r;
	memset(fw->name[n], 0, FW_CFG_NAME_BYTES);
	memcpy(fw->name[n], name, strlen(name));
	fw->n_files++;
	return directory_build(fw, err);
}

/* ------------------------------------------------------------------ guest side */

static void fw_select(struct fw_cfg *fw, uint16_t key)
{
	fw->s.key = key & (uint16_t)~KEY_WRITE;
	fw->s.offset = 0;
}

static uint8_t fw_next_byte(struct fw_cfg *fw)
{
	const struct fw_cfg_item *it = item_of(fw, fw->s.key);

	if (!it || fw->s.offset >= it->len)
		return 0;
	return it->bytes[fw->s.offset++];
}

/* Copy @len bytes from the selected item to guest memory at @addr, zeros past its end. */
static int dma_copy(struct fw_cfg *fw, gpa_t addr, uint32_t len)
{
	static const uint8_t zeros[4096];
	const struct fw_cfg_item *it = item_of(fw, fw->s.key);
	uint32_t left = it && fw->s.offset < it->len ? it->len - fw->s.offset : 0;
	uint32_t n = MIN(len, left), fill = len - n;

	if (fill > ZERO_FILL_MAX) {
		guest_error(&fw->dev, "DMA of %u bytes from key %#x, which has %u left", len,
			    fw->s.key, left);
		return -EINVAL;
	}
	if (n && dma_write(&fw->dev, addr, it->bytes + fw->s.offset, n))
		return -EFAULT;
	fw->s.offset += n;
	for (gpa_t at = addr + n; fill;) {
		uint32_t chunk = MIN(fill, (uint32_t)sizeof(zeros));

		if (dma_write(&fw->dev, at, zeros, chunk))
			return -EFAULT;
		at += chunk;
		fill -= chunk;
	}
	return 0;
}

/* Spec, "Guest-side DMA Interface": one whole transfer. */
static void dma_run(struct fw_cfg *fw, gpa_t at)
{
	const struct fw_cfg_item *it;
	uint8_t req[REQ_BYTES], status[4];
	uint32_t control, len;
	bool bad = false;

	if (dma_read(&fw->dev, at, req, sizeof(req))) {
		guest_error(&fw->dev, "DMA request at %#llx is not in RAM", (unsigned long long)at);
		return;
	}
	control = ld_be32(req + REQ_CONTROL);
	len = ld_be32(req + REQ_LENGTH);
	if (control & DMA_SELECT)
		fw_select(fw, (uint16_t)(control >> DMA_KEY_SHIFT));
	it = item_of(fw, fw->s.key);
	if (control & DMA_READ)
		bad = dma_copy(fw, ld_be64(req + REQ_ADDRESS), len);
	else if (control & DMA_WRITE)
		bad = true;
	else if ((control & DMA_SKIP) && it && fw->s.offset < it->len)
		fw->s.offset += MIN(len, it->len - fw->s.offset);
	st_be32(status, bad ? DMA_ERROR : 0);
	if (dma_write(&fw->dev, at + REQ_CONTROL, status, sizeof(status)))
		guest_error(&fw->dev, "DMA request at %#llx is not in RAM", (unsigned long long)at);
}

/* DMA address register, host order: read gives the signature. */
static uint64_t dma_reg_read(uint64_t off, unsigned size)
{
	uint64_t v = __builtin_bswap64(DMA_SIGNATURE) >> off * 8;

	return size == 8 ? v : v & mask_bytes(size);
}

static void dma_reg_write(struct fw_cfg *fw, uint64_t off, unsigned size, uint64_t val)
{
	uint64_t at;

	if (size == 8) {
		dma_run(fw, __builtin_bswap64(val));
		return;
	}
	if (off == 0) {
		fw->s.dma_addr = (uint64_t)__builtin_bswap32((uint32_t)val) << 32;
		return;
	}
	at = fw->s.dma_addr | __builtin_bswap32((uint32_t)val);
	fw->s.dma_addr = 0;
	dma_run(fw, at);
}

static uint64_t pio_read(struct dev *d, uint64_t off, unsigned size)
{
	return off == 1 ? fw_next_byte(to_fw(d)) : 0;
}

static void pio_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	if (off == 0 && size == 2)
		fw_select(to_fw(d), (uint16_t)val);
	else if (off == 1)
		guest_error(d, "write of data %#x: items are read-only", (unsigned)val);
}

static uint64_t pio_dma_read(struct dev *d, uint64_t off, unsigned size)
{
	return dma_reg_read(off, size);
}

static void pio_dma_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	dma_reg_write(to_fw(d), off, size, val);
}

/* Spec: data keeps its byte order in memory for every width. */
static uint64_t mmio_data_read(struct dev *d, uint64_t off, unsigned size)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < size; i++)
		v |= (uint64_t)fw_next_byte(to_fw(d)) << i * 8;
	return v;
}

static void mmio_data_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	guest_error(d, "write of data: items are read-only");
}

static uint64_t mmio_selector_read(struct dev *d, uint64_t off, unsigned size)
{
	return 0;
}

static void mmio_selector_write(struct dev *d, uint64_t off, unsigned size, uint64_t val)
{
	fw_select(to_fw(d), __builtin_bswap16((uint16_t)val));
}

static int fw_cfg_realize(struct dev *d, struct error *err)
{
	struct fw_cfg *fw = to_fw(d);
	int r = fw_cfg_add_bytes(fw, FW_CFG_SIGNATURE, "QEMU", 4, err);

	if (!r)
		r = fw_cfg_add_i32(fw, FW_CFG_ID, ID_TRADITIONAL | ID_DMA, err);
	if (!r)
		r = directory_build(fw, err);
	return r;
}

static void fw_cfg_unrealize(struct dev *d)
{
	struct fw_cfg *fw = to_fw(d);

	for (unsigned i = 0; i < FW_CFG_ITEMS; i++) {
		free(fw->item[i].bytes);
		fw->item[i] = (struct fw_cfg_item){0};
	}
	fw->total = 0;
	fw->n_files = 0;
}

static void fw_cfg_reset(struct dev *d, enum dev_reset kind)
{
	to_fw(d)->s = (struct fw_cfg_regs){0};
}

static int fw_cfg_loaded(struct dev *d, struct error *err)
{
	struct fw_cfg *fw = to_fw(d);
	const struct fw_cfg_item *it = item_of(fw, fw->s.key);

	fw->s.dma_addr &= 0xffffffff00000000ull;
	fw->s.offset = MIN(fw->s.offset, it ? it->len : 0);
	return 0;
}

/* clang-format off */
static const struct state_field fw_cfg_fields[] = {
	STATE_VAL(struct fw_cfg_regs, dma_addr),
	STATE_VAL(struct fw_cfg_regs, offset),
	STATE_VAL(struct fw_cfg_regs, key),
	STATE_PAD(struct fw_cfg_regs, pad_),
	STATE_END};

static const struct state_desc fw_cfg_state =
	STATE_DESC("fw-cfg", 1, struct fw_cfg_regs, fw_cfg_fields);

static const struct dev_region fw_cfg_regions[] = {
	{"fw-cfg",     DEV_PIO, 0x510, 2, WIDTH_1 | WIDTH_2, WIDTH_1 | WIDTH_2, pio_read, pio_write},
	{"fw-cfg-dma", DEV_PIO, 0x514, 8, WIDTH_4, WIDTH_4, pio_dma_read, pio_dma_write},
	{0}};

static const struct dev_region fw_cfg_mmio_regions[] = {
	{"fw-cfg-data",     DEV_MMIO, MMIO_DATA,     8, WIDTH_ANY, WIDTH_ANY, mmio_data_read, mmio_data_write},
	{"fw-cfg-selector", DEV_MMIO, MMIO_SELECTOR, 8, WIDTH_2,   WIDTH_2,   mmio_selector_read, mmio_selector_write},
	{"fw-cfg-dma",      DEV_MMIO, MMIO_DMA,      8, WIDTH_4 | WIDTH_8, WIDTH_4 | WIDTH_8, pio_dma_read, pio_dma_write},
	{0}};
/* clang-format on */
_Static_assert(MMIO_DMA + 8 == MMIO_SIZE, "registers end where the device ends");

const struct dev_class fw_cfg_class = {
	.name = "fw-cfg",
	.summary = "firmware configuration, ports",
	.spec = "QEMU docs/specs/fw_cfg.rst, 2023",
	.size = sizeof(struct fw_cfg),
	.regs_offset = offsetof(struct fw_cfg, s),
	.regions = fw_cfg_regions,
	.state = &fw_cfg_state,
	.realize = fw_cfg_realize,
	.unrealize = fw_cfg_unrealize,
	.reset = fw_cfg_reset,
	.loaded = fw_cfg_loaded,
};

const struct dev_class fw_cfg_mmio_class = {
	.name = "fw-cfg-mmio",
	.summary = "firmware configuration, memory-mapped",
	.spec = "QEMU docs/specs/fw_cfg.rst, 2023",
	.size = sizeof(struct fw_cfg),
	.regs_offset = offsetof(struct fw_cfg, s),
	.regions = fw_cfg_mmio_regions,
	.state = &fw_cfg_state,
	.realize = fw_cfg_realize,
	.unrealize = fw_cfg_unrealize,
	.reset = fw_cfg_reset,
	.loaded = fw_cfg_loaded,
};
