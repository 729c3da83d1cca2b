/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fallback for hosts without io_uring (many containers forbid it): a pool of at most four
 * threads per image that run one system call each. Threads start when there is more work than idle
 * threads and stay until the image is closed. All signals are blocked in them.
 *
 * Locks: `lock` guards the two lists and the counters; it is a leaf, taken for a few instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "block/aio.h"
#include "block/block.h"

#define MAX_THREADS 4
#define POLL_BATCH  256
/* Small calls come by the dozen: the loop takes several at once. */
#define HURRY_BYTES (64 * 1024)

struct aio_threads {
	struct aio aio;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue;    /* to run */
	struct list finished; /* req->result holds what the call returned */
	pthread_t threads[MAX_THREADS];
	unsigned n_threads, idle, queued;
	bool stop, sync;
};

static int64_t run_call(const struct aio_call *call)
{
	int64_t r = -1;

	switch (call->kind) {
	case AIO_READV: r = preadv2(call->fd, call->iov, call->niov, (off_t)call->off, 0); break;
	case AIO_WRITEV: r = pwritev2(call->fd, call->iov, call->niov, (off_t)call->off, 0); break;
	case AIO_FDATASYNC: r = fdatasync(call->fd); break;
	case AIO_FALLOCATE:
		r = fallocate(call->fd, call->mode, (off_t)call->off, (off_t)call->len);
		break;
	}
	return r < 0 ? -errno : r;
}

/* Tell of what has ended; the loop need not wake for a large call. The lock is given up meanwhile.
 */
static void tell_locked(struct aio_threads *t, int64_t res)
{
	uint64_t one = 1;
	bool taken = false;

	if (res >= HURRY_BYTES && t->aio.client.hurry) {
		pthread_mutex_unlock(&t->lock);
		taken = t->aio.client.hurry(t->aio.client.ctx);
		pthread_mutex_lock(&t->lock);
	}
	if (!taken && write(t->aio.event_fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: the counter is full, so the event is already there */
}

static void *worker(void *arg)
{
	struct aio_threads *t = arg;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		struct aio_call call;
		struct block_req *req;
		int64_t res;

		while (list_empty(&t->queue) && !t->stop) {
			t->idle++;
			pthread_cond_wait(&t->work, &t->lock);
			t->idle--;
		}
		if (list_empty(&t->queue))
			break;
		req = LIST_ENTRY(t->queue.next, struct block_req, node);
		list_remove(&req->node);
		t->queued--;
		pthread_mutex_unlock(&t->lock);

		t->aio.client.prepare(t->aio.client.ctx, req, &call);
		res = run_call(&call);

		pthread_mutex_lock(&t->lock);
		req->result = res;
		list_append(&t->finished, &req->node);
		tell_locked(t, res);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* More work than idle threads: one more, if allowed. Called with the lock held. */
static int grow_locked(struct aio_threads *t)
{
	sigset_t all, old;
	int r;

	if (t->idle >= t->queued || t->n_threads == MAX_THREADS)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&t->threads[t->n_threads], NULL, worker, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r == 0)
		t->n_threads++;
	return -r;
}

/* Without threads: the call runs here, its completion is delivered by a later poll. */
static void run_now(struct aio_threads *t, struct block_req *req)
{
	struct aio_call call;
	uint64_t one = 1;

	t->aio.client.prepare(t->aio.client.ctx, req, &call);
	req->result = run_call(&call);
	list_append(&t->finished, &req->node);
	if (write(t->aio.event_fd, &one, sizeof(one)) < 0)
		return; /* counter full: the event is already there */
}

static void threads_submit(struct aio *aio, struct block_req *req)
{
	struct aio_threads *t = CONTAINER_OF(aio, struct aio_threads, aio);

	if (t->sync) {
		run_now(t, req);
		return;
	}
	pthread_mutex_lock(&t->lock);
	list_append(&t->queue, &req->node);
	t->queued++;
	/* When the host gives no thread, those that run will get to it; the first one exists. */
	(void)grow_locked(t);
	pthread_cond_signal(&t->work);
	pthread_mutex_unlock(&t->lock);
}

static void threads_poll(struct aio *aio)
{
	struct aio_threads *t = CONTAINER_OF(aio, struct aio_threads, aio);
	uint64_t one = 1;

	for (unsigned i = 0; i < POLL_BATCH; i++) {
		struct block_req *req = NULL;

		pthread_mutex_lock(&t->lock);
		if (!list_empty(&t->finished)) {
			req = LIST_ENTRY(t->finished.next, struct block_req, node);
			list_remove(&req->node);
		}
		pthread_mutex_unlock(&t->lock);
		if (!req)
			return;
		t->aio.client.done(t->aio.client.ctx, req, req->result);
	}
	if (write(t->aio.event_fd, &one, sizeof(one)) < 0)
		return; /* counter full: another turn comes anyway */
}

static void threads_free(struct aio *aio)
{
	struct aio_threads *t = CONTAINER_OF(aio, struct aio_threads, aio);

	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->n_threads; i++)
		pthread_join(t->threads[i], NULL);
	pthread_cond_destroy(&t->work);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct aio_ops threads_ops = {
	.name = "threads",
	.submit = threads_submit,
	.poll = threads_poll,
	.free = threads_free,
};

int aio_threads_new(int event_fd, const struct aio_client *client, bool sync, struct aio **ret_aio)
{
	struct aio_threads *t = xnew(struct aio_threads);
	int r;

	t->aio.ops = &threads_ops;
	t->aio.client = *client;
	t->aio.event_fd = event_fd;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->work, NULL);
	list_init(&t->queue);
	list_init(&t->finished);
	t->sync = sync;
	if (sync) {
		*ret_aio = &t->aio;
		return 0;
	}
	/* The first thread now: with it, every request gets done sooner or later. */
	pthread_mutex_lock(&t->lock);
	t->queued = 1;
	r = grow_locked(t);
	t->queued = 0;
	pthread_mutex_unlock(&t->lock);
	if (r < 0) {
		threads_free(&t->aio);
		return r;
	}
	*ret_aio = &t->aio;
	return 0;
}
