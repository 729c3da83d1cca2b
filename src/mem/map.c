/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The map: mappings with priorities, flattened on each change into sorted runs that lookups search
 * in O(log n).
 *
 * Flattening cuts the address space at every start and end of a mapping and asks for each piece
 * which mapping wins; O(n^2), with n below a hundred or so and changes rare. Equal priorities never
 * overlap (refused when mapped), so the winner is unique.
 *
 * Locks: changes with the bus lock held; the new flat array is built aside and swapped in under the
 * space's lock for writing. Lookups take it for reading.
 */
#include "mem/internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"

static int compare_points(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static const struct mem_mapping *winner(const struct mem_space *space, gpa_t at)
{
	const struct mem_mapping *best = NULL;

	LIST_FOR_EACH(it, &space->mappings)
	{
		const struct mem_mapping *m = LIST_ENTRY(it, struct mem_mapping, node);

		if (at - m->gpa < m->size && at >= m->gpa && (!best || m->prio > best->prio))
			best = m;
	}
	return best;
}

static struct flat_range make_range(const struct mem_mapping *m, gpa_t start, uint64_t len)
{
	uint64_t delta = start - m->gpa;

	return (struct flat_range){.start = start,
				   .len = len,
				   .kind = m->kind,
				   .block = m->block,
				   .block_off = m->block_off + (m->block ? delta : 0),
				   .io = m->io,
				   .io_off = m->io ? delta : 0};
}

/* True when @b continues @a in address and in what it names, so that they form one run. */
static bool continues(const struct flat_range *a, const struct flat_range *b)
{
	return a->start + a->len == b->start && a->kind == b->kind && a->block == b->block &&
	       a->io == b->io && (!a->block || a->block_off + a->len == b->block_off) &&
	       (!a->io || a->io_off + a->len == b->io_off);
}

static void flatten(struct mem_space *space)
{
	unsigned n = 0, n_flat = 0;
	uint64_t *points = xnew_n(uint64_t, space->n_mappings * 2);
	struct flat_range *flat = xnew_n(struct flat_range, space->n_mappings * 2), *old;

	LIST_FOR_EACH(it, &space->mappings)
	{
		struct mem_mapping *m = LIST_ENTRY(it, struct mem_mapping, node);

		points[n++] = m->gpa;
		points[n++] = m->gpa + m->size;
	}
	qsort(points, n, sizeof(*points), compare_points);
	for (unsigned i = 0; i + 1 < n; i++) {
		const struct mem_mapping *m;
		struct flat_range r;

		if (points[i] == points[i + 1] || !(m = winner(space, points[i])))
			continue;
		r = make_range(m, points[i], points[i + 1] - points[i]);
		if (n_flat && continues(&flat[n_flat - 1], &r))
			flat[n_flat - 1].len += r.len;
		else
			flat[n_flat++] = r;
	}
	free(points);
	pthread_rwlock_wrlock(&space->lock);
	old = space->flat;
	space->flat = flat;
	space->n_flat = n_flat;
	pthread_rwlock_unlock(&space->lock);
	free(old);
}

void mem_map_begin(struct mem_space *space)
{
	space->depth++;
}

void mem_map_commit(struct mem_space *space)
{
	check(space->depth > 0);
	if (--space->depth || !space->changed)
		return;
	space->changed = false;
	flatten(space);
	space_notify(space);
}

/* Adds @m (owned from here on, freed on failure). */
static int add_mapping(struct mem_space *space, struct mem_mapping *m, struct mem_mapping **ret_map,
		       struct error *err)
{
	gpa_t end;

	if (!m->size || ckd_add(&end, m->gpa, m->size)) {
		int r = error_set(err, -EINVAL, "mapping '%s' of 0x%llx bytes at 0x%llx is %s",
				  m->name, (unsigned long long)m->size, (unsigned long long)m->gpa,
				  m->size ? "past the end of the address space" : "empty");

		free(m->name);
		free(m);
		return r;
	}
	LIST_FOR_EACH(it, &space->mappings)
	{
		struct mem_mapping *o = LIST_ENTRY(it, struct mem_mapping, node);

		if (o->prio == m->prio && m->gpa < o->gpa + o->size && o->gpa < end) {
			int r = error_set(err, -EEXIST,
					  "memory ranges '%s' (0x%llx-0x%llx) and '%s' "
					  "(0x%llx-0x%llx) overlap; move one of them",
					  o->name, (unsigned long long)o->gpa,
					  (unsigned long long)(o->gpa + o->size - 1), m->name,
					  (unsigned long long)m->gpa,
					  (unsigned long long)(end - 1));

			free(m->name);
			free(m);
			return r;
		}
	}
	mem_map_begin(space);
	list_append(&space->mappings, &m->node);
	space->n_mappings++;
	space->changed = true;
	*ret_map = m;
	mem_map_commit(space);
	return 0;
}

static int map_block(struct mem_space *space, const struct mem_mapping *want, const char *name,
		     struct mem_mapping **ret_map, struct error *err)
{
	struct ram_block *block = want->block;
	uint64_t off = want->block_off, size = want->size;
	struct mem_mapping *m;

	if ((want->gpa | off | size) % MEM_PAGE_SIZE || off > block->size ||
	    size > block->size - off)
		return error_set(
			err, -EINVAL,
			"mapping '%s': 0x%llx bytes from 0x%llx of block '%s' (0x%llx bytes) "
			"at 0x%llx: not whole pages inside the block",
			name, (unsigned long long)size, (unsigned long long)off, block->name,
			(unsigned long long)block->size, (unsigned long long)want->gpa);
	m = xnew(struct mem_mapping);
	*m = *want;
	m->name = xstrdup(name);
	return add_mapping(space, m, ret_map, err);
}

int mem_map_ram(struct mem_space *space, const char *name, gpa_t gpa, struct ram_block *block,
		uint64_t off, uint64_t size, bool read_only, int prio, struct mem_mapping **ret_map,
		struct error *err)
{
	struct mem_mapping want = {.gpa = gpa,
				   .size = size,
				   .prio = prio,
				   .kind = read_only ? MEM_ROM : MEM_RAM,
				   .block = block,
				   .block_off = off};

	return map_block(space, &want, name, ret_map, err);
}

int mem_map_rom(struct mem_space *space, const char *name, gpa_t gpa, struct ram_block *block,
		uint64_t off, uint64_t size, const struct mem_io *io, int prio,
		struct mem_mapping **ret_map, struct error *err)
{
	struct mem_mapping want = {.gpa = gpa,
				   .size = size,
				   .prio = prio,
				   .kind = MEM_ROM,
				   .block = block,
				   .block_off = off,
				   .io = io};

	return map_block(space, &want, name, ret_map, err);
}

int mem_map_io(struct mem_space *space, gpa_t gpa, uint64_t size, const struct mem_io *io, int prio,
	       struct mem_mapping **ret_map, struct error *err)
{
	struct mem_mapping *m = xnew(struct mem_mapping);

	m->name = xstrdup(io->name);
	m->gpa = gpa;
	m->size = size;
	m->prio = prio;
	m->kind = MEM_IO;
	m->io = io;
	return add_mapping(space, m, ret_map, err);
}

void mem_unmap(struct mem_space *space, struct mem_mapping *map)
{
	if (!map)
		return;
	mem_map_begin(space);
	list_remove(&map->node);
	space->n_mappings--;
	space->changed = true;
	free(map->name);
	free(map);
	mem_map_commit(space);
}

/* With A20 masked, each odd MiB shows the even one below it: cut the run to one MiB and shift it
 * back to the address that was asked for. */
static void apply_a20_cut(struct mem_ref *ref, gpa_t gpa, gpa_t masked)
{
	gpa_t lo = align_down(masked, MIB), end = MIN(ref->start + ref->len, lo + MIB);
	gpa_t start = MAX(ref->start, lo);

	ref->start = start + (gpa - masked);
	ref->len = end - start;
}

void space_find_locked(struct mem_space *space, gpa_t gpa, struct mem_ref *ret_ref)
{
	bool a20 = atomic_load_explicit(&space->a20, memory_order_relaxed);
	gpa_t at = a20 ? gpa : gpa & ~BIT(20);
	const struct flat_range *r;
	unsigned lo = 0, hi = space->n_flat;
	uint64_t delta;

	/* First run that starts above the address; the one before it is the candidate. */
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;

		if (space->flat[mid].start <= at)
			lo = mid + 1;
		else
			hi = mid;
	}
	r = lo ? &space->flat[lo - 1] : NULL;
	if (!r || at - r->start >= r->len) {
		gpa_t start = r ? r->start + r->len : 0;
		gpa_t end = lo < space->n_flat ? space->flat[lo].start : UINT64_MAX;

		*ret_ref = (struct mem_ref){.kind = MEM_NONE, .start = start, .len = end - start};
	} else {
		delta = at - r->start;
		*ret_ref = (struct mem_ref){.kind = r->kind,
					    .block = r->block,
					    .block_off = r->block_off + (r->block ? delta : 0),
					    .io = r->io,
					    .io_off = r->io_off + (r->io ? delta : 0),
					    .start = r->start,
					    .len = r->len};
	}
	if (!a20)
		apply_a20_cut(ret_ref, gpa, at);
}

