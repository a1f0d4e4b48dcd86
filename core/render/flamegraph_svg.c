/* SPDX-License-Identifier: MIT */
#include "flamegraph.h"

#include <string.h>

/*
 * The flame graph: a picture that is complete without script (the root at the bottom, a title on each frame), and with
 * script zooms, searches and keeps its state in the fragment. In a comparison the width of a frame is both sides
 * together and its colour how they differ, which is in words too: at the beginning of its text and in its title.
 */

#define TITLE_MAX 1000 /* bytes of a name in a title; the table has it whole */
#define NAME_MAX_BYTES ((size_t)1 << 30)
#define LEGEND_HEIGHT 20

static const char style[] =
	"text{pointer-events:none}.r{fill:#b4b8be}.a{fill:#dedede}\n"
	".frames rect{cursor:pointer}.frames .w{stroke:#fff;stroke-width:.5}\n"
	".frames .n{stroke:#9c1c06;stroke-width:1.2}.frames .g{stroke:#0b4f86;stroke-width:1.2;stroke-dasharray:4 2}\n"
	".frames .v{stroke:#6b2f9c;stroke-width:1.2;stroke-dasharray:1.5 1.5}\n"
	".frames rect:hover{stroke:#16181c;stroke-width:1}.frames .f{stroke:#0a58ca;stroke-width:2.5}\n"
	".b{cursor:pointer;pointer-events:all;text-decoration:underline}.x{fill:#b00020}\n"
	".b:focus{outline:2px solid #0a58ca}svg:focus{outline:none}\n"
	".frames text{fill:#111}.frames .s{fill:rgb(230,0,230)}.frames text.s{fill:#111}\n"
	"input{font:12px " FONT_FACE ";width:100%;box-sizing:border-box}\n";

static const char dark_style[] =
	"@media (prefers-color-scheme:dark){\n"
	".r{fill:#5d626b}.a{fill:#33363d}.frames text{fill:#f4f4f4}.frames text.s{fill:#111}\n"
	".frames .w{stroke:#16181c}.frames .n{stroke:#ff9d86}.frames .g{stroke:#8cc4f2}.frames .v{stroke:#cfa3f5}\n"
	".frames rect:hover{stroke:#f4f4f4}.frames .f{stroke:#7ab8ff}\n"
	".x{fill:#ff8a9a}.frames .s{fill:rgb(230,0,230)}}\n"
	"@media (forced-colors:active){\n"
	".frames rect{fill:Canvas;stroke:CanvasText;stroke-width:.6;forced-color-adjust:none}\n"
	".frames text{fill:CanvasText}.frames rect.s{fill:Highlight}.frames text.s{fill:HighlightText}\n"
	".frames .f{stroke:Highlight}}\n"
	"@media print{.b{display:none}svg{background:#fff}}\n";

struct picture {
	struct query *q;
	const struct call_tree *tree;
	const struct flame *flame;
	struct buf *out;
	struct shown shown;
	enum granularity granularity;
	struct flame_fit fit;
	struct buf name;      /* of the frame at hand */
	struct flame_shown drawn;
	uint64_t left_out_width;
	int head, height;
};

static const struct frame *frame_of(const struct picture *p, uint32_t node)
{
	return node ? &p->tree->frames[p->tree->nodes[node].frame] : NULL;
}

/* The name of a node, borrowed until the next call. */
static struct str name_of(struct picture *p, uint32_t node)
{
	if (!node)
		return STR("all");
	buf_reset(&p->name);
	put_frame(&p->name, frame_of(p, node), p->granularity);
	return (struct str){ (const char *)p->name.data, p->name.len };
}

/* ---- names in the picture ---- */

static void put_title_name(struct buf *out, struct str s)
{
	size_t n = utf8_cut(s, TITLE_MAX);
	xml_escape(out, (struct str){ s.s, n });
	if (n < s.len)
		buf_puts(out, "..");
}

/* Columns of a fixed-width font: two for one from U+1000 on. */
static int columns_of(struct str s)
{
	int n = 0;
	for (size_t at = 0; at < s.len; at += MAX(utf8_length(s.s + at, s.len - at), (size_t)1))
		n += (uint8_t)s.s[at] >= 0xe1 ? 2 : 1;
	return n;
}

