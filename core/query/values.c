/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * What profiles count, by stack and as a whole: one pass over the samples of the plan.
 *
 *     events            as they are
 *     running totals    the increase since the predecessor (increase.c)
 *     instantaneous     weighted by the time until the successor; fold.c divides by the time covered
 *
 * Values of another unit of the dimension are converted. Work is cut into jobs, each a run of one part's rows in the
 * order of reading with sums of its own, so that jobs share nothing. A job holds what the last total of each series
 * was; a predecessor in another job or part is read again.
 *
 * Differences (negative inuse_*) show only in samples. Finding one changes who ends whose life, so the pass is done
 * again without them; that is rare.
 */

#define HELD_MAX ((size_t)32 << 20)
#define JOB_ROWS 64 /* rows that are worth a job of their own */

enum row_want { SKIP = 0, ADD = 1, SCAN = 2 };

/* The totals of one profile, by slot, as its samples have them. */
struct held {
	uint32_t row;
	struct stack_list lists[];
};

struct job {
	uint32_t part, from, to; /* rows[from .. to) of the part */
	struct part_sums sums;
	struct held **held;      /* by series; NULL until needed */
	size_t held_bytes;
	struct group *group, *other;
	uint32_t group_at, other_at, other_part;
	struct stack_list cur, work, prev; /* scratch */
	struct error error;
};

struct pass {
	struct query *q;
	const struct cancel *cancel;
	bool add, filtered, row_values;
	uint32_t first, n_slots; /* slots first .. first + n_slots */
	uint8_t *wants;          /* by row: enum row_want */
	struct job *jobs;
	size_t n_jobs;
	struct filters *filters;
	struct error *errors;    /* by part */
	uint8_t **keeps;         /* by part, by stack: 0 not asked, 1 dropped, 2 kept */
	atomic_bool found;       /* a difference */
	atomic_uint damaged;
};

/* ---- sums ---- */

static void part_sums_done(struct part_sums *s, uint32_t n_slots)
{
	for (uint32_t i = 0; i < n_slots; i++) {
		if (s->narrow)
			free(s->narrow[i]);
		if (s->wide)
			free(s->wide[i]);
	}
	free(s->narrow);
	free(s->wide);
	*s = (struct part_sums){ 0 };
}

void sums_done(struct sums *s)
{
	for (size_t i = 0; i < s->n; i++)
		part_sums_done(&s->v[i], s->n_slots);
	free(s->v);
	*s = (struct sums){ 0 };
}

static int64_t *narrow_of(struct pass *pass, struct job *job, uint32_t slot)
{
	int64_t **at = &job->sums.narrow[slot - pass->first];
	if (!*at)
		*at = calloc((size_t)job->sums.n_stacks + 1, sizeof **at);
	return *at;
}

static wide_t *wide_of(struct pass *pass, struct job *job, uint32_t slot)
{
	wide_t **at = &job->sums.wide[slot - pass->first];
	if (!*at)
		*at = calloc((size_t)job->sums.n_stacks + 1, sizeof **at);
	return *at;
}

static int add_list(struct pass *pass, struct job *job, uint32_t slot, const struct stack_list *l, wide_t factor)
{
	if (factor == 1) {
		int64_t *sum = narrow_of(pass, job, slot);
		for (uint32_t i = 0; sum && i < l->n; i++)
			sum[l->stacks[i]] = sat_add(sum[l->stacks[i]], l->values[i]);
		return sum ? 0 : -ENOMEM;
	}
	wide_t *sum = wide_of(pass, job, slot);
	for (uint32_t i = 0; sum && i < l->n; i++)
		sum[l->stacks[i]] += l->values[i] * factor;
	return sum ? 0 : -ENOMEM;
}

/* Moves what a job added to its part's sums. */
static void merge_slot(struct part_sums *to, struct part_sums *from, uint32_t slot)
{
	if (from->narrow[slot] && !to->narrow[slot])
		to->narrow[slot] = TAKE_PTR(from->narrow[slot]);
	if (from->wide[slot] && !to->wide[slot])
		to->wide[slot] = TAKE_PTR(from->wide[slot]);
	for (uint32_t i = 0; from->narrow[slot] && i < to->n_stacks; i++)
		to->narrow[slot][i] = sat_add(to->narrow[slot][i], from->narrow[slot][i]);
	for (uint32_t i = 0; from->wide[slot] && i < to->n_stacks; i++)
		to->wide[slot][i] += from->wide[slot][i];
}

