/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * The merged selection as pprof. Samples are stacks of locations, and locations are the same where file, build,
 * address in the file and lines are. All order is by content: samples in preorder of the stacks, locations,
 * functions and mappings as they are first used; but the main binary's mapping comes first, as readers of pprof
 * expect.
 *
 * Addresses are made absolute again by where profiles had the file mapped: the smallest of these mappings that has
 * the address.
 */

#define PROFILE_MAX ((size_t)512 << 20)

/* Where a file was mapped by some profile. */
struct place {
	uint32_t file; /* of the symtab */
	uint64_t start, limit, offset;
	bool main;     /* the first mapping of a profile */
	uint32_t index; /* in the result; PROFILE_NONE: not yet */
};

struct merger {
	struct query *q;
	struct symtab *t;
	struct profile *p;
	const struct merged_types *types;
	VEC(struct place) places;
	uint32_t *strings, *functions, *locations; /* of the symtab, to the result's */
};

static void merger_done(struct merger *m)
{
	VEC_DONE(&m->places);
	free(m->strings);
	free(m->functions);
	free(m->locations);
}

static uint32_t *none_array(size_t n)
{
	uint32_t *v = malloc((n + 1) * sizeof *v);
	return v ? memset(v, 0xff, (n + 1) * sizeof *v) : NULL;
}

/* ---- mappings ---- */

static int add_mapset(struct merger *m, uint32_t part, const struct mapset *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		const struct mapset_entry *e = &set->entries[i];
		uint32_t file = symtab_file(m->t, part, e->file);
		struct place *to = file == NONE ? NULL : VEC_PUSH(&m->places);
		if (!to)
			return -ENOMEM;
		*to = (struct place){ file, e->start, e->limit, e->offset, i == 0, PROFILE_NONE };
	}
	return 0;
}

static int add_part_mapsets(struct merger *m, uint32_t part)
{
	const struct query *q = m->q;
	const struct qpart *p = &q->parts.v[part];
	_free_ uint8_t *seen = calloc((size_t)p->profiles->n_mapsets + 1, 1);
	if (!seen)
		return -ENOMEM;
	int e = 0;
	for (uint32_t i = 0; p->symbols && i < p->n_rows && e >= 0; i++) {
		const struct row *r = &q->rows.v[p->rows[i]];
		uint32_t set = row_of(q, r)->mapset;
		if (r->role != ROLE_TAKEN || set >= p->profiles->n_mapsets || seen[set])
			continue;
		seen[set] = 1;
		e = add_mapset(m, part, &p->profiles->mapsets[set]);
	}
	return e;
}

static int place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	if (x->file != y->file)
		return CMP(x->file, y->file);
	if (x->start != y->start)
		return CMP(x->start, y->start);
	return x->limit != y->limit ? CMP(x->limit, y->limit) : CMP(x->offset, y->offset);
}

static int places_make(struct merger *m)
{
	int r = 0;
	for (size_t i = 0; i < m->q->parts.n && r >= 0; i++)
		r = add_part_mapsets(m, (uint32_t)i);
	if (r < 0 || !m->places.n)
		return r;
	qsort(m->places.v, m->places.n, sizeof *m->places.v, place_cmp);
	size_t n = 0;
	for (size_t i = 0; i < m->places.n; i++) {
		if (n && !place_cmp(&m->places.v[n - 1], &m->places.v[i]))
			m->places.v[n - 1].main |= m->places.v[i].main;
		else
			m->places.v[n++] = m->places.v[i];
	}
	m->places.n = n;
	return 0;
}

