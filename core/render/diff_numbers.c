/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../wire/jsonw.h"
#include "diff_rows.h"
#include "stack_text.h"
#include "tsv.h"

/*
 * What changed against the baseline, for people and for programs. Positive is growth. diff.txt shows the first 100
 * functions that changed (or @limit); diff.tsv and diff.json all, with their rank. diff.folded has each stack with its
 * value before and after, as difffolded prints them.
 */

#define SHOWN_MAX 100
#define POLL_EVERY 1024

static bool is_changed(const struct diff_row *r)
{
	return strcmp(diff_state(r), "same") != 0;
}

/* ---- diff.txt ---- */

static void put_signed(struct buf *out, const struct shown *shown, int64_t v)
{
	_buf_ struct buf b = BUF_INIT(256);
	if (v > 0)
		buf_putc(&b, '+');
	put_value(&b, shown, v);
	for (size_t n = b.len; n < 11; n++)
		buf_putc(out, ' ');
	buf_put(out, b.data, b.len);
}

static void put_change(struct buf *out, const struct shown *shown, int64_t before, int64_t after)
{
	put_value(out, shown, before);
	buf_puts(out, " to ");
	put_value(out, shown, after);
	if (before) {
		buf_puts(out, after < before ? " (-" : " (+");
		put_share(out, sub_wrapping(after, before), before);
		buf_putc(out, ')');
	}
	buf_putc(out, '\n');
}

static void put_name(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, s.s[i] == '\n' || s.s[i] == '\r' ? ' ' : s.s[i]);
	buf_putc(out, '\n');
}

static void put_text_row(struct buf *out, const struct shown *shown, const struct diff_row *r, size_t rank)
{
	buf_printf(out, "%4zu ", rank);
	put_signed(out, shown, sub_wrapping(r->self_after, r->self_before));
	put_signed(out, shown, sub_wrapping(r->total_after, r->total_before));
	buf_printf(out, "  %-6s  ", diff_state(r));
	put_name(out, r->name);
}

static void put_text_head(struct buf *out, struct query *q, const struct diff_rows *d, const struct shown *shown)
{
	buf_printf(out, "Type: %s\nTime: ", query_info(q)->type);
	put_range(out, q);
	buf_puts(out, "\nBaseline: ");
	put_range(out, query_baseline(q));
	buf_puts(out, query_selection(q)->options.normalize ? ", made to equal totals\nTotal: " : "\nTotal: ");
	put_change(out, shown, d->before, d->after);
}

static int text_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_diff_rows_ struct diff_rows d = { 0 };
	struct shown shown = shown_of(q);
	int e = diff_rows_of(q, cancel, &d, err);
	if (e < 0)
		return e;
	int64_t limit = query_selection(q)->options.limit;
	size_t most = limit > 0 ? (size_t)limit : SHOWN_MAX, changed = 0;
	for (size_t i = 0; i < d.n; i++)
		changed += is_changed(&d.v[i]);
	shown_fix(&shown, magnitude(d.after) / 1000, MAX(magnitude(d.after), magnitude(d.before)));
	put_text_head(out, q, &d, &shown);
	buf_printf(out, "Showing %zu of %zu functions that changed, of %zu\n", MIN(most, changed), changed, d.n);
	buf_puts(out, "rank        self      total  state   function\n");
	for (size_t i = 0, n = 0; i < d.n && n < most; i++)
		if (is_changed(&d.v[i]))
			put_text_row(out, &shown, &d.v[i], ++n);
	return buf_err(out);
}

/* ---- diff.tsv and diff.json ---- */

static size_t rows_wanted(struct query *q, const struct diff_rows *d)
{
	int64_t limit = query_selection(q)->options.limit;
	return limit > 0 && (uint64_t)limit < d->n ? (size_t)limit : d->n;
}

static int tsv_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_diff_rows_ struct diff_rows d = { 0 };
	int e = diff_rows_of(q, cancel, &d, err);
	if (e < 0)
		return e;
	buf_puts(out, "rank\tname\tstate\tself_before\tself_after\tself_change\ttotal_before\ttotal_after\t"
	              "total_change\tmoved\tunit\n");
	for (size_t i = 0; i < rows_wanted(q, &d); i++) {
		const struct diff_row *r = &d.v[i];
		int64_t self = sub_wrapping(r->self_after, r->self_before);
		int64_t total = sub_wrapping(r->total_after, r->total_before);
		const int64_t values[] = { r->self_before, r->self_after, self,    r->total_before,
			                   r->total_after, total,         r->moved };
		buf_printf(out, "%zu\t", i + 1);
		tsv_field(out, r->name);
		buf_printf(out, "\t%s\t", diff_state(r));
		for (size_t k = 0; k < ARRAY_SIZE(values); k++) {
			buf_i64(out, values[k]);
			buf_putc(out, '\t');
		}
		tsv_field(out, str_of(query_info(q)->unit));
		buf_putc(out, '\n');
	}
	return buf_err(out);
}

