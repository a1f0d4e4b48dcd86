/* SPDX-License-Identifier: MIT */
#pragma once

/* V8's CPU profiles, which stand in files of their own and in Chrome's traces. */

#include "json_format.h"

#define V8_NONE UINT32_MAX

struct v8_node {
	int64_t id;
	uint32_t location, parent; /* parent: a node, or V8_NONE */
	uint32_t value;            /* where it stands in the document */
};

struct v8 {
	const struct json *j;
	struct maker *m;
	const char *what;            /* for messages */
	void (*labels)(void *ctx);   /* of each sample, or NULL */
	void *ctx;
	VEC(struct v8_node) nodes;
	struct idset ids;
	bool by_place;               /* nodes are known by their order, not by what they say */
	int64_t start, now;          /* microseconds */
	bool begun;                  /* a sample waits for the time at which it ends */
	uint32_t node;
	int64_t since;
};

void v8_done(struct v8 *v);
/* "samples" (count) and "wall" (microseconds): what the functions below give. */
void v8_make_types(struct maker *m);
/* A whole profile. */
void v8_read_profile(struct v8 *v, uint32_t profile);
/* Parts of one, as they come; v->start and v->now are set by the caller. */
void v8_read_nodes(struct v8 *v, uint32_t nodes);
void v8_read_samples(struct v8 *v, uint32_t samples, uint32_t times, bool deltas);
void v8_end_samples(struct v8 *v, int64_t end);
