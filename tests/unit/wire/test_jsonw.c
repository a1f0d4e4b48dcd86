/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "core/wire/jsonw.h"

static void assert_text(struct buf *b, const char *expected)
{
	buf_u8(b, 0);
	assert_string_equal((const char *)b->data, expected);
	buf_reset(b);
}

static void test_indented(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	struct jsonw w = JSONW(&b);
	jsonw_object(&w);
	jsonw_key(&w, "name");
	jsonw_str(&w, "cpu");
	jsonw_key(&w, "list");
	jsonw_array(&w);
	jsonw_i64(&w, -1);
	jsonw_u64(&w, UINT64_MAX);
	jsonw_object(&w);
	jsonw_end_object(&w);
	jsonw_array(&w);
	jsonw_end_array(&w);
	jsonw_end_array(&w);
	jsonw_key(&w, "last");
	jsonw_bool(&w, true);
	jsonw_end_object(&w);
	assert_text(&b, "{\n  \"name\": \"cpu\",\n  \"list\": [\n    -1,\n    18446744073709551615,\n    {},\n    []\n  ],\n"
	                "  \"last\": true\n}");
}

static void test_compact(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	struct jsonw w = JSONW(&b);
	w.compact = true;
	jsonw_array(&w);
	jsonw_object(&w);
	jsonw_key(&w, "a");
	jsonw_i64(&w, 1);
	jsonw_key(&w, "b");
	jsonw_bool(&w, false);
	jsonw_end_object(&w);
	jsonw_str(&w, "x");
	jsonw_end_array(&w);
	assert_text(&b, "[{\"a\":1,\"b\":false},\"x\"]");
}

static const char *string(struct buf *b, struct str s)
{
	buf_reset(b);
	struct jsonw w = JSONW(b);
	jsonw_strn(&w, s);
	buf_u8(b, 0);
	return (const char *)b->data;
}

#define STRING(literal) string(&b, (struct str){ literal, sizeof(literal) - 1 })

static void test_strings(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	assert_string_equal(STRING(""), "\"\"");
	assert_string_equal(STRING("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
	assert_string_equal(STRING("\b\f\n\r\t\1\x1f\x7f"), "\"\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\"");
	assert_string_equal(STRING("a\0b"), "\"a\\u0000b\"");
	assert_string_equal(STRING("std::map<int, int>"), "\"std::map<int, int>\"");
	assert_string_equal(STRING("grün 火 \xf0\x9f\x94\xa5"), "\"grün 火 \xf0\x9f\x94\xa5\"");
}

/* Each ill-formed byte becomes U+FFFD; what is well-formed around it stays. */
static void test_invalid_utf8(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	assert_string_equal(STRING("a\xff" "b"), "\"a\xef\xbf\xbd" "b\"");
	assert_string_equal(STRING("\xc3"), "\"\xef\xbf\xbd\"");
	assert_string_equal(STRING("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"");
	assert_string_equal(STRING("\xe0\x80\x80z"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz\"");
	assert_string_equal(STRING("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	assert_string_equal(STRING("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
	assert_string_equal(STRING("\xf0\x9f\x94"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void test_escape_for_html(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	json_escape(&b, (struct str){ "</script>&\xe2\x80\xa8\xe2\x80\xa9\"", 17 });
	assert_text(&b, "\\u003c/script\\u003e\\u0026\\u2028\\u2029\\\"");
}

static void test_doubles(void **state)
{
	static const struct { double v; const char *text; } cases[] = {
		{ 0, "0" }, { 1, "1" }, { -1.5, "-1.5" }, { 0.1, "0.1" }, { 1e300, "1e+300" },
		{ 0.1 + 0.2, "0.30000000000000004" }, { 1.0 / 3, "0.3333333333333333" }, { 12345678901.5, "12345678901.5" },
		{ NAN, "null" }, { INFINITY, "null" }, { -INFINITY, "null" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf b = BUF_INIT(1 << 16);
		struct jsonw w = JSONW(&b);
		jsonw_double(&w, cases[i].v);
		assert_text(&b, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_indented),
		cmocka_unit_test(test_compact),
		cmocka_unit_test(test_strings),
		cmocka_unit_test(test_invalid_utf8),
		cmocka_unit_test(test_escape_for_html),
		cmocka_unit_test(test_doubles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
