/* SPDX-License-Identifier: MIT */
#pragma once

/* What the database's files share. */

#include <pthread.h>

#include "catalog.h"
#include "db.h"
#include "keys.h"

/* ---- objects and views (view.c) ---- */

/* A listed object, shared by the views that hold it. */
struct live {
	struct object object;
	char *filter;   /* of a segment; NULL for a block */
	atomic_uint refs;
};

struct view {
	struct db *db;
	atomic_uint refs;
	uint64_t generation;
	int64_t made; /* clock_monotonic() before its LIST began */
	struct live **live;
	size_t n;
};

/* Adds a segment that this process has just put to the cached view, so that its own readers need no LIST. */
void view_note_segment(struct db *db, int32_t day, const struct ulid *ulid, const char *key, uint64_t size);

/* ---- open blocks (cache.c) ---- */

struct cached; /* a block that is open, counted and in the cache's order of use */

int cache_pin(struct db *db, const struct live *live, struct cached **ret, struct error *err);
void cache_unpin(struct db *db, struct cached *c);
struct block *cached_block(struct cached *c);
void cache_clear(struct db *db);

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

struct marker_cache {
	pthread_mutex_t lock;
	int64_t made;  /* of `services`; 0 for none */
	struct names services;
	VEC(struct day_list) days;
	VEC(char *) put;     /* marker keys that this process has put or seen: sorted */
};

int markers_put(struct db *db, struct str service, int32_t day, struct error *err);
void markers_done(struct marker_cache *m);

/* ---- ids (ids.c) ---- */

/* The ids of one service and day that are in the store: how a write sees a duplicate. */
struct id_index {
	char *service;
	size_t service_len;
	int32_t day;
	uint64_t generation;      /* of the view it has taken in */
	int64_t used;
	struct idset objects;     /* ulids taken in */
	VEC(struct ulid) object_ids;
	struct idset ids;
	VEC(struct ulid) known;
};

struct id_indexes {
	pthread_mutex_t lock;
	VEC(struct id_index *) v;
};

/* *ret: whether the store (as the current view shows it) has this id of this service. */
int ids_known(struct db *db, struct str service, int32_t day, const struct ulid *id, bool *ret, struct error *err);
void ids_done(struct id_indexes *ids);

/* ---- writing (write.c) ---- */

struct pending;

struct committer {
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct pending *first, *last;
	bool flushing;
};

/* Puts segments of a writer's days and their markers: durable and in the cached view on 0. */
struct segment {
	int32_t day;
	struct block_writer *writer;
	VEC(char *) services; /* NUL-terminated */
};

int segment_put(struct db *db, struct segment *s, struct error *err);
int segment_add(struct segment *s, const struct profile *p, const struct profile_meta *meta, struct error *err);
void segment_done(struct segment *s);

/* Fills service, labels, time, id; the hash is computed here. */
int write_prepare(const struct db_write *w, struct profile_meta *meta, struct error *err);

/* ---- the database ---- */

/* The decoded state of one day's catalog, kept while its newest version is the same. */
struct catalog_cache {
	int32_t day;
	struct catalog_state state;
	struct arena arena;
};

struct db {
	struct store *store;
	char *tenant;
	struct pool *pool;
	const struct log *log;

	pthread_mutex_t view_lock; /* guards view, and orders refreshes */
	struct view *view;
	uint64_t generation;
	VEC(struct catalog_cache) catalogs; /* under view_lock */

	struct cache cache;
	struct marker_cache markers;
	struct id_indexes ids;
	struct committer committer;
	atomic_bool format_known;
};

/* FORMAT is there and readable; a writable store without one gets it. */
int db_need_format(struct db *db, struct error *err);
