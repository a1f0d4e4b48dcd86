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
	uint32_t *check = VEC_PUSH(&b->stack_check);
	if (!parent || !location || !check || intern_id(&b->strings, "", 0) != 0 || intern_id(&b->labelsets, "", 0) != 0)
		return -ENOMEM;
	*parent = 0;
	*location = PROFILE_NONE;
	*check = 0;
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
	VEC_DONE(&b->stack_check);
	idset_done(&b->function_ids);
	idset_done(&b->file_ids);
	idset_done(&b->location_ids);
	idset_done(&b->stack_children);
	idset_done(&b->stack_whole);
}

size_t build_memory(const struct build *b)
{
	return intern_memory(&b->strings) + intern_memory(&b->labelsets) + intern_memory(&b->headers) +
	       intern_memory(&b->mapsets) + intern_memory(&b->series) + b->functions.cap * sizeof *b->functions.v +
	       b->lines.cap * sizeof *b->lines.v + b->locations.cap * (sizeof *b->locations.v + sizeof *b->location_uses.v) +
	       b->stack_parent.cap * 12 + idset_bytes(&b->function_ids) + idset_bytes(&b->location_ids) +
	       idset_bytes(&b->stack_children) + idset_bytes(&b->stack_whole);
}

void build_map_init(struct build_map *m)
{
	*m = (struct build_map){ .scratch = BUF_INIT(BUILD_SCRATCH) };
}

void build_map_done(struct build_map *m)
{
	VEC_DONE(&m->strings);
	VEC_DONE(&m->functions);
	VEC_DONE(&m->locations);
	VEC_DONE(&m->files);
	VEC_DONE(&m->first_mapping);
	VEC_DONE(&m->path);
	VEC_DONE(&m->explicit_locations);
	VEC_DONE(&m->words);
	buf_done(&m->scratch);
}

#define MAP_CLEAR(map, count)                                                                      \
	({                                                                                         \
		(map)->n = 0;                                                                      \
		bool _ok = VEC_GROW(map, (count) + 1) != NULL;                                     \
		if (_ok) {                                                                         \
			memset((map)->v, 0xff, (count) * sizeof *(map)->v);                        \
			(map)->n = (count);                                                        \
		}                                                                                  \
		_ok;                                                                               \
	})

static uint32_t add_file(struct build *b, const struct sym_file *f)
{
	uint64_t hash = hash_mix((uint64_t)f->filename << 32 | f->build_id, f->flags);
	for (struct idset_probe p = idset_probe(&b->file_ids, hash); idset_next(&b->file_ids, &p);) {
		const struct sym_file *g = &b->files.v[p.id];
		if (g->filename == f->filename && g->build_id == f->build_id && g->flags == f->flags)
			return p.id;
	}
	uint32_t id = (uint32_t)b->files.n;
	struct sym_file *slot = VEC_GROW(&b->files, 1);
	if (!slot || idset_add(&b->file_ids, hash, id) < 0)
		return IDSET_NONE;
	*slot = *f;
	b->files.n++;
	return id;
}

static int map_mapping(struct build *b, struct build_map *m, const struct profile *p, uint32_t i)
{
	const struct profile_mapping *mapping = &p->mappings.v[i];
	struct sym_file f = { build_string(b, m, p, mapping->filename), build_string(b, m, p, mapping->build_id),
		              mapping->flags };
	if (f.filename == IDSET_NONE || f.build_id == IDSET_NONE)
		return -ENOMEM;
	uint32_t file = add_file(b, &f);
	if (file == IDSET_NONE)
		return -ENOMEM;
	m->files.v[i] = file;
	m->first_mapping.v[i] = i;
	for (uint32_t k = 0; k < i; k++)
		if (m->files.v[k] == file) {
			m->first_mapping.v[i] = k;
			break;
		}
	return 0;
}

