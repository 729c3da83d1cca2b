/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A shim in front of an image for crash-safety tests: it sees every operation on its way to the
 * driver and every result on its way back, and can log, fail, shorten, delay, reorder, stop or
 * kill. It is driven by a small script (`shim=` of a disk, struct block_options):
 *
 *   script := rule { ';' rule }       rule := verb { ' ' key '=' value }
 *
 *   log file=PATH           append a struct shim_record per event to PATH, see below
 *   fail err=EIO            do not perform the operation, report the error (EIO ENOSPC EDQUOT
 * EINVAL EROFS); with when=after perform it and report the error nevertheless short bytes=N the
 * next transfer of the operation moves at most N bytes delay ms=N              hold the operation
 * for N milliseconds reorder window=N seed=S hold up to N (<= 64) writes, discards and zeroes, let
 * them go in random order: when N are held, before a flush, or after 1 ms; N writes never pass a
 * flush break name=X            hold the operation until block_shim_resume(b, "X") kill SIGKILL
 * this process instead of starting the operation; with when=after instead of reporting its result
 *
 * Which operations: op=read|write|flush|discard|zeroes|any (default any); at=K the K-th such
 * operation, counted from 1 by each rule (default: every one); times=N that one and the N-1 after
 * it (default 1 with at=; times=0: all after it). A FUA write is seen as a write and a flush;
 * flushes that wait together are seen as one. Rules apply in the order of the script; the first
 * that holds or ends an operation wins; it does not pass the rules again when let go. block_drain()
 * and block_close() let everything go.
 *
 * Example: "log file=/tmp/ops; fail op=write at=7 err=ENOSPC times=3; delay op=flush ms=20"
 */
#ifndef BLOCK_SHIM_H
#define BLOCK_SHIM_H

#include "base/err.h"

struct block;
struct block_req;
struct shim;

/*
 * The log: records in host byte order. ISSUE comes when the operation goes to the driver, RESULT
 * when the driver reported. An ISSUE of a write is followed by @len bytes of data. So the flush
 * that ISSUEs after a write's RESULT and whose own RESULT is 0 makes that write durable.
 */
#define SHIM_MAGIC 0x6d696873u /* "shim" */
enum shim_event { SHIM_ISSUE, SHIM_RESULT };
struct shim_record {
	uint32_t magic;
	uint8_t event;  /* enum shim_event */
	uint8_t op;     /* enum block_op */
	uint16_t error; /* RESULT: 0 or errno */
	uint64_t seq;   /* of the request: ties ISSUE and RESULT together */
	uint64_t off, len;
};

/** block_shim_stopped() - is an operation held by the `break` of this name? */
bool block_shim_stopped(const struct block *b, const char *name);
/** block_shim_resume() - let go what the `break` of this name holds. */
void block_shim_resume(struct block *b, const char *name);

/* For block.c. */
int shim_new(struct block *b, const char *script, struct shim **ret_shim,
	     struct error *err) MUST_CHECK;
void shim_free(struct shim *shim);
/** shim_submit() - @req comes from the front; goes on through block_issue() now or later. */
void shim_submit(struct shim *shim, struct block_req *req);
/** shim_result() - @req comes back with *@result, which may be replaced. */
void shim_result(struct shim *shim, struct block_req *req, int *result);
/** shim_turn() - report what the shim itself has ended. */
void shim_turn(struct shim *shim);
/** shim_release_all() - let everything go that is held. */
void shim_release_all(struct shim *shim);
bool shim_stopped(const struct shim *shim, const char *name);
void shim_resume(struct shim *shim, const char *name);

#endif
