/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

#include "../base/hash.h"
#include "../db/debuginfo.h"

/*
 * The plan: which profiles a selection takes, found from footers and profile tables alone.
 *
 * Parts are the service's datasets on the days of the selection. Of each, rows are collected whose series matches,
 * that have the type, and whose time is in the selection; and beside them those that may be needed to know values: the
 * latest running total of each series before the selection, and instantaneous profiles of the five minutes behind it.
 * A row that was seen in an earlier part is left out: a profile is its service and id. Which of them are needed, and
 * in which role, roles.c decides. Parts with rollups come first, so that what their cells hold is not taken from
 * elsewhere; of some of their hours no rows are planned at all (cover.c).
 *
 * Nothing here may depend on how profiles lie in parts: rows are ordered by time and id, series and their properties
 * follow from rows in the selected time alone, and parts are skipped only where none of their rows could count.
 */

#define ROWS_CHARGED 4096 /* rows are charged in steps of so many */
#define ROW_BYTES (2 * sizeof(struct row) + 32) /* growing needs twice the room; ids, points ... */

struct pool *query_pool(const struct query *q)
{
	return db_pool(view_db(q->view));
}

int out_of_memory(struct error *err)
{
	return error_set(err, -ENOMEM, "out of memory");
}

const struct profile_row *row_of(const struct query *q, const struct row *r)
{
	return &q->parts.v[r->part].profiles->rows[r->at];
}

const struct header *header_of(const struct qpart *p, uint32_t header)
{
	return &p->profiles->headers[header];
}

/* ---- headers ---- */

struct str part_string(const struct qpart *p, uint32_t i)
{
	return i < p->n_strings ? p->strings[i] : (struct str){ "", 0 };
}

static bool name_is(const char *want, struct str type, struct str unit, struct str kind)
{
	_buf_ struct buf name = BUF_INIT(4096);
	type_name(&name, type, unit, kind);
	return !buf_err(&name) && str_eq((struct str){ (char *)name.data, name.len }, str_of(want));
}

static void plan_header(const struct qpart *p, const struct header *h, const char *type, struct header_plan *ret)
{
	*ret = (struct header_plan){ .column = type ? NONE : 0, .class = header_class_of(h, p->strings) };
	for (uint32_t i = 0; type && i < h->n_types && ret->column == NONE; i++)
		if (name_is(type, part_string(p, h->types[i].type), part_string(p, h->types[i].unit),
		            part_string(p, h->kind)))
			ret->column = i;
}

/* ---- one part ---- */

static uint64_t series_hash(struct str service, const struct label *labels, uint32_t n)
{
	uint64_t h = hash_bytes(service.s, service.len);
	for (uint32_t i = 0; i < n; i++) {
		h = hash_mix(h, hash_bytes(labels[i].key.s, labels[i].key.len));
		h = hash_mix(h, hash_bytes(labels[i].value.s, labels[i].value.len));
	}
	return h;
}

/* A damaged directory of rollups is none: the profiles tell. */
static int part_rollups(struct qpart *p, struct error *err)
{
	int r = dataset_tables(p->dataset, &p->profiles, err);
	if (r >= 0)
		r = dataset_rollups(p->dataset, &p->rollups, NULL);
	if (err_is_damage(r))
		p->rollups = NULL;
	return err_is_damage(r) ? 0 : r;
}

static int part_tables(struct query *q, struct qpart *p, struct error *err)
{
	bool rolled = p->info->has_rollups && q->mode != PLAN_EXACT;
	int r = rolled ? part_rollups(p, err) : 0;
	if (r >= 0 && !p->rollups)
		r = dataset_profiles(p->dataset, &p->profiles, err);
	if (r < 0)
		return r;
	p->headers = calloc(p->profiles->n_headers + 1, sizeof *p->headers);
	p->series = calloc(p->profiles->n_series + 1, sizeof *p->series);
	if (!p->headers || !p->series)
		return out_of_memory(err);
	return 0;
}

