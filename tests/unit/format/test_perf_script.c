/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_perf_script)

static void test_events_are_types_and_labels(void **state)
{
	assert_taken(F, "# hostname : vm\n"
	                "V8 Worker 12/34 [003] 10.5:  250000 cpu-clock:u: \n\t 12 main+0x3 (/bin/app)\n\n"
	                "app     7 10.75:       3 cycles:ppp: \n\t 2a f (/bin/app)\n\t 30 [unknown] (/lib/x.so)\n\n");
	assert_int_equal(profile.types.n, 3);
	assert_type(0, "samples", "count");
	assert_type(1, "cpu", "nanoseconds");
	assert_type(2, "cycles", "count");
	assert_int_equal(profile.n_samples, 2);
	assert_stack(0, "main");
	assert_stack(1, "f;0x30");
	assert_int_equal(value(0, 1), 250000);
	assert_int_equal(value(0, 2), 0);
	assert_int_equal(value(1, 2), 3);
	assert_label(0, "thread", "V8 Worker");
	assert_label(1, "event", "cycles:ppp");
	assert_number(0, "pid", 12);
	assert_number(0, "tid", 34);
	assert_number(0, "cpu", 3);
	assert_number(1, "elapsed", 250000000);
	assert_int_equal(profile.duration_ns, 250000000);
	assert_int_equal(profile.time_ns, 0);
	assert_int_equal(profile.comments.n, 1);
	assert_int_equal(profile.mappings.n, 2);
}

static void test_inlined_frames_are_lines(void **state)
{
	assert_taken(F, "app 1 1.0: cycles: \n\t 12 a (inlined)\n\t 12 b (inlined)\n\t 12 c (/x)\n\t 13 d (/x)\n");
	assert_stack(0, "a;b;c;d");
	assert_int_equal(profile.locations.n, 2);
	assert_int_equal(profile.locations.v[0].n_lines, 3);
}

static struct str system_name(uint32_t function)
{
	return profile_str(&profile, profile.functions.v[function].system_name);
}

static void test_frame_types(void **state)
{
	assert_taken(F, "app 1 1.0: cycles: \n\t 1 k ([kernel.kallsyms])\n\t 2 j (/tmp/perf-12.map)\n\t 3 u (/bin/a)\n"
	                "\t 4 m ([nf_conntrack])\n\t 5 v ([vdso])\n");
	assert_true(str_eq(system_name(0), STR("k_[kernel]")));
	assert_true(str_eq(system_name(1), STR("j_[jit]")));
	assert_int_equal(system_name(2).len, 0);
	assert_true(str_eq(system_name(3), STR("m_[kernel]")));
	assert_int_equal(system_name(4).len, 0);
}

static void test_what_has_no_stack_is_told(void **state)
{
	assert_taken(F, "app 1 1.0: cycles: \n\t 1 a (x)\n\napp 1 2.0: sched:sched_switch: prev_comm=a\n\nPERF_RECORD_LOST 3\n");
	assert_int_equal(profile.n_samples, 1);
	assert_int_equal(profile.n_warnings, 2);
	assert_int_equal(decode(F, "app 1 1.0: cycles: \n", 19), ERR_FORMAT_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_events_are_types_and_labels),
		cmocka_unit_test(test_inlined_frames_are_lines),
		cmocka_unit_test(test_frame_types),
		cmocka_unit_test(test_what_has_no_stack_is_told),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
