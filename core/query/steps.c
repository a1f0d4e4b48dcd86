/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <math.h>
#include <string.h>

/*
 * Values over time, in steps.
 *
 * Events: a value is spread evenly over its duration, the increase of a running total over the time since its
 * predecessor. What falls into a step, divided by the time that a series' profiles cover of it, is the series' rate
 * there; rates of series add up. The first of a running total counts in the sum, at its time, and in no rate. A
 * value without a duration counts at its time, and in the rate as if spread over its step.
 *
 * Instantaneous types: the integral over a step of what lived in it, divided by the time in which anything did.
 *
 * The range is what the profiles cover, clipped by the selection. What a value has outside of it is not counted.
 */

#define CELLS_MAX ((size_t)4 << 20)
#define STEPS_AIM 200

struct memo_steps {
	struct steps steps;
	struct step *v;
	int64_t *totals;
};

void memo_steps_free(struct memo_steps *m)
{
	if (!m)
		return;
	free(m->v);
	free(m->totals);
	free(m);
}

/* A point's stretch of time; empty for what counts at its moment. */
struct stretch {
	int64_t from, to;
	const struct point *point;
};

static struct stretch stretch_of(const struct query *q, size_t i)
{
	const struct point *p = &q->points->v[i];
	const struct row *r = &q->rows.v[q->points->rows[i]];
	const struct slot *main = &q->slots[q->main_slot];
	if (main->class == TYPE_INSTANT)
		return (struct stretch){ p->time, sat_add(p->time, p->lives), p };
	if (!row_is_total(q, r, main))
		return (struct stretch){ p->time, sat_add(p->time, p->duration), p };
	return (struct stretch){ r->prev == NONE ? p->time : q->rows.v[r->prev].time, p->time, p };
}

/* ---- the steps ---- */

static int64_t choose_step(int64_t from, int64_t to)
{
	static const int64_t nice[] = { 15 * NS_PER_S, 30 * NS_PER_S, NS_PER_MIN,      5 * NS_PER_MIN,
		                        15 * NS_PER_MIN, NS_PER_HOUR,   6 * NS_PER_HOUR, NS_PER_DAY };
	int64_t want = (to / STEPS_AIM) - (from / STEPS_AIM);
	for (size_t i = 0; i < ARRAY_SIZE(nice); i++)
		if (want <= nice[i])
			return nice[i];
	return NS_PER_DAY;
}

static void find_range(const struct query *q, int64_t *ret_from, int64_t *ret_to)
{
	int64_t from = INT64_MAX, to = INT64_MIN;
	for (size_t i = 0; i < q->points->n; i++) {
		struct stretch s = stretch_of(q, i);
		from = MIN(from, s.from);
		to = MAX(to, MAX(s.to, sat_add(s.point->time, 1)));
	}
	*ret_from = MAX(from, q->sel->from);
	*ret_to = MIN(to, q->sel->to);
}

static int make_range(const struct query *q, struct steps *s, struct error *err)
{
	int64_t from, to;
	find_range(q, &from, &to);
	s->step = q->sel->options.step;
	if (!q->points->n || from >= to) {
		s->step = s->step > 0 ? s->step : 15 * NS_PER_S;
		return 0;
	}
	if (s->step <= 0)
		s->step = choose_step(from, to);
	int64_t first = time_floor_div(from, s->step), last = time_floor_div(to - 1, s->step);
	uint64_t n = (uint64_t)last - (uint64_t)first + 1;
	if (n > CELLS_MAX || n * s->n_groups > CELLS_MAX)
		return error_set(err, ERR_LIMIT, "%llu steps of %zu groups are too many: choose a larger @step",
		                 (unsigned long long)n, s->n_groups);
	s->from = first < INT64_MIN / s->step ? INT64_MIN : first * s->step;
	s->n = (size_t)n;
	return 0;
}

/* The part of [from, to) that lies in the i-th step. */
static int64_t overlap(const struct steps *s, size_t i, int64_t from, int64_t to)
{
	int64_t begin = s->from + (int64_t)i * s->step, end = sat_add(begin, s->step);
	return MAX(MIN(end, to) - MAX(begin, from), (int64_t)0);
}

/* Steps [*ret_first, *ret_end) that [from, to) touches; none where it is outside. Clips to the query's time. */
static void touched(const struct query *q, const struct steps *s, int64_t *from, int64_t *to, size_t *ret_first,
                    size_t *ret_end)
{
	int64_t end = sat_add(s->from, s->n > (size_t)(INT64_MAX / s->step) ? INT64_MAX : (int64_t)s->n * s->step);
	*from = MAX(MAX(*from, s->from), q->sel->from);
	*to = MIN(MIN(*to, end), q->sel->to);
	*ret_first = *ret_end = 0;
	if (*from >= *to)
		return;
	*ret_first = (size_t)(((uint64_t)*from - (uint64_t)s->from) / (uint64_t)s->step);
	*ret_end = (size_t)(((uint64_t)*to - 1 - (uint64_t)s->from) / (uint64_t)s->step) + 1;
}