struct part_load {
	struct query *q;
	size_t first;
	const struct cancel *cancel;
	struct error *errors; /* by part from `first` */
	bool *damaged;
};

static int part_prepare(struct part_load *load, size_t i)
{
	struct query *q = load->q;
	struct qpart *p = &q->parts.v[load->first + i];
	struct error *err = &load->errors[i];
	int r = cancel_check(load->cancel);
	if (r >= 0)
		r = part_tables(q, p, err);
	if (r >= 0)
		r = dataset_strings(p->dataset, &p->strings, &p->n_strings, err);
	if (r < 0)
		return r;
	for (uint32_t h = 0; h < p->profiles->n_headers; h++)
		plan_header(p, header_of(p, h), q->sel->type, &p->headers[h]);
	for (uint32_t s = 0; s < p->profiles->n_series; s++) {
		const struct series *series = &p->profiles->series[s];
		p->series[s].series = match_series(q, p->info->service, series, &p->series[s]) ? 0 : NONE;
		p->series[s].hash = series_hash(p->info->service, series->effective, series->n_effective);
	}
	return 0;
}

/* ---- series ---- */

static bool same_series(const struct qseries *s, struct str service, const struct series *series)
{
	const struct label *a = s->labels, *b = series->effective;
	if (s->n_labels != series->n_effective || !str_eq(s->service, service))
		return false;
	for (uint32_t i = 0; i < s->n_labels; i++)
		if (!str_eq(a[i].key, b[i].key) || !str_eq(a[i].value, b[i].value))
			return false;
	return true;
}

static uint32_t series_intern(struct query *q, struct idset *set, struct str service, const struct series *series,
                              uint64_t hash)
{
	for (struct idset_probe at = idset_probe(set, hash); idset_next(set, &at);)
		if (same_series(&q->series.v[at.id], service, series))
			return at.id;
	struct qseries *s = VEC_PUSH(&q->series);
	if (!s || idset_add(set, hash, (uint32_t)q->series.n - 1) < 0)
		return NONE;
	*s = (struct qseries){ service, series->effective, series->n_effective, hash, false, false };
	return (uint32_t)q->series.n - 1;
}

/* ---- rows ---- */

/* What lives only while planning. */
struct planner {
	struct query *q;
	struct idset series, ids, services;
	VEC(struct str) service_names;
	struct cover *cover;
	int64_t lookback, lookahead; /* how far rows beside the selected time are collected */
	const struct cancel *cancel;
	struct error *err;
};

static void planner_done(struct planner *pl)
{
	idset_done(&pl->series);
	idset_done(&pl->ids);
	idset_done(&pl->services);
	VEC_DONE(&pl->service_names);
	cover_free(pl->cover);
}

static int64_t time_minus(int64_t t, int64_t d)
{
	return t < INT64_MIN + d ? INT64_MIN : t - d;
}

static int64_t time_plus(int64_t t, int64_t d)
{
	return t > INT64_MAX - d ? INT64_MAX : t + d;
}

static uint64_t id_hash(const struct ulid *id, uint32_t service)
{
	uint64_t w[2];
	memcpy(w, id->b, sizeof w);
	return hash_mix(w[0] + service, w[1]);
}

/* Whether the profile was seen already; remembers it. Negative: out of memory. */
static int row_seen(struct planner *pl, const struct row *r)
{
	struct query *q = pl->q;
	uint32_t service = q->parts.v[r->part].service;
	uint64_t hash = id_hash(&r->id, service);
	for (struct idset_probe at = idset_probe(&pl->ids, hash); idset_next(&pl->ids, &at);) {
		const struct row *other = &q->rows.v[at.id];
		if (!memcmp(&other->id, &r->id, sizeof r->id) && q->parts.v[other->part].service == service)
			return 1;
	}
	return idset_add(&pl->ids, hash, (uint32_t)q->rows.n);
}

