/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network cards other than virtio's, and the option ROM that boots from any of them.
 *
 * One ROM image serves cards of several identifications, but firmware runs it only if the ids in
 * its PCI data structure (PCI Firmware Specification 3.0, 5.1) are the function's; so they are put
 * right in a copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "device/net/e1000.h"
#include "machine/firmware.h"

static const char *const names[MACHINE_NIC_COUNT] = {
	[MACHINE_NIC_VIRTIO] = "virtio",
	[MACHINE_NIC_E1000] = "e1000",
};

const char *machine_nic_name(enum machine_nic_model model)
{
	return model < MACHINE_NIC_COUNT ? names[model] : "?";
}

/* Byte 6 of the header is free, and takes up the difference of the checksum over the
 * initialization part. */
static void rom_set_ids(uint8_t *rom, size_t len, uint16_t vendor, uint16_t device)
{
	size_t at = len > 0x1a ? ld_le16(rom + 0x18) : len;
	uint8_t sum = 0;

	if (at + 8 > len || memcmp(rom + at, "PCIR", 4))
		return;
	for (unsigned i = 4; i < 8; i++)
		sum = (uint8_t)(sum + rom[at + i]);
	st_le16(rom + at + 4, vendor);
	st_le16(rom + at + 6, device);
	for (unsigned i = 4; i < 8; i++)
		sum = (uint8_t)(sum - rom[at + i]);
	rom[6] = (uint8_t)(rom[6] + sum);
}

int parts_net_rom(struct machine *m, uint16_t vendor, uint16_t device, uint8_t **ret_rom,
		  struct error *err)
{
	const struct machine_firmware *fw = &m->cfg.firmware;

	if (!fw->net_rom)
		return 0;
	*ret_rom = xtry_calloc(fw->net_rom_len, 1);
	if (!*ret_rom)
		return error_set(err, -ENOMEM, "no memory for the network card's option ROM");
	memcpy(*ret_rom, fw->net_rom, fw->net_rom_len);
	rom_set_ids(*ret_rom, fw->net_rom_len, vendor, device);
	return 0;
}

void parts_net_boot_path(struct machine *m, unsigned slot)
{
	firmware_boot_path(m, 'n', "/pci@i0cf8/ethernet@%x/ethernet-phy@0", slot);
}

static int add_e1000(struct machine *m, struct error *err)
{
	struct e1000 *e = (struct e1000 *)dev_new(&e1000_class, "net0", &m->sv);
	uint8_t *rom = NULL;
	int r = parts_net_rom(m, 0x8086, 0x100e, &rom, err);

	if (r < 0) {
		dev_free(&e->dev);
		return r;
	}
	e->bus = m->pci;
	e->net = m->cfg.net;
	memcpy(e->mac, m->cfg.mac, sizeof(e->mac));
	e->rom = rom;
	e->rom_len = m->cfg.firmware.net_rom_len;
	r = parts_add(m, &e->dev, err);
	free(rom);
	if (r == 0)
		parts_net_boot_path(m, e->devfn >> 3);
	return r;
}

int parts_nic(struct machine *m, struct error *err)
{
	if (!m->cfg.net)
		return 0;
	switch (m->cfg.nic) {
	case MACHINE_NIC_E1000: return add_e1000(m, err);
	default: return 0; /* virtio.c */
	}
}
