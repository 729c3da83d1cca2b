/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exact conversion between guest nanoseconds and ticks of a device clock of @hz (1 .. 1e9).
 * Tick n happens at the first whole nanosecond not before n / hz, so
 * ticks_at(ticks_to_ns(n, hz), hz) == n for every n: a timer armed for a tick sees that tick.
 */
#ifndef DEVICE_TICKS_H
#define DEVICE_TICKS_H

#include "base/types.h"

/** ticks_at() - whole ticks that have passed at guest time @ns. */
static inline uint64_t ticks_at(ns_t ns, uint64_t hz)
{
	return (uint64_t)((unsigned __int128)ns * hz / NS_PER_SEC);
}

/** ticks_to_ns() - guest time of tick @ticks, rounded up; saturates at the end of guest time. */
static inline ns_t ticks_to_ns(uint64_t ticks, uint64_t hz)
{
	unsigned __int128 ns = ((unsigned __int128)ticks * NS_PER_SEC + hz - 1) / hz;

	return ns > UINT64_MAX ? UINT64_MAX : (ns_t)ns;
}

#endif
