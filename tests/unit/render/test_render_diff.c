/* SPDX-License-Identifier: MIT */
/* Differences as numbers: who grew, who is new, what only moved. */
#include "given.h"

static struct query before, after;

static void given_sides(const char *was, const char *is)
{
	given(&before, "cpu", "nanoseconds");
	given_stacks(&before, was);
	given(&after, "cpu", "nanoseconds");
	given_stacks(&after, is);
	after.baseline = &before;
}

static void done_sides(void)
{
	given_done(&after);
	given_done(&before);
}

static void rows_are_by_change(void **state)
{
	given_sides("a 5\na;b 10\na;gone 7\n", "a 5\na;b 40\na;new 8\n");
	char *out = rendered(&after, "diff.tsv");
	assert_string_equal(out, "rank\tname\tstate\tself_before\tself_after\tself_change\ttotal_before\ttotal_after\t"
	                         "total_change\tmoved\tunit\n"
	                         "1\tb\tgrew\t10\t40\t30\t10\t40\t30\t0\tnanoseconds\n"
	                         "2\tnew\tnew\t0\t8\t8\t0\t8\t8\t0\tnanoseconds\n"
	                         "3\tgone\tgone\t7\t0\t-7\t7\t0\t-7\t0\tnanoseconds\n"
	                         "4\ta\tgrew\t5\t5\t0\t22\t53\t31\t0\tnanoseconds\n");
	free(out);
	done_sides();
}

static void what_changed_its_callers_has_moved(void **state)
{
	given_sides("a;x 10\nb;x 2\n", "a;x 4\nb;x 8\n");
	char *out = rendered(&after, "diff.tsv");
	assert_contains(out, "\tx\tmoved\t12\t12\t0\t12\t12\t0\t6\t");
	free(out);
	out = rendered(&after, "diff.folded");
	assert_string_equal(out, "a;x 10 4\nb;x 2 8\n");
	free(out);
	out = rendered(&after, "diff.txt");
	assert_contains(out, "Total: 12ns to 12ns (+0%)");
	assert_contains(out, "  moved   x\n");
	free(out);
	done_sides();
}

static void normalised_sides_have_one_total(void **state)
{
	given_sides("a 10\nb 10\n", "a 10\nb 30\n");
	after.selection.options.normalize = true;
	char *out = rendered(&after, "diff.folded");
	assert_string_equal(out, "a 20 10\nb 20 30\n");
	free(out);
	out = rendered(&after, "diff.json");
	assert_contains(out, "\"normalized\": true");
	assert_contains(out, "\"before\": 40");
	free(out);
	done_sides();
}

static void extremes_do_not_overflow(void **state)
{
	given_sides("a 9223372036854775807\n", "a -9223372036854775807\nb 1\n");
	char *out = rendered(&after, "diff.tsv");
	assert_contains(out, "1\ta\tshrank\t9223372036854775807\t-9223372036854775807\t");
	free(out);
	out = rendered(&after, "diff.txt");
	assert_true(*out);
	free(out);
	done_sides();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_by_change),
		cmocka_unit_test(what_changed_its_callers_has_moved),
		cmocka_unit_test(normalised_sides_have_one_total),
		cmocka_unit_test(extremes_do_not_overflow),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
