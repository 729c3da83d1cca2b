/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the helper process.
 */
#ifndef NET_NAT_HELPER_H
#define NET_NAT_HELPER_H

#include "net/nat.h"

/** Exit status of a worker. Anything else, or a signal, means that it died. */
enum { NAT_EXIT_DONE = 0, NAT_EXIT_SETUP = 2 };

/** nat_worker() - be the IP stack until the socket closes; returns the exit status. */
int nat_worker(const struct nat_config *cfg);
/** nat_keep_files() - what the worker will need from the file system; first, NAT_FD is the only
 * descriptor besides 0 to 2. 0 or -errno with text. */
int nat_keep_files(struct error *err) MUST_CHECK;
/** nat_sandbox() - the last step before the first guest byte is read. 0 or -errno with text. */
int nat_sandbox(struct error *err) MUST_CHECK;
/** nat_send() - one message on NAT_FD; false when there is no room or no peer. */
bool nat_send(enum nat_message type, const void *p, size_t len, int flags);

#endif
