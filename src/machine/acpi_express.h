/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The part of the DSDT that a machine with PCI Express has; see acpi_express.c.
 */
#ifndef MACHINE_ACPI_EXPRESS_H
#define MACHINE_ACPI_EXPRESS_H

#include "machine/acpi.h"
#include "machine/acpi_aml.h"

/** acpi_dsdt_pic() - \\PICF and \\_PIC, at the root. */
void acpi_dsdt_pic(struct aml *a);
/** acpi_dsdt_express() - _OSC, _PRT, root ports, motherboard resources; inside \\_SB.PCI0. */
void acpi_dsdt_express(struct aml *a, const struct acpi_config *cfg);

#endif
