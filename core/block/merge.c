/* SPDX-License-Identifier: MIT */

/*
 * Merging, service by service. Kept profiles of all inputs are ordered by hour, kind, series and time: so a range of
 * time lies together, and so does what is alike. Stacks are counted and numbered (stack_order.c). Then each profile is
 * decoded from its row group, translated (merge_map.c), and encoded again; closed groups go to the sink at once. What
 * is held: the inputs' tables of the service, one row per profile, the output's tables, and a cache of decoded row
 * groups.
 *
 * Rollups are summed on the way (rollup_write.c): for a running total its predecessor is decoded once more.
 */

#include <string.h>

#include "../base/clock.h"
#include "../profile/types.h"
#include "header.h"
#include "merge_map.h"
#include "order.h"
#include "rollup_write.h"
#include "shared.h"
#include "stack_order.h"

#define GROUPS_MAX ((size_t)48 << 20) /* decoded row groups that are kept */
#define LIFE_MAX (5 * NS_PER_MIN)     /* how long an instantaneous profile counts at most */
#define NO_ROW UINT32_MAX

/* A profile that is kept, in the order of writing. */
struct ref {
	int64_t time;
	uint32_t input, row, series, kind, header;
	uint32_t prev, next; /* of its series and kind, where that matters */
	struct ulid id;
};

struct decoded {
	struct group *group;
	uint64_t used; /* when last */
};

struct input {
	struct dataset *dataset;
	struct merge_map map;
	struct decoded *groups; /* by number */
	uint32_t n_groups;
};

/* One profile's samples in the output's numbers, in order; values[i * n_types + t]. */
struct row_samples {
	struct sample_order order;
	VEC(uint32_t) stacks, labelsets;
	VEC(int64_t) values;
	struct buf details;
};

struct merge {
	const struct merge_options *o;
	struct out *out;
	struct error *err;
	struct build_map scratch;
	struct str service;
	struct input *inputs;
	size_t n_inputs;
	VEC(struct ref) refs;
	struct idset ids;
	struct out_dataset *dataset;
	struct merge_result result;
	/* decoded groups */
	size_t groups_bytes, groups_max;
	uint64_t clock;
	struct row_samples row, before;
	struct stack_order order;
	/* rollups */
	VEC(struct rollup_kind) kinds;
	VEC(uint32_t) kind_types, kind_of;
	VEC(struct header_class) classes; /* by header of the output */
	struct rollup_plan plan;
	struct rollup_writer *rollups;
	struct stack_list now, then;
};

static int no_memory(struct merge *m)
{
	return error_set(m->err, -ENOMEM, "out of memory while a block is merged");
}

/* ---- the inputs of a service ---- */

static void inputs_done(struct merge *m)
{
	for (size_t i = 0; i < m->n_inputs; i++) {
		struct input *in = &m->inputs[i];
		for (uint32_t g = 0; in->groups && g < in->n_groups; g++)
			group_free(in->groups[g].group);
		free(in->groups);
		merge_map_done(&in->map);
		if (in->dataset)
			dataset_unload(in->dataset);
	}
	free(m->inputs);
	m->inputs = NULL;
	m->n_inputs = 0;
	m->groups_bytes = 0;
}

static int inputs_open(struct merge *m, const struct merge_input *in, size_t n)
{
	m->inputs = calloc(n + 1, sizeof *m->inputs);
	if (!m->inputs)
		return no_memory(m);
	for (size_t i = 0; i < n; i++) {
		size_t at = block_find(in[i].block, m->service);
		if (at == SIZE_MAX)
			continue;
		struct input *to = &m->inputs[m->n_inputs++];
		to->dataset = block_dataset(in[i].block, at);
		int r = merge_map_init(&to->map, to->dataset, m->dataset, &m->scratch, m->err);
		if (r < 0)
			return r == -ENOMEM ? no_memory(m) : r;
		to->n_groups = to->dataset->n_groups;
		to->groups = calloc((size_t)to->n_groups + 1, sizeof *to->groups);
		if (!to->groups)
			return no_memory(m);
	}
	return 0;
}

/* ---- which profiles are kept ---- */

static uint64_t id_hash(const struct ulid *id)
{
	uint64_t w[2];
	memcpy(w, id->b, sizeof w);
	return hash_mix(w[0], w[1]);
}

