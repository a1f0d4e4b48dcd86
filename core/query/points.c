/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

#define BY_NAME_MAX ((size_t)64 << 10)

/*
 * One point per profile of the selection, by time, then id; and the values of the by-label. For a label of samples see
 * groups.c.
 */

void memo_points_free(struct memo_points *m)
{
	if (!m)
		return;
	free(m->v);
	free(m->rows);
	free(m->groups);
	free(m->group_of);
	free(m);
}

static int str_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* The values of several labels; what reads as the end of one shows as '?'. */
static int join_values(struct query *q, const struct qseries *s, struct str *ret)
{
	_buf_ struct buf name = BUF_INIT(BY_NAME_MAX);
	struct str rest = str_of(q->sel->by);
	while (rest.len) {
		struct str value = label_get(s->labels, s->n_labels, by_next(&rest));
		for (size_t i = 0; i < value.len; i++)
			buf_putc(&name, value.s[i] == BY_BETWEEN ? '?' : value.s[i]);
		if (rest.len)
			buf_putc(&name, BY_BETWEEN);
	}
	const char *copy = buf_err(&name) ? NULL : arena_strndup(&q->arena, (const char *)name.data, name.len);
	*ret = (struct str){ copy, name.len };
	return copy ? 0 : -ENOMEM;
}

static bool by_several(const struct query *q)
{
	return q->sel->by && strchr(q->sel->by, BY_BETWEEN);
}

static int series_by(struct query *q, const struct qseries *s, struct str *ret)
{
	if (by_several(q))
		return join_values(q, s, ret);
	struct str value = q->sel->by ? label_get(s->labels, s->n_labels, str_of(q->sel->by)) : (struct str){ 0 };
	*ret = value.s ? value : STR("");
	return 0;
}

/* A profile has one value of each label, where there are several. */
static int check_several(const struct query *q, struct error *err)
{
	struct str rest = by_several(q) ? str_of(q->sel->by) : (struct str){ 0 };
	while (rest.len) {
		struct str key = by_next(&rest);
		if (match_sample_key(q, key))
			return error_set(err, ERR_PATH, "'%.*s' is a label of samples: these can be grouped by alone",
			                 (int)MIN(key.len, (size_t)100), key.s);
	}
	return 0;
}

static uint32_t group_find(const struct memo_points *m, struct str value)
{
	const struct str *at = bsearch(&value, m->groups, m->n_groups, sizeof value, str_order);
	return at ? (uint32_t)(at - m->groups) : 0;
}

/* The label's values over the series that profiles are of, sorted, once each. */
static int groups_make(struct query *q, struct memo_points *m)
{
	size_t n = q->series.n;
	_free_ struct str *values = calloc(n + 1, sizeof *values);
	m->groups = calloc(n + 1, sizeof *m->groups);
	m->group_of = calloc(n + 1, sizeof *m->group_of);
	if (!values || !m->groups || !m->group_of)
		return -ENOMEM;
	size_t all = 0;
	for (size_t i = 0; i < n; i++) {
		if (series_by(q, &q->series.v[i], &values[i]) < 0)
			return -ENOMEM;
		if (q->series.v[i].used)
			m->groups[all++] = values[i];
	}
	qsort(m->groups, all, sizeof *m->groups, str_order);
	for (size_t i = 0; i < all; i++)
		if (!i || !str_eq(m->groups[i], m->groups[m->n_groups - 1]))
			m->groups[m->n_groups++] = m->groups[i];
	for (size_t i = 0; i < n; i++)
		m->group_of[i] = group_find(m, values[i]);
	return 0;
}

static struct point point_of(const struct query *q, const struct row *r, const struct memo_points *m)
{
	const struct slot *main = q->n_slots ? &q->slots[q->main_slot] : NULL;
	return (struct point){
		.time = r->time,
		.duration = MAX(r->duration, (int64_t)0),
		.value = main ? r->value : 0,
		.lives = main && main->class == TYPE_INSTANT ? row_life(q, r) : 0,
		.id = r->id,
		.series = r->series,
		.group = m->group_of[r->series],
		.first = main && row_is_total(q, r, main) && r->prev == NONE,
	};
}

static int points_fill(struct query *q, struct memo_points *m)
{
	m->v = malloc((q->rows.n + 1) * sizeof *m->v);
	m->rows = malloc((q->rows.n + 1) * sizeof *m->rows);
	if (!m->v || !m->rows)
		return -ENOMEM;
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (r->role != ROLE_TAKEN || (q->n_slots && !row_counts(r, &q->slots[q->main_slot])))
			continue;
		m->rows[m->n] = (uint32_t)i;
		m->v[m->n++] = point_of(q, r, m);
	}
	return 0;
}

