/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Compaction, retention and collection: a pass over the store, or a thread that makes one whenever there is something
 * to do. Any number of processes may do so at once.
 */

#include "db.h"

struct compact_options {
	bool settle;      /* merge all that can be merged, else what is due */
	int64_t grace;    /* ns for which dropped blocks stay; 0: 15 min */
	size_t memory;    /* cap of one merge; 0: 256 MiB */
	const struct cancel *cancel;
};

struct compact_report {
	uint64_t merges, inputs, outputs, profiles, duplicates, bytes_in, bytes_out, abandoned;
	uint64_t removed, condemned, forgotten, damaged, expired;
	int64_t next; /* ns from now until something comes due without anything new; 0: never */
};

struct compactor;

int compactor_new(struct db *db, const struct compact_options *o, struct compactor **ret);
void compactor_free(struct compactor *c);
DEFINE_CLEANUP(struct compactor *, compactor_free);
/* One pass: what is due is merged, then what is due is collected. Adds to the report. One thread at a time. */
int compactor_pass(struct compactor *c, struct compact_report *report, struct error *err);
