/* SPDX-License-Identifier: MIT */

/* One profile's tables, translated to those of its dataset. */

#include <string.h>

#include "build.h"

#define BUILD_SCRATCH ((size_t)256 << 20)
#define RUN 256 /* keys in flight: enough to hide memory's latency, few enough to stay in the first-level cache */

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
	VEC_DONE(&m->function_used);
	VEC_DONE(&m->location_used);
	VEC_DONE(&m->first_mapping);
	VEC_DONE(&m->explicit_locations);
	VEC_DONE(&m->keys);
	VEC_DONE(&m->syms);
	VEC_DONE(&m->lines);
	VEC_DONE(&m->path);
	VEC_DONE(&m->words);
	buf_done(&m->scratch);
}

/* Makes a map of count entries, uninitialised. */
#define MAP_SIZE(map, count)                                                                       \
	({                                                                                         \
		(map)->n = 0;                                                                      \
		bool _ok = VEC_GROW(map, (count) + 1) != NULL;                                     \
		(map)->n = _ok ? (count) : 0;                                                      \
		_ok;                                                                               \
	})

static int map_init(struct build_map *m, const struct profile *p)
{
	if (!MAP_SIZE(&m->strings, p->strings.n) || !MAP_SIZE(&m->functions, p->functions.n) ||
	    !MAP_SIZE(&m->locations, p->locations.n) || !MAP_SIZE(&m->files, p->mappings.n) ||
	    !MAP_SIZE(&m->first_mapping, p->mappings.n) || !MAP_SIZE(&m->function_used, p->functions.n) ||
	    !MAP_SIZE(&m->location_used, p->locations.n) || !MAP_SIZE(&m->keys, RUN) || !MAP_SIZE(&m->syms, RUN))
		return -ENOMEM;
	memset(m->function_used.v, 0, p->functions.n);
	memset(m->location_used.v, 0, p->locations.n);
	m->explicit_locations.n = 0;
	m->number++;
	return 0;
}

static int map_strings(struct build *b, struct build_map *m, const struct profile *p)
{
	const struct str *strings = p->strings.v;
	for (size_t from = 0; from < p->strings.n; from += RUN) {
		size_t to = MIN(from + RUN, p->strings.n);
		for (size_t i = from; i < to; i++) {
			m->keys.v[i - from] = hash_key(strings[i].s, strings[i].len, b->strings.seed);
			keyset_prefetch(&b->strings.ids, m->keys.v[i - from]);
		}
		for (size_t i = from; i < to; i++) {
			m->strings.v[i] = intern_keyed(&b->strings, strings[i].s, strings[i].len, m->keys.v[i - from]);
			if (m->strings.v[i] == IDSET_NONE)
				return -ENOMEM;
		}
	}
	return 0;
}

/* ---- mappings ---- */

uint32_t build_add_file(struct build *b, const struct sym_file *f)
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
	struct sym_file f = { m->strings.v[mapping->filename], m->strings.v[mapping->build_id], mapping->flags };
	uint32_t file = build_add_file(b, &f);
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

/* ---- functions ---- */

static struct sym_function sym_function_of(const struct build_map *m, const struct profile_function *f)
{
	return (struct sym_function){ m->strings.v[f->name], m->strings.v[f->system_name],
		                      m->strings.v[f->filename], f->start_line };
}

static uint32_t add_function(struct build *b, const struct sym_function *f, struct hash_key key)
{
	uint32_t id = keyset_find(&b->function_ids, key);
	if (id != KEYSET_NONE)
		return id;
	id = (uint32_t)b->functions.n;
	struct sym_function *slot = VEC_GROW(&b->functions, 1);
	if (!slot || keyset_add(&b->function_ids, key, id) < 0)
		return IDSET_NONE;
	*slot = *f;
	b->functions.n++;
	return id;
}

static struct hash_key function_key(const struct build *b, const struct sym_function *f)
{
	uint64_t words[] = { (uint64_t)f->name << 32 | f->system_name, f->filename, (uint64_t)f->start_line };
	return hash_key(words, sizeof words, b->seed);
}

