/* SPDX-License-Identifier: MIT */
#include "heatmap.h"

#include <math.h>
#include <string.h>

#define POLL_EVERY 65536

/* ---- columns ---- */

static const int64_t nice_steps[] = {
	NS_PER_S,        2 * NS_PER_S,    5 * NS_PER_S,    10 * NS_PER_S,   15 * NS_PER_S,   30 * NS_PER_S,
	NS_PER_MIN,      2 * NS_PER_MIN,  5 * NS_PER_MIN,  10 * NS_PER_MIN, 15 * NS_PER_MIN, 30 * NS_PER_MIN,
	NS_PER_HOUR,     2 * NS_PER_HOUR, 3 * NS_PER_HOUR, 6 * NS_PER_HOUR, 12 * NS_PER_HOUR, NS_PER_DAY,
	2 * NS_PER_DAY,  7 * NS_PER_DAY,  14 * NS_PER_DAY, 28 * NS_PER_DAY, 91 * NS_PER_DAY, 182 * NS_PER_DAY,
	365 * NS_PER_DAY,
};

int64_t heat_nice_step(uint64_t range, size_t columns)
{
	for (size_t i = 0; i < ARRAY_SIZE(nice_steps); i++)
		if (range / (uint64_t)nice_steps[i] < columns)
			return nice_steps[i];
	return nice_steps[ARRAY_SIZE(nice_steps) - 1] * 10;
}

static int64_t align_down(int64_t t, int64_t step)
{
	return t < INT64_MIN + step ? t : time_floor(t, step);
}

static size_t columns_between(int64_t from, int64_t to, int64_t step)
{
	return to <= from ? 0 : (size_t)((((uint64_t)to - (uint64_t)from) - 1) / (uint64_t)step + 1);
}

/* Times from the selection; from its profiles where it has no bounds. */
static void choose_columns(struct heatmap *h, struct query *q, const struct heat_limits *limits)
{
	const struct selection *s = query_selection(q);
	const struct query_info *info = query_info(q);
	int64_t from = s->from == TIME_MIN ? info->first : s->from;
	int64_t to = s->to != TIME_MAX ? s->to : info->last == INT64_MAX ? INT64_MAX : info->last + 1;
	if (!info->profiles || to <= from)
		return;
	uint64_t range = (uint64_t)to - (uint64_t)from;
	int64_t step = s->options.step;
	h->step = step > 0 ? step : heat_nice_step(range, limits->nice_columns);
	if (range / (uint64_t)h->step >= limits->columns) {
		h->coarsened = step > 0;
		h->step = heat_nice_step(range, limits->columns);
	}
	h->from = align_down(from, h->step);
	if (info->first == h->from && h->from > INT64_MIN + h->step)
		h->from -= h->step;
	h->n_columns = MIN(columns_between(h->from, to, h->step), limits->columns + 2);
}

int64_t heat_column_time(const struct heatmap *h, size_t column)
{
	int64_t offset, t;
	if (__builtin_mul_overflow((int64_t)column, h->step, &offset) || __builtin_add_overflow(h->from, offset, &t))
		return INT64_MAX;
	return t;
}

/* The column of a time, those outside in the first and the last one. */
static size_t column_of(const struct heatmap *h, int64_t t)
{
	if (t <= h->from)
		return 0;
	uint64_t column = ((uint64_t)t - (uint64_t)h->from - 1) / (uint64_t)h->step;
	return (size_t)MIN(column, (uint64_t)h->n_columns - 1);
}

static int mark_covered(struct heatmap *h, const struct point *points, size_t n)
{
	_free_ int32_t *changes = calloc(h->n_columns + 1, sizeof *changes);
	h->covered = calloc(h->n_columns, sizeof *h->covered);
	h->sharp = calloc(h->n_columns + 1, sizeof *h->sharp);
	if (!changes || !h->covered || !h->sharp)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int64_t length = MAX(MAX(points[i].duration, points[i].lives), (int64_t)1), end;
		if (__builtin_add_overflow(points[i].time, length - 1, &end))
			end = INT64_MAX;
		changes[column_of(h, points[i].time)]++;
		changes[column_of(h, end) + 1]--;
		uint64_t after = (uint64_t)points[i].time - (uint64_t)h->from;
		if (points[i].time >= h->from && after % (uint64_t)h->step == 0)
			h->sharp[MIN(after / (uint64_t)h->step, (uint64_t)h->n_columns)] = true;
	}
	int64_t open = 0;
	for (size_t c = 0; c < h->n_columns; c++) {
		open += changes[c];
		h->covered[c] = open > 0;
	}
	return 0;
}

/* ---- rows of values ---- */

struct extent {
	int64_t low, high;   /* of all values */
	int64_t least;       /* positive one; INT64_MAX: none */
	bool has_nonpositive;
};

static struct extent extent_of(const struct point *points, size_t n)
{
	struct extent e = { n ? points[0].value : 0, n ? points[0].value : 0, INT64_MAX, false };
	for (size_t i = 0; i < n; i++) {
		int64_t v = points[i].value;
		e.low = MIN(e.low, v);
		e.high = MAX(e.high, v);
		if (v > 0)
			e.least = MIN(e.least, v);
		else
			e.has_nonpositive = true;
	}
	return e;
}

/* Fills rows between edges; equal edges (few distinct integers) make one row. */
static void rows_between(struct heatmap *h, const int64_t *edges, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++)
		if (edges[i + 1] > edges[i] || n == 2)
			h->rows[h->n_rows++] = (struct heat_row){ .low = edges[i], .high = edges[i + 1] };
}

