/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/paths/names.h"
#include "core/paths/narrow.h"
#include "core/paths/paths.h"

static enum component_kind kind_of(const char *text)
{
	_component_ struct component c = { 0 };
	struct error err = { 0 };
	if (component_read(text, &c, &err)) {
		fail_msg("'%s': %s", text, err.text);
		return COMPONENT_NEVER;
	}
	return c.kind;
}

static void each_kind_of_component_is_told(void **state)
{
	static const struct {
		const char *text;
		enum component_kind kind;
	} cases[] = {
		{ "cpu", COMPONENT_NAME },
		{ "mutex.delay", COMPONENT_NAME },
		{ "2026", COMPONENT_TIME },
		{ "2026-11-22T1000--2026-11-22T1230", COMPONENT_TIME },
		{ "T14", COMPONENT_OF_DAY },
		{ "last-90s", COMPONENT_LAST },
		{ "today", COMPONENT_TODAY },
		{ "yesterday", COMPONENT_YESTERDAY },
		{ "latest", COMPONENT_LATEST },
		{ "all", COMPONENT_ALL },
		{ "region=eu", COMPONENT_MATCHER },
		{ "pod!~canary.*", COMPONENT_MATCHER },
		{ "version=", COMPONENT_MATCHER },
		{ "@step=15s", COMPONENT_OPTION },
		{ "by-region", COMPONENT_BY },
		{ "by-", COMPONENT_NAME },
		{ "vs", COMPONENT_VS },
		{ "profiles", COMPONENT_PROFILES },
		{ "functions", COMPONENT_FUNCTIONS },
		{ "top.txt", COMPONENT_RENDERING },
		{ ".git", COMPONENT_NEVER },
		{ ".Trash-1000", COMPONENT_NEVER },
		{ "._x", COMPONENT_NEVER },
		{ "autorun.inf", COMPONENT_NEVER },
		{ "%76s", COMPONENT_NAME },
		{ "%32026", COMPONENT_NAME },
		{ "VS", COMPONENT_NAME },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(kind_of(cases[i].text), cases[i].kind);
}

static void expect_matcher(const char *text, const char *key, enum match_op op, const char *value)
{
	_component_ struct component c = { 0 };
	assert_int_equal(component_read(text, &c, NULL), 0);
	assert_int_equal(c.kind, COMPONENT_MATCHER);
	assert_int_equal(c.op, op);
	assert_true(str_eq((struct str){ (char *)c.key.data, c.key.len }, str_of(key)));
	assert_true(str_eq((struct str){ (char *)c.value.data, c.value.len }, str_of(value)));
}

static void a_matcher_is_split_before_it_is_decoded(void **state)
{
	expect_matcher("region=eu", "region", MATCH_EQ, "eu");
	expect_matcher("region!=eu", "region", MATCH_NE, "eu");
	expect_matcher("pod=~web-.*", "pod", MATCH_RE, "web-.*");
	expect_matcher("pod!~web-.*", "pod", MATCH_NRE, "web-.*");
	expect_matcher("version=", "version", MATCH_EQ, "");
	expect_matcher("a%3Db=c=d", "a=b", MATCH_EQ, "c=d");
	expect_matcher("a=!~b", "a", MATCH_EQ, "!~b");
	expect_matcher("a=%3D%7E", "a", MATCH_EQ, "=~");
	expect_matcher("%62y-x=1", "by-x", MATCH_EQ, "1");
	expect_matcher("a=100%", "a", MATCH_EQ, "100%");
	expect_matcher("a!b=c", "a!b", MATCH_EQ, "c");
}

static void expect_refused(const char *text)
{
	_component_ struct component c = { 0 };
	struct error err = { 0 };
	assert_int_equal(component_read(text, &c, &err), ERR_PATH);
	assert_true(err.text[0] != '\0');
	assert_true(component_reserved(text));
}

static void ill_formed_components_are_refused_with_a_sentence(void **state)
{
	static const char *const bad[] = { "@nothing=1", "@step", "@step=", "@", "=eu", "=~x", "2026-13", "2026-11-22T25", "last-0m",
		                           "T99", "2026-11-22--2026-11-21" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		expect_refused(bad[i]);
}

static int try_narrow(const char *text, struct selection *sel, bool above)
{
	_component_ struct component c = { 0 };
	int e = component_read(text, &c, NULL);
	return e ? e : narrow(sel, &c, above, NULL);
}

static void options_take_their_values_alone(void **state)
{
	static const char *const good[] = { "@step=15s", "@step=500ms", "@step=1w", "@granularity=lines", "@limit=50", "@unit=ms",
		                            "@scale=log", "@scale=linear", "@weight=value", "@normalize=1", "@exemplars=0",
		                            "@focus=main.*", "@ignore=^runtime", "@root=x", "@callers=y",
		                            "@function=main.main", "@id=01JD0000000000000000000000" };
	static const char *const bad[] = { "@step=15", "@step=0s", "@step=s", "@step=99999999999999999999s", "@step=400d",
		                           "@granularity=words", "@limit=0", "@limit=-1", "@limit=x", "@limit=10000000000",
		                           "@unit=parsec", "@scale=cubic", "@weight=1", "@normalize=yes", "@exemplars=",
		                           "@focus=(", "@ignore=[", "@id=x", "@id=01JD000000000000000000000U" };
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(try_narrow(good[i], sel, false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (try_narrow(bad[i], sel, false) != ERR_PATH)
			fail_msg("%s was taken", bad[i]);
	assert_int_equal(sel->options.step, 7 * NS_PER_DAY);
	assert_int_equal(sel->options.limit, 50);
	assert_int_equal(sel->n_filters, 5);
}

static void writing_may_name_any_unit(void **state)
{
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	assert_int_equal(try_narrow("@unit=widgets", sel, true), 0);
	assert_null(sel->options.unit);
	assert_int_equal(try_narrow("@temporality=delta", sel, true), 0);
	assert_int_equal(try_narrow("@temporality=often", sel, true), ERR_PATH);
}

static void a_regular_expression_must_be_one(void **state)
{
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	assert_int_equal(try_narrow("pod=~(", sel, false), ERR_PATH);
	assert_int_equal(try_narrow("pod=(", sel, false), 0);
}

static void times_narrow_and_replace_below_vs(void **state)
{
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	assert_int_equal(try_narrow("2026-11-22", sel, false), 0);
	int64_t day = sel->from;
	assert_int_equal(try_narrow("2026-11-22T14", sel, false), 0);
	assert_int_equal(sel->from, day + 14 * NS_PER_HOUR);
	assert_int_equal(try_narrow("region=eu", sel, false), 0);
	sel->baseline = selection_copy(sel);
	_component_ struct component time = { 0 }, region = { 0 };
	assert_int_equal(component_read("2026-11-21", &time, NULL), 0);
	assert_int_equal(component_read("region=us", &region, NULL), 0);
	assert_int_equal(narrow_baseline(sel, &time, NULL), 0);
	assert_int_equal(narrow_baseline(sel, &region, NULL), 0);
	assert_int_equal(sel->baseline->from, day - NS_PER_DAY);
	assert_int_equal(sel->baseline->to, day);
	assert_int_equal(sel->baseline->n_matchers, 1);
	assert_string_equal(sel->baseline->matchers[0].value, "us");
	assert_int_equal(sel->from, day + 14 * NS_PER_HOUR);
	/* Disjoint times select nothing, whatever comes after. */
	assert_int_equal(try_narrow("2025", sel, false), 0);
	assert_true(sel->from == sel->to);
}

static enum step_kind step_of(enum place at, const char *text, enum place *to)
{
	_component_ struct component c = { 0 };
	struct step_to s = { 0 };
	assert_int_equal(component_read(text, &c, NULL), 0);
	int e = grammar_step(at, &c, &s, NULL);
	*to = s.to;
	return e ? -1 : (int)s.kind;
}

static void where_components_may_stand(void **state)
{
	static const struct {
		enum place at;
		const char *text;
		int step; /* -1: refused */
		enum place to;
	} cases[] = {
		{ PLACE_SERVICE, "2026", STEP_DIR, PLACE_TIME },
		{ PLACE_SERVICE, "all", STEP_DIR, PLACE_TIME },
		{ PLACE_SERVICE, "region=eu", STEP_DIR, PLACE_SERVICE },
		{ PLACE_SERVICE, "@type=cpu", STEP_DIR, PLACE_SERVICE },
		{ PLACE_SERVICE, "last-1h", STEP_LINK, 0 },
		{ PLACE_SERVICE, "cpu", STEP_ABSENT, 0 },
		{ PLACE_SERVICE, "T14", STEP_ABSENT, 0 },
		{ PLACE_SERVICE, "vs", STEP_ABSENT, 0 },
		{ PLACE_SERVICE, "top.txt", STEP_ABSENT, 0 },
		{ PLACE_SERVICE, "by-region", STEP_ABSENT, 0 },
		{ PLACE_TIME, "cpu", STEP_NAME, PLACE_TYPE },
		{ PLACE_TIME, "T14", STEP_LINK, 0 },
		{ PLACE_TIME, "2026-11-22T14", STEP_DIR, PLACE_TIME },
		{ PLACE_TIME, "latest", STEP_ABSENT, 0 },
		{ PLACE_TIME, "vs", STEP_ABSENT, 0 },
		{ PLACE_TIME, "@type=cpu", -1, 0 },
		{ PLACE_TIME, "by-region", STEP_DIR, PLACE_BY },
		{ PLACE_TYPE, "cpu", STEP_ABSENT, 0 },
		{ PLACE_TYPE, "@focus=x", STEP_DIR, PLACE_TYPE },
		{ PLACE_TYPE, "2026-11", STEP_DIR, PLACE_TYPE },
		{ PLACE_TYPE, "vs", STEP_DIR, PLACE_VS },
		{ PLACE_TYPE, "functions", STEP_DIR, PLACE_FUNCTIONS },
		{ PLACE_TYPE, "profiles", STEP_DIR, PLACE_PROFILES },
		{ PLACE_TYPE, "top.txt", STEP_FILE, 0 },
		{ PLACE_VS, "top.txt", STEP_ABSENT, 0 },
		{ PLACE_VS, "region=us", STEP_DIR, PLACE_BASE },
		{ PLACE_VS, "region!=us", -1, 0 },
		{ PLACE_VS, "@focus=x", -1, 0 },
		{ PLACE_VS, "latest", STEP_LINK, 0 },
		{ PLACE_BASE, "vs", -1, 0 },
		{ PLACE_BASE, "top.txt", STEP_FILE, 0 },
		{ PLACE_BASE, "2026-11-21", STEP_DIR, PLACE_BASE },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum place to;
		int step = step_of(cases[i].at, cases[i].text, &to);
		if (step != cases[i].step || (step == STEP_DIR && to != cases[i].to))
			fail_msg("'%s' at %d: step %d to %d", cases[i].text, cases[i].at, step, to);
	}
}

static void expect_listed(void (*put)(struct buf *, struct str), const char *raw, const char *listed)
{
	_buf_ struct buf b = BUF_INIT(4096);
	put(&b, str_of(raw));
	buf_putc(&b, '\0');
	assert_int_equal(buf_err(&b), 0);
	assert_string_equal((char *)b.data, listed);
}

static void names_that_read_as_components_are_listed_encoded(void **state)
{
	expect_listed(name_put, "cpu", "cpu");
	expect_listed(name_put, "vs", "%76s");
	expect_listed(name_put, "2026", "%32026");
	expect_listed(name_put, "T14", "%5414");
	expect_listed(name_put, "top.txt", "%74op.txt");
	expect_listed(name_put, "by-x", "%62y-x");
	expect_listed(name_put, "a=b", "a%3Db");
	expect_listed(name_put, "@id", "%40id");
	expect_listed(name_put_by, "region", "by-region");
	expect_listed(name_put_by, "by-x", "by-%62y-x");
	expect_listed(name_put_by, ".x", "by-%2Ex");
	expect_listed(name_put_service, "README.md", "%52EADME.md");
	expect_listed(name_put_service, "2026", "2026");
	expect_listed(name_put_service, "a/b c", "a%2Fb%20c");
	expect_listed(name_put_value, "", "%none");
	expect_listed(name_put_value, "%none", "%25none");
	expect_listed(name_put_value, "metrics.prom", "%6Detrics.prom");
	expect_listed(name_put_value, "-x", "%2Dx");
}

static void long_names_are_found_by_encoding_the_candidates(void **state)
{
	char raw[400];
	memset(raw, 'x', sizeof raw);
	raw[399] = '\0';
	_buf_ struct buf b = BUF_INIT(4096);
	name_put_value(&b, str_of(raw));
	assert_true(b.len <= 200);
	struct str listed = { (char *)b.data, b.len };
	assert_true(name_is_cut(listed));
	_typed_ struct typed typed = { 0 };
	assert_int_equal(typed_init(&typed, listed), 0);
	assert_true(typed_is(&typed, str_of(raw)));
	raw[398] = 'y';
	assert_false(typed_is(&typed, str_of(raw)));
}

static void files_must_not_be_named_like_components(void **state)
{
	static const char *const good[] = { "cpu.pb.gz", "cpu", ".hidden", "profile.pb.gz", "folded.txt", "2026-11-22.pb.gz",
		                            "4913", "x" };
	static const char *const bad[] = { "2026-11-22", "last-1h", "region=eu", "@type=cpu", "by-region", "vs", "latest", "T14",
		                           "a=b.pb.gz" };
	struct error err;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(tree_name_allowed(good[i], &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(err_errno(tree_name_allowed(bad[i], &err)), EISDIR);
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/* Text made of the grammar's own bits and of any bytes. */
static void make_text(uint64_t *x, char *text, size_t max)
{
	static const char *const bits[] = { "2026", "-11", "-22", "T14", "05", ":", "--", "last-", "15", "m", "=", "!=", "=~", "!~",
		                            "@step=", "@id=", "@function=", "@", "by-", "vs", "%", "%2F", "%~0123456789abcdef",
		                            "(", "[", "\\", ".", "*", "profiles", "top.txt", "T", "w" };
	size_t n = 0, parts = next_random(x) % 6;
	for (size_t i = 0; i < parts; i++) {
		if (next_random(x) % 4) {
			const char *bit = bits[next_random(x) % ARRAY_SIZE(bits)];
			size_t len = strlen(bit);
			if (n + len >= max)
				break;
			memcpy(text + n, bit, len);
			n += len;
		} else if (n + 1 < max) {
			text[n++] = (char)(1 + next_random(x) % 255);
		}
	}
	text[n] = '\0';
}

static void no_bytes_crash_the_grammar(void **state)
{
	uint64_t x = 88172645463325252u;
	char text[256];
	for (int i = 0; i < 60000; i++) {
		_component_ struct component c = { 0 };
		_cleanup_(selection_freep) struct selection *sel = selection_new();
		struct error err = { 0 };
		make_text(&x, text, sizeof text);
		tree_name_allowed(text, &err);
		if (component_read(text, &c, &err))
			continue;
		struct step_to to;
		for (int at = PLACE_SERVICE; at <= PLACE_BASE; at++)
			grammar_step((enum place)at, &c, &to, &err);
		narrow(sel, &c, next_random(&x) % 2, &err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_of_component_is_told),
		cmocka_unit_test(a_matcher_is_split_before_it_is_decoded),
		cmocka_unit_test(ill_formed_components_are_refused_with_a_sentence),
		cmocka_unit_test(options_take_their_values_alone),
		cmocka_unit_test(writing_may_name_any_unit),
		cmocka_unit_test(a_regular_expression_must_be_one),
		cmocka_unit_test(times_narrow_and_replace_below_vs),
		cmocka_unit_test(where_components_may_stand),
		cmocka_unit_test(names_that_read_as_components_are_listed_encoded),
		cmocka_unit_test(long_names_are_found_by_encoding_the_candidates),
		cmocka_unit_test(files_must_not_be_named_like_components),
		cmocka_unit_test(no_bytes_crash_the_grammar),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
