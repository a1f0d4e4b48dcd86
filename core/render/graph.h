/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Calls between the kept functions of a call tree, as pprof draws them: over functions that are not kept, too; once in
 * a stack; none of a function by itself.
 */

#include "../base/idset.h"
#include "functions.h"

struct edge {
	uint32_t from, to; /* functions */
	int64_t weight;
	uint32_t open;     /* times it lies on the current stack */
	bool inlined;      /* wherever it was sampled */
	bool residual;     /* somewhere over functions that are not kept */
};

struct edges {
	struct idset set;
	VEC(struct edge) v; /* in order of first appearance in the tree */
};

int edges_of(const struct functions *f, const struct call_tree *t, const struct cancel *cancel, struct edges *ret);
void edges_done(struct edges *e);
#define _edges_ _cleanup_(edges_done)

/* Tells how functions were reached: by calls of at least min_edge between kept functions. */
int edges_inlining(struct functions *f, const struct call_tree *t, uint64_t min_edge, const struct cancel *cancel);
