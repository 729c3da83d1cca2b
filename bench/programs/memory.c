/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class memory: loads and stores. Small and large sets, dependent and independent, long and short,
 * the C library's functions and the string instructions.
 */
#include "bench.h"

#include <string.h>

/* --- Pointer chases: one cycle through all lines of a set, in random order -----------------------
 */

struct line {
	struct line *next;
	uint64_t value, pad[6];
};

static struct line *cycle_new(size_t bytes)
{
	size_t n = bytes / sizeof(struct line);
	struct line *l = bench_alloc(bytes);
	uint32_t *order = bench_alloc(n * sizeof(*order));
	uint64_t s = 13;

	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	for (size_t i = n - 1; i > 0; i--) {
		size_t j = rnd(&s) % (i + 1);
		uint32_t t = order[i];

		order[i] = order[j];
		order[j] = t;
	}
	for (size_t i = 0; i < n; i++) {
		l[order[i]].next = &l[order[(i + 1) % n]];
		l[order[i]].value = i;
	}
	return &l[order[0]];
}

static void *cycle_small(void)
{
	return cycle_new(16 << 10);
}
static void *cycle_medium(void)
{
	return cycle_new(1 << 20);
}
static void *cycle_large(void)
{
	return cycle_new(48 << 20);
}

static uint64_t chase(const struct line *l, long steps)
{
	uint64_t sum = 0;

	while (steps--) {
		sum += l->value;
		l = l->next;
	}
	return sum;
}

static uint64_t chase_small_run(void *data)
{
	return chase(data, 1000000);
}
static uint64_t chase_medium_run(void *data)
{
	return chase(data, 300000);
}
static uint64_t chase_large_run(void *data)
{
	return chase(data, 100000);
}

/* --- Streams
 * ---------------------------------------------------------------------------------------- */

enum { STREAM = 1 << 20 };

static void *stream_new(void)
{
	double *v = bench_alloc(3 * STREAM * sizeof(double));

	for (int i = 0; i < STREAM; i++)
		v[STREAM + i] = i * 0.5, v[2 * STREAM + i] = i * 0.25;
	return v;
}

static uint64_t triad_run(void *data)
{
	double *a = data, *b = a + STREAM, *c = b + STREAM, k = 3;

	KEEP(data);
	for (int i = 0; i < STREAM; i++)
		a[i] = b[i] + k * c[i];
	return (uint64_t)(a[12345] + a[STREAM - 1]);
}

static void *block_new(void)
{
	unsigned char *p = bench_alloc(4 << 20);
	uint64_t s = 2;

	for (size_t i = 0; i < 4 << 20; i += 8) {
		uint64_t v = rnd(&s) | 0x0101010101010101ull;

		memcpy(p + i, &v, 8);
	}
	return p;
}

static uint64_t memcpy_small_run(void *data)
{
	unsigned char *p = data;
	uint64_t sum = 0, s = 5;

	for (int i = 0; i < 200000; i++) {
		uint64_t r = rnd(&s);
		size_t n = 8 + (r & 63);

		memcpy(p + (1 << 16) + (r >> 8 & 4095), p + (r >> 24 & 8191), n);
		sum += p[(1 << 16) + (r >> 8 & 4095)];
	}
	memset(p + (1 << 16), 0, 8192);
	return sum;
}

static uint64_t memcpy_page_run(void *data)
{
	unsigned char *p = data;

	for (int i = 0; i < 20000; i++) {
		memcpy(p + (1 << 20) + (size_t)(i & 15) * 4096, p + (size_t)(i & 31) * 4096, 4096);
		KEEP(data);
	}
	return p[(1 << 20) + 5 * 4096 + 77];
}

static uint64_t memcpy_large_run(void *data)
{
	unsigned char *p = data;

	for (int i = 0; i < 20; i++) {
		memcpy(p + (2 << 20), p + (i & 1) * 4096, 1 << 20);
		KEEP(data);
	}
	return p[(2 << 20) + 99999];
}

static uint64_t memset_run(void *data)
{
	unsigned char *p = data;
	uint64_t sum = 0;

	for (int i = 0; i < 4000; i++) {
		size_t n = 1u << (i % 15);

		memset(p + (3 << 20) + (size_t)(i & 7), i, n);
		KEEP(data);
		sum += p[(3 << 20) + (size_t)(i & 7) + n - 1];
	}
	return sum;
}

/* Loads and stores of eight bytes at odd addresses, one in eight across a line, some across a page.
 */
static uint64_t unaligned_run(void *data)
{
	unsigned char *p = data;
	uint64_t sum = 0;

	for (int pass = 0; pass < 64; pass++)
		for (size_t i = 3; i < 256 * 1024; i += 9) {
			uint64_t v;

			memcpy(&v, p + i, 8);
			sum += v;
			memcpy(p + (3 << 20) + i, &sum, 8);
		}
	return sum;
}

/* One access a page over 16 MiB: more pages than any TLB has. */
static void *pages_new(void)
{
	return bench_alloc(16 << 20);
}

static uint64_t pages_run(void *data)
{
	unsigned char *p = data;
	uint64_t sum = 0;

	for (unsigned pass = 0; pass < 48; pass++)
		for (unsigned i = 0; i < 4096; i++)
			sum += p[(size_t)(i * 1027 & 4095) * 4096 + (i & 63) * 64]++ == pass;
	memset(p, 0, 1);
	for (unsigned i = 0; i < 4096; i++)
		p[(size_t)(i * 1027 & 4095) * 4096 + (i & 63) * 64] = 0;
	return sum;
}

