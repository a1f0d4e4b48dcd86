/* SPDX-License-Identifier: MIT */
#pragma once

/* The phases of `bench run`; each is run in a process of its own and prints its figures. */

#include "dataset.h"

struct run {
	struct dataset_index data;
	const char *store;    /* a directory */
	const char *service;  /* of the queries for one service */
	const char *match;    /* only queries whose "NAME SERVICE HOURS" holds this; NULL: all */
	unsigned threads, runs;
	struct shared {
		double floor_rate, cold;
	} *shared; /* with the children */
};

int phase_floor(void *run);  /* inflate and a bare walk over the protobuf: what any ingest must pay */
int phase_ingest(void *run);
int phase_compact(void *run); /* after ingest, until nothing is left to merge */
int phase_stored(void *run);
int phase_ack(void *run);    /* a lone write */
int phase_query(void *run);  /* forks a child per query */

/* All renderings of one service (NULL: all) over the last hours; forks a child per query. */
int query_renderings(struct run *r, const char *service, unsigned hours);
