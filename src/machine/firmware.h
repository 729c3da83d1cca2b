/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Booting through a BIOS: its image in the address space and what it asks of fw_cfg.
 */
#ifndef MACHINE_FIRMWARE_H
#define MACHINE_FIRMWARE_H

#include "machine/parts.h"

struct fw_cfg;
struct i440fx;

#define FIRMWARE_BIOS_MIN (64 * KIB)
#define FIRMWARE_BIOS_MAX (8 * MIB)

/** firmware_map() - the BIOS image below 4 GiB and, through @hb's PAM ranges, below 1 MiB. Before
 * @hb is realized. -EINVAL with text for an image of a size no BIOS has. */
int firmware_map(struct machine *m, struct i440fx *hb, struct error *err) MUST_CHECK;
/** firmware_files() - every fw_cfg item; after all devices are built and m->acpi is complete. */
int firmware_files(struct machine *m, struct fw_cfg *fw, struct error *err) MUST_CHECK;
/** firmware_boot_path() - a device firmware may start from, in the order of building.
 * @kind: 'a' floppy, 'c' disk, 'd' CD-ROM, 'n' network. @fmt: its Open Firmware path, as firmware
 * names devices in "bootorder". */
void firmware_boot_path(struct machine *m, char kind, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
