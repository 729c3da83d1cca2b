/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting swtpm on a folder of its own (swtpm.c).
 */
#ifndef TPM_SWTPM_H
#define TPM_SWTPM_H

#include "base/err.h"

struct swtpm {
	int pid;       /* 0: none */
	char *dir;     /* owned; NULL: none */
	bool dir_goes; /* the folder is removed at the end */
};

/**
 * swtpm_start() - run it on @dir (NULL: a new one below $TMPDIR or /tmp, removed at the end)
 * @ret_fd: its control channel. 0 or -errno with text; swtpm_stop() is owed in any case.
 */
int swtpm_start(struct swtpm *s, const char *dir, int *ret_fd, struct error *err) MUST_CHECK;
/** swtpm_stop() - wait for its end after the channel was closed, at most a second, then kill it. */
void swtpm_stop(struct swtpm *s);

#endif
