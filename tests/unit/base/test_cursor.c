/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/cursor.h"

static struct cursor over(const char *bytes, size_t n)
{
	return cursor_of((struct slice){ (const uint8_t *)bytes, n });
}

static void test_what_was_written_is_read(void **state)
{
	_buf_ struct buf b = BUF_INIT(1000);
	buf_u8(&b, 200);
	buf_u32(&b, 0xdeadbeef);
	buf_u64(&b, 0x0123456789abcdef);
	buf_varint(&b, 300);
	buf_svarint(&b, -300);
	buf_str(&b, (struct str){ "name", 4 });
	buf_str(&b, (struct str){ NULL, 0 });
	struct cursor c = cursor_of(buf_slice(&b));
	assert_int_equal(cursor_u8(&c), 200);
	assert_int_equal(cursor_u32(&c), 0xdeadbeef);
	assert_true(cursor_u64(&c) == 0x0123456789abcdef);
	assert_int_equal(cursor_varint(&c), 300);
	assert_true(cursor_svarint(&c) == -300);
	struct str s = cursor_str(&c);
	assert_int_equal(s.len, 4);
	assert_memory_equal(s.s, "name", 4);
	assert_int_equal(cursor_slice(&c).len, 0);
	assert_int_equal(cursor_left(&c), 0);
	assert_false(c.bad);
}

static void test_varints_of_every_length(void **state)
{
	for (int bit = 0; bit < 64; bit++)
		for (int d = -1; d <= 1; d++) {
			_buf_ struct buf b = BUF_INIT(20);
			uint64_t v = (1ull << bit) + (uint64_t)d;
			buf_varint(&b, v);
			struct cursor c = cursor_of(buf_slice(&b));
			assert_true(cursor_varint(&c) == v);
			assert_false(c.bad);
			assert_int_equal(cursor_left(&c), 0);
			for (size_t cut = 0; cut < b.len; cut++) {
				c = over((char *)b.data, cut);
				assert_int_equal(cursor_varint(&c), 0);
				assert_true(c.bad);
			}
		}
}

static void test_foreign_varints(void **state)
{
	struct cursor c = over("\x80\x80\x00", 3);
	assert_int_equal(cursor_varint(&c), 0);
	assert_false(c.bad);
	c = over("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 10);
	assert_true(cursor_varint(&c) == UINT64_MAX);
	assert_false(c.bad);
	c = over("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11);
	assert_int_equal(cursor_varint(&c), 0);
	assert_true(c.bad);
}

static void test_badness_sticks(void **state)
{
	struct cursor c = over("abc", 3);
	assert_int_equal(cursor_u32(&c), 0);
	assert_true(c.bad);
	assert_int_equal(cursor_u8(&c), 0);
	assert_null(cursor_bytes(&c, 1));
	assert_int_equal(cursor_u64(&c), 0);
	assert_int_equal(cursor_left(&c), 0);
}

static void test_lengths_beyond_the_end(void **state)
{
	struct cursor c = over("\x04" "abc", 4);
	assert_int_equal(cursor_slice(&c).len, 0);
	assert_true(c.bad);
	c = over("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", 11);
	assert_int_equal(cursor_slice(&c).len, 0);
	assert_true(c.bad);
	c = over("\x05", 1);
	assert_int_equal(cursor_varint_max(&c, 4), 0);
	assert_true(c.bad);
	c = over("\x05", 1);
	assert_int_equal(cursor_varint_max(&c, 5), 5);
}

static void test_empty_input(void **state)
{
	struct cursor c = cursor_of((struct slice){ NULL, 0 });
	assert_int_equal(cursor_left(&c), 0);
	assert_int_equal(cursor_u8(&c), 0);
	assert_true(c.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_varints_of_every_length),
		cmocka_unit_test(test_foreign_varints),
		cmocka_unit_test(test_badness_sticks),
		cmocka_unit_test(test_lengths_beyond_the_end),
		cmocka_unit_test(test_empty_input),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
