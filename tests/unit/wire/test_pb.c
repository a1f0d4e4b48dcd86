/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/wire/pb.h"

#define CURSOR(literal) cursor_of((struct slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static void test_all_wire_types(void **state)
{
	struct cursor c = CURSOR("\x08\x96\x01" "\x12\x03" "abc" "\x19\1\2\3\4\5\6\7\x08" "\x25\1\2\3\4");
	struct pb_field f = { 0 };
	assert_true(pb_next(&c, &f));
	assert_int_equal(f.number, 1);
	assert_int_equal(f.wire, PB_VARINT);
	assert_int_equal(f.value, 150);
	assert_true(pb_next(&c, &f));
	assert_int_equal(f.number, 2);
	assert_int_equal(f.wire, PB_LEN);
	assert_int_equal(f.bytes.len, 3);
	assert_memory_equal(f.bytes.data, "abc", 3);
	assert_true(pb_next(&c, &f));
	assert_int_equal(f.number, 3);
	assert_true(f.value == UINT64_C(0x0807060504030201));
	assert_true(pb_next(&c, &f));
	assert_int_equal(f.number, 4);
	assert_int_equal(f.value, 0x04030201);
	assert_false(pb_next(&c, &f));
	assert_false(c.bad);
}

static void test_damage_sticks(void **state)
{
	static const struct { const char *bytes; size_t len; } cases[] = {
		{ "\x08", 1 }, { "\x08\x80", 2 }, { "\x0a\x05" "abc", 5 }, { "\x0d\1\2", 3 }, { "\x09\1", 2 },
		{ "\x0b", 1 }, { "\x0c", 1 }, { "\x0e\1", 2 }, { "\x0f\1", 2 },
		{ "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12 },
		{ "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },
		{ "\xf8\xff\xff\xff\xff\x7f\x01", 7 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct cursor c = cursor_of((struct slice){ (const uint8_t *)cases[i].bytes, cases[i].len });
		struct pb_field f = { 0 };
		assert_false(pb_next(&c, &f));
		assert_true(c.bad);
		assert_false(pb_next(&c, &f));
	}
}

static void test_what_is_written_is_read(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 16), inner = BUF_INIT(1 << 16);
	pb_put_varint(&inner, 1, UINT64_MAX);
	pb_put_varint(&b, 536870911, 7);
	pb_put_bytes(&b, 2, "xyz", 3);
	pb_put_buf(&b, 3, &inner);
	struct cursor c = cursor_of(buf_slice(&b));
	struct pb_field f = { 0 };
	assert_true(pb_next(&c, &f));
	assert_int_equal(f.number, 536870911);
	assert_int_equal(f.value, 7);
	assert_true(pb_next(&c, &f));
	assert_int_equal(f.bytes.len, 3);
	assert_true(pb_next(&c, &f));
	struct cursor message = cursor_of(f.bytes);
	assert_true(pb_next(&message, &f));
	assert_true(f.value == UINT64_MAX);
	assert_false(pb_next(&c, &f));
	assert_false(c.bad);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_wire_types),
		cmocka_unit_test(test_damage_sticks),
		cmocka_unit_test(test_what_is_written_is_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
