/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One version of the catalog of a UTC day, as bytes: which blocks become live, and which names are dropped (never to
 * be live again) or forgotten. docs/format.md "Catalogs" is normative. What a number of versions make together is a
 * day_state (day.h).
 */

#include "../base/arena.h"
#include "../base/buf.h"
#include "../base/ulid.h"
#include "../base/vec.h"
#include "../block/block.h"

#define CATALOG_MAX ((size_t)256 << 20)
#define CATALOG_WHOLE_EVERY 64
#define CATALOG_WRITER_LEN 16

/* A live block: what `ls`, `du` and the planner need to know without opening it. */
struct catalog_block {
	struct ulid ulid;
	uint64_t size;
	uint8_t level;
	struct slice services; /* records of its datasets, as catalog_put_service() writes them; borrowed */
};

enum dropped_kind { DROPPED_SEGMENT, DROPPED_BLOCK };

/* Times are the store's. */
struct catalog_dropped {
	struct ulid ulid;
	uint8_t kind;
	int64_t since; /* when the version that dropped it was put; 0: that is the version at hand */
	int64_t gone;  /* when a LIST no longer showed the object; 0: none has yet */
};

struct catalog_drops {
	struct catalog_dropped *v;
	size_t n, cap;
};

/* One version as it is stored. */
struct catalog_version {
	uint64_t version;
	bool whole;                            /* the whole state, else what changes in the one before */
	uint8_t writer[CATALOG_WRITER_LEN];    /* random: whose this is, after a put of unknown outcome */
	VEC(struct catalog_block) added;
	struct catalog_drops dropped;          /* also names dropped before, of which a LIST says that they are gone */
	VEC(struct ulid) forgotten;
	uint8_t *raw;                          /* of a decoded one: what `added` borrows */
};

int catalog_encode(const struct catalog_version *v, struct buf *out);
/* ERR_CORRUPT_* or ERR_NEWER with a sentence. */
int catalog_decode(struct slice in, struct catalog_version *ret, struct error *err);
void catalog_version_done(struct catalog_version *v);

/* One dataset of a block: everything of its info. */
void catalog_put_service(struct buf *out, const struct dataset_info *info);
/* Reads all records. Texts and arrays go to the arena. 0, -ENOMEM or ERR_CORRUPT_LAYOUT. */
int catalog_get_services(struct slice records, struct arena *arena, struct dataset_info **ret, size_t *ret_n);
