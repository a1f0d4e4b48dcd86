/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "flamegraph.h"

#define EXACT_BITS 53

/* ---- widths ---- */

static uint64_t positive(int64_t v)
{
	return v > 0 ? (uint64_t)v : 0;
}

static uint64_t own_before(const struct flame *f, uint32_t i)
{
	return f->diff ? positive(diff_before(f->diff, f->diff->before.nodes[i].self)) : 0;
}

uint64_t flame_own(const struct flame *f, uint32_t i)
{
	return positive(f->tree->nodes[i].self) >> f->shift;
}

uint64_t flame_own_before(const struct flame *f, uint32_t i)
{
	return own_before(f, i) >> f->shift;
}

static unsigned shift_for(const struct flame *f)
{
	__uint128_t sum = 0;
	for (uint32_t i = 0; i < f->tree->n_nodes; i++)
		sum += (__uint128_t)positive(f->tree->nodes[i].self) + own_before(f, i);
	unsigned shift = 0;
	while (sum >> shift >> EXACT_BITS)
		shift++;
	return shift;
}

static void sum_widths(struct flame *f)
{
	const struct call_tree *t = f->tree;
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		f->before[i] = flame_own_before(f, i);
		f->width[i] = flame_own(f, i) + f->before[i];
		f->negatives += t->nodes[i].self < 0 || (f->diff && f->diff->before.nodes[i].self < 0);
	}
	for (uint32_t i = t->n_nodes; i > 1; i--) {
		f->width[t->nodes[i - 1].parent] += f->width[i - 1];
		f->before[t->nodes[i - 1].parent] += f->before[i - 1];
	}
}

/* Which sides have each frame anywhere. */
static void find_sides(struct flame *f)
{
	for (uint32_t i = 1; f->diff && i < f->tree->n_nodes; i++) {
		uint8_t *sides = &f->frame_sides[f->tree->nodes[i].frame];
		*sides |= (f->before[i] > 0 ? 1 : 0) | (f->width[i] > f->before[i] ? 2 : 0);
	}
}

enum flame_fate flame_fate(const struct flame *f, uint32_t i)
{
	if (!f->diff || !i || !f->width[i])
		return FLAME_STAYED;
	bool gone = f->before[i] == f->width[i];
	if (f->before[i] && !gone)
		return FLAME_STAYED;
	if (f->frame_sides[f->tree->nodes[i].frame] == 3)
		return FLAME_MOVED;
	return gone ? FLAME_GONE : FLAME_NEW;
}

/* ---- the table ---- */

/* Widths in classes of a sixteenth of a power of two: never greater for a child than for its parent. */
static unsigned class_of(uint64_t width)
{
	if (width < 16)
		return (unsigned)width;
	unsigned bits = 63 - (unsigned)__builtin_clzll(width);
	return (bits - 3) * 16 + (unsigned)(width >> (bits - 4) & 15);
}

#define N_CLASSES (64 * 16)

/* The widest nodes, of the last class as many as have room, in preorder: parents come first. */
static void choose_table(struct flame *f)
{
	size_t counts[N_CLASSES] = { 0 };
	uint32_t n = f->tree->n_nodes;
	for (uint32_t i = 0; i < n; i++)
		counts[class_of(f->width[i])]++;
	size_t room = FLAME_TABLE;
	unsigned least = N_CLASSES - 1;
	while (least > 0 && counts[least] <= room)
		room -= counts[least--];
	for (uint32_t i = 0; i < n; i++) {
		unsigned class = class_of(f->width[i]);
		bool in = f->width[i] && (class > least || (class == least && room > 0));
		room -= in && class == least;
		f->in_table[i] = in;
		f->n_table += in;
		f->too_many |= f->width[i] && !in;
	}
	for (uint32_t i = 1; i < n; i++)
		if (!f->in_table[i] && f->in_table[f->tree->nodes[i].parent]) {
			f->rest[f->tree->nodes[i].parent] += f->width[i] - f->before[i];
			f->rest_before[f->tree->nodes[i].parent] += f->before[i];
		}
}

static bool flame_alloc(struct flame *f)
{
	size_t n = (size_t)f->tree->n_nodes + 1;
	f->width = calloc(n, sizeof *f->width);
	f->before = calloc(n, sizeof *f->before);
	f->rest = calloc(n, sizeof *f->rest);
	f->rest_before = calloc(n, sizeof *f->rest_before);
	f->in_table = calloc(n, 1);
	f->frame_sides = calloc((size_t)f->tree->n_frames + 1, 1);
	return f->width && f->before && f->rest && f->rest_before && f->in_table && f->frame_sides;
}

int flame_of(const struct call_tree *t, const struct call_diff *diff, struct flame *ret)
{
	_flame_ struct flame f = { .tree = diff ? &diff->after : t, .diff = diff };
	if (!flame_alloc(&f))
		return -ENOMEM;
	f.shift = shift_for(&f);
	sum_widths(&f);
	find_sides(&f);
	choose_table(&f);
	*ret = f;
	memset(&f, 0, sizeof f);
	return 0;
}

