/* SPDX-License-Identifier: MIT */
#include "stack_order.h"

#include <string.h>

void stack_order_done(struct stack_order *o)
{
	VEC_DONE(&o->counts);
}

static int grow_counts(struct stack_order *o, uint32_t stack)
{
	size_t more = (size_t)stack + 1 - o->counts.n;
	uint64_t *slot = VEC_GROW(&o->counts, more);
	if (!slot)
		return -ENOMEM;
	memset(slot, 0, more * sizeof *slot);
	o->counts.n += more;
	return 0;
}

int stack_order_count(struct stack_order *o, struct merge_map *map, const uint32_t *stacks, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t stack = map->stacks[stacks[i]];
		if (stack == IDSET_NONE)
			stack = merge_stack(map, stacks[i]);
		if (stack == IDSET_NONE || (stack >= o->counts.n && grow_counts(o, stack) < 0))
			return -ENOMEM;
		o->counts.v[stack]++;
	}
	return 0;
}

struct ranked {
	uint32_t stack, file; /* of its location: the build */
	uint64_t count;
};

static int compare_ranked(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	if (x->file != y->file)
		return CMP(x->file, y->file);
	return x->count != y->count ? CMP(y->count, x->count) : CMP(x->stack, y->stack);
}

static size_t rank(const struct stack_order *o, const struct build *b, struct ranked *ret)
{
	size_t n = 0;
	for (uint32_t i = 1; i < o->counts.n; i++)
		if (o->counts.v[i])
			ret[n++] = (struct ranked){ i, b->locations.v[b->stack_location.v[i]].file, o->counts.v[i] };
	qsort(ret, n, sizeof *ret, compare_ranked);
	return n;
}

/* Marks stacks that are not sampled, and what is above them: they come first, so that the others are neighbours. */
static void mark_inner(const struct stack_order *o, const struct build *b, uint8_t *inner)
{
	for (size_t i = b->stack_parent.n; i-- > 1;) {
		inner[i] |= i >= o->counts.n || !o->counts.v[i];
		if (inner[i])
			inner[b->stack_parent.v[i]] = 1;
	}
}

struct numbering {
	const struct build *b;
	uint32_t *number; /* PROFILE_NONE: not yet */
	uint32_t *path;
	uint32_t next;
};

/* Numbers a stack, and those above it first. */
static void place(struct numbering *n, uint32_t stack)
{
	uint32_t depth = 0;
	for (; n->number[stack] == PROFILE_NONE; stack = n->b->stack_parent.v[stack])
		n->path[depth++] = stack;
	while (depth)
		n->number[n->path[--depth]] = n->next++;
}

static void place_all(struct numbering *n, const struct ranked *ranked, size_t n_ranked, const uint8_t *inner)
{
	for (size_t i = 0; i < n_ranked; i++)
		if (inner[ranked[i].stack])
			place(n, ranked[i].stack);
	for (uint32_t i = 1; i < n->b->stack_parent.n; i++)
		if (inner[i])
			place(n, i);
	for (size_t i = 0; i < n_ranked; i++)
		place(n, ranked[i].stack);
}

static int permute(struct build *b, const uint32_t *number)
{
	size_t n = b->stack_parent.n;
	uint32_t *parent = malloc((n + 1) * sizeof *parent), *location = malloc((n + 1) * sizeof *location);
	if (!parent || !location) {
		free(parent);
		free(location);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		parent[number[i]] = number[b->stack_parent.v[i]];
		location[number[i]] = b->stack_location.v[i];
	}
	memcpy(b->stack_parent.v, parent, n * sizeof *parent);
	memcpy(b->stack_location.v, location, n * sizeof *location);
	free(parent);
	free(location);
	idset_done(&b->stack_children);
	keyset_done(&b->stack_whole);
	return 0;
}

uint32_t *stack_order_make(struct stack_order *o, struct build *b, uint32_t fixed)
{
	size_t n = b->stack_parent.n;
	_free_ struct ranked *ranked = malloc((n + 1) * sizeof *ranked);
	_free_ uint8_t *inner = calloc(n + 1, 1);
	_free_ uint32_t *path = malloc((n + 1) * sizeof *path);
	uint32_t *number = malloc((n + 1) * sizeof *number);
	if (!ranked || !inner || !path || !number) {
		free(number);
		return NULL;
	}
	memset(number, 0xff, (n + 1) * sizeof *number);
	mark_inner(o, b, inner);
	struct numbering numbering = { .b = b, .number = number, .path = path, .next = fixed };
	for (uint32_t i = 0; i < fixed; i++)
		number[i] = i;
	place_all(&numbering, ranked, rank(o, b, ranked), inner);
	if (permute(b, number) == 0)
		return number;
	free(number);
	return NULL;
}
