/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/format.h"
#include "core/wire/gz.h"
#include "core/wire/zst.h"

/* A profile of one type, no samples, and this time. */
#define PPROF(time) "\x0a\4\x08\1\x10\2\x32\0\x32\3cpu\x32\2ns\x48" time
#define SLICE(literal) ((struct slice){ (const uint8_t *)(literal), sizeof(literal) - 1 })

static struct decoded_list doc;
#define p (doc.v[0].profile)
static struct format_reader *r;
static struct buf in;
static struct error err;
static struct format_options opts;

static int setup(void **state)
{
	in = BUF_INIT(64 << 20);
	opts = (struct format_options){ 0 };
	return format_reader_new((struct slice){ 0 }, &opts, &r, &err);
}

static int teardown(void **state)
{
	buf_done(&in);
	format_reader_free(r);
	return 0;
}

static void gzip(struct slice s)
{
	assert_int_equal(gz_compress(s, 6, &in), 0);
}

static void start(void)
{
	assert_int_equal(format_reader_reset(r, buf_slice(&in), &opts), 0);
}

static int next(void)
{
	int e = format_reader_next(r, &doc, &err);
	assert_true(e != 1 || !doc.n || !profile_verify(&p, &err));
	return e;
}

static void test_plain(void **state)
{
	buf_put(&in, PPROF("\5"), sizeof PPROF("\5") - 1);
	start();
	assert_int_equal(next(), 1);
	assert_string_equal(format_reader_name(r), "pprof");
	assert_int_equal(p.time_ns, 5);
	assert_int_equal(format_reader_taken(r), in.len);
	assert_int_equal(next(), 0);
	assert_int_equal(next(), 0);
}

/* These begin like fields of a pprof, and their letters keep them from being plain ASCII. */
static void test_text_that_begins_like_pprof(void **state)
{
	static const char *const texts[] = { "j\u00e4va;x 5\n", "Z\u00fcge 5\n", "*\u00fc;x 5\n", "2\u00fc 5\n", "\n\u00fc 5\n" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		buf_reset(&in);
		buf_puts(&in, texts[i]);
		start();
		assert_int_equal(next(), 1);
		assert_string_equal(format_reader_name(r), "folded");
	}
	buf_reset(&in);
	while (in.len < 100000) /* a first line that is longer than what is looked at */
		buf_puts(&in, "j\u00e4va;");
	buf_puts(&in, "x 5\n");
	start();
	assert_int_equal(next(), 1);
	assert_string_equal(format_reader_name(r), "folded");
}

static void test_empty_is_nothing(void **state)
{
	start();
	assert_int_equal(next(), 0);
	assert_int_equal(format_reader_taken(r), 0);
}

static void test_compressed_nothing_is_refused(void **state)
{
	gzip(SLICE(""));
	start();
	assert_int_equal(next(), ERR_FORMAT_UNKNOWN);
	buf_reset(&in);
	zst_compress(SLICE(""), 3, &in);
	start();
	assert_int_equal(next(), ERR_FORMAT_UNKNOWN);
}

static void test_members_that_are_whole_are_profiles(void **state)
{
	gzip(SLICE(PPROF("\5")));
	size_t first = in.len;
	gzip(SLICE(PPROF("\6")));
	size_t second = in.len;
	gzip(SLICE("main;leaf 5\n"));
	start();
	assert_int_equal(next(), 1);
	assert_int_equal(p.time_ns, 5);
	assert_int_equal(format_reader_taken(r), first);
	assert_int_equal(next(), 1);
	assert_int_equal(p.time_ns, 6);
	assert_int_equal(format_reader_taken(r), second);
	assert_int_equal(next(), 1);
	assert_string_equal(format_reader_name(r), "folded");
	assert_int_equal(format_reader_taken(r), in.len);
	assert_int_equal(next(), 0);
}

static void test_members_of_one_stream_are_joined(void **state)
{
	struct slice s = SLICE(PPROF("\5"));
	for (size_t cut = 1; cut < s.len; cut++) {
		buf_reset(&in);
		gzip((struct slice){ s.data, cut });
		gzip((struct slice){ s.data + cut, s.len - cut });
		start();
		assert_int_equal(next(), 1);
		assert_int_equal(p.types.n, 1);
		assert_int_equal(p.time_ns, 5);
		assert_int_equal(format_reader_taken(r), in.len);
		assert_int_equal(next(), 0);
	}
}

