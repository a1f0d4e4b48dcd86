/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "diff.h"

/* ---- frames ---- */

/* The order of a tree's frames. */
static int frame_cmp(const struct frame *a, const struct frame *b)
{
	int r = str_cmp(a->name, b->name);
	r = r ? r : str_cmp(a->file, b->file);
	r = r ? r : CMP(a->line, b->line);
	r = r ? r : CMP(a->address, b->address);
	return r ? r : str_cmp(a->mapping, b->mapping);
}

/* index[side][i]: where frame i of a side is in the merged ones. Returns how many these are. */
static uint32_t merge_frames(const struct call_tree *const side[2], struct frame *frames, uint32_t *const index[2])
{
	uint32_t n = 0, i = 0, k = 0;
	while (i < side[0]->n_frames || k < side[1]->n_frames) {
		int order = i == side[0]->n_frames ? 1 : k == side[1]->n_frames ? -1 :
		            frame_cmp(&side[0]->frames[i], &side[1]->frames[k]);
		frames[n] = order <= 0 ? side[0]->frames[i] : side[1]->frames[k];
		if (order <= 0)
			index[0][i++] = n;
		if (order >= 0)
			index[1][k++] = n;
		n++;
	}
	return n;
}

/* ---- nodes ---- */

struct merge {
	const struct call_tree *side[2];
	uint32_t *index[2];       /* merged frames */
	uint32_t at[2];           /* next node of each side */
	struct call_node *out[2]; /* merged nodes, with the values of each side */
	uint32_t n;
};

/*
 * Which side's next node comes next: -1, 1, or 0 for both. The deeper one does, for its parent is not finished; two of
 * one depth have the same parent, and the order of their frames decides.
 */
static int next_side(const struct merge *m)
{
	if (m->at[0] == m->side[0]->n_nodes)
		return 1;
	if (m->at[1] == m->side[1]->n_nodes)
		return -1;
	const struct call_node *a = &m->side[0]->nodes[m->at[0]], *b = &m->side[1]->nodes[m->at[1]];
	if (a->depth != b->depth)
		return a->depth > b->depth ? -1 : 1;
	return a->frame == PROFILE_NONE ? 0 : CMP(m->index[0][a->frame], m->index[1][b->frame]);
}

static uint32_t parent_at(const struct merge *m, uint32_t depth)
{
	uint32_t at = m->n - 1;
	while (m->out[0][at].depth >= depth)
		at = m->out[0][at].parent;
	return at;
}

static void emit(struct merge *m, int order)
{
	const struct call_node *from[2] = {
		order <= 0 ? &m->side[0]->nodes[m->at[0]++] : NULL,
		order >= 0 ? &m->side[1]->nodes[m->at[1]++] : NULL,
	};
	int known = from[0] ? 0 : 1;
	const struct call_node *any = from[known];
	struct call_node node = {
		.frame = any->depth ? m->index[known][any->frame] : PROFILE_NONE,
		.parent = any->depth ? parent_at(m, any->depth) : any->parent,
		.end = m->n + 1,
		.depth = any->depth,
		.inlined = (!from[0] || from[0]->inlined) && (!from[1] || from[1]->inlined),
	};
	for (int s = 0; s < 2; s++) {
		node.self = from[s] ? from[s]->self : 0;
		node.total = from[s] ? from[s]->total : 0;
		m->out[s][m->n] = node;
	}
	m->n++;
}

static void merge_nodes(struct merge *m)
{
	while (m->at[0] < m->side[0]->n_nodes || m->at[1] < m->side[1]->n_nodes)
		emit(m, next_side(m));
	for (uint32_t i = m->n; i-- > 1;) {
		struct call_node *up = &m->out[0][m->out[0][i].parent];
		up->end = MAX(up->end, m->out[0][i].end);
	}
	for (uint32_t i = 0; i < m->n; i++)
		m->out[1][i].end = m->out[0][i].end;
}

/* ---- both ---- */

static int merge_sides(struct merge *m, struct call_diff *ret)
{
	uint64_t n_nodes = (uint64_t)m->side[0]->n_nodes + m->side[1]->n_nodes;
	uint64_t n_frames = (uint64_t)m->side[0]->n_frames + m->side[1]->n_frames;
	if (n_nodes >= UINT32_MAX || n_frames >= UINT32_MAX)
		return -EOVERFLOW;
	struct frame *frames = malloc((size_t)(n_frames + 1) * sizeof *frames);
	for (int s = 0; s < 2; s++)
		m->out[s] = malloc((size_t)(n_nodes + 1) * sizeof *m->out[s]);
	ret->before = (struct call_tree){ .nodes = m->out[0], .frames = frames };
	ret->after = (struct call_tree){ .nodes = m->out[1], .frames = frames };
	if (!frames || !m->out[0] || !m->out[1])
		return -ENOMEM;
	ret->before.n_frames = ret->after.n_frames = merge_frames(m->side, frames, m->index);
	merge_nodes(m);
	ret->before.n_nodes = ret->after.n_nodes = m->n;
	return 0;
}

static double factor_of(int64_t before, int64_t after)
{
	return before > 0 && after > 0 ? (double)after / (double)before : 1;
}

int call_diff_make(const struct call_tree *before, const struct call_tree *after, bool normalize,
                   struct call_diff *ret)
{
	struct call_diff d = { .normalized = normalize, .factor = 1 };
	_free_ uint32_t *old = malloc(((size_t)before->n_frames + 1) * sizeof *old);
	_free_ uint32_t *new = malloc(((size_t)after->n_frames + 1) * sizeof *new);
	if (!old || !new)
		return -ENOMEM;
	struct merge m = { .side = { before, after }, .index = { old, new } };
	int e = merge_sides(&m, &d);
	if (e < 0) {
		call_diff_done(&d);
		return e;
	}
	d.before.total = before->total;
	d.after.total = after->total;
	d.before.type = d.after.type = after->type;
	d.before.unit = d.after.unit = after->unit;
	if (normalize)
		d.factor = factor_of(before->total, after->total);
	*ret = d;
	return 0;
}

void call_diff_done(struct call_diff *d)
{
	free((void *)d->before.nodes);
	free((void *)d->after.nodes);
	free((void *)d->before.frames);
	*d = (struct call_diff){ 0 };
}

int64_t diff_before(const struct call_diff *d, int64_t value)
{
	if (d->factor == 1)
		return value;
	double v = round((double)value * d->factor);
	return v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}
