/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "core/paths/recording.h"

static void test_refused(void **state)
{
	static const struct {
		const char *json, *why;
	} cases[] = {
		{ "[\n {\"name\": \"a\",}]", "line 2, column 1" },
		{ "{}", "line 1, column 1: rules are an array" },
		{ "[\n  1]", "line 2, column 3: a rule is an object" },
		{ "[{\"select\": \"s/cpu\"}]", "line 1, column 2: \"name\" is missing" },
		{ "[{\"name\": \"a\"}]", "column 2: \"select\" is missing" },
		{ "[{\"name\": \"1a\", \"select\": \"s/cpu\"}]", "line 1, column 11: \"name\" is no name" },
		{ "[{\"name\": \"a\", \"select\":\n \"s\"}]", "line 2, column 2: a selection is SERVICE/TYPE" },
		{ "[{\"name\": \"a\", \"select\": \"s/last-1h/cpu\"}]", "column 26: 'last-1h' reads as" },
		{ "[{\"name\": \"a\", \"select\": \"s/2026-11-22/cpu\"}]", "column 26: '2026-11-22' reads as" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu/..\"}]", "column 26: " },
		{ "[{\"name\": \"a\", \"select\": \"s/../s/cpu\"}]", "column 26: " },
		{ "[{\"name\": \"a\", \"select\": \"s/@kind=heap/cpu\"}]", "column 26: " },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu/top.txt\"}]", "column 26: " },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu/vs\"}]", "column 26: " },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu/heap\"}]", "'heap' is a second type" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu/@focus=(\"}]", "bad regular expression" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"function_regex\": \"(\"}]", "column 53: bad regular" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"self\": true}]", "column 43: \"self\" is of a function" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"function\": 1}]", "column 47: \"function\" is not a text" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"by\": []}]", "column 41: \"by\" has 1 to 8 labels" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"by\": [\"x\", 1]}]", "\"by\" is a label, or an array" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"by\": [\"x\", \"x\"]}]", "column 47: \"by\" has 'x' twice" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\", \"by\": [\"x\", \"a\\u001fb\"]}]", "\"by\" is a label" },
		{ "[{\"name\": \"a\", \"selct\": \"s/cpu\"}]", "column 16: unknown field \"selct\"" },
		{ "[{\"name\": \"a\", \"select\": \"s/cpu\"},\n{\"name\": \"a\", \"select\": \"s/cpu\"}]",
		  "line 2, column 10: another rule has the name \"a\"" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct recordings r = { 0 };
		struct error err = { 0 };
		struct slice text = { (const uint8_t *)cases[i].json, strlen(cases[i].json) };
		assert_int_equal(recordings_parse(text, &r, &err), ERR_PATH);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s: %s", cases[i].json, err.text);
	}
}

static void fill(struct fixture *f)
{
	struct making cpu = { "cpu nanoseconds", "main;work 3000000000,main;work;leaf 1000000000,main;idle 2000000000", NULL,
		              NOW - 7 * NS_PER_S - 2 * NS_PER_MIN, 10 * NS_PER_S };
	open_fixture(f, NULL);
	assert_int_equal(tree_add_service(f->tree, "checkout", NULL), 0);
	must_put(f, "/checkout/region=eu", "cpu.pb.gz", &cpu);
	cpu.stacks = "main;work 500000000";
	must_put(f, "/checkout/region=us", "cpu.pb.gz", &cpu);
	/* Older: no newest value. */
	cpu.time -= NS_PER_MIN;
	must_put(f, "/checkout/region=us", "cpu.pb.gz", &cpu);
	/* Not ended: left out. */
	cpu.time = NOW - 7 * NS_PER_S;
	must_put(f, "/checkout/region=eu", "cpu.pb.gz", &cpu);
}

/* What the file holds must have each line of `lines`, and the number of samples. */
static void check(struct fixture *f, const char *json, const char *const *lines, size_t samples)
{
	_buf_ struct buf out = BUF_INIT(1 << 20);
	struct error err = { 0 };
	if (recordings_set(f->db, str_of(json), &err) || recordings_render(f->tree, NULL, &out, &err))
		fail_msg("%s: %s", json, err.text);
	buf_putc(&out, '\0');
	const char *text = (const char *)out.data;
	size_t n = 0;
	for (const char *s = text; *s; s += strcspn(s, "\n") + 1)
		n += *s != '#';
	for (; *lines; lines++)
		if (!strstr(text, *lines))
			fail_msg("no \"%s\" in:\n%s", *lines, text);
	if (n != samples)
		fail_msg("%zu samples, not %zu, in:\n%s", n, samples, text);
}