static int part_sums_init(struct part_sums *s, uint32_t n_stacks, uint32_t n_slots)
{
	*s = (struct part_sums){
		.n_stacks = n_stacks,
		.narrow = calloc(n_slots + 1, sizeof *s->narrow),
		.wide = calloc(n_slots + 1, sizeof *s->wide),
	};
	return s->narrow && s->wide ? 0 : -ENOMEM;
}

static int merge_jobs(struct pass *pass, struct sums *ret)
{
	struct sums sums = { .n = pass->q->parts.n, .n_slots = pass->n_slots };
	sums.v = calloc(sums.n + 1, sizeof *sums.v);
	int r = sums.v ? 0 : -ENOMEM;
	for (size_t i = 0; i < pass->n_jobs && r >= 0; i++) {
		struct job *job = &pass->jobs[i];
		struct part_sums *to = &sums.v[job->part];
		if (!to->narrow)
			r = part_sums_init(to, job->sums.n_stacks, pass->n_slots);
		for (uint32_t s = 0; s < pass->n_slots && r >= 0; s++)
			merge_slot(to, &job->sums, s);
	}
	if (r < 0)
		sums_done(&sums);
	else
		*ret = sums;
	return r;
}

/* ---- reading ---- */

static uint32_t slot_column(const struct query *q, const struct row *r, uint32_t slot)
{
	return plan_column(q, &q->parts.v[r->part], row_of(q, r)->header, slot);
}

/* Columns of all rows of a part that the slots need. */
static struct columns part_columns(const struct pass *pass, const struct qpart *p)
{
	struct columns c = { .labels = p->matches != NULL };
	for (uint32_t h = 0; h < p->profiles->n_headers; h++)
		for (uint32_t s = pass->first; s < pass->first + pass->n_slots; s++) {
			uint32_t column = plan_column(pass->q, p, h, s);
			if (column < 64)
				c.types |= UINT64_C(1) << column;
		}
	return c;
}

static int load_group(const struct pass *pass, uint32_t part, uint32_t at, struct group **group, struct error *err)
{
	const struct qpart *p = &pass->q->parts.v[part];
	struct columns columns = part_columns(pass, p);
	group_free(TAKE_PTR(*group));
	return dataset_group(p->dataset, at, &columns, group, err);
}

static int own_group(const struct pass *pass, struct job *job, const struct row *r)
{
	uint32_t at = row_of(pass->q, r)->group;
	if (job->group && job->group_at == at)
		return 0;
	job->group_at = at;
	return load_group(pass, r->part, at, &job->group, &job->error);
}

static int other_group(const struct pass *pass, struct job *job, const struct row *r)
{
	uint32_t at = row_of(pass->q, r)->group;
	if (job->other && job->other_at == at && job->other_part == r->part)
		return 0;
	job->other_at = at;
	job->other_part = r->part;
	return load_group(pass, r->part, at, &job->other, &job->error);
}

/* The samples of a row that are taken, zeros left out. */
static int list_samples(const struct query *q, const struct row *r, const struct samples *samples, uint32_t column,
                        struct stack_list *ret)
{
	const struct qpart *p = &q->parts.v[r->part];
	const struct series_plan *s = &p->series[row_of(q, r)->series];
	const int64_t *values = samples->values[column];
	bool pending = s->pending || s->strict;
	int e = 0;
	ret->n = 0;
	for (uint32_t i = 0; i < samples->n && e >= 0 && values; i++)
		if (values[i] && (!pending || match_sample(p, s, samples->labelsets ? samples->labelsets[i] : 0)))
			e = stack_list_push(ret, samples->stacks[i], values[i]);
	return e;
}

/* ---- stacks that the filters keep ---- */

/* 1, 0, or an error. Filters run on one thread. */
static int keeps_stack(struct pass *pass, uint32_t part, uint32_t stack)
{
	const struct symbols *sym = pass->q->parts.v[part].symbols;
	uint8_t **keeps = &pass->keeps[part];
	if (!*keeps)
		*keeps = calloc((size_t)sym->n_stacks + 1, 1);
	if (!*keeps)
		return -ENOMEM;
	if (!(*keeps)[stack]) {
		int r = filters_stack(pass->filters, part, stack);
		if (r < 0)
			return r;
		(*keeps)[stack] = r ? 2 : 1;
	}
	return (*keeps)[stack] == 2;
}

