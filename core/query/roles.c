/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

#include "../base/hash.h"
#include "../db/debuginfo.h"

/*
 * Roles. A profile is taken if the selection holds it; `allocs` beside heap is not when an alloc_* is asked for. What
 * a running total increased by is known from its predecessor in the series, at most 48 h earlier (a longer silence
 * makes the next one the first of its series); how long an instantaneous profile counts, from its successor, at most
 * five minutes later.
 *
 * The fingerprint is the sum of hashes over (service, id, role): it does not depend on any order, and differs where
 * another profile is taken or another one stands beside it.
 */

bool row_is_selected(const struct query *q, const struct row *r)
{
	return r->time >= q->from && time_before(r->time, q->to) &&
	       (!q->sel->has_id || !memcmp(&r->id, &q->sel->id, sizeof r->id));
}

int64_t row_life(const struct query *q, const struct row *r)
{
	if (r->next == NONE)
		return LIFE_MAX;
	uint64_t gap = (uint64_t)q->rows.v[r->next].time - (uint64_t)r->time;
	return (int64_t)MIN(gap, (uint64_t)LIFE_MAX);
}

static void chain_row(struct query *q, uint32_t i, uint32_t *last_total, uint32_t *last_instant)
{
	struct row *r = &q->rows.v[i];
	uint32_t *total = &last_total[r->series], *instant = &last_instant[r->series];
	r->prev = r->next = NONE;
	if (r->running && !r->shadowed) {
		if (*total != NONE && (uint64_t)r->time - (uint64_t)q->rows.v[*total].time <= (uint64_t)LOOKBACK_MAX)
			r->prev = *total;
		*total = i;
	}
	if (r->instant && !r->difference) {
		if (*instant != NONE)
			q->rows.v[*instant].next = i;
		*instant = i;
	}
}

int plan_chain(struct query *q)
{
	size_t bytes = (q->series.n + 1) * sizeof(uint32_t);
	_free_ uint32_t *last_total = malloc(bytes), *last_instant = malloc(bytes);
	if (!last_total || !last_instant)
		return -ENOMEM;
	memset(last_total, 0xff, bytes);
	memset(last_instant, 0xff, bytes);
	for (size_t i = 0; i < q->rows.n; i++)
		chain_row(q, (uint32_t)i, last_total, last_instant);
	return 0;
}

/* ---- slots ---- */

static struct str canonical_unit(struct str unit)
{
	const char *canonical = unit_of(unit).canonical;
	return canonical ? str_of(canonical) : unit;
}

static struct slot slot_of(const struct qpart *p, const struct header *h, uint32_t column)
{
	struct str type = part_string(p, h->types[column].type);
	return (struct slot){
		.type = type,
		.unit = canonical_unit(part_string(p, h->types[column].unit)),
		.class = type_class_of(type),
		.inuse = type.len > 6 && !memcmp(type.s, "inuse_", 6),
		.alloc = type.len > 6 && !memcmp(type.s, "alloc_", 6),
	};
}

static bool header_agrees(const struct query *q, const struct qpart *p, const struct header *h)
{
	if (h->n_types != q->n_slots)
		return false;
	for (uint32_t i = 0; i < h->n_types; i++) {
		struct slot s = slot_of(p, h, i);
		if (!str_eq(s.type, q->slots[i].type) || !str_eq(s.unit, q->slots[i].unit))
			return false;
	}
	return true;
}

static const struct row *first_taken(const struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++)
		if (q->rows.v[i].role == ROLE_TAKEN)
			return &q->rows.v[i];
	return NULL;
}

static struct header_plan *row_header(struct query *q, const struct row *r)
{
	return &q->parts.v[r->part].headers[row_of(q, r)->header];
}

/*
 * The selected type alone. Its unit is what the profiles agree on; some may not say; none where they differ. Where they
 * call it differently, the first name by bytes stands.
 */
static void slots_single(struct query *q)
{
	bool any = false, differ = false;
	struct slot slot = { 0 };
	struct str unit = { "", 0 };
	for (size_t i = 0; i < q->parts.n; i++) {
		const struct qpart *p = &q->parts.v[i];
		for (uint32_t h = 0; h < p->profiles->n_headers; h++) {
			if (!p->headers[h].used)
				continue;
			struct slot s = slot_of(p, header_of(p, h), p->headers[h].column);
			differ |= unit.len && s.unit.len && !str_eq(unit, s.unit);
			if (s.unit.len)
				unit = s.unit;
			if (!any || str_cmp(s.type, slot.type) < 0)
				slot = s;
			any = true;
		}
	}
	slot.unit = differ ? (struct str){ "", 0 } : unit;
	q->slots[0] = slot;
	q->n_slots = 1;
	q->main_slot = 0;
	q->agree = false;
}

