/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/paths/times.h"

#define DAY_22 ((int64_t)20779 * NS_PER_DAY) /* 2026-11-22 */

static void expect_absolute(const char *s, int64_t from, int64_t to)
{
	struct span span;
	assert_int_equal(times_absolute(str_of(s), &span), TIMES_OK);
	assert_int_equal(span.from, from);
	assert_int_equal(span.to, to);
}

static void absolute_times_name_their_whole_unit(void **state)
{
	expect_absolute("2026-11-22", DAY_22, DAY_22 + NS_PER_DAY);
	expect_absolute("2026-11", DAY_22 - 21 * NS_PER_DAY, DAY_22 + 9 * NS_PER_DAY);
	expect_absolute("2026-12", DAY_22 + 9 * NS_PER_DAY, DAY_22 + 40 * NS_PER_DAY);
	expect_absolute("1970", 0, 365 * NS_PER_DAY);
	expect_absolute("2026-11-22T14", DAY_22 + 14 * NS_PER_HOUR, DAY_22 + 15 * NS_PER_HOUR);
	expect_absolute("2026-11-22T1405", DAY_22 + 845 * NS_PER_MIN, DAY_22 + 846 * NS_PER_MIN);
	expect_absolute("2026-11-22T14:05", DAY_22 + 845 * NS_PER_MIN, DAY_22 + 846 * NS_PER_MIN);
	expect_absolute("2026-11-22T140530", DAY_22 + 50730 * NS_PER_S, DAY_22 + 50731 * NS_PER_S);
	expect_absolute("2026-11-22T14:05:30", DAY_22 + 50730 * NS_PER_S, DAY_22 + 50731 * NS_PER_S);
	expect_absolute("2026-11-22T140530.25", DAY_22 + 50730250000000, DAY_22 + 50730250000001);
	expect_absolute("2026-11-22T14:05:30.000000001", DAY_22 + 50730000000001, DAY_22 + 50730000000002);
}

static void what_is_no_time_is_told_from_one_out_of_range(void **state)
{
	static const char *const no[] = { "", "20", "20261", "2026-1", "2026-11-2", "2026-11-22T", "2026-11-22T1", "2026-11-22T14:",
		                          "2026-11-22T140", "2026-11-22T14:0530", "2026-11-22T1405:30", "2026-11-22Z", "cpu",
		                          "2026-11-22T140530.", "2026-11-22T140530.x", "2026-11-22T1405.5",
		                          "2026-11-22T140530.1234567890" };
	static const char *const bad[] = { "0000", "2026-13", "2026-00", "2026-02-29", "2026-11-31", "2026-11-22T24",
		                           "2026-11-22T1460", "2026-11-22T140560", "9999", "1600-01-01" };
	struct span span;
	for (size_t i = 0; i < ARRAY_SIZE(no); i++)
		assert_int_equal(times_absolute(str_of(no[i]), &span), TIMES_NOT);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(times_absolute(str_of(bad[i]), &span), TIMES_BAD);
}

static void the_last_year_ends_where_times_do(void **state)
{
	struct span span;
	assert_int_equal(times_absolute(STR("2262"), &span), TIMES_OK);
	assert_int_equal(span.to, TIME_MAX);
}

static void intervals_are_half_open(void **state)
{
	struct span span;
	assert_int_equal(times_interval(STR("2026-11-22T1000--2026-11-22T1230"), &span), TIMES_OK);
	assert_int_equal(span.from, DAY_22 + 10 * NS_PER_HOUR);
	assert_int_equal(span.to, DAY_22 + 750 * NS_PER_MIN);
	assert_int_equal(times_interval(STR("2026-11-22--2026-11-22"), &span), TIMES_OK);
	assert_int_equal(times_interval(STR("2026-11-22--2026-11-21"), &span), TIMES_BAD);
	assert_int_equal(times_interval(STR("2026-11-22--x"), &span), TIMES_BAD);
	assert_int_equal(times_interval(STR("x--2026-11-22"), &span), TIMES_NOT);
	assert_int_equal(times_interval(STR("2026-11-22"), &span), TIMES_NOT);
}

