/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/hash.h"
#include "../base/idset.h"
#include "../wire/jsonw.h"
#include "text.h"

/*
 * For profiler.firefox.com: a processed profile of version 57, which later ones upgrade when they load it
 * (docs-developer/CHANGELOG-formats.md there). One thread, the call tree by lines: its nodes are the stack table. Each
 * stack with a value is a sample of that weight; where time is counted, samples lie one after the other.
 */

#define VERSION 57

struct firefox {
	struct jsonw w;
	struct query *q;
	const struct call_tree *tree;
	struct idset string_set, function_set;
	VEC(struct str) strings;
	VEC(uint32_t) functions; /* of each function: one of its frames */
	uint32_t *function_of;   /* of each frame */
	uint32_t *name, *file;   /* strings of each frame; file UINT32_MAX: unknown */
	int64_t scale;           /* 1e6 where values are nanoseconds: times are in milliseconds */
};

static void firefox_done(struct firefox *f)
{
	idset_done(&f->string_set);
	idset_done(&f->function_set);
	VEC_DONE(&f->strings);
	VEC_DONE(&f->functions);
	free(f->function_of);
	free(f->name);
	free(f->file);
}

/* ---- tables ---- */

static int intern(struct firefox *f, struct str s, uint32_t *ret)
{
	uint64_t hash = hash_bytes(s.s, s.len);
	for (struct idset_probe p = idset_probe(&f->string_set, hash); idset_next(&f->string_set, &p);) {
		if (str_eq(f->strings.v[p.id], s)) {
			*ret = p.id;
			return 0;
		}
	}
	struct str *to = VEC_PUSH(&f->strings);
	if (!to)
		return -ENOMEM;
	*to = s;
	*ret = (uint32_t)f->strings.n - 1;
	return idset_add(&f->string_set, hash, *ret);
}

static int intern_function(struct firefox *f, uint32_t frame)
{
	uint64_t hash = hash_mix(f->name[frame], f->file[frame]);
	for (struct idset_probe p = idset_probe(&f->function_set, hash); idset_next(&f->function_set, &p);) {
		uint32_t other = f->functions.v[p.id];
		if (f->name[other] == f->name[frame] && f->file[other] == f->file[frame]) {
			f->function_of[frame] = p.id;
			return 0;
		}
	}
	uint32_t *to = VEC_PUSH(&f->functions);
	if (!to)
		return -ENOMEM;
	*to = frame;
	f->function_of[frame] = (uint32_t)f->functions.n - 1;
	return idset_add(&f->function_set, hash, f->function_of[frame]);
}

static int number_all(struct firefox *f)
{
	uint32_t n = f->tree->n_frames;
	f->function_of = calloc((size_t)n + 1, sizeof *f->function_of);
	f->name = calloc((size_t)n + 1, sizeof *f->name);
	f->file = calloc((size_t)n + 1, sizeof *f->file);
	int e = f->function_of && f->name && f->file ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < n && !e; i++) {
		const struct frame *frame = &f->tree->frames[i];
		f->file[i] = UINT32_MAX;
		e = intern(f, frame->name, &f->name[i]);
		if (!e && frame->file.len)
			e = intern(f, frame->file, &f->file[i]);
		if (!e)
			e = intern_function(f, i);
	}
	return e;
}

/* ---- writing ---- */

static void put_integer(struct jsonw *w, const char *key, int64_t v)
{
	jsonw_key(w, key);
	jsonw_i64(w, v);
}

static void put_text(struct jsonw *w, const char *key, const char *s)
{
	jsonw_key(w, key);
	jsonw_str(w, s);
}

/* "key":[v,v,v ...] of n equal values, written as they are. */
static void put_column(struct jsonw *w, const char *key, const char *v, size_t n)
{
	jsonw_key(w, key);
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		if (i)
			buf_putc(w->out, ',');
		buf_puts(w->out, v);
	}
	jsonw_end_array(w);
}

static void put_columns(struct jsonw *w, const char *const *keys, const char *v, size_t n)
{
	for (; *keys; keys++)
		put_column(w, *keys, v, n);
}

/* An i-th value, or null where it is `none`. */
static void put_or_null(struct jsonw *w, size_t i, int64_t v, int64_t none)
{
	if (i)
		buf_putc(w->out, ',');
	if (v == none)
		buf_puts(w->out, "null");
	else
		buf_i64(w->out, v);
}

static void put_empty_table(struct jsonw *w, const char *key, const char *const *columns)
{
	jsonw_key(w, key);
	jsonw_object(w);
	put_integer(w, "length", 0);
	put_columns(w, columns, "", 0);
	jsonw_end_object(w);
}

