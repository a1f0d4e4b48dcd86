/* SPDX-License-Identifier: MIT */
/*
 * Pictures with time across: timeline.svg, subsecond.svg, and the selector that they share with heatmap.svg. With
 * PROFILEFS_PICTURES=FOLDER it also writes the pictures that tests/browser opens.
 */
#include "xmllint.h"

#define HOUR0 (INT64_C(1795356000) * NS_PER_S) /* 2026-11-22 14:00:00 UTC */

/* ---- timeline.svg ---- */

#define N_STEPS 60
#define N_GROUPS 13

static struct step steps[N_GROUPS * N_STEPS];
static int64_t totals[N_GROUPS];
static char group_names[N_GROUPS][16];
static struct str groups[N_GROUPS];

/* Pods that differ in size; steps 20 to 24 are not covered. */
static void given_steps(struct query *q, size_t n_groups)
{
	given(q, "cpu", "nanoseconds");
	for (size_t g = 0; g < n_groups; g++) {
		snprintf(group_names[g], sizeof group_names[g], "<pod-%02zu>", g);
		groups[g] = str_of(group_names[g]);
		totals[g] = (int64_t)(g + 1) * 60 * NS_PER_S;
		for (size_t i = 0; i < N_STEPS; i++)
			steps[g * N_STEPS + i] = (struct step){ .rate = (double)(g + 1) * 1e9 * (1 + (double)(i % 7) / 10),
				                                .profiles = 2, .covered = i < 20 || i > 24 };
	}
	q->info.profiles = 100;
	q->selection.from = HOUR0;
	q->selection.to = HOUR0 + N_STEPS * NS_PER_MIN;
	q->selection.by = n_groups > 1 ? (char *)"pod" : NULL;
	q->steps = (struct steps){ HOUR0, NS_PER_MIN, N_STEPS, n_groups, groups, totals, steps };
}

static void a_series_is_a_line_with_gaps(void **state)
{
	struct query q;
	given_steps(&q, 1);
	char *out = rendered(&q, "timeline.svg");
	assert_well_formed(out);
	assert_int_equal(count_of(out, "class=\"s0 ln\""), 2); /* the line and its legend */
	assert_contains(out, "<title>no profiles from 2026-11-22 14:20:00 UTC to 2026-11-22 14:25:00 UTC</title>");
	assert_contains(out, "at most 1.6s/s");
	assert_contains(out, "rates of 60 s");
	assert_contains(out, "data-step=\"60000000000\"");
	free(out);
}

static void the_greatest_ten_have_lines_the_rest_one(void **state)
{
	struct query q;
	given_steps(&q, N_GROUPS);
	char *out = rendered(&q, "timeline.svg");
	assert_well_formed(out);
	assert_contains(out, "<title>&lt;pod-12&gt;</title>");
	assert_contains(out, "<title>&lt;pod-03&gt;</title>");
	assert_lacks(out, "pod-02");
	assert_contains(out, "<title>3 others</title>");
	assert_contains(out, "data-prefix=\"../\"");
	free(out);
}

static void an_empty_timeline_says_so(void **state)
{
	struct query q;
	given_steps(&q, 1);
	q.steps.n = 0;
	char *out = rendered(&q, "timeline.svg");
	assert_well_formed(out);
	assert_contains(out, "no profiles in this selection");
	free(out);
}

static void timelines_take_any_value(void **state)
{
	static const double rates[] = { 0, 1e300, -5e18, 1e-9 };
	for (size_t i = 0; i < ARRAY_SIZE(rates); i++) {
		struct query q;
		given_steps(&q, 1);
		for (size_t c = 0; c < N_STEPS; c++)
			steps[c].rate = c % 2 ? rates[i] : 0;
		char *out = rendered(&q, "timeline.svg");
		assert_well_formed(out);
		assert_true(strlen(out) < 100000);
		assert_lacks(out, "nan");
		free(out);
	}
}

/* A baseline of an hour, a day earlier and in steps of five minutes, twice as much. */
static void given_baseline(struct query *q, struct query *base, struct step before[12])
{
	static int64_t total[] = { 120 * NS_PER_S };
	static const struct str all[] = { { "", 0 } };
	given_steps(q, 1);
	*base = *q;
	for (size_t i = 0; i < 12; i++)
		before[i] = (struct step){ .rate = 2e9, .profiles = 1, .covered = i != 6 };
	base->info.profiles = 11;
	base->selection.from = HOUR0 - NS_PER_DAY;
	base->selection.to = HOUR0 - NS_PER_DAY + NS_PER_HOUR;
	base->steps = (struct steps){ base->selection.from, 5 * NS_PER_MIN, 12, 1, all, total, before };
	q->baseline = base;
}

static void a_baseline_is_a_line_that_begins_where_the_selection_does(void **state)
{
	struct query q, base;
	struct step before[12];
	given_baseline(&q, &base, before);
	char *out = rendered(&q, "timeline.svg");
	assert_well_formed(out);
	assert_contains(out, "100 and 11 profiles, 2026-11-22 14:00:00 UTC to 2026-11-22 15:00:00 UTC vs 2026-11-21 14:00:00");
	assert_contains(out, "rates of 300 s");
	assert_contains(out, "the baseline is shown 1 day later than it was");
	assert_contains(out, "<title>selection</title>");
	assert_contains(out, "<title>baseline</title>");
	assert_contains(out, "average 2s/s, at most 2s/s");
	assert_int_equal(count_of(out, "class=\"gap\""), 0); /* where one side has none the other has data */
	assert_lacks(out, "<script");
	free(out);
}

