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
#include "device/net/ne2000.h"
#include "device/net/rtl8139.h"
#include "machine/firmware.h"

/* Where an ISA card stands unless told otherwise: what most drivers look for first. */
#define NE2K_ISA_IO  0x300u
#define NE2K_ISA_IRQ 9u

static const struct {
	const char *name, *rom;
	uint16_t vendor, device;
} models[MACHINE_NIC_COUNT] = {
	[MACHINE_NIC_VIRTIO] = {"virtio", "virtio", 0, 0}, /* virtio.c knows its ids */
	[MACHINE_NIC_E1000] = {"e1000", "e1000", 0x8086, 0x100e},
	[MACHINE_NIC_RTL8139] = {"rtl8139", "rtl8139", 0x10ec, 0x8139},
	[MACHINE_NIC_RTL8139C] = {"rtl8139c", "rtl8139", 0x10ec, 0x8139},
	[MACHINE_NIC_NE2K_PCI] = {"ne2k_pci", "ne2k_pci", 0x10ec, 0x8029},
	[MACHINE_NIC_NE2K_ISA] = {"ne2k_isa", NULL, 0, 0},
};

const char *machine_nic_name(enum machine_nic_model model)
{
	return model < MACHINE_NIC_COUNT ? models[model].name : "?";
}

const char *machine_nic_rom(enum machine_nic_model model)
{
	return model < MACHINE_NIC_COUNT ? models[model].rom : NULL;
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

static struct dev *new_e1000(struct machine *m, const uint8_t *rom, const uint8_t **ret_devfn)
{
	struct e1000 *e = (struct e1000 *)dev_new(&e1000_class, "net0", &m->sv);

	e->bus = m->pci;
	e->net = m->cfg.net;
	memcpy(e->mac, m->cfg.mac, sizeof(e->mac));
	e->rom = rom;
	e->rom_len = m->cfg.firmware.net_rom_len;
	*ret_devfn = &e->devfn;
	return &e->dev;
}

static struct dev *new_rtl8139(struct machine *m, const uint8_t *rom, const uint8_t **ret_devfn)
{
	struct rtl8139 *t = (struct rtl8139 *)dev_new(&rtl8139_class, "net0", &m->sv);

	t->bus = m->pci;
	t->net = m->cfg.net;
	t->plain = m->cfg.nic == MACHINE_NIC_RTL8139C;
	memcpy(t->mac, m->cfg.mac, sizeof(t->mac));
	t->rom = rom;
	t->rom_len = m->cfg.firmware.net_rom_len;
	*ret_devfn = &t->devfn;
	return &t->dev;
}

static struct dev *new_ne2k_pci(struct machine *m, const uint8_t *rom, const uint8_t **ret_devfn)
{
	struct ne2000 *n = (struct ne2000 *)dev_new(&ne2k_pci_class, "net0", &m->sv);

	n->bus = m->pci;
	n->net = m->cfg.net;
	memcpy(n->mac, m->cfg.mac, sizeof(n->mac));
	n->rom = rom;
	n->rom_len = m->cfg.firmware.net_rom_len;
	*ret_devfn = &n->devfn;
	return &n->dev;
}

static int add_ne2k_isa(struct machine *m, struct error *err)
{
	struct ne2000 *n = (struct ne2000 *)dev_new(&ne2k_isa_class, "net0", &m->sv);

	n->dev.base = m->cfg.nic_io ? m->cfg.nic_io : NE2K_ISA_IO;
	parts_isa(m, &n->irq, m->cfg.nic_irq ? m->cfg.nic_irq : NE2K_ISA_IRQ);
	n->net = m->cfg.net;
	memcpy(n->mac, m->cfg.mac, sizeof(n->mac));
	return parts_add(m, &n->dev, err);
}

static int add_pci(struct machine *m, struct error *err)
{
	enum machine_nic_model model = m->cfg.nic;
	const uint8_t *devfn = NULL;
	uint8_t *rom = NULL;
	struct dev *d;
	unsigned slot;
	int r = parts_net_rom(m, models[model].vendor, models[model].device, &rom, err);

	if (r < 0)
		return r;
	d = model == MACHINE_NIC_E1000      ? new_e1000(m, rom, &devfn)
	    : model == MACHINE_NIC_NE2K_PCI ? new_ne2k_pci(m, rom, &devfn)
					    : new_rtl8139(m, rom, &devfn);
	r = parts_add(m, d, err);
	free(rom);
	if (r < 0)
		return r;
	slot = *devfn >> 3;
	parts_net_boot_path(m, slot);
	return 0;
}

int parts_nic(struct machine *m, struct error *err)
{
	if (!m->cfg.net || m->cfg.nic == MACHINE_NIC_VIRTIO) /* virtio.c */
		return 0;
	return m->cfg.nic == MACHINE_NIC_NE2K_ISA ? add_ne2k_isa(m, err) : add_pci(m, err);
}
