/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "fixture.h"

static const struct steps *steps_of(struct query *q)
{
	const struct steps *s;
	struct error err = { 0 };
	int r = query_steps(q, NULL, &s, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	return s;
}

static void assert_near(double a, double b)
{
	assert_true(fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)));
}

static struct selection *by_step(const char *type, int64_t step)
{
	struct selection *s = select_type(type);
	s->options.step = step;
	return s;
}

/* Two cores' worth, 10 s at a time, for two minutes. */
static void write_steady(struct fixture *f, const char *labels)
{
	for (int i = 0; i < 12; i++)
		WRITE(f, .labels = labels, .time = T0 + i * 10 * SECOND, .duration = 10 * SECOND,
		      .samples = "a 20000000000\n");
}

static void test_rates_do_not_depend_on_the_step(void **state)
{
	static const int64_t steps[] = { SECOND, 15 * SECOND, 25 * SECOND, MINUTE, HOUR };
	struct fixture f;
	setup(&f);
	write_steady(&f, "pod=a");
	write_steady(&f, "pod=b");
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct query *q = ask(&f, by_step("cpu", steps[i]));
		const struct steps *s = steps_of(q);
		double sum = 0;
		for (size_t k = 0; k < s->n; k++) {
			assert_true(s->v[k].covered);
			assert_near(s->v[k].rate, 4e9);
			sum += s->v[k].sum;
		}
		assert_near(sum, 480e9);
		assert_int_equal(s->totals[0], 480000000000);
		query_unref(q);
	}
	teardown(&f);
}

static void test_gaps_are_not_zeros(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = 10 * SECOND, .samples = "a 10000000000\n");
	WRITE(&f, .time = T0 + MINUTE, .duration = 10 * SECOND, .samples = "z 0\n");
	struct query *q = ask(&f, by_step("cpu", 15 * SECOND));
	const struct steps *s = steps_of(q);
	assert_int_equal(s->from, T0);
	assert_int_equal(s->n, 5);
	assert_true(s->v[0].covered);
	assert_near(s->v[0].rate, 1e9);
	assert_false(s->v[1].covered);
	assert_false(s->v[2].covered);
	assert_true(s->v[4].covered);
	assert_near(s->v[4].rate, 0);
	assert_int_equal(s->v[0].profiles, 1);
	assert_int_equal(s->v[4].profiles, 1);
	query_unref(q);
	teardown(&f);
}

static void test_values_are_spread_over_their_duration(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0 + 10 * SECOND, .duration = 10 * SECOND, .samples = "a 1000\n");
	struct query *q = ask(&f, by_step("cpu", 15 * SECOND));
	const struct steps *s = steps_of(q);
	assert_int_equal(s->n, 2);
	assert_near(s->v[0].sum, 500);
	assert_near(s->v[1].sum, 500);
	assert_near(s->v[0].rate, 100);
	query_unref(q);
	teardown(&f);
}

/* The millisecond of its id is where it is looked for, not the time that is asked about. */
static void test_one_profile_is_spread_over_its_whole_duration(void **state)
{
	struct fixture f;
	const struct point *points;
	size_t n;
	setup(&f);
	WRITE(&f, .time = T0 + 10 * SECOND, .duration = 10 * SECOND, .samples = "a 1000\n");
	WRITE(&f, .time = T0 + 20 * SECOND, .duration = 10 * SECOND, .samples = "a 70\n");
	struct query *all = ask(&f, by_step("cpu", 15 * SECOND));
	assert_int_equal(query_points(all, NULL, &points, &n, NULL), 0);
	struct selection *sel = by_step("cpu", 15 * SECOND);
	sel->has_id = true;
	sel->id = points[0].id;
	struct query *q = ask(&f, sel);
	const struct steps *s = steps_of(q);
	assert_int_equal(s->n, 2);
	assert_near(s->v[0].sum, 500);
	assert_near(s->v[1].sum, 500);
	query_unref(q);
	query_unref(all);
	teardown(&f);
}

static void test_the_first_total_is_in_no_rate(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .types = "alloc_space/bytes", .samples = "a 1000000\n");
	WRITE(&f, .time = T0 + MINUTE, .types = "alloc_space/bytes", .samples = "a 1000600\n");
	struct query *q = ask(&f, by_step("alloc_space", 30 * SECOND));
	const struct steps *s = steps_of(q);
	assert_near(s->v[0].sum, 1000300);
	assert_near(s->v[0].rate, 10);
	assert_near(s->v[1].rate, 10);
	assert_int_equal(s->totals[0], 1000600);
	query_unref(q);
	teardown(&f);
}

static void test_instants_are_averages(void **state)
{
	struct fixture f;
	setup(&f);
	for (int i = 0; i < 4; i++) {
		WRITE(&f, .labels = "pod=a", .time = T0 + i * 30 * SECOND, .types = "goroutine/count",
		      .samples = i < 2 ? "a 10\n" : "a 20\n");
		WRITE(&f, .labels = "pod=b", .time = T0 + i * 30 * SECOND, .types = "goroutine/count",
		      .samples = "a 5\n");
	}
	struct selection *sel = by_step("goroutine", MINUTE);
	sel->to = T0 + 2 * MINUTE;
	struct query *q = ask(&f, sel);
	const struct steps *s = steps_of(q);
	assert_int_equal(s->n, 2);
	assert_near(s->v[0].sum, 15);
	assert_near(s->v[1].rate, 25);
	query_unref(q);
	teardown(&f);
}

