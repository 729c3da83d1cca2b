/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front of the block layer: checks requests, keeps FLUSH honest, parks what the host has no
 * space for, drains, counts. The semantics are promised in block/block.h; the way of a request is
 * drawn in block/impl.h.
 *
 * FLUSH and FUA: both end in the flush queue, which runs one fdatasync() at a time for everything
 * that was waiting when it started. An fdatasync() covers all writes that completed before it
 * starts, so everything acknowledged before a FLUSH was submitted is covered. A FUA write is a
 * write followed by a FLUSH of its own (RWF_DSYNC would be a second place that may swallow the
 * kernel's error report, see `flush_wait` in impl.h).
 *
 * A failed fdatasync() is sticky: the kernel has dropped the dirty state of the pages it could not
 * write, so a later success would be a lie.
 *
 * Host without space (ENOSPC, EDQUOT): the request, with what it has already written, waits in
 * `parked` until block_retry().
 */
#include "block/block.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/log.h"
#include "block/impl.h"
#include "block/shim.h"

#define SECTOR     512u
#define READY_TURN 256u /* requests of the ready list completed in one turn */

static const struct block_driver *const drivers[] = {&block_raw_driver};

void block_kick(struct block *b)
{
	uint64_t one = 1;

	if (write(b->event_fd, &one, sizeof(one)) < 0)
		return; /* EAGAIN: the counter is full, a turn comes anyway */
}

/* @req ends with @result in the next turn: nothing more happens to it. */
static void end_later(struct block *b, struct block_req *req, int result)
{
	req->result = result;
	list_append(&b->ready, &req->node);
	block_kick(b);
}

static void park(struct block *b, struct block_req *req)
{
	struct list *before = &b->parked;

	LIST_FOR_EACH(it, &b->parked)
	{
		if (LIST_ENTRY(it, struct block_req, node)->seq > req->seq) {
			before = it;
			break;
		}
	}
	list_append(before, &req->node);
	b->in_flight--;
	b->n.parked++;
	if (b->enospc_told)
		return;
	b->enospc_told = true;
	log_warn("block/%s: no space left on the host: request waits: offset %llu length %llu",
		 b->path, (unsigned long long)req->off, (unsigned long long)req->len);
	if (b->enospc)
		b->enospc(b->enospc_ctx, b);
}

static void finish(struct block *b, struct block_req *req, int result)
{
	if (result < 0) {
		b->n.errors++;
		if (result != -EINVAL && result != -EROFS)
			result = -EIO;
	}
	b->in_flight--;
	req->done(req, result);
}

static void flush_start(struct block *b)
{
	if (b->flush_active || list_empty(&b->flush_wait))
		return;
	while (!list_empty(&b->flush_wait)) {
		struct list *node = b->flush_wait.next;

		list_remove(node);
		list_append(&b->flush_batch, node);
	}
	b->flush_active = true;
	memset(&b->flush_req, 0, sizeof(b->flush_req));
	b->flush_req.op = BLOCK_FLUSH;
	b->flush_req.seq = b->next_seq++;
	list_init(&b->flush_req.node);
	if (b->shim)
		shim_submit(b->shim, &b->flush_req);
	else
		block_issue(b, &b->flush_req);
}

static void flush_finished(struct block *b, int result)
{
	struct list batch;

	if (result < 0 && !b->flush_error) {
		b->flush_error = result;
		log_err("block/%s: flush failed: %s: data may be lost; every later flush fails too",
			b->path, strerror(-result));
	}
	list_init(&batch);
	while (!list_empty(&b->flush_batch)) {
		struct list *node = b->flush_batch.next;

		list_remove(node);
		list_append(&batch, node);
	}
	b->flush_active = false;
	while (!list_empty(&batch)) {
		struct block_req *req = LIST_ENTRY(batch.next, struct block_req, node);

		list_remove(&req->node);
		finish(b, req, b->flush_error);
	}
	flush_start(b);
}

/* @req, a FLUSH or a FUA write whose data has been written, is done after the next fdatasync(). */
static void flush_join(struct block *b, struct block_req *req)
{
	if (b->flush_error) {
		end_later(b, req, -EIO);
		return;
	}
	list_append(&b->flush_wait, &req->node);
	flush_start(b);
}

void block_io_final(struct block *b, struct block_req *req, int result)
{
	if (req == &b->flush_req) {
		flush_finished(b, result);
		return;
	}
	switch (req->op) {
	case BLOCK_DISCARD: result = 0; break; /* a hint: what the host cannot do is not an error */
	case BLOCK_WRITE:
	case BLOCK_ZEROES:
		if (result == -ENOSPC || result == -EDQUOT) {
			park(b, req);
			return;
		}
		if (result == 0 && req->fua && !b->unsafe) {
			flush_join(b, req);
			return;
		}
		break;
	default: break;
	}
	finish(b, req, result);
}

void block_io_done(struct block *b, struct block_req *req, int result)
{
	if (b->shim)
		shim_result(b->shim, req, &result);
	block_io_final(b, req, result);
}

void block_issue(struct block *b, struct block_req *req)
{
	b->driver->submit(b, req);
}

static void dispatch(struct block *b, struct block_req *req)
{
	if (b->shim)
		shim_submit(b->shim, req);
	else
		block_issue(b, req);
}

/* One turn of completions. Outer lock held; loop's thread or block_drain()'s caller. */
static void block_turn(struct block *b)
{
	uint64_t count;

	if (read(b->event_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
		log_warn("block/%s: eventfd: %s", b->path, strerror(errno));
	aio_poll(b->aio);
	if (b->shim)
		shim_turn(b->shim);
	for (unsigned i = 0; i < READY_TURN && !list_empty(&b->ready); i++) {
		struct block_req *req = LIST_ENTRY(b->ready.next, struct block_req, node);

		list_remove(&req->node);
		finish(b, req, (int)req->result);
	}
	if (!list_empty(&b->ready))
		block_kick(b);
}

bool block_turn_now(struct block *b)
{
	if (b->shim || !loop_enter(b->loop))
		return false;
	block_turn(b);
	loop_leave(b->loop);
	return true;
}

static void on_event(void *ctx, uint32_t events)
{
	block_turn(ctx);
}

/* 1: go on; 0: nothing to do, done; -errno: refused. Everything in @req came from a guest. */
static int validate(const struct block *b, const struct block_req *req)
{
	uint64_t end, sum = 0;

	if ((unsigned)req->op >= BLOCK_OP_COUNT)
		return -EINVAL;
	if (req->op == BLOCK_FLUSH)
		return b->read_only || b->unsafe ? 0 : 1;
	if (req->off % SECTOR || req->len % SECTOR || ckd_add(&end, req->off, req->len) ||
	    end > b->size)
		return -EINVAL;
	if (req->op != BLOCK_READ && b->read_only)
		return -EROFS;
	if (req->op == BLOCK_READ || req->op == BLOCK_WRITE) {
		if (req->niov < 0)
			return -EINVAL;
		for (int i = 0; i < req->niov; i++) {
			if (ckd_add(&sum, sum, req->iov[i].iov_len))
				return -EINVAL;
		}
		if (sum != req->len)
			return -EINVAL;
	}
	if (req->len == 0 || (req->op == BLOCK_DISCARD && !b->can_discard))
		return 0;
	return 1;
}

static void count(struct block *b, const struct block_req *req)
{
	switch (req->op) {
	case BLOCK_READ:
		b->n.reads++;
		b->n.read_bytes += req->len;
		break;
	case BLOCK_WRITE:
	case BLOCK_ZEROES:
		b->n.writes++;
		b->n.write_bytes += req->len;
		break;
	case BLOCK_FLUSH: b->n.flushes++; break;
	case BLOCK_DISCARD: b->n.discards++; break;
	default: break;
	}
}

void block_submit(struct block *b, struct block_req *req)
{
	int r;

	list_init(&req->node);
	req->seq = b->next_seq++;
	req->progress = req->cap = 0;
	req->result = 0;
	req->stage = 0;
	b->in_flight++;
	r = validate(b, req);
	if (r <= 0) {
		/* Even a zero-length FUA write promises what a flush does; nothing was written,
		 * so nothing is pending. */
		end_later(b, req, r);
		return;
	}
	count(b, req);
	if (req->op == BLOCK_FLUSH)
		flush_join(b, req);
	else
		dispatch(b, req);
}

void block_gather(struct block *b)
{
	if (!b->shim) /* a script decides when things end */
		aio_gather(b->aio, true);
}

void block_gathered(struct block *b)
{
	if (!b->shim)
		aio_gather(b->aio, false);
}

void block_drain(struct block *b)
{
	block_gathered(b); /* waits for signals */
	for (;;) {
		struct pollfd pfd = {.fd = b->event_fd, .events = POLLIN};

		block_turn(b);
		if (b->in_flight == 0)
			return;
		/* After the turn: what it finished may have started a flush that is now held. */
		if (b->shim)
			shim_release_all(b->shim);
		aio_hasten(b->aio);
		if (list_empty(&b->ready) && poll(&pfd, 1, -1) < 0 && errno != EINTR)
			log_warn("block/%s: poll: %s", b->path, strerror(errno));
	}
}

void block_set_enospc(struct block *b, void (*fn)(void *ctx, struct block *b), void *ctx)
{
	b->enospc = fn;
	b->enospc_ctx = ctx;
}

void block_retry(struct block *b)
{
	struct list again;

	list_init(&again);
	while (!list_empty(&b->parked)) {
		struct list *node = b->parked.next;

		list_remove(node);
		list_append(&again, node);
	}
	b->enospc_told = false;
	while (!list_empty(&again)) {
		struct block_req *req = LIST_ENTRY(again.next, struct block_req, node);

		list_remove(&req->node);
		b->in_flight++;
		dispatch(b, req);
	}
}

void block_abort_parked(struct block *b)
{
	b->enospc_told = false;
	while (!list_empty(&b->parked)) {
		struct block_req *req = LIST_ENTRY(b->parked.next, struct block_req, node);

		list_remove(&req->node);
		b->in_flight++;
		finish(b, req, -EIO);
	}
}

static int open_driver(struct block *b, const struct block_options *opt, struct error *err)
{
	if (!opt->format)
		return error_set(err, -EINVAL,
				 "disk '%s': no format given, and contents are never probed: say "
				 "format=raw",
				 opt->path);
	for (unsigned i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (strcmp(drivers[i]->format, opt->format) == 0) {
			b->driver = drivers[i];
			return b->driver->open(b, opt, err);
		}
	}
	return error_set(err, -EINVAL,
			 "disk '%s': format '%s' is not supported: convert it with "
			 "`qemu-img convert -O raw`",
			 opt->path, opt->format);
}

int block_open(struct loop *loop, const struct block_options *opt, struct block **ret_block,
	       struct error *err)
{
	struct block *b = xnew(struct block);
	int r;

	b->loop = loop;
	b->path = xstrdup(opt->path);
	b->read_only = opt->read_only;
	b->unsafe = opt->unsafe;
	list_init(&b->ready);
	list_init(&b->parked);
	list_init(&b->flush_wait);
	list_init(&b->flush_batch);
	b->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (b->event_fd < 0) {
		r = error_set(err, -errno, "disk '%s': eventfd: %s", opt->path, strerror(errno));
		goto fail;
	}
	r = open_driver(b, opt, err);
	if (r < 0)
		goto fail;
	r = opt->shim ? shim_new(b, opt->shim, &b->shim, err) : 0;
	if (r < 0)
		goto fail;
	r = loop_add_fd(loop, b->event_fd, EPOLLIN, on_event, b, &b->watch);
	if (r < 0) {
		error_set(err, r, "disk '%s': cannot watch: %s", opt->path, strerror(-r));
		goto fail;
	}
	*ret_block = b;
	return 0;
fail:
	block_close(b);
	return r;
}

void block_close(struct block *b)
{
	if (!b)
		return;
	if (b->watch) {
		int r;

		block_drain(b);
		block_abort_parked(b);
		block_drain(b);
		r = b->read_only || b->unsafe ? 0 : b->driver->sync(b);
		if (r < 0)
			log_err("block/%s: flush on close: %s: data may be lost", b->path,
				strerror(-r));
		loop_del_fd(b->watch);
	}
	shim_free(b->shim);
	if (b->driver)
		b->driver->close(b);
	if (b->event_fd >= 0)
		close(b->event_fd);
	free(b->path);
	free(b);
}

uint64_t block_size(const struct block *b)
{
	return b->size;
}

bool block_read_only(const struct block *b)
{
	return b->read_only;
}

bool block_can_discard(const struct block *b)
{
	return b->can_discard && !b->read_only;
}

const char *block_path(const struct block *b)
{
	return b->path;
}

const char *block_aio_name(const struct block *b)
{
	return b->aio->ops->name;
}

void block_get_counters(const struct block *b, struct block_counters *ret)
{
	*ret = b->n;
}

bool block_shim_stopped(const struct block *b, const char *name)
{
	return b->shim && shim_stopped(b->shim, name);
}

void block_shim_resume(struct block *b, const char *name)
{
	if (b->shim)
		shim_resume(b->shim, name);
}
