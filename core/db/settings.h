/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A tenant's settings: one JSON object whose members belong to one feature each (retention, relabelling rules,
 * recording rules). It is versioned as catalogs are: the newest of TENANT/set/N holds, and is changed by putting the
 * next one if it is absent. docs/format.md "Settings".
 */

#include "db.h"

#define SETTINGS_MAX ((size_t)16 << 20)

/*
 * Appends the JSON text of a member, nothing where there is none, as the newest settings that are at most max_age ns
 * old say. *ret_version changes with every change of any member; may be NULL. No request where they are known.
 */
int settings_get(struct db *db, const char *member, int64_t max_age, struct buf *out, uint64_t *ret_version,
                 struct error *err);
/* Sets a member to a JSON value, or removes it where that is empty; the others stay as they are. */
int settings_set(struct db *db, const char *member, struct str json, struct error *err);

/*
 * A member that people write: the text it was read from is kept beside it, byte for byte, in the member NAME_text. It
 * holds as long as it reads as the value; who knows nothing of it and sets the value alone makes it worthless.
 */
int settings_set_text(struct db *db, const char *member, struct str json, struct error *err);
/* Appends that text, or else the value and a newline; nothing where there is none. */
int settings_get_text(struct db *db, const char *member, int64_t max_age, struct buf *out, struct error *err);

/* ---- the member "retention" ---- */

struct retention {
	int64_t days;   /* UTC days that are kept, today not counted; 0: no limit */
	uint64_t bytes; /* of all that is stored; 0: no limit */
};

struct service_retention {
	char *service;
	struct retention r;
};

struct retentions {
	struct retention store;
	VEC(struct service_retention) services;
};

int retention_get(struct db *db, int64_t max_age, struct retentions *ret, struct error *err);
/* Of a service, or (NULL) of the store. Zeros remove it. */
int retention_set(struct db *db, const char *service, const struct retention *r, struct error *err);
void retentions_done(struct retentions *r);
#define _retentions_ _cleanup_(retentions_done)
