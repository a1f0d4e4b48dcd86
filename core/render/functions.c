/* SPDX-License-Identifier: MIT */
#include "functions.h"

#include <string.h>

#include "../base/hash.h"
#include "../base/idset.h"

#define NAMES_MAX ((size_t)512 << 20)
#define POLL_EVERY 4096

/* ---- names ---- */

/* The name under which pprof gathers a frame; code that is known by address alone goes by its mapping. */
static void put_printable(struct buf *out, const struct frame *f, enum granularity g)
{
	if (!frame_is_unknown(f)) {
		put_frame(out, f, g);
		return;
	}
	if (g == BY_ADDRESS && f->address)
		buf_printf(out, "%016llx ", (unsigned long long)f->address);
	if (f->name.s[0] != '[') {
		buf_puts(out, "<unknown>");
		return;
	}
	const char *plus = memrchr(f->name.s, '+', f->name.len);
	buf_put(out, f->name.s, (size_t)(plus - f->name.s));
	buf_putc(out, ']');
}

static int add_function(struct functions *fs, struct idset *set, struct str name, struct str file,
                        uint32_t *ret)
{
	uint64_t hash = hash_bytes(name.s, name.len);
	for (struct idset_probe p = idset_probe(set, hash); idset_next(set, &p);) {
		if (str_eq(fs->v.v[p.id].name, name)) {
			*ret = p.id;
			return 0;
		}
	}
	char *copy = arena_strndup(&fs->names, name.s, name.len);
	struct function *f = copy ? VEC_PUSH(&fs->v) : NULL;
	if (!f)
		return -ENOMEM;
	*f = (struct function){ .name = { copy, name.len }, .file = file };
	*ret = (uint32_t)(fs->v.n - 1);
	return idset_add(set, hash, *ret);
}

static int name_frames(struct functions *fs, const struct call_tree *t, enum granularity g)
{
	_cleanup_(idset_done) struct idset set = { 0 };
	_buf_ struct buf name = BUF_INIT(NAMES_MAX);
	for (uint32_t i = 0; i < t->n_frames; i++) {
		buf_reset(&name);
		put_printable(&name, &t->frames[i], g);
		struct str s = { (const char *)name.data, name.len };
		int e = buf_err(&name);
		if (!e)
			e = add_function(fs, &set, s, t->frames[i].file, &fs->of_frame[i]);
		if (e < 0)
			return e;
	}
	return 0;
}

/* ---- sums ---- */

/* A walk over the tree in preorder that keeps the nodes between the root and the current one. */
struct walk {
	VEC(uint32_t) open;   /* nodes whose subtree holds the current one */
	VEC(uint32_t) depths; /* of each function: how many of its nodes are open */
};

static void walk_done(struct walk *w)
{
	VEC_DONE(&w->open);
	VEC_DONE(&w->depths);
}

static int walk_init(struct walk *w, size_t n)
{
	uint32_t *v = VEC_GROW(&w->depths, n + 1);
	if (!v)
		return -ENOMEM;
	memset(v, 0, n * sizeof *v);
	w->depths.n = n;
	return 0;
}

static void count_node(struct functions *fs, const struct call_node *n, uint32_t function, bool first)
{
	struct function *f = &fs->v.v[function];
	f->flat = add_wrapping(f->flat, n->self);
	fs->flat = add_wrapping(fs->flat, n->self);
	if (first)
		f->cum = add_wrapping(f->cum, n->total);
}

static int sum_nodes(struct functions *fs, const struct call_tree *t, const struct cancel *cancel)
{
	_cleanup_(walk_done) struct walk w = { 0 };
	if (walk_init(&w, fs->v.n) < 0)
		return -ENOMEM;
	fs->total = t->n_nodes ? magnitude(t->nodes[0].self) : 0;
	for (uint32_t i = 1; i < t->n_nodes; i++) {
		const struct call_node *n = &t->nodes[i];
		while (w.open.n && t->nodes[w.open.v[w.open.n - 1]].end <= i)
			w.depths.v[fs->of_frame[t->nodes[w.open.v[--w.open.n]].frame]]--;
		uint32_t *slot = VEC_PUSH(&w.open);
		if (!slot)
			return -ENOMEM;
		*slot = i;
		uint32_t function = fs->of_frame[n->frame];
		count_node(fs, n, function, w.depths.v[function]++ == 0);
		fs->total += magnitude(n->self);
		fs->negative |= n->self < 0;
		int e = i % POLL_EVERY ? 0 : cancel_check(cancel);
		if (e < 0)
			return e;
	}
	return 0;
}

