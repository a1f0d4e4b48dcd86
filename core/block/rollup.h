/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rollups as they are stored (docs/format.md "Rollups"): a directory of kinds, groups and cells, and the cells' sums in
 * groups of some tens of kilobytes, as streams that are compressed by themselves.
 */

#include "reader.h"

#define CELL_GROUP_BYTES ((size_t)32 << 10) /* raw; then a group is closed */

enum rollup_flags { ROLLUP_RUNNING = 1, ROLLUP_INSTANT = 2, ROLLUP_ROLLED = 4 };

/* Where a cell's sums are. */
struct cell_place {
	uint32_t group;
	uint64_t before;          /* entries of the group's cells before it */
	uint32_t n;               /* its entries */
	const uint64_t *divisors; /* by type */
};

struct cell_group {
	uint32_t kind, n_streams;
	struct stream *streams; /* offsets from the start of CELLS */
};

/* Decodes the directory into d->rollups and what stands beside it. Headers and series are there. */
int rollups_load(struct dataset *d, struct slice in);

/* Signed LEB128 (zigzag) of 128 bits: at most 19 bytes. */
void wide_put(struct buf *b, __int128 v);
__int128 wide_get(struct cursor *c);