static size_t linear_edges(const struct extent *e, int64_t edges[])
{
	uint64_t span = (uint64_t)e->high - (uint64_t)e->low;
	if (!span && e->high < INT64_MAX)
		span = 1;
	for (uint64_t i = 0; i <= HEAT_BUCKETS; i++)
		edges[i] = add_wrapping(e->low, (int64_t)((__uint128_t)span * i / HEAT_BUCKETS));
	return HEAT_BUCKETS + 1;
}

static size_t log_edges(const struct extent *e, int64_t edges[])
{
	size_t n = 0;
	if (e->has_nonpositive)
		edges[n++] = e->low;
	double ratio = (double)e->high / (double)e->least;
	for (unsigned i = 0; i < HEAT_BUCKETS; i++)
		edges[n++] = (int64_t)((double)e->least * pow(ratio, (double)i / HEAT_BUCKETS));
	edges[n++] = e->high;
	return n;
}

static int value_rows(struct heatmap *h, const struct point *points, size_t n, bool log_scale)
{
	int64_t edges[HEAT_BUCKETS + 3];
	struct extent e = extent_of(points, n);
	h->rows = calloc(HEAT_BUCKETS + 2, sizeof *h->rows);
	if (!h->rows)
		return -ENOMEM;
	bool log = log_scale && e.least < INT64_MAX;
	rows_between(h, edges, log ? log_edges(&e, edges) : linear_edges(&e, edges));
	if (!h->n_rows)
		h->rows[h->n_rows++] = (struct heat_row){ .low = e.low, .high = e.high };
	return 0;
}

static size_t row_of_value(const struct heatmap *h, int64_t v)
{
	size_t low = 0, high = h->n_rows;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;
		if (v >= h->rows[middle].low)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* ---- rows of label values ---- */

struct ranked {
	size_t group;
	double sum;
};

static int by_sum(const void *a, const void *b)
{
	const struct ranked *l = a, *r = b;
	return l->sum != r->sum ? CMP(r->sum, l->sum) : CMP(l->group, r->group);
}

/* row_of[group] is its row; the groups that have none share the last one. */
static int group_rows(struct heatmap *h, struct query *q, const struct point *points, size_t n, size_t max,
                      uint32_t **ret_row_of)
{
	size_t n_groups;
	const struct str *groups = query_groups(q, &n_groups);
	_free_ struct ranked *order = calloc(n_groups + 1, sizeof *order);
	_free_ uint32_t *row_of = calloc(n_groups + 1, sizeof *row_of);
	size_t shown = MIN(n_groups, max);
	h->rows = calloc(shown + 1, sizeof *h->rows);
	if (!order || !row_of || !h->rows)
		return -ENOMEM;
	for (size_t g = 0; g < n_groups; g++)
		order[g].group = g;
	for (size_t i = 0; i < n; i++)
		order[points[i].group].sum += fabs((double)points[i].value);
	qsort(order, n_groups, sizeof *order, by_sum);
	for (size_t r = 0; r < n_groups; r++) {
		row_of[order[r].group] = (uint32_t)MIN(r, shown);
		if (r < shown)
			h->rows[r].name = groups[order[r].group];
	}
	h->n_rows = shown + (n_groups > shown);
	if (n_groups > shown)
		h->rows[shown] = (struct heat_row){ .name = STR("other"), .others = n_groups - shown };
	*ret_row_of = TAKE_PTR(row_of);
	return 0;
}

/* ---- cells ---- */

static int fill_cells(struct heatmap *h, const struct point *points, size_t n, const uint32_t *row_of,
                      const struct cancel *cancel)
{
	h->cells = calloc(h->n_rows * h->n_columns + 1, sizeof *h->cells);
	if (!h->cells)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		size_t row = row_of ? row_of[points[i].group] : row_of_value(h, points[i].value);
		struct heat_cell *cell = &h->cells[row * h->n_columns + column_of(h, points[i].time)];
		if (cell->count < HEAT_NAMED)
			cell->named[cell->count] = (uint32_t)i;
		cell->count++;
		cell->sum += (double)points[i].value;
		int e = i % POLL_EVERY ? 0 : cancel_check(cancel);
		if (e < 0)
			return e;
	}
	return 0;
}

int heatmap_of(struct query *q, const struct heat_limits *limits, const struct cancel *cancel,
               struct heatmap *ret, struct error *err)
{
	const struct point *points;
	size_t n;
	int e = query_points(q, cancel, &points, &n, err);
	if (e < 0)
		return e;
	_heatmap_ struct heatmap h = { .by_label = query_selection(q)->by };
	_free_ uint32_t *row_of = NULL;
	h.points = points;
	h.instant = query_info(q)->type_class == TYPE_INSTANT;
	if (n)
		choose_columns(&h, q, limits);
	if (h.n_columns) {
		e = mark_covered(&h, points, n);
		if (!e && h.by_label)
			e = group_rows(&h, q, points, n, limits->rows, &row_of);
		else if (!e)
			e = value_rows(&h, points, n, query_selection(q)->options.log_scale);
		if (!e)
			e = fill_cells(&h, points, n, row_of, cancel);
		if (e < 0)
			return e;
	}
	*ret = h;
	memset(&h, 0, sizeof h);
	return 0;
}

void heatmap_done(struct heatmap *h)
{
	free(h->rows);
	free(h->cells);
	free(h->covered);
	free(h->sharp);
}
