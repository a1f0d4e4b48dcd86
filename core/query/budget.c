/* SPDX-License-Identifier: MIT */
#include "internal.h"

/*
 * A query's memory: what grows with the selection (rows, sums by stack, symbols, the merged tree) is charged before it
 * is allocated, coarsely, so that a query that would take too much fails with a sentence and not by the system's hand.
 */

static int take(struct query *q, size_t bytes, struct error *err)
{
	size_t limit = db_query_memory(view_db(q->view));
	size_t before = atomic_fetch_add(&q->memory, bytes);
	if (bytes <= limit && before <= limit - bytes)
		return 0;
	atomic_fetch_sub(&q->memory, bytes);
	return error_set(err, ERR_LIMIT_MEMORY,
	                 "the query needs more than %zu MiB of memory (%zu MiB and another %zu MiB): select less time "
	                 "or fewer profiles, or raise the limit (query_memory)",
	                 limit >> 20, before >> 20, bytes >> 20);
}

int budget_query(struct query *q, size_t bytes, struct error *err)
{
	return take(q, bytes, err);
}

int budget_pass(struct query *q, atomic_size_t *pass, size_t bytes, struct error *err)
{
	int r = take(q, bytes, err);
	if (r >= 0)
		atomic_fetch_add(pass, bytes);
	return r;
}

void budget_give(struct query *q, size_t bytes)
{
	atomic_fetch_sub(&q->memory, bytes);
}
