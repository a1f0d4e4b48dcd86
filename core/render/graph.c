/* SPDX-License-Identifier: MIT */
#include "graph.h"

#include <string.h>

#include "../base/hash.h"

#define POLL_EVERY 4096

/* One node between the root and the current one. */
struct step_down {
	uint32_t end;
	uint32_t edge;   /* by which it was reached; IDSET_NONE: none */
	uint32_t caller; /* nearest kept function here; IDSET_NONE: none */
	bool residual;   /* it is not kept itself */
};

struct descent {
	const struct functions *fs;
	struct edges *edges;
	VEC(struct step_down) open;
};

static void descent_done(struct descent *d)
{
	VEC_DONE(&d->open);
}

void edges_done(struct edges *e)
{
	idset_done(&e->set);
	VEC_DONE(&e->v);
}

static int edge_between(struct edges *es, uint32_t from, uint32_t to, uint32_t *ret)
{
	uint64_t hash = hash_mix(from, to);
	for (struct idset_probe p = idset_probe(&es->set, hash); idset_next(&es->set, &p);) {
		if (es->v.v[p.id].from == from && es->v.v[p.id].to == to) {
			*ret = p.id;
			return 0;
		}
	}
	struct edge *e = VEC_PUSH(&es->v);
	if (!e)
		return -ENOMEM;
	*e = (struct edge){ .from = from, .to = to, .inlined = true };
	*ret = (uint32_t)(es->v.n - 1);
	return idset_add(&es->set, hash, *ret);
}

/* A call counts once in a stack. */
static int follow_edge(struct descent *d, uint32_t to, const struct call_node *n, struct step_down *down)
{
	const struct step_down *up = &d->open.v[d->open.n - 1];
	int err = edge_between(d->edges, up->caller, to, &down->edge);
	if (err < 0)
		return err;
	struct edge *e = &d->edges->v.v[down->edge];
	if (e->open++ == 0) {
		e->weight = add_wrapping(e->weight, n->total);
		e->inlined &= n->inlined;
		e->residual |= up->residual;
	}
	return 0;
}

static int enter_node(struct descent *d, const struct call_node *n)
{
	uint32_t function = d->fs->of_frame[n->frame];
	uint32_t caller = d->open.n ? d->open.v[d->open.n - 1].caller : IDSET_NONE;
	struct step_down down = { n->end, IDSET_NONE, caller, true };
	if (d->fs->v.v[function].kept) {
		down.caller = function;
		down.residual = false;
		if (caller != IDSET_NONE && caller != function) {
			int e = follow_edge(d, function, n, &down);
			if (e < 0)
				return e;
		}
	}
	struct step_down *slot = VEC_PUSH(&d->open);
	if (!slot)
		return -ENOMEM;
	*slot = down;
	return 0;
}

static void leave_nodes(struct descent *d, uint32_t at)
{
	while (d->open.n && d->open.v[d->open.n - 1].end <= at) {
		const struct step_down *left = &d->open.v[--d->open.n];
		if (left->edge != IDSET_NONE)
			d->edges->v.v[left->edge].open--;
	}
}

int edges_of(const struct functions *f, const struct call_tree *t, const struct cancel *cancel, struct edges *ret)
{
	_edges_ struct edges es = { 0 };
	_cleanup_(descent_done) struct descent d = { .fs = f, .edges = &es };
	for (uint32_t i = 1; i < t->n_nodes; i++) {
		leave_nodes(&d, i);
		int e = enter_node(&d, &t->nodes[i]);
		if (!e && i % POLL_EVERY == 0)
			e = cancel_check(cancel);
		if (e < 0)
			return e;
	}
	*ret = es;
	memset(&es, 0, sizeof es);
	return 0;
}

static bool any_inlined(const struct call_tree *t)
{
	for (uint32_t i = 0; i < t->n_nodes; i++)
		if (t->nodes[i].inlined)
			return true;
	return false;
}

int edges_inlining(struct functions *f, const struct call_tree *t, uint64_t min_edge, const struct cancel *cancel)
{
	_edges_ struct edges es = { 0 };
	if (!any_inlined(t))
		return 0;
	int e = edges_of(f, t, cancel, &es);
	if (e < 0)
		return e;
	_free_ uint8_t *ways = calloc(f->v.n + 1, 1); /* bit 0: called, bit 1: inlined */
	if (!ways)
		return -ENOMEM;
	for (size_t i = 0; i < es.v.n; i++)
		if (magnitude(es.v.v[i].weight) >= min_edge)
			ways[es.v.v[i].to] |= es.v.v[i].inlined ? 2 : 1;
	for (size_t i = 0; i < f->v.n; i++)
		f->v.v[i].inlining = ways[i] == 3 ? INLINED_PARTLY : ways[i] == 2 ? INLINED_ALWAYS : INLINED_NEVER;
	return 0;
}
