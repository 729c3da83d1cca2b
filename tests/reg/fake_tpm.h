/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A TPM in memory behind tpm/tpm.h: it keeps the command and answers when it is told to. Linked in
 * place of the real one.
 */
#ifndef TESTS_REG_FAKE_TPM_H
#define TESTS_REG_FAKE_TPM_H

#include "tpm/tpm.h"

struct tpm {
	void (*answer)(void *ctx, const uint8_t *buf, size_t len);
	void *ctx;
	uint8_t cmd[TPM_BUFFER];
	size_t len, room;
	unsigned locality, resets;
	bool busy, established;
};

/** fake_tpm_answer() - to the command under way; nothing without one. */
void fake_tpm_answer(struct tpm *t, const uint8_t *buf, size_t len);

#endif
