/* SPDX-License-Identifier: MIT */
#pragma once

/* Byte strings that are stored once each and known by a dense id, in order of first use. */

#include "../base/buf.h"
#include "../base/idset.h"
#include "../base/keyset.h"
#include "../base/vec.h"

struct intern {
	struct buf bytes;
	VEC(uint32_t) at; /* where each begins; the end of the last is bytes.len */
	struct keyset ids;
	uint64_t seed;
};

#define INTERN_MAX_BYTES ((size_t)1 << 31)

void intern_init(struct intern *in, uint64_t seed);
void intern_done(struct intern *in);
/* The id of these bytes, new or known; IDSET_NONE when out of memory or over INTERN_MAX_BYTES. */
uint32_t intern_id(struct intern *in, const void *data, size_t n);
/* The same where the key was made (and prefetched) before. */
uint32_t intern_keyed(struct intern *in, const void *data, size_t n, struct hash_key key);
struct slice intern_get(const struct intern *in, uint32_t id);
size_t intern_memory(const struct intern *in);
/* Appends the lengths as one column and the bytes behind it. */
void intern_encode(const struct intern *in, struct buf *out);
