/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/profile/types.h"

static const char *text(struct buf *b)
{
	buf_u8(b, 0);
	return (const char *)b->data;
}

static void test_classes(void **state)
{
	assert_int_equal(type_class_of(STR("cpu")), TYPE_EVENT);
	assert_int_equal(type_class_of(STR("samples")), TYPE_EVENT);
	assert_int_equal(type_class_of(STR("anything")), TYPE_EVENT);
	assert_int_equal(type_class_of(STR("alloc_space")), TYPE_RUNNING);
	assert_int_equal(type_class_of(STR("alloc_objects")), TYPE_RUNNING);
	assert_int_equal(type_class_of(STR("delay")), TYPE_RUNNING);
	assert_int_equal(type_class_of(STR("contentions")), TYPE_RUNNING);
	assert_int_equal(type_class_of(STR("inuse_space")), TYPE_INSTANT);
	assert_int_equal(type_class_of(STR("goroutine")), TYPE_INSTANT);
	assert_int_equal(type_class_of(STR("threadcreate")), TYPE_INSTANT);
	assert_int_equal(type_class_of(STR("delayed")), TYPE_EVENT);
}

static void assert_unit(const char *name, enum unit_dim dim, int64_t scale)
{
	struct unit u = unit_of(str_of(name));
	assert_int_equal(u.dim, dim);
	assert_int_equal(u.scale, scale);
}

static void test_units(void **state)
{
	assert_unit("nanoseconds", UNIT_TIME, 1);
	assert_unit("ns", UNIT_TIME, 1);
	assert_unit("us", UNIT_TIME, 1000);
	assert_unit("\u03bcs", UNIT_TIME, 1000);
	assert_unit("\u00b5s", UNIT_TIME, 1000);
	assert_unit("Microsecond", UNIT_TIME, 1000);
	assert_unit("MS", UNIT_TIME, 1000000);
	assert_unit("s", UNIT_TIME, 1000000000);
	assert_unit("seconds", UNIT_TIME, 1000000000);
	assert_unit("min", UNIT_TIME, 60000000000);
	assert_unit("minutes", UNIT_TIME, 60000000000);
	assert_unit("hours", UNIT_TIME, 3600000000000);
	assert_unit("bytes", UNIT_BYTES, 1);
	assert_unit("B", UNIT_BYTES, 1);
	assert_unit("kB", UNIT_BYTES, 1024);
	assert_unit("KiB", UNIT_BYTES, 1024);
	assert_unit("MB", UNIT_BYTES, 1 << 20);
	assert_unit("Gigabytes", UNIT_BYTES, 1 << 30);
	assert_unit("count", UNIT_COUNT, 1);
	assert_unit("counts", UNIT_COUNT, 1);
	assert_unit("", UNIT_OTHER, 1);
	assert_unit("cycles", UNIT_OTHER, 1);
	assert_unit("a unit of a very long name indeed", UNIT_OTHER, 1);
	assert_string_equal(unit_of(STR("ms")).canonical, "nanoseconds");
	assert_null(unit_of(STR("cycles")).canonical);
}

static void assert_name(const char *type, const char *unit, const char *kind, const char *expected)
{
	_buf_ struct buf b = BUF_INIT(1 << 12);
	type_name(&b, str_of(type), str_of(unit), str_of(kind));
	assert_string_equal(text(&b), expected);
}

static void test_names(void **state)
{
	assert_name("cpu", "nanoseconds", "", "cpu");
	assert_name("cpu", "ms", "", "cpu");
	assert_name("cpu", "nanoseconds", "process_cpu", "cpu");
	assert_name("samples", "count", "", "samples");
	assert_name("samples", "nanoseconds", "", "samples.nanoseconds");
	assert_name("samples", "ms", "", "samples.nanoseconds");
	assert_name("samples", "", "", "samples");
	assert_name("cpu", "cycles", "", "cpu.cycles");
	assert_name("delay", "nanoseconds", "mutex", "mutex.delay");
	assert_name("contentions", "count", "block", "block.contentions");
	assert_name("contentions", "count", "", "contentions");
	assert_name("inuse_space", "bytes", "heap", "inuse_space");
	assert_name("instructions", "count", "", "instructions");
	assert_name("", "count", "", "untyped");
}

static void assert_value(int64_t v, const char *unit, const char *expected)
{
	_buf_ struct buf b = BUF_INIT(1 << 12);
	value_format(&b, v, str_of(unit));
	assert_string_equal(text(&b), expected);
}

/* What google/pprof prints for the same values. */
static void test_values(void **state)
{
	assert_value(0, "nanoseconds", "0");
	assert_value(1, "nanoseconds", "1ns");
	assert_value(999, "nanoseconds", "999ns");
	assert_value(1500, "nanoseconds", "1.50us");
	assert_value(10000000, "nanoseconds", "10ms");
	assert_value(1200000000, "nanoseconds", "1.20s");
	assert_value(-1200000000, "nanoseconds", "-1.20s");
	assert_value(3600000000000, "nanoseconds", "1hrs");
	assert_value(1234567, "nanoseconds", "1.23ms");
	assert_value(512 << 10, "bytes", "512kB");
	assert_value(3670016, "bytes", "3.50MB");
	assert_value(1023, "bytes", "1023B");
	assert_value((int64_t)5 << 40, "bytes", "5TB");
	assert_value(42, "count", "42");
	assert_value(-42, "cycles", "-42");
	assert_value(INT64_MIN, "count", "-9223372036854775808");
	assert_value(INT64_MIN, "nanoseconds", "-2562047.79hrs");
}

static void assert_share(int64_t v, int64_t total, const char *expected)
{
	_buf_ struct buf b = BUF_INIT(1 << 12);
	share_format(&b, v, total);
	assert_string_equal(text(&b), expected);
}

static void test_shares(void **state)
{
	assert_share(1234, 10000, "12.34%");
	assert_share(7, 7, "100%");
	assert_share(99999, 100000, "100%");
	assert_share(1, 200, "0.5%");
	assert_share(1, 3000, "0.033%");
	assert_share(0, 5, "0%");
	assert_share(3, 0, "0%");
	assert_share(-1, 4, "25.00%");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_classes), cmocka_unit_test(test_units), cmocka_unit_test(test_names),
		cmocka_unit_test(test_values),  cmocka_unit_test(test_shares),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
