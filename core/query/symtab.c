/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

#include "../base/hash.h"
#include "../base/pct.h"

/*
 * One numbering for the symbols of all parts. Each part's own indices are translated once, on demand, so that only
 * what is shown is looked at; equal content gets one number. Numbers are in order of first use and mean nothing:
 * orders that are shown come from ranks by content.
 */

static uint32_t *indices_new(uint32_t n)
{
	uint32_t *v = malloc(((size_t)n + 1) * sizeof *v);
	return v ? memset(v, 0xff, ((size_t)n + 1) * sizeof *v) : NULL;
}

int symtab_new(struct query *q, struct symtab **ret)
{
	struct symtab *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	t->q = q;
	t->arena = ARENA_INIT(ARENA_MAX);
	t->n_parts = q->parts.n;
	t->parts = calloc(t->n_parts + 1, sizeof *t->parts);
	t->part_stacks = calloc(t->n_parts + 1, sizeof *t->part_stacks);
	pthread_mutex_init(&t->lock, NULL);
	if (t->parts && t->part_stacks && trie_new(&t->stacks) >= 0 &&
	    symtab_intern(t, (struct str){ "", 0 }, false) == 0) {
		*ret = t;
		return 0;
	}
	symtab_free(t);
	return -ENOMEM;
}

static void part_done(struct symtab_part *p)
{
	free(p->strings);
	free(p->functions);
	free(p->files);
	free(p->locations);
	free(p->frames);
}

void symtab_free(struct symtab *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_parts; i++) {
		if (t->parts)
			part_done(&t->parts[i]);
		if (t->part_stacks)
			free(t->part_stacks[i]);
	}
	free(t->parts);
	free(t->part_stacks);
	trie_free(t->stacks);
	VEC_DONE(&t->strings);
	VEC_DONE(&t->frames);
	VEC_DONE(&t->functions);
	VEC_DONE(&t->files);
	VEC_DONE(&t->lines);
	VEC_DONE(&t->locations);
	idset_done(&t->string_set);
	idset_done(&t->frame_set);
	idset_done(&t->function_set);
	idset_done(&t->file_set);
	idset_done(&t->location_set);
	arena_done(&t->arena);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static const struct symbols *part_symbols(const struct symtab *t, uint32_t part)
{
	return t->q->parts.v[part].symbols;
}

/* The place where a part's index is translated, made on first use; NULL out of memory. */
static uint32_t *slot_at(uint32_t **v, uint32_t n, uint32_t i)
{
	if (!*v)
		*v = indices_new(n);
	return *v && i < n ? &(*v)[i] : NULL;
}

/* ---- strings ---- */

uint32_t symtab_intern(struct symtab *t, struct str s, bool copy)
{
	uint64_t hash = hash_bytes(s.s, s.len);
	for (struct idset_probe at = idset_probe(&t->string_set, hash); idset_next(&t->string_set, &at);)
		if (str_eq(t->strings.v[at.id], s))
			return at.id;
	if (copy)
		s.s = arena_strndup(&t->arena, s.s, s.len);
	struct str *to = s.s ? VEC_PUSH(&t->strings) : NULL;
	if (!to || idset_add(&t->string_set, hash, (uint32_t)t->strings.n - 1) < 0)
		return NONE;
	*to = s;
	return (uint32_t)t->strings.n - 1;
}

uint32_t symtab_string(struct symtab *t, uint32_t part, uint32_t string)
{
	const struct symbols *sym = part_symbols(t, part);
	uint32_t *slot = slot_at(&t->parts[part].strings, sym->n_strings, string);
	if (!slot)
		return string < sym->n_strings ? NONE : 0;
	if (*slot == NONE)
		*slot = symtab_intern(t, sym->strings[string], false);
	return *slot;
}

/* ---- functions, files ---- */

