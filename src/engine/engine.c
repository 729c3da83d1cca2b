/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines this program was built with, and choosing one (engine/engine.h).
 */
#include "engine/engine.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct engine_ops *const engines[] = {&engine_translate, &engine_interp,
						   &engine_lockstep, NULL};

const struct engine_ops *const *engine_list(void)
{
	return engines;
}

/* "lockstep:N" is an engine with a number that is its own (engine_number()), "translate:verify" one
 * that is asked for more (engine_verifies()). */
static bool is_named(const char *name, const char *engine)
{
	size_t n = strlen(engine);

	return !strncmp(name, engine, n) &&
	       (!name[n] || (engine_number(name) && !strcmp(engine, "lockstep")) ||
		(engine_verifies(name) && !strcmp(engine, "translate")));
}

bool engine_verifies(const char *name)
{
	return name && !strcmp(name, "translate:verify");
}

unsigned engine_number(const char *name)
{
	const char *p = name ? strchr(name, ':') : NULL;
	unsigned n = 0;

	if (!p || !p[1] || strspn(p + 1, "0123456789") != strlen(p + 1) || strlen(p) > 8)
		return 0;
	while (*++p)
		n = n * 10 + (unsigned)(*p - '0');
	return n;
}

bool engine_known(const char *name)
{
	for (unsigned i = 0; engines[i]; i++)
		if (is_named(name, engines[i]->name))
			return true;
	return !strcmp(name, "auto");
}

static const struct engine_ops *pick_named(const char *name, struct engine_caps *ret_caps,
					   struct error *err)
{
	char known[200] = "";

	for (unsigned i = 0; engines[i]; i++) {
		size_t n = strlen(known);

		if (is_named(name, engines[i]->name)) {
			if (!engines[i]->probe(ret_caps, err))
				return engines[i];
			error_add(err, "engine '%s' cannot be used here: ", name);
			return NULL;
		}
		snprintf(known + n, sizeof(known) - n, "%s%s", n ? ", " : "", engines[i]->name);
	}
	error_set(err, -EINVAL, "unknown engine '%s'; there are: auto, %s", name, known);
	return NULL;
}

const struct engine_ops *engine_pick(const char *name, struct engine_caps *ret_caps,
				     struct error *err)
{
	const struct engine_ops *best = NULL;
	struct engine_caps caps, best_caps = {0};
	struct error why = {0}, first = {0};

	if (name && strcmp(name, "auto"))
		return pick_named(name, ret_caps, err);
	for (unsigned i = 0; engines[i]; i++) {
		if (engines[i]->probe(&caps, &why)) {
			if (!first.code)
				first = why;
			continue;
		}
		if (!best || caps.speed > best_caps.speed) {
			best = engines[i];
			best_caps = caps;
		}
	}
	if (!best) {
		error_set(err, first.code ? first.code : -ENOTSUP, "no engine can be used here: %s",
			  first.text);
		return NULL;
	}
	*ret_caps = best_caps;
	return best;
}
