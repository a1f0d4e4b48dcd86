/* SPDX-License-Identifier: MIT */
/* Renderings of values over time and of what was selected: metrics, heatmaps, labels, info, README. */
#include "xmllint.h"

#define HOUR0 (INT64_C(1795356000) * NS_PER_S) /* 2026-11-22 14:00:00 UTC */

/* ---- metrics ---- */

static const struct step two_groups[] = {
	{ 3e9, 0.2, 1, true }, { 0 }, { 0, 0, 0, true },
	{ 1.5e9, 0.1, 2, true }, { 0, 0, 0, false }, { 1e9, 0.066666666666, 1, true },
};

static void given_steps(struct query *q, const struct str *groups, size_t n_groups, const int64_t *totals)
{
	given(q, "cpu", "nanoseconds");
	q->steps = (struct steps){ .from = HOUR0, .step = 15 * NS_PER_S, .n = 3, .n_groups = n_groups };
	q->steps.groups = groups;
	q->steps.totals = totals;
	q->steps.v = two_groups;
}

static void metrics_are_openmetrics(void **state)
{
	struct query q;
	given_steps(&q, (struct str[]){ STR("") }, 1, (int64_t[]){ 3 });
	char *out = rendered(&q, "metrics.prom");
	assert_string_equal(
		out,
		"# TYPE profilefs_cpu_sum_per_step_seconds gauge\n"
		"# UNIT profilefs_cpu_sum_per_step_seconds seconds\n"
		"# HELP profilefs_cpu_sum_per_step_seconds What fell into the step that begins at the "
		"timestamp.\n"
		"profilefs_cpu_sum_per_step_seconds{service=\"checkout\",type=\"cpu\"} 3 1795356000\n"
		"profilefs_cpu_sum_per_step_seconds{service=\"checkout\",type=\"cpu\"} 0 1795356030\n"
		"# TYPE profilefs_cpu_rate_seconds_per_second gauge\n"
		"# UNIT profilefs_cpu_rate_seconds_per_second seconds_per_second\n"
		"# HELP profilefs_cpu_rate_seconds_per_second Per second of covered time in the step that "
		"begins "
		"at the timestamp.\n"
		"profilefs_cpu_rate_seconds_per_second{service=\"checkout\",type=\"cpu\"} 2e-10 1795356000\n"
		"profilefs_cpu_rate_seconds_per_second{service=\"checkout\",type=\"cpu\"} 0 1795356030\n"
		"# EOF\n");
	free(out);
}

static void metrics_by_a_label_escape_it(void **state)
{
	struct query q;
	given_steps(&q, (struct str[]){ STR("a\"\\\n\xff"), STR("z") }, 2, (int64_t[]){ 3, 2 });
	q.selection.by = (char *)"http.route";
	char *out = rendered(&q, "metrics.prom");
	assert_contains(
		out,
		"{service=\"checkout\",type=\"cpu\",http_route=\"a\\\"\\\\\\n\xef\xbf\xbd\"} 3 1795356000\n");
	assert_contains(out, "http_route=\"z\"} 1.5 1795356000\n");
	free(out);
	q.selection.by = (char *)"service";
	q.selection.service = NULL;
	out = rendered(&q, "metrics.prom");
	assert_contains(out, "{service=\"z\",type=\"cpu\"} 1.5 1795356000\n");
	free(out);
}

static void instantaneous_types_have_one_average(void **state)
{
	struct query q;
	given_steps(&q, (struct str[]){ STR("") }, 1, (int64_t[]){ 3 });
	given(&q, "inuse_space", "bytes");
	q.info.type_class = TYPE_INSTANT;
	q.steps = (struct steps){ HOUR0,     15 * NS_PER_S, 3, 1, (struct str[]){ STR("") }, (int64_t[]){ 3 },
	                          two_groups };
	char *out = rendered(&q, "metrics.prom");
	assert_contains(out, "# UNIT profilefs_inuse_space_average_bytes bytes\n");
	assert_lacks(out, "rate");
	free(out);
	out = rendered(&q, "metrics.csv");
	assert_string_equal(out, "time,average,profiles,unit\n2026-11-22T14:00:00Z,3000000000,1,bytes\n"
	                         "2026-11-22T14:00:30Z,0,0,bytes\n");
	free(out);
}

static void the_greatest_thousand_stay(void **state)
{
	enum { N = 1200 };
	static struct step steps[N];
	static struct str groups[N];
	static int64_t totals[N];
	static char names[N][8];
	struct query q;
	for (size_t i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], i == 700 ? "other" : "p%04zu", i);
		groups[i] = str_of(names[i]);
		totals[i] = (int64_t)i;
		steps[i] = (struct step){ (double)i * 1e9, 1, 1, true };
	}
	given(&q, "cpu", "nanoseconds");
	q.selection.by = (char *)"pod";
	q.steps = (struct steps){ HOUR0, NS_PER_S, 1, N, groups, totals, steps };
	char *out = rendered(&q, "metrics.prom");
	assert_int_equal(count_of(out, "\nprofilefs_cpu_sum_per_step_seconds{"), 1001);
	assert_lacks(out, "p0199");
	assert_contains(out, "pod=\"p0200\"} 200 ");
	assert_contains(out, "pod=\"other\"} 700 ");
	assert_contains(out, "pod=\"other_2\"} 19900 ");
	free(out);
}

