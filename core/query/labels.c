/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

#include "../base/hash.h"

/*
 * Labels, types and hours of the selection. Values of sample labels are counted over the profiles taken, by their
 * columns of label sets: a dataset's table holds those of other profiles too, and what is listed must not depend on
 * who shares a dataset.
 */

#define VALUES_MAX 10000

struct memo_labels {
	struct labels labels;
	struct label_values *v;
	struct label_count *counts; /* of all keys */
	struct arena arena;
};

void memo_labels_free(struct memo_labels *m)
{
	if (!m)
		return;
	free(m->v);
	free(m->counts);
	arena_done(&m->arena);
	free(m);
}

/* One key and value, and how many profiles have it. */
struct tally {
	struct str key, value;
	uint64_t profiles;
	bool of_samples;
};

struct counter {
	struct query *q;
	struct memo_labels *memo;
	VEC(struct tally) all;
	struct idset set;
};

static void counter_done(struct counter *c)
{
	VEC_DONE(&c->all);
	idset_done(&c->set);
}

static int count(struct counter *c, struct str key, struct str value, bool of_samples, uint64_t profiles, bool copy)
{
	uint64_t hash = hash_mix(hash_bytes(key.s, key.len) + of_samples, hash_bytes(value.s, value.len));
	for (struct idset_probe at = idset_probe(&c->set, hash); idset_next(&c->set, &at);) {
		struct tally *t = &c->all.v[at.id];
		if (t->of_samples == of_samples && str_eq(t->key, key) && str_eq(t->value, value)) {
			t->profiles += profiles;
			return 0;
		}
	}
	if (copy)
		value.s = arena_strndup(&c->memo->arena, value.s, value.len);
	struct tally *t = value.s ? VEC_PUSH(&c->all) : NULL;
	if (!t)
		return -ENOMEM;
	*t = (struct tally){ key, value, profiles, of_samples };
	return idset_add(&c->set, hash, (uint32_t)c->all.n - 1);
}

static bool is_counted(const struct query *q, const struct row *r)
{
	return r->role == ROLE_TAKEN && (!q->n_slots || row_counts(r, &q->slots[q->main_slot]));
}

static int count_series(struct counter *c)
{
	struct query *q = c->q;
	_free_ uint64_t *profiles = calloc(q->series.n + 1, sizeof *profiles);
	if (!profiles)
		return -ENOMEM;
	for (size_t i = 0; i < q->rows.n; i++)
		profiles[q->rows.v[i].series] += is_counted(q, &q->rows.v[i]);
	int r = 0;
	for (size_t i = 0; i < q->series.n && r >= 0; i++) {
		const struct qseries *s = &q->series.v[i];
		for (uint32_t k = 0; k < s->n_labels && r >= 0 && profiles[i]; k++)
			r = count(c, s->labels[k].key, s->labels[k].value, false, profiles[i], false);
	}
	return r;
}

/* ---- labels of samples ---- */

/* A profile counts once for a value, also where several of its label sets have it. */
static int count_row(struct counter *c, const struct qpart *p, const uint32_t *sets, uint32_t n, struct keyset *seen)
{
	keyset_clear(seen);
	int r = 0;
	for (uint32_t i = 0; i < n && r >= 0; i++)
		for (uint32_t k = p->labelsets->at[sets[i]]; k < p->labelsets->at[sets[i] + 1] && r >= 0; k++) {
			const struct sample_label *l = &p->labelsets->labels[k];
			uint64_t words[] = { (uint64_t)l->key << 1 | l->is_num, l->is_num ? (uint64_t)l->num : l->str };
			struct hash_key key = hash_key(words, sizeof words, 0);
			if (keyset_find(seen, key) != KEYSET_NONE)
				continue;
			char number[24];
			struct str value = sample_label_text(p, l, number);
			r = keyset_add(seen, key, 0);
			if (r >= 0)
				r = count(c, part_string(p, l->key), value, true, 1, l->is_num);
		}
	return r;
}

