/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The catalog of one UTC day: which blocks are live, and which names are dropped (never to be live again). A version
 * is an object put if absent; it is a delta to the version before it, or whole (every 64th, and the first).
 * docs/format.md "Catalogs" is normative for the bytes.
 */

#include "../base/buf.h"
#include "../base/idset.h"
#include "../base/ulid.h"
#include "../base/vec.h"
#include "../profile/label.h"

#define CATALOG_MAX ((size_t)256 << 20)
#define CATALOG_WHOLE_EVERY 64

struct catalog_service {
	struct str service;
	uint64_t profiles, bytes;
	int64_t min_time, max_time;
};

struct catalog_block {
	struct ulid ulid;
	uint64_t size;
	uint8_t level;
	struct catalog_service *services; /* owned */
	size_t n_services;
};

enum dropped_kind { DROPPED_SEGMENT, DROPPED_BLOCK };

struct catalog_dropped {
	struct ulid ulid;
	uint8_t kind;
	int64_t since; /* the store's time of the version that dropped it */
};

struct catalog_drops {
	struct catalog_dropped *v;
	size_t n, cap;
};

/* One version as it is stored. */
struct catalog_version {
	uint64_t version;
	bool whole;
	uint8_t writer[16];           /* random: whose this is, after a put of unknown outcome */
	VEC(struct catalog_block) added;
	struct catalog_drops dropped;
	struct catalog_drops forgotten; /* dropped names that no LIST has shown for long enough */
	struct arena *arena;          /* texts */
};

int catalog_encode(const struct catalog_version *v, struct buf *out);
/* Texts go to the arena. ERR_CORRUPT_* with a sentence. */
int catalog_decode(struct slice in, struct arena *arena, struct catalog_version *ret, struct error *err);
void catalog_version_done(struct catalog_version *v);

/* The state of a day after a number of versions. */
struct catalog_state {
	uint64_t version;
	bool any;
	VEC(struct catalog_block) live;
	struct catalog_drops dropped;
};

/*
 * Applies the next version (a whole one replaces what is there). A block dropped in this or an earlier version stays
 * dropped. Blocks are moved out of v.
 */
int catalog_apply(struct catalog_state *s, struct catalog_version *v);
void catalog_state_done(struct catalog_state *s);
bool catalog_is_dropped(const struct catalog_state *s, const struct ulid *ulid);
