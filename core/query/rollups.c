/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <string.h>

/*
 * Cells in the place of rows. A cell of a dataset's rollups stands for its profiles if each of them is taken and
 * counts here as it counted when the block was written: what precedes a running total in its series, and what ends the
 * life of an instantaneous profile, is the profile of the same dataset, series and kind. Late profiles, duplicates and
 * other kinds between them make rows fit no cell, and a cell that lacks a fitting row is not used: its rows are read.
 *
 * Which profiles a cell holds need not be known one by one: every row that fits is in its cells (what it fits by is
 * what rollups hold), so a cell all of whose profiles fit has as many fitting rows as profiles.
 *
 * Cells of all series come first, the whole dataset's before those of its hours; then those of single series.
 */

#define N_PLACES 4 /* cells that a row may be in: of all series or of its own, of its hour or of all hours */

struct choice {
	struct pass *pass;
	uint32_t part;
	const struct rollups *rollups;
	uint32_t *fits;      /* by cell: rows that fit */
	uint8_t *used;       /* by cell */
	uint32_t (*places)[N_PLACES]; /* by place in the part's rows; NONE */
};

static void choice_done(struct choice *c)
{
	free(c->fits);
	free(c->used);
	free(c->places);
}

static int choice_init(struct choice *c, struct pass *pass, uint32_t part)
{
	const struct qpart *p = &pass->q->parts.v[part];
	*c = (struct choice){ .pass = pass, .part = part, .rollups = p->rollups };
	c->fits = calloc((size_t)p->rollups->n_cells + 1, sizeof *c->fits);
	c->used = calloc((size_t)p->rollups->n_cells + 1, sizeof *c->used);
	c->places = malloc(((size_t)p->n_rows + 1) * sizeof *c->places);
	return c->fits && c->used && c->places ? 0 : -ENOMEM;
}

/* ---- rows that fit ---- */

static uint32_t row_kind(const struct qpart *p, const struct query *q, const struct row *r)
{
	return p->rollups->kind_of[2 * row_of(q, r)->header + r->running];
}

/* Whether a row beside r in the chain is of its dataset, series and kind. */
static bool is_neighbour(const struct choice *c, const struct row *r, uint32_t beside)
{
	const struct query *q = c->pass->q;
	const struct qpart *p = &q->parts.v[c->part];
	if (beside == NONE)
		return false;
	const struct row *o = &q->rows.v[beside];
	return o->part == r->part && row_of(q, o)->series == row_of(q, r)->series &&
	       row_kind(p, q, o) == row_kind(p, q, r);
}

static bool row_fits(const struct choice *c, const struct row *r)
{
	const struct query *q = c->pass->q;
	const struct qpart *p = &q->parts.v[c->part];
	const struct series_plan *series = &p->series[row_of(q, r)->series];
	uint32_t kind = row_kind(p, q, r);
	if (r->role != ROLE_TAKEN || r->shadowed || r->difference || series->pending || series->strict)
		return false;
	if (kind == PROFILE_NONE || !c->rollups->kinds[kind].rolled)
		return false;
	if (c->rollups->kinds[kind].running && (p->ordinals || !is_neighbour(c, r, r->prev)))
		return false;
	return !c->rollups->kinds[kind].instant || (is_neighbour(c, r, r->next) && row_life(q, r) > 0);
}

/* ---- cells of a row ---- */

/* Where the row before was found: rows of a group are mostly of one kind, series and hour. */
struct finder {
	uint32_t kind, series;
	int64_t hour;
	uint32_t places[N_PLACES];
};

static const uint32_t *find_places(const struct choice *c, struct finder *f, const struct row *r)
{
	const struct query *q = c->pass->q;
	uint32_t kind = row_kind(&q->parts.v[c->part], q, r), series = row_of(q, r)->series;
	int64_t hour = time_floor_div(r->time, NS_PER_HOUR);
	if (f->kind == kind && f->series == series && f->hour == hour)
		return f->places;
	*f = (struct finder){ kind, series, hour, { 0 } };
	for (int i = 0; i < N_PLACES; i++)
		f->places[i] = rollup_find(c->rollups, kind, i < 2 ? PROFILE_NONE : series, i % 2 == 0, (int32_t)hour);
	return f->places;
}

/* Counts what fits into each cell. Returns how many rows fit any. */
static uint32_t count_fits(struct choice *c)
{
	const struct query *q = c->pass->q;
	const struct qpart *p = &q->parts.v[c->part];
	struct finder finder = { .kind = NONE };
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_rows; i++) {
		const struct row *r = &q->rows.v[p->rows[i]];
		memset(c->places[i], 0xff, sizeof c->places[i]);
		if (c->pass->wants[p->rows[i]] != ADD || !row_fits(c, r))
			continue;
		memcpy(c->places[i], find_places(c, &finder, r), sizeof c->places[i]);
		for (int k = 0; k < N_PLACES; k++)
			if (c->places[i][k] != NONE)
				c->fits[c->places[i][k]]++;
		n++;
	}
	return n;
}

