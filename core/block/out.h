/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * An object while it is written: datasets of rows, row groups and tables, put out section by section through a sink.
 * block_writer (profiles in) and block_merge() (datasets in) fill it.
 */

#include "../base/hash.h"
#include "merge.h"
#include "rowgroup.h"

#define LEVEL_SEGMENT 3  /* zstd's, for what is soon merged */
#define LEVEL_BLOCK 12

/* Where bytes go, and how many went. A failure sticks. */
struct out {
	const struct merge_sink *sink;
	uint64_t off;
	int result;
	struct error *err;
	int level;
	uint32_t version; /* of the block's format */
};

void out_bytes(struct out *o, const void *data, size_t n);

struct out_row {
	int64_t time, duration;
	uint32_t series, header, mapset, n_samples, group;
	uint8_t time_source;
	uint8_t hash[PROFILE_HASH_LEN];
};

/* What the footer says of a header. */
struct header_note {
	uint32_t n_types, kind;
	uint32_t *types; /* type and unit of each: strings of the dataset */
	uint64_t profiles;
};

struct section_out {
	uint8_t kind, codec;
	uint64_t off, stored, raw, hash;
};

struct sections {
	struct section_out v[SECTION_KINDS];
	size_t n;
};

struct out_dataset {
	char *service;
	size_t service_len;
	int level; /* zstd's */
	struct build build;
	VEC(struct out_row) rows;
	VEC(int64_t) totals, divisors; /* n_types per row */
	VEC(struct header_note) headers;
	VEC(struct rowgroup) open;     /* one per header that has one */
	struct buf samples, index;     /* of closed groups */
	uint32_t n_groups;
	uint64_t n_samples, bytes_in;
	/* where closed groups go at once; NULL: they stay in `samples` until the end */
	struct out *stream;
	uint64_t samples_off, samples_len;
	XXH3_state_t *samples_hash;
	/* set by who writes rollups, in the form of their sections */
	struct buf rollups, cells;
	/* what its symbols begin with, number by number, and are compressed against; NULL */
	struct dataset *shared;
	struct shared_name shared_name;
};

int out_dataset_new(struct str service, int level, struct out_dataset **ret);
void out_dataset_free(struct out_dataset *d);
DEFINE_CLEANUP(struct out_dataset *, out_dataset_free);
size_t out_dataset_memory(const struct out_dataset *d);

/* Notes a header's types once, when its first profile comes: numbers as in d->build.headers. 0 or -ENOMEM. */
int out_dataset_header(struct out_dataset *d, uint32_t header, const struct value_type *types, uint32_t n_types,
                       uint32_t kind);

/*
 * Adds a row (its group is filled in later) with its samples in their final order, totals and divisors of n types
 * each.
 */
int out_dataset_add(struct out_dataset *d, const struct out_row *row, const struct rowgroup_samples *s,
                    const int64_t *totals, uint64_t bytes_in);

/* Closes the groups and writes the sections. */
int out_dataset_put(struct out *o, struct out_dataset *d, struct sections *s);
/* Writes the sections of symbols alone. */
void out_dataset_symbols(struct out *o, struct out_dataset *d, struct sections *s);
/* Appends what the footer says of the dataset. */
int out_dataset_info(struct buf *footer, const struct out_dataset *d, uint32_t version, const struct sections *s);
/* The same of shared symbols, which stand for the time they were made at. */
void out_shared_info(struct buf *footer, const struct out_dataset *d, int64_t time, const struct sections *s);

void out_magic(struct out *o);
void out_trailer(struct out *o, const struct buf *footer);
