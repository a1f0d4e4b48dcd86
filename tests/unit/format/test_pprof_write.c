/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/format.h"
#include "core/profile/label.h"

static struct profile p;
static struct buf out;
static struct error err;
static const struct format_options opts;

static int setup(void **state)
{
	out = BUF_INIT(1 << 20);
	return profile_init(&p, 1 << 20);
}

static int teardown(void **state)
{
	buf_done(&out);
	profile_done(&p);
	return 0;
}

#define PUSH(vec, ...) (*VEC_PUSH(vec) = (__VA_ARGS__))

static uint32_t string(const char *s)
{
	return profile_string(&p, s, strlen(s));
}

static void test_exact_bytes(void **state)
{
	PUSH(&p.types, (struct value_type){ string("cpu"), string("ns") });
	PUSH(&p.functions, (struct profile_function){ .name = string("f") });
	PUSH(&p.lines, (struct profile_line){ .function = 0, .line = 7 });
	PUSH(&p.locations, (struct profile_location){ .mapping = PROFILE_NONE, .n_lines = 1 });
	PUSH(&p.loc_at, 0);
	PUSH(&p.loc_at, 2);
	PUSH(&p.locs, 0);
	PUSH(&p.locs, 0);
	PUSH(&p.values, 300);
	p.n_samples = 1;
	p.time_ns = 5;
	assert_int_equal(pprof_encode(&p, &out), 0);
	static const char expected[] = "\x0a\x04\x08\1\x10\2" "\x12\x08\x0a\2\1\1\x12\2\xac\2" "\x22\x08\x08\1\x22\4\x08\1\x10\7"
	                               "\x2a\4\x08\1\x10\3" "\x32\0\x32\3cpu\x32\2ns\x32\1f" "\x48\5";
	assert_int_equal(out.len, sizeof expected - 1);
	assert_memory_equal(out.data, expected, out.len);
}

/* Strings are one each, in order of first use, whatever their order in the profile; unused ones are left out. */
static void test_strings_are_unique(void **state)
{
	string("unused");
	uint32_t b = string("b"), a = string("a"), again = string("b");
	PUSH(&p.types, (struct value_type){ a, b });
	PUSH(&p.types, (struct value_type){ again, a });
	p.doc_url = string("late");
	PUSH(&p.comments, again);
	assert_int_equal(pprof_encode(&p, &out), 0);
	struct profile q;
	assert_int_equal(profile_init(&q, 1 << 20), 0);
	assert_int_equal(format_pprof.decode(buf_slice(&out), &opts, &q, &err), 0);
	assert_int_equal(q.strings.n, 4);
	assert_true(str_eq(q.strings.v[1], STR("a")));
	assert_true(str_eq(q.strings.v[2], STR("b")));
	assert_true(str_eq(q.strings.v[3], STR("late")));
	assert_int_equal(q.types.v[1].type, 2);
	assert_int_equal(q.comments.v[0], 2);
	assert_int_equal(q.doc_url, 3);
	profile_done(&q);
}

