/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/profile/relabel.h"

static struct relabel *parse(const char *json)
{
	struct relabel *r = NULL;
	struct error err = { 0 };
	int e = relabel_parse((struct slice){ (const uint8_t *)json, strlen(json) }, &r, &err);
	if (e)
		fail_msg("%s: %s", json, err.text);
	return r;
}

static void refuses(const char *json, const char *reason)
{
	struct relabel *r = NULL;
	struct error err = { 0 };
	int e = relabel_parse((struct slice){ (const uint8_t *)json, strlen(json) }, &r, &err);
	assert_int_equal(e, ERR_PATH);
	if (!strstr(err.text, reason))
		fail_msg("%s: no \"%s\" in \"%s\"", json, reason, err.text);
}

/* "k=v k=v" into labels; the texts live as long as `text`. */
static size_t split(char *text, struct label *ret)
{
	size_t n = 0;
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " ")) {
		char *eq = strchr(word, '=');
		*eq = '\0';
		ret[n++] = (struct label){ str_of(word), str_of(eq + 1) };
	}
	return n;
}

/* What the rules make of a service and labels: "service k=v k=v", "same" or "dropped". */
static void becomes(const char *json, const char *service, const char *labels, const char *path, const char *want)
{
	_cleanup_(relabel_freep) struct relabel *r = parse(json);
	_cleanup_(relabelled_done) struct relabelled out = { 0 };
	char a[512], b[512], got[1024];
	struct label sent[32], of_path[32];
	snprintf(a, sizeof a, "%s", labels);
	snprintf(b, sizeof b, "%s", path);
	size_t n_sent = split(a, sent), n_path = split(b, of_path);
	assert_int_equal(relabel_apply(r, str_of(service), sent, n_sent, of_path, n_path, &out), 0);
	if (out.outcome != RELABEL_CHANGED) {
		assert_string_equal(out.outcome == RELABEL_SAME ? "same" : "dropped", want);
		return;
	}
	size_t at = (size_t)snprintf(got, sizeof got, "%.*s", (int)out.service.len, out.service.s);
	for (size_t i = 0; i < out.n_labels; i++)
		at += (size_t)snprintf(got + at, sizeof got - at, " %.*s=%.*s", (int)out.labels[i].key.len,
		                       out.labels[i].key.s, (int)out.labels[i].value.len, out.labels[i].value.s);
	assert_string_equal(got, want);
}

static void test_no_rules_change_nothing(void **state)
{
	becomes("", "a", "x=1", "", "same");
	becomes(" [] ", "a", "x=1", "", "same");
	assert_int_equal(relabel_count(NULL), 0);
	_cleanup_(relabelled_done) struct relabelled out = { 0 };
	assert_int_equal(relabel_apply(NULL, STR("a"), NULL, 0, NULL, 0, &out), 0);
	assert_int_equal(out.outcome, RELABEL_SAME);
}

static void test_replace_joins_sources_and_fills_groups(void **state)
{
	becomes("[{\"source_labels\":[\"a\",\"b\"],\"target_label\":\"c\"}]", "s", "a=1 b=2", "", "s a=1 b=2 c=1;2");
	becomes("[{\"source_labels\":[\"a\",\"b\"],\"separator\":\"-\",\"regex\":\"(.)-(.)\",\"target_label\":\"c\","
	        "\"replacement\":\"${2}x$1$$$\"}]", "s", "a=1 b=2", "", "s a=1 b=2 c=2x1$$");
	becomes("[{\"source_labels\":[\"pod\"],\"regex\":\"(?<app>[a-z]+)-.*\",\"target_label\":\"app\","
	        "\"replacement\":\"${app}\"}]", "s", "pod=web-17", "", "s app=web pod=web-17");
	/* as Go reads templates: $1x is the group "1x", which is not there */
	becomes("[{\"source_labels\":[\"a\"],\"target_label\":\"c\",\"replacement\":\"<$1x$9>\"}]", "s", "a=1", "",
	        "s a=1 c=<>");
}

