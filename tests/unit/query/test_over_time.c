/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#define HEAP "alloc_objects/count,alloc_space/bytes,inuse_objects/count,inuse_space/bytes"

static const struct query_info *resolved(struct query *q)
{
	assert_int_equal(query_resolve(q, NULL, NULL), 0);
	return query_info(q);
}

static void test_running_totals_count_their_increase(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = "alloc_space/bytes", .samples = "a 100\nb 10\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "alloc_space/bytes", .samples = "a 130\nb 10\nc 5\n");
	WRITE(&f, .time = T0 + 2 * MINUTE, .types = "alloc_space/bytes", .samples = "a 131\nb 20\nc 5\n");
	struct query *q = ask(&f, select_type("alloc_space"));
	assert_tree(q, "156(0)[a 131(131) b 20(20) c 5(5)]");
	assert_int_equal(resolved(q)->first_of_series, 1);
	assert_int_equal(query_info(q)->restarts, 0);
	assert_true(query_info(q)->cumulative);
	query_unref(q);
	struct selection *s = select_type("alloc_space");
	s->from = T0 + MINUTE;
	q = ask(&f, s);
	assert_tree(q, "46(0)[a 31(31) b 10(10) c 5(5)]");
	assert_int_equal(query_info(q)->lookback, 1);
	assert_int_equal(query_info(q)->first_of_series, 0);
	query_unref(q);
	teardown(&f);
}

/* What is read beside alloc_* of the same profiles is no part of inuse_*. */
static void test_states_look_back_at_nothing(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = HEAP, .samples = "a 1 10 1 10\n");
	WRITE(&f, .time = T0 + MINUTE, .types = HEAP, .samples = "a 2 20 2 20\n");
	struct selection *s = select_type("inuse_space");
	s->from = T0 + MINUTE;
	struct query *q = ask(&f, s);
	assert_tree(q, "20(0)[a 20(20)]");
	assert_int_equal(resolved(q)->lookback, 0);
	query_unref(q);
	teardown(&f);
}

static void test_points_of_running_totals(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .types = "delay/nanoseconds", .samples = "a 100\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "delay/nanoseconds", .samples = "a 130\nb 1\n");
	struct query *q = ask(&f, select_type("delay"));
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(points[0].value, 100);
	assert_true(points[0].first);
	assert_int_equal(points[1].value, 31);
	assert_false(points[1].first);
	query_unref(q);
	teardown(&f);
}

static void test_restarts_count_whole(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = "alloc_space/bytes", .samples = "a 1000\nb 10\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "alloc_space/bytes", .samples = "a 40\nb 5\n");
	WRITE(&f, .time = T0 + 2 * MINUTE, .types = "alloc_space/bytes", .samples = "a 5000\n"); /* b vanished */
	struct query *q = ask(&f, select_type("alloc_space"));
	assert_tree(q, "6055(0)[a 6040(6040) b 15(15)]");
	assert_int_equal(resolved(q)->restarts, 2);
	query_unref(q);
	teardown(&f);
}

static void test_small_falls_are_rounding(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = "delay/nanoseconds", .samples = "a 12800\nb 10000\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "delay/nanoseconds", .samples = "a 12700\nb 10001\n");
	struct selection *s = select_type("delay");
	s->from = T0 + 1;
	struct query *q = ask(&f, s);
	assert_tree(q, "1(0)[b 1(1)]");
	assert_int_equal(resolved(q)->restarts, 0);
	query_unref(q);
	teardown(&f);
}

static void test_with_a_duration_they_are_no_totals(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = MINUTE, .types = "alloc_space/bytes", .samples = "a 100\n");
	WRITE(&f, .time = T0 + MINUTE, .duration = MINUTE, .types = "alloc_space/bytes", .samples = "a 130\n");
	expect_tree(&f, select_type("alloc_space"), "230(0)[a 230(230)]");
	teardown(&f);
}

static void test_the_sender_says_what_it_is(void **state)
{
	struct fixture f;
	setup(&f);
	for (int i = 0; i < 2; i++) {
		WRITE(&f, .time = T0 + i, .types = "contentions/count", .temporality = TEMPORALITY_DELTA,
		      .samples = i ? "a 130\n" : "a 100\n");
		WRITE(&f, .time = T0 + i, .duration = SECOND, .types = "requests/count",
		      .temporality = TEMPORALITY_CUMULATIVE, .samples = i ? "a 130\n" : "a 100\n");
	}
	expect_tree(&f, select_type("contentions"), "230(0)[a 230(230)]");
	expect_tree(&f, select_type("requests"), "130(0)[a 130(130)]");
	teardown(&f);
}