static void put_function_table(struct firefox *f)
{
	static const char *const nulls[] = { "lineNumber", "columnNumber", NULL };
	static const char *const falses[] = { "isJS", "relevantForJS", NULL };
	struct jsonw *w = &f->w;
	size_t n = f->functions.n;
	jsonw_key(w, "funcTable");
	jsonw_object(w);
	put_integer(w, "length", (int64_t)n);
	jsonw_key(w, "name");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		put_or_null(w, i, f->name[f->functions.v[i]], -1);
	jsonw_end_array(w);
	jsonw_key(w, "fileName");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++)
		put_or_null(w, i, f->file[f->functions.v[i]], UINT32_MAX);
	jsonw_end_array(w);
	put_columns(w, nulls, "null", n);
	put_columns(w, falses, "false", n);
	put_column(w, "resource", "-1", n);
	jsonw_end_object(w);
}

static void put_frame_table(struct firefox *f)
{
	static const char *const nulls[] = { "nativeSymbol", "innerWindowID", "column", NULL };
	static const char *const zeros[] = { "category", "subcategory", "inlineDepth", NULL };
	struct jsonw *w = &f->w;
	uint32_t n = f->tree->n_frames;
	jsonw_key(w, "frameTable");
	jsonw_object(w);
	put_integer(w, "length", n);
	jsonw_key(w, "func");
	jsonw_array(w);
	for (uint32_t i = 0; i < n; i++)
		put_or_null(w, i, f->function_of[i], -1);
	jsonw_end_array(w);
	jsonw_key(w, "line");
	jsonw_array(w);
	for (uint32_t i = 0; i < n; i++)
		put_or_null(w, i, f->tree->frames[i].line, 0);
	jsonw_end_array(w);
	put_column(w, "address", "-1", n);
	put_columns(w, nulls, "null", n);
	put_columns(w, zeros, "0", n);
	jsonw_end_object(w);
}

/* Stack i is node i + 1. */
static void put_stack_table(struct firefox *f)
{
	struct jsonw *w = &f->w;
	uint32_t n = f->tree->n_nodes ? f->tree->n_nodes - 1 : 0;
	jsonw_key(w, "stackTable");
	jsonw_object(w);
	put_integer(w, "length", n);
	jsonw_key(w, "frame");
	jsonw_array(w);
	for (uint32_t i = 0; i < n; i++)
		put_or_null(w, i, f->tree->nodes[i + 1].frame, -1);
	jsonw_end_array(w);
	jsonw_key(w, "prefix");
	jsonw_array(w);
	for (uint32_t i = 0; i < n; i++)
		put_or_null(w, i, (int64_t)f->tree->nodes[i + 1].parent - 1, -1);
	jsonw_end_array(w);
	jsonw_end_object(w);
}

/* Milliseconds with what is behind the point. */
static void put_milliseconds(struct buf *out, int64_t ns)
{
	buf_i64(out, ns / 1000000);
	if (ns % 1000000)
		buf_printf(out, ".%06lld", (long long)(ns % 1000000));
}

enum sample_column { SAMPLE_STACK, SAMPLE_WEIGHT, SAMPLE_TIME };

static size_t put_samples_column(struct firefox *f, enum sample_column column)
{
	struct buf *out = f->w.out;
	size_t n = 0;
	int64_t at = 0;
	for (uint32_t i = 0; i < f->tree->n_nodes && !buf_err(out); i++) {
		const struct call_node *node = &f->tree->nodes[i];
		if (!node->self)
			continue;
		if (column == SAMPLE_STACK) {
			put_or_null(&f->w, n, (int64_t)i - 1, -1);
		} else {
			if (n)
				buf_putc(out, ',');
			if (column == SAMPLE_TIME && f->scale == 1)
				buf_i64(out, (int64_t)n);
			else if (column == SAMPLE_TIME)
				put_milliseconds(out, at);
			else if (f->scale == 1)
				buf_i64(out, node->self);
			else
				put_decimal(out, (double)node->self / (double)f->scale, 6);
		}
		at = add_wrapping(at, (int64_t)(magnitude(node->self) & INT64_MAX)) & INT64_MAX;
		n++;
	}
	return n;
}

static void put_samples(struct firefox *f)
{
	static const struct {
		const char *key;
		enum sample_column column;
	} columns[] = { { "stack", SAMPLE_STACK }, { "weight", SAMPLE_WEIGHT }, { "time", SAMPLE_TIME } };
	struct jsonw *w = &f->w;
	struct unit unit = unit_of(str_of(query_info(f->q)->unit));
	size_t n = 0;
	jsonw_key(w, "samples");
	jsonw_object(w);
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
		jsonw_key(w, columns[i].key);
		jsonw_array(w);
		n = put_samples_column(f, columns[i].column);
		jsonw_end_array(w);
	}
	put_text(w, "weightType", unit.dim == UNIT_TIME ? "tracing-ms" : unit.dim == UNIT_BYTES ? "bytes" : "samples");
	put_integer(w, "length", (int64_t)n);
	jsonw_end_object(w);
}

