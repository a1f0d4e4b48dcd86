/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "../wire/jsonw.h"
#include "flamegraph.h"

/*
 * What was selected, what was done with it, and what pictures have no room for: nothing is cut, averaged or left out in
 * silence.
 */

/* Of the flame graphs. */
struct pruned {
	uint64_t frames, in_table, negatives;
	struct flame_shown drawn;
	struct flame_fit fit;
};

static int find_pruned(struct query *q, const struct cancel *cancel, struct pruned *ret, struct error *err)
{
	_flame_ struct flame f = { 0 };
	int e = flame_of_query(q, cancel, &f, err);
	if (e < 0)
		return e;
	*ret = (struct pruned){ .in_table = f.n_table, .negatives = f.negatives, .fit = flame_fit(&f) };
	e = flame_measure(&f, ret->fit, &ret->drawn);
	ret->frames = ret->drawn.frames + ret->drawn.left_out;
	return e;
}

/* null for NULL. */
static void put_text(struct jsonw *w, const char *key, const char *s)
{
	jsonw_key(w, key);
	if (s)
		jsonw_str(w, s);
	else
		jsonw_double(w, NAN);
}

static void put_time_or_null(struct jsonw *w, const char *key, int64_t t, bool known)
{
	char text[TIME_LEN];
	put_text(w, key, known ? time_format_rfc3339(t, text) : NULL);
}

static void put_u64(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_u64(w, v);
}

/* ---- the selection ---- */

