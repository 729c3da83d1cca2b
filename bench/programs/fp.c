/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Class fp: floating point. Scalar SSE2 in 64-bit programs, the x87 for long double and for
 * everything in 32-bit programs. Results of the C library's functions are rounded before they enter
 * a check sum, since it picks variants by CPUID whose last bits differ.
 */
#include "bench.h"

#include <math.h>
#include <string.h>

static uint64_t bits_of(double v)
{
	uint64_t b;

	memcpy(&b, &v, 8);
	return b;
}

struct body {
	double x[3], v[3], mass;
};

static uint64_t nbody_run(void *data)
{
	struct body b[5];
	uint64_t s = 1;

	(void)data;
	for (int i = 0; i < 5; i++) {
		for (int k = 0; k < 3; k++) {
			b[i].x[k] = (double)(int64_t)(rnd(&s) >> 40) * 1e-6 + i;
			b[i].v[k] = (double)(int64_t)(rnd(&s) >> 40) * 1e-8;
		}
		b[i].mass = 1.0 / (i + 1);
	}
	for (int step = 0; step < 10000; step++) {
		for (int i = 0; i < 5; i++)
			for (int j = i + 1; j < 5; j++) {
				double d[3], r = 0.01;

				for (int k = 0; k < 3; k++) {
					d[k] = b[i].x[k] - b[j].x[k];
					r += d[k] * d[k];
				}
				double f = 0.001 / (r * sqrt(r));

				for (int k = 0; k < 3; k++) {
					b[i].v[k] -= d[k] * b[j].mass * f;
					b[j].v[k] += d[k] * b[i].mass * f;
				}
			}
		for (int i = 0; i < 5; i++)
			for (int k = 0; k < 3; k++)
				b[i].x[k] += 0.001 * b[i].v[k];
	}
	return bits_of(b[0].x[0] + b[4].v[2]);
}

enum { SPECTRAL = 160 };

static void spectral_times(double *out, const double *in, int transposed)
{
	for (int i = 0; i < SPECTRAL; i++) {
		double t = 0;

		for (int j = 0; j < SPECTRAL; j++) {
			int r = transposed ? j : i, c = transposed ? i : j;

			t += in[j] / ((r + c) * (r + c + 1) / 2 + r + 1);
		}
		out[i] = t;
	}
}

static uint64_t spectral_run(void *data)
{
	double u[SPECTRAL], v[SPECTRAL], t[SPECTRAL];

	(void)data;
	for (int i = 0; i < SPECTRAL; i++)
		u[i] = 1;
	for (int pass = 0; pass < 10; pass++) {
		spectral_times(t, u, 0);
		spectral_times(v, t, 1);
		spectral_times(t, v, 0);
		spectral_times(u, t, 1);
	}
	double uv = 0, vv = 0;

	for (int i = 0; i < SPECTRAL; i++)
		uv += u[i] * v[i], vv += v[i] * v[i];
	return bits_of(sqrt(uv / vv));
}

static uint64_t mandelbrot_run(void *data)
{
	uint64_t sum = 0;

	(void)data;
	for (int py = 0; py < 96; py++)
		for (int px = 0; px < 96; px++) {
			double cx = px / 40.0 - 1.8, cy = py / 40.0 - 1.2, x = 0, y = 0;
			int n = 0;

			while (n < 100 && x * x + y * y < 4) {
				double t = x * x - y * y + cx;

				y = 2 * x * y + cy;
				x = t;
				n++;
			}
			sum = sum * 31 + (unsigned)n;
		}
	return sum;
}

enum { DIM = 128 };

static void *dgemm_new(void)
{
	double *m = bench_alloc(3 * DIM * DIM * sizeof(double));
	uint64_t s = 3;

	for (int i = 0; i < 2 * DIM * DIM; i++)
		m[i] = (double)(int64_t)(rnd(&s) >> 44) / 1024;
	return m;
}

static uint64_t dgemm_run(void *data)
{
	double *a = data, *b = a + DIM * DIM, *c = b + DIM * DIM;

	memset(c, 0, DIM * DIM * sizeof(*c));
	for (int i = 0; i < DIM; i++)
		for (int k = 0; k < DIM; k++) {
			double f = a[i * DIM + k];

			for (int j = 0; j < DIM; j++)
				c[i * DIM + j] += f * b[k * DIM + j];
		}
	return bits_of(c[5 * DIM + 7]) ^ bits_of(c[DIM * DIM - 1]);
}

enum { FFT = 4096 };
struct fft {
	double re[FFT], im[FFT], c[FFT / 2], s[FFT / 2];
};

static void *fft_new(void)
{
	struct fft *f = bench_alloc(sizeof(*f));
	double c = 1, s = 0;

	/* cos and sin of 2 pi / FFT, and from there by rotation: the same everywhere. */
	for (int i = 0; i < FFT / 2; i++) {
		double t = c * 0.99999882345170187925 - s * 0.00153398018628476550;

		f->c[i] = c;
		f->s[i] = s;
		s = c * 0.00153398018628476550 + s * 0.99999882345170187925;
		c = t;
	}
	return f;
}