static void test_each_series_has_its_own_totals(void **state)
{
	struct fixture f;
	setup(&f);
	for (int i = 0; i < 3; i++) {
		char a[32], b[32];
		snprintf(a, sizeof a, "a %d\n", 100 + i);
		snprintf(b, sizeof b, "a %d\n", 1000 + 10 * i);
		WRITE(&f, .labels = "pod=a", .time = T0 + i * MINUTE, .types = "alloc_space/bytes", .samples = a);
		WRITE(&f, .labels = "pod=b", .time = T0 + i * MINUTE, .types = "alloc_space/bytes", .samples = b);
	}
	struct selection *s = select_type("alloc_space");
	s->from = T0 + 1;
	expect_tree(&f, s, "22(0)[a 22(22)]");
	teardown(&f);
}

static void test_looks_back_two_days(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .labels = "pod=a", .time = T0 - 47 * HOUR, .types = "alloc_space/bytes", .samples = "a 100\n");
	WRITE(&f, .labels = "pod=b", .time = T0 - 49 * HOUR, .types = "alloc_space/bytes", .samples = "b 100\n");
	WRITE(&f, .labels = "pod=a", .time = T0, .types = "alloc_space/bytes", .samples = "a 101\n");
	WRITE(&f, .labels = "pod=b", .time = T0, .types = "alloc_space/bytes", .samples = "b 101\n");
	struct selection *s = select_type("alloc_space");
	s->from = T0;
	struct query *q = ask(&f, s);
	assert_tree(q, "102(0)[a 1(1) b 101(101)]");
	assert_int_equal(query_info(q)->first_of_series, 1);
	assert_int_equal(query_info(q)->lookback, 1);
	query_unref(q);
	teardown(&f);
}

static void test_allocs_beside_heap_do_not_count(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = HEAP, .kind = "heap", .samples = "a 1 100 1 50\n");
	WRITE(&f, .time = T0 + 1, .types = HEAP, .default_type = "alloc_space", .samples = "a 1 110 1 50\n");
	WRITE(&f, .time = T0 + MINUTE, .types = HEAP, .kind = "heap", .samples = "a 1 120 1 50\n");
	WRITE(&f, .time = T0 + MINUTE + 1, .types = HEAP, .default_type = "alloc_space", .samples = "a 1 130 1 50\n");
	struct query *q = ask(&f, select_type("alloc_space"));
	assert_tree(q, "120(0)[a 120(120)]");
	assert_int_equal(query_info(q)->heap_shadowed, 2);
	assert_int_equal(query_info(q)->profiles, 2);
	query_unref(q);
	teardown(&f);
}

static void test_allocs_alone_count(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = HEAP, .default_type = "alloc_space", .samples = "a 1 100 1 50\n");
	expect_tree(&f, select_type("alloc_space"), "100(0)[a 100(100)]");
	teardown(&f);
}

static void test_instants_are_averaged_over_their_lives(void **state)
{
	struct fixture f;
	setup(&f);
	/* 100 for a minute, 40 for two, 10 for five. */
	WRITE(&f, .time = T0, .types = "inuse_space/bytes", .samples = "a 100\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "inuse_space/bytes", .samples = "a 30\nb 10\n");
	WRITE(&f, .time = T0 + 3 * MINUTE, .types = "inuse_space/bytes", .samples = "a 10\n");
	struct query *q = ask(&f, select_type("inuse_space"));
	/* (100 + 2 * 30 + 5 * 10) / 8 = 26.25, (2 * 10) / 8 = 2.5, together 28.75. */
	assert_tree(q, "29(0)[a 26(26) b 3(3)]");
	assert_true(query_info(q)->averaged);
	assert_int_equal(query_info(q)->covered, 8 * MINUTE);
	query_unref(q);
	struct selection *s = select_type("inuse_space");
	s->to = T0 + MINUTE;
	expect_tree(&f, s, "100(0)[a 100(100)]");
	teardown(&f);
}

static void test_instants_add_up_across_series(void **state)
{
	struct fixture f;
	setup(&f);
	for (int i = 0; i < 3; i++) {
		WRITE(&f, .labels = "pod=a", .time = T0 + i * MINUTE, .types = "goroutine/count", .samples = "a 10\n");
		WRITE(&f, .labels = "pod=b", .time = T0 + i * MINUTE, .types = "goroutine/count", .samples = "a 5\n");
	}
	expect_tree(&f, select_type("goroutine"), "15(0)[a 15(15)]");
	teardown(&f);
}

static void test_averages_add_up_to_the_rounded_total(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = "inuse_space/bytes", .samples = "a 1\nb 1\nc 1\nd 1\ne 1\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "inuse_space/bytes", .samples = "x 0\n");
	struct selection *s = select_type("inuse_space");
	/* 5 for a minute, then nothing for five: 5/6 in all, 1/6 each. */
	expect_tree(&f, s, "1(0)[c 1(1)]");
	teardown(&f);
}

static void test_a_gap_ends_a_life(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .types = "threadcreate/count", .samples = "a 4\n");
	WRITE(&f, .time = T0 + HOUR, .types = "threadcreate/count", .samples = "a 8\n");
	WRITE(&f, .time = T0 + HOUR + SECOND, .types = "threadcreate/count", .samples = "a 8\n");
	struct query *q = ask(&f, select_type("threadcreate"));
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(points[0].lives, 5 * MINUTE);
	assert_int_equal(points[1].lives, SECOND);
	assert_int_equal(points[2].lives, 5 * MINUTE);
	query_unref(q);
	teardown(&f);
}

