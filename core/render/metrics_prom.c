/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "metrics.h"

/*
 * OpenMetrics 1.0 with timestamps. Families, each a gauge:
 *
 *     profilefs_TYPE_sum_per_step[_UNIT]      what fell into the step that begins at the timestamp
 *     profilefs_TYPE_rate[_UNIT]_per_second   the same per second of covered time
 *     profilefs_TYPE_average[_UNIT]           instantaneous types: instead of both
 *
 * With @exemplars=1 also a counter, since only these may carry exemplars:
 *
 *     profilefs_TYPE_profiles_total           profiles so far; the exemplar is the greatest of the step
 *
 * in seconds and bytes. Names end in their unit, as UNIT lines ask for, and in none of the suffixes that
 * belong to other types of metrics (`_sum`, `_count`). Steps without a value have no sample.
 */

struct family {
	struct buf name;
	char unit[96]; /* "" for none */
	const char *help;
	bool is_rate;
};

static bool name_char(uint8_t c, bool first)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static void put_sanitised(struct buf *out, struct str s, bool first)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, name_char((uint8_t)s.s[i], first && i == 0) ? s.s[i] : '_');
}

/* prefix: of the name; NULL: profilefs_TYPE. */
static void family_init(struct family *f, const struct query_info *info, const struct metrics *s,
                        const char *prefix, const char *kind)
{
	_buf_ struct buf unit = BUF_INIT(64);
	put_sanitised(&unit, str_of(s->base_unit), false);
	f->name = BUF_INIT(512);
	buf_puts(&f->name, prefix ? prefix : "profilefs_");
	if (!prefix)
		put_sanitised(&f->name, str_of(info->type), false);
	buf_printf(&f->name, "_%s", kind);
	snprintf(f->unit, sizeof f->unit, "%.*s%s", (int)unit.len, unit.len ? (const char *)unit.data : "",
	         f->is_rate ? unit.len ? "_per_second" : "per_second" : "");
	if (f->unit[0])
		buf_printf(&f->name, "_%s", f->unit);
}

static void put_family(struct buf *out, const struct family *f)
{
	int n = (int)f->name.len;
	const char *name = (const char *)f->name.data;
	buf_printf(out, "# TYPE %.*s gauge\n", n, name);
	if (f->unit[0])
		buf_printf(out, "# UNIT %.*s %s\n", n, name, f->unit);
	buf_printf(out, "# HELP %.*s %s\n", n, name, f->help);
}

/* ---- labels ---- */

#define LABELS_MAX (RULE_BY_MAX + 3)
#define LABEL_BYTES_MAX ((size_t)1 << 20)

/* Of one row: valid names, once each, and values in UTF-8. */
struct row_labels {
	struct arena arena;
	struct label v[LABELS_MAX];
	size_t n;
};

static void row_labels_done(struct row_labels *l)
{
	arena_done(&l->arena);
}

#define _row_labels_ _cleanup_(row_labels_done)

static bool has_label(const struct row_labels *l, struct str key)
{
	for (size_t i = 0; i < l->n; i++)
		if (str_eq(l->v[i].key, key))
			return true;
	return str_eq(key, STR("service")) || str_eq(key, STR("type")) || str_eq(key, STR("function"));
}

static void put_utf8(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len;) {
		size_t len = utf8_length(s.s + i, s.len - i);
		if (len)
			buf_put(out, s.s + i, len);
		else
			buf_puts(out, NOT_UTF8);
		i += MAX(len, (size_t)1);
	}
}

static int add_label(struct row_labels *l, struct str key, struct str value)
{
	_buf_ struct buf text = BUF_INIT(LABEL_BYTES_MAX);
	put_utf8(&text, value);
	const char *k = arena_strndup(&l->arena, key.s, key.len);
	const char *v = arena_strndup(&l->arena, text.len ? (const char *)text.data : "", text.len);
	if (buf_err(&text) || !k || !v)
		return -ENOMEM;
	l->v[l->n++] = (struct label){ { k, key.len }, { v, text.len } };
	return 0;
}

