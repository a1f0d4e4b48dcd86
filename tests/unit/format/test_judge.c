/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/format.h"

static struct error err;

static int judge(const char *s, size_t n, bool whole)
{
	err = (struct error){ 0 };
	return format_judge((struct slice){ (const uint8_t *)s, n }, whole, &err);
}

#define JUDGE(literal) judge(literal, sizeof(literal) - 1, false)

/* What is no profile, as its first write() would bring it. */
static void test_known_files_are_named(void **state)
{
	static const struct { const char *bytes; size_t len; const char *says; } cases[] = {
#define CASE(bytes_, says_) { bytes_, sizeof(bytes_) - 1, says_ }
		CASE("<!DOCTYPE html>\n<html>", "HTML"),
		CASE("\n <HTML><head>", "HTML"),
		CASE("<?xml version=\"1.0\"?>\n<svg xmlns=", "SVG"),
		CASE("<svg width=\"1200\"", "SVG"),
		CASE("<?xml version=\"1.0\"?>\n<trace-query-result>", "XML"),
		CASE("\x89PNG\r\n\x1a\n", "PNG"),
		CASE("\x7f" "ELF\2\1\1", "ELF"),
		CASE("JAVA PROFILE 1.0.2\0\0\0\0\x08", "heap dump"),
		CASE("PERFILE2h\0\0\0", "perf script"),
		CASE("2ELIFREP", "perf script"),
		CASE("go 1.22 trace\0\0\0", "execution trace"),
		CASE("desc: --massif\ncmd: x\n", "massif"),
		CASE("Nettrace\x14\0\0\0!FastSerialization.1", "nettrace"),
		CASE("memray\0", "memray"),
		CASE("\xfb)\3\xfa;/home/w.py", "cProfile"),
		CASE("{\"version\":1.2,\"mode\":\"wall\",\"gc_samples\":4,\"missed_samples\":0}", "stackcollapse"),
		CASE("{\"label\":\"x\",\"profile\":{\"libs\":[{\"start\":1,\"end\":2,\"breakpadId\":\"A\"}", "Firefox itself"),
		CASE("{\xa9\3\xda\1a\xe9\1", "cProfile"),
		CASE("{(\3\0\0\0u\1", "cProfile"),
		CASE("/usr/bin/server\0--flag\0x", "command line"),
		CASE("\x0a\6\x50\1\x40\1\x18\1\x0a\2\x50\1\x0a\2\x50\1", "Perfetto"),
		CASE("goroutine 1 [running]:\nmain.main()\n", "goroutine dump"),
		CASE("{\"session\":{\"root_frame\":{},\"sample_count\":3}}", "pyinstrument"),
		CASE("{\"meta\":{},\"threads\":[{\"stackTable\":{\"schema\":{}}}]}", "profiler.firefox.com"),
		CASE("x\x9c\x4b\x4c", "zlib"),
		CASE("PK\3\4\x14", "zip"),
		CASE("BZh91AY&SY", "bzip2"),
		CASE("\xfd" "7zXZ\0", "xz"),
		CASE("\xff\xfem\0a\0i\0n\0", "UTF-16"),
		CASE("#!/bin/sh\n", "script"),
		CASE("HTTP/1.1 200 OK\r\n", "HTTP"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int e = judge(cases[i].bytes, cases[i].len, false);
		if (e != ERR_FORMAT_NAMED || !strstr(err.text, cases[i].says))
			fail_msg("%zu (%s): %d %s", i, cases[i].says, e, err.text);
	}
}

static void test_junk_fails_at_the_first_write(void **state)
{
	assert_int_equal(JUDGE("hi\n"), ERR_FORMAT_UNKNOWN);
	assert_non_null(strstr(err.text, "line 1"));
	assert_int_equal(JUDGE("Hello, world\nand more"), ERR_FORMAT_UNKNOWN);
	assert_int_equal(JUDGE("# a comment\n\nno count here\n"), ERR_FORMAT_UNKNOWN);
	assert_non_null(strstr(err.text, "line 3"));
	assert_int_equal(JUDGE("\xde\xad\xbe\xef\0\1\2\3"), ERR_FORMAT_UNKNOWN);
	assert_int_equal(judge("hi", 2, true), ERR_FORMAT_UNKNOWN);
	assert_int_equal(JUDGE("\x1f\x8b\x07\0"), ERR_FORMAT_MALFORMED);
}

static void test_stacks_that_look_like_something_else(void **state)
{
	assert_int_equal(JUDGE("{closure};main 5\n"), 0);
	assert_int_equal(JUDGE("[unknown];main 5\n"), 0);
	assert_int_equal(JUDGE("[fib tid=1];main 5\n"), 0);
	assert_int_equal(JUDGE("<module>;main 5\n"), 0);
	assert_int_equal(JUDGE("version: 1 5\n"), 0);
	assert_int_equal(JUDGE("go 1.5\n"), 0);
	assert_int_equal(JUDGE("MOJO;run 5\n"), 0);
	assert_int_equal(JUDGE("rbspy;run 5\n"), 0);
	assert_int_equal(JUDGE("Nettrace;run 5\n"), 0);
}

/* Nothing that a profile may begin with is refused, however few bytes come first. */
static void test_no_beginning_of_a_profile_is_refused(void **state)
{
#undef CASE
#define CASE(bytes_) { bytes_, sizeof(bytes_) - 1 }
	static const struct { const char *bytes; size_t len; } cases[] = {
		CASE("main;work;leaf 10\n"), CASE("\x0a\4\x08\1\x10\2\x12\x08\x0a\2\1\1\x12\2\xac\2"),
		CASE("\x48\x80\x80\x01\x0a\4\x08\1\x10\2"), CASE("\x32\0\x32\3cpu"),
		CASE("\x1f\x8b\x08\0\0\0\0\0\0\xff\xab"), CASE("\x28\xb5\x2f\xfd\4\x58"),
		CASE("# austin: 3.7.0\n# mode: cpu\n\nP1;T1;f 5\n"), CASE("\xef\xbb\xbf" "a;b 1\n"),
		CASE("java;lang 5\n"), CASE("2fast;furious 5\n"), CASE("x1;y 5\n"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t n = 0; n <= cases[i].len; n++)
			if (judge(cases[i].bytes, n, false))
				fail_msg("case %zu, %zu bytes: %s", i, n, err.text);
}

static void test_long_first_line_is_awaited(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 20);
	while (b.len < 500000)
		buf_puts(&b, "frame;");
	assert_int_equal(judge((char *)b.data, b.len, false), 0);
	assert_int_equal(judge((char *)b.data, b.len, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_files_are_named),
		cmocka_unit_test(test_junk_fails_at_the_first_write),
		cmocka_unit_test(test_stacks_that_look_like_something_else),
		cmocka_unit_test(test_no_beginning_of_a_profile_is_refused),
		cmocka_unit_test(test_long_first_line_is_awaited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
