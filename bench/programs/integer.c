/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class integer: arithmetic and logic in tight loops, few unpredictable branches, small data.
 */
#include "bench.h"

#include <string.h>

enum { TEXT = 64 * 1024 };

/* Bytes with the statistics of words: some repeat, some do not. */
static void *text_new(void)
{
	unsigned char *p = bench_alloc(TEXT + 16);
	uint64_t s = 12345;
	size_t n = 0;

	while (n < TEXT) {
		uint64_t r = rnd(&s);

		if (n > 256 && (r & 3)) {
			size_t len = 3 + (r >> 8) % 12, from = n - 1 - (r >> 16) % 250;

			while (len-- && n < TEXT)
				p[n++] = p[from++];
		} else {
			p[n++] = (unsigned char)('a' + (r >> 32) % 26);
		}
	}
	return p;
}

static uint64_t crc_run(void *data)
{
	const unsigned char *p = data;
	uint32_t table[256], crc = ~0u;

	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int k = 0; k < 8; k++)
			c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
		table[i] = c;
	}
	for (int pass = 0; pass < 24; pass++)
		for (size_t i = 0; i < TEXT; i++)
			crc = table[(crc ^ p[i]) & 255] ^ (crc >> 8);
	return ~crc;
}

static inline uint32_t ror(uint32_t v, int n)
{
	return (v >> n) | (v << (32 - n));
}

/* Compression function of FIPS 180-4; the constants are made, not listed, so that this is not
 * SHA-256. */
static uint64_t sha_run(void *data)
{
	const unsigned char *p = data;
	uint32_t k[64], h[8], w[64];
	uint64_t s = 99;

	for (int i = 0; i < 64; i++)
		k[i] = (uint32_t)(rnd(&s) >> 32);
	for (int i = 0; i < 8; i++)
		h[i] = (uint32_t)(rnd(&s) >> 32);
	for (int pass = 0; pass < 16; pass++) {
		for (size_t off = 0; off < TEXT; off += 64) {
			memcpy(w, p + off, 64);
			for (int i = 16; i < 64; i++) {
				uint32_t a = w[i - 15], b = w[i - 2];

				w[i] = w[i - 16] + (ror(a, 7) ^ ror(a, 18) ^ (a >> 3)) + w[i - 7] +
				       (ror(b, 17) ^ ror(b, 19) ^ (b >> 10));
			}
			uint32_t v[8];

			memcpy(v, h, sizeof(v));
			for (int i = 0; i < 64; i++) {
				uint32_t e = v[4], a = v[0];
				uint32_t t1 = v[7] + (ror(e, 6) ^ ror(e, 11) ^ ror(e, 25)) +
					      ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
				uint32_t t2 = (ror(a, 2) ^ ror(a, 13) ^ ror(a, 22)) +
					      ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));

				v[7] = v[6], v[6] = v[5], v[5] = e, v[4] = v[3] + t1;
				v[3] = v[2], v[2] = v[1], v[1] = a, v[0] = t1 + t2;
			}
			for (int i = 0; i < 8; i++)
				h[i] += v[i];
		}
	}
	uint64_t sum = 0;

	for (int i = 0; i < 8; i++)
		sum = mix(sum, h[i]);
	return sum;
}

enum { SIEVE = 1 << 20 };

static void *sieve_new(void)
{
	return bench_alloc(SIEVE);
}

static uint64_t sieve_run(void *data)
{
	unsigned char *composite = data;
	uint64_t count = 0, last = 0;

	memset(composite, 0, SIEVE);
	for (size_t i = 2; i < SIEVE; i++) {
		if (composite[i])
			continue;
		count++;
		last = i;
		for (size_t j = i * i; j < SIEVE; j += i)
			composite[j] = 1;
	}
	return mix(count, last);
}

/* Greedy LZ77 with a hash of three bytes, into tokens; then undone and compared. */
struct lz {
	unsigned char *in, *out, *back;
	uint16_t *head;
};