static size_t first_place(const struct merger *m, uint32_t file)
{
	size_t from = 0, to = m->places.n;
	while (from < to) {
		size_t mid = (from + to) / 2;
		if (m->places.v[mid].file < file)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

/* The smallest place that covers an address of the file; the file's smallest where none does. */
static struct place *find_place(struct merger *m, uint32_t file, uint64_t address)
{
	size_t first = first_place(m, file);
	for (size_t i = first; i < m->places.n && m->places.v[i].file == file; i++) {
		struct place *p = &m->places.v[i];
		if (address >= p->offset && address - p->offset < p->limit - p->start)
			return p;
	}
	return first < m->places.n && m->places.v[first].file == file ? &m->places.v[first] : NULL;
}

/* ---- strings and tables of the result ---- */

static uint32_t put_string(struct merger *m, uint32_t string)
{
	if (string == 0)
		return 0;
	if (m->strings[string] == NONE) {
		struct str s = symtab_str(m->t, string);
		m->strings[string] = profile_string(m->p, s.s, s.len);
	}
	return m->strings[string];
}

static int put_mapping(struct merger *m, struct place *place)
{
	const struct gfile *f = &m->t->files.v[place->file];
	struct profile_mapping *to = VEC_PUSH(&m->p->mappings);
	if (!to)
		return -ENOMEM;
	*to = (struct profile_mapping){ place->start, place->limit, place->offset, put_string(m, f->filename),
		                        put_string(m, f->build_id), f->flags };
	place->index = (uint32_t)m->p->mappings.n - 1;
	return to->filename == PROFILE_NONE || to->build_id == PROFILE_NONE ? -ENOMEM : 0;
}

static int main_cmp(const struct merger *m, const struct place *a, const struct place *b)
{
	const struct gfile *x = &m->t->files.v[a->file], *y = &m->t->files.v[b->file];
	int r = str_cmp(symtab_str(m->t, x->filename), symtab_str(m->t, y->filename));
	if (!r)
		r = str_cmp(symtab_str(m->t, x->build_id), symtab_str(m->t, y->build_id));
	if (!r)
		r = CMP(a->start, b->start);
	if (!r)
		r = CMP(a->limit, b->limit);
	return r ? r : CMP(a->offset, b->offset);
}

static int put_main_mapping(struct merger *m)
{
	struct place *main = NULL;
	for (size_t i = 0; i < m->places.n; i++) {
		struct place *p = &m->places.v[i];
		if (p->main && (!main || main_cmp(m, p, main) < 0))
			main = p;
	}
	return main ? put_mapping(m, main) : 0;
}

static uint32_t put_function(struct merger *m, uint32_t function)
{
	if (function == NONE)
		return PROFILE_NONE;
	if (m->functions[function] != NONE)
		return m->functions[function];
	const struct gfunction *f = &m->t->functions.v[function];
	struct profile_function *to = VEC_PUSH(&m->p->functions);
	if (!to)
		return PROFILE_NONE;
	*to = (struct profile_function){ put_string(m, f->name), put_string(m, f->system_name),
		                         put_string(m, f->filename), f->start_line };
	return m->functions[function] = (uint32_t)m->p->functions.n - 1;
}

static int put_lines(struct merger *m, const struct glocation *l)
{
	for (uint32_t i = 0; i < l->n_lines; i++) {
		const struct gline *line = &m->t->lines.v[l->line_at + i];
		uint32_t function = put_function(m, line->function);
		struct profile_line *to = VEC_PUSH(&m->p->lines);
		if (!to || (function == PROFILE_NONE && line->function != NONE))
			return -ENOMEM;
		*to = (struct profile_line){ function, line->line, line->column };
	}
	return 0;
}

/* Mapping and absolute address. */
static int place_location(struct merger *m, const struct glocation *l, struct profile_location *to)
{
	struct place *place = l->file == NONE ? NULL : find_place(m, l->file, l->address);
	if (!place)
		return 0;
	if (place->index == PROFILE_NONE) {
		int r = put_mapping(m, place);
		if (r < 0)
			return r;
	}
	to->mapping = place->index;
	to->address = l->address - place->offset + place->start;
	return 0;
}

static uint32_t put_location(struct merger *m, uint32_t location)
{
	if (m->locations[location] != NONE)
		return m->locations[location];
	const struct glocation *l = &m->t->locations.v[location];
	struct profile_location to = {
		.mapping = PROFILE_NONE,
		.is_folded = l->folded,
		.address = l->address,
		.line_at = (uint32_t)m->p->lines.n,
		.n_lines = l->n_lines,
	};
	if (place_location(m, l, &to) < 0 || put_lines(m, l) < 0)
		return NONE;
	struct profile_location *at = VEC_PUSH(&m->p->locations);
	if (!at)
		return NONE;
	*at = to;
	return m->locations[location] = (uint32_t)m->p->locations.n - 1;
}

/* ---- samples ---- */

static bool is_zero(const int64_t *values, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (values[i])
			return false;
	return true;
}

static int put_sample(struct merger *m, const struct folded *f, uint32_t node)
{
	struct profile *p = m->p;
	for (uint32_t at = node; at; at = f->parent[at]) {
		uint32_t location = put_location(m, f->key[at]);
		uint32_t *to = location == NONE ? NULL : VEC_PUSH(&p->locs);
		if (!to)
			return -ENOMEM;
		*to = location;
	}
	int64_t *values = VEC_GROW(&p->values, f->n_slots);
	uint32_t *end = VEC_PUSH(&p->loc_at);
	if (!values || !end || p->locs.n >= NONE)
		return -ENOMEM;
	memcpy(values, f->self + (size_t)node * f->n_slots, f->n_slots * sizeof *values);
	p->values.n += f->n_slots;
	*end = (uint32_t)p->locs.n;
	p->n_samples++;
	return 0;
}

static int put_samples(struct merger *m, const struct folded *f, const struct cancel *cancel)
{
	m->p->loc_at.n = 0;
	uint32_t *first = VEC_PUSH(&m->p->loc_at);
	if (!first)
		return -ENOMEM;
	*first = 0;
	int r = 0;
	for (uint32_t i = 0; i < f->n && r >= 0; i++) {
		if ((i & 0x3fff) == 0x3fff)
			r = cancel_check(cancel);
		if (r >= 0 && !is_zero(f->self + (size_t)i * f->n_slots, f->n_slots))
			r = put_sample(m, f, i);
	}
	return r;
}

/* ---- what the whole profile says ---- */

/* What all headers say alike stays; what they differ in is left out. */
struct agreed {
	bool any;
	bool period_ok, drop_ok, keep_ok, doc_ok, kind_ok;
	struct str period_type, period_unit, drop, keep, doc, kind;
	int64_t period;
};

static void agree(bool *ok, struct str *with, struct str s, bool first)
{
	if (first) {
		*with = s;
		*ok = true;
	} else {
		*ok &= str_eq(*with, s);
	}
}

static void agree_header(struct agreed *a, const struct qpart *p, const struct header *h)
{
	bool first = !a->any, unit_ok;
	a->any = true;
	agree(&a->period_ok, &a->period_type, part_string(p, h->period_type.type), first);
	unit_ok = a->period_ok;
	agree(&unit_ok, &a->period_unit, part_string(p, h->period_type.unit), first);
	if (first)
		a->period = h->period;
	a->period_ok = a->period_ok && unit_ok && a->period == h->period;
	agree(&a->drop_ok, &a->drop, part_string(p, h->drop_frames), first);
	agree(&a->keep_ok, &a->keep, part_string(p, h->keep_frames), first);
	agree(&a->doc_ok, &a->doc, part_string(p, h->doc_url), first);
	agree(&a->kind_ok, &a->kind, part_string(p, h->kind), first);
}

typedef VEC(struct str) strs_t;

static int collect_comments(const struct qpart *p, const struct header *h, strs_t *all)
{
	for (uint32_t i = 0; i < h->n_comments; i++) {
		struct str *to = VEC_PUSH(all);
		if (!to)
			return -ENOMEM;
		*to = part_string(p, h->comments[i]);
	}
	return 0;
}

static int each_header(struct merger *m, struct agreed *a, strs_t *comments)
{
	struct query *q = m->q;
	int r = 0;
	for (size_t i = 0; i < q->parts.n; i++) {
		const struct qpart *p = &q->parts.v[i];
		for (uint32_t h = 0; h < p->profiles->n_headers && r >= 0; h++) {
			if (!p->headers[h].used)
				continue;
			agree_header(a, p, header_of(p, h));
			r = collect_comments(p, header_of(p, h), comments);
		}
	}
	return r;
}

static int str_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static uint32_t text(struct merger *m, struct str s)
{
	return s.len ? profile_string(m->p, s.s, s.len) : 0;
}

static int put_comments(struct merger *m, strs_t *all)
{
	if (all->n)
		qsort(all->v, all->n, sizeof *all->v, str_order);
	for (size_t i = 0; i < all->n; i++) {
		if (i && str_eq(all->v[i], all->v[i - 1]))
			continue;
		uint32_t *to = VEC_PUSH(&m->p->comments);
		if (!to)
			return -ENOMEM;
		*to = text(m, all->v[i]);
	}
	return 0;
}

static void put_agreed(struct merger *m, const struct agreed *a)
{
	struct profile *p = m->p;
	if (a->period_ok) {
		p->period_type = (struct value_type){ text(m, a->period_type), text(m, a->period_unit) };
		p->period = a->period;
	}
	p->drop_frames = a->drop_ok ? text(m, a->drop) : 0;
	p->keep_frames = a->keep_ok ? text(m, a->keep) : 0;
	p->doc_url = a->doc_ok ? text(m, a->doc) : 0;
	p->kind = a->kind_ok ? text(m, a->kind) : 0;
}

/* An empty selection is a profile of the type that was asked for, without samples. */
static int put_types(struct merger *m)
{
	const struct merged_types *types = m->types;
	struct profile *p = m->p;
	for (uint32_t i = 0; i < types->n; i++) {
		struct value_type *to = VEC_PUSH(&p->types);
		if (!to)
			return -ENOMEM;
		*to = (struct value_type){ text(m, types->v[i].type), text(m, types->v[i].unit) };
	}
	if (types->n) {
		p->default_type = types->main < types->n ? p->types.v[types->main].type : 0;
		return 0;
	}
	struct value_type *to = VEC_PUSH(&p->types);
	if (!to)
		return -ENOMEM;
	p->default_type = text(m, str_of(m->q->sel->type ? m->q->sel->type : "samples"));
	*to = (struct value_type){ p->default_type, 0 };
	return 0;
}

static int put_head(struct merger *m)
{
	const struct query_info *info = query_info(m->q);
	struct agreed agreed = { 0 };
	strs_t comments = { 0 };
	int r = put_types(m);
	if (r >= 0)
		r = each_header(m, &agreed, &comments);
	if (r >= 0)
		r = put_comments(m, &comments);
	VEC_DONE(&comments);
	if (r < 0)
		return r;
	put_agreed(m, &agreed);
	m->p->time_ns = info->first;
	m->p->duration_ns = info->duration;
	if (info->cumulative)
		m->p->temporality = TEMPORALITY_DELTA;
	return 0;
}

/* ---- all of it ---- */

static int finish(const struct fold *fold, const struct merged_types *types, struct folded *ret)
{
	_free_ uint32_t *rank = NULL;
	_free_ int64_t *divisors = calloc((size_t)types->n + 1, sizeof *divisors);
	int r = divisors ? symtab_rank_locations(fold->symtab, &rank) : -ENOMEM;
	for (uint32_t s = 0; r >= 0 && s < types->n; s++)
		divisors[s] = types->v[s].class == TYPE_INSTANT ? types->v[s].covered : 0;
	return r < 0 ? r : fold_finish(fold, rank, divisors, ret);
}

static int merge(struct query *q, const struct folded *folded, const struct merged_types *types,
                 const struct cancel *cancel, struct profile *p)
{
	_cleanup_(merger_done) struct merger m = { .q = q, .t = q->symtab, .p = p, .types = types };
	int r = places_make(&m);
	if (r < 0)
		return r;
	m.strings = none_array(q->symtab->strings.n);
	m.functions = none_array(q->symtab->functions.n);
	m.locations = none_array(q->symtab->locations.n);
	r = m.strings && m.functions && m.locations ? put_head(&m) : -ENOMEM;
	if (r >= 0)
		r = put_main_mapping(&m);
	if (r >= 0)
		r = put_samples(&m, folded, cancel);
	return r;
}

static int profile_make(struct query *q, const struct cancel *cancel, struct profile *ret, struct error *err)
{
	_cleanup_(merged_types_done) struct merged_types types = { 0 };
	_fold_ struct fold fold = { 0 };
	_folded_ struct folded folded = { 0 };
	int r = q->symtab ? 0 : symtab_new(q, &q->symtab);
	if (r >= 0)
		r = merge_types(q, &fold, &types, cancel, err);
	if (r >= 0)
		r = finish(&fold, &types, &folded);
	if (r >= 0)
		r = merge(q, &folded, &types, cancel, ret);
	return r == -ENOMEM ? out_of_memory(err) : r;
}

int query_profile(struct query *q, const struct cancel *cancel, struct profile *ret, struct error *err)
{
	struct profile p;
	struct query *of; /* mapping lists and headers are those of rows */
	int r = query_planned(q, cancel, &of, err);
	if (r >= 0 && of != q)
		r = values_lend(q, of, cancel, err);
	if (r < 0)
		return r;
	if (profile_init(&p, PROFILE_MAX) < 0)
		return out_of_memory(err);
	pthread_mutex_lock(&of->lock);
	r = profile_make(of, cancel, &p, err);
	pthread_mutex_unlock(&of->lock);
	query_learn(q, of);
	if (r < 0)
		profile_done(&p);
	else
		*ret = p;
	return r;
}

void memo_merged_free(struct profile *p)
{
	if (!p)
		return;
	profile_done(p);
	free(p);
}

int query_merged(struct query *q, const struct cancel *cancel, const struct profile **ret, struct error *err)
{
	pthread_mutex_lock(&q->merge_lock);
	struct profile *p = q->merged ? NULL : calloc(1, sizeof *p);
	int r = q->merged ? 0 : p ? query_profile(q, cancel, p, err) : out_of_memory(err);
	if (r >= 0 && !q->merged)
		q->merged = TAKE_PTR(p);
	if (r >= 0)
		*ret = q->merged;
	pthread_mutex_unlock(&q->merge_lock);
	free(p);
	return r;
}