static uint32_t function_intern(struct symtab *t, const struct gfunction *f)
{
	uint64_t hash = hash_mix(hash_mix(f->name, f->system_name), hash_mix(f->filename, (uint64_t)f->start_line));
	for (struct idset_probe at = idset_probe(&t->function_set, hash); idset_next(&t->function_set, &at);) {
		const struct gfunction *o = &t->functions.v[at.id];
		if (o->name == f->name && o->system_name == f->system_name && o->filename == f->filename &&
		    o->start_line == f->start_line)
			return at.id;
	}
	struct gfunction *to = VEC_PUSH(&t->functions);
	if (!to || idset_add(&t->function_set, hash, (uint32_t)t->functions.n - 1) < 0)
		return NONE;
	*to = *f;
	return (uint32_t)t->functions.n - 1;
}

uint32_t symtab_function(struct symtab *t, uint32_t part, uint32_t function)
{
	const struct symbols *sym = part_symbols(t, part);
	uint32_t *slot = slot_at(&t->parts[part].functions, sym->n_functions, function);
	if (!slot)
		return NONE;
	if (*slot == NONE) {
		const struct sym_function *from = &sym->functions[function];
		const struct gfunction f = {
			.name = symtab_string(t, part, from->name),
			.system_name = symtab_string(t, part, from->system_name),
			.filename = symtab_string(t, part, from->filename),
			.start_line = from->start_line,
		};
		bool whole = f.name != NONE && f.system_name != NONE && f.filename != NONE;
		*slot = whole ? function_intern(t, &f) : NONE;
	}
	return *slot;
}

static uint32_t file_intern(struct symtab *t, uint32_t filename, uint32_t build_id, uint8_t flags)
{
	uint64_t hash = hash_mix(filename, build_id);
	for (struct idset_probe at = idset_probe(&t->file_set, hash); idset_next(&t->file_set, &at);) {
		struct gfile *o = &t->files.v[at.id];
		if (o->filename == filename && o->build_id == build_id) {
			o->flags &= flags;
			return at.id;
		}
	}
	struct gfile *to = VEC_PUSH(&t->files);
	if (!to || idset_add(&t->file_set, hash, (uint32_t)t->files.n - 1) < 0)
		return NONE;
	*to = (struct gfile){ filename, build_id, flags };
	return (uint32_t)t->files.n - 1;
}

uint32_t symtab_file(struct symtab *t, uint32_t part, uint32_t file)
{
	const struct symbols *sym = part_symbols(t, part);
	uint32_t *slot = slot_at(&t->parts[part].files, sym->n_files, file);
	if (!slot)
		return NONE;
	if (*slot == NONE) {
		uint32_t filename = symtab_string(t, part, sym->files[file].filename);
		uint32_t build_id = symtab_string(t, part, sym->files[file].build_id);
		if (filename != NONE && build_id != NONE)
			*slot = file_intern(t, filename, build_id, sym->files[file].flags);
	}
	return *slot;
}

/* ---- locations ---- */

static bool same_location(const struct symtab *t, const struct glocation *a, const struct glocation *b)
{
	if (a->file != b->file || a->address != b->address || a->n_lines != b->n_lines || a->folded != b->folded)
		return false;
	for (uint32_t i = 0; i < a->n_lines; i++) {
		const struct gline *x = &t->lines.v[a->line_at + i], *y = &t->lines.v[b->line_at + i];
		if (x->function != y->function || x->line != y->line || x->column != y->column)
			return false;
	}
	return true;
}

static uint64_t location_hash(const struct symtab *t, const struct glocation *l)
{
	uint64_t h = hash_mix(l->address, (uint64_t)l->file << 1 | l->folded);
	for (uint32_t i = 0; i < l->n_lines; i++) {
		const struct gline *line = &t->lines.v[l->line_at + i];
		h = hash_mix(h, hash_mix(line->function, (uint64_t)line->line ^ (uint64_t)line->column << 40));
	}
	return h;
}