static void test_replace_that_does_not_match_leaves_all(void **state)
{
	becomes("[{\"source_labels\":[\"a\"],\"regex\":\"2\",\"target_label\":\"c\"}]", "s", "a=1", "", "same");
	becomes("[{\"source_labels\":[\"a\"],\"regex\":\"1\",\"target_label\":\"c\"}]", "s", "a=11", "", "same");
}

static void test_an_empty_value_takes_a_label_away(void **state)
{
	becomes("[{\"target_label\":\"a\",\"replacement\":\"\"}]", "s", "a=1 b=2", "", "s b=2");
	becomes("[{\"target_label\":\"zz\",\"replacement\":\"\"}]", "s", "a=1", "", "same");
}

static void test_target_may_be_a_template(void **state)
{
	becomes("[{\"source_labels\":[\"a\"],\"regex\":\"(.)(.)\",\"target_label\":\"k_$1\",\"replacement\":\"$2\"}]", "s",
	        "a=xy", "", "s a=xy k_x=y");
}

static void test_the_service_is_a_label_that_stays(void **state)
{
	becomes("[{\"source_labels\":[\"app\"],\"target_label\":\"service_name\"}]", "s", "app=web", "", "web app=web");
	becomes("[{\"target_label\":\"service_name\",\"replacement\":\"\"}]", "s", "a=1", "", "same");
	becomes("[{\"action\":\"labeldrop\",\"regex\":\".*\"}]", "s", "a=1 b=2", "", "s");
	becomes("[{\"action\":\"labelkeep\",\"regex\":\"b\"}]", "s", "a=1 b=2", "", "s b=2");
	becomes("[{\"source_labels\":[\"service_name\"],\"regex\":\"s\",\"action\":\"drop\"}]", "s", "", "", "dropped");
}

static void test_keep_and_drop(void **state)
{
	becomes("[{\"source_labels\":[\"env\"],\"regex\":\"prod|staging\",\"action\":\"keep\"}]", "s", "env=dev", "",
	        "dropped");
	becomes("[{\"source_labels\":[\"env\"],\"regex\":\"prod|staging\",\"action\":\"keep\"}]", "s", "env=prod", "",
	        "same");
	becomes("[{\"source_labels\":[\"env\"],\"regex\":\"\",\"action\":\"drop\"}]", "s", "a=1", "", "dropped");
	becomes("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"keepequal\"}]", "s", "a=1 b=2", "",
	        "dropped");
	becomes("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"dropequal\"}]", "s", "a=1 b=1", "",
	        "dropped");
}

static void test_labelmap_copies_by_name(void **state)
{
	becomes("[{\"action\":\"labelmap\",\"regex\":\"k8s\\\\.(.+)\"}]", "s", "k8s.pod=p x=1", "", "s k8s.pod=p pod=p x=1");
	/* what a rule has made is not mapped again by it */
	becomes("[{\"action\":\"labelmap\",\"regex\":\"(.+)\",\"replacement\":\"a$1\"},"
	        "{\"action\":\"labeldrop\",\"regex\":\"aservice_name\"}]", "s", "x=1", "", "s ax=1 x=1");
}

static void test_lowercase_and_uppercase(void **state)
{
	becomes("[{\"source_labels\":[\"a\"],\"target_label\":\"a\",\"action\":\"lowercase\"}]", "s", "a=EuW1", "", "s a=euw1");
	becomes("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"uppercase\"}]", "s", "a=eu-1", "",
	        "s a=eu-1 b=EU-1");
}

