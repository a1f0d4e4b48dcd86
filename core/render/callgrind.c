/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "graph.h"

/*
 * For KCachegrind and callgrind_annotate: functions with what their lines cost, and calls with what these cost in all.
 * Costs below zero, which readers of the format do not take, are left out; a comment counts them.
 *
 * A "function" here is a line of one (a tree by lines), so that calls know where they are.
 */

/* A line and its names, which are numbered in the order of lines. */
struct place {
	const struct frame *frame;
	uint32_t file, function, line; /* line: its index in `lines` */
};

struct call {
	uint32_t from, to; /* places */
	int64_t weight;
};

struct callgrind {
	struct buf *out;
	const struct call_tree *tree;
	struct functions lines;
	struct edges edges;
	struct place *places;   /* by file, function and line */
	uint32_t *rank;         /* of each line its place */
	struct call *calls;     /* in the order of their callers and of what they call */
	uint8_t *said_file, *said_function; /* names that have been written in full */
	uint64_t negative;
};

static void callgrind_done(struct callgrind *c)
{
	functions_done(&c->lines);
	edges_done(&c->edges);
	free(c->places);
	free(c->rank);
	free(c->calls);
	free(c->said_file);
	free(c->said_function);
}

/* ---- order ---- */

static int place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;
	const struct frame *l = x->frame, *r = y->frame;
	int c = str_cmp(l->file, r->file);
	if (!c)
		c = str_cmp(l->name, r->name);
	if (!c)
		c = CMP(l->line, r->line);
	return c ? c : CMP(x->line, y->line);
}

static void number_names(struct callgrind *c)
{
	for (size_t i = 0; i < c->lines.v.n; i++) {
		struct place *at = &c->places[i];
		c->rank[at->line] = (uint32_t)i;
		if (!i)
			continue;
		const struct place *last = at - 1;
		bool new_file = !str_eq(at->frame->file, last->frame->file);
		at->file = last->file + new_file;
		at->function = last->function + (new_file || !str_eq(at->frame->name, last->frame->name));
	}
}

static int sort_lines(struct callgrind *c)
{
	size_t n = c->lines.v.n;
	c->places = calloc(n + 1, sizeof *c->places);
	c->rank = calloc(n + 1, sizeof *c->rank);
	c->said_file = calloc(n + 1, 1);
	c->said_function = calloc(n + 1, 1);
	if (!c->places || !c->rank || !c->said_file || !c->said_function)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->tree->n_frames; i++) {
		uint32_t line = c->lines.of_frame[i];
		c->places[line] = (struct place){ .frame = &c->tree->frames[i], .line = line };
	}
	qsort(c->places, n, sizeof *c->places, place_cmp);
	number_names(c);
	return 0;
}

static uint32_t call_key(const struct call *c, bool by_callee)
{
	return by_callee ? c->to : c->from;
}

/* A stable pass of counting over one key, which is below n_keys; at has room for n_keys + 1. */
static void count_pass(const struct call *from, struct call *to, size_t n, bool by_callee, size_t *at, size_t n_keys)
{
	memset(at, 0, (n_keys + 1) * sizeof *at);
	for (size_t i = 0; i < n; i++)
		at[call_key(&from[i], by_callee) + 1]++;
	for (size_t i = 1; i <= n_keys; i++)
		at[i] += at[i - 1];
	for (size_t i = 0; i < n; i++)
		to[at[call_key(&from[i], by_callee)]++] = from[i];
}

static int sort_calls(struct callgrind *c)
{
	size_t n = c->edges.v.n, n_lines = c->lines.v.n;
	_free_ struct call *other = calloc(n + 1, sizeof *other);
	_free_ size_t *at = calloc(n_lines + 2, sizeof *at);
	c->calls = calloc(n + 1, sizeof *c->calls);
	if (!c->calls || !other || !at)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct edge *e = &c->edges.v.v[i];
		c->calls[i] = (struct call){ c->rank[e->from], c->rank[e->to], e->weight };
	}
	count_pass(c->calls, other, n, true, at, n_lines);
	count_pass(other, c->calls, n, false, at, n_lines);
	return 0;
}

