/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/receive/pyroscope.h"

static struct request rq;

static int set_up(void **state)
{
	rq = (struct request){ .arena = ARENA_INIT(1 << 20) };
	return 0;
}

static int tear_down(void **state)
{
	arena_done(&rq.arena);
	return 0;
}

/* "service k=v k=v", or the reason. */
static void named(const char *name, const char *want)
{
	struct sending s;
	char got[1024];
	rq.refused = REFUSED_NOT;
	if (pyroscope_name(&rq, name, &s)) {
		assert_int_equal(rq.refused, REFUSED_MALFORMED);
		assert_string_equal(want, "refused");
		return;
	}
	size_t at = (size_t)snprintf(got, sizeof got, "%.*s", (int)s.service.len, s.service.s);
	for (size_t i = 0; i < s.n_labels; i++)
		at += (size_t)snprintf(got + at, sizeof got - at, " %.*s=%.*s", (int)s.labels[i].key.len, s.labels[i].key.s,
		                       (int)s.labels[i].value.len, s.labels[i].value.s);
	assert_string_equal(got, want);
}

static void test_names(void **state)
{
	named("app", "app");
	named("app{}", "app");
	named("app{region=eu}", "app region=eu");
	named("app{ region = eu , pod=\"a b\" }", "app region=eu pod=a b");
	named("app{a=1,,b=2}", "app a=1 b=2");
	named("app{a=x=y}", "app a=x=y");
	named("app{a=}", "app a=");
	named("app{service_name=web,a=1}", "web a=1");
	named("app{__delta__=false,a=1}", "app a=1");
	named("", "refused");
	named("{a=1}", "refused");
	named("app{a=1", "refused");
	named("app{a}", "refused");
	named("app{=1}", "refused");
	named("appregion=eu", "refused");
	named("app}", "refused");
}

static void test_labels_that_mean_something(void **state)
{
	struct label labels[] = {
		{ STR("__name__"), STR("mutex") }, { STR("service_name"), STR("web") },
		{ STR("__delta__"), STR("false") }, { STR("pod"), STR("a") },
	};
	size_t n = ARRAY_SIZE(labels);
	struct sending s = pyroscope_sending(labels, &n);
	assert_int_equal(n, 2);
	assert_true(str_eq(labels[0].key, STR("__name__")) && str_eq(labels[1].key, STR("pod")));
	assert_true(str_eq(s.service, STR("web")) && str_eq(s.kind, STR("mutex")));
	assert_int_equal(s.temporality, TEMPORALITY_DELTA);
	n = 0;
	assert_int_equal(pyroscope_sending(NULL, &n).temporality, TEMPORALITY_UNSAID);
}

static void typed(const char *service, const char *units, uint64_t rate, const char *want)
{
	char got[256];
	struct sending s = { .service = str_of(service), .type = STR(""), .unit = STR(""), .kind = STR("") };
	pyroscope_type(&s, str_of(units), rate);
	snprintf(got, sizeof got, "%.*s|%.*s|%.*s|%.*s|%d", (int)s.service.len, s.service.s, (int)s.type.len, s.type.s,
	         (int)s.unit.len, s.unit.s, (int)s.kind.len, s.kind.s, (int)s.sample_rate);
	assert_string_equal(got, want);
}

static void test_types_by_the_name_of_the_application(void **state)
{
	typed("app.cpu", "samples", 50, "app|samples|count|cpu|50");
	typed("app.cpu", "", 0, "app|samples|count|cpu|100");
	typed("app.wall", "", 10, "app|samples|count|wall|10");
	typed("app.alloc_space", "bytes", 100, "app|alloc_space|bytes||0");
	typed("app.mutex_duration", "", 0, "app|delay|nanoseconds|mutex|0");
	typed("app", "", 0, "app||||0");
	typed("app", "samples", 100, "app||||100");
	typed("app", "bytes", 100, "app||bytes||0");
	typed("app.go", "", 0, "app.go||||0");
	typed(".cpu", "", 0, ".cpu||||0");
}

