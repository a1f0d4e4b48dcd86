/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"

static void test_clocks_run(void **state)
{
	int64_t now = clock_now(), mono = clock_monotonic(), cpu = clock_process_cpu();
	assert_true(now / NS_PER_S - time(NULL) <= 1 && time(NULL) - now / NS_PER_S <= 1);
	assert_true(clock_monotonic() >= mono);
	assert_true(clock_process_cpu() >= cpu);
	assert_true(clock_thread_cpu() <= clock_process_cpu() + NS_PER_MS);
}

static void test_floor_of_negative_times(void **state)
{
	assert_int_equal(time_floor_div(-1, 10), -1);
	assert_int_equal(time_floor_div(-10, 10), -1);
	assert_int_equal(time_floor_div(-11, 10), -2);
	assert_int_equal(time_floor_div(9, 10), 0);
	assert_true(time_floor(-1, NS_PER_S) == -NS_PER_S);
	assert_int_equal(time_day(-1), -1);
	assert_int_equal(time_day(0), 0);
	assert_int_equal(time_day(NS_PER_DAY), 1);
	assert_int_equal(time_day(INT64_MIN), -106752);
	assert_int_equal(time_day(INT64_MAX), 106751);
}

/* Each day from the first whole one to the last, against a count by hand. */
static void test_every_day_there_is(void **state)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int year = 1678, month = 1, day = 1;
	for (int32_t d = civil_day(1678, 1, 1); year < 2262; d++) {
		bool leap = year % 4 == 0 && (year % 100 || year % 400 == 0);
		struct civil c = civil_of(d * NS_PER_DAY + (d & 1 ? 0 : NS_PER_DAY - 1));
		char text[DAY_LEN];
		int32_t back;
		if (c.year != year || c.month != month || c.day != day || civil_day(year, month, day) != d ||
		    !day_parse(day_format(d, text), 10, &back) || back != d)
			fail_msg("day %d is %04d-%02d-%02d, not %04d-%02d-%02d", d, c.year, c.month, c.day, year, month,
			         day);
		if (++day > days[month - 1] + (month == 2 && leap)) {
			day = 1;
			month = month % 12 + 1;
			year += month == 1;
		}
	}
}

static void test_known_dates(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} known[] = {
		{ 0, "1970-01-01T00:00:00Z" },           { -1, "1969-12-31T23:59:59Z" },
		{ 951782400, "2000-02-29T00:00:00Z" },   { 1234567890, "2009-02-13T23:31:30Z" },
		{ 2147483648, "2038-01-19T03:14:08Z" },  { 4107542400, "2100-03-01T00:00:00Z" },
		{ 1732284330, "2024-11-22T14:05:30Z" },  { -2203891200, "1900-03-01T00:00:00Z" },
		{ -9223372036, "1677-09-21T00:12:44Z" }, { 9223372036, "2262-04-11T23:47:16Z" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		char text[TIME_LEN];
		int64_t t;
		assert_string_equal(time_format_rfc3339(known[i].seconds * NS_PER_S, text), known[i].text);
		assert_true(time_parse(known[i].text, &t));
		assert_true(t == known[i].seconds * NS_PER_S);
	}
}

static void test_civil_agrees_with_the_library(void **state)
{
	uint64_t seed = 42;
	for (int i = 0; i < 100000; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		int64_t t = (int64_t)(seed ^ seed >> 29), back;
		struct civil c = civil_of(t);
		time_t s = time_floor_div(t, NS_PER_S);
		struct tm tm;
		gmtime_r(&s, &tm);
		assert_int_equal(c.year, tm.tm_year + 1900);
		assert_int_equal(c.month, tm.tm_mon + 1);
		assert_int_equal(c.day, tm.tm_mday);
		assert_int_equal(c.hour, tm.tm_hour);
		assert_int_equal(c.minute, tm.tm_min);
		assert_int_equal(c.second, tm.tm_sec);
		assert_true(civil_to(&c, &back));
		assert_true(back == t);
	}
}

static void test_ends_of_time(void **state)
{
	char text[TIME_LEN];
	int64_t t;
	assert_string_equal(time_format_rfc3339(INT64_MAX, text), "2262-04-11T23:47:16.854775807Z");
	assert_true(time_parse(text, &t));
	assert_true(t == INT64_MAX);
	assert_string_equal(time_format_rfc3339(INT64_MIN, text), "1677-09-21T00:12:43.145224192Z");
	assert_true(time_parse(text, &t));
	assert_true(t == INT64_MIN);
	assert_false(time_parse("2262-04-11T23:47:16.854775808Z", &t));
	assert_false(time_parse("1677-09-21T00:12:43.145224191Z", &t));
	assert_false(time_parse("2262-04-11T23:47:16-00:01", &t));
}