/* As much of a text as fits into so many columns. */
static void put_fitting(struct buf *out, struct str s, int columns)
{
	size_t at = 0, whole = 0;
	int used = 0;
	while (at < s.len && used <= columns) {
		size_t len = MAX(utf8_length(s.s + at, s.len - at), (size_t)1);
		used += (uint8_t)s.s[at] >= 0xe1 ? 2 : 1;
		at += len;
		if (used <= columns - 2)
			whole = at;
	}
	if (at == s.len && used <= columns) {
		xml_escape(out, s);
		return;
	}
	xml_escape(out, (struct str){ s.s, whole });
	buf_puts(out, "..");
}

/* ---- comparisons ---- */

static const char *const fates[] = { "", "new", "gone", "moved" };

static uint64_t after_of(const struct picture *p, uint32_t node)
{
	return p->flame->width[node] - p->flame->before[node];
}

/* What a frame's text begins with: "+25%", "new". */
static void put_mark(struct buf *out, const struct flame *f, uint32_t node)
{
	size_t at = out->len;
	buf_puts(out, fates[flame_fate(f, node)]);
	if (flame_fate(f, node) == FLAME_STAYED)
		put_change(out, f->before[node], f->width[node] - f->before[node]);
	if (out->len > at)
		buf_putc(out, ' ');
}

static void put_width(const struct picture *p, uint64_t width)
{
	put_value(p->out, &p->shown, (int64_t)(width << p->flame->shift));
}

static void put_side(const struct picture *p, const char *word, uint64_t width, uint64_t whole)
{
	buf_puts(p->out, word);
	put_width(p, width);
	buf_puts(p->out, " (");
	put_share(p->out, (int64_t)width, (int64_t)whole);
	buf_putc(p->out, ')');
}

/* "grew by 0.3s, +25%", "new", "moved here" ... */
static void put_verdict(const struct picture *p, uint32_t node)
{
	uint64_t before = p->flame->before[node], after = after_of(p, node);
	enum flame_fate fate = flame_fate(p->flame, node);
	if (fate == FLAME_MOVED) {
		buf_puts(p->out, before ? "moved away" : "moved here");
	} else if (fate != FLAME_STAYED) {
		buf_puts(p->out, fates[fate]);
	} else if (before == after) {
		buf_puts(p->out, "equal");
	} else {
		buf_puts(p->out, after > before ? "grew by " : "shrank by ");
		put_width(p, after > before ? after - before : before - after);
		if (before)
			buf_puts(p->out, ", ");
		put_change(p->out, before, after);
	}
}

/* ---- boxes ---- */

static void put_class(struct picture *p, const struct flame_box *b, double width)
{
	static const char *const edges[] = { " w", " n", " g", " v" };
	uint64_t before = p->flame->before[b->node];
	if (b->frames)
		buf_putc(p->out, 'r');
	else if (p->flame->diff)
		buf_printf(p->out, "d%u", flame_change(before, b->width - before));
	else
		buf_printf(p->out, "c%u", b->node ? flame_colour(frame_of(p, b->node)) : FLAME_COLOURS + 1);
	if (width >= FLAME_EDGE_PX)
		buf_puts(p->out, b->frames ? edges[0] : edges[flame_fate(p->flame, b->node)]);
}

static int top_of(const struct picture *p, const struct flame_box *b)
{
	return p->height - FLAME_PAD - ((int)b->depth + 1) * FLAME_ROW;
}

static void put_rect(struct picture *p, const struct flame_box *b, double x, double width)
{
	buf_puts(p->out, "<rect class=\"");
	put_class(p, b, width);
	buf_puts(p->out, "\" x=\"");
	put_decimal(p->out, x, 2);
	buf_puts(p->out, "\" y=\"");
	buf_i64(p->out, top_of(p, b));
	buf_puts(p->out, "\" width=\"");
	put_decimal(p->out, width, 2);
	buf_puts(p->out, "\" height=\"16\"");
}

static void put_remainder_title(struct picture *p, const struct flame_box *b)
{
	put_grouped(p->out, b->frames);
	buf_puts(p->out, b->frames == 1 ? " frame, too narrow to draw (" : " frames, too narrow to draw (");
	put_width(p, b->width);
	buf_puts(p->out, ", ");
	put_share(p->out, (int64_t)b->width, (int64_t)flame_total(p->flame));
	buf_putc(p->out, ')');
}

static void put_values(struct picture *p, uint32_t node)
{
	const struct call_node *n = &p->tree->nodes[node];
	put_value(p->out, &p->shown, n->total);
	buf_puts(p->out, ", ");
	put_share(p->out, n->total, p->tree->total);
	if (n->self) {
		buf_puts(p->out, ", self ");
		put_value(p->out, &p->shown, n->self);
	}
}

