/* SPDX-License-Identifier: MIT */
#include "merge_map.h"

#include <string.h>

static uint32_t *none_map(size_t n)
{
	uint32_t *v = malloc((n + 1) * sizeof *v);
	return v ? memset(v, 0xff, (n + 1) * sizeof *v) : NULL;
}

void merge_map_done(struct merge_map *m)
{
	uint32_t **maps[] = { &m->strings, &m->functions, &m->files, &m->locations, &m->stacks, &m->labelsets,
		              &m->headers, &m->mapsets,   &m->series };
	for (size_t i = 0; i < ARRAY_SIZE(maps); i++) {
		free(*maps[i]);
		*maps[i] = NULL;
	}
	VEC_DONE(&m->path);
}

int merge_map_init(struct merge_map *m, struct dataset *d, struct out_dataset *out, struct build_map *scratch,
                   struct error *err)
{
	*m = (struct merge_map){ .dataset = d, .out = out, .scratch = scratch };
	int r = dataset_symbols(d, &m->symbols, err);
	if (r == 0)
		r = dataset_labelsets(d, &m->sets, err);
	if (r == 0)
		r = dataset_profiles(d, &m->profiles, err);
	if (r < 0)
		return r;
	m->strings = none_map(m->symbols->n_strings);
	m->functions = none_map(m->symbols->n_functions);
	m->files = none_map(m->symbols->n_files);
	m->locations = none_map(m->symbols->n_locations);
	m->stacks = none_map(m->symbols->n_stacks);
	m->labelsets = none_map(m->sets->n);
	m->headers = none_map(m->profiles->n_headers);
	m->mapsets = none_map(m->profiles->n_mapsets);
	m->series = none_map(m->profiles->n_series);
	if (!m->strings || !m->functions || !m->files || !m->locations || !m->stacks || !m->labelsets ||
	    !m->headers || !m->mapsets || !m->series)
		return -ENOMEM;
	m->stacks[0] = 0;
	return 0;
}

size_t merge_map_memory(const struct merge_map *m)
{
	const struct symbols *s = m->symbols;
	return 4 * ((size_t)s->n_strings + s->n_functions + s->n_files + s->n_locations + s->n_stacks + m->sets->n +
	            m->profiles->n_headers + m->profiles->n_mapsets + m->profiles->n_series);
}

/* ---- symbols ---- */

static uint32_t merge_string(struct merge_map *m, uint32_t i)
{
	if (m->strings[i] == IDSET_NONE) {
		struct str s = m->symbols->strings[i];
		m->strings[i] = intern_id(&m->out->build.strings, s.s, s.len);
	}
	return m->strings[i];
}

static uint32_t merge_function(struct merge_map *m, uint32_t i)
{
	if (m->functions[i] != IDSET_NONE)
		return m->functions[i];
	const struct sym_function *f = &m->symbols->functions[i];
	struct sym_function to = { merge_string(m, f->name), merge_string(m, f->system_name),
		                   merge_string(m, f->filename), f->start_line };
	bool whole = to.name != IDSET_NONE && to.system_name != IDSET_NONE && to.filename != IDSET_NONE;
	return m->functions[i] = whole ? build_add_function(&m->out->build, &to) : IDSET_NONE;
}

static uint32_t merge_file(struct merge_map *m, uint32_t i)
{
	if (m->files[i] != IDSET_NONE)
		return m->files[i];
	const struct sym_file *f = &m->symbols->files[i];
	struct sym_file to = { merge_string(m, f->filename), merge_string(m, f->build_id), f->flags };
	bool whole = to.filename != IDSET_NONE && to.build_id != IDSET_NONE;
	return m->files[i] = whole ? build_add_file(&m->out->build, &to) : IDSET_NONE;
}

/* The lines of a location, in scratch. */
static int merge_lines(struct merge_map *m, const struct sym_location *l)
{
	struct build_map *scratch = m->scratch;
	scratch->lines.n = 0;
	struct sym_line *lines = VEC_GROW(&scratch->lines, (size_t)l->n_lines + 1);
	if (!lines)
		return -ENOMEM;
	for (uint32_t k = 0; k < l->n_lines; k++) {
		lines[k] = m->symbols->lines[l->line_at + k];
		if (lines[k].function == PROFILE_NONE)
			continue;
		lines[k].function = merge_function(m, lines[k].function);
		if (lines[k].function == IDSET_NONE)
			return -ENOMEM;
	}
	return 0;
}