static bool all_agree(struct query *q)
{
	bool agree = true;
	for (size_t i = 0; i < q->parts.n; i++) {
		struct qpart *p = &q->parts.v[i];
		for (uint32_t h = 0; h < p->profiles->n_headers; h++) {
			struct header_plan *plan = &p->headers[h];
			plan->agrees = plan->column == q->main_slot && header_agrees(q, p, header_of(p, h));
			agree &= plan->agrees || !plan->used;
		}
	}
	return agree;
}

static void mark_headers(struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++)
		if (q->rows.v[i].role == ROLE_TAKEN)
			row_header(q, &q->rows.v[i])->used = true;
	for (size_t i = 0; i < q->cells.n; i++)
		q->parts.v[q->cells.v[i].part].headers[cell_header(q, &q->cells.v[i])].used = true;
}

/* Some header that is used, with its part; which one, does not matter where all of them agree. */
static const struct qpart *any_header(const struct query *q, uint32_t *ret)
{
	const struct row *first = first_taken(q);
	*ret = first ? row_of(q, first)->header : cell_header(q, &q->cells.v[0]);
	return &q->parts.v[first ? first->part : q->cells.v[0].part];
}

/* The columns of all profiles, where these have the same; else the selected type alone. */
static int slots_choose(struct query *q)
{
	uint32_t any;
	mark_headers(q);
	if ((!first_taken(q) && !q->cells.n) || !q->sel->type)
		return 0;
	const struct qpart *p = any_header(q, &any);
	const struct header *h = header_of(p, any);
	q->n_slots = MIN(h->n_types, 64u);
	q->slots = calloc(q->n_slots, sizeof *q->slots);
	if (!q->slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < q->n_slots; i++)
		q->slots[i] = slot_of(p, h, i);
	q->main_slot = p->headers[any].column;
	q->agree = all_agree(q);
	if (!q->agree)
		slots_single(q);
	return 0;
}

const struct rollup_cell *cell_of(const struct query *q, const struct cell_use *use)
{
	return &q->parts.v[use->part].rollups->cells[use->cell];
}

uint32_t cell_header(const struct query *q, const struct cell_use *use)
{
	return q->parts.v[use->part].rollups->kinds[cell_of(q, use)->kind].header;
}

uint32_t plan_column(const struct query *q, const struct qpart *p, uint32_t header, uint32_t slot)
{
	const struct header_plan *h = &p->headers[header];
	if (slot == q->main_slot)
		return h->column;
	return q->agree && h->agrees ? slot : NONE;
}

int64_t column_scale(const struct qpart *p, uint32_t header, uint32_t column)
{
	return unit_of(part_string(p, header_of(p, header)->types[column].unit)).scale;
}

bool row_is_total(const struct query *q, const struct row *r, const struct slot *slot)
{
	if (!r->running || slot->class == TYPE_INSTANT)
		return false;
	const struct qpart *p = &q->parts.v[r->part];
	return slot->class == TYPE_RUNNING || p->headers[row_of(q, r)->header].class.cumulative;
}

/* ---- series in the order of their content ---- */

static int labels_cmp(const struct qseries *x, const struct qseries *y)
{
	for (uint32_t i = 0; i < MIN(x->n_labels, y->n_labels); i++) {
		int r = str_cmp(x->labels[i].key, y->labels[i].key);
		if (!r)
			r = str_cmp(x->labels[i].value, y->labels[i].value);
		if (r)
			return r;
	}
	return CMP(x->n_labels, y->n_labels);
}

static int series_cmp(const void *a, const void *b, void *arg)
{
	const struct qseries *all = arg, *x = &all[*(const uint32_t *)a], *y = &all[*(const uint32_t *)b];
	if (x->used != y->used)
		return y->used - x->used;
	int r = str_cmp(x->service, y->service);
	return r ? r : labels_cmp(x, y);
}

static void series_renumber(struct query *q, const uint32_t *number)
{
	for (size_t i = 0; i < q->rows.n; i++)
		q->rows.v[i].series = number[q->rows.v[i].series];
	for (size_t i = 0; i < q->parts.n; i++) {
		struct qpart *p = &q->parts.v[i];
		for (uint32_t s = 0; s < p->profiles->n_series; s++)
			if (p->series[s].series != NONE)
				p->series[s].series = number[p->series[s].series];
	}
}

