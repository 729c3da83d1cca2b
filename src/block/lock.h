/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Locking an image against other programs, and other programs' locks against us.
 */
#ifndef BLOCK_LOCK_H
#define BLOCK_LOCK_H

#include "base/err.h"

/**
 * image_lock() - lock the open image @fd until it is closed
 * @write: this program will write: nobody else may. Otherwise others may read, but not write.
 * Return: 0; -EBUSY with text when another program has it in a way that does not go together;
 * -errno with text when the file system has no locks.
 */
int image_lock(int fd, const char *path, bool write, struct error *err) MUST_CHECK;

#endif
