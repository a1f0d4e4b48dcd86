/* SPDX-License-Identifier: MIT */
#pragma once

/* Profiles for tests: made at random with everything that a pprof can say, and told as text so that two can be compared. */

#include "../../core/base/buf.h"
#include "../../core/profile/label.h"
#include "../../core/profile/profile.h"

#include <string.h>

struct rng {
	uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	uint64_t x = r->state ^ r->state >> 29;
	return x * UINT64_C(0xbf58476d1ce4e5b9) ^ x >> 31;
}

static inline uint32_t rng_below(struct rng *r, uint32_t n)
{
	return (uint32_t)(rng_next(r) >> 33) % n;
}

#define PUSH(vec, ...) (*VEC_PUSH(vec) = (__VA_ARGS__))

static inline uint32_t text(struct profile *p, const char *s)
{
	return *s ? profile_string(p, s, strlen(s)) : 0;
}

static inline uint32_t textf(struct profile *p, const char *fmt, uint32_t n)
{
	char s[64];
	snprintf(s, sizeof s, fmt, n);
	return text(p, s);
}

/* Random, of everything: mappings that overlap, locations outside of them, equal locations, unused tables, odd values. */
static inline void random_profile(struct profile *p, struct rng *r)
{
	uint32_t n_types = 1 + rng_below(r, 3), n_maps = rng_below(r, 4), n_funcs = 1 + rng_below(r, 20);
	for (uint32_t t = 0; t < n_types; t++)
		PUSH(&p->types, (struct value_type){ textf(p, "type%u", t), text(p, t ? "bytes" : "count") });
	for (uint32_t i = 0; i < n_maps; i++) {
		uint64_t start = 0x1000 * (1 + rng_below(r, 16));
		PUSH(&p->mappings, (struct profile_mapping){
			start, rng_below(r, 4) ? start + 0x4000 : 0, rng_below(r, 2) * 0x1000,
			rng_below(r, 5) ? textf(p, "/lib/lib%u.so", rng_below(r, 2)) : 0,
			rng_below(r, 2) ? textf(p, "build%u", rng_below(r, 2)) : 0, (uint8_t)rng_below(r, 16) });
	}
	for (uint32_t i = 0; i < n_funcs; i++)
		PUSH(&p->functions, (struct profile_function){
			textf(p, "pkg.func%u", rng_below(r, 15)), rng_below(r, 2) ? textf(p, "_Zf%u", rng_below(r, 9)) : 0,
			textf(p, "file%u.go", rng_below(r, 3)), (int64_t)rng_below(r, 100) });
	uint32_t n_locs = 1 + rng_below(r, 30);
	for (uint32_t i = 0; i < n_locs; i++) {
		uint32_t n_lines = rng_below(r, 4), at = (uint32_t)p->lines.n;
		for (uint32_t k = 0; k < n_lines; k++)
			PUSH(&p->lines, (struct profile_line){ rng_below(r, 9) ? rng_below(r, n_funcs) : PROFILE_NONE,
				(int64_t)rng_below(r, 50) - 2, (int64_t)rng_below(r, 3) });
		PUSH(&p->locations, (struct profile_location){
			n_maps && rng_below(r, 4) ? rng_below(r, n_maps) : PROFILE_NONE, rng_below(r, 9) == 0,
			rng_below(r, 3) ? 0x1000 * rng_below(r, 24) : 0, at, n_lines });
	}
	uint32_t n = rng_below(r, 60);
	bool labels = rng_below(r, 2);
	PUSH(&p->loc_at, 0);
	if (labels)
		PUSH(&p->label_at, 0);
	for (uint32_t i = 0; i < n; i++) {
		for (uint32_t k = rng_below(r, 6); k > 0; k--)
			PUSH(&p->locs, rng_below(r, n_locs));
		for (uint32_t t = 0; t < n_types; t++)
			PUSH(&p->values, rng_below(r, 20) ? (int64_t)rng_below(r, 9) * 1000 - 2000
			                                  : (int64_t)rng_next(r));
		for (uint32_t k = labels ? rng_below(r, 3) : 0; k > 0; k--) {
			struct profile_label l = { .key = textf(p, "key%u", rng_below(r, 3)) };
			l.is_num = rng_below(r, 2);
			if (l.is_num) {
				l.num = (int64_t)rng_below(r, 5) - 2;
				l.num_unit = rng_below(r, 2) ? text(p, "bytes") : 0;
			} else {
				l.str = textf(p, "value%u", rng_below(r, 5));
			}
			PUSH(&p->labels, l);
		}
		PUSH(&p->loc_at, (uint32_t)p->locs.n);
		if (labels)
			PUSH(&p->label_at, (uint32_t)p->labels.n);
		p->n_samples++;
	}
	p->time_ns = 1700000000000000000 + (int64_t)rng_below(r, 1000000) * 1000000;
	p->duration_ns = (int64_t)rng_below(r, 3) * 10000000000;
	p->period_type = (struct value_type){ text(p, "cpu"), text(p, "nanoseconds") };
	p->period = rng_below(r, 100);
	p->drop_frames = rng_below(r, 2) ? text(p, "drop.*") : 0;
	p->keep_frames = rng_below(r, 2) ? text(p, "keep.*") : 0;
	p->default_type = rng_below(r, 2) ? text(p, "type0") : 0;
	p->doc_url = rng_below(r, 2) ? text(p, "https://example.org/") : 0;
	for (uint32_t k = rng_below(r, 3); k > 0; k--)
		PUSH(&p->comments, text(p, "a comment"));
}

