/* SPDX-License-Identifier: Apache-2.0 */
/*
 * main() of the benchmark programs; see bench.h.
 *
 *	PROGRAM KERNEL SECONDS      run units for SECONDS (at least one unit) and print the result
 *	PROGRAM --list              names of the kernels
 *	PROGRAM --nothing           end at once (what the exec kernel executes)
 *
 * Exit status: 0, 1 for a unit whose check sum differs from the first one's (a line says so),
 * 2 for wrong usage, 3 when the system refuses something.
 */
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

void bench_fail(const char *what)
{
	fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(3);
}

void *bench_alloc(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		bench_fail("mmap");
	return p;
}

const char *bench_self(void)
{
	return "/proc/self/exe";
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Features the compiler can ask about; "" stands for all others, which are taken as there. */
static int has_feature(const char *name)
{
	__builtin_cpu_init();
	if (strcmp(name, "sse4.2") == 0)
		return __builtin_cpu_supports("sse4.2");
	if (strcmp(name, "ssse3") == 0)
		return __builtin_cpu_supports("ssse3");
	if (strcmp(name, "sse4.1") == 0)
		return __builtin_cpu_supports("sse4.1");
	if (strcmp(name, "aes") == 0)
		return __builtin_cpu_supports("aes");
	if (strcmp(name, "pclmul") == 0)
		return __builtin_cpu_supports("pclmul");
	if (strcmp(name, "avx") == 0)
		return __builtin_cpu_supports("avx");
	if (strcmp(name, "avx2") == 0)
		return __builtin_cpu_supports("avx2");
	if (strcmp(name, "fma") == 0)
		return __builtin_cpu_supports("fma") && __builtin_cpu_supports("avx2");
	if (strcmp(name, "bmi2") == 0)
		return __builtin_cpu_supports("bmi2");
	return 1;
}

int main(int argc, char **argv)
{
	const struct kernel *k = kernels;

	if (argc == 2 && strcmp(argv[1], "--nothing") == 0)
		return 0;
	if (argc == 2 && strcmp(argv[1], "--list") == 0) {
		for (; k->name; k++)
			puts(k->name);
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: %s KERNEL SECONDS | --list\n", argv[0]);
		return 2;
	}
	while (k->name && strcmp(k->name, argv[1]) != 0)
		k++;
	if (!k->name) {
		fprintf(stderr, "bench: no kernel '%s' in %s\n", argv[1], argv[0]);
		return 2;
	}
	if (k->needs && !has_feature(k->needs)) {
		printf("bench %s skip no-%s\n", k->name, k->needs);
		return 0;
	}

	double window = atof(argv[2]), shortest = 1e9;
	void *data = k->setup ? k->setup() : NULL;
	uint64_t first = 0;
	long units = 0;
	double start = now(), last = start;

	do {
		uint64_t sum = k->run(data);
		double t = now();

		if (units++ == 0)
			first = sum;
		else if (sum != first) {
			printf("bench %s WRONG unit %ld gave %016" PRIx64
			       ", the first one %016" PRIx64 "\n",
			       k->name, units, sum, first);
			return 1;
		}
		if (t - last < shortest)
			shortest = t - last;
		last = t;
	} while (last - start < window);
	printf("bench %s %ld %.9f %.9f %016" PRIx64 "\n", k->name, units, last - start, shortest,
	       first);
	return 0;
}
