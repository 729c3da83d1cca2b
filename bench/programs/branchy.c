/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class branchy: control flow. Calls and returns, indirect jumps, branches that depend on data.
 */
#include "bench.h"

#include <setjmp.h>
#include <string.h>

/* --- Byte code ------------------------------------------------------------------------------ */

enum { OP_PUSH, OP_LOAD, OP_STORE, OP_ADD, OP_SUB, OP_MUL, OP_XOR, OP_LESS, OP_JZ, OP_JMP, OP_END };

/* i = 0; x = 1; while (i < limit) { x = (x * 33) ^ i; if (x & 1 ...) x = x + i; i = i + 1; } */
static const int program[] = {
	OP_PUSH,  0,      OP_STORE, 0,     OP_PUSH, 1,        OP_STORE, 1, /* 0 */
	OP_LOAD,  0,      OP_PUSH,  40000, OP_LESS, OP_JZ,    50,          /* 8 */
	OP_LOAD,  1,      OP_PUSH,  33,    OP_MUL,  OP_LOAD,  0,        OP_XOR,
	OP_STORE, 1,                                              /* 15 */
	OP_LOAD,  1,      OP_PUSH,  0,     OP_LESS, OP_JZ,    41, /* 25 */
	OP_LOAD,  1,      OP_LOAD,  0,     OP_ADD,  OP_PUSH,  7,        OP_SUB,
	OP_STORE, 1, /* 32 (42 follows) */
	OP_LOAD,  0,      OP_PUSH,  1,     OP_ADD,  OP_STORE, 0,        OP_JMP,
	8,        OP_END, OP_END, /* 42 */
};

static void *program_new(void)
{
	int *p = bench_alloc(sizeof(program));

	memcpy(p, program, sizeof(program));
	p[14] = 51; /* loop exit: the last OP_END */
	p[31] = 42; /* past the addition */
	return p;
}

static uint64_t switch_run(void *data)
{
	const int *code = data;
	int stack[16], var[2] = {0, 0}, sp = 0, pc = 0;

	for (;;) {
		switch (code[pc++]) {
		case OP_PUSH: stack[sp++] = code[pc++]; break;
		case OP_LOAD: stack[sp++] = var[code[pc++]]; break;
		case OP_STORE: var[code[pc++]] = stack[--sp]; break;
		case OP_ADD:
			sp--;
			stack[sp - 1] = (int)((unsigned)stack[sp - 1] + (unsigned)stack[sp]);
			break;
		case OP_SUB:
			sp--;
			stack[sp - 1] = (int)((unsigned)stack[sp - 1] - (unsigned)stack[sp]);
			break;
		case OP_MUL:
			sp--;
			stack[sp - 1] = (int)((unsigned)stack[sp - 1] * (unsigned)stack[sp]);
			break;
		case OP_XOR:
			sp--;
			stack[sp - 1] ^= stack[sp];
			break;
		case OP_LESS:
			sp--;
			stack[sp - 1] = stack[sp - 1] < stack[sp];
			break;
		case OP_JZ: pc = stack[--sp] ? pc + 1 : code[pc]; break;
		case OP_JMP: pc = code[pc]; break;
		case OP_END: return mix((unsigned)var[0], (unsigned)var[1]);
		}
	}
}

static uint64_t goto_run(void *data)
{
	static const void *const label[] = {&&push, &&load, &&store, &&add, &&sub, &&mul,
					    &&xor,  &&less, &&jz,    &&jmp, &&end};
	const int *code = data;
	int stack[16], var[2] = {0, 0}, sp = 0, pc = 0;

#define NEXT goto *label[code[pc++]]
	NEXT;
push:
	stack[sp++] = code[pc++];
	NEXT;
load:
	stack[sp++] = var[code[pc++]];
	NEXT;
store:
	var[code[pc++]] = stack[--sp];
	NEXT;
add:
	sp--;
	stack[sp - 1] = (int)((unsigned)stack[sp - 1] + (unsigned)stack[sp]);
	NEXT;
sub:
	sp--;
	stack[sp - 1] = (int)((unsigned)stack[sp - 1] - (unsigned)stack[sp]);
	NEXT;
mul:
	sp--;
	stack[sp - 1] = (int)((unsigned)stack[sp - 1] * (unsigned)stack[sp]);
	NEXT;
	xor : sp--;
	stack[sp - 1] ^= stack[sp];
	NEXT;
less:
	sp--;
	stack[sp - 1] = stack[sp - 1] < stack[sp];
	NEXT;
jz:
	pc = stack[--sp] ? pc + 1 : code[pc];
	NEXT;
jmp:
	pc = code[pc];
	NEXT;
end:
	return mix((unsigned)var[0], (unsigned)var[1]);
#undef NEXT
}

/* --- Calls ------------------------------------------------------------------------------------ */

