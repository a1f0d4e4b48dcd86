/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/format.h"
#include "core/profile/label.h"

static struct profile p;
static struct error err;
static struct format_options opts;

static int setup(void **state)
{
	opts = (struct format_options){ 0 };
	err = (struct error){ 0 };
	return profile_init(&p, 1 << 20);
}

static int teardown(void **state)
{
	profile_done(&p);
	return 0;
}

static int decode_n(const char *s, size_t n)
{
	profile_reset(&p);
	int e = format_folded.decode((struct slice){ (const uint8_t *)s, n }, &opts, &p, &err);
	return e ? e : profile_verify(&p, &err);
}

static int decode(const char *s)
{
	return decode_n(s, strlen(s));
}

/* A sample as a line again, so that a test reads as what it says. */
static void assert_sample(size_t i, const char *expected)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	for (size_t l = p.loc_at.v[i + 1]; l-- > p.loc_at.v[i];) {
		struct str name = profile_str(&p, p.functions.v[p.lines.v[p.locations.v[p.locs.v[l]].line_at].function].name);
		buf_put(&b, name.s, name.len);
		buf_putc(&b, l > p.loc_at.v[i] ? ';' : ' ');
	}
	buf_i64(&b, p.values.v[i]);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.data, expected);
}

static void test_lines(void **state)
{
	assert_int_equal(decode("main;work;leaf 10\nmain;work 5\nmain;work 5\n"), 0);
	assert_int_equal(p.n_samples, 3);
	assert_int_equal(p.locations.n, 3);
	assert_int_equal(p.functions.n, 3);
	assert_sample(0, "main;work;leaf 10");
	assert_sample(1, "main;work 5");
	assert_sample(2, "main;work 5");
	assert_int_equal(p.time_ns, 0);
	assert_true(str_eq(profile_str(&p, p.types.v[0].type), STR("samples")));
	assert_true(str_eq(profile_str(&p, p.types.v[0].unit), STR("count")));
	assert_int_equal(p.n_warnings, 0);
}

static void test_type_and_unit_of_options(void **state)
{
	opts.type = STR("cpu");
	opts.unit = STR("nanoseconds");
	assert_int_equal(decode("main 1"), 0);
	assert_true(str_eq(profile_str(&p, p.types.v[0].type), STR("cpu")));
	assert_true(str_eq(profile_str(&p, p.types.v[0].unit), STR("nanoseconds")));
}

static void test_last_line_without_line_feed(void **state)
{
	assert_int_equal(decode("a;b 1\nc 2"), 0);
	assert_sample(1, "c 2");
}

static void test_line_ends_and_blanks(void **state)
{
	assert_int_equal(decode("\xef\xbb\xbf" "a;b 1\r\n\r\n \t\nc  2 \t\n"), 0);
	assert_int_equal(p.n_samples, 2);
	assert_sample(0, "a;b 1");
	assert_sample(1, "c 2");
}

static void test_names_with_blanks(void **state)
{
	assert_int_equal(decode("java.lang.Thread run;operator new (unsigned long);a b c 7\nx\t8\nworker 3 12\n"), 0);
	assert_sample(0, "java.lang.Thread run;operator new (unsigned long);a b c 7");
	assert_sample(1, "x 8");
	assert_sample(2, "worker 3 12");
}

static void test_comments_are_kept(void **state)
{
	assert_int_equal(decode("# austin: 3.7.0\n#\na 1\n# mode: wall\n"), 0);
	assert_int_equal(p.n_samples, 1);
	assert_int_equal(p.comments.n, 3);
	assert_true(str_eq(profile_str(&p, p.comments.v[0]), STR("austin: 3.7.0")));
	assert_int_equal(profile_str(&p, p.comments.v[1]).len, 0);
}

static void test_empty_names_are_frames(void **state)
{
	assert_int_equal(decode(";;a;;b; 3\n"), 0);
	assert_sample(0, ";;a;;b; 3");
	assert_int_equal(p.functions.n, 3);
}

static void test_bytes_that_are_not_utf8(void **state)
{
	assert_int_equal(decode("ma\xff" "in;w\xc3(ork 3\n"), 0);
	assert_sample(0, "ma\xff" "in;w\xc3(ork 3");
}

