/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Booting through firmware: its image in the address space and what it asks of fw_cfg.
 */
#ifndef MACHINE_FIRMWARE_H
#define MACHINE_FIRMWARE_H

#include "machine/parts.h"

struct fw_cfg;

#define FIRMWARE_BIOS_MIN (64 * KIB)
#define FIRMWARE_BIOS_MAX (8 * MIB)

/* What of a BIOS also stands below 1 MiB; block NULL = nothing. */
struct firmware_low {
	struct ram_block *block;
	gpa_t gpa;
	uint64_t off, size; /* bytes, in the block */
};

/** firmware_map() - the firmware's image below 4 GiB. The host bridge shows @ret_low behind its
 * PAM ranges. -EINVAL with text for an image of a size no firmware has. */
int firmware_map(struct machine *m, struct firmware_low *ret_low, struct error *err) MUST_CHECK;
/** firmware_vars() - the flash chip with EFI variables, if the firmware has one. */
int firmware_vars(struct machine *m, struct error *err) MUST_CHECK;
/** firmware_files() - every fw_cfg item; after all devices are built and m->acpi is complete. */
int firmware_files(struct machine *m, struct fw_cfg *fw, struct error *err) MUST_CHECK;
/** firmware_boot_path() - a device firmware may start from, in the order of building.
 * @kind: 'a' floppy, 'c' disk, 'd' CD-ROM, 'n' network. @fmt: its Open Firmware path, as firmware
 * names devices in "bootorder". */
void firmware_boot_path(struct machine *m, char kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