static int sum_kept(struct pass *pass, uint32_t part, const struct stack_list *l, wide_t *ret)
{
	if (!pass->filtered) {
		*ret = stack_list_sum(l);
		return 0;
	}
	wide_t sum = 0;
	for (uint32_t i = 0; i < l->n; i++) {
		int keeps = keeps_stack(pass, part, l->stacks[i]);
		if (keeps < 0)
			return keeps;
		sum += keeps ? l->values[i] : 0;
	}
	*ret = sum;
	return 0;
}

/* ---- running totals ---- */

static void held_free(struct held *h, uint32_t n_slots)
{
	for (uint32_t i = 0; h && i < n_slots; i++)
		stack_list_done(&h->lists[i]);
	free(h);
}

static struct held *held_new(uint32_t row, uint32_t n_slots)
{
	struct held *h = calloc(1, sizeof *h + n_slots * sizeof h->lists[0]);
	if (h)
		h->row = row;
	return h;
}

static size_t held_size(const struct held *h, uint32_t n_slots)
{
	size_t bytes = 0;
	for (uint32_t i = 0; i < n_slots; i++)
		bytes += h->lists[i].cap * (sizeof *h->lists[i].stacks + sizeof *h->lists[i].values);
	return bytes;
}

/* Takes h in the place of what is held of its series. */
static int hold(struct pass *pass, struct job *job, uint32_t series, struct held *h)
{
	if (!job->held)
		job->held = calloc(pass->q->series.n + 1, sizeof *job->held);
	if (!job->held) {
		held_free(h, pass->n_slots);
		return -ENOMEM;
	}
	struct held *old = job->held[series];
	if (old)
		job->held_bytes -= held_size(old, pass->n_slots);
	held_free(old, pass->n_slots);
	size_t bytes = held_size(h, pass->n_slots);
	bool room = job->held_bytes + bytes <= HELD_MAX;
	job->held[series] = room ? h : NULL;
	if (room)
		job->held_bytes += bytes;
	else
		held_free(h, pass->n_slots);
	return 0;
}

/* Totals of a row, of all slots that it counts for as totals. */
static int list_totals(const struct pass *pass, const struct row *r, const struct samples *samples, struct held *ret)
{
	const struct query *q = pass->q;
	int e = 0;
	for (uint32_t s = 0; s < pass->n_slots && e >= 0; s++) {
		const struct slot *slot = &q->slots[pass->first + s];
		uint32_t column = slot_column(q, r, pass->first + s);
		if (column != NONE && row_is_total(q, r, slot))
			e = list_samples(q, r, samples, column, &ret->lists[s]);
	}
	return e;
}

/* A part that is only looked back to has its symbols loaded when the first row asks; others have them. */
static int row_symbols(struct pass *pass, const struct row *r, struct error *err)
{
	struct qpart *p = &pass->q->parts.v[r->part];
	pthread_mutex_lock(&pass->q->symtab->lock);
	int e = p->symbols ? 0 : dataset_symbols(p->dataset, &p->symbols, err);
	pthread_mutex_unlock(&pass->q->symtab->lock);
	return e;
}

/* The predecessor's totals, where no job has held them: in the numbering of its own part. New. */
static int fetch_totals(struct pass *pass, struct job *job, uint32_t row, struct held **ret)
{
	const struct query *q = pass->q;
	const struct row *r = &q->rows.v[row];
	struct held *h = held_new(row, pass->n_slots);
	if (!h)
		return -ENOMEM;
	struct samples samples;
	int e = row_symbols(pass, r, &job->error);
	if (e >= 0)
		e = other_group(pass, job, r);
	if (e >= 0)
		e = group_samples(job->other, row_of(q, r), &samples, &job->error);
	if (e >= 0)
		e = list_totals(pass, r, &samples, h);
	if (e < 0)
		held_free(h, pass->n_slots);
	else
		*ret = h;
	return e;
}

/* A stack of a part under its number of all parts. */
struct numbered {
	uint32_t number, stack;
	int64_t value;
};

