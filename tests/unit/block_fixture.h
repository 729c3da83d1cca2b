/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the block layer share: an image in a directory of its own, a loop, and
 * operations run to their end. BOTH() makes two tests of a function, one for each aio engine.
 */
#ifndef BLOCK_FIXTURE_H
#define BLOCK_FIXTURE_H

#include "block/block.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "host/loop.h"

#define IMAGE_SIZE (1 * MIB)
#define SECTOR     512u

struct fixture {
	char dir[64];
	char image[96];
	struct loop *loop;
	enum block_aio aio;
	bool overlay;
};

struct op {
	struct block_req req;
	bool done;
	int result;
};

static const char *aio_label(enum block_aio aio)
{
	return aio == BLOCK_AIO_URING ? "io_uring" : "threads";
}

static inline void make_file(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static inline int setup(void **state)
{
	static enum block_aio next = BLOCK_AIO_URING;
	struct fixture *f = xnew(struct fixture);
	const char *tmp = getenv("TMPDIR");

	f->aio = *state ? *(enum block_aio *)*state : next;
	snprintf(f->dir, sizeof(f->dir), "%s/bothy-block-XXXXXX", tmp && *tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->image, sizeof(f->image), "%s/disk.img", f->dir);
	make_file(f->image, IMAGE_SIZE);
	assert_int_equal(loop_new(NULL, &f->loop, NULL), 0);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;
	char *cmd = xasprintf("rm -rf '%s'", f->dir);

	loop_free(f->loop);
	assert_int_equal(system(cmd), 0);
	free(cmd);
	free(f);
	return 0;
}

/* Open the fixture's image; skips the test when this host has no io_uring. */
static inline struct block *open_image(struct fixture *f, const char *shim)
{
	struct block_options opt = {.path = f->image,
				    .format = "raw",
				    .aio = f->aio,
				    .overlay = f->overlay,
				    .shim = shim};
	struct error err = {0};
	struct block *b = NULL;
	int r = block_open(f->loop, &opt, &b, &err);

	if (r < 0 && f->aio == BLOCK_AIO_URING && strstr(err.text, "io_uring")) {
		print_message("skipped: %s\n", err.text);
		skip();
	}
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	if (f->aio != BLOCK_AIO_AUTO) /* what there is */
		assert_string_equal(block_aio_name(b), aio_label(f->aio));
	return b;
}

static inline void on_done(struct block_req *req, int result)
{
	struct op *op = CONTAINER_OF(req, struct op, req);

	assert_false(op->done);
	op->done = true;
	op->result = result;
}

static inline void submit(struct block *b, struct op *op, enum block_op kind, uint64_t off,
			  uint64_t len, const struct iovec *iov, int niov, bool fua)
{
	memset(op, 0, sizeof(*op));
	op->req = (struct block_req){.op = kind,
				     .off = off,
				     .len = len,
				     .iov = iov,
				     .niov = niov,
				     .fua = fua,
				     .done = on_done};
	block_submit(b, &op->req);
	assert_false(op->done); /* never before return */
}

static inline void wait_op(struct fixture *f, struct op *op)
{
	while (!op->done) /* a disk that others keep busy may take a minute for a flush */
		assert_int_equal(loop_run_once(f->loop, 2), 0);
}

/* One operation, start to end; the result. */
static inline int run(struct fixture *f, struct block *b, enum block_op kind, uint64_t off,
		      void *buf, uint64_t len, bool fua)
{
	struct iovec iov = {buf, buf ? len : 0};
	struct op op;

	submit(b, &op, kind, off, len, &iov, buf ? 1 : 0, fua);
	wait_op(f, &op);
	return op.result;
}

static inline void turn(struct fixture *f, int n)
{
	while (n-- > 0)
		assert_int_equal(loop_run_once(f->loop, 2), 0);
}

static const enum block_aio aio_kinds[] = {BLOCK_AIO_URING, BLOCK_AIO_THREADS, BLOCK_AIO_AUTO};

/* With each engine. */
#define BOTH(t)                                                                                    \
	{"io_uring: " #t, t, setup, teardown, (void *)&aio_kinds[0]},                              \
		{"auto: " #t, t, setup, teardown, (void *)&aio_kinds[2]},                          \
	{                                                                                          \
		"threads: " #t, t, setup, teardown, (void *)&aio_kinds[1]                          \
	}
#define ONCE(t)                                                                                    \
	{                                                                                          \
#t, t, setup, teardown, (void *)&aio_kinds[1]                                      \
	}

#endif
