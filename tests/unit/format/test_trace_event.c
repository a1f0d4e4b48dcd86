/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_trace_event)

static void test_spans(void **state)
{
	assert_taken(F, "[{\"ph\":\"M\",\"name\":\"thread_name\",\"pid\":1,\"tid\":2,\"args\":{\"name\":\"main\"}},"
	                "{\"ph\":\"X\",\"name\":\"in\",\"pid\":1,\"tid\":2,\"ts\":12,\"dur\":3},"
	                "{\"ph\":\"X\",\"name\":\"out\",\"pid\":1,\"tid\":2,\"ts\":10,\"dur\":10.5},"
	                "{\"ph\":\"i\",\"name\":\"now\",\"pid\":1,\"tid\":2,\"ts\":13}]");
	assert_type(0, "wall", "nanoseconds");
	assert_stack(0, "out");
	assert_int_equal(value(0, 0), 2000);
	assert_stack(1, "in;out");
	int64_t sum = 0;
	for (size_t i = 0; i < profile.n_samples; i++)
		sum += value(i, 0);
	assert_int_equal(sum, 10500);
	assert_label(0, "thread", "main");
	assert_number(1, "elapsed", 2000);
	assert_number(0, "tid", 2);
}

static void test_begin_and_end(void **state)
{
	assert_taken(F, "{\"traceEvents\":[{\"ph\":\"B\",\"name\":\"a\",\"pid\":0,\"tid\":0,\"ts\":0},{\"ph\":\"B\",\"name\":\"b\",\"pid\":0,"
	                "\"tid\":0,\"ts\":1},{\"ph\":\"E\",\"name\":\"a\",\"pid\":0,\"tid\":0,\"ts\":5},{\"ph\":\"E\",\"name\":\"x\",\"pid\":0,"
	                "\"tid\":0,\"ts\":6}]}");
	assert_int_equal(profile.n_samples, 2);
	assert_stack(1, "b;a");
	assert_int_equal(value(1, 0), 4000);
	assert_int_equal(profile.n_warnings, 1);
}

static void test_a_list_that_is_cut(void **state)
{
	assert_taken(F, "[{\"ph\":\"X\",\"name\":\"a\",\"pid\":0,\"tid\":0,\"ts\":0,\"dur\":3},\n{\"ph\":\"X\",\"na");
	assert_stack(0, "a");
	assert_int_equal(value(0, 0), 3000);
}

static void test_chunks_of_a_profile(void **state)
{
	assert_taken(F, "[{\"ph\":\"P\",\"name\":\"Profile\",\"id\":\"0x1\",\"pid\":1,\"tid\":1,\"ts\":0,\"args\":{\"data\":{\"startTime\":100}}},"
	                "{\"ph\":\"P\",\"name\":\"ProfileChunk\",\"id\":\"0x1\",\"pid\":1,\"tid\":9,\"ts\":5,\"args\":{\"data\":{\"cpuProfile\":{"
	                "\"nodes\":[{\"id\":1,\"callFrame\":{\"functionName\":\"r\"}},{\"id\":2,\"parent\":1,\"callFrame\":{\"functionName\":\"f\"}}],"
	                "\"samples\":[2]},\"timeDeltas\":[10]}}},"
	                "{\"ph\":\"P\",\"name\":\"ProfileChunk\",\"id\":\"0x1\",\"pid\":1,\"tid\":9,\"ts\":6,\"args\":{\"data\":{\"cpuProfile\":{"
	                "\"samples\":[1]},\"timeDeltas\":[7]}}},"
	                "{\"ph\":\"X\",\"name\":\"task\",\"pid\":1,\"tid\":1,\"ts\":0,\"dur\":99}]");
	assert_type(1, "wall", "microseconds");
	assert_int_equal(profile.n_samples, 2);
	assert_stack(0, "f;r");
	assert_int_equal(value(0, 1), 7);
	assert_number(0, "tid", 1);
}

static void test_refusals(void **state)
{
	assert_refused(F, "[{\"ph\":\"i\",\"name\":\"a\",\"pid\":0,\"tid\":0,\"ts\":0}]", ERR_FORMAT_UNKNOWN, "without spans");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_begin_and_end),
		cmocka_unit_test(test_a_list_that_is_cut),
		cmocka_unit_test(test_chunks_of_a_profile),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