static int numbered_cmp(const void *a, const void *b)
{
	const struct numbered *x = a, *y = b;
	return x->number != y->number ? CMP(x->number, y->number) : CMP(x->stack, y->stack);
}

/* Renumbers a list; ret_stacks (new) are the part's own stacks of the result's entries. */
static int renumber(struct query *q, uint32_t part, const struct stack_list *l, struct stack_list *ret,
                    uint32_t **ret_stacks)
{
	_free_ struct numbered *v = malloc(((size_t)l->n + 1) * sizeof *v);
	_free_ uint32_t *stacks = malloc(((size_t)l->n + 1) * sizeof *stacks);
	if (!v || !stacks)
		return -ENOMEM;
	for (uint32_t i = 0; i < l->n; i++) {
		v[i] = (struct numbered){ symtab_stack(q->symtab, part, l->stacks[i]), l->stacks[i], l->values[i] };
		if (v[i].number == NONE)
			return -ENOMEM;
	}
	qsort(v, l->n, sizeof *v, numbered_cmp);
	ret->n = 0;
	for (uint32_t i = 0; i < l->n; i++) {
		int e = stack_list_push(ret, v[i].number, v[i].value);
		if (e < 0)
			return e;
		if (ret->n == 1 || i == 0 || v[i].number != v[i - 1].number)
			stacks[ret->n - 1] = v[i].stack;
	}
	*ret_stacks = TAKE_PTR(stacks);
	return 0;
}

/* cur becomes the increase since prev, which is of another part. */
static int increase_across(struct pass *pass, struct job *job, struct stack_list *cur, uint32_t part,
                           const struct stack_list *prev, uint32_t prev_part, bool *ret_restart)
{
	_free_ uint32_t *stacks = NULL, *prev_stacks = NULL;
	int r = renumber(pass->q, part, cur, &job->work, &stacks);
	if (r >= 0)
		r = renumber(pass->q, prev_part, prev, &job->prev, &prev_stacks);
	if (r < 0)
		return r;
	*ret_restart = increase_make(&job->work, &job->prev);
	for (uint32_t i = 0; i < job->work.n; i++) {
		cur->stacks[i] = stacks[i];
		cur->values[i] = job->work.values[i];
	}
	cur->n = job->work.n;
	return 0;
}

static int copy_list(const struct stack_list *from, struct stack_list *to)
{
	int r = 0;
	to->n = 0;
	for (uint32_t i = 0; i < from->n && r >= 0; i++)
		r = stack_list_push(to, from->stacks[i], from->values[i]);
	return r;
}

/* What a slot of a total increased by, in job->cur. */
static int make_increase(struct pass *pass, struct job *job, struct row *r, uint32_t slot, const struct held *now,
                         const struct held *before)
{
	struct query *q = pass->q;
	int e = copy_list(&now->lists[slot], &job->cur);
	if (e < 0 || !before)
		return e;
	const struct row *prev = &q->rows.v[before->row];
	bool restart, across = prev->part != r->part || q->parts.v[r->part].ordinals;
	if (slot_column(q, prev, pass->first + slot) == NONE || !row_is_total(q, prev, &q->slots[pass->first + slot]))
		return 0;
	if (across)
		e = increase_across(pass, job, &job->cur, r->part, &before->lists[slot], prev->part, &restart);
	else
		restart = increase_make(&job->cur, &before->lists[slot]);
	if (e >= 0 && pass->first + slot == q->main_slot)
		r->restart = restart;
	return e;
}

/* ---- a row ---- */

static int note_value(struct pass *pass, struct row *r, uint32_t slot, const struct stack_list *l, int64_t scale)
{
	if (slot != pass->q->main_slot || !pass->row_values)
		return 0;
	wide_t sum = 0;
	int e = sum_kept(pass, r->part, l, &sum);
	r->value = sat_narrow((wide_t)sat_narrow(sum) * scale);
	return e;
}

static bool any_negative(const struct samples *samples, uint32_t column)
{
	for (uint32_t i = 0; samples->values[column] && i < samples->n; i++)
		if (samples->values[column][i] < 0)
			return true;
	return false;
}

static bool slots_inuse(const struct pass *pass)
{
	for (uint32_t s = pass->first; s < pass->first + pass->n_slots; s++)
		if (pass->q->slots[s].inuse)
			return true;
	return false;
}

