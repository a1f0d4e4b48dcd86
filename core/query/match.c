/* SPDX-License-Identifier: MIT */
#include "internal.h"

/*
 * Matchers, on labels of profiles and of samples.
 *
 * A matcher is judged once per series. Where no sample of the selection's services and days has its label, that is
 * all. Where some have:
 *   - a profile that has the label, and it matches, is taken with all of its samples;
 *   - of a profile that has it, and it does not match, those samples are taken that have a matching label themselves;
 *     but where the label is of the path that the profile was written to, it wins, and none is taken;
 *   - of a profile without it, those samples whose label matches, an absent one being empty.
 * Samples are judged once per label set. A profile none of whose samples are left is not taken. Whether samples are
 * asked is decided for all parts together, so that the answer does not depend on which profiles share one.
 *
 * A label that a sample has twice matches `=` and `=~` if one value does, `!=` and `!~` if all do. Numeric labels are
 * matched in decimal.
 */

struct str label_get(const struct label *labels, size_t n, struct str key)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(labels[i].key, key))
			return labels[i].value;
	return (struct str){ NULL, 0 };
}

static struct str matcher_key(const struct matcher *m)
{
	return (struct str){ m->key, m->key_len };
}

static bool has_sample_key(const struct dataset_info *info, struct str key)
{
	for (size_t i = 0; i < info->n_sample_label_keys; i++)
		if (str_eq(info->sample_label_keys[i], key))
			return true;
	return false;
}

bool match_sample_key(const struct query *q, struct str key)
{
	for (size_t i = 0; i < q->loads[0].n; i++)
		if (has_sample_key(dataset_info(q->loads[0].v[i].dataset), key))
			return true;
	return false;
}

uint64_t match_sample_keys(const struct query *q)
{
	uint64_t mask = 0;
	for (size_t m = 0; m < q->sel->n_matchers; m++)
		if (match_sample_key(q, matcher_key(&q->sel->matchers[m])))
			mask |= UINT64_C(1) << m;
	return mask;
}

/* The value of a profile's label; its `s` is NULL where it has none. */
static struct str series_value(const struct query *q, struct str service, const struct series *s, struct str key)
{
	if (!q->sel->service && str_eq(key, STR("service")))
		return service;
	return label_get(s->effective, s->n_effective, key);
}

static bool of_path(const struct series *s, struct str key)
{
	for (uint32_t i = 0; i < s->n_labels; i++)
		if (s->labels[i].of_path && str_eq(s->labels[i].key, key))
			return true;
	return false;
}

bool match_series(const struct query *q, struct str service, const struct series *s, struct series_plan *ret)
{
	ret->pending = ret->strict = 0;
	for (size_t i = 0; i < q->sel->n_matchers; i++) {
		const struct matcher *m = &q->sel->matchers[i];
		struct str value = series_value(q, service, s, matcher_key(m));
		uint64_t bit = UINT64_C(1) << i;
		bool in_samples = q->sample_matchers & bit, absent = !value.s;
		if (absent && in_samples)
			ret->pending |= bit;
		else if (matcher_matches(m, absent ? (struct str){ "", 0 } : value))
			continue;
		else if (in_samples && !of_path(s, matcher_key(m)))
			ret->strict |= bit;
		else
			return false;
	}
	return true;
}

struct str sample_label_text(const struct qpart *p, const struct sample_label *l, char buf[24])
{
	if (!l->is_num)
		return part_string(p, l->str);
	int n = snprintf(buf, 24, "%lld", (long long)l->num);
	return (struct str){ buf, (size_t)n };
}

static void judge_labelset(const struct qpart *p, const struct matcher *m, uint64_t bit, uint32_t set,
                           struct labelset_match *ret)
{
	bool negative = m->op == MATCH_NE || m->op == MATCH_NRE, any = false, all = true, has = false;
	for (uint32_t i = p->labelsets->at[set]; i < p->labelsets->at[set + 1]; i++) {
		const struct sample_label *l = &p->labelsets->labels[i];
		if (!str_eq(part_string(p, l->key), matcher_key(m)))
			continue;
		char number[24];
		bool matches = matcher_matches(m, sample_label_text(p, l, number));
		has = true;
		any |= matches;
		all &= matches;
	}
	bool holds = has && (negative ? all : any);
	if (holds)
		ret->strict |= bit;
	if (holds || (!has && matcher_matches(m, (struct str){ "", 0 })))
		ret->pass |= bit;
}

