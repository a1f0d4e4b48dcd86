/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * From one input dataset's numbers to the output's. What is asked for is interned when it is first asked for, so that
 * the output holds nothing that none of its profiles needs.
 */

#include "out.h"
#include "reader.h"

struct merge_map {
	struct dataset *dataset;
	const struct symbols *symbols;
	const struct labelsets *sets;
	const struct profiles *profiles;
	struct out_dataset *out;
	struct build_map *scratch; /* shared by the inputs; not their own */
	uint32_t *strings, *functions, *files, *locations, *stacks, *labelsets, *headers, *mapsets, *series;
	VEC(uint32_t) path;
};

/* Loads the input's tables. */
int merge_map_init(struct merge_map *m, struct dataset *d, struct out_dataset *out, struct build_map *scratch,
                   struct error *err);
void merge_map_done(struct merge_map *m);
size_t merge_map_memory(const struct merge_map *m);

/* Each gives the output's number; IDSET_NONE: out of memory. */
uint32_t merge_stack(struct merge_map *m, uint32_t stack);
uint32_t merge_labelset(struct merge_map *m, uint32_t set);
uint32_t merge_header(struct merge_map *m, uint32_t header);
uint32_t merge_mapset(struct merge_map *m, uint32_t mapset);
uint32_t merge_series(struct merge_map *m, uint32_t series);

/* Stacks that were asked for have new numbers: number[old]. */
void merge_map_renumber(struct merge_map *m, const uint32_t *number);

/* Rewrites a profile's details. 0, -ENOMEM or ERR_CORRUPT_LAYOUT. */
int merge_details(struct merge_map *m, struct slice in, struct buf *out);
