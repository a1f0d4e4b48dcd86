/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * From sums by stack to one tree: per part, the stacks that hold anything are marked from the leaves, then entered
 * into the tree from the root, parents first, one step per location; what a location is called is found once. With
 * filters each stack is entered by itself, since any part of it may be gone.
 *
 * Sums are added up wide and narrowed once, in the canonical order, so that no order of adding shows in the result.
 */

int fold_init(struct fold *f, struct query *q, struct symtab *t, bool by_location, uint32_t n_slots)
{
	*f = (struct fold){
		.q = q,
		.symtab = t,
		.by_location = by_location,
		.granularity = q->sel->options.granularity,
		.n_slots = n_slots,
	};
	return trie_new(&f->trie);
}

void fold_done(struct fold *f)
{
	if (f->charged)
		budget_give(f->q, f->charged);
	trie_free(f->trie);
	VEC_DONE(&f->self);
}

/* ---- what a location is called ---- */

/* Keys of one part's locations, root first: keys[at[location] ..], n of them. */
struct keys {
	uint32_t *at, *n;
	VEC(uint32_t) keys;
};

static void keys_done(struct keys *k)
{
	free(k->at);
	free(k->n);
	VEC_DONE(&k->keys);
}

static int keys_init(struct keys *k, const struct symbols *sym)
{
	k->at = malloc(((size_t)sym->n_locations + 1) * sizeof *k->at);
	k->n = calloc((size_t)sym->n_locations + 1, sizeof *k->n);
	return k->at && k->n ? 0 : -ENOMEM;
}

static int push_key(struct keys *k, uint32_t key)
{
	uint32_t *to = key == NONE ? NULL : VEC_PUSH(&k->keys);
	if (!to)
		return -ENOMEM;
	*to = key;
	return 0;
}

static int keys_find(struct fold *f, struct keys *k, uint32_t part, uint32_t location)
{
	const struct sym_location *l = &f->q->parts.v[part].symbols->locations[location];
	k->at[location] = (uint32_t)k->keys.n;
	int r = 0;
	if (f->by_location)
		r = push_key(k, symtab_location(f->symtab, part, location));
	else if (!l->n_lines)
		r = push_key(k, symtab_frame(f->symtab, part, location, NONE, f->granularity));
	else
		for (uint32_t i = l->n_lines; i-- > 0 && r >= 0;)
			r = push_key(k, symtab_frame(f->symtab, part, location, l->line_at + i, f->granularity));
	k->n[location] = (uint32_t)k->keys.n - k->at[location];
	return r;
}

/* ---- entering ---- */

/* Makes room for the sums of all nodes that are there. */
static int self_grow(struct fold *f)
{
	size_t need = f->trie->nodes.n * f->n_slots;
	if (f->self.n >= need)
		return 0;
	wide_t *to = VEC_GROW(&f->self, need - f->self.n);
	if (!to)
		return -ENOMEM;
	memset(to, 0, (need - f->self.n) * sizeof *to);
	f->self.n = need;
	return 0;
}

static inline wide_t sum_of(const struct part_sums *s, uint32_t slot, uint32_t stack)
{
	wide_t v = s->narrow[slot] ? s->narrow[slot][stack] : 0;
	return s->wide[slot] ? v + s->wide[slot][stack] : v;
}

/* The node's sums are there. */
static inline void enter_sums(struct fold *f, uint32_t node, const struct part_sums *s, uint32_t n, uint32_t first_slot,
                              uint32_t stack)
{
	wide_t *self = f->self.v + (size_t)node * f->n_slots + first_slot;
	for (uint32_t slot = 0; slot < n; slot++)
		self[slot] += sum_of(s, slot, stack);
}

static inline bool holds(const struct part_sums *s, uint32_t n_slots, uint32_t stack)
{
	for (uint32_t slot = 0; slot < n_slots; slot++)
		if (sum_of(s, slot, stack))
			return true;
	return false;
}

static void mark_narrow(const int64_t *sums, uint32_t n, uint8_t *live)
{
	for (uint32_t i = 0; sums && i < n; i++)
		live[i] |= sums[i] != 0;
}

