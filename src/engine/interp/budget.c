/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One budget a VM for decoded blocks, one for translated code (budget.h).
 *
 * Each vCPU has blocks and code of its own, in address space that would do for what it may have at
 * most; before it uses the next two megabytes of that it takes them from the budget. Half of a
 * budget is divided evenly, so that nobody is left with nothing, and the other half is for whoever
 * comes first: most of the time one vCPU of several does most of the work. When blocks and code are
 * dropped, what a vCPU had of the common half goes back to it, and to the host.
 *
 * A vCPU that filled its caches once and then idles would keep the common half for good. So one
 * that has less than its fair part, and sees that nothing will be left for it before long, asks the
 * one that has most to drop all of it. That one does so when it enters run() next, for which it is
 * woken if it sleeps. Nobody waits for it: who finds nothing left drops what it has.
 *
 * What a single vCPU may have depends on the guest's memory: small guests are wanted small; in a
 * large one a compiler has 200,000 blocks of 1 KiB, and its hot code alone fills 64 MiB. After a
 * compiler and a few dozen programs 128 MiB of code were full: what ran next found its code dropped
 * and took three times as long.
 */
#include "engine/interp/budget.h"

#include "engine/interp/interp.h"

#define CODE_LEAST   (64 * MIB)
#define CODE_MOST    (256 * MIB)
#define BLOCKS_LEAST (8 * MIB)
#define BLOCKS_MOST  (512 * MIB)

static_assert(BUDGET_LEAST_BLOCKS + BUDGET_LEAST_CODE <= ENGINE_MEMORY_LEAST, "what is checked");

void budget_init(struct budget *b, size_t total, unsigned n, size_t least)
{
	size_t half = total / (2 * n) & ~(size_t)(BUDGET_PIECE - 1);

	b->each = n == 1 ? total : MAX(half, least);
	b->common = total > n * b->each ? total - n * b->each : 0;
	b->fair = (n * b->each + b->common) / n;
	atomic_store(&b->left, b->common);
}

static size_t beyond(const struct budget *b, size_t taken)
{
	return taken > b->each ? taken - b->each : 0;
}

bool budget_take(struct budget *b, struct budget_share *s, size_t bytes)
{
	size_t taken = atomic_load_explicit(&s->taken, memory_order_relaxed);
	size_t more = beyond(b, taken + bytes) - beyond(b, taken), left = atomic_load(&b->left);

	do {
		if (more > left)
			return false;
	} while (!atomic_compare_exchange_weak(&b->left, &left, left - more));
	atomic_store_explicit(&s->taken, taken + bytes, memory_order_relaxed);
	return true;
}

void budget_give_back(struct budget *b, struct budget_share *s, size_t keep)
{
	size_t taken = atomic_load_explicit(&s->taken, memory_order_relaxed);

	check(keep <= taken);
	atomic_store_explicit(&s->taken, keep, memory_order_relaxed);
	atomic_fetch_add(&b->left, beyond(b, taken) - beyond(b, keep));
}

bool budget_scarce(const struct budget *b, const struct budget_share *s)
{
	size_t taken = atomic_load_explicit(&s->taken, memory_order_relaxed);

	return taken + 2 * BUDGET_PIECE > b->each && taken < b->fair &&
	       atomic_load_explicit(&b->left, memory_order_relaxed) < 2 * BUDGET_PIECE;
}

static size_t code_bytes(uint64_t ram)
{
	return MIN(MAX(ram / 4, CODE_LEAST), CODE_MOST);
}

static size_t blocks_bytes(uint64_t ram)
{
	return MIN(MAX(ram <= 256 * MIB   ? ram / 16
		       : ram <= 512 * MIB ? ram * 3 / 8
					  : ram / 2,
		       BLOCKS_LEAST),
		   BLOCKS_MOST);
}

void interp_budgets_init(struct interp_vm *ivm, uint64_t ram)
{
	uint64_t given = ivm->vm->memory;
	size_t code = given ? given / 3 : code_bytes(ram), blocks;
	unsigned n = ivm->vm->cpus ? MAX(ivm->vm->cpus->n, 1u) : 1;

	code = MAX(align_up(code, BUDGET_PIECE), BUDGET_LEAST_CODE);
	blocks = given ? MAX(given, code + BUDGET_LEAST_BLOCKS) - code : blocks_bytes(ram);
	budget_init(&ivm->budget[BUDGET_CODE], code, n, BUDGET_LEAST_CODE);
	budget_init(&ivm->budget[BUDGET_BLOCKS], align_up(blocks, BUDGET_PIECE), n,
		    BUDGET_LEAST_BLOCKS);
}

/* ---- asking others ---- */

static struct interp_cpu *richest(struct interp_cpu *self, enum budget_kind kind)
{
	struct interp_cpu *most = NULL;
	size_t has = self->ivm->budget[kind].fair;

	for (struct interp_cpu *ic = self->ivm->cpus; ic; ic = ic->next) {
		size_t taken = atomic_load_explicit(&ic->share[kind].taken, memory_order_relaxed);

		if (ic == self || taken <= has)
			continue;
		most = ic;
		has = taken;
	}
	return most;
}

static void ask(struct interp_cpu *self, enum budget_kind kind)
{
	struct vcpu *v = NULL;
	struct interp_cpu *ic;

	pthread_mutex_lock(&self->ivm->code_lock);
	ic = richest(self, kind);
	if (ic && !atomic_exchange(&ic->drop_wanted, true))
		v = ic->v;
	pthread_mutex_unlock(&self->ivm->code_lock);
	if (v) /* which outlives its engine's part */
		vcpu_request(v, VCPU_REQ_KICK);
}

bool interp_take(struct interp_cpu *ic, enum budget_kind kind, size_t bytes)
{
	struct budget *b = &ic->ivm->budget[kind];
	bool taken = budget_take(b, &ic->share[kind], bytes);

	if (b->common && budget_scarce(b, &ic->share[kind]))
		ask(ic, kind);
	return taken;
}

void interp_drop_if_asked(struct interp_cpu *ic)
{
	if (LIKELY(!atomic_load_explicit(&ic->drop_wanted, memory_order_relaxed)))
		return;
	atomic_store(&ic->drop_wanted, false);
	block_flush_all(ic);
}