static void csv_has_a_line_per_step_and_value(void **state)
{
	struct query q;
	given_steps(&q, (struct str[]){ STR("a,\"b\""), STR("z") }, 2, (int64_t[]){ 3, 2 });
	q.selection.by = (char *)"pod";
	char *out = rendered(&q, "metrics.csv");
	assert_string_equal(out, "time,pod,sum,rate,profiles,unit\n"
	                         "2026-11-22T14:00:00Z,\"a,\"\"b\"\"\",3,2e-10,1,seconds\n"
	                         "2026-11-22T14:00:30Z,\"a,\"\"b\"\"\",0,0,0,seconds\n"
	                         "2026-11-22T14:00:00Z,z,1.5,1e-10,2,seconds\n"
	                         "2026-11-22T14:00:30Z,z,1,6.6666666666e-11,1,seconds\n");
	free(out);
}

/* ---- heatmaps ---- */

static const struct point points[] = {
	{ .time = HOUR0, .duration = 10 * NS_PER_S, .value = 0 },
	{ .time = HOUR0 + 5 * NS_PER_S, .value = 100, .group = 1 },
	{ .time = HOUR0 + 5 * NS_PER_S, .value = 100, .group = 1 },
	{ .time = HOUR0 + 59 * NS_PER_S, .value = 40 },
};

static void given_points(struct query *q)
{
	given(q, "samples", "count");
	q->points = points;
	q->n_points = ARRAY_SIZE(points);
	q->info.profiles = q->n_points;
	q->info.first = HOUR0;
	q->selection.from = HOUR0;
	q->selection.to = HOUR0 + NS_PER_MIN;
	q->selection.options.step = 5 * NS_PER_S;
}

static void a_heatmap_counts_profiles_by_time_and_value(void **state)
{
	struct query q;
	given_points(&q);
	char *out = rendered(&q, "heatmap.csv");
	assert_string_equal(out, "time,low,high,count,sum,unit\n"
	                         "2026-11-22T14:00:00Z,0,5,1,0,count\n"
	                         "2026-11-22T14:00:05Z,95,100,2,200,count\n"
	                         "2026-11-22T14:01:00Z,40,45,1,40,count\n");
	free(out);
	out = rendered(&q, "heatmap.svg");
	assert_well_formed(out);
	/* A profile at the right edge of a column is in it: the path begins and ends behind those moments. */
	assert_contains(out, "<a href=\"2026-11-22T140000.000000001--2026-11-22T140005.000000001/profiles/\">");
	assert_contains(out, "<a href=\"2026-11-22T140055--2026-11-22T140100/profiles/\">");
	assert_contains(out, "<title>2 profiles, 95 to 100, sum 200, after 2026-11-22 14:00:00 UTC to 2026-11-22 14:00:05 "
	                     "UTC\n2026-11-22T140005_00000000000000000000000000\n"
	                     "2026-11-22T140005_00000000000000000000000000</title>");
	assert_contains(out, "data-sharp=\"1 2\"");
	/* 14:00:05 is covered by the first profile; then nothing until 14:00:55. */
	assert_contains(out, "no profiles from 2026-11-22 14:00:10 UTC to 2026-11-22 14:00:55 UTC");
	assert_int_equal(count_of(out, "class=\"gap\""), 2); /* the other one in the legend */
	free(out);
}

static void a_heatmap_by_label_has_a_row_per_value(void **state)
{
	struct query q;
	given_points(&q);
	q.selection.by = (char *)"pod";
	q.groups = (struct str[]){ STR("<a>"), STR("b") };
	q.n_groups = 2;
	char *out = rendered(&q, "heatmap.svg");
	assert_well_formed(out);
	assert_contains(out, "<a href=\"../2026-11-22T140000.000000001--");
	assert_contains(out, "2 profiles, b: 200, ");
	assert_contains(out, ">&lt;a&gt;</text>");
	free(out);
}

static void heatmaps_stay_drawable(void **state)
{
	enum { N = 100000 };
	static struct point many[N];
	struct query q;
	for (size_t i = 0; i < N; i++)
		many[i] = (struct point){ .time = HOUR0 + (int64_t)i * NS_PER_S, .value = (int64_t)(i * 7919 % 1000) };
	given_points(&q);
	q.points = many;
	q.n_points = N;
	q.info.first = HOUR0;
	q.info.last = many[N - 1].time;
	q.selection.from = TIME_MIN;
	q.selection.to = TIME_MAX;
	q.selection.options.step = NS_PER_S;
	char *out = rendered(&q, "heatmap.svg");
	assert_well_formed(out);
	assert_true(count_of(out, "<") - count_of(out, "</") <= 20000);
	assert_contains(out, "longer than asked for");
	free(out);
}

