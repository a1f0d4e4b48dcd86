/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/wire/base64.h"
#include "core/wire/snappy.h"

/* The uncompressed length of a block, and where its elements begin. */
static size_t length_of(struct slice block, size_t *ret_at)
{
	size_t len = 0, i = 0;
	do
		len |= (size_t)(block.data[i] & 0x7f) << 7 * i;
	while (block.data[i++] & 0x80);
	*ret_at = i;
	return len;
}

static size_t number(const uint8_t *p, size_t n)
{
	size_t v = 0;
	for (size_t i = 0; i < n; i++)
		v |= (size_t)p[i] << 8 * i;
	return v;
}

/* As the format's description has it: literals, and copies of what came before. */
static void expand(struct slice block, struct buf *out)
{
	size_t at, len = length_of(block, &at);
	while (at < block.len) {
		uint8_t tag = block.data[at++];
		size_t n = (size_t)(tag >> 2) + 1, back, extra;
		if ((tag & 3) == 0) {
			extra = n > 60 ? n - 60 : 0;
			n = extra ? number(block.data + at, extra) + 1 : n;
			buf_put(out, block.data + at + extra, n);
			at += extra + n;
			continue;
		}
		extra = (tag & 3) == 1 ? 1 : (tag & 3) == 2 ? 2 : 4;
		back = number(block.data + at, extra);
		if (extra == 1) {
			back |= (size_t)(tag >> 5) << 8;
			n = (size_t)(tag >> 2 & 7) + 4;
		}
		at += extra;
		assert_true(back && back <= out->len);
		for (; n; n--)
			buf_u8(out, out->data[out->len - back]);
	}
	assert_int_equal(out->len, len);
}

static void test_a_block_is_what_went_in(void **state)
{
	static const size_t sizes[] = { 0, 1, 59, 60, 61, 300, 70000, 1000000 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_buf_ struct buf in = BUF_INIT(8 << 20), packed = BUF_INIT(8 << 20), out = BUF_INIT(8 << 20);
		for (size_t k = 0; k < sizes[i]; k++)
			buf_u8(&in, (uint8_t)(k % 251 * (k / 5000 + 1) >> 2));
		buf_puts(&packed, "before");
		assert_int_equal(snappy_put(buf_slice(&in), &packed), 0);
		expand((struct slice){ packed.data + 6, packed.len - 6 }, &out);
		assert_int_equal(out.len, in.len);
		assert_true(!in.len || !memcmp(out.data, in.data, in.len));
		assert_true(sizes[i] < 1000 || packed.len < in.len / 2);
	}
}

static void test_what_does_not_fit_is_refused(void **state)
{
	_buf_ struct buf out = BUF_INIT(10);
	uint8_t in[1000] = { 0 };
	assert_int_equal(snappy_put((struct slice){ in, sizeof in }, &out), ERR_LIMIT_BUFFER);
}

static void test_base64(void **state)
{
	static const char *const pairs[][2] = { { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		                                { "user:pa\xff\xfe", "dXNlcjpwYf/+" } };
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_buf_ struct buf out = BUF_INIT(100);
		base64_put(&out, (struct slice){ (const uint8_t *)pairs[i][0], strlen(pairs[i][0]) });
		assert_int_equal(out.len, strlen(pairs[i][1]));
		assert_true(!out.len || !memcmp(out.data, pairs[i][1], out.len));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_block_is_what_went_in),
		cmocka_unit_test(test_what_does_not_fit_is_refused),
		cmocka_unit_test(test_base64),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
