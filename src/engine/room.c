/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the states of a VM's processors are, with room for code next to them (engine/engine.h):
 * instructions reach operands less than 2 GiB away relative to RIP. Only addresses are reserved.
 */
#include "engine/engine.h"

#include <errno.h>
#include <sys/mman.h>

#include "base/bits.h"
#include "base/leaks.h"

#define ROOM_EACH (264 * MIB) /* the most of one vCPU */
#define ROOM_MOST (1792 * MIB)

void *engine_room_new(struct engine_room *r, size_t size, unsigned n_cpus, struct error *err)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	size_t room = MIN(n_cpus * ROOM_EACH, ROOM_MOST);
	uint8_t *p;

	size = align_up(size, 4096);
	p = mmap(NULL, size + room, PROT_NONE, flags, -1, 0);
	if (p == MAP_FAILED) { /* addresses are limited */
		room = 0;
		p = mmap(NULL, size, PROT_NONE, flags, -1, 0);
	}
	if (p != MAP_FAILED && mprotect(p, size, PROT_READ | PROT_WRITE) < 0) {
		munmap(p, size + room);
		p = MAP_FAILED;
	}
	if (p == MAP_FAILED) {
		error_set(err, -ENOMEM, "no host memory for %u vCPUs (%zu bytes)", n_cpus, size);
		return NULL;
	}
	leaks_look_in(p, size, true);
	r->at = p + size;
	r->size = room;
	atomic_store(&r->used, 0);
	r->cpus = p;
	return p;
}

void engine_room_done(struct engine_room *r)
{
	if (!r->cpus)
		return;
	leaks_look_in(r->cpus, (size_t)(r->at - (uint8_t *)r->cpus), false);
	munmap(r->cpus, (size_t)(r->at + r->size - (uint8_t *)r->cpus));
	r->cpus = NULL;
}