/* The label sets of the samples that are taken, each once. */
static uint32_t row_sets(const struct query *q, const struct row *r, const struct samples *samples, uint32_t *mark,
                         uint32_t stamp, uint32_t *ret)
{
	const struct qpart *p = &q->parts.v[r->part];
	const struct series_plan *s = &p->series[row_of(q, r)->series];
	bool pending = s->pending || s->strict;
	uint32_t n = 0;
	for (uint32_t i = 0; samples->labelsets && i < samples->n; i++) {
		uint32_t set = samples->labelsets[i];
		if (mark[set] == stamp || (pending && !match_sample(p, s, set)))
			continue;
		mark[set] = stamp;
		ret[n++] = set;
	}
	return n;
}

static int count_part(struct counter *c, uint32_t part, const struct cancel *cancel, struct error *err)
{
	struct query *q = c->q;
	struct qpart *p = &q->parts.v[part];
	int r = dataset_labelsets(p->dataset, &p->labelsets, err);
	if (r < 0)
		return r;
	_free_ uint32_t *mark = calloc((size_t)p->labelsets->n + 1, sizeof *mark);
	_free_ uint32_t *sets = malloc(((size_t)p->labelsets->n + 1) * sizeof *sets);
	_cleanup_(keyset_done) struct keyset seen = { 0 };
	_cleanup_(group_freep) struct group *group = NULL;
	uint32_t loaded = NONE;
	if (!mark || !sets)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_rows && r >= 0; i++) {
		const struct row *row = &q->rows.v[p->rows[i]];
		if (!is_counted(q, row))
			continue;
		struct samples samples;
		uint32_t at = row_of(q, row)->group;
		r = cancel_check(cancel);
		if (r >= 0 && at != loaded) {
			group_free(TAKE_PTR(group));
			r = dataset_group(p->dataset, at, &(struct columns){ .labels = true }, &group, err);
			loaded = at;
		}
		if (r >= 0)
			r = group_samples(group, row_of(q, row), &samples, err);
		if (r >= 0)
			r = count_row(c, p, sets, row_sets(q, row, &samples, mark, i + 1, sets), &seen);
	}
	return r;
}

static int count_samples(struct counter *c, const struct cancel *cancel, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < c->q->parts.n && r >= 0; i++) {
		const struct qpart *p = &c->q->parts.v[i];
		if (!p->info->n_sample_label_keys || !p->n_rows)
			continue;
		r = count_part(c, (uint32_t)i, cancel, err);
		if (err_is_damage(r))
			r = 0;
	}
	return r;
}

/* ---- in order ---- */

static int tally_cmp(const void *a, const void *b)
{
	const struct tally *x = a, *y = b;
	int r = str_cmp(x->key, y->key);
	if (!r)
		r = CMP(x->of_samples, y->of_samples);
	if (!r)
		r = CMP(y->profiles, x->profiles);
	return r ? r : str_cmp(x->value, y->value);
}

static bool same_key(const struct tally *a, const struct tally *b)
{
	return a->of_samples == b->of_samples && str_eq(a->key, b->key);
}

static int labels_fill(const struct counter *c, struct memo_labels *m)
{
	size_t n = c->all.n;
	if (n)
		qsort(c->all.v, n, sizeof *c->all.v, tally_cmp);
	m->v = calloc(n + 1, sizeof *m->v);
	m->counts = malloc((n + 1) * sizeof *m->counts);
	if (!m->v || !m->counts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct tally *t = &c->all.v[i];
		if (!i || !same_key(t, &c->all.v[i - 1]))
			m->v[m->labels.n++] = (struct label_values){ t->key, t->of_samples, &m->counts[i], 0, 0 };
		struct label_values *values = &m->v[m->labels.n - 1];
		m->counts[i] = (struct label_count){ t->value, t->profiles };
		if (values->n < VALUES_MAX)
			values->n++;
		else
			values->rest++;
	}
	m->labels.v = m->v;
	return 0;
}

static int labels_count(struct query *q, bool samples, const struct cancel *cancel, struct memo_labels *m,
                        struct error *err)
{
	_cleanup_(counter_done) struct counter c = { .q = q, .memo = m };
	int r = count_series(&c);
	if (r >= 0 && samples)
		r = count_samples(&c, cancel, err);
	return r < 0 ? r : labels_fill(&c, m);
}

