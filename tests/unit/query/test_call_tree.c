/* SPDX-License-Identifier: MIT */
#include "fixture.h"

static void test_merges_by_name(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = SECOND, .samples = "main;b;c 10\nmain;a 5\n");
	WRITE(&f, .time = T0 + SECOND, .duration = SECOND, .samples = "main;b 1\nother 2\n- 4\n");
	expect_tree(&f, select_type("cpu"), "22(4)[main 16(0)[a 5(5) b 11(1)[c 10(10)]] other 2(2)]");
	struct query *q = ask(&f, select_type("cpu"));
	const struct query_info *info = query_info(q);
	assert_int_equal(info->profiles, 2);
	assert_int_equal(info->samples, 5);
	assert_int_equal(info->series, 1);
	assert_int_equal(info->first, T0);
	assert_int_equal(info->last, T0 + SECOND);
	assert_int_equal(info->duration, 2 * SECOND);
	assert_string_equal(info->unit, "nanoseconds");
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merges_by_name),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