/* ---- the choice ---- */

static bool is_full(const struct choice *c, uint32_t cell)
{
	return c->fits[cell] && c->fits[cell] == c->rollups->cells[cell].profiles;
}

/*
 * Uses full cells of one rank (a place of a row) where no row of theirs is counted by one of a rank before it. Rows
 * that are counted are no longer wanted.
 */
static void use_rank(struct choice *c, int rank)
{
	struct pass *pass = c->pass;
	const struct qpart *p = &pass->q->parts.v[c->part];
	for (uint32_t i = 0; i < p->n_rows; i++) {
		uint32_t cell = c->places[i][rank];
		if (cell != NONE && pass->wants[p->rows[i]] == ROLLED)
			c->fits[cell] = 0;
	}
	for (uint32_t i = 0; i < p->n_rows; i++) {
		uint32_t cell = c->places[i][rank];
		if (cell == NONE || !is_full(c, cell))
			continue;
		c->used[cell] = 1;
		pass->wants[p->rows[i]] = ROLLED;
	}
}

static int push_cell(struct pass *pass, struct cell_use use)
{
	struct cell_use *to = VEC_PUSH(&pass->cells);
	if (!to)
		return -ENOMEM;
	*to = use;
	return 0;
}

static int choose_of_part(struct pass *pass, uint32_t part)
{
	_cleanup_(choice_done) struct choice c;
	int r = choice_init(&c, pass, part);
	if (r < 0 || !count_fits(&c))
		return r;
	for (int rank = 0; rank < N_PLACES; rank++)
		use_rank(&c, rank);
	for (uint32_t i = 0; i < c.rollups->n_cells && r >= 0; i++)
		if (c.used[i])
			r = push_cell(pass, (struct cell_use){ part, i });
	return r;
}

int rollups_choose(struct pass *pass)
{
	const struct query *q = pass->q;
	int r = 0;
	for (size_t i = 0, at = 0; i < q->parts.n && r >= 0; i++) {
		const struct qpart *p = &q->parts.v[i];
		for (; at < q->cells.n && q->cells.v[at].part == i && r >= 0; at++)
			r = push_cell(pass, q->cells.v[at]);
		if (r >= 0 && p->rollups && p->symbols && p->n_rows && !q->no_cells)
			r = choose_of_part(pass, (uint32_t)i);
	}
	return r;
}

/* ---- sums ---- */

static int add_narrow(struct pass *pass, struct job *job, uint32_t slot, const struct rollup_sums *s)
{
	int64_t *sum;
	int r = sums_narrow(pass, job, slot, &sum);
	for (uint32_t i = 0; r >= 0 && i < s->n; i++)
		sum[s->stacks[i]] = sat_add(sum[s->stacks[i]], sat_narrow(s->values[i]));
	return r;
}

static int add_wide(struct pass *pass, struct job *job, uint32_t slot, const struct rollup_sums *s, int64_t scale)
{
	wide_t *sum;
	int r = sums_wide(pass, job, slot, &sum);
	for (uint32_t i = 0; r >= 0 && i < s->n; i++)
		sum[s->stacks[i]] += s->values[i] * scale;
	return r;
}

/* The columns of the slots at hand, a bit each. */
static uint64_t cell_columns(const struct pass *pass, const struct cell_use *use)
{
	const struct query *q = pass->q;
	uint64_t columns = 0;
	for (uint32_t slot = pass->first; slot < pass->first + pass->n_slots; slot++) {
		uint32_t column = plan_column(q, &q->parts.v[use->part], cell_header(q, use), slot);
		columns |= column < 64 ? UINT64_C(1) << column : 0;
	}
	return columns;
}

static int add_slot(struct pass *pass, struct job *job, const struct cell_use *use, uint32_t slot)
{
	const struct query *q = pass->q;
	const struct qpart *p = &q->parts.v[use->part];
	uint32_t header = cell_header(q, use), column = plan_column(q, p, header, slot);
	if (column >= 64)
		return 0;
	struct rollup_sums sums;
	int r = rollup_sums_of(p->dataset, cell_of(q, use), column, &job->streams, &sums, &job->error);
	if (r < 0)
		return r;
	int64_t scale = column_scale(p, header, column);
	if (scale == 1 && q->slots[slot].class != TYPE_INSTANT)
		r = add_narrow(pass, job, slot, &sums);
	else
		r = add_wide(pass, job, slot, &sums, scale);
	rollup_sums_done(&sums);
	return r;
}

int rollups_add(struct pass *pass, struct job *job, const struct cell_use *use)
{
	const struct qpart *p = &pass->q->parts.v[use->part];
	int r = rollup_load(p->dataset, cell_of(pass->q, use), cell_columns(pass, use), &job->streams, &job->error);
	for (uint32_t slot = pass->first; slot < pass->first + pass->n_slots && r >= 0; slot++)
		r = add_slot(pass, job, use, slot);
	return r;
}
