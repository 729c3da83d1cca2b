/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PCI Express capability, version 2 (express.h). PCI Express Base Specification rev. 3.0, 7.8.
 * A link is one lane at 2.5 GT/s; slots of root ports are hot-plug capable, with surprise removal
 * and without buttons, lamps, locks or power control, so that no command needs to be completed.
 *
 * UNMODELLED: power management events and advanced error reporting; extended configuration space
 * has no capabilities.
 */
#include "device/pci/express.h"

#include "base/bits.h"

enum { CAP_EXPRESS = 0x10 };
enum {
	CAPS_VERSION2 = 0x0002,
	CAPS_SLOT = 0x0100,
	DEVICE_CAP_ROLE_ERRORS = 0x8000,
	LINK_X1 = 0x0010,
	LINK_2_5GT = 0x0001,
	LINK_CAP_ACTIVE = 1 << 20, /* data link layer link active reporting */
	SLOT_CAP_BUTTON = 1 << 0,
	SLOT_CAP_POWER = 1 << 1,
	SLOT_CAP_ATTENTION = 1 << 3,
	SLOT_CAP_INDICATOR = 1 << 4,
	SLOT_CAP_SURPRISE = 1 << 5,
	SLOT_CAP_HOTPLUG = 1 << 6,
};

int express_add(struct pci_func *f, enum express_type type, unsigned port)
{
	bool root = type == EXPRESS_ROOT_PORT, link = type != EXPRESS_INTEGRATED;
	int cap = pci_cap_add(f, CAP_EXPRESS, EXPRESS_LEN);
	unsigned at = (unsigned)cap;

	if (cap < 0)
		return cap;
	pci_config_def(f, at + EXPRESS_CAPS, 2,
		       CAPS_VERSION2 | (uint32_t)type << 4 | (root ? CAPS_SLOT : 0), 0);
	pci_config_def(f, at + EXPRESS_DEVICE_CAP, 4, DEVICE_CAP_ROLE_ERRORS, 0);
	pci_config_def(f, at + EXPRESS_DEVICE_CTL, 2, 0, 0x00ef);
	st_le16(&f->w1c[at + EXPRESS_DEVICE_STS], 0x000f);
	if (link) {
		pci_config_def(f, at + EXPRESS_LINK_CAP, 4,
			       LINK_X1 | LINK_2_5GT | (root ? LINK_CAP_ACTIVE : 0) |
				       (uint32_t)port << 24,
			       0);
		pci_config_def(f, at + EXPRESS_LINK_CTL, 2, 0, 0x01cb);
		pci_config_def(f, at + EXPRESS_LINK_STS, 2, root ? 0 : LINK_X1 | LINK_2_5GT, 0);
		pci_config_def(f, at + EXPRESS_LINK_CTL2, 2, LINK_2_5GT, 0);
	}
	if (root) {
		pci_config_def(f, at + EXPRESS_SLOT_CAP, 4,
			       SLOT_CAP_BUTTON | SLOT_CAP_POWER | SLOT_CAP_ATTENTION |
				       SLOT_CAP_INDICATOR | SLOT_CAP_SURPRISE | SLOT_CAP_HOTPLUG |
				       (uint32_t)port << 19,
			       0);
		pci_config_def(f, at + EXPRESS_SLOT_CTL, 2, SLOT_CTL_ATTENTION | SLOT_CTL_INDICATOR,
			       0x17fb);
		pci_config_def(f, at + EXPRESS_ROOT_CTL, 2, 0, 0x000f);
	}
	return cap;
}
