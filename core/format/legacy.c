/* SPDX-License-Identifier: MIT */
#include "legacy.h"

#include <math.h>

#include "internal.h"

void symbols_done(struct symbols *s)
{
	VEC_DONE(&s->v);
	idset_done(&s->by_address);
}

void legacy_frame(struct maker *m, uint64_t address)
{
	make_frame(m, make_location(m, &(struct frame){ PROFILE_NONE, address, NULL, 0 }));
}

void legacy_frames(struct maker *m, struct str addresses)
{
	while (addresses.len && !m->e) {
		struct str word = next_word(&addresses);
		uint64_t address;
		if (take_hex(&word, &address) && !word.len)
			legacy_frame(m, address - 1);
	}
}

/* ---- names of addresses ---- */

static const struct symbol *find_symbol(const struct maker *m, const struct symbols *s, uint64_t address)
{
	for (struct idset_probe p = idset_probe(&s->by_address, hash_mix(m->seed, address));
	     idset_next(&s->by_address, &p);)
		if (s->v.v[p.id].address == address)
			return &s->v.v[p.id];
	return NULL;
}

/* Opens a symbol, or goes on with the one that was opened last. NULL: this address is known already. */
static struct symbol *open_symbol(struct maker *m, struct symbols *s, uint64_t address)
{
	struct symbol *last = s->v.n ? &s->v.v[s->v.n - 1] : NULL;
	if (last && last->address == address && !s->closed)
		return last;
	s->closed = true;
	if (find_symbol(m, s, address))
		return NULL;
	struct symbol *new = VEC_PUSH(&s->v);
	if (!new || idset_add(&s->by_address, hash_mix(m->seed, address), (uint32_t)(s->v.n - 1))) {
		make_fail(m, -ENOMEM, "no memory for the symbols");
		return NULL;
	}
	*new = (struct symbol){ .address = address, .line_at = (uint32_t)m->p->lines.n };
	s->closed = false;
	return new;
}

static struct str cut_field(struct str *line)
{
	const char *tab = memchr(line->s, '\t', line->len);
	struct str field = { line->s, tab ? (size_t)(tab - line->s) : line->len };
	*line = trim(str_from(*line, field.len));
	return trim(field);
}

/* `/a/b.go:12` */
static struct str cut_line_number(struct str *place, int64_t *ret)
{
	const char *colon = place->len ? memrchr(place->s, ':', place->len) : NULL;
	struct str file = *place, digits = { "", 0 };
	if (colon) {
		file.len = (size_t)(colon - place->s);
		digits = str_from(*place, file.len + 1);
	}
	if (!take_i64(&digits, ret) || digits.len) {
		*ret = 0;
		return *place;
	}
	return file;
}

static struct str without_offset(struct str name)
{
	const char *plus = name.len ? memrchr(name.s, '+', name.len) : NULL;
	bool offset = plus && plus + 2 < name.s + name.len && plus[1] == '0' && plus[2] == 'x';
	return (struct str){ name.s, offset ? (size_t)(plus - name.s) : name.len };
}

void legacy_name(struct maker *m, struct symbols *s, uint64_t address, struct str name, struct str file, int64_t line)
{
	struct symbol *symbol = open_symbol(m, s, address);
	if (!symbol || !name.len || m->e)
		return;
	const struct profile_function f = { .name = make_string(m, name), .filename = make_string(m, file) };
	uint32_t function = make_function(m, &f);
	struct profile_line *to = VEC_PUSH(&m->p->lines);
	if (!to) {
		make_fail(m, -ENOMEM, "no memory for the symbols");
		return;
	}
	*to = (struct profile_line){ .function = function, .line = line };
	symbol->n_lines++;
}

void legacy_symbol(struct maker *m, struct symbols *s, struct str line)
{
	uint64_t address;
	if (!skip_word(&line, STR("#\t")) || !take_hex(&line, &address) || !skip_word(&line, STR("\t")))
		return;
	struct str name = without_offset(cut_field(&line));
	int64_t number;
	struct str file = cut_line_number(&line, &number);
	legacy_name(m, s, address, name, file, number);
}

void legacy_apply_symbols(struct maker *m, const struct symbols *s)
{
	for (size_t i = 0; i < m->p->locations.n && !m->e; i++) {
		struct profile_location *l = &m->p->locations.v[i];
		const struct symbol *symbol = find_symbol(m, s, l->address);
		if (!symbol || l->n_lines)
			continue;
		l->line_at = symbol->line_at;
		l->n_lines = symbol->n_lines;
	}
}

/* ---- memory maps ---- */

struct attribute {
	struct str name, value;
};

struct map {
	struct maker *m;
	VEC(struct attribute) attributes; /* `build=/path`, which lines name as $build */
	VEC(uint32_t) by_start;
};

