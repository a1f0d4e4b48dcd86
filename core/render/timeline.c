/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "grid.h"
#include "heatmap.h"

/*
 * The series as lines: the rate (of states: the average) of each step. Inside by-LABEL a line for each of the ten
 * greatest values and one for the rest together. Where nothing covers a step a line is broken. More steps than the
 * picture can show are gathered: the average of those that are covered.
 *
 * Under vs there are two lines, the selection's and the baseline's. Where their times differ, as with today and
 * yesterday, the baseline is moved so that both begin at the same place; the head says by how much.
 */

#define WIDTH 1200
#define LEFT 100
#define RIGHT 20
#define TOP 96
#define PLOT 260
#define LINES 10        /* with the rest 11 */
#define COLUMNS_MAX 1080
#define LEGEND_ROW 18
#define TICKS 4
#define RATE_MAX 1e18

static const char style[] =
	".ax{stroke:#767676;fill:none}.gr{stroke:#e2e4e8;fill:none}\n"
	".ln{fill:none;stroke-width:1.8;stroke-linejoin:round}\n"
	".gb{fill:#e4e4e4}.gl{stroke:#a8a8a8}.gap{fill:url(#gap)}.dot{stroke:none}\n"
	".s0{stroke:#0072b2;fill:#0072b2}.s1{stroke:#d55e00;fill:#d55e00}.s2{stroke:#00855f;fill:#00855f}\n"
	".s3{stroke:#b0407f;fill:#b0407f}.s4{stroke:#8a6d00;fill:#8a6d00}.s5{stroke:#2f8fd0;fill:#2f8fd0}\n"
	".s6{stroke:#6a3d9a;fill:#6a3d9a}.s7{stroke:#9c4a1a;fill:#9c4a1a}.s8{stroke:#2d6a2d;fill:#2d6a2d}\n"
	".s9{stroke:#c2185b;fill:#c2185b}.s10{stroke:#707680;fill:#707680}\n"
	".s5.ln,.s6.ln,.s7.ln,.s8.ln,.s9.ln{stroke-dasharray:7 2}.s10.ln{stroke-dasharray:2 2}\n"
	".area{stroke:none;fill-opacity:.14}.ln{fill:none!important}\n"
	"@media (prefers-color-scheme:dark){\n"
	".ax{stroke:#8c8c8c}.gr{stroke:#2b2f37}.gb{fill:#33363d}.gl{stroke:#5a5f69}\n"
	".s0{stroke:#5db3ea;fill:#5db3ea}.s1{stroke:#ff9a5c;fill:#ff9a5c}.s2{stroke:#3ed3a3;fill:#3ed3a3}\n"
	".s3{stroke:#f09ac8;fill:#f09ac8}.s4{stroke:#e3c34b;fill:#e3c34b}.s5{stroke:#9ad0f7;fill:#9ad0f7}\n"
	".s6{stroke:#c9a3f0;fill:#c9a3f0}.s7{stroke:#e0a37e;fill:#e0a37e}.s8{stroke:#8fd18f;fill:#8fd18f}\n"
	".s9{stroke:#ff8fb5;fill:#ff8fb5}.s10{stroke:#a4abb5;fill:#a4abb5}}\n"
	"@media (forced-colors:active){.ax,.gr{stroke:CanvasText}}\n";

struct line {
	struct str name;
	double total;    /* for the order */
	size_t others;   /* the rest: how many */
	double *v;       /* of each column; NAN: not covered */
};

struct timeline {
	struct query *q;
	struct buf *out;
	const struct steps *steps, *before; /* before: the baseline's; NULL: none */
	int64_t moved;         /* the baseline's times, by this */
	int64_t from, step;    /* of the columns */
	size_t n_columns;
	struct line *lines;
	size_t n_lines;
	double greatest, least; /* of all, and 0 */
	double unit;            /* of the axis: a tick */
	struct shown shown;
	bool instant;
	int bottom, height;
};

/* ---- lines ---- */

/* To what can be drawn. */
static double clamped(double rate)
{
	return fmin(fmax(rate, -RATE_MAX), RATE_MAX);
}

