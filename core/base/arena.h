/* SPDX-License-Identifier: MIT */
#pragma once

/* Memory that is freed all at once. Born with a cap; over it, arena_alloc() returns NULL. */

#include "err.h"

struct arena_chunk;

struct arena {
	struct arena_chunk *head;
	size_t used; /* bytes held from malloc */
	size_t max;
};

#define ARENA_INIT(max_) ((struct arena){ .max = (max_) })

void arena_done(struct arena *a);
#define _arena_ _cleanup_(arena_done)

/* Uninitialised, aligned to 16; borrowed until arena_done(). NULL when over the cap or out of memory. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((malloc));
void *arena_calloc(struct arena *a, size_t count, size_t size);
/* A NUL-terminated copy; s may be NULL where n is 0. */
char *arena_strndup(struct arena *a, const char *s, size_t n);
