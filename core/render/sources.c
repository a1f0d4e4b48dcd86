/* SPDX-License-Identifier: MIT */
#include "sources.h"

#include "../base/hash.h"

static struct str function_name(const struct profile *p, const struct profile_function *f)
{
	return profile_str(p, f->name ? f->name : f->system_name);
}

/* Which of the chosen has a name; IDSET_NONE: none. */
static uint32_t find(const struct sources *s, struct str name, uint64_t hash)
{
	for (struct idset_probe at = idset_probe(&s->by_name, hash); idset_next(&s->by_name, &at);)
		if (str_eq(s->chosen.v[at.id].name, name))
			return at.id;
	return IDSET_NONE;
}

const struct profile_function *sources_find(const struct sources *s, struct str name)
{
	uint32_t at = find(s, name, hash_bytes(name.s, name.len));
	return at == IDSET_NONE ? NULL : s->chosen.v[at].function;
}

static bool is_before(const struct profile *p, const struct profile_function *a, const struct profile_function *b)
{
	int c = str_cmp(profile_str(p, a->filename), profile_str(p, b->filename));
	return c ? c < 0 : a->start_line < b->start_line;
}

static int add(struct sources *s, const struct profile_function *f)
{
	struct str name = function_name(s->profile, f);
	uint64_t hash = hash_bytes(name.s, name.len);
	uint32_t at = find(s, name, hash);
	if (at != IDSET_NONE) {
		if (is_before(s->profile, f, s->chosen.v[at].function))
			s->chosen.v[at].function = f;
		return 0;
	}
	struct named_source *to = VEC_PUSH(&s->chosen);
	if (!to)
		return -ENOMEM;
	*to = (struct named_source){ name, f };
	return idset_add(&s->by_name, hash, (uint32_t)(s->chosen.n - 1));
}

int sources_init(struct sources *s, struct query *q, const struct cancel *cancel, struct error *err)
{
	*s = (struct sources){ 0 };
	int e = query_merged(q, cancel, &s->profile, err);
	for (size_t i = 0; e >= 0 && i < s->profile->functions.n; i++)
		e = add(s, &s->profile->functions.v[i]);
	return e;
}

void sources_done(struct sources *s)
{
	idset_done(&s->by_name);
	VEC_DONE(&s->chosen);
}