bool legacy_is_map_start(struct str line)
{
	return memmem(line.s, line.len, "--- Memory map: ---", 19) || memmem(line.s, line.len, "MAPPED_LIBRARIES:", 17);
}

/* `start-end perms offset dev inode path`, as the kernel prints it. */
static bool parse_full(struct str line, struct profile_mapping *mapping, struct str *ret_file, bool *ret_code)
{
	struct str range = next_word(&line), perms = next_word(&line), offset = next_word(&line);
	struct str device = next_word(&line), inode = next_word(&line);
	uint64_t n;
	if (!take_hex(&range, &mapping->start) || !skip_word(&range, STR("-")) || !take_hex(&range, &mapping->limit) ||
	    range.len || !perms.len || !take_hex(&offset, &mapping->offset) || offset.len ||
	    !memchr(device.s, ':', device.len) || !take_u64(&inode, &n) || inode.len)
		return false;
	for (size_t i = 0; i < perms.len; i++)
		if (!memchr("-rwxps", perms.s[i], 6))
			return false;
	*ret_code = memchr(perms.s, 'x', perms.len);
	*ret_file = next_word(&line);
	return true;
}

/* `start-end: path`, and perhaps an offset at the end. */
static bool parse_brief(struct str line, struct profile_mapping *mapping, struct str *ret_file)
{
	struct str range = next_word(&line);
	if (!take_hex(&range, &mapping->start) || !skip_word(&range, STR("-")) || !take_hex(&range, &mapping->limit) ||
	    !skip_word(&range, STR(":")))
		return false;
	*ret_file = range.len ? range : next_word(&line);
	const char *at = line.len ? memrchr(line.s, '@', line.len) : NULL;
	struct str tail = at ? trim(str_from(line, (size_t)(at + 1 - line.s))) : (struct str){ "", 0 };
	if (!take_hex(&tail, &mapping->offset))
		mapping->offset = 0;
	return ret_file->len;
}

/* Puts the values of attributes in the place of $names, which stand at the beginning of the file's name. */
static struct str expand(const struct map *map, struct str file)
{
	for (size_t i = 0; i < map->attributes.n; i++) {
		const struct attribute *a = &map->attributes.v[i];
		if (!file.len || *file.s != '$' || !str_starts(str_from(file, 1), a->name))
			continue;
		struct str rest = str_from(file, 1 + a->name.len);
		char *text = rest.len ? arena_alloc(&map->m->p->arena, a->value.len + rest.len) : NULL;
		if (!text)
			return a->value;
		memcpy(text, a->value.s, a->value.len);
		memcpy(text + a->value.len, rest.s, rest.len);
		return (struct str){ text, a->value.len + rest.len };
	}
	return file;
}

static void note_attribute(struct map *map, struct str line)
{
	const char *eq = memchr(line.s, '=', line.len);
	struct attribute *a = eq && map->attributes.n < 64 ? VEC_PUSH(&map->attributes) : NULL;
	if (a)
		*a = (struct attribute){ trim((struct str){ line.s, (size_t)(eq - line.s) }),
			trim(str_from(line, (size_t)(eq + 1 - line.s))) };
}

static bool same_file(const struct profile *p, const struct profile_mapping *a, const struct profile_mapping *b)
{
	return !a->filename || !b->filename || str_eq(profile_str(p, a->filename), profile_str(p, b->filename));
}

/* Parts of one file that follow each other, in memory and in the file, are one mapping. */
static bool continues(const struct profile *p, const struct profile_mapping *a, const struct profile_mapping *b)
{
	bool offsets = !a->offset || !b->offset || a->offset + (a->limit - a->start) == b->offset;
	return same_file(p, a, b) && a->limit == b->start && offsets;
}

static void add_mapping(struct map *map, const struct profile_mapping *mapping)
{
	struct profile *p = map->m->p;
	struct profile_mapping *last = p->mappings.n ? &p->mappings.v[p->mappings.n - 1] : NULL;
	if (!last || !continues(p, last, mapping)) {
		make_mapping(map->m, mapping);
		return;
	}
	last->limit = mapping->limit;
	last->filename = mapping->filename ? mapping->filename : last->filename;
}

static void read_map_line(struct map *map, struct str line)
{
	struct profile_mapping mapping = { 0 };
	struct str file = { "", 0 };
	bool code = true;
	line = trim(line);
	if (!parse_full(line, &mapping, &file, &code)) {
		mapping = (struct profile_mapping){ 0 };
		if (!parse_brief(line, &mapping, &file)) {
			note_attribute(map, line);
			return;
		}
	}
	mapping.filename = make_string(map->m, expand(map, file));
	if (code && mapping.start < mapping.limit)
		add_mapping(map, &mapping);
}