static void scan_row(struct pass *pass, struct row *r, const struct samples *samples)
{
	const struct query *q = pass->q;
	bool negative = false;
	for (uint32_t s = pass->first; s < pass->first + pass->n_slots; s++) {
		uint32_t column = q->slots[s].inuse ? slot_column(q, r, s) : NONE;
		negative |= column != NONE && any_negative(samples, column);
	}
	r->scanned = true;
	if (negative) {
		r->difference = true;
		atomic_store(&pass->found, true);
	}
}

static int add_totals(struct pass *pass, struct job *job, struct row *r, const struct samples *samples)
{
	struct query *q = pass->q;
	struct held *now = held_new((uint32_t)(r - q->rows.v), pass->n_slots), *fetched = NULL, *before = NULL;
	int e = now ? list_totals(pass, r, samples, now) : -ENOMEM;
	if (e >= 0 && r->prev != NONE) {
		before = job->held ? job->held[r->series] : NULL;
		if (!before || before->row != r->prev) {
			e = fetch_totals(pass, job, r->prev, &fetched);
			before = fetched;
		}
	}
	for (uint32_t s = 0; s < pass->n_slots && e >= 0; s++) {
		uint32_t slot = pass->first + s, column = slot_column(q, r, slot);
		if (column == NONE || !row_is_total(q, r, &q->slots[slot]) || !row_counts(r, &q->slots[slot]))
			continue;
		int64_t scale = column_scale(&q->parts.v[r->part], row_of(q, r)->header, column);
		e = make_increase(pass, job, r, s, now, before);
		if (e >= 0)
			e = note_value(pass, r, slot, &job->cur, scale);
		if (e >= 0 && pass->add)
			e = add_list(pass, job, slot, &job->cur, scale);
	}
	held_free(fetched, pass->n_slots);
	if (e >= 0 && !r->shadowed)
		return hold(pass, job, r->series, now);
	held_free(now, pass->n_slots);
	return e;
}

static int add_slot(struct pass *pass, struct job *job, struct row *r, uint32_t slot, const struct samples *samples)
{
	const struct query *q = pass->q;
	const struct slot *s = &q->slots[slot];
	uint32_t column = slot_column(q, r, slot);
	if (column == NONE || row_is_total(q, r, s) || !row_counts(r, s))
		return 0;
	int64_t scale = column_scale(&q->parts.v[r->part], row_of(q, r)->header, column);
	wide_t factor = scale;
	if (s->class == TYPE_INSTANT && !s->unweighted)
		factor *= row_life(q, r);
	int e = list_samples(q, r, samples, column, &job->cur);
	if (e >= 0)
		e = note_value(pass, r, slot, &job->cur, scale);
	return e < 0 || !pass->add ? e : add_list(pass, job, slot, &job->cur, factor);
}

static bool has_totals(const struct pass *pass, const struct row *r)
{
	for (uint32_t s = pass->first; r->running && s < pass->first + pass->n_slots; s++)
		if (row_is_total(pass->q, r, &pass->q->slots[s]))
			return true;
	return false;
}

static int64_t total_of(const struct query *q, const struct row *r, uint32_t column)
{
	const struct qpart *p = &q->parts.v[r->part];
	const struct profile_row *from = row_of(q, r);
	wide_t total = p->profiles->totals[from->totals_at + column];
	return sat_narrow(total * column_scale(p, from->header, column));
}

/* Whether a row's samples go into the sums as they are. */
static bool is_plain(const struct pass *pass, const struct row *r)
{
	const struct query *q = pass->q;
	const struct qpart *p = &q->parts.v[r->part];
	const struct profile_row *from = row_of(q, r);
	const struct series_plan *s = &p->series[from->series];
	if (s->pending || s->strict || r->running || r->instant || (pass->row_values && pass->filtered))
		return false;
	for (uint32_t i = pass->first; i < pass->first + pass->n_slots; i++) {
		uint32_t column = plan_column(q, p, from->header, i);
		if (column != NONE && column_scale(p, from->header, column) != 1)
			return false;
	}
	return true;
}

