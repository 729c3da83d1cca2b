/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much memory the vCPUs of a VM may fill with decoded blocks and with translated code
 * (budget.c).
 */
#ifndef ENGINE_INTERP_BUDGET_H
#define ENGINE_INTERP_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interp_cpu;
struct interp_vm;

/* What there is a budget of. */
enum budget_kind { BUDGET_BLOCKS, BUDGET_CODE, BUDGETS };

/* Memory is taken and given back in pieces of this size: a large page. */
#define BUDGET_PIECE (2u << 20)
/* The least that a vCPU can work with. */
#define BUDGET_LEAST_BLOCKS (4u << 20)
#define BUDGET_LEAST_CODE   (16u << 20)

struct budget {
	size_t each;         /* bytes that each vCPU can have whatever the others do */
	size_t common;       /* and what they have in common */
	size_t fair;         /* the whole, by the number of vCPUs */
	_Atomic size_t left; /* of common */
};

/* What one vCPU has of it: written by its thread. */
struct budget_share {
	_Atomic size_t taken;
};

/** budget_init() - @total bytes, a multiple of BUDGET_PIECE, for @n vCPUs, at least @least each. */
void budget_init(struct budget *b, size_t total, unsigned n, size_t least);
/** budget_most() - what one vCPU can have while the others have no more than b->each. */
static inline size_t budget_most(const struct budget *b)
{
	return b->each + b->common;
}
/** budget_take() - @bytes more for @s; false: there are not so many. The share's thread. */
bool budget_take(struct budget *b, struct budget_share *s, size_t bytes);
/** budget_give_back() - @s keeps @keep bytes. The share's thread. */
void budget_give_back(struct budget *b, struct budget_share *s, size_t keep);
/** budget_scarce() - will @s, which has less than others, soon find nothing left? */
bool budget_scarce(const struct budget *b, const struct budget_share *s);

/**
 * interp_budgets_init() - of a VM with @ram bytes of guest RAM whose vCPUs are all known; once;
 * code_lock held, under which memory is not to be asked.
 */
void interp_budgets_init(struct interp_vm *ivm, uint64_t ram);
/** interp_take() - budget_take() for a vCPU, which asks the one that has most to drop what it has
 * when there is little left. Its thread. */
bool interp_take(struct interp_cpu *ic, enum budget_kind kind, size_t bytes);
/** interp_drop_if_asked() - start of run(). */
void interp_drop_if_asked(struct interp_cpu *ic);

#endif
