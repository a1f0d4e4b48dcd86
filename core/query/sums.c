/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <string.h>

/*
 * Sums by stack: an array per part, slot and job, made when the first value comes. Narrow ones hold plain values, wide
 * ones what is weighted or converted.
 */

void part_sums_done(struct part_sums *s, uint32_t n_slots)
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

size_t sums_bytes(const struct sums *s)
{
	size_t bytes = 0;
	for (size_t i = 0; i < s->n; i++)
		for (uint32_t k = 0; s->v[i].n_stacks && k < s->n_slots; k++)
			bytes += ((size_t)s->v[i].n_stacks + 1) *
			         ((s->v[i].narrow[k] ? sizeof(int64_t) : 0) + (s->v[i].wide[k] ? sizeof(wide_t) : 0));
	return bytes;
}

/* Parts that were only looked through have nothing. */
static bool has_sums(const struct sums *sums, const struct part_sums *s)
{
	for (uint32_t i = 0; s->n_stacks && i < sums->n_slots; i++)
		if (s->narrow[i] || s->wide[i])
			return true;
	return false;
}

int sums_lend(const struct sums *sums, const struct query *from, struct query *to, struct sums *ret)
{
	struct part_sums *v = calloc(to->parts.n + 1, sizeof *v);
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < sums->n; i++) {
		size_t k = 0;
		while (k < to->parts.n && to->parts.v[k].dataset != from->parts.v[i].dataset)
			k++;
		bool has = has_sums(sums, &sums->v[i]);
		assert(k < to->parts.n || !has); /* a view lends one dataset to all */
		if (k < to->parts.n && from->parts.v[i].symbols)
			part_share_symbols(&to->parts.v[k], &from->parts.v[i]);
		if (has)
			v[k] = sums->v[i];
	}
	*ret = (struct sums){ v, to->parts.n, sums->n_slots };
	return 0;
}

/* An array of one entry per stack. */
static int sum_new(struct pass *pass, struct job *job, size_t size, void *ret)
{
	size_t bytes = ((size_t)job->sums.n_stacks + 1) * size;
	int r = budget_pass(pass->q, &pass->memory, bytes, &job->error);
	if (r < 0)
		return r;
	void *v = calloc(1, bytes);
	memcpy(ret, &v, sizeof v);
	return v ? 0 : -ENOMEM;
}

int sums_narrow(struct pass *pass, struct job *job, uint32_t slot, int64_t **ret)
{
	int64_t **at = &job->sums.narrow[slot - pass->first];
	int r = *at ? 0 : sum_new(pass, job, sizeof **at, at);
	if (r >= 0)
		*ret = *at;
	return r;
}

int sums_wide(struct pass *pass, struct job *job, uint32_t slot, wide_t **ret)
{
	wide_t **at = &job->sums.wide[slot - pass->first];
	int r = *at ? 0 : sum_new(pass, job, sizeof **at, at);
	if (r >= 0)
		*ret = *at;
	return r;
}

static int add_plain(struct pass *pass, struct job *job, uint32_t slot, const struct stack_list *l)
{
	int64_t *sum;
	int r = sums_narrow(pass, job, slot, &sum);
	for (uint32_t i = 0; r >= 0 && i < l->n; i++)
		sum[l->stacks[i]] = sat_add(sum[l->stacks[i]], l->values[i]);
	return r;
}

int sums_add(struct pass *pass, struct job *job, uint32_t slot, const struct stack_list *l, wide_t factor)
{
	if (factor == 1)
		return add_plain(pass, job, slot, l);
	wide_t *sum;
	int r = sums_wide(pass, job, slot, &sum);
	for (uint32_t i = 0; r >= 0 && i < l->n; i++)
		sum[l->stacks[i]] += l->values[i] * factor;
	return r;
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

int part_sums_init(struct part_sums *s, uint32_t n_stacks, uint32_t n_slots)
{
	*s = (struct part_sums){
		.n_stacks = n_stacks,
		.narrow = calloc(n_slots + 1, sizeof *s->narrow),
		.wide = calloc(n_slots + 1, sizeof *s->wide),
	};
	return s->narrow && s->wide ? 0 : -ENOMEM;
}

int sums_merge(struct pass *pass, struct sums *ret)
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
