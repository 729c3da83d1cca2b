/* SPDX-License-Identifier: Apache-2.0 */
/* See changing.h. */
#include "changing.h"

#include "hostile.h"

int __real_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len);
int __wrap_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len);

enum { REACH = 64 };

/* One per process: the wrapped function has no context. */
static struct {
	struct harness *h;
	struct fuzz_input *in; /* NULL: nothing changes */
	unsigned from;
} g;

int __wrap_mem_read(struct mem_space *space, gpa_t from, void *to, size_t len)
{
	int r = __real_mem_read(space, from, to, len);

	if (r == 0 && g.in && g.in->left && from < HARNESS_RAM - REACH) {
		uint8_t how = fuzz_u8(g.in);

		if (how >= g.from)
			*ram(g.h, from + how % REACH) ^= how;
	}
	return r;
}

void changing_start(struct harness *h, struct fuzz_input *in, unsigned from)
{
	g.h = h;
	g.in = in;
	g.from = from;
}

void changing_stop(void)
{
	g.in = NULL;
}

void changing_state(struct harness *h, struct dev *d, struct fuzz_input *in,
		    struct block *const *blocks, unsigned n_blocks)
{
	uint8_t how = fuzz_u8(in);

	bus_lock(&h->bus);
	check(d->cls->quiesce(d) == 0);
	for (unsigned i = 0; i < n_blocks; i++)
		block_abort_parked(blocks[i]);
	if (how >= 0xf8)
		round_trip(d);
	(void)hostile_state(d, in, how & 7);
	d->cls->resume(d);
	bus_unlock(&h->bus);
}
