/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "graph.h"

/*
 * What `pprof -symbolize=none -top` prints of the same selection: behaviour of github.com/google/pprof
 * internal/report and internal/graph (node fraction 0.005, edge fraction 0.001, no limit of nodes unless one
 * is asked for).
 */

#define NODE_FRACTION 0.005
#define EDGE_FRACTION 0.001

struct top {
	struct query *q;
	const struct query_info *info;
	struct shown shown;
	struct functions functions;
	const struct function **rows; /* those above the cut, sorted */
	size_t n_rows, n_shown, dropped;
	int64_t total;
};

static void top_done(struct top *t)
{
	functions_done(&t->functions);
	free(t->rows);
}

static int by_flat(const void *a, const void *b)
{
	const struct function *l = *(const struct function *const *)a, *r = *(const struct function *const *)b;
	uint64_t lf = magnitude(l->flat), rf = magnitude(r->flat);
	if (lf != rf)
		return lf > rf ? -1 : 1;
	int order = str_cmp(l->name, r->name);
	return order ? order : CMP(magnitude(r->cum), magnitude(l->cum));
}

static int by_cum(const void *a, const void *b)
{
	const struct function *l = *(const struct function *const *)a, *r = *(const struct function *const *)b;
	uint64_t lc = magnitude(l->cum), rc = magnitude(r->cum);
	if (lc != rc)
		return lc > rc ? -1 : 1;
	int order = str_cmp(l->name, r->name);
	return order ? order : CMP(magnitude(r->flat), magnitude(l->flat));
}

static uint64_t fraction_of(int64_t total, double fraction)
{
	return magnitude((int64_t)((double)total * fraction));
}

static int choose_rows(struct top *t)
{
	struct functions *fs = &t->functions;
	uint64_t cut = fraction_of(fs->flat, NODE_FRACTION);
	t->rows = calloc(fs->v.n + 1, sizeof *t->rows);
	if (!t->rows)
		return -ENOMEM;
	for (size_t i = 0; i < fs->v.n; i++) {
		struct function *f = &fs->v.v[i];
		if (!f->flat && !f->cum)
			continue;
		if (magnitude(f->cum) < cut)
			t->dropped++;
		else
			t->rows[t->n_rows++] = f;
	}
	const struct render_options *options = &query_selection(t->q)->options;
	int64_t limit = options->limit;
	qsort(t->rows, t->n_rows, sizeof *t->rows, options->sort_cum ? by_cum : by_flat);
	t->n_shown = limit > 0 && (uint64_t)limit < t->n_rows ? (size_t)limit : t->n_rows;
	for (size_t i = 0; i < t->n_shown; i++)
		fs->v.v[t->rows[i] - fs->v.v].kept = true;
	return 0;
}

static void choose_unit(struct top *t)
{
	uint64_t smallest = 0;
	for (size_t i = 0; i < t->n_shown; i++) {
		const struct function *f = t->rows[i];
		uint64_t v = magnitude(f->flat ? f->flat : f->cum);
		if (v && (!smallest || v < smallest))
			smallest = v;
	}
	if (t->n_shown)
		shown_fix(&t->shown, smallest, magnitude(t->total));
}

/* ---- the header ---- */

static void put_trimmed_percentage(struct buf *out, int64_t value, int64_t total)
{
	_buf_ struct buf b = BUF_INIT(64);
	put_percentage(&b, value, total);
	size_t at = 0;
	while (at < b.len && b.data[at] == ' ')
		at++;
	buf_put(out, b.data + at, b.len - at);
}

static void put_duration(struct buf *out, const struct top *t)
{
	struct shown duration = { .unit = unit_of(STR("nanoseconds")) };
	buf_puts(out, "Duration: ");
	put_value(out, &duration, t->info->duration);
	buf_puts(out, ", Total samples = ");
	put_value(out, &t->shown, t->total);
	buf_putc(out, ' ');
	if (t->shown.unit.dim == UNIT_TIME && t->total) {
		buf_putc(out, '(');
		put_percentage(out, t->total, t->info->duration);
		buf_putc(out, ')');
	}
	buf_putc(out, '\n');
}

static void put_filters(struct buf *out, const struct selection *s)
{
	if (s->n_filters)
		buf_puts(out, "Active filters:\n");
	for (size_t i = 0; i < s->n_filters; i++)
		buf_printf(out, "   %s=%.80s\n", filter_name(s->filters[i].kind), s->filters[i].text);
}