static int64_t move_time(int64_t t, int64_t by)
{
	int64_t to;
	return __builtin_add_overflow(t, by, &to) ? (by < 0 ? INT64_MIN : INT64_MAX) : to;
}

/* from + n * step, at most INT64_MAX. */
static int64_t after_steps(int64_t from, size_t n, int64_t step)
{
	int64_t offset, at;
	if (__builtin_mul_overflow((int64_t)n, step, &offset) || __builtin_add_overflow(from, offset, &at))
		return INT64_MAX;
	return at;
}

static int64_t time_at(const struct timeline *t, size_t column)
{
	return after_steps(t->from, column, t->step);
}

/* What a group's covered steps have in a column, and for how much of it: the rest stands for nothing. */
struct share {
	double rate, covered;
};

static struct share share_of(const struct timeline *t, const struct steps *s, const struct step *v, int64_t moved,
                             size_t column)
{
	struct share sum = { 0 };
	int64_t begin = time_at(t, column), end = column + 1 < t->n_columns ? time_at(t, column + 1) : INT64_MAX;
	int64_t at = move_time(s->from, moved);
	size_t i = begin > at ? (size_t)(((uint64_t)begin - (uint64_t)at) / (uint64_t)s->step) : 0;
	for (; i < s->n; i++) {
		int64_t from = after_steps(at, i, s->step), to = after_steps(at, i + 1, s->step);
		if (from >= end)
			break;
		double length = (double)(MIN(to, end) - MAX(from, begin));
		sum.rate += v[i].covered ? v[i].rate * length : 0;
		sum.covered += v[i].covered ? length : 0;
	}
	return sum;
}

/* Adds a group's rates to a line, column by column. */
static void add_group(const struct timeline *t, struct line *line, const struct steps *s, size_t group, int64_t moved)
{
	const struct step *v = &s->v[group * s->n];
	for (size_t c = 0; c < t->n_columns; c++) {
		struct share sum = share_of(t, s, v, moved, c);
		if (sum.covered > 0)
			line->v[c] = clamped((isnan(line->v[c]) ? 0 : line->v[c]) + sum.rate / sum.covered);
	}
	line->total += (double)s->totals[group];
}

static int line_init(const struct timeline *t, struct line *line, struct str name)
{
	*line = (struct line){ .name = name, .v = malloc((t->n_columns + 1) * sizeof *line->v) };
	for (size_t c = 0; line->v && c < t->n_columns; c++)
		line->v[c] = NAN;
	return line->v ? 0 : -ENOMEM;
}

struct ranked {
	size_t group;
	double size;
};

static int by_size(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return x->size != y->size ? CMP(y->size, x->size) : CMP(x->group, y->group);
}

/* All groups of one side together. */
static int add_side(struct timeline *t, struct str name, const struct steps *s, int64_t moved)
{
	struct line *line = &t->lines[t->n_lines++];
	if (line_init(t, line, name) < 0)
		return -ENOMEM;
	for (size_t g = 0; s->n && g < s->n_groups; g++)
		add_group(t, line, s, g, moved);
	return 0;
}

static int make_lines(struct timeline *t)
{
	const struct steps *s = t->steps;
	_free_ struct ranked *order = calloc(s->n_groups + 1, sizeof *order);
	t->lines = calloc(LINES + 1, sizeof *t->lines);
	if (!order || !t->lines)
		return -ENOMEM;
	if (t->before)
		return add_side(t, STR("selection"), s, 0) ?: add_side(t, STR("baseline"), t->before, t->moved);
	for (size_t g = 0; g < s->n_groups; g++)
		order[g] = (struct ranked){ g, fabs((double)s->totals[g]) };
	qsort(order, s->n_groups, sizeof *order, by_size);
	for (size_t i = 0; i < s->n_groups; i++) {
		size_t at = MIN(i, (size_t)LINES);
		if (at == t->n_lines && line_init(t, &t->lines[t->n_lines++], s->groups[order[i].group]) < 0)
			return -ENOMEM;
		add_group(t, &t->lines[at], s, order[i].group, 0);
		t->lines[at].others += at == LINES;
	}
	return 0;
}

