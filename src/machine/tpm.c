/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TPM of a machine, with the one interface or the other. The BIOS writes a log of what it
 * measured, and is given a place for it; EFI firmware has its own.
 */
#include "device/tpm/tpm_crb.h"
#include "device/tpm/tpm_tis.h"
#include "machine/parts.h"

#define LOG_BYTES (64 * KIB)

static int add_crb(struct machine *m, struct error *err)
{
	struct tpm_crb *c = (struct tpm_crb *)dev_new(&tpm_crb_class, "tpm", &m->sv);

	c->tpm = m->cfg.tpm;
	return parts_add(m, &c->dev, err);
}

static int add_tis(struct machine *m, struct error *err)
{
	struct tpm_tis *t = (struct tpm_tis *)dev_new(&tpm_tis_class, "tpm", &m->sv);

	t->tpm = m->cfg.tpm;
	for (unsigned i = 1; i < TPM_TIS_IRQS; i++)
		if (i != 2) /* where the second 8259 comes in */
			parts_isa(m, &t->irq[i], i);
	return parts_add(m, &t->dev, err);
}

int parts_tpm(struct machine *m, struct error *err)
{
	if (!m->cfg.tpm)
		return 0;
	m->acpi.tpm = true;
	m->acpi.tpm_crb = m->cfg.tpm_crb;
	m->acpi.tpm_log = m->cfg.firmware.bios ? LOG_BYTES : 0;
	return m->cfg.tpm_crb ? add_crb(m, err) : add_tis(m, err);
}