static void test_empty_members_are_skipped(void **state)
{
	gzip(SLICE(""));
	gzip(SLICE(PPROF("\5")));
	gzip(SLICE(""));
	gzip(SLICE(PPROF("\6")));
	gzip(SLICE(""));
	start();
	assert_int_equal(next(), 1);
	assert_int_equal(p.time_ns, 5);
	assert_int_equal(next(), 1);
	assert_int_equal(p.time_ns, 6);
	assert_int_equal(next(), 0);
	assert_int_equal(format_reader_taken(r), in.len);
}

/* What was appended and is not whole yet does not keep the profile before it from being taken. */
static void test_whole_member_before_a_cut_one(void **state)
{
	gzip(SLICE(PPROF("\5")));
	size_t first = in.len;
	gzip(SLICE(PPROF("\6")));
	for (size_t n = first + 1; n < in.len; n++) {
		assert_int_equal(format_reader_reset(r, (struct slice){ in.data, n }, &opts), 0);
		assert_int_equal(next(), 1);
		assert_int_equal(format_reader_taken(r), first);
		assert_int_equal(next(), ERR_FORMAT_TRUNCATED);
		assert_int_equal(format_reader_taken(r), first);
		assert_non_null(strstr(err.text, "gzip member at byte"));
	}
}

static void test_whole_member_before_junk(void **state)
{
	gzip(SLICE(PPROF("\5")));
	size_t first = in.len;
	gzip(SLICE("<html>"));
	start();
	assert_int_equal(next(), 1);
	assert_int_equal(format_reader_taken(r), first);
	assert_int_equal(next(), ERR_FORMAT_NAMED);
	in.len = first;
	buf_puts(&in, "garbage");
	start();
	assert_int_equal(next(), 1);
	assert_int_equal(next(), ERR_FORMAT_MALFORMED);
}

static void test_zero_padding_is_skipped(void **state)
{
	gzip(SLICE(PPROF("\5")));
	buf_put(&in, "\0\0\0\0", 4);
	start();
	assert_int_equal(next(), 1);
	assert_int_equal(p.n_warnings, 1);
	assert_int_equal(format_reader_taken(r), in.len);
	assert_int_equal(next(), 0);
}

static void test_zstd(void **state)
{
	struct slice s = SLICE(PPROF("\5"));
	zst_compress((struct slice){ s.data, 9 }, 3, &in);
	zst_compress((struct slice){ s.data + 9, s.len - 9 }, 3, &in);
	start();
	assert_int_equal(next(), 1);
	assert_int_equal(p.time_ns, 5);
	assert_int_equal(next(), 0);
}

static void pack_again(bool zstd)
{
	_buf_ struct buf packed = BUF_INIT(1 << 20);
	if (zstd)
		zst_compress(buf_slice(&in), 3, &packed);
	else
		gz_compress(buf_slice(&in), 6, &packed);
	buf_reset(&in);
	buf_put(&in, packed.data, packed.len);
}

static void test_compressed_twice_and_not_more(void **state)
{
	for (unsigned kinds = 0; kinds < 4; kinds++) {
		buf_reset(&in);
		buf_put(&in, PPROF("\5"), sizeof PPROF("\5") - 1);
		pack_again(kinds & 1);
		pack_again(kinds & 2);
		start();
		assert_int_equal(next(), 1);
		assert_int_equal(p.time_ns, 5);
		assert_int_equal(next(), 0);
		pack_again(kinds & 1);
		start();
		assert_int_equal(next(), ERR_FORMAT_NAMED);
	}
}

static void test_limit_of_bytes(void **state)
{
	for (size_t i = 0; i < 1000; i++)
		buf_puts(&in, "main;leaf 5\n");
	opts.max_bytes = in.len;
	start();
	assert_int_equal(next(), 1);
	opts.max_bytes--;
	start();
	assert_int_equal(next(), ERR_FORMAT_LIMIT);
	pack_again(false);
	start();
	assert_int_equal(next(), ERR_FORMAT_LIMIT);
	opts.max_bytes++;
	start();
	assert_int_equal(next(), 1);
}

static void test_reader_is_reused_after_failure(void **state)
{
	gzip(SLICE("junk"));
	start();
	assert_true(next() < 0);
	buf_reset(&in);
	test_members_that_are_whole_are_profiles(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_plain),
		TEST(test_text_that_begins_like_pprof),
		TEST(test_empty_is_nothing),
		TEST(test_compressed_nothing_is_refused),
		TEST(test_members_that_are_whole_are_profiles),
		TEST(test_members_of_one_stream_are_joined),
		TEST(test_empty_members_are_skipped),
		TEST(test_whole_member_before_a_cut_one),
		TEST(test_whole_member_before_junk),
		TEST(test_zero_padding_is_skipped),
		TEST(test_zstd),
		TEST(test_compressed_twice_and_not_more),
		TEST(test_limit_of_bytes),
		TEST(test_reader_is_reused_after_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