static bool id_is_known(const struct merge *m, const struct ulid *id, uint64_t hash)
{
	for (struct idset_probe at = idset_probe(&m->ids, hash); idset_next(&m->ids, &at);)
		if (!memcmp(m->refs.v[at.id].id.b, id->b, sizeof id->b))
			return true;
	return false;
}

static int collect_row(struct merge *m, uint32_t input, uint32_t row)
{
	const struct profile_row *from = &m->inputs[input].map.profiles->rows[row];
	struct ulid id = profile_row_id(from);
	uint64_t hash = id_hash(&id);
	if (m->o->keep && !m->o->keep(m->o->ctx, m->service, &id, from->time))
		return 0;
	if (id_is_known(m, &id, hash)) {
		m->result.duplicates++;
		return 0;
	}
	struct ref *r = m->refs.n < NO_ROW ? VEC_GROW(&m->refs, 1) : NULL;
	if (!r || idset_add(&m->ids, hash, (uint32_t)m->refs.n) < 0)
		return -ENOMEM;
	struct merge_map *map = &m->inputs[input].map;
	*r = (struct ref){ .time = from->time, .input = input, .row = row, .prev = NO_ROW, .next = NO_ROW, .id = id };
	r->series = merge_series(map, from->series);
	r->header = merge_header(map, from->header);
	if (r->series == IDSET_NONE || r->header == IDSET_NONE)
		return -ENOMEM;
	m->refs.n++;
	return 0;
}

static int collect(struct merge *m)
{
	m->refs.n = 0;
	idset_clear(&m->ids);
	for (uint32_t i = 0; i < m->n_inputs; i++)
		for (uint32_t k = 0; k < m->inputs[i].map.profiles->n; k++)
			if (collect_row(m, i, k) < 0)
				return no_memory(m);
	return 0;
}

static const struct profile_row *row_of(const struct merge *m, const struct ref *r)
{
	return &m->inputs[r->input].map.profiles->rows[r->row];
}

static const struct header *header_of(const struct merge *m, const struct ref *r)
{
	return &m->inputs[r->input].map.profiles->headers[row_of(m, r)->header];
}

/* ---- kinds ---- */

static struct str text_of(const struct merge *m, uint32_t string)
{
	struct slice s = intern_get(&m->dataset->build.strings, string);
	return (struct str){ (const char *)s.data, s.len };
}

static bool same_kind(const struct merge *m, uint32_t a, uint32_t b)
{
	const struct header_note *x = &m->dataset->headers.v[a], *y = &m->dataset->headers.v[b];
	const struct header_class *p = &m->classes.v[a], *q = &m->classes.v[b];
	return x->n_types == y->n_types && x->kind == y->kind &&
	       !memcmp(x->types, y->types, 2 * (size_t)x->n_types * sizeof *x->types) &&
	       p->cumulative == q->cumulative && p->delta == q->delta && p->heap == q->heap && p->allocs == q->allocs;
}

static uint32_t kind_find(struct merge *m, uint32_t header, bool running)
{
	for (uint32_t k = 0; k < m->kinds.n; k++)
		if (m->kinds.v[k].running == running && same_kind(m, m->kinds.v[k].header, header))
			return k;
	struct rollup_kind *kind = VEC_GROW(&m->kinds, 1);
	uint32_t *types = VEC_GROW(&m->kind_types, 1);
	if (!kind || !types)
		return NO_ROW;
	*kind = (struct rollup_kind){ header, running, m->classes.v[header].has_instant, true };
	*types = m->dataset->headers.v[header].n_types;
	m->kind_types.n++;
	return (uint32_t)m->kinds.n++;
}

static int classes_make(struct merge *m)
{
	size_t n = m->dataset->headers.n;
	m->classes.n = m->kind_of.n = 0;
	struct header_class *classes = VEC_GROW(&m->classes, n + 1);
	uint32_t *kind_of = VEC_GROW(&m->kind_of, 2 * n + 1);
	if (!classes || !kind_of)
		return -ENOMEM;
	memset(kind_of, 0xff, 2 * n * sizeof *kind_of);
	memset(classes, 0, n * sizeof *classes);
	m->classes.n = n;
	m->kind_of.n = 2 * n;
	for (size_t i = 0; i < m->refs.n; i++) {
		const struct ref *r = &m->refs.v[i];
		classes[r->header] = header_class_of(header_of(m, r), m->inputs[r->input].map.symbols->strings);
	}
	return 0;
}

