/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tone HZ SECONDS: for a Linux guest with OSS emulation: turns all mixer channels up and plays a
 * sine in 16-bit stereo at 44.1 kHz, so that the driver's rate conversion is seen, too. Prints what
 * the driver agreed to. tone record SECONDS: records, and prints what was heard on the left side.
 * Interface: <sys/soundcard.h>.
 */
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/soundcard.h>
#include <unistd.h>

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static void turn_up(void)
{
	int fd = open("/dev/mixer", O_RDWR), all = 0;

	if (fd < 0)
		return;
	ioctl(fd, SOUND_MIXER_READ_DEVMASK, &all);
	for (int i = 0; i < SOUND_MIXER_NRDEVICES; i++) {
		int level = 100 | 100 << 8;

		if (all & 1 << i)
			ioctl(fd, MIXER_WRITE(i), &level);
	}
	close(fd);
}

/* Frequency by rising zero crossings, and the peak, of the last three quarters. */
static int recorded(int fd, int rate, double seconds)
{
	long frames = (long)(seconds * rate), first = 0, last = 0, crossings = 0;
	int peak = 0;
	bool low = false;

	for (long i = 0; i < frames;) {
		int16_t buf[512][2];
		ssize_t n = read(fd, buf, sizeof(buf));

		if (n <= 0)
			return fail("read");
		for (ssize_t f = 0; f < n / 4; f++, i++) {
			int v = buf[f][0];

			if (i < frames / 4)
				continue;
			peak = abs(v) > peak ? abs(v) : peak;
			if (v < -500) {
				low = true;
			} else if (v > 500 && low) {
				low = false;
				first = crossings++ ? first : i;
				last = i;
			}
		}
	}
	printf("recorded: %.2f Hz, peak %d, at %d Hz\n",
	       crossings > 1 ? (double)(crossings - 1) * rate / (double)(last - first) : 0, peak,
	       rate);
	return 0;
}

int main(int argc, char **argv)
{
	bool record = argc > 1 && !strcmp(argv[1], "record");
	int format = AFMT_S16_LE, channels = 2, rate = 44100, fd;
	double hz = argc > 1 ? atof(argv[1]) : 440;
	long frames;

	turn_up();
	fd = open("/dev/dsp", record ? O_RDONLY : O_WRONLY);
	if (fd < 0)
		return fail("/dev/dsp");
	if (ioctl(fd, SNDCTL_DSP_SETFMT, &format) || ioctl(fd, SNDCTL_DSP_CHANNELS, &channels) ||
	    ioctl(fd, SNDCTL_DSP_SPEED, &rate))
		return fail("ioctl");
	if (record)
		return recorded(fd, rate, argc > 2 ? atof(argv[2]) : 1);
	frames = (long)((argc > 2 ? atof(argv[2]) : 1) * rate);
	for (long i = 0; i < frames;) {
		int16_t buf[512][2];
		int n = 0;

		for (; n < 512 && i < frames; n++, i++)
			buf[n][0] = buf[n][1] =
				(int16_t)(12000 * sin(2 * M_PI * hz * (double)i / rate));
		if (write(fd, buf, (size_t)n * 4) != n * 4)
			return fail("write");
	}
	if (ioctl(fd, SNDCTL_DSP_SYNC, 0))
		return fail("sync");
	printf("tone: %g Hz for %ld frames, %d channels at %d Hz\n", hz, frames, channels, rate);
	return 0;
}
