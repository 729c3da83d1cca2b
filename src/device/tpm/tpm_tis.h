/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TPM 2.0 with the FIFO interface. See tpm_tis.c.
 */
#ifndef DEVICE_TPM_TPM_TIS_H
#define DEVICE_TPM_TPM_TIS_H

#include "device/dev.h"
#include "tpm/tpm.h"

#define TPM_BASE     0xfed40000u
#define TPM_TIS_SIZE 0x5000u
#define TPM_TIS_IRQS 16u
#define TPM_VENDOR   0x1014u /* whose TPM swtpm is */

struct tpm_tis_regs {
	uint8_t buf[TPM_BUFFER];
	uint16_t at, len;       /* bytes read and, while it comes in, written */
	uint8_t state;          /* enum in tpm_tis.c */
	uint8_t active;         /* locality, or TPM_LOCALITIES: none */
	uint8_t requests;       /* localities that wait */
	uint8_t seized;         /* localities from which it was taken */
	uint32_t int_enable;    /* TPM_INT_ENABLE */
	uint8_t int_status;     /* TPM_INT_STATUS */
	uint8_t int_vector;     /* ISA interrupt, 0: none */
	bool aborting;          /* the command under way is not wanted any more */
	bool ready_after_abort; /* the next one is waited for */
};

struct tpm_tis {
	struct dev dev;
	struct tpm_tis_regs s;
	struct tpm *tpm; /* borrowed */
	struct irq irq[TPM_TIS_IRQS];
};

extern const struct dev_class tpm_tis_class;

#endif