/* The successor lies on the next day. */
static void test_a_life_ends_behind_the_selection(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	int64_t midnight = T0 + 12 * HOUR;
	WRITE(&f, .time = midnight - SECOND, .types = "goroutine/count", .samples = "a 4\n");
	WRITE(&f, .time = midnight + SECOND, .types = "goroutine/count", .samples = "a 8\n");
	struct selection *s = select_type("goroutine");
	s->from = T0 - 12 * HOUR;
	s->to = midnight;
	struct query *q = ask(&f, s);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(points[0].lives, 2 * SECOND);
	query_unref(q);
	teardown(&f);
}

static void test_differences_are_left_out(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .types = HEAP, .samples = "a 1 1 10 100\n");
	/* One whose total is negative, and one that only its samples betray. */
	WRITE(&f, .time = T0 + MINUTE, .duration = 1, .types = HEAP, .samples = "a 1 1 -1 -100\n");
	WRITE(&f, .time = T0 + MINUTE, .duration = 1, .types = HEAP, .samples = "a 1 1 -1 -100\nb 1 1 5 500\n");
	WRITE(&f, .time = T0 + 2 * MINUTE, .types = HEAP, .samples = "a 1 1 10 100\n");
	struct query *q = ask(&f, select_type("inuse_space"));
	assert_tree(q, "100(0)[a 100(100)]");
	assert_int_equal(query_info(q)->differences, 2);
	assert_int_equal(query_info(q)->profiles, 2);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(points[0].lives, 2 * MINUTE);
	query_unref(q);
	teardown(&f);
}

static void test_a_difference_behind_the_selection_ends_no_life(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .types = "inuse_space/bytes", .samples = "a 100\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "inuse_space/bytes", .samples = "a -100\nb 500\n");
	WRITE(&f, .time = T0 + 2 * MINUTE, .types = "inuse_space/bytes", .samples = "a -100\nb 500\n");
	WRITE(&f, .time = T0 + 3 * MINUTE, .types = "inuse_space/bytes", .samples = "a 7\n");
	struct selection *s = select_type("inuse_space");
	s->to = T0 + SECOND;
	struct query *q = ask(&f, s);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 1);
	assert_int_equal(points[0].lives, 3 * MINUTE);
	query_unref(q);
	teardown(&f);
}

/* All four types of a heap profile at once, each in its way. */
static void test_a_merged_heap(void **state)
{
	struct fixture f;
	struct profile p;
	setup(&f);
	WRITE(&f, .time = T0, .types = HEAP, .samples = "a 1 100 1 50\n");
	WRITE(&f, .time = T0 + 5 * MINUTE, .types = HEAP, .samples = "a 3 120 2 100\nb 1 7 0 0\n");
	struct query *q = ask(&f, select_type("inuse_space"));
	assert_int_equal(query_profile(q, NULL, &p, NULL), 0);
	assert_int_equal(p.types.n, 4);
	assert_true(str_eq(profile_str(&p, p.default_type), STR("inuse_space")));
	assert_int_equal(p.n_samples, 2);
	const int64_t expected[] = { 3, 120, 2, 75, 1, 7, 0, 0 };
	assert_memory_equal(p.values.v, expected, sizeof expected);
	assert_int_equal(profile_verify(&p, NULL), 0);
	profile_done(&p);
	query_unref(q);
	teardown(&f);
}

