/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <string.h>

/*
 * What profiles count, by stack and as a whole: one pass over the samples of the plan.
 *
 *     events            as they are
 *     running totals    the increase since the predecessor (increase.c)
 *     instantaneous     weighted by the time until the successor; fold.c divides by the time covered
 *
 * Values of another unit of the dimension are converted. Where a cell of a dataset's rollups holds what rows count,
 * the cell is read instead (rollups.c).
 *
 * Differences (negative inuse_*) show only in samples. Finding one changes who ends whose life, so the pass is done
 * again without them; that is rare.
 */

/* ---- reading ---- */

uint32_t slot_column(const struct query *q, const struct row *r, uint32_t slot)
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

int other_group(const struct pass *pass, struct job *job, const struct row *r)
{
	uint32_t at = row_of(pass->q, r)->group;
	if (job->other && job->other_at == at && job->other_part == r->part)
		return 0;
	job->other_at = at;
	job->other_part = r->part;
	return load_group(pass, r->part, at, &job->other, &job->error);
}

int list_samples(const struct query *q, const struct row *r, const struct samples *samples, uint32_t column,
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

/* ---- a row ---- */

static void note_slot(struct slot_note *note, const struct row *r)
{
	note->first = note->profiles++ ? MIN(note->first, r->time) : r->time;
	note->last = note->profiles > 1 ? MAX(note->last, r->time) : r->time;
}

int note_value(struct pass *pass, struct row *r, uint32_t slot, const struct stack_list *l, int64_t scale)
{
	bool main = slot == pass->q->main_slot && pass->row_values;
	if (!main && !pass->notes)
		return 0;
	wide_t sum = 0;
	int e = sum_kept(pass, r->part, l, &sum);
	int64_t value = sat_narrow((wide_t)sat_narrow(sum) * scale);
	if (main)
		r->value = value;
	if (pass->notes && value)
		note_slot(&pass->notes[slot], r);
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
	return e < 0 || !pass->add ? e : sums_add(pass, job, slot, &job->cur, factor);
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
		if (slot == q->main_slot && pass->row_values)
			r->value = total_of(q, r, column);
		int64_t *sum = NULL;
		if (pass->add)
			e = sums_narrow(pass, job, slot, &sum);
		if (sum)
			e = group_accumulate(job->group, row_of(q, r), column, sum, &job->error);
	}
	return e;
}

int pass_row(struct pass *pass, struct job *job, struct row *r, enum row_want want)
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
	return e >= 0 && has_totals(pass, r) ? pass_totals(pass, job, r, &samples) : e;
}

/* ---- which rows are read ---- */

/* Differences can only be found where a type's are asked for. */
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
		if (err_is_damage(pass->errors[i].code))
			first = &pass->errors[i];
	for (size_t i = 0; i < pass->n_jobs && !first; i++)
		if (err_is_damage(pass->jobs[i].error.code))
			first = &pass->jobs[i].error;
	if (first && !info->damaged)
		snprintf(info->damage, sizeof info->damage, "%.*s", (int)sizeof info->damage - 1, first->text);
	info->damaged += atomic_load(&pass->damaged);
}

static void info_rows(const struct query *q, const struct pass *pass, const struct slot *main,
                      struct query_info *info)
{
	int64_t first = 0, last = 0;
	bool any = false;
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
		info->restarts += r->restart && !(pass && pass->wants[i] == ROLLED);
		last = r->time;
		first = any ? first : r->time;
		any = true;
	}
	if (info->differences) { /* of states, which are never without rows */
		info->first = first;
		info->last = last;
	}
}

static void info_cells(const struct pass *pass, struct query_info *info)
{
	const struct query *q = pass->q;
	for (size_t i = 0; i < pass->cells.n; i++) {
		const struct cell_use *use = &pass->cells.v[i];
		uint32_t column = plan_column(q, &q->parts.v[use->part], cell_header(q, use), q->main_slot);
		info->restarts += column == NONE ? 0 : cell_of(q, use)->restarts[column];
	}
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
	info_rows(q, pass, main, info);
	if (pass)
		info_cells(pass, info);
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
	*ret_again = atomic_load(&pass->found) || atomic_load(&pass->bad_cell);
	if (atomic_load(&pass->bad_cell)) {
		q->no_cells = true;
		return q->cells.n ? ERR_CORRUPT : 0;
	}
	if (*ret_again)
		return scan_rest(q, pass->first, pass->n_slots, pass->cancel, err);
	finish_info(q, pass);
	q->values_known |= pass->row_values && !pass->cells.n;
	q->rolled = pass->add ? 0 : q->rolled;
	for (size_t i = 0; i < pass->cells.n; i++)
		q->rolled += cell_of(q, &pass->cells.v[i])->profiles;
	return ret ? sums_merge(pass, ret) : 0;
}

/* Filters tell row values on one thread: for sums alone they are told where all is read at once. */
static bool tells_rows(const struct query *q, enum values_want want)
{
	return want == WANT_ROWS || !q->sel->n_filters || (atomic_load(&q->whole) && !q->cells.n);
}

