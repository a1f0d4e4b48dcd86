/* SPDX-License-Identifier: MIT */
#include "pass.h"

#include <string.h>

/*
 * The columns of a merged profile. With a type selected these are the plan's slots. Without one they are all types of
 * the selection, by name: each is asked for by a query of its own, since predecessors and lives are a type's own, and
 * its sums are entered into one tree.
 */

void merged_types_done(struct merged_types *t)
{
	free(t->v);
	*t = (struct merged_types){ 0 };
}

static int merge_selected(struct query *q, struct fold *fold, struct merged_types *ret, const struct cancel *cancel,
                          struct error *err)
{
	int r = q->n_slots ? values_sums(q, WANT_ALL, cancel, err) : 0;
	if (r >= 0)
		r = fold_init(fold, q, q->symtab, true, MAX(q->n_slots, 1u));
	if (r >= 0)
		r = fold_sums(fold, &q->sums, (struct slot_range){ 0, q->n_slots }, 0, cancel, err);
	values_unused(q);
	ret->v = r >= 0 ? calloc((size_t)q->n_slots + 1, sizeof *ret->v) : NULL;
	if (!ret->v)
		return r < 0 ? r : -ENOMEM;
	if (q->n_slots)
		memcpy(ret->v, q->slots, q->n_slots * sizeof *ret->v);
	ret->n = q->n_slots;
	ret->main = q->main_slot;
	return 0;
}

static int merge_type(struct query *q, struct query *of, struct fold *fold, uint32_t slot, struct slot *ret,
                      const struct cancel *cancel, struct error *err)
{
	struct sums sums;
	if (!of->n_slots)
		return 0;
	int r = values_sums(of, WANT_MAIN, cancel, err);
	if (r >= 0)
		r = sums_lend(&of->sums, of, q, &sums);
	if (r < 0)
		return r;
	r = fold_sums(fold, &sums, (struct slot_range){ of->main_slot - of->sums_first, 1 }, slot, cancel, err);
	free(sums.v);
	if (r >= 0)
		*ret = of->slots[of->main_slot];
	return r;
}

static struct selection *with_type(const struct selection *s, struct str type)
{
	struct selection *copy = selection_copy(s);
	if (!copy)
		return NULL;
	selection_free(TAKE_PTR(copy->baseline));
	copy->type = strndup(type.s, type.len);
	if (copy->type)
		return copy;
	selection_free(copy);
	return NULL;
}

static int merge_every(struct query *q, struct fold *fold, struct merged_types *ret, const struct cancel *cancel,
                       struct error *err)
{
	int r = types_make(q);
	if (r >= 0)
		r = fold_init(fold, q, q->symtab, true, MAX((uint32_t)q->n_types, 1u));
	ret->v = calloc(q->n_types + 1, sizeof *ret->v);
	ret->n = (uint32_t)q->n_types;
	ret->main = NONE;
	if (!ret->v)
		return -ENOMEM;
	for (uint32_t i = 0; i < ret->n && r >= 0; i++) {
		_cleanup_(selection_freep) struct selection *sel = with_type(q->sel, q->types[i].name);
		_cleanup_(query_unrefp) struct query *of = NULL;
		r = sel ? query_beside(q, sel, rows_mode(q), cancel, &of, err) : -ENOMEM;
		if (r >= 0)
			r = merge_type(q, of, fold, i, &ret->v[i], cancel, err);
	}
	return r;
}

int merge_types(struct query *q, struct fold *fold, struct merged_types *ret, const struct cancel *cancel,
                struct error *err)
{
	return q->sel->type ? merge_selected(q, fold, ret, cancel, err) : merge_every(q, fold, ret, cancel, err);
}
