/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "flamegraph.h"

/*
 * What the scripts draw from, so that zooming shows what the static picture has no room for.
 *
 * The table is text in two kinds of elements, never code; of each kind there are several where it is long, since XML
 * parsers bound a text. "names": one per line, the first character its colour, `\` and line ends escaped by `\`.
 * "tree": the nodes in preorder, three numbers each (a comparison's four): how many levels up from the previous node's
 * child level, the name, the own width, in a comparison also the baseline's; as base 64 digits, five bits each, least
 * first, the sixth says that another follows.
 */

#define NAMES_MAX ((size_t)1 << 30)
#define TABLE_NAME_MAX 65536 /* bytes of a name in the table */
#define CHUNK 4000000        /* bytes of one element of the table; parsers take 10 MB */
#define NAME_ALL 0           /* fixed entries of the names */
#define NAME_REST 1
#define N_FIXED 2

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

struct table {
	const struct flame *f;
	struct buf *out;
	enum granularity granularity;
	bool html;
	struct buf tree, name;
	uint32_t *name_at;   /* of a frame: its index + 1 in the names; 0: none yet */
	uint32_t n_names;
	size_t chunk;        /* where the current element of names begins */
	uint32_t last;       /* node written last */
	uint32_t last_depth;
};

static void open_element(struct table *t, const char *class)
{
	buf_puts(t->out, t->html ? "<div hidden=\"\" class=\"" : "<metadata class=\"");
	buf_puts(t->out, class);
	buf_putc(t->out, '"');
}

static void close_element(struct table *t)
{
	buf_puts(t->out, t->html ? "</div>\n" : "</metadata>\n");
}

/* ---- nodes ---- */

static void put_digits(struct buf *out, uint64_t v)
{
	do {
		unsigned digit = v & 31;
		v >>= 5;
		buf_putc(out, digits[digit | (v ? 32 : 0)]);
	} while (v);
}

static void put_node(struct table *t, uint32_t depth, uint32_t name, uint64_t own, uint64_t before)
{
	put_digits(&t->tree, t->last_depth + 1 - depth);
	put_digits(&t->tree, name);
	put_digits(&t->tree, own);
	if (t->f->diff)
		put_digits(&t->tree, before);
	t->last_depth = depth;
}

/* Children without an entry follow those that have one, as a node of their own. */
static void leave_nodes(struct table *t, uint32_t until)
{
	const struct call_node *nodes = t->f->tree->nodes;
	for (uint32_t i = t->last; i != until; i = nodes[i].parent) {
		if (t->f->rest[i] || t->f->rest_before[i])
			put_node(t, nodes[i].depth + 1, NAME_REST, t->f->rest[i], t->f->rest_before[i]);
		if (!i)
			return;
	}
}

/* ---- names ---- */

static void put_name(struct buf *out, unsigned colour, struct str s)
{
	buf_putc(out, digits[colour]);
	s.len = utf8_cut(s, TABLE_NAME_MAX);
	size_t run = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.s[i] != '\\' && s.s[i] != '\n' && s.s[i] != '\r')
			continue;
		xml_escape(out, (struct str){ s.s + run, i - run });
		buf_puts(out, s.s[i] == '\\' ? "\\\\" : s.s[i] == '\n' ? "\\n" : "\\r");
		run = i + 1;
	}
	xml_escape(out, (struct str){ s.s + run, s.len - run });
	buf_putc(out, '\n');
}

static void next_chunk(struct table *t)
{
	if (t->out->len - t->chunk < CHUNK)
		return;
	close_element(t);
	open_element(t, "names");
	buf_putc(t->out, '>');
	t->chunk = t->out->len;
}

static uint32_t index_name(struct table *t, uint32_t node)
{
	const struct frame *frame = &t->f->tree->frames[t->f->tree->nodes[node].frame];
	uint32_t *at = &t->name_at[t->f->tree->nodes[node].frame];
	if (!*at) {
		*at = ++t->n_names;
		next_chunk(t);
		buf_reset(&t->name);
		put_frame(&t->name, frame, t->granularity);
		put_name(t->out, flame_colour(frame), (struct str){ (const char *)t->name.data, t->name.len });
	}
	return *at - 1;
}

/* Names go to the document at once, the tree, which follows them, to its own buffer. */
static void put_nodes(struct table *t)
{
	const struct flame *f = t->f;
	const struct call_node *nodes = f->tree->nodes;
	put_digits(&t->tree, 0);
	put_digits(&t->tree, NAME_ALL);
	put_digits(&t->tree, flame_own(f, 0));
	if (f->diff)
		put_digits(&t->tree, flame_own_before(f, 0));
	for (uint32_t i = 1; i < f->tree->n_nodes;) {
		if (!f->in_table[i]) {
			i = nodes[i].end;
			continue;
		}
		leave_nodes(t, nodes[i].parent);
		put_node(t, nodes[i].depth, index_name(t, i), flame_own(f, i), flame_own_before(f, i));
		t->last = i++;
	}
	leave_nodes(t, UINT32_MAX);
}

static void put_tree(struct table *t)
{
	for (size_t at = 0; at < t->tree.len; at += CHUNK) {
		open_element(t, "tree");
		buf_putc(t->out, '>');
		buf_put(t->out, t->tree.data + at, MIN(t->tree.len - at, (size_t)CHUNK));
		close_element(t);
	}
}

static int put_table(struct table *t)
{
	t->name_at = calloc((size_t)t->f->tree->n_frames + 1, sizeof *t->name_at);
	if (!t->name_at)
		return -ENOMEM;
	open_element(t, "names");
	buf_putc(t->out, '>');
	t->chunk = t->out->len;
	put_name(t->out, FLAME_COLOURS + 1, STR("all"));
	put_name(t->out, FLAME_COLOURS + 2, STR("(too narrow)"));
	put_nodes(t);
	close_element(t);
	put_tree(t);
	return buf_err(&t->tree);
}

/* ---- settings ---- */

static void put_settings(struct table *t, struct query *q)
{
	static const char *const dims[] = { "other", "time", "bytes", "count" };
	struct shown shown = shown_of(q);
	open_element(t, "settings");
	buf_printf(t->out, " data-dim=\"%s\" data-shift=\"%u\" data-compares=\"%d\" data-factor=\"",
	           dims[shown.unit.dim], t->f->shift, t->f->diff != NULL);
	put_decimal(t->out, shown.factor, 0);
	buf_puts(t->out, "\" data-suffix=\"");
	xml_escape(t->out, shown.suffix ? str_of(shown.suffix) : STR(""));
	if (t->html) {
		buf_puts(t->out, "\" data-light=\"");
		flame_colours(t->out, t->f->diff, false);
		buf_puts(t->out, "\" data-dark=\"");
		flame_colours(t->out, t->f->diff, true);
	}
	buf_puts(t->out, "\">");
	close_element(t);
}

int put_flame_table(struct buf *out, const struct flame *f, struct query *q, bool html)
{
	struct table t = {
		.f = f, .out = out, .html = html, .granularity = query_selection(q)->options.granularity,
		.tree = BUF_INIT(NAMES_MAX), .name = BUF_INIT(NAMES_MAX), .n_names = N_FIXED,
	};
	put_settings(&t, q);
	int e = put_table(&t);
	free(t.name_at);
	buf_done(&t.tree);
	buf_done(&t.name);
	return e;
}