static int add_plain(struct pass *pass, struct job *job, struct row *r)
{
	const struct query *q = pass->q;
	int e = 0;
	for (uint32_t slot = pass->first; slot < pass->first + pass->n_slots && e >= 0; slot++) {
		uint32_t column = slot_column(q, r, slot);
		if (column == NONE)
			continue;
		if (slot == q->main_slot)
			r->value = total_of(q, r, column);
		int64_t *sum = pass->add ? narrow_of(pass, job, slot) : NULL;
		if (pass->add && !sum)
			return -ENOMEM;
		if (sum)
			e = group_accumulate(job->group, row_of(q, r), column, sum, &job->error);
	}
	return e;
}

static int add_row(struct pass *pass, struct job *job, struct row *r, enum row_want want)
{
	int e = own_group(pass, job, r);
	if (e < 0)
		return e;
	if (is_plain(pass, r))
		return add_plain(pass, job, r);
	struct samples samples;
	e = group_samples(job->group, row_of(pass->q, r), &samples, &job->error);
	if (e < 0)
		return e;
	if (!r->scanned && r->instant && slots_inuse(pass))
		scan_row(pass, r, &samples);
	if (want == SCAN)
		return 0;
	for (uint32_t s = pass->first; s < pass->first + pass->n_slots && e >= 0; s++)
		e = add_slot(pass, job, r, s, &samples);
	return e >= 0 && has_totals(pass, r) ? add_totals(pass, job, r, &samples) : e;
}

/* ---- jobs ---- */

static int run_job(void *arg, size_t i)
{
	struct pass *pass = arg;
	struct job *job = &pass->jobs[i];
	struct query *q = pass->q;
	const struct qpart *p = &q->parts.v[job->part];
	int e = 0;
	for (uint32_t k = job->from; k < job->to && e >= 0; k++) {
		struct row *r = &q->rows.v[p->rows[k]];
		enum row_want want = pass->wants[p->rows[k]];
		if (want == SKIP)
			continue;
		e = cancel_check(pass->cancel);
		if (e >= 0)
			e = add_row(pass, job, r, want);
		if (error_is_damage(e)) {
			atomic_fetch_add(&pass->damaged, 1);
			e = 0;
		}
	}
	group_free(TAKE_PTR(job->group));
	group_free(TAKE_PTR(job->other));
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
	stack_list_done(&job->cur);
	stack_list_done(&job->work);
	stack_list_done(&job->prev);
}

static void pass_done(struct pass *pass)
{
	for (size_t i = 0; i < pass->n_jobs; i++)
		job_done(pass, &pass->jobs[i]);
	free(pass->jobs);
	for (size_t i = 0; pass->keeps && i < pass->q->parts.n; i++)
		free(pass->keeps[i]);
	free(pass->keeps);
	free(pass->wants);
	free(pass->errors);
}

static uint32_t wanted_rows(const struct pass *pass, const struct qpart *p)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n_rows; i++)
		n += pass->wants[p->rows[i]] != SKIP;
	return n;
}

/* Cuts a part's rows into at most n jobs, between row groups. */
static int cut_part(struct pass *pass, uint32_t part, uint32_t n)
{
	const struct query *q = pass->q;
	const struct qpart *p = &q->parts.v[part];
	uint32_t from = 0;
	for (uint32_t k = 1; k <= n && from < p->n_rows; k++) {
		uint32_t to = (uint32_t)((uint64_t)p->n_rows * k / n);
		while (to > from && to < p->n_rows &&
		       row_of(q, &q->rows.v[p->rows[to]])->group == row_of(q, &q->rows.v[p->rows[to - 1]])->group)
			to++;
		if (to <= from)
			continue;
		struct job *job = &pass->jobs[pass->n_jobs++];
		*job = (struct job){ .part = part, .from = from, .to = to };
		int r = part_sums_init(&job->sums, p->symbols->n_stacks, pass->n_slots);
		if (r < 0)
			return r;
		from = to;
	}
	return 0;
}

static bool has_ordinals(const struct symbols *sym)
{
	for (uint32_t i = 0; i < sym->n_locations; i++)
		if (sym->locations[i].ordinal)
			return true;
	return false;
}

