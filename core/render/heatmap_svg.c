/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "grid.h"
#include "heatmap.h"

/*
 * The heatmap as a picture without script: each cell has a title and is a link to its profiles. At most about
 * 20,000 elements: 300 columns of at most 21 rows of three elements, or 120 columns of 41 rows by label.
 */

#define WIDTH 1200
#define TOP 96
#define ROW_HEIGHT 16
#define COLOURS 9
#define MARGIN_RIGHT 20

static const struct heat_limits by_value = { .columns = 299, .rows = 0, .nice_columns = 240 };
static const struct heat_limits by_label = { .columns = 119, .rows = 40, .nice_columns = 119 };

static const char style[] =
	"rect{shape-rendering:crispEdges}.ax{stroke:#767676;fill:none}\n"
	".gb{fill:#e4e4e4}.gl{stroke:#a8a8a8}.z{fill:#f7f7f7}.gap{fill:url(#gap)}\n"
	".h0{fill:#dce9f6}.h1{fill:#c0d9ee}.h2{fill:#9ac4e2}.h3{fill:#6fabd4}.h4{fill:#4a90c5}\n"
	".h5{fill:#2f75b2}.h6{fill:#1d5b99}.h7{fill:#12447c}.h8{fill:#0a2f5c}\n"
	"a:hover rect,a:focus rect{stroke:#d81b60;stroke-width:2}\n"
	"@media (prefers-color-scheme:dark){.ax{stroke:#8c8c8c}.gb{fill:#33363d}.gl{stroke:#5a5f69}.z{fill:#1d2026}\n"
	".h0{fill:#1c3350}.h1{fill:#1c4570}.h2{fill:#1d5990}.h3{fill:#2a70ad}.h4{fill:#3f89c6}\n"
	".h5{fill:#5fa4d9}.h6{fill:#86bee8}.h7{fill:#b0d6f3}.h8{fill:#def0fc}}\n"
	"@media (forced-colors:active){rect{forced-color-adjust:none}.ax{stroke:CanvasText}}\n";

struct picture {
	struct query *q;
	const struct heatmap *h;
	struct buf *out;
	struct shown shown;
	double greatest;   /* of the weights of cells */
	int left, bottom;  /* of the cells */
	double column;     /* width */
	struct grid grid;
};

static double weight_of(const struct picture *p, const struct heat_cell *cell)
{
	if (!cell->count)
		return 0;
	if (p->h->by_label)
		return fabs(p->h->instant ? cell->sum / (double)cell->count : cell->sum);
	return query_selection(p->q)->options.weight_value ? fabs(cell->sum) : (double)cell->count;
}

static bool weighs_values(const struct picture *p)
{
	return p->h->by_label || query_selection(p->q)->options.weight_value;
}

static unsigned colour_of(const struct picture *p, double weight)
{
	double share = p->greatest > 0 ? weight / p->greatest : 0;
	return (unsigned)MIN(COLOURS * share, (double)COLOURS - 1);
}

static void put_x(struct buf *out, double x)
{
	put_decimal(out, x, 2);
}

static double column_x(const struct picture *p, size_t column)
{
	return p->left + (double)column * p->column;
}

/* Buckets grow upwards, label values are listed downwards. */
static int row_y(const struct picture *p, size_t row)
{
	size_t from_top = p->h->by_label ? row : p->h->n_rows - 1 - row;
	return TOP + (int)from_top * ROW_HEIGHT;
}

static void put_rect(const struct picture *p, const char *class, size_t column, size_t n, int y, int height)
{
	buf_printf(p->out, "<rect class=\"%s\" x=\"", class);
	put_x(p->out, column_x(p, column));
	buf_printf(p->out, "\" y=\"%d\" width=\"", y);
	put_x(p->out, (double)n * p->column);
	buf_printf(p->out, "\" height=\"%d\"", height);
}

/* ---- cells ---- */

static void put_profiles(struct buf *out, uint64_t n)
{
	put_grouped(out, n);
	buf_puts(out, n == 1 ? " profile" : " profiles");
}

static void put_double_value(struct buf *out, const struct shown *shown, double v)
{
	put_value(out, shown, fabs(v) < 9e18 ? (int64_t)llround(v) : v < 0 ? INT64_MIN : INT64_MAX);
}

