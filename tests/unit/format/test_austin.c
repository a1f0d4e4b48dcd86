/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_austin)

static void test_full(void **state)
{
	assert_taken(F, "# austin: 3.7.0\n# mode: full\n\nP12;T0:13;a.py:main:3;b.py:f:9 500,0,64\nP12;T0:13;a.py:main:3 400,1,-32\n"
	                "\n# duration: 900\n");
	assert_int_equal(profile.types.n, 4);
	assert_type(1, "cpu", "microseconds");
	assert_stack(0, "f;main");
	assert_int_equal(value(0, 0), 500);
	assert_int_equal(value(0, 2), 64);
	assert_int_equal(value(1, 1), 0);
	assert_int_equal(value(1, 3), -32);
	assert_label(1, "idle", "true");
	assert_label(0, "thread", "0:13");
	assert_number(0, "pid", 12);
	assert_int_equal(profile.duration_ns, 900000);
}

static void test_modes(void **state)
{
	assert_taken(F, "P1;T1;:GC: 5\n");
	assert_type(0, "wall", "microseconds");
	assert_stack(0, ":GC:");
	assert_taken(F, "# austin: 3\n# mode: cpu\nP1;T1;a:b:1 5\n");
	assert_type(0, "cpu", "microseconds");
	assert_taken(F, "# austin: 3\n# mode: memory\nP1;T1;a:b:1 5\n");
	assert_type(0, "alloc_space", "bytes");
}

static void test_refusals(void **state)
{
	assert_refused(F, "P1;T1;a:b:1\n", ERR_FORMAT_MALFORMED, "line 1: no sample");
	assert_refused(F, "P1;T1;a:b:1 5\nP1;T1;a:b:1 5,0,1\n", ERR_FORMAT_MALFORMED, "line 2: another number of metrics");
	assert_refused(F, "# austin: 3\n", ERR_FORMAT_UNKNOWN, "without any sample");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
