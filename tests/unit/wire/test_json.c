/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/wire/json.h"

static struct json doc;
static struct arena arena;
static struct error err;
static const struct json_limits limits = { .max_bytes = 1 << 20 };
static const struct json_limits cut = { .max_bytes = 1 << 20, .may_be_cut = true };

static int setup(void **state)
{
	arena = ARENA_INIT(1 << 20);
	return 0;
}

static int teardown(void **state)
{
	json_done(&doc);
	arena_done(&arena);
	return 0;
}

static int read_text(const char *text, const struct json_limits *l)
{
	json_done(&doc);
	err = (struct error){ 0 };
	return json_read(&doc, (struct slice){ (const uint8_t *)text, strlen(text) }, &arena, l, &err);
}

static uint32_t member(const char *key)
{
	return json_get(&doc, json_root(&doc), key);
}

static void assert_str(uint32_t value, const char *expected)
{
	struct str s = json_str(&doc, value);
	assert_int_equal(s.len, strlen(expected));
	assert_memory_equal(s.s, expected, s.len);
}

static void test_values_are_found_in_any_order(void **state)
{
	assert_int_equal(read_text("{\"a\": [1, [2, {\"x\": 3}], \"s\"], \"b\" : null,\"c\":{\"a\":true, \"b\":false}, "
	                           "\"a\": 7}", &limits), 0);
	uint32_t a = member("a"), c = member("c");
	assert_int_equal(json_kind(&doc, a), JSON_ARRAY);
	assert_int_equal(json_count(&doc, a), 3);
	uint32_t first = json_first(&doc, a), second = json_next(&doc, a, first), third = json_next(&doc, a, second);
	assert_int_equal(json_int(&doc, first, 0), 1);
	assert_int_equal(json_kind(&doc, second), JSON_ARRAY);
	assert_str(third, "s");
	assert_int_equal(json_next(&doc, a, third), 0);
	assert_int_equal(json_kind(&doc, member("b")), JSON_NULL);
	assert_int_equal(json_kind(&doc, json_get(&doc, c, "a")), JSON_TRUE);
	assert_int_equal(json_kind(&doc, json_get(&doc, c, "b")), JSON_FALSE);
}

static void test_none_is_taken_everywhere(void **state)
{
	assert_int_equal(read_text("{\"e\":[], \"o\":{}}", &limits), 0);
	assert_int_equal(json_first(&doc, member("e")), 0);
	assert_int_equal(json_get(&doc, member("o"), "x"), 0);
	uint32_t none = json_get(&doc, member("absent"), "x");
	assert_int_equal(json_kind(&doc, none), JSON_NONE);
	assert_str(none, "");
	assert_int_equal(json_int(&doc, none, 42), 42);
	assert_int_equal(json_count(&doc, none), 0);
}

static void test_escapes(void **state)
{
	assert_int_equal(read_text("{\"a\\u0062\": \"tab\\tquote\\\"\", \"plain\":\"\xc3\xa9 \xff\"}", &limits), 0);
	assert_str(member("ab"), "tab\tquote\"");
	assert_str(member("plain"), "\xc3\xa9 \xff");
	assert_int_equal(read_text("[\"ma\\ud800in\"]", &limits), 0);
}

