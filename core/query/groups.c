/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * Points by a label that samples have. A profile is then of several values, and counts for each with the samples that
 * have it. What a value's points are is what the query of its matcher says: so a group agrees with what
 * LABEL=VALUE selects, whatever is a running total, filtered or converted. Each value reads the samples again, so the
 * values of the most profiles have groups, and one more has what the rest counts together.
 */

#define GROUPS_MAX 32

struct grouped {
	struct point point;
	uint32_t row;
};

struct groups {
	struct query *q;
	const struct cancel *cancel;
	struct memo_points *memo;
	VEC(struct label_count) values; /* distinct, the most profiles first */
	VEC(struct grouped) points;
};

static void groups_done(struct groups *g)
{
	VEC_DONE(&g->values);
	VEC_DONE(&g->points);
}

static struct str by_key(const struct query *q)
{
	return str_of(q->sel->by);
}

bool groups_of_samples(const struct query *q)
{
	bool is_service = q->sel->by && !q->sel->service && !strcmp(q->sel->by, "service");
	return q->sel->by && !is_service && match_sample_key(q, by_key(q));
}

/* The same selection without the label. NULL out of memory. */
static struct selection *ungrouped(const struct query *q)
{
	struct selection *s = selection_copy(q->sel);
	if (!s)
		return NULL;
	free(TAKE_PTR(s->by));
	selection_free(TAKE_PTR(s->baseline));
	return s;
}

static int add_value(struct groups *g, const struct label_count *v)
{
	for (size_t i = 0; i < g->values.n; i++)
		if (str_eq(g->values.v[i].value, v->value)) {
			g->values.v[i].profiles += v->profiles;
			return 0;
		}
	struct label_count *to = VEC_PUSH(&g->values);
	if (!to)
		return -ENOMEM;
	*to = *v;
	to->value.s = arena_strndup(&g->q->arena, v->value.s, v->value.len);
	return to->value.s ? 0 : -ENOMEM;
}

static int by_profiles(const void *a, const void *b)
{
	const struct label_count *x = a, *y = b;
	return x->profiles != y->profiles ? CMP(y->profiles, x->profiles) : str_cmp(x->value, y->value);
}

static int by_value(const void *a, const void *b)
{
	const struct label_count *x = a, *y = b;
	return str_cmp(x->value, y->value);
}

/* The greatest values of the label, of samples and of profiles, by name; *ret_rest: there are more. */
static int collect_values(struct groups *g, bool *ret_rest, struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = ungrouped(g->q);
	_cleanup_(query_unrefp) struct query *all = NULL;
	const struct labels *labels;
	if (!s)
		return -ENOMEM;
	int r = query_beside(g->q, s, rows_mode(g->q), g->cancel, &all, err);
	if (r >= 0)
		r = query_labels(all, true, g->cancel, &labels, err);
	for (size_t i = 0; r >= 0 && i < labels->n; i++)
		for (size_t k = 0; k < MIN(labels->v[i].n, (size_t)GROUPS_MAX + 1) && r >= 0; k++)
			if (str_eq(labels->v[i].key, by_key(g->q)) && labels->v[i].values[k].value.len)
				r = add_value(g, &labels->v[i].values[k]);
	if (r < 0 || !g->values.n)
		return r;
	qsort(g->values.v, g->values.n, sizeof *g->values.v, by_profiles);
	*ret_rest = g->values.n > GROUPS_MAX;
	g->values.n = MIN(g->values.n, (size_t)GROUPS_MAX);
	qsort(g->values.v, g->values.n, sizeof *g->values.v, by_value);
	return 0;
}

static uint32_t row_find(const struct query *q, const struct point *p)
{
	size_t low = 0, high = q->rows.n;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct row *r = &q->rows.v[mid];
		int c = r->time != p->time ? CMP(r->time, p->time) : memcmp(&r->id, &p->id, sizeof p->id);
		if (!c)
			return (uint32_t)mid;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NONE;
}

