/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "graph.h"

/*
 * The call graph for Graphviz, of the nodes and edges that `pprof -dot` shows: functions of at least 0.5% of the total,
 * of these the 80 (or @limit) that tell most, calls of at least 0.1%, and no call over left-out functions where the
 * graph shows the way without it.
 */

#define NODE_FRACTION 0.005
#define EDGE_FRACTION 0.001
#define NODES_MAX 80

struct ranked {
	uint32_t function;
	uint64_t score;
};

struct drawing {
	struct query *q;
	const struct call_tree *tree;
	struct functions functions;
	struct edges edges;
	struct ranked *nodes; /* the most telling first */
	size_t n_nodes;
	uint32_t *number;     /* of a function: its place among nodes */
	struct edge **sorted; /* the heaviest first */
	size_t n_sorted;
	size_t low_nodes, low_edges, all_nodes;
	struct shown shown;
	int64_t total;
};

static void drawing_done(struct drawing *d)
{
	functions_done(&d->functions);
	edges_done(&d->edges);
	free(d->nodes);
	free(d->number);
	free(d->sorted);
}

static uint64_t fraction_of(int64_t total, double fraction)
{
	return magnitude((int64_t)((double)total * fraction));
}

/* ---- which nodes ---- */

/* The entropy of what goes in or out of a node: a node where much is decided tells more. */
struct flow {
	double sum, entropy;
	bool any;
};

static void add_share(struct flow *f, int64_t weight)
{
	double share = f->sum != 0 ? fabs((double)weight) / f->sum : 0;
	if (share > 0)
		f->entropy -= share * log2(share);
}

static void measure_flows(const struct drawing *d, struct flow *in, struct flow *out)
{
	const struct functions *fs = &d->functions;
	for (size_t i = 0; i < fs->v.n; i++)
		out[i].sum = (double)fs->v.v[i].flat;
	for (size_t i = 0; i < d->edges.v.n; i++) {
		const struct edge *e = &d->edges.v.v[i];
		out[e->from].sum += e->weight > 0 ? (double)e->weight : 0;
		in[e->to].sum += e->weight > 0 ? (double)e->weight : 0;
		out[e->from].any = in[e->to].any = true;
	}
	for (size_t i = 0; i < d->edges.v.n; i++) {
		const struct edge *e = &d->edges.v.v[i];
		add_share(&out[e->from], e->weight);
		add_share(&in[e->to], e->weight);
	}
	for (size_t i = 0; i < fs->v.n; i++)
		if (fs->v.v[i].flat > 0 && out[i].any)
			add_share(&out[i], fs->v.v[i].flat);
}

static int by_score(const void *a, const void *b, void *functions)
{
	const struct ranked *l = a, *r = b;
	const struct function *f = ((const struct functions *)functions)->v.v;
	if (l->score != r->score)
		return CMP(r->score, l->score);
	int c = str_cmp(f[l->function].name, f[r->function].name);
	return c ? c : CMP(magnitude(f[r->function].flat), magnitude(f[l->function].flat));
}

/* Calls between the nodes of d, and the nodes in order of what they tell. */
static int rank(struct drawing *d, const struct cancel *cancel)
{
	struct functions *fs = &d->functions;
	edges_done(&d->edges);
	int e = edges_of(fs, d->tree, cancel, &d->edges);
	if (e < 0)
		return e;
	_free_ struct flow *in = calloc(fs->v.n + 1, sizeof *in), *out = calloc(fs->v.n + 1, sizeof *out);
	if (!in || !out)
		return -ENOMEM;
	measure_flows(d, in, out);
	for (size_t i = 0; i < d->n_nodes; i++) {
		uint32_t f = d->nodes[i].function;
		double score = (in[f].any ? in[f].entropy : 1) + (out[f].any ? out[f].entropy : 1);
		d->nodes[i].score = magnitude((int64_t)(score * (double)fs->v.v[f].cum) + fs->v.v[f].flat);
	}
	qsort_r(d->nodes, d->n_nodes, sizeof *d->nodes, by_score, fs);
	return 0;
}

static int choose_nodes(struct drawing *d, const struct cancel *cancel)
{
	struct functions *fs = &d->functions;
	uint64_t least = fraction_of(fs->flat, NODE_FRACTION);
	int64_t limit = query_selection(d->q)->options.limit;
	d->nodes = calloc(fs->v.n + 1, sizeof *d->nodes);
	if (!d->nodes)
		return -ENOMEM;
	for (size_t i = 0; i < fs->v.n; i++) {
		struct function *f = &fs->v.v[i];
		bool something = f->flat || f->cum;
		f->kept = something && magnitude(f->cum) >= least;
		d->low_nodes += something && !f->kept;
		if (f->kept)
			d->nodes[d->n_nodes++].function = (uint32_t)i;
	}
	d->all_nodes = d->n_nodes;
	int e = rank(d, cancel);
	size_t most = limit > 0 ? (size_t)limit : NODES_MAX;
	if (e < 0 || d->n_nodes <= most)
		return e;
	for (size_t i = most; i < d->n_nodes; i++)
		fs->v.v[d->nodes[i].function].kept = false;
	d->n_nodes = most;
	return rank(d, cancel);
}

