/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka with the headers it wants before it.
 */
#ifndef TESTS_UNIT_CM_H
#define TESTS_UNIT_CM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"

#endif
