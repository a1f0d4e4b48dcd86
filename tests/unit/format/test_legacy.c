/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

static void test_heap_and_its_map(void **state)
{
	assert_taken(&format_heap_text, "heap profile: 1: 20 [2: 50] @ heapprofile\n 1: 20 [2: 50] @ 0x401 0x802\n\nMAPPED_LIBRARIES:\n"
	                                "00000400-00000500 r-xp 00000000 08:01 12 /lib/a.so\n00000800-00000900 r-xp 00000000 08:01 13 /bin/x\n");
	assert_int_equal(profile.types.n, 4);
	assert_type(3, "inuse_space", "bytes");
	assert_stack(0, "0x400;0x801");
	assert_int_equal(value(0, 1), 50);
	assert_number(0, "bytes", 20);
	assert_int_equal(profile.mappings.n, 2);
	assert_true(str_eq(profile_str(&profile, profile.mappings.v[0].filename), STR("/bin/x")));
	assert_int_equal(profile.locations.v[1].mapping, 0);
	assert_refused(&format_heap_text, "heap profile: 1: 20 [2: 50] @ heapprofile\n nonsense\n", ERR_FORMAT_MALFORMED, "line 2");
}

static void test_names_of_go(void **state)
{
	assert_taken(&format_count_text, "goroutine profile: total 3\n3 @ 0x11 0x21 0x31\n# labels: {\"k\":\"v\"}\n"
	                                 "#\t0x10\tmain.f+0x1\t/a.go:7\n#\t0x20\tin\t/a.go:8\n#\t0x20\tmain.g+0x2\t/a.go:9\n\n");
	assert_type(0, "goroutine", "count");
	assert_stack(0, "main.f;in;main.g;0x30");
	assert_int_equal(value(0, 0), 3);
	assert_label(0, "k", "v");
	assert_int_equal(profile.lines.v[0].line, 7);
	assert_refused(&format_count_text, "goroutine profile: total 3\nx\n", ERR_FORMAT_MALFORMED, "line 2");
}

static void test_contention(void **state)
{
	assert_taken(&format_contention, "--- mutex:\ncycles/second=2000000000\nsampling period=5\n100 2 @ 0x11 0x21\n");
	assert_type(1, "delay", "nanoseconds");
	assert_int_equal(value(0, 0), 10);
	assert_int_equal(value(0, 1), 250);
	assert_true(str_eq(profile_str(&profile, profile.kind), STR("mutex")));
}

static void test_threads(void **state)
{
	assert_taken(&format_threads, "--- threadz 1 ---\n\n--- Thread 7f (name: a/12) stack: ---\n  PC: 0x11 0x21\n      0x31\n"
	                              "--- Thread 7e (name: b/13) stack: ---\n    [same as previous thread]\n");
	assert_int_equal(profile.n_samples, 1);
	assert_stack(0, "0x11;0x20;0x30");
	assert_int_equal(value(0, 0), 2);
}

static void test_jemalloc(void **state)
{
	assert_taken(&format_jemalloc, "heap_v2/1\n  t*: 2: 30 [0: 0]\n  t0: 2: 30 [0: 0]\n@ 0x11 0x21\n  t*: 2: 30 [0: 0]\n  t0: 2: 30 [0: 0]\n");
	assert_type(1, "inuse_space", "bytes");
	assert_int_equal(profile.n_samples, 1);
	assert_int_equal(value(0, 1), 30);
	assert_refused(&format_jemalloc, "heap_v2/x\n", ERR_FORMAT_MALFORMED, "no header");
}

static void test_gperftools_that_is_cut(void **state)
{
	const uint32_t words[] = { 0, 3, 0, 100, 0, 2, 3, 0x10, 0x21 };
	assert_int_equal(decode(&format_gperftools, (const char *)words, sizeof words), ERR_FORMAT_TRUNCATED);
	assert_int_equal(decode(&format_gperftools, (const char *)words, 20), 0);
	assert_int_equal(profile.period, 100000);
}

#define PLACES "\n\n 0x3 a.B.f (B.java:12)\n 0x0000004 a.B.<init> (Native Method)\n 0x5 GC\n"

static void test_java_contention(void **state)
{
	assert_taken(&format_java_text, "--- contentionz 1 ---\nformat = java\nresolution = milliseconds\nsampling period = 100\n"
	                                "ms since reset = 60\n  14  1 @ 0x00000003 0x4\n 2 3 @ 0x5 0x9\n" PLACES);
	assert_type(0, "contentions", "count");
	assert_type(1, "delay", "milliseconds");
	assert_int_equal(value(0, 0), 100);
	assert_int_equal(value(0, 1), 1400);
	assert_int_equal(value(1, 0), 300);
	assert_stack(0, "a.B.f;a.B.<init>");
	assert_stack(1, "GC;0x9");
	assert_int_equal(profile.duration_ns, 60000000);
	assert_int_equal(profile.lines.v[0].line, 12);
	assert_int_equal(profile.locations.v[0].address, 0);
	assert_true(str_eq(profile_str(&profile, profile.functions.v[1].filename), STR("Native Method")));
}

static void test_java_heap(void **state)
{
	assert_taken(&format_java_text, "--- heapz 1 ---\nformat = java\nresolution = bytes\n 7048 1 @ 0x3\n" PLACES);
	assert_type(0, "inuse_objects", "count");
	assert_int_equal(value(0, 0), 74);
	assert_int_equal(value(0, 1), 527819);
	assert_number(0, "bytes", 7048);
	assert_refused(&format_java_text, "--- heapz 1 ---\nformat = java\n 5 0 @ 0x3\n", ERR_FORMAT_MALFORMED, "line 3");
	assert_refused(&format_java_text, "--- heapz 1 ---\nformat = java\nx = 3\n", ERR_FORMAT_MALFORMED, "not known");
	assert_refused(&format_java_text, "--- contentionz 1 ---\nformat = java\nsampling period = 9000000000000000000\n"
	                                  "3 3 @ 0x3\n", ERR_FORMAT_MALFORMED, "64 bits");
}

static void test_java_cpu(void **state)
{
	const uint32_t words[] = { 0, 3, 1, 10000, 0, 2, 2, 3, 4, 0, 1, 5, 0, 1, 0 };
	_buf_ struct buf b = BUF_INIT(1 << 10);
	buf_put(&b, words, sizeof words);
	buf_puts(&b, PLACES);
	assert_int_equal(decode(&format_gperftools, (const char *)b.data, b.len), 0);
	assert_stack(0, "a.B.f;a.B.<init>");
	assert_stack(1, "GC");
	assert_int_equal(value(0, 1), 20000000);
	assert_int_equal(value(1, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap_and_its_map),
		cmocka_unit_test(test_names_of_go),
		cmocka_unit_test(test_contention),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_jemalloc),
		cmocka_unit_test(test_gperftools_that_is_cut),
		cmocka_unit_test(test_java_contention),
		cmocka_unit_test(test_java_heap),
		cmocka_unit_test(test_java_cpu),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
