/* SPDX-License-Identifier: MIT */
#include "stack_text.h"
#include "text.h"

/*
 * Collapsed stacks as flamegraph.pl and inferno take them: `root;caller;leaf VALUE`, one line per stack with
 * a value of its own, in the order of the tree (by names from the root). What would end a frame or a line
 * inside a name is replaced: `;` by `:`, line ends by a blank. Values are exact, in the canonical unit;
 * negative ones stay; stacks of zero are left out. A sample without any frame is `[no stack]`.
 */

#define POLL_EVERY 1024

static void put_name(struct buf *out, const struct frame *f, enum granularity g)
{
	size_t at = out->len;
	put_frame(out, f, g);
	for (; at < out->len; at++) {
		uint8_t *c = &out->data[at];
		*c = *c == ';' ? ':' : *c == '\n' || *c == '\r' ? ' ' : *c;
	}
}

static int enter(struct stack_text *p, const struct frame *f, enum granularity g, uint32_t depth)
{
	int e = stack_text_enter(p, depth);
	if (e < 0)
		return e;
	if (depth > 1)
		buf_putc(&p->text, ';');
	put_name(&p->text, f, g);
	return buf_err(&p->text);
}

static void put_line(struct buf *out, const void *stack, size_t n, int64_t value)
{
	buf_put(out, stack, n);
	buf_putc(out, ' ');
	buf_i64(out, value);
	buf_putc(out, '\n');
}

static int folded_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct call_tree *t;
	int e = query_tree(q, cancel, &t, err);
	if (e < 0)
		return e;
	_stack_text_ struct stack_text path = STACK_TEXT_INIT;
	enum granularity g = query_selection(q)->options.granularity;
	if (t->n_nodes && t->nodes[0].self)
		put_line(out, "[no stack]", 10, t->nodes[0].self);
	for (uint32_t i = 1; i < t->n_nodes && !buf_err(out); i++) {
		const struct call_node *n = &t->nodes[i];
		e = enter(&path, &t->frames[n->frame], g, n->depth);
		if (!e && i % POLL_EVERY == 0)
			e = cancel_check(cancel);
		if (e < 0)
			return e;
		if (n->self)
			put_line(out, path.text.data, path.text.len, n->self);
	}
	return buf_err(out);
}

const struct rendering render_folded = { "folded.txt", RENDER_TYPE, true, folded_render };
