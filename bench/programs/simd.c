/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class simd: vector instructions by intrinsics, from SSE2 to AVX2, and the AES, CLMUL and CRC32
 * instructions. A kernel whose feature the processor lacks is skipped.
 */
#include "bench.h"

#include <immintrin.h>
#include <string.h>

enum { BYTES = 64 * 1024 };

static void *bytes_new(void)
{
	unsigned char *p = bench_alloc(2 * BYTES);
	uint64_t s = 61;

	for (size_t i = 0; i < BYTES; i += 8) {
		uint64_t v = rnd(&s);

		memcpy(p + i, &v, 8);
	}
	return p;
}

static uint64_t fold(__m128i v)
{
	uint64_t w[2];

	memcpy(w, &v, sizeof(w));
	return mix(w[0], w[1]);
}

/* Sums of absolute differences, saturating adds, compares, shifts, unpacks. */
static uint64_t sse2_run(void *data)
{
	const __m128i *p = data;
	__m128i acc = _mm_setzero_si128(), prev = acc;

	for (int pass = 0; pass < 40; pass++)
		for (int i = 0; i < BYTES / 16; i++) {
			__m128i v = _mm_load_si128(p + i);

			acc = _mm_add_epi64(acc, _mm_sad_epu8(v, prev));
			v = _mm_adds_epu8(v, _mm_srli_epi16(prev, 3));
			acc = _mm_add_epi32(acc, _mm_madd_epi16(v, _mm_unpacklo_epi8(v, prev)));
			acc = _mm_xor_si128(acc, _mm_cmpgt_epi8(v, prev));
			prev = v;
		}
	return fold(acc);
}

/* Hexadecimal digits of bytes: shuffles as table look-ups. */
__attribute__((target("ssse3"))) static uint64_t ssse3_run(void *data)
{
	const __m128i *p = data;
	const __m128i digits = _mm_setr_epi8('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a',
					     'b', 'c', 'd', 'e', 'f');
	const __m128i low = _mm_set1_epi8(15);
	__m128i *q = (__m128i *)((unsigned char *)data + BYTES), acc = _mm_setzero_si128();

	for (int pass = 0; pass < 60; pass++) {
		for (int i = 0; i < BYTES / 32; i++) {
			__m128i v = _mm_load_si128(p + i);
			__m128i hi =
				_mm_shuffle_epi8(digits, _mm_and_si128(_mm_srli_epi16(v, 4), low));
			__m128i lo = _mm_shuffle_epi8(digits, _mm_and_si128(v, low));

			_mm_store_si128(q + 2 * i, _mm_unpacklo_epi8(hi, lo));
			_mm_store_si128(q + 2 * i + 1, _mm_unpackhi_epi8(hi, lo));
		}
		acc = _mm_add_epi8(acc, q[pass]);
	}
	return fold(acc);
}

/* Minima, blends, multiplications of 32 bits, and the horizontal rest. */
__attribute__((target("sse4.1"))) static uint64_t sse41_run(void *data)
{
	const __m128i *p = data;
	__m128i acc = _mm_set1_epi32(1), least = _mm_set1_epi32(0x7fffffff);

	for (int pass = 0; pass < 40; pass++)
		for (int i = 0; i < BYTES / 16; i++) {
			__m128i v = _mm_load_si128(p + i);

			least = _mm_min_epi32(least, _mm_mullo_epi32(v, acc));
			acc = _mm_blendv_epi8(_mm_add_epi32(acc, v), least, v);
			acc = _mm_xor_si128(acc, _mm_cvtepi8_epi16(v));
		}
	return mix(fold(acc), (uint32_t)_mm_extract_epi32(least, 2));
}

/* Four streams of AES counter mode, ten rounds with made-up round keys. */
__attribute__((target("aes,sse2"))) static uint64_t aes_run(void *data)
{
	const __m128i *key = data;
	__m128i count = _mm_setzero_si128(), one = _mm_set_epi64x(0, 1), sum = count;

	for (int i = 0; i < 40000; i++) {
		__m128i b[4];

		for (int k = 0; k < 4; k++) {
			count = _mm_add_epi64(count, one);
			b[k] = _mm_xor_si128(count, key[0]);
		}
		for (int r = 1; r < 10; r++)
			for (int k = 0; k < 4; k++)
				b[k] = _mm_aesenc_si128(b[k], key[r]);
		for (int k = 0; k < 4; k++)
			sum = _mm_xor_si128(sum, _mm_aesenclast_si128(b[k], key[10]));
	}
	return fold(sum);
}

