/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>
#include <string.h>

#include "corpus.h"
#include "core/profile/label.h"

struct slice corpus_read(const char *dir, const char *file)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", dir, file);
	_fclose_ FILE *f = fopen(path, "rbe");
	if (!f)
		fail_msg("cannot open %s", path);
	struct buf b = BUF_INIT(64 << 20);
	for (;;) {
		uint8_t *room = buf_reserve(&b, 64 << 10);
		assert_non_null(room);
		size_t n = fread(room, 1, 64 << 10, f);
		b.len += n;
		if (!n)
			return buf_slice(&b);
	}
}

static bool same(const char *file, const char *what, const json_t *expected, int64_t found)
{
	if (!json_is_integer(expected) || json_integer_value(expected) == found)
		return true;
	print_error("%s: %s is %lld, expected %lld\n", file, what, (long long)found,
	            (long long)json_integer_value(expected));
	return false;
}

static bool same_str(const char *file, const char *what, const json_t *expected, struct str found)
{
	if (!json_is_string(expected))
		return true;
	struct str s = { json_string_value(expected), json_string_length(expected) };
	if (str_eq(s, found))
		return true;
	print_error("%s: %s is \"%.*s\", expected \"%s\"\n", file, what, (int)found.len, found.s, s.s);
	return false;
}

static size_t depth_of(const struct profile *p, size_t sample)
{
	return p->loc_at.v[sample + 1] - p->loc_at.v[sample];
}

static size_t max_depth(const struct profile *p)
{
	size_t most = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		most = MAX(most, depth_of(p, i));
	return most;
}

static size_t count_locations(const struct profile *p, bool inlined)
{
	size_t n = 0;
	for (size_t i = 0; i < p->locations.n; i++)
		n += inlined ? p->locations.v[i].n_lines > 1 : !p->locations.v[i].n_lines;
	return n;
}

static bool is_address(struct str s)
{
	return s.len > 2 && s.s[0] == '0' && s.s[1] == 'x';
}

/* Whether a frame has this name: a function's, or the address. */
static bool location_is(const struct profile *p, uint32_t location, size_t line, struct str name)
{
	const struct profile_location *l = &p->locations.v[location];
	char address[32];
	if (!l->n_lines || (is_address(name) && l->address))
		return str_eq(name, (struct str){ address, (size_t)snprintf(address, sizeof address, "0x%llx",
		                                                            (unsigned long long)l->address) });
	uint32_t f = p->lines.v[l->line_at + line].function;
	return str_eq(name, profile_str(p, p->functions.v[f].name));
}

static bool stack_has(const struct profile *p, size_t sample, struct str name)
{
	for (size_t i = p->loc_at.v[sample]; i < p->loc_at.v[sample + 1]; i++)
		for (size_t line = 0; line < MAX(p->locations.v[p->locs.v[i]].n_lines, 1u); line++)
			if (location_is(p, p->locs.v[i], line, name))
				return true;
	return false;
}

static int64_t value_of(const struct profile *p, size_t type, struct str name, bool cumulative)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < p->n_samples; i++) {
		bool counts = cumulative ? stack_has(p, i, name)
		                         : depth_of(p, i) && location_is(p, p->locs.v[p->loc_at.v[i]], 0, name);
		sum += counts ? (uint64_t)p->values.v[i * p->types.n + type] : 0;
	}
	return (int64_t)sum;
}

static int64_t total_of(const struct profile *p, size_t type)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		sum += (uint64_t)p->values.v[i * p->types.n + type];
	return (int64_t)sum;
}

static size_t count_values(const struct profile *p, size_t type, bool negative)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_samples; i++) {
		int64_t v = p->values.v[i * p->types.n + type];
		n += negative ? v < 0 : v != 0;
	}
	return n;
}

/* A list of {name, flat, cum} or of [name, value]. */
static bool check_top(const struct profile *p, size_t type, const json_t *top, bool cumulative, const char *file)
{
	bool ok = true;
	for (size_t i = 0; i < json_array_size(top); i++) {
		const json_t *e = json_array_get(top, i);
		const json_t *name = json_is_array(e) ? json_array_get(e, 0) : json_object_get(e, "name");
		struct str s = { json_string_value(name), json_string_length(name) };
		const json_t *flat = json_object_get(e, "flat"), *cum = json_object_get(e, "cum");
		if (json_is_array(e))
			*(cumulative ? &cum : &flat) = json_array_get(e, 1);
		if (flat)
			ok &= same(file, s.s, flat, value_of(p, type, s, false));
		if (cum)
			ok &= same(file, s.s, cum, value_of(p, type, s, true));
	}
	return ok;
}

/* {name: value} */
static bool check_map(const struct profile *p, const json_t *map, bool cumulative, const char *file)
{
	bool ok = true;
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)map, name, value)
		ok &= same(file, name, value, value_of(p, p->types.n - 1, str_of(name), cumulative));
	return ok;
}

