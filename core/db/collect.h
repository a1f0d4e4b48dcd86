/* SPDX-License-Identifier: MIT */
#pragma once

/* What dropped and left-over objects become of: see collect.c. */

#include "day.h"

struct collect_options {
	int64_t grace; /* of blocks and versions, ns; 0: 15 min */
};

struct collect_counts {
	uint64_t removed, condemned, forgotten, versions;
	int64_t next; /* the store's time when something of what is there comes due; 0: never */
};

/* Collects one day. 0 or an error; counts are added to. */
int collect_day(struct db *db, int32_t day, const struct collect_options *o, struct collect_counts *counts,
                struct error *err);
/* The days that have something dropped, left over or ended, as far as a view and two LISTs tell: new, ascending. */
int collect_days(struct db *db, const struct view *v, struct days *ret, struct error *err);
