/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_speedscope)
#define HEAD "{\"$schema\": \"https://www.speedscope.app/file-format-schema.json\", " \
	"\"shared\": {\"frames\": [{\"name\": \"a\"}, {\"name\": \"b\", \"file\": \"b.c\", \"line\": 3, \"col\": 9}]}, \"profiles\": ["

static void test_events_become_stretches_of_time(void **state)
{
	assert_taken(F, HEAD "{\"type\": \"evented\", \"name\": \"t\", \"unit\": \"milliseconds\", \"startValue\": 5, \"endValue\": 20, \"events\": ["
	                "{\"type\": \"O\", \"frame\": 0, \"at\": 5}, {\"type\": \"O\", \"frame\": 1, \"at\": 7}, {\"type\": \"C\", \"frame\": 1, \"at\": 10},"
	                "{\"type\": \"O\", \"frame\": 1, \"at\": 10}, {\"type\": \"C\", \"frame\": 1, \"at\": 10}, {\"type\": \"C\", \"frame\": 0, \"at\": 12}]}]}");
	assert_type(0, "wall", "milliseconds");
	assert_int_equal(profile.n_samples, 4);
	assert_stack(0, "a");
	assert_stack(1, "b;a");
	assert_stack(2, "b;a");
	assert_stack(3, "a");
	assert_int_equal(value(0, 0), 2);
	assert_int_equal(value(1, 0), 3);
	assert_int_equal(value(2, 0), 0);
	assert_int_equal(value(3, 0), 2);
	assert_number(1, "elapsed", 7000000);
	assert_label(3, "thread", "t");
	assert_int_equal(profile.duration_ns, 15000000);
}

static void test_fractions_make_nanoseconds(void **state)
{
	assert_taken(F, HEAD "{\"type\": \"sampled\", \"name\": \"x\", \"unit\": \"seconds\", \"samples\": [[0, 1], []], \"weights\": [0.25, 1]},"
	                "{\"type\": \"sampled\", \"name\": \"y\", \"unit\": \"bytes\", \"samples\": [[1]], \"weights\": [7]}]}");
	assert_type(0, "wall", "nanoseconds");
	assert_type(1, "space", "bytes");
	assert_int_equal(value(0, 0), 250000000);
	assert_int_equal(value(1, 0), 1000000000);
	assert_int_equal(value(2, 1), 7);
	assert_int_equal(value(2, 0), 0);
	assert_null(label(2, "elapsed"));
	assert_stack(0, "b;a");
}

static void test_refusals(void **state)
{
	assert_refused(F, HEAD "]}", ERR_FORMAT_UNKNOWN, "without any profile");
	assert_refused(F, HEAD "{\"type\": \"sampled\", \"unit\": \"parsecs\"}]}", ERR_FORMAT_MALFORMED, "no such unit: parsecs");
	assert_refused(F, HEAD "{\"type\": \"other\", \"unit\": \"none\"}]}", ERR_FORMAT_MALFORMED, "neither sampled nor evented");
	assert_refused(F, HEAD, ERR_FORMAT_TRUNCATED, "cut short");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_become_stretches_of_time),
		cmocka_unit_test(test_fractions_make_nanoseconds),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
