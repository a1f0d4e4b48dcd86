/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Databases in memory for query tests. A profile is told as text, a line per sample: frames root first, a value per
 * type, then labels:
 *
 *     main;work;hash 10 2000 route=/a,bytes=#512
 *
 * A frame "0x1f@lib.so" is an address without symbols, "name@file.go:12" a line of a file.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "../../../core/format/format.h"
#include "../../../core/query/query.h"

#define SECOND NS_PER_S
#define MINUTE NS_PER_MIN
#define HOUR NS_PER_HOUR
#define T0 (INT64_C(1795348800) * NS_PER_S) /* 2026-11-22T12:00:00Z */
#define LIMIT ((size_t)1 << 28)

struct fixture {
	struct store *store;
	struct db *db;
};

/* How a profile is written. */
struct spec {
	const char *service, *labels; /* "region=eu,pod=a" */
	bool of_path;                 /* the labels are of the path, not as sent */
	int64_t time, duration;
	const char *types; /* "samples/count,cpu/nanoseconds" */
	const char *kind, *default_type;
	enum temporality temporality;
	const char *samples;
	const char *comment;
	bool apart; /* equal frames are locations of their own, told apart by ordinals */
};

static inline void setup(struct fixture *f)
{
	struct error err = { 0 };
	assert_int_equal(store_mem_new(&f->store), 0);
	assert_int_equal(db_open(f->store, &(struct db_options){ .threads = 2 }, &f->db, &err), 0);
}

static inline void teardown(struct fixture *f)
{
	db_close(f->db);
	store_free(f->store);
}

#define PUSH(vec, ...) (*VEC_PUSH(vec) = (__VA_ARGS__))

static inline uint32_t text_n(struct profile *p, const char *s, size_t n)
{
	return n ? profile_string(p, s, n) : 0;
}

static inline uint32_t text(struct profile *p, const char *s)
{
	return s ? text_n(p, s, strlen(s)) : 0;
}

static inline uint32_t add_address(struct profile *p, const char *s, const char *at)
{
	uint32_t filename = text(p, at + 1), mapping = 0;
	while (mapping < p->mappings.n && !str_eq(profile_str(p, p->mappings.v[mapping].filename), str_of(at + 1)))
		mapping++;
	if (mapping == p->mappings.n)
		PUSH(&p->mappings, (struct profile_mapping){ 0x1000, 0x100000, 0, filename, 0, 0 });
	PUSH(&p->locations, (struct profile_location){ mapping, false, 0x1000 + strtoull(s, NULL, 16),
		                                       (uint32_t)p->lines.n, 0 });
	return (uint32_t)p->locations.n - 1;
}

static inline bool same_line(const struct profile *p, uint32_t a, uint32_t b)
{
	const struct profile_line *x = &p->lines.v[a], *y = &p->lines.v[b];
	const struct profile_function *f = &p->functions.v[x->function], *g = &p->functions.v[y->function];
	return x->line == y->line && str_eq(profile_str(p, f->name), profile_str(p, g->name)) &&
	       str_eq(profile_str(p, f->filename), profile_str(p, g->filename));
}

static inline bool same_location(const struct profile *p, uint32_t a, uint32_t b)
{
	const struct profile_location *x = &p->locations.v[a], *y = &p->locations.v[b];
	if (x->mapping != y->mapping || x->address != y->address || x->n_lines != y->n_lines)
		return false;
	for (uint32_t i = 0; i < x->n_lines; i++)
		if (!same_line(p, x->line_at + i, y->line_at + i))
			return false;
	return true;
}

/* The last location, or an earlier one that is equal: then the last one goes. */
static inline uint32_t share_location(struct profile *p, uint32_t last)
{
	for (uint32_t i = 0; i < last; i++) {
		if (!same_location(p, i, last))
			continue;
		p->lines.n -= p->locations.v[last].n_lines;
		p->functions.n -= p->locations.v[last].n_lines;
		p->locations.n--;
		return i;
	}
	return last;
}