static void test_all_types_at_once(void **state)
{
	struct fixture f;
	struct profile p;
	setup(&f);
	WRITE(&f, .time = T0, .types = HEAP, .samples = "a 1 100 1 50\n");
	WRITE(&f, .time = T0 + 5 * MINUTE, .types = HEAP, .samples = "a 3 120 2 100\n");
	WRITE(&f, .time = T0, .duration = SECOND, .types = "cpu/microseconds", .samples = "a;b 7\n");
	struct query *q = ask(&f, select_type(NULL));
	assert_int_equal(query_profile(q, NULL, &p, NULL), 0);
	assert_int_equal(profile_verify(&p, NULL), 0);
	assert_int_equal(p.types.n, 5);
	assert_true(str_eq(profile_str(&p, p.types.v[2].type), STR("cpu")));
	assert_true(str_eq(profile_str(&p, p.types.v[2].unit), STR("nanoseconds")));
	assert_int_equal(p.n_samples, 2);
	const int64_t expected[] = { 3, 120, 0, 2, 75, 0, 0, 7000, 0, 0 };
	assert_memory_equal(p.values.v, expected, sizeof expected);
	profile_done(&p);
	query_unref(q);
	teardown(&f);
}

/* ---- heap profiles of a real program ---- */

static void write_file(struct fixture *f, const char *name, int64_t *ret_total)
{
	char path[512];
	static uint8_t data[1 << 20];
	const char *source = getenv("PROFILEFS_SOURCE");
	struct error err = { 0 };
	snprintf(path, sizeof path, "%s/tests/data/base/%s", source ? source : ".", name);
	_fclose_ FILE *file = fopen(path, "rb");
	assert_non_null(file);
	size_t n = fread(data, 1, sizeof data, file);
	struct decoded_list doc;
	_cleanup_(format_reader_freep) struct format_reader *r = NULL;
	assert_int_equal(format_reader_new((struct slice){ data, n }, &(struct format_options){ 0 }, &r, &err), 0);
	assert_int_equal(format_reader_next(r, &doc, &err), 1);
	const struct profile *p = &doc.v[0].profile;
	*ret_total = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		*ret_total += p->values.v[i * p->types.n + 1];
	struct db_write w = { .profile = p, .service = STR("svc") };
	assert_int_equal(db_write(f->db, &w, 1, NULL, &err), 0);
}

static void test_real_heaps(void **state)
{
	struct fixture f;
	const struct point *points;
	const struct call_tree *t;
	size_t n;
	int64_t total[3];
	setup(&f);
	write_file(&f, "caddy.heap.3.pb.gz", &total[2]);
	write_file(&f, "caddy.heap.1.pb.gz", &total[0]);
	write_file(&f, "caddy.heap.2.pb.gz", &total[1]);
	struct query *q = ask(&f, select_type("alloc_space"));
	assert_int_equal(query_tree(q, NULL, &t, NULL), 0);
	assert_int_equal(t->total, total[2]);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 3);
	assert_int_equal(points[0].value, total[0]);
	assert_int_equal(points[1].value, total[1] - total[0]);
	assert_int_equal(points[2].value, total[2] - total[1]);
	assert_int_equal(query_info(q)->restarts, 0);
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_running_totals_count_their_increase),
		cmocka_unit_test(test_states_look_back_at_nothing),
		cmocka_unit_test(test_points_of_running_totals),
		cmocka_unit_test(test_restarts_count_whole),
		cmocka_unit_test(test_small_falls_are_rounding),
		cmocka_unit_test(test_with_a_duration_they_are_no_totals),
		cmocka_unit_test(test_the_sender_says_what_it_is),
		cmocka_unit_test(test_each_series_has_its_own_totals),
		cmocka_unit_test(test_looks_back_two_days),
		cmocka_unit_test(test_allocs_beside_heap_do_not_count),
		cmocka_unit_test(test_allocs_alone_count),
		cmocka_unit_test(test_instants_are_averaged_over_their_lives),
		cmocka_unit_test(test_instants_add_up_across_series),
		cmocka_unit_test(test_averages_add_up_to_the_rounded_total),
		cmocka_unit_test(test_a_gap_ends_a_life),
		cmocka_unit_test(test_a_life_ends_behind_the_selection),
		cmocka_unit_test(test_differences_are_left_out),
		cmocka_unit_test(test_a_difference_behind_the_selection_ends_no_life),
		cmocka_unit_test(test_a_merged_heap),
		cmocka_unit_test(test_all_types_at_once),
		cmocka_unit_test(test_real_heaps),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
