/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A throw-away layer over an image that is only read: what is written goes to an unlinked temporary
 * file, sector for sector at the same place, and is gone with the process.
 */
#ifndef BLOCK_OVERLAY_H
#define BLOCK_OVERLAY_H

#include "base/err.h"

struct overlay {
	int fd;       /* the temporary file, sparse, as big as the image; owned */
	uint8_t *map; /* one bit a sector: it is in the temporary file; owned */
	uint64_t sectors;
};

/**
 * overlay_temp_file() - an anonymous file in $TMPDIR, /var/tmp or /tmp, open for reading and
 * writing Return: its descriptor, or -errno with text.
 */
int overlay_temp_file(struct error *err) MUST_CHECK;
/** overlay_new() - over an image of @size bytes. -ENOMEM, -ENOSPC, ... with text. */
int overlay_new(uint64_t size, struct overlay **ret_o, struct error *err) MUST_CHECK;
void overlay_free(struct overlay *o); /* NULL is fine */
/** overlay_run() - bytes from @off on, at most @max, that are all in the same file. @ret_mine: it
 * is the temporary one. @off and @max are whole sectors but for what short transfers leave. */
uint64_t overlay_run(const struct overlay *o, uint64_t off, uint64_t max, bool *ret_mine);
/** overlay_mark() - [@off, @off+@len) has been written to the temporary file. */
void overlay_mark(struct overlay *o, uint64_t off, uint64_t len);

#endif
