/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The base helpers: bits, lists, error text, allocation (base/).
 */
#include "cm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"

REG(TEST_CMD, 3)
FIELD(TEST_MODE, 1, 3)
FIELD(TEST_TOP, 60, 4)

static void test_bits(void **state)
{
	uint8_t b[8] = {1, 2, 3, 4, 5, 6, 7, 8};
	int16_t sum;

	assert_int_equal(TEST_CMD, 3);
	assert_int_equal(GET(0x0e, TEST_MODE), 7);
	assert_int_equal(PUT(0xff, TEST_MODE, 2), 0xf5);
	assert_int_equal(GET(0xa000000000000000, TEST_TOP), 0xa);
	assert_int_equal(ld_le16(b), 0x0201);
	assert_int_equal(ld_be32(b), 0x01020304);
	assert_int_equal(ld_le64(b), 0x0807060504030201);
	assert_int_equal(ld_le(b, 4), 0x04030201);
	st_be64(b, 0x1122334455667788);
	assert_int_equal(b[0], 0x11);
	st_le(b, 2, 0xabcd);
	assert_int_equal(b[1], 0xab);
	assert_int_equal(mask_bytes(1), 0xff);
	assert_int_equal(mask_bytes(8), UINT64_MAX);
	assert_int_equal(sext(0x80, 8), -128);
	assert_int_equal(sext(0x7f, 8), 127);
	assert_int_equal(align_up(4097, 4096), 8192);
	assert_int_equal(align_down(4097, 4096), 4096);
	assert_true(ckd_add(&sum, 32767, 1));
	assert_false(ckd_mul(&sum, 100, 100));
}

struct item {
	int n;
	struct list node;
};

static void test_list(void **state)
{
	struct list head;
	struct item it[4];
	int seen = 0;

	list_init(&head);
	assert_true(list_empty(&head));
	for (int i = 0; i < 4; i++) {
		it[i].n = i;
		list_append(&head, &it[i].node);
	}
	list_remove(&it[1].node);
	list_remove(&it[1].node);
	list_prepend(&head, &it[1].node);
	LIST_FOR_EACH(p, &head)
	{
		seen = seen * 10 + LIST_ENTRY(p, struct item, node)->n;
	}
	assert_int_equal(seen, 1023);
	LIST_FOR_EACH_SAFE(p, &head)
	{
		list_remove(p);
	}
	assert_true(list_empty(&head));
}

static void test_error(void **state)
{
	struct error err = {0};
	char big[600];

	assert_int_equal(error_set(NULL, -EIO, "x"), -EIO);
	assert_int_equal(error_set(&err, -EIO, "disk %d is gone", 3), -EIO);
	assert_int_equal(error_add(&err, "opening '%s': ", "a.img"), -EIO);
	assert_string_equal(err.text, "opening 'a.img': disk 3 is gone");
	/* Text that does not fit is cut, never overrun. */
	memset(big, 'y', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	assert_int_equal(error_add(&err, "%s", big), -EIO);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	error_set(&err, -EIO, "%s", big);
	error_add(&err, "front: ");
	assert_int_equal(strncmp(err.text, "front: yyy", 10), 0);
	assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
	assert_int_equal(error_add(NULL, "z"), 0);
}

static void test_alloc(void **state)
{
	CLEANUP(x_freep) char *s = xasprintf("%s-%d", "a", 7);
	CLEANUP(x_freep) uint64_t *v = xnew_n(uint64_t, 4);
	size_t huge = SIZE_MAX / 2;

	assert_string_equal(s, "a-7");
	assert_null(xstrdup(NULL));
	v = xrealloc(v, 400, sizeof(*v));
	v[399] = 1;
	/* Product overflow is a refusal, not a small block. */
	assert_null(xtry_calloc(huge, 4));
	log_set_level(LOG_ERR);
	log_debug("never seen");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_alloc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