/* The results are those of Prometheus' own tests. */
static void test_hashmod_deals_out(void **state)
{
	becomes("[{\"source_labels\":[\"c\"],\"target_label\":\"d\",\"action\":\"hashmod\",\"modulus\":1000}]", "s",
	        "a=foo b=bar c=baz", "", "s a=foo b=bar c=baz d=976");
	becomes("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"hashmod\",\"modulus\":1000}]", "s",
	        "a=foo\nbar", "", "s a=foo\nbar b=734");
	becomes("[{\"source_labels\":[\"pod\",\"x\"],\"target_label\":\"shard\",\"action\":\"hashmod\",\"modulus\":1000},"
	        "{\"source_labels\":[\"shard\"],\"regex\":\"74\",\"action\":\"keep\"}]", "s",
	        "pod=a x=b", "", "s pod=a shard=74 x=b");
	refuses("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"hashmod\"}]", "modulus is not");
	refuses("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"hashmod\",\"modulus\":0}]", "modulus is not");
	refuses("[{\"source_labels\":[\"a\"],\"target_label\":\"b\",\"action\":\"hashmod\",\"modulus\":-3}]", "modulus is not");
	refuses("[{\"source_labels\":[\"a\"],\"action\":\"hashmod\",\"modulus\":3}]", "target_label is missing");
	refuses("[{\"target_label\":\"a\",\"action\":\"hashmod\",\"modulus\":3}]", "source_labels is missing");
}

static void test_the_path_stands_for_the_sender(void **state)
{
	becomes("[{\"target_label\":\"n\",\"replacement\":\"1\"}]", "s", "a=1 b=2", "a=3", "s a=3 b=2 n=1");
}

static void test_rules_run_in_order(void **state)
{
	becomes("[{\"target_label\":\"a\",\"replacement\":\"2\"},{\"source_labels\":[\"a\"],\"regex\":\"2\","
	        "\"target_label\":\"b\",\"replacement\":\"3\"},{\"action\":\"labeldrop\",\"regex\":\"a\"}]", "s", "a=1", "",
	        "s b=3");
}

static void test_bad_rules_are_refused_with_place_and_reason(void **state)
{
	refuses("{}", "array");
	refuses("[1]", "rule 1: is not an object");
	refuses("[\n {\"action\": \"drop\",\n }]", "line 3, column");
	refuses("[{\"action\":\"drop\",\"source_labels\":[\"a\"]},{\"action\":\"explode\"}]", "rule 2: unknown action \"explode\"");
	refuses("[{\"target\":\"a\"}]", "unknown field \"target\"");
	refuses("[{\"action\":\"replace\"}]", "target_label is missing");
	refuses("[{\"action\":\"keep\"}]", "source_labels is missing");
	refuses("[{\"target_label\":\"a\",\"regex\":\"(\"}]", "bad regular expression");
	refuses("[{\"target_label\":\"a\",\"regex\":3}]", "regex is not a string");
	refuses("[{\"target_label\":\"a\",\"source_labels\":\"b\"}]", "source_labels is not a list");
	refuses("[{\"target_label\":\"a\",\"source_labels\":[1]}]", "no string");
}

static void test_labels_cannot_grow_without_bound(void **state)
{
	_buf_ struct buf rules = BUF_INIT(1 << 20);
	buf_puts(&rules, "[{\"target_label\":\"a\",\"replacement\":\"0123456789abcdef\"}");
	for (int i = 0; i < 40; i++)
		buf_puts(&rules, ",{\"source_labels\":[\"a\",\"a\"],\"target_label\":\"a\"}");
	buf_puts(&rules, "]");
	buf_u8(&rules, 0);
	_cleanup_(relabel_freep) struct relabel *r = parse((char *)rules.data);
	struct relabelled out;
	assert_int_equal(relabel_apply(r, STR("s"), NULL, 0, NULL, 0, &out), ERR_LIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_rules_change_nothing),
		cmocka_unit_test(test_replace_joins_sources_and_fills_groups),
		cmocka_unit_test(test_replace_that_does_not_match_leaves_all),
		cmocka_unit_test(test_an_empty_value_takes_a_label_away),
		cmocka_unit_test(test_target_may_be_a_template),
		cmocka_unit_test(test_the_service_is_a_label_that_stays),
		cmocka_unit_test(test_keep_and_drop),
		cmocka_unit_test(test_labelmap_copies_by_name),
		cmocka_unit_test(test_lowercase_and_uppercase),
		cmocka_unit_test(test_hashmod_deals_out),
		cmocka_unit_test(test_the_path_stands_for_the_sender),
		cmocka_unit_test(test_rules_run_in_order),
		cmocka_unit_test(test_bad_rules_are_refused_with_place_and_reason),
		cmocka_unit_test(test_labels_cannot_grow_without_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