static void test_values(void **state)
{
	struct fixture f;
	fill(&f);
	check(&f, "[{\"name\": \"c\", \"select\": \"checkout/cpu\", \"by\": \"region\"}]",
	      (const char *const[]){
		      "# TYPE c_rate_seconds_per_second gauge\n",
		      "c_sum_per_step_seconds{service=\"checkout\",type=\"cpu\",region=\"eu\"} 6\n",
		      "c_rate_seconds_per_second{service=\"checkout\",type=\"cpu\",region=\"eu\"} 0.6\n",
		      "c_sum_per_step_seconds{service=\"checkout\",type=\"cpu\",region=\"us\"} 0.5\n", NULL }, 4);
	check(&f, "[{\"name\": \"c\", \"select\": \"checkout/cpu/region=eu\", \"function\": \"work\"}]",
	      (const char *const[]){ "} 4\n", "} 0.4\n", NULL }, 2);
	check(&f, "[{\"name\": \"c\", \"select\": \"checkout/cpu/region=eu\", \"function\": \"work\", \"self\": true}]",
	      (const char *const[]){ "} 3\n", "} 0.3\n", NULL }, 2);
	check(&f, "[{\"name\": \"c\", \"select\": \"checkout/region=eu/cpu\", \"function_regex\": \"^(idle|leaf)$\"}]",
	      (const char *const[]){ "} 3\n", NULL }, 2);
	check(&f, "[{\"name\": \"c\", \"select\": \"checkout/cpu/region=eu\", \"function_regex\": \"^l\", \"self\": true}]",
	      (const char *const[]){ "} 1\n", NULL }, 2);
	check(&f, "[{\"name\": \"c\", \"select\": \"nobody/cpu\"}, {\"name\": \"d\", \"select\": \"checkout/heap\"}]",
	      (const char *const[]){ NULL }, 0);
	close_fixture(&f);
}

static void test_several_labels(void **state)
{
	struct fixture f;
	struct making cpu = { "cpu nanoseconds", "main;work 1000000000", NULL, NOW - 67 * NS_PER_S, 10 * NS_PER_S };
	open_fixture(&f, NULL);
	for (int i = 0; i < 4; i++) {
		static const char *const places[] = { "/a/region=eu/pod=1", "/a/region=eu/pod=2", "/a/region=us", "/b/pod.x=1/pod-x=2" };
		assert_int_equal(i == 0 || i == 3 ? tree_add_service(f.tree, i ? "b" : "a", NULL) : 0, 0);
		must_put(&f, places[i], "cpu.pb.gz", &cpu);
	}
	check(&f, "[{\"name\": \"c\", \"select\": \"a/cpu\", \"by\": [\"region\", \"pod\"]}]",
	      (const char *const[]){
		      "c_sum_per_step_seconds{service=\"a\",type=\"cpu\",region=\"eu\",pod=\"1\"} 1\n",
		      "c_sum_per_step_seconds{service=\"a\",type=\"cpu\",region=\"eu\",pod=\"2\"} 1\n",
		      "c_sum_per_step_seconds{service=\"a\",type=\"cpu\",region=\"us\",pod=\"\"} 1\n", NULL }, 6);
	check(&f, "[{\"name\": \"c\", \"select\": \"@all/cpu\", \"by\": [\"region\", \"service\"]}]",
	      (const char *const[]){
		      "c_sum_per_step_seconds{service=\"a\",type=\"cpu\",region=\"eu\"} 2\n",
		      "c_sum_per_step_seconds{service=\"b\",type=\"cpu\",region=\"\"} 1\n", NULL }, 6);
	/* Names that are one when they are made valid, or that samples have already. */
	check(&f, "[{\"name\": \"c\", \"select\": \"b/cpu\", \"by\": [\"pod.x\", \"pod-x\", \"type\"]}]",
	      (const char *const[]){
		      "{service=\"b\",type=\"cpu\",pod_x=\"1\",label_pod_x=\"2\",label_type=\"\"} 1\n", NULL }, 2);
	close_fixture(&f);
}

/* Samples have several values of their labels, a profile one of its own. */
static void test_labels_of_samples_are_grouped_by_alone(void **state)
{
	struct fixture f;
	struct making cpu = { "cpu nanoseconds", "main;work 1000000000", "route /a", NOW - 67 * NS_PER_S, 10 * NS_PER_S };
	open_fixture(&f, NULL);
	assert_int_equal(tree_add_service(f.tree, "a", NULL), 0);
	must_put(&f, "/a/region=eu", "cpu.pb.gz", &cpu);
	check(&f, "[{\"name\": \"c\", \"select\": \"a/cpu\", \"by\": \"route\"}]",
	      (const char *const[]){ "c_sum_per_step_seconds{service=\"a\",type=\"cpu\",route=\"/a\"} 1\n", NULL }, 2);
	check(&f, "[{\"name\": \"c\", \"select\": \"a/cpu\", \"by\": [\"region\", \"route\"]},\n"
	          " {\"name\": \"d\", \"select\": \"a/cpu\", \"by\": [\"region\"]}]",
	      (const char *const[]){ "# c: 'route' is a label of samples: these can be grouped by alone\n",
		                     "d_sum_per_step_seconds{service=\"a\",type=\"cpu\",region=\"eu\"} 1\n", NULL }, 2);
	close_fixture(&f);
}

