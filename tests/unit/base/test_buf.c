/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/buf.h"

static void assert_buf(const struct buf *b, const char *expected)
{
	assert_int_equal(b->len, strlen(expected));
	assert_memory_equal(b->data, expected, b->len);
}

static void test_appends(void **state)
{
	_buf_ struct buf b = BUF_INIT(1000);
	buf_puts(&b, "ab");
	buf_putc(&b, 'c');
	buf_put(&b, "defg", 3);
	buf_put(&b, NULL, 0);
	buf_printf(&b, "%d-%s", 42, "x");
	assert_buf(&b, "abcdef42-x");
	assert_int_equal(buf_err(&b), 0);
	assert_int_equal(buf_slice(&b).len, 10);
}

static void test_long_printf(void **state)
{
	_buf_ struct buf b = BUF_INIT(2001);
	buf_printf(&b, "%02000d", 7);
	assert_int_equal(b.len, 2000);
	assert_int_equal(b.data[1999], '7');
}

static void test_limit_sticks(void **state)
{
	_buf_ struct buf b = BUF_INIT(10);
	buf_puts(&b, "0123456789");
	assert_int_equal(buf_err(&b), 0);
	buf_puts(&b, "x");
	assert_int_equal(buf_err(&b), ERR_LIMIT_BUFFER);
	buf_put(&b, "", 0);
	assert_null(buf_reserve(&b, 0));
	assert_buf(&b, "0123456789");
	buf_reset(&b);
	buf_puts(&b, "again");
	assert_buf(&b, "again");
	assert_null(buf_reserve(&b, SIZE_MAX));
	assert_int_equal(buf_err(&b), ERR_LIMIT_BUFFER);
}

static void test_limit_of_nothing(void **state)
{
	_buf_ struct buf b = BUF_INIT(0);
	buf_put(&b, "", 0);
	assert_int_equal(buf_err(&b), 0);
	buf_u8(&b, 1);
	assert_int_equal(buf_err(&b), ERR_LIMIT_BUFFER);
	assert_int_equal(b.len, 0);
}

static void test_numbers_are_little_endian(void **state)
{
	_buf_ struct buf b = BUF_INIT(100);
	buf_u32(&b, 0x04030201);
	buf_u64(&b, 0x0c0b0a0908070605);
	assert_buf(&b, "\1\2\3\4\5\6\7\10\11\12\13\14");
}

static void test_decimals(void **state)
{
	static const int64_t values[] = { 0, 1, -1, 9, 10, -10, 1234567890, INT64_MAX, INT64_MIN };
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		_buf_ struct buf b = BUF_INIT(100);
		char expected[32];
		snprintf(expected, sizeof expected, "%lld", (long long)values[i]);
		buf_i64(&b, values[i]);
		assert_buf(&b, expected);
	}
}

static void test_take_empties(void **state)
{
	struct buf b = BUF_INIT(100);
	size_t n = 7;
	assert_null(buf_take(&b, &n));
	assert_int_equal(n, 0);
	buf_puts(&b, "mine");
	_free_ uint8_t *data = buf_take(&b, &n);
	assert_int_equal(n, 4);
	assert_memory_equal(data, "mine", 4);
	assert_int_equal(b.len, 0);
	buf_puts(&b, "new");
	assert_buf(&b, "new");
	buf_done(&b);
	buf_done(&b);
}

static void test_zigzag(void **state)
{
	static const int64_t values[] = { 0, -1, 1, -2, INT64_MAX, INT64_MIN };
	static const uint64_t coded[] = { 0, 1, 2, 3, UINT64_MAX - 1, UINT64_MAX };
	for (size_t i = 0; i < ARRAY_SIZE(values); i++) {
		assert_true(zigzag(values[i]) == coded[i]);
		assert_true(unzigzag(coded[i]) == values[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_long_printf),
		cmocka_unit_test(test_limit_sticks),
		cmocka_unit_test(test_limit_of_nothing),
		cmocka_unit_test(test_numbers_are_little_endian),
		cmocka_unit_test(test_decimals),
		cmocka_unit_test(test_take_empties),
		cmocka_unit_test(test_zigzag),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
