/* SPDX-License-Identifier: MIT */
#include "csv.h"
#include "metrics.h"

/*
 * Values over time for a spreadsheet (RFC 4180, line ends LF): one line per step and value of the by-label,
 * in seconds, bytes or the unit itself. Steps without a value have no line; a sum without a rate leaves that empty.
 */

static void put_head(struct buf *out, struct query *q, const struct metrics *s)
{
	const char *by = query_selection(q)->by;
	buf_puts(out, "time");
	if (by) {
		buf_putc(out, ',');
		csv_field(out, str_of(by));
	}
	buf_puts(out, s->instant ? ",average,profiles,unit\n" : ",sum,rate,profiles,unit\n");
}

static void put_line(struct buf *out, const struct metrics *s, const struct step *v, const char *time,
                     const struct buf *name)
{
	buf_puts(out, time);
	buf_put(out, name->data, name->len);
	buf_putc(out, ',');
	put_number(out, v->sum * s->factor);
	if (!s->instant) {
		buf_putc(out, ',');
		if (v->covered)
			put_number(out, v->rate * s->factor);
	}
	buf_putc(out, ',');
	buf_i64(out, v->profiles);
	buf_putc(out, ',');
	csv_field(out, *s->base_unit ? str_of(s->base_unit) : STR("count"));
	buf_putc(out, '\n');
}

/* The label's field with its comma; nothing without a by-label. */
static int name_field(struct buf *out, const char *by, struct str name)
{
	buf_reset(out);
	if (by) {
		buf_putc(out, ',');
		csv_field(out, name);
	}
	return buf_err(out);
}

static int metrics_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_metrics_ struct metrics s = { 0 };
	int e = metrics_of(q, cancel, &s, err);
	if (e < 0)
		return e;
	put_head(out, q, &s);
	_buf_ struct buf name = BUF_INIT(1 << 20);
	for (size_t r = 0; r < s.n_rows; r++) {
		e = name_field(&name, query_selection(q)->by, s.rows[r].name);
		if (e < 0)
			return e;
		for (size_t i = 0; i < s.steps->n && !buf_err(out); i++) {
			char time[TIME_LEN];
			if (metrics_has_sum(&s, &s.rows[r].v[i]))
				put_line(out, &s, &s.rows[r].v[i],
				         time_format_rfc3339(s.steps->from + (int64_t)i * s.steps->step, time), &name);
		}
	}
	return buf_err(out);
}

const struct rendering render_metrics_csv = { "metrics.csv", RENDER_TYPE | RENDER_BY, false, metrics_render };