int points_make(struct query *q, const struct cancel *cancel, struct error *err)
{
	if (q->points)
		return 0;
	int r = check_several(q, err);
	if (r >= 0)
		r = values_rows(q, cancel, err);
	if (r < 0)
		return r;
	struct memo_points *m = calloc(1, sizeof *m);
	if (!m)
		return out_of_memory(err);
	if (groups_of_samples(q))
		r = groups_points(q, cancel, m, err);
	else
		r = groups_make(q, m) < 0 || points_fill(q, m) < 0 ? -ENOMEM : 0;
	if (r < 0) {
		memo_points_free(m);
		return r == -ENOMEM ? out_of_memory(err) : r;
	}
	q->points = m;
	return 0;
}

int query_points(struct query *q, const struct cancel *cancel, const struct point **ret, size_t *ret_n,
                 struct error *err)
{
	struct query *of;
	int r = query_planned(q, cancel, &of, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&of->lock);
	r = points_make(of, cancel, err);
	if (r >= 0) {
		*ret = of->points->v;
		*ret_n = of->points->n;
	}
	pthread_mutex_unlock(&of->lock);
	query_learn(q, of);
	return r;
}

const struct label *query_series_labels(struct query *q, uint32_t series, size_t *ret_n)
{
	struct query *of;
	*ret_n = 0;
	if (query_planned(q, NULL, &of, NULL) < 0 || series >= of->series.n)
		return NULL;
	*ret_n = of->series.v[series].n_labels;
	return of->series.v[series].labels;
}

const struct str *query_groups(struct query *q, size_t *ret_n)
{
	const struct str *groups = NULL;
	struct query *of;
	*ret_n = 0;
	if (query_planned(q, NULL, &of, NULL) < 0)
		return NULL;
	pthread_mutex_lock(&of->lock);
	if (points_make(of, NULL, NULL) >= 0) {
		groups = of->points->groups;
		*ret_n = of->points->n_groups;
	}
	pthread_mutex_unlock(&of->lock);
	return groups;
}

/* ---- one profile ---- */

/* Its samples' and its row's share of what the dataset takes. */
static uint64_t stored_bytes(const struct query *q, const struct row *r)
{
	const struct dataset_info *info = q->parts.v[r->part].info;
	double samples = (double)row_of(q, r)->n_samples / (double)MAX(info->samples, UINT64_C(1));
	double rows = 1.0 / (double)MAX(info->profiles, UINT64_C(1));
	return (uint64_t)((double)info->bytes[BYTES_SAMPLES] * samples + (double)info->bytes[BYTES_META] * rows) + 1;
}

static int found(struct query *q, size_t i, struct found_profile *ret, struct error *err)
{
	pthread_mutex_lock(&q->lock);
	int r = points_make(q, NULL, err);
	if (r >= 0 && i >= q->points->n)
		r = error_set(err, ERR_PATH_ABSENT, "no such profile");
	if (r >= 0) {
		const struct row *row = &q->rows.v[q->points->rows[i]];
		*ret = (struct found_profile){
			.time = row->time,
			.duration = row->duration,
			.id = row->id,
			.stored_bytes = stored_bytes(q, row),
			.day = time_day(row->time),
		};
	}
	pthread_mutex_unlock(&q->lock);
	return r;
}

int query_found(struct query *q, size_t i, struct found_profile *ret, struct error *err)
{
	struct query *of;
	int r = query_planned(q, NULL, &of, err);
	return r < 0 ? r : found(of, i, ret, err);
}

static int restore_row(struct query *q, const struct row *r, struct profile *ret, struct error *err)
{
	struct profile p;
	int e = profile_init(&p, ARENA_MAX);
	if (e < 0)
		return out_of_memory(err);
	e = dataset_restore(q->parts.v[r->part].dataset, r->at, &p, err);
	if (e < 0)
		profile_done(&p);
	else
		*ret = p;
	return e;
}

int query_restore(struct query *q, const struct ulid *id, struct profile *ret, struct error *err)
{
	struct query *of;
	int e = query_planned(q, NULL, &of, err);
	for (size_t i = 0; e >= 0 && i < of->rows.n; i++) {
		const struct row *r = &of->rows.v[i];
		if (r->role == ROLE_TAKEN && !memcmp(&r->id, id, sizeof *id))
			return restore_row(of, r, ret, err);
	}
	if (e < 0)
		return e;
	return error_set(err, ERR_PATH_ABSENT, "no such profile");
}
