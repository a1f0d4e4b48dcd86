/* SPDX-License-Identifier: MIT */
#pragma once

/* What the frames from the root to the current node of a preorder walk are written as; one after the other. */

#include "../base/buf.h"
#include "../base/vec.h"

#define STACK_TEXT_MAX ((size_t)256 << 20)

struct stack_text {
	struct buf text;
	VEC(size_t) starts; /* of each frame */
};

#define STACK_TEXT_INIT ((struct stack_text){ .text = BUF_INIT(STACK_TEXT_MAX) })

static inline void stack_text_done(struct stack_text *s)
{
	buf_done(&s->text);
	VEC_DONE(&s->starts);
}
#define _stack_text_ _cleanup_(stack_text_done)

/* Goes to a frame at this depth (from 1), whose text the caller appends. */
static inline int stack_text_enter(struct stack_text *s, uint32_t depth)
{
	if (depth <= s->starts.n) {
		s->text.len = s->starts.v[depth - 1];
		s->starts.n = depth - 1;
	}
	size_t *start = VEC_PUSH(&s->starts);
	if (!start)
		return -ENOMEM;
	*start = s->text.len;
	return buf_err(&s->text);
}
