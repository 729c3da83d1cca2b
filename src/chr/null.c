/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "null": output vanishes, input never comes.
 */
#include "chr/impl.h"

static int null_open(struct chr *c, const char *arg, struct error *err)
{
	c->sink = true;
	return 0;
}

const struct chr_kind chr_null_kind = {.name = "null", .syntax = "null", .open = null_open};
