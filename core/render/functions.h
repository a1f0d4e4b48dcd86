/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The functions of a call tree with what they cost themselves and in all. A function that calls itself counts
 * once in a stack. "Function" is whatever has one name at the granularity of the selection.
 */

#include "../base/arena.h"
#include "../base/vec.h"
#include "text.h"

enum inlining { INLINED_NEVER, INLINED_PARTLY, INLINED_ALWAYS };

struct function {
	struct str name; /* as pprof prints it: "main.work", "[libc.so.6]", "<unknown>" */
	struct str file; /* "" where it is unknown */
	int64_t flat, cum;
	enum inlining inlining; /* set by edges_inlining() */
	bool kept;              /* the caller's choice, for edges_of() */
};

struct functions {
	VEC(struct function) v; /* in order of first appearance in the tree */
	uint32_t *of_frame;     /* index of the function of a frame */
	struct arena names;
	int64_t flat;           /* sum of flat */
	uint64_t total;         /* sum of the magnitudes of what the nodes cost themselves */
	bool negative;          /* some nodes cost less than nothing */
};

int functions_of(const struct call_tree *t, enum granularity g, const struct cancel *cancel,
                 struct functions *ret);
void functions_done(struct functions *f);
#define _functions_ _cleanup_(functions_done)
