/* SPDX-License-Identifier: MIT */
#include "make.h"

#include <string.h>

#include "internal.h"

void maker_init(struct maker *m, struct profile *p, const struct format_options *opts, struct error *err)
{
	*m = (struct maker){ .p = p, .opts = opts, .err = err, .seed = hash_seed(),
		.max_model = format_max_model(opts) };
	uint32_t *loc_at = VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	if (!loc_at || !label_at) {
		make_fail(m, -ENOMEM, "no memory for the profile");
		return;
	}
	*loc_at = *label_at = 0;
}

void maker_done(struct maker *m)
{
	idset_done(&m->strings);
	idset_done(&m->functions);
	idset_done(&m->locations);
}

int make_fail(struct maker *m, int e, const char *fmt, ...)
{
	if (m->e)
		return m->e;
	char text[256];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return m->e = error_set(m->err, e, "%s", text);
}

static size_t used(const struct maker *m)
{
	return profile_bytes(m->p) + idset_bytes(&m->strings) + idset_bytes(&m->functions) + idset_bytes(&m->locations);
}

static int no_room(struct maker *m)
{
	if (used(m) <= m->max_model)
		return make_fail(m, -ENOMEM, "no memory for the profile");
	return make_fail(m, ERR_FORMAT_LIMIT, "the profile needs more than %zu MiB of memory", m->max_model >> 20);
}

static uint32_t find_string(const struct maker *m, struct str s, uint64_t hash)
{
	for (struct idset_probe p = idset_probe(&m->strings, hash); idset_next(&m->strings, &p);)
		if (str_eq(m->p->strings.v[p.id], s))
			return p.id;
	return PROFILE_NONE;
}

static uint32_t add_string(struct maker *m, struct str s, uint64_t hash)
{
	struct str *to = m->p->strings.n < PROFILE_NONE ? VEC_PUSH(&m->p->strings) : NULL;
	uint32_t id = (uint32_t)(m->p->strings.n - 1);
	if (!to || idset_add(&m->strings, hash, id)) {
		no_room(m);
		return 0;
	}
	*to = s;
	return id;
}

static uint32_t intern(struct maker *m, struct str s, bool copy)
{
	if (m->e || !s.len)
		return 0;
	uint64_t hash = hash_str(s, m->seed);
	uint32_t id = find_string(m, s, hash);
	if (id != PROFILE_NONE)
		return id;
	if (copy)
		s.s = arena_strndup(&m->p->arena, s.s, s.len);
	if (!s.s) {
		make_fail(m, m->p->arena.used + s.len > m->p->arena.max ? ERR_FORMAT_LIMIT : -ENOMEM,
		          "no room for the profile's strings");
		return 0;
	}
	return add_string(m, s, hash);
}

uint32_t make_string(struct maker *m, struct str s)
{
	return intern(m, s, false);
}

uint32_t make_copy(struct maker *m, struct str s)
{
	return intern(m, s, true);
}

void make_type(struct maker *m, struct str type, struct str unit)
{
	struct value_type t = { make_string(m, type), make_string(m, unit) };
	struct value_type *to = m->e ? NULL : VEC_PUSH(&m->p->types);
	if (to)
		*to = t;
	else
		no_room(m);
}

uint32_t make_mapping(struct maker *m, const struct profile_mapping *mapping)
{
	struct profile_mapping *to = m->e ? NULL : VEC_PUSH(&m->p->mappings);
	if (!to) {
		no_room(m);
		return PROFILE_NONE;
	}
	*to = *mapping;
	return (uint32_t)(m->p->mappings.n - 1);
}

static bool same_function(const struct profile_function *a, const struct profile_function *b)
{
	return a->name == b->name && a->system_name == b->system_name && a->filename == b->filename &&
	       a->start_line == b->start_line;
}

uint32_t make_function(struct maker *m, const struct profile_function *f)
{
	if (m->e)
		return PROFILE_NONE;
	uint64_t hash = hash_mix(hash_mix(m->seed ^ f->name, (uint64_t)f->system_name << 32 | f->filename),
	                         (uint64_t)f->start_line);
	for (struct idset_probe p = idset_probe(&m->functions, hash); idset_next(&m->functions, &p);)
		if (same_function(&m->p->functions.v[p.id], f))
			return p.id;
	struct profile_function *to = VEC_PUSH(&m->p->functions);
	uint32_t id = (uint32_t)(m->p->functions.n - 1);
	if (!to || idset_add(&m->functions, hash, id)) {
		no_room(m);
		return PROFILE_NONE;
	}
	*to = *f;
	return id;
}

