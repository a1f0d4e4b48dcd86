/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include "../base/hash.h"

/*
 * Whole hours from rollups, without a look at their profiles: what a plan of mode LIGHT does.
 *
 * A cell answers for the profiles of a kind and an hour where nothing but their number could be said of them one by
 * one: all that the selection holds of them count in full, by themselves. So there must be no id; the part's kinds that
 * have the type are rolled up, hold neither running totals nor instantaneous types, and are no heap profiles (which
 * shadow others); the cell's first and last profile lie in the selected time; and no other part of the service has
 * profiles in that hour, which might be the same ones. What a query is told of such profiles (their number,
 * fingerprint, series ...) stands in the cell.
 *
 * Matchers choose series. Where they take all that have profiles in an hour, the cell of all series answers; where they
 * take some, those of these series do, if each has one; where samples must be asked, the hour is left to rows.
 *
 * A part whose other hours are outside of the selection has no rows at all: its table of profiles is not read.
 */

#define HOURS_MAX 64 /* hours of a part are a bit mask */

struct shared_hour {
	uint32_t service, parts;
	int32_t hour;
};

struct cover {
	struct idset set;
	VEC(struct shared_hour) hours;
};

int cover_new(struct cover **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void cover_free(struct cover *c)
{
	if (!c)
		return;
	idset_done(&c->set);
	VEC_DONE(&c->hours);
	free(c);
}

/* ---- hours that several parts have ---- */

static struct shared_hour *hour_find(struct cover *c, uint32_t service, int32_t hour)
{
	uint64_t hash = hash_mix(service, (uint64_t)hour);
	for (struct idset_probe at = idset_probe(&c->set, hash); idset_next(&c->set, &at);) {
		struct shared_hour *h = &c->hours.v[at.id];
		if (h->service == service && h->hour == hour)
			return h;
	}
	return NULL;
}

static int hour_note(struct cover *c, uint32_t service, int32_t hour)
{
	struct shared_hour *h = hour_find(c, service, hour);
	if (!h) {
		h = VEC_PUSH(&c->hours);
		if (!h || idset_add(&c->set, hash_mix(service, (uint64_t)hour), (uint32_t)c->hours.n - 1) < 0)
			return -ENOMEM;
		*h = (struct shared_hour){ .service = service, .hour = hour };
	}
	h->parts++;
	return 0;
}

static int note_hours(struct cover *c, const struct qpart *p)
{
	int r = 0;
	for (size_t i = 0; i < p->info->n_hours && r >= 0; i++)
		r = hour_note(c, p->service, p->info->hours[i].hour);
	return r;
}

static bool hour_is_shared(struct cover *c, const struct qpart *p, int32_t hour)
{
	const struct shared_hour *h = hour_find(c, p->service, hour);
	return h && h->parts > 1;
}

/* The bit of an hour of the part; 0 where it has no such hour. */
static uint64_t hour_bit(const struct qpart *p, int64_t hour)
{
	size_t low = 0, high = p->info->n_hours;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (p->info->hours[mid].hour == hour)
			return mid < HOURS_MAX ? UINT64_C(1) << mid : 0;
		if (p->info->hours[mid].hour < hour)
			low = mid + 1;
		else
			high = mid;
	}
	return 0;
}

bool cover_has(const struct qpart *p, int64_t time)
{
	return p->hours && p->hours & hour_bit(p, time_floor_div(time, NS_PER_HOUR));
}

/* ---- cells ---- */

static bool kind_has_type(const struct qpart *p, uint32_t kind)
{
	return p->headers[p->rollups->kinds[kind].header].column != NONE;
}

/* Whether the type's profiles of the part count by themselves, and its cells hold all of them. */
static bool is_plain(const struct qpart *p)
{
	bool any = false;
	for (uint32_t k = 0; k < p->rollups->n_kinds; k++) {
		const struct rollup_kind *kind = &p->rollups->kinds[k];
		const struct header_class *class = &p->headers[kind->header].class;
		if (!kind_has_type(p, k))
			continue;
		if (!kind->rolled || kind->running || kind->instant || class->heap || class->allocs)
			return false;
		any = true;
	}
	return any && p->info->n_hours <= HOURS_MAX;
}

