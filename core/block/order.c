/* SPDX-License-Identifier: MIT */
#include "order.h"

#include <string.h>

void sample_order_done(struct sample_order *o)
{
	VEC_DONE(&o->keys);
	VEC_DONE(&o->spare);
}

struct sort_key *sample_order_keys(struct sample_order *o, size_t n)
{
	o->keys.n = o->spare.n = 0;
	return VEC_GROW(&o->keys, n + 1) && VEC_GROW(&o->spare, n + 1) ? o->keys.v : NULL;
}

/* LSD radix sort by the bytes in which keys differ. */
struct sort_key *sample_order_sort(struct sample_order *o, size_t n)
{
	struct sort_key *from = o->keys.v, *to = o->spare.v;
	uint64_t all = 0, first = n ? from[0].key : 0;
	bool sorted = true;
	for (size_t i = 0; i < n; i++) {
		all |= from[i].key ^ first;
		sorted &= !i || from[i - 1].key <= from[i].key;
	}
	for (unsigned shift = 0; shift < 64 && !sorted; shift += 8) {
		if (!(all >> shift & 0xff))
			continue;
		size_t at[256] = { 0 }, sum = 0;
		for (size_t i = 0; i < n; i++)
			at[from[i].key >> shift & 0xff]++;
		for (size_t d = 0; d < 256; d++) {
			size_t count = at[d];
			at[d] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[at[from[i].key >> shift & 0xff]++] = from[i];
		struct sort_key *t = from;
		from = to;
		to = t;
	}
	return from;
}
