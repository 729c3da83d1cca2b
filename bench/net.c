/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Speed of TCP between a guest and its host (bench/net): one connection that sends, one that
 * receives, each for some seconds of the guest's clock. Prints one line for each: net: to-host
 * MB/s, net: to-guest MB/s
 *
 *   net-bench ADDRESS PORT SECONDS
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 << 10 };

static char buf[CHUNK];

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(const char *address, const char *port, char what)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, address, &sa.sin_addr);
	if (fd < 0 || connect(fd, (void *)&sa, sizeof(sa)) < 0 || write(fd, &what, 1) != 1) {
		fprintf(stderr, "net: %s port %s: %s\n", address, port, strerror(errno));
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	for (int down = 0; down < 2; down++) {
		int fd = dial(argv[1], argv[2], down ? 'd' : 'u');
		double began = now(), end = began + atof(argv[3]), t;
		uint64_t bytes = 0;
		ssize_t n = 1;

		while (n > 0 && (t = now()) < end) {
			n = down ? read(fd, buf, CHUNK) : write(fd, buf, CHUNK);
			if (n > 0)
				bytes += (uint64_t)n;
		}
		if (!down) { /* all of it has to arrive */
			shutdown(fd, SHUT_WR);
			n = read(fd, buf, 1);
			t = now();
		}
		printf("net: %s %.1f\n", down ? "to-guest" : "to-host",
		       (double)bytes / 1e6 / (t - began));
		fflush(stdout);
		close(fd);
	}
	return 0;
}
