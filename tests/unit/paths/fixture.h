/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A database in memory with a few services, written through ingest_bytes(), and a tree on it whose clock
 * stands still.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/paths/ingest.h"
#include "core/paths/paths.h"

#define NOW ((int64_t)20779 * NS_PER_DAY + 14 * NS_PER_HOUR + 7 * NS_PER_S) /* 2026-11-22T140007 */

static int64_t fixed_now(void)
{
	return NOW;
}

struct fixture {
	struct store *store;
	struct db *db;
	struct tree *tree;
};

/* What a made profile is: one sample per stack "a;b;c VALUE" of `stacks`, all types with the same value but for `apart`. */
struct making {
	const char *types;  /* "cpu nanoseconds,samples count" */
	const char *stacks; /* "main;work 10,main;idle 5" */
	const char *label;  /* of all samples, "key value"; NULL */
	int64_t time, duration;
	int64_t apart; /* the values of each type are greater by so much than those of the one before */
};

static uint32_t add_string(struct profile *p, const char *s, size_t n)
{
	uint32_t i = profile_string(p, s, n);
	assert_int_not_equal(i, PROFILE_NONE);
	return i;
}

static void make_types(struct profile *p, const char *types)
{
	while (*types) {
		size_t a = strcspn(types, " "), b = strcspn(types + a + 1, ",");
		struct value_type *t = VEC_PUSH(&p->types);
		t->type = add_string(p, types, a);
		t->unit = add_string(p, types + a + 1, b);
		types += a + 1 + b;
		types += *types == ',';
	}
}

static uint32_t make_location(struct profile *p, const char *name, size_t n)
{
	for (uint32_t i = 0; i < MIN(p->functions.n, (size_t)8); i++)
		if (str_eq(profile_str(p, p->functions.v[i].name), (struct str){ name, n }))
			return i;
	struct profile_function *f = VEC_PUSH(&p->functions);
	*f = (struct profile_function){ .name = add_string(p, name, n) };
	struct profile_line *line = VEC_PUSH(&p->lines);
	*line = (struct profile_line){ .function = (uint32_t)p->functions.n - 1, .line = 7 };
	struct profile_location *l = VEC_PUSH(&p->locations);
	*l = (struct profile_location){ .mapping = PROFILE_NONE, .line_at = (uint32_t)p->lines.n - 1, .n_lines = 1 };
	return (uint32_t)p->locations.n - 1;
}

static void make_sample(struct profile *p, const struct making *m, const char *stack, size_t n)
{
	const char *label = m->label;
	const char *value = memrchr(stack, ' ', n);
	size_t first = p->locs.n;
	for (const char *s = stack; s < value;) {
		size_t len = MIN(strcspn(s, ";"), (size_t)(value - s));
		*VEC_PUSH(&p->locs) = make_location(p, s, len);
		s += len + 1;
	}
	for (size_t i = first, j = p->locs.n; i + 1 < j; i++) {
		uint32_t swap = p->locs.v[--j];
		p->locs.v[j] = p->locs.v[i];
		p->locs.v[i] = swap;
	}
	*VEC_PUSH(&p->loc_at) = (uint32_t)p->locs.n;
	for (size_t i = 0; i < p->types.n; i++)
		*VEC_PUSH(&p->values) = strtoll(value, NULL, 10) + (int64_t)i * m->apart;
	if (label) {
		size_t k = strcspn(label, " ");
		*VEC_PUSH(&p->labels) = (struct profile_label){ .key = add_string(p, label, k),
			                                        .str = add_string(p, label + k + 1, strlen(label + k + 1)) };
		*VEC_PUSH(&p->label_at) = (uint32_t)p->labels.n;
	}
	p->n_samples++;
}

static void make_pprof(const struct making *m, struct buf *out)
{
	struct profile p;
	assert_int_equal(profile_init(&p, 16 << 20), 0);
	make_types(&p, m->types);
	*VEC_PUSH(&p.loc_at) = 0;
	if (m->label)
		*VEC_PUSH(&p.label_at) = 0;
	for (const char *s = m->stacks; *s;) {
		size_t n = strcspn(s, ",");
		make_sample(&p, m, s, n);
		s += n + (s[n] == ',');
	}
	p.time_ns = m->time;
	p.duration_ns = m->duration;
	assert_int_equal(profile_verify(&p, NULL), 0);
	assert_int_equal(pprof_encode(&p, out), 0);
	profile_done(&p);
}

/* Writes a file into a directory of the tree, as the mount does. */
static int put_file(struct fixture *f, const char *dir, const char *name, struct slice bytes,
                    const struct ingest_options *more, struct ingest_result *ret, struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	struct target t = { 0 };
	struct ingest_options o = more ? *more : (struct ingest_options){ 0 };
	int e = tree_walk(f->tree, dir, true, NULL, &n, err);
	if (!e)
		e = target_of(n, &t, err);
	if (e)
		return e;
	o.target = &t;
	o.name = name;
	o.now = o.now ? o.now : NOW;
	e = ingest_bytes(f->db, bytes, &o, ret, err);
	target_done(&t);
	return e;
}

static _unused_ void must_put(struct fixture *f, const char *dir, const char *name, const struct making *m)
{
	_buf_ struct buf b = BUF_INIT(16 << 20);
	struct ingest_result res = { 0 };
	struct error err = { 0 };
	make_pprof(m, &b);
	if (put_file(f, dir, name, buf_slice(&b), NULL, &res, &err) || res.taken != 1)
		fail_msg("%s/%s: %s", dir, name, err.text);
}

