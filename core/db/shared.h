/* SPDX-License-Identifier: MIT */
#pragma once

/* Symbols that a service's days share: which there are, and their life. See shared.c. */

#include "../block/merge.h"
#include "internal.h"

#define SHARED_DAY 2932896 /* 9999-12-31: no profile's */
#define SHARED_GRACE (7 * NS_PER_DAY) /* longer than anybody sleeps before a commit */

/* What a source of bytes needs to know of them: struct source. Reads no catalog. */
int shared_with(struct db *db, const struct shared_name *name, struct str service,
                int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err);

/* Whether a live block names them. */
bool shared_is_named(const struct view *v, const struct ulid *ulid);
/* Whether there are some that no live block names. */
bool shared_any_unnamed(const struct view *v);

/* ---- of a merge ---- */

struct shared_entry {
	struct str service;
	int64_t time;              /* what they stand for: the day they were made from */
	struct shared_name name;
	struct block *block;       /* while its service is merged */
	uint64_t rows;             /* raw bytes of its tables; 0: it was not opened */
	bool refused;              /* damaged, or outgrown: not for this merge */
};

/* Those of each service that are nearest to the day, or those that the merge has made. */
struct shared_choice {
	struct db *db;
	const struct view *view;
	int32_t day;
	VEC(struct shared_entry) v;
};

/* v is borrowed until shared_choice_done(). */
int shared_choose(const struct view *v, int32_t day, struct shared_choice *ret);
void shared_choice_done(struct shared_choice *c);
struct shared_entry *shared_find(struct shared_choice *c, struct str service);
/* For struct merge_options: *ret NULL where the service has none that can be used. */
int shared_give(struct shared_choice *c, struct str service, struct dataset **ret, struct shared_name *ret_name,
                struct error *err);

/*
 * Makes shared symbols for those datasets of a merged day for which it pays, puts them, commits them, and adds them to
 * the choice. *ret: whether there are any new ones. When it returns, these may be named by a commit.
 */
int shared_renew(struct shared_choice *c, struct block *merged, bool *ret, struct error *err);
/* Whether a dataset has outgrown its shared symbols, by its own or by all that it holds. They are then refused. */
bool shared_outgrown(struct shared_choice *c, struct block *merged, size_t dataset);
