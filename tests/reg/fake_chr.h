/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A character back end in memory behind chr/chr.h. Linked in place of the real ones.
 */
#ifndef TESTS_REG_FAKE_CHR_H
#define TESTS_REG_FAKE_CHR_H

#include "chr/chr.h"

struct chr {
	struct chr_handler h;
	uint8_t out[1 << 20];
	size_t n_out;
	size_t room;    /* bytes it still takes */
	unsigned polls; /* chr_poll_input() calls */
};

/** fake_chr_type() - deliver up to @len bytes; how many the front end took. */
size_t fake_chr_type(struct chr *c, const void *buf, size_t len);

#endif
