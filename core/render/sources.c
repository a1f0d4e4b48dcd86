/* SPDX-License-Identifier: MIT */
#include "sources.h"

#include "../base/hash.h"

static struct str function_name(const struct profile *p, const struct profile_function *f)
{
	return profile_str(p, f->name ? f->name : f->system_name);
}

/* The slot of a name's function, or NULL. */
static uint32_t find(const struct sources *s, struct str name)
{
	uint64_t hash = hash_bytes(name.s, name.len);
	for (struct idset_probe at = idset_probe(&s->by_name, hash); idset_next(&s->by_name, &at);)
		if (str_eq(function_name(s->profile, &s->profile->functions.v[at.id]), name))
			return at.id;
	return IDSET_NONE;
}

const struct profile_function *sources_find(const struct sources *s, struct str name)
{
	uint32_t at = find(s, name);
	return at == IDSET_NONE ? NULL : &s->profile->functions.v[at];
}

struct by_place {
	struct str name, file;
	int64_t line;
	uint32_t at;
};

static int by_place_cmp(const void *a, const void *b)
{
	const struct by_place *l = a, *r = b;
	int c = str_cmp(l->name, r->name);
	if (!c)
		c = str_cmp(l->file, r->file);
	return c ? c : CMP(l->line, r->line);
}

/* The first of each name goes in. */
static int add_sorted(struct sources *s, struct by_place *v, size_t n)
{
	qsort(v, n, sizeof *v, by_place_cmp);
	int e = 0;
	for (size_t i = 0; i < n && e >= 0; i++)
		if (!i || !str_eq(v[i].name, v[i - 1].name))
			e = idset_add(&s->by_name, hash_bytes(v[i].name.s, v[i].name.len), v[i].at);
	return e;
}

int sources_init(struct sources *s, struct query *q, const struct cancel *cancel, struct error *err)
{
	*s = (struct sources){ 0 };
	int e = query_merged(q, cancel, &s->profile, err);
	if (e < 0)
		return e;
	const struct profile *p = s->profile;
	_free_ struct by_place *v = calloc(p->functions.n + 1, sizeof *v);
	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < p->functions.n; i++) {
		const struct profile_function *f = &p->functions.v[i];
		v[i] = (struct by_place){ function_name(p, f), profile_str(p, f->filename), f->start_line,
			                  (uint32_t)i };
	}
	return add_sorted(s, v, p->functions.n);
}

void sources_done(struct sources *s)
{
	idset_done(&s->by_name);
}
