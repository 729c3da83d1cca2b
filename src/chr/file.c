/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "file:PATH": output to a file, FIFO or character device; no input. A regular file is started anew
 * (a log of this run). A FIFO without a reader is refused rather than waited for.
 */
#include "chr/impl.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int file_open(struct chr *c, const char *arg, struct error *err)
{
	int fd = open(arg,
		      O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
		      0666);

	if (fd < 0) {
		int code = errno;

		if (code == ENXIO)
			return error_set(err, -ENXIO,
					 "console 'file:%s': nobody reads this FIFO; start the "
					 "reader first",
					 arg);
		return error_set(err, -code, "console 'file:%s': cannot open for writing: %s", arg,
				 strerror(code));
	}
	c->out_fd = fd;
	c->peer = true;
	return 0;
}

static void file_close(struct chr *c)
{
	if (c->out_fd >= 0)
		close(c->out_fd);
}

const struct chr_kind chr_file_kind = {
	.name = "file",
	.takes_arg = true,
	.syntax = "file:PATH",
	.open = file_open,
	.close = file_close,
};
