/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DMA: copies between device code and guest RAM, and host pointers for zero-copy I/O. Only RAM (and
 * ROM, for reading) can be reached, so no device code ever runs below a DMA call: a device can't be
 * made to call into itself or another through guest memory.
 *
 * The guest may write the same bytes at the same time. Aligned copies of 2, 4 and 8 bytes are done
 * in one access, so that ring indices and descriptors fields are never seen torn; longer copies
 * promise nothing, as on a bus.
 */
#include "mem/internal.h"

#include <errno.h>

#include "mem/guest.h"

/* Single elements move in one access, the rest as fast as it goes. */
static void copy_once(void *to, const void *from, size_t len)
{
	if (len <= 8)
		guest_copy(to, from, len);
	else
		guest_copy_bulk(to, from, len);
}

/* Bytes of the run from @gpa on. */
static uint64_t run_left(const struct mem_ref *ref, gpa_t gpa)
{
	return ref->len - (gpa - ref->start);
}

int mem_read(struct mem_space *space, gpa_t from, void *to, size_t len)
{
	uint8_t *dst = to;
	int r = 0;

	pthread_rwlock_rdlock(&space->lock);
	while (len) {
		struct mem_ref ref;
		size_t n;

		space_find_locked(space, from, &ref);
		if (ref.kind != MEM_RAM && ref.kind != MEM_ROM) {
			r = -EFAULT;
			break;
		}
		n = MIN(len, run_left(&ref, from));
		copy_once(dst, ref.block->host + ref.block_off, n);
		from += n;
		dst += n;
		len -= n;
	}
	pthread_rwlock_unlock(&space->lock);
	return r;
}

int mem_write(struct mem_space *space, gpa_t to, const void *from, size_t len)
{
	const uint8_t *src = from;
	int r = 0;

	pthread_rwlock_rdlock(&space->lock);
	while (len) {
		struct mem_ref ref;
		size_t n;

		space_find_locked(space, to, &ref);
		if (ref.kind != MEM_RAM) {
			r = -EFAULT;
			break;
		}
		n = MIN(len, run_left(&ref, to));
		copy_once(ref.block->host + ref.block_off, src, n);
		block_written_locked(space, ref.block, ref.block_off, n);
		to += n;
		src += n;
		len -= n;
	}
	pthread_rwlock_unlock(&space->lock);
	return r;
}

void *mem_map_dma(struct mem_space *space, gpa_t gpa, size_t *len, bool write)
{
	struct mem_ref ref;

	mem_lookup(space, gpa, &ref);
	if (ref.kind != MEM_RAM && (write || ref.kind != MEM_ROM))
		return NULL;
	*len = MIN(*len, run_left(&ref, gpa));
	return ref.block->host + ref.block_off;
}

void mem_dma_done(struct mem_space *space, gpa_t gpa, size_t len)
{
	pthread_rwlock_rdlock(&space->lock);
	while (len) {
		struct mem_ref ref;
		size_t n;

		space_find_locked(space, gpa, &ref);
		n = MIN(len, run_left(&ref, gpa));
		if (!n)
			break; /* the last byte of the address space is never mapped */
		if (ref.kind == MEM_RAM)
			block_written_locked(space, ref.block, ref.block_off, n);
		gpa += n;
		len -= n;
	}
	pthread_rwlock_unlock(&space->lock);
}
