/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of guest RAM for one request (dma_list.h).
 */
#include "device/storage/dma_list.h"

#include <errno.h>

#include "base/bits.h"
#include "mem/guest.h"

void dma_list_clear(struct dma_list *l, bool to_memory)
{
	l->n = 0;
	l->bytes = 0;
	l->to_memory = to_memory;
}

int dma_list_add(struct dma_list *l, struct mem_space *mem, gpa_t gpa, uint64_t len)
{
	while (len) {
		struct iovec *last = l->n ? &l->iov[l->n - 1] : NULL;
		size_t n = (size_t)MIN(len, (uint64_t)1 << 30);
		uint8_t *host = mem_map_dma(mem, gpa, &n, l->to_memory);

		if (!host || !n)
			return -EFAULT;
		if (last && (uint8_t *)last->iov_base + last->iov_len == host &&
		    l->gpa[l->n - 1] + last->iov_len == gpa) {
			last->iov_len += n;
		} else if (l->n == l->cap) {
			return -E2BIG;
		} else {
			l->iov[l->n] = (struct iovec){.iov_base = host, .iov_len = n};
			l->gpa[l->n++] = gpa;
		}
		l->bytes += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

void dma_list_trim(struct dma_list *l, uint64_t bytes)
{
	while (l->bytes > bytes) {
		struct iovec *last = &l->iov[l->n - 1];
		size_t cut = (size_t)MIN(l->bytes - bytes, (uint64_t)last->iov_len);

		last->iov_len -= cut;
		l->bytes -= cut;
		if (!last->iov_len)
			l->n--;
	}
}

void dma_list_done(const struct dma_list *l, struct mem_space *mem)
{
	for (unsigned i = 0; l->to_memory && i < l->n; i++)
		mem_dma_done(mem, l->gpa[i], l->iov[i].iov_len);
}

uint64_t dma_list_copy(const struct dma_list *l, struct mem_space *mem, uint64_t at, void *buf,
		       uint64_t len)
{
	uint8_t *b = buf;
	uint64_t done = 0;

	for (unsigned i = 0; i < l->n && done < len; i++) {
		size_t n = l->iov[i].iov_len, skip = (size_t)MIN(at, (uint64_t)n);
		uint8_t *host = (uint8_t *)l->iov[i].iov_base + skip;

		at -= skip;
		n = (size_t)MIN((uint64_t)(n - skip), len - done);
		if (!n)
			continue;
		if (l->to_memory) {
			guest_copy_bulk(host, b + done, n);
			mem_dma_done(mem, l->gpa[i] + skip, n);
		} else {
			guest_copy_bulk(b + done, host, n);
		}
		done += n;
	}
	return done;
}