/* ---- writing ---- */

static void put_text(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, (uint8_t)s.s[i] < 0x20 ? ' ' : s.s[i]);
}

/* "fn=(12) text" at first, then "fn=(12)". */
static void put_name(struct callgrind *c, const char *key, uint8_t *said, uint32_t number, struct str name)
{
	buf_puts(c->out, key);
	buf_i64(c->out, (int64_t)number + 1);
	buf_putc(c->out, ')');
	if (!said[number]) {
		buf_putc(c->out, ' ');
		put_text(c->out, name.len ? name : STR("???"));
		said[number] = 1;
	}
	buf_putc(c->out, '\n');
}

static void put_cost(struct callgrind *c, int64_t line, int64_t cost)
{
	buf_i64(c->out, line);
	buf_putc(c->out, ' ');
	buf_i64(c->out, cost);
	buf_putc(c->out, '\n');
}

static void put_call(struct callgrind *c, const struct call *call)
{
	const struct place *from = &c->places[call->from], *to = &c->places[call->to];
	if (call->weight < 0) {
		c->negative++;
		return;
	}
	put_name(c, "cfi=(", c->said_file, to->file, to->frame->file);
	put_name(c, "cfn=(", c->said_function, to->function, to->frame->name);
	/* How often is not known. */
	buf_puts(c->out, "calls=1 ");
	buf_i64(c->out, to->frame->line);
	buf_putc(c->out, '\n');
	put_cost(c, from->frame->line, call->weight);
}

static int put_lines(struct callgrind *c, const struct cancel *cancel)
{
	const struct place *last = NULL;
	size_t call = 0;
	int e = 0;
	for (size_t i = 0; i < c->lines.v.n && !e; i++) {
		const struct place *at = &c->places[i];
		if (!last || last->file != at->file) {
			buf_putc(c->out, '\n');
			put_name(c, "fl=(", c->said_file, at->file, at->frame->file);
		}
		if (!last || last->function != at->function)
			put_name(c, "fn=(", c->said_function, at->function, at->frame->name);
		last = at;
		int64_t cost = c->lines.v.v[at->line].flat;
		c->negative += cost < 0;
		put_cost(c, at->frame->line, MAX(cost, (int64_t)0));
		for (; call < c->edges.v.n && c->calls[call].from == i; call++)
			put_call(c, &c->calls[call]);
		e = cancel_check(cancel);
	}
	return e;
}

static void put_head(struct callgrind *c, struct query *q)
{
	const struct query_info *info = query_info(q);
	buf_puts(c->out, "# callgrind format\nversion: 1\ncreator: profilefs\ncmd: ");
	put_text(c->out, service_title(query_selection(q)));
	buf_puts(c->out, "\npositions: line\nevents: ");
	for (const char *s = info->type; *s; s++)
		buf_putc(c->out, strchr(" \t:\n", *s) ? '_' : *s);
	buf_printf(c->out, "(%s)\n", info->unit);
}

static int callgrind_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_cleanup_(callgrind_done) struct callgrind c = { .out = out };
	int e = query_tree_by(q, BY_LINE, cancel, &c.tree, err);
	if (e < 0)
		return e;
	e = functions_of(c.tree, BY_LINE, cancel, &c.lines);
	for (size_t i = 0; i < c.lines.v.n; i++)
		c.lines.v.v[i].kept = true;
	if (!e)
		e = edges_of(&c.lines, c.tree, cancel, &c.edges);
	if (!e)
		e = sort_lines(&c);
	if (!e)
		e = sort_calls(&c);
	if (e < 0)
		return e;
	put_head(&c, q);
	e = put_lines(&c, cancel);
	if (c.negative)
		buf_printf(out, "\n# %llu costs below zero are left out\n", (unsigned long long)c.negative);
	return e ? e : buf_err(out);
}

const struct rendering render_callgrind = { "callgrind.out", RENDER_TYPE, true, callgrind_render };
