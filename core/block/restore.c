/* SPDX-License-Identifier: MIT */

/*
 * One profile as it was written. Tables are put in an order that content alone decides, so that the same profile gives
 * the same bytes from a segment and from every block it is ever merged into: samples by stack (locations compared by
 * content, root first), then labels, then values; locations and functions in order of first use.
 */

#include <string.h>

#include "reader.h"

struct restorer {
	struct dataset *dataset;
	const struct symbols *symbols;
	const struct labelsets *sets;
	const struct profiles *profiles;
	const struct profile_row *row;
	const struct header *header;
	const struct mapset *mapset;
	struct profile *out;
	struct samples samples;
	uint32_t *strings, *functions, *locations; /* dataset's index to the profile's; PROFILE_NONE */
	uint32_t *explicit_at;                     /* dataset location: place in `explicits` */
	VEC(struct explicit_place) explicits;
	VEC(struct branch) branches;               /* of the samples' stacks and all above them; 0 is the root */
	uint32_t *branch_of;                       /* dataset's stack to a branch; PROFILE_NONE */
};

/* The samples' stacks are a small part of the dataset's, kept together. */
struct branch {
	uint32_t stack, parent; /* parent: a branch */
	uint32_t child, next;   /* of its children, of its parent's; 0: none */
	uint32_t depth, rank;   /* rank: in preorder, children by location */
	uint32_t location, out; /* the dataset's, the profile's; PROFILE_NONE */
};

struct explicit_place {
	uint32_t location, mapping; /* mapping: index, or PROFILE_NONE */
	uint64_t address;
};

static void restorer_done(struct restorer *r)
{
	free(r->strings);
	free(r->functions);
	free(r->locations);
	free(r->explicit_at);
	VEC_DONE(&r->explicits);
	free(r->branch_of);
	VEC_DONE(&r->branches);
}

static uint32_t *none_array(size_t n)
{
	uint32_t *v = malloc((n + 1) * sizeof *v);
	if (v)
		memset(v, 0xff, (n + 1) * sizeof *v);
	return v;
}

static int restorer_init(struct restorer *r)
{
	const struct symbols *s = r->symbols;
	r->strings = none_array(s->n_strings);
	r->functions = none_array(s->n_functions);
	r->locations = none_array(s->n_locations);
	r->explicit_at = none_array(s->n_locations);
	r->branch_of = none_array(s->n_stacks);
	return r->strings && r->functions && r->locations && r->explicit_at && r->branch_of ? 0 : -ENOMEM;
}

/* ---- where locations lie ---- */

static void place_of(const struct restorer *r, uint32_t location, uint32_t *ret_mapping, uint64_t *ret_address)
{
	const struct sym_location *l = &r->symbols->locations[location];
	*ret_mapping = PROFILE_NONE;
	*ret_address = l->address;
	if (l->flags & LOCATION_EXPLICIT) {
		uint32_t at = r->explicit_at[location];
		*ret_mapping = at == PROFILE_NONE ? PROFILE_NONE : r->explicits.v[at].mapping;
		*ret_address = at == PROFILE_NONE ? 0 : r->explicits.v[at].address;
		return;
	}
	if (l->file == PROFILE_NONE)
		return;
	for (uint32_t i = 0; i < r->mapset->n; i++) {
		const struct mapset_entry *m = &r->mapset->entries[i];
		uint64_t size_known = m->limit > m->start;
		if (m->file != l->file || l->address < m->offset ||
		    (size_known && l->address - m->offset >= m->limit - m->start))
			continue;
		*ret_mapping = i;
		*ret_address = l->address - m->offset + m->start;
		return;
	}
}

static int read_explicits(struct restorer *r, struct cursor *c)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c)), location = 0, address = 0;
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		location += (uint64_t)cursor_svarint(c);
		uint32_t mapping = (uint32_t)cursor_varint_max(c, r->mapset->n) - 1;
		address += (uint64_t)cursor_svarint(c);
		struct explicit_place *e = VEC_PUSH(&r->explicits);
		if (!e)
			return -ENOMEM;
		*e = (struct explicit_place){ (uint32_t)location, mapping, address };
		if (location >= r->symbols->n_locations)
			return ERR_CORRUPT_LAYOUT;
		r->explicit_at[location] = (uint32_t)(r->explicits.n - 1);
	}
	return c->bad ? ERR_CORRUPT_LAYOUT : 0;
}