static bool same_line(const struct profile_line *a, const struct profile_line *b)
{
	return a->function == b->function && a->line == b->line && a->column == b->column;
}

static bool same_location(const struct profile *p, uint32_t id, const struct frame *f)
{
	const struct profile_location *l = &p->locations.v[id];
	bool same = l->mapping == f->mapping && l->address == f->address && l->n_lines == f->n_lines;
	for (uint32_t i = 0; same && i < f->n_lines; i++)
		same = same_line(&p->lines.v[l->line_at + i], &f->lines[i]);
	return same;
}

static uint64_t hash_frame(const struct maker *m, const struct frame *f)
{
	uint64_t hash = hash_mix(m->seed ^ f->address, f->mapping);
	for (uint32_t i = 0; i < f->n_lines; i++)
		hash = hash_mix(hash ^ f->lines[i].function,
		                (uint64_t)f->lines[i].line << 20 ^ (uint64_t)f->lines[i].column);
	return hash;
}

static uint32_t add_location(struct maker *m, const struct frame *f, uint64_t hash)
{
	struct profile *p = m->p;
	uint32_t id = (uint32_t)p->locations.n;
	struct profile_line *lines = VEC_GROW(&p->lines, f->n_lines);
	struct profile_location *l = VEC_PUSH(&p->locations);
	if (!lines || !l || idset_add(&m->locations, hash, id)) {
		no_room(m);
		return PROFILE_NONE;
	}
	*l = (struct profile_location){ .mapping = f->mapping, .address = f->address,
		.line_at = (uint32_t)p->lines.n, .n_lines = f->n_lines };
	for (uint32_t i = 0; i < f->n_lines; i++)
		lines[i] = f->lines[i];
	p->lines.n += f->n_lines;
	return id;
}

uint32_t make_location(struct maker *m, const struct frame *f)
{
	if (m->e)
		return PROFILE_NONE;
	uint64_t hash = hash_frame(m, f);
	for (struct idset_probe p = idset_probe(&m->locations, hash); idset_next(&m->locations, &p);)
		if (same_location(m->p, p.id, f))
			return p.id;
	return add_location(m, f, hash);
}

uint32_t make_named(struct maker *m, struct str name, struct str file, int64_t line)
{
	const struct profile_function f = { .name = make_string(m, name), .filename = make_string(m, file) };
	const struct profile_line l = { .function = make_function(m, &f), .line = line };
	return make_location(m, &(struct frame){ .mapping = PROFILE_NONE, .lines = &l, .n_lines = 1 });
}

void make_frame(struct maker *m, uint32_t location)
{
	uint32_t *to = m->e ? NULL : VEC_PUSH(&m->p->locs);
	if (to)
		*to = location;
	else
		no_room(m);
}

static void add_label(struct maker *m, const struct profile_label *l)
{
	struct profile_label *to = m->e ? NULL : VEC_PUSH(&m->p->labels);
	if (to)
		*to = *l;
	else
		no_room(m);
}

void make_label(struct maker *m, struct str key, struct str value)
{
	if (value.len)
		add_label(m, &(struct profile_label){ .key = make_string(m, key), .str = make_string(m, value) });
}

void make_number(struct maker *m, struct str key, int64_t value, struct str unit)
{
	add_label(m, &(struct profile_label){ .key = make_string(m, key), .num = value, .is_num = true,
	                                      .num_unit = make_string(m, unit) });
}

void make_comment(struct maker *m, struct str text)
{
	uint32_t string = make_string(m, text), *to = m->e ? NULL : VEC_PUSH(&m->p->comments);
	if (to)
		*to = string;
	else
		no_room(m);
}

void make_sample(struct maker *m, const int64_t *values)
{
	struct profile *p = m->p;
	int64_t *to = m->e ? NULL : VEC_GROW(&p->values, p->types.n);
	uint32_t *loc_at = VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	if (!to || !loc_at || !label_at || used(m) > m->max_model) {
		no_room(m);
		return;
	}
	memcpy(to, values, p->types.n * sizeof *values);
	p->values.n += p->types.n;
	*loc_at = (uint32_t)p->locs.n;
	*label_at = (uint32_t)p->labels.n;
	p->n_samples++;
}

int make_end(struct maker *m)
{
	if (!m->p->labels.n)
		m->p->label_at.n = 0;
	return m->e;
}
