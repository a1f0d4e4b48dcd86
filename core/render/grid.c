/* SPDX-License-Identifier: MIT */
#include "grid.h"

const char grid_style[] =
	".sel{fill:#d81b60;fill-opacity:.18;stroke:#d81b60;pointer-events:none}.b{text-decoration:underline}\n"
	".b,a text{fill:#0a58ca}a:focus text{outline:2px solid #0a58ca}svg:focus{outline:none}\n"
	"@media (prefers-color-scheme:dark){.sel{fill:#ff6f9f;stroke:#ff6f9f}.b,a text{fill:#7ab8ff}}\n"
	"@media print{.b{display:none}}\n";

const char gap_pattern[] =
	"<defs><pattern id=\"gap\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">"
	"<rect class=\"gb\" width=\"6\" height=\"6\"/><path class=\"gl\" d=\"M0 6L6 0\"/></pattern></defs>\n";

int64_t grid_edge(const struct grid *g, size_t i)
{
	int64_t offset, t;
	if (__builtin_mul_overflow((int64_t)i, g->step, &offset) || __builtin_add_overflow(g->from, offset, &t))
		return INT64_MAX;
	return t + (g->sharp && g->sharp[i] && t < INT64_MAX);
}

bool put_grid_path(struct buf *out, const struct grid *g, size_t column, size_t n)
{
	char from[TIME_LEN], to[TIME_LEN];
	int64_t begin = grid_edge(g, column), end = grid_edge(g, column + n);
	if (end <= begin || end == INT64_MAX)
		return false;
	buf_printf(out, "%s--%s", time_format_compact(begin, from), time_format_compact(end, to));
	return true;
}

static void put_sharp(struct buf *out, const struct grid *g)
{
	bool any = false;
	buf_puts(out, "\" data-sharp=\"");
	for (size_t i = 0; g->sharp && i <= g->n_columns; i++) {
		if (!g->sharp[i])
			continue;
		if (any)
			buf_putc(out, ' ');
		buf_i64(out, (int64_t)i);
		any = true;
	}
}

static void put_counts(struct buf *out, const struct grid *g)
{
	buf_puts(out, "\" data-counts=\"");
	for (size_t i = 0; i < g->n_columns; i++) {
		if (i)
			buf_putc(out, ' ');
		buf_i64(out, (int64_t)g->counts[i]);
	}
}

void put_grid(struct buf *out, const struct grid *g, int y)
{
	buf_printf(out, "<text class=\"q details\" x=\"10\" y=\"%d\"></text>\n", y);
	buf_puts(out, "<metadata class=\"grid\" data-left=\"");
	put_decimal(out, g->left, 2);
	buf_puts(out, "\" data-column=\"");
	put_decimal(out, g->column, 6);
	buf_printf(out, "\" data-top=\"%d\" data-bottom=\"%d\" data-from=\"%lld\" data-step=\"%lld\" data-prefix=\"%s",
	           g->top, g->bottom, (long long)g->from, (long long)g->step, g->prefix);
	put_sharp(out, g);
	put_counts(out, g);
	buf_printf(out, "\" data-noun=\"%s\"/>\n", g->noun);
}
