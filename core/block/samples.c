/* SPDX-License-Identifier: MIT */

/*
 * Row groups on the way back: a group's streams are read in one range, and each profile's samples are decoded from
 * where the one before it ended. Going back in a group begins again at its start.
 */

#include <string.h>

#include "reader.h"

struct stream_reader {
	uint8_t *data; /* owned; NULL where the column was not asked for, or is a copy of another */
	struct cursor c;
	uint32_t at;   /* profiles passed */
	uint32_t *starts; /* by place: where each profile's begin; NULL: not indexed */
};

struct group {
	struct dataset *dataset;
	uint32_t number, n_types;
	const struct group_entry *entry;
	struct stream_reader stacks, labels, details;
	bool has_labels, has_details;
	int copy_of[LAYOUT_MAX_TYPES]; /* type whose values are the same, or -1 */
	struct stream_reader values[LAYOUT_MAX_TYPES];
	const uint32_t *rows;          /* of the group, by place */
	VEC(uint32_t) stack_out, label_out;
	int64_t *value_out[LAYOUT_MAX_TYPES];
	size_t value_cap;
};

static bool wanted(const struct columns *columns, const struct stream *s)
{
	if (s->kind == STREAM_STACKS)
		return true;
	if (s->kind == STREAM_LABELS)
		return columns->labels;
	if (s->kind == STREAM_DETAILS)
		return columns->details;
	return s->kind - STREAM_VALUES < LAYOUT_MAX_TYPES && columns->types >> (s->kind - STREAM_VALUES) & 1;
}

/* A copy's column is that of the stream it copies: ask for both. */
static uint64_t with_sources(const struct group_entry *e, uint64_t types)
{
	for (uint32_t i = 0; i < e->n_streams; i++) {
		const struct stream *s = &e->streams[i];
		if (s->copy_of >= 0 && s->kind >= STREAM_VALUES && types >> (s->kind - STREAM_VALUES) & 1) {
			uint8_t source = e->streams[s->copy_of].kind;
			if (source >= STREAM_VALUES)
				types |= UINT64_C(1) << (source - STREAM_VALUES);
		}
	}
	return types;
}

static struct stream_reader *reader_of(struct group *g, uint8_t kind)
{
	if (kind == STREAM_STACKS)
		return &g->stacks;
	if (kind == STREAM_LABELS)
		return &g->labels;
	if (kind == STREAM_DETAILS)
		return &g->details;
	return kind - STREAM_VALUES < (int)g->n_types ? &g->values[kind - STREAM_VALUES] : NULL;
}

static int read_streams(struct group *g, const struct columns *columns, struct error *err)
{
	struct dataset *d = g->dataset;
	const struct group_entry *e = g->entry;
	uint64_t base = d->sections[SECTION_SAMPLES].off, from = UINT64_MAX, to = 0;
	for (uint32_t i = 0; i < e->n_streams; i++) {
		const struct stream *s = &e->streams[i];
		if (s->copy_of < 0 && wanted(columns, s)) {
			from = MIN(from, s->off);
			to = MAX(to, s->off + s->stored);
		}
	}
	if (from >= to)
		from = to = 0; /* nothing but empty streams */
	_free_ uint8_t *stored = malloc(to - from + 1);
	if (!stored)
		return -ENOMEM;
	struct source_range range = { base + from, to - from, stored };
	int r = to > from ? block_read(d->block, &range, 1, err) : 0;
	for (uint32_t i = 0; i < e->n_streams && r == 0; i++) {
		const struct stream *s = &e->streams[i];
		struct stream_reader *reader = reader_of(g, s->kind);
		if (s->copy_of >= 0 || !reader || reader->data || !wanted(columns, s))
			continue;
		struct slice bytes = { s->stored ? stored + (s->off - from) : stored, s->stored };
		r = stored_decode(s->codec, bytes, s->hash, s->raw, &reader->data);
		if (r < 0)
			return error_set(err, r, "%s: service %.*s: row group %u, stream %u: %s", d->block->name,
			                 (int)d->info.service.len, d->info.service.s, g->number, s->kind, err_text(r));
		reader->c = cursor_of((struct slice){ reader->data, s->raw });
	}
	return r;
}

static void note_streams(struct group *g)
{
	for (uint32_t t = 0; t < LAYOUT_MAX_TYPES; t++)
		g->copy_of[t] = -1;
	for (uint32_t i = 0; i < g->entry->n_streams; i++) {
		const struct stream *s = &g->entry->streams[i];
		g->has_labels |= s->kind == STREAM_LABELS;
		g->has_details |= s->kind == STREAM_DETAILS;
		if (s->copy_of >= 0 && s->kind >= STREAM_VALUES && s->kind - STREAM_VALUES < (int)g->n_types) {
			uint8_t source = g->entry->streams[s->copy_of].kind;
			if (source >= STREAM_VALUES)
				g->copy_of[s->kind - STREAM_VALUES] = source - STREAM_VALUES;
		}
	}
}

