/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_firefox)
#define META "{\"meta\":{\"preprocessedProfileVersion\":48,\"startTime\":1000.5,\"interval\":2,\"sampleUnits\":{\"threadCPUDelta\":\"µs\"}," \
	"\"categories\":[{\"name\":\"Other\"}]},\"libs\":[{\"path\":\"/lib/x.so\",\"name\":\"x.so\",\"codeId\":\"ab12\"}],"
#define STACKS "\"stackTable\":{\"frame\":[0,1,2,3],\"prefix\":[null,0,1,0],\"category\":[0,0,0,0]}"
#define FRAMES "\"frameTable\":{\"func\":[0,1,2,3],\"line\":[1,null,7,null],\"address\":[-1,64,64,80],\"inlineDepth\":[0,0,1,0]}"
#define FUNCS "\"funcTable\":{\"name\":[0,1,2,3],\"fileName\":[4,null,4,null],\"resource\":[-1,0,0,0]}," \
	"\"resourceTable\":{\"lib\":[0]},\"stringArray\":[\"root\",\"outer\",\"inner\",\"0x50\",\"a.js\"]"
#define SAMPLES "\"samples\":{\"stack\":[2,null,3],\"time\":[1,2,3.25],\"threadCPUDelta\":[0,5,7]}"

static void check(void)
{
	assert_type(0, "samples", "count");
	assert_type(1, "cpu", "nanoseconds");
	assert_int_equal(profile.n_samples, 2);
	assert_stack(0, "inner;outer;root");
	assert_stack(1, "0x50;root");
	assert_int_equal(value(1, 1), 7000);
	assert_number(1, "timestamp", 1003750000);
	assert_label(0, "thread", "GeckoMain");
	assert_label(0, "category", "Other");
	assert_number(0, "pid", 12);
	assert_int_equal(profile.time_ns, 1000500000);
	assert_int_equal(profile.period, 2000000);
	assert_true(str_eq(profile_str(&profile, profile.mappings.v[0].build_id), STR("ab12")));
	assert_int_equal(profile.locations.v[0].n_lines, 2);
}

static void test_tables_of_a_thread(void **state)
{
	assert_taken(F, META "\"threads\":[{\"name\":\"GeckoMain\",\"pid\":\"12\"," STACKS "," FRAMES "," FUNCS "," SAMPLES "}]}");
	check();
}

static void test_shared_tables(void **state)
{
	assert_taken(F, META "\"shared\":{" STACKS "," FRAMES "," FUNCS "},\"threads\":[{\"name\":\"GeckoMain\",\"pid\":12," SAMPLES "}]}");
	check();
}

static void test_refusals(void **state)
{
	assert_refused(F, META "\"threads\":[]}", ERR_FORMAT_UNKNOWN, "without any sample");
	assert_refused(F, META "\"threads\":[{\"stackTable\":{\"frame\":[0],\"prefix\":[0]}," FRAMES "," FUNCS ","
	                  "\"samples\":{\"stack\":[0]}}]}", ERR_FORMAT_MALFORMED, "prefix does not lie before it");
	assert_refused(F, META "\"threads\":[{\"stackTable\":{\"frame\":[9],\"prefix\":[null]}," FRAMES "," FUNCS ","
	                  "\"samples\":{\"stack\":[0]}}]}", ERR_FORMAT_MALFORMED, "a frame without a function");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables_of_a_thread),
		cmocka_unit_test(test_shared_tables),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
