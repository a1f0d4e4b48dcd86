/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Row groups: the samples of some profiles of one header, as streams that are compressed independently, so that a
 * query reads the stacks and one type's values and nothing else.
 */

#include "build.h"
#include "layout.h"

#define ROWGROUP_BYTES ((size_t)96 << 10) /* raw; then a group is closed */
#define ROWGROUP_PROFILES 1024

/* A group that still takes profiles. */
struct rowgroup {
	uint32_t header, number; /* its number within the dataset */
	uint32_t n_profiles, n_types;
	bool has_labels, has_details;
	struct buf stacks, labels, details;
	struct buf *values; /* n_types */
};

int rowgroup_init(struct rowgroup *g, uint32_t header, uint32_t number, uint32_t n_types);
void rowgroup_done(struct rowgroup *g);
size_t rowgroup_bytes(const struct rowgroup *g);

/* Samples in their final order. values[i * n_types + t]. */
struct rowgroup_samples {
	uint32_t n;
	const uint32_t *stacks, *labelsets;
	const int64_t *values;
	const int64_t *divisors; /* per type, at least 1 */
	struct slice details;
};

/*
 * Label sets that no profile had before are numbered one after the other: 0 stands for none, 1 for the one above all
 * that the profile had so far, else the number + 1. *top: the highest so far; 0 at a profile's beginning.
 */
static inline uint64_t labelset_code(uint32_t set, uint32_t *top)
{
	uint64_t code = !set ? 0 : *top && set == *top + 1 ? 1 : (uint64_t)set + 1;
	*top = MAX(*top, set);
	return code;
}

/* The label set of a code. */
static inline uint64_t labelset_of(uint64_t code, uint32_t *top)
{
	uint64_t set = code == 1 ? (uint64_t)*top + 1 : code ? code - 1 : 0;
	*top = (uint32_t)MAX((uint64_t)*top, MIN(set, (uint64_t)UINT32_MAX));
	return set;
}

int rowgroup_add(struct rowgroup *g, const struct rowgroup_samples *s);

/* Appends the compressed streams to samples and their description to index. */
int rowgroup_close(struct rowgroup *g, int level, struct buf *samples, struct buf *index);

/* Appends a stream, compressed where that is smaller, and its description. */
void stream_put(uint8_t kind, const struct buf *raw, int level, struct buf *samples, struct buf *index);

/* ---- reading the index ---- */

struct stream {
	uint8_t kind;    /* enum stream_kind */
	uint8_t codec;
	int copy_of;     /* index of the equal stream, or -1 */
	uint64_t off;    /* from the start of SAMPLES */
	uint32_t stored, raw;
	uint64_t hash;
};

struct group_entry {
	uint32_t header, n_profiles, n_streams;
	struct stream *streams; /* in the arena */
};

/*
 * Decodes the i-th stream's description into s; all: the streams before it. *off moves on; the region that streams lie
 * in has samples_len bytes. false where it does not fit.
 */
bool stream_decode(struct cursor *c, uint32_t i, uint64_t *off, uint64_t samples_len, struct stream *s,
                   const struct stream *all);

/* Decodes the whole index; samples_len bounds the offsets. */
int rowgroup_index_decode(struct slice in, uint64_t samples_len, struct arena *arena, struct group_entry **ret,
                          uint32_t *ret_n);