/* A location of one line, or of several: "inner<outer". */
static inline uint32_t add_location(struct profile *p, char *frame)
{
	char *at = strchr(frame, '@');
	if (!strncmp(frame, "0x", 2) && at)
		return add_address(p, frame, at);
	uint32_t first = (uint32_t)p->lines.n, n = 0;
	for (char *save, *one = strtok_r(frame, "<", &save); one; one = strtok_r(NULL, "<", &save), n++) {
		char *file = strchr(one, '@'), *line = file ? strchr(file, ':') : NULL;
		size_t name = file ? (size_t)(file - one) : strlen(one);
		PUSH(&p->functions, (struct profile_function){
			text_n(p, one, name), 0,
			file ? text_n(p, file + 1, line ? (size_t)(line - file - 1) : strlen(file + 1)) : 0, 0 });
		PUSH(&p->lines, (struct profile_line){ (uint32_t)p->functions.n - 1, line ? atoi(line + 1) : 0, 0 });
	}
	PUSH(&p->locations, (struct profile_location){ PROFILE_NONE, false, 0, first, n });
	return (uint32_t)p->locations.n - 1;
}

static inline void add_label(struct profile *p, char *label)
{
	char *value = strchr(label, '=');
	*value++ = '\0';
	struct profile_label l = { .key = text(p, label), .is_num = *value == '#' };
	if (l.is_num)
		l.num = atoll(value + 1);
	else
		l.str = text(p, value);
	PUSH(&p->labels, l);
}

static inline void add_sample(struct profile *p, char *line, bool apart)
{
	char *save = NULL, *inner = NULL, *stack = strtok_r(line, " ", &save);
	uint32_t from = (uint32_t)p->locs.n;
	if (strcmp(stack, "-") != 0)
		for (char *frame = strtok_r(stack, ";", &inner); frame; frame = strtok_r(NULL, ";", &inner)) {
			uint32_t location = add_location(p, frame);
			if (!apart)
				location = share_location(p, location);
			PUSH(&p->locs, location);
		}
	for (size_t i = from, k = p->locs.n; i + 1 < k; i++) { /* leaf first */
		uint32_t swap = p->locs.v[i];
		p->locs.v[i] = p->locs.v[--k];
		p->locs.v[k] = swap;
	}
	for (size_t t = 0; t < p->types.n; t++)
		PUSH(&p->values, strtoll(strtok_r(NULL, " ", &save), NULL, 10));
	char *labels = strtok_r(NULL, " ", &save);
	for (char *l = labels ? strtok_r(labels, ",", &inner) : NULL; l; l = strtok_r(NULL, ",", &inner))
		add_label(p, l);
	PUSH(&p->loc_at, (uint32_t)p->locs.n);
	PUSH(&p->label_at, (uint32_t)p->labels.n);
	p->n_samples++;
}

