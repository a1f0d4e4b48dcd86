/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * When samples were taken: where they carry the numeric label `timestamp` (nanoseconds since the epoch, UTC), or
 * `elapsed` (nanoseconds since their profile's start).
 */

#include "query.h"

#define MOMENT_SLACK NS_PER_HOUR /* how far outside its profile a sample's time is believed */

/* Whether samples of the selection's services and days have one of these labels. Reads no samples. */
bool query_has_moments(const struct query *q);

struct moments {
	void (*each)(void *arg, int64_t time, int64_t value); /* in no order; values in the canonical unit */
	void *arg;
	uint64_t told, without; /* set: samples that have a time, and that have none */
};

/* Tells each sample that matchers and filters keep. Reads the samples anew at each call. */
int query_moments(struct query *q, const struct cancel *cancel, struct moments *m, struct error *err);
