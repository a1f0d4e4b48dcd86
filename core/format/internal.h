/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of this folder share. */

#include <sys/random.h>

#include "../base/hash.h"
#include "format.h"

#define FORMAT_MAX_BYTES ((size_t)256 << 20)
#define FORMAT_MAX_TYPES 64

static inline size_t format_max_bytes(const struct format_options *opts)
{
	return opts->max_bytes ? opts->max_bytes : FORMAT_MAX_BYTES;
}

/* What the model of a profile may take in memory: what honest profiles need many times over. */
static inline size_t format_max_model(const struct format_options *opts)
{
	size_t n;
	bool fits = size_mul(format_max_bytes(opts), 2, &n) && size_add(n, (size_t)1 << 20, &n);
	return fits ? n : SIZE_MAX;
}

/* Hash tables over hostile keys are seeded, so that nobody can choose keys that collide. */
static inline uint64_t hash_seed(void)
{
	uint64_t seed = 0;
	if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed)
		seed = (uintptr_t)&seed;
	return seed;
}

static inline uint64_t hash_str(struct str s, uint64_t seed)
{
	return XXH3_64bits_withSeed(s.s, s.len, seed);
}

/*
 * Inputs that are certainly something else than a profile, by their first bytes or lines: ERR_FORMAT_NAMED with what
 * they are and what to do, else 0.
 */
int judge_named(struct slice head, struct error *err);

/* No control characters but white space and escapes in the first few thousand bytes. */
bool judge_is_text(struct slice head);

/* Begins as a JSON object or array does, and as no stack. */
bool judge_is_json(struct slice head);

/* The first line of stacks in a folded text has this number; 0 where none is whole yet. For messages. */
size_t folded_first_line(struct slice head, bool whole);