static uint32_t merge_location(struct merge_map *m, uint32_t i)
{
	if (m->locations[i] != IDSET_NONE)
		return m->locations[i];
	struct sym_location to = m->symbols->locations[i];
	if (to.file != PROFILE_NONE && (to.file = merge_file(m, to.file)) == IDSET_NONE)
		return IDSET_NONE;
	if (merge_lines(m, &to) < 0)
		return IDSET_NONE;
	return m->locations[i] = build_add_location(&m->out->build, m->scratch, &to, m->scratch->lines.v);
}

uint32_t merge_stack(struct merge_map *m, uint32_t stack)
{
	m->path.n = 0;
	while (m->stacks[stack] == IDSET_NONE) {
		uint32_t *slot = VEC_PUSH(&m->path);
		if (!slot)
			return IDSET_NONE;
		*slot = stack;
		stack = m->symbols->stack_parent[stack];
	}
	uint32_t to = m->stacks[stack];
	while (m->path.n && to != IDSET_NONE) {
		uint32_t next = m->path.v[--m->path.n], location = merge_location(m, m->symbols->stack_location[next]);
		to = location == IDSET_NONE ? IDSET_NONE : build_add_stack(&m->out->build, to, location);
		m->stacks[next] = to;
	}
	return to;
}

void merge_map_renumber(struct merge_map *m, const uint32_t *number)
{
	for (uint32_t i = 0; i < m->symbols->n_stacks; i++)
		if (m->stacks[i] != IDSET_NONE)
			m->stacks[i] = number[m->stacks[i]];
}

/* ---- records ---- */

static void put_string(struct merge_map *m, struct buf *b, uint32_t i)
{
	uint32_t to = merge_string(m, i);
	if (to == IDSET_NONE)
		b->err = -ENOMEM;
	buf_varint(b, to);
}

static uint32_t intern_record(struct intern *in, struct buf *b)
{
	return buf_err(b) ? IDSET_NONE : intern_id(in, b->data, b->len);
}

uint32_t merge_labelset(struct merge_map *m, uint32_t set)
{
	if (m->labelsets[set] != IDSET_NONE)
		return m->labelsets[set];
	struct buf *b = &m->scratch->scratch;
	buf_reset(b);
	for (uint32_t i = m->sets->at[set]; i < m->sets->at[set + 1]; i++) {
		const struct sample_label *l = &m->sets->labels[i];
		put_string(m, b, l->key);
		buf_u8(b, l->is_num);
		if (l->is_num)
			buf_svarint(b, l->num);
		put_string(m, b, l->is_num ? l->num_unit : l->str);
	}
	return m->labelsets[set] = intern_record(&m->out->build.labelsets, b);
}

static void put_header(struct merge_map *m, struct buf *b, const struct header *h)
{
	buf_varint(b, h->n_types);
	for (uint32_t t = 0; t < h->n_types; t++) {
		put_string(m, b, h->types[t].type);
		put_string(m, b, h->types[t].unit);
	}
	put_string(m, b, h->period_type.type);
	put_string(m, b, h->period_type.unit);
	buf_svarint(b, h->period);
	put_string(m, b, h->drop_frames);
	put_string(m, b, h->keep_frames);
	put_string(m, b, h->default_type);
	put_string(m, b, h->doc_url);
	put_string(m, b, h->kind);
	buf_u8(b, (uint8_t)h->temporality);
	buf_varint(b, h->n_comments);
	for (uint32_t i = 0; i < h->n_comments; i++)
		put_string(m, b, h->comments[i]);
}

uint32_t merge_header(struct merge_map *m, uint32_t header)
{
	if (m->headers[header] != IDSET_NONE)
		return m->headers[header];
	const struct header *h = &m->profiles->headers[header];
	struct buf *b = &m->scratch->scratch;
	buf_reset(b);
	put_header(m, b, h);
	uint32_t to = intern_record(&m->out->build.headers, b);
	struct value_type types[LAYOUT_MAX_TYPES];
	for (uint32_t t = 0; t < h->n_types; t++)
		types[t] = (struct value_type){ m->strings[h->types[t].type], m->strings[h->types[t].unit] };
	if (to != IDSET_NONE && out_dataset_header(m->out, to, types, h->n_types, m->strings[h->kind]) < 0)
		return IDSET_NONE;
	return m->headers[header] = to;
}

