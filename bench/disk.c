/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of a block device, from inside a guest (bench/disk): sequential requests of 1 MiB and
 * random ones of 4 KiB by several threads, past the page cache. Prints one line for each: disk:
 * DEVICE seqread|seqwrite MB/s, randread|randwrite IOPS. Further words: only these.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <time.h>
#include <unistd.h>

enum { BIG = 1 << 20, SMALL = 4096, THREADS = 16 };
#define SECONDS 1.5

static int fd;
static uint64_t size;
static atomic_bool stop;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "disk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *buffer(size_t n)
{
	void *p = NULL;

	if (posix_memalign(&p, 4096, n))
		die("memory");
	memset(p, 0x5a, n);
	return p;
}

static void move(bool write, void *buf, size_t n, uint64_t at)
{
	ssize_t r = write ? pwrite(fd, buf, n, (off_t)at) : pread(fd, buf, n, (off_t)at);

	if (r != (ssize_t)n)
		die(write ? "pwrite" : "pread");
}

static double sequential(bool write)
{
	void *buf = buffer(BIG);
	double began = now(), end;
	uint64_t bytes = 0, at = 0;

	do {
		move(write, buf, BIG, at);
		bytes += BIG;
		at = at + 2 * (uint64_t)BIG <= size ? at + BIG : 0;
		end = now();
	} while (end - began < SECONDS);
	free(buf);
	return (double)bytes / 1e6 / (end - began);
}

struct worker {
	pthread_t thread;
	bool write;
	uint64_t seed, n;
};

static void *worker(void *arg)
{
	struct worker *w = arg;
	void *buf = buffer(SMALL);

	while (!stop) {
		w->seed = w->seed * 6364136223846793005ull + 1442695040888963407ull;
		move(w->write, buf, SMALL, (w->seed >> 20) % (size / SMALL) * SMALL);
		w->n++;
	}
	free(buf);
	return NULL;
}

static double scattered(bool write)
{
	struct worker w[THREADS];
	double began = now();
	uint64_t n = 0;

	stop = false;
	for (int i = 0; i < THREADS; i++) {
		w[i] = (struct worker){.write = write, .seed = (uint64_t)i * 977};
		if (pthread_create(&w[i].thread, NULL, worker, &w[i]))
			die("thread");
	}
	usleep((useconds_t)(SECONDS * 1e6));
	stop = true;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		n += w[i].n;
	}
	return (double)n / (now() - began);
}

static void figure(const char *dev, const char *name)
{
	bool write = strstr(name, "write") != NULL;

	if (strncmp(name, "seq", 3) == 0)
		printf("disk: %s %s %.1f\n", dev, name, sequential(write));
	else
		printf("disk: %s %s %.0f\n", dev, name, scattered(write));
}

int main(int argc, char **argv)
{
	const char *dev = argc > 1 ? argv[1] : "";

	fd = open(dev, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) < 0)
		die(dev);
	for (int i = 2; i < argc; i++)
		figure(dev, argv[i]);
	for (int i = 0; i < 4 && argc <= 2; i++)
		figure(dev, (const char *[]){"seqread", "seqwrite", "randread", "randwrite"}[i]);
	return 0;
}
