/* SPDX-License-Identifier: MIT */
/* When samples were taken. */
#include "fixture.h"

#include "core/query/moments.h"

struct told {
	struct {
		int64_t time, value;
	} v[16];
	size_t n;
};

static void note(void *arg, int64_t time, int64_t value)
{
	struct told *t = arg;
	size_t at = t->n++;
	assert_true(at < ARRAY_SIZE(t->v));
	for (; at && t->v[at - 1].time > time; at--)
		t->v[at] = t->v[at - 1];
	t->v[at].time = time;
	t->v[at].value = value;
}

static void expect(struct fixture *f, struct selection *s, const char *expected, uint64_t without)
{
	struct told t = { 0 };
	struct moments m = { note, &t, 0, 0 };
	struct error err = { 0 };
	char text[512] = "";
	struct query *q = ask(f, s);
	assert_int_equal(query_moments(q, NULL, &m, &err), 0);
	for (size_t i = 0, n = 0; i < t.n; i++)
		n += (size_t)snprintf(text + n, sizeof text - n, "%lld:%lld ", (long long)(t.v[i].time - T0),
		                      (long long)t.v[i].value);
	assert_string_equal(text, expected);
	assert_int_equal(m.without, without);
	query_unref(q);
}

static void test_timestamps_and_elapsed_times(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = SECOND,
	      .samples = "a 5 timestamp=#1795348800250000000\nb 7 elapsed=#500000000\nc 9\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_true(query_has_moments(q));
	query_unref(q);
	expect(&f, select_type("cpu"), "250000000:5 500000000:7 ", 1);
	teardown(&f);
}

static void test_times_far_from_the_profile_are_none(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = SECOND, .samples = "a 5 timestamp=#0\nb 7 timestamp=#9223372036854775807\n"
	                                                      "c 1 elapsed=#9223372036854775807\nd 2 timestamp=text\n");
	expect(&f, select_type("cpu"), "", 4);
	teardown(&f);
}

static void test_matchers_and_filters_hold(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .duration = SECOND, .samples = "main;a 5 elapsed=#1,route=x\nmain;b 7 elapsed=#2,route=y\n"
	                                                      "main;a 11 elapsed=#3,route=y\n");
	struct selection *s = select_type("cpu");
	match(s, "route", MATCH_EQ, "y");
	expect(&f, s, "2:7 3:11 ", 0);
	s = select_type("cpu");
	filter(s, FILTER_FOCUS, "^a$");
	expect(&f, s, "1:5 3:11 ", 0);
	teardown(&f);
}

static void test_profiles_without_times_have_none(void **state)
{
	struct fixture f;
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 5\n");
	struct query *q = ask(&f, select_type("cpu"));
	assert_false(query_has_moments(q));
	query_unref(q);
	expect(&f, select_type("cpu"), "", 1);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timestamps_and_elapsed_times),
		cmocka_unit_test(test_times_far_from_the_profile_are_none),
		cmocka_unit_test(test_matchers_and_filters_hold),
		cmocka_unit_test(test_profiles_without_times_have_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
