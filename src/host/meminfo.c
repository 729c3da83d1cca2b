/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Host memory accounting (host/meminfo.h). Every file read here may be missing or unreadable in a
 * container; what can't be read doesn't limit.
 */
#include "host/meminfo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* First number after @key (or at the file's start when NULL); false when there is none. */
static bool read_number(const char *path, const char *key, uint64_t *ret)
{
	FILE *f = fopen(path, "re");
	char line[256];
	bool found = false;

	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f)) {
		const char *p = line;
		char *end;

		if (key) {
			if (strncmp(line, key, strlen(key)))
				continue;
			p += strlen(key);
		}
		*ret = strtoull(p, &end, 10);
		found = end != p;
		if (!key)
			break;
	}
	fclose(f);
	return found;
}

/* What the group at @dir may still charge; page cache that can be dropped counts as free. */
static uint64_t cgroup2_room(const char *dir)
{
	char path[512];
	uint64_t max, current, cache = 0;

	snprintf(path, sizeof(path), "%s/memory.max", dir);
	if (!read_number(path, NULL, &max))
		return UINT64_MAX; /* "max" or no controller */
	snprintf(path, sizeof(path), "%s/memory.current", dir);
	if (!read_number(path, NULL, &current))
		return max;
	snprintf(path, sizeof(path), "%s/memory.stat", dir);
	read_number(path, "inactive_file ", &cache);
	current -= MIN(cache, current);
	return max > current ? max - current : 0;
}

static uint64_t cgroup_room(void)
{
	char line[400], dir[480];
	uint64_t room = UINT64_MAX, limit;
	FILE *f = fopen("/proc/self/cgroup", "re");

	if (!f)
		return room;
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "0::/", 4))
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(dir, sizeof(dir), "/sys/fs/cgroup%s", line + 3);
		while (strlen(dir) >= strlen("/sys/fs/cgroup")) {
			room = MIN(room, cgroup2_room(dir));
			*strrchr(dir, '/') = '\0';
		}
	}
	fclose(f);
	if (read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes", NULL, &limit))
		room = MIN(room, limit);
	return room;
}

uint64_t host_mem_available(void)
{
	uint64_t avail, swap = 0;

	if (!read_number("/proc/meminfo", "MemAvailable:", &avail))
		return cgroup_room();
	read_number("/proc/meminfo", "SwapFree:", &swap);
	return MIN((avail + swap) * KIB, cgroup_room());
}
