/* SPDX-License-Identifier: MIT */
#pragma once

/* Which objects of a day are merged next: see merge_plan.c. Pure: reads no store and no clock. */

#include "day.h"

#define PLAN_OWN_MIN ((uint64_t)64 << 20)   /* from here on a service has blocks of its own */
#define PLAN_BLOCK_MAX ((uint64_t)1 << 30)  /* beyond it a block is split by time */
#define PLAN_INPUTS_MAX 256                 /* of one merge */

enum block_level { LEVEL_SEGMENT, LEVEL_RECENT, LEVEL_HOUR, LEVEL_DAY };

struct merge_plan_options {
	int32_t day;
	int64_t now;   /* the store's */
	bool settle;   /* all that can be merged, now: `compact` once */
};

struct merge_plan {
	VEC(struct live *) inputs; /* borrowed from the objects */
	enum block_level level;
	int64_t hours_end;         /* LEVEL_HOUR: hours that end by then get a block each, the rest one */
};

/* Looks at a day's live objects; ret->inputs is empty where nothing is to be done. -ENOMEM or ERR_CORRUPT_LAYOUT. */
int merge_plan_day(struct live **objects, size_t n, const struct merge_plan_options *o, struct merge_plan *ret);
void merge_plan_done(struct merge_plan *p);
/* When merge_plan_day() may find something to do although nothing new came: the store's time, or 0 for never. */
int64_t merge_plan_next(struct live **objects, size_t n, const struct merge_plan_options *o);
