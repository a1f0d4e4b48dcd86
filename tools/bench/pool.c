/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../../core/format/format.h"
#include "files.h"
#include "pool.h"

uint64_t fnv1a(uint64_t h, const void *data, size_t n)
{
	for (const uint8_t *p = data; n--; p++)
		h = (h ^ *p) * 0x100000001b3u;
	return h;
}

static uint64_t hash_numbers(const uint64_t *v, size_t n)
{
	return fnv1a(FNV_START, v, n * sizeof *v);
}

int pool_init(struct pool_set *pool)
{
	*pool = (struct pool_set){ 0 };
	return profile_init(&pool->p, PROFILE_BYTES_MAX);
}

void pool_done(struct pool_set *pool)
{
	profile_done(&pool->p);
	idset_done(&pool->strings);
	idset_done(&pool->functions);
	idset_done(&pool->locations);
	idset_done(&pool->mappings);
	idset_done(&pool->samples);
}

uint32_t pool_string(struct pool_set *pool, struct str s)
{
	if (!s.len)
		return 0;
	uint64_t h = fnv1a(FNV_START, s.s, s.len);
	for (struct idset_probe p = idset_probe(&pool->strings, h); idset_next(&pool->strings, &p);)
		if (str_eq(pool->p.strings.v[p.id], s))
			return p.id;
	uint32_t id = profile_string(&pool->p, s.s, s.len);
	return id == PROFILE_NONE || idset_add(&pool->strings, h, id) ? PROFILE_NONE : id;
}

/* What a merge knows: where the source's tables lie in the pool. */
struct merge {
	struct pool_set *pool;
	const struct profile *src;
	uint32_t *functions, *mappings, *locations;
};

static uint32_t merge_string(struct merge *m, uint32_t i)
{
	return pool_string(m->pool, profile_str(m->src, i));
}

static int merge_mapping(struct merge *m, uint32_t i)
{
	const struct profile_mapping *s = &m->src->mappings.v[i];
	struct profile *p = &m->pool->p;
	struct profile_mapping n = *s;
	n.filename = merge_string(m, s->filename);
	n.build_id = merge_string(m, s->build_id);
	uint64_t h = hash_numbers((uint64_t[]){ n.start, n.limit, n.offset, n.filename, n.build_id }, 5);
	for (struct idset_probe b = idset_probe(&m->pool->mappings, h); idset_next(&m->pool->mappings, &b);)
		return m->mappings[i] = b.id, 0;
	struct profile_mapping *at = VEC_PUSH(&p->mappings);
	if (!at)
		return -ENOMEM;
	*at = n;
	m->mappings[i] = (uint32_t)p->mappings.n - 1;
	return idset_add(&m->pool->mappings, h, m->mappings[i]);
}

static int merge_function(struct merge *m, uint32_t i)
{
	const struct profile_function *s = &m->src->functions.v[i];
	struct profile *p = &m->pool->p;
	struct profile_function n = { merge_string(m, s->name), merge_string(m, s->system_name),
		                      merge_string(m, s->filename), s->start_line };
	uint64_t h = hash_numbers((uint64_t[]){ n.name, n.system_name, n.filename, (uint64_t)n.start_line }, 4);
	for (struct idset_probe b = idset_probe(&m->pool->functions, h); idset_next(&m->pool->functions, &b);)
		return m->functions[i] = b.id, 0;
	struct profile_function *at = VEC_PUSH(&p->functions);
	if (!at)
		return -ENOMEM;
	*at = n;
	m->functions[i] = (uint32_t)p->functions.n - 1;
	return idset_add(&m->pool->functions, h, m->functions[i]);
}

static uint32_t moved(const uint32_t *to, uint32_t i)
{
	return i == PROFILE_NONE ? i : to[i];
}

static uint64_t hash_location(const struct merge *m, const struct profile_location *l)
{
	uint64_t h = hash_numbers((uint64_t[]){ moved(m->mappings, l->mapping), l->address, l->is_folded }, 3);
	for (uint32_t k = 0; k < l->n_lines; k++) {
		const struct profile_line *line = &m->src->lines.v[l->line_at + k];
		uint64_t v[] = { moved(m->functions, line->function), (uint64_t)line->line, (uint64_t)line->column };
		h = fnv1a(h, v, sizeof v);
	}
	return h;
}

