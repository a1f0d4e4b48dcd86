/* SPDX-License-Identifier: MIT */
#include "diff_rows.h"

#include <string.h>

void diff_rows_done(struct diff_rows *d)
{
	free(d->v);
	d->v = NULL;
	functions_done(&d->names);
}

static uint64_t distance(int64_t a, int64_t b)
{
	return a < b ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
}

static int row_cmp(const void *a, const void *b)
{
	const struct diff_row *l = a, *r = b;
	uint64_t x = distance(l->self_before, l->self_after), y = distance(r->self_before, r->self_after);
	if (x != y)
		return CMP(y, x);
	x = distance(l->total_before, l->total_after);
	y = distance(r->total_before, r->total_after);
	return x != y ? CMP(y, x) : str_cmp(l->name, r->name);
}

const char *diff_state(const struct diff_row *r)
{
	if (!r->was)
		return "new";
	if (!r->is)
		return "gone";
	if (r->self_before != r->self_after)
		return r->self_after > r->self_before ? "grew" : "shrank";
	if (r->total_before != r->total_after)
		return r->total_after > r->total_before ? "grew" : "shrank";
	return r->moved ? "moved" : "same";
}

/* Both trees have the same nodes; which of them a side has shows in its values alone. */
static void compare_nodes(const struct call_diff *d, const uint32_t *of_frame, struct diff_row *rows)
{
	for (uint32_t i = 1; i < d->after.n_nodes; i++) {
		const struct call_node *before = &d->before.nodes[i], *after = &d->after.nodes[i];
		struct diff_row *r = &rows[of_frame[after->frame]];
		r->was |= before->total || before->self;
		r->is |= after->total || after->self;
		r->moved += (int64_t)(distance(diff_before(d, before->self), after->self) / 2);
	}
}

static int fill_rows(const struct call_diff *d, const struct functions *before, const struct functions *after,
                     struct diff_rows *ret)
{
	ret->v = calloc(after->v.n + 1, sizeof *ret->v);
	if (!ret->v)
		return -ENOMEM;
	ret->n = after->v.n;
	compare_nodes(d, after->of_frame, ret->v);
	for (size_t i = 0; i < ret->n; i++) {
		const struct function *b = &before->v.v[i], *a = &after->v.v[i];
		struct diff_row *r = &ret->v[i];
		r->name = a->name;
		r->self_before = diff_before(d, b->flat);
		r->self_after = a->flat;
		r->total_before = diff_before(d, b->cum);
		r->total_after = a->cum;
		int64_t moved = r->moved - (int64_t)(distance(r->self_before, r->self_after) / 2);
		r->moved = MAX(moved, (int64_t)0);
	}
	qsort(ret->v, ret->n, sizeof *ret->v, row_cmp);
	return 0;
}

int diff_rows_of(struct query *q, const struct cancel *cancel, struct diff_rows *ret, struct error *err)
{
	enum granularity g = query_selection(q)->options.granularity;
	_functions_ struct functions before = { 0 };
	_diff_rows_ struct diff_rows rows = { 0 };
	const struct call_diff *d;
	int e = query_diff(q, cancel, &d, err);
	if (e >= 0)
		e = functions_of(&d->before, g, cancel, &before);
	if (e >= 0)
		e = functions_of(&d->after, g, cancel, &rows.names);
	if (e >= 0)
		e = fill_rows(d, &before, &rows.names, &rows);
	if (e < 0)
		return e;
	rows.before = diff_before(d, d->before.total);
	rows.after = d->after.total;
	*ret = rows;
	memset(&rows, 0, sizeof rows);
	return 0;
}