static void lines_done(struct timeline *t)
{
	for (size_t i = 0; t->lines && i < t->n_lines; i++)
		free(t->lines[i].v);
	free(t->lines);
}

/* ---- scale ---- */

/* 1, 2 or 5 times a power of ten that is at least x. */
static double nice_above(double x)
{
	double power = pow(10, floor(log10(x)));
	for (double m = 1; m < 10; m = m < 2 ? 2 : m < 5 ? 5 : 10)
		if (m * power >= x * (1 - 1e-9))
			return m * power;
	return 10 * power;
}

static void choose_scale(struct timeline *t)
{
	for (size_t l = 0; l < t->n_lines; l++)
		for (size_t c = 0; c < t->n_columns; c++) {
			double v = t->lines[l].v[c];
			if (!isnan(v)) {
				t->greatest = fmax(t->greatest, v);
				t->least = fmin(t->least, v);
			}
		}
	double span = fmax(t->greatest - t->least, 1e-3);
	shown_fix(&t->shown, (uint64_t)fmax(span, 1), (uint64_t)fmax(span, 1));
	t->unit = nice_above(span / TICKS / t->shown.factor) * t->shown.factor;
	t->greatest = ceil(t->greatest / t->unit - 1e-9) * t->unit;
	t->least = floor(t->least / t->unit + 1e-9) * t->unit;
	if (t->greatest <= t->least)
		t->greatest = t->least + t->unit;
}

static double column_width(const struct timeline *t)
{
	return (double)(WIDTH - LEFT - RIGHT) / (double)MAX(t->n_columns, (size_t)1);
}

static double y_of(const struct timeline *t, double v)
{
	return TOP + PLOT - (v - t->least) / (t->greatest - t->least) * PLOT;
}

/* ---- the plot ---- */

static void put_rate(const struct timeline *t, double v)
{
	double shown = v / t->shown.factor;
	if (shown >= 10000 && shown < 1e18)
		put_grouped(t->out, (uint64_t)llround(shown));
	else
		put_number(t->out, round(shown * 100) / 100);
	buf_puts(t->out, t->shown.suffix ? t->shown.suffix : "");
	if (!t->instant)
		buf_puts(t->out, "/s");
}

static void put_value_axis(const struct timeline *t)
{
	for (double v = t->least; v <= t->greatest + t->unit / 2; v += t->unit) {
		double y = y_of(t, v);
		buf_printf(t->out, "<path class=\"gr\" d=\"M%d ", LEFT);
		put_decimal(t->out, y, 1);
		buf_printf(t->out, "H%d\"/><text class=\"e\" x=\"%d\" y=\"", WIDTH - RIGHT, LEFT - 8);
		put_decimal(t->out, y + 4, 1);
		buf_puts(t->out, "\">");
		put_rate(t, v);
		buf_puts(t->out, "</text>\n");
	}
	buf_printf(t->out, "<path class=\"ax\" d=\"M%d %dV%dH%d\"/>\n", LEFT, TOP, t->bottom, WIDTH - RIGHT);
}

static void put_tick(const struct timeline *t, size_t column, int32_t *day)
{
	char text[DAY_LEN];
	int64_t at = time_at(t, column);
	struct civil c = civil_of(at);
	double x = LEFT + (double)column * column_width(t);
	buf_puts(t->out, "<path class=\"ax\" d=\"M");
	put_decimal(t->out, x, 1);
	buf_printf(t->out, " %dv5\"/><text class=\"m\" x=\"", t->bottom);
	put_decimal(t->out, x, 1);
	buf_printf(t->out, "\" y=\"%d\">%02d:%02d", t->bottom + 18, c.hour, c.minute);
	if (c.second)
		buf_printf(t->out, ":%02d", c.second);
	buf_puts(t->out, "</text>\n");
	if (time_day(at) == *day)
		return;
	*day = time_day(at);
	buf_puts(t->out, "<text class=\"m q\" x=\"");
	put_decimal(t->out, x, 1);
	buf_printf(t->out, "\" y=\"%d\">%s</text>\n", t->bottom + 33, day_format(*day, text));
}

