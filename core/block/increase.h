/* SPDX-License-Identifier: MIT */
#pragma once

/* Lists of stacks with values, and the increase of running totals: what compaction sums and queries compute alike. */

#include "../base/macros.h"

typedef __int128 wide_t;

static inline int64_t sat_narrow(wide_t v)
{
	return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

static inline int64_t sat_add(int64_t a, int64_t b)
{
	int64_t sum;
	return __builtin_add_overflow(a, b, &sum) ? (a < 0 ? INT64_MIN : INT64_MAX) : sum;
}

/* Stacks, each once and ascending, and their values. */
struct stack_list {
	uint32_t *stacks;
	int64_t *values;
	uint32_t n, cap;
};

void stack_list_done(struct stack_list *l);
/* Adds to the last stack, or behind it. 0 or -ENOMEM. */
int stack_list_push(struct stack_list *l, uint32_t stack, int64_t value);
wide_t stack_list_sum(const struct stack_list *l);

/*
 * Turns cur into its increase since prev (both in one numbering of stacks). Returns whether it is a restart: then cur
 * stays whole.
 */
bool increase_make(struct stack_list *cur, const struct stack_list *prev);
