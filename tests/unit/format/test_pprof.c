/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/format.h"
#include "core/profile/label.h"
#include "core/wire/pb.h"

static struct profile p;
static struct buf in, part, inner;
static struct error err;
static struct format_options opts;

static int setup(void **state)
{
	in = part = inner = BUF_INIT(64 << 20);
	return profile_init(&p, 1 << 20);
}

static int teardown(void **state)
{
	profile_done(&p);
	buf_done(&in);
	buf_done(&part);
	buf_done(&inner);
	return 0;
}

static int begin(void **state)
{
	buf_reset(&in);
	opts = (struct format_options){ 0 };
	err = (struct error){ 0 };
	return 0;
}

static int decode(void)
{
	profile_reset(&p);
	int e = format_pprof.decode(buf_slice(&in), &opts, &p, &err);
	return e ? e : profile_verify(&p, &err);
}

static void put(uint32_t number)
{
	pb_put_buf(&in, number, &part);
	buf_reset(&part);
}

static void strings(const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		pb_put_bytes(&in, 6, list[i], strlen(list[i]));
}

#define STRINGS(...) strings((const char *const[]){ __VA_ARGS__ }, ARRAY_SIZE(((const char *const[]){ __VA_ARGS__ })))

static void type(uint64_t t, uint64_t unit)
{
	pb_put_varint(&part, 1, t);
	pb_put_varint(&part, 2, unit);
	put(1);
}

static void sample(const uint64_t *ids, size_t n, int64_t value)
{
	for (size_t i = 0; i < n; i++)
		buf_varint(&inner, ids[i]);
	pb_put_buf(&part, 1, &inner);
	buf_reset(&inner);
	pb_put_varint(&part, 2, (uint64_t)value);
	put(2);
}

#define SAMPLE(value, ...) \
	sample((const uint64_t[]){ __VA_ARGS__ }, ARRAY_SIZE(((const uint64_t[]){ __VA_ARGS__ })), value)

static void location(uint64_t id, uint64_t mapping, uint64_t function)
{
	pb_put_varint(&part, 1, id);
	pb_put_varint(&part, 2, mapping);
	pb_put_varint(&part, 3, 0x1000 + id);
	pb_put_varint(&inner, 1, function);
	pb_put_varint(&inner, 2, 42);
	pb_put_buf(&part, 4, &inner);
	buf_reset(&inner);
	put(4);
}

static void function(uint64_t id, uint64_t name)
{
	pb_put_varint(&part, 1, id);
	pb_put_varint(&part, 2, name);
	put(5);
}

static void mapping(uint64_t id)
{
	pb_put_varint(&part, 1, id);
	pb_put_varint(&part, 2, 0x1000);
	pb_put_varint(&part, 10, 1);
	put(3);
}

static const char *name_of(size_t sample, size_t frame)
{
	const struct profile_location *l = &p.locations.v[p.locs.v[p.loc_at.v[sample] + frame]];
	struct str s = profile_str(&p, p.functions.v[p.lines.v[l->line_at].function].name);
	static char text[64];
	snprintf(text, sizeof text, "%.*s", (int)s.len, s.s);
	return text;
}

static void test_tables_after_samples(void **state)
{
	type(1, 2);
	SAMPLE(10, 1, 2);
	SAMPLE(-5, 2);
	mapping(1);
	location(1, 1, 1);
	location(2, 1, 2);
	function(1, 3);
	function(2, 4);
	STRINGS("", "cpu", "nanoseconds", "leaf", "main");
	pb_put_varint(&in, 9, 123);
	assert_int_equal(decode(), 0);
	assert_int_equal(p.n_samples, 2);
	assert_string_equal(name_of(0, 0), "leaf");
	assert_string_equal(name_of(0, 1), "main");
	assert_string_equal(name_of(1, 0), "main");
	assert_int_equal(p.values.v[1], -5);
	assert_int_equal(p.time_ns, 123);
	assert_int_equal(p.locations.v[1].address, 0x1002);
	assert_int_equal(p.lines.v[0].line, 42);
	assert_int_equal(p.mappings.v[0].flags, MAPPING_HAS_INLINE_FRAMES);
	assert_int_equal(p.n_warnings, 0);
}

