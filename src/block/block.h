/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block layer as devices see it: an open disk that takes asynchronous requests on iovecs of
 * guest RAM and completes them with the bus lock held. Formats (raw now) are
 * drivers behind `struct block_ops`; a shim driver can stand in front of any of them and log, fail,
 * delay, reorder or stop on named events for crash-safety tests.
 *
 * Semantics: writes are write-back; FLUSH completes only after fdatasync() of everything that was
 * acknowledged before it was submitted; a failed fdatasync() is sticky (every later flush fails).
 * ENOSPC never reaches the guest: the request is parked, `enospc` is reported to the VM, and
 * block_retry() submits it again. Short transfers and EINTR are retried. Guest buffers stay owned
 * by the request until done().
 *
 * Threads: every function is called with the outer lock held, from any thread. done() runs, with
 * that lock, on the loop's thread, or on the one that made the system call, which need not wake the
 * loop's then; or inside block_drain(), block_abort_parked() and block_close() on their caller's.
 */
#ifndef BLOCK_BLOCK_H
#define BLOCK_BLOCK_H

#include <sys/uio.h>

#include "base/err.h"
#include "base/list.h"

struct block;
struct loop;

enum block_op { BLOCK_READ, BLOCK_WRITE, BLOCK_FLUSH, BLOCK_DISCARD, BLOCK_ZEROES, BLOCK_OP_COUNT };

struct block_req {
	enum block_op op;
	uint64_t off, len;       /* bytes; multiples of the sector size (512) */
	const struct iovec *iov; /* READ, WRITE: sums to len; borrowed until done */
	int niov;
	bool fua;                                        /* WRITE: durable before done */
	void (*done)(struct block_req *req, int result); /* 0 or -errno (-EIO, -EROFS, -EINVAL) */
	void *ctx;
	/* private to the block layer */
	struct list node;
	uint64_t seq;
	uint64_t progress; /* bytes done so far */
	uint64_t cap;      /* next transfer at most this many bytes (shim); 0 = no limit */
	int64_t result;
	uint8_t stage;
	void *drv;
};

/* SYNC: in block_submit() itself, one after another; completions still come later. */
enum block_aio { BLOCK_AIO_AUTO, BLOCK_AIO_URING, BLOCK_AIO_THREADS, BLOCK_AIO_SYNC };

struct block_options {
	const char *path;
	const char *format; /* "raw"; required: contents are never probed */
	bool read_only;
	bool overlay; /* writes go to a temporary file and are gone at the end; see overlay.h */
	bool unsafe;  /* cache=unsafe: FLUSH does nothing; spelled out by the user */
	enum block_aio aio;
	const char *shim; /* NULL, or a shim script: see block/shim.h */
};

/**
 * block_open() - open and lock an image (OFD locks: exclusive for writing, shared for reading)
 * -EBUSY "in use by another process", -ENOENT, -EACCES, -EINVAL (truncated, odd size): with text.
 */
int block_open(struct loop *loop, const struct block_options *opt, struct block **ret_block,
	       struct error *err) MUST_CHECK;
/** block_close() - drain, fail what is parked, flush, unlock, close. NULL is fine. */
void block_close(struct block *b);
/** block_submit() - start a request; done() is called exactly once, never before return. */
void block_submit(struct block *b, struct block_req *req);
/**
 * block_gather() - a device is about to submit several requests
 * block_gathered() - it has: what has ended by now may be done at once, without a turn of the loop
 *
 * done() may be called from block_gathered(), in any order and also for older requests; not for all
 * kinds of images. Does not nest; block_drain() in between ends it.
 */
void block_gather(struct block *b);
void block_gathered(struct block *b);
/** block_drain() - wait until nothing is in flight (parked ENOSPC requests stay parked). */
void block_drain(struct block *b);
/** block_set_enospc() - @fn is called once when requests get parked for lack of host space. */
void block_set_enospc(struct block *b, void (*fn)(void *ctx, struct block *b), void *ctx);
/** block_retry() - resubmit parked requests in order. */
void block_retry(struct block *b);
/** block_abort_parked() - complete parked requests with -EIO (device reset while the VM waits). */
void block_abort_parked(struct block *b);

uint64_t block_size(const struct block *b); /* bytes, multiple of 512 */
bool block_read_only(const struct block *b);
bool block_can_discard(const struct block *b);
const char *block_path(const struct block *b);
const char *block_aio_name(const struct block *b); /* "io_uring", "threads" */

struct block_counters {
	uint64_t reads, writes, flushes, discards, read_bytes, write_bytes, errors, parked;
};
void block_get_counters(const struct block *b, struct block_counters *ret);

#endif