static void *lz_new(void)
{
	struct lz *z = bench_alloc(sizeof(*z));

	z->in = text_new();
	z->out = bench_alloc(2 * TEXT);
	z->back = bench_alloc(TEXT + 64);
	z->head = bench_alloc(2 << 13);
	return z;
}

static size_t lz_pack(struct lz *z)
{
	size_t n = 0, i = 1;

	memset(z->head, 0, 2 << 13);
	z->out[n++] = z->in[0];
	while (i < TEXT - 4) {
		uint32_t key =
			z->in[i] | (uint32_t)z->in[i + 1] << 8 | (uint32_t)z->in[i + 2] << 16;
		uint32_t slot = (key * 2654435761u) >> 19;
		size_t from = z->head[slot], len = 0;

		z->head[slot] = (uint16_t)i;
		while (from < i && len < 127 && i + len < TEXT - 4 &&
		       z->in[from + len] == z->in[i + len])
			len++;
		if (len >= 4 && i - from < 65536) {
			z->out[n++] = (unsigned char)(128 | len);
			z->out[n++] = (unsigned char)(i - from);
			z->out[n++] = (unsigned char)((i - from) >> 8);
			i += len;
		} else {
			z->out[n++] = z->in[i++] & 127;
		}
	}
	return n;
}

static size_t lz_unpack(struct lz *z, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < n;) {
		if (z->out[i] & 128) {
			size_t len = z->out[i] & 127;
			size_t from = at - (z->out[i + 1] | (size_t)z->out[i + 2] << 8);

			while (len--)
				z->back[at++] = z->back[from++];
			i += 3;
		} else {
			z->back[at++] = z->out[i++];
		}
	}
	return at;
}

static uint64_t lz_run(void *data)
{
	struct lz *z = data;
	uint64_t sum = 0;

	for (int pass = 0; pass < 8; pass++) {
		size_t n = lz_pack(z), back = lz_unpack(z, n);

		sum = mix(sum, n);
		sum = mix(sum, memcmp(z->in, z->back, back) == 0);
	}
	return sum;
}

static uint64_t bits_run(void *data)
{
	uint64_t s = 7, sum = 0;

	(void)data;
	for (int i = 0; i < 400000; i++) {
		uint64_t v = rnd(&s), r = v;

		r = (r >> 1 & 0x5555555555555555ull) | (r & 0x5555555555555555ull) << 1;
		r = (r >> 2 & 0x3333333333333333ull) | (r & 0x3333333333333333ull) << 2;
		r = (r >> 4 & 0x0f0f0f0f0f0f0f0full) | (r & 0x0f0f0f0f0f0f0f0full) << 4;
		sum += __builtin_bswap64(r) ^ (v & -v);
		sum = (sum << (v & 31)) | (sum >> (64 - (v & 31)) % 64);
		sum += (uint64_t)__builtin_ctzll(v | 1ull << 63) + (uint64_t)__builtin_clzll(r | 1);
		if (v >> (sum & 63) & 1)
			sum ^= 1ull << (v & 63);
	}
	return sum;
}

static unsigned queens(unsigned all, unsigned cols, unsigned left, unsigned right)
{
	unsigned found = 0, free = all & ~(cols | left | right);

	if (cols == all)
		return 1;
	while (free) {
		unsigned bit = free & -free;

		free ^= bit;
		found += queens(all, cols | bit, (left | bit) << 1, (right | bit) >> 1);
	}
	return found;
}

static uint64_t queens_run(void *data)
{
	unsigned all = (1u << 12) - 1;

	(void)data;
	KEEP(all);
	return queens(all, 0, 0, 0);
}

enum { MAT = 160 };

static void *mat_new(void)
{
	int *m = bench_alloc(sizeof(int) * 3 * MAT * MAT);
	uint64_t s = 5;

	for (int i = 0; i < 2 * MAT * MAT; i++)
		m[i] = (int)(rnd(&s) >> 40);
	return m;
}