static void test_numbers_are_exact(void **state)
{
	static const struct { const char *text; int places; int64_t expected; } cases[] = {
		{ "0", 0, 0 }, { "-0", 0, 0 }, { "9223372036854775807", 0, INT64_MAX },
		{ "-9223372036854775808", 0, INT64_MIN }, { "0.1", 9, 100000000 }, { "0.01", 9, 10000000 },
		{ "1e3", 0, 1000 }, { "1.5E3", 0, 1500 }, { "12.5", 0, 13 }, { "-12.5", 0, -13 }, { "12.49", 0, 12 },
		{ "1.036172866821289", 9, 1036172867 }, { "1763811794.123456789", 9, INT64_C(1763811794123456789) },
		{ "0.00000000049", 9, 0 }, { "1e-400", 9, 0 }, { "0e400", 9, 0 },
		{ "0.99999999999999999999999", 0, 1 }, { "1.00000000000000000000000001", 9, 1000000000 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t v = 77;
		assert_true(decimal_scaled((struct str){ cases[i].text, strlen(cases[i].text) }, cases[i].places, &v));
		assert_int_equal(v, cases[i].expected);
	}
}

static void test_numbers_that_are_none(void **state)
{
	static const char *const cases[] = { "", "-", ".", "1e", "1e+", "e3", "1.2.3", "12x", "1e400",
		"9223372036854775808", "-9223372036854775809", "99999999999999999999", "0x10" };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t v = 77;
		assert_false(decimal_scaled((struct str){ cases[i], strlen(cases[i]) }, 0, &v));
		assert_int_equal(v, 77);
	}
}

static void test_whole_numbers(void **state)
{
	assert_int_equal(read_text("[12, 1.5, 1e3, \"18\", \"x\"]", &limits), 0);
	uint32_t a = json_root(&doc), v = json_first(&doc, a);
	assert_true(json_is_whole(&doc, v));
	assert_false(json_is_whole(&doc, v = json_next(&doc, a, v)));
	assert_false(json_is_whole(&doc, v = json_next(&doc, a, v)));
	assert_int_equal(json_int(&doc, v = json_next(&doc, a, v), 0), 18);
	assert_int_equal(json_int(&doc, json_next(&doc, a, v), 3), 3);
}

static void test_refusals(void **state)
{
	assert_int_equal(read_text("{\"a\": }", &limits), ERR_FORMAT_MALFORMED);
	assert_non_null(strstr(err.text, "JSON, byte 7"));
	assert_int_equal(read_text("{\"a\": [1, 2", &limits), ERR_FORMAT_TRUNCATED);
	assert_int_equal(read_text("{} x", &limits), ERR_FORMAT_MALFORMED);
	assert_int_equal(read_text("", &limits), ERR_FORMAT_TRUNCATED);
	const struct json_limits little = { .max_bytes = 16 };
	assert_int_equal(read_text("[1,2,3,4,5,6,7,8,9,10]", &little), ERR_FORMAT_LIMIT);
}

static void test_what_is_cut_may_be_taken(void **state)
{
	static const char *const cases[] = { "[{\"a\":1},{\"a\":2}", "[{\"a\":1},{\"a\":2},", "[{\"a\":1},{\"a\":2},{\"a\"",
		"[{\"a\":1},{\"a\":2},{\"a\":", "[{\"a\":1},{\"a\":2},\n" };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(read_text(cases[i], &cut), 0);
		assert_true(doc.cut);
		uint32_t a = json_root(&doc), second = json_next(&doc, a, json_first(&doc, a));
		assert_int_equal(json_int(&doc, json_get(&doc, second, "a"), 0), 2);
		uint32_t third = json_next(&doc, a, second);
		assert_int_equal(json_get(&doc, third, "a"), 0);
	}
	assert_int_equal(read_text("[12", &cut), 0);
	assert_int_equal(json_int(&doc, json_first(&doc, json_root(&doc)), 0), 12);
}

static void test_deep_nesting_does_not_recurse(void **state)
{
	size_t n = 200000;
	_free_ char *text = malloc(2 * n + 1);
	memset(text, '[', n);
	memset(text + n, ']', n);
	text[2 * n] = 0;
	const struct json_limits wide = { .max_bytes = 64 << 20 };
	assert_int_equal(read_text(text, &wide), 0);
	memset(text, '[', 2 * n);
	assert_int_equal(read_text(text, &wide), ERR_FORMAT_TRUNCATED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values_are_found_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none_is_taken_everywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_escapes, setup, teardown),
		cmocka_unit_test(test_numbers_are_exact),
		cmocka_unit_test(test_numbers_that_are_none),
		cmocka_unit_test_setup_teardown(test_whole_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_is_cut_may_be_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_deep_nesting_does_not_recurse, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