static void put_cell_title(const struct picture *p, size_t row, size_t column, const struct heat_cell *cell)
{
	const struct heat_row *r = &p->h->rows[row];
	put_profiles(p->out, cell->count);
	buf_puts(p->out, ", ");
	if (p->h->by_label) {
		xml_escape(p->out, r->name.len ? r->name : STR("(none)"));
		buf_puts(p->out, p->h->instant ? ": average " : ": ");
		put_double_value(p->out, &p->shown, p->h->instant ? cell->sum / (double)cell->count : cell->sum);
	} else {
		put_value(p->out, &p->shown, r->low);
		buf_puts(p->out, " to ");
		put_value(p->out, &p->shown, r->high);
		buf_puts(p->out, ", sum ");
		put_double_value(p->out, &p->shown, cell->sum);
	}
	buf_puts(p->out, ", after ");
	put_time(p->out, heat_column_time(p->h, column));
	buf_puts(p->out, " to ");
	put_time(p->out, heat_column_time(p->h, column + 1));
}

static void put_name(struct buf *out, const struct point *p)
{
	char time[TIME_LEN], id[ULID_LEN + 1];
	buf_printf(out, "\n%s_%s", time_format_compact(p->time, time), ulid_format(&p->id, id));
}

/* The first profiles of a cell, by name. */
static void put_names(const struct picture *p, const struct heat_cell *cell)
{
	for (size_t i = 0; i < MIN(cell->count, (uint64_t)HEAT_NAMED); i++)
		put_name(p->out, &p->h->points[cell->named[i]]);
	if (cell->count > HEAT_NAMED) {
		buf_puts(p->out, "\nand ");
		put_grouped(p->out, cell->count - HEAT_NAMED);
		buf_puts(p->out, " more");
	}
}

/* Where the profiles of a column are, from the directory of the picture; false where a path cannot say it. */
static bool put_link(const struct picture *p, size_t column)
{
	size_t at = p->out->len;
	buf_printf(p->out, "<a href=\"%s", p->grid.prefix);
	if (!put_grid_path(p->out, &p->grid, column, 1)) {
		p->out->len = at;
		return false;
	}
	buf_puts(p->out, "/profiles/\">");
	return true;
}

static void put_cell(const struct picture *p, size_t row, size_t column)
{
	const struct heat_cell *cell = heat_cell(p->h, row, column);
	if (!cell->count)
		return;
	char class[] = "h0";
	class[1] = (char)('0' + colour_of(p, weight_of(p, cell)));
	bool linked = put_link(p, column);
	put_rect(p, class, column, 1, row_y(p, row), ROW_HEIGHT);
	buf_puts(p->out, "><title>");
	put_cell_title(p, row, column, cell);
	put_names(p, cell);
	buf_puts(p->out, linked ? "</title></rect></a>\n" : "</title></rect>\n");
}

static void put_gaps(const struct picture *p)
{
	const struct heatmap *h = p->h;
	for (size_t c = 0; c < h->n_columns;) {
		size_t end = c;
		while (end < h->n_columns && !h->covered[end])
			end++;
		if (end > c) {
			put_rect(p, "gap", c, end - c, TOP, p->bottom - TOP);
			buf_puts(p->out, "><title>no profiles from ");
			put_time(p->out, heat_column_time(h, c));
			buf_puts(p->out, " to ");
			put_time(p->out, heat_column_time(h, end));
			buf_puts(p->out, "</title></rect>\n");
		}
		c = end + 1;
	}
}

static void put_cells(const struct picture *p)
{
	put_rect(p, "z", 0, p->h->n_columns, TOP, p->bottom - TOP);
	buf_puts(p->out, "/>\n");
	put_gaps(p);
	for (size_t c = 0; c < p->h->n_columns; c++)
		for (size_t r = 0; r < p->h->n_rows; r++)
			put_cell(p, r, c);
}

/* ---- axes and legend ---- */

static void put_label(const struct picture *p, struct str s, size_t max)
{
	size_t at = 0, shown = 0;
	while (at < s.len && shown < max) {
		size_t len = utf8_length(s.s + at, s.len - at);
		at += MAX(len, (size_t)1);
		shown++;
	}
	xml_escape(p->out, (struct str){ s.s, at });
	if (at < s.len)
		buf_puts(p->out, "..");
}

