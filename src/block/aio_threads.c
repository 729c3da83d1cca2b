/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fallback for hosts without io_uring (many containers forbid it): a pool of at most four
 * threads per image that run one system call each. Threads start when there is more work than idle
 * threads and stay until the image is closed. All signals are blocked in them.
 *
 * A vCPU that would sleep takes over writes that no thread has begun (loop_run_idle()): waking a
 * thread, and the vCPU by it, takes longer than copying 200 KiB. Meanwhile it answers no interrupt;
 * a write that waited for the host's disk is therefore followed by a time without such help,
 * HELP_PAUSE times as long. After HELP_TRUST helped writes in a row, what a vCPU submits wakes no
 * thread at first; when nobody has taken it over LATE afterwards, the loop wakes them, and trust
 * has to be earned anew, with more of them each time.
 *
 * Locks: `lock` guards the two lists and the counters; it is a leaf, taken for a few instructions.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "block/aio.h"
#include "block/block.h"

#define MAX_THREADS 4
#define POLL_BATCH  256
/* Small calls come by the dozen: the loop takes several at once. */
#define HURRY_BYTES (64 * 1024)
/* What a vCPU takes over at once: bytes, number. One that took longer than HELP_LONG waited. */
#define HELP_BYTES (1024u * 1024u)
#define HELP_MANY  4
#define HELP_LONG  (2 * NS_PER_MS)
#define HELP_PAUSE 1000
#define HELP_TRUST 8
#define LATE       (500 * NS_PER_US)
#define DOUBT_MAX  4096

