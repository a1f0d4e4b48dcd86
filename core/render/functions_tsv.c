/* SPDX-License-Identifier: MIT */
#include "functions.h"
#include "sources.h"
#include "tsv.h"

/* Every function with what it costs itself and in all, and where it is; the greatest total first. */

static int by_total(const void *a, const void *b)
{
	const struct function *l = a, *r = b;
	if (l->cum != r->cum)
		return CMP(r->cum, l->cum);
	return l->flat != r->flat ? CMP(r->flat, l->flat) : str_cmp(l->name, r->name);
}

static void put_row(struct buf *out, const struct function *f, const struct sources *sources, int64_t total,
                    const char *unit)
{
	const struct profile_function *at = sources_find(sources, f->name);
	tsv_field(out, f->name);
	buf_putc(out, '\t');
	tsv_value(out, f->flat, total);
	tsv_value(out, f->cum, total);
	tsv_field(out, str_of(unit));
	buf_putc(out, '\t');
	if (at)
		tsv_field(out, profile_str(sources->profile, at->filename));
	buf_putc(out, '\t');
	if (at && at->start_line)
		buf_i64(out, at->start_line);
	buf_putc(out, '\n');
}

static int functions_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_functions_ struct functions fs = { 0 };
	_sources_ struct sources sources = { 0 };
	const struct call_tree *tree;
	int e = query_tree_by(q, BY_FUNCTION, cancel, &tree, err);
	if (e >= 0)
		e = sources_init(&sources, q, cancel, err);
	if (e >= 0)
		e = functions_of(tree, BY_FUNCTION, cancel, &fs);
	if (e < 0)
		return e;
	if (fs.v.n)
		qsort(fs.v.v, fs.v.n, sizeof *fs.v.v, by_total);
	int64_t limit = query_selection(q)->options.limit;
	size_t n = limit > 0 && (uint64_t)limit < fs.v.n ? (size_t)limit : fs.v.n;
	buf_puts(out, "name\tself\tself%\ttotal\ttotal%\tunit\tfile\tline\n");
	for (size_t i = 0; i < n; i++)
		put_row(out, &fs.v.v[i], &sources, tree->total, query_info(q)->unit);
	return buf_err(out);
}

const struct rendering render_functions_tsv = { "functions.tsv", RENDER_TYPE, true, functions_render };