static int kinds_make(struct merge *m)
{
	m->kinds.n = m->kind_types.n = 0;
	if (classes_make(m) < 0)
		return no_memory(m);
	for (size_t i = 0; i < m->refs.n; i++) {
		struct ref *r = &m->refs.v[i];
		bool running = header_is_running(&m->classes.v[r->header], row_of(m, r)->duration);
		uint32_t *kind = &m->kind_of.v[2 * r->header + running];
		if (*kind == NO_ROW)
			*kind = kind_find(m, r->header, running);
		if (*kind == NO_ROW)
			return no_memory(m);
		r->kind = *kind;
	}
	return 0;
}

static void name_type(const struct merge *m, const struct header_note *h, uint32_t type, struct buf *out)
{
	type_name(out, text_of(m, h->types[2 * type]), text_of(m, h->types[2 * type + 1]), text_of(m, h->kind));
}

static bool kinds_share(const struct merge *m, const struct header_note *x, const struct header_note *y)
{
	_buf_ struct buf a = BUF_INIT(8192), b = BUF_INIT(8192);
	for (uint32_t i = 0; i < x->n_types; i++)
		for (uint32_t k = 0; k < y->n_types; k++) {
			buf_reset(&a);
			buf_reset(&b);
			name_type(m, x, i, &a);
			name_type(m, y, k, &b);
			if (buf_err(&a) || buf_err(&b) || (a.len == b.len && !memcmp(a.data, b.data, a.len)))
				return true;
		}
	return false;
}

/* Kinds that share a type are chained together by queries: where that matters, none of them is rolled up. */
static void kinds_choose(struct merge *m)
{
	for (uint32_t i = 0; i < m->kinds.n; i++)
		for (uint32_t k = 0; k < i; k++) {
			struct rollup_kind *a = &m->kinds.v[i], *b = &m->kinds.v[k];
			bool plain = !a->running && !a->instant && !b->running && !b->instant;
			const struct header_note *headers = m->dataset->headers.v;
			if (!plain && kinds_share(m, &headers[a->header], &headers[b->header]))
				a->rolled = b->rolled = false;
		}
}

/* ---- order ---- */

static int compare_refs(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;
	int64_t hour_x = time_floor_div(x->time, NS_PER_HOUR), hour_y = time_floor_div(y->time, NS_PER_HOUR);
	if (hour_x != hour_y)
		return CMP(hour_x, hour_y);
	if (x->kind != y->kind)
		return CMP(x->kind, y->kind);
	if (x->series != y->series)
		return CMP(x->series, y->series);
	return x->time != y->time ? CMP(x->time, y->time) : memcmp(x->id.b, y->id.b, sizeof x->id.b);
}

/* Rows are in order of time within a series and kind, hour by hour: one pass links them. */
static int chain(struct merge *m)
{
	size_t n_series = m->dataset->build.series.at.n, n = n_series * m->kinds.n;
	_free_ uint32_t *last = malloc((n + 1) * sizeof *last);
	if (!last)
		return no_memory(m);
	memset(last, 0xff, n * sizeof *last);
	for (uint32_t i = 0; i < m->refs.n; i++) {
		struct ref *r = &m->refs.v[i];
		uint32_t *at = &last[r->kind * n_series + r->series];
		r->prev = *at;
		if (*at != NO_ROW)
			m->refs.v[*at].next = i;
		*at = i;
	}
	return 0;
}

/* ---- the numbers of stacks ---- */

/* Counts how often each stack is sampled; interns them all. */
static int count_group(struct merge *m, struct input *in, uint32_t number, const uint8_t *kept)
{
	const struct dataset *d = in->dataset;
	struct columns none = { 0, false, false };
	_cleanup_(group_freep) struct group *g = NULL;
	int r = dataset_group(in->dataset, number, &none, &g, m->err);
	for (uint32_t i = d->group_at[number]; i < d->group_at[number + 1] && r == 0; i++) {
		struct samples s;
		uint32_t row = d->group_rows[i];
		if (!kept[row])
			continue;
		r = group_samples(g, &d->profiles.rows[row], &s, m->err);
		if (r == 0 && stack_order_count(&m->order, &in->map, s.stacks, s.n) < 0)
			return no_memory(m);
	}
	return r;
}