static uint64_t matmul_run(void *data)
{
	int *a = data, *b = a + MAT * MAT, *c = b + MAT * MAT;
	uint64_t sum = 0;

	for (int i = 0; i < MAT; i++)
		for (int j = 0; j < MAT; j++) {
			unsigned t = 0;

			for (int k = 0; k < MAT; k++)
				t += (unsigned)a[i * MAT + k] * (unsigned)b[k * MAT + j];
			c[i * MAT + j] = (int)t;
		}
	for (int i = 0; i < MAT * MAT; i++)
		sum = mix(sum, (unsigned)c[i]);
	return sum;
}

/* Squares by schoolbook multiplication in base 2^32, the middle of each the next number. */
static uint64_t bignum_run(void *data)
{
	enum { LIMBS = 400 };
	uint32_t a[LIMBS], r[2 * LIMBS];
	uint64_t s = 31, sum = 0;

	(void)data;
	for (int i = 0; i < LIMBS; i++)
		a[i] = (uint32_t)(rnd(&s) >> 32);
	for (int pass = 0; pass < 24; pass++) {
		memset(r, 0, sizeof(r));
		for (int i = 0; i < LIMBS; i++) {
			uint64_t carry = 0;

			for (int j = 0; j < LIMBS; j++) {
				uint64_t t = (uint64_t)a[i] * a[j] + r[i + j] + carry;

				r[i + j] = (uint32_t)t;
				carry = t >> 32;
			}
			r[i + LIMBS] = (uint32_t)carry;
		}
		memcpy(a, r + LIMBS / 2, sizeof(a));
		sum = mix(sum, r[3] ^ r[LIMBS]);
	}
	return sum;
}

static uint64_t hash_run(void *data)
{
	const unsigned char *p = data;
	uint64_t sum = 0;

	for (int pass = 0; pass < 60; pass++) {
		uint64_t h = (uint64_t)pass * 0x9e3779b97f4a7c15ull;

		for (size_t i = 0; i < TEXT; i += 8) {
			uint64_t v;

			memcpy(&v, p + i, 8);
			v *= 0x87c37b91114253d5ull;
			v = v << 31 | v >> 33;
			h ^= v * 0x4cf5ad432745937full;
			h = (h << 27 | h >> 37) * 5 + 0x52dce729;
		}
		sum = mix(sum, h);
	}
	return sum;
}

/* Division: the instruction that stays slow everywhere, and remainders by it. */
static uint64_t divide_run(void *data)
{
	uint64_t s = 17, sum = 0;

	(void)data;
	for (int i = 0; i < 300000; i++) {
		uint64_t v = rnd(&s);
		uint32_t d = (uint32_t)(v >> 48) | 1;

		sum += (uint32_t)v / d;
		sum ^= (uint32_t)sum % d;
		sum += (uint64_t)((int64_t)v / (int32_t)(d | 0x10000));
	}
	return sum;
}

static uint64_t collatz_run(void *data)
{
	uint64_t most = 0, at = 0;

	(void)data;
	for (uint32_t i = 1; i < 40000; i++) {
		uint64_t n = i, steps = 0;

		while (n != 1) {
			n = n & 1 ? 3 * n + 1 : n >> 1;
			steps++;
		}
		if (steps > most)
			most = steps, at = i;
	}
	return mix(most, at);
}

const struct kernel kernels[] = {
	{"crc", crc_run, text_new, NULL},      {"sha", sha_run, text_new, NULL},
	{"sieve", sieve_run, sieve_new, NULL}, {"lz", lz_run, lz_new, NULL},
	{"bits", bits_run, NULL, NULL},        {"queens", queens_run, NULL, NULL},
	{"matmul", matmul_run, mat_new, NULL}, {"bignum", bignum_run, NULL, NULL},
	{"hash", hash_run, text_new, NULL},    {"divide", divide_run, NULL, NULL},
	{"collatz", collatz_run, NULL, NULL},  {NULL, NULL, NULL, NULL},
};