static void put_matchers(struct jsonw *w, const struct selection *s)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };
	jsonw_key(w, "matchers");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_matchers; i++) {
		const struct matcher *m = &s->matchers[i];
		jsonw_object(w);
		jsonw_key(w, "label");
		jsonw_strn(w, (struct str){ m->key, m->key_len });
		put_text(w, "op", ops[m->op]);
		jsonw_key(w, "value");
		jsonw_strn(w, (struct str){ m->value, m->value_len });
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void put_filters(struct jsonw *w, const struct selection *s)
{
	jsonw_key(w, "filters");
	jsonw_array(w);
	for (size_t i = 0; i < s->n_filters; i++) {
		jsonw_object(w);
		put_text(w, "kind", filter_name(s->filters[i].kind));
		put_text(w, "text", s->filters[i].text);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void put_selection(struct jsonw *w, const char *key, const struct selection *s)
{
	static const char *const granularities[] = { "functions", "lines", "files", "addresses" };
	char id[ULID_LEN + 1];
	jsonw_key(w, key);
	jsonw_object(w);
	put_text(w, "service", s->service);
	put_time_or_null(w, "from", s->from, s->from != TIME_MIN);
	put_time_or_null(w, "to", s->to, s->to != TIME_MAX);
	put_text(w, "type", s->type);
	put_matchers(w, s);
	put_filters(w, s);
	put_text(w, "by", s->by);
	put_text(w, "id", s->has_id ? ulid_format(&s->id, id) : NULL);
	put_text(w, "granularity", granularities[s->options.granularity]);
	jsonw_end_object(w);
}

/* ---- what was done ---- */

static const char *meaning_of(enum type_class class)
{
	switch (class) {
	case TYPE_RUNNING:
		return "adds up; a profile without a duration is a running total";
	case TYPE_INSTANT:
		return "a state at a moment";
	default:
		return "adds up";
	}
}

static void put_counts(struct jsonw *w, const struct query_info *info)
{
	put_u64(w, "profiles", info->profiles);
	put_u64(w, "series", info->series);
	put_u64(w, "samples", info->samples);
	put_time_or_null(w, "first", info->first, info->profiles > 0);
	put_time_or_null(w, "last", info->last, info->profiles > 0);
	jsonw_key(w, "duration_seconds");
	jsonw_double(w, (double)info->duration / 1e9);
	put_text(w, "type", info->type[0] ? info->type : NULL);
	put_text(w, "unit", info->type[0] ? info->unit : NULL);
	put_text(w, "values", info->type[0] ? meaning_of(info->type_class) : NULL);
}

static void put_done(struct jsonw *w, const struct query_info *info)
{
	jsonw_key(w, "done");
	jsonw_object(w);
	jsonw_key(w, "averaged");
	jsonw_bool(w, info->averaged);
	jsonw_key(w, "covered_seconds");
	jsonw_double(w, (double)info->covered / 1e9);
	jsonw_key(w, "running_totals");
	jsonw_bool(w, info->cumulative);
	put_u64(w, "earlier_profiles_read", info->lookback);
	put_u64(w, "restarts", info->restarts);
	put_u64(w, "first_of_series", info->first_of_series);
	put_u64(w, "differences_left_out", info->differences);
	put_u64(w, "allocs_left_out", info->heap_shadowed);
	put_u64(w, "damaged_objects", info->damaged);
	put_text(w, "damage", info->damage[0] ? info->damage : NULL);
	jsonw_end_object(w);
}

/* "3 profiles ..." as one entry of notes; nothing for 0. */
static void note(struct jsonw *w, uint64_t n, const char *one, const char *many)
{
	if (!n)
		return;
	_buf_ struct buf b = BUF_INIT(1024);
	put_grouped(&b, n);
	buf_putc(&b, ' ');
	buf_puts(&b, n == 1 ? one : many);
	jsonw_strn(w, (struct str){ (const char *)b.data, b.len });
}

static void put_average_note(struct jsonw *w, const struct query_info *info)
{
	_buf_ struct buf b = BUF_INIT(1024);
	buf_puts(&b, "Values are averages: each profile counts until the next one of its series (at most 5 "
	             "minutes), divided by the ");
	put_decimal(&b, (double)info->covered / 1e9, 3);
	buf_puts(&b, " s in which any series lived.");
	jsonw_strn(w, (struct str){ (const char *)b.data, b.len });
}

/* What the SVG leaves out is there when it is zoomed; what the table of both leaves out is not. */
static void put_pruned(struct jsonw *w, const struct pruned *p)
{
	jsonw_key(w, "pruned");
	jsonw_object(w);
	put_u64(w, "frames", p->frames);
	put_u64(w, "values_below_zero", p->negatives);
	jsonw_key(w, "flamegraph.svg");
	jsonw_object(w);
	put_u64(w, "drawn", p->drawn.frames);
	put_u64(w, "left_out", p->drawn.left_out);
	jsonw_key(w, "least_width_px");
	jsonw_double(w, round(p->fit.least_px * 1000) / 1000);
	jsonw_end_object(w);
	jsonw_key(w, "zoomed");
	jsonw_object(w);
	put_u64(w, "drawn", p->in_table);
	put_u64(w, "left_out", p->frames - p->in_table);
	jsonw_end_object(w);
	jsonw_end_object(w);
}

static void put_notes(struct jsonw *w, const struct query_info *info)
{
	jsonw_key(w, "notes");
	jsonw_array(w);
	if (!info->profiles)
		jsonw_str(w, "The selection has no profiles.");
	note(w, info->profiles, "profile was taken.", "profiles were merged by stack.");
	if (info->averaged && info->covered)
		put_average_note(w, info);
	if (info->cumulative)
		jsonw_str(w, "Some values are running totals of a process: what counts is the increase, stack by "
		             "stack, since the series' previous profile.");
	note(w, info->lookback, "profile before the selection was read to know an increase.",
	     "profiles before the selection were read to know increases.");
	note(w, info->first_of_series, "running total without an earlier profile counts whole, and not in rates.",
	     "running totals without an earlier profile count whole, and not in rates.");
	note(w, info->restarts, "running total fell: its process is taken to have restarted.",
	     "running totals fell: their processes are taken to have restarted.");
	note(w, info->differences, "profile holds negative in-use values (a difference) and was left out.",
	     "profiles hold negative in-use values (differences) and were left out.");
	note(w, info->heap_shadowed,
	     "profile of allocs was left out: its series has heap profiles with the same values.",
	     "profiles of allocs were left out: their series have heap profiles with the same values.");
	note(w, info->damaged, "object of the store is damaged and was left out.",
	     "objects of the store are damaged and were left out.");
	jsonw_end_array(w);
}

static void put_info(struct jsonw *w, const struct query_info *info)
{
	put_counts(w, info);
	put_done(w, info);
	put_notes(w, info);
}

static void put_baseline(struct jsonw *w, struct query *q)
{
	struct query *base = query_baseline(q);
	if (!base)
		return;
	jsonw_key(w, "baseline");
	jsonw_object(w);
	put_selection(w, "selection", query_selection(base));
	put_info(w, query_info(base));
	jsonw_end_object(w);
}

static int put_types(struct jsonw *w, struct query *q, struct error *err)
{
	const struct type_count *types;
	size_t n;
	int e = query_types(q, &types, &n, err);
	if (e < 0)
		return e;
	jsonw_key(w, "types");
	jsonw_array(w);
	for (size_t i = 0; i < n; i++) {
		jsonw_object(w);
		jsonw_key(w, "name");
		jsonw_strn(w, types[i].name);
		jsonw_key(w, "unit");
		jsonw_strn(w, types[i].unit);
		put_u64(w, "profiles", types[i].profiles);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
	return 0;
}

static int info_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	struct jsonw w = JSONW(out);
	struct query *base = query_baseline(q);
	struct pruned pruned;
	bool typed = query_selection(q)->type;
	int e = query_resolve(q, cancel, err);
	if (e >= 0 && base)
		e = query_resolve(base, cancel, err);
	if (e >= 0 && typed)
		e = find_pruned(q, cancel, &pruned, err);
	if (e < 0)
		return e;
	jsonw_object(&w);
	put_selection(&w, "selection", query_selection(q));
	put_info(&w, query_info(q));
	e = put_types(&w, q, err);
	if (e < 0)
		return e;
	put_baseline(&w, q);
	if (typed)
		put_pruned(&w, &pruned);
	jsonw_end_object(&w);
	buf_putc(out, '\n');
	return buf_err(out);
}

const struct rendering render_info_json = { "info.json", RENDER_TYPE | RENDER_NO_TYPE | RENDER_VS, true,
                                            info_render };