struct aio_threads {
	struct aio aio;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue;    /* to run */
	struct list finished; /* req->result holds what the call returned */
	pthread_t threads[MAX_THREADS];
	unsigned n_threads, idle, queued;
	bool stop, sync;
	struct loop_idle help;
	unsigned helping; /* threads */
	ns_t help_from;   /* not before */
	int trust;        /* writes helped with in a row */
	int doubt;        /* trust starts at this many below zero */
	struct loop_timer *late;
	pthread_cond_t helped;
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

static int64_t run_request(struct aio_threads *t, struct block_req *req)
{
	struct aio_call call;

	t->aio.client.prepare(t->aio.client.ctx, req, &call);
	return run_call(&call);
}

/* Tell of what has ended; for a large call, and one that was helped with, the loop need not wake.
 */
static void tell(struct aio_threads *t, bool hurry)
{
	uint64_t one = 1;

	if (hurry && t->aio.client.hurry && t->aio.client.hurry(t->aio.client.ctx))
		return;
	if (write(t->aio.event_fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: the counter is full, so the event is already there */
}

static struct block_req *take_locked(struct aio_threads *t)
{
	struct block_req *req = LIST_ENTRY(t->queue.next, struct block_req, node);

	list_remove(&req->node);
	t->queued--;
	return req;
}

static void *worker(void *arg)
{
	struct aio_threads *t = arg;

	pthread_mutex_lock(&t->lock);
	for (;;) {
		struct block_req *req;
		int64_t res;

		while (list_empty(&t->queue) && !t->stop) {
			t->idle++;
			pthread_cond_wait(&t->work, &t->lock);
			t->idle--;
		}
		if (list_empty(&t->queue))
			break;
		req = take_locked(t);
		pthread_mutex_unlock(&t->lock);

		res = run_request(t, req);

		pthread_mutex_lock(&t->lock);
		req->result = res;
		list_append(&t->finished, &req->node);
		pthread_mutex_unlock(&t->lock);
		tell(t, res >= HURRY_BYTES);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* loop_idle.claim */
static bool help_claim(void *ctx, struct list *claimed)
{
	struct aio_threads *t = ctx;
	uint64_t bytes = 0;
	unsigned n = 0;

	pthread_mutex_lock(&t->lock);
	while (n < HELP_MANY && !list_empty(&t->queue)) {
		struct block_req *req = LIST_ENTRY(t->queue.next, struct block_req, node);

		bytes += req->len;
		if (req->op != BLOCK_WRITE || bytes > HELP_BYTES ||
		    (!n && t->help_from && host_now_ns() < t->help_from))
			break;
		list_append(claimed, &take_locked(t)->node);
		n++;
	}
	t->helping += n > 0;
	pthread_mutex_unlock(&t->lock);
	return n > 0;
}

/* How often this thread gave the processor up of its own accord: not when it was preempted. */
static long times_waited(void)
{
	struct rusage u = {0};

	getrusage(RUSAGE_THREAD, &u);
	return u.ru_nvcsw;
}

/* loop_idle.run */
static void help_run(void *ctx, struct list *claimed)
{
	struct aio_threads *t = ctx;
	long waits = times_waited();
	ns_t began = host_now_ns(), took;

	LIST_FOR_EACH(it, claimed)
	{
		struct block_req *req = LIST_ENTRY(it, struct block_req, node);

		req->result = run_request(t, req);
	}
	took = host_now_ns() - began;
	pthread_mutex_lock(&t->lock);
	t->help_from = took > HELP_LONG && times_waited() != waits ? began + took * HELP_PAUSE : 0;
	t->trust = t->help_from ? 0 : MIN(t->trust + 1, HELP_TRUST);
	LIST_FOR_EACH_SAFE(it, claimed)
	{
		list_remove(it);
		list_append(&t->finished, it);
	}
	pthread_mutex_unlock(&t->lock);
	tell(t, true);
	pthread_mutex_lock(&t->lock);
	if (--t->helping == 0)
		pthread_cond_broadcast(&t->helped);
	pthread_mutex_unlock(&t->lock);
}

/* loop_timer: nobody helped with what waits. Outer lock held. */
static void late(void *ctx)
{
	struct aio_threads *t = ctx;

	pthread_mutex_lock(&t->lock);
	if (!list_empty(&t->queue)) {
		t->doubt = MIN(MAX(2 * t->doubt, 8 * HELP_TRUST), DOUBT_MAX);
		t->trust = -t->doubt;
		pthread_cond_broadcast(&t->work);
	}
	pthread_mutex_unlock(&t->lock);
}

/* Whether the calling thread will look for work before it sleeps: a vCPU's. */
static bool will_help(const struct aio_threads *t)
{
	if (!t->late || loop_on_thread(t->aio.client.loop))
		return false;
	for (unsigned i = 0; i < t->n_threads; i++)
		if (pthread_equal(pthread_self(), t->threads[i]))
			return false;
	return true;
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
	uint64_t one = 1;

	req->result = run_request(t, req);
	list_append(&t->finished, &req->node);
	if (write(t->aio.event_fd, &one, sizeof(one)) < 0)
		return; /* counter full: the event is already there */
}

static void threads_submit(struct aio *aio, struct block_req *req)
{
	struct aio_threads *t = CONTAINER_OF(aio, struct aio_threads, aio);
	bool quiet;

	if (t->sync) {
		run_now(t, req);
		return;
	}
	pthread_mutex_lock(&t->lock);
	quiet = t->trust == HELP_TRUST && req->op == BLOCK_WRITE && req->len <= HELP_BYTES &&
		will_help(t);
	if (quiet && list_empty(&t->queue))
		loop_timer_arm(t->late, host_now_ns() + LATE);
	list_append(&t->queue, &req->node);
	t->queued++;
	/* When the host gives no thread, those that run will get to it; the first one exists. */
	if (!quiet)
		(void)grow_locked(t);
	pthread_mutex_unlock(&t->lock);
	/* A thread that wakes up while the lock is held would go back to sleep. */
	if (!quiet)
		pthread_cond_signal(&t->work);
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

static void threads_hasten(struct aio *aio)
{
	struct aio_threads *t = CONTAINER_OF(aio, struct aio_threads, aio);

	pthread_mutex_lock(&t->lock);
	if (!list_empty(&t->queue))
		pthread_cond_broadcast(&t->work);
	pthread_mutex_unlock(&t->lock);
}

static void threads_free(struct aio *aio)
{
	struct aio_threads *t = CONTAINER_OF(aio, struct aio_threads, aio);

	if (t->late)
		loop_del_idle(t->aio.client.loop, &t->help);
	loop_timer_free(t->late);
	pthread_mutex_lock(&t->lock);
	t->stop = true;
	pthread_cond_broadcast(&t->work);
	while (t->helping)
		pthread_cond_wait(&t->helped, &t->lock);
	pthread_mutex_unlock(&t->lock);
	for (unsigned i = 0; i < t->n_threads; i++)
		pthread_join(t->threads[i], NULL);
	pthread_cond_destroy(&t->work);
	pthread_cond_destroy(&t->helped);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct aio_ops threads_ops = {
	.name = "threads",
	.submit = threads_submit,
	.poll = threads_poll,
	.hasten = threads_hasten,
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
	pthread_cond_init(&t->helped, NULL);
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
	t->help = (struct loop_idle){.claim = help_claim, .run = help_run, .ctx = t};
	if (client->loop) {
		t->late = loop_timer_new(client->loop, late, t);
		loop_add_idle(client->loop, &t->help);
	}
	*ret_aio = &t->aio;
	return 0;
}
