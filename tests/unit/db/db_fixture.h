/* SPDX-License-Identifier: MIT */
#pragma once

/* Databases of several processes over one store in memory, whose clock tests set; profiles to write and count. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/base/clock.h"
#include "../../../core/db/compact.h"
#include "../../../core/db/db.h"
#include "../sample_profiles.h"

#define LIMIT ((size_t)1 << 28)
#define T0 (INT64_C(1763800000) * NS_PER_S)

struct world {
	struct store *mem, *store; /* store: the fault layer over mem */
	int64_t uptime;            /* of all processes */
};

static inline int64_t world_uptime(void *ctx)
{
	return clock_boottime() + ((struct world *)ctx)->uptime;
}

static inline void world_done(struct world *w)
{
	store_free(w->store);
	store_free(w->mem);
}

/* Time passes, everywhere. */
static inline void world_advance(struct world *w, int64_t ns)
{
	store_mem_advance(w->mem, ns);
	w->uptime += ns;
}

/* It is noon, so that no day ends while a test lets hours pass. */
static inline void world_init(struct world *w)
{
	int64_t now;
	*w = (struct world){ 0 };
	assert_int_equal(store_mem_new(&w->mem), 0);
	assert_int_equal(store_fault_new(w->mem, true, &w->store), 0);
	assert_int_equal(store_now(w->mem, &now, NULL), 0);
	world_advance(w, (int64_t)(time_day(now) + 1) * NS_PER_DAY + 12 * NS_PER_HOUR - now);
}

/* Another process: its own caches over the store. */
static inline struct db *world_open(struct world *w)
{
	struct error err = { 0 };
	struct db *db;
	struct db_options o = { .threads = 2, .uptime = world_uptime, .uptime_ctx = w };
	int r = db_open(w->store, &o, &db, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	return db;
}

static inline void simple_profile(struct profile *p, int64_t time, int64_t value)
{
	assert_int_equal(profile_init(p, LIMIT), 0);
	PUSH(&p->types, (struct value_type){ text(p, "cpu"), text(p, "nanoseconds") });
	PUSH(&p->functions, (struct profile_function){ .name = text(p, "main") });
	PUSH(&p->lines, (struct profile_line){ .function = 0 });
	PUSH(&p->locations, (struct profile_location){ .mapping = PROFILE_NONE, .n_lines = 1 });
	PUSH(&p->loc_at, 0);
	PUSH(&p->loc_at, 1);
	PUSH(&p->locs, 0);
	PUSH(&p->values, value);
	p->n_samples = 1;
	p->time_ns = time;
}

static inline int write_one(struct db *db, const char *service, int64_t time, int64_t value, struct db_written *ret)
{
	struct profile p;
	struct error err = { 0 };
	simple_profile(&p, time, value);
	struct db_write w = { .profile = &p, .service = str_of(service), .salt = STR("file"), .bytes_in = 10 };
	int r = db_write(db, &w, 1, ret, &err);
	profile_done(&p);
	return r;
}

/* n profiles of a service, a segment each. */
static inline void write_some(struct db *db, const char *service, int from, int n)
{
	for (int i = from; i < from + n; i++)
		assert_int_equal(write_one(db, service, T0 + i * NS_PER_S, i, NULL), 0);
}

/* Profiles in a view, with those that are there twice counted twice. */
static inline size_t count_profiles(struct db *db, const char *service, int64_t max_age)
{
	struct view *v;
	struct parts parts;
	struct error err = { 0 };
	struct str name = str_of(service ? service : "");
	size_t n = 0;
	int r = db_view(db, max_age, &v, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	r = view_parts(v, service ? &name : NULL, INT32_MIN, INT32_MAX, NULL, &parts, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	assert_int_equal(parts.damaged, 0);
	for (size_t i = 0; i < parts.n; i++)
		n += dataset_info(parts.v[i].dataset)->profiles;
	parts_done(&parts);
	view_unref(v);
	return n;
}

static inline size_t count_objects(struct db *db)
{
	struct view *v;
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	size_t n = view_objects(v);
	view_unref(v);
	return n;
}

static inline int pass(struct db *db, bool settle, struct compact_report *report)
{
	struct compactor *c;
	struct compact_report own = { 0 };
	struct error err = { 0 };
	assert_int_equal(compactor_new(db, &(struct compact_options){ .settle = settle }, &c), 0);
	int r = compactor_pass(c, report ? report : &own, &err);
	compactor_free(c);
	return r;
}

static inline void settle(struct db *db)
{
	assert_int_equal(pass(db, true, NULL), 0);
}

static inline int count_key(void *ctx, const char *key, const struct store_stat *st)
{
	(void)key;
	(void)st;
	++*(size_t *)ctx;
	return 0;
}

/* Objects below a prefix, whatever the catalogs say. */
static inline size_t count_keys(struct world *w, const char *prefix)
{
	size_t n = 0;
	assert_int_equal(store_list(w->mem, prefix, NULL, 0, count_key, &n, NULL), 0);
	return n;
}

static inline void print_finding(void *ctx, const char *key, const char *what)
{
	(void)ctx;
	print_message("%s: %s\n", key, what);
}

static inline void assert_clean(struct db *db)
{
	struct error err = { 0 };
	assert_int_equal(db_check(db, false, print_finding, NULL, &err), 0);
}

/* Long after everything: graces pass, and what is left is what is live. */
static inline void collect_all_of(struct world *w, struct db *db)
{
	for (int i = 0; i < 4; i++) {
		world_advance(w, 20 * NS_PER_MIN);
		settle(db);
	}
}
