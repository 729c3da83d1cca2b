/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RAM blocks: sealed memfd mappings between guards, the dirty log, discarding.
 *
 * A block's file can neither shrink nor grow after creation (F_SEAL_SHRINK, F_SEAL_GROW): whoever
 * else gets the descriptor (a helper process, a fork of the VM) can't make our accesses fault. The
 * mapping stands inside a PROT_NONE reservation, so that an address computed 4 GiB off in either
 * direction faults instead of reading the VMM.
 *
 * Locks: the block list is guarded by the space's lock. Dirty words and code bytes are atomics. A
 * block's dirty array appears before dirty_on is set and stays until the space is freed, so writers
 * that saw dirty_on may use it without a lock.
 */
#include "mem/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/meminfo.h"

static uint64_t pages_of(uint64_t size)
{
	return size >> MEM_PAGE_SHIFT;
}

static uint64_t dirty_words(const struct ram_block *b)
{
	return (pages_of(b->size) + 63) / 64;
}

/* The file behind a block: size fixed for good. */
static int sealed_memfd(const char *name, uint64_t size)
{
	char full[64];
	int fd, r;

	snprintf(full, sizeof(full), "bothy-%s", name);
	fd = memfd_create(full, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* Maps @fd between guards as large as the address space (ulimit -v) permits. */
static int map_guarded(int fd, uint64_t size, uint8_t **ret_host, uint64_t *ret_guard)
{
	static const uint64_t guards[] = {4 * GIB, 64 * MIB, MIB, MEM_PAGE_SIZE};
	uint8_t *base = MAP_FAILED;
	uint64_t guard = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(guards) && base == MAP_FAILED; i++) {
		guard = guards[i];
		base = mmap(NULL, size + 2 * guard, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	}
	if (base == MAP_FAILED)
		return -errno;
	if (mmap(base + guard, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED,
		 fd, 0) == MAP_FAILED) {
		int r = -errno;

		munmap(base, size + 2 * guard);
		return r;
	}
	*ret_host = base + guard;
	*ret_guard = guard;
	return 0;
}

/* A block plus what only this file needs of it. */
struct block_full {
	struct ram_block b;
	uint64_t guard; /* bytes of PROT_NONE either side of b.host */
};

static void block_free(struct ram_block *b)
{
	struct block_full *full = CONTAINER_OF(b, struct block_full, b);

	if (b->host)
		munmap(b->host - full->guard, b->size + 2 * full->guard);
	if (b->fd >= 0)
		close(b->fd);
	free((void *)b->code);
	free((void *)b->dirty);
	free(b->name);
	free(full);
}

static int out_of_memory(struct error *err, const char *name, uint64_t size, const char *why)
{
	return error_set(
		err, -ENOMEM,
		"can't allocate %llu MiB of guest memory for '%s': %s; give the guest less "
		"memory or free some on the host",
		(unsigned long long)((size + MIB - 1) / MIB), name, why);
}

int mem_ram_new(struct mem_space *space, const char *name, uint64_t size,
		struct ram_block **ret_block, struct error *err)
{
	uint64_t avail = host_mem_available();
	struct block_full *full;
	struct ram_block *b;
	char why[128];
	int r;

	if (!size || size % MEM_PAGE_SIZE || size > (uint64_t)INT64_MAX / 2)
		return error_set(
			err, size > (uint64_t)INT64_MAX / 2 ? -ENOMEM : -EINVAL,
			"guest memory '%s' of %llu bytes: the size must be a multiple of 4 "
			"KiB and possible",
			name, (unsigned long long)size);
	if (mem_block_find(space, name))
		return error_set(err, -EEXIST, "there are two memory blocks named '%s'", name);
	if (size > avail) {
		snprintf(why, sizeof(why), "the host has only %llu MiB available",
			 (unsigned long long)(avail / MIB));
		return out_of_memory(err, name, size, why);
	}
	full = xnew(struct block_full);
	b = &full->b;
	b->space = space;
	b->name = xstrdup(name);
	b->size = size;
	b->fd = sealed_memfd(name, size);
	r = b->fd < 0 ? b->fd : map_guarded(b->fd, size, &b->host, &full->guard);
	if (!r) {
		b->code = xtry_calloc(align_up(pages_of(size), 8), 1); /* looked at in eights */
		r = b->code ? 0 : -ENOMEM;
	}
	if (!r && mem_dirty_on(space)) {
		b->dirty = xtry_calloc(dirty_words(b), sizeof(uint64_t));
		r = b->dirty ? 0 : -ENOMEM;
	}
	if (r) {
		block_free(b);
		return r == -ENOMEM
			       ? out_of_memory(err, name, size, strerror(-r))
			       : error_set(err, r, "can't create guest memory '%s' (%llu MiB): %s",
					   name, (unsigned long long)(size / MIB), strerror(-r));
	}
	pthread_rwlock_wrlock(&space->lock);
	b->ram_offset = space->ram_total;
	space->ram_total += size;
	list_append(&space->blocks, &b->node);
	pthread_rwlock_unlock(&space->lock);
	*ret_block = b;
	return 0;
}

void space_free_blocks(struct mem_space *space)
{
	LIST_FOR_EACH_SAFE(it, &space->blocks)
	{
		block_free(LIST_ENTRY(it, struct ram_block, node));
	}
}

struct ram_block *mem_block_find(struct mem_space *space, const char *name)
{
	struct ram_block *found = NULL;

	pthread_rwlock_rdlock(&space->lock);
	LIST_FOR_EACH(it, &space->blocks)
	{
		struct ram_block *b = LIST_ENTRY(it, struct ram_block, node);

		if (!strcmp(b->name, name)) {
			found = b;
			break;
		}
	}
	pthread_rwlock_unlock(&space->lock);
	return found;
}

struct ram_block *mem_block_at(struct mem_space *space, uint64_t ram_offset)
{
	struct ram_block *found = NULL;

	pthread_rwlock_rdlock(&space->lock);
	LIST_FOR_EACH(it, &space->blocks)
	{
		struct ram_block *b = LIST_ENTRY(it, struct ram_block, node);

		if (ram_offset >= b->ram_offset && ram_offset - b->ram_offset < b->size) {
			found = b;
			break;
		}
	}
	pthread_rwlock_unlock(&space->lock);
	return found;
}

struct ram_block *mem_block_of(struct mem_space *space, const void *host)
{
	struct ram_block *found = NULL;

	pthread_rwlock_rdlock(&space->lock);
	LIST_FOR_EACH(it, &space->blocks)
	{
		struct ram_block *b = LIST_ENTRY(it, struct ram_block, node);

		if ((uintptr_t)host - (uintptr_t)b->host < b->size) {
			found = b;
			break;
		}
	}
	pthread_rwlock_unlock(&space->lock);
	return found;
}

uint64_t mem_ram_total(const struct mem_space *space)
{
	struct mem_space *s = (struct mem_space *)space; /* for its lock */
	uint64_t total;

	pthread_rwlock_rdlock(&s->lock);
	total = s->ram_total;
	pthread_rwlock_unlock(&s->lock);
	return total;
}

void block_written_locked(struct mem_space *space, struct ram_block *block, uint64_t off,
			  uint64_t len)
{
	uint64_t first = off >> MEM_PAGE_SHIFT, last;
	bool code = false;

	if (!len)
		return;
	dcheck(off < block->size && len <= block->size - off);
	last = (off + len - 1) >> MEM_PAGE_SHIFT;
	/* The store before the looks at dirty_on and the code bytes: an engine that sets a code
	 * byte now and then reads the page must see it. Engines fence for their own threads'
	 * stores. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&space->dirty_on, memory_order_acquire))
		for (uint64_t p = first; p <= last; p++)
			if (!(atomic_load_explicit(&block->dirty[p / 64], memory_order_relaxed) &
			      BIT(p % 64)))
				atomic_fetch_or(&block->dirty[p / 64], BIT(p % 64));
	for (uint64_t p = first; p <= last && !code; p++)
		code = atomic_load_explicit(&block->code[p], memory_order_acquire) != 0;
	if (!code)
		return;
	LIST_FOR_EACH(it, &space->listeners)
	{
		struct mem_listener *l = LIST_ENTRY(it, struct mem_listener, node);

		if (l->code_written)
			l->code_written(l, block, off, len);
	}
}

void mem_block_written(struct mem_space *space, struct ram_block *block, uint64_t off, uint64_t len)
{
	pthread_rwlock_rdlock(&space->lock);
	block_written_locked(space, block, off, len);
	pthread_rwlock_unlock(&space->lock);
}

bool mem_dirty_on(const struct mem_space *space)
{
	return atomic_load_explicit(&space->dirty_on, memory_order_acquire);
}

int mem_dirty_start(struct mem_space *space, struct error *err)
{
	int r = 0;

	pthread_rwlock_wrlock(&space->lock);
	LIST_FOR_EACH(it, &space->blocks)
	{
		struct ram_block *b = LIST_ENTRY(it, struct ram_block, node);

		if (!b->dirty) {
			b->dirty = xtry_calloc(dirty_words(b), sizeof(uint64_t));
			if (!b->dirty) {
				r = error_set(err, -ENOMEM, "no memory for the dirty log of '%s'",
					      b->name);
				break;
			}
		}
		for (uint64_t i = 0; i < dirty_words(b); i++)
			atomic_store_explicit(&b->dirty[i], 0, memory_order_relaxed);
	}
	if (!r)
		atomic_store_explicit(&space->dirty_on, true, memory_order_release);
	pthread_rwlock_unlock(&space->lock);
	if (!r)
		space_notify(space);
	return r;
}

void mem_dirty_stop(struct mem_space *space)
{
	atomic_store_explicit(&space->dirty_on, false, memory_order_release);
	space_notify(space);
}

void mem_dirty_fetch(struct mem_space *space, struct ram_block *block, uint64_t *bits)
{
	for (uint64_t i = 0; i < dirty_words(block); i++)
		bits[i] = block->dirty ? atomic_exchange(&block->dirty[i], 0) : 0;
	/* Engines may skip the log for pages they know to be dirty: make them forget. */
	space_notify(space);
}

int mem_discard(struct ram_block *block, uint64_t off, uint64_t len)
{
	uint64_t end, start;

	if (off > block->size || len > block->size - off)
		return -EINVAL;
	start = align_up(off, MEM_PAGE_SIZE);
	end = align_down(off + len, MEM_PAGE_SIZE);
	if (start >= end)
		return 0;
	if (fallocate(block->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)start,
		      (off_t)(end - start)) < 0)
		return -errno;
	mem_block_written(block->space, block, start, end - start);
	return 0;
}