static void mark_wide(const wide_t *sums, uint32_t n, uint8_t *live)
{
	for (uint32_t i = 0; sums && i < n; i++)
		live[i] |= sums[i] != 0;
}

/* Marks the stacks that hold anything and all above them; what cancels out there is dropped with the other zeros. */
static void mark(const struct symbols *sym, const struct part_sums *s, uint32_t n_slots, uint8_t *live)
{
	for (uint32_t slot = 0; slot < n_slots; slot++) {
		mark_narrow(s->narrow[slot], s->n_stacks, live);
		mark_wide(s->wide[slot], s->n_stacks, live);
	}
	for (uint32_t i = s->n_stacks; i-- > 1;)
		live[sym->stack_parent[i]] |= live[i];
}

static int enter_location(struct fold *f, struct keys *k, uint32_t part, uint32_t location, uint32_t *node)
{
	if (!k->n[location]) {
		int r = keys_find(f, k, part, location);
		if (r < 0)
			return r;
	}
	const uint32_t *keys = k->keys.v + k->at[location];
	for (uint32_t i = 0; i < k->n[location]; i++) {
		*node = trie_child(f->trie, *node, keys[i]);
		if (*node == NONE)
			return -ENOMEM;
		f->trie->nodes.v[*node].called |= i == 0;
	}
	return 0;
}

static int fold_part(struct fold *f, uint32_t part, const struct part_sums *s, uint32_t n, uint32_t first_slot)
{
	const struct symbols *sym = f->q->parts.v[part].symbols;
	_cleanup_(keys_done) struct keys keys = { 0 };
	_free_ uint8_t *live = calloc((size_t)s->n_stacks + 1, 1);
	_free_ uint32_t *nodes = malloc(((size_t)s->n_stacks + 1) * sizeof *nodes);
	if (!live || !nodes || keys_init(&keys, sym) < 0)
		return -ENOMEM;
	live[0] = 1;
	mark(sym, s, n, live);
	nodes[0] = 0;
	int r = 0;
	for (uint32_t i = 1; i < s->n_stacks && r >= 0; i++) {
		if (!live[i])
			continue;
		nodes[i] = nodes[sym->stack_parent[i]];
		r = enter_location(f, &keys, part, sym->stack_location[i], &nodes[i]);
	}
	if (r >= 0)
		r = self_grow(f);
	for (uint32_t i = 0; i < s->n_stacks && r >= 0; i++)
		if (live[i])
			enter_sums(f, nodes[i], s, n, first_slot, i);
	return r;
}

/* ---- with filters ---- */

/* What the lines of a call, or one line, are called. */
static uint32_t items_key(struct fold *f, uint32_t part, const struct item *items, uint32_t n)
{
	if (f->by_location)
		return symtab_lines(f->symtab, part, items, n);
	return symtab_frame(f->symtab, part, items->location, items->line, f->granularity);
}

static int enter_items(struct fold *f, struct filters *filters, uint32_t part, uint32_t *node)
{
	const struct item *items = filters->items.v;
	size_t n = filters->items.n;
	*node = 0;
	for (size_t i = 0, end; i < n && *node != NONE; i = end) {
		end = i + 1;
		while (f->by_location && end < n && items[end].call == items[i].call)
			end++;
		uint32_t key = items_key(f, part, items + i, (uint32_t)(end - i));
		*node = key == NONE ? NONE : trie_child(f->trie, *node, key);
		if (*node != NONE)
			f->trie->nodes.v[*node].called |= i == 0 || items[i].call != items[i - 1].call;
	}
	return *node == NONE ? -ENOMEM : 0;
}

static int fold_filtered(struct fold *f, struct filters *filters, uint32_t part, const struct part_sums *s, uint32_t n,
                         uint32_t first_slot)
{
	for (uint32_t i = 0; i < s->n_stacks; i++) {
		if (!holds(s, n, i))
			continue;
		int r = filters_stack(filters, part, i);
		if (r == 0)
			continue;
		uint32_t node = 0;
		if (r > 0)
			r = enter_items(f, filters, part, &node);
		if (r >= 0)
			r = self_grow(f);
		if (r < 0)
			return r;
		enter_sums(f, node, s, n, first_slot, i);
	}
	return 0;
}

