/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One dataset while it is written: the interned tables, and the translation of one profile's indices into theirs.
 *
 * A location is the same wherever its mapping lies in memory: its address is kept relative to the mapping's file.
 * Where that cannot be undone from the profile's list of mappings (addresses outside of them, ambiguous ranges,
 * generated code that has no file), the location is EXPLICIT: known by its lines, while mapping and address stand
 * in the details of each profile. Equal locations of one profile are told apart by an ordinal.
 */

#include "block.h"
#include "intern.h"

/* What the profile at hand has of a location, so that equal ones are told apart at once. */
struct location_use {
	uint32_t profile; /* number of the profile that used it last */
	uint32_t equal;   /* how many more of its locations are the same but for the ordinal */
};

struct build {
	struct intern strings;   /* 0 is "" */
	struct intern labelsets; /* 0 is the empty set */
	struct intern headers, mapsets, series;

	VEC(struct sym_function) functions;
	struct keyset function_ids;
	VEC(struct sym_file) files;
	struct idset file_ids;
	VEC(struct sym_line) lines;
	VEC(struct sym_location) locations;
	VEC(struct location_use) location_uses; /* per location */
	struct keyset location_ids;
	VEC(uint32_t) stack_parent;
	VEC(uint32_t) stack_location;
	struct idset stack_children; /* by parent and location */
	struct keyset stack_whole;   /* by all its locations */
	uint64_t seed;
};

int build_init(struct build *b);
void build_done(struct build *b);
size_t build_memory(const struct build *b);

/*
 * The maps from one profile's indices to the dataset's; memory is reused from profile to profile. All of a table is
 * looked up in runs: first every key of a run is made and prefetched, then each is found. Nearly all that
 * interning costs is waiting for memory, and so the waits overlap.
 */
struct build_map {
	VEC(uint32_t) strings, functions, locations, files; /* ids of the dataset */
	VEC(uint8_t) function_used, location_used; /* by a location; by a sample */
	VEC(uint32_t) first_mapping; /* per mapping: the first one of the same file */
	VEC(uint32_t) explicit_locations; /* of this profile: indices of p->locations */
	uint32_t number;             /* of the profile, for location_uses */
	VEC(struct hash_key) keys;   /* of one run */
	VEC(struct sym_location) syms; /* of one run */
	VEC(struct sym_line) lines;  /* of theirs */
	VEC(uint32_t) path;          /* one stack's locations */
	VEC(uint64_t) words;         /* one location, as it is hashed */
	struct buf scratch;
};

void build_map_init(struct build_map *m);
void build_map_done(struct build_map *m);
/* Interns the profile's strings, mappings, functions and locations. 0 or -ENOMEM. */
int build_map_start(struct build *b, struct build_map *m, const struct profile *p);
/* Interns all stacks: ret has n_samples entries. */
int build_stacks(struct build *b, struct build_map *m, const struct profile *p, uint32_t *ret);

/* Ids of the dataset for records of the profile; IDSET_NONE when out of memory. */
uint32_t build_labelset(struct build *b, struct build_map *m, const struct profile *p, size_t sample);
uint32_t build_header(struct build *b, struct build_map *m, const struct profile *p);
uint32_t build_mapset(struct build *b, struct build_map *m, const struct profile *p);
uint32_t build_series(struct build *b, struct build_map *m, const struct profile_meta *meta);

/* Ids of the dataset for rows of its own numbering; IDSET_NONE when out of memory. */
uint32_t build_add_function(struct build *b, const struct sym_function *f);
uint32_t build_add_file(struct build *b, const struct sym_file *f);
uint32_t build_add_location(struct build *b, struct build_map *m, const struct sym_location *l,
                            const struct sym_line *lines);
uint32_t build_add_stack(struct build *b, uint32_t parent, uint32_t location);

/* The tables as sections (raw); see docs/format.md. */
void build_encode_functions(const struct build *b, struct buf *out);
void build_encode_files(const struct build *b, struct buf *out);
void build_encode_locations(const struct build *b, struct buf *out);
void build_encode_stacks(const struct build *b, struct buf *out);

/* Where a mapping's range holds a file address. A mapping without a limit holds all from its offset on. */
static inline bool mapping_holds(uint64_t start, uint64_t limit, uint64_t offset, uint64_t file_address)
{
	return file_address >= offset && (limit <= start || file_address - offset < limit - start);
}
