/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "../query/moments.h"
#include "grid.h"
#include "heatmap.h"

/*
 * FlameScope's picture: seconds across, the offset within the second up, colour by what was sampled there. So work that
 * comes in beats shows as stripes. It needs samples that say when they were taken. Ranges of more seconds than have
 * room get columns of several: then a row is a fiftieth of that.
 */

#define WIDTH 1200
#define LEFT 90
#define RIGHT 20
#define TOP 96
#define ROWS 50
#define ROW_HEIGHT 8
#define COLUMNS_MAX 180 /* with a title for each cell 18,000 elements */
#define COLOURS 9

static const char style[] =
	"rect{shape-rendering:crispEdges}.ax{stroke:#767676;fill:none}.z{fill:#f7f7f7}\n"
	".gb{fill:#e4e4e4}.gl{stroke:#a8a8a8}.gap{fill:url(#gap)}\n"
	".h0{fill:#fdeccb}.h1{fill:#fdd49e}.h2{fill:#fdbb84}.h3{fill:#fc8d59}.h4{fill:#ef6548}\n"
	".h5{fill:#d7301f}.h6{fill:#b30000}.h7{fill:#7f0000}.h8{fill:#4a0000}\n"
	"@media (prefers-color-scheme:dark){.ax{stroke:#8c8c8c}.z{fill:#1d2026}.gb{fill:#33363d}.gl{stroke:#5a5f69}\n"
	".h0{fill:#3d2018}.h1{fill:#5c2a1a}.h2{fill:#80331a}.h3{fill:#a8431c}.h4{fill:#cf5a24}\n"
	".h5{fill:#ee7d3b}.h6{fill:#fba45f}.h7{fill:#fdc98f}.h8{fill:#fff0d0}}\n"
	"@media (forced-colors:active){rect{forced-color-adjust:none}.ax{stroke:CanvasText}}\n";

struct subsecond {
	struct query *q;
	struct buf *out;
	struct shown shown;
	int64_t first, last; /* of the samples' times */
	int64_t from, step;  /* columns */
	size_t n_columns;
	double *sum;         /* of each cell, column by column */
	uint64_t *counts;    /* samples of each column */
	uint64_t told, without;
	double greatest;
	int bottom;
};

/* ---- cells ---- */

static void find_ends(void *arg, int64_t time, int64_t value)
{
	struct subsecond *s = arg;
	s->first = MIN(s->first, time);
	s->last = MAX(s->last, time);
}

static void add_sample(void *arg, int64_t time, int64_t value)
{
	struct subsecond *s = arg;
	size_t column = (size_t)(((uint64_t)time - (uint64_t)s->from) / (uint64_t)s->step);
	uint64_t offset = ((uint64_t)time - (uint64_t)s->from) % (uint64_t)s->step;
	s->sum[column * ROWS + (size_t)(offset / ((uint64_t)s->step / ROWS))] += (double)value;
	s->counts[column]++;
}

static int fill_cells(struct subsecond *s, const struct cancel *cancel, struct error *err)
{
	struct moments m = { find_ends, s, 0, 0 };
	s->first = INT64_MAX;
	s->last = INT64_MIN;
	int e = query_moments(s->q, cancel, &m, err);
	s->told = m.told;
	s->without = m.without;
	if (e < 0 || s->first > s->last)
		return e;
	s->step = heat_nice_step((uint64_t)s->last - (uint64_t)s->first + NS_PER_S, COLUMNS_MAX);
	s->from = time_floor(MAX(s->first, INT64_MIN + s->step), s->step);
	s->n_columns = (size_t)(((uint64_t)s->last - (uint64_t)s->from) / (uint64_t)s->step) + 1;
	s->sum = calloc(s->n_columns * ROWS, sizeof *s->sum);
	s->counts = calloc(s->n_columns, sizeof *s->counts);
	if (!s->sum || !s->counts)
		return -ENOMEM;
	m = (struct moments){ add_sample, s, 0, 0 };
	e = query_moments(s->q, cancel, &m, err);
	for (size_t i = 0; i < s->n_columns * ROWS; i++)
		s->greatest = fmax(s->greatest, fabs(s->sum[i]));
	return e;
}

