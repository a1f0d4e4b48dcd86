/* SPDX-License-Identifier: MIT */
#include "callgrind.h"

#include <math.h>

#include "internal.h"

#define MIN_SHARE 0.125
#define MAX_PATHS 8 /* as many as can have the least share */
#define MAX_DEPTH 128

void graph_done(struct graph *g)
{
	VEC_DONE(&g->nodes);
	VEC_DONE(&g->edges);
	VEC_DONE(&g->entries);
	VEC_DONE(&g->costs);
	idset_done(&g->node_ids);
	idset_done(&g->edge_ids);
	idset_done(&g->objects);
}

static void no_memory(struct graph *g)
{
	make_fail(g->m, -ENOMEM, "no memory for the call graph");
}

static uint32_t mapping_of(struct graph *g, uint32_t object)
{
	if (!object || g->m->e)
		return PROFILE_NONE;
	uint64_t hash = hash_mix(g->m->seed, object);
	for (struct idset_probe p = idset_probe(&g->objects, hash); idset_next(&g->objects, &p);)
		if (g->m->p->mappings.v[p.id].filename == object)
			return p.id;
	uint32_t id = make_mapping(g->m, &(struct profile_mapping){ .filename = object,
	                                                            .flags = MAPPING_HAS_FUNCTIONS });
	if (id != PROFILE_NONE && idset_add(&g->objects, hash, id))
		no_memory(g);
	return id;
}

static bool is_node(const struct graph *g, uint32_t id, uint32_t object, uint32_t file, uint32_t function)
{
	const struct graph_node *n = &g->nodes.v[id];
	return n->object == object && n->file == file && n->function == function;
}

uint32_t graph_node(struct graph *g, struct str object_name, struct str file_name, struct str function_name)
{
	uint32_t object = make_string(g->m, object_name), file = make_string(g->m, file_name);
	uint32_t function = make_string(g->m, function_name);
	uint64_t hash = hash_mix(g->m->seed ^ function, (uint64_t)object << 32 | file);
	for (struct idset_probe p = idset_probe(&g->node_ids, hash); idset_next(&g->node_ids, &p);)
		if (is_node(g, p.id, object, file, function))
			return p.id;
	struct graph_node *n = VEC_PUSH(&g->nodes);
	if (!n || idset_add(&g->node_ids, hash, (uint32_t)(g->nodes.n - 1))) {
		no_memory(g);
		return PROFILE_NONE;
	}
	*n = (struct graph_node){ .object = object, .file = file, .function = function,
		.mapping = mapping_of(g, object) };
	return (uint32_t)(g->nodes.n - 1);
}

static uint32_t location_of(struct graph *g, uint32_t node, uint32_t file, uint64_t address, int64_t line)
{
	const struct graph_node *n = &g->nodes.v[node];
	const struct profile_function f = { .name = n->function, .filename = file };
	const struct profile_line l = { .function = make_function(g->m, &f), .line = line };
	return make_location(g->m, &(struct frame){ n->mapping, address, &l, 1 });
}

void graph_cost(struct graph *g, uint32_t node, struct str file, uint64_t address, int64_t line, const int64_t *costs)
{
	size_t n = g->m->p->types.n;
	struct graph_entry *e = g->m->e ? NULL : VEC_PUSH(&g->entries);
	int64_t *to = e ? VEC_GROW(&g->costs, n) : NULL;
	if (!to) {
		no_memory(g);
		return;
	}
	*e = (struct graph_entry){ node, location_of(g, node, make_string(g->m, file), address, line) };
	memcpy(to, costs, n * sizeof *costs);
	g->costs.n += n;
}

void graph_call(struct graph *g, uint32_t caller, uint32_t callee, int64_t line, int64_t cost)
{
	if (g->m->e)
		return;
	uint64_t hash = hash_mix(g->m->seed ^ caller, callee);
	for (struct idset_probe p = idset_probe(&g->edge_ids, hash); idset_next(&g->edge_ids, &p);) {
		struct graph_edge *e = &g->edges.v[p.id];
		if (e->caller != caller || e->callee != callee)
			continue;
		if (__builtin_add_overflow(e->cost, cost, &e->cost))
			make_fail(g->m, ERR_FORMAT_MALFORMED, "callgrind: the cost of calls does not fit in 64 bits");
		return;
	}
	struct graph_edge *e = VEC_PUSH(&g->edges);
	if (!e || idset_add(&g->edge_ids, hash, (uint32_t)(g->edges.n - 1)))
		no_memory(g);
	else
		*e = (struct graph_edge){ caller, callee, line, cost };
}

/* ---- samples ---- */

/* A stack above a function, being followed: frames are edges, innermost first. */
struct path {
	uint32_t edges[MAX_DEPTH];
	size_t n;
	double share;
};

struct paths {
	struct path *v;
	size_t n;
	uint32_t *mark; /* by node: the number of the walk that has it on its path */
	uint32_t walk;
};

static int by_callee(const void *a, const void *b)
{
	const struct graph_edge *x = a, *y = b;
	return CMP(x->callee, y->callee) ?: CMP(y->cost, x->cost) ?: CMP(x->caller, y->caller);
}

static void sort_edges(struct graph *g)
{
	if (g->edges.n)
		qsort(g->edges.v, g->edges.n, sizeof *g->edges.v, by_callee);
	for (size_t i = g->edges.n; i; i--) {
		struct graph_node *n = &g->nodes.v[g->edges.v[i - 1].callee];
		n->calls_at = (uint32_t)(i - 1);
		n->n_calls++;
		n->total += (double)MAX(g->edges.v[i - 1].cost, (int64_t)0);
	}
}