static inline void make_profile(struct profile *p, const struct spec *s)
{
	char types[256], *save = NULL, *samples = strdup(s->samples);
	assert_int_equal(profile_init(p, LIMIT), 0);
	snprintf(types, sizeof types, "%s", s->types ? s->types : "cpu/nanoseconds");
	for (char *t = strtok_r(types, ",", &save); t; t = strtok_r(NULL, ",", &save)) {
		char *unit = strchr(t, '/');
		PUSH(&p->types, (struct value_type){ text_n(p, t, (size_t)(unit - t)), text(p, unit + 1) });
	}
	PUSH(&p->loc_at, 0);
	PUSH(&p->label_at, 0);
	for (char *line = strtok_r(samples, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		add_sample(p, line, s->apart);
	free(samples);
	p->time_ns = s->time;
	p->duration_ns = s->duration;
	p->kind = text(p, s->kind);
	p->default_type = text(p, s->default_type);
	p->temporality = s->temporality;
	if (s->comment)
		PUSH(&p->comments, text(p, s->comment));
}

static inline size_t split_labels(char *text, struct label *ret)
{
	size_t n = 0;
	char *save = NULL;
	for (char *l = strtok_r(text, ",", &save); l; l = strtok_r(NULL, ",", &save)) {
		char *value = strchr(l, '=');
		*value++ = '\0';
		ret[n++] = (struct label){ str_of(l), str_of(value) };
	}
	return n;
}

/* Writes n profiles in one call: one segment. */
static inline void write_specs(struct fixture *f, const struct spec *const *specs, size_t n)
{
	struct profile *profiles = calloc(n, sizeof *profiles);
	struct db_write *writes = calloc(n, sizeof *writes);
	char (*labels)[512] = calloc(n, sizeof *labels);
	struct label (*split)[16] = calloc(n, sizeof *split);
	struct error err = { 0 };
	for (size_t i = 0; i < n; i++) {
		make_profile(&profiles[i], specs[i]);
		assert_int_equal(profile_verify(&profiles[i], &err), 0);
		snprintf(labels[i], sizeof labels[i], "%s", specs[i]->labels ? specs[i]->labels : "");
		writes[i] = (struct db_write){
			.profile = &profiles[i],
			.service = str_of(specs[i]->service ? specs[i]->service : "svc"),
			.labels = split[i],
			.path_labels = split[i],
			.bytes_in = 100,
		};
		*(specs[i]->of_path ? &writes[i].n_path_labels : &writes[i].n_labels) = split_labels(labels[i], split[i]);
	}
	int r = db_write(f->db, writes, n, NULL, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	for (size_t i = 0; i < n; i++)
		profile_done(&profiles[i]);
	free(profiles);
	free(writes);
	free(labels);
	free(split);
}

static inline void write_spec(struct fixture *f, const struct spec *s)
{
	write_specs(f, &s, 1);
}

#define WRITE(f, ...) write_spec(f, &(struct spec){ __VA_ARGS__ })

/* ---- asking ---- */

static inline struct selection *select_type(const char *type)
{
	struct selection *s = selection_new();
	s->service = strdup("svc");
	s->type = type ? strdup(type) : NULL;
	return s;
}

static inline void match(struct selection *s, const char *key, enum match_op op, const char *value)
{
	assert_int_equal(selection_add_matcher(s, str_of(key), op, str_of(value), NULL), 0);
}

static inline void filter(struct selection *s, enum filter_kind kind, const char *value)
{
	assert_int_equal(selection_add_filter(s, kind, str_of(value), NULL), 0);
}

/* Takes the selection. */
static inline struct query *ask(struct fixture *f, struct selection *s)
{
	struct error err = { 0 };
	struct view *v;
	struct query *q;
	assert_int_equal(db_view(f->db, 0, &v, &err), 0);
	int r = query_new(v, s, NULL, &q, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	view_unref(v);
	selection_free(s);
	return q;
}

/* A tree as text: "a 30(10) [b 20(20)]", children in brackets; the root's values first. */
static inline void tell_tree(const struct call_tree *t, struct buf *out)
{
	uint32_t depth = 0;
	for (uint32_t i = 0; i < t->n_nodes; i++) {
		const struct call_node *n = &t->nodes[i];
		for (; depth > n->depth; depth--)
			buf_putc(out, ']');
		if (i)
			buf_putc(out, n->depth > t->nodes[i - 1].depth ? '[' : ' ');
		depth = n->depth;
		if (i) {
			const struct frame *fr = &t->frames[n->frame];
			buf_put(out, fr->name.s, fr->name.len);
			if (fr->line)
				buf_printf(out, "@%.*s:%lld", (int)fr->file.len, fr->file.s, (long long)fr->line);
			buf_putc(out, ' ');
		}
		buf_i64(out, n->total);
		buf_putc(out, '(');
		buf_i64(out, n->self);
		buf_putc(out, ')');
	}
	for (; depth > 0; depth--)
		buf_putc(out, ']');
}

static inline void assert_tree(struct query *q, const char *expected)
{
	struct error err = { 0 };
	const struct call_tree *t;
	_buf_ struct buf out = BUF_INIT(LIMIT);
	int r = query_tree(q, NULL, &t, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	tell_tree(t, &out);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.data, expected);
}

/* Asks, compares, and is done. Takes the selection. */
static inline void expect_tree(struct fixture *f, struct selection *s, const char *expected)
{
	struct query *q = ask(f, s);
	assert_tree(q, expected);
	query_unref(q);
}