int build_map_start(struct build *b, struct build_map *m, const struct profile *p)
{
	if (!MAP_CLEAR(&m->strings, p->strings.n) || !MAP_CLEAR(&m->functions, p->functions.n) ||
	    !MAP_CLEAR(&m->locations, p->locations.n) || !MAP_CLEAR(&m->files, p->mappings.n) ||
	    !MAP_CLEAR(&m->first_mapping, p->mappings.n))
		return -ENOMEM;
	m->explicit_locations.n = 0;
	m->number++;
	for (uint32_t i = 0; i < p->mappings.n; i++) {
		int r = map_mapping(b, m, p, i);
		if (r < 0)
			return r;
	}
	return 0;
}

uint32_t build_string(struct build *b, struct build_map *m, const struct profile *p, uint32_t i)
{
	uint32_t *slot = &m->strings.v[i];
	if (*slot == PROFILE_NONE)
		*slot = intern_id(&b->strings, p->strings.v[i].s, p->strings.v[i].len);
	return *slot;
}

static uint32_t add_function(struct build *b, const struct sym_function *f)
{
	uint64_t hash = hash_mix((uint64_t)f->name << 32 | f->system_name,
	                         hash_mix(f->filename, (uint64_t)f->start_line));
	for (struct idset_probe p = idset_probe(&b->function_ids, hash); idset_next(&b->function_ids, &p);) {
		const struct sym_function *g = &b->functions.v[p.id];
		if (g->name == f->name && g->system_name == f->system_name && g->filename == f->filename &&
		    g->start_line == f->start_line)
			return p.id;
	}
	uint32_t id = (uint32_t)b->functions.n;
	struct sym_function *slot = VEC_GROW(&b->functions, 1);
	if (!slot || idset_add(&b->function_ids, hash, id) < 0)
		return IDSET_NONE;
	*slot = *f;
	b->functions.n++;
	return id;
}

uint32_t build_function(struct build *b, struct build_map *m, const struct profile *p, uint32_t i)
{
	uint32_t *slot = &m->functions.v[i];
	if (*slot != PROFILE_NONE)
		return *slot;
	const struct profile_function *f = &p->functions.v[i];
	struct sym_function sym = { build_string(b, m, p, f->name), build_string(b, m, p, f->system_name),
		                    build_string(b, m, p, f->filename), f->start_line };
	if (sym.name == IDSET_NONE || sym.system_name == IDSET_NONE || sym.filename == IDSET_NONE)
		return IDSET_NONE;
	return *slot = add_function(b, &sym);
}

/* ---- locations ---- */

static bool has_file(const struct build *b, const struct build_map *m, uint32_t mapping)
{
	const struct sym_file *f = &b->files.v[m->files.v[mapping]];
	struct slice name = intern_get(&b->strings, f->filename);
	bool generated = !name.len || name.data[0] == '[' || (name.len >= 6 && !memcmp(name.data, "//anon", 6));
	return f->build_id || !generated;
}

/* Whether a reader finds the same mapping and address again from the file's relative address. */
static bool reversible(const struct build_map *m, const struct profile *p, const struct profile_location *l,
                       uint64_t relative)
{
	const struct profile_mapping *own = &p->mappings.v[l->mapping];
	if (!mapping_holds(own->start, own->limit, own->offset, relative))
		return false;
	for (uint32_t k = m->first_mapping.v[l->mapping]; k < l->mapping; k++) {
		const struct profile_mapping *other = &p->mappings.v[k];
		if (m->files.v[k] == m->files.v[l->mapping] &&
		    mapping_holds(other->start, other->limit, other->offset, relative))
			return false;
	}
	return true;
}

/* Fills file, address and flags. */
static void place_location(const struct build *b, const struct build_map *m, const struct profile *p,
                           const struct profile_location *l, struct sym_location *ret)
{
	ret->flags = l->is_folded ? LOCATION_FOLDED : 0;
	if (l->mapping == PROFILE_NONE) {
		ret->file = PROFILE_NONE;
		if (l->address && l->n_lines)
			ret->flags |= LOCATION_EXPLICIT;
		else
			ret->address = l->address;
		return;
	}
	const struct profile_mapping *mapping = &p->mappings.v[l->mapping];
	uint64_t relative = l->address - mapping->start + mapping->offset;
	ret->file = m->files.v[l->mapping];
	if ((l->n_lines && l->address && !has_file(b, m, l->mapping)) || !reversible(m, p, l, relative))
		ret->flags |= LOCATION_EXPLICIT;
	else
		ret->address = relative;
}