static int count_stacks(struct merge *m, uint32_t input)
{
	struct input *in = &m->inputs[input];
	_free_ uint8_t *kept = calloc((size_t)in->map.profiles->n + 1, 1);
	if (!kept)
		return no_memory(m);
	for (size_t i = 0; i < m->refs.n; i++)
		if (m->refs.v[i].input == input)
			kept[m->refs.v[i].row] = 1;
	int r = 0;
	for (uint32_t g = 0; g < in->n_groups && r == 0; g++) {
		r = cancel_check(m->o->cancel);
		if (r == 0)
			r = count_group(m, in, g, kept);
	}
	return r;
}

static int number_stacks(struct merge *m)
{
	int r = 0;
	const struct dataset *shared = m->dataset->shared;
	m->order.counts.n = 0;
	for (uint32_t i = 0; i < m->n_inputs && r == 0; i++)
		r = count_stacks(m, i);
	_free_ uint32_t *number = r == 0 ? stack_order_make(&m->order, &m->dataset->build,
	                                                      shared ? shared->symbols.n_stacks : 1) : NULL;
	if (r == 0 && !number)
		return no_memory(m);
	for (size_t i = 0; i < m->n_inputs && r == 0; i++)
		merge_map_renumber(&m->inputs[i].map, number);
	return r;
}

/* ---- decoding ---- */

static void drop_oldest_group(struct merge *m)
{
	struct decoded *oldest = NULL;
	for (size_t i = 0; i < m->n_inputs; i++)
		for (uint32_t g = 0; g < m->inputs[i].n_groups; g++) {
			struct decoded *d = &m->inputs[i].groups[g];
			if (d->group && (!oldest || d->used < oldest->used))
				oldest = d;
		}
	if (!oldest)
		return;
	m->groups_bytes -= group_memory(oldest->group);
	group_free(TAKE_PTR(oldest->group));
}

static int need_group(struct merge *m, struct input *in, uint32_t number, struct group **ret)
{
	struct decoded *d = &in->groups[number];
	struct columns all = { UINT64_MAX, true, true };
	d->used = ++m->clock;
	if (!d->group) {
		while (m->groups_bytes > m->groups_max)
			drop_oldest_group(m);
		struct group *g;
		int r = dataset_group(in->dataset, number, &all, &g, m->err);
		if (r == 0 && (r = group_index(g, m->err)) < 0)
			group_free(g);
		if (r < 0)
			return r == -ENOMEM ? no_memory(m) : r;
		d->group = g;
		m->groups_bytes += group_memory(g);
	}
	*ret = d->group;
	return 0;
}

/* Fills the keys: stack in the output's numbers, label set still in the input's. */
static void translate_keys(const struct merge_map *map, const struct samples *s, struct sort_key *keys)
{
	for (uint32_t i = 0; i < s->n; i++) {
		uint64_t stack = map->stacks[s->stacks[i]];
		keys[i] = (struct sort_key){ stack << 32 | (s->labelsets ? s->labelsets[i] : 0), i };
	}
}

/*
 * Label sets get the output's numbers in the order of samples, so that new ones are numbered one after the other. Known
 * ones may then be out of order among those of one stack.
 */
static int translate_sets(struct merge_map *map, struct sort_key *keys, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t set = (uint32_t)keys[i].key;
		struct sort_key key = keys[i];
		if (set && (set = merge_labelset(map, set)) == IDSET_NONE)
			return -ENOMEM;
		key.key = key.key >> 32 << 32 | set;
		uint32_t to = i;
		for (; to && keys[to - 1].key > key.key; to--)
			keys[to] = keys[to - 1];
		keys[to] = key;
	}
	return 0;
}

static int translate(struct merge_map *map, const struct samples *s, uint32_t n_types, struct row_samples *to)
{
	to->stacks.n = to->labelsets.n = to->values.n = 0;
	struct sort_key *keys = sample_order_keys(&to->order, s->n);
	uint32_t *stacks = VEC_GROW(&to->stacks, (size_t)s->n + 1), *sets = VEC_GROW(&to->labelsets, (size_t)s->n + 1);
	int64_t *values = VEC_GROW(&to->values, (size_t)s->n * n_types + 1);
	if (!keys || !stacks || !sets || !values)
		return -ENOMEM;
	translate_keys(map, s, keys);
	keys = sample_order_sort(&to->order, s->n);
	if (translate_sets(map, keys, s->n) < 0)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n; i++) {
		stacks[i] = (uint32_t)(keys[i].key >> 32);
		sets[i] = (uint32_t)keys[i].key;
		for (uint32_t t = 0; t < n_types; t++)
			values[(size_t)i * n_types + t] = s->values[t][keys[i].sample];
	}
	to->stacks.n = s->n;
	return merge_details(map, s->details, &to->details);
}