int dataset_group(struct dataset *d, uint32_t number, const struct columns *columns, struct group **ret,
                  struct error *err)
{
	const struct profiles *p;
	const struct symbols *symbols;
	const struct labelsets *sets;
	int r = dataset_profiles(d, &p, err);
	if (r == 0)
		r = dataset_symbols(d, &symbols, err);
	if (r == 0 && columns->labels)
		r = dataset_labelsets(d, &sets, err);
	if (r < 0)
		return r;
	assert(number < d->n_groups);
	struct group *g = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	g->dataset = d;
	g->number = number;
	g->entry = &d->groups[number];
	g->n_types = g->entry->header < p->n_headers ? p->headers[g->entry->header].n_types : 0;
	note_streams(g);
	struct columns all = *columns;
	all.types = with_sources(g->entry, columns->types);
	g->rows = d->group_rows + d->group_at[number];
	r = read_streams(g, &all, err);
	if (r < 0) {
		group_free(g);
		return r;
	}
	*ret = g;
	return 0;
}

static void stream_done(struct stream_reader *s)
{
	free(s->data);
	free(s->starts);
}

void group_free(struct group *g)
{
	if (!g)
		return;
	stream_done(&g->stacks);
	stream_done(&g->labels);
	stream_done(&g->details);
	for (uint32_t t = 0; t < LAYOUT_MAX_TYPES; t++) {
		stream_done(&g->values[t]);
		free(g->value_out[t]);
	}
	VEC_DONE(&g->stack_out);
	VEC_DONE(&g->label_out);
	free(g);
}

/* Passes over n varints. */
static void skip_varints(struct cursor *c, uint64_t n)
{
	const uint8_t *p = c->p;
	while (n && p < c->end)
		n -= *p++ < 0x80;
	c->p = p;
	if (n)
		cursor_fail(c);
}

static void rewind_stream(struct stream_reader *s)
{
	const uint8_t *start = s->data;
	s->c = (struct cursor){ start, s->c.end, false };
	s->at = 0;
}

static int bad_group(struct group *g, struct error *err)
{
	return corrupt(g->dataset, err, "a row group's samples do not fit its profiles");
}

static uint32_t jump_stream(struct stream_reader *s, uint32_t place)
{
	s->c = (struct cursor){ s->data + s->starts[place], s->c.end, false };
	return place;
}

/* Brings a stream of one varint per sample to a profile's beginning. */
static void seek_stream(struct group *g, struct stream_reader *s, uint32_t place)
{
	if (s->starts)
		s->at = jump_stream(s, place);
	else if (place < s->at)
		rewind_stream(s);
	for (; s->at < place; s->at++)
		skip_varints(&s->c, g->dataset->profiles.rows[g->rows[s->at]].n_samples);
}

static int index_stream(struct group *g, struct stream_reader *s, bool details)
{
	uint32_t n = g->entry->n_profiles;
	if (!s->data || s->starts)
		return 0;
	s->starts = malloc(((size_t)n + 1) * sizeof *s->starts);
	if (!s->starts)
		return -ENOMEM;
	rewind_stream(s);
	for (uint32_t i = 0; i < n; i++) {
		s->starts[i] = (uint32_t)(s->c.p - s->data);
		if (details)
			cursor_slice(&s->c);
		else
			skip_varints(&s->c, g->dataset->profiles.rows[g->rows[i]].n_samples);
	}
	return s->c.bad ? ERR_CORRUPT_LAYOUT : 0;
}

int group_index(struct group *g, struct error *err)
{
	int r = index_stream(g, &g->stacks, false);
	if (r == 0)
		r = index_stream(g, &g->labels, false);
	if (r == 0)
		r = index_stream(g, &g->details, true);
	for (uint32_t t = 0; t < g->n_types && r == 0; t++)
		r = index_stream(g, &g->values[t], false);
	return r == ERR_CORRUPT_LAYOUT ? bad_group(g, err) : r;
}

size_t group_memory(const struct group *g)
{
	size_t n = sizeof *g;
	for (uint32_t i = 0; i < g->entry->n_streams; i++)
		if (g->entry->streams[i].copy_of < 0)
			n += g->entry->streams[i].raw + 4 * (size_t)g->entry->n_profiles;
	return n;
}

static int decode_stacks(struct group *g, uint32_t place, uint32_t n)
{
	seek_stream(g, &g->stacks, place);
	g->stack_out.n = 0;
	uint32_t *out = VEC_GROW(&g->stack_out, (size_t)n + 1);
	if (!out)
		return -ENOMEM;
	uint64_t stack = 0, limit = g->dataset->symbols.n_stacks;
	struct cursor c = g->stacks.c;
	for (uint32_t i = 0; i < n; i++) {
		stack += cursor_varint(&c);
		if (stack >= limit)
			return ERR_CORRUPT_LAYOUT;
		out[i] = (uint32_t)stack;
	}
	g->stacks.c = c;
	g->stacks.at = place + 1;
	return c.bad ? ERR_CORRUPT_LAYOUT : 0;
}

