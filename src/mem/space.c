/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A guest-physical address space: life cycle, listeners, the A20 gate (mem/space.h). The map is in
 * map.c, RAM blocks in ram.c, DMA in dma.c.
 */
#include "mem/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int mem_space_new(struct mem_space **ret_space, struct error *err)
{
	struct mem_space *space = xnew(struct mem_space);
	int r = pthread_rwlock_init(&space->lock, NULL);

	if (r) {
		free(space);
		return error_set(err, -r, "can't create the guest memory map: %s", strerror(r));
	}
	list_init(&space->blocks);
	list_init(&space->mappings);
	list_init(&space->listeners);
	atomic_init(&space->a20, true);
	*ret_space = space;
	return 0;
}

void mem_space_free(struct mem_space *space)
{
	if (!space)
		return;
	LIST_FOR_EACH_SAFE(it, &space->mappings)
	{
		struct mem_mapping *m = LIST_ENTRY(it, struct mem_mapping, node);

		free(m->name);
		free(m);
	}
	space_free_blocks(space);
	free(space->flat);
	pthread_rwlock_destroy(&space->lock);
	free(space);
}

void mem_add_listener(struct mem_space *space, struct mem_listener *l)
{
	pthread_rwlock_wrlock(&space->lock);
	list_append(&space->listeners, &l->node);
	pthread_rwlock_unlock(&space->lock);
}

void mem_del_listener(struct mem_space *space, struct mem_listener *l)
{
	pthread_rwlock_wrlock(&space->lock);
	list_remove(&l->node);
	pthread_rwlock_unlock(&space->lock);
}

void space_notify(struct mem_space *space)
{
	/* The bus lock keeps the list still; the space's lock is free so that a listener may look
	 * addresses up. */
	LIST_FOR_EACH_SAFE(it, &space->listeners)
	{
		struct mem_listener *l = LIST_ENTRY(it, struct mem_listener, node);

		if (l->map_changed)
			l->map_changed(l);
	}
}

void mem_set_a20(struct mem_space *space, bool on)
{
	if (atomic_exchange(&space->a20, on) != on)
		space_notify(space);
}

bool mem_get_a20(const struct mem_space *space)
{
	return atomic_load(&space->a20);
}
