/* SPDX-License-Identifier: MIT */
#pragma once

/* How a day's catalog is changed: see commit.c. */

#include "day.h"

struct commit_input {
	struct ulid ulid;
	bool is_block;
};

/* One change of one day; everything is borrowed for the call. */
struct commit {
	int32_t day;
	const struct catalog_block *added;  /* durable objects that become live */
	size_t n_added;
	const struct commit_input *inputs;  /* live objects that become dropped */
	size_t n_inputs;
	const struct ulid *condemned;       /* blocks that no catalog names and that nobody shall commit any more */
	size_t n_condemned;
	const struct ulid *gone;            /* dropped names that a LIST at gone_at did not show */
	size_t n_gone;
	int64_t gone_at;
	const struct ulid *forgotten;       /* dropped names that have been gone for long enough */
	size_t n_forgotten;
};

enum commit_result {
	COMMIT_DONE,      /* it counts, or there was nothing left to do */
	COMMIT_ABANDONED, /* an input or output is dropped, or bases would overlap: nothing was changed */
};

/*
 * base: the state of the view that the inputs were taken from; NULL where the day had no catalog then. Returns an enum
 * commit_result or an error. After ERR_STORE_UNKNOWN the change may still come to count: nothing of it may be removed.
 */
int db_commit(struct db *db, const struct commit *c, struct day_state *base, struct error *err);

/* A fresh look at one day: what is listed, then what its catalog says of it. */
struct look {
	struct day_state *state;       /* the newest; the empty one where the day has no catalog */
	VEC(struct version_ref) versions; /* as listed: newest first */
	VEC(struct live *) segments;   /* as listed, dropped ones too: by ulid */
	int64_t took;                  /* from before its first LIST until the catalog had arrived */
};

int look_at(struct db *db, int32_t day, struct look *ret, struct error *err);
void look_done(struct look *l);
#define _look_ _cleanup_(look_done)
const struct live *look_segment(const struct look *l, const struct ulid *ulid);