static int location_key(const struct build *b, struct build_map *m, const struct sym_location *l,
                        const struct sym_line *lines, struct hash_key *ret)
{
	m->words.n = 0;
	uint64_t *w = VEC_GROW(&m->words, 3 + 3 * (size_t)l->n_lines);
	if (!w)
		return -ENOMEM;
	size_t n = 0;
	w[n++] = (uint64_t)l->file << 32 | l->ordinal;
	w[n++] = l->flags;
	w[n++] = l->address;
	for (uint32_t i = 0; i < l->n_lines; i++) {
		w[n++] = lines[i].function;
		w[n++] = (uint64_t)lines[i].line;
		w[n++] = (uint64_t)lines[i].column;
	}
	*ret = hash_key(w, n * sizeof *w, b->seed);
	return 0;
}

/* lines lie at the end of b->lines, not yet counted. */
static uint32_t add_location(struct build *b, struct build_map *m, struct sym_location *l, const struct sym_line *lines)
{
	struct hash_key key;
	if (location_key(b, m, l, lines, &key) < 0)
		return IDSET_NONE;
	for (struct idset_probe p = idset_probe(&b->location_ids, key.hash); idset_next(&b->location_ids, &p);)
		if (b->location_uses.v[p.id].check == key.check)
			return p.id;
	uint32_t id = (uint32_t)b->locations.n;
	struct sym_location *slot = VEC_GROW(&b->locations, 1);
	struct location_use *use = VEC_GROW(&b->location_uses, 1);
	if (!slot || !use || idset_add(&b->location_ids, key.hash, id) < 0)
		return IDSET_NONE;
	l->line_at = (uint32_t)b->lines.n;
	b->lines.n += l->n_lines;
	*slot = *l;
	*use = (struct location_use){ .check = key.check };
	b->locations.n++;
	b->location_uses.n++;
	return id;
}

static uint32_t map_location(struct build *b, struct build_map *m, const struct profile *p, uint32_t i)
{
	const struct profile_location *l = &p->locations.v[i];
	struct sym_location sym = { .n_lines = l->n_lines };
	place_location(b, m, p, l, &sym);
	struct sym_line *lines = VEC_GROW(&b->lines, l->n_lines + 1);
	if (!lines)
		return IDSET_NONE;
	for (uint32_t k = 0; k < l->n_lines; k++) {
		const struct profile_line *line = &p->lines.v[l->line_at + k];
		uint32_t function = PROFILE_NONE;
		if (line->function != PROFILE_NONE &&
		    (function = build_function(b, m, p, line->function)) == IDSET_NONE)
			return IDSET_NONE;
		lines[k] = (struct sym_line){ function, line->line, line->column };
	}
	uint32_t id = add_location(b, m, &sym, lines);
	if (id != IDSET_NONE && b->location_uses.v[id].profile == m->number) {
		sym.ordinal = ++b->location_uses.v[id].equal;
		id = add_location(b, m, &sym, lines);
	}
	if (id == IDSET_NONE)
		return id;
	b->location_uses.v[id].profile = m->number;
	b->location_uses.v[id].equal = 0;
	if (sym.flags & LOCATION_EXPLICIT) {
		uint32_t *slot = VEC_PUSH(&m->explicit_locations);
		if (!slot)
			return IDSET_NONE;
		*slot = i;
	}
	return id;
}

uint32_t build_location(struct build *b, struct build_map *m, const struct profile *p, uint32_t i)
{
	uint32_t *slot = &m->locations.v[i];
	if (*slot == PROFILE_NONE)
		*slot = map_location(b, m, p, i);
	return *slot;
}

/* ---- stacks ---- */

