/* SPDX-License-Identifier: MIT */
#include "build.h"

#include <string.h>

#include "../base/hash.h"
#include "layout.h"

#define BUILD_SCRATCH ((size_t)256 << 20)

int build_init(struct build *b)
{
	*b = (struct build){ 0 };
	int r = hash_random_seed(&b->seed);
	if (r < 0)
		return r;
	intern_init(&b->strings, b->seed);
	intern_init(&b->labelsets, b->seed);
	intern_init(&b->headers, b->seed);
	intern_init(&b->mapsets, b->seed);
	intern_init(&b->series, b->seed);
	uint32_t *parent = VEC_PUSH(&b->stack_parent), *location = VEC_PUSH(&b->stack_location);
	if (!parent || !location || intern_id(&b->strings, "", 0) != 0 || intern_id(&b->labelsets, "", 0) != 0)
		return -ENOMEM;
	*parent = 0;
	*location = PROFILE_NONE;
	return 0;
}

void build_done(struct build *b)
{
	intern_done(&b->strings);
	intern_done(&b->labelsets);
	intern_done(&b->headers);
	intern_done(&b->mapsets);
	intern_done(&b->series);
	VEC_DONE(&b->functions);
	VEC_DONE(&b->files);
	VEC_DONE(&b->lines);
	VEC_DONE(&b->locations);
	VEC_DONE(&b->location_uses);
	VEC_DONE(&b->stack_parent);
	VEC_DONE(&b->stack_location);
	keyset_done(&b->function_ids);
	idset_done(&b->file_ids);
	keyset_done(&b->location_ids);
	idset_done(&b->stack_children);
	keyset_done(&b->stack_whole);
}

size_t build_memory(const struct build *b)
{
	return intern_memory(&b->strings) + intern_memory(&b->labelsets) + intern_memory(&b->headers) +
	       intern_memory(&b->mapsets) + intern_memory(&b->series) + b->functions.cap * sizeof *b->functions.v +
	       b->lines.cap * sizeof *b->lines.v +
	       b->locations.cap * (sizeof *b->locations.v + sizeof *b->location_uses.v) +
	       b->stack_parent.cap * 8 + keyset_bytes(&b->function_ids) + keyset_bytes(&b->location_ids) +
	       idset_bytes(&b->stack_children) + keyset_bytes(&b->stack_whole);
}

/* ---- the small tables: records, interned whole ---- */

static uint32_t intern_scratch(struct intern *in, struct build_map *m)
{
	return buf_err(&m->scratch) ? IDSET_NONE : intern_id(in, m->scratch.data, m->scratch.len);
}

static void put_string(struct build_map *m, uint32_t i)
{
	buf_varint(&m->scratch, m->strings.v[i]);
}

/* Appends a string's id; one that could not be had sticks as the scratch buffer's error. */
static void put_raw_string(struct build *b, struct build_map *m, struct str s)
{
	uint32_t id = intern_id(&b->strings, s.s, s.len);
	if (id == IDSET_NONE)
		m->scratch.err = -ENOMEM;
	buf_varint(&m->scratch, id);
}

uint32_t build_labelset(struct build *b, struct build_map *m, const struct profile *p, size_t sample)
{
	if (!p->label_at.n)
		return 0;
	uint32_t from = p->label_at.v[sample], to = p->label_at.v[sample + 1];
	buf_reset(&m->scratch);
	for (uint32_t i = from; i < to; i++) {
		const struct profile_label *l = &p->labels.v[i];
		put_string(m, l->key);
		buf_u8(&m->scratch, l->is_num);
		if (l->is_num) {
			buf_svarint(&m->scratch, l->num);
			put_string(m, l->num_unit);
		} else {
			put_string(m, l->str);
		}
	}
	return intern_scratch(&b->labelsets, m);
}

uint32_t build_header(struct build *b, struct build_map *m, const struct profile *p)
{
	buf_reset(&m->scratch);
	buf_varint(&m->scratch, p->types.n);
	for (size_t i = 0; i < p->types.n; i++) {
		put_string(m, p->types.v[i].type);
		put_string(m, p->types.v[i].unit);
	}
	put_string(m, p->period_type.type);
	put_string(m, p->period_type.unit);
	buf_svarint(&m->scratch, p->period);
	put_string(m, p->drop_frames);
	put_string(m, p->keep_frames);
	put_string(m, p->default_type);
	put_string(m, p->doc_url);
	put_string(m, p->kind);
	buf_u8(&m->scratch, (uint8_t)p->temporality);
	buf_varint(&m->scratch, p->comments.n);
	for (size_t i = 0; i < p->comments.n; i++)
		put_string(m, p->comments.v[i]);
	return intern_scratch(&b->headers, m);
}

uint32_t build_mapset(struct build *b, struct build_map *m, const struct profile *p)
{
	buf_reset(&m->scratch);
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct profile_mapping *mapping = &p->mappings.v[i];
		buf_varint(&m->scratch, m->files.v[i]);
		buf_varint(&m->scratch, mapping->start);
		buf_varint(&m->scratch, mapping->limit);
		buf_varint(&m->scratch, mapping->offset);
	}
	return intern_scratch(&b->mapsets, m);
}

static void put_labels(struct build *b, struct build_map *m, const struct label *labels, size_t n, bool of_path)
{
	for (size_t i = 0; i < n; i++) {
		put_raw_string(b, m, labels[i].key);
		put_raw_string(b, m, labels[i].value);
		buf_u8(&m->scratch, of_path);
	}
}

uint32_t build_series(struct build *b, struct build_map *m, const struct profile_meta *meta)
{
	buf_reset(&m->scratch);
	put_labels(b, m, meta->labels, meta->n_labels, false);
	put_labels(b, m, meta->path_labels, meta->n_path_labels, true);
	return intern_scratch(&b->series, m);
}
