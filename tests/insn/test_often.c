/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that count how often they run (translate.c, head.c), with the numbers of real use: one
 * that runs often in little time is translated once more, with slots of its own; one that takes its
 * time stops counting, and its code goes on with NOPs in place of the counter.
 */
#include <stdlib.h>
#include <string.h>

#include "../unit/cm.h"
#include "base/bits.h"
#include "engine/translate/translate.h"
#include "machine.h"

/*
 *	lea rbp, [rel .l]; lea r8, [rel .w]; xor ebx, ebx
 *	.l: add rbx, [rsi]; jmp r8
 *	.w: mov edx, wait; .x: dec edx; jnz .x; dec ecx; jz .out; jmp rbp; .out:
 */
static const uint8_t program[] = {
	0x48, 0x8d, 0x2d, 0x09, 0,    0,    0,    0x4c, 0x8d, 0x05, 0x08, 0, 0,
	0,    0x31, 0xdb, 0x48, 0x03, 0x1e, 0x41, 0xff, 0xe0, 0xba, 0,    0, 0,
	0,    0xff, 0xca, 0x75, 0xfc, 0xff, 0xc9, 0x74, 0x02, 0xff, 0xe5,
};
#define AT_L    16u
#define AT_WAIT 23u
#define TURNS   (5u * TR_OFTEN)

static struct tr_block *block_at(const struct translator *t, uint64_t rip)
{
	for (unsigned i = 0; i < t->n_blocks; i++)
		if (!t->blocks[i]->dead && t->blocks[i]->first->rip == rip)
			return t->blocks[i];
	return NULL;
}

static struct im *start(uint32_t wait)
{
	struct im *m = im_new(64, 0, NULL);
	uint8_t code[sizeof(program)];

	memcpy(code, program, sizeof(code));
	st_le32(code + AT_WAIT, wait);
	icpu(m->v)->tr->hot = 8;
	im_code(m, code, sizeof(code));
	return m;
}

/* Once more from the start, what was translated being there. */
static void run(struct im *m)
{
	struct im_end end;

	im_reset(m);
	m->v->s.rip = m->entry;
	m->v->s.gpr[X86_RCX] = TURNS;
	m->v->s.gpr[X86_RSI] = IM_DATA;
	st_le64(im_host(m, IM_DATA), 3);
	x86_state_changed(m->v);
	end = im_run(m);
	assert_int_equal(end.reason, VCPU_EXIT_HALT);
	assert_int_equal(end.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], 3 * TURNS);
}

static void test_seldom(void **state)
{
	static const uint8_t nop[] = {0x66, 0x0f, 0x1f, 0x84};
	struct im *m = start(4096);
	struct translator *t = icpu(m->v)->tr;
	char text[TR_VERDICT] = "";
	struct tr_block *tb;
	uint8_t *counter;

	(void)state;
	run(m);
	tb = block_at(t, m->entry + AT_L);
	assert_non_null(tb);
	assert_false(tb->first->often);
	assert_true(tb->counter);
	counter = t->map.rw + (tb->rx - t->map.rx) + tb->counter;
	assert_memory_equal(counter, nop, sizeof(nop));
	if (tr_verify_all(icpu(m->v), text, sizeof(text)))
		fail_msg("%s", text);
	run(m); /* and the code still does what it should */
	im_free(m);
}

static void test_often(void **state)
{
	struct im *m = start(1);
	struct translator *t = icpu(m->v)->tr;
	struct tr_block *tb;

	(void)state;
	/* something else may have had the processor; not each time */
	for (unsigned i = 0; i < 20; i++) {
		run(m);
		tb = block_at(t, m->entry + AT_L);
		assert_non_null(tb);
		if (tb->first->often)
			break;
	}
	assert_true(tb->first->often);
	assert_int_equal(tb->counter, 0);
	run(m);
	im_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_seldom),
		cmocka_unit_test(test_often),
	};

	setenv("BOTHY_TEST_ENGINE", "translate", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
