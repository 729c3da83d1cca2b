/* SPDX-License-Identifier: Apache-2.0 */
/*
 * See fake_tpm.h. What the real one may rely on is checked here.
 */
#include "fake_tpm.h"

#include <string.h>

#include "base/base.h"

void tpm_set_front(struct tpm *t, size_t room,
		   void (*answer)(void *ctx, const uint8_t *buf, size_t len), void *ctx)
{
	t->room = room;
	t->answer = answer;
	t->ctx = ctx;
}

void tpm_reset(struct tpm *t)
{
	t->busy = false;
	t->resets++;
}

void tpm_submit(struct tpm *t, unsigned locality, const uint8_t *cmd, size_t len)
{
	check(!t->busy && locality < TPM_LOCALITIES && len >= TPM_HEADER && len <= t->room);
	memcpy(t->cmd, cmd, len);
	t->len = len;
	t->locality = locality;
	t->busy = true;
}

bool tpm_busy(const struct tpm *t)
{
	return t->busy;
}

int tpm_wait(struct tpm *t)
{
	static const uint8_t done[TPM_HEADER] = {0x80, 0x01, 0, 0, 0, TPM_HEADER};

	fake_tpm_answer(t, done, sizeof(done));
	return 0;
}

bool tpm_established(const struct tpm *t)
{
	return t->established;
}

void tpm_clear_established(struct tpm *t, unsigned locality)
{
	check(locality == 3 || locality == 4);
	t->established = false;
}

void fake_tpm_answer(struct tpm *t, const uint8_t *buf, size_t len)
{
	check(len >= TPM_HEADER && len <= t->room);
	if (!t->busy)
		return;
	t->busy = false;
	t->answer(t->ctx, buf, len);
}