static int decode_labels(struct group *g, uint32_t place, uint32_t n)
{
	seek_stream(g, &g->labels, place);
	g->label_out.n = 0;
	uint32_t *out = VEC_GROW(&g->label_out, (size_t)n + 1);
	if (!out)
		return -ENOMEM;
	uint32_t top = 0;
	for (uint32_t i = 0; i < n; i++) {
		uint64_t set = labelset_of(cursor_varint(&g->labels.c), &top);
		if (set >= g->dataset->labelsets.n)
			return ERR_CORRUPT_LAYOUT;
		out[i] = (uint32_t)set;
	}
	g->labels.at = place + 1;
	return g->labels.c.bad ? ERR_CORRUPT_LAYOUT : 0;
}

static struct stream_reader *values_of(struct group *g, unsigned type)
{
	unsigned source = g->copy_of[type] >= 0 ? (unsigned)g->copy_of[type] : type;
	return g->values[source].data ? &g->values[source] : NULL;
}

static int decode_values(struct group *g, const struct profile_row *row, unsigned type)
{
	struct stream_reader *s = values_of(g, type);
	int64_t *out = g->value_out[type], divisor = g->dataset->profiles.divisors[row->totals_at + type];
	if (!s)
		return ERR_CORRUPT_LAYOUT;
	seek_stream(g, s, row->in_group);
	struct cursor c = s->c;
	for (uint32_t i = 0; i < row->n_samples; i++)
		if (__builtin_mul_overflow(cursor_svarint(&c), divisor, &out[i]))
			return ERR_CORRUPT_LAYOUT;
	s->c = c;
	s->at = row->in_group + 1;
	return c.bad ? ERR_CORRUPT_LAYOUT : 0;
}

static int reserve_values(struct group *g, size_t n)
{
	if (n + 1 <= g->value_cap)
		return 0;
	for (uint32_t t = 0; t < g->n_types; t++) {
		int64_t *grown = realloc(g->value_out[t], (n + 1) * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		g->value_out[t] = grown;
	}
	g->value_cap = n + 1;
	return 0;
}

static int decode_details(struct group *g, uint32_t place, struct slice *ret)
{
	struct stream_reader *s = &g->details;
	if (s->starts)
		s->at = jump_stream(s, place);
	else if (place < s->at)
		rewind_stream(s);
	for (; s->at <= place; s->at++)
		*ret = cursor_slice(&s->c);
	return s->c.bad ? ERR_CORRUPT_LAYOUT : 0;
}

int group_samples(struct group *g, const struct profile_row *row, struct samples *ret, struct error *err)
{
	assert(row->group == g->number);
	struct samples s = { .n = row->n_samples };
	int r = decode_stacks(g, row->in_group, row->n_samples);
	if (r == 0 && g->labels.data)
		r = decode_labels(g, row->in_group, row->n_samples);
	if (r == 0 && g->details.data)
		r = decode_details(g, row->in_group, &s.details);
	if (r == 0)
		r = reserve_values(g, row->n_samples);
	for (uint32_t t = 0; t < g->n_types && r == 0; t++)
		if (values_of(g, t)) {
			r = decode_values(g, row, t);
			s.values[t] = g->value_out[t];
		}
	if (r < 0)
		return r == -ENOMEM ? r : bad_group(g, err);
	s.stacks = g->stack_out.v;
	s.labelsets = g->labels.data ? g->label_out.v : NULL;
	*ret = s;
	return 0;
}

static inline int64_t add_saturating(int64_t a, int64_t b)
{
	int64_t sum;
	if (__builtin_add_overflow(a, b, &sum))
		return a < 0 ? INT64_MIN : INT64_MAX;
	return sum;
}

int group_accumulate(struct group *g, const struct profile_row *row, unsigned type, int64_t *acc, struct error *err)
{
	struct stream_reader *values = type < g->n_types ? values_of(g, type) : NULL;
	if (!values)
		return bad_group(g, err);
	seek_stream(g, &g->stacks, row->in_group);
	seek_stream(g, values, row->in_group);
	struct cursor stacks = g->stacks.c, c = values->c;
	int64_t divisor = g->dataset->profiles.divisors[row->totals_at + type], v;
	uint64_t stack = 0, limit = g->dataset->symbols.n_stacks;
	for (uint32_t i = 0; i < row->n_samples; i++) {
		stack += cursor_varint(&stacks);
		if (stack >= limit || __builtin_mul_overflow(cursor_svarint(&c), divisor, &v))
			return bad_group(g, err);
		acc[stack] = add_saturating(acc[stack], v);
	}
	if (stacks.bad || c.bad)
		return bad_group(g, err);
	g->stacks.c = stacks;
	values->c = c;
	g->stacks.at = values->at = row->in_group + 1;
	return 0;
}
