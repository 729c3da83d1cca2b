/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk in memory (fake_block.h). Checks what a device owes the block layer: ranges that were
 * checked, iovecs that sum up to the length.
 */
#include "fake_block.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct block *fake_block_new(uint64_t size)
{
	struct block *b = xnew(struct block);

	b->data = xcalloc(1, size);
	b->size = size;
	b->can_discard = true;
	list_init(&b->queue);
	list_init(&b->parked);
	return b;
}

void fake_block_free(struct block *b)
{
	free(b->data);
	free(b);
}

static void move(const struct block_req *req, uint8_t *disk, bool to_disk)
{
	for (int i = 0; i < req->niov; i++) {
		if (to_disk)
			memcpy(disk, req->iov[i].iov_base, req->iov[i].iov_len);
		else
			memcpy(req->iov[i].iov_base, disk, req->iov[i].iov_len);
		disk += req->iov[i].iov_len;
	}
}

static void perform(struct block *b, struct block_req *req)
{
	int result = b->fail;

	b->fail = 0;
	if (req->op != BLOCK_READ && req->op != BLOCK_FLUSH && b->read_only)
		result = -EROFS;
	if (result == 0) {
		switch (req->op) {
		case BLOCK_READ: move(req, b->data + req->off, false); break;
		case BLOCK_WRITE:
			move(req, b->data + req->off, true);
			b->fua_writes += req->fua;
			break;
		case BLOCK_DISCARD: b->discards++; break;
		case BLOCK_ZEROES: memset(b->data + req->off, 0, req->len); break;
		case BLOCK_FLUSH: b->flushes++; break;
		default: check(false);
		}
	}
	req->done(req, result);
}

unsigned fake_block_run(struct block *b, unsigned n, bool reverse)
{
	unsigned done = 0;

	while (done < n && !list_empty(&b->queue)) {
		struct block_req *req =
			LIST_ENTRY(reverse ? b->queue.prev : b->queue.next, struct block_req, node);
		list_remove(&req->node);
		b->n_queued--;
		done++;
		if (b->no_space && (req->op == BLOCK_WRITE || req->op == BLOCK_ZEROES)) {
			list_append(&b->parked, &req->node);
			b->n_parked++;
			continue;
		}
		perform(b, req);
	}
	return done;
}

void block_submit(struct block *b, struct block_req *req)
{
	uint64_t sum = 0;

	for (int i = 0; i < req->niov; i++)
		sum += req->iov[i].iov_len;
	if (req->op == BLOCK_READ || req->op == BLOCK_WRITE)
		check(sum == req->len);
	if (req->op != BLOCK_FLUSH)
		check(req->off % 512 == 0 && req->len % 512 == 0 && req->off <= b->size &&
		      req->len <= b->size - req->off);
	b->submitted++;
	list_append(&b->queue, &req->node);
	b->n_queued++;
}

void block_gather(struct block *b)
{
	(void)b;
}

void block_gathered(struct block *b)
{
	(void)b;
}

void block_drain(struct block *b)
{
	while (fake_block_run(b, 1, false))
		;
}

void block_abort_parked(struct block *b)
{
	while (!list_empty(&b->parked)) {
		struct block_req *req = LIST_ENTRY(b->parked.next, struct block_req, node);
		list_remove(&req->node);
		b->n_parked--;
		req->done(req, -EIO);
	}
}

void block_retry(struct block *b)
{
	while (!list_empty(&b->parked)) {
		struct block_req *req = LIST_ENTRY(b->parked.next, struct block_req, node);
		list_remove(&req->node);
		b->n_parked--;
		block_submit(b, req);
	}
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
	return b->can_discard;
}
