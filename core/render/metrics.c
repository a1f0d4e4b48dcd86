/* SPDX-License-Identifier: MIT */
#include "metrics.h"

#include <string.h>

struct ranked {
	size_t group;
	uint64_t size;
};

/* Groups are in order of their names: the index breaks ties by name. */
static int by_size(const void *a, const void *b)
{
	const struct ranked *l = a, *r = b;
	return l->size != r->size ? CMP(r->size, l->size) : CMP(l->group, r->group);
}

static int by_group(const void *a, const void *b)
{
	const struct ranked *l = a, *r = b;
	return CMP(l->group, r->group);
}

bool metrics_has_sum(const struct metrics *s, const struct step *v)
{
	return v->covered || (!s->instant && v->sum != 0);
}

static void add_step(struct step *sum, const struct step *v)
{
	sum->covered |= v->covered;
	sum->sum += v->sum;
	sum->rate += v->rate;
	sum->profiles += v->profiles;
}

/* Averages of different parts of a step do not add up where one of them does not last: sums and rates do. */
static int add_others(struct metrics *s, const struct ranked *others, size_t n)
{
	size_t n_steps = s->steps->n;
	s->other = calloc(n_steps + 1, sizeof *s->other);
	if (!s->other)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n_steps; j++)
			add_step(&s->other[j], &s->steps->v[others[i].group * n_steps + j]);
	return 0;
}

static bool has_row(const struct metrics *s, const char *name)
{
	for (size_t i = 0; i < s->n_rows; i++)
		if (str_eq(s->rows[i].name, str_of(name)))
			return true;
	return false;
}

static void name_other(struct metrics *s)
{
	unsigned tries = 1;
	snprintf(s->other_name, sizeof s->other_name, "other");
	while (has_row(s, s->other_name))
		snprintf(s->other_name, sizeof s->other_name, "other_%u", ++tries);
}

static int choose_rows(struct metrics *s, struct ranked *order)
{
	const struct steps *steps = s->steps;
	size_t n = MIN(steps->n_groups, (size_t)METRICS_MAX);
	qsort(order, n, sizeof *order, by_group);
	for (size_t i = 0; i < n; i++) {
		size_t g = order[i].group;
		s->rows[s->n_rows++] = (struct metric_row){ steps->groups[g], steps->v + g * steps->n, g };
	}
	s->n_others = steps->n_groups - n;
	if (!s->n_others)
		return 0;
	int e = add_others(s, order + n, s->n_others);
	if (e < 0)
		return e;
	name_other(s);
	s->rows[s->n_rows++] = (struct metric_row){ str_of(s->other_name), s->other, SIZE_MAX };
	return 0;
}

static void choose_unit(struct metrics *s, const struct query_info *info)
{
	struct unit u = unit_of(str_of(info->unit));
	s->factor = u.dim == UNIT_TIME ? 1e-9 : 1;
	s->base_unit = u.dim == UNIT_TIME    ? "seconds"
	               : u.dim == UNIT_BYTES ? "bytes"
	               : u.dim == UNIT_COUNT ? ""
	                                     : info->unit;
	s->instant = info->type_class == TYPE_INSTANT;
}

int metrics_of(struct query *q, const struct cancel *cancel, struct metrics *ret, struct error *err)
{
	_metrics_ struct metrics s = { 0 };
	int e = query_steps(q, cancel, &s.steps, err);
	if (e < 0)
		return e;
	size_t n = s.steps->n_groups;
	_free_ struct ranked *order = calloc(n + 1, sizeof *order);
	s.rows = calloc(MIN(n, (size_t)METRICS_MAX) + 1, sizeof *s.rows);
	if (!order || !s.rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		order[i] = (struct ranked){ i, magnitude(s.steps->totals[i]) };
	qsort(order, n, sizeof *order, by_size);
	e = choose_rows(&s, order);
	if (e < 0)
		return e;
	choose_unit(&s, query_info(q));
	*ret = s;
	/* Kept over the copy: the one row whose name lies in the struct itself. */
	if (ret->n_others)
		ret->rows[ret->n_rows - 1].name.s = ret->other_name;
	memset(&s, 0, sizeof s);
	return 0;
}

void metrics_done(struct metrics *s)
{
	free(s->rows);
	free(s->other);
	s->rows = NULL;
	s->other = NULL;
}
