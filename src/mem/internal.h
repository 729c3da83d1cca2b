/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of mem/ share. Nobody else includes this.
 */
#ifndef MEM_INTERNAL_H
#define MEM_INTERNAL_H

#include "mem/space.h"

/* One requested mapping. */
struct mem_mapping {
	struct list node;
	char *name; /* owned */
	gpa_t gpa;
	uint64_t size; /* gpa + size does not overflow */
	int prio;
	enum mem_kind kind;
	struct ram_block *block; /* RAM, ROM */
	uint64_t block_off;
	const struct mem_io *io; /* borrowed; I/O, or takes writes to ROM */
};

/* One run of the flattened map. A copy of what lookups need, so that it stays meaningful between
 * mem_unmap() and the commit of the surrounding bracket. */
struct flat_range {
	gpa_t start;
	uint64_t len;
	enum mem_kind kind;
	struct ram_block *block;
	uint64_t block_off;
	const struct mem_io *io;
	uint64_t io_off;
};

struct mem_space {
	pthread_rwlock_t lock;   /* guards flat, blocks, listeners; leaf except for code_written */
	struct flat_range *flat; /* sorted, non-overlapping */
	unsigned n_flat;
	struct list blocks, listeners;
	uint64_t ram_total; /* end of ram_offset name space */

	struct list mappings; /* bus lock */
	unsigned n_mappings, depth;
	bool changed;

	_Atomic bool a20, dirty_on;

	struct { /* `lock` */
		gpa_t gpa;
		struct ram_block *block;
		uint64_t off, size;
	} smram[MEM_SMRAM_WINDOWS];
};

/** space_find_locked() - mem_lookup() with the space's lock held (either way). */
void space_find_locked(struct mem_space *space, gpa_t gpa, struct mem_ref *ret_ref);
/** space_notify() - tell listeners that the map changed. Bus lock held, space's lock not. */
void space_notify(struct mem_space *space);
/** space_free_blocks() - unmap and close all RAM. */
void space_free_blocks(struct mem_space *space);
/** block_written_locked() - mem_block_written() with the space's lock held. */
void block_written_locked(struct mem_space *space, struct ram_block *block, uint64_t off,
			  uint64_t len);

#endif