static void test_groups(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .labels = "pod=b", .time = T0, .duration = SECOND, .samples = "a 2\n");
	WRITE(&f, .labels = "pod=a", .time = T0, .duration = SECOND, .samples = "a 1\n");
	WRITE(&f, .labels = "zone=z", .time = T0, .duration = SECOND, .samples = "a 4\n");
	struct selection *sel = by_step("cpu", 15 * SECOND);
	sel->by = strdup("pod");
	struct query *q = ask(&f, sel);
	const struct steps *s = steps_of(q);
	assert_int_equal(s->n_groups, 3);
	assert_int_equal(s->groups[0].len, 0);
	assert_int_equal(s->totals[0], 4);
	assert_memory_equal(s->groups[1].s, "a", 1);
	assert_int_equal(s->totals[1], 1);
	assert_int_equal(s->totals[2], 2);
	assert_near(s->v[2 * s->n].sum, 2);
	query_unref(q);
	teardown(&f);
}

static void test_the_step_is_chosen_from_the_range(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1\n");
	WRITE(&f, .time = T0 + HOUR - 1, .samples = "a 1\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(steps_of(q)->step, 30 * SECOND);
	assert_int_equal(steps_of(q)->n, 120);
	query_unref(q);
	WRITE(&f, .time = T0 + 24 * HOUR - 1, .samples = "a 1\n");
	q = ask(&f, select_type("cpu"));
	assert_int_equal(steps_of(q)->step, 15 * MINUTE);
	query_unref(q);
	teardown(&f);
}

static void test_too_many_steps_are_refused(void **state)
{
	struct fixture f;
	const struct steps *s;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1\n");
	WRITE(&f, .time = T0 + 400 * 24 * HOUR, .samples = "a 1\n");
	struct query *q = ask(&f, by_step("cpu", SECOND));
	assert_int_equal(query_steps(q, NULL, &s, NULL), ERR_LIMIT);
	query_unref(q);
	teardown(&f);
}

static void assert_group(const struct steps *s, size_t g, const char *name, int64_t total)
{
	assert_true(g < s->n_groups);
	assert_true(str_eq(s->groups[g], str_of(name)));
	assert_int_equal(s->totals[g], total);
}

/* A profile counts for each value with the samples that have it; a label of the profile itself is the value of all. */
static void test_groups_by_a_label_of_samples(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .labels = "pod=a", .time = T0, .duration = 10 * SECOND, .samples = "a 1 route=/x\nb 2 route=/y\nc 4\n");
	WRITE(&f, .labels = "pod=b,route=/y", .time = T0 + MINUTE, .duration = 10 * SECOND, .samples = "a 8\n");
	WRITE(&f, .labels = "pod=b", .time = T0 + 2 * MINUTE, .duration = 10 * SECOND, .samples = "a 16\n");
	struct selection *sel = by_step("cpu", MINUTE);
	sel->by = strdup("route");
	struct query *q = ask(&f, sel);
	const struct steps *s = steps_of(q);
	const struct point *points;
	size_t n;
	assert_int_equal(s->n_groups, 3);
	assert_group(s, 0, "", 20);
	assert_group(s, 1, "/x", 1);
	assert_group(s, 2, "/y", 10);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 5);
	assert_int_equal(points[4].time, T0 + 2 * MINUTE);
	assert_near(s->v[2 * s->n].sum, 2);
	assert_near(s->v[2 * s->n + 1].rate, 0.8);
	query_unref(q);
	teardown(&f);
}

/* Running totals count their increase in each group; beyond 32 values the rest is one group, of a name of its own. */
static void test_many_values_of_a_label_of_samples(void **state)
{
	struct fixture f;
	_buf_ struct buf samples = BUF_INIT(LIMIT);
	setup(&f);
	for (int i = 0; i < 40; i++)
		buf_printf(&samples, "a 10 id=%02d\n", i);
	buf_puts(&samples, "a 10 id=other\n");
	buf_u8(&samples, 0);
	WRITE(&f, .time = T0, .types = "alloc_space/bytes", .samples = (char *)samples.data);
	WRITE(&f, .time = T0 + MINUTE, .types = "alloc_space/bytes", .samples = "a 17 id=other\n");
	struct selection *sel = by_step("alloc_space", MINUTE);
	sel->from = T0 + MINUTE;
	sel->by = strdup("id");
	struct query *q = ask(&f, sel);
	assert_int_equal(steps_of(q)->n_groups, 1);
	assert_group(steps_of(q), 0, "other", 7);
	query_unref(q);
	sel = by_step("alloc_space", MINUTE);
	sel->to = T0 + MINUTE;
	sel->by = strdup("id");
	q = ask(&f, sel);
	assert_int_equal(steps_of(q)->n_groups, 33);
	assert_group(steps_of(q), 0, "00", 10);
	assert_group(steps_of(q), 32, "other", 90);
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rates_do_not_depend_on_the_step),
		cmocka_unit_test(test_gaps_are_not_zeros),
		cmocka_unit_test(test_values_are_spread_over_their_duration),
		cmocka_unit_test(test_one_profile_is_spread_over_its_whole_duration),
		cmocka_unit_test(test_the_first_total_is_in_no_rate),
		cmocka_unit_test(test_instants_are_averages),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_the_step_is_chosen_from_the_range),
		cmocka_unit_test(test_too_many_steps_are_refused),
		cmocka_unit_test(test_groups_by_a_label_of_samples),
		cmocka_unit_test(test_many_values_of_a_label_of_samples),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
