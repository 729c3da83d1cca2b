/* SPDX-License-Identifier: Apache-2.0 */
#include "machine.h"
#include "../unit/cm.h"
#include <stdio.h>
#include <time.h>
static void test_first(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	static const uint8_t code[] = {0xb8, 5,    0,    0,    0,    0x83, 0xc0, 3,    0x48,
				       0x89, 0xc3, 0x48, 0xc7, 0xc1, 0,    0,    0x20, 0,
				       0x48, 0x89, 0x01, 0x48, 0x03, 0x01, 0x50, 0x5a};
	struct im_end e;
	im_code(m, code, sizeof(code));
	e = im_run(m);
	printf("vector %d rip %lx reason %d rax %lx rbx %lx rdx %lx\n", e.vector, e.rip, e.reason,
	       m->v->s.gpr[0], m->v->s.gpr[3], m->v->s.gpr[2]);
	im_free(m);
}
static void bench(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	/* mov ecx, 50000000; l: add rax, 3; mov rdx,[rsi]; add rdx, rax; mov [rsi+8], rdx; dec rcx;
	 * jnz l */
	static const uint8_t code[] = {0xb9, 0x80, 0xf0, 0xfa, 0x02, 0xbe, 0,    0,    0x20, 0,
				       0x48, 0x83, 0xc0, 3,    0x48, 0x8b, 0x16, 0x48, 1,    0xc2,
				       0x48, 0x89, 0x56, 8,    0x48, 0xff, 0xc9, 0x75, 0xed};
	struct timespec a, b;
	im_code(m, code, sizeof(code));
	clock_gettime(CLOCK_MONOTONIC, &a);
	im_run(m);
	clock_gettime(CLOCK_MONOTONIC, &b);
	double t = (b.tv_sec - a.tv_sec) + (b.tv_nsec - a.tv_nsec) / 1e9;
	printf("%lu insns %.3f s %.1f MIPS\n", m->v->count.insns, t, m->v->count.insns / t / 1e6);
	im_free(m);
}
int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_first), cmocka_unit_test(bench)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