static int series_order(struct query *q)
{
	size_t n = q->series.n;
	_free_ uint32_t *order = malloc((n + 1) * sizeof *order), *number = malloc((n + 1) * sizeof *number);
	struct qseries *sorted = malloc((n + 1) * sizeof *sorted);
	if (!order || !number || !sorted) {
		free(sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++)
		order[i] = (uint32_t)i;
	qsort_r(order, n, sizeof *order, series_cmp, q->series.v);
	for (size_t i = 0; i < n; i++) {
		sorted[i] = q->series.v[order[i]];
		number[order[i]] = (uint32_t)i;
	}
	free(q->series.v);
	q->series.v = sorted;
	q->series.cap = n + 1;
	series_renumber(q, number);
	return 0;
}

/* Where every service is selected, `service` is a label like others, and the service's name is its value. */
static int series_add_service(struct query *q, struct qseries *s)
{
	struct label *labels = arena_calloc(&q->arena, s->n_labels + 1, sizeof *labels);
	if (!labels)
		return -ENOMEM;
	const struct label service = { STR("service"), s->service };
	uint32_t n = 0, i = 0;
	while (i < s->n_labels && str_cmp(s->labels[i].key, service.key) < 0)
		labels[n++] = s->labels[i++];
	labels[n++] = service;
	i += i < s->n_labels && str_eq(s->labels[i].key, service.key);
	while (i < s->n_labels)
		labels[n++] = s->labels[i++];
	s->labels = labels;
	s->n_labels = n;
	return 0;
}

static void mark_series(struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++)
		if (q->rows.v[i].role == ROLE_TAKEN)
			q->series.v[q->rows.v[i].series].used = true;
	for (size_t i = 0; i < q->cells.n; i++) {
		const struct rollup_cell *cell = cell_of(q, &q->cells.v[i]);
		for (uint32_t k = 0; k < cell->n_members; k++)
			q->series.v[q->parts.v[q->cells.v[i].part].series[cell->members[k]].series].used = true;
	}
}

static int series_finish(struct query *q)
{
	mark_series(q);
	int r = q->series.n ? series_order(q) : 0;
	for (size_t i = 0; r >= 0 && !q->sel->service && i < q->series.n; i++)
		r = series_add_service(q, &q->series.v[i]);
	return r;
}

/* ---- roles ---- */

static void take(struct query *q)
{
	/* Judged by name: slots are known only once the profiles are. */
	const char *type = q->sel->type;
	bool alloc = type && !strncmp(type, "alloc_", 6);
	for (size_t i = 0; i < q->rows.n; i++) {
		struct row *r = &q->rows.v[i];
		if (!row_is_selected(q, r))
			continue;
		if (alloc && r->shadowed)
			q->plan_info.heap_shadowed++;
		else
			r->role = ROLE_TAKEN;
	}
}

/*
 * The successor that ends a life: the first that is no difference as far as totals tell (values.c finds the others, and
 * then looks further).
 */
static void take_ahead(struct query *q, const struct row *r)
{
	if (r->next == NONE || row_life(q, r) == LIFE_MAX)
		return;
	struct row *next = &q->rows.v[r->next];
	if (next->role == ROLE_NONE)
		next->role = ROLE_LOOKAHEAD;
}

static void take_beside(struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (r->role == ROLE_TAKEN && r->prev != NONE && q->rows.v[r->prev].role == ROLE_NONE)
			q->rows.v[r->prev].role = ROLE_LOOKBACK;
		if (r->role == ROLE_TAKEN || r->role == ROLE_EMPTY)
			take_ahead(q, r);
	}
}

/* A negative total betrays a difference without a look at its samples. */
static void differences_by_total(struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++) {
		struct row *r = &q->rows.v[i];
		const struct qpart *p = &q->parts.v[r->part];
		const struct profile_row *from = row_of(q, r);
		for (uint32_t s = 0; s < q->n_slots; s++) {
			uint32_t column = q->slots[s].inuse ? plan_column(q, p, from->header, s) : NONE;
			if (column != NONE && p->profiles->totals[from->totals_at + column] < 0)
				r->difference = r->scanned = true;
		}
	}
}

/* ---- what is told of it ---- */

static void info_fingerprint(struct query *q)
{
	uint64_t sum[2] = { q->plan_info.damaged, 0 }; /* info.json tells of damage */
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (r->role != ROLE_NONE)
			fingerprint_add(sum, q->parts.v[r->part].service_hash, &r->id, r->role);
	}
	for (size_t i = 0; i < q->cells.n; i++) {
		const struct rollup_cell *cell = cell_of(q, &q->cells.v[i]);
		sum[0] += cell->fingerprint[0];
		sum[1] += cell->fingerprint[1] + (sum[0] < cell->fingerprint[0]);
	}
	sum[1] += view_debug_print(q->view);
	XXH128_canonicalFromHash((XXH128_canonical_t *)q->plan_info.fingerprint,
	                         (XXH128_hash_t){ .low64 = sum[0], .high64 = sum[1] });
}