int flame_of_query(struct query *q, const struct cancel *cancel, struct flame *ret, struct error *err)
{
	const struct call_tree *tree = NULL;
	const struct call_diff *diff = NULL;
	int e = query_baseline(q) ? query_diff(q, cancel, &diff, err) : query_tree(q, cancel, &tree, err);
	if (e < 0)
		return e;
	_flame_ struct flame f = { 0 };
	e = flame_of(tree, diff, &f);
	if (e >= 0)
		e = cancel_check(cancel);
	if (e < 0)
		return e;
	*ret = f;
	memset(&f, 0, sizeof f);
	return 0;
}

void flame_done(struct flame *f)
{
	free(f->width);
	free(f->before);
	free(f->rest);
	free(f->rest_before);
	free(f->in_table);
	free(f->frame_sides);
}

/* ---- the picture ---- */

static uint64_t count_frames(const struct flame *f, uint32_t from, uint32_t end)
{
	uint64_t n = 0;
	for (uint32_t i = from; i < end; i++)
		n += f->width[i] > 0;
	return n;
}

/*
 * The run of neighbours that is being gathered; frames 0: none. On the root even the narrowest is drawn, so that what
 * stands there is together as wide as the root.
 */
static bool finish_run(const struct flame *f, struct flame_fit fit, struct flame_box *run,
                       bool (*box)(void *arg, const struct flame_box *b), void *arg)
{
	double least_px = run->depth == 1 ? 0 : fit.least_px;
	bool goes_on = !run->frames || flame_px(f, run->width) < least_px || box(arg, run);
	run->frames = 0;
	return goes_on;
}

static void add_to_run(const struct flame *f, struct flame_box *run, uint32_t i, uint64_t start)
{
	const struct call_node *n = &f->tree->nodes[i];
	if (!run->frames)
		*run = (struct flame_box){ .node = i, .depth = n->depth, .start = start };
	run->width += f->width[i];
	run->frames += count_frames(f, i, n->end);
}

static bool is_drawn(const struct flame *f, struct flame_fit fit, uint32_t i)
{
	return f->in_table[i] && f->tree->nodes[i].depth < fit.levels && flame_px(f, f->width[i]) >= fit.least_px;
}

/* next[i]: where the next child of i begins. */
static bool walk_boxes(const struct flame *f, struct flame_fit fit, uint64_t *next,
                       bool (*box)(void *arg, const struct flame_box *b), void *arg)
{
	const struct call_node *nodes = f->tree->nodes;
	struct flame_box run = { 0 };
	for (uint32_t i = 0; i < f->tree->n_nodes;) {
		uint64_t start = i ? next[nodes[i].parent] : 0;
		if (i)
			next[nodes[i].parent] += f->width[i];
		bool drawn = is_drawn(f, fit, i);
		if (drawn || (run.frames && nodes[run.node].parent != nodes[i].parent))
			if (!finish_run(f, fit, &run, box, arg))
				return false;
		if (!drawn) {
			if (f->width[i])
				add_to_run(f, &run, i, start);
			i = nodes[i].end;
			continue;
		}
		next[i] = start;
		struct flame_box b = { .node = i, .depth = nodes[i].depth, .start = start, .width = f->width[i] };
		if (!box(arg, &b))
			return false;
		i++;
	}
	return finish_run(f, fit, &run, box, arg);
}

int flame_each(const struct flame *f, struct flame_fit fit, bool (*box)(void *arg, const struct flame_box *b),
               void *arg)
{
	if (!flame_total(f))
		return 0;
	_free_ uint64_t *next = calloc(f->tree->n_nodes, sizeof *next);
	if (!next)
		return -ENOMEM;
	walk_boxes(f, fit, next, box, arg);
	return 0;
}

static bool measure_box(void *arg, const struct flame_box *b)
{
	struct flame_shown *shown = arg;
	shown->levels = MAX(shown->levels, b->depth + 1);
	shown->frames += !b->frames;
	return true;
}

int flame_measure(const struct flame *f, struct flame_fit fit, struct flame_shown *ret)
{
	struct flame_shown shown = { 0 };
	int e = flame_each(f, fit, measure_box, &shown);
	if (e < 0)
		return e;
	shown.left_out = count_frames(f, 0, f->tree->n_nodes) - shown.frames;
	*ret = shown;
	return 0;
}

struct counted {
	const struct flame *f;
	size_t elements;
};

static bool count_box(void *arg, const struct flame_box *b)
{
	struct counted *c = arg;
	c->elements += flame_elements(flame_px(c->f, b->width), b->frames > 0);
	return c->elements <= FLAME_ELEMENTS;
}

/* Narrow frames go first; a tree that is full of wide ones loses its upper levels. */
struct flame_fit flame_fit(const struct flame *f)
{
	struct flame_fit fit = { FLAME_LEAST_PX, FLAME_LEVELS };
	for (;;) {
		struct counted c = { .f = f };
		if (flame_each(f, fit, count_box, &c) < 0 || c.elements <= FLAME_ELEMENTS)
			return fit;
		if (fit.least_px < 1 || fit.levels <= 50)
			fit.least_px *= 1.25;
		else
			fit.levels = fit.levels * 7 / 10;
	}
}
