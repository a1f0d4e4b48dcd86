/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_callgrind)

static void test_costs_are_exact_and_callers_followed(void **state)
{
	assert_taken(F, "version: 1\ncmd: ./a\nevents: Ir Dr\nob=(1) /bin/a\nfl=(1) a.c\nfn=(1) main\n1 10 2\ncfn=(2) f\ncalls=1 5\n"
	                "+1 90 3\nfn=(2)\n5 40 1\n+1 50\n");
	assert_type(0, "Ir", "count");
	assert_type(1, "Dr", "count");
	assert_int_equal(profile.n_samples, 3);
	assert_stack(0, "main");
	assert_stack(1, "f;main");
	assert_stack(2, "f;main");
	assert_int_equal(value(1, 0), 40);
	assert_int_equal(value(2, 0), 50);
	assert_int_equal(value(2, 1), 0);
	assert_int_equal(profile.mappings.n, 1);
}

static void test_costs_are_shared_out_by_calls(void **state)
{
	assert_taken(F, "events: Ir\nfn=a\n1 1\ncfn=f\ncalls=3 9\n1 75\nfn=b\n2 1\ncfn=f\ncalls=1 9\n2 25\nfn=f\n9 100\n");
	assert_int_equal(profile.n_samples, 4);
	assert_stack(2, "f;a");
	assert_int_equal(value(2, 0), 75);
	assert_stack(3, "f;b");
	assert_int_equal(value(3, 0), 25);
}

static void test_recursion_ends(void **state)
{
	assert_taken(F, "events: Ir\nfn=a\n1 1\ncfn=a\ncalls=1 1\n1 9\ncfn=b\ncalls=1 1\n1 9\nfn=b\n1 1\ncfn=a\ncalls=1 1\n1 9\n");
	int64_t sum = 0;
	for (size_t i = 0; i < profile.n_samples; i++)
		sum += value(i, 0);
	assert_int_equal(sum, 2);
}

static void test_what_the_summary_has_beyond_functions(void **state)
{
	assert_taken(F, "positions: instr line\nevents: Ir\nsummary: 12\nfn=a\n0x10 1 4\njump=1 +4 +1\n* *\n+4 +1 5\n");
	assert_int_equal(profile.n_samples, 3);
	assert_stack(2, "");
	assert_int_equal(value(2, 0), 3);
	assert_int_equal(profile.locations.v[1].address, 0x14);
	assert_int_equal(profile.lines.v[profile.locations.v[1].line_at].line, 2);
}

static void test_refusals(void **state)
{
	assert_refused(F, "events: Ir\nfn=a\n1 2 3\n", ERR_FORMAT_MALFORMED, "line 3: no place and costs");
	assert_refused(F, "events: Ir\nfn=a\n1 x\n", ERR_FORMAT_MALFORMED, "line 3");
	assert_refused(F, "events: Ir\nhello world\n", ERR_FORMAT_MALFORMED, "neither a setting nor a cost");
	assert_refused(F, "events: Ir\nevents: Dr\n", ERR_FORMAT_MALFORMED, "other events");
	assert_refused(F, "# callgrind format\n1 2\n", ERR_FORMAT_MALFORMED, "a cost before");
	assert_refused(F, "# callgrind format\n", ERR_FORMAT_UNKNOWN, "without `events:`");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_costs_are_exact_and_callers_followed),
		cmocka_unit_test(test_costs_are_shared_out_by_calls),
		cmocka_unit_test(test_recursion_ends),
		cmocka_unit_test(test_what_the_summary_has_beyond_functions),
		cmocka_unit_test(test_refusals),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