/* ---- which edges ---- */

static int by_weight(const void *a, const void *b, void *functions)
{
	const struct edge *l = *(struct edge *const *)a, *r = *(struct edge *const *)b;
	const struct function *f = ((const struct functions *)functions)->v.v;
	if (magnitude(l->weight) != magnitude(r->weight))
		return CMP(magnitude(r->weight), magnitude(l->weight));
	int c = str_cmp(f[l->from].name, f[r->from].name);
	return c ? c : str_cmp(f[l->to].name, f[r->to].name);
}

/* Whether one comes from `from` to `to` by the edges that are left, another way than by e. */
static bool leads_there(const struct drawing *d, const struct edge *e, uint8_t *seen, uint32_t *queue)
{
	size_t head = 0, n = 0;
	memset(seen, 0, d->n_nodes);
	queue[n++] = e->to;
	seen[d->number[e->to]] = 1;
	while (head < n) {
		uint32_t at = queue[head++];
		for (size_t i = 0; i < d->n_sorted; i++) {
			const struct edge *in = d->sorted[i];
			if (!in || in == e || in->to != at || seen[d->number[in->from]])
				continue;
			if (in->from == e->from)
				return true;
			seen[d->number[in->from]] = 1;
			queue[n++] = in->from;
		}
	}
	return false;
}

/* Of each node's callers the lightest over left-out functions, as long as there is another way. */
static int drop_redundant(struct drawing *d)
{
	_free_ uint8_t *seen = malloc(d->n_nodes + 1);
	_free_ uint32_t *queue = malloc((d->n_nodes + 1) * sizeof *queue);
	if (!seen || !queue)
		return -ENOMEM;
	for (size_t i = d->n_nodes; i-- > 0;)
		for (size_t k = d->n_sorted; k-- > 0;) {
			struct edge *e = d->sorted[k];
			if (!e || e->to != d->nodes[i].function)
				continue;
			if (!e->residual)
				break;
			if (leads_there(d, e, seen, queue))
				d->sorted[k] = NULL;
		}
	return 0;
}

static int choose_edges(struct drawing *d)
{
	uint64_t least = fraction_of(d->functions.flat, EDGE_FRACTION);
	d->sorted = calloc(d->edges.v.n + 1, sizeof *d->sorted);
	d->number = calloc(d->functions.v.n + 1, sizeof *d->number);
	if (!d->sorted || !d->number)
		return -ENOMEM;
	for (size_t i = 0; i < d->n_nodes; i++)
		d->number[d->nodes[i].function] = (uint32_t)i;
	for (size_t i = 0; i < d->edges.v.n; i++) {
		if (magnitude(d->edges.v.v[i].weight) >= least)
			d->sorted[d->n_sorted++] = &d->edges.v.v[i];
		else
			d->low_edges++;
	}
	qsort_r(d->sorted, d->n_sorted, sizeof *d->sorted, by_weight, &d->functions);
	return drop_redundant(d);
}

/* ---- writing ---- */

/* Inside double quotes. */
static void put_quoted(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len;) {
		size_t len = utf8_length(s.s + i, s.len - i);
		if (!len)
			buf_puts(out, NOT_UTF8);
		else if (s.s[i] == '"' || s.s[i] == '\\')
			buf_printf(out, "\\%c", s.s[i]);
		else if ((uint8_t)s.s[i] < 0x20)
			buf_putc(out, ' ');
		else
			buf_put(out, s.s + i, len);
		i += MAX(len, (size_t)1);
	}
}

/* From grey to red with the share of the total; to green below zero. */
static void put_colour(struct buf *out, double share, double saturation, double value)
{
	double size = fmin(fabs(share), 1), full = value * 255;
	saturation *= fmin(size / 0.2, 1);
	double lower = full * (1 - saturation * pow(size, 0.3)), blue = full * (1 - saturation);
	buf_printf(out, "#%02x%02x%02x", (unsigned)(share < 0 ? lower : full), (unsigned)(share < 0 ? full : lower),
	           (unsigned)blue);
}

static void put_valued(struct buf *out, const struct drawing *d, int64_t value)
{
	put_value(out, &d->shown, value);
	buf_puts(out, " (");
	put_share(out, value, d->total);
	buf_putc(out, ')');
}