static int load_symbols(void *arg, size_t i)
{
	struct pass *pass = arg;
	struct qpart *p = &pass->q->parts.v[i];
	if (p->symbols || !wanted_rows(pass, p))
		return 0;
	int r = cancel_check(pass->cancel);
	if (r >= 0)
		r = dataset_symbols(p->dataset, &p->symbols, &pass->errors[i]);
	if (r >= 0)
		p->ordinals = has_ordinals(p->symbols);
	if (!error_is_damage(r))
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

static int make_jobs(struct pass *pass)
{
	struct query *q = pass->q;
	uint32_t threads = pool_threads(query_pool(q));
	pass->jobs = calloc(q->parts.n * threads + 1, sizeof *pass->jobs);
	if (!pass->jobs)
		return -ENOMEM;
	int r = 0;
	for (size_t i = 0; i < q->parts.n && r >= 0; i++) {
		uint32_t n = wanted_rows(pass, &q->parts.v[i]);
		if (n && q->parts.v[i].symbols)
			r = cut_part(pass, (uint32_t)i, MAX(1u, MIN(threads, n / JOB_ROWS)));
	}
	return r;
}

/* Which rows are read. Differences can only be found where a type's are asked for. */
static void choose_rows(struct pass *pass, bool add, bool scan)
{
	const struct query *q = pass->q;
	scan = scan && slots_inuse(pass);
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (r->role != ROLE_TAKEN && r->role != ROLE_EMPTY)
			continue;
		if (add && r->role == ROLE_TAKEN)
			pass->wants[i] = ADD;
		else if (scan && r->instant && !r->scanned)
			pass->wants[i] = SCAN;
		if (scan && r->next != NONE && !q->rows.v[r->next].scanned && pass->wants[r->next] == SKIP &&
		    q->rows.v[r->next].role != ROLE_TAKEN && row_life(q, r) < LIFE_MAX)
			pass->wants[r->next] = SCAN;
	}
}

static bool any_wanted(const struct pass *pass)
{
	for (size_t i = 0; i < pass->q->rows.n; i++)
		if (pass->wants[i] != SKIP)
			return true;
	return false;
}

static int pass_run(struct pass *pass, struct error *err)
{
	struct query *q = pass->q;
	int r = pass_symbols(pass, err);
	if (r >= 0)
		r = make_jobs(pass);
	if (r >= 0)
		r = pool_each(pass->filtered && pass->row_values ? NULL : query_pool(q), pass->n_jobs, run_job, pass);
	for (size_t i = 0; r < 0 && err && i < pass->n_jobs; i++)
		if (pass->jobs[i].error.code == r)
			*err = pass->jobs[i].error;
	return r;
}

/* ---- the time covered ---- */

static void cover_slot(const struct query *q, struct slot *slot)
{
	int64_t end = INT64_MIN;
	slot->covered = 0;
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if ((r->role != ROLE_TAKEN && r->role != ROLE_EMPTY) || !r->instant || !row_counts(r, slot))
			continue;
		int64_t to = sat_add(r->time, row_life(q, r)), from = MAX(r->time, end);
		if (to > from)
			slot->covered = sat_add(slot->covered, to - from);
		end = MAX(end, to);
	}
	slot->unweighted = slot->covered == 0;
	if (slot->unweighted)
		slot->covered = 1;
}

static void cover_slots(struct query *q)
{
	for (uint32_t s = 0; s < q->n_slots; s++)
		if (q->slots[s].class == TYPE_INSTANT)
			cover_slot(q, &q->slots[s]);
}

/* ---- what is known at the end ---- */

static void info_damage(const struct pass *pass, struct query_info *info)
{
	const struct error *first = NULL;
	for (size_t i = 0; i < pass->q->parts.n && !first; i++)
		if (error_is_damage(pass->errors[i].code))
			first = &pass->errors[i];
	for (size_t i = 0; i < pass->n_jobs && !first; i++)
		if (error_is_damage(pass->jobs[i].error.code))
			first = &pass->jobs[i].error;
	if (first && !info->damaged)
		snprintf(info->damage, sizeof info->damage, "%.*s", (int)sizeof info->damage - 1, first->text);
	info->damaged += atomic_load(&pass->damaged);
}

