/* SPDX-License-Identifier: MIT */
#include "internal.h"

/*
 * A query's memory: what grows with the selection (rows, sums by stack, symbols, the merged tree) is charged before it
 * is allocated, coarsely, so that a query that would take too much fails with a sentence and not by the system's hand.
 * The queries that it is made of (its baseline, the one with all rows, one per type ...) take from the same.
 */

/* In MiB, or in KiB where that would say little. */
static const char *told(size_t bytes, char ret[32])
{
	bool small = bytes < (size_t)10 << 20;
	snprintf(ret, 32, "%zu %s", bytes >> (small ? 10 : 20), small ? "KiB" : "MiB");
	return ret;
}

void budget_give(struct query *q, size_t bytes)
{
	for (; q; q = q->owner)
		atomic_fetch_sub(&q->memory, bytes);
}

void budget_end(struct query *q)
{
	if (q->owner)
		budget_give(q->owner, atomic_load(&q->memory));
}

static int take(struct query *q, size_t bytes, struct error *err)
{
	size_t limit = db_query_memory(view_db(q->view));
	size_t before = 0; /* of the outermost */
	for (struct query *of = q; of; of = of->owner)
		before = atomic_fetch_add(&of->memory, bytes);
	if (bytes <= limit && before <= limit - bytes)
		return 0;
	budget_give(q, bytes);
	char all[32], taken[32], more[32];
	return error_set(err, ERR_LIMIT_MEMORY,
	                 "the query needs more than %s of memory (%s and another %s): select less time or fewer "
	                 "profiles, or raise the limit (--query-memory SIZE, of a mount -o query_memory=SIZE)",
	                 told(limit, all), told(before, taken), told(bytes, more));
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