static void test_tables_before_samples(void **state)
{
	STRINGS("", "cpu", "nanoseconds", "leaf", "main");
	function(2, 4);
	function(1, 3);
	location(2, 0, 2);
	location(1, 0, 1);
	SAMPLE(10, 1, 2);
	type(1, 2);
	assert_int_equal(decode(), 0);
	assert_string_equal(name_of(0, 0), "leaf");
	assert_string_equal(name_of(0, 1), "main");
	assert_int_equal(p.locations.v[0].mapping, PROFILE_NONE);
}

/* Ids of every size, as a hash or an address would make them. */
static void test_sparse_ids(void **state)
{
	static const uint64_t ids[] = { UINT64_MAX, 1, (uint64_t)1 << 31, ((uint64_t)1 << 31) - 1, UINT64_C(0x7f1234567890),
		UINT32_MAX, (uint64_t)UINT32_MAX + 1 };
	type(1, 1);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		SAMPLE((int64_t)i, ids[i], ids[0]);
		location(ids[i], ids[i], ids[i]);
		function(ids[i], 2 + i);
		mapping(ids[i]);
	}
	STRINGS("", "x", "f0", "f1", "f2", "f3", "f4", "f5", "f6");
	assert_int_equal(decode(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		char name[8];
		snprintf(name, sizeof name, "f%zu", i);
		assert_string_equal(name_of(i, 0), name);
		assert_string_equal(name_of(i, 1), "f0");
		assert_int_equal(p.locations.v[i].mapping, i);
	}
}

static void test_many_shuffled_ids(void **state)
{
	for (uint64_t stride = 1; stride < 1000000; stride *= 500) { /* an array, then a hash */
		buf_reset(&in);
		type(1, 1);
		STRINGS("", "f");
		function(5, 1);
		for (uint64_t i = 0; i < 5000; i++)
			location((i * 2741 % 5000 + 1) * stride, 0, 5);
		for (uint64_t i = 0; i < 5000; i++)
			SAMPLE(1, (i + 1) * stride);
		assert_int_equal(decode(), 0);
		for (uint64_t i = 0; i < 5000; i++)
			assert_int_equal(p.locations.v[p.locs.v[i]].address, 0x1000 + (i + 1) * stride);
		SAMPLE(1, 5001 * stride);
		assert_int_equal(decode(), ERR_FORMAT_REFERENCE);
		assert_non_null(strstr(err.text, "sample 5000"));
		location(7 * stride, 0, 5);
		assert_int_equal(decode(), ERR_FORMAT_MALFORMED);
		assert_non_null(strstr(err.text, "two locations"));
	}
}

static void test_packed_and_not_and_mixed(void **state)
{
	type(1, 1);
	type(1, 1);
	STRINGS("", "f");
	function(1, 1);
	for (uint64_t i = 1; i <= 4; i++)
		location(i, 0, 1);
	pb_put_varint(&part, 2, 7);
	pb_put_varint(&part, 1, 1);
	pb_put_bytes(&part, 1, "\2\3", 2);
	pb_put_bytes(&part, 1, "", 0);
	pb_put_varint(&part, 1, 4);
	pb_put_bytes(&part, 2, "\x08", 1);
	put(2);
	pb_put_varint(&in, 13, 1);
	pb_put_bytes(&in, 13, "\0\1", 2);
	assert_int_equal(decode(), 0);
	assert_int_equal(p.locs.n, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(p.locs.v[i], i);
	assert_int_equal(p.values.v[0], 7);
	assert_int_equal(p.values.v[1], 8);
	assert_int_equal(p.comments.n, 3);
}

static void test_labels(void **state)
{
	type(1, 1);
	STRINGS("", "bytes", "key", "value", "");
	SAMPLE(1, );
	pb_put_varint(&part, 2, 1);
	static const uint64_t labels[][4] = {
		{ 2, 3, 0, 0 }, /* a string */
		{ 2, 0, 5, 1 }, /* a number with unit */
		{ 2, 0, 0, 0 }, /* the number 0 */
		{ 2, 4, 0, 0 }, /* the string "" */
		{ 0, 3, 0, 0 }, /* an empty key */
		{ 2, 3, 9, 1 }, /* both: a string */
	};
	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		for (uint32_t f = 0; f < 4; f++)
			pb_put_varint(&inner, f + 1, labels[i][f]);
		pb_put_buf(&part, 3, &inner);
		buf_reset(&inner);
	}
	put(2);
	SAMPLE(2, );
	assert_int_equal(decode(), 0);
	assert_int_equal(p.n_samples, 3);
	assert_int_equal(p.label_at.n, 4);
	static const uint32_t at[] = { 0, 0, 6, 6 };
	assert_memory_equal(p.label_at.v, at, sizeof at);
	static const bool is_num[] = { false, true, true, false, false, false };
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(p.labels.v[i].is_num, is_num[i]);
		assert_int_equal(p.labels.v[i].num, labels[i][2]);
	}
	assert_int_equal(p.labels.v[5].num_unit, 1);
}