uint32_t merge_mapset(struct merge_map *m, uint32_t mapset)
{
	if (m->mapsets[mapset] != IDSET_NONE)
		return m->mapsets[mapset];
	const struct mapset *set = &m->profiles->mapsets[mapset];
	struct buf *b = &m->scratch->scratch;
	buf_reset(b);
	for (uint32_t i = 0; i < set->n; i++) {
		const struct mapset_entry *e = &set->entries[i];
		uint32_t file = e->file < m->symbols->n_files ? merge_file(m, e->file) : IDSET_NONE;
		if (file == IDSET_NONE)
			b->err = -ENOMEM;
		buf_varint(b, file);
		buf_varint(b, e->start);
		buf_varint(b, e->limit);
		buf_varint(b, e->offset);
	}
	return m->mapsets[mapset] = intern_record(&m->out->build.mapsets, b);
}

static uint32_t intern_text(struct merge_map *m, struct str s)
{
	return intern_id(&m->out->build.strings, s.s, s.len);
}

uint32_t merge_series(struct merge_map *m, uint32_t series)
{
	if (m->series[series] != IDSET_NONE)
		return m->series[series];
	const struct series *s = &m->profiles->series[series];
	struct buf *b = &m->scratch->scratch;
	buf_reset(b);
	for (uint32_t i = 0; i < s->n_labels; i++) {
		uint32_t key = intern_text(m, s->labels[i].key), value = intern_text(m, s->labels[i].value);
		if (key == IDSET_NONE || value == IDSET_NONE)
			b->err = -ENOMEM;
		buf_varint(b, key);
		buf_varint(b, value);
		buf_u8(b, s->labels[i].of_path);
	}
	return m->series[series] = intern_record(&m->out->build.series, b);
}

/* ---- details ---- */

/* A list of numbers under another numbering, of locations or of functions. */
static int copy_numbers(struct merge_map *m, struct cursor *c, struct buf *out, bool locations)
{
	uint64_t limit = locations ? m->symbols->n_locations : m->symbols->n_functions;
	uint64_t n = cursor_varint_max(c, cursor_left(c));
	buf_varint(out, n);
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		uint64_t at = cursor_varint(c);
		if (c->bad || at >= limit)
			return ERR_CORRUPT_LAYOUT;
		uint32_t to = locations ? merge_location(m, (uint32_t)at) : merge_function(m, (uint32_t)at);
		if (to == IDSET_NONE)
			return -ENOMEM;
		buf_varint(out, to);
	}
	return c->bad ? ERR_CORRUPT_LAYOUT : 0;
}

static int copy_explicits(struct merge_map *m, struct cursor *c, struct buf *out)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c)), at = 0, last = 0;
	buf_varint(out, n);
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		at += (uint64_t)cursor_svarint(c);
		if (c->bad || at >= m->symbols->n_locations)
			return ERR_CORRUPT_LAYOUT;
		uint32_t to = merge_location(m, (uint32_t)at);
		if (to == IDSET_NONE)
			return -ENOMEM;
		buf_svarint(out, (int64_t)(to - last));
		last = to;
		buf_varint(out, cursor_varint(c));
		buf_svarint(out, cursor_svarint(c));
	}
	return c->bad ? ERR_CORRUPT_LAYOUT : 0;
}

int merge_details(struct merge_map *m, struct slice in, struct buf *out)
{
	struct cursor c = cursor_of(in);
	buf_reset(out);
	if (!in.len)
		return 0;
	int r = copy_explicits(m, &c, out);
	if (r == 0)
		r = copy_numbers(m, &c, out, true);
	if (r == 0)
		r = copy_numbers(m, &c, out, false);
	if (r == 0 && cursor_left(&c))
		r = ERR_CORRUPT_LAYOUT;
	return r ? r : buf_err(out);
}