static void put_pair(struct jsonw *w, const char *key, int64_t before, int64_t after)
{
	jsonw_key(w, key);
	jsonw_object(w);
	jsonw_key(w, "before");
	jsonw_i64(w, before);
	jsonw_key(w, "after");
	jsonw_i64(w, after);
	jsonw_key(w, "change");
	jsonw_i64(w, sub_wrapping(after, before));
	jsonw_end_object(w);
}

static void put_json_row(struct jsonw *w, const struct diff_row *r, size_t rank)
{
	jsonw_object(w);
	jsonw_key(w, "rank");
	jsonw_u64(w, rank);
	jsonw_key(w, "name");
	jsonw_strn(w, r->name);
	jsonw_key(w, "state");
	jsonw_str(w, diff_state(r));
	put_pair(w, "self", r->self_before, r->self_after);
	put_pair(w, "total", r->total_before, r->total_after);
	jsonw_key(w, "moved");
	jsonw_i64(w, r->moved);
	jsonw_end_object(w);
}

static int json_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_diff_rows_ struct diff_rows d = { 0 };
	struct jsonw w = JSONW(out);
	int e = diff_rows_of(q, cancel, &d, err);
	if (e < 0)
		return e;
	jsonw_object(&w);
	jsonw_key(&w, "type");
	jsonw_str(&w, query_info(q)->type);
	jsonw_key(&w, "unit");
	jsonw_str(&w, query_info(q)->unit);
	jsonw_key(&w, "normalized");
	jsonw_bool(&w, query_selection(q)->options.normalize);
	put_pair(&w, "total", d.before, d.after);
	jsonw_key(&w, "functions");
	jsonw_array(&w);
	for (size_t i = 0; i < rows_wanted(q, &d); i++)
		put_json_row(&w, &d.v[i], i + 1);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_putc(out, '\n');
	return buf_err(out);
}

/* ---- diff.folded ---- */

static void put_frame_name(struct buf *out, const struct frame *f, enum granularity g)
{
	size_t at = out->len;
	put_frame(out, f, g);
	for (; at < out->len; at++) {
		uint8_t *c = &out->data[at];
		*c = *c == ';' ? ':' : *c == '\n' || *c == '\r' ? ' ' : *c;
	}
}

static void put_stack(struct buf *out, const void *stack, size_t n, int64_t before, int64_t after)
{
	if (!before && !after)
		return;
	buf_put(out, stack, n);
	buf_putc(out, ' ');
	buf_i64(out, before);
	buf_putc(out, ' ');
	buf_i64(out, after);
	buf_putc(out, '\n');
}

static int folded_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_stack_text_ struct stack_text path = STACK_TEXT_INIT;
	enum granularity g = query_selection(q)->options.granularity;
	const struct call_diff *d;
	int e = query_diff(q, cancel, &d, err);
	for (uint32_t i = 0; e >= 0 && i < d->after.n_nodes && !buf_err(out); i++) {
		const struct call_node *n = &d->after.nodes[i];
		int64_t before = diff_before(d, d->before.nodes[i].self);
		if (i) {
			e = stack_text_enter(&path, n->depth);
			if (n->depth > 1)
				buf_putc(&path.text, ';');
			put_frame_name(&path.text, &d->after.frames[n->frame], g);
			put_stack(out, path.text.data, path.text.len, before, n->self);
		} else {
			put_stack(out, "[no stack]", 10, before, n->self);
		}
		if (e >= 0 && i % POLL_EVERY == 0)
			e = cancel_check(cancel);
	}
	e = e < 0 ? e : buf_err(&path.text);
	return e < 0 ? e : buf_err(out);
}

const struct rendering render_diff_txt = { "diff.txt", RENDER_VS, true, text_render };
const struct rendering render_diff_tsv = { "diff.tsv", RENDER_VS, true, tsv_render };
const struct rendering render_diff_json = { "diff.json", RENDER_VS, true, json_render };
const struct rendering render_diff_folded = { "diff.folded", RENDER_VS, true, folded_render };
