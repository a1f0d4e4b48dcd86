/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The database of one tenant in a store: views for readers, a group-commit writer, the day catalogs. No state but
 * the store's; everything here is a cache of it. Thread safe.
 */

#include "../base/log.h"
#include "../block/block.h"
#include "../profile/relabel.h"
#include "../store/store.h"

#define DB_FORMAT 1                     /* the store's format, in the object FORMAT */
#define COMPACTION_LATE (5 * NS_PER_MIN) /* a segment that is older shows that nothing compacts the store */
#define VIEW_MAX_AGE NS_PER_S           /* design: a view is at most 1 s old */

struct db;

struct db_options {
	const char *tenant;       /* NULL: "default" */
	size_t cache_bytes;       /* decoded tables kept; 0: 48 MiB */
	size_t query_memory;      /* what one query may take at most; 0: 1 GiB */
	size_t known_ids;         /* that the check for duplicates at a write keeps: 28 bytes each; 0: 4 Mi */
	unsigned check_reads;     /* of others' objects that it makes at once; beyond, one a second; 0: 10,000 */
	unsigned threads;         /* of the pool; 0: CPUs */
	const struct log *log;    /* may be NULL; borrowed until db_close() */
	bool sole_compactor;      /* the operator's promise that nobody else commits: no probe for exclusive creates */
	const char *elf_reader;   /* for debug_read_apart(); borrowed; NULL: ELF files are read in this process */
	int64_t (*uptime)(void *ctx); /* tests: what measures how old a view is; NULL: clock_boottime() */
	void *uptime_ctx;
};

/*
 * store is borrowed until db_close(). Checks FORMAT: a newer one is ERR_NEWER and says which version is needed; a
 * writable store without one gets it at the first write.
 */
int db_open(struct store *store, const struct db_options *opts, struct db **ret, struct error *err);
/* Finishes what was handed to the writer. All views must have been released. */
void db_close(struct db *db);
DEFINE_CLEANUP(struct db *, db_close);

struct store *db_store(struct db *db);
struct pool *db_pool(struct db *db);
const char *db_tenant(struct db *db);
size_t db_query_memory(const struct db *db);

/* Whether the object of that key never changes: for store_options. */
bool db_key_immutable(const char *key);

/* ---- reading ---- */

/* One live object of a view. */
struct object {
	char *key;         /* in the store */
	int32_t day;
	uint64_t size;
	bool is_block;     /* else a segment */
	struct ulid ulid;
	unsigned level;    /* of a block; 0 for a segment */
	int64_t mtime;     /* of a segment: the store's time of its put; 0 where this process put it */
};

/* An immutable snapshot of the live objects of all days. Counted references. */
struct view;

/* A view not older than max_age ns (0: a new one, whatever it costs). New reference. */
int db_view(struct db *db, int64_t max_age, struct view **ret, struct error *err);
struct view *view_ref(struct view *v);
void view_unref(struct view *v);
DEFINE_CLEANUP(struct view *, view_unref);

struct db *view_db(struct view *v);
uint64_t view_generation(const struct view *v); /* differs where the set of live objects differs */
size_t view_objects(const struct view *v);
const struct object *view_object(const struct view *v, size_t i); /* by day, then ulid */

/*
 * The datasets of a service (NULL: of all services) on the UTC days from..to inclusive, in view order. Each part
 * holds its block open until parts_free(). Damaged objects are left out and counted, with the first error in
 * `damage`.
 */
struct part {
	const struct object *object;
	struct dataset *dataset; /* borrowed until parts_free() */
	void *pin;               /* internal */
};

struct parts {
	struct part *v;
	size_t n;
	size_t damaged;
	struct error damage;
	struct view *view;
};

int view_parts(struct view *v, const struct str *service, int32_t from_day, int32_t to_day, const struct cancel *cancel,
               struct parts *ret, struct error *err);
void parts_done(struct parts *p);
#define _parts_ _cleanup_(parts_done)

/*
 * What is known of the datasets of a service (NULL: of all) on the UTC days from..to without their tables: of blocks
 * from the catalog, which opens none; of segments from their footers. Calls fn for each in view order, borrowed for the
 * call; ends where it returns not 0, with that. Damaged segments are left out.
 */
typedef int (*info_fn)(void *ctx, const struct object *object, const struct dataset_info *info);
int view_infos(struct view *v, const struct str *service, int32_t from_day, int32_t to_day, info_fn fn, void *ctx,
               struct error *err);