uint32_t build_add_function(struct build *b, const struct sym_function *f)
{
	return add_function(b, f, function_key(b, f));
}

static int map_functions(struct build *b, struct build_map *m, const struct profile *p)
{
	for (size_t from = 0; from < p->functions.n; from += RUN) {
		size_t to = MIN(from + RUN, p->functions.n);
		for (size_t i = from; i < to; i++) {
			struct sym_function f = sym_function_of(m, &p->functions.v[i]);
			m->keys.v[i - from] = function_key(b, &f);
			keyset_prefetch(&b->function_ids, m->keys.v[i - from]);
		}
		for (size_t i = from; i < to; i++) {
			struct sym_function f = sym_function_of(m, &p->functions.v[i]);
			m->functions.v[i] = add_function(b, &f, m->keys.v[i - from]);
			if (m->functions.v[i] == IDSET_NONE)
				return -ENOMEM;
		}
	}
	return 0;
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

static uint32_t add_location(struct build *b, const struct sym_location *l, const struct sym_line *lines,
                             struct hash_key key)
{
	uint32_t id = keyset_find(&b->location_ids, key);
	if (id != KEYSET_NONE)
		return id;
	id = (uint32_t)b->locations.n;
	struct sym_location *slot = VEC_GROW(&b->locations, 1);
	struct location_use *use = VEC_GROW(&b->location_uses, 1);
	struct sym_line *copy = VEC_GROW(&b->lines, (size_t)l->n_lines + 1);
	if (!slot || !use || !copy || keyset_add(&b->location_ids, key, id) < 0)
		return IDSET_NONE;
	if (l->n_lines)
		memcpy(copy, lines, l->n_lines * sizeof *lines);
	*slot = *l;
	slot->line_at = (uint32_t)b->lines.n;
	b->lines.n += l->n_lines;
	*use = (struct location_use){ 0 };
	b->locations.n++;
	b->location_uses.n++;
	return id;
}

uint32_t build_add_location(struct build *b, struct build_map *m, const struct sym_location *l,
                            const struct sym_line *lines)
{
	struct hash_key key;
	return location_key(b, m, l, lines, &key) < 0 ? IDSET_NONE : add_location(b, l, lines, key);
}

/* The i-th location as it is stored, and its key: sym->line_at is a place in m->lines. */
static int make_location(struct build *b, struct build_map *m, const struct profile *p, size_t i,
                         struct sym_location *sym, struct hash_key *key)
{
	const struct profile_location *l = &p->locations.v[i];
	*sym = (struct sym_location){ .line_at = (uint32_t)m->lines.n, .n_lines = l->n_lines };
	place_location(b, m, p, l, sym);
	struct sym_line *lines = VEC_GROW(&m->lines, (size_t)l->n_lines + 1);
	if (!lines)
		return -ENOMEM;
	m->lines.n += l->n_lines;
	for (uint32_t k = 0; k < l->n_lines; k++) {
		const struct profile_line *line = &p->lines.v[l->line_at + k];
		uint32_t function = PROFILE_NONE;
		if (line->function != PROFILE_NONE) {
			function = m->functions.v[line->function];
			m->function_used.v[line->function] = 1;
		}
		lines[k] = (struct sym_line){ function, line->line, line->column };
	}
	return location_key(b, m, sym, lines, key);
}

/* Equal locations of one profile get ordinals. */
static int find_location(struct build *b, struct build_map *m, size_t i, struct sym_location *sym, struct hash_key key)
{
	const struct sym_line *lines = m->lines.v + sym->line_at;
	uint32_t id = add_location(b, sym, lines, key);
	if (id != IDSET_NONE && b->location_uses.v[id].profile == m->number) {
		sym->ordinal = ++b->location_uses.v[id].equal;
		if (location_key(b, m, sym, lines, &key) < 0)
			return -ENOMEM;
		id = add_location(b, sym, lines, key);
	}
	if (id == IDSET_NONE)
		return -ENOMEM;
	b->location_uses.v[id].profile = m->number;
	b->location_uses.v[id].equal = 0;
	m->locations.v[i] = id;
	if (sym->flags & LOCATION_EXPLICIT) {
		uint32_t *slot = VEC_PUSH(&m->explicit_locations);
		if (!slot)
			return -ENOMEM;
		*slot = (uint32_t)i;
	}
	return 0;
}

static int map_locations(struct build *b, struct build_map *m, const struct profile *p)
{
	int r = 0;
	for (size_t from = 0; from < p->locations.n && r == 0; from += RUN) {
		size_t to = MIN(from + RUN, p->locations.n);
		m->lines.n = 0;
		for (size_t i = from; i < to && r == 0; i++) {
			r = make_location(b, m, p, i, &m->syms.v[i - from], &m->keys.v[i - from]);
			keyset_prefetch(&b->location_ids, m->keys.v[i - from]);
		}
		for (size_t i = from; i < to && r == 0; i++)
			r = find_location(b, m, i, &m->syms.v[i - from], m->keys.v[i - from]);
	}
	return r;
}

int build_map_start(struct build *b, struct build_map *m, const struct profile *p)
{
	int r = map_init(m, p);
	if (r == 0)
		r = map_strings(b, m, p);
	for (uint32_t i = 0; i < p->mappings.n && r == 0; i++)
		r = map_mapping(b, m, p, i);
	if (r == 0)
		r = map_functions(b, m, p);
	return r < 0 ? r : map_locations(b, m, p);
}

/* ---- stacks ---- */

uint32_t build_add_stack(struct build *b, uint32_t parent, uint32_t location)
{
	uint64_t hash = hash_mix(parent, location);
	for (struct idset_probe p = idset_probe(&b->stack_children, hash); idset_next(&b->stack_children, &p);)
		if (b->stack_parent.v[p.id] == parent && b->stack_location.v[p.id] == location)
			return p.id;
	uint32_t id = (uint32_t)b->stack_parent.n;
	uint32_t *slot = VEC_GROW(&b->stack_parent, 1), *slot2 = VEC_GROW(&b->stack_location, 1);
	if (!slot || !slot2 || id == IDSET_NONE || idset_add(&b->stack_children, hash, id) < 0)
		return IDSET_NONE;
	*slot = parent;
	*slot2 = location;
	b->stack_parent.n++;
	b->stack_location.n++;
	return id;
}

/* A sample's locations in the dataset's numbers, leaf first, in m->path. */
static int make_path(struct build_map *m, const struct profile *p, size_t sample)
{
	const uint32_t *locs = p->locs.v + p->loc_at.v[sample];
	size_t n = p->loc_at.v[sample + 1] - p->loc_at.v[sample];
	m->path.n = 0;
	uint32_t *path = VEC_GROW(&m->path, n + 1);
	if (!path)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		path[i] = m->locations.v[locs[i]];
		m->location_used.v[locs[i]] = 1;
	}
	m->path.n = n;
	return 0;
}

