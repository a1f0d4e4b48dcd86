/* SPDX-License-Identifier: MIT */
#include "increase.h"

#include <errno.h>

/*
 * Running totals. A stack's increase is what it has more than the series' previous profile had. The process was
 * restarted where a stack vanished or fell by more than 1/128: then the whole profile is the increase. Falls below that
 * are not restarts: agents scale counts and cycles anew at each profile, and the same total comes out a little
 * less. Such a stack did not increase. (A total that fell by more than 1/128 has a stack that did.)
 */

void stack_list_done(struct stack_list *l)
{
	free(l->stacks);
	free(l->values);
	*l = (struct stack_list){ 0 };
}

static int stack_list_grow(struct stack_list *l)
{
	if (l->cap > UINT32_MAX / 2)
		return -ENOMEM;
	uint32_t cap = MAX(l->cap * 2, 256u);
	uint32_t *stacks = realloc(l->stacks, cap * sizeof *stacks);
	if (!stacks)
		return -ENOMEM;
	l->stacks = stacks;
	int64_t *values = realloc(l->values, cap * sizeof *values);
	if (!values)
		return -ENOMEM;
	l->values = values;
	l->cap = cap;
	return 0;
}

int stack_list_push(struct stack_list *l, uint32_t stack, int64_t value)
{
	if (l->n && l->stacks[l->n - 1] == stack) {
		l->values[l->n - 1] = sat_add(l->values[l->n - 1], value);
		return 0;
	}
	if (l->n == l->cap) {
		int r = stack_list_grow(l);
		if (r < 0)
			return r;
	}
	l->stacks[l->n] = stack;
	l->values[l->n++] = value;
	return 0;
}

wide_t stack_list_sum(const struct stack_list *l)
{
	wide_t sum = 0;
	for (uint32_t i = 0; i < l->n; i++)
		sum += l->values[i];
	return sum;
}

/* now is 0 for a stack that is gone. */
static bool stack_restarted(int64_t before, int64_t now)
{
	return before > 0 && now < before && (now <= 0 || (wide_t)(before - now) * 128 > before);
}

static bool is_restart(const struct stack_list *cur, const struct stack_list *prev)
{
	for (uint32_t i = 0, k = 0; k < prev->n; k++) {
		while (i < cur->n && cur->stacks[i] < prev->stacks[k])
			i++;
		bool there = i < cur->n && cur->stacks[i] == prev->stacks[k];
		if (stack_restarted(prev->values[k], there ? cur->values[i] : 0))
			return true;
	}
	return false;
}

bool increase_make(struct stack_list *cur, const struct stack_list *prev)
{
	if (is_restart(cur, prev))
		return true;
	for (uint32_t i = 0, k = 0; i < cur->n; i++) {
		while (k < prev->n && prev->stacks[k] < cur->stacks[i])
			k++;
		if (k < prev->n && prev->stacks[k] == cur->stacks[i]) {
			wide_t more = (wide_t)cur->values[i] - MAX(prev->values[k], (int64_t)0);
			cur->values[i] = sat_narrow(MAX(more, (wide_t)0));
		}
	}
	return false;
}