static int decode(struct merge *m, const struct ref *r, struct row_samples *to)
{
	struct input *in = &m->inputs[r->input];
	const struct profile_row *row = row_of(m, r);
	struct group *g = NULL;
	struct samples s;
	int e = need_group(m, in, row->group, &g);
	if (e == 0)
		e = group_samples(g, row, &s, m->err);
	if (e < 0)
		return e == -ENOMEM ? no_memory(m) : e;
	e = translate(&in->map, &s, header_of(m, r)->n_types, to);
	if (e == ERR_CORRUPT_LAYOUT)
		return corrupt(in->dataset, m->err, "a profile's details do not fit its tables");
	return e < 0 ? no_memory(m) : 0;
}

/* ---- what a profile adds to rollups ---- */

static int64_t life_of(const struct merge *m, const struct ref *r)
{
	uint64_t gap = (uint64_t)m->refs.v[r->next].time - (uint64_t)r->time;
	return (int64_t)MIN(gap, (uint64_t)LIFE_MAX);
}

/* Whether cells hold it: see struct rollup_cell. */
static bool is_held(const struct merge *m, const struct ref *r)
{
	const struct rollup_kind *k = &m->kinds.v[r->kind];
	if (k->running && r->prev == NO_ROW)
		return false;
	return !k->instant || (r->next != NO_ROW && life_of(m, r) > 0);
}

static int list_type(const struct row_samples *s, uint32_t n_types, uint32_t type, struct stack_list *ret)
{
	int r = 0;
	ret->n = 0;
	for (size_t i = 0; i < s->stacks.n && r == 0; i++)
		if (s->values.v[i * n_types + type])
			r = stack_list_push(ret, s->stacks.v[i], s->values.v[i * n_types + type]);
	return r;
}

static bool any_negative(const struct row_samples *s, uint32_t n_types, uint32_t type)
{
	for (size_t i = 0; i < s->stacks.n; i++)
		if (s->values.v[i * n_types + type] < 0)
			return true;
	return false;
}

/* Differences (negative inuse_*) are found by queries: their kind is left to them. */
static bool is_difference(const struct merge *m, const struct ref *r, const struct row_samples *s)
{
	const struct header_note *h = &m->dataset->headers.v[r->header];
	for (uint32_t t = 0; t < h->n_types; t++) {
		struct str type = text_of(m, h->types[2 * t]);
		if (type.len > 6 && !memcmp(type.s, "inuse_", 6) && any_negative(s, h->n_types, t))
			return true;
	}
	return false;
}

static int roll_type(struct merge *m, const struct ref *r, uint32_t type, bool has_before)
{
	const struct header_note *h = &m->dataset->headers.v[r->header];
	const struct header_class *c = &m->classes.v[r->header];
	enum type_class class = type_class_of(text_of(m, h->types[2 * type]));
	bool total = has_before && class != TYPE_INSTANT && (class == TYPE_RUNNING || c->cumulative);
	int e = list_type(&m->row, h->n_types, type, &m->now);
	if (e == 0 && total)
		e = list_type(&m->before, h->n_types, type, &m->then);
	if (e < 0)
		return e;
	bool restart = total && increase_make(&m->now, &m->then);
	return rollup_add(m->rollups, type, &m->now, class == TYPE_INSTANT ? life_of(m, r) : 1, restart);
}

static int roll(struct merge *m, const struct ref *r)
{
	const struct rollup_kind *k = &m->kinds.v[r->kind];
	const struct profile_row *row = row_of(m, r);
	if (k->instant && is_difference(m, r, &m->row))
		rollup_spoil(m->rollups, r->kind);
	if (!k->rolled || !is_held(m, r))
		return 0;
	int e = k->running ? decode(m, &m->refs.v[r->prev], &m->before) : 0;
	if (e < 0)
		return e;
	struct rollup_row facts = { r->kind, r->series, r->time, row->duration, r->id, row->n_samples };
	e = rollup_row(m->rollups, &facts);
	for (uint32_t t = 0; t < m->kind_types.v[r->kind] && e == 0; t++)
		e = roll_type(m, r, t, k->running);
	return e < 0 ? no_memory(m) : 0;
}

/* ---- writing ---- */

