/* SPDX-License-Identifier: MIT */
#pragma once

/* The order of a profile's samples: by stack, then label set; and divisors of their values. */

#include "../base/vec.h"

struct sort_key {
	uint64_t key;    /* stack, label set */
	uint32_t sample; /* whose */
};

struct sample_order {
	VEC(struct sort_key) keys, spare;
};

void sample_order_done(struct sample_order *o);
/* Room for n keys, for the caller to fill: borrowed until the next call. NULL: out of memory. */
struct sort_key *sample_order_keys(struct sample_order *o, size_t n);
/* The keys in order; equal ones stay as they were. */
struct sort_key *sample_order_sort(struct sample_order *o, size_t n);

static inline uint64_t divisor_gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}
