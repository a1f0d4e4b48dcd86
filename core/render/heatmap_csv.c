/* SPDX-License-Identifier: MIT */
#include "csv.h"
#include "heatmap.h"

/*
 * The cells of the heatmap that hold profiles, by time, then value; exact bounds in the canonical unit. A cell's time
 * is the right edge of its column, which belongs to it.
 */

static void put_cell(struct buf *out, const struct heat_row *row, const struct heat_cell *cell)
{
	buf_putc(out, ',');
	buf_i64(out, row->low);
	buf_putc(out, ',');
	buf_i64(out, row->high);
	buf_putc(out, ',');
	buf_i64(out, (int64_t)cell->count);
	buf_putc(out, ',');
	put_number(out, cell->sum);
}

static void put_column(struct buf *out, const struct heatmap *h, size_t column, const char *unit)
{
	char time[TIME_LEN];
	time_format_rfc3339(heat_column_time(h, column + 1), time);
	for (size_t r = 0; r < h->n_rows; r++) {
		if (!heat_cell(h, r, column)->count)
			continue;
		buf_puts(out, time);
		put_cell(out, &h->rows[r], heat_cell(h, r, column));
		buf_putc(out, ',');
		csv_field(out, str_of(unit));
		buf_putc(out, '\n');
	}
}

static int heatmap_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	static const struct heat_limits limits = { .columns = 20000, .rows = 1, .nice_columns = 240 };
	_heatmap_ struct heatmap h = { 0 };
	int e = heatmap_of(q, &limits, cancel, &h, err);
	if (e < 0)
		return e;
	buf_puts(out, "time,low,high,count,sum,unit\n");
	for (size_t c = 0; c < h.n_columns; c++)
		put_column(out, &h, c, query_info(q)->unit);
	return buf_err(out);
}

const struct rendering render_heatmap_csv = { "heatmap.csv", RENDER_TYPE, false, heatmap_render };