static void put_row_label(const struct picture *p, size_t row)
{
	const struct heat_row *r = &p->h->rows[row];
	buf_printf(p->out, "<text class=\"e\" x=\"%d\" y=\"%d\">", p->left - 6,
	           row_y(p, row) + (p->h->by_label ? 12 : 20));
	if (r->others) {
		put_grouped(p->out, r->others);
		buf_puts(p->out, " others");
	} else if (p->h->by_label) {
		put_label(p, r->name.len ? r->name : STR("(none)"), 24);
	} else {
		put_value(p->out, &p->shown, r->low);
	}
	buf_puts(p->out, "</text>\n");
}

static void put_value_axis(const struct picture *p)
{
	size_t every = p->h->by_label ? 1 : MAX(p->h->n_rows / 5, (size_t)1);
	for (size_t r = 0; r < p->h->n_rows; r += every)
		put_row_label(p, r);
	buf_printf(p->out, "<path class=\"ax\" d=\"M%d %dV%dH%d\"/>\n", p->left, TOP, p->bottom,
	           WIDTH - MARGIN_RIGHT);
	if (p->h->by_label)
		return;
	buf_printf(p->out, "<text class=\"e\" x=\"%d\" y=\"%d\">", p->left - 6, TOP + 4);
	put_value(p->out, &p->shown, p->h->rows[p->h->n_rows - 1].high);
	buf_puts(p->out, "</text>\n");
}

static void put_tick(const struct picture *p, size_t column, bool with_date, bool with_seconds)
{
	char text[TIME_LEN];
	double x = column_x(p, column);
	struct civil c = civil_of(heat_column_time(p->h, column));
	buf_puts(p->out, "<path class=\"ax\" d=\"M");
	put_x(p->out, x);
	buf_printf(p->out, " %dv5\"/><text class=\"m\" x=\"", p->bottom);
	put_x(p->out, x);
	buf_printf(p->out, "\" y=\"%d\">%02d:%02d", p->bottom + 18, c.hour, c.minute);
	if (with_seconds)
		buf_printf(p->out, ":%02d", c.second);
	buf_puts(p->out, "</text>\n");
	if (!with_date)
		return;
	buf_puts(p->out, "<text class=\"m\" x=\"");
	put_x(p->out, x);
	buf_printf(p->out, "\" y=\"%d\">%s</text>\n", p->bottom + 33,
	           day_format(time_day(heat_column_time(p->h, column)), text));
}

/* At round times where columns begin at them, else at every so many columns. */
static void put_time_axis(const struct picture *p)
{
	const struct heatmap *h = p->h;
	int64_t tick = heat_nice_step((uint64_t)heat_column_time(h, h->n_columns) - (uint64_t)h->from, 11);
	bool round = tick >= h->step && tick % h->step == 0;
	size_t every = (h->n_columns + 9) / 10;
	int32_t day = INT32_MIN;
	for (size_t c = 0; c < h->n_columns; c++) {
		int64_t t = heat_column_time(h, c);
		if (round ? t % tick != 0 : c % every != 0)
			continue;
		put_tick(p, c, time_day(t) != day, round ? tick % NS_PER_MIN != 0 : h->step < NS_PER_MIN);
		day = time_day(t);
	}
	buf_printf(p->out, "<text class=\"e\" x=\"%d\" y=\"%d\">UTC</text>\n", WIDTH - MARGIN_RIGHT, p->bottom + 33);
}

static void put_legend(const struct picture *p)
{
	int x = 690, y = 64;
	buf_printf(p->out, "<text class=\"e\" x=\"%d\" y=\"%d\">%s</text>\n", x - 8, y,
	           weighs_values(p) ? "value" : "profiles");
	for (int i = 0; i < COLOURS; i++)
		buf_printf(p->out, "<rect class=\"h%d\" x=\"%d\" y=\"%d\" width=\"20\" height=\"14\"/>\n", i,
		           x + i * 20, y - 12);
	buf_printf(p->out, "<text x=\"%d\" y=\"%d\">to ", x + COLOURS * 20 + 8, y);
	if (weighs_values(p))
		put_double_value(p->out, &p->shown, p->greatest);
	else
		put_grouped(p->out, (uint64_t)p->greatest);
	buf_printf(p->out,
	           "</text>\n<rect class=\"gap\" x=\"%d\" y=\"%d\" width=\"20\" height=\"14\"/>\n",
	           x + 290, y - 12);
	buf_printf(p->out, "<text x=\"%d\" y=\"%d\">no profiles</text>\n", x + 318, y);
}

