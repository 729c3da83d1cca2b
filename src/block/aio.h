/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running system calls on image files elsewhere: io_uring where the kernel lets us, else a few
 * threads. An engine knows nothing of formats: for each request it asks the client which call comes
 * next (prepare) and gives back what the call returned (done).
 *
 * Locks: submit, poll and free run under the outer lock. prepare() may run on a worker thread
 * without it and reads only the request and what is constant after open. done() is called from
 * aio_poll() only. hurry() is called on a worker thread or one that helps, without any lock.
 */
#ifndef BLOCK_AIO_H
#define BLOCK_AIO_H

#include <sys/uio.h>

#include "base/err.h"
#include "host/loop.h"

struct aio;
struct block_req;

enum aio_kind { AIO_READV, AIO_WRITEV, AIO_FDATASYNC, AIO_FALLOCATE };

#define AIO_WINDOW 32 /* iovec entries of a call that starts in the middle of a request */

struct aio_call {
	enum aio_kind kind;
	int fd;
	int mode; /* FALLOCATE */
	uint64_t off, len;
	const struct iovec *iov; /* may point into window */
	int niov;
	struct iovec window[AIO_WINDOW];
};

struct aio_client {
	void (*prepare)(void *ctx, struct block_req *req, struct aio_call *ret_call);
	void (*done)(void *ctx, struct block_req *req, int64_t res); /* bytes or -errno */
	/* Something large has ended: have aio_poll() called here and now? False: not possible, the
	 * event has to be signalled. May be NULL. */
	bool (*hurry)(void *ctx);
	struct loop *loop; /* borrowed: whose idle threads (loop.h) may help; NULL: none */
	void *ctx;
};

struct aio_ops {
	const char *name;
	void (*submit)(struct aio *aio, struct block_req *req);
	void (*poll)(struct aio *aio); /* deliver a bounded number of completions */
	/* May be NULL. Between a call with @on and one without, which delivers what has ended, an
	 * engine may leave signals out. */
	void (*gather)(struct aio *aio, bool on);
	/* May be NULL. Somebody is about to wait: what was submitted must begin without help. */
	void (*hasten)(struct aio *aio);
	void (*free)(struct aio *aio);
};

struct aio {
	const struct aio_ops *ops;
	struct aio_client client;
	int event_fd; /* borrowed: signalled on every completion */
};

/** aio_uring_new() - 0, or -errno (-ENOSYS, -EPERM: not available here) without text. */
int aio_uring_new(int event_fd, const struct aio_client *client, struct aio **ret_aio) MUST_CHECK;
/** aio_threads_new() - 0 or -errno. Threads start when there is work. @sync: no threads, calls run
 * in submit, in that order. */
int aio_threads_new(int event_fd, const struct aio_client *client, bool sync,
		    struct aio **ret_aio) MUST_CHECK;

/** aio_split_new() - writes by threads, the rest by io_uring; -errno when either is not available.
 */
int aio_split_new(int event_fd, const struct aio_client *client, struct aio **ret_aio) MUST_CHECK;

static inline void aio_submit(struct aio *aio, struct block_req *req)
{
	aio->ops->submit(aio, req);
}

static inline void aio_poll(struct aio *aio)
{
	aio->ops->poll(aio);
}

static inline void aio_gather(struct aio *aio, bool on)
{
	if (aio->ops->gather)
		aio->ops->gather(aio, on);
}

static inline void aio_hasten(struct aio *aio)
{
	if (aio->ops->hasten)
		aio->ops->hasten(aio);
}

static inline void aio_free(struct aio *aio)
{
	if (aio)
		aio->ops->free(aio);
}

#endif
