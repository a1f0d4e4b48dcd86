/* SPDX-License-Identifier: MIT */
#include "internal.h"

/*
 * A query's life. The plan is made at once and never changes. Results are made on demand under one lock, kept, and
 * lent until the last reference goes; a result that failed or was cancelled is tried again by the next who asks.
 */

static struct query *query_alloc(struct view *v, const struct selection *sel)
{
	struct query *q = calloc(1, sizeof *q);
	if (!q)
		return NULL;
	atomic_init(&q->refs, 1);
	pthread_mutex_init(&q->lock, NULL);
	q->arena = ARENA_INIT(ARENA_MAX);
	q->view = view_ref(v);
	q->sel = selection_copy(sel);
	if (q->sel)
		return q;
	query_unref(q);
	return NULL;
}

int query_new(struct view *v, const struct selection *sel, const struct cancel *cancel, struct query **ret,
              struct error *err)
{
	struct query *q = query_alloc(v, sel);
	if (!q)
		return out_of_memory(err);
	int r = plan_query(q, cancel, err);
	if (r >= 0 && sel->baseline)
		r = query_new(v, sel->baseline, cancel, &q->baseline, err);
	if (r < 0) {
		query_unref(q);
		return r;
	}
	*ret = q;
	return 0;
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
	memo_tree_free(q->tree);
	memo_points_free(q->points);
	memo_steps_free(q->steps);
	memo_labels_free(q->labels[0]);
	memo_labels_free(q->labels[1]);
	free(q->types);
	buf_done(&q->type_names);
	free(q->hours);
	symtab_free(q->symtab);
	plan_done(q);
	arena_done(&q->arena);
	selection_free(q->sel);
	view_unref(q->view);
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
	int r = values_rows(q, cancel, err);
	pthread_mutex_unlock(&q->lock);
	return r;
}
