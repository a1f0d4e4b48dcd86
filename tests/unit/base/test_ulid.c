/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/ulid.h"

static void assert_ulid(int64_t ms, const char *random, const char *expected)
{
	char out[ULID_LEN + 1];
	struct ulid u = ulid_make(ms * NS_PER_MS, (const uint8_t *)random), back;
	assert_string_equal(ulid_format(&u, out), expected);
	assert_true(ulid_parse(expected, ULID_LEN, &back));
	assert_memory_equal(&u, &back, sizeof u);
	assert_int_equal(ulid_ms(&u), ms);
}

static void test_known_values(void **state)
{
	assert_ulid(0, "\0\0\0\0\0\0\0\0\0\0", "00000000000000000000000000");
	assert_ulid(0, "\0\0\0\0\0\0\0\0\0\1", "00000000000000000000000001");
	/* The specification's example time, 1469918176385. */
	assert_ulid(1469918176385, "\0\0\0\0\0\0\0\0\0\0", "01ARYZ6S410000000000000000");
	/* Computed with whole-number arithmetic in another language. */
	assert_ulid(1484581420610, "\x4d\x4b\x61\x6c\x5a\x66\x27\x02\x28\x0a", "01B6KZ5FJ29N5P2V2TCRKG4A0A");
}

static void test_greatest(void **state)
{
	struct ulid u, max;
	memset(&max, 0xff, sizeof max);
	assert_true(ulid_parse("7ZZZZZZZZZZZZZZZZZZZZZZZZZ", 26, &u));
	assert_memory_equal(&u, &max, sizeof u);
	char out[ULID_LEN + 1];
	assert_string_equal(ulid_format(&max, out), "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARYZ6S41000000000000000",
		"01ARYZ6S4100000000000000000", "01ARYZ6S41000000000000000I", "01ARYZ6S41000000000000000L",
		"01ARYZ6S41000000000000000O", "01ARYZ6S41000000000000000U", "01ARYZ6S41 000000000000000",
		"01ARYZ6S41-000000000000000", "01ARYZ6S41\303\25100000000000000",
	};
	struct ulid u;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(ulid_parse(bad[i], strlen(bad[i]), &u));
	assert_false(ulid_parse("01ARYZ6S41\0" "00000000000000", 26, &u));
}

static void test_case_does_not_matter(void **state)
{
	struct ulid a, b;
	assert_true(ulid_parse("01BX5ZZKBKACTAV9WEVGEMMVRY", 26, &a));
	assert_true(ulid_parse("01bx5zzkbkactav9wevgemmvry", 26, &b));
	assert_memory_equal(&a, &b, sizeof a);
}

static void test_order_is_that_of_time(void **state)
{
	char last[ULID_LEN + 1] = "", out[ULID_LEN + 1];
	for (int64_t ms = 1; ms < (int64_t)1 << 43; ms = ms * 2 + 1) {
		struct ulid u = ulid_make(ms * NS_PER_MS, (const uint8_t *)"\xff\0\xff\0\xff\0\xff\0\xff\0");
		assert_true(strcmp(last, ulid_format(&u, out)) < 0);
		memcpy(last, out, sizeof last);
	}
}

static void test_times_before_1970(void **state)
{
	struct ulid u = ulid_make(-1, (const uint8_t *)"0123456789");
	assert_true(ulid_ms(&u) == ((uint64_t)1 << 48) - 1);
	u = ulid_make(INT64_MIN, (const uint8_t *)"0123456789");
	assert_true(ulid_ms(&u) == ((uint64_t)time_floor_div(INT64_MIN, NS_PER_MS) & (((uint64_t)1 << 48) - 1)));
}

static void test_new_ones_differ(void **state)
{
	struct ulid a, b;
	uint64_t now = (uint64_t)(clock_now() / NS_PER_MS);
	assert_int_equal(ulid_new(&a), 0);
	assert_int_equal(ulid_new(&b), 0);
	assert_memory_not_equal(&a, &b, sizeof a);
	assert_in_range(ulid_ms(&a), now, now + 10000);
}

static void test_random_round_trips(void **state)
{
	for (int i = 0; i < 1000; i++) {
		struct ulid a, b;
		char out[ULID_LEN + 1];
		assert_int_equal(ulid_new(&a), 0);
		assert_true(ulid_parse(ulid_format(&a, out), ULID_LEN, &b));
		assert_memory_equal(&a, &b, sizeof a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_values),
		cmocka_unit_test(test_greatest),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_case_does_not_matter),
		cmocka_unit_test(test_order_is_that_of_time),
		cmocka_unit_test(test_times_before_1970),
		cmocka_unit_test(test_new_ones_differ),
		cmocka_unit_test(test_random_round_trips),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
