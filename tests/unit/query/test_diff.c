/* SPDX-License-Identifier: MIT */
/* A selection and its baseline in one tree. */
#include "fixture.h"

#include "core/query/diff.h"

/* version=2 against version=1, each from one profile. */
static struct query *compare(struct fixture *f, const char *before, const char *after, bool normalize)
{
	setup(f);
	if (before)
		WRITE(f, .time = T0, .labels = "version=1", .samples = before);
	if (after)
		WRITE(f, .time = T0 + SECOND, .labels = "version=2", .samples = after);
	struct selection *s = select_type("cpu");
	s->options.normalize = normalize;
	s->baseline = selection_copy(s);
	match(s, "version", MATCH_EQ, "2");
	match(s->baseline, "version", MATCH_EQ, "1");
	return ask(f, s);
}

static const struct call_diff *diff_of(struct query *q)
{
	struct error err = { 0 };
	const struct call_diff *d;
	assert_int_equal(query_diff(q, NULL, &d, &err), 0);
	return d;
}

static void assert_side(const struct call_tree *t, const char *expected)
{
	_buf_ struct buf out = BUF_INIT(LIMIT);
	tell_tree(t, &out);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.data, expected);
}

static void assert_same_shape(const struct call_diff *d)
{
	const struct call_tree *a = &d->before, *b = &d->after;
	assert_int_equal(a->n_nodes, b->n_nodes);
	assert_ptr_equal(a->frames, b->frames);
	for (uint32_t i = 0; i < a->n_nodes; i++) {
		assert_int_equal(a->nodes[i].frame, b->nodes[i].frame);
		assert_int_equal(a->nodes[i].end, b->nodes[i].end);
		assert_int_equal(a->nodes[i].depth, b->nodes[i].depth);
		if (i)
			assert_true(a->nodes[i].parent < i && a->nodes[a->nodes[i].parent].end >= a->nodes[i].end);
	}
}

static void each_side_has_zero_for_what_it_lacks(void **state)
{
	struct fixture f;
	struct query *q = compare(&f, "main;a;x 3\nmain;b 4\nold 1\n", "main;a;y 5\nmain;b;z 6\nnew 2\n", false);
	const struct call_diff *d = diff_of(q);
	assert_side(&d->before, "8(0)[main 7(0)[a 3(0)[x 3(3) y 0(0)] b 4(4)[z 0(0)]] new 0(0) old 1(1)]");
	assert_side(&d->after, "13(0)[main 11(0)[a 5(0)[x 0(0) y 5(5)] b 6(0)[z 6(6)]] new 2(2) old 0(0)]");
	assert_same_shape(d);
	assert_int_equal(d->before.total, 8);
	assert_int_equal(d->after.total, 13);
	assert_int_equal(diff_before(d, 7), 7);
	assert_ptr_equal(diff_of(q), d);
	query_unref(q);
	teardown(&f);
}

static void the_baseline_is_scaled_to_the_total_of_the_selection(void **state)
{
	struct fixture f;
	struct query *q = compare(&f, "a 10\nb 30\n", "a 60\nb 40\n", true);
	const struct call_diff *d = diff_of(q);
	assert_true(d->normalized && d->factor == 2.5);
	assert_int_equal(diff_before(d, 10), 25);
	assert_int_equal(diff_before(d, -3), -8);
	assert_int_equal(diff_before(d, INT64_MAX), INT64_MAX);
	assert_int_equal(diff_before(d, INT64_MIN), INT64_MIN);
	query_unref(q);
	teardown(&f);
}

static void an_empty_side_is_compared_with(void **state)
{
	struct fixture f;
	struct query *q = compare(&f, NULL, "a;b 4\n", true);
	const struct call_diff *d = diff_of(q);
	assert_side(&d->before, "0(0)[a 0(0)[b 0(0)]]");
	assert_side(&d->after, "4(0)[a 4(0)[b 4(4)]]");
	assert_true(d->factor == 1);
	query_unref(q);
	teardown(&f);
	q = compare(&f, "a;b 4\n", NULL, false);
	d = diff_of(q);
	assert_side(&d->before, "4(0)[a 4(0)[b 4(4)]]");
	assert_side(&d->after, "0(0)[a 0(0)[b 0(0)]]");
	query_unref(q);
	teardown(&f);
}

/* Random trees of few names: each side of the diff, without its zeros, is the side. */
static void random_stacks(uint32_t *seed, struct buf *out)
{
	for (int i = 0; i < 60; i++) {
		unsigned depth = 1;
		for (; (*seed = *seed * 1664525u + 1013904223u) >> 30 && depth < 6; depth++)
			buf_printf(out, "f%u;", *seed >> 24 & 3);
		buf_printf(out, "f%u %u\n", *seed >> 16 & 3, 1 + (*seed >> 8 & 15));
	}
	buf_u8(out, 0);
}

static void assert_holds(const struct call_tree *side, const struct call_tree *merged)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i < merged->n_nodes; i++) {
		const struct call_node *n = &merged->nodes[i];
		if (i && !n->total)
			continue;
		const struct call_node *want = &side->nodes[at++];
		assert_int_equal(n->total, want->total);
		assert_int_equal(n->self, want->self);
		assert_int_equal(n->depth, want->depth);
		if (i)
			assert_true(str_eq(merged->frames[n->frame].name, side->frames[want->frame].name));
	}
	assert_int_equal(at, side->n_nodes);
}

static void nothing_is_lost_of_either(void **state)
{
	for (uint32_t seed = 1; seed < 40; seed++) {
		struct fixture f;
		uint32_t s = seed * 2654435761u;
		_buf_ struct buf a = BUF_INIT(LIMIT), b = BUF_INIT(LIMIT);
		random_stacks(&s, &a);
		random_stacks(&s, &b);
		struct query *q = compare(&f, (char *)a.data, (char *)b.data, false);
		const struct call_diff *d = diff_of(q);
		const struct call_tree *before, *after;
		assert_int_equal(query_tree(query_baseline(q), NULL, &before, NULL), 0);
		assert_int_equal(query_tree(q, NULL, &after, NULL), 0);
		assert_same_shape(d);
		assert_holds(before, &d->before);
		assert_holds(after, &d->after);
		query_unref(q);
		teardown(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_side_has_zero_for_what_it_lacks),
		cmocka_unit_test(the_baseline_is_scaled_to_the_total_of_the_selection),
		cmocka_unit_test(an_empty_side_is_compared_with),
		cmocka_unit_test(nothing_is_lost_of_either),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
