/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the host can still give: asked before guest RAM is promised to a guest.
 */
#ifndef HOST_MEMINFO_H
#define HOST_MEMINFO_H

#include "base/base.h"

/**
 * host_mem_available() - bytes that could be touched now without the OOM killer: MemAvailable plus
 * SwapFree of /proc/meminfo (proc(5)), capped by this process's cgroup limits less what the group
 * holds (cgroup v2 memory.max/memory.current of every level above us, or v1's limit_in_bytes).
 * Return: bytes; UINT64_MAX when the host does not say. Any thread.
 */
uint64_t host_mem_available(void);

#endif