static void times_of_a_day_count_from_its_start(void **state)
{
	struct span span;
	assert_int_equal(times_of_day(STR("T14"), &span), TIMES_OK);
	assert_int_equal(span.from, 14 * NS_PER_HOUR);
	assert_int_equal(span.to, 15 * NS_PER_HOUR);
	assert_int_equal(times_of_day(STR("T140530"), &span), TIMES_OK);
	assert_int_equal(span.to - span.from, NS_PER_S);
	assert_int_equal(times_of_day(STR("T24"), &span), TIMES_BAD);
	assert_int_equal(times_of_day(STR("T"), &span), TIMES_NOT);
	assert_int_equal(times_of_day(STR("T1x"), &span), TIMES_NOT);
}

static void relative_times_have_a_number_and_a_unit(void **state)
{
	int64_t length;
	assert_int_equal(times_last(STR("last-15m"), &length), TIMES_OK);
	assert_int_equal(length, 15 * NS_PER_MIN);
	assert_int_equal(times_last(STR("last-2w"), &length), TIMES_OK);
	assert_int_equal(length, 14 * NS_PER_DAY);
	assert_int_equal(times_last(STR("last-0h"), &length), TIMES_BAD);
	assert_int_equal(times_last(STR("last-999999999w"), &length), TIMES_BAD);
	assert_int_equal(times_last(STR("last-99999999999999999999s"), &length), TIMES_BAD);
	assert_int_equal(times_last(STR("last-"), &length), TIMES_NOT);
	assert_int_equal(times_last(STR("last-h"), &length), TIMES_NOT);
	assert_int_equal(times_last(STR("last-15y"), &length), TIMES_NOT);
	assert_int_equal(times_last(STR("last-1.5h"), &length), TIMES_NOT);
}

static void relative_spans_are_rounded_outwards(void **state)
{
	struct span span;
	char name[SPAN_NAME_LEN];
	assert_true(times_last_span(DAY_22 + 14 * NS_PER_HOUR + 7 * NS_PER_S, 15 * NS_PER_MIN, &span));
	assert_string_equal(times_span_name(&span, name), "2026-11-22T134500--2026-11-22T140015");
	assert_true(times_last_span(DAY_22 + 14 * NS_PER_HOUR, 15 * NS_PER_MIN, &span));
	assert_string_equal(times_span_name(&span, name), "2026-11-22T134500--2026-11-22T140015");
	assert_false(times_last_span(-2 * NS_PER_DAY, INT64_MAX, &span));
	assert_false(times_last_span(INT64_MAX - 1, NS_PER_S, &span));
}

static void a_span_name_reads_back(void **state)
{
	struct span span = { DAY_22, DAY_22 + NS_PER_HOUR }, again;
	char name[SPAN_NAME_LEN];
	assert_int_equal(times_interval(str_of(times_span_name(&span, name)), &again), TIMES_OK);
	assert_int_equal(again.from, span.from);
	assert_int_equal(again.to, span.to);
}

static void common_spans_never_end_before_they_begin(void **state)
{
	struct span c = times_common((struct span){ 10, 20 }, (struct span){ 30, 40 });
	assert_int_equal(c.from, 30);
	assert_int_equal(c.to, 30);
	c = times_common((struct span){ TIME_MIN, TIME_MAX }, (struct span){ 5, 6 });
	assert_int_equal(c.from, 5);
	assert_int_equal(c.to, 6);
	int32_t day;
	assert_false(times_one_day(&(struct span){ TIME_MIN, TIME_MAX }, &day));
	assert_false(times_one_day(&(struct span){ 7, 7 }, &day));
	assert_true(times_one_day(&(struct span){ -1, 0 }, &day));
	assert_int_equal(day, -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absolute_times_name_their_whole_unit),
		cmocka_unit_test(what_is_no_time_is_told_from_one_out_of_range),
		cmocka_unit_test(the_last_year_ends_where_times_do),
		cmocka_unit_test(intervals_are_half_open),
		cmocka_unit_test(times_of_a_day_count_from_its_start),
		cmocka_unit_test(relative_times_have_a_number_and_a_unit),
		cmocka_unit_test(relative_spans_are_rounded_outwards),
		cmocka_unit_test(a_span_name_reads_back),
		cmocka_unit_test(common_spans_never_end_before_they_begin),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
