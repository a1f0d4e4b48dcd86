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