/* Kinds of which some profile is a difference have no cells. */
static bool is_rolled(const struct qpart *p, uint32_t header, int64_t duration)
{
	if (!p->rollups)
		return false;
	bool running = header_is_running(&p->headers[header].class, duration);
	uint32_t kind = p->rollups->kind_of[2 * header + running];
	return kind != PROFILE_NONE && p->rollups->kinds[kind].rolled;
}

static struct row row_make(const struct qpart *p, uint32_t part, uint32_t at)
{
	const struct profile_row *from = &p->profiles->rows[at];
	const struct header_plan *h = &p->headers[from->header];
	return (struct row){
		.time = from->time,
		.duration = from->duration,
		.id = profile_row_id(from),
		.part = part,
		.at = at,
		.series = p->series[from->series].series,
		.prev = NONE,
		.next = NONE,
		.running = header_is_running(&h->class, from->duration),
		.instant = h->class.has_instant,
		.allocs = h->class.allocs,
		.heap = h->class.heap,
		.scanned = h->class.has_instant && is_rolled(p, from->header, from->duration),
	};
}

static int row_add(struct planner *pl, const struct row *r)
{
	int seen = row_seen(pl, r);
	if (seen < 0)
		return seen;
	bool inside = r->time >= pl->q->from && time_before(r->time, pl->q->to);
	if (seen) {
		pl->q->plan_info.duplicates += inside;
		return 0;
	}
	if (pl->q->rows.n % ROWS_CHARGED == 0) {
		int e = budget_query(pl->q, ROWS_CHARGED * ROW_BYTES, pl->err);
		if (e < 0)
			return e;
	}
	struct row *to = VEC_PUSH(&pl->q->rows);
	if (!to || pl->q->rows.n >= NONE)
		return -ENOMEM;
	*to = *r;
	if (inside && r->heap)
		pl->q->series.v[r->series].has_heap = true;
	return 0;
}

/* The latest running total of a series before the selected time: one of heap's and one of all others. */
struct latest {
	uint32_t at[2];
};

static bool row_is_later(const struct profiles *profiles, uint32_t a, uint32_t b)
{
	const struct profile_row *x = &profiles->rows[a], *y = &profiles->rows[b];
	struct ulid i = profile_row_id(x), j = profile_row_id(y);
	return x->time != y->time ? x->time > y->time : memcmp(&i, &j, sizeof i) > 0;
}

static void latest_note(struct latest *latest, const struct qpart *p, uint32_t at)
{
	uint32_t *slot = &latest->at[p->headers[p->profiles->rows[at].header].class.allocs];
	if (*slot == NONE || row_is_later(p->profiles, at, *slot))
		*slot = at;
}

/* Takes what is inside; notes what may be looked back to. */
static int part_row(struct planner *pl, uint32_t part, uint32_t at, struct latest *latest)
{
	const struct query *q = pl->q;
	const struct qpart *p = &q->parts.v[part];
	const struct profile_row *from = &p->profiles->rows[at];
	if (from->time < pl->lookback || !time_before(from->time, pl->lookahead))
		return 0;
	if (p->series[from->series].series == NONE || p->headers[from->header].column == NONE)
		return 0;
	if (p->hours && cover_has(p, from->time))
		return 0;
	struct row r = row_make(p, part, at);
	if (from->time < q->from) {
		if (r.running)
			latest_note(&latest[from->series], p, at);
		return 0;
	}
	return time_before(from->time, q->to) || r.instant ? row_add(pl, &r) : 0;
}

static int part_rows(struct planner *pl, uint32_t part)
{
	const struct qpart *p = &pl->q->parts.v[part];
	if (p->rowless)
		return 0;
	_free_ struct latest *latest = malloc((p->profiles->n_series + 1) * sizeof *latest);
	if (!latest)
		return -ENOMEM;
	memset(latest, 0xff, (p->profiles->n_series + 1) * sizeof *latest);
	int r = 0;
	for (uint32_t i = 0; i < p->profiles->n && r >= 0; i++)
		r = part_row(pl, part, i, latest);
	for (uint32_t s = 0; s < p->profiles->n_series; s++)
		for (int k = 0; k < 2 && r >= 0; k++)
			if (latest[s].at[k] != NONE) {
				struct row row = row_make(p, part, latest[s].at[k]);
				r = row_add(pl, &row);
			}
	return r;
}

