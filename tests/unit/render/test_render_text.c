/* SPDX-License-Identifier: MIT */
/* Text renderings: top, tree, folded; how values, names and shares are written. */
#include "given.h"

#include "core/render/text.h"

static char *text_of(struct buf *b)
{
	size_t n;
	buf_putc(b, 0);
	return (char *)buf_take(b, &n);
}

static void assert_number(double v, const char *want)
{
	struct buf b = BUF_INIT(1000);
	put_number(&b, v);
	char *s = text_of(&b);
	assert_string_equal(s, want);
	free(s);
}

static void numbers_are_short_and_exact(void **state)
{
	assert_number(0, "0");
	assert_number(12, "12");
	assert_number(-0.5, "-0.5");
	assert_number(1.25, "1.25");
	assert_number(0.1 + 0.2, "0.3");
	assert_number(1234567.0625, "1234567.063");
	assert_number(1e15, "1e+15");
	assert_number(1e-7, "1e-07");
	assert_number(0.0 / 0.0, "0");
}

static void assert_value(int64_t v, const char *unit, const char *wanted, const char *want)
{
	struct query q;
	struct buf b = BUF_INIT(1000);
	given(&q, "type", unit);
	q.selection.options.unit = (char *)wanted;
	struct shown shown = shown_of(&q);
	put_value(&b, &shown, v);
	char *s = text_of(&b);
	assert_string_equal(s, want);
	free(s);
}

static void values_are_written_as_pprof_does(void **state)
{
	assert_value(0, "nanoseconds", NULL, "0");
	assert_value(1, "nanoseconds", NULL, "1ns");
	assert_value(1200000000, "nanoseconds", NULL, "1.20s");
	assert_value(-1200000000, "nanoseconds", NULL, "-1.20s");
	assert_value(7200 * NS_PER_S, "nanoseconds", NULL, "2hrs");
	assert_value(512 << 10, "bytes", NULL, "512kB");
	assert_value(42, "count", NULL, "42");
	assert_value(42, "objects", NULL, "42objects");
	assert_value(1500000000, "nanoseconds", "ms", "1500ms");
	assert_value(1500, "bytes", "ms", "1.46kB");
	assert_value(INT64_MIN, "count", NULL, "-9223372036854775808");
}

static void shares_and_values_are_rounded_as_printf_does(void **state)
{
	uint64_t x = 1;
	struct buf a = BUF_INIT(100), b = BUF_INIT(100);
	struct query q;
	given(&q, "cpu", "nanoseconds");
	struct shown shown = shown_of(&q);
	for (int i = 0; i < 200000; i++) {
		x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
		int64_t total = i % 3 ? 200 * (1 + i % 7) : (int64_t)(x >> 20),
			value = (int64_t)((x >> 17) % (uint64_t)(total + 1));
		if (i % 5 == 0)
			value >>= i % 40;
		buf_reset(&a);
		buf_reset(&b);
		put_share(&a, value, total);
		share_format(&b, value, total);
		put_value(&a, &shown, value);
		value_format(&b, value, STR("nanoseconds"));
		if (a.len != b.len || memcmp(a.data, b.data, a.len))
			fail_msg("%lld of %lld: %.*s, not %.*s", (long long)value, (long long)total,
			         (int)a.len, a.data, (int)b.len, b.data);
	}
	buf_done(&a);
	buf_done(&b);
}

static void unknown_frames_are_told_by_their_names(void **state)
{
	assert_true(frame_is_unknown(&(struct frame){ .name = STR("0x12af") }));
	assert_true(frame_is_unknown(&(struct frame){ .name = STR("[libc.so.6+0x12af]") }));
	assert_false(frame_is_unknown(&(struct frame){ .name = STR("0x") }));
	assert_false(frame_is_unknown(&(struct frame){ .name = STR("[libc]") }));
	assert_false(frame_is_unknown(&(struct frame){ .name = STR("main") }));
}

static void folded_lines_are_sorted_exact_and_whole(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, " 3\na 1\na;b 0\na;c -5\nz 9223372036854775807\n");
	char *out = rendered(&q, "folded.txt");
	assert_string_equal(out, "[no stack] 3\na 1\na;c -5\nz 9223372036854775807\n");
	free(out);
	given_done(&q);
}

static void names_do_not_break_folded_lines(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "x;y 1\n");
	q.frames[0].name = STR("a;b\nc");
	char *out = rendered(&q, "folded.txt");
	assert_string_equal(out, "a:b c;y 1\n");
	free(out);
	given_done(&q);
}