/* Takes what the tree has grown by of the query's memory. */
static int charge(struct fold *f, struct error *err)
{
	size_t bytes = trie_bytes(f->trie) + f->self.cap * sizeof *f->self.v;
	if (bytes <= f->charged)
		return 0;
	int r = budget_query(f->q, bytes - f->charged, err);
	if (r >= 0)
		f->charged = bytes;
	return r;
}

int fold_sums(struct fold *f, const struct sums *sums, struct slot_range slots, uint32_t first_slot,
              const struct cancel *cancel, struct error *err)
{
	_filters_ struct filters filters;
	int r = filters_init(&filters, f->q->sel, f->symtab);
	for (size_t i = 0; i < sums->n && r >= 0; i++) {
		struct part_sums s = sums->v[i];
		if (!s.n_stacks)
			continue;
		s.narrow += slots.from;
		s.wide += slots.from;
		r = cancel_check(cancel);
		if (r >= 0 && f->q->sel->n_filters)
			r = fold_filtered(f, &filters, (uint32_t)i, &s, slots.n, first_slot);
		else if (r >= 0)
			r = fold_part(f, (uint32_t)i, &s, slots.n, first_slot);
		if (r >= 0)
			r = charge(f, err);
	}
	return r == -ENOMEM ? out_of_memory(err) : r;
}

/* ---- the canonical order ---- */

struct order {
	uint32_t *position, *node; /* of each node in preorder, and back */
};

static uint32_t *children_by_rank(const struct trie *t, const uint32_t *rank)
{
	size_t n = t->nodes.n, ranks = 0;
	for (size_t i = 1; i < n; i++)
		ranks = MAX(ranks, (size_t)rank[t->nodes.v[i].key] + 1);
	_free_ uint32_t *at = calloc(ranks + 2, sizeof *at);
	uint32_t *sorted = malloc((n + 1) * sizeof *sorted);
	if (!at || !sorted) {
		free(sorted);
		return NULL;
	}
	for (size_t i = 1; i < n; i++)
		at[rank[t->nodes.v[i].key] + 1]++;
	for (size_t r = 1; r <= ranks; r++)
		at[r] += at[r - 1];
	for (size_t i = 1; i < n; i++)
		sorted[at[rank[t->nodes.v[i].key]]++] = (uint32_t)i;
	return sorted;
}

/*
 * Preorder without a walk: how many nodes each subtree has is added up from the last node to the first (a parent comes
 * before its children); then each node, taken by rank, is put behind its elder siblings' subtrees. Parents must be
 * placed first, so places are first relative to the parent's, and made absolute from the first node on.
 */
static int preorder(const struct trie *t, const uint32_t *rank, uint32_t *ret_position)
{
	size_t n = t->nodes.n;
	_free_ uint32_t *by_rank = children_by_rank(t, rank);
	_free_ uint32_t *size = malloc((n + 1) * sizeof *size), *used = malloc((n + 1) * sizeof *used);
	if (!by_rank || !size || !used)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		size[i] = used[i] = 1;
	for (size_t i = n; i-- > 1;)
		size[t->nodes.v[i].parent] += size[i];
	for (size_t k = 0; k + 1 < n; k++) {
		uint32_t node = by_rank[k], parent = t->nodes.v[node].parent;
		ret_position[node] = used[parent];
		used[parent] += size[node];
	}
	ret_position[0] = 0;
	for (size_t i = 1; i < n; i++)
		ret_position[i] += ret_position[t->nodes.v[i].parent];
	return 0;
}

/* ---- narrowing ---- */

/* Rounds half up; right for negative numbers too. */
static wide_t divide_rounded(wide_t v, wide_t by)
{
	wide_t twice = 2 * v + by, q = twice / (2 * by);
	return q - (twice % (2 * by) < 0);
}

/*
 * Averages are rounded such that they add up: each is the difference of rounded running sums, so that the whole tree's
 * total is the exact total, rounded once.
 */
