/* SPDX-License-Identifier: MIT */
#include "functions.h"
#include "tsv.h"

/* Every function, for programs: exact integers in the canonical unit, the greatest flat (or cum) first. */

static int by_flat(const void *a, const void *b)
{
	const struct function *l = a, *r = b;
	if (l->flat != r->flat)
		return CMP(r->flat, l->flat);
	return l->cum != r->cum ? CMP(r->cum, l->cum) : str_cmp(l->name, r->name);
}

static int by_cum(const void *a, const void *b)
{
	const struct function *l = a, *r = b;
	return l->cum != r->cum ? CMP(r->cum, l->cum) : by_flat(a, b);
}

static void put_row(struct buf *out, const struct function *f, int64_t total, const char *unit)
{
	tsv_field(out, f->name);
	buf_putc(out, '\t');
	tsv_value(out, f->flat, total);
	tsv_value(out, f->cum, total);
	tsv_field(out, str_of(unit));
	buf_putc(out, '\t');
	tsv_field(out, f->file);
	buf_putc(out, '\n');
}

static int top_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct call_tree *tree;
	int e = query_tree(q, cancel, &tree, err);
	if (e < 0)
		return e;
	_functions_ struct functions fs = { 0 };
	e = functions_of(tree, query_selection(q)->options.granularity, cancel, &fs);
	if (e < 0)
		return e;
	if (fs.v.n)
		qsort(fs.v.v, fs.v.n, sizeof *fs.v.v,
		      query_selection(q)->options.sort_cum ? by_cum : by_flat);
	int64_t limit = query_selection(q)->options.limit;
	size_t n = limit > 0 && (uint64_t)limit < fs.v.n ? (size_t)limit : fs.v.n;
	buf_puts(out, "name\tflat\tflat%\tcum\tcum%\tunit\tfile\n");
	for (size_t i = 0; i < n; i++)
		put_row(out, &fs.v.v[i], tree->total, query_info(q)->unit);
	return buf_err(out);
}

const struct rendering render_top_tsv = { "top.tsv", RENDER_TYPE, true, top_render };