static uint64_t fft_run(void *data)
{
	struct fft *f = data;
	uint64_t seed = 19;

	for (int i = 0; i < FFT; i++) {
		f->re[i] = (double)(int64_t)(rnd(&seed) >> 40);
		f->im[i] = 0;
	}
	for (int pass = 0; pass < 8; pass++) {
		for (int i = 1, j = 0; i < FFT; i++) {
			int bit = FFT >> 1;

			for (; j & bit; bit >>= 1)
				j ^= bit;
			j |= bit;
			if (i < j) {
				double t = f->re[i];

				f->re[i] = f->re[j], f->re[j] = t;
				t = f->im[i], f->im[i] = f->im[j], f->im[j] = t;
			}
		}
		for (int len = 2; len <= FFT; len <<= 1)
			for (int i = 0; i < FFT; i += len)
				for (int k = 0; k < len / 2; k++) {
					int a = i + k, b = a + len / 2, w = k * (FFT / len);
					double re = f->re[b] * f->c[w] - f->im[b] * f->s[w];
					double im = f->re[b] * f->s[w] + f->im[b] * f->c[w];

					f->re[b] = f->re[a] - re, f->im[b] = f->im[a] - im;
					f->re[a] += re, f->im[a] += im;
				}
		for (int i = 0; i < FFT; i++)
			f->re[i] *= 1.0 / 64, f->im[i] *= 1.0 / 64;
	}
	return bits_of(f->re[100]) ^ bits_of(f->im[1000]);
}

/* Series for pi, e and ln 2 in long double: x87 in both modes. */
static uint64_t x87_run(void *data)
{
	long double pi = 0, e = 1, ln2 = 0, f = 1, sign = 1;

	(void)data;
	for (int i = 0; i < 200000; i++) {
		pi += sign / (2 * i + 1);
		sign = -sign;
	}
	for (int i = 1; i < 25; i++) {
		f *= i;
		e += 1 / f;
	}
	for (int i = 1; i < 100000; i++)
		ln2 += 1 / ((long double)i * (2 * i - 1)) / 2;
	return mix((uint64_t)(pi * 4e18L), mix((uint64_t)(e * 4e18L), (uint64_t)(ln2 * 8e18L)));
}

/* Matrix times vector and a Newton square root on the x87 stack. */
static uint64_t x87_mat_run(void *data)
{
	long double m[16][16], v[16], w[16];
	uint64_t s = 23, sum = 0;

	(void)data;
	for (int i = 0; i < 16; i++) {
		v[i] = 1;
		for (int j = 0; j < 16; j++)
			m[i][j] = (long double)(int64_t)(rnd(&s) >> 40) / 16777216;
	}
	for (int pass = 0; pass < 2000; pass++) {
		long double norm = 0, r = 1;

		for (int i = 0; i < 16; i++) {
			w[i] = 0;
			for (int j = 0; j < 16; j++)
				w[i] += m[i][j] * v[j];
			norm += w[i] * w[i];
		}
		for (int i = 0; i < 20; i++)
			r = (r + norm / r) / 2;
		for (int i = 0; i < 16; i++)
			v[i] = w[i] / r;
	}
	for (int i = 0; i < 16; i++)
		sum = mix(sum, (uint64_t)(v[i] * 1e18L));
	return sum;
}

static uint64_t libm_run(void *data)
{
	double sum = 0;

	(void)data;
	for (int i = 1; i < 20000; i++) {
		double x = i * 0.001;

		sum += sin(x) * exp(-x * 0.1) + log(x + 1) + pow(x, 0.3) + atan2(x, 2);
	}
	return (uint64_t)(sum * 1e6 + 0.5);
}

/* Conversions both ways and comparisons. */
static uint64_t convert_run(void *data)
{
	uint64_t s = 29, sum = 0;

	(void)data;
	for (int i = 0; i < 200000; i++) {
		uint64_t r = rnd(&s);
		double d = (double)(int32_t)r * 0.75;
		float f = (float)(int32_t)(r >> 32);

		sum += (uint64_t)(int64_t)d + (uint32_t)(int32_t)(f * 0.5f);
		if (d < f)
			sum ^= (uint64_t)(int64_t)(d - f);
		else if (d > 1e9)
			sum += 3;
	}
	return sum;
}

const struct kernel kernels[] = {
	{"nbody", nbody_run, NULL, NULL},
	{"spectral", spectral_run, NULL, NULL},
	{"mandelbrot", mandelbrot_run, NULL, NULL},
	{"dgemm", dgemm_run, dgemm_new, NULL},
	{"fft", fft_run, fft_new, NULL},
	{"x87", x87_run, NULL, NULL},
	{"x87_mat", x87_mat_run, NULL, NULL},
	{"libm", libm_run, NULL, NULL},
	{"convert", convert_run, NULL, NULL},
	{NULL, NULL, NULL, NULL},
};
