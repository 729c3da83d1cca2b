/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the block layer. The way of a request:
 *
 *   block_submit()        block.c   checks, counts
 *     block_issue()       block.c   shim, if any (may hold, fail, delay), then the driver
 *       driver->submit()  raw.c     says which system call comes next
 *         aio_submit()    aio_*.c   runs it elsewhere
 *       driver (aio done) raw.c     short or interrupted: again from the new position
 *     block_io_done()     block.c   shim's word on the result; FUA joins the flush queue
 *   req->done()
 *
 * All of it runs under the outer lock, except aio_call execution itself. One eventfd per image says
 * "something finished"; the loop's thread or block_drain() then calls block_turn().
 */
#ifndef BLOCK_IMPL_H
#define BLOCK_IMPL_H

#include "block/aio.h"
#include "block/block.h"
#include "host/loop.h"

struct shim;

struct block_driver {
	const char *format;
	/* b->path, read_only and aio choice are set; fills size and can_discard. */
	int (*open)(struct block *b, const struct block_options *opt, struct error *err);
	void (*close)(struct block *b); /* copes with a half-opened image */
	/* Start @req; ends in block_io_done(), never before return. */
	void (*submit)(struct block *b, struct block_req *req);
	/* Synchronous fdatasync() of everything, for close. 0 or -errno. */
	int (*sync)(struct block *b);
};

struct block {
	struct loop *loop; /* borrowed */
	char *path;
	const struct block_driver *driver;
	void *drv; /* the driver's own */
	struct aio *aio;
	struct shim *shim; /* NULL: none */
	bool read_only, unsafe, can_discard;
	uint64_t size;

	int event_fd; /* counts "something to do in block_turn()" */
	struct loop_fd *watch;
	uint64_t next_seq;
	unsigned in_flight; /* requests whose done() is still to come, parked ones excluded */
	struct list ready;  /* finished with req->result, done() not called yet */
	struct list parked; /* ENOSPC, ascending seq */
	bool enospc_told;
	void (*enospc)(void *ctx, struct block *b);
	void *enospc_ctx;

	/*
	 * One fdatasync() at a time. Linux reports a write-back error once per open file: of two
	 * concurrent calls one could see success although the other learnt that data was lost.
	 * Requests that arrive while one runs wait in flush_wait for the next.
	 */
	struct list flush_wait, flush_batch;
	bool flush_active;
	struct block_req flush_req;
	int flush_error; /* sticky: the first failed fdatasync() */

	struct block_counters n;
};

extern const struct block_driver block_raw_driver;

/** block_issue() - hand @req to the driver (the shim calls it to let a request go on). */
void block_issue(struct block *b, struct block_req *req);
/** block_io_done() - the driver's result for @req. From block_turn() only. */
void block_io_done(struct block *b, struct block_req *req, int result);
/** block_io_final() - the part of block_io_done() behind the shim. From block_turn() only. */
void block_io_final(struct block *b, struct block_req *req, int result);
/** block_turn_now() - block_turn() on a thread that has no lock: true, or false when somebody else
 * is at it. For raw.c's aio_client. */
bool block_turn_now(struct block *b);
/** block_kick() - have block_turn() run soon. Any thread, no lock needed. */
void block_kick(struct block *b);

#endif
