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

static void put_escaped(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len;) {
		size_t len = utf8_length(s.s + i, s.len - i);
		if (!len)
			buf_puts(out, NOT_UTF8);
		else if (s.s[i] == '\n')
			buf_puts(out, "\\n");
		else if (s.s[i] == '\\' || s.s[i] == '"')
			buf_printf(out, "\\%c", s.s[i]);
		else
			buf_put(out, s.s + i, len);
		i += MAX(len, (size_t)1);
	}
}

static void put_label(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "%s=\"", key);
	put_escaped(out, value);
	buf_putc(out, '"');
}

/* A label name that is valid, not reserved, and none of those that samples have. */
static void put_by_name(struct buf *out, const char *by)
{
	bool taken = !strcmp(by, "service") || !strcmp(by, "type") || !strcmp(by, "function");
	if (taken || !strncmp(by, "__", 2) || !by[0])
		buf_puts(out, "label_");
	put_sanitised(out, str_of(by), !out->len);
}

static void put_labels(struct buf *out, const struct query_info *info, const struct selection *sel,
                       struct str row)
{
	buf_putc(out, '{');
	bool by_service = sel->by && !sel->service && !strcmp(sel->by, "service");
	if (by_service || sel->service) {
		put_label(out, "service", by_service ? row : str_of(sel->service));
		buf_putc(out, ',');
	}
	put_label(out, "type", str_of(info->type));
	if (sel->by && !by_service) {
		_buf_ struct buf name = BUF_INIT(4096);
		put_by_name(&name, sel->by);
		buf_putc(&name, 0);
		buf_putc(out, ',');
		put_label(out, buf_err(&name) ? "label" : (const char *)name.data, row);
	}
	const char *function = selection_function(sel);
	if (function) {
		buf_putc(out, ',');
		put_label(out, "function", str_of(function));
	}
	buf_puts(out, "} ");
}

static void put_timestamp(struct buf *out, int64_t t)
{
	int64_t seconds = time_floor_div(t, NS_PER_S);
	buf_i64(out, seconds);
	int64_t nanos = t - seconds * NS_PER_S;
	if (nanos)
		buf_printf(out, ".%09lld", (long long)nanos);
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
		put_timestamp(out, s->steps->from + (int64_t)i * s->steps->step);
		buf_putc(out, '\n');
	}
}

/* The newest value alone, without its time. */
static void put_newest(struct buf *out, const struct metrics *s, const struct metric_row *row, const struct buf *head,
                       bool is_rate)
{
	for (size_t i = s->steps->n; i-- > 0;) {
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

/* rule: the name of the series, of which the newest values are put; NULL: all values, as metrics.prom has them. */
static int put_metric(struct buf *out, struct query *q, const struct metrics *s, const char *rule, const char *kind,
                      const char *help)
{
	struct family f = { .help = help, .is_rate = !strcmp(kind, "rate") };
	family_init(&f, query_info(q), s, rule, kind);
	put_family(out, &f);
	_buf_ struct buf head = BUF_INIT(1 << 20);
	for (size_t i = 0; i < s->n_rows; i++) {
		buf_reset(&head);
		buf_put(&head, f.name.data, f.name.len);
		put_labels(&head, query_info(q), query_selection(q), s->rows[i].name);
		if (buf_err(&head))
			break;
		if (rule)
			put_newest(out, s, &s->rows[i], &head, f.is_rate);
		else
			put_row(out, s, &s->rows[i], &head, f.is_rate);
	}
	buf_done(&f.name);
	return buf_err(&head);
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
		put_timestamp(out, s->steps->from + (int64_t)i * s->steps->step);
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
	for (size_t i = 0; i < s->n_rows && !buf_err(&head); i++) {
		buf_reset(&head);
		buf_put(&head, name.data, name.len);
		buf_puts(&head, "_total");
		put_labels(&head, query_info(q), query_selection(q), s->rows[i].name);
		put_counter_row(out, s, &s->rows[i], &head, &ex);
	}
	return buf_err(&head);
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

int render_newest(struct query *q, const char *name, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_metrics_ struct metrics s = { 0 };
	int e = metrics_of(q, cancel, &s, err);
	if (e < 0 || !query_info(q)->profiles)
		return e;
	if (s.instant)
		return put_metric(out, q, &s, name, "average", "Average over the newest step.");
	e = put_metric(out, q, &s, name, "sum_per_step", "What fell into the newest step.");
	return e < 0 ? e : put_metric(out, q, &s, name, "rate", "Per second of covered time in the newest step.");
}