static void test_counts(void **state)
{
	assert_int_equal(decode("a 0\na -5\na +6\na 9223372036854775807\na -9223372036854775808\na 007\n"), 0);
	static const int64_t expected[] = { 0, -5, 6, INT64_MAX, INT64_MIN, 7 };
	assert_memory_equal(p.values.v, expected, sizeof expected);
	assert_int_equal(p.n_warnings, 0);
}

static void test_counts_that_are_not_whole(void **state)
{
	assert_int_equal(decode("a 2.0\nb 2.5\nc -2.5\nd 2.4999\ne 1e3\nf 1.5E2\ng .5\n"), 0);
	static const int64_t expected[] = { 2, 3, -3, 2, 1000, 150, 1 };
	assert_memory_equal(p.values.v, expected, sizeof expected);
	assert_int_equal(p.n_warnings, 4);
	assert_non_null(strstr(p.warning, "line 2"));
}

static void test_refused_by_the_line(void **state)
{
	static const struct { const char *text; const char *says; int code; } cases[] = {
		{ "a;b 1\na;b;c\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\n\nb x1\n", "line 3 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\nb 1x\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\nb 1,2,3\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\nb 1.2.3\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\nb 0x10\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\nb nan\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\nb -\n", "line 2 has no count", ERR_FORMAT_MALFORMED },
		{ "a 1\n 12\n", "line 2 has no stack", ERR_FORMAT_MALFORMED },
		{ "a 1\n12\n", "line 2 has no stack", ERR_FORMAT_MALFORMED },
		{ "a 9223372036854775808\n", "line 1: the count does not fit", ERR_FORMAT_MALFORMED },
		{ "a 99999999999999999999999\n", "line 1: the count does not fit", ERR_FORMAT_MALFORMED },
		{ "a 1e19\n", "line 1: the count does not fit", ERR_FORMAT_MALFORMED },
		{ "a 1e999\n", "line 1: the count does not fit", ERR_FORMAT_MALFORMED },
		{ "a;b 3 5\nc 4 6\n", "two counts: a differential file", ERR_FORMAT_NAMED },
		{ "# nothing\n\n", "without any stacks", ERR_FORMAT_UNKNOWN },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(decode(cases[i].text), cases[i].code);
		assert_non_null(strstr(err.text, cases[i].says));
	}
}

static void test_deep_and_wide(void **state)
{
	_buf_ struct buf b = BUF_INIT(16 << 20);
	for (size_t line = 0; line < 3; line++) {
		for (size_t i = 0; i < 100000; i++)
			buf_printf(&b, "%sf%zu", i ? ";" : "", i % 5000);
		buf_puts(&b, " 1\n");
	}
	assert_int_equal(decode_n((char *)b.data, b.len), 0);
	assert_int_equal(p.functions.n, 5000);
	assert_int_equal(p.locs.n, 300000);
	opts.max_bytes = 100000;
	assert_int_equal(decode_n((char *)b.data, b.len), ERR_FORMAT_LIMIT);
}

static enum format_verdict sniff(const char *s, bool whole)
{
	return format_folded.sniff((struct slice){ (const uint8_t *)s, strlen(s) }, whole);
}

static void test_sniff(void **state)
{
	assert_int_equal(sniff("", false), FORMAT_MAYBE);
	assert_int_equal(sniff("m", false), FORMAT_MAYBE);
	assert_int_equal(sniff("main;f", false), FORMAT_MAYBE);
	assert_int_equal(sniff("main;f", true), FORMAT_NO);
	assert_int_equal(sniff("main;f 1", true), FORMAT_YES);
	assert_int_equal(sniff("main;f 1\n", false), FORMAT_YES);
	assert_int_equal(sniff("# comment\n\n", false), FORMAT_MAYBE);
	assert_int_equal(sniff("# comment\nmain 3\n", false), FORMAT_YES);
	assert_int_equal(sniff("hi\n", false), FORMAT_NO);
	assert_int_equal(sniff("12\n", false), FORMAT_NO);
	assert_int_equal(sniff("\x01 1\n", false), FORMAT_NO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_lines),
		TEST(test_type_and_unit_of_options),
		TEST(test_last_line_without_line_feed),
		TEST(test_line_ends_and_blanks),
		TEST(test_names_with_blanks),
		TEST(test_comments_are_kept),
		TEST(test_empty_names_are_frames),
		TEST(test_bytes_that_are_not_utf8),
		TEST(test_counts),
		TEST(test_counts_that_are_not_whole),
		TEST(test_refused_by_the_line),
		TEST(test_deep_and_wide),
		TEST(test_sniff),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