/* Store calls that one more look takes. */
static uint64_t look(struct fixture *f, const char *line)
{
	_buf_ struct buf out = BUF_INIT(1 << 20);
	struct store_counts before, after;
	store_counters(db_store(f->db), &before);
	assert_int_equal(recordings_render(f->tree, NULL, &out, NULL), 0);
	store_counters(db_store(f->db), &after);
	buf_putc(&out, '\0');
	if (!strstr((const char *)out.data, line))
		fail_msg("no \"%s\" in:\n%s", line, (const char *)out.data);
	return after.get - before.get;
}

static void test_looked_at_again(void **state)
{
	struct fixture f;
	struct making cpu = { "cpu nanoseconds", "main;work 250000000", NULL, NOW - 7 * NS_PER_S - 2 * NS_PER_MIN,
		              10 * NS_PER_S };
	fill(&f);
	const char *json = "[{\"name\": \"c\", \"select\": \"checkout/cpu/region=us\", \"function\": \"work\"}]";
	assert_int_equal(recordings_set(f.db, str_of(json), NULL), 0);
	look(&f, "} 0.5\n");
	assert_int_equal(look(&f, "} 0.5\n"), 0);
	/* Of another region: the profile tables tell that it does not count. */
	must_put(&f, "/checkout/region=eu", "cpu.pb.gz", &cpu);
	look(&f, "} 0.5\n");
	must_put(&f, "/checkout/region=us", "cpu.pb.gz", &cpu);
	look(&f, "} 0.75\n");
	assert_int_equal(recordings_set(f.db, str_of("[{\"name\": \"c\", \"select\": \"checkout/cpu/region=us\"}, "
	                                             "{\"name\": \"d\", \"select\": \"checkout/cpu/region=us\"}]"), NULL), 0);
	look(&f, "d_sum_per_step_seconds{service=\"checkout\",type=\"cpu\"} 0.75\n");
	close_fixture(&f);
}

static int sum_up(void *ctx, const struct metric_series *s)
{
	double *sum = ctx;
	for (size_t i = 0; i < s->n_samples && memmem(s->name.s, s->name.len, "_sum_", 5); i++)
		*sum += s->samples[i].value;
	return 0;
}

/* Ranges side by side have together what one has: a profile across their border counts in both, once. */
static void test_series_of_neighbouring_ranges(void **state)
{
	struct fixture f;
	struct making cpu = { "cpu nanoseconds", "main;work 8000000000", NULL, NOW - 5 * NS_PER_MIN - 4 * NS_PER_S, 8 * NS_PER_S };
	struct recording r = { .name = "c", .select = "checkout/cpu", .step = NS_PER_MIN };
	int64_t to = time_floor(NOW, NS_PER_MIN);
	fill(&f);
	for (int64_t i = 1; i < 10; i++) {
		cpu.time = to - i * NS_PER_MIN - 4 * NS_PER_S;
		must_put(&f, "/checkout/region=eu", "cpu.pb.gz", &cpu);
	}
	double whole = 0, parts = 0;
	assert_int_equal(recording_series(f.tree, &r, to - 20 * NS_PER_MIN, to, NULL, sum_up, &whole, NULL), 0);
	for (int64_t i = 20; i > 0; i--)
		assert_int_equal(recording_series(f.tree, &r, to - i * NS_PER_MIN, to - (i - 1) * NS_PER_MIN, NULL, sum_up,
		                                  &parts, NULL), 0);
	assert_true(whole > 72.0 && whole - parts < 1e-9 && parts - whole < 1e-9);
	close_fixture(&f);
}

static void test_files(void **state)
{
	struct fixture f;
	_buf_ struct buf text = BUF_INIT(1 << 20);
	const char *json = "[{\"name\": \"c\", \"select\": \"checkout/cpu\"}]";
	fill(&f);
	assert_int_equal(recordings_text(f.db, &text, NULL), 0);
	assert_memory_equal(text.data, "[]", 2);
	assert_int_equal(recordings_set(f.db, str_of("[{}]"), NULL), ERR_PATH);
	assert_int_equal(recordings_set(f.db, str_of(json), NULL), 0);
	for (int i = 0; i < 2; i++) {
		_cleanup_(node_unrefp) struct node *n = must_walk(&f, i ? "/.profilefs/rules.prom" : "/.profilefs/rules.json", true);
		_cleanup_(content_unrefp) struct content *c = NULL;
		assert_int_equal(tree_render(f.tree, n, NULL, &c, NULL), 0);
		assert_non_null(memmem(c->data, c->len, i ? "# TYPE c_rate" : "\"checkout/cpu\"", i ? 13 : 14));
	}
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_several_labels),
		cmocka_unit_test(test_labels_of_samples_are_grouped_by_alone),
		cmocka_unit_test(test_looked_at_again),
		cmocka_unit_test(test_series_of_neighbouring_ranges),
		cmocka_unit_test(test_files),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
