/* SPDX-License-Identifier: MIT */
#include "internal.h"

/*
 * A query's life. The plan is made at once and never changes. Results are made on demand under one lock, kept, and
 * lent until the last reference goes; a result that failed or was cancelled is tried again by the next who asks.
 */

static struct query *query_alloc(struct view *v, struct query *owner, const struct selection *sel, enum plan_mode mode)
{
	struct query *q = calloc(1, sizeof *q);
	if (!q)
		return NULL;
	atomic_init(&q->refs, 1);
	pthread_mutex_init(&q->lock, NULL);
	pthread_mutex_init(&q->merge_lock, NULL);
	q->arena = ARENA_INIT(ARENA_MAX);
	q->view = view_ref(v);
	q->owner = owner;
	q->mode = mode;
	q->sel = selection_copy(sel);
	if (q->sel)
		return q;
	query_unref(q);
	return NULL;
}

int query_make(struct view *v, struct query *owner, const struct selection *sel, enum plan_mode mode,
               const struct cancel *cancel, struct query **ret, struct error *err)
{
	struct query *q = query_alloc(v, owner, sel, mode);
	if (!q)
		return out_of_memory(err);
	int r = plan_query(q, cancel, err);
	if (r >= 0 && sel->baseline)
		r = query_beside(q, sel->baseline, mode, cancel, &q->baseline, err);
	if (r < 0) {
		query_unref(q);
		return r;
	}
	*ret = q;
	return 0;
}

int query_new(struct view *v, const struct selection *sel, const struct cancel *cancel, struct query **ret,
              struct error *err)
{
	return query_make(v, NULL, sel, PLAN_LIGHT, cancel, ret, err);
}

int query_beside(struct query *owner, const struct selection *sel, enum plan_mode mode, const struct cancel *cancel,
                 struct query **ret, struct error *err)
{
	return query_make(owner->view, owner, sel, mode, cancel, ret, err);
}

/* Its own baseline is never asked for. */
static int planned_make(struct query *q, const struct cancel *cancel, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = selection_copy(q->sel);
	if (!sel)
		return out_of_memory(err);
	selection_free(TAKE_PTR(sel->baseline));
	return query_beside(q, sel, rows_mode(q), cancel, &q->planned, err);
}

int query_planned(struct query *q, const struct cancel *cancel, struct query **ret, struct error *err)
{
	if (!q->cells.n) {
		*ret = q;
		return 0;
	}
	pthread_mutex_lock(&q->lock);
	int r = q->planned ? 0 : planned_make(q, cancel, err);
	if (r >= 0)
		*ret = q->planned;
	pthread_mutex_unlock(&q->lock);
	return r;
}

void query_learn(struct query *q, const struct query *planned)
{
	if (planned == q || !atomic_load(&planned->info_whole))
		return;
	pthread_mutex_lock(&q->lock);
	if (!atomic_load(&q->info_whole)) {
		q->info = planned->info;
		atomic_store(&q->info_whole, true);
	}
	pthread_mutex_unlock(&q->lock);
}

struct query *query_ref(struct query *q)
{
	atomic_fetch_add(&q->refs, 1);
	return q;
}

void query_unref(struct query *q)
{
	if (!q || atomic_fetch_sub(&q->refs, 1) != 1)
		return;
	query_unref(q->baseline);
	query_unref(q->untyped);
	query_unref(q->planned);
	for (size_t i = 0; i < ARRAY_SIZE(q->trees); i++)
		memo_tree_free(q->trees[i]);
	memo_merged_free(q->merged);
	memo_points_free(q->points);
	memo_steps_free(q->steps);
	memo_labels_free(q->labels[0]);
	memo_labels_free(q->labels[1]);
	memo_diff_free(q->diff);
	free(q->types);
	buf_done(&q->type_names);
	free(q->hours);
	values_drop(q);
	budget_end(q);
	symtab_free(q->symtab);
	plan_done(q);
	arena_done(&q->arena);
	selection_free(q->sel);
	view_unref(q->view);
	pthread_mutex_destroy(&q->merge_lock);
	pthread_mutex_destroy(&q->lock);
	free(q);
}

const struct selection *query_selection(const struct query *q)
{
	return q->sel;
}

struct query *query_baseline(struct query *q)
{
	return q->baseline;
}

const struct query_info *query_info(const struct query *q)
{
	return atomic_load(&q->info_whole) ? &q->info : &q->plan_info;
}

int query_resolve(struct query *q, const struct cancel *cancel, struct error *err)
{
	pthread_mutex_lock(&q->lock);
	int r = atomic_load(&q->info_whole) ? 0 : values_rows(q, cancel, err);
	pthread_mutex_unlock(&q->lock);
	return r;
}

void query_expect_all(struct query *q)
{
	for (; q; q = q->baseline)
		atomic_store(&q->whole, true);
}
