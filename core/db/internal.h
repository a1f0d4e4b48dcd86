/* SPDX-License-Identifier: MIT */
#pragma once

/* What the database's files share. */

#include <pthread.h>

#include "../base/idset.h"
#include "day.h"
#include "db.h"
#include "keys.h"
#include "rules.h"

/* ---- debug information (debuginfo.c) ---- */

struct debug_set; /* which build ids are known; counted references */
struct debug_shared;

struct debug_set *debug_set_ref(struct debug_set *s); /* s may be NULL */
void debug_set_unref(struct debug_set *s);
uint64_t debug_set_print(const struct debug_set *s); /* 0: none is known */
bool debug_set_fresh(const struct db *db, const struct debug_set *s, int64_t now);
/* One LIST. New. */
int debug_set_list(struct db *db, struct debug_set **ret, struct error *err);

int debug_verify(struct db *db, const char *id, bool dwarf, struct error *err);

struct debug_cache {
	pthread_mutex_t lock; /* guards what follows, but for `changed` */
	VEC(struct debug_shared *) tables;
	size_t bytes;
	uint64_t clock;
	bool wanted;         /* under view_lock: a query has asked; views know from then on */
	atomic_bool changed; /* this process has added some: the next view lists */
};

void debug_cache_done(struct debug_cache *c);

/* ---- views (view.c) ---- */

struct view {
	struct db *db;
	atomic_uint refs;
	uint64_t generation;
	int64_t made;            /* db_uptime() before its LIST began */
	struct live **live;      /* by day, then ulid */
	size_t n;
	struct day_state **days; /* by day: those that have a catalog */
	size_t n_days;
	struct debug_set *debug; /* set once, under view_lock; NULL: not asked for */
};

/* What the catalog said of a day when the view was made; NULL where there was none. Borrowed. */
struct day_state *view_day(const struct view *v, int32_t day);
/*
 * Adds a segment that this process has just put to the cached view, so that its own readers need no LIST. put_at:
 * db_uptime() after the put; a view that is younger has listed it, or knows what it became.
 */
void view_note_segment(struct db *db, int32_t day, const struct ulid *ulid, const char *key, uint64_t size,
                       int64_t put_at);
/* The next view is a new one. */
void view_expire(struct db *db);
/* db_view() for compaction itself, which wakes nobody. */
int view_quietly(struct db *db, int64_t max_age, struct view **ret, struct error *err);
/* ns that pass also while the machine sleeps: how old things are here. */
int64_t db_uptime(struct db *db);

/* ---- open blocks (cache.c) ---- */

struct cached; /* a block that is open, counted and in the cache's order of use */

int cache_pin(struct db *db, const struct live *live, struct cached **ret, struct error *err);
int cache_pin_key(struct db *db, const char *key, uint64_t size, struct cached **ret, struct error *err);
void cache_unpin(struct db *db, struct cached *c);
struct block *cached_block(struct cached *c);
void cache_clear(struct db *db);
/*
 * Opens an object for the caller alone: large reads that shall not push others out of the cache. whole: all of it is
 * read at once and held, which is one request. New.
 */
int object_open(struct db *db, const struct object *o, bool whole, struct block **ret, struct error *err);

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	struct cached *first, *last; /* most recently used first */
	struct cached **slots;       /* by hash of the key, chained */
	size_t n_slots, count, limit;
};

/* ---- markers (names.c) ---- */

struct day_list {
	char *service;
	size_t service_len;
	int64_t made;
	struct days days;
};

struct marker_put {
	char *key;
	int64_t at; /* db_uptime() */
};

struct marker_cache {
	pthread_mutex_t lock;
	int64_t made;  /* of `services`; 0 for none */
	struct names services;
	VEC(struct day_list) days;
	VEC(struct marker_put) put; /* by key: what this process has put within the hour */
	VEC(int32_t) ended;         /* days whose markers it has removed */
};

/* Once per process, service, day and hour: whoever removes a marker while others write is put right by the next. */
int markers_put(struct db *db, struct str service, int32_t day, struct error *err);
int markers_remove(struct db *db, struct str service, int32_t day, struct error *err);
bool markers_have_ended(struct db *db, int32_t day);
void markers_note_end(struct db *db, int32_t day);
void markers_done(struct marker_cache *m);

/* ---- ids (ids.c) ---- */

/* Where an id is: once that object is gone from the view, the id is no duplicate any more, unless others have it. */
struct known_id {
	struct ulid id;
	uint32_t object;
};

