/* SPDX-License-Identifier: MIT */
#pragma once

/* What a header says of how its profiles' values count over time: for queries and for rollups alike. */

#include "block.h"

struct header_class {
	bool has_running; /* a type whose values may be running totals */
	bool has_instant;
	bool cumulative, delta; /* as the sender said */
	bool heap, allocs;      /* both types of heap profiles: which of the two */
};

struct header_class header_class_of(const struct header *h, const struct str *strings);

/* Whether a profile of this header holds totals since its process began. */
static inline bool header_is_running(const struct header_class *c, int64_t duration)
{
	return c->has_running && (c->cumulative || (duration == 0 && !c->delta));
}