static uint32_t child_of(struct build *b, uint32_t parent, uint32_t location)
{
	uint64_t hash = hash_mix(parent, location);
	for (struct idset_probe p = idset_probe(&b->stack_children, hash); idset_next(&b->stack_children, &p);)
		if (b->stack_parent.v[p.id] == parent && b->stack_location.v[p.id] == location)
			return p.id;
	uint32_t id = (uint32_t)b->stack_parent.n;
	uint32_t *slot = VEC_GROW(&b->stack_parent, 1), *slot2 = VEC_GROW(&b->stack_location, 1);
	uint32_t *check = VEC_GROW(&b->stack_check, 1);
	if (!slot || !slot2 || !check || id == IDSET_NONE || idset_add(&b->stack_children, hash, id) < 0)
		return IDSET_NONE;
	*slot = parent;
	*slot2 = location;
	*check = 0;
	b->stack_parent.n++;
	b->stack_location.n++;
	b->stack_check.n++;
	return id;
}

uint32_t build_stack(struct build *b, struct build_map *m, const struct profile *p, size_t sample)
{
	size_t n = p->loc_at.v[sample + 1] - p->loc_at.v[sample];
	const uint32_t *locs = p->locs.v + p->loc_at.v[sample];
	m->path.n = 0;
	uint32_t *path = VEC_GROW(&m->path, n + 1);
	if (!path)
		return IDSET_NONE;
	for (size_t i = 0; i < n; i++)
		if ((path[i] = build_location(b, m, p, locs[i])) == IDSET_NONE)
			return IDSET_NONE;
	if (!n)
		return 0;
	struct hash_key key = hash_key(path, n * sizeof *path, b->seed);
	for (struct idset_probe q = idset_probe(&b->stack_whole, key.hash); idset_next(&b->stack_whole, &q);)
		if (b->stack_check.v[q.id] == key.check)
			return q.id;
	uint32_t id = 0;
	for (size_t i = n; i-- > 0;)
		if ((id = child_of(b, id, path[i])) == IDSET_NONE)
			return IDSET_NONE;
	b->stack_check.v[id] = key.check;
	return idset_add(&b->stack_whole, key.hash, id) < 0 ? IDSET_NONE : id;
}

/* ---- the small tables: records, interned whole ---- */

static uint32_t intern_scratch(struct intern *in, struct build_map *m)
{
	return buf_err(&m->scratch) ? IDSET_NONE : intern_id(in, m->scratch.data, m->scratch.len);
}

/* Appends a string's id; an id that could not be had sticks as the scratch buffer's error. */
static void put_string(struct build *b, struct build_map *m, const struct profile *p, uint32_t i)
{
	uint32_t id = build_string(b, m, p, i);
	if (id == IDSET_NONE)
		m->scratch.err = -ENOMEM;
	buf_varint(&m->scratch, id);
}

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
		put_string(b, m, p, l->key);
		buf_u8(&m->scratch, l->is_num);
		if (l->is_num) {
			buf_svarint(&m->scratch, l->num);
			put_string(b, m, p, l->num_unit);
		} else {
			put_string(b, m, p, l->str);
		}
	}
	return intern_scratch(&b->labelsets, m);
}

uint32_t build_header(struct build *b, struct build_map *m, const struct profile *p)
{
	buf_reset(&m->scratch);
	buf_varint(&m->scratch, p->types.n);
	for (size_t i = 0; i < p->types.n; i++) {
		put_string(b, m, p, p->types.v[i].type);
		put_string(b, m, p, p->types.v[i].unit);
	}
	put_string(b, m, p, p->period_type.type);
	put_string(b, m, p, p->period_type.unit);
	buf_svarint(&m->scratch, p->period);
	put_string(b, m, p, p->drop_frames);
	put_string(b, m, p, p->keep_frames);
	put_string(b, m, p, p->default_type);
	put_string(b, m, p, p->doc_url);
	put_string(b, m, p, p->kind);
	buf_u8(&m->scratch, (uint8_t)p->temporality);
	buf_varint(&m->scratch, p->comments.n);
	for (size_t i = 0; i < p->comments.n; i++)
		put_string(b, m, p, p->comments.v[i]);
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
