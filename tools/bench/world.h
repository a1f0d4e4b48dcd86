/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A store in memory whose clock is set, processes over it, and a fleet whose profiles are those of `bench gen`: the
 * programs of the base profiles, each under as many service names as are wanted.
 */

#include "../../core/db/compact.h"
#include "../../core/query/query.h"
#include "model.h"

enum { WORLD_PROGRAMS = 4, WORLD_BATCH = 512 };

struct world {
	struct store *mem;
	int64_t now, began;
	unsigned check_reads; /* struct db_options */
	struct service programs[WORLD_PROGRAMS];
	struct subset batch[WORLD_BATCH];
	size_t n_subsets;
};

/* pods: of a service. */
int world_init(struct world *w, int64_t start, int64_t end, unsigned pods, struct error *err);
void world_done(struct world *w);
/* The time of the store, and of all processes. */
void world_set(struct world *w, int64_t now);

/* A process: its own caches, its own counts. */
struct role {
	struct store *store;
	struct db *db;
	struct compactor *compactor;
};

int role_open(struct world *w, bool settle, struct role *ret, struct error *err);
void role_done(struct role *r);

/* A profile to write; it holds its own texts, so it is not to be moved once made. */
struct made {
	struct db_write write;
	struct label labels[2];
	char service[32], pod[64];
};

/* Makes a profile in the slot, which is good until the slot is made again. type: modulo those that the program has. */
int world_make(struct world *w, size_t slot, unsigned service, unsigned pod, unsigned type, int64_t time,
               struct made *ret);
void world_service(unsigned service, char ret[32]);

/* Asks for the CPU flame graph's tree; match: a pod or NULL. */
struct asked_tree {
	const char *service, *pod;
	int64_t from, to;
	uint64_t profiles; /* of the answer */
	uint32_t nodes;
};

int world_ask(struct role *r, struct asked_tree *ask, struct error *err);
