/* SPDX-License-Identifier: MIT */
#include "pass.h"

#define JOB_ROWS 64 /* rows that are worth a job of their own */
#define JOB_CELLS 4 /* cells likewise */

/* Damage costs what is damaged, and is counted. */
static int run_rows(struct pass *pass, struct job *job)
{
	struct query *q = pass->q;
	const struct qpart *p = &q->parts.v[job->part];
	int e = 0;
	for (uint32_t k = job->from; k < job->to && e >= 0; k++) {
		struct row *r = &q->rows.v[p->rows[k]];
		enum row_want want = pass->wants[p->rows[k]];
		if (want != ADD && want != SCAN)
			continue;
		e = cancel_check(pass->cancel);
		if (e >= 0)
			e = pass_row(pass, job, r, want);
		if (err_is_damage(e)) {
			atomic_fetch_add(&pass->damaged, 1);
			e = 0;
		}
	}
	return e;
}

/* What a damaged cell holds can be read row by row: values.c tries again. */
static int run_cells(struct pass *pass, struct job *job)
{
	int e = 0;
	for (uint32_t i = 0; i < job->n_cells && e >= 0; i++) {
		e = cancel_check(pass->cancel);
		if (e >= 0)
			e = rollups_add(pass, job, &job->cells[i]);
		if (err_is_damage(e)) {
			atomic_store(&pass->bad_cell, true);
			e = 0;
		}
	}
	return e;
}

static int run_job(void *arg, size_t i)
{
	struct pass *pass = arg;
	struct job *job = &pass->jobs[i];
	int e = run_rows(pass, job);
	if (e >= 0)
		e = run_cells(pass, job);
	group_free(TAKE_PTR(job->group));
	group_free(TAKE_PTR(job->other));
	rollup_streams_done(&job->streams);
	return e;
}

static void job_done(struct pass *pass, struct job *job)
{
	part_sums_done(&job->sums, pass->n_slots);
	for (size_t i = 0; job->held && i < pass->q->series.n; i++)
		held_free(job->held[i], pass->n_slots);
	free(job->held);
	group_free(job->group);
	group_free(job->other);
	rollup_streams_done(&job->streams);
	stack_list_done(&job->cur);
	stack_list_done(&job->work);
	stack_list_done(&job->prev);
}

void pass_done(struct pass *pass)
{
	for (size_t i = 0; i < pass->n_jobs; i++)
		job_done(pass, &pass->jobs[i]);
	free(pass->jobs);
	for (size_t i = 0; pass->keeps && i < pass->q->parts.n; i++)
		free(pass->keeps[i]);
	free(pass->keeps);
	free(pass->wants);
	free(pass->errors);
	VEC_DONE(&pass->cells);
	budget_give(pass->q, atomic_load(&pass->memory));
}

static uint32_t wanted_rows(const struct pass *pass, const struct qpart *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_rows; i++)
		n += pass->wants[p->rows[i]] == ADD || pass->wants[p->rows[i]] == SCAN;
	return n;
}

static int job_new(struct pass *pass, uint32_t part, struct job **ret)
{
	struct job *job = &pass->jobs[pass->n_jobs++];
	*job = (struct job){ .part = part };
	*ret = job;
	return part_sums_init(&job->sums, pass->q->parts.v[part].symbols->n_stacks, pass->n_slots);
}

/* Cuts a part's rows into at most n jobs, between row groups. */
static int cut_rows(struct pass *pass, uint32_t part, uint32_t n)
{
	const struct query *q = pass->q;
	const struct qpart *p = &q->parts.v[part];
	uint32_t from = 0;
	int r = 0;
	for (uint32_t k = 1; k <= n && from < p->n_rows && r >= 0; k++) {
		uint32_t to = (uint32_t)((uint64_t)p->n_rows * k / n);
		while (to > from && to < p->n_rows &&
		       row_of(q, &q->rows.v[p->rows[to]])->group == row_of(q, &q->rows.v[p->rows[to - 1]])->group)
			to++;
		if (to <= from)
			continue;
		struct job *job;
		r = job_new(pass, part, &job);
		job->from = from;
		job->to = to;
		from = to;
	}
	return r;
}

static uint32_t group_of(const struct query *q, const struct cell_use *use)
{
	return rollup_group(q->parts.v[use->part].dataset, cell_of(q, use));
}

