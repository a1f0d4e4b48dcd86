/* SPDX-License-Identifier: MIT */
#include "fixture.h"

static void test_merges_by_name(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = SECOND, .samples = "main;b;c 10\nmain;a 5\n");
	WRITE(&f, .time = T0 + SECOND, .duration = SECOND, .samples = "main;b 1\nother 2\n- 4\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_tree(q, "22(4)[main 16(0)[a 5(5) b 11(1)[c 10(10)]] other 2(2)]");
	const struct query_info *info = query_info(q);
	assert_int_equal(info->profiles, 2);
	assert_int_equal(info->samples, 5);
	assert_int_equal(info->series, 1);
	assert_int_equal(info->first, T0);
	assert_int_equal(info->last, T0 + SECOND);
	assert_int_equal(info->duration, 2 * SECOND);
	assert_string_equal(info->unit, "nanoseconds");
	query_unref(q);
	teardown(&f);
}

static void test_time_is_half_open(void **state)
{
	struct fixture f;
	setup(&f);
	for (int i = 0; i < 4; i++)
		WRITE(&f, .time = T0 + i * SECOND, .duration = 10 * SECOND, .samples = "a 1\n");
	struct selection *s = select_type("cpu");
	s->from = T0 + SECOND;
	s->to = T0 + 3 * SECOND;
	expect_tree(&f, s, "2(0)[a 2(2)]");
	teardown(&f);
}

static void test_empty_selections(void **state)
{
	struct fixture f;
	struct profile p;
	const struct steps *steps;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1\n");
	struct selection *s = select_type("cpu");
	s->from = T0 + HOUR;
	s->to = T0 + 2 * HOUR;
	struct query *q = ask(&f, s);
	assert_tree(q, "0(0)");
	assert_int_equal(query_profile(q, NULL, &p, NULL), 0);
	assert_int_equal(p.n_samples, 0);
	assert_int_equal(p.types.n, 1);
	assert_int_equal(profile_verify(&p, NULL), 0);
	profile_done(&p);
	assert_int_equal(query_steps(q, NULL, &steps, NULL), 0);
	assert_int_equal(steps->n, 0);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 0);
	query_unref(q);
	expect_tree(&f, select_type("no_such_type"), "0(0)");
	s = select_type("cpu");
	s->from = T0;
	s->to = T0;
	expect_tree(&f, s, "0(0)");
	teardown(&f);
}

static void test_inlined_lines_are_frames(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "main;leaf<mid<outer 3\n");
	expect_tree(&f, select_type("cpu"), "3(0)[main 3(0)[outer 3(0)[mid 3(0)[leaf 3(3)]]]]");
	teardown(&f);
}

static void expect_by(struct fixture *f, enum granularity by, const char *expected)
{
	struct selection *s = select_type("cpu");
	s->options.granularity = by;
	expect_tree(f, s, expected);
}

static void test_granularities(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "main@m.go:1;f@f.go:7 1\nmain@m.go:1;f@f.go:9 2\nmain@m.go:3 4\n"
	                                 "main@m.go:1;0x10@/lib/x.so 8\nmain@m.go:1;0x20@/lib/x.so 16\n");
	expect_by(&f, BY_FUNCTION, "31(0)[main 31(4)[[x.so+0x10] 8(8) [x.so+0x20] 16(16) f 3(3)]]");
	expect_by(&f, BY_LINE, "31(0)[main@m.go:1 27(0)[[x.so+0x10] 8(8) [x.so+0x20] 16(16) f@f.go:7 1(1) "
	                       "f@f.go:9 2(2)] main@m.go:3 4(4)]");
	expect_by(&f, BY_FILE, "31(0)[m.go 31(4)[[x.so] 24(24) f.go 3(3)]]");
	teardown(&f);
}

static void test_zero_and_cancelled_stacks_are_left_out(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "main;a 0\nmain;b 5\nx;y -7\n");
	WRITE(&f, .time = T0 + 1, .samples = "main;b -5\nmain;c 1\n");
	expect_tree(&f, select_type("cpu"), "-6(0)[main 1(0)[c 1(1)] x -7(0)[y -7(-7)]]");
	teardown(&f);
}

static void test_sums_saturate(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 9223372036854775807\nb -9223372036854775808\n");
	WRITE(&f, .time = T0 + 1, .samples = "a 9223372036854775807\nb -9223372036854775808\nc 1\n");
	struct query *q = ask(&f, select_type("cpu"));
	const struct call_tree *t;
	assert_int_equal(query_tree(q, NULL, &t, NULL), 0);
	assert_int_equal(t->n_nodes, 4);
	assert_int_equal(t->nodes[1].self, INT64_MAX);
	assert_int_equal(t->nodes[2].self, INT64_MIN);
	query_unref(q);
	teardown(&f);
}

