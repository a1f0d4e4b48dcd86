/* SPDX-License-Identifier: MIT */
#include "flamegraph.h"
#include "functions.h"

/*
 * The flame graph as an application of one file: graph, table, sandwich. Its script draws all of it from the table of
 * nodes (flame_table.c); without script the document has the functions that cost most, as a table.
 */

#define SHOWN 50

struct document {
	struct query *q;
	const struct flame *flame;
	struct buf *out;
	struct shown shown;
};

static void put_head(const struct document *d)
{
	buf_puts(d->out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
	                 "<meta http-equiv=\"Content-Security-Policy\" content=\"");
	put_policy(d->out, &web_flamegraph_html_js, &web_flamegraph_html_css);
	buf_puts(d->out, "\"/>\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"/>\n"
	                 "<meta name=\"color-scheme\" content=\"light dark\"/>\n<title>");
	put_picture_title(d->out, d->q);
	buf_puts(d->out, d->flame->diff ? " · differential flame graph" : " · flame graph");
	buf_puts(d->out, "</title>\n<style>");
	buf_put(d->out, web_flamegraph_html_css.text, web_flamegraph_html_css.len);
	buf_puts(d->out, "</style>\n</head>\n<body>\n<header>\n<h1>");
	put_picture_title(d->out, d->q);
	buf_puts(d->out, "</h1>\n<p class=\"summary\">");
	put_flame_summary(d->out, d->flame, d->q);
	buf_puts(d->out, "</p>\n");
}

static void put_notes(const struct document *d)
{
	const struct flame *f = d->flame;
	buf_puts(d->out, "<p class=\"notes\">");
	if (f->too_many) {
		buf_puts(d->out, "the widest ");
		put_grouped(d->out, f->n_table);
		buf_puts(d->out, " frames; narrower ones are gathered");
	}
	if (f->negatives) {
		buf_puts(d->out, f->too_many ? "; " : "");
		put_grouped(d->out, f->negatives);
		buf_puts(d->out, f->negatives == 1 ? " negative value not drawn" : " negative values not drawn");
	}
	buf_puts(d->out, "</p>\n</header>\n");
}

/* ---- without script ---- */

static int by_total(const void *a, const void *b)
{
	const struct function *x = a, *y = b;
	return x->cum != y->cum ? CMP(y->cum, x->cum) : str_cmp(x->name, y->name);
}

/* The first SHOWN of them in order; returns how many there are. */
static size_t find_top(const struct functions *f, const struct function *top[SHOWN])
{
	size_t n = 0;
	for (size_t i = 0; i < f->v.n; i++) {
		const struct function *one = &f->v.v[i];
		if (n == SHOWN && by_total(one, top[n - 1]) >= 0)
			continue;
		size_t at = n < SHOWN ? n++ : n - 1;
		for (; at && by_total(one, top[at - 1]) < 0; at--)
			top[at] = top[at - 1];
		top[at] = one;
	}
	return n;
}

static void put_cell(const struct document *d, int64_t value)
{
	buf_puts(d->out, "<td>");
	put_value(d->out, &d->shown, value);
	buf_puts(d->out, "</td><td>");
	put_share(d->out, value, d->flame->tree->total);
	buf_puts(d->out, "</td>");
}

static int put_top(const struct document *d, const struct cancel *cancel)
{
	_functions_ struct functions f = { 0 };
	int e = functions_of(d->flame->tree, query_selection(d->q)->options.granularity, cancel, &f);
	if (e < 0)
		return e;
	const struct function *top[SHOWN];
	size_t n = find_top(&f, top);
	buf_puts(d->out, "<table class=\"static\"><caption>Functions that cost most, with all they call. "
	                 "The graph needs scripts.</caption>\n"
	                 "<thead><tr><th>Function</th><th>Self</th><th>Self %</th><th>Total</th><th>Total %</th></tr>"
	                 "</thead>\n<tbody>\n");
	for (size_t i = 0; i < n; i++) {
		buf_puts(d->out, "<tr><th scope=\"row\">");
		xml_escape(d->out, top[i]->name);
		buf_puts(d->out, "</th>");
		put_cell(d, top[i]->flat);
		put_cell(d, top[i]->cum);
		buf_puts(d->out, "</tr>\n");
	}
	buf_puts(d->out, "</tbody></table>\n");
	return 0;
}

/* ---- the document ---- */

static int put_document(const struct document *d, const struct cancel *cancel)
{
	put_head(d);
	put_notes(d);
	buf_puts(d->out, "<main>\n");
	if (!flame_total(d->flame)) {
		buf_printf(d->out, "<p class=\"empty\">%s in this selection</p>\n</main>\n</body>\n</html>\n",
		           query_info(d->q)->profiles ? "nothing above zero" : "no profiles");
		return buf_err(d->out);
	}
	int e = put_top(d, cancel);
	if (e < 0)
		return e;
	buf_puts(d->out, "</main>\n");
	e = put_flame_table(d->out, d->flame, d->q, true);
	if (e < 0)
		return e;
	buf_puts(d->out, "<script>");
	buf_put(d->out, web_flamegraph_html_js.text, web_flamegraph_html_js.len);
	buf_puts(d->out, "</script>\n</body>\n</html>\n");
	return buf_err(d->out);
}

static int flamegraph_html_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_flame_ struct flame flame = { 0 };
	int e = flame_of_query(q, cancel, &flame, err);
	if (e < 0)
		return e;
	struct document d = { .q = q, .flame = &flame, .out = out, .shown = shown_of(q) };
	return put_document(&d, cancel);
}

const struct rendering render_flamegraph_html = { "flamegraph.html", RENDER_TYPE | RENDER_VS, true,
                                                  flamegraph_html_render };
