/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>

#include "core/wire/zst.h"

#define SLICE(literal) ((struct slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static struct error err;

static void fill(struct buf *b, size_t n)
{
	uint32_t x = 12345;
	for (size_t i = 0; i < n; i++) {
		x = x * 1664525 + 1013904223;
		buf_u8(b, (uint8_t)(x >> 28));
	}
}

static void test_round_trip(void **state)
{
	static const size_t sizes[] = { 0, 1, 1000, 1000000 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_buf_ struct buf in = BUF_INIT(8 << 20), packed = BUF_INIT(8 << 20), all = BUF_INIT(8 << 20);
		fill(&in, sizes[i]);
		assert_int_equal(zst_compress(buf_slice(&in), 3, &packed), 0);
		assert_true(zst_magic(buf_slice(&packed)));
		_free_ uint8_t *out = malloc(sizes[i] + 1);
		assert_int_equal(zst_decompress(buf_slice(&packed), out, sizes[i]), 0);
		assert_true(!sizes[i] || !memcmp(out, in.data, sizes[i]));
		assert_int_equal(zst_decompress_all(buf_slice(&packed), &all, &err), 0);
		assert_int_equal(all.len, sizes[i]);
		assert_true(!sizes[i] || !memcmp(all.data, in.data, sizes[i]));
	}
}

static void test_length_must_be_right(void **state)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20);
	uint8_t out[64];
	zst_compress(SLICE("twelve bytes"), 3, &packed);
	assert_int_equal(zst_decompress(buf_slice(&packed), out, 11), ERR_CORRUPT_LAYOUT);
	assert_int_equal(zst_decompress(buf_slice(&packed), out, 13), ERR_CORRUPT_LAYOUT);
	assert_int_equal(zst_decompress((struct slice){ packed.data, packed.len - 1 }, out, 12), ERR_CORRUPT_LAYOUT);
	assert_int_equal(zst_decompress(SLICE(""), out, 0), ERR_CORRUPT_LAYOUT);
	buf_putc(&packed, 0);
	assert_int_equal(zst_decompress(buf_slice(&packed), out, 12), ERR_CORRUPT_LAYOUT);
}

static void test_frames_are_joined(void **state)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	zst_compress(SLICE("one "), 3, &packed);
	zst_compress(SLICE(""), 3, &packed);
	zst_compress(SLICE("two"), 3, &packed);
	assert_int_equal(zst_decompress_all(buf_slice(&packed), &out, &err), 0);
	assert_int_equal(out.len, 7);
	assert_memory_equal(out.data, "one two", 7);
}

static void test_every_cut_is_refused(void **state)
{
	_buf_ struct buf in = BUF_INIT(1 << 20), packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	fill(&in, 3000);
	zst_compress(buf_slice(&in), 3, &packed);
	for (size_t n = 1; n < packed.len; n++) {
		buf_reset(&out);
		assert_int_equal(zst_decompress_all((struct slice){ packed.data, n }, &out, &err), ERR_FORMAT_TRUNCATED);
	}
}

static void test_damage_and_what_follows(void **state)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20), out = BUF_INIT(1 << 20);
	zst_compress(SLICE("some contents"), 3, &packed);
	buf_puts(&packed, "garbage");
	assert_int_equal(zst_decompress_all(buf_slice(&packed), &out, &err), ERR_FORMAT_MALFORMED);
	assert_int_equal(zst_decompress_all(SLICE("garbage"), &out, &err), ERR_FORMAT_MALFORMED);
	/* the context that failed works again */
	packed.len -= 7;
	buf_reset(&out);
	assert_int_equal(zst_decompress_all(buf_slice(&packed), &out, &err), 0);
	assert_int_equal(out.len, 13);
}

static void test_limit_holds_to_the_byte(void **state)
{
	_buf_ struct buf in = BUF_INIT(4 << 20), packed = BUF_INIT(4 << 20);
	memset(buf_reserve(&in, 2 << 20), 0, 2 << 20);
	in.len = 2 << 20;
	zst_compress(buf_slice(&in), 9, &packed);
	_buf_ struct buf less = BUF_INIT((2 << 20) - 1), exact = BUF_INIT(2 << 20);
	assert_int_equal(zst_decompress_all(buf_slice(&packed), &less, &err), ERR_FORMAT_LIMIT);
	assert_int_equal(zst_decompress_all(buf_slice(&packed), &exact, &err), 0);
	assert_int_equal(exact.len, 2 << 20);
}

static void *in_thread(void *arg)
{
	for (int i = 0; i < 50; i++) {
		_buf_ struct buf packed = BUF_INIT(1 << 20);
		uint8_t out[12];
		if (zst_compress(SLICE("twelve bytes"), 3, &packed) || zst_decompress(buf_slice(&packed), out, 12) ||
		    memcmp(out, "twelve bytes", 12) != 0)
			return arg;
	}
	return NULL;
}

static void test_threads_do_not_share_contexts(void **state)
{
	pthread_t threads[8];
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, in_thread, threads), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_length_must_be_right),
		cmocka_unit_test(test_frames_are_joined),
		cmocka_unit_test(test_every_cut_is_refused),
		cmocka_unit_test(test_damage_and_what_follows),
		cmocka_unit_test(test_limit_holds_to_the_byte),
		cmocka_unit_test(test_threads_do_not_share_contexts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