static void put_strings(struct firefox *f)
{
	jsonw_key(&f->w, "shared");
	jsonw_object(&f->w);
	jsonw_key(&f->w, "stringArray");
	jsonw_array(&f->w);
	for (size_t i = 0; i < f->strings.n; i++)
		jsonw_strn(&f->w, f->strings.v[i]);
	jsonw_end_array(&f->w);
	jsonw_end_object(&f->w);
}

static void put_thread(struct firefox *f)
{
	static const char *const markers[] = { "data", "name", "startTime", "endTime", "phase", "category", NULL };
	static const char *const resources[] = { "lib", "name", "host", "type", NULL };
	static const char *const symbols[] = { "address", "functionSize", "libIndex", "name", NULL };
	struct jsonw *w = &f->w;
	jsonw_object(w);
	put_text(w, "name", query_info(f->q)->type);
	jsonw_key(w, "processName");
	jsonw_strn(w, service_title(query_selection(f->q)));
	put_text(w, "processType", "default");
	put_text(w, "pid", "1");
	put_integer(w, "tid", 1);
	jsonw_key(w, "isMainThread");
	jsonw_bool(w, true);
	put_integer(w, "processStartupTime", 0);
	jsonw_key(w, "processShutdownTime");
	jsonw_double(w, 0.0 / 0.0);
	put_integer(w, "registerTime", 0);
	jsonw_key(w, "unregisterTime");
	jsonw_double(w, 0.0 / 0.0);
	put_column(w, "pausedRanges", "", 0);
	put_samples(f);
	put_empty_table(w, "markers", markers);
	put_stack_table(f);
	put_frame_table(f);
	put_function_table(f);
	put_empty_table(w, "resourceTable", resources);
	put_empty_table(w, "nativeSymbols", symbols);
	jsonw_end_object(w);
}

static void put_category(struct jsonw *w)
{
	jsonw_key(w, "categories");
	jsonw_array(w);
	jsonw_object(w);
	put_text(w, "name", "Other");
	put_text(w, "color", "grey");
	jsonw_key(w, "subcategories");
	jsonw_array(w);
	jsonw_str(w, "Other");
	jsonw_end_array(w);
	jsonw_end_object(w);
	jsonw_end_array(w);
}

static void put_meta(struct firefox *f)
{
	struct jsonw *w = &f->w;
	const struct query_info *info = query_info(f->q);
	jsonw_key(w, "meta");
	jsonw_object(w);
	put_integer(w, "version", 29);
	put_integer(w, "preprocessedProfileVersion", VERSION);
	jsonw_key(w, "startTime");
	jsonw_double(w, (double)info->first / 1e6);
	put_integer(w, "interval", 1);
	put_integer(w, "processType", 0);
	put_integer(w, "stackwalk", 1);
	put_integer(w, "debug", 0);
	jsonw_key(w, "product");
	jsonw_strn(w, service_title(query_selection(f->q)));
	put_text(w, "importedFrom", "profilefs");
	jsonw_key(w, "symbolicated");
	jsonw_bool(w, true);
	jsonw_key(w, "usesOnlyOneStackType");
	jsonw_bool(w, true);
	jsonw_key(w, "sourceCodeIsNotOnSearchfox");
	jsonw_bool(w, true);
	put_category(w);
	put_column(w, "markerSchema", "", 0);
	jsonw_end_object(w);
}

static int firefox_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	static const char *const none[] = { "libs", "pages", "counters", NULL };
	_cleanup_(firefox_done) struct firefox f = { .q = q, .w = JSONW(out) };
	int e = query_tree_by(q, BY_LINE, cancel, &f.tree, err);
	if (!e)
		e = number_all(&f);
	if (e < 0)
		return e;
	f.w.compact = true;
	f.scale = unit_of(str_of(query_info(q)->unit)).dim == UNIT_TIME ? 1000000 : 1;
	jsonw_object(&f.w);
	put_meta(&f);
	put_columns(&f.w, none, "", 0);
	put_strings(&f);
	jsonw_key(&f.w, "threads");
	jsonw_array(&f.w);
	put_thread(&f);
	jsonw_end_array(&f.w);
	jsonw_end_object(&f.w);
	buf_putc(out, '\n');
	return buf_err(out);
}

const struct rendering render_firefox = { "firefox.json", RENDER_TYPE, true, firefox_render };
