/* SPDX-License-Identifier: MIT */
#include "timeline.h"

void timeline_done(struct timeline *t)
{
	VEC_DONE(&t->open);
}

void timeline_begin(struct timeline *t, int64_t at)
{
	t->open.n = t->shown = 0;
	t->now = at;
}

static void show(struct timeline *t, int64_t weight)
{
	for (size_t i = t->open.n; i; i--)
		make_frame(t->m, t->open.v[i - 1]);
	t->sample(t->ctx, t->now, weight);
	t->shown = t->open.n;
}

bool timeline_move(struct timeline *t, int64_t to)
{
	int64_t weight;
	if (to < t->now || __builtin_sub_overflow(to, t->now, &weight))
		return false;
	if (weight && t->open.n)
		show(t, weight);
	t->now = to;
	return true;
}

void timeline_open(struct timeline *t, uint32_t location)
{
	uint32_t *to = VEC_PUSH(&t->open);
	if (to)
		*to = location;
	else
		make_fail(t->m, -ENOMEM, "no memory for the open frames");
}

void timeline_close(struct timeline *t)
{
	if (t->shown < t->open.n)
		show(t, 0);
	t->shown = MIN(t->shown, --t->open.n);
}