/* The lines of l are the last of t->lines; they are taken back where an equal location is there. */
static uint32_t location_intern(struct symtab *t, const struct glocation *l)
{
	uint64_t hash = location_hash(t, l);
	for (struct idset_probe at = idset_probe(&t->location_set, hash); idset_next(&t->location_set, &at);)
		if (same_location(t, &t->locations.v[at.id], l)) {
			t->lines.n = l->line_at;
			return at.id;
		}
	struct glocation *to = VEC_PUSH(&t->locations);
	if (!to || idset_add(&t->location_set, hash, (uint32_t)t->locations.n - 1) < 0)
		return NONE;
	*to = *l;
	return (uint32_t)t->locations.n - 1;
}

/* Appends a part's line to t->lines. */
static int push_line(struct symtab *t, uint32_t part, uint32_t line)
{
	const struct sym_line *from = &part_symbols(t, part)->lines[line];
	struct gline to = { NONE, from->line, from->column };
	if (from->function != PROFILE_NONE) {
		to.function = symtab_function(t, part, from->function);
		if (to.function == NONE)
			return -ENOMEM;
	}
	struct gline *at = VEC_PUSH(&t->lines);
	if (!at)
		return -ENOMEM;
	*at = to;
	return 0;
}

/* All but the lines. */
static int location_head(struct symtab *t, uint32_t part, uint32_t location, struct glocation *ret)
{
	const struct sym_location *from = &part_symbols(t, part)->locations[location];
	*ret = (struct glocation){
		.file = NONE,
		.address = from->address,
		.line_at = (uint32_t)t->lines.n,
		.folded = from->flags & LOCATION_FOLDED,
	};
	if (from->file == PROFILE_NONE)
		return 0;
	ret->file = symtab_file(t, part, from->file);
	return ret->file == NONE ? -ENOMEM : 0;
}

uint32_t symtab_location(struct symtab *t, uint32_t part, uint32_t location)
{
	const struct symbols *sym = part_symbols(t, part);
	uint32_t *slot = slot_at(&t->parts[part].locations, sym->n_locations, location);
	if (!slot || *slot != NONE)
		return slot ? *slot : NONE;
	struct glocation l;
	if (location_head(t, part, location, &l) < 0)
		return NONE;
	const struct sym_location *from = &sym->locations[location];
	for (uint32_t i = 0; i < from->n_lines; i++)
		if (push_line(t, part, from->line_at + i) < 0)
			return NONE;
	l.n_lines = from->n_lines;
	return *slot = location_intern(t, &l);
}

uint32_t symtab_lines(struct symtab *t, uint32_t part, const struct item *items, uint32_t n)
{
	struct glocation l;
	if (location_head(t, part, items[0].location, &l) < 0)
		return NONE;
	for (uint32_t i = n; i-- > 0;)
		if (items[i].line != NONE && push_line(t, part, items[i].line) < 0)
			return NONE;
	l.n_lines = (uint32_t)t->lines.n - l.line_at;
	return location_intern(t, &l);
}

/* ---- frames ---- */

static struct str base_name(struct str path)
{
	const char *slash = path.len ? memrchr(path.s, '/', path.len) : NULL;
	if (!slash || slash + 1 == path.s + path.len)
		return path;
	return (struct str){ slash + 1, (size_t)(path.s + path.len - slash - 1) };
}

static struct str mapping_name(struct symtab *t, uint32_t part, const struct sym_location *l)
{
	const struct symbols *sym = part_symbols(t, part);
	if (l->file == PROFILE_NONE)
		return (struct str){ "", 0 };
	return part_string(&t->q->parts.v[part], sym->files[l->file].filename);
}

