/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "../../core/paths/ingest.h"
#include "bench.h"
#include "files.h"
#include "measure.h"
#include "phases.h"

struct opened {
	struct store *store;
	struct db *db;
};

static void opened_done(struct opened *o)
{
	db_closep(&o->db);
	store_freep(&o->store);
}

static int open_store(const char *path, bool create, struct opened *o, struct error *err)
{
	struct store_options so = { .create = create, .read_only = !create };
	int e = store_open(path, &so, &o->store, err);
	return e ?: db_open(o->store, &(struct db_options){ 0 }, &o->db, err);
}

struct ingest_job {
	struct run *run;
	struct db *db;
	struct bulk *bulk;
	atomic_size_t next;
	atomic_uint_fast64_t taken, duplicates;
};

static struct target target_for(const struct recorded *e)
{
	return (struct target){ .service = e->service, .labels = e->labels, .n_labels = e->n_labels };
}

static int ingest_files(void *arg, size_t unused)
{
	struct ingest_job *j = arg;
	_buf_ struct buf bytes = BUF_INIT((size_t)256 << 20);
	struct error err = { 0 };
	int e = 0;
	for (size_t i; !e && (i = atomic_fetch_add(&j->next, 1)) < j->run->data.n;) {
		const struct recorded *entry = &j->run->data.v[i];
		struct target target = target_for(entry);
		const char *slash = strrchr(entry->path, '/');
		struct ingest_options io = {
			.target = &target,
			.name = slash ? slash + 1 : entry->path,
			.bulk = j->bulk,
		};
		struct ingest_result result = { 0 };
		_free_ char *path = NULL;
		if (asprintf(&path, "%s/%s", j->run->data.dir, entry->path) < 0)
			return -ENOMEM;
		e = file_read(path, &bytes, &err);
		if (!e)
			e = ingest_bytes(j->db, buf_slice(&bytes), &io, &result, &err);
		if (e)
			complain("%s: %s", entry->path, error_text(&err, e));
		atomic_fetch_add(&j->taken, result.taken);
		atomic_fetch_add(&j->duplicates, result.duplicates);
	}
	return e;
}

static int ingest_all(struct ingest_job *j)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct error err = { 0 };
	unsigned threads = j->run->threads;
	int e = threads > 1 ? pool_new(threads - 1, &pool) : 0;
	if (!e)
		e = bulk_new(j->db, 0, &j->bulk);
	if (!e)
		e = pool_each(pool, threads, ingest_files, j);
	if (!e)
		e = bulk_flush(j->bulk, &err);
	bulk_freep(&j->bulk);
	if (e)
		complain("ingest: %s", error_text(&err, e));
	return e;
}

int phase_ingest(void *arg)
{
	struct run *r = arg;
	_cleanup_(opened_done) struct opened o = { 0 };
	struct error err = { 0 };
	struct stopwatch start = stopwatch_start();
	int e = open_store(r->store, true, &o, &err);
	if (e) {
		complain("%s: %s", r->store, error_text(&err, e));
		return e;
	}
	struct ingest_job j = { .run = r, .db = o.db };
	e = ingest_all(&j);
	if (e)
		return e;
	struct store_counts none = { 0 };
	struct stopwatch t = stopwatch_read(&start);
	double rate = (double)r->data.n * 1e9 / (double)t.cpu;
	struct figure f;
	figure_begin(&f, "ingest");
	figure_count(&f, "taken", j.taken);
	figure_count(&f, "duplicates", j.duplicates);
	figure_count(&f, "threads", r->threads);
	figure_number(&f, "wall_s", (double)t.wall / 1e9);
	figure_number(&f, "cpu_s", (double)t.cpu / 1e9);
	figure_number(&f, "profiles_per_cpu_s", rate);
	figure_number(&f, "mb_gz_per_s", (double)r->data.gz_bytes * 1e3 / (double)t.wall);
	if (r->shared->floor_rate > 0)
		figure_number(&f, "times_the_floor", r->shared->floor_rate / rate);
	figure_number(&f, "peak_mb", peak_mb());
	figure_requests(&f, &none, o.store);
	figure_end(&f);
	return 0;
}