/* --- Tables and strings
 * ------------------------------------------------------------------------------ */

enum { SLOTS = 1 << 16 };

static void *table_new(void)
{
	return bench_alloc(SLOTS * 16);
}

static uint64_t hashtable_run(void *data)
{
	uint64_t(*slot)[2] = data, s = 42, sum = 0;

	memset(data, 0, SLOTS * 16);
	for (int i = 0; i < SLOTS / 2; i++) {
		uint64_t key = rnd(&s) | 1, at = key * 0x9e3779b97f4a7c15ull >> 48;

		while (slot[at][0])
			at = (at + 1) % SLOTS;
		slot[at][0] = key;
		slot[at][1] = (uint64_t)i;
	}
	s = 42;
	for (int i = 0; i < SLOTS; i++) {
		uint64_t key = rnd(&s) | 1, at = key * 0x9e3779b97f4a7c15ull >> 48;

		while (slot[at][0] && slot[at][0] != key)
			at = (at + 1) % SLOTS;
		sum = mix(sum, slot[at][1]);
	}
	return sum;
}

enum { WORDS = 2048, WORD = 64 };

static void *words_new(void)
{
	char *p = bench_alloc(WORDS * WORD);
	uint64_t s = 14;

	for (int i = 0; i < WORDS; i++) {
		uint64_t len = 4 + rnd(&s) % 56;

		for (uint64_t j = 0; j < len; j++)
			p[(size_t)i * WORD + j] = (char)('a' + (rnd(&s) >> 60));
	}
	return p;
}

static uint64_t strings_run(void *data)
{
	char *p = data, buffer[256];
	uint64_t sum = 0;

	for (int pass = 0; pass < 20; pass++)
		for (int i = 0; i < WORDS - 1; i++) {
			char *w = p + (size_t)i * WORD, *v = w + WORD, *c;

			sum += strlen(w);
			c = strchr(w, 'k');
			sum += c ? (uint64_t)(c - w) : 99;
			sum += strcmp(w, v) < 0;
			strcpy(buffer, w);
			strcat(buffer, v);
			sum += (uint64_t)(memchr(buffer, 0, sizeof(buffer)) != NULL);
			sum += strstr(buffer, "pa") ? 1u : 0u;
		}
	return sum;
}

/* One byte at a time, as simple code does it. */
__attribute__((optimize("no-tree-loop-distribute-patterns", "no-tree-vectorize"))) static uint64_t
bytes_run(void *data)
{
	unsigned char *p = data, *q = p + (1 << 20);
	uint64_t sum = 0;

	for (int pass = 0; pass < 12; pass++) {
		for (size_t i = 0; i < 128 * 1024; i++)
			q[i] = p[i] ^ (unsigned char)pass;
		sum += q[777];
	}
	return sum;
}

/* --- String instructions
 * ------------------------------------------------------------------------------ */

static uint64_t rep_movs_run(void *data)
{
	unsigned char *p = data;

	for (int i = 0; i < 20000; i++) {
		void *to = p + (1 << 20) + (i & 7), *from = p + (size_t)(i & 15) * 4096;
		size_t n = 16u << (i % 10);

		__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
	}
	return p[(1 << 20) + 4321];
}

static uint64_t rep_stos_run(void *data)
{
	unsigned char *p = data;

	for (int i = 0; i < 20000; i++) {
		void *to = p + (1 << 20);
		size_t n = 4u << (i % 10);
		uint32_t v = (uint32_t)i;

		__asm__ volatile("rep stosl" : "+D"(to), "+c"(n) : "a"(v) : "memory");
	}
	return p[(1 << 20) + 1233];
}

/* scasb for lengths and cmpsb for comparisons, as small old C libraries do. */
static uint64_t rep_scas_run(void *data)
{
	char *p = data;
	uint64_t sum = 0;

	for (int i = 0; i < 20 * (WORDS - 1); i++) {
		void *at = p + (size_t)(i % (WORDS - 1)) * WORD, *a = at, *b = (char *)at + WORD;
		size_t n = ~(size_t)0, m = WORD;

		__asm__ volatile("repne scasb" : "+D"(at), "+c"(n) : "a"(0) : "memory", "cc");
		__asm__ volatile("repe cmpsb" : "+D"(a), "+S"(b), "+c"(m) : : "memory", "cc");
		sum = mix(sum, ~n + m);
	}
	return sum;
}

const struct kernel kernels[] = {
	{"chase_small", chase_small_run, cycle_small, NULL},
	{"chase_medium", chase_medium_run, cycle_medium, NULL},
	{"chase_large", chase_large_run, cycle_large, NULL},
	{"triad", triad_run, stream_new, NULL},
	{"memcpy_small", memcpy_small_run, block_new, NULL},
	{"memcpy_page", memcpy_page_run, block_new, NULL},
	{"memcpy_large", memcpy_large_run, block_new, NULL},
	{"memset", memset_run, block_new, NULL},
	{"unaligned", unaligned_run, block_new, NULL},
	{"pages", pages_run, pages_new, NULL},
	{"hashtable", hashtable_run, table_new, NULL},
	{"strings", strings_run, words_new, NULL},
	{"bytes", bytes_run, block_new, NULL},
	{"rep_movs", rep_movs_run, block_new, NULL},
	{"rep_stos", rep_stos_run, block_new, NULL},
	{"rep_scas", rep_scas_run, words_new, NULL},
	{NULL, NULL, NULL, NULL},
};