/* Folding by carry-less multiplication, as fast CRCs do. */
__attribute__((target("pclmul,sse2"))) static uint64_t pclmul_run(void *data)
{
	const __m128i *p = data, k = _mm_set_epi64x(0x1a0f717c4, 0x0170076fa);
	__m128i a = p[0], b = p[1];

	for (int pass = 0; pass < 40; pass++)
		for (int i = 0; i < BYTES / 16; i += 2) {
			a = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(a, k, 0x00),
							_mm_clmulepi64_si128(a, k, 0x11)),
					  p[i]);
			b = _mm_xor_si128(_mm_xor_si128(_mm_clmulepi64_si128(b, k, 0x00),
							_mm_clmulepi64_si128(b, k, 0x11)),
					  p[i + 1]);
		}
	return fold(_mm_xor_si128(a, _mm_slli_epi64(b, 1)));
}

__attribute__((target("sse4.2"))) static uint64_t crc32_run(void *data)
{
	const unsigned char *p = data;
	uint64_t sum = 0;

	for (int pass = 0; pass < 60; pass++) {
#ifdef __x86_64__
		uint64_t c = (unsigned)pass;

		for (int i = 0; i < BYTES; i += 8) {
			uint64_t v;

			memcpy(&v, p + i, 8);
			c = _mm_crc32_u64(c, v);
		}
#else
		uint32_t c = (unsigned)pass;

		for (int i = 0; i < BYTES; i += 4) {
			uint32_t v;

			memcpy(&v, p + i, 4);
			c = _mm_crc32_u32(c, v);
		}
#endif
		sum = mix(sum, c);
	}
	return sum;
}

__attribute__((target("avx2"))) static uint64_t avx2_run(void *data)
{
	const __m256i *p = data;
	__m256i acc = _mm256_setzero_si256(), prev = acc;

	for (int pass = 0; pass < 60; pass++)
		for (int i = 0; i < BYTES / 32; i++) {
			__m256i v = _mm256_load_si256(p + i);

			acc = _mm256_add_epi64(acc, _mm256_sad_epu8(v, prev));
			v = _mm256_shuffle_epi8(v, _mm256_and_si256(prev, _mm256_set1_epi8(15)));
			acc = _mm256_add_epi32(acc, _mm256_mullo_epi32(v, prev));
			acc = _mm256_permutevar8x32_epi32(acc, _mm256_srli_epi32(v, 29));
			prev = _mm256_load_si256(p + i);
		}
	return mix(fold(_mm256_castsi256_si128(acc)), fold(_mm256_extracti128_si256(acc, 1)));
}

/* The first of a byte in long memory, by compare and mask. */
__attribute__((target("avx2"))) static uint64_t avx2_scan_run(void *data)
{
	const __m256i *p = data;
	uint64_t sum = 0;

	for (int c = 0; c < 60; c++) {
		__m256i what = _mm256_set1_epi8((char)c);

		for (int i = 0; i < BYTES / 32; i++) {
			unsigned m = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(p[i], what));

			if (m)
				sum += (unsigned)__builtin_ctz(m) + (unsigned)__builtin_popcount(m);
		}
	}
	return sum;
}

enum { DIM = 128 };

static void *matrix_new(void)
{
	double *m = bench_alloc(3 * DIM * DIM * sizeof(double));
	uint64_t s = 3;

	for (int i = 0; i < 2 * DIM * DIM; i++)
		m[i] = (double)(int64_t)(rnd(&s) >> 44) / 1024;
	return m;
}

