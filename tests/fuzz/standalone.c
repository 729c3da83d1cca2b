/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A main() for fuzz targets where libFuzzer is not linked in: bounded, deterministic random inputs
 * for every test run, or the files named (to replay what a fuzzer found).
 *
 *   fuzz_x [-runs=N] [-seed=S] [-max_len=N] [file...]
 *
 * Same options as libFuzzer, so that one command line serves both builds. The seed is printed
 * first: a run that crashed is repeated with -seed=S. Inputs come in three shapes, because
 * uniformly random bytes rarely get past the first check of anything: uniform bytes, sparse bytes
 * (mostly 0, some 0xff), and small edits of the previous input or of a file from the corpus.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEFAULT_RUNS = 20000, DEFAULT_MAX_LEN = 4096, FILE_MAX = 64 << 20, KEPT = 64 };

/* xorshift64*: Marsaglia 2003, Vigna 2014. */
static uint64_t next(uint64_t *s)
{
	*s ^= *s >> 12;
	*s ^= *s << 25;
	*s ^= *s >> 27;
	return *s * 0x2545f4914f6cdd1dull;
}

static void edit(uint8_t *buf, size_t *len, size_t max_len, uint64_t *s)
{
	static const uint8_t edges[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff, 0x10, 0x40};
	unsigned n = 1 + (unsigned)(next(s) % 8);

	while (n--) {
		size_t at = *len ? next(s) % *len : 0;

		switch (*len ? next(s) % 6 : 4) {
		case 0: buf[at] ^= (uint8_t)(1u << (next(s) % 8)); break;
		case 1: buf[at] = (uint8_t)next(s); break;
		case 2: buf[at] = edges[next(s) % sizeof(edges)]; break;
		case 3: /* delete a run */
		{
			size_t run = 1 + next(s) % 16;

			if (run > *len - at)
				run = *len - at;
			memmove(buf + at, buf + at + run, *len - at - run);
			*len -= run;
			break;
		}
		case 4: /* insert a byte */
			if (*len == max_len)
				break;
			memmove(buf + at + 1, buf + at, *len - at);
			buf[at] = (uint8_t)next(s);
			(*len)++;
			break;
		case 5: /* repeat a run elsewhere */
		{
			size_t from = next(s) % *len, run = 1 + next(s) % 16;

			if (run > *len - from)
				run = *len - from;
			if (run > *len - at)
				run = *len - at;
			memmove(buf + at, buf + from, run);
			break;
		}
		}
	}
}

static size_t make_input(uint8_t *buf, size_t last, size_t max_len, uint64_t *s)
{
	/* Short inputs are likelier: they are quicker and reach as many first checks. */
	size_t len = next(s) % (1 + (max_len >> (next(s) % 7)));

	switch (next(s) % 3) {
	case 0:
		for (size_t i = 0; i < len; i++)
			buf[i] = (uint8_t)(next(s) >> 32);
		return len;
	case 1:
		for (size_t i = 0; i < len; i++) {
			uint64_t r = next(s) >> 32;

			buf[i] = r % 4 ? 0 : r % 16 == 4 ? 0xff : (uint8_t)(r >> 8);
		}
		return len;
	default: edit(buf, &last, max_len, s); return last;
	}
}

static int run_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *buf;
	long len;
	int r = 1;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	if (fseek(f, 0, SEEK_END) == 0 && (len = ftell(f)) >= 0 && len <= FILE_MAX) {
		rewind(f);
		buf = malloc((size_t)len + 1);
		if (buf && fread(buf, 1, (size_t)len, f) == (size_t)len) {
			LLVMFuzzerTestOneInput(buf, (size_t)len);
			r = 0;
		}
		free(buf);
	}
	fclose(f);
	if (r)
		fprintf(stderr, "%s: can't be read\n", path);
	return r;
}

int main(int argc, char **argv)
{
	unsigned long long runs = DEFAULT_RUNS, seed = 1, max_len = DEFAULT_MAX_LEN;
	int files = 0, failed = 0;
	size_t len = 0;
	uint64_t s;
	uint8_t *buf;

	for (int i = 1; i < argc; i++) {
		if (sscanf(argv[i], "-runs=%llu", &runs) == 1 ||
		    sscanf(argv[i], "-seed=%llu", &seed) == 1 ||
		    sscanf(argv[i], "-max_len=%llu", &max_len) == 1)
			continue;
		if (argv[i][0] == '-')
			continue; /* options of libFuzzer that mean nothing here */
		files++;
		failed |= run_file(argv[i]);
	}
	if (files)
		return failed;
	if (max_len > FILE_MAX)
		max_len = FILE_MAX;
	printf("seed %llu, %llu runs, inputs of up to %llu bytes\n", seed, runs, max_len);
	fflush(stdout);
	s = seed * 0x9e3779b97f4a7c15ull + 1;
	if (!s)
		s = 1;
	buf = malloc(max_len + 1);
	if (!buf)
		return 1;
	for (unsigned long long i = 0; i < runs; i++) {
		uint8_t *exact;

		len = make_input(buf, len, max_len, &s);
		/* A block of exactly this size: reads beyond the input are found. */
		exact = malloc(len ? len : 1);
		if (!exact)
			return 1;
		memcpy(exact, buf, len);
		LLVMFuzzerTestOneInput(exact, len);
		free(exact);
	}
	free(buf);
	printf("%llu runs done\n", runs);
	return 0;
}
