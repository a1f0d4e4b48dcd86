/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The interner's index: a set of 32-bit ids found by a 64-bit hash (open addressing, linear probing, load below
 * 3/4). The keys live with the caller, who confirms each candidate; 32 bits of the hash are kept beside the id, so
 * that a candidate is nearly always the right one and a slot takes 8 bytes.
 *
 *     for (struct idset_probe p = idset_probe(set, hash); idset_next(set, &p);)
 *             if (key_equal(keys[p.id], key))
 *                     return p.id;
 *     idset_add(set, hash, id);
 */

#include "err.h"

#define IDSET_NONE UINT32_MAX

struct idset_slot {
	uint32_t hash; /* folded; its low bits are the place */
	uint32_t id;   /* IDSET_NONE: free */
};

struct idset {
	struct idset_slot *slots;
	size_t mask, count; /* mask + 1 slots; slots NULL while empty */
};

struct idset_probe {
	size_t at;
	uint32_t hash, id;
};

void idset_done(struct idset *s);

/* Adds an id under a hash (which may be there already, for another key). 0 or -ENOMEM. */
int idset_add(struct idset *s, uint64_t hash, uint32_t id);

/* Forgets all ids and keeps the memory. */
void idset_clear(struct idset *s);

static inline size_t idset_bytes(const struct idset *s)
{
	return s->slots ? (s->mask + 1) * sizeof *s->slots : 0;
}

static inline uint32_t idset_fold(uint64_t hash)
{
	return (uint32_t)(hash ^ hash >> 32);
}

static inline struct idset_probe idset_probe(const struct idset *s, uint64_t hash)
{
	uint32_t folded = idset_fold(hash);
	return (struct idset_probe){ folded & s->mask, folded, IDSET_NONE };
}

static inline bool idset_next(const struct idset *s, struct idset_probe *p)
{
	if (!s->slots)
		return false;
	for (;;) {
		const struct idset_slot *slot = &s->slots[p->at];
		if (slot->id == IDSET_NONE)
			return false;
		p->at = (p->at + 1) & s->mask;
		if (slot->hash == p->hash) {
			p->id = slot->id;
			return true;
		}
	}
}
