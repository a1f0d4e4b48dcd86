/* SPDX-License-Identifier: MIT */
#pragma once

/* Writes the kept profiles of the inputs, each id of a service once, into one object. */

#include "block.h"

struct merge_input {
	struct block *block; /* borrowed for the call, and used by nobody else meanwhile: its tables are unloaded */
};

struct merge_options {
	unsigned level;
	/* NULL: all. Deletion, splitting by service or time. */
	bool (*keep)(void *ctx, struct str service, const struct ulid *id, int64_t time);
	/* Whether this service's dataset may bear rollups. NULL: none. */
	bool (*rollup)(void *ctx, struct str service);
	/*
	 * The symbols that this service's are to begin with and be compressed against: ret_shared is borrowed until
	 * the end, and may be NULL. NULL: none, and the block is of the plain version.
	 */
	int (*shared)(void *ctx, struct str service, struct dataset **ret_shared, struct shared_name *ret_name,
	              struct error *err);
	void *ctx;
	size_t memory; /* the cap: ERR_LIMIT_MEMORY with a sentence where it cannot hold; 0: none */
	const struct cancel *cancel;
};

struct merge_sink {
	int (*write)(void *ctx, const void *data, size_t n, struct error *err);
	void *ctx;
};

struct merge_result {
	uint64_t size, profiles, duplicates; /* size 0: nothing was kept, and nothing written */
};

/*
 * Appends what the symbols of a dataset would be as shared ones: a block of its own. Only what stacks name: no texts of
 * labels, which no other day has. The dataset's tables are loaded, and unloaded. time: what it stands for.
 */
int shared_make(struct dataset *d, int64_t time, struct buf *out, struct error *err);

/* Inputs are in view order: of profiles with one id, the first input's is written. */
int block_merge(const struct merge_input *in, size_t n, const struct merge_options *o, const struct merge_sink *out,
                struct merge_result *ret, struct error *err);
