/* SPDX-License-Identifier: MIT */
#pragma once

/* Byte strings that are stored once each and known by a dense id, in order of first use. */

#include "../base/buf.h"
#include "../base/idset.h"
#include "../base/vec.h"

struct intern_entry {
	uint32_t at;    /* where it begins; the end of the last is bytes.len */
	uint32_t check; /* see hash_key() */
};

struct intern {
	struct buf bytes;
	VEC(struct intern_entry) entries;
	struct idset ids;
	uint64_t seed;
};

#define INTERN_MAX_BYTES ((size_t)1 << 31)

void intern_init(struct intern *in, uint64_t seed);
void intern_done(struct intern *in);
/* The id of these bytes, new or known; IDSET_NONE when out of memory or over INTERN_MAX_BYTES. */
uint32_t intern_id(struct intern *in, const void *data, size_t n);
struct slice intern_get(const struct intern *in, uint32_t id);
size_t intern_memory(const struct intern *in);
/* Appends the lengths as one column and the bytes behind it. */
void intern_encode(const struct intern *in, struct buf *out);