/* Everything a profile can say comes back. */
static void test_all_fields(void **state)
{
	uint32_t s[9];
	for (size_t i = 1; i < ARRAY_SIZE(s); i++) {
		char text[] = { 's', (char)('0' + i), 0 };
		s[i] = string(text);
	}
	PUSH(&p.types, (struct value_type){ s[1], 0 });
	PUSH(&p.mappings, (struct profile_mapping){ 1, UINT64_MAX, 3, s[2], s[3], 15 });
	PUSH(&p.mappings, (struct profile_mapping){ .flags = MAPPING_HAS_FILENAMES });
	PUSH(&p.functions, (struct profile_function){ s[4], s[5], s[6], -9 });
	PUSH(&p.lines, (struct profile_line){ 0, -1, 8 });
	PUSH(&p.lines, (struct profile_line){ 0, 1, -8 });
	PUSH(&p.locations, (struct profile_location){ 1, true, UINT64_MAX, 0, 2 });
	PUSH(&p.locations, (struct profile_location){ .mapping = PROFILE_NONE, .address = 1 });
	static const uint32_t loc_at[] = { 0, 2, 2 }, label_at[] = { 0, 0, 4 };
	for (size_t i = 0; i < 3; i++) {
		PUSH(&p.loc_at, loc_at[i]);
		PUSH(&p.label_at, label_at[i]);
	}
	PUSH(&p.locs, 1);
	PUSH(&p.locs, 0);
	PUSH(&p.values, INT64_MIN);
	PUSH(&p.values, 0);
	p.n_samples = 2;
	PUSH(&p.labels, (struct profile_label){ .key = s[7], .str = s[8] });
	PUSH(&p.labels, (struct profile_label){ .key = s[7], .num = -5, .num_unit = s[1], .is_num = true });
	PUSH(&p.labels, (struct profile_label){ .key = s[7], .is_num = true });
	PUSH(&p.labels, (struct profile_label){ .key = s[7], .str = 0 });
	p.drop_frames = s[1];
	p.keep_frames = s[2];
	p.time_ns = INT64_MAX;
	p.duration_ns = -1;
	p.period_type = (struct value_type){ s[3], s[4] };
	p.period = -2;
	PUSH(&p.comments, s[5]);
	PUSH(&p.comments, 0);
	p.default_type = s[6];
	p.doc_url = s[7];
	assert_int_equal(pprof_encode(&p, &out), 0);

	struct profile q;
	assert_int_equal(profile_init(&q, 1 << 20), 0);
	assert_int_equal(format_pprof.decode(buf_slice(&out), &opts, &q, &err), 0);
	assert_int_equal(profile_verify(&q, &err), 0);
#define SAME(field) assert_true(p.field == q.field)
#define SAME_STR(field) assert_true(str_eq(profile_str(&p, p.field), profile_str(&q, q.field)))
	for (size_t i = 0; i < 2; i++) {
		SAME(mappings.v[i].start);
		SAME(mappings.v[i].limit);
		SAME(mappings.v[i].offset);
		SAME(mappings.v[i].flags);
		SAME_STR(mappings.v[i].filename);
		SAME_STR(mappings.v[i].build_id);
		SAME(lines.v[i].function);
		SAME(lines.v[i].line);
		SAME(lines.v[i].column);
		SAME(locations.v[i].mapping);
		SAME(locations.v[i].is_folded);
		SAME(locations.v[i].address);
		SAME(locations.v[i].n_lines);
		SAME(locs.v[i]);
		SAME(values.v[i]);
		SAME_STR(comments.v[i]);
	}
	SAME_STR(types.v[0].type);
	SAME_STR(functions.v[0].name);
	SAME_STR(functions.v[0].system_name);
	SAME_STR(functions.v[0].filename);
	SAME(functions.v[0].start_line);
	for (size_t i = 0; i < 4; i++) {
		SAME(labels.v[i].num);
		SAME(labels.v[i].is_num);
		SAME_STR(labels.v[i].key);
		SAME_STR(labels.v[i].str);
		SAME_STR(labels.v[i].num_unit);
	}
	SAME_STR(drop_frames);
	SAME_STR(keep_frames);
	SAME(time_ns);
	SAME(duration_ns);
	SAME(period);
	SAME_STR(period_type.type);
	SAME_STR(period_type.unit);
	SAME_STR(default_type);
	SAME_STR(doc_url);
	assert_int_equal(q.comments.n, 2);
	profile_done(&q);
}

static void test_limit_of_the_buffer(void **state)
{
	_buf_ struct buf small = BUF_INIT(100);
	for (size_t i = 0; i < 50; i++)
		PUSH(&p.types, (struct value_type){ string("type"), string("unit") });
	assert_int_equal(pprof_encode(&p, &small), ERR_LIMIT_BUFFER);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_exact_bytes),
		TEST(test_strings_are_unique),
		TEST(test_all_fields),
		TEST(test_limit_of_the_buffer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
