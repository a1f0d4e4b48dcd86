/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "heatmap.h"
#include "picture.h"

/*
 * The heatmap as a picture without script: each cell has a title and is a link to its profiles. At most about
 * 20,000 elements: 300 columns of at most 21 rows of three elements, or 120 columns of 41 rows by label.
 */

#define WIDTH 1200
#define TOP 84
#define ROW_HEIGHT 16
#define COLOURS 9
#define MARGIN_RIGHT 20

static const struct heat_limits by_value = { .columns = 299, .rows = 0, .nice_columns = 240 };
static const struct heat_limits by_label = { .columns = 119, .rows = 40, .nice_columns = 119 };

static const char style[] =
	"<style>\n"
	"text{font:12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1a1a1a}\n"
	"rect{shape-rendering:crispEdges}.e{text-anchor:end}.m{text-anchor:middle}.t{font-size:16px}\n"
	"svg{background:#fff}.bg{fill:#fff}.ax{stroke:#767676;fill:none}\n"
	".gb{fill:#e4e4e4}.gl{stroke:#a8a8a8}.z{fill:#f7f7f7}\n"
	".h0{fill:#dce9f6}.h1{fill:#c0d9ee}.h2{fill:#9ac4e2}.h3{fill:#6fabd4}.h4{fill:#4a90c5}\n"
	".h5{fill:#2f75b2}.h6{fill:#1d5b99}.h7{fill:#12447c}.h8{fill:#0a2f5c}\n"
	"a:hover rect,a:focus rect{stroke:#e600e6;stroke-width:2}\n"
	"@media (prefers-color-scheme:dark){\n"
	"svg{background:#16181c}text{fill:#f0f0f0}.bg{fill:#16181c}.ax{stroke:#8c8c8c}\n"
	".gb{fill:#33363d}.gl{stroke:#5a5f69}.z{fill:#1d2026}\n"
	".h0{fill:#1c3350}.h1{fill:#1c4570}.h2{fill:#1d5990}.h3{fill:#2a70ad}.h4{fill:#3f89c6}\n"
	".h5{fill:#5fa4d9}.h6{fill:#86bee8}.h7{fill:#b0d6f3}.h8{fill:#def0fc}}\n"
	"</style>\n"
	"<defs><pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<rect class=\"gb\" width=\"6\" height=\"6\"/><path class=\"gl\" d=\"M0 6L6 0\"/></pattern></defs>\n";

struct picture {
	struct query *q;
	const struct heatmap *h;
	struct buf *out;
	struct shown shown;
	double greatest;   /* of the weights of cells */
	int left, bottom;  /* of the cells */
	double column;     /* width */
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
	buf_puts(p->out, ", ");
	put_time(p->out, heat_column_time(p->h, column));
}

/* Where the profiles of a column are, from the directory of the picture; false where a path cannot say it. */
static bool put_link(const struct picture *p, size_t column)
{
	char from[TIME_LEN], to[TIME_LEN];
	int64_t begin = heat_column_time(p->h, column), end = heat_column_time(p->h, column + 1);
	if (begin % NS_PER_S || end % NS_PER_S || end <= begin)
		return false;
	buf_printf(p->out, "<a href=\"%s%s--%s/profiles/\">", p->h->by_label ? "../" : "",
	           time_format_compact(begin, from), time_format_compact(end, to));
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
			buf_puts(p->out, " fill=\"url(#gap)\"><title>no profiles from ");
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
	int x = 760, y = 58;
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
	           "</text>\n<rect fill=\"url(#gap)\" x=\"%d\" y=\"%d\" width=\"20\" height=\"14\"/>\n",
	           x + 290, y - 12);
	buf_printf(p->out, "<text x=\"%d\" y=\"%d\">no profiles</text>\n", x + 318, y);
}

/* ---- the picture ---- */

static void put_title(const struct picture *p)
{
	const struct selection *s = query_selection(p->q);
	xml_escape(p->out, service_title(s));
	buf_puts(p->out, " · ");
	xml_escape(p->out, str_of(query_info(p->q)->type));
	if (s->by) {
		buf_puts(p->out, " by ");
		xml_escape(p->out, str_of(s->by));
	}
}

static void put_step(const struct picture *p)
{
	buf_puts(p->out, ", step ");
	put_decimal(p->out, (double)p->h->step / 1e9, 9);
	buf_puts(p->out, p->h->coarsened ? " s (longer than asked for, to stay drawable)" : " s");
}

static void put_head(const struct picture *p, int height)
{
	put_svg_head(p->out, &(struct svg_head){ WIDTH, height, NULL }, p->q, "heatmap", STR(""));
	buf_put(p->out, style, sizeof style - 1);
	buf_printf(p->out,
	           "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n<text class=\"m t\" x=\"%d\" y=\"24\">",
	           WIDTH, height, WIDTH / 2);
	put_title(p);
	buf_printf(p->out, "</text>\n<text class=\"m\" x=\"%d\" y=\"42\">", WIDTH / 2);
	put_profiles(p->out, query_info(p->q)->profiles);
	buf_puts(p->out, ", ");
	put_range(p->out, p->q);
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
	for (size_t r = 0; r < h->n_rows; r++)
		for (size_t c = 0; c < h->n_columns && !h->rows[r].others; c++)
			p->greatest = MAX(p->greatest, weight_of(p, heat_cell(h, r, c)));
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
	}
	buf_puts(out, "</svg>\n");
	return buf_err(out);
}

const struct rendering render_heatmap_svg = { "heatmap.svg", RENDER_TYPE | RENDER_BY, false, heatmap_render };
