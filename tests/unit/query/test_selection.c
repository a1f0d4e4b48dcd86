/* SPDX-License-Identifier: MIT */
#include "fixture.h"

static void assert_keys(const struct selection *a, const struct selection *b, bool equal)
{
	_buf_ struct buf x = BUF_INIT(LIMIT), y = BUF_INIT(LIMIT);
	selection_key(a, &x);
	selection_key(b, &y);
	assert_int_equal(x.len == y.len && !memcmp(x.data, y.data, x.len), equal);
}

static struct selection *example(void)
{
	struct selection *s = select_type("cpu");
	match(s, "region", MATCH_EQ, "eu");
	match(s, "pod", MATCH_RE, "web-.*");
	filter(s, FILTER_FOCUS, "http");
	s->by = strdup("zone");
	s->options.unit = strdup("ms");
	s->baseline = select_type("cpu");
	return s;
}

static void test_copies_are_equal(void **state)
{
	struct selection *s = example(), *copy = selection_copy(s);
	assert_keys(s, copy, true);
	selection_free(s);
	assert_true(matcher_matches(&copy->matchers[1], STR("web-1")));
	assert_true(regex_match(copy->filters[0].re, STR("net/http")));
	selection_free(copy);
}

static void test_keys_do_not_depend_on_the_order_of_matchers(void **state)
{
	struct selection *a = select_type("cpu"), *b = select_type("cpu");
	match(a, "x", MATCH_EQ, "1");
	match(a, "y", MATCH_EQ, "2");
	match(b, "y", MATCH_EQ, "2");
	match(b, "x", MATCH_EQ, "1");
	match(b, "y", MATCH_EQ, "2");
	assert_keys(a, b, true);
	match(b, "y", MATCH_NE, "2");
	assert_keys(a, b, false);
	selection_free(a);
	selection_free(b);
}

static void test_keys_differ_where_selections_do(void **state)
{
	struct selection *a = example(), *b = example();
	b->options.limit = 3;
	assert_keys(a, b, false);
	b->options.limit = 0;
	assert_keys(a, b, true);
	filter(b, FILTER_IGNORE, "x");
	assert_keys(a, b, false);
	selection_free(b);
	b = example();
	b->baseline->to = 0;
	assert_keys(a, b, false);
	selection_free(a);
	selection_free(b);
}

static void test_bad_expressions_are_refused(void **state)
{
	struct selection *s = selection_new();
	struct error err = { 0 };
	assert_int_equal(selection_add_matcher(s, STR("a"), MATCH_RE, STR("("), &err), ERR_PATH);
	assert_true(err.text[0]);
	assert_int_equal(selection_add_filter(s, FILTER_FOCUS, STR("["), &err), ERR_PATH);
	assert_int_equal(selection_add_filter(s, FILTER_FUNCTION, STR("["), &err), 0);
	assert_int_equal(s->n_matchers, 0);
	for (int i = 0; i < 64; i++)
		match(s, "k", MATCH_EQ, "v");
	assert_int_equal(selection_add_matcher(s, STR("a"), MATCH_EQ, STR("b"), &err), ERR_LIMIT);
	selection_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_are_equal),
		cmocka_unit_test(test_keys_do_not_depend_on_the_order_of_matchers),
		cmocka_unit_test(test_keys_differ_where_selections_do),
		cmocka_unit_test(test_bad_expressions_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