static bool check_types(const struct profile *p, const json_t *types, const char *file)
{
	if (!json_is_array(types))
		return true;
	bool ok = json_array_size(types) == p->types.n;
	if (!ok)
		print_error("%s: %zu types, expected %zu\n", file, p->types.n, json_array_size(types));
	for (size_t i = 0; ok && i < p->types.n; i++) {
		const json_t *t = json_array_get(types, i);
		ok &= same_str(file, "type", json_object_get(t, "type"), profile_str(p, p->types.v[i].type));
		ok &= same_str(file, "unit", json_object_get(t, "unit"), profile_str(p, p->types.v[i].unit));
		ok &= same(file, "total", json_object_get(t, "total"), total_of(p, i));
		ok &= same(file, "non-zero", json_object_get(t, "nonzero_samples"), (int64_t)count_values(p, i, false));
		ok &= same(file, "negative", json_object_get(t, "negative_samples"), (int64_t)count_values(p, i, true));
		ok &= check_top(p, i, json_object_get(t, "top_flat"), false, file);
		ok &= check_top(p, i, json_object_get(t, "top_cum"), true, file);
	}
	return ok;
}

static bool check_mappings(const struct profile *p, const json_t *list, const char *file)
{
	bool ok = true;
	for (size_t i = 0; i < MIN(json_array_size(list), p->mappings.n); i++) {
		const struct profile_mapping *m = &p->mappings.v[i];
		struct str name = profile_str(p, m->filename), id = profile_str(p, m->build_id);
		_buf_ struct buf b = BUF_INIT(1 << 16);
		buf_printf(&b, "%.*s build_id=%.*s [%llx,%llx)", (int)name.len, name.s, (int)id.len, id.s,
		           (unsigned long long)m->start, (unsigned long long)m->limit);
		ok &= same_str(file, "mapping", json_array_get(list, i), (struct str){ (char *)b.data, b.len });
	}
	return ok;
}

static int compare_labels(const void *a, const void *b, void *profile)
{
	const struct profile_label *x = a, *y = b;
	int r = str_cmp(profile_str(profile, x->str), profile_str(profile, y->str));
	return r ? r : CMP(x->num, y->num);
}

/* The number of values that one key has. Numbers 0 without a unit do not exist for the other reader. */
static size_t distinct_labels(const struct profile *p, struct str key, bool numeric)
{
	VEC(struct profile_label) found = { 0 };
	for (size_t i = 0; i < p->labels.n; i++) {
		const struct profile_label *l = &p->labels.v[i];
		if (l->is_num == numeric && str_eq(profile_str(p, l->key), key) && (!numeric || l->num || l->num_unit))
			*VEC_PUSH(&found) = *l;
	}
	if (found.n)
		qsort_r(found.v, found.n, sizeof *found.v, compare_labels, (void *)p);
	size_t n = found.n != 0;
	for (size_t i = 1; i < found.n; i++)
		n += compare_labels(&found.v[i - 1], &found.v[i], (void *)p) != 0;
	VEC_DONE(&found);
	return n;
}

static bool check_labels(const struct profile *p, const json_t *labels, const char *file)
{
	bool ok = true;
	const char *key;
	json_t *count;
	json_object_foreach((json_t *)labels, key, count) {
		struct str s = str_of(key);
		bool numeric = s.len > 6 && !memcmp(s.s + s.len - 6, " (num)", 6);
		s.len -= numeric ? 6 : 0;
		ok &= same(file, key, count, (int64_t)distinct_labels(p, s, numeric));
	}
	return ok;
}

bool corpus_check(const struct profile *p, const json_t *facts, const char *file)
{
	const struct { const char *name; int64_t found; } numbers[] = {
		{ "samples", (int64_t)p->n_samples }, { "lines", (int64_t)p->n_samples },
		{ "locations", (int64_t)p->locations.n }, { "functions", (int64_t)p->functions.n },
		{ "mappings", (int64_t)p->mappings.n }, { "max_depth", (int64_t)max_depth(p) },
		{ "total", total_of(p, p->types.n - 1) }, { "comments", (int64_t)p->comments.n },
		{ "period", p->period }, { "time_nanos", p->time_ns }, { "duration_nanos", p->duration_ns },
		{ "inlined_locations", (int64_t)count_locations(p, true) },
		{ "unsymbolized_locations", (int64_t)count_locations(p, false) },
	};
	bool ok = true;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		ok &= same(file, numbers[i].name, json_object_get(facts, numbers[i].name), numbers[i].found);
	const json_t *period = json_object_get(facts, "period_type");
	ok &= same_str(file, "period type", json_array_get(period, 0), profile_str(p, p->period_type.type));
	ok &= same_str(file, "period unit", json_array_get(period, 1), profile_str(p, p->period_type.unit));
	ok &= same_str(file, "doc_url", json_object_get(facts, "doc_url"), profile_str(p, p->doc_url));
	ok &= same_str(file, "default type", json_object_get(facts, "default_sample_type"), profile_str(p, p->default_type));
	ok &= check_types(p, json_object_get(facts, "sample_types"), file);
	ok &= check_mappings(p, json_object_get(facts, "mappings_first3"), file);
	ok &= check_labels(p, json_object_get(facts, "labels_distinct"), file);
	ok &= check_map(p, json_object_get(facts, "flat"), false, file);
	ok &= check_map(p, json_object_get(facts, "cum"), true, file);
	ok &= check_top(p, p->types.n - 1, json_object_get(facts, "top_flat"), false, file);
	return check_top(p, p->types.n - 1, json_object_get(facts, "top_cum"), true, file) && ok;
}