/* Equal hashes of 64 bits are taken for equal tables here: the input is the project's own base profiles. */
static int merge_location(struct merge *m, uint32_t i)
{
	const struct profile_location *s = &m->src->locations.v[i];
	struct profile *p = &m->pool->p;
	uint64_t h = hash_location(m, s);
	for (struct idset_probe b = idset_probe(&m->pool->locations, h); idset_next(&m->pool->locations, &b);)
		return m->locations[i] = b.id, 0;
	struct profile_location *at = VEC_PUSH(&p->locations);
	struct profile_line *lines = VEC_GROW(&p->lines, s->n_lines + 1);
	if (!at || !lines)
		return -ENOMEM;
	*at = *s;
	at->mapping = moved(m->mappings, s->mapping);
	at->line_at = (uint32_t)p->lines.n;
	for (uint32_t k = 0; k < s->n_lines; k++) {
		lines[k] = m->src->lines.v[s->line_at + k];
		lines[k].function = moved(m->functions, lines[k].function);
	}
	p->lines.n += s->n_lines;
	m->locations[i] = (uint32_t)p->locations.n - 1;
	return idset_add(&m->pool->locations, h, m->locations[i]);
}

static void label_range(const struct profile *p, size_t i, uint32_t *from, uint32_t *to)
{
	bool any = p->label_at.n > i + 1;
	*from = any ? p->label_at.v[i] : 0;
	*to = any ? p->label_at.v[i + 1] : 0;
}

static uint64_t hash_sample(struct merge *m, size_t i)
{
	const struct profile *s = m->src;
	uint64_t h = FNV_START;
	uint32_t from, to;
	for (uint32_t k = s->loc_at.v[i]; k < s->loc_at.v[i + 1]; k++)
		h = fnv1a(h, &m->locations[s->locs.v[k]], sizeof *m->locations);
	label_range(s, i, &from, &to);
	for (; from < to; from++) {
		const struct profile_label *l = &s->labels.v[from];
		uint64_t v[] = { merge_string(m, l->key), (uint64_t)l->num };
		if (l->is_num)
			h = fnv1a(h, v, sizeof v);
	}
	return h;
}

static int put_sample(struct merge *m, size_t i)
{
	const struct profile *s = m->src;
	struct profile *p = &m->pool->p;
	uint32_t n = s->loc_at.v[i + 1] - s->loc_at.v[i], from, to;
	label_range(s, i, &from, &to);
	uint32_t *locs = VEC_GROW(&p->locs, n + 1);
	int64_t *values = VEC_GROW(&p->values, s->types.n);
	struct profile_label *labels = VEC_GROW(&p->labels, to - from + 1);
	uint32_t *loc_at = VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	if (!locs || !values || !labels || !loc_at || !label_at)
		return -ENOMEM;
	for (uint32_t k = 0; k < n; k++)
		locs[k] = m->locations[s->locs.v[s->loc_at.v[i] + k]];
	memcpy(values, s->values.v + i * s->types.n, s->types.n * sizeof *values);
	for (; from < to; from++) {
		struct profile_label l = s->labels.v[from];
		l.key = merge_string(m, l.key);
		l.num_unit = merge_string(m, l.num_unit);
		if (l.is_num)
			labels[0] = l, labels++, p->labels.n++;
	}
	p->locs.n += n;
	p->values.n += s->types.n;
	p->n_samples++;
	*loc_at = (uint32_t)p->locs.n;
	*label_at = (uint32_t)p->labels.n;
	return 0;
}

static int merge_sample(struct merge *m, size_t i)
{
	struct profile *p = &m->pool->p;
	uint64_t h = hash_sample(m, i);
	for (struct idset_probe b = idset_probe(&m->pool->samples, h); idset_next(&m->pool->samples, &b);) {
		for (size_t t = 0; t < p->types.n; t++)
			p->values.v[b.id * p->types.n + t] += m->src->values.v[i * p->types.n + t];
		return 0;
	}
	int e = put_sample(m, i);
	return e ?: idset_add(&m->pool->samples, h, (uint32_t)p->n_samples - 1);
}

/* Of the first profile of a pool: what all have in common. */
static int merge_header(struct merge *m)
{
	const struct profile *s = m->src;
	struct profile *p = &m->pool->p;
	uint32_t *loc_at = VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	if (!loc_at || !label_at)
		return -ENOMEM;
	*loc_at = *label_at = 0;
	for (size_t t = 0; t < s->types.n; t++) {
		struct value_type *at = VEC_PUSH(&p->types);
		if (!at)
			return -ENOMEM;
		*at = (struct value_type){ merge_string(m, s->types.v[t].type), merge_string(m, s->types.v[t].unit) };
	}
	p->drop_frames = merge_string(m, s->drop_frames);
	p->keep_frames = merge_string(m, s->keep_frames);
	p->default_type = merge_string(m, s->default_type);
	p->period_type = (struct value_type){ merge_string(m, s->period_type.type),
		                              merge_string(m, s->period_type.unit) };
	p->period = s->period;
	return 0;
}

