/* SPDX-License-Identifier: MIT */
#include "diff.h"

#include "internal.h"

struct memo_diff {
	struct call_diff diff;
};

void memo_diff_free(struct memo_diff *m)
{
	if (!m)
		return;
	call_diff_done(&m->diff);
	free(m);
}

/* Under the lock. */
static int diff_keep(struct query *q, const struct call_tree *before, const struct call_tree *after)
{
	struct memo_diff *m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	int e = call_diff_make(before, after, q->sel->options.normalize, &m->diff);
	if (e < 0)
		free(m);
	else
		q->diff = m;
	return e;
}

int query_diff(struct query *q, const struct cancel *cancel, const struct call_diff **ret, struct error *err)
{
	const struct call_tree *before, *after;
	assert(q->baseline);
	int e = query_tree(q, cancel, &after, err);
	if (e >= 0)
		e = query_tree(q->baseline, cancel, &before, err);
	if (e < 0)
		return e;
	pthread_mutex_lock(&q->lock);
	if (!q->diff)
		e = diff_keep(q, before, after);
	if (e >= 0)
		*ret = &q->diff->diff;
	pthread_mutex_unlock(&q->lock);
	return e == -ENOMEM ? out_of_memory(err) : e;
}
