/* SPDX-License-Identifier: MIT */
#include "flamegraph.h"

#include <string.h>

/*
 * The flame graph: a picture that is complete without script (the root at the bottom, a title on each frame),
 * and with script zooms, searches and keeps its state in the fragment. The script draws from a table beside
 * the picture, so that zooming shows what the picture has no room for.
 *
 * The table is text in two kinds of <metadata> elements, never code; of each kind there are several where it
 * is long, since XML parsers bound a text. "names": one per line, the first character its colour, `\` and
 * line ends escaped by `\`. "tree": the nodes in preorder, three numbers each: how many levels up from the
 * previous node's child level, the name, the own width; as base 64 digits, five bits each, least first, the
 * sixth says that another follows.
 */

#define TITLE_MAX 1000 /* bytes of a name in a title; the table has it whole */
#define NAMES_MAX ((size_t)1 << 30)
#define TABLE_NAME_MAX 65536 /* bytes of a name in the table */
#define CHUNK 4000000        /* bytes of one element of the table; parsers take 10 MB */
#define NAME_ALL 0     /* fixed entries of the names */
#define NAME_REST 1
#define N_FIXED 2

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#define FONT "12px ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace"

static const char style[] =
	"text{font:" FONT ";fill:#111;pointer-events:none}\n"
	"svg{background:#fff}.bg{fill:#fff}.m{text-anchor:middle}.e{text-anchor:end}.t{font-size:16px}\n"
	".r{fill:#b0b0b0}.a{fill:#dedede}\n"
	".frames rect{cursor:pointer}.frames .w{stroke:#fff;stroke-width:.5}\n"
	".frames rect:hover{stroke:#111;stroke-width:1}.frames .f{stroke:#0a58ca;stroke-width:2}\n"
	".b{cursor:pointer;pointer-events:all;text-decoration:underline}.x{fill:#b00020}\n"
	".frames .s{fill:rgb(230,0,230)}\n"
	"input{font:" FONT ";width:100%;box-sizing:border-box}\n";

static const char dark_style[] =
	"@media (prefers-color-scheme:dark){\n"
	"svg{background:#16181c}text{fill:#f4f4f4}.bg{fill:#16181c}.r{fill:#6a6a6a}.a{fill:#33363d}\n"
	".frames .w{stroke:#16181c}.frames rect:hover{stroke:#f4f4f4}.frames .f{stroke:#7ab8ff}\n"
	".x{fill:#ff8a9a}.frames .s{fill:rgb(230,0,230)}}\n"
	".frames text.s{fill:#111}\n"
	"@media print{.b{display:none}}\n";