static int write_row(struct merge *m, const struct ref *r)
{
	const struct input *in = &m->inputs[r->input];
	const struct profile_row *from = row_of(m, r);
	int e = decode(m, r, &m->row);
	if (e < 0)
		return e;
	struct out_row row = {
		.time = from->time,
		.duration = from->duration,
		.series = r->series,
		.header = r->header,
		.mapset = merge_mapset(&m->inputs[r->input].map, from->mapset),
		.n_samples = from->n_samples,
		.time_source = from->time_source,
	};
	memcpy(row.hash, from->hash, sizeof row.hash);
	if (row.mapset == IDSET_NONE)
		return no_memory(m);
	struct rowgroup_samples s = { row.n_samples, m->row.stacks.v, m->row.labelsets.v, m->row.values.v,
		                      in->map.profiles->divisors + from->totals_at, buf_slice(&m->row.details) };
	e = out_dataset_add(m->dataset, &row, &s, in->map.profiles->totals + from->totals_at, 0);
	if (e == -ENOMEM)
		return no_memory(m);
	return e == 0 && m->rollups ? roll(m, r) : e;
}

static size_t memory_of(const struct merge *m)
{
	size_t n = out_dataset_memory(m->dataset) + m->groups_bytes + m->refs.cap * sizeof *m->refs.v;
	for (size_t i = 0; i < m->n_inputs; i++)
		n += merge_map_memory(&m->inputs[i].map) + m->inputs[i].dataset->arena.used;
	n += m->dataset->shared ? m->dataset->shared->arena.used : 0;
	return n + (m->rollups ? rollup_writer_memory(m->rollups) : 0);
}

static int check_memory(struct merge *m)
{
	size_t need = memory_of(m);
	if (!m->o->memory || need <= m->o->memory)
		return 0;
	return error_set(m->err, ERR_LIMIT_MEMORY,
	                 "merging service %.*s needs more than %zu MiB: merge fewer objects, or raise the limit",
	                 (int)m->service.len, m->service.s, m->o->memory >> 20);
}

static int write_rows(struct merge *m)
{
	int r = check_memory(m);
	for (size_t i = 0; i < m->refs.n && r == 0; i++) {
		r = cancel_check(m->o->cancel);
		if (r == 0)
			r = write_row(m, &m->refs.v[i]);
		if (r == 0 && i % 256 == 255)
			r = check_memory(m);
	}
	return r;
}

static int rollups_begin(struct merge *m)
{
	kinds_choose(m);
	int r = chain(m);
	if (r < 0)
		return r;
	m->plan = (struct rollup_plan){
		.kinds = m->kinds.v,
		.n_kinds = (uint32_t)m->kinds.n,
		.n_types = m->kind_types.v,
		.kind_of = m->kind_of.v,
		.n_headers = (uint32_t)m->dataset->headers.n,
		.service = m->service,
	};
	return rollup_writer_new(&m->plan, &m->rollups) < 0 ? no_memory(m) : 0;
}

/* What came in is known of datasets alone: a kept part counts its share. */
static uint64_t bytes_in(const struct merge *m)
{
	double sum = 0;
	for (uint32_t i = 0; i < m->n_inputs; i++) {
		uint64_t kept = 0, all = m->inputs[i].map.profiles->n;
		for (size_t k = 0; k < m->refs.n; k++)
			kept += m->refs.v[k].input == i;
		sum += (double)m->inputs[i].dataset->info.bytes_in * (double)kept / (double)MAX(all, UINT64_C(1));
	}
	return (uint64_t)(sum + 0.5);
}

static int write_dataset(struct merge *m, struct buf *footer)
{
	bool rollup = m->o->rollup && m->o->rollup(m->o->ctx, m->service);
	int r = kinds_make(m);
	if (r < 0)
		return r;
	qsort(m->refs.v, m->refs.n, sizeof *m->refs.v, compare_refs);
	r = rollup ? rollups_begin(m) : 0;
	if (!m->out->off)
		out_magic(m->out);
	m->dataset->stream = m->out;
	if (r == 0)
		r = number_stacks(m);
	if (r == 0)
		r = write_rows(m);
	if (r == 0 && m->rollups && rollup_finish(m->rollups, m->dataset) < 0)
		r = no_memory(m);
	m->dataset->bytes_in = bytes_in(m);
	struct sections s = { 0 };
	if (r == 0)
		r = out_dataset_put(m->out, m->dataset, &s);
	if (r == 0)
		r = out_dataset_info(footer, m->dataset, m->out->version, &s);
	m->result.profiles += m->refs.n;
	return r;
}

