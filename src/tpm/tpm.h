/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Trusted Platform Module 2.0 behind a front end: commands go in, one at a time, answers come
 * back. The module itself is swtpm, a process of its own, which is given commands through a data
 * socket and everything else (power, locality) through a control socket; see tpm.c.
 *
 * Bus lock held everywhere; answers come on the loop's thread. A module that dies answers every
 * command with TPM_RC_FAILURE from then on, as one in failure mode does (TPM 2.0 Library, part 1,
 * 12.4.1.1), until the next reset, which finds it dead again.
 */
#ifndef TPM_TPM_H
#define TPM_TPM_H

#include "base/err.h"

#define TPM_BUFFER     4096u /* bytes of the longest command and answer */
#define TPM_HEADER     10u   /* tag, size, code: TPM 2.0 Library, part 1, 18 */
#define TPM_LOCALITIES 5u

struct loop;
struct tpm;

/** tpm_spec_ok() - is @spec "unix:PATH" (the control socket of an swtpm that runs already) or the
 * path of a folder? */
bool tpm_spec_ok(const char *spec);
/**
 * tpm_open() - connect, and power the module up once to see that it works
 * @spec: as above; a folder holds the module's state, is made if it is not there, and swtpm is
 *        started on it. NULL: a folder that is gone at the end.
 * Return: 0 or -errno with text: no swtpm, folder in use, ... Waits for swtpm, at most 20 s.
 */
int tpm_open(struct loop *loop, const char *spec, struct tpm **ret_tpm,
	     struct error *err) MUST_CHECK;
/** tpm_close() - power down; the process ends. NULL is fine. */
void tpm_close(struct tpm *t);
/** tpm_set_front() - who hears the answers: @len bytes, TPM_HEADER to @room, which is at most
 * TPM_BUFFER and holds from the next reset on. @answer NULL: nobody. */
void tpm_set_front(struct tpm *t, size_t room,
		   void (*answer)(void *ctx, const uint8_t *buf, size_t len), void *ctx);

/** tpm_reset() - _TPM_Init: power off and on. A command under way is never answered. */
void tpm_reset(struct tpm *t);
/**
 * tpm_submit() - a command of @len bytes, at most the front's room, from @locality; the answer
 * comes later, never before the return. One at a time.
 */
void tpm_submit(struct tpm *t, unsigned locality, const uint8_t *cmd, size_t len);
/** tpm_busy() - is a command under way? */
bool tpm_busy(const struct tpm *t);
/** tpm_wait() - until none is: the answer has been given. -ETIMEDOUT after a minute. */
int tpm_wait(struct tpm *t) MUST_CHECK;
/** tpm_established() - the flag that a dynamic launch sets; tpm_clear_established() - from locality
 * 3 or 4. */
bool tpm_established(const struct tpm *t);
void tpm_clear_established(struct tpm *t, unsigned locality);

#endif
