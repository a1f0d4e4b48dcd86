/* SPDX-License-Identifier: MIT */
#include "profile.h"

#include <string.h>

/* Arrays that one unusually large profile grew are given back by profile_reset(). */
#define KEEP_BYTES ((size_t)4 << 20)

/* Calls X on every array. */
#define PROFILE_ARRAYS(X)                                                                          \
	X(strings)                                                                                 \
	X(types)                                                                                   \
	X(mappings)                                                                                \
	X(functions)                                                                               \
	X(lines)                                                                                   \
	X(locations)                                                                               \
	X(loc_at)                                                                                  \
	X(locs)                                                                                    \
	X(values)                                                                                  \
	X(label_at)                                                                                \
	X(labels)                                                                                  \
	X(comments)

int profile_init(struct profile *p, size_t max_bytes)
{
	*p = (struct profile){ .arena = ARENA_INIT(max_bytes) };
	struct str *empty = VEC_PUSH(&p->strings);
	if (!empty)
		return -ENOMEM;
	*empty = (struct str){ "", 0 };
	return 0;
}

void profile_done(struct profile *p)
{
#define X(name) VEC_DONE(&p->name);
	PROFILE_ARRAYS(X)
#undef X
	arena_done(&p->arena);
}

void profile_reset(struct profile *p)
{
	struct profile old = *p;
	arena_done(&old.arena);
	*p = (struct profile){ .arena = ARENA_INIT(old.arena.max) };
#define X(name)                                                                                    \
	if (old.name.cap > KEEP_BYTES / sizeof *old.name.v)                                        \
		VEC_DONE(&old.name);                                                               \
	p->name.v = old.name.v;                                                                    \
	p->name.cap = old.name.cap;
	PROFILE_ARRAYS(X)
#undef X
	struct str *empty = VEC_PUSH(&p->strings);
	if (empty)
		*empty = (struct str){ "", 0 };
}

size_t profile_bytes(const struct profile *p)
{
	size_t n = p->arena.used;
#define X(name) n += p->name.cap * sizeof *p->name.v;
	PROFILE_ARRAYS(X)
#undef X
	return n;
}

uint32_t profile_string(struct profile *p, const char *s, size_t n)
{
	char *copy = arena_strndup(&p->arena, s, n);
	struct str *str = copy && p->strings.n < PROFILE_NONE ? VEC_PUSH(&p->strings) : NULL;
	if (!str)
		return PROFILE_NONE;
	*str = (struct str){ copy, n };
	return (uint32_t)(p->strings.n - 1);
}

void profile_warn(struct profile *p, const char *fmt, ...)
{
	if (p->n_warnings++)
		return;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(p->warning, sizeof p->warning, fmt, ap);
	va_end(ap);
}

static int out_of(struct error *err, const char *what, size_t i, const char *field, uint64_t v, size_t n)
{
	return error_set(err, ERR_FORMAT_REFERENCE,
	                 "%s %zu: %s %llu of %zu", what, i, field, (unsigned long long)v, n);
}

static int verify_strings(const struct profile *p, struct error *err)
{
	size_t n = p->strings.n;
	if (!n || p->strings.v[0].len)
		return error_set(err, ERR_FORMAT_REFERENCE, "string 0 is not empty");
	const struct { const char *name; uint32_t v; } singles[] = {
		{ "drop_frames", p->drop_frames }, { "keep_frames", p->keep_frames },
		{ "period type", p->period_type.type }, { "period unit", p->period_type.unit },
		{ "default type", p->default_type }, { "doc_url", p->doc_url }, { "kind", p->kind },
	};
	for (size_t i = 0; i < ARRAY_SIZE(singles); i++)
		if (singles[i].v >= n)
			return out_of(err, singles[i].name, 0, "string", singles[i].v, n);
	for (size_t i = 0; i < p->types.n; i++)
		if (MAX(p->types.v[i].type, p->types.v[i].unit) >= n)
			return out_of(err, "type", i, "string", MAX(p->types.v[i].type, p->types.v[i].unit), n);
	for (size_t i = 0; i < p->comments.n; i++)
		if (p->comments.v[i] >= n)
			return out_of(err, "comment", i, "string", p->comments.v[i], n);
	for (size_t i = 0; i < p->mappings.n; i++)
		if (MAX(p->mappings.v[i].filename, p->mappings.v[i].build_id) >= n)
			return out_of(err, "mapping", i, "string",
			              MAX(p->mappings.v[i].filename, p->mappings.v[i].build_id), n);
	return 0;
}