static void a_side_may_be_empty(void **state)
{
	struct query q, base;
	struct step before[12];
	given_baseline(&q, &base, before);
	base.steps.n = 0;
	char *out = rendered(&q, "timeline.svg");
	assert_contains(out, "<title>no profiles from 2026-11-22 14:20:00 UTC to 2026-11-22 14:25:00 UTC</title>");
	assert_contains(out, "rates of 60 s");
	free(out);
	given_baseline(&q, &base, before);
	q.steps.n = 0;
	out = rendered(&q, "timeline.svg");
	assert_contains(out, "<title>no profiles from 2026-11-22 14:30:00 UTC to 2026-11-22 14:35:00 UTC</title>");
	free(out);
}

static void sides_of_other_lengths_are_whole(void **state)
{
	struct query q, base;
	struct step before[12];
	given_baseline(&q, &base, before);
	base.steps.from -= NS_PER_HOUR; /* begins before its selection does, as a profile's time may */
	base.selection.from = TIME_MIN; /* unbounded: nothing is moved */
	char *out = rendered(&q, "timeline.svg");
	assert_well_formed(out);
	assert_lacks(out, "the baseline is shown");
	assert_contains(out, "<title>no profiles from 2026-11-21 14:00:00 UTC to ");
	free(out);
}

/* ---- subsecond.svg ---- */

static int64_t moments[4000][2];

/* A beat at 100 ms of each second, and noise; second 30 has nothing. */
static void given_moments(struct query *q)
{
	given(q, "cpu", "nanoseconds");
	size_t n = 0;
	for (int64_t s = 0; s < 60; s++)
		for (int64_t i = 0; i < 40 && s != 30; i++) {
			int64_t offset = i % 2 ? 100 * NS_PER_MS + i * 100000 : (i * 7919 + s * 104729) % 1000 * NS_PER_MS;
			moments[n][0] = HOUR0 + s * NS_PER_S + offset;
			moments[n++][1] = 10 * NS_PER_MS;
		}
	q->selection.from = HOUR0;
	q->selection.to = HOUR0 + NS_PER_HOUR;
	q->moments = moments;
	q->n_moments = n;
}

static void samples_lie_by_second_and_offset(void **state)
{
	struct query q;
	given_moments(&q);
	q.without_moment = 3;
	char *out = rendered(&q, "subsecond.svg");
	assert_well_formed(out);
	assert_contains(out, "2,360 samples, 3 without a time left out");
	assert_contains(out, " UTC + 100 ms</title>");
	assert_int_equal(count_of(out, "<title>no samples</title>"), 1);
	assert_true(count_of(out, "<") - count_of(out, "</") <= 20000);
	free(out);
}

static void long_ranges_have_longer_columns(void **state)
{
	static const int64_t far[][2] = { { HOUR0, 1 }, { HOUR0 + 3 * NS_PER_HOUR, -2 } };
	struct query q;
	given_moments(&q);
	q.moments = far;
	q.n_moments = 2;
	char *out = rendered(&q, "subsecond.svg");
	assert_well_formed(out);
	assert_contains(out, "columns of 120 s, to stay drawable");
	free(out);
}

static void samples_without_times_say_so(void **state)
{
	struct query q;
	given_moments(&q);
	q.n_moments = 0;
	char *out = rendered(&q, "subsecond.svg");
	assert_well_formed(out);
	assert_contains(out, "no samples that say when they were taken");
	free(out);
}

/* ---- pictures for the browser ---- */

static void write_picture(struct query *q, const char *file, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", getenv("PROFILEFS_PICTURES"), file);
	char *out = rendered(q, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(out, f);
	fclose(f);
	free(out);
}

static void write_heatmap(void)
{
	static struct point points[720];
	struct query q;
	size_t n = 0;
	given(&q, "cpu", "nanoseconds");
	for (int64_t i = 0; i < 240; i++)
		for (int64_t pod = 0; pod < 3 && (i < 100 || i >= 120); pod++)
			points[n++] = (struct point){ .time = HOUR0 + i * 15 * NS_PER_S, .duration = 15 * NS_PER_S,
				                      .value = (i * 7919 + pod * 104729) % 97 * 10 * NS_PER_MS };
	q.points = points;
	q.n_points = q.info.profiles = n;
	q.info.first = HOUR0;
	q.info.last = points[n - 1].time;
	q.selection.from = HOUR0;
	q.selection.to = HOUR0 + NS_PER_HOUR;
	write_picture(&q, "heatmap.svg", "heatmap.svg");
}

static void the_pictures_for_the_browser_are_written(void **state)
{
	struct query q;
	if (!getenv("PROFILEFS_PICTURES")) {
		print_message("SKIPPED: PROFILEFS_PICTURES names no folder\n");
		skip();
	}
	given_steps(&q, N_GROUPS);
	write_picture(&q, "timeline.svg", "timeline.svg");
	given_moments(&q);
	write_picture(&q, "subsecond.svg", "subsecond.svg");
	write_heatmap();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_series_is_a_line_with_gaps),
		cmocka_unit_test(the_greatest_ten_have_lines_the_rest_one),
		cmocka_unit_test(an_empty_timeline_says_so),
		cmocka_unit_test(timelines_take_any_value),
		cmocka_unit_test(a_baseline_is_a_line_that_begins_where_the_selection_does),
		cmocka_unit_test(a_side_may_be_empty),
		cmocka_unit_test(sides_of_other_lengths_are_whole),
		cmocka_unit_test(samples_lie_by_second_and_offset),
		cmocka_unit_test(long_ranges_have_longer_columns),
		cmocka_unit_test(samples_without_times_say_so),
		cmocka_unit_test(the_pictures_for_the_browser_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
