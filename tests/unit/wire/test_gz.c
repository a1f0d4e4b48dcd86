/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/wire/gz.h"

#define SLICE(literal) ((struct slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static struct gz *z;
static struct error err;

static int setup(void **state)
{
	return gz_new(&z);
}

static int teardown(void **state)
{
	gz_free(z);
	return 0;
}

static void fill(struct buf *b, size_t n)
{
	uint32_t x = 12345;
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		buf_u8(b, (uint8_t)(x >> 28));
	}
}

static void test_round_trip_of_all_sizes(void **state)
{
	static const size_t sizes[] = { 0, 1, 100, 65535, 65536, 3000000 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_buf_ struct buf in = BUF_INIT(8 << 20), packed = BUF_INIT(8 << 20), out = BUF_INIT(8 << 20);
		fill(&in, sizes[i]);
		assert_int_equal(gz_compress(buf_slice(&in), 6, &packed), 0);
		size_t used;
		assert_int_equal(gz_member(z, buf_slice(&packed), &out, &used, &err), 0);
		assert_int_equal(used, packed.len);
		assert_int_equal(out.len, in.len);
		assert_true(!in.len || !memcmp(out.data, in.data, in.len));
	}
}

static void test_equal_bytes_give_equal_bytes(void **state)
{
	_buf_ struct buf a = BUF_INIT(1 << 20), b = BUF_INIT(1 << 20);
	gz_compress(SLICE("some profile"), 6, &a);
	gz_compress(SLICE("some profile"), 6, &b);
	assert_int_equal(a.len, b.len);
	assert_memory_equal(a.data, b.data, a.len);
	static const uint8_t no_name_no_time[6] = { 0 };
	assert_memory_equal(a.data + 3, no_name_no_time, 5);
}

static void test_members_one_by_one(void **state)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	gz_compress(SLICE("first"), 6, &packed);
	size_t boundary = packed.len, used;
	gz_compress(SLICE("second, which is longer than the first"), 6, &packed);
	assert_int_equal(gz_member(z, buf_slice(&packed), &out, &used, &err), 0);
	assert_int_equal(used, boundary);
	assert_int_equal(out.len, 5);
	struct slice rest = { packed.data + used, packed.len - used };
	assert_int_equal(gz_member(z, rest, &out, &used, &err), 0);
	assert_int_equal(used, rest.len);
	assert_int_equal(out.len, 5 + 38);
	assert_memory_equal(out.data, "firstsecond", 11);
}

/* A header with everything an RFC 1952 header may have. */
static void test_header_with_all_optional_fields(void **state)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20), full = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	gz_compress(SLICE("contents"), 6, &packed);
	buf_put(&full, "\x1f\x8b\x08\x1e\x01\x02\x03\x04\x00\x03", 10);
	buf_put(&full, "\x03\x00xyz", 5);
	buf_put(&full, "name\0comment\0", 13);
	buf_put(&full, "\0\0", 2);
	size_t header = full.len, used;
	buf_put(&full, packed.data + 10, packed.len - 10);
	assert_int_equal(gz_member(z, buf_slice(&full), &out, &used, &err), 0);
	assert_int_equal(out.len, 8);
	for (size_t n = 0; n < header + 8; n++) {
		struct slice cut = { full.data, n };
		buf_reset(&out);
		assert_int_equal(gz_member(z, cut, &out, &used, &err), ERR_FORMAT_TRUNCATED);
	}
}

static void test_every_cut_is_refused(void **state)
{
	_buf_ struct buf in = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	fill(&in, 2000);
	gz_compress(buf_slice(&in), 6, &packed);
	for (size_t n = 0; n < packed.len; n++) {
		size_t used = 77;
		buf_reset(&out);
		assert_int_equal(gz_member(z, (struct slice){ packed.data, n }, &out, &used, &err), ERR_FORMAT_TRUNCATED);
		assert_int_equal(out.len, 0);
		assert_int_equal(used, 77);
	}
}

static void test_trailer_that_lies(void **state)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	gz_compress(SLICE("some contents"), 6, &packed);
	size_t used;
	packed.data[packed.len - 8] ^= 1;
	assert_int_equal(gz_member(z, buf_slice(&packed), &out, &used, &err), ERR_FORMAT_MALFORMED);
	assert_non_null(strstr(err.text, "checksum"));
	packed.data[packed.len - 8] ^= 1;
	memset(packed.data + packed.len - 4, 0xff, 4);
	assert_int_equal(gz_member(z, buf_slice(&packed), &out, &used, &err), ERR_FORMAT_MALFORMED);
	assert_non_null(strstr(err.text, "length"));
}

static void test_no_bit_flip_changes_the_contents(void **state)
{
	_buf_ struct buf in = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	fill(&in, 300);
	gz_compress(buf_slice(&in), 6, &packed);
	for (size_t bit = 0; bit < packed.len * 8; bit++) {
		if (bit / 8 >= 3 && bit / 8 < 10)
			continue; /* flags, time, system: may be anything */
		packed.data[bit / 8] ^= 1 << bit % 8;
		size_t used;
		buf_reset(&out);
		if (!gz_member(z, buf_slice(&packed), &out, &used, &err)) { /* a bit between the data and the checksum */
			assert_int_equal(out.len, in.len);
			assert_memory_equal(out.data, in.data, in.len);
		}
		packed.data[bit / 8] ^= 1 << bit % 8;
	}
}

static void test_wrong_header(void **state)
{
	_buf_ struct buf out = BUF_INIT(1 << 20);
	size_t used;
	assert_int_equal(gz_member(z, SLICE("PK\3\4 something"), &out, &used, &err), ERR_FORMAT_MALFORMED);
	assert_int_equal(gz_member(z, SLICE("\x1f\x8b\x07 method seven, no such"), &out, &used, &err),
	                 ERR_FORMAT_MALFORMED);
	assert_int_equal(gz_member(z, SLICE("\x1f\x8b\x08\xe0 reserved flags and more"), &out, &used, &err),
	                 ERR_FORMAT_MALFORMED);
}

static void test_limit_holds_to_the_byte(void **state)
{
	_buf_ struct buf in = BUF_INIT(4 << 20), packed = BUF_INIT(4 << 20);
	memset(buf_reserve(&in, 2 << 20), 0, 2 << 20);
	in.len = 2 << 20;
	gz_compress(buf_slice(&in), 9, &packed);
	size_t used;
	_buf_ struct buf less = BUF_INIT((2 << 20) - 1);
	assert_int_equal(gz_member(z, buf_slice(&packed), &less, &used, &err), ERR_FORMAT_LIMIT);
	_buf_ struct buf exact = BUF_INIT(2 << 20);
	assert_int_equal(gz_member(z, buf_slice(&packed), &exact, &used, &err), 0);
	assert_int_equal(exact.len, 2 << 20);
	buf_reset(&exact);
	buf_putc(&exact, 'x');
	assert_int_equal(gz_member(z, buf_slice(&packed), &exact, &used, &err), ERR_FORMAT_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip_of_all_sizes),
		cmocka_unit_test(test_equal_bytes_give_equal_bytes),
		cmocka_unit_test(test_members_one_by_one),
		cmocka_unit_test(test_header_with_all_optional_fields),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_trailer_that_lies),
		cmocka_unit_test(test_no_bit_flip_changes_the_contents),
		cmocka_unit_test(test_wrong_header),
		cmocka_unit_test(test_limit_holds_to_the_byte),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