/* The text that `pprof -symbolize=none -top` prints for this profile. */
static void top_is_what_pprof_prints(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	q.info.duration = 10 * NS_PER_S;
	given_stacks(&q, "main;fib;fib;fib 300000000\nmain;work;inl~ 30000000\nmain;work;tiny 1000000\n");
	char *out = rendered(&q, "top.txt");
	assert_string_equal(out, "Type: cpu\n"
	                         "Time: 2026-11-22 14:05:30 UTC\n"
	                         "Duration: 10s, Total samples = 331ms ( 3.31%)\n"
	                         "Showing nodes accounting for 330ms, 99.70% of 331ms total\n"
	                         "Dropped 1 node (cum <= 1.66ms)\n"
	                         "      flat  flat%   sum%        cum   cum%\n"
	                         "     300ms 90.63% 90.63%      300ms 90.63%  fib\n"
	                         "      30ms  9.06% 99.70%       30ms  9.06%  inl (inline)\n"
	                         "         0     0% 99.70%      331ms   100%  main\n"
	                         "         0     0% 99.70%       31ms  9.37%  work\n");
	free(out);
	q.selection.options.limit = 1;
	out = rendered(&q, "top.txt");
	assert_contains(out, "Showing top 1 nodes out of 4\n");
	assert_lacks(out, "inl");
	free(out);
	given_done(&q);
}

static void top_gathers_unknown_code_by_mapping(void **state)
{
	struct query q;
	given(&q, "samples", "count");
	given_stacks(&q, "0x10 1\n[libc.so.6+0x1] 2\n[libc.so.6+0x2] 3\n");
	char *out = rendered(&q, "top.txt");
	assert_contains(out, "         5 83.33% 83.33%          5 83.33%  [libc.so.6]\n");
	assert_contains(out, "         1 16.67%   100%          1 16.67%  <unknown>\n");
	free(out);
	given_done(&q);
}

static void top_tsv_has_every_function_exactly(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "main;big 1000000001\nmain;small 1\n");
	q.frames[0].file = STR("main.go");
	char *out = rendered(&q, "top.tsv");
	assert_string_equal(out, "name\tflat\tflat%\tcum\tcum%\tunit\tfile\n"
	                         "big\t1000000001\t100\t1000000001\t100\tnanoseconds\t\n"
	                         "small\t1\t0\t1\t0\tnanoseconds\t\n"
	                         "main\t0\t0\t1000000002\t100\tnanoseconds\tmain.go\n");
	free(out);
	given_done(&q);
}

static void tree_says_what_it_left_out(void **state)
{
	struct query q;
	given(&q, "samples", "count");
	given_stacks(&q, "main;a 990\nmain;b;c 4\nmain;d 6\n");
	char *out = rendered(&q, "tree.txt");
	assert_contains(out, "Left out: 2 calls below 0.5%, together 4, 0.4% of the total\n");
	assert_contains(out, "         6   0.6%          6   0.6%      d\n");
	assert_lacks(out, "      b\n");
	free(out);
	given_done(&q);
}

static void deep_trees_stay_readable(void **state)
{
	struct query q;
	size_t n = 20000;
	char *stack = malloc(2 * n + 8), *p = stack;
	for (size_t i = 0; i < n; i++)
		p = mempcpy(p, "f;", 2);
	strcpy(p - 1, " 7\n");
	given(&q, "samples", "count");
	given_stacks(&q, stack);
	char *out = rendered(&q, "tree.txt");
	assert_contains(out, "Left out: 19,000 calls below 0.5% or level 1,000, together 7, 100% of the total\n");
	assert_contains(out, "[1000] f\n");
	free(out);
	out = rendered(&q, "top.txt");
	assert_contains(out, "         7   100%   100%          7   100%  f\n");
	free(out);
	given_done(&q);
	free(stack);
}

static void nothing_renders_as_nothing(void **state)
{
	static const char *const names[] = { "folded.txt", "top.txt",   "top.tsv",
	                                     "tree.txt",   "info.json", "labels.json" };
	struct query q;
	given(&q, "cpu", "nanoseconds");
	q.info.profiles = 0;
	given_stacks(&q, "");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		free(rendered(&q, names[i]));
	given_done(&q);
}

static void the_table_is_sorted(void **state)
{
	for (size_t i = 1; renderings[i]; i++)
		assert_true(strcmp(renderings[i - 1]->name, renderings[i]->name) < 0);
	assert_null(rendering_find("flamegraph"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_short_and_exact),
		cmocka_unit_test(values_are_written_as_pprof_does),
		cmocka_unit_test(shares_and_values_are_rounded_as_printf_does),
		cmocka_unit_test(unknown_frames_are_told_by_their_names),
		cmocka_unit_test(folded_lines_are_sorted_exact_and_whole),
		cmocka_unit_test(names_do_not_break_folded_lines),
		cmocka_unit_test(top_is_what_pprof_prints),
		cmocka_unit_test(top_gathers_unknown_code_by_mapping),
		cmocka_unit_test(top_tsv_has_every_function_exactly),
		cmocka_unit_test(tree_says_what_it_left_out),
		cmocka_unit_test(deep_trees_stay_readable),
		cmocka_unit_test(nothing_renders_as_nothing),
		cmocka_unit_test(the_table_is_sorted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
