/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A bounded pool of worker threads, and the token by which work is given up.
 *
 * A cancel token is set once by whoever loses interest (any thread, also a signal thread) and polled by the work;
 * long loops poll it at least every few milliseconds.
 */

#include <stdatomic.h>

#include "err.h"

struct cancel {
	atomic_bool set;
	int64_t deadline; /* clock_monotonic() ns after which it counts as set; 0 for none */
};

/* 0, ERR_CANCELLED, or -ETIMEDOUT past the deadline. c may be NULL. */
int cancel_check(const struct cancel *c);

struct pool;

/* threads: 0 for the number of CPUs. New. */
int pool_new(unsigned threads, struct pool **ret);
/* Finishes what is queued, then ends the threads. */
void pool_free(struct pool *p);
DEFINE_CLEANUP(struct pool *, pool_free);

/* Queues fn(arg); never blocks. 0, -ENOMEM or ERR_SHUTDOWN (then fn is not called). */
int pool_submit(struct pool *p, void (*fn)(void *arg), void *arg);

/*
 * Calls fn(arg, i) for all i < n on the pool and on the calling thread, and returns when all are done: the lowest
 * error of any (the others still run unless they poll a cancel token). Safe to call from a pool thread. p may be
 * NULL: then all run here, in order.
 */
int pool_each(struct pool *p, size_t n, int (*fn)(void *arg, size_t i), void *arg);

unsigned pool_threads(const struct pool *p);