void mem_lookup(struct mem_space *space, gpa_t gpa, struct mem_ref *ret_ref)
{
	pthread_rwlock_rdlock(&space->lock);
	space_find_locked(space, gpa, ret_ref);
	pthread_rwlock_unlock(&space->lock);
}

/* ---- system management mode ---- */

void mem_smram_set(struct mem_space *space, unsigned n, gpa_t gpa, struct ram_block *block,
		   uint64_t off, uint64_t size)
{
	bool same;

	check(n < MEM_SMRAM_WINDOWS && !((gpa | off | size) & (MEM_PAGE_SIZE - 1)));
	check(!size || (block && off <= block->size && size <= block->size - off));
	pthread_rwlock_wrlock(&space->lock);
	same = space->smram[n].size == size &&
	       (!size || (space->smram[n].gpa == gpa && space->smram[n].block == block &&
			  space->smram[n].off == off));
	space->smram[n].gpa = gpa;
	space->smram[n].block = block;
	space->smram[n].off = off;
	space->smram[n].size = size;
	pthread_rwlock_unlock(&space->lock);
	if (!same)
		space_notify(space);
}

/* Runs of the map that reach into a window end there: nothing of them is seen beyond. */
static void cut_at_windows(const struct mem_space *space, struct mem_ref *ref, gpa_t gpa)
{
	for (unsigned n = 0; n < MEM_SMRAM_WINDOWS; n++) {
		gpa_t from = space->smram[n].gpa, to = from + space->smram[n].size;
		gpa_t start = ref->start, end = start + ref->len;

		if (!space->smram[n].size || to <= start || from >= end)
			continue;
		if (from > gpa)
			ref->len = from - start;
		else
			ref->start = to, ref->len = end - to;
	}
}

void mem_lookup_smm(struct mem_space *space, gpa_t gpa, struct mem_ref *ret_ref)
{
	pthread_rwlock_rdlock(&space->lock);
	for (unsigned n = 0; n < MEM_SMRAM_WINDOWS; n++)
		if (gpa - space->smram[n].gpa < space->smram[n].size) {
			*ret_ref = (struct mem_ref){.kind = MEM_RAM,
						    .block = space->smram[n].block,
						    .block_off = space->smram[n].off +
								 (gpa - space->smram[n].gpa),
						    .start = space->smram[n].gpa,
						    .len = space->smram[n].size};
			pthread_rwlock_unlock(&space->lock);
			return;
		}
	space_find_locked(space, gpa, ret_ref);
	cut_at_windows(space, ret_ref, gpa);
	pthread_rwlock_unlock(&space->lock);
}