static void put_frame_title(struct picture *p, uint32_t node, struct str name)
{
	put_title_name(p->out, name);
	buf_puts(p->out, " (");
	if (p->flame->diff) {
		put_verdict(p, node);
		put_side(p, ": now ", after_of(p, node), after_of(p, 0));
		put_side(p, ", before ", p->flame->before[node], p->flame->before[0]);
	} else {
		put_values(p, node);
	}
	buf_putc(p->out, ')');
}

/* The mark and the name; without the path of its package where that has no room. */
static void put_label(struct picture *p, uint32_t node, int columns)
{
	struct buf text = BUF_INIT(NAME_MAX_BYTES);
	struct str name = name_of(p, node);
	if (p->flame->diff)
		put_mark(&text, p->flame, node);
	size_t mark = text.len;
	buf_put(&text, name.s, name.len);
	if (columns_of((struct str){ (const char *)text.data, text.len }) > columns) {
		text.len = mark;
		buf_put(&text, flame_short(name).s, flame_short(name).len);
	}
	put_fitting(p->out, (struct str){ (const char *)text.data, text.len }, columns);
	buf_done(&text);
}

static void put_text(struct picture *p, const struct flame_box *b, double x, double width)
{
	buf_puts(p->out, "<text x=\"");
	put_decimal(p->out, x + 3, 2);
	buf_puts(p->out, "\" y=\"");
	buf_i64(p->out, top_of(p, b) + 12);
	buf_puts(p->out, "\">");
	put_label(p, b->node, (int)((width - 6) / 7.25));
	buf_puts(p->out, "</text>");
}

/* Positions are rounded, widths are their difference: neighbours touch and nothing drifts. */
static bool put_box(void *arg, const struct flame_box *b)
{
	struct picture *p = arg;
	double x = FLAME_PAD + flame_px(p->flame, b->start), width = flame_px(p->flame, b->width);
	put_rect(p, b, x, width);
	if (width < FLAME_TITLE_PX) {
		buf_puts(p->out, "/>\n");
		return !buf_err(p->out);
	}
	buf_puts(p->out, "><title>");
	if (b->frames)
		put_remainder_title(p, b);
	else
		put_frame_title(p, b->node, name_of(p, b->node));
	buf_puts(p->out, "</title></rect>");
	if (width >= FLAME_TEXT_PX && !b->frames)
		put_text(p, b, x, width);
	buf_putc(p->out, '\n');
	return !buf_err(p->out);
}

/* ---- what is drawn ---- */

/* The upper edges of what is not drawn, whose width no drawn frame of their level shows. */
static uint64_t width_left_out(const struct picture *p)
{
	const struct call_node *nodes = p->tree->nodes;
	uint64_t sum = 0;
	for (uint32_t i = 0; i < p->tree->n_nodes;) {
		uint64_t w = p->flame->width[i];
		if (w && p->flame->in_table[i] && nodes[i].depth < p->fit.levels &&
		    flame_px(p->flame, w) >= p->fit.least_px) {
			i++;
			continue;
		}
		sum += w;
		i = nodes[i].end;
	}
	return sum;
}

static int measure(struct picture *p)
{
	p->fit = flame_fit(p->flame);
	int e = flame_measure(p->flame, p->fit, &p->drawn);
	if (e < 0)
		return e;
	p->left_out_width = p->drawn.left_out ? width_left_out(p) : 0;
	p->head = FLAME_HEAD + (p->flame->diff ? LEGEND_HEIGHT : 0);
	p->height = p->head + (int)MAX(p->drawn.levels, 3u) * FLAME_ROW + FLAME_PAD;
	return 0;
}

/* ---- the head ---- */

static void put_left_out(const struct picture *p)
{
	put_grouped(p->out, p->drawn.left_out);
	buf_puts(p->out, p->drawn.left_out == 1 ? " frame below " : " frames below ");
	put_decimal(p->out, p->fit.least_px, 2);
	buf_puts(p->out, " px");
	if (p->drawn.levels >= p->fit.levels)
		buf_printf(p->out, " or above level %u", p->fit.levels);
	buf_puts(p->out, " not drawn, ");
	put_share(p->out, (int64_t)p->left_out_width, (int64_t)flame_total(p->flame));
	buf_puts(p->out, " of the total: click to zoom in");
	if (p->flame->too_many) {
		buf_puts(p->out, " (to the widest ");
		put_grouped(p->out, p->flame->n_table);
		buf_putc(p->out, ')');
	}
}

