/* SPDX-License-Identifier: MIT */
#include "text.h"

/*
 * The call tree for people, indented, without the calls of less than 0.5% of the total and those below 1,000
 * levels; it says what it left out.
 */

#define CUT_FRACTION 0.005
#define LEVELS 1000
#define INDENT_MAX 60 /* levels; deeper ones are numbered */

struct cut {
	uint64_t least; /* of the magnitude of a call that is shown */
	uint64_t calls; /* left out, with all below them */
	int64_t value;  /* of the uppermost of them */
	bool deep;      /* some of them for their level */
};

/* true: node i and all below it are left out. */
static bool is_cut(const struct call_tree *t, uint32_t i, uint64_t least)
{
	return i > 0 && (magnitude(t->nodes[i].total) < least || t->nodes[i].depth > LEVELS);
}

static struct cut measure_cut(const struct call_tree *t)
{
	struct cut c = { .least = magnitude((int64_t)((double)t->total * CUT_FRACTION)) };
	for (uint32_t i = 0; i < t->n_nodes;) {
		const struct call_node *n = &t->nodes[i];
		if (!is_cut(t, i, c.least)) {
			i++;
			continue;
		}
		c.calls += n->end - i;
		c.deep |= n->depth > LEVELS;
		c.value = add_wrapping(c.value, n->total);
		i = n->end;
	}
	return c;
}

static void put_right(struct buf *out, const struct shown *shown, int64_t value, size_t width)
{
	_buf_ struct buf b = BUF_INIT(256);
	put_value(&b, shown, value);
	for (size_t n = b.len; n < width; n++)
		buf_putc(out, ' ');
	buf_put(out, b.data, b.len);
}

static void put_name(struct buf *out, const struct frame *f, enum granularity g)
{
	size_t at = out->len;
	put_frame(out, f, g);
	for (; at < out->len; at++)
		if (out->data[at] == '\n' || out->data[at] == '\r')
			out->data[at] = ' ';
}

static void put_indent(struct buf *out, uint32_t depth)
{
	for (uint32_t i = 0; i < MIN(depth, (uint32_t)INDENT_MAX); i++)
		buf_puts(out, "  ");
	if (depth > INDENT_MAX)
		buf_printf(out, "[%u] ", depth);
}

static void put_node(struct buf *out, const struct call_tree *t, uint32_t i, const struct shown *shown,
                     enum granularity g)
{
	const struct call_node *n = &t->nodes[i];
	put_right(out, shown, n->total, 10);
	buf_putc(out, ' ');
	put_percentage(out, n->total, t->total);
	buf_putc(out, ' ');
	put_right(out, shown, n->self, 10);
	buf_putc(out, ' ');
	put_percentage(out, n->self, t->total);
	buf_puts(out, "  ");
	put_indent(out, n->depth);
	if (i)
		put_name(out, &t->frames[n->frame], g);
	else
		buf_puts(out, "all");
	buf_putc(out, '\n');
}

static void put_head(struct buf *out, struct query *q, const struct call_tree *t, const struct cut *cut,
                     const struct shown *shown)
{
	buf_printf(out, "Type: %s\nTotal: ", query_info(q)->type);
	put_value(out, shown, t->total);
	buf_puts(out, "\nTime: ");
	put_range(out, q);
	buf_putc(out, '\n');
	if (cut->calls) {
		buf_puts(out, "Left out: ");
		put_grouped(out, cut->calls);
		buf_puts(out, cut->calls == 1 ? " call" : " calls");
		buf_puts(out, cut->deep ? " below 0.5% or level 1,000, together " : " below 0.5%, together ");
		put_value(out, shown, cut->value);
		buf_puts(out, ", ");
		put_share(out, cut->value, t->total);
		buf_puts(out, " of the total\n");
	}
	buf_puts(out, "     total total%       self  self%  call\n");
}

static int tree_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct call_tree *t;
	int e = query_tree(q, cancel, &t, err);
	if (e < 0)
		return e;
	struct cut cut = measure_cut(t);
	struct shown shown = shown_of(q);
	enum granularity g = query_selection(q)->options.granularity;
	shown_fix(&shown, cut.least, magnitude(t->total));
	put_head(out, q, t, &cut, &shown);
	for (uint32_t i = 0; i < t->n_nodes && !buf_err(out);) {
		if (is_cut(t, i, cut.least)) {
			i = t->nodes[i].end;
			continue;
		}
		put_node(out, t, i++, &shown, g);
	}
	return buf_err(out);
}

const struct rendering render_tree_txt = { "tree.txt", RENDER_TYPE, true, tree_render };