static bool is_light(const struct query *q)
{
	return q->mode == PLAN_LIGHT && q->sel->type && !q->sel->has_id;
}

/* What the matchers take of a cell's series. */
enum share { TAKES_NONE, TAKES_SOME, TAKES_ALL, ASKS_SAMPLES };

static enum share share_of(const struct qpart *p, const struct rollup_cell *cell)
{
	uint32_t taken = 0;
	for (uint32_t i = 0; i < cell->n_members; i++) {
		const struct series_plan *s = &p->series[cell->members[i]];
		if (s->series != NONE && (s->pending || s->strict))
			return ASKS_SAMPLES;
		taken += s->series != NONE;
	}
	return !taken ? TAKES_NONE : taken == cell->n_members ? TAKES_ALL : TAKES_SOME;
}

/* The cell of one series for the time of a cell of all; PROFILE_NONE where it has none. */
static uint32_t cell_of_series(const struct qpart *p, const struct rollup_cell *all, uint32_t series)
{
	return rollup_find(p->rollups, all->kind, series, all->whole, all->hour);
}

/* Whether each series that is taken has a cell like the one of all. */
static bool some_have_cells(const struct qpart *p, const struct rollup_cell *cell)
{
	for (uint32_t i = 0; i < cell->n_members; i++)
		if (p->series[cell->members[i]].series != NONE &&
		    cell_of_series(p, cell, cell->members[i]) == PROFILE_NONE)
			return false;
	return true;
}

static bool is_answered(const struct qpart *p, const struct rollup_cell *cell, enum share share)
{
	return share == TAKES_ALL || (share == TAKES_SOME && some_have_cells(p, cell));
}

static bool of_all_series(const struct qpart *p, const struct rollup_cell *cell)
{
	return cell->series == PROFILE_NONE && kind_has_type(p, cell->kind);
}

/* Which hours cells answer; *ret_rows: some that they do not have profiles in the selected time. */
static uint64_t choose_hours(const struct query *q, struct cover *c, const struct qpart *p, bool *ret_rows)
{
	uint64_t inside = 0, touched = 0, not = 0;
	for (uint32_t i = 0; i < p->rollups->n_cells; i++) {
		const struct rollup_cell *cell = &p->rollups->cells[i];
		if (cell->whole || !of_all_series(p, cell) || cell->last < q->from || !time_before(cell->first, q->to))
			continue;
		enum share share = share_of(p, cell);
		if (share == TAKES_NONE)
			continue;
		uint64_t bit = hour_bit(p, cell->hour);
		bool whole = bit && cell->first >= q->from && time_before(cell->last, q->to);
		*(whole && is_answered(p, cell, share) ? &inside : &not) |= bit;
		touched |= bit;
		if (!bit || hour_is_shared(c, p, cell->hour))
			not |= bit;
		*ret_rows |= !bit;
	}
	uint64_t hours = is_light(q) ? inside & ~not : 0;
	*ret_rows |= (touched & ~hours) != 0;
	return hours;
}

/* Whether the hours are all that is taken of a kind: then one cell of each series, or of all, holds them together. */
static bool has_all(const struct qpart *p, uint32_t kind, uint64_t hours)
{
	for (uint32_t i = 0; i < p->rollups->n_cells; i++) {
		const struct rollup_cell *cell = &p->rollups->cells[i];
		bool hourly = cell->kind == kind && cell->series == PROFILE_NONE && !cell->whole;
		if (hourly && !(hours & hour_bit(p, cell->hour)) && share_of(p, cell) != TAKES_NONE)
			return false;
	}
	return true;
}