static void put_legend(struct buf *out, const struct drawing *d)
{
	struct str service = service_title(query_selection(d->q));
	buf_puts(out, "subgraph cluster_legend { legend [shape=box fontsize=16 fillcolor=\"#f8f8f8\" label=\"");
	put_quoted(out, service);
	buf_printf(out, "\\lType: %s\\lTime: ", query_info(d->q)->type);
	put_range(out, d->q);
	buf_puts(out, "\\lTotal: ");
	put_value(out, &d->shown, d->total);
	buf_printf(out, "\\lDropped %zu nodes and %zu edges for their share\\l", d->low_nodes, d->low_edges);
	buf_printf(out, "Showing %zu nodes out of %zu\\l\"] }\n", d->n_nodes, d->all_nodes);
}

static void put_node(struct buf *out, const struct drawing *d, size_t i, uint64_t most)
{
	const struct function *f = &d->functions.v.v[d->nodes[i].function];
	double share = d->total ? (double)f->cum / (double)d->total : 0;
	double size = f->flat && most ? ceil(16 * sqrt((double)magnitude(f->flat) / (double)most)) : 0;
	buf_printf(out, "N%zu [label=\"", i + 1);
	put_quoted(out, f->name);
	buf_puts(out, "\\n");
	if (f->flat)
		put_valued(out, d, f->flat);
	else
		buf_putc(out, '0');
	if (f->cum != f->flat) {
		buf_puts(out, f->flat ? "\\nof " : " of ");
		put_valued(out, d, f->cum);
	}
	buf_printf(out, "\" id=\"node%zu\" fontsize=%.0f shape=box tooltip=\"", i + 1, 8 + size);
	put_quoted(out, f->name);
	buf_puts(out, " (");
	put_value(out, &d->shown, f->cum);
	buf_puts(out, ")\" color=\"");
	put_colour(out, share, 1, 0.7);
	buf_puts(out, "\" fillcolor=\"");
	put_colour(out, share, 0.1, 0.93);
	buf_puts(out, "\"]\n");
}

static void put_edge(struct buf *out, const struct drawing *d, const struct edge *e)
{
	double share = d->total ? (double)e->weight / (double)d->total : 0, size = fmin(fabs(share), 1);
	buf_printf(out, "N%u -> N%u [label=\" ", d->number[e->from] + 1, d->number[e->to] + 1);
	put_value(out, &d->shown, e->weight);
	buf_puts(out, e->inlined ? "\\n (inline)\"" : "\"");
	buf_puts(out, " tooltip=\"");
	put_quoted(out, d->functions.v.v[e->from].name);
	buf_puts(out, e->residual ? " ... " : " -> ");
	put_quoted(out, d->functions.v.v[e->to].name);
	buf_puts(out, " (");
	put_value(out, &d->shown, e->weight);
	buf_printf(out, ")\" weight=%d penwidth=%d color=\"", 1 + (int)(size * 100), 1 + (int)(size * 5));
	put_colour(out, share, 1, 0.7);
	buf_puts(out, e->residual ? "\" style=\"dotted\"]\n" : "\"]\n");
}

/* As pprof chooses it. */
static void choose_unit(struct drawing *d)
{
	uint64_t smallest = 0;
	for (size_t i = 0; i < d->n_nodes; i++) {
		const struct function *f = &d->functions.v.v[d->nodes[i].function];
		uint64_t v = magnitude(f->flat ? f->flat : f->cum);
		if (v && (!smallest || v < smallest))
			smallest = v;
	}
	if (d->n_nodes)
		shown_fix(&d->shown, smallest, magnitude(d->total));
}

static void put_graph(struct buf *out, const struct drawing *d)
{
	uint64_t most = 0;
	buf_puts(out, "digraph \"");
	put_quoted(out, service_title(query_selection(d->q)));
	buf_puts(out, "\" {\nnode [style=filled fillcolor=\"#f8f8f8\"]\n");
	put_legend(out, d);
	for (size_t i = 0; i < d->n_nodes; i++)
		most = MAX(most, magnitude(d->functions.v.v[d->nodes[i].function].flat));
	for (size_t i = 0; i < d->n_nodes; i++)
		put_node(out, d, i, most);
	for (size_t i = 0; i < d->n_sorted; i++)
		if (d->sorted[i])
			put_edge(out, d, d->sorted[i]);
	buf_puts(out, "}\n");
}

static int callgraph_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_cleanup_(drawing_done) struct drawing d = { .q = q, .shown = shown_of(q) };
	int e = query_tree(q, cancel, &d.tree, err);
	if (e < 0)
		return e;
	e = functions_of(d.tree, query_selection(q)->options.granularity, cancel, &d.functions);
	if (!e)
		e = choose_nodes(&d, cancel);
	if (!e)
		e = choose_edges(&d);
	if (e < 0)
		return e;
	d.total = (int64_t)d.functions.total;
	choose_unit(&d);
	put_graph(out, &d);
	return buf_err(out);
}

const struct rendering render_callgraph = { "callgraph.dot", RENDER_TYPE, true, callgraph_render };