static void heatmaps_take_any_value_and_time(void **state)
{
	static const struct point extremes[] = {
		{ .time = INT64_MIN, .value = INT64_MIN, .duration = INT64_MAX },
		{ .time = 0, .value = 0 },
		{ .time = INT64_MAX, .value = INT64_MAX, .duration = INT64_MAX },
	};
	for (int log = 0; log < 2; log++) {
		struct query q;
		given(&q, "samples", "count");
		q.points = extremes;
		q.n_points = q.info.profiles = 3;
		q.info.first = INT64_MIN;
		q.info.last = INT64_MAX;
		q.selection.options.log_scale = log;
		char *out = rendered(&q, "heatmap.svg");
		assert_well_formed(out);
		free(out);
		free(rendered(&q, "heatmap.csv"));
	}
}

static void log_scale_has_a_row_for_what_has_no_logarithm(void **state)
{
	static const struct point spread[] = { { .time = HOUR0, .value = -3 },
	                                       { .time = HOUR0, .value = 1 },
	                                       { .time = HOUR0, .value = 1000000 } };
	struct query q;
	given_points(&q);
	q.points = spread;
	q.n_points = 3;
	q.selection.options.log_scale = true;
	char *out = rendered(&q, "heatmap.csv");
	assert_contains(out, "Z,-3,1,1,-3,count\n");
	assert_contains(out, "Z,1,3,1,1,count\n");
	assert_contains(out, ",1000000,1,1000000,count\n");
	free(out);
}

static void an_empty_heatmap_says_so(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	q.info.profiles = 0;
	char *out = rendered(&q, "heatmap.svg");
	assert_well_formed(out);
	assert_contains(out, "no profiles in this selection");
	free(out);
	out = rendered(&q, "heatmap.csv");
	assert_string_equal(out, "time,low,high,count,sum,unit\n");
	free(out);
}

/* ---- what was selected ---- */

static void info_says_what_was_done(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	q.selection.from = HOUR0;
	q.selection.to = HOUR0 + NS_PER_HOUR;
	q.info.profiles = 1234;
	q.info.averaged = true;
	q.info.covered = 1500 * NS_PER_MS;
	q.info.damaged = 2;
	char *out = rendered(&q, "info.json");
	assert_contains(out, "\"from\": \"2026-11-22T14:00:00Z\"");
	assert_contains(out, "\"to\": \"2026-11-22T15:00:00Z\"");
	assert_contains(out, "\"1,234 profiles were merged by stack.\"");
	assert_contains(out, "divided by the 1.5 s in which any series lived.");
	assert_null(strstr(out, "duplicate")); /* compaction leaves none: bytes must not tell */
	assert_contains(out, "\"2 objects of the store are damaged and were left out.\"");
	free(out);
}

static void labels_are_listed_with_counts(void **state)
{
	static const struct label_count values[] = { { STR("eu\""), 3 }, { STR("us"), 1 } };
	static const struct label_values label = { .key = STR("region"), .values = values, .n = 2, .rest = 5 };
	struct query q;
	given(&q, "cpu", "nanoseconds");
	q.labels = (struct labels){ &label, 1 };
	char *out = rendered(&q, "labels.json");
	assert_contains(out, "\"value\": \"eu\\\"\"");
	assert_contains(out, "\"distinct\": 7");
	assert_contains(out, "\"not_listed\": 5");
	free(out);
}

static void the_readme_opens_with_six_lines(void **state)
{
	char *names[] = { (char *)"cart" };
	struct names services = { names, 1 };
	struct buf b = BUF_INIT(1 << 16);
	render_readme(&(struct readme_facts){ &services, true }, &b);
	buf_putc(&b, 0);
	const char *text = (const char *)b.data;
	static const char *const openings[] = { "- newest: ", "- last 15 minutes: ",
	                                        "- heap: ",   "- two versions: ",
	                                        "- write: ",  "- where errors are: " };
	for (size_t i = 0; i < ARRAY_SIZE(openings); i++) {
		assert_int_equal(strncmp(text, openings[i], strlen(openings[i])), 0);
		text = strchr(text, '\n') + 1;
	}
	assert_contains((const char *)b.data, "cart/latest/cpu/top.txt");
	assert_contains((const char *)b.data, "UTC");
	buf_done(&b);
	render_readme(&(struct readme_facts){ NULL, false }, &b);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(metrics_are_openmetrics),
		cmocka_unit_test(metrics_by_a_label_escape_it),
		cmocka_unit_test(instantaneous_types_have_one_average),
		cmocka_unit_test(the_greatest_thousand_stay),
		cmocka_unit_test(csv_has_a_line_per_step_and_value),
		cmocka_unit_test(a_heatmap_counts_profiles_by_time_and_value),
		cmocka_unit_test(a_heatmap_by_label_has_a_row_per_value),
		cmocka_unit_test(heatmaps_stay_drawable),
		cmocka_unit_test(heatmaps_take_any_value_and_time),
		cmocka_unit_test(log_scale_has_a_row_for_what_has_no_logarithm),
		cmocka_unit_test(an_empty_heatmap_says_so),
		cmocka_unit_test(info_says_what_was_done),
		cmocka_unit_test(labels_are_listed_with_counts),
		cmocka_unit_test(the_readme_opens_with_six_lines),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