/* ---- the canonical order ---- */

static struct str text(const struct restorer *r, uint32_t string)
{
	return r->symbols->strings[string];
}

static int compare_functions(const struct restorer *r, uint32_t a, uint32_t b)
{
	if (a == b)
		return 0;
	if (a == PROFILE_NONE || b == PROFILE_NONE)
		return a == PROFILE_NONE ? -1 : 1;
	const struct sym_function *f = &r->symbols->functions[a], *g = &r->symbols->functions[b];
	int c = str_cmp(text(r, f->name), text(r, g->name));
	if (!c)
		c = str_cmp(text(r, f->system_name), text(r, g->system_name));
	if (!c)
		c = str_cmp(text(r, f->filename), text(r, g->filename));
	return c ? c : CMP(f->start_line, g->start_line);
}

static int compare_locations(const struct restorer *r, uint32_t a, uint32_t b)
{
	if (a == b)
		return 0;
	const struct sym_location *l = &r->symbols->locations[a], *m = &r->symbols->locations[b];
	uint32_t mapping_a, mapping_b;
	uint64_t address_a, address_b;
	for (uint32_t i = 0; i < l->n_lines && i < m->n_lines; i++) {
		const struct sym_line *x = &r->symbols->lines[l->line_at + l->n_lines - 1 - i];
		const struct sym_line *y = &r->symbols->lines[m->line_at + m->n_lines - 1 - i];
		int c = compare_functions(r, x->function, y->function);
		c = c ? c : CMP(x->line, y->line);
		c = c ? c : CMP(x->column, y->column);
		if (c)
			return c;
	}
	place_of(r, a, &mapping_a, &address_a);
	place_of(r, b, &mapping_b, &address_b);
	int c = CMP(l->n_lines, m->n_lines);
	c = c ? c : CMP(mapping_a + 1, mapping_b + 1);
	c = c ? c : CMP(address_a, address_b);
	c = c ? c : CMP(l->flags, m->flags);
	return c ? c : CMP(l->ordinal, m->ordinal);
}

/*
 * Stacks are ranked in preorder of their tree, so that siblings are compared and not whole stacks: a stack comes before
 * those that it is a part of, others are told apart by the first locations in which they differ.
 */
static int add_branches(struct restorer *r, uint32_t stack)
{
	const struct symbols *sym = r->symbols;
	size_t first = r->branches.n;
	for (; r->branch_of[stack] == PROFILE_NONE; stack = sym->stack_parent[stack]) {
		struct branch *b = VEC_PUSH(&r->branches);
		if (!b)
			return -ENOMEM;
		*b = (struct branch){ .stack = stack, .location = sym->stack_location[stack], .out = PROFILE_NONE };
		r->branch_of[stack] = (uint32_t)(r->branches.n - 1);
	}
	for (size_t i = r->branches.n; i-- > first;) { /* parents first */
		struct branch *b = &r->branches.v[i];
		b->parent = r->branch_of[sym->stack_parent[b->stack]];
		struct branch *parent = &r->branches.v[b->parent];
		b->depth = parent->depth + 1;
		b->next = parent->child;
		parent->child = (uint32_t)i;
	}
	return 0;
}

static int compare_siblings(const void *x, const void *y, void *ctx)
{
	const struct restorer *r = ctx;
	const struct branch *a = &r->branches.v[*(const uint32_t *)x], *b = &r->branches.v[*(const uint32_t *)y];
	int c = a->location == b->location ? 0 : compare_locations(r, a->location, b->location);
	return c ? c : CMP(a->stack, b->stack);
}

/* children: room for as many as there are branches. */
static void order_children(struct restorer *r, struct branch *parent, uint32_t *children)
{
	size_t n = 0;
	for (uint32_t at = parent->child; at; at = r->branches.v[at].next)
		children[n++] = at;
	if (n < 2)
		return;
	qsort_r(children, n, sizeof *children, compare_siblings, r);
	parent->child = children[0];
	for (size_t i = 0; i < n; i++)
		r->branches.v[children[i]].next = i + 1 < n ? children[i + 1] : 0;
}