/* The name is made valid, not reserved, and none of those that are there. */
static int add_by_label(struct row_labels *l, struct str by, struct str value)
{
	_buf_ struct buf name = BUF_INIT(4096);
	struct str key = STR("");
	for (unsigned prefixes = 0; prefixes <= LABELS_MAX && !buf_err(&name); prefixes++) {
		buf_reset(&name);
		for (unsigned i = 0; i < prefixes; i++)
			buf_puts(&name, "label_");
		put_sanitised(&name, by, !prefixes);
		key = (struct str){ name.len ? (const char *)name.data : "", name.len };
		if (key.len && strncmp(key.s, "__", MIN(key.len, (size_t)2)) && !has_label(l, key))
			break;
	}
	return add_label(l, buf_err(&name) ? STR("label") : key, value);
}

/* The selection's, or where that is of all, the label's. */
static int add_service(struct row_labels *l, const struct selection *sel, struct str by, struct str row)
{
	if (sel->service)
		return add_label(l, STR("service"), str_of(sel->service));
	while (by.len) {
		struct str key = by_next(&by), value = by_next(&row);
		if (str_eq(key, STR("service")))
			return add_label(l, key, value);
	}
	return 0;
}

/* The function that is named, whatever of it counts; NULL. */
static const char *named_function(const struct selection *s)
{
	for (size_t i = s->n_filters; i-- > 0;)
		if (s->filters[i].kind == FILTER_FUNCTION || s->filters[i].kind == FILTER_SELF)
			return s->filters[i].text;
	return NULL;
}

static int row_labels_of(struct query *q, struct str row, struct row_labels *ret)
{
	const struct selection *sel = query_selection(q);
	struct str by = sel->by ? str_of(sel->by) : STR("");
	const char *function = named_function(sel);
	*ret = (struct row_labels){ .arena = ARENA_INIT(LABEL_BYTES_MAX) };
	int e = add_service(ret, sel, by, row);
	if (!e)
		e = add_label(ret, STR("type"), str_of(query_info(q)->type));
	while (!e && by.len && ret->n < LABELS_MAX - 1) {
		struct str key = by_next(&by), value = by_next(&row);
		if (sel->service || !str_eq(key, STR("service")))
			e = add_by_label(ret, key, value);
	}
	return e || !function ? e : add_label(ret, STR("function"), str_of(function));
}

static void put_escaped(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.s[i] == '\n')
			buf_puts(out, "\\n");
		else if (s.s[i] == '\\' || s.s[i] == '"')
			buf_printf(out, "\\%c", s.s[i]);
		else
			buf_putc(out, s.s[i]);
	}
}

static int put_labels(struct buf *out, struct query *q, struct str row)
{
	_row_labels_ struct row_labels l;
	int e = row_labels_of(q, row, &l);
	for (size_t i = 0; i < l.n && !e; i++) {
		buf_puts(out, i ? "," : "{");
		buf_put(out, l.v[i].key.s, l.v[i].key.len);
		buf_puts(out, "=\"");
		put_escaped(out, l.v[i].value);
		buf_putc(out, '"');
	}
	buf_puts(out, "} ");
	return e ? e : buf_err(out);
}

static void put_timestamp(struct buf *out, int64_t t)
{
	int64_t seconds = time_floor_div(t, NS_PER_S);
	buf_i64(out, seconds);
	int64_t nanos = t - seconds * NS_PER_S;
	if (nanos)
		buf_printf(out, ".%09lld", (long long)nanos);
}

static int64_t step_time(const struct metrics *s, size_t i)
{
	return s->steps->from + (int64_t)i * s->steps->step;
}

static void put_row(struct buf *out, const struct metrics *s, const struct metric_row *row,
                    const struct buf *head, bool is_rate)
{
	for (size_t i = 0; i < s->steps->n && !buf_err(out); i++) {
		const struct step *v = &row->v[i];
		if (is_rate ? !v->covered : !metrics_has_sum(s, v))
			continue;
		buf_put(out, head->data, head->len);
		put_number(out, (is_rate ? v->rate : v->sum) * s->factor);
		buf_putc(out, ' ');
		put_timestamp(out, step_time(s, i));
		buf_putc(out, '\n');
	}
}

/* The newest value alone, without its time; none before `since`. */
static void put_newest(struct buf *out, const struct metrics *s, const struct metric_row *row, const struct buf *head,
                       bool is_rate, int64_t since)
{
	for (size_t i = s->steps->n; i-- > 0 && step_time(s, i) >= since;) {
		const struct step *v = &row->v[i];
		if (is_rate ? !v->covered : !metrics_has_sum(s, v))
			continue;
		buf_put(out, head->data, head->len - 1);
		buf_putc(out, ' ');
		put_number(out, (is_rate ? v->rate : v->sum) * s->factor);
		buf_putc(out, '\n');
		return;
	}
}