/* "[libfoo.so+0x1234]", "0x1234". */
static uint32_t address_name(struct symtab *t, uint32_t part, const struct sym_location *l)
{
	struct str base = base_name(mapping_name(t, part, l));
	char text[NAME_LIMIT + 64];
	int n = base.len ? snprintf(text, sizeof text, "[%.*s+0x%llx]", (int)MIN(base.len, (size_t)NAME_LIMIT), base.s,
	                            (unsigned long long)l->address)
	                 : snprintf(text, sizeof text, "0x%llx", (unsigned long long)l->address);
	return symtab_intern(t, (struct str){ text, (size_t)n }, true);
}

/* The strings of a line's function: its name (the linker's where it has no other). */
static const struct sym_function *line_function(const struct symbols *sym, uint32_t line)
{
	if (line == NONE || sym->lines[line].function == PROFILE_NONE)
		return NULL;
	return &sym->functions[sym->lines[line].function];
}

uint32_t symtab_name(struct symtab *t, uint32_t part, uint32_t location, uint32_t line)
{
	const struct symbols *sym = part_symbols(t, part);
	const struct sym_function *f = line_function(sym, line);
	uint32_t name = f ? symtab_string(t, part, f->name) : 0;
	if (f && name == 0)
		name = symtab_string(t, part, f->system_name);
	return name ? name : address_name(t, part, &sym->locations[location]);
}

static uint32_t frame_intern(struct symtab *t, const struct frame_key *k)
{
	uint64_t hash = hash_mix(hash_mix(k->name, (uint64_t)k->file << 32 | k->mapping),
	                         hash_mix((uint64_t)k->line, k->address));
	for (struct idset_probe at = idset_probe(&t->frame_set, hash); idset_next(&t->frame_set, &at);) {
		const struct frame_key *o = &t->frames.v[at.id];
		if (o->name == k->name && o->file == k->file && o->mapping == k->mapping && o->line == k->line &&
		    o->address == k->address)
			return at.id;
	}
	struct frame_key *to = VEC_PUSH(&t->frames);
	if (!to || idset_add(&t->frame_set, hash, (uint32_t)t->frames.n - 1) < 0)
		return NONE;
	*to = *k;
	return (uint32_t)t->frames.n - 1;
}

/* A frame by file: the file's name; without one the mapping's in brackets. */
static uint32_t file_name(struct symtab *t, uint32_t part, uint32_t location, const struct sym_function *f)
{
	uint32_t name = f ? symtab_string(t, part, f->filename) : 0;
	if (name)
		return name;
	struct str base = base_name(mapping_name(t, part, &part_symbols(t, part)->locations[location]));
	char text[NAME_LIMIT + 8];
	int n = snprintf(text, sizeof text, base.len ? "[%.*s]" : "<unknown>", (int)MIN(base.len, (size_t)NAME_LIMIT),
	                 base.s);
	return symtab_intern(t, (struct str){ text, (size_t)n }, true);
}

static uint32_t make_frame(struct symtab *t, uint32_t part, uint32_t location, uint32_t line, enum granularity by)
{
	const struct symbols *sym = part_symbols(t, part);
	const struct sym_location *l = &sym->locations[location];
	const struct sym_function *f = line_function(sym, line);
	struct frame_key k = { 0 };
	if (by == BY_FILE) {
		k.name = file_name(t, part, location, f);
		k.file = f ? symtab_string(t, part, f->filename) : 0;
	} else {
		k.name = symtab_name(t, part, location, line);
	}
	if (by == BY_LINE && f) {
		k.file = symtab_string(t, part, f->filename);
		k.line = sym->lines[line].line;
	}
	if (by == BY_ADDRESS) {
		k.address = l->address;
		k.mapping = l->file == PROFILE_NONE ? 0 : symtab_string(t, part, sym->files[l->file].filename);
	}
	if (k.name == NONE || k.file == NONE || k.mapping == NONE)
		return NONE;
	return frame_intern(t, &k);
}

