/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pictures as files.
 */
#ifndef DISPLAY_PICTURE_H
#define DISPLAY_PICTURE_H

#include "base/err.h"

/**
 * picture_write() - write @w x @h pixels (as in display/display.h) to a new or truncated file
 * @format: "png", or "ppm" (binary, P6).
 * Return: 0 or -errno with text; then no half-written file is left. Any thread.
 */
int picture_write(const char *path, const char *format, const uint32_t *px, unsigned w, unsigned h,
		  struct error *err) MUST_CHECK;

#endif