int phase_stored(void *arg)
{
	struct run *r = arg;
	_cleanup_(opened_done) struct opened o = { 0 };
	struct error err = { 0 };
	struct db_stats s;
	int e = open_store(r->store, false, &o, &err);
	if (!e)
		e = db_stat(o.db, &s, &err);
	if (e) {
		complain("%s: %s", r->store, error_text(&err, e));
		return e;
	}
	double stored = (double)(s.segment_bytes + s.block_bytes), profiles = s.profiles ? (double)s.profiles : 1;
	struct figure f;
	figure_begin(&f, "stored");
	figure_count(&f, "profiles", s.profiles);
	figure_count(&f, "segments", s.segments);
	figure_count(&f, "blocks", s.blocks);
	figure_number(&f, "mb", stored / 1e6);
	figure_number(&f, "bytes_per_profile", stored / profiles);
	figure_number(&f, "gz_over_stored", stored > 0 ? (double)r->data.gz_bytes / stored : 0);
	figure_number(&f, "symbols_mb", (double)s.bytes[BYTES_SYMBOLS] / 1e6);
	figure_number(&f, "samples_mb", (double)s.bytes[BYTES_SAMPLES] / 1e6);
	figure_number(&f, "meta_mb", (double)s.bytes[BYTES_META] / 1e6);
	figure_number(&f, "rollups_mb", (double)s.bytes[BYTES_ROLLUPS] / 1e6);
	figure_number(&f, "all_objects_mb", (double)s.object_bytes / 1e6);
	figure_end(&f);
	return 0;
}

/* Writes one profile under a label that no other has, and waits until it is durable. */
static int write_one(struct run *r, struct db *db, struct slice bytes, unsigned i, struct series_of *ms)
{
	char run[16];
	snprintf(run, sizeof run, "%u", i);
	struct label label = { STR("run"), str_of(run) };
	struct target target = { .service = r->data.v[0].service, .labels = &label, .n_labels = 1 };
	struct ingest_options io = { .target = &target, .name = "cpu.pb.gz" };
	struct ingest_result result;
	struct error err = { 0 };
	struct stopwatch start = stopwatch_start();
	int e = ingest_bytes(db, bytes, &io, &result, &err);
	series_add(ms, (double)stopwatch_read(&start).wall / 1e6);
	if (e)
		complain("a lone write: %s", error_text(&err, e));
	return e;
}

int phase_ack(void *arg)
{
	struct run *r = arg;
	_cleanup_(opened_done) struct opened o = { 0 };
	_buf_ struct buf bytes = BUF_INIT((size_t)256 << 20);
	_free_ char *store = NULL, *path = NULL;
	struct series_of ms = { 0 };
	struct error err = { 0 };
	size_t i = 0;
	while (i + 1 < r->data.n && !r->data.v[i].is_cpu)
		i++;
	if (asprintf(&store, "%s.ack", r->store) < 0 || asprintf(&path, "%s/%s", r->data.dir, r->data.v[i].path) < 0)
		return -ENOMEM;
	int e = open_store(store, true, &o, &err);
	if (!e)
		e = file_read(path, &bytes, &err);
	if (e)
		complain("%s", error_text(&err, e));
	struct store_counts before = o.store->counts;
	for (unsigned k = 0; !e && k < r->runs; k++)
		e = write_one(r, o.db, buf_slice(&bytes), k, &ms);
	struct figure f;
	figure_begin(&f, "lone_write");
	figure_number(&f, "median_ms", series_median(&ms));
	figure_number(&f, "min_ms", ms.v[0]);
	figure_number(&f, "max_ms", ms.n ? ms.v[ms.n - 1] : 0);
	figure_number(&f, "puts_each", ms.n ? (double)(o.store->counts.put - before.put) / (double)ms.n : 0);
	figure_end(&f);
	folder_remove(store);
	return e;
}
