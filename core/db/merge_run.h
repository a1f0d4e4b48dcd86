/* SPDX-License-Identifier: MIT */
#pragma once

/* Carries out one merge: inputs opened, outputs spooled and put, all committed at once. See merge_run.c. */

#include "merge_plan.h"

struct merge_job {
	int32_t day;
	const struct view *view;    /* that the inputs are from, for shared symbols; NULL: the outputs share none */
	struct day_state *base;     /* of the view that the inputs are from; NULL: the day has no catalog yet */
	struct live **inputs;       /* borrowed */
	size_t n_inputs;
	enum block_level level;     /* of the outputs */
	int64_t hours_end;          /* LEVEL_HOUR */
	size_t memory;              /* cap; 0: none */
	unsigned parts;             /* LEVEL_DAY: at least so many of each output, cut by time; 0: as size asks for */
	const struct cancel *cancel;
	/* Deletion: which profiles go. NULL: none. */
	bool (*drop)(void *ctx, struct str service, const struct ulid *id, int64_t time);
	void *ctx;
	struct damaged_set *damaged; /* inputs found damaged are added, and left where they are; may be NULL */
};

/* Objects that this process found damaged: left out of further merges. */
struct damaged_set {
	VEC(struct ulid) v; /* sorted */
};

bool damaged_has(const struct damaged_set *d, const struct ulid *ulid);
void damaged_done(struct damaged_set *d);

struct merge_counts {
	uint64_t merges, inputs, outputs, profiles, duplicates, dropped, bytes_in, bytes_out, abandoned;
};

/*
 * An enum commit_result or an error; counts are added to. Where an input is gone, or an output was condemned, the merge
 * is abandoned: its outputs are orphans. ERR_LIMIT_MEMORY: fewer inputs may fit.
 */
int merge_run(struct db *db, const struct merge_job *job, struct merge_counts *counts, struct error *err);