static void test_units_are_converted(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = "cpu/nanoseconds", .samples = "a 5\n");
	WRITE(&f, .time = T0 + 1, .types = "cpu/microseconds", .samples = "a 3\nb 1\n");
	WRITE(&f, .time = T0 + 2, .types = "samples/count,cpu/milliseconds", .samples = "a 1 2\n");
	WRITE(&f, .time = T0 + 3, .types = "cpu/count", .samples = "a 1000\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_tree(q, "2004005(0)[a 2003005(2003005) b 1000(1000)]");
	assert_string_equal(query_info(q)->unit, "nanoseconds");
	const struct point *points;
	size_t n;
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(points[2].value, 2000000);
	query_unref(q);
	expect_tree(&f, select_type("cpu.count"), "1000(0)[a 1000(1000)]");
	teardown(&f);
}

static void expect_filtered(struct fixture *f, enum filter_kind kind, const char *value, const char *expected)
{
	struct selection *s = select_type("cpu");
	filter(s, kind, value);
	expect_tree(f, s, expected);
}

static void test_filters(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "main;serve;alloc;gc 1\nmain;serve 2\nmain;gc;alloc 4\nmain;read@io.go:3 8\n");
	expect_filtered(&f, FILTER_FOCUS, "^all",
	                "5(0)[main 5(0)[gc 4(0)[alloc 4(4)] serve 1(0)[alloc 1(0)[gc 1(1)]]]]");
	expect_filtered(&f, FILTER_FOCUS, "io\\.go", "8(0)[main 8(0)[read 8(8)]]");
	expect_filtered(&f, FILTER_IGNORE, "gc", "10(0)[main 10(0)[read 8(8) serve 2(2)]]");
	expect_filtered(&f, FILTER_ROOT, "gc|alloc", "5(0)[alloc 1(0)[gc 1(1)] gc 4(0)[alloc 4(4)]]");
	expect_filtered(&f, FILTER_CALLERS, "^alloc$", "5(0)[alloc 5(0)[gc 4(0)[main 4(4)] serve 1(0)[main 1(1)]]]");
	expect_filtered(&f, FILTER_FUNCTION, "serve", "3(0)[main 3(0)[serve 3(2)[alloc 1(0)[gc 1(1)]]]]");
	expect_filtered(&f, FILTER_FUNCTION, "serv", "0(0)");
	expect_filtered(&f, FILTER_FOCUS, "nothing", "0(0)");
	teardown(&f);
}

static void test_filters_apply_in_order(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "main;a;b;c 1\nmain;b;c 2\n");
	struct selection *s = select_type("cpu");
	filter(s, FILTER_ROOT, "b");
	filter(s, FILTER_FOCUS, "^a$");
	expect_tree(&f, s, "0(0)");
	s = select_type("cpu");
	filter(s, FILTER_FOCUS, "^a$");
	filter(s, FILTER_ROOT, "b");
	expect_tree(&f, s, "1(0)[b 1(0)[c 1(1)]]");
	s = select_type("cpu");
	filter(s, FILTER_CALLERS, "c");
	filter(s, FILTER_CALLERS, "main");
	expect_tree(&f, s, "3(0)[main 3(0)[a 1(0)[b 1(0)[c 1(1)]] b 2(0)[c 2(2)]]]");
	teardown(&f);
}

/* As `pprof -show_from`: what is inlined into the match stays, what the match is inlined into goes. */
static void test_root_inside_inlined_lines(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "main;in<hit<out;leaf 1\n");
	expect_filtered(&f, FILTER_ROOT, "hit", "1(0)[hit 1(0)[in 1(0)[leaf 1(1)]]]");
	teardown(&f);
}

static void test_points_follow_filters(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a;b 3\na;c 4\n");
	WRITE(&f, .time = T0 + 1, .samples = "a;c 5\n");
	struct selection *s = select_type("cpu");
	filter(s, FILTER_FUNCTION, "b");
	struct query *q = ask(&f, s);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(points[0].value, 3);
	assert_int_equal(points[1].value, 0);
	query_unref(q);
	teardown(&f);
}

static void test_a_cancelled_query_can_be_asked_again(void **state)
{
	struct fixture f;
	struct cancel cancel = { .set = true };
	const struct call_tree *t;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(query_tree(q, &cancel, &t, NULL), ERR_CANCELLED);
	assert_tree(q, "1(0)[a 1(1)]");
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_merges_by_name),
		cmocka_unit_test(test_time_is_half_open),
		cmocka_unit_test(test_empty_selections),
		cmocka_unit_test(test_inlined_lines_are_frames),
		cmocka_unit_test(test_granularities),
		cmocka_unit_test(test_zero_and_cancelled_stacks_are_left_out),
		cmocka_unit_test(test_sums_saturate),
		cmocka_unit_test(test_units_are_converted),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_filters_apply_in_order),
		cmocka_unit_test(test_root_inside_inlined_lines),
		cmocka_unit_test(test_points_follow_filters),
		cmocka_unit_test(test_a_cancelled_query_can_be_asked_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
