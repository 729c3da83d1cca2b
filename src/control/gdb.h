/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gdb stub: the GDB remote serial protocol over a unix or a loopback TCP socket, one client,
 * each vCPU a thread. Runs on the loop's thread with the bus lock held.
 */
#ifndef CONTROL_GDB_H
#define CONTROL_GDB_H

#include "cpu/x86/vcpu.h"

struct gdb_stub;
struct loop;

/* What the stub needs of a VM; borrowed, must outlive it. All called on the loop's thread. */
struct gdb_host {
	unsigned n_cpus;
	struct vcpu *const *cpus;
	/* Park every vCPU; on return none executes guest code. Idempotent. */
	void (*pause)(void *ctx);
	/* Let vCPU @only run (all when negative). v->debug has been set up. */
	void (*resume)(void *ctx, int only);
	/* The debugger asked to kill the VM. */
	void (*kill)(void *ctx);
	void *ctx;
};

/**
 * gdb_open() - listen
 * @spec: "unix:PATH" or "tcp:127.0.0.1:PORT" (only loopback addresses).
 * Return: 0; -EINVAL for a bad spec, -EADDRINUSE and other errno with text.
 */
int gdb_open(struct loop *loop, const struct gdb_host *host, const char *spec,
	     struct gdb_stub **ret_stub, struct error *err) MUST_CHECK;
/** gdb_close() - drop the client (its break points go) and the listener. NULL is fine. */
void gdb_close(struct gdb_stub *g);
/** gdb_stopped() - a vCPU left run() with VCPU_EXIT_DEBUG; the VM has paused all of them. */
void gdb_stopped(struct gdb_stub *g, struct vcpu *v);
/** gdb_attached() - a client is connected. */
bool gdb_attached(const struct gdb_stub *g);

#endif