static void rank_branches(struct restorer *r)
{
	struct branch *v = r->branches.v;
	for (uint32_t at = 0, n = 0;;) {
		v[at].rank = n++;
		if (v[at].child) {
			at = v[at].child;
			continue;
		}
		while (at && !v[at].next)
			at = v[at].parent;
		if (!at)
			return;
		at = v[at].next;
	}
}

static int rank_stacks(struct restorer *r)
{
	struct branch *root = VEC_PUSH(&r->branches);
	if (!root)
		return -ENOMEM;
	*root = (struct branch){ .location = PROFILE_NONE };
	r->branch_of[0] = 0;
	for (uint32_t i = 0; i < r->samples.n; i++)
		if (add_branches(r, r->samples.stacks[i]) < 0)
			return -ENOMEM;
	_free_ uint32_t *children = malloc(r->branches.n * sizeof *children);
	if (!children)
		return -ENOMEM;
	for (size_t i = 0; i < r->branches.n; i++)
		order_children(r, &r->branches.v[i], children);
	rank_branches(r);
	return 0;
}

static uint32_t rank_of(const struct restorer *r, uint32_t sample)
{
	return r->branches.v[r->branch_of[r->samples.stacks[sample]]].rank;
}

static int compare_labels(const struct restorer *r, uint32_t a, uint32_t b)
{
	uint32_t i = r->sets->at[a], j = r->sets->at[b];
	for (; i < r->sets->at[a + 1] && j < r->sets->at[b + 1]; i++, j++) {
		const struct sample_label *x = &r->sets->labels[i], *y = &r->sets->labels[j];
		int c = str_cmp(text(r, x->key), text(r, y->key));
		c = c ? c : str_cmp(text(r, x->str), text(r, y->str));
		c = c ? c : CMP(x->num, y->num);
		c = c ? c : str_cmp(text(r, x->num_unit), text(r, y->num_unit));
		if (c)
			return c;
	}
	return CMP(r->sets->at[a + 1] - r->sets->at[a], r->sets->at[b + 1] - r->sets->at[b]);
}

static int compare_samples(const void *x, const void *y, void *ctx)
{
	const struct restorer *r = ctx;
	uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
	const struct samples *s = &r->samples;
	int c = s->stacks[a] == s->stacks[b] ? 0 : CMP(rank_of(r, a), rank_of(r, b));
	if (!c && s->labelsets)
		c = compare_labels(r, s->labelsets[a], s->labelsets[b]);
	for (uint32_t t = 0; t < r->header->n_types && !c; t++)
		c = CMP(s->values[t][a], s->values[t][b]);
	return c;
}

static int order_samples(struct restorer *r, uint32_t **ret)
{
	_free_ uint32_t *order = malloc(((size_t)r->samples.n + 1) * sizeof *order);
	if (!order)
		return -ENOMEM;
	for (uint32_t i = 0; i < r->samples.n; i++)
		order[i] = i;
	if (rank_stacks(r) < 0)
		return -ENOMEM;
	qsort_r(order, r->samples.n, sizeof *order, compare_samples, r);
	*ret = TAKE_PTR(order);
	return 0;
}

/* ---- output tables, filled on first use ---- */

static uint32_t out_string(struct restorer *r, uint32_t string)
{
	uint32_t *slot = &r->strings[string];
	if (*slot == PROFILE_NONE) {
		struct str s = text(r, string);
		*slot = s.len ? profile_string(r->out, s.s, s.len) : 0;
	}
	return *slot;
}

static int out_function(struct restorer *r, uint32_t function, uint32_t *ret)
{
	uint32_t *slot = &r->functions[function];
	if (*slot == PROFILE_NONE) {
		const struct sym_function *f = &r->symbols->functions[function];
		struct profile_function *out = VEC_PUSH(&r->out->functions);
		if (!out)
			return -ENOMEM;
		*slot = (uint32_t)(r->out->functions.n - 1);
		*out = (struct profile_function){ out_string(r, f->name), out_string(r, f->system_name),
			                          out_string(r, f->filename), f->start_line };
		if (out->name == PROFILE_NONE || out->system_name == PROFILE_NONE || out->filename == PROFILE_NONE)
			return -ENOMEM;
	}
	*ret = *slot;
	return 0;
}