static void test_times(void **state)
{
	const int64_t want = INT64_C(1795348076) * NS_PER_S;
	assert_int_equal(pyroscope_time("1795348076"), want);
	assert_int_equal(pyroscope_time("1795348076000"), want);
	assert_int_equal(pyroscope_time("1795348076000000"), want);
	assert_int_equal(pyroscope_time("1795348076000000000"), want);
	assert_int_equal(pyroscope_time(""), 0);
	assert_int_equal(pyroscope_time("now-1h"), 0);
}

static int convert(int (*how)(struct slice in, struct buf *out), const char *in, size_t n, const char *want)
{
	_buf_ struct buf out = BUF_INIT(1 << 16);
	int e = how((struct slice){ (const uint8_t *)in, n }, &out);
	if (!e) {
		buf_u8(&out, 0);
		assert_string_equal((char *)out.data, want);
	}
	return e;
}

#define CONVERT(how, in, want) convert(how, in, sizeof(in) - 1, want)

static void test_old_encodings(void **state)
{
	assert_int_equal(CONVERT(stacks_from_lines, "a;b\n\nc\r\n", "a;b 1\n\nc 1\n"), 0);
	assert_int_equal(CONVERT(stacks_from_tree, "\0\0\2\1a\0\1\1b\5\0\1c\7\0", "a;b 5\nc 7\n"), 0);
	assert_int_equal(CONVERT(stacks_from_trie, "\0\0\1\1a\1\2\1;\0\0\2;b\5\0", "a 1\na;b 5\n"), 0);
	assert_int_equal(CONVERT(stacks_from_tree, "\0\0\1\3a\nb\4\0", "a b 4\n"), 0);
	static const char *const bad[] = { "", "\5", "\5ab", "\1a", "\1a\1", "\1a\1\1", "\1a\1\x7f" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(convert(stacks_from_tree, bad[i], strlen(bad[i]), ""), ERR_FORMAT_MALFORMED);
	assert_int_equal(CONVERT(stacks_from_tree, "\1a\1\0x", ""), ERR_FORMAT_MALFORMED);
}

static void test_a_tree_is_bounded_in_depth_and_size(void **state)
{
	struct buf deep = BUF_INIT(1 << 20);
	for (int i = 0; i < 100000; i++)
		buf_put(&deep, "\1a\0\1", 4);
	_buf_ struct buf out = BUF_INIT(1 << 16);
	assert_int_equal(stacks_from_tree(buf_slice(&deep), &out), ERR_FORMAT_LIMIT);
	buf_reset(&deep);
	for (int i = 0; i < 10000; i++) /* each node's whole path is told */
		buf_put(&deep, "\1a\1\1", 4);
	buf_put(&deep, "\1a\1\0", 4);
	assert_int_equal(stacks_from_tree(buf_slice(&deep), &out), ERR_LIMIT_BUFFER);
	buf_done(&deep);
}

static void test_base64(void **state)
{
	_buf_ struct buf out = BUF_INIT(64);
	assert_int_equal(base64_decode(STR("aGVsbG8="), &out), 0);
	assert_int_equal(out.len, 5);
	assert_memory_equal(out.data, "hello", 5);
	assert_int_equal(base64_decode(STR("****"), &out), ERR_FORMAT_MALFORMED);
	buf_reset(&out);
	base64_encode((struct slice){ (const uint8_t *)"hello", 5 }, &out);
	assert_int_equal(out.len, 8);
	assert_memory_equal(out.data, "aGVsbG8=", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_labels_that_mean_something),
		cmocka_unit_test(test_types_by_the_name_of_the_application),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_old_encodings),
		cmocka_unit_test(test_a_tree_is_bounded_in_depth_and_size),
		cmocka_unit_test(test_base64),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