int functions_of(const struct call_tree *t, enum granularity g, const struct cancel *cancel,
                 struct functions *ret)
{
	_functions_ struct functions fs = { .names = ARENA_INIT(NAMES_MAX) };
	fs.of_frame = calloc((size_t)t->n_frames + 1, sizeof *fs.of_frame);
	if (!fs.of_frame)
		return -ENOMEM;
	int e = name_frames(&fs, t, g);
	if (!e)
		e = sum_nodes(&fs, t, cancel);
	if (e < 0)
		return e;
	*ret = fs;
	memset(&fs, 0, sizeof fs);
	return 0;
}

void functions_done(struct functions *f)
{
	VEC_DONE(&f->v);
	free(f->of_frame);
	f->of_frame = NULL;
	arena_done(&f->names);
}

/* ---- inlining ---- */

struct edge {
	uint32_t from, to;
	int64_t weight;
	uint32_t open; /* times it lies on the current stack */
	bool inlined;
};

/* One node between the root and the current one. */
struct step_down {
	uint32_t end;
	uint32_t edge;   /* by which it was reached; IDSET_NONE: none */
	uint32_t caller; /* nearest kept function here; IDSET_NONE: none */
};

struct edges {
	struct idset set;
	VEC(struct edge) v;
	VEC(struct step_down) open;
};

static void edges_done(struct edges *e)
{
	idset_done(&e->set);
	VEC_DONE(&e->v);
	VEC_DONE(&e->open);
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
static int follow_edge(struct edges *es, uint32_t from, uint32_t to, const struct call_node *n, uint32_t *ret)
{
	int err = edge_between(es, from, to, ret);
	if (err < 0)
		return err;
	struct edge *e = &es->v.v[*ret];
	if (e->open++ == 0) {
		e->weight = add_wrapping(e->weight, n->total);
		e->inlined &= n->inlined;
	}
	return 0;
}

static int enter_node(struct functions *fs, struct edges *es, const struct call_node *n)
{
	uint32_t function = fs->of_frame[n->frame];
	uint32_t caller = es->open.n ? es->open.v[es->open.n - 1].caller : IDSET_NONE;
	struct step_down down = { n->end, IDSET_NONE, caller };
	if (fs->v.v[function].kept) {
		down.caller = function;
		if (caller != IDSET_NONE && caller != function) {
			int e = follow_edge(es, caller, function, n, &down.edge);
			if (e < 0)
				return e;
		}
	}
	struct step_down *slot = VEC_PUSH(&es->open);
	if (!slot)
		return -ENOMEM;
	*slot = down;
	return 0;
}

static int gather_edges(struct functions *fs, const struct call_tree *t, const struct cancel *cancel,
                        struct edges *es)
{
	for (uint32_t i = 1; i < t->n_nodes; i++) {
		while (es->open.n && es->open.v[es->open.n - 1].end <= i) {
			struct step_down *left = &es->open.v[--es->open.n];
			if (left->edge != IDSET_NONE)
				es->v.v[left->edge].open--;
		}
		int e = enter_node(fs, es, &t->nodes[i]);
		if (!e && i % POLL_EVERY == 0)
			e = cancel_check(cancel);
		if (e < 0)
			return e;
	}
	return 0;
}

static bool any_inlined(const struct call_tree *t)
{
	for (uint32_t i = 0; i < t->n_nodes; i++)
		if (t->nodes[i].inlined)
			return true;
	return false;
}

int functions_inlining(struct functions *f, const struct call_tree *t, uint64_t min_edge,
                       const struct cancel *cancel)
{
	_cleanup_(edges_done) struct edges es = { 0 };
	if (!any_inlined(t))
		return 0;
	int e = gather_edges(f, t, cancel, &es);
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