static int out_lines(struct restorer *r, const struct sym_location *l)
{
	for (uint32_t i = 0; i < l->n_lines; i++) {
		const struct sym_line *line = &r->symbols->lines[l->line_at + i];
		struct profile_line *out = VEC_PUSH(&r->out->lines);
		if (!out)
			return -ENOMEM;
		*out = (struct profile_line){ PROFILE_NONE, line->line, line->column };
		int e = line->function == PROFILE_NONE ? 0 : out_function(r, line->function, &out->function);
		if (e < 0)
			return e;
	}
	return 0;
}

static int out_location(struct restorer *r, uint32_t location, uint32_t *ret)
{
	uint32_t *slot = &r->locations[location];
	if (*slot == PROFILE_NONE) {
		const struct sym_location *l = &r->symbols->locations[location];
		struct profile_location *out = VEC_PUSH(&r->out->locations);
		if (!out)
			return -ENOMEM;
		*slot = (uint32_t)(r->out->locations.n - 1);
		*out = (struct profile_location){ .is_folded = l->flags & LOCATION_FOLDED,
			                          .line_at = (uint32_t)r->out->lines.n, .n_lines = l->n_lines };
		place_of(r, location, &out->mapping, &out->address);
		int e = out_lines(r, l);
		if (e < 0)
			return e;
	}
	*ret = *slot;
	return 0;
}

static int out_label(struct restorer *r, const struct sample_label *l)
{
	struct profile_label *out = VEC_PUSH(&r->out->labels);
	if (!out)
		return -ENOMEM;
	*out = (struct profile_label){ .key = out_string(r, l->key), .str = out_string(r, l->str), .num = l->num,
		                       .num_unit = out_string(r, l->num_unit), .is_num = l->is_num };
	return out->key == PROFILE_NONE || out->str == PROFILE_NONE || out->num_unit == PROFILE_NONE ? -ENOMEM : 0;
}

static int out_path(struct restorer *r, uint32_t sample)
{
	struct branch *v = r->branches.v, *b = &v[r->branch_of[r->samples.stacks[sample]]];
	uint32_t *to = VEC_GROW(&r->out->locs, b->depth);
	if (!to && b->depth)
		return -ENOMEM;
	r->out->locs.n += b->depth;
	for (; b != v; b = &v[b->parent], to++) {
		int e = b->out == PROFILE_NONE ? out_location(r, b->location, &b->out) : 0;
		if (e < 0)
			return e;
		*to = b->out;
	}
	return 0;
}

static int out_sample(struct restorer *r, uint32_t i)
{
	struct profile *p = r->out;
	const struct samples *s = &r->samples;
	int e = out_path(r, i);
	if (e < 0)
		return e;
	for (uint32_t t = 0; t < r->header->n_types; t++) {
		int64_t *value = VEC_PUSH(&p->values);
		if (!value)
			return -ENOMEM;
		*value = s->values[t][i];
	}
	for (uint32_t k = s->labelsets ? r->sets->at[s->labelsets[i]] : 0;
	     s->labelsets && k < r->sets->at[s->labelsets[i] + 1]; k++) {
		e = out_label(r, &r->sets->labels[k]);
		if (e < 0)
			return e;
	}
	uint32_t *end = VEC_PUSH(&p->loc_at), *label_end = s->labelsets ? VEC_PUSH(&p->label_at) : end;
	if (!end || !label_end)
		return -ENOMEM;
	*end = (uint32_t)p->locs.n;
	if (s->labelsets)
		*label_end = (uint32_t)p->labels.n;
	p->n_samples++;
	return 0;
}

static int out_samples(struct restorer *r)
{
	_free_ uint32_t *order = NULL;
	int e = order_samples(r, &order);
	if (e < 0)
		return e;
	r->out->loc_at.n = r->out->label_at.n = 0;
	uint32_t *start = VEC_PUSH(&r->out->loc_at);
	uint32_t *label_start = r->samples.labelsets ? VEC_PUSH(&r->out->label_at) : start;
	if (!start || !label_start)
		return -ENOMEM;
	*start = *label_start = 0;
	for (uint32_t i = 0; i < r->samples.n && e == 0; i++)
		e = out_sample(r, order[i]);
	return e;
}

