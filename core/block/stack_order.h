/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Numbers of stacks that make samples small. A profile's samples are stored as differences of ascending numbers, so the
 * stacks of one build, and of these the ones that are sampled most, should be neighbours: then most differences are 1,
 * and runs of them repeat from profile to profile. A parent's number is below its children's, always.
 */

#include "merge_map.h"

struct stack_order {
	VEC(uint64_t) counts; /* by stack of the output */
};

void stack_order_done(struct stack_order *o);
/* Counts samples of an input's stacks, under the output's numbers. 0 or -ENOMEM. */
int stack_order_count(struct stack_order *o, struct merge_map *map, const uint32_t *stacks, uint32_t n);
/*
 * Renumbers the stacks of b, which takes no more stacks afterwards, but for the first `fixed` (1 at least: the root).
 * New: ret[old number]. NULL: out of memory.
 */
uint32_t *stack_order_make(struct stack_order *o, struct build *b, uint32_t fixed);
