/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A service that is profiled continuously: one program, run by some pods, in three builds.
 *
 * - A CPU profile draws from the pool of the program's stacks with independent Poisson counts; the expected sum is 300
 *   to 1000 samples (10 s at 100 Hz of a pod between 30 and 100 % of a core), by pod, by a slow wave and by noise.
 * - A stack's weight is its weight in the pool, times a log-normal factor fixed for pod and stack (sigma 0.5), times a
 *   slow wave of its own period between 1.5 and 7.5 hours.
 * - Builds: v1.4.0, v1.4.1 (the last third of the pods), v1.5.0 (pod 0 is upgraded after two thirds of the time).
 *   Against the first, the others have about 1 % of their functions renamed, an eighth of their files shifted by 1 to
 *   40 lines, code moved, and another build id.
 * - About 4 % of a CPU profile's stacks have part of their samples labelled http.route, a quarter of those also
 *   span_id and trace_id.
 * - Heap profiles are deltas for alloc_* and the state for inuse_*; goroutine and mutex profiles are jittered alike.
 *
 * Everything is a function of the seed, the names and the time: equal settings give equal bytes.
 */

#include "pool.h"

enum { N_BUILDS = 3 };
enum base_type { BASE_CPU, BASE_HEAP, BASE_GOROUTINE, BASE_MUTEX, N_BASE_TYPES };

extern const char *const base_type_names[N_BASE_TYPES];

struct service {
	char *name;
	uint64_t seed;
	unsigned pods;
	int64_t start, end;
	struct pool_set pools[N_BUILDS][N_BASE_TYPES];
	bool has[N_BASE_TYPES];
};

/* Loads the base profiles NAME.TYPE.*.pb.gz of dir. -ENOENT where there is none of CPU. */
int service_init(struct service *s, const char *dir, const char *name, struct error *err);
void service_done(struct service *s);

uint64_t service_hash(const struct service *s, const uint64_t *numbers, size_t n);
unsigned service_build(const struct service *s, unsigned pod, int64_t time);
const char *build_name(unsigned build);
const char *pod_region(unsigned pod);
void pod_name(const struct service *s, unsigned pod, char *ret, size_t size);

/* Makes one profile; it is in out->out until the next one. */
int service_generate(const struct service *s, enum base_type type, unsigned pod, int64_t time, int64_t duration,
                     struct subset *out);
