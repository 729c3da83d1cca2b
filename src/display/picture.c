/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PNG (through libpng) and binary PPM. Little compression effort: screens are mostly flat, and the
 * picture is wanted now.
 */
#include "display/picture.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void pack_line(uint8_t *to, const uint32_t *px, unsigned w)
{
	for (unsigned x = 0; x < w; x++, to += 3) {
		to[0] = (uint8_t)(px[x] >> 16);
		to[1] = (uint8_t)(px[x] >> 8);
		to[2] = (uint8_t)px[x];
	}
}

static void png_quiet(png_structp png, png_const_charp text)
{
}

/* libpng reports errors by longjmp(); what must survive it is the caller's. */
static int write_png(FILE *f, uint8_t *line, const uint32_t *px, unsigned w, unsigned h)
{
	png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, png_quiet);
	png_infop info = png ? png_create_info_struct(png) : NULL;

	if (!info) {
		png_destroy_write_struct(&png, NULL);
		return -ENOMEM;
	}
	if (setjmp(png_jmpbuf(png))) {
		png_destroy_write_struct(&png, &info);
		return -EIO;
	}
	png_init_io(png, f);
	png_set_compression_level(png, 2);
	png_set_IHDR(png, info, w, h, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
		     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
	png_write_info(png, info);
	for (unsigned y = 0; y < h; y++) {
		pack_line(line, px + (size_t)y * w, w);
		png_write_row(png, line);
	}
	png_write_end(png, NULL);
	png_destroy_write_struct(&png, &info);
	return 0;
}

static int write_ppm(FILE *f, uint8_t *line, const uint32_t *px, unsigned w, unsigned h)
{
	fprintf(f, "P6\n%u %u\n255\n", w, h);
	for (unsigned y = 0; y < h; y++) {
		pack_line(line, px + (size_t)y * w, w);
		fwrite(line, 3, w, f);
	}
	return ferror(f) ? -EIO : 0;
}

int picture_write(const char *path, const char *format, const uint32_t *px, unsigned w, unsigned h,
		  struct error *err)
{
	bool png = !strcmp(format, "png");
	uint8_t *line;
	FILE *f;
	int r;

	if (!png && strcmp(format, "ppm"))
		return error_set(err, -EINVAL, "there is no picture format '%s'; use png or ppm",
				 format);
	line = xtry_calloc(w, 3);
	f = line ? fopen(path, "wbe") : NULL;
	if (!f) {
		r = line ? -errno : -ENOMEM;
		free(line);
		return error_set(err, r, "cannot write '%s': %s", path, strerror(-r));
	}
	r = png ? write_png(f, line, px, w, h) : write_ppm(f, line, px, w, h);
	if (fclose(f) && r == 0)
		r = -errno;
	free(line);
	if (r < 0) {
		unlink(path);
		return error_set(err, r, "cannot write '%s': %s", path, strerror(-r));
	}
	return 0;
}