/* ---- loading parts ---- */

static bool info_has_type(const struct dataset_info *info, const char *type)
{
	for (size_t i = 0; i < info->n_types; i++)
		if (!type || name_is(type, info->types[i].type, info->types[i].unit, info->types[i].kind))
			return true;
	return !info->n_types;
}

static bool part_counts(const struct planner *pl, const struct dataset_info *info)
{
	return info->max_time >= pl->lookback && time_before(info->min_time, pl->lookahead) &&
	       info_has_type(info, pl->q->sel->type);
}

static uint32_t service_number(struct planner *pl, struct str service)
{
	uint64_t hash = hash_bytes(service.s, service.len);
	for (struct idset_probe at = idset_probe(&pl->services, hash); idset_next(&pl->services, &at);)
		if (str_eq(pl->service_names.v[at.id], service))
			return at.id;
	struct str *name = VEC_PUSH(&pl->service_names);
	if (!name || idset_add(&pl->services, hash, (uint32_t)pl->service_names.n - 1) < 0)
		return NONE;
	*name = service;
	return (uint32_t)pl->service_names.n - 1;
}

static int part_push(struct planner *pl, struct dataset *dataset)
{
	const struct dataset_info *info = dataset_info(dataset);
	uint32_t service = service_number(pl, info->service);
	struct qpart *p = service == NONE ? NULL : VEC_PUSH(&pl->q->parts);
	if (!p)
		return -ENOMEM;
	*p = (struct qpart){ .dataset = dataset, .info = info, .service = service };
	fingerprint_of_service(info->service, p->service_hash);
	return 0;
}

/* Those with rollups first. */
static int parts_push(struct planner *pl, const struct parts *loaded)
{
	int r = 0;
	for (int tail = 0; tail < 2; tail++)
		for (size_t i = 0; i < loaded->n && r >= 0; i++) {
			const struct dataset_info *info = dataset_info(loaded->v[i].dataset);
			if (info->has_rollups == !tail && part_counts(pl, info))
				r = part_push(pl, loaded->v[i].dataset);
		}
	return r;
}

/* A damaged part has nothing; it is told. */
static int part_load(struct part_load *load, size_t i, int (*step)(struct part_load *load, size_t i))
{
	static const struct profiles nothing;
	struct qpart *p = &load->q->parts.v[load->first + i];
	int r = load->damaged[i] ? 0 : step(load, i);
	if (!err_is_damage(r))
		return r;
	load->damaged[i] = true;
	p->profiles = &nothing;
	p->rollups = NULL;
	return 0;
}

static int part_load_each(void *arg, size_t i)
{
	return part_load(arg, i, part_prepare);
}

static int part_profiles(struct part_load *load, size_t i)
{
	struct qpart *p = &load->q->parts.v[load->first + i];
	int r = cancel_check(load->cancel);
	return r < 0 ? r : dataset_profiles(p->dataset, &p->profiles, &load->errors[i]);
}

/* The rows of parts with rollups, where they are needed. */
static int part_rows_each(void *arg, size_t i)
{
	struct part_load *load = arg;
	const struct qpart *p = &load->q->parts.v[load->first + i];
	return p->rollups && !p->rowless ? part_load(load, i, part_profiles) : 0;
}

static void note_damage_text(struct query *q, const struct error *err)
{
	struct query_info *info = &q->plan_info;
	snprintf(info->damage, sizeof info->damage, "%.*s", (int)sizeof info->damage - 1, error_text(err, err->code));
}