static inline void tell_location(const struct profile *p, uint32_t i, struct buf *b)
{
	const struct profile_location *l = &p->locations.v[i];
	buf_printf(b, "[0x%llx m%d f%d", (unsigned long long)l->address, (int)l->mapping, l->is_folded);
	for (uint32_t k = 0; k < l->n_lines; k++) {
		const struct profile_line *line = &p->lines.v[l->line_at + k];
		buf_printf(b, " %lld:%lld", (long long)line->line, (long long)line->column);
		if (line->function == PROFILE_NONE)
			continue;
		const struct profile_function *f = &p->functions.v[line->function];
		struct str s[] = { profile_str(p, f->name), profile_str(p, f->system_name), profile_str(p, f->filename) };
		buf_printf(b, "(%.*s %.*s %.*s %lld)", (int)s[0].len, s[0].s, (int)s[1].len, s[1].s, (int)s[2].len, s[2].s,
		           (long long)f->start_line);
	}
	buf_puts(b, "]");
}

static inline void tell_sample(const struct profile *p, size_t i, struct buf *b)
{
	for (size_t t = 0; t < p->types.n; t++)
		buf_printf(b, "%lld ", (long long)p->values.v[i * p->types.n + t]);
	for (uint32_t k = p->loc_at.v[i]; k < p->loc_at.v[i + 1]; k++)
		tell_location(p, p->locs.v[k], b);
	for (uint32_t k = p->label_at.n ? p->label_at.v[i] : 0; p->label_at.n && k < p->label_at.v[i + 1]; k++) {
		const struct profile_label *l = &p->labels.v[k];
		struct str s[] = { profile_str(p, l->key), profile_str(p, l->str), profile_str(p, l->num_unit) };
		buf_printf(b, " {%.*s %d %.*s %lld %.*s}", (int)s[0].len, s[0].s, l->is_num, (int)s[1].len, s[1].s,
		           (long long)l->num, (int)s[2].len, s[2].s);
	}
}

static inline int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the '\n'-terminated lines of b from `from` on. */
static inline void sort_lines(struct buf *b, size_t from)
{
	size_t n = 0;
	char **lines = calloc(b->len - from + 1, sizeof *lines), *copy = strndup((char *)b->data + from, b->len - from);
	for (char *s = strtok(copy, "\n"); s; s = strtok(NULL, "\n"))
		lines[n++] = s;
	qsort(lines, n, sizeof *lines, compare_lines);
	b->len = from;
	for (size_t i = 0; i < n; i++) {
		if (i && !strncmp(lines[i], "function ", 9) && !strcmp(lines[i], lines[i - 1]))
			continue; /* equal entries of a table are one */
		buf_puts(b, lines[i]);
		buf_putc(b, '\n');
	}
	free(copy);
	free(lines);
}

/* All that a profile says, without order and ids. */
static inline void tell_profile(const struct profile *p, struct buf *b)
{
	struct str s[] = { profile_str(p, p->drop_frames),  profile_str(p, p->keep_frames), profile_str(p, p->default_type),
		           profile_str(p, p->doc_url),      profile_str(p, p->period_type.type),
		           profile_str(p, p->period_type.unit) };
	buf_printf(b, "time %lld duration %lld period %lld", (long long)p->time_ns, (long long)p->duration_ns,
	           (long long)p->period);
	for (size_t i = 0; i < ARRAY_SIZE(s); i++)
		buf_printf(b, " <%.*s>", (int)s[i].len, s[i].s);
	for (size_t i = 0; i < p->comments.n; i++)
		buf_printf(b, " #%.*s", (int)profile_str(p, p->comments.v[i]).len, profile_str(p, p->comments.v[i]).s);
	for (size_t i = 0; i < p->types.n; i++) {
		struct str t = profile_str(p, p->types.v[i].type), u = profile_str(p, p->types.v[i].unit);
		buf_printf(b, " %.*s/%.*s", (int)t.len, t.s, (int)u.len, u.s);
	}
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct profile_mapping *m = &p->mappings.v[i];
		struct str f = profile_str(p, m->filename), id = profile_str(p, m->build_id);
		buf_printf(b, "\nmapping %zu %llx %llx %llx %.*s %.*s %u", i, (unsigned long long)m->start,
		           (unsigned long long)m->limit, (unsigned long long)m->offset, (int)f.len, f.s, (int)id.len, id.s, m->flags);
	}
	buf_puts(b, "\n");
	size_t from = b->len;
	for (size_t i = 0; i < p->n_samples; i++) {
		tell_sample(p, i, b);
		buf_puts(b, "\n");
	}
	for (uint32_t i = 0; i < p->locations.n; i++) {
		buf_puts(b, "location ");
		tell_location(p, i, b);
		buf_puts(b, "\n");
	}
	for (uint32_t i = 0; i < p->functions.n; i++) {
		struct str name = profile_str(p, p->functions.v[i].name);
		buf_printf(b, "function %.*s\n", (int)name.len, name.s);
	}
	sort_lines(b, from);
	buf_u8(b, 0);
}