struct picture {
	struct query *q;
	const struct call_tree *tree;
	const struct flame *flame;
	struct buf *out;
	struct shown shown;
	enum granularity granularity;
	struct flame_fit fit;
	struct buf name;      /* of the frame at hand */
	uint32_t levels;      /* drawn */
	uint64_t left_out, left_out_width;
	int height;
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

static unsigned class_of(const struct picture *p, uint32_t node)
{
	return node ? flame_colour(frame_of(p, node)) : FLAME_COLOURS + 1;
}

/* ---- names in the picture ---- */

/* Cuts at a character, so that no half of one is left. */
static size_t cut_at(struct str s, size_t max)
{
	if (s.len <= max)
		return s.len;
	while (max > 0 && ((uint8_t)s.s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

static void put_title_name(struct buf *out, struct str s)
{
	size_t n = cut_at(s, TITLE_MAX);
	xml_escape(out, (struct str){ s.s, n });
	if (n < s.len)
		buf_puts(out, "..");
}

/* As much of a name as fits into so many columns of a fixed-width font: two for one from U+1000 on. */
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

/* ---- boxes ---- */

static void put_rect(struct picture *p, const struct flame_box *b, double x, double width)
{
	buf_puts(p->out, "<rect class=\"");
	if (b->frames) {
		buf_putc(p->out, 'r');
	} else {
		buf_putc(p->out, 'c');
		buf_i64(p->out, class_of(p, b->node));
	}
	if (width >= FLAME_EDGE_PX)
		buf_puts(p->out, " w");
	buf_puts(p->out, "\" x=\"");
	put_decimal(p->out, x, 2);
	buf_puts(p->out, "\" y=\"");
	buf_i64(p->out, p->height - FLAME_PAD - ((int)b->depth + 1) * FLAME_ROW);
	buf_puts(p->out, "\" width=\"");
	put_decimal(p->out, width, 2);
	buf_puts(p->out, "\" height=\"16\"><title>");
}

static void put_remainder_title(struct picture *p, const struct flame_box *b)
{
	put_grouped(p->out, b->frames);
	buf_puts(p->out, b->frames == 1 ? " frame, too narrow to draw (" : " frames, too narrow to draw (");
	put_value(p->out, &p->shown, (int64_t)(b->width << p->flame->shift));
	buf_puts(p->out, ", ");
	put_share(p->out, (int64_t)b->width, (int64_t)flame_total(p->flame));
	buf_putc(p->out, ')');
}

static void put_frame_title(struct picture *p, uint32_t node, struct str name)
{
	const struct call_node *n = &p->tree->nodes[node];
	put_title_name(p->out, name);
	buf_puts(p->out, " (");
	put_value(p->out, &p->shown, n->total);
	buf_puts(p->out, ", ");
	put_share(p->out, n->total, p->tree->total);
	if (n->self) {
		buf_puts(p->out, ", self ");
		put_value(p->out, &p->shown, n->self);
	}
	buf_putc(p->out, ')');
}

static void put_text(struct picture *p, const struct flame_box *b, double x, double width, struct str name)
{
	buf_puts(p->out, "<text x=\"");
	put_decimal(p->out, x + 3, 2);
	buf_puts(p->out, "\" y=\"");
	buf_i64(p->out, p->height - FLAME_PAD - ((int)b->depth + 1) * FLAME_ROW + 12);
	buf_puts(p->out, "\">");
	put_fitting(p->out, name, (int)((width - 6) / 7.25));
	buf_puts(p->out, "</text>");
}

/* Positions are rounded, widths are their difference: neighbours touch and nothing drifts. */
static bool put_box(void *arg, const struct flame_box *b)
{
	struct picture *p = arg;
	double x = FLAME_PAD + flame_px(p->flame, b->start), width = flame_px(p->flame, b->width);
	put_rect(p, b, x, width);
	if (b->frames) {
		put_remainder_title(p, b);
		buf_puts(p->out, "</title></rect>\n");
		return !buf_err(p->out);
	}
	struct str name = name_of(p, b->node);
	put_frame_title(p, b->node, name);
	buf_puts(p->out, "</title></rect>");
	if (width >= FLAME_TEXT_PX)
		put_text(p, b, x, width, name);
	buf_putc(p->out, '\n');
	return !buf_err(p->out);
}

/* ---- what is drawn ---- */

static bool measure_box(void *arg, const struct flame_box *b)
{
	struct picture *p = arg;
	p->levels = MAX(p->levels, b->depth + 1);
	if (!b->frames) {
		p->left_out--;
		return true;
	}
	return true;
}

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

static void measure(struct picture *p)
{
	p->fit = flame_fit(p->flame);
	for (uint32_t i = 0; i < p->tree->n_nodes; i++)
		p->left_out += p->flame->width[i] > 0;
	flame_each(p->flame, p->fit, measure_box, p);
	p->left_out_width = p->left_out ? width_left_out(p) : 0;
	p->height = FLAME_HEAD + (int)MAX(p->levels, 3u) * FLAME_ROW + FLAME_PAD;
}

/* ---- the head ---- */

static void put_title(struct picture *p)
{
	xml_escape(p->out, service_title(query_selection(p->q)));
	buf_puts(p->out, " · ");
	xml_escape(p->out, str_of(query_info(p->q)->type));
}

static void put_summary(struct picture *p)
{
	const struct query_info *info = query_info(p->q);
	xml_escape(p->out, str_of(info->type));
	buf_puts(p->out, info->averaged ? ": average " : ": total ");
	put_value(p->out, &p->shown, p->tree->total);
	buf_puts(p->out, ", 100% · ");
	put_range(p->out, p->q);
	buf_puts(p->out, " · ");
	put_grouped(p->out, info->profiles);
	buf_puts(p->out, info->profiles == 1 ? " profile" : " profiles");
}

static void put_left_out(struct picture *p)
{
	put_grouped(p->out, p->left_out);
	buf_puts(p->out, p->left_out == 1 ? " frame below " : " frames below ");
	put_decimal(p->out, p->fit.least_px, 2);
	buf_puts(p->out, " px");
	if (p->levels >= p->fit.levels)
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

static void put_notes(struct picture *p)
{
	if (p->left_out)
		put_left_out(p);
	if (p->left_out && p->flame->negatives)
		buf_puts(p->out, "; ");
	if (p->flame->negatives) {
		put_grouped(p->out, p->flame->negatives);
		buf_puts(p->out, p->flame->negatives == 1 ? " negative value not drawn" : " negative values not drawn");
	}
}

static void put_head(struct picture *p)
{
	put_svg_head(p->out, FLAME_WIDTH, p->height);
	put_title(p);
	buf_puts(p->out, "</title>\n<desc>");
	put_summary(p);
	buf_puts(p->out, "</desc>\n<style>\n");
	buf_put(p->out, style, sizeof style - 1);
	flame_palette(p->out);
	buf_put(p->out, dark_style, sizeof dark_style - 1);
	buf_printf(p->out, "</style>\n<rect class=\"bg page\" width=\"%d\" height=\"%d\"/>\n", FLAME_WIDTH,
	           p->height);
}

static void put_bar(struct picture *p)
{
	buf_printf(p->out, "<g class=\"bar\"><rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", FLAME_WIDTH,
	           FLAME_HEAD - 4);
	buf_printf(p->out, "<text class=\"m t\" x=\"%d\" y=\"22\">", FLAME_WIDTH / 2);
	put_title(p);
	buf_printf(p->out, "</text>\n<text class=\"m\" x=\"%d\" y=\"42\">", FLAME_WIDTH / 2);
	put_summary(p);
	buf_printf(p->out, "</text>\n<text class=\"details\" x=\"%d\" y=\"62\">", FLAME_PAD);
	put_notes(p);
	buf_puts(p->out, "</text></g>\n");
}

/* ---- the table ---- */

static void put_number64(struct buf *out, uint64_t v)
{
	do {
		unsigned digit = v & 31;
		v >>= 5;
		buf_putc(out, digits[digit | (v ? 32 : 0)]);
	} while (v);
}

struct table {
	struct picture *p;
	struct buf tree;
	uint32_t *name_at;   /* of a frame: its index + 1 in the names; 0: none yet */
	uint32_t n_names;
	size_t chunk;        /* where the current element of names begins */
	uint32_t last;       /* node written last */
	uint32_t last_depth;
};

static void put_node(struct table *t, uint32_t depth, uint32_t name, uint64_t self)
{
	put_number64(&t->tree, t->last_depth + 1 - depth);
	put_number64(&t->tree, name);
	put_number64(&t->tree, self);
	t->last_depth = depth;
}

/* Children without an entry follow those that have one, as a node of their own. */
static void leave_nodes(struct table *t, uint32_t until)
{
	const struct call_node *nodes = t->p->tree->nodes;
	for (uint32_t i = t->last; i != until; i = nodes[i].parent) {
		if (t->p->flame->rest[i])
			put_node(t, nodes[i].depth + 1, NAME_REST, t->p->flame->rest[i]);
		if (!i)
			return;
	}
}

static void put_table_name(struct buf *out, unsigned colour, struct str s)
{
	buf_putc(out, digits[colour]);
	s.len = cut_at(s, TABLE_NAME_MAX);
	size_t run = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.s[i] != '\\' && s.s[i] != '\n' && s.s[i] != '\r')
			continue;
		xml_escape(out, (struct str){ s.s + run, i - run });
		buf_puts(out, s.s[i] == '\\' ? "\\\\" : s.s[i] == '\n' ? "\\n" : "\\r");
		run = i + 1;
	}
	xml_escape(out, (struct str){ s.s + run, s.len - run });
	buf_putc(out, '\n');
}

static void next_chunk(struct table *t)
{
	struct buf *out = t->p->out;
	if (out->len - t->chunk < CHUNK)
		return;
	buf_puts(out, "</metadata>\n<metadata class=\"names\">");
	t->chunk = out->len;
}

static uint32_t index_name(struct table *t, uint32_t node)
{
	uint32_t *at = &t->name_at[t->p->tree->nodes[node].frame];
	if (!*at) {
		*at = ++t->n_names;
		next_chunk(t);
		put_table_name(t->p->out, class_of(t->p, node), name_of(t->p, node));
	}
	return *at - 1;
}

static uint64_t own_width(const struct flame *f, uint32_t i)
{
	int64_t self = f->tree->nodes[i].self;
	return self > 0 ? (uint64_t)self >> f->shift : 0;
}

/* Names go to the picture at once, the tree, which follows them, to its own buffer. */
static void put_nodes(struct table *t)
{
	const struct flame *f = t->p->flame;
	const struct call_node *nodes = t->p->tree->nodes;
	put_number64(&t->tree, 0);
	put_number64(&t->tree, NAME_ALL);
	put_number64(&t->tree, own_width(f, 0));
	for (uint32_t i = 1; i < t->p->tree->n_nodes;) {
		if (!f->in_table[i]) {
			i = nodes[i].end;
			continue;
		}
		leave_nodes(t, nodes[i].parent);
		put_node(t, nodes[i].depth, index_name(t, i), own_width(f, i));
		t->last = i++;
	}
	leave_nodes(t, UINT32_MAX);
}

static void put_tree(struct buf *out, const struct buf *tree)
{
	for (size_t at = 0; at < tree->len; at += CHUNK) {
		buf_puts(out, "<metadata class=\"tree\">");
		buf_put(out, tree->data + at, MIN(tree->len - at, (size_t)CHUNK));
		buf_puts(out, "</metadata>\n");
	}
}

static int put_table(struct picture *p)
{
	struct table t = { .p = p, .tree = BUF_INIT(NAMES_MAX), .n_names = N_FIXED };
	t.name_at = calloc((size_t)p->tree->n_frames + 1, sizeof *t.name_at);
	int e = t.name_at ? 0 : -ENOMEM;
	if (!e) {
		buf_puts(p->out, "<metadata class=\"names\">");
		t.chunk = p->out->len;
		put_table_name(p->out, FLAME_COLOURS + 1, STR("all"));
		put_table_name(p->out, FLAME_COLOURS + 2, STR("(too narrow)"));
		put_nodes(&t);
		buf_puts(p->out, "</metadata>\n");
		put_tree(p->out, &t.tree);
		e = buf_err(&t.tree);
	}
	free(t.name_at);
	buf_done(&t.tree);
	return e;
}

static void put_settings(struct picture *p)
{
	static const char *const dims[] = { "other", "time", "bytes", "count" };
	buf_printf(p->out, "<metadata class=\"settings\" data-dim=\"%s\" data-shift=\"%u\" data-factor=\"",
	           dims[p->shown.unit.dim], p->flame->shift);
	put_decimal(p->out, p->shown.factor, 0);
	buf_puts(p->out, "\" data-suffix=\"");
	xml_escape(p->out, p->shown.suffix ? str_of(p->shown.suffix) : STR(""));
	buf_puts(p->out, "\"/>\n");
}

/* ---- the document ---- */

static void put_empty(struct picture *p)
{
	const char *why = query_info(p->q)->profiles ? "nothing above zero in this selection"
	                                             : "no profiles in this selection";
	buf_printf(p->out, "<text class=\"m\" x=\"%d\" y=\"%d\">%s</text>\n", FLAME_WIDTH / 2, FLAME_HEAD + 24, why);
}

static int put_document(struct picture *p)
{
	measure(p);
	put_head(p);
	buf_puts(p->out, "<g class=\"frames\">\n");
	int e = flame_each(p->flame, p->fit, put_box, p);
	if (e < 0)
		return e;
	buf_puts(p->out, "</g>\n");
	put_bar(p);
	if (!flame_total(p->flame)) {
		put_empty(p);
		buf_puts(p->out, "</svg>\n");
		return buf_err(p->out);
	}
	put_settings(p);
	e = put_table(p);
	if (e < 0)
		return e;
	buf_puts(p->out, "<script><![CDATA[\n");
	buf_put(p->out, flamegraph_js, flamegraph_js_len);
	buf_puts(p->out, "]]></script>\n</svg>\n");
	return buf_err(p->out);
}

static int flamegraph_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct call_tree *tree;
	int e = query_tree(q, cancel, &tree, err);
	if (e < 0)
		return e;
	_flame_ struct flame flame = { 0 };
	e = flame_of(tree, &flame);
	if (!e)
		e = cancel_check(cancel);
	if (e < 0)
		return e;
	struct picture p = {
		.q = q, .tree = tree, .flame = &flame, .out = out, .shown = shown_of(q), .name = BUF_INIT(NAMES_MAX),
		.granularity = query_selection(q)->options.granularity,
	};
	e = put_document(&p);
	buf_done(&p.name);
	return e;
}

const struct rendering render_flamegraph_svg = { "flamegraph.svg", RENDER_TYPE, true, flamegraph_render };