struct shape;
struct shape_ops {
	unsigned (*area)(const struct shape *s);
	void (*grow)(struct shape *s, unsigned by);
};
struct shape {
	const struct shape_ops *ops;
	unsigned a, b;
};

__attribute__((noinline)) static unsigned box_area(const struct shape *s)
{
	return s->a * s->b;
}
__attribute__((noinline)) static unsigned tri_area(const struct shape *s)
{
	return s->a * s->b / 2;
}
__attribute__((noinline)) static unsigned disc_area(const struct shape *s)
{
	return s->a * s->a * 22 / 7;
}
__attribute__((noinline)) static unsigned ring_area(const struct shape *s)
{
	return (s->a * s->a - s->b) * 22 / 7;
}
__attribute__((noinline)) static void grow_a(struct shape *s, unsigned by)
{
	s->a += by;
}
__attribute__((noinline)) static void grow_b(struct shape *s, unsigned by)
{
	s->b ^= by;
}

static uint64_t vcall_run(void *data)
{
	static const struct shape_ops ops[4] = {
		{box_area, grow_a},
		{tri_area, grow_b},
		{disc_area, grow_b},
		{ring_area, grow_a},
	};
	struct shape shapes[256];
	uint64_t s = 3, sum = 0;

	(void)data;
	for (int i = 0; i < 256; i++)
		shapes[i] = (struct shape){&ops[rnd(&s) >> 62], (unsigned)i, 3};
	for (int pass = 0; pass < 2000; pass++)
		for (int i = 0; i < 256; i++) {
			sum += shapes[i].ops->area(&shapes[i]);
			shapes[i].ops->grow(&shapes[i], (unsigned)pass);
		}
	return sum;
}

__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls"))) static unsigned
fib(unsigned n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t fib_run(void *data)
{
	unsigned n = 29;

	(void)data;
	KEEP(n);
	return fib(n);
}

__attribute__((noinline)) static unsigned ack(unsigned m, unsigned n)
{
	while (m) {
		n = n ? ack(m, n - 1) : 1;
		m--;
	}
	return n + 1;
}

/* Depth of hundreds of frames: deeper than the return predictors. */
static uint64_t ackermann_run(void *data)
{
	unsigned m = 3;

	(void)data;
	KEEP(m);
	return ack(m, 7);
}

__attribute__((noinline)) static void thrower(jmp_buf to, unsigned v)
{
	if (v & 1)
		_longjmp(to, 1 + (int)(v & 6));
}

static uint64_t longjmp_run(void *data)
{
	volatile uint64_t sum = 0;
	jmp_buf back;

	(void)data;
	for (volatile unsigned i = 0; i < 300000; i++) {
		int r = _setjmp(back);

		if (r == 0)
			thrower(back, i);
		else
			sum += (unsigned)r;
	}
	return sum;
}

/* --- Sorting ---------------------------------------------------------------------------------- */

enum { SORT = 60000 };

static void *sort_new(void)
{
	uint32_t *v = bench_alloc(sizeof(uint32_t) * 3 * SORT);
	uint64_t s = 21;

	for (int i = 0; i < SORT; i++)
		v[i] = (uint32_t)(rnd(&s) >> 32);
	return v;
}

static void quick(uint32_t *v, long lo, long hi)
{
	while (lo < hi) {
		uint32_t pivot = v[(lo + hi) / 2];
		long i = lo, j = hi;

		while (i <= j) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i <= j) {
				uint32_t t = v[i];

				v[i++] = v[j];
				v[j--] = t;
			}
		}
		quick(v, lo, j);
		lo = i;
	}
}

static uint64_t order_sum(const uint32_t *v)
{
	uint64_t sum = 0;

	for (int i = 0; i < SORT; i += 61)
		sum = mix(sum, v[i]);
	for (int i = 1; i < SORT; i++)
		sum += v[i - 1] > v[i];
	return sum;
}

static uint64_t quicksort_run(void *data)
{
	uint32_t *v = data, *w = v + SORT;

	memcpy(w, v, SORT * sizeof(*v));
	quick(w, 0, SORT - 1);
	return order_sum(w);
}

static void merge(uint32_t *v, uint32_t *t, long n)
{
	long half = n / 2, i = 0, j = half, k = 0;

	if (n < 2)
		return;
	merge(v, t, half);
	merge(v + half, t, n - half);
	while (i < half && j < n)
		t[k++] = v[i] <= v[j] ? v[i++] : v[j++];
	while (i < half)
		t[k++] = v[i++];
	memcpy(v, t, (size_t)k * sizeof(*v));
}

static uint64_t mergesort_run(void *data)
{
	uint32_t *v = data, *w = v + SORT;

	memcpy(w, v, SORT * sizeof(*v));
	merge(w, w + SORT, SORT);
	return order_sum(w);
}

/* --- Trees, patterns, tokens --------------------------------------------------------------------
 */