static void mark_path(const struct graph *g, struct paths *ps, const struct path *path, uint32_t node)
{
	ps->walk++;
	ps->mark[node] = ps->walk;
	for (size_t i = 0; i < path->n; i++)
		ps->mark[g->edges.v[path->edges[i]].caller] = ps->walk;
}

/*
 * Goes one caller up on path `at`: what the greatest callers have becomes paths of their own, behind the others; the
 * rest stays with this one, which is then at its end. Unless it is fresh, the path is that of the call before.
 */
static void extend(const struct graph *g, struct paths *ps, size_t at, uint32_t node, bool fresh)
{
	struct path *path = &ps->v[at];
	uint32_t top = path->n ? g->edges.v[path->edges[path->n - 1]].caller : node;
	const struct graph_node *n = &g->nodes.v[top];
	double whole = path->share;
	if (fresh)
		mark_path(g, ps, path, node);
	ps->mark[top] = ps->walk;
	for (uint32_t i = 0; i < n->n_calls && path->n < MAX_DEPTH && ps->n < 2 * MAX_PATHS; i++) {
		const struct graph_edge *e = &g->edges.v[n->calls_at + i];
		double share = e->cost > 0 ? whole * ((double)e->cost / n->total) : 0;
		if (share < MIN_SHARE)
			break;
		if (ps->mark[e->caller] == ps->walk)
			continue;
		struct path *up = &ps->v[ps->n++];
		up->n = path->n;
		memcpy(up->edges, path->edges, path->n * sizeof *path->edges);
		up->edges[up->n++] = n->calls_at + i;
		up->share = share;
		path->share -= share;
	}
}

/* All stacks above a function, each with its share of the whole. */
static void find_paths(const struct graph *g, struct paths *ps, uint32_t node)
{
	ps->v[0] = (struct path){ .share = 1 };
	ps->n = 1;
	size_t kept = 0;
	bool alone = false;
	for (size_t at = 0; at < ps->n; at++) {
		size_t before = ps->n;
		extend(g, ps, at, node, !alone);
		alone = ps->n == before + 1 && ps->v[at].share < 1e-9;
		if (alone) { /* one caller: this path goes on in its own place */
			ps->v[at] = ps->v[--ps->n];
			at--;
		} else if (ps->v[at].share > 1e-9) {
			if (kept != at)
				ps->v[kept] = ps->v[at];
			kept++;
		}
	}
	ps->n = kept;
}

/* The part of a value that lies between two points of 0 ... 1: the parts' sum is the value. */
static int64_t part_of(int64_t value, double from, double to)
{
	int64_t a = from <= 0 ? 0 : llround((double)value * from);
	int64_t b = to >= 1 ? value : llround((double)value * to);
	int64_t part;
	return __builtin_sub_overflow(b, a, &part) ? 0 : part;
}

static void make_part(struct graph *g, const struct path *path, size_t entry, double from, double to)
{
	int64_t values[FORMAT_MAX_TYPES];
	size_t n = g->m->p->types.n;
	bool some = from <= 0;
	for (size_t t = 0; t < n; t++) {
		values[t] = part_of(g->costs.v[entry * n + t], from, to);
		some |= values[t] != 0;
	}
	if (!some)
		return;
	make_frame(g->m, g->entries.v[entry].location);
	for (size_t i = 0; i < path->n; i++) {
		const struct graph_edge *e = &g->edges.v[path->edges[i]];
		make_frame(g->m, location_of(g, e->caller, g->nodes.v[e->caller].file, 0, e->line));
	}
	make_sample(g->m, values);
}

static void make_entry(struct graph *g, const struct paths *ps, size_t entry)
{
	double from = 0;
	for (size_t i = 0; i < ps->n && !g->m->e; i++) {
		double to = i + 1 == ps->n ? 1 : from + ps->v[i].share;
		make_part(g, &ps->v[i], entry, from, to);
		from = to;
	}
}

static void make_rest(struct graph *g, const int64_t *summary)
{
	size_t n = g->m->p->types.n;
	int64_t rest[FORMAT_MAX_TYPES];
	bool some = false;
	for (size_t t = 0; t < n; t++) {
		uint64_t sum = 0;
		for (size_t i = 0; i < g->entries.n; i++)
			sum += (uint64_t)g->costs.v[i * n + t];
		rest[t] = (int64_t)((uint64_t)summary[t] - sum);
		some |= rest[t] != 0;
		if (rest[t] < 0 || summary[t] < 0)
			return;
	}
	if (some)
		make_sample(g->m, rest);
}

void graph_samples(struct graph *g, const int64_t *summary)
{
	if (g->m->e)
		return;
	sort_edges(g);
	_free_ struct path *paths = calloc(2 * MAX_PATHS, sizeof *paths);
	_free_ uint32_t *mark = calloc(g->nodes.n + 1, sizeof *mark);
	struct paths ps = { .v = paths, .mark = mark };
	uint32_t node = PROFILE_NONE;
	if (!paths || !mark) {
		no_memory(g);
		return;
	}
	for (size_t i = 0; i < g->entries.n && !g->m->e; i++) {
		if (g->entries.v[i].node != node)
			find_paths(g, &ps, g->entries.v[i].node);
		node = g->entries.v[i].node;
		make_entry(g, &ps, i);
	}
	if (summary && g->entries.n && !g->m->e)
		make_rest(g, summary);
}
