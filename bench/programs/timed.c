/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Times whole programs the way bench.h's frame times kernels: a unit is one run of the command,
 *from fork to wait, its check sum that of everything it wrote to its standard output.
 *
 *	timed [-w] NAME SECONDS COMMAND ARGUMENT...
 *
 * -w: run it once before, unmeasured, so that its files are in the page cache. Standard input is
 * /dev/null. A command that does not end with status 0 ends the measurement with an error.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* FNV-1a of what it wrote. */
static int run(char **argv, uint64_t *ret_sum)
{
	static unsigned char block[65536];
	uint64_t sum = 0xcbf29ce484222325ull;
	int p[2], status;
	ssize_t n;

	if (pipe(p) < 0)
		return -errno;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		dup2(null, 0);
		dup2(p[1], 1);
		close(p[0]);
		close(p[1]);
		execvp(argv[0], argv);
		fprintf(stderr, "timed: %s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	close(p[1]);
	while ((n = read(p[0], block, sizeof(block))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = (sum ^ block[i]) * 0x100000001b3ull;
	close(p[0]);
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "timed: %s: wait status %#x\n", argv[0], (unsigned)status);
		return -ECHILD;
	}
	*ret_sum = sum;
	return 0;
}

int main(int argc, char **argv)
{
	int warm = argc > 1 && strcmp(argv[1], "-w") == 0;
	uint64_t first = 0, sum;
	double shortest = 1e9;
	long units = 0;

	argv += warm;
	argc -= warm;
	if (argc < 4) {
		fprintf(stderr, "usage: timed [-w] NAME SECONDS COMMAND ARGUMENT...\n");
		return 2;
	}
	if (warm && run(argv + 3, &first))
		return 3;

	double window = atof(argv[2]), start = now(), last = start;

	do {
		if (run(argv + 3, &sum))
			return 3;
		double t = now();

		if (units++ == 0 && !warm)
			first = sum;
		if (sum != first) {
			printf("bench %s WRONG unit %ld gave %016" PRIx64
			       ", the first one %016" PRIx64 "\n",
			       argv[1], units, sum, first);
			return 1;
		}
		if (t - last < shortest)
			shortest = t - last;
		last = t;
	} while (last - start < window);
	printf("bench %s %ld %.9f %.9f %016" PRIx64 "\n", argv[1], units, last - start, shortest,
	       first);
	return 0;
}