/* Cuts a part's cells into at most n jobs, between groups. */
static int cut_cells(struct pass *pass, const struct cell_use *cells, uint32_t n_cells, uint32_t n)
{
	int r = 0;
	for (uint32_t k = 1, from = 0, to; k <= n && from < n_cells && r >= 0; k++, from = to) {
		to = MAX((uint32_t)((uint64_t)n_cells * k / n), from);
		while (to > from && to < n_cells && group_of(pass->q, &cells[to]) == group_of(pass->q, &cells[to - 1]))
			to++;
		if (to == from)
			continue;
		struct job *job;
		r = job_new(pass, cells->part, &job);
		job->cells = cells + from;
		job->n_cells = to - from;
	}
	return r;
}

static bool has_ordinals(const struct symbols *sym)
{
	for (uint32_t i = 0; i < sym->n_locations; i++)
		if (sym->locations[i].ordinal)
			return true;
	return false;
}

static size_t symbols_bytes(const struct symbols *s)
{
	return s->n_strings * sizeof *s->strings + s->n_functions * sizeof *s->functions +
	       s->n_lines * sizeof *s->lines + s->n_locations * sizeof *s->locations +
	       s->n_stacks * 2 * sizeof *s->stack_parent;
}

static int load_symbols(void *arg, size_t i)
{
	struct pass *pass = arg;
	struct qpart *p = &pass->q->parts.v[i];
	if (p->symbols || (!wanted_rows(pass, p) && !(pass->add && p->covers)))
		return 0;
	int r = cancel_check(pass->cancel);
	if (r >= 0)
		r = part_load_symbols(pass->q, p, &pass->errors[i]);
	if (r >= 0) {
		p->ordinals = has_ordinals(p->symbols);
		r = budget_query(pass->q, symbols_bytes(p->symbols), &pass->errors[i]);
	}
	if (!err_is_damage(r))
		return r;
	atomic_fetch_add(&pass->damaged, 1);
	return 0;
}

static int pass_symbols(struct pass *pass, struct error *err)
{
	struct query *q = pass->q;
	pass->errors = calloc(q->parts.n + 1, sizeof *pass->errors);
	if (!pass->errors)
		return -ENOMEM;
	int r = pool_each(query_pool(q), q->parts.n, load_symbols, pass);
	for (size_t i = 0; r < 0 && err && i < q->parts.n; i++)
		if (pass->errors[i].code == r)
			*err = pass->errors[i];
	return r;
}

static uint32_t jobs_of(uint32_t n, uint32_t each, uint32_t threads)
{
	return MAX(1u, MIN(threads, n / each));
}

static int make_jobs(struct pass *pass)
{
	struct query *q = pass->q;
	uint32_t threads = pool_threads(query_pool(q));
	pass->jobs = calloc(2 * q->parts.n * threads + 1, sizeof *pass->jobs);
	if (!pass->jobs)
		return -ENOMEM;
	int r = 0;
	for (size_t i = 0, at = 0; i < q->parts.n && r >= 0; i++) {
		const struct cell_use *cells = pass->cells.v + at;
		uint32_t rows = wanted_rows(pass, &q->parts.v[i]), n = 0;
		for (; at < pass->cells.n && pass->cells.v[at].part == i; at++)
			n++;
		if (!q->parts.v[i].symbols)
			continue;
		if (rows)
			r = cut_rows(pass, (uint32_t)i, jobs_of(rows, JOB_ROWS, threads));
		if (n && r >= 0)
			r = cut_cells(pass, cells, n, jobs_of(n, JOB_CELLS, threads));
	}
	return r;
}

int pass_run(struct pass *pass, struct error *err)
{
	struct query *q = pass->q;
	int r = pass_symbols(pass, err);
	if (r >= 0 && pass->add)
		r = rollups_choose(pass);
	if (r >= 0)
		r = make_jobs(pass);
	if (r >= 0)
		r = pool_each(pass->filtered && pass->row_values ? NULL : query_pool(q), pass->n_jobs, run_job, pass);
	for (size_t i = 0; r < 0 && err && i < pass->n_jobs; i++)
		if (pass->jobs[i].error.code == r)
			*err = pass->jobs[i].error;
	return r;
}