__attribute__((target("avx2,fma"))) static uint64_t fma_run(void *data)
{
	double *a = data, *b = a + DIM * DIM, *c = b + DIM * DIM;
	uint64_t sum;

	for (int pass = 0; pass < 6; pass++)
		for (int i = 0; i < DIM; i++)
			for (int j = 0; j < DIM; j += 16) {
				__m256d t0 = _mm256_setzero_pd(), t1 = t0, t2 = t0, t3 = t0;

				for (int k = 0; k < DIM; k++) {
					__m256d f = _mm256_broadcast_sd(a + i * DIM + k);
					const double *row = b + k * DIM + j;

					t0 = _mm256_fmadd_pd(f, _mm256_load_pd(row), t0);
					t1 = _mm256_fmadd_pd(f, _mm256_load_pd(row + 4), t1);
					t2 = _mm256_fmadd_pd(f, _mm256_load_pd(row + 8), t2);
					t3 = _mm256_fmadd_pd(f, _mm256_load_pd(row + 12), t3);
				}
				_mm256_store_pd(c + i * DIM + j, t0);
				_mm256_store_pd(c + i * DIM + j + 4, t1);
				_mm256_store_pd(c + i * DIM + j + 8, t2);
				_mm256_store_pd(c + i * DIM + j + 12, t3);
			}
	memcpy(&sum, c + 77, 8);
	return sum;
}

/* Single precision, packed: what graphics and audio do. */
static uint64_t sse_float_run(void *data)
{
	const __m128i *p = data;
	__m128 acc = _mm_setzero_ps();
	const __m128 scale = _mm_set1_ps(1.0f / 65536);

	for (int pass = 0; pass < 30; pass++)
		for (int i = 0; i < BYTES / 16; i++) {
			__m128 v = _mm_mul_ps(_mm_cvtepi32_ps(_mm_srai_epi32(p[i], 12)), scale);
			__m128 w = _mm_shuffle_ps(v, v, 0x1b);

			acc = _mm_add_ps(acc, _mm_mul_ps(v, w));
			acc = _mm_max_ps(_mm_min_ps(acc, _mm_set1_ps(1e6f)), _mm_set1_ps(-1e6f));
			acc = _mm_div_ps(acc,
					 _mm_sqrt_ps(_mm_add_ps(_mm_mul_ps(w, w), _mm_set1_ps(1))));
		}
	return fold(_mm_castps_si128(acc));
}

__attribute__((target("bmi,bmi2,lzcnt,popcnt"))) static uint64_t bmi_run(void *data)
{
	uint64_t s = 73, sum = 0;

	(void)data;
	for (int i = 0; i < 300000; i++) {
		uint64_t r = rnd(&s);
#ifdef __x86_64__
		sum += _pext_u64(r, 0x00ff00ff00ff00ffull) ^ _pdep_u64(sum, r);
		sum ^= (r & ~sum) + (uint64_t)__builtin_popcountll(r) + _lzcnt_u64(r | 1);
		sum = sum << (r & 63) ^ _bzhi_u64(r, (unsigned)(sum & 63));
#else
		sum += _pext_u32((uint32_t)r, 0x00ff00ffu) ^ _pdep_u32((uint32_t)sum, (uint32_t)r);
		sum ^= (r & ~sum) + (uint64_t)__builtin_popcountll(r) + _lzcnt_u32((uint32_t)r | 1);
		sum = sum << (r & 31) ^ _bzhi_u32((uint32_t)r, (unsigned)(sum & 31));
#endif
	}
	return sum;
}

const struct kernel kernels[] = {
	{"sse2", sse2_run, bytes_new, NULL},
	{"ssse3", ssse3_run, bytes_new, "ssse3"},
	{"sse41", sse41_run, bytes_new, "sse4.1"},
	{"sse_float", sse_float_run, bytes_new, NULL},
	{"aes", aes_run, bytes_new, "aes"},
	{"pclmul", pclmul_run, bytes_new, "pclmul"},
	{"crc32", crc32_run, bytes_new, "sse4.2"},
	{"avx2", avx2_run, bytes_new, "avx2"},
	{"avx2_scan", avx2_scan_run, bytes_new, "avx2"},
	{"fma", fma_run, matrix_new, "fma"},
	{"bmi", bmi_run, NULL, "bmi2"},
	{NULL, NULL, NULL, NULL},
};
