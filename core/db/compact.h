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
	int64_t collect_every; /* ns at least between two collections; 0: each pass collects */
	bool poll;        /* background: looks for what others wrote, with back-off from 2 s to 60 s */
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

/* ---- in the background ---- */

/*
 * A thread that makes passes: a few seconds after this process wrote, or a view that it was asked for showed new
 * segments, and when something comes due; at least ten seconds apart. An idle store is sent no request, unless
 * options say poll. db must outlive it. collect_every is 60 s where it is 0.
 */
struct background;

struct background_status {
	int64_t last_pass;     /* clock_now(); 0: none yet */
	uint64_t merges, profiles, removed;
	char error[256];       /* of the last pass; "" where it went well */
};

int background_start(struct db *db, const struct compact_options *o, struct background **ret);
void background_stop(struct background *b); /* gives up a merge at hand */
/* The same, but leaves it as it is (false) where it does not end within so many ns: the store does not answer. */
bool background_stop_within(struct background *b, int64_t ns);
DEFINE_CLEANUP(struct background *, background_stop);
void background_status(struct background *b, struct background_status *ret);
