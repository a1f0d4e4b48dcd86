/* SPDX-License-Identifier: MIT */
#include "moments.h"

#include "internal.h"

enum moment_kind { MOMENT_NONE, MOMENT_TIMESTAMP, MOMENT_ELAPSED };

/* What a label set says of time. */
struct moment {
	enum moment_kind kind;
	int64_t ns;
};

struct reading {
	struct query *q;
	struct moments *to;
	struct filters *filters;   /* NULL: none */
	struct group *group;       /* of the part at hand */
	uint32_t group_at;
	struct moment *sets;       /* of the part's label sets */
	uint8_t *keeps;            /* of the part's stacks: 0 not asked, 1 no, 2 yes */
};

bool query_has_moments(const struct query *q)
{
	return match_sample_key(q, STR("timestamp")) || match_sample_key(q, STR("elapsed"));
}

/* ---- label sets ---- */

static struct moment moment_of(const struct qpart *p, const struct sample_label *l)
{
	struct str key = part_string(p, l->key), unit = part_string(p, l->num_unit);
	if (!l->is_num || (unit.len && !str_eq(unit, STR("nanoseconds")) && !str_eq(unit, STR("ns"))))
		return (struct moment){ MOMENT_NONE, 0 };
	if (str_eq(key, STR("timestamp")))
		return (struct moment){ MOMENT_TIMESTAMP, l->num };
	return (struct moment){ str_eq(key, STR("elapsed")) ? MOMENT_ELAPSED : MOMENT_NONE, l->num };
}

/* A timestamp is preferred. */
static int read_sets(struct reading *r, struct qpart *p, struct error *err)
{
	int e = dataset_labelsets(p->dataset, &p->labelsets, err);
	if (e < 0)
		return e;
	r->sets = calloc((size_t)p->labelsets->n + 1, sizeof *r->sets);
	for (uint32_t set = 0; r->sets && set < p->labelsets->n; set++)
		for (uint32_t i = p->labelsets->at[set]; i < p->labelsets->at[set + 1]; i++) {
			struct moment m = moment_of(p, &p->labelsets->labels[i]);
			if (m.kind && r->sets[set].kind != MOMENT_TIMESTAMP)
				r->sets[set] = m;
		}
	return r->sets ? 0 : -ENOMEM;
}

/* Times far from the profile's are no times: one of them would stretch a picture over years. */
static bool time_of(const struct moment *m, const struct profile_row *row, int64_t *ret)
{
	int64_t t = m->ns, least, most;
	if (m->kind == MOMENT_ELAPSED && __builtin_add_overflow(row->time, m->ns, &t))
		return false;
	if (__builtin_sub_overflow(row->time, MOMENT_SLACK, &least) ||
	    __builtin_add_overflow(row->time, MAX(row->duration, INT64_C(0)), &most) ||
	    __builtin_add_overflow(most, MOMENT_SLACK, &most))
		return false;
	*ret = t;
	return m->kind != MOMENT_NONE && t >= least && t <= most;
}

/* ---- samples ---- */

static int keeps_stack(struct reading *r, uint32_t part, uint32_t stack)
{
	if (!r->filters)
		return 1;
	if (!r->keeps[stack]) {
		int kept = filters_stack(r->filters, part, stack);
		if (kept < 0)
			return kept;
		r->keeps[stack] = kept ? 2 : 1;
	}
	return r->keeps[stack] == 2;
}