static void put_notes(const struct picture *p)
{
	if (p->drawn.left_out)
		put_left_out(p);
	if (p->drawn.left_out && p->flame->negatives)
		buf_puts(p->out, "; ");
	if (p->flame->negatives) {
		put_grouped(p->out, p->flame->negatives);
		buf_puts(p->out, p->flame->negatives == 1 ? " negative value not drawn" : " negative values not drawn");
	}
}

static void put_head(struct picture *p)
{
	_buf_ struct buf summary = BUF_INIT(NAME_MAX_BYTES);
	struct svg_head head = { FLAME_WIDTH, p->height, flame_total(p->flame) ? &web_flamegraph_svg_js : NULL };
	put_flame_summary(&summary, p->flame, p->q);
	put_svg_head(p->out, &head, p->q, p->flame->diff ? "differential flame graph" : "flame graph",
	             (struct str){ (const char *)summary.data, summary.len });
	buf_puts(p->out, "<style>\n");
	buf_puts(p->out, picture_style);
	buf_puts(p->out, style);
	flame_palette(p->out, p->flame->diff);
	buf_puts(p->out, dark_style);
	buf_printf(p->out, "</style>\n<rect class=\"bg page\" width=\"%d\" height=\"%d\"/>\n", FLAME_WIDTH, p->height);
}

static void put_legend(struct picture *p)
{
	int y = FLAME_HEAD - 4, x = FLAME_PAD + 66;
	buf_printf(p->out, "<g class=\"legend\"><text class=\"e q\" x=\"%d\" y=\"%d\">shrank</text>\n", x - 8, y + 12);
	for (int i = 0; i < FLAME_CHANGES; i++)
		buf_printf(p->out, "<rect class=\"d%d\" x=\"%d\" y=\"%d\" width=\"22\" height=\"14\"/>\n", i,
		           x + i * 22, y);
	buf_printf(p->out, "<text class=\"q\" x=\"%d\" y=\"%d\">grew; new, gone, moved in words; width: both sides "
	           "together</text></g>\n", x + FLAME_CHANGES * 22 + 8, y + 12);
}

static void put_bar(struct picture *p)
{
	buf_printf(p->out, "<g class=\"bar\"><rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", FLAME_WIDTH,
	           p->head - 4);
	buf_printf(p->out, "<text class=\"m t\" x=\"%d\" y=\"22\">", FLAME_WIDTH / 2);
	put_picture_title(p->out, p->q);
	buf_printf(p->out, "</text>\n<text class=\"m q\" x=\"%d\" y=\"42\">", FLAME_WIDTH / 2);
	put_flame_summary(p->out, p->flame, p->q);
	buf_printf(p->out, "</text>\n<text class=\"details\" x=\"%d\" y=\"62\">", FLAME_PAD);
	put_notes(p);
	buf_puts(p->out, "</text>\n");
	if (p->flame->diff)
		put_legend(p);
	buf_puts(p->out, "</g>\n");
}

/* ---- the document ---- */

static void put_empty(struct picture *p)
{
	const char *why = query_info(p->q)->profiles ? "nothing above zero in this selection"
	                                             : "no profiles in this selection";
	buf_printf(p->out, "<text class=\"m\" x=\"%d\" y=\"%d\">%s</text>\n</svg>\n", FLAME_WIDTH / 2, p->head + 24,
	           why);
}

static int put_document(struct picture *p)
{
	int e = measure(p);
	if (e < 0)
		return e;
	put_head(p);
	buf_puts(p->out, "<g class=\"frames\">\n");
	e = flame_each(p->flame, p->fit, put_box, p);
	if (e < 0)
		return e;
	buf_puts(p->out, "</g>\n");
	put_bar(p);
	if (!flame_total(p->flame)) {
		put_empty(p);
		return buf_err(p->out);
	}
	e = put_flame_table(p->out, p->flame, p->q, false);
	if (e < 0)
		return e;
	put_svg_script(p->out, &web_flamegraph_svg_js);
	buf_puts(p->out, "</svg>\n");
	return buf_err(p->out);
}

static int flamegraph_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_flame_ struct flame flame = { 0 };
	int e = flame_of_query(q, cancel, &flame, err);
	if (e < 0)
		return e;
	struct picture p = {
		.q = q, .tree = flame.tree, .flame = &flame, .out = out, .shown = shown_of(q),
		.name = BUF_INIT(NAME_MAX_BYTES), .granularity = query_selection(q)->options.granularity,
	};
	e = put_document(&p);
	buf_done(&p.name);
	return e;
}

const struct rendering render_flamegraph_svg = { "flamegraph.svg", RENDER_TYPE | RENDER_VS, true, flamegraph_render };
