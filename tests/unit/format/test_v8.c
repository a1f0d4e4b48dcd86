/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define ROOT "{\"id\": 1, \"callFrame\": {\"functionName\": \"(root)\", \"lineNumber\": -1}, \"children\": [2]}"
#define LEAF "{\"id\": 2, \"callFrame\": {\"functionName\": \"\", \"url\": \"a.js\", \"lineNumber\": 4, \"columnNumber\": 0}, \"hitCount\": 3}"
#define NODES "{\"nodes\": [" ROOT ", " LEAF "]"

static void test_a_sample_lasts_until_the_next(void **state)
{
	assert_taken(&format_cpuprofile, NODES ", \"startTime\": 100, \"endTime\": 1000, \"samples\": [2, 1, 2], "
	                                 "\"timeDeltas\": [100, 300, -50]}");
	assert_type(1, "wall", "microseconds");
	assert_stack(0, "(anonymous);(root)");
	assert_int_equal(value(0, 1), 300);
	assert_int_equal(value(1, 1), 0);
	assert_int_equal(value(2, 1), 500);
	assert_number(1, "elapsed", 400000);
	assert_int_equal(profile.functions.v[1].start_line, 5);
	assert_int_equal(profile.duration_ns, 900000);
}

static void test_without_samples_hits_count(void **state)
{
	assert_taken(&format_cpuprofile, NODES ", \"startTime\": 0, \"endTime\": 9}");
	assert_int_equal(profile.n_samples, 1);
	assert_int_equal(value(0, 0), 3);
}

static void test_the_old_nested_form(void **state)
{
	static const char old[] = "{\"head\": {\"functionName\": \"r\", \"id\": 1, \"children\": [{\"functionName\": \"f\", "
	                          "\"id\": 2, \"children\": []}]}, \"startTime\": 1.5, \"endTime\": 2.5, \"samples\": [2], "
	                          "\"timestamps\": [1600000]}";
	assert_taken(&format_json, old);
	assert_stack(0, "f;r");
	assert_int_equal(value(0, 1), 900000);
}

static void test_heap(void **state)
{
	assert_taken(&format_heapprofile, "{\"head\": {\"callFrame\": {\"functionName\": \"r\"}, \"selfSize\": 0, \"children\": ["
	                                  "{\"callFrame\": {\"functionName\": \"f\"}, \"selfSize\": 64, \"children\": []}]}}");
	assert_type(0, "inuse_space", "bytes");
	assert_int_equal(profile.n_samples, 1);
	assert_stack(0, "f;r");
	assert_int_equal(value(0, 0), 64);
}

static void test_refusals(void **state)
{
	assert_refused(&format_cpuprofile, "{\"nodes\": [" ROOT ", " ROOT "]}", ERR_FORMAT_MALFORMED, "two nodes have the id 1");
	assert_refused(&format_cpuprofile, "{\"nodes\": [" ROOT "]}", ERR_FORMAT_REFERENCE, "a child 2 that does not exist");
	assert_refused(&format_cpuprofile, NODES ", \"samples\": [2], \"timeDeltas\": [9e99]}", ERR_FORMAT_MALFORMED,
	               "does not fit in 64 bits");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_sample_lasts_until_the_next),
		cmocka_unit_test(test_without_samples_hits_count),
		cmocka_unit_test(test_the_old_nested_form),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