static _unused_ void open_fixture(struct fixture *f, const struct tree_options *opts)
{
	struct error err = { 0 };
	struct tree_options o = opts ? *opts : (struct tree_options){ 0 };
	o.now = fixed_now;
	assert_int_equal(store_mem_new(&f->store), 0);
	assert_int_equal(db_open(f->store, &(struct db_options){ .threads = 2 }, &f->db, &err), 0);
	assert_int_equal(tree_new(f->db, &o, &f->tree, &err), 0);
}

static void close_fixture(struct fixture *f)
{
	tree_free(f->tree);
	db_close(f->db);
	store_free(f->store);
}

static void fill_checkout(struct fixture *f)
{
	struct making cpu = { "samples count,cpu nanoseconds", "main;work 70,main;idle 30", NULL, NOW - NS_PER_HOUR,
		              10 * NS_PER_S };
	struct making heap = { "alloc_objects count,alloc_space bytes,inuse_objects count,inuse_space bytes", "main;new 4096", NULL,
		               NOW - 3 * NS_PER_HOUR, 0 };
	struct making mutex = { "contentions count,delay nanoseconds", "main;lock 9", NULL, NOW - 90 * NS_PER_MIN, NS_PER_S };
	struct making odd = { "vs count,a=b count,top.txt count", "main;odd 3", "span_id a/b c", NOW - NS_PER_MIN, NS_PER_S };
	must_put(f, "/checkout/region=eu/pod=a", "cpu.pb.gz", &cpu);
	cpu.time -= NS_PER_MIN;
	must_put(f, "/checkout/region=us/pod=b", "cpu.pb.gz", &cpu);
	cpu.time -= NS_PER_MIN;
	must_put(f, "/checkout/pod=metrics.prom", "cpu.pb.gz", &cpu);
	cpu.time = NOW - 25 * NS_PER_HOUR;
	cpu.stacks = "main;work 50,main;wait 10";
	must_put(f, "/checkout/region=eu/pod=%2E%2E", "cpu.pb.gz", &cpu);
	cpu.time += NS_PER_S;
	must_put(f, "/checkout/region=eu/%62y-x=1", "cpu.pb.gz", &cpu);
	must_put(f, "/checkout/region=eu", "heap.pb.gz", &heap);
	must_put(f, "/checkout/region=eu", "compile.mutex.1.pb.gz", &mutex);
	must_put(f, "/checkout", "odd.pb.gz", &odd);
}

/* Names that are too long to be listed whole: of a service, a label's value, a function. */
static void fill_long(struct fixture *f)
{
	char service[101], path[400], stacks[400];
	struct making m = { "cpu nanoseconds", stacks, NULL, NOW - 2 * NS_PER_HOUR, NS_PER_S };
	snprintf(stacks, sizeof stacks, "main;%0300d 4", 7);
	memset(service, '%', 100);
	service[100] = '\0';
	assert_int_equal(tree_add_service(f->tree, service, NULL), 0);
	snprintf(path, sizeof path, "/%s", service);
	must_put(f, path, "x.pb.gz", &m);
	snprintf(path, sizeof path, "/2026/pod=%0300d", 9);
	must_put(f, path, "x.pb.gz", &m);
}

static _unused_ void fill_fixture(struct fixture *f)
{
	static const char *const services[] = { "checkout", "a b/c", "2026" };
	struct making one = { "cpu nanoseconds", "main 1", NULL, NOW - 2 * NS_PER_HOUR, NS_PER_S };
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		assert_int_equal(tree_add_service(f->tree, services[i], NULL), 0);
	must_put(f, "/a%20b%2Fc", "x.pb.gz", &one);
	must_put(f, "/2026/version=1", "x.pb.gz", &one);
	fill_checkout(f);
	fill_long(f);
}

static _unused_ struct node *must_walk(struct fixture *f, const char *path, bool follow)
{
	struct node *n = NULL;
	struct error err = { 0 };
	int e = tree_walk(f->tree, path, follow, NULL, &n, &err);
	if (e)
		fail_msg("%s: %s (%s)", path, err_name(e), err.text);
	return n;
}

static _unused_ int try_walk(struct fixture *f, const char *path)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	return tree_walk(f->tree, path, false, NULL, &n, NULL);
}

/* The names of a directory, each on a line with what it is; freed by the caller. */
static _unused_ char *list_of(struct fixture *f, const char *path)
{
	_cleanup_(node_unrefp) struct node *n = must_walk(f, path, true);
	_cleanup_(listing_freep) struct listing *l = NULL;
	struct error err = { 0 };
	struct buf b = BUF_INIT(1 << 20);
	struct entry entry;
	int e = listing_new(f->tree, n, NULL, &l, &err);
	if (e)
		fail_msg("%s: %s (%s)", path, err_name(e), err.text);
	for (uint64_t i = 0; listing_entry(l, i, &entry); i++)
		buf_printf(&b, "%s%s\n", entry.name, entry.kind == NODE_DIR ? "/" : entry.kind == NODE_LINK ? "@" : "");
	buf_putc(&b, '\0');
	size_t len;
	return (char *)buf_take(&b, &len);
}

static _unused_ void expect_link(struct fixture *f, const char *path, const char *target)
{
	_cleanup_(node_unrefp) struct node *n = must_walk(f, path, false);
	_buf_ struct buf b = BUF_INIT(4096);
	assert_int_equal(node_link(n, &b), 0);
	buf_putc(&b, '\0');
	assert_string_equal((char *)b.data, target);
}

static _unused_ struct content *must_render(struct fixture *f, const char *path)
{
	_cleanup_(node_unrefp) struct node *n = must_walk(f, path, true);
	struct content *c = NULL;
	struct error err = { 0 };
	int e = tree_render(f->tree, n, NULL, &c, &err);
	if (e)
		fail_msg("%s: %s (%s)", path, err_name(e), err.text);
	return c;
}