/* By function, a function with a name is the same frame wherever it is called. */
uint32_t symtab_frame(struct symtab *t, uint32_t part, uint32_t location, uint32_t line, enum granularity by)
{
	const struct symbols *sym = part_symbols(t, part);
	const struct sym_function *f = by == BY_FUNCTION ? line_function(sym, line) : NULL;
	uint32_t *slot =
		f ? slot_at(&t->parts[part].frames, sym->n_functions, (uint32_t)(f - sym->functions)) : NULL;
	if (slot && *slot != NONE)
		return *slot;
	uint32_t frame = make_frame(t, part, location, line, by);
	if (slot && (sym->strings[f->name].len || sym->strings[f->system_name].len))
		*slot = frame;
	return f && !slot ? NONE : frame;
}

/* ---- stacks ---- */

/* Climbs to the nearest ancestor that has a number, and numbers the way back. */
static uint32_t number_stack(struct symtab *t, uint32_t part, uint32_t stack)
{
	const struct symbols *sym = part_symbols(t, part);
	uint32_t *known = t->part_stacks[part], depth = 0;
	VEC(uint32_t) way = { 0 };
	for (; known[stack] == NONE; stack = sym->stack_parent[stack]) {
		uint32_t *at = VEC_PUSH(&way);
		if (!at)
			break;
		*at = stack;
		depth++;
	}
	uint32_t number = known[stack];
	while (number != NONE && way.n) {
		uint32_t at = way.v[--way.n], location = symtab_location(t, part, sym->stack_location[at]);
		number = location == NONE ? NONE : trie_child(t->stacks, number, location);
		known[at] = number;
	}
	VEC_DONE(&way);
	return number;
}

uint32_t symtab_stack(struct symtab *t, uint32_t part, uint32_t stack)
{
	uint32_t number = NONE;
	pthread_mutex_lock(&t->lock);
	if (!t->part_stacks[part]) {
		t->part_stacks[part] = indices_new(part_symbols(t, part)->n_stacks);
		if (t->part_stacks[part])
			t->part_stacks[part][0] = 0;
	}
	if (t->part_stacks[part])
		number = number_stack(t, part, stack);
	pthread_mutex_unlock(&t->lock);
	return number;
}

/* ---- ranks ---- */

/* The rank of each string by bytes: compared once each, so that what refers to strings compares integers. */
static int str_ref_cmp(const void *a, const void *b, void *arg)
{
	const struct str *strings = arg;
	return str_cmp(strings[*(const uint32_t *)a], strings[*(const uint32_t *)b]);
}

static uint32_t *order_by(size_t n, int (*cmp)(const void *, const void *, void *), void *arg)
{
	uint32_t *order = malloc((n + 1) * sizeof *order);
	for (size_t i = 0; order && i < n; i++)
		order[i] = (uint32_t)i;
	if (order)
		qsort_r(order, n, sizeof *order, cmp, arg);
	return order;
}

/* Turns an order into ranks, equal where cmp finds no difference. Frees order. */
static uint32_t *ranks_of(uint32_t *order, size_t n, int (*cmp)(const void *, const void *, void *), void *arg)
{
	uint32_t *rank = order ? malloc((n + 1) * sizeof *rank) : NULL;
	for (size_t i = 0; rank && i < n; i++) {
		bool same = i && !cmp(&order[i - 1], &order[i], arg);
		rank[order[i]] = same ? rank[order[i - 1]] : (uint32_t)i;
	}
	free(order);
	return rank;
}

struct ranking {
	const struct symtab *t;
	const uint32_t *strings, *functions; /* ranks */
};

static int frame_cmp(const void *a, const void *b, void *arg)
{
	const struct ranking *ranking = arg;
	const struct frame_key *x = &ranking->t->frames.v[*(const uint32_t *)a];
	const struct frame_key *y = &ranking->t->frames.v[*(const uint32_t *)b];
	const uint32_t *rank = ranking->strings;
	if (x->name != y->name)
		return CMP(rank[x->name], rank[y->name]);
	if (x->file != y->file)
		return CMP(rank[x->file], rank[y->file]);
	if (x->line != y->line)
		return CMP(x->line, y->line);
	return x->address != y->address ? CMP(x->address, y->address) : CMP(rank[x->mapping], rank[y->mapping]);
}