static int out_mappings(struct restorer *r)
{
	for (uint32_t i = 0; i < r->mapset->n; i++) {
		const struct mapset_entry *m = &r->mapset->entries[i];
		if (m->file >= r->symbols->n_files)
			return ERR_CORRUPT_LAYOUT;
		const struct sym_file *f = &r->symbols->files[m->file];
		struct profile_mapping *out = VEC_PUSH(&r->out->mappings);
		if (!out)
			return -ENOMEM;
		*out = (struct profile_mapping){ m->start, m->limit, m->offset, out_string(r, f->filename),
			                         out_string(r, f->build_id), f->flags };
		if (out->filename == PROFILE_NONE || out->build_id == PROFILE_NONE)
			return -ENOMEM;
	}
	return 0;
}

static int out_header(struct restorer *r)
{
	const struct header *h = r->header;
	struct profile *p = r->out;
	for (uint32_t t = 0; t < h->n_types; t++) {
		struct value_type *type = VEC_PUSH(&p->types);
		if (!type)
			return -ENOMEM;
		*type = (struct value_type){ out_string(r, h->types[t].type), out_string(r, h->types[t].unit) };
	}
	for (uint32_t i = 0; i < h->n_comments; i++) {
		uint32_t *comment = VEC_PUSH(&p->comments);
		if (!comment)
			return -ENOMEM;
		*comment = out_string(r, h->comments[i]);
	}
	p->period_type = (struct value_type){ out_string(r, h->period_type.type), out_string(r, h->period_type.unit) };
	p->period = h->period;
	p->drop_frames = out_string(r, h->drop_frames);
	p->keep_frames = out_string(r, h->keep_frames);
	p->default_type = out_string(r, h->default_type);
	p->doc_url = out_string(r, h->doc_url);
	p->kind = out_string(r, h->kind);
	p->temporality = h->temporality;
	p->time_ns = r->row->time_source == TIME_OWN ? r->row->time : 0;
	p->duration_ns = r->row->duration;
	return 0;
}

/* Locations and functions that no sample refers to: after those that are used, in the file's order. */
static int out_unused(struct restorer *r, struct cursor *c)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c));
	uint32_t ignored;
	int e = 0;
	for (uint64_t i = 0; i < n && e == 0; i++)
		e = out_location(r, (uint32_t)cursor_varint_max(c, r->symbols->n_locations - 1), &ignored);
	n = e < 0 ? 0 : cursor_varint_max(c, cursor_left(c));
	for (uint64_t i = 0; i < n && e == 0; i++)
		e = out_function(r, (uint32_t)cursor_varint_max(c, r->symbols->n_functions - 1), &ignored);
	return e < 0 ? e : c->bad ? ERR_CORRUPT_LAYOUT : 0;
}

static int restore(struct restorer *r)
{
	struct cursor details = cursor_of(r->samples.details);
	int e = restorer_init(r);
	if (e == 0 && cursor_left(&details))
		e = read_explicits(r, &details);
	if (e == 0)
		e = out_header(r);
	if (e == 0)
		e = out_mappings(r);
	if (e == 0)
		e = out_samples(r);
	if (e == 0 && cursor_left(&details))
		e = out_unused(r, &details);
	return e;
}

int dataset_restore(struct dataset *d, uint32_t row, struct profile *ret, struct error *err)
{
	struct restorer r = { .dataset = d, .out = ret };
	struct columns columns = { UINT64_MAX, true, true };
	_cleanup_(group_freep) struct group *g = NULL;
	int e = dataset_profiles(d, &r.profiles, err);
	if (e < 0)
		return e;
	assert(row < r.profiles->n);
	r.row = &r.profiles->rows[row];
	r.header = &r.profiles->headers[r.row->header];
	r.mapset = &r.profiles->mapsets[r.row->mapset];
	if ((e = dataset_group(d, r.row->group, &columns, &g, err)) < 0 ||
	    (e = dataset_symbols(d, &r.symbols, err)) < 0 || (e = dataset_labelsets(d, &r.sets, err)) < 0 ||
	    (e = group_samples(g, r.row, &r.samples, err)) < 0)
		return e;
	profile_reset(ret);
	e = restore(&r);
	restorer_done(&r);
	if (e < 0)
		return e == -ENOMEM ? error_set(err, e, "out of memory while a profile is restored")
		                    : corrupt(d, err, "a profile's details do not fit its tables");
	return 0;
}