static void test_no_labels_no_column(void **state)
{
	type(1, 1);
	STRINGS("", "x");
	SAMPLE(1, );
	assert_int_equal(decode(), 0);
	assert_int_equal(p.label_at.n, 0);
	assert_int_equal(p.loc_at.n, 2);
}

/* A message that comes twice is merged; a number that comes twice is the last one. */
static void test_repeated_single_fields(void **state)
{
	type(1, 1);
	STRINGS("", "x", "y");
	pb_put_varint(&part, 1, 1);
	put(11);
	pb_put_varint(&part, 2, 2);
	put(11);
	pb_put_varint(&in, 12, 5);
	pb_put_varint(&in, 12, 7);
	pb_put_varint(&in, 9, 0);
	pb_put_varint(&in, 9, 8);
	assert_int_equal(decode(), 0);
	assert_int_equal(p.period_type.type, 1);
	assert_int_equal(p.period_type.unit, 2);
	assert_int_equal(p.period, 7);
	assert_int_equal(p.time_ns, 8);
}

static void test_second_time_means_two_profiles(void **state)
{
	type(1, 1);
	STRINGS("", "x");
	pb_put_varint(&in, 9, 5);
	pb_put_varint(&in, 9, 6);
	assert_int_equal(decode(), ERR_FORMAT_MALFORMED);
	assert_non_null(strstr(err.text, "concatenated profiles"));
}

static void test_function_0_if_there_is_one(void **state)
{
	type(1, 1);
	STRINGS("", "net", "other");
	location(1, 0, 0);
	location(2, 0, 1);
	SAMPLE(1, 1, 2);
	function(1, 2);
	size_t without = in.len;
	function(0, 1);
	assert_int_equal(decode(), 0);
	assert_string_equal(name_of(0, 0), "net");
	assert_string_equal(name_of(0, 1), "other");
	assert_int_equal(p.n_warnings, 1);
	in.len = without;
	assert_int_equal(decode(), ERR_FORMAT_REFERENCE);
	assert_non_null(strstr(err.text, "function 0"));
}

static void test_dangling_mapping_is_none(void **state)
{
	type(1, 1);
	STRINGS("", "x");
	function(1, 1);
	location(1, 9, 1);
	location(2, UINT64_MAX, 1);
	SAMPLE(1, 1, 2);
	assert_int_equal(decode(), 0);
	assert_int_equal(p.locations.v[0].mapping, PROFILE_NONE);
	assert_int_equal(p.locations.v[1].mapping, PROFILE_NONE);
	assert_int_equal(p.n_warnings, 2);
	assert_non_null(strstr(p.warning, "mapping 9"));
}

static void test_unreferenced_rows_are_kept(void **state)
{
	type(1, 1);
	STRINGS("", "x", "never used");
	function(1, 1);
	function(2, 2);
	location(1, 0, 1);
	location(2, 0, 2);
	mapping(1);
	assert_int_equal(decode(), 0);
	assert_int_equal(p.n_samples, 0);
	assert_int_equal(p.functions.n, 2);
	assert_int_equal(p.locations.n, 2);
	assert_int_equal(p.mappings.n, 1);
	assert_int_equal(p.strings.n, 3);
}

