/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * From frames that are opened and closed to samples: one for each stretch of time in which nothing changed, in order.
 * A frame that is closed at the moment it was opened has a sample of weight 0, so that it is not lost.
 */

#include "make.h"

struct timeline {
	struct maker *m;
	VEC(uint32_t) open; /* locations, outermost first */
	size_t shown;       /* how many of these were in a sample since they opened */
	int64_t now;
	/* Ends a sample whose frames are there: labels, and make_sample(). */
	void (*sample)(void *ctx, int64_t at, int64_t weight);
	void *ctx;
};

void timeline_done(struct timeline *t);
/* With nothing open. */
void timeline_begin(struct timeline *t, int64_t at);
/* False where `to` lies before now, or so far behind it that it does not fit in 64 bits. */
bool timeline_move(struct timeline *t, int64_t to);
void timeline_open(struct timeline *t, uint32_t location);
/* The innermost; there must be one. */
void timeline_close(struct timeline *t);
