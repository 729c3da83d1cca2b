/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a control client sends: framing finds the same requests however the bytes are cut, never
 * past the end, and what it accepts is for the JSON parser to judge.
 */
#include <jansson.h>

#include "control/qmp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p = (const char *)data;

	while (size) {
		ssize_t n = qmp_scan(p, size);
		json_t *msg;

		check(n <= (ssize_t)size);
		if (n <= 0)
			break;
		/* Not a byte less would have done. */
		check(qmp_scan(p, (size_t)n - 1) == 0);
		msg = json_loadb(p, (size_t)n, JSON_REJECT_DUPLICATES, NULL);
		check(!msg || json_is_object(msg));
		json_decref(msg);
		p += n;
		size -= (size_t)n;
	}
	return 0;
}
