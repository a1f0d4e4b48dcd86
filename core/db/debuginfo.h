/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Debug information: symbols of native code by build id, as objects TENANT/dbg/ID.KIND that never change. A view knows
 * which there are, once a query asks; from then on they are listed with it, at most once a minute. Who only writes
 * never lists them.
 */

#include "../debug/debug.h"
#include "db.h"

struct debuginfo {
	struct debug_facts facts;
	bool known; /* the store had it: nothing was put */
};

/*
 * Stores the symbols of an ELF file once per build: durable on 0. Symbols with lines (DWARF) go before those without,
 * whichever comes first. Errors as debug_read() has them.
 */
int debuginfo_add(struct db *db, int fd, struct debuginfo *ret, struct error *err);

/* All that is stored, by build id. A negative return stops and is the result. */
typedef int (*debuginfo_fn)(void *ctx, const char *build_id, bool dwarf, const struct store_stat *st);
int debuginfo_list(struct db *db, debuginfo_fn fn, void *ctx, struct error *err);

/*
 * Removes what is stored of a build id (lower-case hex): its frames are bare again, in other processes within a minute.
 * ERR_STORE_NOT_FOUND where nothing is.
 */
int debuginfo_remove(struct db *db, const char *build_id, struct error *err);

/* Before the first of what follows: a view that does not know what there is finds out, once. Thread safe. */
int view_need_debug(struct view *v, struct error *err);
/* What a view knows: 0 where that is nothing, else a hash of it. */
uint64_t view_debug_print(const struct view *v);

/* A table in use: counted, and in this process's cache. */
struct debug_shared;

/*
 * The table of a mapping's build ids (several kinds, separated by blanks). New reference; NULL where none is known, or
 * it is damaged.
 */
int view_debug_table(struct view *v, struct str build_ids, struct debug_shared **ret, struct error *err);
const struct debug_table *debug_shared_table(const struct debug_shared *s);
void debug_shared_unref(struct debug_shared *s);