static int labels_make(struct query *q, bool samples, const struct cancel *cancel, struct error *err)
{
	struct memo_labels *m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	m->arena = ARENA_INIT(ARENA_MAX);
	int r = labels_count(q, samples, cancel, m, err);
	if (r >= 0)
		q->labels[samples] = TAKE_PTR(m);
	memo_labels_free(m);
	return r;
}

int query_labels(struct query *q, bool samples, const struct cancel *cancel, const struct labels **ret,
                 struct error *err)
{
	struct query *of;
	int r = query_planned(q, cancel, &of, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&of->lock);
	r = of->labels[samples] ? 0 : labels_make(of, samples, cancel, err);
	if (r >= 0)
		*ret = &of->labels[samples]->labels;
	pthread_mutex_unlock(&of->lock);
	return r == -ENOMEM ? out_of_memory(err) : r;
}

/* The same keys in the same order as the series before has. */
static bool same_keys(const struct qseries *a, const struct qseries *b)
{
	if (a->n_labels != b->n_labels)
		return false;
	for (uint32_t i = 0; i < a->n_labels; i++)
		if (!str_eq(a->labels[i].key, b->labels[i].key))
			return false;
	return true;
}

/* Where cells answer, the series of their profiles are known, though not how many each has: no row is read. */
static int each_key_of_series(const struct query *q, int (*fn)(void *ctx, struct str key), void *ctx)
{
	const struct qseries *last = NULL;
	int r = 0;
	for (size_t i = 0; i < q->series.n && r == 0; i++) {
		const struct qseries *s = &q->series.v[i];
		if (!s->used || (last && same_keys(last, s)))
			continue;
		last = s;
		for (uint32_t k = 0; k < s->n_labels && r == 0; k++)
			r = fn(ctx, s->labels[k].key);
	}
	return r;
}

int query_each_key(struct query *q, const struct cancel *cancel, int (*fn)(void *ctx, struct str key), void *ctx,
                   struct error *err)
{
	const struct labels *labels = NULL;
	if (q->cells.n)
		return each_key_of_series(q, fn, ctx);
	int r = query_labels(q, false, cancel, &labels, err);
	for (size_t i = 0; r == 0 && labels && i < labels->n; i++)
		r = fn(ctx, labels->v[i].key);
	return r;
}

/* ---- types ---- */

struct type_tally {
	size_t name_at, name_len; /* in the query's type_names */
	struct str unit;
	uint64_t profiles;
};

typedef VEC(struct type_tally) type_tallies_t;

static struct str tally_name(const struct query *q, const struct type_tally *t)
{
	return (struct str){ (const char *)q->type_names.data + t->name_at, t->name_len };
}

static struct str shown_unit(struct str unit)
{
	const char *canonical = unit_of(unit).canonical;
	return canonical ? str_of(canonical) : unit;
}

/* A header may have a name twice; its profiles count once. */
static bool named_before(const struct qpart *p, const struct header *h, uint32_t column, struct str name)
{
	for (uint32_t i = 0; i < column; i++) {
		_buf_ struct buf other = BUF_INIT(4096);
		type_name(&other, part_string(p, h->types[i].type), part_string(p, h->types[i].unit),
		          part_string(p, h->kind));
		if (str_eq((struct str){ (char *)other.data, other.len }, name))
			return true;
	}
	return false;
}

static int count_type(struct query *q, const struct qpart *p, const struct header *h, uint32_t column,
                      uint64_t profiles, type_tallies_t *all)
{
	struct str unit = part_string(p, h->types[column].unit);
	size_t at = q->type_names.len;
	type_name(&q->type_names, part_string(p, h->types[column].type), unit, part_string(p, h->kind));
	struct type_tally t = { at, q->type_names.len - at, shown_unit(unit), profiles };
	if (buf_err(&q->type_names))
		return buf_err(&q->type_names);
	bool again = named_before(p, h, column, tally_name(q, &t));
	for (size_t i = 0; i < all->n && !again; i++) {
		if (!str_eq(tally_name(q, &all->v[i]), tally_name(q, &t)))
			continue;
		all->v[i].profiles += profiles;
		if (str_cmp(t.unit, all->v[i].unit) < 0)
			all->v[i].unit = t.unit;
		again = true;
	}
	if (again) {
		q->type_names.len = at;
		return 0;
	}
	struct type_tally *to = VEC_PUSH(all);
	if (!to)
		return -ENOMEM;
	*to = t;
	return 0;
}

