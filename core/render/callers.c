/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "graph.h"

/*
 * Who calls one function, and whom it calls: what `pprof -peek` shows around it. A call counts once in a stack, so
 * that values of a function that recurs add up to more than its total. Shares are of that.
 */

struct row {
	struct str name;
	int64_t value;
};

struct around {
	struct query *q;
	const struct call_tree *tree;
	struct functions functions;
	struct edges edges;
	struct shown shown;
	VEC(struct row) rows;
	uint32_t function; /* UINT32_MAX where nothing calls it */
	int64_t self, total;
};

static void around_done(struct around *a)
{
	functions_done(&a->functions);
	edges_done(&a->edges);
	VEC_DONE(&a->rows);
}

static int row_cmp(const void *a, const void *b)
{
	const struct row *l = a, *r = b;
	if (magnitude(l->value) != magnitude(r->value))
		return CMP(magnitude(r->value), magnitude(l->value));
	return str_cmp(l->name, r->name);
}

static int add_row(struct around *a, struct str name, int64_t value)
{
	if (!value)
		return 0;
	struct row *to = VEC_PUSH(&a->rows);
	if (!to)
		return -ENOMEM;
	*to = (struct row){ name, value };
	return 0;
}

static int find_function(struct around *a, struct str name)
{
	a->function = UINT32_MAX;
	for (uint32_t i = 0; i < a->tree->n_frames; i++)
		if (str_eq(a->tree->frames[i].name, name))
			a->function = a->functions.of_frame[i];
	if (a->function == UINT32_MAX)
		return 0;
	a->self = a->functions.v.v[a->function].flat;
	a->total = a->functions.v.v[a->function].cum;
	return 0;
}

/* What of the function is called by nothing. */
static int64_t outermost(const struct around *a)
{
	int64_t sum = 0;
	for (uint32_t i = 1; i < a->tree->n_nodes; i = a->tree->nodes[i].end)
		if (a->functions.of_frame[a->tree->nodes[i].frame] == a->function)
			sum = add_wrapping(sum, a->tree->nodes[i].total);
	return sum;
}

static int gather_rows(struct around *a, bool callees)
{
	int e = 0;
	if (a->function == UINT32_MAX)
		return 0;
	for (size_t i = 0; i < a->edges.v.n && !e; i++) {
		const struct edge *edge = &a->edges.v.v[i];
		if ((callees ? edge->from : edge->to) == a->function)
			e = add_row(a, a->functions.v.v[callees ? edge->to : edge->from].name, edge->weight);
	}
	if (!e)
		e = callees ? add_row(a, STR("(itself)"), a->self) : add_row(a, STR("(none)"), outermost(a));
	if (a->rows.n)
		qsort(a->rows.v, a->rows.n, sizeof *a->rows.v, row_cmp);
	return e;
}

static int around_init(struct around *a, bool callees, const struct cancel *cancel, struct error *err)
{
	int e = query_tree_by(a->q, BY_FUNCTION, cancel, &a->tree, err);
	if (!e)
		e = functions_of(a->tree, BY_FUNCTION, cancel, &a->functions);
	for (size_t i = 0; i < a->functions.v.n; i++)
		a->functions.v.v[i].kept = true;
	if (!e)
		e = edges_of(&a->functions, a->tree, cancel, &a->edges);
	if (!e)
		e = find_function(a, function_title(query_selection(a->q)));
	return e ? e : gather_rows(a, callees);
}

/* ---- writing ---- */

static void put_name(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, s.s[i] == '\n' || s.s[i] == '\r' ? ' ' : s.s[i]);
	buf_putc(out, '\n');
}

static void put_right(struct buf *out, const struct shown *shown, int64_t value)
{
	_buf_ struct buf b = BUF_INIT(256);
	put_value(&b, shown, value);
	for (size_t n = b.len; n < 10; n++)
		buf_putc(out, ' ');
	buf_put(out, b.data, b.len);
}

static void put_head(struct buf *out, const struct around *a)
{
	buf_puts(out, "Function: ");
	put_name(out, function_title(query_selection(a->q)));
	buf_printf(out, "Type: %s\nTime: ", query_info(a->q)->type);
	put_range(out, a->q);
	buf_puts(out, "\nTotal: ");
	put_value(out, &a->shown, a->total);
	buf_puts(out, ", itself ");
	put_value(out, &a->shown, a->self);
	buf_putc(out, '\n');
}

static int around_render(struct query *q, bool callees, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_cleanup_(around_done) struct around a = { .q = q, .shown = shown_of(q) };
	int e = around_init(&a, callees, cancel, err);
	if (e < 0)
		return e;
	int64_t limit = query_selection(q)->options.limit;
	size_t n = limit > 0 && (uint64_t)limit < a.rows.n ? (size_t)limit : a.rows.n;
	shown_fix(&a.shown, n ? magnitude(a.rows.v[n - 1].value) : 0, magnitude(a.total));
	put_head(out, &a);
	if (n < a.rows.n)
		buf_printf(out, "Showing the first %zu of %zu\n", n, a.rows.n);
	buf_puts(out, callees ? "     value value%  callee\n" : "     value value%  caller\n");
	for (size_t i = 0; i < n; i++) {
		put_right(out, &a.shown, a.rows.v[i].value);
		buf_putc(out, ' ');
		put_percentage(out, a.rows.v[i].value, a.total);
		buf_puts(out, "  ");
		put_name(out, a.rows.v[i].name);
	}
	return buf_err(out);
}

static int callers_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	return around_render(q, false, cancel, out, err);
}

static int callees_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	return around_render(q, true, cancel, out, err);
}

const struct rendering render_callers_txt = { "callers.txt", RENDER_FUNCTION, true, callers_render };
const struct rendering render_callees_txt = { "callees.txt", RENDER_FUNCTION, true, callees_render };