/* At round times where columns begin at them, else at every so many columns. */
static void put_time_axis(const struct timeline *t)
{
	int64_t tick = heat_nice_step((uint64_t)time_at(t, t->n_columns) - (uint64_t)t->from, 11);
	bool round = tick >= t->step && tick % t->step == 0;
	size_t every = (t->n_columns + 9) / 10;
	int32_t day = INT32_MIN;
	for (size_t c = 0; c < t->n_columns; c++)
		if (round ? time_at(t, c) % tick == 0 : c % every == 0)
			put_tick(t, c, &day);
	buf_printf(t->out, "<text class=\"e q\" x=\"%d\" y=\"%d\">UTC</text>\n", WIDTH - RIGHT, t->bottom + 33);
}

static bool is_gap(const struct timeline *t, size_t column)
{
	for (size_t l = 0; l < t->n_lines; l++)
		if (!isnan(t->lines[l].v[column]))
			return false;
	return true;
}

static void put_gaps(const struct timeline *t)
{
	for (size_t c = 0, end; c < t->n_columns; c = end + 1) {
		for (end = c; end < t->n_columns && is_gap(t, end);)
			end++;
		if (end == c)
			continue;
		buf_puts(t->out, "<rect class=\"gap\" x=\"");
		put_decimal(t->out, LEFT + (double)c * column_width(t), 2);
		buf_printf(t->out, "\" y=\"%d\" width=\"", TOP);
		put_decimal(t->out, (double)(end - c) * column_width(t), 2);
		buf_printf(t->out, "\" height=\"%d\"><title>no profiles from ", PLOT);
		put_time(t->out, time_at(t, c));
		buf_puts(t->out, " to ");
		put_time(t->out, time_at(t, end));
		buf_puts(t->out, "</title></rect>\n");
	}
}

static void put_point(const struct timeline *t, char command, double x, double v)
{
	buf_putc(t->out, command);
	put_decimal(t->out, x, 1);
	buf_putc(t->out, ' ');
	put_decimal(t->out, y_of(t, v), 1);
}

/* Steps as plateaus: a rate holds for all of its step. */
static void put_path(const struct timeline *t, const struct line *line, bool closed)
{
	double width = column_width(t);
	for (size_t c = 0, end; c < t->n_columns; c = end + 1) {
		for (end = c; end < t->n_columns && !isnan(line->v[end]); end++) {
			put_point(t, end == c ? 'M' : 'L', LEFT + (double)end * width, line->v[end]);
			buf_putc(t->out, 'h');
			put_decimal(t->out, width, 2);
		}
		if (closed && end > c) {
			put_point(t, 'L', LEFT + (double)end * width, fmax(t->least, 0));
			put_point(t, 'L', LEFT + (double)c * width, fmax(t->least, 0));
			buf_putc(t->out, 'Z');
		}
	}
}

static void put_line_name(const struct timeline *t, const struct line *line)
{
	if (line->others) {
		put_grouped(t->out, line->others);
		buf_puts(t->out, line->others == 1 ? " other" : " others");
	} else if (query_selection(t->q)->by || t->before) {
		struct str name = { line->name.s, utf8_cut(line->name, 200) };
		xml_escape(t->out, name.len ? name : STR("(none)"));
	} else {
		xml_escape(t->out, str_of(query_info(t->q)->type));
	}
}

static void put_lines(const struct timeline *t)
{
	for (size_t l = t->n_lines; l-- > 0;) {
		if (t->n_lines == 1) {
			buf_puts(t->out, "<path class=\"s0 area\" d=\"");
			put_path(t, &t->lines[l], true);
			buf_puts(t->out, "\"/>\n");
		}
		buf_printf(t->out, "<path class=\"s%zu ln\" d=\"", l);
		put_path(t, &t->lines[l], false);
		buf_puts(t->out, "\"><title>");
		put_line_name(t, &t->lines[l]);
		buf_puts(t->out, "</title></path>\n");
	}
}