static int merge_tables(struct merge *m)
{
	int e = 0;
	for (uint32_t i = 0; !e && i < m->src->mappings.n; i++)
		e = merge_mapping(m, i);
	for (uint32_t i = 0; !e && i < m->src->functions.n; i++)
		e = merge_function(m, i);
	for (uint32_t i = 0; !e && i < m->src->locations.n; i++)
		e = merge_location(m, i);
	for (size_t i = 0; !e && i < m->src->n_samples; i++)
		e = merge_sample(m, i);
	return e;
}

int pool_merge(struct pool_set *pool, const struct profile *src, struct error *err)
{
	struct profile *p = &pool->p;
	_free_ uint32_t *functions = calloc(src->functions.n + 1, sizeof *functions);
	_free_ uint32_t *mappings = calloc(src->mappings.n + 1, sizeof *mappings);
	_free_ uint32_t *locations = calloc(src->locations.n + 1, sizeof *locations);
	struct merge m = { pool, src, functions, mappings, locations };
	if (!functions || !mappings || !locations)
		return -ENOMEM;
	int e = p->types.n ? 0 : merge_header(&m);
	if (e)
		return e;
	if (p->types.n != src->types.n)
		return error_set(err, -EINVAL, "base profiles of one type differ in their value types");
	return merge_tables(&m);
}

int pool_merge_file(struct pool_set *pool, const char *path, struct error *err)
{
	_cleanup_(format_reader_freep) struct format_reader *reader = NULL;
	_buf_ struct buf bytes = BUF_INIT(PROFILE_BYTES_MAX);
	struct decoded_list doc;
	int e = file_read(path, &bytes, err);
	if (!e)
		e = format_reader_new(buf_slice(&bytes), &(struct format_options){ 0 }, &reader, err);
	while (!e && (e = format_reader_next(reader, &doc, err)) > 0)
		for (size_t i = e = 0; !e && i < doc.n; i++)
			e = pool_merge(pool, &doc.v[i].profile, err);
	return e ? error_at(err, e, "%s", path) : 0;
}

/* ---- subsets ---- */

int subset_init(struct subset *s)
{
	*s = (struct subset){ 0 };
	return profile_init(&s->out, PROFILE_BYTES_MAX);
}

void subset_done(struct subset *s)
{
	profile_done(&s->out);
	free(s->strings);
	free(s->functions);
	free(s->locations);
}

/* An array of n entries, all PROFILE_NONE. */
static int clear_map(uint32_t **map, size_t *max, size_t n)
{
	if (n > *max || !*map) {
		uint32_t *v = realloc(*map, (n + 1) * sizeof *v);
		if (!v)
			return -ENOMEM;
		*map = v;
		*max = n;
	}
	memset(*map, 0xff, n * sizeof **map);
	return 0;
}

static uint32_t subset_string(struct subset *s, uint32_t i)
{
	if (!i)
		return 0;
	if (s->strings[i] != PROFILE_NONE)
		return s->strings[i];
	struct str *at = VEC_PUSH(&s->out.strings);
	if (!at)
		return s->failed = true, 0;
	*at = s->base->strings.v[i];
	return s->strings[i] = (uint32_t)s->out.strings.n - 1;
}

static uint32_t subset_function(struct subset *s, uint32_t i)
{
	if (i == PROFILE_NONE || s->functions[i] != PROFILE_NONE)
		return i == PROFILE_NONE ? i : s->functions[i];
	const struct profile_function *f = &s->base->functions.v[i];
	struct profile_function n = { subset_string(s, f->name), subset_string(s, f->system_name),
		                      subset_string(s, f->filename), f->start_line };
	struct profile_function *at = VEC_PUSH(&s->out.functions);
	if (!at)
		return s->failed = true, PROFILE_NONE;
	*at = n;
	return s->functions[i] = (uint32_t)s->out.functions.n - 1;
}

