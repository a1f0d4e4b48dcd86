/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/hash.h"
#include "graph.h"

/*
 * For KCachegrind and callgrind_annotate: functions with what their lines cost, and calls with what these cost in all.
 * Costs below zero, which readers of the format do not take, are left out; a comment counts them.
 *
 * A "function" here is a line of one (a tree by lines), so that calls know where they are.
 */

/* A name of the format: "(12) text" at first, then "(12)". */
struct name_table {
	struct idset set;
	VEC(struct str) v;
};

struct callgrind {
	struct buf *out;
	const struct call_tree *tree;
	struct functions lines;
	struct edges edges;
	const struct frame **frame_of; /* of each line: one of its frames */
	uint32_t *order, *rank;        /* lines by file, function and line; and back */
	struct edge **calls;           /* in the order of their callers */
	struct name_table files, functions;
	uint64_t negative;
};

static void callgrind_done(struct callgrind *c)
{
	functions_done(&c->lines);
	edges_done(&c->edges);
	free(c->frame_of);
	free(c->order);
	free(c->rank);
	free(c->calls);
	idset_done(&c->files.set);
	VEC_DONE(&c->files.v);
	idset_done(&c->functions.set);
	VEC_DONE(&c->functions.v);
}

/* ---- names ---- */

static void put_text(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, (uint8_t)s.s[i] < 0x20 ? ' ' : s.s[i]);
}

static int put_name(struct buf *out, const char *key, struct name_table *names, struct str name)
{
	uint64_t hash = hash_bytes(name.s, name.len);
	buf_puts(out, key);
	for (struct idset_probe p = idset_probe(&names->set, hash); idset_next(&names->set, &p);) {
		if (str_eq(names->v.v[p.id], name)) {
			buf_puts(out, "=(");
			buf_i64(out, (int64_t)p.id + 1);
			buf_puts(out, ")\n");
			return 0;
		}
	}
	struct str *to = VEC_PUSH(&names->v);
	if (!to)
		return -ENOMEM;
	*to = name;
	buf_printf(out, "=(%zu) ", names->v.n);
	put_text(out, name.len ? name : STR("???"));
	buf_putc(out, '\n');
	return idset_add(&names->set, hash, (uint32_t)names->v.n - 1);
}

/* ---- order ---- */

static int frame_cmp(const struct frame *l, const struct frame *r)
{
	int c = str_cmp(l->file, r->file);
	if (!c)
		c = str_cmp(l->name, r->name);
	return c ? c : CMP(l->line, r->line);
}

static int line_cmp(const void *a, const void *b, void *callgrind)
{
	const struct callgrind *c = callgrind;
	uint32_t l = *(const uint32_t *)a, r = *(const uint32_t *)b;
	int order = frame_cmp(c->frame_of[l], c->frame_of[r]);
	return order ? order : CMP(l, r);
}

static int call_cmp(const void *a, const void *b, void *ranks)
{
	const struct edge *l = *(struct edge *const *)a, *r = *(struct edge *const *)b;
	const uint32_t *rank = ranks;
	return l->from != r->from ? CMP(rank[l->from], rank[r->from]) : CMP(rank[l->to], rank[r->to]);
}

static int sort_all(struct callgrind *c)
{
	size_t n = c->lines.v.n, n_calls = c->edges.v.n;
	c->frame_of = calloc(n + 1, sizeof *c->frame_of);
	c->order = calloc(n + 1, sizeof *c->order);
	c->rank = calloc(n + 1, sizeof *c->rank);
	c->calls = calloc(n_calls + 1, sizeof *c->calls);
	if (!c->frame_of || !c->order || !c->rank || !c->calls)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->tree->n_frames; i++)
		c->frame_of[c->lines.of_frame[i]] = &c->tree->frames[i];
	for (uint32_t i = 0; i < n; i++)
		c->order[i] = i;
	for (size_t i = 0; i < n_calls; i++)
		c->calls[i] = &c->edges.v.v[i];
	qsort_r(c->order, n, sizeof *c->order, line_cmp, c);
	for (uint32_t i = 0; i < n; i++)
		c->rank[c->order[i]] = i;
	qsort_r(c->calls, n_calls, sizeof *c->calls, call_cmp, c->rank);
	return 0;
}

/* ---- writing ---- */

static void put_cost(struct callgrind *c, int64_t line, int64_t cost)
{
	buf_i64(c->out, line);
	buf_putc(c->out, ' ');
	buf_i64(c->out, cost);
	buf_putc(c->out, '\n');
}

static int put_call(struct callgrind *c, const struct edge *e)
{
	const struct frame *from = c->frame_of[e->from], *to = c->frame_of[e->to];
	if (e->weight < 0) {
		c->negative++;
		return 0;
	}
	int r = put_name(c->out, "cfi", &c->files, to->file);
	if (!r)
		r = put_name(c->out, "cfn", &c->functions, to->name);
	/* How often is not known. */
	buf_puts(c->out, "calls=1 ");
	buf_i64(c->out, to->line);
	buf_putc(c->out, '\n');
	put_cost(c, from->line, e->weight);
	return r;
}

static int put_lines(struct callgrind *c, const struct cancel *cancel)
{
	const struct frame *last = NULL;
	size_t call = 0;
	int e = 0;
	for (size_t i = 0; i < c->lines.v.n && !e; i++) {
		uint32_t line = c->order[i];
		const struct frame *f = c->frame_of[line];
		if (!last || !str_eq(last->file, f->file)) {
			buf_putc(c->out, '\n');
			e = put_name(c->out, "fl", &c->files, f->file);
			last = NULL;
		}
		if (!e && (!last || !str_eq(last->name, f->name)))
			e = put_name(c->out, "fn", &c->functions, f->name);
		last = f;
		int64_t cost = c->lines.v.v[line].flat;
		c->negative += cost < 0;
		put_cost(c, f->line, MAX(cost, (int64_t)0));
		for (; !e && call < c->edges.v.n && c->calls[call]->from == line; call++)
			e = put_call(c, c->calls[call]);
		e = e ? e : cancel_check(cancel);
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
		e = sort_all(&c);
	if (e < 0)
		return e;
	put_head(&c, q);
	e = put_lines(&c, cancel);
	if (c.negative)
		buf_printf(out, "\n# %llu costs below zero are left out\n", (unsigned long long)c.negative);
	return e ? e : buf_err(out);
}

const struct rendering render_callgrind = { "callgrind.out", RENDER_TYPE, true, callgrind_render };
