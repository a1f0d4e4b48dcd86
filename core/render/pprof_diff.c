/* SPDX-License-Identifier: MIT */
#include "pprof_diff.h"

#include "../query/diff.h"

/* A string of `from` in p; the copy's number in the map. */
static uint32_t copy_string(struct profile *p, const struct profile *from, uint32_t *map, uint32_t i)
{
	if (i >= from->strings.n || !i)
		return 0;
	if (map[i] == PROFILE_NONE)
		map[i] = profile_string(p, from->strings.v[i].s, from->strings.v[i].len);
	return map[i];
}

/* Where the tables of a profile begin in the one that they were added to. */
struct base {
	uint32_t mappings, functions, lines, locations;
	uint32_t *strings;
};

static int add_mappings(struct profile *p, const struct profile *from, const struct base *b)
{
	struct profile_mapping *to = VEC_GROW(&p->mappings, from->mappings.n + 1);
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < from->mappings.n; i++) {
		to[i] = from->mappings.v[i];
		to[i].filename = copy_string(p, from, b->strings, to[i].filename);
		to[i].build_id = copy_string(p, from, b->strings, to[i].build_id);
	}
	p->mappings.n += from->mappings.n;
	return 0;
}

static int add_functions(struct profile *p, const struct profile *from, const struct base *b)
{
	struct profile_function *to = VEC_GROW(&p->functions, from->functions.n + 1);
	if (!to)
		return -ENOMEM;
	for (size_t i = 0; i < from->functions.n; i++) {
		to[i] = from->functions.v[i];
		to[i].name = copy_string(p, from, b->strings, to[i].name);
		to[i].system_name = copy_string(p, from, b->strings, to[i].system_name);
		to[i].filename = copy_string(p, from, b->strings, to[i].filename);
	}
	p->functions.n += from->functions.n;
	return 0;
}

static int add_locations(struct profile *p, const struct profile *from, const struct base *b)
{
	struct profile_line *lines = VEC_GROW(&p->lines, from->lines.n + 1);
	struct profile_location *to = VEC_GROW(&p->locations, from->locations.n + 1);
	if (!lines || !to)
		return -ENOMEM;
	for (size_t i = 0; i < from->lines.n; i++) {
		lines[i] = from->lines.v[i];
		if (lines[i].function != PROFILE_NONE)
			lines[i].function += b->functions;
	}
	for (size_t i = 0; i < from->locations.n; i++) {
		to[i] = from->locations.v[i];
		to[i].line_at += b->lines;
		if (to[i].mapping != PROFILE_NONE)
			to[i].mapping += b->mappings;
	}
	p->lines.n += from->lines.n;
	p->locations.n += from->locations.n;
	return 0;
}

/* How the values of one side go into the difference. */
struct side {
	const struct profile *from;
	uint32_t column;
	const struct call_diff *diff; /* of the baseline: its values are taken away, and labelled */
	uint32_t key, value;          /* that label */
};

static int add_label(struct profile *p, const struct side *s)
{
	uint32_t *end = VEC_PUSH(&p->label_at);
	struct profile_label *label = s->diff ? VEC_PUSH(&p->labels) : NULL;
	if (!end || (s->diff && !label))
		return -ENOMEM;
	if (label)
		*label = (struct profile_label){ .key = s->key, .str = s->value };
	*end = (uint32_t)p->labels.n;
	return 0;
}

static int add_sample(struct profile *p, const struct side *s, const struct base *b, size_t i, int64_t value)
{
	const struct profile *from = s->from;
	size_t n = from->loc_at.v[i + 1] - from->loc_at.v[i];
	uint32_t *locs = VEC_GROW(&p->locs, n + 1), *end = VEC_PUSH(&p->loc_at);
	int64_t *to = VEC_PUSH(&p->values);
	if (!locs || !end || !to)
		return -ENOMEM;
	for (size_t k = 0; k < n; k++)
		locs[k] = from->locs.v[from->loc_at.v[i] + k] + b->locations;
	p->locs.n += n;
	*end = (uint32_t)p->locs.n;
	*to = value;
	p->n_samples++;
	return add_label(p, s);
}

static int add_samples(struct profile *p, const struct side *s, const struct base *b)
{
	const struct profile *from = s->from;
	int e = 0;
	for (size_t i = 0; i < from->n_samples && !e; i++) {
		int64_t value = from->values.v[i * from->types.n + s->column];
		if (s->diff)
			value = sub_wrapping(0, diff_before(s->diff, value));
		if (value)
			e = add_sample(p, s, b, i, value);
	}
	return e;
}

static int add_side(struct profile *p, const struct side *s)
{
	struct base b = { (uint32_t)p->mappings.n, (uint32_t)p->functions.n, (uint32_t)p->lines.n,
		          (uint32_t)p->locations.n, malloc((s->from->strings.n + 1) * sizeof *b.strings) };
	if (!b.strings)
		return -ENOMEM;
	for (size_t i = 0; i <= s->from->strings.n; i++)
		b.strings[i] = PROFILE_NONE;
	int e = add_mappings(p, s->from, &b);
	if (!e)
		e = add_functions(p, s->from, &b);
	if (!e)
		e = add_locations(p, s->from, &b);
	if (!e)
		e = add_samples(p, s, &b);
	free(b.strings);
	return e;
}

/* The selected type's column in a merged profile. */
static uint32_t column_of(const struct profile *p)
{
	for (uint32_t i = 0; i < p->types.n; i++)
		if (p->types.v[i].type && str_eq(profile_str(p, p->types.v[i].type), profile_str(p, p->default_type)))
			return i;
	return 0;
}

static int begin(struct profile *p, const struct profile *after, uint32_t column)
{
	struct value_type *type = VEC_PUSH(&p->types);
	uint32_t *loc_at = p->loc_at.n ? p->loc_at.v : VEC_PUSH(&p->loc_at), *label_at = VEC_PUSH(&p->label_at);
	struct str name = profile_str(after, after->types.v[column].type);
	struct str unit = profile_str(after, after->types.v[column].unit);
	if (!type || !loc_at || !label_at)
		return -ENOMEM;
	*loc_at = *label_at = 0;
	*type = (struct value_type){ profile_string(p, name.s, name.len), profile_string(p, unit.s, unit.len) };
	p->time_ns = after->time_ns;
	p->duration_ns = after->duration_ns;
	return 0;
}

int pprof_diff(struct query *q, const struct cancel *cancel, struct profile *ret, struct error *err)
{
	const struct profile *before, *after;
	const struct call_diff *diff;
	int e = query_merged(q, cancel, &after, err);
	if (e >= 0)
		e = query_merged(query_baseline(q), cancel, &before, err);
	if (e >= 0)
		e = query_diff(q, cancel, &diff, err);
	if (e < 0)
		return e;
	struct side sides[] = { { after, column_of(after) }, { before, column_of(before), diff } };
	e = begin(ret, after, sides[0].column);
	sides[1].key = profile_string(ret, "pprof::base", 11);
	sides[1].value = profile_string(ret, "true", 4);
	for (size_t i = 0; i < ARRAY_SIZE(sides) && !e; i++)
		e = add_side(ret, &sides[i]);
	return e;
}
