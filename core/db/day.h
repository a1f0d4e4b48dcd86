/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a day's catalog says after a number of versions: an immutable snapshot, shared by the views that hold it. The
 * next version makes a new one, which shares the blocks that stay.
 */

#include <stdatomic.h>

#include "catalog.h"
#include "db.h"

/* A live object, shared by the views and states that hold it. */
struct live {
	struct object object;
	char *filter;       /* of a segment; NULL for a block */
	atomic_uint refs;
	uint64_t *services; /* of a block: hashes of their names, sorted */
	size_t n_services;
	struct ulid *shared; /* of a block: the shared symbols that its services name */
	size_t n_shared;
	uint8_t *packed;    /* of a block: its services' records, one zstd frame */
	size_t packed_len, raw_len;
};

struct live *live_segment(int32_t day, const struct ulid *ulid, char *key, const struct store_stat *st,
                          const char *filter); /* takes key, which may be NULL; NULL without memory */
/* 0, -ENOMEM or ERR_CORRUPT_LAYOUT. */
int live_block(const char *tenant, int32_t day, const struct catalog_block *b, struct live **ret);
struct live *live_ref(struct live *l);
void live_unref(struct live *l);
/* Whether it may hold the service; for a block, whether it does. */
bool live_may_hold(const struct live *l, struct str service);
/* What the catalog says of a block's datasets; texts and arrays go to the arena. */
int live_infos(const struct live *l, struct arena *arena, struct dataset_info **ret, size_t *ret_n);
/* The records that live_infos() decodes: new. */
int live_records(const struct live *l, uint8_t **ret);

struct day_state {
	atomic_uint refs;
	int32_t day;
	uint64_t version;            /* 0: there is no catalog yet */
	int64_t mtime;               /* of that version */
	uint64_t whole;              /* the last whole version up to it */
	struct live **blocks;        /* by ulid */
	size_t n_blocks;
	struct catalog_dropped *dropped; /* by ulid; `since` is never 0 */
	size_t n_dropped;
};

/* The state before any version. NULL without memory. */
struct day_state *day_state_empty(int32_t day);
struct day_state *day_state_ref(struct day_state *s);
void day_state_unref(struct day_state *s);
DEFINE_CLEANUP(struct day_state *, day_state_unref);

/*
 * Applies the version that follows `old` (any, where it is whole); mtime is the store's time of its object. What was
 * ever dropped and not forgotten stays dropped, whatever a version adds. New. -ENOMEM or ERR_CORRUPT_LAYOUT.
 */
int day_state_apply(const char *tenant, const struct day_state *old, const struct catalog_version *v, int64_t mtime,
                    struct day_state **ret);
const struct catalog_dropped *day_state_dropped(const struct day_state *s, const struct ulid *ulid);
struct live *day_state_block(const struct day_state *s, const struct ulid *ulid); /* borrowed; NULL: not live */

/* A listed version of a day. */
struct version_ref {
	int32_t day;
	uint64_t version;
	int64_t mtime;
};

/*
 * The state of the newest of the listed versions (newest first; all of one day): those that follow `known` (may be
 * NULL), or the last whole one, are read. New reference. ERR_STALE where a version went away meanwhile.
 */
int day_state_read(struct db *db, struct day_state *known, const struct version_ref *refs, size_t n,
                   struct day_state **ret, struct error *err);

static inline int ulid_cmp(const struct ulid *a, const struct ulid *b)
{
	return __builtin_memcmp(a->b, b->b, sizeof a->b);
}

int ulid_order(const void *a, const void *b); /* for qsort and bsearch */
