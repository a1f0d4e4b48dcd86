/* SPDX-License-Identifier: MIT */
#include "fixture.h"

static void expect_match(struct fixture *f, const char *key, enum match_op op, const char *value, const char *expected)
{
	struct selection *s = select_type("cpu");
	match(s, key, op, value);
	expect_tree(f, s, expected);
}

static void test_labels_of_profiles(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .labels = "region=eu,pod=a", .time = T0, .samples = "a 1\n");
	WRITE(&f, .labels = "region=us,pod=b", .time = T0, .samples = "a 2\n");
	WRITE(&f, .labels = "pod=c", .time = T0, .samples = "a 4\n");
	expect_match(&f, "region", MATCH_EQ, "eu", "1(0)[a 1(1)]");
	expect_match(&f, "region", MATCH_NE, "eu", "6(0)[a 6(6)]");
	expect_match(&f, "region", MATCH_RE, "e.|us", "3(0)[a 3(3)]");
	expect_match(&f, "region", MATCH_NRE, "e.", "6(0)[a 6(6)]");
	expect_match(&f, "region", MATCH_EQ, "", "4(0)[a 4(4)]");
	expect_match(&f, "region", MATCH_RE, ".+", "3(0)[a 3(3)]");
	expect_match(&f, "pod", MATCH_EQ, "A", "0(0)");
	teardown(&f);
}

static void test_all_services(void **state)
{
	struct fixture f;
	size_t n;
	setup(&f);
	WRITE(&f, .service = "x", .labels = "pod=a", .time = T0, .samples = "a 1\n");
	WRITE(&f, .service = "y", .labels = "zone=a", .time = T0, .samples = "a 2\n");
	struct selection *s = select_type("cpu");
	free(TAKE_PTR(s->service));
	struct query *q = ask(&f, s);
	assert_tree(q, "3(0)[a 3(3)]");
	assert_int_equal(query_info(q)->series, 2);
	const struct label *labels = query_series_labels(q, 0, &n);
	assert_int_equal(n, 2);
	assert_memory_equal(labels[1].key.s, "service", 7);
	assert_memory_equal(labels[1].value.s, "x", 1);
	labels = query_series_labels(q, 1, &n);
	assert_memory_equal(labels[0].key.s, "service", 7);
	query_unref(q);
	s = select_type("cpu");
	free(TAKE_PTR(s->service));
	match(s, "service", MATCH_NE, "x");
	expect_tree(&f, s, "2(0)[a 2(2)]");
	teardown(&f);
}

static void write_routes(struct fixture *f)
{
	WRITE(f, .labels = "pod=a", .time = T0, .samples = "a 1 route=/x\na 2 route=/y\na 4\n");
	WRITE(f, .labels = "pod=b", .time = T0 + 1, .samples = "b 8\n");
	WRITE(f, .labels = "pod=c,route=/x", .time = T0 + 2, .samples = "c 16 route=/y\nc 32\n");
}

static void test_labels_of_samples(void **state)
{
	struct fixture f;
	setup(&f);
	write_routes(&f);
	/* pod=c's own route matches: all of it. */
	expect_match(&f, "route", MATCH_EQ, "/x", "49(0)[a 1(1) c 48(48)]");
	/* pod=c's own does not: only the samples that have one that does. */
	expect_match(&f, "route", MATCH_EQ, "/y", "18(0)[a 2(2) c 16(16)]");
	expect_match(&f, "route", MATCH_NE, "/x", "30(0)[a 6(6) b 8(8) c 16(16)]");
	expect_match(&f, "route", MATCH_EQ, "", "12(0)[a 4(4) b 8(8)]");
	expect_match(&f, "route", MATCH_RE, "/.*", "51(0)[a 3(3) c 48(48)]");
	struct selection *s = select_type("cpu");
	match(s, "route", MATCH_EQ, "/y");
	match(s, "pod", MATCH_EQ, "a");
	expect_tree(&f, s, "2(0)[a 2(2)]");
	teardown(&f);
}

static void test_a_label_of_the_path_wins_over_those_of_samples(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .labels = "route=/x", .of_path = true, .time = T0, .samples = "a 1 route=/y\na 2\n");
	expect_match(&f, "route", MATCH_EQ, "/x", "3(0)[a 3(3)]");
	expect_match(&f, "route", MATCH_EQ, "/y", "0(0)");
	teardown(&f);
}

static void test_profiles_without_matching_samples_are_not_taken(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	write_routes(&f);
	struct selection *s = select_type("cpu");
	match(s, "route", MATCH_EQ, "/y");
	struct query *q = ask(&f, s);
	assert_int_equal(query_info(q)->profiles, 2);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(points[0].value, 2);
	assert_int_equal(points[1].value, 16);
	query_unref(q);
	teardown(&f);
}

static void test_numeric_labels_match_in_decimal(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1 bytes=#512\na 2 bytes=#-1\n");
	expect_match(&f, "bytes", MATCH_EQ, "512", "1(0)[a 1(1)]");
	expect_match(&f, "bytes", MATCH_RE, "-.*", "2(0)[a 2(2)]");
	teardown(&f);
}

static void test_one_profile_by_id(void **state)
{
	struct fixture f;
	const struct point *points;
	struct found_profile found;
	struct profile p;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1\n");
	WRITE(&f, .time = T0 + 100, .samples = "a 2\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(query_found(q, 1, &found, NULL), 0);
	assert_int_equal(found.time, T0 + 100);
	assert_int_equal(query_found(q, 2, &found, NULL), ERR_PATH_ABSENT);
	struct selection *s = select_type(NULL);
	s->has_id = true;
	s->id = points[1].id;
	struct query *one = ask(&f, s);
	assert_int_equal(query_info(one)->profiles, 1);
	assert_int_equal(query_restore(one, &points[1].id, &p, NULL), 0);
	assert_int_equal(p.values.v[0], 2);
	profile_done(&p);
	assert_int_equal(query_restore(one, &points[0].id, &p, NULL), ERR_PATH_ABSENT);
	query_unref(one);
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_labels_of_profiles),
		cmocka_unit_test(test_all_services),
		cmocka_unit_test(test_labels_of_samples),
		cmocka_unit_test(test_a_label_of_the_path_wins_over_those_of_samples),
		cmocka_unit_test(test_profiles_without_matching_samples_are_not_taken),
		cmocka_unit_test(test_numeric_labels_match_in_decimal),
		cmocka_unit_test(test_one_profile_by_id),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