static int use_cell(struct query *q, uint32_t part, uint32_t cell)
{
	struct cell_use *to = VEC_PUSH(&q->cells);
	if (!to)
		return -ENOMEM;
	*to = (struct cell_use){ part, cell };
	return 0;
}

/* Uses a cell of all series, or those of the series that are taken. Returns whether they answer, or an error. */
static int use_of_all(struct query *q, uint32_t part, uint32_t at)
{
	const struct qpart *p = &q->parts.v[part];
	const struct rollup_cell *cell = &p->rollups->cells[at];
	enum share share = share_of(p, cell);
	if (!is_answered(p, cell, share))
		return 0;
	int r = share == TAKES_ALL ? use_cell(q, part, at) : 0;
	for (uint32_t i = 0; share == TAKES_SOME && i < cell->n_members && r >= 0; i++)
		if (p->series[cell->members[i]].series != NONE)
			r = use_cell(q, part, cell_of_series(p, cell, cell->members[i]));
	return r < 0 ? r : 1;
}

static int use_cells(struct query *q, uint32_t part, uint32_t kind, bool whole)
{
	const struct qpart *p = &q->parts.v[part];
	int used = 0, r = 0;
	for (uint32_t i = 0; i < p->rollups->n_cells && r >= 0; i++) {
		const struct rollup_cell *cell = &p->rollups->cells[i];
		if (cell->kind != kind || cell->series != PROFILE_NONE || cell->whole != whole)
			continue;
		if (!whole && !(p->hours & hour_bit(p, cell->hour)))
			continue;
		r = use_of_all(q, part, i);
		used += r > 0;
	}
	return r < 0 ? r : used;
}

static int use_hours(struct query *q, uint32_t part)
{
	const struct qpart *p = &q->parts.v[part];
	int r = 0;
	for (uint32_t k = 0; k < p->rollups->n_kinds && r >= 0; k++) {
		if (!kind_has_type(p, k))
			continue;
		r = has_all(p, k, p->hours) ? use_cells(q, part, k, true) : 0;
		if (r == 0)
			r = use_cells(q, part, k, false);
	}
	return r;
}

/* ---- parts ---- */

static bool is_outside(const struct query *q, const struct qpart *p)
{
	return p->info->max_time < q->from || !time_before(p->info->min_time, q->to);
}

/* Whether profiles beside the selected time may matter: a running total's predecessor, the end of a life. */
static bool has_neighbours(const struct qpart *p)
{
	for (uint32_t h = 0; h < p->profiles->n_headers; h++) {
		const struct header_plan *header = &p->headers[h];
		if (header->column != NONE && (header->class.has_running || header->class.has_instant))
			return true;
	}
	return false;
}

static int cover_part(struct query *q, struct cover *c, uint32_t part)
{
	struct qpart *p = &q->parts.v[part];
	if (!is_plain(p)) {
		p->rowless = is_outside(q, p) && !has_neighbours(p);
		return 0;
	}
	bool rows = false;
	p->hours = choose_hours(q, c, p, &rows);
	p->rowless = !rows;
	p->covers = p->hours != 0;
	return p->covers ? use_hours(q, part) : 0;
}

int cover_parts(struct query *q, struct cover *c, size_t first)
{
	int r = 0;
	for (size_t i = first; i < q->parts.n && r >= 0; i++)
		r = note_hours(c, &q->parts.v[i]);
	for (size_t i = first; i < q->parts.n && r >= 0; i++)
		if (q->parts.v[i].rollups)
			r = cover_part(q, c, (uint32_t)i);
	return r < 0 ? r : 0;
}

void cover_drop(struct query *q, uint32_t part)
{
	size_t n = 0;
	for (size_t i = 0; i < q->cells.n; i++)
		if (q->cells.v[i].part != part)
			q->cells.v[n++] = q->cells.v[i];
	q->cells.n = n;
	q->parts.v[part].hours = 0;
	q->parts.v[part].covers = false;
	q->parts.v[part].rollups = NULL;
}
