/* SPDX-License-Identifier: MIT */
/* Exports for other programs: their shape and how they treat what their formats cannot hold. */
#include "given.h"

#define SCHEMA "https://www.speedscope.app/file-format-schema.json"

static void speedscope_has_a_stack_for_each_value(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, " 3\na 1\na;b 0\na;c 5\n");
	char *out = rendered(&q, "speedscope.json");
	assert_contains(out, "\"$schema\":\"" SCHEMA "\"");
	assert_contains(out, "\"frames\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]");
	assert_contains(out, "\"unit\":\"nanoseconds\",\"samples\":[[],[0],[0,2]]");
	assert_contains(out, "\"endValue\":9,\"weights\":[3,1,5]");
	free(out);
	given_done(&q);
}

static void speedscope_says_what_it_cannot_hold(void **state)
{
	struct query q;
	given(&q, "inuse_space", "bytes");
	given_stacks(&q, "a 4\na;b -1\n");
	char *out = rendered(&q, "speedscope.json");
	assert_contains(out, "\"samples\":[[0]],\"name\":\"inuse_space (without 1 negative values)\"");
	assert_contains(out, "\"unit\":\"bytes\"");
	free(out);
	given_done(&q);
}

static void empty_selections_are_valid_documents(void **state)
{
	static const char *const names[] = { "speedscope.json", "callgraph.dot", "callgrind.out", "firefox.json", "otlp.pb" };
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "");
	q.info.profiles = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *out = rendered(&q, names[i]);
		assert_true(*out);
		free(out);
	}
	given_done(&q);
}

static void names_do_not_break_out_of_the_graph(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "a\"]\\ 4\na\"]\\;b\xff 5\n");
	char *out = rendered(&q, "callgraph.dot");
	assert_contains(out, "N1 [label=\"a\\\"]\\\\\\n4ns (44.44%)\\nof 9ns (100%)\"");
	assert_contains(out, "b\xef\xbf\xbd");
	assert_contains(out, "tooltip=\"a\\\"]\\\\ -> b\xef\xbf\xbd (5ns)\"");
	free(out);
	given_done(&q);
}

static void the_graph_leads_over_functions_that_are_left_out(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "a;b;c 9\nd 4\n");
	q.selection.options.limit = 3;
	char *out = rendered(&q, "callgraph.dot");
	assert_contains(out, "Showing 3 nodes out of 4");
	assert_int_equal(count_of(out, "\nN"), 3 + count_of(out, " -> N"));
	free(out);
	given_done(&q);
}

static void callgrind_has_costs_by_line_and_calls(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "a 1\na;b 5\na;b;a 7\n");
	char *out = rendered(&q, "callgrind.out");
	assert_contains(out, "events: cpu(nanoseconds)\n\nfl=(1) ?\?\?\nfn=(1) a\n0 8\ncfi=(1)\ncfn=(2) b\ncalls=1 0\n0 12\n"
	                     "fn=(2)\n0 5\ncfi=(1)\ncfn=(1)\ncalls=1 0\n0 7\n");
	free(out);
	given_done(&q);
}

static void firefox_has_the_tree_as_its_stacks(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "a 1000000\na;b 2500000\n");
	char *out = rendered(&q, "firefox.json");
	assert_contains(out, "\"preprocessedProfileVersion\":57");
	assert_contains(out, "\"stringArray\":[\"a\",\"b\"]");
	assert_contains(out, "\"stack\":[0,1],\"weight\":[1,2.5],\"time\":[0,1],\"weightType\":\"tracing-ms\",\"length\":2");
	assert_contains(out, "\"frame\":[0,1],\"prefix\":[null,0]");
	free(out);
	given_done(&q);
}

static void pgo_is_empty_for_what_go_does_not_take(void **state)
{
	struct query q;
	given(&q, "inuse_space", "bytes");
	given_stacks(&q, "a 1\n");
	char *out = rendered(&q, "default.pgo");
	assert_string_equal(out, "");
	free(out);
	given_done(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(speedscope_has_a_stack_for_each_value),
		cmocka_unit_test(speedscope_says_what_it_cannot_hold),
		cmocka_unit_test(empty_selections_are_valid_documents),
		cmocka_unit_test(names_do_not_break_out_of_the_graph),
		cmocka_unit_test(the_graph_leads_over_functions_that_are_left_out),
		cmocka_unit_test(callgrind_has_costs_by_line_and_calls),
		cmocka_unit_test(firefox_has_the_tree_as_its_stacks),
		cmocka_unit_test(pgo_is_empty_for_what_go_does_not_take),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