static int count_part_types(struct query *q, const struct qpart *p, type_tallies_t *all)
{
	_free_ uint64_t *profiles = calloc((size_t)p->profiles->n_headers + 1, sizeof *profiles);
	if (!profiles)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_rows; i++) {
		const struct row *r = &q->rows.v[p->rows[i]];
		profiles[row_of(q, r)->header] += r->role == ROLE_TAKEN;
	}
	int e = 0;
	for (uint32_t h = 0; h < p->profiles->n_headers; h++)
		for (uint32_t c = 0; profiles[h] && e >= 0 && c < MIN(header_of(p, h)->n_types, 64u); c++)
			e = count_type(q, p, header_of(p, h), c, profiles[h], all);
	return e;
}

static int type_cmp(const void *a, const void *b)
{
	return str_cmp(((const struct type_count *)a)->name, ((const struct type_count *)b)->name);
}

int types_make(struct query *q)
{
	if (q->types)
		return 0;
	type_tallies_t all = { 0 };
	int r = 0;
	q->type_names = BUF_INIT((size_t)16 << 20);
	for (size_t i = 0; i < q->parts.n && r >= 0; i++)
		r = count_part_types(q, &q->parts.v[i], &all);
	struct type_count *types = r >= 0 ? calloc(all.n + 1, sizeof *types) : NULL;
	for (size_t i = 0; types && i < all.n; i++)
		types[i] = (struct type_count){ tally_name(q, &all.v[i]), all.v[i].unit, all.v[i].profiles };
	if (types) {
		qsort(types, all.n, sizeof *types, type_cmp);
		q->types = types;
		q->n_types = all.n;
	} else {
		buf_done(&q->type_names);
		r = r < 0 ? r : -ENOMEM;
	}
	VEC_DONE(&all);
	return r;
}

/* The same selection of every type. */
static int untyped_of(struct query *q, struct error *err)
{
	if (q->untyped || !q->sel->type)
		return 0;
	_cleanup_(selection_freep) struct selection *sel = selection_copy(q->sel);
	if (!sel)
		return -ENOMEM;
	free(TAKE_PTR(sel->type));
	selection_free(TAKE_PTR(sel->baseline));
	return query_beside(q, sel, rows_mode(q), NULL, &q->untyped, err);
}

int query_types(struct query *q, const struct type_count **ret, size_t *ret_n, struct error *err)
{
	pthread_mutex_lock(&q->lock);
	int r = untyped_of(q, err);
	struct query *of = q->untyped ? q->untyped : q;
	if (r >= 0)
		r = types_make(of);
	if (r >= 0) {
		*ret = of->types;
		*ret_n = of->n_types;
	}
	pthread_mutex_unlock(&q->lock);
	return r == -ENOMEM ? out_of_memory(err) : r;
}

/* ---- hours ---- */

static int hours_make(struct query *q)
{
	int32_t *hours = malloc((q->rows.n + 1) * sizeof *hours);
	if (!hours)
		return -ENOMEM;
	for (size_t i = 0; i < q->rows.n; i++) {
		int32_t hour = (int32_t)time_floor_div(q->rows.v[i].time, NS_PER_HOUR);
		if (q->rows.v[i].role == ROLE_TAKEN && (!q->n_hours || hours[q->n_hours - 1] != hour))
			hours[q->n_hours++] = hour;
	}
	q->hours = hours;
	q->hours_known = true;
	return 0;
}

int query_hours(struct query *q, const int32_t **ret, size_t *ret_n, struct error *err)
{
	struct query *of;
	int r = query_planned(q, NULL, &of, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&of->lock);
	r = of->hours_known ? 0 : hours_make(of);
	if (r >= 0) {
		*ret = of->hours;
		*ret_n = of->n_hours;
	}
	pthread_mutex_unlock(&of->lock);
	return r < 0 ? out_of_memory(err) : r;
}