/* Adds a group of what the selection takes; none where that is nothing and it `may_be_empty`. */
static int add_group(struct groups *g, const struct selection *s, struct str name, bool may_be_empty, struct error *err)
{
	_cleanup_(query_unrefp) struct query *of = NULL;
	const struct point *points;
	size_t n;
	int r = query_beside(g->q, s, rows_mode(g->q), g->cancel, &of, err);
	if (r >= 0)
		r = query_points(of, g->cancel, &points, &n, err);
	if (r < 0 || (!n && may_be_empty))
		return r;
	uint32_t group = (uint32_t)g->memo->n_groups++;
	g->memo->groups[group] = name;
	for (size_t i = 0; i < n; i++) {
		uint32_t row = row_find(g->q, &points[i]);
		struct grouped *to = row == NONE ? NULL : VEC_PUSH(&g->points);
		if (row == NONE)
			continue;
		if (!to)
			return -ENOMEM;
		*to = (struct grouped){ points[i], row };
		to->point.group = group;
		to->point.series = g->q->rows.v[row].series;
	}
	return 0;
}

static int add_value_group(struct groups *g, struct str value, struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = ungrouped(g->q);
	if (!s)
		return -ENOMEM;
	int r = selection_add_matcher(s, by_key(g->q), MATCH_EQ, value, err);
	return r < 0 ? r : add_group(g, s, value, !value.len, err);
}

static bool has_value(const struct groups *g, struct str value)
{
	for (size_t i = 0; i < g->values.n; i++)
		if (str_eq(g->values.v[i].value, value))
			return true;
	return false;
}

/* A name that no other group has. */
static struct str other_name(struct groups *g)
{
	char name[16] = "other";
	for (unsigned tries = 2; has_value(g, str_of(name)); tries++)
		snprintf(name, sizeof name, "other_%u", tries);
	return (struct str){ arena_strndup(&g->q->arena, name, strlen(name)), strlen(name) };
}

static int add_other_group(struct groups *g, struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = ungrouped(g->q);
	struct str name = other_name(g);
	if (!s || !name.s)
		return -ENOMEM;
	int r = selection_add_matcher(s, by_key(g->q), MATCH_NE, STR(""), err);
	for (size_t i = 0; i < g->values.n && r >= 0; i++)
		r = selection_add_matcher(s, by_key(g->q), MATCH_NE, g->values.v[i].value, err);
	return r < 0 ? r : add_group(g, s, name, true, err);
}

static int grouped_cmp(const void *a, const void *b)
{
	const struct grouped *x = a, *y = b;
	return x->row != y->row ? CMP(x->row, y->row) : CMP(x->point.group, y->point.group);
}

static int fill_memo(const struct groups *g)
{
	struct memo_points *m = g->memo;
	m->v = malloc((g->points.n + 1) * sizeof *m->v);
	m->rows = malloc((g->points.n + 1) * sizeof *m->rows);
	if (!m->v || !m->rows)
		return -ENOMEM;
	if (g->points.n)
		qsort(g->points.v, g->points.n, sizeof *g->points.v, grouped_cmp);
	for (size_t i = 0; i < g->points.n; i++) {
		m->v[i] = g->points.v[i].point;
		m->rows[i] = g->points.v[i].row;
	}
	m->n = g->points.n;
	return 0;
}

int groups_points(struct query *q, const struct cancel *cancel, struct memo_points *m, struct error *err)
{
	_cleanup_(groups_done) struct groups g = { .q = q, .cancel = cancel, .memo = m };
	bool rest = false;
	m->groups = calloc(GROUPS_MAX + 2, sizeof *m->groups);
	if (!m->groups)
		return -ENOMEM;
	int r = collect_values(&g, &rest, err);
	if (r >= 0)
		r = add_value_group(&g, STR(""), err);
	for (size_t i = 0; i < g.values.n && r >= 0; i++)
		r = add_value_group(&g, g.values.v[i].value, err);
	if (r >= 0 && rest)
		r = add_other_group(&g, err);
	return r < 0 ? r : fill_memo(&g);
}
