/* SPDX-License-Identifier: MIT */
#include "speedscope.h"

#include <string.h>

#include "sources.h"
#include "stack_text.h"

/*
 * https://www.speedscope.app/file-format-schema.json: the stacks of the call tree in its order, each with its value;
 * or, where it is known when samples were taken, in the order of time (speedscope_evented.c). Values below zero, which
 * the format cannot hold, are left out, and the profile's name says so.
 */

#define POLL_EVERY 1024

const char *speedscope_unit(const char *unit)
{
	struct unit u = unit_of(str_of(unit));
	return u.dim == UNIT_TIME ? "nanoseconds" : u.dim == UNIT_BYTES ? "bytes" : "none";
}

void speedscope_head(struct jsonw *w)
{
	jsonw_object(w);
	jsonw_key(w, "$schema");
	jsonw_str(w, "https://www.speedscope.app/file-format-schema.json");
	jsonw_key(w, "exporter");
	jsonw_str(w, "profilefs");
	jsonw_key(w, "shared");
	jsonw_object(w);
	jsonw_key(w, "frames");
	jsonw_array(w);
}

void speedscope_frame(struct jsonw *w, struct str name, struct str file, int64_t line)
{
	jsonw_object(w);
	jsonw_key(w, "name");
	jsonw_strn(w, name);
	if (file.len) {
		jsonw_key(w, "file");
		jsonw_strn(w, file);
	}
	if (line > 0) {
		jsonw_key(w, "line");
		jsonw_i64(w, line);
	}
	jsonw_end_object(w);
}

void speedscope_tail(struct jsonw *w, struct query *q)
{
	_buf_ struct buf name = BUF_INIT(8192);
	struct str service = service_title(query_selection(q));
	jsonw_end_array(w);
	jsonw_key(w, "activeProfileIndex");
	jsonw_i64(w, 0);
	buf_put(&name, service.s, service.len);
	buf_printf(&name, " %s ", query_info(q)->type);
	put_range(&name, q);
	jsonw_key(w, "name");
	jsonw_strn(w, (struct str){ (const char *)name.data, name.len });
	jsonw_end_object(w);
	buf_putc(w->out, '\n');
}

static void put_tree_frames(struct jsonw *w, const struct call_tree *t, const struct sources *sources,
                            enum granularity g)
{
	for (uint32_t i = 0; i < t->n_frames; i++) {
		const struct frame *f = &t->frames[i];
		const struct profile_function *at = g == BY_FUNCTION ? sources_find(sources, f->name) : NULL;
		if (at)
			speedscope_frame(w, f->name, profile_str(sources->profile, at->filename), at->start_line);
		else
			speedscope_frame(w, f->name, f->file, f->line);
	}
}

struct sampled {
	const struct call_tree *tree;
	struct buf weights;
	int64_t total;
	uint64_t negative;
};

/* The stacks with a value, root first; their values go to s->weights. */
static int put_stacks(struct buf *out, struct sampled *s, const struct cancel *cancel)
{
	_stack_text_ struct stack_text path = STACK_TEXT_INIT;
	const struct call_tree *t = s->tree;
	int e = 0;
	for (uint32_t i = 0; i < t->n_nodes && !e; i++) {
		const struct call_node *n = &t->nodes[i];
		e = i % POLL_EVERY ? 0 : cancel_check(cancel);
		if (i && !e) {
			e = stack_text_enter(&path, n->depth);
			if (n->depth > 1)
				buf_putc(&path.text, ',');
			buf_i64(&path.text, n->frame);
		}
		s->negative += n->self < 0;
		if (n->self <= 0)
			continue;
		buf_puts(out, s->weights.len ? ",[" : "[");
		buf_put(out, path.text.data, i ? path.text.len : 0);
		buf_putc(out, ']');
		if (s->weights.len)
			buf_putc(&s->weights, ',');
		buf_i64(&s->weights, n->self);
		s->total = add_wrapping(s->total, n->self);
	}
	return e ? e : buf_err(&path.text);
}

static void put_name(struct jsonw *w, struct query *q, uint64_t negative)
{
	_buf_ struct buf name = BUF_INIT(1024);
	buf_puts(&name, query_info(q)->type);
	if (negative) {
		buf_puts(&name, " (without ");
		put_grouped(&name, negative);
		buf_puts(&name, " negative values)");
	}
	jsonw_key(w, "name");
	jsonw_strn(w, (struct str){ (const char *)name.data, name.len });
}

static int put_sampled(struct jsonw *w, struct query *q, const struct call_tree *t, const struct cancel *cancel)
{
	struct sampled s = { .tree = t, .weights = BUF_INIT(w->out->max) };
	jsonw_object(w);
	jsonw_key(w, "type");
	jsonw_str(w, "sampled");
	jsonw_key(w, "unit");
	jsonw_str(w, speedscope_unit(query_info(q)->unit));
	jsonw_key(w, "samples");
	jsonw_array(w);
	int e = put_stacks(w->out, &s, cancel);
	jsonw_end_array(w);
	put_name(w, q, s.negative);
	jsonw_key(w, "startValue");
	jsonw_i64(w, 0);
	jsonw_key(w, "endValue");
	jsonw_i64(w, s.total);
	jsonw_key(w, "weights");
	jsonw_array(w);
	buf_put(w->out, s.weights.data, s.weights.len);
	jsonw_end_array(w);
	jsonw_end_object(w);
	e = e ? e : buf_err(&s.weights);
	buf_done(&s.weights);
	return e;
}

static int sampled_render(struct query *q, const struct call_tree *t, const struct cancel *cancel, struct buf *out,
                          struct error *err)
{
	_sources_ struct sources sources = { 0 };
	struct jsonw w = JSONW(out);
	int e = sources_init(&sources, q, cancel, err);
	if (e < 0)
		return e;
	w.compact = true;
	speedscope_head(&w);
	put_tree_frames(&w, t, &sources, query_selection(q)->options.granularity);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	jsonw_key(&w, "profiles");
	jsonw_array(&w);
	e = put_sampled(&w, q, t, cancel);
	speedscope_tail(&w, q);
	return e ? e : buf_err(out);
}

static int speedscope_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct call_tree *t;
	int e = query_tree(q, cancel, &t, err);
	if (e < 0)
		return e;
	e = speedscope_evented(q, t, cancel, out, err);
	return e ? MIN(e, 0) : sampled_render(q, t, cancel, out, err);
}

const struct rendering render_speedscope = { "speedscope.json", RENDER_TYPE, true, speedscope_render };