/* Services with data, by name, and the days of one (ascending), from the markers; at most max_age old. */
struct names {
	char **v;
	size_t n;
};

struct days {
	int32_t *v;
	size_t n;
};

int db_services(struct db *db, int64_t max_age, struct names *ret, struct error *err);
int db_days(struct db *db, struct str service, int64_t max_age, struct days *ret, struct error *err);
bool db_has_service(struct db *db, struct str service, int64_t max_age); /* no request where the cache knows it */
void names_done(struct names *n);
void days_done(struct days *d);
#define _names_ _cleanup_(names_done)
#define _days_ _cleanup_(days_done)

/* ---- writing ---- */

struct db_write {
	const struct profile *profile; /* verified; borrowed for the call */
	struct str service;
	const struct label *labels;    /* as sent */
	size_t n_labels;
	const struct label *path_labels;
	size_t n_path_labels;
	int64_t fallback_time;         /* for a profile without a time of its own; 0: now */
	bool fallback_is_file;         /* the fallback is the file's mtime, not now */
	struct str salt;               /* names a profile without a time: directory and file name */
	/* What rules made of service and labels, to be stored in their stead; NULL. The id is of what was sent. */
	const struct relabelled *relabelled;
	uint64_t bytes_in;
};

struct db_written {
	struct ulid id;
	int64_t time;
	/* It was there already, as far as this process knew (ids.c): nothing was written. Else it still counts once. */
	bool duplicate;
};

/*
 * Writes n profiles as one unit and returns when they are durable and in every later view: all or none of this call
 * (a call of more than 32 days: ERR_LIMIT). Concurrent calls share a segment; a lone one waits for nobody. ret has n
 * entries; may be NULL.
 */
int db_write(struct db *db, const struct db_write *writes, size_t n, struct db_written *ret, struct error *err);

/*
 * Bulk loading, for `ingest`: profiles gather in memory up to a bound and are durable only after bulk_flush(). Several
 * threads may add. Duplicates (in the store, or in this load) are told as in db_write().
 */
struct bulk;
int bulk_new(struct db *db, size_t max_bytes, struct bulk **ret); /* 0: 32 MiB */
void bulk_free(struct bulk *b); /* drops what was not flushed */
DEFINE_CLEANUP(struct bulk *, bulk_free);
int bulk_add(struct bulk *b, const struct db_write *w, struct db_written *ret, struct error *err);
int bulk_flush(struct bulk *b, struct error *err);

/* ---- deleting ---- */

/* Which profiles. */
struct db_which {
	const struct str *service; /* NULL: of every service */
	int32_t from_day, to_day;  /* inclusive */
	const struct str *type;    /* as types are listed: profiles that have it, with all their types; NULL: any */
	const struct ulid *id;     /* NULL: any */
};

struct db_deleted {
	uint64_t profiles, days, objects; /* objects: rewritten without them, or dropped */
};

/*
 * Deletes them, one commit per day: for every reader whose view is newer, with this process's own at once. What is
 * written meanwhile is not touched. The bytes go at the next collections. dry_run only counts.
 */
int db_delete(struct db *db, const struct db_which *which, bool dry_run, struct db_deleted *ret, struct error *err);

/* ---- the whole store, for check and stat ---- */

/* Bytes of the live objects, as the last view said: no request. 0 before the first. */
uint64_t db_bytes_known(struct db *db);

/* What waits for compaction. Late: an age over COMPACTION_LATE. */
struct db_lag {
	uint64_t segments;
	int64_t age;       /* of the oldest segment, by the store's time: ns */
};
/* As the view of now says: two LISTs and the store's time. */
int db_lag(struct db *db, struct db_lag *ret, struct error *err);
/* As the last view said, which may be old, with the time that has passed since: no request. */
void db_lag_known(struct db *db, struct db_lag *ret);

struct db_stats {
	uint64_t objects, object_bytes, segments, segment_bytes, blocks, block_bytes, catalogs, catalog_bytes, markers;
	uint64_t shared, shared_bytes; /* symbols that days share: in `bytes` they are symbols */
	uint64_t profiles, samples, services, days;
	uint64_t bytes_in;       /* what came in */
	uint64_t bytes[4];       /* enum section_class */
	uint64_t damaged;
};
int db_stat(struct db *db, struct db_stats *ret, struct error *err);

/* Verifies every object. report is called per finding; returns the number of findings or a negative error. */
int db_check(struct db *db, bool repair, void (*report)(void *ctx, const char *key, const char *what), void *ctx,
             struct error *err);
