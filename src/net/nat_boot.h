/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Booting a guest from the user NAT: files for its TFTP server, and the name of the first one in
 * DHCP answers. Inside the worker process.
 */
#ifndef NET_NAT_BOOT_H
#define NET_NAT_BOOT_H

#include "net/nat.h"

#define NAT_DESCRIPTORS 1024u /* for all but these files */
#define NAT_BOOT_FILES  2048u /* most files of a directory that are offered */

/**
 * nat_boot_keep() - open every file below cfg->tftp, for nat_boot_open()
 * Symbolic links that stay below the directory count as what they point to.
 * Before the sandbox closes. Nothing happens without cfg->tftp. -E2BIG, or -errno with text.
 */
int nat_boot_keep(const struct nat_config *cfg, struct error *err) MUST_CHECK;
/**
 * nat_boot_open() - a descriptor for @path, which libslirp wants to open
 * Async-signal-safe: it runs in a SIGSYS handler. The caller's, as open(2) gives it; -errno.
 */
int nat_boot_open(const char *path);
/**
 * nat_boot_answer() - add the boot file's name (option 67) to a DHCP answer
 * @frame: any frame for the guest, of @len bytes, changed in place; others pass as they are.
 */
void nat_boot_answer(const char *bootfile, uint8_t *frame, size_t len);

#endif