static uint32_t *rank_strings(const struct symtab *t)
{
	return ranks_of(order_by(t->strings.n, str_ref_cmp, t->strings.v), t->strings.n, str_ref_cmp, t->strings.v);
}

int symtab_rank_frames(const struct symtab *t, uint32_t **ret)
{
	_free_ uint32_t *strings = rank_strings(t);
	if (!strings)
		return -ENOMEM;
	struct ranking ranking = { t, strings, NULL };
	*ret = ranks_of(order_by(t->frames.n, frame_cmp, &ranking), t->frames.n, frame_cmp, &ranking);
	return *ret ? 0 : -ENOMEM;
}

static int function_cmp(const void *a, const void *b, void *arg)
{
	const struct ranking *ranking = arg;
	const struct gfunction *x = &ranking->t->functions.v[*(const uint32_t *)a];
	const struct gfunction *y = &ranking->t->functions.v[*(const uint32_t *)b];
	const uint32_t *rank = ranking->strings;
	if (x->name != y->name)
		return CMP(rank[x->name], rank[y->name]);
	if (x->system_name != y->system_name)
		return CMP(rank[x->system_name], rank[y->system_name]);
	if (x->filename != y->filename)
		return CMP(rank[x->filename], rank[y->filename]);
	return CMP(x->start_line, y->start_line);
}

static int line_cmp(const struct gline *x, const struct gline *y, const uint32_t *functions)
{
	if (x->function != y->function) {
		if (x->function == NONE || y->function == NONE)
			return x->function == NONE ? -1 : 1;
		return CMP(functions[x->function], functions[y->function]);
	}
	return x->line != y->line ? CMP(x->line, y->line) : CMP(x->column, y->column);
}

static int file_cmp(const struct ranking *ranking, uint32_t a, uint32_t b)
{
	if (a == b)
		return 0;
	if (a == NONE || b == NONE)
		return a == NONE ? -1 : 1;
	const struct gfile *x = &ranking->t->files.v[a], *y = &ranking->t->files.v[b];
	const uint32_t *rank = ranking->strings;
	return x->filename != y->filename ? CMP(rank[x->filename], rank[y->filename])
	                                  : CMP(rank[x->build_id], rank[y->build_id]);
}

/* Outermost line first, as frames are; then what lines do not tell. */
static int location_cmp(const void *a, const void *b, void *arg)
{
	const struct ranking *ranking = arg;
	const struct symtab *t = ranking->t;
	const struct glocation *x = &t->locations.v[*(const uint32_t *)a], *y = &t->locations.v[*(const uint32_t *)b];
	int r = file_cmp(ranking, x->file, y->file);
	if (!r)
		r = CMP(x->address, y->address);
	for (uint32_t i = 0; !r && i < MIN(x->n_lines, y->n_lines); i++)
		r = line_cmp(&t->lines.v[x->line_at + x->n_lines - 1 - i], &t->lines.v[y->line_at + y->n_lines - 1 - i],
		             ranking->functions);
	if (!r)
		r = CMP(x->n_lines, y->n_lines);
	return r ? r : CMP(x->folded, y->folded);
}

int symtab_rank_locations(const struct symtab *t, uint32_t **ret)
{
	_free_ uint32_t *strings = rank_strings(t);
	if (!strings)
		return -ENOMEM;
	struct ranking ranking = { t, strings, NULL };
	_free_ uint32_t *functions =
		ranks_of(order_by(t->functions.n, function_cmp, &ranking), t->functions.n, function_cmp, &ranking);
	if (!functions)
		return -ENOMEM;
	ranking.functions = functions;
	*ret = ranks_of(order_by(t->locations.n, location_cmp, &ranking), t->locations.n, location_cmp, &ranking);
	return *ret ? 0 : -ENOMEM;
}