/* Where a plan with hours that have no rows meets a damaged cell: ERR_CORRUPT, and the planned query is to be asked. */
static int values_read(struct query *q, enum values_want want, struct slot_note *notes, const struct cancel *cancel,
                       struct sums *ret, struct error *err)
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
			.row_values = notes || tells_rows(q, want),
			.notes = notes,
			.first = want == WANT_ALL ? 0 : q->main_slot,
			.n_slots = want == WANT_ALL ? q->n_slots : 1,
			.filters = &filters,
		};
		for (uint32_t s = 0; notes && s < q->n_slots; s++)
			notes[s] = (struct slot_note){ 0 };
		r = read_once(&pass, want == WANT_ROWS ? NULL : ret, &again, err);
	}
	return r == -ENOMEM ? out_of_memory(err) : r;
}

/* ---- sums that are kept ---- */

/*
 * Trees of every granularity and the merged profile are made from the same sums, which are much smaller than what they
 * were read from. They stay with the query as long as they take no more than their share of what it may take.
 */
#define KEPT_SHARE 8

void values_drop(struct query *q)
{
	if (q->sums_kept && !q->sums_lent)
		budget_give(q, sums_bytes(&q->sums));
	if (q->sums_lent)
		free(q->sums.v);
	else
		sums_done(&q->sums);
	q->sums = (struct sums){ 0 };
	q->sums_kept = q->sums_lent = false;
}

void values_unused(struct query *q)
{
	if (!q->sums_kept)
		values_drop(q);
}

static bool sums_have(const struct query *q, enum values_want want)
{
	uint32_t end = q->sums_first + q->sums.n_slots;
	if (want == WANT_ALL)
		return q->sums.v && !q->sums_first && end == q->n_slots;
	return q->sums.v && q->main_slot >= q->sums_first && q->main_slot < end;
}

static bool may_keep(struct query *q)
{
	size_t bytes = sums_bytes(&q->sums);
	return bytes <= db_query_memory(view_db(q->view)) / KEPT_SHARE && budget_query(q, bytes, NULL) >= 0;
}

static int sums_read(struct query *q, enum values_want want, struct slot_note *notes, const struct cancel *cancel,
                     struct error *err)
{
	struct sums sums;
	int r = values_read(q, want, notes, cancel, &sums, err);
	if (r < 0)
		return r;
	values_drop(q);
	q->sums = sums;
	q->sums_first = want == WANT_ALL ? 0 : q->main_slot;
	q->sums_kept = may_keep(q);
	return 0;
}

int values_sums(struct query *q, enum values_want want, const struct cancel *cancel, struct error *err)
{
	if (atomic_load(&q->whole))
		want = WANT_ALL;
	return sums_have(q, want) ? 0 : sums_read(q, want, NULL, cancel, err);
}

int values_noted(struct query *q, const struct cancel *cancel, struct slot_note *ret_notes, struct error *err)
{
	assert(q->mode == PLAN_EXACT && q->sel->n_filters);
	return sums_read(q, WANT_ALL, ret_notes, cancel, err);
}

/* The planned query takes the same profiles in the same roles: what has been learnt of them holds for it too. */
static int lend(struct query *q, struct query *planned)
{
	struct sums sums;
	int r = sums_lend(&q->sums, q, planned, &sums);
	if (r < 0)
		return r;
	values_drop(planned);
	planned->sums = sums;
	planned->sums_first = 0;
	planned->sums_kept = planned->sums_lent = true;
	if (!atomic_load(&planned->info_whole)) {
		planned->info = q->info;
		atomic_store(&planned->info_whole, true);
	}
	return 0;
}

int values_lend(struct query *q, struct query *planned, const struct cancel *cancel, struct error *err)
{
	int r = 0;
	pthread_mutex_lock(&q->lock);
	pthread_mutex_lock(&planned->lock);
	bool alike = q->n_slots == planned->n_slots && q->main_slot == planned->main_slot;
	if (alike && !q->no_cells && !sums_have(planned, WANT_ALL)) {
		r = values_sums(q, WANT_ALL, cancel, err);
		if (r >= 0 && q->sums_kept)
			r = lend(q, planned);
		values_unused(q);
	}
	bool damaged = r < 0 && q->no_cells; /* the planned query reads rows */
	pthread_mutex_unlock(&planned->lock);
	pthread_mutex_unlock(&q->lock);
	return damaged ? 0 : r;
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

/* Sums, where they are to be read too, bring the values with them unless cells stand for rows. */
static int read_rows(struct query *q, const struct cancel *cancel, struct error *err)
{
	int r = atomic_load(&q->whole) ? values_sums(q, WANT_ALL, cancel, err) : 0;
	if (r >= 0 && !q->values_known)
		r = values_read(q, WANT_ROWS, NULL, cancel, NULL, err);
	values_unused(q);
	return r;
}

int values_rows(struct query *q, const struct cancel *cancel, struct error *err)
{
	if (q->values_known || !q->n_slots)
		return 0;
	if (!totals_tell(q))
		return read_rows(q, cancel, err);
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