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