/* ---- the picture ---- */

static void put_step(const struct picture *p)
{
	buf_puts(p->out, ", step ");
	put_decimal(p->out, (double)p->h->step / 1e9, 9);
	buf_puts(p->out, p->h->coarsened ? " s (longer than asked for, to stay drawable)" : " s");
}

static void put_summary(const struct picture *p, struct buf *out)
{
	put_profiles(out, query_info(p->q)->profiles);
	buf_puts(out, ", ");
	put_picture_range(out, p->q);
}

static void put_head(const struct picture *p, int height)
{
	_buf_ struct buf summary = BUF_INIT((size_t)1 << 20);
	struct svg_head head = { WIDTH, height, p->h->n_columns ? &web_grid_js : NULL };
	put_summary(p, &summary);
	put_svg_head(p->out, &head, p->q, "heatmap", (struct str){ (const char *)summary.data, summary.len });
	buf_puts(p->out, "<style>\n");
	buf_puts(p->out, picture_style);
	buf_puts(p->out, grid_style);
	buf_puts(p->out, style);
	buf_puts(p->out, "</style>\n");
	buf_puts(p->out, gap_pattern);
	buf_printf(p->out, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", WIDTH, height);
	buf_printf(p->out, "<text class=\"m t\" x=\"%d\" y=\"22\">", WIDTH / 2);
	put_picture_title(p->out, p->q);
	buf_printf(p->out, "</text>\n<text class=\"m q\" x=\"%d\" y=\"42\">", WIDTH / 2);
	put_summary(p, p->out);
	if (p->h->n_columns)
		put_step(p);
	buf_puts(p->out, "</text>\n");
}

static void measure(struct picture *p)
{
	const struct heatmap *h = p->h;
	p->left = h->by_label ? 200 : 90;
	p->bottom = TOP + (int)h->n_rows * ROW_HEIGHT;
	p->column = (double)(WIDTH - MARGIN_RIGHT - p->left) / (double)MAX(h->n_columns, (size_t)1);
	p->grid = (struct grid){ p->left, p->column, TOP, p->bottom, h->n_columns, h->from, h->step, h->sharp, NULL,
		                 "profiles", h->by_label ? "../" : "" };
	for (size_t r = 0; r < h->n_rows; r++)
		for (size_t c = 0; c < h->n_columns && !h->rows[r].others; c++)
			p->greatest = MAX(p->greatest, weight_of(p, heat_cell(h, r, c)));
}

static int put_selector(struct picture *p)
{
	_free_ uint64_t *counts = calloc(p->h->n_columns + 1, sizeof *counts);
	if (!counts)
		return -ENOMEM;
	for (size_t r = 0; r < p->h->n_rows; r++)
		for (size_t c = 0; c < p->h->n_columns; c++)
			counts[c] += heat_cell(p->h, r, c)->count;
	p->grid.counts = counts;
	put_grid(p->out, &p->grid, TOP - 10);
	put_svg_script(p->out, &web_grid_js);
	return 0;
}

static int heatmap_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_heatmap_ struct heatmap h = { 0 };
	int e = heatmap_of(q, query_selection(q)->by ? &by_label : &by_value, cancel, &h, err);
	if (e < 0)
		return e;
	struct picture p = { .q = q, .h = &h, .out = out, .shown = shown_of(q) };
	measure(&p);
	if (!h.n_columns) {
		put_head(&p, 120);
		buf_printf(out, "<text class=\"m\" x=\"%d\" y=\"80\">no profiles in this selection</text>\n",
		           WIDTH / 2);
	} else {
		put_head(&p, p.bottom + 44);
		put_legend(&p);
		put_cells(&p);
		put_value_axis(&p);
		put_time_axis(&p);
		e = put_selector(&p);
		if (e < 0)
			return e;
	}
	buf_puts(out, "</svg>\n");
	return buf_err(out);
}

const struct rendering render_heatmap_svg = { "heatmap.svg", RENDER_TYPE | RENDER_BY, false, heatmap_render };
