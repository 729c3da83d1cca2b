/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of guest RAM for one request: what scatter lists of disk controllers come down to. Runs
 * that follow each other become one piece. Bus lock held.
 */
#ifndef DEVICE_STORAGE_DMA_LIST_H
#define DEVICE_STORAGE_DMA_LIST_H

#include <sys/uio.h>

#include "mem/space.h"

struct dma_list {
	struct iovec *iov; /* [cap], borrowed */
	gpa_t *gpa;        /* [cap], borrowed */
	unsigned cap, n;
	uint64_t bytes;
	bool to_memory;
};

/** dma_list_clear() - empty, for one direction. */
void dma_list_clear(struct dma_list *l, bool to_memory);
/** dma_list_add() - append [@gpa, @gpa+@len). -EFAULT: not all of it is RAM; -E2BIG: no room. */
int dma_list_add(struct dma_list *l, struct mem_space *mem, gpa_t gpa, uint64_t len) MUST_CHECK;
/** dma_list_trim() - drop bytes from the end so that @bytes stay. */
void dma_list_trim(struct dma_list *l, uint64_t bytes);
/** dma_list_done() - the device has written to all of it (if it was to). */
void dma_list_done(const struct dma_list *l, struct mem_space *mem);
/** dma_list_copy() - between @buf and the list from its byte @at on, in its direction; bytes. */
uint64_t dma_list_copy(const struct dma_list *l, struct mem_space *mem, uint64_t at, void *buf,
		       uint64_t len);

#endif
