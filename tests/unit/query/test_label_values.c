/* SPDX-License-Identifier: MIT */
#include "fixture.h"

static void test_counts_profiles_by_value(void **state)
{
	struct fixture f;
	const struct labels *l;
	setup(&f);
	WRITE(&f, .labels = "pod=a,zone=z", .time = T0, .samples = "a 1 route=/x,n=#3\nb 1 route=/x\n");
	WRITE(&f, .labels = "pod=b,zone=z", .time = T0 + 1, .samples = "a 1 route=/y\n");
	WRITE(&f, .labels = "pod=b", .time = T0 + 2, .samples = "a 1 route=/x\n");
	struct query *q = ask(&f, select_type(NULL));
	assert_int_equal(query_labels(q, false, NULL, &l, NULL), 0);
	assert_int_equal(l->n, 2);
	assert_true(str_eq(l->v[0].key, STR("pod")));
	assert_int_equal(l->v[0].n, 2);
	assert_true(str_eq(l->v[0].values[0].value, STR("b")));
	assert_int_equal(l->v[0].values[0].profiles, 2);
	assert_int_equal(query_labels(q, true, NULL, &l, NULL), 0);
	assert_int_equal(l->n, 4);
	assert_true(str_eq(l->v[0].key, STR("n")));
	assert_true(str_eq(l->v[0].values[0].value, STR("3")));
	assert_true(l->v[2].of_samples);
	assert_true(str_eq(l->v[2].values[0].value, STR("/x")));
	assert_int_equal(l->v[2].values[0].profiles, 2);
	query_unref(q);
	teardown(&f);
}

static void test_values_beyond_the_limit_are_counted(void **state)
{
	struct fixture f;
	const struct labels *l;
	_buf_ struct buf samples = BUF_INIT(LIMIT);
	setup(&f);
	for (int i = 0; i < 10003; i++)
		buf_printf(&samples, "a 1 id=%05d\n", i);
	buf_u8(&samples, 0);
	WRITE(&f, .time = T0, .samples = (char *)samples.data);
	WRITE(&f, .time = T0 + 1, .samples = "a 1 id=10002\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(query_labels(q, true, NULL, &l, NULL), 0);
	assert_int_equal(l->n, 1);
	assert_int_equal(l->v[0].n, 10000);
	assert_int_equal(l->v[0].rest, 3);
	assert_true(str_eq(l->v[0].values[0].value, STR("10002")));
	assert_true(str_eq(l->v[0].values[1].value, STR("00000")));
	query_unref(q);
	teardown(&f);
}

static void test_types(void **state)
{
	struct fixture f;
	const struct type_count *types;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0, .types = "samples/count,cpu/nanoseconds", .samples = "a 1 1\n");
	WRITE(&f, .time = T0, .types = "contentions/count,delay/nanoseconds", .kind = "mutex", .samples = "a 1 1\n");
	WRITE(&f, .time = T0, .types = "cpu/milliseconds", .samples = "a 1\n");
	WRITE(&f, .time = T0 + HOUR, .types = "cpu/milliseconds", .samples = "a 1\n");
	struct selection *s = select_type("cpu");
	s->to = T0 + HOUR;
	struct query *q = ask(&f, s);
	assert_int_equal(query_types(q, &types, &n, NULL), 0);
	assert_int_equal(n, 4);
	assert_true(str_eq(types[0].name, STR("cpu")));
	assert_true(str_eq(types[0].unit, STR("nanoseconds")));
	assert_int_equal(types[0].profiles, 2);
	assert_true(str_eq(types[1].name, STR("mutex.contentions")));
	assert_true(str_eq(types[2].name, STR("mutex.delay")));
	assert_true(str_eq(types[3].name, STR("samples")));
	query_unref(q);
	expect_tree(&f, select_type("mutex.delay"), "1(0)[a 1(1)]");
	expect_tree(&f, select_type("delay"), "0(0)");
	teardown(&f);
}

static void test_hours(void **state)
{
	struct fixture f;
	const int32_t *hours;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0 + 3 * HOUR, .samples = "a 1\n");
	WRITE(&f, .time = T0 + 1, .samples = "a 1\n");
	WRITE(&f, .time = T0, .samples = "a 1\n");
	struct query *q = ask(&f, select_type(NULL));
	assert_int_equal(query_hours(q, &hours, &n, NULL), 0);
	assert_int_equal(n, 2);
	assert_int_equal(hours[0], T0 / HOUR);
	assert_int_equal(hours[1], T0 / HOUR + 3);
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_profiles_by_value),
		cmocka_unit_test(test_values_beyond_the_limit_are_counted),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_hours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