static void note_damaged_parts(struct query *q, const struct part_load *load, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!load->damaged[i])
			continue;
		cover_drop(q, (uint32_t)(load->first + i));
		if (!q->plan_info.damaged++)
			note_damage_text(q, &load->errors[i]);
	}
}

static int parts_load(struct planner *pl, struct part_load *load, size_t n)
{
	struct query *q = pl->q;
	int r = pool_each(query_pool(q), n, part_load_each, load);
	if (r >= 0)
		r = cover_parts(q, pl->cover, load->first);
	return r < 0 ? r : pool_each(query_pool(q), n, part_rows_each, load);
}

static int parts_prepare(struct planner *pl, size_t first)
{
	struct query *q = pl->q;
	size_t n = q->parts.n - first;
	_free_ struct error *errors = calloc(n + 1, sizeof *errors);
	_free_ bool *damaged = calloc(n + 1, sizeof *damaged);
	if (!errors || !damaged)
		return out_of_memory(pl->err);
	struct part_load load = { q, first, pl->cancel, errors, damaged };
	int r = parts_load(pl, &load, n);
	for (size_t i = 0; r < 0 && pl->err && i < n; i++)
		if (errors[i].code == r)
			*pl->err = errors[i];
	note_damaged_parts(q, &load, n);
	return r;
}

static int parts_number_series(struct planner *pl, size_t first)
{
	struct query *q = pl->q;
	for (size_t i = first; i < q->parts.n; i++) {
		struct qpart *p = &q->parts.v[i];
		for (uint32_t s = 0; s < p->profiles->n_series; s++) {
			if (p->series[s].series == NONE)
				continue;
			p->series[s].series = series_intern(q, &pl->series, p->info->service, &p->profiles->series[s],
			                                    p->series[s].hash);
			if (p->series[s].series == NONE)
				return out_of_memory(pl->err);
		}
	}
	return 0;
}

static void note_damage(struct query *q, const struct parts *loaded)
{
	if (loaded->damaged && !q->plan_info.damaged)
		note_damage_text(q, &loaded->damage);
	q->plan_info.damaged += loaded->damaged;
}

/* Adds the parts of some days and their rows. */
static int load_days(struct planner *pl, int32_t from_day, int32_t to_day)
{
	struct query *q = pl->q;
	struct str service = q->sel->service ? str_of(q->sel->service) : (struct str){ 0 };
	struct parts *loaded = &q->loads[q->n_loads];
	int r = view_parts(q->view, q->sel->service ? &service : NULL, from_day, to_day, pl->cancel, loaded, pl->err);
	if (r < 0)
		return r;
	q->n_loads++;
	note_damage(q, loaded);
	size_t first = q->parts.n;
	if (q->n_loads == 1)
		q->sample_matchers = match_sample_keys(q);
	r = parts_push(pl, loaded);
	if (r >= 0)
		r = parts_prepare(pl, first);
	if (r >= 0)
		r = parts_number_series(pl, first);
	for (size_t i = first; r >= 0 && i < q->parts.n; i++)
		r = part_rows(pl, (uint32_t)i);
	return r == -ENOMEM ? out_of_memory(pl->err) : r;
}

static int row_cmp(const void *a, const void *b, void *arg)
{
	const struct row *x = a, *y = b;
	const struct query *q = arg;
	if (x->time != y->time)
		return CMP(x->time, y->time);
	int r = memcmp(&x->id, &y->id, sizeof x->id);
	return r ? r : str_cmp(q->parts.v[x->part].info->service, q->parts.v[y->part].info->service);
}

static bool rows_sorted(const struct query *q)
{
	for (size_t i = 1; i < q->rows.n; i++)
		if (row_cmp(&q->rows.v[i - 1], &q->rows.v[i], (void *)q) > 0)
			return false;
	return true;
}

/*
 * The first of a series in the selection may have its predecessor on an earlier day: whether any is missing. Those
 * before the selection come last in their part, so has_heap is known when rows are shadowed.
 */