/* ---- events ---- */

/* What one series has in each step, while its points are gone through. */
struct tally {
	double *value;
	int64_t *covered;
	size_t first, end; /* steps that are not zero */
	int64_t covered_to;
};

static void tally_reset(struct tally *t)
{
	for (size_t i = t->first; i < t->end; i++) {
		t->value[i] = 0;
		t->covered[i] = 0;
	}
	t->first = SIZE_MAX;
	t->end = 0;
	t->covered_to = INT64_MIN;
}

static void add_moment(const struct steps *s, struct step *row, const struct stretch *at)
{
	int64_t from = at->point->time;
	if (from < s->from || (uint64_t)from - (uint64_t)s->from >= (uint64_t)s->n * (uint64_t)s->step)
		return;
	struct step *step = &row[((uint64_t)from - (uint64_t)s->from) / (uint64_t)s->step];
	step->sum += (double)at->point->value;
	if (at->point->first)
		return;
	step->rate += (double)at->point->value * 1e9 / (double)s->step;
	step->covered = true;
}

static void add_spread(const struct query *q, const struct steps *s, struct step *row, struct tally *t,
                       const struct stretch *at)
{
	double length = (double)at->to - (double)at->from;
	int64_t from = at->from, to = at->to;
	size_t first, end;
	touched(q, s, &from, &to, &first, &end);
	for (size_t i = first; i < end; i++) {
		double share = (double)at->point->value * ((double)overlap(s, i, from, to) / length);
		row[i].sum += share;
		t->value[i] += share;
		t->covered[i] += overlap(s, i, MAX(from, t->covered_to), to);
	}
	if (first < end) {
		t->first = MIN(t->first, first);
		t->end = MAX(t->end, end);
		t->covered_to = MAX(t->covered_to, to);
	}
}

static void end_series(struct step *row, struct tally *t)
{
	for (size_t i = t->first; i < t->end; i++) {
		if (!t->covered[i])
			continue;
		row[i].rate += t->value[i] * 1e9 / (double)t->covered[i];
		row[i].covered = true;
	}
	tally_reset(t);
}

static int stretch_cmp(const void *a, const void *b)
{
	const struct stretch *x = a, *y = b;
	if (x->point->group != y->point->group)
		return CMP(x->point->group, y->point->group);
	if (x->point->series != y->point->series)
		return CMP(x->point->series, y->point->series);
	if (x->from != y->from)
		return CMP(x->from, y->from);
	return CMP(x->point, y->point);
}

static void add_events(const struct query *q, const struct steps *s, struct step *v, const struct stretch *all,
                       size_t n, struct tally *t)
{
	for (size_t i = 0; i < n; i++) {
		struct step *row = v + all[i].point->group * s->n;
		if (all[i].from < all[i].to)
			add_spread(q, s, row, t, &all[i]);
		else
			add_moment(s, row, &all[i]);
		if (i + 1 == n || all[i + 1].point->series != all[i].point->series ||
		    all[i + 1].point->group != all[i].point->group)
			end_series(row, t);
	}
}

/* ---- instantaneous types ---- */

static void add_instants(const struct query *q, const struct steps *s, struct step *v, const struct stretch *all,
                         size_t n, int64_t *covered, int64_t *covered_to)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t g = all[i].point->group;
		int64_t from = all[i].from, to = all[i].to;
		size_t first, end;
		touched(q, s, &from, &to, &first, &end);
		for (size_t k = first; k < end; k++) {
			v[g * s->n + k].sum += (double)all[i].point->value * (double)overlap(s, k, from, to);
			covered[g * s->n + k] += overlap(s, k, MAX(from, covered_to[g]), to);
		}
		covered_to[g] = MAX(covered_to[g], to);
	}
	for (size_t i = 0; i < s->n * s->n_groups; i++) {
		v[i].covered = covered[i] > 0;
		v[i].sum = covered[i] ? v[i].sum / (double)covered[i] : 0;
		v[i].rate = v[i].sum;
	}
}

/* ---- groups as a whole ---- */

