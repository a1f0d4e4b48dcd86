/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A layer over a store that remembers what was read of it: key, place and length of each range. Tests say by it what a
 * question costs.
 */

#include <pthread.h>
#include <string.h>

#include "core/base/macros.h"
#include "core/base/vec.h"
#include "core/store/store.h"

struct read {
	char key[160];
	uint64_t off;
	size_t len;
	unsigned times;
};

struct reads {
	struct store base;
	struct store *inner; /* owned */
	pthread_mutex_t lock; /* guards all below */
	VEC(struct read) v;   /* once each */
	uint64_t n, bytes, lists;
};

static inline struct reads *reads_of(struct store *s)
{
	return (struct reads *)s;
}

static inline void note_read(struct reads *r, const char *key, uint64_t off, size_t len)
{
	pthread_mutex_lock(&r->lock);
	struct read *at = NULL;
	for (size_t i = 0; i < r->v.n && !at; i++)
		if (r->v.v[i].off == off && r->v.v[i].len == len && !strcmp(r->v.v[i].key, key))
			at = &r->v.v[i];
	if (!at) {
		at = VEC_PUSH(&r->v);
		*at = (struct read){ .off = off, .len = len };
		snprintf(at->key, sizeof at->key, "%s", key);
	}
	at->times++;
	r->n++;
	r->bytes += len;
	pthread_mutex_unlock(&r->lock);
}

static inline int reads_read(struct store *s, const char *key, const struct store_range *ranges, size_t n,
                             struct error *err)
{
	for (size_t i = 0; i < n; i++)
		note_read(reads_of(s), key, ranges[i].off, ranges[i].len);
	return store_read(reads_of(s)->inner, key, ranges, n, err);
}

static inline int reads_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                             struct error *err)
{
	size_t before = out->len;
	int r = store_tail(reads_of(s)->inner, key, n, out, ret_size, err);
	note_read(reads_of(s), key, UINT64_MAX, out->len - before);
	return r;
}

static inline int reads_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn,
                             void *ctx, struct error *err)
{
	__atomic_fetch_add(&reads_of(s)->lists, 1, __ATOMIC_RELAXED);
	return store_list(reads_of(s)->inner, prefix, after, delimiter, fn, ctx, err);
}

static inline int reads_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	return store_put(reads_of(s)->inner, key, data, err);
}

static inline int reads_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	return store_put_body(reads_of(s)->inner, key, body, err);
}

static inline int reads_create(struct store *s, const char *key, struct slice data, struct error *err)
{
	return store_put_if_absent(reads_of(s)->inner, key, data, err);
}

static inline int reads_remove(struct store *s, const char *key, struct error *err)
{
	return store_remove(reads_of(s)->inner, key, err);
}

static inline int reads_now(struct store *s, int64_t *ret, struct error *err)
{
	return store_now(reads_of(s)->inner, ret, err);
}

static inline void reads_forget(struct store *s)
{
	struct reads *r = reads_of(s);
	r->v.n = 0;
	r->n = r->bytes = r->lists = 0;
}

static inline void reads_free(struct store *s)
{
	struct reads *r = reads_of(s);
	store_free(r->inner);
	VEC_DONE(&r->v);
	pthread_mutex_destroy(&r->lock);
	free(s->name);
	free(r);
}

/* Takes the inner store. */
static inline struct store *reads_new(struct store *inner)
{
	static const struct store_ops ops = {
		.put = reads_put,
		.put_body = reads_put_body,
		.put_if_absent = reads_create,
		.read = reads_read,
		.tail = reads_tail,
		.list = reads_list,
		.remove = reads_remove,
		.now = reads_now,
		.free = reads_free,
	};
	struct reads *r = calloc(1, sizeof *r);
	r->base.ops = &ops;
	r->base.name = strdup("memory, told");
	r->inner = inner;
	pthread_mutex_init(&r->lock, NULL);
	return &r->base;
}