/* Adds profiles that are taken. */
static void info_add(struct query_info *info, uint64_t profiles, uint64_t samples, int64_t first, int64_t last,
                     int64_t duration)
{
	info->first = info->profiles ? MIN(info->first, first) : first;
	info->last = info->profiles ? MAX(info->last, last) : last;
	info->profiles += profiles;
	info->samples += samples;
	info->duration = sat_add(info->duration, duration);
}

static void info_row(struct query *q, const struct row *r, const struct slot *main)
{
	struct query_info *info = &q->plan_info;
	info_add(info, 1, row_of(q, r)->n_samples, r->time, r->time, MAX(r->duration, (int64_t)0));
	if (main && row_is_total(q, r, main)) {
		info->cumulative = true;
		info->first_of_series += r->prev == NONE;
	}
}

static void info_type(struct query *q, const struct slot *main)
{
	struct query_info *info = &q->plan_info;
	if (q->sel->type)
		snprintf(info->type, sizeof info->type, "%.*s", (int)sizeof info->type - 1, q->sel->type);
	if (!main)
		return;
	info->type_class = main->class;
	info->averaged = main->class == TYPE_INSTANT;
	snprintf(info->unit, sizeof info->unit, "%.*s", (int)MIN(main->unit.len, sizeof info->unit - 1), main->unit.s);
}

static void info_make(struct query *q)
{
	const struct slot *main = q->n_slots ? &q->slots[q->main_slot] : NULL;
	info_type(q, main);
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (r->role == ROLE_TAKEN)
			info_row(q, r, main);
		q->plan_info.lookback += r->role == ROLE_LOOKBACK;
	}
	for (size_t i = 0; i < q->cells.n; i++) {
		const struct rollup_cell *cell = cell_of(q, &q->cells.v[i]);
		info_add(&q->plan_info, cell->profiles, cell->samples, cell->first, cell->last, cell->duration);
	}
	if (!q->plan_info.cumulative) /* of the selected type: beside it the same profiles have running totals */
		q->plan_info.lookback = 0;
	for (size_t i = 0; i < q->series.n; i++)
		q->plan_info.series += q->series.v[i].used;
	info_fingerprint(q);
}

/* ---- rows by part, in the order of reading ---- */

static int place_cmp(const void *a, const void *b, void *arg)
{
	const struct query *q = arg;
	const struct profile_row *x = row_of(q, &q->rows.v[*(const uint32_t *)a]);
	const struct profile_row *y = row_of(q, &q->rows.v[*(const uint32_t *)b]);
	return x->group != y->group ? CMP(x->group, y->group) : CMP(x->in_group, y->in_group);
}

static int rows_by_part(struct query *q)
{
	for (size_t i = 0; i < q->rows.n; i++)
		q->parts.v[q->rows.v[i].part].n_rows++;
	for (size_t i = 0; i < q->parts.n; i++) {
		struct qpart *p = &q->parts.v[i];
		p->rows = malloc((p->n_rows + 1) * sizeof *p->rows);
		if (!p->rows)
			return -ENOMEM;
		p->n_rows = 0;
	}
	for (size_t i = 0; i < q->rows.n; i++) {
		struct qpart *p = &q->parts.v[q->rows.v[i].part];
		p->rows[p->n_rows++] = (uint32_t)i;
	}
	for (size_t i = 0; i < q->parts.n; i++)
		qsort_r(q->parts.v[i].rows, q->parts.v[i].n_rows, sizeof(uint32_t), place_cmp, q);
	return 0;
}

static int roles_find(struct query *q, const struct cancel *cancel, struct error *err)
{
	take(q);
	int r = slots_choose(q);
	if (r < 0)
		return r;
	differences_by_total(q);
	r = plan_chain(q);
	if (r >= 0)
		r = rows_by_part(q);
	if (r >= 0)
		r = match_rows(q, cancel, err);
	if (r < 0)
		return r;
	take_beside(q);
	return series_finish(q);
}

int roles_assign(struct query *q, const struct cancel *cancel, struct error *err)
{
	int r = roles_find(q, cancel, err);
	if (r < 0)
		return r == -ENOMEM ? out_of_memory(err) : r;
	info_make(q);
	return 0;
}
