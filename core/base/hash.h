/* SPDX-License-Identifier: MIT */
#pragma once

/* Hashes: XXH3 (github.com/Cyan4973/xxHash) over bytes, and a multiply-fold for a few integers (as wyhash's mum). */

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "macros.h"

static inline uint64_t hash_bytes(const void *data, size_t n)
{
	return XXH3_64bits(data, n);
}

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	__uint128_t m = (__uint128_t)(a ^ UINT64_C(0x9e3779b97f4a7c15)) * (b ^ UINT64_C(0xd1b54a32d192ed03));
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/*
 * What stands for a key in an interning table: where two of these are equal, so are the keys. 96 bits under a seed that
 * is drawn at random per table, so that nobody can prepare two keys that collide, and chance has one in 2^96 per pair.
 * (A comparison of the keys would cost a cache miss or two per look-up, which is most of what interning costs.)
 */
struct hash_key {
	uint64_t hash;
	uint32_t check;
};

static inline struct hash_key hash_key(const void *data, size_t n, uint64_t seed)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(data, n, seed);
	return (struct hash_key){ h.low64, (uint32_t)h.high64 };
}

int hash_random_seed(uint64_t *ret); /* random; 0 or -errno */
