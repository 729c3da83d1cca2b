/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The budget of decoded blocks and translated code of a VM (engine/interp/budget.h): what each
 * vCPU can always have, what they have in common, and who is asked to drop what it has.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/cm.h"
#include "engine/interp/interp.h"

#define CPUS_MOST 64u

static size_t take_all(struct budget *b, struct budget_share *s)
{
	while (budget_take(b, s, BUDGET_PIECE))
		;
	return atomic_load(&s->taken);
}

/* The whole is what one vCPU has today; 16 and 4 MiB are what one can work with. */
static void test_division(void **state)
{
	static const struct {
		unsigned total, n, least, each, most, fair; /* MiB */
	} row[] = {
		{256, 1, 16, 256, 256, 256}, {256, 2, 16, 64, 192, 128}, {256, 4, 16, 32, 160, 64},
		{256, 64, 16, 16, 16, 16},   {64, 1, 16, 64, 64, 64},    {64, 2, 16, 16, 48, 32},
		{64, 4, 16, 16, 16, 16},     {64, 5, 16, 16, 16, 16},    {8, 1, 4, 8, 8, 8},
		{8, 2, 4, 4, 4, 4},          {8, 3, 4, 4, 4, 4},         {512, 3, 4, 84, 344, 170},
		{16, 1, 16, 16, 16, 16},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(row); i++) {
		struct budget_share s[CPUS_MOST] = {0};
		struct budget b;
		size_t sum = 0;

		budget_init(&b, row[i].total * MIB, row[i].n, row[i].least * MIB);
		assert_int_equal(b.each, row[i].each * MIB);
		assert_int_equal(budget_most(&b), row[i].most * MIB);
		assert_int_equal(b.fair / MIB, row[i].fair);
		/* the first takes what it can get, then the others still get their part */
		assert_int_equal(take_all(&b, &s[0]), budget_most(&b));
		for (unsigned k = 0; k < row[i].n; k++) {
			assert_true(take_all(&b, &s[k]) >= b.each);
			sum += atomic_load(&s[k].taken);
		}
		assert_int_equal(sum, MAX(row[i].total, row[i].n * row[i].least) * MIB);
		/* what goes back can be had by another */
		budget_give_back(&b, &s[0], BUDGET_PIECE);
		assert_int_equal(take_all(&b, &s[row[i].n - 1]), budget_most(&b));
		for (unsigned k = 0; k < row[i].n; k++)
			budget_give_back(&b, &s[k], 0);
		assert_int_equal(atomic_load(&b.left), b.common);
	}
}

/* A row is what one vCPU has while another has all it can get. */
static void test_scarce(void **state)
{
	struct budget_share a = {0}, c = {0};
	struct budget b;
	size_t each;

	(void)state;
	budget_init(&b, 64 * MIB, 2, 4 * MIB);
	each = b.each;
	assert_false(budget_scarce(&b, &c));
	(void)take_all(&b, &a);
	assert_false(budget_scarce(&b, &a)); /* it has more than its fair part */
	while (atomic_load(&c.taken) < each) {
		assert_int_equal(budget_scarce(&b, &c), atomic_load(&c.taken) + 4 * MIB > each);
		assert_true(budget_take(&b, &c, BUDGET_PIECE));
	}
	assert_true(budget_scarce(&b, &c));
	assert_false(budget_take(&b, &c, BUDGET_PIECE));
	budget_give_back(&b, &a, BUDGET_PIECE);
	assert_false(budget_scarce(&b, &c));
	assert_true(budget_take(&b, &c, BUDGET_PIECE));
}

struct taker {
	struct budget *b;
	struct budget_share *all;
	unsigned me;
	bool over;
};

static void *take_and_give(void *arg)
{
	struct taker *t = arg;
	struct budget_share *s = &t->all[t->me];

	for (unsigned turn = 0; turn < 2000; turn++) {
		while (budget_take(t->b, s, BUDGET_PIECE))
			;
		t->over |= atomic_load(&s->taken) < t->b->each ||
			   atomic_load(&t->b->left) > t->b->common;
		budget_give_back(t->b, s, (turn % 8) * BUDGET_PIECE);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct budget_share all[4] = {0};
	struct taker t[4];
	pthread_t thread[4];
	struct budget b;

	(void)state;
	budget_init(&b, 128 * MIB, 4, 4 * MIB);
	for (unsigned i = 0; i < 4; i++) {
		t[i] = (struct taker){&b, all, i, false};
		assert_int_equal(pthread_create(&thread[i], NULL, take_and_give, &t[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		assert_false(t[i].over);
		budget_give_back(&b, &all[i], 0);
	}
	assert_int_equal(atomic_load(&b.left), b.common);
}

/* Three vCPUs: the second hoards, the third has something, the first runs short. */
static void test_ask(void **state)
{
	struct interp_vm *ivm = xnew(struct interp_vm);
	struct interp_cpu *ic[3];
	struct vcpu *v[3];

	(void)state;
	pthread_mutex_init(&ivm->code_lock, NULL);
	budget_init(&ivm->budget[BUDGET_CODE], 192 * MIB, 3, 16 * MIB);
	for (unsigned i = 0; i < 3; i++) {
		ic[i] = xnew(struct interp_cpu);
		v[i] = aligned_alloc(64, align_up(sizeof(struct vcpu), 64));
		memset(v[i], 0, sizeof(struct vcpu));
		ic[i]->v = v[i];
		ic[i]->ivm = ivm;
		ic[i]->next = ivm->cpus;
		ivm->cpus = ic[i];
	}
	assert_true(interp_take(ic[2], BUDGET_CODE, 34 * MIB));
	while (interp_take(ic[1], BUDGET_CODE, BUDGET_PIECE))
		;
	assert_false(ic[2]->drop_wanted); /* nobody is asked by one who has enough */
	assert_true(interp_take(ic[0], BUDGET_CODE, 20 * MIB));
	assert_false(ic[1]->drop_wanted); /* that goes on for a while */
	while (interp_take(ic[0], BUDGET_CODE, BUDGET_PIECE))
		;
	assert_true(ic[1]->drop_wanted);
	assert_false(ic[2]->drop_wanted);
	assert_false(ic[0]->drop_wanted);
	assert_int_equal(atomic_load(&v[1]->request), VCPU_REQ_KICK);
	assert_int_equal(atomic_load(&v[2]->request), 0);
	for (unsigned i = 0; i < 3; i++) {
		free(ic[i]);
		free(v[i]);
	}
	pthread_mutex_destroy(&ivm->code_lock);
	free(ivm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_division),
		cmocka_unit_test(test_scarce),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_ask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