static int verify_functions(const struct profile *p, struct error *err)
{
	for (size_t i = 0; i < p->functions.n; i++) {
		const struct profile_function *f = &p->functions.v[i];
		uint32_t most = MAX(f->name, MAX(f->system_name, f->filename));
		if (most >= p->strings.n)
			return out_of(err, "function", i, "string", most, p->strings.n);
	}
	for (size_t i = 0; i < p->lines.n; i++) {
		uint32_t f = p->lines.v[i].function;
		if (f >= p->functions.n && f != PROFILE_NONE)
			return out_of(err, "line", i, "function", f, p->functions.n);
	}
	return 0;
}

static int verify_locations(const struct profile *p, struct error *err)
{
	for (size_t i = 0; i < p->locations.n; i++) {
		const struct profile_location *l = &p->locations.v[i];
		if (l->mapping >= p->mappings.n && l->mapping != PROFILE_NONE)
			return out_of(err, "location", i, "mapping", l->mapping, p->mappings.n);
		if (l->n_lines > p->lines.n || l->line_at > p->lines.n - l->n_lines)
			return out_of(err, "location", i, "line", (uint64_t)l->line_at + l->n_lines, p->lines.n);
	}
	return 0;
}

/* at[0 .. n_samples] must rise from 0 to total. */
static int verify_column(const uint32_t *at, size_t n, size_t n_samples, size_t total, const char *name,
                         struct error *err)
{
	if (!n && !n_samples && !total)
		return 0;
	if (n != n_samples + 1 || at[0] || at[n_samples] != total)
		return error_set(err, ERR_FORMAT_REFERENCE,
		                 "the %s column does not fit %zu samples", name, n_samples);
	for (size_t i = 0; i < n_samples; i++)
		if (at[i] > at[i + 1])
			return error_set(err, ERR_FORMAT_REFERENCE,
			                 "sample %zu: its %ss end before they start", i, name);
	return 0;
}

static int verify_locs(const struct profile *p, struct error *err)
{
	uint32_t most = 0;
	for (size_t i = 0; i < p->locs.n; i++)
		most = MAX(most, p->locs.v[i]);
	if (p->locs.n && most >= p->locations.n)
		return out_of(err, "samples of", p->n_samples, "location", most, p->locations.n);
	return 0;
}

static int verify_labels(const struct profile *p, struct error *err)
{
	if (!p->label_at.n && !p->labels.n)
		return 0;
	for (size_t i = 0; i < p->labels.n; i++) {
		const struct profile_label *l = &p->labels.v[i];
		uint32_t most = MAX(l->key, MAX(l->str, l->num_unit));
		if (most >= p->strings.n)
			return out_of(err, "label", i, "string", most, p->strings.n);
	}
	return verify_column(p->label_at.v, p->label_at.n, p->n_samples, p->labels.n, "label", err);
}

int profile_verify(const struct profile *p, struct error *err)
{
	int e = verify_strings(p, err);
	e = e ? e : verify_functions(p, err);
	e = e ? e : verify_locations(p, err);
	e = e ? e : verify_column(p->loc_at.v, p->loc_at.n, p->n_samples, p->locs.n, "location", err);
	e = e ? e : verify_locs(p, err);
	e = e ? e : verify_labels(p, err);
	size_t values;
	if (!e && (!size_mul(p->n_samples, p->types.n, &values) || values != p->values.n))
		e = error_set(err, ERR_FORMAT_REFERENCE, "%zu values for %zu samples of %zu types", p->values.n,
		              p->n_samples, p->types.n);
	return e;
}
