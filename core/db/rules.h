/* SPDX-License-Identifier: MIT */
#pragma once

/* The relabelling rules of a tenant: the member "relabel" of its settings, compiled. */

#include "../base/clock.h"
#include "settings.h"

#define RULES_MEMBER "relabel"
#define RULES_MAX_AGE (30 * NS_PER_S)

/* Immutable; counted references. */
struct rules;

/*
 * The rules as settings that are at most RULES_MAX_AGE old have them: one request in that time, none where they are
 * known. New reference. ERR_CORRUPT_LAYOUT where they are no rules.
 */
int rules_get(struct db *db, struct rules **ret, struct error *err);
const struct relabel *rules_relabel(const struct rules *r);
void rules_unref(struct rules *r);
DEFINE_CLEANUP(struct rules *, rules_unref);

/* Sets them, once they are seen to be good; an empty text or array removes them. Other writers follow soon. */
int rules_set(struct db *db, struct str json, struct error *err);