static int tell_samples(struct reading *r, const struct row *row, const struct samples *s, uint32_t column)
{
	const struct qpart *p = &r->q->parts.v[row->part];
	const struct profile_row *pr = row_of(r->q, row);
	const struct series_plan *plan = &p->series[pr->series];
	int64_t scale = column_scale(p, pr->header, column), time, value;
	for (uint32_t i = 0; s->values[column] && i < s->n; i++) {
		uint32_t set = s->labelsets ? s->labelsets[i] : 0;
		if (!s->values[column][i] || ((plan->pending || plan->strict) && !match_sample(p, plan, set)))
			continue;
		int kept = keeps_stack(r, row->part, s->stacks[i]);
		if (kept < 0)
			return kept;
		if (!kept)
			continue;
		bool timed = time_of(&r->sets[set], pr, &time);
		r->to->told += timed;
		r->to->without += !timed;
		if (timed && !__builtin_mul_overflow(s->values[column][i], scale, &value))
			r->to->each(r->to->arg, time, value);
	}
	return 0;
}

static int read_row(struct reading *r, const struct row *row, struct error *err)
{
	const struct qpart *p = &r->q->parts.v[row->part];
	const struct profile_row *pr = row_of(r->q, row);
	uint32_t column = plan_column(r->q, p, pr->header, r->q->main_slot);
	struct samples samples;
	int e = 0;
	if (column == NONE || column >= 64)
		return 0;
	if (!r->group || r->group_at != pr->group) {
		struct columns columns = { .labels = true };
		for (uint32_t h = 0; h < p->profiles->n_headers; h++) {
			uint32_t c = plan_column(r->q, p, h, r->q->main_slot);
			columns.types |= c < 64 ? UINT64_C(1) << c : 0;
		}
		group_free(TAKE_PTR(r->group));
		e = dataset_group(p->dataset, pr->group, &columns, &r->group, err);
		r->group_at = pr->group;
	}
	if (e >= 0)
		e = group_samples(r->group, pr, &samples, err);
	return e < 0 ? e : tell_samples(r, row, &samples, column);
}

static bool is_told(const struct query *q, const struct row *r)
{
	return r->role == ROLE_TAKEN && row_counts(r, &q->slots[q->main_slot]);
}

static int read_part(struct reading *r, struct qpart *p, const struct cancel *cancel, struct error *err)
{
	int e = read_sets(r, p, err);
	if (e >= 0 && r->filters && !p->symbols)
		e = part_load_symbols(r->q, p, err);
	if (e >= 0 && r->filters) {
		r->keeps = calloc((size_t)p->symbols->n_stacks + 1, 1);
		e = r->keeps ? 0 : -ENOMEM;
	}
	for (uint32_t i = 0; e >= 0 && i < p->n_rows; i++) {
		const struct row *row = &r->q->rows.v[p->rows[i]];
		e = cancel_check(cancel);
		if (e >= 0 && is_told(r->q, row))
			e = read_row(r, row, err);
	}
	group_free(TAKE_PTR(r->group));
	free(TAKE_PTR(r->sets));
	free(TAKE_PTR(r->keeps));
	return e;
}

/* Under the lock. */
static int read_parts(struct query *q, const struct cancel *cancel, struct moments *m, struct error *err)
{
	_filters_ struct filters filters = { 0 };
	struct reading r = { .q = q, .to = m, .filters = q->sel->n_filters ? &filters : NULL };
	int e = q->symtab || !r.filters ? 0 : symtab_new(q, &q->symtab);
	if (e >= 0 && r.filters)
		e = filters_init(&filters, q->sel, q->symtab);
	for (size_t i = 0; e >= 0 && q->n_slots && i < q->parts.n; i++) {
		struct qpart *p = &q->parts.v[i];
		if (p->n_rows)
			e = read_part(&r, p, cancel, err);
		e = err_is_damage(e) ? 0 : e;
	}
	return e;
}

int query_moments(struct query *q, const struct cancel *cancel, struct moments *m, struct error *err)
{
	struct query *of;
	m->told = m->without = 0;
	int e = query_planned(q, cancel, &of, err);
	if (e < 0)
		return e;
	pthread_mutex_lock(&of->lock);
	e = read_parts(of, cancel, m, err);
	pthread_mutex_unlock(&of->lock);
	return e == -ENOMEM ? out_of_memory(err) : e;
}
