/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Firmware configuration device; see fw_cfg.c.
 */
#ifndef DEVICE_FIRMWARE_FW_CFG_H
#define DEVICE_FIRMWARE_FW_CFG_H

#include "device/dev.h"

/* Well-known selector keys (QEMU docs/specs/fw_cfg.rst and the firmware that reads them). */
enum fw_cfg_key {
	FW_CFG_SIGNATURE = 0x00,
	FW_CFG_ID = 0x01,
	FW_CFG_UUID = 0x02,
	FW_CFG_RAM_SIZE = 0x03, /* u64 */
	FW_CFG_NOGRAPHIC = 0x04,
	FW_CFG_NB_CPUS = 0x05, /* u16 */
	FW_CFG_MACHINE_ID = 0x06,
	FW_CFG_KERNEL_ADDR = 0x07,
	FW_CFG_KERNEL_SIZE = 0x08,
	FW_CFG_INITRD_ADDR = 0x0a,
	FW_CFG_INITRD_SIZE = 0x0b,
	FW_CFG_BOOT_DEVICE = 0x0c,
	FW_CFG_NUMA = 0x0d,
	FW_CFG_BOOT_MENU = 0x0e, /* u16 */
	FW_CFG_MAX_CPUS = 0x0f,  /* u16 */
	FW_CFG_KERNEL_ENTRY = 0x10,
	FW_CFG_KERNEL_DATA = 0x11,
	FW_CFG_INITRD_DATA = 0x12,
	FW_CFG_CMDLINE_ADDR = 0x13,
	FW_CFG_CMDLINE_SIZE = 0x14,
	FW_CFG_CMDLINE_DATA = 0x15,
	FW_CFG_SETUP_ADDR = 0x16,
	FW_CFG_SETUP_SIZE = 0x17,
	FW_CFG_SETUP_DATA = 0x18,
	FW_CFG_FILE_DIR = 0x19,
	FW_CFG_FILE_FIRST = 0x20,
	FW_CFG_ARCH_LOCAL = 0x8000, /* first architecture's own key */
};

enum {
	FW_CFG_FILES = 64,      /* files a device can hold */
	FW_CFG_NAME_BYTES = 56, /* of a file name, with its zero */
	FW_CFG_ARCH_KEYS = 32,
	FW_CFG_ITEMS = FW_CFG_FILE_FIRST + FW_CFG_FILES + FW_CFG_ARCH_KEYS,
};
#define FW_CFG_BYTES_MAX (2 * GIB) /* of all items together */

struct fw_cfg_regs {
	uint64_t dma_addr; /* upper half as written, until the lower half starts a transfer */
	uint32_t offset;   /* in the selected item, bytes */
	uint16_t key;      /* selector */
	uint8_t pad_[2];
};

struct fw_cfg_item {
	uint8_t *bytes; /* owned */
	uint32_t len;
};

struct fw_cfg {
	struct dev dev; /* MMIO class: .base is the address of its 24 bytes */
	struct fw_cfg_regs s;
	/* private: contents are configuration, not state */
	struct fw_cfg_item item[FW_CFG_ITEMS];
	char name[FW_CFG_FILES][FW_CFG_NAME_BYTES];
	unsigned n_files;
	uint64_t total; /* bytes of all items */
};

extern const struct dev_class fw_cfg_class;      /* ports 510h, 511h, 514h */
extern const struct dev_class fw_cfg_mmio_class; /* data +0, selector +8, DMA +16 */

/**
 * fw_cfg_add_file() - offer a copy of @len bytes as file @name
 * Before the guest runs. -EEXIST: the name is taken; -ENOSPC: 64 files; -EINVAL: name of 56 bytes
 * or more; -E2BIG: more than FW_CFG_BYTES_MAX in all; -ENOMEM.
 */
int fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *bytes, size_t len,
		    struct error *err) MUST_CHECK;
/** fw_cfg_add_bytes() - offer a copy of @len bytes under selector @key (not a file's), replacing an
 * earlier one. -EINVAL for a key outside the known range; -E2BIG, -ENOMEM. */
int fw_cfg_add_bytes(struct fw_cfg *fw, unsigned key, const void *bytes, size_t len,
		     struct error *err) MUST_CHECK;
/** fw_cfg_add_i16/i32/i64() - a little-endian number under @key. */
int fw_cfg_add_i16(struct fw_cfg *fw, unsigned key, uint16_t v, struct error *err) MUST_CHECK;
int fw_cfg_add_i32(struct fw_cfg *fw, unsigned key, uint32_t v, struct error *err) MUST_CHECK;
int fw_cfg_add_i64(struct fw_cfg *fw, unsigned key, uint64_t v, struct error *err) MUST_CHECK;
/** fw_cfg_add_string() - with its terminating zero. */
int fw_cfg_add_string(struct fw_cfg *fw, unsigned key, const char *s, struct error *err) MUST_CHECK;

#endif