struct id_object {
	struct ulid ulid;
	uint32_t ids;     /* how many are known */
	bool there;       /* in the view that the index has taken in, or put since */
	bool forgotten;   /* without its ids, and not to be read again */
};

/* The ids of one service and day that are in the store: how a write sees a duplicate. */
struct id_index {
	char *service;
	size_t service_len;
	int32_t day;
	uint64_t generation;      /* of the view it has taken in */
	int64_t used;
	VEC(struct id_object) objects; /* taken in, in this order */
	struct idset by_ulid;     /* of `objects` */
	struct idset ids;
	VEC(struct known_id) known;
};

struct id_indexes {
	pthread_mutex_t lock; /* guards what follows */
	VEC(struct id_index *) v;
	struct idset by_name;
	size_t held, max;     /* ids of all indexes */
	unsigned reads_max;   /* at once */
	int64_t read_until;   /* db_uptime() up to which reads are used up */
};

/*
 * *ret: whether the store (as the current view shows it) has this id of this service, as far as this process knows:
 * see ids.c.
 */
int ids_known(struct db *db, struct str service, int32_t day, const struct ulid *id, bool *ret, struct error *err);
/*
 * Tells what an object holds that this process has put, or is about to: it is not read then. Only where ids_known() has
 * asked for the service and day before.
 */
void ids_note(struct db *db, struct str service, int32_t day, const struct ulid *object, const struct ulid *v,
              uint32_t n);
bool ids_wanted(struct db *db, struct str service, int32_t day); /* whether ids_note() has a use for them */
void ids_init(struct id_indexes *ids, const struct db_options *o);
void ids_done(struct id_indexes *ids);

/* ---- writing (write.c) ---- */

struct pending;

struct committer {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct pending *first, *last;
	bool flushing;
};

struct segment_service {
	char *name; /* NUL-terminated */
	VEC(struct ulid) ids;
};

/* Puts segments of a writer's days and their markers: durable and in the cached view on 0. */
struct segment {
	int32_t day;
	struct block_writer *writer;
	VEC(struct segment_service) services;
};

int segment_put(struct db *db, struct segment *s, struct error *err);
int segment_add(struct segment *s, const struct profile *p, const struct profile_meta *meta, struct error *err);
void segment_done(struct segment *s);

/* Fills service, labels, time, id; the hash is computed here. */
int write_prepare(const struct db_write *w, struct profile_meta *meta, struct error *err);

/* ---- news (background.c) ---- */

/* What a compactor thread waits for: segments that this process wrote, or that a view showed. */
struct news {
	pthread_mutex_t lock;
	pthread_cond_t came;
	uint64_t n; /* under lock */
};

void news_note(struct db *db);

/* ---- settings (settings.c) ---- */

struct settings_cache {
	pthread_mutex_t lock; /* guards what follows */
	int64_t made;         /* db_uptime() before its LIST; 0: nothing is known */
	uint64_t version;     /* 0: there are none */
	struct buf text;
};

/* ---- the database ---- */

struct db {
	struct store *store;
	char *tenant;
	struct pool *pool;
	const struct log *log;
	const char *elf_reader;
	size_t query_memory;

	pthread_mutex_t view_lock; /* guards view, and orders refreshes */
	struct view *view;         /* its days are the cache of catalogs, also when it has expired */
	bool view_expired;
	uint64_t generation;
	int64_t (*uptime)(void *ctx);
	void *uptime_ctx;
	bool sole_compactor;

	struct cache cache;
	struct marker_cache markers;
	struct id_indexes ids;
	struct committer committer;
	struct news news;
	struct settings_cache settings;
	struct debug_cache debug;
	pthread_mutex_t rules_lock;
	struct rules *rules;       /* under rules_lock, as what follows; NULL: none were looked at */
	int64_t rules_made;        /* db_uptime() before they were */
	pthread_mutex_t merge_lock; /* one merge or deletion of this process at a time: they would undo each other's */
	int64_t log_lag_at;        /* under view_lock: db_uptime() */
	atomic_bool format_known;
	atomic_bool exclusive_known;
};

/* Whether this store takes commits: writable, and it creates exclusively (or this is the only compactor). */
int db_may_commit(struct db *db, struct error *err);

/* FORMAT is there and readable; a writable store without one gets it. */
int db_need_format(struct db *db, struct error *err);
bool db_has_format(struct db *db);