static uint32_t subset_location(struct subset *s, uint32_t i)
{
	if (s->locations[i] != PROFILE_NONE)
		return s->locations[i];
	const struct profile_location *l = &s->base->locations.v[i];
	struct profile_line *lines = VEC_GROW(&s->out.lines, l->n_lines + 1);
	struct profile_location *at = VEC_PUSH(&s->out.locations);
	if (!lines || !at)
		return s->failed = true, 0;
	*at = *l; /* mappings keep their numbers: all are written */
	at->line_at = (uint32_t)s->out.lines.n;
	for (uint32_t k = 0; k < l->n_lines; k++) {
		lines[k] = s->base->lines.v[l->line_at + k];
		lines[k].function = subset_function(s, lines[k].function);
	}
	s->out.lines.n += l->n_lines;
	return s->locations[i] = (uint32_t)s->out.locations.n - 1;
}

static int subset_header(struct subset *s)
{
	const struct profile *b = s->base;
	struct profile *p = &s->out;
	uint32_t *loc_at = VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	struct value_type *types = VEC_GROW(&p->types, b->types.n);
	struct profile_mapping *mappings = VEC_GROW(&p->mappings, b->mappings.n + 1);
	if (!loc_at || !label_at || !types || !mappings)
		return -ENOMEM;
	*loc_at = *label_at = 0;
	for (size_t t = 0; t < b->types.n; t++)
		types[t] = (struct value_type){ subset_string(s, b->types.v[t].type),
			                        subset_string(s, b->types.v[t].unit) };
	for (size_t i = 0; i < b->mappings.n; i++) {
		mappings[i] = b->mappings.v[i];
		mappings[i].filename = subset_string(s, mappings[i].filename);
		mappings[i].build_id = subset_string(s, mappings[i].build_id);
	}
	p->types.n = b->types.n;
	p->mappings.n = b->mappings.n;
	p->drop_frames = subset_string(s, b->drop_frames);
	p->keep_frames = subset_string(s, b->keep_frames);
	p->default_type = subset_string(s, b->default_type);
	p->period_type = (struct value_type){ subset_string(s, b->period_type.type),
		                              subset_string(s, b->period_type.unit) };
	p->period = b->period;
	return 0;
}

int subset_begin(struct subset *s, const struct profile *base)
{
	profile_reset(&s->out);
	s->base = base;
	s->failed = false;
	if (clear_map(&s->strings, &s->max_strings, base->strings.n) ||
	    clear_map(&s->functions, &s->max_functions, base->functions.n) ||
	    clear_map(&s->locations, &s->max_locations, base->locations.n))
		return -ENOMEM;
	return subset_header(s);
}

static void add_labels(struct subset *s, size_t i, const struct label *labels, size_t n_labels)
{
	uint32_t from, to;
	label_range(s->base, i, &from, &to);
	struct profile_label *at = VEC_GROW(&s->out.labels, to - from + n_labels + 1);
	if (!at) {
		s->failed = true;
		return;
	}
	for (; from < to; from++) {
		struct profile_label l = s->base->labels.v[from];
		l.key = subset_string(s, l.key);
		l.num_unit = subset_string(s, l.num_unit);
		*at++ = l;
		s->out.labels.n++;
	}
	for (size_t k = 0; k < n_labels; k++) {
		uint32_t key = profile_string(&s->out, labels[k].key.s, labels[k].key.len);
		uint32_t value = profile_string(&s->out, labels[k].value.s, labels[k].value.len);
		s->failed |= key == PROFILE_NONE || value == PROFILE_NONE;
		*at++ = (struct profile_label){ .key = key, .str = value };
		s->out.labels.n++;
	}
}

void subset_add(struct subset *s, size_t i, const int64_t *values, const struct label *labels, size_t n_labels)
{
	const struct profile *b = s->base;
	struct profile *p = &s->out;
	uint32_t n = b->loc_at.v[i + 1] - b->loc_at.v[i];
	uint32_t *locs = VEC_GROW(&p->locs, n + 1);
	int64_t *to = VEC_GROW(&p->values, b->types.n);
	uint32_t *loc_at = VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	if (!locs || !to || !loc_at || !label_at) {
		s->failed = true;
		return;
	}
	for (uint32_t k = 0; k < n; k++)
		locs[k] = subset_location(s, b->locs.v[b->loc_at.v[i] + k]);
	memcpy(to, values, b->types.n * sizeof *to);
	p->locs.n += n;
	p->values.n += b->types.n;
	p->n_samples++;
	add_labels(s, i, labels, n_labels);
	*loc_at = (uint32_t)p->locs.n;
	*label_at = (uint32_t)p->labels.n;
}

int subset_end(struct subset *s)
{
	return s->failed ? -ENOMEM : 0;
}
