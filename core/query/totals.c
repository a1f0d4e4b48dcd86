/* SPDX-License-Identifier: MIT */
#include "pass.h"

/*
 * Running totals. A job holds what the last total of each series was; a predecessor in another job or part, or one
 * that a cell stands for, is read again.
 */

#define HELD_MAX ((size_t)32 << 20)

void held_free(struct held *h, uint32_t n_slots)
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
	int e = p->symbols ? 0 : part_load_symbols(pass->q, p, err);
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

int pass_totals(struct pass *pass, struct job *job, struct row *r, const struct samples *samples)
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
			e = sums_add(pass, job, slot, &job->cur, scale);
	}
	held_free(fetched, pass->n_slots);
	if (e >= 0 && !r->shadowed)
		return hold(pass, job, r->series, now);
	held_free(now, pass->n_slots);
	return e;
}
