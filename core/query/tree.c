/* SPDX-License-Identifier: MIT */
#include "internal.h"

struct memo_tree {
	struct call_tree tree;
	struct call_node *nodes;
	struct frame *frames;
};

void memo_tree_free(struct memo_tree *m)
{
	if (!m)
		return;
	free(m->nodes);
	free(m->frames);
	free(m);
}

static struct frame frame_of(const struct symtab *t, const struct frame_key *k)
{
	return (struct frame){
		.name = symtab_str(t, k->name),
		.file = symtab_str(t, k->file),
		.line = k->line,
		.address = k->address,
		.mapping = symtab_str(t, k->mapping),
	};
}

/* Frames in the order of their content, those of the tree alone: ret_index[key]. */
static int number_frames(const struct folded *f, const struct symtab *t, const uint32_t *rank, struct memo_tree *m,
                         uint32_t *index)
{
	size_t n = t->frames.n;
	_free_ uint32_t *by_rank = malloc((n + 1) * sizeof *by_rank);
	_free_ uint8_t *used = calloc(n + 1, 1);
	m->frames = malloc((n + 1) * sizeof *m->frames);
	if (!by_rank || !used || !m->frames)
		return -ENOMEM;
	for (uint32_t i = 1; i < f->n; i++)
		used[f->key[i]] = 1;
	for (size_t i = 0; i < n; i++)
		by_rank[rank[i]] = (uint32_t)i;
	for (size_t i = 0; i < n; i++) {
		uint32_t key = by_rank[i];
		if (!used[key])
			continue;
		index[key] = m->tree.n_frames;
		m->frames[m->tree.n_frames++] = frame_of(t, &t->frames.v[key]);
	}
	return 0;
}

static int fill_totals(const struct folded *f, struct call_node *nodes)
{
	_free_ wide_t *total = malloc(((size_t)f->n + 1) * sizeof *total);
	if (!total)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n; i++)
		total[i] = f->self[i];
	for (uint32_t i = f->n; i-- > 1;)
		total[f->parent[i]] += total[i];
	for (uint32_t i = 0; i < f->n; i++)
		nodes[i].total = sat_narrow(total[i]);
	return 0;
}

static int fill_nodes(const struct folded *f, const uint32_t *index, struct memo_tree *m)
{
	m->nodes = malloc(((size_t)f->n + 1) * sizeof *m->nodes);
	if (!m->nodes)
		return -ENOMEM;
	for (uint32_t i = 0; i < f->n; i++)
		m->nodes[i] = (struct call_node){
			.frame = i ? index[f->key[i]] : PROFILE_NONE,
			.parent = f->parent[i],
			.end = f->end[i],
			.depth = i ? m->nodes[f->parent[i]].depth + 1 : 0,
			.inlined = !f->called[i],
			.self = f->self[i],
		};
	m->tree.n_nodes = f->n;
	return fill_totals(f, m->nodes);
}

static int tree_fill(struct query *q, const struct fold *fold, uint32_t slot, struct memo_tree *m)
{
	_free_ uint32_t *rank = NULL, *index = malloc((q->symtab->frames.n + 1) * sizeof *index);
	_folded_ struct folded folded = { 0 };
	int64_t divisor = q->n_slots ? q->slots[slot].covered : 0;
	int r = index ? symtab_rank_frames(q->symtab, &rank) : -ENOMEM;
	if (r >= 0)
		r = fold_finish(fold, rank, &divisor, &folded);
	if (r >= 0)
		r = number_frames(&folded, q->symtab, rank, m, index);
	if (r >= 0)
		r = fill_nodes(&folded, index, m);
	if (r < 0)
		return r;
	m->tree.nodes = m->nodes;
	m->tree.frames = m->frames;
	m->tree.total = m->nodes[0].total;
	m->tree.type = q->plan_info.type;
	m->tree.unit = q->plan_info.unit;
	return 0;
}

static int tree_fold(struct query *q, enum granularity by, uint32_t slot, const struct cancel *cancel,
                     struct memo_tree *m, struct error *err)
{
	_fold_ struct fold fold = { 0 };
	int r = fold_init(&fold, q, q->symtab, false, 1);
	fold.granularity = by;
	if (r >= 0)
		r = fold_sums(&fold, &q->sums, (struct slot_range){ slot - q->sums_first, 1 }, 0, cancel, err);
	return r < 0 ? r : tree_fill(q, &fold, slot, m);
}

int tree_of_slot(struct query *q, uint32_t slot, const struct cancel *cancel, struct memo_tree **ret,
                 struct error *err)
{
	struct memo_tree *m = calloc(1, sizeof *m);
	int r = m ? tree_fold(q, BY_FUNCTION, slot, cancel, m, err) : -ENOMEM;
	if (r >= 0)
		*ret = m;
	else
		memo_tree_free(m);
	return r == -ENOMEM ? out_of_memory(err) : r;
}

const struct call_tree *memo_tree_of(const struct memo_tree *m)
{
	return &m->tree;
}

static int tree_make(struct query *q, enum granularity by, const struct cancel *cancel, struct memo_tree *m,
                     struct error *err)
{
	int r = q->symtab ? 0 : symtab_new(q, &q->symtab);
	if (r >= 0 && q->n_slots)
		r = values_sums(q, WANT_MAIN, cancel, err);
	if (r >= 0)
		r = tree_fold(q, by, q->main_slot, cancel, m, err);
	values_unused(q);
	return r == -ENOMEM ? out_of_memory(err) : r;
}

static int tree_once(struct query *q, enum granularity by, const struct cancel *cancel, struct error *err)
{
	if (q->trees[by])
		return 0;
	struct memo_tree *m = calloc(1, sizeof *m);
	int r = m ? tree_make(q, by, cancel, m, err) : out_of_memory(err);
	if (r >= 0)
		q->trees[by] = m;
	else
		memo_tree_free(m);
	return r;
}

int query_tree_by(struct query *q, enum granularity by, const struct cancel *cancel, const struct call_tree **ret,
                  struct error *err)
{
	pthread_mutex_lock(&q->lock);
	int r = q->cells.n && q->no_cells ? ERR_CORRUPT : tree_once(q, by, cancel, err);
	bool without_cells = r < 0 && q->cells.n && q->no_cells;
	if (r >= 0)
		*ret = &q->trees[by]->tree;
	pthread_mutex_unlock(&q->lock);
	if (!without_cells)
		return r;
	struct query *planned;
	r = query_planned(q, cancel, &planned, err);
	return r < 0 ? r : query_tree_by(planned, by, cancel, ret, err);
}

int query_tree(struct query *q, const struct cancel *cancel, const struct call_tree **ret, struct error *err)
{
	return query_tree_by(q, q->sel->options.granularity, cancel, ret, err);
}