struct node {
	struct node *child[2];
	uint32_t key, count;
};
enum { NODES = 16384 };

static void *tree_new(void)
{
	return bench_alloc(sizeof(struct node) * NODES);
}

__attribute__((noinline)) static uint64_t tree_sum(const struct node *n, unsigned depth)
{
	if (!n)
		return depth;
	return tree_sum(n->child[0], depth + 1) + n->key % 1000 + tree_sum(n->child[1], depth + 1);
}

static uint64_t tree_run(void *data)
{
	struct node *pool = data, *root = NULL;
	uint64_t s = 77, sum = 0;

	for (int i = 0; i < NODES; i++) {
		uint32_t key = (uint32_t)(rnd(&s) >> 32);
		struct node **at = &root;

		while (*at && (*at)->key != key)
			at = &(*at)->child[(*at)->key < key];
		if (*at) {
			(*at)->count++;
			continue;
		}
		pool[i] = (struct node){{NULL, NULL}, key, 1};
		*at = &pool[i];
	}
	for (int pass = 0; pass < 4; pass++)
		sum = mix(sum, tree_sum(root, 0));
	return sum;
}

/* Patterns of letters, '.', '*', '^' and '$', by backtracking. */
static int match_here(const char *re, const char *s);

static int match_star(int c, const char *re, const char *s)
{
	do {
		if (match_here(re, s))
			return 1;
	} while (*s && (*s++ == c || c == '.'));
	return 0;
}

static int match_here(const char *re, const char *s)
{
	if (!re[0])
		return 1;
	if (re[1] == '*')
		return match_star(re[0], re + 2, s);
	if (re[0] == '$' && !re[1])
		return !*s;
	if (*s && (re[0] == '.' || re[0] == *s))
		return match_here(re + 1, s + 1);
	return 0;
}

static int match(const char *re, const char *s)
{
	if (re[0] == '^')
		return match_here(re + 1, s);
	do {
		if (match_here(re, s))
			return 1;
	} while (*s++);
	return 0;
}

enum { LINES = 1024, LINE = 48 };

static void *lines_new(void)
{
	char *p = bench_alloc(LINES * LINE);
	uint64_t s = 8;

	for (int i = 0; i < LINES; i++) {
		for (int j = 0; j < LINE - 1; j++) {
			uint64_t r = rnd(&s) >> 40;

			p[i * LINE + j] =
				r % 6 == 0 ? ' ' : (char)("abcdefgh0123456+-*/="[r / 6 % 20]);
		}
	}
	return p;
}

static uint64_t regex_run(void *data)
{
	static const char *const patterns[] = {"a.*b.*c*d", "^ab*", "0.*1.*2.*3.*4$", "ef*gh",
					       "a*a*a*b$"};
	const char *text = data;
	uint64_t sum = 0;

	for (unsigned p = 0; p < sizeof(patterns) / sizeof(*patterns); p++)
		for (int i = 0; i < LINES; i++)
			sum = sum * 3 + (unsigned)match(patterns[p], text + i * LINE);
	return sum;
}

static uint64_t token_run(void *data)
{
	const char *text = data;
	uint64_t words = 0, numbers = 0, signs = 0, sum = 0;

	for (int pass = 0; pass < 16; pass++)
		for (int i = 0; i < LINES; i++) {
			const char *s = text + i * LINE;

			while (*s) {
				if (*s == ' ') {
					s++;
				} else if (*s >= 'a' && *s <= 'z') {
					uint32_t h = 5381;

					while (*s >= 'a' && *s <= 'z')
						h = h * 33 + (unsigned char)*s++;
					sum ^= h;
					words++;
				} else if (*s >= '0' && *s <= '9') {
					uint64_t n = 0;

					while (*s >= '0' && *s <= '9')
						n = n * 10 + (unsigned)(*s++ - '0');
					sum += n;
					numbers++;
				} else {
					switch (*s++) {
					case '+': signs += 1; break;
					case '-': signs += 3; break;
					case '*': signs += 5; break;
					case '/': signs += 7; break;
					default: signs += 11;
					}
				}
			}
		}
	return mix(mix(mix(sum, words), numbers), signs);
}

const struct kernel kernels[] = {
	{"switch", switch_run, program_new, NULL},
	{"goto", goto_run, program_new, NULL},
	{"vcall", vcall_run, NULL, NULL},
	{"fib", fib_run, NULL, NULL},
	{"ackermann", ackermann_run, NULL, NULL},
	{"longjmp", longjmp_run, NULL, NULL},
	{"quicksort", quicksort_run, sort_new, NULL},
	{"mergesort", mergesort_run, sort_new, NULL},
	{"tree", tree_run, tree_new, NULL},
	{"regex", regex_run, lines_new, NULL},
	{"token", token_run, lines_new, NULL},
	{NULL, NULL, NULL, NULL},
};