/* ---- the picture ---- */

static double column_width(const struct subsecond *s)
{
	return (double)(WIDTH - LEFT - RIGHT) / (double)MAX(s->n_columns, (size_t)1);
}

static double column_x(const struct subsecond *s, size_t column)
{
	return LEFT + (double)column * column_width(s);
}

static void put_rect(const struct subsecond *s, const char *class, size_t column, size_t n, int y, int height)
{
	buf_printf(s->out, "<rect class=\"%s\" x=\"", class);
	put_decimal(s->out, column_x(s, column), 2);
	buf_printf(s->out, "\" y=\"%d\" width=\"", y);
	put_decimal(s->out, (double)n * column_width(s), 2);
	buf_printf(s->out, "\" height=\"%d\"", height);
}

static void put_cell(const struct subsecond *s, size_t column, size_t row)
{
	double v = s->sum[column * ROWS + row];
	if (v == 0)
		return;
	char class[] = "h0";
	class[1] = (char)('0' + (int)fmin(COLOURS * fabs(v) / s->greatest, COLOURS - 1));
	put_rect(s, class, column, 1, TOP + (int)(ROWS - 1 - row) * ROW_HEIGHT, ROW_HEIGHT);
	buf_puts(s->out, "><title>");
	put_value(s->out, &s->shown, fabs(v) < 9e18 ? (int64_t)llround(v) : INT64_MAX);
	buf_puts(s->out, ", ");
	put_time(s->out, s->from + (int64_t)column * s->step);
	buf_puts(s->out, " + ");
	put_decimal(s->out, (double)row * (double)s->step / ROWS / 1e6, 3);
	buf_puts(s->out, " ms</title></rect>\n");
}

/* Columns in which nothing was sampled. */
static void put_gaps(const struct subsecond *s)
{
	for (size_t c = 0, end; c < s->n_columns; c = end + 1) {
		for (end = c; end < s->n_columns && !s->counts[end];)
			end++;
		if (end == c)
			continue;
		put_rect(s, "gap", c, end - c, TOP, s->bottom - TOP);
		buf_puts(s->out, "><title>no samples</title></rect>\n");
	}
}

static void put_cells(const struct subsecond *s)
{
	put_rect(s, "z", 0, s->n_columns, TOP, s->bottom - TOP);
	buf_puts(s->out, "/>\n");
	put_gaps(s);
	for (size_t c = 0; c < s->n_columns; c++)
		for (size_t r = 0; r < ROWS; r++)
			put_cell(s, c, r);
}