static bool is_library(struct str file)
{
	for (const char *at = file.s; (at = memmem(at, file.len - (size_t)(at - file.s), ".so", 3)); at += 3) {
		size_t behind = (size_t)(at - file.s) + 3;
		bool version = behind + 1 < file.len && memchr("._", file.s[behind], 2) && is_digit(file.s[behind + 1]);
		if (behind == file.len || version)
			return true;
	}
	return false;
}

/* The first mapping is the program, as pprof's tools expect. */
static void put_program_first(struct profile *p)
{
	for (size_t i = 0; i < p->mappings.n; i++) {
		struct str file = profile_str(p, p->mappings.v[i].filename);
		if (!file.len || *file.s == '[' || is_library(file))
			continue;
		struct profile_mapping first = p->mappings.v[0];
		p->mappings.v[0] = p->mappings.v[i];
		p->mappings.v[i] = first;
		break;
	}
	/* A program that was moved to huge pages says its offset where its start is meant. */
	struct profile_mapping *main = p->mappings.n ? &p->mappings.v[0] : NULL;
	if (main && main->start - main->offset == 0x400000) {
		main->start = 0x400000;
		main->offset = 0;
	}
}

static int compare_starts(const void *a, const void *b, void *profile)
{
	const struct profile *p = profile;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return CMP(p->mappings.v[x].start, p->mappings.v[y].start) ?: CMP(x, y);
}

static bool sort_map(struct map *map)
{
	struct profile *p = map->m->p;
	uint32_t *to = VEC_GROW(&map->by_start, p->mappings.n);
	if (!to) {
		make_fail(map->m, -ENOMEM, "no memory for the memory map");
		return false;
	}
	for (uint32_t i = 0; i < p->mappings.n; i++)
		to[i] = i;
	map->by_start.n = p->mappings.n;
	qsort_r(to, map->by_start.n, sizeof *to, compare_starts, p);
	return true;
}

static uint32_t mapping_at(const struct map *map, uint64_t address)
{
	const struct profile *p = map->m->p;
	size_t low = 0, high = map->by_start.n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		if (p->mappings.v[map->by_start.v[mid]].start <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (low && address < p->mappings.v[map->by_start.v[low - 1]].limit)
		return map->by_start.v[low - 1];
	/* Old writers leave out the first part of a mapping. */
	uint32_t next = low < map->by_start.n ? map->by_start.v[low] : PROFILE_NONE;
	const struct profile_mapping *m = next == PROFILE_NONE ? NULL : &p->mappings.v[next];
	return m && m->offset && m->start >= m->offset && m->start - m->offset <= address ? next : PROFILE_NONE;
}

static void place_locations(struct map *map)
{
	struct profile *p = map->m->p;
	for (size_t i = 0; i < p->locations.n; i++) {
		struct profile_location *l = &p->locations.v[i];
		l->mapping = l->address ? mapping_at(map, l->address) : PROFILE_NONE;
		struct profile_mapping *m = l->mapping == PROFILE_NONE ? NULL : &p->mappings.v[l->mapping];
		if (m && l->address < m->start) {
			m->start -= m->offset;
			m->offset = 0;
		}
	}
}

static void map_done(struct map *map)
{
	VEC_DONE(&map->attributes);
	VEC_DONE(&map->by_start);
}

void legacy_read_map(struct maker *m, struct slice rest)
{
	_cleanup_(map_done) struct map map = { .m = m };
	struct str line;
	while (rest.len && !m->e) {
		next_line(&rest, &line);
		read_map_line(&map, line);
	}
	if (m->e || !m->p->mappings.n)
		return;
	put_program_first(m->p);
	if (sort_map(&map))
		place_locations(&map);
}

void legacy_find_map(struct maker *m, struct slice rest)
{
	struct str line = { "", 0 };
	while (rest.len && !legacy_is_map_start(line))
		next_line(&rest, &line);
	legacy_read_map(m, rest);
}

/* ---- heaps ---- */

void legacy_heap_types(struct maker *m, bool alloc, bool known_inuse)
{
	if (alloc) {
		make_type(m, STR("alloc_objects"), STR("count"));
		make_type(m, STR("alloc_space"), STR("bytes"));
	}
	bool inuse = alloc || known_inuse;
	make_type(m, inuse ? STR("inuse_objects") : STR("objects"), STR("count"));
	make_type(m, inuse ? STR("inuse_space") : STR("space"), STR("bytes"));
}

/* Samples are drawn at distances that are exponentially distributed: one of size s is seen with 1 - e^(-s/rate). */
void legacy_unsample(int64_t rate, double *count, double *size)
{
	if (*count == 0 || *size == 0) {
		*count = *size = 0;
		return;
	}
	double scale = rate > 1 ? 1 / (1 - exp(-(*size / *count) / (double)rate)) : 1;
	*count *= scale;
	*size *= scale;
}
