/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The index of an interning table: ids by hash_key (open addressing, linear probing, load below 3/4). Two equal
 * hash_keys stand for equal keys, so a look-up touches one slot and nothing else; keyset_prefetch() ahead of a row
 * of look-ups lets their cache misses overlap.
 */

#include "err.h"
#include "hash.h"

#define KEYSET_NONE UINT32_MAX

struct keyset_slot {
	uint64_t hash;
	uint32_t check, id; /* id KEYSET_NONE: free */
};

struct keyset {
	struct keyset_slot *slots;
	size_t mask, count; /* mask + 1 slots; slots NULL while empty */
};

void keyset_done(struct keyset *s);
/* Forgets all keys and keeps the memory. */
void keyset_clear(struct keyset *s);
/* Adds a key that is not there. 0 or -ENOMEM. */
int keyset_add(struct keyset *s, struct hash_key key, uint32_t id);

static inline size_t keyset_bytes(const struct keyset *s)
{
	return s->slots ? (s->mask + 1) * sizeof *s->slots : 0;
}

static inline void keyset_prefetch(const struct keyset *s, struct hash_key key)
{
	if (s->slots)
		__builtin_prefetch(&s->slots[key.hash & s->mask]);
}

/* The key's id, or KEYSET_NONE. */
static inline uint32_t keyset_find(const struct keyset *s, struct hash_key key)
{
	if (!s->slots)
		return KEYSET_NONE;
	for (size_t at = key.hash & s->mask;; at = (at + 1) & s->mask) {
		const struct keyset_slot *slot = &s->slots[at];
		if (slot->id == KEYSET_NONE || (slot->hash == key.hash && slot->check == key.check))
			return slot->id;
	}
}
