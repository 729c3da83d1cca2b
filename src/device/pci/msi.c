/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MSI and MSI-X. PCI Local Bus Specification rev. 3.0, 6.8.1 (MSI), 6.8.2 (MSI-X), 6.8.3 (masking
 * and pending). Messages leave through msi_send(), never through a memory write, so that no device
 * code runs below another device's write.
 *
 * A message is a memory write, so it needs bus mastering: a vector that is raised while COMMAND
 * has it off stays pending like a masked one.
 *
 * UNMODELLED: MSI per-vector masking and more than one MSI message.
 */
#include "base/bits.h"
#include "device/pci/pci.h"

static const struct state_field vector_fields[] = {
	STATE_VAL(struct pci_msix_vector, addr_lo),
	STATE_VAL(struct pci_msix_vector, addr_hi),
	STATE_VAL(struct pci_msix_vector, data),
	STATE_VAL(struct pci_msix_vector, ctrl, .max = 1),
	STATE_END,
};
const struct state_field pci_msix_regs_fields[] = {
	STATE_STRUCTS(struct pci_msix_regs, vec, vector_fields),
	STATE_VAL(struct pci_msix_regs, pba),
	STATE_END,
};

/* Message Control, at capability + 2 (PCI 3.0, 6.8.2.3). */
enum { MSIX_CTRL_MASKALL = 0x4000, MSIX_CTRL_ENABLE = 0x8000 };
enum { MSI_CTRL_ENABLE = 0x0001, MSI_CTRL_64BIT = 0x0080 };

int pci_msix_init(struct pci_func *f, struct pci_msix_regs *r, unsigned n, unsigned bar,
		  uint32_t table_off, uint32_t pba_off)
{
	check(n >= 1 && n <= PCI_MSIX_MAX && bar < PCI_BARS);
	int cap = pci_cap_add(f, PCI_CAP_MSIX, 12);
	if (cap < 0)
		return cap;
	pci_config_def(f, (unsigned)cap + 2, 2, n - 1, MSIX_CTRL_ENABLE | MSIX_CTRL_MASKALL);
	pci_config_def(f, (unsigned)cap + 4, 4, table_off | bar, 0);
	pci_config_def(f, (unsigned)cap + 8, 4, pba_off | bar, 0);
	f->msix = (struct pci_msix){.r = r, .n = n, .cap = (uint8_t)cap};
	return 0;
}

static uint16_t msix_ctrl(const struct pci_func *f)
{
	return ld_le16(&f->r->cfg[f->msix.cap + 2]);
}

bool pci_msix_enabled(const struct pci_func *f)
{
	return f->msix.r && (msix_ctrl(f) & MSIX_CTRL_ENABLE);
}

/* Send every pending vector that nothing holds back any more. */
void pci_msix_flush(struct pci_func *f)
{
	struct pci_msix_regs *m = f->msix.r;

	if (!m || !m->pba || !pci_bus_master(f) ||
	    (msix_ctrl(f) & (MSIX_CTRL_ENABLE | MSIX_CTRL_MASKALL)) != MSIX_CTRL_ENABLE)
		return;
	for (unsigned i = 0; i < f->msix.n; i++) {
		const struct pci_msix_vector *v = &m->vec[i];
		if (!(m->pba & BIT(i)) || (v->ctrl & 1))
			continue;
		m->pba &= ~BIT(i);
		msi_send(&f->bus->bus->msi, v->addr_lo | (uint64_t)v->addr_hi << 32, v->data);
	}
}

void pci_msix_notify(struct pci_func *f, unsigned n)
{
	if (!pci_msix_enabled(f) || n >= f->msix.n)
		return;
	f->msix.r->pba |= BIT(n);
	pci_msix_flush(f);
}

uint32_t pci_msix_table_read(const struct pci_func *f, uint32_t off)
{
	if (off / 16 >= f->msix.n)
		return 0;
	const struct pci_msix_vector *v = &f->msix.r->vec[off / 16];
	switch (off & 0xc) {
	case 0: return v->addr_lo;
	case 4: return v->addr_hi;
	case 8: return v->data;
	default: return v->ctrl;
	}
}

void pci_msix_table_write(struct pci_func *f, uint32_t off, uint32_t val)
{
	if (off / 16 >= f->msix.n)
		return;
	struct pci_msix_vector *v = &f->msix.r->vec[off / 16];
	switch (off & 0xc) {
	case 0: v->addr_lo = val & ~3u; break;
	case 4: v->addr_hi = val; break;
	case 8: v->data = val; break;
	default:
		v->ctrl = val & 1;
		pci_msix_flush(f);
		break;
	}
}

uint32_t pci_msix_pba_read(const struct pci_func *f, uint32_t off)
{
	return off < 8 ? (uint32_t)(f->msix.r->pba >> (8 * (off & 4))) : 0;
}

int pci_msi_init(struct pci_func *f)
{
	int cap = pci_cap_add(f, PCI_CAP_MSI, 14);
	if (cap < 0)
		return cap;
	pci_config_def(f, (unsigned)cap + 2, 2, MSI_CTRL_64BIT, MSI_CTRL_ENABLE);
	pci_config_def(f, (unsigned)cap + 4, 4, 0, 0xfffffffc);
	pci_config_def(f, (unsigned)cap + 8, 4, 0, 0xffffffff);
	pci_config_def(f, (unsigned)cap + 12, 2, 0, 0xffff);
	f->msi_cap = (uint8_t)cap;
	return 0;
}

bool pci_msi_enabled(const struct pci_func *f)
{
	return f->msi_cap && (ld_le16(&f->r->cfg[f->msi_cap + 2]) & MSI_CTRL_ENABLE);
}

void pci_msi_notify(struct pci_func *f)
{
	const uint8_t *cap = &f->r->cfg[f->msi_cap];

	if (pci_msi_enabled(f) && pci_bus_master(f))
		msi_send(&f->bus->bus->msi, ld_le64(cap + 4), ld_le16(cap + 12));
}