/* A line's name, average and greatest rate. */
static void put_legend(const struct timeline *t)
{
	for (size_t l = 0; l < t->n_lines; l++) {
		const struct line *line = &t->lines[l];
		double sum = 0, most = 0;
		size_t n = 0;
		for (size_t c = 0; c < t->n_columns; c++)
			if (!isnan(line->v[c])) {
				sum += line->v[c];
				most = fmax(most, line->v[c]);
				n++;
			}
		int y = t->bottom + 58 + (int)(l / 2) * LEGEND_ROW, x = LEFT + (int)(l % 2) * 540;
		buf_printf(t->out, "<path class=\"s%zu ln\" d=\"M%d %dh26\"/>", l, x, y - 4);
		buf_printf(t->out, "<text x=\"%d\" y=\"%d\">", x + 34, y);
		put_line_name(t, line);
		buf_puts(t->out, "<tspan class=\"q\"> · average ");
		put_rate(t, n ? sum / (double)n : 0);
		buf_puts(t->out, ", at most ");
		put_rate(t, most);
		buf_puts(t->out, "</tspan></text>\n");
	}
}

/* ---- the document ---- */

static void put_counts(const struct timeline *t, struct buf *out)
{
	struct query *base = query_baseline(t->q);
	uint64_t n = query_info(t->q)->profiles;
	put_grouped(out, n);
	if (base) {
		buf_puts(out, " and ");
		n = query_info(base)->profiles;
		put_grouped(out, n);
	}
	buf_puts(out, n == 1 ? " profile, " : " profiles, ");
}

static void put_rates(const struct timeline *t, struct buf *out)
{
	buf_puts(out, t->instant ? "averages of " : "rates of ");
	put_decimal(out, (double)t->step / 1e9, 3);
	buf_puts(out, t->step > t->steps->step && t->steps->n ? " s (steps gathered to stay drawable)" : " s");
}

/* "2 days", "90 min" */
static void put_span(struct buf *out, uint64_t ns)
{
	uint64_t unit = ns % NS_PER_DAY == 0 ? NS_PER_DAY : ns % NS_PER_MIN == 0 ? NS_PER_MIN : NS_PER_S;
	put_decimal(out, (double)ns / (double)unit, 3);
	buf_puts(out, unit == NS_PER_DAY ? ns == unit ? " day" : " days" : unit == NS_PER_MIN ? " min" : " s");
}

static void put_summary(const struct timeline *t, struct buf *out)
{
	put_counts(t, out);
	put_picture_range(out, t->q);
	if (!t->n_columns || t->before)
		return;
	buf_puts(out, ", ");
	put_rates(t, out);
}

/* Under vs, whose first line is full of times. */
static void put_second_line(const struct timeline *t)
{
	if (!t->n_columns || !t->before)
		return;
	buf_printf(t->out, "<text class=\"m q\" x=\"%d\" y=\"60\">", WIDTH / 2);
	put_rates(t, t->out);
	if (t->moved) {
		buf_puts(t->out, "; the baseline is shown ");
		put_span(t->out, magnitude(t->moved));
		buf_puts(t->out, t->moved > 0 ? " later than it was" : " earlier than it was");
	}
	buf_puts(t->out, "</text>\n");
}

static void put_head(const struct timeline *t)
{
	_buf_ struct buf summary = BUF_INIT((size_t)1 << 20);
	put_summary(t, &summary);
	struct str s = { (const char *)summary.data, summary.len };
	struct svg_head head = { WIDTH, t->height, t->n_columns && !t->before ? &web_grid_js : NULL };
	put_svg_head(t->out, &head, t->q, "timeline", s);
	buf_puts(t->out, "<style>\n");
	buf_puts(t->out, picture_style);
	buf_puts(t->out, grid_style);
	buf_puts(t->out, style);
	buf_puts(t->out, "</style>\n");
	buf_puts(t->out, gap_pattern);
	buf_printf(t->out, "<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", WIDTH, t->height);
	buf_printf(t->out, "<text class=\"m t\" x=\"%d\" y=\"22\">", WIDTH / 2);
	put_picture_title(t->out, t->q);
	buf_printf(t->out, "</text>\n<text class=\"m q\" x=\"%d\" y=\"42\">", WIDTH / 2);
	buf_put(t->out, s.s, s.len);
	buf_puts(t->out, "</text>\n");
	put_second_line(t);
}

