/* SPDX-License-Identifier: MIT */
#include "functions.h"
#include "tsv.h"

/* The lines of one function with what they cost themselves and in all, by file and line; shares are of its total. */

struct line {
	struct str file;
	int64_t line, self, total;
};

struct lines {
	VEC(struct line) v;
};

static void lines_done(struct lines *l)
{
	VEC_DONE(&l->v);
}

static int line_cmp(const void *a, const void *b)
{
	const struct line *l = a, *r = b;
	int c = str_cmp(l->file, r->file);
	return c ? c : CMP(l->line, r->line);
}

/* Several frames of one place are one function of fs. */
static int gather_lines(const struct call_tree *t, const struct functions *fs, struct str name, struct lines *ret)
{
	_free_ uint8_t *seen = calloc(fs->v.n + 1, 1);
	if (!seen)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_frames; i++) {
		const struct frame *f = &t->frames[i];
		uint32_t at = fs->of_frame[i];
		if (seen[at] || !str_eq(f->name, name))
			continue;
		seen[at] = 1;
		struct line *to = VEC_PUSH(&ret->v);
		if (!to)
			return -ENOMEM;
		*to = (struct line){ f->file, f->line, fs->v.v[at].flat, fs->v.v[at].cum };
	}
	if (ret->v.n)
		qsort(ret->v.v, ret->v.n, sizeof *ret->v.v, line_cmp);
	return 0;
}

static void put_row(struct buf *out, const struct line *l, int64_t total, const char *unit)
{
	tsv_field(out, l->file);
	buf_putc(out, '\t');
	buf_i64(out, l->line);
	buf_putc(out, '\t');
	tsv_value(out, l->self, total);
	tsv_value(out, l->total, total);
	tsv_field(out, str_of(unit));
	buf_putc(out, '\n');
}

static int lines_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_cleanup_(lines_done) struct lines lines = { 0 };
	_functions_ struct functions fs = { 0 };
	const struct call_tree *tree;
	int e = query_tree_by(q, BY_LINE, cancel, &tree, err);
	if (e >= 0)
		e = functions_of(tree, BY_LINE, cancel, &fs);
	if (e >= 0)
		e = gather_lines(tree, &fs, function_title(query_selection(q)), &lines);
	if (e < 0)
		return e;
	buf_puts(out, "file\tline\tself\tself%\ttotal\ttotal%\tunit\n");
	for (size_t i = 0; i < lines.v.n; i++)
		put_row(out, &lines.v.v[i], tree->total, query_info(q)->unit);
	return buf_err(out);
}

const struct rendering render_lines_tsv = { "lines.tsv", RENDER_FUNCTION, true, lines_render };
