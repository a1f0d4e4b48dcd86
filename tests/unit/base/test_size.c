/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/base/macros.h"
#include "../../../core/base/size.h"

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} v[] = {
		{ "0", 0 },
		{ "1000", 1000 },
		{ "1k", 1024 },
		{ "64M", UINT64_C(64) << 20 },
		{ "64MiB", UINT64_C(64) << 20 },
		{ "2GB", UINT64_C(2) << 30 },
		{ "3t", UINT64_C(3) << 40 },
		{ "9223372036854775807", INT64_MAX },
	};
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		uint64_t n = 7;
		assert_true(size_parse(v[i].text, &n));
		assert_int_equal(n, v[i].bytes);
	}
}

static void what_is_no_size_sets_nothing(void **state)
{
	static const char *const v[] = { "", "M", "-1", "+1", " 1", "1 ", "1.5G", "1MM", "1x", "1iB", "0x10",
		                         "9223372036854775808", "8388608T", "99999999999999999999" };
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		uint64_t n = 7;
		if (size_parse(v[i], &n))
			fail_msg("\"%s\" was taken", v[i]);
		assert_int_equal(n, 7);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_are_powers_of_1024),
		cmocka_unit_test(what_is_no_size_sets_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
