/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TPM 2.0 with the command response buffer interface. See tpm_crb.c.
 */
#ifndef DEVICE_TPM_TPM_CRB_H
#define DEVICE_TPM_TPM_CRB_H

#include "device/dev.h"
#include "tpm/tpm.h"

#define TPM_CRB_SIZE   0x1000u
#define TPM_CRB_CTRL   0x40u /* the control area: what the TPM2 table points at */
#define TPM_CRB_BUFFER (TPM_CRB_SIZE - 0x80u)

struct tpm_crb_regs {
	uint8_t buf[TPM_CRB_BUFFER];
	uint8_t state; /* enum in tpm_crb.c */
	bool assigned; /* locality 0 has the TPM */
	bool failed;   /* tpmSts */
	bool aborting; /* the command under way is not wanted any more */
	bool cancel;
	uint8_t pad_[3];
	uint32_t int_enable, int_status;
};

struct tpm_crb {
	struct dev dev;
	struct tpm_crb_regs s;
	struct tpm *tpm; /* borrowed */
};

extern const struct dev_class tpm_crb_class;

#endif