static void put_head(struct buf *out, const struct top *t)
{
	buf_printf(out, "Type: %s\n", t->info->type);
	if (t->info->first) {
		buf_puts(out, "Time: ");
		put_time(out, t->info->first);
		buf_putc(out, '\n');
	}
	if (t->info->duration)
		put_duration(out, t);
	put_filters(out, query_selection(t->q));
}

static void put_summary(struct buf *out, const struct top *t)
{
	int64_t flat = 0;
	for (size_t i = 0; i < t->n_shown; i++)
		flat = add_wrapping(flat, t->rows[i]->flat);
	buf_puts(out, "Showing nodes accounting for ");
	put_value(out, &t->shown, flat);
	buf_puts(out, ", ");
	put_trimmed_percentage(out, flat, t->total);
	buf_puts(out, " of ");
	put_value(out, &t->shown, t->total);
	buf_puts(out, " total\n");
	if (t->total && t->dropped) {
		buf_printf(out, "Dropped %zu node%s (cum <= ", t->dropped, t->dropped > 1 ? "s" : "");
		put_value(out, &t->shown, (int64_t)fraction_of(t->total, NODE_FRACTION));
		buf_puts(out, ")\n");
	}
	if (t->total && t->n_shown && t->n_shown < t->n_rows)
		buf_printf(out, "Showing top %zu nodes out of %zu\n", t->n_shown, t->n_rows);
}

/* ---- rows ---- */

static void put_right(struct buf *out, const struct shown *shown, int64_t value)
{
	_buf_ struct buf b = BUF_INIT(256);
	put_value(&b, shown, value);
	for (size_t n = b.len; n < 10; n++)
		buf_putc(out, ' ');
	buf_put(out, b.data, b.len);
}

/* A name stays on its line. */
static void put_name(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, s.s[i] == '\n' || s.s[i] == '\r' ? ' ' : s.s[i]);
}

static void put_row(struct buf *out, const struct top *t, const struct function *f, int64_t sum)
{
	static const char *const inlined[] = { "", " (partial-inline)", " (inline)" };
	put_right(out, &t->shown, f->flat);
	buf_putc(out, ' ');
	put_percentage(out, f->flat, t->total);
	buf_putc(out, ' ');
	put_percentage(out, sum, t->total);
	buf_putc(out, ' ');
	put_right(out, &t->shown, f->cum);
	buf_putc(out, ' ');
	put_percentage(out, f->cum, t->total);
	buf_puts(out, "  ");
	put_name(out, f->name);
	buf_puts(out, inlined[f->inlining]);
	buf_putc(out, '\n');
}

static void put_rows(struct buf *out, const struct top *t)
{
	buf_puts(out, "      flat  flat%   sum%        cum   cum%\n");
	int64_t sum = 0;
	for (size_t i = 0; i < t->n_shown; i++) {
		sum = add_wrapping(sum, t->rows[i]->flat);
		put_row(out, t, t->rows[i], sum);
	}
}

/*
 * pprof's total adds up the magnitudes of its stacks, which differ by address and label where frames do not:
 * with negative values that is more than the tree can tell.
 */
static int choose_total(struct top *t, const struct cancel *cancel, struct error *err)
{
	t->total = (int64_t)t->functions.total;
	if (!t->functions.negative)
		return 0;
	const struct profile *p;
	int e = query_merged(t->q, cancel, &p, err);
	if (e < 0)
		return e;
	uint64_t total = 0;
	for (size_t i = 0; p->types.n == 1 && i < p->n_samples; i++)
		total += magnitude(p->values.v[i]);
	if (p->types.n == 1)
		t->total = (int64_t)total;
	return 0;
}

static int top_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct call_tree *tree;
	int e = query_tree(q, cancel, &tree, err);
	if (e < 0)
		return e;
	_cleanup_(top_done) struct top t = { .q = q, .info = query_info(q), .shown = shown_of(q) };
	e = functions_of(tree, query_selection(q)->options.granularity, cancel, &t.functions);
	if (e < 0)
		return e;
	e = choose_total(&t, cancel, err);
	if (!e)
		e = choose_rows(&t);
	if (!e)
		e = edges_inlining(&t.functions, tree, fraction_of(t.functions.flat, EDGE_FRACTION), cancel);
	if (e < 0)
		return e;
	choose_unit(&t);
	put_head(out, &t);
	put_summary(out, &t);
	put_rows(out, &t);
	return buf_err(out);
}

const struct rendering render_top_txt = { "top.txt", RENDER_TYPE, true, top_render };