int match_labelsets(struct query *q, struct qpart *p, struct error *err)
{
	int r = dataset_labelsets(p->dataset, &p->labelsets, err);
	if (r < 0)
		return r;
	p->matches = calloc(p->labelsets->n + 1, sizeof *p->matches);
	if (!p->matches)
		return out_of_memory(err);
	for (size_t i = 0; i < q->sel->n_matchers; i++)
		for (uint32_t set = 0; set < p->labelsets->n && (q->sample_matchers >> i & 1); set++)
			judge_labelset(p, &q->sel->matchers[i], UINT64_C(1) << i, set, &p->matches[set]);
	return 0;
}

/* ---- profiles none of whose samples match ---- */

struct match_job {
	struct query *q;
	const struct cancel *cancel;
	struct error *errors; /* by part */
};

static const struct series_plan *row_series(const struct query *q, const struct row *r)
{
	return &q->parts.v[r->part].series[row_of(q, r)->series];
}

static bool any_sample(const struct qpart *p, const struct series_plan *s, const struct samples *samples)
{
	for (uint32_t i = 0; i < samples->n; i++)
		if (match_sample(p, s, samples->labelsets ? samples->labelsets[i] : 0))
			return true;
	return false;
}

/* Whether some label set, and whether all, would do: then no sample is read. */
static void any_labelset(const struct qpart *p, const struct series_plan *s, bool *ret_any, bool *ret_all)
{
	*ret_any = false;
	*ret_all = true;
	for (uint32_t i = 0; i < p->labelsets->n; i++) {
		bool match = match_sample(p, s, i);
		*ret_any |= match;
		*ret_all &= match;
	}
}

static int judge_row(struct qpart *p, struct row *r, struct query *q, struct group **group, uint32_t *loaded,
                     struct error *err)
{
	const struct series_plan *s = row_series(q, r);
	const struct profile_row *from = row_of(q, r);
	bool any, all;
	any_labelset(p, s, &any, &all);
	if (!any || from->n_samples == 0)
		r->role = ROLE_EMPTY;
	if (!any || all)
		return 0;
	if (*loaded != from->group) {
		group_free(*group);
		*group = NULL;
		*loaded = NONE;
		int e = dataset_group(p->dataset, from->group, &(struct columns){ .labels = true }, group, err);
		if (e < 0)
			return e;
		*loaded = from->group;
	}
	struct samples samples;
	int e = group_samples(*group, from, &samples, err);
	if (e >= 0 && !any_sample(p, s, &samples))
		r->role = ROLE_EMPTY;
	return e;
}

static bool row_is_pending(const struct query *q, const struct row *r)
{
	const struct series_plan *s = row_series(q, r);
	return s->pending || s->strict;
}

static int judge_part(void *arg, size_t i)
{
	struct match_job *job = arg;
	struct query *q = job->q;
	struct qpart *p = &q->parts.v[i];
	_cleanup_(group_freep) struct group *group = NULL;
	uint32_t loaded = NONE;
	int r = 0;
	for (uint32_t k = 0; k < p->n_rows && r >= 0; k++) {
		struct row *row = &q->rows.v[p->rows[k]];
		if (!row_is_pending(q, row))
			continue;
		r = cancel_check(job->cancel);
		if (r >= 0 && !p->matches)
			r = match_labelsets(q, p, &job->errors[i]);
		if (r >= 0 && row->role == ROLE_TAKEN)
			r = judge_row(p, row, q, &group, &loaded, &job->errors[i]);
	}
	return r;
}

int match_rows(struct query *q, const struct cancel *cancel, struct error *err)
{
	if (!q->sample_matchers)
		return 0;
	_free_ struct error *errors = calloc(q->parts.n + 1, sizeof *errors);
	if (!errors)
		return -ENOMEM;
	struct match_job job = { q, cancel, errors };
	int r = pool_each(query_pool(q), q->parts.n, judge_part, &job);
	for (size_t i = 0; r < 0 && err && i < q->parts.n; i++)
		if (errors[i].code == r)
			*err = errors[i];
	return r;
}