static int add_stack(struct build *b, struct build_map *m, const struct profile *p, size_t sample, struct hash_key key,
                     uint32_t *ret)
{
	uint32_t id = 0;
	if (make_path(m, p, sample) < 0)
		return -ENOMEM;
	for (size_t i = m->path.n; i-- > 0;)
		if ((id = build_add_stack(b, id, m->path.v[i])) == IDSET_NONE)
			return -ENOMEM;
	*ret = id;
	return keyset_add(&b->stack_whole, key, id);
}

int build_stacks(struct build *b, struct build_map *m, const struct profile *p, uint32_t *ret)
{
	for (size_t from = 0; from < p->n_samples; from += RUN) {
		size_t to = MIN(from + RUN, p->n_samples);
		for (size_t i = from; i < to; i++) {
			if (make_path(m, p, i) < 0)
				return -ENOMEM;
			m->keys.v[i - from] = hash_key(m->path.v, m->path.n * sizeof *m->path.v, b->seed);
			keyset_prefetch(&b->stack_whole, m->keys.v[i - from]);
		}
		for (size_t i = from; i < to; i++) {
			ret[i] = keyset_find(&b->stack_whole, m->keys.v[i - from]);
			if (ret[i] == KEYSET_NONE && add_stack(b, m, p, i, m->keys.v[i - from], &ret[i]) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}
