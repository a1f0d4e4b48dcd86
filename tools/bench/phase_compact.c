/* SPDX-License-Identifier: MIT */
#include "../../core/db/compact.h"
#include "bench.h"
#include "measure.h"
#include "phases.h"

struct compacted {
	struct store *store;
	struct db *db;
	struct compactor *compactor;
};

static void compacted_done(struct compacted *c)
{
	compactor_free(c->compactor);
	db_closep(&c->db);
	store_freep(&c->store);
}

static int open_compactor(const char *path, struct compacted *c, struct error *err)
{
	struct store_options so = { 0 };
	struct compact_options o = { .settle = true };
	int e = store_open(path, &so, &c->store, err);
	if (!e)
		e = db_open(c->store, &(struct db_options){ 0 }, &c->db, err);
	return e ? e : compactor_new(c->db, &o, &c->compactor);
}

/* Until a pass finds nothing to merge. */
int phase_compact(void *arg)
{
	struct run *r = arg;
	_cleanup_(compacted_done) struct compacted c = { 0 };
	struct error err = { 0 };
	struct store_counts none = { 0 };
	uint64_t merges = 0, profiles = 0;
	struct stopwatch start = stopwatch_start();
	int e = open_compactor(r->store, &c, &err);
	for (bool more = true; !e && more;) {
		struct compact_report pass = { 0 };
		e = compactor_pass(c.compactor, &pass, &err);
		more = pass.merges > 0;
		merges += pass.merges;
		profiles += pass.profiles;
	}
	if (e < 0) {
		complain("%s: %s", r->store, error_text(&err, e));
		return e;
	}
	struct stopwatch took = stopwatch_read(&start);
	struct figure f;
	figure_begin(&f, "compact");
	figure_count(&f, "merges", merges);
	figure_count(&f, "profiles_rewritten", profiles);
	figure_number(&f, "wall_s", (double)took.wall / 1e9);
	figure_number(&f, "cpu_s", (double)took.cpu / 1e9);
	figure_number(&f, "peak_mb", peak_mb());
	figure_requests(&f, &none, c.store);
	figure_end(&f);
	return 0;
}