/* Whose newest values are put, and from when on. */
struct newest {
	const char *name;
	int64_t since;
};

/* newest: NULL: all values, as metrics.prom has them. */
static int put_metric(struct buf *out, struct query *q, const struct metrics *s, const struct newest *newest,
                      const char *kind, const char *help)
{
	struct family f = { .help = help, .is_rate = !strcmp(kind, "rate") };
	family_init(&f, query_info(q), s, newest ? newest->name : NULL, kind);
	put_family(out, &f);
	_buf_ struct buf head = BUF_INIT(1 << 20);
	int e = 0;
	for (size_t i = 0; i < s->n_rows && !e; i++) {
		buf_reset(&head);
		buf_put(&head, f.name.data, f.name.len);
		e = put_labels(&head, q, s->rows[i].name);
		if (!e && newest)
			put_newest(out, s, &s->rows[i], &head, f.is_rate, newest->since);
		else if (!e)
			put_row(out, s, &s->rows[i], &head, f.is_rate);
	}
	buf_done(&f.name);
	return e;
}

/* ---- exemplars ---- */

/* The greatest profile of each step and group: indices of points, or UINT32_MAX. */
struct exemplars {
	const struct point *points;
	uint32_t *best;
};

static void exemplars_done(struct exemplars *e)
{
	free(e->best);
}

static int exemplars_of(struct query *q, const struct steps *s, const struct cancel *cancel, struct exemplars *ret,
                        struct error *err)
{
	size_t n, cells = s->n * s->n_groups;
	int e = query_points(q, cancel, &ret->points, &n, err);
	if (e < 0)
		return e;
	ret->best = malloc((cells + 1) * sizeof *ret->best);
	if (!ret->best)
		return -ENOMEM;
	memset(ret->best, 0xff, (cells + 1) * sizeof *ret->best);
	for (size_t i = 0; i < n && i < UINT32_MAX; i++) {
		const struct point *p = &ret->points[i];
		uint64_t at = p->time < s->from ? s->n : (uint64_t)(p->time - s->from) / (uint64_t)s->step;
		if (at >= s->n || p->group >= s->n_groups)
			continue;
		uint32_t *best = &ret->best[p->group * s->n + at];
		if (*best == UINT32_MAX || magnitude(ret->points[*best].value) < magnitude(p->value))
			*best = (uint32_t)i;
	}
	return 0;
}

static void put_exemplar(struct buf *out, const struct metrics *s, const struct point *p)
{
	char id[ULID_LEN + 1];
	buf_printf(out, " # {profile_id=\"%s\"} ", ulid_format(&p->id, id));
	put_number(out, (double)p->value * s->factor);
	buf_putc(out, ' ');
	put_timestamp(out, p->time);
}

static void put_counter_row(struct buf *out, const struct metrics *s, const struct metric_row *row,
                            const struct buf *head, const struct exemplars *ex)
{
	uint64_t count = 0;
	for (size_t i = 0; i < s->steps->n && !buf_err(out); i++) {
		if (!row->v[i].profiles)
			continue;
		count += row->v[i].profiles;
		buf_put(out, head->data, head->len);
		buf_printf(out, "%llu ", (unsigned long long)count);
		put_timestamp(out, step_time(s, i));
		uint32_t best = row->group == SIZE_MAX ? UINT32_MAX : ex->best[row->group * s->steps->n + i];
		if (best != UINT32_MAX)
			put_exemplar(out, s, &ex->points[best]);
		buf_putc(out, '\n');
	}
}

