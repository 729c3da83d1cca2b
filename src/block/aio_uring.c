/* SPDX-License-Identifier: Apache-2.0 */
/*
 * io_uring engine. Whether it works here is found out by setting a ring up: old kernels, the
 * io_uring_disabled sysctl and container seccomp profiles all show as an error there.
 *
 * Each request is submitted at once. IORING_FEAT_SUBMIT_STABLE (Linux 5.5) is required: the kernel
 * has then copied the iovec array when io_uring_submit() returns, so a window on the stack may go.
 * The ring takes 128 calls; more wait in a list, so the completion queue cannot overflow. A thread
 * that submitted and then ends (a vCPU) cancels its calls: -ECANCELED means "again".
 *
 * Source: io_uring_setup(2), io_uring_enter(2), io_uring_register(2).
 */
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <unistd.h>

#include "block/aio.h"
#include "block/block.h"

#define DEPTH       128
#define POLL_BATCH  256
#define QUIET_BYTES (64u * 1024u)

struct aio_uring {
	struct aio aio;
	struct io_uring ring;
	struct list waiting; /* no room in the ring yet */
	unsigned in_ring;
	bool gathering;
	bool quiet; /* something may have ended without a signal since gathering began */
};

static void kick(struct aio_uring *u)
{
	uint64_t one = 1;

	if (write(u->aio.event_fd, &one, sizeof(one)) < 0)
		return; /* counter full: a turn comes anyway */
}

/* Hand @req to the kernel: true, or false when the kernel has no room now. */
static bool start(struct aio_uring *u, struct block_req *req)
{
	struct io_uring_sqe *sqe;
	struct aio_call call;
	bool quiet;
	int r;

	if (u->in_ring >= DEPTH)
		return false;
	sqe = io_uring_get_sqe(&u->ring);
	if (!sqe)
		return false;
	u->aio.client.prepare(u->aio.client.ctx, req, &call);
	switch (call.kind) {
	case AIO_READV:
		io_uring_prep_readv(sqe, call.fd, call.iov, (unsigned)call.niov, call.off);
		break;
	case AIO_WRITEV:
		io_uring_prep_writev(sqe, call.fd, call.iov, (unsigned)call.niov, call.off);
		break;
	case AIO_FDATASYNC: io_uring_prep_fsync(sqe, call.fd, IORING_FSYNC_DATASYNC); break;
	case AIO_FALLOCATE:
		io_uring_prep_fallocate(sqe, call.fd, call.mode, (off_t)call.off, (off_t)call.len);
		break;
	}
	io_uring_sqe_set_data(sqe, req);
	u->in_ring++;
	/*
	 * A read of what the page cache has ends inside io_uring_submit(), and a large one is
	 * waited for: no need to wake the loop for it. Small ones come by the dozen; the loop
	 * gathers several while the guest submits more. (Before Linux 5.8 there is no such flag.)
	 */
	quiet = u->gathering && req->len >= QUIET_BYTES &&
		io_uring_cq_eventfd_toggle(&u->ring, false) == 0;
	/*
	 * The entry is in the queue now and must not stay there, its iovec may be on our stack. A
	 * kernel short of memory says -EAGAIN or -EBUSY; completions free what it needs.
	 */
	do {
		r = io_uring_submit(&u->ring);
		if (r == -EBUSY || r == -EAGAIN)
			usleep(100);
	} while (r == -EINTR || r == -EBUSY || r == -EAGAIN);
	check(r >= 0);
	if (quiet) {
		io_uring_cq_eventfd_toggle(&u->ring, true);
		u->quiet = true;
	}
	return true;
}

static void start_waiting(struct aio_uring *u)
{
	while (!list_empty(&u->waiting)) {
		struct block_req *req = LIST_ENTRY(u->waiting.next, struct block_req, node);

		list_remove(&req->node);
		if (!start(u, req)) {
			list_prepend(&u->waiting, &req->node);
			return;
		}
	}
}

static void uring_submit(struct aio *aio, struct block_req *req)
{
	struct aio_uring *u = CONTAINER_OF(aio, struct aio_uring, aio);

	list_append(&u->waiting, &req->node);
	start_waiting(u);
}

static void uring_poll(struct aio *aio)
{
	struct aio_uring *u = CONTAINER_OF(aio, struct aio_uring, aio);
	struct io_uring_cqe *cqe;

	for (unsigned i = 0; i < POLL_BATCH; i++) {
		struct block_req *req;
		int res;

		if (io_uring_peek_cqe(&u->ring, &cqe) != 0)
			break;
		req = io_uring_cqe_get_data(cqe);
		res = cqe->res;
		io_uring_cqe_seen(&u->ring, cqe);
		u->in_ring--;
		u->aio.client.done(u->aio.client.ctx, req, res == -ECANCELED ? -EINTR : res);
	}
	start_waiting(u);
	if (io_uring_cq_ready(&u->ring) > 0)
		kick(u);
}

static void uring_gather(struct aio *aio, bool on)
{
	struct aio_uring *u = CONTAINER_OF(aio, struct aio_uring, aio);

	u->gathering = on;
	if (on || !u->quiet)
		return;
	u->quiet = false;
	uring_poll(aio);
	/* What still runs may have found signals off when it ended: look once more. */
	if (u->in_ring > 0)
		kick(u);
}

static void uring_free(struct aio *aio)
{
	struct aio_uring *u = CONTAINER_OF(aio, struct aio_uring, aio);

	io_uring_queue_exit(&u->ring);
	free(u);
}

static const struct aio_ops uring_ops = {
	.name = "io_uring",
	.submit = uring_submit,
	.poll = uring_poll,
	.gather = uring_gather,
	.free = uring_free,
};

int aio_uring_new(int event_fd, const struct aio_client *client, struct aio **ret_aio)
{
	struct aio_uring *u = xnew(struct aio_uring);
	struct io_uring_params params = {0};
	int r = io_uring_queue_init_params(DEPTH, &u->ring, &params);

	if (r < 0) {
		free(u);
		return r;
	}
	if (!(params.features & IORING_FEAT_SUBMIT_STABLE) ||
	    !(params.features & IORING_FEAT_NODROP) ||
	    io_uring_register_eventfd(&u->ring, event_fd) < 0) {
		io_uring_queue_exit(&u->ring);
		free(u);
		return -ENOSYS;
	}
	u->aio.ops = &uring_ops;
	u->aio.client = *client;
	u->aio.event_fd = event_fd;
	list_init(&u->waiting);
	*ret_aio = &u->aio;
	return 0;
}
