/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * All base profiles of one program and type, merged into one pool of stacks; and profiles that are made of some of its
 * stacks.
 */

#include "../../core/base/idset.h"
#include "../../core/profile/label.h"
#include "../../core/profile/profile.h"

#define PROFILE_BYTES_MAX ((size_t)256 << 20)

struct pool_set {
	struct profile p; /* strings, functions, locations and stacks are unique; labels are numeric ones only */
	struct idset strings, functions, locations, mappings, samples;
};

int pool_init(struct pool_set *pool);
void pool_done(struct pool_set *pool);
/* Adds a profile of the same types: values of equal stacks add up. */
int pool_merge(struct pool_set *pool, const struct profile *src, struct error *err);
/* Reads a file and merges what it holds. */
int pool_merge_file(struct pool_set *pool, const char *path, struct error *err);
/* The index of a string, added where it is new; PROFILE_NONE out of memory. */
uint32_t pool_string(struct pool_set *pool, struct str s);

/* One profile that takes samples of a pool, with only the symbols it needs. One per thread; used again and again. */
struct subset {
	const struct profile *base; /* borrowed */
	struct profile out;
	uint32_t *strings, *functions, *locations; /* of base, as numbered in out; PROFILE_NONE: not yet there */
	size_t max_strings, max_functions, max_locations;
	bool failed;                               /* out of memory */
};

int subset_init(struct subset *s);
void subset_done(struct subset *s);
/* Begins a profile. */
int subset_begin(struct subset *s, const struct profile *base);
/* Adds the base's sample i with other values, its numeric labels and these labels. */
void subset_add(struct subset *s, size_t i, const int64_t *values, const struct label *labels, size_t n_labels);
/* 0 where the profile is whole. */
int subset_end(struct subset *s);

uint64_t fnv1a(uint64_t h, const void *data, size_t n);
#define FNV_START 0xcbf29ce484222325u
