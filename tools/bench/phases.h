/* SPDX-License-Identifier: MIT */
#pragma once

/* The phases of `bench run`; each is run in a process of its own and prints its figures. */

#include "../../core/render/render.h"
#include "dataset.h"

struct run {
	struct dataset_index data;
	const char *store;    /* a directory */
	const char *service;  /* of the queries for one service */
	const char *match;    /* only queries whose "NAME SERVICE HOURS" holds this; NULL: all */
	unsigned threads, runs;
	struct shared {
		double floor_rate, cold, least_cpu;
	} *shared; /* with the children */
};

int phase_floor(void *run);  /* inflate and a bare walk over the protobuf: what any ingest must pay */
int phase_ingest(void *run);
int phase_compact(void *run); /* after ingest, until nothing is left to merge */
int phase_stored(void *run);
int phase_ack(void *run);    /* a lone write */
int phase_query(void *run);  /* forks a child per query */

#define NODES_MAX 1000000

/* Makes a store with one profile of a service, type cpu, whose call tree has as many nodes. Runs in a child. */
int nodes_store(const char *store, char *service, int64_t nodes);

/* The end of the hour that nodes_store()'s profile lies in. */
int64_t nodes_end(void);

/* CPU ms of one file over the last hour, in a process that runs already: planned, read and rendered anew; the least. */
int query_least_cpu(struct run *r, const struct rendering *rendering, const char *service, double *ret_ms);

/* All renderings of one service (NULL: all) over the last hours; forks a child per query. */
int query_renderings(struct run *r, const char *service, unsigned hours);