/* Every prefix of a sound profile is refused or (at a border between fields behind the table) a profile. */
static void test_every_prefix(void **state)
{
	STRINGS("", "cpu", "nanoseconds", "main");
	type(1, 2);
	function(1, 3);
	location(1, 0, 1);
	SAMPLE(10, 1);
	size_t whole = in.len, taken = 0;
	for (size_t n = 0; n < whole; n++) {
		in.len = n;
		int e = decode();
		taken += !e;
		assert_true(!e || e == ERR_FORMAT_TRUNCATED || e == ERR_FORMAT_MALFORMED || e == ERR_FORMAT_REFERENCE);
		assert_true(!e || err.text[0]);
	}
	assert_in_range(taken, 1, 3);
}

static void test_limits(void **state)
{
	STRINGS("", "x");
	for (size_t i = 0; i < 65; i++)
		type(1, 1);
	assert_int_equal(decode(), ERR_FORMAT_LIMIT);
	opts.max_types = 65;
	assert_int_equal(decode(), 0);
	opts.max_bytes = 4096; /* a model of 1 MiB and 8 KiB */
	for (size_t i = 0; i < 50000; i++)
		function(i + 1, 1);
	assert_int_equal(decode(), ERR_FORMAT_LIMIT);
	assert_non_null(strstr(err.text, "memory"));
	opts.max_bytes = 0;
	assert_int_equal(decode(), 0);
}

static void test_too_many_strings(void **state)
{
	opts.max_bytes = 64;
	for (size_t i = 0; i < (1 << 20) + 1; i++)
		buf_put(&in, "\x32\0", 2);
	assert_int_equal(decode(), ERR_FORMAT_LIMIT);
}

static void test_decoder_is_reused_after_failure(void **state)
{
	SAMPLE(1, UINT64_MAX, 5);
	location(3, 3, 3);
	assert_true(decode() < 0);
	buf_reset(&in);
	test_tables_after_samples(state);
}

static enum format_verdict sniff(const char *s, size_t n, bool whole)
{
	return format_pprof.sniff((struct slice){ (const uint8_t *)s, n }, whole);
}

static void test_sniff(void **state)
{
	assert_int_equal(sniff("\x0a\x04\x08\x01", 4, false), FORMAT_MAYBE);
	assert_int_equal(sniff("\x0a", 1, false), FORMAT_MAYBE);
	assert_int_equal(sniff("\x48", 1, false), FORMAT_MAYBE);
	assert_int_equal(sniff("\x48\x80\x80", 3, false), FORMAT_MAYBE);
	assert_int_equal(sniff("\x6a\x03\1\2\3", 5, false), FORMAT_MAYBE);
	assert_int_equal(sniff("\xa2\x06\x03xyz\x0a\x02\x08\x01", 10, true), FORMAT_MAYBE);
	assert_int_equal(sniff("hi\n", 3, false), FORMAT_NO);
	assert_int_equal(sniff("main;f 1\n", 9, true), FORMAT_NO);
	assert_int_equal(sniff("\x0b\1\1", 3, false), FORMAT_NO);
	assert_int_equal(sniff("\x08\x01\x02", 3, false), FORMAT_NO);
	assert_int_equal(sniff("\x4a\x01\x02", 3, false), FORMAT_NO);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, begin)
	const struct CMUnitTest tests[] = {
		TEST(test_tables_after_samples),
		TEST(test_tables_before_samples),
		TEST(test_sparse_ids),
		TEST(test_many_shuffled_ids),
		TEST(test_packed_and_not_and_mixed),
		TEST(test_labels),
		TEST(test_no_labels_no_column),
		TEST(test_repeated_single_fields),
		TEST(test_second_time_means_two_profiles),
		TEST(test_function_0_if_there_is_one),
		TEST(test_dangling_mapping_is_none),
		TEST(test_unreferenced_rows_are_kept),
		TEST(test_every_prefix),
		TEST(test_limits),
		TEST(test_too_many_strings),
		TEST(test_decoder_is_reused_after_failure),
		TEST(test_sniff),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