static void put_axes(const struct subsecond *s)
{
	for (int i = 0; i <= 4; i++) {
		buf_printf(s->out, "<text class=\"e\" x=\"%d\" y=\"%d\">", LEFT - 8,
		           s->bottom - i * (s->bottom - TOP) / 4 + 4);
		put_decimal(s->out, (double)s->step / 1e6 * i / 4, 1);
		buf_puts(s->out, " ms</text>\n");
	}
	size_t every = (s->n_columns + 7) / 8;
	for (size_t c = 0; c < s->n_columns; c += every) {
		struct civil t = civil_of(s->from + (int64_t)c * s->step);
		buf_puts(s->out, "<path class=\"ax\" d=\"M");
		put_decimal(s->out, column_x(s, c), 2);
		buf_printf(s->out, " %dv5\"/><text class=\"m\" x=\"", s->bottom);
		put_decimal(s->out, column_x(s, c), 2);
		buf_printf(s->out, "\" y=\"%d\">%02d:%02d:%02d</text>\n", s->bottom + 18, t.hour, t.minute, t.second);
	}
	buf_printf(s->out, "<path class=\"ax\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, s->bottom, WIDTH - RIGHT);
	buf_printf(s->out, "<text class=\"e q\" x=\"%d\" y=\"%d\">UTC</text>\n", WIDTH - RIGHT, s->bottom + 33);
}

static void put_legend(const struct subsecond *s)
{
	int x = 740, y = 64;
	buf_printf(s->out, "<text class=\"e\" x=\"%d\" y=\"%d\">value</text>\n", x - 8, y);
	for (int i = 0; i < COLOURS; i++)
		buf_printf(s->out, "<rect class=\"h%d\" x=\"%d\" y=\"%d\" width=\"20\" height=\"14\"/>\n", i,
		           x + i * 20, y - 12);
	buf_printf(s->out, "<text x=\"%d\" y=\"%d\">to ", x + COLOURS * 20 + 8, y);
	put_value(s->out, &s->shown, s->greatest < 9e18 ? (int64_t)llround(s->greatest) : INT64_MAX);
	buf_printf(s->out, "</text>\n<rect class=\"gap\" x=\"%d\" y=\"%d\" width=\"20\" height=\"14\"/>\n", x + 310,
	           y - 12);
	buf_printf(s->out, "<text x=\"%d\" y=\"%d\">no samples</text>\n", x + 338, y);
}

static void put_summary(const struct subsecond *s, struct buf *out)
{
	put_grouped(out, s->told);
	buf_puts(out, s->told == 1 ? " sample" : " samples");
	if (s->without) {
		buf_puts(out, ", ");
		put_grouped(out, s->without);
		buf_puts(out, " without a time left out");
	}
	buf_puts(out, " · ");
	put_picture_range(out, s->q);
	if (s->step > NS_PER_S) {
		buf_puts(out, " · columns of ");
		put_decimal(out, (double)s->step / 1e9, 0);
		buf_puts(out, " s, to stay drawable");
	}
}

static void put_head(const struct subsecond *s)
{
	_buf_ struct buf summary = BUF_INIT((size_t)1 << 20);
	struct svg_head head = { WIDTH, s->bottom + 44, s->n_columns ? &web_grid_js : NULL };
	put_summary(s, &summary);
	put_svg_head(s->out, &head, s->q, "subsecond heatmap", (struct str){ (const char *)summary.data, summary.len });
	buf_puts(s->out, "<style>\n");
	buf_puts(s->out, picture_style);
	buf_puts(s->out, grid_style);
	buf_puts(s->out, style);
	buf_puts(s->out, "</style>\n");
	buf_puts(s->out, gap_pattern);
	buf_printf(s->out, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", WIDTH, head.height);
	buf_printf(s->out, "<text class=\"m t\" x=\"%d\" y=\"22\">", WIDTH / 2);
	put_picture_title(s->out, s->q);
	buf_printf(s->out, "</text>\n<text class=\"m q\" x=\"%d\" y=\"42\">", WIDTH / 2);
	put_summary(s, s->out);
	buf_puts(s->out, "</text>\n");
}

static void put_document(struct subsecond *s)
{
	s->bottom = s->n_columns ? TOP + ROWS * ROW_HEIGHT : TOP;
	put_head(s);
	if (!s->n_columns) {
		buf_printf(s->out, "<text class=\"m\" x=\"%d\" y=\"80\">", WIDTH / 2);
		buf_puts(s->out, "no samples that say when they were taken</text>\n</svg>\n");
		return;
	}
	struct grid grid = { LEFT, column_width(s), TOP, s->bottom, s->n_columns, s->from, s->step, NULL, s->counts,
		             "samples", "" };
	put_legend(s);
	put_cells(s);
	put_axes(s);
	put_grid(s->out, &grid, TOP - 10);
	put_svg_script(s->out, &web_grid_js);
	buf_puts(s->out, "</svg>\n");
}

static int subsecond_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	struct subsecond s = { .q = q, .out = out, .shown = shown_of(q) };
	int e = fill_cells(&s, cancel, err);
	if (e >= 0)
		put_document(&s);
	free(s.sum);
	free(s.counts);
	return e < 0 ? e : buf_err(out);
}

const struct rendering render_subsecond_svg = { "subsecond.svg", RENDER_TYPE | RENDER_MOMENTS, true, subsecond_render };