static int put_counter(struct buf *out, struct query *q, const struct metrics *s, const struct cancel *cancel,
                       struct error *err)
{
	_cleanup_(exemplars_done) struct exemplars ex = { 0 };
	_buf_ struct buf name = BUF_INIT(512), head = BUF_INIT(1 << 20);
	int e = exemplars_of(q, s->steps, cancel, &ex, err);
	if (e < 0)
		return e;
	buf_puts(&name, "profilefs_");
	put_sanitised(&name, str_of(query_info(q)->type), false);
	buf_puts(&name, "_profiles");
	buf_printf(out, "# TYPE %.*s counter\n", (int)name.len, (const char *)name.data);
	buf_printf(out, "# HELP %.*s Profiles since the first step.\n", (int)name.len, (const char *)name.data);
	for (size_t i = 0; i < s->n_rows && !e; i++) {
		buf_reset(&head);
		buf_put(&head, name.data, name.len);
		buf_puts(&head, "_total");
		e = put_labels(&head, q, s->rows[i].name);
		if (!e)
			put_counter_row(out, s, &s->rows[i], &head, &ex);
	}
	return e;
}

static int metrics_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_metrics_ struct metrics s = { 0 };
	int e = metrics_of(q, cancel, &s, err);
	if (e < 0)
		return e;
	if (s.instant)
		e = put_metric(out, q, &s, NULL, "average", "Average over the step that begins at the timestamp.");
	else
		e = put_metric(out, q, &s, NULL, "sum_per_step",
		               "What fell into the step that begins at the timestamp.");
	if (!e && !s.instant)
		e = put_metric(out, q, &s, NULL, "rate",
		               "Per second of covered time in the step that begins at the timestamp.");
	if (!e && query_selection(q)->options.exemplars)
		e = put_counter(out, q, &s, cancel, err);
	if (e < 0)
		return e;
	buf_puts(out, "# EOF\n");
	return buf_err(out);
}

const struct rendering render_metrics_prom = { "metrics.prom", RENDER_TYPE | RENDER_BY, false,
                                               metrics_render };

int render_newest(struct query *q, const char *name, int64_t since, const struct cancel *cancel, struct buf *out,
                  struct error *err)
{
	_metrics_ struct metrics s = { 0 };
	struct newest newest = { name, since };
	int e = metrics_of(q, cancel, &s, err);
	if (e < 0 || !query_info(q)->profiles)
		return e;
	if (s.instant)
		return put_metric(out, q, &s, &newest, "average", "Average over the newest step.");
	e = put_metric(out, q, &s, &newest, "sum_per_step", "What fell into the newest step.");
	return e < 0 ? e : put_metric(out, q, &s, &newest, "rate", "Per second of covered time in the newest step.");
}

/* ---- series for other programs ---- */

static int pass_row(const struct metrics *s, const struct metric_row *row, struct metric_series *m, bool is_rate,
                    metric_fn fn, void *ctx)
{
	_free_ struct metric_sample *samples = calloc(s->steps->n + 1, sizeof *samples);
	if (!samples)
		return -ENOMEM;
	m->samples = samples;
	m->n_samples = 0;
	for (size_t i = 0; i < s->steps->n; i++) {
		const struct step *v = &row->v[i];
		if (is_rate ? v->covered : metrics_has_sum(s, v))
			samples[m->n_samples++] = (struct metric_sample){
				step_time(s, i), (is_rate ? v->rate : v->sum) * s->factor };
	}
	return m->n_samples ? fn(ctx, m) : 0;
}

static int pass_metric(struct query *q, const struct metrics *s, const char *name, const char *kind, metric_fn fn,
                       void *ctx)
{
	struct family f = { .is_rate = !strcmp(kind, "rate") };
	family_init(&f, query_info(q), s, name, kind);
	int e = buf_err(&f.name);
	for (size_t i = 0; i < s->n_rows && !e; i++) {
		_row_labels_ struct row_labels l;
		e = row_labels_of(q, s->rows[i].name, &l);
		struct metric_series m = { .name = { (const char *)f.name.data, f.name.len }, .labels = l.v,
			                   .n_labels = l.n };
		if (!e)
			e = pass_row(s, &s->rows[i], &m, f.is_rate, fn, ctx);
	}
	buf_done(&f.name);
	return e;
}

int render_series(struct query *q, const char *name, const struct cancel *cancel, metric_fn fn, void *ctx,
                  struct error *err)
{
	_metrics_ struct metrics s = { 0 };
	int e = metrics_of(q, cancel, &s, err);
	if (e < 0 || !query_info(q)->profiles)
		return e;
	e = pass_metric(q, &s, name, s.instant ? "average" : "sum_per_step", fn, ctx);
	return e || s.instant ? e : pass_metric(q, &s, name, "rate", fn, ctx);
}
