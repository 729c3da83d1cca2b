/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both engines for one image: writes by threads, everything else by io_uring.
 *
 * Reads of what the page cache has end inside io_uring_enter(2), which nothing beats. Buffered
 * writes to most file systems cannot be tried without waiting, so io_uring hands each to a kernel
 * worker, and all writes of one file to the same one, in turn (io_uring_enter(2), IOSQE_ASYNC);
 * four threads do more than twice as many small ones a second (bench/disk).
 *
 * Requests under way at a time may end in any order in either engine, so nothing new can happen
 * here: a FLUSH covers what was acknowledged before it was submitted (block.h).
 */
#include <stdlib.h>

#include "block/aio.h"
#include "block/block.h"

struct aio_split {
	struct aio aio;
	struct aio *uring, *threads; /* owned */
};

static void split_submit(struct aio *aio, struct block_req *req)
{
	struct aio_split *s = CONTAINER_OF(aio, struct aio_split, aio);

	aio_submit(req->op == BLOCK_WRITE ? s->threads : s->uring, req);
}

static void split_poll(struct aio *aio)
{
	struct aio_split *s = CONTAINER_OF(aio, struct aio_split, aio);

	aio_poll(s->uring);
	aio_poll(s->threads);
}

static void split_gather(struct aio *aio, bool on)
{
	aio_gather(CONTAINER_OF(aio, struct aio_split, aio)->uring, on);
}

static void split_hasten(struct aio *aio)
{
	aio_hasten(CONTAINER_OF(aio, struct aio_split, aio)->threads);
}

static void split_free(struct aio *aio)
{
	struct aio_split *s = CONTAINER_OF(aio, struct aio_split, aio);

	aio_free(s->threads);
	aio_free(s->uring);
	free(s);
}

static const struct aio_ops split_ops = {
	.name = "io_uring, writes by threads",
	.submit = split_submit,
	.poll = split_poll,
	.gather = split_gather,
	.hasten = split_hasten,
	.free = split_free,
};

int aio_split_new(int event_fd, const struct aio_client *client, struct aio **ret_aio)
{
	struct aio_split *s = xnew(struct aio_split);
	int r = aio_uring_new(event_fd, client, &s->uring);

	if (r == 0)
		r = aio_threads_new(event_fd, client, false, &s->threads);
	if (r < 0) {
		aio_free(s->uring);
		free(s);
		return r;
	}
	s->aio = (struct aio){.ops = &split_ops, .client = *client, .event_fd = event_fd};
	*ret_aio = &s->aio;
	return 0;
}