static void narrow_slot(const struct fold *f, const uint32_t *node_at, uint32_t slot, int64_t divisor, int64_t *out)
{
	size_t n = f->trie->nodes.n;
	wide_t sum = 0, before = 0;
	for (size_t i = 0; i < n; i++) {
		size_t at = (size_t)node_at[i] * f->n_slots + slot;
		wide_t v = at < f->self.n ? f->self.v[at] : 0;
		if (divisor > 1) {
			sum += v;
			wide_t now = divide_rounded(sum, divisor);
			v = now - before;
			before = now;
		}
		out[i * f->n_slots + slot] = sat_narrow(v);
	}
}

void folded_done(struct folded *f)
{
	free(f->key);
	free(f->parent);
	free(f->end);
	free(f->called);
	free(f->self);
	*f = (struct folded){ 0 };
}

static int folded_init(struct folded *f, size_t n, uint32_t n_slots)
{
	*f = (struct folded){ .n = (uint32_t)n, .n_slots = n_slots };
	f->key = malloc((n + 1) * sizeof *f->key);
	f->parent = malloc((n + 1) * sizeof *f->parent);
	f->end = malloc((n + 1) * sizeof *f->end);
	f->called = malloc(n + 1);
	f->self = calloc((n + 1) * MAX(n_slots, 1u), sizeof *f->self);
	return f->key && f->parent && f->end && f->called && f->self ? 0 : -ENOMEM;
}

/* Drops nodes that nothing came to, so that what is there does not depend on what cancelled out where. */
static int prune(struct folded *f)
{
	_free_ uint32_t *to = calloc((size_t)f->n + 1, sizeof *to);
	if (!to)
		return -ENOMEM;
	for (uint32_t i = f->n; i-- > 1;) {
		for (uint32_t s = 0; s < f->n_slots; s++)
			to[i] |= f->self[(size_t)i * f->n_slots + s] != 0;
		to[f->parent[i]] |= to[i];
	}
	uint32_t n = 1;
	for (uint32_t i = 1; i < f->n; i++) {
		if (!to[i])
			continue;
		to[i] = n;
		f->key[n] = f->key[i];
		f->called[n] = f->called[i];
		f->parent[n] = f->parent[i] ? to[f->parent[i]] : 0;
		memmove(f->self + (size_t)n * f->n_slots, f->self + (size_t)i * f->n_slots,
		        f->n_slots * sizeof *f->self);
		n++;
	}
	f->n = n;
	return 0;
}

static void find_ends(struct folded *f)
{
	for (uint32_t i = 0; i < f->n; i++)
		f->end[i] = i + 1;
	for (uint32_t i = f->n; i-- > 1;)
		f->end[f->parent[i]] = MAX(f->end[f->parent[i]], f->end[i]);
}

static int finish(const struct fold *f, const uint32_t *rank, const int64_t *divisors, struct folded *out)
{
	size_t n = f->trie->nodes.n;
	_free_ uint32_t *position = malloc((n + 1) * sizeof *position), *node_at = malloc((n + 1) * sizeof *node_at);
	if (!position || !node_at || preorder(f->trie, rank, position) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		node_at[position[i]] = (uint32_t)i;
	for (size_t i = 0; i < n; i++) {
		const struct trie_node *node = &f->trie->nodes.v[node_at[i]];
		out->key[i] = node->key;
		out->called[i] = node->called;
		out->parent[i] = position[node->parent];
	}
	for (uint32_t s = 0; s < f->n_slots; s++)
		narrow_slot(f, node_at, s, divisors[s], out->self);
	int r = prune(out);
	if (r >= 0)
		find_ends(out);
	return r;
}

int fold_finish(const struct fold *f, const uint32_t *rank, const int64_t *divisors, struct folded *ret)
{
	struct folded out;
	int r = folded_init(&out, f->trie->nodes.n, f->n_slots);
	if (r >= 0)
		r = finish(f, rank, divisors, &out);
	if (r < 0) {
		folded_done(&out);
		return r;
	}
	*ret = out;
	return 0;
}
