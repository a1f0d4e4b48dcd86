/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A selection and its baseline (what stands after `vs`) in one tree: two call trees of the same nodes and the same
 * frames, so that nodes[i] of both is the same stack, and frame f of both the same function. What one side lacks is
 * zero there. Nodes and frames are in the order of call trees.
 *
 * Values are as each side has them. Under @normalize=1 those of the baseline are to be multiplied by `factor`, so that
 * both totals are equal: diff_before() does it.
 */

#include "query.h"

struct call_diff {
	struct call_tree before, after; /* baseline; selection */
	bool normalized;
	double factor; /* after.total / before.total under @normalize=1, where both are above zero; else 1 */
};

/* Of a selection with `vs`. Made once and shared; borrowed until query_unref(). */
int query_diff(struct query *q, const struct cancel *cancel, const struct call_diff **ret, struct error *err);

/* Both trees in one; texts are borrowed from them. -ENOMEM, or -EOVERFLOW beyond 2^32 nodes. */
int call_diff_make(const struct call_tree *before, const struct call_tree *after, bool normalize,
                   struct call_diff *ret);
void call_diff_done(struct call_diff *d);

/* A value of the baseline as it compares with the selection's; to the nearest, clamped. */
int64_t diff_before(const struct call_diff *d, int64_t value);