static int put_selector(const struct timeline *t)
{
	_free_ uint64_t *counts = calloc(t->n_columns + 1, sizeof *counts);
	if (!counts)
		return -ENOMEM;
	for (size_t g = 0; g < t->steps->n_groups; g++)
		for (size_t i = 0; i < t->steps->n; i++)
			counts[(int64_t)i * t->steps->step / t->step] += t->steps->v[g * t->steps->n + i].profiles;
	struct grid grid = { LEFT, column_width(t), TOP, t->bottom, t->n_columns, t->from,
		             t->step, NULL, counts, "profiles begin here",
		             query_selection(t->q)->by ? "../" : "" };
	put_grid(t->out, &grid, TOP - 12);
	put_svg_script(t->out, &web_grid_js);
	return 0;
}

static int put_plot(struct timeline *t)
{
	int e = make_lines(t);
	if (e < 0)
		return e;
	choose_scale(t);
	t->bottom = TOP + PLOT;
	t->height = t->bottom + 58 + (int)((t->n_lines + 1) / 2) * LEGEND_ROW;
	put_head(t);
	put_gaps(t);
	put_value_axis(t);
	put_time_axis(t);
	put_lines(t);
	put_legend(t);
	return t->before ? 0 : put_selector(t);
}

/* ---- what of time is shown ---- */

/* Both begin at the same place where both say when they begin. */
static int64_t baseline_move(struct query *q)
{
	const struct selection *s = query_selection(q), *base = query_selection(query_baseline(q));
	int64_t moved;
	bool bounded = s->from != TIME_MIN && base->from != TIME_MIN;
	return bounded && !__builtin_sub_overflow(s->from, base->from, &moved) ? moved : 0;
}

/* Columns of one step, or of so many that they can be drawn, over both sides. */
static void choose_columns(struct timeline *t)
{
	const struct steps *s = t->steps->n || !t->before ? t->steps : t->before;
	if (!s->n)
		return;
	t->from = move_time(s->from, s == t->before ? t->moved : 0);
	t->step = s->step;
	int64_t to = after_steps(t->from, s->n, s->step);
	if (t->before && t->before->n) {
		int64_t from = move_time(t->before->from, t->moved);
		t->step = MAX(t->step, t->before->step);
		to = MAX(to, after_steps(from, t->before->n, t->before->step));
		t->from = MIN(t->from, from);
	}
	uint64_t n = ((uint64_t)to - (uint64_t)t->from - 1) / (uint64_t)t->step + 1;
	uint64_t per = MAX((n + COLUMNS_MAX - 1) / COLUMNS_MAX, (uint64_t)1);
	t->step *= (int64_t)per;
	t->n_columns = (size_t)((n + per - 1) / per);
}

static int read_steps(struct timeline *t, const struct cancel *cancel, struct error *err)
{
	struct query *base = query_baseline(t->q);
	int e = query_steps(t->q, cancel, &t->steps, err);
	if (e < 0 || !base)
		return e;
	t->moved = baseline_move(t->q);
	return query_steps(base, cancel, &t->before, err);
}

static int timeline_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	struct timeline t = { .q = q, .out = out, .shown = shown_of(q), .height = 120 };
	int e = read_steps(&t, cancel, err);
	if (e < 0)
		return e;
	t.instant = query_info(q)->type_class == TYPE_INSTANT;
	choose_columns(&t);
	if (t.n_columns) {
		e = put_plot(&t);
	} else {
		put_head(&t);
		buf_printf(out, "<text class=\"m\" x=\"%d\" y=\"80\">no profiles in this selection</text>\n",
		           WIDTH / 2);
	}
	lines_done(&t);
	if (e < 0)
		return e;
	buf_puts(out, "</svg>\n");
	return buf_err(out);
}

const struct rendering render_timeline_svg = { "timeline.svg", RENDER_TYPE | RENDER_BY | RENDER_VS, false,
                                               timeline_render };