static int take_shared(struct merge *m)
{
	struct dataset *shared = NULL;
	struct shared_name name = { 0 };
	int r = m->o->shared ? m->o->shared(m->o->ctx, m->service, &shared, &name, m->err) : 0;
	return r < 0 || !shared ? r : shared_begin(m->dataset, shared, &name, &m->scratch, m->err);
}

static int merge_service(struct merge *m, const struct merge_input *in, size_t n, struct buf *footer,
                         uint32_t *n_datasets)
{
	int r = out_dataset_new(m->service, LEVEL_BLOCK, &m->dataset);
	if (r < 0)
		return no_memory(m);
	r = take_shared(m);
	if (r == 0)
		r = inputs_open(m, in, n);
	if (r == 0)
		r = collect(m);
	if (r == 0 && m->refs.n) {
		r = write_dataset(m, footer);
		++*n_datasets;
	}
	rollup_writer_free(TAKE_PTR(m->rollups));
	inputs_done(m);
	out_dataset_free(TAKE_PTR(m->dataset));
	return r;
}

/* ---- services ---- */

static int compare_names(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

static int services_of(const struct merge_input *in, size_t n, struct str **ret, size_t *ret_n)
{
	size_t all = 0, m = 0;
	for (size_t i = 0; i < n; i++)
		all += block_datasets(in[i].block);
	struct str *v = malloc((all + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	all = 0;
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < block_datasets(in[i].block); k++)
			v[all++] = block_info(in[i].block, k)->service;
	qsort(v, all, sizeof *v, compare_names);
	for (size_t i = 0; i < all; i++)
		if (!i || !str_eq(v[i], v[m - 1]))
			v[m++] = v[i];
	*ret = v;
	*ret_n = m;
	return 0;
}

static void row_samples_done(struct row_samples *s)
{
	sample_order_done(&s->order);
	VEC_DONE(&s->stacks);
	VEC_DONE(&s->labelsets);
	VEC_DONE(&s->values);
	buf_done(&s->details);
}

static void merge_done(struct merge *m)
{
	build_map_done(&m->scratch);
	VEC_DONE(&m->refs);
	idset_done(&m->ids);
	row_samples_done(&m->row);
	row_samples_done(&m->before);
	stack_order_done(&m->order);
	VEC_DONE(&m->kinds);
	VEC_DONE(&m->kind_types);
	VEC_DONE(&m->kind_of);
	VEC_DONE(&m->classes);
	stack_list_done(&m->now);
	stack_list_done(&m->then);
}

static int merge_all(struct merge *m, const struct merge_input *in, size_t n)
{
	_free_ struct str *services = NULL;
	_buf_ struct buf datasets = BUF_INIT(LAYOUT_MAX_FOOTER), footer = BUF_INIT(LAYOUT_MAX_FOOTER);
	size_t n_services;
	uint32_t n_datasets = 0;
	if (services_of(in, n, &services, &n_services) < 0)
		return no_memory(m);
	int r = 0;
	for (size_t i = 0; i < n_services && r == 0; i++) {
		m->service = services[i];
		r = merge_service(m, in, n, &datasets, &n_datasets);
	}
	if (r < 0 || !n_datasets)
		return r;
	buf_varint(&footer, m->o->level);
	buf_varint(&footer, n_datasets);
	buf_put(&footer, datasets.data, datasets.len);
	out_trailer(m->out, &footer);
	return m->out->result;
}

int block_merge(const struct merge_input *in, size_t n, const struct merge_options *o, const struct merge_sink *sink,
                struct merge_result *ret, struct error *err)
{
	struct out out = { .sink = sink, .err = err, .level = LEVEL_BLOCK,
		           .version = o->shared ? BLOCK_VERSION : BLOCK_VERSION_PLAIN };
	_cleanup_(merge_done) struct merge m = { .o = o, .out = &out, .err = err };
	m.groups_max = o->memory ? MIN(GROUPS_MAX, o->memory / 4) : GROUPS_MAX;
	m.row.details = m.before.details = BUF_INIT((size_t)256 << 20);
	build_map_init(&m.scratch);
	int r = merge_all(&m, in, n);
	if (r < 0)
		return r;
	m.result.size = out.off;
	*ret = m.result;
	return 0;
}