/* pass is NULL where no samples were read. */
static void finish_info(struct query *q, const struct pass *pass)
{
	struct query_info *info = &q->info;
	const struct slot *main = &q->slots[q->main_slot];
	if (atomic_load(&q->info_whole))
		return;
	*info = q->plan_info;
	if (pass)
		info_damage(pass, info);
	info->covered = main->class == TYPE_INSTANT && !main->unweighted ? main->covered : 0;
	bool any = false;
	info->first = info->last = 0;
	for (size_t i = 0; i < q->rows.n; i++) {
		const struct row *r = &q->rows.v[i];
		if (r->role != ROLE_TAKEN)
			continue;
		if (!row_counts(r, main)) {
			info->differences++;
			info->profiles--;
			info->samples -= row_of(q, r)->n_samples;
			info->duration -= MAX(r->duration, (int64_t)0);
			continue;
		}
		info->restarts += r->restart;
		info->last = r->time;
		info->first = any ? info->first : r->time;
		any = true;
	}
	atomic_store(&q->info_whole, true);
}

/* Reads on until no unknown difference is left that could end a life: each round finds at least one. */
static int scan_rest(struct query *q, uint32_t first, uint32_t n_slots, const struct cancel *cancel,
                     struct error *err)
{
	for (;;) {
		_cleanup_(pass_done) struct pass scan = {
			.q = q, .cancel = cancel, .first = first, .n_slots = n_slots
		};
		scan.wants = calloc(q->rows.n + 1, 1);
		if (!scan.wants || plan_chain(q) < 0)
			return -ENOMEM;
		choose_rows(&scan, false, true);
		if (!any_wanted(&scan))
			return 0;
		int r = pass_run(&scan, err);
		if (r < 0)
			return r;
	}
}

static int read_once(struct pass *pass, struct sums *ret, bool *ret_again, struct error *err)
{
	struct query *q = pass->q;
	pass->wants = calloc(q->rows.n + 1, 1);
	pass->keeps = calloc(q->parts.n + 1, sizeof *pass->keeps);
	if (!pass->wants || !pass->keeps)
		return -ENOMEM;
	cover_slots(q);
	choose_rows(pass, true, true);
	int r = pass_run(pass, err);
	if (r < 0)
		return r;
	*ret_again = atomic_load(&pass->found);
	if (*ret_again)
		return scan_rest(q, pass->first, pass->n_slots, pass->cancel, err);
	finish_info(q, pass);
	q->values_known |= pass->row_values;
	return ret ? merge_jobs(pass, ret) : 0;
}

int values_read(struct query *q, enum values_want want, const struct cancel *cancel, struct sums *ret,
                struct error *err)
{
	_filters_ struct filters filters = { .sel = q->sel };
	bool filtered = q->sel->n_filters > 0, again = true;
	int r = !q->symtab ? symtab_new(q, &q->symtab) : 0;
	if (r >= 0)
		r = filters_init(&filters, q->sel, q->symtab);
	while (r >= 0 && again) {
		_cleanup_(pass_done) struct pass pass = {
			.q = q,
			.cancel = cancel,
			.add = want != WANT_ROWS,
			.filtered = filtered,
			.row_values = want == WANT_ROWS || !filtered,
			.first = want == WANT_ALL ? 0 : q->main_slot,
			.n_slots = want == WANT_ALL ? q->n_slots : 1,
			.filters = &filters,
		};
		r = read_once(&pass, want == WANT_ROWS ? NULL : ret, &again, err);
	}
	return r == -ENOMEM ? out_of_memory(err) : r;
}

/* ---- without samples ---- */

/* Whether totals tell what the rows count. */
static bool totals_tell(const struct query *q)
{
	const struct slot *main = &q->slots[q->main_slot];
	if (q->sel->n_filters || q->sample_matchers || main->inuse)
		return false;
	for (size_t i = 0; i < q->rows.n; i++)
		if (q->rows.v[i].role == ROLE_TAKEN && row_is_total(q, &q->rows.v[i], main))
			return false;
	return true;
}

int values_rows(struct query *q, const struct cancel *cancel, struct error *err)
{
	if (q->values_known || !q->n_slots)
		return 0;
	if (!totals_tell(q))
		return values_read(q, WANT_ROWS, cancel, NULL, err);
	for (size_t i = 0; i < q->rows.n; i++) {
		struct row *r = &q->rows.v[i];
		uint32_t column = r->role == ROLE_TAKEN ? slot_column(q, r, q->main_slot) : NONE;
		if (column != NONE)
			r->value = total_of(q, r, column);
	}
	cover_slots(q);
	finish_info(q, NULL);
	q->values_known = true;
	return 0;
}