static void add_totals(const struct query *q, const struct stretch *all, size_t n, size_t n_groups, wide_t *sums,
                       int64_t *ret)
{
	bool instant = q->slots[q->main_slot].class == TYPE_INSTANT;
	for (size_t g = 0; g < n_groups; g++) {
		int64_t covered = 0, to = INT64_MIN;
		for (size_t i = 0; i < n && instant; i++) {
			if (all[i].point->group != g)
				continue;
			covered += MAX(all[i].to - MAX(all[i].from, to), (int64_t)0);
			to = MAX(to, all[i].to);
		}
		wide_t sum = sums[g];
		if (instant && covered)
			sum = (2 * sum + covered) / (2 * (wide_t)covered);
		ret[g] = sat_narrow(sum);
	}
}

static void sum_groups(const struct query *q, const struct stretch *all, size_t n, wide_t *sums)
{
	bool instant = q->slots[q->main_slot].class == TYPE_INSTANT;
	for (size_t i = 0; i < n; i++)
		sums[all[i].point->group] += (wide_t)all[i].point->value * (instant ? all[i].point->lives : 1);
}

static void count_profiles(const struct steps *s, struct step *v, const struct stretch *all, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int64_t t = all[i].point->time;
		uint64_t at = ((uint64_t)t - (uint64_t)s->from) / (uint64_t)s->step;
		if (t >= s->from && at < s->n)
			v[all[i].point->group * s->n + at].profiles++;
	}
}

static int fill_events(const struct query *q, struct memo_steps *m, struct stretch *all, size_t n)
{
	const struct steps *s = &m->steps;
	_free_ double *value = calloc(s->n + 1, sizeof *value);
	_free_ int64_t *covered = calloc(s->n + 1, sizeof *covered);
	if (!value || !covered)
		return -ENOMEM;
	struct tally t = { value, covered, SIZE_MAX, 0, INT64_MIN };
	qsort(all, n, sizeof *all, stretch_cmp);
	add_events(q, s, m->v, all, n, &t);
	return 0;
}

static int fill_instants(const struct query *q, struct memo_steps *m, const struct stretch *all, size_t n)
{
	const struct steps *s = &m->steps;
	_free_ int64_t *covered = calloc(s->n * s->n_groups + 1, sizeof *covered);
	_free_ int64_t *covered_to = malloc((s->n_groups + 1) * sizeof *covered_to);
	if (!covered || !covered_to)
		return -ENOMEM;
	for (size_t g = 0; g < s->n_groups; g++)
		covered_to[g] = INT64_MIN;
	add_instants(q, s, m->v, all, n, covered, covered_to);
	return 0;
}

static int steps_fill(struct query *q, struct memo_steps *m)
{
	size_t n = q->points->n, groups = m->steps.n_groups;
	_free_ struct stretch *all = malloc((n + 1) * sizeof *all);
	_free_ wide_t *sums = calloc(groups + 1, sizeof *sums);
	m->v = calloc(m->steps.n * groups + 1, sizeof *m->v);
	m->totals = calloc(groups + 1, sizeof *m->totals);
	if (!all || !sums || !m->v || !m->totals)
		return -ENOMEM;
	m->steps.v = m->v;
	m->steps.totals = m->totals;
	if (!q->n_slots)
		return 0;
	for (size_t i = 0; i < n; i++)
		all[i] = stretch_of(q, i);
	count_profiles(&m->steps, m->v, all, n);
	sum_groups(q, all, n, sums);
	add_totals(q, all, n, groups, sums, m->totals);
	return q->slots[q->main_slot].class == TYPE_INSTANT ? fill_instants(q, m, all, n) : fill_events(q, m, all, n);
}

static int steps_make(struct query *q, const struct cancel *cancel, struct error *err)
{
	static const struct str no_group = { "", 0 };
	int r = points_make(q, cancel, err);
	if (r < 0)
		return r;
	struct memo_steps *m = calloc(1, sizeof *m);
	if (!m)
		return out_of_memory(err);
	m->steps.groups = q->points->n_groups ? q->points->groups : &no_group;
	m->steps.n_groups = MAX(q->points->n_groups, (size_t)1);
	r = q->n_slots ? make_range(q, &m->steps, err) : 0;
	if (r >= 0)
		r = steps_fill(q, m);
	if (r < 0) {
		memo_steps_free(m);
		return r == -ENOMEM ? out_of_memory(err) : r;
	}
	q->steps = m;
	return 0;
}

int query_steps(struct query *q, const struct cancel *cancel, const struct steps **ret, struct error *err)
{
	struct query *of;
	int r = query_planned(q, cancel, &of, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&of->lock);
	r = of->steps ? 0 : steps_make(of, cancel, err);
	if (r >= 0)
		*ret = &of->steps->steps;
	pthread_mutex_unlock(&of->lock);
	query_learn(q, of);
	return r;
}
