/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/profile/label.h"

static struct error err;

static bool matches(enum match_op op, const char *pattern, const char *value)
{
	struct matcher m;
	assert_int_equal(matcher_init(&m, STR("key"), op, str_of(pattern), &err), 0);
	bool r = matcher_matches(&m, str_of(value));
	matcher_done(&m);
	return r;
}

static void test_order_of_strings(void **state)
{
	assert_int_equal(str_cmp(STR(""), STR("")), 0);
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("a"), STR("aa")) < 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
	assert_true(str_eq(STR("a\0b"), STR("a\0b")));
	assert_false(str_eq(STR("a"), STR("A")));
	assert_true(str_eq((struct str){ NULL, 0 }, STR("")));
}

static void test_four_matchers(void **state)
{
	assert_true(matches(MATCH_EQ, "eu", "eu"));
	assert_false(matches(MATCH_EQ, "eu", "eu-west"));
	assert_true(matches(MATCH_NE, "eu", "us"));
	assert_false(matches(MATCH_NE, "eu", "eu"));
	assert_true(matches(MATCH_RE, "web-.*", "web-1"));
	assert_false(matches(MATCH_RE, "web-.*", "a-web-1"));
	assert_false(matches(MATCH_RE, "web", "web-1"));
	assert_true(matches(MATCH_RE, "a|b", "b"));
	assert_false(matches(MATCH_RE, "a|b", "bc"));
	assert_true(matches(MATCH_NRE, "canary.*", "web"));
	assert_false(matches(MATCH_NRE, "canary.*", "canary-2"));
}

static void test_absent_is_empty(void **state)
{
	assert_true(matches(MATCH_EQ, "", ""));
	assert_false(matches(MATCH_NE, "", ""));
	assert_true(matches(MATCH_RE, ".*", ""));
	assert_false(matches(MATCH_RE, ".+", ""));
	assert_true(matches(MATCH_NRE, ".+", ""));
}

static void test_bad_expression_is_explained(void **state)
{
	struct matcher m;
	assert_int_equal(matcher_init(&m, STR("k"), MATCH_RE, STR("a(b"), &err), ERR_PATH);
	assert_non_null(strstr(err.text, "a(b"));
	assert_non_null(strstr(err.text, "offset 3"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_of_strings),
		cmocka_unit_test(test_four_matchers),
		cmocka_unit_test(test_absent_is_empty),
		cmocka_unit_test(test_bad_expression_is_explained),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