static bool lookback_missing(const struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (row_is_selected(q, r) && r->running && !r->shadowed && r->prev == NONE)
			return true;
	}
	return false;
}

static int plan_order(struct planner *pl)
{
	struct query *q = pl->q;
	if (!rows_sorted(q))
		qsort_r(q->rows.v, q->rows.n, sizeof *q->rows.v, row_cmp, q);
	for (size_t i = 0; i < q->rows.n; i++) {
		struct row *r = &q->rows.v[i];
		r->shadowed = r->allocs && q->series.v[r->series].has_heap;
	}
	return plan_chain(q);
}

/* Sorting moved the rows that the set of ids refers to. */
static int renumber_ids(struct planner *pl)
{
	struct query *q = pl->q;
	idset_clear(&pl->ids);
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		int e = idset_add(&pl->ids, id_hash(&r->id, q->parts.v[r->part].service), (uint32_t)i);
		if (e < 0)
			return e;
	}
	return 0;
}

/* An id holds its profile's time in ms: looking for one profile reads the tables of one day. */
static void narrow_to_id(struct query *q)
{
	if (!q->sel->has_id)
		return;
	int64_t ms = (int64_t)(ulid_ms(&q->sel->id) << 16) >> 16;
	int64_t first = time_floor_div(TIME_MIN, NS_PER_MS), last = time_floor_div(TIME_MAX, NS_PER_MS);
	if (ms < first || ms > last) {
		q->to = q->from;
		return;
	}
	q->from = MAX(q->from, ms == first ? TIME_MIN : ms * NS_PER_MS);
	q->to = MIN(q->to, ms == last ? TIME_MAX : (ms + 1) * NS_PER_MS);
}

static int plan_rows(struct planner *pl)
{
	struct query *q = pl->q;
	bool typed = q->sel->type != NULL;
	int32_t from_day = time_day(q->from), to_day = time_day(q->to - 1);
	pl->lookback = typed ? time_minus(q->from, LOOKBACK_MAX) : q->from;
	pl->lookahead = typed ? time_plus(q->to, LIFE_MAX) : q->to;
	int r = load_days(pl, from_day, typed ? time_day(pl->lookahead - 1) : to_day);
	if (r >= 0)
		r = plan_order(pl);
	for (int back = 1; r >= 0 && back <= 2 && typed && lookback_missing(q); back++) {
		if (time_day(pl->lookback) > from_day - back)
			break;
		r = renumber_ids(pl);
		if (r >= 0)
			r = load_days(pl, from_day - back, from_day - back);
		if (r >= 0)
			r = plan_order(pl);
	}
	return r;
}

int plan_query(struct query *q, const struct cancel *cancel, struct error *err)
{
	_cleanup_(planner_done) struct planner pl = { .q = q, .cancel = cancel, .err = err };
	q->from = q->sel->from;
	q->to = q->sel->to;
	narrow_to_id(q);
	if (cover_new(&pl.cover) < 0)
		return out_of_memory(err);
	if (q->from < q->to) {
		int r = plan_rows(&pl);
		if (r < 0)
			return r == -ENOMEM ? out_of_memory(err) : r;
	}
	int r = q->rows.n || q->cells.n ? view_need_debug(q->view, err) : 0;
	return r < 0 ? r : roles_assign(q, cancel, err);
}

void plan_done(struct query *q)
{
	for (size_t i = 0; i < q->parts.n; i++) {
		struct qpart *p = &q->parts.v[i];
		free(p->headers);
		free(p->series);
		free(p->matches);
		free(p->rows);
		symbolised_unref(p->symbolised);
	}
	VEC_DONE(&q->parts);
	VEC_DONE(&q->series);
	VEC_DONE(&q->rows);
	VEC_DONE(&q->cells);
	free(q->slots);
	for (size_t i = 0; i < q->n_loads; i++)
		parts_done(&q->loads[i]);
}