static void test_fields_out_of_range(void **state)
{
	static const struct civil bad[] = {
		{ 2026, 0, 1 },
		{ 2026, 13, 1 },
		{ 2026, 4, 31 },
		{ 2026, 2, 29 },
		{ 2100, 2, 29 },
		{ 2026, 1, 0 },
		{ 2026, 1, 1, -1 },
		{ 2026, 1, 1, 24 },
		{ 2026, 1, 1, 0, 60 },
		{ 2026, 1, 1, 23, 59, 60 },
		{ 2026, 1, 1, 0, 0, 0, -1 },
		{ 2026, 1, 1, 0, 0, 0, 1000000000 },
		{ 1677, 1, 1 },
		{ 2263, 1, 1 },
		{ 99999, 1, 1 },
		{ -1, 1, 1 },
	};
	int64_t t = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(civil_to(&bad[i], &t));
	assert_int_equal(t, 7);
	assert_true(civil_to(&(struct civil){ 2024, 2, 29, 23, 59, 59, 999999999 }, &t));
}

static void test_days_as_text(void **state)
{
	static const char *const bad[] = { "2026-11-2",  "2026-11-222", "2026-13-01", "2026-02-29",
		                           "2026/11/22", "+026-11-22",  "2026-11- 2", " 2026-11-2",
		                           "0000-01-01", "" };
	int32_t d = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(day_parse(bad[i], strlen(bad[i]), &d));
	assert_int_equal(d, 7);
	assert_true(day_parse("1970-01-02 and more", 10, &d));
	assert_int_equal(d, 1);
}

static void test_formats(void **state)
{
	char text[TIME_LEN];
	int64_t t = 1795356330 * NS_PER_S;
	assert_string_equal(time_format_compact(t, text), "2026-11-22T140530");
	assert_string_equal(time_format_compact(t + 250000000, text), "2026-11-22T140530.25");
	assert_string_equal(time_format_compact(t + 1, text), "2026-11-22T140530.000000001");
	assert_string_equal(time_format_rfc3339(t + 250000000, text), "2026-11-22T14:05:30.25Z");
	assert_string_equal(time_format_rfc3339(-1, text), "1969-12-31T23:59:59.999999999Z");
}

static void assert_time(const char *s, int64_t expected)
{
	int64_t t = 0;
	if (!time_parse(s, &t) || t != expected)
		fail_msg("%s: %lld, not %lld", s, (long long)t, (long long)expected);
}

static void test_parse_rfc3339(void **state)
{
	int64_t t = 1795356330 * NS_PER_S;
	assert_time("2026-11-22T14:05:30Z", t);
	assert_time("2026-11-22t14:05:30z", t);
	assert_time("2026-11-22 14:05:30Z", t);
	assert_time("2026-11-22T15:05:30+01:00", t);
	assert_time("2026-11-22T08:35:30-05:30", t);
	assert_time("2026-11-22T14:05:30.5Z", t + 500000000);
	assert_time("2026-11-22T14:05:30.123456789Z", t + 123456789);
	assert_time("2026-11-22T14:05:30.1234567899Z", t + 123456789);
}

static void test_parse_epoch_by_magnitude(void **state)
{
	assert_time("0", 0);
	assert_time("1732284330", 1732284330 * NS_PER_S);
	assert_time("1732284330.25", 1732284330 * NS_PER_S + 250000000);
	assert_time("1732284330250", 1732284330250 * NS_PER_MS);
	assert_time("1732284330250000", 1732284330250 * NS_PER_MS);
	assert_time("1732284330250000001", 1732284330250000001);
	assert_time("-1", -NS_PER_S);
	assert_time("-1.5", -NS_PER_S * 3 / 2);
	assert_time("9223372036854775807", INT64_MAX);
	assert_time("-9223372036854775808", INT64_MIN);
}

static void test_parse_refuses(void **state)
{
	static const char *const bad[] = {
		"", "-", "now", "1e9", " 1", "1 ", "1.", ".5", "+1", "0x10", "9223372036854775808",
		"99999999999999999999", "18446744073709551617", "1732284330250.5", "2026-11-22", "2026-11-22T14:05",
		"2026-11-22T14:05:30", "2026-11-22T14:05:30+1:00", "2026-11-22T14:05:30+24:00",
		"2026-11-22T14:05:30.Z", "2026-11-22T14:05:60Z", "2026-11-22T14:05:30Zx", "2026-11-31T14:05:30Z",
		"2026-11-22T24:00:00Z", "10000000000.", "50000000000",
	};
	int64_t t = 7;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (time_parse(bad[i], &t))
			fail_msg("%s was taken for %lld", bad[i], (long long)t);
	assert_int_equal(t, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clocks_run),
		cmocka_unit_test(test_floor_of_negative_times),
		cmocka_unit_test(test_every_day_there_is),
		cmocka_unit_test(test_known_dates),
		cmocka_unit_test(test_civil_agrees_with_the_library),
		cmocka_unit_test(test_ends_of_time),
		cmocka_unit_test(test_fields_out_of_range),
		cmocka_unit_test(test_days_as_text),
		cmocka_unit_test(test_formats),
		cmocka_unit_test(test_parse_rfc3339),
		cmocka_unit_test(test_parse_epoch_by_magnitude),
		cmocka_unit_test(test_parse_refuses),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
