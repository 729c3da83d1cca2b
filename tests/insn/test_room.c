/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for code next to the states of a VM's processors (engine/room.c), and code maps in it
 * (engine/emit/codemap.c).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit/cm.h"
#include "engine/emit/codemap.h"
#include "engine/engine.h"

#define CPUS_SIZE (3 * sizeof(struct vcpu))

static bool is_near(const void *a, const void *b)
{
	int64_t d = (const uint8_t *)a - (const uint8_t *)b;

	return d > INT32_MIN && d < INT32_MAX;
}

/* Is something mapped or reserved at @p? */
static bool is_taken(void *p)
{
	void *q =
		mmap(p, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	if (q == p)
		munmap(q, 4096);
	return q != p;
}

static void test_maps(void **state)
{
	struct engine_room room = {0};
	struct error err = {0};
	struct code_map c[3];
	uint8_t *cpus = engine_room_new(&room, CPUS_SIZE, 1, &err), *rx;

	(void)state;
	assert_non_null(cpus);
	for (size_t i = 0; i < CPUS_SIZE; i++)
		assert_int_equal(cpus[i], 0);
	memset(cpus, 1, CPUS_SIZE);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(code_map_init(&c[i], i < 2 ? 64 * MIB : 256 * MIB, &room, &err),
				 0);
		assert_int_equal(c[i].in_room, i < 2);
		c[i].rw[0] = 0xc3;
		c[i].rw[c[i].size - 1] = 0xcc;
		((void (*)(void))(uintptr_t)c[i].rx)();
		assert_int_equal(c[i].rx[c[i].size - 1], 0xcc);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_true(is_near(cpus, c[i].rx));
		assert_true(is_near(cpus + CPUS_SIZE, c[i].rx));
		assert_true(is_near(cpus, c[i].rx + c[i].size));
	}
	/* what is given back stays reserved until the room goes */
	rx = c[0].rx;
	code_map_done(&c[0]);
	assert_true(is_taken(rx));
	assert_int_equal(c[1].rx[0], 0xc3);
	code_map_done(&c[1]);
	code_map_done(&c[2]);
	engine_room_done(&room);
	assert_false(is_taken(rx));
	engine_room_done(&room);
}

/* Where addresses are limited there is no room, and code goes elsewhere. */
static void test_limited(void **state)
{
	int status;
	pid_t pid;

	(void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	print_message("skipped: the sanitizer's own memory is beyond any limit\n");
	skip();
#endif
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct engine_room room = {0};
		struct error err = {0};
		struct code_map c;
		unsigned long pages = 0;
		FILE *f = fopen("/proc/self/statm", "r");
		struct rlimit l;

		if (!f || fscanf(f, "%lu", &pages) != 1)
			_exit(2);
		l.rlim_cur = l.rlim_max = pages * 4096 + 64 * MIB;
		if (setrlimit(RLIMIT_AS, &l) < 0)
			_exit(3);
		if (!engine_room_new(&room, CPUS_SIZE, 1, &err) || room.size)
			_exit(4);
		if (code_map_init(&c, 4 * MIB, &room, &err) || c.in_room)
			_exit(5);
		code_map_done(&c);
		engine_room_done(&room);
		if (engine_room_new(&room, 128 * MIB, 1, &err) || err.code != -ENOMEM)
			_exit(6);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
